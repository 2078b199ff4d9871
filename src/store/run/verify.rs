//! Proves every byte of a run: what `verify`, backup and the check of a received run rely on.
//!
//! One pass, front to back, and each byte is read once: what is hashed is what was checked. The hash alone would prove that the
//! file is the one that was written; the other checks prove that what was written is a run, and name the block when it is not.

use super::entries::BlockWalk;
use super::reader::Run;
use super::{Malformed, filter};
use crate::error::{Error, Result};
use crate::reason::Reason;
use xxhash_rust::xxh3::Xxh3;

const TAIL_CHUNK_BYTES: usize = 64 << 10;

impl Run {
    /// Proves every byte: checksums, structure and order of all blocks, that nothing lies between them, that each filter is the one
    /// of its keys, the numbers of the footer, and the hash. Tells after each block how many bytes are done; whoever is told may end it.
    ///
    /// # Errors
    /// `store.block_corrupt`, `store.run_corrupt`, `disk.read_failed`; those of `progress`.
    pub fn verify(&self, progress: &mut dyn FnMut(u64) -> Result<()>) -> Result<()> {
        let mut hash = Box::new(Xxh3::new());
        let (mut entries, mut blocks) = (0u64, 0u64);
        let mut chunk = Vec::new();
        for number in 0..self.top().count() {
            let mut walk = BlockWalk::new(self, number, chunk)?;
            let mut hashes = Vec::new();
            let mut last_key: Option<Vec<u8>> = None;
            while walk.next_block(self)? {
                let view = walk.view();
                hash.update(view.bytes());
                blocks = blocks.saturating_add(1);
                entries = entries.saturating_add(view.count() as u64);
                for entry in (0..view.count()).filter_map(|index| view.entry(index)) {
                    if last_key.as_deref() != Some(entry.key) {
                        hashes.push(filter::key_hash(entry.key));
                        let key = last_key.get_or_insert_default();
                        key.clear();
                        key.extend_from_slice(entry.key);
                    }
                }
                progress(walk.done())?;
            }
            if walk.partition().filter() != filter::build(&hashes) {
                return Err(self.malformed(self.partition_place(number)?.offset, Malformed("filter")));
            }
            hash.update(walk.partition().bytes());
            chunk = walk.into_chunk();
        }
        self.hash_tail(&mut hash, chunk)?;
        progress(self.info().size)?;
        let corrupt = || Error::new(Reason::StoreRunCorrupt).with("file", self.path().display());
        if (entries, blocks) != (self.entries_count(), self.blocks_count()) {
            return Err(corrupt()
                .with("malformed", "entries and blocks of the footer")
                .with("expected", format_args!("{} {}", self.entries_count(), self.blocks_count()))
                .with("found", format_args!("{entries} {blocks}")));
        }
        let (expected, found) = (self.info().hash, hash.digest128());
        if found != expected {
            return Err(corrupt()
                .with("malformed", "hash")
                .with("expected", format_args!("{expected:032x}"))
                .with("found", format_args!("{found:032x}")));
        }
        Ok(())
    }

    /// Hashes top index and footer, as they stand on the disk now.
    fn hash_tail(&self, hash: &mut Xxh3, mut chunk: Vec<u8>) -> Result<()> {
        chunk.resize(TAIL_CHUNK_BYTES, 0);
        let mut at = self.top_place().offset;
        loop {
            let read = self.file().read_at(at, &mut chunk)?;
            if read == 0 {
                break;
            }
            hash.update(chunk.get(..read).unwrap_or_default());
            at = at.saturating_add(read as u64);
            // A file that was extended since it was opened is not hashed without end.
            if at > self.info().size {
                break;
            }
        }
        Ok(())
    }
}
