//! The Validator: proves what was received, and hands on nothing that is not proven (P5-I5, F-V1).
//!
//! ```text
//! Receiver ──chunks──► whole records, one after the other ──proven──► Applier
//! ```
//!
//! It knows bytes, the point that they must continue, and no disk. A record proves itself by the code that recovery proves the log with
//! (`record.rs`): checksums, the history before it, the CommitId, its content. A `Seal` must stand exactly where the primary said
//! that a segment ends, and nowhere else. A chunk may end inside a record; the part is kept until the rest arrives, and it is the only
//! thing that is ever copied here.
//!
//! At the first record that does not prove itself it stops for good; what was proven before goes on its way, until the replica has halted.
//!
//! * [`Validator`]: the core, without a thread; the simulator uses it as it is.
//! * [`machine`]: its states. [`worker`]: the thread.

mod core;
strict! { machine }
pub mod worker;

pub use self::core::Validator;
