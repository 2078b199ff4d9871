//! The directory that the bench works in: made by it, and removed with everything below when it ends, also with an error.
//!
//! Below it lie a data directory or a file per measurement, each of which goes as soon as it was measured.

use aerodb::disk::{Disk, RealDisk};
use aerodb::{Error, Reason, Result};
use std::path::{Path, PathBuf};

/// A directory that goes with its owner.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    /// Makes the directory, which must not exist.
    pub(super) fn create(path: &Path) -> Result<Scratch> {
        if RealDisk.list(path)?.is_some() {
            return Err(Error::new(Reason::DirNotEmpty).with("directory", path.display()));
        }
        RealDisk.create_dir(path)?;
        Ok(Scratch(path.to_owned()))
    }

    /// A name in it, behind which there is nothing: what an earlier measurement left there goes.
    pub(super) fn fresh(&self, name: &str) -> PathBuf {
        let path = self.0.join(name);
        remove(&path);
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

/// Removes a file, or a directory and what lies in it. What can't be removed stays, and shows itself by being there.
fn remove(path: &Path) {
    match RealDisk.list(path) {
        Ok(Some(names)) => {
            names.iter().for_each(|name| remove(&path.join(name)));
            let _ = rustix::fs::unlinkat(rustix::fs::CWD, path, rustix::fs::AtFlags::REMOVEDIR);
        }
        Ok(None) => {}
        Err(_) => {
            let _ = RealDisk.remove(path);
        }
    }
}
