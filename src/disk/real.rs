//! The operating system's files, by plain positional system calls, so that every write can be seen and failed from outside.
//!
//! The only file that names `std::fs`. It keeps no state beyond open handles: no buffer, no cache, no retry, except of a call that a
//! signal interrupted. Each failure is reported with the operation, the file and the system's words (F-D2).

use super::{Access, Disk, File, LockGuard, failed};
use crate::error::{Error, Result};
use crate::reason::Reason;
use crate::sync::Arc;
use rustix::fd::{AsFd, BorrowedFd};
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// The disk of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

struct RealFile {
    file: fs::File,
    path: PathBuf,
}

struct RealLock {
    file: fs::File,
}

impl LockGuard for RealLock {}

impl Drop for RealLock {
    /// Gives the lock back by name. Closing the handle would not do: a child process that another thread is just starting holds a
    /// duplicate of it until it executes its program, and with it the lock.
    fn drop(&mut self) {
        // The handle is closed right after this, which gives the lock back too unless there is such a duplicate.
        let _ = self.file.unlock();
    }
}

impl RealDisk {
    /// Removes a directory and everything in it. No data directory is ever removed: this is for scratch directories.
    ///
    /// # Errors
    /// `disk.name_failed`.
    pub fn remove_tree(&self, directory: &Path) -> Result<()> {
        fs::remove_dir_all(directory)
            .map_err(|error| failed(Reason::DiskNameFailed, "remove directory", directory, &error))
    }

    /// Reads a file from its beginning to its end, or up to `bytes_max`, whatever kind of file it is: a pipe has no length to ask
    /// for and no offset to read at. No file of a data directory is read like this.
    ///
    /// # Errors
    /// `disk.read_failed`.
    pub fn read_stream(&self, path: &Path, bytes_max: usize) -> Result<Vec<u8>> {
        let told = |operation| move |error: io::Error| failed(Reason::DiskReadFailed, operation, path, &error);
        let file = fs::File::open(path).map_err(told("open"))?;
        let mut bytes = Vec::new();
        file.take(bytes_max as u64).read_to_end(&mut bytes).map_err(told("read"))?;
        Ok(bytes)
    }
}

impl Disk for RealDisk {
    fn open(&self, path: &Path, access: Access) -> Result<Option<Arc<dyn File>>> {
        match fs::OpenOptions::new().read(true).write(access == Access::Write).open(path) {
            Ok(file) => Ok(Some(Arc::new(RealFile { file, path: path.to_owned() }))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(Reason::DiskReadFailed, "open", path, &error)),
        }
    }

    fn create(&self, path: &Path) -> Result<Arc<dyn File>> {
        let file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(path)
            .map_err(|error| failed(Reason::DiskNameFailed, "create", path, &error))?;
        Ok(Arc::new(RealFile { file, path: path.to_owned() }))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        fs::rename(from, to).map_err(|error| failed(Reason::DiskNameFailed, "rename", from, &error))
    }

    fn remove(&self, path: &Path) -> Result<()> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failed(Reason::DiskNameFailed, "remove", path, &error))
            }
            _ => Ok(()),
        }
    }

    fn list(&self, directory: &Path) -> Result<Option<Vec<String>>> {
        let entries = match fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(Reason::DiskNameFailed, "list", directory, &error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| failed(Reason::DiskNameFailed, "list", directory, &error))?;
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
        names.sort_unstable();
        Ok(Some(names))
    }

    fn real_path(&self, directory: &Path) -> Result<Option<PathBuf>> {
        match fs::canonicalize(directory) {
            Ok(path) => Ok(Some(path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(Reason::DiskNameFailed, "resolve", directory, &error)),
        }
    }

    fn create_dir(&self, directory: &Path) -> Result<()> {
        match fs::create_dir(directory) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && directory.is_dir() => Ok(()),
            Err(error) => Err(failed(Reason::DiskNameFailed, "create directory", directory, &error)),
        }
    }

    fn sync_dir(&self, directory: &Path) -> Result<()> {
        fs::File::open(directory)
            .and_then(|file| file.sync_all())
            .map_err(|error| failed(Reason::DiskSyncFailed, "fsync directory", directory, &error))
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn LockGuard>> {
        // A lock that is there can be taken where nothing may be written: what only reads needs no more.
        let file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .or_else(|error| {
                let not_writable = [io::ErrorKind::PermissionDenied, io::ErrorKind::ReadOnlyFilesystem];
                if not_writable.contains(&error.kind()) { fs::File::open(path) } else { Err(error) }
            })
            .map_err(|error| failed(Reason::DiskNameFailed, "create", path, &error))?;
        match file.try_lock() {
            Ok(()) => Ok(Box::new(RealLock { file })),
            Err(fs::TryLockError::WouldBlock) => Err(Error::new(Reason::DirLocked).with("file", path.display())),
            Err(fs::TryLockError::Error(error)) => Err(failed(Reason::DiskNameFailed, "lock", path, &error)),
        }
    }
}

impl File for RealFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.file.read_at(&mut buffer[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(Reason::DiskReadFailed, "read", &self.path, &error)),
            }
        }
        Ok(filled)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.file
            .write_all_at(bytes, offset)
            .map_err(|error| failed(Reason::DiskWriteFailed, "write", &self.path, &error))
    }

    fn set_len(&self, len: u64) -> Result<()> {
        self.file.set_len(len).map_err(|error| failed(Reason::DiskWriteFailed, "truncate", &self.path, &error))
    }

    fn len(&self) -> Result<u64> {
        match self.file.metadata() {
            Ok(metadata) => Ok(metadata.len()),
            Err(error) => Err(failed(Reason::DiskReadFailed, "stat", &self.path, &error)),
        }
    }

    fn sync_data(&self) -> Result<()> {
        self.file.sync_data().map_err(|error| failed(Reason::DiskSyncFailed, "fdatasync", &self.path, &error))
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.file.as_fd())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_read_to_its_end_or_its_limit_whatever_its_length_says() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, b"value").unwrap();
        assert_eq!(RealDisk.read_stream(&path, 9).unwrap(), b"value");
        assert_eq!(RealDisk.read_stream(&path, 4).unwrap(), b"valu");
        assert_eq!(RealDisk.read_stream(Path::new("/dev/zero"), 3).unwrap(), [0; 3]);
        for wrong in ["absent", "."] {
            let error = RealDisk.read_stream(&directory.path().join(wrong), 9).unwrap_err();
            assert_eq!(error.reason(), Reason::DiskReadFailed, "{wrong}");
        }
    }

    /// R-WRITER: a lock ends with its guard, even while a duplicate of the handle lives on, as in a child that is being started.
    #[test]
    fn a_lock_ends_with_its_guard_and_not_with_the_last_duplicate_of_its_handle() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("LOCK");
        let file = fs::File::create(&path).unwrap();
        file.try_lock().unwrap();
        let duplicate = file.try_clone().unwrap();
        let guard = RealLock { file };
        assert_eq!(RealDisk.lock(&path).err().map(|error| error.reason()), Some(Reason::DirLocked));
        drop(guard);
        assert!(RealDisk.lock(&path).is_ok());
        drop(duplicate);
    }
}
