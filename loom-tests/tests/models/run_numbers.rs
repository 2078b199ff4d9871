//! No two runs of a process have the same number: by it their blocks are told apart in the cache.
//!
//! The cache is the real one, without room for blocks. Covered: two threads that open runs. Not covered: the blocks themselves.

use aerodb::store::run::Cache;
use aerodb::sync::Arc;
use aerodb_loom_tests::{explore, start};
use std::collections::BTreeSet;

#[test]
fn runs_that_are_opened_at_once_have_different_numbers() {
    let outcomes = explore("two who open two runs each", None, || {
        let cache = Arc::new(Cache::new(0));
        let opening = [(); 2].map(|()| {
            let cache = Arc::clone(&cache);
            start(move || [cache.next_number(), cache.next_number()])
        });
        let numbers = opening.map(|opening| opening.join().expect("a number was drawn"));
        numbers.into_iter().flatten().collect::<BTreeSet<_>>().len()
    });
    assert_eq!(outcomes, BTreeSet::from([4]));
}
