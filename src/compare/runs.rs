//! The runs of both sides: each against the hash in its own manifest, and those of one identity against one another.
//!
//! One identity has one possible content where the log is the same (R-DETERMINISM). Whose run is wrong is not for here to say; nor are the files of a running node read,
//! of which it is known only what it says.

use super::Side;
use super::party::{Party, Stored};
use super::relation::{Fork, Relation};
use crate::error::{Error, Result};
use crate::store::run::{RunId, RunInfo};

/// The runs of both sides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Runs {
    /// Runs of one identity that are equal, byte for byte.
    pub equal: u64,
    /// Bytes of them, on one side.
    pub bytes: u64,
    /// Whether those of one side were not read, because it is a server: what it says of them was compared.
    pub by_hash: bool,
    /// Of those that only one side has: how many are what the log yields, which both have.
    pub held: u64,
    /// Those for which that can't be told, oldest first: of these commits the states were not compared.
    pub unheld: Vec<Unheld>,
    /// Runs that only a has: it is further, or has merged further.
    pub only_a: u64,
    /// Runs that only b has.
    pub only_b: u64,
    /// Runs of one identity whose commits are not the same commits, because the logs part before their end.
    pub behind_fork: u64,
    /// Runs of one identity and one log that differ.
    pub different: Vec<Difference>,
    /// Runs that are not what the manifest of their side says.
    pub damaged: Vec<Damage>,
}

/// Two runs that must be equal and are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Which run.
    pub id: RunId,
    /// Size and hash of that of a.
    pub a: (u64, u128),
    /// Size and hash of that of b.
    pub b: (u64, u128),
}

/// A run that only one side has, and that nothing could be held against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unheld {
    /// Which run.
    pub id: RunId,
    /// Whose.
    pub side: Side,
    /// Why it can't be told.
    pub why: String,
}

/// A run that does not verify.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Which run.
    pub id: RunId,
    /// Whose.
    pub side: Side,
    /// What is wrong with it.
    pub error: Error,
}

impl Runs {
    /// Whether a run of a side verified.
    pub(super) fn is_sound(&self, side: Side, id: RunId) -> bool {
        !self.damaged.iter().any(|damage| (damage.side, damage.id) == (side, id))
    }
}

/// Compares the runs whose commits both logs have, and reads those whose files are at hand.
pub(super) fn compare(
    parties: [&dyn Party; 2],
    stored: [&Stored; 2],
    relation: &Relation,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Runs> {
    // A table may have been sealed behind the commit at which the logs part; before it, it was sealed in what is common.
    let is_common = |id: RunId| match relation {
        Relation::Same | Relation::Prefix { .. } => true,
        Relation::Diverged(Fork::Behind { common, .. }) => id.last < common.commit,
        Relation::Diverged(Fork::Before { .. }) => false,
    };
    let [runs_a, runs_b] = stored.map(|stored| &stored.runs);
    let other = |run: &RunInfo| runs_b.iter().find(|other| other.id == run.id).map(|other| (*run, *other));
    let pairs: Vec<(RunInfo, RunInfo)> = runs_a.iter().filter_map(other).collect();
    let mut runs = Runs {
        only_a: (runs_a.len() - pairs.len()) as u64,
        only_b: (runs_b.len() - pairs.len()) as u64,
        behind_fork: pairs.iter().filter(|(run, _)| !is_common(run.id)).count() as u64,
        by_hash: parties.iter().any(|party| party.local().is_none()),
        ..Runs::default()
    };
    let files = [Side::A, Side::B].into_iter().zip(parties).zip(stored);
    let files = files.filter_map(|((side, party), stored)| party.local().map(|local| (side, local, stored)));
    let files: Vec<_> =
        files.flat_map(|(side, local, stored)| stored.runs.iter().map(move |run| (side, local, run))).collect();
    let files = files.into_iter().filter(|(_, _, run)| is_common(run.id));
    let total = files.clone().fold(0u64, |total, (_, _, run)| total.saturating_add(run.size));
    let mut done = 0u64;
    for (side, local, run) in files {
        let damage = local.check_run(run, &mut |bytes| {
            done = done.saturating_add(bytes);
            progress(done.min(total), total);
        })?;
        runs.damaged.extend(damage.map(|error| Damage { id: run.id, side, error }));
    }
    for (run_a, run_b) in pairs.into_iter().filter(|(run, _)| is_common(run.id)) {
        if run_a != run_b {
            let [a, b] = [run_a, run_b].map(|run| (run.size, run.hash));
            runs.different.push(Difference { id: run_a.id, a, b });
        } else if runs.is_sound(Side::A, run_a.id) && runs.is_sound(Side::B, run_a.id) {
            runs.equal += 1;
            runs.bytes = runs.bytes.saturating_add(run_a.size);
        }
    }
    Ok(runs)
}
