//! Runs: immutable files of versions, sorted by key ascending, then by CommitId descending (FMT-RUN in `docs/formats.md`).
//!
//! ```text
//!  RunWriter ──► file ──► Run ──┬── get         one version, through the cache
//!                               ├── RunCursor   the keys of a view, in either direction, through the cache
//!                               ├── Sequential  every version in order, past the cache: merges
//!                               └── verify      every byte proven
//! ```
//!
//! May assume: a run's file never changes once it has its name. Promises: the bytes are a function of identity, floor, block
//! size and entries alone (R-DETERMINISM); nothing is answered from a block whose checksum, length, order or neighbours were not
//! checked when it was read; damage is `store.block_corrupt` or `store.run_corrupt` with its place, never a panic and never
//! another answer.
//!
//! Deliberately absent: which runs exist and which count (the manifest knows), what a merge drops, mutation of any kind, and
//! threads: everything here runs on its caller's.
//!
//! Invariants: entries are strictly ordered across the whole file; data blocks, partitions, top index and footer follow one
//! another without a gap; each index entry equals the last version of what it points to; commits lie within the identity.

mod block;
mod cache;
mod cursor;
mod entries;
mod filter;
mod index;
mod prefix;
mod reader;
#[cfg(test)]
mod tests;
mod verify;
mod writer;

pub use cache::{Cache, CacheStats};
pub use cursor::{Direction, RunCursor};
pub use entries::Sequential;
pub use filter::key_hash;
pub(super) use prefix::beginning;
pub use reader::{Run, Version};
pub use writer::RunWriter;

use crate::commit_id::CommitId;
use crate::identity::Id;
use std::cmp::Ordering;
use std::fmt;

/// Begins the footer of a run.
const MAGIC: &[u8; 8] = b"AERORUNF";
/// Bytes of the footer.
const FOOTER_BYTES: usize = 256;

/// What a view sees where a walk stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight<'a> {
    /// The view sees this value.
    Value(&'a [u8]),
    /// The view sees that the key was deleted.
    Tombstone,
    /// The view sees no version here. Of many such keys that follow one another only some are shown, each the last of those that were
    /// passed: so a step of a walk is bounded.
    Nothing,
}

/// Keys without a version that the view sees, after which a walk shows how far it is.
pub(super) const PASSED_KEYS: usize = 16;
/// And bytes of blocks that were taken on the way past them.
const PASSED_BYTES: usize = 64 * 1024;

/// Which run: where it stands in the tree, and whose commits it holds. One identity has exactly one possible content.
///
/// Ordered by commits, oldest first; the level only tells apart what holds the same commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RunId {
    /// How many merges lie behind it.
    pub level: u32,
    /// The first commit it holds.
    pub first: CommitId,
    /// The last commit it holds.
    pub last: CommitId,
}

impl RunId {
    /// The name of its file.
    #[must_use]
    pub fn file_name(&self) -> String {
        format!("{self}.run")
    }

    /// Reads what [`RunId::file_name`] writes, and nothing else.
    #[must_use]
    pub fn parse(name: &str) -> Option<RunId> {
        let mut numbers = name.strip_suffix(".run")?.split('-');
        let id = RunId {
            level: numbers.next()?.parse().ok()?,
            first: CommitId(numbers.next()?.parse().ok()?),
            last: CommitId(numbers.next()?.parse().ok()?),
        };
        (id.file_name() == name).then_some(id)
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}-{:020}-{:020}", self.level, self.first.0, self.last.0)
    }
}

impl Ord for RunId {
    fn cmp(&self, other: &RunId) -> Ordering {
        (self.first, self.last, self.level).cmp(&(other.first, other.last, other.level))
    }
}

impl PartialOrd for RunId {
    fn partial_cmp(&self, other: &RunId) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A complete run as the manifest names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunInfo {
    /// Which run.
    pub id: RunId,
    /// Bytes of its file.
    pub size: u64,
    /// xxh3-128 of its file.
    pub hash: u128,
}

/// What a run says of itself, beside its entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunMeta {
    /// Which database it belongs to.
    pub database_id: Id,
    /// Which run.
    pub id: RunId,
    /// The floor that decided what was dropped.
    pub floor: CommitId,
}

/// One version of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The key.
    pub key: &'a [u8],
    /// The commit that wrote it.
    pub commit: CommitId,
    /// The value; `None` is a tombstone: the commit deleted the key.
    pub value: Option<&'a [u8]>,
}

impl<'a> Entry<'a> {
    /// Its place in the order of a run.
    #[must_use]
    pub fn version_key(&self) -> VersionKey<'a> {
        VersionKey { key: self.key, commit: self.commit }
    }
}

/// The place of a version in a run: by key ascending, then by commit descending.
///
/// No version has the commit [`CommitId::NONE`], so that place lies behind all versions of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionKey<'a> {
    /// The key.
    pub key: &'a [u8],
    /// The commit.
    pub commit: CommitId,
}

impl<'a> VersionKey<'a> {
    /// The place of the newest version of a key that a view at `commit` sees.
    #[must_use]
    pub fn at(key: &'a [u8], commit: CommitId) -> VersionKey<'a> {
        VersionKey { key, commit }
    }

    /// Before all versions of a key.
    #[must_use]
    pub fn before(key: &'a [u8]) -> VersionKey<'a> {
        VersionKey { key, commit: CommitId(u64::MAX) }
    }

    /// Behind all versions of a key.
    #[must_use]
    pub fn behind(key: &'a [u8]) -> VersionKey<'a> {
        VersionKey { key, commit: CommitId::NONE }
    }
}

impl Ord for VersionKey<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key.cmp(other.key).then_with(|| other.commit.cmp(&self.commit))
    }
}

impl PartialOrd for VersionKey<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// What is wrong with bytes whose checksum holds: they were not written by a [`RunWriter`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Malformed(&'static str);
