//! The product's queue: the standard library's bounded channel.
//!
//! The standard library's rather than crossbeam's, whose algorithm it shares, for one difference: when the receiver goes, it
//! drops the items that are left. crossbeam keeps them until the last sender goes too, and with them the reply queues that
//! callers wait on: a caller whose request was in the queue when a component halted would wait for ever.

use super::{Disconnected, TryRecv, TrySend};
use crate::sync::channel;

/// A queue that holds at most `capacity` items.
///
/// # Panics
/// When the capacity is zero.
#[must_use]
pub fn bounded<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    assert!(capacity >= 1, "a queue has room for an item");
    let (sender, receiver) = channel::sync_channel(capacity);
    (Sender(sender), Receiver(receiver))
}

/// The side that puts items in.
#[derive(Debug)]
pub struct Sender<T>(channel::SyncSender<T>);

/// The side that takes items out. The items that it leaves when it goes are dropped.
#[derive(Debug)]
pub struct Receiver<T>(channel::Receiver<T>);

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Sender(self.0.clone())
    }
}

impl<T> Sender<T> {
    /// Puts an item in, waiting for room.
    ///
    /// # Errors
    /// When the receiver is gone.
    pub fn send(&self, item: T) -> Result<(), Disconnected<T>> {
        self.0.send(item).map_err(|channel::SendError(item)| Disconnected(item))
    }

    /// Puts an item in if there is room now.
    ///
    /// # Errors
    /// When there is no room, or the receiver is gone.
    pub fn try_send(&self, item: T) -> Result<(), TrySend<T>> {
        self.0.try_send(item).map_err(|error| match error {
            channel::TrySendError::Full(item) => TrySend::Full(item),
            channel::TrySendError::Disconnected(item) => TrySend::Disconnected(item),
        })
    }
}

impl<T> Receiver<T> {
    /// Takes the oldest item, waiting for one.
    ///
    /// # Errors
    /// When the queue is empty and every sender is gone.
    pub fn recv(&self) -> Result<T, Disconnected> {
        self.0.recv().map_err(|_| Disconnected(()))
    }

    /// Takes the oldest item if there is one now.
    ///
    /// # Errors
    /// When the queue is empty.
    pub fn try_recv(&self) -> Result<T, TryRecv> {
        self.0.try_recv().map_err(|error| match error {
            channel::TryRecvError::Empty => TryRecv::Empty,
            channel::TryRecvError::Disconnected => TryRecv::Disconnected,
        })
    }
}
