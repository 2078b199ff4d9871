//! Comparing two directories of one database that nobody has open: is one log the beginning of the other, and are the runs the same.
//!
//! ```text
//! lock both ─► whose ─► ends of the logs ─► bisect the histories in the segment headers ─► records of one segment ─► runs, whole
//! ```
//!
//! Two logs with equal position and history are the same log up to there. So the headers of the segments say between which two the
//! logs part, and of the records only those of that segment are read; where the ends are equal, none. Runs of one identity have one possible
//! content (R-DETERMINISM): those of both sides are read whole, against the hash in their manifests, and the hashes compared.
//!
//! Promises: writes nothing; memory does not grow with the database. What stands in sealed segments is compared by the histories
//! that follow from it; [`CompareOptions::thorough`] has every byte of both sides prove itself first.
//!
//! Deliberately absent: which side is right. Two sound logs that differ were both written by a writer; that is for a person to judge.

use crate::backup::{Whole, read_whole};
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::identity::Identity;
use crate::position::{LogPoint, Position};
use crate::reason::Reason;
use crate::record::Kind;
use crate::recovery::{self, Options};
use crate::store::Store;
use crate::store::manifest::Manifest;
use crate::store::run::{RunId, RunInfo};
use crate::sync::Arc;
use crate::verify;
use crate::wal::{self, Inspection, LogCursor, LogOptions, SegmentReader};
use std::cmp::Ordering;
use std::fmt;
use std::path::{Path, PathBuf};

/// What is compared.
#[derive(Clone)]
pub struct CompareOptions {
    /// The directory that is called a.
    pub a: PathBuf,
    /// The directory that is called b.
    pub b: PathBuf,
    /// The disk.
    pub disk: Arc<dyn Disk>,
    /// Whether every byte of both sides is proven first.
    pub thorough: bool,
}

/// One of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The one that is named first.
    A,
    /// The other.
    B,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Side::A => "a",
            Side::B => "b",
        })
    }
}

/// Whose directory one is, and what log it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compared {
    /// Whose directory it is.
    pub identity: Identity,
    /// The log before the oldest record that is kept.
    pub oldest: LogPoint,
    /// The end of the log.
    pub end: LogPoint,
}

/// How one log lies to the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// They are the same.
    Same,
    /// One is the beginning of the other.
    Prefix {
        /// The one that ends first.
        shorter: Side,
    },
    /// Each goes on with what the other has not.
    Diverged(Fork),
}

/// Where two logs part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fork {
    /// Behind a point that both have.
    Behind {
        /// The last point that both have: there begins the first record that differs.
        common: LogPoint,
        /// That record in a.
        a: Step,
        /// That record in b.
        b: Step,
    },
    /// They differ already where the log begins that both still hold.
    Before {
        /// The oldest point of a there.
        a: LogPoint,
        /// That of b.
        b: LogPoint,
    },
}

/// A record that only one of the logs has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// What it is.
    pub kind: Kind,
    /// The log with it.
    pub after: LogPoint,
}

/// The runs of both sides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Runs {
    /// Runs of one identity that are equal, byte for byte.
    pub equal: u64,
    /// Bytes of them, on one side.
    pub bytes: u64,
    /// Runs that only a has: it is further, or has merged further.
    pub only_a: u64,
    /// Runs that only b has.
    pub only_b: u64,
    /// Runs of one identity whose commits are not the same commits, because the logs part before their end.
    pub behind_fork: u64,
    /// Runs of one identity and one log that differ.
    pub different: Vec<Difference>,
}

/// Two runs that must be equal and are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Which run.
    pub id: RunId,
    /// Size and hash of that of a.
    pub a: (u64, u128),
    /// Size and hash of that of b.
    pub b: (u64, u128),
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// The first directory.
    pub a: Compared,
    /// The second directory.
    pub b: Compared,
    /// The oldest position that both hold: from there on the logs are compared.
    pub from: Position,
    /// How the logs lie to one another.
    pub relation: Relation,
    /// The runs.
    pub runs: Runs,
    /// Whether every byte of both was proven.
    pub thorough: bool,
}

impl Comparison {
    /// Refuses what must not be: logs that part, runs that differ.
    ///
    /// # Errors
    /// `history.diverged`, `state.diverged`.
    pub fn check(&self) -> Result<()> {
        let diverged = Error::new(Reason::HistoryDiverged);
        match (&self.relation, self.runs.different.first()) {
            (Relation::Diverged(Fork::Behind { common, a, b }), _) => Err(diverged
                .with("position", common.position)
                .with("common", common)
                .with("a", a.after)
                .with("b", b.after)),
            (Relation::Diverged(Fork::Before { a, b }), _) => {
                Err(diverged.with("position", self.from).with("a", a).with("b", b))
            }
            (Relation::Same | Relation::Prefix { .. }, Some(Difference { id, a, b })) => {
                let [a, b] = [a, b].map(|(size, hash)| format!("{size} bytes {hash:032x}"));
                Err(Error::new(Reason::StateDiverged).with("run", id).with("a", a).with("b", b))
            }
            (Relation::Same | Relation::Prefix { .. }, None) => Ok(()),
        }
    }
}

/// Compares two directories that nobody has open. `progress` is told the bytes that are done, and of how many, of one part after the
/// other.
///
/// # Errors
/// `identity.other_database`, `identity.other_epoch`, `identity.other_parameters`: they can't be compared; `wal.retired`: one log ends
/// before the other begins; `dir.not_found`, `dir.locked`, what does not verify by name. That they differ is no error: see
/// [`Comparison::check`].
pub fn compare(options: &CompareOptions, progress: &mut dyn FnMut(u64, u64)) -> Result<Comparison> {
    let CompareOptions { a, b, disk, thorough } = options;
    let enter = |dir| recovery::enter(&Options { disk: Arc::clone(disk), ..Options::new(dir) });
    let ((_lock_a, whose_a), (_lock_b, whose_b)) = (enter(a)?, enter(b)?);
    check_comparable(&whose_a, &whose_b)?;
    if *thorough {
        verify::prove(disk, a, &whose_a, progress)?;
        verify::prove(disk, b, &whose_b, progress)?;
    }
    let (a, b) = (Directory::look(disk, a, whose_a)?, Directory::look(disk, b, whose_b)?);
    let from = a.log.oldest.position.max(b.log.oldest.position);
    let relation = relation(&a, &b, from)?;
    let runs = compare_runs(&a, &b, &relation, progress)?;
    let (a, b) = (a.compared(), b.compared());
    Ok(Comparison { a, b, from, relation, runs, thorough: *thorough })
}

/// A directory that is locked, and the outline of its log.
struct Directory {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    identity: Identity,
    options: LogOptions,
    log: Inspection,
}

impl Directory {
    fn look(disk: &Arc<dyn Disk>, dir: &Path, identity: Identity) -> Result<Directory> {
        recovery::check_complete(disk.as_ref(), dir, &identity)?;
        let options = recovery::log_options(disk, dir, &identity, Options::new(dir).extend_bytes);
        let log = wal::outline(&options)?;
        Ok(Directory { disk: Arc::clone(disk), dir: dir.to_owned(), identity, options, log })
    }

    fn compared(&self) -> Compared {
        Compared { identity: self.identity, oldest: self.log.oldest, end: self.log.end }
    }

    /// What the header of a segment says of the log before it; `None` where no segment begins there.
    fn point_at(&self, first: Position) -> Result<Option<LogPoint>> {
        if self.log.segments.binary_search(&first).is_err() {
            // The next segment may not have been begun.
            return Ok(Some(self.log.end).filter(|end| end.position == first));
        }
        let LogOptions { disk, directory, lineage, .. } = &self.options;
        SegmentReader::open(disk.as_ref(), directory, first, *lineage, first).map(|(_, point)| Some(point))
    }

    fn records_from(&self, position: Position) -> Result<LogCursor> {
        let LogOptions { disk, directory, lineage, .. } = &self.options;
        LogCursor::open(Arc::clone(disk), directory, *lineage, position, self.log.end)
    }
}

fn check_comparable(a: &Identity, b: &Identity) -> Result<()> {
    let differ =
        |reason, a: String, b: String| if a == b { Ok(()) } else { Err(Error::new(reason).with("a", a).with("b", b)) };
    differ(Reason::IdentityOtherDatabase, a.database_id.to_string(), b.database_id.to_string())?;
    differ(Reason::IdentityOtherEpoch, a.epoch.to_string(), b.epoch.to_string())?;
    differ(Reason::IdentityOtherParameters, format!("{:?}", a.parameters), format!("{:?}", b.parameters))
}

fn relation(a: &Directory, b: &Directory, from: Position) -> Result<Relation> {
    let (shorter, end) = match a.log.end.position.cmp(&b.log.end.position) {
        Ordering::Equal if a.log.end == b.log.end => return Ok(Relation::Same),
        Ordering::Less | Ordering::Equal => (Side::A, a.log.end),
        Ordering::Greater => (Side::B, b.log.end),
    };
    if end.position < from {
        return Err(Error::new(Reason::WalRetired).with("side", shorter).with("end", end).with("oldest", from));
    }
    let Some(last) = last_equal_segment(a, b, from, end.position)? else {
        // A log that begins at genesis begins there in every directory of its database; so a side that has no segment here has another log.
        let at = |side: &Directory| side.point_at(from).map(|point| point.unwrap_or(side.log.oldest));
        return Ok(Relation::Diverged(Fork::Before { a: at(a)?, b: at(b)? }));
    };
    let fork = first_difference(a.records_from(last)?, b.records_from(last)?)?;
    Ok(fork.map_or(Relation::Prefix { shorter }, Relation::Diverged))
}

/// The last segment that begins with the same history on both sides, by bisection: behind the first that differs all differ.
fn last_equal_segment(a: &Directory, b: &Directory, from: Position, end: Position) -> Result<Option<Position>> {
    let holder = if a.log.oldest.position == from { a } else { b };
    let firsts: Vec<Position> = holder.log.segments.iter().copied().filter(|first| *first <= end).collect();
    let (mut equal, mut unknown) = (None, firsts.as_slice());
    while let Some((before, [middle, behind @ ..])) = unknown.split_at_checked(unknown.len() / 2) {
        let point = a.point_at(*middle)?;
        if point.is_some() && point == b.point_at(*middle)? {
            (equal, unknown) = (Some(*middle), behind);
        } else {
            unknown = before;
        }
    }
    Ok(equal)
}

/// Walks both logs, record by record, to the first that differs; `None` where one of them ends before that.
fn first_difference(mut a: LogCursor, mut b: LogCursor) -> Result<Option<Fork>> {
    loop {
        let common = a.point();
        let (Some(a), Some(b)) = (next(&mut a)?, next(&mut b)?) else { return Ok(None) };
        if a != b {
            return Ok(Some(Fork::Behind { common, a, b }));
        }
    }
}

fn next(cursor: &mut LogCursor) -> Result<Option<Step>> {
    let record = cursor.next_record()?;
    Ok(record.map(|(record, _)| Step { kind: record.content.kind(), after: record.after }))
}

/// Compares the runs of one identity whose commits both logs have.
fn compare_runs(a: &Directory, b: &Directory, relation: &Relation, progress: &mut dyn FnMut(u64, u64)) -> Result<Runs> {
    let manifest = |side: &Directory| {
        Manifest::read(side.disk.as_ref(), &Store::directory(&side.dir), side.identity.database_id)
            .map(|read| read.plan.runs)
    };
    let (runs_a, runs_b) = (manifest(a)?, manifest(b)?);
    // A table may have been sealed behind the commit at which the logs part; before it, it was sealed in what is common.
    let is_common = |id: RunId| match relation {
        Relation::Same | Relation::Prefix { .. } => true,
        Relation::Diverged(Fork::Behind { common, .. }) => id.last < common.commit,
        Relation::Diverged(Fork::Before { .. }) => false,
    };
    let pairs: Vec<(RunInfo, RunInfo)> = runs_a
        .iter()
        .filter_map(|run| runs_b.iter().find(|other| other.id == run.id).map(|other| (*run, *other)))
        .collect();
    let mut runs = Runs {
        only_a: (runs_a.len() - pairs.len()) as u64,
        only_b: (runs_b.len() - pairs.len()) as u64,
        behind_fork: pairs.iter().filter(|(run, _)| !is_common(run.id)).count() as u64,
        ..Runs::default()
    };
    let total = pairs.iter().filter(|(run, _)| is_common(run.id)).map(|(a, b)| a.size.saturating_add(b.size)).sum();
    let mut done = 0u64;
    for (run_a, run_b) in pairs.into_iter().filter(|(run, _)| is_common(run.id)) {
        for (side, run) in [(a, &run_a), (b, &run_b)] {
            read_run(side, run, &mut |bytes| {
                done = done.saturating_add(bytes);
                progress(done.min(total), total);
            })?;
        }
        if run_a == run_b {
            runs.equal += 1;
            runs.bytes = runs.bytes.saturating_add(run_a.size);
        } else {
            let [a, b] = [run_a, run_b].map(|run| (run.size, run.hash));
            runs.different.push(Difference { id: run_a.id, a, b });
        }
    }
    Ok(runs)
}

/// Reads a run whole: it is the one that the manifest of its side names.
fn read_run(side: &Directory, run: &RunInfo, advance: &mut dyn FnMut(u64)) -> Result<()> {
    let path = Store::directory(&side.dir).join(run.id.file_name());
    let whole = read_whole(side.disk.as_ref(), &path, run.size, &mut |piece| {
        advance(piece.len() as u64);
        Ok(())
    })?;
    let corrupt = || Error::new(Reason::StoreRunCorrupt).with("file", path.display());
    match whole {
        Whole::Hash(hash) if hash == run.hash => Ok(()),
        Whole::Hash(hash) => {
            let hash = format!("{hash:032x}");
            Err(corrupt().with("expected", format_args!("{:032x}", run.hash)).with("found", hash))
        }
        Whole::Size(bytes) => Err(corrupt().with("expected_bytes", run.size).with("found_bytes", bytes)),
        Whole::Absent => Err(Error::new(Reason::StoreRunMissing).with("file", path.display())),
    }
}
