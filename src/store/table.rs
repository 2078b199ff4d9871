//! The table: the versions of recent commits, in memory.
//!
//! ```text
//! key ──hash──► directory ──► entry: its versions ──► values
//!  └───────────► order ────────┘                             for what goes from key to key, and where the directory does not know
//! ```
//!
//! One inserter, many readers, and a short lock: the inserter holds it for a piece of a commit, a reader for one key or for a
//! bounded piece of a range, so neither stalls the other. Visibility does not rest on the lock but on the view's CommitId:
//! what is inserted and not yet published is invisible (M-ATOMIC), because every published view is smaller. So a reader that comes
//! between two pieces of a commit sees nothing of it.
//!
//! The lock itself favours whoever is running: an inserter that lets go of it and takes it again would nearly always be
//! sooner than a reader that has to be woken. Hence a reader that finds it taken waits in the gate, and the inserter goes through the
//! gate between two pieces.
//!
//! Long values are shared, so that a reader copies them outside the lock.

use super::directory::{Directory, Found};
use super::key::Key;
use super::run::{self, Direction, PASSED_KEYS, Sight, key_hash};
use super::values::{Place, Value, Values};
use crate::batch::Operation;
use crate::commit_id::CommitId;
use crate::sync::{self, Arc, Mutex, Pin, RwLock, RwLockReadGuard};
use std::collections::btree_map::BTreeMap;
use std::ops::Bound;

/// Keys that a cursor takes from the table at a time: few at first, then more.
const CHUNK_KEYS: (usize, usize) = (16, 256);
/// Operations, and bytes of their keys and values, after which readers have their turn before a commit is inserted further.
const INSERT_PIECE: (usize, usize) = (256, 64 * 1024);
/// Bytes of keys and values after which a piece of a sealed table ends.
const PIECE_BYTES: usize = 1 << 20;
/// Entries that stand side by side: no entry is ever moved, and no commit waits for that.
const CHUNK_ENTRIES: usize = 1024;
/// Memory of a key in the order: itself and its number, in nodes that are two thirds full as a rule.
const ORDER_BYTES: usize = (size_of::<Key>() + size_of::<u32>()) * 3 / 2;

#[derive(Debug)]
struct Version {
    commit: CommitId,
    value: Option<Place>,
}

/// The versions of one key: most keys have one.
#[derive(Debug)]
struct Entry {
    key: Key,
    newest: Version,
    older: Option<Box<Older>>,
}

/// The versions before the newest, oldest first. Boxed as a whole, so that a key without any pays for one word.
#[derive(Debug, Default)]
struct Older(Vec<Version>);

impl Entry {
    /// Adds a version that is newer than all, or takes the place of the newest.
    fn add(&mut self, version: Version) {
        debug_assert!(self.newest.commit <= version.commit, "commits are inserted in order");
        let replaced = std::mem::replace(&mut self.newest, version);
        // Of two operations on one key in a batch the later counts.
        if replaced.commit != self.newest.commit {
            self.older.get_or_insert_default().0.push(replaced);
        }
    }

    /// How much memory the versions before the newest take.
    fn older_bytes(&self) -> usize {
        let capacity = self.older.as_ref().map(|older| older.0.capacity());
        capacity.map_or(0, |capacity| size_of::<Version>().saturating_mul(capacity).saturating_add(size_of::<Older>()))
    }

    fn older(&self) -> &[Version] {
        self.older.as_ref().map_or(&[], |older| &older.0)
    }

    fn visible(&self, at: CommitId) -> Option<&Version> {
        if self.newest.commit <= at {
            return Some(&self.newest);
        }
        let older = self.older();
        older.get(older.partition_point(|version| version.commit <= at).checked_sub(1)?)
    }

    /// Newest first.
    fn all(&self) -> impl Iterator<Item = &Version> {
        std::iter::once(&self.newest).chain(self.older().iter().rev())
    }
}

/// The versions of recent commits.
#[derive(Debug)]
pub struct Table {
    rows: RwLock<Rows>,
    /// Held by a reader that waits for the rows.
    gate: Mutex<()>,
}

#[derive(Debug)]
struct Rows {
    directory: Directory,
    /// Numbers of entries.
    order: BTreeMap<Key, u32>,
    /// In the order in which their keys came, in pieces of [`CHUNK_ENTRIES`].
    entries: Vec<Vec<Entry>>,
    values: Values,
    /// Memory of the long keys, and of the versions before the newest.
    beside_bytes: usize,
}

impl Rows {
    fn number(&self, key: &[u8], hash: u64) -> Option<u32> {
        let is_meant = |number| self.entry(number).is_some_and(|entry| entry.key.as_slice() == key);
        match self.directory.find(hash, is_meant) {
            Found::Entry(number) => Some(number),
            Found::Nowhere => None,
            Found::Unknown => self.order.get(key).copied(),
        }
    }

    fn entry(&self, number: u32) -> Option<&Entry> {
        let number = usize::try_from(number).ok()?;
        self.entries.get(number / CHUNK_ENTRIES)?.get(number % CHUNK_ENTRIES)
    }

    fn entry_mut(&mut self, number: u32) -> Option<&mut Entry> {
        let number = usize::try_from(number).ok()?;
        self.entries.get_mut(number / CHUNK_ENTRIES)?.get_mut(number % CHUNK_ENTRIES)
    }

    fn insert(&mut self, commit: CommitId, operation: &Operation<'_>) {
        let hash = key_hash(operation.key);
        let version = Version { commit, value: operation.value.map(|value| self.values.put(value)) };
        if let Some(entry) = self.number(operation.key, hash).and_then(|number| self.entry_mut(number)) {
            let before = entry.older_bytes();
            entry.add(version);
            let grown = entry.older_bytes().saturating_sub(before);
            self.beside_bytes = self.beside_bytes.saturating_add(grown);
            return;
        }
        if self.entries.last().is_none_or(|chunk| chunk.len() == CHUNK_ENTRIES) {
            self.entries.push(Vec::with_capacity(CHUNK_ENTRIES));
        }
        let number = u32::try_from(self.order.len()).unwrap_or(u32::MAX);
        let key = Key::from(operation.key);
        self.beside_bytes = self.beside_bytes.saturating_add(key.memory_bytes());
        self.directory.insert(hash, number);
        self.order.insert(key.clone(), number);
        if let Some(chunk) = self.entries.last_mut() {
            chunk.push(Entry { key, newest: version, older: None });
        }
    }

    fn value(&self, version: &Version) -> Option<Value<'_>> {
        version.value.map(|place| self.values.get(place))
    }

    fn memory_bytes(&self) -> usize {
        let entries = size_of::<Entry>().saturating_mul(CHUNK_ENTRIES).saturating_mul(self.entries.len());
        let order = ORDER_BYTES.saturating_mul(self.order.len());
        [entries, order, self.directory.memory_bytes(), self.values.memory_bytes()]
            .into_iter()
            .fold(self.beside_bytes, usize::saturating_add)
    }
}

impl Table {
    /// An empty table, for about so much log.
    #[must_use]
    pub fn new(log_bytes: u64) -> Table {
        let directory = Directory::new(log_bytes);
        let (order, entries, values) = (BTreeMap::new(), Vec::new(), Values::default());
        Table { rows: RwLock::new(Rows { directory, order, entries, values, beside_bytes: 0 }), gate: Mutex::new(()) }
    }

    /// Inserts the operations of a commit, which is greater than all before it.
    pub fn insert<'a>(&self, commit: CommitId, mut operations: impl Iterator<Item = Operation<'a>>) {
        let (most, most_bytes) = INSERT_PIECE;
        let mut next = operations.next();
        while let Some(first) = next {
            let mut rows = sync::write(&self.rows);
            let mut bytes = operation_bytes(&first);
            rows.insert(commit, &first);
            for operation in operations.by_ref().take(most.saturating_sub(1)) {
                rows.insert(commit, &operation);
                bytes = bytes.saturating_add(operation_bytes(&operation));
                if bytes >= most_bytes {
                    break;
                }
            }
            drop(rows);
            next = operations.next();
            if next.is_some() {
                // A reader that waits holds the gate until it has the rows.
                drop(sync::lock(&self.gate));
            }
        }
    }

    /// How much memory it takes, but for what the allocator adds.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.read().memory_bytes()
    }

    fn read(&self) -> RwLockReadGuard<'_, Rows> {
        sync::try_read(&self.rows).unwrap_or_else(|| {
            let _gate = sync::lock(&self.gate);
            sync::read(&self.rows)
        })
    }

    /// The version of a key that is visible at a commit: which commit wrote it, and what its value shows; the inner `None` is a
    /// tombstone. `hash` is [`key_hash`] of the key.
    #[must_use]
    pub fn look<R>(
        &self,
        key: &[u8],
        hash: u64,
        at: CommitId,
        show: impl FnOnce(&[u8]) -> R,
    ) -> Option<(CommitId, Option<R>)> {
        let rows = self.read();
        let version = rows.entry(rows.number(key, hash)?)?.visible(at)?;
        let commit = version.commit;
        Some((
            commit,
            match rows.value(version) {
                None => None,
                Some(Value::Short(bytes)) => Some(show(bytes)),
                Some(Value::Long(bytes)) => {
                    let bytes = Arc::clone(bytes);
                    drop(rows);
                    Some(show(&bytes))
                }
            },
        ))
    }

    /// Hands on every version behind `after` (of all, if `None`), in the order of a run, until a piece is full; returns the last key
    /// where there may be more.
    ///
    /// # Errors
    /// That of `visit`.
    pub fn visit<E>(
        &self,
        after: Option<&[u8]>,
        visit: &mut dyn FnMut(run::Entry<'_>) -> Result<(), E>,
    ) -> Result<Option<Vec<u8>>, E> {
        let rows = self.read();
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut bytes = 0usize;
        for (key, number) in rows.order.range::<[u8], _>((from, Bound::Unbounded)) {
            let key = key.as_slice();
            for version in rows.entry(*number).into_iter().flat_map(Entry::all) {
                let value = rows.value(version).map(Value::bytes);
                bytes = bytes.saturating_add(key.len()).saturating_add(value.map_or(0, <[u8]>::len));
                visit(run::Entry { key, commit: version.commit, value })?;
            }
            if bytes >= PIECE_BYTES {
                return Ok(Some(key.to_vec()));
            }
        }
        Ok(None)
    }
}

fn operation_bytes(operation: &Operation<'_>) -> usize {
    operation.key.len().saturating_add(operation.value.map_or(0, <[u8]>::len))
}

/// A key of a chunk: where it begins and ends, and its value.
struct Item {
    start: usize,
    end: usize,
    value: Held,
}

/// A value of a chunk.
enum Held {
    Tombstone,
    /// It stands behind its key, up to here.
    Short(usize),
    Long(Arc<[u8]>),
}

/// Walks the keys of a table that have a version at a commit. The others are passed; where many follow one another, one of them is shown
/// now and then, so that no step is long.
pub(super) struct TableCursor {
    table: Pin<Table>,
    at: CommitId,
    direction: Direction,
    /// The keys of the chunk, each with its value behind it if that is short.
    bytes: Vec<u8>,
    items: Vec<Item>,
    index: usize,
    chunk_keys: usize,
    /// The last key that was looked at, if the table may hold more behind it. The cursor stands there if the chunk is empty.
    more: Option<Vec<u8>>,
}

impl TableCursor {
    /// A cursor that stands nowhere until `seek`.
    #[must_use]
    pub(super) fn new(table: Pin<Table>, at: CommitId, direction: Direction) -> TableCursor {
        TableCursor {
            table,
            at,
            direction,
            bytes: Vec::new(),
            items: Vec::new(),
            index: 0,
            chunk_keys: CHUNK_KEYS.0,
            more: None,
        }
    }

    /// Goes to the first key of the direction within the bound.
    pub(super) fn seek(&mut self, bound: Bound<&[u8]>) {
        self.chunk_keys = CHUNK_KEYS.0;
        self.load(bound);
    }

    /// Goes to the next key of the direction.
    pub(super) fn advance(&mut self) {
        self.index = self.index.saturating_add(1);
        if self.index >= self.items.len()
            && let Some(last) = self.more.take()
        {
            self.chunk_keys = self.chunk_keys.saturating_mul(2).min(CHUNK_KEYS.1);
            self.load(Bound::Excluded(&last));
        }
    }

    /// The key here, and what the view sees there.
    #[must_use]
    pub(super) fn current(&self) -> Option<(&[u8], Sight<'_>)> {
        if self.items.is_empty() {
            return self.more.as_ref().map(|passed| (passed.as_slice(), Sight::Nothing));
        }
        let Item { start, end, value } = self.items.get(self.index)?;
        let sight = match value {
            Held::Tombstone => Sight::Tombstone,
            Held::Short(value_end) => Sight::Value(self.bytes.get(*end..*value_end)?),
            Held::Long(bytes) => Sight::Value(bytes.as_ref()),
        };
        Some((self.bytes.get(*start..*end)?, sight))
    }

    /// Takes the next chunk from the table. Keys that have no version at the commit end it too, so that the lock is held for a
    /// bounded time; a chunk may hold none at all.
    fn load(&mut self, bound: Bound<&[u8]>) {
        self.bytes.clear();
        self.items.clear();
        self.index = 0;
        let rows = self.table.read();
        let mut passed = 0_usize;
        let mut take = |(key, number): (&Key, &u32)| {
            if let Some(version) = rows.entry(*number).and_then(|entry| entry.visible(self.at)) {
                let start = self.bytes.len();
                self.bytes.extend_from_slice(key.as_slice());
                let end = self.bytes.len();
                let value = match rows.value(version) {
                    None => Held::Tombstone,
                    Some(Value::Short(bytes)) => {
                        self.bytes.extend_from_slice(bytes);
                        Held::Short(self.bytes.len())
                    }
                    Some(Value::Long(bytes)) => Held::Long(Arc::clone(bytes)),
                };
                self.items.push(Item { start, end, value });
            } else {
                passed = passed.saturating_add(1);
            }
            (passed >= PASSED_KEYS || self.items.len() >= self.chunk_keys).then(|| key.as_slice().to_vec())
        };
        self.more = match self.direction {
            Direction::Forward => rows.order.range::<[u8], _>((bound, Bound::Unbounded)).find_map(&mut take),
            Direction::Backward => rows.order.range::<[u8], _>((Bound::Unbounded, bound)).rev().find_map(&mut take),
        };
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::sync::atomic::{AtomicBool, Ordering};

    const BEFORE: CommitId = CommitId(1);
    const COMMIT: CommitId = CommitId(2);

    fn put<'a>(key: &'a [u8], value: &'a [u8]) -> Operation<'a> {
        Operation { key, value: Some(value) }
    }

    fn get(table: &Table, key: &[u8], at: CommitId) -> Option<Vec<u8>> {
        table.look(key, key_hash(key), at, <[u8]>::to_vec).and_then(|(_, value)| value)
    }

    fn visible(table: &Pin<Table>, at: CommitId) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut cursor = TableCursor::new(Pin::clone(table), at, Direction::Forward);
        cursor.seek(Bound::Unbounded);
        let mut rows = Vec::new();
        while let Some((key, sight)) = cursor.current() {
            if let Sight::Value(value) = sight {
                rows.push((key.to_vec(), value.to_vec()));
            }
            cursor.advance();
        }
        rows
    }

    /// M-ATOMIC: `next` is called in the middle of a piece, except for the first operation of each.
    #[test]
    fn a_reader_has_its_turn_between_two_pieces_of_a_commit_and_sees_nothing_of_it() {
        let table = Pin::new(Table::new(1 << 20));
        table.insert(BEFORE, [put(b"key", b"before")].into_iter());
        let seen = Arc::new(AtomicBool::new(false));
        let mut reading = None;
        let operations = (0..2 * INSERT_PIECE.0).map(|index| {
            if index == INSERT_PIECE.0 {
                // Not for a writer: the reader may be in it.
                assert!(table.rows.try_read().is_ok(), "the lock is free between two pieces");
            }
            if index == INSERT_PIECE.0 - 1 {
                assert!(table.rows.try_read().is_err(), "a piece is inserted under the lock");
                let (table, seen) = (Pin::clone(&table), Arc::clone(&seen));
                let body = move || {
                    let show = |value: &[u8]| {
                        seen.store(true, Ordering::Relaxed);
                        value.to_vec()
                    };
                    (table.look(b"key", key_hash(b"key"), BEFORE, show), visible(&table, BEFORE))
                };
                reading = Some(sync::spawn("reader", body).unwrap());
            }
            // The reader waits in the gate before this piece ends.
            while index == INSERT_PIECE.0 - 1 && table.gate.try_lock().is_ok() {}
            assert!(index != INSERT_PIECE.0 + 1 || seen.load(Ordering::Relaxed), "who waits goes first");
            put(b"key", b"after")
        });
        table.insert(COMMIT, operations);
        let (looked, rows) = reading.unwrap().join().unwrap();
        assert_eq!(looked, Some((BEFORE, Some(b"before".to_vec()))));
        assert_eq!(rows, [(b"key".to_vec(), b"before".to_vec())]);
        assert_eq!(get(&table, b"key", COMMIT), Some(b"after".to_vec()));
    }

    #[test]
    fn a_commit_that_spans_pieces_is_inserted_whole_and_of_two_operations_on_a_key_the_later_counts() {
        let table = Pin::new(Table::new(1 << 20));
        let keys: Vec<Vec<u8>> = (0..1000_u32).map(|number| number.to_be_bytes().to_vec()).collect();
        let puts = |value| keys.iter().map(move |key| put(key, value));
        table.insert(BEFORE, puts(b"old"));
        let removed = Operation { key: &keys[7], value: None };
        table.insert(COMMIT, puts(b"first").chain(puts(b"second")).chain([removed]));
        assert!(visible(&table, BEFORE).iter().all(|(_, value)| value == b"old"));
        assert_eq!(visible(&table, BEFORE).len(), keys.len());
        assert!(visible(&table, COMMIT).iter().all(|(_, value)| value == b"second"));
        assert_eq!(visible(&table, COMMIT).len(), keys.len() - 1);
        let mut versions = 0;
        let mut count = |_: run::Entry<'_>| {
            versions += 1;
            Ok::<_, ()>(())
        };
        assert_eq!(table.visit(None, &mut count), Ok(None));
        assert_eq!(versions, 2 * keys.len(), "a commit leaves one version of a key");
    }

    #[test]
    fn small_keys_are_counted_with_all_that_they_take_and_large_values_in_full() {
        let grown = |put_all: &dyn Fn(&Table)| {
            let table = Table::new(1 << 20);
            let before = table.memory_bytes();
            assert!(before >= 1 << 16, "the directory is there from the first");
            put_all(&table);
            table.memory_bytes() - before
        };
        let keys: Vec<[u8; 4]> = (0..10_000_u32).map(u32::to_be_bytes).collect();
        let put_small = |table: &Table, commit| table.insert(commit, keys.iter().map(|key| put(key, b"v")));
        let once = grown(&|table| put_small(table, BEFORE));
        assert!(once > 10_000 * (size_of::<Entry>() + size_of::<Key>()), "{once} bytes for 10,000 keys of 4 bytes");
        let twice = grown(&|table| [BEFORE, COMMIT].into_iter().for_each(|commit| put_small(table, commit)));
        assert!(twice > once + 10_000 * size_of::<Version>(), "{twice} bytes for two versions each");
        let value = vec![7; 1 << 20];
        let large = grown(&|table| table.insert(BEFORE, [put(&value[..5000], &value)].into_iter()));
        assert!(large >= value.len() + 5000 && large < 2 * value.len(), "{large} bytes for one large value");
    }

    #[test]
    fn large_values_end_a_piece_sooner() {
        let table = Table::new(1 << 20);
        let value = vec![7; INSERT_PIECE.1 / 2];
        let free: Vec<bool> = {
            let mut free = Vec::new();
            let keys: Vec<[u8; 1]> = (0..6).map(|number| [number]).collect();
            table.insert(
                COMMIT,
                keys.iter().map(|key| {
                    free.push(table.rows.try_write().is_ok());
                    put(key, &value)
                }),
            );
            free
        };
        assert_eq!(free, [true, false, true, false, true, false]);
        assert_eq!(get(&table, &[5], COMMIT), Some(value));
    }
}
