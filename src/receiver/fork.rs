//! Where a log that is not the primary's parts from it (R-DIVERGENCE, WIRE-PROBE).
//!
//! ```text
//! HELLO for a fork ─► WELCOME ─► PROBE, POINT: does the log part before my end? ─► which of my segments? ─► which of its records? ─► asked again
//! ```
//!
//! A question beside the replication that has ended: the replica has halted already, nothing waits for the answer, and it changes nothing but
//! what the halt says. Equal position and history are equal logs up to there, so the places where records begin here are bisected.
//!
//! Assumes that the log does not change any more. Promises: a primary is asked a logarithm of the records, and one question at a time; what it
//! answers is bounded, and refused where it contradicts itself; it ends when it is told to, wherever the primary leaves it. What it finds is
//! what the primary says: who lies about its log is believed here as far as it lies consistently, because nothing is decided by it.

use crate::codec;
use crate::error::{Error, Result};
use crate::frame::{self, Before, Frame, Hello, Purpose, Refuse, Shape, Welcome};
use crate::identity::Identity;
use crate::limits;
use crate::position::{LogPoint, Position};
use crate::published::Fact;
use crate::reason::Reason;
use crate::wal::{LogHeaders, LogOptions, segment_start, segments_before};
use crate::wire::link::Link;
use std::fmt;
use std::io;

/// Places of records that are held at once: of more every second one, every fourth, and so on.
const PLACES_MAX: usize = 4096;
/// Records of the log here that are passed before it looks whether it is to end.
const LOOKED_RECORDS: u64 = 4096;
/// No frame that may come is longer.
const FRAME_BYTES_MAX: usize = limits::REFUSAL_BYTES_MAX + 256;
/// Most bytes of the words that say why it is not known where the logs part.
const CAUSE_BYTES_MAX: usize = 512;

/// The log of a replica that has halted.
#[derive(Clone)]
pub struct Own {
    /// Whose it is.
    pub identity: Identity,
    /// Its files.
    pub log: LogOptions,
    /// Where it ends: all before is proven.
    pub end: LogPoint,
}

/// Where two logs part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fork {
    /// The last point that both have: there begins the first record that differs.
    pub common: LogPoint,
    /// This log behind that record.
    pub here: LogPoint,
    /// What the primary has where it ends here.
    pub there: Before,
}

impl fmt::Display for Fork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fork { common, here, there } = self;
        let LogPoint { position, history, commit } = common;
        write!(f, "fork_position={position}, fork_commit={commit}, fork_history={history}, ")?;
        write!(f, "behind_position={}, history_here={}, history_there=", here.position, here.history)?;
        match there {
            Before::Point(point) => write!(f, "{}", point.history),
            Before::Nothing | Before::Retired | Before::Beyond => f.write_str("none"),
        }
    }
}

/// What is said of an answer, or of why there is none.
#[must_use]
pub fn words(found: &Result<Fork>) -> String {
    match found {
        Ok(fork) => fork.to_string(),
        Err(cause) => format!("fork=unknown, fork_cause={}", codec::shortened(&cause.to_string(), CAUSE_BYTES_MAX)),
    }
}

/// Asks the primary at the other end of a link, until it is known or `stop` is set and the link woken.
///
/// # Errors
/// `replication.unreachable`, `replication.disconnected`; what the primary refuses with; `protocol.*` where its answers are none, or contradict
/// one another; `history.retired` where the logs part before what both still hold; `replication.stopped`; what does not verify here.
pub fn find(own: &Own, link: &mut impl Link, stop: &Fact<bool>) -> Result<Fork> {
    let mut asking =
        Asking { own, link, stop, came: Vec::new(), oldest: Position::GENESIS, durable: LogPoint::default() };
    let found = asking.begin().and_then(|()| asking.bisect());
    asking.link.close();
    found
}

/// A conversation about a fork.
struct Asking<'a, L> {
    own: &'a Own,
    link: &'a mut L,
    stop: &'a Fact<bool>,
    came: Vec<u8>,
    /// What the primary holds, as it said at the beginning.
    oldest: Position,
    durable: LogPoint,
}

impl<L: Link> Asking<'_, L> {
    fn begin(&mut self) -> Result<()> {
        let unreachable = |error: io::Error| Error::new(Reason::ReplicationUnreachable).with("error", error);
        self.link.connect().map_err(unreachable)?;
        while !self.link.is_connected().map_err(unreachable)? {
            self.sleep()?;
        }
        let Identity { database_id, node_id, epoch, parameters, .. } = self.own.identity;
        let (versions, shape) = ((frame::VERSION, frame::VERSION), Shape::from(parameters));
        let (purpose, validated) = (Purpose::Fork, self.own.end);
        self.send(&Frame::Hello(Hello { versions, purpose, database_id, node_id, epoch, shape, validated }))?;
        let frame = self.frame()?;
        let Frame::Welcome(Welcome { version, database_id: theirs, epoch: line, oldest, durable, .. }) = frame else {
            return Err(unexpected(&frame));
        };
        if (version, theirs, line) != (frame::VERSION, database_id, epoch) {
            return Err(contradicts("another database"));
        }
        (self.oldest, self.durable) = (oldest, durable);
        Ok(())
    }

    fn bisect(&mut self) -> Result<Fork> {
        let Own { log, end, .. } = self.own;
        if self.has(*end)? {
            return Err(contradicts("the log does not part before its end here"));
        }
        let mut segments = segments_before(log, end.position)?;
        segments.retain(|first| *first >= self.oldest);
        let starts: Vec<LogPoint> =
            segments.into_iter().map(|first| segment_start(log, first)).collect::<Result<_>>()?;
        let common = self.count_common(&starts)?;
        let Some(mut low) = common.checked_sub(1).and_then(|last| starts.get(last)).copied() else {
            return Err(before_all(starts.first().copied().unwrap_or(*end)));
        };
        let mut high = starts.get(common).copied().unwrap_or(*end);
        loop {
            let (places, all) = self.places(low, high)?;
            let common = self.count_common(&places)?;
            low = common.checked_sub(1).and_then(|last| places.get(last)).copied().unwrap_or(low);
            high = places.get(common).copied().unwrap_or(high);
            if all {
                break;
            }
        }
        // Whoever does not say the same twice is not believed.
        let there = self.ask(high.position)?;
        if !self.has(low)? || there == Before::Point(high) {
            return Err(contradicts("it answers otherwise when it is asked again"));
        }
        Ok(Fork { common: low, here: high, there })
    }

    /// How many of these, which are in order, the primary has: those before the fork.
    fn count_common(&mut self, places: &[LogPoint]) -> Result<usize> {
        let (mut common, mut unknown) = (0, places);
        while let Some((before, [middle, behind @ ..])) = unknown.split_at_checked(unknown.len() / 2) {
            if self.has(*middle)? {
                common += before.len() + 1;
                unknown = behind;
            } else {
                unknown = before;
            }
        }
        Ok(common)
    }

    /// Where records begin between two points here; whether these are all.
    fn places(&self, low: LogPoint, high: LogPoint) -> Result<(Vec<LogPoint>, bool)> {
        let Own { log, end, .. } = self.own;
        let no_record = || Error::new(Reason::WalCorrupt).with("position", low.position);
        let mut headers = LogHeaders::open(log, low.position, *end)?.ok_or_else(no_record)?;
        let (mut places, mut each, mut passed) = (Vec::new(), 1_u64, 0_u64);
        while let Some((_, after)) = headers.next_header()?.filter(|(_, after)| after.position < high.position) {
            passed += 1;
            if passed.is_multiple_of(LOOKED_RECORDS) && self.stop.get() {
                return Err(Error::new(Reason::ReplicationStopped).with("error", "asked to end"));
            }
            if passed.is_multiple_of(each) {
                places.push(after);
            }
            if places.len() == PLACES_MAX {
                let mut drops = false;
                places.retain(|_| {
                    drops = !drops;
                    !drops
                });
                each *= 2;
            }
        }
        Ok((places, each == 1))
    }

    /// Whether the primary has the same log up to here.
    fn has(&mut self, point: LogPoint) -> Result<bool> {
        match self.ask(point.position)? {
            Before::Point(theirs) if theirs.history == point.history && theirs.commit != point.commit => {
                Err(contradicts("one history at two commits").with("here", point).with("primary", theirs))
            }
            Before::Point(theirs) => Ok(theirs == point),
            Before::Nothing | Before::Beyond => Ok(false),
            Before::Retired => Err(Error::new(Reason::HistoryRetired).with("position", point.position)),
        }
    }

    fn ask(&mut self, position: Position) -> Result<Before> {
        self.send(&Frame::Probe(position))?;
        let frame = self.frame()?;
        let Frame::Point(at, before) = frame else { return Err(unexpected(&frame)) };
        if at != position {
            return Err(contradicts("an answer to another question").with("asked", position).with("told", at));
        }
        let reaches = position <= self.durable.position;
        let (wrong_end, too_short) = match before {
            Before::Point(point) => (position == self.durable.position && point != self.durable, false),
            Before::Nothing => (position == self.durable.position, false),
            Before::Beyond => (false, reaches),
            Before::Retired => (false, false),
        };
        if wrong_end || too_short {
            return Err(contradicts("it named another end").with("asked", position).with("durable", self.durable));
        }
        Ok(before)
    }

    fn send(&mut self, frame: &Frame) -> Result<()> {
        let mut unsent = Vec::new();
        frame.encode(&mut unsent);
        while !unsent.is_empty() {
            match self.link.write(&unsent).map_err(|error| lost(&error))? {
                Some(count) => drop(unsent.drain(..count)),
                None => self.sleep()?,
            }
        }
        Ok(())
    }

    /// The next frame; a refusal is an error.
    fn frame(&mut self) -> Result<Frame> {
        let mut buffer = [0; 1024];
        loop {
            let malformed = |fault| Error::new(Reason::ProtocolMalformed).with("fault", fault);
            if let Some((frame, taken)) = Frame::decode(&self.came).map_err(malformed)? {
                self.came.drain(..taken);
                return if let Frame::Refuse(refuse) = frame { Err(refused(&refuse)) } else { Ok(frame) };
            }
            if self.came.len() > FRAME_BYTES_MAX {
                return Err(contradicts("a frame that is too long"));
            }
            match self.link.read(&mut buffer).map_err(|error| lost(&error))? {
                Some(0) => return Err(lost(&"the primary ended it")),
                Some(count) => self.came.extend_from_slice(buffer.get(..count).unwrap_or_default()),
                None => self.sleep()?,
            }
        }
    }

    fn sleep(&mut self) -> Result<()> {
        let stopped = |error: &dyn fmt::Display| Error::new(Reason::ReplicationStopped).with("error", error);
        if !self.stop.get() {
            self.link.sleep(None).map_err(|error| stopped(&error))?;
        }
        if self.stop.get() { Err(stopped(&"asked to end")) } else { Ok(()) }
    }
}

fn before_all(oldest: LogPoint) -> Error {
    if oldest.position == Position::GENESIS {
        return contradicts("a log of this database that begins otherwise");
    }
    Error::new(Reason::HistoryRetired).with("part_before", oldest)
}

fn contradicts(what: &str) -> Error {
    Error::new(Reason::ProtocolUnexpected).with("contradicts", what)
}

fn unexpected(frame: &Frame) -> Error {
    Error::new(Reason::ProtocolUnexpected).with("frame", frame.kind())
}

fn refused(refuse: &Refuse) -> Error {
    let known = Reason::ALL.iter().find(|reason| u16::from(reason.number()) == refuse.reason);
    Error::new(known.copied().unwrap_or(Reason::ProtocolUnexpected)).with("told", &refuse.text)
}

fn lost(error: &dyn fmt::Display) -> Error {
    Error::new(Reason::ReplicationDisconnected).with("error", error)
}

#[cfg(test)]
mod tests;
