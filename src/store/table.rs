//! The table: the versions of recent commits, in memory.
//!
//! One inserter, many readers. A B-tree under a short lock: the inserter holds it for one commit, a reader for one key or for a
//! bounded piece of a range, so neither stalls the other. Visibility does not rest on the lock but on the view's CommitId:
//! what is inserted and not yet published is invisible (M-ATOMIC), because every published view is smaller.
//!
//! Values are shared, so that a reader copies them outside the lock.

use super::key::Key;
use super::run::{self, Direction, PASSED_KEYS, Sight, key_hash};
use super::sieve::Sieve;
use crate::batch::Operation;
use crate::commit_id::CommitId;
use crate::sync::{self, Arc, Pin, RwLock};
use std::collections::btree_map::{BTreeMap, Entry};
use std::ops::Bound;

/// Keys that a cursor takes from the table at a time: few at first, then more.
const CHUNK_KEYS: (usize, usize) = (16, 256);
/// Bytes of keys and values after which a piece of a sealed table ends.
const PIECE_BYTES: usize = 1 << 20;

#[derive(Debug)]
struct Version {
    commit: CommitId,
    value: Option<Arc<[u8]>>,
}

/// The versions of one key: most keys have one.
#[derive(Debug)]
struct Versions {
    newest: Version,
    older: Option<Box<Older>>,
}

/// The versions before the newest, oldest first. Boxed as a whole, so that a key without any pays for one word.
#[derive(Debug, Default)]
struct Older(Vec<Version>);

impl Versions {
    fn only(version: Version) -> Versions {
        Versions { newest: version, older: None }
    }

    /// Adds a version that is newer than all, or takes the place of the newest.
    fn add(&mut self, version: Version) {
        debug_assert!(self.newest.commit <= version.commit, "commits are inserted in order");
        let replaced = std::mem::replace(&mut self.newest, version);
        // Of two operations on one key in a batch the later counts.
        if replaced.commit != self.newest.commit {
            self.older.get_or_insert_default().0.push(replaced);
        }
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
    keys: RwLock<Keys>,
}

#[derive(Debug)]
struct Keys {
    map: BTreeMap<Key, Versions>,
    sieve: Sieve,
}

impl Table {
    /// An empty table, for about so much log.
    #[must_use]
    pub fn new(log_bytes: u64) -> Table {
        Table { keys: RwLock::new(Keys { map: BTreeMap::new(), sieve: Sieve::new(log_bytes) }) }
    }

    /// Inserts the operations of a commit, which is greater than all before it.
    pub fn insert<'a>(&self, commit: CommitId, operations: impl Iterator<Item = Operation<'a>>) {
        let mut keys = sync::write(&self.keys);
        for operation in operations {
            keys.sieve.insert(key_hash(operation.key));
            let version = Version { commit, value: operation.value.map(Arc::from) };
            match keys.map.entry(Key::from(operation.key)) {
                Entry::Vacant(place) => {
                    place.insert(Versions::only(version));
                }
                Entry::Occupied(place) => place.into_mut().add(version),
            }
        }
    }

    /// The version of a key that is visible at a commit: which commit wrote it, and its value; the inner `None` is a tombstone. `hash`
    /// is [`key_hash`] of the key.
    #[must_use]
    pub fn get(&self, key: &[u8], hash: u64, at: CommitId) -> Option<(CommitId, Option<Arc<[u8]>>)> {
        let keys = sync::read(&self.keys);
        if !keys.sieve.may_contain(hash) {
            return None;
        }
        keys.map.get(key)?.visible(at).map(|version| (version.commit, version.value.clone()))
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
        let map = &sync::read(&self.keys).map;
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut bytes = 0usize;
        for (key, versions) in map.range::<[u8], _>((from, Bound::Unbounded)) {
            let key = key.as_slice();
            for version in versions.all() {
                let value = version.value.as_deref();
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

/// Walks the keys of a table that have a version at a commit. The others are passed; where many follow one another, one of them is shown
/// now and then, so that no step is long.
pub(super) struct TableCursor {
    table: Pin<Table>,
    at: CommitId,
    direction: Direction,
    /// The keys of the chunk, one behind the other.
    keys: Vec<u8>,
    /// End of each key in `keys`, and its value.
    items: Vec<(usize, Option<Arc<[u8]>>)>,
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
            keys: Vec::new(),
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
        let (_, value) = self.items.get(self.index)?;
        Some((self.key(self.index)?, value.as_deref().map_or(Sight::Tombstone, Sight::Value)))
    }

    fn key(&self, index: usize) -> Option<&[u8]> {
        let (end, _) = self.items.get(index)?;
        let start = match index.checked_sub(1) {
            Some(before) => self.items.get(before)?.0,
            None => 0,
        };
        self.keys.get(start..*end)
    }

    /// Takes the next chunk from the table. Keys that have no version at the commit end it too, so that the lock is held for a
    /// bounded time; a chunk may hold none at all.
    fn load(&mut self, bound: Bound<&[u8]>) {
        self.keys.clear();
        self.items.clear();
        self.index = 0;
        let map = &sync::read(&self.table.keys).map;
        let mut passed = 0_usize;
        let mut take = |(key, versions): (&Key, &Versions)| {
            if let Some(version) = versions.visible(self.at) {
                self.keys.extend_from_slice(key.as_slice());
                self.items.push((self.keys.len(), version.value.clone()));
            } else {
                passed = passed.saturating_add(1);
            }
            (passed >= PASSED_KEYS || self.items.len() >= self.chunk_keys).then(|| key.as_slice().to_vec())
        };
        self.more = match self.direction {
            Direction::Forward => map.range::<[u8], _>((bound, Bound::Unbounded)).find_map(&mut take),
            Direction::Backward => map.range::<[u8], _>((Bound::Unbounded, bound)).rev().find_map(&mut take),
        };
    }
}
