//! Nobody waits for room, or for a checkpoint, that is there.
//!
//! Store, applier, maintenance and the signal between them are the real ones, over a simulated disk. Covered: both waiters, alone
//! and together, woken by a flush, by the end of writing, by a halt. Not covered: maintenance's own thread
//! (`maintenance_calls.rs`).

use crate::world::World;
use aerodb::error::Error;
use aerodb::limits;
use aerodb::maintenance::Progress;
use aerodb::position::LogPoint;
use aerodb::reason::Reason;
use aerodb::store::Store;
use aerodb::sync::{Arc, JoinHandle};
use aerodb_loom_tests::{explore, start};
use std::collections::BTreeSet;

/// A store whose sealed tables are at their bound; the point behind the oldest.
fn full() -> (World, LogPoint) {
    let mut world = World::new(None);
    let points: Vec<_> = (0..limits::SEALED_TABLES_MAX).map(|_| world.cut()).collect();
    (world, points[0])
}

/// Waits for room; whether there was any in the end.
fn wait_for_room(store: &Arc<Store>) -> JoinHandle<bool> {
    let store = Arc::clone(store);
    start(move || {
        store.wait_for_room();
        assert!(store.has_room() || store.write_fault().is_some(), "what is waited for holds");
        store.has_room()
    })
}

/// Waits for a checkpoint; whether it was reached.
fn wait_for_checkpoint(store: &Arc<Store>, point: LogPoint) -> JoinHandle<Result<(), &'static str>> {
    let store = Arc::clone(store);
    start(move || store.wait_for_checkpoint(point).map_err(|error| error.reason().name()))
}

fn flush(world: &World) -> JoinHandle<Progress> {
    let mut maintenance = world.maintenance();
    start(move || maintenance.step().expect("the disk has no fault"))
}

fn ended<T>(actor: JoinHandle<T>) -> T {
    actor.join().expect("the actor held its assertions")
}

#[test]
fn who_waits_for_room_goes_on_when_a_table_was_flushed() {
    let outcomes = explore("one waits for room, one flushes", Some(3), || {
        let (world, _) = full();
        let waiting = wait_for_room(&world.store);
        assert_eq!(ended(flush(&world)), Progress::Worked);
        ended(waiting)
    });
    assert_eq!(outcomes, BTreeSet::from([true]));
}

#[test]
fn who_waits_for_room_and_who_waits_for_a_checkpoint_are_woken_by_the_same_flush() {
    let outcomes = explore("two wait, one flushes", Some(2), || {
        let (world, point) = full();
        let committing = wait_for_room(&world.store);
        let checkpointing = wait_for_checkpoint(&world.store, point);
        assert_eq!(ended(flush(&world)), Progress::Worked);
        (ended(committing), ended(checkpointing))
    });
    assert_eq!(outcomes, BTreeSet::from([(true, Ok(()))]));
}

#[test]
fn who_waits_is_told_when_writing_ends_instead() {
    for end in [Store::stop_writes, Store::halt] {
        let outcomes = explore("two wait, writing ends", Some(3), move || {
            let (world, point) = full();
            let committing = wait_for_room(&world.store);
            let checkpointing = wait_for_checkpoint(&world.store, point);
            let store = Arc::clone(&world.store);
            let ending = start(move || end(&store, &Error::new(Reason::DiskSyncFailed)));
            ended(ending);
            (ended(committing), ended(checkpointing))
        });
        assert_eq!(outcomes, BTreeSet::from([(false, Err("commit.stopped"))]));
    }
}

#[test]
fn a_checkpoint_that_was_reached_is_no_failure_when_writing_ends() {
    let outcomes = explore("one waits for a checkpoint, one flushes, writing ends", Some(2), || {
        let (world, point) = full();
        let waiting = wait_for_checkpoint(&world.store, point);
        let mut maintenance = world.maintenance();
        let store = Arc::clone(&world.store);
        let ending = start(move || store.stop_writes(&Error::new(Reason::DiskSyncFailed)));
        let flushed = maintenance.step().is_ok();
        ended(ending);
        (ended(waiting), flushed)
    });
    let stopped = Err("commit.stopped");
    assert_eq!(outcomes, BTreeSet::from([(Ok(()), true), (stopped, true), (stopped, false)]));
}
