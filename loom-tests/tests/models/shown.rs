//! What a component shows is of one moment: its state, the one before it and what led from that to this belong together, and so do
//! the positions of one fact (P5-I14).
//!
//! Covered: one that shows, one that looks twice.

use aerodb::chunk::Validated;
use aerodb::observed::{Observation, Observed};
use aerodb::position::{LogPoint, Position};
use aerodb::published::Fact;
use aerodb::sync::Arc;
use aerodb::validator::machine::State;
use aerodb_loom_tests::{explore, start};
use std::collections::BTreeSet;

#[test]
fn a_look_at_a_component_is_of_one_moment() {
    let outcomes = explore("a component that shows itself, and one that looks twice", None, || {
        let observed = Arc::new(Observed::new("validator", State::Waiting));
        let showing = start({
            let observed = Arc::clone(&observed);
            move || {
                observed.transition(State::Proving, "chunk", None);
                observed.transition(State::Failed, "rejected", Some("why".to_owned()));
            }
        });
        let looking = start(move || [(); 2].map(|()| observed.load()));
        showing.join().expect("showing asserts nothing");
        let looks = looking.join().expect("looking asserts nothing");
        looks.map(|Observation { state, previous, cause, transitions, blocked }| {
            (state.name(), previous.map(State::name), cause, transitions, blocked)
        })
    });
    let moments = [
        ("waiting", None, "start", 0, None),
        ("proving", Some("waiting"), "chunk", 1, None),
        ("failed", Some("proving"), "rejected", 2, Some("why".to_owned())),
    ];
    let mut expected = BTreeSet::new();
    for first in 0..moments.len() {
        expected.extend((first..moments.len()).map(|second| [moments[first].clone(), moments[second].clone()]));
    }
    assert_eq!(outcomes, expected);
}

#[test]
fn a_look_at_a_fact_is_of_one_moment() {
    let outcomes = explore("a proof that moves, and one that looks twice", None, || {
        let at = |position| Validated {
            point: LogPoint { position: Position(position), ..LogPoint::default() },
            seen: Position(position),
            wanted: Position(position),
        };
        let fact = Arc::new(Fact::new(at(0)));
        let proving = start({
            let fact = Arc::clone(&fact);
            move || [1, 2].iter().for_each(|position| fact.set(at(*position)))
        });
        let looking = start(move || [(); 2].map(|()| fact.get()));
        proving.join().expect("proving asserts nothing");
        looking.join().expect("looking asserts nothing").map(|Validated { point, seen, wanted }| {
            assert!(point.position == seen && seen == wanted, "the positions belong together");
            seen.0
        })
    });
    assert_eq!(outcomes, BTreeSet::from([[0, 0], [0, 1], [0, 2], [1, 1], [1, 2], [2, 2]]));
}
