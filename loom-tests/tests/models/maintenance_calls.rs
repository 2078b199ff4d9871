//! No call of maintenance is lost: what was there to do before a call is done before maintenance waits for good.
//!
//! The body of the thread is the real one. Covered: a toy whose work is a word, two callers, a step that fails; the real store and
//! maintenance, called by the seal of a table. Not covered: that a call comes in the middle of a merge (`maintenance` has tests).

use crate::world::{self, World};
use aerodb::error::{Error, Result};
use aerodb::maintenance::worker::{self, Core};
use aerodb::maintenance::{Maintenance, Progress};
use aerodb::queue::{Receiver, Sender, bounded};
use aerodb::reason::Reason;
use aerodb::sync::{Arc, JoinHandle, seeded};
use aerodb_loom_tests::{explore, start};
use loom::sync::atomic::{AtomicU64, Ordering};
use std::collections::BTreeSet;

/// Work that is there, and work that was done.
#[derive(Default)]
struct Work {
    there: AtomicU64,
    done: AtomicU64,
}

/// Maintenance, without a disk: it does one piece of work at a step, and says so.
struct Toy {
    work: Arc<Work>,
    say_done: Sender<()>,
    fails: bool,
    steps: u64,
    closed: usize,
}

impl Core for &mut Toy {
    fn step(&mut self) -> Result<Progress> {
        self.steps += 1;
        if self.fails {
            return Err(Error::new(Reason::CommitStopped));
        }
        let done = self.work.done.load(Ordering::Relaxed);
        if self.work.there.load(Ordering::Relaxed) == done {
            return Ok(Progress::Idle);
        }
        self.work.done.store(done + 1, Ordering::Relaxed);
        self.say_done.send(()).expect("somebody waits for it");
        if seeded("maintenance waits after one piece of work") { Ok(Progress::Idle) } else { Ok(Progress::Worked) }
    }

    fn close(&mut self) {
        self.closed += 1;
    }
}

/// Adds pieces of work and calls after each, as the store does; keeps its side of the queue.
fn caller(work: &Arc<Work>, call: Sender<()>, pieces: usize) -> JoinHandle<Sender<()>> {
    let work = Arc::clone(work);
    start(move || {
        for _ in 0..pieces {
            if seeded("maintenance is called before the work is there") {
                let _ = call.try_send(());
                work.there.fetch_add(1, Ordering::Relaxed);
            } else {
                work.there.fetch_add(1, Ordering::Relaxed);
                let _ = call.try_send(());
            }
        }
        call
    })
}

/// One execution: each caller adds so many pieces. All of them are done before the last caller goes; how often maintenance looked.
fn callers<const N: usize>(pieces: [usize; N]) -> u64 {
    let all = pieces.iter().sum();
    let work = Arc::new(Work::default());
    let (call, calls) = bounded(1);
    let (say_done, done) = bounded(all);
    let mut toy = Toy { work: Arc::clone(&work), say_done, fails: false, steps: 0, closed: 0 };
    let working = start(move || {
        worker::run(&mut toy, &calls);
        toy
    });
    let calling = pieces.map(|pieces| caller(&work, call.clone(), pieces));
    for _ in 0..all {
        done.recv().expect("maintenance lives");
    }
    drop(call);
    for caller in calling {
        drop(caller.join().expect("the caller held its assertions"));
    }
    let toy = working.join().expect("maintenance held its assertions");
    assert_eq!(toy.closed, 1, "when the last caller is gone maintenance closes, once");
    toy.steps
}

#[test]
fn what_one_caller_adds_is_done_without_another_call() {
    let outcomes = explore("one caller, two pieces of work", Some(4), || callers([2]));
    // It looks at least once per piece and once more, and never more than once per call beyond that.
    assert_eq!(outcomes, BTreeSet::from([2, 3, 4, 5]));
}

#[test]
fn a_call_that_is_pending_counts_for_every_caller() {
    let outcomes = explore("two callers, a piece of work each", Some(2), || callers([1, 1]));
    assert_eq!(outcomes, BTreeSet::from([2, 3, 4, 5]));
}

#[test]
fn maintenance_that_failed_waits_for_the_end_and_closes_once() {
    let outcomes = explore("one caller, the work fails", None, || {
        let work = Arc::new(Work::default());
        let (call, calls) = bounded(1);
        let (say_done, _done) = bounded(1);
        let mut toy = Toy { work: Arc::clone(&work), say_done, fails: true, steps: 0, closed: 0 };
        let calling = caller(&work, call, 2);
        let working = start(move || {
            worker::run(&mut toy, &calls);
            toy
        });
        drop(calling.join().expect("the caller held its assertions"));
        let toy = working.join().expect("maintenance held its assertions");
        (toy.steps, toy.closed)
    });
    assert_eq!(outcomes, BTreeSet::from([(2, 1), (3, 1)]));
}

/// The real maintenance, which can be looked at when its thread has ended. What it had begun by then it brings to an end, but it
/// does not look again after it found nothing to do.
struct Kept<'a> {
    maintenance: &'a mut Maintenance,
    idle: bool,
}

impl Core for Kept<'_> {
    fn step(&mut self) -> Result<Progress> {
        let progress = self.maintenance.step();
        self.idle = progress != Ok(Progress::Worked);
        progress
    }

    fn close(&mut self) {
        while !self.idle {
            self.step().expect("the disk has no fault");
        }
        self.maintenance.close();
    }
}

/// The thread of the real maintenance of this world.
fn maintain(world: &World, calls: Receiver<()>) -> JoinHandle<Maintenance> {
    let mut maintenance = world.maintenance();
    start(move || {
        worker::run(Kept { maintenance: &mut maintenance, idle: false }, &calls);
        maintenance
    })
}

#[test]
fn a_table_that_was_sealed_becomes_a_checkpoint_without_another_call() {
    let outcomes = explore("a cut and maintenance", Some(3), || {
        let (call, calls) = bounded(1);
        let mut world = World::new(Some(call));
        let working = maintain(&world, calls);
        let store = Arc::clone(&world.store);
        let cutting = start(move || {
            let point = world.cut();
            world.store.wait_for_checkpoint(point).map_err(|error| error.reason().name())
        });
        let reached = cutting.join().expect("the committer held its assertions");
        store.dismiss_maintenance();
        let maintenance = working.join().expect("maintenance held its assertions");
        (reached, maintenance.observed().load().state.name(), store.state().sealed.len())
    });
    assert_eq!(outcomes, BTreeSet::from([(Ok(()), "closed", 0)]));
}

#[test]
fn what_a_reader_of_a_key_was_the_last_to_pin_goes_without_another_call() {
    let outcomes = explore("a cut, maintenance and a reader of a key", Some(2), || {
        let (call, calls) = bounded(1);
        let mut world = World::new(Some(call));
        let store = Arc::clone(&world.store);
        let working = maintain(&world, calls);
        let reader = Arc::clone(&store);
        let reading = start(move || reader.newest().look(world::KEY, |_| ()).map_err(|error| error.reason().name()));
        let cutting = start(move || {
            let point = world.cut();
            world.store.wait_for_checkpoint(point).map_err(|error| error.reason().name())
        });
        let read = reading.join().expect("the reader held its assertions");
        let reached = cutting.join().expect("the committer held its assertions");
        store.dismiss_maintenance();
        let maintenance = working.join().expect("maintenance held its assertions");
        (read, reached, maintenance.pinned_bytes())
    });
    assert_eq!(outcomes, BTreeSet::from([(Ok(None), Ok(()), 0)]));
}

#[test]
fn what_a_view_was_the_last_to_pin_goes_without_another_call() {
    let outcomes = explore("a cut, maintenance and the end of a view", Some(2), || {
        let (call, calls) = bounded(1);
        let mut world = World::new(Some(call));
        let store = Arc::clone(&world.store);
        let view = store.view(None).expect("nobody halted");
        let working = maintain(&world, calls);
        let leaving = start(move || drop(view));
        let cutting = start(move || {
            let point = world.cut();
            world.store.wait_for_checkpoint(point).map_err(|error| error.reason().name())
        });
        leaving.join().expect("the reader only left");
        let reached = cutting.join().expect("the committer held its assertions");
        store.dismiss_maintenance();
        let maintenance = working.join().expect("maintenance held its assertions");
        (reached, maintenance.pinned_bytes())
    });
    assert_eq!(outcomes, BTreeSet::from([(Ok(()), 0)]));
}
