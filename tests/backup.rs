//! Backup and restore: a whole copy at a cut, or none.
//!
//! Told on a simulated disk: the round trip with every view that the floor keeps; every flipped bit and every truncation of a small
//! backup; a crash and a failure at every disk call of backup and of restore, after which the source is what it was and the copy is
//! complete or refused.

mod world;

use aerodb::backup::{self, BackupReport, RestoreOptions};
use aerodb::commit_id::CommitId;
use aerodb::disk::{Crash, Disk, Fault, RealDisk, SimDisk, SimImage};
use aerodb::verify::{VerifyOptions, verify};
use aerodb::{Id, Init, Node, Options, Reason, Result, Role};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use world::{DIR, Dice, Rows, Writes, batch, fold, init_options, listing, options, rows_at, shared, tiny};

const OUT: &str = "/backup";
const NEW: &str = "/new";

fn take(disk: &SimDisk) -> Result<BackupReport> {
    backup::backup(&options(disk), Path::new(OUT), &mut |_, _| {})
}

fn restore_to(disk: &SimDisk, dir: &str) -> Result<BackupReport> {
    let options = RestoreOptions {
        disk: shared(disk),
        backup: PathBuf::from(OUT),
        dir: PathBuf::from(dir),
        role: None,
        node_id: Some(Id([0xee; 16])),
        blank_seed: Some(0xb1a),
        extend_bytes: 1024,
    };
    backup::restore_with(&options, &mut |_, _| {})
}

fn check(disk: &SimDisk) -> Result<BackupReport> {
    backup::check(disk, Path::new(OUT), &mut |_, _| {})
}

fn options_of(disk: &SimDisk, dir: &str) -> Options {
    Options { dir: PathBuf::from(dir), ..options(disk) }
}

fn files(disk: &SimDisk, below: &str) -> BTreeMap<PathBuf, Vec<u8>> {
    let paths = disk.paths().into_iter().filter(|path| path.starts_with(below));
    let relative = |path: &Path| path.strip_prefix(below).unwrap().to_owned();
    paths.map(|path| (relative(&path), disk.contents(&path).unwrap())).collect()
}

/// A closed node, and the commits in it.
fn filled(role: Role, commits: usize, seed: u64) -> (SimDisk, Vec<Writes>) {
    let disk = SimDisk::new();
    Node::init(&Init { role, ..init_options(&disk, tiny()) }).unwrap();
    if !role.writes() {
        return (disk, Vec::new());
    }
    let mut node = Node::open(&options(&disk)).unwrap();
    let mut dice = Dice(seed);
    let mut history = Vec::new();
    for _ in 0..commits {
        let mut writes = Writes::new();
        for _ in 0..=dice.below(3) {
            let key = format!("key-{}", dice.below(20)).into_bytes();
            let value = vec![dice.roll() as u8; dice.below(80) as usize];
            writes.push((key, (dice.below(4) > 0).then_some(value)));
        }
        node.commit(batch(&writes)).unwrap();
        history.push(writes);
    }
    if commits > 10 {
        node.raise_floor(CommitId(commits as u64 - 10)).unwrap();
    }
    node.maintain().unwrap();
    node.close().unwrap();
    (disk, history)
}

/// The rows at the newest commit, and that it is the last of the history.
fn newest(disk: &SimDisk, dir: &str) -> (CommitId, Rows) {
    let node = Node::open(&options_of(disk, dir)).unwrap();
    let commit = node.store().commit();
    (commit, rows_at(&node, commit).unwrap())
}

fn assert_whole(disk: &SimDisk, dir: &str, history: &[Writes], what: &str) {
    verify(&VerifyOptions { dir: dir.into(), disk: shared(disk) }, &mut |_, _| {})
        .unwrap_or_else(|error| panic!("{what}: {dir}: {error}"));
    assert_eq!(newest(disk, dir), (CommitId(history.len() as u64), fold(history, history.len())), "{what}: {dir}");
}

/// R-CUT, FMT-BACKUP, M-VIEW: all that the source could show at its cut the restored node shows, and it goes on from there.
#[test]
fn a_restored_node_shows_every_view_that_the_source_had_and_goes_on() {
    let roles: &[Role] =
        if cfg!(feature = "replication") { &[Role::Standalone, Role::Primary] } else { &[Role::Standalone] };
    for role in roles.iter().copied() {
        let (disk, mut history) = filled(role, 80, 7);
        let mut told = Vec::new();
        let taken =
            backup::backup(&options(&disk), Path::new(OUT), &mut |done, total| told.push((done, total))).unwrap();
        assert!(told.is_sorted() && told.iter().all(|(done, total)| done <= total), "{told:?}");
        assert_eq!(told.last(), Some(&(taken.bytes * 2, taken.bytes * 2)));
        assert_eq!(taken.identity.role, role);
        assert_eq!(check(&disk), Ok(taken));
        assert_eq!(taken.files, files(&disk, OUT).len() as u64 - 1);

        let mut told = Vec::new();
        let mut new = RestoreOptions::new(shared(&disk), Path::new(OUT), Path::new(NEW));
        new.extend_bytes = 1024;
        let restored = backup::restore_with(&new, &mut |done, total| told.push((done, total))).unwrap();
        assert!(told.is_sorted() && told.last().is_some_and(|(done, total)| done == total), "{told:?}");
        assert_eq!((restored.cut, restored.bytes), (taken.cut, taken.bytes));
        assert_eq!(restored.identity, aerodb::Identity { node_id: restored.identity.node_id, ..taken.identity });
        assert_ne!(restored.identity.node_id, taken.identity.node_id, "two nodes never share an id");

        let source = Node::open(&options(&disk)).unwrap();
        let mut copy = Node::open(&options_of(&disk, NEW)).unwrap();
        assert_eq!((source.durable(), copy.durable()), (taken.cut, taken.cut));
        assert_eq!(copy.report().records_replayed, 0, "the runs hold everything up to the cut");
        let floor = copy.report().floor;
        assert_eq!((floor, source.report().floor), (CommitId(70), CommitId(70)));
        for commit in floor.0..=80 {
            let rows = rows_at(&copy, CommitId(commit)).unwrap();
            assert_eq!(rows, rows_at(&source, CommitId(commit)).unwrap());
            assert_eq!(rows, fold(&history, commit as usize));
        }
        let below = rows_at(&copy, CommitId(floor.0 - 1)).unwrap_err();
        assert_eq!(below.reason(), Reason::ViewBelowFloor);
        for number in 0..30u8 {
            let writes = vec![(vec![number], Some(vec![number; 100]))];
            assert_eq!(copy.commit(batch(&writes)).unwrap(), CommitId(history.len() as u64 + 1));
            history.push(writes);
        }
        copy.maintain().unwrap();
        copy.close().unwrap();
        drop(source);
        assert_whole(&disk, NEW, &history, "after more commits");
        assert_whole(&disk, DIR, &history[..80], "the source");
    }
}

/// R-DETERMINISM: what is copied is byte for byte what it was; only the newest segment ends at the cut.
#[test]
fn runs_manifest_and_log_are_the_same_bytes_in_source_backup_and_copy() {
    let (disk, _) = filled(Role::Standalone, 60, 3);
    let taken = take(&disk).unwrap();
    restore_to(&disk, NEW).unwrap();
    let (source, out, new) = (files(&disk, DIR), files(&disk, OUT), files(&disk, NEW));
    let mut names: Vec<&PathBuf> = out.keys().collect();
    names.retain(|name| !name.ends_with("BACKUP"));
    assert!(names.len() > 5, "{}", listing(&disk));
    for name in names {
        let copied = &out[name];
        assert_eq!(&source[name][..copied.len()], &copied[..], "{}", name.display());
        if !name.ends_with("IDENTITY") {
            assert_eq!(&new[name][..copied.len()], &copied[..], "{}", name.display());
        }
        let newest = source[name].len() != copied.len();
        assert!(!newest || name.starts_with("wal"), "{}", name.display());
    }
    let bytes: usize = out.iter().filter(|(name, _)| !name.ends_with("BACKUP")).map(|(_, bytes)| bytes.len()).sum();
    assert_eq!(bytes as u64, taken.bytes);
}

/// R-WRITER: a replica makes no record, not even for its backup; an empty one has one all the same.
#[test]
#[cfg(feature = "replication")]
fn a_backup_of_a_replica_adds_nothing_to_its_log() {
    let (disk, _) = filled(Role::Replica, 0, 0);
    let before = Node::open(&options(&disk)).unwrap().durable();
    let taken = take(&disk).unwrap();
    assert_eq!(taken.cut, before);
    assert_eq!(Node::open(&options(&disk)).unwrap().durable(), before);
    let restored = restore_to(&disk, NEW).unwrap();
    assert_eq!(restored.identity.role, Role::Replica);
    assert_whole(&disk, NEW, &[], "a replica");
    let error = Node::open(&options_of(&disk, NEW)).unwrap().commit(batch(&vec![(vec![1], None)])).unwrap_err();
    assert_eq!(error.reason(), Reason::RoleNotWriter);
}

/// R-CUT, M-VIEW: what the log holds beyond the checkpoint of a replica is in its backup as log. The replica's files are those of a
/// writer with the same log.
#[test]
#[cfg(feature = "replication")]
fn a_backup_of_a_replica_holds_what_is_beyond_its_checkpoint() {
    let (disk, history) = filled(Role::Primary, 60, 5);
    let replica = aerodb::Identity { role: Role::Replica, ..aerodb::Identity::read(&disk, Path::new(DIR)).unwrap() };
    disk.overwrite(&Path::new(DIR).join("IDENTITY"), replica.encode());
    world::make_replica_state(&disk, &replica);
    let node = Node::open(&options(&disk)).unwrap();
    let (end, replayed) = (node.durable(), node.report().records_replayed);
    assert!(replayed > 0);
    drop(node);
    assert_eq!(take(&disk).unwrap().cut, end);
    restore_to(&disk, NEW).unwrap();
    assert_eq!(Node::open(&options_of(&disk, NEW)).unwrap().report().records_replayed, replayed);
    assert_whole(&disk, NEW, &history, "a replica");
}

/// R-DIVERGENCE: runs that are known not to be those of the primary get into no backup, also where an order came to another halt since; what else
/// halts a replica says nothing against its data.
#[test]
#[cfg(feature = "replication")]
fn a_replica_whose_runs_diverged_is_not_backed_up() {
    use aerodb::replica_state::{Halt, StateStore};
    let (disk, _) = filled(Role::Replica, 0, 0);
    let identity = aerodb::Identity::read(&disk, Path::new(DIR)).unwrap();
    let open = || StateStore::open(&disk, Path::new(DIR), identity.database_id, identity.node_id).unwrap();
    let halt = |reason| Halt { reason, position: aerodb::Position(8), evidence: "another run".to_owned() };
    let (diverged, gone) = (halt(Reason::StateDiverged), halt(Reason::SnapshotGone));
    open().halt(diverged.clone()).unwrap();
    for name in ["state.diverged@8", "snapshot.gone@8"] {
        let refused = take(&disk).unwrap_err();
        assert_eq!((refused.reason(), refused.fact("halt")), (Reason::StateDiverged, Some(name)));
        assert!(disk.list(Path::new(OUT)).unwrap().is_none(), "nothing was made");
        open().halt_instead(&diverged, &gone).unwrap();
    }
    open().clear(gone.reason, gone.position).unwrap();
    open().clear(diverged.reason, diverged.position).unwrap();
    open().halt(halt(Reason::HistoryRetired)).unwrap();
    take(&disk).unwrap();
}

/// Nothing is ever overwritten: not a backup, not a file, not a directory, not a database.
#[test]
fn neither_backup_nor_restore_overwrites_anything() {
    let (disk, history) = filled(Role::Standalone, 20, 1);
    let durable = Node::open(&options(&disk)).unwrap().durable();
    disk.overwrite(Path::new("/file"), b"precious");
    disk.overwrite(Path::new("/full/other"), b"precious");
    disk.create_dir(Path::new("/empty")).unwrap();
    for out in ["/file", "/full", "/empty", DIR, "/"] {
        let before = files(&disk, "/");
        let error = backup::backup(&options(&disk), Path::new(out), &mut |_, _| {}).unwrap_err();
        assert_eq!(error.reason(), Reason::BackupExists, "{out}");
        assert_eq!(files(&disk, "/"), before, "{out}");
    }
    assert_eq!(Node::open(&options(&disk)).unwrap().durable(), durable, "a refused backup leaves no cut");
    take(&disk).unwrap();
    assert_eq!(take(&disk).unwrap_err().reason(), Reason::BackupExists);

    restore_to(&disk, "/empty").unwrap();
    disk.overwrite(Path::new("/half/wal/notes.txt"), b"precious");
    disk.overwrite(Path::new("/half/wal/00000000000000000000.seg"), b"?");
    for dir in [DIR, OUT, "/empty", "/full", "/half"] {
        let before = files(&disk, dir);
        assert_eq!(restore_to(&disk, dir).unwrap_err().reason(), Reason::DirNotEmpty, "{dir}");
        let after: Vec<_> = files(&disk, dir).into_iter().filter(|(name, _)| !name.ends_with("LOCK")).collect();
        let before: Vec<_> = before.into_iter().filter(|(name, _)| !name.ends_with("LOCK")).collect();
        assert_eq!(after, before, "{dir}");
    }
    assert_eq!(restore_to(&disk, "/file").unwrap_err().reason(), Reason::DiskNameFailed);
    assert_whole(&disk, DIR, &history, "the source");
    assert_whole(&disk, "/empty", &history, "the copy");
}

/// R-WRITER: a node that is in use is not backed up, nor is a place where another restore is at work written to.
#[test]
fn a_directory_that_is_in_use_is_refused() {
    let (disk, _) = filled(Role::Standalone, 5, 1);
    let node = Node::open(&options(&disk)).unwrap();
    assert_eq!(take(&disk).unwrap_err().reason(), Reason::DirLocked);
    assert!(files(&disk, OUT).is_empty());
    drop(node);
    take(&disk).unwrap();
    disk.create_dir(Path::new(NEW)).unwrap();
    let lock = disk.lock(&Path::new(NEW).join("LOCK")).unwrap();
    assert_eq!(restore_to(&disk, NEW).unwrap_err().reason(), Reason::DirLocked);
    drop(lock);
    restore_to(&disk, NEW).unwrap();
    let nothing = options_of(&disk, "/nothing");
    let missing = backup::backup(&nothing, Path::new("/elsewhere"), &mut |_, _| {}).unwrap_err();
    assert_eq!(missing.reason(), Reason::DirNotFound);
    let mut wrong = RestoreOptions::new(shared(&disk), Path::new(OUT), Path::new("/odd"));
    wrong.extend_bytes = 100;
    assert_eq!(backup::restore_with(&wrong, &mut |_, _| {}).unwrap_err().reason(), Reason::ConfigInvalid);
}

/// FMT-BACKUP, D-CORRUPT: every flipped bit of every file is refused by name, by check and by restore.
#[test]
fn every_flipped_bit_of_a_backup_is_refused() {
    let (disk, history) = filled(Role::Standalone, 9, 2);
    take(&disk).unwrap();
    let image = disk.image();
    for (name, bytes) in files(&disk, OUT) {
        let path = Path::new(OUT).join(&name);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            disk.overwrite(&path, &flipped);
            let error = check(&disk).unwrap_err();
            assert_eq!(error.reason(), Reason::BackupCorrupt, "bit {bit} of {}", name.display());
            let file = error.fact("file").unwrap();
            assert!(file == path.to_string_lossy() || name.ends_with("store/MANIFEST"), "{file}, {}", name.display());
            let disk = image.restart();
            disk.overwrite(&path, &flipped);
            let error = restore_to(&disk, NEW).unwrap_err();
            assert_eq!(error.reason(), Reason::BackupCorrupt, "bit {bit} of {}", name.display());
            assert_eq!(disk.contents(&Path::new(NEW).join("IDENTITY")), None, "bit {bit} of {}", name.display());
        }
        disk.overwrite(&path, &bytes);
    }
    // What a refused restore left does not stand in the way of another, nor of a new directory.
    restore_to(&disk, NEW).unwrap();
    assert_whole(&disk, NEW, &history, "after damage that was undone");
}

/// FMT-BACKUP, D-CORRUPT: every truncation, a byte too many, and a missing file.
#[test]
fn every_truncation_of_a_backup_is_refused() {
    let (disk, _) = filled(Role::Standalone, 9, 2);
    take(&disk).unwrap();
    let image = disk.image();
    for (name, bytes) in files(&disk, OUT) {
        let path = Path::new(OUT).join(&name);
        let longer = [&bytes[..], b"x"].concat();
        for contents in (0..bytes.len()).map(|len| &bytes[..len]).chain([&longer[..]]) {
            let disk = image.restart();
            disk.overwrite(&path, contents);
            let what = format!("{} bytes of {}", contents.len(), name.display());
            assert_eq!(check(&disk).unwrap_err().reason(), Reason::BackupCorrupt, "{what}");
            assert_eq!(restore_to(&disk, NEW).unwrap_err().reason(), Reason::BackupCorrupt, "{what}");
        }
        let disk = image.restart();
        disk.remove_now(&path);
        let expected = if name.ends_with("BACKUP") { Reason::BackupIncomplete } else { Reason::BackupCorrupt };
        let missing = [check(&disk).unwrap_err().reason(), restore_to(&disk, NEW).unwrap_err().reason()];
        // A missing file is missing whichever is read first.
        assert_eq!(missing, [expected; 2], "{}", name.display());
    }
    let nothing = backup::check(&disk, Path::new("/nothing"), &mut |_, _| {}).unwrap_err();
    assert_eq!(nothing.reason(), Reason::BackupIncomplete);
}

/// D-CORRUPT, P5-I5: a backup whose hashes are those of what does not verify is restored by proof, not by hash, and becomes no
/// database.
#[test]
fn a_backup_made_of_what_does_not_verify_becomes_no_database() {
    let (disk, history) = filled(Role::Standalone, 30, 2);
    take(&disk).unwrap();
    let image = disk.image();
    let backup = Path::new(OUT).join("BACKUP");
    let listed = disk.contents(&backup).unwrap();
    let mut tried = 0;
    for (name, bytes) in files(&disk, OUT).into_iter().filter(|(name, _)| name.starts_with("wal")) {
        let disk = image.restart();
        let mut forged = bytes.clone();
        forged[512 + 40] ^= 1;
        disk.overwrite(&Path::new(OUT).join(&name), &forged);
        let hash = |bytes: &[u8]| xxhash_rust::xxh3::xxh3_128(bytes).to_le_bytes();
        let mut listing = listed.clone();
        let at = listing.windows(16).position(|window| window == hash(&bytes)).unwrap();
        listing[at..at + 16].copy_from_slice(&hash(&forged));
        let end = listing.len() - 4;
        let crc = crc32c::crc32c(&listing[..end]);
        listing[end..].copy_from_slice(&crc.to_le_bytes());
        disk.overwrite(&backup, &listing);
        assert!(check(&disk).is_ok(), "{}: by its hashes it is whole", name.display());
        assert_eq!(restore_to(&disk, NEW).unwrap_err().reason(), Reason::WalCorrupt, "{}", name.display());
        assert_eq!(Node::open(&options_of(&disk, NEW)).err().map(|error| error.reason()), Some(Reason::DirNotFound));
        tried += 1;
    }
    assert!(tried > 0);
    restore_to(&disk, NEW).unwrap();
    assert_whole(&disk, NEW, &history, "unforged");
}

/// D-CORRUPT: what does not verify in the source gets into no backup.
#[test]
fn damage_of_the_source_is_refused_and_not_copied() {
    let (disk, _) = filled(Role::Standalone, 60, 4);
    let image = disk.image();
    for (name, bytes) in files(&disk, DIR) {
        let text = name.to_string_lossy().into_owned();
        let expected = match text.rsplit_once('.').map_or(text.as_str(), |(_, end)| end) {
            "run" => vec![Reason::StoreRunCorrupt, Reason::StoreBlockCorrupt],
            "seg" => vec![Reason::WalCorrupt, Reason::WalSegmentCorrupt],
            "IDENTITY" => vec![Reason::IdentityCorrupt],
            "store/MANIFEST" => vec![Reason::StoreManifestCorrupt],
            "wal/MARK" => vec![Reason::WalMarkCorrupt],
            _ => continue,
        };
        for at in [9, 300, 600].into_iter().filter(|at| *at < bytes.len()) {
            let disk = image.restart();
            let mut flipped = bytes.clone();
            flipped[at] ^= 4;
            disk.overwrite(&Path::new(DIR).join(&name), &flipped);
            let reason = take(&disk).unwrap_err().reason();
            assert!(expected.contains(&reason), "byte {at} of {text}: {reason}");
            assert_eq!(check(&disk).unwrap_err().reason(), Reason::BackupIncomplete, "byte {at} of {text}");
        }
    }
}

/// R-CUT: a copy that the disk did not keep as it was written is refused before it counts.
#[test]
fn a_backup_is_read_back_before_it_counts() {
    let (disk, _) = filled(Role::Standalone, 10, 4);
    let mut half = false;
    let reader = disk.clone();
    let outcome = backup::backup(&options(&disk), Path::new(OUT), &mut |done, total| {
        if done * 2 == total && !half {
            half = true;
            let path = Path::new(OUT).join("IDENTITY");
            let mut bytes = reader.contents(&path).unwrap();
            bytes[100] ^= 1;
            reader.overwrite(&path, &bytes);
        }
    });
    assert!(half);
    assert_eq!(outcome.unwrap_err().reason(), Reason::BackupCorrupt);
    assert_eq!(check(&disk).unwrap_err().reason(), Reason::BackupIncomplete);
}

/// F-RC1 and FMT-BACKUP. A backup crashes at every disk call, in every variant: the source holds what was acknowledged, what is at the
/// place of the backup is a whole backup or refused, and a backup to another place succeeds.
#[test]
fn a_crash_at_every_operation_of_a_backup_leaves_the_source_and_a_whole_copy_or_none() {
    let (disk, history) = filled(Role::Standalone, 24, 6);
    disk.record_images(true);
    take(&disk).unwrap();
    let images = disk.take_images();
    let (mut whole, mut refused) = (0, 0);
    for (number, image) in images.iter().enumerate() {
        for variant in Crash::ALL {
            let what = format!("operation {number}, {variant:?}");
            let disk = image.crash(variant, number as u64);
            match check(&disk) {
                Ok(_) => {
                    whole += 1;
                    restore_to(&disk, NEW).unwrap_or_else(|error| panic!("{what}: {error}"));
                    assert_whole(&disk, NEW, &history, &what);
                }
                Err(error) => {
                    refused += 1;
                    assert_eq!(error.reason(), Reason::BackupIncomplete, "{what}");
                    assert_eq!(restore_to(&disk, NEW).unwrap_err().reason(), Reason::BackupIncomplete, "{what}");
                }
            }
            assert_whole(&disk, DIR, &history, &what);
            backup::backup(&options(&disk), Path::new("/again"), &mut |_, _| {})
                .unwrap_or_else(|error| panic!("{what}: {error}"));
        }
    }
    assert!(whole > 0 && refused > 100, "{whole} whole, {refused} refused");
}

/// F-RC1 and FMT-IDENTITY. A restore crashes at every disk call, in every variant: the directory is the whole database or none, and the
/// same restore again succeeds.
#[test]
fn a_crash_at_every_operation_of_a_restore_leaves_a_whole_database_or_none() {
    let (disk, history) = filled(Role::Standalone, 24, 6);
    take(&disk).unwrap();
    disk.record_images(true);
    restore_to(&disk, NEW).unwrap();
    let images = disk.take_images();
    let (mut whole, mut none) = (0, 0);
    for (number, image) in images.iter().enumerate() {
        for variant in Crash::ALL {
            let what = format!("operation {number}, {variant:?}");
            let disk = image.crash(variant, number as u64);
            let again = match Node::open(&options_of(&disk, NEW)).err() {
                None => {
                    whole += 1;
                    assert_whole(&disk, NEW, &history, &what);
                    "/elsewhere"
                }
                Some(error) => {
                    none += 1;
                    assert_eq!(error.reason(), Reason::DirNotFound, "{what}");
                    NEW
                }
            };
            restore_to(&disk, again).unwrap_or_else(|error| panic!("{what}: {error}\n{}", listing(&disk)));
            assert_whole(&disk, again, &history, &what);
            assert!(check(&disk).is_ok(), "{what}");
        }
    }
    assert!(whole > 0 && none > 100, "{whole} whole, {none} none");
}

/// A smaller backup over what a larger one's restore left: nothing of it gets into the new log or store.
#[test]
fn what_an_unfinished_restore_of_another_backup_left_does_not_mix_with_the_next() {
    let (disk, history) = filled(Role::Standalone, 12, 8);
    let (larger, _) = filled(Role::Standalone, 90, 9);
    take(&larger).unwrap();
    take(&disk).unwrap();
    let operations = larger.operations();
    larger.record_images(true);
    restore_to(&larger, NEW).unwrap();
    assert!(larger.operations() > operations);
    let images = larger.take_images();
    for image in &images[..images.len() - 4] {
        let unfinished = image.restart();
        let both = disk.image().restart();
        for (name, bytes) in files(&unfinished, NEW) {
            both.overwrite(&Path::new(NEW).join(name), bytes);
        }
        restore_to(&both, NEW).unwrap_or_else(|error| panic!("{error}\n{}", listing(&unfinished)));
        assert_whole(&both, NEW, &history, "over another's leftovers");
        let names: Vec<_> = files(&both, NEW).into_keys().collect();
        let fresh = disk.image().restart();
        restore_to(&fresh, NEW).unwrap();
        let allowed: Vec<_> = files(&fresh, NEW).into_keys().collect();
        assert!(names.iter().all(|name| allowed.contains(name)), "{names:?}");
        assert_eq!(Node::open(&options_of(&both, NEW)).unwrap().report().removed, Vec::<String>::new());
    }
}

/// The reasons by which a disk that fails may be named, D-FSYNC's among them.
const NAMED: &[Reason] = &[
    Reason::DiskReadFailed,
    Reason::DiskWriteFailed,
    Reason::DiskSyncFailed,
    Reason::DiskFull,
    Reason::DiskNameFailed,
    Reason::CommitUnknown,
    Reason::CommitStopped,
];

/// Does a work on this disk once for each failure of each of its calls, and from each on with a full disk; then the disk is sound again.
fn every_failure<T>(image: &SimImage, work: impl Fn(&SimDisk) -> Result<T>, check: impl Fn(Result<T>, &SimDisk, &str)) {
    let calm = image.restart();
    assert!(work(&calm).is_ok());
    let with = |order: &dyn Fn(&SimDisk), what: String| {
        let disk = image.restart();
        order(&disk);
        let outcome = work(&disk);
        disk.heal();
        check(outcome, &disk.image().restart(), &what);
    };
    for number in 0..calm.operations() {
        for fault in Fault::ALL {
            with(&|disk| disk.fail_operation(number, fault), format!("operation {number}, {fault:?}"));
        }
        with(&|disk| disk.fail_operations_from(number, Fault::NoSpace), format!("full from operation {number} on"));
    }
    for number in 0..calm.reads() {
        with(&|disk| disk.fail_read(number, Fault::Eio), format!("read {number}"));
    }
}

/// F-D2, D-FSYNC. Every disk call of a backup fails once in each way, and from one call on the disk is full: a named refusal, no backup
/// unless it is whole, and a source that holds what it held.
#[test]
fn a_failure_of_every_call_of_a_backup_is_a_named_refusal() {
    let (disk, history) = filled(Role::Standalone, 24, 6);
    every_failure(&disk.image(), take, |outcome, disk, what| {
        match outcome {
            Ok(taken) => assert_eq!(check(disk), Ok(taken), "{what}"),
            Err(error) => {
                assert!(NAMED.contains(&error.reason()), "{what}: {error}");
                if let Err(refused) = check(disk) {
                    assert_eq!(refused.reason(), Reason::BackupIncomplete, "{what}");
                }
            }
        }
        assert_whole(disk, DIR, &history, what);
        backup::backup(&options(disk), Path::new("/again"), &mut |_, _| {})
            .unwrap_or_else(|error| panic!("{what}: {error}"));
    });
}

/// F-D2, D-FSYNC. The same for a restore: afterwards the directory is no database unless it is whole, and a restore succeeds.
#[test]
fn a_failure_of_every_call_of_a_restore_is_a_named_refusal() {
    let (disk, history) = filled(Role::Standalone, 24, 6);
    take(&disk).unwrap();
    every_failure(
        &disk.image(),
        |disk| restore_to(disk, NEW),
        |outcome, disk, what| {
            if let Err(error) = &outcome {
                assert!(NAMED.contains(&error.reason()), "{what}: {error}");
            }
            let missing = Node::open(&options_of(disk, NEW)).err().map(|error| error.reason());
            match missing {
                None => assert_whole(disk, NEW, &history, what),
                Some(reason) => {
                    assert!(outcome.is_err(), "{what}");
                    assert_eq!(reason, Reason::DirNotFound, "{what}");
                    restore_to(disk, NEW).unwrap_or_else(|error| panic!("{what}: {error}"));
                    assert_whole(disk, NEW, &history, what);
                }
            }
            assert!(check(disk).is_ok(), "{what}");
        },
    );
}

/// The same on the disk of the machine, with the ids that it draws itself.
#[test]
fn a_real_directory_is_backed_up_and_restored() {
    let scratch = tempfile::tempdir().unwrap();
    let at = |name: &str| scratch.path().join(name);
    Node::init(&Init { parameters: tiny(), ..Init::standalone(&at("db")) }).unwrap();
    let mut node = Node::open(&Options::new(&at("db"))).unwrap();
    let mut history = Vec::new();
    for number in 0..100u8 {
        let writes = vec![(vec![number % 30], Some(vec![number; 50]))];
        node.commit(batch(&writes)).unwrap();
        history.push(writes);
    }
    node.close().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let taken = backup::backup(&Options::new(&at("db")), &at("out"), &mut |_, _| {}).unwrap();
    assert_eq!(backup::check(disk.as_ref(), &at("out"), &mut |_, _| {}), Ok(taken));
    let restored = backup::restore(Arc::clone(&disk), &at("out"), &at("new"), &mut |_, _| {}).unwrap();
    assert_eq!(restored.cut, taken.cut);
    for existing in ["db", "out", "out/BACKUP"] {
        let error = backup::backup(&Options::new(&at("db")), &at(existing), &mut |_, _| {}).unwrap_err();
        assert_eq!(error.reason(), Reason::BackupExists, "{existing}");
    }
    for existing in ["db", "out", "new"] {
        let error = backup::restore(Arc::clone(&disk), &at("out"), &at(existing), &mut |_, _| {}).unwrap_err();
        assert_eq!(error.reason(), Reason::DirNotEmpty, "{existing}");
    }
    let node = Node::open(&Options::new(&at("new"))).unwrap();
    for commit in 0..=100 {
        assert_eq!(rows_at(&node, CommitId(commit)).unwrap(), fold(&history, commit as usize));
    }
}

/// Neither of the two lies inside the other: its names would be taken for the other's.
#[test]
fn a_backup_inside_its_source_and_a_restore_inside_its_backup_are_refused() {
    let (disk, _) = filled(Role::Standalone, 20, 3);
    let before = files(&disk, DIR);
    for inside in ["/db/inside", "/db/store/x.tmp", "/db/wal/00000000000000099999.seg"] {
        let refused = backup::backup(&options(&disk), Path::new(inside), &mut |_, _| {}).unwrap_err();
        assert_eq!(refused.reason(), Reason::BackupInside, "{inside}");
    }
    assert!(files(&disk, DIR) == before, "nothing was touched");
    take(&disk).unwrap();
    let inside = format!("{OUT}/inside");
    assert_eq!(restore_to(&disk, &inside).unwrap_err().reason(), Reason::BackupInside);
}

/// A backup is not opened as a database, and not by its damage: it is told what it is.
#[test]
fn a_backup_is_not_a_database() {
    let (disk, _) = filled(Role::Standalone, 20, 3);
    take(&disk).unwrap();
    let before = files(&disk, OUT);
    assert_eq!(Node::open(&options_of(&disk, OUT)).err().map(|error| error.reason()), Some(Reason::BackupNotDatabase));
    assert!(files(&disk, OUT) == before, "nothing was touched");
}
