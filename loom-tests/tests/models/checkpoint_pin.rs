//! A checkpoint that is pinned: its manifest and its runs belong together, and its files are there as long as they may be read (SNAP-PIN).
//!
//! The store, its maintenance and the register of holds are the real ones, on a simulated disk. Covered: one snapshot that is taken and read
//! while maintenance makes a run of a table, merges it with another, sweeps, and revokes where nothing may stay pinned. Not covered: two
//! snapshots at a time (they share nothing but the register, which views share too), and how the bytes are sent.

use crate::world::World;
use aerodb::disk::Access;
use aerodb::maintenance::Progress;
use aerodb::reason::Reason;
use aerodb::store::{Checkpoint, Store};
use aerodb::sync::Arc;
use aerodb_loom_tests::{explore, start};
use std::collections::BTreeSet;

/// What a snapshot found: how many runs its manifest names, and whether it could be read to its end.
type Found = (usize, bool);

/// Whether the file of each run of a pinned checkpoint is there.
fn read(checkpoint: &Checkpoint, store: &Store) -> bool {
    let options = store.options();
    let read = checkpoint.with_runs(|runs| {
        let named: Vec<_> = checkpoint.manifest().plan.runs.iter().map(|run| run.id).collect();
        assert_eq!(runs.iter().map(|run| run.id()).collect::<Vec<_>>(), named, "the runs are those of the manifest");
        for id in named {
            let file = options.disk.open(&options.directory.join(id.file_name()), Access::Read);
            assert!(file.expect("the disk has no fault").is_some(), "a file that is pinned is there");
        }
        Ok(())
    });
    if let Err(gone) = &read {
        assert_eq!(gone.reason(), Reason::SnapshotGone);
    }
    read.is_ok()
}

/// One execution: a snapshot beside maintenance, which may leave so many bytes pinned; what it found, and what is pinned when both have ended.
fn world(pinned_bytes_max: u64) -> (Found, u64) {
    let mut world = World::of_tables(pinned_bytes_max);
    let mut maintenance = world.maintenance();
    // A run is there, and a table that will be the second: then the two merge.
    for sealed in [true, false] {
        world.commit();
        world.cut();
        while sealed && maintenance.step() == Ok(Progress::Worked) {}
    }
    let store = Arc::clone(&world.store);
    let maintaining = start(move || {
        while maintenance.step().expect("the disk has no fault") == Progress::Worked {}
        maintenance
    });
    let reading = start(move || {
        let checkpoint = store.pin_checkpoint().expect("nobody halted");
        let first = read(&checkpoint, &store);
        let second = read(&checkpoint, &store);
        assert!(first || !second, "what was taken away does not come back");
        (checkpoint.manifest().plan.runs.len(), second)
    });
    let found = reading.join().expect("the snapshot held its assertions");
    let mut maintenance = maintaining.join().expect("maintenance held its assertions");
    while maintenance.step().expect("the disk has no fault") == Progress::Worked {}
    let options = world.store.options();
    let names = options.disk.list(&options.directory).expect("the disk has no fault").unwrap_or_default();
    assert_eq!(names.iter().filter(|name| name.ends_with(".run")).count(), 1, "what nobody reads is removed");
    assert_eq!(world.store.checkpoints(), 0);
    (found, maintenance.pinned_bytes())
}

#[test]
fn what_a_snapshot_pins_is_there_and_belongs_together() {
    let outcomes = explore("a snapshot and a merge", Some(2), || world(u64::MAX));
    assert_eq!(outcomes, BTreeSet::from([((1, true), 0), ((2, true), 0)]));
}

#[test]
fn a_snapshot_that_pins_too_much_is_taken_away_by_name() {
    let outcomes = explore("a snapshot, a merge and a revocation", Some(2), || world(0));
    assert_eq!(outcomes, BTreeSet::from([((1, true), 0), ((1, false), 0), ((2, true), 0), ((2, false), 0)]));
}
