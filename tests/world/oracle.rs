//! The oracle: every version of every key, and what a view must see of them. It shares no code with the product.

use super::Writes;
use aerodb::{CommitId, Direction, Range};
use std::collections::BTreeMap;
use std::ops::Bound;

/// What was committed, version by version.
#[derive(Clone, Debug, Default)]
pub struct Oracle {
    commits: u64,
    floor: u64,
    versions: BTreeMap<Vec<u8>, Vec<(u64, Option<Vec<u8>>)>>,
}

impl Oracle {
    /// The next commit; of two writes to one key the later counts.
    pub fn commit(&mut self, writes: &Writes) -> CommitId {
        self.commits += 1;
        for (key, value) in writes {
            self.versions.entry(key.clone()).or_default().push((self.commits, value.clone()));
        }
        self.latest()
    }

    /// A floor that was raised.
    pub fn raise_floor(&mut self, floor: CommitId) {
        assert!(floor.0 > self.floor && floor.0 <= self.commits);
        self.floor = floor.0;
    }

    /// The last commit.
    pub fn latest(&self) -> CommitId {
        CommitId(self.commits)
    }

    /// The lowest commit that may be read.
    pub fn floor(&self) -> CommitId {
        CommitId(self.floor)
    }

    /// The value of a key at a commit.
    pub fn get(&self, key: &[u8], at: CommitId) -> Option<&[u8]> {
        let versions = self.versions.get(key)?;
        versions.iter().rev().find(|(commit, _)| *commit <= at.0)?.1.as_deref()
    }

    /// The rows of a range at a commit; `None` for a range that must be refused.
    pub fn range(&self, range: &Range, at: CommitId) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
        let (from, to) = (&range.from, &range.to);
        if let (Bound::Included(from) | Bound::Excluded(from), Bound::Included(to) | Bound::Excluded(to)) = (from, to) {
            if from > to {
                return None;
            }
        }
        if range.limit == 0 || range.limit > aerodb::limits::RANGE_ROWS_MAX {
            return None;
        }
        let inside = |key: &Vec<u8>| {
            let above = match from {
                Bound::Unbounded => true,
                Bound::Included(from) => key >= from,
                Bound::Excluded(from) => key > from,
            };
            let below = match to {
                Bound::Unbounded => true,
                Bound::Included(to) => key <= to,
                Bound::Excluded(to) => key < to,
            };
            above && below
        };
        let mut rows: Vec<_> = self
            .versions
            .keys()
            .filter(|key| inside(key))
            .filter_map(|key| Some((key.clone(), self.get(key, at)?.to_vec())))
            .collect();
        if range.direction == Direction::Backward {
            rows.reverse();
        }
        rows.truncate(range.limit);
        Some(rows)
    }
}
