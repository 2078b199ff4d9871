//! The door to the network and to who supervises the process.
//!
//! Nothing else names sockets. What passes through is bytes and readiness; what they mean is decided behind it.
//!
//! * [`blocking`]: a connection whose calls wait, for a client that has nothing else to do.
//! * [`link`]: a connection that is made again, for a replica.
//! * [`poll`]: sockets that never block, and one place to wait for all of them.
//! * [`signals`]: the request to end, as a stream to poll.
//! * [`notify`]: the service manager is told how far the start is.

pub mod blocking;
#[cfg(feature = "replication")]
pub mod link;
pub mod notify;
pub mod poll;
pub mod signals;

pub use poll::{Accepted, Listener, Pipe, Poll, Ready, Stream, Waker};
