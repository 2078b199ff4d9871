//! Roles and identity: who may write is written down once, and whoever comes with another expectation is refused.
//!
//! A role comes from `init` and stays (R-AUTHORITY). A replica makes no history (R-WRITER). A directory of another role, database, node
//! or format version is refused by name, and left as it was. With replication off or compiled out the writer's bytes are the
//! same (P5-I16). A new directory exists once its identity does, whatever interrupts `init`.

mod world;

use aerodb::disk::{Crash, SimDisk};
use aerodb::record::Purpose;
use aerodb::{Database, Id, Init, Node, Options, Parameters, Reason, Role};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use world::{DIR, Writes, batch, init_options, options, tiny};

fn files(disk: &SimDisk) -> BTreeMap<PathBuf, Vec<u8>> {
    disk.paths().into_iter().map(|path| (path.clone(), disk.contents(&path).unwrap())).collect()
}

fn identity_path() -> PathBuf {
    Path::new(DIR).join("IDENTITY")
}

fn init(role: Role) -> SimDisk {
    let disk = SimDisk::new();
    Node::init(&Init { role, ..init_options(&disk, tiny()) }).unwrap();
    disk
}

fn open_error(options: &Options) -> Option<Reason> {
    let as_node = Node::open(options).err().map(|error| error.reason());
    let as_database = Database::open(options.clone()).err().map(|error| error.reason());
    assert_eq!(as_node, as_database);
    as_node
}

fn writes(number: u64) -> Writes {
    vec![
        (
            format!("key {}", number % 13).into_bytes(),
            (!number.is_multiple_of(6)).then(|| vec![number as u8; 20 + number as usize]),
        ),
        (b"last".to_vec(), Some(number.to_le_bytes().to_vec())),
    ]
}

/// R-AUTHORITY
#[test]
fn a_directory_that_is_not_the_expected_one_is_refused_and_left_alone() {
    let disk = init(Role::Standalone);
    let before = files(&disk);
    let expected = options(&disk);
    let wrong = [
        (Options { role: Some(Role::Replica), ..expected.clone() }, Reason::IdentityOtherRole),
        (Options { role: Some(Role::Primary), ..expected.clone() }, Reason::IdentityOtherRole),
        (Options { database_id: Some(Id([9; 16])), ..expected.clone() }, Reason::IdentityOtherDatabase),
        (Options { node_id: Some(Id([9; 16])), ..expected.clone() }, Reason::IdentityOtherNode),
        (Options { dir: PathBuf::from("/elsewhere"), ..expected.clone() }, Reason::DirNotFound),
        (Options { extend_bytes: 100, ..expected.clone() }, Reason::ConfigInvalid),
        (Options { extend_bytes: 0, ..expected.clone() }, Reason::ConfigInvalid),
    ];
    for (options, reason) in wrong {
        assert_eq!(open_error(&options), Some(reason));
        assert_eq!(files(&disk), before, "{reason}");
    }
    let right = Options {
        role: Some(Role::Standalone),
        database_id: Some(Id([0xdb; 16])),
        node_id: Some(Id([0x0d; 16])),
        ..expected
    };
    assert_eq!(open_error(&right), None);
}

/// The role is read from the identity, not from what a caller asks for: an open directory shows the one it was made with.
#[test]
fn a_role_never_changes() {
    let disk = init(Role::Standalone);
    let mut node = Node::open(&options(&disk)).unwrap();
    node.commit(batch(&writes(1))).unwrap();
    node.close().unwrap();
    let identity = disk.contents(&identity_path()).unwrap();
    assert_eq!(open_error(&Options { role: Some(Role::Primary), ..options(&disk) }), Some(Reason::IdentityOtherRole));
    let node = Node::open(&options(&disk)).unwrap();
    assert_eq!(node.report().identity.role, Role::Standalone);
    assert_eq!(disk.contents(&identity_path()).unwrap(), identity);
}

/// Rewrites a sector with other bytes at an offset and a checksum that holds.
fn patched(mut sector: Vec<u8>, at: usize, bytes: &[u8]) -> Vec<u8> {
    sector[at..at + bytes.len()].copy_from_slice(bytes);
    let end = sector.len() - 4;
    let crc = crc32c::crc32c(&sector[..end]);
    sector[end..].copy_from_slice(&crc.to_le_bytes());
    sector
}

/// FMT-IDENTITY, D-CORRUPT: a sound file of another version is not taken for damage, nor damage for another version.
#[test]
fn another_version_and_damage_are_told_apart() {
    let disk = init(Role::Standalone);
    let mut node = Node::open(&options(&disk)).unwrap();
    for number in 0..30 {
        node.commit(batch(&writes(number))).unwrap();
    }
    node.checkpoint(Purpose::Checkpoint).unwrap();
    node.maintain().unwrap();
    node.close().unwrap();
    let sound = files(&disk);
    for (path, bytes) in &sound {
        let name = path.file_name().unwrap().to_str().unwrap();
        // The footer of a run is its last 256 bytes; other headers stand at the front.
        let (from, to) = match name {
            "LOCK" => continue,
            "MANIFEST" => (0, bytes.len()),
            name if name.ends_with(".run") => (bytes.len() - 256, bytes.len()),
            _ => (0, 512),
        };
        let mut other = bytes.clone();
        other.splice(from..to, patched(bytes[from..to].to_vec(), 8, &2u32.to_le_bytes()));
        disk.overwrite(path, other);
        assert_eq!(open_error(&options(&disk)), Some(Reason::IdentityVersion), "{name}");
        disk.overwrite(path, bytes);
    }
    assert_eq!(open_error(&options(&disk)), None, "what was put back is as it was");
    let identity = &sound[&identity_path()];
    let damaged = [
        patched(identity.clone(), 0, b"X"),
        patched(identity.clone(), 12, &[0]),
        patched(identity.clone(), 12, &[4]),
        patched(identity.clone(), 13, &[1]),
        patched(identity.clone(), 72, &1u32.to_le_bytes()),
        patched(identity.clone(), 100, &[1]),
        identity[..511].to_vec(),
        [identity.as_slice(), &[0]].concat(),
        Vec::new(),
    ];
    for (index, damaged) in damaged.into_iter().enumerate() {
        disk.overwrite(&identity_path(), damaged);
        assert_eq!(open_error(&options(&disk)), Some(Reason::IdentityCorrupt), "damage {index}");
    }
    // Log and store are there: what is gone is the identity, not the database.
    disk.remove_now(&identity_path());
    assert_eq!(open_error(&options(&disk)), Some(Reason::IdentityCorrupt));
}

/// Files of another database are refused, though each of them is sound.
#[test]
fn a_file_of_another_database_is_refused() {
    let ours = init(Role::Standalone);
    let theirs = SimDisk::new();
    let other = Init { database_id: Some(Id([0xee; 16])), ..init_options(&theirs, tiny()) };
    Node::init(&other).unwrap();
    for name in ["wal/MARK", "wal/00000000000000000000.seg", "store/MANIFEST"] {
        let path = Path::new(DIR).join(name);
        let sound = ours.contents(&path).unwrap();
        ours.overwrite(&path, theirs.contents(&path).unwrap());
        assert_eq!(open_error(&options(&ours)), Some(Reason::IdentityOtherDatabase), "{name}");
        ours.overwrite(&path, sound);
    }
    assert_eq!(open_error(&options(&ours)), None);
}

/// R-WRITER: a replica makes no history, by whatever call.
#[cfg(feature = "replication")]
#[test]
fn a_replica_refuses_every_write_and_leaves_no_trace_of_it() {
    use aerodb::CommitId;
    use aerodb::committer::Order;
    let disk = init(Role::Replica);
    let before = files(&disk);
    let refused = Some(Reason::RoleNotWriter);
    let mut node = Node::open(&options(&disk)).unwrap();
    assert_eq!(node.commit(batch(&writes(1))).err().map(|error| error.reason()), refused);
    assert_eq!(node.raise_floor(CommitId(1)).err().map(|error| error.reason()), refused);
    assert_eq!(node.checkpoint(Purpose::Checkpoint).err().map(|error| error.reason()), refused);
    let order = Order::Commit(batch(&writes(1)));
    assert_eq!(node.group(&[order]).err().map(|error| error.reason()), refused);
    assert!(node.view(None).unwrap().get(b"last").unwrap().is_none(), "it can be read");
    node.close().unwrap();
    assert_eq!(files(&disk), before);
    let db = Database::open(options(&disk)).unwrap();
    assert_eq!(db.commit(batch(&writes(1))).err().map(|error| error.reason()), refused);
    assert_eq!(db.submit(batch(&writes(1)), |_| unreachable!()).err().map(|error| error.reason()), refused);
    assert_eq!(db.raise_floor(CommitId(1)).err().map(|error| error.reason()), refused);
    assert_eq!(db.checkpoint().err().map(|error| error.reason()), refused);
    assert_eq!(db.status().committer.transitions, 0, "no order reached the committer");
    assert_eq!(db.get(b"last").unwrap(), None, "what it holds is proven, so it can be read");
    assert_eq!(db.view(None).unwrap().commit(), CommitId::NONE);
    db.close().unwrap();
    assert_eq!(files(&disk), before);
}

/// P5-I16: what a primary writes is what a standalone node writes, except for the role in its identity; Proofs come only from a
/// primary that is told to log them (REPL-PROOF).
#[cfg(feature = "replication")]
#[test]
fn a_primary_writes_the_bytes_of_a_standalone_node() {
    let written = |role: Role, proofs: bool| {
        let disk = init(role);
        let keep_all = Options { retention: aerodb::committer::Retention::All, proofs, ..options(&disk) };
        let mut node = Node::open(&Options { role: Some(role), ..keep_all }).unwrap();
        for number in 0..150 {
            node.commit(batch(&writes(number))).unwrap();
            if number % 50 == 20 {
                node.raise_floor(aerodb::CommitId(number)).unwrap();
                node.checkpoint(Purpose::Checkpoint).unwrap();
            }
        }
        node.maintain().unwrap();
        node.prove().unwrap();
        node.close().unwrap();
        files(&disk)
    };
    let (mut standalone, mut primary) = (written(Role::Standalone, false), written(Role::Primary, false));
    assert!(written(Role::Standalone, true) == standalone, "a node that serves nobody logs no Proofs");
    assert!(written(Role::Primary, true) != primary, "a primary that is told to does");
    assert!(standalone.len() > 8);
    let (one, other) = (standalone.remove(&identity_path()).unwrap(), primary.remove(&identity_path()).unwrap());
    let differing: Vec<usize> = (0..512).filter(|at| one[*at] != other[*at]).collect();
    assert_eq!(differing, [12, 508, 509, 510, 511], "the role and the checksum");
    assert_eq!(standalone, primary);
}

/// P5-I16: a build without replication knows one role, and says so.
#[cfg(not(feature = "replication"))]
#[test]
fn a_build_without_replication_refuses_its_roles() {
    for (role, number) in [(Role::Primary, 2), (Role::Replica, 3)] {
        let disk = SimDisk::new();
        let refused = Node::init(&Init { role, ..init_options(&disk, tiny()) });
        assert_eq!(refused.err().map(|error| error.reason()), Some(Reason::RoleCompiledOut));
        assert!(disk.paths().is_empty(), "nothing was made");
        // A directory that a complete build made.
        let disk = init(Role::Standalone);
        let identity = disk.contents(&identity_path()).unwrap();
        disk.overwrite(&identity_path(), patched(identity, 12, &[number]));
        let before = files(&disk);
        assert_eq!(open_error(&options(&disk)), Some(Reason::RoleCompiledOut));
        assert_eq!(files(&disk), before);
    }
}

#[test]
fn init_refuses_parameters_outside_their_limits_before_it_makes_anything() {
    let bad = [
        Parameters { segment_bytes: 4095, ..tiny() },
        Parameters { segment_bytes: (1 << 30) + 1, ..tiny() },
        Parameters { table_bytes: 1023, ..tiny() },
        Parameters { table_bytes: u64::MAX, ..tiny() },
        Parameters { block_bytes: 255, ..tiny() },
        Parameters { block_bytes: (1 << 20) + 1, ..tiny() },
        Parameters { fanout: 1, ..tiny() },
        Parameters { fanout: 17, ..tiny() },
    ];
    let disk = SimDisk::new();
    for parameters in bad {
        let error = Node::init(&init_options(&disk, parameters)).unwrap_err();
        assert_eq!(error.reason(), Reason::ConfigInvalid, "{parameters:?}");
        for fact in ["parameter", "value", "limits"] {
            assert!(error.fact(fact).is_some(), "{error} shows no {fact}");
        }
    }
    for extend_bytes in [0, 511, 513, 2 << 30] {
        let refused = Node::init(&Init { extend_bytes, ..init_options(&disk, tiny()) });
        assert_eq!(refused.err().map(|error| error.reason()), Some(Reason::ConfigInvalid), "{extend_bytes}");
    }
    assert!(disk.paths().is_empty());
}

#[test]
fn init_overwrites_nothing() {
    let disk = SimDisk::new();
    disk.overwrite(&Path::new(DIR).join("notes.txt"), b"somebody's");
    let before = files(&disk);
    let refused = Node::init(&init_options(&disk, tiny())).unwrap_err();
    assert_eq!(refused.reason(), Reason::DirNotEmpty);
    assert_eq!(refused.fact("holds"), Some("notes.txt"));
    assert_eq!(files(&disk), before);

    let disk = init(Role::Standalone);
    let mut node = Node::open(&options(&disk)).unwrap();
    node.commit(batch(&writes(1))).unwrap();
    let before = files(&disk);
    let again = || Node::init(&init_options(&disk, tiny())).err().map(|error| error.reason());
    assert_eq!(again(), Some(Reason::DirNotEmpty), "while it is open");
    node.close().unwrap();
    let closed = files(&disk);
    assert_eq!(again(), Some(Reason::DirNotEmpty));
    assert_eq!(files(&disk), closed);
    assert_eq!(before.keys().collect::<Vec<_>>(), closed.keys().collect::<Vec<_>>());
}

/// Of two that make the same directory at once, one waits for nobody and is refused.
#[test]
fn init_refuses_a_directory_that_another_is_making() {
    use aerodb::disk::Disk;
    let disk = SimDisk::new();
    disk.create_dir(Path::new(DIR)).unwrap();
    let held = disk.lock(&Path::new(DIR).join("LOCK")).unwrap();
    let refused = Node::init(&init_options(&disk, tiny())).err().map(|error| error.reason());
    assert_eq!(refused, Some(Reason::DirLocked));
    drop(held);
    assert!(Node::init(&init_options(&disk, tiny())).is_ok());
}

/// P5-I2: `init` may end at any point; the directory is then not there yet, or complete.
#[test]
fn init_completes_after_every_crash_of_an_earlier_one() {
    let disk = SimDisk::new();
    disk.record_images(true);
    Node::init(&init_options(&disk, tiny())).unwrap();
    let images = disk.take_images();
    let complete = files(&disk);
    println!("{} operations", images.len());
    let (mut begun_anew, mut complete_already) = (0, 0);
    for (at, image) in images.iter().enumerate() {
        let crashed = Crash::ALL.iter().map(|variant| (format!("{variant:?}"), image.crash(*variant, at as u64)));
        for (what, disk) in crashed.chain([("the process died".to_owned(), image.restart())]) {
            let what = format!("operation {at}, {what}");
            match Node::init(&init_options(&disk, tiny())) {
                Ok(_) => begun_anew += 1,
                Err(error) => {
                    assert_eq!(error.reason(), Reason::DirNotEmpty, "{what}");
                    complete_already += 1;
                }
            }
            // What init said is there outlives the power; what it found complete does too, once it was opened.
            drop(Node::open(&options(&disk)).unwrap_or_else(|error| panic!("{what}: {error}")));
            let disk = disk.image().crash(Crash::Dropped, 0);
            let mut node = Node::open(&options(&disk)).unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_eq!(files(&disk), complete, "{what}");
            assert_eq!(node.commit(batch(&writes(1))).unwrap().0, 1, "{what}");
        }
    }
    assert!(begun_anew > 0 && complete_already > 0);
}

/// A database whose identity is gone is not an unfinished one: neither `init` nor restore writes over it.
#[test]
fn a_database_without_its_identity_is_not_written_over() {
    let (disk, mut node) = world::new_node();
    node.commit(world::batch(&vec![(b"key".to_vec(), Some(b"value".to_vec()))])).unwrap();
    node.checkpoint(aerodb::record::Purpose::Checkpoint).unwrap();
    node.close().unwrap();
    let backup = Path::new("/backup");
    aerodb::backup::backup(&world::options(&disk), backup, &mut |_, _| {}).unwrap();
    disk.remove_now(&Path::new(world::DIR).join("IDENTITY"));
    let before: Vec<_> = disk.paths().into_iter().map(|path| (path.clone(), disk.contents(&path))).collect();

    let refused = Node::init(&world::init_options(&disk, world::tiny())).unwrap_err();
    assert_eq!(refused.reason(), Reason::DirNotEmpty);
    let restored = aerodb::backup::restore(world::shared(&disk), backup, Path::new(world::DIR), &mut |_, _| {});
    assert_eq!(restored.unwrap_err().reason(), Reason::DirNotEmpty);
    let after: Vec<_> = disk.paths().into_iter().map(|path| (path.clone(), disk.contents(&path))).collect();
    assert!(before == after, "nothing was touched");
}
