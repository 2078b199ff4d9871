//! Segment files: names, headers, and reading records out of one (FMT-SEGMENT).
//!
//! The header is a function of the log before it, so that a replica writes the same one. Positions count record bytes only: the
//! byte at position `p` stands at file offset `512 + p − first`.

use crate::codec::{self, Put, SECTOR_BYTES};
use crate::disk::{Access, Disk, File};
use crate::error::{Error, Result};
use crate::identity::Id;
use crate::position::{LogPoint, Position};
use crate::reason::Reason;
use crate::record::{self, Fault, HEADER_BYTES, Header, Record};
use crate::sync::Arc;
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"AEROSEGM";
const READ_AHEAD_BYTES: usize = 256 * 1024;

/// Bytes of a segment file before its records.
pub const SEGMENT_HEADER_BYTES: u64 = 512;

/// What all segments of a log share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lineage {
    /// Whose log.
    pub database_id: Id,
    /// Which line of its history.
    pub epoch: u64,
}

/// The name of the segment that begins here.
#[must_use]
pub fn file_name(first: Position) -> String {
    format!("{:020}.seg", first.0)
}

/// The first position of a segment of this name.
#[must_use]
pub fn parse_name(name: &str) -> Option<Position> {
    let digits = name.strip_suffix(".seg")?;
    if digits.len() != 20 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok().map(Position)
}

/// The offset in the file of a segment of the byte at a position.
#[must_use]
pub fn offset(first: Position, position: Position) -> u64 {
    SEGMENT_HEADER_BYTES.saturating_add(position.since(first))
}

/// The header of the segment that begins at this point.
#[must_use]
pub fn encode_header(lineage: Lineage, start: LogPoint) -> Vec<u8> {
    let mut bytes = codec::begin(MAGIC);
    bytes.put_u32(0);
    bytes.extend_from_slice(&lineage.database_id.0);
    bytes.put_u64(lineage.epoch);
    bytes.put_point(start);
    codec::seal_sector(bytes)
}

/// Reads a header.
///
/// # Errors
/// `wal.segment_corrupt`, `identity.version`.
pub fn decode_header(bytes: &[u8]) -> Result<(Lineage, LogPoint)> {
    let corrupt = || Error::new(Reason::WalSegmentCorrupt).with("bytes", bytes.len());
    let mut reader = codec::open_sector(bytes, MAGIC).map_err(|fault| fault.refusal(corrupt()))?;
    let mut fields = || {
        if reader.u32()? != 0 {
            return None;
        }
        let lineage = Lineage { database_id: Id(reader.array()?), epoch: reader.u64()? };
        let start = reader.point()?;
        reader.only_zeros_left().then_some((lineage, start))
    };
    fields().ok_or_else(corrupt)
}

/// What comes next in a segment.
#[derive(Debug)]
pub enum Next<'a> {
    /// A proven record, and its bytes.
    Record(Record<'a>, &'a [u8]),
    /// The limit, or the end of the file, exactly behind the last record.
    End,
    /// What stands here is not the record that must.
    Fault(Fault),
}

/// Proves the records of one segment, one after the other, in chunks: memory is bounded by the largest record.
pub struct SegmentReader {
    file: Arc<dyn File>,
    path: PathBuf,
    first: Position,
    limit: Position,
    buffer: Vec<u8>,
    consumed: usize,
    at: Position,
}

impl SegmentReader {
    /// Opens a segment and proves its header; returns the point where its records begin. Reads no further than `limit`.
    ///
    /// # Errors
    /// `wal.segment_missing`, `wal.segment_corrupt`, `identity.other_database`, `identity.version`, `disk.read_failed`.
    pub fn open(
        disk: &dyn Disk,
        directory: &Path,
        first: Position,
        lineage: Lineage,
        limit: Position,
    ) -> Result<(SegmentReader, LogPoint)> {
        let path = directory.join(file_name(first));
        let Some(file) = disk.open(&path, Access::Read)? else {
            return Err(Error::new(Reason::WalSegmentMissing).with("file", path.display()));
        };
        let mut header = vec![0; SECTOR_BYTES];
        let read = file.read_at(0, &mut header)?;
        header.truncate(read);
        let (found, start) = decode_header(&header).map_err(|error| error.with("file", path.display()))?;
        if found.database_id != lineage.database_id || found.epoch != lineage.epoch {
            return Err(Error::new(Reason::IdentityOtherDatabase)
                .with("file", path.display())
                .with("expected", format!("{} epoch {}", lineage.database_id, lineage.epoch))
                .with("found", format!("{} epoch {}", found.database_id, found.epoch)));
        }
        if start.position != first {
            return Err(Error::new(Reason::WalSegmentCorrupt)
                .with("file", path.display())
                .with("first_position", start.position));
        }
        let reader = SegmentReader { file, path, first, limit, buffer: Vec::new(), consumed: 0, at: first };
        Ok((reader, start))
    }

    /// The file it reads.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The same, open.
    pub(super) fn file(&self) -> &Arc<dyn File> {
        &self.file
    }

    /// The length of the file.
    ///
    /// # Errors
    /// `disk.read_failed`.
    pub fn file_len(&self) -> Result<u64> {
        self.file.len()
    }

    /// The next record, which must stand right behind `before`.
    ///
    /// # Errors
    /// `disk.read_failed`. What the bytes are is not an error but the answer.
    pub fn next(&mut self, before: LogPoint) -> Result<Next<'_>> {
        if before.position >= self.limit {
            return Ok(Next::End);
        }
        let have = self.fill(HEADER_BYTES)?;
        if have == 0 {
            return Ok(Next::End);
        }
        let record_len = match Header::decode(self.unread()) {
            Ok(header) => header.record_len(),
            Err(fault) => return Ok(Next::Fault(fault)),
        };
        self.fill(record_len)?;
        let start = self.consumed;
        let bytes = self.buffer.get(start..).unwrap_or_default();
        match record::prove(bytes, before) {
            Ok(record) => {
                self.consumed = start.saturating_add(record_len);
                self.at = record.after.position;
                Ok(Next::Record(record, bytes.get(..record_len).unwrap_or_default()))
            }
            Err(fault) => Ok(Next::Fault(fault)),
        }
    }

    fn unread(&self) -> &[u8] {
        self.buffer.get(self.consumed..).unwrap_or_default()
    }

    /// Makes at least `need` unread bytes available where there are so many; returns how many there are.
    fn fill(&mut self, need: usize) -> Result<usize> {
        let have = self.unread().len();
        if have >= need {
            return Ok(have);
        }
        let left = usize::try_from(self.limit.since(self.at)).unwrap_or(usize::MAX);
        let want = need.max(READ_AHEAD_BYTES).min(left);
        self.buffer.drain(..self.consumed);
        self.consumed = 0;
        self.buffer.resize(want.max(have), 0);
        let from = offset(self.first, self.at).saturating_add(u64::try_from(have).unwrap_or(u64::MAX));
        let read = self.file.read_at(from, self.buffer.get_mut(have..).unwrap_or_default())?;
        self.buffer.truncate(have.saturating_add(read));
        Ok(self.buffer.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commit_id::CommitId;
    use crate::position::History;

    /// FMT-SEGMENT
    #[test]
    fn header_survives_encoding_and_every_flip_is_refused() {
        let lineage = Lineage { database_id: Id([1; 16]), epoch: 2 };
        let start = LogPoint { position: Position(64), history: History(9), commit: CommitId(4) };
        let bytes = encode_header(lineage, start);
        assert_eq!(decode_header(&bytes), Ok((lineage, start)));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode_header(&flipped).unwrap_err().reason(), Reason::WalSegmentCorrupt, "bit {bit}");
        }
    }

    #[test]
    fn names_are_twenty_digits() {
        assert_eq!(parse_name(&file_name(Position(42))), Some(Position(42)));
        assert_eq!(parse_name("42.seg"), None);
        assert_eq!(parse_name("+0000000000000000042.seg"), None);
        assert_eq!(parse_name("99999999999999999999.seg"), None);
    }
}
