//! The block cache: proven data blocks and partitions of all runs, within a bound of bytes.
//!
//! Shards by key, each a read-write lock over a map and a ring of its keys (CLOCK): a hit takes the lock for reading, touches
//! one place of the map, and marks it; an insert sweeps away what was not marked since the last sweep. No lock is ever held while a
//! disk is read: who misses reads, then inserts; two who miss together both read, and the first to insert wins. A small block is
//! searched under the lock, so that nothing is counted up and down for it; a large one is taken out first, so that nobody waits for it.
//!
//! Nearly every read of a run needs a partition, so a run keeps its partitions where it finds them without a look-up, as long as they
//! fit into a quarter of the bound. They count as held here, by a [`Share`], until the run goes.
//!
//! Promises: what it holds, with what runs keep, never exceeds its bound; an item for which its shard has no room is not kept (its
//! reader still has it). It is only a memory of what was read: dropping any item changes no answer. Deliberately absent: writes, and
//! removal of blocks that belonged to a deleted run; they age out.
//!
//! Keys are (number of the run in this process, offset): a number is given once, so a new run never meets an old run's blocks.

use super::block::DataBlock;
use super::index::Index;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sync::{self, Arc, RwLock};
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, Hash, Hasher};

/// A shard is not made smaller than this, so that large blocks find room.
const SHARD_BYTES_MIN: u64 = 16 << 20;
const SHARDS_MAX: u64 = 64;
/// What a slot takes beside the bytes of its item: slot, map entry, reference counts.
const SLOT_BYTES: u64 = 192;
/// Of a shard, the part that runs may keep for themselves: one over this.
const KEPT_PART: u64 = 4;
/// The largest block that is searched under the lock.
const SEARCHED_BYTES_MAX: usize = 64 << 10;

/// A process-wide number of a run, and an offset in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    /// From [`Cache::next_number`].
    pub(super) run: u64,
    /// Where the block begins in the file.
    pub(super) offset: u64,
}

impl Key {
    /// A deterministic mix whose every bit is good: both the shard and the place in its map are taken from it.
    fn mixed(self) -> u64 {
        let word = self.run.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ self.offset;
        let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.mixed());
    }
}

/// Passes on the one word that a [`Key`] gives.
#[derive(Default)]
struct WordHasher(u64);

impl Hasher for WordHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxhash_rust::xxh3::xxh3_64_with_seed(bytes, self.0);
    }
    fn write_u64(&mut self, word: u64) {
        self.0 = word;
    }
}

/// What can be kept.
#[derive(Clone, Debug)]
pub(super) enum Item {
    /// A data block.
    Data(DataBlock),
    /// A partition.
    Partition(Arc<Index>),
}

impl Item {
    fn bytes(&self) -> u64 {
        match self {
            Item::Data(block) => with_slot(block.memory_bytes()),
            Item::Partition(index) => with_slot(index.memory_bytes()),
        }
    }
}

fn with_slot(bytes: usize) -> u64 {
    SLOT_BYTES.saturating_add(bytes as u64)
}

struct Slot {
    item: Item,
    bytes: u64,
    used: AtomicBool,
}

#[derive(Default)]
struct Shelf {
    slots: HashMap<Key, Slot, BuildHasherDefault<WordHasher>>,
    /// The keys of all slots, in the order of the sweep.
    ring: Vec<Key>,
    hand: usize,
    /// Of all slots, and of what runs keep.
    bytes: u64,
    /// Of what runs keep.
    kept: u64,
}

impl Shelf {
    /// Makes room by dropping slots, all of them if need be.
    fn make_room(&mut self, bytes: u64, bytes_max: u64) {
        while self.bytes.saturating_add(bytes) > bytes_max && !self.ring.is_empty() {
            self.evict();
        }
    }

    /// Drops the first slot behind the hand that was not used since the hand last passed. Ends: a passed slot is unmarked.
    fn evict(&mut self) {
        loop {
            if self.hand >= self.ring.len() {
                self.hand = 0;
            }
            let Some(key) = self.ring.get(self.hand) else { return };
            // ORDERING: Relaxed: a hint, and the lock is held for writing.
            if self.slots.get(key).is_some_and(|slot| slot.used.swap(false, Ordering::Relaxed)) {
                self.hand = self.hand.saturating_add(1);
                continue;
            }
            let key = self.ring.swap_remove(self.hand);
            if let Some(slot) = self.slots.remove(&key) {
                self.bytes = self.bytes.saturating_sub(slot.bytes);
            }
            return;
        }
    }
}

/// On a cache line of its own, so that the counters of one shard don't slow another.
#[repr(align(64))]
struct Shard {
    shelf: RwLock<Shelf>,
    hits: AtomicU64,
    misses: AtomicU64,
}

/// How a cache is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// Look-ups that found their block, about: of two at once one may not be counted. What a run keeps is not looked up.
    pub hits: u64,
    /// Look-ups that had to read it, about.
    pub misses: u64,
    /// What is held now and what runs keep, with the overhead.
    pub bytes: u64,
    /// The bound.
    pub bytes_max: u64,
}

/// The block cache of a process.
pub struct Cache {
    shards: Vec<Shard>,
    shard_bytes: u64,
    numbers: AtomicU64,
}

impl Cache {
    /// An empty cache that will hold at most this much.
    #[must_use]
    pub fn new(bytes_max: u64) -> Cache {
        let shards = (bytes_max / SHARD_BYTES_MIN).clamp(1, SHARDS_MAX);
        let shard =
            |_| Shard { shelf: RwLock::new(Shelf::default()), hits: AtomicU64::new(0), misses: AtomicU64::new(0) };
        Cache {
            shards: (0..shards).map(shard).collect(),
            shard_bytes: bytes_max.checked_div(shards).unwrap_or(0),
            numbers: AtomicU64::new(0),
        }
    }

    /// A number that no other run in this process has.
    pub fn next_number(&self) -> u64 {
        // ORDERING: Relaxed: only that no two are equal counts.
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    /// Hits, misses and bytes.
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        let shards = self.shards.len() as u64;
        let mut stats = CacheStats { bytes_max: self.shard_bytes.saturating_mul(shards), ..CacheStats::default() };
        for shard in &self.shards {
            // ORDERING: Relaxed: counters for people.
            stats.hits = stats.hits.saturating_add(shard.hits.load(Ordering::Relaxed));
            stats.misses = stats.misses.saturating_add(shard.misses.load(Ordering::Relaxed));
            stats.bytes = stats.bytes.saturating_add(sync::read(&shard.shelf).bytes);
        }
        stats
    }

    /// What is held under a key.
    pub(super) fn get(&self, key: Key) -> Option<Item> {
        self.hit(key, Item::clone)
    }

    /// Searches the data block that is held under a key.
    pub(super) fn search<R>(&self, key: Key, mut search: impl FnMut(&DataBlock) -> R) -> Option<R> {
        let searched = self.hit(key, |item| match item {
            Item::Data(block) if block.memory_bytes() > SEARCHED_BYTES_MAX => Err(block.clone()),
            Item::Data(block) => Ok(Some(search(block))),
            Item::Partition(_) => Ok(None),
        });
        searched?.unwrap_or_else(|large| Some(search(&large)))
    }

    /// Does this to the item under a key, under the lock, and marks it.
    fn hit<R>(&self, key: Key, on: impl FnOnce(&Item) -> R) -> Option<R> {
        let shard = self.shard(key)?;
        let shelf = sync::read(&shard.shelf);
        let slot = shelf.slots.get(&key);
        // ORDERING: Relaxed: a hint, and counters for people, which may miss one.
        let counter = if slot.is_some() { &shard.hits } else { &shard.misses };
        counter.store(counter.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        let slot = slot?;
        if !slot.used.load(Ordering::Relaxed) {
            slot.used.store(true, Ordering::Relaxed);
        }
        Some(on(&slot.item))
    }

    /// Takes the room that a partition needs, for the run that keeps it; `None` if runs keep too much already.
    pub(super) fn share(self: &Arc<Cache>, key: Key, partition: &Index) -> Option<Share> {
        let bytes = with_slot(partition.memory_bytes());
        let mut shelf = sync::write(&self.shard(key)?.shelf);
        let kept = shelf.kept.saturating_add(bytes);
        if kept > self.shard_bytes / KEPT_PART {
            return None;
        }
        shelf.make_room(bytes, self.shard_bytes);
        shelf.bytes = shelf.bytes.saturating_add(bytes);
        shelf.kept = kept;
        Some(Share { cache: Arc::clone(self), key, bytes })
    }

    /// Holds an item if there can be room for it.
    pub(super) fn insert(&self, key: Key, item: Item) {
        let bytes = item.bytes();
        let Some(shard) = self.shard(key) else { return };
        let mut shelf = sync::write(&shard.shelf);
        if shelf.slots.contains_key(&key) || shelf.kept.saturating_add(bytes) > self.shard_bytes {
            return;
        }
        shelf.make_room(bytes, self.shard_bytes);
        shelf.ring.push(key);
        shelf.slots.insert(key, Slot { item, bytes, used: AtomicBool::new(false) });
        shelf.bytes = shelf.bytes.saturating_add(bytes);
    }

    /// The shard of a key, from other bits than the map's.
    fn shard(&self, key: Key) -> Option<&Shard> {
        let bits = key.mixed() >> 24 & u64::from(u32::MAX);
        let number = bits.wrapping_mul(self.shards.len() as u64) >> 32;
        self.shards.get(usize::try_from(number).ok()?)
    }
}

/// The part of a cache's bound that something kept elsewhere takes, until it is dropped.
#[derive(Debug)]
pub(super) struct Share {
    cache: Arc<Cache>,
    key: Key,
    bytes: u64,
}

impl Drop for Share {
    fn drop(&mut self) {
        let Some(shard) = self.cache.shard(self.key) else { return };
        let mut shelf = sync::write(&shard.shelf);
        shelf.bytes = shelf.bytes.saturating_sub(self.bytes);
        shelf.kept = shelf.kept.saturating_sub(self.bytes);
    }
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.stats().fmt(f)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::arithmetic_side_effects)]
mod tests {
    use super::super::VersionKey;
    use super::super::index::{IndexBuilder, Place};
    use super::*;
    use crate::commit_id::CommitId;

    fn item(bytes: usize) -> Item {
        Item::Partition(partition(bytes))
    }

    /// A partition that takes about this much memory.
    fn partition(bytes: usize) -> Arc<Index> {
        let last = VersionKey::at(b"k", CommitId(1));
        let mut builder = IndexBuilder::default();
        builder.add(Place { offset: 0, len: 8, crc: 0 }, last);
        let bytes = builder.finish(&vec![0; bytes.max(1).next_multiple_of(64)]);
        Arc::new(Index::parse_partition(bytes, 0, 8, None, last).unwrap())
    }

    #[test]
    fn what_is_held_never_exceeds_the_bound() {
        for bytes_max in [0, 1000, 100_000, 40 << 20] {
            let cache = Cache::new(bytes_max);
            for offset in 0..2000 {
                cache.insert(Key { run: offset % 3, offset }, item((offset % 40) as usize * 64));
                let stats = cache.stats();
                assert!(stats.bytes <= stats.bytes_max && stats.bytes_max <= bytes_max, "{stats:?} of {bytes_max}");
            }
        }
    }

    #[test]
    fn what_runs_keep_is_a_quarter_at_most_counts_as_held_and_is_given_back() {
        for bytes_max in [0, 1000, 100_000, 40 << 20] {
            let cache = Arc::new(Cache::new(bytes_max));
            let mut shares = Vec::new();
            let mut kept = 0;
            for offset in 0..2000 {
                let bytes = (offset % 40) as usize * 64;
                let key = Key { run: offset % 3, offset };
                if let Some(share) = cache.share(key, &partition(bytes)) {
                    kept += share.bytes;
                    shares.push(share);
                }
                cache.insert(key, item(bytes));
                let stats = cache.stats();
                assert!(kept <= stats.bytes && stats.bytes <= stats.bytes_max, "{stats:?} with {kept} kept");
                assert!(kept <= bytes_max / KEPT_PART, "{kept} of {bytes_max} kept");
            }
            assert_eq!(shares.is_empty(), bytes_max < 4000);
            let held: u64 = cache.shards.iter().flat_map(|s| sync::read(&s.shelf).slots.values().map(|slot| slot.bytes).collect::<Vec<_>>()).sum();
            assert_eq!(cache.stats().bytes, held + kept);
            drop(shares);
            assert_eq!(cache.stats().bytes, held, "what was kept is given back");
        }
    }

    #[test]
    fn what_is_used_stays_and_what_is_not_goes() {
        let cache = Cache::new(50_000);
        let hot = Key { run: 0, offset: 0 };
        cache.insert(hot, item(1000));
        for offset in 1..1000 {
            assert!(cache.get(hot).is_some(), "gone after {offset} others");
            cache.insert(Key { run: 0, offset }, item(1000));
        }
        assert!(cache.get(Key { run: 0, offset: 1 }).is_none());
        assert!(cache.get(Key { run: 0, offset: 999 }).is_some());
        assert!(cache.get(Key { run: 1, offset: 999 }).is_none(), "another run at the same offset");
        let stats = cache.stats();
        assert_eq!((stats.hits, stats.misses), (1000, 2));
    }

    #[test]
    fn an_item_larger_than_its_share_is_not_kept_and_evicts_nothing() {
        let cache = Cache::new(10_000);
        cache.insert(Key { run: 0, offset: 0 }, item(64));
        cache.insert(Key { run: 0, offset: 1 }, item(20_000));
        assert!(cache.get(Key { run: 0, offset: 0 }).is_some());
        assert!(cache.get(Key { run: 0, offset: 1 }).is_none());
    }

    #[test]
    fn every_shard_gets_its_share_of_keys() {
        let cache = Cache::new(SHARD_BYTES_MIN * SHARDS_MAX);
        for run in 0..64 {
            for block in 0..64 {
                cache.insert(Key { run, offset: block * 4096 }, item(64));
            }
        }
        let fullest = cache.shards.iter().map(|shard| sync::read(&shard.shelf).slots.len()).max().unwrap();
        assert!(fullest < 128, "64 on average, {fullest} in one shard");
    }

    #[test]
    fn a_number_is_given_once() {
        let cache = Cache::new(0);
        assert_ne!(cache.next_number(), cache.next_number());
    }
}
