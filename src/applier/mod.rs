//! The Applier: applies proven records to the replica's store, and publishes their commits.
//!
//! ```text
//! Validator ──proven records──► store ──► published commit          one thread, in order, the code of recovery (store::Applier)
//! ```
//!
//! What it is given is proven, and durable here since before it was; so whatever it publishes survives a crash. It takes CommitIds
//! from the records and makes none (P5-I6). It answers nobody, and no reader can make it wait: what it waits for, visibly, is
//! maintenance at the bound of sealed tables.
//!
//! * [`ReplicaApplier`]: the core, without a thread; the simulator uses it as it is.
//! * [`machine`]: its states. [`worker`]: the thread.

mod core;
strict! { machine }
pub mod worker;

pub use self::core::{ReplicaApplier, Step};
