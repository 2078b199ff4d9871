//! The writer of the log: groups of records, one append and one fsync each.
//!
//! ```text
//! push, push, push …      records are encoded into a buffer; nothing is written
//! sync                    one write, one fdatasync, one write of the mark: what was pushed is durable
//! ```
//!
//! Laws, asserted where the positions move: `durable ≤ appended`; the mark is never ahead of `durable`; nothing is written
//! beyond `mark.allocated`.
//!
//! The newest segment is blanked ahead of its records, so that the fdatasync of a group finds its blocks allocated and its length
//! settled. The blank of the next stretch is written with a group and made durable by the same fdatasync; only then does the
//! mark name it, and only then is it used.
//!
//! The first failed write or fsync poisons the writer for good (D-FSYNC): every later call is refused with the failure as
//! evidence. The log is a function of the records alone: how they were grouped leaves no trace (R-DETERMINISM).
//!
//! Owned by one thread: the committer. On a replica it is what `open` returns, and what `FollowedLog` writes through.

use super::blank;
use super::mark::{MARK_FILE, Mark};
use super::segment::{self, Lineage, offset};
use crate::disk::{Disk, File, SECTOR};
use crate::error::{Error, Result};
use crate::position::{LogPoint, Position};
use crate::reason::Reason;
use crate::record::{self, Kind, SEAL_BYTES};
use crate::sync::{Arc, planted};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};

/// The buffer is given back to the allocator once a group needed more than this.
const BUFFER_KEPT_BYTES: usize = 16 * 1024 * 1024;

/// Who writes a log, and with it what may stand above its mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeper {
    /// A writer: records of its own, one group at a time. Above the mark stands at most one group that was never acknowledged; what does
    /// not verify there is a torn tail or corruption, and the two are told apart (D-TAIL).
    Writer,
    /// A follower: bytes that it received, as many as arrived. Above the mark stands what a restart proves, or drops whatever it is (F-R2).
    Follower,
}

impl Keeper {
    /// What a log of this keeper refuses with once a write of it has failed.
    fn stopped(self) -> Reason {
        match self {
            Keeper::Writer => Reason::CommitStopped,
            Keeper::Follower => Reason::ReplicationStopped,
        }
    }
}

/// Where and how a log is written.
#[derive(Clone)]
pub struct LogOptions {
    /// The disk.
    pub disk: Arc<dyn Disk>,
    /// The directory `wal/`.
    pub directory: PathBuf,
    /// Whose log.
    pub lineage: Lineage,
    /// By whom.
    pub keeper: Keeper,
    /// A segment is sealed before the record that would make it larger.
    pub segment_bytes: u64,
    /// The newest segment is blanked in stretches of this length, a multiple of the sector.
    pub extend_bytes: u64,
}

/// How far a log reaches: what may be read of it beside its writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The oldest position that is kept.
    pub oldest: Position,
    /// The first position of the newest segment. Every segment before it ends with its `Seal` and never changes.
    pub segment: Position,
    /// The durable end.
    pub durable: LogPoint,
}

/// Where a pushed record stands, and the `Seal` that had to go before it, if one had to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// The log before and after the `Seal`.
    pub seal: Option<(LogPoint, LogPoint)>,
    /// The log before the record.
    pub before: LogPoint,
    /// The log after the record.
    pub after: LogPoint,
}

/// The writer.
pub struct LogWriter {
    pub(super) options: LogOptions,
    pub(super) mark: Mark,
    pub(super) mark_file: Arc<dyn File>,
    pub(super) segment: Arc<dyn File>,
    /// First positions of the segments that are kept, oldest first; the last is the newest.
    pub(super) segments: VecDeque<Position>,
    pub(super) buffer: Vec<u8>,
    pub(super) appended: LogPoint,
    pub(super) fault: Option<Error>,
}

impl LogWriter {
    /// Creates the log of a new directory: `wal/`, its first segment, the mark. Whatever an unfinished earlier attempt left is
    /// overwritten.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn create(options: &LogOptions, blank_seed: u64) -> Result<()> {
        let disk = options.disk.as_ref();
        disk.create_dir(&options.directory)?;
        let start = record::genesis(options.lineage.database_id, options.lineage.epoch);
        let allocated = start.position.after(options.extend_bytes);
        let file = create_segment(options, start, blank_seed, allocated)?;
        drop(file);
        let mark = Mark {
            database_id: options.lineage.database_id,
            blank_seed,
            segment: start.position,
            allocated,
            durable: start,
        };
        let file = disk.create(&options.directory.join(MARK_FILE))?;
        file.write_at(0, &mark.encode())?;
        file.sync_data()?;
        disk.sync_dir(&options.directory)
    }

    /// The log after the last pushed record.
    #[must_use]
    pub fn appended(&self) -> LogPoint {
        self.appended
    }

    /// The log after the last durable record.
    #[must_use]
    pub fn durable(&self) -> LogPoint {
        self.mark.durable
    }

    /// The oldest position that is kept.
    #[must_use]
    pub fn oldest(&self) -> Position {
        self.segments.front().copied().unwrap_or(self.mark.segment)
    }

    /// How far it reaches.
    #[must_use]
    pub fn extent(&self) -> Extent {
        let segment = self.segments.back().copied().unwrap_or(self.mark.segment);
        let durable = if planted("log is served before it is durable") { self.appended } else { self.mark.durable };
        Extent { oldest: self.oldest(), segment, durable }
    }

    /// How and where it is written.
    #[must_use]
    pub fn options(&self) -> &LogOptions {
        &self.options
    }

    /// Bytes pushed and not yet written.
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        self.buffer.len()
    }

    /// The failure that ended writing, if one did.
    #[must_use]
    pub fn fault(&self) -> Option<&Error> {
        self.fault.as_ref()
    }

    /// Appends a record to the group. Where the segment is full, what was pushed so far becomes durable first, with the `Seal`
    /// behind it.
    ///
    /// # Errors
    /// Those of the disk; after the first, `commit.stopped`.
    pub fn push(&mut self, kind: Kind, payload: &[u8]) -> Result<Pushed> {
        self.refuse_if_stopped()?;
        let mut seal = None;
        let used = self.appended.position.since(self.mark.segment);
        let added = u64::try_from(record::stored_len(payload.len())).unwrap_or(u64::MAX);
        if used > 0 && used.saturating_add(added).saturating_add(SEAL_BYTES) > self.options.segment_bytes {
            let before = self.appended;
            self.appended = record::encode(&mut self.buffer, Kind::Seal, &[], before);
            seal = Some((before, self.appended));
            self.sync()?;
            let rolled = self.roll();
            self.keep_fault(rolled)?;
        }
        let before = self.appended;
        self.appended = record::encode(&mut self.buffer, kind, payload, before);
        Ok(Pushed { seal, before, after: self.appended })
    }

    /// Makes all that was pushed durable: one write, one fdatasync, then the mark.
    ///
    /// # Errors
    /// Those of the disk; after the first, `commit.stopped`. What was pushed may or may not be there after a restart.
    pub fn sync(&mut self) -> Result<LogPoint> {
        self.refuse_if_stopped()?;
        if !self.buffer.is_empty() {
            let written = self.write_group();
            self.keep_fault(written)?;
        }
        Ok(self.mark.durable)
    }

    /// Makes the mark durable too, so that even a power cut leaves it exact.
    ///
    /// # Errors
    /// Those of the disk; after the first, `commit.stopped`.
    pub fn sync_mark(&mut self) -> Result<()> {
        self.refuse_if_stopped()?;
        let synced = self.mark_file.sync_data();
        self.keep_fault(synced)
    }

    /// Removes sealed segments that end at or before `keep_from`, oldest first, and at most so many; says whether there are more. Each
    /// removal is durable before the next, so that what is left is always without a gap.
    ///
    /// # Errors
    /// Those of the disk; after the first, `commit.stopped`.
    pub fn retire(&mut self, keep_from: Position, most: usize) -> Result<bool> {
        self.refuse_if_stopped()?;
        for _ in 0..most {
            if !self.may_retire(keep_from) {
                break;
            }
            let removed = self.remove_oldest();
            self.keep_fault(removed)?;
        }
        Ok(self.may_retire(keep_from))
    }

    /// Whether the oldest segment ends at or before this position. The newest never goes.
    fn may_retire(&self, keep_from: Position) -> bool {
        self.segments.get(1).is_some_and(|second| *second <= keep_from)
    }

    fn remove_oldest(&mut self) -> Result<()> {
        if let Some(first) = self.segments.front() {
            let directory = &self.options.directory;
            self.options.disk.remove(&directory.join(segment::file_name(*first)))?;
            self.options.disk.sync_dir(directory)?;
            self.segments.pop_front();
        }
        Ok(())
    }

    pub(super) fn refuse_if_stopped(&self) -> Result<()> {
        match &self.fault {
            Some(fault) => Err(Error::new(self.options.keeper.stopped()).with("failure", fault)),
            None => Ok(()),
        }
    }

    pub(super) fn keep_fault<T>(&mut self, outcome: Result<T>) -> Result<T> {
        if let Err(error) = &outcome {
            self.fault = Some(error.clone());
        }
        outcome
    }

    fn write_group(&mut self) -> Result<()> {
        let start = self.mark.durable.position;
        let end = self.appended.position;
        assert_eq!(
            end.since(start),
            u64::try_from(self.buffer.len()).unwrap_or(u64::MAX),
            "the buffer is what is not durable"
        );
        if end > self.mark.allocated {
            let allocated = self.stretch(end);
            self.blank(self.mark.allocated, allocated)?;
            self.segment.sync_data()?;
            self.write_mark(Mark { allocated, ..self.mark })?;
            self.mark_file.sync_data()?;
        }
        self.segment.write_at(offset(self.mark.segment, start), &self.buffer)?;
        let ahead = self.mark.allocated.since(end) < self.options.extend_bytes.checked_div(2).unwrap_or(0);
        let full = self.mark.allocated.since(self.mark.segment) >= self.options.segment_bytes;
        let allocated = if ahead && !full { self.stretch(self.mark.allocated.after(1)) } else { self.mark.allocated };
        self.blank(self.mark.allocated, allocated)?;
        if !planted("a commit is acknowledged before it is durable") {
            self.segment.sync_data()?;
        }
        let further = allocated > self.mark.allocated;
        self.write_mark(Mark { allocated, durable: self.appended, ..self.mark })?;
        if further {
            self.mark_file.sync_data()?;
        }
        self.buffer.clear();
        if self.buffer.capacity() > BUFFER_KEPT_BYTES {
            self.buffer = Vec::new();
        }
        Ok(())
    }

    /// The end of the stretch of blank space that includes the byte before `end`.
    pub(super) fn stretch(&self, end: Position) -> Position {
        let stretches = end.since(self.mark.segment).div_ceil(self.options.extend_bytes.max(SECTOR));
        self.mark.segment.after(stretches.saturating_mul(self.options.extend_bytes.max(SECTOR)))
    }

    /// Writes blank from one position to another.
    pub(super) fn blank(&self, from: Position, to: Position) -> Result<()> {
        write_blank(self.segment.as_ref(), self.mark.segment, self.mark.blank_seed, from, to)
    }

    /// Writes the mark, without an fsync.
    pub(super) fn write_mark(&mut self, mark: Mark) -> Result<()> {
        assert!(mark.durable.position <= self.appended.position, "the mark is never ahead of the log");
        self.mark_file.write_at(0, &mark.encode())?;
        self.mark = mark;
        Ok(())
    }

    /// Ends the segment whose `Seal` is the last durable record, and begins the next one.
    pub(super) fn roll(&mut self) -> Result<()> {
        let start = self.mark.durable;
        assert_eq!(start, self.appended, "a segment ends where everything is durable");
        // It has ended, whether or not the next one can be begun: whoever reads beside this writer is to know (`Extent`).
        self.segments.push_back(start.position);
        if !planted("a segment that has ended is not cut") {
            self.segment.set_len(offset(self.mark.segment, start.position))?;
            self.segment.sync_data()?;
        }
        let allocated = start.position.after(self.options.extend_bytes);
        self.segment = create_segment(&self.options, start, self.mark.blank_seed, allocated)?;
        if !planted("the name of a new segment is not made durable") {
            self.options.disk.sync_dir(&self.options.directory)?;
        }
        self.write_mark(Mark { segment: start.position, allocated, ..self.mark })?;
        self.mark_file.sync_data()
    }
}

/// Writes blank from one position of a segment to another, in pieces that the processor's cache holds.
pub(super) fn write_blank(file: &dyn File, first: Position, seed: u64, from: Position, to: Position) -> Result<()> {
    const PIECE_BYTES: u64 = 64 << 10;
    let mut at = from;
    let mut piece = Vec::new();
    while at < to {
        // What a follower received may end inside a word: then the rest of the word is blank too.
        let word = Position(at.0 & !7);
        let end = at.after(to.since(at).min(PIECE_BYTES));
        piece.resize(usize::try_from(end.since(word)).unwrap_or(0), 0);
        blank::fill(seed, word, &mut piece);
        let skipped = usize::try_from(at.since(word)).unwrap_or(0);
        file.write_at(offset(first, at), piece.get(skipped..).unwrap_or_default())?;
        at = end;
    }
    Ok(())
}

/// Creates a segment file with its header and blank space; its contents are durable, its name is not yet.
fn create_segment(options: &LogOptions, start: LogPoint, seed: u64, allocated: Position) -> Result<Arc<dyn File>> {
    let path = options.directory.join(segment::file_name(start.position));
    let file = options.disk.create(&path)?;
    file.write_at(0, &segment::encode_header(options.lineage, start))?;
    write_blank(file.as_ref(), start.position, seed, start.position, allocated)?;
    file.sync_data()?;
    Ok(file)
}

/// The directory of the log in a data directory.
#[must_use]
pub fn directory(dir: &Path) -> PathBuf {
    dir.join("wal")
}
