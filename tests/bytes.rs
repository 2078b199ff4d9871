//! Every byte (D-CORRUPT, D-TAIL, F-D2, P5-I5): each bit of each file flipped, each file cut at each length.
//!
//! The database is small, closed well or cut off by a crash. Whatever is damaged, the outcome is either the same (the byte was in
//! blank space, or in log that the checkpoint covers) or a refusal with a named reason: when opening, when reading, or in
//! maintenance. A different answer is a failure. A lost acknowledged commit is a different answer (D-ACK).

mod world;

use aerodb::disk::{Crash, SimDisk};
use aerodb::{CommitId, Error, Node, Reason};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use world::script::{self, BASE, Plan, Shape, Step, open_options};
use world::{Rows, fold, init_options, rows_at};

const SHAPE: Shape = Shape { seed: 31, groups: 34, group_max: 2, keys: 6, value_max: 60, reopens: 99, ..BASE };

/// The reasons that damage may be refused with.
const NAMED: &[Reason] = &[
    Reason::IdentityCorrupt,
    Reason::IdentityVersion,
    Reason::IdentityOtherDatabase,
    Reason::WalCorrupt,
    Reason::WalTruncated,
    Reason::WalMarkCorrupt,
    Reason::WalMarkBehind,
    Reason::WalSegmentCorrupt,
    Reason::WalSegmentMissing,
    Reason::WalBehindCheckpoint,
    Reason::StoreManifestCorrupt,
    Reason::StoreRunCorrupt,
    Reason::StoreRunMissing,
    Reason::StoreBlockCorrupt,
    Reason::StoreOtherLog,
];

/// A database, and what it must answer.
struct Small {
    plans: Vec<Plan>,
    disk: SimDisk,
    /// Fewest and most commits that may be there.
    commits: (usize, usize),
}

fn play(shape: Shape, close: bool) -> Small {
    let disk = SimDisk::new();
    Node::init(&init_options(&disk, shape.parameters)).unwrap();
    let mut node = Node::open(&open_options(shape, &disk)).unwrap();
    let mut plans = Vec::new();
    for step in script::script(shape) {
        match step {
            Step::Group(group) => {
                let orders: Vec<_> = group.iter().map(Plan::order).collect();
                assert!(node.group(&orders).unwrap().iter().all(Result::is_ok));
                plans.extend(group);
            }
            Step::Maintain(steps) => (0..steps.min(3)).for_each(|_| assert!(node.step().is_ok())),
            Step::Checkpoint(purpose) => {
                node.checkpoint(purpose).unwrap();
                plans.push(Plan::Cut(purpose));
            }
            Step::Reopen => {}
        }
    }
    let commits = script::commits(&plans).len();
    if close {
        node.close().unwrap();
    }
    let disk = disk.image().restart();
    Small { plans, disk, commits: (commits, commits) }
}

impl Small {
    /// Opens a damaged copy and asks it everything; says what refused, if anything did.
    fn judge(&self, disk: &SimDisk, what: &dyn Fn() -> String) -> Option<Error> {
        let mut node = match Node::open(&open_options(SHAPE, disk)) {
            Ok(node) => node,
            Err(error) => return Some(self.named(error, what)),
        };
        let found = node.store().commit().0 as usize;
        let (least, most) = self.commits;
        assert!((least..=most).contains(&found), "{}: {found} commits, expected {least}..={most}", what());
        let commits = script::commits(&self.plans);
        let floor = script::floor(&self.plans);
        let mut refusal = None;
        for at in [floor, (floor + found as u64) / 2, found as u64] {
            let expected: Rows = fold(&commits, at as usize);
            match rows_at(&node, CommitId(at)) {
                Ok(rows) => assert_eq!(rows, expected, "{}: rows at {at}", what()),
                Err(error) => refusal = Some(self.named(error, what)),
            }
            let Ok(view) = node.view(Some(CommitId(at))) else { continue };
            for key in 0..SHAPE.keys {
                let key = format!("key{key:02}").into_bytes();
                match view.get(&key) {
                    Ok(value) => assert_eq!(value.as_ref(), expected.get(&key), "{}: {key:?} at {at}", what()),
                    Err(error) => refusal = Some(self.named(error, what)),
                }
            }
        }
        if let Err(error) = node.maintain() {
            // Maintenance refuses with the damage, or, once that has halted the node, with the halt.
            let root = error.fact("failure").unwrap_or_default();
            let halted =
                error.reason() == Reason::CommitStopped && NAMED.iter().any(|reason| root.contains(reason.name()));
            refusal = refusal.or_else(|| Some(if halted { error } else { self.named(error, what) }));
        } else if let Ok(rows) = rows_at(&node, CommitId(found as u64)) {
            assert_eq!(rows, fold(&commits, found), "{}: rows after maintenance", what());
        }
        refusal
    }

    fn named(&self, error: Error, what: &dyn Fn() -> String) -> Error {
        assert!(NAMED.contains(&error.reason()), "{}: refused as {error}", what());
        error
    }

    /// Flips every bit and cuts at every length of the files that `chosen` names; prints what came of it.
    fn explore(&self, name: &str, chosen: &dyn Fn(&Path) -> bool) -> BTreeMap<&'static str, usize> {
        assert_eq!(self.judge(&self.copy(), &|| format!("{name}: undamaged")), None);
        let mut outcomes = BTreeMap::new();
        let files: Vec<PathBuf> = self.disk.paths().into_iter().filter(|path| chosen(path)).collect();
        for path in &files {
            let bytes = self.disk.contents(path).unwrap();
            for bit in 0..bytes.len() * 8 {
                let mut damaged = bytes.clone();
                damaged[bit / 8] ^= 1 << (bit % 8);
                let what = || format!("{name}: {} with bit {bit} flipped", path.display());
                self.damage(path, Some(damaged), &what, &mut outcomes);
            }
            for len in 0..bytes.len() {
                let what = || format!("{name}: {} cut to {len} bytes", path.display());
                self.damage(path, Some(bytes[..len].to_vec()), &what, &mut outcomes);
            }
            let what = || format!("{name}: {} gone", path.display());
            self.damage(path, None, &what, &mut outcomes);
        }
        println!("{name}: {} files, outcomes {outcomes:?}", files.len());
        outcomes
    }

    fn copy(&self) -> SimDisk {
        self.disk.image().restart()
    }

    fn damage(
        &self,
        path: &Path,
        bytes: Option<Vec<u8>>,
        what: &dyn Fn() -> String,
        outcomes: &mut BTreeMap<&'static str, usize>,
    ) {
        let disk = self.copy();
        match bytes {
            Some(bytes) => disk.overwrite(path, bytes),
            None => disk.remove_now(path),
        }
        let refusal = self.judge(&disk, what);
        *outcomes.entry(refusal.map_or("the same", |error| error.reason().name())).or_insert(0) += 1;
    }
}

/// A database that was closed well: its mark is exact, so nothing of it may be missing without a word.
#[test]
fn no_damage_to_a_closed_database_goes_unnoticed() {
    let small = play(SHAPE, true);
    let outcomes = small.explore("closed", &|path| !path.ends_with("LOCK"));
    for reason in [
        Reason::IdentityCorrupt,
        Reason::WalCorrupt,
        Reason::WalTruncated,
        Reason::WalMarkCorrupt,
        Reason::WalSegmentCorrupt,
        Reason::WalSegmentMissing,
        Reason::StoreManifestCorrupt,
        Reason::StoreRunCorrupt,
        Reason::StoreRunMissing,
        Reason::StoreBlockCorrupt,
    ] {
        assert!(outcomes.contains_key(reason.name()), "no damage was refused with {reason}");
    }
}

/// A machine that lost power: the mark may be older than the log, and the tail is judged by evidence.
#[test]
fn no_damage_to_a_database_that_lost_power_is_taken_for_a_tear() {
    // The image after the last fsync of a group, before the mark: all of it is acknowledged as far as the disk can know.
    let disk = SimDisk::new();
    Node::init(&init_options(&disk, SHAPE.parameters)).unwrap();
    let mut node = Node::open(&open_options(SHAPE, &disk)).unwrap();
    let mut plans = Vec::new();
    for step in script::script(Shape { seed: 32, groups: 9, ..SHAPE }) {
        let Step::Group(group) = step else { continue };
        let orders: Vec<_> = group.iter().map(Plan::order).collect();
        assert!(node.group(&orders).unwrap().iter().all(Result::is_ok));
        plans.extend(group);
    }
    let commits = script::commits(&plans).len();
    // The mark's writes are not fsynced, so a crash that drops what is unsynced leaves the mark behind the log.
    for variant in [Crash::Dropped, Crash::Kept] {
        let disk = disk.image().crash(variant, 1);
        let small = Small { plans: plans.clone(), disk, commits: (commits, commits) };
        let newest = small.disk.paths().into_iter().rfind(|path| path.extension().is_some_and(|end| end == "seg"));
        let newest = newest.unwrap();
        let outcomes = small.explore(&format!("{variant:?}"), &|path| path == newest || path.ends_with("MARK"));
        assert!(outcomes.contains_key(Reason::WalCorrupt.name()));
    }
}

/// A torn tail: its remains are dropped, and damage to them changes nothing that was acknowledged.
#[test]
fn damage_to_a_torn_tail_loses_nothing_acknowledged() {
    let disk = SimDisk::new();
    Node::init(&init_options(&disk, SHAPE.parameters)).unwrap();
    let mut node = Node::open(&open_options(SHAPE, &disk)).unwrap();
    let mut plans = Vec::new();
    for number in 0..4u8 {
        let writes = vec![(format!("key0{number}").into_bytes(), Some(vec![number; 300]))];
        plans.push(Plan::Commit(writes));
        node.group(&[plans[plans.len() - 1].order()]).unwrap().remove(0).unwrap();
    }
    disk.record_images(true);
    let writes = vec![(b"key05".to_vec(), Some(vec![5; 1000])), (b"key06".to_vec(), Some(vec![6; 1000]))];
    plans.push(Plan::Commit(writes));
    node.group(&[plans[4].order()]).unwrap().remove(0).unwrap();
    let mut torn = 0;
    for image in disk.take_images() {
        for seed in 0..3 {
            let disk = image.crash(Crash::Sectors, seed);
            let opened = Node::open(&open_options(SHAPE, &image.crash(Crash::Sectors, seed))).unwrap();
            if opened.report().log.torn_bytes == 0 {
                continue;
            }
            torn += 1;
            let small = Small { plans: plans.clone(), disk, commits: (4, 5) };
            let newest = small.disk.paths().into_iter().rfind(|path| path.extension().is_some_and(|end| end == "seg"));
            let newest = newest.unwrap();
            small.explore("torn", &|path| path == newest);
            if torn == 2 {
                return;
            }
        }
    }
    panic!("no crash tore the tail");
}
