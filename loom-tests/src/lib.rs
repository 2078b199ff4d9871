//! Every interleaving of what AeroDB's threads share, over the product's own code.
//!
//! ```text
//! (cd loom-tests && cargo test --release)
//! ```
//!
//! `tests/models/` holds one file per rule. A model runs its actors on threads of their own, collects what they saw in each
//! execution, and asserts the *set* of outcomes over all executions: one that never happens is as wrong as one that must not.
//! [`explore`] goes through all of them, twice: with loads as the code says, and with fresh ones (`src/sync/broken.rs` says why).
//!
//! A green model proves nothing until it was seen to fail. [`proof::prove`] finds the places of the product that the models
//! reach, seeds each with every bug it can have, and wants a model to fail for each. A survivor is explained in writing, and an
//! explanation that is no longer true fails too.
//!
//! Covered: the queue's twin (order, room, disconnection, lost wake-ups); the published word (what a reader of commit n sees,
//! what a halt promises); admission to the real store, with its floor and its halt; the threads of committer and maintenance
//! with their callers; pins and the removal of what was replaced; waiting for room and for a checkpoint; the bell that wakes the server,
//! and a primary's parked fetch; the threads of a replica with the queues between them, their facts, faults, calls and wake-ups.
//!
//! Not covered: the standard library's channel itself, which loom can't see (the conformance test compares it with the twin);
//! which of several waiters a notification wakes (loom: the first) and wake-ups without any; single total orders stronger than
//! acquire and release; more than four threads beside the main one; anything past a stated preemption bound.
#![forbid(unsafe_code)]

#[cfg(not(aerodb_loom))]
compile_error!(
    "run inside loom-tests/: its .cargo/config.toml sets --cfg aerodb_loom, without which no model would exist"
);

#[cfg(aerodb_loom)]
pub mod proof;

#[cfg(aerodb_loom)]
pub use exploring::{explore, start};

#[cfg(aerodb_loom)]
mod exploring {
    use crate::proof;
    use aerodb::sync::{JoinHandle, broken};
    use std::collections::BTreeSet;
    use std::fmt::Debug;
    use std::io::Write;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::{Arc, Mutex};

    /// Runs a model through all its executions and returns what happened in any of them.
    ///
    /// Without a bound on preemptions that is every execution; with one, every execution that takes the processor away from a
    /// running thread at most so often. Says on standard output how many there were.
    pub fn explore<O: Ord + Debug + Send + 'static>(
        name: &str,
        preemption_bound: Option<usize>,
        model: impl Fn() -> O + Send + Sync + 'static,
    ) -> BTreeSet<O> {
        let model = Arc::new(model);
        let outcomes = Arc::new(Mutex::new(BTreeSet::new()));
        let executions = Arc::new(AtomicU64::new(0));
        let mut reached = BTreeSet::new();
        for fresh in [false, true] {
            broken::begin(proof::seeded_bug(), fresh);
            let (model, outcomes, executions) = (model.clone(), outcomes.clone(), executions.clone());
            builder(preemption_bound).check(move || {
                let outcome = model();
                outcomes.lock().expect("no panic while inserting").insert(outcome);
                executions.fetch_add(1, Ordering::Relaxed);
            });
            reached.extend(broken::reached());
            if !broken::loads() {
                break;
            }
        }
        let bound = preemption_bound.map_or("all".to_owned(), |bound| format!("at most {bound} preemptions"));
        let executions = executions.load(Ordering::Relaxed);
        let mut stdout = std::io::stdout().lock();
        writeln!(stdout, "explored {executions} executions ({bound}): {name}").expect("standard output");
        proof::report_reached(&mut stdout, executions, &reached);
        std::mem::take(&mut outcomes.lock().expect("no panic while inserting"))
    }

    /// loom without any limit that would end an exploration early and green, whatever the environment says.
    fn builder(preemption_bound: Option<usize>) -> loom::model::Builder {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = preemption_bound;
        builder.max_branches = 10_000;
        builder.max_permutations = None;
        builder.max_duration = None;
        builder.checkpoint_file = None;
        builder.expect_explicit_explore = false;
        builder
    }

    /// Starts an actor of a model.
    pub fn start<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        aerodb::sync::spawn("actor", body).expect("loom starts threads")
    }
}
