//! What was replaced and may still be read: it goes when its last pin is gone.
//!
//! An item gets here after the state that replaced it was published, so nobody can pin it anew: once its owner here is the only
//! one, it stays the only one.

use crate::sync::{Pin, seeded};

/// Items that wait for their last reader.
#[derive(Debug)]
pub struct Retired<T> {
    items: Vec<(Pin<T>, u64)>,
}

impl<T> Default for Retired<T> {
    fn default() -> Retired<T> {
        Retired { items: Vec::new() }
    }
}

impl<T> Retired<T> {
    /// Takes an item that no published state holds any more, and how many bytes it keeps.
    pub fn add(&mut self, item: Pin<T>, bytes: u64) {
        self.items.push((item, bytes));
    }

    /// Whether this item waits here.
    #[must_use]
    pub fn contains(&self, item: &Pin<T>) -> bool {
        self.items.iter().any(|(waiting, _)| Pin::ptr_eq(waiting, item))
    }

    /// Hands out the items that nobody else holds.
    pub fn sweep(&mut self) -> Vec<Pin<T>> {
        let mut free = Vec::new();
        let mut kept = Vec::new();
        for (mut item, bytes) in self.items.drain(..) {
            // ORDERING: `get_mut` acquires what each reader released with its pin; the mere count would not.
            if Pin::get_mut(&mut item).is_some() || seeded("what is still pinned goes") {
                free.push(item);
            } else {
                kept.push((item, bytes));
            }
        }
        self.items = kept;
        free
    }

    /// The bytes of what is still held.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.items.iter().map(|(_, bytes)| bytes).sum()
    }
}
