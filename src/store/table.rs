//! The table: the versions of recent commits, in memory.
//!
//! One inserter, many readers. A B-tree under a short lock: the inserter holds it for one commit, a reader for one key or for a
//! bounded piece of a range, so neither stalls the other. Visibility does not rest on the lock but on the view's CommitId:
//! what is inserted and not yet published is invisible (M-ATOMIC), because every published view is smaller.
//!
//! Values are shared, so that a reader copies them outside the lock.

use super::run::{Direction, Entry};
use crate::batch::Operation;
use crate::commit_id::CommitId;
use crate::sync::{self, Arc, Pin, RwLock};
use std::collections::BTreeMap;
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
    /// The others, oldest first.
    older: Vec<Version>,
}

impl Versions {
    fn visible(&self, at: CommitId) -> Option<&Version> {
        if self.newest.commit <= at {
            return Some(&self.newest);
        }
        self.older.iter().rev().find(|version| version.commit <= at)
    }

    /// Newest first.
    fn all(&self) -> impl Iterator<Item = &Version> {
        std::iter::once(&self.newest).chain(self.older.iter().rev())
    }
}

/// The versions of recent commits.
#[derive(Debug, Default)]
pub struct Table {
    map: RwLock<BTreeMap<Box<[u8]>, Versions>>,
}

impl Table {
    /// An empty table.
    #[must_use]
    pub fn new() -> Table {
        Table { map: RwLock::new(BTreeMap::new()) }
    }

    /// Inserts the operations of a commit, which is greater than all before it.
    pub fn insert<'a>(&self, commit: CommitId, operations: impl Iterator<Item = Operation<'a>>) {
        let mut map = sync::write(&self.map);
        for operation in operations {
            let version = Version { commit, value: operation.value.map(Arc::from) };
            match map.get_mut(operation.key) {
                None => {
                    map.insert(operation.key.into(), Versions { newest: version, older: Vec::new() });
                }
                // Of two operations on one key in a batch the later counts.
                Some(versions) if versions.newest.commit == commit => versions.newest = version,
                Some(versions) => {
                    debug_assert!(versions.newest.commit < commit, "commits are inserted in order");
                    let replaced = std::mem::replace(&mut versions.newest, version);
                    versions.older.push(replaced);
                }
            }
        }
    }

    /// The version of a key that is visible at a commit; the inner `None` is a tombstone.
    #[must_use]
    pub fn get(&self, key: &[u8], at: CommitId) -> Option<Option<Arc<[u8]>>> {
        let map = sync::read(&self.map);
        map.get(key).and_then(|versions| versions.visible(at)).map(|version| version.value.clone())
    }

    /// Hands on every version behind `after` (of all, if `None`), in the order of a run, until a piece is full; returns the last key
    /// where there may be more.
    ///
    /// # Errors
    /// That of `visit`.
    pub fn visit<E>(
        &self,
        after: Option<&[u8]>,
        visit: &mut dyn FnMut(Entry<'_>) -> Result<(), E>,
    ) -> Result<Option<Vec<u8>>, E> {
        let map = sync::read(&self.map);
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut bytes = 0usize;
        for (key, versions) in map.range::<[u8], _>((from, Bound::Unbounded)) {
            for version in versions.all() {
                let value = version.value.as_deref();
                bytes = bytes.saturating_add(key.len()).saturating_add(value.map_or(0, <[u8]>::len));
                visit(Entry { key, commit: version.commit, value })?;
            }
            if bytes >= PIECE_BYTES {
                return Ok(Some(key.to_vec()));
            }
        }
        Ok(None)
    }
}

/// Walks the keys of a table that have a version at a commit.
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
    /// The table may hold more behind the chunk.
    more: bool,
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
            more: false,
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
        if self.index >= self.items.len() && self.more {
            let last = self.items.len().saturating_sub(1);
            let last_key = self.key(last).unwrap_or_default().to_vec();
            self.chunk_keys = self.chunk_keys.saturating_mul(2).min(CHUNK_KEYS.1);
            self.load(Bound::Excluded(&last_key));
        }
    }

    /// The key here and its value; `None` in it is a tombstone.
    #[must_use]
    pub(super) fn current(&self) -> Option<(&[u8], Option<&[u8]>)> {
        let (_, value) = self.items.get(self.index)?;
        Some((self.key(self.index)?, value.as_deref()))
    }

    fn key(&self, index: usize) -> Option<&[u8]> {
        let (end, _) = self.items.get(index)?;
        let start = match index.checked_sub(1) {
            Some(before) => self.items.get(before)?.0,
            None => 0,
        };
        self.keys.get(start..*end)
    }

    fn load(&mut self, bound: Bound<&[u8]>) {
        self.keys.clear();
        self.items.clear();
        self.index = 0;
        self.more = false;
        let map = sync::read(&self.table.map);
        let mut scanned = 0usize;
        let mut take = |(key, versions): (&Box<[u8]>, &Versions)| {
            scanned = scanned.saturating_add(1);
            if let Some(version) = versions.visible(self.at) {
                self.keys.extend_from_slice(key);
                self.items.push((self.keys.len(), version.value.clone()));
            }
            // Keys without a visible version count too, once there is a key to go on from: the lock is held for a bounded time.
            self.more = self.items.len() >= self.chunk_keys
                || (!self.items.is_empty() && scanned >= self.chunk_keys.saturating_mul(8));
            self.more
        };
        match self.direction {
            Direction::Forward => {
                let _ = map.range::<[u8], _>((bound, Bound::Unbounded)).any(&mut take);
            }
            Direction::Backward => {
                let _ = map.range::<[u8], _>((Bound::Unbounded, bound)).rev().any(&mut take);
            }
        }
    }
}
