//! The bootstrap without its loop and its socket: bytes of the connection in; files of `incoming/`, and bytes to send, out.
//!
//! Assumes that its caller gives it the bytes of one connection in order. Promises: what was not asked for is refused before a byte of it is
//! written; `asked` is never beyond the window; what is in place is not touched before all that came is durable and proven; what is aside is
//! not removed once an install may be recorded.

use super::incoming::Incoming;
use super::install::{self, Settled};
use super::machine::{self, Event, State};
use super::output::Output;
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::frame::{self, Chunk, Frame, Hello, Kind, Purpose, Refuse, Shape, Snapshot, Welcome};
use crate::identity::{Id, Identity};
use crate::observed::{Observation, Observed};
use crate::position::LogPoint;
use crate::published::Fact;
use crate::reason::{Reason, Retry};
use crate::replica_state::{Halt, StateStore};
use crate::store::Store;
use crate::store::manifest::{MANIFEST_FILE, Manifest};
use crate::store::run::RunInfo;
use crate::sync::{Arc, planted};
use crate::wal::{self, LogOptions};
use std::collections::VecDeque;
use std::path::PathBuf;

/// What a bootstrap works with.
pub struct Parts {
    /// The disk.
    pub disk: Arc<dyn Disk>,
    /// The directory of the replica, whose lock is held.
    pub dir: PathBuf,
    /// Whose directory it is.
    pub identity: Identity,
    /// How the log of what stands aside is opened.
    pub log: LogOptions,
    /// What blank log space is to look like.
    pub blank_seed: u64,
    /// What the replica knows of itself.
    pub kept: StateStore,
    /// An order has named the halt that is kept.
    pub ordered: bool,
    /// Bytes that may be asked for and not here: [`SNAPSHOT_WINDOW_BYTES`](crate::limits::SNAPSHOT_WINDOW_BYTES), or less, so that it is met.
    pub window_bytes: u64,
}

/// Proves all that stands aside, tells how far it is, and returns where its log ends.
pub type Prove<'a> = dyn FnMut(&mut dyn FnMut(u64, u64)) -> Result<LogPoint> + 'a;

/// Why a session ended.
#[derive(Clone, Debug)]
pub enum End {
    /// There is no connection any more; another one begins again.
    Lost(Error),
    /// What came, or the disk, contradicts what must hold.
    Failed(Error),
}

/// What goes on, or how the session ended.
pub type Session = std::result::Result<(), End>;

impl From<Error> for End {
    fn from(error: Error) -> End {
        End::Failed(error)
    }
}

/// What the bootstrap shows: bytes and counts. Those of one attempt begin again with the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Transfer {
    /// Attempts to connect.
    pub attempts: u64,
    /// Connections that were lost, or not made.
    pub lost: u64,
    /// Who serves the snapshot.
    pub primary: Option<Id>,
    /// What the snapshot holds everything up to.
    pub cut: Option<LogPoint>,
    /// Bytes of the snapshot.
    pub total: u64,
    /// Bytes that were asked for; this may reach beyond the end.
    pub asked: u64,
    /// Bytes that came.
    pub came: u64,
    /// Bytes of files that are complete and durable, and the ones that the manifest names.
    pub written: u64,
    /// Bytes that are proven as part of the whole.
    pub proven: u64,
    /// Chunks that came.
    pub chunks: u64,
}

/// A bootstrap as it was seen at one moment (P5-I14).
#[derive(Clone, Debug)]
pub struct Progress<'a> {
    /// What it is doing, what led to that, and what blocks it.
    pub seen: Observation<State>,
    /// How far it is.
    pub transfer: Transfer,
    /// What it found when it began, and did about it.
    pub settled: &'a Settled,
}

/// A snapshot of which it is known what it consists of.
struct Coming {
    manifest: Vec<u8>,
    cut: LogPoint,
    segment: LogPoint,
    /// The runs whose file was not begun.
    runs: VecDeque<RunInfo>,
    /// The piece of log was not begun.
    log: bool,
    /// The file that is written.
    output: Option<Output>,
}

/// The core of the bootstrap.
pub struct Bootstrap {
    parts: Parts,
    incoming: Incoming,
    coming: Option<Coming>,
    output: Vec<u8>,
    /// The directory may be the snapshot: what stands aside may be what it is made of.
    installs: bool,
    /// Why there was no connection at last: shown until there is one again.
    last_loss: Option<String>,
    state: State,
    observed: Arc<Observed<State>>,
    shown: Transfer,
    transfer: Arc<Fact<Transfer>>,
}

impl Bootstrap {
    /// A bootstrap that has not begun.
    #[must_use]
    pub fn new(parts: Parts) -> Bootstrap {
        Bootstrap {
            parts,
            incoming: Incoming::default(),
            coming: None,
            output: Vec::new(),
            installs: false,
            last_loss: None,
            state: State::Idle,
            observed: Arc::new(Observed::new("bootstrap", State::Idle)),
            shown: Transfer::default(),
            transfer: Arc::new(Fact::new(Transfer::default())),
        }
    }

    /// Where it shows its state.
    #[must_use]
    pub fn observed(&self) -> Arc<Observed<State>> {
        Arc::clone(&self.observed)
    }

    /// Where it shows how far it is.
    #[must_use]
    pub fn transfer(&self) -> Arc<Fact<Transfer>> {
        Arc::clone(&self.transfer)
    }

    /// What it is doing.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// The only place where the state changes: an edge that the machine does not have is our own mistake.
    fn step(&mut self, event: Event, blocked: Option<String>) {
        let next = machine::next(self.state, event);
        assert!(next.is_some(), "the bootstrap has no edge {event} from {}", self.state);
        if let Some(next) = next {
            self.state = next;
            self.observed.transition(next, event.name(), blocked);
        }
        self.transfer.set(self.shown);
    }

    /// A connection is being made.
    pub fn connect(&mut self) {
        let (attempts, lost) = (self.shown.attempts + 1, self.shown.lost);
        self.shown = Transfer { attempts, lost, ..Transfer::default() };
        self.step(Event::Connect, self.last_loss.clone());
    }

    /// There is a connection: what an earlier attempt left is discarded, and the primary is told who asks.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn connected(&mut self) -> Result<()> {
        if !planted("a part of a frame outlives its connection") {
            self.incoming = Incoming::default();
        }
        self.step(Event::Connected, self.last_loss.clone());
        for name in install::prepare(self.parts.disk.as_ref(), &self.parts.dir)? {
            log::warn!(file:% = name; "an earlier attempt left this aside; removed");
        }
        let Identity { database_id, node_id, epoch, parameters, .. } = self.parts.identity;
        let (versions, shape) = ((frame::VERSION, frame::VERSION), Shape::from(parameters));
        let (purpose, validated) = (Purpose::Snapshot, LogPoint::default());
        let hello = Hello { versions, purpose, database_id, node_id, epoch, shape, validated };
        Frame::Hello(hello).encode(&mut self.output);
        Ok(())
    }

    /// The session has ended, and why: what came is discarded, what contradicts what must hold is kept as a halt.
    ///
    /// # Errors
    /// What ended it, if that is not a lost connection; or why what it left could not be dealt with.
    pub fn ended(&mut self, end: End) -> Result<()> {
        self.output.clear();
        self.coming = None;
        let fault = match end {
            End::Lost(why) => match install::discard(self.parts.disk.as_ref(), &self.parts.dir) {
                Ok(_) => {
                    self.shown.lost += 1;
                    self.last_loss = Some(why.to_string());
                    self.step(Event::Lost, self.last_loss.clone());
                    return Ok(());
                }
                Err(error) => error,
            },
            End::Failed(fault) => {
                self.discard();
                self.keep(fault)
            }
        };
        self.step(Event::Failed, Some(fault.to_string()));
        Err(fault)
    }

    /// Removes what came, as far as the disk lets it: the next attempt does what is left. An install that was begun may be recorded, whatever is
    /// known of that here: then all that there is stands aside.
    fn discard(&self) {
        if self.installs {
            return;
        }
        if let Err(error) = install::discard(self.parts.disk.as_ref(), &self.parts.dir) {
            log::warn!(code = error.reason().name(); "what came is still aside, and counts for nothing: {error}");
        }
    }

    /// Keeps a fault that halts. After an order it takes the place of the halt that was named: the same order does not begin again.
    fn keep(&mut self, fault: Error) -> Error {
        let forgets = planted("what halts a bootstrap is not kept");
        if !fault.reason().halts() || self.installs || forgets {
            return fault;
        }
        let kept = &mut self.parts.kept;
        let cut = self.shown.cut.unwrap_or(kept.state().applied);
        let halt = Halt { reason: fault.reason(), position: cut.position, evidence: fault.to_string() };
        let (outcome, fault) = match kept.state().halt.clone().filter(|_| self.parts.ordered) {
            Some(named) => (kept.halt_instead(&named, &halt), fault.with("instead_of", named)),
            None => (kept.halt(halt.clone()).map(|_| ()), fault),
        };
        log::error!(halt:%; "the bootstrap halts");
        match outcome {
            Ok(()) => fault.with("halt_position", cut.position),
            Err(error) => Error::new(Reason::ReplicationStopped).with("failure", fault).with("not_kept", error),
        }
    }

    /// Ends. What came is discarded: a request to end leaves the directory as it was.
    pub fn close(&mut self) {
        self.output.clear();
        self.coming = None;
        self.discard();
        self.step(Event::Close, None);
    }

    /// Whether it takes bytes.
    #[must_use]
    pub fn may_read(&self) -> bool {
        matches!(self.state, State::Handshaking | State::Asking | State::Receiving)
    }

    /// Where the next bytes of the connection go.
    pub fn space(&mut self) -> &mut [u8] {
        self.incoming.space()
    }

    /// So many bytes have been put there.
    ///
    /// # Errors
    /// What ends the session.
    pub fn filled(&mut self, count: usize) -> Session {
        let mut incoming = std::mem::take(&mut self.incoming);
        incoming.filled(count);
        let taken = self.take(&mut incoming);
        self.incoming = incoming;
        taken
    }

    fn take(&mut self, incoming: &mut Incoming) -> Session {
        if self.state == State::Handshaking
            && let Some(text) = incoming.text()
        {
            // Who speaks the language of clients contradicts nothing: it is not who was meant (WIRE-PORT).
            return Err(End::Lost(Error::new(Reason::ProtocolOtherPort).with("told", text)));
        }
        loop {
            let expected = match self.state {
                State::Handshaking => Kind::Welcome,
                State::Asking => Kind::Manifest,
                State::Receiving => Kind::Chunk,
                // Whatever comes behind the snapshot was not asked for; nobody reads it.
                State::Idle
                | State::Connecting
                | State::Proving
                | State::Installing
                | State::Installed
                | State::Disconnected
                | State::Failed
                | State::Closed => return Ok(()),
            };
            match incoming.next(&[expected, Kind::Refuse])? {
                None => return Ok(()),
                Some((Frame::Welcome(welcome), _)) => self.welcome(&welcome)?,
                Some((Frame::Manifest(manifest), _)) => self.begin(manifest)?,
                Some((Frame::Chunk(chunk), bytes)) => self.arrive(&chunk, bytes)?,
                Some((Frame::Refuse(refuse), _)) => return Err(refused(&refuse, self.state)),
                Some((frame, _)) => {
                    return Err(Error::new(Reason::ProtocolUnexpected).with("frame", frame.kind()).into());
                }
            }
        }
    }

    /// Compares who serves with who should (WIRE-HELLO, REPL-PRIMARY).
    fn welcome(&mut self, welcome: &Welcome) -> Result<()> {
        let Welcome { version, database_id, node_id, epoch, shape, .. } = *welcome;
        let (here, state) = (&self.parts.identity, self.parts.kept.state());
        if version != frame::VERSION {
            return Err(Error::new(Reason::ProtocolUnexpected).with("version", version));
        }
        if database_id != here.database_id {
            let other = Error::new(Reason::IdentityOtherDatabase);
            return Err(other.with("expected", here.database_id).with("found", database_id));
        }
        if epoch != here.epoch {
            return Err(Error::new(Reason::IdentityOtherEpoch).with("expected", here.epoch).with("found", epoch));
        }
        if shape != Shape::from(here.parameters) {
            let other = Error::new(Reason::IdentityOtherParameters);
            return Err(other.with("expected", format!("{:?}", here.parameters)).with("found", format!("{shape:?}")));
        }
        // An order that answers exactly this halt says that the other node is the right one.
        let answered =
            self.parts.ordered && state.halt.as_ref().is_some_and(|halt| halt.reason == Reason::IdentityOtherPrimary);
        let other = |primary: &Id| *primary != node_id && !planted("any node is followed");
        if let Some(primary) = state.primary.filter(|primary| other(primary) && !answered) {
            return Err(Error::new(Reason::IdentityOtherPrimary).with("expected", primary).with("found", node_id));
        }
        self.shown.primary = Some(node_id);
        self.last_loss = None;
        self.step(Event::Welcomed, None);
        self.ask();
        Ok(())
    }

    /// Learns what the snapshot consists of, and holds it against itself before anything is written (SNAP-CUT).
    fn begin(&mut self, told: frame::Manifest) -> Result<()> {
        let frame::Manifest { cut, segment, bytes, manifest } = told;
        self.shown.cut = Some(cut);
        let rejected = |fault: &'static str| Error::new(Reason::SnapshotRejected).with("fault", fault);
        let decoded = Manifest::decode(&manifest).map_err(|error| rejected("its manifest").with("failure", error))?;
        let database_id = self.parts.identity.database_id;
        if decoded.database_id != database_id {
            let other = rejected("its manifest is of another database");
            return Err(other.with("expected", database_id).with("found", decoded.database_id));
        }
        if decoded.point != cut {
            let other = Error::new(Reason::SnapshotCutMismatch).with("cut", cut);
            return Err(other.with("manifest", decoded.point));
        }
        let log_bytes = cut.position.since(segment.position);
        if log_bytes == 0 && segment != cut {
            return Err(Error::new(Reason::SnapshotCutMismatch).with("cut", cut).with("segment", segment));
        }
        let run_bytes = decoded.plan.runs.iter().try_fold(0u64, |bytes, run| bytes.checked_add(run.size));
        let sum = run_bytes.and_then(|bytes| bytes.checked_add(log_bytes));
        // A segment has its header before the log.
        if sum.and_then(|sum| sum.checked_add(wal::SEGMENT_HEADER_BYTES)).is_none() || sum != Some(bytes) {
            let sum = sum.map_or_else(|| "more than can be".to_owned(), |sum| sum.to_string());
            return Err(rejected("its bytes are not those of its parts").with("bytes", bytes).with("parts", sum));
        }
        log::info!(cut:%, bytes, runs = decoded.plan.runs.len(), log_bytes; "a snapshot comes");
        self.shown.total = bytes;
        let runs = decoded.plan.runs.into();
        self.coming = Some(Coming { manifest, cut, segment, runs, log: true, output: None });
        self.step(Event::Manifest, None);
        self.go_on()
    }

    /// Takes bytes that come in order, once, as far as they were asked for, and of one file (WIRE-SNAPSHOT).
    fn arrive(&mut self, chunk: &Chunk, bytes: &[u8]) -> Result<()> {
        let output = self.coming.as_mut().and_then(|coming| coming.output.as_mut());
        let output = output.expect("a file is open as long as bytes are to come");
        let len = bytes.len() as u64;
        let unexpected = |fault: &'static str| {
            let place = Error::new(Reason::ProtocolUnexpected).with("frame", Kind::Chunk).with("fault", fault);
            place.with("from", chunk.from).with("bytes", chunk.bytes)
        };
        if chunk.from != self.shown.came && !planted("the place of a chunk is not compared") {
            return Err(unexpected("not the next place").with("expected", self.shown.came));
        }
        if self.shown.came + len > self.shown.asked {
            return Err(unexpected("more than was asked for").with("asked", self.shown.asked));
        }
        if len > output.left() {
            return Err(unexpected("more than is left of its file").with("left", output.left()));
        }
        let crc = crc32c::crc32c(bytes);
        if crc != chunk.crc {
            let rejected = Error::new(Reason::SnapshotRejected).with("fault", "the checksum of a chunk");
            return Err(rejected.with("from", chunk.from).with("expected", chunk.crc).with("found", crc));
        }
        output.write(bytes)?;
        self.shown.came += len;
        self.shown.chunks += 1;
        self.go_on()
    }

    /// Completes the file whose bytes are all here, begins the next, and completes the snapshot behind the last.
    fn go_on(&mut self) -> Result<()> {
        let Parts { disk, dir, log, .. } = &self.parts;
        let aside = install::incoming(dir);
        let coming = self.coming.as_mut().expect("it is known what the snapshot consists of");
        loop {
            match coming.output.as_ref() {
                Some(output) if output.left() > 0 => {
                    self.transfer.set(self.shown);
                    return Ok(());
                }
                Some(output) => {
                    output.finish()?;
                    self.shown.written = self.shown.came;
                }
                None => {}
            }
            coming.output = if let Some(run) = coming.runs.pop_front() {
                let path = Store::directory(&aside).join(run.id.file_name());
                Some(Output::create(disk.as_ref(), path, &[], run.size, Some(run.hash))?)
            } else if std::mem::take(&mut coming.log) {
                let path = log.directory.join(wal::file_name(coming.segment.position));
                let header = wal::encode_header(log.lineage, coming.segment);
                let bytes = coming.cut.position.since(coming.segment.position);
                Some(Output::create(disk.as_ref(), path, &header, bytes, None)?)
            } else {
                break;
            };
        }
        // The file as it came: it is what the primary has, to the byte.
        let store = Store::directory(&aside);
        let file = disk.create(&store.join(MANIFEST_FILE))?;
        file.write_at(0, &coming.manifest)?;
        file.sync_data()?;
        disk.sync_dir(&store)?;
        wal::adopt(log, self.parts.blank_seed, coming.segment.position, coming.cut)?;
        disk.sync_dir(&aside)?;
        self.step(Event::Complete, None);
        Ok(())
    }

    /// Goes on with what there is to say: asks for what the window allows, once that is worth a frame.
    pub fn turn(&mut self) {
        if self.state == State::Receiving {
            self.ask();
        }
    }

    /// All but the first allowance are for a snapshot whose end is known.
    fn ask(&mut self) {
        let window = self.parts.window_bytes;
        let (from, upto) = (self.shown.asked, self.shown.came + window);
        let lacks = self.state == State::Asking || from < self.shown.total;
        if lacks && upto - from >= (window / 4).max(1) {
            Frame::Snapshot(Snapshot { from, upto }).encode(&mut self.output);
            self.shown.asked = upto;
            self.transfer.set(self.shown);
        }
    }

    /// What is to be sent, which is taken.
    #[must_use]
    pub fn output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// Proves all that came, as a whole (SNAP-PROVE).
    ///
    /// # Errors
    /// What ends the bootstrap.
    pub fn prove(&mut self, prove: &mut Prove<'_>) -> Session {
        let cut = self.cut();
        if planted("what came is not proven") {
            self.step(Event::Proven, None);
            return Ok(());
        }
        let (transfer, shown) = (&self.transfer, self.shown);
        let proof = prove(&mut |done, total| {
            let share = |of: u64| u128::from(of) * u128::from(done.min(total)) / u128::from(total.max(1));
            transfer.set(Transfer { proven: u64::try_from(share(shown.total)).unwrap_or(shown.total), ..shown });
        });
        match proof {
            Ok(end) if end == cut => {}
            Ok(end) => {
                return Err(Error::new(Reason::SnapshotCutMismatch).with("cut", cut).with("log_end", end).into());
            }
            Err(error) => return Err(unproven(error, cut).into()),
        }
        self.shown.proven = self.shown.total;
        self.step(Event::Proven, None);
        Ok(())
    }

    /// Puts the snapshot in place (SNAP-INSTALL).
    ///
    /// # Errors
    /// Those of the disk. A start goes on with what is recorded then.
    pub fn install(&mut self) -> Session {
        self.installs = true;
        let Parts { disk, dir, kept, .. } = &mut self.parts;
        let (cut, primary) = (self.shown.cut.unwrap_or_default(), self.shown.primary.unwrap_or_default());
        if planted("what was there goes before a snapshot counts") {
            install::clear(disk.as_ref(), dir)?;
        }
        kept.install(cut, primary)?;
        install::go_on(disk.as_ref(), dir, kept)?;
        self.step(Event::Installed, None);
        Ok(())
    }

    /// The cut of the snapshot that comes; nothing is known of it before its manifest.
    fn cut(&self) -> LogPoint {
        self.shown.cut.unwrap_or_default()
    }
}

/// What a proof that failed says of the snapshot; of what the disk, or who asks to end, has to do with it, nothing.
fn unproven(error: Error, cut: LogPoint) -> Error {
    let own =
        [Reason::DiskReadFailed, Reason::DiskNameFailed, Reason::DiskHandlesExhausted, Reason::ReplicationStopped];
    if own.contains(&error.reason()) {
        return error;
    }
    let of_the_cut = [Reason::StoreOtherLog, Reason::WalBehindCheckpoint].contains(&error.reason());
    // The mark that was made for it names the cut: the log has another history there.
    let marked = error.reason() == Reason::WalCorrupt && error.fact("marked").is_some();
    let reason = if of_the_cut || marked { Reason::SnapshotCutMismatch } else { Reason::SnapshotRejected };
    Error::new(reason).with("cut", cut).with("failure", error)
}

/// What a refusal of the primary means here: a contradiction, or only that it does not serve now. Files that it can't read while they are sent
/// halt: they would end the next attempt at the same place, and so on.
fn refused(refuse: &Refuse, state: State) -> End {
    let known = Reason::ALL.iter().find(|reason| u16::from(reason.number()) == refuse.reason);
    let Some(reason) = known.copied() else {
        let unknown = Error::new(Reason::ProtocolUnexpected).with("frame", Kind::Refuse);
        return End::Failed(unknown.with("reason", refuse.reason).with("told", &refuse.text));
    };
    let told = Error::new(reason).with("primary", refuse.durable).with("told", &refuse.text);
    let of_its_files = ["disk.", "store.", "wal."].iter().any(|family| reason.name().starts_with(family));
    if state == State::Receiving && of_its_files && reason.retry() == Retry::Operator {
        let unreadable = Error::new(Reason::SnapshotUnreadable).with("refusal", reason);
        return End::Failed(unreadable.with("told", &refuse.text));
    }
    if reason.halts() { End::Failed(told) } else { End::Lost(told) }
}
