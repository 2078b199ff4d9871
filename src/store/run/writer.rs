//! Writes one run, aside, front to back; it has its name only once it is complete and durable.
//!
//! May assume: the caller adds versions in order, each once, within the identity's commits; it is the only one that writes this
//! identity. Promises: the bytes are a function of meta, block size and entries (R-DETERMINISM); after `finish` returned, the file
//! is durable under its name. After an error, or when dropped before, what is left is a file aside, which is removed at
//! start.
//!
//! Memory: a buffer of writes, one data block, the index of one partition, and the top index so far.

use super::block::{BlockBuilder, HEADER_BYTES};
use super::index::{IndexBuilder, Place};
use super::{Entry, FOOTER_BYTES, MAGIC, RunId, RunInfo, RunMeta, VersionKey, filter};
use crate::codec::{self, Put};
use crate::commit_id::CommitId;
use crate::disk::{self, Disk, File};
use crate::error::{Error, Result};
use crate::limits;
use crate::reason::Reason;
use crate::sync::{Arc, planted};
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::Xxh3;

/// How much is gathered for one write.
const WRITE_BYTES: usize = 512 << 10;

/// A file that grows at its end, through a buffer, hashed as it is written.
struct Output {
    file: Arc<dyn File>,
    buffer: Vec<u8>,
    flushed: u64,
    hash: Box<Xxh3>,
}

impl Output {
    fn written(&self) -> u64 {
        self.flushed.saturating_add(self.buffer.len() as u64)
    }

    fn append(&mut self, bytes: &[u8]) -> Result<Place> {
        let place = Place::of(self.written(), bytes);
        if self.buffer.len().saturating_add(bytes.len()) > WRITE_BYTES {
            self.flush()?;
        }
        if bytes.len() > WRITE_BYTES {
            self.write(bytes)?;
        } else {
            self.buffer.extend_from_slice(bytes);
        }
        Ok(place)
    }

    fn flush(&mut self) -> Result<()> {
        let mut buffer = std::mem::take(&mut self.buffer);
        self.write(&buffer)?;
        buffer.clear();
        self.buffer = buffer;
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        if !bytes.is_empty() {
            self.file.write_at(self.flushed, bytes)?;
            self.hash.update(bytes);
            self.flushed = self.flushed.saturating_add(bytes.len() as u64);
        }
        Ok(())
    }
}

/// Writes one run.
pub struct RunWriter {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    meta: RunMeta,
    block_bytes: usize,
    output: Output,
    block: BlockBuilder,
    partition: IndexBuilder,
    /// Of the distinct keys of this partition.
    hashes: Vec<u64>,
    top: IndexBuilder,
    last_key: Vec<u8>,
    last_commit: CommitId,
    entries: u64,
    blocks: u64,
}

impl RunWriter {
    /// Begins a run aside. Blocks are closed once their entries hold `block_bytes`, and before an entry that alone does.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn create(disk: &Arc<dyn Disk>, directory: &Path, meta: RunMeta, block_bytes: u32) -> Result<RunWriter> {
        let file = disk.create(&disk::aside(&directory.join(meta.id.file_name())))?;
        let buffer = Vec::with_capacity(WRITE_BYTES);
        Ok(RunWriter {
            disk: Arc::clone(disk),
            directory: directory.to_owned(),
            meta,
            block_bytes: usize::try_from(block_bytes).unwrap_or(usize::MAX),
            output: Output { file, buffer, flushed: 0, hash: Box::new(Xxh3::new()) },
            block: BlockBuilder::default(),
            partition: IndexBuilder::default(),
            hashes: Vec::new(),
            top: IndexBuilder::default(),
            last_key: Vec::new(),
            last_commit: CommitId::NONE,
            entries: 0,
            blocks: 0,
        })
    }

    /// Adds the next version: of a larger key than the last, or of the same key and an earlier commit. Another order is a mistake
    /// of ours; a run written so would be refused by its readers.
    ///
    /// # Errors
    /// `batch.key_too_long`, `batch.value_too_long`; `store.run_too_large`; those of the
    /// disk. After any, the writer is of no more use.
    pub fn add(&mut self, entry: Entry<'_>) -> Result<()> {
        if entry.key.len() > limits::KEY_BYTES_MAX {
            return Err(Error::new(Reason::BatchKeyTooLong).with("bytes", entry.key.len()));
        }
        if let Some(value) = entry.value.filter(|value| value.len() > limits::VALUE_BYTES_MAX) {
            return Err(Error::new(Reason::BatchValueTooLong).with("bytes", value.len()));
        }
        debug_assert!(
            entry.commit != CommitId::NONE && (self.meta.id.first..=self.meta.id.last).contains(&entry.commit),
            "commit {} does not belong into {}",
            entry.commit,
            self.meta.id
        );
        debug_assert!(
            self.entries == 0 || VersionKey::at(&self.last_key, self.last_commit) < entry.version_key(),
            "entry {} of {} is out of order",
            self.entries,
            self.meta.id
        );
        // A large value has a block of its own: who looks for the keys beside it is not to read it.
        let value_bytes = entry.value.map_or(0, <[u8]>::len);
        let entry_bytes = HEADER_BYTES.saturating_add(entry.key.len()).saturating_add(value_bytes);
        if entry_bytes >= self.block_bytes && !self.block.is_empty() {
            self.close_block()?;
        }
        let same_key = self.entries > 0 && self.last_key == entry.key;
        if !same_key {
            self.last_key.clear();
            self.last_key.extend_from_slice(entry.key);
        }
        // Each partition's filter knows all keys of the partition, also one whose versions began in the partition before.
        if !same_key || self.hashes.is_empty() {
            self.hashes.push(filter::key_hash(entry.key));
        }
        self.last_commit = entry.commit;
        self.block.add(&entry);
        self.entries = self.entries.saturating_add(1);
        if self.block.entries_bytes() >= self.block_bytes {
            self.close_block()?;
        }
        Ok(())
    }

    /// Bytes of closed blocks and partitions so far.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.output.written()
    }

    /// Completes the run, makes it durable, and gives it its name.
    ///
    /// # Errors
    /// As [`RunWriter::add`].
    pub fn finish(mut self) -> Result<RunInfo> {
        if !self.block.is_empty() {
            self.close_block()?;
        }
        if self.partition.count() > 0 {
            self.close_partition()?;
        }
        let top = self.top.finish(&[]);
        let top = self.output.append(&top)?;
        let footer = self.footer(top);
        self.output.append(&footer)?;
        self.output.flush()?;
        if !planted("the manifest names a run that is not durable") {
            self.output.file.sync_data()?;
        }
        let path = self.directory.join(self.meta.id.file_name());
        self.disk.rename(&disk::aside(&path), &path)?;
        self.disk.sync_dir(&self.directory)?;
        Ok(RunInfo { id: self.meta.id, size: self.output.flushed, hash: self.output.hash.digest128() })
    }

    fn close_block(&mut self) -> Result<()> {
        let place = self.output.append(self.block.finish())?;
        self.partition.add(place, VersionKey::at(&self.last_key, self.last_commit));
        self.block.clear(self.block_bytes);
        self.blocks = self.blocks.saturating_add(1);
        if self.partition.count() >= limits::PARTITION_BLOCKS {
            self.close_partition()?;
        }
        Ok(())
    }

    fn close_partition(&mut self) -> Result<()> {
        let partition = self.partition.finish(&filter::build(&self.hashes));
        let place = self.output.append(&partition)?;
        self.top.add(place, VersionKey::at(&self.last_key, self.last_commit));
        self.hashes.clear();
        check_top(self.meta.id, self.top.bytes())
    }

    fn footer(&self, top: Place) -> Vec<u8> {
        let mut footer = codec::begin(MAGIC);
        footer.put_u32(self.meta.id.level);
        footer.extend_from_slice(&self.meta.database_id.0);
        footer.put_u64(self.meta.id.first.0);
        footer.put_u64(self.meta.id.last.0);
        footer.put_u64(self.meta.floor.0);
        footer.put_u64(self.entries);
        footer.put_u64(self.blocks);
        footer.put_u64(top.offset);
        footer.put_len32(top.len);
        footer.put_u32(top.crc);
        footer.resize(FOOTER_BYTES.saturating_sub(size_of::<u32>()), 0);
        let crc = crc32c::crc32c(&footer);
        footer.put_u32(crc);
        footer
    }
}

/// Refuses a top index that no reader would take.
fn check_top(id: RunId, bytes: usize) -> Result<()> {
    if bytes <= limits::TOP_INDEX_BYTES_MAX {
        return Ok(());
    }
    Err(Error::new(Reason::StoreRunTooLarge)
        .with("run", id)
        .with("bytes", bytes)
        .with("limit", limits::TOP_INDEX_BYTES_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_top_index_beyond_its_limit_is_refused_by_its_own_name() {
        let id = RunId { level: 3, first: CommitId(1), last: CommitId(9) };
        assert_eq!(check_top(id, limits::TOP_INDEX_BYTES_MAX), Ok(()));
        let refusal = check_top(id, limits::TOP_INDEX_BYTES_MAX + 1).unwrap_err();
        assert_eq!(refusal.reason(), Reason::StoreRunTooLarge);
    }
}
