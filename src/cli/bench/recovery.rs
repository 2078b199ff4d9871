//! Recovery: how fast the log is proven, and how long a node takes to open after it was killed with the longest tail there can be.
//!
//! A node without threads that is dropped without being closed leaves behind what a killed process leaves. The tail is bounded by
//! the tables that may wait for maintenance; here none is ever flushed, so it is as long as it gets.

use super::Bench;
use super::work;
use aerodb::clock::Stopwatch;
use aerodb::committer::Order;
use aerodb::disk::{Access, Disk, RealDisk};
use aerodb::wal::{self, LogCursor};
use aerodb::{Node, Position, Result, recovery};
use std::path::Path;

const LOG_BYTES: u64 = 256 << 20;
const READ_BYTES: usize = 256 << 10;

pub(super) fn run(bench: &mut Bench) -> Result<()> {
    for value_bytes in bench.value_bytes.clone() {
        proof(bench, value_bytes)?;
    }
    open_after_kill(bench, 100)
}

/// Proving a log, beside reading its files.
fn proof(bench: &mut Bench, value_bytes: usize) -> Result<()> {
    let (dir, meter) = work::new_dir(&bench.scratch, "proof")?;
    let mut node = Node::open(&work::options(&dir, &meter, 64 << 20))?;
    let numbers: Vec<u64> = (0..bench.count(LOG_BYTES) / (64 + value_bytes as u64)).collect();
    work::load(&mut node, &numbers, 1, value_bytes)?;
    let (identity, end) = (node.report().identity, node.durable());
    node.close()?;
    let (mut proven, mut read, mut records_rate) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..bench.rounds {
        let watch = Stopwatch::start();
        let disk = work::options(&dir, &meter, 0).disk;
        let lineage = recovery::lineage(&identity);
        let mut cursor = LogCursor::open(disk, &wal::directory(&dir), lineage, Position::GENESIS, end)?;
        let mut records = 0u64;
        while cursor.next_record()?.is_some() {
            records += 1;
        }
        let seconds = watch.seconds();
        let megabytes = end.position.0 as f64 / 1e6;
        proven.push(megabytes / seconds);
        records_rate.push(records as f64 / seconds);
        read.push(read_files(&wal::directory(&dir))? / 1e6);
    }
    let name = format!("{value_bytes} B: log proven");
    bench.report.compared("MB/s", (&name, &proven), ("plain reads of the same files", &read));
    bench.report.figure(&name, "records/s", &records_rate);
    Ok(())
}

/// Bytes a second of plain reads.
fn read_files(directory: &Path) -> Result<f64> {
    let mut buffer = vec![0; READ_BYTES];
    let mut bytes = 0u64;
    let watch = Stopwatch::start();
    for name in RealDisk.list(directory)?.unwrap_or_default() {
        if let Some(file) = RealDisk.open(&directory.join(name), Access::Read)? {
            let mut at = 0u64;
            loop {
                let read = file.read_at(at, &mut buffer)? as u64;
                at += read;
                if read < READ_BYTES as u64 {
                    break;
                }
            }
            bytes += at;
        }
    }
    Ok(bytes as f64 / watch.seconds())
}

fn open_after_kill(bench: &mut Bench, value_bytes: usize) -> Result<()> {
    let (mut opened, mut replayed, mut applied, mut clean) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut tail = Vec::new();
    for _ in 0..bench.rounds {
        let (dir, meter) = work::new_dir(&bench.scratch, "kill")?;
        let options = work::options(&dir, &meter, 64 << 20);
        let mut node = Node::open(&options)?;
        let (mut entries, mut seconds) = (0u64, 0.0);
        while node.store().has_room() {
            let numbers: Vec<u64> = (entries..entries + 10_240).collect();
            seconds += work::load(&mut node, &numbers, 10, value_bytes)?;
            entries += 10_240;
        }
        applied.push(entries as f64 / seconds);
        tail.push(node.durable().position.0 as f64 / 1e6);
        drop(node);

        let watch = Stopwatch::start();
        let mut node = Node::open(&options)?;
        let seconds = watch.seconds();
        opened.push(seconds * 1000.0);
        replayed.push(entries as f64 / seconds);
        node.group(&[Order::Cut(aerodb::record::Purpose::Checkpoint)])?;
        node.maintain()?;
        node.close()?;
        let watch = Stopwatch::start();
        drop(Node::open(&options)?);
        clean.push(watch.seconds() * 1000.0);
    }
    bench.report.figure("tail after a kill", "MB", &tail);
    bench.report.figure("open after a kill", "ms", &opened);
    bench.report.compared("entries/s", ("replayed", &replayed), ("applied without maintenance", &applied));
    bench.report.figure("open at a checkpoint", "ms", &clean);
    Ok(())
}
