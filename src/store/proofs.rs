//! Proofs: what the log says of runs, held against the runs that are here (REPL-PROOF).
//!
//! ```text
//!  maintenance ──completed──► ┌────────┐ ◄──logged── applier: a Proof of the log
//!              ──owe────────► │ ledger │
//!                             └────────┘ ──owed────► committer, on a node that logs Proofs
//! ```
//!
//! Proof and run come in either order, on two threads: whichever is second compares. A Proof of a run that is not complete here waits; one of
//! a run that a merge took before this start is missed, and counted. A run that differs is `state.diverged`, and never gets into a
//! manifest if its Proof was there first.
//!
//! A run's identity is a function of the log (R-DETERMINISM). So a Proof of a run that this log can't make differs too.
//!
//! Bounded: so many runs are remembered, so many Proofs wait, so many are owed; what is pushed out is missed, or not logged.

use super::run::{Run, RunId, RunInfo};
use crate::error::{Error, Result};
use crate::limits;
use crate::position::Position;
use crate::reason::Reason;
use crate::record::Proof;
use std::collections::VecDeque;

impl From<&Proof> for RunInfo {
    fn from(proof: &Proof) -> RunInfo {
        let id = RunId { level: proof.level, first: proof.first, last: proof.last };
        RunInfo { id, size: proof.size, hash: proof.hash }
    }
}

impl From<&RunInfo> for Proof {
    fn from(run: &RunInfo) -> Proof {
        let RunId { level, first, last } = run.id;
        Proof { level, first, last, size: run.size, hash: run.hash }
    }
}

/// How many Proofs there were since the start, and what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProofCounts {
    /// Proofs that the log brought; each was compared, waits, or was missed.
    pub logged: u64,
    /// They are of the very run that is here.
    pub compared: u64,
    /// Their run is not complete here.
    pub waiting: u64,
    /// Their run was merged before this start, or too many waited.
    pub missed: u64,
    /// Runs that are complete and whose Proof is still to be logged, on a node that logs Proofs.
    pub owed: u64,
}

/// What is known of runs and of Proofs.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Completed since the start, oldest first: those that were merged meanwhile can be compared too.
    completed: VecDeque<RunInfo>,
    /// Proofs of runs to come, and where they stand in the log.
    waiting: VecDeque<(RunInfo, Position)>,
    /// On a node that logs Proofs: runs whose Proof is not in the log as far as it was applied.
    owed: Option<VecDeque<RunInfo>>,
    logged: u64,
    compared: u64,
    missed: u64,
}

/// How a run lies to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lies {
    /// They hold nothing in common.
    Apart,
    /// It is the other.
    Same,
    /// The other went into it, or will.
    Above,
    /// It went into the other.
    Below,
    /// No log makes both.
    Across,
}

fn lies(one: RunId, other: RunId) -> Lies {
    let holds = |outer: RunId, inner: RunId| {
        outer.level > inner.level && outer.first <= inner.first && inner.last <= outer.last
    };
    if one == other {
        Lies::Same
    } else if one.last < other.first || other.last < one.first {
        Lies::Apart
    } else if holds(one, other) {
        Lies::Above
    } else if holds(other, one) {
        Lies::Below
    } else {
        Lies::Across
    }
}

impl Ledger {
    /// From now on the Proofs of completed runs are owed, and those of these runs, oldest first.
    pub(super) fn begin_to_owe(&mut self, runs: impl Iterator<Item = RunInfo>) {
        self.owed = Some(VecDeque::new());
        runs.for_each(|run| self.owe(run));
    }

    /// A run is complete, and a manifest names it.
    pub(super) fn owe(&mut self, run: RunInfo) {
        if let Some(owed) = &mut self.owed {
            push_bounded(owed, run);
        }
    }

    /// The Proofs to be logged, oldest run first.
    pub(super) fn owed(&self) -> Vec<Proof> {
        self.owed.iter().flatten().map(Proof::from).collect()
    }

    pub(super) fn counts(&self) -> ProofCounts {
        let count = |len: usize| u64::try_from(len).unwrap_or(u64::MAX);
        ProofCounts {
            logged: self.logged,
            compared: self.compared,
            waiting: count(self.waiting.len()),
            missed: self.missed,
            owed: count(self.owed.as_ref().map_or(0, VecDeque::len)),
        }
    }

    /// The log brings a Proof; `live` are the runs that a reader finds, which hold all commits up to a point, and no others.
    pub(super) fn logged<'a>(
        &mut self,
        proof: RunInfo,
        position: Position,
        live: impl Iterator<Item = &'a Run>,
    ) -> Result<()> {
        self.logged = self.logged.saturating_add(1);
        if let Some(owed) = &mut self.owed {
            owed.retain(|run| run.id != proof.id);
        }
        if let Some(run) = self.completed.iter().find(|run| run.id == proof.id) {
            return self.compare(proof, position, *run);
        }
        for run in live {
            match lies(proof.id, run.id()) {
                Lies::Same => return self.compare(proof, position, run.info()),
                Lies::Below => {
                    self.missed = self.missed.saturating_add(1);
                    return Ok(());
                }
                Lies::Across => return Err(impossible(proof, position, run.id())),
                Lies::Apart | Lies::Above => {}
            }
        }
        if push_bounded(&mut self.waiting, (proof, position)) {
            self.missed = self.missed.saturating_add(1);
        }
        Ok(())
    }

    /// A run is complete, and no manifest names it yet. Every run is told of here, and those that go into it before.
    pub(super) fn completed(&mut self, run: &Run) -> Result<()> {
        push_bounded(&mut self.completed, run.info());
        let (decided, waiting): (VecDeque<_>, VecDeque<_>) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|(proof, _)| !matches!(lies(proof.id, run.id()), Lies::Apart | Lies::Above));
        self.waiting = waiting;
        for (proof, position) in decided {
            if proof.id != run.id() {
                // What went into this run was completed before, and met its Proof then.
                return Err(impossible(proof, position, run.id()));
            }
            self.compare(proof, position, run.info())?;
        }
        Ok(())
    }

    fn compare(&mut self, proof: RunInfo, position: Position, here: RunInfo) -> Result<()> {
        compare(&proof, position, &here)?;
        self.compared = self.compared.saturating_add(1);
        Ok(())
    }
}

/// Compares a Proof that stands in the log here with the run of its identity.
pub(crate) fn compare(proof: &RunInfo, position: Position, here: &RunInfo) -> Result<()> {
    if proof == here {
        return Ok(());
    }
    Err(diverged(proof, position).with("size", here.size).with("hash", format_args!("{:032x}", here.hash)))
}

fn diverged(proof: &RunInfo, position: Position) -> Error {
    Error::new(Reason::StateDiverged)
        .with("position", position)
        .with("run", proof.id)
        .with("logged_size", proof.size)
        .with("logged_hash", format_args!("{:032x}", proof.hash))
}

fn impossible(proof: RunInfo, position: Position, here: RunId) -> Error {
    diverged(&proof, position).with("fault", "this log makes no such run").with("here", here)
}

/// Says whether the oldest had to go.
fn push_bounded<T>(queue: &mut VecDeque<T>, item: T) -> bool {
    queue.push_back(item);
    let full = queue.len() > limits::PROOFS_KEPT_MAX;
    if full {
        queue.pop_front();
    }
    full
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commit_id::CommitId;

    fn id(level: u32, first: u64, last: u64) -> RunId {
        RunId { level, first: CommitId(first), last: CommitId(last) }
    }

    /// REPL-PROOF: what a primary logs of runs to come costs bounded memory, and each Proof is in one of the counts.
    #[test]
    fn however_many_proofs_wait_a_bounded_number_is_kept() {
        let mut ledger = Ledger::default();
        let most = limits::PROOFS_KEPT_MAX as u64;
        for number in 1..=most + 10 {
            let proof = RunInfo { id: id(0, number, number), size: 1, hash: 1 };
            ledger.logged(proof, Position(number), std::iter::empty()).unwrap();
        }
        let counts = ProofCounts { logged: most + 10, waiting: most, missed: 10, ..ProofCounts::default() };
        assert_eq!(ledger.counts(), counts);
        ledger.begin_to_owe((1..=most + 10).map(|number| RunInfo { id: id(0, number, number), size: 1, hash: 1 }));
        assert_eq!((ledger.counts().owed, ledger.owed()[0].first), (most, CommitId(11)));
    }

    /// REPL-PROOF: what is owed is owed until the log shows it, and on nodes that log Proofs alone.
    #[test]
    fn a_proof_is_owed_until_the_log_shows_it() {
        let run = RunInfo { id: id(0, 1, 1), size: 1, hash: 1 };
        let mut ledger = Ledger::default();
        ledger.owe(run);
        assert!(ledger.owed().is_empty());
        ledger.begin_to_owe(std::iter::empty());
        ledger.owe(run);
        assert_eq!(ledger.owed(), [Proof::from(&run)]);
        ledger.logged(run, Position(0), std::iter::empty()).unwrap();
        assert!(ledger.owed().is_empty());
    }

    #[test]
    fn a_run_lies_above_what_goes_into_it_and_across_what_it_can_not_stand_beside() {
        let run = id(1, 5, 8);
        assert_eq!(lies(run, run), Lies::Same);
        for apart in [id(0, 1, 4), id(1, 9, 9), id(7, 9, 900)] {
            assert_eq!((lies(run, apart), lies(apart, run)), (Lies::Apart, Lies::Apart));
        }
        for below in [id(0, 5, 6), id(0, 5, 8), id(0, 7, 8)] {
            assert_eq!((lies(run, below), lies(below, run)), (Lies::Above, Lies::Below));
        }
        for across in [id(1, 5, 9), id(1, 6, 8), id(0, 4, 5), id(0, 8, 9), id(2, 6, 9), id(2, 6, 8)] {
            assert_eq!((lies(run, across), lies(across, run)), (Lies::Across, Lies::Across), "{across}");
        }
    }
}
