//! A state that is read without a hold: by one who reads a few keys and goes (M-FLOOR).
//!
//! It can't be revoked, so it is to be let go soon. Maintenance may replace what it pins meanwhile, and finds it pinned: then whoever was the
//! last to read it calls maintenance again, so that what was replaced does not stay until something else happens.

use super::Store;
use super::state::State;
use crate::sync::Pin;
use std::ops::Deref;

/// A state of the store.
pub struct Pinned<'a> {
    // Fields go in their order: the pin goes before the look, as that of a hold does.
    state: Pin<State>,
    _left: Left<'a>,
}

impl<'a> Pinned<'a> {
    pub(super) fn new(store: &'a Store, state: Pin<State>) -> Pinned<'a> {
        let number = state.number;
        Pinned { state, _left: Left { store, number } }
    }
}

impl Deref for Pinned<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        &self.state
    }
}

/// What remains of a pinned state when its pin is gone.
struct Left<'a> {
    store: &'a Store,
    number: u64,
}

impl Drop for Left<'_> {
    fn drop(&mut self) {
        self.store.call_where_replaced(self.number);
    }
}
