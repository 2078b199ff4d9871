//! Whose run is wrong: what the log yields, by the code that made the runs.
//!
//! ```text
//! the run before, which both sides prove ─► its end in the log ─┐
//!                        or genesis, if all log is kept ────────┴─► Applier ─► Maintenance ─► the run, in scratch ─► compared with that of a, of b
//! ```
//!
//! A run is a function of its commits, of where their tables were sealed, and of the floor there (R-DETERMINISM). The run before it ends where its
//! first table begins, and says with which floor. So no more of the log is replayed than the run was made of. Where nobody can prove the run before, all
//! of the log is, from genesis on; where that is retired, nothing can be told, and that is the verdict.
//!
//! Promises: neither side is written to. What is made in a directory goes with it, also after a failure; what a kill leaves is named
//! `aerodb-compare-…`. Memory: two tables and what is waiting of them, one record, one block of each run that is merged; for a log of up to
//! [`MEMORY_LOG_BYTES`] the runs as well. Disk: no more than twice the log of the run's commits.

use super::local::Local;
use super::party::{Party, Stored};
use super::runs::{Runs, Unheld};
use super::written::Excerpt;
use super::{CompareOptions, Side};
use crate::commit_id::CommitId;
use crate::disk::{Access, Disk, RealDisk, SimDisk};
use crate::entropy;
use crate::error::{Error, Result};
use crate::id::Id;
use crate::maintenance::{Maintenance, Progress};
use crate::position::{LogPoint, Position};
use crate::reason::Reason;
use crate::record::{Content, Record};
use crate::recovery;
use crate::store::manifest::Manifest;
use crate::store::plan::Plan;
use crate::store::run::{Cache, Entry, Run, RunId, RunInfo};
use crate::store::{Applier, Store, StoreOptions};
use crate::sync::Arc;
use crate::wal::LogCursor;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// A log of up to this length is replayed in memory, if no directory is named for it.
pub const MEMORY_LOG_BYTES: u64 = 16 << 20;
/// Memory for blocks of runs that are merged or compared.
const CACHE_BYTES: u64 = 1 << 20;
/// What is compared at once of two files.
const PIECE_BYTES: usize = 64 * 1024;

/// Whose run is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judged {
    /// That of one side: it is not what the log yields. That of the other is, if there is one.
    Wrong(Side),
    /// Both.
    Both,
    /// It can't be told, and why.
    Unknown(String),
}

impl fmt::Display for Judged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Judged::Wrong(side) => write!(f, "{side} is wrong"),
            Judged::Both => f.write_str("both are wrong"),
            Judged::Unknown(why) => write!(f, "cannot be told: {why}"),
        }
    }
}

/// What a replay of the log says of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Which run.
    pub id: RunId,
    /// Whose is wrong.
    pub judged: Judged,
    /// From where on the log was replayed, if it was.
    pub from: Option<LogPoint>,
    /// How many records were.
    pub records: u64,
    /// Size and hash of the run that the log yields; `None` if it yields none of this identity, or was not replayed.
    pub yields: Option<(u64, u128)>,
    /// Where a wrong run whose file is at hand first differs.
    pub spots: Vec<(Side, Spot)>,
}

/// Where a run first differs from that of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    /// The first byte of the file.
    pub offset: u64,
    /// The first version, in order, that is another, or can't be read: its key and its commit. None, if all can be read and are the same.
    pub version: Option<(Excerpt, CommitId)>,
}

/// Refuses a place for what is replayed that lies in one of the sides.
pub(super) fn check_scratch(parties: [&dyn Party; 2], scratch: &Path) -> Result<()> {
    for local in parties.iter().filter_map(|party| party.local()) {
        recovery::refuse_inside(&RealDisk, &scratch.join("new"), local.dir())?;
    }
    Ok(())
}

/// Judges each run that differs or does not verify, of two sides whose logs agree.
pub(super) fn judge(
    parties: [&dyn Party; 2],
    stored: [&Stored; 2],
    runs: &Runs,
    options: &CompareOptions,
    progress: &mut dyn FnMut(u64, u64),
) -> Vec<Verdict> {
    let different = runs.different.iter().map(|different| different.id);
    let mut suspects: Vec<RunId> = different.chain(runs.damaged.iter().map(|damage| damage.id)).collect();
    suspects.sort_unstable();
    suspects.dedup();
    let judge = Judge { parties, stored, runs, options };
    suspects.into_iter().map(|id| judge.verdict(id, id, progress)).collect()
}

/// Holds the runs that only one side has against the log, as far as both have their commits: whoever merged further has no run of the same identity,
/// and both states must still be what the log yields. Sets what is held and what is not, and returns the verdicts on those that are wrong.
pub(super) fn hold(
    parties: [&dyn Party; 2],
    stored: [&Stored; 2],
    runs: &mut Runs,
    options: &CompareOptions,
    progress: &mut dyn FnMut(u64, u64),
) -> Vec<Verdict> {
    let common = parties.iter().map(|party| party.held().end.commit).min().unwrap_or_default();
    let [a, b] = stored.map(|stored| &stored.runs);
    let alone = |side: Side, runs: &[RunInfo], others: &[RunInfo]| {
        let alone = runs.iter().filter(|run| !others.iter().any(|other| other.id == run.id));
        alone.map(|run| (side, *run)).collect::<Vec<_>>()
    };
    let mut alone = [alone(Side::A, a, b), alone(Side::B, b, a)].concat();
    alone.retain(|(side, run)| run.id.first <= common && runs.is_sound(*side, run.id));
    alone.sort_unstable_by_key(|(_, run)| (run.id.first, run.id.last));
    let (mut held, mut unheld, mut verdicts) = (0, Vec::new(), Vec::new());
    let judge = Judge { parties, stored, runs, options };
    for stretch in stretches(alone) {
        let (made, why) = judge.yields(&stretch, progress);
        let begin = stretch.first().map(|(_, run)| run.id);
        for (side, run) in stretch {
            match made.get(&run.id) {
                Some(yields) if *yields == run => held += 1,
                Some(_) => verdicts.push(judge.verdict(run.id, begin.unwrap_or(run.id), progress)),
                None => unheld.push(Unheld { id: run.id, side, why: why.clone() }),
            }
        }
    }
    (runs.held, runs.unheld) = (held, unheld);
    verdicts
}

/// Runs in the order of their first commits, in parts that have no commit in common, each behind a run that may begin its replay: where one side alone has a
/// run that ends there, the part goes on.
fn stretches(alone: Vec<(Side, RunInfo)>) -> Vec<Vec<(Side, RunInfo)>> {
    let mut stretches: Vec<Vec<(Side, RunInfo)>> = Vec::new();
    for (side, run) in alone {
        let goes_on = |stretch: &&mut Vec<(Side, RunInfo)>| {
            let overlaps = stretch.iter().any(|(_, before)| run.id.first <= before.id.last);
            let ends = |of| stretch.iter().any(|(side, before)| *side == of && run.id.first == before.id.last.next());
            overlaps || ends(Side::A) != ends(Side::B)
        };
        match stretches.last_mut().filter(goes_on) {
            Some(stretch) => stretch.push((side, run)),
            None => stretches.push(vec![(side, run)]),
        }
    }
    stretches
}

struct Judge<'a> {
    parties: [&'a dyn Party; 2],
    stored: [&'a Stored; 2],
    runs: &'a Runs,
    options: &'a CompareOptions,
}

/// What is known where a replay begins: the last commit before it, whose table was sealed there, and the floor.
#[derive(Clone, Copy)]
struct Start {
    commit: CommitId,
    floor: CommitId,
}

/// What was replayed. The run lies in the scratch store.
struct Replayed {
    from: LogPoint,
    records: u64,
    run: Option<RunInfo>,
    scratch: Scratch,
}

impl Judge<'_> {
    /// Whose run it is that the log does not yield, replayed from where this one or an earlier run begins.
    fn verdict(&self, id: RunId, begin: RunId, progress: &mut dyn FnMut(u64, u64)) -> Verdict {
        let unknown = |why: String| {
            let judged = Judged::Unknown(why);
            Verdict { id, judged, from: None, records: 0, yields: None, spots: Vec::new() }
        };
        let mut why = "neither log is at hand here".to_owned();
        for log in self.logs() {
            match self.start(begin).and_then(|start| self.replay(id, start, log, &mut drop, progress)) {
                Ok(replayed) => return self.compare(id, &replayed).unwrap_or_else(|error| unknown(error.to_string())),
                Err(error) if error.reason() == Reason::WalRetired => {
                    why = format!("the log was retired before the first commit of the run: {error}");
                }
                Err(error) => why = error.to_string(),
            }
        }
        unknown(why)
    }

    /// What the log yields on its way through a stretch of commits: each run that is made there, also such as a merge takes again. And why there is none
    /// of some identity.
    fn yields(
        &self,
        stretch: &[(Side, RunInfo)],
        progress: &mut dyn FnMut(u64, u64),
    ) -> (BTreeMap<RunId, RunInfo>, String) {
        let mut made = BTreeMap::new();
        let mut why = "neither log is at hand here".to_owned();
        let first = stretch.iter().map(|(_, run)| run.id).min_by_key(|id| (id.first, id.last));
        // The last that is made: what is merged is there before.
        let target = stretch.iter().map(|(_, run)| run.id).max_by_key(|id| (id.last, id.level));
        let (Some(first), Some(target)) = (first, target) else { return (made, why) };
        for log in self.logs() {
            let mut keep = |run: RunInfo| {
                made.insert(run.id, run);
            };
            match self.start(first).and_then(|start| self.replay(target, start, log, &mut keep, progress)) {
                Ok(_) => return (made, "the log yields no run of this identity".to_owned()),
                Err(error) if error.reason() == Reason::WalRetired => {
                    why = format!("the log was retired before the first commit of the run: {error}");
                }
                Err(error) => why = error.to_string(),
            }
        }
        (made, why)
    }

    /// Where both hold the log, that of whoever holds more of it comes first.
    fn logs(&self) -> Vec<&Local> {
        let mut logs: Vec<&Local> = self.parties.iter().filter_map(|party| party.local()).collect();
        logs.sort_by_key(|local| (local.held().oldest.position, Reverse(local.held().end.position)));
        logs
    }

    /// Where the replay of a run begins: behind the run before it, if both sides prove that and name the same floor; else at genesis.
    fn start(&self, id: RunId) -> Result<Start> {
        let genesis = Start { commit: CommitId::NONE, floor: CommitId::NONE };
        let commit = CommitId(id.first.0.saturating_sub(1));
        let before = |side: Side, stored: &Stored| {
            let run = stored.runs.iter().find(|run| run.id.last == commit).copied();
            run.filter(|run| self.runs.is_sound(side, run.id))
        };
        let [a, b] = self.stored;
        let (Some(a), Some(b)) = (before(Side::A, a), before(Side::B, b)) else { return Ok(genesis) };
        let floors = [(a, self.parties[0]), (b, self.parties[1])].map(|(run, party)| match party.local() {
            Some(local) => {
                open_run(local.disk().as_ref(), &Store::directory(local.dir()), run, local).map(|run| Some(run.floor()))
            }
            None => Ok(None),
        });
        let [floor_a, floor_b] = floors;
        Ok(match (floor_a?, floor_b?) {
            (Some(floor), Some(other)) if floor == other => Start { commit, floor },
            // What a server has is that very run: so is its floor.
            (Some(floor), None) | (None, Some(floor)) if a == b => Start { commit, floor },
            _ => genesis,
        })
    }

    /// Replays until there is this run; `made` is told each on the way.
    fn replay(
        &self,
        id: RunId,
        start: Start,
        log: &Local,
        made: &mut dyn FnMut(RunInfo),
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Replayed> {
        let identity = log.held().identity;
        let first = if start.commit == CommitId::NONE {
            let oldest = log.held().oldest.position;
            if oldest > Position::GENESIS { None } else { Some(oldest) }
        } else {
            log.segment_before(start.commit)?
        };
        let retired = || Error::new(Reason::WalRetired).with("oldest", log.held().oldest).with("run", id);
        let first = first.ok_or_else(retired)?;
        let until = log.end_of(log.segment_before(id.last)?.unwrap_or(first));
        let scratch = Scratch::make(self.options, until.since(first), self.parties)?;
        let mut cursor = log.cursor(first)?;
        let from = if start.commit == CommitId::NONE {
            cursor.point()
        } else {
            end_of_table(log, &mut cursor, start.commit, identity.parameters.table_bytes)?
        };
        let manifest =
            Manifest { database_id: identity.database_id, point: from, floor: start.floor, plan: Plan::default() };
        let options = StoreOptions {
            disk: Arc::clone(&scratch.disk),
            directory: scratch.directory.clone(),
            database_id: identity.database_id,
            parameters: identity.parameters,
            cache_bytes: CACHE_BYTES,
            pinned_bytes_max: u64::MAX,
        };
        let store = Store::open(options, &manifest, None)?;
        let (mut applier, mut maintenance) = (Applier::new(&store), Maintenance::new(&store, manifest));
        let mut records = 0;
        loop {
            let Some(record) = next_record(log, &mut cursor)? else {
                let end = log.held().end;
                return Err(Error::new(Reason::WalBeyondEnd)
                    .with("end", end)
                    .with("fault", "no table is sealed behind the run"));
            };
            let after = record.after;
            let sealed = applier.apply(&record)?;
            records += 1;
            progress(after.position.since(first).min(until.since(first)), until.since(first));
            let run = if sealed { work(&store, &mut maintenance, id, made)? } else { None };
            if run.is_some() || (sealed && after.commit >= id.last) {
                return Ok(Replayed { from, records, run, scratch });
            }
        }
    }

    fn compare(&self, id: RunId, replayed: &Replayed) -> Result<Verdict> {
        let mut wrong = Vec::new();
        let mut spots = Vec::new();
        for ((side, party), stored) in [Side::A, Side::B].into_iter().zip(self.parties).zip(self.stored) {
            let Some(run) = stored.runs.iter().find(|run| run.id == id) else { continue };
            if replayed.run == Some(*run) && self.runs.is_sound(side, id) {
                continue;
            }
            wrong.push(side);
            if let (Some(right), Some(local)) = (replayed.run, party.local()) {
                spots.extend(spot(right, &replayed.scratch, *run, local)?.map(|spot| (side, spot)));
            }
        }
        let judged = match wrong.as_slice() {
            [side] => Judged::Wrong(*side),
            [_, _] => Judged::Both,
            _ => Judged::Unknown("the log yields what both sides have".to_owned()),
        };
        let yields = replayed.run.map(|run| (run.size, run.hash));
        Ok(Verdict { id, judged, from: Some(replayed.from), records: replayed.records, yields, spots })
    }
}

/// Does all work that there is, until there is this run: a later merge would take it.
fn work(
    store: &Store,
    maintenance: &mut Maintenance,
    id: RunId,
    made: &mut dyn FnMut(RunInfo),
) -> Result<Option<RunInfo>> {
    while maintenance.step()? == Progress::Worked {
        store.state().runs.iter().for_each(|run| made(run.info()));
        if let Some(run) = store.state().runs.iter().find(|run| run.id() == id) {
            return Ok(Some(run.info()));
        }
    }
    Ok(None)
}

/// The next record, out of a segment that is what it was.
fn next_record<'a>(log: &Local, cursor: &'a mut LogCursor) -> Result<Option<Record<'a>>> {
    log.check_segment_at(cursor.point().position)?;
    Ok(cursor.next_record()?.map(|(record, _)| record))
}

/// Goes to where the table that ends with a commit was sealed.
fn end_of_table(log: &Local, cursor: &mut LogCursor, commit: CommitId, table_bytes: u64) -> Result<LogPoint> {
    let table = |position: Position| position.0.checked_div(table_bytes);
    loop {
        let Some(Record { before, after, content }) = next_record(log, cursor)? else {
            return Err(Error::new(Reason::WalBeyondEnd).with("end", log.held().end).with("commit", commit));
        };
        let sealed = table(before.position) != table(after.position) || matches!(content, Content::Cut(_));
        if sealed && after.commit == commit {
            return Ok(after);
        }
        if after.commit > commit {
            let fault = "no table was sealed behind the run before";
            return Err(Error::new(Reason::StoreOtherLog).with("commit", commit).with("fault", fault));
        }
    }
}

fn open_run(disk: &dyn Disk, directory: &Path, run: RunInfo, log: &Local) -> Result<Run> {
    Run::open(disk, directory, run, log.held().identity.database_id, Arc::new(Cache::new(CACHE_BYTES)))
}

/// Where the run of a side first differs from the right one; `None` where the files are the same, or one is not there.
fn spot(right: RunInfo, scratch: &Scratch, wrong: RunInfo, log: &Local) -> Result<Option<Spot>> {
    let directory = Store::directory(log.dir());
    let places = [(scratch.disk.as_ref(), &scratch.directory, right), (log.disk().as_ref(), &directory, wrong)];
    let [Some(right_file), Some(wrong_file)] = places
        .map(|(disk, directory, run)| disk.open(&directory.join(run.id.file_name()), Access::Read).ok().flatten())
    else {
        return Ok(None);
    };
    let mut pieces = [vec![0; PIECE_BYTES], vec![0; PIECE_BYTES]];
    let mut at = 0u64;
    let offset = loop {
        let [right, wrong] = &mut pieces;
        let (right_len, wrong_len) = (right_file.read_at(at, right)?, wrong_file.read_at(at, wrong)?);
        let (right, wrong) = (&right[..right_len], &wrong[..wrong_len]);
        let same = right.iter().zip(wrong).take_while(|(right, wrong)| right == wrong).count();
        if same < right_len.max(wrong_len) {
            break at + same as u64;
        }
        if right_len < PIECE_BYTES {
            return Ok(None);
        }
        at += PIECE_BYTES as u64;
    };
    let right = open_run(scratch.disk.as_ref(), &scratch.directory, right, log)?;
    let version = match open_run(log.disk().as_ref(), &directory, wrong, log) {
        Ok(wrong) => first_other(&right, &wrong)?,
        Err(_) => None,
    };
    Ok(Some(Spot { offset, version }))
}

/// The first version in order that one run has and the other has not, or can't show.
fn first_other(right: &Run, wrong: &Run) -> Result<Option<(Excerpt, CommitId)>> {
    let shown = |entry: &Entry<'_>| (Excerpt::of(entry.key, entry.key.len()), entry.commit);
    let (mut right, mut wrong) = (right.sequential(), wrong.sequential());
    loop {
        match (right.next()?, wrong.next().ok()) {
            (Some(right), Some(Some(wrong))) if right == wrong => {}
            (None, Some(None) | None) => return Ok(None),
            (Some(right), Some(Some(wrong))) => {
                return Ok(Some(shown(if wrong.key < right.key { &wrong } else { &right })));
            }
            (Some(right), Some(None) | None) => return Ok(Some(shown(&right))),
            (None, Some(Some(wrong))) => return Ok(Some(shown(&wrong))),
        }
    }
}

/// Where runs are made that nobody keeps.
struct Scratch {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    /// Goes with everything in it.
    made: Option<PathBuf>,
}

impl Scratch {
    fn make(options: &CompareOptions, log_bytes: u64, parties: [&dyn Party; 2]) -> Result<Scratch> {
        if options.scratch.is_none() && log_bytes <= MEMORY_LOG_BYTES {
            let (disk, directory) = (SimDisk::new(), PathBuf::from("/scratch"));
            disk.create_dir(&directory)?;
            return Ok(Scratch { disk: Arc::new(disk), directory, made: None });
        }
        let place = options.scratch.clone().unwrap_or_else(std::env::temp_dir);
        check_scratch(parties, &place)?;
        let directory = place.join(format!("aerodb-compare-{}", Id(entropy::random_id()?)));
        RealDisk.create_dir(&directory)?;
        Ok(Scratch { disk: Arc::new(RealDisk), made: Some(directory.clone()), directory })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.made.as_ref().map(|made| RealDisk.remove_tree(made)) {
            log::warn!(code = error.reason().name(); "what was replayed is left behind: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(alone: &[(Side, u64, u64)]) -> Vec<usize> {
        let run = |first, last| RunId { level: 0, first: CommitId(first), last: CommitId(last) };
        let alone =
            alone.iter().map(|(side, first, last)| (*side, RunInfo { id: run(*first, *last), size: 0, hash: 0 }));
        stretches(alone.collect()).iter().map(Vec::len).collect()
    }

    /// R-DETERMINISM: what one side alone has behind what it alone has is replayed with that, since no run that both have ends before it.
    #[test]
    fn runs_that_follow_one_another_on_one_side_alone_are_replayed_together() {
        let (a, b) = (Side::A, Side::B);
        assert_eq!(parts(&[(a, 7, 7), (a, 8, 8), (a, 9, 12)]), [3]);
        assert_eq!(parts(&[(a, 7, 7), (a, 9, 12)]), [1, 1], "both have what lies between them");
        assert_eq!(parts(&[(b, 1, 3), (a, 1, 6), (b, 4, 6), (a, 7, 9)]), [3, 1], "both have a run that ends there");
        assert_eq!(parts(&[(b, 1, 3), (a, 1, 6), (a, 7, 9)]), [3]);
    }
}
