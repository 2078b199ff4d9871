//! Index entries, and the two things made of them: a partition (index and filter of up to 64 data blocks) and the top index
//! (index of all partitions). Both have one layout; the top index has an empty filter (FMT-RUN).
//!
//! Pure. Proven once, when read: offsets, lengths and order of the entries, and that what they point to lies without gap or
//! overlap where it may lie. So a block that is read later can't be outside its file, nor another's. The bytes stay as they
//! were on disk: keys lie side by side, and the memory is what the file says it is.

use super::filter::{self, FILTER_BLOCK_BYTES};
use super::prefix::{self, Prefixes};
use super::{Malformed, VersionKey};
use crate::codec::{Put, Reader};
use crate::commit_id::CommitId;
use crate::limits;
use std::ops::Range;

const HEADER_BYTES: usize = 26;
const OFFSET_BYTES: usize = 4;
const TAIL_BYTES: usize = 8;

/// Where a block stands in its file, and what proves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Its first byte in the file.
    pub(super) offset: u64,
    /// How long it is.
    pub(super) len: usize,
    /// The checksum of its bytes.
    pub(super) crc: u32,
}

impl Place {
    /// The place of these bytes at an offset.
    pub(super) fn of(offset: u64, bytes: &[u8]) -> Place {
        Place { offset, len: bytes.len(), crc: crc32c::crc32c(bytes) }
    }

    /// Behind its last byte.
    pub(super) fn end(&self) -> u64 {
        self.offset.saturating_add(self.len as u64)
    }
}

/// Where a block stands, and which version is its last.
#[derive(Clone, Copy, Debug)]
pub(super) struct IndexEntry<'a> {
    /// Where it stands.
    pub(super) place: Place,
    /// Its last version.
    pub(super) last: VersionKey<'a>,
}

/// Collects index entries.
#[derive(Debug, Default)]
pub(super) struct IndexBuilder {
    entries: Vec<u8>,
    starts: Vec<usize>,
}

impl IndexBuilder {
    /// Appends an entry.
    pub(super) fn add(&mut self, place: Place, last: VersionKey<'_>) {
        self.starts.push(self.entries.len());
        self.entries.put_u64(place.offset);
        self.entries.put_len32(place.len);
        self.entries.put_u32(place.crc);
        self.entries.put_u64(last.commit.0);
        self.entries.put_u16(u16::try_from(last.key.len()).unwrap_or(u16::MAX));
        self.entries.extend_from_slice(last.key);
    }

    /// The number of entries so far.
    pub(super) fn count(&self) -> usize {
        self.starts.len()
    }

    /// Bytes of the index if it were finished now, without a filter.
    pub(super) fn bytes(&self) -> usize {
        let offsets = self.starts.len().saturating_mul(OFFSET_BYTES);
        self.entries.len().saturating_add(offsets).saturating_add(TAIL_BYTES)
    }

    /// The whole index behind its filter; the builder begins anew.
    pub(super) fn finish(&mut self, filter: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(filter.len().saturating_add(self.bytes()));
        bytes.extend_from_slice(filter);
        bytes.append(&mut self.entries);
        for start in &self.starts {
            bytes.put_len32(start.saturating_add(filter.len()));
        }
        bytes.put_len32(filter.len());
        bytes.put_len32(self.starts.len());
        self.starts.clear();
        bytes
    }
}

/// A proven partition or top index.
#[derive(Debug)]
pub(super) struct Index {
    /// The bytes of the file, and behind them the prefixes of the keys.
    bytes: Vec<u8>,
    file_bytes: usize,
    /// How many bytes all keys have in common.
    common: usize,
    filter_bytes: usize,
    offsets_at: usize,
    count: usize,
}

impl Index {
    /// Proves a partition: that its data blocks fill `start..end` of the file, that they hold versions behind `after` only, and
    /// that the last is the one that the top index names.
    pub(super) fn parse_partition(
        bytes: Vec<u8>,
        start: u64,
        end: u64,
        after: Option<VersionKey<'_>>,
        until: VersionKey<'_>,
    ) -> Result<Index, Malformed> {
        let index = Index::parse(bytes, after)?;
        if index.filter_bytes == 0 || index.filter_bytes.checked_rem(FILTER_BLOCK_BYTES) != Some(0) {
            return Err(Malformed("filter length"));
        }
        if index.count > limits::PARTITION_BLOCKS || index.last() != Some(until) {
            return Err(Malformed("partition is not the one of the top index"));
        }
        let mut at = start;
        for number in 0..index.count {
            match index.entry(number) {
                Some(entry) if entry.place.offset == at => at = entry.place.end(),
                _ => return Err(Malformed("data block place")),
            }
        }
        if at == end { Ok(index) } else { Err(Malformed("data block place")) }
    }

    /// Proves a top index: that its partitions lie in order before `end`, each with room for data blocks before it, and the
    /// last directly before it.
    pub(super) fn parse_top(bytes: Vec<u8>, end: u64) -> Result<Index, Malformed> {
        let index = Index::parse(bytes, None)?;
        if index.filter_bytes != 0 {
            return Err(Malformed("filter length"));
        }
        let mut at = 0;
        for number in 0..index.count {
            match index.entry(number) {
                Some(entry) if entry.place.offset > at => at = entry.place.end(),
                _ => return Err(Malformed("partition place")),
            }
        }
        if at == end { Ok(index) } else { Err(Malformed("partition place")) }
    }

    fn parse(bytes: Vec<u8>, after: Option<VersionKey<'_>>) -> Result<Index, Malformed> {
        let short = Malformed("index too short");
        let rest_bytes = bytes.len().checked_sub(TAIL_BYTES).ok_or(short)?;
        let mut tail = Reader::new(bytes.get(rest_bytes..).ok_or(short)?);
        let filter_bytes = tail.len32().ok_or(short)?;
        let count = tail.len32().ok_or(short)?;
        let offsets_bytes = count.checked_mul(OFFSET_BYTES).ok_or(short)?;
        let offsets_at = rest_bytes.checked_sub(offsets_bytes).ok_or(short)?;
        let file_bytes = bytes.len();
        let mut index = Index { bytes, file_bytes, common: 0, filter_bytes, offsets_at, count };
        let mut at = filter_bytes;
        let mut previous = after;
        for number in 0..count {
            if index.offset(number) != Some(at) {
                return Err(Malformed("index offset"));
            }
            let entry = index.entry(number).ok_or(Malformed("index entry"))?;
            if entry.last.key.len() > limits::KEY_BYTES_MAX
                || entry.place.len > limits::BLOCK_STORED_BYTES_MAX
                || entry.place.len == 0
                || entry.place.offset.checked_add(entry.place.len as u64).is_none()
            {
                return Err(Malformed("index entry beyond limits"));
            }
            if previous.is_some_and(|previous| previous >= entry.last) {
                return Err(Malformed("index order"));
            }
            previous = Some(entry.last);
            at = at.saturating_add(HEADER_BYTES).saturating_add(entry.last.key.len());
        }
        if at != offsets_at {
            return Err(Malformed("index length"));
        }
        let (common, words) = prefix::of((0..count).map(|number| index.key(number)));
        index.common = common;
        index.bytes.reserve_exact(words.len());
        index.bytes.extend_from_slice(&words);
        Ok(index)
    }

    /// The number of entries.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// An entry; `None` behind the last.
    pub(super) fn entry(&self, number: usize) -> Option<IndexEntry<'_>> {
        let mut reader = self.reader(number)?;
        let place = Place { offset: reader.u64()?, len: reader.len32()?, crc: reader.u32()? };
        let commit = CommitId(reader.u64()?);
        let key_bytes = usize::from(reader.u16()?);
        Some(IndexEntry { place, last: VersionKey { key: reader.take(key_bytes)?, commit } })
    }

    /// The last version of the last block; `None` if there is no block.
    pub(super) fn last(&self) -> Option<VersionKey<'_>> {
        self.entry(self.count.checked_sub(1)?).map(|entry| entry.last)
    }

    /// The first block whose last version is at or behind a place; the number of blocks if there is none.
    pub(super) fn search(&self, target: VersionKey<'_>) -> usize {
        let Range { start: mut low, end: mut high } = self.prefixes().narrow(target.key);
        while low < high {
            let middle = low.midpoint(high);
            if self.entry(middle).is_some_and(|entry| entry.last < target) {
                low = middle.saturating_add(1);
            } else {
                high = middle;
            }
        }
        low
    }

    /// Whether [`Index::search`] would find this block: cheap when it likely does.
    pub(super) fn search_hits(&self, number: usize, target: VersionKey<'_>) -> bool {
        self.entry(number).is_some_and(|entry| entry.last >= target)
            && number.checked_sub(1).and_then(|before| self.entry(before)).is_none_or(|before| before.last < target)
    }

    /// The filter; empty in a top index.
    pub(super) fn filter(&self) -> &[u8] {
        self.bytes.get(..self.filter_bytes).unwrap_or_default()
    }

    /// Whether a key with this hash may be in the data blocks.
    pub(super) fn may_contain(&self, hash: u64) -> bool {
        filter::may_contain(self.filter(), hash)
    }

    /// The bytes as they stand in the file.
    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.file_bytes).unwrap_or_default()
    }

    /// How much memory it takes.
    pub(super) fn memory_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    fn key(&self, number: usize) -> &[u8] {
        self.entry(number).map_or(&[], |entry| entry.last.key)
    }

    fn prefixes(&self) -> Prefixes<'_> {
        // Entry 0 is looked at only if it is needed: that is another cache line.
        let common = if self.common == 0 { &[] } else { self.key(0).get(..self.common).unwrap_or_default() };
        Prefixes::new(common, self.bytes.get(self.file_bytes..).unwrap_or_default())
    }

    fn reader(&self, number: usize) -> Option<Reader<'_>> {
        self.bytes.get(self.offset(number)?..self.offsets_at).map(Reader::new)
    }

    fn offset(&self, number: usize) -> Option<usize> {
        if number >= self.count {
            return None;
        }
        let at = self.offsets_at.checked_add(number.checked_mul(OFFSET_BYTES)?)?;
        let offset = self.bytes.get(at..)?.first_chunk::<OFFSET_BYTES>()?;
        usize::try_from(u32::from_le_bytes(*offset)).ok()
    }
}
