//! Views: reading the database as it was at one commit (M-VIEW).
//!
//! A view pins the state that it was taken from, so it returns the same bytes however many versions pass and wherever the floor
//! goes (M-FLOOR). What views and ranges pin beyond the current state is bounded: past the limit the oldest is revoked, and
//! refused from then on by its own reason (`hold.rs`). A view is never changed in any other way.

use super::Store;
use super::hold::Hold;
use super::rows::{Range, Rows};
use super::state::State;
use crate::commit_id::CommitId;
use crate::error::Result;
use crate::sync::{Arc, Pin};

/// The database at one commit.
pub struct View {
    hold: Hold<Pin<State>>,
}

impl View {
    pub(super) fn new(store: &Arc<Store>, commit: CommitId, state: Pin<State>) -> View {
        View { hold: Hold::new(store, commit, state) }
    }

    /// The commit that this view sees.
    #[must_use]
    pub fn commit(&self) -> CommitId {
        self.hold.at()
    }

    /// The value of a key.
    ///
    /// # Errors
    /// `view.revoked`, `store.block_corrupt`, `disk.read_failed`.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.look(key, <[u8]>::to_vec)
    }

    /// The length of the value of a key; the value is not copied.
    ///
    /// # Errors
    /// As [`View::get`].
    pub fn len(&self, key: &[u8]) -> Result<Option<usize>> {
        self.look(key, <[u8]>::len)
    }

    /// What the value of a key shows, once; the value is not copied. `show` must be quick: commits may wait for it.
    ///
    /// # Errors
    /// As [`View::get`].
    pub fn look<R>(&self, key: &[u8], show: impl FnMut(&[u8]) -> R) -> Result<Option<R>> {
        self.hold.read(|state| state.look(key, self.commit(), show))
    }

    /// The commit that wrote a key last, up to `upto`, and the length of what it wrote; `None` in its place is a tombstone. It is what the state holds that this view
    /// pins, also beyond its commit: only who looked at the published commit together with that state may ask for more than this view sees. Versions that nothing can see any
    /// more may be gone.
    ///
    /// # Errors
    /// As [`View::get`].
    pub(crate) fn version(&self, key: &[u8], upto: CommitId) -> Result<Option<(CommitId, Option<usize>)>> {
        self.hold.read(|state| state.newest(key, upto))
    }

    /// The rows of a range. They go on to be readable when the view is dropped, and pin as much as it did; past the limit of
    /// pinned bytes they are revoked as views are.
    ///
    /// # Errors
    /// `range.invalid`, `view.revoked`, `store.block_corrupt`, `disk.read_failed`.
    pub fn range(&self, range: Range) -> Result<Rows> {
        self.hold.read(|state| Rows::new(self.hold.store(), state, self.commit(), range))
    }
}
