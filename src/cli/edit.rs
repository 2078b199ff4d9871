//! The commands that make history: `init`, `put`, `del`, `floor`, `checkpoint`.
//!
//! Each of them is one record of the log, or none; `put` and `del` are made by a server where one is named. A commit is printed once it is durable; the maintenance that it made due is done
//! before the command ends, because no other process will do it, and where it fails the commit stands. A replica refuses all of them
//! but `init`.

use crate::cli::args::{self, Place, Target};
use crate::cli::output::{self, Output};
use crate::cli::remote::Server;
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

/// A change of keys, which is one commit.
enum Edit<'a> {
    Put(&'a [[Vec<u8>; 2]]),
    Delete(&'a [Vec<u8>]),
}

impl Edit<'_> {
    fn batch(&self) -> Result<Batch> {
        let mut batch = Batch::new();
        match self {
            Edit::Put(pairs) => pairs.iter().try_for_each(|[key, value]| batch.put(key, value))?,
            Edit::Delete(keys) => keys.iter().try_for_each(|key| batch.delete(key))?,
        }
        Ok(batch)
    }

    fn request(&self) -> Vec<&[u8]> {
        let (name, arguments): (&[u8], &[Vec<u8>]) = match self {
            Edit::Put(pairs) => (b"MSET", pairs.as_flattened()),
            Edit::Delete(keys) => (b"DEL", keys),
        };
        std::iter::once(name).chain(arguments.iter().map(Vec::as_slice)).collect()
    }
}

/// `aerodb put`: all pairs are one commit.
pub(crate) fn put(matches: &ArgMatches, out: &mut Output) -> Result<()> {
    let place = Place::read(matches)?;
    let words = args::keys(matches, "PAIR")?;
    match (matches.get_one::<std::path::PathBuf>("value-file"), words.as_slice()) {
        (Some(file), [key]) => commit(&place, &Edit::Put(&[[key.clone(), read_value(file)?]]), out),
        (Some(_), _) => Err(args::usage("with --value-file there is one KEY and no VALUE")),
        (None, words) => match words.as_chunks::<2>() {
            (pairs, []) => commit(&place, &Edit::Put(pairs), out),
            _ => Err(args::usage("each KEY needs a VALUE")),
        },
    }
}

/// `aerodb del`: all keys are one commit.
pub(crate) fn delete(matches: &ArgMatches, out: &mut Output) -> Result<()> {
    commit(&Place::read(matches)?, &Edit::Delete(&args::keys(matches, "KEY")?), out)
}

/// Makes the commit. What a batch may not hold is refused here, wherever it would go.
fn commit(place: &Place, edit: &Edit<'_>, out: &mut Output) -> Result<()> {
    let batch = edit.batch()?;
    match place {
        Place::Directory(target) => with_writer(target.options(), "commit", |node| {
            let commit = node.commit(batch)?;
            let after = node.durable();
            out.answer(format!("commit {commit}"), || output::point(after))?;
            out.flush()
        }),
        Place::Server(address) => {
            match Server::connect(address)?.write(&edit.request())? {
                Some(after) => out.answer(format!("commit {}", after.commit), || output::point(after))?,
                None => out.answer(
                    "no commit: none of the keys has a value",
                    || json!({ "commit": null, "history": null, "position": null }),
                )?,
            }
            out.flush()
        }
    }
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
