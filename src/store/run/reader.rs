//! An open run: finds the newest version of a key that a view sees.
//!
//! Opening proves size, footer and top index, which stays in memory. Everything else is read when it is needed, proven against
//! the entry that points to it, and kept: partitions with the run, as far as the shared cache has room for that, all else in the
//! cache. A `get` is: a search in the top index, a partition, its filter, a search in it, a search in a data block of the cache. It
//! allocates nothing but the value.
//!
//! The search is for a (key, commit) in the order of the run, so that it needs one block even when the versions of a key fill
//! several: the first version at or behind that place is the answer, or the key has none.
//!
//! Read by any number of threads at once; nothing in it changes, except that partitions come to be kept.

use super::block::{BlockView, DataBlock, Expected};
use super::cache::{Cache, CacheStats, Item, Key, Share};
use super::entries::Sequential;
use super::index::{Index, Place};
use super::{FOOTER_BYTES, MAGIC, Malformed, RunId, RunInfo, VersionKey};
use crate::codec::{self, SectorFault};
use crate::commit_id::CommitId;
use crate::disk::{Access, Disk, File};
use crate::error::{Error, Result};
use crate::identity::Id;
use crate::limits;
use crate::reason::Reason;
use crate::sync::{Arc, OnceLock};
use std::path::{Path, PathBuf};

/// What a run says of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Version {
    /// It has this value.
    Value(Vec<u8>),
    /// It was deleted.
    Tombstone,
}

/// What the footer says, once it is proven.
struct Footer {
    database_id: Id,
    id: RunId,
    floor: CommitId,
    entries: u64,
    blocks: u64,
    top: Place,
}

/// An open run.
pub struct Run {
    path: PathBuf,
    file: Arc<dyn File>,
    info: RunInfo,
    floor: CommitId,
    entries: u64,
    blocks: u64,
    top: Index,
    top_place: Place,
    number: u64,
    cache: Arc<Cache>,
    /// For each partition, once it was read and there was room.
    kept: Vec<OnceLock<Kept>>,
}

/// A partition that its run keeps, and what it takes of the cache's bound.
struct Kept {
    partition: Arc<Index>,
    _share: Share,
}

impl Run {
    /// Opens the run that the manifest describes.
    ///
    /// # Errors
    /// `store.run_missing`; `store.run_corrupt` when it is not what `info` says; `store.block_corrupt` for its top index;
    /// `identity.other_database`, `identity.version`, `disk.read_failed`.
    pub fn open(disk: &dyn Disk, directory: &Path, info: RunInfo, database_id: Id, cache: Arc<Cache>) -> Result<Run> {
        let path = directory.join(info.id.file_name());
        let Some(file) = disk.open(&path, Access::Read)? else {
            return Err(Error::new(Reason::StoreRunMissing).with("file", path.display()));
        };
        let corrupt = |what: &'static str| {
            Error::new(Reason::StoreRunCorrupt).with("file", path.display()).with("malformed", what)
        };
        let size = file.len()?;
        if size != info.size {
            return Err(corrupt("size").with("expected", info.size).with("found", size));
        }
        let footer_at = size.checked_sub(FOOTER_BYTES as u64).ok_or_else(|| corrupt("size").with("found", size))?;
        let mut bytes = [0; FOOTER_BYTES];
        if file.read_at(footer_at, &mut bytes)? != FOOTER_BYTES {
            return Err(corrupt("footer"));
        }
        let footer = Footer::parse(&bytes).map_err(|fault| match fault {
            SectorFault::Corrupt => corrupt("footer"),
            SectorFault::Version(version) => {
                Error::new(Reason::IdentityVersion).with("file", path.display()).with("version", version)
            }
        })?;
        if footer.database_id != database_id {
            return Err(Error::new(Reason::IdentityOtherDatabase)
                .with("file", path.display())
                .with("expected", database_id)
                .with("found", footer.database_id));
        }
        if footer.id != info.id {
            return Err(corrupt("identity").with("expected", info.id).with("found", footer.id));
        }
        if footer.top.len > limits::TOP_INDEX_BYTES_MAX
            || footer.top.offset.checked_add(footer.top.len as u64) != Some(footer_at)
        {
            return Err(corrupt("place of the top index"));
        }
        let bytes = read_place(&*file, &path, footer.top)?;
        let top = Index::parse_top(bytes, footer.top.offset)
            .map_err(|malformed| block_corrupt(&path, footer.top.offset).with("malformed", malformed.0))?;
        Ok(Run {
            file,
            info,
            floor: footer.floor,
            entries: footer.entries,
            blocks: footer.blocks,
            kept: (0..top.count()).map(|_| OnceLock::new()).collect(),
            top,
            top_place: footer.top,
            number: cache.next_number(),
            cache,
            path,
        })
    }

    /// Identity, size and hash, as the manifest names them.
    #[must_use]
    pub fn info(&self) -> RunInfo {
        self.info
    }

    /// Fills the buffer with bytes of the file, as they stand there: whoever gets them has the hash of the whole.
    ///
    /// # Errors
    /// `store.run_corrupt` where the file ends before; `disk.read_failed`.
    pub fn copy_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let read = self.file.read_at(offset, buffer)?;
        if read < buffer.len() {
            let end = offset.saturating_add(read as u64);
            let corrupt = Error::new(Reason::StoreRunCorrupt).with("file", self.path.display()).with("malformed", "size");
            return Err(corrupt.with("expected", self.info.size).with("found", end));
        }
        Ok(())
    }

    /// Which run.
    #[must_use]
    pub fn id(&self) -> RunId {
        self.info.id
    }

    /// The floor that decided what was dropped from it.
    #[must_use]
    pub fn floor(&self) -> CommitId {
        self.floor
    }

    /// How many versions it holds.
    #[must_use]
    pub fn entries_count(&self) -> u64 {
        self.entries
    }

    /// How many data blocks it has.
    #[must_use]
    pub fn blocks_count(&self) -> u64 {
        self.blocks
    }

    /// Its file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The newest version of a key that a view at `at` sees in this run. `key_hash` is [`super::key_hash`] of the key.
    ///
    /// # Errors
    /// `store.block_corrupt`, `disk.read_failed`.
    pub fn get(&self, key: &[u8], key_hash: u64, at: CommitId) -> Result<Option<Version>> {
        Ok(self.find(key, key_hash, at)?.map(|(_, version)| version))
    }

    /// The same, with the commit that wrote it.
    ///
    /// # Errors
    /// `store.block_corrupt`, `disk.read_failed`.
    pub fn find(&self, key: &[u8], key_hash: u64, at: CommitId) -> Result<Option<(CommitId, Version)>> {
        let found = self.look(key, key_hash, at, <[u8]>::to_vec)?;
        Ok(found.map(|(commit, value)| (commit, value.map_or(Version::Tombstone, Version::Value))))
    }

    /// The same, with what `show` takes of the value; `None` in its place is a tombstone.
    ///
    /// # Errors
    /// `store.block_corrupt`, `disk.read_failed`.
    pub(in crate::store) fn look<R>(
        &self,
        key: &[u8],
        key_hash: u64,
        at: CommitId,
        mut show: impl FnMut(&[u8]) -> R,
    ) -> Result<Option<(CommitId, Option<R>)>> {
        if at < self.info.id.first {
            return Ok(None);
        }
        let target = VersionKey::at(key, at);
        let partition_number = self.top.search(target);
        if partition_number >= self.top.count() {
            return Ok(None);
        }
        let looked_up;
        let partition = match self.kept(partition_number) {
            Some(kept) => kept,
            None => {
                looked_up = self.partition(partition_number)?;
                &looked_up
            }
        };
        if !partition.may_contain(key_hash) {
            return Ok(None);
        }
        let number = partition.search(target);
        let mut find = |block: &DataBlock| {
            let entry = block.view().entry(block.search(target)).filter(|entry| entry.key == key)?;
            Some((entry.commit, entry.value.map(&mut show)))
        };
        let block_key = self.cache_key(self.block_place(partition, number)?);
        match self.cache.search(block_key, &mut find) {
            Some(found) => Ok(found),
            None => Ok(find(&self.load_block(partition_number, partition, number)?)),
        }
    }

    /// Every version in order, past the cache.
    #[must_use]
    pub fn sequential(&self) -> Sequential<&Run> {
        Sequential::new(self)
    }

    /// How the cache behind it is doing.
    #[must_use]
    pub fn cache_stats(&self) -> CacheStats {
        self.cache.stats()
    }

    /// The top index.
    pub(super) fn top(&self) -> &Index {
        &self.top
    }

    /// Where the top index stands.
    pub(super) fn top_place(&self) -> Place {
        self.top_place
    }

    /// The file, opened.
    pub(super) fn file(&self) -> &dyn File {
        &*self.file
    }

    /// A partition: the run's own, or through the cache.
    pub(super) fn partition(&self, number: usize) -> Result<Arc<Index>> {
        if let Some(kept) = self.kept(number) {
            return Ok(Arc::clone(kept));
        }
        let key = self.cache_key(self.partition_place(number)?);
        if let Some(Item::Partition(partition)) = self.cache.get(key) {
            return Ok(partition);
        }
        let partition = Arc::new(self.read_partition(number)?);
        match (self.cache.share(key, &partition), self.kept.get(number)) {
            (Some(share), Some(place)) => {
                // Who read it at the same time and was first has its share; this one goes.
                place.get_or_init(|| Kept { partition: Arc::clone(&partition), _share: share });
            }
            _ => self.cache.insert(key, Item::Partition(Arc::clone(&partition))),
        }
        Ok(partition)
    }

    fn kept(&self, number: usize) -> Option<&Arc<Index>> {
        self.kept.get(number)?.get().map(|kept| &kept.partition)
    }

    fn cache_key(&self, place: Place) -> Key {
        Key { run: self.number, offset: place.offset }
    }

    /// A partition, past the cache.
    pub(super) fn read_partition(&self, number: usize) -> Result<Index> {
        let place = self.partition_place(number)?;
        let before = number.checked_sub(1).and_then(|before| self.top.entry(before));
        let start = before.map_or(0, |before| before.place.end());
        let until = self.top.entry(number).ok_or_else(|| self.malformed(place.offset, Malformed("index")))?.last;
        let bytes = read_place(&*self.file, &self.path, place)?;
        Index::parse_partition(bytes, start, place.offset, before.map(|before| before.last), until)
            .map_err(|malformed| self.malformed(place.offset, malformed))
    }

    /// A data block, through the cache.
    pub(super) fn block(&self, partition_number: usize, partition: &Index, number: usize) -> Result<DataBlock> {
        match self.cache.get(self.cache_key(self.block_place(partition, number)?)) {
            Some(Item::Data(block)) => Ok(block),
            _ => self.load_block(partition_number, partition, number),
        }
    }

    /// A data block that is not in the cache: reads and proves it, and puts it there.
    fn load_block(&self, partition_number: usize, partition: &Index, number: usize) -> Result<DataBlock> {
        let place = self.block_place(partition, number)?;
        let bytes = read_place(&*self.file, &self.path, place)?;
        let block = self
            .expected(partition_number, partition, number)
            .and_then(|expected| DataBlock::parse(&bytes, &expected))
            .map_err(|malformed| self.malformed(place.offset, malformed))?;
        self.cache.insert(self.cache_key(place), Item::Data(block.clone()));
        Ok(block)
    }

    /// Proves a data block that was read past the cache.
    pub(super) fn check_block<'a>(
        &self,
        partition_number: usize,
        partition: &Index,
        number: usize,
        bytes: &'a [u8],
    ) -> Result<BlockView<'a>> {
        let place = self.block_place(partition, number)?;
        check_crc(&self.path, place, bytes)?;
        self.expected(partition_number, partition, number)
            .and_then(|expected| BlockView::parse(bytes, &expected))
            .map_err(|malformed| self.malformed(place.offset, malformed))
    }

    /// Where a data block stands.
    pub(super) fn block_place(&self, partition: &Index, number: usize) -> Result<Place> {
        let entry = partition.entry(number);
        entry.map(|entry| entry.place).ok_or_else(|| self.malformed(0, Malformed("no such data block")))
    }

    /// Where a partition stands.
    pub(super) fn partition_place(&self, number: usize) -> Result<Place> {
        let entry = self.top.entry(number);
        entry
            .map(|entry| entry.place)
            .ok_or_else(|| self.malformed(self.top_place.offset, Malformed("no such partition")))
    }

    /// The last version before a data block.
    pub(super) fn last_before<'a>(
        &'a self,
        partition_number: usize,
        partition: &'a Index,
        number: usize,
    ) -> Option<VersionKey<'a>> {
        match number.checked_sub(1) {
            Some(before) => partition.entry(before),
            None => self.top.entry(partition_number.checked_sub(1)?),
        }
        .map(|entry| entry.last)
    }

    /// The error for a block that does not verify.
    #[cold]
    pub(super) fn malformed(&self, offset: u64, malformed: Malformed) -> Error {
        block_corrupt(&self.path, offset).with("malformed", malformed.0)
    }

    fn expected<'a>(
        &'a self,
        partition_number: usize,
        partition: &'a Index,
        number: usize,
    ) -> std::result::Result<Expected<'a>, Malformed> {
        Ok(Expected {
            first: self.info.id.first,
            last: self.info.id.last,
            after: self.last_before(partition_number, partition, number),
            until: partition.entry(number).ok_or(Malformed("no such data block"))?.last,
        })
    }
}

impl Footer {
    fn parse(bytes: &[u8; FOOTER_BYTES]) -> std::result::Result<Footer, SectorFault> {
        let mut reader = codec::open_checked(bytes, MAGIC)?;
        let mut fields = || {
            let level = reader.u32()?;
            let database_id = Id(reader.array()?);
            let id = RunId { level, first: CommitId(reader.u64()?), last: CommitId(reader.u64()?) };
            let floor = CommitId(reader.u64()?);
            let (entries, blocks) = (reader.u64()?, reader.u64()?);
            let top = Place { offset: reader.u64()?, len: reader.len32()?, crc: reader.u32()? };
            reader.only_zeros_left().then_some(Footer { database_id, id, floor, entries, blocks, top })
        };
        fields().ok_or(SectorFault::Corrupt)
    }
}

#[cold]
fn block_corrupt(path: &Path, offset: u64) -> Error {
    Error::new(Reason::StoreBlockCorrupt).with("file", path.display()).with("offset", offset)
}

/// Reads what an entry points to, and proves length and checksum. The length was checked against its limit when the entry was.
fn read_place(file: &dyn File, path: &Path, place: Place) -> Result<Vec<u8>> {
    let mut bytes = vec![0; place.len];
    let read = file.read_at(place.offset, &mut bytes)?;
    bytes.truncate(read);
    check_crc(path, place, &bytes)?;
    Ok(bytes)
}

fn check_crc(path: &Path, place: Place, bytes: &[u8]) -> Result<()> {
    if bytes.len() != place.len {
        return Err(block_corrupt(path, place.offset)
            .with("expected", format_args!("{} bytes", place.len))
            .with("found", format_args!("{} bytes", bytes.len())));
    }
    let crc = crc32c::crc32c(bytes);
    if crc != place.crc {
        return Err(block_corrupt(path, place.offset)
            .with("expected", format_args!("{:08x}", place.crc))
            .with("found", format_args!("{crc:08x}")));
    }
    Ok(())
}
