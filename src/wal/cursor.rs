//! Reading a range of the log, segment after segment, proving each record on the way.
//!
//! A cursor begins at the segment that holds its first position, because only a segment's header says which history a record
//! there must continue. It reads no further than the durable end it was given; it allocates no more than a chunk or a record.

use super::segment::{self, Lineage, Next, SegmentReader};
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::position::{LogPoint, Position};
use crate::reason::Reason;
use crate::record::Record;
use crate::sync::Arc;
use std::path::{Path, PathBuf};

/// Walks the durable records from a position on.
pub struct LogCursor {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    lineage: Lineage,
    end: LogPoint,
    /// First positions of the segments to come, the next one last.
    segments: Vec<Position>,
    /// First position of the segment that is being read.
    first: Position,
    reader: Option<SegmentReader>,
    point: LogPoint,
}

impl LogCursor {
    /// A cursor whose first record is the one at `from`, and whose last ends at `end`.
    ///
    /// # Errors
    /// `wal.retired` when the position was dropped; `wal.beyond_end` when it lies behind the end or inside a record; what does not
    /// verify on the way there.
    pub fn open(
        disk: Arc<dyn Disk>,
        directory: &Path,
        lineage: Lineage,
        from: Position,
        end: LogPoint,
    ) -> Result<LogCursor> {
        let names = disk.list(directory)?.unwrap_or_default();
        let mut segments: Vec<Position> = names.iter().filter_map(|name| segment::parse_name(name)).collect();
        segments.retain(|first| *first <= end.position);
        let oldest = segments.first().copied().unwrap_or_default();
        if from > end.position {
            return Err(Error::new(Reason::WalBeyondEnd).with("position", from).with("end", end));
        }
        if from < oldest || segments.is_empty() {
            return Err(Error::new(Reason::WalRetired).with("position", from).with("oldest", oldest));
        }
        let begin = segments.iter().rposition(|first| *first <= from).unwrap_or(0);
        segments.drain(..begin);
        segments.reverse();
        let mut cursor = LogCursor {
            disk,
            directory: directory.to_owned(),
            lineage,
            end,
            segments,
            first: Position::GENESIS,
            reader: None,
            point: LogPoint::default(),
        };
        cursor.enter_next_segment()?;
        while cursor.point.position < from {
            if cursor.next_record()?.is_none() {
                break;
            }
        }
        if cursor.point.position != from {
            return Err(Error::new(Reason::WalBeyondEnd).with("position", from).with("record_ends", cursor.point));
        }
        Ok(cursor)
    }

    /// The log before the next record.
    #[must_use]
    pub fn point(&self) -> LogPoint {
        self.point
    }

    /// The next record and its bytes; `None` at the end.
    ///
    /// # Errors
    /// `wal.corrupt`, `wal.segment_missing`, `wal.segment_corrupt`, those of the disk.
    pub fn next_record(&mut self) -> Result<Option<(Record<'_>, &[u8])>> {
        if self.point.position >= self.end.position {
            return self.check_end().map(|()| None);
        }
        if self.at_segment_end() {
            self.enter_next_segment()?;
        }
        let Some(reader) = self.reader.as_mut() else {
            return Err(Error::new(Reason::WalSegmentMissing).with("position", self.point.position));
        };
        let corrupt = |fault| {
            Err(Error::new(Reason::WalCorrupt)
                .with("file", self.directory.join(segment::file_name(self.first)).display())
                .with("position", self.point.position)
                .with("fault", fault))
        };
        match reader.next(self.point)? {
            Next::Record(record, bytes) => {
                self.point = record.after;
                Ok(Some((record, bytes)))
            }
            Next::End => corrupt(crate::record::Fault::Incomplete),
            Next::Fault(fault) => corrupt(fault),
        }
    }

    fn at_segment_end(&self) -> bool {
        self.segments.last().is_some_and(|first| *first == self.point.position)
    }

    fn enter_next_segment(&mut self) -> Result<()> {
        let Some(first) = self.segments.pop() else {
            return Err(Error::new(Reason::WalSegmentMissing).with("position", self.point.position));
        };
        let limit = self.segments.last().copied().unwrap_or(self.end.position);
        let (reader, start) = SegmentReader::open(self.disk.as_ref(), &self.directory, first, self.lineage, limit)?;
        if self.reader.is_some() && start != self.point {
            return Err(Error::new(Reason::WalSegmentCorrupt)
                .with("file", reader.path().display())
                .with("expected", self.point)
                .with("found", start));
        }
        self.point = start;
        self.first = first;
        self.reader = Some(reader);
        Ok(())
    }

    fn check_end(&self) -> Result<()> {
        if self.point == self.end {
            return Ok(());
        }
        Err(Error::new(Reason::WalCorrupt).with("expected", self.end).with("found", self.point))
    }
}
