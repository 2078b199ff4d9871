//! Looking how far opening a directory would come, without opening it: the evidence for an explanation while data stay closed (F-RC2).
//!
//! The same steps, in the same order, by the same code where it only reads. Nothing is written, removed, fsynced, replayed or published,
//! so what a step would have dropped is named as found. A replay that the store refuses is therefore not foreseen; nothing else is left out.

use super::machine::State;
use super::opening::{
    find_mark, find_unfinished, store_options, take_checkpoint, take_identity, take_install, take_lock, take_runs,
};
use super::report::{Step, Taken};
use super::steps::Steps;
use super::{Options, log_options};
use crate::disk::LockGuard;
use crate::error::Error;
use crate::maintenance::find_leftovers;
use crate::wal;

/// A directory that was looked at. Nobody opens it while this is there.
pub struct Examined {
    /// The evidence of each step that would be taken; where one refuses, up to that one.
    pub steps: Vec<Step>,
    /// What opening it would be refused with, as far as that can be known without replaying its log.
    pub refused: Option<Error>,
    _lock: Option<Box<dyn LockGuard>>,
}

/// Looks how far opening a directory would come.
#[must_use]
pub fn examine(options: &Options) -> Examined {
    let mut steps = Steps::begin(options);
    let mut lock = None;
    match look(&mut steps, options, &mut lock) {
        Ok(()) => Examined { steps: steps.taken(), refused: None, _lock: lock },
        Err(refused) => Examined { steps: refused.steps, refused: Some(refused.error), _lock: lock },
    }
}

fn look(steps: &mut Steps, options: &Options, lock: &mut Option<Box<dyn LockGuard>>) -> Taken<()> {
    *lock = Some(take_lock(steps, options)?);
    let (identity, mut kept) = take_identity(steps, options)?;
    take_install(steps, options, &mut kept, false)?;
    if kept.installs() {
        // A start finishes it first; what lies here until then is not what it opens.
        return Ok(());
    }
    let store_options = store_options(options, &identity);
    let disk = options.disk.as_ref();
    steps.take(State::Directories, |step, _| find_unfinished(step, disk, &options.dir))?;
    let manifest = take_checkpoint(steps, &store_options)?;
    take_runs(steps, &store_options, &manifest, None)?;
    steps.take(State::Leftovers, |step, _| {
        find_leftovers(&store_options, &manifest)?.iter().for_each(|name| step.found("file", name));
        Ok(())
    })?;
    steps.take(State::Log, |step, _| {
        let log = log_options(&options.disk, &options.dir, &identity, options.extend_bytes);
        find_mark(step, &log)?;
        let found = wal::examine(&log, manifest.point)?;
        step.found("oldest", found.oldest.position);
        step.found("unfinished_roll", found.tail.unfinished_roll);
        step.found("torn_bytes", found.tail.torn_bytes);
        step.found("unproven_bytes", found.tail.unproven_bytes);
        step.proven("end", found.end);
        kept.check_log(found.end)
    })
}
