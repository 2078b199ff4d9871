//! The torn-tail rule (D-TAIL): telling a write that a crash cut short from corruption, by evidence.
//!
//! The question arises at one place only: in the newest segment, at the first position at or after the mark where no record
//! proves itself. What stood there was written as part of the last group, or not at all, because a group is written only after
//! the fsync of the one before.
//!
//! The evidence: a word of eight bytes that still holds its blank (FMT-BLANK) was never written, so the fsync of the group had not
//! returned, so nothing of the group was acknowledged: the tail is **torn**, and dropped. If no word of the record that should
//! stand there is blank, all of it was written, and it may have been acknowledged; as it does not prove itself, it is **corrupt**, and
//! the log refuses to open. The record's extent is that of its header until the header's own checksum holds, and that of the
//! whole record from then on: a flipped length can't stretch it into blank space.
//!
//! It does not matter where a crash cuts: at sectors, at pages, or, after a short write, at any word. Only a word of eight bytes is
//! taken to be whole. A value can't be mistaken for blank, however many zeros it holds: the seed is the node's own.
//!
//! Pure. Assumes that recovery blanks what it dropped before anything new is written (`open.rs`).

use super::blank::{has_blank_word, is_blank};
use crate::position::Position;
use crate::record::{Fault, HEADER_BYTES, Header};

/// What stands at the end of the proven log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tail {
    /// Space that was never written begins here, or the allocated space ends.
    End,
    /// Part of a group whose fsync never returned.
    Torn,
    /// Something that may have been acknowledged and does not prove itself.
    Corrupt(Fault),
}

/// Judges the bytes from `at`, the end of the proven log, to the end of the allocated space.
pub(super) fn judge(seed: u64, at: Position, bytes: &[u8], fault: Fault) -> Tail {
    if bytes.is_empty() {
        return Tail::End;
    }
    let header = bytes.get(..HEADER_BYTES.min(bytes.len())).unwrap_or_default();
    if has_blank_word(seed, at, header) {
        return if is_blank(seed, at, bytes) { Tail::End } else { Tail::Torn };
    }
    match Header::decode(bytes) {
        Ok(header) => match bytes.get(..header.record_len()) {
            Some(record) if has_blank_word(seed, at, record) => Tail::Torn,
            _ => Tail::Corrupt(fault),
        },
        Err(header_fault) => Tail::Corrupt(header_fault),
    }
}

#[cfg(test)]
mod tests {
    use super::super::blank;
    use super::*;
    use crate::disk::SECTOR;
    use crate::identity::Id;
    use crate::record::{self, Kind};

    const SEED: u64 = 77;
    const SPACE: usize = 4096;

    /// Space at `at` that holds a record with a payload of this length, and the record's length.
    fn written(at: u64, payload: usize) -> (Vec<u8>, usize) {
        let mut space = vec![0; SPACE - at as usize];
        blank::fill(SEED, Position(at), &mut space);
        let mut record = Vec::new();
        let _ = record::encode(&mut record, Kind::Commit, &vec![0; payload], record::genesis(Id([1; 16]), 1));
        space[..record.len()].copy_from_slice(&record);
        (space, record.len())
    }

    fn judged(at: u64, space: &[u8]) -> Tail {
        judge(SEED, Position(at), space, Fault::PayloadChecksum)
    }

    /// D-TAIL: every subset of lost sectors is torn; a value full of zeros does not count as lost.
    #[test]
    fn every_loss_of_sectors_is_torn_wherever_the_record_begins() {
        for at in (0..600).step_by(8) {
            for payload in [0, 40, 480, 512, 1500] {
                let (space, len) = written(at, payload);
                assert!(matches!(judged(at, &space), Tail::Corrupt(_)), "all sectors are there");
                let first_sector = at / SECTOR;
                let sectors = (at + len as u64 - 1) / SECTOR - first_sector + 1;
                for lost in 1..(1u32 << sectors) {
                    let mut torn = space.clone();
                    for sector in (0..sectors).filter(|sector| lost & (1 << sector) != 0) {
                        let from = ((first_sector + sector) * SECTOR).max(at) - at;
                        let to = (first_sector + sector + 1) * SECTOR - at;
                        blank::fill(SEED, Position(at + from), &mut torn[from as usize..to as usize]);
                    }
                    let all = lost + 1 == 1u32 << sectors;
                    assert_eq!(judged(at, &torn), if all { Tail::End } else { Tail::Torn }, "at {at}, lost {lost:b}");
                }
            }
        }
    }

    /// D-TAIL: a short write is torn at whatever word it stops.
    #[test]
    fn a_write_that_stopped_anywhere_is_torn() {
        for at in [0, 8, 500 & !7] {
            let (space, len) = written(at, 100);
            for stop in (0..len).step_by(8) {
                let mut torn = space.clone();
                let mut blank = vec![0; torn.len()];
                blank::fill(SEED, Position(at), &mut blank);
                torn[stop..].copy_from_slice(&blank[stop..]);
                assert_eq!(judged(at, &torn), if stop == 0 { Tail::End } else { Tail::Torn }, "at {at}, stop {stop}");
            }
        }
    }

    /// D-TAIL, D-CORRUPT: no flipped bit of a whole record is taken for a tear, the length's bits included.
    #[test]
    fn no_flipped_bit_is_taken_for_a_tear() {
        for at in [0, 496] {
            let (space, len) = written(at, 700);
            for bit in 0..len * 8 {
                let mut flipped = space.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert!(matches!(judged(at, &flipped), Tail::Corrupt(_)), "at {at}, bit {bit}");
            }
        }
    }
}
