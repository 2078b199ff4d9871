//! A queue never holds more than its capacity, and who can't wait is told so at once.
//!
//! The capacity itself is asserted inside the twin at every item put in. Covered: `try_send` beside a receiver, and beside a
//! sender that waits for the place; `try_recv` beside a sender.

use aerodb::queue::{TryRecv, TrySend, bounded};
use aerodb_loom_tests::{explore, start};
use std::collections::BTreeSet;

#[test]
fn who_tries_to_send_is_refused_exactly_when_there_is_no_room() {
    let outcomes = explore("two tries to send, capacity 1", None, || {
        let (sender, receiver) = bounded(1);
        let receiving = start(move || {
            let arrived = receiver.recv();
            (arrived, receiver)
        });
        let trying = start(move || {
            assert_eq!(sender.try_send('a'), Ok(()), "an empty queue has room");
            let second = sender.try_send('b');
            (second, sender)
        });
        let (second, sender) = trying.join().expect("the sender held its assertions");
        let (arrived, receiver) = receiving.join().expect("the receiver held its assertions");
        assert_eq!(arrived, Ok('a'));
        let left = receiver.try_recv();
        drop(sender);
        assert_eq!(receiver.try_recv(), Err(TryRecv::Disconnected));
        assert!(matches!(second, Ok(()) | Err(TrySend::Full('b'))), "the receiver lives: {second:?}");
        (second.is_ok(), left.ok())
    });
    assert_eq!(outcomes, BTreeSet::from([(true, Some('b')), (false, None)]));
}

#[test]
fn a_place_that_another_took_is_waited_for_again() {
    let outcomes = explore("one sender waits, one tries, capacity 1", Some(2), || {
        let (sender, receiver) = bounded(1);
        sender.send('a').expect("the receiver lives");
        let other = sender.clone();
        let waiting = start(move || sender.send('b').expect("the receiver lives"));
        let trying = start(move || other.try_send('c').is_ok());
        let receiving = start(move || std::iter::from_fn(|| receiver.recv().ok()).collect::<String>());
        waiting.join().expect("the waiting sender held its assertions");
        let sent = trying.join().expect("the trying sender held its assertions");
        let arrived = receiving.join().expect("the receiver held its assertions");
        assert_eq!(arrived.contains('c'), sent, "what was accepted arrives, what was refused does not");
        arrived
    });
    assert_eq!(outcomes, ["ab", "abc", "acb"].map(str::to_owned).into());
}

#[test]
fn who_tries_to_receive_is_told_that_nothing_is_there_yet_or_ever() {
    let outcomes = explore("two tries to receive", None, || {
        let (sender, receiver) = bounded(1);
        let sending = start(move || sender.send('a').expect("the receiver lives"));
        let trying = start(move || {
            let tries = [receiver.try_recv(), receiver.try_recv()];
            (tries, receiver)
        });
        sending.join().expect("the sender held its assertions");
        let (tries, _receiver) = trying.join().expect("the receiver held its assertions");
        tries.map(|tried| match tried {
            Ok(item) => item,
            Err(TryRecv::Empty) => '-',
            Err(TryRecv::Disconnected) => '!',
        })
    });
    assert_eq!(outcomes, BTreeSet::from([['-', '-'], ['-', 'a'], ['a', '-'], ['a', '!']]));
}
