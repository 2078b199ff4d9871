//! Verify: every byte that counts is proven, and none is changed.
//!
//! A small database on a simulated disk is damaged at each bit and cut at each length; verify must refuse it by name, or the
//! damage must lie where nothing counts and be told as such. And it must see what no checksum sees: a store that is sound in itself
//! and is not that of this log.

mod world;

use aerodb::commit_id::CommitId;
use aerodb::disk::{Disk, Fault, RealDisk, SimDisk};
use aerodb::record::Purpose;
use aerodb::store::manifest::Manifest;
use aerodb::verify::{Proof, VerifyOptions, verify};
use aerodb::{Init, Node, Options, Reason, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use world::{DIR, Dice, Writes, batch, init_options, new_node, options, shared, tiny};

fn verified(disk: &SimDisk) -> Result<Proof> {
    verify(&VerifyOptions { dir: PathBuf::from(DIR), disk: shared(disk) }, &mut |_, _| {})
}

fn reason(disk: &SimDisk) -> Option<Reason> {
    verified(disk).err().map(|error| error.reason())
}

fn files(disk: &SimDisk) -> BTreeMap<PathBuf, Vec<u8>> {
    disk.paths().into_iter().map(|path| (path.clone(), disk.contents(&path).unwrap())).collect()
}

/// A few keys, over and over: overwritten, deleted, one large value a time.
fn writes(dice: &mut Dice) -> Writes {
    let mut writes = Writes::new();
    for _ in 0..=dice.below(3) {
        let key = format!("key-{}", dice.below(12)).into_bytes();
        let value = vec![dice.roll() as u8; dice.below(60) as usize];
        writes.push((key, (dice.below(4) > 0).then_some(value)));
    }
    writes
}

/// A node with this many commits, and a floor that follows them at a distance.
fn filled(commits: u64, seed: u64) -> (SimDisk, Node) {
    let (disk, mut node) = new_node();
    let mut dice = Dice(seed);
    for commit in 1..=commits {
        node.commit(batch(&writes(&mut dice))).unwrap();
        if commit % 7 == 0 {
            node.raise_floor(CommitId(commit - 4)).unwrap();
        }
        if commit % 5 == 0 {
            node.maintain().unwrap();
        }
    }
    (disk, node)
}

/// Few commits, but two segments and two runs, and records behind the checkpoint.
fn small() -> SimDisk {
    let (disk, mut node) = new_node();
    let mut dice = Dice(3);
    for commit in 1..=9u8 {
        let mut writes = writes(&mut dice);
        writes.push((vec![commit], Some(vec![commit; 400])));
        node.commit(batch(&writes)).unwrap();
    }
    node.raise_floor(CommitId(3)).unwrap();
    node.checkpoint(Purpose::Checkpoint).unwrap();
    node.maintain().unwrap();
    node.commit(batch(&writes(&mut dice))).unwrap();
    node.close().unwrap();
    disk
}

/// D-CORRUPT, P5-I2: a proof counts what there is, and writes nothing, not even after the end of a process.
#[test]
fn verify_proves_what_there_is_and_changes_nothing() {
    let (disk, node) = filled(120, 1);
    drop(node);
    let (before, operations) = (files(&disk), disk.operations());
    let mut told = Vec::new();
    let proof =
        verify(&VerifyOptions { dir: DIR.into(), disk: shared(&disk) }, &mut |done, total| told.push((done, total)))
            .unwrap();
    assert_eq!(files(&disk), before);
    assert_eq!(disk.operations(), operations);
    assert!(told.is_sorted() && told.iter().all(|(done, total)| done <= total));
    assert!(told.last().is_some_and(|(done, total)| done == total));

    let node = Node::open(&options(&disk)).unwrap();
    assert_eq!(proof.identity, node.report().identity);
    assert_eq!((proof.log_end, proof.checkpoint), (node.durable(), node.report().checkpoint));
    assert_eq!((proof.log_oldest, proof.floor), (node.report().log.oldest, node.report().floor));
    assert_eq!(proof.floor, CommitId(115));
    assert_eq!(proof.log_bytes, proof.log_end.position.since(proof.log_oldest));
    assert!(proof.log_oldest.0 > 0 && proof.segments > 1 && proof.runs > 1 && proof.entries > 0, "{proof:?}");
    assert!(proof.commits < proof.records && proof.commits < 120);
    assert!(proof.tail.blank_bytes > 0);
    assert_eq!((proof.tail.torn_bytes, proof.tail.unmarked_bytes, proof.tail.beyond_bytes), (0, 0, 0));
    assert_eq!(proof.leftovers, Vec::<String>::new());
}

/// R-DETERMINISM, M-FLOOR: the runs are what log and floor demand, with all log kept or only some, however late the merges are.
#[test]
fn every_healthy_directory_agrees_with_its_log() {
    for seed in 0..40 {
        let disk = SimDisk::new();
        Node::init(&init_options(&disk, tiny())).unwrap();
        let mut dice = Dice(seed);
        let mut options = options(&disk);
        if seed % 2 == 0 {
            options.retention = aerodb::committer::Retention::All;
        }
        let mut node = Node::open(&options).unwrap();
        let mut floor = 0;
        for commit in 1..=100 {
            node.commit(batch(&writes(&mut dice))).unwrap();
            match dice.below(12) {
                0 if floor < commit => {
                    floor += 1 + dice.below(commit - floor);
                    node.raise_floor(CommitId(floor)).unwrap();
                }
                1 => drop(node.checkpoint(Purpose::Checkpoint).unwrap()),
                2 => drop(node.step().unwrap()),
                3 => node.maintain().unwrap(),
                _ => {}
            }
            if dice.below(20) == 0 {
                drop(node);
                let proof = verified(&disk).unwrap_or_else(|error| panic!("seed {seed}, commit {commit}: {error}"));
                assert_eq!((proof.log_end.commit, proof.floor), (CommitId(commit), CommitId(floor)), "seed {seed}");
                node = Node::open(&options).unwrap();
            }
        }
    }
}

/// D-CORRUPT: what is refused, or told, of a file with one bit or its end missing.
fn assert_seen(disk: &SimDisk, path: &Path, what: &str) {
    match verified(disk) {
        Err(error) => assert!(error.reason() != Reason::DiskReadFailed, "{what}: {error}"),
        // Behind the log only: what was never written, and what the next opening drops or cuts off.
        Ok(proof) => {
            assert!(path.to_string_lossy().ends_with(".seg"), "{what} is not seen");
            assert!(proof.tail.torn_bytes > 0, "{what} is not seen: {:?}", proof.tail);
        }
    }
}

/// D-CORRUPT, FMT-IDENTITY, FMT-MARK, FMT-SEGMENT, FMT-RECORD, FMT-BLANK, FMT-RUN, FMT-MANIFEST: every flipped bit of every file.
#[test]
fn every_flipped_bit_of_every_file_is_seen() {
    let disk = small();
    let proof = verified(&disk).unwrap();
    assert!(proof.segments == 2 && proof.runs >= 2 && proof.checkpoint != proof.log_end, "{proof:?}");
    for (path, bytes) in files(&disk) {
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            disk.overwrite(&path, &flipped);
            assert_seen(&disk, &path, &format!("bit {bit} of {}", path.display()));
        }
        disk.overwrite(&path, &bytes);
    }
    assert_eq!(verified(&disk), Ok(proof));
}

/// D-CORRUPT: every truncation of every file, and every missing file, by name.
#[test]
fn every_truncated_and_every_missing_file_is_refused_by_name() {
    let disk = small();
    let proof = verified(&disk).unwrap();
    for (path, bytes) in files(&disk) {
        for len in 0..bytes.len() {
            disk.overwrite(&path, &bytes[..len]);
            assert!(verified(&disk).is_err(), "{} of {len} bytes", path.display());
        }
        disk.remove_now(&path);
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let expected = match name.as_str() {
            "LOCK" => None,
            "IDENTITY" => Some(Reason::IdentityCorrupt),
            "MARK" => Some(Reason::WalMarkCorrupt),
            "MANIFEST" => Some(Reason::StoreManifestCorrupt),
            name if name.ends_with(".run") => Some(Reason::StoreRunMissing),
            _ => Some(Reason::WalSegmentMissing),
        };
        // Without its oldest segment the log has a gap only if the checkpoint needs it: here it is like retired log.
        let oldest = name == aerodb::wal::file_name(aerodb::Position(0));
        if oldest {
            assert_eq!(verified(&disk).map(|proof| proof.segments), Ok(1));
        } else {
            assert_eq!(reason(&disk), expected, "{}", path.display());
        }
        disk.overwrite(&path, &bytes);
    }
    assert_eq!(verified(&disk), Ok(proof));
}

/// D-CORRUPT: longer files hide nothing.
#[test]
fn bytes_behind_the_end_of_a_file_are_refused_or_told() {
    let disk = small();
    for (path, bytes) in files(&disk).into_iter().filter(|(path, _)| !path.ends_with("LOCK")) {
        disk.overwrite(&path, [&bytes[..], b"more"].concat());
        match verified(&disk) {
            Ok(proof) => {
                assert!(path.ends_with(aerodb::wal::file_name(proof_newest(&disk))), "{}", path.display());
                assert_eq!(proof.tail.beyond_bytes, 4);
            }
            Err(error) => {
                let expected = [
                    Reason::IdentityCorrupt,
                    Reason::WalMarkCorrupt,
                    Reason::WalSegmentCorrupt,
                    Reason::StoreManifestCorrupt,
                    Reason::StoreRunCorrupt,
                ];
                assert!(expected.contains(&error.reason()), "{}: {error}", path.display());
            }
        }
        disk.overwrite(&path, &bytes);
    }
}

fn proof_newest(disk: &SimDisk) -> aerodb::Position {
    let names = disk.list(&Path::new(DIR).join("wal")).unwrap().unwrap();
    names.iter().filter_map(|name| aerodb::wal::parse_name(name)).max().unwrap()
}

/// What nobody knows is named, not passed over.
#[test]
fn files_that_do_not_count_are_named() {
    let disk = small();
    let dir = Path::new(DIR);
    let later = aerodb::wal::file_name(aerodb::Position(1 << 40));
    let replaced = "00-00000000000000000001-00000000000000000001.run";
    let mut expected = Vec::new();
    for name in ["notes.txt", "IDENTITY.tmp", "store/MANIFEST.tmp", "store/other", "wal/x.seg"] {
        expected.push(name.to_owned());
    }
    expected.push(format!("store/{replaced}"));
    for name in &expected {
        disk.overwrite(&dir.join(name), b"?");
    }
    let mut found = verified(&disk).unwrap().leftovers;
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    // A segment that no unfinished roll can have left says that the mark is old: it counts.
    disk.overwrite(&dir.join("wal").join(later), b"?");
    assert_eq!(reason(&disk), Some(Reason::WalMarkBehind));
}

/// R-WRITER: who has the directory open is not looked over the shoulder.
#[test]
fn verify_takes_the_lock() {
    let (disk, node) = filled(3, 1);
    assert_eq!(reason(&disk), Some(Reason::DirLocked));
    drop(node);
    assert_eq!(reason(&disk), None);
}

/// D-TAIL, F-P1: a torn tail and an unmarked record are told and left to the next opening, which does what was told.
#[test]
fn the_tail_is_told_as_the_next_opening_will_treat_it() {
    let (disk, mut node) = filled(20, 5);
    let wal = Path::new(DIR).join("wal");
    let mark = disk.contents(&wal.join("MARK")).unwrap();
    let before = node.durable();
    let large = vec![(b"large".to_vec(), Some(vec![7; 700]))];
    node.commit(batch(&large)).unwrap();
    let after = node.durable();
    drop(node);
    let newest = proof_newest(&disk);
    assert!(newest < before.position, "the group is in the segment that the old mark knows");
    disk.overwrite(&wal.join("MARK"), &mark);
    let proof = verified(&disk).unwrap();
    assert_eq!(proof.log_end, after);
    assert_eq!(proof.tail.unmarked_bytes, after.position.since(before.position));

    // The sectors of the record's second half were never written.
    let path = wal.join(aerodb::wal::file_name(newest));
    let mut bytes = disk.contents(&path).unwrap();
    let (fresh, _) = filled(20, 5);
    let blank = fresh.contents(&path).unwrap();
    let cut = (aerodb::wal::offset(newest, before.position) as usize).next_multiple_of(512);
    assert!(cut < aerodb::wal::offset(newest, after.position) as usize);
    bytes.truncate(blank.len());
    bytes[cut..blank.len()].copy_from_slice(&blank[cut..]);
    disk.overwrite(&path, &bytes);
    let proof = verified(&disk);
    let Ok(proof) = proof else { panic!("{proof:?}") };
    assert_eq!(proof.log_end, before);
    assert!(proof.tail.torn_bytes > 0);
    let node = Node::open(&options(&disk)).unwrap();
    assert_eq!((node.durable(), node.report().log.torn_bytes), (before, proof.tail.torn_bytes));
}

/// A store that is sound in itself, under the checkpoint of another log.
fn transplanted(log: &SimDisk, store: &SimDisk) -> SimDisk {
    let disk = log.image().restart();
    let directory = Path::new(DIR).join("store");
    let read = |disk: &SimDisk| {
        let bytes = disk.contents(&directory.join("MANIFEST")).unwrap();
        Manifest::decode(&bytes).unwrap()
    };
    let mixed = Manifest { point: read(log).point, floor: read(log).floor, ..read(store) };
    for (path, _) in files(&disk).into_iter().filter(|(path, _)| path.extension().is_some_and(|end| end == "run")) {
        disk.remove_now(&path);
    }
    for (path, bytes) in files(store).into_iter().filter(|(path, _)| path.starts_with(&directory)) {
        disk.overwrite(&path, bytes);
    }
    disk.overwrite(&directory.join("MANIFEST"), mixed.encode());
    disk
}

fn checkpointed(history: &[Writes], floor: u64) -> SimDisk {
    let (disk, mut node) = new_node();
    for writes in history {
        node.commit(batch(writes)).unwrap();
    }
    if floor > 0 {
        node.raise_floor(CommitId(floor)).unwrap();
    }
    node.checkpoint(Purpose::Checkpoint).unwrap();
    node.maintain().unwrap();
    node.close().unwrap();
    disk
}

fn put(key: &str, value: &str) -> (Vec<u8>, Option<Vec<u8>>) {
    (key.into(), Some(value.into()))
}

fn delete(key: &str) -> (Vec<u8>, Option<Vec<u8>>) {
    (key.into(), None)
}

/// R-DETERMINISM, M-FLOOR, D-CORRUPT: runs whose hashes hold, and whose versions are not those of the log, are found out: another
/// value, a version too many, one too few, one that only a floor excuses, and one that no tombstone excuses.
#[test]
fn a_store_that_is_not_the_logs_is_refused_though_every_checksum_holds() {
    let base = vec![vec![put("a", "1"), put("b", "1")], vec![put("a", "2")], vec![put("c", "3")]];
    let with = |index: usize, writes: Writes| {
        let mut history = base.clone();
        history[index] = writes;
        history
    };
    let others = [
        ("another value", with(2, vec![put("c", "4")])),
        ("another key", with(2, vec![put("d", "3")])),
        ("a tombstone for a value", with(2, vec![delete("c")])),
        ("a version more", with(2, vec![put("c", "3"), put("d", "1")])),
        ("a version less", with(0, vec![put("a", "1")])),
        ("a version less below the floor", with(1, vec![put("b", "2")])),
    ];
    for floor in [0, 3] {
        let log = checkpointed(&base, floor);
        assert_eq!(reason(&log), None);
        assert_eq!(reason(&transplanted(&log, &checkpointed(&base, floor))), None);
        for (what, other) in &others {
            let mixed = transplanted(&log, &checkpointed(other, floor));
            // With the floor at 3 the versions of "a" and "b" that newer ones cover are gone from both.
            assert_eq!(reason(&mixed), Some(Reason::StoreOtherLog), "{what}, floor {floor}");
        }
    }
    // Under the same log a store that another floor made.
    let low = checkpointed(&base, 2);
    let high = checkpointed(&base, 3);
    assert_eq!(reason(&transplanted(&high, &low)), Some(Reason::StoreOtherLog));
    assert_eq!(reason(&transplanted(&low, &high)), Some(Reason::StoreRunCorrupt));
    // A key that is gone from the store, and was never deleted in the log.
    let history = vec![vec![put("a", "1"), put("z", "1")], vec![put("b", "1")], vec![put("b", "2")]];
    let gone = vec![vec![put("a", "1"), put("z", "1")], vec![put("b", "1"), delete("a")], vec![put("b", "2")]];
    let mixed = transplanted(&checkpointed(&history, 3), &checkpointed(&gone, 3));
    assert_eq!(reason(&mixed), Some(Reason::StoreOtherLog));
    assert_eq!(reason(&checkpointed(&gone, 3)), None);
}

/// R-PREFIX and D-CORRUPT on one node: a log that is older than its store, or another, is told from a damaged one.
#[test]
fn log_and_store_of_two_moments_are_refused_by_name() {
    let (disk, mut node) = filled(30, 9);
    let older = disk.image().restart();
    for _ in 0..30 {
        node.commit(batch(&vec![put("k", "v")])).unwrap();
    }
    node.checkpoint(Purpose::Checkpoint).unwrap();
    node.maintain().unwrap();
    node.close().unwrap();
    let store = Path::new(DIR).join("store");
    for (path, bytes) in files(&disk).into_iter().filter(|(path, _)| path.starts_with(&store)) {
        older.overwrite(&path, bytes);
    }
    assert_eq!(reason(&older), Some(Reason::WalBehindCheckpoint));

    let manifest = store.join("MANIFEST");
    let mut moved = Manifest::decode(&disk.contents(&manifest).unwrap()).unwrap();
    moved.point.history.0 ^= 1;
    disk.overwrite(&manifest, moved.encode());
    assert_eq!(reason(&disk), Some(Reason::StoreOtherLog));
    moved.database_id.0[0] ^= 1;
    disk.overwrite(&manifest, moved.encode());
    assert_eq!(reason(&disk), Some(Reason::IdentityOtherDatabase));
}

/// F-D2: a read that fails is refused as what it is, wherever it fails, and never taken for corruption or for health.
#[test]
fn every_failed_read_is_refused_as_a_failed_read() {
    let disk = small();
    let (image, first) = (disk.image(), disk.reads());
    verified(&disk).unwrap();
    let reads = disk.reads() - first;
    for number in 0..reads {
        let disk = image.restart();
        disk.fail_read(disk.reads() + number, Fault::Eio);
        let failed = reason(&disk);
        let expected = [Some(Reason::DiskReadFailed), Some(Reason::DiskNameFailed)];
        assert!(expected.contains(&failed), "read {number}: {failed:?}");
    }
    assert!(reads > 20);
}

/// The same on the disk of the machine.
#[test]
fn a_real_directory_is_proven() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("db");
    Node::init(&Init { parameters: tiny(), ..Init::standalone(&dir) }).unwrap();
    let mut node = Node::open(&Options::new(&dir)).unwrap();
    let mut dice = Dice(11);
    for _ in 0..200 {
        node.commit(batch(&writes(&mut dice))).unwrap();
    }
    node.maintain().unwrap();
    node.close().unwrap();
    let proof = verify(&VerifyOptions { dir: dir.clone(), disk: Arc::new(RealDisk) }, &mut |_, _| {}).unwrap();
    assert_eq!(proof.commits, 200);
    assert!(proof.runs > 0);
    let elsewhere = VerifyOptions { dir: scratch.path().join("nothing"), disk: Arc::new(RealDisk) };
    assert_eq!(verify(&elsewhere, &mut |_, _| {}).unwrap_err().reason(), Reason::DirNotFound);
}
