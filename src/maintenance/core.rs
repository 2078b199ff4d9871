//! Maintenance without its thread: one step at a time.
//!
//! A step makes a run of one table, or goes on with one merge for one slice, or finds nothing to do. Assumes that it alone changes
//! the runs and the checkpoint of the state. Promises: the manifest is durable before its runs are read and before what it replaces
//! goes; no manifest names a run that a Proof of the log contradicts, as far as that Proof was applied (REPL-PROOF); after a failure there
//! is no further step.

use super::machine::{self, Event, State};
use super::merge::MergeJob;
use super::retired::Retired;
use crate::commit_id::CommitId;
use crate::error::{Error, Result};
use crate::limits;
use crate::observed::Observed;
use crate::position::LogPoint;
use crate::reason::Reason;
use crate::store::manifest::Manifest;
use crate::store::plan::{Merge, Plan};
use crate::store::run::{Entry, Run, RunId, RunInfo, RunMeta, RunWriter};
use crate::store::{self, Replaced, SealedTable, Store, Survivors, Table};
use crate::sync::{Arc, Pin};

/// What a step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Something; there may be more.
    Worked,
    /// There was nothing to do.
    Idle,
}

/// The core of maintenance.
pub struct Maintenance {
    store: Arc<Store>,
    plan: Plan,
    point: LogPoint,
    floor: CommitId,
    /// Merges that were begun, one a level at most.
    jobs: Vec<MergeJob>,
    runs: Retired<Run>,
    tables: Retired<Table>,
    state: State,
    observed: Arc<Observed<State>>,
}

impl Maintenance {
    /// Maintenance that goes on where the manifest ends.
    #[must_use]
    pub fn new(store: &Arc<Store>, manifest: Manifest) -> Maintenance {
        Maintenance {
            store: Arc::clone(store),
            plan: manifest.plan,
            point: manifest.point,
            floor: manifest.floor,
            jobs: Vec::new(),
            runs: Retired::default(),
            tables: Retired::default(),
            state: State::Idle,
            observed: Arc::new(Observed::new("maintenance", State::Idle)),
        }
    }

    /// Where it shows its state.
    #[must_use]
    pub fn observed(&self) -> Arc<Observed<State>> {
        Arc::clone(&self.observed)
    }

    /// The only place where the state changes: an edge that the machine does not have is our own mistake.
    fn turn(&mut self, event: Event, blocked: Option<String>) {
        let next = machine::next(self.state, event);
        assert!(next.is_some(), "maintenance has no edge {event} from {}", self.state);
        if let Some(next) = next {
            self.state = next;
            self.observed.transition(next, event.name(), blocked);
        }
    }

    /// Does the next piece of work.
    ///
    /// # Errors
    /// Those of the disk, `store.block_corrupt`, `store.run_corrupt`, `state.diverged`; writing has stopped then, and there is no further step.
    pub fn step(&mut self) -> Result<Progress> {
        if let Some(fault) = self.store.write_fault() {
            self.fail(&fault);
            return Err(Error::new(Reason::CommitStopped).with("failure", fault));
        }
        let done = self.work();
        match self.store.watch(done) {
            Ok(progress) => Ok(progress),
            Err(error) => {
                self.fail(&error);
                Err(error)
            }
        }
    }

    fn work(&mut self) -> Result<Progress> {
        self.remove_unpinned()?;
        let table = self.store.state().sealed.last().cloned();
        let due = self.plan.due();
        let crowded = self.plan.runs.len() >= limits::RUNS_LIVE_MAX && due.is_some();
        match (table, due) {
            (Some(table), _) if !crowded => {
                self.turn(Event::Table, None);
                self.flush(&table)?;
                self.turn(Event::Done, None);
                Ok(Progress::Worked)
            }
            (_, Some(merge)) => {
                self.turn(Event::Merge, None);
                if self.merge(merge)? {
                    self.turn(Event::Done, None);
                }
                Ok(Progress::Worked)
            }
            (_, None) => Ok(Progress::Idle),
        }
    }

    /// Makes a run of the oldest sealed table, and moves the checkpoint to its end.
    fn flush(&mut self, sealed: &Pin<SealedTable>) -> Result<()> {
        let run = if sealed.first <= sealed.last { Some(self.write_table(sealed)?) } else { None };
        if let Some(run) = &run {
            self.store.complete(run)?;
        }
        self.point = sealed.point;
        self.floor = sealed.floor;
        if let Some(run) = &run {
            self.plan.add(run.info(), sealed.floor, self.store.options().parameters.fanout);
        }
        let manifest = self.write_manifest()?;
        // Before the state shows that the work is done: whoever sees that finds the Proof owed or logged.
        if let Some(run) = &run {
            self.store.owe(run.info());
        }
        self.store.change(|state| {
            let mut next = state.clone();
            next.sealed.retain(|waiting| !Pin::ptr_eq(waiting, sealed));
            next.checkpoint = sealed.point;
            next.manifest = manifest;
            if let Some(run) = &run {
                next.runs.insert(0, Pin::clone(run));
            }
            next
        });
        let bytes = u64::try_from(sealed.table.memory_bytes()).unwrap_or(u64::MAX);
        self.tables.add(Pin::clone(&sealed.table), bytes);
        Ok(())
    }

    fn write_table(&self, sealed: &SealedTable) -> Result<Pin<Run>> {
        let options = self.store.options();
        let id = RunId { level: 0, first: sealed.first, last: sealed.last };
        let meta = RunMeta { database_id: options.database_id, id, floor: sealed.floor };
        let mut writer = RunWriter::create(&options.disk, &options.directory, meta, options.parameters.block_bytes)?;
        let mut survivors = Survivors::new(sealed.first, sealed.floor);
        let mut add = |entry: Entry<'_>| if survivors.keeps(&entry) { writer.add(entry) } else { Ok(()) };
        let mut after = sealed.table.visit(None, &mut add)?;
        while let Some(key) = after {
            after = sealed.table.visit(Some(&key), &mut add)?;
        }
        self.open_run(writer.finish()?)
    }

    fn open_run(&self, info: RunInfo) -> Result<Pin<Run>> {
        let options = self.store.options();
        let cache = Arc::clone(self.store.cache());
        Run::open(options.disk.as_ref(), &options.directory, info, options.database_id, cache).map(Pin::new)
    }

    /// Goes on with a merge; says whether it is done.
    fn merge(&mut self, merge: Merge) -> Result<bool> {
        let mut job = match self.jobs.iter().position(|job| job.merge == merge) {
            Some(index) => self.jobs.swap_remove(index),
            None => {
                let state = self.store.state();
                let inputs: Vec<_> = state.runs.iter().filter(|run| merge.takes(run.id())).cloned().collect();
                MergeJob::begin(&self.store, merge, &inputs)?
            }
        };
        if !job.slice()? {
            self.jobs.push(job);
            return Ok(false);
        }
        let run = self.open_run(job.finish()?)?;
        self.store.complete(&run)?;
        self.plan.complete(&merge, run.info());
        let manifest = self.write_manifest()?;
        self.store.owe(run.info());
        let mut replaced = Vec::new();
        self.store.change(|state| {
            let mut next = state.clone();
            let (inputs, mut kept): (Vec<_>, Vec<_>) = next.runs.into_iter().partition(|run| merge.takes(run.id()));
            let place = kept.partition_point(|kept| kept.id().first > run.id().first);
            kept.insert(place, Pin::clone(&run));
            replaced = inputs;
            next.runs = kept;
            next.manifest = manifest;
            next
        });
        for run in replaced {
            let size = run.info().size;
            self.runs.add(run, size);
        }
        Ok(true)
    }

    fn write_manifest(&self) -> Result<Arc<Manifest>> {
        let options = self.store.options();
        let manifest = Manifest {
            database_id: options.database_id,
            point: self.point,
            floor: self.floor,
            plan: self.plan.clone(),
        };
        manifest.write(options.disk.as_ref(), &options.directory)?;
        Ok(Arc::new(manifest))
    }

    /// Removes what nobody reads any more. Where what is pinned passes the limit, the oldest view, range or snapshot that pins any of it is
    /// revoked, and the next.
    fn remove_unpinned(&mut self) -> Result<()> {
        loop {
            let options = self.store.options();
            drop(self.tables.sweep());
            for run in self.runs.sweep() {
                options.disk.remove(&options.directory.join(run.id().file_name()))?;
            }
            let pinned = self.pinned_bytes();
            if pinned <= options.pinned_bytes_max || !self.store.revoke_oldest(self) {
                return Ok(());
            }
            let code = Reason::ViewRevoked.name();
            log::warn!(code; "a reader was revoked: {pinned} bytes were pinned, at most {} may be", options.pinned_bytes_max);
        }
    }

    /// What views, ranges and snapshots pin beyond the current state.
    #[must_use]
    pub fn pinned_bytes(&self) -> u64 {
        self.runs.bytes().saturating_add(self.tables.bytes())
    }

    /// Ends maintenance.
    pub fn close(&mut self) {
        self.turn(Event::Close, None);
    }

    fn fail(&mut self, failure: &Error) {
        if self.state != State::Stopped {
            self.turn(Event::Failed, Some(failure.to_string()));
        }
        self.store.stop_writes(failure);
    }
}

impl Replaced for Maintenance {
    fn has_run(&self, run: &Pin<Run>) -> bool {
        self.runs.contains(run)
    }

    fn has_table(&self, table: &Pin<Table>) -> bool {
        self.tables.contains(table)
    }
}

/// The names in a store that no manifest names: of files written aside, and of runs that were replaced.
///
/// # Errors
/// Those of the disk.
pub fn find_leftovers(options: &store::StoreOptions, manifest: &Manifest) -> Result<Vec<String>> {
    let mut names = options.disk.list(&options.directory)?.unwrap_or_default();
    let named = |id: RunId| manifest.plan.runs.iter().any(|run| run.id == id);
    names.retain(|name| name.ends_with(".tmp") || RunId::parse(name).is_some_and(|id| !named(id)));
    Ok(names)
}

/// Removes what no manifest names; returns the names. A directory of such a name is not ours: it stays, and is told in the log.
///
/// # Errors
/// Those of the disk.
pub fn remove_leftovers(options: &store::StoreOptions, manifest: &Manifest) -> Result<Vec<String>> {
    let mut removed = Vec::new();
    for name in find_leftovers(options, manifest)? {
        let path = options.directory.join(&name);
        match options.disk.remove(&path) {
            Ok(()) => removed.push(name),
            Err(error) => match options.disk.list(&path) {
                Ok(Some(_)) => {
                    log::warn!("a directory is named like a leftover, and was left alone: {}", path.display())
                }
                _ => return Err(error),
            },
        }
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Batch;
    use crate::disk::{Disk, SimDisk};
    use crate::identity::{Id, Parameters, Role};
    use crate::position::Position;
    use crate::queue::{Sender, TryRecv, bounded};
    use crate::record::{Content, Purpose, Record};
    use crate::store::{Applier, Range, StoreOptions};

    fn options() -> StoreOptions {
        let disk = SimDisk::new();
        disk.create_dir("/store".as_ref()).unwrap();
        StoreOptions {
            disk: Arc::new(disk),
            directory: "/store".into(),
            database_id: Id([7; 16]),
            parameters: Parameters::default(),
            cache_bytes: 0,
            pinned_bytes_max: u64::MAX,
        }
    }

    fn empty() -> Manifest {
        Manifest::empty(Id([7; 16]), LogPoint::default())
    }

    fn apply(applier: &mut Applier, commit: u64, content: Content<'_>) {
        let before = applier.point();
        let after = LogPoint { position: Position(before.position.0 + 1), commit: CommitId(commit), ..before };
        applier.apply(&Record { before, after, content }).unwrap();
        applier.publish();
    }

    /// A store with one commit, that calls maintenance over this queue.
    fn world(calls: Option<Sender<()>>) -> (Applier, Maintenance) {
        let store = Store::open(options(), &empty(), calls).unwrap();
        store.open_reads(Role::Standalone);
        let mut batch = Batch::new();
        batch.put(b"key", b"value").unwrap();
        let mut applier = Applier::new(&store);
        apply(&mut applier, 1, Content::Commit(batch.operations()));
        (applier, Maintenance::new(&store, empty()))
    }

    /// M-FLOOR: a view and rows of one state; whichever goes last calls.
    #[test]
    fn the_last_reader_of_a_replaced_state_calls_maintenance() {
        for view_goes_last in [false, true] {
            let (call, calls) = bounded(1);
            let (mut applier, mut maintenance) = world(Some(call));
            let view = applier.store().view(None).unwrap();
            let rows = view.range(Range::all(1)).unwrap();
            apply(&mut applier, 1, Content::Cut(Purpose::Checkpoint));
            let mut go = |reader: Box<dyn std::any::Any>, left: bool| {
                while maintenance.step().unwrap() == Progress::Worked {}
                while calls.try_recv().is_ok() {}
                drop(reader);
                assert_eq!(calls.try_recv(), Ok(()), "who reads a replaced state calls when it goes");
                assert_eq!(maintenance.step().unwrap(), Progress::Idle);
                assert_eq!(maintenance.pinned_bytes() > 0, left);
            };
            let (first, last): (Box<dyn std::any::Any>, Box<dyn std::any::Any>) =
                if view_goes_last { (Box::new(rows), Box::new(view)) } else { (Box::new(view), Box::new(rows)) };
            go(first, true);
            go(last, false);
            drop(applier.store().view(None).unwrap());
            assert_eq!(calls.try_recv(), Err(TryRecv::Empty), "the state of this one is current");
        }
    }

    /// M-FLOOR: a reader of single keys, which lets go of one state when it meets the next, and a state that is only looked at.
    #[test]
    fn who_let_go_of_a_replaced_state_without_a_hold_calls_maintenance() {
        for reader in ["looks again", "goes", "has the state"] {
            let (call, calls) = bounded(1);
            let (mut applier, mut maintenance) = world(Some(call));
            let store = Arc::clone(applier.store());
            let mut newest = store.newest();
            let mut state = None;
            if reader == "has the state" {
                state = Some(store.state());
            } else {
                assert_eq!(newest.look(b"key", <[u8]>::to_vec), Ok(Some(b"value".to_vec())));
            }
            apply(&mut applier, 1, Content::Cut(Purpose::Checkpoint));
            let mut batch = Batch::new();
            batch.put(b"key", b"newer").unwrap();
            apply(&mut applier, 2, Content::Commit(batch.operations()));
            while maintenance.step().unwrap() == Progress::Worked {}
            while calls.try_recv().is_ok() {}
            assert!(maintenance.pinned_bytes() > 0, "{reader}");
            match reader {
                "looks again" => assert_eq!(newest.look(b"key", <[u8]>::to_vec), Ok(Some(b"newer".to_vec()))),
                "goes" => drop(newest),
                _ => drop(state),
            }
            assert_eq!(calls.try_recv(), Ok(()), "{reader}");
            assert_eq!(maintenance.step().unwrap(), Progress::Idle);
            assert_eq!(maintenance.pinned_bytes(), 0, "{reader}");
            let current = store.state();
            drop(current);
            assert_eq!(calls.try_recv(), Err(TryRecv::Empty), "the state of this one is current");
        }
    }

    #[test]
    fn a_directory_that_is_named_like_a_leftover_is_left_alone() {
        let options = options();
        let leftover = RunId { level: 0, first: CommitId(1), last: CommitId(2) }.file_name();
        for name in ["MANIFEST.tmp", &leftover] {
            options.disk.create(&options.directory.join(name)).unwrap();
        }
        let directory = options.directory.join("mine.tmp");
        options.disk.create_dir(&directory).unwrap();
        let mut removed = vec!["MANIFEST.tmp".to_owned(), leftover];
        removed.sort_unstable();
        assert_eq!(remove_leftovers(&options, &empty()), Ok(removed));
        assert_eq!(options.disk.list(&options.directory), Ok(Some(vec!["mine.tmp".to_owned()])));
    }

    /// M-FLOOR: a run that was written under a floor above the manifest's lacks what a view may be admitted to.
    #[test]
    fn a_run_above_the_floor_of_its_manifest_is_refused() {
        let (mut applier, mut maintenance) = world(None);
        apply(&mut applier, 1, Content::Floor(CommitId(1)));
        apply(&mut applier, 1, Content::Cut(Purpose::Checkpoint));
        while maintenance.step().unwrap() == Progress::Worked {}
        let options = applier.store().options().clone();
        let mut manifest = Manifest::read(options.disk.as_ref(), &options.directory, options.database_id).unwrap();
        assert!(Store::open(options.clone(), &manifest, None).is_ok());
        manifest.floor = CommitId::NONE;
        let refusal = Store::open(options, &manifest, None).err().unwrap();
        assert_eq!(refusal.reason(), Reason::StoreRunCorrupt);
        assert!(refusal.fact("file").is_some() && refusal.fact("found").is_some(), "{refusal}");
    }
}
