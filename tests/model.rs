//! Random lives of a node against an oracle that holds every version.
//!
//! A life is a sequence of steps: groups of commits (with keys twice in one batch), floors, checkpoints, pieces of maintenance, and
//! between them closing, dying (the process, not the machine), losing power, and both of these in the middle of a step, recovery
//! included. After each step random views between floor and newest commit are read, by key and by range in both directions,
//! and must answer as the oracle does (M-VIEW, M-VISIBLE, M-FLOOR). After a crash every acknowledged order is there, and what is
//! there beyond is a whole prefix of what was ordered (D-ACK, M-ATOMIC, F-P1, F-P2).
//!
//! Half of the lives come from a fixed seed, half from a fresh one, which is printed; `AERODB_SEED` replays it. `AERODB_CASES`
//! lengthens a run.

mod world;

use aerodb::committer::Order;
use aerodb::disk::{Crash, SimDisk};
use aerodb::record::Purpose;
use aerodb::{CommitId, Direction, Node, Range, Reason, View};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use std::ops::Bound;
use world::oracle::Oracle;
use world::{Dice, Writes, batch, init_options, new_node, options, tiny};

/// One write: which key, and the length of the value, if it is not a delete.
type Write = (u8, Option<u16>);

#[derive(Clone, Debug)]
enum Work {
    /// Batches in one group, and perhaps a floor behind them: a share of the way from the floor to the newest commit.
    Group(Vec<Vec<Write>>, Option<u8>),
    Checkpoint,
    Maintain(u8),
    /// The node is dropped and opened again.
    Reopen,
}

#[derive(Clone, Copy, Debug)]
enum End {
    /// The node lives on.
    None,
    Close,
    /// The process dies now, or at a point within the work.
    Kill(Option<u16>),
    /// The power fails now, or at a point within the work.
    PowerLoss(Option<u16>, Crash, u64),
}

#[derive(Clone, Debug)]
struct Step {
    work: Work,
    end: End,
    /// Decides what is read afterwards, and whether a view is kept.
    reads: u64,
}

fn works() -> impl Strategy<Value = Work> {
    let value = prop_oneof![3 => (0u16..90).prop_map(Some), 1 => (90u16..1500).prop_map(Some), 2 => Just(None)];
    let writes = prop::collection::vec((0u8..20, value), 1..6);
    let group = prop::collection::vec(writes, 1..5);
    prop_oneof![
        10 => (group, prop::option::weighted(0.15, any::<u8>())).prop_map(|(batches, floor)| Work::Group(batches, floor)),
        1 => Just(Work::Checkpoint),
        3 => (1u8..8).prop_map(Work::Maintain),
        1 => Just(Work::Reopen),
    ]
}

fn ends() -> impl Strategy<Value = End> {
    let within = || prop::option::weighted(0.6, any::<u16>());
    prop_oneof![
        20 => Just(End::None),
        1 => Just(End::Close),
        2 => within().prop_map(End::Kill),
        3 => (within(), select(&Crash::ALL[..]), any::<u64>())
            .prop_map(|(at, variant, seed)| End::PowerLoss(at, variant, seed)),
    ]
}

fn lives() -> impl Strategy<Value = Vec<Step>> {
    let step = (works(), ends(), any::<u64>()).prop_map(|(work, end, reads)| Step { work, end, reads });
    prop::collection::vec(step, 1..60)
}

/// A key of the few that all writes share; one is empty, some are prefixes of others, and some differ late.
fn key(number: u8) -> Vec<u8> {
    match number {
        0 => Vec::new(),
        number if number < 10 => vec![b'k'; usize::from(number)],
        number if number % 2 == 0 => format!("a beginning that many share {number}").into_bytes(),
        number => format!("key {number}").into_bytes(),
    }
}

/// An order as the oracle knows it.
#[derive(Clone, Debug)]
enum Told {
    Commit(Writes),
    Floor(CommitId),
}

fn oracle_of(told: &[Told]) -> Oracle {
    let mut oracle = Oracle::default();
    for told in told {
        match told {
            Told::Commit(writes) => drop(oracle.commit(writes)),
            Told::Floor(floor) => oracle.raise_floor(*floor),
        }
    }
    oracle
}

struct Life {
    disk: SimDisk,
    node: Option<Node>,
    /// Everything that was ordered.
    told: Vec<Told>,
    /// How much of it was acknowledged.
    acknowledged: usize,
    oracle: Oracle,
    held: Vec<View>,
    values: u64,
}

impl Life {
    fn new() -> Life {
        let (disk, node) = new_node();
        Life {
            disk,
            node: Some(node),
            told: Vec::new(),
            acknowledged: 0,
            oracle: Oracle::default(),
            held: Vec::new(),
            values: 0,
        }
    }

    fn node(&mut self) -> &mut Node {
        self.node.as_mut().expect("the node is open between steps")
    }

    fn step(&mut self, step: &Step) {
        self.disk.record_images(true);
        let before = self.acknowledged;
        self.work(&step.work);
        let images = self.disk.take_images();
        self.disk.record_images(false);
        let within = |at: Option<u16>| at.and_then(|at| images.get(usize::from(at) % images.len().max(1)));
        let crashed = match step.end {
            End::None => None,
            End::Close => {
                self.node.take().expect("open").close().unwrap();
                Some((self.disk.clone(), self.acknowledged))
            }
            End::Kill(at) => Some(match within(at) {
                Some(image) => (image.restart(), before),
                None => (self.disk.image().restart(), self.acknowledged),
            }),
            End::PowerLoss(at, variant, seed) => Some(match within(at) {
                Some(image) => (image.crash(variant, seed), before),
                None => (self.disk.image().crash(variant, seed), self.acknowledged),
            }),
        };
        if let Some((disk, acknowledged)) = crashed {
            self.acknowledged = acknowledged;
            self.reopen(disk);
        }
        self.check(step.reads);
    }

    fn work(&mut self, work: &Work) {
        match work {
            Work::Group(batches, floor) => self.group(batches, *floor),
            Work::Checkpoint => {
                let cut = self.node().checkpoint(Purpose::Checkpoint).unwrap();
                assert_eq!(cut.commit, self.oracle.latest());
                assert!(self.node().store().state().checkpoint.position >= cut.position);
            }
            Work::Maintain(steps) => {
                for _ in 0..*steps {
                    self.node().step().unwrap();
                }
            }
            Work::Reopen => self.reopen(self.disk.clone()),
        }
    }

    fn group(&mut self, batches: &[Vec<Write>], floor: Option<u8>) {
        let mut orders = Vec::new();
        // Of the floor's range only what is published already may be asked for.
        let range = self.oracle.latest().0 - self.oracle.floor().0;
        let floor =
            floor.filter(|_| range > 0).map(|share| CommitId(self.oracle.floor().0 + 1 + u64::from(share) % range));
        for writes in batches {
            let writes: Writes =
                writes.iter().map(|(number, value)| (key(*number), value.map(|len| self.value(len)))).collect();
            orders.push(Order::Commit(batch(&writes)));
            self.told.push(Told::Commit(writes));
        }
        if let Some(floor) = floor {
            orders.push(Order::Floor(floor));
            self.told.push(Told::Floor(floor));
        }
        let answers = self.node().group(&orders).unwrap();
        assert_eq!(answers.len(), orders.len());
        for (told, answer) in self.told[self.acknowledged..].iter().zip(answers) {
            let point = answer.unwrap();
            match told {
                Told::Commit(writes) => assert_eq!(point.commit, self.oracle.commit(writes), "CommitIds have no holes"),
                Told::Floor(floor) => self.oracle.raise_floor(*floor),
            }
        }
        self.acknowledged = self.told.len();
    }

    /// A value that no other write has.
    fn value(&mut self, len: u16) -> Vec<u8> {
        self.values += 1;
        let mut dice = Dice(self.values);
        let mut value = self.values.to_le_bytes().to_vec();
        value.extend((8..len).map(|_| dice.roll() as u8));
        value.truncate(usize::from(len).max(4));
        value
    }

    /// D-ACK, M-ATOMIC: what is found is a prefix of what was ordered, and holds at least what was acknowledged.
    fn reopen(&mut self, disk: SimDisk) {
        self.held.clear();
        drop(self.node.take());
        let node = Node::open(&options(&disk)).unwrap_or_else(|error| panic!("{error}\n{}", world::listing(&disk)));
        let found = (node.store().commit(), node.report().floor);
        let prefix = (self.acknowledged..=self.told.len()).find(|len| {
            let oracle = oracle_of(&self.told[..*len]);
            (oracle.latest(), oracle.floor()) == found
        });
        let Some(prefix) = prefix else {
            panic!(
                "found commit {} and floor {}, acknowledged {} of {:?}",
                found.0, found.1, self.acknowledged, self.told
            )
        };
        self.told.truncate(prefix);
        self.acknowledged = prefix;
        self.oracle = oracle_of(&self.told);
        self.disk = disk;
        self.node = Some(node);
    }

    fn check(&mut self, seed: u64) {
        let mut dice = Dice(seed);
        let (floor, latest) = (self.oracle.floor(), self.oracle.latest());
        let node = self.node.as_ref().expect("open");
        if let Some(below) = floor.0.checked_sub(1) {
            let below = CommitId(dice.below(below + 1));
            assert_eq!(node.view(Some(below)).err().map(|error| error.reason()), Some(Reason::ViewBelowFloor));
        }
        let beyond = CommitId(latest.0 + 1 + dice.below(9));
        assert_eq!(node.view(Some(beyond)).err().map(|error| error.reason()), Some(Reason::ViewBeyondApplied));
        assert_eq!(node.view(None).unwrap().commit(), latest);
        for _ in 0..3 {
            let at = CommitId(floor.0 + dice.below(latest.0 - floor.0 + 1));
            let view = node.view(Some(at)).unwrap();
            self.compare(&view, &mut dice);
            if dice.below(8) == 0 && self.held.len() < 4 {
                self.held.push(view);
            }
        }
        for view in &self.held {
            self.compare(view, &mut dice);
        }
        if !self.held.is_empty() && dice.below(8) == 0 {
            self.held.remove(0);
        }
    }

    /// M-VISIBLE: a view answers as the oracle does at its commit.
    fn compare(&self, view: &View, dice: &mut Dice) {
        let at = view.commit();
        for _ in 0..4 {
            // The last two are never written.
            let key = key(dice.below(22) as u8);
            assert_eq!(view.get(&key).unwrap().as_deref(), self.oracle.get(&key, at), "key {key:?} at {at}");
        }
        for _ in 0..2 {
            let range = random_range(dice);
            match (view.range(range.clone()), self.oracle.range(&range, at)) {
                (Ok(rows), Some(expected)) => assert_eq!(rows.collect().unwrap(), expected, "{range:?} at {at}"),
                (Err(error), None) => assert_eq!(error.reason(), Reason::RangeInvalid),
                (Ok(_), None) => panic!("{range:?} must be refused"),
                (Err(error), Some(_)) => panic!("{range:?} at {at}: {error}"),
            }
        }
    }
}

fn random_range(dice: &mut Dice) -> Range {
    let bound = |dice: &mut Dice| {
        let key = key(dice.below(22) as u8);
        match dice.below(5) {
            0 | 1 => Bound::Included(key),
            2 | 3 => Bound::Excluded(key),
            _ => Bound::Unbounded,
        }
    };
    let (from, to) = (bound(dice), bound(dice));
    let direction = if dice.below(2) == 0 { Direction::Forward } else { Direction::Backward };
    let limit = match dice.below(4) {
        0 => dice.below(4) as usize,
        _ => 100,
    };
    Range { from, to, direction, limit }
}

fn live(steps: &[Step]) {
    let mut life = Life::new();
    for step in steps {
        life.step(step);
    }
    // What the oracle has seen of every commit that may be read is still there in the end, all at once.
    let (floor, latest) = (life.oracle.floor(), life.oracle.latest());
    for at in floor.0..=latest.0 {
        let view = life.node().view(Some(CommitId(at))).unwrap();
        let range = Range::all(1000);
        let expected = life.oracle.range(&range, CommitId(at)).unwrap();
        assert_eq!(view.range(range).unwrap().collect().unwrap(), expected, "everything at {at}");
    }
}

fn run(seed: u64, cases: u32) {
    println!("seed {seed}, {cases} lives");
    let config = Config {
        cases,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        max_shrink_iters: 20_000,
        ..Config::default()
    };
    let lived = TestRunner::new(config).run(&lives(), |steps| {
        live(&steps);
        Ok(())
    });
    if let Err(failure) = lived {
        panic!("seed {seed}: {failure}");
    }
}

fn cases() -> u32 {
    std::env::var("AERODB_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(600)
}

/// M-ATOMIC, M-VIEW, M-VISIBLE, M-FLOOR, D-ACK, F-P1, F-P2
#[test]
fn lives_from_the_fixed_seed_agree_with_the_oracle() {
    run(0xae0d_b001, cases());
}

/// The same, from a seed that nobody has tried.
#[test]
fn lives_from_a_fresh_seed_agree_with_the_oracle() {
    let fresh = aerodb::entropy::random_id().unwrap();
    let fresh = u64::from_le_bytes(fresh[..8].try_into().unwrap());
    let seed = std::env::var("AERODB_SEED").ok().map_or(fresh, |seed| seed.parse().expect("AERODB_SEED is a number"));
    run(seed, cases());
}

/// The parameters must be those that `init` of the world gives, or nothing would be sealed and merged in a life.
#[test]
fn a_life_crosses_segments_tables_and_merges() {
    let disk = SimDisk::new();
    Node::init(&init_options(&disk, tiny())).unwrap();
    let mut node = Node::open(&options(&disk)).unwrap();
    for number in 0..60u8 {
        node.commit(batch(&vec![(key(number % 20), Some(vec![number; 80]))])).unwrap();
    }
    node.maintain().unwrap();
    let state = node.store().state();
    assert!(node.durable().position.0 > tiny().segment_bytes, "a segment was sealed");
    assert!(state.runs.iter().any(|run| run.id().level > 1), "runs were merged twice");
}
