//! A replica: a node that follows a primary, with its threads.
//!
//! ```text
//! Receiver ──chunks──► Validator ──proven──► Applier ──► store ◄── maintenance
//!     └───────── facts, faults ─┴──────────────┴──► Supervisor ── connect, stop ──► Receiver
//! ```
//!
//! Each stage has its thread, and a bounded queue before it. What a stage hands on it has finished with, so a stop goes through them from
//! the front: the Receiver ends, then the Validator behind the last chunk, then the Applier behind the last proven record. A replica that was halted opens,
//! proves what it holds, shows what halted it, and does no more. One that halts because the logs part asks where (`forks`); nothing waits for that.
//!
//! It answers reads at what is applied, if the gate admits them (`gate`): whether it is connected plays no part in that.

mod forks;
pub(crate) mod parts;

use crate::applier;
use crate::begin;
use crate::chunk::Validated;
use crate::commit_id::CommitId;
use crate::committer::Retention;
use crate::database::{self, Body, Database, refused};
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::gate::Wish;
use crate::identity::{Identity, Parameters, Role};
use crate::limits;
use crate::observed::{Observation, Observed};
use crate::position::{LogPoint, Position};
use crate::published::{Cell, Fact, Signal};
use crate::queue::{self, Sender};
use crate::reason::Reason;
use crate::receiver::fork::Own;
use crate::receiver::{self, Progress, Received, worker::Order};
use crate::recovery::{self, Init, Options};
use crate::replica_state::{Halt, StateStore};
use crate::store::Store;
use crate::supervisor::stages::{Shown, Stages, Wake};
use crate::supervisor::told::{self, Told};
use crate::supervisor::{self, Action, Facts, Reconnect, Recoveries, Supervisor};
use crate::sync::{self, Arc, JoinHandle};
use crate::validator;
use crate::wal::{Extent, LogWriter};
use crate::wire::Waker;
use crate::wire::link::TcpLink;
use forks::Forks;
use parts::{Following, Parts, bar_reads, close_reads};
use std::path::Path;

/// How a replica is opened.
#[derive(Clone)]
pub struct ReplicaOptions {
    /// The directory, and how it is opened.
    pub options: Options,
    /// Where the primary serves its log: `host:port`.
    pub primary: String,
    /// What becomes of a lost connection.
    pub reconnect: Reconnect,
    /// Seconds of silence after which the operating system tries whether the primary is still there; 0: never.
    pub tcp_keepalive: u32,
    /// What it has recovered from by itself, so far.
    pub recoveries: Recoveries,
}

impl ReplicaOptions {
    /// What a replica has where nothing else is said: a lost connection stays lost.
    #[must_use]
    pub fn new(options: Options, primary: &str) -> ReplicaOptions {
        let (primary, recoveries) = (primary.to_owned(), Recoveries::default());
        ReplicaOptions { options, primary, reconnect: Reconnect::Never, tcp_keepalive: 300, recoveries }
    }
}

/// What an operator sees of a replica.
#[derive(Clone, Debug)]
pub struct ReplicaStatus {
    /// Where the primary is looked for.
    pub primary: String,
    /// The replica as a whole.
    pub replica: Observation<supervisor::machine::State>,
    /// The Receiver.
    pub receiver: Observation<receiver::machine::State>,
    /// The Validator.
    pub validator: Observation<validator::machine::State>,
    /// The Applier.
    pub applier: Observation<applier::machine::State>,
    /// What was received, and from whom.
    pub received: Received,
    /// What is proven.
    pub validated: Validated,
    /// What is applied.
    pub applied: LogPoint,
    /// The first fault since the start.
    pub fault: Option<Error>,
    /// What halted the replica, in this run or an earlier one.
    pub halt: Option<Halt>,
    /// What it has recovered from by itself.
    pub recoveries: Recoveries,
    /// Why the newest view is refused, if it is.
    pub reads: Option<Error>,
    /// The database: its store and maintenance.
    pub database: database::Status,
}

/// The facts of a replica, in the order in which they are shown.
pub const FACTS: [&str; 52] = [
    "primary",
    "state",
    "previous",
    "cause",
    "transitions",
    "blocked",
    "halt",
    "halt_evidence",
    "fault",
    "reads",
    "target_position",
    "primary_durable_position",
    "primary_durable_history",
    "primary_durable_commit",
    "primary_oldest",
    "primary_node",
    "asked",
    "received",
    "seen",
    "validated_position",
    "validated_history",
    "validated_commit",
    "applied_position",
    "applied_history",
    "applied_commit",
    "attempts",
    "sessions",
    "lost",
    "fetches",
    "segments",
    "bytes",
    "dropped",
    "dropped_from",
    "dropped_to",
    "syncs",
    "receiver",
    "receiver_previous",
    "receiver_cause",
    "receiver_transitions",
    "receiver_blocked",
    "validator",
    "validator_previous",
    "validator_cause",
    "validator_transitions",
    "validator_blocked",
    "applier",
    "applier_previous",
    "applier_cause",
    "applier_transitions",
    "applier_blocked",
    "recoveries",
    "recovered_from",
];

impl ReplicaStatus {
    /// Every fact under its name, in the order of [`FACTS`]; nothing stands for what is not known.
    #[must_use]
    pub fn facts(&self) -> Vec<(&'static str, String)> {
        let origin = self.received.origin;
        let known = |of: fn(receiver::Origin) -> String| origin.map_or_else(String::new, of);
        let word = |word: Option<String>| word.unwrap_or_default();
        let values = [
            self.primary.clone(),
            self.replica.state.to_string(),
            word(self.replica.previous.map(|state| state.to_string())),
            self.replica.cause.to_owned(),
            self.replica.transitions.to_string(),
            word(self.replica.blocked.clone().or_else(|| self.receiver.blocked.clone())),
            word(self.halt.as_ref().map(Halt::to_string)),
            word(self.halt.as_ref().map(|halt| halt.evidence.clone())),
            word(self.fault.as_ref().map(ToString::to_string)),
            self.reads.as_ref().map_or("safe", |refusal| refusal.reason().name()).to_owned(),
            known(|origin| origin.target.position.to_string()),
            known(|origin| origin.durable.position.to_string()),
            known(|origin| origin.durable.history.to_string()),
            known(|origin| origin.durable.commit.to_string()),
            known(|origin| origin.oldest.to_string()),
            known(|origin| origin.node_id.to_string()),
            self.received.asked.to_string(),
            self.received.received.to_string(),
            self.validated.seen.to_string(),
            self.validated.point.position.to_string(),
            self.validated.point.history.to_string(),
            self.validated.point.commit.to_string(),
            self.applied.position.to_string(),
            self.applied.history.to_string(),
            self.applied.commit.to_string(),
            self.received.attempts.to_string(),
            self.received.sessions.to_string(),
            self.received.lost.to_string(),
            self.received.fetches.to_string(),
            self.received.segments.to_string(),
            self.received.bytes.to_string(),
            self.received.dropped.to_string(),
            word(self.received.last_dropped.map(|dropped| dropped.from.to_string())),
            word(self.received.last_dropped.map(|dropped| dropped.to.to_string())),
            self.received.syncs.to_string(),
            self.receiver.state.to_string(),
            word(self.receiver.previous.map(|state| state.to_string())),
            self.receiver.cause.to_owned(),
            self.receiver.transitions.to_string(),
            word(self.receiver.blocked.clone()),
            self.validator.state.to_string(),
            word(self.validator.previous.map(|state| state.to_string())),
            self.validator.cause.to_owned(),
            self.validator.transitions.to_string(),
            word(self.validator.blocked.clone()),
            self.applier.state.to_string(),
            word(self.applier.previous.map(|state| state.to_string())),
            self.applier.cause.to_owned(),
            self.applier.transitions.to_string(),
            word(self.applier.blocked.clone()),
            self.recoveries.count().to_string(),
            word(self.recoveries.failure().map(ToString::to_string)),
        ];
        FACTS.into_iter().zip(values).collect()
    }
}

impl Wake for Arc<Waker> {
    fn wake(&self) {
        if let Err(error) = Waker::wake(self) {
            log::error!("the receiver can't be woken: {error}");
        }
    }
}

/// What all threads of a replica see.
struct Shared {
    store: Arc<Store>,
    extent: Arc<Fact<Extent>>,
    stages: Stages<Arc<Waker>>,
    /// The replica as a whole.
    told: Arc<Cell<Told>>,
    retention: Retention,
    applier_hook: sync::Mutex<Option<Box<dyn FnOnce() + Send>>>,
    /// The Applier was started, and has not ended.
    applies: Fact<bool>,
    /// Where it is asked where the logs part.
    forks: Forks,
    /// The log, for who asks: how it ends is known once it has halted.
    own: Own,
    /// Raised behind each look of the Supervisor, so behind every change of what is shown; and where a thread has ended, which may be that one.
    looked: Signal,
}

impl Shared {
    /// Hears of what fails beside the stages: a run that is not the one that the log names, found by maintenance or, before this, by recovery;
    /// a disk that maintenance could not write.
    fn watch_store(self: &Arc<Self>) {
        let shared = Arc::downgrade(self);
        let look = move || {
            let Some(shared) = shared.upgrade() else { return };
            // That the replica has halted is no news here.
            // Nor is what comes behind the first fault.
            let fault = shared.store.write_fault().filter(|fault| fault.reason() != Reason::ReplicaHalted);
            if let Some(fault) = fault.filter(|_| shared.stages.fault().is_none()) {
                shared.failed("store", fault);
            }
        };
        look();
        self.store.on_publish(look);
    }

    /// Says that more is proven. The Validator alone says so, and with it how far the log reaches.
    fn proven(&self) {
        let shown = self.stages.shown();
        let (oldest, durable) = (shown.received.get().oldest, shown.validated.get().point);
        self.store.prove_to(durable.commit);
        self.extent.set(Extent { oldest, durable, ..self.extent.get() });
        self.stages.moved();
    }

    /// The Supervisor has looked, or a thread has ended. Whoever waits at a server for a commit hears of it where none may come any more.
    fn looked(&self) {
        self.looked.raise();
        let receiver = self.stages.shown().receiver.load().state;
        if !self.applies.get() || receiver == receiver::machine::State::Disconnected {
            self.store.tell();
        }
    }

    /// Keeps what ended a component, if it is the first, and says so. What contradicts the state itself ends reads at once: that it is kept, and shown by
    /// name, comes behind a write that may take as long as the disk likes.
    fn failed(&self, component: &'static str, error: Error) {
        if error.reason() == Reason::StateDiverged {
            let halted = Error::new(Reason::ReplicaHalted).with("halt", "not kept yet").with("evidence", &error);
            self.store.bar_reads(halted);
        }
        self.stages.failed(component, error);
        self.tell_applier_failure();
    }

    /// What ended the Applier or the store below it, if that ended first; a halt is no failure that recovery could mend.
    fn applier_failure(&self) -> Option<Error> {
        let fault = self.stages.fault()?;
        let applies = matches!(fault.fact("component"), Some("applier" | "store"));
        (applies && !fault.reason().halts()).then_some(fault)
    }

    fn tell_applier_failure(&self) {
        let hook = self.applier_failure().and_then(|_| sync::lock(&self.applier_hook).take());
        if let Some(hook) = hook {
            hook();
        }
    }

    /// What the Receiver may know of the stages behind it.
    fn progress(&self) -> Progress {
        self.stages.progress(|applied| match self.retention {
            Retention::All => Position::GENESIS,
            Retention::Bytes(bytes) => {
                self.store.state().checkpoint.position.min(Position(applied.0.saturating_sub(bytes)))
            }
        })
    }
}

/// An open replica.
pub struct Replica {
    /// Gone once the replica was closed.
    database: Option<Arc<Database>>,
    primary: String,
    reconnect: Reconnect,
    recoveries: Recoveries,
    /// Where its log ended when it was opened.
    began: Position,
    shared: Arc<Shared>,
    validator_seen: Arc<Observed<validator::machine::State>>,
    applier_seen: Arc<Observed<applier::machine::State>>,
    orders: Sender<Order>,
    /// In the order in which they end.
    stages: Vec<(&'static str, JoinHandle<Result<()>>)>,
    supervisor: Option<JoinHandle<Result<()>>>,
}

impl Replica {
    /// Opens a replica's directory, proves what it holds, and starts its threads.
    ///
    /// # Errors
    /// What does not verify, or is not what the options expect, by name; `replica.state_corrupt`, `replica.log_lost`,
    /// `process.thread_failed`.
    pub fn open(options: ReplicaOptions) -> Result<Replica> {
        let ReplicaOptions { options, primary, reconnect, tcp_keepalive, recoveries } = options;
        let (call, calls) = queue::bounded(1);
        let following = Following { reconnect, recoveries: &recoveries };
        let maintained = |base, log: &LogWriter| Database::maintained(base, log, calls, &sync::spawn);
        let (mut database, parts) = Parts::open(&options, &following, Some(call), maintained)?;
        database.follow(&primary);
        let identity = *database.identity();
        let log = recovery::log_options(&options.disk, &options.dir, &identity, options.extend_bytes);
        let own = Own { identity, log, end: LogPoint::default() };
        let halted = parts.is_halted();
        let Parts { receiver, validator, applier, supervisor, .. } = parts;
        let (link, waker) = TcpLink::new(&primary, tcp_keepalive)
            .map_err(|error| Error::new(Reason::ReplicationStopped).with("operation", "poll").with("error", error))?;
        let (call, calls) = queue::bounded(1);
        let shown = Shown {
            receiver: receiver.observed(),
            received: receiver.received(),
            validated: validator.validated(),
            applied: applier.applied(),
        };
        let shared = Arc::new(Shared {
            store: Arc::clone(database.store()),
            extent: database.extent_shown(),
            stages: Stages::new(shown, call, waker),
            told: supervisor.told(),
            retention: options.retention,
            applier_hook: sync::Mutex::new(None),
            applies: Fact::new(false),
            forks: Forks::new(&primary, tcp_keepalive),
            own,
            looked: Signal::new(),
        });
        let (orders, inbox) = queue::bounded(4);
        let mut replica = Replica {
            database: Some(Arc::new(database)),
            primary,
            reconnect,
            recoveries,
            began: validator.validated().get().point.position,
            validator_seen: validator.observed(),
            applier_seen: applier.observed(),
            orders,
            stages: Vec::new(),
            supervisor: None,
            shared,
        };
        replica.shared.watch_store();
        // What recovery has found halts it as what is found later does.
        if !halted {
            let (chunks, to_prove) = queue::bounded(limits::REPLICA_QUEUE_MAX);
            let (proven, to_apply) = queue::bounded(limits::REPLICA_QUEUE_MAX);
            replica.start("receiver", move |shared: &Arc<Shared>| {
                let around = receiver::worker::Surroundings { link, inbox: &inbox, out: &chunks, bell: &shared.stages };
                receiver::worker::run(receiver, around, || shared.progress(), || shared.stages.call())
            })?;
            replica.start("validator", move |shared: &Arc<Shared>| {
                validator::worker::run(validator, &to_prove, &proven, || shared.proven())
            })?;
            replica.shared.applies.set(true);
            replica.start("applier", move |shared: &Arc<Shared>| {
                applier::worker::run(applier, &to_apply, || shared.stages.moved())
            })?;
        }
        let shared = Arc::clone(&replica.shared);
        let (orders, observed) = (replica.orders.clone(), supervisor.observed());
        let body: Body = Box::new(move || {
            let supervise = || {
                supervisor::worker::run(
                    supervisor,
                    &calls,
                    || shared.stages.facts(),
                    || shared.stages.fault(),
                    |action, supervisor| shared.act(action, supervisor, &orders),
                    |supervisor| shared.attend(supervisor),
                    || shared.looked(),
                )
            };
            sync::caught(supervise).unwrap_or_else(|assertion| {
                // Nobody is left to say what the replica is: it serves nothing, and follows nobody.
                let panicked = Error::new(Reason::ComponentPanicked).with("assertion", assertion);
                shared.failed("supervisor", panicked.clone());
                bar_reads(&shared.store, &panicked);
                told::abandoned(&observed, &shared.told, shared.stages.fault());
                shared.stages.order(&orders, Order::Stop);
                shared.looked();
                Err(panicked)
            })
        });
        replica.supervisor = Some(sync::spawn("supervisor", body).map_err(refused)?);
        Ok(replica)
    }

    /// Starts a stage. If it fails an assertion of its own, and the program is built to unwind, that is a fault like any other.
    fn start(
        &mut self,
        name: &'static str,
        body: impl FnOnce(&Arc<Shared>) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        let shared = Arc::clone(&self.shared);
        let body: Body = Box::new(move || {
            let outcome = sync::caught(|| body(&shared))
                .unwrap_or_else(|assertion| Err(Error::new(Reason::ComponentPanicked).with("assertion", assertion)));
            if let Err(error) = &outcome {
                shared.failed(name, error.clone());
            }
            if name == "applier" {
                shared.applies.set(false);
            }
            // That it has ended is to be seen too, also where nobody supervises any more.
            shared.stages.call();
            shared.looked();
            outcome
        });
        self.stages.push((name, sync::spawn(name, body).map_err(refused)?));
        Ok(())
    }

    /// The database, for who reads or serves it. It makes no history.
    #[must_use]
    pub fn database(&self) -> &Arc<Database> {
        self.database.as_ref().expect("it is there until the replica is closed")
    }

    /// Whose directory it is.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        self.database().identity()
    }

    /// What is applied, and published.
    #[must_use]
    pub fn applied(&self) -> LogPoint {
        self.shared.stages.shown().applied.get()
    }

    /// The last commit that is applied.
    #[must_use]
    pub fn commit(&self) -> CommitId {
        self.applied().commit
    }

    /// What an operator sees.
    #[must_use]
    pub fn status(&self) -> ReplicaStatus {
        // The whole first, and reads last: whoever is shown that it has ended is shown that reads have.
        let Told { replica, fault, halt } = Told::clone(&self.shared.told.load());
        // The stages before the positions: of whoever is shown to have ended the position is the last one.
        let receiver = self.shared.stages.shown().receiver.load();
        let (validator, applier) = (self.validator_seen.load(), self.applier_seen.load());
        let Facts { received, validated, applied, .. } = self.shared.stages.facts();
        ReplicaStatus {
            primary: self.primary.clone(),
            replica,
            receiver,
            validator,
            applier,
            received,
            validated,
            applied,
            fault,
            halt,
            recoveries: self.recoveries.clone(),
            reads: self.database().refusal(&Wish::newest()),
            database: self.database().status(),
        }
    }

    /// Waits until what is shown is what `holds` asks for, and returns it. It looks again whenever a state, a position or a count of the
    /// replica has changed; what maintenance does alone is not waited for.
    pub fn wait_until(&self, mut holds: impl FnMut(&ReplicaStatus) -> bool) -> ReplicaStatus {
        let mut seen = self.status();
        self.shared.looked.wait_until(|| {
            seen = self.status();
            holds(&seen)
        });
        seen
    }

    /// Waits until a commit is applied, and returns how far that is; or until it is known that it will not be, before the replica is opened
    /// again.
    ///
    /// # Errors
    /// `replica.halted`; `replication.stopped`, with the failure; `replication.disconnected` where the connection is not to be made again.
    pub fn wait_for(&self, commit: CommitId) -> Result<LogPoint> {
        let mut outcome = None;
        self.shared.looked.wait_until(|| {
            outcome = self.outcome(commit);
            outcome.is_some()
        });
        outcome.unwrap_or_else(|| Ok(self.applied()))
    }

    /// Whether a commit may still come before the replica is opened again.
    ///
    /// # Errors
    /// As [`Replica::wait_for`].
    pub fn may_come(&self, commit: CommitId) -> Result<()> {
        self.outcome(commit).map_or(Ok(()), |outcome| outcome.map(|_| ()))
    }

    /// What came of a commit; `None` as long as it may still come.
    fn outcome(&self, commit: CommitId) -> Option<Result<LogPoint>> {
        // The Receiver first: behind a lost connection that is not made again there comes nothing that the positions do not show.
        let never = (self.shared.stages.shown().receiver.load().state, self.reconnect)
            == (receiver::machine::State::Disconnected, Reconnect::Never);
        let applies = self.shared.applies.get();
        let Told { replica, fault, halt } = Told::clone(&self.shared.told.load());
        let failed = replica.state == supervisor::machine::State::Failed;
        let Facts { received, validated, applied, .. } = self.shared.stages.facts();
        let all_durable = received.received.since(self.began) + received.dropped == received.bytes;
        let all_applied = applied == validated.point && validated.seen == received.received;
        let refused = |reason| Error::new(reason).with("commit", commit).with("applied", applied);
        if applied.commit >= commit {
            return Some(Ok(applied));
        }
        if applies {
            return (never && all_durable && all_applied)
                .then(|| Err(refused(Reason::ReplicationDisconnected).with("reconnect", "never")));
        }
        match halt {
            Some(halt) => Some(Err(refused(Reason::ReplicaHalted).with("halt", halt))),
            None if failed => {
                let fault = fault.map_or_else(String::new, |fault| fault.to_string());
                Some(Err(refused(Reason::ReplicationStopped).with("failure", fault)))
            }
            None => None,
        }
    }

    /// Calls `hook` once the Applier has failed: what is to follow is recovery, which opening the directory again is.
    pub fn on_applier_failure(&self, hook: impl FnOnce() + Send + 'static) {
        *sync::lock(&self.shared.applier_hook) = Some(Box::new(hook));
        self.shared.tell_applier_failure();
    }

    /// What ended the Applier or the store below it, and what was applied; a halt is no failure that opening again could mend.
    #[must_use]
    pub fn applier_failed(&self) -> Option<(Error, Position)> {
        self.shared.applier_failure().map(|failure| (failure, self.applied().position))
    }

    /// Stops: what was received is proven and applied, what is applied is recorded, the threads have ended.
    ///
    /// # Errors
    /// What a component ended with; those of the disk.
    pub fn close(mut self) -> Result<()> {
        self.stop()
    }

    fn stop(&mut self) -> Result<()> {
        self.shared.stages.order(&self.orders, Order::Stop);
        let mut outcome = Ok(());
        for (component, stage) in self.stages.drain(..) {
            outcome = outcome.and(ended(component, stage));
        }
        self.shared.stages.dismiss_supervisor();
        if let Some(supervisor) = self.supervisor.take() {
            outcome = outcome.and(ended("supervisor", supervisor));
        }
        self.shared.forks.end();
        // Whoever else has it closes it when they let go of it.
        let closed = self.database.take().and_then(Arc::into_inner).map_or(Ok(()), Database::close);
        outcome.and(closed)
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            log::error!(code = error.reason().name(); "closing: {error}");
        }
    }
}

impl Shared {
    /// Has the halt say what was found of it since.
    fn attend(&self, supervisor: &mut Supervisor) {
        if let Some(found) = self.forks.found() {
            supervisor.tell(&found);
        }
    }

    fn act(self: &Arc<Self>, action: Action, supervisor: &Supervisor, orders: &Sender<Order>) {
        if let Some(own) = supervisor.fault() {
            self.failed("supervisor", own.clone());
            bar_reads(&self.store, own);
        }
        let order = match action {
            Action::Connect(after_seconds) => Order::Connect { after_seconds },
            Action::Halt => {
                // Reads end before anybody is shown what ended them.
                close_reads(&self.store, supervisor.halt());
                if supervisor.halt().is_some_and(|halt| halt.reason == Reason::HistoryDiverged) {
                    let end = self.stages.shown().validated.get().point;
                    let shared = Arc::clone(self);
                    self.forks.ask(Own { end, ..self.own.clone() }, move || shared.stages.call());
                }
                Order::Stop
            }
            Action::Stop => Order::Stop,
        };
        self.stages.order(orders, order);
    }
}

/// Waits for the end of a thread.
fn ended(component: &'static str, thread: JoinHandle<Result<()>>) -> Result<()> {
    let panicked = |_| Err(Error::new(Reason::ComponentPanicked).with("component", component));
    thread.join().unwrap_or_else(panicked)
}

/// Clears what halted the replica of a directory that nobody has open; the halt that was cleared, and the one that counts from then on, if one does.
///
/// # Errors
/// `halt.other` when it is another, or none; what opening the directory would refuse with; those of the disk.
pub fn resume(options: &Options, reason: Reason, position: Position) -> Result<(Halt, Option<Halt>)> {
    let options = Options { role: Some(Role::Replica), ..options.clone() };
    let (_lock, identity) = recovery::enter(&options)?;
    let Identity { database_id, node_id, .. } = identity;
    let mut kept = StateStore::open(options.disk.as_ref(), &options.dir, database_id, node_id)?;
    let cleared = kept.clear(reason, position)?;
    Ok((cleared, kept.state().halt.clone()))
}

/// Asks a primary whose log it serves, and makes the directory of a replica of it.
///
/// # Errors
/// `replication.unreachable`, `replication.disconnected`, `protocol.other_port`, `protocol.malformed`, `protocol.unexpected`; what the primary refuses with; as
/// [`recovery::init`].
pub fn init(dir: &Path, primary: &str, disk: &Arc<dyn Disk>) -> Result<Identity> {
    let welcome = begin::introduction(primary)?;
    if welcome.oldest > Position::GENESIS {
        return Err(Error::new(Reason::HistoryRetired).with("here", Position::GENESIS).with("oldest", welcome.oldest));
    }
    let identity = recovery::init(&Init {
        role: Role::Replica,
        parameters: Parameters::from(welcome.shape),
        database_id: Some(welcome.database_id),
        disk: Arc::clone(disk),
        ..Init::standalone(dir)
    })?;
    StateStore::open(disk.as_ref(), dir, identity.database_id, identity.node_id)?.follow(welcome.node_id)?;
    Ok(identity)
}
