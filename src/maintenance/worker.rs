//! Maintenance's thread: works while there is work, then waits to be called.
//!
//! A call is one item in a queue of one: a call that is pending counts for all that come before it is taken. When the last caller
//! is gone it ends after the step it is in; what it leaves undone is in the manifest and the log.

use super::core::{Maintenance, Progress};
use crate::error::Result;
use crate::queue::{Receiver, TryRecv};

/// What the loop drives: maintenance, and in the models a twin without a disk.
pub trait Core {
    /// Does the next piece of work.
    ///
    /// # Errors
    /// What ended the work for good.
    fn step(&mut self) -> Result<Progress>;
    /// Ends.
    fn close(&mut self);
}

impl Core for Maintenance {
    fn step(&mut self) -> Result<Progress> {
        Maintenance::step(self)
    }
    fn close(&mut self) {
        Maintenance::close(self);
    }
}

/// The body of the thread.
pub fn run(mut core: impl Core, calls: &Receiver<()>) {
    loop {
        match core.step() {
            Ok(Progress::Worked) => {
                if calls.try_recv() == Err(TryRecv::Disconnected) {
                    break;
                }
            }
            // After a failure there is no further work; the end is waited for all the same.
            Ok(Progress::Idle) | Err(_) => {
                if calls.recv().is_err() {
                    break;
                }
            }
        }
    }
    core.close();
}
