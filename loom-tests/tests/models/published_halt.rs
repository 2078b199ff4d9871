//! A halt is for good: no publishing clears it, and it forgets no commit that was readable before.
//!
//! Covered: a committer, a halter and a reader that looks twice. Not covered: when, by a clock, the last reader is admitted;
//! `told_of_halt.rs` says what is promised instead.

use aerodb::commit_id::CommitId;
use aerodb::published::Published;
use aerodb::sync::Arc;
use aerodb_loom_tests::{explore, start};
use loom::sync::atomic::{AtomicBool, Ordering};
use std::collections::BTreeSet;

#[test]
fn nothing_is_readable_after_a_halt_and_no_publishing_clears_it() {
    let outcomes = explore("a committer, a halter and a reader", None, || {
        let published = Arc::new(Published::new(CommitId(0)));
        let fault = Arc::new(AtomicBool::new(false));
        let committing = start({
            let published = Arc::clone(&published);
            move || {
                published.publish(CommitId(1));
                published.publish(CommitId(2));
            }
        });
        let halting = start({
            let (published, fault) = (Arc::clone(&published), Arc::clone(&fault));
            move || {
                fault.store(true, Ordering::Relaxed);
                published.halt();
            }
        });
        let reading = start({
            let published = Arc::clone(&published);
            move || {
                [(); 2].map(|()| {
                    let readable = published.readable();
                    let told_why = readable.is_some() || fault.load(Ordering::Relaxed);
                    assert!(told_why, "who sees the halt sees the fault that caused it");
                    readable.map(|commit| commit.0)
                })
            }
        });
        committing.join().expect("the committer held its assertions");
        halting.join().expect("the halter held its assertions");
        let looks = reading.join().expect("the reader held its assertions");
        assert_eq!(published.readable(), None, "a halt is for good");
        let last = published.commit().0;
        assert!(looks.iter().flatten().all(|seen| *seen <= last), "a halt forgets no commit: {looks:?}, then {last}");
        (looks, last)
    });

    let looks: BTreeSet<_> = outcomes.iter().map(|(looks, _)| *looks).collect();
    let mut expected = BTreeSet::from([[None, None]]);
    for first in 0..=2 {
        expected.insert([Some(first), None]);
        expected.extend((first..=2).map(|second| [Some(first), Some(second)]));
    }
    assert_eq!(looks, expected);
    let last: BTreeSet<_> = outcomes.iter().map(|(_, last)| *last).collect();
    assert_eq!(last, BTreeSet::from([0, 1, 2]), "the halt may fall before, between and after the commits");
}
