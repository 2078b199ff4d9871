//! What is received is proven and applied once, in order, and shown so; what ends a stage ends the others behind it, and drops nothing
//! that is proven (REPL-POSITIONS, REPL-HALT, F-V1, P5-I5).
//!
//! Receiver, Validator and the bodies of all three threads are the product's. Covered: queues of one place, an observer, a chunk that is
//! rejected, an Applier that fails, a stop at any moment, also of a Receiver that sleeps. Not covered: the store behind the Applier
//! (`admission.rs`), and a halt, which ends the Applier wherever it is.

use crate::follower::{Bedside, Finds, Follower, Script, commits, corrupted, count, kept, served, supervisor};
use aerodb::chunk::{Chunk, Proven};
use aerodb::commit_id::CommitId;
use aerodb::error::Result;
use aerodb::position::{LogPoint, Position};
use aerodb::published::Fact;
use aerodb::queue::{Sender, bounded};
use aerodb::receiver::worker::{Order, Surroundings};
use aerodb::supervisor::stages::Stages;
use aerodb::supervisor::{self, Action, Facts};
use aerodb::sync::{Arc, JoinHandle};
use aerodb::{applier, receiver, validator};
use aerodb_loom_tests::{explore, start};
use std::collections::BTreeSet;

/// Commits that are received, proven and applied.
type Counts = (u64, u64, u64);

/// The threads of a replica, its connection and those who give orders.
struct Running {
    stages: Arc<Stages<Bedside>>,
    /// Gone where the connection has the only way to give orders.
    orders: Option<Sender<Order>>,
    receiving: JoinHandle<Result<()>>,
    validating: JoinHandle<Result<()>>,
    applying: JoinHandle<Result<()>>,
    slept: Arc<Fact<bool>>,
}

impl Running {
    /// Starts the stages over a primary that sends this log.
    fn start(log: Vec<(Vec<u8>, LogPoint)>, finds: Finds) -> Running {
        Running::failing(log, finds, None)
    }

    /// The same, where the Applier fails at what comes behind a commit.
    fn failing(log: Vec<(Vec<u8>, LogPoint)>, finds: Finds, fails_behind: Option<CommitId>) -> Running {
        let Follower { receiver, validator, mut applier, stages, calls: _calls, asleep } = Follower::new();
        applier.fails_behind = fails_behind;
        let ((chunk, chunks), (prove, proven)) = (bounded::<Chunk>(1), bounded::<Proven>(1));
        let (orders, inbox) = bounded(4);
        orders.send(Order::Connect { after_seconds: 0 }).expect("there is room");
        let (ours, its) = if finds == Finds::Sleep { (Some(orders), None) } else { (None, Some(orders)) };
        let link = Script::new(served(&log), finds, its, asleep);
        let slept = link.slept();
        let receiving = start({
            let stages = Arc::clone(&stages);
            move || {
                let around = Surroundings { link, inbox: &inbox, out: &chunk, bell: stages.as_ref() };
                // The window is wide, and these threads wait for nothing else that is behind them (`receiver_wakes.rs`).
                let progress = stages.progress(|_| Position::GENESIS);
                receiver::worker::run(receiver, around, || progress, || {})
            }
        });
        let validating = start({
            let stages = Arc::clone(&stages);
            move || {
                let outcome = validator::worker::run(validator, &chunks, &prove, || {});
                if let Err(rejected) = &outcome {
                    stages.failed("validator", rejected.clone());
                }
                outcome
            }
        });
        let applying = start({
            let stages = Arc::clone(&stages);
            move || {
                let outcome = applier::worker::run(&mut applier, &proven, || {});
                assert_eq!(applier.closed, 1, "when nothing more is proven the Applier closes, once");
                if let Err(failure) = &outcome {
                    stages.failed("applier", failure.clone());
                }
                outcome
            }
        });
        Running { stages, orders: ours, receiving, validating, applying, slept }
    }

    /// Stops them as the replica does.
    fn stop(&self) {
        let orders = self.orders.as_ref().expect("they are the model's to give");
        self.stages.order(orders, Order::Stop);
    }

    fn counts(&self) -> Counts {
        let Facts { received, validated, applied, .. } = self.stages.facts();
        let (received, validated, applied) = (received.received, validated.point.position, applied.position);
        assert!(applied <= validated && validated <= received, "no look shows a stage ahead of the one before it");
        (count(received), count(validated), count(applied))
    }

    /// All threads have ended, of which the Applier may have failed: how far it came, and the first fault.
    fn join_failed(self) -> (u64, Option<String>) {
        let Running { stages, orders, receiving, validating, applying, slept: _ } = self;
        drop(orders);
        assert_eq!(receiving.join().expect("the receiver held its assertions"), Ok(()));
        assert_eq!(validating.join().expect("the validator held its assertions"), Ok(()));
        let applied = applying.join().expect("the applier held its assertions");
        let fault = stages.fault();
        assert_eq!(fault, applied.err(), "its failure is the first fault, and the only one");
        let component = fault.and_then(|fault| fault.fact("component").map(str::to_owned));
        (count(stages.facts().applied.position), component)
    }

    /// All threads have ended: how far each came, why the Validator ended early, and whether the Receiver ever slept.
    fn join(self) -> (Counts, Option<&'static str>, bool) {
        let Running { stages, orders, receiving, validating, applying, slept } = self;
        drop(orders);
        assert_eq!(receiving.join().expect("the receiver held its assertions"), Ok(()));
        let validated = validating.join().expect("the validator held its assertions");
        assert_eq!(applying.join().expect("the applier held its assertions"), Ok(()));
        let fault = stages.fault();
        assert_eq!(
            fault.as_ref().map(|fault| fault.fact("component")),
            validated.as_ref().err().map(|_| Some("validator"))
        );
        let Facts { received, validated, applied, .. } = stages.facts();
        assert_eq!(applied, validated.point, "all that is proven is applied");
        let counts = (count(received.received), count(validated.point.position), count(applied.position));
        (counts, fault.map(|fault| fault.reason().name()), slept.get())
    }
}

#[test]
fn every_chunk_is_proven_and_applied_once_and_no_look_shows_it_earlier() {
    let outcomes = explore("three stages with queues of one, two chunks, an observer", Some(3), || {
        let running = Running::start(commits(2), Finds::NoMoreOrders);
        let look = running.counts();
        let (end, fault, _) = running.join();
        assert_eq!((end, fault), ((2, 2, 2), None));
        look
    });
    let all = (0..=2).flat_map(|received| (0..=received).map(move |validated| (received, validated)));
    let all = all.flat_map(|(received, validated)| (0..=validated).map(move |applied| (received, validated, applied)));
    assert_eq!(outcomes, all.collect::<BTreeSet<_>>());
}

#[test]
fn a_chunk_that_is_rejected_ends_the_stages_and_what_was_proven_before_it_is_applied() {
    let outcomes = explore("three stages, half of the second of three chunks is rejected", Some(2), || {
        let mut log = corrupted();
        log.push(commits(4).pop().expect("there are four"));
        let running = Running::start(log, Finds::NoMoreOrders);
        let (counts, fault, _) = running.join();
        assert_eq!(fault, Some("segment.rejected"));
        counts
    });
    // The third chunk is received: nobody takes it any more, whether the Receiver has to learn that or not.
    assert_eq!(outcomes, BTreeSet::from([(3, 2, 2)]));
}

#[test]
fn a_rejection_ends_a_receiver_that_sleeps_and_is_kept() {
    let outcomes = explore("a receiver, a validator and a supervisor, half of a chunk is rejected", Some(2), || {
        let Follower { receiver, validator, stages, calls, asleep, .. } = Follower::new();
        let (supervisor, disk) = supervisor();
        let ((chunk, chunks), (prove, proven)) = (bounded::<Chunk>(1), bounded::<Proven>(2));
        let (orders, inbox) = bounded(4);
        let link = Script::new(served(&corrupted()), Finds::Sleep, None, asleep);
        let supervising = start({
            let stages = Arc::clone(&stages);
            move || {
                let act = |action, _: &_| match action {
                    Action::Connect(after_seconds) => stages.order(&orders, Order::Connect { after_seconds }),
                    Action::Halt => stages.order(&orders, Order::Stop),
                    Action::Stop => unreachable!("a rejection halts"),
                };
                supervisor::worker::run(supervisor, &calls, || stages.facts(), || stages.fault(), act, |_| (), || ())
            }
        });
        let validating = start({
            let stages = Arc::clone(&stages);
            move || {
                let outcome = validator::worker::run(validator, &chunks, &prove, || {});
                stages.failed("validator", outcome.expect_err("it does not prove itself"));
            }
        });
        let receiving = start({
            let stages = Arc::clone(&stages);
            move || {
                let around = Surroundings { link, inbox: &inbox, out: &chunk, bell: stages.as_ref() };
                let progress = stages.progress(|_| Position::GENESIS);
                receiver::worker::run(receiver, around, || progress, || {})
            }
        });
        assert_eq!(receiving.join().expect("the receiver held its assertions"), Ok(()));
        validating.join().expect("the validator held its assertions");
        drop(proven);
        stages.dismiss_supervisor();
        assert_eq!(supervising.join().expect("the supervisor held its assertions"), Ok(()));
        kept(&disk).state().halt.as_ref().map(|halt| (halt.reason.name(), count(halt.position)))
    });
    assert_eq!(outcomes, BTreeSet::from([Some(("segment.rejected", 2))]));
}

#[test]
fn a_stop_drops_nothing_that_was_received_and_wakes_a_receiver_that_sleeps() {
    let outcomes = explore("three stages, two chunks, a stop", Some(2), || {
        let running = Running::start(commits(2), Finds::Sleep);
        running.stop();
        let ((received, validated, applied), fault, slept) = running.join();
        assert_eq!(
            (validated, applied, fault),
            (received, received, None),
            "all that was received is proven and applied"
        );
        (received, slept)
    });
    assert_eq!(outcomes, BTreeSet::from([(0, false), (1, false), (2, true)]));
}

#[test]
fn a_stop_that_meets_a_rejection_hangs_nobody_and_drops_nothing_that_was_proven() {
    let outcomes = explore("three stages, half of the second of two chunks is rejected, a stop", Some(2), || {
        let running = Running::start(corrupted(), Finds::Sleep);
        running.stop();
        let ((received, validated, applied), fault, slept) = running.join();
        assert_eq!(applied, validated, "all that is proven is applied");
        (received, applied, fault, slept)
    });
    let rejected = (3, 2, Some("segment.rejected"), true);
    assert_eq!(outcomes, BTreeSet::from([(0, 0, None, false), (1, 1, None, false), rejected]));
}

#[test]
fn an_applier_that_fails_ends_those_before_it_and_applies_nothing_behind() {
    let outcomes = explore("three stages with queues of one, four chunks, the second fails", Some(2), || {
        Running::failing(commits(4), Finds::NoMoreOrders, Some(CommitId(1))).join_failed()
    });
    assert_eq!(outcomes, BTreeSet::from([(1, Some("applier".to_owned()))]));
}

#[test]
fn a_stop_that_meets_an_applier_that_fails_hangs_nobody() {
    let outcomes = explore("three stages, two chunks, the second fails, a stop", Some(2), || {
        let running = Running::failing(commits(2), Finds::Sleep, Some(CommitId(1)));
        running.stop();
        running.join_failed()
    });
    assert_eq!(outcomes, BTreeSet::from([(0, None), (1, None), (1, Some("applier".to_owned()))]));
}
