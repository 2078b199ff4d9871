//! R-DECIDE: what a decision sees, and when it is answered.

mod world;

use aerodb::committer::{Decision, Latest, Order};
use aerodb::disk::{Fault, SimDisk};
use aerodb::limits::GROUP_BYTES_MAX;
use aerodb::record::Purpose;
use aerodb::{Batch, CommitId, Database, Node, Parameters, Reason, Result};
use std::sync::{Arc, Mutex};
use world::{batch, init_options, new_node, options, tiny};

fn put(key: &str, value: &str) -> Batch {
    batch(&vec![(key.into(), Some(value.into()))])
}

fn delete(key: &str) -> Batch {
    batch(&vec![(key.into(), None)])
}

/// Appends a letter to the value of a key.
fn append(key: &'static str, letter: &'static str) -> Order {
    Order::Decide(Decision::new(move |latest| {
        let mut value = latest.get(key.as_bytes())?.unwrap_or_default();
        value.extend_from_slice(letter.as_bytes());
        let mut batch = Batch::new();
        batch.put(key.as_bytes(), &value)?;
        Ok(Some(batch))
    }))
}

/// Looks, commits nothing, and leaves what it saw.
fn look<T: Send + 'static>(
    look: impl Fn(&Latest<'_>) -> Result<T> + Send + Sync + 'static,
) -> (Order, Arc<Mutex<Option<T>>>) {
    let seen = Arc::new(Mutex::new(None));
    let place = Arc::clone(&seen);
    let decision = Decision::new(move |latest| {
        *place.lock().unwrap() = Some(look(latest)?);
        Ok(None)
    });
    (Order::Decide(decision), seen)
}

fn value(node: &Node, key: &str) -> Option<String> {
    node.view(None).unwrap().get(key.as_bytes()).unwrap().map(|value| String::from_utf8(value).unwrap())
}

#[test]
fn a_decision_sees_what_stands_before_it_in_its_group_and_nothing_behind_it() {
    let (_, mut node) = new_node();
    node.commit(put("key", "a")).unwrap();
    let (first_look, first) = look(|latest| Ok((latest.get(b"key")?, latest.commit())));
    let (last_look, last) = look(|latest| Ok((latest.get(b"key")?, latest.get(b"gone")?, latest.commit())));
    let answers = node
        .group(&[
            append("key", "b"),
            first_look,
            Order::Commit(put("key", "c")),
            Order::Commit(put("gone", "soon")),
            append("key", "d"),
            Order::Commit(delete("gone")),
            last_look,
            append("key", "e"),
        ])
        .unwrap();
    let commits: Vec<_> = answers.into_iter().map(|answer| answer.unwrap().commit.0).collect();
    assert_eq!(commits, [2, 2, 3, 4, 5, 6, 6, 7], "who commits nothing is told the last commit that it saw");
    assert_eq!(*first.lock().unwrap(), Some((Some(b"ab".to_vec()), CommitId(2))));
    assert_eq!(*last.lock().unwrap(), Some((Some(b"cd".to_vec()), None, CommitId(6))));
    assert_eq!(value(&node, "key").as_deref(), Some("cde"));
}

#[test]
fn a_decision_that_fails_or_decides_for_an_empty_batch_leaves_no_record() {
    let (_, mut node) = new_node();
    let before = node.durable();
    let refused = Order::Decide(Decision::new(|latest| {
        let mut batch = Batch::new();
        batch.put(b"key", &vec![0; aerodb::limits::VALUE_BYTES_MAX + 1])?;
        latest.get(b"never reached").map(|_| Some(batch))
    }));
    let empty = Order::Decide(Decision::new(|_| Ok(Some(Batch::new()))));
    let reasons: Vec<_> = node
        .group(&[refused, empty])
        .unwrap()
        .into_iter()
        .map(|answer| answer.map_err(|refusal| refusal.reason()))
        .collect();
    assert_eq!(reasons, [Err(Reason::BatchValueTooLong), Err(Reason::BatchEmpty)]);
    assert_eq!(node.durable(), before);
}

/// Whoever only looked may have seen what did not become durable: its answer is as unknown as that of the commit.
#[test]
fn a_decision_to_commit_nothing_is_answered_only_when_what_it_saw_is_durable() {
    let (disk, mut node) = new_node();
    node.commit(put("key", "durable")).unwrap();
    let (early_look, _) = look(|latest| latest.get(b"key"));
    let (late_look, seen) = look(|latest| latest.get(b"key"));
    // The group is written, and its fdatasync fails.
    disk.fail_operation(disk.operations() + 1, Fault::Eio);
    // Its refusal, too, rests on what was lost.
    let refuses = Order::Decide(Decision::new(|latest| match latest.get(b"key")?.as_deref() {
        Some(b"lost") => Err(aerodb::Error::new(Reason::KeyAbsent)),
        _ => Ok(None),
    }));
    let answers = node.group(&[early_look, Order::Commit(put("key", "lost")), late_look, refuses]).unwrap();
    let outcomes: Vec<_> = answers.into_iter().map(|answer| answer.map_err(|failure| failure.reason())).collect();
    assert_eq!(*seen.lock().unwrap(), Some(Some(b"lost".to_vec())));
    assert_eq!(outcomes[0].as_ref().map(|point| point.commit), Ok(CommitId(1)), "all that it saw was durable before");
    assert_eq!(outcomes[1..], [Err(Reason::CommitUnknown), Err(Reason::CommitUnknown), Err(Reason::CommitUnknown)]);
}

#[test]
fn a_key_has_changed_since_a_commit_if_a_later_one_wrote_it_or_if_nobody_can_tell() {
    let (_, mut node) = new_node();
    let first = node.commit(put("a", "1")).unwrap();
    node.commit(put("b", "1")).unwrap();
    let third = node.commit(delete("a")).unwrap();
    let ask = |node: &mut Node, key: &'static [u8], since: CommitId| {
        let (order, seen) = look(move |latest| Ok(latest.changed_since(key, since)?.0));
        node.group(&[order]).unwrap().remove(0).unwrap();
        let changed = seen.lock().unwrap().take();
        changed.unwrap()
    };
    let check = |node: &mut Node| {
        assert!(ask(node, b"a", first), "a delete is a change");
        assert!(!ask(node, b"a", third));
        assert!(ask(node, b"b", first));
        assert!(!ask(node, b"b", third));
        assert!(!ask(node, b"absent", first));
    };
    check(&mut node);
    node.checkpoint(Purpose::Checkpoint).unwrap();
    check(&mut node);
    let (order, seen) = look(move |latest| Ok(latest.changed_since(b"b", third)?.0));
    node.group(&[Order::Commit(put("b", "2")), order]).unwrap().remove(1).unwrap();
    assert_eq!(*seen.lock().unwrap(), Some(true), "by a commit of the same group");

    // The tombstone goes at a merge; that `a` was deleted after the first commit can't be seen any more.
    node.raise_floor(third).unwrap();
    node.commit(put("c", "1")).unwrap();
    node.checkpoint(Purpose::Checkpoint).unwrap();
    node.maintain().unwrap();
    assert_eq!(node.store().state().newest(b"a", CommitId(5)).unwrap(), None, "the tombstone is gone");
    assert!(ask(&mut node, b"a", first), "below the floor nobody can tell");
    assert!(!ask(&mut node, b"a", third), "at the floor everybody can");
}

/// R-DECIDE: a group is bounded by what it holds, also by batches that nobody knew of before they were decided; what it leaves is decided in
/// the next one, and is answered like all.
#[test]
fn a_group_ends_when_what_was_decided_has_filled_it() {
    const DECIDED_BYTES: usize = 3 << 20;
    let disk = SimDisk::new();
    // Neither a table nor a segment ends a group before its bound does.
    let parameters = Parameters { segment_bytes: 1 << 30, table_bytes: 1 << 30, ..tiny() };
    Node::init(&init_options(&disk, parameters)).unwrap();
    let mut node = Node::open(&options(&disk)).unwrap();
    let durable = Arc::new(Mutex::new(Vec::new()));
    let decide = |number: u8| {
        let (durable, disk) = (Arc::clone(&durable), disk.clone());
        Order::Decide(Decision::new(move |latest| {
            // Fsyncs are operations: decisions between two of them are of one group.
            durable.lock().unwrap().push(disk.operations());
            assert_eq!(latest.commit(), CommitId(u64::from(number)));
            let mut batch = Batch::new();
            batch.put(&[number], &vec![number; DECIDED_BYTES])?;
            Ok(Some(batch))
        }))
    };
    let orders: Vec<Order> = (0..7).map(decide).collect();
    let answers = node.group(&orders).unwrap();
    let commits: Vec<_> = answers.into_iter().map(|answer| answer.unwrap().commit.0).collect();
    assert_eq!(commits, [1, 2, 3, 4, 5, 6, 7]);
    let groups: Vec<usize> = durable.lock().unwrap().chunk_by(|a, b| a == b).map(<[u64]>::len).collect();
    assert_eq!(groups, [3, 3, 1], "a group takes no further order once it holds {GROUP_BYTES_MAX} bytes");
}

#[test]
fn decisions_of_many_threads_come_one_after_the_other() {
    let disk = SimDisk::new();
    Database::init(&init_options(&disk, tiny())).unwrap();
    let db = Database::open(options(&disk)).unwrap();
    let (threads, rounds) = (4, 50);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                for _ in 0..rounds {
                    db.decide(|latest| {
                        let count = latest.get(b"count")?.map_or(0, |count| count.len());
                        let mut batch = Batch::new();
                        batch.put(b"count", &vec![b'1'; count + 1])?;
                        Ok(Some(batch))
                    })
                    .unwrap();
                }
            });
        }
    });
    assert_eq!(db.get(b"count").unwrap().unwrap().len(), threads * rounds);
    db.close().unwrap();
}

/// A request's orders are answered together, in their order; the hook is called once they can be read.
#[test]
fn the_orders_of_a_request_are_answered_together_after_they_were_published() {
    let disk = SimDisk::new();
    Database::init(&init_options(&disk, tiny())).unwrap();
    let db = Database::open(options(&disk)).unwrap();
    let events = Arc::new(Mutex::new(Vec::new()));
    let place = Arc::clone(&events);
    db.on_publish(move || place.lock().unwrap().push("published"));
    let place = Arc::clone(&events);
    let (answer, answers) = std::sync::mpsc::channel();
    let orders = vec![Order::Commit(put("key", "a")), Order::Commit(Batch::new()), append("key", "b")];
    db.submit_all(
        orders,
        Box::new(move |outcomes| {
            place.lock().unwrap().push("answered");
            answer.send(outcomes).unwrap();
        }),
    )
    .unwrap();
    let outcomes = answers.recv().unwrap().into_iter();
    let outcomes: Vec<_> =
        outcomes.map(|answer| answer.map(|point| point.commit.0).map_err(|refusal| refusal.reason())).collect();
    assert_eq!(outcomes, [Ok(1), Err(Reason::BatchEmpty), Ok(2)]);
    assert_eq!(*events.lock().unwrap(), ["published", "answered"]);
    assert_eq!(db.get(b"key").unwrap(), Some(b"ab".to_vec()));
}
