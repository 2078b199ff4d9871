//! The Read Safety Gate beside everything that moves what it decides on: whoever is admitted reads a whole commit that is proven, whoever is
//! refused is told numbers of one moment, and nobody who knows of a halt is admitted (READ-GATE, P5-I4, P5-I10, P5-I12, M-ATOMIC, M-FLOOR, F-RS1, F-RS2).
//!
//! Store, gate, Validator and Applier are the product's, with the bodies of their threads; the log is real. Covered: readers of the newest commit, of
//! an old one and of one that is to come, of a point that they know, and the status, beside the two stages, a floor, a halt, a bar, and the opening
//! of a store that has just been installed; and the front that shows it over HTTP. The orders of opening, barring and looking are the product's, and so
//! are the bugs in them. Not covered: the order of loads within the published word (`published_view.rs`); reading the log for a point.

use crate::follower::genesis;
use crate::world::{KEY, World};
use aerodb::applier::{self, ReplicaApplier};
use aerodb::batch::Batch;
use aerodb::chunk::{Chunk, Proven};
use aerodb::commit_id::CommitId;
use aerodb::error::{Error, Result};
use aerodb::gate::{self, Check, Evaluation, Facts, Line, Prefix, Wish};
use aerodb::http::pages::Front;
use aerodb::http::request::{Method, Refused, Request};
use aerodb::http::response::Response;
use aerodb::http::server::Pages;
use aerodb::identity::Role;
use aerodb::position::{LogPoint, Position};
use aerodb::published::Fact;
use aerodb::queue::bounded;
use aerodb::reason::Reason;
use aerodb::record::{self, Kind};
use aerodb::server::lobby::Board;
use aerodb::store::{Applier, Store, View};
use aerodb::sync::{Arc, JoinHandle};
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

/// Applies them, a record at a time, and publishes what was applied.
fn apply(applier: &mut Applier, chunks: &[Chunk]) {
    let mut bytes = chunks.iter().flat_map(|chunk| chunk.bytes.iter().copied()).collect::<Vec<u8>>();
    while let Ok(record) = record::prove(&bytes, applier.point()) {
        applier.apply(&record).expect("it follows the last");
        let taken = record.after.position.since(record.before.position);
        drop(bytes.drain(..usize::try_from(taken).expect("short")));
    }
    applier.publish();
}

/// What every reader is told behind a halt or a bar.
const HALTED: (&str, u64, u64) = ("replica.halted", 0, 0);

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
    let (facts, verdict) = store.look(&wish, |_| None);
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
        assert_eq!(store.look(&Wish::newest(), |_| None).0.applied, store.commit());
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
            apply(&mut applier, &chunks(&[&[Logged::Commit, Logged::Floor(1)]]));
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

#[test]
fn nobody_who_knows_of_a_bar_is_answered_also_who_was_admitted_before() {
    let outcomes = explore("a bar, a commit, a reader that was admitted and asks again", Some(3), || {
        let World { store, mut applier } = World::recovering(genesis()).open(Role::Replica);
        store.prove_to(CommitId(1));
        let told_of_it = Arc::new(Fact::new(false));
        let barring = reading(&store, {
            let told_of_it = Arc::clone(&told_of_it);
            move |store| {
                store.bar_reads(Error::new(Reason::ReplicaHalted));
                told_of_it.set(true);
            }
        });
        let applying = start(move || apply(&mut applier, &chunks(&[&[Logged::Commit]])));
        let mut newest = store.newest();
        let mut look = || match newest.look(KEY, <[u8]>::to_vec) {
            Err(error) => Err(evidence(&error)),
            found => Ok(value(found)),
        };
        let first = look();
        let knows = told_of_it.get();
        let behind = [look(), told(store.read(&Wish::newest(), None))];
        barring.join().expect("who bars held its assertions");
        applying.join().expect("the applier held its assertions");
        assert_eq!(look(), Err(HALTED), "a bar is for good");
        assert_eq!(store.halted(), None, "what is to be kept first has halted nobody");
        (first, knows, behind)
    });
    let mut expected = BTreeSet::new();
    // What was read before is read again, or the commit; who has met the bar, or was told of it, meets it for good.
    for first in [Ok(0), Ok(1), Err(HALTED)] {
        expected.extend([false, true].map(|knows| (first, knows, [Err(HALTED); 2])));
        for again in (first.unwrap_or(2)..=1).map(Ok) {
            expected.insert((first, false, [again, Err(HALTED)]));
            expected.extend((again.unwrap_or(2)..=1).map(|anew| (first, false, [again, Ok(anew)])));
        }
    }
    assert_eq!(outcomes, expected);
}

#[test]
fn what_the_log_says_of_a_point_is_of_the_commits_that_it_is_judged_by() {
    let outcomes = explore("two commits, a reader that knows the first, a reader that knows another", Some(3), || {
        let World { store, mut applier } = World::recovering(genesis()).open(Role::Replica);
        let log = chunks(&[&[Logged::Commit], &[Logged::Commit]]);
        let end = |chunk: &Chunk, before| record::prove(&chunk.bytes, before).expect("it is whole").after;
        let asked = end(&log[0], genesis());
        let last = end(&log[1], asked);
        let proven = Arc::new(Fact::new(genesis()));
        store.prove_to(CommitId(2));
        let applying = start({
            let proven = Arc::clone(&proven);
            move || {
                for (chunk, end) in log.iter().zip([asked, last]) {
                    proven.set(end);
                    apply(&mut applier, std::slice::from_ref(chunk));
                }
            }
        });
        let ask = |asked: LogPoint| {
            let wish = Wish::newest().on(asked);
            // The point is one of the log's: where it is reached it is found.
            let line = |facts: &Facts| Line::known(asked, facts.applied, proven.get()).or(Some(Line::Same));
            let (facts, verdict) = store.look(&wish, line);
            if let Some(Line::Behind(position)) = facts.line {
                assert!(
                    position < asked.position || facts.applied < asked.commit,
                    "who is behind lacks the record or the commit: {facts:?}"
                );
            }
            verdict.map(|view| view.commit().0).map_err(|error| error.reason().name())
        };
        let other = LogPoint { position: last.position.after(8), ..asked };
        let told = [ask(asked), ask(other)];
        applying.join().expect("the applier held its assertions");
        assert_eq!([ask(asked), ask(other)], [Ok(2), Err("read.other_history")]);
        told
    });
    let (behind, other) = (Err("read.behind"), Err("read.other_history"));
    let expected = [[behind, behind], [behind, other], [Ok(1), behind], [Ok(1), other], [Ok(2), other]];
    assert_eq!(outcomes, BTreeSet::from(expected));
}

/// What is shown of a store in the place of a node: the newest commit, or why it can't be read.
struct Shown {
    store: Arc<Store>,
    /// Gone with it.
    _kept: Arc<()>,
}

impl Pages for Shown {
    fn answer(&self, _: &Request) -> std::result::Result<Response, Refused> {
        Ok(match self.store.read(&Wish::newest(), None) {
            Ok(view) => Response::text(&view.commit().to_string()),
            Err(refusal) => Response::unavailable(&refusal),
        })
    }
}

/// Whether a read would be answered, as a client of HTTP is told: with the commit, or the code.
fn asked(front: &Arc<Front<Shown>>) -> String {
    let request =
        Request { method: Method::Get, path: b"/readyz".to_vec(), query: Vec::new(), host: None, keep_alive: false };
    let response = front.answer(&request).expect("there is such a page");
    let text = String::from_utf8(response.body).expect("it is text");
    if text.contains("read.recovering") { "read.recovering".to_owned() } else { text }
}

#[test]
fn what_was_installed_is_read_whole_or_not_at_all() {
    for barred in [false, true] {
        let outcomes = explore("an installed store is recovered, a reader that has it already", Some(3), move || {
            let mut world = World::recovering(LogPoint { position: Position(8), ..genesis() });
            let store = Arc::clone(&world.store);
            let recovering = start(move || {
                if barred {
                    world.store.bar_reads(Error::new(Reason::ReplicaHalted));
                }
                world.commit();
                world.raise_floor(1);
                world.commit();
                world.applier.open_reads(Role::Replica);
            });
            let ask = || {
                store
                    .read(&Wish::newest(), None)
                    .map_or_else(|error| Err(error.reason().name()), |view| Ok(view.commit().0))
            };
            let looks = [ask(), ask()];
            recovering.join().expect("recovery held its assertions");
            let end = if barred { Err("replica.halted") } else { Ok(2) };
            assert_eq!(ask(), end, "where nothing is wrong it is admitted");
            assert_eq!(store.commit(), CommitId(2), "what was recovered is shown, also behind a bar");
            looks
        });
        let (recovers, opened) = (Err("read.recovering"), if barred { Err("replica.halted") } else { Ok(2) });
        assert_eq!(outcomes, BTreeSet::from([[recovers, recovers], [recovers, opened], [opened, opened]]));
    }
}

#[test]
fn a_front_shows_what_waits_then_what_serves_and_lets_go_of_it() {
    let outcomes = explore("a node is recovered, served, and waits again; a client of its front", None, || {
        let board = Arc::new(Board::new(([127, 0, 0, 1], 1).into(), None));
        let front = Arc::new(Front::new(Arc::clone(&board)));
        let serving = start({
            let front = Arc::clone(&front);
            move || {
                let mut world = World::recovering(genesis());
                world.commit();
                world.applier.open_reads(Role::Replica);
                let kept = Arc::new(());
                front.serve(Shown { store: world.store, _kept: Arc::clone(&kept) });
                front.wait(board);
                assert!(Arc::into_inner(kept).is_some(), "who takes back what was shown holds it alone");
            }
        });
        let told = [asked(&front), asked(&front)];
        serving.join().expect("who serves held its assertions");
        told
    });
    let told = |first: &str, second: &str| [first.to_owned(), second.to_owned()];
    let waits = "read.recovering";
    assert_eq!(outcomes, BTreeSet::from([told(waits, waits), told(waits, "1"), told("1", "1"), told("1", waits)]));
}
