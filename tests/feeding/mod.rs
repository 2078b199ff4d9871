//! What a replica says, by hand: frames to send, frames that came, and the log of a primary to compare them with.

#![allow(dead_code)]

use aerodb::disk::SimDisk;
use aerodb::frame::{Fetch, Frame, Hello, Purpose, Refuse, VERSION, Welcome};
use aerodb::identity::Identity;
use aerodb::reason::Reason;
use aerodb::wal;
use aerodb::{Id, LogPoint, Position};
use std::collections::BTreeMap;
use std::path::Path;

/// A HELLO that this primary welcomes: of a replica whose log ends here.
pub fn hello(primary: &Identity, end: LogPoint) -> Hello {
    Hello {
        versions: (VERSION, VERSION),
        purpose: Purpose::Follow,
        database_id: primary.database_id,
        node_id: Id([0x5e; 16]),
        epoch: primary.epoch,
        shape: primary.parameters.into(),
        validated: end,
    }
}

/// The bytes of a frame.
pub fn encoded(frame: Frame) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame.encode(&mut bytes);
    bytes
}

pub fn fetch(from: u64, upto: u64) -> Vec<u8> {
    encoded(Frame::Fetch(Fetch { from: Position(from), upto: Position(upto) }))
}

/// A frame that came, and the bytes of log or of a snapshot behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Came {
    pub frame: Frame,
    pub log: Vec<u8>,
}

impl Came {
    /// Takes the first whole frame from the front of some bytes.
    pub fn take(bytes: &mut Vec<u8>) -> Option<Came> {
        let (frame, mut taken) = Frame::decode(bytes).unwrap()?;
        let mut log = Vec::new();
        let following = match &frame {
            Frame::Segment(segment) => segment.bytes,
            Frame::Chunk(chunk) => chunk.bytes,
            Frame::Hello(_)
            | Frame::Welcome(_)
            | Frame::Refuse(_)
            | Frame::Fetch(_)
            | Frame::Snapshot(_)
            | Frame::Manifest(_)
            | Frame::Probe(_)
            | Frame::Point(..) => 0,
        };
        log.extend_from_slice(bytes.get(taken..taken + following)?);
        taken += following;
        bytes.drain(..taken);
        Some(Came { frame, log })
    }

    pub fn welcome(self) -> Welcome {
        let Frame::Welcome(welcome) = self.frame else { panic!("it was not welcomed: {:?}", self.frame) };
        welcome
    }

    pub fn refuse(self) -> Refuse {
        let Frame::Refuse(refuse) = self.frame else { panic!("it was not refused: {:?}", self.frame) };
        refuse
    }

    /// The reason of a REFUSE.
    #[track_caller]
    pub fn refused(self) -> Reason {
        let number = self.refuse().reason;
        *Reason::ALL.iter().find(|reason| u16::from(reason.number()) == number).unwrap()
    }
}

/// Log that came: checks each frame's place and flag, and keeps the bytes by segment.
pub struct Log {
    /// Where the next byte must stand.
    pub at: u64,
    /// Whether a segment ended behind the last byte, or none has begun.
    pub begins: bool,
    pub segments: BTreeMap<u64, Vec<u8>>,
}

impl Log {
    /// Log from the beginning of a segment on.
    pub fn from(at: u64) -> Log {
        Log { at, begins: true, segments: BTreeMap::new() }
    }

    /// Takes a frame (WIRE-PULL, WIRE-RAW).
    #[track_caller]
    pub fn take(&mut self, came: Came) {
        let Frame::Segment(segment) = came.frame else { panic!("no log: {:?}", came.frame) };
        assert_eq!(segment.from, Position(self.at), "it comes in order");
        assert!(segment.bytes <= aerodb::limits::SEGMENT_FRAME_BYTES_MAX);
        assert!(self.at + segment.bytes as u64 <= segment.durable.position.0, "it is durable");
        if self.begins {
            self.segments.insert(self.at, Vec::new());
        }
        self.segments.last_entry().unwrap().get_mut().extend_from_slice(&came.log);
        self.at += segment.bytes as u64;
        self.begins = segment.ends_segment;
    }

    /// Compares what came with the segment files of a primary, up to where it came, byte for byte.
    #[track_caller]
    pub fn is_that_of(&self, files: &BTreeMap<u64, Vec<u8>>) {
        let expected: Vec<u64> = files.keys().copied().filter(|first| *first < self.at).collect();
        assert_eq!(self.segments.keys().copied().collect::<Vec<_>>(), expected, "segments end where they do");
        for (first, bytes) in &self.segments {
            let file = &files[first][wal::SEGMENT_HEADER_BYTES as usize..];
            assert!(file[..bytes.len()] == bytes[..], "the bytes of segment {first}");
        }
    }
}

/// The segment files of a simulated disk, by their first positions.
pub fn sim_segments(disk: &SimDisk, dir: &Path) -> BTreeMap<u64, Vec<u8>> {
    let paths = disk.paths().into_iter().filter(|path| path.starts_with(wal::directory(dir)));
    paths.filter_map(|path| Some((first(&path)?, disk.contents(&path).unwrap()))).collect()
}

/// Those of the real disk.
pub fn real_segments(dir: &Path) -> BTreeMap<u64, Vec<u8>> {
    let entries = std::fs::read_dir(wal::directory(dir)).unwrap().map(|entry| entry.unwrap().path());
    entries.filter_map(|path| Some((first(&path)?, std::fs::read(path).unwrap()))).collect()
}

fn first(path: &Path) -> Option<u64> {
    wal::parse_name(path.file_name()?.to_str()?).map(|first| first.0)
}
