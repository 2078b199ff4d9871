//! What a replica knows of itself (REPL-STATE, REPL-HALT, FMT-REPLICA, F-RC2, F-A2): a crash leaves the old state or the new one, rot
//! is refused, and a halt that was recorded is not lost by either.
//!
//! A script of every kind of change runs on a simulated disk. Every operation of it is a crash, in every variant; behind each a second
//! process goes on, and every operation of that is a crash again. What must be found is the state before the change or after it, and
//! after it once the change was answered.

#![cfg(feature = "replication")]

mod world;

use aerodb::disk::{Crash, Disk, Fault, SimDisk, SimImage};
use aerodb::position::History;
use aerodb::replica_state::{Halt, Install, Origin, ReplicaState, STATE_FILES, StateStore};
use aerodb::verify::{VerifyOptions, verify};
use aerodb::{CommitId, Error, Id, Init, LogPoint, Node, Position, Reason, Result, Role, backup, limits};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use world::{DIR, init_options, options, shared, tiny};

const DATABASE: Id = Id([0xdb; 16]);
const NODE: Id = Id([0x0d; 16]);
const PRIMARY: Id = Id([0xaa; 16]);
const SECTOR: usize = 512;
const PROCESS: &str = "the process died";
/// How often a random crash is thrown.
const SEEDS: u64 = 6;

fn at(position: u64) -> LogPoint {
    LogPoint { position: Position(position), history: History(position ^ 5), commit: CommitId(position / 8) }
}

fn fresh_state() -> ReplicaState {
    ReplicaState::new(DATABASE, NODE, at(0), Origin::Log)
}

fn fresh() -> SimDisk {
    let disk = SimDisk::new();
    disk.create_dir(Path::new(DIR)).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    StateStore::create(&disk, Path::new(DIR), &fresh_state()).unwrap();
    disk.sync_dir(Path::new(DIR)).unwrap();
    disk
}

fn open(disk: &SimDisk) -> Result<StateStore> {
    StateStore::open(disk, Path::new(DIR), DATABASE, NODE)
}

/// What is there, by either way to read it.
fn found(disk: &SimDisk) -> Result<ReplicaState> {
    let operations = disk.operations();
    let read = ReplicaState::read(disk, Path::new(DIR), DATABASE, NODE);
    let opened = open(disk).map(|store| store.state().clone());
    assert_eq!(read, opened);
    assert_eq!(disk.operations(), operations, "looking changes nothing");
    opened
}

fn reason_of<T>(outcome: Result<T>) -> Option<Reason> {
    outcome.err().map(|error| error.reason())
}

fn file(number: usize) -> PathBuf {
    Path::new(DIR).join("replica").join(STATE_FILES[number])
}

fn contents(disk: &SimDisk, number: usize) -> Vec<u8> {
    disk.contents(&file(number)).unwrap()
}

fn halt(reason: Reason, position: u64) -> Halt {
    Halt { reason, position: Position(position), evidence: format!("what was found at {position}") }
}

/// A change of the state.
#[derive(Clone, Debug)]
enum Step {
    Applied(u64),
    Halt(Halt),
    Clear(Halt),
    HaltInstead(Halt),
    Install(u64),
    Installing(Install),
    Installed,
}

impl Step {
    fn take(&self, store: &mut StateStore) -> Result<()> {
        match self {
            Step::Applied(position) => store.record_applied(at(*position)),
            Step::Halt(halt) => store.halt(halt.clone()).map(|_| ()),
            Step::Clear(halt) => store.clear(halt.reason, halt.position).map(|_| ()),
            Step::HaltInstead(halt) => {
                let named = store.state().halt.clone().expect("an order names a halt");
                store.halt_instead(&named, halt)
            }
            Step::Install(position) => store.install(at(*position), PRIMARY),
            Step::Installing(install) => store.installing(*install),
            Step::Installed => store.installed(),
        }
    }

    /// The state after it.
    fn of(&self, before: &ReplicaState) -> ReplicaState {
        let before = before.clone();
        match self {
            Step::Applied(position) => ReplicaState { applied: at(*position), ..before },
            Step::Halt(halt) => ReplicaState { halt: before.halt.or(Some(halt.clone())), ..before },
            // What an order came to over data that is still there uncovers what that data was halted by.
            Step::Clear(cleared) => {
                let kept = before.halt.as_ref().and_then(|halt| halt.evidence.strip_prefix("instead_of="));
                let halt = kept.map(|told| {
                    let ((first, told), name) =
                        (told.split_once(' ').unwrap(), format!("{}@{}", cleared.reason, cleared.position));
                    let (reason, position) = Halt::parse(first).unwrap();
                    let found = told.split_once(' ').unwrap().1;
                    let evidence =
                        format!("it counts again, because {name} was cleared, which an order had come to: {found}");
                    Halt { reason, position, evidence }
                });
                ReplicaState { halt, ..before }
            }
            Step::HaltInstead(halt) => {
                let named = before.halt.as_ref().map_or_else(String::new, ToString::to_string);
                let evidence = format!("instead_of={named} ordered={named} {}", halt.evidence);
                ReplicaState { halt: Some(Halt { evidence, ..halt.clone() }), ..before }
            }
            Step::Install(position) => ReplicaState {
                primary: Some(PRIMARY),
                applied: at(*position),
                origin: Origin::Snapshot(at(*position)),
                install: Some(Install::Clearing),
                halt: None,
                ..before
            },
            Step::Installing(install) => ReplicaState { install: Some(*install), ..before },
            Step::Installed => ReplicaState { install: None, ..before },
        }
    }
}

fn script() -> Vec<Step> {
    let (first, second) = (halt(Reason::SegmentRejected, 32), halt(Reason::HistoryDiverged, 40));
    vec![
        Step::Applied(8),
        Step::Applied(16),
        Step::Halt(first.clone()),
        Step::Halt(second.clone()),
        Step::Applied(24),
        Step::Clear(first),
        Step::Halt(second.clone()),
        Step::Clear(second.clone()),
        Step::Applied(48),
        Step::Halt(second),
        Step::HaltInstead(halt(Reason::SnapshotRejected, 32)),
        Step::Clear(halt(Reason::SnapshotRejected, 32)),
        Step::HaltInstead(halt(Reason::SnapshotRejected, 32)),
        // Behind what was applied, and taken back to before it.
        Step::Install(40),
        Step::Installing(Install::Moving),
        Step::Installing(Install::Moving),
        Step::Installed,
        Step::Applied(56),
    ]
}

/// An instant of the script: what must be found of it.
struct Moment {
    image: SimImage,
    /// What the power alone may leave of an earlier process that died unanswered: it stands below what the cache shows.
    below: Option<ReplicaState>,
    before: ReplicaState,
    after: ReplicaState,
    answered: bool,
}

impl Moment {
    fn check(&self, found: &ReplicaState, what: &dyn Fn() -> String) {
        let old = !self.answered && (*found == self.before || Some(found) == self.below.as_ref());
        assert!(old || *found == self.after, "{}: {found:?}", what());
    }

    /// The same where a process that died unanswered left `before` on the platter.
    fn above(self, before: Option<&ReplicaState>) -> Moment {
        Moment { below: before.cloned(), ..self }
    }

    /// What may lie below what this instant shows, where a process died in it.
    fn platter(&self, how: &str) -> Option<&ReplicaState> {
        (how == PROCESS && !self.answered).then_some(&self.before)
    }
}

/// Takes the steps, each on the disk as the one before left it; the store is opened anew where `reopen` says so.
fn moments(disk: &SimDisk, steps: &[Step], reopen: impl Fn(usize) -> bool) -> Vec<Moment> {
    let mut store = open(disk).unwrap();
    let mut moments = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        if reopen(index) {
            store = open(disk).unwrap();
        }
        let before = store.state().clone();
        let after = step.of(&before);
        disk.record_images(true);
        step.take(&mut store).unwrap();
        assert_eq!(store.state(), &after, "{step:?}");
        let images = disk.take_images();
        let last = images.len().wrapping_sub(1);
        for (index, image) in images.into_iter().enumerate() {
            let (before, after) = (before.clone(), after.clone());
            moments.push(Moment { image, below: None, before, after, answered: index == last });
        }
    }
    moments
}

/// What a machine, or a process alone, leaves of an instant.
fn crashes(image: &SimImage) -> impl Iterator<Item = (String, SimDisk)> {
    let seeds = |variant: Crash| if variant.is_random() { 0..SEEDS } else { 0..1 };
    let power = Crash::ALL.into_iter().flat_map(move |variant| seeds(variant).map(move |seed| (variant, seed)));
    let power = power.map(|(variant, seed)| (format!("{variant:?}, seed {seed}"), image.crash(variant, seed)));
    power.chain([(PROCESS.to_owned(), image.restart())])
}

/// REPL-STATE, REPL-HALT
#[test]
fn what_is_recorded_is_found_again() {
    let disk = fresh();
    let mut store = open(&disk).unwrap();
    assert_eq!(store.state(), &fresh_state());
    for step in script() {
        step.take(&mut store).unwrap();
        assert_eq!(found(&disk).as_ref(), Ok(store.state()), "{step:?}");
    }
    let backed = ReplicaState { origin: Origin::Backup(at(64)), ..fresh_state() };
    StateStore::create(&disk, Path::new(DIR), &backed).unwrap();
    assert_eq!(found(&disk), Ok(backed));
}

/// REPL-HALT: the first halt counts, and only its name clears it.
#[test]
fn a_halt_is_kept_until_it_is_cleared_by_name() {
    let disk = fresh();
    let mut store = open(&disk).unwrap();
    let (first, second) = (halt(Reason::SegmentRejected, 32), halt(Reason::ReplicationGap, 32));
    assert_eq!(store.halt(first.clone()), Ok(true));
    assert_eq!(store.halt(second.clone()), Ok(false));
    assert_eq!(store.halt(first.clone()), Ok(false));
    let mut store = open(&disk).unwrap();
    assert_eq!(store.state().halt.as_ref(), Some(&first));
    for (reason, position) in [(second.reason, 32), (first.reason, 33)] {
        let refused = store.clear(reason, Position(position)).unwrap_err();
        assert_eq!(refused.reason(), Reason::HaltOther);
        assert_eq!(refused.fact("named"), Some(format!("{reason}@{position}").as_str()));
        assert_eq!(refused.fact("halt"), Some("segment.rejected@32"));
    }
    assert_eq!(found(&disk).unwrap().halt.as_ref(), Some(&first), "what was refused changed nothing");
    let (reason, position) = Halt::parse("segment.rejected@32").unwrap();
    assert_eq!(store.clear(reason, position), Ok(first));
    let refused = store.clear(reason, position).unwrap_err();
    assert_eq!((refused.reason(), refused.fact("halt")), (Reason::HaltOther, Some("none")));
    assert_eq!(store.halt(second), Ok(true), "the next one counts");

    let long = Halt { evidence: format!("x{}", "ü".repeat(5000)), ..halt(Reason::HistoryAhead, 8) };
    store.clear(Reason::ReplicationGap, Position(32)).unwrap();
    store.halt(long).unwrap();
    let kept = found(&disk).unwrap().halt.unwrap().evidence;
    assert_eq!(store.state().halt.as_ref().map(|halt| &halt.evidence), Some(&kept));
    assert_eq!(kept.len(), limits::HALT_EVIDENCE_BYTES_MAX - 1, "cut between two characters");
}

/// SNAP-ORDER: of a row of orders the halt of the data is the one that is uncovered, whatever was found out since and told beside it; an order is carried out once.
#[test]
fn the_halt_of_the_data_is_not_forgotten_by_any_row_of_orders() {
    let disk = fresh();
    let mut store = open(&disk).unwrap();
    let (first, second) = (halt(Reason::HistoryDiverged, 40), halt(Reason::SnapshotRejected, 48));
    store.halt(first.clone()).unwrap();
    assert_eq!(store.ordered(first.reason, first.position), Ok(first.clone()));
    store.halt_instead(&first, &halt(Reason::SnapshotGone, 44)).unwrap();
    let named = store.ordered(Reason::SnapshotGone, Position(44)).unwrap();
    store.halt_instead(&named, &second).unwrap();
    let named = store.ordered(second.reason, second.position).unwrap();
    store.halt_instead(&named, &second).unwrap();
    store.tell("fork=somewhere").unwrap();
    let mut store = open(&disk).unwrap();
    let refused = store.ordered(second.reason, second.position).unwrap_err();
    assert_eq!((refused.reason(), refused.fact("halt")), (Reason::HaltAnswered, Some("snapshot.rejected@48")));
    let cleared = store.clear(second.reason, second.position).unwrap();
    assert!(cleared.evidence.ends_with(" fork=somewhere; what was found at 48"), "{}", cleared.evidence);
    let uncovered = found(&disk).unwrap().halt.unwrap();
    assert_eq!(uncovered.to_string(), first.to_string());
    assert!(uncovered.evidence.ends_with("fork=somewhere; what was found at 48"), "{}", uncovered.evidence);
    assert_eq!(store.clear(first.reason, first.position), Ok(uncovered));
    assert_eq!(found(&disk).unwrap().halt, None);
}

/// REPL-POSITIONS: applied does not go back. Recording the same point again writes nothing.
#[test]
#[should_panic(expected = "applied went from")]
fn applied_never_goes_back() {
    let disk = fresh();
    let mut store = open(&disk).unwrap();
    store.record_applied(at(16)).unwrap();
    let operations = disk.operations();
    store.record_applied(at(16)).unwrap();
    assert_eq!(disk.operations(), operations);
    let _ = store.record_applied(at(8));
}

/// REPL-STATE, REPL-HALT, P5-I11: every crash, and every crash of what the next process does behind it.
#[test]
fn every_crash_leaves_the_old_state_or_the_new() {
    let (mut first, mut second) = (0, 0);
    for reopened in [false, true] {
        let moments = moments(&fresh(), &script(), |_| reopened);
        for (at_first, moment) in moments.iter().enumerate() {
            for (how, disk) in crashes(&moment.image) {
                let what = || format!("reopened {reopened}, operation {at_first}, {how}");
                let state = found(&disk).unwrap_or_else(|error| panic!("{}: {error}", what()));
                moment.check(&state, &what);
                first += 1;
                let next = if state.halt.is_some() {
                    vec![Step::Halt(halt(Reason::HistoryAhead, 99)), Step::Applied(state.applied.position.0 + 8)]
                } else {
                    vec![Step::Applied(state.applied.position.0 + 8), Step::Halt(halt(Reason::HistoryAhead, 99))]
                };
                let platter = moment.platter(&how);
                for (at_second, moment) in self::moments(&disk, &next, |_| false).into_iter().enumerate() {
                    // The first step wrote again what it found.
                    let moment = if moment.before == state { moment.above(platter) } else { moment };
                    for (again, disk) in crashes(&moment.image) {
                        let what = || format!("{}, then operation {at_second}, {again}", what());
                        let state = found(&disk).unwrap_or_else(|error| panic!("{}: {error}", what()));
                        moment.check(&state, &what);
                        second += 1;
                    }
                }
            }
        }
    }
    println!("{first} crashes, and {second} behind them explored");
    assert!(first > 500 && second > 10 * first);
}

/// REPL-STATE: a write that is torn again and again never makes a generation of several.
#[test]
fn writes_that_are_torn_again_and_again_leave_the_state_that_counts() {
    let mut torn = 0;
    for seed in 0..200 {
        let mut disk = fresh();
        let mut state = fresh_state();
        for round in 1..12 {
            let step = Step::Applied(state.applied.position.0 + round * 8);
            let moments = moments(&disk, std::slice::from_ref(&step), |_| false);
            let moment = &moments[moments.len() - 2];
            disk = moment.image.crash(Crash::Sectors, seed * 100 + round);
            let after = found(&disk).unwrap_or_else(|error| panic!("seed {seed}, round {round}: {error}"));
            moment.check(&after, &|| format!("seed {seed}, round {round}"));
            torn += usize::from(after == moment.before);
            state = after;
        }
    }
    println!("{torn} writes torn");
    assert!(torn > 1000);
}

/// D-FSYNC, F-D2: the first failure ends the store; what was answered before is kept, and the next process goes on.
#[test]
fn every_failed_call_poisons_the_store_and_loses_nothing() {
    let operations = {
        let disk = fresh();
        let begun = disk.operations();
        moments(&disk, &script(), |_| false);
        begun..disk.operations()
    };
    let mut failures = 0;
    for number in operations {
        for fault in Fault::ALL {
            let disk = fresh();
            disk.fail_operation(number, fault);
            let mut store = open(&disk).unwrap();
            let steps = script();
            let failed = steps.iter().position(|step| match step.take(&mut store) {
                Ok(()) => false,
                Err(error) => {
                    assert!(error.reason().name().starts_with("disk."), "{error}");
                    true
                }
            });
            let what = || format!("operation {number}, {fault:?}");
            let failed = failed.unwrap_or_else(|| panic!("{}: nothing failed", what()));
            failures += 1;
            let before = store.state().clone();
            let after = steps[failed].of(&before);
            let named = before.halt.clone().unwrap_or_else(|| halt(Reason::HistoryAhead, 1));
            assert_eq!(reason_of(store.halt(named.clone())), Some(Reason::ReplicationStopped), "{}", what());
            assert_eq!(reason_of(store.clear(named.reason, named.position)), Some(Reason::ReplicationStopped));
            assert_eq!(reason_of(store.record_applied(at(1 << 20))), Some(Reason::ReplicationStopped));
            assert_eq!(reason_of(store.record_applied(before.applied)), Some(Reason::ReplicationStopped));
            drop(store);
            let moment = Moment { image: disk.image(), below: None, before, after, answered: false };
            for (how, disk) in crashes(&moment.image) {
                let what = || format!("{}, {how}", what());
                let state = found(&disk).unwrap_or_else(|error| panic!("{}: {error}", what()));
                moment.check(&state, &what);
                let platter = moment.platter(&how);
                for (index, moment) in moments(&disk, &[Step::Applied(1 << 20)], |_| false).into_iter().enumerate() {
                    let moment = moment.above(platter);
                    for (again, disk) in crashes(&moment.image) {
                        let what = || format!("{}, then operation {index}, {again}", what());
                        let state = found(&disk).unwrap_or_else(|error| panic!("{}: {error}", what()));
                        moment.check(&state, &what);
                    }
                }
            }
        }
    }
    println!("{failures} failures explored");
    assert!(failures > 50);
}

/// F-D2: making the state fails as the call that failed; opening it fails at every read, and changes nothing.
#[test]
fn a_state_that_can_not_be_made_or_read_is_told() {
    let made = fresh().operations();
    for number in 1..made {
        let disk = SimDisk::new();
        disk.create_dir(Path::new(DIR)).unwrap();
        disk.fail_operation(number, Fault::Eio);
        let created = StateStore::create(&disk, Path::new(DIR), &fresh_state());
        let synced = created.and_then(|()| disk.sync_dir(Path::new(DIR))).and_then(|()| disk.sync_dir(Path::new("/")));
        assert!(synced.is_err(), "operation {number}");
    }
    let disk = fresh();
    let before = disk.reads();
    open(&disk).unwrap();
    let reads = disk.reads() - before;
    assert!(reads >= 4);
    for number in 0..reads {
        disk.fail_read(disk.reads() + number, Fault::Eio);
        assert_eq!(reason_of(open(&disk)), Some(Reason::DiskReadFailed), "read {number}");
    }
    assert_eq!(found(&disk), Ok(fresh_state()));
}

/// D-CORRUPT, F-RC2: a bit that turned changes no answer, or is refused by name; never is the state before it taken for the newest.
#[test]
fn every_flipped_bit_changes_nothing_or_is_refused() {
    let disk = fresh();
    let mut store = open(&disk).unwrap();
    let mut situations = vec![(disk.image(), 0)];
    for (index, step) in script().into_iter().enumerate() {
        step.take(&mut store).unwrap();
        if [1, 2, 5].contains(&index) {
            situations.push((disk.image(), 0));
        }
    }
    // A write that was torn in the middle: what it left does not count, and does not matter unless the rest of it is gone.
    let images = moments(&fresh(), &script()[..2], |_| false);
    situations.push((images[images.len() - 2].image.crash(Crash::Sectors, 3).image(), 1));
    for (situation, (image, torn)) in situations.into_iter().enumerate() {
        let disk = image.restart();
        let sound = found(&disk).unwrap();
        let (mut same, mut refused) = ([0, 0], [0, 0]);
        for number in [0, 1] {
            let bytes = contents(&disk, number);
            for bit in 0..bytes.len() * 8 {
                let mut flipped = bytes.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                disk.overwrite(&file(number), flipped);
                match ReplicaState::read(&disk, Path::new(DIR), DATABASE, NODE) {
                    Ok(state) => {
                        assert_eq!(state, sound, "situation {situation}, bit {bit} of file {number}");
                        same[number] += 1;
                    }
                    Err(error) => {
                        assert_eq!(error.reason(), Reason::ReplicaStateCorrupt, "bit {bit} of file {number}");
                        refused[number] += 1;
                    }
                }
            }
            disk.overwrite(&file(number), bytes);
        }
        println!("situation {situation}: same {same:?}, refused {refused:?}");
        if torn == 0 {
            assert!(same.contains(&(8 * 4096)) && refused.contains(&(8 * 4096)), "one of the two is the newest");
        }
        assert_eq!(found(&disk), Ok(sound));
    }
}

/// F-RC2, D-CORRUPT: files that are gone, cut, swapped, or of another moment, database, node or version.
#[test]
fn files_that_are_not_those_that_were_written_are_refused() {
    let disk = fresh();
    let old = [contents(&disk, 0), contents(&disk, 1)];
    let mut store = open(&disk).unwrap();
    script().iter().for_each(|step| step.take(&mut store).unwrap());
    let sound = found(&disk);
    let now = [contents(&disk, 0), contents(&disk, 1)];
    let put = |files: [Option<&[u8]>; 2]| {
        for (number, bytes) in files.into_iter().enumerate() {
            match bytes {
                Some(bytes) => disk.overwrite(&file(number), bytes),
                None => disk.remove_now(&file(number)),
            }
        }
        reason_of(found(&disk))
    };
    let [even, odd] = [Some(now[0].as_slice()), Some(now[1].as_slice())];
    let corrupt = Some(Reason::ReplicaStateCorrupt);
    assert_eq!(put([None, odd]), corrupt);
    assert_eq!(put([even, None]), corrupt);
    assert_eq!(put([None, None]), corrupt);
    assert_eq!(put([odd, even]), corrupt, "swapped");
    assert_eq!(put([even, even]), corrupt, "twice the same");
    assert_eq!(put([Some(&old[0]), odd]), corrupt, "one file of an earlier moment");
    assert_eq!(put([even, Some(&old[1])]), corrupt, "the other");
    for len in [0, 1, 511, 512, 4095, 4097, 1 << 20] {
        let mut other = now[0].clone();
        other.resize(len, 0);
        assert_eq!(put([Some(&other), odd]), corrupt, "{len} bytes");
    }
    assert_eq!(put([Some(&[0; 4096]), odd]), corrupt);
    assert_eq!(put([Some(&[0; 4096]), Some(&[0; 4096])]), corrupt);
    let mut version = now[0].clone();
    version[8] = 2;
    let crc = crc32c::crc32c(&version[..SECTOR - 4]);
    version[SECTOR - 4..SECTOR].copy_from_slice(&crc.to_le_bytes());
    assert_eq!(put([Some(&version), odd]), Some(Reason::IdentityVersion));
    assert_eq!(put([even, odd]), None);
    assert_eq!(found(&disk), sound);

    let other = |database, node| reason_of(StateStore::open(&disk, Path::new(DIR), database, node));
    assert_eq!(other(Id([9; 16]), NODE), Some(Reason::IdentityOtherDatabase));
    assert_eq!(other(DATABASE, Id([9; 16])), Some(Reason::IdentityOtherNode));
}

/// REPL-HALT: what was answered stands in both files, so even a disk that forgets what it had made durable, which nobody can tell from a
/// torn write, loses no halt.
#[test]
fn a_halt_that_was_recorded_stands_in_both_files() {
    let first = halt(Reason::SegmentRejected, 32);
    let forget = |disk: &SimDisk, earlier: &[Vec<u8>; 2]| {
        [0, 1].map(|number| {
            let disk = disk.image().restart();
            let mut bytes = contents(&disk, number);
            bytes[..SECTOR].copy_from_slice(&earlier[number][..SECTOR]);
            disk.overwrite(&file(number), bytes);
            found(&disk).unwrap().halt
        })
    };
    // A halt that a crash left in one file alone is completed by the next that halts, and by whatever is written.
    let images = moments(&fresh(), &[Step::Halt(first.clone())], |_| false);
    let one_file = images.iter().find(|moment| found(&moment.image.restart()).unwrap().halt.is_some()).unwrap();
    for step in [Step::Halt(halt(Reason::HistoryAhead, 8)), Step::Halt(first.clone()), Step::Applied(8)] {
        let disk = one_file.image.crash(Crash::Kept, 0);
        let earlier = [contents(&disk, 0), contents(&disk, 1)];
        step.take(&mut open(&disk).unwrap()).unwrap();
        assert!(contents(&disk, 0) != earlier[0] || contents(&disk, 1) != earlier[1], "{step:?}: nothing was written");
        let fresh = fresh();
        let created = [contents(&fresh, 0), contents(&fresh, 1)];
        assert!(forget(&disk, &created).iter().all(|found| found.as_ref() == Some(&first)), "{step:?}");
        // Once it stands in both, no further one is written.
        let operations = disk.operations();
        let mut store = open(&disk).unwrap();
        let written = store.halt(halt(Reason::HistoryAhead, 8));
        assert_eq!((written, disk.operations()), (Ok(false), operations));
    }
    let disk = fresh();
    let earlier = [contents(&disk, 0), contents(&disk, 1)];
    let mut store = open(&disk).unwrap();
    store.halt(first.clone()).unwrap();
    assert!(forget(&disk, &earlier).iter().all(|found| found.as_ref() == Some(&first)));
    let earlier = [contents(&disk, 0), contents(&disk, 1)];
    store.clear(first.reason, first.position).unwrap();
    assert!(forget(&disk, &earlier).iter().all(Option::is_none), "nor does one that was cleared come back");
}

fn replica() -> SimDisk {
    let disk = SimDisk::new();
    Node::init(&Init { role: Role::Replica, ..init_options(&disk, tiny()) }).unwrap();
    disk
}

fn files(disk: &SimDisk) -> BTreeMap<PathBuf, Vec<u8>> {
    disk.paths().into_iter().map(|path| (path.clone(), disk.contents(&path).unwrap())).collect()
}

fn prove(disk: &SimDisk) -> Result<Vec<String>> {
    verify(&VerifyOptions { dir: DIR.into(), disk: shared(disk) }, &mut |_, _| {}).map(|proof| proof.leftovers)
}

/// REPL-STATE: `init` makes the state of a replica, and of nobody else; no end of `init` leaves a replica without it.
#[test]
fn a_new_replica_has_a_state_after_every_crash_of_init() {
    let disk = replica();
    let genesis = aerodb::record::genesis(DATABASE, 1);
    assert_eq!(found(&disk), Ok(ReplicaState { applied: genesis, ..fresh_state() }));
    assert_eq!(prove(&disk), Ok(Vec::new()), "nothing of it is left over");
    let complete = files(&disk);
    for role in [Role::Standalone, Role::Primary] {
        let disk = SimDisk::new();
        Node::init(&Init { role, ..init_options(&disk, tiny()) }).unwrap();
        assert!(files(&disk).keys().all(|path| !path.starts_with(Path::new(DIR).join("replica"))));
    }
    let disk = SimDisk::new();
    disk.record_images(true);
    let init = |disk: &SimDisk| Node::init(&Init { role: Role::Replica, ..init_options(disk, tiny()) });
    init(&disk).unwrap();
    for (number, image) in disk.take_images().iter().enumerate() {
        for (how, disk) in crashes(image) {
            let what = || format!("operation {number}, {how}");
            if let Err(error) = init(&disk) {
                assert_eq!(error.reason(), Reason::DirNotEmpty, "{}", what());
            }
            drop(Node::open(&options(&disk)).unwrap_or_else(|error| panic!("{}: {error}", what())));
            let disk = disk.image().crash(Crash::Dropped, 0);
            drop(Node::open(&options(&disk)).unwrap_or_else(|error| panic!("{}: {error}", what())));
            assert_eq!(files(&disk), complete, "{}", what());
        }
    }
}

/// F-RC2: where the state does not verify, nothing of the replica opens, and nothing of it is changed.
#[test]
fn a_replica_whose_state_does_not_verify_stays_closed() {
    let disk = replica();
    let before = files(&disk);
    assert!(Node::open(&options(&disk)).is_ok());
    for number in [0, 1] {
        disk.remove_now(&file(number));
        let damaged = files(&disk);
        let refused = [
            Node::open(&options(&disk)).err(),
            prove(&disk).err(),
            backup::backup(&options(&disk), Path::new("/out"), &mut |_, _| {}).err(),
        ];
        for error in refused {
            let error = error.expect("it stays closed");
            assert_eq!(error.reason(), Reason::ReplicaStateCorrupt);
            assert_eq!(error.fact("file"), Some(file(number).to_str().unwrap()));
        }
        assert_eq!(files(&disk), damaged);
        disk.overwrite(&file(number), &before[&file(number)]);
    }
    assert!(Node::open(&options(&disk)).is_ok());
}

/// REPL-STATE: the log that a replica had applied is gone, or is another.
#[test]
fn a_replica_whose_log_ends_before_what_was_applied_stays_closed() {
    let genesis = aerodb::record::genesis(DATABASE, 1);
    let disk = replica();
    for applied in [LogPoint { position: Position(8), ..genesis }, LogPoint { history: History(1), ..genesis }] {
        StateStore::create(&disk, Path::new(DIR), &ReplicaState { applied, ..fresh_state() }).unwrap();
        let lost = Err(Error::new(Reason::ReplicaLogLost));
        assert_eq!(Node::open(&options(&disk)).map(|_| ()), lost);
        assert_eq!(prove(&disk).map(|_| ()), lost);
    }
    assert_eq!(open(&disk).map(|store| store.state().applied.history), Ok(History(1)), "what is known is still told");
}

/// FMT-BACKUP: what a replica knows of itself is its own; who is made of its backup begins anew, unhalted.
#[test]
fn a_backup_holds_no_state_and_a_restored_replica_has_one_of_its_own() {
    let disk = replica();
    open(&disk).unwrap().halt(halt(Reason::HistoryDiverged, 0)).unwrap();
    let taken = backup::backup(&options(&disk), Path::new("/backup"), &mut |_, _| {}).unwrap();
    assert!(disk.paths().iter().all(|path| !path.starts_with("/backup/replica")));
    let restored = backup::restore(shared(&disk), Path::new("/backup"), Path::new("/new"), &mut |_, _| {}).unwrap();
    let state = ReplicaState::read(&disk, Path::new("/new"), DATABASE, restored.identity.node_id);
    let expected = ReplicaState {
        node_id: restored.identity.node_id,
        applied: taken.cut,
        origin: Origin::Backup(taken.cut),
        ..fresh_state()
    };
    assert_eq!(state, Ok(expected));
    let proof = verify(&VerifyOptions { dir: "/new".into(), disk: shared(&disk) }, &mut |_, _| {}).unwrap();
    assert!(proof.leftovers.is_empty(), "{:?}", proof.leftovers);
}
