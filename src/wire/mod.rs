//! The door to the network.
//!
//! Nothing else names sockets. What passes through is bytes; what they mean is decided behind it.
//!
//! * [`blocking`]: a connection whose calls wait, for a client that has nothing else to do.

pub mod blocking;
