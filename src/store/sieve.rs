//! The sieve of a table: says for most keys that are not in it that they are not, so that a reader need not search.
//!
//! Pure. A blocked Bloom filter with a word for a block: each key sets up to four bits of one word. It is only in memory, so nothing
//! depends on its bits. It never grows: a table that is sealed after so many bytes of log has about so many keys. With very many
//! small ones it lets more through.
//!
//! Invariant: a key that was put in is never said to be absent.

/// Bytes of log for one word: 16 for a bit.
const LOG_BYTES_PER_WORD: u64 = 1024;

/// The sieve of the keys with these hashes.
#[derive(Debug)]
pub(super) struct Sieve {
    words: Box<[u64]>,
}

impl Sieve {
    /// An empty sieve for a table that holds so much log.
    pub(super) fn new(log_bytes: u64) -> Sieve {
        let words = usize::try_from(log_bytes / LOG_BYTES_PER_WORD).unwrap_or(usize::MAX);
        Sieve { words: vec![0; words.max(1)].into() }
    }

    /// Puts in a key with this hash.
    pub(super) fn insert(&mut self, hash: u64) {
        let place = self.place(hash);
        if let Some(word) = self.words.get_mut(place) {
            *word |= bits(hash);
        }
    }

    /// Whether a key with this hash may have been put in.
    pub(super) fn may_contain(&self, hash: u64) -> bool {
        self.words.get(self.place(hash)).is_none_or(|word| bits(hash) & !word == 0)
    }

    /// The word of a hash: its upper half, scaled to the number of words.
    fn place(&self, hash: u64) -> usize {
        let words = self.words.len() as u64;
        // The product of two numbers below 2^32: a table holds at most limits::TABLE_BYTES of log.
        usize::try_from((hash >> 32).wrapping_mul(words) >> 32).unwrap_or(usize::MAX)
    }
}

/// The bits of a hash within its word, from its lower half.
fn bits(hash: u64) -> u64 {
    [0, 6, 12, 18].into_iter().fold(0, |bits, shift| bits | 1 << (hash >> shift & 63))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::run::key_hash;
    use super::*;

    #[test]
    fn a_key_that_was_put_in_is_never_excluded_and_most_others_are() {
        for (log_bytes, keys) in [(0, 3), (1024, 8), (16 << 20, 130_000)] {
            let mut sieve = Sieve::new(log_bytes);
            let hash = |number: u64| key_hash(&number.to_le_bytes());
            assert!(!sieve.may_contain(hash(0)), "it begins empty");
            (0..keys).for_each(|number| sieve.insert(hash(number)));
            assert!((0..keys).all(|number| sieve.may_contain(hash(number))));
            let strangers = (0..10_000).filter(|number| sieve.may_contain(hash(keys + number))).count();
            assert!(strangers < 1000, "{strangers} of 10000 others pass a sieve of {keys} keys for {log_bytes} bytes of log");
        }
    }
}
