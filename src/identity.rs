//! Who a node is: written once by `init`, never changed (FMT-IDENTITY).
//!
//! Roles come from here and from the configuration that must agree with it, and from nowhere else: no election, lease,
//! heartbeat or time-out (R-AUTHORITY). Database id, epoch and store parameters decide every byte of log and runs
//! (R-DETERMINISM); node id and role are the node's own.

use crate::codec::{self, Put};
use crate::disk::{self, Disk};
use crate::error::{Error, Result};
#[cfg(feature = "replication")]
use crate::frame::Shape;
pub use crate::id::Id;
use crate::limits;
use crate::reason::Reason;
use std::fmt;
use std::path::Path;

const MAGIC: &[u8; 8] = b"AEROIDEN";

/// The name of the identity file.
pub const IDENTITY_FILE: &str = "IDENTITY";

/// What a node may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Writes, and knows nothing of replication.
    Standalone,
    /// Writes, and serves its log to replicas.
    Primary,
    /// Follows a primary; writes nothing of its own.
    Replica,
}

impl Role {
    /// Whether a node of this role makes history (R-WRITER).
    #[must_use]
    pub fn writes(self) -> bool {
        match self {
            Role::Standalone | Role::Primary => true,
            Role::Replica => false,
        }
    }

    /// The role's word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Role::Standalone => "standalone",
            Role::Primary => "primary",
            Role::Replica => "replica",
        }
    }

    /// The role of this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Role> {
        [Role::Standalone, Role::Primary, Role::Replica].into_iter().find(|role| role.name() == word)
    }

    fn number(self) -> u8 {
        match self {
            Role::Standalone => 1,
            Role::Primary => 2,
            Role::Replica => 3,
        }
    }

    fn from_number(number: u8) -> Option<Role> {
        [Role::Standalone, Role::Primary, Role::Replica].into_iter().find(|role| role.number() == number)
    }

    /// Refuses a role that this build does not contain (P5-I16).
    ///
    /// # Errors
    /// `role.compiled_out`.
    pub fn check_compiled(self) -> Result<()> {
        if cfg!(feature = "replication") || self == Role::Standalone {
            Ok(())
        } else {
            Err(Error::new(Reason::RoleCompiledOut).with("role", self))
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The parameters that shape every file of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// A segment is sealed before the record that would make it larger.
    pub segment_bytes: u64,
    /// The table is sealed after the record that reaches or crosses a multiple of this position.
    pub table_bytes: u64,
    /// A data block is closed once it holds this much.
    pub block_bytes: u32,
    /// This many runs of a level merge into one of the next.
    pub fanout: u32,
}

impl Default for Parameters {
    fn default() -> Parameters {
        Parameters { segment_bytes: 64 << 20, table_bytes: 16 << 20, block_bytes: 4096, fanout: 4 }
    }
}

#[cfg(feature = "replication")]
impl From<Parameters> for Shape {
    fn from(parameters: Parameters) -> Shape {
        let Parameters { segment_bytes, table_bytes, block_bytes, fanout } = parameters;
        Shape { segment_bytes, table_bytes, block_bytes, fanout }
    }
}

#[cfg(feature = "replication")]
impl From<Shape> for Parameters {
    fn from(shape: Shape) -> Parameters {
        let Shape { segment_bytes, table_bytes, block_bytes, fanout } = shape;
        Parameters { segment_bytes, table_bytes, block_bytes, fanout }
    }
}

impl Parameters {
    /// Refuses parameters outside the limits.
    ///
    /// # Errors
    /// `config.invalid`, naming the parameter.
    pub fn check(&self) -> Result<()> {
        within("segment_bytes", self.segment_bytes, limits::SEGMENT_BYTES)?;
        within("table_bytes", self.table_bytes, limits::TABLE_BYTES)?;
        let (block_min, block_max) = limits::BLOCK_BYTES;
        within("block_bytes", u64::from(self.block_bytes), (block_min.into(), block_max.into()))?;
        let (fanout_min, fanout_max) = limits::FANOUT;
        within("fanout", u64::from(self.fanout), (fanout_min.into(), fanout_max.into()))
    }
}

fn within(name: &'static str, value: u64, (min, max): (u64, u64)) -> Result<()> {
    if (min..=max).contains(&value) {
        Ok(())
    } else {
        Err(Error::new(Reason::ConfigInvalid)
            .with("parameter", name)
            .with("value", value)
            .with("limits", format!("{min}..={max}")))
    }
}

/// Who a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// What the node may do.
    pub role: Role,
    /// Which database.
    pub database_id: Id,
    /// Which node of it.
    pub node_id: Id,
    /// Which line of its history.
    pub epoch: u64,
    /// What shapes its files.
    pub parameters: Parameters,
}

impl Identity {
    /// The sector that stands for it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = codec::begin(MAGIC);
        bytes.put_u8(self.role.number());
        bytes.extend_from_slice(&[0; 3]);
        bytes.extend_from_slice(&self.database_id.0);
        bytes.extend_from_slice(&self.node_id.0);
        bytes.put_u64(self.epoch);
        bytes.put_u64(self.parameters.segment_bytes);
        bytes.put_u64(self.parameters.table_bytes);
        bytes.put_u32(self.parameters.block_bytes);
        bytes.put_u32(self.parameters.fanout);
        codec::seal_sector(bytes)
    }

    /// Reads the sector.
    ///
    /// # Errors
    /// `identity.corrupt`, `identity.version`.
    pub fn decode(bytes: &[u8]) -> Result<Identity> {
        let corrupt = || Error::new(Reason::IdentityCorrupt).with("bytes", bytes.len());
        let mut reader = codec::open_sector(bytes, MAGIC).map_err(|fault| fault.refusal(corrupt()))?;
        let mut fields = || {
            let role = Role::from_number(reader.u8()?)?;
            if reader.array::<3>()? != [0; 3] {
                return None;
            }
            let identity = Identity {
                role,
                database_id: Id(reader.array()?),
                node_id: Id(reader.array()?),
                epoch: reader.u64()?,
                parameters: Parameters {
                    segment_bytes: reader.u64()?,
                    table_bytes: reader.u64()?,
                    block_bytes: reader.u32()?,
                    fanout: reader.u32()?,
                },
            };
            reader.only_zeros_left().then_some(identity)
        };
        let identity = fields().ok_or_else(corrupt)?;
        identity.parameters.check().map_err(|_| corrupt())?;
        Ok(identity)
    }

    /// Reads the identity of a directory.
    ///
    /// # Errors
    /// `dir.not_found` when there is none; `identity.corrupt`, `identity.version`, `disk.read_failed`.
    pub fn read(disk: &dyn Disk, dir: &Path) -> Result<Identity> {
        let path = dir.join(IDENTITY_FILE);
        let Some(file) = disk.open(&path, disk::Access::Read)? else {
            return Err(Error::new(Reason::DirNotFound).with("directory", dir.display()));
        };
        // One byte more than a sector: a longer file is refused, without being read whole.
        let mut bytes = vec![0; codec::SECTOR_BYTES.saturating_add(1)];
        let read = file.read_at(0, &mut bytes)?;
        bytes.truncate(read);
        Identity::decode(&bytes).map_err(|error| error.with("file", path.display()))
    }

    /// Writes the identity of a new directory; after this the directory exists.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn write(&self, disk: &dyn Disk, dir: &Path) -> Result<()> {
        disk::replace_file(disk, &dir.join(IDENTITY_FILE), &self.encode())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Identity {
        Identity {
            role: Role::Primary,
            database_id: Id([1; 16]),
            node_id: Id([2; 16]),
            epoch: 3,
            parameters: Parameters::default(),
        }
    }

    #[test]
    fn identity_survives_encoding_and_every_flip_and_truncation_is_refused() {
        let bytes = example().encode();
        assert_eq!(Identity::decode(&bytes), Ok(example()));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Identity::decode(&flipped), Err(Error::new(Reason::IdentityCorrupt)), "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert_eq!(Identity::decode(&bytes[..len]), Err(Error::new(Reason::IdentityCorrupt)), "length {len}");
        }
    }

    #[test]
    fn parameters_outside_their_limits_are_refused_by_name() {
        let parameters = Parameters { fanout: 1, ..Parameters::default() };
        let error = parameters.check().unwrap_err();
        assert_eq!(error, Error::new(Reason::ConfigInvalid));
        assert_eq!(error.fact("parameter"), Some("fanout"));
    }
}
