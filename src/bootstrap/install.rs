//! Putting a proven snapshot in place, and going on with that after a crash (SNAP-INSTALL, RC-INSTALL).
//!
//! ```text
//! state: clearing ──► old log and store removed ──► state: moving ──► incoming/* renamed to their places ──► state: nothing left
//! ```
//!
//! Assumes the lock of the directory. Promises: each step may be stopped anywhere and done again from its beginning; nothing is removed or
//! moved before the state that orders it is durable, even where it was found in the cache of a process that died; a file that is not ours is
//! left where it is. What stands in `incoming/` without an order is what an attempt left that was cut short: it counts for nothing.
//!
//! Used by: [`super::Bootstrap`], which begins an install; recovery, which goes on with one.

use crate::disk::{self, Disk};
use crate::error::Result;
use crate::position::LogPoint;
use crate::replica_state::{Install, StateStore};
use crate::store::Store;
use crate::store::manifest::MANIFEST_FILE;
use crate::store::run::RunId;
use crate::sync::planted;
use crate::wal;
use std::path::{Path, PathBuf};

/// The directory in which a snapshot is written aside.
pub const INCOMING: &str = "incoming";

/// What a start found of a bootstrap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// An install was under way, and is finished: the cut of its snapshot.
    pub finished: Option<LogPoint>,
    /// What an attempt had left that was cut short, removed.
    pub discarded: Vec<String>,
}

impl Settled {
    /// This, and what was found later.
    #[must_use]
    pub fn and(mut self, later: Settled) -> Settled {
        self.finished = later.finished.or(self.finished);
        self.discarded.extend(later.discarded);
        self
    }
}

/// Where the snapshot of a directory is written aside.
#[must_use]
pub fn incoming(dir: &Path) -> PathBuf {
    dir.join(INCOMING)
}

/// Finishes an install that is under way; removes what stands aside without one.
///
/// # Errors
/// Those of the disk. Whatever was done, the next call goes on.
pub fn settle(disk: &dyn Disk, dir: &Path, kept: &mut StateStore) -> Result<Settled> {
    let finished = if kept.state().install.is_some() { Some(go_on(disk, dir, kept)?) } else { None };
    Ok(Settled { finished, discarded: discard(disk, dir)? })
}

/// Goes on with the install that is recorded, to its end; the cut that is installed then.
pub(super) fn go_on(disk: &dyn Disk, dir: &Path, kept: &mut StateStore) -> Result<LogPoint> {
    if kept.state().install == Some(Install::Clearing) {
        kept.installing(Install::Clearing)?;
        clear(disk, dir)?;
    }
    kept.installing(Install::Moving)?;
    put_in_place(disk, dir)?;
    kept.installed()?;
    let cut = kept.state().applied;
    log::info!(cut:%; "the snapshot is in place");
    Ok(cut)
}

/// Removes what stands aside, and tells what it was.
///
/// # Errors
/// Those of the disk.
pub fn discard(disk: &dyn Disk, dir: &Path) -> Result<Vec<String>> {
    let mut discarded = Vec::new();
    for (directory, is_ours) in places(&incoming(dir)) {
        for name in remove_ours(disk, &directory, is_ours)? {
            let path = directory.join(name);
            discarded.push(path.strip_prefix(dir).unwrap_or(&path).display().to_string());
        }
    }
    Ok(discarded)
}

/// Makes the directories of a snapshot that is to come, empty, and their names durable.
pub(super) fn prepare(disk: &dyn Disk, dir: &Path) -> Result<Vec<String>> {
    let discarded = discard(disk, dir)?;
    let incoming = incoming(dir);
    disk.create_dir(&incoming)?;
    make_places(disk, &incoming)?;
    disk.sync_dir(dir)?;
    Ok(discarded)
}

/// Removes the log and the store that were there before.
pub(super) fn clear(disk: &dyn Disk, dir: &Path) -> Result<()> {
    make_places(disk, dir)?;
    for (directory, is_ours) in places(dir) {
        if planted("what was there before a snapshot stays") {
            continue;
        }
        remove_ours(disk, &directory, is_ours)?;
        // Also where nothing was left to remove: a process that died may have removed it in the cache alone.
        disk.sync_dir(&directory)?;
    }
    Ok(())
}

/// Moves what stands aside to its place, each file durably.
fn put_in_place(disk: &dyn Disk, dir: &Path) -> Result<()> {
    for ((from, is_ours), (to, _)) in places(&incoming(dir)).into_iter().zip(places(dir)) {
        for name in ours(disk, &from, is_ours)? {
            disk.rename(&from.join(&name), &to.join(&name))?;
            if !planted("the name of what is put in place is not durable") {
                disk.sync_dir(&to)?;
            }
        }
        if planted("the name of what is put in place is not durable") {
            continue;
        }
        // Also where nothing was left to move: a process that died may have moved it in the cache alone.
        disk.sync_dir(&to)?;
        disk.sync_dir(&from)?;
    }
    Ok(())
}

type IsOurs = fn(&str) -> bool;

/// Where the store and the log of a directory stand, and what in them is ours.
fn places(dir: &Path) -> [(PathBuf, IsOurs); 2] {
    let of_store: IsOurs = |name| name == MANIFEST_FILE || RunId::parse(name).is_some();
    let of_log: IsOurs = |name| name == wal::MARK_FILE || wal::parse_name(name).is_some();
    [(Store::directory(dir), of_store), (wal::directory(dir), of_log)]
}

fn make_places(disk: &dyn Disk, dir: &Path) -> Result<()> {
    for (directory, _) in places(dir) {
        disk.create_dir(&directory)?;
    }
    disk.sync_dir(dir)
}

/// The names of our files in a directory.
fn ours(disk: &dyn Disk, directory: &Path, is_ours: IsOurs) -> Result<Vec<String>> {
    let mut names = disk.list(directory)?.unwrap_or_default();
    names.retain(|name| is_ours(name.strip_suffix(disk::ASIDE).unwrap_or(name)));
    Ok(names)
}

/// Removes our files of a directory, durably; their names.
fn remove_ours(disk: &dyn Disk, directory: &Path, is_ours: IsOurs) -> Result<Vec<String>> {
    let names = ours(disk, directory, is_ours)?;
    for name in &names {
        disk.remove(&directory.join(name))?;
    }
    if !names.is_empty() {
        disk.sync_dir(directory)?;
    }
    Ok(names)
}
