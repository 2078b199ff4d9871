//! Memory: what the process takes at most while ten times its budget goes through it and is read back.
//!
//! The budget is what an operator sets: the cache of blocks, and the tables that may be in memory, each counted at twice the log it
//! may hold, because a version takes more in a table than in the log. The baseline is what the process took before it opened
//! anything.

use super::Bench;
use super::work;
use aerodb::disk::{Access, Disk, RealDisk};
use aerodb::{Error, Node, Parameters, Range, Reason, Result, limits};
use std::path::Path;

const CACHE_BYTES: u64 = 16 << 20;
/// A table is counted at so many times the log that it may hold.
const TABLE_FACTOR: u64 = 2;
const VALUE_BYTES: usize = 100;
/// What an entry takes in the log, in batches of ten.
const ENTRY_BYTES: u64 = 127;
const CHUNK: u64 = 100_000;

pub(super) fn run(bench: &mut Bench) -> Result<()> {
    let tables = (limits::SEALED_TABLES_MAX as u64 + 1) * TABLE_FACTOR * Parameters::default().table_bytes;
    let budget = CACHE_BYTES + tables;
    let entries = bench.count(10 * budget / ENTRY_BYTES);
    let before = process_bytes("VmRSS:")?;
    let (dir, meter) = work::new_dir(&bench.scratch, "memory")?;
    let mut node = Node::open(&work::options(&dir, &meter, CACHE_BYTES))?;
    for begin in (0..entries).step_by(CHUNK as usize) {
        let numbers: Vec<u64> = (begin..entries.min(begin + CHUNK)).collect();
        work::load(&mut node, &numbers, 10, VALUE_BYTES)?;
    }
    let loaded = process_bytes("VmHWM:")? - before;
    let view = node.view(None)?;
    for number in 0..entries.min(200_000) {
        view.get(&work::key(work::mix(number) % entries))?;
    }
    let mut rows = view.range(Range::all(limits::RANGE_ROWS_MAX))?;
    while rows.next_row()?.is_some() {}
    drop((rows, view));
    let read = process_bytes("VmHWM:")? - before;
    let mib = |bytes: f64| bytes / f64::from(1 << 20);
    bench.report.figure("budget (cache and tables)", "MiB", &[mib(budget as f64)]);
    bench.report.figure("log written", "MiB", &[mib(node.durable().position.0 as f64)]);
    bench.report.figure("most memory while writing", "MiB", &[mib(loaded)]);
    bench.report.figure("most memory while writing and reading", "MiB", &[mib(read)]);
    bench.report.figure("most memory ÷ budget", "×", &[read / budget as f64]);
    node.close()
}

/// A line of the operating system's account of this process, in bytes.
fn process_bytes(line: &str) -> Result<f64> {
    let unknown = || Error::new(Reason::DiskReadFailed).with("process_status", line);
    let mut text = vec![0; 16 << 10];
    let file = RealDisk.open(Path::new("/proc/self/status"), Access::Read)?.ok_or_else(unknown)?;
    let read = file.read_at(0, &mut text)?;
    text.truncate(read);
    let text = String::from_utf8_lossy(&text);
    let value = text.lines().find_map(|found| found.strip_prefix(line)?.split_whitespace().next());
    let kib: f64 = value.and_then(|kib| kib.parse().ok()).ok_or_else(unknown)?;
    Ok(kib * 1024.0)
}
