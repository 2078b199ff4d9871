//! The Validator's core: pieces of every length, every flipped bit, every boundary.
//!
//! The log is made by the encoder of records alone; nothing here touches a disk.

use super::*;
use crate::batch::Batch;
use crate::commit_id::CommitId;
use crate::id::Id;
use crate::record::{Content, Kind, Purpose};

/// A log of three segments, and the positions where they end.
fn log() -> (Vec<u8>, LogPoint, Vec<LogPoint>, Vec<usize>) {
    let start = record::genesis(Id([7; 16]), 1);
    let (mut bytes, mut points, mut ends) = (Vec::new(), vec![start], Vec::new());
    for segment in 0..3u8 {
        for commit in 0..4usize {
            let mut batch = Batch::new();
            batch.put(&[segment, commit as u8], &vec![segment; commit * 90]).unwrap();
            let last = *points.last().unwrap();
            points.push(record::encode(&mut bytes, Kind::Commit, batch.encoded(), last));
        }
        let last = *points.last().unwrap();
        points.push(record::encode(&mut bytes, Kind::Cut, &Purpose::Checkpoint.payload(), last));
        let last = *points.last().unwrap();
        points.push(record::encode(&mut bytes, Kind::Seal, &[], last));
        ends.push(bytes.len());
    }
    (bytes, start, points, ends)
}

/// The chunks that the log comes in when it is cut here, and, always, where segments end.
fn chunks(bytes: &[u8], ends: &[usize], cuts: &[usize]) -> Vec<Chunk> {
    let mut borders: Vec<usize> = cuts.iter().chain(ends).copied().filter(|at| *at > 0 && *at <= bytes.len()).collect();
    borders.sort_unstable();
    borders.dedup();
    let mut from = 0;
    let cut = |to: usize| {
        let chunk =
            Chunk { from: Position(from as u64), bytes: bytes[from..to].to_vec(), ends_segment: ends.contains(&to) };
        from = to;
        chunk
    };
    borders.into_iter().map(cut).collect()
}

/// The points behind the records that come out, and the verdict.
fn proven(start: LogPoint, chunks: Vec<Chunk>) -> (Vec<LogPoint>, Result<()>) {
    let mut validator = Validator::new(start);
    let mut points = vec![start];
    for chunk in chunks {
        let mut out = Vec::new();
        let verdict = validator.prove(chunk, &mut out);
        for proven in out {
            assert_eq!(proven.before, *points.last().unwrap());
            for record in proven.records_from(proven.before) {
                assert_eq!(record.before, *points.last().unwrap());
                points.push(record.after);
            }
            assert_eq!(proven.after, *points.last().unwrap());
        }
        assert_eq!(validator.validated().get().point, *points.last().unwrap());
        if verdict.is_err() {
            assert_eq!(validator.observed().load().state, State::Failed);
            return (points, verdict);
        }
    }
    (points, Ok(()))
}

/// R-COMPLETE, P5-I5: the proof does not depend on the pieces in which the log comes.
#[test]
fn log_is_proven_in_pieces_of_every_length() {
    let (bytes, start, points, ends) = log();
    for len in 1..bytes.len() {
        let cuts: Vec<usize> = (0..bytes.len()).step_by(len).collect();
        assert_eq!(proven(start, chunks(&bytes, &ends, &cuts)), (points.clone(), Ok(())), "pieces of {len}");
    }
    for first in 1..bytes.len() {
        let cuts = [first, first + 40];
        assert_eq!(proven(start, chunks(&bytes, &ends, &cuts)), (points.clone(), Ok(())), "cut at {first}");
    }
}

/// F-V1, D-CORRUPT: every flipped bit is seen at the record that holds it; nothing of that record, or behind it, is handed on.
#[test]
fn every_flipped_bit_is_rejected_at_its_record() {
    let (bytes, start, points, ends) = log();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let (found, verdict) = proven(start, chunks(&flipped, &ends, &[bit / 8 + 1]));
        let rejected = verdict.unwrap_err();
        assert_eq!(rejected.reason(), Reason::SegmentRejected);
        let whole = points.iter().filter(|point| point.position.0 as usize <= bit / 8).count();
        assert_eq!(found, points[..whole], "bit {bit}");
        assert_eq!(rejected.fact("position"), Some(points[whole - 1].position.to_string().as_str()), "bit {bit}");
    }
}

/// F-V1: a segment ends where a `Seal` stands, and nowhere else; inside a record it can't.
#[test]
fn a_boundary_that_is_none_is_rejected_and_one_that_was_not_said() {
    let (bytes, start, points, ends) = log();
    let borders: Vec<usize> = points.iter().map(|point| point.position.0 as usize).collect();
    for claimed in 1..bytes.len() {
        if ends.contains(&claimed) {
            continue;
        }
        let (found, verdict) = proven(start, chunks(&bytes, &[claimed], &[]));
        assert_eq!(verdict.map_err(|error| error.reason()), Err(Reason::SegmentRejected), "claimed at {claimed}");
        // The record that the claim makes the last one does not count, nor does a `Seal` that stands before it.
        let limit = claimed.min(ends[0]);
        let before = borders.iter().rfind(|border| **border < limit);
        assert_eq!(found.last().unwrap().position.0 as usize, *before.unwrap(), "claimed at {claimed}");
    }
    let (found, verdict) = proven(start, chunks(&bytes, &[], &[ends[0], bytes.len()]));
    assert_eq!(verdict.unwrap_err().fact("found"), Some("a Seal"));
    assert_eq!(found.last().unwrap().position.0 as usize, ends[0] - record::SEAL_BYTES as usize);
}

/// R-PREFIX, F-V2: log of another place, or of another database, does not continue this one.
#[test]
fn log_from_elsewhere_is_rejected() {
    let (bytes, start, points, _) = log();
    let later = points[1].position.0 as usize;
    let chunk = |bytes: &[u8]| Chunk { from: start.position, bytes: bytes.to_vec(), ends_segment: false };
    let foreign = record::genesis(Id([8; 16]), 1);
    for (start, bytes) in [(start, &bytes[later..]), (foreign, &bytes[..])] {
        let (_, verdict) = proven(start, vec![chunk(bytes)]);
        assert_eq!(verdict.unwrap_err().fact("fault"), Some("history"));
    }
}

/// REPL-WINDOW: of a record that is not there to its end it says where that end is, once its header says so.
#[test]
fn what_a_long_record_lacks_is_known() {
    let (bytes, start, points, _) = log();
    let mut validator = Validator::new(start);
    let mut out = Vec::new();
    let shown = validator.validated();
    for (from, to, wanted) in [(0, HEADER_BYTES - 1, 0), (HEADER_BYTES - 1, HEADER_BYTES, points[1].position.0)] {
        let chunk = Chunk { from: Position(from as u64), bytes: bytes[from..to].to_vec(), ends_segment: false };
        validator.prove(chunk, &mut out).unwrap();
        assert_eq!(shown.get(), Validated { point: start, seen: Position(to as u64), wanted: Position(wanted) });
    }
    assert!(out.is_empty());
}

/// REPL-AFRESH: wherever a record was cut off, what was dropped leaves no trace in what is proven then, and what follows may be of another line.
#[test]
fn a_part_of_a_record_that_was_dropped_is_forgotten() {
    let (bytes, start, points, ends) = log();
    let mut out = Vec::new();
    for cut in 1..ends[0] {
        let proven = points.iter().rfind(|point| point.position.0 as usize <= cut).unwrap();
        let at = proven.position.0 as usize;
        let mut other = bytes[..cut].to_vec();
        other[at..].fill(0x5a);
        let mut validator = Validator::new(start);
        // Where enough of another record came that it can be judged, it does not get this far.
        if cut - at < HEADER_BYTES {
            validator.prove(Chunk { from: start.position, bytes: other, ends_segment: false }, &mut out).unwrap();
        } else {
            let same = bytes[..cut].to_vec();
            validator.prove(Chunk { from: start.position, bytes: same, ends_segment: false }, &mut out).unwrap();
        }
        validator.prove(Chunk::afresh(proven.position), &mut out).unwrap();
        let seen = validator.validated().get();
        assert_eq!(seen, Validated { point: *proven, seen: proven.position, wanted: proven.position }, "cut at {cut}");
        let rest = Chunk { from: proven.position, bytes: bytes[at..ends[0]].to_vec(), ends_segment: true };
        validator.prove(rest, &mut out).unwrap();
        assert_eq!(validator.validated().get().point.position.0 as usize, ends[0], "cut at {cut}");
    }
}

/// REPL-AFRESH: nothing that is proven is dropped.
#[test]
#[should_panic(expected = "chunks come in order")]
fn nothing_begins_again_before_the_proven_point() {
    let (bytes, start, ..) = log();
    let mut validator = Validator::new(start);
    validator.prove(Chunk { from: start.position, bytes, ends_segment: false }, &mut Vec::new()).unwrap_err();
    let _ = validator.prove(Chunk::afresh(start.position), &mut Vec::new());
}

/// What records say passes unchanged.
#[test]
fn the_records_that_are_handed_on_are_those_of_the_log() {
    let (bytes, start, _, ends) = log();
    let mut out = Vec::new();
    let mut validator = Validator::new(start);
    for chunk in chunks(&bytes, &ends, &[100, 500]) {
        validator.prove(chunk, &mut out).unwrap();
    }
    validator.close();
    let mut commits = 0;
    for proven in &out {
        for record in proven.records_from(proven.before) {
            if let Content::Commit(operations) = record.content {
                commits += 1;
                assert_eq!(record.after.commit, CommitId(commits));
                assert_eq!(operations.count(), 1);
            }
        }
    }
    assert_eq!(commits, 12);
}
