//! Files of two moments in one directory: a lost write, a file put back from yesterday, a store beside another log. Each file is sound
//! by itself, and together they are not what the node acknowledged (D-ACK, D-CORRUPT, D-TAIL): the node refuses to open, by name.

mod world;

use aerodb::disk::SimDisk;
use aerodb::record::Purpose;
use aerodb::{Node, Reason};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use world::{DIR, batch, init_options, new_node, options, tiny};

type Files = BTreeMap<PathBuf, Vec<u8>>;

fn files(disk: &SimDisk) -> Files {
    disk.paths().into_iter().map(|path| (path.clone(), disk.contents(&path).unwrap())).collect()
}

fn commit(node: &mut Node, number: u64) {
    let key = format!("key {}", number % 7).into_bytes();
    node.commit(batch(&vec![(key, Some(number.to_le_bytes().to_vec()))])).unwrap();
}

/// The files of a node after each of a number of commits; checkpoints where the number says.
fn history(commits: u64, checkpoint_each: u64) -> (SimDisk, Vec<Files>) {
    let (disk, mut node) = new_node();
    let mut moments = vec![files(&disk)];
    for number in 1..=commits {
        commit(&mut node, number);
        if number % checkpoint_each == 0 {
            node.checkpoint(Purpose::Checkpoint).unwrap();
        }
        moments.push(files(&disk));
    }
    node.close().unwrap();
    (disk, moments)
}

/// Opens a disk with these files.
fn open(files: &Files) -> Option<Reason> {
    let disk = SimDisk::new();
    files.iter().for_each(|(path, bytes)| disk.overwrite(path, bytes));
    Node::open(&options(&disk)).err().map(|error| error.reason())
}

fn newest_segment(files: &Files) -> PathBuf {
    files.keys().rfind(|path| path.extension().is_some_and(|end| end == "seg")).unwrap().clone()
}

/// A write that the device reported and never made: the mark says that there was more.
#[test]
fn an_older_log_under_a_newer_mark_is_refused() {
    let (_, moments) = history(20, 1000);
    let last = moments.last().unwrap();
    let segment = newest_segment(last);
    assert_eq!(open(last), None);
    for (number, older) in moments.iter().enumerate().take(20) {
        let mut mixed = last.clone();
        mixed.insert(segment.clone(), older[&segment].clone());
        let refused = open(&mixed).unwrap_or_else(|| panic!("{number} of 20 acknowledged commits, and no word of it"));
        assert!([Reason::WalCorrupt, Reason::WalTruncated].contains(&refused), "{number}: {refused}");
    }
}

/// The whole log of an earlier moment: the checkpoint knows better.
#[test]
fn a_log_that_ends_before_the_checkpoint_is_refused() {
    let (_, moments) = history(20, 10);
    let last = moments.last().unwrap();
    let in_log = |path: &Path| path.starts_with(Path::new(DIR).join("wal"));
    let mut mixed: Files = last.iter().filter(|(path, _)| !in_log(path)).map(|(p, b)| (p.clone(), b.clone())).collect();
    mixed.extend(moments[15].iter().filter(|(path, _)| in_log(path)).map(|(p, b)| (p.clone(), b.clone())));
    assert_eq!(open(&mixed), Some(Reason::WalBehindCheckpoint));
}

/// A store of an earlier moment is a store all the same: the log leads it to the present.
#[test]
fn a_store_of_an_earlier_moment_is_led_on_by_the_log() {
    let (_, moments) = history(20, 10);
    let last = moments.last().unwrap();
    let in_store = |path: &Path| path.starts_with(Path::new(DIR).join("store"));
    let mut mixed: Files =
        last.iter().filter(|(path, _)| !in_store(path)).map(|(p, b)| (p.clone(), b.clone())).collect();
    mixed.extend(moments[9].iter().filter(|(path, _)| in_store(path)).map(|(p, b)| (p.clone(), b.clone())));
    let disk = SimDisk::new();
    mixed.iter().for_each(|(path, bytes)| disk.overwrite(path, bytes));
    let node = Node::open(&options(&disk)).unwrap();
    assert_eq!(node.store().commit().0, 20);
}

/// R-DIVERGENCE in one directory: the store was made on another history than the log.
#[test]
fn a_store_of_another_history_is_refused() {
    let fork = |last: &str| {
        let disk = SimDisk::new();
        Node::init(&init_options(&disk, tiny())).unwrap();
        let mut node = Node::open(&options(&disk)).unwrap();
        commit(&mut node, 1);
        node.commit(batch(&vec![(b"fork".to_vec(), Some(last.as_bytes().to_vec()))])).unwrap();
        node.checkpoint(Purpose::Checkpoint).unwrap();
        node.close().unwrap();
        files(&disk)
    };
    let (left, right) = (fork("left "), fork("right"));
    let in_store = |path: &Path| path.starts_with(Path::new(DIR).join("store"));
    let mut mixed: Files =
        left.iter().filter(|(path, _)| !in_store(path)).map(|(p, b)| (p.clone(), b.clone())).collect();
    mixed.extend(right.iter().filter(|(path, _)| in_store(path)).map(|(p, b)| (p.clone(), b.clone())));
    assert_eq!(open(&left), None);
    assert_eq!(open(&mixed), Some(Reason::StoreOtherLog));
}

/// A mark of an earlier moment: what it does not name is not taken for a leftover. Nothing is removed, and `verify` says the same.
#[test]
fn an_older_mark_under_a_newer_log_is_refused_or_costs_nothing() {
    let (_, moments) = history(120, 1000);
    let last = moments.last().unwrap();
    let mark = Path::new(DIR).join("wal/MARK");
    let (mut refused, mut harmless) = (0, 0);
    for (number, older) in moments.iter().enumerate() {
        let mut mixed = last.clone();
        mixed.insert(mark.clone(), older[&mark].clone());
        let disk = SimDisk::new();
        mixed.iter().for_each(|(path, bytes)| disk.overwrite(path, bytes));
        let shared = world::shared(&disk);
        let verified =
            aerodb::verify::verify(&aerodb::verify::VerifyOptions { dir: DIR.into(), disk: shared }, &mut |_, _| {});
        match Node::open(&options(&disk)) {
            Ok(node) => {
                assert_eq!(
                    node.store().commit().0,
                    120,
                    "mark of {number}: acknowledged commits are gone without a word"
                );
                assert!(verified.is_ok());
                harmless += 1;
            }
            Err(error) => {
                assert_eq!(error.reason(), Reason::WalMarkBehind, "mark of {number}: {error}");
                assert_eq!(verified.unwrap_err().reason(), Reason::WalMarkBehind);
                let after = files(&disk);
                let kept = mixed.iter().all(|(path, bytes)| after.get(path) == Some(bytes));
                assert!(kept, "mark of {number}: a file was touched");
                refused += 1;
            }
        }
    }
    assert!(refused > 0 && harmless > 0, "{refused} refused, {harmless} harmless");
}

/// D-CORRUPT: a mark that does not name the newest segment, as a lost write leaves it, over a sealed one in which a bit has turned. The mark may be
/// old; that the segment is damaged is certain, and said: it was cut where the next one begins.
#[test]
fn damage_in_a_sealed_segment_is_told_from_a_mark_that_is_old() {
    let (_, moments) = history(120, 1000);
    let last = moments.last().unwrap();
    let mark = Path::new(DIR).join("wal/MARK");
    let segment = |of: &Files| {
        let segment = aerodb::wal::Mark::decode(&of[&mark]).unwrap().segment;
        Path::new(DIR).join("wal").join(aerodb::wal::file_name(segment))
    };
    let newest = segment(last);
    let mut found = 0;
    for older in moments.iter().filter(|older| segment(older) != newest) {
        let mut mixed = last.clone();
        mixed.insert(mark.clone(), older[&mark].clone());
        let sealed = segment(older);
        let bytes = mixed.get_mut(&sealed).unwrap();
        let at = bytes.len() - 10;
        bytes[at] ^= 1;
        let disk = SimDisk::new();
        mixed.iter().for_each(|(path, bytes)| disk.overwrite(path, bytes));
        let Err(refused) = Node::open(&options(&disk)) else { panic!("a damaged segment was opened") };
        assert_eq!(refused.reason(), Reason::WalCorrupt, "{refused}");
        assert_eq!(refused.fact("file"), Some(sealed.to_string_lossy().as_ref()), "{refused}");
        assert!(refused.fact("next_segment").is_some(), "{refused}");
        assert_eq!(files(&disk)[&sealed], mixed[&sealed], "a file was touched");
        found += 1;
    }
    assert!(found > 10, "{found} marks of earlier segments");
}
