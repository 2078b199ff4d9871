//! The Validator without its thread: a chunk in, proven records out.
//!
//! Assumes that chunks come in order, without a gap, or begin again at the proven point: the Receiver has seen to that, and it is asserted here. Promises: what it hands on
//! continues, byte for byte, what it handed on before.

use super::machine::{self, Event, State};
use crate::chunk::{Chunk, Proven, Validated};
use crate::error::{Error, Result};
use crate::observed::Observed;
use crate::position::{LogPoint, Position};
use crate::published::Fact;
use crate::reason::Reason;
use crate::record::{self, Fault, HEADER_BYTES, Header, Kind};
use crate::sync::{Arc, planted};

/// The core of the Validator.
pub struct Validator {
    /// What was proven.
    point: LogPoint,
    /// The record that stands there, as far as it has come.
    part: Vec<u8>,
    state: State,
    observed: Arc<Observed<State>>,
    validated: Arc<Fact<Validated>>,
}

impl Validator {
    /// A Validator that goes on where the proven log ends.
    #[must_use]
    pub fn new(point: LogPoint) -> Validator {
        Validator {
            point,
            part: Vec::new(),
            state: State::Waiting,
            observed: Arc::new(Observed::new("validator", State::Waiting)),
            validated: Arc::new(Fact::new(Validated { point, seen: point.position, wanted: point.position })),
        }
    }

    /// Where it shows its state.
    #[must_use]
    pub fn observed(&self) -> Arc<Observed<State>> {
        Arc::clone(&self.observed)
    }

    /// Where it shows how far it has come.
    #[must_use]
    pub fn validated(&self) -> Arc<Fact<Validated>> {
        Arc::clone(&self.validated)
    }

    /// The only place where the state changes: an edge that the machine does not have is our own mistake.
    fn step(&mut self, event: Event, blocked: Option<String>) {
        let next = machine::next(self.state, event);
        assert!(next.is_some(), "the validator has no edge {event} from {}", self.state);
        if let Some(next) = next {
            self.state = next;
            self.observed.transition(next, event.name(), blocked);
        }
    }

    /// Proves a chunk; what is proven of it goes to `out`, also where something behind that is not.
    ///
    /// # Errors
    /// `segment.rejected`, with the position, the fault and what was expected; nothing is proven any more after it.
    pub fn prove(&mut self, chunk: Chunk, out: &mut Vec<Proven>) -> Result<()> {
        if chunk.from < self.seen() && !planted("a part of a record is kept when it was dropped") {
            self.part = Vec::new();
        }
        assert_eq!(chunk.from, self.seen(), "chunks come in order, without a gap");
        self.step(Event::Chunk, None);
        let proven = self.prove_chunk(chunk, out);
        self.validated.set(Validated { point: self.point, seen: self.seen(), wanted: self.wanted() });
        match &proven {
            Ok(()) => self.step(Event::Proven, None),
            Err(rejected) => self.step(Event::Rejected, Some(rejected.to_string())),
        }
        proven
    }

    /// Ends: nothing more will come.
    pub fn close(&mut self) {
        self.step(Event::Close, None);
    }

    fn seen(&self) -> Position {
        self.point.position.after(self.part.len() as u64)
    }

    fn wanted(&self) -> Position {
        let header = Header::decode(&self.part);
        header.map_or(self.point.position, |header| self.point.position.after(header.record_len() as u64))
    }

    fn prove_chunk(&mut self, chunk: Chunk, out: &mut Vec<Proven>) -> Result<()> {
        let Chunk { bytes, ends_segment, .. } = chunk;
        let mut at = 0;
        let mut sealed = false;
        if !self.part.is_empty() {
            at = self.complete_part(&bytes)?;
            let before = self.point;
            let Some((after, seal)) = self.prove_record(&self.part)? else {
                return if ends_segment { Err(self.rejected(Fault::Incomplete)) } else { Ok(()) };
            };
            self.check_boundary(seal, ends_segment && at == bytes.len())?;
            let record = std::mem::take(&mut self.part);
            let whole = 0..record.len();
            out.push(Proven::new(record, whole, before, after));
            (self.point, sealed) = (after, seal);
        }
        let (start, begin) = (at, self.point);
        let mut verdict = Ok(());
        while at < bytes.len() {
            let proven = self.prove_record(&bytes[at..]).and_then(|proven| {
                let Some((after, seal)) = proven else { return Ok(None) };
                let next = at + after.position.since(self.point.position) as usize;
                self.check_boundary(seal, ends_segment && next == bytes.len())?;
                Ok(Some((after, seal, next)))
            });
            match proven {
                Ok(Some((after, seal, next))) => (self.point, sealed, at) = (after, seal, next),
                Ok(None) => break,
                Err(rejected) => {
                    verdict = Err(rejected);
                    break;
                }
            }
        }
        let left = bytes.len() - at;
        if verdict.is_ok() && !planted("the part of a record is dropped") {
            self.part.extend_from_slice(&bytes[at..]);
        }
        if at > start {
            out.push(Proven::new(bytes, start..at, begin, self.point));
        }
        match verdict {
            Ok(()) if ends_segment && (left > 0 || !sealed) => Err(self.rejected(Fault::Incomplete)),
            verdict => verdict,
        }
    }

    /// Adds to the part what it lacks, and says how many of the bytes that were.
    fn complete_part(&mut self, bytes: &[u8]) -> Result<usize> {
        let mut taken = 0;
        for lacks in [|_: &[u8]| Ok(HEADER_BYTES), |part: &[u8]| Header::decode(part).map(|header| header.record_len())]
        {
            let lacking = lacks(&self.part).map_err(|fault| self.rejected(fault))?.saturating_sub(self.part.len());
            let more = lacking.min(bytes.len() - taken);
            self.part.extend_from_slice(&bytes[taken..taken + more]);
            taken += more;
            if more < lacking {
                break;
            }
        }
        Ok(taken)
    }

    /// Proves the record at the front of some bytes: the log after it, and whether it is a `Seal`; `None` where more must come.
    fn prove_record(&self, bytes: &[u8]) -> Result<Option<(LogPoint, bool)>> {
        match record::prove(bytes, self.point) {
            Ok(record) => Ok(Some((record.after, record.content.kind() == Kind::Seal))),
            Err(Fault::Incomplete) => Ok(None),
            Err(fault) => Err(self.rejected(fault)),
        }
    }

    /// A `Seal` stands where the primary said that a segment ends, and nowhere else. Asked before the record counts as proven: where it does not
    /// hold, nothing may be built on it, and no segment begins there (REPL-SEGMENT).
    fn check_boundary(&self, sealed: bool, ends: bool) -> Result<()> {
        if sealed == ends || planted("a segment ends where the primary says") {
            return Ok(());
        }
        let (expected, found) = if ends { ("a Seal", "another record") } else { ("no Seal", "a Seal") };
        let LogPoint { position, commit, .. } = self.point;
        let rejected = Error::new(Reason::SegmentRejected).with("position", position).with("fault", "boundary");
        Err(rejected.with("expected", expected).with("found", found).with("commit", commit))
    }

    fn rejected(&self, fault: Fault) -> Error {
        let LogPoint { position, history, commit } = self.point;
        let rejected = Error::new(Reason::SegmentRejected).with("position", position).with("fault", fault);
        rejected.with("history", history).with("commit", commit)
    }
}

#[cfg(test)]
mod tests;
