//! Log that neither the checkpoint nor the retention needs goes behind the answers of a group, at most four segments before the next
//! (docs/recovery.md).

mod world;

use aerodb::committer::Retention;
use aerodb::disk::{Fault, SimDisk};
use aerodb::limits::RETIRED_SEGMENTS_MAX;
use aerodb::record::Purpose;
use aerodb::{Database, Node, Options, Reason};
use world::{batch, init_options, options, tiny};

/// A node that may drop its log, and a backlog of many segments from when it might not.
fn node_with_backlog() -> (SimDisk, Node) {
    let disk = SimDisk::new();
    Node::init(&init_options(&disk, tiny())).unwrap();
    let mut node = Node::open(&Options { retention: Retention::All, ..options(&disk) }).unwrap();
    while segments(&disk) < 3 * RETIRED_SEGMENTS_MAX {
        commit(&mut node).unwrap();
    }
    node.checkpoint(Purpose::Checkpoint).unwrap();
    node.close().unwrap();
    let node = Node::open(&Options { retention: Retention::Bytes(0), ..options(&disk) }).unwrap();
    (disk, node)
}

fn commit(node: &mut Node) -> aerodb::Result<()> {
    node.commit(batch(&vec![(b"key".to_vec(), Some(vec![7; 500]))])).map(|_| ())
}

fn segments(disk: &SimDisk) -> usize {
    disk.paths().iter().filter(|path| path.extension().is_some_and(|extension| extension == "seg")).count()
}

#[test]
fn a_commit_drops_a_few_old_segments_and_a_checkpoint_all() {
    let (disk, mut node) = node_with_backlog();
    let before = segments(&disk);
    commit(&mut node).unwrap();
    assert_eq!(segments(&disk), before - RETIRED_SEGMENTS_MAX);
    node.checkpoint(Purpose::Checkpoint).unwrap();
    assert_eq!(segments(&disk), 1);
}

#[test]
fn a_database_tells_where_the_log_that_it_keeps_begins() {
    let (disk, node) = node_with_backlog();
    let before = node.oldest();
    node.close().unwrap();
    let db = Database::open(Options { retention: Retention::Bytes(0), ..options(&disk) }).unwrap();
    // Its maintenance may have begun already: nothing older comes back, and no more than that is told yet.
    assert!(before <= db.status().log_oldest);
    db.checkpoint().unwrap();
    // Behind the checkpoint: what it let go is gone when this is answered.
    db.commit(batch(&vec![(b"key".to_vec(), None)])).unwrap();
    let oldest = db.status().log_oldest;
    db.close().unwrap();
    let found = Node::open(&options(&disk)).unwrap().oldest();
    assert!(before < oldest && oldest <= found, "{before} {oldest} {found}");
}

/// D-ACK, F-D2: the commit is durable before anything goes, and is acknowledged whatever becomes of that.
#[test]
fn a_removal_that_fails_costs_no_answer_and_stops_writing() {
    let (disk, mut node) = node_with_backlog();
    // The operations of the commit itself: the group and its mark. The next is a removal.
    disk.fail_operation(disk.operations() + 3, Fault::Eio);
    commit(&mut node).unwrap();
    assert_eq!(node.store().write_fault().map(|fault| fault.reason()), Some(Reason::DiskNameFailed));
    assert_eq!(commit(&mut node).unwrap_err().reason(), Reason::CommitStopped);
}
