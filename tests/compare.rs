//! Compare: two directories hold the same database, or one the beginning of the other's, or they part, and where.
//!
//! The logs are made on simulated disks by one node that is copied in mid-life: what the copies do afterwards is what differs. Where
//! they part is known from how they were made, record by record, and not from what is under test.

mod world;

use aerodb::commit_id::CommitId;
use aerodb::committer::Retention;
use aerodb::compare::{
    CompareOptions, Comparison, Excerpt, Fork, Judged, Local, Place, Relation, Said, Side, Verdict, Written, compare,
};
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
    compared_with(disk, &CompareOptions { thorough, scratch: None })
}

fn compared_with(disk: &SimDisk, options: &CompareOptions) -> Result<Comparison> {
    let mut a = Local::open(&shared(disk), Path::new("/a"))?;
    let mut b = Local::open(&shared(disk), Path::new("/b"))?;
    compare(&mut a, &mut b, options, &mut |done, total| assert!(done <= total))
}

/// What comparing says, with and without the proof of every byte, and in both orders.
fn compared(a: &SimDisk, b: &SimDisk) -> Comparison {
    let found = compared_on(&both(a, b), false).unwrap();
    let thorough = compared_on(&both(a, b), true).unwrap();
    assert_eq!(thorough, Comparison { thorough: true, ..found.clone() });
    let turned = compared_on(&both(b, a), false).unwrap();
    assert_eq!((&turned.a, &turned.b, turned.from), (&found.b, &found.a, found.from));
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
    let _first = Local::open(&shared(&disk), Path::new("/a")).unwrap();
    let second = Local::open(&shared(&disk), Path::new("/a"));
    assert_eq!(second.err().map(|error| error.reason()), Some(Reason::DirLocked));
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

/// Makes another run of one that a directory has, and has the manifest name it.
fn forge(disk: &SimDisk, index: usize) -> RunId {
    let mut forged = None;
    edit(disk, |manifest| {
        let run = &mut manifest.plan.runs[index];
        let mut bytes = disk.contents(&run_path(run.id)).unwrap();
        bytes[40] ^= 1;
        run.hash = xxhash_rust::xxh3::xxh3_128(&bytes);
        disk.overwrite(&run_path(run.id), bytes);
        forged = Some(run.id);
    });
    forged.unwrap()
}

fn runs_of(disk: &SimDisk) -> Vec<RunId> {
    let manifest = Manifest::read(disk, &Path::new(DIR).join("store"), Id([0xdb; 16])).unwrap();
    manifest.plan.runs.iter().map(|run| run.id).collect()
}

/// The only verdict.
fn verdict(found: &Comparison) -> &Verdict {
    let [verdict] = found.verdicts.as_slice() else { panic!("{found:?}") };
    verdict
}

/// R-DETERMINISM: a run that is sound in itself and not that of the other node is found, though the logs are the same; and the log says whose it
/// is that is wrong, whichever run it is.
#[test]
fn of_two_runs_that_differ_the_log_says_which_is_wrong() {
    let a = begun(90);
    let runs = runs_of(&a);
    assert!(runs.len() > 2 && runs.iter().any(|run| run.level > 0), "{runs:?}");
    for (index, id) in runs.iter().enumerate() {
        let b = copied(&a);
        forge(&b, index);
        for (one, other, wrong) in [(&a, &b, Side::B), (&b, &a, Side::A)] {
            let found = compared_on(&both(one, other), false).unwrap();
            assert_eq!(found.relation, Relation::Same);
            assert_eq!(found.runs.different.iter().map(|run| run.id).collect::<Vec<_>>(), [*id]);
            let verdict = verdict(&found);
            assert_eq!((verdict.id, &verdict.judged), (*id, &Judged::Wrong(wrong)), "{found:?}");
            // No more of the log is replayed than the run was made of.
            assert_eq!(verdict.from.unwrap().commit, CommitId(id.first.0 - 1));
            let [(side, spot)] = verdict.spots.as_slice() else { panic!("{verdict:?}") };
            assert_eq!((*side, spot.offset), (wrong, 40));
            let (_, commit) = spot.version.as_ref().expect("the first block can't be read");
            assert!((id.first..=id.last).contains(commit), "{verdict:?}");
            let error = found.check().unwrap_err();
            assert_eq!(error.reason(), Reason::StateDiverged);
            assert_eq!(error.fact("verdict"), Some(format!("{wrong} is wrong").as_str()));
        }
        // Such a run is no run, which the proof of every byte finds.
        assert!(compared_on(&both(&a, &b), true).is_err());
    }
}

/// R-DETERMINISM: when a run is merged is free, so one side may have merged what the other has not: no run of one has its like in the other. Each is held
/// against the log, and one that is sound in itself and not what that yields is found; where the log is gone it is said what was not compared.
#[test]
fn runs_that_only_one_side_has_merged_are_held_against_the_log() {
    let b = SimDisk::new();
    Node::init(&init_options(&b, tiny())).unwrap();
    let mut node = Node::open(&keeping_all(&b)).unwrap();
    let mut dice = Dice(5);
    while runs_of(&b).len() < 4 {
        node.commit(batch(&value(&mut dice))).unwrap();
    }
    node.close().unwrap();
    let a = copied(&b);
    go_on(&a, 0, 0);
    let (in_a, in_b) = (runs_of(&a), runs_of(&b));
    let alone = |one: &[RunId], other: &[RunId]| -> Vec<usize> {
        (0..one.len()).filter(|index| !other.contains(&one[*index])).collect()
    };
    let (only_a, only_b) = (alone(&in_a, &in_b), alone(&in_b, &in_a));
    assert!(!only_a.is_empty() && only_b.len() > 1, "{in_a:?} {in_b:?}");
    let found = compared(&a, &b);
    assert_eq!((found.runs.only_a, found.runs.only_b), (only_a.len() as u64, only_b.len() as u64));
    assert_eq!((found.runs.held, found.runs.unheld.len()), (found.runs.only_a + found.runs.only_b, 0), "{found:?}");
    assert_eq!(found.state_to(), Some(found.a.end.commit));
    found.check().unwrap();
    for (index, side) in
        only_a.iter().map(|index| (*index, Side::A)).chain(only_b.iter().map(|index| (*index, Side::B)))
    {
        let (one, other) = (copied(&a), copied(&b));
        let id = forge(if side == Side::A { &one } else { &other }, index);
        let found = compared_on(&both(&one, &other), false).unwrap();
        assert_eq!((verdict(&found).id, &verdict(&found).judged), (id, &Judged::Wrong(side)), "{found:?}");
        let error = found.check().unwrap_err();
        assert_eq!((error.reason(), error.fact("run")), (Reason::StateDiverged, Some(id.to_string().as_str())));
    }
    // Both have let the log go that says what those runs must be.
    for disk in [&a, &b] {
        let first = std::mem::take(&mut Node::open(&keeping_all(disk)).unwrap().oldest());
        disk.remove(&Path::new(DIR).join("wal").join(aerodb::wal::file_name(first))).unwrap();
    }
    let found = compared_on(&both(&a, &b), false).unwrap();
    assert_eq!((found.relation, found.check()), (Relation::Same, Ok(())));
    let (held, unheld) = (found.runs.held, found.runs.unheld.len() as u64);
    assert!(unheld > 1 && held + unheld == found.runs.only_a + found.runs.only_b, "{found:?}");
    assert!(found.runs.unheld.iter().all(|run| run.why.contains("retired")), "{found:?}");
    assert_eq!(found.state_to(), Some(CommitId(0)));
}

/// M-FLOOR, R-DETERMINISM: what a floor let go is let go by the replay too, where that begins behind the floor's record.
#[test]
fn a_replay_begins_with_the_floor_that_held_there() {
    let a = begun(30);
    for floor in [20, 45, 70, 95] {
        let mut node = Node::open(&keeping_all(&a)).unwrap();
        node.raise_floor(CommitId(floor)).unwrap();
        node.close().unwrap();
        go_on(&a, 25, floor);
    }
    let mut judged = 0;
    for (index, id) in runs_of(&a).into_iter().enumerate() {
        let b = copied(&a);
        forge(&b, index);
        let found = compared_on(&both(&a, &b), false).unwrap();
        assert_eq!(verdict(&found).judged, Judged::Wrong(Side::B), "{id}: {found:?}");
        judged += u64::from(id.first > CommitId(20));
    }
    assert!(judged > 1, "{judged} runs begin behind a floor");
}

/// Log that a side has lost is refused, and is not a beginning of the other's.
#[test]
fn a_log_that_is_cut_short_is_refused() {
    let a = begun(90);
    let newest = |disk: &SimDisk| {
        disk.paths().into_iter().rfind(|path| path.extension().is_some_and(|end| end == "seg")).unwrap()
    };
    let b = copied(&a);
    let bytes = b.contents(&newest(&b)).unwrap();
    b.overwrite(&newest(&b), &bytes[..600]);
    assert_eq!(refused(&a, &b).reason(), Reason::WalTruncated);
    let backup = backed_up(&a);
    let bytes = backup.contents(&newest(&backup)).unwrap();
    backup.overwrite(&newest(&backup), &bytes[..600]);
    assert_eq!(refused(&a, &backup).reason(), Reason::BackupCorrupt);
}

/// Both may be wrong, each in its way.
#[test]
fn where_neither_run_is_what_the_log_yields_both_are_wrong() {
    let (a, b) = (begun(90), begun(90));
    let id = forge(&a, 1);
    edit(&b, |manifest| {
        let run = &mut manifest.plan.runs[1];
        let mut bytes = b.contents(&run_path(run.id)).unwrap();
        bytes[50] ^= 1;
        run.hash = xxhash_rust::xxh3::xxh3_128(&bytes);
        b.overwrite(&run_path(run.id), bytes);
    });
    let found = compared_on(&both(&a, &b), false).unwrap();
    assert_eq!((verdict(&found).id, &verdict(&found).judged), (id, &Judged::Both));
    assert_eq!(
        verdict(&found).spots.iter().map(|(side, spot)| (*side, spot.offset)).collect::<Vec<_>>(),
        [(Side::A, 40), (Side::B, 50)]
    );
}

/// D-CORRUPT: rot in a run is named with the run, and the side that has it is the one that is wrong.
#[test]
fn a_run_that_does_not_verify_is_told_and_judged() {
    let a = begun(90);
    let id = runs_of(&a)[0];
    let rotten = copied(&a);
    let mut bytes = rotten.contents(&run_path(id)).unwrap();
    bytes[40] ^= 1;
    rotten.overwrite(&run_path(id), bytes);
    let gone = copied(&a);
    gone.remove(&run_path(id)).unwrap();
    for (b, reason) in [(&rotten, Reason::StoreRunCorrupt), (&gone, Reason::StoreRunMissing)] {
        let found = compared_on(&both(&a, b), false).unwrap();
        assert_eq!((found.relation, found.runs.different.len()), (Relation::Same, 0));
        assert_eq!(
            found.runs.damaged.iter().map(|damage| (damage.id, damage.side)).collect::<Vec<_>>(),
            [(id, Side::B)]
        );
        assert_eq!(verdict(&found).judged, Judged::Wrong(Side::B));
        assert_eq!(found.check().unwrap_err().reason(), reason);
    }
    // A run that only one side has is read as well.
    let behind = begun(3);
    let found = compared_on(&both(&rotten, &behind), false).unwrap();
    assert_eq!(
        (found.relation, verdict(&found).judged.clone()),
        (Relation::Prefix { shorter: Side::B }, Judged::Wrong(Side::A))
    );
}

/// Where the log of a run is gone, nobody can say; and that is said, not guessed.
#[test]
fn where_the_log_was_retired_it_cannot_be_told_whose_run_is_wrong() {
    let a = begun(200);
    let retire = |disk: &SimDisk| {
        let mut node = Node::open(&options(disk)).unwrap();
        node.checkpoint(Purpose::Checkpoint).unwrap();
        node.maintain().unwrap();
        node.close().unwrap();
    };
    retire(&a);
    let b = copied(&a);
    forge(&b, 0);
    let found = compared_on(&both(&a, &b), false).unwrap();
    let Judged::Unknown(why) = &verdict(&found).judged else { panic!("{found:?}") };
    assert!(why.contains("retired before the first commit of the run"), "{why}");
    assert_eq!(found.check().unwrap_err().reason(), Reason::StateDiverged);
    // The log of either side will do.
    let all = begun(200);
    let node = Node::open(&keeping_all(&all)).unwrap();
    node.close().unwrap();
    go_on(&all, 0, 0);
    let mut node = Node::open(&keeping_all(&all)).unwrap();
    node.checkpoint(Purpose::Checkpoint).unwrap();
    node.maintain().unwrap();
    node.close().unwrap();
    let found = compared_on(&both(&b, &all), false).unwrap();
    assert_eq!(verdict(&found).judged, Judged::Wrong(Side::A), "{found:?}");
}

/// What is replayed on a disk is in no side, and goes with the directory that was made for it.
#[test]
fn a_directory_for_what_is_replayed_is_used_and_removed() {
    let place = tempfile::tempdir().unwrap();
    let a = begun(90);
    let b = copied(&a);
    forge(&b, 0);
    let options = CompareOptions { thorough: false, scratch: Some(place.path().to_owned()) };
    let on_disk = compared_with(&both(&a, &b), &options).unwrap();
    assert_eq!(on_disk, compared_on(&both(&a, &b), false).unwrap());
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
    // A place that is not there: nothing is told, and nothing is left.
    let options = CompareOptions { thorough: false, scratch: Some(place.path().join("absent")) };
    let found = compared_with(&both(&a, &b), &options).unwrap();
    assert!(matches!(verdict(&found).judged, Judged::Unknown(_)), "{found:?}");
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
}

/// F-D1: what each side wrote where the logs part, no more of it than a person needs.
#[test]
fn what_each_side_wrote_is_shown_in_part() {
    let a = begun(3);
    let b = copied(&a);
    let put = |disk: &SimDisk, writes: &Writes| {
        let mut node = Node::open(&keeping_all(disk)).unwrap();
        node.commit(batch(writes)).unwrap();
        node.close().unwrap();
    };
    let long = vec![7; 1000];
    put(&a, &vec![(b"gone".to_vec(), None), (long.clone(), Some(long.clone())), (b"k".to_vec(), Some(b"v".to_vec()))]);
    put(&b, &(0..40u8).map(|key| (vec![key], Some(vec![]))).collect());
    let found = compared(&a, &b);
    let Relation::Diverged(Fork::Behind { a: step_a, .. }) = found.relation else { panic!("{found:?}") };
    let (Ok(Written { kind, after, said: Said::Commit { first, count } }), Ok(wrote_b)) = found.wrote.unwrap() else {
        panic!()
    };
    assert_eq!((kind, after, count), (Kind::Commit, step_a.after, 3));
    let excerpt = |bytes: &[u8]| Excerpt { beginning: bytes[..bytes.len().min(64)].to_vec(), len: bytes.len() };
    let expected =
        [(excerpt(b"gone"), None), (excerpt(&long), Some(excerpt(&long))), (excerpt(b"k"), Some(excerpt(b"v")))];
    assert_eq!(first, expected);
    let Said::Commit { first, count } = wrote_b.said else { panic!() };
    assert_eq!((first.len(), count), (16, 40));
}

/// A backup of a directory, on its disk.
fn backed_up(disk: &SimDisk) -> SimDisk {
    let copy = copied(disk);
    aerodb::backup::backup(&keeping_all(&copy), Path::new("/backup"), &mut |_, _| {}).unwrap();
    let backup = SimDisk::new();
    for path in copy.paths() {
        if let Ok(name) = path.strip_prefix("/backup") {
            let to = Path::new(DIR).join(name);
            for parent in to.ancestors().skip(1).collect::<Vec<_>>().into_iter().rev() {
                backup.create_dir(parent).unwrap();
            }
            backup.overwrite(&to, copy.contents(&path).unwrap());
        }
    }
    backup
}

/// FMT-BACKUP: a backup is compared where it lies, with a directory or with another backup.
#[test]
fn a_backup_is_compared_like_a_directory() {
    let a = begun(90);
    let backup = backed_up(&a);
    let found = compared(&a, &backup);
    // Taking it has cut the log.
    assert_eq!(
        (found.relation, &found.a.place, &found.b.place),
        (Relation::Prefix { shorter: Side::A }, &Place::Directory, &Place::Backup)
    );
    found.check().unwrap();
    assert_eq!(compared(&backup, &backup).relation, Relation::Same);

    let fork = copied(&a);
    go_on(&fork, 30, 7);
    let later = backed_up(&fork);
    let found = compared(&backup, &later);
    let Relation::Diverged(Fork::Behind { common, a: step_a, b: step_b }) = found.relation else { panic!("{found:?}") };
    assert_eq!((common.commit, step_a.kind, step_b.kind), (CommitId(90), Kind::Cut, Kind::Commit));
    let (Ok(wrote), Ok(_)) = found.wrote.unwrap() else { panic!() };
    assert_eq!(wrote.said, Said::Cut(Purpose::Backup));
}

/// FMT-BACKUP, D-CORRUPT: of a backup nothing is believed that is not what was backed up.
#[test]
fn a_backup_whose_files_are_others_is_refused() {
    let a = begun(90);
    let backup = backed_up(&a);
    let longer = copied(&a);
    go_on(&longer, 60, 7);
    let names = backup.paths();
    let mut refused_files = 0;
    for path in names.iter().filter(|path| !path.ends_with("LOCK")) {
        let rotten = copied(&backup);
        let mut bytes = rotten.contents(path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        rotten.overwrite(path, bytes);
        let is_run = path.extension().is_some_and(|end| end == "run");
        match compared_on(&both(&longer, &rotten), false) {
            Err(error) => {
                assert!([Reason::BackupCorrupt].contains(&error.reason()), "{path:?}: {error}");
                refused_files += 1;
            }
            Ok(found) if is_run => {
                assert!(found.runs.damaged.iter().all(|damage| damage.side == Side::B), "{path:?}: {found:?}");
            }
            // A segment that nothing had to be known of.
            Ok(_) => assert!(path.extension().is_some_and(|end| end == "seg"), "{path:?}"),
        }
        assert_eq!(compared_on(&both(&longer, &rotten), true).unwrap_err().reason(), Reason::BackupCorrupt, "{path:?}");
    }
    assert!(refused_files > 4, "{refused_files}");
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
