//! The commands that make history: `init`, `put`, `del`, `floor`, `checkpoint`.
//!
//! Each of them is one record of the log, or none. A commit is printed once it is durable; the maintenance that it made due is done
//! before the command ends, because no other process will do it, and where it fails the commit stands. A replica refuses all of them
//! but `init`.

use crate::cli::args::{self, Target};
use crate::cli::output::{self, Output};
use crate::cli::session::with_writer;
use aerodb::committer::Retention;
use aerodb::disk::RealDisk;
use aerodb::record::Purpose;
use aerodb::recovery::Init;
use aerodb::{Batch, Error, Node, Options, Reason, Result, limits};
use clap::ArgMatches;
use serde_json::{Value, json};
use std::ffi::OsStr;
use std::io::Read;
use std::path::Path;

/// `aerodb init`.
pub(crate) fn init(matches: &ArgMatches, out: &mut Output) -> Result<()> {
    let mut options = Init::standalone(args::path(matches, "DIR")?);
    if let Some(role) = args::role(matches, "role")? {
        options.role = role;
    }
    let parameters = &mut options.parameters;
    if let Some(bytes) = args::size(matches, "segment-bytes")? {
        parameters.segment_bytes = bytes;
    }
    if let Some(bytes) = args::size(matches, "table-bytes")? {
        parameters.table_bytes = bytes;
    }
    if let Some(bytes) = args::size(matches, "block-bytes")? {
        parameters.block_bytes = args::narrow("block_bytes", bytes)?;
    }
    if let Some(runs) = args::number(matches, "fanout")? {
        parameters.fanout = args::narrow("fanout", runs)?;
    }
    let identity = Node::init(&options)?;
    let text = format!("{} database {} node {}", identity.role, identity.database_id, identity.node_id);
    out.answer(text, || output::identity(&identity))
}

/// `aerodb put`: all pairs are one commit.
pub(crate) fn put(matches: &ArgMatches, out: &mut Output) -> Result<()> {
    let target = Target::read(matches)?;
    let words = args::keys(matches, "PAIR")?;
    let mut batch = Batch::new();
    match (matches.get_one::<std::path::PathBuf>("value-file"), words.as_slice()) {
        (Some(file), [key]) => batch.put(key, &read_value(file)?)?,
        (Some(_), _) => return Err(args::usage("with --value-file there is one KEY and no VALUE")),
        (None, words) => {
            let (pairs, left) = words.as_chunks::<2>();
            if !left.is_empty() {
                return Err(args::usage("each KEY needs a VALUE"));
            }
            for [key, value] in pairs {
                batch.put(key, value)?;
            }
        }
    }
    commit(&target, batch, out)
}

/// `aerodb del`: all keys are one commit.
pub(crate) fn delete(matches: &ArgMatches, out: &mut Output) -> Result<()> {
    let target = Target::read(matches)?;
    let mut batch = Batch::new();
    for key in args::keys(matches, "KEY")? {
        batch.delete(&key)?;
    }
    commit(&target, batch, out)
}

fn commit(target: &Target, batch: Batch, out: &mut Output) -> Result<()> {
    with_writer(target.options(), "commit", |node| {
        let commit = node.commit(batch)?;
        let after = node.durable();
        out.answer(format!("commit {commit}"), || output::point(after))?;
        out.flush()
    })
}

/// `aerodb floor`.
pub(crate) fn floor(matches: &ArgMatches, out: &mut Output) -> Result<()> {
    let target = Target::read(matches)?;
    let floor = args::commit(matches, "N")?.ok_or_else(|| args::usage("N is missing"))?;
    with_writer(target.options(), "floor", |node| {
        let after = node.raise_floor(floor)?;
        out.answer(format!("floor {floor}"), || with(output::point(after), "floor", json!(floor.0)))?;
        out.flush()
    })
}

/// `aerodb checkpoint`. Log is dropped only where it was said how much of it stays.
pub(crate) fn checkpoint(matches: &ArgMatches, out: &mut Output) -> Result<()> {
    let target = Target::read(matches)?;
    let keep = args::size(matches, "keep-log")?;
    let retention = keep.map_or(Retention::All, Retention::Bytes);
    let options = Options { retention, ..target.options().clone() };
    with_writer(&options, "checkpoint", |node| {
        let before = node.report().log.oldest;
        let cut = node.checkpoint(Purpose::Checkpoint)?;
        let oldest = node.oldest();
        out.answer(format!("checkpoint {cut}"), || {
            let object = output::point(cut);
            if keep.is_none() {
                return object;
            }
            with(with(object, "log_oldest", json!(oldest.0)), "log_oldest_before", json!(before.0))
        })?;
        if keep.is_some() && !out.is_json() {
            out.line(format!("log from position {oldest}, before from position {before}"))?;
        }
        out.flush()
    })
}

fn with(mut object: Value, name: &str, value: Value) -> Value {
    if let Some(fields) = object.as_object_mut() {
        fields.insert(name.to_owned(), value);
    }
    object
}

/// The bytes of a file of any kind, or of standard input, as they are, to their end. One byte more than a value may have is enough to
/// refuse it, so no more memory is taken.
fn read_value(file: &Path) -> Result<Vec<u8>> {
    let unreadable = |problem: &str| Error::new(Reason::CliInput).with("file", file.display()).with("problem", problem);
    let enough = limits::VALUE_BYTES_MAX + 1;
    if file.as_os_str() == OsStr::new("-") {
        let mut value = Vec::new();
        let read = std::io::stdin().lock().take(enough as u64).read_to_end(&mut value);
        return read.map(|_| value).map_err(|error| unreadable(&error.to_string()));
    }
    let told = |error: Error| unreadable(error.fact("error").unwrap_or(error.reason().sentence()));
    RealDisk.read_stream(file, enough).map_err(told)
}
