//! The Applier's thread: one inbox, one loop.
//!
//! It applies what it gets, and says that it did. It ends when the Validator has, behind the last record that was proven; or at the first
//! failure, of which a halt of the replica is one. What it drops then is in the log, proven, and recovery applies it.

use super::core::{ReplicaApplier, Step};
use crate::chunk::Proven;
use crate::error::Result;
use crate::queue::Receiver;
use crate::sync::seeded;

/// What the loop drives: the Applier, and in the models a twin.
pub trait Core {
    /// Takes proven records.
    fn give(&mut self, proven: Proven);
    /// Applies what was given, as far as there is room.
    ///
    /// # Errors
    /// What ended the work for good.
    fn step(&mut self) -> Result<Step>;
    /// Waits until there is room, or will never be.
    fn wait_for_room(&mut self);
    /// Ends.
    fn close(&mut self);
}

impl Core for ReplicaApplier {
    fn give(&mut self, proven: Proven) {
        ReplicaApplier::give(self, proven);
    }
    fn step(&mut self) -> Result<Step> {
        ReplicaApplier::step(self)
    }
    fn wait_for_room(&mut self) {
        ReplicaApplier::wait_for_room(self);
    }
    fn close(&mut self) {
        ReplicaApplier::close(self);
    }
}

/// The body of the thread; `moved` is called when more is applied.
///
/// # Errors
/// What ended the work.
pub fn run(mut core: impl Core, inbox: &Receiver<Proven>, moved: impl Fn()) -> Result<()> {
    let mut outcome = Ok(());
    while (outcome.is_ok() || seeded("an applier goes on behind what it failed at"))
        && let Ok(proven) = inbox.recv()
    {
        core.give(proven);
        outcome = loop {
            let step = core.step();
            moved();
            match step {
                Ok(Step::Done) => break Ok(()),
                Ok(Step::Full) => core.wait_for_room(),
                Err(failure) => break Err(failure),
            }
        };
    }
    core.close();
    outcome
}
