//! R-DETERMINISM: the log is a function of the orders, and the store's files are a function of the log. Nothing else shows in a byte:
//! not how commits were grouped, when maintenance worked, who read meanwhile, how often the node was started again, how much
//! space was blanked ahead, nor which threads there were.
//!
//! One seeded sequence of orders goes to several nodes, each with a node id, a blank seed and stretches of blank of its own. Their logs
//! must be equal record byte by record byte, and once maintenance is idle their runs and manifests file by file.

mod world;

use aerodb::committer::{Order, Retention};
use aerodb::disk::{Disk, RealDisk, SimDisk, read_file};
use aerodb::record::Purpose;
use aerodb::wal::{SEGMENT_HEADER_BYTES, offset, parse_name};
use aerodb::{CommitId, Database, Id, Init, Node, Options, Parameters, Range};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use world::{Dice, Writes, batch, init_options, options};

/// A floor lies at least so many commits back, and a group is smaller: so the floor's commit was acknowledged before.
const FLOOR_LAG: u64 = 40;

#[derive(Clone)]
enum Told {
    Commit(Writes),
    Floor(CommitId),
    Cut,
}

impl Told {
    fn order(&self) -> Order {
        match self {
            Told::Commit(writes) => Order::Commit(batch(writes)),
            Told::Floor(floor) => Order::Floor(*floor),
            Told::Cut => Order::Cut(Purpose::Checkpoint),
        }
    }
}

/// Two keys that every commit writes with the same value: a reader that sees them differ has seen half a commit.
const TWINS: [&[u8]; 2] = [b"twin 1", b"twin 2"];

fn orders(seed: u64, count: usize) -> Vec<Told> {
    let mut dice = Dice(seed);
    let (mut orders, mut commits, mut floor) = (Vec::new(), 0u64, 0u64);
    while orders.len() < count {
        match dice.below(40) {
            0 if commits > FLOOR_LAG + floor => {
                floor += 1 + dice.below(commits - FLOOR_LAG - floor);
                orders.push(Told::Floor(CommitId(floor)));
            }
            1 => orders.push(Told::Cut),
            _ => {
                commits += 1;
                let mut writes: Writes =
                    TWINS.iter().map(|key| (key.to_vec(), Some(commits.to_le_bytes().to_vec()))).collect();
                for _ in 0..1 + dice.below(4) {
                    let key = format!("key {:03}", dice.below(120)).into_bytes();
                    let byte = dice.roll() as u8;
                    let len = if dice.below(10) == 0 { dice.below(1200) } else { dice.below(80) };
                    writes.push((key, (dice.below(5) > 0).then(|| vec![byte; len as usize])));
                }
                orders.push(Told::Commit(writes));
            }
        }
    }
    orders
}

fn parameters() -> Parameters {
    Parameters { segment_bytes: 8192, table_bytes: 3000, block_bytes: 256, fanout: 3 }
}

/// A place for a node: what is the node's own differs from place to place.
struct Place {
    init: Init,
    options: Options,
}

impl Place {
    fn new(disk: Arc<dyn Disk>, dir: &Path, number: u8) -> Place {
        let unused = SimDisk::new();
        let extend_bytes = 512 * (1 + u64::from(number));
        let (dir, seed) = (dir.to_owned(), u64::from(number) + 1);
        let init = Init {
            dir: dir.clone(),
            node_id: Some(Id([number; 16])),
            blank_seed: Some(seed),
            extend_bytes,
            disk: Arc::clone(&disk),
            ..init_options(&unused, parameters())
        };
        let options = Options { dir, retention: Retention::All, extend_bytes, disk, ..options(&unused) };
        Database::init(&init).unwrap();
        Place { init, options }
    }

    fn simulated(number: u8) -> Place {
        Place::new(Arc::new(SimDisk::new()), Path::new(world::DIR), number)
    }

    fn open(&self) -> Node {
        Node::open(&self.options).unwrap()
    }

    /// What must be equal: the records of each segment, and every file of the store.
    fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut node = self.open();
        node.maintain().unwrap();
        let durable = node.durable().position;
        node.close().unwrap();
        let (disk, dir) = (self.init.disk.as_ref(), &self.init.dir);
        let mut files = BTreeMap::new();
        for folder in ["wal", "store"] {
            for name in disk.list(&dir.join(folder)).unwrap().unwrap() {
                if name == "MARK" {
                    continue;
                }
                let mut bytes = read_file(disk, &dir.join(folder).join(&name), 1 << 26).unwrap().unwrap();
                if let Some(first) = parse_name(&name) {
                    // The newest segment ends with blank space, which is the node's own.
                    bytes.truncate(offset(first, durable) as usize);
                    assert!(bytes.len() as u64 >= SEGMENT_HEADER_BYTES);
                }
                files.insert(Path::new(folder).join(&name), bytes);
            }
        }
        files
    }
}

fn assert_equal(expected: &BTreeMap<PathBuf, Vec<u8>>, found: &BTreeMap<PathBuf, Vec<u8>>, what: &str) {
    let names = |files: &BTreeMap<PathBuf, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(expected), names(found), "{what}: other files");
    for (name, bytes) in expected {
        assert!(bytes == &found[name], "{what}: {} differs", name.display());
    }
}

/// The files of a node that takes one order at a time and does all maintenance at once.
fn plain(orders: &[Told]) -> BTreeMap<PathBuf, Vec<u8>> {
    let place = Place::simulated(0);
    let mut node = place.open();
    for told in orders {
        assert!(node.group(&[told.order()]).unwrap()[0].is_ok());
        node.maintain().unwrap();
    }
    node.close().unwrap();
    let files = place.files();
    let runs = files.keys().filter(|name| name.to_string_lossy().ends_with(".run")).count();
    assert!(runs >= 1 && files.len() > runs + 5, "the orders fill runs and segments: {runs} of {}", files.len());
    files
}

/// Everything that is free is decided by the dice: grouping, maintenance, reads, restarts.
fn at_random(orders: &[Told], seed: u64, place: &Place) {
    let mut dice = Dice(seed);
    let mut node = place.open();
    let mut rest = orders;
    while !rest.is_empty() {
        let (group, behind) = rest.split_at((1 + dice.below(FLOOR_LAG - 1) as usize).min(rest.len()));
        rest = behind;
        let group: Vec<Order> = group.iter().map(Told::order).collect();
        assert!(node.group(&group).unwrap().iter().all(Result::is_ok));
        for _ in 0..dice.below(6) {
            node.step().unwrap();
        }
        let view = node.view(None).unwrap();
        assert_eq!(view.get(TWINS[0]).unwrap(), view.get(TWINS[1]).unwrap());
        assert!(!view.range(Range::all(1 + dice.below(200) as usize)).unwrap().collect().unwrap().is_empty());
        drop(view);
        match dice.below(8) {
            0 => {
                node.close().unwrap();
                node = place.open();
            }
            1 => {
                // The process ends without closing anything.
                drop(node);
                node = place.open();
            }
            _ => {}
        }
    }
}

#[test]
fn grouping_maintenance_reads_and_restarts_leave_no_trace_in_any_file() {
    for seed in 1..=6u64 {
        println!("seed {seed}");
        let orders = orders(seed, 700);
        let expected = plain(&orders);
        for number in 1..=4u8 {
            let place = Place::simulated(number);
            at_random(&orders, seed * 100 + u64::from(number), &place);
            assert_equal(&expected, &place.files(), &format!("seed {seed}, node {number}"));
        }
    }
}

/// The database with its threads: one orders, several read, and the groups are as timing makes them.
fn with_threads(orders: &[Told], seed: u64, place: &Place) {
    let ended = Arc::new(AtomicBool::new(false));
    let mut dice = Dice(seed);
    let mut rest = orders;
    while !rest.is_empty() {
        // A part of the orders for each time that the database is open.
        let (part, behind) = rest.split_at((rest.len() / 2).max(100).min(rest.len()));
        rest = behind;
        let db = Database::open(place.options.clone()).unwrap();
        ended.store(false, Ordering::SeqCst);
        std::thread::scope(|scope| {
            for reader in 0..3u64 {
                let (db, ended) = (&db, &ended);
                let mut dice = Dice(dice.roll() ^ reader);
                scope.spawn(move || {
                    while !ended.load(Ordering::SeqCst) {
                        let view = db.view(None).unwrap();
                        // M-ATOMIC
                        assert_eq!(view.get(TWINS[0]).unwrap(), view.get(TWINS[1]).unwrap());
                        let rows = view.range(Range::all(1 + dice.below(50) as usize)).unwrap().collect().unwrap();
                        assert_eq!(rows.is_empty(), view.commit() == CommitId::NONE);
                    }
                });
            }
            let _ends = Ends(&ended);
            order_all(&db, part);
        });
        if dice.below(2) == 0 {
            db.close().unwrap();
        }
    }
}

/// Tells the readers to end, even when an assertion failed.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn order_all(db: &Database, orders: &[Told]) {
    let (answer, answers) = mpsc::channel();
    let mut last = db.status().commit;
    for told in orders {
        match told {
            Told::Commit(writes) => {
                let answer = answer.clone();
                db.submit(batch(writes), move |outcome| answer.send(outcome).unwrap()).unwrap();
            }
            Told::Floor(floor) => {
                // A floor may only be raised to what its caller knows to be committed.
                while last < *floor {
                    last = answers.recv().unwrap().unwrap();
                }
                assert!(db.raise_floor(*floor).is_ok());
            }
            Told::Cut => assert!(db.checkpoint().is_ok()),
        }
    }
    drop(answer);
    for outcome in answers {
        let commit = outcome.unwrap();
        assert_eq!(commit, last.next());
        last = commit;
    }
}

#[test]
fn threads_leave_no_trace_in_any_file() {
    for seed in 11..=13u64 {
        println!("seed {seed}");
        let orders = orders(seed, 700);
        let expected = plain(&orders);
        let place = Place::simulated(7);
        with_threads(&orders, seed, &place);
        assert_equal(&expected, &place.files(), &format!("seed {seed}, threads on the simulated disk"));
    }
}

#[test]
fn the_disk_of_the_machine_holds_the_same_files() {
    let scratch = tempfile::tempdir().unwrap();
    let seed = 21;
    let orders = orders(seed, 500);
    let expected = plain(&orders);
    let place = Place::new(Arc::new(RealDisk), &scratch.path().join("threads"), 8);
    with_threads(&orders, seed, &place);
    assert_equal(&expected, &place.files(), "threads on the disk of the machine");
    let place = Place::new(Arc::new(RealDisk), &scratch.path().join("node"), 9);
    at_random(&orders, seed, &place);
    assert_equal(&expected, &place.files(), "a node on the disk of the machine");
}
