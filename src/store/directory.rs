//! The directory of a table: says by the hash of a key where its entry stands, or that there is none, by one line of cache.
//!
//! Pure. Buckets of sixteen slots; a slot holds the number of an entry and eight bits of its key's hash, by which most other keys are
//! told apart without looking at their entries. It never grows: a table that is sealed after so many bytes of log has about so many
//! keys, and half of the slots stay empty. A bucket that is full knows nothing of further keys: those are searched for elsewhere. So keys
//! that somebody chose to meet in one bucket, and very many small ones, cost that search and no more.
//!
//! Invariant: a key that was put in is never said to be absent.

/// Bytes of log for one bucket.
const LOG_BYTES_PER_BUCKET: u64 = 1024;
/// The part of a slot that is the number of an entry, plus one; none in an empty slot, all of it in one that leads nowhere.
const NUMBER: u32 = (1 << 24) - 1;

#[derive(Clone, Debug, Default)]
#[repr(align(64))]
struct Bucket([u32; 16]);

/// The numbers of the entries whose keys have these hashes.
#[derive(Debug)]
pub(super) struct Directory {
    buckets: Box<[Bucket]>,
}

/// What a directory says of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The number of its entry.
    Entry(u32),
    /// It was never put in.
    Nowhere,
    /// It may have been put in.
    Unknown,
}

impl Directory {
    /// An empty directory for a table that holds so much log.
    pub(super) fn new(log_bytes: u64) -> Directory {
        let buckets = usize::try_from(log_bytes / LOG_BYTES_PER_BUCKET).unwrap_or(usize::MAX);
        Directory { buckets: vec![Bucket::default(); buckets.max(1)].into() }
    }

    /// How much memory it takes.
    pub(super) fn memory_bytes(&self) -> usize {
        size_of::<Bucket>().saturating_mul(self.buckets.len())
    }

    /// Puts in the entry of a key with this hash.
    pub(super) fn insert(&mut self, hash: u64, number: u32) {
        let place = self.place(hash);
        let Some(Bucket(slots)) = self.buckets.get_mut(place) else { return };
        let number = number.saturating_add(1);
        if number < NUMBER {
            if let Some(slot) = slots.iter_mut().find(|slot| **slot == 0) {
                *slot = tag(hash) | number;
            }
        } else {
            // Beyond what a slot can say: this bucket can't tell any more what is not there.
            slots.iter_mut().filter(|slot| **slot == 0).for_each(|slot| *slot = NUMBER);
        }
    }

    /// Where the key with this hash stands of whose entry this is true.
    pub(super) fn find(&self, hash: u64, is_meant: impl Fn(u32) -> bool) -> Found {
        let Some(Bucket(slots)) = self.buckets.get(self.place(hash)) else { return Found::Unknown };
        for slot in slots {
            if *slot == 0 {
                return Found::Nowhere;
            }
            let number = (slot & NUMBER).saturating_sub(1);
            if slot & !NUMBER == tag(hash) && is_meant(number) {
                return Found::Entry(number);
            }
        }
        Found::Unknown
    }

    /// The bucket of a hash: its upper half, scaled to the number of buckets.
    fn place(&self, hash: u64) -> usize {
        let buckets = self.buckets.len() as u64;
        // The product of two numbers below 2^32: a table holds at most limits::TABLE_BYTES of log.
        usize::try_from((hash >> 32).wrapping_mul(buckets) >> 32).unwrap_or(usize::MAX)
    }
}

/// The bits of a hash that stand in its slot, of its lower half.
fn tag(hash: u64) -> u32 {
    // Only these bits are taken.
    hash as u32 & !NUMBER
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::run::key_hash;
    use super::*;

    fn hash(number: u32) -> u64 {
        key_hash(&number.to_le_bytes())
    }

    #[test]
    fn a_key_that_was_put_in_is_never_absent_and_the_others_nearly_always_are() {
        for (log_bytes, keys) in [(0, 3), (1024, 40), (16 << 20, 130_000)] {
            let mut directory = Directory::new(log_bytes);
            (0..keys).for_each(|number| directory.insert(hash(number), number));
            let unknown = (0..keys).filter(|&number| {
                let found = directory.find(hash(number), |found| found == number);
                assert!([Found::Entry(number), Found::Unknown].contains(&found), "{number}: {found:?}");
                found == Found::Unknown
            });
            let unknown = unknown.count();
            let others = (keys..2 * keys).filter(|&other| directory.find(hash(other), |_| false) == Found::Nowhere);
            let others = others.count() as u32;
            match log_bytes {
                0 => assert_eq!((unknown, others), (0, keys)),
                1024 => assert_eq!((unknown, others), (24, 0)),
                _ => assert!(unknown < 200 && others > keys / 100 * 98, "{unknown} {others}"),
            }
        }
    }

    #[test]
    fn an_entry_beyond_what_a_slot_can_say_is_unknown() {
        let mut directory = Directory::new(0);
        directory.insert(hash(1), NUMBER - 2);
        assert_eq!(directory.find(hash(1), |_| true), Found::Entry(NUMBER - 2));
        directory.insert(hash(2), NUMBER - 1);
        for number in [2, 3] {
            assert_eq!(directory.find(hash(number), |number| number < NUMBER - 1), Found::Unknown);
        }
    }
}
