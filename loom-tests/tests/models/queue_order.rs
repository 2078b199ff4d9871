//! Nothing is lost or doubled, and the items of one sender arrive in its order.
//!
//! Covered: one sender and capacity 1, every execution; two senders that compete for one place, and for two. Not covered: the
//! order between senders, of which the queue promises nothing.

use aerodb::queue::{Disconnected, bounded};
use aerodb_loom_tests::{explore, start};
use std::collections::BTreeSet;

#[test]
fn items_of_one_sender_arrive_in_order_and_all_of_them() {
    let outcomes = explore("one sender, three items, capacity 1", None, || {
        let (sender, receiver) = bounded(1);
        let sending = start(move || {
            for item in 1..=3 {
                sender.send(item).expect("the receiver lives");
            }
        });
        let receiving = start(move || [receiver.recv(), receiver.recv(), receiver.recv(), receiver.recv()]);
        sending.join().expect("the sender held its assertions");
        receiving.join().expect("the receiver held its assertions").map(Result::ok)
    });
    assert_eq!(outcomes, BTreeSet::from([[Some(1), Some(2), Some(3), None]]));
}

/// Two senders of two items each; what arrived, in order.
fn two_senders(capacity: usize) -> Vec<char> {
    let (sender, receiver) = bounded(capacity);
    let other = sender.clone();
    let sending = [(sender, ['a', 'b']), (other, ['x', 'y'])].map(|(sender, items)| {
        start(move || {
            for item in items {
                sender.send(item).expect("the receiver lives");
            }
        })
    });
    let receiving = start(move || {
        let arrived: Vec<_> = std::iter::from_fn(|| receiver.recv().ok()).collect();
        assert_eq!(receiver.recv(), Err(Disconnected(())), "the senders are gone for good");
        arrived
    });
    for sender in sending {
        sender.join().expect("the sender held its assertions");
    }
    receiving.join().expect("the receiver held its assertions")
}

/// Every way to shuffle `ab` into `xy`.
fn shuffles() -> BTreeSet<Vec<char>> {
    ["abxy", "axby", "axyb", "xaby", "xayb", "xyab"].iter().map(|arrived| arrived.chars().collect()).collect()
}

#[test]
fn two_senders_that_compete_for_one_place_lose_and_double_nothing() {
    assert_eq!(explore("two senders, two items each, capacity 1", Some(2), || two_senders(1)), shuffles());
}

#[test]
fn two_senders_that_compete_for_two_places_lose_and_double_nothing() {
    assert_eq!(explore("two senders, two items each, capacity 2", Some(2), || two_senders(2)), shuffles());
}
