//! The simulated disk answers every call as the real one does (one random script drives both, and every answer is compared).
//!
//! Compared are values and, of errors, the reason and the operation they name; not the operating system's words, which differ
//! between file systems. Not covered: opening a directory (the simulated disk refuses earlier) and what only faults bring about.

use aerodb::disk::{Access, Disk, File, LockGuard, RealDisk, SimDisk};
use aerodb::error::Result;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Names that collide often, as files and as directories, and one whose parent never exists.
const PATHS: [&str; 11] = ["a", "b", "c", "d", "d/a", "d/b", "e", "e/a", "e/f", "e/f/a", "never/a"];

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let word = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (word ^ (word >> 31)) % bound
    }
}

/// What a call answered, in words that both disks share.
fn answer<T: std::fmt::Debug>(result: &Result<T>) -> String {
    match result {
        Ok(value) => format!("{value:?}"),
        Err(error) => format!("{} {:?}", error.reason().name(), error.fact("operation")),
    }
}

/// One disk, with what the script holds on it.
struct Side<'a> {
    disk: &'a dyn Disk,
    root: PathBuf,
    files: Vec<Arc<dyn File>>,
    locks: Vec<Box<dyn LockGuard>>,
}

impl Side<'_> {
    fn keep<T>(held: &mut Vec<T>, result: Result<Option<T>>) -> String {
        answer(&result.map(|found| found.map(|item| held.push(item))))
    }

    fn run(&mut self, call: &Call) -> String {
        let at = |path: &str| self.root.join(path);
        match call {
            Call::Create(path) => {
                let created = self.disk.create(&at(path)).map(Some);
                Side::keep(&mut self.files, created)
            }
            Call::Open(path, access) => {
                // The one known difference.
                if is_directory(self.disk, &at(path)) {
                    return String::from("a directory");
                }
                let opened = self.disk.open(&at(path), *access);
                Side::keep(&mut self.files, opened)
            }
            Call::Close(index) => {
                if !self.files.is_empty() {
                    self.files.swap_remove(index % self.files.len());
                }
                String::new()
            }
            Call::Rename(from, to) => answer(&self.disk.rename(&at(from), &at(to))),
            Call::Remove(path) => answer(&self.disk.remove(&at(path))),
            Call::List(path) => answer(&self.disk.list(&at(path))),
            Call::CreateDir(path) => answer(&self.disk.create_dir(&at(path))),
            Call::SyncDir(path) => answer(&self.disk.sync_dir(&at(path))),
            Call::Lock(path) => {
                let taken = self.disk.lock(&at(path)).map(Some);
                Side::keep(&mut self.locks, taken)
            }
            Call::Unlock(index) => {
                if !self.locks.is_empty() {
                    self.locks.swap_remove(index % self.locks.len());
                }
                String::new()
            }
            Call::File(index, call) => match self.files.len() {
                0 => String::new(),
                open => call.run(&*self.files[index % open]),
            },
        }
    }
}

#[derive(Debug)]
enum Call {
    Create(&'static str),
    Open(&'static str, Access),
    Close(usize),
    Rename(&'static str, &'static str),
    Remove(&'static str),
    List(&'static str),
    CreateDir(&'static str),
    SyncDir(&'static str),
    Lock(&'static str),
    Unlock(usize),
    File(usize, FileCall),
}

#[derive(Debug)]
enum FileCall {
    Read(u64, usize),
    Write(u64, usize, u8),
    SetLen(u64),
    Len,
    Sync,
}

impl FileCall {
    fn run(&self, file: &dyn File) -> String {
        match *self {
            FileCall::Read(offset, len) => {
                let mut buffer = vec![0xee; len];
                let read = file.read_at(offset, &mut buffer);
                // Where the call failed, nothing is promised of the buffer.
                if read.is_err() {
                    buffer.clear();
                }
                format!("{} {buffer:?}", answer(&read))
            }
            FileCall::Write(offset, len, byte) => answer(&file.write_at(offset, &vec![byte; len])),
            FileCall::SetLen(len) => answer(&file.set_len(len)),
            FileCall::Len => answer(&file.len()),
            FileCall::Sync => answer(&file.sync_data()),
        }
    }
}

fn any_path(dice: &mut Dice) -> &'static str {
    PATHS[dice.below(PATHS.len() as u64) as usize]
}

/// An offset near the beginning, around the border of a page or a sector, or one that the operating system can't express. (How
/// large a file may grow differs between file systems.)
fn any_offset(dice: &mut Dice) -> u64 {
    match dice.below(20) {
        0 => u64::MAX - dice.below(3),
        1 => i64::MAX as u64 + 1 + dice.below(3),
        2..6 => 4096 * dice.below(4) + dice.below(3),
        6..10 => 512 * dice.below(20) + dice.below(3),
        _ => dice.below(10_000),
    }
}

fn any_call(dice: &mut Dice) -> Call {
    let index = dice.below(64) as usize;
    match dice.below(40) {
        0..3 => Call::Create(any_path(dice)),
        3..6 => Call::Open(any_path(dice), if dice.below(3) == 0 { Access::Read } else { Access::Write }),
        6 => Call::Close(index),
        7..10 => Call::Rename(any_path(dice), any_path(dice)),
        10..12 => Call::Remove(any_path(dice)),
        12..14 => Call::List(any_path(dice)),
        14..16 => Call::CreateDir(any_path(dice)),
        16 => Call::SyncDir(any_path(dice)),
        17 => Call::Lock(any_path(dice)),
        18 => Call::Unlock(index),
        19..26 => Call::File(index, FileCall::Read(any_offset(dice), dice.below(6000) as usize)),
        26..35 => {
            let len = if dice.below(10) == 0 { 0 } else { dice.below(6000) };
            Call::File(index, FileCall::Write(any_offset(dice), len as usize, dice.below(256) as u8))
        }
        35..37 => Call::File(index, FileCall::SetLen(any_offset(dice))),
        37..39 => Call::File(index, FileCall::Len),
        _ => Call::File(index, FileCall::Sync),
    }
}

fn is_directory(disk: &dyn Disk, path: &Path) -> bool {
    matches!(disk.list(path), Ok(Some(_)))
}

/// Everything that can be reached by name.
fn tree(disk: &dyn Disk, directory: &Path, relative: &Path, found: &mut Vec<(PathBuf, Option<Vec<u8>>)>) {
    for name in disk.list(directory).unwrap().unwrap() {
        let (path, relative) = (directory.join(&name), relative.join(&name));
        if is_directory(disk, &path) {
            found.push((relative.clone(), None));
            tree(disk, &path, &relative, found);
        } else {
            found.push((relative, aerodb::disk::read_file(disk, &path, 1 << 20).unwrap()));
        }
    }
}

#[test]
fn the_simulated_disk_answers_as_the_real_one() {
    for seed in 0..60 {
        println!("seed {seed}");
        let mut dice = Dice(seed);
        let directory = tempfile::tempdir().unwrap();
        let simulated = SimDisk::new();
        let side = |disk, root| Side { disk, root, files: Vec::new(), locks: Vec::new() };
        let mut real = side(&RealDisk, directory.path().to_owned());
        let mut sim = side(&simulated, PathBuf::from("/"));
        for step in 0..300 {
            let call = any_call(&mut dice);
            let (expected, found) = (real.run(&call), sim.run(&call));
            assert_eq!(found, expected, "seed {seed}, step {step}: {call:?}");
        }
        let (mut expected, mut found) = (Vec::new(), Vec::new());
        tree(&RealDisk, directory.path(), Path::new(""), &mut expected);
        tree(&simulated, Path::new("/"), Path::new(""), &mut found);
        assert!(found == expected, "seed {seed}: the trees differ");
    }
}
