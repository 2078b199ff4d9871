//! Snapshots and probes without a socket: what a session answers, which bytes leave, and what is pinned meanwhile (`docs/snapshot-transfer.md`).
//!
//! A node on a simulated disk writes and merges while its checkpoint is served. What is asked is written by hand (`feeding/`).

#![cfg(feature = "replication")]

mod feeding;
mod world;

use aerodb::committer::Retention;
use aerodb::disk::{Disk, Fault, SimDisk};
use aerodb::feeder::machine::State;
use aerodb::feeder::{Session, Source};
use aerodb::frame::{Before, Fetch, Frame, Hello, Manifest, Purpose, Shape, Snapshot};
use aerodb::limits::{CHUNK_BYTES_MAX, REPLICA_OUTPUT_BYTES, SNAPSHOTS_MAX};
use aerodb::store::Store;
use aerodb::wal::{self, LogCursor, SEGMENT_HEADER_BYTES};
use aerodb::{Id, LogPoint, Node, Options, Position, Reason, Role};
use feeding::{Came, encoded, hello, sim_segments};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use world::{DIR, Dice, batch, init_options, options, tiny};

const ALL: usize = 1 << 20;

/// A primary.
struct Primary {
    disk: SimDisk,
    node: Node,
    source: Arc<Source>,
    commits: u64,
}

impl Primary {
    fn new(retention: Retention, pinned_bytes_max: u64) -> Primary {
        let disk = SimDisk::new();
        Node::init(&aerodb::Init { role: Role::Primary, ..init_options(&disk, tiny()) }).unwrap();
        let node = Node::open(&Options { retention, pinned_bytes_max, ..options(&disk) }).unwrap();
        let source = Arc::new(Source::new(node.report().identity, node.log().clone(), node.store()));
        Primary { disk, node, source, commits: 0 }
    }

    /// One that keeps everything, and has runs of many levels.
    fn filled() -> Primary {
        let mut primary = Primary::new(Retention::All, u64::MAX);
        primary.fill(90);
        primary
    }

    /// Commits so often, and maintains.
    fn fill(&mut self, commits: u64) {
        let mut dice = Dice(self.commits + 3);
        for _ in 0..commits {
            let key = format!("key{}", dice.below(40)).into_bytes();
            let value = vec![dice.roll() as u8; dice.below(700) as usize];
            self.node.commit(batch(&vec![(key, Some(value))])).unwrap();
            self.node.maintain().unwrap();
            self.commits += 1;
        }
    }

    /// Raises the floor to the newest commit: merges drop all older versions from here on.
    fn raise_floor(&mut self) {
        let commit = self.node.durable().commit;
        self.node.raise_floor(commit).unwrap();
    }

    fn hello(&self, purpose: Purpose) -> Hello {
        Hello { purpose, ..hello(&self.node.report().identity, LogPoint::default()) }
    }

    fn session(&self) -> Session {
        Session::new(&self.source)
    }

    /// A session that was welcomed for this.
    fn welcomed(&self, purpose: Purpose) -> Session {
        let mut session = self.session();
        let came = self.answers(&mut session, &encoded(Frame::Hello(self.hello(purpose))));
        assert_eq!(came.into_iter().next().unwrap().welcome().durable, self.node.durable());
        session
    }

    /// Everything that a session sends now, with at most so many bytes in a chunk.
    fn served(&self, session: &mut Session, most: usize) -> Vec<Came> {
        let mut came = Vec::new();
        while let Some(outgoing) = session.serve(&self.node.extent(), most) {
            let mut bytes = outgoing.bytes;
            assert!(outgoing.part.is_none(), "what has a checksum is read");
            while let Some(next) = Came::take(&mut bytes) {
                let is_manifest = matches!(next.frame, Frame::Manifest(_));
                assert!(is_manifest || next.log.len() <= most.min(CHUNK_BYTES_MAX));
                came.push(next);
            }
            assert!(bytes.is_empty(), "it sends whole frames");
            assert!(session.held_bytes() <= REPLICA_OUTPUT_BYTES, "{}", session.held_bytes());
        }
        came
    }

    fn answers(&self, session: &mut Session, bytes: &[u8]) -> Vec<Came> {
        session.receive(bytes, &self.node.extent(), false);
        self.served(session, ALL)
    }

    #[track_caller]
    fn refusal(&self, session: &mut Session, bytes: &[u8]) -> Reason {
        let refused = self.answers(session, bytes).pop().unwrap().refused();
        assert_eq!((session.state(), session.refusal().map(aerodb::Error::reason)), (State::Ended, Some(refused)));
        assert!(self.answers(session, &snapshot(0, 1)).is_empty(), "it says nothing more");
        assert_eq!(session.snapshot_bytes(), None, "and holds nothing");
        refused
    }

    /// The files of its store.
    fn runs(&self) -> BTreeMap<String, Vec<u8>> {
        let directory = Store::directory(Path::new(DIR));
        let names = self.disk.list(&directory).unwrap().unwrap().into_iter().filter(|name| name.ends_with(".run"));
        names.map(|name| (name.clone(), self.disk.contents(&directory.join(name)).unwrap())).collect()
    }

    /// What a snapshot of this moment consists of, by its files.
    fn expected(&self) -> Expected {
        let manifest = self.disk.contents(&Store::directory(Path::new(DIR)).join("MANIFEST")).unwrap();
        let decoded = aerodb::store::manifest::Manifest::decode(&manifest).unwrap();
        let runs = self.runs();
        let mut files: Vec<Vec<u8>> = decoded.plan.runs.iter().map(|run| runs[&run.id.file_name()].clone()).collect();
        let cut = decoded.point;
        let segments = sim_segments(&self.disk, Path::new(DIR));
        let (first, segment) = segments.range(..=cut.position.0).next_back().unwrap();
        let (_, start) = wal::decode_header(&segment[..SEGMENT_HEADER_BYTES as usize]).unwrap();
        let log = &segment[SEGMENT_HEADER_BYTES as usize..][..(cut.position.0 - first) as usize];
        files.push(log.to_vec());
        Expected { cut, start, manifest, files }
    }
}

/// A snapshot, file by file; the last is its piece of log.
struct Expected {
    cut: LogPoint,
    start: LogPoint,
    manifest: Vec<u8>,
    files: Vec<Vec<u8>>,
}

impl Expected {
    fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.len() as u64).sum()
    }

    #[track_caller]
    fn is(&self, manifest: &Manifest) {
        assert_eq!((manifest.cut, manifest.segment, manifest.bytes), (self.cut, self.start, self.bytes()));
        assert!(manifest.manifest == self.manifest, "the file of the manifest");
    }

    /// Compares chunks with the files: from this place on, in order, none with bytes of two; where they end.
    #[track_caller]
    fn take(&self, mut at: u64, came: Vec<Came>) -> u64 {
        for came in came {
            let Frame::Chunk(chunk) = came.frame else { panic!("no chunk: {:?}", came.frame) };
            assert_eq!((chunk.from, chunk.bytes, chunk.crc), (at, came.log.len(), crc32c::crc32c(&came.log)));
            let mut begins = 0;
            let file = self.files.iter().find(|file| {
                let holds = at < begins + file.len() as u64;
                begins += if holds { 0 } else { file.len() as u64 };
                holds
            });
            let offset = (at - begins) as usize;
            assert!(file.unwrap()[offset..].starts_with(&came.log), "at {at}: of one file, as it stands there");
            at += chunk.bytes as u64;
        }
        at
    }
}

fn snapshot(from: u64, upto: u64) -> Vec<u8> {
    encoded(Frame::Snapshot(Snapshot { from, upto }))
}

/// Takes the manifest from the front of what came.
#[track_caller]
fn manifest(came: &mut Vec<Came>) -> Manifest {
    let Frame::Manifest(manifest) = came.remove(0).frame else { panic!("no manifest") };
    manifest
}

/// SNAP-CUT, WIRE-SNAPSHOT: whatever the allowances and the pieces, what leaves are the files of the checkpoint, byte for byte.
#[test]
fn a_snapshot_is_the_files_of_the_checkpoint() {
    let primary = Primary::filled();
    let expected = primary.expected();
    let lengths: Vec<usize> = expected.files.iter().map(Vec::len).collect();
    assert!(lengths.len() > 2 && !lengths.contains(&0), "{lengths:?}");
    let end = expected.bytes();
    for seed in 0..30 {
        let mut dice = Dice(seed);
        let most = if seed == 0 { ALL } else { 1 + dice.below(3000) as usize };
        let mut session = primary.welcomed(Purpose::Snapshot);
        assert_eq!(session.state(), State::AwaitingSnapshot);
        let (mut at, mut asked) = (0, 0);
        while at < end {
            let first = asked == 0;
            for _ in 0..=dice.below(3) {
                if asked < end {
                    let upto = asked + 1 + dice.below(if seed % 3 == 0 { 9000 } else { 900 });
                    session.receive(&snapshot(asked, upto), &primary.node.extent(), false);
                    asked = upto;
                }
            }
            assert_eq!(primary.node.store().checkpoints(), 1);
            assert_eq!((session.snapshot_bytes(), session.asked().0), (Some(end), asked));
            let mut came = primary.served(&mut session, most);
            if first {
                expected.is(&manifest(&mut came));
            }
            at = expected.take(at, came);
            assert_eq!(at, asked.min(end), "seed {seed}: all that was asked for, and no more");
            assert_eq!(session.state(), if at < end { State::Pinned } else { State::Copied }, "seed {seed}");
        }
        assert_eq!(
            (session.snapshot_bytes(), primary.node.store().checkpoints()),
            (None, 0),
            "what is sent is not pinned"
        );
        assert!(session.refusal().is_none());
    }
}

/// SNAP-CUT: at whatever moment it is taken. A new node has nothing but a manifest; a table may be sealed by the last record of a segment.
#[test]
fn every_checkpoint_of_a_growing_log_can_be_served() {
    let mut primary = Primary::new(Retention::All, u64::MAX);
    let mut cuts = std::collections::BTreeSet::new();
    for round in 0..200 {
        let expected = primary.expected();
        if cuts.insert(expected.cut.position) || round % 20 == 0 {
            let mut session = primary.welcomed(Purpose::Snapshot);
            let mut came = primary.answers(&mut session, &snapshot(0, 1 << 24));
            expected.is(&manifest(&mut came));
            assert_eq!((expected.take(0, came), session.state()), (expected.bytes(), State::Copied), "round {round}");
        }
        primary.fill(1);
    }
    assert!(cuts.len() > 20, "{}", cuts.len());
}

/// SNAP-PIN: checkpoints, merges and a floor meanwhile change nothing of it, and its runs go when it is sent.
#[test]
fn what_is_pinned_is_served_to_the_end_whatever_happens_meanwhile() {
    let mut primary = Primary::filled();
    let (expected, before) = (primary.expected(), primary.runs());
    let mut session = primary.welcomed(Purpose::Snapshot);
    let mut came = primary.answers(&mut session, &snapshot(0, 1));
    expected.is(&manifest(&mut came));
    let mut at = expected.take(0, came);
    while at < expected.bytes() {
        primary.fill(30);
        primary.raise_floor();
        let upto = at + 1 + expected.bytes() / 8;
        at = expected.take(at, primary.answers(&mut session, &snapshot(at, upto)));
        if at < expected.bytes() {
            assert!(before.keys().all(|name| primary.runs().contains_key(name)), "nothing that is pinned is removed");
        }
    }
    assert_eq!(session.state(), State::Copied);
    primary.node.maintain().unwrap();
    let after = primary.runs();
    let gone = before.keys().filter(|name| !after.contains_key(*name)).count();
    assert!(gone > 1, "{gone} of {}", before.len());
    assert_eq!(after.len() + 1, primary.expected().files.len(), "what no manifest names is not there");
}

/// SNAP-PIN: past the limit of what may be pinned the oldest goes, by name, also where its replica takes nothing.
#[test]
fn a_snapshot_whose_runs_were_taken_away_ends_by_name() {
    for looks in [false, true] {
        let mut primary = Primary::new(Retention::All, 0);
        primary.fill(90);
        let expected = primary.expected();
        let mut session = primary.welcomed(Purpose::Snapshot);
        let mut came = primary.answers(&mut session, &snapshot(0, 100));
        expected.is(&manifest(&mut came));
        assert_eq!(expected.take(0, came), 100);
        session.look(&primary.node.extent());
        assert_eq!(session.state(), State::Pinned, "nothing has gone");
        primary.fill(90);
        assert_eq!(primary.runs().len() + 1, primary.expected().files.len(), "its runs are removed");
        if looks {
            session.look(&primary.node.extent());
            assert_eq!((session.state(), primary.node.store().checkpoints()), (State::Ended, 0));
            assert_eq!(primary.served(&mut session, ALL).remove(0).refused(), Reason::SnapshotGone);
        } else {
            assert_eq!(primary.refusal(&mut session, &snapshot(100, 1 << 20)), Reason::SnapshotGone);
        }
        // Another one may begin, and is another.
        let mut session = primary.welcomed(Purpose::Snapshot);
        let mut came = primary.answers(&mut session, &snapshot(0, 1 << 24));
        primary.expected().is(&manifest(&mut came));
        assert_eq!(primary.expected().take(0, came), primary.expected().bytes());
    }
}

/// SNAP-PIN: a snapshot that no log of this primary follows any more is not sent to its end.
#[test]
fn a_snapshot_whose_log_was_dropped_ends_by_name() {
    let mut primary = Primary::new(Retention::Bytes(1), u64::MAX);
    primary.fill(90);
    let expected = primary.expected();
    let mut session = primary.welcomed(Purpose::Snapshot);
    primary.answers(&mut session, &snapshot(0, 100));
    let mut asked = 100;
    while primary.node.extent().oldest <= expected.cut.position {
        expected.take(asked, primary.answers(&mut session, &snapshot(asked, asked + 1)));
        asked += 1;
        primary.fill(1);
    }
    let mut came = primary.answers(&mut session, &snapshot(asked, asked + 1000));
    assert_eq!(came.remove(0).refused(), Reason::SnapshotGone);
    assert_eq!((came.len(), primary.node.store().checkpoints()), (0, 0));
}

/// SNAP-PIN, WIRE-BOUND: so many at a time and no more; whoever has got all, or has gone, makes room.
#[test]
fn more_snapshots_than_may_be_are_refused() {
    let primary = Primary::filled();
    let begun = || {
        let mut session = primary.welcomed(Purpose::Snapshot);
        primary.answers(&mut session, &snapshot(0, 1));
        session
    };
    let mut sessions: Vec<Session> = (0..SNAPSHOTS_MAX).map(|_| begun()).collect();
    assert!(sessions.iter().all(|session| session.state() == State::Pinned));
    let mut late = primary.welcomed(Purpose::Snapshot);
    assert_eq!(primary.refusal(&mut late, &snapshot(0, 1)), Reason::ReplicationBusy);
    primary.answers(&mut sessions[3], &snapshot(1, 1 << 24));
    assert_eq!((sessions[3].state(), begun().state()), (State::Copied, State::Pinned));
    sessions[5].disconnected();
    let _tenth = begun();
    assert_eq!(primary.node.store().checkpoints(), SNAPSHOTS_MAX - 1);
}

/// WIRE-HELLO: for a snapshot and for a fork whose log it is is compared, and where the replica stands is not.
#[test]
fn a_hello_for_a_snapshot_or_a_fork_is_compared_but_for_its_position() {
    let primary = Primary::filled();
    for purpose in [Purpose::Snapshot, Purpose::Fork] {
        let right = primary.hello(purpose);
        let refused = |hello: Hello, full: bool| {
            let mut session = primary.session();
            session.receive(&encoded(Frame::Hello(hello)), &primary.node.extent(), full);
            primary.served(&mut session, ALL).remove(0).refused()
        };
        assert_eq!(refused(Hello { versions: (2, 3), ..right }, true), Reason::ProtocolVersion);
        assert_eq!(refused(right, true), Reason::ReplicationBusy);
        assert_eq!(refused(Hello { database_id: Id([1; 16]), ..right }, false), Reason::IdentityOtherDatabase);
        assert_eq!(refused(Hello { epoch: 9, ..right }, false), Reason::IdentityOtherEpoch);
        let shape = Shape { fanout: 7, ..right.shape };
        assert_eq!(refused(Hello { shape, ..right }, false), Reason::IdentityOtherParameters);
        assert_eq!(primary.welcomed(purpose).purpose(), Some(purpose));
    }
    let mut session = primary.session();
    let far = LogPoint { position: Position(u64::MAX), ..primary.node.durable() };
    let hello = Hello { validated: far, ..primary.hello(Purpose::Fork) };
    primary.answers(&mut session, &encoded(Frame::Hello(hello))).remove(0).welcome();
}

/// WIRE-SNAPSHOT, WIRE-PROBE, WIRE-FRAME: in every state each frame that it does not allow is refused, and ends the session alone.
#[test]
fn frames_that_come_at_another_time_are_refused_in_every_state() {
    let primary = Primary::filled();
    let end = primary.expected().bytes();
    let fetch = |from, upto| encoded(Frame::Fetch(Fetch { from: Position(from), upto: Position(upto) }));
    let probe = |position| encoded(Frame::Probe(Position(position)));
    let hello = |purpose| encoded(Frame::Hello(primary.hello(purpose)));
    let chunk = encoded(Frame::Chunk(aerodb::frame::Chunk { from: 0, bytes: 1, crc: 0 }));
    let point = encoded(Frame::Point(Position(0), Before::Nothing));
    let sent = [hello(Purpose::Snapshot), hello(Purpose::Fork), hello(Purpose::Follow), fetch(0, 1), chunk, point];
    let refused = |purpose, story: &[Vec<u8>], state, bytes: &[u8]| {
        let mut session = primary.welcomed(purpose);
        story.iter().for_each(|bytes| session.receive(bytes, &primary.node.extent(), false));
        if state != State::Copying && state != State::Answering {
            primary.served(&mut session, ALL);
        }
        assert_eq!(session.state(), state);
        assert_eq!(primary.refusal(&mut session, bytes), Reason::ProtocolUnexpected, "{state}");
    };
    let stories = [
        (Purpose::Snapshot, vec![], State::AwaitingSnapshot, vec![snapshot(1, 2), probe(0)]),
        (
            Purpose::Snapshot,
            vec![snapshot(0, 9)],
            State::Copying,
            vec![snapshot(0, 9), snapshot(8, 10), snapshot(10, 11), probe(0)],
        ),
        (
            Purpose::Snapshot,
            vec![snapshot(0, 9)],
            State::Pinned,
            vec![snapshot(0, 9), snapshot(8, 10), snapshot(10, 11), probe(0)],
        ),
        (
            Purpose::Snapshot,
            vec![snapshot(0, end)],
            State::Copied,
            vec![snapshot(end, end + 1), snapshot(0, 1), probe(0)],
        ),
        (Purpose::Snapshot, vec![snapshot(0, end + 7)], State::Copying, vec![snapshot(end + 7, end + 9)]),
        (Purpose::Fork, vec![], State::Probing, vec![snapshot(0, 1)]),
        (Purpose::Fork, vec![probe(0)], State::Answering, vec![snapshot(0, 1), probe(1)]),
    ];
    for (purpose, story, state, others) in stories {
        for bytes in sent.iter().chain(&others) {
            refused(purpose, &story, state, bytes);
        }
    }
    for bytes in [snapshot(0, 1), probe(0)] {
        assert_eq!(primary.refusal(&mut primary.session(), &bytes), Reason::ProtocolUnexpected);
        let mut follower = primary.session();
        let genesis = aerodb::record::genesis(primary.node.report().identity.database_id, 1);
        let follow = Hello { validated: genesis, ..primary.hello(Purpose::Follow) };
        primary.answers(&mut follower, &encoded(Frame::Hello(follow))).remove(0).welcome();
        assert_eq!(primary.refusal(&mut follower, &bytes), Reason::ProtocolUnexpected);
    }
    for flipped in [snapshot(0, 100), probe(100)] {
        let purpose = if flipped.len() > 24 { Purpose::Snapshot } else { Purpose::Fork };
        for bit in 0..flipped.len() * 8 {
            let mut flipped = flipped.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(
                primary.refusal(&mut primary.welcomed(purpose), &flipped),
                Reason::ProtocolMalformed,
                "bit {bit}"
            );
        }
    }
    assert_eq!(primary.node.store().checkpoints(), 0, "nobody left a pin");
}

/// F-D2: a file that can't be read, or that is shorter than it was, ends the snapshot by name; what came before is right.
#[test]
fn a_fault_of_the_primarys_disk_ends_the_snapshot_and_nothing_else() {
    let primary = Primary::filled();
    let expected = primary.expected();
    let said = [encoded(Frame::Hello(primary.hello(Purpose::Snapshot))), snapshot(0, 1 << 24)].concat();
    let reads = primary.disk.reads();
    assert!(primary.answers(&mut primary.session(), &said).len() > 4);
    let reads = primary.disk.reads() - reads;
    for at in 0..reads {
        primary.disk.fail_read(primary.disk.reads() + at, Fault::Eio);
        let mut came = primary.answers(&mut primary.session(), &said);
        let refused = came.pop().unwrap().refused();
        assert!([Reason::DiskReadFailed, Reason::DiskNameFailed].contains(&refused), "read {at}: {refused}");
        if came.len() > 1 {
            came.remove(0);
            expected.is(&manifest(&mut came));
            expected.take(0, came);
        }
        primary.disk.heal();
        assert_eq!(primary.node.store().checkpoints(), 0);
    }
    let directory = Store::directory(Path::new(DIR));
    let (name, bytes) = primary.runs().into_iter().next().unwrap();
    primary.disk.overwrite(&directory.join(&name), &bytes[..bytes.len() / 2]);
    let mut came = primary.answers(&mut primary.session(), &said);
    assert_eq!(came.pop().unwrap().refused(), Reason::StoreRunCorrupt);
}

/// WIRE-PROBE: at every position of a small log, and beyond both its ends, the answer is what the log itself says.
#[test]
fn a_probe_is_answered_as_the_log_says_at_every_position() {
    let mut primary = Primary::new(Retention::Bytes(9000), u64::MAX);
    primary.fill(60);
    let (extent, log) = (primary.node.extent(), primary.node.log().clone());
    assert!(extent.oldest > Position(0) && extent.segment > extent.oldest);
    let mut cursor =
        LogCursor::open(Arc::clone(&log.disk), &log.directory, log.lineage, extent.oldest, extent.durable).unwrap();
    let mut points = BTreeMap::from([(cursor.point().position, cursor.point())]);
    while let Some((record, _)) = cursor.next_record().unwrap() {
        points.insert(record.after.position, record.after);
    }
    let mut session = primary.welcomed(Purpose::Fork);
    let mut counts = [0; 4];
    for position in (0..extent.durable.position.0 + 50).chain([u64::MAX]).map(Position) {
        let (before, place) = match points.get(&position) {
            _ if position < extent.oldest => (Before::Retired, 0),
            _ if position > extent.durable.position => (Before::Beyond, 1),
            Some(point) => (Before::Point(*point), 2),
            None => (Before::Nothing, 3),
        };
        counts[place] += 1;
        let reads = primary.disk.reads();
        let came = primary.answers(&mut session, &encoded(Frame::Probe(position)));
        // Whoever asks for what is not there costs no call: a list of the directory for each question would delay everybody (WIRE-BOUND).
        assert!(
            place > 1 || primary.disk.reads() == reads,
            "{position}: the disk is asked for what is known not to be there"
        );
        assert_eq!(came, [Came { frame: Frame::Point(position, before), log: Vec::new() }]);
        assert_eq!(session.state(), State::Probing);
    }
    assert!(counts.iter().all(|count| *count > 5), "{counts:?}");
}
