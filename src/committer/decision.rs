//! Decisions: orders whose batch depends on what the keys hold when it is their turn (R-DECIDE).
//!
//! The committer carries out one order after the other, so a decision that it makes itself, at the decision's place in that order, is
//! atomic without a lock and without a second try. A decision sees everything that was ordered before it, also what its own group
//! has not made durable yet; therefore it is answered only when that is durable, even if it commits nothing.
//!
//! Runs on the committer's thread: everyone who writes waits for it, so it reads a few keys and does no more.

use crate::batch::Batch;
use crate::commit_id::CommitId;
use crate::error::Result;
use crate::store::{Pinned, Store};
use crate::sync::Arc;
use std::collections::BTreeMap;
use std::fmt;

/// What decides, called once.
type Decide = dyn Fn(&Latest<'_>) -> Result<Option<Batch>> + Send + Sync;

/// What to commit, decided by the committer; nothing, where it decides for nothing.
#[derive(Clone)]
pub struct Decision {
    decide: Arc<Decide>,
    bytes: usize,
}

impl Decision {
    /// A decision.
    #[must_use]
    pub fn new(decide: impl Fn(&Latest<'_>) -> Result<Option<Batch>> + Send + Sync + 'static) -> Decision {
        Decision { decide: Arc::new(decide), bytes: 0 }
    }

    /// The same, which brings so many bytes with it: they count as those of a batch do.
    #[must_use]
    pub fn with_bytes(self, bytes: usize) -> Decision {
        Decision { bytes, ..self }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn decide(&self, latest: &Latest<'_>) -> Result<Option<Batch>> {
        (self.decide)(latest)
    }
}

impl fmt::Debug for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Decision")
    }
}

/// What the batches of a group say of keys, before they are applied: the last operation on each.
#[derive(Default)]
pub(super) struct Pending<'a> {
    operations: BTreeMap<&'a [u8], Option<&'a [u8]>>,
}

impl<'a> Pending<'a> {
    pub(super) fn add(&mut self, batch: &'a Batch) {
        self.operations.extend(batch.operations().map(|operation| (operation.key, operation.value)));
    }
}

/// The database as it is when a decision is made: with every commit before it, and none after.
pub struct Latest<'a> {
    pub(super) store: &'a Store,
    pub(super) state: Pinned<'a>,
    /// The last commit that was applied.
    pub(super) applied: CommitId,
    pub(super) pending: &'a Pending<'a>,
    /// The last commit that was ordered.
    pub(super) commit: CommitId,
}

impl Latest<'_> {
    /// The last commit before the decision.
    #[must_use]
    pub fn commit(&self) -> CommitId {
        self.commit
    }

    /// The value of a key.
    ///
    /// # Errors
    /// `store.block_corrupt`, `disk.read_failed`.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.look(key, <[u8]>::to_vec)
    }

    /// What the value of a key shows, once; the value is not copied.
    ///
    /// # Errors
    /// As [`Latest::get`].
    pub fn look<R>(&self, key: &[u8], show: impl FnMut(&[u8]) -> R) -> Result<Option<R>> {
        match self.pending.operations.get(key) {
            Some(value) => Ok(value.map(show)),
            None => self.store.watch(self.state.look(key, self.applied, show)),
        }
    }

    /// Whether a commit after this one wrote the key, or may have: below the floor nobody can tell. With it the length of the value that
    /// was met on the way.
    ///
    /// # Errors
    /// `store.block_corrupt`, `disk.read_failed`.
    pub fn changed_since(&self, key: &[u8], commit: CommitId) -> Result<(bool, usize)> {
        if commit < self.state.floor || self.pending.operations.contains_key(key) {
            return Ok((true, 0));
        }
        let newest = self.store.watch(self.state.newest(key, self.applied))?;
        Ok(newest.map_or((false, 0), |(newest, bytes)| (newest > commit, bytes.unwrap_or(0))))
    }
}
