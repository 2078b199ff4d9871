//! A side whose files are at hand: a directory that nobody has open, or a backup.
//!
//! A directory is locked for as long as it is compared, and its log ends where opening it would find the end. A backup has neither lock nor tail: its log
//! ends at the cut; and each of its files is hashed against the listing before anything of it is believed, once.

use super::party::{Held, Party, Place, Steps, Stored};
use super::relation::Step;
use super::written::Written;
use crate::backup::{self, BackupFiles, Whole, read_whole};
use crate::commit_id::CommitId;
use crate::disk::{Disk, LockGuard};
use crate::error::{Error, Result};
use crate::position::{LogPoint, Position};
use crate::reason::Reason;
use crate::recovery::{self, Options};
use crate::store::Store;
use crate::store::manifest::Manifest;
use crate::store::run::RunInfo;
use crate::sync::Arc;
use crate::verify;
use crate::wal::{self, LogCursor, LogOptions};
use std::path::{Path, PathBuf};

/// A directory that is locked, or a backup.
pub struct Local {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    held: Held,
    segments: Vec<Position>,
    log: LogOptions,
    kept: Kept,
}

/// What keeps the files what they are, or proves that they are.
enum Kept {
    Locked { _lock: Box<dyn LockGuard> },
    Listed(Box<BackupFiles>),
}

impl Local {
    /// Takes a directory that nobody has open, or a backup, and reads whose it is.
    ///
    /// # Errors
    /// `dir.not_found`, `dir.locked`, `identity.*`, `backup.incomplete`, `backup.corrupt`, `disk.read_failed`.
    pub fn open(disk: &Arc<dyn Disk>, dir: &Path) -> Result<Local> {
        let options = Options { disk: Arc::clone(disk), ..Options::new(dir) };
        let is_backup = disk.list(dir)?.is_some_and(|names| names.iter().any(|name| name == backup::BACKUP_FILE));
        let (place, identity, kept) = if is_backup {
            let files = BackupFiles::open(disk, dir)?;
            (Place::Backup, files.identity(), Kept::Listed(Box::new(files)))
        } else {
            let (lock, identity) = recovery::enter(&options)?;
            recovery::check_complete(disk.as_ref(), dir, &identity)?;
            (Place::Directory, identity, Kept::Locked { _lock: lock })
        };
        let log = recovery::log_options(disk, dir, &identity, options.extend_bytes);
        let held = Held { place, identity, oldest: LogPoint::default(), end: LogPoint::default() };
        Ok(Local { disk: options.disk, dir: options.dir, held, segments: Vec::new(), log, kept })
    }

    /// The disk that it lies on.
    pub(super) fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    /// Where it lies.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whose it is, and what log it has.
    pub(super) fn held(&self) -> &Held {
        &self.held
    }

    /// The last segment that begins before a commit was made; `None` where that is not kept.
    pub(super) fn segment_before(&self, made: CommitId) -> Result<Option<Position>> {
        let mut found = None;
        let mut unknown = self.segments.as_slice();
        while let Some((before, [middle, behind @ ..])) = unknown.split_at_checked(unknown.len() / 2) {
            if self.start(*middle)?.commit < made {
                (found, unknown) = (Some(*middle), behind);
            } else {
                unknown = before;
            }
        }
        Ok(found)
    }

    /// Where a segment ends.
    pub(super) fn end_of(&self, first: Position) -> Position {
        let behind = self.segments.partition_point(|other| *other <= first);
        self.segments.get(behind).copied().unwrap_or(self.held.end.position)
    }

    /// Proves that the segment that begins at a position, if one does, is the one that was backed up.
    pub(super) fn check_segment_at(&self, position: Position) -> Result<()> {
        match &self.kept {
            Kept::Listed(files) if self.segments.binary_search(&position).is_ok() => files.check_segment(position),
            Kept::Listed(_) | Kept::Locked { .. } => Ok(()),
        }
    }

    /// Records from the beginning of a segment on, each proven.
    pub(super) fn cursor(&self, from: Position) -> Result<LogCursor> {
        self.check_segment_at(from)?;
        let LogOptions { disk, directory, lineage, .. } = &self.log;
        LogCursor::open(Arc::clone(disk), directory, *lineage, from, self.held.end)
    }

    fn start(&self, first: Position) -> Result<LogPoint> {
        self.check_segment_at(first)?;
        wal::segment_start(&self.log, first)
    }

    /// Reads a run whole, and says what is wrong with it, if it is not the one that the manifest names.
    ///
    /// # Errors
    /// Those of the disk.
    pub(super) fn check_run(&self, run: &RunInfo, advance: &mut dyn FnMut(u64)) -> Result<Option<Error>> {
        let path = Store::directory(&self.dir).join(run.id.file_name());
        let whole = read_whole(self.disk.as_ref(), &path, run.size, &mut |piece| {
            advance(piece.len() as u64);
            Ok(())
        })?;
        let corrupt = || Error::new(Reason::StoreRunCorrupt).with("file", path.display());
        Ok(match whole {
            Whole::Hash(hash) if hash == run.hash => None,
            Whole::Hash(hash) => {
                let hash = format!("{hash:032x}");
                Some(corrupt().with("expected", format_args!("{:032x}", run.hash)).with("found", hash))
            }
            Whole::Size(bytes) => Some(corrupt().with("expected_bytes", run.size).with("found_bytes", bytes)),
            Whole::Absent => Some(Error::new(Reason::StoreRunMissing).with("file", path.display())),
        })
    }
}

impl Local {
    /// Refuses what opening the directory would refuse: a log that ends before the checkpoint, or before what a replica had applied.
    fn check_end(&self) -> Result<()> {
        let (disk, end) = (self.disk.as_ref(), self.held.end);
        let manifest = Manifest::read(disk, &Store::directory(&self.dir), self.held.identity.database_id)?;
        if manifest.point.position > end.position {
            let behind = Error::new(Reason::WalBehindCheckpoint).with("directory", self.dir.display());
            return Err(behind.with("checkpoint", manifest.point).with("end", end));
        }
        #[cfg(feature = "replication")]
        if let Some(state) = recovery::read_replica_state(disk, &self.dir, &self.held.identity)? {
            state.check_log(end)?;
        }
        Ok(())
    }
}

impl Party for Local {
    fn look(&mut self) -> Result<()> {
        if let Kept::Listed(files) = &self.kept {
            (self.segments, self.held.end) = (files.segments(), files.cut());
            self.held.oldest = self.start(self.segments.first().copied().unwrap_or_default())?;
            // The newest segment proves the end, as that of a directory does.
            let mut newest = self.cursor(self.segments.last().copied().unwrap_or_default())?;
            while newest.next_record()?.is_some() {}
        } else {
            let outline = wal::outline(&self.log)?;
            (self.segments, self.held.oldest, self.held.end) = (outline.segments, outline.oldest, outline.end);
            self.check_end()?;
        }
        Ok(())
    }

    fn held(&self) -> &Held {
        &self.held
    }

    fn segments(&self) -> &[Position] {
        &self.segments
    }

    fn point_at(&mut self, first: Position) -> Result<Option<LogPoint>> {
        if self.segments.binary_search(&first).is_err() {
            // The next segment may not have been begun.
            return Ok(Some(self.held.end).filter(|end| end.position == first));
        }
        self.start(first).map(Some)
    }

    fn steps(&mut self, from: LogPoint) -> Result<Box<dyn Steps + '_>> {
        Ok(Box::new(self.cursor(from.position)?))
    }

    fn wrote(&mut self, before: LogPoint, step: Step) -> Result<Written> {
        let LogOptions { disk, directory, lineage, .. } = &self.log;
        let mut cursor = LogCursor::open(Arc::clone(disk), directory, *lineage, before.position, self.held.end)?;
        match cursor.next_record()? {
            Some((_, bytes)) => Written::read(bytes, before, step.after),
            None => Err(Error::new(Reason::WalBeyondEnd).with("position", before.position)),
        }
    }

    fn stored(&mut self) -> Result<Stored> {
        let directory = Store::directory(&self.dir);
        let manifest = Manifest::read(self.disk.as_ref(), &directory, self.held.identity.database_id)?;
        Ok(Stored { checkpoint: manifest.point, runs: manifest.plan.runs })
    }

    fn prove(&mut self, progress: &mut dyn FnMut(u64, u64)) -> Result<()> {
        match &self.kept {
            Kept::Locked { .. } => verify::prove(&self.disk, &self.dir, &self.held.identity, progress).map(|_| ()),
            Kept::Listed(_) => backup::check(self.disk.as_ref(), &self.dir, progress).map(|_| ()),
        }
    }

    fn local(&self) -> Option<&Local> {
        Some(self)
    }
}

impl Steps for LogCursor {
    fn next_step(&mut self) -> Result<Option<Step>> {
        let record = self.next_record()?;
        Ok(record.map(|(record, _)| Step { kind: record.content.kind(), after: record.after }))
    }
}
