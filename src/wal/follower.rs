//! The log of a replica: bytes as they are received, durable first and proven later (F-R1, F-R2).
//!
//! ```text
//! write, write, write …   received bytes go to the newest segment, behind those before; nothing is durable
//! sync                    one fdatasync for all of them, then the mark, without an fsync: they are received
//! prove                   the Validator's word: up to here they are log
//! roll                    what is proven ends with a Seal: the file is cut, the next one begins
//! drop_unproven           what is received and not proven is blank again, durably: received is where the proof ended
//! ```
//!
//! Laws, asserted where the positions move: `mark.durable ≤ validated ≤ received ≤ written` (REPL-POSITIONS). Bytes are in the file before
//! they are counted, and proven before the mark covers them, so whatever the mark covers must prove itself after any crash, and what
//! lies above it is proven or dropped at a restart (`open.rs`).
//!
//! A segment ends where the log says so, never by a length of this node's. The next one begins with a header made of the proven point, by the
//! code of the writer (REPL-SEGMENT): sealed segments are the primary's, byte for byte (P5-I4).
//!
//! Blank space is for speed alone here. Log that trickles in finds it ahead, so that its fdatasync needs no metadata; log that comes in
//! bulk makes the file grow, so that no byte is written twice.
//!
//! The first failed write or fsync poisons the log for good (D-FSYNC, F-D2): every later call is refused with the failure as evidence.
//!
//! Owned by one thread: the Receiver. It knows positions and no records: that the last proven record is a `Seal` is for its caller to know.

use super::mark::Mark;
use super::segment::offset;
use super::writer::LogWriter;
use crate::error::{Error, Result};
use crate::position::{LogPoint, Position};
use crate::sync::planted;

/// What arrived between two syncs is a trickle if it is shorter than this part of a stretch.
const TRICKLE_PER_STRETCH: u64 = 4;

/// The log of a replica.
pub struct FollowedLog {
    /// Its `appended` is the validated point: further the mark can't go.
    log: LogWriter,
    received: Position,
    written: Position,
}

impl FollowedLog {
    /// Goes on with a log that was opened for a follower: all of it is proven.
    #[must_use]
    pub fn new(log: LogWriter) -> FollowedLog {
        let end = log.appended();
        assert_eq!(log.durable(), end, "an opened log is durable");
        FollowedLog { log, received: end.position, written: end.position }
    }

    /// Everything before it is in the files, fsynced.
    #[must_use]
    pub fn received(&self) -> Position {
        self.received
    }

    /// Everything before it is in the files, perhaps not fsynced.
    #[must_use]
    pub fn written(&self) -> Position {
        self.written
    }

    /// Everything before it is proven, as last told.
    #[must_use]
    pub fn validated(&self) -> LogPoint {
        self.log.appended()
    }

    /// The oldest position that is kept.
    #[must_use]
    pub fn oldest(&self) -> Position {
        self.log.oldest()
    }

    /// The failure that ended writing, if one did.
    #[must_use]
    pub fn fault(&self) -> Option<&Error> {
        self.log.fault()
    }

    /// Writes the next bytes of the log behind those before, all of one segment. They are durable with the next `sync`.
    ///
    /// # Errors
    /// Those of the disk; after the first, `replication.stopped`.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.log.refuse_if_stopped()?;
        let at = offset(self.log.mark.segment, self.written);
        let outcome = self.log.segment.write_at(at, bytes);
        self.log.keep_fault(outcome)?;
        self.written = self.written.after(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        Ok(())
    }

    /// Makes all that was written durable, with one fdatasync, and then has the mark say what is proven. Returns the received position.
    ///
    /// # Errors
    /// Those of the disk; after the first, `replication.stopped`. What was written may or may not be there after a restart.
    pub fn sync(&mut self) -> Result<Position> {
        self.log.refuse_if_stopped()?;
        let outcome = self.sync_written();
        self.log.keep_fault(outcome)?;
        Ok(self.received)
    }

    /// The Validator has proven everything before this point.
    pub fn prove(&mut self, point: LogPoint) {
        let validated = self.validated();
        assert!(validated.position <= point.position, "{validated} was proven, and now {point}");
        assert!(validated.position < point.position || validated == point, "{point} is not the proven {validated}");
        assert!(point.position <= self.received, "{point} was proven before it was received");
        self.log.appended = point;
    }

    /// Ends the segment, whose last record is a `Seal`, and begins the next one behind the proven point.
    ///
    /// # Errors
    /// Those of the disk; after the first, `replication.stopped`.
    pub fn roll(&mut self) -> Result<()> {
        self.log.refuse_if_stopped()?;
        assert_eq!(self.written, self.received, "a segment ends where everything is durable");
        assert_eq!(self.received, self.validated().position, "a segment ends where everything is proven");
        assert!(self.log.mark.segment < self.received, "a segment holds a record");
        let outcome = self.mark_proven(self.log.mark.allocated).and_then(|()| self.log.roll());
        self.log.keep_fault(outcome)
    }

    /// Drops what was received and is not proven, durably: nothing of it is left when the next byte is written (REPL-AFRESH).
    ///
    /// # Errors
    /// Those of the disk; after the first, `replication.stopped`. What was to be dropped may or may not be there after a restart.
    pub fn drop_unproven(&mut self) -> Result<()> {
        self.log.refuse_if_stopped()?;
        assert_eq!(self.written, self.received, "only what is durable is dropped");
        let from = self.validated().position;
        let outcome = self.log.blank(from, self.received).and_then(|()| self.log.segment.sync_data());
        self.log.keep_fault(outcome)?;
        (self.received, self.written) = (from, from);
        Ok(())
    }

    /// Removes sealed segments that end at or before `keep_from`, oldest first, and at most so many; says whether there are more.
    ///
    /// # Errors
    /// Those of the disk; after the first, `replication.stopped`.
    pub fn retire(&mut self, keep_from: Position, most: usize) -> Result<bool> {
        self.log.retire(keep_from, most)
    }

    /// Makes everything durable that was written, and the mark, so that even a power cut leaves it exact.
    ///
    /// # Errors
    /// Those of the disk; after the first, `replication.stopped`.
    pub fn close(&mut self) -> Result<()> {
        self.sync()?;
        self.log.sync_mark()
    }

    fn sync_written(&mut self) -> Result<()> {
        let mut allocated = self.log.mark.allocated;
        if self.written > self.received {
            if self.written > allocated {
                allocated = self.space_behind_written();
                if !planted("the mark names space that is not there") {
                    self.log.blank(self.written, allocated)?;
                }
            }
            if !planted("log counts as received before it is durable") {
                self.log.segment.sync_data()?;
            }
            self.received = self.written;
        }
        self.mark_proven(allocated)
    }

    /// How far the newest segment is to be filled: to the end of the stretch where log trickles, no further than the log where it comes in
    /// bulk.
    fn space_behind_written(&self) -> Position {
        let trickle = self.log.options.extend_bytes.checked_div(TRICKLE_PER_STRETCH).unwrap_or(0);
        if self.written.since(self.received) < trickle { self.log.stretch(self.written) } else { self.written }
    }

    /// Has the mark say what is proven, and how far the newest segment is durably filled.
    fn mark_proven(&mut self, allocated: Position) -> Result<()> {
        assert!(self.validated().position <= self.received, "the mark is never ahead of what was received");
        let mark = Mark { allocated, durable: self.validated(), ..self.log.mark };
        if mark == self.log.mark { Ok(()) } else { self.log.write_mark(mark) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::mark::MARK_FILE;
    use super::super::{Keeper, Lineage, LogOptions, blank, open, segment};
    use super::*;
    use crate::disk::{Crash, SimDisk};
    use crate::identity::Id;
    use crate::record::{self, Kind, genesis};
    use crate::sync::Arc;
    use std::path::{Path, PathBuf};

    const LINEAGE: Lineage = Lineage { database_id: Id([7; 16]), epoch: 1 };
    const SEED: u64 = 99;
    const STRETCH: u64 = 1024;

    fn path(first: Position) -> PathBuf {
        Path::new("/wal").join(segment::file_name(first))
    }

    fn followed() -> (SimDisk, FollowedLog) {
        let disk = SimDisk::new();
        let options = LogOptions {
            disk: Arc::new(disk.clone()),
            directory: "/wal".into(),
            lineage: LINEAGE,
            keeper: Keeper::Follower,
            segment_bytes: 1 << 20,
            extend_bytes: STRETCH,
        };
        LogWriter::create(&options, SEED).unwrap();
        options.disk.sync_dir(Path::new("/")).unwrap();
        let start = genesis(LINEAGE.database_id, LINEAGE.epoch);
        let (log, _) = open(options, start, &mut |_, _| Ok(())).unwrap();
        (disk, FollowedLog::new(log))
    }

    /// Some records, each with the point behind it; the last is a `Seal`.
    fn records() -> Vec<(Vec<u8>, LogPoint)> {
        let mut point = genesis(LINEAGE.database_id, LINEAGE.epoch);
        let kinds = [(Kind::Floor, 8), (Kind::Floor, 8), (Kind::Seal, 0)];
        let encode = |(kind, payload): (Kind, usize)| {
            let mut bytes = Vec::new();
            point = record::encode(&mut bytes, kind, &vec![0; payload], point);
            (bytes, point)
        };
        kinds.into_iter().map(encode).collect()
    }

    fn marked(disk: &SimDisk) -> Mark {
        Mark::decode(&disk.contents(&Path::new("/wal").join(MARK_FILE)).unwrap()).unwrap()
    }

    /// FMT-BLANK: a trickle finds space ahead and costs one fdatasync; a bulk makes the file grow by no more than itself.
    #[test]
    fn a_trickle_finds_blank_space_and_a_bulk_is_written_once() {
        let (disk, mut log) = followed();
        let first = Position::GENESIS;
        let mut receive = |len: usize| {
            let operations = disk.operations();
            log.write(&vec![1; len]).unwrap();
            let received = log.sync().unwrap();
            let file = disk.contents(&path(first)).unwrap();
            let mut expected = vec![1; received.0 as usize];
            let behind = file.len() - 512 - expected.len();
            let mut space = vec![0; (received.0 % 8) as usize + behind];
            blank::fill(SEED, Position(received.0 & !7), &mut space);
            expected.extend_from_slice(&space[(received.0 % 8) as usize..]);
            assert!(file[512..] == expected, "behind {received} there is only blank");
            assert_eq!(marked(&disk).allocated, first.after(file.len() as u64 - 512), "the mark knows of the space");
            (received.0, behind as u64, disk.operations() - operations)
        };
        // In the space that the segment began with, then into the next stretch: a write, the blank, the fdatasync, the mark.
        assert_eq!(receive(1001), (1001, 23, 2));
        assert_eq!(receive(100), (1101, 2048 - 1101, 4));
        assert_eq!(receive(3), (1104, 2048 - 1104, 2));
        // A bulk, and more of it: a write, the fdatasync, the mark.
        assert_eq!(receive(2000), (3104, 0, 3));
        assert_eq!(receive(256), (3360, 0, 3));
        assert_eq!(receive(255), (3615, 4096 - 3615, 4));
    }

    /// REPL-POSITIONS, FMT-MARK: what is proven is marked with the next sync, and durably so by closing.
    #[test]
    fn the_mark_follows_the_proof_and_is_never_ahead_of_it() {
        let (disk, mut log) = followed();
        let [(first, one), (second, two), _] = &records()[..] else { unreachable!() };
        let start = log.validated();
        log.write(first).unwrap();
        log.write(second).unwrap();
        assert_eq!((log.written(), log.received(), marked(&disk).durable), (two.position, start.position, start));
        log.sync().unwrap();
        assert_eq!((log.received(), log.validated(), marked(&disk).durable), (two.position, start, start));
        log.prove(*one);
        assert_eq!((log.validated(), marked(&disk).durable), (*one, start));
        log.sync().unwrap();
        assert_eq!(marked(&disk).durable, *one);
        assert_eq!(marked(&disk.image().crash(Crash::Dropped, 0)).durable, start, "a sync of log costs one fsync");
        log.prove(*two);
        log.close().unwrap();
        assert_eq!(marked(&disk.image().crash(Crash::Dropped, 0)).durable, *two);
    }

    /// REPL-AFRESH: what is dropped is blank on the platter when the drop returns, and what is proven is where it was; then it goes on there.
    #[test]
    fn what_is_received_and_not_proven_is_dropped_durably() {
        let (disk, mut log) = followed();
        let [(first, one), (second, two), _] = &records()[..] else { unreachable!() };
        log.write(first).unwrap();
        log.write(&vec![0x5a; 3001]).unwrap();
        log.sync().unwrap();
        log.prove(*one);
        log.drop_unproven().unwrap();
        assert_eq!((log.validated(), log.received(), log.written()), (*one, one.position, one.position));
        let file = disk.image().crash(Crash::Dropped, 0).contents(&path(Position::GENESIS)).unwrap();
        let (proven, behind) = file[512..].split_at(one.position.0 as usize);
        let mut blank = vec![0; behind.len()];
        blank::fill(SEED, one.position, &mut blank);
        assert!(proven == first && behind == blank, "behind {one} there is only blank");

        log.write(second).unwrap();
        log.sync().unwrap();
        log.prove(*two);
        log.close().unwrap();
        let file = disk.image().crash(Crash::Dropped, 0).contents(&path(Position::GENESIS)).unwrap();
        assert_eq!(file[512..][..two.position.0 as usize], [&first[..], second].concat());
    }

    /// REPL-SEGMENT: the file ends with the `Seal`, and the next begins with the proven point; the oldest may be retired then.
    #[test]
    fn a_segment_ends_and_begins_at_the_proven_point() {
        let (disk, mut log) = followed();
        let records = records();
        for (bytes, _) in &records {
            log.write(bytes).unwrap();
        }
        log.sync().unwrap();
        let end = records[2].1;
        log.prove(end);
        assert!(!log.retire(end.position, 1).unwrap(), "the newest is kept");
        log.roll().unwrap();
        let sealed: Vec<u8> = records.iter().flat_map(|(bytes, _)| bytes.clone()).collect();
        assert_eq!(disk.contents(&path(Position::GENESIS)).unwrap()[512..], sealed);
        assert_eq!(disk.contents(&path(end.position)).unwrap()[..512], segment::encode_header(LINEAGE, end));
        let mark = marked(&disk.image().crash(Crash::Dropped, 0));
        assert_eq!((mark.segment, mark.durable), (end.position, end), "the mark names the segment before it is used");
        assert_eq!(log.oldest(), Position::GENESIS);
        assert!(!log.retire(end.position, 1).unwrap());
        assert_eq!((log.oldest(), disk.contents(&path(Position::GENESIS))), (end.position, None));
        assert_eq!(log.fault(), None);
    }

    fn received() -> FollowedLog {
        let (_, mut log) = followed();
        let [(first, _), (second, _), _] = &records()[..] else { unreachable!() };
        log.write(first).unwrap();
        log.sync().unwrap();
        log.write(second).unwrap();
        log
    }

    /// REPL-POSITIONS
    #[test]
    #[should_panic(expected = "before it was received")]
    fn nothing_is_proven_that_was_not_received() {
        received().prove(records()[1].1);
    }

    /// REPL-POSITIONS
    #[test]
    #[should_panic(expected = "was proven, and now")]
    fn the_proof_never_goes_back() {
        let mut log = received();
        let start = log.validated();
        log.prove(records()[0].1);
        log.prove(start);
    }

    /// P5-I4
    #[test]
    #[should_panic(expected = "is not the proven")]
    fn nothing_is_proven_twice_in_two_ways() {
        let mut log = received();
        let start = log.validated();
        log.prove(LogPoint { commit: start.commit.next(), ..start });
    }

    /// REPL-SEGMENT
    #[test]
    #[should_panic(expected = "where everything is durable")]
    fn no_segment_ends_before_all_of_it_is_received() {
        let mut log = received();
        log.prove(records()[0].1);
        let _ = log.roll();
    }

    /// REPL-SEGMENT
    #[test]
    #[should_panic(expected = "where everything is proven")]
    fn no_segment_ends_before_all_of_it_is_proven() {
        let mut log = received();
        log.sync().unwrap();
        log.prove(records()[0].1);
        let _ = log.roll();
    }
}
