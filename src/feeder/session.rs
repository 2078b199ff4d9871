//! One replica's connection, without the connection: bytes in, frames and parts of files out.
//!
//! Whoever drives it calls [`Session::receive`] with what arrives, in any pieces, and [`Session::serve`] for what is to be sent next, as
//! long as the other side takes it; each time with how far the log reaches then. A fetch costs nothing until it is served: it is a number
//! up to which may be sent. So what is held is a frame that has not arrived whole, a frame that is not handed out, and one open file; for a
//! snapshot also the pin of a checkpoint.
//!
//! Assumes that what is handed out is sent, in order. Pure over the bytes, the [`Extent`] and the disk.

use super::copying::Copying;
use super::machine::{self, Event, State};
use super::source::{Segment, Source};
use crate::disk::File;
use crate::error::{Error, Result};
use crate::frame::{self, Before, Fetch, Frame, Hello, Purpose, Refuse, SEGMENT_HEAD_BYTES, Shape, Welcome};
use crate::id::Id;
use crate::identity::Identity;
use crate::limits;
use crate::observed::{Observation, Observed};
use crate::position::{LogPoint, Position};
use crate::reason::Reason;
use crate::resp::request::Malformed;
use crate::sync::{Arc, planted};
use crate::wal::Extent;

/// Fewer log bytes than this are copied behind the head of their frame, so that one call sends both.
const COPIED_BYTES: usize = 64 * 1024;

/// What is to be sent next: a frame.
#[derive(Clone, Default)]
pub struct Outgoing {
    /// The frame, or what of it comes first.
    pub bytes: Vec<u8>,
    /// The rest of it.
    pub part: Option<Part>,
}

/// A part of a file that lends its descriptor.
#[derive(Clone)]
pub struct Part {
    /// The file.
    pub file: Arc<dyn File>,
    /// Where the part begins.
    pub offset: u64,
    /// How long it is.
    pub bytes: usize,
}

/// One replica's session.
pub struct Session {
    source: Arc<Source>,
    state: State,
    observed: Observed<State>,
    /// What has arrived and is not a whole frame.
    input: Vec<u8>,
    /// A frame without log that is not handed out.
    output: Vec<u8>,
    replica: Option<Id>,
    purpose: Option<Purpose>,
    /// Everything before was handed out, or not asked for.
    next: Position,
    /// The end of what was asked for; before that, where the replica stands.
    upto: Position,
    /// What is read: while log is sent, and at the end of the newest one.
    segment: Option<Segment>,
    /// The snapshot that is sent.
    copying: Option<Copying>,
    refusal: Option<Error>,
}

impl Session {
    /// A session that waits for its replica to say who it is.
    #[must_use]
    pub fn new(source: &Arc<Source>) -> Session {
        Session {
            source: Arc::clone(source),
            state: State::AwaitingHello,
            observed: Observed::new("feeder", State::AwaitingHello),
            input: Vec::new(),
            output: Vec::new(),
            replica: None,
            purpose: None,
            next: Position::GENESIS,
            upto: Position::GENESIS,
            segment: None,
            copying: None,
            refusal: None,
        }
    }

    /// The state that it is in.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// What it shows of itself.
    #[must_use]
    pub fn observed(&self) -> Observation<State> {
        self.observed.load()
    }

    /// The replica's node, once it has said who it is.
    #[must_use]
    pub fn replica(&self) -> Option<Id> {
        self.replica
    }

    /// What it came for, once it has said so.
    #[must_use]
    pub fn purpose(&self) -> Option<Purpose> {
        self.purpose
    }

    /// Everything that was asked for before this position of the log, or place in the snapshot, was handed out.
    #[must_use]
    pub fn sent(&self) -> Position {
        self.copying.as_ref().map_or(self.next, |copying| Position(copying.sent()))
    }

    /// The end of what was asked for.
    #[must_use]
    pub fn asked(&self) -> Position {
        self.copying.as_ref().map_or(self.upto, |copying| Position(copying.asked()))
    }

    /// Bytes of the snapshot that is sent.
    #[must_use]
    pub fn snapshot_bytes(&self) -> Option<u64> {
        self.copying.as_ref().map(Copying::bytes)
    }

    /// Bytes that it holds in memory.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.input.capacity() + self.output.capacity()
    }

    /// Why the replica was refused, if it was.
    #[must_use]
    pub fn refusal(&self) -> Option<&Error> {
        self.refusal.as_ref()
    }

    /// Whether there is something to be sent.
    #[must_use]
    pub fn is_due(&self, extent: &Extent) -> bool {
        let asked = matches!(self.state, State::Serving | State::Parked);
        let parked = self.state == State::Parked && planted("a parked fetch is forgotten");
        let copies = self.copying.as_ref().is_some_and(Copying::is_due);
        !self.output.is_empty() || copies || (asked && !parked && self.next < extent.durable.position)
    }

    /// Takes what has arrived. `full` says that as many replicas are served as may be.
    pub fn receive(&mut self, bytes: &[u8], extent: &Extent, full: bool) {
        let mut input = std::mem::take(&mut self.input);
        input.extend_from_slice(bytes);
        if self.state == State::AwaitingHello
            && let Some(text) = frame::text(&input)
        {
            // A client, whose language has no frame: it is told in its own.
            self.output = format!("-ERR {}\r\n", Malformed::OtherPort).into_bytes();
            return self.end(Some(Error::new(Reason::ProtocolOtherPort).with("told", text)));
        }
        let mut left = input.as_slice();
        while self.state != State::Ended {
            let taken = match Frame::decode(left) {
                Ok(Some((frame, taken))) => self.take(&frame, extent, full).map(|()| taken),
                Ok(None) => match Frame::kind_ahead(left) {
                    // What it must never send is refused before memory is taken for it.
                    Ok(Some(kind)) if !kind.is_replicas() => Err(self.unexpected(kind)),
                    Ok(_) | Err(_) => break,
                },
                Err(fault) => Err(Error::new(Reason::ProtocolMalformed).with("fault", fault)),
            };
            match taken {
                Ok(taken) => left = left.get(taken..).unwrap_or_default(),
                Err(refusal) => self.refuse(refusal, extent),
            }
        }
        if self.state != State::Ended {
            self.input = left.to_vec();
        }
    }

    /// Ends a snapshot that has gone from under it, whether or not its replica takes anything: what that pinned and where it stood is free then.
    pub fn look(&mut self, extent: &Extent) {
        if let Some(Err(gone)) = self.copying.as_ref().map(|copying| copying.check(&self.source, extent)) {
            self.refuse(gone, extent);
        }
    }

    /// The connection has ended.
    pub fn disconnected(&mut self) {
        if self.state != State::Ended {
            self.end(None);
        }
    }

    /// What is to be sent next, with at most so many bytes of log or of a snapshot; `None` if there is nothing now.
    pub fn serve(&mut self, extent: &Extent, most: usize) -> Option<Outgoing> {
        if self.output.is_empty() && self.is_due(extent) && most > 0 {
            if self.state == State::Parked {
                self.step(Event::Moved);
            }
            match self.next_frame(extent, most) {
                Ok(outgoing) => {
                    self.settle(extent);
                    return Some(outgoing);
                }
                Err(refusal) => self.refuse(refusal, extent),
            }
        }
        if self.state == State::Answering {
            self.step(Event::Served);
        }
        let bytes = std::mem::take(&mut self.output);
        (!bytes.is_empty()).then_some(Outgoing { bytes, part: None })
    }

    /// The only place where the state changes: an edge that the machine does not have is our own mistake.
    fn step(&mut self, event: Event) {
        let next = machine::next(self.state, event);
        assert!(next.is_some(), "the feeder has no edge {event} from {}", self.state);
        if let Some(next) = next {
            self.state = next;
            self.observed.transition(next, event.name(), None);
        }
    }

    fn end(&mut self, refusal: Option<Error>) {
        self.refusal = refusal;
        self.segment = None;
        self.copying = None;
        self.step(Event::Ended);
    }

    fn refuse(&mut self, refusal: Error, extent: &Extent) {
        // Retention may have dropped more since the extent was taken.
        let oldest = extent.oldest.max(self.source.oldest());
        let frame = Frame::Refuse(Refuse {
            reason: refusal.reason().number().into(),
            oldest,
            durable: extent.durable,
            text: refusal.to_string(),
        });
        frame.encode(&mut self.output);
        self.end(Some(refusal));
    }

    fn take(&mut self, frame: &Frame, extent: &Extent, full: bool) -> Result<()> {
        match (frame, self.state) {
            (Frame::Hello(hello), State::AwaitingHello) => self.hello(hello, extent, full),
            (Frame::Fetch(fetch), State::Idle | State::Serving | State::Parked) => self.fetch(*fetch, extent),
            (Frame::Snapshot(snapshot), State::AwaitingSnapshot | State::Copying | State::Pinned) => {
                self.snapshot(*snapshot, extent)
            }
            (Frame::Probe(position), State::Probing) => self.probe(*position, extent),
            (frame, _) => Err(self.unexpected(frame.kind())),
        }
    }

    fn unexpected(&self, kind: frame::Kind) -> Error {
        Error::new(Reason::ProtocolUnexpected).with("frame", kind).with("state", self.state)
    }

    /// Compares what the replica is with what this node is, in the order of the protocol (WIRE-HELLO).
    fn hello(&mut self, hello: &Hello, extent: &Extent, full: bool) -> Result<()> {
        (self.replica, self.purpose) = (Some(hello.node_id), Some(hello.purpose));
        let (lowest, highest) = hello.versions;
        if !(lowest..=highest).contains(&frame::VERSION) {
            let spoken = format_args!("{lowest} to {highest}").to_string();
            return Err(Error::new(Reason::ProtocolVersion).with("replica", spoken).with("primary", frame::VERSION));
        }
        if full {
            return Err(Error::new(Reason::ReplicationBusy).with("replicas", limits::REPLICAS_MAX));
        }
        if hello.purpose != Purpose::Introduction {
            compare(hello, self.source.identity())?;
        }
        if hello.purpose == Purpose::Follow {
            self.compare_history(hello, extent)?;
        }
        let Identity { database_id, node_id, epoch, parameters, .. } = *self.source.identity();
        let welcome = Welcome {
            version: frame::VERSION,
            database_id,
            node_id,
            epoch,
            shape: parameters.into(),
            oldest: extent.oldest,
            durable: extent.durable,
        };
        Frame::Welcome(welcome).encode(&mut self.output);
        (self.next, self.upto) = (hello.validated.position, hello.validated.position);
        self.step(match hello.purpose {
            Purpose::Follow => Event::Hello,
            Purpose::Introduction => Event::Introduction,
            Purpose::Snapshot => Event::HelloSnapshot,
            Purpose::Fork => Event::HelloFork,
        });
        Ok(())
    }

    /// Compares the replica's log with this one (R-DIVERGENCE).
    fn compare_history(&self, hello: &Hello, extent: &Extent) -> Result<()> {
        let theirs = hello.validated;
        if theirs.position > extent.durable.position && !planted("nobody compares positions") {
            return Err(Error::new(Reason::HistoryAhead).with("replica", theirs).with("primary", extent.durable));
        }
        if theirs.position < extent.oldest {
            let refusal = Error::new(Reason::HistoryRetired).with("position", theirs.position);
            return Err(refusal.with("oldest", extent.oldest));
        }
        match self.source.before(theirs.position, extent)? {
            Some(ours) if ours == (theirs.history, theirs.commit) => Ok(()),
            _ if planted("nobody compares histories") => Ok(()),
            ours => {
                let ours = ours.map_or_else(
                    || "no record begins there".to_owned(),
                    |(history, commit)| format!("history {history} commit {commit}"),
                );
                Err(Error::new(Reason::HistoryDiverged).with("replica", theirs).with("primary", ours))
            }
        }
    }

    /// Takes an allowance (WIRE-PULL).
    fn fetch(&mut self, fetch: Fetch, extent: &Extent) -> Result<()> {
        if fetch.from != self.upto {
            let refusal = Error::new(Reason::ProtocolUnexpected).with("frame", "FETCH");
            return Err(refusal.with("from", fetch.from).with("asked", self.upto));
        }
        self.upto = fetch.upto;
        self.step(Event::Fetch);
        self.settle(extent);
        Ok(())
    }

    /// Takes an allowance for a snapshot; with the first one it begins (WIRE-SNAPSHOT, SNAP-PIN).
    fn snapshot(&mut self, snapshot: frame::Snapshot, extent: &Extent) -> Result<()> {
        let unexpected = |asked: u64, bytes: Option<u64>| {
            let refusal = Error::new(Reason::ProtocolUnexpected).with("frame", "SNAPSHOT").with("from", snapshot.from);
            let refusal = refusal.with("asked", asked);
            Err(bytes.map_or(refusal.clone(), |bytes| refusal.with("bytes", bytes)))
        };
        let begun = self.copying.take();
        let begins = begun.is_none();
        let mut copying = match begun {
            Some(copying) => copying,
            None if snapshot.from != 0 => return unexpected(0, None),
            None if self.source.store().checkpoints() >= limits::SNAPSHOTS_MAX => {
                return Err(Error::new(Reason::ReplicationBusy).with("snapshots", limits::SNAPSHOTS_MAX));
            }
            None => Copying::begin(&self.source, extent)?,
        };
        if !copying.allow(snapshot) {
            return unexpected(copying.asked(), Some(copying.bytes()));
        }
        if begins {
            Frame::Manifest(copying.manifest()).encode(&mut self.output);
        }
        self.copying = Some(copying);
        self.step(Event::Snapshot);
        self.settle(extent);
        Ok(())
    }

    /// Says what stands before a position (WIRE-PROBE).
    fn probe(&mut self, position: Position, extent: &Extent) -> Result<()> {
        let before = if position > extent.durable.position {
            Before::Beyond
        } else if position < extent.oldest {
            // Known without a look at the disk: whoever asks again and again costs nobody a list of the directory (WIRE-BOUND).
            Before::Retired
        } else {
            match self.source.before(position, extent) {
                Ok(Some((history, commit))) => Before::Point(LogPoint { position, history, commit }),
                Ok(None) => Before::Nothing,
                Err(error) if error.reason() == Reason::HistoryRetired => Before::Retired,
                Err(error) => return Err(error),
            }
        };
        Frame::Point(position, before).encode(&mut self.output);
        self.step(Event::Probe);
        Ok(())
    }

    /// Notes that nothing is left to be served now, if that is so.
    fn settle(&mut self, extent: &Extent) {
        if let Some(copying) = self.copying.as_ref().filter(|copying| !copying.is_due()) {
            if copying.is_complete() {
                // Nothing may be asked for any more: nothing is pinned any more.
                self.copying = None;
                self.step(Event::Complete);
            } else {
                self.step(Event::Served);
            }
        }
        if self.state != State::Serving {
            return;
        }
        // Who holds a file keeps its space from being free when retention removes it: only what is read next is held.
        if self.next >= self.upto {
            self.step(Event::Served);
            self.segment = None;
        } else if self.next >= extent.durable.position {
            self.step(Event::End);
            self.segment.take_if(|segment| !segment.is_newest(extent));
        }
    }

    fn next_frame(&mut self, extent: &Extent, most: usize) -> Result<Outgoing> {
        match &mut self.copying {
            Some(copying) => Ok(Outgoing { bytes: copying.chunk(&self.source, extent, most)?, part: None }),
            None => self.segment_frame(extent, most),
        }
    }

    /// The next frame of log: durable bytes of one segment, as they stand in its file (WIRE-DURABLE, WIRE-RAW).
    fn segment_frame(&mut self, extent: &Extent, log_bytes: usize) -> Result<Outgoing> {
        let from = self.next;
        let mut segment = match self.segment.take() {
            None => self.source.segment_at(from, extent)?,
            Some(mut read) => match read.end(extent)? {
                Some(end) if end == from => self.source.segment_at(end, extent)?,
                _ => read,
            },
        };
        let end = segment.end(extent)?;
        if end.is_some_and(|end| end <= from) {
            return Err(segment.truncated(from));
        }
        let (file, offset) = segment.place(from);
        let sends_itself = file.descriptor().is_some();
        let most = if sends_itself {
            limits::SEGMENT_FRAME_BYTES_MAX
        } else {
            limits::REPLICA_OUTPUT_BYTES - SEGMENT_HEAD_BYTES
        };
        let end_of_file = if planted("a frame runs over the end of a segment") { None } else { end };
        let until = self.upto.min(extent.durable.position).min(end_of_file.unwrap_or(Position(u64::MAX)));
        let bytes = usize::try_from(until.since(from)).unwrap_or(usize::MAX).min(most).min(log_bytes);
        let after = from.after(bytes as u64);
        let mut outgoing = Outgoing::default();
        let head = frame::Segment {
            from,
            bytes,
            ends_segment: end == Some(after) && !planted("nobody says where a segment ends"),
            durable: extent.durable,
        };
        Frame::Segment(head).encode(&mut outgoing.bytes);
        if sends_itself && bytes >= COPIED_BYTES {
            outgoing.part = Some(Part { file: Arc::clone(file), offset, bytes });
        } else {
            let head_bytes = outgoing.bytes.len();
            outgoing.bytes.resize(head_bytes + bytes, 0);
            if file.read_at(offset, &mut outgoing.bytes[head_bytes..])? < bytes {
                return Err(segment.truncated(from));
            }
        }
        self.segment = Some(segment);
        self.next = after;
        Ok(outgoing)
    }
}

/// Compares whose log the replica follows with whose this is.
fn compare(hello: &Hello, ours: &Identity) -> Result<()> {
    let differ = |reason, theirs: String, ours: String| {
        if theirs == ours { Ok(()) } else { Err(Error::new(reason).with("replica", theirs).with("primary", ours)) }
    };
    let ids = (hello.database_id.to_string(), ours.database_id.to_string());
    differ(Reason::IdentityOtherDatabase, ids.0, ids.1)?;
    differ(Reason::IdentityOtherEpoch, hello.epoch.to_string(), ours.epoch.to_string())?;
    let shown = |shape: Shape| format!("{shape:?}");
    differ(Reason::IdentityOtherParameters, shown(hello.shape), shown(ours.parameters.into()))
}
