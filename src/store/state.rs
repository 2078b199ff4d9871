//! The state of the store at a moment: one immutable value, replaced as a whole.
//!
//! ```text
//! active table │ sealed tables, newest first │ runs, newest first        newer ──► older
//! ```
//!
//! Each holds a range of commits that follows the one to its right, so the first that has a visible version of a key has the
//! newest one. Whoever loaded a state keeps everything in it alive: a reader never sees a merge happen. The floor stands in
//! the same value as the runs that it let shrink, so a view can't be admitted by one and read from the other.

use super::manifest::Manifest;
use super::run::{Run, key_hash};
use super::table::Table;
use crate::commit_id::CommitId;
use crate::error::Result;
use crate::position::LogPoint;
use crate::sync::{Arc, Pin};

/// A table that takes no more commits and waits to become a run.
#[derive(Debug)]
pub struct SealedTable {
    /// Its versions.
    pub table: Pin<Table>,
    /// Its first commit; greater than `last` if it holds none.
    pub first: CommitId,
    /// The last commit up to it.
    pub last: CommitId,
    /// The log right behind the record that sealed it.
    pub point: LogPoint,
    /// The floor there.
    pub floor: CommitId,
}

/// Everything that a view reads from.
#[derive(Clone)]
pub struct State {
    /// How many states there were before it.
    pub number: u64,
    /// The table that commits go into.
    pub active: Pin<Table>,
    /// Newest first.
    pub sealed: Vec<Pin<SealedTable>>,
    /// Newest first.
    pub runs: Vec<Pin<Run>>,
    /// The lowest readable commit.
    pub floor: CommitId,
    /// The runs hold everything up to here, durably.
    pub checkpoint: LogPoint,
    /// The manifest that is durable, of this checkpoint and of exactly these runs.
    pub manifest: Arc<Manifest>,
}

/// What was replaced, and is to go once nobody keeps it.
pub(crate) trait Replaced {
    /// Whether this run was.
    fn has_run(&self, run: &Pin<Run>) -> bool;

    /// Whether this table was.
    fn has_table(&self, table: &Pin<Table>) -> bool;
}

impl State {
    /// Whether it keeps alive what was replaced.
    pub(super) fn keeps(&self, replaced: &dyn Replaced) -> bool {
        let sealed = self.sealed.iter().map(|sealed| &sealed.table);
        self.runs.iter().any(|run| replaced.has_run(run))
            || std::iter::once(&self.active).chain(sealed).any(|table| replaced.has_table(table))
    }

    /// The tables in which a view at a commit may find anything, newest first.
    pub(super) fn tables(&self, at: CommitId) -> impl Iterator<Item = &Pin<Table>> {
        let before_active = self.sealed.first().map_or(self.checkpoint.commit, |sealed| sealed.last);
        let active = std::iter::once((before_active.next(), &self.active));
        let sealed = self.sealed.iter().map(|sealed| (sealed.first, &sealed.table));
        active.chain(sealed).filter(move |(first, _)| *first <= at).map(|(_, table)| table)
    }

    /// What the value of a key at a commit shows, once. It stands under a lock meanwhile, unless it is long.
    ///
    /// # Errors
    /// `store.block_corrupt`, `disk.read_failed`.
    pub fn look<R>(&self, key: &[u8], at: CommitId, show: impl FnMut(&[u8]) -> R) -> Result<Option<R>> {
        Ok(self.find(key, at, show)?.and_then(|(_, shown)| shown))
    }

    /// The commit that wrote a key last, up to a commit, and the length of what it wrote; `None` in its place is a tombstone.
    ///
    /// # Errors
    /// `store.block_corrupt`, `disk.read_failed`.
    pub fn newest(&self, key: &[u8], at: CommitId) -> Result<Option<(CommitId, Option<usize>)>> {
        self.find(key, at, <[u8]>::len)
    }

    fn find<R>(
        &self,
        key: &[u8],
        at: CommitId,
        mut show: impl FnMut(&[u8]) -> R,
    ) -> Result<Option<(CommitId, Option<R>)>> {
        let hash = key_hash(key);
        if let Some(found) = self.tables(at).find_map(|table| table.look(key, hash, at, &mut show)) {
            return Ok(Some(found));
        }
        for run in &self.runs {
            let found = run.look(key, hash, at, &mut show)?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }
}
