//! Opening a directory: what each step does, and what all of them yield.
//!
//! In two parts: `begin` takes the lock and reads whose directory it is, and changes nothing; `recover` does the rest. Each step is taken
//! by `Steps`, which keeps its evidence; what a step needs of those before it is handed on here. Assumes one caller. Used by: who opens
//! a node; `examine` takes the steps of it that only read.

use super::machine::{Event, State};
use super::report::{Report, Step, Taken};
use super::steps::Steps;
use super::{Options, UNFINISHED_FILE, check_extend, identify, lock, log_options};
use crate::disk::{Disk, LockGuard};
use crate::error::{Error, Result};
use crate::identity::{Identity, Role};
use crate::maintenance::{Maintenance, Progress, remove_leftovers};
use crate::position::LogPoint;
use crate::queue::Sender;
use crate::reason::Reason;
use crate::record::Record;
use crate::store::manifest::Manifest;
use crate::store::{Applier, Store, StoreOptions};
use crate::sync::Arc;
use crate::wal::{self, Cover, LogOptions, LogReport, LogWriter, Mark};
#[cfg(feature = "replication")]
use crate::{
    bootstrap::install::{self, Settled},
    replica_state::{Halt, ReplicaState, StateStore},
};
use std::path::Path;

/// Everything that opening yields.
pub(crate) struct Recovered {
    pub(crate) log: LogWriter,
    pub(crate) applier: Applier,
    #[cfg(feature = "replication")]
    pub(crate) kept: Kept,
    pub(crate) base: Base,
}

/// What every node has, whoever writes its log.
pub(crate) struct Base {
    pub(crate) maintenance: Maintenance,
    pub(crate) store: Arc<Store>,
    pub(crate) report: Report,
    /// Held until everything else is gone.
    pub(crate) lock: Box<dyn LockGuard>,
}

/// What a replica knows of itself; nothing on another node.
#[derive(Default)]
pub(crate) struct Kept(#[cfg(feature = "replication")] pub(crate) Option<StateStore>);

impl Kept {
    /// Refuses a log that ends before what was applied, or elsewhere.
    pub(super) fn check_log(&self, end: LogPoint) -> Result<()> {
        #[cfg(feature = "replication")]
        self.0.as_ref().map_or(Ok(()), |kept| kept.state().check_log(end))?;
        let _ = end;
        Ok(())
    }

    /// Whether the install of a snapshot was begun, and is not finished.
    pub(super) fn installs(&self) -> bool {
        #[cfg(feature = "replication")]
        let installs = self.0.as_ref().is_some_and(|kept| kept.state().install.is_some());
        #[cfg(not(feature = "replication"))]
        let installs = false;
        installs
    }

    /// What halted an earlier run stays in force: nothing is read before that is cleared.
    fn bar_reads(&self, store: &Store) {
        #[cfg(feature = "replication")]
        if let Some(halt) = self.0.as_ref().and_then(|kept| kept.state().halt.as_ref()) {
            store.bar_reads(Error::new(Reason::ReplicaHalted).with("halt", halt).with("evidence", &halt.evidence));
        }
        let _ = store;
    }
}

/// A directory whose lock is held, and of which it is known whose it is.
pub(crate) struct Entered<'a> {
    steps: Steps,
    options: &'a Options,
    lock: Box<dyn LockGuard>,
    identity: Identity,
    kept: Kept,
}

/// Opens a directory.
pub(crate) fn open(options: &Options, calls: Option<Sender<()>>) -> Taken<Recovered> {
    begin(options)?.recover(calls)
}

/// Takes the lock, and reads whose directory it is; on a replica what that knows of itself. Changes nothing.
pub(crate) fn begin(options: &Options) -> Taken<Entered<'_>> {
    let mut steps = Steps::begin(options);
    let lock = take_lock(&mut steps, options)?;
    let (identity, kept) = take_identity(&mut steps, options)?;
    Ok(Entered { steps, options, lock, identity, kept })
}

pub(super) fn take_lock(steps: &mut Steps, options: &Options) -> Taken<Box<dyn LockGuard>> {
    steps.take(State::Locking, |_, _| {
        check_extend(options.extend_bytes)?;
        lock(options)
    })
}

pub(super) fn take_identity(steps: &mut Steps, options: &Options) -> Taken<(Identity, Kept)> {
    let beyond_a_writer = |identity: &Identity| if identity.role.writes() { Event::Writer } else { Event::Done };
    let identity = steps.take_to(State::Identity, beyond_a_writer, |step, _| {
        let identity = identify(options)?;
        step.found("role", identity.role);
        step.found("database", identity.database_id);
        step.found("node", identity.node_id);
        step.found("epoch", identity.epoch);
        Ok(identity)
    })?;
    let kept = take_state(steps, options, &identity)?;
    Ok((identity, kept))
}

/// What a replica knows of itself.
#[cfg(feature = "replication")]
fn take_state(steps: &mut Steps, options: &Options, identity: &Identity) -> Taken<Kept> {
    let Identity { role, database_id, node_id, .. } = *identity;
    if role.writes() {
        return Ok(Kept(None));
    }
    let kept = steps.take(State::ReplicaState, |step, _| {
        let kept = StateStore::open(options.disk.as_ref(), &options.dir, database_id, node_id)?;
        let ReplicaState { applied, halt, primary, .. } = kept.state();
        step.found("applied", applied);
        step.found("halt", halt.as_ref().map_or_else(|| "none".to_owned(), Halt::to_string));
        step.found("primary", primary.map_or_else(|| "none".to_owned(), |primary| primary.to_string()));
        Ok(kept)
    })?;
    Ok(Kept(Some(kept)))
}

/// No role of this program has them.
#[cfg(not(feature = "replication"))]
fn take_state(_: &mut Steps, _: &Options, _: &Identity) -> Taken<Kept> {
    Ok(Kept::default())
}

/// Looks at what an install or a bootstrap left, and refuses a directory that holds nothing yet. Who opens it has an install finished first, and removes what
/// stands aside (RC-INSTALL): the names of what that was.
#[cfg(feature = "replication")]
pub(super) fn take_install(steps: &mut Steps, options: &Options, kept: &mut Kept, settles: bool) -> Taken<Vec<String>> {
    let Some(kept) = &mut kept.0 else { return Ok(Vec::new()) };
    steps.take(State::Install, |step, _| {
        step.found("origin", kept.state().origin);
        if let Some(install) = kept.state().install {
            step.found("install", install);
        }
        let mut settled = Settled::default();
        if settles {
            let now = install::settle(options.disk.as_ref(), &options.dir, kept)?;
            settled = options.settled.clone().and(now);
            if let Some(cut) = settled.finished {
                step.proven("installed", cut);
            }
            settled.discarded.iter().for_each(|name| step.dropped("file", name));
        }
        if settles || kept.state().install.is_none() {
            kept.state().check_complete()?;
        }
        Ok(settled.discarded)
    })
}

/// No role of this program has it.
#[cfg(not(feature = "replication"))]
pub(super) fn take_install(_: &mut Steps, _: &Options, _: &mut Kept, _: bool) -> Taken<Vec<String>> {
    Ok(Vec::new())
}

impl Entered<'_> {
    /// Takes the other steps.
    pub(crate) fn recover(self, calls: Option<Sender<()>>) -> Taken<Recovered> {
        let Entered { mut steps, options, lock, identity, mut kept } = self;
        let left = take_install(&mut steps, options, &mut kept, true)?;
        let disk = options.disk.as_ref();
        let store_options = store_options(options, &identity);
        steps.take(State::Directories, |step, _| {
            if find_unfinished(step, disk, &options.dir)? {
                disk.remove(&options.dir.join(UNFINISHED_FILE))?;
                step.dropped("file", UNFINISHED_FILE);
            }
            // A name that an earlier process gave may be known to the cache alone. It must be durable before anything is removed on the
            // strength of it.
            disk.sync_dir(&options.dir)?;
            disk.sync_dir(&store_options.directory)?;
            disk.sync_dir(&wal::directory(&options.dir))
        })?;
        let manifest = take_checkpoint(&mut steps, &store_options)?;
        let store = take_runs(&mut steps, &store_options, &manifest, calls)?;
        let removed = steps.take(State::Leftovers, |step, _| {
            let removed = remove_leftovers(&store_options, &manifest)?;
            removed.iter().for_each(|name| step.dropped("file", name));
            Ok([left, removed].concat())
        })?;
        let checkpoint = manifest.point;
        if options.proofs && identity.role == Role::Primary {
            store.begin_to_owe();
        }
        let (applier, maintenance) = (Applier::new(&store), Maintenance::new(&store, manifest));
        let mut replay = Replay { role: identity.role, store, applier, maintenance, records: 0, diverged: None };
        let (log, log_found) = steps.take(State::Log, |step, steps| {
            let log = log_options(&options.disk, &options.dir, &identity, options.extend_bytes);
            steps.replays(checkpoint.position, find_mark(step, &log)?.durable.position);
            let opened = wal::open(log, checkpoint, &mut |record, cover| {
                steps.replayed(record.after.position);
                replay.record(record, cover)
            });
            step.proven("records_replayed", replay.records);
            let (log, found) = opened?;
            prove_log(step, &found);
            kept.check_log(found.end)?;
            Ok((log, found))
        })?;
        kept.bar_reads(&replay.store);
        steps.take(State::Publishing, |step, _| replay.publish(step))?;
        let Replay { store, applier, maintenance, records: records_replayed, .. } = replay;
        let floor = store.state().floor;
        let steps = steps.done();
        let report = Report { identity, checkpoint, floor, log: log_found, records_replayed, removed, steps };
        let base = Base { maintenance, store, report, lock };
        Ok(Recovered {
            log,
            applier,
            #[cfg(feature = "replication")]
            kept,
            base,
        })
    }
}

/// The store below a directory.
pub(super) fn store_options(options: &Options, identity: &Identity) -> StoreOptions {
    StoreOptions {
        disk: Arc::clone(&options.disk),
        directory: Store::directory(&options.dir),
        database_id: identity.database_id,
        parameters: identity.parameters,
        cache_bytes: options.cache_bytes,
        pinned_bytes_max: options.pinned_bytes_max,
    }
}

/// Whether what made the directory was cut short behind its identity, and before it was done.
pub(super) fn find_unfinished(step: &mut Step, disk: &dyn Disk, dir: &Path) -> Result<bool> {
    let unfinished = disk.list(dir)?.unwrap_or_default().iter().any(|name| name == UNFINISHED_FILE);
    step.found("unfinished", unfinished);
    Ok(unfinished)
}

pub(super) fn take_checkpoint(steps: &mut Steps, options: &StoreOptions) -> Taken<Manifest> {
    steps.take(State::Checkpoint, |step, _| {
        let manifest = Manifest::read(options.disk.as_ref(), &options.directory, options.database_id)?;
        step.found("checkpoint", manifest.point);
        step.found("floor", manifest.floor);
        step.found("runs", manifest.plan.runs.len());
        step.found("merges_due", manifest.plan.merges.len());
        Ok(manifest)
    })
}

pub(super) fn take_runs(
    steps: &mut Steps,
    options: &StoreOptions,
    manifest: &Manifest,
    calls: Option<Sender<()>>,
) -> Taken<Arc<Store>> {
    steps.take(State::Runs, |step, _| {
        let store = Store::open(options.clone(), manifest, calls)?;
        step.proven("runs", manifest.plan.runs.len());
        step.proven("bytes", manifest.plan.runs.iter().fold(0u64, |bytes, run| bytes.saturating_add(run.size)));
        Ok(store)
    })
}

/// Up to where the log is known to reach before any of it is proven.
pub(super) fn find_mark(step: &mut Step, log: &LogOptions) -> Result<Mark> {
    let mark = Mark::read_beside_writer(log.disk.as_ref(), &log.directory, log.lineage.database_id)?;
    step.found("marked", mark.durable);
    step.found("segment", mark.segment);
    Ok(mark)
}

fn prove_log(step: &mut Step, found: &LogReport) {
    let LogReport { oldest, proven_from, end, torn_bytes, unproven_bytes, removed, roll_finished, .. } = found;
    step.found("oldest", oldest);
    step.found("unfinished_roll", roll_finished);
    step.proven("from", proven_from);
    step.proven("end", end);
    step.dropped("torn_bytes", torn_bytes);
    step.dropped("unproven_bytes", unproven_bytes);
    removed.iter().for_each(|name| step.dropped("file", name));
}

/// The log on its way into the store.
struct Replay {
    role: Role,
    store: Arc<Store>,
    applier: Applier,
    maintenance: Maintenance,
    records: u64,
    diverged: Option<Error>,
}

impl Replay {
    fn record(&mut self, record: &Record<'_>, cover: Cover) -> Result<()> {
        if self.diverged.is_some() {
            return Ok(());
        }
        let applied = self.applier.apply(record).and_then(|_| {
            self.records = self.records.saturating_add(1);
            // A checkpoint is never built on what may be in the cache alone: those records are one group, and wait in memory.
            if cover == Cover::Durable { self.make_room() } else { Ok(()) }
        });
        self.unless_diverged(applied)
    }

    /// The log is open, so all of it is durable: the node is left as a second recovery would leave it, and readable.
    fn publish(&mut self, step: &mut Step) -> Result<()> {
        if self.diverged.is_none() {
            let room = self.make_room();
            self.unless_diverged(room)?;
        }
        self.applier.open_reads(self.role);
        if let Some(fault) = &self.diverged {
            step.found("diverged", fault);
            self.store.halt(fault);
        }
        let state = self.store.state();
        step.proven("commit", self.store.commit());
        step.proven("floor", state.floor);
        step.proven("checkpoint", state.checkpoint);
        Ok(())
    }

    /// A replica whose run is not the one that its log names opens halted, with all that it applied before, and shows so. A writer is not opened.
    fn unless_diverged(&mut self, outcome: Result<()>) -> Result<()> {
        match outcome {
            Err(fault) if fault.reason() == Reason::StateDiverged && !self.role.writes() => {
                self.diverged = Some(fault);
                Ok(())
            }
            outcome => outcome,
        }
    }

    /// Makes runs of sealed tables until another may be sealed.
    fn make_room(&mut self) -> Result<()> {
        while !self.store.has_room() && self.maintenance.step()? == Progress::Worked {}
        Ok(())
    }
}
