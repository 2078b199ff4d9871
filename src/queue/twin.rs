//! The queue as the models see it: what `standard.rs` promises, over a mutex and two condition variables.
//!
//! loom can't look into the standard library's channel, so under `--cfg aerodb_loom` this stands in its place; the product never
//! contains it. It is written to be obviously right rather than fast, and the conformance test (`tests.rs`) holds both to the
//! same results.
//!
//! * `items.len() <= capacity`.
//! * A sender waits only while the queue is full and the receiver lives; the receiver waits only while the queue is empty and
//!   a sender lives.
//! * Whoever ends one of these conditions notifies after leaving the lock: one waiter for one item or one place, all of them
//!   when the receiver goes. No item is dropped inside the lock, since it may hold a sender of this very queue.

use super::{Disconnected, TryRecv, TrySend};
use crate::sync::{Arc, Condvar, Mutex, MutexGuard, lock, seeded, wait_while};
use std::collections::VecDeque;

/// A queue that holds at most `capacity` items.
///
/// # Panics
/// When the capacity is zero.
#[must_use]
pub fn bounded<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    assert!(capacity >= 1, "a queue has room for an item");
    let state = State { items: VecDeque::new(), capacity, senders: 1, receiver: true };
    let shared = Arc::new(Shared { state: Mutex::new(state), arrived: Condvar::new(), room: Condvar::new() });
    (Sender(Arc::clone(&shared)), Receiver(shared))
}

/// The side that puts items in.
#[derive(Debug)]
pub struct Sender<T>(Arc<Shared<T>>);

/// The side that takes items out. The items that it leaves when it goes are dropped.
#[derive(Debug)]
pub struct Receiver<T>(Arc<Shared<T>>);

#[derive(Debug)]
struct Shared<T> {
    state: Mutex<State<T>>,
    /// The receiver waits here for an item, or for the last sender to go.
    arrived: Condvar,
    /// Senders wait here for room, or for the receiver to go.
    room: Condvar,
}

#[derive(Debug)]
struct State<T> {
    items: VecDeque<T>,
    capacity: usize,
    senders: usize,
    receiver: bool,
}

impl<T> State<T> {
    fn full(&self) -> bool {
        self.items.len() >= self.capacity
    }

    fn drained(&self) -> bool {
        self.items.is_empty() || (self.senders == 0 && seeded("the last sender takes its items along"))
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        if !seeded("a cloned sender is not counted") {
            lock(&self.0.state).senders += 1;
        }
        Sender(Arc::clone(&self.0))
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        state.senders -= 1;
        let last = state.senders == 0;
        drop(state);
        if last {
            self.0.arrived.notify_one();
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        state.receiver = false;
        let left = if seeded("items stay when the receiver goes") {
            VecDeque::new()
        } else {
            std::mem::take(&mut state.items)
        };
        drop(state);
        self.0.room.notify_all();
        drop(left);
    }
}

impl<T> Sender<T> {
    /// Puts an item in, waiting for room.
    ///
    /// # Errors
    /// When the receiver is gone.
    pub fn send(&self, item: T) -> Result<(), Disconnected<T>> {
        let state = wait_while(&self.0.room, lock(&self.0.state), |state| state.receiver && state.full());
        if state.receiver {
            self.put(state, item);
            Ok(())
        } else {
            Err(Disconnected(item))
        }
    }

    /// Puts an item in if there is room now.
    ///
    /// # Errors
    /// When there is no room, or the receiver is gone.
    pub fn try_send(&self, item: T) -> Result<(), TrySend<T>> {
        let state = lock(&self.0.state);
        if !state.receiver {
            Err(TrySend::Disconnected(item))
        } else if state.full() && !seeded("try_send does not look for room") {
            Err(TrySend::Full(item))
        } else {
            self.put(state, item);
            Ok(())
        }
    }

    fn put(&self, mut state: MutexGuard<'_, State<T>>, item: T) {
        state.items.push_back(item);
        assert!(state.items.len() <= state.capacity, "a queue holds at most its capacity");
        drop(state);
        self.0.arrived.notify_one();
    }
}

impl<T> Receiver<T> {
    /// Takes the oldest item, waiting for one.
    ///
    /// # Errors
    /// When the queue is empty and every sender is gone.
    pub fn recv(&self) -> Result<T, Disconnected> {
        let state = wait_while(&self.0.arrived, lock(&self.0.state), |state| state.drained() && state.senders > 0);
        self.take(state).map_err(|_| Disconnected(()))
    }

    /// Takes the oldest item if there is one now.
    ///
    /// # Errors
    /// When the queue is empty.
    pub fn try_recv(&self) -> Result<T, TryRecv> {
        self.take(lock(&self.0.state))
    }

    fn take(&self, mut state: MutexGuard<'_, State<T>>) -> Result<T, TryRecv> {
        let item = if state.drained() { None } else { state.items.pop_front() };
        let Some(item) = item else {
            return Err(if state.senders > 0 { TryRecv::Empty } else { TryRecv::Disconnected });
        };
        drop(state);
        self.0.room.notify_one();
        Ok(item)
    }
}
