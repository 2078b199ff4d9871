//! Two crashes: a process dies (or stops after a failed fsync), its successor goes on, and then the power fails.
//!
//! What the first process left in the cache alone, its successor reads as if it were durable. So whatever recovery goes by must be
//! made durable before anything new is acknowledged on the strength of it (D-ACK, D-FSYNC, F-RC1). One crash alone never shows
//! a mistake here.
//!
//! Every operation of a small workload is a first crash; the successor commits on, past its first stretch of blank and past a
//! segment; then the power fails in every variant, and each acknowledged commit must be there.

mod world;

use aerodb::committer::Retention;
use aerodb::disk::{Crash, Fault, SimDisk};
use aerodb::record::Purpose;
use aerodb::{CommitId, Node, Options, Reason};
use world::{Writes, batch, fold, init_options, rows_at, tiny};

const FIRST: u64 = 60;

fn writes(number: u64) -> Writes {
    let value = vec![number as u8; 30 + (number as usize * 37) % 300];
    vec![
        (format!("key {}", number % 7).into_bytes(), Some(value)),
        (b"last".to_vec(), Some(number.to_le_bytes().to_vec())),
    ]
}

/// Commits until the log fails or the numbers end; returns the commits that were acknowledged.
fn work(node: &mut Node, from: u64, to: u64) -> u64 {
    for number in from..to {
        let committed = node.commit(batch(&writes(number)));
        if committed.is_err() {
            return number;
        }
        if number % 5 == 4 && node.checkpoint(Purpose::Checkpoint).is_err() {
            return number + 1;
        }
    }
    to
}

/// No log is kept behind the checkpoint, so that a checkpoint which is not durable after all shows as log that is gone.
fn options(disk: &SimDisk) -> Options {
    Options { retention: Retention::Bytes(0), ..world::options(disk) }
}

fn fresh() -> SimDisk {
    let disk = SimDisk::new();
    Node::init(&init_options(&disk, tiny())).unwrap();
    disk
}

/// D-ACK: the successor of a stopped process works, and what it acknowledged outlives the power.
fn go_on(disk: &SimDisk, acknowledged: u64, submitted: u64, more: u64, what: &str) {
    let mut node = Node::open(&options(disk)).unwrap_or_else(|error| panic!("{what}: {error}"));
    let found = node.store().commit().0;
    assert!((acknowledged..=submitted).contains(&found), "{what}: {found} of {acknowledged}..={submitted}");
    let last = work(&mut node, found, found + more);
    assert_eq!(last, found + more, "{what}: nothing fails any more");
    drop(node);
    let commits: Vec<Writes> = (0..last).map(writes).collect();
    for variant in Crash::ALL {
        let crashed = disk.image().crash(variant, last);
        let node = Node::open(&options(&crashed)).unwrap_or_else(|error| panic!("{what}, then {variant:?}: {error}"));
        assert_eq!(node.store().commit(), CommitId(last), "{what}, then {variant:?}: acknowledged and gone");
        let rows = rows_at(&node, CommitId(last)).unwrap();
        assert_eq!(rows, fold(&commits, commits.len()), "{what}, then {variant:?}");
    }
}

/// F-P2, F-A1, F-RC1
#[test]
fn what_a_process_acknowledges_after_the_death_of_another_outlives_the_power() {
    let disk = fresh();
    let mut node = Node::open(&options(&disk)).unwrap();
    disk.record_images(true);
    let (mut images, mut acknowledged) = (Vec::new(), Vec::new());
    for number in 0..FIRST {
        assert_eq!(work(&mut node, number, number + 1), number + 1);
        let taken = disk.take_images();
        acknowledged.resize(acknowledged.len() + taken.len(), number);
        images.extend(taken);
    }
    println!("{} first crashes", images.len());
    for (at, (image, acknowledged)) in images.iter().zip(acknowledged).enumerate() {
        // One commit leaves everything else as the first process left it; more pass the newest stretch, or the segment.
        for more in [1, [3, 8, 20][at % 3]] {
            go_on(&image.restart(), acknowledged, acknowledged + 1, more, &format!("died after operation {at}"));
        }
    }
}

/// D-FSYNC: after a failed fsync nothing that it was to make durable is relied on, by this process or the next.
#[test]
fn what_a_process_acknowledges_after_a_failed_operation_of_another_outlives_the_power() {
    let operations = {
        let disk = fresh();
        let mut node = Node::open(&options(&disk)).unwrap();
        let begun = disk.operations();
        work(&mut node, 0, FIRST);
        begun..disk.operations()
    };
    println!("{} failing operations", operations.end - operations.start);
    for at in operations {
        // A write that ends within a sector is not among them: what no crash does to a sector (A-SECTOR), no write does either.
        for fault in [Fault::Eio, Fault::EioAndForget, Fault::NoSpace] {
            let disk = fresh();
            let mut node = Node::open(&options(&disk)).unwrap();
            disk.fail_operation(at, fault);
            let acknowledged = work(&mut node, 0, FIRST);
            let stopped = node.commit(batch(&writes(0))).map_err(|error| error.reason());
            assert_eq!(stopped, Err(Reason::CommitStopped), "operation {at} failed, and writing goes on");
            drop(node);
            let what = format!("operation {at} failed with {fault:?}");
            go_on(&disk, acknowledged, acknowledged + 1, [1, 3, 8, 20][at as usize % 4], &what);
        }
    }
}
