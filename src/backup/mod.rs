//! Backups: a directory copied at a cut of its log, proven on both ends (FMT-BACKUP, R-CUT).
//!
//! ```text
//! backup    lock, recover, cut ─► proven bytes ─► hashed, fsynced ─► read back ─► BACKUP, last
//! restore   BACKUP ─► hashed against it, fsynced ─► mark ─► verify ─► IDENTITY, last
//! ```
//!
//! A backup holds what every node of the database would have at the cut: manifest, runs, segments; and the identity of the node it was
//! taken from. It lacks what is a node's own: mark, blank space, lock, what a replica knows of itself. A restored directory gets those anew, and
//! a node id of its own.
//!
//! Promises: nothing is overwritten; a backup or a restored directory counts once its last file is there, and that is written when
//! everything else is durable and was read back; so a crash or failure leaves a whole one or none. The source changes by its cut record
//! alone, and on a replica not at all. Only names that this program makes are ever opened, whatever a file BACKUP says. Memory:
//! pieces of [`PIECE_BYTES`], and the list of files.
//!
//! Deliberately absent: backups of a node that is in use, incremental ones, compression, deletion.

mod copy;
mod files;
mod listing;
mod restore;
mod take;

pub(crate) use copy::{Whole, read_whole};
pub(crate) use files::BackupFiles;
pub use listing::BACKUP_FILE;
pub use restore::{RestoreOptions, check, restore, restore_with};
pub use take::backup;

use crate::identity::Identity;
use crate::position::LogPoint;
use listing::Listing;

/// How much is read and written at once.
pub const PIECE_BYTES: usize = 1 << 20;

/// What was backed up, checked or restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackupReport {
    /// Of the node that was backed up; of the new node, where one was restored.
    pub identity: Identity,
    /// The end of the log that the backup holds.
    pub cut: LogPoint,
    /// Files of the backup, beside BACKUP itself.
    pub files: u64,
    /// Bytes of these files.
    pub bytes: u64,
}

impl BackupReport {
    fn new(identity: Identity, listing: &Listing) -> BackupReport {
        BackupReport { identity, cut: listing.cut, files: listing.files.len() as u64, bytes: listing.bytes() }
    }
}

/// Counts what is done for who waits.
struct Meter<'a> {
    done: u64,
    total: u64,
    progress: &'a mut dyn FnMut(u64, u64),
}

impl Meter<'_> {
    fn advance(&mut self, bytes: usize) {
        self.done = self.total.min(self.done.saturating_add(bytes as u64));
        (self.progress)(self.done, self.total);
    }
}
