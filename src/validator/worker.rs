//! The Validator's thread: one inbox, one loop.
//!
//! It proves each chunk, hands on what is proven, and says that it did. It ends when the Receiver has, behind the last chunk; at the first
//! that is rejected; or when the Applier is gone. Then the Applier ends behind the last record that was proven.

use super::core::Validator;
use crate::chunk::{Chunk, Proven};
use crate::error::Result;
use crate::queue::{Receiver, Sender};
use crate::sync::seeded;

/// What the loop drives: the Validator, and in the models a twin.
pub trait Core {
    /// Proves a chunk.
    ///
    /// # Errors
    /// What does not prove itself.
    fn prove(&mut self, chunk: Chunk, out: &mut Vec<Proven>) -> Result<()>;
    /// Ends.
    fn close(&mut self);
}

impl Core for Validator {
    fn prove(&mut self, chunk: Chunk, out: &mut Vec<Proven>) -> Result<()> {
        Validator::prove(self, chunk, out)
    }
    fn close(&mut self) {
        Validator::close(self);
    }
}

/// The body of the thread; `moved` is called when the proof has come further.
///
/// # Errors
/// What was rejected.
pub fn run(mut core: impl Core, inbox: &Receiver<Chunk>, out: &Sender<Proven>, moved: impl Fn()) -> Result<()> {
    let mut proven = Vec::new();
    let mut outcome = Ok(());
    while let Ok(chunk) = inbox.recv() {
        outcome = core.prove(chunk, &mut proven);
        if outcome.is_err() && seeded("what is proven before a rejection is dropped") {
            proven.clear();
        }
        // Before the hand-over, which may wait: the Receiver may go on by what is proven, and nothing is read that is not said to be.
        let late = seeded("what is proven is said behind its hand-over");
        if !late {
            moved();
        }
        // An Applier that is gone has said why.
        let gone = proven.drain(..).any(|proven| out.send(proven).is_err());
        if late {
            moved();
        }
        if gone || outcome.is_err() {
            break;
        }
    }
    core.close();
    outcome
}
