//! The plan: which runs merge into which.
//!
//! A pure function of the sequence of sealed tables (R-DETERMINISM). Each sealed table becomes a run of level 0. As soon as a level
//! has *fanout* runs that no merge has claimed, they are claimed: one merge makes them one run of the next level, dropping what the
//! floor at that point of the log lets go. Claiming is instant, and counts the result as if it were there, so the plan does not
//! depend on when a merge is carried out. Sizes play no part.
//!
//! Owned by maintenance; carried from one start to the next by the manifest.

use super::run::{RunId, RunInfo};
use crate::commit_id::CommitId;

/// A merge that was decided and is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Merge {
    /// The run that it makes.
    pub output: RunId,
    /// The floor that decides what is dropped.
    pub floor: CommitId,
}

impl Merge {
    /// Whether a run is one of those that go into it.
    #[must_use]
    pub fn takes(&self, run: RunId) -> bool {
        run.level.checked_add(1) == Some(self.output.level)
            && self.output.first <= run.first
            && run.last <= self.output.last
    }
}

/// The runs there are, and the merges to come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// What is on disk, oldest first.
    pub runs: Vec<RunInfo>,
    /// What was decided and is not done, in the order of decision.
    pub merges: Vec<Merge>,
}

impl Plan {
    /// A table became this run of level 0; `floor` is the one at its seal.
    pub fn add(&mut self, run: RunInfo, floor: CommitId, fanout: u32) {
        self.runs.push(run);
        let fanout = usize::try_from(fanout).unwrap_or(usize::MAX);
        let mut level = 0u32;
        loop {
            let unclaimed = self.unclaimed(level);
            let Some(group) = unclaimed.get(..fanout) else { break };
            let (Some(oldest), Some(newest)) = (group.first(), group.last()) else { break };
            level = level.saturating_add(1);
            let output = RunId { level, first: oldest.first, last: newest.last };
            self.merges.push(Merge { output, floor });
        }
    }

    /// The runs of a level, done or decided, that no merge has claimed; oldest first.
    fn unclaimed(&self, level: u32) -> Vec<RunId> {
        let decided = self.merges.iter().map(|merge| merge.output);
        let mut runs: Vec<RunId> = self
            .runs
            .iter()
            .map(|run| run.id)
            .chain(decided)
            .filter(|run| run.level == level && !self.merges.iter().any(|merge| merge.takes(*run)))
            .collect();
        runs.sort_unstable_by_key(|run| run.first);
        runs
    }

    /// The runs that go into a merge, newest first, if all of them are there.
    #[must_use]
    pub fn inputs(&self, merge: &Merge) -> Option<Vec<RunInfo>> {
        let mut inputs: Vec<RunInfo> = self.runs.iter().filter(|run| merge.takes(run.id)).copied().collect();
        inputs.sort_unstable_by_key(|run| std::cmp::Reverse(run.id.first));
        let mut next = merge.output.last;
        for run in &inputs {
            if run.id.last != next {
                return None;
            }
            next = CommitId(run.id.first.0.saturating_sub(1));
        }
        (next.next() == merge.output.first).then_some(inputs)
    }

    /// The merge to do now: of those whose inputs are there, the one of the lowest level, and of these the oldest.
    #[must_use]
    pub fn due(&self) -> Option<Merge> {
        self.merges
            .iter()
            .filter(|merge| self.inputs(merge).is_some())
            .min_by_key(|merge| (merge.output.level, merge.output.first))
            .copied()
    }

    /// A merge is done: its result takes the place of its inputs.
    pub fn complete(&mut self, merge: &Merge, output: RunInfo) {
        self.runs.retain(|run| !merge.takes(run.id));
        self.merges.retain(|pending| pending != merge);
        let place = self.runs.partition_point(|run| run.id.first < output.id.first);
        self.runs.insert(place, output);
    }

    /// Whether runs and merges could have come from a plan whose last sealed table ends with this commit.
    #[must_use]
    pub fn is_sound(&self, last: CommitId) -> bool {
        let mut covered = CommitId::NONE;
        for run in &self.runs {
            if run.id.first != covered.next() || run.id.last < run.id.first {
                return false;
            }
            covered = run.id.last;
        }
        covered == last
            && self.merges.iter().all(|merge| {
                let output = merge.output;
                output.level >= 1 && output.first >= CommitId(1) && output.first <= output.last && output.last <= last
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(id: RunId) -> RunInfo {
        RunInfo { id, size: 0, hash: 0 }
    }

    fn level_0(commit: u64) -> RunInfo {
        run(RunId { level: 0, first: CommitId(commit), last: CommitId(commit) })
    }

    fn do_one(plan: &mut Plan) -> bool {
        let Some(merge) = plan.due() else { return false };
        plan.complete(&merge, run(merge.output));
        true
    }

    /// R-DETERMINISM: merging at once, at the end, or now and then leads to the same runs.
    #[test]
    fn the_plan_does_not_depend_on_when_merges_are_done() {
        for fanout in [2, 3, 4] {
            let mut eager = Plan::default();
            let mut lazy = Plan::default();
            let mut sometimes = Plan::default();
            for commit in 1..=100u64 {
                let floor = CommitId(commit / 2);
                eager.add(level_0(commit), floor, fanout);
                while do_one(&mut eager) {}
                lazy.add(level_0(commit), floor, fanout);
                sometimes.add(level_0(commit), floor, fanout);
                if commit % 7 == 0 {
                    do_one(&mut sometimes);
                }
                for plan in [&eager, &lazy, &sometimes] {
                    assert!(plan.is_sound(CommitId(commit)), "fanout {fanout}, commit {commit}");
                }
                assert!(eager.runs.iter().all(|run| eager.runs.iter().filter(|r| r.id.level == run.id.level).count() < fanout as usize));
            }
            while do_one(&mut lazy) {}
            while do_one(&mut sometimes) {}
            assert_eq!(lazy, eager);
            assert_eq!(sometimes, eager);
        }
    }

    #[test]
    fn a_plan_with_a_hole_is_not_sound() {
        let mut plan = Plan::default();
        plan.add(level_0(1), CommitId(0), 4);
        plan.add(level_0(3), CommitId(0), 4);
        assert!(!plan.is_sound(CommitId(3)));
        assert!(Plan::default().is_sound(CommitId::NONE));
    }
}
