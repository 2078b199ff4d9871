//! `aerodb wal`: the log, record by record.
//!
//! It reads identity, mark and segments, and nothing else: no store, no lock, not a byte is written. So it works on a directory that
//! does not open, on a read-only file system, and beside a running node. Where the log ends is what `wal/MARK` promises: every record
//! before that point is proven on the way or the command fails there; whatever a crash left behind that point is not shown.
//!
//! Memory is bounded by one record, however long the log is.

use crate::cli::args::{self, Target};
use crate::cli::bytes;
use crate::cli::output::{self, Output};
use aerodb::record::{Content, Kind, Record};
use aerodb::recovery::{Options, lineage};
use aerodb::store::run::RunInfo;
use aerodb::wal::{self, LogCursor, Mark};
use aerodb::{Error, LogPoint, Position, Reason, Result};
use clap::ArgMatches;
use serde_json::json;

/// `aerodb wal`.
pub(crate) fn wal(matches: &ArgMatches, out: &mut Output) -> Result<()> {
    let target = Target::read(matches)?;
    let from = args::number(matches, "from")?.map(Position);
    let to = args::number(matches, "to")?.map(Position);
    let options = target.options();
    let identity = target.identity()?;
    let directory = wal::directory(&options.dir);
    let end = Mark::read_beside_writer(options.disk.as_ref(), &directory, identity.database_id)?.durable;
    let from = from.map_or_else(|| oldest(options), Ok)?;
    match to {
        Some(to) if to > end.position => {
            return Err(Error::new(Reason::WalBeyondEnd).with("position", to).with("end", end));
        }
        Some(to) if to < from => return Err(Error::new(Reason::RangeInvalid).with("from", from).with("to", to)),
        _ => {}
    }
    let to = to.unwrap_or(end.position);
    let mut cursor = LogCursor::open(options.disk.clone(), &directory, lineage(&identity), from, end)?;
    // The cursor proves the point it ends at too, so it is asked once more behind the last record.
    while cursor.point().position < to || to == end.position {
        let Some((record, stored)) = cursor.next_record()? else { break };
        let bytes = stored.len();
        if out.is_json() { record_json(&record, bytes, out)? } else { record_text(&record, bytes, out)? }
    }
    let note = format!("# end: {end}: durable as wal/MARK says; what may follow is not shown");
    out.answer(note, || json!({ "end": output::point(end), "found_by": "wal/MARK" }))
}

/// The oldest position that is kept.
fn oldest(options: &Options) -> Result<Position> {
    let directory = wal::directory(&options.dir);
    let names = options.disk.list(&directory)?.unwrap_or_default();
    let first = names.iter().find_map(|name| wal::parse_name(name));
    first.ok_or_else(|| Error::new(Reason::WalSegmentMissing).with("directory", directory.display()))
}

/// The CommitId of a commit; of other records, the last one before them.
fn commit(record: &Record<'_>) -> u64 {
    record.after.commit.0
}

fn kind(record: &Record<'_>) -> Kind {
    record.content.kind()
}

/// Position, kind, commit, length and history of the record, then what it says, with tabs in between.
fn record_text(record: &Record<'_>, stored: usize, out: &mut Output) -> Result<()> {
    let LogPoint { position, history, .. } = record.before;
    out.raw(format!("{position}\t{}\t{}\t{stored}\t{history}", kind(record), commit(record)).as_bytes())?;
    match &record.content {
        Content::Commit(operations) => {
            for operation in operations.clone() {
                let key = bytes::escape(operation.key);
                match operation.value {
                    Some(value) => out.raw(format!("\tput\t{key}\t{}", bytes::escape(value)).as_bytes())?,
                    None => out.raw(format!("\tdel\t{key}").as_bytes())?,
                }
            }
        }
        Content::Floor(floor) => out.raw(format!("\t{floor}").as_bytes())?,
        Content::Proof(proof) => {
            let RunInfo { id, size, hash } = RunInfo::from(proof);
            out.raw(format!("\t{}\t{size}\t{hash:032x}", id.file_name()).as_bytes())?;
        }
        Content::Cut(purpose) => out.raw(format!("\t{}", purpose.name()).as_bytes())?,
        Content::Seal => {}
    }
    out.raw(b"\n")
}

/// One object; the operations are written one by one, because a commit may have very many.
fn record_json(record: &Record<'_>, stored: usize, out: &mut Output) -> Result<()> {
    let mut head = json!({
        "position": record.before.position.0,
        "history": record.before.history.to_string(),
        "kind": kind(record).name(),
        "commit": commit(record),
        "bytes": stored,
        "next": output::point(record.after),
    });
    match &record.content {
        Content::Commit(operations) => {
            // The object stays open for them.
            let head = head.to_string();
            out.raw(head.strip_suffix('}').unwrap_or(&head).as_bytes())?;
            out.raw(b",\"operations\":[")?;
            for (index, operation) in operations.clone().enumerate() {
                let key = bytes::json(operation.key);
                let shown = match operation.value {
                    Some(value) => json!({ "op": "put", "key": key, "value": bytes::json(value) }),
                    None => json!({ "op": "del", "key": key }),
                };
                if index > 0 {
                    out.raw(b",")?;
                }
                out.raw(shown.to_string().as_bytes())?;
            }
            out.raw(b"]}\n")
        }
        Content::Floor(floor) => {
            head["floor"] = json!(floor.0);
            out.json(&head)
        }
        Content::Proof(proof) => {
            let RunInfo { id, size, hash } = RunInfo::from(proof);
            head["run"] = json!({ "file": id.file_name(), "bytes": size, "hash": format!("{hash:032x}") });
            out.json(&head)
        }
        Content::Cut(purpose) => {
            head["purpose"] = json!(purpose.name());
            out.json(&head)
        }
        Content::Seal => out.json(&head),
    }
}
