//! Store against log: the runs hold exactly the versions that the kept log and the floor demand (R-DETERMINISM, M-FLOOR).
//!
//! A run of the commits *first*..=*last* with the floor *f* is a function of the log: of each key it holds every version above *f*
//! and the newest one at or below *f*, which goes too if it is a tombstone and the run begins with commit 1. So, for each version
//! of the log up to the checkpoint, in the run that has its commit:
//!
//! * above *f*: the run has it, with this value;
//! * at or below *f*: the run has it with this value, or has a newer one at or below *f*; or it has none, and the last such version of
//!   the key is a tombstone;
//! * and the run has no more versions than were found so.
//!
//! Besides: a run that a Proof of the log names is that very file (REPL-PROOF). A run ends where the log sealed a table, with the floor that held there; so do the checkpoint and the merges to come.
//!
//! Versions are looked up in batches sorted by key, so that blocks are read in order. What waits for its tombstone is kept as a
//! hash of the key; past a bound the largest hashes are left to another pass over the log. So memory is bounded, whatever the log says.

use crate::commit_id::CommitId;
use crate::error::{Error, Result};
use crate::position::{LogPoint, Position};
use crate::reason::Reason;
use crate::record::{Content, Record};
use crate::store;
use crate::store::manifest::Manifest;
use crate::store::run::{Run, RunInfo, Version, key_hash};
use crate::sync::Arc;
use crate::wal::{LogCursor, LogOptions};
use std::collections::BTreeMap;
use xxhash_rust::xxh3::xxh3_128;

/// What the comparison may hold in memory.
#[derive(Clone, Copy)]
struct Bounds {
    /// A batch is looked up once it holds this much.
    batch_bytes: usize,
    /// Most keys that wait for their tombstone in one pass.
    waiting: usize,
}

const BOUNDS: Bounds = Bounds { batch_bytes: 8 << 20, waiting: 1 << 20 };

/// One version as the log has it.
struct Logged {
    key: Vec<u8>,
    commit: CommitId,
    value: Option<Vec<u8>>,
}

/// Versions of commits in order, looked up together.
#[derive(Default)]
struct Batch {
    versions: Vec<Logged>,
    bytes: usize,
}

/// Keys that were put at or below the floor of the oldest run, and are not in it: each must turn out to be deleted.
#[derive(Default)]
struct Waiting {
    /// By hash of the key: the commit that put it.
    keys: BTreeMap<u128, CommitId>,
    /// This pass decides on the hashes from here …
    from: u128,
    /// … up to here, if not on all.
    until: Option<u128>,
}

impl Waiting {
    fn note(&mut self, key: &[u8], commit: CommitId, put: bool, max: usize) {
        let hash = xxh3_128(key);
        if hash < self.from || self.until.is_some_and(|until| hash >= until) {
            return;
        }
        if put {
            self.keys.insert(hash, commit);
            if self.keys.len() > max {
                self.until = self.keys.pop_last().map(|(largest, _)| largest);
            }
        } else {
            self.keys.remove(&hash);
        }
    }

    /// Goes on to the hashes that were left out; says whether there are any.
    fn next_pass(&mut self) -> bool {
        match self.until.take() {
            Some(until) => {
                self.from = until;
                true
            }
            None => false,
        }
    }
}

/// Compares the runs with the records that are handed to it.
pub(super) struct Agreement<'a> {
    manifest: &'a Manifest,
    /// Oldest first.
    runs: &'a [Run],
    table_bytes: u64,
    /// The log before the first record.
    start: Option<LogPoint>,
    /// The floor, as far as the kept log tells.
    floor: Option<CommitId>,
    /// The last commit of the last sealed table.
    sealed: CommitId,
    /// Per run: the log sealed a table at its end.
    ends: Vec<bool>,
    /// Per run: versions of the log that were found in it.
    found: Vec<u64>,
    batch: Batch,
    waiting: Waiting,
    bounds: Bounds,
    /// Proofs of the log that are of a run that is here.
    proofs: u64,
}

fn differs(what: &'static str) -> Error {
    Error::new(Reason::StoreOtherLog).with("fault", what)
}

impl<'a> Agreement<'a> {
    pub(super) fn new(manifest: &'a Manifest, runs: &'a [Run], table_bytes: u64) -> Result<Agreement<'a>> {
        if let Some(run) = runs.iter().find(|run| run.floor() > manifest.floor || run.floor() > run.id().last) {
            return Err(Error::new(Reason::StoreRunCorrupt)
                .with("file", run.path().display())
                .with("floor", run.floor())
                .with("floor_of_manifest", manifest.floor));
        }
        Ok(Agreement {
            manifest,
            runs,
            table_bytes,
            start: None,
            floor: None,
            sealed: CommitId::NONE,
            ends: vec![false; runs.len()],
            found: vec![0; runs.len()],
            batch: Batch::default(),
            waiting: Waiting::default(),
            bounds: BOUNDS,
            proofs: 0,
        })
    }

    /// The next record of the log.
    pub(super) fn visit(&mut self, record: &Record<'_>) -> Result<()> {
        if self.start.is_none() {
            self.start = Some(record.before);
            self.sealed = record.before.commit;
            self.floor = (record.before.commit == CommitId::NONE).then_some(CommitId::NONE);
        }
        if record.before.position == self.manifest.point.position {
            self.floor = Some(self.manifest.floor);
        }
        let within = record.after.position <= self.manifest.point.position;
        match &record.content {
            Content::Commit(operations) if within => {
                self.batch.add(record.after.commit, operations.clone().map(|one| (one.key, one.value)));
                if self.batch.bytes >= self.bounds.batch_bytes {
                    self.look_up()?;
                }
            }
            Content::Floor(floor) => self.raise(*floor, record.before)?,
            Content::Proof(proof) => self.compare(&RunInfo::from(proof), record.before.position)?,
            Content::Commit(_) | Content::Cut(_) | Content::Seal => {}
        }
        if within { self.seal(record) } else { Ok(()) }
    }

    /// A run that the log names is the one that is here, if it is here still (REPL-PROOF).
    fn compare(&mut self, proof: &RunInfo, position: Position) -> Result<()> {
        match self.runs.iter().find(|run| run.id() == proof.id) {
            Some(run) => {
                store::compare(proof, position, &run.info())
                    .map_err(|error| error.with("file", run.path().display()))?;
                self.proofs = self.proofs.saturating_add(1);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// The rule of the applier: what it would refuse at the next opening is refused here.
    fn raise(&mut self, floor: CommitId, before: LogPoint) -> Result<()> {
        if self.floor.is_some_and(|earlier| floor <= earlier) || floor > before.commit {
            return Err(Error::new(Reason::WalCorrupt).with("position", before.position).with("floor", floor));
        }
        self.floor = Some(floor);
        Ok(())
    }

    /// Where the log seals a table, the run that ends there has the floor that holds there.
    fn seal(&mut self, record: &Record<'_>) -> Result<()> {
        let after = record.after;
        let table = |position: u64| position.checked_div(self.table_bytes);
        let crossed = table(record.before.position.0) != table(after.position.0);
        let sealed = crossed || matches!(record.content, Content::Cut(_));
        if after.position == self.manifest.point.position {
            if !sealed {
                return Err(differs("the checkpoint is where no table was sealed").with("checkpoint", after));
            }
            if self.floor.is_some_and(|floor| floor != self.manifest.floor) {
                return Err(differs("the floor of the checkpoint is another")
                    .with("manifest", self.manifest.floor)
                    .with("log", self.floor.unwrap_or_default()));
            }
        }
        if !sealed || after.commit <= self.sealed {
            return Ok(());
        }
        self.sealed = after.commit;
        let other = |floor: CommitId| self.floor.is_some_and(|known| known != floor);
        if let Some((index, run)) = self.run_of(after.commit).filter(|(_, run)| run.id().last == after.commit) {
            if other(run.floor()) {
                return Err(differs("the floor of a run is another").with("file", run.path().display()));
            }
            if let Some(end) = self.ends.get_mut(index) {
                *end = true;
            }
        }
        let mut merges = self.manifest.plan.merges.iter();
        match merges.find(|merge| merge.output.last == after.commit && other(merge.floor)) {
            Some(merge) => Err(differs("the floor of a merge is another").with("merge", merge.output)),
            None => Ok(()),
        }
    }

    fn run_of(&self, commit: CommitId) -> Option<(usize, &'a Run)> {
        let index = self.runs.partition_point(|run| run.id().last < commit);
        self.runs.get(index).filter(|run| run.id().first <= commit).map(|run| (index, run))
    }

    /// Looks a batch up.
    fn look_up(&mut self) -> Result<()> {
        for version in std::mem::take(&mut self.batch).sorted() {
            let Some((index, run)) = self.run_of(version.commit) else {
                return Err(differs("no run has this commit").with("commit", version.commit));
            };
            if look_up(run, &version, &mut self.waiting, self.bounds.waiting)?
                && let Some(found) = self.found.get_mut(index)
            {
                *found = found.saturating_add(1);
            }
        }
        Ok(())
    }

    /// Proofs of the log that are of a run that is here.
    pub(super) fn proofs(&self) -> u64 {
        self.proofs
    }

    /// What can only be said at the end; returns the floor there.
    pub(super) fn finish(mut self, log: &LogOptions, oldest: LogPoint) -> Result<CommitId> {
        self.look_up()?;
        for ((run, end), found) in self.runs.iter().zip(&self.ends).zip(&self.found) {
            if run.id().last <= oldest.commit {
                continue;
            }
            if !end {
                return Err(differs("a run ends where no table was sealed").with("file", run.path().display()));
            }
            let held = if run.id().first > oldest.commit { run.entries_count() } else { newer(run, oldest.commit)? };
            if held != *found {
                return Err(differs("a run holds other versions than the log")
                    .with("file", run.path().display())
                    .with("expected", found)
                    .with("found", held));
            }
        }
        self.refuse_waiting()?;
        while self.waiting.next_pass() {
            self.pass(log, oldest)?;
            self.refuse_waiting()?;
        }
        Ok(self.floor.unwrap_or(self.manifest.floor).max(self.manifest.floor))
    }

    fn refuse_waiting(&self) -> Result<()> {
        match (self.waiting.keys.first_key_value(), self.runs.first()) {
            (Some((_, commit)), Some(run)) => Err(differs("a run lacks a version of the log")
                .with("file", run.path().display())
                .with("commit", commit)),
            _ => Ok(()),
        }
    }

    /// Reads the log up to the floor of the oldest run again, for the keys that were left out.
    fn pass(&mut self, log: &LogOptions, oldest: LogPoint) -> Result<()> {
        let Some(run) = self.runs.first() else { return Ok(()) };
        let end = self.manifest.point;
        let mut cursor = LogCursor::open(Arc::clone(&log.disk), &log.directory, log.lineage, oldest.position, end)?;
        let mut batch = Batch::default();
        loop {
            let next = cursor.next_record()?.map(|(record, _)| record);
            let more = next.as_ref().is_some_and(|record| record.after.commit <= run.floor());
            if let Some(Record { after, content: Content::Commit(operations), .. }) = next.filter(|_| more) {
                batch.add(after.commit, operations.map(|one| (one.key, one.value)));
            }
            if batch.bytes >= self.bounds.batch_bytes || !more {
                for version in std::mem::take(&mut batch).sorted() {
                    look_up(run, &version, &mut self.waiting, self.bounds.waiting)?;
                }
            }
            if !more {
                return Ok(());
            }
        }
    }
}

impl Batch {
    fn add<'a>(&mut self, commit: CommitId, operations: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)>) {
        for (key, value) in operations {
            let value_len = value.map_or(0, <[u8]>::len);
            self.bytes = self.bytes.saturating_add(size_of::<Logged>()).saturating_add(key.len() + value_len);
            self.versions.push(Logged { key: key.to_vec(), commit, value: value.map(<[u8]>::to_vec) });
        }
    }

    /// By key, then by commit; of two operations of one commit on one key the later counts.
    fn sorted(self) -> impl Iterator<Item = Logged> {
        let mut versions = self.versions;
        versions.sort_by(|a, b| (&a.key, a.commit).cmp(&(&b.key, b.commit)));
        let mut versions = versions.into_iter().peekable();
        std::iter::from_fn(move || {
            let mut version = versions.next()?;
            while let Some(later) = versions.next_if(|next| next.commit == version.commit && next.key == version.key) {
                version = later;
            }
            Some(version)
        })
    }
}

/// Whether the run has this version; an error if it should have it and has not.
fn look_up(run: &Run, version: &Logged, waiting: &mut Waiting, waiting_max: usize) -> Result<bool> {
    let floor = run.floor();
    let covered = version.commit <= floor;
    let at = if covered { floor } else { version.commit };
    let lacks = |what: &'static str| {
        differs(what)
            .with("file", run.path().display())
            .with("commit", version.commit)
            .with("key", version.key.escape_ascii())
    };
    match run.find(&version.key, key_hash(&version.key), at)? {
        Some((commit, found)) if commit == version.commit => {
            let found = match &found {
                Version::Value(value) => Some(value),
                Version::Tombstone => None,
            };
            if found == version.value.as_ref() { Ok(true) } else { Err(lacks("a version has another value")) }
        }
        Some((commit, _)) if covered && commit > version.commit => Ok(false),
        None if covered && run.id().first <= CommitId(1) => {
            waiting.note(&version.key, version.commit, version.value.is_some(), waiting_max);
            Ok(false)
        }
        Some(_) | None => Err(lacks("a run lacks a version of the log")),
    }
}

/// How many versions of a run are newer than a commit.
fn newer(run: &Run, commit: CommitId) -> Result<u64> {
    let mut entries = run.sequential();
    let mut count = 0u64;
    while let Some(entry) = entries.next()? {
        count += u64::from(entry.commit > commit);
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{Disk, SimDisk};
    use crate::identity::{Id, Parameters, Role};
    use crate::node::Node;
    use crate::record::Purpose;
    use crate::recovery::{self, Init, Options};
    use crate::store::Store;
    use crate::store::run::Cache;
    use crate::wal;
    use std::path::Path;

    const DIR: &str = "/db";

    /// A database in which these keys were put, and then all but those that are spared deleted, below the floor.
    fn emptied(spared: &[u64]) -> SimDisk {
        let disk = SimDisk::new();
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        Node::init(&Init {
            role: Role::Standalone,
            parameters: Parameters { segment_bytes: 4096, table_bytes: 1 << 20, block_bytes: 256, fanout: 2 },
            database_id: Some(Id([1; 16])),
            node_id: Some(Id([2; 16])),
            blank_seed: Some(3),
            extend_bytes: 4096,
            disk: Arc::clone(&shared),
            ..Init::standalone(Path::new(DIR))
        })
        .unwrap();
        let options = Options { disk: shared, extend_bytes: 4096, ..Options::new(Path::new(DIR)) };
        let mut node = Node::open(&options).unwrap();
        let commit = |node: &mut Node, key: u64, put: bool| {
            let mut batch = crate::Batch::new();
            if put {
                batch.put(&key.to_be_bytes(), b"value").unwrap();
            } else {
                batch.delete(&key.to_be_bytes()).unwrap();
            }
            node.commit(batch).unwrap();
        };
        (0..100).for_each(|key| commit(&mut node, key, true));
        (0..100).for_each(|key| commit(&mut node, key, spared.contains(&key)));
        node.raise_floor(CommitId(200)).unwrap();
        node.checkpoint(Purpose::Checkpoint).unwrap();
        node.close().unwrap();
        disk
    }

    /// The outcome of comparing the log of one with the store of another, with at most so many keys waiting, and how often the bound
    /// was met.
    fn compared(log: &SimDisk, store: &SimDisk, waiting: usize) -> (Result<CommitId>, u32) {
        let shared = |disk: &SimDisk| -> Arc<dyn Disk> { Arc::new(disk.clone()) };
        let identity = crate::Identity::read(log, Path::new(DIR)).unwrap();
        let directory = Store::directory(Path::new(DIR));
        let point = Manifest::read(log, &directory, identity.database_id).unwrap().point;
        let manifest = Manifest { point, ..Manifest::read(store, &directory, identity.database_id).unwrap() };
        let cache = Arc::new(Cache::new(1 << 20));
        let open = |info| Run::open(store, &directory, info, identity.database_id, Arc::clone(&cache)).unwrap();
        let runs: Vec<Run> = manifest.plan.runs.iter().map(|info| open(*info)).collect();
        let mut agreement = Agreement::new(&manifest, &runs, identity.parameters.table_bytes).unwrap();
        agreement.bounds = Bounds { batch_bytes: 1, waiting };
        let options = recovery::log_options(&shared(log), Path::new(DIR), &identity, 4096);
        let inspection = wal::inspect(&options, point, &mut |record| agreement.visit(record)).unwrap();
        agreement.look_up().unwrap();
        let mut passes = 1;
        while agreement.waiting.keys.is_empty() && agreement.waiting.next_pass() {
            agreement.pass(&options, inspection.oldest).unwrap();
            passes += 1;
        }
        (agreement.finish(&options, inspection.oldest), passes)
    }

    /// M-FLOOR, D-CORRUPT: however few keys may wait at a time, deleted keys are excused, and a single lost one is found.
    #[test]
    fn keys_that_wait_for_their_tombstone_are_decided_in_bounded_memory() {
        let (log, other) = (emptied(&[]), emptied(&[40]));
        for (max, at_least) in [(1000, 1), (100, 1), (7, 10), (1, 50)] {
            let (outcome, passes) = compared(&log, &log, max);
            assert_eq!(outcome, Ok(CommitId(200)), "at most {max}");
            assert!(passes >= at_least, "at most {max}: {passes} passes");
            assert!(compared(&other, &other, max).0.is_ok(), "at most {max}");
            let lost = compared(&other, &log, max).0.unwrap_err();
            assert_eq!(lost.reason(), Reason::StoreOtherLog, "at most {max}");
        }
    }

    /// FMT-BATCH: of two operations of one commit on one key the later counts.
    #[test]
    fn a_batch_is_sorted_and_keeps_the_later_of_two_operations_on_a_key() {
        let mut batch = Batch::default();
        batch.add(CommitId(1), [(&b"b"[..], Some(&b"1"[..])), (b"a", Some(b"2")), (b"b", None)].into_iter());
        batch.add(CommitId(2), [(&b"a"[..], Some(&b"3"[..]))].into_iter());
        let sorted: Vec<_> = batch.sorted().map(|version| (version.key, version.commit.0, version.value)).collect();
        let key = |key: &[u8]| key.to_vec();
        assert_eq!(sorted, [(key(b"a"), 1, Some(key(b"2"))), (key(b"a"), 2, Some(key(b"3"))), (key(b"b"), 1, None)]);
    }
}
