//! A backup that is looked into where it lies, rather than restored: whose it is, and where its log ends.
//!
//! Promises: a file of which something is believed was hashed against BACKUP before. Of the segments each is hashed when it is first asked for, and once.
//! Who uses it: comparing. Who wants all files proven calls `check`.

use super::copy;
use super::listing::{Listing, Name};
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::identity::Identity;
use crate::position::{LogPoint, Position};
use crate::reason::Reason;
use crate::sync::Arc;
use std::cell::RefCell;
use std::path::{Path, PathBuf};

/// A backup whose small files are proven; the others are when they are asked for.
pub(crate) struct BackupFiles {
    disk: Arc<dyn Disk>,
    root: PathBuf,
    listing: Listing,
    identity: Identity,
    /// The segments that were hashed.
    proven: RefCell<Vec<Position>>,
}

impl BackupFiles {
    /// Reads the listing, and proves IDENTITY and MANIFEST against it.
    ///
    /// # Errors
    /// `backup.incomplete`, `backup.corrupt`, `identity.version`, `disk.read_failed`.
    pub(crate) fn open(disk: &Arc<dyn Disk>, root: &Path) -> Result<BackupFiles> {
        let listing = Listing::read(disk.as_ref(), root)?;
        let identity = listing.check_contents(disk.as_ref(), root)?;
        let (disk, root, proven) = (Arc::clone(disk), root.to_owned(), RefCell::default());
        let files = BackupFiles { disk, root, listing, identity, proven };
        files.prove(Name::Manifest)?;
        Ok(files)
    }

    /// Of the node that was backed up.
    pub(crate) fn identity(&self) -> Identity {
        self.identity
    }

    /// The end of its log.
    pub(crate) fn cut(&self) -> LogPoint {
        self.listing.cut
    }

    /// First positions of its segments, in order.
    pub(crate) fn segments(&self) -> Vec<Position> {
        self.listing.segments().map(|(first, _)| first).collect()
    }

    /// Proves that a segment is the one that was backed up, if that was not done before.
    ///
    /// # Errors
    /// `backup.corrupt`, `disk.read_failed`.
    pub(crate) fn check_segment(&self, first: Position) -> Result<()> {
        if !self.proven.borrow().contains(&first) {
            self.prove(Name::Segment(first))?;
            self.proven.borrow_mut().push(first);
        }
        Ok(())
    }

    fn prove(&self, name: Name) -> Result<()> {
        let path = name.path(&self.root);
        let entry = self.listing.files.iter().find(|file| file.name == name);
        let entry = entry.ok_or_else(|| Error::new(Reason::BackupCorrupt).with("file", path.display()))?;
        copy::read_whole(self.disk.as_ref(), &path, entry.size, &mut |_| Ok(()))?.expect(entry, &path)
    }
}
