//! A whole replica without threads, fed by a scripted primary: Receiver, Validator, Applier, maintenance and Supervisor over one simulated disk and one link.
//!
//! Its session is cut after every byte; each byte of a frame is flipped on the way; it crashes after every operation on its disk, in every variant, also while a halt is
//! kept and cleared, and while it recovers. The oracle is the primary's log, read from its files, and the fold of its commits; in the end the files are the primary's.

#![cfg(feature = "replication")]

mod world;

use aerodb::disk::{Crash, SimDisk, SimImage};
use aerodb::follower_node::{Bounds, FollowerNode};
use aerodb::frame::{SEGMENT_HEAD_BYTES, Segment};
use aerodb::maintenance::Progress as Work;
use aerodb::replica_state::Halt;
use aerodb::supervisor::{Reconnect, machine::State};
use aerodb::verify::{VerifyOptions, verify};
use aerodb::wal::{self, LogCursor};
use aerodb::{
    Id, Init, LogPoint, Node, Options, Position, Range, Reason, Role, Wish, committer, receiver, recovery, replica,
};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use world::offered::{Primary, Said, Served};
use world::{DIR, fold, init_options, listing, options, shared, tiny};

/// Small, so that queues are full and windows are closed.
const BOUNDS: Bounds = Bounds { receiver: receiver::Bounds { window_bytes: 2500, chunk_bytes: 400 }, queue: 2 };
/// More steps than any feed here takes.
const TURNS: usize = 5000;

/// A primary, and the points between the records of its log.
struct Feed {
    primary: Primary,
    points: Vec<LogPoint>,
}

impl Feed {
    fn new(commits: usize, seed: u64) -> Feed {
        let primary = Primary::new(commits, seed);
        let (lineage, log) = (recovery::lineage(&primary.identity), wal::directory(Path::new(DIR)));
        let disk = shared(&primary.disk);
        let mut cursor = LogCursor::open(disk, &log, lineage, Position(0), primary.durable).unwrap();
        let mut points = vec![cursor.point()];
        while let Some((record, _)) = cursor.next_record().unwrap() {
            points.push(record.after);
        }
        Feed { primary, points }
    }

    /// The end of the whole records before a position.
    fn whole(&self, position: u64) -> LogPoint {
        *self.points.iter().rfind(|point| point.position.0 <= position).unwrap()
    }

    /// The directory of a new replica.
    fn follower(&self) -> SimDisk {
        let (disk, database_id) = (SimDisk::new(), Some(self.primary.identity.database_id));
        let node_id = Some(Id([0xf0; 16]));
        Node::init(&Init { role: Role::Replica, database_id, node_id, ..init_options(&disk, tiny()) }).unwrap();
        disk
    }

    /// What the primary says in a session that nothing disturbs: behind how many bytes a frame ends, and how far the log is there.
    fn said(&self) -> Vec<(usize, u64)> {
        let (disk, mut said) = (self.follower(), vec![(0, 0)]);
        let mut link = Served::new(&self.primary).bent(|what| {
            let (bytes, upto) = *said.last().unwrap();
            let log = if let Said::Log(_, log) = &what { log.len() as u64 } else { 0 };
            said.push((bytes + what.encode().len(), upto + log));
            vec![what]
        });
        let mut node = open(&disk);
        self.follow(&mut node, &mut link);
        node.close(&mut link).unwrap();
        drop(link);
        said
    }

    /// Follows to the end.
    fn follow(&self, node: &mut FollowerNode, link: &mut Served<'_>) {
        for _ in 0..TURNS {
            if node.applied() == self.primary.durable {
                return;
            }
            turn(node, link);
            assert_eq!(node.fault(), None);
        }
        panic!("it does not come to the end: {}", node.applied());
    }

    /// Follows to the end, rests and closes; the files are the primary's.
    fn level(&self, disk: &SimDisk, mut node: FollowerNode, link: &mut Served<'_>, what: &dyn Fn() -> String) {
        self.follow(&mut node, link);
        while node.maintain().unwrap() == Work::Worked {}
        node.close(link).unwrap();
        assert!(files(disk, "store") == files(&self.primary.disk, "store"), "{}: other runs", what());
        let (kept, theirs) = (files(disk, "wal"), files(&self.primary.disk, "wal"));
        let segments = kept.keys().filter(|name| name.extension().is_some());
        for name in segments.rev().skip(1) {
            assert!(kept[name] == theirs[name], "{}: {} differs", what(), name.display());
        }
    }

    /// The same of what is left on a disk; and all of it proves itself.
    fn level_again(&self, disk: &SimDisk, what: &dyn Fn() -> String) {
        self.level(disk, open(disk), &mut Served::new(&self.primary), what);
        let options = VerifyOptions { dir: DIR.into(), disk: shared(disk) };
        let proof = verify(&options, &mut |_, _| {}).unwrap_or_else(|error| panic!("{}: {error}", what()));
        assert_eq!(proof.log_end, self.primary.durable, "{}", what());
        assert!(proof.leftovers.is_empty(), "{}: {:?}", what(), proof.leftovers);
    }
}

fn follower_options(disk: &SimDisk) -> Options {
    Options { retention: committer::Retention::All, ..options(disk) }
}

fn open(disk: &SimDisk) -> FollowerNode {
    FollowerNode::open(&follower_options(disk), Reconnect::After(0), BOUNDS).unwrap()
}

fn files(disk: &SimDisk, below: &str) -> BTreeMap<PathBuf, Vec<u8>> {
    let below = Path::new(DIR).join(below);
    let paths = disk.paths().into_iter().filter(|path| path.starts_with(&below));
    paths.map(|path| (path.strip_prefix(&below).unwrap().to_owned(), disk.contents(&path).unwrap())).collect()
}

/// What the threads of a replica do, one after the other.
const STEPS: [fn(&mut FollowerNode, &mut Served<'_>); 5] = [
    |node, link| node.look(link),
    |node, link| node.receive(link),
    |node, _| _ = node.prove(),
    |node, _| _ = node.apply(),
    // What stops it is a fault, which is looked at.
    |node, _| _ = node.maintain(),
];

/// A step of each.
fn turn(node: &mut FollowerNode, link: &mut Served<'_>) {
    for step in STEPS {
        step(node, link);
        check_law(node);
    }
}

/// REPL-POSITIONS.
fn check_law(node: &FollowerNode) {
    let (received, validated) = (node.received(), node.validated().point.position);
    assert!(node.applied().position <= validated && validated <= received.received, "{received:?}");
    assert!(received.received <= received.asked, "{received:?}");
}

/// The name under which it is halted.
fn name(halt: &Halt) -> (Reason, Position) {
    (halt.reason, halt.position)
}

/// F-N1, F-P3, REPL-AFRESH: the session of a follower is cut after every byte. What came whole stays, less than a record is dropped, and nothing else is fetched
/// twice.
#[test]
fn a_session_may_be_cut_after_every_byte() {
    let feed = Feed::new(30, 6);
    let (said, mut dropped) = (feed.said(), 0);
    assert_eq!(feed.primary.seals.len(), 1, "a segment ends on the way");
    let bytes = said.last().unwrap().0;
    for cut in 0..=bytes {
        let disk = feed.follower();
        let mut link = Served::new(&feed.primary).losing(&[cut]);
        let mut node = open(&disk);
        while node.received().lost == 0 {
            turn(&mut node, &mut link);
        }
        feed.follow(&mut node, &mut link);
        let (received, connections) = (node.received(), link.connections);
        assert_eq!((connections, received.lost, received.attempts), (2, 1, 2), "cut after {cut} bytes");
        let came = said.iter().rfind(|(bytes, _)| *bytes <= cut).unwrap().1;
        let part = came - feed.whole(came).position.0;
        assert_eq!(
            received.dropped, part,
            "cut after {cut} bytes: what is left of a record does not outlive its connection"
        );
        assert_eq!(received.bytes - received.dropped, feed.primary.durable.position.0, "cut after {cut} bytes");
        feed.level(&disk, node, &mut link, &|| format!("cut after {cut} bytes"));
        dropped += u64::from(received.dropped > 0);
    }
    println!("cut after each of {bytes} bytes; {dropped} times a part of a record was dropped");
}

/// A replica that holds the log up to a point, closed.
fn base(feed: &Feed, upto: LogPoint) -> SimImage {
    let disk = feed.follower();
    let mut link = Served::new(&feed.primary).bent(|said| match said {
        Said::Log(segment, _) if segment.from >= upto.position => Vec::new(),
        Said::Log(segment, mut bytes) if segment.from.after(bytes.len() as u64) > upto.position => {
            bytes.truncate(upto.position.since(segment.from) as usize);
            vec![Said::Log(Segment { bytes: bytes.len(), ends_segment: false, ..segment }, bytes)]
        }
        said @ (Said::Frame(_) | Said::Chunk(..) | Said::Log(..) | Said::Noise(_)) => vec![said],
    });
    let mut node = open(&disk);
    while node.applied() != upto {
        turn(&mut node, &mut link);
    }
    node.close(&mut link).unwrap();
    drop(link);
    disk.image()
}

/// F-V1, REPL-HALT, P5-I5: each byte of a frame of log is flipped on the way. The halt names the record, or the frame where its head is damaged; nothing of it is applied, and
/// what stands before it is; it outlives the restart; the order that names it clears it; and then the replica is level.
#[test]
fn each_byte_that_is_flipped_on_the_way_halts_at_its_record_until_that_is_cleared() {
    let feed = Feed::new(40, 6);
    // Within the log, a few records before the end of a segment: one frame carries them.
    let seal = feed.primary.seals[0];
    let from = *feed.points.iter().find(|point| point.position.0 + 520 > seal).unwrap();
    let base = base(&feed, from);
    let records = feed.points.iter().filter(|point| (from.position.0..seal).contains(&point.position.0)).count();
    let bytes = SEGMENT_HEAD_BYTES + (seal - from.position.0) as usize;
    assert!(records >= 3, "{records} records");
    for at in 0..bytes {
        let what = || format!("byte {at} of {bytes}");
        let disk = base.restart();
        let mut flipped = false;
        let mut link = Served::new(&feed.primary).bent(|said| {
            if flipped || !matches!(said, Said::Log(..)) {
                return vec![said];
            }
            flipped = true;
            let mut frame = said.encode();
            assert_eq!(frame.len(), bytes);
            frame[at] ^= 0x10;
            vec![Said::Noise(frame)]
        });
        let mut node = open(&disk);
        for _ in 0..TURNS {
            if node.halt().is_some() && node.has_ended() {
                break;
            }
            turn(&mut node, &mut link);
        }
        let halt = node.halt().cloned().unwrap_or_else(|| panic!("{}: it goes on", what()));
        let (reason, place) = match at.checked_sub(SEGMENT_HEAD_BYTES) {
            None => (Reason::ProtocolMalformed, from),
            Some(at) => (Reason::SegmentRejected, feed.whole(from.position.0 + at as u64)),
        };
        assert_eq!((name(&halt), node.state()), ((reason, place.position), State::Halted), "{}", what());
        let position = format!("position={}", place.position);
        for told in [reason.name(), &position, "fault="] {
            assert!(halt.evidence.contains(told), "{}: {told} is not in {}", what(), halt.evidence);
        }
        assert!(node.applied().position <= place.position, "{}: it applies what is not proven", what());
        let refused = node.store().read(&Wish::newest(), None).err().unwrap();
        assert_eq!(refused.reason(), Reason::ReplicaHalted, "{}", what());
        assert_eq!(node.close(&mut link).unwrap_err().reason(), reason, "{}", what());
        drop(link);

        let mut honest = Served::new(&feed.primary);
        let mut node = open(&disk);
        for step in STEPS[..4].iter().cycle().take(12) {
            step(&mut node, &mut honest);
        }
        assert_eq!((node.state(), node.halt(), honest.connections), (State::Halted, Some(&halt), 0), "{}", what());
        assert_eq!(node.applied(), place, "{}: what is proven is applied, and nothing behind it", what());
        node.close(&mut honest).unwrap();
        let options = follower_options(&disk);
        let other = replica::resume(&options, reason, Position(place.position.0 + 1)).unwrap_err();
        assert_eq!(other.reason(), Reason::HaltOther, "{}", what());
        assert_eq!(replica::resume(&options, reason, place.position), Ok((halt, None)), "{}", what());
        feed.level_again(&disk, &what);
    }
    println!("{bytes} bytes flipped, {records} records");
}

/// Where a feed stood before and behind the step in which an image was taken.
#[derive(Clone, Debug)]
struct Moment {
    received: [u64; 2],
    halts: [Option<(Reason, Position)>; 2],
    /// What arrived from here on does not prove itself.
    bad_from: u64,
}

/// A feed that was recorded.
struct Recorder {
    disk: SimDisk,
    images: Vec<(SimImage, Moment)>,
    received: u64,
    halt: Option<(Reason, Position)>,
    bad_from: u64,
}

impl Recorder {
    /// Notes the images of one step.
    fn step(&mut self, received: u64, halt: Option<(Reason, Position)>) {
        let moment = Moment { received: [self.received, received], halts: [self.halt, halt], bad_from: self.bad_from };
        self.images.extend(self.disk.take_images().into_iter().map(|image| (image, moment.clone())));
        (self.received, self.halt) = (received, halt);
    }

    fn opened(&mut self) -> FollowerNode {
        let node = open(&self.disk);
        self.step(node.received().received.0, node.halt().map(name));
        node
    }

    fn turns(&mut self, node: &mut FollowerNode, link: &mut Served<'_>, until: impl Fn(&FollowerNode) -> bool) {
        for _ in 0..TURNS {
            if until(node) {
                return;
            }
            for step in STEPS {
                step(node, link);
                self.step(node.received().received.0, node.halt().map(name));
            }
        }
        panic!("it does not come so far");
    }
}

/// A feed in which everything happens: a lost connection in a record, a flipped byte, a halt, the order that clears it, and the end.
fn recorded(feed: &Feed) -> Vec<(SimImage, Moment)> {
    let disk = feed.follower();
    disk.record_images(true);
    let mut recorder = Recorder { disk: disk.clone(), images: Vec::new(), received: 0, halt: None, bad_from: u64::MAX };
    // A byte in the middle of the log is another.
    let bad = feed.primary.log.len() as u64 / 2;
    let mut link = Served::new(&feed.primary).losing(&[2000]).bent(|said| match said {
        Said::Log(segment, mut bytes) if segment.from.0 <= bad && bad < segment.from.0 + bytes.len() as u64 => {
            bytes[(bad - segment.from.0) as usize] ^= 0x10;
            vec![Said::Log(segment, bytes)]
        }
        said @ (Said::Frame(_) | Said::Chunk(..) | Said::Log(..) | Said::Noise(_)) => vec![said],
    });
    recorder.bad_from = feed.whole(bad).position.0;
    let mut node = recorder.opened();
    recorder.turns(&mut node, &mut link, |node| node.halt().is_some() && node.has_ended());
    assert_eq!((node.received().lost, node.received().dropped > 0), (1, true));
    let halt = node.halt().map(name).unwrap();
    assert_eq!(halt, (Reason::SegmentRejected, Position(recorder.bad_from)));
    let received = node.received().received.0;
    node.close(&mut link).unwrap_err();
    drop(link);
    recorder.step(received, Some(halt));
    recorder.opened().close(&mut Served::new(&feed.primary)).unwrap();
    recorder.step(recorder.received, Some(halt));
    replica::resume(&follower_options(&disk), halt.0, halt.1).unwrap();
    recorder.step(recorder.received, None);
    recorder.bad_from = u64::MAX;
    let mut node = recorder.opened();
    let mut link = Served::new(&feed.primary);
    recorder.turns(&mut node, &mut link, |node| node.applied() == feed.primary.durable);
    node.close(&mut link).unwrap();
    recorder.step(feed.primary.durable.position.0, None);
    recorder.images
}

/// What a crash left opens, holds what was received, is halted if that was kept, and answers what is proven. Returns the images of the recovery.
fn check_crashed(feed: &Feed, disk: &SimDisk, moment: &Moment, what: &dyn Fn() -> String) -> Vec<SimImage> {
    disk.record_images(true);
    let opened = FollowerNode::open(&follower_options(disk), Reconnect::Never, BOUNDS);
    let images = disk.take_images();
    disk.record_images(false);
    let node = opened.unwrap_or_else(|error| panic!("{}: a crash is refused: {error}\n{}", what(), listing(disk)));
    let [before, after] = moment.received;
    let end = node.validated().point;
    let (least, most) = (before.min(moment.bad_from), before.max(after).min(moment.bad_from));
    assert!(feed.whole(least).position <= end.position, "{}: {end} of {least} received", what());
    assert!(end.position.0 <= most && feed.points.contains(&end), "{}: {end}, and {most} were written", what());
    assert_eq!(node.applied(), end, "{}: what is proven is applied", what());
    let halt = node.halt().map(name);
    assert!(moment.halts.contains(&halt), "{}: halted by {halt:?}, and not {:?}", what(), moment.halts);
    let read = node.store().read(&Wish::newest(), None).and_then(|view| view.range(Range::all(1000))?.collect());
    match (halt, read) {
        (None, Ok(rows)) => {
            let expected = fold(&feed.primary.commits, end.commit.0 as usize);
            assert!(rows.into_iter().eq(expected), "{}: other rows at {end}", what());
        }
        (Some(_), Err(error)) => assert_eq!(error.reason(), Reason::ReplicaHalted, "{}", what()),
        (halt, read) => panic!("{}: halted by {halt:?}, and a read gets {read:?}", what()),
    }
    // The process ends here; it does not close.
    drop(node);
    images
}

/// F-R1, F-R2, F-A1, F-A2, F-RC1, F-P3, REPL-HALT, REPL-STATE, P5-I11: the replica crashes after every operation on its disk, of receiving, proving, applying, of maintenance, of
/// halting and of being cleared, in every variant; and again while it recovers from that. Then it follows to the end, and its files are the primary's.
#[test]
fn a_replica_crashes_after_every_operation_and_is_level_in_the_end() {
    let feed = Feed::new(36, 8);
    assert!(!feed.primary.seals.is_empty(), "a segment ends on the way");
    let images = recorded(&feed);
    let (mut states, mut again) = (0, 0);
    for (number, (image, moment)) in images.iter().enumerate() {
        // The process alone dies, and then the machine: a halt that a start has shown stays.
        let disk = image.restart();
        let what = || format!("operation {number} of {}, the process, {moment:?}", images.len());
        check_crashed(&feed, &disk, moment, &what);
        let halt = open(&disk).halt().map(name);
        let halts = if halt.is_some() { [halt, halt] } else { moment.halts };
        let shown = Moment { halts, ..moment.clone() };
        check_crashed(&feed, &disk.image().crash(Crash::Dropped, 0), &shown, &|| {
            format!("{}, then the machine", what())
        });
        for (index, variant) in Crash::ALL.into_iter().enumerate() {
            for seed in 0..if variant.is_random() { 2 } else { 1 } {
                let disk = image.crash(variant, seed);
                let what = || format!("operation {number} of {}, {variant:?}, seed {seed}, {moment:?}", images.len());
                let recovery = check_crashed(&feed, &disk, moment, &what);
                states += 1;
                if number % Crash::ALL.len() == index {
                    for (step, crashed) in recovery.iter().enumerate() {
                        let variant = Crash::ALL[(number + step) % Crash::ALL.len()];
                        let what = || format!("{}, then {variant:?} at {step} of its recovery", what());
                        check_crashed(&feed, &crashed.crash(variant, 7), moment, &what);
                        again += 1;
                    }
                }
                let halt = open(&disk).halt().map(name);
                if let Some(halt) = halt {
                    replica::resume(&follower_options(&disk), halt.0, halt.1).unwrap();
                }
                feed.level_again(&disk, &what);
            }
        }
    }
    println!("{} operations, {states} crashes, {again} in recovery", images.len());
    assert!(states > 1000 && again > 100, "{states} and {again}");
}
