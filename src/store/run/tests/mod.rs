//! Runs on the real disk: a small world to write and open them in, and an oracle that shares no code with them.
//!
//! * `model`: every way of reading gives what the oracle gives;
//! * `format`: the bytes are those of the document;
//! * `damage`, `hostile`: changed bytes, with wrong and with right checksums.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

mod damage;
mod format;
mod hostile;
mod model;

use super::*;
use crate::disk::{Disk, RealDisk};
use crate::error::Result;
use crate::sync::{Arc, Pin};
use std::collections::BTreeMap;
use std::ops::Bound;

const DATABASE: Id = Id([7; 16]);
/// The smallest blocks, so that everything crosses blocks and partitions.
const BLOCK_BYTES: u32 = crate::limits::BLOCK_BYTES.0;
const CACHE_BYTES: u64 = 1 << 20;

/// A version: key, commit, value.
type Row = (Vec<u8>, u64, Option<Vec<u8>>);

/// What a cursor shows: key, and value or tombstone.
type Shown = (Vec<u8>, Option<Vec<u8>>);

/// What a view sees.
type Seen = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// A directory with runs in it.
struct World {
    directory: tempfile::TempDir,
    disk: Arc<dyn Disk>,
}

impl World {
    fn new() -> World {
        World { directory: tempfile::tempdir().unwrap(), disk: Arc::new(RealDisk) }
    }

    /// Writes these rows, which are in order, as the run of their commits.
    fn write(&self, rows: &[Row]) -> RunInfo {
        let last = rows.iter().map(|(_, commit, _)| *commit).max().unwrap_or(1);
        let meta = RunMeta {
            database_id: DATABASE,
            id: RunId { level: 3, first: CommitId(1), last: CommitId(last) },
            floor: CommitId(1),
        };
        let mut writer = RunWriter::create(&self.disk, self.directory.path(), meta, BLOCK_BYTES).unwrap();
        for (key, commit, value) in rows {
            writer.add(Entry { key, commit: CommitId(*commit), value: value.as_deref() }).unwrap();
        }
        writer.finish().unwrap()
    }

    fn open_with(&self, info: RunInfo, cache_bytes: u64) -> Result<Pin<Run>> {
        let cache = Arc::new(Cache::new(cache_bytes));
        Run::open(&*self.disk, self.directory.path(), info, DATABASE, cache).map(Pin::new)
    }

    fn open(&self, info: RunInfo) -> Result<Pin<Run>> {
        self.open_with(info, CACHE_BYTES)
    }

    fn path(&self, info: RunInfo) -> std::path::PathBuf {
        self.directory.path().join(info.id.file_name())
    }

    fn bytes(&self, info: RunInfo) -> Vec<u8> {
        crate::disk::read_file(&*self.disk, &self.path(info), usize::MAX).unwrap().unwrap()
    }

    fn overwrite(&self, info: RunInfo, bytes: &[u8]) {
        self.disk.create(&self.path(info)).unwrap().write_at(0, bytes).unwrap();
    }
}

/// What a view at `at` sees of some rows: the newest version of each key that is not newer.
fn seen(rows: &[Row], at: u64) -> Seen {
    let mut newest: BTreeMap<Vec<u8>, (u64, Option<Vec<u8>>)> = BTreeMap::new();
    for (key, commit, value) in rows.iter().filter(|(_, commit, _)| *commit <= at) {
        let held = newest.entry(key.clone()).or_insert((*commit, value.clone()));
        if held.0 < *commit {
            *held = (*commit, value.clone());
        }
    }
    newest.into_iter().map(|(key, (_, value))| (key, value)).collect()
}

/// Puts rows in the order of a run.
fn sorted(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(&a.1)));
    rows.dedup_by(|a, b| (&a.0, a.1) == (&b.0, b.1));
    rows
}

fn get(run: &Run, key: &[u8], at: u64) -> Result<Option<Option<Vec<u8>>>> {
    Ok(run.get(key, key_hash(key), CommitId(at))?.map(|version| match version {
        Version::Value(value) => Some(value),
        Version::Tombstone => None,
    }))
}

/// At most `limit` keys from a bound on.
fn walk(run: &Pin<Run>, at: u64, direction: Direction, bound: Bound<&[u8]>, limit: usize) -> Result<Vec<Shown>> {
    let mut cursor = RunCursor::new(Pin::clone(run), CommitId(at), direction);
    cursor.seek(bound)?;
    let mut found = Vec::new();
    while let Some((key, seen)) = cursor.current().filter(|_| found.len() < limit) {
        match seen {
            Sight::Value(value) => found.push((key.to_vec(), Some(value.to_vec()))),
            Sight::Tombstone => found.push((key.to_vec(), None)),
            Sight::Nothing => {}
        }
        cursor.advance()?;
    }
    Ok(found)
}

fn all(run: &Run) -> Result<Vec<Row>> {
    let mut sequential = run.sequential();
    let mut rows = Vec::new();
    while let Some(entry) = sequential.next()? {
        rows.push((entry.key.to_vec(), entry.commit.0, entry.value.map(<[u8]>::to_vec)));
    }
    assert_eq!(sequential.current(), None);
    Ok(rows)
}

/// The random numbers of a seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let word = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }

    /// A key from a small alphabet, so that keys are prefixes of one another, and now and then empty or long.
    fn key(&mut self) -> Vec<u8> {
        let len = if self.below(50) == 0 { 300 } else { self.below(6) as usize };
        (0..len).map(|_| b"\x00ab\xff"[self.below(4) as usize]).collect()
    }

    fn value(&mut self) -> Option<Vec<u8>> {
        match self.below(20) {
            0..4 => None,
            4..6 => Some(Vec::new()),
            6 => Some(self.bytes(3000)),
            _ => {
                let len = self.below(40) as usize;
                Some(self.bytes(len))
            }
        }
    }

    /// Versions of about this many keys, most with a few, some with many.
    fn rows(&mut self, keys: u64, commits: u64) -> Vec<Row> {
        let mut rows = Vec::new();
        for _ in 0..keys {
            let key = self.key();
            let versions = if self.below(20) == 0 { 200 } else { 1 + self.below(4) };
            for _ in 0..versions {
                rows.push((key.clone(), 1 + self.below(commits), self.value()));
            }
        }
        sorted(rows)
    }
}
