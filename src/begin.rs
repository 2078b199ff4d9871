//! How the directory of a replica begins: with the whole log, or with a snapshot (docs/snapshot-transfer.md).
//!
//! ```text
//! introduction ──► IDENTITY, state: nothing ──► bootstrap, under the lock ──► the directory is the snapshot ──► opened like any other
//! ```
//!
//! The bootstrap is a component that knows neither threads nor what a proof of a directory is; here it gets both, the link, and the
//! request to end.
//!
//! Promises: a directory that holds data is not touched but by an order that names the halt it answers (SNAP-ORDER); whatever ends a bootstrap,
//! the directory is wholly what it was or wholly the snapshot.

use crate::bootstrap::install::{self, Settled};
use crate::bootstrap::machine::{Event, State};
use crate::bootstrap::worker::{self, Outcome};
use crate::bootstrap::{Bootstrap, Parts, Progress, Transfer};
use crate::disk::{Disk, LockGuard};
use crate::entropy;
use crate::error::{Error, Result};
use crate::frame::{self, Frame, Hello, Welcome};
use crate::identity::{Id, Identity, Parameters, Role};
use crate::limits;
use crate::observed::Observed;
use crate::position::{LogPoint, Position};
use crate::published::Fact;
use crate::reason::Reason;
use crate::record;
use crate::recovery::{self, Init, Options};
use crate::replica_state::{Origin, ReplicaState, StateStore};
use crate::supervisor::Reconnect;
use crate::sync::{self, Arc, JoinHandle};
use crate::verify;
use crate::wire::link::{Link, TcpLink};
use crate::wire::{Pipe, Poll, Waker, blocking, signals};
use std::io;
use std::path::PathBuf;

/// How a snapshot is fetched.
#[derive(Clone)]
pub struct BeginOptions {
    /// The directory, and how it is opened.
    pub options: Options,
    /// What becomes of a lost connection.
    pub reconnect: Reconnect,
    /// What blank log space looks like; random if `None`.
    pub blank_seed: Option<u64>,
    /// The halt that an order answers, if there is one: what halted the replica is gone with its data.
    pub order: Option<(Reason, Position)>,
    /// Bytes of the snapshot that may be asked for and not here.
    pub window_bytes: u64,
    /// Whether SIGTERM and SIGINT end it, rather than the process.
    pub catch_signals: bool,
}

impl BeginOptions {
    /// What holds where nothing else is said: no order, no signals, and a lost connection stays lost.
    #[must_use]
    pub fn new(options: Options) -> BeginOptions {
        let window_bytes = limits::SNAPSHOT_WINDOW_BYTES;
        let (reconnect, catch_signals) = (Reconnect::Never, false);
        BeginOptions { options, reconnect, blank_seed: None, order: None, window_bytes, catch_signals }
    }
}

/// Who is told what the bootstrap is doing, and how far it is.
pub type Watch<'a> = dyn Fn(&Progress<'_>) + 'a;

/// The epoch of every directory that is made new: no other exists yet.
const FIRST_EPOCH: u64 = 1;

/// Asks a primary whose log it serves, on the one conversation of a replica that has no directory yet.
pub(crate) fn introduction(primary: &str) -> Result<Welcome> {
    log::info!(primary; "asking whose log it is");
    let welcome = ask(primary)?;
    if welcome.version != frame::VERSION {
        return Err(Error::new(Reason::ProtocolUnexpected).with("version", welcome.version));
    }
    if welcome.epoch != FIRST_EPOCH {
        let other = Error::new(Reason::IdentityOtherEpoch).with("expected", FIRST_EPOCH);
        return Err(other.with("found", welcome.epoch));
    }
    Ok(welcome)
}

fn ask(primary: &str) -> Result<Welcome> {
    let mut bytes = Vec::new();
    Frame::Hello(Hello::of_nothing((frame::VERSION, frame::VERSION), Id([0; 16]))).encode(&mut bytes);
    let unreachable = |error| Error::new(Reason::ReplicationUnreachable).with("primary", primary).with("error", error);
    let lost = |error: io::Error| Error::new(Reason::ReplicationDisconnected).with("error", error);
    let mut connection = blocking::Connection::open(primary).map_err(unreachable)?;
    connection.send(&bytes).map_err(lost)?;
    let (mut came, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        if let Some(text) = frame::text(&came) {
            return Err(Error::new(Reason::ProtocolOtherPort).with("primary", primary).with("told", text));
        }
        let malformed = |fault| Error::new(Reason::ProtocolMalformed).with("fault", fault);
        match Frame::decode(&came).map_err(malformed)? {
            Some((Frame::Welcome(welcome), _)) => return Ok(welcome),
            Some((Frame::Refuse(refuse), _)) => {
                let known = Reason::ALL.iter().find(|reason| u16::from(reason.number()) == refuse.reason);
                let reason = known.copied().unwrap_or(Reason::ProtocolUnexpected);
                return Err(Error::new(reason).with("told", refuse.text));
            }
            Some((frame, _)) => return Err(Error::new(Reason::ProtocolUnexpected).with("frame", frame.kind())),
            None => {}
        }
        match connection.receive(&mut buffer).map_err(lost)? {
            0 => return Err(Error::new(Reason::ReplicationDisconnected).with("error", "the primary ended it")),
            count => came.extend_from_slice(&buffer[..count]),
        }
    }
}

/// Does what needs the primary; where nobody answers there or the connection is lost, again, after as many seconds as the policy says
/// (REPL-RECONNECT).
///
/// # Errors
/// What fails otherwise, or is not to be tried again; `replication.stopped` where the operating system refuses to wait.
pub fn persist<T>(reconnect: Reconnect, watch: &Watch<'_>, mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    let (observed, settled) = (Observed::new("bootstrap", State::Idle), Settled::default());
    let (mut transfer, mut why) = (Transfer::default(), None);
    loop {
        transfer.attempts += 1;
        observed.transition(State::Connecting, Event::Connect.name(), why);
        watch(&Progress { seen: observed.load(), transfer, settled: &settled });
        let again = [Reason::ReplicationUnreachable, Reason::ReplicationDisconnected, Reason::ReplicationBusy];
        let (lost, seconds) = match (attempt(), reconnect) {
            (Err(error), Reconnect::After(seconds)) if again.contains(&error.reason()) => (error, seconds),
            (ended, _) => return ended,
        };
        transfer.lost += 1;
        why = Some(lost.to_string());
        observed.transition(State::Disconnected, Event::Lost.name(), why.clone());
        watch(&Progress { seen: observed.load(), transfer, settled: &settled });
        let waited = Poll::new().and_then(|mut poll| poll.wait_seconds(Some(seconds)));
        waited
            .map_err(|error| Error::new(Reason::ReplicationStopped).with("operation", "poll").with("error", error))?;
    }
}

/// Asks a primary whose log it serves, and makes the directory of a replica of it that waits for a snapshot.
///
/// # Errors
/// `replication.unreachable`, `replication.disconnected`, `protocol.*`; what the primary refuses with; those of [`make_empty`].
pub fn introduce(options: &Options, primary: &str) -> Result<Identity> {
    let welcome = introduction(primary)?;
    let init = Init {
        role: Role::Replica,
        parameters: Parameters::from(welcome.shape),
        database_id: Some(welcome.database_id),
        disk: Arc::clone(&options.disk),
        ..Init::standalone(&options.dir)
    };
    make_empty(&init, welcome.database_id, welcome.node_id)
}

/// Makes the directory of a replica that holds nothing yet, and knows whose it is, and whom it follows.
///
/// # Errors
/// `dir.not_empty`, `dir.locked`, `config.invalid`, `role.compiled_out`; those of the disk.
pub fn make_empty(init: &Init, database_id: Id, primary: Id) -> Result<Identity> {
    Role::Replica.check_compiled()?;
    init.parameters.check()?;
    let (disk, dir) = (init.disk.as_ref(), init.dir.as_path());
    let _lock = recovery::claim(disk, dir)?;
    let node_id = init.node_id.map_or_else(|| entropy::random_id().map(Id), Ok)?;
    let parameters = init.parameters;
    let identity = Identity { role: Role::Replica, database_id, node_id, epoch: FIRST_EPOCH, parameters };
    let genesis = record::genesis(database_id, FIRST_EPOCH);
    let state = recovery::replica_state(&identity, genesis, Origin::Nothing);
    StateStore::create(disk, dir, &ReplicaState { primary: Some(primary), ..state })?;
    recovery::complete(disk, dir, &identity)?;
    Ok(identity)
}

/// What the replica of a directory knows of itself, for who decides how it goes on.
///
/// # Errors
/// `dir.not_found`, `dir.locked`, `identity.*`, `replica.state_corrupt`, `disk.read_failed`.
pub fn look(options: &Options) -> Result<ReplicaState> {
    let options = Options { role: Some(Role::Replica), ..options.clone() };
    let (_lock, identity) = recovery::enter(&options)?;
    ReplicaState::read(options.disk.as_ref(), &options.dir, identity.database_id, identity.node_id)
}

/// Fills a directory with a snapshot of its primary, until that is in place, or the process is asked to end and this is to be caught.
///
/// # Errors
/// Those of [`snapshot_over`]; `replication.stopped` where the operating system refuses what that needs.
pub fn snapshot(options: &BeginOptions, primary: &str, tcp_keepalive: u32, watch: &Watch<'_>) -> Result<Outcome> {
    let refused = |error| Error::new(Reason::ReplicationStopped).with("operation", "poll").with("error", error);
    let (mut link, waker) = TcpLink::new(primary, tcp_keepalive).map_err(refused)?;
    let stop = Arc::new(Fact::new(false));
    let requests =
        options.catch_signals.then(|| Requests::watch(Arc::clone(&stop), waker).map_err(refused)).transpose()?;
    let outcome = snapshot_over(options, &mut link, &stop, watch);
    if let Some(requests) = requests {
        requests.end();
    }
    outcome
}

/// Fills a directory with a snapshot that comes over a link. Data that is there is kept, where no order says otherwise: then there is nothing
/// to do.
///
/// # Errors
/// Those of [`Attempt::open`]; what contradicts what must hold, which is kept as a halt; `replication.*` where a lost connection is not made
/// again; those of the disk.
pub fn snapshot_over<L: Link>(
    options: &BeginOptions,
    link: &mut L,
    stop: &Fact<bool>,
    watch: &Watch<'_>,
) -> Result<Outcome> {
    // The lock first, so that it is let go last.
    let Attempt { lock: _lock, mut core, aside, settled, .. } = match Attempt::open(options, watch)? {
        Begun::Holds(applied) => return Ok(Outcome::Installed(applied)),
        Begun::Waits(attempt) => *attempt,
    };
    let (observed, transfer) = (core.observed(), core.transfer());
    let moved = || watch(&Progress { seen: observed.load(), transfer: transfer.get(), settled: &settled });
    let mut prove = |progress: &mut dyn FnMut(u64, u64)| {
        aside.prove(&mut |done, total| {
            progress(done, total);
            moved();
            if stop.get() { Err(Error::new(Reason::ReplicationStopped).with("cause", "asked to end")) } else { Ok(()) }
        })
    };
    let reconnect = match options.reconnect {
        Reconnect::Never => None,
        Reconnect::After(seconds) => Some(seconds),
    };
    worker::run(&mut core, link, &mut prove, reconnect, stop, &moved)
}

/// What a bootstrap finds.
pub enum Begun {
    /// Data, of which so much was applied: there is nothing to do.
    Holds(LogPoint),
    /// A directory that waits for a snapshot.
    Waits(Box<Attempt>),
}

/// A bootstrap that has begun, under the lock of its directory, without a loop: each turn is the caller's to give (`worker::run` gives them to
/// what a process runs, and sleeps between them).
pub struct Attempt {
    core: Bootstrap,
    aside: Aside,
    /// What the connection has not taken.
    unsent: Vec<u8>,
    settled: Settled,
    lock: Box<dyn LockGuard>,
}

/// What stands aside, and what proves it.
struct Aside {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    identity: Identity,
}

impl Aside {
    fn prove(&self, told: &mut dyn FnMut(u64, u64) -> Result<()>) -> Result<LogPoint> {
        verify::prove_data(&self.disk, &self.dir, &self.identity, told).map(|proof| proof.log_end)
    }
}

impl Attempt {
    /// Takes the lock of a directory, goes on with what an earlier attempt left, and looks whether a snapshot is wanted there.
    ///
    /// # Errors
    /// `halt.other` where the order names another halt than there is, `halt.answered` where it was carried out already; `replica.halted` where
    /// there is one and no order; what opening the directory would refuse with; those of the disk.
    pub fn open(options: &BeginOptions, watch: &Watch<'_>) -> Result<Begun> {
        let BeginOptions { options, blank_seed, order, window_bytes, .. } = options;
        let options = Options { role: Some(Role::Replica), ..options.clone() };
        recovery::check_extend(options.extend_bytes)?;
        let (lock, identity) = recovery::enter(&options)?;
        let Options { disk, dir, extend_bytes, .. } = &options;
        let mut kept = StateStore::open(disk.as_ref(), dir, identity.database_id, identity.node_id)?;
        let settled = install::settle(disk.as_ref(), dir, &mut kept)?;
        for name in &settled.discarded {
            log::warn!(file:% = name; "an earlier attempt left this aside; removed");
        }
        let began = Observed::new("bootstrap", State::Idle);
        watch(&Progress { seen: began.load(), transfer: Transfer::default(), settled: &settled });
        if let Some(cut) = settled.finished {
            // What an order had begun: it is answered, and the halt that it named is gone.
            return Ok(Begun::Holds(cut));
        }
        match (order, kept.state().halt.clone(), kept.state().origin) {
            (Some((reason, position)), _, _) => drop(kept.ordered(*reason, *position)?),
            (None, _, Origin::Log | Origin::Snapshot(_) | Origin::Backup(_)) => {
                return Ok(Begun::Holds(kept.state().applied));
            }
            (None, Some(halt), Origin::Nothing) => {
                let halted = Error::new(Reason::ReplicaHalted).with("halt", &halt).with("evidence", &halt.evidence);
                // Shown, it must outlive the machine: it may have been in the cache alone.
                kept.halt(halt)?;
                return Err(halted);
            }
            (None, None, Origin::Nothing) => {}
        }
        let aside = Aside { disk: Arc::clone(disk), dir: install::incoming(dir), identity };
        let core = Bootstrap::new(Parts {
            disk: Arc::clone(disk),
            dir: dir.clone(),
            identity,
            log: recovery::log_options(disk, &aside.dir, &identity, *extend_bytes),
            blank_seed: blank_seed.map_or_else(entropy::random_seed, Ok)?,
            kept,
            ordered: order.is_some(),
            window_bytes: *window_bytes,
        });
        Ok(Begun::Waits(Box::new(Attempt { core, aside, unsent: Vec::new(), settled, lock })))
    }

    /// What the bootstrap is doing.
    #[must_use]
    pub fn state(&self) -> State {
        self.core.state()
    }

    /// How far it is.
    #[must_use]
    pub fn transfer(&self) -> Transfer {
        self.core.transfer().get()
    }

    /// Begins to connect; why not, where that failed at once.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn connect(&mut self, link: &mut impl Link) -> Result<Option<Error>> {
        worker::connect(&mut self.core, link, &mut self.unsent)
    }

    /// Does what there is to do; why the connection was lost, if it was.
    ///
    /// # Errors
    /// What failed; the bootstrap has ended then.
    pub fn turn(&mut self, link: &mut impl Link) -> Result<Option<Error>> {
        let Attempt { core, aside, unsent, .. } = self;
        let mut prove = |progress: &mut dyn FnMut(u64, u64)| {
            aside.prove(&mut |done, total| {
                progress(done, total);
                Ok(())
            })
        };
        worker::turn(core, link, unsent, &mut prove)
    }
}

/// The thread that waits for a request to end while the bootstrap works.
struct Requests {
    end: Waker,
    thread: JoinHandle<io::Result<()>>,
}

const END: usize = 0;
const REQUEST: usize = 1;

impl Requests {
    fn watch(stop: Arc<Fact<bool>>, link: Arc<Waker>) -> io::Result<Requests> {
        let mut poll = Poll::new()?;
        let end = Waker::new(&poll, END)?;
        let requests = Pipe::new(&poll, REQUEST, signals::requests_to_end()?)?;
        let thread = sync::spawn("requests", move || {
            let _open = requests;
            loop {
                poll.wait(true)?;
                let (mut asked, mut ended) = (false, false);
                for ready in poll.ready() {
                    asked |= ready.source == REQUEST;
                    ended |= ready.source == END;
                }
                if asked {
                    stop.set(true);
                    return link.wake();
                }
                if ended {
                    return Ok(());
                }
            }
        })?;
        Ok(Requests { end, thread })
    }

    fn end(self) {
        let ended = self.end.wake().and_then(|()| self.thread.join().unwrap_or(Ok(())));
        if let Err(error) = ended {
            log::error!("requests to end were not watched: {error}");
        }
    }
}
