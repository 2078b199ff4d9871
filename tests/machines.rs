//! The state machines: their tables are those of `docs/machines.md`, and a real component takes every edge (P5-I3, P5-I14).
//!
//! What a component shows is looked at during every call that it makes to its disk, and after each step; each look shows the last
//! edge: the state before, the cause, the state after. In the end every edge of the table was seen, and no other.
//!
//! `AERODB_BLESS=1 cargo test --test machines` rewrites the tables.

mod world;

use aerodb::committer::{Committer, Order, Retention, machine as committer_machine};
use aerodb::disk::{Access, Disk, Fault, File, LockGuard, SimDisk};
use aerodb::maintenance::{Maintenance, Progress, machine as maintenance_machine};
use aerodb::observed::Observed;
use aerodb::record::Purpose;
use aerodb::store::manifest::Manifest;
use aerodb::store::{Applier, Store, StoreOptions};
use aerodb::wal::{self, LogOptions};
use aerodb::{Error, Identity, Node, Parameters, Reason, Result, recovery};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use world::{DIR, batch, init_options, shared, tiny};

/// An edge by its words: state before, event, state after.
type Edge = (&'static str, &'static str, &'static str);

fn table<S: Copy, E: Copy>(
    states: &[S],
    events: &[E],
    state_name: impl Fn(S) -> &'static str,
    event_name: impl Fn(E) -> &'static str,
    next: impl Fn(S, E) -> Option<S>,
) -> String {
    let mut lines = String::from("| State |");
    events.iter().for_each(|event| lines += &format!(" {} |", event_name(*event)));
    lines += &format!("\n|{}\n", "---|".repeat(events.len() + 1));
    for state in states {
        lines += &format!("| **{}** |", state_name(*state));
        events.iter().for_each(|event| lines += &format!(" {} |", next(*state, *event).map_or("–", &state_name)));
        lines.push('\n');
    }
    lines
}

/// P5-I3
#[test]
fn the_tables_of_the_documents_are_those_of_the_machines() {
    let committer = {
        use committer_machine::{Event, State, next};
        table(State::ALL, Event::ALL, State::name, Event::name, next)
    };
    let maintenance = {
        use maintenance_machine::{Event, State, next};
        table(State::ALL, Event::ALL, State::name, Event::name, next)
    };
    #[cfg(feature = "replication")]
    let feeder = {
        use aerodb::feeder::machine::{Event, State, next};
        table(State::ALL, Event::ALL, State::name, Event::name, next)
    };
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/machines.md");
    let shown = std::fs::read_to_string(&path).unwrap();
    let mut wanted = shown.clone();
    for (name, table) in [
        ("committer", committer),
        ("maintenance", maintenance),
        #[cfg(feature = "replication")]
        ("feeder", feeder),
    ] {
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

/// Collects the edges that two components show.
#[derive(Default)]
struct Looks {
    #[allow(clippy::type_complexity)]
    watched: Mutex<Option<(Arc<Observed<committer_machine::State>>, Arc<Observed<maintenance_machine::State>>)>>,
    committer: Mutex<BTreeSet<Edge>>,
    maintenance: Mutex<BTreeSet<Edge>>,
}

impl Looks {
    fn look(&self) {
        let Some((committer, maintenance)) = &*self.watched.lock().unwrap() else { return };
        let seen = committer.load();
        if let Some(previous) = seen.previous {
            self.committer.lock().unwrap().insert((previous.name(), seen.cause, seen.state.name()));
        }
        let seen = maintenance.load();
        if let Some(previous) = seen.previous {
            self.maintenance.lock().unwrap().insert((previous.name(), seen.cause, seen.state.name()));
        }
    }
}

/// A disk that looks at the components whenever they call it.
struct LookingDisk(Arc<dyn Disk>, Arc<Looks>);

struct LookingFile(Arc<dyn File>, Arc<Looks>);

impl LookingDisk {
    fn file(&self, file: Arc<dyn File>) -> Arc<dyn File> {
        Arc::new(LookingFile(file, Arc::clone(&self.1)))
    }
}

impl Disk for LookingDisk {
    fn open(&self, path: &Path, access: Access) -> Result<Option<Arc<dyn File>>> {
        self.1.look();
        Ok(self.0.open(path, access)?.map(|file| self.file(file)))
    }
    fn create(&self, path: &Path) -> Result<Arc<dyn File>> {
        self.1.look();
        Ok(self.file(self.0.create(path)?))
    }
    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.1.look();
        self.0.rename(from, to)
    }
    fn remove(&self, path: &Path) -> Result<()> {
        self.1.look();
        self.0.remove(path)
    }
    fn list(&self, directory: &Path) -> Result<Option<Vec<String>>> {
        self.0.list(directory)
    }

    fn real_path(&self, directory: &Path) -> Result<Option<PathBuf>> {
        self.0.real_path(directory)
    }
    fn create_dir(&self, directory: &Path) -> Result<()> {
        self.0.create_dir(directory)
    }
    fn sync_dir(&self, directory: &Path) -> Result<()> {
        self.1.look();
        self.0.sync_dir(directory)
    }
    fn lock(&self, path: &Path) -> Result<Box<dyn LockGuard>> {
        self.0.lock(path)
    }
}

impl File for LookingFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        self.1.look();
        self.0.read_at(offset, buffer)
    }
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.1.look();
        self.0.write_at(offset, bytes)
    }
    fn set_len(&self, len: u64) -> Result<()> {
        self.1.look();
        self.0.set_len(len)
    }
    fn len(&self) -> Result<u64> {
        self.0.len()
    }
    fn sync_data(&self) -> Result<()> {
        self.1.look();
        self.0.sync_data()
    }
}

/// A node taken apart: its components, and what they show.
struct Bench {
    sim: SimDisk,
    store: Arc<Store>,
    committer: Committer,
    maintenance: Maintenance,
    looks: Arc<Looks>,
}

impl Bench {
    fn new(looks: &Arc<Looks>, parameters: Parameters) -> Bench {
        let sim = SimDisk::new();
        let identity: Identity = Node::init(&init_options(&sim, parameters)).unwrap();
        let disk: Arc<dyn Disk> = Arc::new(LookingDisk(shared(&sim), Arc::clone(looks)));
        let (dir, database_id) = (PathBuf::from(DIR), identity.database_id);
        let directory = Store::directory(&dir);
        let manifest = Manifest::read(disk.as_ref(), &directory, database_id).unwrap();
        let (cache_bytes, pinned_bytes_max) = (1 << 20, 1 << 30);
        let (store_disk, log_disk) = (Arc::clone(&disk), disk);
        let options =
            StoreOptions { disk: store_disk, directory, database_id, parameters, cache_bytes, pinned_bytes_max };
        let store = Store::open(options, &manifest, None).unwrap();
        let mut applier = Applier::new(&store);
        let log = LogOptions {
            disk: log_disk,
            directory: wal::directory(&dir),
            lineage: recovery::lineage(&identity),
            keeper: wal::Keeper::Writer,
            segment_bytes: parameters.segment_bytes,
            extend_bytes: 1024,
        };
        let (log, _) = wal::open(log, manifest.point, &mut |record, _| applier.apply(record).map(|_| ())).unwrap();
        let committer = Committer::new(log, applier, Retention::Bytes(4096));
        let maintenance = Maintenance::new(&store, manifest);
        *looks.watched.lock().unwrap() = Some((committer.observed(), maintenance.observed()));
        Bench { sim, store, committer, maintenance, looks: Arc::clone(looks) }
    }

    fn commit(&mut self, value_bytes: usize) -> Result<()> {
        let writes = vec![(b"key".to_vec(), Some(vec![7; value_bytes]))];
        let answer = self.committer.group(&[Order::Commit(batch(&writes))]).remove(0);
        self.looks.look();
        answer.map(|_| ())
    }

    fn cut(&mut self) {
        assert!(self.committer.group(&[Order::Cut(Purpose::Checkpoint)])[0].is_ok());
        self.looks.look();
    }

    fn step(&mut self) -> Result<Progress> {
        let stepped = self.maintenance.step();
        self.looks.look();
        stepped
    }

    fn close(mut self) {
        self.maintenance.close();
        // The disk may still be failing: what is looked at is the edge.
        let _ = self.committer.close();
        self.looks.look();
    }

    /// The next operation on the disk fails.
    fn fail(&self) {
        self.sim.fail_operation(self.sim.operations(), Fault::Eio);
    }

    fn fill(&mut self) {
        while self.store.has_room() {
            self.commit(400).unwrap();
        }
    }

    /// A merge that takes several slices, begun.
    fn begin_merge(looks: &Arc<Looks>) -> Bench {
        let large = Parameters { segment_bytes: 1 << 20, table_bytes: 1 << 30, block_bytes: 4096, fanout: 2 };
        let mut bench = Bench::new(looks, large);
        for _ in 0..2 {
            for _ in 0..20 {
                bench.commit(90 << 10).unwrap();
            }
            bench.cut();
            while !bench.store.state().sealed.is_empty() {
                assert_eq!(bench.step(), Ok(Progress::Worked));
            }
        }
        bench
    }

    #[track_caller]
    fn is(&self, state: maintenance_machine::State) {
        assert_eq!(self.maintenance.observed().load().state, state);
    }
}

fn failed() -> Error {
    Error::new(Reason::DiskWriteFailed)
}

/// P5-I3, P5-I14
#[test]
fn a_real_component_takes_every_edge_and_no_other() {
    use maintenance_machine::State::{Idle, Merging, Stopped};
    let looks = Arc::new(Looks::default());

    // Groups, tables and merges, to the end.
    let mut bench = Bench::new(&looks, tiny());
    for _ in 0..4 {
        bench.fill();
        while bench.step().unwrap() == Progress::Worked {}
    }
    bench.close();

    // No room: the committer waits, and is given some. Maintenance works only once the committer shows that it waits.
    let mut bench = Bench::new(&looks, tiny());
    bench.fill();
    let observed = bench.committer.observed();
    std::thread::scope(|scope| {
        let (committer, looks) = (&mut bench.committer, &looks);
        let waiting = scope.spawn(move || committer.wait_for_room());
        while observed.load().state != committer_machine::State::Waiting {
            std::thread::yield_now();
        }
        looks.look();
        bench.maintenance.step().unwrap();
        waiting.join().unwrap();
        looks.look();
    });
    bench.close();

    // No room, and none to come.
    let mut bench = Bench::new(&looks, tiny());
    bench.fill();
    bench.store.stop_writes(&failed());
    bench.committer.wait_for_room();
    looks.look();
    bench.close();

    // The fsync of a group fails.
    let mut bench = Bench::new(&looks, tiny());
    bench.fail();
    assert_eq!(bench.commit(10).unwrap_err().reason(), Reason::CommitUnknown);
    assert_eq!(bench.commit(10).unwrap_err().reason(), Reason::CommitStopped);
    // Maintenance learns of it, and stops too; a further step changes nothing.
    for _ in 0..2 {
        assert_eq!(bench.step().unwrap_err().reason(), Reason::CommitStopped);
        bench.is(Stopped);
    }
    let shown = bench.maintenance.observed().load();
    assert_eq!((shown.previous, shown.transitions), (Some(Idle), 1));
    bench.close();

    // Maintenance fails while the committer is idle.
    let mut bench = Bench::new(&looks, tiny());
    bench.fill();
    bench.fail();
    assert_eq!(bench.step().unwrap_err().reason(), Reason::DiskNameFailed);
    assert_eq!(bench.commit(10).unwrap_err().reason(), Reason::CommitStopped);
    bench.close();

    // A merge in slices: gone on with, given way to a table, and finished.
    let mut bench = Bench::begin_merge(&looks);
    assert_eq!(bench.step(), Ok(Progress::Worked));
    bench.is(Merging);
    assert_eq!(bench.step(), Ok(Progress::Worked));
    bench.is(Merging);
    bench.cut();
    assert_eq!(bench.step(), Ok(Progress::Worked));
    bench.is(Idle);
    while bench.step().unwrap() == Progress::Worked {}
    bench.close();

    // A merge in slices, and the end comes before its own.
    let mut bench = Bench::begin_merge(&looks);
    assert_eq!(bench.step(), Ok(Progress::Worked));
    bench.is(Merging);
    bench.close();

    // A merge in slices fails.
    let mut bench = Bench::begin_merge(&looks);
    assert_eq!(bench.step(), Ok(Progress::Worked));
    bench.is(Merging);
    bench.fail();
    assert!(bench.step().is_err());
    bench.is(Stopped);
    bench.close();

    let committer = {
        use committer_machine::{Event, State, next};
        edges(State::ALL, Event::ALL, State::name, Event::name, next)
    };
    assert_eq!(*looks.committer.lock().unwrap(), committer);
    let maintenance = {
        use maintenance_machine::{Event, State, next};
        edges(State::ALL, Event::ALL, State::name, Event::name, next)
    };
    assert_eq!(*looks.maintenance.lock().unwrap(), maintenance);
}

/// However many orders wait, and however small the tables are: what is sealed and waits stays within its bound.
#[test]
fn a_group_ends_with_the_order_that_seals_a_table() {
    let mut bench = Bench::new(&Arc::default(), tiny());
    let commit = || Order::Commit(batch(&vec![(b"key".to_vec(), Some(vec![7; 150]))]));
    let orders: Vec<Order> =
        (0..80).map(|number| if number % 9 == 0 { Order::Cut(Purpose::Checkpoint) } else { commit() }).collect();
    let (mut left, mut most) = (orders.as_slice(), 0);
    while !left.is_empty() {
        while !bench.store.has_room() {
            bench.step().unwrap();
        }
        let answers = bench.committer.group(left);
        assert!(!answers.is_empty() && answers.iter().all(Result::is_ok));
        left = &left[answers.len()..];
        most = most.max(bench.store.state().sealed.len());
    }
    assert_eq!(most, aerodb::limits::SEALED_TABLES_MAX);
    assert_eq!(bench.store.commit().0, 71);
    bench.close();
}

fn edges<S: Copy, E: Copy>(
    states: &[S],
    events: &[E],
    state_name: impl Fn(S) -> &'static str,
    event_name: impl Fn(E) -> &'static str,
    next: impl Fn(S, E) -> Option<S>,
) -> BTreeSet<Edge> {
    let pairs = states.iter().flat_map(|state| events.iter().map(move |event| (*state, *event)));
    pairs.filter_map(|(s, e)| next(s, e).map(|to| (state_name(s), event_name(e), state_name(to)))).collect()
}

/// P5-I3, P5-I14: the same for the feeding of a replica, by what a session is told.
#[cfg(feature = "replication")]
#[test]
fn a_session_of_a_replica_takes_every_edge_and_no_other() {
    use aerodb::feeder::machine::{Event, State, next};
    use aerodb::feeder::{Session, Source};
    use aerodb::frame::{Fetch, Frame, Hello, Purpose, Snapshot, VERSION};
    use aerodb::{Id, Init, LogPoint, Options, Position, Role};

    let disk = SimDisk::new();
    Node::init(&Init { role: Role::Primary, ..init_options(&disk, tiny()) }).unwrap();
    let mut node = Node::open(&Options { retention: Retention::All, ..world::options(&disk) }).unwrap();
    let identity = node.report().identity;
    let source = Arc::new(Source::new(identity, node.log().clone(), node.store()));
    let hello = Hello {
        versions: (VERSION, VERSION),
        purpose: Purpose::Follow,
        database_id: identity.database_id,
        node_id: Id([1; 16]),
        epoch: identity.epoch,
        shape: identity.parameters.into(),
        validated: node.durable(),
    };
    let said = |frame: Frame| {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        bytes
    };
    let fetch = |from, upto| said(Frame::Fetch(Fetch { from: Position(from), upto: Position(upto) }));
    let snapshot = |from, upto| said(Frame::Snapshot(Snapshot { from, upto }));
    let comes_for = |purpose| said(Frame::Hello(Hello { purpose, validated: LogPoint::default(), ..hello }));
    let (copies, probes) = (comes_for(Purpose::Snapshot), comes_for(Purpose::Fork));
    let probe = said(Frame::Probe(Position(0)));
    let (comes, nothing) = (said(Frame::Hello(hello)), said(Frame::Hello(Hello::of_nothing((1, 1), Id([1; 16])))));
    let seen = std::cell::RefCell::new(BTreeSet::new());
    let look = |session: &Session| {
        let seen_now = session.observed();
        assert_eq!(seen_now.state, session.state());
        if let Some(previous) = seen_now.previous {
            seen.borrow_mut().insert((previous.name(), seen_now.cause, seen_now.state.name()));
        }
    };
    let served = |session: &mut Session, node: &Node, bytes: usize| {
        assert!(session.serve(&node.extent(), bytes).is_some());
        look(session);
    };
    // What a session is told, up to a state; then the connection ends.
    let stories = [
        (vec![], State::AwaitingHello),
        (vec![nothing], State::Introduced),
        (vec![comes.clone()], State::Idle),
        (vec![comes.clone(), fetch(0, 100), fetch(100, 200)], State::Parked),
        (vec![copies.clone()], State::AwaitingSnapshot),
        (vec![copies.clone(), snapshot(0, 9)], State::Copied),
        (vec![probes.clone()], State::Probing),
        (vec![probes.clone(), probe.clone()], State::Answering),
    ];
    for (story, state) in stories {
        let mut session = Session::new(&source);
        for bytes in story {
            session.receive(&bytes, &node.extent(), false);
            look(&session);
        }
        assert_eq!(session.state(), state);
        session.disconnected();
        look(&session);
    }
    // Log is there: it is served in pieces, asked for again meanwhile, and used up; at the end it parks, and goes on when there is more.
    node.commit(batch(&vec![(b"key".to_vec(), Some(vec![7; 200]))])).unwrap();
    let mut session = Session::new(&source);
    session.receive(&comes, &node.extent(), false);
    served(&mut session, &node, 8);
    for bytes in [fetch(0, 50), fetch(50, 100)] {
        session.receive(&bytes, &node.extent(), false);
        look(&session);
        served(&mut session, &node, 8);
        assert_eq!(session.state(), State::Serving);
    }
    served(&mut session, &node, 1000);
    assert_eq!(session.state(), State::Idle);
    session.receive(&fetch(100, 9000), &node.extent(), false);
    served(&mut session, &node, 1000);
    assert_eq!(session.state(), State::Parked);
    node.commit(batch(&vec![(b"key".to_vec(), None)])).unwrap();
    served(&mut session, &node, 8);
    assert_eq!(session.state(), State::Serving);
    session.disconnected();
    look(&session);
    // The same for a snapshot, which has an end; the connection ends in both states that have a pin.
    node.commit(batch(&vec![(b"key".to_vec(), Some(vec![7; 200]))])).unwrap();
    node.checkpoint(aerodb::record::Purpose::Checkpoint).unwrap();
    for ends in [State::Copying, State::Pinned, State::Copied] {
        let mut session = Session::new(&source);
        session.receive(&copies, &node.extent(), false);
        served(&mut session, &node, 8);
        for bytes in [snapshot(0, 5), snapshot(5, 9)] {
            session.receive(&bytes, &node.extent(), false);
            look(&session);
        }
        served(&mut session, &node, 8);
        if ends != State::Copying {
            served(&mut session, &node, 8);
            served(&mut session, &node, 8);
            assert_eq!(session.state(), State::Pinned);
        }
        if ends == State::Copied {
            session.receive(&snapshot(9, 1 << 20), &node.extent(), false);
            look(&session);
            while session.state() != State::Copied {
                served(&mut session, &node, 1 << 20);
            }
        }
        assert_eq!(session.state(), ends);
        session.disconnected();
        look(&session);
    }
    let mut session = Session::new(&source);
    session.receive(&[probes, probe].concat(), &node.extent(), false);
    served(&mut session, &node, 8);
    assert_eq!(session.state(), State::Probing);
    assert_eq!(*seen.borrow(), edges(State::ALL, Event::ALL, State::name, Event::name, next));
}
