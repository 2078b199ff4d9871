//! A disk in memory that fails, forgets and crashes on order.
//!
//! It behaves like the real one (a test drives both with the same scripts and compares every answer), and it knows at each
//! moment what a power loss would leave: per file what is durable and the ordered changes since, per directory likewise its
//! names. A [`SimImage`] is the whole disk at one instant; [`SimImage::crash`] turns it into what the machine finds afterwards.
//!
//! Every call that changes or syncs is an **operation**, every other call a **read** (taking a lock is neither, except that
//! creating its file is an operation). Both are numbered from 0, counting refused calls too, so a fault or an image can be
//! placed at exactly one of them.
//!
//! Invariants: the same calls, faults and seeds give the same disk, byte for byte; what a good `sync_data` or `sync_dir` covered
//! is in every crash; what failed in a `sync_data` is in none, until it is written again (D-FSYNC); a sector never tears
//! (A-SECTOR). A failed `sync_dir` leaves its names as they were, unsynced: file systems stop altogether when it fails.
//!
//! Deliberately absent: time, threads of its own, permissions, links. Opening a directory is refused at once, where the real
//! disk refuses only to read it. Relative paths start at the root.
//!
//! One mutex guards the state: any thread may call, and the order of the calls is the caller's.

mod content;
mod crash;
mod file;
mod handle;
mod machine;
#[cfg(test)]
mod tests;
mod tree;

pub use crash::{Crash, SimImage};
pub use machine::Fault;

use super::{Access, Disk, File, LockGuard, failed};
use crate::error::{Error, Result};
use crate::reason::Reason;
use crate::sync::{Arc, Mutex, lock};
use content::Content;
use file::FileNode;
use handle::{SimFile, SimLock};
use machine::{Machine, check};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use tree::{NodeId, Tree};

fn error(reason: Reason, operation: &'static str, path: &Path, errno: Errno) -> Error {
    failed(reason, operation, path, &io::Error::from(errno))
}

/// A simulated disk. Clones are the same disk.
#[derive(Clone)]
pub struct SimDisk {
    machine: Arc<Mutex<Machine>>,
}

impl Default for SimDisk {
    fn default() -> SimDisk {
        SimDisk::new()
    }
}

impl SimDisk {
    /// A disk with nothing but the root directory.
    #[must_use]
    pub fn new() -> SimDisk {
        SimDisk::with(Arc::new(Tree::new()))
    }

    fn with(tree: Arc<Tree>) -> SimDisk {
        SimDisk { machine: Arc::new(Mutex::new(Machine::new(tree))) }
    }

    /// How many operations were called: the number of the next one.
    #[must_use]
    pub fn operations(&self) -> u64 {
        lock(&self.machine).operations.made
    }

    /// How many reads were called: the number of the next one.
    #[must_use]
    pub fn reads(&self) -> u64 {
        lock(&self.machine).reads.made
    }

    /// Makes one operation fail.
    pub fn fail_operation(&self, number: u64, fault: Fault) {
        lock(&self.machine).operations.once.insert(number, fault);
    }

    /// Makes every operation from this one on fail; with [`Fault::NoSpace`] only those that take space: creating what was not
    /// there, writing, and growing a file.
    pub fn fail_operations_from(&self, number: u64, fault: Fault) {
        lock(&self.machine).operations.from = Some((number, fault));
    }

    /// Makes one read fail.
    pub fn fail_read(&self, number: u64, fault: Fault) {
        lock(&self.machine).reads.once.insert(number, fault);
    }

    /// Makes every read from this one on fail.
    pub fn fail_reads_from(&self, number: u64, fault: Fault) {
        lock(&self.machine).reads.from = Some((number, fault));
    }

    /// Opens no further file or directory where so many handles and locks are held already, as a process is limited. A call that opens
    /// one only for its own time needs one too.
    pub fn limit_handles(&self, most: usize) {
        lock(&self.machine).handles_max = most;
    }

    /// Takes back every limit, and every fault that has not struck yet. What failed syncs lost stays lost.
    pub fn heal(&self) {
        let mut machine = lock(&self.machine);
        machine.handles_max = usize::MAX;
        machine.operations.heal();
        machine.reads.heal();
    }

    /// The disk as it is now.
    #[must_use]
    pub fn image(&self) -> SimImage {
        SimImage { tree: Arc::clone(&lock(&self.machine).tree) }
    }

    /// Begins to remember an image after every operation, or stops and forgets them.
    pub fn record_images(&self, on: bool) {
        lock(&self.machine).images = on.then(Vec::new);
    }

    /// The images remembered since this was last asked, one per operation, refused ones included. Where recording began with a
    /// new disk, the image at an index is the one after the operation of that number.
    #[must_use]
    pub fn take_images(&self) -> Vec<SimImage> {
        lock(&self.machine).images.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// The paths of all files, absolute and sorted.
    #[must_use]
    pub fn paths(&self) -> Vec<PathBuf> {
        lock(&self.machine).tree.paths()
    }

    /// What a read of the whole file would see; counts as no call and meets no fault.
    #[must_use]
    pub fn contents(&self, path: &Path) -> Option<Vec<u8>> {
        let machine = lock(&self.machine);
        machine.tree.open(path).ok().map(|id| machine.tree.file(id).current().to_vec())
    }

    /// Durably sets the contents of a file, and creates it and its directories where needed; counts as no call and meets no
    /// fault.
    ///
    /// # Panics
    /// When the path names a directory or leads through a file.
    pub fn overwrite(&self, path: &Path, bytes: impl AsRef<[u8]>) {
        let file = FileNode::settled(Content::from(bytes.as_ref()));
        let placed = Arc::make_mut(&mut lock(&self.machine).tree).place(path, file);
        assert_eq!(placed, Ok(()), "{} can be a file", path.display());
    }

    /// Durably removes a file, if it is there; counts as no call and meets no fault.
    ///
    /// # Panics
    /// When the path names a directory or leads through a file.
    pub fn remove_now(&self, path: &Path) {
        let removed = Arc::make_mut(&mut lock(&self.machine).tree).unplace(path);
        assert!(matches!(removed, Ok(()) | Err(Errno::NOENT)), "{} can be a file", path.display());
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, access: Access) -> Result<Option<Arc<dyn File>>> {
        let mut machine = lock(&self.machine);
        let handle = machine.handle();
        match machine.read(|tree| handle.and_then(|()| tree.open(path))) {
            Ok(id) => Ok(Some(SimFile::open(&self.machine, &mut machine, id, path, access))),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(error(Reason::DiskReadFailed, "open", path, errno)),
        }
    }

    fn create(&self, path: &Path) -> Result<Arc<dyn File>> {
        let mut machine = lock(&self.machine);
        let takes_space = machine.tree.open(path).is_err();
        let handle = machine.handle();
        let created = machine.operation(takes_space, |tree, fault| {
            check(fault).and(handle)?;
            let (id, is_new) = tree.open_or_create(path)?;
            if !is_new {
                tree.file_mut(id).set_len(0);
            }
            Ok(id)
        });
        match created {
            Ok(id) => Ok(SimFile::open(&self.machine, &mut machine, id, path, Access::Write)),
            Err(errno) => Err(error(Reason::DiskNameFailed, "create", path, errno)),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        lock(&self.machine)
            .operation(false, |tree, fault| check(fault).and_then(|()| tree.rename(from, to)))
            .map_err(|errno| error(Reason::DiskNameFailed, "rename", from, errno))
    }

    fn remove(&self, path: &Path) -> Result<()> {
        match lock(&self.machine).operation(false, |tree, fault| check(fault).and_then(|()| tree.remove(path))) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(error(Reason::DiskNameFailed, "remove", path, errno)),
        }
    }

    fn list(&self, directory: &Path) -> Result<Option<Vec<String>>> {
        let mut machine = lock(&self.machine);
        let handle = machine.handle();
        match machine.read(|tree| handle.and_then(|()| tree.list(directory))) {
            Ok(names) => Ok(Some(names)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(error(Reason::DiskNameFailed, "list", directory, errno)),
        }
    }

    fn real_path(&self, directory: &Path) -> Result<Option<PathBuf>> {
        // There are no links here: only the root may be left out of a path.
        Ok(self.list(directory)?.map(|_| Path::new("/").join(directory)))
    }

    fn create_dir(&self, directory: &Path) -> Result<()> {
        let mut machine = lock(&self.machine);
        let takes_space = machine.tree.list(directory).is_err();
        machine
            .operation(takes_space, |tree, fault| check(fault).and_then(|()| tree.create_dir(directory)))
            .map_err(|errno| error(Reason::DiskNameFailed, "create directory", directory, errno))
    }

    fn sync_dir(&self, directory: &Path) -> Result<()> {
        let mut machine = lock(&self.machine);
        let open: BTreeSet<NodeId> = machine.handles.keys().chain(&machine.locks).copied().collect();
        let handle = machine.handle();
        machine
            .operation(false, |tree, fault| {
                check(fault).and(handle)?;
                tree.sync(directory)?;
                tree.forget_nameless(open);
                Ok(())
            })
            .map_err(|errno| error(Reason::DiskSyncFailed, "fsync directory", directory, errno))
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn LockGuard>> {
        let mut machine = lock(&self.machine);
        let handle = machine.handle();
        let found = match machine.tree.open(path) {
            Err(Errno::NOENT) => machine.operation(true, |tree, fault| {
                check(fault).and(handle)?;
                tree.open_or_create(path).map(|(id, _)| id)
            }),
            found => handle.and(found),
        };
        let id = found.map_err(|errno| error(Reason::DiskNameFailed, "create", path, errno))?;
        if machine.locks.insert(id) {
            Ok(Box::new(SimLock::new(&self.machine, id)))
        } else {
            Err(Error::new(Reason::DirLocked).with("file", path.display()))
        }
    }
}
