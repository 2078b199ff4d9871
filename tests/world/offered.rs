//! A primary in a small world, as a replica sees it through its link: it offers its checkpoint as a snapshot, and its log.
//!
//! It shares no code with the primary's side of the product: what it offers is read from the files of a closed directory. What it says can
//! be bent on the way, and the connection can be lost after any byte.

use super::{DIR, Dice, Writes, batch, init_options, options, shared, tiny};
use aerodb::disk::{Disk, SimDisk};
use aerodb::frame::{self, Chunk, Fetch, Frame, Hello, Purpose, Refuse, Segment, Shape, Snapshot, Welcome};
use aerodb::store::manifest::Manifest;
use aerodb::wal::{self, LogCursor, SEGMENT_HEADER_BYTES};
use aerodb::wire::link::{Link, Slept};
use aerodb::{CommitId, Id, Identity, Init, LogPoint, Node, Options, Position, Reason, Role, committer, recovery};
use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};

/// What a primary has: its directory, closed, and what it would serve of it.
pub struct Primary {
    pub disk: SimDisk,
    pub identity: Identity,
    pub manifest: Manifest,
    /// The point at which the segment begins that holds the cut.
    pub segment: LogPoint,
    /// The whole snapshot.
    pub snapshot: Vec<u8>,
    /// Where its files end.
    pub ends: Vec<u64>,
    /// The whole log, and where its segments end.
    pub log: Vec<u8>,
    pub seals: Vec<u64>,
    pub durable: LogPoint,
    pub commits: Vec<Writes>,
}

impl Primary {
    /// A primary with so many commits; `seed` decides what is in them.
    pub fn new(commits: usize, seed: u64) -> Primary {
        let disk = SimDisk::new();
        let init = Init { role: Role::Primary, ..init_options(&disk, tiny()) };
        let identity = Node::init(&init).unwrap();
        let retention = committer::Retention::All;
        let mut node = Node::open(&Options { retention, proofs: true, ..options(&disk) }).unwrap();
        let mut dice = Dice(seed);
        let mut history = Vec::new();
        for number in 0..commits {
            let mut writes = Writes::new();
            for _ in 0..=dice.below(3) {
                let key = format!("key-{}", dice.below(20)).into_bytes();
                let value = vec![dice.roll() as u8; 20 + dice.below(90) as usize];
                writes.push((key, (dice.below(4) > 0).then_some(value)));
            }
            node.commit(batch(&writes)).unwrap();
            history.push(writes);
            if number > 4 && number == commits / 2 {
                node.raise_floor(CommitId(number as u64 / 2)).unwrap();
            }
        }
        node.maintain().unwrap();
        node.close().unwrap();
        Primary::of(disk, identity, history)
    }

    fn of(disk: SimDisk, identity: Identity, commits: Vec<Writes>) -> Primary {
        let (store, log_dir) = (Path::new(DIR).join("store"), wal::directory(Path::new(DIR)));
        let manifest = Manifest::read(&disk, &store, identity.database_id).unwrap();
        let node = Node::open(&options(&disk.image().restart())).unwrap();
        let durable = node.durable();
        drop(node);
        let firsts: Vec<u64> = disk
            .list(&log_dir)
            .unwrap()
            .unwrap()
            .iter()
            .filter_map(|name| wal::parse_name(name))
            .map(|at| at.0)
            .collect();
        let holds = *firsts.iter().rfind(|first| **first <= manifest.point.position.0).unwrap();
        let file = disk.contents(&log_dir.join(wal::file_name(Position(holds)))).unwrap();
        let (_, segment) = wal::decode_header(&file[..SEGMENT_HEADER_BYTES as usize]).unwrap();
        let (mut snapshot, mut ends) = (Vec::new(), Vec::new());
        for run in &manifest.plan.runs {
            snapshot.extend(disk.contents(&store.join(run.id.file_name())).unwrap());
            ends.push(snapshot.len() as u64);
        }
        let piece = (manifest.point.position.0 - holds) as usize;
        snapshot.extend(&file[SEGMENT_HEADER_BYTES as usize..][..piece]);
        ends.push(snapshot.len() as u64);

        let lineage = recovery::lineage(&identity);
        let mut cursor = LogCursor::open(shared(&disk), &log_dir, lineage, Position(0), durable).unwrap();
        let mut log = Vec::new();
        while let Some((_, bytes)) = cursor.next_record().unwrap() {
            log.extend_from_slice(bytes);
        }
        let seals = firsts.into_iter().skip(1).collect();
        Primary { disk, identity, manifest, segment, snapshot, ends, log, seals, durable, commits }
    }

    pub fn cut(&self) -> LogPoint {
        self.manifest.point
    }

    /// The MANIFEST frame that is right.
    pub fn offer(&self) -> frame::Manifest {
        let (cut, segment, bytes) = (self.cut(), self.segment, self.snapshot.len() as u64);
        frame::Manifest { cut, segment, bytes, manifest: self.manifest.encode() }
    }

    /// The WELCOME frame that is right.
    pub fn welcome(&self) -> Welcome {
        let Identity { database_id, node_id, epoch, parameters, .. } = self.identity;
        let (version, shape, oldest) = (frame::VERSION, Shape::from(parameters), Position(0));
        Welcome { version, database_id, node_id, epoch, shape, oldest, durable: self.durable }
    }

    pub fn store_file(&self, name: &str) -> Vec<u8> {
        self.disk.contents(&PathBuf::from(DIR).join("store").join(name)).unwrap()
    }
}

/// What a primary says.
#[derive(Clone, Debug)]
pub enum Said {
    Frame(Frame),
    Chunk(Chunk, Vec<u8>),
    Log(Segment, Vec<u8>),
    /// Bytes that are no frame.
    Noise(Vec<u8>),
}

impl Said {
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self {
            Said::Frame(frame) => frame.encode(&mut bytes),
            Said::Chunk(chunk, following) => {
                Frame::Chunk(*chunk).encode(&mut bytes);
                bytes.extend(following);
            }
            Said::Log(segment, following) => {
                Frame::Segment(*segment).encode(&mut bytes);
                bytes.extend(following);
            }
            Said::Noise(noise) => bytes.extend(noise),
        }
        bytes
    }
}

/// A chunk of these bytes, with the checksum that is right.
pub fn chunk(from: u64, bytes: &[u8]) -> Said {
    Said::Chunk(Chunk { from, bytes: bytes.len(), crc: crc32c::crc32c(bytes) }, bytes.to_vec())
}

/// A refusal.
pub fn refuse(reason: Reason) -> Said {
    let (oldest, durable) = (Position(0), LogPoint::default());
    Said::Frame(Frame::Refuse(Refuse { reason: reason.number().into(), oldest, durable, text: "told".to_owned() }))
}

/// The link to a primary that serves whoever connects.
pub struct Served<'a> {
    primary: &'a Primary,
    /// What is said in place of what would be.
    bend: Box<dyn FnMut(Said) -> Vec<Said> + 'a>,
    /// Connections end when so many bytes were said in each; one number a connection, and none behind the last.
    losses: VecDeque<usize>,
    /// Most bytes of a chunk.
    chunk_bytes: usize,
    /// Most bytes that one read gets.
    piece: usize,
    pub connections: u64,
    /// The longest sleeps that were asked for.
    pub delays: Vec<u32>,
    came: Vec<u8>,
    to_say: VecDeque<u8>,
    said: usize,
    connected: bool,
    purpose: Option<Purpose>,
    sent: u64,
    allowed: u64,
    /// The most that was allowed beyond what was sent.
    pub open_most: u64,
}

impl<'a> Served<'a> {
    pub fn new(primary: &'a Primary) -> Served<'a> {
        Served {
            primary,
            bend: Box::new(|said| vec![said]),
            losses: VecDeque::new(),
            chunk_bytes: 700,
            piece: 333,
            connections: 0,
            delays: Vec::new(),
            came: Vec::new(),
            to_say: VecDeque::new(),
            said: 0,
            connected: false,
            purpose: None,
            sent: 0,
            allowed: 0,
            open_most: 0,
        }
    }

    /// The same, with everything that is said bent on the way.
    pub fn bent(self, bend: impl FnMut(Said) -> Vec<Said> + 'a) -> Served<'a> {
        Served { bend: Box::new(bend), ..self }
    }

    /// The same, where connections are lost after so many bytes each.
    pub fn losing(self, losses: &[usize]) -> Served<'a> {
        Served { losses: losses.iter().copied().collect(), ..self }
    }

    fn say(&mut self, said: Said) {
        for said in (self.bend)(said) {
            self.to_say.extend(said.encode());
        }
    }

    fn welcome(&mut self, hello: &Hello) {
        self.purpose = Some(hello.purpose);
        self.say(Said::Frame(Frame::Welcome(self.primary.welcome())));
    }

    fn serve(&mut self, snapshot: Snapshot) {
        assert_eq!(self.purpose, Some(Purpose::Snapshot));
        assert_eq!(snapshot.from, self.allowed, "an allowance begins where the one before ended");
        let total = self.primary.snapshot.len() as u64;
        if snapshot.from == 0 {
            self.say(Said::Frame(Frame::Manifest(self.primary.offer())));
        } else {
            assert!(snapshot.from < total, "an allowance for nothing");
        }
        self.allowed = snapshot.upto;
        self.open_most = self.open_most.max(self.allowed - self.sent);
        while self.sent < self.allowed.min(total) {
            let end = *self.primary.ends.iter().find(|end| **end > self.sent).unwrap();
            let upto = end.min(self.allowed).min(self.sent + self.chunk_bytes as u64);
            let bytes = &self.primary.snapshot[self.sent as usize..upto as usize];
            let said = chunk(self.sent, bytes);
            self.sent = upto;
            self.say(said);
        }
    }

    fn fetch(&mut self, fetch: Fetch) {
        assert_eq!(self.purpose, Some(Purpose::Follow));
        let (mut at, upto) = (fetch.from.0, fetch.upto.0.min(self.primary.durable.position.0));
        while at < upto {
            let seal = self.primary.seals.iter().find(|end| **end > at).copied();
            let to = upto.min(seal.unwrap_or(u64::MAX)).min(at + 1500);
            let bytes = self.primary.log[at as usize..to as usize].to_vec();
            let (from, durable, ends_segment) = (Position(at), self.primary.durable, Some(to) == seal);
            self.say(Said::Log(Segment { from, bytes: bytes.len(), ends_segment, durable }, bytes));
            at = to;
        }
    }
}

impl Link for Served<'_> {
    fn connect(&mut self) -> io::Result<()> {
        self.close();
        self.connections += 1;
        self.connected = true;
        Ok(())
    }

    fn is_connected(&mut self) -> io::Result<bool> {
        Ok(self.connected)
    }

    fn read(&mut self, bytes: &mut [u8]) -> io::Result<Option<usize>> {
        let left = self.losses.front().map_or(usize::MAX, |loss| loss - self.said);
        if left == 0 {
            self.losses.pop_front();
            return Ok(Some(0));
        }
        let count = bytes.len().min(self.piece).min(self.to_say.len()).min(left);
        if count == 0 {
            return Ok(None);
        }
        for (byte, said) in bytes.iter_mut().zip(self.to_say.drain(..count)) {
            *byte = said;
        }
        self.said += count;
        Ok(Some(count))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<Option<usize>> {
        self.came.extend(bytes);
        while let Some((frame, taken)) = Frame::decode(&self.came).unwrap() {
            self.came.drain(..taken);
            match frame {
                Frame::Hello(hello) => self.welcome(&hello),
                Frame::Snapshot(snapshot) => self.serve(snapshot),
                Frame::Fetch(fetch) => self.fetch(fetch),
                frame @ (Frame::Welcome(_)
                | Frame::Refuse(_)
                | Frame::Segment(_)
                | Frame::Manifest(_)
                | Frame::Chunk(_)
                | Frame::Probe(_)
                | Frame::Point(..)) => panic!("a replica does not say {frame:?}"),
            }
        }
        Ok(Some(bytes.len()))
    }

    fn is_readable(&self) -> bool {
        self.connected && (!self.to_say.is_empty() || self.losses.front().is_some_and(|loss| *loss <= self.said))
    }

    fn close(&mut self) {
        self.came.clear();
        self.to_say.clear();
        (self.said, self.connected, self.purpose) = (0, false, None);
        (self.sent, self.allowed) = (0, 0);
    }

    fn sleep(&mut self, at_most_seconds: Option<u32>) -> io::Result<Slept> {
        let Some(seconds) = at_most_seconds else {
            return Err(io::Error::other("it sleeps, and nobody would wake it"));
        };
        self.delays.push(seconds);
        Ok(Slept::Enough)
    }
}

/// The database and the primary that replicas of these primaries know.
pub fn ids(primary: &Primary) -> (Id, Id) {
    (primary.identity.database_id, primary.identity.node_id)
}
