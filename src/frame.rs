//! Frames: what a replica and its primary say to each other (`protocol.md`).
//!
//! A frame is a header of 16 bytes, whose own checksum proves the length before anything is done with it, and a body. The fields
//! of a body have a checksum; log bytes behind them have none of their own, because every record in them proves itself, and because
//! so they can go from a file to a socket untouched.
//!
//! Pure and total: bytes in any pieces, nothing is allocated on the word of a length.

use crate::codec::{self, Put, Reader};
use crate::commit_id::CommitId;
use crate::id::Id;
use crate::limits;
use crate::position::{LogPoint, Position};
use std::fmt;
use std::ops::RangeInclusive;

/// The version of the protocol that this program speaks.
pub const VERSION: u16 = 1;
/// Bytes of a frame before its body.
pub const HEADER_BYTES: usize = 16;
/// Bytes of a SEGMENT before its log bytes, header included.
pub const SEGMENT_HEAD_BYTES: usize = HEADER_BYTES + SEGMENT_FIELDS_BYTES;

const SEGMENT_FIELDS_BYTES: usize = 40;
const REFUSE_FIELDS_BYTES: usize = 40;
/// What is told of bytes that are text.
const TEXT_BYTES_MAX: usize = 256;
const HELLO_MAGIC: &[u8; 8] = b"AEROREPL";
const ENDS_SEGMENT: u32 = 1;
const HAS_NOTHING: u32 = 1;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Who the replica is, and where it stands.
    Hello,
    /// Who the primary is, and where it stands.
    Welcome,
    /// Why the primary will not serve.
    Refuse,
    /// Log is asked for.
    Fetch,
    /// Log that was asked for.
    Segment,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 5] = [Kind::Hello, Kind::Welcome, Kind::Refuse, Kind::Fetch, Kind::Segment];

    fn number(self) -> u8 {
        match self {
            Kind::Hello => 1,
            Kind::Welcome => 2,
            Kind::Refuse => 3,
            Kind::Fetch => 4,
            Kind::Segment => 5,
        }
    }

    fn from_number(number: u8) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.number() == number)
    }

    /// The kind's word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::Hello => "HELLO",
            Kind::Welcome => "WELCOME",
            Kind::Refuse => "REFUSE",
            Kind::Fetch => "FETCH",
            Kind::Segment => "SEGMENT",
        }
    }

    /// The shortest and the longest body of this kind.
    fn body_bytes(self) -> RangeInclusive<usize> {
        match self {
            Kind::Hello | Kind::Welcome => 104..=104,
            Kind::Refuse => REFUSE_FIELDS_BYTES..=REFUSE_FIELDS_BYTES + limits::REFUSAL_BYTES_MAX,
            Kind::Fetch => 16..=16,
            Kind::Segment => SEGMENT_FIELDS_BYTES + 1..=SEGMENT_FIELDS_BYTES + limits::SEGMENT_FRAME_BYTES_MAX,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What shapes the files of a database, as it travels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// Bytes of a segment.
    pub segment_bytes: u64,
    /// Bytes of log that one table holds.
    pub table_bytes: u64,
    /// Bytes of a data block.
    pub block_bytes: u32,
    /// Runs that merge into one.
    pub fanout: u32,
}

/// Who the replica is, and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The versions of the protocol that it speaks, from and to.
    pub versions: (u16, u16),
    /// It has no directory yet, and asks only whose log this is: database, epoch, shape and point are zero.
    pub has_nothing: bool,
    /// Whose log it follows.
    pub database_id: Id,
    /// Which node it is.
    pub node_id: Id,
    /// Which line of history.
    pub epoch: u64,
    /// What shapes its files.
    pub shape: Shape,
    /// The end of the log that it has proven.
    pub validated: LogPoint,
}

impl Hello {
    /// What a node says that has no directory yet.
    #[must_use]
    pub fn of_nothing(versions: (u16, u16), node_id: Id) -> Hello {
        Hello {
            versions,
            has_nothing: true,
            database_id: Id::default(),
            node_id,
            epoch: 0,
            shape: Shape::default(),
            validated: LogPoint::default(),
        }
    }
}

/// Who the primary is, and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The version that is spoken from here on.
    pub version: u16,
    /// Whose log it serves.
    pub database_id: Id,
    /// Which node it is.
    pub node_id: Id,
    /// Which line of history.
    pub epoch: u64,
    /// What shapes its files.
    pub shape: Shape,
    /// The oldest position that it can serve.
    pub oldest: Position,
    /// The durable end of its log: what the replica is to reach.
    pub durable: LogPoint,
}

/// Why the primary will not serve. It closes the connection behind this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refuse {
    /// The number of the reason.
    pub reason: u16,
    /// The oldest position that it can serve.
    pub oldest: Position,
    /// The durable end of its log.
    pub durable: LogPoint,
    /// The evidence, in words.
    pub text: String,
}

/// Log is asked for: everything from one position to another, as it becomes durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// The first byte: where the one before ended.
    pub from: Position,
    /// The byte behind the last.
    pub upto: Position,
}

/// Log that was asked for. The bytes follow behind the fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Where the first byte stands.
    pub from: Position,
    /// How many bytes there are.
    pub bytes: usize,
    /// A segment of the log ends behind the last of them.
    pub ends_segment: bool,
    /// The durable end of the primary's log.
    pub durable: LogPoint,
}

/// A frame; of a SEGMENT what stands before the log bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// See [`Hello`].
    Hello(Hello),
    /// See [`Welcome`].
    Welcome(Welcome),
    /// See [`Refuse`].
    Refuse(Refuse),
    /// See [`Fetch`].
    Fetch(Fetch),
    /// See [`Segment`].
    Segment(Segment),
}

/// Why bytes are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The header's checksum is wrong.
    HeaderChecksum,
    /// A kind that is unknown, or a reserved field that is not zero.
    Kind,
    /// A length that this kind can't have.
    Length,
    /// The checksum of the fields is wrong.
    BodyChecksum,
    /// A field holds what it can't.
    Field,
}

impl Fault {
    /// The fault in words, for evidence.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Fault::HeaderChecksum => "header checksum",
            Fault::Kind => "kind",
            Fault::Length => "length",
            Fault::BodyChecksum => "body checksum",
            Fault::Field => "field",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Frame {
    /// What it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Frame::Hello(_) => Kind::Hello,
            Frame::Welcome(_) => Kind::Welcome,
            Frame::Refuse(_) => Kind::Refuse,
            Frame::Fetch(_) => Kind::Fetch,
            Frame::Segment(_) => Kind::Segment,
        }
    }

    /// Appends the frame; behind a SEGMENT the caller appends the log bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut body = Vec::with_capacity(SEGMENT_FIELDS_BYTES);
        let mut log_bytes = 0;
        match self {
            Frame::Hello(hello) => {
                body.extend_from_slice(HELLO_MAGIC);
                body.put_u16(hello.versions.0);
                body.put_u16(hello.versions.1);
                body.put_u32(if hello.has_nothing { HAS_NOTHING } else { 0 });
                body.extend_from_slice(&hello.database_id.0);
                body.extend_from_slice(&hello.node_id.0);
                body.put_u64(hello.epoch);
                put_shape(&mut body, &hello.shape);
                body.put_point(hello.validated);
            }
            Frame::Welcome(welcome) => {
                body.put_u16(welcome.version);
                body.extend_from_slice(&[0; 6]);
                body.extend_from_slice(&welcome.database_id.0);
                body.extend_from_slice(&welcome.node_id.0);
                body.put_u64(welcome.epoch);
                put_shape(&mut body, &welcome.shape);
                body.put_u64(welcome.oldest.0);
                body.put_point(welcome.durable);
            }
            Frame::Refuse(refuse) => {
                let text = codec::shortened(&refuse.text, limits::REFUSAL_BYTES_MAX);
                body.put_u16(refuse.reason);
                body.put_u16(0);
                body.put_len32(text.len());
                body.put_u64(refuse.oldest.0);
                body.put_point(refuse.durable);
                body.extend_from_slice(text.as_bytes());
            }
            Frame::Fetch(fetch) => {
                body.put_u64(fetch.from.0);
                body.put_u64(fetch.upto.0);
            }
            Frame::Segment(segment) => {
                log_bytes = segment.bytes;
                body.put_u64(segment.from.0);
                body.put_len32(segment.bytes);
                body.put_u32(if segment.ends_segment { ENDS_SEGMENT } else { 0 });
                body.put_point(segment.durable);
            }
        }
        let start = out.len();
        out.put_len32(body.len().saturating_add(log_bytes));
        out.put_u8(self.kind().number());
        out.extend_from_slice(&[0; 3]);
        out.put_u32(crc32c::crc32c(&body));
        let crc = crc32c::crc32c(out.get(start..).unwrap_or_default());
        out.put_u32(crc);
        out.extend_from_slice(&body);
    }

    /// Reads the frame at the front of some bytes, and says how many of them it took; `None` where more must come. Of a SEGMENT only
    /// what stands before the log bytes is read and taken.
    ///
    /// # Errors
    /// What is wrong with it; nothing behind it can be read then.
    pub fn decode(bytes: &[u8]) -> Result<Option<(Frame, usize)>, Fault> {
        let Some(header) = bytes.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
        let (fields, crc) = header.split_last_chunk::<4>().ok_or(Fault::Length)?;
        if crc32c::crc32c(fields) != u32::from_le_bytes(*crc) {
            return Err(Fault::HeaderChecksum);
        }
        let mut reader = Reader::new(fields);
        let len = reader.len32().ok_or(Fault::Length)?;
        let kind = reader.u8().and_then(Kind::from_number).ok_or(Fault::Kind)?;
        if reader.array::<3>() != Some([0; 3]) {
            return Err(Fault::Kind);
        }
        if !kind.body_bytes().contains(&len) {
            return Err(Fault::Length);
        }
        let read = if kind == Kind::Segment { SEGMENT_FIELDS_BYTES } else { len };
        let taken = HEADER_BYTES.saturating_add(read);
        let Some(body) = bytes.get(HEADER_BYTES..taken) else { return Ok(None) };
        if reader.u32() != Some(crc32c::crc32c(body)) {
            return Err(Fault::BodyChecksum);
        }
        let mut reader = Reader::new(body);
        let frame = decode_body(kind, &mut reader, len).filter(|_| reader.is_empty());
        frame.map(|frame| Some((frame, taken))).ok_or(Fault::Field)
    }
}

/// The line that bytes begin with that are text; `None` for all that may become a frame, whose length has a zero.
#[must_use]
pub fn text(bytes: &[u8]) -> Option<String> {
    let is_text = |byte: &u8| matches!(byte, b' '..=b'~' | b'\t' | b'\r' | b'\n');
    let text = bytes.first_chunk::<4>().is_some_and(|first| first.iter().all(is_text));
    let line = bytes.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
    text.then(|| line.get(..TEXT_BYTES_MAX).unwrap_or(line).escape_ascii().to_string())
}

fn decode_body(kind: Kind, reader: &mut Reader<'_>, len: usize) -> Option<Frame> {
    Some(match kind {
        Kind::Hello => {
            if reader.array::<8>()? != *HELLO_MAGIC {
                return None;
            }
            let versions = (reader.u16()?, reader.u16()?);
            let has_nothing = flag(reader.u32()?, HAS_NOTHING)?;
            let hello = Hello {
                versions,
                has_nothing,
                database_id: Id(reader.array()?),
                node_id: Id(reader.array()?),
                epoch: reader.u64()?,
                shape: shape(reader)?,
                validated: point(reader)?,
            };
            if has_nothing && hello != Hello::of_nothing(versions, hello.node_id) {
                return None;
            }
            Frame::Hello(hello)
        }
        Kind::Welcome => {
            let version = reader.u16()?;
            if reader.array::<6>()? != [0; 6] {
                return None;
            }
            Frame::Welcome(Welcome {
                version,
                database_id: Id(reader.array()?),
                node_id: Id(reader.array()?),
                epoch: reader.u64()?,
                shape: shape(reader)?,
                oldest: Position(reader.u64()?),
                durable: point(reader)?,
            })
        }
        Kind::Refuse => {
            let reason = reader.u16()?;
            if reader.u16()? != 0 {
                return None;
            }
            let text_len = reader.len32()?;
            let (oldest, durable) = (Position(reader.u64()?), point(reader)?);
            let text = std::str::from_utf8(reader.take(text_len)?).ok()?.to_owned();
            Frame::Refuse(Refuse { reason, oldest, durable, text })
        }
        Kind::Fetch => {
            let fetch = Fetch { from: Position(reader.u64()?), upto: Position(reader.u64()?) };
            let bytes = fetch.upto.since(fetch.from);
            if bytes == 0 || bytes > limits::FETCH_BYTES_MAX {
                return None;
            }
            Frame::Fetch(fetch)
        }
        Kind::Segment => {
            let (from, bytes) = (Position(reader.u64()?), reader.len32()?);
            let ends_segment = flag(reader.u32()?, ENDS_SEGMENT)?;
            let durable = point(reader)?;
            let end = from.0.checked_add(u64::try_from(bytes).ok()?)?;
            let whole = SEGMENT_FIELDS_BYTES.checked_add(bytes)? == len;
            if bytes == 0 || !whole || end > durable.position.0 {
                return None;
            }
            Frame::Segment(Segment { from, bytes, ends_segment, durable })
        }
    })
}

/// A word of flags of which one is known.
fn flag(word: u32, known: u32) -> Option<bool> {
    (word & !known == 0).then_some(word == known)
}

/// A point whose commit can be one.
fn point(reader: &mut Reader<'_>) -> Option<LogPoint> {
    reader.point().filter(|point| point.commit <= CommitId::MAX)
}

fn shape(reader: &mut Reader<'_>) -> Option<Shape> {
    Some(Shape {
        segment_bytes: reader.u64()?,
        table_bytes: reader.u64()?,
        block_bytes: reader.u32()?,
        fanout: reader.u32()?,
    })
}

fn put_shape(out: &mut Vec<u8>, shape: &Shape) {
    out.put_u64(shape.segment_bytes);
    out.put_u64(shape.table_bytes);
    out.put_u32(shape.block_bytes);
    out.put_u32(shape.fanout);
}

#[cfg(test)]
mod tests;
