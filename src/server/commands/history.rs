//! The log as its node has it: which segments, which records, which runs (`AERO.SEGMENTS`, `AERO.LOG`, …), for who compares two nodes.
//!
//! What they say is of the log and not of the data: positions, kinds, commits, lengths, histories and hashes. So a replica answers them also where
//! reads are refused; it knows of its log what is proven, and says no more. `AERO.RECORD` shows what a record says, which is data: it is refused where a
//! read would be.
//!
//! A point is three values: commit, position, history, as in AERO.LAST POINT. What is read from the disk for one command in one turn is bounded
//! (RESP-TURN).

use crate::error::{Error, Result};
use crate::limits;
use crate::position::{LogPoint, Position};
use crate::reason::Reason;
use crate::resp::Out;
use crate::server::commands::jobs::{Job, Segments};
use crate::server::commands::{NOT_AN_INTEGER, SYNTAX_ERROR, Words, at_least};
use crate::server::session::{Context, Session, Step};
use crate::wal::LogHeaders;

/// AERO.SEGMENTS
pub(super) fn segments(session: &mut Session, _: Words<'_>, context: &mut Context<'_>, out: &mut Vec<u8>) -> Step {
    let job = Segments::new(context).map(Job::Segments);
    session.begin(job, context, out)
}

/// `AERO.HISTORY position`
pub(super) fn history(session: &mut Session, words: Words<'_>, context: &mut Context<'_>, out: &mut Vec<u8>) -> Step {
    let Some(position) = at_least(words.at(1), 0).map(Position) else { return session.refuse(NOT_AN_INTEGER, out) };
    match headers(context, position) {
        Ok(Some(headers)) => {
            context.count_read(headers.read_bytes());
            let mut out = session.out(out);
            out.array(3);
            put_point(headers.point(), &mut out);
            Step::Replied
        }
        Ok(None) => {
            session.out(out).null_array();
            Step::Replied
        }
        Err(error) => session.fail(&error, out),
    }
}

/// `AERO.LOG from [COUNT n]`
pub(super) fn records(session: &mut Session, words: Words<'_>, context: &mut Context<'_>, out: &mut Vec<u8>) -> Step {
    let Some(from) = at_least(words.at(1), 0).map(Position) else { return session.refuse(NOT_AN_INTEGER, out) };
    let count = match words.len() {
        2 => Some(limits::LOG_RECORDS_MAX),
        4 if words.is(2, "COUNT") => at_least(words.at(3), 1),
        _ => return session.refuse(SYNTAX_ERROR, out),
    };
    let Some(count) = count else { return session.refuse("ERR value is out of range, must be positive", out) };
    let mut kept = Vec::new();
    let listed = headers(context, from).and_then(|headers| {
        let mut headers = headers.ok_or_else(|| no_record(from, context))?;
        let mut page = Out::new(session.version(), &mut kept);
        put_point(headers.point(), &mut page);
        let mut records = 0_usize;
        while records < count.min(limits::LOG_RECORDS_MAX) && headers.read_bytes() < limits::LOG_READ_BYTES_MAX {
            let Some((header, after)) = headers.next_header()? else { break };
            page.bulk(header.kind.name().as_bytes());
            page.count(header.record_len());
            put_point(after, &mut page);
            records = records.saturating_add(1);
        }
        context.count_read(headers.read_bytes());
        Ok(records)
    });
    match listed {
        Ok(records) => {
            let mut out = session.out(out);
            out.array(records.saturating_mul(5).saturating_add(3));
            out.encoded(&kept);
            Step::Replied
        }
        Err(error) => session.fail(&error, out),
    }
}

/// `AERO.RECORD position`
pub(super) fn record(session: &mut Session, words: Words<'_>, context: &mut Context<'_>, out: &mut Vec<u8>) -> Step {
    let Some(position) = at_least(words.at(1), 0).map(Position) else { return session.refuse(NOT_AN_INTEGER, out) };
    match beginning(context, position) {
        Ok((before, record_len, beginning)) => {
            let mut out = session.out(out);
            out.array(5);
            put_point(before, &mut out);
            out.count(record_len);
            out.bulk(&beginning);
            Step::Replied
        }
        Err(error) => session.fail(&error, out),
    }
}

/// The point before a record, its length, and what is shown of it.
fn beginning(context: &mut Context<'_>, position: Position) -> Result<(LogPoint, usize, Vec<u8>)> {
    // What a record says is data: it is shown where a read at its commit would be answered, but for the floor, which hides versions and not log.
    let newest = context.database.view(None)?.commit();
    let mut headers = headers(context, position)?.ok_or_else(|| no_record(position, context))?;
    let before = headers.point();
    let (header, _) = headers.next_header()?.ok_or_else(|| no_record(position, context))?;
    if header.commit > newest {
        return Err(Error::new(Reason::ViewBeyondApplied).with("view", header.commit).with("applied_commit", newest));
    }
    let shown = headers.beginning(position, header.record_len().min(limits::RECORD_SHOWN_BYTES))?;
    context.count_read(headers.read_bytes());
    Ok((before, header.record_len(), shown))
}

/// AERO.RUNS
pub(super) fn runs(session: &mut Session, _: Words<'_>, context: &mut Context<'_>, out: &mut Vec<u8>) -> Step {
    let status = context.database.status();
    let mut out = session.out(out);
    out.array(status.runs.len().saturating_mul(3).saturating_add(3));
    put_point(status.checkpoint, &mut out);
    for run in &status.runs {
        out.bulk(run.id.file_name().as_bytes());
        out.count(run.size);
        out.bulk(format!("{:032x}", run.hash).as_bytes());
    }
    Step::Replied
}

fn headers(context: &mut Context<'_>, from: Position) -> Result<Option<LogHeaders>> {
    // Finding the segment lists the directory, whatever comes of it: a turn has room for a few of these.
    context.count_read(limits::TURN_BYTES / 8);
    let database = context.database;
    LogHeaders::open(database.log(), from, database.extent().durable).map_err(|error| {
        // A segment that was listed may be gone by the time it is opened.
        let oldest = database.extent().oldest;
        let retired = error.reason() == Reason::WalSegmentMissing && from < oldest;
        if retired { Error::new(Reason::WalRetired).with("position", from).with("oldest", oldest) } else { error }
    })
}

fn no_record(position: Position, context: &Context<'_>) -> Error {
    let end = context.database.extent().durable;
    Error::new(Reason::WalBeyondEnd).with("position", position).with("end", end).with("fault", "no record begins there")
}

/// A point as AERO.LAST has it.
pub(super) fn put_point(point: LogPoint, out: &mut Out<'_>) {
    out.count(point.commit.0);
    out.count(point.position.0);
    out.bulk(point.history.to_string().as_bytes());
}
