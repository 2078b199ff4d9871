//! Group commit: every order gets its own answer, once what it ordered can be read.
//!
//! The committer's thread and the callers' side of its inbox are the real ones; what they drive is a toy log of three places,
//! read and written `Relaxed`, so that only the published word and the answers order them. Covered: orders that meet in one group
//! and orders that do not, a group that fails, the end of the committer while a caller waits. Not covered: the log.

use aerodb::commit_id::CommitId;
use aerodb::committer::worker::{self, Core};
use aerodb::committer::{Order, Orders};
use aerodb::error::{Error, Result};
use aerodb::position::{LogPoint, Position};
use aerodb::published::Published;
use aerodb::queue::bounded;
use aerodb::reason::Reason;
use aerodb::sync::{Arc, JoinHandle, seeded};
use aerodb_loom_tests::{explore, start};
use loom::sync::atomic::{AtomicU64, Ordering};
use std::collections::BTreeSet;

/// What readers see: the place of each commit, and the last commit that may be read.
struct Readable {
    places: [AtomicU64; 3],
    published: Published,
}

impl Readable {
    fn new() -> Arc<Readable> {
        Arc::new(Readable { places: [(); 3].map(|()| AtomicU64::new(0)), published: Published::new(CommitId(0)) })
    }

    fn place(&self, CommitId(commit): CommitId) -> &AtomicU64 {
        &self.places[commit as usize - 1]
    }

    /// Orders that this number is committed; which commit it became, or why it did not.
    fn order(&self, orders: &Orders, number: u64) -> std::result::Result<u64, &'static str> {
        let point = orders.order(Order::Floor(CommitId(number))).map_err(|error| error.reason().name())?;
        assert_eq!(point.position, Position(number), "the answer is the one to this order");
        let readable = self.published.readable().expect("nobody halted");
        assert!(readable >= point.commit, "what was acknowledged can be read at once");
        assert_eq!(self.place(point.commit).load(Ordering::Relaxed), number, "and is what was ordered");
        let in_place = |commit| self.place(CommitId(commit)).load(Ordering::Relaxed) != 0;
        assert!((1..=readable.0).all(in_place), "whatever can be read is in place");
        Ok(point.commit.0)
    }
}

/// The committer, without a log.
struct Toy {
    readable: Arc<Readable>,
    committed: u64,
    /// From this group on, groups fail.
    fails_from: usize,
    /// The size of each group.
    groups: Vec<usize>,
    closed: usize,
}

impl Toy {
    fn publish(&self) {
        self.readable.published.publish(CommitId(self.committed));
    }

    fn commit(&mut self, order: &Order) -> LogPoint {
        let Order::Floor(CommitId(number)) = order else { panic!("the model orders nothing else") };
        self.committed += 1;
        let commit = CommitId(self.committed);
        if seeded("a group is published commit by commit, each before it is in place") {
            self.publish();
        }
        self.readable.place(commit).store(*number, Ordering::Relaxed);
        LogPoint { position: Position(*number), commit, ..LogPoint::default() }
    }
}

impl Core for &mut Toy {
    fn group(&mut self, orders: &[Order]) -> Vec<Result<LogPoint>> {
        self.groups.push(orders.len());
        if self.groups.len() >= self.fails_from {
            let first = self.groups.len() == self.fails_from;
            let reason = if first { Reason::CommitUnknown } else { Reason::CommitStopped };
            return orders.iter().map(|_| Err(Error::new(reason))).collect();
        }
        let mut answers: Vec<_> = orders.iter().map(|order| Ok(self.commit(order))).collect();
        if !seeded("a group is answered before it is published") {
            self.publish();
        }
        if seeded("the answers of a group are exchanged") {
            answers.reverse();
        }
        answers
    }

    fn tend(&mut self) -> bool {
        false
    }

    fn wait_for_room(&mut self) {
        self.publish();
    }

    fn close(&mut self) -> Result<()> {
        self.closed += 1;
        Ok(())
    }
}

/// A committer that fails from this group on, and its callers' side.
fn committer(readable: &Arc<Readable>, fails_from: usize) -> (Arc<Orders>, JoinHandle<Toy>) {
    let (sender, inbox) = bounded(2);
    let readable = Arc::clone(readable);
    let working = start(move || {
        let mut toy = Toy { readable, committed: 0, fails_from, groups: Vec::new(), closed: 0 };
        worker::run(&mut toy, &inbox).expect("the toy closes");
        assert_eq!(toy.closed, 1, "when the last caller is gone the committer closes, once");
        toy
    });
    (Arc::new(Orders::new(sender)), working)
}

/// One execution: each caller orders its numbers, one after the other. The sizes of the groups, and each caller's commits.
fn callers<const N: usize>(fails_from: usize, numbers: [&'static [u64]; N]) -> (Vec<usize>, Vec<Answers>) {
    let readable = Readable::new();
    let (orders, working) = committer(&readable, fails_from);
    let calling = numbers.map(|numbers| {
        let (orders, readable) = (Arc::clone(&orders), Arc::clone(&readable));
        start(move || numbers.iter().map(|number| readable.order(&orders, *number)).collect::<Answers>())
    });
    drop(orders);
    let answers = calling.map(|caller| caller.join().expect("the caller held its assertions"));
    let toy = working.join().expect("the committer held its assertions");
    assert_eq!(readable.published.readable(), Some(CommitId(toy.committed)), "what failed is never readable");
    (toy.groups, answers.into())
}

type Answers = Vec<std::result::Result<u64, &'static str>>;

#[test]
fn two_callers_get_their_own_answers_whether_they_meet_in_a_group_or_not() {
    let outcomes = explore("two callers, an order each", Some(2), || callers(usize::MAX, [&[11], &[21]]));
    let mut expected = BTreeSet::new();
    for groups in [vec![2], vec![1, 1]] {
        for (first, second) in [(1, 2), (2, 1)] {
            expected.insert((groups.clone(), vec![vec![Ok(first)], vec![Ok(second)]]));
        }
    }
    assert_eq!(outcomes, expected);
}

#[test]
fn a_callers_orders_are_committed_in_its_order() {
    let outcomes = explore("two callers, two orders and one", Some(2), || callers(usize::MAX, [&[11, 12], &[21]]));
    let mut expected = BTreeSet::new();
    for (first, second, other, groups) in [
        (1, 2, 3, vec![vec![1, 1, 1], vec![1, 2]]),
        (1, 3, 2, vec![vec![1, 1, 1], vec![1, 2], vec![2, 1]]),
        (2, 3, 1, vec![vec![1, 1, 1], vec![2, 1]]),
    ] {
        for groups in groups {
            expected.insert((groups, vec![vec![Ok(first), Ok(second)], vec![Ok(other)]]));
        }
    }
    assert_eq!(outcomes, expected);
}

#[test]
fn when_a_group_fails_every_caller_is_told_and_nobody_waits_for_ever() {
    let outcomes = explore("two callers, the second group fails", Some(2), || callers(2, [&[11, 12], &[21]]));
    let (unknown, stopped) = (Err("commit.unknown"), Err("commit.stopped"));
    let expected = [
        // The first group is the first caller's alone; the second group is one order, or both.
        (vec![1, 1, 1], vec![vec![Ok(1), unknown], vec![stopped]]),
        (vec![1, 1, 1], vec![vec![Ok(1), stopped], vec![unknown]]),
        (vec![1, 2], vec![vec![Ok(1), unknown], vec![unknown]]),
        // It is the other caller's alone.
        (vec![1, 1, 1], vec![vec![unknown, stopped], vec![Ok(1)]]),
        // It is both.
        (vec![2, 1], vec![vec![Ok(1), unknown], vec![Ok(2)]]),
        (vec![2, 1], vec![vec![Ok(2), unknown], vec![Ok(1)]]),
    ];
    assert_eq!(outcomes, BTreeSet::from(expected));
}

#[test]
fn who_ordered_from_a_committer_that_goes_is_told_whether_it_may_have_had_the_order() {
    let outcomes = explore("the committer goes, a caller stays", None, || {
        let readable = Readable::new();
        let (sender, inbox) = bounded(2);
        let orders = Orders::new(sender);
        let calling = start(move || {
            let answers = [11, 12].map(|number| readable.order(&orders, number));
            orders.retire();
            answers
        });
        let leaving = start(move || drop(inbox));
        leaving.join().expect("the committer only left");
        calling.join().expect("the caller held its assertions")
    });
    let (unknown, closed) = (Err("commit.unknown"), Err("database.closed"));
    assert_eq!(outcomes, BTreeSet::from([[unknown, closed], [closed, closed]]));
}
