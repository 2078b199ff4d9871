//! A disk that counts what the database asks of the real one: bytes written and fsyncs, of the log and of the store.
//!
//! It changes nothing. Counters are for people: they are read when nobody writes.

use aerodb::Result;
use aerodb::disk::{Access, Disk, File, LockGuard, RealDisk};
use aerodb::sync::Arc;
use aerodb::sync::atomic::{AtomicU64, Ordering};
use std::path::{Path, PathBuf};

/// What was counted.
#[derive(Debug, Default)]
struct Counters {
    log_bytes: AtomicU64,
    log_syncs: AtomicU64,
    store_bytes: AtomicU64,
}

/// What was counted up to a moment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reading {
    /// Bytes written to segments, blank space included.
    pub(super) log_bytes: u64,
    /// fsyncs of segments.
    pub(super) log_syncs: u64,
    /// Bytes written to runs and manifests.
    pub(super) store_bytes: u64,
}

/// The real disk, counted.
#[derive(Clone, Debug, Default)]
pub(super) struct Meter(Arc<Counters>);

impl Meter {
    /// The counters now.
    pub(super) fn read(&self) -> Reading {
        // ORDERING: Relaxed: read when the threads that count have been waited for.
        Reading {
            log_bytes: self.0.log_bytes.load(Ordering::Relaxed),
            log_syncs: self.0.log_syncs.load(Ordering::Relaxed),
            store_bytes: self.0.store_bytes.load(Ordering::Relaxed),
        }
    }

    fn wrap(&self, path: &Path, file: Arc<dyn File>) -> Arc<dyn File> {
        let kind = match path.extension().and_then(|extension| extension.to_str()) {
            Some("seg") => Kind::Log,
            Some(_) => Kind::Store,
            None => Kind::Other,
        };
        Arc::new(Metered { file, kind, counters: Arc::clone(&self.0) })
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Log,
    Store,
    Other,
}

struct Metered {
    file: Arc<dyn File>,
    kind: Kind,
    counters: Arc<Counters>,
}

impl Disk for Meter {
    fn open(&self, path: &Path, access: Access) -> Result<Option<Arc<dyn File>>> {
        Ok(RealDisk.open(path, access)?.map(|file| self.wrap(path, file)))
    }
    fn create(&self, path: &Path) -> Result<Arc<dyn File>> {
        RealDisk.create(path).map(|file| self.wrap(path, file))
    }
    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        RealDisk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> Result<()> {
        RealDisk.remove(path)
    }
    fn list(&self, directory: &Path) -> Result<Option<Vec<String>>> {
        RealDisk.list(directory)
    }

    fn real_path(&self, directory: &Path) -> Result<Option<PathBuf>> {
        RealDisk.real_path(directory)
    }
    fn create_dir(&self, directory: &Path) -> Result<()> {
        RealDisk.create_dir(directory)
    }
    fn sync_dir(&self, directory: &Path) -> Result<()> {
        RealDisk.sync_dir(directory)
    }
    fn lock(&self, path: &Path) -> Result<Box<dyn LockGuard>> {
        RealDisk.lock(path)
    }
}

impl File for Metered {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        self.file.read_at(offset, buffer)
    }
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let counter = match self.kind {
            Kind::Log => Some(&self.counters.log_bytes),
            Kind::Store => Some(&self.counters.store_bytes),
            Kind::Other => None,
        };
        if let Some(counter) = counter {
            counter.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        }
        self.file.write_at(offset, bytes)
    }
    fn set_len(&self, len: u64) -> Result<()> {
        self.file.set_len(len)
    }
    fn len(&self) -> Result<u64> {
        self.file.len()
    }
    fn sync_data(&self) -> Result<()> {
        if matches!(self.kind, Kind::Log) {
            self.counters.log_syncs.fetch_add(1, Ordering::Relaxed);
        }
        self.file.sync_data()
    }
}
