//! Nobody waits for a side that is gone.
//!
//! Covered: one and two senders that wait for room while the receiver goes; a receiver that waits while the last sender goes,
//! with and without items left; a caller whose reply queue was inside an item that nobody took.

use aerodb::queue::{Disconnected, Sender, bounded};
use aerodb_loom_tests::{explore, start};
use std::collections::BTreeSet;

#[test]
fn a_sender_that_waits_while_the_receiver_goes_gets_its_item_back() {
    let outcomes = explore("the receiver goes, one sender", None, || {
        let (sender, receiver) = bounded(1);
        let sending = start(move || [sender.send('a'), sender.send('b'), sender.send('c')]);
        let leaving = start(move || assert_eq!(receiver.recv(), Ok('a')));
        let sent = sending.join().expect("the sender held its assertions");
        leaving.join().expect("the receiver held its assertions");
        sent.map(|sent| sent.map_err(|Disconnected(item)| item))
    });
    // The first item is received; the second may find the place that it left before the receiver goes.
    let expected = [[Ok(()), Ok(()), Err('c')], [Ok(()), Err('b'), Err('c')]];
    assert_eq!(outcomes, BTreeSet::from(expected));
}

#[test]
fn all_senders_that_wait_while_the_receiver_goes_get_their_items_back() {
    let outcomes = explore("the receiver goes, two senders", Some(3), || {
        let (sender, receiver) = bounded(1);
        sender.send('a').expect("the receiver lives");
        let other = sender.clone();
        let sending = [(sender, 'b'), (other, 'c')].map(|(sender, item)| start(move || sender.send(item)));
        let leaving = start(move || drop(receiver));
        leaving.join().expect("the receiver held its assertions");
        sending.map(|sender| sender.join().expect("the sender held its assertions").map_err(|Disconnected(item)| item))
    });
    assert_eq!(outcomes, BTreeSet::from([[Err('b'), Err('c')]]));
}

#[test]
fn a_receiver_gets_what_is_left_and_then_learns_that_the_last_sender_went() {
    let outcomes = explore("two senders go", Some(3), || {
        let (sender, receiver) = bounded(2);
        let other = sender.clone();
        let sending = [(sender, 'a'), (other, 'b')]
            .map(|(sender, item)| start(move || sender.send(item).expect("the receiver lives")));
        let receiving = start(move || [receiver.recv(), receiver.recv(), receiver.recv()].map(Result::ok));
        for sender in sending {
            sender.join().expect("the sender held its assertions");
        }
        receiving.join().expect("the receiver held its assertions")
    });
    assert_eq!(outcomes, BTreeSet::from([[Some('a'), Some('b'), None], [Some('b'), Some('a'), None]]));
}

#[test]
fn a_receiver_that_waits_while_the_only_sender_goes_is_woken() {
    let outcomes = explore("the only sender goes", None, || {
        let (sender, receiver) = bounded::<char>(1);
        let leaving = start(move || drop(sender));
        let receiving = start(move || receiver.recv());
        leaving.join().expect("the sender held its assertions");
        receiving.join().expect("the receiver held its assertions") == Err(Disconnected(()))
    });
    assert_eq!(outcomes, BTreeSet::from([true]));
}

#[test]
fn a_caller_whose_request_was_never_taken_does_not_wait_for_its_answer() {
    let outcomes = explore("the server goes, the caller stays", None, || {
        let (requests, server) = bounded::<Sender<char>>(1);
        let calling = start(move || {
            let (reply, answer) = bounded(1);
            let sent = requests.send(reply).is_ok();
            // The request queue lives on: only the reply queue can tell.
            let answered = answer.recv();
            drop(requests);
            (sent, answered == Err(Disconnected(())))
        });
        let leaving = start(move || drop(server));
        leaving.join().expect("the server held its assertions");
        calling.join().expect("the caller held its assertions")
    });
    assert_eq!(outcomes, BTreeSet::from([(true, true), (false, true)]));
}
