//! The Receiver sleeps only where nothing is there for it: whatever is proven, and whatever it is ordered, wakes it (REPL-RECONNECT,
//! REPL-WINDOW).
//!
//! Its body, the bell, the Validator and the way orders are given are the product's. Covered: a Receiver that waits for a proof to introduce
//! itself again; an order that meets another, and one whose wake-up comes late. Not covered: time that passes.

use crate::follower::{Comes, Finds, Follower, Script, commits, served};
use aerodb::chunk::{Chunk, Proven};
use aerodb::error::Result;
use aerodb::position::Position;
use aerodb::queue::bounded;
use aerodb::receiver::worker::{Order, Surroundings};
use aerodb::sync::{Arc, seeded};
use aerodb::validator::worker::Core;
use aerodb::{receiver, validator};
use aerodb_loom_tests::{explore, start};
use std::collections::BTreeSet;

/// The Validator, whose bell can be rung too early.
struct Early<M> {
    validator: validator::Validator,
    moved: M,
}

impl<M: Fn()> Core for Early<M> {
    fn prove(&mut self, chunk: Chunk, out: &mut Vec<Proven>) -> Result<()> {
        if seeded("the bell is rung before the proof is shown") {
            (self.moved)();
        }
        self.validator.prove(chunk, out)
    }

    fn close(&mut self) {
        self.validator.close();
    }
}

#[test]
fn a_receiver_that_waits_for_a_proof_is_woken_by_it() {
    let outcomes = explore("a connection is lost behind a chunk that is being proven", None, || {
        let log = commits(1);
        let mut comes = served(&log);
        // The second connection brings nothing: introducing itself there is all that is wanted.
        comes.extend([Comes::Nothing, Comes::End, Comes::Nothing]);
        let Follower { receiver, validator, stages, asleep, .. } = Follower::new();
        let ((chunk, chunks), (prove, proven)) = (bounded(1), bounded(1));
        let (orders, inbox) = bounded(4);
        orders.send(Order::Connect { after_seconds: 0 }).expect("there is room");
        let link = Script::new(comes, Finds::Another, Some(orders), asleep);
        let slept = link.slept();
        let validating = start({
            let stages = Arc::clone(&stages);
            move || {
                let early = Early { validator, moved: || stages.moved() };
                let moved = || {
                    if !seeded("the bell is rung before the proof is shown") {
                        stages.moved()
                    }
                };
                validator::worker::run(early, &chunks, &prove, moved)
            }
        });
        let receiving = start(move || {
            let around = Surroundings { link, inbox: &inbox, out: &chunk, bell: stages.as_ref() };
            receiver::worker::run(receiver, around, || stages.progress(|_| Position::GENESIS), || {})
        });
        assert_eq!(receiving.join().expect("the receiver held its assertions"), Ok(()));
        assert_eq!(validating.join().expect("the validator held its assertions"), Ok(()));
        drop(proven);
        slept.get()
    });
    assert_eq!(outcomes, BTreeSet::from([false, true]));
}

/// One execution: somebody orders this while somebody else stops the Receiver; whether it slept.
fn ordered_and_stopped(order: Order, may_connect: bool) -> bool {
    let Follower { receiver, stages, asleep, .. } = Follower::new();
    let (orders, inbox) = bounded(4);
    let (chunk, _chunks) = bounded(1);
    let link = Script::dead(may_connect, asleep);
    let slept = link.slept();
    let receiving = start({
        let stages = Arc::clone(&stages);
        move || {
            let around = Surroundings { link, inbox: &inbox, out: &chunk, bell: stages.as_ref() };
            receiver::worker::run(receiver, around, || stages.progress(|_| Position::GENESIS), || {})
        }
    });
    let ordering = start({
        let (stages, orders) = (Arc::clone(&stages), orders.clone());
        move || stages.order(&orders, order)
    });
    stages.order(&orders, Order::Stop);
    ordering.join().expect("ordering asserts nothing");
    // Orders may still be given: the Receiver ends because it was told to.
    assert_eq!(receiving.join().expect("the receiver held its assertions"), Ok(()));
    drop(orders);
    slept.get()
}

#[test]
fn a_stop_that_meets_an_order_to_connect_ends_a_receiver_that_sleeps() {
    let outcomes = explore("an order to connect and one to stop", Some(4), || {
        ordered_and_stopped(Order::Connect { after_seconds: 0 }, true)
    });
    assert_eq!(outcomes, BTreeSet::from([false, true]));
}

#[test]
fn a_wake_up_that_comes_late_is_not_taken_for_the_time_that_was_stated() {
    let outcomes = explore("an order to connect after some seconds, and a stop", Some(4), || {
        ordered_and_stopped(Order::Connect { after_seconds: 5 }, false)
    });
    assert_eq!(outcomes, BTreeSet::from([false, true]));
}
