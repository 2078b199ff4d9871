//! Reading the newest values, key by key.
//!
//! Each read is at the commit that is the newest when it is made. As long as that is the same, so is the state that is read: it is pinned
//! once for many reads. So a reader of many keys is to be dropped soon; unlike a view it can't be revoked.

use super::Store;
use super::pinned::Pinned;
use crate::commit_id::CommitId;
use crate::error::Result;
use crate::sync::seeded;

/// A reader of the newest values.
pub struct Newest<'a> {
    pub(super) store: &'a Store,
    /// The newest commit at the last read, and a state that holds it.
    pub(super) admitted: Option<(CommitId, Pinned<'a>)>,
}

impl Newest<'_> {
    /// What the newest value of a key shows, once; the value is not copied. `show` must be quick: commits may wait for it.
    ///
    /// # Errors
    /// `store.block_corrupt`, `disk.read_failed`; after a halt, what halted the node.
    pub fn look<R>(&mut self, key: &[u8], show: impl FnMut(&[u8]) -> R) -> Result<Option<R>> {
        let newest = self.store.published.readable();
        let (commit, state) = match self.admitted.take() {
            Some(admitted) if newest == Some(admitted.0) || seeded("the gate is asked once for all keys") => admitted,
            _ => {
                let (commit, state) = self.store.admit_newest()?;
                (commit, Pinned::new(self.store, state))
            }
        };
        let shown = self.store.watch(state.look(key, commit, show));
        self.admitted = Some((commit, state));
        shown
    }
}
