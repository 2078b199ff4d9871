//! The door between threads: a bounded queue.
//!
//! `bounded, send, try_send, recv, try_recv, clone, drop`, and nothing more: no select, no time-outs. In a product build it is
//! crossbeam's; under loom it is the twin below, over a mutex and two condition variables. `loom-tests` drives the twin
//! through every interleaving, and the conformance test drives both with the same script.

#[cfg(not(aerodb_loom))]
mod crossbeam;
#[cfg(any(test, aerodb_loom))]
mod twin;

#[cfg(not(aerodb_loom))]
pub use crossbeam::{Receiver, Sender, bounded};
#[cfg(aerodb_loom)]
pub use twin::{Receiver, Sender, bounded};

/// The other side is gone; a sender gets its item back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disconnected<T = ()>(pub T);

/// Why nothing was sent now; the item comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrySend<T> {
    /// The queue is full.
    Full(T),
    /// Every receiver is gone.
    Disconnected(T),
}

/// Why nothing was received now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryRecv {
    /// The queue is empty.
    Empty,
    /// The queue is empty and every sender is gone.
    Disconnected,
}

#[cfg(test)]
mod tests;
