//! A node for the length of one command: opened, used, closed, whatever the command came to.
//!
//! What recovery dropped or finished is logged, because nobody asked for a report. Closing makes the mark durable; if the command
//! failed, its failure counts, and one of closing is logged.

use aerodb::recovery::Options;
use aerodb::{Node, Result};

/// Opens the node, does the work, and closes it.
///
/// # Errors
/// Those of opening, of the work, of closing.
pub(crate) fn with_node<T>(options: &Options, work: impl FnOnce(&mut Node) -> Result<T>) -> Result<T> {
    let mut node = Node::open(options)?;
    let report = node.report();
    if report.log.torn_bytes > 0 {
        log::warn!("recovery dropped {} bytes of a commit that was never acknowledged", report.log.torn_bytes);
    }
    for name in report.log.removed.iter().chain(&report.removed) {
        log::warn!("recovery removed {name}, which was never put to use");
    }
    log::info!("recovery replayed {} records behind {}", report.records_replayed, report.checkpoint);
    let outcome = work(&mut node);
    match node.close() {
        Err(error) if outcome.is_err() => {
            log::error!("closing: {error}");
            outcome
        }
        closed => outcome.and_then(|value| closed.map(|()| value)),
    }
}
