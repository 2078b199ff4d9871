//! No wake-up is lost.
//!
//! The caller keeps its side of the request queue while it waits for the answers, so that no late disconnection can wake the
//! server in place of a notification that was forgotten.

use aerodb::queue::bounded;
use aerodb_loom_tests::{explore, start};
use std::collections::BTreeSet;

#[test]
fn two_requests_get_their_two_answers() {
    let outcomes = explore("two requests in flight, capacity 1", None, || {
        let (requests, inbox) = bounded(1);
        let (replies, answers) = bounded(1);
        let serving = start(move || {
            while let Ok(request) = inbox.recv() {
                replies.send(request + 10).expect("the caller lives");
            }
        });
        let calling = start(move || {
            requests.send(1).expect("the server lives");
            requests.send(2).expect("the server lives");
            let answered = [answers.recv(), answers.recv()];
            drop(requests);
            answered
        });
        let answered = calling.join().expect("the caller held its assertions");
        serving.join().expect("the server held its assertions");
        answered.map(Result::ok)
    });
    assert_eq!(outcomes, BTreeSet::from([[Some(11), Some(12)]]));
}
