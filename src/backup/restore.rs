//! Restoring a backup into a new directory, and checking one where it lies.
//!
//! The copy is of the same database, role and epoch, and another node: with a node id, a blank seed and a mark of its own. It is proven
//! like any directory ([`crate::verify`]) before IDENTITY is written, so that a directory that does not prove itself never counts.

use super::copy::{self, Output};
use super::listing::{Listing, Name};
use super::take::read_back;
use super::{BackupReport, Meter};
use crate::disk::Disk;
use crate::entropy;
use crate::error::{Error, Result};
use crate::identity::{Id, Identity, Role};
use crate::reason::Reason;
use crate::recovery::{self, Options};
#[cfg(feature = "replication")]
use crate::replica_state::{Origin, StateStore};
use crate::store::Store;
use crate::store::manifest::MANIFEST_FILE;
use crate::store::run::RunId;
use crate::sync::Arc;
use crate::verify;
use crate::wal;
use std::path::{Path, PathBuf};

/// What is restored, and as what.
#[derive(Clone)]
pub struct RestoreOptions {
    /// The disk.
    pub disk: Arc<dyn Disk>,
    /// The backup.
    pub backup: PathBuf,
    /// The directory to make; its parent exists.
    pub dir: PathBuf,
    /// What it may do; what the source of the backup might if `None`.
    pub role: Option<Role>,
    /// Which node it becomes; a random one if `None`.
    pub node_id: Option<Id>,
    /// What blank log space looks like; random if `None`.
    pub blank_seed: Option<u64>,
    /// The newest segment of the log is blanked in stretches of this length, a multiple of 512.
    pub extend_bytes: u64,
}

impl RestoreOptions {
    /// A new node with the default stretch of blank space.
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>, backup: &Path, dir: &Path) -> RestoreOptions {
        let extend_bytes = Options::new(dir).extend_bytes;
        let (backup, dir) = (backup.to_owned(), dir.to_owned());
        RestoreOptions { disk, backup, dir, role: None, node_id: None, blank_seed: None, extend_bytes }
    }
}

/// Restores a backup into a directory that is new, empty, or what an unfinished restore or `init` left.
///
/// # Errors
/// As [`restore_with`].
pub fn restore(
    disk: Arc<dyn Disk>,
    backup: &Path,
    dir: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<BackupReport> {
    restore_with(&RestoreOptions::new(disk, backup, dir), progress)
}

/// Restores a backup, with what may be chosen about the new node.
///
/// # Errors
/// `backup.incomplete`, `backup.corrupt`; `dir.not_empty`, `dir.locked`, `role.compiled_out`, `config.invalid`; what does not verify,
/// by name, if the backup was made of it; those of the disk. The directory is no database then.
pub fn restore_with(options: &RestoreOptions, progress: &mut dyn FnMut(u64, u64)) -> Result<BackupReport> {
    recovery::check_extend(options.extend_bytes)?;
    let disk = options.disk.as_ref();
    let dir = options.dir.as_path();
    let listing = Listing::read(disk, &options.backup)?;
    let source = listing.check_contents(disk, &options.backup)?;
    let role = options.role.unwrap_or(source.role);
    role.check_compiled()?;

    recovery::refuse_inside(disk, dir, &options.backup)?;
    let _lock = recovery::claim(disk, dir)?;
    clear_unfinished(disk, dir)?;

    let node_id = options.node_id.map_or_else(|| entropy::random_id().map(Id), Ok)?;
    let blank_seed = options.blank_seed.map_or_else(entropy::random_seed, Ok)?;
    let identity = Identity { node_id, role, ..source };
    let mut meter = Meter { done: 0, total: listing.bytes().saturating_mul(2), progress };
    for entry in listing.files.iter().filter(|entry| entry.name != Name::Identity) {
        let path = entry.name.path(&options.backup);
        let mut output = Output::create(disk, dir, entry.name)?;
        copy::read_whole(disk, &path, entry.size, &mut |piece| {
            meter.advance(piece.len());
            output.append(piece)
        })?
        .expect(entry, &path)?;
        output.finish()?;
    }
    let log = recovery::log_options(&options.disk, dir, &identity, options.extend_bytes);
    wal::adopt(&log, blank_seed, listing.newest_segment(), listing.cut)?;
    disk.sync_dir(&Store::directory(dir))?;
    #[cfg(feature = "replication")]
    if identity.role == Role::Replica {
        let state = recovery::replica_state(&identity, listing.cut, Origin::Backup(listing.cut));
        StateStore::create(disk, dir, &state)?;
    }

    let (copied, total) = (meter.done, meter.total);
    let progress = meter.progress;
    let proof = verify::prove(&options.disk, dir, &identity, &mut |done, _| {
        progress(copied.saturating_add(done).min(total), total);
    })?;
    if proof.log_end != listing.cut {
        return Err(Error::new(Reason::BackupCorrupt)
            .with("fault", "the log goes on behind the cut")
            .with("expected", listing.cut)
            .with("found", proof.log_end));
    }
    recovery::complete(disk, dir, &identity)?;
    if Identity::read(disk, dir)? != identity {
        return Err(Error::new(Reason::IdentityCorrupt).with("directory", dir.display()));
    }
    progress(total, total);
    Ok(BackupReport::new(identity, &listing))
}

/// Removes what an unfinished restore or `init` left in `store/`, `wal/` and `replica/`, and makes the first two; anything else in them is
/// refused before anything is removed. A file left in place would be taken for a part of the new log or store.
fn clear_unfinished(disk: &dyn Disk, dir: &Path) -> Result<()> {
    let of_store = |name: &str| name == MANIFEST_FILE || RunId::parse(name).is_some();
    let of_log = |name: &str| name == wal::MARK_FILE || wal::parse_name(name).is_some();
    let of_replica = |name: &str| recovery::state_files(Role::Replica).contains(&name);
    let directories = [Store::directory(dir), wal::directory(dir)];
    let replica = dir.join("replica");
    let ours: [&dyn Fn(&str) -> bool; 3] = [&of_store, &of_log, &of_replica];
    let mut found = Vec::new();
    for (directory, is_ours) in directories.iter().chain([&replica]).zip(ours) {
        for name in disk.list(directory)?.unwrap_or_default() {
            if !is_ours(name.strip_suffix(".tmp").unwrap_or(&name)) {
                let error = Error::new(Reason::DirNotEmpty).with("directory", directory.display());
                return Err(error.with("holds", name));
            }
            found.push(directory.join(name));
        }
    }
    for path in &found {
        disk.remove(path)?;
    }
    for directory in &directories {
        disk.create_dir(directory)?;
        disk.sync_dir(directory)?;
    }
    disk.sync_dir(dir)
}

/// Proves a backup where it lies: that it is complete, and that every file is the one that was backed up.
///
/// # Errors
/// `backup.incomplete`, `backup.corrupt`, `identity.version`, `disk.read_failed`.
pub fn check(disk: &dyn Disk, backup: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<BackupReport> {
    let listing = Listing::read(disk, backup)?;
    let identity = listing.check_contents(disk, backup)?;
    read_back(disk, backup, &listing, &mut Meter { done: 0, total: listing.bytes(), progress })?;
    Ok(BackupReport::new(identity, &listing))
}
