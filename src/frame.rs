//! Frames: what a replica and its primary say to each other (`protocol.md`).
//!
//! A frame is a header of 16 bytes, whose own checksum proves the length before anything is done with it, and a body. The fields
//! of a body have a checksum. Log bytes behind them have none of their own, because every record in them proves itself, and because
//! so they can go from a file to a socket untouched; the bytes of a snapshot have one, which its head names.
//!
//! Pure and total: bytes in any pieces, nothing is allocated on the word of a length.

use crate::codec::{self, Put, Reader};
use crate::commit_id::CommitId;
use crate::id::Id;
use crate::limits;
use crate::position::{History, LogPoint, Position};
use std::fmt;
use std::ops::RangeInclusive;

/// The version of the protocol that this program speaks.
pub const VERSION: u16 = 1;
/// Bytes of a frame before its body.
pub const HEADER_BYTES: usize = 16;
/// Bytes of a SEGMENT before its log bytes, header included.
pub const SEGMENT_HEAD_BYTES: usize = HEADER_BYTES + SEGMENT_FIELDS_BYTES;

/// Bytes of a CHUNK before its bytes of the snapshot, header included.
pub const CHUNK_HEAD_BYTES: usize = HEADER_BYTES + CHUNK_FIELDS_BYTES;

const SEGMENT_FIELDS_BYTES: usize = 40;
const CHUNK_FIELDS_BYTES: usize = 16;
const MANIFEST_FIELDS_BYTES: usize = 64;
const REFUSE_FIELDS_BYTES: usize = 40;
/// What is told of bytes that are text.
const TEXT_BYTES_MAX: usize = 256;
const HELLO_MAGIC: &[u8; 8] = b"AEROREPL";
const ENDS_SEGMENT: u32 = 1;

/// What a replica comes for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// To follow the log from where its own ends.
    Follow,
    /// To learn whose log this is: it has no directory yet, and database, epoch, shape and point are zero.
    Introduction,
    /// To get a snapshot: it knows whose log this is, has nothing of it that it would keep, and its point is zero.
    Snapshot,
    /// To find out where its log and this one part. Its point is shown, and not compared.
    Fork,
}

impl Purpose {
    /// Every purpose.
    pub const ALL: [Purpose; 4] = [Purpose::Follow, Purpose::Introduction, Purpose::Snapshot, Purpose::Fork];

    fn number(self) -> u32 {
        match self {
            Purpose::Follow => 0,
            Purpose::Introduction => 1,
            Purpose::Snapshot => 2,
            Purpose::Fork => 3,
        }
    }

    fn from_number(number: u32) -> Option<Purpose> {
        Purpose::ALL.into_iter().find(|purpose| purpose.number() == number)
    }

    /// The purpose in words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Purpose::Follow => "follow",
            Purpose::Introduction => "introduction",
            Purpose::Snapshot => "snapshot",
            Purpose::Fork => "fork",
        }
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

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
    /// A snapshot is asked for.
    Snapshot,
    /// What the snapshot consists of.
    Manifest,
    /// Bytes of the snapshot that were asked for.
    Chunk,
    /// Which history stands before a position.
    Probe,
    /// The answer.
    Point,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 10] = [
        Kind::Hello,
        Kind::Welcome,
        Kind::Refuse,
        Kind::Fetch,
        Kind::Segment,
        Kind::Snapshot,
        Kind::Manifest,
        Kind::Chunk,
        Kind::Probe,
        Kind::Point,
    ];

    fn number(self) -> u8 {
        match self {
            Kind::Hello => 1,
            Kind::Welcome => 2,
            Kind::Refuse => 3,
            Kind::Fetch => 4,
            Kind::Segment => 5,
            Kind::Snapshot => 6,
            Kind::Manifest => 7,
            Kind::Chunk => 8,
            Kind::Probe => 9,
            Kind::Point => 10,
        }
    }

    fn from_number(number: u8) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.number() == number)
    }

    /// Whether a replica sends it, or its primary.
    #[must_use]
    pub fn is_replicas(self) -> bool {
        match self {
            Kind::Hello | Kind::Fetch | Kind::Snapshot | Kind::Probe => true,
            Kind::Welcome | Kind::Refuse | Kind::Segment | Kind::Manifest | Kind::Chunk | Kind::Point => false,
        }
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
            Kind::Snapshot => "SNAPSHOT",
            Kind::Manifest => "MANIFEST",
            Kind::Chunk => "CHUNK",
            Kind::Probe => "PROBE",
            Kind::Point => "POINT",
        }
    }

    /// The shortest and the longest body of this kind.
    fn body_bytes(self) -> RangeInclusive<usize> {
        match self {
            Kind::Hello | Kind::Welcome => 104..=104,
            Kind::Refuse => REFUSE_FIELDS_BYTES..=REFUSE_FIELDS_BYTES + limits::REFUSAL_BYTES_MAX,
            Kind::Fetch | Kind::Snapshot => 16..=16,
            Kind::Segment => SEGMENT_FIELDS_BYTES + 1..=SEGMENT_FIELDS_BYTES + limits::SEGMENT_FRAME_BYTES_MAX,
            Kind::Manifest => MANIFEST_FIELDS_BYTES + 1..=MANIFEST_FIELDS_BYTES + limits::MANIFEST_BYTES_MAX,
            Kind::Chunk => CHUNK_FIELDS_BYTES + 1..=CHUNK_FIELDS_BYTES + limits::CHUNK_BYTES_MAX,
            Kind::Probe => 8..=8,
            Kind::Point => 32..=32,
        }
    }

    /// Bytes of the body that are read as fields, of so many: what follows them is for whoever takes the frame.
    fn fields_bytes(self, body: usize) -> usize {
        match self {
            Kind::Segment => SEGMENT_FIELDS_BYTES,
            Kind::Chunk => CHUNK_FIELDS_BYTES,
            Kind::Hello
            | Kind::Welcome
            | Kind::Refuse
            | Kind::Fetch
            | Kind::Snapshot
            | Kind::Manifest
            | Kind::Probe
            | Kind::Point => body,
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
    /// What it comes for.
    pub purpose: Purpose,
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
            purpose: Purpose::Introduction,
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

/// A snapshot is asked for: its manifest first, if this is the first one, and the bytes from one place to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The first byte: where the one before ended.
    pub from: u64,
    /// The byte behind the last. It may lie beyond the end of the snapshot.
    pub upto: u64,
}

/// What a snapshot consists of: behind this come the runs that the manifest names, in its order, and then the log of one segment up to the
/// cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// The point that the snapshot holds everything up to, and nothing beyond.
    pub cut: LogPoint,
    /// The log before the segment that holds the cut.
    pub segment: LogPoint,
    /// Bytes of all that follows.
    pub bytes: u64,
    /// The file of the manifest.
    pub manifest: Vec<u8>,
}

/// Bytes of a snapshot that were asked for. They follow behind the fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Where the first byte stands in the snapshot.
    pub from: u64,
    /// How many bytes there are.
    pub bytes: usize,
    /// Their crc32c.
    pub crc: u32,
}

/// What stands before a position of the primary's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// No record, no segment and not the durable end begins there.
    Nothing,
    /// This does.
    Point(LogPoint),
    /// The log there is not kept any more.
    Retired,
    /// The log does not reach there.
    Beyond,
}

/// A frame; of a SEGMENT and of a CHUNK what stands before the bytes.
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
    /// See [`Snapshot`].
    Snapshot(Snapshot),
    /// See [`Manifest`].
    Manifest(Manifest),
    /// See [`Chunk`].
    Chunk(Chunk),
    /// Which history stands before this position?
    Probe(Position),
    /// This one does.
    Point(Position, Before),
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
            Frame::Snapshot(_) => Kind::Snapshot,
            Frame::Manifest(_) => Kind::Manifest,
            Frame::Chunk(_) => Kind::Chunk,
            Frame::Probe(_) => Kind::Probe,
            Frame::Point(..) => Kind::Point,
        }
    }

    /// Appends the frame; behind a SEGMENT or a CHUNK the caller appends the bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut body = Vec::with_capacity(SEGMENT_FIELDS_BYTES);
        let mut following = 0;
        match self {
            Frame::Hello(hello) => {
                body.extend_from_slice(HELLO_MAGIC);
                body.put_u16(hello.versions.0);
                body.put_u16(hello.versions.1);
                body.put_u32(hello.purpose.number());
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
                following = segment.bytes;
                body.put_u64(segment.from.0);
                body.put_len32(segment.bytes);
                body.put_u32(if segment.ends_segment { ENDS_SEGMENT } else { 0 });
                body.put_point(segment.durable);
            }
            Frame::Snapshot(snapshot) => {
                body.put_u64(snapshot.from);
                body.put_u64(snapshot.upto);
            }
            Frame::Manifest(manifest) => {
                body.put_point(manifest.cut);
                body.put_point(manifest.segment);
                body.put_u64(manifest.bytes);
                body.put_len32(manifest.manifest.len());
                body.put_u32(0);
                body.extend_from_slice(&manifest.manifest);
            }
            Frame::Chunk(chunk) => {
                following = chunk.bytes;
                body.put_u64(chunk.from);
                body.put_len32(chunk.bytes);
                body.put_u32(chunk.crc);
            }
            Frame::Probe(position) => body.put_u64(position.0),
            Frame::Point(position, before) => {
                let (answer, point) = match before {
                    Before::Nothing => (0, LogPoint::default()),
                    Before::Point(point) => (1, *point),
                    Before::Retired => (2, LogPoint::default()),
                    Before::Beyond => (3, LogPoint::default()),
                };
                body.put_u64(position.0);
                body.put_u32(answer);
                body.put_u32(0);
                body.put_u64(point.history.0);
                body.put_u64(point.commit.0);
            }
        }
        let start = out.len();
        out.put_len32(body.len().saturating_add(following));
        out.put_u8(self.kind().number());
        out.extend_from_slice(&[0; 3]);
        out.put_u32(crc32c::crc32c(&body));
        let crc = crc32c::crc32c(out.get(start..).unwrap_or_default());
        out.put_u32(crc);
        out.extend_from_slice(&body);
    }

    /// The kind of the frame at the front of some bytes, once its header is there: who does not expect it need not wait for its body.
    ///
    /// # Errors
    /// What is wrong with the header.
    pub fn kind_ahead(bytes: &[u8]) -> Result<Option<Kind>, Fault> {
        Ok(header(bytes)?.map(|(kind, _, _)| kind))
    }

    /// Reads the frame at the front of some bytes, and says how many of them it took; `None` where more must come. Of a SEGMENT and of a
    /// CHUNK only what stands before the bytes is read and taken.
    ///
    /// # Errors
    /// What is wrong with it; nothing behind it can be read then.
    pub fn decode(bytes: &[u8]) -> Result<Option<(Frame, usize)>, Fault> {
        let Some((kind, len, crc)) = header(bytes)? else { return Ok(None) };
        let taken = HEADER_BYTES.saturating_add(kind.fields_bytes(len));
        let Some(body) = bytes.get(HEADER_BYTES..taken) else { return Ok(None) };
        if crc != crc32c::crc32c(body) {
            return Err(Fault::BodyChecksum);
        }
        let mut reader = Reader::new(body);
        let frame = decode_body(kind, &mut reader, len).filter(|_| reader.is_empty());
        frame.map(|frame| Some((frame, taken))).ok_or(Fault::Field)
    }
}

/// The kind of a frame, the length of its body and the checksum of its fields; `None` where more must come.
fn header(bytes: &[u8]) -> Result<Option<(Kind, usize, u32)>, Fault> {
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
    Ok(Some((kind, len, reader.u32().ok_or(Fault::Length)?)))
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
            let purpose = Purpose::from_number(reader.u32()?)?;
            let hello = Hello {
                versions,
                purpose,
                database_id: Id(reader.array()?),
                node_id: Id(reader.array()?),
                epoch: reader.u64()?,
                shape: shape(reader)?,
                validated: point(reader)?,
            };
            let sound = match purpose {
                Purpose::Follow | Purpose::Fork => true,
                Purpose::Introduction => hello == Hello::of_nothing(versions, hello.node_id),
                Purpose::Snapshot => hello.validated == LogPoint::default(),
            };
            sound.then_some(Frame::Hello(hello))?
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
        Kind::Snapshot => {
            let snapshot = Snapshot { from: reader.u64()?, upto: reader.u64()? };
            let bytes = snapshot.upto.saturating_sub(snapshot.from);
            (bytes > 0 && bytes <= limits::FETCH_BYTES_MAX).then_some(Frame::Snapshot(snapshot))?
        }
        Kind::Manifest => {
            let (cut, segment, bytes) = (point(reader)?, point(reader)?, reader.u64()?);
            let (manifest_len, zeros) = (reader.len32()?, reader.u32()?);
            let manifest = reader.take(manifest_len)?.to_vec();
            let ordered = segment.position <= cut.position && segment.commit <= cut.commit;
            let sound = ordered && zeros == 0 && !manifest.is_empty();
            sound.then_some(Frame::Manifest(Manifest { cut, segment, bytes, manifest }))?
        }
        Kind::Chunk => {
            let (from, bytes, crc) = (reader.u64()?, reader.len32()?, reader.u32()?);
            from.checked_add(u64::try_from(bytes).ok()?)?;
            let whole = CHUNK_FIELDS_BYTES.checked_add(bytes)? == len;
            (bytes > 0 && whole).then_some(Frame::Chunk(Chunk { from, bytes, crc }))?
        }
        Kind::Probe => Frame::Probe(Position(reader.u64()?)),
        Kind::Point => {
            let (position, answer, zeros) = (Position(reader.u64()?), reader.u32()?, reader.u32()?);
            let before = LogPoint { position, history: History(reader.u64()?), commit: CommitId(reader.u64()?) };
            let nothing = (before.history, before.commit) == (History::default(), CommitId::NONE);
            let before = match answer {
                0 if nothing => Before::Nothing,
                1 if before.commit <= CommitId::MAX => Before::Point(before),
                2 if nothing => Before::Retired,
                3 if nothing => Before::Beyond,
                _ => return None,
            };
            (zeros == 0).then_some(Frame::Point(position, before))?
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
