//! A fetch that waits for more log is woken by every group that becomes durable (WIRE-PARK).
//!
//! The committer with its log, the store with its hooks and the bell are the product's; the loop is a twin that asks to be woken, looks at
//! the extent and sleeps, as the server's does. Covered: two groups, of commits and of what commits nothing. Not covered: the poll.

use crate::follower::{genesis, log};
use crate::world::World;
use aerodb::batch::Batch;
use aerodb::commit_id::CommitId;
use aerodb::committer::{Committer, Order, Retention};
use aerodb::position::Position;
use aerodb::published::{Doorbell, Fact};
use aerodb::queue::bounded;
use aerodb::record::{self, Kind};
use aerodb::sync::Arc;
use aerodb::wal::{Extent, Keeper};
use aerodb_loom_tests::{explore, start};
use std::collections::BTreeSet;

/// Two groups of one order each, a commit and a floor, which commits nothing; and where the log ends behind them.
fn groups() -> ([Order; 2], Position) {
    let mut batch = Batch::new();
    batch.put(b"key", b"value").expect("short");
    let committed = record::encode(&mut Vec::new(), Kind::Commit, batch.encoded(), genesis());
    let end = record::encode(&mut Vec::new(), Kind::Floor, &1u64.to_le_bytes(), committed);
    ([Order::Commit(batch), Order::Floor(CommitId(1))], end.position)
}

#[test]
fn a_fetch_that_waits_for_the_end_of_the_log_hears_of_every_group() {
    let outcomes = explore("a committer of two groups, and a loop with a parked fetch", Some(3), || {
        let (orders, end) = groups();
        let World { store, applier } = World::at(genesis());
        let mut committer = Committer::new(log(Keeper::Writer), applier, Retention::All);
        let extent: Arc<Fact<Extent>> = committer.extent();
        let bell = Arc::new(Doorbell::default());
        let (wake, asleep) = bounded(1);
        store.on_publish({
            let bell = Arc::clone(&bell);
            move || {
                if bell.ring() {
                    let _ = wake.try_send(());
                }
            }
        });
        let committing = start(move || {
            for order in orders {
                for answer in committer.group(&[order]) {
                    answer.expect("the disk has no fault");
                }
            }
            committer
        });
        let feeding = start(move || {
            let (mut sent, mut sends) = (Position::GENESIS, 0);
            while sent < end {
                bell.listen();
                let durable = extent.get().durable.position;
                if durable > sent {
                    // Everything up to the end is sent at once.
                    (sent, sends) = (durable, sends + 1);
                } else {
                    asleep.recv().expect("the store keeps its hook");
                }
                bell.stop_listening();
            }
            sends
        });
        let committer = committing.join().expect("the committer held its assertions");
        let sends = feeding.join().expect("the loop held its assertions");
        drop(committer);
        sends
    });
    assert_eq!(outcomes, BTreeSet::from([1, 2]));
}
