//! Reading and writing whole files in pieces, hashed on the way.
//!
//! What is hashed is what was read or written, in the same piece of memory: nothing is read twice to be trusted once.

use super::PIECE_BYTES;
use super::listing::{Entry, Name};
use crate::disk::{Access, Disk, File};
use crate::error::Result;
use crate::sync::Arc;
use std::path::Path;
use xxhash_rust::xxh3::Xxh3;

/// A new file that is written front to back.
pub(super) struct Output {
    file: Arc<dyn File>,
    name: Name,
    buffer: Vec<u8>,
    written: u64,
    hash: Box<Xxh3>,
}

impl Output {
    pub(super) fn create(disk: &dyn Disk, root: &Path, name: Name) -> Result<Output> {
        let file = disk.create(&name.path(root))?;
        Ok(Output { file, name, buffer: Vec::new(), written: 0, hash: Box::new(Xxh3::new()) })
    }

    pub(super) fn append(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let room = PIECE_BYTES.saturating_sub(self.buffer.len());
            let (taken, rest) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
            self.buffer.extend_from_slice(taken);
            bytes = rest;
            if self.buffer.len() >= PIECE_BYTES {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        if !self.buffer.is_empty() {
            self.file.write_at(self.written, &self.buffer)?;
            self.hash.update(&self.buffer);
            self.written = self.written.saturating_add(self.buffer.len() as u64);
            self.buffer.clear();
        }
        Ok(())
    }

    /// Makes the file durable; its name is not yet.
    pub(super) fn finish(mut self) -> Result<Entry> {
        self.flush()?;
        self.file.sync_data()?;
        Ok(Entry { name: self.name, size: self.written, hash: self.hash.digest128() })
    }
}

/// What a file that should have a certain size turned out to be.
pub(crate) enum Whole {
    /// It has that size, and this hash.
    Hash(u128),
    /// It has another size; or another was read, while somebody changed it.
    Size(u64),
    /// It is not there.
    Absent,
}

/// Reads a file of this size, piece after piece.
pub(crate) fn read_whole(
    disk: &dyn Disk,
    path: &Path,
    size: u64,
    each: &mut dyn FnMut(&[u8]) -> Result<()>,
) -> Result<Whole> {
    let Some(file) = disk.open(path, Access::Read)? else { return Ok(Whole::Absent) };
    let found = file.len()?;
    if found != size {
        return Ok(Whole::Size(found));
    }
    let mut hash = Box::new(Xxh3::new());
    let mut piece = Vec::new();
    let mut at = 0;
    while at < size {
        let want = size.saturating_sub(at).min(PIECE_BYTES as u64);
        piece.resize(usize::try_from(want).unwrap_or(PIECE_BYTES), 0);
        let read = file.read_at(at, &mut piece)?;
        at = at.saturating_add(read as u64);
        if read < piece.len() {
            return Ok(Whole::Size(at));
        }
        hash.update(&piece);
        each(&piece)?;
    }
    Ok(Whole::Hash(hash.digest128()))
}
