//! The Supervisor sees everything: no fault and no progress is left unseen while it waits, the first fault is the one that is kept and
//! shown, what is told of the whole is of one moment, and who was told of a halt is refused (P5-I14, REPL-HALT, REPL-POSITIONS).
//!
//! Its body and core, the state that it keeps and the way it is called are the product's; the stages are threads that set facts or fail, and
//! what it does is told to the model. Covered: two that fail, one that fails and one that moves, a start at which nobody calls, a halt
//! over a real store. Not covered: a disk that fails.

use crate::follower::{Bedside, bare_stages, genesis, kept, supervisor};
use crate::world::World;
use aerodb::chunk::Validated;
use aerodb::commit_id::CommitId;
use aerodb::error::{Error, Result};
use aerodb::position::{LogPoint, Position};
use aerodb::queue::{self, bounded};
use aerodb::reason::Reason;
use aerodb::receiver::Received;
use aerodb::replica_state::Halt;
use aerodb::supervisor::machine::State;
use aerodb::supervisor::stages::Stages;
use aerodb::supervisor::told::Told;
use aerodb::supervisor::{Action, Facts, Supervisor, worker};
use aerodb::sync::{Arc, JoinHandle};
use aerodb_loom_tests::{explore, start};
use loom::sync::atomic::{AtomicU64, Ordering};
use std::collections::BTreeSet;

/// Starts the Supervisor; `seen` gets the facts of each look, `act` what is to be done.
fn supervise(
    supervisor: Supervisor,
    stages: &Arc<Stages<Bedside>>,
    calls: queue::Receiver<()>,
    seen: impl Fn(&Facts) + Send + 'static,
    act: impl FnMut(Action, &Supervisor) + Send + 'static,
) -> JoinHandle<Result<()>> {
    let stages = Arc::clone(stages);
    start(move || {
        let facts = || {
            let facts = stages.facts();
            seen(&facts);
            facts
        };
        worker::run(supervisor, &calls, facts, || stages.fault(), act, |_| (), || ())
    })
}

fn failing(stages: &Arc<Stages<Bedside>>, component: &'static str, reason: Reason) -> JoinHandle<()> {
    let stages = Arc::clone(stages);
    start(move || stages.failed(component, Error::new(reason)))
}

#[test]
fn of_two_faults_the_one_that_is_shown_is_kept_and_halts_once() {
    let outcomes = explore("two components fail", Some(3), || {
        let (stages, calls, _asleep) = bare_stages();
        let (supervisor, disk) = supervisor();
        let shown = supervisor.observed();
        let (tell, told) = bounded(2);
        let halt = move |action, supervisor: &Supervisor| {
            if action == Action::Halt {
                tell.send(supervisor.halt().cloned()).expect("the model waits for it");
            }
        };
        let supervising = supervise(supervisor, &stages, calls, |_| {}, halt);
        let failing = [
            failing(&stages, "validator", Reason::SegmentRejected),
            failing(&stages, "receiver", Reason::HistoryDiverged),
        ];
        let halt = told.recv().expect("the Supervisor lives").expect("it is kept before anybody is told");
        for failing in failing {
            failing.join().expect("failing asserts nothing");
        }
        stages.dismiss_supervisor();
        assert_eq!(supervising.join().expect("the supervisor held its assertions"), Ok(()));
        assert!(told.try_recv().is_err(), "a replica halts once");
        let fault = stages.fault().expect("there was one");
        assert_eq!(kept(&disk).state().halt.as_ref(), Some(&halt));
        assert_eq!((halt.reason, halt.evidence.as_str()), (fault.reason(), fault.to_string().as_str()));
        assert_eq!((shown.load().state, shown.load().previous), (State::Closed, Some(State::Halted)));
        halt.reason.name()
    });
    assert_eq!(outcomes, BTreeSet::from(["history.diverged", "segment.rejected"]));
}

/// Where the stages are once they have moved.
fn moved_to() -> LogPoint {
    LogPoint { position: Position(1), commit: CommitId(1), ..genesis() }
}

#[test]
fn the_last_progress_and_the_fault_are_seen_before_the_supervisor_waits() {
    let outcomes = explore("a component moves, another fails", Some(3), || {
        let (stages, calls, _asleep) = bare_stages();
        let (supervisor, _disk) = supervisor();
        let (see, seen) = bounded(1);
        let (tell, told) = bounded(1);
        let see = move |facts: &Facts| {
            if facts.applied == moved_to() {
                let _ = see.try_send(());
            }
        };
        let stop = move |action, _: &Supervisor| {
            if action == Action::Stop {
                tell.send(()).expect("the model waits for it");
            }
        };
        let supervising = supervise(supervisor, &stages, calls, see, stop);
        let moving = start({
            let stages = Arc::clone(&stages);
            move || {
                let (point, shown) = (moved_to(), stages.shown());
                let position = point.position;
                shown.received.set(Received { received: position, asked: position, ..Received::default() });
                shown.validated.set(Validated { point, seen: position, wanted: position });
                shown.applied.set(point);
                stages.moved();
            }
        });
        let failing = failing(&stages, "receiver", Reason::DiskSyncFailed);
        told.recv().expect("the fault is seen");
        seen.recv().expect("and so is what was applied last");
        moving.join().expect("moving asserts nothing");
        failing.join().expect("failing asserts nothing");
        stages.dismiss_supervisor();
        supervising.join().expect("the supervisor held its assertions").is_ok()
    });
    assert_eq!(outcomes, BTreeSet::from([true]));
}

#[test]
fn what_is_there_at_the_start_is_seen_without_a_call() {
    let outcomes = explore("nobody calls", None, || {
        let (stages, calls, _asleep) = bare_stages();
        let (supervisor, _disk) = supervisor();
        let (tell, told) = bounded(1);
        let connect = move |action, _: &Supervisor| tell.send(action).expect("the model waits for it");
        let supervising = supervise(supervisor, &stages, calls, |_| {}, connect);
        let action = told.recv().expect("the Supervisor lives");
        stages.dismiss_supervisor();
        assert_eq!(supervising.join().expect("the supervisor held its assertions"), Ok(()));
        action == Action::Connect(0)
    });
    assert_eq!(outcomes, BTreeSet::from([true]));
}

#[test]
fn what_is_told_of_a_replica_is_of_one_moment() {
    let outcomes = explore("a component fails, and one that looks twice at the whole", Some(3), || {
        let (stages, calls, _asleep) = bare_stages();
        let (supervisor, _disk) = supervisor();
        let told = supervisor.told();
        let supervising = supervise(supervisor, &stages, calls, |_| {}, |_, _| {});
        let failing = failing(&stages, "validator", Reason::SegmentRejected);
        let looking = start(move || [(); 2].map(|()| Told::clone(&told.load())));
        let looks = looking.join().expect("looking asserts nothing");
        failing.join().expect("failing asserts nothing");
        stages.dismiss_supervisor();
        assert_eq!(supervising.join().expect("the supervisor held its assertions"), Ok(()));
        looks.map(|Told { replica, fault, halt }| {
            let fault = fault.map(|fault| fault.reason().name());
            (replica.state.name(), fault, halt.map(|halt| halt.reason.name()))
        })
    });
    let rejected = Some(Reason::SegmentRejected.name());
    let moments = [("recovering", None, None), ("receiving", None, None), ("halted", rejected, rejected)];
    let mut expected = BTreeSet::new();
    for first in 0..moments.len() {
        expected.extend((first..moments.len()).map(|second| [moments[first], moments[second]]));
    }
    assert_eq!(outcomes, expected);
}

#[test]
fn who_is_shown_that_the_replica_has_halted_is_refused() {
    let outcomes = explore("a halt, an applier and a reader that asks for the state", Some(3), || {
        let (stages, calls, _asleep) = bare_stages();
        let (supervisor, _disk) = supervisor();
        let shown = supervisor.observed();
        let mut world = World::new(None);
        let store = Arc::clone(&world.store);
        let told = Arc::new(AtomicU64::new(0));
        store.on_publish({
            let told = Arc::clone(&told);
            move || {
                told.fetch_add(1, Ordering::Relaxed);
            }
        });
        stages.failed("receiver", Error::new(Reason::HistoryDiverged));
        let close_reads = {
            let store = Arc::clone(&store);
            move |action, supervisor: &Supervisor| {
                if action == Action::Halt {
                    let halt = supervisor.halt().map_or_else(String::new, Halt::to_string);
                    store.halt(&Error::new(Reason::ReplicaHalted).with("halt", halt));
                }
            }
        };
        let supervising = supervise(supervisor, &stages, calls, |_| {}, close_reads);
        let applying = start(move || {
            world.commit();
            world.applier.publish();
        });
        let halted = shown.load().state == State::Halted;
        let read = store.view(None).map(|view| view.commit().0).map_err(|error| error.reason().name());
        applying.join().expect("the applier held its assertions");
        stages.dismiss_supervisor();
        assert_eq!(supervising.join().expect("the supervisor held its assertions"), Ok(()));
        assert_eq!(told.load(Ordering::Relaxed), 2, "whoever waits is told of the commit and of the end of reads");
        (halted, read)
    });
    let refused = Err("replica.halted");
    assert_eq!(outcomes, BTreeSet::from([(false, Ok(0)), (false, Ok(1)), (false, refused), (true, refused)]));
}
