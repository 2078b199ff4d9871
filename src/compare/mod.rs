//! Comparing two holders of one database: is one log the beginning of the other, are the runs the same, and if not, whose are wrong.
//!
//! ```text
//! whose ─► ends, fixed ─► bisect the histories of the segments ─► records of one segment ─► what each wrote there
//!                                        runs, against their hashes and one another ─► replay of the log, where they must be equal and are not
//! ```
//!
//! Two logs with equal position and history are the same log up to there. So the segments say between which two the
//! logs part, and of the records only those of that segment are looked at; where the ends are equal, none. Runs of one identity have one possible
//! content (R-DETERMINISM): those of a directory or a backup are read whole, against the hash in their manifest, and the hashes compared. Where
//! the logs agree and the runs do not, the log is replayed, and says whose run is wrong (`replay.rs`). So are the runs that only one side has, because
//! it has merged what the other has not yet: when that is done is free, what comes of it is not. Where the log for that is not at hand, it is said up to which commit
//! the states were compared.
//!
//! * [`Party`]: one of the two, as comparing sees it. [`Local`]: a directory that nobody has open, or a backup. A running node is a party too, over the
//!   network, in the program.
//! * `written`: what a record says, in part. `replay`: the verdict.
//!
//! Promises: writes nothing into either side; what is compared ends where both ended at the beginning; memory does not grow with the database.
//! What stands in sealed segments is compared by the histories that follow from it; [`CompareOptions::thorough`] has every byte of both sides
//! prove itself first.
//!
//! Deliberately absent: which log is right. Two sound logs that differ were both written by a writer; that is for a person to judge.

mod local;
mod party;
mod relation;
mod replay;
mod runs;
mod written;

pub use local::Local;
pub use party::{Held, Party, Place, Steps, Stored};
pub use relation::{Fork, Relation, Step};
pub use replay::{Judged, MEMORY_LOG_BYTES, Spot, Verdict};
pub use runs::{Damage, Difference, Runs, Unheld};
pub use written::{Excerpt, OPERATIONS_MAX, SHOWN_BYTES, Said, Written};

use crate::commit_id::CommitId;
use crate::error::{Error, Result};
use crate::identity::Identity;
use crate::position::Position;
use crate::reason::Reason;
use std::fmt;
use std::path::PathBuf;

/// How two are compared.
#[derive(Clone, Debug, Default)]
pub struct CompareOptions {
    /// Whether every byte of both sides is proven first.
    pub thorough: bool,
    /// Where a directory is made for what is replayed. If `None`, a log of up to [`MEMORY_LOG_BYTES`] is replayed in memory, and a longer one
    /// in the directory for temporary files.
    pub scratch: Option<PathBuf>,
}

/// One of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The one that is named first.
    A,
    /// The other.
    B,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Side::A => "a",
            Side::B => "b",
        })
    }
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// The first, as it was at the beginning.
    pub a: Held,
    /// The second, as it was at the beginning.
    pub b: Held,
    /// The oldest position that both hold: from there on the logs are compared.
    pub from: Position,
    /// How the logs lie to one another.
    pub relation: Relation,
    /// Behind a common point: what a and b wrote there, or why it is not known.
    pub wrote: Option<(Result<Written>, Result<Written>)>,
    /// The runs.
    pub runs: Runs,
    /// Of each run that is not what it must be, where the logs agree: whose it is that is wrong.
    pub verdicts: Vec<Verdict>,
    /// Whether every byte of both was proven.
    pub thorough: bool,
}

impl Comparison {
    /// Refuses what must not be: logs that part, runs that do not verify or differ.
    ///
    /// # Errors
    /// `history.diverged`; what is wrong with a run by name; `state.diverged`.
    pub fn check(&self) -> Result<()> {
        let diverged = Error::new(Reason::HistoryDiverged);
        match &self.relation {
            Relation::Diverged(Fork::Behind { common, a, b }) => {
                return Err(diverged
                    .with("position", common.position)
                    .with("common", common)
                    .with("a", a.after)
                    .with("b", b.after));
            }
            Relation::Diverged(Fork::Before { a, b }) => {
                return Err(diverged.with("position", self.from).with("a", a).with("b", b));
            }
            Relation::Same | Relation::Prefix { .. } => {}
        }
        let judged = |error: Error, id| match self.verdicts.iter().find(|verdict| verdict.id == id) {
            Some(verdict) => error.with("verdict", &verdict.judged),
            None => error,
        };
        if let Some(Damage { id, error, .. }) = self.runs.damaged.first() {
            return Err(judged(error.clone(), *id));
        }
        if let Some(Difference { id, a, b }) = self.runs.different.first() {
            let [a, b] = [a, b].map(|(size, hash)| format!("{size} bytes {hash:032x}"));
            return Err(judged(Error::new(Reason::StateDiverged).with("run", id).with("a", a).with("b", b), *id));
        }
        // A run that only one side has, and that is not what the log of both yields.
        if let Some(Verdict { id, judged, .. }) = self.verdicts.first() {
            return Err(Error::new(Reason::StateDiverged).with("run", id).with("verdict", judged));
        }
        Ok(())
    }

    /// Up to which commit the states were compared, of those that both have; nothing where the logs part. Behind it they are as equal as nobody found out
    /// that they are not.
    #[must_use]
    pub fn state_to(&self) -> Option<CommitId> {
        match self.relation {
            Relation::Diverged(_) => None,
            Relation::Same | Relation::Prefix { .. } => {
                let common = self.a.end.commit.min(self.b.end.commit);
                let unheld = self.runs.unheld.iter().map(|run| run.id.first).min();
                Some(unheld.map_or(common, |first| CommitId(first.0.saturating_sub(1))))
            }
        }
    }
}

/// Compares two. `progress` is told the bytes that are done, and of how many, of one part after the other.
///
/// # Errors
/// `identity.other_database`, `identity.other_epoch`, `identity.other_parameters`: they can't be compared; `wal.retired`: one log ends
/// before the other begins; what does not verify by name, if it is not a run. That they differ is no error: see [`Comparison::check`].
pub fn compare(
    a: &mut dyn Party,
    b: &mut dyn Party,
    options: &CompareOptions,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Comparison> {
    check_comparable(&a.held().identity, &b.held().identity)?;
    options.scratch.as_deref().map_or(Ok(()), |scratch| replay::check_scratch([a, b], scratch))?;
    // Whoever can't be proven from here says so before any work is done.
    if options.thorough && a.local().is_none() {
        a.prove(progress)?;
    }
    if options.thorough && b.local().is_none() {
        b.prove(progress)?;
    }
    a.look()?;
    b.look()?;
    if options.thorough {
        a.prove(progress)?;
        b.prove(progress)?;
    }
    let from = a.held().oldest.position.max(b.held().oldest.position);
    let relation = relation::relate(a, b, from)?;
    let wrote = match &relation {
        Relation::Diverged(Fork::Behind { common, a: step_a, b: step_b }) => {
            Some((a.wrote(*common, *step_a), b.wrote(*common, *step_b)))
        }
        Relation::Diverged(Fork::Before { .. }) | Relation::Same | Relation::Prefix { .. } => None,
    };
    let (stored_a, stored_b) = (a.stored()?, b.stored()?);
    let (parties, stored) = ([&*a, &*b], [&stored_a, &stored_b]);
    let mut runs = runs::compare(parties, stored, &relation, progress)?;
    let verdicts = match relation {
        Relation::Same | Relation::Prefix { .. } => {
            let mut verdicts = replay::judge(parties, stored, &runs, options, progress);
            verdicts.extend(replay::hold(parties, stored, &mut runs, options, progress));
            verdicts
        }
        Relation::Diverged(_) => Vec::new(),
    };
    let (a, b) = (a.held().clone(), b.held().clone());
    Ok(Comparison { a, b, from, relation, wrote, runs, verdicts, thorough: options.thorough })
}

fn check_comparable(a: &Identity, b: &Identity) -> Result<()> {
    let differ =
        |reason, a: String, b: String| if a == b { Ok(()) } else { Err(Error::new(reason).with("a", a).with("b", b)) };
    differ(Reason::IdentityOtherDatabase, a.database_id.to_string(), b.database_id.to_string())?;
    differ(Reason::IdentityOtherEpoch, a.epoch.to_string(), b.epoch.to_string())?;
    differ(Reason::IdentityOtherParameters, format!("{:?}", a.parameters), format!("{:?}", b.parameters))
}
