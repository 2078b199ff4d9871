//! Initialising a directory, and opening one: the only way from files to a running node.
//!
//! The order (RC-1 to RC-8 in `docs/recovery.md`) is a machine ([`machine`]): lock, identity, what a replica knows of itself, what an install left,
//! names made durable, manifest, runs, leftovers removed, log proven from the checkpoint on and replayed, published. Each step relies
//! on the one before and leaves nothing half done: a crash at any point of it, and a second run of it, lead to the same state (P5-I2,
//! F-RC1). What each found, proved and dropped is kept (RC-STEPS): in the [`Report`] of what is open, beside the error of what is not.
//!
//! * [`init`]: makes a directory. `open`: opens one, in two parts, so that who opens a replica says when its recovery begins.
//! * [`examine`]: how far opening would come, for who must not open: the evidence of a directory that does not start.
//!
//! Used by: [`crate::node`], [`crate::database`] and `replica`, which own the result. Deliberately absent: repair. What does not verify is
//! refused, by name.

mod examine;
strict! { machine }
mod making;
mod opening;
mod report;
mod steps;

pub use self::examine::{Examined, examine};
#[cfg(feature = "replication")]
pub(crate) use self::making::replica_state;
pub use self::making::{Init, init, parent};
pub(crate) use self::making::{check_extend, claim, complete};
pub(crate) use self::opening::{Base, Recovered, open};
#[cfg(feature = "replication")]
pub(crate) use self::opening::{Kept, begin};
pub use self::report::{Facts, Progress, Refused, Report, Step};

#[cfg(feature = "replication")]
use crate::bootstrap::install::Settled;
use crate::committer::Retention;
use crate::disk::{Disk, LockGuard, RealDisk, SECTOR};
use crate::error::{Error, Result};
use crate::identity::{IDENTITY_FILE, Id, Identity, Role};
use crate::position::Position;
use crate::reason::Reason;
#[cfg(feature = "replication")]
use crate::replica_state::{ReplicaState, STATE_FILES};
use crate::sync::Arc;
use crate::wal::{self, Keeper, Lineage, LogOptions};
use std::path::{Path, PathBuf};

/// The file whose lock stands for the directory.
pub(crate) const LOCK_FILE: &str = "LOCK";
/// Stands in a directory from before `init` or restore makes anything in it until its identity is written: what lies there is
/// nobody's data yet, and may be overwritten.
const UNFINISHED_FILE: &str = "UNFINISHED";

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
    /// Told of each step of recovery, and how far a long replay is.
    pub watch: Option<Watch>,
    /// What a bootstrap found in the directory and did about it, before this opens it: it is told with what is found now.
    #[cfg(feature = "replication")]
    pub settled: Settled,
}

/// Who watches a recovery; called by the thread that recovers, which it holds up.
pub type Watch = Arc<dyn Fn(&Progress) + Send + Sync>;

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
            watch: None,
            #[cfg(feature = "replication")]
            settled: Settled::default(),
        }
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
    let lock = lock(options)?;
    Ok((lock, identify(options)?))
}

fn lock(options: &Options) -> Result<Box<dyn LockGuard>> {
    refuse_other_places(options.disk.as_ref(), &options.dir)?;
    options.disk.lock(&options.dir.join(LOCK_FILE))
}

fn identify(options: &Options) -> Result<Identity> {
    let identity = Identity::read(options.disk.as_ref(), &options.dir)?;
    expect(Reason::IdentityOtherRole, options.role, identity.role)?;
    expect(Reason::IdentityOtherDatabase, options.database_id, identity.database_id)?;
    expect(Reason::IdentityOtherNode, options.node_id, identity.node_id)?;
    identity.role.check_compiled()?;
    Ok(identity)
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
