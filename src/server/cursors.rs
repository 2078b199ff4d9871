//! The places of scans that go on: what the number means that SCAN returns (RESP-SCAN).
//!
//! A key does not fit into the number that clients hand back, so the server keeps the key, and the number names it. The table is bounded
//! in entries and bytes; the oldest place goes first, and who comes back to it is told that it is unknown. A scan keeps two
//! places at most: when a cursor is used, the one before it goes, so the last request can be repeated and a long scan does not push out
//! the others.
//!
//! Numbers begin where nobody can know, so that a cursor of an earlier process is not taken for one of this, and stay below 2^53,
//! because some clients keep them as floating-point numbers.

use crate::limits;
use std::collections::BTreeMap;

const NUMBERS: u64 = 1 << 52;

/// Where a scan goes on.
#[derive(Debug)]
struct Place {
    /// Behind this key.
    after: Vec<u8>,
    /// The cursor that the page was asked for with which ended here; 0 for the first page.
    follows: u64,
}

/// The cursors of all scans of a server.
#[derive(Debug)]
pub struct Cursors {
    next: u64,
    places: BTreeMap<u64, Place>,
    bytes: usize,
}

impl Cursors {
    /// No cursors; the first has a number that follows from this one.
    #[must_use]
    pub fn new(seed: u64) -> Cursors {
        Cursors { next: (seed % NUMBERS).max(1), places: BTreeMap::new(), bytes: 0 }
    }

    /// A cursor for the place behind this key; `follows` is the cursor that the page was asked for with.
    pub fn keep(&mut self, after: Vec<u8>, follows: u64) -> u64 {
        let cursor = self.next;
        self.next = cursor.saturating_add(1);
        self.bytes = self.bytes.saturating_add(after.len());
        self.places.insert(cursor, Place { after, follows });
        while self.places.len() > limits::CURSORS_MAX || self.bytes > limits::CURSORS_BYTES_MAX {
            let Some((oldest, _)) = self.places.first_key_value() else { break };
            self.drop(*oldest);
        }
        cursor
    }

    /// The key behind which a scan goes on. The place before it is no longer kept.
    pub fn use_up(&mut self, cursor: u64) -> Option<Vec<u8>> {
        let Place { after, follows } = self.places.get(&cursor)?;
        let (after, follows) = (after.clone(), *follows);
        self.drop(follows);
        Some(after)
    }

    /// How many places are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether none is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    fn drop(&mut self, cursor: u64) {
        if let Some(place) = self.places.remove(&cursor) {
            self.bytes = self.bytes.saturating_sub(place.after.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scan_keeps_two_places_and_its_last_request_can_be_repeated_resp_scan() {
        let mut cursors = Cursors::new(u64::MAX);
        let first = cursors.keep(b"a".to_vec(), 0);
        assert_eq!(cursors.use_up(first).as_deref(), Some(&b"a"[..]));
        let second = cursors.keep(b"b".to_vec(), first);
        assert_eq!(cursors.use_up(first).as_deref(), Some(&b"a"[..]), "the reply may have been lost");
        assert_eq!(cursors.use_up(second).as_deref(), Some(&b"b"[..]));
        assert_eq!(cursors.use_up(first), None, "whoever used the second has seen the first");
        assert!(second < 1 << 53);
    }

    #[test]
    fn the_oldest_places_go_first_by_number_and_by_bytes() {
        let mut cursors = Cursors::new(7);
        let first = cursors.keep(b"first".to_vec(), 0);
        for _ in 0..limits::CURSORS_MAX {
            cursors.keep(Vec::new(), 0);
        }
        assert_eq!((cursors.use_up(first), cursors.len(), cursors.bytes), (None, limits::CURSORS_MAX, 0));
        let large = limits::CURSORS_BYTES_MAX / 2;
        let last = [0; 3].map(|_| cursors.keep(vec![0; large], 0));
        assert_eq!((cursors.len(), cursors.bytes), (2, 2 * large));
        assert!(cursors.use_up(last[0]).is_none() && cursors.use_up(last[1]).is_some());
    }
}
