//! The door to files.
//!
//! Nothing else names `std::fs`. Behind it stand the real disk ([`RealDisk`]) and a simulated one ([`SimDisk`]) that loses,
//! tears, shortens and refuses on order. Both promise only what POSIX does:
//!
//! * a write is durable after `sync_data` of its file returned without error, not before;
//! * a name (created, renamed, removed) is durable after `sync_dir` of its directory, not before;
//! * after a failed sync, what was written since the last good one may be gone, and a later sync may say it is not (D-FSYNC);
//! * a sector of 512 bytes, aligned in its file, holds after a crash either what was written to it or what was there before
//!   (A-SECTOR).
//!
//! Whatever opens a file or a directory may be refused for want of a handle (`disk.handles_exhausted`), and has done nothing then.
//!
//! Deliberately absent: memory maps, asynchronous calls, retries. A failed call is reported once, with the operation, the
//! file and the operating system's words, and its owner stops.

pub mod aside;
mod real;
pub mod room;
mod sim;

pub use real::RealDisk;
pub use sim::{Crash, Fault, SimDisk, SimImage};

use crate::error::{Error, Result};
use crate::reason::Reason;
use crate::sync::Arc;
use rustix::fd::BorrowedFd;
use rustix::io::Errno;
use std::io;
use std::path::{Path, PathBuf};

/// The unit that a crash can't tear.
pub const SECTOR: u64 = 512;

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// For reading only.
    Read,
    /// For reading and writing.
    Write,
}

/// A directory tree of files.
pub trait Disk: Send + Sync {
    /// Opens an existing file; `None` if there is none of this name.
    ///
    /// # Errors
    /// `disk.read_failed`.
    fn open(&self, path: &Path, access: Access) -> Result<Option<Arc<dyn File>>>;

    /// Creates an empty file, or empties the one of this name.
    ///
    /// # Errors
    /// `disk.name_failed`, `disk.full`.
    fn create(&self, path: &Path) -> Result<Arc<dyn File>>;

    /// Renames a file, replacing the one at `to`.
    ///
    /// # Errors
    /// `disk.name_failed`.
    fn rename(&self, from: &Path, to: &Path) -> Result<()>;

    /// Removes a file; without an error if there is none.
    ///
    /// # Errors
    /// `disk.name_failed`.
    fn remove(&self, path: &Path) -> Result<()>;

    /// The names of the files and directories in a directory, sorted; `None` if there is no such directory.
    ///
    /// # Errors
    /// `disk.name_failed`.
    fn list(&self, directory: &Path) -> Result<Option<Vec<String>>>;

    /// Where a directory really lies, links resolved; `None` if there is no such directory.
    ///
    /// # Errors
    /// `disk.name_failed`.
    fn real_path(&self, directory: &Path) -> Result<Option<PathBuf>>;

    /// Creates a directory; without an error if it exists.
    ///
    /// # Errors
    /// `disk.name_failed`, `disk.full`.
    fn create_dir(&self, directory: &Path) -> Result<()>;

    /// Makes the names in a directory durable.
    ///
    /// # Errors
    /// `disk.sync_failed`.
    fn sync_dir(&self, directory: &Path) -> Result<()>;

    /// Takes the lock that this file stands for, and holds it until the guard is dropped or the process ends. Creates the file.
    ///
    /// # Errors
    /// `dir.locked` when another process holds it; `disk.name_failed`.
    fn lock(&self, path: &Path) -> Result<Box<dyn LockGuard>>;
}

/// Holds a lock for as long as it lives.
pub trait LockGuard: Send + Sync {}

/// An open file.
#[allow(clippy::len_without_is_empty)]
pub trait File: Send + Sync {
    /// Reads at an offset until the buffer is full or the file ends; returns how much was read.
    ///
    /// # Errors
    /// `disk.read_failed`.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize>;

    /// Writes the whole buffer at an offset, extending the file where needed.
    ///
    /// # Errors
    /// `disk.write_failed`, `disk.full`.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()>;

    /// Cuts the file, or extends it with zeros.
    ///
    /// # Errors
    /// `disk.write_failed`, `disk.full`.
    fn set_len(&self, len: u64) -> Result<()>;

    /// The length of the file.
    ///
    /// # Errors
    /// `disk.read_failed`.
    fn len(&self) -> Result<u64>;

    /// Makes contents and length durable.
    ///
    /// # Errors
    /// `disk.sync_failed`.
    fn sync_data(&self) -> Result<()>;

    /// What the operating system knows the file by, so that it can send a part of it to a socket by itself; `None` where there is no such
    /// thing.
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

/// The error for a failed call of the operating system.
fn failed(reason: Reason, operation: &'static str, path: &Path, error: &io::Error) -> Error {
    let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded].contains(&error.kind());
    let reason = match Errno::from_io_error(error) {
        Some(Errno::MFILE | Errno::NFILE) => Reason::DiskHandlesExhausted,
        _ if full => Reason::DiskFull,
        _ => reason,
    };
    Error::new(reason).with("operation", operation).with("file", path.display()).with("error", error)
}

/// Reads a whole small file; `None` if there is none. Of a longer file than `bytes_max` it reads one byte more than that, which is
/// no file of its format: the caller refuses it as it does any other.
///
/// # Errors
/// `disk.read_failed`.
pub fn read_file(disk: &dyn Disk, path: &Path, bytes_max: usize) -> Result<Option<Vec<u8>>> {
    let Some(file) = disk.open(path, Access::Read)? else { return Ok(None) };
    let len = usize::try_from(file.len()?).unwrap_or(usize::MAX);
    let mut bytes = vec![0; len.min(bytes_max.saturating_add(1))];
    let read = file.read_at(0, &mut bytes)?;
    bytes.truncate(read);
    Ok(Some(bytes))
}

/// Puts a whole small file in place so that after a crash the old or the new one is there: written aside, fsynced, renamed,
/// directory fsynced.
///
/// # Errors
/// Those of the calls it makes.
pub fn replace_file(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<()> {
    let aside = aside(path);
    let file = disk.create(&aside)?;
    file.write_at(0, bytes)?;
    file.sync_data()?;
    disk.rename(&aside, path)?;
    match path.parent() {
        Some(directory) => disk.sync_dir(directory),
        None => Ok(()),
    }
}

/// Ends the name of a file that is written aside.
pub const ASIDE: &str = ".tmp";

/// Where a file is written before it gets its name.
#[must_use]
pub fn aside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(ASIDE);
    path.with_file_name(name)
}
