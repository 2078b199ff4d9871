//! The log as it is served: which segment holds a position, where that ends, and which history stands before it.
//!
//! It is read beside its writer, up to the [`Extent`] that this shows. What lies before that never changes; but retention may remove the
//! oldest segments at any time: then a file that was open can still be read, and one that was not is `history.retired`.
//!
//! A segment that is not the newest ends where its file does: the writer cuts the file before it begins the next.

use crate::commit_id::CommitId;
use crate::disk::{Access, File};
use crate::error::{Error, Result};
use crate::identity::Identity;
use crate::position::{History, Position};
use crate::reason::Reason;
use crate::record::{self, Header, Kind};
use crate::sync::Arc;
use crate::wal::{self, Extent, LogOptions, SEGMENT_HEADER_BYTES};
use std::path::PathBuf;

/// The log that is served, and whose it is.
pub struct Source {
    identity: Identity,
    log: LogOptions,
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
    /// Serves this log of this node.
    #[must_use]
    pub fn new(identity: Identity, log: LogOptions) -> Source {
        Source { identity, log }
    }

    /// Whose log it is.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The segment that holds the byte at a position.
    ///
    /// # Errors
    /// `history.retired`; those of the disk.
    pub(super) fn segment_at(&self, position: Position, extent: &Extent) -> Result<Segment> {
        let names = self.log.disk.list(&self.log.directory)?.unwrap_or_default();
        let firsts = names.iter().filter_map(|name| wal::parse_name(name));
        let first = firsts.filter(|first| *first <= position.min(extent.segment)).max();
        match first {
            Some(first) => self.segment(first, extent),
            None => Err(retired(position, extent)),
        }
    }

    /// The segment that begins here.
    ///
    /// # Errors
    /// `history.retired`; those of the disk.
    pub(super) fn segment(&self, first: Position, extent: &Extent) -> Result<Segment> {
        let path = self.log.directory.join(wal::file_name(first));
        let file = self.log.disk.open(&path, Access::Read)?.ok_or_else(|| retired(first, extent))?;
        Ok(Segment { first, file, path, end: None })
    }

    /// The history and the last commit before a position that is not behind the durable end; `None` if nothing begins there.
    ///
    /// # Errors
    /// `history.retired`, `wal.segment_corrupt`; those of the disk.
    pub(super) fn before(&self, position: Position, extent: &Extent) -> Result<Option<(History, CommitId)>> {
        if position == extent.durable.position {
            return Ok(Some((extent.durable.history, extent.durable.commit)));
        }
        let segment = self.segment_at(position, extent)?;
        if position == segment.first {
            let mut bytes = vec![0; SEGMENT_HEADER_BYTES as usize];
            let read = segment.file.read_at(0, &mut bytes)?;
            bytes.truncate(read);
            let (_, start) = wal::decode_header(&bytes).map_err(|error| error.with("file", segment.path.display()))?;
            return Ok((start.position == position).then_some((start.history, start.commit)));
        }
        // Behind the durable end nothing is read; before it a record is whole.
        let durable = extent.durable.position.since(position).min(record::HEADER_BYTES as u64);
        let mut bytes = vec![0; durable as usize];
        let read = segment.file.read_at(wal::offset(segment.first, position), &mut bytes)?;
        bytes.truncate(read);
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

    /// The error for a file that ends before what was durably written to it.
    pub(super) fn truncated(&self, position: Position) -> Error {
        Error::new(Reason::WalTruncated).with("file", self.path.display()).with("position", position)
    }
}

fn retired(position: Position, extent: &Extent) -> Error {
    Error::new(Reason::HistoryRetired).with("position", position).with("oldest", extent.oldest)
}
