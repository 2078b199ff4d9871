//! The Receiver: pulls the primary's log, makes it durable here, and hands it to the Validator.
//!
//! ```text
//! primary ══► socket ══► chunks ──write, one fsync──► segment files
//!    ▲                      └──────────handed on──────────► Validator
//!    └── HELLO, FETCH ── as far as the window goes
//! ```
//!
//! It owns the connection and the replica's segment files. It knows positions and no records: it orders, stores and hands on, and proves
//! nothing. What arrives out of order, twice, or without having been asked for is rejected before a byte of it is written (F-V2, F-V3). A
//! byte counts as received when it is durable (P5-I5).
//!
//! * [`Receiver`]: the core, without a thread or a socket; the simulator uses it as it is.
//! * [`fork`]: where a log that is not the primary's parts from it, asked once the replica has halted.
//! * [`machine`]: its states. [`worker`]: the thread, over a [`worker::Link`].

mod core;
pub mod fork;
mod incoming;
strict! { machine }
pub mod worker;

pub use self::core::{Bounds, Dropped, End, Origin, Progress, Received, Receiver, Session};
