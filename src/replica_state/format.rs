//! A generation as bytes, and what is left of one (FMT-REPLICA).
//!
//! A generation is eight sectors. Each proves itself and names its generation, so that what a crash left of a write is told from what rot
//! left of a file: a crash leaves whole sectors, old ones and new ones.

use super::{Halt, Install, Origin, ReplicaState};
use crate::codec::{self, Put, Reader, SECTOR_BYTES};
use crate::commit_id::CommitId;
use crate::error::{Error, Result};
use crate::id::Id;
use crate::limits;
use crate::position::{LogPoint, Position};
use crate::reason::Reason;

const MAGIC: &[u8; 8] = b"AEROREPS";
const SECTORS: usize = 8;
/// Bytes of a generation, and of each of the two files.
pub(super) const GENERATION_BYTES: usize = SECTORS * SECTOR_BYTES;
/// Bytes of a sector between its header and its checksum.
const SHARE_BYTES: usize = SECTOR_BYTES - 28;
/// A generation beyond this was never written: numbers have room to go on.
const GENERATION_MAX: u64 = u64::MAX >> 1;

/// What was written once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Generation {
    pub(super) number: u64,
    /// The number of the one that counted before it, and stands in the other file; 0 for the first.
    pub(super) before: u64,
    pub(super) state: ReplicaState,
}

/// What a file holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Copy {
    /// One generation, whole.
    Whole(Generation),
    /// Sectors of several generations, up to this one: the last write to the file was not completed.
    Torn(u64),
    /// A sector does not verify; those that do are of this one generation, if there are any.
    Damaged(Option<u64>),
}

impl Generation {
    pub(super) fn encode(&self) -> Vec<u8> {
        let ReplicaState { database_id, node_id, primary, applied, origin, install, halt } = &self.state;
        let mut fields = Vec::new();
        fields.put_u64(self.before);
        fields.extend_from_slice(&database_id.0);
        fields.extend_from_slice(&node_id.0);
        fields.extend_from_slice(&primary.unwrap_or_default().0);
        fields.put_point(*applied);
        let (origin, cut) = match origin {
            Origin::Log => (1, LogPoint::default()),
            Origin::Snapshot(cut) => (2, *cut),
            Origin::Backup(cut) => (3, *cut),
            Origin::Nothing => (4, LogPoint::default()),
        };
        fields.put_u8(origin);
        fields.put_u8(match install {
            None => 0,
            Some(Install::Clearing) => 1,
            Some(Install::Moving) => 2,
        });
        fields.extend_from_slice(&[0; 6]);
        fields.put_point(cut);
        let evidence = halt.as_ref().map(|halt| codec::shortened(&halt.evidence, limits::HALT_EVIDENCE_BYTES_MAX));
        let evidence = evidence.unwrap_or_default();
        fields.put_u16(halt.as_ref().map_or(0, |halt| halt.reason.number().into()));
        fields.put_u16(u16::try_from(evidence.len()).unwrap_or_default());
        fields.put_u32(0);
        fields.put_u64(halt.as_ref().map_or(0, |halt| halt.position.0));
        fields.extend_from_slice(evidence.as_bytes());
        fields.resize(SECTORS * SHARE_BYTES, 0);

        let mut bytes = Vec::with_capacity(GENERATION_BYTES);
        for (index, share) in fields.chunks(SHARE_BYTES).enumerate() {
            let mut sector = codec::begin(MAGIC);
            sector.put_len32(index);
            sector.put_u64(self.number);
            sector.extend_from_slice(share);
            bytes.extend_from_slice(&codec::seal_sector(sector));
        }
        bytes
    }
}

impl Copy {
    /// What the bytes of a file are.
    ///
    /// # Errors
    /// `identity.version`; `replica.state_corrupt` where all sectors verify and say what can't be.
    pub(super) fn read(bytes: &[u8]) -> Result<Copy> {
        let corrupt = || Error::new(Reason::ReplicaStateCorrupt).with("bytes", bytes.len());
        let (mut fields, mut sound) = (Vec::new(), Vec::new());
        // Of a file that is longer or shorter, no sector stands where it was written.
        let sectors = if bytes.len() == GENERATION_BYTES { bytes } else { &[] };
        for (index, sector) in sectors.chunks(SECTOR_BYTES).enumerate() {
            let mut reader = match codec::open_sector(sector, MAGIC) {
                Ok(reader) => reader,
                Err(codec::SectorFault::Corrupt) => continue,
                Err(fault @ codec::SectorFault::Version(_)) => return Err(fault.refusal(corrupt())),
            };
            let header = (reader.len32(), reader.u64());
            if let (Some(at), Some(number @ 1..=GENERATION_MAX)) = header
                && at == index
            {
                sound.push(number);
                fields.extend_from_slice(reader.rest());
            }
        }
        let (lowest, highest) = (sound.iter().min().copied(), sound.iter().max().copied());
        match (lowest, highest) {
            (Some(lowest), Some(highest)) if lowest < highest => Ok(Copy::Torn(highest)),
            (Some(number), _) if sound.len() == SECTORS => {
                Ok(Copy::Whole(generation(number, Reader::new(&fields))?.ok_or_else(corrupt)?))
            }
            (number, _) => Ok(Copy::Damaged(number)),
        }
    }
}

fn generation(number: u64, mut reader: Reader<'_>) -> Result<Option<Generation>> {
    let Some((before, state, reason, position, evidence)) = fields(&mut reader) else { return Ok(None) };
    if before >= number || !reader.only_zeros_left() {
        return Ok(None);
    }
    if reason == 0 {
        let nothing = evidence.is_empty() && position == Position::GENESIS;
        return Ok(nothing.then_some(Generation { number, before, state }));
    }
    // It verifies: a program wrote it that knows more reasons.
    let known = Reason::ALL.iter().find(|known| u16::from(known.number()) == reason);
    let known = known.ok_or_else(|| Error::new(Reason::IdentityVersion).with("halt_reason", reason))?;
    let halt = Some(Halt { reason: *known, position, evidence });
    Ok(Some(Generation { number, before, state: ReplicaState { halt, ..state } }))
}

fn fields(reader: &mut Reader<'_>) -> Option<(u64, ReplicaState, u16, Position, String)> {
    let before = reader.u64()?;
    let (database_id, node_id) = (Id(reader.array()?), Id(reader.array()?));
    let (primary, applied) = (Id(reader.array()?), point(reader)?);
    let primary = (primary != Id::default()).then_some(primary);
    let (origin, install, reserved, cut) = (reader.u8()?, reader.u8()?, reader.array::<6>()?, point(reader)?);
    let origin = match origin {
        1 if cut == LogPoint::default() => Origin::Log,
        2 => Origin::Snapshot(cut),
        3 => Origin::Backup(cut),
        4 if cut == LogPoint::default() => Origin::Nothing,
        _ => return None,
    };
    let install = match (install, origin) {
        (0, _) => None,
        (1, Origin::Snapshot(_)) => Some(Install::Clearing),
        (2, Origin::Snapshot(_)) => Some(Install::Moving),
        _ => return None,
    };
    let (reason, len, zero) = (reader.u16()?, usize::from(reader.u16()?), reader.u32()?);
    let position = Position(reader.u64()?);
    if reserved != [0; 6] || zero != 0 || len > limits::HALT_EVIDENCE_BYTES_MAX {
        return None;
    }
    let evidence = std::str::from_utf8(reader.take(len)?).ok()?.to_owned();
    let state = ReplicaState { database_id, node_id, primary, applied, origin, install, halt: None };
    Some((before, state, reason, position, evidence))
}

/// A point whose commit can be one.
fn point(reader: &mut Reader<'_>) -> Option<LogPoint> {
    reader.point().filter(|point| point.commit <= CommitId::MAX)
}
