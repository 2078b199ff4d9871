//! The wire between a replica and its primary: bytes in any pieces, and everything that can happen to them.
//!
//! Frames are known here only by their length, to lose, double, swap and damage whole ones. Each damaged piece carries the reasons with
//! which the replica may halt once it was delivered, and no other.

use super::dice::Dice;
use aerodb::Reason;
use aerodb::feeder::Session;
use aerodb::frame::{Frame, Segment};
use aerodb::receiver::worker::{Link, Slept};
use std::collections::VecDeque;
use std::io;

const FRAME_HEADER_BYTES: usize = 16;
/// What stands before the log bytes of a SEGMENT.
pub const SEGMENT_HEAD_BYTES: usize = 56;
pub const HELLO: u8 = 1;
pub const WELCOME: u8 = 2;
pub const SEGMENT: u8 = 5;

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
}

impl Connection {
    pub fn new(primary: usize, session: Session) -> Connection {
        let (part, up, down) = (Vec::new(), VecDeque::new(), VecDeque::new());
        Connection { primary, session, part, up, down, ended: false, parked: false }
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
}

impl SimLink {
    pub fn new(dice: Dice) -> SimLink {
        SimLink { stand: Stand::None, inbox: VecDeque::new(), outbox: Vec::new(), eof: false, dice }
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
    /// The primary says that a segment ends where none does, or does not say it.
    Lied,
}

/// What arrives instead of a frame, and what that justifies.
pub fn befall(mishap: Mishap, frame: Vec<u8>, dice: &mut Dice) -> Vec<Piece> {
    let is_segment = kind(&frame) == SEGMENT;
    let from_replica = kind(&frame) != SEGMENT && kind(&frame) != WELCOME && kind(&frame) != 3;
    let piece = |bytes: Vec<u8>, justifies: &[Reason]| Piece { bytes, justifies: justifies.to_vec() };
    match mishap {
        Mishap::Flipped => {
            let bit = dice.below(frame.len() as u64 * 8) as usize;
            let mut bytes = frame;
            bytes[bit / 8] ^= 1 << (bit % 8);
            let in_log = is_segment && bit / 8 >= SEGMENT_HEAD_BYTES;
            vec![piece(bytes, &[if in_log { Reason::SegmentRejected } else { Reason::ProtocolMalformed }])]
        }
        Mishap::Shortened => {
            let mut bytes = frame;
            let left = dice.range(1, bytes.len() as u64 - 1) as usize;
            bytes.truncate(left);
            // What follows is taken for its rest: for log, if the cut lies in log; and if whole frames are taken for it, one is missing.
            let in_log = is_segment && left >= SEGMENT_HEAD_BYTES;
            let all = [Reason::ProtocolMalformed, Reason::SegmentRejected, Reason::ReplicationGap];
            vec![piece(bytes, if in_log { &all } else { &all[..1] })]
        }
        Mishap::Doubled => {
            let again = frame.clone();
            let reason = if is_segment { Reason::ReplicationNotAsked } else { Reason::ProtocolUnexpected };
            vec![piece(frame, &[]), piece(again, &[reason])]
        }
        Mishap::Lied => match Frame::decode(&frame) {
            Ok(Some((Frame::Segment(segment), head))) => {
                let mut bytes = Vec::new();
                Frame::Segment(Segment { ends_segment: !segment.ends_segment, ..segment }).encode(&mut bytes);
                bytes.extend_from_slice(&frame[head..]);
                vec![piece(bytes, &[Reason::SegmentRejected])]
            }
            _ => vec![piece(frame, &[])],
        },
        // The frames that follow are not those that must.
        Mishap::Lost if from_replica => {
            vec![piece(Vec::new(), &[Reason::ProtocolUnexpected, Reason::ReplicationGap])]
        }
        Mishap::Lost if is_segment => vec![piece(Vec::new(), &[Reason::ReplicationGap])],
        Mishap::Lost => Vec::new(),
    }
}
