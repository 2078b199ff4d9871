//! Every crash: what crashes is a single node, after every operation that it makes on its disk; what must hold is below.
//!
//! A scripted workload runs on a simulated disk that remembers an image after each operation. Each image is crashed in every
//! variant (unsynced data kept, dropped, torn at sectors, zero-filled, randomly subset; names kept or dropped), opened, and checked:
//!
//! * it opens: no crash is ever taken for corruption (A-SECTOR, D-TAIL);
//! * every acknowledged order is there, and what is there is a prefix of what was ordered (D-ACK, F-P1, F-P2, R-COMPLETE);
//! * a reader at the newest commit, and at the floor, sees exactly the fold of that prefix (M-ATOMIC, M-VISIBLE, M-FLOOR);
//! * opening it a second time changes nothing (P5-I2, F-A2);
//! * once maintenance is idle, every file of the store equals that of a node which never crashed (R-DETERMINISM, F-A1);
//! * a crash of that recovery, and of the maintenance after it, leads to the same (F-RC1): after every operation, in every variant, in
//!   the small workload; in the others after some of them;
//! * now and then, the rest of the workload is ordered anew, and the log ends in the same history.
//!
//! The oracle is the list of orders, folded. Each workload prints how many states it explored.

mod world;

use aerodb::committer::{Order, Retention};
use aerodb::disk::{Crash, SimDisk, SimImage};
use aerodb::{CommitId, LogPoint, Node, Options, Parameters};
use std::collections::BTreeMap;
use std::path::PathBuf;
use world::script::{self, BASE, Plan, Shape, Step, open_options};
use world::{Rows, Writes, fold, init_options, options, rows_at, store_files};

/// Where the workload stood when an image was taken.
#[derive(Clone, Copy, Debug)]
struct Moment {
    /// Orders that had been answered.
    answered: usize,
    /// Orders that had been handed over.
    ordered: usize,
}

/// A workload that ran without a crash: the images, and what must be found in each.
struct Run {
    shape: Shape,
    plans: Vec<Plan>,
    commits: Vec<Writes>,
    images: Vec<(SimImage, Moment)>,
    /// For each number of orders the log after the last of them.
    points: Vec<LogPoint>,
    /// The same for a log that goes on with a `Seal`.
    sealed_points: BTreeMap<u64, (usize, LogPoint)>,
    /// For each number of orders the idle store of a node that never crashed.
    idle: Vec<BTreeMap<PathBuf, Vec<u8>>>,
}

fn run(shape: Shape) -> Run {
    let disk = SimDisk::new();
    Node::init(&init_options(&disk, shape.parameters)).unwrap();
    disk.record_images(true);
    let mut node = Some(Node::open(&open_options(shape, &disk)).unwrap());
    let mut plans: Vec<Plan> = Vec::new();
    let mut images = Vec::new();
    let mut points = vec![node.as_ref().unwrap().durable()];
    let mut answered = 0;
    let collect = |images: &mut Vec<(SimImage, Moment)>, before: usize, ordered: usize, after: usize| {
        let taken = disk.take_images();
        let last = taken.len().wrapping_sub(1);
        for (index, image) in taken.into_iter().enumerate() {
            // After its last operation a step has been answered.
            let answered = if index == last { after } else { before };
            images.push((image, Moment { answered, ordered }));
        }
        disk.record_images(true);
    };
    for step in script::script(shape) {
        let before = answered;
        match step {
            Step::Group(group) => {
                let orders: Vec<Order> = group.iter().map(Plan::order).collect();
                let answers = node.as_mut().unwrap().group(&orders).unwrap();
                points.extend(answers.into_iter().map(Result::unwrap));
                plans.extend(group);
            }
            Step::Maintain(steps) => {
                for _ in 0..steps {
                    if node.as_mut().unwrap().step().unwrap() == aerodb::maintenance::Progress::Idle {
                        break;
                    }
                }
            }
            Step::Checkpoint(purpose) => {
                points.push(node.as_mut().unwrap().checkpoint(purpose).unwrap());
                plans.push(Plan::Cut(purpose));
            }
            Step::Reopen => {
                node.take().unwrap().close().unwrap();
                node = Some(Node::open(&open_options(shape, &disk)).unwrap());
            }
        }
        answered = plans.len();
        collect(&mut images, before, plans.len(), answered);
    }
    let commits = script::commits(&plans);
    let idle = idle_stores(shape, &plans);
    let sealed_points = sealed_points(shape, &plans);
    Run { shape, plans, commits, images, points, sealed_points, idle }
}

/// The idle store after each number of orders, on a node that never crashed and was never closed.
fn idle_stores(shape: Shape, plans: &[Plan]) -> Vec<BTreeMap<PathBuf, Vec<u8>>> {
    let disk = SimDisk::new();
    Node::init(&init_options(&disk, shape.parameters)).unwrap();
    let mut node = Node::open(&open_options(shape, &disk)).unwrap();
    let mut idle = vec![store_files(&disk)];
    for plan in plans {
        node.group(&[plan.order()]).unwrap().remove(0).unwrap();
        node.maintain().unwrap();
        idle.push(store_files(&disk));
    }
    idle
}

/// Where a log may end with a `Seal`: position, and how many orders stand before it.
fn sealed_points(shape: Shape, plans: &[Plan]) -> BTreeMap<u64, (usize, LogPoint)> {
    let disk = SimDisk::new();
    Node::init(&init_options(&disk, shape.parameters)).unwrap();
    let options = Options { retention: Retention::All, ..options(&disk) };
    let mut node = Node::open(&options).unwrap();
    for plan in plans {
        node.group(&[plan.order()]).unwrap().remove(0).unwrap();
    }
    let identity = node.report().identity;
    let (end, directory) = (node.durable(), aerodb::wal::directory(&options.dir));
    let lineage = aerodb::recovery::lineage(&identity);
    let mut cursor =
        aerodb::wal::LogCursor::open(world::shared(&disk), &directory, lineage, aerodb::Position(0), end).unwrap();
    let (mut sealed, mut orders) = (BTreeMap::new(), 0);
    while let Some((record, _)) = cursor.next_record().unwrap() {
        if record.content.kind() == aerodb::record::Kind::Seal {
            sealed.insert(record.after.position.0, (orders, record.after));
        } else {
            orders += 1;
        }
    }
    sealed
}

impl Run {
    /// How many orders a log holds that ends here, and whether a `Seal` follows them.
    fn held(&self, point: LogPoint) -> (usize, bool) {
        if let Some((orders, sealed)) = self.sealed_points.get(&point.position.0) {
            assert_eq!(*sealed, point, "the log is not a prefix of what was ordered");
            return (*orders, true);
        }
        let orders = self.points.partition_point(|known| known.position < point.position);
        assert_eq!(self.points.get(orders), Some(&point), "the log is not a prefix of what was ordered");
        (orders, false)
    }

    /// Checks a disk as a crash left it; returns what was found, and the images of the recovery.
    fn check(&self, disk: &SimDisk, moment: Moment, story: &dyn Fn() -> String) -> (LogPoint, Vec<SimImage>) {
        disk.record_images(true);
        let mut node = match Node::open(&open_options(self.shape, disk)) {
            Ok(node) => node,
            Err(error) => panic!("{}: a crash was taken for corruption: {error}\n{}", story(), world::listing(disk)),
        };
        let mut images = disk.take_images();
        let end = node.durable();
        let (held, sealed) = self.held(end);
        assert!(moment.answered <= held, "{}: {held} orders of {} answered are there", story(), moment.answered);
        assert!(held <= moment.ordered, "{}: {held} orders, though {} were given", story(), moment.ordered);
        self.check_reads(&node, held, story);

        let after_first: Vec<_> = contents(disk);
        drop(node);
        let again = disk.image().restart();
        node = Node::open(&open_options(self.shape, &again)).unwrap();
        assert_eq!(node.durable(), end, "{}: a second recovery ends elsewhere", story());
        assert!(contents(&again) == after_first, "{}: a second recovery changed a file", story());

        again.record_images(true);
        let held = if sealed && held < self.plans.len() {
            node.group(&[self.plans[held].order()]).unwrap().remove(0).unwrap();
            held + 1
        } else {
            held
        };
        node.maintain().unwrap();
        assert!(
            store_files(&again) == self.idle[held],
            "{}: the idle store differs\n{}",
            story(),
            world::listing(&again)
        );
        images.extend(again.take_images());
        (end, images)
    }

    fn check_reads(&self, node: &Node, held: usize, story: &dyn Fn() -> String) {
        let commits = self.plans[..held].iter().filter(|plan| matches!(plan, Plan::Commit(_))).count();
        let floor =
            self.plans[..held].iter().rev().find_map(|plan| if let Plan::Floor(at) = plan { Some(*at) } else { None });
        let floor = floor.unwrap_or(0);
        for at in [commits as u64, floor, floor.midpoint(commits as u64)] {
            let expected: Rows = fold(&self.commits, at as usize);
            assert_eq!(rows_at(node, CommitId(at)).unwrap(), expected, "{}: reading at {at}", story());
            for key in expected.keys() {
                let view = node.view(Some(CommitId(at))).unwrap();
                assert_eq!(view.get(key).unwrap().as_ref(), expected.get(key), "{}: {key:?} at {at}", story());
            }
        }
        let beyond = node.view(Some(CommitId(commits as u64 + 1)));
        assert!(beyond.is_err(), "{}: nothing beyond the log is visible", story());
    }

    /// Where the tail was torn, writes over it and crashes that too: the remains must not be taken for a record that was written.
    fn crash_again(&self, disk: &SimDisk, seed: u64, story: &dyn Fn() -> String) -> u64 {
        let mut node = Node::open(&open_options(self.shape, disk)).unwrap();
        if node.report().log.torn_bytes == 0 {
            return 0;
        }
        let (held, _) = self.held(node.durable());
        let rest: Vec<_> = self.plans[held..].iter().take(2).map(Plan::order).collect();
        disk.record_images(true);
        for order in &rest {
            node.group(std::slice::from_ref(order)).unwrap().remove(0).unwrap();
        }
        let mut states = 0;
        for (step, image) in disk.take_images().into_iter().enumerate() {
            for variant in Crash::ALL {
                let disk = image.crash(variant, seed.wrapping_mul(31) + step as u64);
                let story = || format!("{}, then writing over it, operation {step}, {variant:?}", story());
                let node = Node::open(&open_options(self.shape, &disk));
                let node = node.unwrap_or_else(|error| panic!("{}: {error}", story()));
                let (found, _) = self.held(node.durable());
                assert!((held..=held + rest.len()).contains(&found), "{}: {found} orders", story());
                self.check_reads(&node, found, &story);
                states += 1;
            }
        }
        states
    }

    /// Orders what is left anew: the log must end in the same history as without a crash.
    fn go_on(&self, disk: &SimDisk, story: &dyn Fn() -> String) {
        let mut node = Node::open(&open_options(self.shape, disk)).unwrap();
        let (held, _) = self.held(node.durable());
        for plan in &self.plans[held..] {
            node.group(&[plan.order()]).unwrap().remove(0).unwrap();
        }
        node.maintain().unwrap();
        assert_eq!(Some(&node.durable()), self.points.last(), "{}: going on ends in another history", story());
        assert!(Some(&store_files(disk)) == self.idle.last(), "{}: going on ends in another store", story());
    }
}

fn contents(disk: &SimDisk) -> Vec<(PathBuf, Option<Vec<u8>>)> {
    disk.paths().into_iter().map(|path| (path.clone(), disk.contents(&path))).collect()
}

/// Explores a small workload with every crash of every recovery; each is checked as thoroughly as the first.
#[test]
fn every_crash_of_every_recovery_leads_to_the_same() {
    let shape = Shape { seed: 51, groups: 7, group_max: 2, checkpoints: 4, reopens: 4, ..BASE };
    let run = run(shape);
    let (mut first, mut second) = (0u64, 0u64);
    for (index, (image, moment)) in run.images.iter().enumerate() {
        for variant in Crash::ALL {
            let story = || format!("small: crash after operation {index}, {variant:?}");
            let (end, images) = run.check(&image.crash(variant, index as u64), *moment, &story);
            let held = run.held(end).0;
            first += 1;
            for (step, recovering) in images.iter().enumerate() {
                for again in Crash::ALL {
                    let story = || format!("{}, then after operation {step} of the recovery, {again:?}", story());
                    let disk = recovering.crash(again, step as u64);
                    // What a first recovery has accepted may not be dropped by a second.
                    let moment = Moment { answered: held, ordered: run.plans.len().min(moment.ordered + 1) };
                    run.check(&disk, moment, &story);
                    second += 1;
                }
            }
        }
    }
    println!(
        "small: {} operations, {first} crashes and all {second} crashes of their recovery explored",
        run.images.len()
    );
    assert!(second > 10 * first);
}

/// Explores a workload; prints how many states there were.
fn explore(name: &str, shape: Shape) {
    let run = run(shape);
    let mut states = 0u64;
    let (mut torn, mut second, mut again) = (0u64, 0u64, 0u64);
    for (index, (image, moment)) in run.images.iter().enumerate() {
        for (number, variant) in Crash::ALL.iter().enumerate() {
            let seed = shape.seed << 32 | index as u64;
            let story = || format!("{name}: crash after operation {index}, {variant:?}, seed {seed}");
            let disk = image.crash(*variant, seed);
            let (end, images) = run.check(&disk, *moment, &story);
            states += 1;
            torn += u64::from(run.held(end).0 < moment.ordered);
            if index % 13 == number {
                run.go_on(&image.crash(*variant, seed), &story);
            }
            again += run.crash_again(&image.crash(*variant, seed), seed, &story);
            // A crash after each operation of the recovery and of the maintenance behind it.
            let stride = 5.max(images.len() / 6);
            for (step, recovering) in images.iter().enumerate().skip((index + number) % stride).step_by(stride) {
                let variant = Crash::ALL[(index + number * 3 + step) % Crash::ALL.len()];
                let story = || format!("{}, then after operation {step} of the recovery, {variant:?}", story());
                let disk = recovering.crash(variant, seed + step as u64);
                let node = Node::open(&open_options(shape, &disk));
                let node = node.unwrap_or_else(|error| panic!("{}: {error}", story()));
                let (held, _) = run.held(node.durable());
                assert!(node.durable().position >= end.position, "{}: recovering again lost something", story());
                assert!(held <= moment.ordered + 1, "{}: recovering again found more", story());
                run.check_reads(&node, held, &story);
                second += 1;
            }
        }
    }
    println!(
        "{name}: {} operations, {states} crashes, {second} crashes of their recovery, {again} crashes of writing over a torn tail \
         explored; {torn} of the first lost what was never acknowledged",
        run.images.len()
    );
    assert!(torn > 0, "{name}: no crash ever lost anything: the variants do nothing");
    assert!(second > states / 2, "{name}: recovery was hardly crashed");
    assert!(again > 0, "{name}: no torn tail was ever written over");
}

macro_rules! workloads {
    ($($name:ident $shape:expr;)*) => {
        $(
            #[test]
            fn $name() {
                explore(stringify!($name), $shape);
            }
        )*
    };
}

workloads! {
    mixed_work_survives_every_crash BASE;
    single_commits_survive_every_crash Shape { seed: 2, group_max: 1, groups: 60, ..BASE };
    large_groups_survive_every_crash Shape { seed: 3, group_max: 12, groups: 14, ..BASE };
    large_values_survive_every_crash Shape { seed: 4, value_max: 1700, groups: 24, ..BASE };
    values_of_zeros_survive_every_crash Shape { seed: 5, value_max: 700, deletes: 99, groups: 26, ..BASE };
    deletes_survive_every_crash Shape { seed: 6, deletes: 2, keys: 5, floors: 4, ..BASE };
    many_floors_survive_every_crash Shape { seed: 7, floors: 3, ..BASE };
    many_checkpoints_survive_every_crash Shape { seed: 8, checkpoints: 4, ..BASE };
    many_restarts_survive_every_crash Shape { seed: 9, reopens: 3, ..BASE };
    late_maintenance_survives_every_crash Shape { seed: 10, maintain_max: 0, retention: Retention::Bytes(0), ..BASE };
    eager_merging_survives_every_crash Shape { seed: 11, maintain_max: 20, checkpoints: 5, ..BASE };
    keeping_all_log_survives_every_crash Shape { seed: 12, retention: Retention::All, ..BASE };
    tables_of_many_segments_survive_every_crash Shape {
        seed: 14,
        groups: 40,
        value_max: 400,
        parameters: Parameters { segment_bytes: 4096, table_bytes: 16384, block_bytes: 256, fanout: 2 },
        retention: Retention::Bytes(0),
        ..BASE
    };
    wide_merges_survive_every_crash Shape {
        seed: 13,
        parameters: Parameters { segment_bytes: 8192, table_bytes: 1024, block_bytes: 512, fanout: 3 },
        ..BASE
    };
}
