//! Data blocks: the entries of a run in pieces that are read, checked and cached as one (FMT-RUN).
//!
//! Pure. The builder writes one; [`BlockView`] reads one, borrowed; [`DataBlock`] owns the bytes of one in the cache.
//!
//! A block is proven once, by [`BlockView::parse`]: every offset, length, kind and commit, the order of its entries, that they
//! follow the block before, and that the last is the one the index names. Its accessors rely on nothing: on bytes that were not
//! proven they would return `None`, not panic. Parsing takes no memory.

use super::prefix::{self, Prefixes};
use super::{Entry, Malformed, VersionKey};
use crate::codec::Put;
use crate::commit_id::CommitId;
use crate::limits;
use crate::sync::Arc;

/// Bytes of an entry before its key.
pub(super) const HEADER_BYTES: usize = 16;
const OFFSET_BYTES: usize = 4;
const COUNT_BYTES: usize = 4;
const KIND_VALUE: u8 = 1;
const KIND_TOMBSTONE: u8 = 2;

/// Collects the entries of one block.
#[derive(Debug, Default)]
pub(super) struct BlockBuilder {
    bytes: Vec<u8>,
    offsets: Vec<u8>,
    count: usize,
}

impl BlockBuilder {
    /// Appends an entry, whose lengths have been checked.
    pub(super) fn add(&mut self, entry: &Entry<'_>) {
        let (kind, value) = match entry.value {
            Some(value) => (KIND_VALUE, value),
            None => (KIND_TOMBSTONE, &[][..]),
        };
        self.offsets.put_len32(self.bytes.len());
        self.bytes.put_u16(u16::try_from(entry.key.len()).unwrap_or(u16::MAX));
        self.bytes.put_u8(kind);
        self.bytes.put_u8(0);
        self.bytes.put_len32(value.len());
        self.bytes.put_u64(entry.commit.0);
        self.bytes.extend_from_slice(entry.key);
        self.bytes.extend_from_slice(value);
        self.count = self.count.saturating_add(1);
    }

    /// Bytes of the entries so far: what decides when the block is closed.
    pub(super) fn entries_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there is no entry yet.
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The whole block.
    pub(super) fn finish(&mut self) -> &[u8] {
        self.bytes.append(&mut self.offsets);
        self.bytes.put_len32(self.count);
        &self.bytes
    }

    /// Begins the next block. A block that one huge value made large leaves no large buffer behind.
    pub(super) fn clear(&mut self, block_bytes: usize) {
        self.bytes.clear();
        self.bytes.shrink_to(block_bytes.saturating_mul(2));
        self.offsets.clear();
        self.count = 0;
    }
}

/// What the index, and the block before, say of a block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected<'a> {
    /// The first commit of the run.
    pub(super) first: CommitId,
    /// The last commit of the run.
    pub(super) last: CommitId,
    /// The last version before the block, if any.
    pub(super) after: Option<VersionKey<'a>>,
    /// The last version in the block.
    pub(super) until: VersionKey<'a>,
}

/// Where an entry stands in its block, decoded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed {
    /// Its number in the block.
    pub(super) index: usize,
    /// The commit that wrote it.
    pub(super) commit: CommitId,
    tombstone: bool,
    key_at: usize,
    value_at: usize,
    end: usize,
}

/// What was proven of a block's bytes: where its offsets stand, and how many there are.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Shape {
    offsets_at: usize,
    count: usize,
}

/// The bytes of a block, borrowed.
#[derive(Clone, Copy, Debug)]
pub(super) struct BlockView<'a> {
    bytes: &'a [u8],
    shape: Shape,
}

impl<'a> BlockView<'a> {
    /// Proves a block.
    pub(super) fn parse(bytes: &'a [u8], expected: &Expected<'_>) -> Result<BlockView<'a>, Malformed> {
        let short = Malformed("data block too short");
        let (rest, count) = bytes.split_last_chunk::<COUNT_BYTES>().ok_or(short)?;
        let count = usize::try_from(u32::from_le_bytes(*count)).map_err(|_| short)?;
        let offsets_bytes = count.checked_mul(OFFSET_BYTES).ok_or(short)?;
        let offsets_at = rest.len().checked_sub(offsets_bytes).ok_or(short)?;
        let view = BlockView { bytes, shape: Shape { offsets_at, count } };
        let mut at = 0;
        let mut previous = expected.after;
        for index in 0..count {
            if view.offset(index) != Some(at) {
                return Err(Malformed("entry offset"));
            }
            let placed = view.placed(index).ok_or(Malformed("entry header"))?;
            if placed.end > offsets_at {
                return Err(Malformed("entry length"));
            }
            let key = view.key(&placed);
            if key.len() > limits::KEY_BYTES_MAX
                || view.value(&placed).is_some_and(|v| v.len() > limits::VALUE_BYTES_MAX)
            {
                return Err(Malformed("entry beyond limits"));
            }
            if placed.commit == CommitId::NONE || !(expected.first..=expected.last).contains(&placed.commit) {
                return Err(Malformed("entry commit"));
            }
            let version = VersionKey { key, commit: placed.commit };
            if previous.is_some_and(|previous| previous >= version) {
                return Err(Malformed("entry order"));
            }
            previous = Some(version);
            at = placed.end;
        }
        if at != offsets_at {
            return Err(Malformed("bytes between entries and offsets"));
        }
        if count == 0 || previous != Some(expected.until) {
            return Err(Malformed("last entry is not the one of the index"));
        }
        Ok(view)
    }

    /// A block that [`BlockView::parse`] found to have this shape.
    pub(super) fn new(bytes: &'a [u8], shape: Shape) -> BlockView<'a> {
        BlockView { bytes, shape }
    }

    /// What was proven of it.
    pub(super) fn shape(&self) -> Shape {
        self.shape
    }

    /// The whole block.
    pub(super) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The number of its entries; at least 1.
    pub(super) fn count(&self) -> usize {
        self.shape.count
    }

    /// Decodes an entry; `None` behind the last.
    pub(super) fn placed(&self, index: usize) -> Option<Placed> {
        let at = self.offset(index)?;
        let header = self.bytes.get(at..)?.first_chunk::<HEADER_BYTES>()?;
        let [k0, k1, kind, reserved, v0, v1, v2, v3, commit @ ..] = *header;
        let value_bytes = usize::try_from(u32::from_le_bytes([v0, v1, v2, v3])).ok()?;
        let tombstone = match (kind, value_bytes, reserved) {
            (KIND_VALUE, _, 0) => false,
            (KIND_TOMBSTONE, 0, 0) => true,
            _ => return None,
        };
        let key_at = at.checked_add(HEADER_BYTES)?;
        let value_at = key_at.checked_add(usize::from(u16::from_le_bytes([k0, k1])))?;
        let end = value_at.checked_add(value_bytes)?;
        Some(Placed { index, commit: CommitId(u64::from_le_bytes(commit)), tombstone, key_at, value_at, end })
    }

    /// The key of an entry of this block.
    pub(super) fn key(&self, placed: &Placed) -> &'a [u8] {
        self.bytes.get(placed.key_at..placed.value_at).unwrap_or_default()
    }

    /// The key of the entry with this number; empty behind the last.
    fn key_of(&self, index: usize) -> &'a [u8] {
        self.placed(index).map_or(&[], |placed| self.key(&placed))
    }

    /// The value of an entry of this block; `None` for a tombstone.
    pub(super) fn value(&self, placed: &Placed) -> Option<&'a [u8]> {
        if placed.tombstone { None } else { self.bytes.get(placed.value_at..placed.end) }
    }

    /// An entry, whole; `None` behind the last.
    pub(super) fn entry(&self, index: usize) -> Option<Entry<'a>> {
        let placed = self.placed(index)?;
        Some(Entry { key: self.key(&placed), commit: placed.commit, value: self.value(&placed) })
    }

    /// [`DataBlock::search`] from an entry on that is not behind the place: cheap when the place is near.
    pub(super) fn search_after(&self, from: usize, target: VersionKey<'_>) -> usize {
        let (mut low, mut step) = (from, 1usize);
        loop {
            let probe = low.saturating_add(step).min(self.shape.count);
            if probe == self.shape.count || !self.lies_before(probe, target) {
                return self.search_within(low, probe, target);
            }
            (low, step) = (probe, step.saturating_mul(2));
        }
    }

    /// [`DataBlock::search`] up to an entry that is at or behind the place: cheap when the place is near.
    pub(super) fn search_before(&self, until: usize, target: VersionKey<'_>) -> usize {
        let (mut high, mut step) = (until, 1usize);
        loop {
            let probe = high.saturating_sub(step);
            if probe == 0 || self.lies_before(probe, target) {
                return self.search_within(probe, high, target);
            }
            (high, step) = (probe, step.saturating_mul(2));
        }
    }

    fn search_within(&self, mut low: usize, mut high: usize, target: VersionKey<'_>) -> usize {
        while low < high {
            let middle = low.midpoint(high);
            if self.lies_before(middle, target) {
                low = middle.saturating_add(1);
            } else {
                high = middle;
            }
        }
        low
    }

    fn lies_before(&self, index: usize, target: VersionKey<'_>) -> bool {
        self.placed(index).is_some_and(|placed| VersionKey::at(self.key(&placed), placed.commit) < target)
    }

    fn offset(&self, index: usize) -> Option<usize> {
        if index >= self.shape.count {
            return None;
        }
        let at = self.shape.offsets_at.checked_add(index.checked_mul(OFFSET_BYTES)?)?;
        let offset = self.bytes.get(at..)?.first_chunk::<OFFSET_BYTES>()?;
        usize::try_from(u32::from_le_bytes(*offset)).ok()
    }
}

/// A proven block, shared by the cache and its readers. Its reference count, the prefixes of its keys and its bytes are one piece of
/// memory, in this order: the fewer places a look-up touches, the faster it is.
#[derive(Clone, Debug)]
pub(super) struct DataBlock {
    memory: Arc<[u8]>,
    /// How many bytes all keys have in common.
    common: usize,
    shape: Shape,
}

impl DataBlock {
    /// Proves a block and keeps it.
    pub(super) fn parse(bytes: &[u8], expected: &Expected<'_>) -> Result<DataBlock, Malformed> {
        let view = BlockView::parse(bytes, expected)?;
        let (common, words) = prefix::of((0..view.count()).map(|index| view.key_of(index)));
        let memory = words.iter().chain(bytes).copied().collect();
        Ok(DataBlock { memory, common, shape: view.shape() })
    }

    /// Its bytes, to be read.
    pub(super) fn view(&self) -> BlockView<'_> {
        BlockView::new(self.parts().1, self.shape)
    }

    /// The first entry at or behind a place; the number of entries if there is none.
    pub(super) fn search(&self, target: VersionKey<'_>) -> usize {
        let (words, bytes) = self.parts();
        let view = BlockView::new(bytes, self.shape);
        let common = if self.common == 0 { &[] } else { view.key_of(0).get(..self.common).unwrap_or_default() };
        let open = Prefixes::new(common, words).narrow(target.key);
        view.search_within(open.start, open.end, target)
    }

    /// How much memory it takes.
    pub(super) fn memory_bytes(&self) -> usize {
        self.memory.len()
    }

    /// The prefixes, and the bytes of the file.
    fn parts(&self) -> (&[u8], &[u8]) {
        let words_bytes = self.shape.count.saturating_mul(prefix::WORD_BYTES);
        self.memory.split_at_checked(words_bytes).unwrap_or_default()
    }
}
