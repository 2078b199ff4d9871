//! One file of `incoming/`, written front to back as its bytes come.
//!
//! Assumes that who writes gives it no more than is still to come. Promises: once it is finished it is durable, and a run the one that the manifest names
//! (SNAP-PROVE); its name is durable once who made it has seen to that.

use crate::disk::{Disk, File};
use crate::error::{Error, Result};
use crate::reason::Reason;
use crate::sync::{Arc, planted};
use std::path::PathBuf;
use xxhash_rust::xxh3::Xxh3;

/// A file that is coming.
pub(super) struct Output {
    file: Arc<dyn File>,
    path: PathBuf,
    /// Bytes that are written.
    at: u64,
    /// Bytes that are still to come.
    left: u64,
    hash: Box<Xxh3>,
    /// What the manifest says of it; a piece of log proves itself otherwise.
    expected: Option<u128>,
}

impl Output {
    /// A new file that begins with `header`, and gets so many bytes behind it.
    pub(super) fn create(
        disk: &dyn Disk,
        path: PathBuf,
        header: &[u8],
        bytes: u64,
        expected: Option<u128>,
    ) -> Result<Output> {
        let file = disk.create(&path)?;
        if !header.is_empty() {
            file.write_at(0, header)?;
        }
        Ok(Output { file, path, at: header.len() as u64, left: bytes, hash: Box::new(Xxh3::new()), expected })
    }

    /// Bytes that are still to come.
    pub(super) fn left(&self) -> u64 {
        self.left
    }

    /// Writes what came; it is not more than what is still to come.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_at(self.at, bytes)?;
        self.hash.update(bytes);
        self.at += bytes.len() as u64;
        self.left -= bytes.len() as u64;
        Ok(())
    }

    /// Makes the file durable, and holds it against what the manifest says; its name is not durable yet.
    pub(super) fn finish(&self) -> Result<()> {
        if !planted("what came is not durable") {
            self.file.sync_data()?;
        }
        let found = self.hash.digest128();
        match self.expected {
            Some(expected) if expected != found => Err(Error::new(Reason::SnapshotRejected)
                .with("fault", "a run is not the one that the manifest names")
                .with("file", self.path.display())
                .with("expected", format_args!("{expected:032x}"))
                .with("found", format_args!("{found:032x}"))),
            _ => Ok(()),
        }
    }
}
