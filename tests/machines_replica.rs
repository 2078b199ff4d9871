//! The state machines of a replica: their tables are those of `docs/machines.md`, and the real components take every edge of them and no
//! other (P5-I3, P5-I14).
//!
//! Every transition is a line of the log, with the state before and its cause; the test reads them there.
//!
//! `AERODB_BLESS=1 cargo test --test machines_replica` rewrites the tables.

#![cfg(feature = "replication")]

mod world;

use aerodb::applier::{ReplicaApplier, Step, machine as applier_machine};
use aerodb::begin;
use aerodb::bootstrap::{Bootstrap, install, machine as bootstrap_machine};
use aerodb::chunk::{Chunk, Proven, Validated};
use aerodb::committer::Order;
use aerodb::disk::{Disk, Fault, SimDisk, SimImage};
use aerodb::frame::{Frame, Shape, VERSION, Welcome};
use aerodb::receiver::{End, Origin, Progress, Received, Receiver, machine as receiver_machine};
use aerodb::record::{self, Kind, Purpose};
use aerodb::recovery::machine as recovery_machine;
use aerodb::replica_state::{Halt, Origin as Began, ReplicaState, StateStore};
use aerodb::store::manifest::Manifest;
use aerodb::store::{Applier, Store, StoreOptions};
use aerodb::supervisor::told::Told;
use aerodb::supervisor::{Action, Course, Facts, Reconnect, Supervisor, machine as replica_machine};
use aerodb::validator::{Validator, machine as validator_machine};
use aerodb::wal::{self, FollowedLog, LogOptions};
use aerodb::{Batch, Error, Id, Identity, Init, LogPoint, Node, Parameters, Position, Reason, Role, recovery};
use log::kv::Key;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use world::offered::{self, Primary, Said};
use world::{DIR, shared};

/// A component, the state before, the cause, the state after.
type Edge = (String, String, String, String);

/// Keeps the edges that are logged.
struct Edges(Mutex<BTreeSet<Edge>>);

static EDGES: Edges = Edges(Mutex::new(BTreeSet::new()));

impl log::Log for Edges {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }
    fn log(&self, record: &log::Record<'_>) {
        let word = |name| record.key_values().get(Key::from_str(name)).map(|value| value.to_string());
        if let (Some(previous), Some(cause), Some(state)) = (word("previous"), word("cause"), word("state")) {
            self.0.lock().unwrap().insert((record.target().to_owned(), previous, cause, state));
        }
    }
    fn flush(&self) {}
}

fn table<S: Copy, E: Copy>(
    (states, state_name): (&[S], impl Fn(S) -> &'static str),
    (events, event_name): (&[E], impl Fn(E) -> &'static str),
    next: impl Fn(S, E) -> Option<S>,
) -> String {
    let heads: Vec<_> = events.iter().map(|event| event_name(*event)).collect();
    let mut lines = format!("| State | {} |\n|{}\n", heads.join(" | "), "---|".repeat(events.len() + 1));
    for state in states {
        let cells = events.iter().map(|event| next(*state, *event).map_or("–", &state_name));
        lines += &format!("| **{}** | {} |\n", state_name(*state), cells.collect::<Vec<_>>().join(" | "));
    }
    lines
}

fn edges<S: Copy, E: Copy>(
    component: &str,
    (states, state_name): (&[S], impl Fn(S) -> &'static str),
    (events, event_name): (&[E], impl Fn(E) -> &'static str),
    next: impl Fn(S, E) -> Option<S>,
) -> BTreeSet<Edge> {
    let all = states.iter().flat_map(|state| events.iter().map(move |event| (*state, *event)));
    all.filter_map(|(state, event)| {
        let words = (state_name(state), event_name(event), state_name(next(state, event)?));
        Some((component.to_owned(), words.0.to_owned(), words.1.to_owned(), words.2.to_owned()))
    })
    .collect()
}

/// What a macro would be for: each machine's words and edges, given to this.
macro_rules! machine {
    ($then:ident $(, $component:literal)?; $machine:ident) => {
        $then(
            $($component,)?
            ($machine::State::ALL, $machine::State::name),
            ($machine::Event::ALL, $machine::Event::name),
            $machine::next,
        )
    };
}

/// P5-I3
#[test]
fn the_tables_of_the_documents_are_those_of_the_replicas_machines() {
    let tables = [
        ("receiver", machine!(table; receiver_machine)),
        ("validator", machine!(table; validator_machine)),
        ("applier", machine!(table; applier_machine)),
        ("bootstrap", machine!(table; bootstrap_machine)),
        ("replica", machine!(table; replica_machine)),
        ("recovery", machine!(table; recovery_machine)),
    ];
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/machines.md");
    let shown = std::fs::read_to_string(&path).unwrap();
    let mut wanted = shown.clone();
    for (name, table) in tables {
        let begin = format!("<!-- table: {name} -->\n");
        let (before, rest) = wanted.split_once(&begin).unwrap();
        let (_, after) = rest.split_once("<!-- end of table -->").unwrap();
        wanted = format!("{before}{begin}{table}<!-- end of table -->{after}");
    }
    if std::env::var_os("AERODB_BLESS").is_some() {
        std::fs::write(&path, &wanted).unwrap();
        return;
    }
    assert!(shown == wanted, "docs/machines.md should be (AERODB_BLESS=1 writes it):\n{wanted}");
}

const PARAMETERS: Parameters = Parameters { segment_bytes: 4096, table_bytes: 1 << 20, block_bytes: 512, fanout: 2 };

/// A replica's directory on a disk of its own.
struct Parts {
    sim: SimDisk,
    disk: Arc<dyn Disk>,
    identity: Identity,
}

fn parts() -> Parts {
    let sim = SimDisk::new();
    let disk = shared(&sim);
    let dir = Path::new(DIR);
    let init = Init {
        disk: Arc::clone(&disk),
        role: Role::Replica,
        parameters: PARAMETERS,
        database_id: Some(Id([5; 16])),
        ..Init::standalone(dir)
    };
    let identity = Node::init(&init).unwrap();
    Parts { sim, disk, identity }
}

impl Parts {
    fn receiver(&self) -> Receiver {
        let log = LogOptions {
            disk: Arc::clone(&self.disk),
            directory: wal::directory(Path::new(DIR)),
            lineage: recovery::lineage(&self.identity),
            keeper: wal::Keeper::Follower,
            segment_bytes: PARAMETERS.segment_bytes,
            extend_bytes: 1024,
        };
        let start = record::genesis(self.identity.database_id, self.identity.epoch);
        let (log, _) = wal::open(log, start, &mut |_, _| Ok(())).unwrap();
        Receiver::new(FollowedLog::new(log), self.identity)
    }

    fn applier(&self) -> ReplicaApplier {
        let directory = Store::directory(&PathBuf::from(DIR));
        let database_id = self.identity.database_id;
        let manifest = Manifest::read(self.disk.as_ref(), &directory, database_id).unwrap();
        let (disk, parameters) = (Arc::clone(&self.disk), PARAMETERS);
        let options =
            StoreOptions { disk, directory, database_id, parameters, cache_bytes: 1 << 20, pinned_bytes_max: 1 << 30 };
        ReplicaApplier::new(Applier::new(&Store::open(options, &manifest, None).unwrap()))
    }

    fn supervisor(&self) -> Supervisor {
        let Identity { database_id, node_id, .. } = self.identity;
        let kept = StateStore::open(self.disk.as_ref(), Path::new(DIR), database_id, node_id).unwrap();
        supervised(kept, Reconnect::Never)
    }
}

/// The Supervisor of a replica that is recovered.
fn supervised(kept: StateStore, policy: Reconnect) -> Supervisor {
    let mut course = Supervisor::begin();
    course.recovering(None);
    Supervisor::new(course, kept, policy, 1 << 20).unwrap()
}

fn lost() -> End {
    End::Lost(Error::new(Reason::ReplicationDisconnected))
}

fn failed() -> End {
    End::Failed(Error::new(Reason::ReplicationGap))
}

fn start() -> LogPoint {
    record::genesis(Id([5; 16]), 1)
}

/// Brings a Receiver into a state, by the edges that lead there.
fn receiver_in(parts: &Parts, state: receiver_machine::State) -> Receiver {
    use receiver_machine::State::{Closed, Connecting, Disconnected, Failed, Handshaking, Idle, Streaming};
    let mut receiver = parts.receiver();
    if matches!(state, Connecting | Handshaking | Streaming | Disconnected) {
        receiver.connect();
    }
    if matches!(state, Handshaking | Streaming) {
        receiver.connected();
    }
    if state == Streaming {
        let point = start();
        let validated = Validated { point, seen: point.position, wanted: point.position };
        let progress = Progress { validated, applied: point.position, keep_from: point.position };
        receiver.turn(&progress).unwrap();
        let Identity { database_id, node_id, epoch, parameters, .. } = parts.identity;
        let (version, shape, oldest) = (VERSION, Shape::from(parameters), point.position);
        let mut bytes = Vec::new();
        Frame::Welcome(Welcome { version, database_id, node_id, epoch, shape, oldest, durable: point })
            .encode(&mut bytes);
        receiver.space()[..bytes.len()].copy_from_slice(&bytes);
        assert!(receiver.filled(bytes.len()).is_ok());
    }
    match state {
        Disconnected => receiver.ended(&lost()),
        Failed => receiver.ended(&failed()),
        Closed => receiver.close().unwrap(),
        Idle | Connecting | Handshaking | Streaming => {}
    }
    assert_eq!(receiver.state(), state);
    receiver
}

fn drive_receivers() {
    use receiver_machine::{Event, State, next};
    for state in State::ALL {
        for event in Event::ALL.iter().filter(|event| next(*state, **event).is_some()) {
            let mut receiver = receiver_in(&parts(), *state);
            match event {
                Event::Connect => receiver.connect(),
                Event::Connected => receiver.connected(),
                Event::Lost => receiver.ended(&lost()),
                Event::Failed => receiver.ended(&failed()),
                Event::Close => receiver.close().unwrap(),
                Event::Welcomed => drop(receiver_in(&parts(), State::Streaming)),
            }
        }
    }
}

/// Records, as chunks of one each.
fn records(payloads: &[(Kind, Vec<u8>)]) -> Vec<(Vec<u8>, LogPoint, LogPoint)> {
    let mut point = start();
    let record = |(kind, payload): &(Kind, Vec<u8>)| {
        let mut bytes = Vec::new();
        let before = point;
        point = record::encode(&mut bytes, *kind, payload, before);
        (bytes, before, point)
    };
    payloads.iter().map(record).collect()
}

fn drive_validators() {
    let (bytes, before, _) = records(&[(Kind::Cut, Purpose::Checkpoint.payload().to_vec())]).remove(0);
    let mut validator = Validator::new(before);
    validator
        .prove(Chunk { from: before.position, bytes: bytes.clone(), ends_segment: false }, &mut Vec::new())
        .unwrap();
    validator.close();
    let mut validator = Validator::new(before);
    let broken = bytes.iter().map(|byte| !byte).collect();
    let chunk = Chunk { from: before.position, bytes: broken, ends_segment: false };
    assert!(validator.prove(chunk, &mut Vec::new()).is_err());
    validator.close();
}

fn drive_appliers() {
    let cuts = records(&vec![(Kind::Cut, Purpose::Checkpoint.payload().to_vec()); 5]);
    let all = |applier: &mut ReplicaApplier| {
        let bytes: Vec<u8> = cuts.iter().flat_map(|(bytes, _, _)| bytes.clone()).collect();
        let whole = 0..bytes.len();
        applier.give(Proven::new(bytes, whole, cuts[0].1, cuts[4].2));
        assert_eq!(applier.step(), Ok(Step::Full));
        assert_eq!(applier.observed().load().state, applier_machine::State::Waiting);
    };
    // Room is made.
    let parts = parts();
    let mut applier = parts.applier();
    let directory = Store::directory(&PathBuf::from(DIR));
    let manifest = Manifest::read(parts.disk.as_ref(), &directory, parts.identity.database_id).unwrap();
    let mut maintenance = aerodb::maintenance::Maintenance::new(applier.store(), manifest);
    all(&mut applier);
    assert_eq!(applier.step(), Ok(Step::Full));
    loop {
        maintenance.step().unwrap();
        if applier.step() == Ok(Step::Done) {
            break;
        }
    }
    applier.close();
    // None will ever be made.
    let mut applier = self::parts().applier();
    all(&mut applier);
    applier.store().stop_writes(&Error::new(Reason::DiskWriteFailed));
    assert!(applier.step().is_err());
    applier.close();
    // A floor above the last commit: no writer makes one.
    let floor = records(&[(Kind::Floor, 9u64.to_le_bytes().to_vec())]).remove(0);
    let mut applier = self::parts().applier();
    let whole = 0..floor.0.len();
    applier.give(Proven::new(floor.0, whole, floor.1, floor.2));
    assert_eq!(applier.step().unwrap_err().reason(), Reason::WalCorrupt);
    applier.close();
}

fn give(bootstrap: &mut Bootstrap, bytes: &[u8]) {
    let mut rest = bytes;
    while !rest.is_empty() {
        let space = bootstrap.space();
        let count = space.len().min(rest.len());
        space[..count].copy_from_slice(&rest[..count]);
        bootstrap.filled(count).unwrap();
        rest = &rest[count..];
    }
}

/// Takes the edge of a bootstrap that an event names.
fn take_edge(bootstrap: &mut Bootstrap, primary: &Primary, event: bootstrap_machine::Event) {
    use aerodb::bootstrap::End::{Failed, Lost};
    use bootstrap_machine::Event;
    let said = |said: Said| said.encode();
    match event {
        Event::Connect => bootstrap.connect(),
        Event::Connected => bootstrap.connected().unwrap(),
        Event::Welcomed => give(bootstrap, &said(Said::Frame(Frame::Welcome(primary.welcome())))),
        Event::Manifest => give(bootstrap, &said(Said::Frame(Frame::Manifest(primary.offer())))),
        Event::Complete => {
            let mut from = 0;
            for end in &primary.ends {
                give(bootstrap, &said(offered::chunk(from, &primary.snapshot[from as usize..*end as usize])));
                from = *end;
            }
        }
        Event::Proven => bootstrap.prove(&mut |_| Ok(primary.cut())).unwrap(),
        Event::Installed => bootstrap.install().unwrap(),
        Event::Lost => bootstrap.ended(Lost(Error::new(Reason::ReplicationDisconnected))).unwrap(),
        Event::Failed => drop(bootstrap.ended(Failed(Error::new(Reason::SnapshotRejected))).unwrap_err()),
        Event::Close => bootstrap.close(),
    }
}

fn drive_bootstraps() {
    use bootstrap_machine::{Event, State};
    let primary = Primary::new(12, 6);
    let forward = [
        Event::Connect,
        Event::Connected,
        Event::Welcomed,
        Event::Manifest,
        Event::Complete,
        Event::Proven,
        Event::Installed,
    ];
    let (lost, failed) = ([Event::Connect, Event::Lost], [Event::Failed]);
    let ways = (0..=forward.len()).map(|steps| &forward[..steps]).chain([&lost[..], &failed[..]]);
    for way in ways {
        for event in Event::ALL.iter().copied() {
            let mut bootstrap = bootstrap_of(&primary);
            way.iter().for_each(|event| take_edge(&mut bootstrap, &primary, *event));
            if bootstrap_machine::next(bootstrap.state(), event).is_some() {
                take_edge(&mut bootstrap, &primary, event);
            }
        }
    }
    assert_eq!(bootstrap_machine::next(State::Closed, Event::Close), None);
}

/// A bootstrap of an empty directory.
fn bootstrap_of(primary: &Primary) -> Bootstrap {
    let sim = SimDisk::new();
    let (database_id, node_id) = offered::ids(primary);
    let identity = begin::make_empty(&world::init_options(&sim, world::tiny()), database_id, node_id).unwrap();
    let dir = PathBuf::from(DIR);
    Bootstrap::new(aerodb::bootstrap::Parts {
        disk: shared(&sim),
        kept: StateStore::open(&sim, &dir, database_id, identity.node_id).unwrap(),
        log: LogOptions {
            disk: shared(&sim),
            directory: wal::directory(&install::incoming(&dir)),
            lineage: recovery::lineage(&identity),
            keeper: wal::Keeper::Follower,
            segment_bytes: identity.parameters.segment_bytes,
            extend_bytes: 1024,
        },
        dir,
        identity,
        blank_seed: 7,
        ordered: false,
        window_bytes: aerodb::limits::SNAPSHOT_WINDOW_BYTES,
    })
}

/// The facts that make a replica show a state.
fn facts_of(state: replica_machine::State) -> Facts {
    use replica_machine::State::{ApplyingWal, Ready, ReceivingWal, ValidatingWal};
    let at = |reached: bool| LogPoint { position: Position(if reached { 100 } else { 0 }), ..start() };
    let durable = at(true);
    let origin = Origin { node_id: Id([1; 16]), target: durable, durable, oldest: Position(0) };
    let received = at(state != ReceivingWal).position;
    let point = at(matches!(state, ApplyingWal | Ready));
    assert!(matches!(state, ReceivingWal | ValidatingWal | ApplyingWal | Ready));
    Facts {
        receiver: receiver_machine::State::Streaming,
        received: Received { received, asked: received, origin: Some(origin), ..Received::default() },
        validated: Validated { point, seen: point.position, wanted: point.position },
        applied: at(state == Ready),
    }
}

fn drive_replicas() {
    use replica_machine::State::{ApplyingWal, Ready, ReceivingWal, Recovering, ValidatingWal};
    let shown = [ReceivingWal, ValidatingWal, ApplyingWal, Ready];
    // The Supervisor of a replica that shows this.
    let supervisor_in = |parts: &Parts, state| {
        let mut supervisor = parts.supervisor();
        if state != Recovering {
            assert_eq!(supervisor.look(&facts_of(state), None), []);
        }
        assert_eq!(supervisor.state(), state);
        supervisor
    };
    let (halting, failing) = (Error::new(Reason::HistoryDiverged), Error::new(Reason::DiskSyncFailed));
    for state in [Recovering, ReceivingWal, ValidatingWal, ApplyingWal, Ready] {
        for next in shown {
            let mut supervisor = supervisor_in(&parts(), state);
            supervisor.look(&facts_of(next), None);
            assert_eq!(supervisor.state(), next);
        }
        for (fault, action) in [(&halting, Action::Halt), (&failing, Action::Stop)] {
            let mut supervisor = supervisor_in(&parts(), state);
            let facts = facts_of(ReceivingWal);
            assert_eq!(supervisor.look(&facts, Some(fault)), [action]);
            assert_eq!(supervisor.look(&facts, Some(&failing)), [], "the first fault counts");
            supervisor.close(facts.applied).unwrap();
        }
        supervisor_in(&parts(), state).close(start()).unwrap();
    }
}

/// What a replica passes through before there is something to supervise.
fn drive_courses() {
    let failure = Error::new(Reason::DiskSyncFailed);
    let halt = Halt { reason: Reason::HistoryDiverged, position: Position(8), evidence: String::new() };
    let mut recovers = Course::begin();
    recovers.recovering(Some(&failure));
    let shown = recovers.observed().load();
    assert_eq!((shown.state, shown.cause), (replica_machine::State::Recovering, "recover"));
    assert_eq!(shown.blocked, Some(failure.to_string()), "what it recovers from is shown");
    Course::begin().failed(&failure);
    let bootstrapping = || {
        let mut course = Course::begin();
        course.bootstrapping();
        assert_eq!(course.state(), replica_machine::State::Bootstrapping);
        course
    };
    bootstrapping().recovering(None);
    bootstrapping().halted(&halt);
    bootstrapping().failed(&failure);
    bootstrapping().closed();
}

/// A new writer's disk.
fn writer() -> SimDisk {
    let disk = SimDisk::new();
    Node::init(&world::init_options(&disk, world::tiny())).unwrap();
    disk
}

fn flip(disk: &SimDisk, path: &str) {
    let path = Path::new(DIR).join(path);
    let bytes: Vec<u8> = disk.contents(&path).unwrap().iter().map(|byte| !byte).collect();
    disk.overwrite(&path, bytes);
}

/// Images of a writer that died in a group which fills more tables than may wait.
fn large_groups() -> Vec<SimImage> {
    let disk = writer();
    let mut node = Node::open(&world::options(&disk)).unwrap();
    let order = |key: u64| Order::Commit(world::batch(&vec![(key.to_be_bytes().to_vec(), Some(vec![7; 900]))]));
    disk.record_images(true);
    node.group(&(0..12).map(order).collect::<Vec<_>>()).unwrap();
    disk.take_images()
}

fn drive_recoveries() {
    let open = |disk: &SimDisk| Node::open(&world::options(disk)).map(drop);
    open(&writer()).unwrap();
    open(&parts().sim).unwrap();
    assert_eq!(open(&SimDisk::new()).unwrap_err().reason(), Reason::DirNotFound);
    for file in ["IDENTITY", "store/MANIFEST", "wal/MARK"] {
        let disk = writer();
        flip(&disk, file);
        open(&disk).unwrap_err();
    }
    let parts = parts();
    flip(&parts.sim, "replica/STATE.0");
    flip(&parts.sim, "replica/STATE.1");
    assert_eq!(open(&parts.sim).unwrap_err().reason(), Reason::ReplicaStateCorrupt);
    let Parts { sim, identity, .. } = self::parts();
    let nothing = ReplicaState::new(identity.database_id, identity.node_id, start(), Began::Nothing);
    StateStore::create(&sim, Path::new(DIR), &nothing).unwrap();
    assert_eq!(open(&sim).unwrap_err().reason(), Reason::BootstrapIncomplete);

    let disk = writer();
    let mut node = Node::open(&world::options(&disk)).unwrap();
    node.commit(world::batch(&vec![(b"key".to_vec(), Some(b"value".to_vec()))])).unwrap();
    node.checkpoint(Purpose::Checkpoint).unwrap();
    node.close().unwrap();
    let run = disk.paths().into_iter().find(|path| path.extension().is_some_and(|extension| extension == "run"));
    disk.remove_now(&run.unwrap());
    assert_eq!(open(&disk).unwrap_err().reason(), Reason::StoreRunMissing);

    // Every call of a recovery that removes a leftover fails, and every call of one that makes room once its log is durable.
    let littered = writer();
    littered.create(&Path::new(DIR).join("store/x.tmp")).unwrap();
    for image in std::iter::once(littered.image()).chain(large_groups()) {
        let calm = image.restart();
        open(&calm).unwrap();
        for number in 0..calm.operations() {
            let disk = image.restart();
            disk.fail_operation(number, Fault::Eio);
            let _ = open(&disk);
        }
    }
}

/// P5-I1, P5-I3, P5-I14, RC-STEPS
#[test]
fn real_components_of_a_replica_take_every_edge_and_no_other() {
    log::set_logger(&EDGES).unwrap();
    log::set_max_level(log::LevelFilter::Trace);
    drive_receivers();
    drive_validators();
    drive_appliers();
    drive_bootstraps();
    drive_replicas();
    drive_courses();
    drive_recoveries();
    let wanted: BTreeSet<Edge> = [
        machine!(edges, "receiver"; receiver_machine),
        machine!(edges, "validator"; validator_machine),
        machine!(edges, "applier"; applier_machine),
        machine!(edges, "bootstrap"; bootstrap_machine),
        machine!(edges, "replica"; replica_machine),
        machine!(edges, "recovery"; recovery_machine),
    ]
    .into_iter()
    .flatten()
    .collect();
    let components = ["receiver", "validator", "applier", "bootstrap", "replica", "recovery"];
    let seen = EDGES.0.lock().unwrap();
    let seen: BTreeSet<Edge> =
        seen.iter().filter(|(component, ..)| components.contains(&component.as_str())).cloned().collect();
    let missing: Vec<_> = wanted.difference(&seen).collect();
    let other: Vec<_> = seen.difference(&wanted).collect();
    assert!(missing.is_empty() && other.is_empty(), "never taken: {missing:?}\nnot in the tables: {other:?}");
}

/// REPL-HALT: a halt that can't be kept ends reads all the same, and says that it is not kept.
#[test]
fn a_halt_that_can_not_be_kept_is_a_failure_that_says_so() {
    let parts = parts();
    let mut supervisor = parts.supervisor();
    parts.sim.fail_operation(parts.sim.operations(), Fault::Eio);
    let fault = Error::new(Reason::SegmentRejected).with("position", 64);
    let facts = facts_of(replica_machine::State::ReceivingWal);
    assert_eq!(supervisor.look(&facts, Some(&fault)), [Action::Halt]);
    assert_eq!(supervisor.state(), replica_machine::State::Recovering, "nobody is shown it before reads have ended");
    supervisor.acted();
    let shown = supervisor.told().load();
    assert_eq!((shown.replica.state, shown.halt.as_ref()), (replica_machine::State::Failed, None));
    assert_eq!(shown.fault.as_ref(), Some(&fault), "the first fault is shown, and what became of it");
    assert!(shown.replica.blocked.as_ref().unwrap().contains("not_kept"));
}

/// REPL-HALT: a halt is kept, over a restart, under its name and with its evidence; nothing is asked of the Receiver then.
#[test]
fn a_halt_is_kept_over_a_restart() {
    let parts = parts();
    let fault = Error::new(Reason::SegmentRejected).with("position", 64).with("fault", "history");
    let facts = facts_of(replica_machine::State::ReceivingWal);
    assert_eq!(parts.supervisor().look(&facts, Some(&fault)), [Action::Halt]);
    let mut again = parts.supervisor();
    assert_eq!(again.state(), replica_machine::State::Halted);
    let halt = again.halt().map(Halt::to_string);
    assert_eq!(halt.as_deref(), Some("segment.rejected@64"));
    assert!(again.halt().unwrap().evidence.contains("fault=history"));
    let idle = Facts { receiver: receiver_machine::State::Idle, ..facts };
    assert_eq!(again.look(&idle, None), []);
}

/// P5-I14, REPL-HALT: state, fault and halt are told at once, and not before reads have ended; so is what is found of the halt later.
#[test]
fn what_is_told_of_a_replica_is_of_one_moment() {
    let parts = parts();
    let mut supervisor = parts.supervisor();
    let told = supervisor.told();
    let moment = || {
        let told = told.load();
        assert_eq!(told.halt.is_some(), told.replica.state == replica_machine::State::Halted);
        (told.replica.state, told.fault.clone(), told.halt.as_ref().map(Halt::to_string))
    };
    let facts = facts_of(replica_machine::State::ReceivingWal);
    supervisor.look(&facts, None);
    supervisor.acted();
    let receiving = (replica_machine::State::ReceivingWal, None, None);
    assert_eq!(moment(), receiving);
    let fault = Error::new(Reason::SegmentRejected).with("position", 64);
    supervisor.look(&facts, Some(&fault));
    assert_eq!(moment(), receiving, "nobody is shown it before reads have ended");
    supervisor.acted();
    let halted = (replica_machine::State::Halted, Some(fault), Some("segment.rejected@64".to_owned()));
    assert_eq!(moment(), halted);
    supervisor.tell("fork_commit=3");
    assert_eq!(moment(), halted);
    assert!(told.load().halt.as_ref().unwrap().evidence.contains("fork_commit=3"));
    let again = parts.supervisor().told();
    let Told { replica, fault, halt } = Told::clone(&again.load());
    assert_eq!((replica.state, fault, halt), (replica_machine::State::Halted, None, told.load().halt.clone()));
}

/// REPL-RECONNECT: it connects once at the start, and again only as the policy says.
#[test]
fn a_lost_connection_is_made_again_as_the_policy_says() {
    use receiver_machine::State::{Connecting, Disconnected, Idle};
    for (policy, again) in [(Reconnect::Never, vec![]), (Reconnect::After(7), vec![Action::Connect(7)])] {
        let parts = parts();
        let Identity { database_id, node_id, .. } = parts.identity;
        let kept = StateStore::open(parts.disk.as_ref(), Path::new(DIR), database_id, node_id).unwrap();
        let mut supervisor = supervised(kept, policy);
        let facts = facts_of(replica_machine::State::ReceivingWal);
        let look = |supervisor: &mut Supervisor, receiver, attempts| {
            let received = Received { attempts, ..facts.received };
            supervisor.look(&Facts { receiver, received, ..facts }, None)
        };
        assert_eq!(look(&mut supervisor, Idle, 0), [Action::Connect(0)]);
        assert_eq!(look(&mut supervisor, Idle, 0), [], "it was told");
        assert_eq!(look(&mut supervisor, Connecting, 1), []);
        assert_eq!(look(&mut supervisor, Disconnected, 1), again);
        assert_eq!(look(&mut supervisor, Disconnected, 1), [], "it was told");
        assert_eq!(look(&mut supervisor, Disconnected, 2), again);
    }
}

/// P5-I6, M-ATOMIC: the CommitId is the record's, and is published once all of it is applied.
#[test]
fn a_commit_is_published_when_all_of_it_is_applied() {
    let mut batch = Batch::new();
    batch.put(b"key", b"value").unwrap();
    let (bytes, before, after) = records(&[(Kind::Commit, batch.encoded().to_vec())]).remove(0);
    let mut applier = parts().applier();
    let whole = 0..bytes.len();
    applier.give(Proven::new(bytes, whole, before, after));
    assert_eq!(applier.store().commit(), before.commit);
    assert_eq!(applier.step(), Ok(Step::Done));
    assert_eq!((applier.store().commit(), applier.applied().get()), (after.commit, after));
}
