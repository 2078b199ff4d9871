//! The primary's side of the protocol without a socket: what a session answers to every byte, and which log leaves (`protocol.md`).
//!
//! A node on a simulated disk writes, and a session serves its log. What is asked of it is written by hand (`feeding/`).

#![cfg(feature = "replication")]

mod feeding;
mod world;

use aerodb::committer::{Order, Retention};
use aerodb::disk::{Disk, Fault, SimDisk};
use aerodb::feeder::machine::State;
use aerodb::feeder::{Session, Source};
use aerodb::frame::{Frame, Hello, Refuse, Segment, Shape};
use aerodb::record::{Content, Purpose};
use aerodb::wal::{Extent, LogCursor};
use aerodb::{CommitId, Database, History, Id, LogPoint, Node, Options, Position, Reason, Role};
use feeding::{Came, Log, encoded, fetch, hello, sim_segments};
use std::path::Path;
use std::sync::{Arc, Mutex};
use world::{DIR, Dice, batch, init_options, options, tiny};

const ALL: usize = 1 << 20;

/// A primary.
struct Primary {
    disk: SimDisk,
    node: Node,
}

impl Primary {
    fn new() -> Primary {
        let disk = SimDisk::new();
        Node::init(&aerodb::Init { role: Role::Primary, ..init_options(&disk, tiny()) }).unwrap();
        let node = Node::open(&Options { retention: Retention::All, ..options(&disk) }).unwrap();
        Primary { disk, node }
    }

    fn commit(&mut self, bytes: usize) {
        self.node.commit(batch(&vec![(b"key".to_vec(), Some(vec![7; bytes]))])).unwrap();
    }

    /// Commits of many lengths, floors and cuts, over many segments.
    fn fill(&mut self) {
        let mut dice = Dice(9);
        for number in 0..90 {
            self.commit(dice.below(900) as usize);
            match number % 30 {
                10 => drop(self.node.raise_floor(CommitId(number)).unwrap()),
                20 => drop(self.node.checkpoint(Purpose::Checkpoint).unwrap()),
                _ => {}
            }
        }
        assert!(sim_segments(&self.disk, Path::new(DIR)).len() > 8);
    }

    fn session(&self) -> Session {
        Session::new(&Arc::new(Source::new(self.node.report().identity, self.node.log().clone(), self.node.store())))
    }

    fn hello(&self, end: LogPoint) -> Hello {
        hello(&self.node.report().identity, end)
    }

    /// The start of its log.
    fn genesis(&self) -> LogPoint {
        let identity = self.node.report().identity;
        aerodb::record::genesis(identity.database_id, identity.epoch)
    }

    /// Every point at which a record begins or the log ends.
    fn points(&self) -> Vec<LogPoint> {
        let (log, end) = (self.node.log(), self.node.durable());
        let disk = Arc::clone(&log.disk);
        let mut cursor = LogCursor::open(disk, &log.directory, log.lineage, self.node.oldest(), end).unwrap();
        let mut points = vec![cursor.point()];
        while let Some((record, _)) = cursor.next_record().unwrap() {
            points.push(record.after);
        }
        points
    }

    fn log_is(&self, log: &Log) {
        log.is_that_of(&sim_segments(&self.disk, Path::new(DIR)));
    }
}

/// Everything that a session sends now, with at most so many bytes of log in a frame.
fn served(session: &mut Session, extent: &Extent, log_bytes: usize) -> Vec<Came> {
    let mut bytes = Vec::new();
    while let Some(outgoing) = session.serve(extent, log_bytes) {
        assert!(outgoing.part.is_none(), "a simulated file lends no descriptor");
        assert!(outgoing.bytes.len() <= aerodb::limits::REPLICA_OUTPUT_BYTES);
        bytes.extend(outgoing.bytes);
    }
    let mut came = Vec::new();
    while let Some(next) = Came::take(&mut bytes) {
        came.push(next);
    }
    assert!(bytes.is_empty(), "it sends whole frames");
    came
}

/// What it answers to these bytes.
fn answers(session: &mut Session, extent: &Extent, bytes: &[u8]) -> Vec<Came> {
    session.receive(bytes, extent, false);
    served(session, extent, ALL)
}

/// A session that was welcomed from this point on.
#[track_caller]
fn welcomed(primary: &Primary, end: LogPoint) -> Session {
    let mut session = primary.session();
    let hello = encoded(Frame::Hello(primary.hello(end)));
    let came = answers(&mut session, &primary.node.extent(), &hello);
    let welcome = came.into_iter().next().unwrap().welcome();
    assert_eq!((welcome.durable, welcome.oldest), (primary.node.durable(), primary.node.oldest()));
    session
}

/// The reason for which these bytes are refused, in a session that was welcomed.
#[track_caller]
fn refusal(primary: &Primary, session: &mut Session, bytes: &[u8]) -> Reason {
    let mut came = answers(session, &primary.node.extent(), bytes);
    let refused = came.pop().unwrap().refused();
    assert_eq!(session.state(), State::Ended);
    assert_eq!(session.refusal().map(aerodb::Error::reason), Some(refused));
    assert!(answers(session, &primary.node.extent(), &fetch(0, 1)).is_empty(), "it says nothing more");
    refused
}

/// WIRE-PULL, WIRE-RAW, WIRE-DURABLE: whatever the allowances and the pieces, what leaves is the log, byte for byte.
#[test]
fn the_whole_log_leaves_as_it_stands_in_the_files() {
    let mut primary = Primary::new();
    primary.fill();
    let (extent, end) = (primary.node.extent(), primary.node.durable().position.0);
    for seed in 0..30 {
        let mut dice = Dice(seed);
        let mut session = welcomed(&primary, primary.genesis());
        let (mut log, mut asked) = (Log::from(0), 0);
        let most = if seed == 0 { ALL } else { 1 + dice.below(1500) as usize };
        while log.at < end {
            // Up to three allowances at a time, which end anywhere; the last beyond the end.
            for _ in 0..=dice.below(3) {
                let upto = asked + 1 + dice.below(if seed % 3 == 0 { 100_000 } else { 700 });
                session.receive(&fetch(asked, upto), &extent, false);
                asked = upto;
            }
            served(&mut session, &extent, most).into_iter().for_each(|came| log.take(came));
            assert_eq!(log.at, asked.min(end), "seed {seed}: all of it, and no more");
            let state = if asked > end { State::Parked } else { State::Idle };
            assert_eq!(session.state(), state, "seed {seed}");
            assert_eq!((session.sent().0, session.asked().0), (log.at, asked));
        }
        primary.log_is(&log);
    }
}

/// WIRE-PULL: log is served from the point on that was compared, wherever that is.
#[test]
fn log_is_served_from_the_middle_on() {
    let mut primary = Primary::new();
    primary.fill();
    let (extent, files) = (primary.node.extent(), sim_segments(&primary.disk, Path::new(DIR)));
    let end = extent.durable.position.0;
    for point in primary.points().into_iter().filter(|point| point.position.0 < end) {
        let from = point.position.0;
        let mut session = welcomed(&primary, point);
        let came = answers(&mut session, &extent, &fetch(from, from + 200));
        let mut at = from;
        for Came { frame, log } in came {
            let Frame::Segment(segment) = frame else { panic!("{frame:?}") };
            let (first, file) = files.range(..=at).next_back().unwrap();
            let offset = (512 + at - first) as usize;
            assert_eq!((segment.from.0, &log[..]), (at, &file[offset..offset + log.len()]));
            at += log.len() as u64;
            assert_eq!(segment.ends_segment, files.contains_key(&at), "at {at}");
        }
        assert_eq!(at, end.min(from + 200));
    }
}

/// WIRE-PARK: what is asked for beyond the end is answered when the end moves, by whatever record.
#[test]
fn a_parked_fetch_is_answered_by_a_commit_a_floor_and_a_cut() {
    let mut primary = Primary::new();
    let mut session = welcomed(&primary, primary.genesis());
    let mut log = Log::from(0);
    assert!(answers(&mut session, &primary.node.extent(), &fetch(0, 1 << 20)).is_empty());
    let orders = [
        Order::Commit(batch(&vec![(b"k".to_vec(), None)])),
        Order::Floor(CommitId(1)),
        Order::Cut(Purpose::Checkpoint),
    ];
    for order in orders {
        assert_eq!(session.state(), State::Parked);
        assert!(!session.is_due(&primary.node.extent()) && session.serve(&primary.node.extent(), ALL).is_none());
        primary.node.group(&[order]).unwrap().remove(0).unwrap();
        assert!(session.is_due(&primary.node.extent()));
        served(&mut session, &primary.node.extent(), ALL).into_iter().for_each(|came| log.take(came));
        assert_eq!(log.at, primary.node.durable().position.0);
    }
    // Over the ends of segments too.
    for _ in 0..40 {
        primary.commit(600);
        served(&mut session, &primary.node.extent(), ALL).into_iter().for_each(|came| log.take(came));
    }
    assert!(log.segments.len() > 3);
    primary.log_is(&log);
}

/// WIRE-PARK: whoever is told that the log is longer finds it longer, also where no commit became readable. Otherwise it would sleep on.
#[test]
fn the_extent_is_shown_before_anybody_is_told() {
    let disk = SimDisk::new();
    Database::init(&aerodb::Init { role: Role::Primary, ..init_options(&disk, tiny()) }).unwrap();
    let db = Arc::new(Database::open(options(&disk)).unwrap());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (told, weak) = (Arc::clone(&seen), Arc::downgrade(&db));
    db.on_publish(move || {
        if let Some(db) = weak.upgrade() {
            told.lock().unwrap().push(db.extent().durable);
        }
    });
    let last = || seen.lock().unwrap().last().copied();
    db.commit(batch(&vec![(b"k".to_vec(), None)])).unwrap();
    assert_eq!(last(), Some(db.extent().durable), "a commit");
    let floor = db.raise_floor(CommitId(1)).unwrap();
    assert_eq!(last(), Some(floor), "a floor");
    let cut = db.checkpoint().unwrap();
    assert_eq!(last(), Some(cut), "a cut");
    assert_eq!(db.extent().durable, cut);
    db.on_publish(|| {});
    Arc::into_inner(db).unwrap().close().unwrap();
}

/// F-P1, WIRE-DURABLE: what was written and is not durable never leaves, and a failed fsync of the primary ends nothing of what is.
#[test]
fn what_did_not_become_durable_is_not_served() {
    for at in 0..6 {
        let mut primary = Primary::new();
        primary.commit(300);
        let durable = primary.node.durable();
        let mut session = welcomed(&primary, primary.genesis());
        primary.disk.fail_operation(primary.disk.operations() + at, Fault::EioAndForget);
        let committed = primary.node.commit(batch(&vec![(b"key".to_vec(), Some(vec![8; 2000]))]));
        let end = primary.node.extent().durable;
        assert_eq!(end == durable, committed.is_err(), "at {at}");
        let mut log = Log::from(0);
        let came = answers(&mut session, &primary.node.extent(), &fetch(0, 1 << 20));
        came.into_iter().for_each(|came| log.take(came));
        assert_eq!(log.at, end.position.0);
        assert_eq!(session.state(), State::Parked);
        drop(primary.node);
        // F-P2: what was durable is served after the restart, as it was before.
        primary.disk.heal();
        let disk = primary.disk.image().crash(aerodb::disk::Crash::Dropped, at);
        primary.node = Node::open(&options(&disk)).unwrap();
        primary.disk = disk;
        assert!(primary.node.durable().position >= end.position);
        let mut session = welcomed(&primary, end);
        let came = answers(&mut session, &primary.node.extent(), &fetch(log.at, 1 << 20));
        came.into_iter().for_each(|came| log.take(came));
        assert_eq!(log.at, primary.node.durable().position.0, "all that is durable, and no more");
        primary.log_is(&log);
    }
}

/// Whether the last of these records, which begin here, is a `Seal`.
fn ends_with_seal(mut bytes: &[u8], mut point: LogPoint) -> bool {
    let mut seal = false;
    while !bytes.is_empty() {
        let record = aerodb::record::prove(bytes, point).unwrap();
        seal = matches!(record.content, Content::Seal);
        bytes = &bytes[record.after.position.since(point.position) as usize..];
        point = record.after;
    }
    seal
}

/// WIRE-RAW: a segment ends with its seal, also where the disk fails before the next one is begun; and its last frame says so.
#[test]
fn a_segment_ends_with_its_seal_even_where_no_next_one_can_be_begun() {
    let (mut ended_without_next, mut at) = (0, 0);
    loop {
        let mut primary = Primary::new();
        let mut session = welcomed(&primary, primary.genesis());
        primary.commit(3000);
        primary.disk.fail_operations_from(primary.disk.operations() + at, Fault::Eio);
        let made = primary.node.commit(batch(&vec![(b"key".to_vec(), Some(vec![8; 2000]))]));
        let extent = primary.node.extent();
        let mut log = Log::from(0);
        answers(&mut session, &extent, &fetch(0, 1 << 20)).into_iter().for_each(|came| log.take(came));
        assert_eq!(log.at, extent.durable.position.0);
        let sealed = ends_with_seal(&log.segments[&0], primary.genesis());
        assert_eq!(log.segments.len() == 2 || log.begins, sealed, "operation {at}");
        ended_without_next += u32::from(log.begins);
        if made.is_ok() {
            break;
        }
        at += 1;
    }
    assert!(ended_without_next > 3, "{ended_without_next} of {at}");
}

/// WIRE-HELLO, R-DIVERGENCE, F-D1: the refusals of the table, in its order: in each case everything below it is wrong too.
#[test]
fn a_hello_is_refused_for_the_first_thing_that_differs() {
    let mut primary = Primary::new();
    primary.fill();
    let extent = primary.node.extent();
    let right = primary.hello(extent.durable);
    let ahead = LogPoint { position: extent.durable.position.after(8), ..extent.durable };
    let mut wrong = Hello { validated: ahead, ..right };
    let mut expected = Vec::new();
    expected.push((wrong, false, Reason::HistoryAhead));
    wrong.shape = Shape { fanout: 3, ..wrong.shape };
    expected.push((wrong, false, Reason::IdentityOtherParameters));
    wrong.epoch = 2;
    expected.push((wrong, false, Reason::IdentityOtherEpoch));
    wrong.database_id = Id([1; 16]);
    expected.push((wrong, false, Reason::IdentityOtherDatabase));
    expected.push((wrong, true, Reason::ReplicationBusy));
    for versions in [(0, 0), (2, 9), (2, 0)] {
        wrong.versions = versions;
        expected.push((wrong, true, Reason::ProtocolVersion));
    }
    // A replica that has nothing is compared in these alone.
    let nothing = Hello::of_nothing((1, 1), right.node_id);
    expected.push((nothing, true, Reason::ReplicationBusy));
    expected.push((Hello { versions: (2, 2), ..nothing }, true, Reason::ProtocolVersion));
    for shape in [
        Shape { segment_bytes: 8192, ..right.shape },
        Shape { table_bytes: 2048, ..right.shape },
        Shape { block_bytes: 512, ..right.shape },
    ] {
        expected.push((Hello { shape, ..right }, false, Reason::IdentityOtherParameters));
    }
    for (hello, full, reason) in expected {
        let mut session = primary.session();
        session.receive(&encoded(Frame::Hello(hello)), &extent, full);
        let refuse = served(&mut session, &extent, ALL).pop().unwrap().refuse();
        assert_eq!(refuse.reason, u16::from(reason.number()), "{hello:?}");
        assert_eq!((refuse.oldest, refuse.durable), (extent.oldest, extent.durable));
        assert!(refuse.text.starts_with(reason.name()), "{}", refuse.text);
        assert_eq!(session.state(), State::Ended);
    }
    // A version among others that are unknown.
    let mut session = primary.session();
    let hello = Hello { versions: (0, 9), ..right };
    assert_eq!(answers(&mut session, &extent, &encoded(Frame::Hello(hello))).remove(0).welcome().version, 1);
}

/// WIRE-HELLO, R-DIVERGENCE: at every position of the log exactly the point that this log has there is the same log.
#[test]
fn another_history_or_commit_at_any_position_is_divergence() {
    let mut primary = Primary::new();
    primary.fill();
    let extent = primary.node.extent();
    let outcome = |point: LogPoint| {
        let mut session = primary.session();
        let came = answers(&mut session, &extent, &encoded(Frame::Hello(primary.hello(point))));
        session.refusal().map(aerodb::Error::reason).inspect(|reason| {
            assert_eq!(came.into_iter().next().unwrap().refused(), *reason);
        })
    };
    let points = primary.points();
    assert!(points.len() > 100);
    for point in &points {
        assert_eq!(outcome(*point), None, "{point}");
        let other = LogPoint { history: History(point.history.0 ^ 1), ..*point };
        assert_eq!(outcome(other), Some(Reason::HistoryDiverged), "{other}");
        let other = LogPoint { commit: CommitId(point.commit.0 + 1), ..*point };
        assert_eq!(outcome(other), Some(Reason::HistoryDiverged), "{other}");
    }
    for position in 0..extent.durable.position.0 {
        if points.iter().all(|point| point.position.0 != position) {
            let other = LogPoint { position: Position(position), ..extent.durable };
            assert_eq!(outcome(other), Some(Reason::HistoryDiverged), "{position}");
        }
    }
}

/// WIRE-PULL: what the protocol does not allow at a point is refused, and ends the session.
#[test]
fn frames_that_are_not_the_replicas_or_come_at_another_time_are_refused() {
    let mut primary = Primary::new();
    primary.fill();
    let extent = primary.node.extent();
    let (middle, end) = (primary.points()[7], extent.durable.position.0);
    let at = middle.position.0;
    let hello = encoded(Frame::Hello(primary.hello(middle)));
    let unexpected = |first: &[u8], bytes: &[u8]| {
        let mut session = welcomed(&primary, middle);
        session.receive(first, &extent, false);
        assert_eq!(refusal(&primary, &mut session, bytes), Reason::ProtocolUnexpected);
    };
    // The first fetch, and those behind it: a gap, an overlap, the same again.
    for from in [at - 1, at + 1, end, end + 1] {
        unexpected(&[], &fetch(from, from + 100));
    }
    for from in [at, at + 99, at + 101, end] {
        unexpected(&fetch(at, at + 100), &fetch(from, from + 10));
    }
    // A second HELLO, and the frames of a primary.
    let segment = Segment { from: Position(0), bytes: 1, ends_segment: false, durable: extent.durable };
    let refuse = Refuse { reason: 1, oldest: Position(0), durable: extent.durable, text: "no".to_owned() };
    let mut session = primary.session();
    let welcome = answers(&mut session, &extent, &hello).remove(0).frame;
    for frame in [hello.clone(), encoded(welcome), encoded(Frame::Refuse(refuse)), encoded(Frame::Segment(segment))] {
        unexpected(&[], &frame);
        unexpected(&fetch(at, at + 100), &frame);
    }
    // A fetch of whoever has not said who it is, or that it has nothing.
    assert_eq!(refusal(&primary, &mut primary.session(), &fetch(0, 1)), Reason::ProtocolUnexpected);
    let mut session = primary.session();
    let nothing = Hello::of_nothing((1, 1), Id([3; 16]));
    answers(&mut session, &extent, &encoded(Frame::Hello(nothing))).remove(0).welcome();
    assert_eq!(session.state(), State::Introduced);
    assert_eq!(refusal(&primary, &mut session, &fetch(0, 1)), Reason::ProtocolUnexpected);
}

/// WIRE-FRAME: no bit of what a replica says can be flipped, and what is answered does not depend on the pieces.
#[test]
fn every_flipped_bit_is_refused_and_pieces_make_no_difference() {
    let mut primary = Primary::new();
    primary.fill();
    let (extent, start) = (primary.node.extent(), primary.genesis());
    let (hello, fetch) = (encoded(Frame::Hello(primary.hello(start))), fetch(0, 3000));
    for bit in 0..hello.len() * 8 {
        let mut flipped = hello.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(refusal(&primary, &mut primary.session(), &flipped), Reason::ProtocolMalformed, "bit {bit}");
    }
    for bit in 0..fetch.len() * 8 {
        let mut flipped = fetch.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let mut session = welcomed(&primary, start);
        assert_eq!(refusal(&primary, &mut session, &flipped), Reason::ProtocolMalformed, "bit {bit}");
    }
    let said =
        [hello, fetch, encoded(Frame::Fetch(aerodb::frame::Fetch { from: Position(3000), upto: Position(9000) }))];
    let said = said.concat();
    let whole = answers(&mut primary.session(), &extent, &said);
    assert!(whole.len() > 3);
    for seed in 0..50 {
        let (mut dice, mut session, mut left) = (Dice(seed), primary.session(), said.as_slice());
        let mut came = Vec::new();
        while !left.is_empty() {
            let (piece, rest) = left.split_at(left.len().min(1 + dice.below(60) as usize));
            session.receive(piece, &extent, false);
            left = rest;
        }
        came.extend(served(&mut session, &extent, ALL));
        assert_eq!(came, whole, "seed {seed}");
    }
}

/// WIRE-BOUND, WIRE-FRAME: nothing is kept on the word of a length, nor of whoever speaks another language.
#[test]
fn hostile_bytes_end_the_session_and_nothing_else() {
    let primary = Primary::new();
    let header = |length: u32, kind: u8| {
        let mut bytes = length.to_le_bytes().to_vec();
        bytes.extend([kind, 0, 0, 0, 0, 0, 0, 0]);
        let crc = crc32c::crc32c(&bytes);
        bytes.extend(crc.to_le_bytes());
        bytes
    };
    for kind in 0..=255 {
        for length in [0, 15, 17, 103, 105, 1 << 20, 1 << 24, u32::MAX] {
            let bytes = header(length, kind);
            // Lengths that these kinds may have, which are a primary's: their fields are not waited for.
            let is_primarys = match kind {
                3 => [103, 105].contains(&length),
                5 | 7 => [103, 105, 1 << 20].contains(&length),
                8 => [17, 103, 105].contains(&length),
                _ => false,
            };
            let reason = if is_primarys { Reason::ProtocolUnexpected } else { Reason::ProtocolMalformed };
            assert_eq!(refusal(&primary, &mut primary.session(), &bytes), reason, "{kind} {length}");
        }
    }
    let seed = 4711;
    let mut dice = Dice(seed);
    for _ in 0..2000 {
        let mut bytes: Vec<u8> = (0..16 + dice.below(300)).map(|_| dice.roll() as u8).collect();
        bytes[3] = 0;
        assert_eq!(refusal(&primary, &mut primary.session(), &bytes), Reason::ProtocolMalformed, "seed {seed}");
    }
}

/// WIRE-PORT: a client is told in words at its fourth byte, also where a whole request is shorter than the head of a frame.
#[test]
fn a_client_is_told_where_its_port_is() {
    let primary = Primary::new();
    let requests = ["PING\r\n", "hello 3\r\n", "*1\r\n$4\r\nPING\r\n", "GET / HTTP/1.1\r\n\r\n", "PSYNC ? -1\r\n"];
    for text in requests {
        let mut session = primary.session();
        let (extent, (before, rest)) = (primary.node.extent(), text.as_bytes().split_at(3));
        session.receive(before, &extent, false);
        assert!(session.serve(&extent, ALL).is_none());
        session.receive(rest, &extent, false);
        let told = String::from_utf8(session.serve(&extent, ALL).unwrap().bytes).unwrap();
        assert!(told.starts_with("-ERR protocol.other_port ") && told.ends_with("--replication.\r\n"), "{told}");
        assert!(told.contains(Reason::ProtocolOtherPort.remedy()));
        let refusal = session.refusal().unwrap();
        assert_eq!((refusal.reason(), refusal.fact("told")), (Reason::ProtocolOtherPort, text.lines().next()));
        session.receive(&vec![b'x'; 1 << 20], &extent, false);
        assert!(session.serve(&extent, ALL).is_none() && session.held_bytes() == 0);
    }
}

/// The segment that is read stays readable when retention removes it; where the next one is gone too, the replica is told.
#[test]
fn log_that_retention_removes_under_a_session_ends_it_by_name() {
    let mut primary = Primary::new();
    for _ in 0..14 {
        primary.commit(600);
    }
    let (start, files) = (primary.genesis(), sim_segments(&primary.disk, Path::new(DIR)));
    let mut session = welcomed(&primary, start);
    let mut log = Log::from(0);
    session.receive(&fetch(0, 100_000), &primary.node.extent(), false);
    let mut begun = session.serve(&primary.node.extent(), 100).unwrap().bytes;
    log.take(Came::take(&mut begun).unwrap());
    let mut idle = welcomed(&primary, start);
    assert_eq!(answers(&mut idle, &primary.node.extent(), &fetch(0, 100)).len(), 1);
    primary.node.close().unwrap();
    primary.node = Node::open(&Options { retention: Retention::Bytes(1), ..options(&primary.disk) }).unwrap();
    primary.node.checkpoint(Purpose::Checkpoint).unwrap();
    let extent = primary.node.extent();
    assert!(extent.oldest.0 > *files.keys().nth(1).unwrap(), "more than one segment is gone");
    let mut came = served(&mut session, &extent, ALL);
    assert_eq!(came.pop().unwrap().refused(), Reason::HistoryRetired);
    came.into_iter().for_each(|came| log.take(came));
    log.is_that_of(&files);
    assert_eq!(log.segments.len(), 1, "the whole of the segment that was open, and no more");
    assert!(log.begins);
    // Who was sent all that it asked for holds no segment.
    let mut came = answers(&mut idle, &extent, &fetch(100, 100_000));
    assert_eq!((came.len(), came.remove(0).refused()), (1, Reason::HistoryRetired));
    // Whoever comes from there is told at once; whoever comes from what is kept is welcome.
    let hello = encoded(Frame::Hello(primary.hello(start)));
    assert_eq!(answers(&mut primary.session(), &extent, &hello).remove(0).refused(), Reason::HistoryRetired);
    let mut session = welcomed(&primary, primary.points()[0]);
    let mut log = Log::from(extent.oldest.0);
    let asked = fetch(extent.oldest.0, extent.oldest.0 + (1 << 20));
    answers(&mut session, &extent, &asked).into_iter().for_each(|came| log.take(came));
    log.is_that_of(&sim_segments(&primary.disk, Path::new(DIR)));
    // An extent of before the removal: the file is not there any more.
    let stale = Extent { oldest: start.position, ..extent };
    let mut session = primary.session();
    let refuse = answers(&mut session, &stale, &hello).remove(0).refuse();
    assert_eq!(refuse.reason, u16::from(Reason::HistoryRetired.number()));
    assert_eq!(refuse.oldest, extent.oldest, "it is told what is kept now");
}

/// F-D2: a file of the primary that can't be read, or that is shorter than it was, ends the session by name; the primary goes on.
#[test]
fn a_fault_of_the_primarys_disk_ends_the_session_and_nothing_else() {
    let mut primary = Primary::new();
    primary.fill();
    let (extent, points) = (primary.node.extent(), primary.points());
    let from = |point: LogPoint| {
        [encoded(Frame::Hello(primary.hello(point))), fetch(point.position.0, (1 << 20) + point.position.0)].concat()
    };
    let said = from(points[3]);
    let from_newest = from(*points.iter().find(|point| point.position == extent.segment).unwrap());
    let reads = primary.disk.reads();
    let whole = answers(&mut primary.session(), &extent, &said);
    let reads = primary.disk.reads() - reads;
    assert!(reads > 20);
    for at in 0..reads {
        primary.disk.fail_read(primary.disk.reads() + at, Fault::Eio);
        let mut session = primary.session();
        let mut came = answers(&mut session, &extent, &said);
        let refused = came.pop().unwrap().refused();
        assert!([Reason::DiskReadFailed, Reason::DiskNameFailed].contains(&refused), "read {at}: {refused}");
        assert_eq!(came, whole[..came.len()], "read {at}: what came before is the log");
        primary.disk.heal();
        assert_eq!(answers(&mut primary.session(), &extent, &said), whole);
    }
    let first = Path::new(DIR).join("wal").join(aerodb::wal::file_name(Position(0)));
    let bytes = primary.disk.contents(&first).unwrap();
    primary.disk.overwrite(&first, &bytes[..1000]);
    let came = answers(
        &mut primary.session(),
        &extent,
        &[encoded(Frame::Hello(primary.hello(primary.genesis()))), fetch(0, 9000)].concat(),
    );
    assert_eq!(came.into_iter().next_back().unwrap().refused(), Reason::WalTruncated);
    // A replica that stands in what is cut off, or in the header of another log, has not diverged.
    let cut_off = *points.iter().rfind(|point| point.position.0 + 512 < bytes.len() as u64).unwrap();
    let hello = encoded(Frame::Hello(primary.hello(cut_off)));
    assert_eq!(answers(&mut primary.session(), &extent, &hello).remove(0).refused(), Reason::WalTruncated);
    let other = aerodb::wal::Lineage { epoch: 7, ..primary.node.log().lineage };
    let header = aerodb::wal::encode_header(other, primary.genesis());
    primary.disk.overwrite(&first, [&header[..], &bytes[512..]].concat());
    let hello = encoded(Frame::Hello(primary.hello(primary.genesis())));
    assert_eq!(answers(&mut primary.session(), &extent, &hello).remove(0).refused(), Reason::WalSegmentCorrupt);
    primary.disk.overwrite(&first, [&[0; 512][..], &bytes[512..]].concat());
    let genesis = encoded(Frame::Hello(primary.hello(primary.genesis())));
    assert_eq!(answers(&mut primary.session(), &extent, &genesis).remove(0).refused(), Reason::WalSegmentCorrupt);
    // The newest, whose end is the durable one whatever the file says.
    let newest = Path::new(DIR).join("wal").join(aerodb::wal::file_name(extent.segment));
    let bytes = primary.disk.contents(&newest).unwrap();
    primary.disk.overwrite(&newest, &bytes[..bytes.len().min(520)]);
    assert_eq!(answers(&mut primary.session(), &extent, &from_newest).pop().unwrap().refused(), Reason::WalTruncated);
    primary.disk.overwrite(&newest, &bytes);
    // A segment that somebody else removed is no retention.
    let firsts: Vec<u64> = sim_segments(&primary.disk, Path::new(DIR)).into_keys().collect();
    let mut session = welcomed(&primary, *points.iter().find(|point| point.position.0 == firsts[3]).unwrap());
    primary.disk.remove(&Path::new(DIR).join("wal").join(aerodb::wal::file_name(Position(firsts[3])))).unwrap();
    let asked = fetch(firsts[3], firsts[3] + 1);
    assert_eq!(refusal(&primary, &mut session, &asked), Reason::WalSegmentMissing);
    primary.commit(10);
}
