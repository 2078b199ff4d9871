//! The primary's side of replication: it answers, and nothing else (`protocol.md`).
//!
//! ```text
//!  replica ──bytes──► Session ──► Outgoing ──► replica
//!                        │  how far: Extent      bytes, and behind them a part of a segment file
//!                        └─ Source: log, checkpoint
//! ```
//!
//! * [`Source`]: the log that is served, whose it is, and the store beside it; all sessions share it.
//! * [`Session`]: one replica's connection, without the connection.
//! * [`machine`]: the states of a session.
//!
//! Assumes that it is told how far the log reaches, and that what lies before that never changes. Promises: every frame is answered as
//! the protocol says, or refused by name (WIRE-HELLO, WIRE-PULL); only durable bytes leave, as they stand in the file (WIRE-DURABLE,
//! WIRE-RAW), and only a checkpoint that is pinned and that log follows (SNAP-PIN); what a session holds is bounded (WIRE-BOUND); nothing that a replica sends, and no fault of the disk here, changes
//! anything of the primary's.
//!
//! Deliberately absent: sockets, threads, clocks, and any knowledge of records beyond the header that says which history stands before
//! one. The server has the connections (`server/feeds.rs`); a simulator hands the bytes on itself.

mod copying;
strict! { machine }
mod session;
mod source;

pub use session::{Outgoing, Part, Session};
pub use source::Source;
