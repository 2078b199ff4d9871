//! Prefixes: of each key of a block or an index four bytes, side by side, kept in memory behind the bytes of the file.
//!
//! A search by them touches a few cache lines that lie together, and takes no branch that could be mispredicted; a search by the keys
//! touches a line for each key that it compares, and knows the next only after the one before. What all keys have in common is
//! left out, so that the four bytes are those that tell neighbours apart; where they do not, the keys decide.
//!
//! Pure. May assume: the keys are in order. Promises: what lies outside the range that [`Prefixes::narrow`] returns is where it says,
//! whatever the keys are.

use std::ops::Range;

/// Bytes of one prefix.
pub(super) const WORD_BYTES: usize = 4;
/// Up to so many, all are counted; of more, half is left out at each step.
const COUNTED_MAX: usize = 64;

/// The prefixes of the keys of a block or an index.
#[derive(Clone, Copy, Debug)]
pub(super) struct Prefixes<'a> {
    /// What all keys begin with.
    common: &'a [u8],
    /// What follows in each, as a number in the processor's own order of bytes.
    words: &'a [[u8; WORD_BYTES]],
}

/// How many bytes these keys, which are in order, have in common; and their prefixes behind that.
pub(super) fn of<'a>(keys: impl DoubleEndedIterator<Item = &'a [u8]> + Clone) -> (usize, Vec<u8>) {
    let (first, last) = (keys.clone().next().unwrap_or_default(), keys.clone().next_back().unwrap_or_default());
    let common = first.iter().zip(last).take_while(|(first, last)| first == last).count();
    (common, keys.flat_map(|key| word(key.get(common..).unwrap_or_default()).to_ne_bytes()).collect())
}

/// How a key begins, zeros for what is not there: a smaller key never begins greater.
pub fn beginning<const N: usize>(key: &[u8]) -> [u8; N] {
    key.first_chunk().copied().unwrap_or_else(|| {
        let mut bytes = [0; N];
        bytes.iter_mut().zip(key).for_each(|(place, byte)| *place = *byte);
        bytes
    })
}

/// How a key begins, as a number.
fn word(key: &[u8]) -> u32 {
    u32::from_be_bytes(beginning(key))
}

impl<'a> Prefixes<'a> {
    /// What [`of`] found, and the bytes that it found in common.
    pub(super) fn new(common: &'a [u8], words: &'a [u8]) -> Prefixes<'a> {
        Prefixes { common, words: words.as_chunks().0 }
    }

    /// The entries whose order to a key the prefixes leave open. Before them are smaller keys only, behind them greater ones only.
    pub(super) fn narrow(&self, key: &[u8]) -> Range<usize> {
        let (head, tail) = key.split_at_checked(self.common.len()).unwrap_or((key, &[]));
        if head != self.common {
            let place = if head < self.common { 0 } else { self.words.len() };
            return place..place;
        }
        let key = word(tail);
        if self.words.len() > COUNTED_MAX {
            let before = self.words.partition_point(|word| u32::from_ne_bytes(*word) < key);
            return before..self.words.partition_point(|word| u32::from_ne_bytes(*word) <= key);
        }
        let (mut before, mut not_behind) = (0u32, 0u32);
        for word in self.words {
            let word = u32::from_ne_bytes(*word);
            before = before.wrapping_add(u32::from(word < key));
            not_behind = not_behind.wrapping_add(u32::from(word <= key));
        }
        // At most 64, so they fit any usize.
        before as usize..not_behind as usize
    }
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_smaller_before_and_greater_behind_whatever_the_keys_are() {
        let tails = [&b""[..], b"\0", b"\0\0\0\0\0", b"a", b"aaaa", b"aaaaa", b"aaab", b"b", b"\xff\xff\xff\xff", b"\xff\xff\xff\xff\xff"];
        for common in [&b""[..], b"k", b"common"] {
            let strange = [&b""[..], b"\0", b"c", b"commo", b"commoo", b"commom", b"l", b"\xff"].map(<[u8]>::to_vec);
            let near = tails.iter().map(|tail| [common, tail].concat());
            let sought: Vec<Vec<u8>> = strange.into_iter().chain(near.clone()).collect();
            // Every choice of the keys, and each of its keys many times, so that they are counted and that they are halved.
            for (chosen, times) in (0..1u32 << tails.len()).flat_map(|chosen| [(chosen, 1), (chosen, 20)]) {
                let keys = near.clone().enumerate().filter(|(number, _)| chosen >> number & 1 == 1);
                let keys: Vec<Vec<u8>> = keys.flat_map(|(_, key)| vec![key; times]).collect();
                let (shared, words) = of(keys.iter().map(Vec::as_slice));
                let prefixes = Prefixes::new(keys.first().map_or(&[], |key| &key[..shared]), &words);
                for key in &sought {
                    let open = prefixes.narrow(key);
                    assert!(keys[..open.start].iter().all(|before| before < key), "{key:?} in {keys:?}");
                    assert!(keys[open.end..].iter().all(|behind| behind > key), "{key:?} in {keys:?}");
                }
            }
        }
    }

    #[test]
    fn keys_that_differ_in_four_bytes_behind_what_they_share_are_told_apart() {
        let keys: Vec<Vec<u8>> = (0..200u32).map(|n| [&b"a long common beginning"[..], &n.to_be_bytes(), b"end"].concat()).collect();
        for count in [1, 2, 30, 64, 65, 200] {
            let (shared, words) = of(keys[..count].iter().map(Vec::as_slice));
            let prefixes = Prefixes::new(&keys[0][..shared], &words);
            for (number, key) in keys[..count].iter().enumerate() {
                assert_eq!(prefixes.narrow(key), number..number.saturating_add(1));
            }
        }
    }
}
