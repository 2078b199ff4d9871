//! Durable commits: how many a second, how late the slowest are, and how near that is to what the disk gives.
//!
//! The baseline writes groups of the same length behind one another into a file that was written before, with one fdatasync each:
//! no program that makes every group durable is faster. Its groups are as long as ours were on average in the same round.

use super::Bench;
use super::meter::Meter;
use super::scratch::Scratch;
use super::work::{self, Pool};
use aerodb::clock::Stopwatch;
use aerodb::disk::{Disk, File, RealDisk};
use aerodb::queue;
use aerodb::sync::Arc;
use aerodb::{Database, Error, Reason, Result};
use hdrhistogram::Histogram;

/// Threads that commit, and commits in a round.
const THREADS: [(u64, u64); 3] = [(1, 6_000), (16, 40_000), (64, 80_000)];
/// Commits in a round with many under way, and how many are.
const PIPELINED: (u64, u64) = (200_000, 1024);
const BASELINE_BYTES: u64 = 64 << 20;

pub(super) fn run(bench: &mut Bench) -> Result<()> {
    for value_bytes in bench.value_bytes.clone() {
        let (dir, meter) = work::new_dir(&bench.scratch, "commits")?;
        let db = work::open(&dir, &meter, 64 << 20)?;
        let mut baseline = Baseline::create(&bench.scratch)?;
        for (threads, commits) in THREADS {
            let each = bench.count(commits) / threads;
            let name = format!("{value_bytes} B, {threads} committing");
            measure(bench, (&db, &meter), &mut baseline, &name, |db| blocking(db, threads, each, value_bytes))?;
        }
        let commits = bench.count(PIPELINED.0);
        let name = format!("{value_bytes} B, {} under way", PIPELINED.1);
        measure(bench, (&db, &meter), &mut baseline, &name, |db| pipelined(db, commits, value_bytes))?;
    }
    Ok(())
}

/// What a round of commits took.
struct Round {
    commits: u64,
    seconds: f64,
    latency: Option<Histogram<u64>>,
}

fn measure(
    bench: &mut Bench,
    (db, meter): (&Arc<Database>, &Meter),
    baseline: &mut Baseline,
    name: &str,
    mut body: impl FnMut(&Arc<Database>) -> Result<Round>,
) -> Result<()> {
    let (mut ours, mut raw, mut syncs, mut shared) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut percentiles = [Vec::new(), Vec::new()];
    for _ in 0..bench.rounds {
        let before = (meter.read(), db.status().durable);
        let round = body(db)?;
        let after = (meter.read(), db.status().durable);
        let groups = (after.0.log_syncs - before.0.log_syncs).max(1);
        let group_bytes = after.1.position.since(before.1.position) / groups;
        let commits_per_group = round.commits as f64 / groups as f64;
        ours.push(round.commits as f64 / round.seconds);
        syncs.push(groups as f64 / round.seconds);
        shared.push(commits_per_group);
        raw.push(baseline.groups(groups, group_bytes)? * commits_per_group);
        if let Some(latency) = &round.latency {
            for (rounds, quantile) in percentiles.iter_mut().zip([0.5, 0.99]) {
                rounds.push(latency.value_at_quantile(quantile) as f64 / 1000.0);
            }
        }
    }
    bench.report.compared("commits/s", (name, &ours), ("append + fdatasync of the same groups", &raw));
    bench.report.figure(&format!("{name}: fsyncs"), "fsyncs/s", &syncs);
    bench.report.figure(&format!("{name}: commits in an fsync"), "commits", &shared);
    for (rounds, quantile) in percentiles.iter().zip(["p50", "p99"]) {
        if !rounds.is_empty() {
            bench.report.figure(&format!("{name}: {quantile}"), "µs", rounds);
        }
    }
    Ok(())
}

/// Each thread waits for its commit before it makes the next.
fn blocking(db: &Arc<Database>, threads: u64, each: u64, value_bytes: usize) -> Result<Round> {
    let db = Arc::clone(db);
    let (seconds, latencies) = work::on_threads(threads, move |thread| {
        let pool = Pool::new(value_bytes);
        let mut latency = work::histogram()?;
        for number in 0..each {
            let batch = work::batch(&pool, std::iter::once(number * threads + thread), value_bytes)?;
            let watch = Stopwatch::start();
            db.commit(batch)?;
            latency.saturating_record(watch.nanoseconds());
        }
        Ok(latency)
    })?;
    let mut latency = work::histogram()?;
    for one in latencies {
        latency.add(one).map_err(|error| Error::new(Reason::ConfigInvalid).with("histogram", error))?;
    }
    Ok(Round { commits: threads * each, seconds, latency: Some(latency) })
}

/// One thread keeps a number of commits under way.
fn pipelined(db: &Arc<Database>, commits: u64, value_bytes: usize) -> Result<Round> {
    let pool = Pool::new(value_bytes);
    let (answers, answered) = queue::bounded(PIPELINED.1 as usize);
    let gone = |_| Error::new(Reason::DatabaseClosed);
    let watch = Stopwatch::start();
    for number in 0..commits {
        if number >= PIPELINED.1 {
            answered.recv().map_err(gone)??;
        }
        let answers = answers.clone();
        db.submit(work::batch(&pool, std::iter::once(number), value_bytes)?, move |outcome| {
            let _ = answers.send(outcome);
        })?;
    }
    for _ in 0..commits.min(PIPELINED.1) {
        answered.recv().map_err(gone)??;
    }
    Ok(Round { commits, seconds: watch.seconds(), latency: None })
}

/// A file of which every byte was written and made durable before.
struct Baseline {
    file: Arc<dyn File>,
    bytes: Vec<u8>,
    at: u64,
}

impl Baseline {
    fn create(scratch: &Scratch) -> Result<Baseline> {
        let file = RealDisk.create(&scratch.fresh("baseline"))?;
        let bytes = vec![0xa5; 8 << 20];
        for piece in 0..BASELINE_BYTES / bytes.len() as u64 {
            file.write_at(piece * bytes.len() as u64, &bytes)?;
        }
        file.sync_data()?;
        Ok(Baseline { file, bytes, at: 0 })
    }

    /// Appends so many groups, each durable before the next; returns how many a second.
    fn groups(&mut self, groups: u64, group_bytes: u64) -> Result<f64> {
        let bytes = self.bytes.get(..group_bytes as usize).unwrap_or(&self.bytes);
        let watch = Stopwatch::start();
        for _ in 0..groups {
            if self.at + group_bytes > BASELINE_BYTES {
                self.at = 0;
            }
            self.file.write_at(self.at, bytes)?;
            self.file.sync_data()?;
            self.at += group_bytes;
        }
        Ok(groups as f64 / watch.seconds())
    }
}
