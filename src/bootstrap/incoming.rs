//! Putting frames together from what a socket gives.
//!
//! One buffer, in which the frames at the front are taken where they lie. It holds a CHUNK and whatever small frames came along, and grows
//! only as the bytes of a long manifest come, up to the longest that there may be: no length is believed before its bytes are here.

use crate::error::{Error, Result};
use crate::frame::{self, Frame, HEADER_BYTES, Kind};
use crate::limits;
use crate::reason::Reason;

/// Room for one CHUNK, and for another to begin behind it.
const BYTES: usize = 2 * (frame::CHUNK_HEAD_BYTES + limits::CHUNK_BYTES_MAX);
/// The longest frame that is taken.
const BYTES_MAX: usize = HEADER_BYTES + 64 + limits::MANIFEST_BYTES_MAX;

/// What has come and was not taken yet.
#[derive(Default)]
pub(super) struct Incoming {
    buffer: Vec<u8>,
    filled: usize,
    taken: usize,
}

impl Incoming {
    /// Where the next bytes of the connection go. There is always room: no frame that is waited for is longer than the buffer may become.
    pub(super) fn space(&mut self) -> &mut [u8] {
        self.buffer.copy_within(self.taken..self.filled, 0);
        self.filled -= self.taken;
        self.taken = 0;
        if self.filled == self.buffer.len() {
            self.buffer.resize((self.filled * 2).clamp(BYTES, BYTES_MAX), 0);
        }
        &mut self.buffer[self.filled..]
    }

    /// So many bytes have been put there.
    pub(super) fn filled(&mut self, count: usize) {
        self.filled += count;
    }

    /// What the other side says, if that is text.
    pub(super) fn text(&self) -> Option<String> {
        frame::text(self.buffer.get(self.taken..self.filled).unwrap_or_default())
    }

    /// The frame at the front, once it is here as a whole, and the bytes of the snapshot behind it if it is a CHUNK. What is not of these
    /// kinds is not waited for.
    ///
    /// # Errors
    /// `protocol.malformed`, `protocol.unexpected`.
    pub(super) fn next(&mut self, expected: &[Kind]) -> Result<Option<(Frame, &[u8])>> {
        let malformed = |fault| Error::new(Reason::ProtocolMalformed).with("fault", fault);
        let here = &self.buffer[self.taken..self.filled];
        match Frame::kind_ahead(here).map_err(malformed)? {
            Some(kind) if !expected.contains(&kind) => {
                return Err(Error::new(Reason::ProtocolUnexpected).with("frame", kind));
            }
            Some(_) => {}
            None => return Ok(None),
        }
        let Some((frame, fields)) = Frame::decode(here).map_err(malformed)? else { return Ok(None) };
        let bytes = if let Frame::Chunk(chunk) = &frame { chunk.bytes } else { 0 };
        let Some(bytes) = here.get(fields..fields + bytes) else { return Ok(None) };
        self.taken += fields + bytes.len();
        Ok(Some((frame, bytes)))
    }
}
