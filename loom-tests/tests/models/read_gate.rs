//! The Read Safety Gate beside everything that moves what it decides on: whoever is admitted reads a whole commit that is proven, whoever is
//! refused is told numbers of one moment, and nobody who knows of a halt is admitted (READ-GATE, P5-I4, P5-I10, P5-I12, M-ATOMIC, M-FLOOR, F-RS1, F-RS2).
//!
//! Store, gate, Validator and Applier are the product's, with the bodies of their threads; the log is real. Covered: readers of the newest commit, of
//! an old one and of one that is to come, and the status, beside the two stages, a floor, a halt, and the hand-over of a store that has just been
//! installed. Not covered: the order of loads within the published word (`published_view.rs`), the named point of a history, which is
//! looked up in the log.

use crate::follower::genesis;
use crate::world::{KEY, World};
use aerodb::applier::{self, ReplicaApplier};
use aerodb::batch::Batch;
use aerodb::chunk::{Chunk, Proven};
use aerodb::commit_id::CommitId;
use aerodb::error::{Error, Result};
use aerodb::gate::{self, Authority, Check, Evaluation, Facts, Phase, Prefix, Wish};
use aerodb::identity::Role;
use aerodb::position::{LogPoint, Position};
use aerodb::published::Fact;
use aerodb::queue::bounded;
use aerodb::reason::Reason;
use aerodb::record::{self, Kind};
use aerodb::store::{Store, View};
use aerodb::sync::{Arc, JoinHandle, Mutex, lock, seeded};
use aerodb::validator::{self, Validator};
use aerodb_loom_tests::{explore, start};
use std::collections::BTreeSet;

/// The other key that every commit writes.
const OTHER: &[u8] = b"other";

/// What the primary's log has next.
#[derive(Clone, Copy)]
enum Logged {
    /// A commit, which sets both keys to its CommitId.
    Commit,
    /// A floor.
    Floor(u64),
}

/// The primary's log, as it comes: some records at a time.
fn chunks(log: &[&[Logged]]) -> Vec<Chunk> {
    let mut end = genesis();
    let chunk = |records: &&[Logged]| {
        let (from, mut bytes) = (end.position, Vec::new());
        for logged in *records {
            end = match logged {
                Logged::Commit => {
                    let mut batch = Batch::new();
                    for key in [KEY, OTHER] {
                        batch.put(key, &end.commit.next().0.to_le_bytes()).expect("short");
                    }
                    record::encode(&mut bytes, Kind::Commit, batch.encoded(), end)
                }
                Logged::Floor(floor) => record::encode(&mut bytes, Kind::Floor, &floor.to_le_bytes(), end),
            };
        }
        Chunk { from, bytes, ends_segment: false }
    };
    log.iter().map(chunk).collect()
}

/// A replica's Validator and Applier, over a store that may be read.
struct Running {
    validating: JoinHandle<Result<()>>,
    applying: JoinHandle<Result<()>>,
}

impl Running {
    /// Starts them over this log, all of which is received.
    fn start(log: &[&[Logged]]) -> (Running, Arc<Store>) {
        let World { store, applier } = World::recovering(genesis()).open(Role::Replica);
        let ((chunk, to_prove), (prove, to_apply)) = (bounded::<Chunk>(4), bounded::<Proven>(2));
        chunks(log).into_iter().for_each(|received| chunk.send(received).expect("there is room"));
        drop(chunk);
        let validator = Validator::new(genesis());
        let (validated, gate) = (validator.validated(), Arc::clone(&store));
        let validating = start(move || {
            validator::worker::run(validator, &to_prove, &prove, || gate.prove_to(validated.get().point.commit))
        });
        let applier = ReplicaApplier::new(applier);
        let applying = start(move || applier::worker::run(applier, &to_apply, || {}));
        (Running { validating, applying }, store)
    }

    /// Both have ended; why the Applier ended early.
    fn join(self) -> Option<&'static str> {
        assert_eq!(self.validating.join().expect("the validator held its assertions"), Ok(()));
        let applied = self.applying.join().expect("the applier held its assertions");
        applied.err().map(|error| error.reason().name())
    }
}

/// What a reader was told: the commit that it read at, or the rule with the first two numbers of its evidence.
type Told = std::result::Result<u64, (&'static str, u64, u64)>;

/// What a reader is told, which must hold together.
fn told(read: Result<View>) -> Told {
    match read {
        Ok(view) => {
            let CommitId(commit) = view.commit();
            for key in [KEY, OTHER] {
                assert_eq!(
                    value(view.get(key)),
                    commit,
                    "all of the commit that was admitted is there, and nothing newer"
                );
            }
            Ok(commit)
        }
        Err(error) => Err(evidence(&error)),
    }
}

fn evidence(error: &Error) -> (&'static str, u64, u64) {
    let number = |name| error.fact(name).map(|value| value.parse::<u64>().expect("a number"));
    let (one, two) = match error.reason() {
        Reason::ViewBeyondApplied => ("view", "applied_commit"),
        Reason::ViewBelowFloor => ("view", "floor"),
        Reason::ReadBehind => ("view", "at_least"),
        _ => ("", ""),
    };
    (error.reason().name(), number(one).unwrap_or(0), number(two).unwrap_or(0))
}

/// The commit that wrote a key.
fn value(read: Result<Option<Vec<u8>>>) -> u64 {
    let value = read.expect("there is no run that could be corrupt");
    value.map_or(0, |value| u64::from_le_bytes(value.try_into().expect("eight bytes")))
}

/// What explains a read of the newest commit, which must be of a moment that was, and of the verdict: applied and floor.
fn status(store: &Arc<Store>) -> (u64, u64) {
    let wish = Wish::newest();
    let (facts, verdict) = store.look(&wish, None);
    let Prefix::Proven(proven) = facts.prefix else { panic!("{:?} follows", facts.authority) };
    assert!(facts.applied <= proven, "what is shown as applied is proven: {facts:?}");
    let broken = gate::evaluate(&facts, &wish).find(|(_, holds)| *holds != Evaluation::Holds);
    let expected = facts.halted.then_some((Check::Halt, Evaluation::Fails));
    assert_eq!(broken, expected, "the newest commit can be read unless the node has halted: {facts:?}");
    assert_eq!(told(verdict), if facts.halted { Err(("replica.halted", 0, 0)) } else { Ok(facts.applied.0) });
    (facts.applied.0, facts.floor.0)
}

fn reading<T: Send + 'static>(
    store: &Arc<Store>,
    read: impl FnOnce(&Arc<Store>) -> T + Send + 'static,
) -> JoinHandle<T> {
    let store = Arc::clone(store);
    start(move || read(&store))
}

#[test]
fn whoever_is_admitted_reads_a_whole_commit_that_is_proven() {
    let outcomes = explore("two stages over two commits, a reader of the newest", Some(2), || {
        let (running, store) = Running::start(&[&[Logged::Commit], &[Logged::Commit]]);
        let reading = reading(&store, |store| {
            let first = told(store.read(&Wish::newest(), None));
            let mut newest = store.newest();
            let second = [KEY, OTHER].map(|key| value(newest.look(key, <[u8]>::to_vec)));
            (first, second)
        });
        assert_eq!(running.join(), None);
        let read = reading.join().expect("the reader held its assertions");
        assert_eq!(
            told(store.read(&Wish::at_least(CommitId(2)), None)),
            Ok(2),
            "where nothing is wrong it is admitted"
        );
        read
    });
    let looks =
        (0..=2).flat_map(|view| (view..=2).flat_map(move |first| (first..=2).map(move |second| (view, first, second))));
    assert_eq!(outcomes, looks.map(|(view, first, second)| (Ok(view), [first, second])).collect());
}

#[test]
fn whoever_asks_for_a_commit_is_told_numbers_of_one_moment() {
    let outcomes = explore("two stages over two commits, a reader of the second, the status", Some(2), || {
        let (running, store) = Running::start(&[&[Logged::Commit], &[Logged::Commit]]);
        let reading = reading(&store, |store| {
            let exactly = told(store.read(&Wish::at(Some(CommitId(2))), None));
            let (applied, floor) = status(store);
            assert_eq!(floor, 0, "nobody raises it");
            (exactly, applied, told(store.read(&Wish::at_least(CommitId(2)), None)))
        });
        assert_eq!(running.join(), None);
        reading.join().expect("the reader held its assertions")
    });
    let mut expected = BTreeSet::new();
    for first in 0..=2 {
        let exactly = if first < 2 { Err(("view.beyond_applied", 2, first)) } else { Ok(2) };
        for second in first..=2 {
            expected.extend(
                (second..=2)
                    .map(|third| (exactly, second, if third < 2 { Err(("read.behind", third, 2)) } else { Ok(2) })),
            );
        }
    }
    assert_eq!(outcomes, expected);
}

#[test]
fn a_floor_that_passes_the_newest_commit_is_seen_with_the_one_that_it_was_raised_to() {
    let outcomes = explore("two stages over a commit and a floor, readers and the status", Some(2), || {
        let (running, store) = Running::start(&[&[Logged::Commit], &[Logged::Floor(1)]]);
        let reading = reading(&store, |store| {
            let newest = told(store.read(&Wish::newest(), None));
            (newest, status(store), told(store.read(&Wish::at(Some(CommitId(0))), None)))
        });
        assert_eq!(running.join(), None);
        reading.join().expect("the reader held its assertions")
    });
    let mut expected = BTreeSet::new();
    // Moments: nothing, the commit, the commit and its floor.
    let moments = [(0, 0), (1, 0), (1, 1)];
    for first in 0..3 {
        for second in first..3 {
            expected.extend((second..3).map(|third| {
                let old = if moments[third].1 == 0 { Ok(0) } else { Err(("view.below_floor", 0, 1)) };
                (Ok(moments[first].0), moments[second], old)
            }));
        }
    }
    assert_eq!(outcomes, expected);
}

#[test]
fn nobody_who_knows_of_the_halt_is_admitted_and_nobody_is_told_half_of_it() {
    let outcomes = explore("two stages over a commit and a floor, a halt, a reader", Some(2), || {
        let (running, store) = Running::start(&[&[Logged::Commit, Logged::Floor(1)]]);
        let told_of_it = Arc::new(Fact::new(false));
        let halting = reading(&store, {
            let told_of_it = Arc::clone(&told_of_it);
            move |store| {
                store.halt(&Error::new(Reason::ReplicaHalted));
                told_of_it.set(true);
            }
        });
        let before = told(store.read(&Wish::newest(), None));
        status(&store);
        let knows = told_of_it.get();
        let behind = told(store.read(&Wish::newest(), None));
        halting.join().expect("the halter held its assertions");
        let ended = running.join();
        assert!(ended.is_none_or(|reason| reason == "replication.stopped"), "{ended:?}");
        let refused = Err(("replica.halted", 0, 0));
        assert_eq!(told(store.read(&Wish::newest(), None)), refused, "a halt is for good");
        assert_eq!(store.look(&Wish::newest(), None).0.applied, store.commit());
        (before, knows, behind)
    });
    let (refused, mut expected) = (Err(("replica.halted", 0, 0)), BTreeSet::new());
    for knows in [false, true] {
        expected.insert((refused, knows, refused));
        expected.extend((0..=1).map(|before| (Ok(before), knows, refused)));
    }
    for first in 0..=1 {
        expected.extend((first..=1).map(|second| (Ok(first), false, Ok(second))));
    }
    assert_eq!(outcomes, expected);
}

#[test]
fn a_floor_that_is_raised_behind_the_halt_contradicts_nobody() {
    let outcomes = explore("a commit and a floor, a halt, a reader", None, || {
        let World { store, mut applier } = World::recovering(genesis()).open(Role::Replica);
        store.prove_to(CommitId(1));
        let applying = start(move || {
            let mut bytes = Vec::new();
            for chunk in chunks(&[&[Logged::Commit, Logged::Floor(1)]]) {
                bytes.extend_from_slice(&chunk.bytes);
            }
            while let Ok(record) = record::prove(&bytes, applier.point()) {
                applier.apply(&record).expect("it follows the last");
                let taken = record.after.position.since(record.before.position);
                drop(bytes.drain(..usize::try_from(taken).expect("short")));
            }
        });
        let halting = reading(&store, |store| store.halt(&Error::new(Reason::ReplicaHalted)));
        let read = told(store.read(&Wish::newest(), None));
        applying.join().expect("the applier held its assertions");
        halting.join().expect("the halter held its assertions");
        (read, status(&store))
    });
    let refused = Err(("replica.halted", 0, 0));
    // The halt comes before the commit, or behind it; the floor is raised in the state of either.
    let expected = [(Ok(0), (0, 1)), (Ok(0), (1, 1)), (Ok(1), (1, 1)), (refused, (0, 1)), (refused, (1, 1))];
    assert_eq!(outcomes, BTreeSet::from(expected));
}

/// What a node decides on while it fetches a snapshot: it has no store.
fn bootstrapping() -> Facts {
    Facts {
        authority: Authority::Follower,
        phase: Phase::Bootstrapping,
        halted: false,
        prefix: Prefix::Proven(CommitId(0)),
        applied: CommitId(0),
        floor: CommitId(0),
        line: None,
    }
}

#[test]
fn what_was_installed_is_read_whole_or_not_at_all() {
    let outcomes = explore("an installed store is recovered and handed over, a reader", None, || {
        let mut world = World::recovering(LogPoint { position: Position(8), ..genesis() });
        let served: Arc<Mutex<Option<Arc<Store>>>> = Arc::new(Mutex::new(None));
        let recovering = start({
            let served = Arc::clone(&served);
            move || {
                let early = seeded("a store is handed over before it is recovered");
                let store = Arc::clone(&world.store);
                if early {
                    *lock(&served) = Some(Arc::clone(&store));
                }
                world.commit();
                world.raise_floor(1);
                world.commit();
                if seeded("reads are opened before what was recovered is published") {
                    store.open_reads(Role::Replica);
                    world.applier.publish();
                } else {
                    world.applier.publish();
                    store.open_reads(Role::Replica);
                }
                if !early {
                    *lock(&served) = Some(store);
                }
            }
        });
        let ask = || match lock(&served).as_ref() {
            Some(store) => {
                store.read(&Wish::newest(), None).map(|view| view.commit().0).map_err(|error| error.reason())
            }
            None => Err(gate::refusal(&bootstrapping(), &Wish::newest()).expect("it is refused").reason()),
        };
        let looks = [(); 2].map(|()| ask());
        recovering.join().expect("recovery held its assertions");
        assert_eq!(ask(), Ok(2), "where nothing is wrong it is admitted");
        looks.map(|look| look.map_err(Reason::name))
    });
    let refused = Err("read.bootstrapping");
    assert_eq!(outcomes, BTreeSet::from([[refused, refused], [refused, Ok(2)], [Ok(2), Ok(2)]]));
}
