//! A follower's log in a small world: the log of a generated primary, a replica's directory that is fed with it, and what its files
//! must be.
//!
//! The oracle is the primary's log, read by a cursor; what a reader must see is the fold of its commits.

use super::script::{self, BASE, Plan, Shape, Step};
use super::{DIR, Dice, Writes, fold, init_options, listing, options, rows_at, shared};
use aerodb::committer::{Order, Retention};
use aerodb::disk::{SimDisk, SimImage};
use aerodb::wal::{self, FollowedLog, Inspection, Keeper, Lineage, LogCursor, LogOptions, LogReport};
use aerodb::{Id, Init, LogPoint, Node, Options, Parameters, Position, Result, Role};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub const EPOCH: u64 = 1;
pub const DATABASE: Id = Id([0xdb; 16]);
pub const BLANK_SEED: u64 = 0xf011_0ed5;
pub const SEGMENT_HEADER: usize = wal::SEGMENT_HEADER_BYTES as usize;

/// Everything about small segments happens soon; a record of 1,700 bytes is several sectors, and three to a segment.
pub const SMALL: Shape = Shape {
    seed: 21,
    groups: 34,
    value_max: 500,
    parameters: Parameters { segment_bytes: 4096, table_bytes: 4096, block_bytes: 256, fanout: 2 },
    retention: Retention::All,
    ..BASE
};

pub struct Segment {
    pub first: u64,
    pub end: u64,
    /// The whole file, without blank.
    pub file: Vec<u8>,
}

/// What a follower is fed, and held against.
pub struct Primary {
    pub shape: Shape,
    /// Oldest first; all but the last are sealed.
    pub segments: Vec<Segment>,
    /// The points between records.
    pub points: BTreeMap<u64, LogPoint>,
    pub commits: Vec<Writes>,
}

impl Primary {
    pub fn new(shape: Shape) -> Primary {
        let disk = SimDisk::new();
        let options = Options { retention: Retention::All, ..options(&disk) };
        Node::init(&Init { role: Role::Primary, ..init_options(&disk, shape.parameters) }).unwrap();
        let mut node = Node::open(&options).unwrap();
        let mut plans: Vec<Plan> = Vec::new();
        for step in script::script(shape) {
            match step {
                Step::Group(group) => {
                    let orders: Vec<Order> = group.iter().map(Plan::order).collect();
                    assert!(node.group(&orders).unwrap().iter().all(Result::is_ok));
                    plans.extend(group);
                }
                Step::Checkpoint(purpose) => drop(node.checkpoint(purpose).unwrap()),
                Step::Maintain(_) | Step::Reopen => {}
            }
        }
        let (end, directory) = (node.durable(), wal::directory(Path::new(DIR)));
        let lineage = Lineage { database_id: DATABASE, epoch: EPOCH };
        let mut cursor = LogCursor::open(shared(&disk), &directory, lineage, Position(0), end).unwrap();
        let mut points = BTreeMap::from([(0, cursor.point())]);
        while let Some((record, _)) = cursor.next_record().unwrap() {
            points.insert(record.after.position.0, record.after);
        }
        let firsts: Vec<u64> = disk
            .paths()
            .iter()
            .filter_map(|path| wal::parse_name(path.file_name()?.to_str()?))
            .map(|first| first.0)
            .collect();
        let ends = firsts.iter().skip(1).copied().chain([end.position.0]);
        let segment = |(first, end): (&u64, u64)| {
            let mut file = disk.contents(&path(*first)).unwrap();
            file.truncate(SEGMENT_HEADER + (end - first) as usize);
            Segment { first: *first, end, file }
        };
        let segments: Vec<Segment> = firsts.iter().zip(ends).map(segment).collect();
        assert!(segments.len() > 3, "{} segments", segments.len());
        Primary { shape, segments, points, commits: script::commits(&plans) }
    }

    pub fn end(&self) -> u64 {
        self.segments.last().unwrap().end
    }

    /// The last point at or before this position.
    pub fn whole(&self, position: u64) -> LogPoint {
        *self.points.range(..=position).next_back().unwrap().1
    }

    /// The segment in which log goes on at a position.
    pub fn segment_at(&self, position: u64) -> usize {
        self.segments.iter().rposition(|segment| segment.first <= position).unwrap()
    }

    /// A follower's directory, new.
    pub fn new_replica(&self) -> SimDisk {
        let disk = SimDisk::new();
        let init = init_options(&disk, self.shape.parameters);
        let node_id = Some(Id([0xf0; 16]));
        Node::init(&Init { role: Role::Replica, node_id, blank_seed: Some(BLANK_SEED), ..init }).unwrap();
        disk
    }

    pub fn log_options(&self, disk: &SimDisk) -> LogOptions {
        LogOptions {
            disk: shared(disk),
            directory: wal::directory(Path::new(DIR)),
            lineage: Lineage { database_id: DATABASE, epoch: EPOCH },
            keeper: Keeper::Follower,
            segment_bytes: self.shape.parameters.segment_bytes,
            extend_bytes: 1024,
        }
    }

    /// Opens a follower's log; whatever is replayed is held against the primary's.
    pub fn open(&self, disk: &SimDisk) -> Result<(Replica<'_>, LogReport)> {
        let mut at = self.points[&0];
        let opened = wal::open(self.log_options(disk), at, &mut |record, _| {
            assert_eq!(record.before, at, "replay goes on where it stood");
            at = record.after;
            assert_eq!(self.points.get(&at.position.0), Some(&at), "replay is of the primary's log");
            Ok(())
        });
        let (writer, report) = opened?;
        assert_eq!(at, report.end, "all of the log is replayed, and nothing else");
        let log = FollowedLog::new(writer);
        assert_eq!((log.validated(), log.received(), log.written()), (at, at.position, at.position));
        Ok((Replica { primary: self, current: self.segment_at(at.position.0), log }, report))
    }

    /// Feeds a new follower to the end; the images, and what must be found in each.
    pub fn feed(&self, seed: u64) -> Vec<(SimImage, Moment)> {
        let disk = self.new_replica();
        let (mut replica, _) = self.open(&disk).unwrap();
        let mut dice = Dice(seed);
        let mut images = Vec::new();
        disk.record_images(true);
        while !replica.is_done() {
            let before = replica.log.received().0;
            replica.step(&mut dice).unwrap();
            let written = replica.log.written().0;
            let taken = disk.take_images();
            let last = taken.len().wrapping_sub(1);
            for (index, image) in taken.into_iter().enumerate() {
                let received = if index == last { replica.log.received().0 } else { before };
                images.push((image, Moment { received, written }));
            }
        }
        replica.log.close().unwrap();
        let received = self.end();
        images.extend(disk.take_images().into_iter().map(|image| (image, Moment { received, written: received })));
        images
    }

    pub fn inspect(&self, disk: &SimDisk) -> Result<Inspection> {
        wal::inspect(&self.log_options(disk), self.points[&0], &mut |_| Ok(()))
    }

    /// Holds the files of a follower against the primary's: byte for byte up to `end`, and only blank behind it.
    pub fn check_files(&self, disk: &SimDisk, end: LogPoint, what: &dyn Fn() -> String) {
        let newest = self.segment_at(end.position.0);
        for (index, segment) in self.segments.iter().enumerate().take(newest + 1) {
            let file = disk.contents(&path(segment.first)).unwrap_or_else(|| panic!("{}: {index} is missing", what()));
            if index < newest {
                assert!(file == segment.file, "{}: segment {index} is not the primary's", what());
                continue;
            }
            let held = SEGMENT_HEADER + (end.position.0 - segment.first) as usize;
            assert!(file[..held] == segment.file[..held], "{}: the newest segment is not the primary's", what());
            let blank = (end.position.0..).step_by(8).flat_map(blank_word);
            assert!(file[held..].iter().copied().eq(blank.take(file.len() - held)), "{}: not only blank", what());
        }
        let segments = wal_files(disk).len() - 1;
        assert_eq!(segments, newest + 1, "{}: a segment too many\n{}", what(), listing(disk));
    }

    /// Holds a disk, as a crash left it, against the primary: at least the whole records before `least`, at most those before `most`.
    /// Returns the end of the log, and the images of the recovery.
    pub fn check(
        &self,
        disk: &SimDisk,
        least: u64,
        most: u64,
        what: &dyn Fn() -> String,
    ) -> (LogReport, Vec<SimImage>) {
        let seen = self.inspect(disk).unwrap_or_else(|error| panic!("{}: inspecting: {error}", what()));
        disk.record_images(true);
        let opened = self.open(disk);
        let images = disk.take_images();
        let (mut replica, report) = match opened {
            Ok(opened) => opened,
            Err(error) => panic!("{}: a crash was refused: {error}\n{}", what(), listing(disk)),
        };
        let end = report.end;
        assert!(self.whole(least).position <= end.position, "{}: {end} of {least} received", what());
        assert!(end.position <= self.whole(most).position, "{}: {end}, though {most} were written", what());
        assert_eq!((seen.end, seen.tail.unproven_bytes), (end, report.unproven_bytes), "{}: looked at", what());
        assert_eq!((report.torn_bytes, seen.tail.torn_bytes), (0, 0), "{}: a follower has no torn tail", what());
        self.check_files(disk, end, what);

        let again = disk.image().restart();
        let first = wal_files(&again);
        let node = Node::open(&options(&again)).unwrap_or_else(|error| panic!("{}: a second time: {error}", what()));
        let second = node.report().log.clone();
        assert_eq!(second.end, end, "{}: a second recovery ends elsewhere", what());
        assert_eq!((second.unproven_bytes, second.roll_finished), (0, false), "{}: something was left", what());
        assert!(second.removed.is_empty(), "{}: something was left", what());
        assert!(wal_files(&again) == first, "{}: a second recovery changed a file", what());
        let rows = rows_at(&node, end.commit).unwrap();
        assert_eq!(rows, fold(&self.commits, end.commit.0 as usize), "{}: reading", what());

        replica.feed_on().unwrap();
        self.check_files(disk, self.whole(self.end()), &|| format!("{}, then fed to the end", what()));
        (report, images)
    }
}

pub fn path(first: u64) -> PathBuf {
    wal::directory(Path::new(DIR)).join(wal::file_name(Position(first)))
}

pub fn wal_files(disk: &SimDisk) -> BTreeMap<PathBuf, Vec<u8>> {
    let directory = wal::directory(Path::new(DIR));
    let files = disk.paths().into_iter().filter(|path| path.starts_with(&directory));
    files.map(|path| (path.clone(), disk.contents(&path).unwrap())).collect()
}

/// FMT-BLANK, as another implementation would make it.
pub fn blank_word(position: u64) -> [u8; 8] {
    let mut mixed = BLANK_SEED.wrapping_add(position);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ (mixed >> 31)).to_le_bytes()
}

/// A follower's log, and where its primary's goes on.
pub struct Replica<'a> {
    primary: &'a Primary,
    pub log: FollowedLog,
    /// Which segment is the newest here.
    pub current: usize,
}

impl Replica<'_> {
    /// Bytes of the newest segment that were not written yet.
    pub fn left(&self) -> u64 {
        self.primary.segments[self.current].end - self.log.written().0
    }

    pub fn write(&mut self, len: u64) -> Result<()> {
        let segment = &self.primary.segments[self.current];
        let from = SEGMENT_HEADER + (self.log.written().0 - segment.first) as usize;
        self.log.write(&segment.file[from..from + len.min(self.left()) as usize])
    }

    /// Whether the newest segment is all proven, and another follows.
    pub fn roll_is_due(&self) -> bool {
        let ends = self.primary.segments[self.current].end == self.log.validated().position.0;
        ends && self.current + 1 < self.primary.segments.len()
    }

    pub fn roll(&mut self) -> Result<()> {
        self.log.roll()?;
        self.current += 1;
        Ok(())
    }

    pub fn is_done(&self) -> bool {
        self.log.validated().position.0 == self.primary.end()
    }

    /// A length at which something may go wrong.
    pub fn awkward(&self, dice: &mut Dice) -> u64 {
        const LENGTHS: [u64; 20] =
            [1, 3, 7, 8, 9, 24, 31, 32, 33, 64, 100, 255, 256, 257, 511, 512, 513, 700, 1024, 1500];
        let at = self.log.written().0;
        let boundary = self.primary.points.range(at + 1..).next().map_or(self.primary.end(), |(position, _)| *position);
        let len = match dice.below(7) {
            0 => boundary - at,
            1 => boundary - at + 1 + dice.below(31),
            2 => self.left(),
            _ => LENGTHS[dice.below(20) as usize],
        };
        len.clamp(1, self.left())
    }

    /// One thing that a Receiver does.
    pub fn step(&mut self, dice: &mut Dice) -> Result<()> {
        let (validated, received) = (self.log.validated().position.0, self.log.received().0);
        match dice.below(9) {
            0..=3 if self.left() > 0 => self.write(self.awkward(dice)),
            4 if validated < received => {
                let until = validated + 1 + dice.below(received - validated);
                self.log.prove(self.primary.whole(until));
                Ok(())
            }
            5 => {
                self.log.prove(self.primary.whole(received));
                Ok(())
            }
            // A connection was lost, and the next one begins at the proof.
            8 if received == self.log.written().0 => {
                self.log.prove(self.primary.whole(received));
                if self.log.validated().position.0 < received { self.log.drop_unproven() } else { Ok(()) }
            }
            6 if self.roll_is_due() && received == self.log.written().0 => self.roll(),
            _ => self.log.sync().map(|_| ()),
        }
    }

    /// Feeds the rest in a plain way.
    pub fn feed_on(&mut self) -> Result<()> {
        while !self.is_done() {
            self.write(1700)?;
            let received = self.log.sync()?;
            self.log.prove(self.primary.whole(received.0));
            if self.roll_is_due() {
                self.roll()?;
            }
        }
        self.log.close()
    }
}

/// Where a feed stood when an image was taken.
#[derive(Clone, Copy, Debug, Default)]
pub struct Moment {
    pub received: u64,
    pub written: u64,
}
