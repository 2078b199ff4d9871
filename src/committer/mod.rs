//! The committer: the one writer of a node (R-WRITER).
//!
//! ```text
//! callers ──orders──► inbox ──► group ──► log: append, one fsync ──► store: apply ──► publish ──► mark ──► answers
//! ```
//!
//! It owns the log and the applier. It assigns CommitIds (P5-I6), appends the orders of a group, makes them durable with one fsync,
//! applies them, publishes the last commit, and only then answers (D-ACK). While one group syncs, the next one collects
//! in the inbox.
//!
//! The first failure stops it for good (D-FSYNC): what became durable before is applied and acknowledged, what was part of the
//! failed group has an unknown outcome (`commit.unknown`), everything after is refused (`commit.stopped`).
//!
//! * [`Decision`]: an order that says what to commit when it is its turn.
//! * [`Committer`]: the core, without a thread; the simulator and the offline commands use it as it is.
//! * [`Orders`]: the callers' side of its inbox; [`Budget`]: how many bytes may stand in it.
//! * [`machine`]: its states.
//! * [`worker`]: the thread: one inbox, one loop.

mod budget;
mod core;
mod decision;
strict! { machine }
mod orders;
pub mod worker;

pub use self::core::{Committer, Order, Retention};
pub use budget::{Budget, Share};
pub use decision::{Decision, Latest};
pub use orders::{Answers, Orders, Request};
