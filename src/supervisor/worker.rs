//! The Supervisor's thread: it waits to be called, looks, and acts.
//!
//! A call that is pending counts for all that come before it is taken, so nobody waits to call. When the last caller is gone it ends. Behind
//! each look it attends to what else is there, and says that it has looked: whoever waits for something that is shown looks then.

use super::core::{Action, Facts, Supervisor};
use crate::error::{Error, Result};
use crate::queue::Receiver;
use crate::sync::seeded;

/// The body of the thread.
///
/// # Errors
/// What recording the end met.
pub fn run(
    mut core: Supervisor,
    calls: &Receiver<()>,
    facts: impl Fn() -> Facts,
    fault: impl Fn() -> Option<Error>,
    mut act: impl FnMut(Action, &Supervisor),
    mut attend: impl FnMut(&mut Supervisor),
    looked: impl Fn(),
) -> Result<()> {
    if seeded("the supervisor waits before it has looked") && calls.recv().is_err() {
        return core.close(facts().applied);
    }
    loop {
        // The fault first: what is seen later is at least as new.
        let fault = fault();
        for action in core.look(&facts(), fault.as_ref()) {
            act(action, &core);
        }
        core.acted();
        attend(&mut core);
        looked();
        if calls.recv().is_err() {
            break;
        }
    }
    core.close(facts().applied)
}
