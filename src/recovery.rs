//! Initialising a directory, and opening one: the only way from files to a running node.
//!
//! The order (RC-1 to RC-8 in `docs/recovery.md`): lock, identity, names made durable, manifest, runs, leftovers removed, log proven
//! from the checkpoint on and replayed, published. Each step relies on the one before and leaves nothing half done: a crash at any
//! point of it, and a second run of it, lead to the same state (P5-I2, F-RC1). What was found, proven and dropped is kept in the
//! [`Report`].
//!
//! Used by: [`crate::node`], which owns the result. Deliberately absent: repair. What does not verify is refused, by name.

#[cfg(feature = "replication")]
use crate::bootstrap::install;
use crate::commit_id::CommitId;
use crate::committer::Retention;
use crate::disk::{Disk, LockGuard, RealDisk, SECTOR};
use crate::entropy;
use crate::error::{Error, Result};
use crate::identity::{IDENTITY_FILE, Id, Identity, Parameters, Role};
use crate::limits;
use crate::maintenance::{Maintenance, Progress, remove_leftovers};
use crate::position::LogPoint;
use crate::queue::Sender;
use crate::reason::Reason;
use crate::record;
#[cfg(feature = "replication")]
use crate::replica_state::{Origin, ReplicaState, STATE_FILES, StateStore};
use crate::store::manifest::Manifest;
use crate::store::{Applier, Store, StoreOptions};
use crate::sync::Arc;
use crate::wal::{self, Cover, Keeper, Lineage, LogOptions, LogReport, LogWriter};
use std::path::{Path, PathBuf};

/// The file whose lock stands for the directory.
pub(crate) const LOCK_FILE: &str = "LOCK";
/// Stands in a directory from before `init` or restore makes anything in it until its identity is written: what lies there is
/// nobody's data yet, and may be overwritten.
const UNFINISHED_FILE: &str = "UNFINISHED";
/// The names that `init` and restore make.
const OWN_NAMES: [&str; 6] = [LOCK_FILE, UNFINISHED_FILE, "IDENTITY.tmp", "replica", "store", "wal"];

/// What a new directory is made with.
#[derive(Clone)]
pub struct Init {
    /// The directory; its parent exists.
    pub dir: PathBuf,
    /// What the node may do.
    pub role: Role,
    /// What shapes the files of the database.
    pub parameters: Parameters,
    /// Which database; a random one if `None`.
    pub database_id: Option<Id>,
    /// Which node; a random one if `None`.
    pub node_id: Option<Id>,
    /// What blank log space looks like; random if `None`.
    pub blank_seed: Option<u64>,
    /// The newest segment of the log is blanked in stretches of this length.
    pub extend_bytes: u64,
    /// The disk.
    pub disk: Arc<dyn Disk>,
}

impl Init {
    /// A standalone node with default parameters on the disk of the machine.
    #[must_use]
    pub fn standalone(dir: &Path) -> Init {
        Init {
            dir: dir.to_owned(),
            role: Role::Standalone,
            parameters: Parameters::default(),
            database_id: None,
            node_id: None,
            blank_seed: None,
            extend_bytes: Options::new(dir).extend_bytes,
            disk: Arc::new(RealDisk),
        }
    }
}

/// How a directory is opened.
#[derive(Clone)]
pub struct Options {
    /// The directory.
    pub dir: PathBuf,
    /// The role that it must have, if that matters.
    pub role: Option<Role>,
    /// The database that it must belong to, if that matters.
    pub database_id: Option<Id>,
    /// The node that it must belong to, if that matters.
    pub node_id: Option<Id>,
    /// How much of the log is kept behind the checkpoint.
    pub retention: Retention,
    /// Memory for blocks that were read.
    pub cache_bytes: u64,
    /// What views may pin beyond the current state, before the oldest is revoked.
    pub pinned_bytes_max: u64,
    /// The newest segment of the log is blanked in stretches of this length, a multiple of 512.
    pub extend_bytes: u64,
    /// A primary logs the Proof of every run that it completes (REPL-PROOF); nobody else ever does.
    pub proofs: bool,
    /// The disk.
    pub disk: Arc<dyn Disk>,
}

impl Options {
    /// The defaults, on the disk of the machine: all log is kept, 64 MiB of blocks, 4 GiB pinned, no Proofs.
    #[must_use]
    pub fn new(dir: &Path) -> Options {
        Options {
            dir: dir.to_owned(),
            role: None,
            database_id: None,
            node_id: None,
            retention: Retention::All,
            cache_bytes: 64 << 20,
            pinned_bytes_max: 4 << 30,
            extend_bytes: 1 << 20,
            proofs: false,
            disk: Arc::new(RealDisk),
        }
    }
}

/// What opening found, proved and dropped.
#[derive(Clone, Debug)]
pub struct Report {
    /// Whose directory it is.
    pub identity: Identity,
    /// The checkpoint from which the log was replayed.
    pub checkpoint: LogPoint,
    /// The floor now.
    pub floor: CommitId,
    /// What opening the log found.
    pub log: LogReport,
    /// Records replayed behind the checkpoint.
    pub records_replayed: u64,
    /// Files of the store that were left over, removed.
    pub removed: Vec<String>,
}

/// Everything that opening yields.
pub(crate) struct Recovered {
    pub(crate) lock: Box<dyn LockGuard>,
    pub(crate) report: Report,
    pub(crate) store: Arc<Store>,
    pub(crate) log: LogWriter,
    pub(crate) applier: Applier,
    pub(crate) maintenance: Maintenance,
}

pub(crate) fn check_extend(extend_bytes: u64) -> Result<()> {
    if extend_bytes >= SECTOR && extend_bytes.is_multiple_of(SECTOR) && extend_bytes <= limits::SEGMENT_BYTES.1 {
        return Ok(());
    }
    Err(Error::new(Reason::ConfigInvalid)
        .with("parameter", "extend_bytes")
        .with("value", extend_bytes)
        .with("limits", format!("multiples of {SECTOR} up to {}", limits::SEGMENT_BYTES.1)))
}

/// Makes a new directory. It is a database once `IDENTITY` is there, which is written last; what an unfinished earlier attempt left
/// is overwritten, anything else in the directory is refused.
///
/// # Errors
/// `dir.not_empty`, `dir.locked`, `config.invalid`, `role.compiled_out`, those of the disk.
pub fn init(options: &Init) -> Result<Identity> {
    options.role.check_compiled()?;
    options.parameters.check()?;
    check_extend(options.extend_bytes)?;
    let disk = options.disk.as_ref();
    let dir = options.dir.as_path();
    let _lock = claim(disk, dir)?;
    let random = || entropy::random_id().map(Id);
    let identity = Identity {
        role: options.role,
        database_id: options.database_id.map_or_else(random, Ok)?,
        node_id: options.node_id.map_or_else(random, Ok)?,
        epoch: 1,
        parameters: options.parameters,
    };
    LogWriter::create(
        &log_options(&options.disk, dir, &identity, options.extend_bytes),
        options.blank_seed.map_or_else(entropy::random_seed, Ok)?,
    )?;
    let store = Store::directory(dir);
    disk.create_dir(&store)?;
    let genesis = record::genesis(identity.database_id, identity.epoch);
    Manifest::empty(identity.database_id, genesis).write(disk, &store)?;
    #[cfg(feature = "replication")]
    if identity.role == Role::Replica {
        StateStore::create(disk, dir, &replica_state(&identity, genesis, Origin::Log))?;
    }
    complete(disk, dir, &identity)?;
    Ok(identity)
}

/// What a new replica knows of itself.
#[cfg(feature = "replication")]
pub(crate) fn replica_state(identity: &Identity, applied: LogPoint, origin: Origin) -> ReplicaState {
    ReplicaState::new(identity.database_id, identity.node_id, applied, origin)
}

/// The directory in which a directory has its name.
#[must_use]
pub fn parent(dir: &Path) -> &Path {
    dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Takes a place for a new directory: what an unfinished `init` or restore left may be overwritten, anything else is refused, a
/// database whose identity is gone included.
pub(crate) fn claim(disk: &dyn Disk, dir: &Path) -> Result<Box<dyn LockGuard>> {
    refuse_foreign(disk, dir)?;
    disk.create_dir(dir)?;
    disk.sync_dir(parent(dir))?;
    let lock = disk.lock(&dir.join(LOCK_FILE))?;
    // Looked at again under the lock: another process may have been first.
    refuse_foreign(disk, dir)?;
    disk.create(&dir.join(UNFINISHED_FILE))?;
    disk.sync_dir(dir)?;
    Ok(lock)
}

/// Makes a claimed directory a database: from here on it exists.
pub(crate) fn complete(disk: &dyn Disk, dir: &Path, identity: &Identity) -> Result<()> {
    disk.sync_dir(dir)?;
    identity.write(disk, dir)?;
    disk.remove(&dir.join(UNFINISHED_FILE))?;
    disk.sync_dir(dir)
}

fn refuse_foreign(disk: &dyn Disk, dir: &Path) -> Result<()> {
    let names = disk.list(dir)?.unwrap_or_default();
    let unfinished = names.iter().any(|name| name == UNFINISHED_FILE);
    let ours = |name: &str| OWN_NAMES.contains(&name) && (unfinished || name == LOCK_FILE);
    match names.iter().find(|name| !ours(name)) {
        Some(name) => Err(Error::new(Reason::DirNotEmpty).with("directory", dir.display()).with("holds", name)),
        None => Ok(()),
    }
}

/// How the log of a directory is opened.
pub(crate) fn log_options(disk: &Arc<dyn Disk>, dir: &Path, identity: &Identity, extend_bytes: u64) -> LogOptions {
    LogOptions {
        disk: Arc::clone(disk),
        directory: wal::directory(dir),
        lineage: lineage(identity),
        keeper: if identity.role.writes() { Keeper::Writer } else { Keeper::Follower },
        segment_bytes: identity.parameters.segment_bytes,
        // No more than a segment can need: a small one is not worth a large stretch of blank.
        extend_bytes: extend_bytes.min(identity.parameters.segment_bytes.next_multiple_of(SECTOR)),
    }
}

/// What all segments of this node's log share.
#[must_use]
pub fn lineage(identity: &Identity) -> Lineage {
    Lineage { database_id: identity.database_id, epoch: identity.epoch }
}

/// Takes the lock of a directory and reads whose it is; refuses what the options do not expect.
pub(crate) fn enter(options: &Options) -> Result<(Box<dyn LockGuard>, Identity)> {
    let disk = options.disk.as_ref();
    refuse_other_places(disk, &options.dir)?;
    let lock = disk.lock(&options.dir.join(LOCK_FILE))?;
    let identity = Identity::read(disk, &options.dir)?;
    expect(Reason::IdentityOtherRole, options.role, identity.role)?;
    expect(Reason::IdentityOtherDatabase, options.database_id, identity.database_id)?;
    expect(Reason::IdentityOtherNode, options.node_id, identity.node_id)?;
    identity.role.check_compiled()?;
    Ok((lock, identity))
}

/// Refuses what is not a database, by what it is.
///
/// # Errors
/// `dir.not_found`; `backup.not_a_database`; `identity.corrupt` where log or store are there and the identity is gone.
pub fn refuse_other_places(disk: &dyn Disk, dir: &Path) -> Result<()> {
    let names = disk.list(dir)?.unwrap_or_default();
    let holds = |wanted: &str| names.iter().any(|name| name == wanted);
    if holds("BACKUP") {
        return Err(Error::new(Reason::BackupNotDatabase).with("directory", dir.display()));
    }
    if holds(IDENTITY_FILE) {
        return Ok(());
    }
    if (holds("wal") || holds("store")) && !holds(UNFINISHED_FILE) {
        let file = dir.join(IDENTITY_FILE);
        return Err(Error::new(Reason::IdentityCorrupt).with("file", file.display()).with("bytes", "absent"));
    }
    Err(Error::new(Reason::DirNotFound).with("directory", dir.display()))
}

/// Refuses a new directory that would lie inside another, where its names would be taken for that one's.
pub(crate) fn refuse_inside(disk: &dyn Disk, new: &Path, other: &Path) -> Result<()> {
    let (Some(place), Some(other_place)) = (disk.real_path(parent(new))?, disk.real_path(other)?) else {
        return Ok(());
    };
    if place.starts_with(&other_place) {
        return Err(Error::new(Reason::BackupInside).with("new", new.display()).with("inside", other.display()));
    }
    Ok(())
}

fn expect<T: PartialEq + std::fmt::Display>(reason: Reason, expected: Option<T>, found: T) -> Result<()> {
    match expected {
        Some(expected) if expected != found => Err(Error::new(reason).with("expected", expected).with("found", found)),
        _ => Ok(()),
    }
}

/// Opens a directory.
pub(crate) fn open(options: &Options, calls: Option<Sender<()>>) -> Result<Recovered> {
    check_extend(options.extend_bytes)?;
    let (lock, identity) = enter(options)?;
    let disk = options.disk.as_ref();
    #[cfg(feature = "replication")]
    let left = settle(disk, &options.dir, &identity)?;
    #[cfg(feature = "replication")]
    let replica = read_replica_state(disk, &options.dir, &identity)?;
    let store_options = StoreOptions {
        disk: Arc::clone(&options.disk),
        directory: Store::directory(&options.dir),
        database_id: identity.database_id,
        parameters: identity.parameters,
        cache_bytes: options.cache_bytes,
        pinned_bytes_max: options.pinned_bytes_max,
    };
    if disk.list(&options.dir)?.unwrap_or_default().iter().any(|name| name == UNFINISHED_FILE) {
        disk.remove(&options.dir.join(UNFINISHED_FILE))?;
    }
    // A name that an earlier process gave may be known to the cache alone. It must be durable before anything is removed on the
    // strength of it.
    disk.sync_dir(&options.dir)?;
    disk.sync_dir(&store_options.directory)?;
    disk.sync_dir(&wal::directory(&options.dir))?;

    let manifest = Manifest::read(disk, &store_options.directory, identity.database_id)?;
    let store = Store::open(store_options.clone(), &manifest, calls)?;
    let removed = remove_leftovers(&store_options, &manifest)?;
    #[cfg(feature = "replication")]
    let removed = [left, removed].concat();
    let checkpoint = manifest.point;
    if options.proofs && identity.role == Role::Primary {
        store.begin_to_owe();
    }

    let mut applier = Applier::new(&store);
    let mut maintenance = Maintenance::new(&store, manifest);
    let mut records_replayed = 0u64;
    let mut diverged = None;
    let log = log_options(&options.disk, &options.dir, &identity, options.extend_bytes);
    let (log, log_report) = wal::open(log, checkpoint, &mut |record, cover| {
        if diverged.is_some() {
            return Ok(());
        }
        let applied = applier.apply(record).and_then(|_| {
            records_replayed += 1;
            // A checkpoint is never built on what may be in the cache alone: those records are one group, and wait in memory.
            if cover == Cover::Durable { make_room(&store, &mut maintenance) } else { Ok(()) }
        });
        unless_diverged(applied, identity.role, &mut diverged)
    })?;
    #[cfg(feature = "replication")]
    replica.map_or(Ok(()), |state| state.check_log(log_report.end))?;
    // Now they are durable: the node is left as a second recovery would leave it.
    if diverged.is_none() {
        unless_diverged(make_room(&store, &mut maintenance), identity.role, &mut diverged)?;
    }
    applier.publish();
    if let Some(fault) = &diverged {
        store.halt(fault);
    }
    let report =
        Report { identity, checkpoint, floor: store.state().floor, log: log_report, records_replayed, removed };
    Ok(Recovered { lock, report, store, log, applier, maintenance })
}

/// Goes on with an install where a crash stopped it, and removes what an unfinished bootstrap left aside; what that was (RC-INSTALL).
#[cfg(feature = "replication")]
pub(crate) fn settle(disk: &dyn Disk, dir: &Path, identity: &Identity) -> Result<Vec<String>> {
    match identity.role {
        Role::Replica => {
            let mut kept = StateStore::open(disk, dir, identity.database_id, identity.node_id)?;
            Ok(install::settle(disk, dir, &mut kept)?.discarded)
        }
        Role::Standalone | Role::Primary => Ok(Vec::new()),
    }
}

/// What a replica knows of itself; nothing of it opens where that does not verify (F-RC2), or where there is no data, or none yet in its place.
#[cfg(feature = "replication")]
pub(crate) fn read_replica_state(disk: &dyn Disk, dir: &Path, identity: &Identity) -> Result<Option<ReplicaState>> {
    match identity.role {
        Role::Replica => {
            let state = ReplicaState::read(disk, dir, identity.database_id, identity.node_id)?;
            state.check_complete()?;
            Ok(Some(state))
        }
        Role::Standalone | Role::Primary => Ok(None),
    }
}

/// Refuses the directory of a replica in which there is no data yet.
///
/// # Errors
/// `bootstrap.incomplete`; those of reading what the replica knows of itself.
pub fn check_complete(disk: &dyn Disk, dir: &Path, identity: &Identity) -> Result<()> {
    #[cfg(feature = "replication")]
    read_replica_state(disk, dir, identity)?;
    #[cfg(not(feature = "replication"))]
    let _ = (disk, dir, identity);
    Ok(())
}

/// The names of the files in `replica/`, by role.
pub(crate) fn state_files(role: Role) -> &'static [&'static str] {
    match role {
        #[cfg(feature = "replication")]
        Role::Replica => &STATE_FILES,
        #[cfg(not(feature = "replication"))]
        Role::Replica => &[],
        Role::Standalone | Role::Primary => &[],
    }
}

/// A replica whose run is not the one that its log names opens halted, with all that it applied before, and shows so. A writer is not opened.
fn unless_diverged(outcome: Result<()>, role: Role, diverged: &mut Option<Error>) -> Result<()> {
    match outcome {
        Err(fault) if fault.reason() == Reason::StateDiverged && !role.writes() => {
            *diverged = Some(fault);
            Ok(())
        }
        outcome => outcome,
    }
}

/// Makes runs of sealed tables until another may be sealed.
fn make_room(store: &Store, maintenance: &mut Maintenance) -> Result<()> {
    while !store.has_room() && maintenance.step()? == Progress::Worked {}
    Ok(())
}
