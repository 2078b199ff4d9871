//! What Redis does not have: commits, views, ranges and waiting for a commit (`AERO.*`).
//!
//! A CommitId is a number as INTEGER replies have it. Keys of a range are raw bytes: the first is included, the second is not, and an
//! empty second key means that there is no end.

use crate::commit_id::CommitId;
use crate::error::Error;
use crate::explain::{self, Kind, Topic};
use crate::gate::Wish;
use crate::limits;
use crate::position::{History, LogPoint, Position};
use crate::reason::Reason;
use crate::server::commands::data::Data;
use crate::server::commands::jobs::{Job, Reads, Rows};
use crate::server::commands::scan::scan_at;
use crate::server::commands::transactions::Queued;
use crate::server::commands::{NOT_AN_INTEGER, SYNTAX_ERROR, Words, at_least, quoted, refusal};
use crate::server::session::{Context, Session, Step};
use crate::store::Direction;
use std::ops::Bound;

/// AERO.COMMITID
pub(super) fn commit_id(session: &mut Session, _: Words<'_>, context: &mut Context<'_>, out: &mut Vec<u8>) -> Step {
    session.out(out).count(context.database.published().0);
    Step::Replied
}

/// `AERO.LAST [POINT]`
pub(super) fn last(session: &mut Session, words: Words<'_>, _: &mut Context<'_>, out: &mut Vec<u8>) -> Step {
    let point = words.len() == 2 && words.is(1, "POINT");
    if !point && words.len() > 1 {
        return session.refuse(SYNTAX_ERROR, out);
    }
    let mut out = session.out(out);
    match session.last {
        Some(last) if point => {
            out.array(3);
            out.count(last.commit.0);
            out.count(last.position.0);
            out.bulk(last.history.to_string().as_bytes());
        }
        Some(last) => out.count(last.commit.0),
        None => out.null(),
    }
    Step::Replied
}

/// AERO.FLOOR
pub(super) fn floor(session: &mut Session, _: Words<'_>, context: &mut Context<'_>, out: &mut Vec<u8>) -> Step {
    session.out(out).count(context.database.floor().0);
    Step::Replied
}

/// `AERO.EXPLAIN REPLICATION|READ|RECOVERY|CHECKPOINT|SEGMENT [key] [AT commit] [ATLEAST commit] [ON commit position history] [JSON]`
pub(super) fn explain(session: &mut Session, words: Words<'_>, context: &mut Context<'_>, out: &mut Vec<u8>) -> Step {
    let (topic, json) = match topic(words) {
        Ok(asked) => asked,
        Err(text) => return session.refuse(text, out),
    };
    // What it looks up may take as long as a turn.
    context.count_read(limits::TURN_BYTES);
    #[cfg(feature = "replication")]
    let explanation = {
        let status = context.options.replica.as_ref().map(|replica| replica.status());
        explain::of(&topic, context.database, status.as_ref())
    };
    #[cfg(not(feature = "replication"))]
    let explanation = explain::of(&topic, context.database);
    let text = if json { explanation.json().to_string() } else { explanation.to_string() };
    session.out(out).bulk(text.as_bytes());
    Step::Replied
}

/// What is to be explained, and whether as JSON.
pub(in crate::server) fn topic(words: Words<'_>) -> std::result::Result<(Topic, bool), &'static str> {
    const UNKNOWN: &str = "ERR AERO.EXPLAIN explains REPLICATION, READ key, RECOVERY, CHECKPOINT or SEGMENT";
    let kind = Kind::ALL.iter().find(|kind| words.is(1, kind.name())).ok_or(UNKNOWN)?;
    let reads = *kind == Kind::Read;
    let (key, behind) = if reads { (Some(words.get(2).ok_or(UNKNOWN)?), 2) } else { (None, 1) };
    if key.is_some_and(|key| key.len() > limits::KEY_BYTES_MAX) {
        return Err("ERR no key is as long as that");
    }
    let (wish, waits, rest) = wish(words.behind(behind))?;
    let json = rest.len() == 1 && rest.is(0, "JSON");
    if waits || (!reads && wish != Wish::newest()) || !(json || rest.is_empty()) {
        return Err(SYNTAX_ERROR);
    }
    Topic::of(*kind, key, wish).map(|topic| (topic, json)).ok_or(UNKNOWN)
}

/// `AERO.WAITFOR commit`
pub(super) fn wait_for(session: &mut Session, words: Words<'_>, context: &mut Context<'_>, out: &mut Vec<u8>) -> Step {
    match at_least(words.at(1), 0) {
        Some(commit) => session.until(CommitId(commit), context, out),
        None => session.refuse(NOT_AN_INTEGER, out),
    }
}

/// `AERO.AT commit GET|MGET|EXISTS|STRLEN|TYPE|SCAN|AERO.RANGE …`
pub(super) fn at(session: &mut Session, words: Words<'_>, context: &mut Context<'_>, out: &mut Vec<u8>) -> Step {
    match at_least(words.at(1), 0).map(CommitId) {
        Some(commit) => carry_out(session, &Wish::at(Some(commit)), words.behind(2), context, out),
        None => session.refuse(NOT_AN_INTEGER, out),
    }
}

/// `AERO.READ [AT commit] [ATLEAST commit] [ON commit position history] [WAIT] GET|MGET|EXISTS|STRLEN|TYPE|SCAN|RANGE …` (READ-LEAST, READ-HISTORY)
pub(super) fn read(session: &mut Session, words: Words<'_>, context: &mut Context<'_>, out: &mut Vec<u8>) -> Step {
    let (wish, waits, read) = match wish(words) {
        Ok(asked) => asked,
        Err(text) => return session.refuse(text, out),
    };
    if wish.on.is_some() {
        // What is read of the log to look the point up takes as long as a turn may.
        context.count_read(limits::TURN_BYTES);
    }
    let needed = [wish.at, wish.at_least, wish.on.map(|point| point.commit)].into_iter().flatten().max();
    // Where it will not come, or would not do, the gate says why at once.
    let comes = |needed: &CommitId| *needed > context.database.published() && context.options.may_come(*needed).is_ok();
    let contradicts = wish.at.zip(wish.at_least).is_some_and(|(at, least)| at < least);
    match needed.filter(|needed| waits && !contradicts && comes(needed)) {
        Some(needed) => session.until_then(needed, words, out),
        None => carry_out(session, &wish, read, context, out),
    }
}

/// What is asked of a read, whether it waits for it, and the command that reads.
fn wish(words: Words<'_>) -> std::result::Result<(Wish, bool, Words<'_>), &'static str> {
    let commit = |at: usize| at_least(words.at(at), 0).map(CommitId).ok_or(NOT_AN_INTEGER);
    let (mut wish, mut waits, mut at) = (Wish::newest(), false, 1_usize);
    loop {
        let value = at.saturating_add(1);
        let taken = if words.is(at, "AT") && wish.at.is_none() {
            wish.at = Some(commit(value)?);
            2
        } else if words.is(at, "ATLEAST") && wish.at_least.is_none() {
            wish.at_least = Some(commit(value)?);
            2
        } else if words.is(at, "ON") && wish.on.is_none() {
            let position = at_least(words.at(at.saturating_add(2)), 0).map(Position).ok_or(NOT_AN_INTEGER)?;
            let history = str::from_utf8(words.at(at.saturating_add(3))).ok().filter(|text| text.len() == 16);
            let history = history.and_then(|text| u64::from_str_radix(text, 16).ok()).map(History);
            let history = history.ok_or("ERR a history has 16 hexadecimal digits")?;
            wish.on = Some(LogPoint { commit: commit(value)?, position, history });
            4
        } else if words.is(at, "WAIT") && !waits {
            waits = true;
            1
        } else {
            return Ok((wish, waits, words.behind(at)));
        };
        at = at.saturating_add(taken);
    }
}

/// Carries a reading command out as it is wished.
fn carry_out(
    session: &mut Session,
    wish: &Wish,
    read: Words<'_>,
    context: &mut Context<'_>,
    out: &mut Vec<u8>,
) -> Step {
    let data = [Data::Get, Data::Mget, Data::Exists, Data::Strlen, Data::Type].into_iter();
    let names = ["get", "mget", "exists", "strlen", "type"].into_iter();
    if let Some((data, name)) = data.zip(names).find(|(_, name)| read.is(0, name)) {
        let many = matches!(data, Data::Mget | Data::Exists);
        if read.len() < 2 || (!many && read.len() > 2) {
            return session.refuse(&format!("ERR wrong number of arguments for '{name}' command"), out);
        }
        let queue = vec![Queued::data(data, read.iter().collect())];
        let job = Reads::new(context, wish, queue).map(Job::Reads);
        return session.begin(job, context, out);
    }
    if read.is(0, "scan") && read.len() >= 2 {
        return scan_at(session, wish, read, context, out);
    }
    if (read.is(0, "range") || read.is(0, "aero.range")) && read.len() >= 3 {
        return range_at(session, wish, read, context, out);
    }
    let name = quoted(read.at(0), 128);
    let text = format!("ERR AERO.AT and AERO.READ read with GET, MGET, EXISTS, STRLEN, TYPE, SCAN or RANGE and their arguments, not with '{name}'");
    session.refuse(&text, out)
}

/// `AERO.RANGE start end [LIMIT n] [REV] [AT commit]`
pub(super) fn range(session: &mut Session, words: Words<'_>, context: &mut Context<'_>, out: &mut Vec<u8>) -> Step {
    range_at(session, &Wish::newest(), words, context, out)
}

fn range_at(
    session: &mut Session,
    wish: &Wish,
    words: Words<'_>,
    context: &mut Context<'_>,
    out: &mut Vec<u8>,
) -> Step {
    let (mut limit, mut direction, mut wish) = (None, Direction::Forward, *wish);
    let mut at = 3;
    while at < words.len() {
        let value = words.get(at.saturating_add(1));
        if words.is(at, "REV") {
            direction = Direction::Backward;
            at = at.saturating_add(1);
            continue;
        }
        match value {
            Some(value) if words.is(at, "LIMIT") => match at_least(value, 1) {
                Some(rows) => limit = Some(rows),
                None => return session.refuse("ERR value is out of range, must be positive", out),
            },
            Some(value) if words.is(at, "AT") && wish.at.is_none() => match at_least(value, 0) {
                Some(asked) => wish.at = Some(CommitId(asked)),
                None => return session.refuse(NOT_AN_INTEGER, out),
            },
            _ => return session.refuse(SYNTAX_ERROR, out),
        }
        at = at.saturating_add(2);
    }
    if let Some(limit) = limit.filter(|limit| *limit > limits::RANGE_ROWS_MAX) {
        let error = Error::new(Reason::RangeInvalid).with("limit", limit).with("limit_max", limits::RANGE_ROWS_MAX);
        return session.refuse(&refusal(&error), out);
    }
    let end = Some(words.at(2)).filter(|end| !end.is_empty());
    let bounds =
        (Bound::Included(words.at(1).to_vec()), end.map_or(Bound::Unbounded, |end| Bound::Excluded(end.to_vec())));
    let job = Rows::new(context, &wish, bounds, direction, limit).map(Job::Rows);
    session.begin(job, context, out)
}
