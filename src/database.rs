//! The database: a node with its threads.
//!
//! ```text
//! any thread ── commit, raise_floor, checkpoint ──► inbox ──► committer (thread) ──calls──► maintenance (thread)
//! any thread ── view, get ──► published state          no lock that a writer holds for longer than one commit's insertion
//! ```
//!
//! Callers wait for their answer, not for one another: whoever commits while a group syncs is in the next group. The committer ends
//! when the last sender is gone, maintenance when the committer has ended. A thread that fails an assertion of its own ends writing
//! for all, so nobody waits for it for ever. Nothing here is global: a program may have many.

use crate::batch::Batch;
use crate::commit_id::CommitId;
use crate::committer::{
    Answers, Committer, Decision, Latest, Order, Orders, Retention, machine as committer_machine,
    worker as committer_worker,
};
use crate::disk::LockGuard;
use crate::disk::aside::AsideDisk;
use crate::error::{Error, Result};
use crate::gate::{Facts, Line, Wish};
use crate::identity::Identity;
use crate::limits;
use crate::maintenance::{machine as maintenance_machine, worker as maintenance_worker};
use crate::node::writer;
use crate::observed::{Observation, Observed};
use crate::position::{LogPoint, Position};
use crate::published::Fact;
use crate::queue::{self, Receiver};
use crate::reason::Reason;
use crate::record::Purpose;
use crate::recovery::{self, Base, Init, Options, Recovered, Report};
use crate::store::run::RunInfo;
use crate::store::{Newest, ProofCounts, Store, View};
use crate::sync::{self, Arc, JoinHandle};
use crate::wal::{self, Extent, LogOptions, LogWriter};

/// What an operator sees of a database.
#[derive(Clone, Debug)]
pub struct Status {
    /// Whose directory it is.
    pub identity: Identity,
    /// The last commit that can be read.
    pub commit: CommitId,
    /// The durable end of the log.
    pub durable: LogPoint,
    /// The oldest position of the log that is kept.
    pub log_oldest: Position,
    /// The lowest commit that can be read.
    pub floor: CommitId,
    /// The runs hold everything up to here.
    pub checkpoint: LogPoint,
    /// The committer.
    pub committer: Observation<committer_machine::State>,
    /// Maintenance.
    pub maintenance: Observation<maintenance_machine::State>,
    /// Sealed tables that wait to become runs.
    pub sealed_tables: usize,
    /// The runs, oldest first.
    pub runs: Vec<RunInfo>,
    /// Merges that were decided and are not done.
    pub merges_due: usize,
    /// Proofs since the start.
    pub proofs: ProofCounts,
    /// Views that exist.
    pub views: usize,
    /// Checkpoints that are pinned, for snapshots.
    pub checkpoints: usize,
    /// What ended reading, if anything did.
    pub halted: Option<Error>,
    /// What ended writing, if anything did.
    pub write_fault: Option<Error>,
}

/// An open database.
pub struct Database {
    identity: Identity,
    report: Report,
    store: Arc<Store>,
    /// Where the writer is, on a node that follows one.
    primary: Option<String>,
    /// Gone once the database was closed.
    orders: Option<Arc<Orders>>,
    committer: Option<JoinHandle<Result<()>>>,
    maintenance: Option<JoinHandle<Result<()>>>,
    committer_seen: Arc<Observed<committer_machine::State>>,
    maintenance_seen: Arc<Observed<maintenance_machine::State>>,
    extent: Arc<Fact<Extent>>,
    log: LogOptions,
    /// Held until everything else is gone.
    lock: Option<Box<dyn LockGuard>>,
}

/// What a thread does until it ends.
pub(crate) type Body = Box<dyn FnOnce() -> Result<()> + Send>;

pub(crate) fn refused(error: std::io::Error) -> Error {
    Error::new(Reason::ProcessThreadFailed).with("error", error)
}

impl Database {
    /// Makes a new directory.
    ///
    /// # Errors
    /// `dir.not_empty`, `dir.locked`, `config.invalid`, `role.compiled_out`, those of the disk.
    pub fn init(options: &Init) -> Result<Identity> {
        recovery::init(options)
    }

    /// Opens a directory and starts its threads.
    ///
    /// # Errors
    /// What does not verify, or is not what the options expect, by name; `process.thread_failed`.
    pub fn open(options: Options) -> Result<Database> {
        let (call, calls) = queue::bounded(1);
        let recovered = recovery::open(&options, Some(call))?;
        Database::start(recovered, options.retention, calls, sync::spawn)
    }

    /// Opens a directory for a look, as a directory is opened, and changes nothing in it: what a crash left unfinished is finished in memory, and
    /// nothing works on it from then on (EXPL-TABLE). No process may have it open.
    ///
    /// # Errors
    /// As [`Database::open`]; `disk.full`, with the operation that says so, where what opening would write is more than is kept in memory.
    pub fn look_into(options: &Options) -> Result<Database> {
        let disk = Arc::new(AsideDisk::of(Arc::clone(&options.disk), limits::LOOK_BYTES_MAX));
        let (call, calls) = queue::bounded(1);
        let Recovered { log, base, .. } = recovery::open(&Options { disk, ..options.clone() }, Some(call))?;
        let nothing = |name: &str, body: Body| {
            drop(body);
            sync::spawn(name, || Ok(()))
        };
        Database::maintained(base, &log, calls, &nothing)
    }

    /// Starts the threads. Where one is refused, dropping the database ends the other before it lets go of the lock.
    fn start(
        recovered: Recovered,
        retention: Retention,
        calls: Receiver<()>,
        spawn: impl Fn(&str, Body) -> std::io::Result<JoinHandle<Result<()>>>,
    ) -> Result<Database> {
        let Recovered { log, applier, base, .. } = recovered;
        let mut database = Database::maintained(base, &log, calls, &spawn)?;
        let core = Committer::new(log, applier, retention);
        let (sender, inbox) = queue::bounded(limits::COMMIT_QUEUE_MAX);
        let orders = Arc::new(Orders::new(sender));
        let weak = Arc::downgrade(&orders);
        // Not kept by the store: the committer ends when nobody can order any more.
        database.store.when_owed(move || weak.upgrade().iter().for_each(|orders| orders.prove()));
        orders.prove();
        database.orders = Some(orders);
        database.committer_seen = core.observed();
        database.extent = core.extent();
        let body = database.guarded("committer", move || committer_worker::run(core, &inbox));
        database.committer = Some(spawn("committer", body).map_err(refused)?);
        Ok(database)
    }

    /// Starts maintenance. Who writes the log and applies it is up to the caller: a committer, or the stages of a replica.
    pub(crate) fn maintained(
        base: Base,
        log: &LogWriter,
        calls: Receiver<()>,
        spawn: &impl Fn(&str, Body) -> std::io::Result<JoinHandle<Result<()>>>,
    ) -> Result<Database> {
        let Base { lock, report, store, maintenance: core } = base;
        let mut database = Database {
            identity: report.identity,
            report,
            store,
            primary: None,
            orders: None,
            committer: None,
            maintenance: None,
            committer_seen: Arc::new(Observed::new("committer", committer_machine::State::Closed)),
            maintenance_seen: core.observed(),
            extent: Arc::new(Fact::new(log.extent())),
            log: log.options().clone(),
            lock: Some(lock),
        };
        let body = database.guarded("maintenance", move || {
            maintenance_worker::run(core, &calls);
            Ok(())
        });
        database.maintenance = Some(spawn("maintenance", body).map_err(refused)?);
        Ok(database)
    }

    /// Says where the writer is: whoever is refused is told.
    #[cfg(feature = "replication")]
    pub(crate) fn follow(&mut self, primary: &str) {
        self.primary = Some(primary.to_owned());
    }

    /// Where it is shown how far the log reaches: whoever writes the log of a follower says so there.
    #[cfg(feature = "replication")]
    pub(crate) fn extent_shown(&self) -> Arc<Fact<Extent>> {
        Arc::clone(&self.extent)
    }

    /// The store, for what is composed of it.
    #[cfg(feature = "replication")]
    pub(crate) fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// The body of a thread. If it fails an assertion, writing ends, and whoever waits for the thread is woken.
    fn guarded(&self, component: &'static str, body: impl FnOnce() -> Result<()> + Send + 'static) -> Body {
        let store = Arc::clone(&self.store);
        Box::new(move || {
            sync::caught(body).unwrap_or_else(|assertion| {
                let panicked = Error::new(Reason::ComponentPanicked);
                let panicked = panicked.with("component", component).with("assertion", assertion);
                store.stop_writes(&panicked);
                Err(panicked)
            })
        })
    }

    /// Whose directory it is.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// What opening found, proved and dropped.
    #[must_use]
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// Commits a batch: durable and visible when it returns.
    ///
    /// # Errors
    /// `role.not_writer`, `batch.empty`, `commit.unknown`, `commit.stopped`, `database.closed`.
    pub fn commit(&self, batch: Batch) -> Result<CommitId> {
        batch.check()?;
        self.orders()?.order(Order::Commit(batch)).map(|point| point.commit)
    }

    /// Hands a batch to the committer; `answer` is called on the committer's thread, which it must not hold up.
    ///
    /// # Errors
    /// `role.not_writer`, `batch.empty`, `database.closed`; the answer is not called then.
    pub fn submit(&self, batch: Batch, answer: impl FnOnce(Result<CommitId>) + Send + 'static) -> Result<()> {
        batch.check()?;
        let first = |outcomes: Vec<Result<LogPoint>>| outcomes.into_iter().next();
        let answer = move |outcomes| {
            if let Some(outcome) = first(outcomes) {
                answer(outcome.map(|point| point.commit));
            }
        };
        self.orders()?.submit(vec![Order::Commit(batch)], Box::new(answer))
    }

    /// Hands orders to the committer, which carries them out one after the other, with nobody else's in between; `answers` is called on the
    /// committer's thread, which it must not hold up.
    ///
    /// # Errors
    /// `role.not_writer`, `database.closed`; nothing is answered then.
    pub fn submit_all(&self, orders: Vec<Order>, answers: Answers) -> Result<()> {
        self.orders()?.submit(orders, answers)
    }

    /// Commits what `decide` decides on the newest state of the database, with no other commit in between (R-DECIDE); nothing,
    /// where it decides for `None`. Returns the last commit that the decision saw or made, once that is durable.
    ///
    /// `decide` runs on the committer's thread, once: it should read a few keys, and do no more.
    ///
    /// # Errors
    /// That of `decide`; `role.not_writer`, `batch.empty`, `commit.unknown`, `commit.stopped`, `database.closed`.
    pub fn decide(
        &self,
        decide: impl Fn(&Latest<'_>) -> Result<Option<Batch>> + Send + Sync + 'static,
    ) -> Result<CommitId> {
        self.orders()?.order(Order::Decide(Decision::new(decide))).map(|point| point.commit)
    }

    /// Calls `hook` whenever the log has become longer or commits readable, and once for the first fault that ends reading and that ends writing;
    /// on the thread that made it so, which it must not hold up, and so perhaps by two threads at once. It may read this
    /// database, and add a hook, which is called from the next time on. Where it fails an assertion, and the program is built
    /// to unwind, that is logged, and the other hooks are called all the same. A hook is kept as long as the database is open.
    pub fn on_publish(&self, hook: impl Fn() + Send + Sync + 'static) {
        self.store.on_publish(hook);
    }

    /// Raises the floor: older views are refused from then on, and what only they could see may go.
    ///
    /// # Errors
    /// `role.not_writer`, `floor.refused`, `commit.unknown`, `commit.stopped`, `database.closed`.
    pub fn raise_floor(&self, floor: CommitId) -> Result<LogPoint> {
        self.orders()?.order(Order::Floor(floor))
    }

    /// Seals the table, and returns once the runs hold everything up to the cut.
    ///
    /// # Errors
    /// `role.not_writer`, `commit.unknown`, `commit.stopped`, `database.closed`.
    pub fn checkpoint(&self) -> Result<LogPoint> {
        let cut = self.orders()?.order(Order::Cut(Purpose::Checkpoint))?;
        self.store.wait_for_checkpoint(cut)?;
        self.orders()?.retire();
        Ok(cut)
    }

    /// Refuses to make history on a node whose role does not (R-WRITER), and says who does.
    ///
    /// # Errors
    /// `role.not_writer`.
    pub fn check_writer(&self) -> Result<()> {
        writer(self.identity.role).map_err(|refused| match &self.primary {
            Some(primary) => refused.with("primary", primary),
            None => refused,
        })
    }

    /// Where orders go, on a node that makes history.
    fn orders(&self) -> Result<&Orders> {
        self.check_writer()?;
        self.orders.as_deref().ok_or_else(|| Error::new(Reason::DatabaseClosed))
    }

    /// The last commit that can be read; after a halt, the last that could.
    #[must_use]
    pub fn published(&self) -> CommitId {
        self.store.commit()
    }

    /// The lowest commit that can be read.
    #[must_use]
    pub fn floor(&self) -> CommitId {
        self.store.state().floor
    }

    /// How far the log reaches now. Whoever is told by [`Database::on_publish`] finds what it was told of.
    #[must_use]
    pub fn extent(&self) -> Extent {
        self.extent.get()
    }

    /// Where the log lies, for reading it up to its extent.
    #[must_use]
    pub fn log(&self) -> &LogOptions {
        &self.log
    }

    /// A view at a commit, or at the newest one.
    ///
    /// # Errors
    /// `view.beyond_applied`, `view.below_floor`; after a halt, what halted the node.
    pub fn view(&self, at: Option<CommitId>) -> Result<View> {
        self.store.view(at)
    }

    /// A view that is as it is asked for: at a commit, at least at one, in the history that has a point.
    ///
    /// A point that lies before what is applied is looked up in the log, up to a bound of bytes that are read for it.
    ///
    /// # Errors
    /// `read.behind`, `read.other_history`, `read.history_unknown`; as [`Database::view`].
    pub fn read(&self, wish: &Wish) -> Result<View> {
        self.look(wish).1
    }

    /// The commit that a read would be at, as the gate decides now; nothing is held for it.
    ///
    /// # Errors
    /// As [`Database::read`].
    pub fn verdict(&self, wish: &Wish) -> Result<CommitId> {
        self.store.verdict(wish, |facts| self.line(wish, facts.applied))
    }

    /// What a read would be refused with; `None` where it would be admitted.
    #[must_use]
    pub fn refusal(&self, wish: &Wish) -> Option<Error> {
        self.verdict(wish).err()
    }

    /// The facts that a read is decided on, and the verdict, of one look.
    ///
    /// # Errors
    /// As [`Database::read`], within.
    pub fn look(&self, wish: &Wish) -> (Facts, Result<View>) {
        self.store.look(wish, |facts| self.line(wish, facts.applied))
    }

    /// What a read is decided on, as it is now.
    #[must_use]
    pub fn facts(&self, wish: &Wish) -> Facts {
        self.look(wish).0
    }

    /// What the log says of the point that is named (READ-HISTORY), where it is applied up to a commit. How far the log is proven is looked at
    /// behind that, so it reaches as far.
    fn line(&self, wish: &Wish, applied: CommitId) -> Option<Line> {
        let asked = wish.on?;
        let durable = self.extent().durable;
        if let Some(line) = Line::known(asked, applied, durable) {
            return Some(line);
        }
        let known = self.store.landmark(asked.position);
        Some(match wal::point_at(&self.log, asked.position, known, durable, limits::LINE_READ_BYTES_MAX) {
            Ok(Some(here)) if here == asked => Line::Same,
            Ok(here) => Line::Other(here),
            Err(error) => match self.extent().oldest {
                oldest if asked.position < oldest || error.reason() == Reason::WalRetired => Line::Dropped(oldest),
                _ if error.reason() == Reason::ReadHistoryUnknown => Line::Far,
                _ => {
                    log::warn!(code = error.reason().name(); "a point that a client named can't be looked up: {error}");
                    Line::Unread
                }
            },
        })
    }

    /// The newest value of a key.
    ///
    /// # Errors
    /// `store.block_corrupt`, `disk.read_failed`; after a halt, what halted the node.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.newest().look(key, <[u8]>::to_vec)
    }

    /// A reader of the newest values of many keys.
    #[must_use]
    pub fn newest(&self) -> Newest<'_> {
        self.store.newest()
    }

    /// What an operator sees.
    #[must_use]
    pub fn status(&self) -> Status {
        // The oldest position before the checkpoint, which it never passes; the durable end behind it.
        let log_oldest = self.extent.get().oldest;
        let state = self.store.state();
        Status {
            identity: self.identity,
            commit: self.store.commit(),
            durable: self.extent.get().durable,
            log_oldest,
            floor: state.floor,
            checkpoint: state.checkpoint,
            committer: self.committer_seen.load(),
            maintenance: self.maintenance_seen.load(),
            sealed_tables: state.sealed.len(),
            runs: state.runs.iter().rev().map(|run| run.info()).collect(),
            merges_due: state.manifest.plan.merges.len(),
            proofs: self.store.proofs(),
            views: self.store.views(),
            checkpoints: self.store.checkpoints(),
            halted: self.store.reads_ended(),
            write_fault: self.store.write_fault(),
        }
    }

    /// Why nothing is read any more, if that is so.
    #[must_use]
    pub fn reads_ended(&self) -> Option<Error> {
        self.store.reads_ended()
    }

    /// What ended writing, if anything did.
    #[must_use]
    pub fn write_fault(&self) -> Option<Error> {
        self.store.write_fault()
    }

    /// Closes the database: what was ordered is answered, the mark is made durable, the threads have ended.
    ///
    /// # Errors
    /// Those of the disk; `component.panicked`.
    pub fn close(mut self) -> Result<()> {
        self.stop()
    }

    fn stop(&mut self) -> Result<()> {
        drop(self.orders.take());
        let committer = ended("committer", self.committer.take());
        self.store.dismiss_maintenance();
        let maintenance = ended("maintenance", self.maintenance.take());
        drop(self.lock.take());
        committer.and(maintenance)
    }
}

/// Waits for the end of a thread, if it was started.
fn ended(component: &'static str, thread: Option<JoinHandle<Result<()>>>) -> Result<()> {
    let panicked = |_| Err(Error::new(Reason::ComponentPanicked).with("component", component));
    thread.map_or(Ok(()), |thread| thread.join().unwrap_or_else(panicked))
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            log::error!(code = error.reason().name(); "closing: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::SimDisk;
    use std::io;
    use std::path::Path;

    /// P5-I13: the lock is let go of only when nobody can write the store any more, also where opening fails half-way.
    #[test]
    fn where_the_system_refuses_a_thread_the_other_has_ended_before_the_lock_is_free() {
        let (disk, dir) = (Arc::new(SimDisk::new()), Path::new("/db"));
        Database::init(&Init { disk: disk.clone(), ..Init::standalone(dir) }).unwrap();
        let options = Options { disk, ..Options::new(dir) };
        for refused in ["maintenance", "committer"] {
            let (call, calls) = queue::bounded(1);
            let recovered = recovery::open(&options, Some(call)).unwrap();
            let store = Arc::downgrade(&recovered.base.store);
            let outcome = Database::start(recovered, Retention::All, calls, |name, body| {
                if name == refused { Err(io::ErrorKind::WouldBlock.into()) } else { sync::spawn(name, body) }
            });
            assert_eq!(outcome.err().map(|error| error.reason()), Some(Reason::ProcessThreadFailed));
            assert!(store.upgrade().is_none(), "a thread that could write the store is still there");
        }
        Database::open(options).unwrap().close().unwrap();
    }
}
