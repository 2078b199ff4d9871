//! The Supervisor: owns the state of a replica as a whole, and what the replica knows of itself.
//!
//! ```text
//! Receiver, Validator, Applier ── facts, faults ──► Supervisor ── connect, stop ──► Receiver
//!                                                       └── halts, applied point ──► replica/STATE
//! ```
//!
//! It reads no log, applies nothing and serves nobody. The others publish facts and ring; it looks at all of them at once and says which
//! stage is behind. Of faults it keeps the first (REPL-HALT): one that contradicts what must hold is made durable before
//! anybody is told that the replica has halted, and reads end with it. It alone decides that a lost connection is made again, by the stated policy
//! (REPL-RECONNECT), and alone writes the state file (REPL-STATE).
//!
//! * [`Supervisor`]: the core, without a thread; the simulator uses it as it is.
//! * [`Course`]: the state of the replica, which begins before there is anything to supervise. [`Recoveries`]: how often it recovers by itself.
//! * [`machine`]: the states of a replica. [`worker`]: the thread. [`stages`]: what it looks at. [`told`]: what it tells of the whole.

mod core;
mod course;
strict! { machine }
mod recoveries;
pub mod stages;
pub mod told;
pub mod worker;

pub use self::core::{Action, Facts, Reconnect, Supervisor};
pub use self::course::Course;
pub use self::recoveries::Recoveries;
