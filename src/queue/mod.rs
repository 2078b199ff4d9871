//! The door between threads: a bounded queue.
//!
//! `bounded, send, try_send, recv, try_recv, clone, drop`, and nothing more: no select, no time-outs. In a product build it is
//! the standard library's; under loom it is the twin below, over a mutex and two condition variables. `loom-tests` drives the
//! twin through every interleaving, and the conformance test drives both with the same script.
//!
//! * Items of one sender arrive in its order; none is lost or doubled while the receiver lives.
//! * A queue never holds more than its capacity, which is at least one.
//! * When the last sender goes, the receiver first gets what is left, then `Disconnected`.
//! * When the receiver goes, every sender that waits gets its item back, and what is left is dropped: a reply queue that
//!   travels inside an item is disconnected, so nobody waits for an answer that can't come.

#[cfg(not(aerodb_loom))]
mod standard;
#[cfg(any(test, aerodb_loom))]
#[cfg_attr(not(aerodb_loom), allow(unreachable_pub, reason = "public under loom; otherwise only compared"))]
mod twin;

#[cfg(not(aerodb_loom))]
pub use standard::{Receiver, Sender, bounded};
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
    /// The receiver is gone.
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

#[cfg(all(test, not(aerodb_loom)))]
mod tests;
