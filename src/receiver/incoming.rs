//! Putting frames together from what a socket gives, without copying log bytes.
//!
//! Heads are read into a small buffer, and with them whatever small frames came along. The log bytes of a large SEGMENT are read straight
//! into the buffer that goes to the Validator, and with them the head of the next frame.

use crate::error::{Error, Result};
use crate::frame::{self, Frame, Kind, SEGMENT_HEAD_BYTES, Segment};
use crate::reason::Reason;

/// More than the longest frame without log bytes.
const HEAD_BYTES: usize = 8 * 1024;

/// A frame that has come whole.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// Any but a SEGMENT.
    Frame(Frame),
    /// A SEGMENT with its log bytes.
    Log(Segment, Vec<u8>),
}

/// A frame that is coming.
pub(super) struct Incoming {
    head: Vec<u8>,
    /// Of the head, what has been taken as frames.
    head_taken: usize,
    head_filled: usize,
    /// A SEGMENT whose log bytes are coming, with room behind them for the next head.
    log: Option<(Segment, Vec<u8>, usize)>,
}

impl Default for Incoming {
    fn default() -> Incoming {
        Incoming { head: vec![0; HEAD_BYTES], head_taken: 0, head_filled: 0, log: None }
    }
}

impl Incoming {
    /// Where the next bytes of the connection go.
    pub(super) fn space(&mut self) -> &mut [u8] {
        match &mut self.log {
            Some((_, bytes, filled)) => &mut bytes[*filled..],
            None => &mut self.head[self.head_filled..],
        }
    }

    /// What the other side says, once so many bytes have been put there, if it is text and nothing came before.
    pub(super) fn text(&self, count: usize) -> Option<String> {
        frame::text(&self.head[..self.head_filled + count])
    }

    /// So many bytes have been put there.
    pub(super) fn filled(&mut self, count: usize) {
        match &mut self.log {
            Some((_, _, filled)) => *filled += count,
            None => self.head_filled += count,
        }
    }

    /// The next frame that has come whole; to be asked until there is none. `check` sees each SEGMENT before memory is taken for its log bytes.
    ///
    /// # Errors
    /// `protocol.malformed`, `protocol.unexpected`; those of `check`.
    pub(super) fn next(&mut self, check: impl FnOnce(&Segment) -> Result<()>) -> Result<Option<Came>> {
        if self.log.as_ref().is_some_and(|(segment, _, filled)| *filled < segment.bytes) {
            return Ok(None);
        }
        if let Some((segment, mut bytes, filled)) = self.log.take() {
            let next = &bytes[segment.bytes..filled];
            self.head[..next.len()].copy_from_slice(next);
            (self.head_taken, self.head_filled) = (0, next.len());
            bytes.truncate(segment.bytes);
            return Ok(Some(Came::Log(segment, bytes)));
        }
        let malformed = |fault| Error::new(Reason::ProtocolMalformed).with("fault", fault);
        let here = &self.head[self.head_taken..self.head_filled];
        let Some((frame, taken)) = Frame::decode(here).map_err(malformed)? else {
            // What is not for who follows a log is not waited for: it may be longer than what it goes into.
            if let Some(kind) = Frame::kind_ahead(here).map_err(malformed)?
                && !matches!(kind, Kind::Welcome | Kind::Refuse | Kind::Segment)
            {
                return Err(Error::new(Reason::ProtocolUnexpected).with("frame", kind));
            }
            self.head.copy_within(self.head_taken..self.head_filled, 0);
            self.head_filled -= self.head_taken;
            self.head_taken = 0;
            return Ok(None);
        };
        self.head_taken += taken;
        let Frame::Segment(segment) = frame else { return Ok(Some(Came::Frame(frame))) };
        check(&segment)?;
        let here = &self.head[self.head_taken..self.head_filled];
        let here = &here[..here.len().min(segment.bytes)];
        self.head_taken += here.len();
        if here.len() == segment.bytes {
            return Ok(Some(Came::Log(segment, here.to_vec())));
        }
        let mut bytes = vec![0; segment.bytes + SEGMENT_HEAD_BYTES];
        bytes[..here.len()].copy_from_slice(here);
        self.log = Some((segment, bytes, here.len()));
        (self.head_taken, self.head_filled) = (0, 0);
        Ok(None)
    }
}
