//! The commands that read: `get`, `scan`.
//!
//! One command is one view, of a directory or of a server. A scan reads page after page of it and prints row by row, so its memory does
//! not grow with what it prints. Reading opens a directory as a node does: it takes the lock, and finishes what a crash left unfinished.

use crate::cli::args::{self, Place};
use crate::cli::bytes;
use crate::cli::output::Output;
use crate::cli::remote::{EachRow, Server};
use crate::cli::session::with_node;
use aerodb::{CommitId, Direction, Error, Range, Reason, Result, limits};
use clap::ArgMatches;
use serde_json::json;
use std::ops::Bound;

/// Rows that a server is asked for at once: what it gathers before it answers.
const SERVER_ROWS: usize = 1000;

/// `aerodb get`.
pub(crate) fn get(matches: &ArgMatches, out: &mut Output) -> Result<()> {
    let key = args::key(matches, "KEY")?.unwrap_or_default();
    let at = args::commit(matches, "at")?;
    let mut print = |value: Option<Vec<u8>>, commit: CommitId| {
        let Some(value) = value else {
            return Err(Error::new(Reason::KeyAbsent).with("key", bytes::brief(&key)).with("commit", commit));
        };
        if args::flag(matches, "raw") {
            return out.raw(&value);
        }
        out.answer(
            bytes::escape(&value),
            || json!({ "key": bytes::json(&key), "value": bytes::json(&value), "commit": commit.0 }),
        )
    };
    match Place::read(matches)? {
        Place::Directory(target) => with_node(target.options(), |node| {
            let view = node.view(at)?;
            print(view.get(&key)?, view.commit())
        }),
        Place::Server(address) => {
            let mut server = Server::connect(&address)?;
            let at = at.unwrap_or(server.newest());
            print(server.get(&key, at)?, at)
        }
    }
}

/// `aerodb scan`.
pub(crate) fn scan(matches: &ArgMatches, out: &mut Output) -> Result<()> {
    let place = Place::read(matches)?;
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
    match place {
        Place::Directory(target) => with_node(target.options(), |node| {
            let view = node.view(at)?;
            print_rows(range, limit, limits::RANGE_ROWS_MAX, out, |page, row| {
                let mut rows = view.range(page.clone())?;
                while let Some((key, value)) = rows.next_row()? {
                    row(key, value)?;
                }
                Ok(())
            })
        }),
        Place::Server(address) => {
            let mut server = Server::connect(&address)?;
            let at = at.unwrap_or(server.newest());
            print_rows(range, limit, SERVER_ROWS, out, |page, row| server.rows(page, at, row))
        }
    }
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

/// Prints rows, page after page, until the range or the limit ends. `read` hands out the rows of one page.
fn print_rows(
    mut range: Range,
    limit: Option<u64>,
    page_rows: usize,
    out: &mut Output,
    mut read: impl FnMut(&Range, &mut EachRow<'_>) -> Result<()>,
) -> Result<()> {
    let mut left = limit;
    loop {
        range.limit = left.map_or(page_rows, |left| usize::try_from(left).unwrap_or(page_rows).min(page_rows));
        let (mut printed, mut last) = (0, Vec::new());
        read(&range, &mut |key, value| {
            printed += 1;
            if printed == range.limit {
                last = key.to_vec();
            }
            if out.is_json() {
                return out.json(&json!({ "key": bytes::json(key), "value": bytes::json(value) }));
            }
            out.line(format_args!("{}\t{}", bytes::escape(key), bytes::escape(value)))
        })?;
        left = left.map(|left| left - printed as u64);
        if printed < range.limit || left == Some(0) {
            return Ok(());
        }
        match range.direction {
            Direction::Forward => range.from = Bound::Excluded(last),
            Direction::Backward => range.to = Bound::Excluded(last),
        }
    }
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
