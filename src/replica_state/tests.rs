//! One generation as bytes, and what is left of one (FMT-REPLICA).
//!
//! Every bit turned, every set of sectors that a crash leaves, every field that can't be. Two files together, crashes and failing calls
//! are in `tests/replica_state.rs`.

use super::*;
use crate::codec::{Put, SECTOR_BYTES};
use crate::commit_id::CommitId;
use crate::position::History;

fn at(position: u64) -> LogPoint {
    LogPoint { position: Position(position), history: History(position ^ 5), commit: CommitId(position / 8) }
}

fn generation(number: u64) -> Generation {
    let halt = Halt { reason: Reason::SegmentRejected, position: Position(88), evidence: "fault=payload".to_owned() };
    let state = ReplicaState {
        database_id: Id([1; 16]),
        node_id: Id([2; 16]),
        primary: Some(Id([3; 16])),
        applied: at(number * 8),
        origin: Origin::Backup(at(64)),
        install: None,
        halt: Some(halt),
    };
    Generation { number, before: number - 1, state }
}

fn sector(bytes: &[u8], index: usize) -> &[u8] {
    &bytes[index * SECTOR_BYTES..(index + 1) * SECTOR_BYTES]
}

/// The generation with other bytes at an offset of a sector, and a checksum that holds.
fn patched(number: u64, index: usize, offset: usize, patch: &[u8]) -> Vec<u8> {
    let mut bytes = generation(number).encode();
    let start = index * SECTOR_BYTES;
    bytes[start + offset..start + offset + patch.len()].copy_from_slice(patch);
    let crc = crc32c::crc32c(&bytes[start..start + SECTOR_BYTES - 4]);
    bytes[start + SECTOR_BYTES - 4..start + SECTOR_BYTES].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// FMT-REPLICA
#[test]
fn a_generation_survives_encoding_whatever_it_says() {
    let long = Halt { evidence: "ü".repeat(limits::HALT_EVIDENCE_BYTES_MAX / 2), ..generation(7).state.halt.unwrap() };
    let (snapshot, primary) = (Origin::Snapshot(at(64)), Some(Id([3; 16])));
    let began = [
        (Origin::Log, None, None),
        (Origin::Nothing, None, None),
        (Origin::Backup(at(64)), None, primary),
        (snapshot, None, primary),
        (snapshot, Some(Install::Clearing), None),
        (snapshot, Some(Install::Moving), primary),
    ];
    for (origin, install, primary) in began {
        for halt in [None, generation(7).state.halt, Some(long.clone())] {
            let state = ReplicaState { origin, install, primary, halt, ..generation(7).state };
            let generation = Generation { state, ..generation(7) };
            let bytes = generation.encode();
            assert_eq!(bytes.len(), GENERATION_BYTES);
            assert_eq!(Copy::read(&bytes), Ok(Copy::Whole(generation)));
        }
    }
}

/// FMT-REPLICA: each flipped bit is in one sector, and the others still say whose they were.
#[test]
fn every_flipped_bit_damages_a_generation_and_leaves_its_number() {
    let bytes = generation(7).encode();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(Copy::read(&flipped), Ok(Copy::Damaged(Some(7))), "bit {bit}");
    }
    for len in [0, 1, SECTOR_BYTES, bytes.len() - 1, bytes.len() + 1] {
        let mut other = bytes.clone();
        other.resize(len, 0);
        assert_eq!(Copy::read(&other), Ok(Copy::Damaged(None)), "{len} bytes");
    }
}

/// FMT-REPLICA, A-SECTOR: each set of sectors that a crash can leave of a write is seen to be one.
#[test]
fn whatever_a_crash_leaves_of_a_write_is_told_from_rot() {
    let (old, new) = (generation(5).encode(), generation(7).encode());
    for written in 1..255u8 {
        let mut mixed = Vec::new();
        for index in 0..8 {
            mixed.extend_from_slice(sector(if written >> index & 1 == 1 { &new } else { &old }, index));
        }
        assert_eq!(Copy::read(&mixed), Ok(Copy::Torn(7)), "{written:08b}");
    }
}

/// FMT-REPLICA
#[test]
fn a_sector_in_another_place_or_of_another_version_does_not_count() {
    let bytes = generation(7).encode();
    let swapped = [sector(&bytes, 1), sector(&bytes, 0), &bytes[2 * SECTOR_BYTES..]].concat();
    assert_eq!(Copy::read(&swapped), Ok(Copy::Damaged(Some(7))));
    for number in [0, u64::MAX] {
        assert_eq!(Copy::read(&patched(7, 3, 16, &number.to_le_bytes())), Ok(Copy::Damaged(Some(7))), "{number}");
    }
    let version = Copy::read(&patched(7, 3, 8, &[2])).unwrap_err();
    assert_eq!(version.reason(), Reason::IdentityVersion);
}

/// FMT-REPLICA, D-CORRUPT: every checksum of these holds; what they say can't be.
#[test]
fn a_field_that_holds_what_it_can_not_is_refused() {
    let long = u16::try_from(limits::HALT_EVIDENCE_BYTES_MAX + 1).unwrap().to_le_bytes();
    let beyond = (CommitId::MAX.0 + 1).to_le_bytes();
    let cases: [(&str, usize, &[u8]); 14] = [
        ("a generation before it that is later", 0, &7u64.to_le_bytes()),
        ("an applied commit that can't be", 72, &beyond),
        ("an origin that is not known", 80, &[0]),
        ("another origin that is not known", 80, &[5]),
        ("an origin that has no point, with one", 80, &[1]),
        ("nothing, with a point", 80, &[4]),
        ("an install of a backup", 81, &[1]),
        ("an install that is not known", 80, &[2, 3]),
        ("reserved bytes behind the origin", 87, &[1]),
        ("no halt, with a position and evidence", 112, &[0, 0]),
        ("evidence that is shorter than what is there", 114, &[5, 0]),
        ("evidence that is too long", 114, &long),
        ("reserved bytes of a halt", 116, &[1]),
        ("evidence that is not UTF-8", 128, &[0xff]),
    ];
    for (what, offset, patch) in cases {
        let error = Copy::read(&patched(7, 0, 24 + offset, patch)).expect_err(what);
        assert_eq!(error.reason(), Reason::ReplicaStateCorrupt, "{what}");
    }
    let error = Copy::read(&patched(7, 7, SECTOR_BYTES - 5, &[1])).unwrap_err();
    assert_eq!(error.reason(), Reason::ReplicaStateCorrupt, "a byte behind the evidence");
    let unknown = Copy::read(&patched(7, 0, 24 + 112, &[250, 0])).unwrap_err();
    assert_eq!(unknown.reason(), Reason::IdentityVersion, "a reason of a later program");
    assert_eq!(unknown.fact("halt_reason"), Some("250"));
    let mut reason = Vec::new();
    reason.put_u16(u16::from(Reason::HistoryDiverged.number()));
    let Ok(Copy::Whole(other)) = Copy::read(&patched(7, 0, 24 + 112, &reason)) else { panic!("it verifies") };
    assert_eq!(other.state.halt.map(|halt| halt.reason), Some(Reason::HistoryDiverged));
}

/// The name of a halt is typed by hand, and may be anything.
#[test]
fn a_halt_is_shown_and_read_by_its_name() {
    let halt = generation(7).state.halt.unwrap();
    assert_eq!(halt.to_string(), "segment.rejected@88");
    assert_eq!(Halt::parse("segment.rejected@88"), Ok((Reason::SegmentRejected, Position(88))));
    let last = format!("{}@{}", Reason::HistoryAhead, u64::MAX);
    assert_eq!(Halt::parse(&last), Ok((Reason::HistoryAhead, Position(u64::MAX))));
    let hostile = [
        "",
        "@",
        "segment.rejected",
        "segment.rejected@",
        "@88",
        "segment.rejected@-1",
        "segment.rejected@+1",
        "segment.rejected@ 1",
        "segment.rejected@1 ",
        "segment.rejected@1@2",
        "segment.rejected@18446744073709551616",
        "SEGMENT.REJECTED@88",
        "segment_rejected@88",
        "no.such@88",
        "\x1b[2J@88",
        &"x".repeat(100_000),
    ];
    for text in hostile {
        let error = Halt::parse(text).expect_err(text);
        assert_eq!(error.reason(), Reason::CliInput, "{text}");
        let shown = error.to_string();
        assert!(shown.len() < 600 && !shown.contains('\x1b'), "{shown}");
        assert!(error.fact("expected").is_some());
    }
}

/// REPL-STATE
#[test]
fn a_log_that_does_not_hold_what_was_applied_is_refused() {
    let state = generation(7).state;
    let applied = state.applied;
    assert_eq!(state.check_log(applied), Ok(()));
    assert_eq!(state.check_log(at(applied.position.0 + 8)), Ok(()));
    for end in [at(applied.position.0 - 8), LogPoint { history: History(1), ..applied }] {
        assert_eq!(state.check_log(end), Err(Error::new(Reason::ReplicaLogLost)), "{end}");
    }
}

/// SNAP-ORDER: an older build kept one halt of an order that it carried out, which is what the order had named.
#[test]
fn an_order_that_an_older_build_carried_out_is_known() {
    let halt = |evidence: &str| Halt { evidence: evidence.to_owned(), ..generation(7).state.halt.unwrap() };
    let (first, named) = ((Reason::HistoryRetired, Position(80)), (Reason::SegmentRejected, Position(88)));
    let told = [
        ("instead_of=segment.rejected@88 fault=payload", named),
        ("instead_of=history.retired@80 ordered=segment.rejected@88 fault=payload", first),
    ];
    for (evidence, instead_of) in told {
        let halt = halt(evidence);
        assert_eq!(halt.order(), Some((CarriedOut { instead_of, named }, "fault=payload")));
        assert_eq!(halt.of_the_data(), instead_of);
    }
    assert_eq!(halt("fault=payload").order(), None);
}
