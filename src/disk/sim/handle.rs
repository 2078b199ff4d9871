//! What callers of the simulated disk hold: open files and locks.
//!
//! A handle belongs to the disk it was opened on. A crash or restart makes another disk; the handle goes on with the old one.
//! While a handle or lock lives, its node is kept even if no name leads to it.

use super::content::LEN_MAX;
use super::error;
use super::machine::{Fault, Machine, check};
use super::tree::NodeId;
use crate::disk::{Access, File, LockGuard, SECTOR};
use crate::error::Result;
use crate::reason::Reason;
use crate::sync::{Arc, Mutex, lock};
use rustix::io::Errno;
use std::path::{Path, PathBuf};

/// A lock, released when dropped.
pub(super) struct SimLock {
    machine: Arc<Mutex<Machine>>,
    id: NodeId,
}

impl SimLock {
    pub(super) fn new(machine: &Arc<Mutex<Machine>>, id: NodeId) -> SimLock {
        SimLock { machine: Arc::clone(machine), id }
    }
}

impl LockGuard for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        // A poisoned disk belongs to a test that is failing already; a second panic here would hide the first.
        if let Ok(mut machine) = self.machine.lock() {
            machine.locks.remove(&self.id);
        }
    }
}

/// An open file: it outlives its name.
pub(super) struct SimFile {
    machine: Arc<Mutex<Machine>>,
    id: NodeId,
    path: PathBuf,
    access: Access,
}

impl SimFile {
    pub(super) fn open(
        shared: &Arc<Mutex<Machine>>,
        machine: &mut Machine,
        id: NodeId,
        path: &Path,
        access: Access,
    ) -> Arc<dyn File> {
        *machine.handles.entry(id).or_default() += 1;
        Arc::new(SimFile { machine: Arc::clone(shared), id, path: path.to_owned(), access })
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        // As for a lock.
        if let Ok(mut machine) = self.machine.lock()
            && let Some(count) = machine.handles.get_mut(&self.id)
        {
            *count -= 1;
            if *count == 0 {
                machine.handles.remove(&self.id);
            }
        }
    }
}

impl File for SimFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let end = offset.saturating_add(buffer.len() as u64);
        let is_range = buffer.is_empty() || i64::try_from(end).is_ok();
        lock(&self.machine)
            .read(|tree| match is_range {
                true => Ok(tree.file(self.id).current().read(offset, buffer)),
                false => Err(Errno::INVAL),
            })
            .map_err(|errno| error(Reason::DiskReadFailed, "read", &self.path, errno))
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        lock(&self.machine)
            .operation(!bytes.is_empty(), |tree, fault| {
                if bytes.is_empty() {
                    return check(fault);
                }
                if self.access == Access::Read {
                    return Err(Errno::BADF);
                }
                if offset.checked_add(bytes.len() as u64).is_none_or(|end| end > LEN_MAX) {
                    return Err(Errno::FBIG);
                }
                match fault {
                    None => tree.file_mut(self.id).write(offset, bytes),
                    Some(Fault::ShortWrite) => {
                        tree.file_mut(self.id).write(offset, &bytes[..short(offset, bytes.len())]);
                    }
                    Some(Fault::Eio | Fault::EioAndForget | Fault::NoSpace) => {}
                }
                check(fault)
            })
            .map_err(|errno| error(Reason::DiskWriteFailed, "write", &self.path, errno))
    }

    fn set_len(&self, len: u64) -> Result<()> {
        let mut machine = lock(&self.machine);
        let takes_space = len > machine.tree.file(self.id).current().len();
        machine
            .operation(takes_space, |tree, fault| {
                check(fault)?;
                if self.access == Access::Read {
                    return Err(Errno::INVAL);
                }
                if len > LEN_MAX {
                    return Err(Errno::FBIG);
                }
                tree.file_mut(self.id).set_len(len);
                Ok(())
            })
            .map_err(|errno| error(Reason::DiskWriteFailed, "truncate", &self.path, errno))
    }

    fn len(&self) -> Result<u64> {
        lock(&self.machine)
            .read(|tree| Ok(tree.file(self.id).current().len()))
            .map_err(|errno| error(Reason::DiskReadFailed, "stat", &self.path, errno))
    }

    fn sync_data(&self) -> Result<()> {
        lock(&self.machine)
            .operation(false, |tree, fault| {
                let file = tree.file_mut(self.id);
                match fault {
                    None => file.sync(),
                    Some(Fault::Eio | Fault::NoSpace) => file.fail_sync(0),
                    Some(Fault::ShortWrite) => file.fail_sync(file.unsynced_changes() / 2),
                    Some(Fault::EioAndForget) => {
                        file.fail_sync(0);
                        file.forget();
                    }
                }
                check(fault)
            })
            .map_err(|errno| error(Reason::DiskSyncFailed, "fdatasync", &self.path, errno))
    }
}

/// How many bytes of a write a short one does: half, down to a sector, or else to a word; of a whole sector nothing (A-SECTOR).
fn short(offset: u64, len: usize) -> usize {
    const WORD: u64 = 8;
    if offset.is_multiple_of(SECTOR) && len as u64 == SECTOR {
        return 0;
    }
    let half = offset + (len / 2) as u64;
    let end = [half / SECTOR * SECTOR, half / WORD * WORD].into_iter().find(|end| *end > offset);
    end.map_or(0, |end| (end - offset) as usize)
}
