//! The wire between a replica and its primary: bytes in any pieces, and everything that can happen to them.
//!
//! Frames are known here only by their length, to lose, double, swap and damage whole ones. Each damaged piece carries the reasons with
//! which the replica may halt once it was delivered, and no other.

use super::dice::Dice;
use aerodb::feeder::Session;
use aerodb::frame::{self, CHUNK_HEAD_BYTES, Chunk, Frame, Hello, SEGMENT_HEAD_BYTES, Segment, Welcome};
use aerodb::receiver::worker::{Link, Slept};
use aerodb::store::run::RunId;
use aerodb::{LogPoint, Reason};
use std::collections::VecDeque;
use std::io;

const FRAME_HEADER_BYTES: usize = 16;
pub const HELLO: u8 = 1;
const FETCH: u8 = 4;
pub const SEGMENT: u8 = 5;
const SNAPSHOT: u8 = 6;
pub const MANIFEST: u8 = 7;
pub const CHUNK: u8 = 8;

/// Bytes under way, and what they justify once they arrive.
pub struct Piece {
    pub bytes: Vec<u8>,
    pub justifies: Vec<Reason>,
}

/// A connection that the primary has accepted.
pub struct Connection {
    /// Which primary.
    pub primary: usize,
    pub session: Session,
    /// From the replica: what is not a whole frame yet, and whole ones.
    pub part: Vec<u8>,
    pub up: VecDeque<Piece>,
    pub down: VecDeque<Piece>,
    /// The primary has ended it; what is under way still arrives.
    pub ended: bool,
    /// The session was parked when it was looked at last.
    pub parked: bool,
    /// The snapshot that is sent.
    pub snapshot: Option<Snapshot>,
}

/// A snapshot that is sent, and what its primary had when it began.
pub struct Snapshot {
    pub cut: LogPoint,
    pub oldest: u64,
    pub runs: Vec<RunId>,
}

impl Connection {
    pub fn new(primary: usize, session: Session) -> Connection {
        let (part, up, down) = (Vec::new(), VecDeque::new(), VecDeque::new());
        Connection { primary, session, part, up, down, ended: false, parked: false, snapshot: None }
    }

    pub fn down_bytes(&self) -> usize {
        self.down.iter().map(|piece| piece.bytes.len()).sum()
    }
}

/// What the replica sees of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stand {
    /// There is none.
    None,
    /// It was asked for.
    Asked,
    /// Nobody answers.
    Refused,
    /// It stands.
    Stands,
    /// It was reset.
    Reset,
}

/// The replica's side.
pub struct SimLink {
    pub stand: Stand,
    /// What has arrived.
    pub inbox: VecDeque<u8>,
    /// What was sent.
    pub outbox: Vec<u8>,
    /// Nothing follows what has arrived.
    pub eof: bool,
    pub dice: Dice,
    pub reading: Reading,
}

/// What the replica has read of its connection, as far as it must name a place of it: where the log that was announced ends.
#[derive(Default)]
pub struct Reading {
    /// The head of a frame that has not come whole.
    head: Vec<u8>,
    /// Bytes of the frame behind its head that have not come.
    left: usize,
    /// The end of the log that was announced, up to where something did not fit.
    pub announced: u64,
    /// The first log that did not continue what had been announced.
    pub odd: Option<u64>,
    welcomed: bool,
    /// What follows is not taken any more.
    over: bool,
}

impl Reading {
    /// The replica has introduced itself with so much log.
    pub fn introduced(&mut self, received: u64) {
        *self = Reading { announced: received, ..Reading::default() };
    }

    fn take(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && !self.over {
            let skipped = self.left.min(bytes.len());
            (self.left, bytes) = (self.left - skipped, &bytes[skipped..]);
            let Some((first, rest)) = bytes.split_first() else { return };
            self.head.push(*first);
            bytes = rest;
            let Some(header) = self.head.first_chunk::<FRAME_HEADER_BYTES>() else { continue };
            let body = u32::from_le_bytes(header[..4].try_into().expect("four bytes")) as usize;
            let fields = if header[4] == SEGMENT { body.min(SEGMENT_HEAD_BYTES - FRAME_HEADER_BYTES) } else { 0 };
            if self.head.len() < FRAME_HEADER_BYTES + fields {
                continue;
            }
            match Frame::decode(&self.head) {
                Ok(Some((Frame::Segment(segment), _))) if segment.from.0 == self.announced => {
                    self.announced = segment.from.0 + segment.bytes as u64;
                }
                Ok(Some((Frame::Segment(segment), _))) => (self.odd, self.over) = (Some(segment.from.0), true),
                // The one frame beside log that does not end the session.
                Ok(None) if !self.welcomed => self.welcomed = true,
                Ok(_) | Err(_) => self.over = true,
            }
            self.left = body - fields;
            self.head.clear();
        }
    }
}

impl SimLink {
    pub fn new(dice: Dice) -> SimLink {
        SimLink {
            stand: Stand::None,
            inbox: VecDeque::new(),
            outbox: Vec::new(),
            eof: false,
            dice,
            reading: Reading::default(),
        }
    }
}

impl Link for SimLink {
    fn connect(&mut self) -> io::Result<()> {
        self.close();
        self.stand = Stand::Asked;
        Ok(())
    }

    fn is_connected(&mut self) -> io::Result<bool> {
        match self.stand {
            Stand::Stands => Ok(true),
            Stand::Asked => Ok(false),
            Stand::None | Stand::Refused | Stand::Reset => Err(io::Error::other("refused")),
        }
    }

    fn read(&mut self, bytes: &mut [u8]) -> io::Result<Option<usize>> {
        if self.stand == Stand::Reset {
            return Err(io::Error::other("reset"));
        }
        let most = self.inbox.len().min(bytes.len());
        if most == 0 {
            return Ok(self.eof.then_some(0));
        }
        let count = if self.dice.once_in(2) { most } else { self.dice.range(1, most as u64) as usize };
        for (to, from) in bytes.iter_mut().zip(self.inbox.drain(..count)) {
            *to = from;
        }
        self.reading.take(&bytes[..count]);
        Ok(Some(count))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<Option<usize>> {
        if self.stand == Stand::Reset {
            return Err(io::Error::other("reset"));
        }
        if self.dice.once_in(8) {
            return Ok(None);
        }
        let count = if self.dice.once_in(2) { bytes.len() } else { self.dice.range(1, bytes.len() as u64) as usize };
        self.outbox.extend_from_slice(&bytes[..count]);
        Ok(Some(count))
    }

    fn is_readable(&self) -> bool {
        !self.inbox.is_empty()
    }

    fn close(&mut self) {
        self.stand = Stand::None;
        self.inbox.clear();
        self.outbox.clear();
        self.eof = false;
    }

    fn sleep(&mut self, _at_most_seconds: Option<u32>) -> io::Result<Slept> {
        Ok(Slept::UntilWoken)
    }
}

/// Cuts whole frames off the front of some bytes.
pub fn whole_frames(bytes: &mut Vec<u8>) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    while let Some(header) = bytes.first_chunk::<FRAME_HEADER_BYTES>() {
        let body = u32::from_le_bytes(header[..4].try_into().expect("four bytes")) as usize;
        if bytes.len() < FRAME_HEADER_BYTES + body {
            break;
        }
        frames.push(bytes.drain(..FRAME_HEADER_BYTES + body).collect());
    }
    frames
}

/// What a frame is.
pub fn kind(frame: &[u8]) -> u8 {
    frame[4]
}

/// What happens to a frame on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mishap {
    Flipped,
    Shortened,
    Doubled,
    Lost,
    /// It is well formed, and not what it should be.
    Lied,
}

/// What arrives instead of a frame, and what that justifies; `strange` is a frame that another snapshot had.
pub fn befall(mishap: Mishap, frame: Vec<u8>, strange: Option<&[u8]>, dice: &mut Dice) -> Vec<Piece> {
    let is_segment = kind(&frame) == SEGMENT;
    let is_chunk = kind(&frame) == CHUNK;
    let from_replica = [HELLO, FETCH, SNAPSHOT].contains(&kind(&frame));
    let piece = |bytes: Vec<u8>, justifies: &[Reason]| Piece { bytes, justifies: justifies.to_vec() };
    match mishap {
        Mishap::Flipped => {
            let bit = dice.below(frame.len() as u64 * 8) as usize;
            let mut bytes = frame;
            bytes[bit / 8] ^= 1 << (bit % 8);
            let reason = if is_segment && bit / 8 >= SEGMENT_HEAD_BYTES {
                Reason::SegmentRejected
            } else if is_chunk && bit / 8 >= CHUNK_HEAD_BYTES {
                Reason::SnapshotRejected
            } else {
                Reason::ProtocolMalformed
            };
            vec![piece(bytes, &[reason])]
        }
        Mishap::Shortened => {
            let mut bytes = frame;
            let left = dice.range(1, bytes.len() as u64 - 1) as usize;
            bytes.truncate(left);
            // What follows is taken for its rest: for log, if the cut lies in log; and if whole frames are taken for it, one is missing.
            let in_log = is_segment && left >= SEGMENT_HEAD_BYTES;
            let all = [Reason::ProtocolMalformed, Reason::SegmentRejected, Reason::ReplicationGap];
            let of_chunk = [Reason::ProtocolMalformed, Reason::SnapshotRejected, Reason::ProtocolUnexpected];
            let in_chunk = is_chunk && left >= CHUNK_HEAD_BYTES;
            vec![piece(bytes, if in_chunk { &of_chunk } else { &all[..if in_log { 3 } else { 1 }] })]
        }
        Mishap::Doubled => {
            let again = frame.clone();
            let reason = if is_segment { Reason::ReplicationNotAsked } else { Reason::ProtocolUnexpected };
            vec![piece(frame, &[]), piece(again, &[reason])]
        }
        Mishap::Lied => {
            let (bytes, justifies) = lied(&frame, strange, dice);
            vec![piece(bytes, justifies)]
        }
        // The frames that follow are not those that must.
        Mishap::Lost if from_replica => {
            vec![piece(Vec::new(), &[Reason::ProtocolUnexpected, Reason::ReplicationGap])]
        }
        Mishap::Lost if is_segment => vec![piece(Vec::new(), &[Reason::ReplicationGap])],
        Mishap::Lost if is_chunk || kind(&frame) == MANIFEST => vec![piece(Vec::new(), &[Reason::ProtocolUnexpected])],
        Mishap::Lost => Vec::new(),
    }
}

/// A frame that is well formed and not what it should be, and what that justifies.
fn lied(frame: &[u8], strange: Option<&[u8]>, dice: &mut Dice) -> (Vec<u8>, &'static [Reason]) {
    const OF_SNAPSHOT: &[Reason] = &[Reason::SnapshotRejected, Reason::SnapshotCutMismatch, Reason::ProtocolUnexpected];
    let encoded = |frame: Frame, rest: &[u8]| {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        bytes.extend_from_slice(rest);
        bytes
    };
    match Frame::decode(frame) {
        // A segment ends where none does, or nobody says that it does.
        Ok(Some((Frame::Segment(segment), head))) => {
            let lie = Segment { ends_segment: !segment.ends_segment, ..segment };
            (encoded(Frame::Segment(lie), &frame[head..]), &[Reason::SegmentRejected])
        }
        // Bytes of another snapshot, or none of any, under a checksum that holds.
        Ok(Some((Frame::Chunk(chunk), head))) => {
            let mut bytes = frame[head..].to_vec();
            let foreign = strange.and_then(|strange| strange.get(head..head + bytes.len()));
            match foreign.filter(|foreign| *foreign != bytes) {
                Some(foreign) => bytes.copy_from_slice(foreign),
                None => {
                    let bit = dice.below(bytes.len() as u64 * 8) as usize;
                    bytes[bit / 8] ^= 1 << (bit % 8);
                }
            }
            let lie = Chunk { crc: crc32c::crc32c(&bytes), ..chunk };
            (encoded(Frame::Chunk(lie), &bytes), &OF_SNAPSHOT[..2])
        }
        Ok(Some((Frame::Manifest(offer), _))) => {
            let lie = match (dice.below(4), strange) {
                (0, _) => frame::Manifest { bytes: offer.bytes + 1, ..offer },
                (1, _) => {
                    let mut cut = offer.cut;
                    cut.history.0 ^= 1;
                    frame::Manifest { cut, ..offer }
                }
                (2, _) => {
                    let mut segment = offer.segment;
                    segment.history.0 ^= 1;
                    frame::Manifest { segment, ..offer }
                }
                (_, Some(stale)) if stale != frame => return (stale.to_vec(), OF_SNAPSHOT),
                _ => return (frame.to_vec(), &[]),
            };
            (encoded(Frame::Manifest(lie), &[]), OF_SNAPSHOT)
        }
        Ok(Some((Frame::Welcome(welcome), rest))) => {
            let lie = Welcome { epoch: welcome.epoch + 1, ..welcome };
            (encoded(Frame::Welcome(lie), &frame[rest..]), &[Reason::IdentityOtherEpoch])
        }
        Ok(Some((Frame::Hello(hello), rest))) => {
            let lie = Hello { epoch: hello.epoch + 1, ..hello };
            (encoded(Frame::Hello(lie), &frame[rest..]), &[Reason::IdentityOtherEpoch])
        }
        _ => (frame.to_vec(), &[]),
    }
}
