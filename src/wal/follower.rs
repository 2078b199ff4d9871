//! The log of a replica: bytes as they are received, durable first and proven later (F-R1, F-R2).
//!
//! ```text
//! write, write, write …   received bytes go to the newest segment, behind those before; nothing is durable
//! sync                    one fdatasync for all of them, then the mark, without an fsync: they are received
//! prove                   the Validator's word: up to here they are log
//! roll                    what is proven ends with a Seal: the file is cut, the next one begins
//! ```
//!
//! Laws, asserted where the positions move: `mark.durable ≤ validated ≤ received ≤ written` (REPL-POSITIONS). Bytes are in the file before
//! they are counted, and proven before the mark covers them, so whatever the mark covers must prove itself after any crash, and what
//! lies above it is proven or dropped at a restart (`open.rs`).
//!
//! A segment ends where the log says so, never by a length of this node's. The next one begins with a header made of the proven point, by the
//! code of the writer (REPL-SEGMENT): sealed segments are the primary's, byte for byte (P5-I4).
//!
//! Blank space is for speed alone here. Log that trickles in finds it ahead, so that its fdatasync needs no metadata; log that comes in
//! bulk makes the file grow, so that no byte is written twice.
//!
//! The first failed write or fsync poisons the log for good (D-FSYNC, F-D2): every later call is refused with the failure as evidence.
//!
//! Owned by one thread: the Receiver. It knows positions and no records: that the last proven record is a `Seal` is for its caller to know.

use super::mark::Mark;
use super::segment::offset;
use super::writer::LogWriter;
use crate::error::{Error, Result};
use crate::position::{LogPoint, Position};

/// What arrived between two syncs is a trickle if it is shorter than this part of a stretch.
const TRICKLE_PER_STRETCH: u64 = 4;

/// The log of a replica.
pub struct FollowedLog {
    /// Its `appended` is the validated point: further the mark can't go.
    log: LogWriter,
    received: Position,
    written: Position,
}

impl FollowedLog {
    /// Goes on with a log that was opened for a follower: all of it is proven.
    #[must_use]
    pub fn new(log: LogWriter) -> FollowedLog {
        let end = log.appended();
        assert_eq!(log.durable(), end, "an opened log is durable");
        FollowedLog { log, received: end.position, written: end.position }
    }

    /// Everything before it is in the files, fsynced.
    #[must_use]
    pub fn received(&self) -> Position {
        self.received
    }

    /// Everything before it is in the files, perhaps not fsynced.
    #[must_use]
    pub fn written(&self) -> Position {
        self.written
    }

    /// Everything before it is proven, as last told.
    #[must_use]
    pub fn validated(&self) -> LogPoint {
        self.log.appended()
    }

    /// The oldest position that is kept.
    #[must_use]
    pub fn oldest(&self) -> Position {
        self.log.oldest()
    }

    /// The failure that ended writing, if one did.
    #[must_use]
    pub fn fault(&self) -> Option<&Error> {
        self.log.fault()
    }

    /// Writes the next bytes of the log behind those before, all of one segment. They are durable with the next `sync`.
    ///
    /// # Errors
    /// Those of the disk; after the first, `replication.stopped`.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.log.refuse_if_stopped()?;
        let at = offset(self.log.mark.segment, self.written);
        let outcome = self.log.segment.write_at(at, bytes);
        self.log.keep_fault(outcome)?;
        self.written = self.written.after(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        Ok(())
    }

    /// Makes all that was written durable, with one fdatasync, and then has the mark say what is proven. Returns the received position.
    ///
    /// # Errors
    /// Those of the disk; after the first, `replication.stopped`. What was written may or may not be there after a restart.
    pub fn sync(&mut self) -> Result<Position> {
        self.log.refuse_if_stopped()?;
        let outcome = self.sync_written();
        self.log.keep_fault(outcome)?;
        Ok(self.received)
    }

    /// The Validator has proven everything before this point.
    pub fn prove(&mut self, point: LogPoint) {
        let validated = self.validated();
        assert!(validated.position <= point.position, "{validated} was proven, and now {point}");
        assert!(validated.position < point.position || validated == point, "{point} is not the proven {validated}");
        assert!(point.position <= self.received, "{point} was proven before it was received");
        self.log.appended = point;
    }

    /// Ends the segment, whose last record is a `Seal`, and begins the next one behind the proven point.
    ///
    /// # Errors
    /// Those of the disk; after the first, `replication.stopped`.
    pub fn roll(&mut self) -> Result<()> {
        self.log.refuse_if_stopped()?;
        assert_eq!(self.written, self.received, "a segment ends where everything is durable");
        assert_eq!(self.received, self.validated().position, "a segment ends where everything is proven");
        assert!(self.log.mark.segment < self.received, "a segment holds a record");
        let outcome = self.mark_proven(self.log.mark.allocated).and_then(|()| self.log.roll());
        self.log.keep_fault(outcome)
    }

    /// Removes sealed segments that end at or before `keep_from`, oldest first, and at most so many; says whether there are more.
    ///
    /// # Errors
    /// Those of the disk; after the first, `replication.stopped`.
    pub fn retire(&mut self, keep_from: Position, most: usize) -> Result<bool> {
        self.log.retire(keep_from, most)
    }

    /// Makes everything durable that was written, and the mark, so that even a power cut leaves it exact.
    ///
    /// # Errors
    /// Those of the disk; after the first, `replication.stopped`.
    pub fn close(&mut self) -> Result<()> {
        self.sync()?;
        self.log.sync_mark()
    }

    fn sync_written(&mut self) -> Result<()> {
        let mut allocated = self.log.mark.allocated;
        if self.written > self.received {
            if self.written > allocated {
                allocated = self.space_behind_written();
                self.log.blank(self.written, allocated)?;
            }
            self.log.segment.sync_data()?;
            self.received = self.written;
        }
        self.mark_proven(allocated)
    }

    /// How far the newest segment is to be filled: to the end of the stretch where log trickles, no further than the log where it comes in
    /// bulk.
    fn space_behind_written(&self) -> Position {
        let trickle = self.log.options.extend_bytes.checked_div(TRICKLE_PER_STRETCH).unwrap_or(0);
        if self.written.since(self.received) < trickle { self.log.stretch(self.written) } else { self.written }
    }

    /// Has the mark say what is proven, and how far the newest segment is durably filled.
    fn mark_proven(&mut self, allocated: Position) -> Result<()> {
        assert!(self.validated().position <= self.received, "the mark is never ahead of what was received");
        let mark = Mark { allocated, durable: self.validated(), ..self.log.mark };
        if mark == self.log.mark { Ok(()) } else { self.log.write_mark(mark) }
    }
}
