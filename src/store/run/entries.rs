//! Every version of a run in order, past the cache: what merges and `verify` read.
//!
//! Reads ahead in chunks, so that the disk is read front to back, and keeps nothing in the cache, so that a merge evicts nothing
//! that readers need. Each block is proven before its first entry is shown: checksum, structure, order within it and behind the
//! block before.
//!
//! Memory: one chunk (or one block, where a block is larger) and one partition.

use super::Entry;
use super::block::{BlockView, Shape};
use super::index::Index;
use super::reader::Run;
use crate::error::Result;
use std::ops::{Deref, Range};

/// How much is read at once, unless one block is larger.
const CHUNK_BYTES: usize = 256 << 10;

/// Walks over the data blocks of one partition. Begins before the first.
#[derive(Debug)]
pub(super) struct BlockWalk {
    number: usize,
    partition: Index,
    /// The next block to show.
    next: usize,
    chunk: Vec<u8>,
    /// Where the chunk begins in the file.
    chunk_at: u64,
    /// The first block that is not in the chunk.
    chunk_until: usize,
    /// Where the shown block stands in the chunk.
    shown: Range<usize>,
    shape: Shape,
}

impl BlockWalk {
    /// Begins a partition. The buffer is one that another walk is done with, or a new one.
    pub(super) fn new(run: &Run, number: usize, chunk: Vec<u8>) -> Result<BlockWalk> {
        let partition = run.read_partition(number)?;
        let shape = Shape::default();
        Ok(BlockWalk { number, partition, next: 0, chunk, chunk_at: 0, chunk_until: 0, shown: 0..0, shape })
    }

    /// The partition.
    pub(super) fn partition(&self) -> &Index {
        &self.partition
    }

    /// Goes to the next block and proves it; false behind the last.
    pub(super) fn next_block(&mut self, run: &Run) -> Result<bool> {
        let number = self.next;
        if number >= self.partition.count() {
            return Ok(false);
        }
        if number >= self.chunk_until {
            self.read_chunk(run)?;
        }
        let place = run.block_place(&self.partition, number)?;
        // What a short read left out makes the range shorter than the place, and is refused as such.
        let start = usize::try_from(place.offset.saturating_sub(self.chunk_at)).unwrap_or(usize::MAX);
        let end = start.saturating_add(place.len).min(self.chunk.len());
        self.shown = start.min(end)..end;
        let bytes = self.chunk.get(self.shown.clone()).unwrap_or_default();
        self.shape = run.check_block(self.number, &self.partition, number, bytes)?.shape();
        self.next = number.saturating_add(1);
        Ok(true)
    }

    /// The block that [`BlockWalk::next_block`] last went to.
    pub(super) fn view(&self) -> BlockView<'_> {
        BlockView::new(self.chunk.get(self.shown.clone()).unwrap_or_default(), self.shape)
    }

    /// Where the shown block ends in the file.
    pub(super) fn done(&self) -> u64 {
        self.chunk_at.saturating_add(self.shown.end as u64)
    }

    /// Gives back the buffer.
    pub(super) fn into_chunk(self) -> Vec<u8> {
        self.chunk
    }

    fn read_chunk(&mut self, run: &Run) -> Result<()> {
        let first = run.block_place(&self.partition, self.next)?;
        self.chunk_at = first.offset;
        self.chunk_until = self.next.saturating_add(1);
        let mut len = first.len;
        while let Some(entry) = self.partition.entry(self.chunk_until) {
            if len.saturating_add(entry.place.len) > CHUNK_BYTES {
                break;
            }
            len = len.saturating_add(entry.place.len);
            self.chunk_until = self.chunk_until.saturating_add(1);
        }
        self.chunk.resize(len, 0);
        // A block that one huge value made large leaves no large buffer behind.
        self.chunk.shrink_to(CHUNK_BYTES);
        let read = run.file().read_at(self.chunk_at, &mut self.chunk)?;
        self.chunk.truncate(read);
        Ok(())
    }
}

/// Every version of a run in order. Begins before the first.
///
/// Holds the run as its maker wants it: borrowed, or pinned.
pub struct Sequential<R: Deref<Target = Run>> {
    run: R,
    walk: Option<BlockWalk>,
    /// The next partition to walk.
    partition: usize,
    /// The shown entry of the block that the walk shows.
    entry: usize,
}

impl<R: Deref<Target = Run>> Sequential<R> {
    /// Begins before the first version.
    #[must_use]
    pub fn new(run: R) -> Sequential<R> {
        Sequential { run, walk: None, partition: 0, entry: 0 }
    }

    /// Goes to the next version and shows it; `None` behind the last.
    ///
    /// # Errors
    /// `store.block_corrupt`, `disk.read_failed`; nothing is shown after that.
    #[allow(clippy::should_implement_trait, reason = "what is shown is borrowed, which an Iterator can't")]
    pub fn next(&mut self) -> Result<Option<Entry<'_>>> {
        self.entry = self.entry.saturating_add(1);
        if self.walk.as_ref().is_none_or(|walk| self.entry >= walk.view().count()) {
            self.entry = 0;
            if let Err(error) = self.next_block() {
                self.walk = None;
                self.partition = usize::MAX;
                return Err(error);
            }
        }
        Ok(self.current())
    }

    /// The version that [`Sequential::next`] last showed.
    #[must_use]
    pub fn current(&self) -> Option<Entry<'_>> {
        self.walk.as_ref()?.view().entry(self.entry)
    }

    fn next_block(&mut self) -> Result<()> {
        if let Some(walk) = &mut self.walk
            && walk.next_block(&self.run)?
        {
            return Ok(());
        }
        let chunk = self.walk.take().map(BlockWalk::into_chunk).unwrap_or_default();
        if self.partition < self.run.top().count() {
            // A partition has at least one block.
            let mut walk = BlockWalk::new(&self.run, self.partition, chunk)?;
            walk.next_block(&self.run)?;
            self.walk = Some(walk);
            self.partition = self.partition.saturating_add(1);
        }
        Ok(())
    }
}
