//! MARK: how far the log is durable, and how far its newest segment is blank (FMT-MARK).
//!
//! Written after the fsync of a group and before its acknowledgement, by one write to one sector and without an fsync: after
//! the end of a process it is exact, after the end of a machine it may be older, and it is never ahead of the log. It is
//! evidence, not authority: the log itself says what was committed, the mark says below which position nothing may be missing.

use crate::codec::{self, Put, SectorFault};
use crate::error::{Error, Result};
use crate::identity::Id;
use crate::position::{LogPoint, Position};
use crate::reason::Reason;

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

    /// Reads the sector.
    ///
    /// # Errors
    /// `wal.mark_corrupt`, `identity.version`.
    pub fn decode(bytes: &[u8]) -> Result<Mark> {
        let corrupt = || Error::new(Reason::WalMarkCorrupt).with("bytes", bytes.len());
        let mut reader = codec::open_sector(bytes, MAGIC).map_err(|fault| match fault {
            SectorFault::Corrupt => corrupt(),
            SectorFault::Version(version) => Error::new(Reason::IdentityVersion).with("version", version),
        })?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commit_id::CommitId;
    use crate::position::History;

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
