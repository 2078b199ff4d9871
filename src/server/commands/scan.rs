//! SCAN and DBSIZE: walks over all keys (RESP-SCAN).
//!
//! SCAN goes through the keys in their order, each page in the newest view, and its cursor names the last key that was looked at. So a
//! key that is there from the first page to the last is returned exactly once, whatever is written meanwhile. COUNT is the number
//! of keys to look at; a page ends earlier where its keys are long.

use crate::gate::Wish;
use crate::limits;
use crate::resp::{Glob, integer};
use crate::server::commands::jobs::{Count, Job, Scan, ScanOptions};
use crate::server::commands::{NOT_AN_INTEGER, SYNTAX_ERROR, Words};
use crate::server::session::{Context, Session, Step};

const COUNT: usize = 10;

/// `SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]`
pub(super) fn scan(session: &mut Session, words: Words<'_>, context: &mut Context<'_>, out: &mut Vec<u8>) -> Step {
    scan_at(session, &Wish::newest(), words, context, out)
}

/// The same as it is wished.
pub(super) fn scan_at(
    session: &mut Session,
    wish: &Wish,
    words: Words<'_>,
    context: &mut Context<'_>,
    out: &mut Vec<u8>,
) -> Step {
    match options(words) {
        Ok((cursor, options)) => {
            let job = Scan::new(context, wish, cursor, options).map(Job::Scan);
            session.begin(job, context, out)
        }
        Err(text) => session.refuse(text, out),
    }
}

/// DBSIZE
pub(super) fn dbsize(session: &mut Session, _: Words<'_>, context: &mut Context<'_>, out: &mut Vec<u8>) -> Step {
    let job = Count::new(context).map(Job::Count);
    session.begin(job, context, out)
}

fn options(words: Words<'_>) -> std::result::Result<(u64, ScanOptions), &'static str> {
    let digits = Some(words.at(1)).filter(|word| word.iter().all(u8::is_ascii_digit));
    let cursor = digits.and_then(|digits| str::from_utf8(digits).ok()?.parse().ok()).ok_or("ERR invalid cursor")?;
    let mut options = ScanOptions { count: COUNT, ..ScanOptions::default() };
    let mut at = 2;
    while at < words.len() {
        let value = words.get(at.saturating_add(1)).ok_or(SYNTAX_ERROR)?;
        if words.is(at, "COUNT") {
            let count = integer(value).ok_or(NOT_AN_INTEGER)?;
            let count = usize::try_from(count).ok().filter(|count| *count > 0).ok_or(SYNTAX_ERROR)?;
            options.count = count.min(limits::RANGE_ROWS_MAX);
        } else if words.is(at, "MATCH") {
            options.matching = Some(Glob::new(value).ok_or("ERR the pattern is longer than 1024 bytes")?);
        } else if words.is(at, "TYPE") {
            options.other_type = !value.eq_ignore_ascii_case(b"string");
        } else {
            return Err(SYNTAX_ERROR);
        }
        at = at.saturating_add(2);
    }
    Ok((cursor, options))
}
