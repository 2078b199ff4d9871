//! The product's queue: crossbeam's bounded channel behind the contract of this module.
//!
//! It adds nothing but the names of the outcomes, so that what the models check of the twin holds here as far as the two agree.
//! Absent under loom, which does not see what crossbeam does.

use super::{Disconnected, TryRecv, TrySend};

/// A queue that holds at most `capacity` items.
#[must_use]
pub fn bounded<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = crossbeam_channel::bounded(capacity);
    (Sender(sender), Receiver(receiver))
}

/// The side that puts items in.
#[derive(Debug)]
pub struct Sender<T>(crossbeam_channel::Sender<T>);

/// The side that takes items out.
#[derive(Debug)]
pub struct Receiver<T>(crossbeam_channel::Receiver<T>);

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Sender(self.0.clone())
    }
}

impl<T> Sender<T> {
    /// Puts an item in, waiting for room.
    ///
    /// # Errors
    /// When every receiver is gone.
    pub fn send(&self, item: T) -> Result<(), Disconnected<T>> {
        self.0.send(item).map_err(|error| Disconnected(error.into_inner()))
    }

    /// Puts an item in if there is room now.
    ///
    /// # Errors
    /// When there is no room, or every receiver is gone.
    pub fn try_send(&self, item: T) -> Result<(), TrySend<T>> {
        self.0.try_send(item).map_err(|error| match error {
            crossbeam_channel::TrySendError::Full(item) => TrySend::Full(item),
            crossbeam_channel::TrySendError::Disconnected(item) => TrySend::Disconnected(item),
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
            crossbeam_channel::TryRecvError::Empty => TryRecv::Empty,
            crossbeam_channel::TryRecvError::Disconnected => TryRecv::Disconnected,
        })
    }
}
