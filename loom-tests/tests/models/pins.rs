//! What is pinned is not removed, and what nobody pins any more is.
//!
//! The cell that holds the state and the list of what was replaced are the real ones. A run is one word that says whether its
//! file is there. Covered: readers that pin a whole state, as a view does, or a run alone, as rows do at their end, while maintenance
//! replaces the run and sweeps twice. Not covered: who calls maintenance when the last pin goes (`maintenance_calls.rs`); whether the
//! look at the pins acquires, since loom's count does even where the standard library's does not.

use aerodb::maintenance::Retired;
use aerodb::published::Cell;
use aerodb::sync::{Arc, Pin};
use aerodb_loom_tests::{explore, start};
use loom::sync::atomic::{AtomicBool, Ordering};
use std::collections::BTreeSet;

/// A run whose file is there or not.
struct Run {
    number: u32,
    there: AtomicBool,
}

impl Run {
    fn new(number: u32) -> Pin<Run> {
        Pin::new(Run { number, there: AtomicBool::new(true) })
    }

    fn read(&self) -> u32 {
        assert!(self.there.load(Ordering::Relaxed), "a file that is pinned is there");
        self.number
    }
}

struct State {
    run: Pin<Run>,
}

/// Maintenance replaces the run as a merge does; what the two sweeps removed.
fn replace(state: &Cell<State>, retired: &mut Retired<Run>) -> [usize; 2] {
    let mut replaced = None;
    let next = Run::new(2);
    state.update(|state| {
        replaced = Some(Pin::clone(&state.run));
        State { run: Pin::clone(&next) }
    });
    retired.add(replaced.expect("the state held a run"), 1);
    [(); 2].map(|()| sweep(retired))
}

fn sweep(retired: &mut Retired<Run>) -> usize {
    let free = retired.sweep();
    for run in &free {
        run.there.store(false, Ordering::Relaxed);
    }
    free.len()
}

/// One execution: each reader reads as it does while maintenance replaces the run. What they read, and what was removed when.
fn world<const N: usize>(readers: [fn(&Cell<State>) -> u32; N]) -> ([u32; N], [usize; 3]) {
    let state = Arc::new(Cell::new(State { run: Run::new(1) }));
    let reading = readers.map(|read| {
        let state = Arc::clone(&state);
        start(move || read(&state))
    });
    let maintaining = start(move || {
        let mut retired = Retired::default();
        let removed = replace(&state, &mut retired);
        (removed, retired)
    });
    let read = reading.map(|reader| reader.join().expect("the reader held its assertions"));
    let ([first, second], mut retired) = maintaining.join().expect("maintenance held its assertions");
    let last = sweep(&mut retired);
    assert_eq!(first + second + last, 1, "what nobody pins any more is removed, once");
    assert_eq!(retired.bytes(), 0, "and counted no more");
    (read, [first, second, last])
}

/// As a view reads: from the state that it holds.
fn view(state: &Cell<State>) -> u32 {
    let state = state.load();
    state.run.read()
}

/// As rows go: the state is gone, the run is held.
fn rows(state: &Cell<State>) -> u32 {
    let state = state.load();
    let run = Pin::clone(&state.run);
    drop(state);
    run.read()
}

/// Whoever reads the replaced run may hold up its removal, whoever reads the new one does not.
fn expected() -> BTreeSet<([u32; 1], [usize; 3])> {
    BTreeSet::from([([1], [1, 0, 0]), ([1], [0, 1, 0]), ([1], [0, 0, 1]), ([2], [1, 0, 0])])
}

#[test]
fn a_view_never_reads_a_removed_file_and_its_last_pin_frees_it() {
    assert_eq!(explore("a view and maintenance", None, || world([view])), expected());
}

#[test]
fn rows_never_read_a_removed_file_and_their_last_pin_frees_it() {
    assert_eq!(explore("rows and maintenance", None, || world([rows])), expected());
}

#[test]
fn of_two_readers_the_last_frees_the_file() {
    let outcomes = explore("a view, rows and maintenance", Some(3), || world([view, rows]));
    let read: BTreeSet<_> = outcomes.iter().map(|(read, _)| *read).collect();
    assert_eq!(read, BTreeSet::from([[1, 1], [1, 2], [2, 1], [2, 2]]));
    assert!(outcomes.iter().all(|(read, removed)| *read != [2, 2] || *removed == [1, 0, 0]), "{outcomes:?}");
    let removed: BTreeSet<_> =
        outcomes.iter().filter(|(read, _)| *read == [1, 1]).map(|(_, removed)| *removed).collect();
    assert_eq!(removed, BTreeSet::from([[1, 0, 0], [0, 1, 0], [0, 0, 1]]));
}
