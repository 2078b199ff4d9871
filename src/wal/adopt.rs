//! Making a log of segments that were copied from another directory: a restored backup, or a snapshot.
//!
//! Segments are the same on every node, the mark and the blank space are a node's own. So what a copy lacks is blank space behind
//! its newest segment, in this node's pattern (FMT-BLANK), and a mark that says how far the log is durable (FMT-MARK).
//!
//! Assumes that the segments are complete and durable, and that nobody uses the directory. Proves nothing: whoever copied has
//! the result inspected before it counts.

use super::mark::{MARK_FILE, Mark};
use super::segment;
use super::writer::{LogOptions, write_blank};
use crate::disk::{Access, SECTOR};
use crate::error::{Error, Result};
use crate::position::{LogPoint, Position};
use crate::reason::Reason;

/// Blanks the newest segment, which begins at `newest`, behind `end`, and writes the mark; both are durable when it returns.
///
/// # Errors
/// `wal.segment_missing`; those of the disk.
pub fn adopt(options: &LogOptions, blank_seed: u64, newest: Position, end: LogPoint) -> Result<()> {
    let disk = options.disk.as_ref();
    let path = options.directory.join(segment::file_name(newest));
    let Some(file) = disk.open(&path, Access::Write)? else {
        return Err(Error::new(Reason::WalSegmentMissing).with("file", path.display()));
    };
    let stretch = options.extend_bytes.max(SECTOR);
    let stretches = end.position.since(newest).checked_div(stretch).unwrap_or(0).saturating_add(1);
    let allocated = newest.after(stretches.saturating_mul(stretch));
    write_blank(file.as_ref(), newest, blank_seed, end.position, allocated)?;
    file.sync_data()?;
    let database_id = options.lineage.database_id;
    let mark = Mark { database_id, blank_seed, segment: newest, allocated, durable: end };
    let file = disk.create(&options.directory.join(MARK_FILE))?;
    file.write_at(0, &mark.encode())?;
    file.sync_data()?;
    disk.sync_dir(&options.directory)
}
