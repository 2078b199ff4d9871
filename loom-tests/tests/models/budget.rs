//! The bytes in the inbox stay within their budget, and nobody waits for a share that is there.
//!
//! Budget and shares are the real ones. Covered: two that wait for one that gives back, and go on together where both fit; two
//! that each need all of it. Not covered: the inbox, which is a queue (`queue_room.rs`).

use aerodb::committer::Budget;
use aerodb::queue::bounded;
use aerodb::sync::Arc;
use aerodb_loom_tests::{explore, start};
use loom::sync::atomic::{AtomicUsize, Ordering};
use std::collections::BTreeSet;

#[test]
fn who_fits_together_goes_on_together() {
    let outcomes = explore("two wait for one that gives back", Some(3), || {
        let budget = Budget::new(2);
        let all = budget.take(2);
        let (sender, shares) = bounded(2);
        let taking = [(); 2].map(|()| {
            let (budget, sender) = (Arc::clone(&budget), sender.clone());
            start(move || drop(sender.send(budget.take(1))))
        });
        drop(all);
        // The first share is kept until the second has come.
        let both = [shares.recv(), shares.recv()].map(|share| share.is_ok());
        for taker in taking {
            taker.join().expect("the taker held its assertions");
        }
        both
    });
    assert_eq!(outcomes, BTreeSet::from([[true, true]]));
}

#[test]
fn no_more_than_the_budget_is_taken_at_once() {
    let outcomes = explore("two need all of it, one after the other", None, || {
        let (budget, taken) = (Budget::new(2), Arc::new(AtomicUsize::new(0)));
        let taking = [2, 2].map(|bytes| {
            let (budget, taken) = (Arc::clone(&budget), Arc::clone(&taken));
            start(move || {
                let share = budget.take(bytes);
                let before = taken.fetch_add(bytes, Ordering::Relaxed);
                taken.fetch_sub(bytes, Ordering::Relaxed);
                drop(share);
                before
            })
        });
        taking.map(|taker| taker.join().expect("the taker held its assertions"))
    });
    assert_eq!(outcomes, BTreeSet::from([[0, 0]]));
}
