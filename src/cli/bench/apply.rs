//! Applying: entries a second through log, table, runs and merges on one thread, and how many bytes are written for one of them.
//!
//! The groups are large, so fsyncs hardly count; maintenance is done in between, where the node asks for it, and to the end.

use super::Bench;
use super::work;
use aerodb::clock::Stopwatch;
use aerodb::{Node, Result};

const ENTRIES: u64 = 1_000_000;
const VALUE_BYTES: usize = 100;

pub(super) fn run(bench: &mut Bench) -> Result<()> {
    let numbers: Vec<u64> = (0..bench.count(ENTRIES)).map(|number| work::mix(number) % ENTRIES).collect();
    for per_batch in [10, 1] {
        let (mut applied, mut settled) = (Vec::new(), Vec::new());
        let (mut log, mut store) = (Vec::new(), Vec::new());
        for _ in 0..bench.rounds {
            let (dir, meter) = work::new_dir(&bench.scratch, "apply")?;
            let mut node = Node::open(&work::options(&dir, &meter, 64 << 20))?;
            let before = meter.read();
            let seconds = work::load(&mut node, &numbers, per_batch, VALUE_BYTES)?;
            let watch = Stopwatch::start();
            node.maintain()?;
            let entries = numbers.len() as f64;
            applied.push(entries / seconds);
            settled.push(entries / (seconds + watch.seconds()));
            let after = meter.read();
            let user_bytes = entries * (16 + VALUE_BYTES) as f64;
            log.push((after.log_bytes - before.log_bytes) as f64 / user_bytes);
            store.push((after.store_bytes - before.store_bytes) as f64 / user_bytes);
            node.close()?;
        }
        let name = format!("{VALUE_BYTES} B, batches of {per_batch}");
        bench.report.figure(&format!("{name}: applied"), "entries/s", &applied);
        bench.report.figure(&format!("{name}: until all is merged"), "entries/s", &settled);
        bench.report.figure(&format!("{name}: log written for a byte"), "×", &log);
        bench.report.figure(&format!("{name}: store written for a byte"), "×", &store);
    }
    Ok(())
}
