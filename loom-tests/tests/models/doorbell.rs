//! Who asks to be woken, finds nothing and sleeps is woken for whatever is left there afterwards.
//!
//! The bell and the published word are the real ones; the poll in which the server's loop sleeps is a queue of one wake-up, and what
//! else ends that sleep a second sender of it. Covered: one that publishes, two that leave things; a sleeper that looks again, that was
//! woken by something else, and that did not sleep at all. Not covered: the waker of the operating system.

use aerodb::commit_id::CommitId;
use aerodb::published::{Doorbell, Published};
use aerodb::queue::{Receiver, Sender, bounded};
use aerodb::sync::{Arc, seeded};
use aerodb_loom_tests::{explore, start};
use std::collections::BTreeSet;

/// What publishes, and where the sleeper is woken.
struct World {
    published: Published,
    bell: Doorbell,
    wakes: Sender<()>,
}

impl World {
    fn new() -> (Arc<World>, Receiver<()>) {
        let (wakes, asleep) = bounded(1);
        (Arc::new(World { published: Published::new(CommitId(0)), bell: Doorbell::default(), wakes }), asleep)
    }

    fn publish(&self, commit: u64) {
        let early = seeded("the bell is rung before there is anything");
        let rung = early && self.bell.ring();
        self.published.publish(CommitId(commit));
        if rung || (!early && self.bell.ring()) {
            // One wake-up that is pending counts for this one too.
            let _ = self.wakes.try_send(());
        }
    }

    /// Sleeps until the commit can be read; whether it slept at all.
    fn wait_for(&self, commit: u64, asleep: &Receiver<()>) -> bool {
        let mut slept = false;
        let readable = || self.published.readable().is_some_and(|readable| readable >= CommitId(commit));
        loop {
            let early = seeded("the sleeper looks before it asks to be woken");
            let seen = early && readable();
            self.bell.listen();
            if seen || (!early && readable()) {
                return slept;
            }
            asleep.recv().expect("the world is there");
            self.bell.stop_listening();
            slept = true;
        }
    }
}

#[test]
fn a_sleeper_is_woken_by_one_that_publishes() {
    let outcomes = explore("a sleeper and a publisher of two commits", None, || {
        let (world, asleep) = World::new();
        let publishing = start({
            let world = Arc::clone(&world);
            move || [1, 2].iter().for_each(|commit| world.publish(*commit))
        });
        let sleeping = start(move || [1, 2].map(|commit| world.wait_for(commit, &asleep)));
        publishing.join().expect("the publisher held its assertions");
        sleeping.join().expect("the sleeper held its assertions")
    });
    assert_eq!(outcomes, BTreeSet::from([[false, false], [false, true], [true, false], [true, true]]));
}

#[test]
fn a_sleeper_that_something_else_woke_still_hears_the_bell() {
    let outcomes = explore("a sleeper, a publisher and another reason to wake", Some(3), || {
        let (world, asleep) = World::new();
        let publishing = start({
            let world = Arc::clone(&world);
            move || [1, 2].iter().for_each(|commit| world.publish(*commit))
        });
        let other = world.wakes.clone();
        let waking = start(move || other.try_send(()).unwrap_or_default());
        let sleeping = start(move || world.wait_for(2, &asleep));
        publishing.join().expect("the publisher held its assertions");
        waking.join().expect("there is always a sleeper to wake");
        sleeping.join().expect("the sleeper held its assertions")
    });
    assert_eq!(outcomes, BTreeSet::from([false, true]));
}
