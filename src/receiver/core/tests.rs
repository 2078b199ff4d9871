//! The Receiver's core over a simulated disk: order, window, boundaries, handshakes.
//!
//! A real primary makes the log; the stages behind the Receiver are played by the test, so that it decides how far they are.

use super::*;
use crate::commit_id::CommitId;
use crate::committer::Order;
use crate::disk::{Disk, SimDisk};
use crate::record::{self, ProvenRecords};
use crate::recovery::{self, Init, Options};
use crate::wal::{LogCursor, directory};
use crate::{Batch, Node, Parameters, Role};
use std::path::Path;

const TINY: Parameters = Parameters { segment_bytes: 4096, table_bytes: 1 << 20, block_bytes: 512, fanout: 4 };

/// A primary's log of several segments: its bytes, the points behind its records, the ends of its segments.
struct Primary {
    identity: Identity,
    bytes: Vec<u8>,
    points: Vec<LogPoint>,
    ends: Vec<usize>,
}

fn primary(disk: &Arc<dyn Disk>, commits: usize) -> Primary {
    let dir = Path::new("/primary");
    let database_id = Some(Id([5; 16]));
    let init =
        Init { disk: Arc::clone(disk), role: Role::Primary, parameters: TINY, database_id, ..Init::standalone(dir) };
    let identity = Node::init(&init).unwrap();
    let options = Options { disk: Arc::clone(disk), ..Options::new(dir) };
    let mut node = Node::open(&options).unwrap();
    let batch = |commit: usize| {
        let mut batch = Batch::new();
        batch.put(&commit.to_le_bytes(), &vec![commit as u8; commit * 37 % 900]).unwrap();
        Order::Commit(batch)
    };
    node.group(&(0..commits).map(batch).collect::<Vec<_>>()).unwrap();
    let (end, directory) = (node.durable(), directory(dir));
    let mut cursor =
        LogCursor::open(Arc::clone(disk), &directory, recovery::lineage(&identity), Position(0), end).unwrap();
    let (mut bytes, mut points, mut ends) = (Vec::new(), vec![cursor.point()], Vec::new());
    while let Some((record, raw)) = cursor.next_record().unwrap() {
        bytes.extend_from_slice(raw);
        points.push(record.after);
        if record.content.kind() == record::Kind::Seal {
            ends.push(bytes.len());
        }
    }
    Primary { identity, bytes, points, ends }
}

/// A replica's Receiver, and the stages behind it as far as the test lets them.
struct World {
    primary: Primary,
    receiver: Receiver,
    progress: Progress,
    /// What was handed on.
    handed: Vec<u8>,
    disk: Arc<dyn Disk>,
}

fn world(commits: usize) -> World {
    let disk: Arc<dyn Disk> = Arc::new(SimDisk::new());
    let primary = primary(&disk, commits);
    let dir = Path::new("/replica");
    let database_id = Some(primary.identity.database_id);
    let init =
        Init { disk: Arc::clone(&disk), role: Role::Replica, parameters: TINY, database_id, ..Init::standalone(dir) };
    let identity = recovery::init(&init).unwrap();
    let recovered = recovery::open(&Options { disk: Arc::clone(&disk), ..Options::new(dir) }, None).unwrap();
    let point = recovered.log.durable();
    let progress = Progress {
        validated: Validated { point, seen: point.position, wanted: point.position },
        applied: point.position,
        keep_from: Position(0),
    };
    World {
        primary,
        receiver: Receiver::new(FollowedLog::new(recovered.log), identity),
        progress,
        handed: Vec::new(),
        disk,
    }
}

impl World {
    fn durable(&self) -> LogPoint {
        *self.primary.points.last().unwrap()
    }

    fn welcome(&self) -> Welcome {
        Welcome {
            version: frame::VERSION,
            database_id: self.primary.identity.database_id,
            node_id: self.primary.identity.node_id,
            epoch: self.primary.identity.epoch,
            shape: Shape::from(TINY),
            oldest: Position(0),
            durable: self.durable(),
        }
    }

    fn give(&mut self, bytes: &[u8]) -> Session {
        let mut rest = bytes;
        while !rest.is_empty() {
            let space = self.receiver.space();
            let count = space.len().min(rest.len());
            space[..count].copy_from_slice(&rest[..count]);
            self.receiver.filled(count)?;
            rest = &rest[count..];
        }
        Ok(())
    }

    /// The receiver's turn; what it says.
    fn turn(&mut self) -> Vec<Frame> {
        self.receiver.turn(&self.progress).unwrap();
        for chunk in self.receiver.handed() {
            if chunk.bytes.is_empty() {
                self.handed.truncate(chunk.from.0 as usize);
            }
            assert_eq!(chunk.from.0 as usize, self.handed.len(), "handed on in order");
            self.handed.extend_from_slice(&chunk.bytes);
        }
        let (output, mut at, mut frames) = (self.receiver.output(), 0, Vec::new());
        while let Some((frame, taken)) = Frame::decode(&output[at..]).unwrap() {
            frames.push(frame);
            at += taken;
        }
        frames
    }

    /// The Validator proves what was handed on, and the Applier applies it.
    fn catch_up(&mut self) {
        let seen = Position(self.handed.len() as u64);
        let whole = |point: &&LogPoint| point.position <= seen;
        let point = *self.primary.points.iter().rfind(whole).unwrap();
        self.progress.validated = Validated { point, seen, wanted: point.position };
        self.progress.applied = point.position;
    }

    fn connect(&mut self) -> Vec<Frame> {
        self.receiver.connect();
        self.receiver.connected();
        self.turn()
    }

    fn stream(&mut self) -> Vec<Frame> {
        self.connect();
        let welcome = encoded(&Frame::Welcome(self.welcome()));
        self.give(&welcome).unwrap();
        self.turn()
    }

    /// A SEGMENT with the log from here to there, which may end a segment.
    fn segment(&self, from: usize, to: usize) -> Vec<u8> {
        let ends_segment = self.primary.ends.contains(&to);
        let segment = Segment { from: Position(from as u64), bytes: to - from, ends_segment, durable: self.durable() };
        let mut bytes = encoded(&Frame::Segment(segment));
        bytes.extend_from_slice(&self.primary.bytes[from..to]);
        bytes
    }

    fn files(&self, dir: &str) -> Vec<(String, Vec<u8>)> {
        let directory = directory(Path::new(dir));
        let names = self.disk.list(&directory).unwrap().unwrap();
        let read = |name: String| {
            let bytes = crate::disk::read_file(self.disk.as_ref(), &directory.join(&name), 1 << 20).unwrap().unwrap();
            (name, bytes)
        };
        names.into_iter().filter(|name| name.ends_with(".seg")).map(read).collect()
    }
}

fn encoded(frame: &Frame) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame.encode(&mut bytes);
    bytes
}

fn failed(session: Session) -> Reason {
    match session {
        Err(End::Failed(error)) => error.reason(),
        other => panic!("{other:?}"),
    }
}

/// P5-I4, REPL-SEGMENT: in whatever pieces frames and their bytes come, what is stored and handed on is the log, and sealed segments are
/// the primary's files.
#[test]
fn log_that_comes_in_any_pieces_is_stored_and_handed_on_as_it_is() {
    for (frame_bytes, piece) in [(1, 1), (7, 3), (100, 1000), (333, 57), (4096, 9), (4096, 4096), (1 << 20, 1 << 20)] {
        let mut world = world(60);
        assert!(world.primary.ends.len() > 3, "several segments");
        world.stream();
        let mut from = 0;
        let total = world.primary.bytes.len();
        while from < total {
            let boundary = world.primary.ends.iter().find(|end| **end > from).copied().unwrap_or(total);
            let to = boundary.min(from + frame_bytes);
            for piece in world.segment(from, to).chunks(piece) {
                world.give(piece).unwrap();
                world.turn();
            }
            world.catch_up();
            from = to;
        }
        world.turn();
        assert!(world.handed == world.primary.bytes, "frames of {frame_bytes}, pieces of {piece}");
        let (ours, theirs) = (world.files("/replica"), world.files("/primary"));
        let sealed = world.primary.ends.len();
        assert_eq!(ours.len(), theirs.len());
        assert!(ours[..sealed] == theirs[..sealed], "sealed segments are byte-identical");
        let records = ProvenRecords::new(&world.handed, world.primary.points[0], world.durable());
        assert_eq!(records.count(), world.primary.points.len() - 1);
    }
}

/// WIRE-FRAME: two frames come in two reads, cut at every byte; the second head may come with the last of the first one's log.
#[test]
fn a_head_that_comes_with_the_last_of_the_log_before_it_continues_that() {
    let frames = |world: &World| [world.segment(0, 100), world.segment(100, 200)].concat();
    for cut in 1..frames(&world(60)).len() {
        let mut world = world(60);
        world.stream();
        let bytes = frames(&world);
        assert!(world.give(&bytes[..cut]).is_ok() && world.give(&bytes[cut..]).is_ok(), "cut at {cut}");
        world.turn();
        assert!(world.handed == world.primary.bytes[..200], "cut at {cut}");
    }
}

/// P5-I5, REPL-SEGMENT: nothing of the next segment is stored before the end of the one before is proven.
#[test]
fn a_segment_begins_only_when_the_end_of_the_one_before_is_proven() {
    let mut world = world(60);
    world.stream();
    let (first, second) = (world.primary.ends[0], world.primary.ends[1]);
    let frames = [world.segment(0, first), world.segment(first, second)].concat();
    world.give(&frames).unwrap();
    world.turn();
    assert_eq!(world.handed.len(), first, "the second segment waits");
    assert!(world.receiver.waits());
    world.turn();
    assert_eq!((world.handed.len(), world.files("/replica").len()), (first, 1));
    world.catch_up();
    world.turn();
    assert_eq!((world.handed.len(), world.files("/replica").len()), (second, 2));
}

/// F-V2, F-V3, WIRE-PULL: what does not continue, comes again, or was not asked for is rejected before a byte of it is stored.
#[test]
fn what_was_not_asked_for_is_rejected_and_not_stored() {
    let cases: [(usize, usize, Reason); 5] = [
        (101, 150, Reason::ReplicationGap),
        (0, 100, Reason::ReplicationNotAsked),
        (50, 150, Reason::ReplicationNotAsked),
        (99, 100, Reason::ReplicationNotAsked),
        (100, 99_999_999, Reason::ReplicationNotAsked),
    ];
    for (from, to, reason) in cases {
        let mut world = world(60);
        world.stream();
        let first = world.segment(0, 100);
        world.give(&first).unwrap();
        let bytes = (to - from).min(limits::SEGMENT_FRAME_BYTES_MAX);
        let durable = LogPoint { position: Position(1 << 40), ..world.durable() };
        let asked = world.receiver.shown.asked;
        let from = if to == 99_999_999 {
            world.receiver.shown.asked = Position(100 + 10);
            from
        } else {
            from
        };
        let rejected = Segment { from: Position(from as u64), bytes, ends_segment: false, durable };
        assert_eq!(failed(world.give(&encoded(&Frame::Segment(rejected)))), reason, "{from} to {to}");
        world.receiver.shown.asked = asked;
        world.receiver.ended(&End::Failed(Error::new(reason)));
        world.turn();
        assert_eq!(world.handed.len(), 100, "what came before is kept, nothing else");
    }
    let mut world = world(60);
    world.stream();
    let first = world.segment(0, 100);
    world.give(&first).unwrap();
    let stale = LogPoint { position: Position(150), ..world.durable() };
    let segment = Segment { from: Position(100), bytes: 10, ends_segment: false, durable: stale };
    assert_eq!(failed(world.give(&encoded(&Frame::Segment(segment)))), Reason::ProtocolUnexpected);
}

/// WIRE-HELLO, R-DIVERGENCE, F-D1: who serves is compared with who should, whatever the primary thinks of it.
#[test]
fn a_primary_that_is_another_is_not_followed() {
    let world = || {
        let mut world = world(60);
        world.stream();
        let first = world.segment(0, world.primary.points[3].position.0 as usize);
        world.give(&first).unwrap();
        world.turn();
        world.catch_up();
        world.receiver.ended(&End::Lost(Error::new(Reason::ReplicationDisconnected)));
        world
    };
    let at = world().progress.validated.point;
    type Change = fn(&mut Welcome, LogPoint);
    let cases: [(Change, Reason); 8] = [
        (|welcome, _| welcome.version = 2, Reason::ProtocolUnexpected),
        (|welcome, _| welcome.database_id = Id([9; 16]), Reason::IdentityOtherDatabase),
        (|welcome, _| welcome.epoch += 1, Reason::IdentityOtherEpoch),
        (|welcome, _| welcome.shape.fanout += 1, Reason::IdentityOtherParameters),
        (|welcome, at| welcome.durable.position = Position(at.position.0 - 1), Reason::HistoryAhead),
        (|welcome, at| welcome.durable = LogPoint { history: crate::History(1), ..at }, Reason::HistoryDiverged),
        (|welcome, at| welcome.durable = LogPoint { commit: CommitId(1), ..at }, Reason::HistoryDiverged),
        (|welcome, at| welcome.oldest = Position(at.position.0 + 1), Reason::HistoryRetired),
    ];
    for (change, reason) in cases {
        let mut world = world();
        let said = world.connect();
        let Some(Frame::Hello(hello)) = said.first() else { panic!("{said:?}") };
        assert_eq!((hello.validated, hello.database_id), (at, world.primary.identity.database_id));
        let mut welcome = world.welcome();
        change(&mut welcome, at);
        assert_eq!(failed(world.give(&encoded(&Frame::Welcome(welcome)))), reason);
    }
    let mut world = world();
    world.connect();
    let same = Welcome { durable: at, oldest: at.position, ..world.welcome() };
    world.give(&encoded(&Frame::Welcome(same))).unwrap();
}

/// REPL-HALT: a refusal that says that a fact contradicts what must hold is not a lost connection, and the other way round.
#[test]
fn a_refusal_means_what_its_reason_says() {
    let refusal = |reason| {
        let mut world = world(3);
        world.connect();
        let (oldest, durable) = (Position(0), world.durable());
        world.give(&encoded(&Frame::Refuse(Refuse { reason, oldest, durable, text: "why".to_owned() })))
    };
    for reason in Reason::ALL {
        let number = u16::from(reason.number());
        let name = reason.name();
        let protocol = ["protocol.malformed", "protocol.unexpected"].contains(&name);
        let contradiction = name.starts_with("history.") || protocol;
        let other = ["identity.other_database", "identity.other_epoch", "identity.other_parameters"].contains(&name);
        match refusal(number).unwrap_err() {
            End::Failed(error) => assert!((contradiction || other) && error.reason() == *reason, "{error}"),
            End::Lost(error) => assert!(!contradiction && !other && error.reason() == *reason, "{error}"),
        }
    }
    assert_eq!(failed(refusal(60_000)), Reason::ProtocolUnexpected);
}

/// REPL-WINDOW, REPL-POSITIONS: it asks no further than the window beyond what is applied, and for a longer record to its end.
#[test]
fn it_asks_as_far_as_the_window_goes() {
    let window = limits::REPLICA_WINDOW_BYTES;
    let mut world = world(60);
    let asked = world.stream();
    assert_eq!(asked, [Frame::Fetch(Fetch { from: Position(0), upto: Position(window) })]);
    assert_eq!(world.turn(), [], "it has asked");
    world.progress.applied = Position(window / 4 - 1);
    assert_eq!(world.turn(), [], "not worth a frame");
    world.progress.applied = Position(window / 4);
    let more = Fetch { from: Position(window), upto: Position(window + window / 4) };
    assert_eq!(world.turn(), [Frame::Fetch(more)]);
    world.progress.validated.wanted = Position(3 * window);
    assert_eq!(world.turn(), [Frame::Fetch(Fetch { from: more.upto, upto: Position(3 * window) })]);
    assert_eq!(world.receiver.received().get().asked, Position(3 * window));
}

/// F-P3, WIRE-HELLO, REPL-AFRESH: after a lost connection it introduces itself only when all that it received is proven, or dropped and forgotten;
/// and it goes on at its proven point.
#[test]
fn it_goes_on_where_it_is_proven_and_drops_what_lies_behind() {
    let mut world = world(60);
    world.stream();
    let [before, after] = [2, 3].map(|record| world.primary.points[record].position);
    let part = before.after(5);
    let frames = [world.segment(0, part.0 as usize), world.segment(part.0 as usize, after.0 as usize)].concat();
    world.give(&frames[..frames.len() - 1]).unwrap();
    world.receiver.ended(&End::Lost(Error::new(Reason::ReplicationDisconnected)));
    assert_eq!(world.connect(), [], "what it received is not proven");
    assert_eq!(world.handed.len() as u64, part.0, "of the second frame a byte was missing");
    let shown = world.receiver.received();
    assert_eq!((shown.get().received, shown.get().dropped, shown.get().last_dropped), (part, 0, None));

    world.catch_up();
    assert_eq!(world.turn(), [], "the Validator does not know yet that the part is dropped");
    let dropped = Some(Dropped { from: before, to: part });
    assert_eq!((shown.get().received, shown.get().asked), (before, before));
    assert_eq!((shown.get().dropped, shown.get().last_dropped), (5, dropped));
    assert!(world.receiver.waits(), "somebody wakes it when the Validator knows");
    assert_eq!(world.handed.len() as u64, before.0);

    world.catch_up();
    let said = world.turn();
    let Some(Frame::Hello(hello)) = said.first() else { panic!("{said:?}") };
    assert_eq!(hello.validated, world.primary.points[2]);
    let welcome = encoded(&Frame::Welcome(world.welcome()));
    world.give(&welcome).unwrap();
    let Some(Frame::Fetch(fetch)) = world.turn().pop() else { panic!("it asks") };
    assert_eq!(fetch.from, before);
    let shown = shown.get();
    assert_eq!((shown.attempts, shown.sessions, shown.lost, shown.dropped), (2, 2, 1, 5), "it is dropped once");
}

/// WIRE-FRAME: what is no frame, or not the primary's to send now, ends replication.
#[test]
fn what_is_no_frame_or_comes_too_early_is_refused() {
    let mut world = world(3);
    world.connect();
    let early = world.segment(0, 10);
    assert_eq!(failed(world.give(&early)), Reason::ProtocolUnexpected);
    let fetch = encoded(&Frame::Fetch(Fetch { from: Position(0), upto: Position(1) }));
    let twice = encoded(&Frame::Welcome(world.welcome())).repeat(2);
    for (bytes, reason) in [
        (&fetch[..], Reason::ProtocolUnexpected),
        (&twice, Reason::ProtocolUnexpected),
        (b"\x16\x03\x01\x02\0 no frame either", Reason::ProtocolMalformed),
    ] {
        let mut world = self::world(3);
        world.connect();
        assert_eq!(failed(world.give(bytes)), reason);
    }
}

/// WIRE-PORT: what answers in words is no primary, and halts nobody; behind WELCOME words are no frame.
#[test]
fn what_answers_in_text_is_a_connection_that_did_not_come_about() {
    for text in ["HTTP/1.1 400 Bad Request\r\n\r\n", "-ERR no\r\n", "SSH-2.0-OpenSSH\r\n"] {
        let mut world = world(3);
        world.connect();
        let Err(End::Lost(why)) = world.give(text.as_bytes()) else { panic!("{text}") };
        assert_eq!((why.reason(), why.fact("told")), (Reason::ProtocolOtherPort, text.lines().next()));
        world.receiver.ended(&End::Lost(why));
        world.stream();
        assert_eq!(failed(world.give(text.repeat(3).as_bytes())), Reason::ProtocolMalformed);
    }
}

/// REPL-HALT, F-V1, F-V2, F-D1: log, and behind it what ends the session, in one read and cut after every byte. What halts the replica has one name, and
/// the log before it is kept.
#[test]
fn what_ends_a_session_has_one_name_however_the_stream_was_cut() {
    let refusal = |world: &World, reason: Reason| {
        let (oldest, durable) = (Position(0), world.durable());
        let refuse = Refuse { reason: reason.number().into(), oldest, durable, text: "told".to_owned() };
        encoded(&Frame::Refuse(refuse))
    };
    let malformed = |world: &World, from: usize| {
        let mut bytes = world.segment(from, from + 40);
        bytes[9] ^= 0x10;
        bytes
    };
    type Bad<'a> = &'a dyn Fn(&World, usize) -> Vec<u8>;
    // What it is halted by, how far from the end of the log before it, and what does it.
    let bad: [(Reason, isize, Bad<'_>); 6] = [
        (Reason::HistoryRetired, 0, &|world, _| refusal(world, Reason::HistoryRetired)),
        (Reason::ProtocolMalformed, 0, &malformed),
        (Reason::ProtocolUnexpected, 0, &|world, _| encoded(&Frame::Welcome(world.welcome()))),
        (Reason::ProtocolUnexpected, 0, &|_, _| encoded(&Frame::Fetch(Fetch { from: Position(0), upto: Position(1) }))),
        (Reason::ReplicationGap, 8, &|world, from| world.segment(from + 8, from + 48)),
        (Reason::ReplicationNotAsked, -8, &|world, from| world.segment(from - 8, from + 48)),
    ];
    for (reason, offset, bad) in bad {
        let mut lengths = Vec::new();
        for back in (0..).map(|back: usize| back.checked_sub(1)) {
            let mut world = world(4);
            world.stream();
            let end = world.primary.points[2].position.0 as usize;
            let mut stream = world.segment(0, end);
            // At once, and then from within the last bytes of the log on.
            let cut = back.map_or(0, |back| stream.len() - 9 + back);
            // The log that follows is that of the next frame: a refusal behind it is held against what came before it.
            stream.extend(bad(&world, end));
            stream.extend(world.segment(end, end + 40));
            if cut == stream.len() {
                break;
            }
            let (first, second) = stream.split_at(cut);
            let Err(End::Failed(fault)) = world.give(first).and_then(|()| world.give(second)) else {
                panic!("{reason}, cut after {cut} bytes: it goes on");
            };
            let named = fault.fact("position").unwrap().parse::<usize>().unwrap();
            assert_eq!(
                (fault.reason(), named),
                (reason, end.checked_add_signed(offset).unwrap()),
                "cut after {cut} bytes"
            );
            world.receiver.keep(&world.progress).unwrap();
            let kept = world.receiver.handed().iter().map(|chunk| chunk.bytes.len()).sum::<usize>();
            assert_eq!(world.receiver.received().get().received, Position(kept as u64));
            lengths.push(kept);
        }
        lengths.dedup();
        assert_eq!(lengths, [world(4).primary.points[2].position.0 as usize], "{reason}: what came whole is kept");
    }
}
