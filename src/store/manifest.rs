//! The manifest: the checkpoint (FMT-MANIFEST).
//!
//! It names the runs that hold everything up to a point of the log, and the merges that were decided and are not done. It is
//! replaced as a whole: written aside, fsynced, renamed, directory fsynced. It never waits for a merge. Nothing in it belongs to
//! the node alone: two nodes with the same log and no work left have the same bytes (R-DETERMINISM).

use super::plan::{Merge, Plan};
use super::run::{RunId, RunInfo};
use crate::codec::{self, Put, Reader};
use crate::commit_id::CommitId;
use crate::disk::{self, Disk};
use crate::error::{Error, Result};
use crate::identity::Id;
use crate::limits::{self, MANIFEST_BYTES_MAX};
use crate::position::LogPoint;
use crate::reason::Reason;
use std::path::Path;

const MAGIC: &[u8; 8] = b"AEROMANI";

/// The name of the manifest in `store/`.
pub const MANIFEST_FILE: &str = "MANIFEST";

/// A checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Whose store.
    pub database_id: Id,
    /// The runs hold everything up to here.
    pub point: LogPoint,
    /// The floor there.
    pub floor: CommitId,
    /// The runs, and the merges to come.
    pub plan: Plan,
}

impl Manifest {
    /// The manifest of an empty store at the beginning of a log.
    #[must_use]
    pub fn empty(database_id: Id, point: LogPoint) -> Manifest {
        Manifest { database_id, point, floor: CommitId::NONE, plan: Plan::default() }
    }

    /// The bytes of the file.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = codec::begin(MAGIC);
        bytes.put_u32(0);
        bytes.extend_from_slice(&self.database_id.0);
        bytes.put_point(self.point);
        bytes.put_u64(self.floor.0);
        bytes.put_len32(self.plan.runs.len());
        bytes.put_len32(self.plan.merges.len());
        for run in &self.plan.runs {
            bytes.put_u32(run.id.level);
            bytes.put_u32(0);
            bytes.put_u64(run.id.first.0);
            bytes.put_u64(run.id.last.0);
            bytes.put_u64(run.size);
            bytes.put_u128(run.hash);
        }
        for merge in &self.plan.merges {
            bytes.put_u32(merge.output.level);
            bytes.put_u32(0);
            bytes.put_u64(merge.output.first.0);
            bytes.put_u64(merge.output.last.0);
            bytes.put_u64(merge.floor.0);
        }
        let crc = crc32c::crc32c(&bytes);
        bytes.put_u32(crc);
        bytes
    }

    /// Reads the bytes of the file.
    ///
    /// # Errors
    /// `store.manifest_corrupt`, `identity.version`.
    pub fn decode(bytes: &[u8]) -> Result<Manifest> {
        let corrupt = || Error::new(Reason::StoreManifestCorrupt).with("bytes", bytes.len());
        let reader = codec::open_checked(bytes, MAGIC).map_err(|fault| fault.refusal(corrupt()))?;
        let manifest = fields(reader).ok_or_else(corrupt)?;
        let floors_hold = manifest.floor <= manifest.point.commit
            && manifest.plan.merges.iter().all(|merge| merge.floor <= manifest.floor);
        if floors_hold && manifest.plan.is_sound(manifest.point.commit) { Ok(manifest) } else { Err(corrupt().with("fault", "runs and merges contradict each other")) }
    }

    /// Reads the manifest of a store.
    ///
    /// # Errors
    /// `store.manifest_corrupt`, `identity.version`, `identity.other_database`, `disk.read_failed`.
    pub fn read(disk: &dyn Disk, directory: &Path, database_id: Id) -> Result<Manifest> {
        let path = directory.join(MANIFEST_FILE);
        let bytes = disk::read_file(disk, &path, MANIFEST_BYTES_MAX)?;
        let bytes = bytes.ok_or_else(|| {
            Error::new(Reason::StoreManifestCorrupt).with("file", path.display()).with("bytes", "absent")
        })?;
        let manifest = Manifest::decode(&bytes).map_err(|error| error.with("file", path.display()))?;
        if manifest.database_id != database_id {
            return Err(Error::new(Reason::IdentityOtherDatabase)
                .with("file", path.display())
                .with("expected", database_id)
                .with("found", manifest.database_id));
        }
        Ok(manifest)
    }

    /// Puts the manifest in place of the one before; after this the checkpoint is durable.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn write(&self, disk: &dyn Disk, directory: &Path) -> Result<()> {
        disk::replace_file(disk, &directory.join(MANIFEST_FILE), &self.encode())
    }
}

fn fields(mut reader: Reader<'_>) -> Option<Manifest> {
    if reader.u32()? != 0 {
        return None;
    }
    let database_id = Id(reader.array()?);
    let point = reader.point()?;
    let floor = CommitId(reader.u64()?);
    let run_count = reader.len32()?;
    let merge_count = reader.len32()?;
    if run_count > limits::MANIFEST_RUNS_MAX || merge_count > limits::MANIFEST_RUNS_MAX {
        return None;
    }
    let mut plan = Plan::default();
    for _ in 0..run_count {
        let id = run_id(&mut reader)?;
        plan.runs.push(RunInfo { id, size: reader.u64()?, hash: reader.u128()? });
    }
    for _ in 0..merge_count {
        let output = run_id(&mut reader)?;
        plan.merges.push(Merge { output, floor: CommitId(reader.u64()?) });
    }
    reader.is_empty().then_some(Manifest { database_id, point, floor, plan })
}

fn run_id(reader: &mut Reader<'_>) -> Option<RunId> {
    let level = reader.u32()?;
    if reader.u32()? != 0 {
        return None;
    }
    Some(RunId { level, first: CommitId(reader.u64()?), last: CommitId(reader.u64()?) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::SimDisk;
    use crate::position::{History, Position};

    fn example() -> Manifest {
        let point = LogPoint { position: Position(4096), history: History(3), commit: CommitId(9) };
        let mut manifest = Manifest::empty(Id([4; 16]), point);
        manifest.floor = CommitId(2);
        for (first, last) in [(1, 3), (4, 6), (7, 9)] {
            let id = RunId { level: 0, first: CommitId(first), last: CommitId(last) };
            manifest.plan.add(RunInfo { id, size: 100 + first, hash: u128::from(last) << 70 }, CommitId(2), 2);
        }
        manifest
    }

    /// FMT-MANIFEST
    #[test]
    fn manifest_survives_encoding_and_every_flip_and_truncation_is_refused() {
        let manifest = example();
        assert_eq!(manifest.plan.merges.len(), 1);
        let bytes = manifest.encode();
        assert_eq!(Manifest::decode(&bytes), Ok(manifest));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Manifest::decode(&flipped).unwrap_err().reason(), Reason::StoreManifestCorrupt, "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert!(Manifest::decode(&bytes[..len]).is_err(), "length {len}");
        }
    }

    /// D-CORRUPT: it is not read whole, which shows in the bytes that the refusal counts, and is refused as a manifest.
    #[test]
    fn of_a_file_that_is_longer_than_any_manifest_one_byte_too_many_is_read() {
        let disk = SimDisk::new();
        disk.overwrite(Path::new("/MANIFEST"), vec![0; MANIFEST_BYTES_MAX + (1 << 20)]);
        let refusal = Manifest::read(&disk, Path::new("/"), Id([4; 16])).unwrap_err();
        assert_eq!(refusal.reason(), Reason::StoreManifestCorrupt);
        assert_eq!(refusal.fact("file"), Some("/MANIFEST"));
        assert_eq!(refusal.fact("bytes"), Some((MANIFEST_BYTES_MAX + 1).to_string().as_str()));
    }

    /// FMT-MANIFEST: the longest manifest is read; one more run, or one more merge, is refused, however short the file is.
    #[test]
    fn a_manifest_names_no_more_runs_and_no_more_merges_than_may_be() {
        let named = |runs: usize, merges: usize| {
            let commit = |number: usize| CommitId(number as u64);
            let run = |number| RunId { level: 0, first: commit(number), last: commit(number) };
            let merge = Merge { output: RunId { level: 1, ..run(1) }, floor: CommitId::NONE };
            let mut manifest = Manifest::empty(Id([4; 16]), LogPoint { commit: commit(runs), ..LogPoint::default() });
            manifest.plan.runs = (1..=runs).map(|number| RunInfo { id: run(number), size: 1, hash: 1 }).collect();
            manifest.plan.merges = vec![merge; merges];
            let bytes = manifest.encode();
            (bytes.len(), Manifest::decode(&bytes).map(|_| ()).map_err(|refusal| refusal.reason()))
        };
        let most = limits::MANIFEST_RUNS_MAX;
        assert_eq!(named(most, most), (MANIFEST_BYTES_MAX, Ok(())));
        assert_eq!(named(most + 1, 1).1, Err(Reason::StoreManifestCorrupt));
        assert_eq!(named(1, most + 1).1, Err(Reason::StoreManifestCorrupt));
    }

    #[test]
    fn a_manifest_whose_runs_leave_a_hole_is_refused() {
        let mut manifest = example();
        manifest.plan.runs.remove(1);
        assert_eq!(Manifest::decode(&manifest.encode()).unwrap_err().reason(), Reason::StoreManifestCorrupt);
    }

    /// M-FLOOR: a merge above the floor would drop what a view at the floor sees.
    #[test]
    fn a_manifest_with_a_merge_above_its_floor_is_refused() {
        let mut manifest = example();
        manifest.plan.merges[0].floor = manifest.floor.next();
        assert_eq!(Manifest::decode(&manifest.encode()).unwrap_err().reason(), Reason::StoreManifestCorrupt);
    }
}
