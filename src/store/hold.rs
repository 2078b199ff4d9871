//! Holds: what a reader pins, so that it can be taken from it (M-FLOOR).
//!
//! A view and the rows of a range each keep a state alive, with all its tables and runs; a snapshot keeps the runs of a checkpoint. They keep
//! it behind a hold, which stands in the register of the store. Past the limit of pinned bytes maintenance takes away what is held, the oldest state first, and only
//! where it keeps alive what was replaced; whoever reads on is refused by its own reason.
//!
//! A read goes on under the lock of its hold. So once a hold was revoked nothing of it is pinned, not even by a read that had begun; and
//! a revocation waits for one read of a view, or for one step of a range, at most.
//!
//! The register is never locked while a hold is waited for.

use super::Store;
use super::state::{Replaced, State};
use crate::commit_id::CommitId;
use crate::error::{Error, Result};
use crate::reason::Reason;
use crate::sync::{self, Arc, Mutex, Pin, RwLock, Weak, seeded};
use std::collections::BTreeMap;

/// Who holds something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holder {
    /// A view.
    View,
    /// The rows of a range.
    Rows,
    /// A snapshot that is served.
    Snapshot,
}

/// What keeps a state alive, or a part of one.
pub(super) trait Pins: Send + Sync + 'static {
    /// Who holds it.
    const HOLDER: Holder;

    /// The number of the state.
    fn number(&self) -> u64;

    /// Whether it keeps alive what was replaced.
    fn keeps(&self, replaced: &dyn Replaced) -> bool;
}

impl Pins for Pin<State> {
    const HOLDER: Holder = Holder::View;

    fn number(&self) -> u64 {
        self.number
    }

    fn keeps(&self, replaced: &dyn Replaced) -> bool {
        State::keeps(self, replaced)
    }
}

/// What is held; nothing once it was revoked.
struct Held<T>(RwLock<Option<T>>);

trait Revocable: Send + Sync {
    /// Takes away what is held if it keeps alive what was replaced; says whether it did.
    fn revoke_if_it_keeps(&self, replaced: &dyn Replaced) -> bool;
}

impl<T: Pins> Revocable for Held<T> {
    fn revoke_if_it_keeps(&self, replaced: &dyn Replaced) -> bool {
        let meant = sync::read(&self.0).as_ref().is_some_and(|held| held.keeps(replaced));
        if meant {
            // Dropped outside the lock: it may be the last owner of a large table.
            let revoked = sync::write(&self.0).take();
            drop(revoked);
        }
        meant
    }
}

/// A reader's hold on a state.
pub(super) struct Hold<T: Pins> {
    store: Arc<Store>,
    at: CommitId,
    place: Place,
    held: Arc<Held<T>>,
}

impl<T: Pins> Hold<T> {
    /// Holds what a reader at a commit reads from.
    pub(super) fn new(store: &Arc<Store>, at: CommitId, held: T) -> Hold<T> {
        let state = held.number();
        let held = Arc::new(Held(RwLock::new(Some(held))));
        let entry: Weak<Held<T>> = Arc::downgrade(&held);
        let place = store.holds.add(state, Entry { holder: T::HOLDER, held: entry });
        Hold { store: Arc::clone(store), at, place, held }
    }

    /// The commit that it reads at.
    pub(super) fn at(&self) -> CommitId {
        self.at
    }

    /// The store that it reads from.
    pub(super) fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// Reads from what is held, beside others. Corruption halts the node (D-CORRUPT).
    ///
    /// # Errors
    /// `view.revoked`, and those of the read.
    pub(super) fn read<R>(&self, read: impl FnOnce(&T) -> Result<R>) -> Result<R> {
        let outcome = sync::read(&self.held.0).as_ref().map_or_else(|| Err(self.revoked()), read);
        self.store.watch(outcome)
    }

    /// Reads on in what is held, alone. Corruption halts the node (D-CORRUPT).
    ///
    /// # Errors
    /// `view.revoked`, and those of the read.
    pub(super) fn advance<R>(&mut self, read: impl FnOnce(&mut T) -> Result<R>) -> Result<R> {
        let outcome = sync::write(&self.held.0).as_mut().map_or_else(|| Err(self.revoked()), read);
        self.store.watch(outcome)
    }

    #[cold]
    fn revoked(&self) -> Error {
        Error::new(Reason::ViewRevoked).with("view", self.at)
    }
}

impl<T: Pins> Drop for Hold<T> {
    fn drop(&mut self) {
        self.store.holds.remove(self.place);
        let Some(held) = sync::write(&self.held.0).take() else { return };
        let (number, _) = self.place;
        let looked_early = seeded("a reader looks for a newer state before it lets go of its own");
        let still_current = looked_early && self.store.is_current(number);
        // The pin goes before the look: who replaces the state after the look finds the pin gone when it sweeps.
        drop(held);
        if !still_current {
            self.store.call_where_replaced(number);
        }
    }
}

/// The number of the state that is held, and how many holds there were before. The oldest state is the smallest place.
type Place = (u64, u64);

struct Entry {
    holder: Holder,
    held: Weak<dyn Revocable>,
}

/// The holds that exist, those on the oldest state first.
#[derive(Default)]
pub(super) struct Holds(Mutex<Register>);

#[derive(Default)]
struct Register {
    taken: u64,
    entries: BTreeMap<Place, Entry>,
}

impl Holds {
    fn add(&self, state: u64, entry: Entry) -> Place {
        let mut register = sync::lock(&self.0);
        register.taken = register.taken.saturating_add(1);
        let place = (state, register.taken);
        register.entries.insert(place, entry);
        place
    }

    fn remove(&self, place: Place) {
        sync::lock(&self.0).entries.remove(&place);
    }

    /// How many of these there are.
    pub(super) fn count(&self, holder: Holder) -> usize {
        sync::lock(&self.0).entries.values().filter(|entry| entry.holder == holder).count()
    }

    /// Revokes the oldest hold that keeps alive what was replaced; says whether there was one.
    pub(super) fn revoke_oldest(&self, replaced: &dyn Replaced) -> bool {
        let held: Vec<Arc<dyn Revocable>> =
            sync::lock(&self.0).entries.values().filter_map(|entry| entry.held.upgrade()).collect();
        held.iter().any(|held| held.revoke_if_it_keeps(replaced))
    }
}
