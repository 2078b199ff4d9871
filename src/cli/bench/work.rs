//! What the measurements are made of: keys, values, batches, nodes, threads.
//!
//! Keys are 16 bytes whose order has nothing to do with the order in which they are made. Values are pieces of one pool of noise.
//! Everything follows from counting, so every run does the same.

use super::meter::Meter;
use super::scratch::Scratch;
use aerodb::clock::Stopwatch;
use aerodb::committer::Order;
use aerodb::sync::{self, Arc};
use aerodb::{Batch, Database, Error, Init, Node, Options, Reason, Result};
use hdrhistogram::Histogram;
use std::path::PathBuf;

/// Nanoseconds; what takes longer counts as this.
const LATENCY_MAX: u64 = 60_000_000_000;
/// Commits of one group, where the bench makes the groups.
const GROUP_COMMITS: u64 = 1024;

/// SplitMix64's step from a number to noise.
pub(super) fn mix(number: u64) -> u64 {
    let mut word = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// The key of a number.
pub(super) fn key(number: u64) -> [u8; 16] {
    ((u128::from(mix(number)) << 64) | u128::from(number)).to_be_bytes()
}

/// Noise to take values from.
pub(super) struct Pool(Vec<u8>);

impl Pool {
    pub(super) fn new(value_bytes: usize) -> Pool {
        Pool((0..value_bytes as u64 / 8 + 4096).flat_map(|word| mix(word).to_le_bytes()).collect())
    }

    /// The value of a number.
    pub(super) fn value(&self, number: u64, bytes: usize) -> &[u8] {
        let start = (number % 4096) as usize * 8;
        self.0.get(start..start + bytes).unwrap_or_default()
    }
}

/// A batch that puts the keys of these numbers.
pub(super) fn batch(pool: &Pool, numbers: impl Iterator<Item = u64>, value_bytes: usize) -> Result<Batch> {
    let mut batch = Batch::new();
    for number in numbers {
        batch.put(&key(number), pool.value(number, value_bytes))?;
    }
    Ok(batch)
}

/// Latencies in nanoseconds, none yet.
pub(super) fn histogram() -> Result<Histogram<u64>> {
    Histogram::new_with_bounds(1, LATENCY_MAX, 3)
        .map_err(|error| Error::new(Reason::ConfigInvalid).with("histogram", error))
}

/// A new data directory whose disk is counted.
pub(super) fn new_dir(scratch: &Scratch, name: &str) -> Result<(PathBuf, Meter)> {
    let dir = scratch.fresh(name);
    aerodb::recovery::init(&Init::standalone(&dir))?;
    Ok((dir, Meter::default()))
}

/// How the bench opens a directory.
pub(super) fn options(dir: &std::path::Path, meter: &Meter, cache_bytes: u64) -> Options {
    Options { cache_bytes, disk: Arc::new(meter.clone()), ..Options::new(dir) }
}

/// Opens a directory with threads.
pub(super) fn open(dir: &std::path::Path, meter: &Meter, cache_bytes: u64) -> Result<Arc<Database>> {
    Database::open(options(dir, meter, cache_bytes)).map(Arc::new)
}

/// Commits puts of the keys of these numbers, so many a batch, in large groups, as fast as one thread can; returns the seconds that
/// the node took. Building the batches is not counted.
pub(super) fn load(node: &mut Node, numbers: &[u64], per_batch: usize, value_bytes: usize) -> Result<f64> {
    let pool = Pool::new(value_bytes);
    let mut seconds = 0.0;
    for group in numbers.chunks(per_batch * GROUP_COMMITS as usize) {
        let batches = group.chunks(per_batch).map(|numbers| batch(&pool, numbers.iter().copied(), value_bytes));
        let orders = batches.map(|batch| batch.map(Order::Commit)).collect::<Result<Vec<Order>>>()?;
        let watch = Stopwatch::start();
        let answers = node.group(&orders)?;
        seconds += watch.seconds();
        answers.into_iter().collect::<Result<Vec<_>>>()?;
    }
    Ok(seconds)
}

/// Runs a body on so many threads, each with its number; returns the seconds until all have ended, and what they returned.
pub(super) fn on_threads<T: Send + 'static>(
    threads: u64,
    body: impl Fn(u64) -> Result<T> + Send + Sync + 'static,
) -> Result<(f64, Vec<T>)> {
    let body = Arc::new(body);
    let watch = Stopwatch::start();
    let mut handles = Vec::new();
    for number in 0..threads {
        let body = Arc::clone(&body);
        let handle = sync::spawn("bench", move || body(number));
        handles.push(handle.map_err(|error| Error::new(Reason::ProcessThreadFailed).with("error", error))?);
    }
    let mut outcomes = Vec::new();
    for handle in handles {
        let outcome = handle.join();
        outcomes.push(outcome.unwrap_or_else(|_| Err(Error::new(Reason::DatabaseClosed).with("thread", "panicked")))?);
    }
    Ok((watch.seconds(), outcomes))
}
