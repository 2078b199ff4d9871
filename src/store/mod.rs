//! The store: what a view reads. A deterministic log-structured merge tree with all versions that the floor keeps.
//!
//! ```text
//!            record by record                  a table at a time                  a merge at a time
//! log ──► Applier ──► active table ──seal──► sealed tables ──flush──► runs ──merge──► fewer, larger runs
//!          (the committer, or recovery)                 (maintenance, with the manifest)
//! ```
//!
//! It has no log of its own: after a crash the log is replayed from the checkpoint on. **What** it writes is decided by the log: a
//! table is sealed after the record that reaches or crosses a multiple of *table bytes*, or at a `Cut`; which runs merge and what a
//! merge drops follows from the sequence of seals and the floor there (R-DETERMINISM). Only **when** is free.
//!
//! Who writes what: the [`Applier`] the active table, the seal and the floor; maintenance the runs, the checkpoint and the manifest;
//! [`Store::halt`] and [`Store::stop_writes`] the faults, the first of each kind. Readers: all, through [`Store::view`].
//!
//! Deliberately absent: a log, a clock, a thread.

pub mod manifest;
pub mod plan;
pub mod run;

mod applier;
mod checkpoint;
mod directory;
mod hold;
mod key;
mod landmarks;
mod newest;
mod pinned;
mod proofs;
mod rows;
mod state;
mod survivors;
mod table;
mod values;
mod view;

pub use applier::Applier;
pub use checkpoint::Checkpoint;
pub use newest::Newest;
pub use pinned::Pinned;
pub use proofs::ProofCounts;
pub(crate) use proofs::compare;
pub use rows::{Range, Rows};
pub use run::Direction;
pub(crate) use state::Replaced;
pub use state::{SealedTable, State};
pub use survivors::Survivors;
pub use table::Table;
pub use view::View;

use crate::commit_id::CommitId;
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::gate::{self, Authority, Check, Facts, Line, Phase, Prefix, Wish};
use crate::identity::{Id, Parameters, Role};
use crate::limits;
use crate::position::{LogPoint, Position};
use crate::published::{Cell, FirstFault, Opened, Opening, Published, Seen, Signal};
use crate::queue::Sender;
use crate::reason::Reason;
use crate::record::Proof;
use crate::sync::{self, Arc, Mutex, OnceLock, Pin, planted, seeded};
use hold::{Holder, Holds};
use landmarks::Landmarks;
use manifest::Manifest;
use proofs::Ledger;
use run::{Cache, Run, RunInfo};
use std::path::{Path, PathBuf};

/// Where a store lies, and what it may use.
#[derive(Clone)]
pub struct StoreOptions {
    /// The disk.
    pub disk: Arc<dyn Disk>,
    /// The directory `store/`.
    pub directory: PathBuf,
    /// Whose store.
    pub database_id: Id,
    /// What shapes its files.
    pub parameters: Parameters,
    /// Memory for blocks that were read.
    pub cache_bytes: u64,
    /// What views and ranges may pin beyond the current state, before the oldest is revoked.
    pub pinned_bytes_max: u64,
}

/// The store, shared by its applier, its maintenance and all readers.
pub struct Store {
    options: StoreOptions,
    state: Cell<State>,
    published: Published,
    halted: FirstFault,
    stopped: FirstFault,
    /// Why nothing is read though the node has not halted, or not yet: what an earlier run was halted by, or a halt that is still to be kept.
    barred: OnceLock<Error>,
    /// Whether what is recovered may be read, and for whom.
    opening: Opening,
    /// The last commit whose record is proven to be the primary's, on a node that follows one.
    proven: Published,
    changed: Signal,
    landmarks: Landmarks,
    holds: Holds,
    cache: Arc<Cache>,
    proofs: Mutex<Ledger>,
    /// Called when the Proof of another run is owed.
    when_owed: Mutex<Option<Hook>>,
    /// Calls maintenance; gone once it was dismissed.
    maintenance: Mutex<Option<Sender<()>>>,
    /// Called when commits have become readable, or never will any more.
    hooks: Mutex<Arc<Vec<Hook>>>,
}

type Hook = Arc<dyn Fn() + Send + Sync>;

impl Store {
    /// Opens the runs that the manifest names. What lies above the checkpoint is applied afterwards, from the log.
    ///
    /// # Errors
    /// `store.run_missing`, `store.run_corrupt`, `identity.*`, `disk.read_failed`.
    pub fn open(options: StoreOptions, manifest: &Manifest, maintenance: Option<Sender<()>>) -> Result<Arc<Store>> {
        let cache = Arc::new(Cache::new(options.cache_bytes));
        let mut runs = Vec::new();
        for info in manifest.plan.runs.iter().rev() {
            let disk = options.disk.as_ref();
            let run = Run::open(disk, &options.directory, *info, options.database_id, Arc::clone(&cache))?;
            if run.floor() > manifest.floor {
                return Err(Error::new(Reason::StoreRunCorrupt)
                    .with("file", run.path().display())
                    .with("malformed", "floor")
                    .with("expected", format_args!("at most {}", manifest.floor))
                    .with("found", run.floor()));
            }
            runs.push(Pin::new(run));
        }
        let state = State {
            number: 0,
            active: Pin::new(Table::new(options.parameters.table_bytes)),
            sealed: Vec::new(),
            runs,
            floor: manifest.floor,
            checkpoint: manifest.point,
            manifest: Arc::new(manifest.clone()),
        };
        Ok(Arc::new(Store {
            options,
            state: Cell::new(state),
            published: Published::new(manifest.point.commit),
            halted: FirstFault::new(),
            stopped: FirstFault::new(),
            barred: OnceLock::new(),
            opening: Opening::new(),
            proven: Published::new(manifest.point.commit),
            changed: Signal::new(),
            landmarks: Landmarks::default(),
            holds: Holds::default(),
            cache,
            proofs: Mutex::default(),
            when_owed: Mutex::default(),
            maintenance: Mutex::new(maintenance),
            hooks: Mutex::new(Arc::default()),
        }))
    }

    /// Where the store lies, and what it may use.
    #[must_use]
    pub fn options(&self) -> &StoreOptions {
        &self.options
    }

    /// The directory of the store in a data directory.
    #[must_use]
    pub fn directory(dir: &Path) -> PathBuf {
        dir.join("store")
    }

    /// The state now.
    #[must_use]
    pub fn state(&self) -> Pinned<'_> {
        Pinned::new(self, self.state.load())
    }

    /// The blocks in memory.
    #[must_use]
    pub fn cache(&self) -> &Arc<Cache> {
        &self.cache
    }

    /// The last commit that was published.
    #[must_use]
    pub fn commit(&self) -> CommitId {
        self.published.commit()
    }

    /// How many views exist.
    #[must_use]
    pub fn views(&self) -> usize {
        self.holds.count(Holder::View)
    }

    /// How many pins of a checkpoint exist.
    #[must_use]
    pub fn checkpoints(&self) -> usize {
        self.holds.count(Holder::Snapshot)
    }

    /// Pins the checkpoint (SNAP-PIN).
    ///
    /// # Errors
    /// After a halt, the fault that halted the node.
    pub fn pin_checkpoint(self: &Arc<Self>) -> Result<Checkpoint> {
        match self.halted() {
            Some(fault) => Err(fault),
            None => Ok(Checkpoint::new(self)),
        }
    }

    /// A view at a commit, or at the newest one.
    ///
    /// # Errors
    /// `view.beyond_applied`, `view.below_floor`; after a halt, the fault that halted the node; `read.recovering`.
    pub fn view(self: &Arc<Self>, at: Option<CommitId>) -> Result<View> {
        self.read(&Wish::at(at), None)
    }

    /// A view that is as it is asked for; `line` is what the log says of the point that is named.
    ///
    /// # Errors
    /// What the gate refuses with; after a halt, the fault that halted the node.
    pub fn read(self: &Arc<Self>, wish: &Wish, line: Option<Line>) -> Result<View> {
        self.look(wish, |_| line).1
    }

    /// A reader of the newest values.
    #[must_use]
    pub fn newest(&self) -> Newest<'_> {
        Newest { store: self, admitted: None }
    }

    /// Lets it be read from here on: everything that is published is recovered and, on a node that follows another, proven. Where reads are
    /// barred they stay so. Nobody bars meanwhile: before this it is the thread that recovers, and others only behind it.
    pub fn open_reads(&self, role: Role) {
        self.prove_to(self.commit());
        if self.barred.get().is_some() && !bars_in_name_only() {
            self.published.halt();
        }
        self.opening.open(if role.writes() { Opened::ForWriter } else { Opened::ForFollower });
    }

    /// Refuses every read from here on, also to who was admitted to the newest commit and asks again; all else goes on. What still recovers
    /// has to publish what it recovered, so there the opening ends reads. The first bar is told, and only that: who hears of it may bar, too.
    #[cfg(feature = "replication")]
    pub fn bar_reads(&self, fault: Error) {
        let first = self.barred.set(fault).is_ok();
        if self.opening.seen().is_some() && !bars_in_name_only() {
            self.published.halt();
            if first {
                self.tell();
            }
        }
    }

    /// Every commit up to this one is proven to be the primary's. Said before any of them is applied.
    pub fn prove_to(&self, commit: CommitId) {
        self.proven.publish(commit);
    }

    /// The commit that a read would be at, if the gate admits it; nothing is held for it.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub fn verdict(&self, wish: &Wish, line: impl FnOnce(&Facts) -> Option<Line>) -> Result<CommitId> {
        let (facts, verdict) = self.judge(wish, line);
        let (commit, state) = verdict.map_err(|check| self.refused(check, &facts, wish))?;
        drop(Pinned::new(self, state));
        Ok(commit)
    }

    /// The newest commit and a state that holds it, if the gate admits it.
    fn admit_newest(&self) -> Result<(CommitId, Pin<State>)> {
        let wish = Wish::newest();
        let (facts, verdict) = self.judge(&wish, |_| None);
        verdict.map_err(|check| self.refused(check, &facts, &wish))
    }

    /// The verdict on a read and the facts of the look that it was decided on: what explains it is what decided. `line` is asked what the log says
    /// of the point that is named, behind all other facts, which it is given: it may have to read for it.
    ///
    /// # Errors
    /// As [`Store::read`], within.
    pub fn look(self: &Arc<Self>, wish: &Wish, line: impl FnOnce(&Facts) -> Option<Line>) -> (Facts, Result<View>) {
        let (facts, verdict) = self.judge(wish, line);
        let verdict = verdict.map_err(|check| self.refused(check, &facts, wish));
        (facts, verdict.map(|(commit, state)| View::new(self, commit, state)))
    }

    #[inline]
    fn judge(
        &self,
        wish: &Wish,
        line: impl FnOnce(&Facts) -> Option<Line>,
    ) -> (Facts, std::result::Result<(CommitId, Pin<State>), Check>) {
        let (facts, state) = if seeded("what the log says is looked at before the commit") {
            let line = line(&self.moment().0);
            let (facts, state) = self.moment();
            (Facts { line, ..facts }, state)
        } else {
            let (facts, state) = self.moment();
            (Facts { line: line(&facts), ..facts }, state)
        };
        match gate::decide(&facts, wish) {
            Ok(commit) => (facts, Ok((commit, state))),
            Err(check) => {
                // It may have been the last pin of a state that was replaced.
                drop(Pinned::new(self, state));
                (facts, Err(check))
            }
        }
    }

    /// The facts of one moment, and the state of that moment.
    ///
    /// Whether it was opened is looked at first: if so, the commit that is looked at then is what was recovered, or a later one, and a bar is seen
    /// with it. The published commit comes before the rest: a state that is loaded later holds it, and what is proven then reaches it. A floor above that
    /// commit means that a newer one has been published since, because a floor is only ever raised to a published commit; so it is looked
    /// at again, and each time the writer has moved on (F-RS2). Behind a halt no commit is published any more, and the floor says nothing.
    #[inline]
    fn moment(&self) -> (Facts, Pin<State>) {
        // Each look finds the floor of the last one published, so the loop ends when the writer stops.
        let mut floor_seen = CommitId::NONE;
        let proven = || self.proven.commit();
        loop {
            let opened = self.opening.seen();
            let early = seeded("what is proven is looked at before the commit").then(proven);
            let (seen, state) = if seeded("the state is loaded before the commit is read") {
                let state = self.state.load();
                (self.published.seen(), state)
            } else {
                (self.published.seen(), self.state.load())
            };
            debug_assert!(seen.halted || seen.commit >= floor_seen, "a floor is only ever raised to a published commit");
            let unlooked =
                seeded("a view below the floor is admitted") || planted("a view below the floor is admitted");
            let floor = if unlooked { CommitId::NONE } else { state.floor };
            let facts = facts_at(opened, seen, floor, early.unwrap_or_else(proven));
            if facts.halted || facts.floor <= facts.applied {
                return (facts, state);
            }
            floor_seen = facts.floor;
        }
    }

    /// A read that the gate refuses. What halted the node says more than that it has.
    #[cold]
    fn refused(&self, check: Check, facts: &Facts, wish: &Wish) -> Error {
        let fault = if check == Check::Halt { self.halted.get().or_else(|| self.barred.get().cloned()) } else { None };
        fault.unwrap_or_else(|| check.refusal(facts, wish))
    }

    /// Halts the node if a read found corruption; hands the outcome on (D-CORRUPT).
    ///
    /// # Errors
    /// The one it was given.
    pub fn watch<T>(&self, outcome: Result<T>) -> Result<T> {
        if let Err(error) = &outcome
            && error.reason() == Reason::StoreBlockCorrupt
        {
            self.halt(error);
        }
        outcome
    }

    /// Ends reading and writing, for good.
    pub fn halt(&self, error: &Error) {
        if seeded("reading ends before its fault is recorded") {
            self.published.halt();
        }
        let first = self.halted.set(error);
        if first {
            log::error!(code = error.reason().name(); "halted: {error}");
        }
        self.published.halt();
        self.changed.raise();
        if first {
            self.tell();
        }
    }

    /// Ends writing, for good; what is there can still be read.
    pub fn stop_writes(&self, error: &Error) {
        let first = self.stopped.set(error);
        if first {
            log::error!(code = error.reason().name(); "writing stopped: {error}");
        }
        self.changed.raise();
        if first {
            self.tell();
        }
    }

    /// What ended reading, if anything did.
    #[must_use]
    pub fn halted(&self) -> Option<Error> {
        self.halted.get()
    }

    /// Why nothing is read any more, if that is so: what halted this node, or what bars reading while all else goes on.
    #[must_use]
    pub fn reads_ended(&self) -> Option<Error> {
        self.halted.get().or_else(|| self.barred.get().cloned())
    }

    /// What ended writing, if anything did.
    #[must_use]
    pub fn write_fault(&self) -> Option<Error> {
        self.halted.get().or_else(|| self.stopped.get())
    }

    /// Whether another table may be sealed before maintenance has made a run of the oldest.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.state.look(|state| state.sealed.len() < limits::SEALED_TABLES_MAX)
    }

    /// Waits until there is room, or writing has ended.
    pub fn wait_for_room(&self) {
        self.changed.wait_until(|| self.has_room() || self.write_fault().is_some());
    }

    /// Waits until the checkpoint holds everything up to this point.
    ///
    /// # Errors
    /// What ended writing before.
    pub fn wait_for_checkpoint(&self, point: LogPoint) -> Result<()> {
        let reached = || self.state.look(|state| state.checkpoint.position >= point.position);
        self.changed.wait_until(|| reached() || self.write_fault().is_some());
        match self.write_fault() {
            Some(fault) if !reached() => Err(Error::new(Reason::CommitStopped).with("failure", fault)),
            _ => Ok(()),
        }
    }

    /// Calls `hook` whenever commits have become readable, and once for the first fault that ends reading and the first that ends writing;
    /// on the thread that made it so, so it may be called by two at once. No lock is held meanwhile: it may read, and add a hook, which is
    /// called from the next time on. Where it fails an assertion, in a program that unwinds, that is logged, and the other hooks are called.
    pub fn on_publish(&self, hook: impl Fn() + Send + Sync + 'static) {
        Arc::make_mut(&mut sync::lock(&self.hooks)).push(Arc::new(hook));
    }

    /// The last point of the log before a position that was applied since the start, and is remembered.
    #[must_use]
    pub fn landmark(&self, position: Position) -> Option<LogPoint> {
        self.landmarks.before(position)
    }

    /// Makes everything up to a commit readable, and says so.
    fn publish(&self, commit: CommitId) {
        self.published.publish(commit);
        self.tell();
    }

    /// Calls the hooks: something has happened that whoever waits for a commit has to hear of.
    pub(crate) fn tell(&self) {
        let hooks = Arc::clone(&sync::lock(&self.hooks));
        for hook in hooks.iter() {
            if let Err(assertion) = sync::caught(|| hook()) {
                log::error!("a hook failed an assertion of its own: {assertion}");
            }
        }
    }

    /// The Proofs since the start.
    #[must_use]
    pub fn proofs(&self) -> ProofCounts {
        sync::lock(&self.proofs).counts()
    }

    /// From now on the Proof of every run that is complete is owed to the log, and of those that are there. What a replay finds in the log
    /// is owed no more.
    pub fn begin_to_owe(&self) {
        let state = self.state.load();
        sync::lock(&self.proofs).begin_to_owe(state.runs.iter().rev().map(|run| run.info()));
    }

    /// The Proofs that are owed to the log, of the oldest run first.
    #[must_use]
    pub fn owed(&self) -> Vec<Proof> {
        sync::lock(&self.proofs).owed()
    }

    /// Calls `hook` whenever the Proof of another run is owed, on maintenance's thread, which it must not hold up.
    pub fn when_owed(&self, hook: impl Fn() + Send + Sync + 'static) {
        *sync::lock(&self.when_owed) = Some(Arc::new(hook));
    }

    /// The log brings a Proof: if its run is here, it is compared, else it waits for it (REPL-PROOF).
    fn prove(&self, proof: &Proof, position: Position) -> Result<()> {
        let mut ledger = sync::lock(&self.proofs);
        // Loaded under the lock: a run that is complete is in the one or in the other.
        let state = self.state.load();
        ledger.logged(RunInfo::from(proof), position, state.runs.iter().map(|run| &**run))
    }

    /// A run is complete, and the manifest that will name it is not written.
    ///
    /// # Errors
    /// `state.diverged`: the log has another run of its identity.
    pub fn complete(&self, run: &Run) -> Result<()> {
        sync::lock(&self.proofs).completed(run)
    }

    /// The manifest that names a run is durable: its Proof may be logged.
    pub fn owe(&self, run: RunInfo) {
        sync::lock(&self.proofs).owe(run);
        let hook = sync::lock(&self.when_owed).clone();
        if let Some(hook) = hook {
            hook();
        }
    }

    /// Replaces the state, and wakes who waits for it.
    pub(crate) fn change(&self, change: impl FnOnce(&State) -> State) {
        self.state.update(|state| State { number: state.number.saturating_add(1), ..change(state) });
        self.changed.raise();
    }

    /// Tells maintenance that there may be work. A call that is pending already counts for this one.
    pub(crate) fn call_maintenance(&self) {
        if let Some(maintenance) = sync::lock(&self.maintenance).as_ref() {
            let _ = maintenance.try_send(());
        }
    }

    /// Tells maintenance that nobody will call it any more.
    pub fn dismiss_maintenance(&self) {
        drop(sync::lock(&self.maintenance).take());
    }

    /// Revokes the oldest view, range or snapshot that keeps alive what was replaced; says whether there was one.
    pub(crate) fn revoke_oldest(&self, replaced: &dyn Replaced) -> bool {
        self.holds.revoke_oldest(replaced)
    }

    /// Calls maintenance where the state with this number, which somebody let go of, was replaced: that may have been its last pin.
    fn call_where_replaced(&self, number: u64) {
        if !self.is_current(number) {
            self.call_maintenance();
        }
    }

    fn is_current(&self, number: u64) -> bool {
        self.state.look(|state| state.number == number)
    }
}

/// What one look has found, in the words of the gate.
fn facts_at(opened: Option<Opened>, seen: Seen, floor: CommitId, proven: CommitId) -> Facts {
    let (phase, authority, prefix) = match opened {
        None => (Phase::Recovering, Authority::Unknown, Prefix::Own),
        Some(Opened::ForWriter) => (Phase::Open, Authority::Writer, Prefix::Own),
        Some(Opened::ForFollower) => (Phase::Open, Authority::Follower, Prefix::Proven(proven)),
    };
    let unlooked = seeded("the gate does not look at the halt") || planted("the gate does not look at the halt");
    Facts { authority, phase, halted: seen.halted && !unlooked, prefix, applied: seen.commit, floor, line: None }
}

/// A bug: the fault is kept, and the word that every reader looks at does not say so.
fn bars_in_name_only() -> bool {
    seeded("a bar does not end reading") || planted("a bar does not end reading")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::SimDisk;
    use crate::sync::atomic::{AtomicUsize, Ordering};

    fn store() -> Arc<Store> {
        let store = recovering();
        store.open_reads(Role::Standalone);
        store
    }

    fn recovering() -> Arc<Store> {
        let options = StoreOptions {
            disk: Arc::new(SimDisk::new()),
            directory: "/store".into(),
            database_id: Id([7; 16]),
            parameters: Parameters::default(),
            cache_bytes: 0,
            pinned_bytes_max: 0,
        };
        Store::open(options, &Manifest::empty(Id([7; 16]), LogPoint::default()), None).unwrap()
    }

    fn counted(store: &Store) -> impl Fn() -> usize {
        let calls = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&calls);
        store.on_publish(move || {
            count.fetch_add(1, Ordering::Relaxed);
        });
        move || calls.load(Ordering::Relaxed)
    }

    fn fault(reason: Reason) -> Error {
        Error::new(reason)
    }

    /// P5-I14
    #[test]
    fn a_hook_that_fails_an_assertion_silences_no_other() {
        let store = store();
        let before = counted(&store);
        store.on_publish(|| panic!("a hook of its own"));
        let behind = counted(&store);
        for commit in 1..=3 {
            store.publish(CommitId(commit));
        }
        assert_eq!((before(), behind()), (3, 3));
        assert_eq!((store.commit(), store.write_fault()), (CommitId(3), None));
    }

    /// P5-I10, READ-GATE: who was admitted to the newest commit is refused like everybody else, though no commit was published meanwhile.
    #[cfg(feature = "replication")]
    #[test]
    fn a_reader_of_the_newest_values_that_was_admitted_before_the_bar_is_refused_behind_it() {
        let store = store();
        store.publish(CommitId(1));
        let mut newest = store.newest();
        let mut look = || newest.look(b"key", <[u8]>::to_vec);
        assert_eq!(look(), Ok(None));
        let halted = fault(Reason::ReplicaHalted).with("halt", "not kept yet");
        let calls = counted(&store);
        store.bar_reads(halted.clone());
        assert_eq!((calls(), store.reads_ended()), (1, Some(halted.clone())), "who waits is told");
        assert_eq!(look(), Err(halted.clone()));
        assert_eq!(store.view(None).err(), Some(halted), "and so is whoever comes");
        assert_eq!(store.commit(), CommitId(1), "what is shown stays");
    }

    /// P5-I10: whoever hears that writing has stopped may bar reads, as a replica does whose maintenance has found another run; hearing of the bar,
    /// it does so again.
    #[cfg(feature = "replication")]
    #[test]
    fn a_hook_that_bars_reads_is_told_of_the_bar_once() {
        let store = store();
        let calls = counted(&store);
        let barring = Arc::clone(&store);
        store.on_publish(move || barring.bar_reads(fault(Reason::ReplicaHalted)));
        store.stop_writes(&fault(Reason::StateDiverged));
        assert_eq!((calls(), store.reads_ended()), (2, Some(fault(Reason::ReplicaHalted))));
    }

    /// P5-I10, P5-I11: what an earlier run was halted by bars reads, and what is recovered is shown all the same.
    #[cfg(feature = "replication")]
    #[test]
    fn what_is_recovered_behind_a_bar_is_published_and_not_read() {
        let store = recovering();
        store.bar_reads(fault(Reason::ReplicaHalted));
        store.publish(CommitId(3));
        assert_eq!(store.view(None).err().map(|error| error.reason()), Some(Reason::ReadRecovering));
        store.open_reads(Role::Replica);
        assert_eq!(store.view(None).err().map(|error| error.reason()), Some(Reason::ReplicaHalted));
        assert_eq!(store.newest().look(b"key", <[u8]>::to_vec).err(), store.view(None).err());
        assert_eq!(store.commit(), CommitId(3));
    }

    /// P5-I14: it looks before it enters, so that what would be a deadlock fails.
    #[test]
    fn a_hook_may_read_and_add_a_hook() {
        let store = store();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (weak, place) = (Arc::downgrade(&store), Arc::clone(&seen));
        store.on_publish(move || {
            let store = weak.upgrade().unwrap();
            assert!(store.hooks.try_lock().is_ok(), "hooks are called under their lock");
            store.on_publish(|| {});
            sync::lock(&place).push((store.view(None).unwrap().commit(), store.newest().look(b"key", <[u8]>::to_vec)));
        });
        store.publish(CommitId(1));
        store.publish(CommitId(2));
        assert_eq!(*sync::lock(&seen), [(CommitId(1), Ok(None)), (CommitId(2), Ok(None))]);
        assert_eq!(sync::lock(&store.hooks).len(), 3);
    }

    /// P5-I14, D-FSYNC, D-CORRUPT: every refused order and every refused read meets the fault again; that tells nothing new.
    #[test]
    fn hooks_are_told_of_the_first_fault_of_each_kind_and_of_no_later_one() {
        let store = store();
        let calls = counted(&store);
        store.stop_writes(&fault(Reason::DiskSyncFailed));
        assert_eq!(calls(), 1);
        store.stop_writes(&fault(Reason::DiskSyncFailed));
        store.stop_writes(&fault(Reason::DiskFull));
        assert_eq!(calls(), 1);
        for _ in 0..3 {
            let _ = store.watch::<()>(Err(fault(Reason::StoreBlockCorrupt)));
        }
        assert_eq!(calls(), 2);
    }
}
