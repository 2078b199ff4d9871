//! The Read Safety Gate: whether a read is proven to be the primary's own answer, decided from published facts alone.
//!
//! ```text
//! published facts ─┐
//!                  ├──► decide ──► a commit to read at │ the first rule that does not hold
//! what is asked ───┘    evaluate ──► every rule, whether it holds, and what it was decided on
//! ```
//!
//! Pure: no clock, no lock, no disk, nothing remembered. The same facts give the same verdict, and [`evaluate`] explains by the same
//! [`Check::evaluation`] that [`decide`] decides by. A rule that can't be evaluated does not hold. How far a replica lags is no fact here:
//! what was applied is what the primary had at that commit, however long ago.
//!
//! Assumes that the facts are looked at in the order in which none can have passed another: the commit before the floor and before
//! what is proven. Promises that a read which is admitted at a commit finds there what the primary's would (R-READ).
//!
//! Who asks: the store, for every read; explanations; whoever serves before there is a store.

mod check;
mod facts;

#[cfg(test)]
mod tests;

pub use check::{Check, Evaluation};
pub use facts::{Authority, Facts, Line, Phase, Prefix, Wish};

use crate::commit_id::CommitId;
use crate::error::Error;
use crate::reason::Reason;

/// The commit to read at, or the first rule that does not hold.
///
/// # Errors
/// That rule; [`Check::refusal`] says it in full.
#[inline]
pub fn decide(facts: &Facts, wish: &Wish) -> Result<CommitId, Check> {
    match Check::ALL.iter().find(|check| check.evaluation(facts, wish) != Evaluation::Holds) {
        Some(check) => Err(*check),
        None => Ok(facts.view(wish)),
    }
}

/// Every rule in the order in which they are applied, and whether it holds.
pub fn evaluate<'a>(facts: &'a Facts, wish: &'a Wish) -> impl Iterator<Item = (Check, Evaluation)> + 'a {
    Check::ALL.iter().map(|check| (*check, check.evaluation(facts, wish)))
}

/// The same of a node that has nothing open yet. What a directory would say first is not known, and what is not known is not called so.
pub fn evaluate_unopened<'a>(
    facts: &'a Facts,
    wish: &'a Wish,
) -> impl Iterator<Item = (Check, Evaluation, Vec<(&'static str, String)>)> + 'a {
    Check::ALL.iter().map(|check| match check {
        Check::Bootstrap | Check::Recovery | Check::Authority => {
            (*check, check.evaluation(facts, wish), check.evidence(facts, wish))
        }
        Check::Halt | Check::Prefix | Check::Applied | Check::Floor | Check::AtLeast | Check::History => {
            (*check, Evaluation::Undetermined("the directory is not open yet"), Vec::new())
        }
    })
}

/// The refusal of a read, with what it was decided on; `None` where it is admitted.
#[must_use]
pub fn refusal(facts: &Facts, wish: &Wish) -> Option<Error> {
    decide(facts, wish).err().map(|check| check.refusal(facts, wish))
}

/// Whether the gate refuses reads for this reason.
#[must_use]
pub fn refuses_with(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::ReadBootstrapping
            | Reason::ReadRecovering
            | Reason::ReadAuthorityUnknown
            | Reason::ReplicaHalted
            | Reason::ReadUnproven
            | Reason::ViewBeyondApplied
            | Reason::ViewBelowFloor
            | Reason::ReadBehind
            | Reason::ReadOtherHistory
            | Reason::ReadHistoryUnknown
    )
}
