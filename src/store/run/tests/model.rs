//! Every way of reading a run gives what the oracle gives, at every kind of view, with every size of cache.
//!
//! Proves M-VISIBLE and P5-I7 for one run. Blocks are tiny, so that versions of a key cross blocks and partitions.

use super::*;

/// Compares all ways of reading with the oracle.
fn check(run: &Pin<Run>, rows: &[Row], random: &mut Random, what: &str) {
    assert_eq!(all(run).unwrap(), rows, "{what}: sequential");
    let last = run.id().last.0;
    for at in [0, 1, random.below(last + 1), random.below(last + 1), last, last + 1, CommitId::MAX.0] {
        let what = format!("{what}, at {at}");
        let seen = seen(rows, at);
        let mut keys: Vec<Vec<u8>> = rows.iter().map(|row| row.0.clone()).collect();
        keys.extend((0..50).map(|_| random.key()));
        for key in &keys {
            assert_eq!(get(run, key, at).unwrap(), seen.get(key).cloned(), "{what}: get {key:?}");
        }
        let forward: Vec<_> = seen.clone().into_iter().collect();
        let backward: Vec<_> = seen.clone().into_iter().rev().collect();
        let unbounded = Bound::Unbounded;
        assert_eq!(walk(run, at, Direction::Forward, unbounded, usize::MAX).unwrap(), forward, "{what}: forward");
        assert_eq!(walk(run, at, Direction::Backward, unbounded, usize::MAX).unwrap(), backward, "{what}: backward");
        for _ in 0..60 {
            let key = &keys[random.below(keys.len() as u64) as usize][..];
            for bound in [Bound::Included(key), Bound::Excluded(key)] {
                let expected = seen.range::<[u8], _>((bound, unbounded)).take(3);
                let expected: Vec<_> = expected.map(|(k, v)| (k.clone(), v.clone())).collect();
                assert_eq!(walk(run, at, Direction::Forward, bound, 3).unwrap(), expected, "{what}: from {bound:?}");
                let expected = seen.range::<[u8], _>((unbounded, bound)).rev().take(3);
                let expected: Vec<_> = expected.map(|(k, v)| (k.clone(), v.clone())).collect();
                assert_eq!(walk(run, at, Direction::Backward, bound, 3).unwrap(), expected, "{what}: until {bound:?}");
            }
        }
    }
}

#[test]
fn all_ways_of_reading_agree_with_the_oracle() {
    let mut partitions_max = 0;
    for seed in 0..24 {
        let mut random = Random(seed);
        let (keys, commits) = (1 + random.below(400), 1 + random.below(600));
        let rows = random.rows(keys, commits);
        let world = World::new();
        let info = world.write(&rows);
        for cache_bytes in [0, 20_000, CACHE_BYTES] {
            let run = world.open_with(info, cache_bytes).unwrap();
            assert_eq!(run.entries_count(), rows.len() as u64);
            run.verify(&mut |_| Ok(())).unwrap();
            check(&run, &rows, &mut random, &format!("seed {seed}, cache {cache_bytes}"));
            partitions_max = partitions_max.max(run.top().count());
        }
    }
    assert!(partitions_max > 2, "no run had several partitions");
}

#[test]
fn versions_of_one_key_that_fill_several_partitions_are_found_at_every_commit() {
    let mut rows = vec![(b"a".to_vec(), 1, None), (b"c".to_vec(), 2500, Some(b"end".to_vec()))];
    rows.extend((1..=5000).map(|commit| (b"b".to_vec(), commit, Some(commit.to_string().into_bytes()))));
    let rows = sorted(rows);
    let world = World::new();
    let info = world.write(&rows);
    let run = world.open(info).unwrap();
    assert!(run.top().count() > 3, "the versions fill only {} partitions", run.top().count());
    for at in 0..=5001 {
        let seen = seen(&rows[1..], at).remove(&b"b"[..]);
        assert_eq!(get(&run, b"b", at).unwrap(), seen, "at {at}");
    }
    for at in [0, 1, 2, 77, 2499, 2500, 4999, 5000, 9999] {
        let forward: Vec<_> = seen(&rows, at).into_iter().collect();
        let backward: Vec<_> = forward.iter().rev().cloned().collect();
        assert_eq!(walk(&run, at, Direction::Forward, Bound::Unbounded, 9).unwrap(), forward, "at {at}");
        assert_eq!(walk(&run, at, Direction::Backward, Bound::Unbounded, 9).unwrap(), backward, "at {at}");
        assert_eq!(walk(&run, at, Direction::Backward, Bound::Excluded(b"c"), 9).unwrap().first(), {
            forward.iter().rev().find(|(key, _)| key.as_slice() < b"c".as_slice())
        });
    }
}

#[test]
fn a_scan_past_many_hidden_versions_reads_only_a_few_blocks() {
    let mut rows = vec![(b"a".to_vec(), 1, None), (b"c".to_vec(), 1, None)];
    rows.extend((1..=20_000).map(|commit| (b"b".to_vec(), commit, Some(vec![0; 16]))));
    let world = World::new();
    let info = world.write(&sorted(rows));
    for (at, direction) in [(1, Direction::Forward), (20_000, Direction::Forward), (1, Direction::Backward)] {
        let cache = Arc::new(Cache::new(CACHE_BYTES));
        let disk = &*world.disk;
        let run = Pin::new(Run::open(disk, world.directory.path(), info, DATABASE, Arc::clone(&cache)).unwrap());
        assert_eq!(walk(&run, at, direction, Bound::Unbounded, 9).unwrap().len(), 3);
        assert!(cache.stats().misses < 20, "{:?} of {} blocks", cache.stats(), run.blocks_count());
    }
}

#[test]
fn large_keys_and_values_come_back_whole() {
    let (key_max, value_max) = (crate::limits::KEY_BYTES_MAX, crate::limits::VALUE_BYTES_MAX);
    let rows = sorted(vec![
        (vec![1; key_max], 1, Some(vec![2; value_max])),
        (vec![1; key_max], 2, Some(vec![3; 700_000])),
        (vec![1; key_max - 1], 3, None),
        (Vec::new(), 4, Some(Vec::new())),
        (vec![2; 10], 5, Some(vec![4; 600_000])),
    ]);
    let world = World::new();
    let info = world.write(&rows);
    let run = world.open(info).unwrap();
    run.verify(&mut |_| Ok(())).unwrap();
    assert!(all(&run).unwrap() == rows);
    for (key, commit, value) in &rows {
        assert!(get(&run, key, *commit).unwrap() == Some(value.clone()), "commit {commit}");
    }
    assert!(run.cache_stats().bytes <= CACHE_BYTES);
}

#[test]
fn keys_and_values_beyond_the_limits_are_refused() {
    let world = World::new();
    let id = RunId { level: 0, first: CommitId(1), last: CommitId(1) };
    let meta = RunMeta { database_id: DATABASE, id, floor: CommitId::NONE };
    let mut writer = RunWriter::create(&world.disk, world.directory.path(), meta, BLOCK_BYTES).unwrap();
    let key = vec![0; crate::limits::KEY_BYTES_MAX + 1];
    let error = writer.add(Entry { key: &key, commit: CommitId(1), value: None }).unwrap_err();
    assert_eq!(error.reason(), crate::reason::Reason::BatchKeyTooLong);
    let value = vec![0; crate::limits::VALUE_BYTES_MAX + 1];
    let error = writer.add(Entry { key: b"", commit: CommitId(1), value: Some(&value) }).unwrap_err();
    assert_eq!(error.reason(), crate::reason::Reason::BatchValueTooLong);
}

#[test]
fn a_run_without_entries_is_read_like_any_other() {
    let world = World::new();
    let info = world.write(&[]);
    assert_eq!(info.size, 8 + 256);
    let run = world.open(info).unwrap();
    run.verify(&mut |_| Ok(())).unwrap();
    assert_eq!((run.entries_count(), run.blocks_count()), (0, 0));
    check(&run, &[], &mut Random(0), "empty");
}

#[test]
fn a_cursor_shows_nothing_before_its_first_seek_and_stays_behind_the_end() {
    let world = World::new();
    let info = world.write(&[(b"k".to_vec(), 1, None)]);
    for direction in [Direction::Forward, Direction::Backward] {
        let mut cursor = RunCursor::new(world.open(info).unwrap(), CommitId(1), direction);
        assert_eq!(cursor.current(), None);
        cursor.advance().unwrap();
        assert_eq!(cursor.current(), None);
        cursor.seek(Bound::Unbounded).unwrap();
        assert_eq!(cursor.current(), Some((&b"k"[..], Sight::Tombstone)));
        for _ in 0..3 {
            cursor.advance().unwrap();
            assert_eq!(cursor.current(), None);
        }
    }
}

#[test]
fn a_second_read_comes_from_the_cache_and_merges_leave_it_alone() {
    let world = World::new();
    let rows = Random(1).rows(100, 50);
    let info = world.write(&rows);
    let cache = Arc::new(Cache::new(CACHE_BYTES));
    let run = Run::open(&*world.disk, world.directory.path(), info, DATABASE, Arc::clone(&cache)).unwrap();
    all(&run).unwrap();
    run.verify(&mut |_| Ok(())).unwrap();
    assert_eq!(run.cache_stats(), CacheStats { bytes_max: CACHE_BYTES, ..CacheStats::default() });
    get(&run, &rows[9].0, 50).unwrap();
    let first = run.cache_stats();
    assert_eq!((first.hits, first.misses), (0, 2));
    get(&run, &rows[9].0, 50).unwrap();
    let second = run.cache_stats();
    assert_eq!((second.hits, second.misses), (1, 2), "the run keeps its partition");
    let bytes = second.bytes;
    drop(run);
    assert!(cache.stats().bytes < bytes, "the partition went with its run");
}

/// FMT-RUN
#[test]
fn a_large_value_is_read_for_its_own_sake_alone() {
    let world = World::new();
    let mut rows: Vec<Row> = (0..30).map(|key| (format!("k{key:02}").into_bytes(), 1, Some(vec![b'v'; 20]))).collect();
    rows[15].2 = Some(vec![b'v'; 500_000]);
    let run = world.open(world.write(&rows)).unwrap();
    for (key, ..) in rows.iter().filter(|(key, ..)| key != b"k15") {
        get(&run, key, 1).unwrap().unwrap();
    }
    // A page that begins behind a key, also behind the large one.
    for (key, ..) in rows.iter().filter(|(key, ..)| key != b"k14") {
        RunCursor::new(Pin::clone(&run), CommitId(1), Direction::Forward).seek(Bound::Excluded(key)).unwrap();
    }
    assert!(run.cache_stats().bytes < 100_000, "{:?}", run.cache_stats());
}

#[test]
fn r_determinism_runs_of_equal_entries_are_equal_byte_for_byte() {
    let rows = Random(5).rows(300, 100);
    let (one, other) = (World::new(), World::new());
    let (info, other_info) = (one.write(&rows), other.write(&rows));
    assert_eq!(info, other_info);
    assert_eq!(one.bytes(info), other.bytes(info));
    assert_eq!(info.hash, xxhash_rust::xxh3::xxh3_128(&one.bytes(info)));
    assert_eq!(info.size, one.bytes(info).len() as u64);
    let names = one.disk.list(one.directory.path()).unwrap().unwrap();
    assert_eq!(names, [info.id.file_name()], "nothing is left aside");
}

#[test]
fn verify_tells_how_far_it_is_and_ends_at_the_size() {
    let world = World::new();
    let info = world.write(&Random(6).rows(300, 100));
    let mut told = Vec::new();
    world.open(info).unwrap().verify(&mut |bytes| {
            told.push(bytes);
            Ok(())
        }).unwrap();
    assert!(told.is_sorted() && told.len() > 2);
    assert_eq!(told.last(), Some(&info.size));
}

#[test]
fn a_file_name_is_read_back_and_nothing_else_is() {
    let id = RunId { level: 3, first: CommitId(17), last: CommitId(90) };
    assert_eq!(id.file_name(), "03-00000000000000000017-00000000000000000090.run");
    assert_eq!(RunId::parse(&id.file_name()), Some(id));
    for name in ["", ".run", "3-17-90.run", "03-00000000000000000017-00000000000000000090.run.tmp"] {
        assert_eq!(RunId::parse(name), None, "{name}");
    }
    assert_eq!(RunId::parse("03-00000000000000000017-00000000000000000090-1.run"), None);
    assert_eq!(RunId::parse("+3-00000000000000000017-00000000000000000090.run"), None);
    let younger = RunId { level: 0, first: CommitId(91), last: CommitId(91) };
    assert!(id < younger);
}
