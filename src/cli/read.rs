//! The commands that read: `get`, `scan`, `status`.
//!
//! One command is one view. A scan reads page after page of it and prints row by row, so its memory does not grow with what it
//! prints. Reading opens the directory as a node does: it takes the lock, and finishes what a crash left unfinished.

use crate::cli::args::{self, Target};
use crate::cli::bytes;
use crate::cli::output::{self, Output};
use crate::cli::session::with_node;
use aerodb::{Direction, Error, Node, Range, Reason, Result, View, limits};
use clap::ArgMatches;
use serde_json::json;
use std::ops::Bound;

/// `aerodb get`.
pub(crate) fn get(matches: &ArgMatches, out: &mut Output) -> Result<()> {
    let target = Target::read(matches)?;
    let key = args::key(matches, "KEY")?.unwrap_or_default();
    let at = args::commit(matches, "at")?;
    with_node(target.options(), |node| {
        let view = node.view(at)?;
        let Some(value) = view.get(&key)? else {
            return Err(Error::new(Reason::KeyAbsent).with("key", bytes::brief(&key)).with("commit", view.commit()));
        };
        if args::flag(matches, "raw") {
            return out.raw(&value);
        }
        out.answer(
            bytes::escape(&value),
            || json!({ "key": bytes::json(&key), "value": bytes::json(&value), "commit": view.commit().0 }),
        )
    })
}

/// `aerodb scan`.
pub(crate) fn scan(matches: &ArgMatches, out: &mut Output) -> Result<()> {
    let target = Target::read(matches)?;
    let at = args::commit(matches, "at")?;
    let limit = args::number(matches, "limit")?;
    let (from, to) = match args::key(matches, "prefix")? {
        Some(prefix) => prefix_range(prefix),
        None => (
            args::key(matches, "from")?.map_or(Bound::Unbounded, Bound::Included),
            args::key(matches, "to")?.map_or(Bound::Unbounded, Bound::Excluded),
        ),
    };
    let direction = if args::flag(matches, "reverse") { Direction::Backward } else { Direction::Forward };
    let range = Range { from, to, direction, limit: 0 };
    with_node(target.options(), |node| print_rows(&node.view(at)?, range, limit, out))
}

/// The range of the keys that begin with a prefix: up to the prefix with its last byte raised.
fn prefix_range(prefix: Vec<u8>) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
    let mut end = prefix.clone();
    // A byte that can't be raised is dropped: the one before it is raised instead.
    while end.pop_if(|last| *last == u8::MAX).is_some() {}
    let to = match end.last_mut() {
        Some(last) => {
            *last += 1;
            Bound::Excluded(end)
        }
        None => Bound::Unbounded,
    };
    (Bound::Included(prefix), to)
}

/// Prints the rows of a view, page after page, until the range or the limit ends.
fn print_rows(view: &View, mut range: Range, limit: Option<u64>, out: &mut Output) -> Result<()> {
    let page_max = limits::RANGE_ROWS_MAX;
    let mut left = limit;
    loop {
        range.limit = left.map_or(page_max, |left| usize::try_from(left).unwrap_or(page_max).min(page_max));
        let mut rows = view.range(range.clone())?;
        let mut printed = 0;
        while let Some((key, value)) = rows.next_row()? {
            printed += 1;
            if out.is_json() {
                out.json(&json!({ "key": bytes::json(key), "value": bytes::json(value) }))?;
            } else {
                out.line(format_args!("{}\t{}", bytes::escape(key), bytes::escape(value)))?;
            }
            if printed == range.limit {
                match range.direction {
                    Direction::Forward => range.from = Bound::Excluded(key.to_vec()),
                    Direction::Backward => range.to = Bound::Excluded(key.to_vec()),
                }
            }
        }
        left = left.map(|left| left - printed as u64);
        if printed < range.limit || left == Some(0) {
            return Ok(());
        }
    }
}

/// `aerodb status`.
pub(crate) fn status(matches: &ArgMatches, out: &mut Output) -> Result<()> {
    let target = Target::read(matches)?;
    with_node(target.options(), |node| if out.is_json() { status_json(node, out) } else { status_text(node, out) })
}

fn status_text(node: &Node, out: &mut Output) -> Result<()> {
    let report = node.report();
    let state = node.store().state();
    let identity = &report.identity;
    let parameters = &identity.parameters;
    let mut row = |name: &str, value: &dyn std::fmt::Display| out.line(format_args!("{name:<14} {value}"));
    row("role", &identity.role)?;
    row("database", &identity.database_id)?;
    row("node", &identity.node_id)?;
    row("epoch", &identity.epoch)?;
    row("segment bytes", &parameters.segment_bytes)?;
    row("table bytes", &parameters.table_bytes)?;
    row("block bytes", &parameters.block_bytes)?;
    row("fanout", &parameters.fanout)?;
    row("commit", &node.store().commit())?;
    row("floor", &state.floor)?;
    row("durable", &node.durable())?;
    row("checkpoint", &state.checkpoint)?;
    row("log from", &format_args!("position {}", report.log.oldest))?;
    row("proven from", &format_args!("position {}", report.log.proven_from))?;
    row("replayed", &format_args!("{} records", report.records_replayed))?;
    row("torn tail", &format_args!("{} bytes dropped", report.log.torn_bytes))?;
    let bytes: u64 = state.runs.iter().map(|run| run.info().size).sum();
    row("runs", &format_args!("{}, {bytes} bytes, {} merges due", state.runs.len(), state.merges_due))?;
    for run in state.runs.iter().rev() {
        let info = run.info();
        row("", &format_args!("{} {} bytes xxh3-128 {:032x}", info.id.file_name(), info.size, info.hash))?;
    }
    Ok(())
}

fn status_json(node: &Node, out: &mut Output) -> Result<()> {
    let report = node.report();
    let state = node.store().state();
    let runs: Vec<_> = state
        .runs
        .iter()
        .rev()
        .map(|run| {
            let info = run.info();
            json!({
                "file": info.id.file_name(),
                "level": info.id.level,
                "first": info.id.first.0,
                "last": info.id.last.0,
                "bytes": info.size,
                "hash": format!("{:032x}", info.hash),
            })
        })
        .collect();
    out.json(&json!({
        "identity": output::identity(&report.identity),
        "commit": node.store().commit().0,
        "floor": state.floor.0,
        "durable": output::point(node.durable()),
        "checkpoint": output::point(state.checkpoint),
        "log_oldest": report.log.oldest.0,
        "runs": runs,
        "merges_due": state.merges_due,
        "recovery": {
            "proven_from": report.log.proven_from.0,
            "marked": output::point(report.log.marked),
            "records_replayed": report.records_replayed,
            "torn_bytes": report.log.torn_bytes,
            "roll_finished": report.log.roll_finished,
            "removed": report.log.removed.iter().chain(&report.removed).collect::<Vec<_>>(),
        },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_before_the_first_key_that_does_not_begin_with_it() {
        let excluded = |bytes: &[u8]| Bound::Excluded(bytes.to_vec());
        assert_eq!(prefix_range(b"ab".to_vec()).1, excluded(b"ac"));
        assert_eq!(prefix_range(b"a\xff\xff".to_vec()).1, excluded(b"b"));
        assert_eq!(prefix_range(b"\xff".to_vec()).1, Bound::Unbounded);
        assert_eq!(prefix_range(Vec::new()), (Bound::Included(Vec::new()), Bound::Unbounded));
    }
}
