//! Told of the halt: whoever learnt of it over any path that synchronises is refused, and so is everyone they tell.
//!
//! Covered: told over a queue, told by a flag, told by someone who was told; a committer publishes meanwhile. By a clock nothing is
//! promised: who was not told may still be admitted to the view that stood before.

use aerodb::commit_id::CommitId;
use aerodb::published::Published;
use aerodb::queue::bounded;
use aerodb::sync::{Arc, seeded};
use aerodb_loom_tests::{explore, start};
use loom::sync::atomic::{AtomicBool, Ordering};
use std::collections::BTreeSet;

/// Halts and tells, in this order.
fn halt_and(published: &Published, tell: impl FnOnce()) {
    if seeded("the halt is told before it is in place") {
        tell();
        published.halt();
    } else {
        published.halt();
        tell();
    }
}

#[test]
fn who_was_told_by_a_flag_is_refused() {
    let outcomes = explore("told by a flag", None, || {
        let published = Arc::new(Published::new(CommitId(0)));
        let told = Arc::new(AtomicBool::new(false));
        let committing = start({
            let published = Arc::clone(&published);
            move || published.publish(CommitId(1))
        });
        let halting = start({
            let (published, told) = (Arc::clone(&published), Arc::clone(&told));
            move || halt_and(&published, || told.store(true, Ordering::Release))
        });
        let reading = start(move || (told.load(Ordering::Acquire), published.readable().map(|commit| commit.0)));
        committing.join().expect("the committer held its assertions");
        halting.join().expect("the halter held its assertions");
        reading.join().expect("the reader held its assertions")
    });
    let expected = [(false, Some(0)), (false, Some(1)), (false, None), (true, None)];
    assert_eq!(outcomes, BTreeSet::from(expected));
}

#[test]
fn who_was_told_by_someone_who_was_told_is_refused() {
    let outcomes = explore("told over two queues", Some(3), || {
        let published = Arc::new(Published::new(CommitId(0)));
        let (tell_first, first) = bounded(1);
        let (tell_second, second) = bounded(1);
        let halting = start({
            let published = Arc::clone(&published);
            move || {
                published.publish(CommitId(1));
                halt_and(&published, || tell_first.send(()).expect("the first lives"));
            }
        });
        let relaying = start(move || {
            first.recv().expect("the halter tells");
            tell_second.send(()).expect("the second lives");
        });
        let reading = start(move || {
            let before = published.readable().map(|commit| commit.0);
            second.recv().expect("the first tells");
            (before, published.readable())
        });
        halting.join().expect("the halter held its assertions");
        relaying.join().expect("the first held its assertions");
        reading.join().expect("the second held its assertions")
    });
    assert_eq!(outcomes, BTreeSet::from([(Some(0), None), (Some(1), None), (None, None)]));
}
