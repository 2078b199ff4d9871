//! What a record says, as much of it as a person needs: its first operations, the beginnings of their keys and values.
//!
//! Pure. What is shown is bounded, however long the record is.

use crate::batch;
use crate::commit_id::CommitId;
use crate::error::{Error, Result};
use crate::position::LogPoint;
use crate::reason::Reason;
use crate::record::{self, Content, HEADER_BYTES, Header, Kind, Purpose};
use crate::store::run::RunInfo;

/// Most operations that are shown of a commit.
pub const OPERATIONS_MAX: usize = 16;
/// Most bytes that are shown of a key or of a value.
pub const SHOWN_BYTES: usize = 64;

/// A record that only one of the logs has there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// What it is.
    pub kind: Kind,
    /// The log with it.
    pub after: LogPoint,
    /// What it says.
    pub said: Said,
}

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// The first operations of a commit, each a key and the value that it puts, if it does not delete; and how many there are.
    Commit {
        /// The first of them.
        first: Vec<(Excerpt, Option<Excerpt>)>,
        /// How many there are.
        count: usize,
    },
    /// The new floor.
    Floor(CommitId),
    /// A run that is complete.
    Proof(RunInfo),
    /// The table is sealed here.
    Cut(Purpose),
    /// The segment ends.
    Seal,
}

/// The beginning of some bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    /// The first of them.
    pub beginning: Vec<u8>,
    /// How many there are.
    pub len: usize,
}

impl Excerpt {
    pub(super) fn of(bytes: &[u8], len: usize) -> Excerpt {
        Excerpt { beginning: bytes.iter().copied().take(SHOWN_BYTES).collect(), len }
    }
}

impl Written {
    /// Reads a record of which at least the beginning is there, behind a point. All of it is proven where all of it is there.
    ///
    /// # Errors
    /// `wal.corrupt`.
    pub fn read(bytes: &[u8], before: LogPoint, after: LogPoint) -> Result<Written> {
        let corrupt = |fault: &dyn std::fmt::Display| {
            Error::new(Reason::WalCorrupt).with("position", before.position).with("fault", fault)
        };
        let header = Header::decode(bytes).map_err(|fault| corrupt(&fault))?;
        let kind = header.kind;
        if kind == Kind::Commit && bytes.len() < header.record_len() {
            let (count, first) = batch::glimpse(bytes.get(HEADER_BYTES..).unwrap_or_default(), OPERATIONS_MAX);
            let value = |(value, len): (&[u8], usize)| Excerpt::of(value, len);
            let shown = first.into_iter().map(|one| (Excerpt::of(one.key, one.key.len()), one.value.map(value)));
            return Ok(Written { kind, after, said: Said::Commit { first: shown.collect(), count } });
        }
        let record = record::prove(bytes, before).map_err(|fault| corrupt(&fault))?;
        if record.after != after {
            return Err(corrupt(&"another record").with("expected", after).with("found", record.after));
        }
        let said = match record.content {
            Content::Commit(operations) => {
                let excerpt = |bytes: &[u8]| Excerpt::of(bytes, bytes.len());
                let shown = operations.clone().take(OPERATIONS_MAX);
                let first = shown.map(|one| (excerpt(one.key), one.value.map(excerpt))).collect();
                Said::Commit { first, count: operations.count() }
            }
            Content::Floor(floor) => Said::Floor(floor),
            Content::Proof(proof) => Said::Proof(RunInfo::from(&proof)),
            Content::Cut(purpose) => Said::Cut(purpose),
            Content::Seal => Said::Seal,
        };
        Ok(Written { kind, after, said })
    }
}
