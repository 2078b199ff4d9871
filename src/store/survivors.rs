//! Which versions survive when a run is written (M-FLOOR).
//!
//! A version may go only if a newer version of the same key has a CommitId ≤ floor; a tombstone ≤ floor may go too where nothing
//! older can lie below, that is, in a run that begins with commit 1. The floor is the one in the log where the table was sealed
//! that led to this run, so that every node drops the same (R-DETERMINISM).

use super::run::Entry;
use crate::commit_id::CommitId;

/// Decides entry by entry, in the order of a run: key ascending, newest first.
#[derive(Debug)]
pub struct Survivors {
    floor: CommitId,
    bottom: bool,
    key: Vec<u8>,
    begun: bool,
    /// A version of `key` at or below the floor was met: what follows is older, and covered by it.
    covered: bool,
}

impl Survivors {
    /// The rule for a run whose oldest commit is `first`.
    #[must_use]
    pub fn new(first: CommitId, floor: CommitId) -> Survivors {
        Survivors { floor, bottom: first <= CommitId(1), key: Vec::new(), begun: false, covered: false }
    }

    /// Whether this entry goes into the run.
    pub fn keeps(&mut self, entry: &Entry<'_>) -> bool {
        if !self.begun || self.key != entry.key {
            self.begun = true;
            self.key.clear();
            self.key.extend_from_slice(entry.key);
            self.covered = false;
        }
        if self.covered {
            return false;
        }
        self.covered = entry.commit <= self.floor;
        !(self.covered && self.bottom && entry.value.is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(first: u64, floor: u64, entries: &[(&str, u64, bool)]) -> Vec<(String, u64)> {
        let mut rule = Survivors::new(CommitId(first), CommitId(floor));
        let mut kept = Vec::new();
        for (key, commit, put) in entries {
            let value = put.then_some(&b"v"[..]);
            if rule.keeps(&Entry { key: key.as_bytes(), commit: CommitId(*commit), value }) {
                kept.push(((*key).to_owned(), *commit));
            }
        }
        kept
    }

    /// M-FLOOR
    #[test]
    fn only_what_a_newer_version_at_or_below_the_floor_covers_may_go() {
        let versions = [("a", 9, true), ("a", 7, true), ("a", 5, true), ("a", 3, true), ("b", 4, true)];
        assert_eq!(kept(2, 6, &versions), [("a".into(), 9), ("a".into(), 7), ("a".into(), 5), ("b".into(), 4)]);
        assert_eq!(kept(2, 0, &versions).len(), 5);
        assert_eq!(kept(2, 9, &versions), [("a".into(), 9), ("b".into(), 4)]);
    }

    /// M-FLOOR
    #[test]
    fn a_tombstone_goes_only_where_nothing_older_lies_below() {
        let versions = [("a", 5, false), ("a", 3, true), ("b", 8, false), ("b", 2, true)];
        assert_eq!(kept(2, 6, &versions), [("a".into(), 5), ("b".into(), 8), ("b".into(), 2)]);
        assert_eq!(kept(1, 6, &versions), [("b".into(), 8), ("b".into(), 2)]);
        assert_eq!(kept(1, 0, &[("", 1, false)]), [(String::new(), 1)]);
    }
}
