//! Damage: whatever was changed in a run's file, no read gives another answer than before; it gives that answer, or a refusal
//! with its name. `verify` always refuses.
//!
//! Proves D-CORRUPT for one run; `tests/bytes.rs` does the same for a whole database.

use super::*;
use crate::reason::Reason;

/// Everything that reading a run can tell.
struct Answers {
    rows: Vec<Row>,
    /// What some views see.
    seen: Vec<(u64, Seen)>,
}

fn is_named(error: &crate::error::Error) -> bool {
    let facts = |names: &[&str]| names.iter().all(|name| error.fact(name).is_some());
    let reason = error.reason();
    if reason == Reason::StoreBlockCorrupt {
        facts(&["file", "offset"]) && (facts(&["malformed"]) || facts(&["expected", "found"]))
    } else if reason == Reason::StoreRunCorrupt {
        facts(&["file", "malformed"])
    } else {
        [Reason::IdentityOtherDatabase, Reason::IdentityVersion].contains(&reason) && facts(&["file"])
    }
}

fn same_or_named<T: PartialEq + std::fmt::Debug>(found: Result<T>, expected: &T, what: &str) {
    match found {
        Ok(found) => assert!(found == *expected, "{what}: another answer: {found:?} for {expected:?}"),
        Err(error) => assert!(is_named(&error), "{what}: {error}"),
    }
}

impl Answers {
    fn of(rows: Vec<Row>, last: CommitId) -> Answers {
        let seen = [1, last.0 / 2, last.0].map(|at| (at, seen(&rows, at))).to_vec();
        Answers { rows, seen }
    }

    fn check(&self, world: &World, info: RunInfo, what: &str) {
        let run = match world.open(info) {
            Ok(run) => run,
            Err(error) => {
                assert!(is_named(&error), "{what}: {error}");
                return;
            }
        };
        let error = run.verify(&mut |_| Ok(())).expect_err("verify accepts a damaged run");
        assert!(is_named(&error), "{what}: {error}");
        same_or_named(all(&run), &self.rows, what);
        for (at, seen) in &self.seen {
            let at = *at;
            for (key, _, _) in &self.rows {
                same_or_named(get(&run, key, at), &seen.get(key).cloned(), what);
            }
            same_or_named(get(&run, b"absent", at), &None, what);
            let forward: Vec<_> = seen.clone().into_iter().collect();
            same_or_named(walk(&run, at, Direction::Forward, Bound::Unbounded, usize::MAX), &forward, what);
            let backward: Vec<_> = forward.into_iter().rev().collect();
            same_or_named(walk(&run, at, Direction::Backward, Bound::Unbounded, usize::MAX), &backward, what);
        }
    }
}

fn small(world: &World) -> (RunInfo, Answers) {
    let mut random = Random(11);
    let mut rows = Vec::new();
    for key in 0..8u8 {
        for _ in 0..3 {
            let value = (random.below(4) > 0).then(|| random.bytes(key.into()));
            rows.push((vec![b'k', key], 1 + random.below(20), value));
        }
    }
    let rows = sorted(rows);
    let info = world.write(&rows);
    (info, Answers::of(rows, info.id.last))
}

#[test]
fn every_flipped_bit_is_refused_or_changes_no_answer() {
    let world = World::new();
    let (info, answers) = small(&world);
    let bytes = world.bytes(info);
    let file = world.disk.open(&world.path(info), crate::disk::Access::Write).unwrap().unwrap();
    for bit in 0..bytes.len() * 8 {
        let at = bit / 8;
        file.write_at(at as u64, &[bytes[at] ^ (1 << (bit % 8))]).unwrap();
        answers.check(&world, info, &format!("bit {bit}"));
        file.write_at(at as u64, &bytes[at..=at]).unwrap();
    }
}

#[test]
fn flipped_bits_of_a_run_with_several_partitions_are_refused_or_change_no_answer() {
    let world = World::new();
    let rows = Random(12).rows(250, 60);
    let info = world.write(&rows);
    let bytes = world.bytes(info);
    let partitions = world.open(info).unwrap().top().count();
    assert!(partitions > 1, "only {partitions} partition");
    let answers = Answers::of(rows, info.id.last);
    for byte in (0..bytes.len()).step_by(211) {
        let mut flipped = bytes.clone();
        flipped[byte] ^= 1 << (byte % 8);
        world.overwrite(info, &flipped);
        answers.check(&world, info, &format!("byte {byte}"));
    }
}

#[test]
fn every_truncation_is_refused_even_when_the_size_agrees() {
    let world = World::new();
    let (info, answers) = small(&world);
    let bytes = world.bytes(info);
    for len in 0..bytes.len() {
        world.overwrite(info, &bytes[..len]);
        assert_eq!(world.open(info).err().unwrap().reason(), Reason::StoreRunCorrupt, "length {len}");
        answers.check(&world, RunInfo { size: len as u64, ..info }, &format!("length {len}, size adapted"));
    }
    for len in 1..9 {
        let longer = [&bytes[..], &vec![0; len]].concat();
        world.overwrite(info, &longer);
        assert_eq!(world.open(info).err().unwrap().reason(), Reason::StoreRunCorrupt, "{len} longer");
        answers.check(&world, RunInfo { size: longer.len() as u64, ..info }, &format!("{len} longer, size adapted"));
    }
}

#[test]
fn a_file_that_is_cut_or_changed_after_it_was_opened_is_refused() {
    let world = World::new();
    let (info, answers) = small(&world);
    let bytes = world.bytes(info);
    for len in 0..bytes.len() {
        world.overwrite(info, &bytes);
        let run = world.open(info).unwrap();
        world.overwrite(info, &bytes[..len]);
        let error = run.verify(&mut |_| Ok(())).unwrap_err();
        assert!(is_named(&error), "length {len}: {error}");
        same_or_named(all(&run), &answers.rows, "cut");
        same_or_named(get(&run, b"absent", 5), &None, "cut");
    }
    world.overwrite(info, &bytes);
    let run = world.open(info).unwrap();
    world.overwrite(info, &[&bytes[..], &[0; 100_000]].concat());
    assert_eq!(run.verify(&mut |_| Ok(())).unwrap_err().reason(), Reason::StoreRunCorrupt);
}

#[test]
fn a_run_that_is_not_the_one_of_the_manifest_is_refused_by_name() {
    let world = World::new();
    let (info, _) = small(&world);
    let reason = |info: RunInfo, database: Id| {
        let cache = Arc::new(Cache::new(0));
        Run::open(&*world.disk, world.directory.path(), info, database, cache).err().map(|error| error.reason())
    };
    assert_eq!(reason(info, DATABASE), None);
    assert_eq!(reason(info, Id([8; 16])), Some(Reason::IdentityOtherDatabase));
    assert_eq!(reason(RunInfo { size: info.size + 1, ..info }, DATABASE), Some(Reason::StoreRunCorrupt));
    let other = RunId { level: 4, ..info.id };
    assert_eq!(reason(RunInfo { id: other, ..info }, DATABASE), Some(Reason::StoreRunMissing));
    let bytes = world.bytes(info);
    world.overwrite(RunInfo { id: other, ..info }, &bytes);
    assert_eq!(reason(RunInfo { id: other, ..info }, DATABASE), Some(Reason::StoreRunCorrupt));
    let wrong = world.open(RunInfo { hash: info.hash ^ 1, ..info }).unwrap();
    let error = wrong.verify(&mut |_| Ok(())).unwrap_err();
    assert_eq!((error.reason(), error.fact("malformed")), (Reason::StoreRunCorrupt, Some("hash")));
    let mut newer = bytes.clone();
    let footer = newer.len() - FOOTER_BYTES;
    newer[footer + 8] = 2;
    let crc = crc32c::crc32c(&newer[footer..footer + 252]);
    newer[footer + 252..].copy_from_slice(&crc.to_le_bytes());
    world.overwrite(info, &newer);
    assert_eq!(reason(info, DATABASE), Some(Reason::IdentityVersion));
}

#[test]
fn after_an_error_a_sequential_reader_shows_nothing_more() {
    let world = World::new();
    let rows = Random(12).rows(250, 60);
    let info = world.write(&rows);
    let mut bytes = world.bytes(info);
    let run = world.open(info).unwrap();
    let place = run.partition_place(0).unwrap();
    bytes[place.offset as usize - 10] ^= 1;
    world.overwrite(info, &bytes);
    let mut sequential = Sequential::new(Pin::clone(&run));
    let error = loop {
        match sequential.next() {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the damaged block was passed over"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.reason(), Reason::StoreBlockCorrupt);
    assert_eq!(error.fact("expected").map(str::len), Some(8), "{error}");
    assert_eq!(sequential.current(), None);
    assert_eq!(sequential.next().unwrap(), None);
}
