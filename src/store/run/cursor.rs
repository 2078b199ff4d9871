//! The keys of one run as a view sees them, in either direction.
//!
//! Shows for each key the newest version that is not newer than the view; a tombstone is shown as one, because a cursor that
//! merges several runs must know that older runs are hidden. A key that has no such version is passed; where many follow one another, one
//! of them is shown now and then as what it is, so that no step is long. A large value has a block of its own, which is read and proven
//! whether the value is shown or not: so the cursor tells the bytes of the blocks it took, and ends a step by them too.
//!
//! Holds the partition and the data block it stands in, so that a step within a block takes no lock and no memory. Versions that
//! are not shown are searched past, not stepped over: a key with a million versions costs a scan no more than a few probes.
//! Pins its run; after an error it shows nothing until the next `seek`.

use super::block::{BlockView, DataBlock, Placed};
use super::index::Index;
use super::reader::Run;
use super::{PASSED_BYTES, PASSED_KEYS, Sight, VersionKey};
use crate::commit_id::CommitId;
use crate::error::Result;
use crate::sync::{Arc, Pin};
use std::ops::Bound;

/// Which way a cursor goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To larger keys.
    Forward,
    /// To smaller keys.
    Backward,
}

/// The block a cursor stands in.
struct Held {
    partition_number: usize,
    partition: Arc<Index>,
    block_number: usize,
    block: DataBlock,
}

/// Goes over the keys of a run. Shows nothing before the first `seek`.
pub struct RunCursor {
    run: Pin<Run>,
    at: CommitId,
    direction: Direction,
    held: Option<Held>,
    /// The shown version; it stands in the held block.
    shown: Option<Placed>,
    /// In its place a key that was passed, and the entry of the held block to go on from.
    passed: Option<(Vec<u8>, usize)>,
    /// Bytes of the blocks that were taken so far.
    taken_bytes: usize,
}

impl RunCursor {
    /// A cursor over what a view at `at` sees.
    #[must_use]
    pub fn new(run: Pin<Run>, at: CommitId, direction: Direction) -> RunCursor {
        RunCursor { run, at, direction, held: None, shown: None, passed: None, taken_bytes: 0 }
    }

    /// Goes to the first key at (`Included`) or behind (`Excluded`) a bound, in the cursor's direction; `Unbounded`: to the first
    /// of all.
    ///
    /// # Errors
    /// `store.block_corrupt`, `disk.read_failed`.
    pub fn seek(&mut self, bound: Bound<&[u8]>) -> Result<()> {
        (self.shown, self.passed) = (None, None);
        if self.at < self.run.id().first {
            return Ok(());
        }
        match self.direction {
            Direction::Forward => {
                let from = match bound {
                    Bound::Unbounded => self.first()?,
                    Bound::Included(key) => self.locate(VersionKey::at(key, self.at))?,
                    Bound::Excluded(key) => self.locate(VersionKey::behind(key))?,
                };
                from.map_or(Ok(()), |from| self.settle_forward(from))
            }
            Direction::Backward => {
                let located = match bound {
                    Bound::Unbounded => None,
                    Bound::Included(key) => self.locate(VersionKey::behind(key))?,
                    Bound::Excluded(key) => self.locate(VersionKey::before(key))?,
                };
                let until = if located.is_some() { located } else { self.end()? };
                until.map_or(Ok(()), |until| self.settle_backward(until))
            }
        }
    }

    /// Goes to the next key in the cursor's direction. Behind the last it shows nothing, and stays there.
    ///
    /// # Errors
    /// `store.block_corrupt`, `disk.read_failed`.
    pub fn advance(&mut self) -> Result<()> {
        if let Some((_, entry)) = self.passed.take() {
            return match self.direction {
                Direction::Forward => self.settle_forward(entry),
                Direction::Backward => self.settle_backward(entry),
            };
        }
        let (Some(shown), Some(held)) = (self.shown.take(), &self.held) else { return Ok(()) };
        match self.direction {
            Direction::Backward => self.settle_backward(shown.index),
            Direction::Forward => {
                let view = held.block.view();
                let key = view.key(&shown);
                let next = shown.index.saturating_add(1);
                let from = match view.placed(next) {
                    Some(placed) if view.key(&placed) == key => view.search_after(next, VersionKey::behind(key)),
                    _ => next,
                };
                if from < view.count() {
                    return self.settle_forward(from);
                }
                let block = held.block.clone();
                let behind = VersionKey::behind(block.view().key(&shown));
                self.locate(behind)?.map_or(Ok(()), |from| self.settle_forward(from))
            }
        }
    }

    /// The key the cursor stands at, and what the view sees there.
    #[must_use]
    pub fn current(&self) -> Option<(&[u8], Sight<'_>)> {
        if let Some((key, _)) = &self.passed {
            return Some((key, Sight::Nothing));
        }
        let (shown, held) = (self.shown.as_ref()?, self.held.as_ref()?);
        let view = held.block.view();
        Some((view.key(shown), view.value(shown).map_or(Sight::Tombstone, Sight::Value)))
    }

    /// The bytes of the blocks that it took so far, from the cache or from the disk, whatever they showed.
    #[must_use]
    pub fn taken_bytes(&self) -> usize {
        self.taken_bytes
    }

    /// Whether so much was passed in a step that began there that the step ends.
    fn passed_enough(&self, keys: usize, taken_before: usize) -> bool {
        keys >= PASSED_KEYS || self.taken_bytes.saturating_sub(taken_before) >= PASSED_BYTES
    }

    /// Shows the first version from an entry of the held block on that the view sees. The entry is the first of its key, or those
    /// before it are newer than the view: so what is found is the newest visible version of its key.
    fn settle_forward(&mut self, mut from: usize) -> Result<()> {
        let (mut passed, taken_before) = (0_usize, self.taken_bytes);
        while let Some((view, placed)) = self.placed(from) {
            if placed.commit <= self.at {
                self.shown = Some(placed);
                return Ok(());
            }
            passed = passed.saturating_add(1);
            let last = self.passed_enough(passed, taken_before).then(|| view.key(&placed).to_vec());
            from = view.search_after(from, VersionKey::at(view.key(&placed), self.at));
            if from >= view.count() {
                let Some(block) = self.held.as_ref().map(|held| held.block.clone()) else { return Ok(()) };
                let visible = VersionKey::at(block.view().key(&placed), self.at);
                match self.locate(visible)? {
                    Some(located) => from = located,
                    None => return Ok(()),
                }
            }
            // The entry found is the visible version of this key, or the key has none.
            if let Some(key) = last
                && self.placed(from).is_some_and(|(_, placed)| placed.commit > self.at)
            {
                self.passed = Some((key, from));
                return Ok(());
            }
        }
        Ok(())
    }

    /// Shows the newest visible version of the last visible key before an entry of the held block. Of the key of that entry,
    /// only versions newer than the view may lie before it.
    fn settle_backward(&mut self, mut until: usize) -> Result<()> {
        let (mut passed, taken_before) = (0_usize, self.taken_bytes);
        loop {
            let Some(index) = until.checked_sub(1) else {
                match self.previous_block()? {
                    Some(count) => until = count,
                    None => return Ok(()),
                }
                continue;
            };
            let Some((view, placed)) = self.placed(index) else { return Ok(()) };
            let key = view.key(&placed);
            // Nearly every key has one version: then neither a search nor another look at this one is needed.
            let before = index.checked_sub(1).and_then(|before| view.placed(before));
            if placed.commit <= self.at && before.is_some_and(|before| view.key(&before) != key) {
                self.shown = Some(placed);
                return Ok(());
            }
            // Either all versions of this key are too new, and what counts lies before them, or the newest visible is wanted.
            let visible = placed.commit <= self.at;
            passed = passed.saturating_add(1);
            let last = (!visible && self.passed_enough(passed, taken_before)).then(|| key.to_vec());
            let target = if visible { VersionKey::at(key, self.at) } else { VersionKey::before(key) };
            let mut found = view.search_before(index, target);
            if found == 0 && self.last_before().is_some_and(|last| last >= target) {
                let Some(block) = self.held.as_ref().map(|held| held.block.clone()) else { return Ok(()) };
                match self.locate(VersionKey { key: block.view().key(&placed), commit: target.commit })? {
                    Some(located) => found = located,
                    None => return Ok(()),
                }
            }
            if visible {
                self.shown = self.placed(found).map(|(_, placed)| placed);
                return Ok(());
            }
            until = found;
            if let Some(key) = last {
                self.passed = Some((key, until));
                return Ok(());
            }
        }
    }

    fn placed(&self, index: usize) -> Option<(BlockView<'_>, Placed)> {
        let view = self.held.as_ref()?.block.view();
        Some((view, view.placed(index)?))
    }

    /// The last version before the held block.
    fn last_before(&self) -> Option<VersionKey<'_>> {
        let held = self.held.as_ref()?;
        self.run.last_before(held.partition_number, &held.partition, held.block_number)
    }

    /// Holds the block with the first version at or behind a place, and returns its entry; `None` if there is none.
    fn locate(&mut self, target: VersionKey<'_>) -> Result<Option<usize>> {
        let top = self.run.top();
        let partition_number = match &self.held {
            Some(held) if top.search_hits(held.partition_number, target) => held.partition_number,
            _ => top.search(target),
        };
        if partition_number >= top.count() {
            return Ok(None);
        }
        let partition = self.partition(partition_number)?;
        let block_number = partition.search(target);
        self.hold(partition_number, partition, block_number)?;
        Ok(self.held.as_ref().map(|held| held.block.search(target)))
    }

    /// Holds the first block, and returns its first entry; `None` if the run is empty.
    fn first(&mut self) -> Result<Option<usize>> {
        if self.run.top().count() == 0 {
            return Ok(None);
        }
        let partition = self.partition(0)?;
        self.hold(0, partition, 0)?;
        Ok(Some(0))
    }

    /// Holds the last block, and returns the number of its entries; `None` if the run is empty.
    fn end(&mut self) -> Result<Option<usize>> {
        match self.run.top().count().checked_sub(1) {
            Some(last) => self.hold_last_block(last).map(Some),
            None => Ok(None),
        }
    }

    /// Holds the block before the held one, and returns the number of its entries; `None` if there is none.
    fn previous_block(&mut self) -> Result<Option<usize>> {
        let Some(held) = &self.held else { return Ok(None) };
        let partition_number = held.partition_number;
        if let Some(before) = held.block_number.checked_sub(1) {
            let partition = Arc::clone(&held.partition);
            return self.hold(partition_number, partition, before).map(Some);
        }
        match partition_number.checked_sub(1) {
            Some(before) => self.hold_last_block(before).map(Some),
            None => Ok(None),
        }
    }

    fn hold_last_block(&mut self, partition_number: usize) -> Result<usize> {
        let partition = self.partition(partition_number)?;
        // A partition has at least one block; a proven one that had none would be refused by `hold`.
        let last = partition.count().saturating_sub(1);
        self.hold(partition_number, partition, last)
    }

    fn partition(&self, number: usize) -> Result<Arc<Index>> {
        match &self.held {
            Some(held) if held.partition_number == number => Ok(Arc::clone(&held.partition)),
            _ => self.run.partition(number),
        }
    }

    fn hold(&mut self, partition_number: usize, partition: Arc<Index>, block_number: usize) -> Result<usize> {
        if let Some(held) = &self.held
            && (held.partition_number, held.block_number) == (partition_number, block_number)
        {
            return Ok(held.block.view().count());
        }
        let block = self.run.block(partition_number, &partition, block_number)?;
        let count = block.view().count();
        self.taken_bytes = self.taken_bytes.saturating_add(block.memory_bytes());
        self.held = Some(Held { partition_number, partition, block_number, block });
        Ok(count)
    }
}
