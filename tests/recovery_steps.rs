//! Recovery as a machine with evidence (RC-STEPS, P5-I11, F-RC1, F-RC2, P5-I14): the same bytes give the same steps with the same evidence, a crash
//! in any of them changes neither what is there in the end nor that, and a directory that does not open says how far it came.

mod world;

use aerodb::committer::Order;
use aerodb::disk::{Crash, SimDisk, SimImage};
use aerodb::recovery::machine::State;
use aerodb::recovery::{Examined, Step, examine};
use aerodb::{LogPoint, Node, Options, Reason};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};
use world::{DIR, Rows, batch, init_options, options, rows_at, tiny};

/// Images of a writer that dies at every call of a few groups, one of them larger than the tables that may wait.
fn scenes() -> Vec<SimImage> {
    let disk = SimDisk::new();
    Node::init(&init_options(&disk, tiny())).unwrap();
    let mut node = Node::open(&options(&disk)).unwrap();
    disk.record_images(true);
    for (number, group) in [2u64, 9, 1].into_iter().enumerate() {
        let write = |key: u64| batch(&vec![(vec![key as u8], Some(vec![number as u8; 300 + 90 * key as usize]))]);
        let orders: Vec<Order> = (0..group).map(|key| Order::Commit(write(key))).collect();
        assert!(node.group(&orders).unwrap().iter().all(Result::is_ok));
        let _ = node.step().unwrap();
    }
    disk.take_images()
}

/// What a recovery led to, and its evidence.
#[derive(Debug, PartialEq)]
struct Outcome {
    durable: LogPoint,
    rows: Rows,
    steps: Vec<Step>,
}

fn recovered(disk: &SimDisk) -> Outcome {
    let node = Node::open(&options(disk)).unwrap_or_else(|error| panic!("{error}\n{}", world::listing(disk)));
    let rows = rows_at(&node, node.store().commit()).unwrap();
    Outcome { durable: node.durable(), rows, steps: node.report().steps.clone() }
}

fn dropped(steps: &[Step]) -> u64 {
    let bytes = steps.iter().flat_map(|step| &step.dropped).filter(|(name, _)| name.ends_with("_bytes"));
    bytes.map(|(_, value)| value.parse::<u64>().unwrap()).sum()
}

/// What is known of a log before it is opened, and what opening it proved.
fn foreseen(steps: &[Step]) -> Vec<Option<String>> {
    let log = steps.iter().find(|step| step.step == State::Log).unwrap();
    let of = |facts: &[(&str, String)], wanted: &str| {
        facts.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value.clone())
    };
    let either = |name| of(&log.found, name).or_else(|| of(&log.dropped, name));
    vec![of(&log.found, "marked"), of(&log.proven, "end"), either("torn_bytes"), either("unfinished_roll")]
}

/// RC-STEPS, P5-I11: evidence is a function of the bytes, looking changes none, and a second recovery finds nothing to drop.
#[test]
fn the_same_bytes_give_the_same_steps_with_the_same_evidence() {
    let (mut kinds, mut torn) = (BTreeSet::new(), 0);
    for (number, image) in scenes().iter().enumerate() {
        for variant in Crash::ALL {
            let image = image.crash(variant, number as u64).image();
            let looked_at = image.restart();
            let operations = looked_at.operations();
            let Examined { steps: seen, refused, .. } = examine(&options(&looked_at));
            assert_eq!((refused, looked_at.operations()), (None, operations), "image {number}, {variant:?}");
            let (disk, other) = (image.restart(), image.restart());
            let (first, second) = (recovered(&disk), recovered(&other));
            assert_eq!(first, second, "image {number}, {variant:?}");
            assert_eq!(foreseen(&seen), foreseen(&first.steps), "image {number}, {variant:?}");
            let again = recovered(&disk);
            assert_eq!((again.durable, &again.rows), (first.durable, &first.rows), "image {number}, {variant:?}");
            assert_eq!(dropped(&again.steps), 0, "image {number}, {variant:?}: {:?}", again.steps);
            torn += u64::from(dropped(&first.steps) > 0);
            kinds.insert(first.steps.iter().map(ToString::to_string).collect::<Vec<_>>());
        }
    }
    println!("{} different recoveries, {torn} of torn tails", kinds.len());
    assert!(kinds.len() > 20 && torn > 5, "{} kinds, {torn} torn", kinds.len());
}

/// RC-STEPS, F-RC1: a crash at every call of a recovery, in every variant; the next one ends in the same state, with evidence of what it found.
#[test]
fn a_crash_in_any_step_changes_neither_the_end_nor_whose_evidence_is_kept() {
    let mut crashes = 0;
    for (number, image) in scenes().iter().enumerate().step_by(3) {
        let image = image.crash(Crash::ALL[number % Crash::ALL.len()], number as u64).image();
        let disk = image.restart();
        disk.record_images(true);
        let calm = recovered(&disk);
        for (call, cut) in disk.take_images().iter().enumerate() {
            for variant in Crash::ALL {
                let cut = cut.crash(variant, call as u64).image();
                let (first, second) = (recovered(&cut.restart()), recovered(&cut.restart()));
                let what = format!("image {number}, crash at call {call} of its recovery, {variant:?}");
                assert_eq!(first, second, "{what}");
                assert_eq!((first.durable, first.rows), (calm.durable, calm.rows.clone()), "{what}");
                crashes += 1;
            }
        }
    }
    println!("{crashes} crashes of recoveries");
    assert!(crashes > 100, "{crashes}");
}

fn flip(disk: &SimDisk, path: &str) {
    let path = Path::new(DIR).join(path);
    let bytes: Vec<u8> = disk.contents(&path).unwrap().iter().map(|byte| !byte).collect();
    disk.overwrite(&path, bytes);
}

/// A writer with a run.
fn with_a_run() -> SimDisk {
    let (disk, mut node) = world::new_node();
    node.commit(batch(&vec![(b"key".to_vec(), Some(b"value".to_vec()))])).unwrap();
    node.checkpoint(aerodb::record::Purpose::Checkpoint).unwrap();
    node.close().unwrap();
    disk
}

/// The states that are shown while a directory is opened, and whether it opens.
fn watched(disk: &SimDisk) -> (Vec<State>, Option<Reason>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let shown = Arc::clone(&seen);
    let watch = move |progress: &aerodb::recovery::Progress| {
        let mut seen = shown.lock().unwrap();
        if seen.last() != Some(&progress.recovery.state) {
            seen.push(progress.recovery.state);
        }
    };
    let options = Options { watch: Some(Arc::new(watch)), ..options(disk) };
    let refused = Node::open(&options).err().map(|error| error.reason());
    (seen.lock().unwrap().clone(), refused)
}

/// RC-STEPS: what a directory that does not open is known to hold, up to the step that refuses; who looks has the lock, and changes nothing.
fn check_refusal(disk: &SimDisk, step: State, reason: Reason, steps: usize) -> Vec<Step> {
    let operations = disk.operations();
    let examined = examine(&options(disk));
    assert_eq!(examined.refused.as_ref().map(aerodb::Error::reason), Some(reason));
    assert_eq!((examined.steps.len(), examined.steps.last().map(|step| step.step)), (steps, Some(step)), "{reason}");
    assert_eq!(disk.operations(), operations, "looking changes nothing");
    let locked = examine(&options(disk)).refused.map(|error| error.reason());
    assert_eq!(locked, Some(if step == State::Locking { reason } else { Reason::DirLocked }));
    let evidence = examined.steps.clone();
    drop(examined);
    let (seen, refused) = watched(disk);
    assert_eq!((refused, seen.last()), (Some(reason), Some(&State::Refused)));
    assert_eq!(seen.iter().rev().nth(1), Some(&step), "{seen:?}");
    evidence
}

/// RC-STEPS, P5-I14
#[test]
fn what_does_not_open_says_how_far_it_came() {
    check_refusal(&SimDisk::new(), State::Locking, Reason::DirNotFound, 1);
    let refused = |path, step, reason, steps| {
        let disk = with_a_run();
        flip(&disk, path);
        check_refusal(&disk, step, reason, steps)
    };
    refused("IDENTITY", State::Identity, Reason::IdentityCorrupt, 2);
    refused("store/MANIFEST", State::Checkpoint, Reason::StoreManifestCorrupt, 4);
    refused("wal/MARK", State::Log, Reason::WalMarkCorrupt, 7);
    let evidence = refused("wal/00000000000000000000.seg", State::Log, Reason::WalSegmentCorrupt, 7);
    assert!(evidence[6].to_string().starts_with("found marked=position"), "{}", evidence[6]);
    assert!(evidence[1].to_string().starts_with("found role=standalone, database="), "{}", evidence[1]);
    let disk = with_a_run();
    let run = disk.paths().into_iter().find(|path| path.extension().is_some_and(|extension| extension == "run"));
    disk.remove_now(&run.unwrap());
    check_refusal(&disk, State::Runs, Reason::StoreRunMissing, 5);

    let (seen, refused) = watched(&with_a_run());
    let replica = [State::ReplicaState, State::Install, State::Refused];
    let steps: Vec<State> = State::ALL.iter().filter(|state| !replica.contains(state)).copied().collect();
    assert_eq!((seen, refused), (steps, None));
}

/// F-RC2: of a replica whose metadata are corrupt data stay closed, and what was found is told.
#[cfg(feature = "replication")]
#[test]
fn corrupt_metadata_of_a_replica_close_its_data_and_not_its_explanation() {
    use aerodb::replica_state::{Origin, ReplicaState, StateStore};
    use aerodb::{Init, Role};
    let replica = || {
        let disk = SimDisk::new();
        let identity = Node::init(&Init { role: Role::Replica, ..init_options(&disk, tiny()) }).unwrap();
        (disk, identity)
    };
    let (disk, _) = replica();
    assert_eq!(examine(&options(&disk)).refused, None);
    flip(&disk, "replica/STATE.0");
    flip(&disk, "replica/STATE.1");
    let evidence = check_refusal(&disk, State::ReplicaState, Reason::ReplicaStateCorrupt, 3);
    assert!(evidence[1].found.contains(&("role", "replica".to_owned())), "{evidence:?}");
    let (disk, identity) = replica();
    let genesis = aerodb::record::genesis(identity.database_id, identity.epoch);
    let nothing = ReplicaState::new(identity.database_id, identity.node_id, genesis, Origin::Nothing);
    StateStore::create(&disk, Path::new(DIR), &nothing).unwrap();
    let evidence = check_refusal(&disk, State::Install, Reason::BootstrapIncomplete, 4);
    assert_eq!(evidence[3].found, [("origin", "nothing".to_owned())]);
}
