//! Compare: two directories hold the same database, or one the beginning of the other's, or they part, and where.
//!
//! The logs are made on simulated disks by one node that is copied in mid-life: what the copies do afterwards is what differs. Where
//! they part is known from how they were made, record by record, and not from what is under test.

mod world;

use aerodb::commit_id::CommitId;
use aerodb::committer::Retention;
use aerodb::compare::{CompareOptions, Comparison, Fork, Relation, Side, compare};
use aerodb::disk::{Disk, SimDisk};
use aerodb::record::{Kind, Purpose};
use aerodb::store::manifest::Manifest;
use aerodb::store::run::RunId;
use aerodb::{Error, Id, Identity, Init, LogPoint, Node, Options, Parameters, Reason, Result};
use std::path::{Path, PathBuf};
use world::{DIR, Dice, Writes, batch, init_options, options, shared, tiny};

/// A copy of a directory on the same disk: what is compared lies on one.
fn put(disk: &SimDisk, from: &SimDisk, dir: &str) {
    for path in from.paths() {
        let to = Path::new(dir).join(path.strip_prefix(DIR).unwrap());
        for parent in to.ancestors().skip(1).collect::<Vec<_>>().into_iter().rev() {
            disk.create_dir(parent).unwrap();
        }
        disk.overwrite(&to, from.contents(&path).unwrap());
    }
}

fn both(a: &SimDisk, b: &SimDisk) -> SimDisk {
    let disk = SimDisk::new();
    put(&disk, a, "/a");
    put(&disk, b, "/b");
    disk
}

fn compared_on(disk: &SimDisk, thorough: bool) -> Result<Comparison> {
    let (a, b) = (PathBuf::from("/a"), PathBuf::from("/b"));
    compare(&CompareOptions { a, b, disk: shared(disk), thorough }, &mut |done, total| assert!(done <= total))
}

/// What comparing says, with and without the proof of every byte, and in both orders.
fn compared(a: &SimDisk, b: &SimDisk) -> Comparison {
    let found = compared_on(&both(a, b), false).unwrap();
    let thorough = compared_on(&both(a, b), true).unwrap();
    assert_eq!(thorough, Comparison { thorough: true, ..found.clone() });
    let turned = compared_on(&both(b, a), false).unwrap();
    assert_eq!((turned.a, turned.b, turned.from), (found.b, found.a, found.from));
    assert_eq!(turned.check().is_ok(), found.check().is_ok());
    found
}

fn refused(a: &SimDisk, b: &SimDisk) -> Error {
    compared_on(&both(a, b), false).unwrap_err()
}

/// What a copy of the disk would be if the machine stopped here.
fn copied(disk: &SimDisk) -> SimDisk {
    let copy = SimDisk::new();
    put(&copy, disk, DIR);
    copy
}

fn value(dice: &mut Dice) -> Writes {
    vec![(format!("key-{}", dice.below(9)).into_bytes(), Some(vec![dice.roll() as u8; dice.below(200) as usize]))]
}

fn keeping_all(disk: &SimDisk) -> Options {
    Options { retention: Retention::All, ..options(disk) }
}

/// So many more commits on a directory that keeps all its log, maintained and closed.
fn go_on(disk: &SimDisk, commits: u64, seed: u64) -> LogPoint {
    let mut node = Node::open(&keeping_all(disk)).unwrap();
    let mut dice = Dice(seed);
    for _ in 0..commits {
        node.commit(batch(&value(&mut dice))).unwrap();
    }
    node.maintain().unwrap();
    let end = node.durable();
    node.close().unwrap();
    end
}

fn begun(commits: u64) -> SimDisk {
    let disk = SimDisk::new();
    Node::init(&init_options(&disk, tiny())).unwrap();
    go_on(&disk, commits, 1);
    disk
}

/// P5-I4, R-DETERMINISM: nothing is written by looking, and what is equal is said to be.
#[test]
fn a_copy_is_the_same_and_a_longer_log_has_it_as_its_beginning() {
    let a = begun(90);
    let b = copied(&a);
    let found = compared(&a, &b);
    assert_eq!((found.relation, found.runs.only_a, found.runs.only_b), (Relation::Same, 0, 0));
    assert!(found.runs.equal > 2 && found.runs.bytes > 1000, "{found:?}");
    found.check().unwrap();

    for more in [1, 3, 20, 60] {
        let longer = copied(&a);
        let end = go_on(&longer, more, 7);
        let found = compared(&a, &longer);
        assert_eq!(found.relation, Relation::Prefix { shorter: Side::A });
        assert_eq!(compared(&longer, &a).relation, Relation::Prefix { shorter: Side::B });
        assert_eq!((found.b.end, found.b.end.commit), (end, CommitId(90 + more)));
        assert!(found.runs.different.is_empty());
        found.check().unwrap();
    }
    let disk = both(&a, &b);
    let before: Vec<_> = disk.paths().into_iter().map(|path| disk.contents(&path)).collect();
    compared_on(&disk, true).unwrap();
    assert_eq!(before, disk.paths().into_iter().map(|path| disk.contents(&path)).collect::<Vec<_>>());
}

/// F-D1: wherever the logs part, in whatever segment: the position is that of the first record that differs.
#[test]
fn where_two_logs_part_is_found_at_every_commit() {
    let mut segments_before = std::collections::BTreeSet::new();
    for shared_commits in 0..60 {
        let a = begun(shared_commits);
        let fork = Node::open(&keeping_all(&a)).unwrap().durable();
        let b = copied(&a);
        go_on(&a, 1 + shared_commits % 50, 2);
        go_on(&b, 50 - shared_commits % 50, 3);
        let found = compared(&a, &b);
        let Relation::Diverged(Fork::Behind { common, a: step_a, b: step_b }) = found.relation else {
            panic!("{shared_commits}: {found:?}")
        };
        // The writer may have begun the next segment in both before it wrote what differs.
        let next = shared_commits + 1;
        assert!(
            common == fork || common.commit == fork.commit && common.position.since(fork.position) == 32,
            "{found:?}"
        );
        assert_eq!((step_a.kind, step_b.kind), (Kind::Commit, Kind::Commit));
        assert_eq!((step_a.after.commit, step_b.after.commit), (CommitId(next), CommitId(next)));
        assert!(found.runs.different.is_empty(), "{found:?}");
        let error = found.check().unwrap_err();
        assert_eq!(error.reason(), Reason::HistoryDiverged);
        assert_eq!(error.fact("position"), Some(common.position.to_string().as_str()));
        segments_before.insert(common.position.0 / tiny().segment_bytes);
    }
    assert!(segments_before.len() > 1, "the logs part in more than one segment");
}

/// F-D1: what is no commit differs too.
#[test]
fn a_floor_or_a_cut_that_only_one_log_has_is_a_difference() {
    let a = begun(20);
    let b = copied(&a);
    let change = |disk: &SimDisk, change: &dyn Fn(&mut Node)| {
        let mut node = Node::open(&keeping_all(disk)).unwrap();
        change(&mut node);
        node.close().unwrap();
    };
    change(&a, &|node| assert!(node.raise_floor(CommitId(5)).is_ok()));
    change(&b, &|node| assert!(node.checkpoint(Purpose::Checkpoint).is_ok()));
    let found = compared(&a, &b);
    let Relation::Diverged(Fork::Behind { common, a, b }) = found.relation else { panic!("{found:?}") };
    assert_eq!((common.commit, a.kind, b.kind), (CommitId(20), Kind::Floor, Kind::Cut));
}

/// Log that one side dropped is compared from the oldest position that both hold.
#[test]
fn where_log_was_retired_the_rest_is_compared() {
    let retire = |disk: &SimDisk| {
        // These options keep little.
        let mut node = Node::open(&options(disk)).unwrap();
        node.checkpoint(Purpose::Checkpoint).unwrap();
        node.maintain().unwrap();
        node.close().unwrap();
    };
    let all = begun(200);
    let some = copied(&all);
    retire(&some);
    let found = compared(&all, &some);
    assert_eq!(found.relation, Relation::Prefix { shorter: Side::A });
    assert!(found.from.0 > 0 && found.from == found.b.oldest.position, "{found:?}");

    // One that ends before the other begins says nothing.
    let early = begun(3);
    let late = copied(&early);
    go_on(&late, 200, 9);
    retire(&late);
    assert_eq!(refused(&early, &late).reason(), Reason::WalRetired);

    // What parted before the oldest common position is seen there.
    let other = copied(&early);
    go_on(&other, 260, 10);
    let found = compared(&late, &other);
    assert!(matches!(found.relation, Relation::Diverged(Fork::Before { .. })), "{found:?}");
    assert_eq!(found.check().unwrap_err().reason(), Reason::HistoryDiverged);
}

/// What can't be compared is refused by what it is.
#[test]
fn another_database_epoch_or_shape_is_refused() {
    let a = begun(5);
    let made = |change: &dyn Fn(&mut Init)| {
        let disk = SimDisk::new();
        let mut init = init_options(&disk, tiny());
        change(&mut init);
        Node::init(&init).unwrap();
        disk
    };
    let other = made(&|init| init.database_id = Some(Id([7; 16])));
    assert_eq!(refused(&a, &other).reason(), Reason::IdentityOtherDatabase);
    let other = made(&|init| init.parameters = Parameters { fanout: 3, ..tiny() });
    assert_eq!(refused(&a, &other).reason(), Reason::IdentityOtherParameters);
    let other = copied(&a);
    let identity = Identity::read(&other, Path::new(DIR)).unwrap();
    Identity { epoch: 2, ..identity }.write(&other, Path::new(DIR)).unwrap();
    assert_eq!(refused(&a, &other).reason(), Reason::IdentityOtherEpoch);
    let disk = both(&a, &a);
    let same = CompareOptions { a: "/a".into(), b: "/a".into(), disk: shared(&disk), thorough: false };
    assert_eq!(compare(&same, &mut |_, _| {}).unwrap_err().reason(), Reason::DirLocked);
}

/// Changes the manifest of a directory.
fn edit(disk: &SimDisk, change: impl FnOnce(&mut Manifest)) {
    let store = Path::new(DIR).join("store");
    let mut manifest = Manifest::read(disk, &store, Id([0xdb; 16])).unwrap();
    change(&mut manifest);
    manifest.write(disk, &store).unwrap();
}

fn run_path(id: RunId) -> PathBuf {
    Path::new(DIR).join("store").join(id.file_name())
}

/// R-DETERMINISM: a run that is sound in itself and not that of the other node is found, though the logs are the same.
#[test]
fn a_run_that_is_another_is_found_and_a_damaged_one_is_refused() {
    let a = begun(90);
    let b = copied(&a);
    let mut changed = None;
    edit(&b, |manifest| {
        let run = &mut manifest.plan.runs[0];
        let mut bytes = b.contents(&run_path(run.id)).unwrap();
        bytes[40] ^= 1;
        run.hash = xxhash_rust::xxh3::xxh3_128(&bytes);
        b.overwrite(&run_path(run.id), bytes);
        changed = Some(run.id);
    });
    let found = compared_on(&both(&a, &b), false).unwrap();
    assert_eq!(found.relation, Relation::Same);
    assert_eq!(found.runs.different.iter().map(|run| run.id).collect::<Vec<_>>(), Vec::from_iter(changed));
    assert_eq!(found.check().unwrap_err().reason(), Reason::StateDiverged);
    // Such a run is no run, which the proof of every byte finds.
    assert!(compared_on(&both(&a, &b), true).is_err());

    let damaged = copied(&a);
    let run = Manifest::read(&damaged, &Path::new(DIR).join("store"), Id([0xdb; 16])).unwrap().plan.runs[0];
    let mut bytes = damaged.contents(&run_path(run.id)).unwrap();
    bytes[40] ^= 1;
    damaged.overwrite(&run_path(run.id), bytes);
    assert_eq!(refused(&a, &damaged).reason(), Reason::StoreRunCorrupt);
    let gone = copied(&a);
    gone.remove(&run_path(run.id)).unwrap();
    assert_eq!(refused(&gone, &a).reason(), Reason::StoreRunMissing);
}

/// D-CORRUPT: a flipped bit in a sealed segment does not change a history, and is what the proof of every byte is for.
#[test]
fn rot_in_a_sealed_segment_is_found_by_the_thorough_comparison() {
    let a = begun(90);
    let b = copied(&a);
    let segments: Vec<_> =
        b.paths().into_iter().filter(|path| path.extension().is_some_and(|end| end == "seg")).collect();
    assert!(segments.len() > 1);
    let mut bytes = b.contents(&segments[0]).unwrap();
    bytes[700] ^= 1;
    b.overwrite(&segments[0], bytes);
    let disk = both(&a, &b);
    assert_eq!(compared_on(&disk, false).unwrap().relation, Relation::Same);
    assert_eq!(compared_on(&disk, true).unwrap_err().reason(), Reason::WalCorrupt);
}

/// The log is not read to be compared: of the sealed segments nothing is looked at but headers, and the records where the logs part.
#[test]
fn logs_are_compared_without_being_read() {
    let a = begun(400);
    let b = copied(&a);
    go_on(&a, 60, 2);
    go_on(&b, 1, 3);
    let disk = both(&a, &b);
    let found = compared_on(&disk, false).unwrap();
    let Relation::Diverged(Fork::Behind { common, .. }) = found.relation else { panic!("{found:?}") };
    let mut unread = 0;
    for dir in ["/a/wal", "/b/wal"] {
        let names = disk.list(Path::new(dir)).unwrap().unwrap();
        let firsts: Vec<_> = names.iter().filter_map(|name| aerodb::wal::parse_name(name)).collect();
        for pair in firsts.windows(2).filter(|pair| !(pair[0]..pair[1]).contains(&common.position)) {
            let path = Path::new(dir).join(aerodb::wal::file_name(pair[0]));
            let mut bytes = disk.contents(&path).unwrap();
            bytes[512..].fill(0xff);
            disk.overwrite(&path, bytes);
            unread += 1;
        }
    }
    assert!(unread > 10, "{unread}");
    assert_eq!(compared_on(&disk, false).unwrap(), found);
}
