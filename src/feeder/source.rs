//! The log as it is served, and the store of whose checkpoint snapshots are: which segment holds a position, where that ends, and which history stands before it.
//!
//! It is read beside its writer, up to the [`Extent`] that this shows. What lies before that never changes; but retention may remove the
//! oldest segments at any time: then a file that was open can still be read, and one that was not is `history.retired`.
//!
//! A segment that is not the newest ends where the next one is named. What was opened as the newest ends, once it is sealed, where its file
//! does: the writer cuts the file before it begins the next.

use crate::commit_id::CommitId;
use crate::disk::{Access, File};
use crate::error::{Error, Result};
use crate::identity::Identity;
use crate::position::{History, LogPoint, Position};
use crate::reason::Reason;
use crate::record::{self, Header, Kind};
use crate::store::Store;
use crate::sync::{Arc, Mutex, MutexGuard};
use crate::wal::{self, Extent, LogOptions, SEGMENT_HEADER_BYTES};
use std::path::PathBuf;

/// The log that is served, whose it is, and the store beside it.
pub struct Source {
    identity: Identity,
    log: LogOptions,
    store: Arc<Store>,
    /// Where the segments begin, in order, as they were last listed.
    firsts: Mutex<Vec<Position>>,
}

/// A segment that is read.
pub(super) struct Segment {
    first: Position,
    file: Arc<dyn File>,
    path: PathBuf,
    /// Where it ends, once that is known.
    end: Option<Position>,
}

impl Source {
    /// Serves this log of this node, and the checkpoint of its store.
    #[must_use]
    pub fn new(identity: Identity, log: LogOptions, store: &Arc<Store>) -> Source {
        Source { identity, log, store: Arc::clone(store), firsts: Mutex::new(Vec::new()) }
    }

    /// Whose log it is.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The store whose checkpoint is served.
    pub(super) fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// The oldest position that was kept when the segments were last listed.
    pub(super) fn oldest(&self) -> Position {
        self.firsts().first().copied().unwrap_or(Position::GENESIS)
    }

    /// The segment that holds the byte at a position before the durable end.
    ///
    /// # Errors
    /// `history.retired`, `wal.segment_missing`; those of the disk.
    pub(super) fn segment_at(&self, position: Position, extent: &Extent) -> Result<Segment> {
        let Some((first, end)) = self.bounds(position, extent)? else {
            return Err(self.missing(position, extent)?);
        };
        let path = self.log.directory.join(wal::file_name(first));
        match self.log.disk.open(&path, Access::Read)? {
            Some(file) => Ok(Segment { first, file, path, end }),
            None => Err(self.missing(position, extent)?),
        }
    }

    /// Where the segment of a position begins and, unless it is the newest, ends. Both hold for ever, so what was listed is believed, and
    /// listed again only for what lies behind.
    fn bounds(&self, position: Position, extent: &Extent) -> Result<Option<(Position, Option<Position>)>> {
        if position >= extent.segment {
            return Ok(Some((extent.segment, None)));
        }
        let mut firsts = self.firsts();
        if firsts.last().is_none_or(|last| *last <= position) {
            *firsts = self.list()?;
        }
        let behind = firsts.partition_point(|first| *first <= position);
        let end = firsts.get(behind).copied().unwrap_or(extent.segment);
        Ok(behind.checked_sub(1).and_then(|at| firsts.get(at)).map(|first| (*first, Some(end))))
    }

    /// Why there is no file for a position: by now retention has dropped it, or somebody else has.
    fn missing(&self, position: Position, extent: &Extent) -> Result<Error> {
        *self.firsts() = self.list()?;
        let oldest = self.oldest().max(extent.oldest);
        let reason = if position < oldest { Reason::HistoryRetired } else { Reason::WalSegmentMissing };
        Ok(Error::new(reason).with("position", position).with("oldest", oldest))
    }

    fn list(&self) -> Result<Vec<Position>> {
        let names = self.log.disk.list(&self.log.directory)?.unwrap_or_default();
        let mut firsts: Vec<Position> = names.iter().filter_map(|name| wal::parse_name(name)).collect();
        firsts.sort_unstable();
        Ok(firsts)
    }

    fn firsts(&self) -> MutexGuard<'_, Vec<Position>> {
        self.firsts.lock().expect("nobody panicked with the list")
    }

    /// The point at which the segment begins that holds a position.
    ///
    /// # Errors
    /// `history.retired`, `wal.segment_missing`, `wal.segment_corrupt`; those of the disk.
    pub(super) fn segment_start(&self, position: Position, extent: &Extent) -> Result<LogPoint> {
        self.start(&self.segment_at(position, extent)?)
    }

    /// The point that the header of a segment names.
    fn start(&self, segment: &Segment) -> Result<LogPoint> {
        let mut bytes = vec![0; SEGMENT_HEADER_BYTES as usize];
        let read = segment.file.read_at(0, &mut bytes)?;
        bytes.truncate(read);
        let (lineage, start) =
            wal::decode_header(&bytes).map_err(|error| error.with("file", segment.path.display()))?;
        if (lineage, start.position) != (self.log.lineage, segment.first) {
            // What is wrong here says nothing of the replica's log.
            let corrupt = Error::new(Reason::WalSegmentCorrupt).with("file", segment.path.display());
            return Err(corrupt.with("database", lineage.database_id).with("position", start.position));
        }
        Ok(start)
    }

    /// The history and the last commit before a position that is not behind the durable end; `None` if nothing begins there.
    ///
    /// # Errors
    /// `history.retired`, `wal.segment_missing`, `wal.segment_corrupt`, `wal.truncated`; those of the disk.
    pub(super) fn before(&self, position: Position, extent: &Extent) -> Result<Option<(History, CommitId)>> {
        if position == extent.durable.position {
            return Ok(Some((extent.durable.history, extent.durable.commit)));
        }
        let mut segment = self.segment_at(position, extent)?;
        if position == segment.first {
            let start = self.start(&segment)?;
            return Ok(Some((start.history, start.commit)));
        }
        // Behind the durable end nothing is read, and no record goes on behind the end of its segment; before them it is whole.
        let until = segment.end(extent)?.unwrap_or(extent.durable.position);
        let most = until.since(position).min(record::HEADER_BYTES as u64);
        let mut bytes = vec![0; most as usize];
        if segment.file.read_at(wal::offset(segment.first, position), &mut bytes)? < bytes.len() {
            return Err(segment.truncated(position));
        }
        let Ok(header) = Header::decode(&bytes) else { return Ok(None) };
        let commit = match header.kind {
            Kind::Commit => header.commit.0.checked_sub(1).map(CommitId),
            Kind::Floor | Kind::Proof | Kind::Cut | Kind::Seal => Some(header.commit),
        };
        Ok(commit.map(|commit| (header.history, commit)))
    }
}

impl Segment {
    /// Whether more may be written to it.
    pub(super) fn is_newest(&self, extent: &Extent) -> bool {
        self.first >= extent.segment
    }

    /// Where it ends, if it is sealed.
    ///
    /// # Errors
    /// `disk.read_failed`.
    pub(super) fn end(&mut self, extent: &Extent) -> Result<Option<Position>> {
        if self.end.is_none() && self.first < extent.segment {
            let bytes = self.file.len()?.saturating_sub(SEGMENT_HEADER_BYTES);
            // The newest may be sealed without a next one: then its file may not be cut yet.
            self.end = Some(self.first.after(bytes).min(extent.segment));
        }
        Ok(self.end)
    }

    /// The file, and where in it the byte at a position stands.
    pub(super) fn place(&self, position: Position) -> (&Arc<dyn File>, u64) {
        (&self.file, wal::offset(self.first, position))
    }

    /// Fills the buffer with the log from a position on, which the file holds.
    ///
    /// # Errors
    /// `wal.truncated`, `disk.read_failed`.
    pub(super) fn copy_at(&self, position: Position, buffer: &mut [u8]) -> Result<()> {
        let (file, offset) = self.place(position);
        if file.read_at(offset, buffer)? < buffer.len() { Err(self.truncated(position)) } else { Ok(()) }
    }

    /// The error for a file that ends before what was durably written to it.
    pub(super) fn truncated(&self, position: Position) -> Error {
        Error::new(Reason::WalTruncated).with("file", self.path.display()).with("position", position)
    }
}
