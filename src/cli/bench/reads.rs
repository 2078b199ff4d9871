//! Reads of a warm node that holds everything in its cache: points and ranges, now and in the past, alone and beside a writer.
//!
//! The baseline of points and ranges is a `BTreeMap` of the same rows in the memory of the same process, without a lock, without
//! versions, without a disk behind it: what an index by comparison costs at the least.

use super::Bench;
use super::work;
use aerodb::clock::Stopwatch;
use aerodb::gate;
use aerodb::sync::Arc;
use aerodb::sync::atomic::{AtomicBool, Ordering};
use aerodb::{CommitId, Database, Direction, Node, Range, Result, Wish, limits};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::ops::Bound;

const KEYS: u64 = 1_000_000;
const VALUE_BYTES: usize = 100;
const CACHE_BYTES: u64 = 1 << 30;
const GETS: u64 = 1_000_000;
const SCANS: u64 = 10_000;
const SCAN_ROWS: usize = 100;

type Lookup = Arc<dyn Fn(&[u8]) -> Result<bool> + Send + Sync>;

pub(super) fn run(bench: &mut Bench) -> Result<()> {
    let keys = bench.count(KEYS);
    let (dir, meter) = work::new_dir(&bench.scratch, "reads")?;
    let mut node = Node::open(&work::options(&dir, &meter, CACHE_BYTES))?;
    work::load(&mut node, &(0..keys).collect::<Vec<u64>>(), 10, VALUE_BYTES)?;
    let old = node.durable().commit;
    let again: Vec<u64> = (0..keys / 2).map(|number| work::mix(number) % keys).collect();
    work::load(&mut node, &again, 10, VALUE_BYTES)?;
    node.maintain()?;
    node.close()?;

    let mut cold = Vec::new();
    let lookups = bench.count(GETS) / 10;
    for _ in 0..bench.rounds {
        let db = work::open(&dir, &meter, CACHE_BYTES)?;
        cold.push(points(1, lookups, keys, &newest(&db))?);
    }
    let db = work::open(&dir, &meter, CACHE_BYTES)?;
    let runs = db.status().runs;
    let (runs, bytes) = (runs.len(), runs.iter().map(|run| run.size).sum::<u64>());
    bench.report.figure("runs", "", &[runs as f64]);
    bench.report.figure("bytes in runs", "MB", &[bytes as f64 / 1e6]);
    bench.report.figure("first points after opening, 1 thread", "gets/s", &cold);
    let whole = |direction| Range { direction, ..Range::all(limits::RANGE_ROWS_MAX) };
    full_scan(&db, None, &whole(Direction::Forward))?;

    let map = Arc::new((0..keys).map(|number| (work::key(number).to_vec(), vec![1; VALUE_BYTES])).collect::<Map>());
    point_reads(bench, &db, &map, keys, old)?;
    verdicts(bench, &db, keys)?;
    range_reads(bench, &db, &map, keys, old)?;
    beside_a_writer(bench, &db, keys)
}

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

fn newest(db: &Arc<Database>) -> Lookup {
    let db = Arc::clone(db);
    Arc::new(move |key| Ok(db.get(key)?.is_some()))
}

fn point_reads(bench: &mut Bench, db: &Arc<Database>, map: &Arc<Map>, keys: u64, old: CommitId) -> Result<()> {
    let gets = bench.count(GETS);
    let in_map: Lookup = {
        let map = Arc::clone(map);
        Arc::new(move |key| Ok(map.get(key).cloned().is_some()))
    };
    for threads in [1, 2] {
        let (mut now, mut past, mut absent, mut mapped) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for _ in 0..bench.rounds {
            now.push(points(threads, gets, keys, &newest(db))?);
            mapped.push(points(threads, gets, keys, &in_map)?);
            let view = db.view(Some(old))?;
            past.push(points(
                threads,
                gets,
                keys,
                &(Arc::new(move |key: &[u8]| Ok(view.get(key)?.is_some())) as Lookup),
            )?);
            absent.push(misses(threads, gets, keys, &newest(db))?);
        }
        let name = |what: &str| format!("{what}, {threads} thread{}", if threads == 1 { "" } else { "s" });
        bench.report.compared("gets/s", (&name("points"), &now), ("BTreeMap", &mapped));
        bench.report.figure(&name("points of an old view"), "gets/s", &past);
        bench.report.figure(&name("points that are not there"), "gets/s", &absent);
    }
    Ok(())
}

/// What a verdict of the Read Safety Gate takes: on facts that are at hand, with its facts loaded anew each time, and with the view that it admits taken and
/// let go; beside a look-up as a whole.
fn verdicts(bench: &mut Bench, db: &Arc<Database>, keys: u64) -> Result<()> {
    let gets = bench.count(GETS);
    let (facts, wish) = (db.facts(&Wish::newest()), Wish::newest());
    let (mut decided, mut loaded, mut viewed, mut looked_up) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..bench.rounds {
        decided.push(nanoseconds(gets, || gate::decide(black_box(&facts), black_box(&wish)).is_ok()));
        loaded.push(nanoseconds(gets, || db.verdict(black_box(&wish)).is_ok()));
        viewed.push(nanoseconds(gets, || db.read(black_box(&wish)).is_ok()));
        looked_up.push(1e9 / points(1, gets, keys, &newest(db))?);
    }
    bench.report.figure("deciding, the facts at hand", "ns", &decided);
    let with_facts = ("a verdict of the gate, with its facts", loaded.as_slice());
    bench.report.compared("ns", with_facts, ("a look-up with its verdict", &looked_up));
    bench.report.figure("a view, taken and let go", "ns", &viewed);
    Ok(())
}

/// What a read that is admitted takes, on the average of so many.
fn nanoseconds(times: u64, admitted: impl Fn() -> bool) -> f64 {
    let watch = Stopwatch::start();
    for _ in 0..times {
        assert!(black_box(admitted()), "nothing is wrong");
    }
    watch.seconds() * 1e9 / times as f64
}

/// Look-ups a second of keys that are there, in no order.
fn points(threads: u64, gets: u64, keys: u64, lookup: &Lookup) -> Result<f64> {
    rate(threads, gets, lookup, move |number| work::key(work::mix(number ^ 0x5eed) % keys), true)
}

/// Look-ups a second of keys that are not there, between those that are.
fn misses(threads: u64, gets: u64, keys: u64, lookup: &Lookup) -> Result<f64> {
    rate(threads, gets, lookup, move |number| work::key(keys + work::mix(number) % keys), false)
}

fn rate(
    threads: u64,
    gets: u64,
    lookup: &Lookup,
    key: impl Fn(u64) -> [u8; 16] + Send + Sync + 'static,
    there: bool,
) -> Result<f64> {
    let lookup = Arc::clone(lookup);
    let (seconds, _) = work::on_threads(threads, move |thread| {
        for number in 0..gets {
            assert_eq!(lookup(&key(number * threads + thread))?, there, "a key is there or not as it was written");
        }
        Ok(())
    })?;
    Ok((gets * threads) as f64 / seconds)
}

fn range_reads(bench: &mut Bench, db: &Arc<Database>, map: &Arc<Map>, keys: u64, old: CommitId) -> Result<()> {
    let scans = bench.count(SCANS);
    for (name, direction) in [("forwards", Direction::Forward), ("backwards", Direction::Backward)] {
        let (mut now, mut past, mut mapped) = (Vec::new(), Vec::new(), Vec::new());
        let (mut all, mut all_past) = (Vec::new(), Vec::new());
        let whole = Range { direction, ..Range::all(limits::RANGE_ROWS_MAX) };
        for _ in 0..bench.rounds {
            now.push(short_scans(db, None, scans, keys, direction)?);
            mapped.push(map_scans(map, scans, keys, direction));
            past.push(short_scans(db, Some(old), scans, keys, direction)?);
            all.push(full_scan(db, None, &whole)?);
            all_past.push(full_scan(db, Some(old), &whole)?);
        }
        let title = format!("{SCAN_ROWS} rows {name}");
        bench.report.compared("rows/s", (&title, &now), ("BTreeMap", &mapped));
        bench.report.figure(&format!("{title} of an old view"), "rows/s", &past);
        bench.report.figure(&format!("all rows {name}"), "rows/s", &all);
        bench.report.figure(&format!("all rows {name} of an old view"), "rows/s", &all_past);
    }
    Ok(())
}

/// Rows a second of short ranges that begin anywhere.
fn short_scans(db: &Arc<Database>, at: Option<CommitId>, scans: u64, keys: u64, direction: Direction) -> Result<f64> {
    let view = db.view(at)?;
    let (mut rows_read, mut bytes) = (0u64, 0usize);
    let watch = Stopwatch::start();
    for number in 0..scans {
        let bound = Bound::Included(work::key(work::mix(number) % keys).to_vec());
        let (from, to) = match direction {
            Direction::Forward => (bound, Bound::Unbounded),
            Direction::Backward => (Bound::Unbounded, bound),
        };
        let mut rows = view.range(Range { from, to, direction, limit: SCAN_ROWS })?;
        while let Some((key, value)) = rows.next_row()? {
            rows_read += 1;
            bytes = bytes.wrapping_add(key.len() + value.len());
        }
    }
    let seconds = watch.seconds();
    assert!(bytes > 0, "rows were read");
    Ok(rows_read as f64 / seconds)
}

fn map_scans(map: &Map, scans: u64, keys: u64, direction: Direction) -> f64 {
    let mut rows = 0u64;
    let watch = Stopwatch::start();
    for number in 0..scans {
        let key = work::key(work::mix(number) % keys);
        let bound = Bound::Included(&key[..]);
        let count = |row: (&Vec<u8>, &Vec<u8>)| u64::from(row.0.len() + row.1.len() > 0);
        rows += match direction {
            Direction::Forward => map.range::<[u8], _>((bound, Bound::Unbounded)).take(SCAN_ROWS).map(count).sum(),
            Direction::Backward => {
                map.range::<[u8], _>((Bound::Unbounded, bound)).rev().take(SCAN_ROWS).map(count).sum::<u64>()
            }
        };
    }
    rows as f64 / watch.seconds()
}

/// Rows a second of one range over everything.
fn full_scan(db: &Arc<Database>, at: Option<CommitId>, whole: &Range) -> Result<f64> {
    let view = db.view(at)?;
    let mut rows_read = 0u64;
    let watch = Stopwatch::start();
    let mut rows = view.range(whole.clone())?;
    while rows.next_row()?.is_some() {
        rows_read += 1;
    }
    Ok(rows_read as f64 / watch.seconds())
}

/// Reads while one thread commits as fast as it can.
fn beside_a_writer(bench: &mut Bench, db: &Arc<Database>, keys: u64) -> Result<()> {
    let (mut beside, mut alone, mut written) = (Vec::new(), Vec::new(), Vec::new());
    let gets = bench.count(GETS);
    for _ in 0..bench.rounds {
        alone.push(points(1, gets, keys, &newest(db))?);
        let stop = Arc::new(AtomicBool::new(false));
        let before = db.status().commit;
        let (db_read, db_written, stopped) = (newest(db), Arc::clone(db), Arc::clone(&stop));
        let (seconds, rates) = work::on_threads(2, move |thread| {
            if thread == 0 {
                let rate = points(1, gets, keys, &db_read);
                // ORDERING: Relaxed: the writer only has to see it some time.
                stopped.store(true, Ordering::Relaxed);
                return rate;
            }
            let pool = work::Pool::new(VALUE_BYTES);
            let mut number = 0;
            while !stopped.load(Ordering::Relaxed) {
                db_written.commit(work::batch(&pool, std::iter::once(work::mix(number) % keys), VALUE_BYTES)?)?;
                number += 1;
            }
            Ok(f64::NAN)
        })?;
        drop(stop);
        beside.extend(rates.first());
        written.push((db.status().commit.0 - before.0) as f64 / seconds);
    }
    bench.report.compared("gets/s", ("points beside a writer", &beside), ("points alone", &alone));
    bench.report.figure("the writer meanwhile", "commits/s", &written);
    Ok(())
}
