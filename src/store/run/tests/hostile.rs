//! Bytes that were made to deceive: their checksums hold. They may be refused or read, but never end in a panic, a loop or
//! memory without bound, and `verify` knows them by the hash.
//!
//! The changes are seeded; a failure prints its seed.

use super::*;
use crate::store::run::block::{BlockBuilder, BlockView, DataBlock, Expected};
use crate::store::run::index::{Index, IndexBuilder, Place};

/// Where checksums stand in a sound file, so that they can be made to agree with changed bytes: (covered range, where).
fn seals(run: &Run, size: usize) -> Vec<(std::ops::Range<usize>, usize)> {
    let covered = |place: Place| place.offset as usize..place.end() as usize;
    let crc_fields = |index: &Index, at: usize| {
        let mut field = at + index.filter().len() + 12;
        let mut seals = Vec::new();
        for number in 0..index.count() {
            let entry = index.entry(number).unwrap();
            seals.push((covered(entry.place), field));
            field += 26 + entry.last.key.len();
        }
        seals
    };
    let mut seals = Vec::new();
    for number in 0..run.top().count() {
        let partition = run.read_partition(number).unwrap();
        seals.extend(crc_fields(&partition, run.partition_place(number).unwrap().offset as usize));
    }
    seals.extend(crc_fields(run.top(), run.top_place().offset as usize));
    let footer = size - FOOTER_BYTES;
    seals.push((covered(run.top_place()), footer + 84));
    seals.push((footer..size - 4, size - 4));
    seals
}

#[test]
fn changed_bytes_under_good_checksums_never_panic_and_verify_knows_them() {
    let world = World::new();
    let mut random = Random(21);
    let rows = random.rows(80, 40);
    let info = world.write(&rows);
    let bytes = world.bytes(info);
    let run = world.open(info).unwrap();
    let seals = seals(&run, bytes.len());
    // Most changes go to what structure hangs on, which is a small part of the file.
    let structure = run.partition_place(run.top().count() - 1).unwrap().offset as usize;
    for round in 0..2000 {
        let mut changed = bytes.clone();
        for _ in 0..1 + random.below(2) {
            let from = if random.below(3) == 0 { 0 } else { structure };
            let at = from + random.below((bytes.len() - from) as u64) as usize;
            changed[at] = [0, 1, 0x7f, 0x80, 0xff, random.next() as u8][random.below(6) as usize];
        }
        for (covered, field) in &seals {
            let crc = crc32c::crc32c(&changed[covered.clone()]);
            changed[*field..field + 4].copy_from_slice(&crc.to_le_bytes());
        }
        if changed == bytes {
            continue;
        }
        world.overwrite(info, &changed);
        let Ok(run) = world.open(info) else { continue };
        assert!(run.verify(&mut |_| Ok(())).is_err(), "round {round}: verify accepts changed bytes");
        let sequential = all(&run);
        if let Ok(rows) = &sequential {
            assert!(rows.windows(2).all(|pair| (&pair[0].0, !pair[0].1) < (&pair[1].0, !pair[1].1)), "round {round}");
        }
        for at in [1, 20, 40] {
            let forward = walk(&run, at, Direction::Forward, Bound::Unbounded, usize::MAX);
            let backward = walk(&run, at, Direction::Backward, Bound::Unbounded, usize::MAX);
            if let (Ok(rows), Ok(forward), Ok(mut backward)) = (&sequential, forward, backward) {
                backward.reverse();
                assert_eq!(forward, backward, "round {round}");
                assert!(forward.iter().cloned().eq(seen(rows, at)), "round {round}");
            }
            for (key, _, _) in rows.iter().step_by(7) {
                let _answer_or_refusal = get(&run, key, at);
            }
        }
    }
}

#[test]
fn random_bytes_are_never_taken_for_a_block_or_an_index_and_never_panic() {
    let mut random = Random(22);
    let until = VersionKey::at(b"k", CommitId(1));
    let expected = Expected { first: CommitId(1), last: CommitId(9), after: None, until };
    for round in 0..40_000 {
        let len = random.below(120) as usize;
        let mut bytes = random.bytes(len);
        // A count and a filter length that could be true lead further into the parser.
        if len >= 8 {
            bytes[len - 8..].fill(0);
            bytes[len - 4] = random.below(5) as u8;
            bytes[len - 8] = if random.below(2) == 0 { 0 } else { 64 };
        }
        if let Ok(view) = BlockView::parse(&bytes, &expected) {
            assert_eq!(view.entry(view.count() - 1).map(|entry| entry.key), Some(&b"k"[..]), "round {round}");
        }
        assert!(Index::parse_partition(bytes.clone(), 0, 100, None, until).is_err(), "round {round}");
        if let Ok(index) = Index::parse_top(bytes, 100) {
            let last = index.entry(index.count() - 1).unwrap();
            assert_eq!(last.place.end(), 100, "round {round}");
        }
    }
}

#[test]
fn changed_blocks_that_are_accepted_are_ordered_and_searchable() {
    let mut random = Random(23);
    let mut builder = BlockBuilder::default();
    let rows = sorted((0..30).map(|_| (random.key(), 1 + random.below(9), Some(random.bytes(3)))).collect());
    for (key, commit, value) in &rows {
        builder.add(&Entry { key, commit: CommitId(*commit), value: value.as_deref() });
    }
    let block = builder.finish().to_vec();
    let (key, commit, _) = rows.last().unwrap();
    let until = VersionKey::at(key, CommitId(*commit));
    let expected = Expected { first: CommitId(1), last: CommitId(9), after: None, until };
    let mut accepted = 0;
    for round in 0..30_000 {
        let mut changed = block.clone();
        let at = random.below(block.len() as u64) as usize;
        changed[at] = random.next() as u8;
        let Ok(block) = DataBlock::parse(&changed, &expected) else { continue };
        let view = block.view();
        accepted += 1;
        for index in 0..view.count() {
            let version = view.entry(index).unwrap().version_key();
            assert_eq!(block.search(version), index, "round {round}");
            assert_eq!(view.search_after(0, version), index, "round {round}");
            assert_eq!(view.search_before(view.count(), version), index, "round {round}");
        }
    }
    assert!(accepted > 0, "changed values are accepted by the parser");
}

#[test]
fn lengths_and_places_beyond_their_limits_are_refused_before_memory_is_taken() {
    let last = VersionKey::at(b"k", CommitId(1));
    let index = |places: &[Place], filter: &[u8]| {
        let mut builder = IndexBuilder::default();
        let keys: Vec<Vec<u8>> = (0..places.len() - 1).map(|n| vec![b'a', n as u8]).collect();
        for (place, key) in places.iter().zip(keys.iter().map(Vec::as_slice).chain([last.key])) {
            builder.add(*place, VersionKey::at(key, CommitId(1)));
        }
        builder.finish(filter)
    };
    let place = |offset, len| Place { offset, len, crc: 0 };
    let partition = |places: &[Place]| Index::parse_partition(index(places, &[0; 64]), 0, 100, None, last).is_ok();
    assert!(partition(&[place(0, 60), place(60, 40)]));
    assert!(!partition(&[place(0, 60), place(61, 39)]), "a gap");
    assert!(!partition(&[place(0, 60), place(59, 41)]), "an overlap");
    assert!(!partition(&[place(1, 99)]), "not from the start");
    assert!(!partition(&[place(0, 101)]), "beyond the partition");
    assert!(!partition(&[place(0, 100), place(100, 0)]), "an empty block");
    assert!(!partition(&[place(0, u32::MAX as usize)]), "longer than any block");
    let many: Vec<Place> = (0..100).map(|n| place(n, 1)).collect();
    assert!(!partition(&many), "more blocks than a partition has");
    for filter in [0, 32, 65] {
        let bytes = index(&[place(0, 100)], &vec![0; filter]);
        assert!(Index::parse_partition(bytes, 0, 100, None, last).is_err(), "a filter of {filter} bytes");
    }
    let foreign = VersionKey::at(b"k", CommitId(2));
    let bytes = index(&[place(0, 100)], &[0; 64]);
    assert!(Index::parse_partition(bytes.clone(), 0, 100, None, foreign).is_err(), "not the last of the top index");
    assert!(Index::parse_partition(bytes, 0, 100, Some(last), last).is_err(), "not behind the partition before");
    let top = |places: &[Place]| Index::parse_top(index(places, &[]), 100).is_ok();
    assert!(top(&[place(10, 20), place(50, 50)]));
    assert!(!top(&[place(0, 20), place(50, 50)]), "no room for data blocks");
    assert!(!top(&[place(10, 20), place(30, 70)]), "no room for data blocks");
    assert!(!top(&[place(10, 20), place(50, 51)]), "beyond the end");
    assert!(!top(&[place(u64::MAX - 3, 20)]), "beyond any end");
}
