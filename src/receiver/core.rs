//! The Receiver without its thread and its socket: bytes of the connection in; log made durable, chunks, and bytes to send out.
//!
//! Assumes that its caller gives it the bytes of one connection in order, and hands its chunks on in order. Promises: `asked` is never
//! beyond the window; what it hands on is durable; a segment begins where the proof of the one before ended.

use super::incoming::{Came, Incoming};
use super::machine::{self, Event, State};
use crate::chunk::{Chunk, Validated};
use crate::error::{Error, Result};
use crate::frame::{self, Fetch, Frame, Hello, Purpose, Refuse, Segment, Shape, Welcome};
use crate::identity::{Id, Identity};
use crate::limits;
use crate::observed::Observed;
use crate::position::{LogPoint, Position};
use crate::published::Fact;
use crate::reason::Reason;
use crate::sync::{Arc, planted};
use crate::wal::FollowedLog;
use std::collections::VecDeque;

/// How much a Receiver holds and asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Log that was asked for and is not applied (REPL-WINDOW).
    pub window_bytes: u64,
    /// Chunks that came in small pieces are put together up to this length.
    pub chunk_bytes: usize,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds { window_bytes: limits::REPLICA_WINDOW_BYTES, chunk_bytes: 256 * 1024 }
    }
}

/// Why a session ended.
#[derive(Clone, Debug)]
pub enum End {
    /// There is no connection any more; another one may go on where it ended.
    Lost(Error),
    /// What arrived, or the disk, contradicts what must hold.
    Failed(Error),
}

/// What goes on, or how the session ended.
pub type Session = std::result::Result<(), End>;

impl From<Error> for End {
    fn from(error: Error) -> End {
        End::Failed(error)
    }
}

/// How far the stages behind have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What the Validator has proven.
    pub validated: Validated,
    /// What the Applier has applied.
    pub applied: Position,
    /// Log before this is not needed here any more.
    pub keep_from: Position,
}

/// Whose log it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The primary's node id.
    pub node_id: Id,
    /// The durable end that it named at the handshake: what this replica is to reach.
    pub target: LogPoint,
    /// The durable end that it named last.
    pub durable: LogPoint,
    /// The oldest position that it named.
    pub oldest: Position,
}

/// Log that was received, not proven, and dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// Where the proof ended: received went back to here.
    pub from: Position,
    /// Where received was before.
    pub to: Position,
}

/// What the Receiver shows: positions and counts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Received {
    /// Everything before it is durable here.
    pub received: Position,
    /// Everything before it was asked for.
    pub asked: Position,
    /// The oldest position that is kept here.
    pub oldest: Position,
    /// Who serves it, and how far; known since the first handshake.
    pub origin: Option<Origin>,
    /// Attempts to connect.
    pub attempts: u64,
    /// Sessions in which the primary served this replica.
    pub sessions: u64,
    /// Connections that were lost, or not made.
    pub lost: u64,
    /// Fetches that were sent.
    pub fetches: u64,
    /// Frames with log that came.
    pub segments: u64,
    /// Log bytes that came.
    pub bytes: u64,
    /// Those of them that were dropped again before a handshake (REPL-AFRESH).
    pub dropped: u64,
    /// What was dropped last.
    pub last_dropped: Option<Dropped>,
    /// Times that log was made durable.
    pub syncs: u64,
}

/// The core of the Receiver.
pub struct Receiver {
    log: FollowedLog,
    identity: Identity,
    /// The node that it has followed, once it has.
    primary: Option<Id>,
    bounds: Bounds,
    incoming: Incoming,
    /// What came and is not written.
    arrived: VecDeque<Chunk>,
    arrived_bytes: u64,
    /// Where the log of the next frame begins.
    expected: Position,
    /// A segment ended here; the next begins once its `Seal` is proven.
    sealed: bool,
    /// HELLO was sent on this connection.
    introduced: bool,
    /// To be sent.
    output: Vec<u8>,
    handed: Vec<Chunk>,
    /// Why there was no connection at last: shown until there is one again.
    last_loss: Option<String>,
    state: State,
    observed: Arc<Observed<State>>,
    shown: Received,
    received: Arc<Fact<Received>>,
}

impl Receiver {
    /// A Receiver that goes on where the proven log ends.
    #[must_use]
    pub fn new(log: FollowedLog, identity: Identity) -> Receiver {
        let end = log.received();
        let shown = Received { received: end, asked: end, oldest: log.oldest(), ..Received::default() };
        Receiver {
            log,
            identity,
            primary: None,
            bounds: Bounds::default(),
            incoming: Incoming::default(),
            arrived: VecDeque::new(),
            arrived_bytes: 0,
            expected: end,
            sealed: false,
            introduced: false,
            output: Vec::new(),
            handed: Vec::new(),
            last_loss: None,
            state: State::Idle,
            observed: Arc::new(Observed::new("receiver", State::Idle)),
            shown,
            received: Arc::new(Fact::new(shown)),
        }
    }

    /// The same that has followed a node, and follows no other (REPL-PRIMARY).
    #[must_use]
    pub fn following(self, primary: Option<Id>) -> Receiver {
        Receiver { primary, ..self }
    }

    /// The same with other bounds: in a simulation small ones, so that they are met.
    #[must_use]
    pub fn bounded(self, bounds: Bounds) -> Receiver {
        Receiver { bounds, ..self }
    }

    /// Where it shows its state.
    #[must_use]
    pub fn observed(&self) -> Arc<Observed<State>> {
        Arc::clone(&self.observed)
    }

    /// Where it shows how far it has come.
    #[must_use]
    pub fn received(&self) -> Arc<Fact<Received>> {
        Arc::clone(&self.received)
    }

    /// What it is doing.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// The only place where the state changes: an edge that the machine does not have is our own mistake.
    fn step(&mut self, event: Event, blocked: Option<String>) {
        let next = machine::next(self.state, event);
        assert!(next.is_some(), "the receiver has no edge {event} from {}", self.state);
        if let Some(next) = next {
            self.state = next;
            self.observed.transition(next, event.name(), blocked);
        }
        self.received.set(self.shown);
    }

    /// A connection is being made.
    pub fn connect(&mut self) {
        self.shown.attempts += 1;
        self.step(Event::Connect, self.last_loss.clone());
    }

    /// There is a connection.
    pub fn connected(&mut self) {
        self.incoming = Incoming::default();
        self.introduced = false;
        self.step(Event::Connected, self.last_loss.clone());
    }

    /// The session has ended, and why; what came whole is kept.
    pub fn ended(&mut self, end: &End) {
        self.output.clear();
        match end {
            End::Lost(why) => {
                self.shown.lost += 1;
                self.last_loss = Some(why.to_string());
                self.step(Event::Lost, self.last_loss.clone());
            }
            End::Failed(fault) => self.step(Event::Failed, Some(fault.to_string())),
        }
    }

    /// Ends: what is proven is marked.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn close(&mut self) -> Result<()> {
        let closed = if self.state == State::Failed { Ok(()) } else { self.log.close() };
        self.step(Event::Close, None);
        closed
    }

    /// Whether it takes more bytes: not while it holds what it can't write yet.
    #[must_use]
    pub fn may_read(&self) -> bool {
        let connected = matches!(self.state, State::Handshaking | State::Streaming);
        let room = self.arrived_bytes < self.bounds.window_bytes / 2 && self.arrived.len() < limits::REPLICA_QUEUE_MAX;
        connected && room
    }

    /// Where the next bytes of the connection go.
    pub fn space(&mut self) -> &mut [u8] {
        self.incoming.space()
    }

    /// So many bytes have been put there. What came whole before what ends the session has arrived.
    ///
    /// # Errors
    /// What ends the session.
    pub fn filled(&mut self, count: usize) -> Session {
        self.take(count).map_err(|end| match end {
            // Where it happened belongs to the name of a halt, and depends neither on when somebody looks nor on how the stream was cut.
            End::Failed(fault) if fault.fact("position").is_none() => {
                End::Failed(fault.with("position", self.expected))
            }
            End::Lost(why) => End::Lost(why),
            End::Failed(fault) => End::Failed(fault),
        })
    }

    fn take(&mut self, count: usize) -> Session {
        if self.state == State::Handshaking
            && let Some(text) = self.incoming.text(count)
        {
            // No primary, so no fact of one that contradicts: the address is wrong, and may be right later.
            return Err(End::Lost(Error::new(Reason::ProtocolOtherPort).with("told", text)));
        }
        self.incoming.filled(count);
        loop {
            let (streaming, asked, expected) = (self.state == State::Streaming, self.shown.asked, self.expected);
            let before = self.shown.origin.map(|origin| origin.durable);
            let mut head = None;
            let came = self.incoming.next(|segment| {
                if !streaming {
                    return Err(unexpected(&Frame::Segment(*segment)));
                }
                check_segment(segment, expected, asked, before)?;
                head = Some(*segment);
                Ok(())
            })?;
            // A head counts once it has come: what follows it is held against it.
            if let (Some(segment), Some(origin)) = (head, &mut self.shown.origin) {
                self.expected = expected.after(segment.bytes as u64);
                origin.durable = segment.durable;
            }
            match came {
                Some(Came::Log(segment, bytes)) => self.arrive(&segment, bytes),
                Some(Came::Frame(Frame::Welcome(welcome))) if self.state == State::Handshaking && self.introduced => {
                    self.welcome(&welcome)?;
                }
                Some(Came::Frame(Frame::Refuse(refuse))) => return Err(refused(&refuse)),
                Some(Came::Frame(frame)) => return Err(unexpected(&frame).into()),
                // Of a head that came alone the rest is to come.
                None => return Ok(()),
            }
        }
    }

    fn arrive(&mut self, segment: &Segment, bytes: Vec<u8>) {
        self.shown.segments += 1;
        self.shown.bytes += bytes.len() as u64;
        self.arrived_bytes += bytes.len() as u64;
        match self.arrived.back_mut() {
            Some(last) if !last.ends_segment && last.bytes.len() + bytes.len() <= self.bounds.chunk_bytes => {
                last.bytes.extend_from_slice(&bytes);
                last.ends_segment = segment.ends_segment;
            }
            _ => self.arrived.push_back(Chunk { from: segment.from, bytes, ends_segment: segment.ends_segment }),
        }
    }

    /// Compares who serves with who should (WIRE-HELLO).
    fn welcome(&mut self, welcome: &Welcome) -> Result<()> {
        let Welcome { version, database_id, node_id, epoch, shape, oldest, durable } = *welcome;
        let (here, at) = (&self.identity, self.log.validated());
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
        if durable.position < at.position && !planted("nobody compares positions") {
            return Err(Error::new(Reason::HistoryAhead).with("here", at).with("primary", durable));
        }
        if durable.position == at.position && durable != at && !planted("nobody compares histories") {
            return Err(Error::new(Reason::HistoryDiverged).with("here", at).with("primary", durable));
        }
        if oldest > at.position {
            return Err(Error::new(Reason::HistoryRetired).with("here", at).with("oldest", oldest));
        }
        // Last: where the histories tell the two apart already, that says more.
        let other = |primary: &_| *primary != node_id && !planted("any node is followed");
        if let Some(primary) = self.primary.filter(other) {
            return Err(Error::new(Reason::IdentityOtherPrimary).with("expected", primary).with("found", node_id));
        }
        self.primary = Some(node_id);
        self.shown.origin = Some(Origin { node_id, target: durable, durable, oldest });
        self.shown.sessions += 1;
        self.last_loss = None;
        self.step(Event::Welcomed, None);
        Ok(())
    }

    /// Goes on with what there is to do: writes what came, begins the next segment, introduces itself, asks for more.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn turn(&mut self, progress: &Progress) -> Result<()> {
        self.keep(progress)?;
        if self.state == State::Handshaking && !self.introduced && self.is_drained(progress) {
            if self.log.validated().position < self.log.received()
                && !planted("a part of a record outlives its connection")
            {
                self.drop_part()?;
            } else {
                self.introduce(progress.validated.point);
            }
        }
        if self.state == State::Streaming {
            self.ask(progress);
        }
        let all = planted("log goes that the checkpoint does not hold");
        let keep_from = if all { progress.applied } else { progress.keep_from };
        self.log.retire(keep_from, limits::RETIRED_SEGMENTS_MAX)?;
        self.shown.oldest = self.log.oldest();
        self.received.set(self.shown);
        Ok(())
    }

    /// Writes what came whole, as far as its segment goes, and makes it durable; it is the last that a session does which a contradiction ends.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn keep(&mut self, progress: &Progress) -> Result<()> {
        self.log.prove(progress.validated.point);
        self.store()?;
        self.received.set(self.shown);
        Ok(())
    }

    /// Whether it waits for the stages behind it: to begin a segment, to introduce itself, or for the window.
    #[must_use]
    pub fn waits(&self) -> bool {
        let introduces = self.state == State::Handshaking && !self.introduced;
        self.sealed || introduces || (self.state == State::Streaming && self.expected == self.shown.asked)
    }

    /// What is to be sent, which is taken.
    #[must_use]
    pub fn output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// What is durable and goes to the Validator, which is taken.
    #[must_use]
    pub fn handed(&mut self) -> Vec<Chunk> {
        std::mem::take(&mut self.handed)
    }

    /// Makes what came durable, up to the end of the segment; then the next begins once that end is proven (REPL-SEGMENT).
    fn store(&mut self) -> Result<()> {
        if self.sealed {
            if self.log.validated().position < self.log.received() {
                return Ok(());
            }
            self.log.roll()?;
            self.sealed = false;
        }
        let mut written = Vec::new();
        while let Some(chunk) = self.arrived.pop_front() {
            self.arrived_bytes -= chunk.bytes.len() as u64;
            self.log.write(&chunk.bytes)?;
            self.sealed = chunk.ends_segment;
            written.push(chunk);
            if self.sealed {
                break;
            }
        }
        if !written.is_empty() {
            self.shown.received = self.log.sync()?;
            self.shown.syncs += 1;
        }
        // Nobody is handed what is not durable.
        self.handed.append(&mut written);
        Ok(())
    }

    /// Whether nothing that was received waits for a proof.
    fn is_drained(&self, progress: &Progress) -> bool {
        let drained = self.arrived.is_empty() && !self.sealed && progress.validated.seen == self.log.received();
        drained || planted("a HELLO goes out while something waits to be proven")
    }

    /// Drops what the lost connection left of a record: the next one may be that of another primary (REPL-AFRESH).
    fn drop_part(&mut self) -> Result<()> {
        let dropped = Dropped { from: self.log.validated().position, to: self.log.received() };
        let Dropped { from, to } = dropped;
        self.log.drop_unproven()?;
        log::warn!(target: "receiver", from:%, to:%; "a part of a record is dropped: its connection was lost");
        self.handed.push(Chunk::afresh(from));
        (self.shown.received, self.shown.asked) = (from, from);
        self.shown.dropped += to.since(from);
        self.shown.last_dropped = Some(dropped);
        Ok(())
    }

    fn introduce(&mut self, validated: LogPoint) {
        let Identity { database_id, node_id, epoch, parameters, .. } = self.identity;
        let versions = (frame::VERSION, frame::VERSION);
        let shape = Shape::from(parameters);
        let hello = Hello { versions, purpose: Purpose::Follow, database_id, node_id, epoch, shape, validated };
        Frame::Hello(hello).encode(&mut self.output);
        self.introduced = true;
        self.expected = self.log.received();
        self.shown.asked = self.expected;
    }

    /// Asks for what the window allows, once that is worth a frame (REPL-WINDOW).
    fn ask(&mut self, progress: &Progress) {
        let window = self.bounds.window_bytes;
        let from = self.shown.asked;
        let wanted =
            if planted("a long record is not asked for") { Position::GENESIS } else { progress.validated.wanted };
        let upto =
            progress.applied.after(if planted("the window has no end") { window * 8 } else { window }).max(wanted);
        let upto = upto.min(from.after(limits::FETCH_BYTES_MAX));
        if upto > from && (upto.since(from) >= window / 4 || from == self.expected) {
            Frame::Fetch(Fetch { from, upto }).encode(&mut self.output);
            self.shown.asked = upto;
            self.shown.fetches += 1;
        }
    }
}

/// Log comes in order, once, as far as it was asked for (WIRE-PULL).
fn check_segment(segment: &Segment, expected: Position, asked: Position, durable: Option<LogPoint>) -> Result<()> {
    let refused = |reason| Error::new(reason).with("position", segment.from).with("expected", expected);
    let end = segment.from.after(segment.bytes as u64);
    if segment.from > expected && !planted("a gap is not noticed") {
        return Err(refused(Reason::ReplicationGap));
    }
    if (segment.from < expected || end > asked) && !planted("what was not asked for is taken") {
        return Err(refused(Reason::ReplicationNotAsked).with("end", end).with("asked", asked));
    }
    match durable {
        Some(before) if segment.durable.position < before.position => {
            Err(refused(Reason::ProtocolUnexpected).with("durable", segment.durable).with("before", before))
        }
        _ => Ok(()),
    }
}

/// What a primary may say of a contradiction; of what it says beside that, the replica is no judge, and waits.
const REFUSALS_THAT_HALT: [Reason; 8] = [
    Reason::IdentityOtherDatabase,
    Reason::IdentityOtherEpoch,
    Reason::IdentityOtherParameters,
    Reason::HistoryAhead,
    Reason::HistoryDiverged,
    Reason::HistoryRetired,
    Reason::ProtocolMalformed,
    Reason::ProtocolUnexpected,
];

fn unexpected(frame: &Frame) -> Error {
    Error::new(Reason::ProtocolUnexpected).with("frame", frame.kind())
}

/// What a refusal of the primary means here: a contradiction, or only that it does not serve now.
fn refused(refuse: &Refuse) -> End {
    let known = Reason::ALL.iter().find(|reason| u16::from(reason.number()) == refuse.reason);
    let Some(reason) = known.copied() else {
        let unknown = Error::new(Reason::ProtocolUnexpected).with("frame", frame::Kind::Refuse);
        return End::Failed(unknown.with("reason", refuse.reason).with("primary", &refuse.text));
    };
    let told = Error::new(reason).with("primary", refuse.durable).with("oldest", refuse.oldest);
    let told = told.with("told", &refuse.text);
    if REFUSALS_THAT_HALT.contains(&reason) { End::Failed(told) } else { End::Lost(told) }
}

#[cfg(test)]
mod tests;
