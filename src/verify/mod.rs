//! Proving every byte of a closed directory, and changing none.
//!
//! ```text
//! lock ─► IDENTITY ─► a replica's state ─► MANIFEST ─► every run ─► every record of the log, and its tail
//!                                                            └────────── agree? ──────────┘
//! ```
//!
//! The log proves itself as at opening, by the same code (`wal::inspect`), but from its oldest record on. Each run is read whole and
//! compared with the hash in the manifest. And the two are held against each other: where the log is still kept, the runs must hold
//! exactly the versions that it and the floor demand (`agreement.rs`).
//!
//! Promises: a flipped bit in anything that counts is refused by name (D-CORRUPT); what only the next opening would drop or cut is
//! told in [`Proof::tail`], what nobody knows in [`Proof::leftovers`]; no file is written, renamed or removed. Assumes nothing: bytes
//! may be hostile. Memory: one block, one record, one batch of versions, the top indexes of the runs.
//!
//! Deliberately absent: repair.

mod agreement;

use crate::commit_id::CommitId;
use crate::disk::{Access, Disk};
use crate::error::{Error, Result};
use crate::identity::{IDENTITY_FILE, Identity, Role};
use crate::position::{LogPoint, Position};
use crate::reason::Reason;
use crate::record::{self, Kind};
use crate::recovery::{self, LOCK_FILE, Options};
use crate::store::Store;
use crate::store::manifest::{MANIFEST_FILE, Manifest};
use crate::store::run::{Cache, Run};
use crate::sync::Arc;
use crate::wal::{self, Inspection, LogOptions};
use agreement::Agreement;
use std::path::{Path, PathBuf};

pub use crate::wal::TailProof;

/// Blocks that are kept while versions are looked up.
const CACHE_BYTES: u64 = 64 << 20;

/// What is verified.
#[derive(Clone)]
pub struct VerifyOptions {
    /// The directory.
    pub dir: PathBuf,
    /// The disk.
    pub disk: Arc<dyn Disk>,
}

/// What was proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// Whose directory it is.
    pub identity: Identity,
    /// The oldest position that is kept.
    pub log_oldest: Position,
    /// The end of the log.
    pub log_end: LogPoint,
    /// Records in it.
    pub records: u64,
    /// Commits among them.
    pub commits: u64,
    /// Segments.
    pub segments: u64,
    /// Bytes of records.
    pub log_bytes: u64,
    /// The runs hold everything up to here.
    pub checkpoint: LogPoint,
    /// The lowest commit that can be read, at the end of the log.
    pub floor: CommitId,
    /// Runs.
    pub runs: u64,
    /// Bytes of them.
    pub run_bytes: u64,
    /// Proofs in the log whose run is here, and is the one that they name.
    pub proofs: u64,
    /// Versions in them.
    pub entries: u64,
    /// What stands behind the log.
    pub tail: TailProof,
    /// Files that do not count, below the directory: written aside, replaced, or unknown.
    pub leftovers: Vec<String>,
}

/// Proves a directory that nobody has open. `progress` is told the bytes that are done, and of how many.
///
/// # Errors
/// `dir.not_found`, `dir.locked`, what does not verify by name (`identity.*`, `wal.*`, `store.*`), `disk.read_failed`.
pub fn verify(options: &VerifyOptions, progress: &mut dyn FnMut(u64, u64)) -> Result<Proof> {
    let (_lock, identity) =
        recovery::enter(&Options { disk: Arc::clone(&options.disk), ..Options::new(&options.dir) })?;
    prove(&options.disk, &options.dir, &identity, progress)
}

/// The same for who holds the lock, and knows whose directory it is or will be.
pub(crate) fn prove(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    identity: &Identity,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Proof> {
    #[cfg(feature = "replication")]
    let replica = recovery::read_replica_state(disk.as_ref(), dir, identity)?;
    let mut told = |done, total| {
        progress(done, total);
        Ok(())
    };
    let proof = prove_data(disk, dir, identity, &mut told)?;
    #[cfg(feature = "replication")]
    replica.map_or(Ok(()), |state| state.check_log(proof.log_end))?;
    Ok(proof)
}

/// Proves log and store that stand in a directory; whoever is told how far that is may end it.
pub(crate) fn prove_data(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    identity: &Identity,
    progress: &mut dyn FnMut(u64, u64) -> Result<()>,
) -> Result<Proof> {
    let directory = Store::directory(dir);
    let manifest = Manifest::read(disk.as_ref(), &directory, identity.database_id)?;
    let log = recovery::log_options(disk, dir, identity, Options::new(dir).extend_bytes);
    let run_bytes = manifest.plan.runs.iter().fold(0u64, |bytes, run| bytes.saturating_add(run.size));
    let total = run_bytes.saturating_add(log_file_bytes(&log)?);

    let runs = open_runs(disk, &directory, &manifest)?;
    let mut done = 0u64;
    for run in &runs {
        run.verify(&mut |bytes| progress(done.saturating_add(bytes), total))?;
        done = done.saturating_add(run.info().size);
    }

    let mut agreement = Agreement::new(&manifest, &runs, identity.parameters.table_bytes)?;
    let (mut records, mut commits) = (0u64, 0u64);
    let inspection = wal::inspect(&log, manifest.point, &mut |record| {
        records += 1;
        commits += u64::from(record.content.kind() == Kind::Commit);
        done = done.saturating_add(record.after.position.since(record.before.position));
        progress(done.min(total), total)?;
        agreement.visit(record)
    })?;
    let genesis = record::genesis(identity.database_id, identity.epoch);
    if inspection.oldest.position == genesis.position && inspection.oldest != genesis {
        return Err(Error::new(Reason::WalSegmentCorrupt)
            .with("file", log.directory.join(wal::file_name(genesis.position)).display())
            .with("expected", genesis)
            .with("found", inspection.oldest));
    }
    let proofs = agreement.proofs();
    let floor = agreement.finish(&log, inspection.oldest)?;
    let leftovers = leftovers(disk.as_ref(), dir, identity.role, &manifest, &inspection)?;
    progress(total, total)?;
    Ok(Proof {
        identity: *identity,
        log_oldest: inspection.oldest.position,
        log_end: inspection.end,
        records,
        commits,
        segments: inspection.segments.len() as u64,
        log_bytes: inspection.end.position.since(inspection.oldest.position),
        checkpoint: manifest.point,
        floor,
        runs: runs.len() as u64,
        run_bytes,
        proofs,
        entries: runs.iter().fold(0, |entries, run| entries.saturating_add(run.entries_count())),
        tail: inspection.tail,
        leftovers,
    })
}

/// The runs that the manifest names, oldest first.
fn open_runs(disk: &Arc<dyn Disk>, directory: &Path, manifest: &Manifest) -> Result<Vec<Run>> {
    let cache = Arc::new(Cache::new(CACHE_BYTES));
    let open = |info| Run::open(disk.as_ref(), directory, info, manifest.database_id, Arc::clone(&cache));
    manifest.plan.runs.iter().map(|info| open(*info)).collect()
}

/// Bytes of the segment files, for progress.
fn log_file_bytes(log: &LogOptions) -> Result<u64> {
    let mut bytes = 0u64;
    for name in log.disk.list(&log.directory)?.unwrap_or_default() {
        if wal::parse_name(&name).is_some()
            && let Some(file) = log.disk.open(&log.directory.join(name), Access::Read)?
        {
            bytes = bytes.saturating_add(file.len()?);
        }
    }
    Ok(bytes)
}

/// The files that do not count.
fn leftovers(disk: &dyn Disk, dir: &Path, role: Role, manifest: &Manifest, log: &Inspection) -> Result<Vec<String>> {
    let mut root = ["store", "wal", IDENTITY_FILE, LOCK_FILE].map(str::to_owned).to_vec();
    let state: Vec<String> = recovery::state_files(role).iter().map(|name| (*name).to_owned()).collect();
    if !state.is_empty() {
        root.extend(["replica", "incoming"].map(str::to_owned));
    }
    let mut store = vec![MANIFEST_FILE.to_owned()];
    store.extend(manifest.plan.runs.iter().map(|run| run.id.file_name()));
    let mut segments = vec![wal::MARK_FILE.to_owned()];
    segments.extend(log.segments.iter().map(|first| wal::file_name(*first)));
    let mut leftovers = Vec::new();
    for (prefix, directory, mut known) in [
        ("", dir.to_owned(), root),
        ("replica/", dir.join("replica"), state),
        ("store/", Store::directory(dir), store),
        ("wal/", wal::directory(dir), segments),
        ("incoming/", dir.join("incoming"), ["store", "wal"].map(str::to_owned).to_vec()),
        ("incoming/store/", dir.join("incoming/store"), Vec::new()),
        ("incoming/wal/", dir.join("incoming/wal"), Vec::new()),
    ] {
        known.sort_unstable();
        let names = disk.list(&directory)?.unwrap_or_default();
        let unknown = names.into_iter().filter(|name| known.binary_search(name).is_err());
        leftovers.extend(unknown.map(|name| format!("{prefix}{name}")));
    }
    Ok(leftovers)
}
