//! Taking a backup of a closed directory.
//!
//! On a writer a `Cut` record makes the runs hold everything up to itself; on a replica nothing is added, and what the log holds
//! beyond the checkpoint is copied as log. Either way the log is copied from its oldest kept record to its durable end, record by
//! proven record, and each run against the hash in the manifest: nothing unproven gets into a backup (D-CORRUPT). A replica whose runs are known
//! not to be those of its primary is refused: their hashes would hold (R-DIVERGENCE).

use super::copy::{self, Output, Whole};
use super::listing::{Entry, Listing, Name};
use super::{BACKUP_FILE, BackupReport, Meter};
use crate::disk::{Disk, LockGuard};
use crate::error::{Error, Result};
use crate::limits;
use crate::node::Node;
use crate::position::{LogPoint, Position};
use crate::reason::Reason;
use crate::record::{Kind, Purpose};
use crate::recovery::{self, LOCK_FILE, Options};
use crate::store::Store;
use crate::store::manifest::Manifest;
use crate::store::run::RunInfo;
use crate::sync::Arc;
use crate::wal::{self, LogCursor};
use std::path::Path;

/// Opens a directory that nobody has open, and copies it to `out`, which must not exist. `progress` is told the bytes that are done, and
/// of how many.
///
/// # Errors
/// `backup.exists`; those of [`Node::open`]; `state.diverged` of a replica that has found that out; `store.run_corrupt`, `store.run_missing`, `wal.*` when the source does not verify;
/// `backup.corrupt` when the copy does not; those of the disk. What is at `out` then is not a backup.
pub fn backup(options: &Options, out: &Path, progress: &mut dyn FnMut(u64, u64)) -> Result<BackupReport> {
    let disk = options.disk.as_ref();
    refuse_existing(disk, out)?;
    recovery::refuse_inside(disk, out, &options.dir)?;
    let mut node = Node::open(options)?;
    let identity = node.report().identity;
    refuse_diverged(&node, options)?;
    let claim = claim(disk, out)?;
    let cut = if identity.role.writes() { node.checkpoint(Purpose::Backup)? } else { node.durable() };

    let manifest = Manifest::read(disk, &Store::directory(&options.dir), identity.database_id)?;
    let segments = segments(disk, &options.dir, cut)?;
    let oldest = segments.first().copied().unwrap_or_default();
    let small = [(Name::Identity, identity.encode()), (Name::Manifest, manifest.encode())];
    let mut bytes = wal::SEGMENT_HEADER_BYTES.saturating_mul(segments.len() as u64);
    bytes = bytes.saturating_add(cut.position.since(oldest));
    bytes = manifest.plan.runs.iter().fold(bytes, |bytes, run| bytes.saturating_add(run.size));
    bytes = small.iter().fold(bytes, |bytes, (_, content)| bytes.saturating_add(content.len() as u64));
    let mut meter = Meter { done: 0, total: bytes.saturating_mul(2), progress };

    let mut files = Vec::new();
    for (name, content) in &small {
        let mut output = Output::create(disk, out, *name)?;
        output.append(content)?;
        files.push(output.finish()?);
        meter.advance(content.len());
    }
    for run in &manifest.plan.runs {
        files.push(copy_run(disk, &options.dir, out, *run, &mut meter)?);
    }
    let log = recovery::log_options(&options.disk, &options.dir, &identity, options.extend_bytes);
    let mut cursor = LogCursor::open(Arc::clone(&log.disk), &log.directory, log.lineage, oldest, cut)?;
    copy_log(disk, out, log.lineage, &mut cursor, &mut files, &mut meter)?;
    files.sort_unstable_by_key(|file| file.name.to_string());
    if files.len() > limits::BACKUP_FILES_MAX {
        return Err(Error::new(Reason::ConfigInvalid)
            .with("parameter", "files of a backup")
            .with("value", files.len())
            .with("limits", limits::BACKUP_FILES_MAX));
    }
    node.close()?;
    disk.sync_dir(&Store::directory(out))?;
    disk.sync_dir(&wal::directory(out))?;
    disk.remove(&out.join(LOCK_FILE))?;
    disk.sync_dir(out)?;

    let listing = Listing { database_id: identity.database_id, node_id: identity.node_id, cut, files };
    read_back(disk, out, &listing, &mut meter)?;
    listing.write(disk, out)?;
    drop(claim);
    if Listing::read(disk, out)? != listing {
        return Err(Error::new(Reason::BackupCorrupt).with("file", out.join(BACKUP_FILE).display()));
    }
    Ok(BackupReport::new(identity, &listing))
}

/// Refuses a replica with a run that is not the one of its primary, as a replay has found just now or an earlier run of it has kept.
fn refuse_diverged(node: &Node, options: &Options) -> Result<()> {
    #[cfg(feature = "replication")]
    if let Some(halt) = recovery::read_replica_state(options.disk.as_ref(), &options.dir, &node.report().identity)?
        .and_then(|state| state.halt)
        .filter(|halt| halt.of_the_data().0 == Reason::StateDiverged)
    {
        return Err(Error::new(Reason::StateDiverged).with("halt", &halt).with("evidence", &halt.evidence));
    }
    let _ = options;
    node.store().halted().map_or(Ok(()), Err)
}

fn exists(out: &Path) -> Error {
    Error::new(Reason::BackupExists).with("path", out.display())
}

/// Refuses a path where anything is, be it a file.
fn refuse_existing(disk: &dyn Disk, out: &Path) -> Result<()> {
    match disk.list(out) {
        Ok(None) => Ok(()),
        Ok(Some(_)) => Err(exists(out)),
        Err(error) => match disk.open(out, crate::disk::Access::Read) {
            Ok(Some(_)) => Err(exists(out)),
            Ok(None) | Err(_) => Err(error),
        },
    }
}

/// Makes the directory, and holds it against another backup to the same place until this one has filled it.
fn claim(disk: &dyn Disk, out: &Path) -> Result<Box<dyn LockGuard>> {
    disk.create_dir(out)?;
    disk.sync_dir(recovery::parent(out))?;
    let guard = disk.lock(&out.join(LOCK_FILE))?;
    if disk.list(out)?.unwrap_or_default() != [LOCK_FILE] {
        return Err(exists(out));
    }
    disk.create_dir(&Store::directory(out))?;
    disk.create_dir(&wal::directory(out))?;
    Ok(guard)
}

/// First positions of the segments up to the cut, oldest first.
fn segments(disk: &dyn Disk, dir: &Path, cut: LogPoint) -> Result<Vec<Position>> {
    let names = disk.list(&wal::directory(dir))?.unwrap_or_default();
    let segments = names.iter().filter_map(|name| wal::parse_name(name));
    Ok(segments.filter(|first| *first <= cut.position).collect())
}

fn copy_run(disk: &dyn Disk, dir: &Path, out: &Path, run: RunInfo, meter: &mut Meter<'_>) -> Result<Entry> {
    let name = Name::Run(run.id);
    let path = name.path(dir);
    let mut output = Output::create(disk, out, name)?;
    let whole = copy::read_whole(disk, &path, run.size, &mut |piece| {
        meter.advance(piece.len());
        output.append(piece)
    })?;
    let corrupt = || Error::new(Reason::StoreRunCorrupt).with("file", path.display());
    match whole {
        Whole::Hash(hash) if hash == run.hash => {}
        Whole::Hash(hash) => {
            return Err(corrupt()
                .with("expected", format_args!("{:032x}", run.hash))
                .with("found", format_args!("{hash:032x}")));
        }
        Whole::Size(size) => return Err(corrupt().with("expected_bytes", run.size).with("found_bytes", size)),
        Whole::Absent => return Err(Error::new(Reason::StoreRunMissing).with("file", path.display())),
    }
    output.finish()
}

/// Writes the segments anew from proven records: byte for byte those that were read, the newest one up to the cut.
fn copy_log(
    disk: &dyn Disk,
    out: &Path,
    lineage: wal::Lineage,
    cursor: &mut LogCursor,
    files: &mut Vec<Entry>,
    meter: &mut Meter<'_>,
) -> Result<()> {
    let begin = |start: LogPoint, meter: &mut Meter<'_>| {
        let header = wal::encode_header(lineage, start);
        let mut output = Output::create(disk, out, Name::Segment(start.position))?;
        output.append(&header)?;
        meter.advance(header.len());
        Ok::<Output, Error>(output)
    };
    let mut output = begin(cursor.point(), meter)?;
    while let Some((record, bytes)) = cursor.next_record()? {
        output.append(bytes)?;
        meter.advance(bytes.len());
        if record.content.kind() == Kind::Seal {
            let sealed = std::mem::replace(&mut output, begin(record.after, meter)?);
            files.push(sealed.finish()?);
        }
    }
    files.push(output.finish()?);
    Ok(())
}

/// Reads every file of a backup and compares it with the listing.
pub(super) fn read_back(disk: &dyn Disk, out: &Path, listing: &Listing, meter: &mut Meter<'_>) -> Result<()> {
    for entry in &listing.files {
        let path = entry.name.path(out);
        copy::read_whole(disk, &path, entry.size, &mut |piece| {
            meter.advance(piece.len());
            Ok(())
        })?
        .expect(entry, &path)?;
    }
    Ok(())
}
