//! What the machine has left for a node: free space, and files that may be open.
//!
//! Asked once, before a server starts, so that what can't go well is refused then and not in the middle of a commit. A process
//! that starts later may take both away all the same; the calls that fail then have reasons of their own.

use crate::disk::failed;
use crate::error::Result;
use crate::reason::Reason;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::path::Path;

/// Free bytes of the file system in which this directory lies, for a process without privileges.
///
/// # Errors
/// `disk.read_failed`.
pub fn free_bytes(directory: &Path) -> Result<u64> {
    let system = rustix::fs::statvfs(directory)
        .map_err(|error| failed(Reason::DiskReadFailed, "statvfs", directory, &error.into()))?;
    Ok(system.f_bavail.saturating_mul(system.f_frsize))
}

/// Raises the limit of open files to what the operating system lets this process have, and returns it.
#[must_use]
pub fn open_files() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    // Where it can't be raised, the one that holds is what there is.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}
