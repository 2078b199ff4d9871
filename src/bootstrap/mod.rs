//! The bootstrap: fetches a snapshot of the primary's checkpoint, proves it aside, and puts it in place (docs/snapshot-transfer.md).
//!
//! ```text
//! primary ══► socket ══► chunks ──checked──► incoming/ ──proven──► state says: this is it ──► places
//!    ▲                                                                       │
//!    └── HELLO, SNAPSHOT ── as far as the window goes          from here on a crash goes on (install.rs)
//! ```
//!
//! It runs before there is a store, under the lock of the directory, and nothing else of the replica runs beside it (P5-I8). Every byte
//! that comes may be hostile. What is in place is not touched before all of the snapshot is proven; a lost connection begins again from
//! nothing; what contradicts what must hold is kept as a halt. How a directory is proven is not its own to know: whoever composes a node
//! hands that in ([`Prove`]).
//!
//! * [`Bootstrap`]: the core, without a thread or a socket.
//! * [`machine`]: its states. [`worker`]: its loop, over a [`Link`](crate::wire::link::Link).
//! * [`install`]: what follows the one write that makes a snapshot count, and what a start does with what a crash left.

mod core;
mod incoming;
pub mod install;
strict! { machine }
mod output;
pub mod worker;

pub use self::core::{Bootstrap, End, Parts, Progress, Prove, Session, Transfer};
