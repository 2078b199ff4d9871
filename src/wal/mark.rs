//! MARK: how far the log is durable, and how far its newest segment is blank (FMT-MARK).
//!
//! Written after the fsync of a group and before its acknowledgement, by one write to one sector and without an fsync: after
//! the end of a process it is exact, after the end of a machine it may be older, and it is never ahead of the log. It is
//! evidence, not authority: the log itself says what was committed, the mark says below which position nothing may be missing.

use crate::codec::{self, Put, SECTOR_BYTES};
use crate::disk::{Access, Disk, File};
use crate::error::{Error, Result};
use crate::identity::Id;
use crate::limits;
use crate::position::{LogPoint, Position};
use crate::reason::Reason;
use crate::sync::Arc;
use std::path::Path;

const MAGIC: &[u8; 8] = b"AEROMARK";

/// The name of the mark in `wal/`.
pub const MARK_FILE: &str = "MARK";

/// What the file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Whose log.
    pub database_id: Id,
    /// What blank space looks like on this node.
    pub blank_seed: u64,
    /// First position of the newest segment.
    pub segment: Position,
    /// The newest segment's file is durably blank or written up to here.
    pub allocated: Position,
    /// Nothing before this point may be missing.
    pub durable: LogPoint,
}

impl Mark {
    /// The sector that stands for it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = codec::begin(MAGIC);
        bytes.put_u32(0);
        bytes.extend_from_slice(&self.database_id.0);
        bytes.put_u64(self.blank_seed);
        bytes.put_u64(self.segment.0);
        bytes.put_u64(self.allocated.0);
        bytes.put_point(self.durable);
        codec::seal_sector(bytes)
    }

    /// Reads the mark of a log that nobody writes; its file is handed on.
    ///
    /// # Errors
    /// `wal.mark_corrupt`, `identity.version`, `identity.other_database`, `disk.read_failed`.
    pub(super) fn read(
        disk: &dyn Disk,
        directory: &Path,
        database_id: Id,
        access: Access,
    ) -> Result<(Mark, Arc<dyn File>)> {
        let path = directory.join(MARK_FILE);
        let Some(file) = disk.open(&path, access)? else {
            return Err(Error::new(Reason::WalMarkCorrupt).with("file", path.display()).with("bytes", "absent"));
        };
        let mut bytes = vec![0; SECTOR_BYTES.saturating_add(1)];
        let read = file.read_at(0, &mut bytes)?;
        bytes.truncate(read);
        let mark = Mark::decode(&bytes).map_err(|error| error.with("file", path.display()))?;
        if mark.database_id != database_id {
            return Err(Error::new(Reason::IdentityOtherDatabase)
                .with("file", path.display())
                .with("expected", database_id)
                .with("found", mark.database_id));
        }
        Ok((mark, file))
    }

    /// Reads the mark of a log that somebody may be writing. A read may meet a write half-way, so a mark that does not verify is
    /// read again, a stated number of times; one that verifies is a mark that was written.
    ///
    /// # Errors
    /// `wal.mark_corrupt`, `identity.version`, `identity.other_database`, `disk.read_failed`.
    pub fn read_beside_writer(disk: &dyn Disk, directory: &Path, database_id: Id) -> Result<Mark> {
        until_whole(|| Mark::read(disk, directory, database_id, Access::Read).map(|(mark, _)| mark))
    }

    /// Reads the sector.
    ///
    /// # Errors
    /// `wal.mark_corrupt`, `identity.version`.
    pub fn decode(bytes: &[u8]) -> Result<Mark> {
        let corrupt = || Error::new(Reason::WalMarkCorrupt).with("bytes", bytes.len());
        let mut reader = codec::open_sector(bytes, MAGIC).map_err(|fault| fault.refusal(corrupt()))?;
        let mut fields = || {
            if reader.u32()? != 0 {
                return None;
            }
            let mark = Mark {
                database_id: Id(reader.array()?),
                blank_seed: reader.u64()?,
                segment: Position(reader.u64()?),
                allocated: Position(reader.u64()?),
                durable: reader.point()?,
            };
            reader.only_zeros_left().then_some(mark)
        };
        let mark = fields().ok_or_else(corrupt)?;
        let ordered = mark.segment <= mark.durable.position && mark.durable.position <= mark.allocated;
        if ordered { Ok(mark) } else { Err(corrupt()) }
    }
}

/// The first mark that verifies, or what is wrong with the last.
fn until_whole(mut read: impl FnMut() -> Result<Mark>) -> Result<Mark> {
    let mut outcome = read();
    for _ in 1..limits::MARK_READS_MAX {
        match &outcome {
            Err(error) if error.reason() == Reason::WalMarkCorrupt => outcome = read(),
            Ok(_) | Err(_) => break,
        }
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commit_id::CommitId;
    use crate::position::History;

    /// What a reader meets: half of the new sector before half of the old one, so many times, then all of the new one.
    fn read_beside_a_write(halves: usize) -> (Result<Mark>, usize) {
        let mark = |durable| Mark {
            database_id: Id([3; 16]),
            blank_seed: 11,
            segment: Position(0),
            allocated: Position(4096),
            durable: LogPoint { position: Position(durable), history: History(durable), commit: CommitId(durable) },
        };
        let (old, new) = (mark(40).encode(), mark(80).encode());
        let half = [&new[..256], &old[256..]].concat();
        let mut reads = 0;
        let outcome = until_whole(|| {
            reads += 1;
            Mark::decode(if reads > halves { &new } else { &half })
        });
        (outcome, reads)
    }

    /// FMT-MARK
    #[test]
    fn a_mark_that_is_being_written_is_read_again_and_one_that_stays_broken_is_refused() {
        for halves in [0, 1, limits::MARK_READS_MAX - 1] {
            let (outcome, reads) = read_beside_a_write(halves);
            assert_eq!(outcome.map(|mark| mark.durable.position), Ok(Position(80)), "{halves}");
            assert_eq!(reads, halves + 1);
        }
        let (outcome, reads) = read_beside_a_write(usize::MAX);
        assert_eq!(outcome.map_err(|error| error.reason()), Err(Reason::WalMarkCorrupt));
        assert_eq!(reads, limits::MARK_READS_MAX);
    }

    /// FMT-MARK
    #[test]
    fn mark_survives_encoding_and_every_flip_is_refused() {
        let point = LogPoint { position: Position(40), history: History(5), commit: CommitId(2) };
        let mark = Mark {
            database_id: Id([3; 16]),
            blank_seed: 11,
            segment: Position(8),
            allocated: Position(4096),
            durable: point,
        };
        let bytes = mark.encode();
        assert_eq!(Mark::decode(&bytes), Ok(mark));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Mark::decode(&flipped).unwrap_err().reason(), Reason::WalMarkCorrupt, "bit {bit}");
        }
        let unordered = Mark { allocated: Position(0), ..mark };
        assert_eq!(Mark::decode(&unordered.encode()).unwrap_err().reason(), Reason::WalMarkCorrupt);
    }
}
