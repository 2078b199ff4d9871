//! The filter of a partition: says for most keys that are not there that they are not, at the cost of one cache line.
//!
//! Pure. A blocked Bloom filter: each key sets six bits within one block of 64 bytes. The hash, the number of blocks and the bits
//! are part of the format, because they decide bytes of the run (FMT-RUN, R-DETERMINISM).
//!
//! Invariant: a key that was put in is never said to be absent. What isn't a filter excludes nothing.

use xxhash_rust::xxh3::xxh3_64;

/// Bytes of a block of the filter.
pub(super) const FILTER_BLOCK_BYTES: usize = 64;
const BLOCK_BITS: usize = 512;
const BITS_PER_KEY: usize = 10;
const PROBES: u64 = 6;

/// The hash that filters know a key by. A reader of several runs takes it once.
#[must_use]
pub fn key_hash(key: &[u8]) -> u64 {
    xxh3_64(key)
}

/// The filter of the distinct keys with these hashes.
pub(super) fn build(hashes: &[u64]) -> Vec<u8> {
    let blocks = hashes.len().saturating_mul(BITS_PER_KEY).div_ceil(BLOCK_BITS).max(1);
    let mut filter = vec![0; blocks.saturating_mul(FILTER_BLOCK_BYTES)];
    for hash in hashes {
        if let Some(block) = filter.get_mut(block_start(blocks, *hash)..) {
            for bit in bits(*hash) {
                if let Some(byte) = block.get_mut(bit >> 3) {
                    *byte |= 1 << (bit & 7);
                }
            }
        }
    }
    filter
}

/// Whether a key with this hash may be in the filter.
pub(super) fn may_contain(filter: &[u8], hash: u64) -> bool {
    let start = block_start(filter.len() / FILTER_BLOCK_BYTES, hash);
    let Some(block) = filter.get(start..).and_then(|rest| rest.first_chunk::<FILTER_BLOCK_BYTES>()) else {
        return true;
    };
    bits(hash).all(|bit| block.get(bit >> 3).is_none_or(|byte| byte & (1 << (bit & 7)) != 0))
}

/// Where the block of a hash begins: the upper half of the hash, scaled to the number of blocks.
fn block_start(blocks: usize, hash: u64) -> usize {
    // The product of two numbers below 2^32: filters are at most a block of a run long.
    let block = (hash >> 32).wrapping_mul(blocks as u64) >> 32;
    usize::try_from(block).unwrap_or(usize::MAX).saturating_mul(FILTER_BLOCK_BYTES)
}

/// The bits of a hash within its block.
fn bits(hash: u64) -> impl Iterator<Item = usize> {
    let a = hash & 0xffff;
    let b = (hash >> 16) & 0xffff | 1;
    // Below 512, so it fits any usize.
    (0..PROBES).map(move |i| (a.wrapping_add(i.wrapping_mul(b)) & 511) as usize)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_was_put_in_is_never_excluded_and_most_others_are() {
        for count in [1usize, 2, 51, 52, 1000] {
            let hashes: Vec<u64> = (0..count).map(|n| key_hash(&n.to_le_bytes())).collect();
            let filter = build(&hashes);
            assert_eq!(filter.len(), (10 * count).div_ceil(512) * 64);
            assert!(hashes.iter().all(|hash| may_contain(&filter, *hash)));
            let strangers = (0..10_000).filter(|n| may_contain(&filter, key_hash(format!("other {n}").as_bytes())));
            assert!(strangers.count() < 300, "more than 3 % of other keys pass with {count} keys");
        }
    }

    #[test]
    fn the_filter_of_no_keys_is_one_empty_block_and_no_filter_excludes_nothing() {
        assert_eq!(build(&[]), vec![0; 64]);
        assert!(!may_contain(&[0; 64], key_hash(b"key")));
        assert!(may_contain(&[], key_hash(b"key")));
    }

    #[test]
    fn fmt_run_the_bits_of_a_hash_are_those_of_the_document() {
        let hash = 0xffff_ffff_0003_01fe;
        let filter = build(&[hash; 100]);
        let set: Vec<usize> = (0..filter.len() * 8).filter(|bit| filter[bit / 8] >> (bit % 8) & 1 == 1).collect();
        // a = 0x1fe, b = 3: 510, 513, 516, … modulo 512, in the last of ceil(1000 / 512) = 2 blocks.
        assert_eq!(set, [1, 4, 7, 10, 13, 510].map(|bit| 512 + bit));
    }
}
