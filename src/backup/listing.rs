//! BACKUP: which files a backup consists of (FMT-BACKUP).
//!
//! A name in it is one of four that this program makes, or the file is refused: so none can lead out of the directory, and none stands
//! twice. What sizes and names can contradict is refused here too: segments without a gap, the newest one up to the cut.

use super::copy::{self, Whole};
use crate::codec::{self, Put, Reader, SECTOR_BYTES};
use crate::disk::{self, Disk};
use crate::error::{Error, Result};
use crate::identity::{IDENTITY_FILE, Id, Identity};
use crate::limits;
use crate::position::{LogPoint, Position};
use crate::reason::Reason;
use crate::store::Store;
use crate::store::manifest::{MANIFEST_FILE, Manifest};
use crate::store::run::{RunId, RunInfo};
use crate::wal;
use std::fmt;
use std::path::{Path, PathBuf};

/// The name of the file that makes a directory a backup.
pub const BACKUP_FILE: &str = "BACKUP";

const MAGIC: &[u8; 8] = b"AEROBKUP";
const FIXED_BYTES: usize = 76;
/// Of the longest name that is ours, the name's own length, size and hash.
const ENTRY_BYTES_MAX: usize = 64 + 2 + 8 + 16;

/// The name of a file of a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    Identity,
    Manifest,
    Run(RunId),
    Segment(Position),
}

impl Name {
    /// Reads what `Display` writes, and nothing else.
    pub(super) fn parse(text: &str) -> Option<Name> {
        match text.split_once('/') {
            None => (text == IDENTITY_FILE).then_some(Name::Identity),
            Some(("store", MANIFEST_FILE)) => Some(Name::Manifest),
            Some(("store", name)) => RunId::parse(name).map(Name::Run),
            Some(("wal", name)) => wal::parse_name(name).map(Name::Segment),
            Some(_) => None,
        }
    }

    /// Where the file lies in a backup or a data directory.
    pub(super) fn path(&self, root: &Path) -> PathBuf {
        match self {
            Name::Identity => root.join(IDENTITY_FILE),
            Name::Manifest => Store::directory(root).join(MANIFEST_FILE),
            Name::Run(id) => Store::directory(root).join(id.file_name()),
            Name::Segment(first) => wal::directory(root).join(wal::file_name(*first)),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Name::Identity => f.write_str(IDENTITY_FILE),
            Name::Manifest => write!(f, "store/{MANIFEST_FILE}"),
            Name::Run(id) => write!(f, "store/{}", id.file_name()),
            Name::Segment(first) => write!(f, "wal/{}", wal::file_name(*first)),
        }
    }
}

/// One file of a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: Name,
    pub(super) size: u64,
    pub(super) hash: u128,
}

/// What BACKUP says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listing {
    pub(super) database_id: Id,
    pub(super) node_id: Id,
    pub(super) cut: LogPoint,
    /// In the order of their names.
    pub(super) files: Vec<Entry>,
}

impl Listing {
    pub(super) fn bytes(&self) -> u64 {
        self.files.iter().fold(0, |bytes, file| bytes.saturating_add(file.size))
    }

    /// First position of the newest segment.
    pub(super) fn newest_segment(&self) -> Position {
        self.segments().last().map(|(first, _)| first).unwrap_or_default()
    }

    pub(super) fn segments(&self) -> impl Iterator<Item = (Position, u64)> {
        self.files.iter().filter_map(|file| match file.name {
            Name::Segment(first) => Some((first, file.size)),
            Name::Identity | Name::Manifest | Name::Run(_) => None,
        })
    }

    fn runs(&self) -> impl Iterator<Item = RunInfo> {
        self.files.iter().filter_map(|file| match file.name {
            Name::Run(id) => Some(RunInfo { id, size: file.size, hash: file.hash }),
            Name::Identity | Name::Manifest | Name::Segment(_) => None,
        })
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = codec::begin(MAGIC);
        bytes.put_len32(self.files.len());
        bytes.extend_from_slice(&self.database_id.0);
        bytes.extend_from_slice(&self.node_id.0);
        bytes.put_point(self.cut);
        for file in &self.files {
            let name = file.name.to_string();
            bytes.put_u16(u16::try_from(name.len()).unwrap_or(u16::MAX));
            bytes.extend_from_slice(name.as_bytes());
            bytes.put_u64(file.size);
            bytes.put_u128(file.hash);
        }
        let crc = crc32c::crc32c(&bytes);
        bytes.put_u32(crc);
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Listing> {
        let corrupt = || Error::new(Reason::BackupCorrupt).with("bytes", bytes.len());
        let reader = codec::open_checked(bytes, MAGIC).map_err(|fault| fault.refusal(corrupt()))?;
        let listing = fields(reader).ok_or_else(corrupt)?;
        if listing.is_sound() { Ok(listing) } else { Err(corrupt().with("fault", "the files contradict each other")) }
    }

    fn is_sound(&self) -> bool {
        let names: Vec<String> = self.files.iter().map(|file| file.name.to_string()).collect();
        let ascending = names.iter().zip(names.iter().skip(1)).all(|(name, next)| name < next);
        let identity = self.files.first().is_some_and(|file| file.name == Name::Identity);
        let sector = self.files.first().is_some_and(|file| file.size == SECTOR_BYTES as u64);
        let manifest = self.files.iter().any(|file| file.name == Name::Manifest);
        let ends = self.segments().skip(1).map(|(first, _)| first).chain([self.cut.position]);
        let whole =
            self.segments().zip(ends).all(|((first, size), end)| first <= end && size == wal::offset(first, end));
        ascending && identity && sector && manifest && whole && self.segments().next().is_some()
    }

    /// Reads BACKUP of a directory.
    ///
    /// # Errors
    /// `backup.incomplete` when there is none, `backup.corrupt`, `identity.version`, `disk.read_failed`.
    pub(super) fn read(disk: &dyn Disk, backup: &Path) -> Result<Listing> {
        let path = backup.join(BACKUP_FILE);
        let bytes_max = FIXED_BYTES.saturating_add(ENTRY_BYTES_MAX.saturating_mul(limits::BACKUP_FILES_MAX));
        let bytes = disk::read_file(disk, &path, bytes_max)?;
        let bytes = bytes.ok_or_else(|| Error::new(Reason::BackupIncomplete).with("absent", path.display()))?;
        Listing::decode(&bytes).map_err(|error| error.with("file", path.display()))
    }

    /// Puts BACKUP in place; after this the directory is a backup.
    pub(super) fn write(&self, disk: &dyn Disk, backup: &Path) -> Result<()> {
        disk::replace_file(disk, &backup.join(BACKUP_FILE), &self.encode())
    }

    /// Proves the two small files, IDENTITY and MANIFEST, and that they are those of this backup; returns the identity.
    pub(super) fn check_contents(&self, disk: &dyn Disk, backup: &Path) -> Result<Identity> {
        let identity = self.read_identity(disk, backup)?;
        let manifest = Manifest::read(disk, &Store::directory(backup), self.database_id)
            .map_err(|error| as_backup(error, &Name::Manifest.path(backup)))?;
        let mut runs = manifest.plan.runs;
        runs.sort_unstable_by_key(|run| run.id.file_name());
        if manifest.point.position > self.cut.position || !self.runs().eq(runs) {
            return Err(Error::new(Reason::BackupCorrupt)
                .with("file", backup.join(BACKUP_FILE).display())
                .with("fault", "the manifest names other runs"));
        }
        Ok(identity)
    }

    fn read_identity(&self, disk: &dyn Disk, backup: &Path) -> Result<Identity> {
        let path = Name::Identity.path(backup);
        let entry = self.files.iter().find(|file| file.name == Name::Identity);
        let entry = entry.ok_or_else(|| Error::new(Reason::BackupCorrupt).with("file", path.display()))?;
        let mut bytes = Vec::new();
        copy::read_whole(disk, &path, entry.size, &mut |piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        })?
        .expect(entry, &path)?;
        let identity = Identity::decode(&bytes).map_err(|error| as_backup(error, &path))?;
        if (identity.database_id, identity.node_id) != (self.database_id, self.node_id) {
            return Err(Error::new(Reason::BackupCorrupt).with("file", path.display()).with("fault", "another node's"));
        }
        Ok(identity)
    }
}

impl Whole {
    /// Refuses what is not the file that was backed up.
    pub(super) fn expect(self, entry: &Entry, path: &Path) -> Result<()> {
        let corrupt = || Error::new(Reason::BackupCorrupt).with("file", path.display());
        match self {
            Whole::Hash(hash) if hash == entry.hash => Ok(()),
            Whole::Hash(hash) => Err(corrupt()
                .with("expected_hash", format_args!("{:032x}", entry.hash))
                .with("found_hash", format_args!("{hash:032x}"))),
            Whole::Size(size) => Err(corrupt().with("expected_bytes", entry.size).with("found_bytes", size)),
            Whole::Absent => Err(corrupt().with("fault", "absent")),
        }
    }
}

/// What is wrong with a file of a backup is wrong with the backup; what the disk says is not.
fn as_backup(error: Error, path: &Path) -> Error {
    let theirs = [Reason::StoreManifestCorrupt, Reason::IdentityCorrupt, Reason::IdentityOtherDatabase];
    if theirs.contains(&error.reason()) {
        return Error::new(Reason::BackupCorrupt).with("file", path.display()).with("fault", error);
    }
    error
}

fn fields(mut reader: Reader<'_>) -> Option<Listing> {
    let count = reader.len32()?;
    if count > limits::BACKUP_FILES_MAX {
        return None;
    }
    let (database_id, node_id, cut) = (Id(reader.array()?), Id(reader.array()?), reader.point()?);
    let mut files = Vec::new();
    for _ in 0..count {
        let name_len = usize::from(reader.u16()?);
        let name = Name::parse(std::str::from_utf8(reader.take(name_len)?).ok()?)?;
        files.push(Entry { name, size: reader.u64()?, hash: reader.u128()? });
    }
    reader.is_empty().then_some(Listing { database_id, node_id, cut, files })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commit_id::CommitId;
    use crate::position::History;

    fn example() -> Listing {
        let run = |first, last| Name::Run(RunId { level: 0, first: CommitId(first), last: CommitId(last) });
        let sizes = [
            (Name::Identity, 512),
            (run(1, 4), 900),
            (run(5, 9), 800),
            (Name::Manifest, 172),
            (Name::Segment(Position(64)), 512 + 36),
            (Name::Segment(Position(100)), 512),
        ];
        let files = sizes.map(|(name, size)| Entry { name, size, hash: u128::from(size) << 90 }).to_vec();
        let cut = LogPoint { position: Position(100), history: History(6), commit: CommitId(9) };
        Listing { database_id: Id([1; 16]), node_id: Id([2; 16]), cut, files }
    }

    /// FMT-BACKUP, D-CORRUPT
    #[test]
    fn listing_survives_encoding_and_every_flip_and_truncation_is_refused() {
        let bytes = example().encode();
        assert_eq!(Listing::decode(&bytes), Ok(example()));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Listing::decode(&flipped).unwrap_err().reason(), Reason::BackupCorrupt, "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert_eq!(Listing::decode(&bytes[..len]).unwrap_err().reason(), Reason::BackupCorrupt, "length {len}");
        }
    }

    /// FMT-BACKUP: a name is one of ours, so it leads nowhere else.
    #[test]
    fn a_name_that_this_program_does_not_make_is_refused() {
        for file in example().files {
            assert_eq!(Name::parse(&file.name.to_string()), Some(file.name));
        }
        for hostile in [
            "",
            "/",
            "..",
            "LOCK",
            "BACKUP",
            "wal/MARK",
            "/IDENTITY",
            "../IDENTITY",
            "store/../IDENTITY",
            "store//MANIFEST",
            "store/MANIFEST/",
            "store/MANIFEST.tmp",
            "/etc/passwd",
            "wal/../../../etc/00000000000000000000.seg",
            "wal/0.seg",
            "wal/00000000000000000000.seg/",
            "wal\\00000000000000000000.seg",
            "store/0-1-2.run",
            "store/00-00000000000000000001-00000000000000000004.run\0",
        ] {
            assert_eq!(Name::parse(hostile), None, "{hostile}");
        }
    }

    /// FMT-BACKUP: sizes and names that contradict each other, and numbers beyond their limits.
    #[test]
    fn a_listing_that_contradicts_itself_is_refused() {
        let refused = |change: &dyn Fn(&mut Listing)| {
            let mut listing = example();
            change(&mut listing);
            assert_eq!(Listing::decode(&listing.encode()).unwrap_err().reason(), Reason::BackupCorrupt);
        };
        for index in [0, 3] {
            refused(&|listing| {
                listing.files.remove(index);
            });
        }
        for index in 0..6 {
            refused(&|listing| listing.files.insert(index, listing.files[index]));
        }
        refused(&|listing| listing.files.swap(1, 2));
        refused(&|listing| listing.files.truncate(4));
        refused(&|listing| listing.files.clear());
        refused(&|listing| listing.files[0].size += 1);
        refused(&|listing| listing.files[4].size += 8);
        refused(&|listing| listing.files[5].size = u64::MAX);
        refused(&|listing| listing.cut.position = Position(99));
        let mut bytes = example().encode();
        bytes[12..16].copy_from_slice(&u32::MAX.to_le_bytes());
        let fields = bytes.len() - 4;
        let crc = crc32c::crc32c(&bytes[..fields]);
        bytes[fields..].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(Listing::decode(&bytes).unwrap_err().reason(), Reason::BackupCorrupt);
    }
}
