//! Blank: what log space holds before it is written (FMT-BLANK).
//!
//! After a crash, each word of the newest segment holds what was written to it or what was there before. What was there before is
//! this pattern, so "never written" can be seen, word by word, and is not confused with a value full of zeros. On this rests the
//! difference between a torn tail and corruption (D-TAIL, `tail.rs`).

use crate::position::Position;

/// The blank word at a position.
fn word(seed: u64, position: u64) -> u64 {
    let mut word = seed.wrapping_add(position);
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// Fills `bytes`, which begin at this position (a multiple of 8), with blank.
pub(super) fn fill(seed: u64, position: Position, bytes: &mut [u8]) {
    let mut at = position.0;
    for chunk in bytes.chunks_mut(8) {
        let blank = word(seed, at).to_le_bytes();
        chunk.copy_from_slice(blank.get(..chunk.len()).unwrap_or_default());
        at = at.wrapping_add(8);
    }
}

/// Whether `bytes`, which begin at this position (a multiple of 8), are blank.
pub(super) fn is_blank(seed: u64, position: Position, bytes: &[u8]) -> bool {
    let mut at = position.0;
    bytes.chunks(8).all(|chunk| {
        let blank = word(seed, at).to_le_bytes();
        at = at.wrapping_add(8);
        blank.starts_with(chunk)
    })
}

/// Whether any word of `bytes`, which begin at this position (a multiple of 8), is blank.
pub(super) fn has_blank_word(seed: u64, position: Position, bytes: &[u8]) -> bool {
    let mut at = position.0;
    bytes.chunks_exact(8).any(|chunk| {
        let blank = word(seed, at).to_le_bytes();
        at = at.wrapping_add(8);
        chunk == blank
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FMT-BLANK
    #[test]
    fn blank_is_recognised_at_its_place_and_nowhere_else() {
        let mut bytes = vec![0; 64];
        fill(7, Position(1024), &mut bytes);
        assert!(is_blank(7, Position(1024), &bytes));
        assert!(is_blank(7, Position(1032), &bytes[8..]));
        assert!(!is_blank(7, Position(1032), &bytes));
        assert!(!is_blank(8, Position(1024), &bytes));
        assert!(!is_blank(7, Position(1024), &[0; 8]));
        bytes[63] ^= 1;
        assert!(!is_blank(7, Position(1024), &bytes));
    }
}
