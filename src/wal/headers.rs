//! The headers of the log, read beside its writer: which record stands where, and the histories before and behind it.
//!
//! Of a record nothing is read but its header, so a long one costs no more than a short one. The history behind it stands in the next
//! header, in that of the next segment, or is that of the end. Each header proves itself and must continue the one before it; what a payload says is
//! for [`super::LogCursor`] to prove.
//!
//! Within a segment a record is believed to begin where a header stands. A value may be made to look like one: whoever has to know for certain
//! begins at the first position of a segment, and goes on from the end of each record.
//!
//! Assumes that nothing before the end changes. Retention may remove the oldest segments meanwhile: `wal.segment_missing`.

use super::segment::{self, SegmentReader};
use super::writer::LogOptions;
use crate::commit_id::CommitId;
use crate::disk::File;
use crate::error::{Error, Result};
use crate::position::{LogPoint, Position};
use crate::reason::Reason;
use crate::record::{Fault, HEADER_BYTES, Header, Kind};
use crate::sync::Arc;
use std::path::PathBuf;

/// What is read at once where one short record follows the other.
const WINDOW_BYTES: usize = 64 * 1024;
/// And behind a record that was longer than that.
const NARROW_BYTES: usize = 512;

/// Walks the headers of the durable records from a position on.
pub struct LogHeaders {
    log: LogOptions,
    end: LogPoint,
    /// First positions of the segments that begin before the end, oldest first.
    segments: Vec<Position>,
    entered: Option<Entered>,
    point: LogPoint,
    read_bytes: usize,
}

/// The segment that is read, and what was last read of it.
struct Entered {
    first: Position,
    file: Arc<dyn File>,
    path: PathBuf,
    at: Position,
    window: Vec<u8>,
}

/// First positions of the segments that hold log before a position, oldest first.
///
/// # Errors
/// `disk.name_failed`.
pub fn segments_before(log: &LogOptions, end: Position) -> Result<Vec<Position>> {
    let names = log.disk.list(&log.directory)?.unwrap_or_default();
    let mut segments: Vec<Position> = names.iter().filter_map(|name| segment::parse_name(name)).collect();
    segments.retain(|first| *first < end);
    segments.sort_unstable();
    Ok(segments)
}

/// What the header of a segment says of the log before it.
///
/// # Errors
/// `wal.segment_missing`, `wal.segment_corrupt`, `identity.*`, `disk.read_failed`.
pub fn segment_start(log: &LogOptions, first: Position) -> Result<LogPoint> {
    SegmentReader::open(log.disk.as_ref(), &log.directory, first, log.lineage, first).map(|(_, start)| start)
}

/// The log at a position of one that ends so, for certain: found by walking from the beginning of its segment, or from a point before it that is
/// known. `None` where no record ends there.
///
/// # Errors
/// `wal.retired`, `wal.beyond_end`; `read.history_unknown` where more would have to be read; those of the walk.
pub fn point_at(
    log: &LogOptions,
    at: Position,
    known: Option<LogPoint>,
    end: LogPoint,
    read_bytes_max: usize,
) -> Result<Option<LogPoint>> {
    if at == end.position {
        return Ok(Some(end));
    }
    let segments = segments_before(log, end.position)?;
    let before = segments.partition_point(|first| *first <= at).checked_sub(1);
    // Where the segment is gone, this says so.
    let first = before.and_then(|index| segments.get(index)).copied().unwrap_or(at);
    let first = known.map_or(first, |known| known.position.max(first));
    let Some(mut headers) = LogHeaders::open(log, first, end)? else { return Ok(None) };
    while headers.point().position < at {
        if headers.read_bytes() > read_bytes_max {
            return Err(Error::new(Reason::ReadHistoryUnknown).with("position", at).with("read_bytes_max", read_bytes_max));
        }
        if headers.next_header()?.is_none() {
            break;
        }
    }
    Ok(Some(headers.point()).filter(|point| point.position == at))
}

impl LogHeaders {
    /// Begins at a position of a log that ends so; `None` where no record begins.
    ///
    /// # Errors
    /// `wal.retired`, `wal.beyond_end`, `wal.segment_missing`, `wal.segment_corrupt`; those of the disk.
    pub fn open(log: &LogOptions, from: Position, end: LogPoint) -> Result<Option<LogHeaders>> {
        if from > end.position {
            return Err(Error::new(Reason::WalBeyondEnd).with("position", from).with("end", end));
        }
        let segments = segments_before(log, end.position)?;
        let oldest = segments.first().copied().unwrap_or(end.position);
        if from < oldest {
            return Err(Error::new(Reason::WalRetired).with("position", from).with("oldest", oldest));
        }
        let mut headers = LogHeaders { log: log.clone(), end, segments, entered: None, point: end, read_bytes: 0 };
        if from == end.position {
            return Ok(Some(headers));
        }
        headers.point = if headers.segments.binary_search(&from).is_ok() {
            headers.enter(from)?
        } else {
            let Ok(header) = headers.header_at(from)? else { return Ok(None) };
            let Some(commit) = commit_before(&header) else { return Ok(None) };
            LogPoint { position: from, history: header.history, commit }
        };
        Ok(Some(headers))
    }

    /// The log before the next record.
    #[must_use]
    pub fn point(&self) -> LogPoint {
        self.point
    }

    /// Bytes that were read so far.
    #[must_use]
    pub fn read_bytes(&self) -> usize {
        self.read_bytes
    }

    /// The header of the next record, and the log behind it; `None` at the end.
    ///
    /// # Errors
    /// `wal.corrupt`, `wal.segment_missing`, `wal.segment_corrupt`, those of the disk.
    pub fn next_header(&mut self) -> Result<Option<(Header, LogPoint)>> {
        let before = self.point;
        if before.position >= self.end.position {
            return Ok(None);
        }
        let header = self.header_at(before.position)?.map_err(|fault| self.corrupt(before, fault))?;
        if header.history != before.history {
            return Err(self.corrupt(before, Fault::History));
        }
        if commit_before(&header) != Some(before.commit) {
            return Err(self.corrupt(before, Fault::Commit));
        }
        let record_len = u64::try_from(header.record_len()).unwrap_or(u64::MAX);
        let position = before.position.after(record_len);
        let next = self.segments.partition_point(|first| *first <= before.position);
        let next_segment = self.segments.get(next);
        if position > next_segment.copied().unwrap_or(self.end.position) {
            return Err(self.corrupt(before, Fault::Incomplete));
        }
        let history = if position == self.end.position {
            self.end.history
        } else if next_segment == Some(&position) {
            self.enter(position)?.history
        } else {
            let next = LogPoint { position, ..before };
            self.header_at(position)?.map_err(|fault| self.corrupt(next, fault))?.history
        };
        self.point = LogPoint { position, history, commit: header.commit };
        Ok(Some((header, self.point)))
    }

    /// The beginning of the record at a position, no more than so many bytes of it.
    ///
    /// # Errors
    /// `wal.corrupt` where the file ends before; `wal.segment_missing`, `wal.segment_corrupt`, those of the disk.
    pub fn beginning(&mut self, position: Position, bytes: usize) -> Result<Vec<u8>> {
        let entered = self.holding(position)?;
        let mut beginning = vec![0; bytes];
        let read = entered.file.read_at(segment::offset(entered.first, position), &mut beginning)?;
        self.read_bytes = self.read_bytes.saturating_add(read);
        if read < bytes {
            return Err(self.corrupt(LogPoint { position, ..self.point }, Fault::Incomplete));
        }
        Ok(beginning)
    }

    /// The header that stands at a position before the end, if one does.
    fn header_at(&mut self, position: Position) -> Result<std::result::Result<Header, Fault>> {
        let end = self.end.position;
        let entered = self.holding(position)?;
        let skipped = usize::try_from(position.since(entered.at)).unwrap_or(usize::MAX);
        let here = entered.window.get(skipped..).unwrap_or_default();
        if position >= entered.at && here.len() >= HEADER_BYTES {
            return Ok(Header::decode(here));
        }
        let wide = position < entered.at || skipped <= entered.window.len();
        let left = usize::try_from(end.since(position)).unwrap_or(usize::MAX);
        let want = if wide { WINDOW_BYTES } else { NARROW_BYTES }.min(left);
        entered.window.resize(want, 0);
        let read = entered.file.read_at(segment::offset(entered.first, position), &mut entered.window)?;
        entered.window.truncate(read);
        entered.at = position;
        let header = Header::decode(&entered.window);
        self.read_bytes = self.read_bytes.saturating_add(read);
        Ok(header)
    }

    /// The segment that holds a position.
    fn holding(&mut self, position: Position) -> Result<&mut Entered> {
        let behind = self.segments.partition_point(|first| *first <= position);
        let first = behind.checked_sub(1).and_then(|index| self.segments.get(index)).copied().unwrap_or_default();
        if self.entered.as_ref().is_none_or(|entered| entered.first != first) {
            self.enter(first)?;
        }
        let missing = || Error::new(Reason::WalSegmentMissing).with("position", position);
        self.entered.as_mut().ok_or_else(missing)
    }

    /// Opens a segment; returns the log before it.
    fn enter(&mut self, first: Position) -> Result<LogPoint> {
        let LogOptions { disk, directory, lineage, .. } = &self.log;
        let (reader, start) = SegmentReader::open(disk.as_ref(), directory, first, *lineage, first)?;
        let (file, path) = (Arc::clone(reader.file()), reader.path().to_owned());
        self.entered = Some(Entered { first, file, path, at: first, window: Vec::new() });
        self.read_bytes = self.read_bytes.saturating_add(NARROW_BYTES);
        Ok(start)
    }

    fn corrupt(&self, point: LogPoint, fault: Fault) -> Error {
        let file = self.entered.as_ref().map(|entered| entered.path.display().to_string()).unwrap_or_default();
        Error::new(Reason::WalCorrupt).with("file", file).with("position", point.position).with("fault", fault)
    }
}

/// The last commit before a record.
fn commit_before(header: &Header) -> Option<CommitId> {
    match header.kind {
        Kind::Commit => header.commit.0.checked_sub(1).map(CommitId),
        Kind::Floor | Kind::Proof | Kind::Cut | Kind::Seal => Some(header.commit),
    }
}
