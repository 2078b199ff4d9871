//! Views: reading the database as it was at one commit (M-VIEW).
//!
//! A view pins the state that it was taken from, so it returns the same bytes however many versions pass and wherever the floor
//! goes (M-FLOOR). What views pin beyond the current state is bounded: past the limit the oldest view is revoked, and
//! refused from then on by its own reason. A view is never changed in any other way.

use super::rows::{Range, Rows};
use super::state::State;
use super::Store;
use crate::commit_id::CommitId;
use crate::error::{Error, Result};
use crate::reason::Reason;
use crate::sync::{self, Arc, Mutex, Pin, RwLock, Weak, seeded};
use std::collections::BTreeMap;

/// What a view holds on to; empty once it was revoked.
struct Hold(RwLock<Option<Pin<State>>>);

/// The database at one commit.
pub struct View {
    store: Arc<Store>,
    commit: CommitId,
    number: u64,
    hold: Arc<Hold>,
}

impl View {
    pub(super) fn new(store: &Arc<Store>, commit: CommitId, state: Pin<State>) -> View {
        let hold = Arc::new(Hold(RwLock::new(Some(state))));
        let number = store.views.add(&hold);
        View { store: Arc::clone(store), commit, number, hold }
    }

    /// The commit that this view sees.
    #[must_use]
    pub fn commit(&self) -> CommitId {
        self.commit
    }

    /// The value of a key.
    ///
    /// # Errors
    /// `view.revoked`, `store.block_corrupt`, `disk.read_failed`.
    pub fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.store.watch(self.state()?.get(key, self.commit))
    }

    /// The rows of a range. They go on to be readable if the view is revoked or dropped meanwhile.
    ///
    /// # Errors
    /// `range.invalid`, `view.revoked`, `store.block_corrupt`, `disk.read_failed`.
    pub fn range(&self, range: Range) -> Result<Rows> {
        let state = self.state()?;
        self.store.watch(Rows::new(&self.store, &state, self.commit, range))
    }

    fn state(&self) -> Result<Pin<State>> {
        sync::read(&self.hold.0)
            .clone()
            .ok_or_else(|| Error::new(Reason::ViewRevoked).with("view", self.commit))
    }
}

impl Drop for View {
    fn drop(&mut self) {
        self.store.views.remove(self.number);
        let Some(state) = sync::write(&self.hold.0).take() else { return };
        let number = state.number;
        let looked_early = seeded("a view looks for a newer state before it lets go of its own");
        let still_current = looked_early && self.store.is_current(number);
        // The pin goes before the look: who replaces the state after the look finds the pin gone when it sweeps.
        drop(state);
        // Of a state that was replaced before, this may have been the last pin: maintenance looks again at what can be removed.
        if !still_current && !self.store.is_current(number) {
            self.store.call_maintenance();
        }
    }
}

/// The views that exist, in the order in which they were taken.
#[derive(Default)]
pub(super) struct Views(Mutex<Register>);

#[derive(Default)]
struct Register {
    taken: u64,
    held: BTreeMap<u64, Weak<Hold>>,
}

impl Views {
    fn add(&self, hold: &Arc<Hold>) -> u64 {
        let mut register = sync::lock(&self.0);
        register.taken = register.taken.saturating_add(1);
        let number = register.taken;
        register.held.insert(number, Arc::downgrade(hold));
        number
    }

    fn remove(&self, number: u64) {
        sync::lock(&self.0).held.remove(&number);
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        sync::lock(&self.0).held.len()
    }

    /// Revokes the oldest view that pins anything but `current`; says whether there was one.
    pub(super) fn revoke_oldest(&self, current: &Pin<State>) -> bool {
        let holds: Vec<Arc<Hold>> = sync::lock(&self.0).held.values().filter_map(Weak::upgrade).collect();
        holds.iter().any(|hold| {
            let mut held = sync::write(&hold.0);
            let stale = held.as_ref().is_some_and(|state| !Pin::ptr_eq(state, current));
            let revoked = if stale { held.take() } else { None };
            drop(held);
            revoked.is_some()
        })
    }
}
