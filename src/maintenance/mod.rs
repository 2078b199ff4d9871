//! Maintenance: makes runs of sealed tables, merges runs, moves the checkpoint, removes what nobody reads.
//!
//! ```text
//! oldest sealed table ──► run of level 0 ──► manifest ──► state        a table at a time, before any merge
//! due merge           ──► run            ──► manifest ──► state        in slices; a waiting table goes first
//! replaced runs and tables ──► removed once no view pins them
//! ```
//!
//! What it makes is decided by the log (`store/plan.rs`, R-DETERMINISM); it decides only when. It alone writes run files and the
//! manifest, and the manifest always names a result before anything reads it and before its inputs go. It is not best effort: when it
//! falls behind by the bound of sealed tables the committer waits, visibly, and when it fails, writing stops.
//!
//! * [`Maintenance`]: the core, one step at a time, without a thread.
//! * [`machine`]: its states.
//! * [`worker`]: the thread.

mod core;
strict! { machine }
mod merge;
mod retired;
pub mod worker;

pub use self::core::{Maintenance, Progress, find_leftovers, remove_leftovers};
pub use retired::Retired;
