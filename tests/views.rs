//! Views: what was taken stays as it was, whatever is written, merged, dropped or stuck meanwhile.
//!
//! A view answers with the same bytes while a million versions pass, runs merge and the floor rises above it (M-VIEW, M-FLOOR).
//! What views pin is bounded: past the limit the oldest is refused by its own reason, and its files go. Readers never hold up
//! the writer, nor it them; what a group has not made durable shows to nobody, not even half of it (M-ATOMIC, D-ACK).

mod world;

use aerodb::committer::Order;
use aerodb::disk::{Crash, Fault, SimDisk};
use aerodb::record::Purpose;
use aerodb::{CommitId, Database, Direction, Node, Options, Parameters, Range, Reason, View};
use std::ops::Bound;
use std::sync::{Arc, mpsc};
use world::gate::gated_database;
use world::{Writes, batch, init_options, new_node, options, store_files, tiny};

fn rows(view: &View, direction: Direction) -> Vec<(Vec<u8>, Vec<u8>)> {
    view.range(Range { direction, ..Range::all(10_000) }).unwrap().collect().unwrap()
}

/// A view, and what it answered when it was taken.
struct Kept {
    view: View,
    rows: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Kept {
    fn new(view: View) -> Kept {
        let rows = rows(&view, Direction::Forward);
        Kept { view, rows }
    }

    fn check(&self) {
        assert_eq!(rows(&self.view, Direction::Forward), self.rows);
        let mut backward = rows(&self.view, Direction::Backward);
        backward.reverse();
        assert_eq!(backward, self.rows);
        for (key, value) in &self.rows {
            assert_eq!(self.view.get(key).unwrap().as_deref(), Some(value.as_slice()));
        }
        assert_eq!(self.view.get(b"never written").unwrap(), None);
    }
}

fn stored_bytes(disk: &SimDisk) -> usize {
    store_files(disk).values().map(Vec::len).sum()
}

/// The bytes of runs that were replaced and are still there.
fn unnamed_bytes(disk: &SimDisk, node: &Node) -> u64 {
    let named: u64 = node.store().state().runs.iter().map(|run| run.info().size).sum();
    stored_bytes(disk) as u64 - named - disk.contents("/db/store/MANIFEST".as_ref()).unwrap().len() as u64
}

const KEYS: u64 = 64;

/// Writes every key once, and deletes one of them.
fn sweep(number: u64) -> Writes {
    let value = |key: u64| (key != number % KEYS).then(|| (number * KEYS + key).to_le_bytes().to_vec());
    (0..KEYS).map(|key| (format!("{key:02}").into_bytes(), value(key))).collect()
}

/// M-VIEW, M-FLOOR
#[test]
fn a_view_answers_the_same_while_a_million_versions_pass() {
    const COMMITS: u64 = (1 << 20) / KEYS;
    const GROUP: u64 = 512;
    let disk = SimDisk::new();
    let parameters = Parameters { segment_bytes: 4 << 20, table_bytes: 256 << 10, block_bytes: 4096, fanout: 4 };
    Node::init(&init_options(&disk, parameters)).unwrap();
    let mut node = Node::open(&Options { cache_bytes: 1 << 20, ..options(&disk) }).unwrap();
    let mut kept: Vec<Kept> = Vec::new();
    for group in 0..COMMITS / GROUP {
        let orders: Vec<Order> =
            (group * GROUP..(group + 1) * GROUP).map(|n| Order::Commit(batch(&sweep(n)))).collect();
        assert!(node.group(&orders).unwrap().iter().all(Result::is_ok));
        node.maintain().unwrap();
        let latest = node.view(None).unwrap().commit();
        if group % 8 == 1 {
            // One at the newest commit, and one in the past.
            kept.push(Kept::new(node.view(None).unwrap()));
            kept.push(Kept::new(node.view(Some(CommitId(latest.0 - GROUP / 2))).unwrap()));
        }
        if group % 8 == 5 {
            node.raise_floor(latest).unwrap();
            for kept in &kept {
                let again = node.view(Some(kept.view.commit())).err().map(|error| error.reason());
                assert_eq!(again, Some(Reason::ViewBelowFloor));
            }
        }
        if group % 4 == 3 {
            kept.iter().for_each(Kept::check);
        }
    }
    assert_eq!(node.store().commit(), CommitId(COMMITS));
    assert_eq!(kept.len(), 8);
    // What only they could see goes with them.
    node.checkpoint(Purpose::Checkpoint).unwrap();
    node.maintain().unwrap();
    let pinned = stored_bytes(&disk);
    kept.iter().for_each(Kept::check);
    kept.clear();
    node.maintain().unwrap();
    let left = stored_bytes(&disk);
    assert!(left < pinned, "{left} bytes of {pinned} are left");
    assert_eq!(unnamed_bytes(&disk, &node), 0);
}

/// M-FLOOR
#[test]
fn the_oldest_views_are_revoked_once_views_pin_too_much_and_their_files_go() {
    // A few tables, of which the smallest takes more than 128 KiB.
    const PINNED_MAX: u64 = 640 * 1024;
    let disk = SimDisk::new();
    Node::init(&init_options(&disk, tiny())).unwrap();
    let mut node = Node::open(&Options { pinned_bytes_max: PINNED_MAX, ..options(&disk) }).unwrap();
    let unnamed = |node: &Node| unnamed_bytes(&disk, node);
    let mut kept: Vec<Kept> = Vec::new();
    let (mut revoked, mut all_answered) = (0, 0);
    for round in 0..40u64 {
        for number in round * 20..(round + 1) * 20 {
            let writes = vec![(format!("{}", number % 9).into_bytes(), Some(vec![number as u8; 60]))];
            node.commit(batch(&writes)).unwrap();
        }
        node.raise_floor(node.store().commit()).unwrap();
        node.checkpoint(Purpose::Checkpoint).unwrap();
        node.maintain().unwrap();
        assert!(unnamed(&node) <= PINNED_MAX, "{} bytes are pinned", unnamed(&node));
        let answers = |kept: &Kept| kept.view.get(b"1").is_ok();
        let alive = kept.iter().position(answers).unwrap_or(kept.len());
        assert!(alive >= revoked && kept[alive..].iter().all(answers), "the oldest go first");
        assert!(alive < kept.len() || kept.is_empty(), "the newest view pins little, and goes on");
        revoked = alive;
        all_answered += usize::from(revoked == 0);
        for kept in &kept[..revoked] {
            assert_eq!(kept.view.get(b"1").unwrap_err().reason(), Reason::ViewRevoked);
            assert_eq!(kept.view.range(Range::all(1)).err().map(|error| error.reason()), Some(Reason::ViewRevoked));
        }
        kept[revoked..].iter().for_each(Kept::check);
        kept.push(Kept::new(node.view(None).unwrap()));
    }
    assert!(revoked > 5 && all_answered > 2, "{revoked} views were revoked, after {all_answered} rounds without one");
    assert!(unnamed(&node) > 0, "the views that are left pin something");
    kept.truncate(revoked);
    node.maintain().unwrap();
    assert_eq!(unnamed(&node), 0, "revoked views pin nothing");
}

/// Commits twenty times, and merges what came of it.
fn overwrite(node: &mut Node, round: u64) {
    for number in round * 20..(round + 1) * 20 {
        node.commit(batch(&sweep(number)[..9].to_vec())).unwrap();
    }
    node.raise_floor(node.store().commit()).unwrap();
    node.checkpoint(Purpose::Checkpoint).unwrap();
    node.maintain().unwrap();
}

#[test]
fn rows_that_were_begun_outlive_their_view_and_pin_nothing_behind_their_end() {
    let (disk, mut node) = new_node();
    overwrite(&mut node, 0);
    let view = node.view(None).unwrap();
    let expected = rows(&view, Direction::Forward);
    let mut begun = view.range(Range::all(1000)).unwrap();
    assert_eq!(node.store().views(), 1);
    drop(view);
    assert_eq!(node.store().views(), 0);
    let mut found = vec![begun.next_row().unwrap().map(|(key, value)| (key.to_vec(), value.to_vec())).unwrap()];
    (1..10).for_each(|round| overwrite(&mut node, round));
    assert!(unnamed_bytes(&disk, &node) > 0);
    found.extend(begun.collect().unwrap());
    assert_eq!(found, expected);
    node.maintain().unwrap();
    assert_eq!(unnamed_bytes(&disk, &node), 0);
}

/// M-FLOOR
#[test]
fn rows_that_pin_too_much_are_revoked_between_two_rows_and_no_younger_view_with_them() {
    // Three tables, and half of the large run.
    const PINNED_MAX: u64 = 512 * 1024;
    for direction in [Direction::Forward, Direction::Backward] {
        let disk = SimDisk::new();
        Node::init(&init_options(&disk, tiny())).unwrap();
        let mut node = Node::open(&Options { pinned_bytes_max: PINNED_MAX, ..options(&disk) }).unwrap();
        let keys = || (0..100u8).map(|key| vec![b'a', key]);
        node.commit(batch(&keys().map(|key| (key, Some(vec![7; 10_000]))).collect())).unwrap();
        overwrite(&mut node, 0);
        let all = Range { direction, ..Range::all(1000) };
        let mut begun = node.view(None).unwrap().range(all).unwrap();
        assert!(begun.next_row().unwrap().is_some());
        node.commit(batch(&keys().map(|key| (key, None)).collect())).unwrap();
        let (mut number, mut young_is_small) = (20, false);
        let refusal = loop {
            match begun.next_row() {
                Ok(row) => assert!(row.is_some() && !young_is_small, "the rows go on until they pin too much"),
                Err(refusal) => break refusal,
            }
            // Once the large run was replaced a view pins little; that it is no longer current is no reason to revoke it.
            let young = Kept::new(node.view(None).unwrap());
            young_is_small = node.store().state().runs.iter().map(|run| run.info().size).sum::<u64>() < PINNED_MAX;
            node.commit(batch(&sweep(number)[..9].to_vec())).unwrap();
            node.raise_floor(node.store().commit()).unwrap();
            node.step().unwrap();
            if young_is_small {
                young.check();
            }
            number += 1;
        };
        assert!(young_is_small, "the large run was replaced first");
        node.maintain().unwrap();
        assert_eq!(refusal.reason(), Reason::ViewRevoked);
        assert_eq!(begun.next_row().unwrap_err(), refusal, "there is no further row");
        assert_eq!(unnamed_bytes(&disk, &node), 0, "rows that were revoked pin nothing, though they are still there");
        drop(begun);
    }
}

/// M-VIEW: what is pinned by another is no reason to revoke a view.
#[test]
fn no_view_is_revoked_that_pins_nothing_of_what_was_replaced() {
    let disk = SimDisk::new();
    Node::init(&init_options(&disk, tiny())).unwrap();
    let mut node = Node::open(&Options { pinned_bytes_max: 0, ..options(&disk) }).unwrap();
    overwrite(&mut node, 0);
    let store = Arc::clone(node.store());
    let (pinning, old) = (store.state(), node.view(None).unwrap());
    overwrite(&mut node, 1);
    assert_eq!(old.get(b"00").unwrap_err().reason(), Reason::ViewRevoked);
    assert!(unnamed_bytes(&disk, &node) > 0);
    let young = Kept::new(node.view(None).unwrap());
    node.commit(batch(&vec![(b"new".to_vec(), None)])).unwrap();
    node.raise_floor(node.store().commit()).unwrap();
    node.maintain().unwrap();
    young.check();
    drop(pinning);
    node.maintain().unwrap();
    assert_eq!(unnamed_bytes(&disk, &node), 0);
    young.check();
}

#[test]
fn a_held_view_and_a_half_read_range_hold_up_nobody() {
    let disk = SimDisk::new();
    Database::init(&init_options(&disk, tiny())).unwrap();
    let db = Database::open(options(&disk)).unwrap();
    for number in 0..40u64 {
        db.commit(batch(&sweep(number)[..20].to_vec())).unwrap();
    }
    let view = db.view(None).unwrap();
    let expected = rows(&view, Direction::Forward);
    let mut half = view.range(Range::all(1000)).unwrap();
    let mut found = Vec::new();
    for _ in 0..expected.len() / 2 {
        let (key, value) = half.next_row().unwrap().unwrap();
        found.push((key.to_vec(), value.to_vec()));
    }
    // All of this ends although nobody reads on.
    for number in 40..200u64 {
        db.commit(batch(&sweep(number)[..20].to_vec())).unwrap();
    }
    db.raise_floor(CommitId(150)).unwrap();
    let cut = db.checkpoint().unwrap();
    assert!(db.status().checkpoint.position >= cut.position);
    found.extend(half.collect().unwrap());
    assert_eq!(found, expected);
    assert_eq!(rows(&view, Direction::Forward), expected);
    drop(view);
    db.close().unwrap();
}

/// M-ATOMIC, D-ACK: while a group waits for its fsync, readers answer at the last published commit, and nothing of the group shows.
#[test]
fn reads_go_on_while_the_committer_is_stuck_and_see_nothing_of_its_group() {
    // No segment is sealed: what is held is the fsync of the group, and nothing before it.
    let (_sim, db, gate) = gated_database(Parameters { segment_bytes: 1 << 20, ..tiny() });
    for number in 0..30u64 {
        db.commit(batch(&sweep(number)[..5].to_vec())).unwrap();
    }
    let before = Kept::new(db.view(None).unwrap());
    gate.hold(".seg");
    let (answer, answers) = mpsc::channel();
    for number in 30..34u64 {
        let answer = answer.clone();
        db.submit(batch(&sweep(number)[..5].to_vec()), move |outcome| answer.send(outcome).unwrap()).unwrap();
    }
    gate.wait_for_held();
    for _ in 0..50 {
        let view = db.view(None).unwrap();
        assert_eq!(view.commit(), CommitId(30));
        assert_eq!(rows(&view, Direction::Forward), before.rows);
        assert_eq!(db.get(b"01").unwrap(), before.view.get(b"01").unwrap());
        assert_eq!(db.view(Some(CommitId(31))).err().map(|error| error.reason()), Some(Reason::ViewBeyondApplied));
        assert_eq!(db.status().commit, CommitId(30));
    }
    assert!(answers.try_recv().is_err(), "nothing is acknowledged before its fsync returned");
    gate.open();
    for commit in 31..=34 {
        assert_eq!(answers.recv().unwrap(), Ok(CommitId(commit)));
        // Acknowledged is visible.
        assert!(db.view(Some(CommitId(commit))).is_ok());
    }
    before.check();
    db.close().unwrap();
}

/// M-ATOMIC: a group that seals a segment on its way is durable in parts; the parts show together all the same.
#[test]
fn a_group_that_is_half_durable_shows_nothing_of_itself() {
    const GROUP: u64 = 12;
    // No table is sealed, or the group would end there.
    let (sim, db, gate) = gated_database(Parameters { table_bytes: 1 << 20, ..tiny() });
    gate.hold(".seg");
    let (answer, answers) = mpsc::channel();
    let submit = |number: u64| {
        let answer = answer.clone();
        let writes = vec![(b"big".to_vec(), Some(vec![number as u8; 900]))];
        db.submit(batch(&writes), move |outcome| answer.send(outcome).unwrap()).unwrap();
    };
    // The first holds the committer, so that the others become one group. It is three segments long.
    submit(1);
    gate.wait_for_held();
    (2..2 + GROUP).for_each(submit);
    // The first passes, and so does what the group's first segment needs.
    gate.hold_after(".seg", 6);
    assert_eq!(answers.recv().unwrap(), Ok(CommitId(1)));
    gate.wait_for_held();
    let crashed = sim.image().crash(Crash::Dropped, 0);
    let durable = Node::open(&options(&crashed)).unwrap().store().commit();
    assert!(CommitId(1) < durable && durable < CommitId(1 + GROUP), "{durable} is a part of the group");
    assert_eq!(db.view(None).unwrap().commit(), CommitId(1));
    assert_eq!(db.get(b"big").unwrap(), Some(vec![1; 900]));
    assert_eq!(db.view(Some(CommitId(2))).err().map(|error| error.reason()), Some(Reason::ViewBeyondApplied));
    assert!(answers.try_recv().is_err());
    gate.open();
    for commit in 2..2 + GROUP {
        assert_eq!(answers.recv().unwrap(), Ok(CommitId(commit)));
    }
    assert_eq!(db.get(b"big").unwrap(), Some(vec![1 + GROUP as u8; 900]));
    db.close().unwrap();
}

#[test]
fn a_new_view_is_never_below_the_floor_however_fast_it_rises() {
    let (_disk, mut node) = new_node();
    for number in 0..200u64 {
        node.commit(batch(&sweep(number)[..3].to_vec())).unwrap();
        let latest = CommitId(number + 1);
        node.raise_floor(latest).unwrap();
        assert_eq!(node.view(None).unwrap().commit(), latest);
        assert_eq!(node.view(Some(CommitId(number))).err().map(|error| error.reason()), Some(Reason::ViewBelowFloor));
        assert_eq!(node.raise_floor(latest).unwrap_err().reason(), Reason::FloorRefused);
        assert_eq!(node.raise_floor(latest.next()).unwrap_err().reason(), Reason::FloorRefused);
    }
}

/// M-VIEW: an old view finds its keys among any number of newer ones in the same table, in both directions, from anywhere.
#[test]
fn an_old_view_finds_its_keys_among_thousands_of_newer_ones() {
    let disk = SimDisk::new();
    let parameters = aerodb::Parameters { table_bytes: 1 << 24, segment_bytes: 1 << 24, ..world::tiny() };
    Node::init(&init_options(&disk, parameters)).unwrap();
    let mut node = Node::open(&options(&disk)).unwrap();
    let key = |number: u32| number.to_be_bytes().to_vec();
    let old: Vec<u32> = (0..20).map(|index| index * 977).collect();
    let write = |node: &mut Node, numbers: &mut dyn Iterator<Item = u32>, value: &[u8]| {
        node.commit(batch(&numbers.map(|number| (key(number), Some(value.to_vec()))).collect())).unwrap();
    };
    write(&mut node, &mut old.iter().copied(), b"old");
    let view = node.view(None).unwrap();
    write(&mut node, &mut (0..20_000), b"new");
    for direction in [aerodb::Direction::Forward, aerodb::Direction::Backward] {
        for from in [0, 1, 976, 977, 5000, 19_999] {
            let mut expected: Vec<u32> = old.iter().copied().filter(|number| *number >= from).collect();
            if direction == aerodb::Direction::Backward {
                expected.reverse();
            }
            let from = std::ops::Bound::Included(key(from));
            let rows = view.range(Range { from, direction, ..Range::all(100) }).unwrap().collect().unwrap();
            let found: Vec<Vec<u8>> = rows.iter().map(|(key, _)| key.clone()).collect();
            assert_eq!(found, expected.into_iter().map(key).collect::<Vec<_>>());
            assert!(rows.iter().all(|(_, value)| value == b"old"));
        }
    }
}

/// M-VIEW: the end of a range is an answer like a row. Nothing is read again to give it again, and so nothing can make it another.
#[test]
fn rows_that_have_ended_look_no_further() {
    for direction in [Direction::Forward, Direction::Backward] {
        let (disk, mut node) = new_node();
        for number in 0..40u8 {
            node.commit(batch(&vec![(vec![number], Some(vec![number; 60]))])).unwrap();
        }
        node.checkpoint(Purpose::Checkpoint).unwrap();
        node.maintain().unwrap();
        let (from, to) = (Bound::Included(vec![18]), Bound::Included(vec![21]));
        let mut rows = node.view(None).unwrap().range(Range { from, to, direction, limit: 100 }).unwrap();
        for _ in 18..=21 {
            assert!(rows.next_row().unwrap().is_some());
        }
        let reads = disk.reads();
        // What lies behind the end was never read, and can't be.
        disk.fail_reads_from(reads, Fault::Eio);
        for _ in 0..40 {
            assert_eq!(rows.next_row(), Ok(None), "{direction:?}");
        }
        assert_eq!(disk.reads(), reads, "{direction:?}: the end was looked for again");
    }
}
