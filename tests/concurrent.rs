//! The database under many threads: who waits for whom, what an answer means, and what is left when something fails.
//!
//! An answer comes after the fsync of its group and after its commits can be read (D-ACK); callers that wait together share
//! one fsync. After a failed write or fsync nothing is written any more, and what is published can still be read (D-FSYNC, F-D2);
//! after a corrupt block nothing is read any more either (D-CORRUPT). Where a component stands, and why, is shown (P5-I14).
//!
//! What must happen together is made to by holding an fsync (`world/gate.rs`), never by timing.

mod world;

use aerodb::disk::{Crash, Fault, SimDisk};
use aerodb::{Batch, CommitId, Database, Node, Options, Parameters, Reason, Result};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Mutex, mpsc};
use world::gate::{GateKeeper, gated, gated_database};
use world::{batch, init_options, options, shared, tiny};

/// Parameters under which nothing is sealed in a short story.
fn roomy() -> Parameters {
    Parameters { segment_bytes: 1 << 20, table_bytes: 1 << 20, ..tiny() }
}

/// Waits for what another thread is about to show. It does not wait for a time: without the event it waits for ever.
fn until(mut holds: impl FnMut() -> bool) {
    while !holds() {
        std::thread::yield_now();
    }
}

/// Holds maintenance at its first run, and commits until the committer waits for room; how many commits that took.
fn without_room(db: &Database, gate: &GateKeeper) -> u64 {
    gate.hold(".run.tmp");
    let mut acknowledged = 0;
    while db.status().sealed_tables < aerodb::limits::SEALED_TABLES_MAX {
        db.commit(put("key", &"value".repeat(60))).unwrap();
        acknowledged += 1;
    }
    until(|| db.status().committer.state.name() == "waiting");
    gate.wait_for_held();
    acknowledged
}

fn put(key: &str, value: &str) -> Batch {
    batch(&vec![(key.as_bytes().to_vec(), Some(value.as_bytes().to_vec()))])
}

fn reason<T>(outcome: Result<T>) -> Option<Reason> {
    outcome.err().map(|error| error.reason())
}

/// D-ACK: many commits, one fsync.
#[test]
fn commits_that_wait_together_share_one_fsync() {
    const THREADS: u64 = 8;
    const EACH: u64 = 50;
    let sim = SimDisk::new();
    Database::init(&init_options(&sim, roomy())).unwrap();
    // Space for all of it is blanked with the first group.
    let (db, gate) = {
        let (disk, gate) = gated(shared(&sim));
        (Database::open(Options { disk, extend_bytes: 256 << 10, ..options(&sim) }).unwrap(), gate)
    };
    db.commit(put("first", "")).unwrap();
    let before = gate.syncs(".seg");
    gate.hold(".seg");
    let (answer, answers) = mpsc::channel();
    let submit = |name: String| {
        let answer = answer.clone();
        db.submit(put(&name, "value"), move |outcome| answer.send(outcome.unwrap()).unwrap()).unwrap();
    };
    submit("holds the committer".to_owned());
    gate.wait_for_held();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let submit = &submit;
            scope.spawn(move || (0..EACH).for_each(|number| submit(format!("{thread} {number}"))));
        }
    });
    gate.open();
    let commits: Vec<CommitId> = answers.iter().take((1 + THREADS * EACH) as usize).collect();
    assert!(commits.iter().copied().eq((2..).map(CommitId).take(commits.len())), "CommitIds are dense and in order");
    assert_eq!(gate.syncs(".seg") - before, 2, "one for the commit that was held, one for all that waited");
    db.close().unwrap();
}

/// D-ACK, P5-I6: the answer means durable, visible, and numbered once.
#[test]
fn every_caller_reads_its_own_commit_the_moment_it_is_acknowledged() {
    const THREADS: u64 = 8;
    const EACH: u64 = 120;
    let (sim, db, _gate) = gated_database(tiny());
    let seen = Mutex::new(BTreeSet::new());
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (db, seen) = (&db, &seen);
            scope.spawn(move || {
                let mut last = CommitId::NONE;
                for number in 0..EACH {
                    let (key, value) = (format!("thread {thread}"), format!("{number}"));
                    let commit = db.commit(put(&key, &value)).unwrap();
                    assert_eq!(db.get(key.as_bytes()).unwrap().as_deref(), Some(value.as_bytes()));
                    let at = db.view(Some(commit)).unwrap().get(key.as_bytes()).unwrap();
                    assert_eq!(at.as_deref(), Some(value.as_bytes()));
                    assert!(db.status().commit >= commit && db.status().durable.commit >= commit);
                    assert!(commit > last);
                    last = commit;
                    assert!(seen.lock().unwrap().insert(commit), "{commit} was given twice");
                }
            });
        }
    });
    let seen = seen.into_inner().unwrap();
    assert!(seen.into_iter().eq((1..=THREADS * EACH).map(CommitId)), "CommitIds are 1, 2, 3, … without holes");
    // The power fails: all of it was durable.
    let crashed = sim.image().crash(Crash::Dropped, 0);
    assert_eq!(Node::open(&options(&crashed)).unwrap().store().commit(), CommitId(THREADS * EACH));
    db.close().unwrap();
}

#[test]
fn closing_answers_all_that_was_ordered_in_order() {
    let (sim, db, gate) = gated_database(tiny());
    gate.hold(".seg");
    let (answer, answers) = mpsc::channel();
    for number in 0..300 {
        let answer = answer.clone();
        let ordered = put("key", &format!("{number:0100}"));
        db.submit(ordered, move |outcome| answer.send((number, outcome)).unwrap()).unwrap();
    }
    gate.wait_for_held();
    let closing = std::thread::spawn(move || db.close());
    gate.open();
    closing.join().unwrap().unwrap();
    drop(answer);
    let answers: Vec<_> = answers.iter().collect();
    assert!(answers.into_iter().eq((0..300).map(|number| (number, Ok(CommitId(number + 1))))));
    let node = Node::open(&options(&sim)).unwrap();
    assert_eq!(node.store().commit(), CommitId(300));
    assert_eq!(node.report().log.marked.commit, CommitId(300), "the mark was made exact");
}

/// D-ACK
#[test]
fn dropping_a_database_loses_nothing_that_was_ordered() {
    let (sim, db, gate) = gated_database(tiny());
    gate.hold(".seg");
    let (answer, answers) = mpsc::channel();
    for number in 0..50 {
        let answer = answer.clone();
        db.submit(put("key", &format!("{number}")), move |outcome| answer.send(outcome.is_ok()).unwrap()).unwrap();
    }
    gate.wait_for_held();
    gate.open();
    drop(db);
    drop(answer);
    assert_eq!(answers.iter().filter(|ok| *ok).count(), 50);
    let db = Database::open(options(&sim)).unwrap();
    assert_eq!(db.get(b"key").unwrap().as_deref(), Some(&b"49"[..]));
}

#[test]
fn a_refused_batch_reaches_no_thread() {
    let (_, db, _gate) = gated_database(tiny());
    assert_eq!(reason(db.commit(Batch::new())), Some(Reason::BatchEmpty));
    assert_eq!(reason(db.submit(Batch::new(), |_| unreachable!("not answered"))), Some(Reason::BatchEmpty));
    assert_eq!(reason(db.raise_floor(CommitId(1))), Some(Reason::FloorRefused));
    assert_eq!(db.status().durable.position.0, 0, "nothing was logged");
    db.close().unwrap();
}

/// D-FSYNC, F-D2, P5-I14
#[test]
fn a_failed_fsync_stops_writing_and_leaves_reading() {
    for fault in Fault::ALL {
        let (sim, db, _gate) = gated_database(roomy());
        assert_eq!(db.commit(put("key", "old")).unwrap(), CommitId(1));
        // Of a group: the write, then the fsync.
        sim.fail_operation(sim.operations() + 1, fault);
        let unknown = db.commit(put("key", "new")).unwrap_err();
        assert_eq!(unknown.reason(), Reason::CommitUnknown);
        let failure = unknown.fact("failure").unwrap().to_owned();
        assert!(failure.contains("disk.") && failure.contains("fdatasync") && failure.contains(".seg"), "{failure}");
        // It is never tried again: not by a commit, nor by anything else that writes.
        let operations = sim.operations();
        assert_eq!(reason(db.commit(put("key", "newer"))), Some(Reason::CommitStopped));
        assert_eq!(reason(db.raise_floor(CommitId(1))), Some(Reason::CommitStopped));
        assert_eq!(reason(db.checkpoint()), Some(Reason::CommitStopped));
        assert_eq!(sim.operations(), operations, "{fault:?}: a stopped writer leaves the disk alone");
        // What was published before can be read, and nothing of what failed shows.
        assert_eq!(db.get(b"key").unwrap().as_deref(), Some(&b"old"[..]));
        assert_eq!(db.view(None).unwrap().commit(), CommitId(1));
        assert_eq!(reason(db.view(Some(CommitId(2)))), Some(Reason::ViewBeyondApplied));
        let status = db.status();
        assert_eq!(status.committer.state.name(), "stopped");
        assert_eq!(
            (status.committer.previous.map(|state| state.name()), status.committer.cause),
            (Some("writing"), "failed")
        );
        assert!(status.committer.blocked.unwrap().contains("fdatasync"));
        assert!(status.write_fault.is_some());
        assert_eq!(status.halted, None);
        db.close().unwrap();
        // After a restart the outcome shows: there or not, and writing goes on.
        let db = Database::open(options(&sim)).unwrap();
        let found = db.status().commit;
        assert!(found == CommitId(1) || found == CommitId(2));
        assert_eq!(db.get(b"key").unwrap().as_deref(), Some(if found.0 == 1 { &b"old"[..] } else { &b"new"[..] }));
        assert_eq!(db.commit(put("key", "newest")).unwrap(), found.next());
    }
}

/// D-FSYNC: everyone in the failed group gets the same answer, and everyone behind it another.
#[test]
fn a_failed_group_is_unknown_to_all_in_it_and_refused_to_all_behind_it() {
    let (sim, db, gate) = gated_database(roomy());
    gate.hold(".seg");
    let (answer, answers) = mpsc::channel();
    let submit = |number: u64| {
        let answer = answer.clone();
        db.submit(put("key", &number.to_string()), move |outcome| answer.send((number, reason(outcome))).unwrap())
            .unwrap();
    };
    submit(0);
    gate.wait_for_held();
    (1..10).for_each(submit);
    // The held fsync is the next operation; behind it come the mark, then write and fsync of the group of nine.
    sim.fail_operation(sim.operations() + 3, Fault::EioAndForget);
    gate.open();
    let unknown: Vec<_> = answers.iter().take(10).collect();
    (10..15).for_each(submit);
    let stopped: Vec<_> = answers.iter().take(5).collect();
    assert_eq!(unknown[0], (0, None));
    assert!(
        unknown[1..].iter().copied().eq((1..10).map(|number| (number, Some(Reason::CommitUnknown)))),
        "{unknown:?}"
    );
    assert!(stopped.into_iter().eq((10..15).map(|number| (number, Some(Reason::CommitStopped)))));
    assert_eq!(db.get(b"key").unwrap().as_deref(), Some(&b"0"[..]));
    db.close().unwrap();
}

fn run_files(sim: &SimDisk) -> Vec<PathBuf> {
    sim.paths().into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "run")).collect()
}

/// D-CORRUPT
#[test]
fn a_corrupt_block_ends_reading_and_writing() {
    let (sim, db, _gate) = gated_database(tiny());
    for number in 0..12 {
        db.commit(put(&format!("key {number}"), "value")).unwrap();
    }
    db.checkpoint().unwrap();
    let begun = db.view(None).unwrap();
    for path in run_files(&sim) {
        let mut bytes = sim.contents(&path).unwrap();
        bytes[20] ^= 1;
        sim.overwrite(&path, bytes);
    }
    let corrupt = db.get(b"key 0").unwrap_err();
    assert_eq!(corrupt.reason(), Reason::StoreBlockCorrupt);
    for fact in ["file", "offset", "expected", "found"] {
        assert!(corrupt.fact(fact).is_some(), "{corrupt} shows no {fact}");
    }
    // Whoever comes later is refused with what was found, and so is who came before when it reads the block.
    assert_eq!(reason(db.get(b"never written")), Some(Reason::StoreBlockCorrupt));
    assert_eq!(reason(db.view(None)), Some(Reason::StoreBlockCorrupt));
    assert_eq!(reason(begun.get(b"key 1")), Some(Reason::StoreBlockCorrupt));
    let stopped = db.commit(put("key", "value")).unwrap_err();
    assert_eq!(stopped.reason(), Reason::CommitStopped);
    assert!(stopped.fact("failure").unwrap().starts_with("store.block_corrupt"));
    assert_eq!(reason(db.checkpoint()), Some(Reason::CommitStopped));
    let status = db.status();
    assert_eq!(status.halted.map(|fault| fault.reason()), Some(Reason::StoreBlockCorrupt));
    assert_eq!(status.committer.state.name(), "stopped");
    drop(begun);
    db.close().unwrap();
    // Nothing is repaired behind anybody's back.
    let db = Database::open(options(&sim)).unwrap();
    assert_eq!(reason(db.get(b"key 0")), Some(Reason::StoreBlockCorrupt));
}

/// P5-I14: at the bound of sealed tables the committer waits for maintenance, and says so; commits wait, reads do not.
#[test]
fn a_committer_without_room_waits_visibly_until_maintenance_has_made_some() {
    let (_, db, gate) = gated_database(tiny());
    let acknowledged = without_room(&db, &gate);
    let status = db.status();
    assert!(status.committer.blocked.unwrap().contains("maintenance"));
    assert_eq!(status.maintenance.state.name(), "flushing");
    let (answer, answers) = mpsc::channel();
    db.submit(put("key", "last"), move |outcome| answer.send(outcome).unwrap()).unwrap();
    assert_eq!(db.view(None).unwrap().commit(), CommitId(acknowledged));
    assert!(answers.try_recv().is_err());
    gate.open();
    assert_eq!(answers.recv().unwrap(), Ok(CommitId(acknowledged + 1)));
    db.close().unwrap();
}

/// P5-I14, F-D2: the one that waits for a failed component stops with that component's failure, not as if it had been given room.
#[test]
fn a_committer_that_waits_for_room_stops_when_maintenance_fails() {
    let (sim, db, gate) = gated_database(tiny());
    without_room(&db, &gate);
    sim.fail_operations_from(sim.operations(), Fault::Eio);
    gate.open();
    until(|| db.status().committer.state.name() != "waiting");
    let status = db.status();
    assert_eq!(status.committer.state.name(), "stopped");
    assert_eq!(
        (status.committer.previous.map(|state| state.name()), status.committer.cause),
        (Some("waiting"), "failed")
    );
    assert!(status.committer.blocked.unwrap().contains(".run"));
    assert_eq!(reason(db.commit(put("key", "value"))), Some(Reason::CommitStopped));
    until(|| db.status().maintenance.state.name() == "stopped");
    assert_eq!(db.status().maintenance.previous.map(|state| state.name()), Some("flushing"));
    assert!(db.get(b"key").unwrap().is_some(), "reads go on");
    db.close().unwrap();
}

/// D-FSYNC, P5-I14: whoever waits for maintenance learns that it ended, the committer too; what is published can still be read.
#[test]
fn nobody_waits_for_maintenance_that_failed_an_assertion() {
    let (sim, db, gate) = gated_database(tiny());
    without_room(&db, &gate);
    gate.fail_assertion(".run.tmp");
    gate.open();
    for refused in [reason(db.checkpoint()), reason(db.commit(put("key", "value")))] {
        assert_eq!(refused, Some(Reason::CommitStopped));
    }
    let status = db.status();
    let fault = status.write_fault.unwrap();
    assert_eq!(fault.reason(), Reason::ComponentPanicked);
    assert_eq!(fault.fact("component"), Some("maintenance"));
    assert_eq!(fault.fact("assertion"), Some("an assertion that the test made fail"));
    assert_eq!(status.committer.state.name(), "stopped");
    assert!(db.get(b"key").unwrap().is_some(), "reads go on");
    assert_eq!(reason(db.close()), Some(Reason::ComponentPanicked));
    Database::open(options(&sim)).unwrap().close().unwrap();
}

/// D-ACK: a commit that the committer took with it is neither acknowledged nor called refused.
#[test]
fn nobody_waits_for_a_committer_that_failed_an_assertion() {
    let (sim, db, gate) = gated_database(roomy());
    let cut = db.checkpoint().unwrap();
    gate.fail_assertion(".seg");
    assert_eq!(reason(db.commit(put("key", "value"))), Some(Reason::CommitUnknown));
    until(|| db.status().write_fault.is_some());
    let fault = db.status().write_fault.unwrap();
    assert_eq!((fault.reason(), fault.fact("component")), (Reason::ComponentPanicked, Some("committer")));
    assert_eq!(reason(db.commit(put("key", "value"))), Some(Reason::DatabaseClosed));
    assert_eq!(db.view(None).unwrap().commit(), cut.commit, "reads go on");
    assert_eq!(reason(db.close()), Some(Reason::ComponentPanicked));
    Database::open(options(&sim)).unwrap().close().unwrap();
}

/// FMT-MARK: a checkpoint leaves the mark durable, whoever orders it.
#[test]
fn a_checkpoint_makes_the_mark_durable() {
    let (sim, db, _gate) = gated_database(roomy());
    for number in 0..5 {
        db.commit(put("key", &number.to_string())).unwrap();
    }
    let cut = db.checkpoint().unwrap();
    let crashed = sim.image().crash(Crash::Dropped, 0);
    let node = Node::open(&options(&crashed)).unwrap();
    assert_eq!(node.report().log.marked, cut);
    assert_eq!(node.report().checkpoint, cut);
    db.close().unwrap();
}

/// D-ACK: a caller whose answer panics harms no other: the rest of the group is answered, and the committer goes on.
#[test]
fn an_answer_that_panics_costs_nobody_else_an_answer() {
    let (_, db, gate) = gated_database(roomy());
    gate.hold(".seg");
    let (answer, answers) = mpsc::channel();
    db.submit(put("holds", "the committer"), |_| ()).unwrap();
    gate.wait_for_held();
    db.submit(put("first", "of the group"), |_| panic!("the caller's own mistake")).unwrap();
    db.submit(put("second", "of the group"), move |outcome| answer.send(outcome).unwrap()).unwrap();
    gate.open();
    assert_eq!(answers.recv().unwrap(), Ok(CommitId(3)));
    assert_eq!(db.commit(put("after", "the group")).unwrap(), CommitId(4));
    db.close().unwrap();
}

/// Where the committer is gone, an order is refused at once. An order that it took with it may have been carried out: its caller is
/// not left waiting, and not told more than is known.
#[test]
fn an_order_to_a_committer_that_is_gone_is_refused_and_one_in_its_hands_is_unknown() {
    let (inbox, committer) = aerodb::queue::bounded(4);
    let orders = aerodb::committer::Orders::new(inbox);
    let one = || aerodb::committer::Order::Commit(batch(&vec![(b"key".to_vec(), Some(b"value".to_vec()))]));
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| orders.order(one()));
        // The committer has the order in its hands when it goes.
        let request = committer.recv().unwrap();
        drop(request);
        assert_eq!(waiting.join().unwrap().unwrap_err().reason(), Reason::CommitUnknown);
    });
    drop(committer);
    assert_eq!(orders.order(one()).unwrap_err().reason(), Reason::DatabaseClosed);
}
