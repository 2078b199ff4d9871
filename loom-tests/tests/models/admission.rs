//! Admission: a view's commit is published, its state holds that commit, and its floor does not lie above it.
//!
//! Store and applier are the real ones. Covered: a writer that commits, seals, commits and raises the floor beside a reader of the
//! newest commit and a reader of an old one; a halt beside them. Not covered: the order that the published word alone gives,
//! which a table behind a lock would hide (`published_view.rs`).

use crate::world::{KEY, World};
use aerodb::commit_id::CommitId;
use aerodb::error::{Error, Result};
use aerodb::reason::Reason;
use aerodb::store::{Store, View};
use aerodb::sync::{Arc, JoinHandle};
use aerodb_loom_tests::{explore, start};
use std::collections::BTreeSet;

/// Commits 1, seals the table, commits 2, raises the floor to 2; each commit is published once it is applied.
fn write(mut world: World) -> JoinHandle<()> {
    start(move || {
        world.commit();
        world.applier.publish();
        world.cut();
        world.commit();
        world.applier.publish();
        world.raise_floor(2);
    })
}

/// Commits 1 and raises the floor to it, as one group.
fn write_a_group(mut world: World) -> JoinHandle<()> {
    start(move || {
        world.commit();
        world.raise_floor(1);
        world.applier.publish();
    })
}

/// What a reader was shown, or why it was refused.
fn shown(view: Result<View>) -> std::result::Result<u64, &'static str> {
    let view = view.map_err(|error| error.reason().name())?;
    let CommitId(commit) = view.commit();
    assert_eq!(value(view.get(KEY)), commit, "the state holds the commit that was admitted, and nothing newer is seen");
    Ok(commit)
}

/// The commit that wrote the key.
fn value(read: Result<Option<Vec<u8>>>) -> u64 {
    let value = read.expect("there is no run that could be corrupt");
    value.map_or(0, |value| u64::from_le_bytes(value.try_into().expect("eight bytes")))
}

fn reader<T: Send + 'static>(
    store: &Arc<Store>,
    read: impl FnOnce(&Arc<Store>) -> T + Send + 'static,
) -> JoinHandle<T> {
    let store = Arc::clone(store);
    start(move || read(&store))
}

#[test]
fn the_newest_view_holds_its_commit_and_never_goes_back() {
    let outcomes = explore("a writer, a reader of the newest commit", Some(3), || {
        let world = World::new(None);
        let reading = reader(&world.store, |store| {
            [shown(store.view(None)), Ok(value(store.newest().look(KEY, <[u8]>::to_vec)))]
        });
        write(world).join().expect("the writer held its assertions");
        reading.join().expect("the reader held its assertions")
    });
    let expected = (0..=2).flat_map(|first| (first..=2).map(move |second| [Ok(first), Ok(second)]));
    assert_eq!(outcomes, expected.collect());
}

#[test]
fn a_view_of_an_old_commit_is_shown_it_or_refused_for_what_is_so() {
    let outcomes = explore("a writer, a reader of commit 1", Some(3), || {
        let world = World::new(None);
        let store = Arc::clone(&world.store);
        let reading = reader(&store, |store| shown(store.view(Some(CommitId(1)))));
        write(world).join().expect("the writer held its assertions");
        let read = reading.join().expect("the reader held its assertions");
        assert_eq!(shown(store.view(Some(CommitId(1)))), Err("view.below_floor"), "the floor is raised for good");
        read
    });
    assert_eq!(outcomes, BTreeSet::from([Ok(1), Err("view.beyond_applied"), Err("view.below_floor")]));
}

#[test]
fn a_floor_above_the_commit_that_was_read_makes_the_newest_view_look_again() {
    let outcomes = explore("a group with a floor, a reader of the newest commit", None, || {
        let world = World::new(None);
        let reading = reader(&world.store, |store| shown(store.view(None)));
        write_a_group(world).join().expect("the writer held its assertions");
        reading.join().expect("the reader held its assertions")
    });
    assert_eq!(outcomes, BTreeSet::from([Ok(0), Ok(1)]));
}

#[test]
fn who_is_refused_after_a_halt_is_told_the_first_fault() {
    let outcomes = explore("a writer, two faults, a reader", Some(2), || {
        let mut world = World::new(None);
        let store = Arc::clone(&world.store);
        let writing = start(move || {
            world.commit();
            world.applier.publish();
            world.store.halt(&Error::new(Reason::StoreRunCorrupt));
        });
        let halting = reader(&store, |store| store.halt(&Error::new(Reason::StoreManifestCorrupt)));
        let reading = reader(&store, |store| shown(store.view(None)));
        writing.join().expect("the writer held its assertions");
        halting.join().expect("the halter held its assertions");
        let read = reading.join().expect("the reader held its assertions");
        let first = store.halted().expect("two halted").reason().name();
        assert!(
            read.is_ok() || read == Err(first),
            "who is refused is told the fault that came first: {read:?}, {first:?}"
        );
        assert_eq!(shown(store.view(None)), Err(first), "a halt is for good");
        read
    });
    let faults = ["store.run_corrupt", "store.manifest_corrupt"].map(Err);
    assert_eq!(outcomes, [Ok(0), Ok(1)].into_iter().chain(faults).collect());
}
