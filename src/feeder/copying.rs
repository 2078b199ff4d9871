//! The snapshot that is sent to one replica: what it consists of, and what of it comes next (SNAP-CUT).
//!
//! It is the checkpoint as it is on the disk: the runs that the manifest names, and the log of the segment that holds the cut, up to the cut. All
//! of it is one row of bytes, and a place is an offset in it. Nothing is copied or held for it but a chunk at a time.
//!
//! Assumes that chunks are asked for in order. Promises: what is sent is what the manifest names, and log that goes on at the cut; where that
//! can't be kept any more, `snapshot.gone` before a further chunk (SNAP-PIN).

use super::source::{Segment, Source};
use crate::error::{Error, Result};
use crate::frame::{self, CHUNK_HEAD_BYTES, Frame};
use crate::limits;
use crate::position::LogPoint;
use crate::reason::Reason;
use crate::store::Checkpoint;
use crate::sync::planted;
use crate::wal::Extent;

/// A snapshot that is sent.
pub(super) struct Copying {
    checkpoint: Checkpoint,
    cut: LogPoint,
    /// The log before the segment that holds the cut.
    segment: LogPoint,
    /// Bytes of all.
    bytes: u64,
    /// Everything before was handed out.
    next: u64,
    /// The end of what was asked for.
    upto: u64,
    /// The run that is sent, and where it begins; behind the last one, the log.
    run: (usize, u64),
    /// The segment, once its bytes are sent.
    file: Option<Segment>,
}

impl Copying {
    /// Pins the checkpoint of this moment.
    ///
    /// # Errors
    /// `snapshot.gone`, what halted the node, and those of the log and of the disk.
    pub(super) fn begin(source: &Source, extent: &Extent) -> Result<Copying> {
        let checkpoint = source.store().pin_checkpoint()?;
        let cut = checkpoint.manifest().point;
        if cut.position > extent.durable.position {
            // It was made since the log was looked at: the next look finds both.
            return Err(Error::new(Reason::ReplicationBusy).with("cut", cut).with("durable", extent.durable));
        }
        let segment = source.segment_start(cut.position, extent).map_err(|error| gone(error, cut))?;
        let runs: u64 = checkpoint.manifest().plan.runs.iter().map(|run| run.size).sum();
        let bytes = runs + cut.position.since(segment.position);
        Ok(Copying { checkpoint, cut, segment, bytes, next: 0, upto: 0, run: (0, 0), file: None })
    }

    /// What it consists of.
    pub(super) fn manifest(&self) -> frame::Manifest {
        let manifest = self.checkpoint.manifest().encode();
        frame::Manifest { cut: self.cut, segment: self.segment, bytes: self.bytes, manifest }
    }

    /// Takes an allowance; whether it is one (WIRE-SNAPSHOT).
    pub(super) fn allow(&mut self, snapshot: frame::Snapshot) -> bool {
        let continues = snapshot.from == self.upto && (snapshot.from < self.bytes || snapshot.from == 0);
        if continues {
            self.upto = snapshot.upto;
        }
        continues
    }

    /// Everything before this place was handed out.
    pub(super) fn sent(&self) -> u64 {
        self.next
    }

    /// The end of what was asked for.
    pub(super) fn asked(&self) -> u64 {
        self.upto
    }

    /// Bytes of the whole snapshot.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether there is something to be sent.
    pub(super) fn is_due(&self) -> bool {
        self.next < self.upto.min(self.bytes)
    }

    /// Whether all of it was handed out.
    pub(super) fn is_complete(&self) -> bool {
        self.next >= self.bytes
    }

    /// Whether it can still be sent, and be followed by the log behind its cut (SNAP-PIN).
    ///
    /// # Errors
    /// `snapshot.gone`.
    pub(super) fn check(&self, source: &Source, extent: &Extent) -> Result<()> {
        let oldest = extent.oldest.max(source.oldest());
        if oldest > self.cut.position && !planted("nobody looks whether a snapshot is gone") {
            return Err(Error::new(Reason::SnapshotGone).with("cut", self.cut).with("oldest", oldest));
        }
        self.checkpoint.check()
    }

    /// The next bytes that were asked for, at most so many: of one file, with their checksum.
    ///
    /// # Errors
    /// `snapshot.gone`, and those of the files.
    pub(super) fn chunk(&mut self, source: &Source, extent: &Extent, most: usize) -> Result<Vec<u8>> {
        self.check(source, extent)?;
        let left = self.upto.min(self.bytes).saturating_sub(self.next);
        let most = most.min(limits::REPLICA_OUTPUT_BYTES - CHUNK_HEAD_BYTES).min(limits::CHUNK_BYTES_MAX);
        let left = usize::try_from(left).unwrap_or(usize::MAX).min(most);
        let (run, begins) = self.run;
        let of_run = self.checkpoint.manifest().plan.runs.get(run).map(|run| begins + run.size);
        let end = of_run.unwrap_or(self.bytes);
        let bytes = usize::try_from(end - self.next).unwrap_or(usize::MAX).min(left);
        let mut chunk = vec![0; CHUNK_HEAD_BYTES + bytes];
        let (from, offset) = (self.next, self.next - begins);
        if of_run.is_some() {
            self.checkpoint.copy_at(run, offset, &mut chunk[CHUNK_HEAD_BYTES..])?;
        } else {
            self.copy_log(source, extent, offset, &mut chunk[CHUNK_HEAD_BYTES..])?;
        }
        let mut head = Vec::with_capacity(CHUNK_HEAD_BYTES);
        let crc = crc32c::crc32c(&chunk[CHUNK_HEAD_BYTES..]);
        Frame::Chunk(frame::Chunk { from, bytes, crc }).encode(&mut head);
        chunk[..CHUNK_HEAD_BYTES].copy_from_slice(&head);
        self.next += bytes as u64;
        if self.next == end && of_run.is_some() {
            self.run = (run + 1, end);
        }
        Ok(chunk)
    }

    /// Copies log of the segment that holds the cut, from so far behind its first position.
    fn copy_log(&mut self, source: &Source, extent: &Extent, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let position = self.segment.position.after(offset);
        let segment = match self.file.take() {
            Some(segment) => segment,
            None => source.segment_at(position, extent).map_err(|error| gone(error, self.cut))?,
        };
        segment.copy_at(position, buffer)?;
        self.file = Some(segment);
        Ok(())
    }
}

/// Where the log of a snapshot was dropped, it is the snapshot that is gone.
fn gone(error: Error, cut: LogPoint) -> Error {
    match error.fact("oldest").map(str::to_owned) {
        Some(oldest) if error.reason() == Reason::HistoryRetired => {
            Error::new(Reason::SnapshotGone).with("cut", cut).with("oldest", oldest)
        }
        _ => error,
    }
}
