//! A node for the length of one command: opened, used, closed, whatever the command came to.
//!
//! What recovery dropped or finished is logged, because nobody asked for a report. Closing makes the mark durable; if the command
//! failed, its failure counts, and one of closing is logged.
//!
//! A command that wrote has succeeded once its record is durable: who is told otherwise writes again, and has written twice. So what
//! fails behind it, maintenance and closing, is a warning, and the exit status is 0.

use crate::cli::failure;
use aerodb::recovery::{Options, Report};
use aerodb::{Node, Result};

/// Opens the node, does the work, and closes it.
///
/// # Errors
/// Those of opening, of the work, of closing.
pub(crate) fn with_node<T>(options: &Options, work: impl FnOnce(&mut Node) -> Result<T>) -> Result<T> {
    let mut node = open(options)?;
    let outcome = work(&mut node);
    match node.close() {
        Err(error) if outcome.is_err() => {
            log::error!(code = error.reason().name(); "closing: {error}");
            outcome
        }
        closed => outcome.and_then(|value| closed.map(|()| value)),
    }
}

/// Opens the node, makes one record durable and tells of it, does the maintenance that it made due, and closes the node. `what` is what
/// was made durable, for the warning.
///
/// # Errors
/// Those of opening and of the work.
pub(crate) fn with_writer(options: &Options, what: &str, work: impl FnOnce(&mut Node) -> Result<()>) -> Result<()> {
    let mut node = open(options)?;
    if let Err(failure) = work(&mut node) {
        if let Err(error) = node.close() {
            log::error!(code = error.reason().name(); "closing: {error}");
        }
        return Err(failure);
    }
    if let Err(error) = node.maintain() {
        failure::warn(&format!("the {what} is durable; maintenance failed, and goes on at the next start"), &error);
    }
    if let Err(error) = node.close() {
        failure::warn(&format!("the {what} is durable; closing failed"), &error);
    }
    Ok(())
}

fn open(options: &Options) -> Result<Node> {
    let node = Node::open(options)?;
    tell_recovery(node.report());
    Ok(node)
}

/// Warns of what recovery dropped and removed; all that it found and proved it has logged itself.
pub(crate) fn tell_recovery(report: &Report) {
    if report.log.torn_bytes > 0 {
        let dropped = report.log.torn_bytes;
        log::warn!("recovery dropped {dropped} bytes behind the last record: no record, and never acknowledged");
    }
    if report.log.unproven_bytes > 0 {
        let dropped = report.log.unproven_bytes;
        log::warn!(
            "recovery dropped {dropped} bytes that were received and do not prove themselves: they were never applied"
        );
    }
    for name in report.log.removed.iter().chain(&report.removed) {
        log::warn!("recovery removed {name}, which was never put to use");
    }
}
