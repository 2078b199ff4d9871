//! Initialising a directory: what is to be a database is claimed, made, and complete once its identity is written.
//!
//! A crash leaves what another attempt overwrites; what is anybody's data is refused. Used by: `init`, restore.

use super::{LOCK_FILE, Options, UNFINISHED_FILE, log_options};
use crate::disk::{Disk, LockGuard, RealDisk, SECTOR};
use crate::entropy;
use crate::error::{Error, Result};
use crate::identity::{Id, Identity, Parameters, Role};
use crate::limits;
#[cfg(feature = "replication")]
use crate::position::LogPoint;
use crate::reason::Reason;
use crate::record;
#[cfg(feature = "replication")]
use crate::replica_state::{Origin, ReplicaState, StateStore};
use crate::store::Store;
use crate::store::manifest::Manifest;
use crate::sync::Arc;
use crate::wal::LogWriter;
use std::path::{Path, PathBuf};

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

    /// The same as a primary, which may serve its log to replicas.
    #[must_use]
    pub fn primary(dir: &Path) -> Init {
        Init { role: Role::Primary, ..Init::standalone(dir) }
    }
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
