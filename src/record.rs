//! Records: the unit of the log, whole or absent (FMT-RECORD).
//!
//! A record proves itself in three steps, and nothing of it is used before: its header by its own checksum, its payload by
//! another, and its place by the history before it, which chains it to every record since genesis (R-COMPLETE, P5-I5). The
//! header has a checksum of its own, because the length must be known to be true before anything can be said about what the
//! record should have covered: a flipped length must never pass for a torn tail.
//!
//! Pure: no disk, no allocation on reading.

use crate::batch::Operations;
use crate::codec::{Put, Reader};
use crate::commit_id::CommitId;
use crate::id::Id;
use crate::limits;
use crate::position::{History, LogPoint, Position};
use crate::sync::planted;
use std::fmt;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Bytes of a record before its payload.
pub const HEADER_BYTES: usize = 32;
/// Bytes of a `Seal`.
pub const SEAL_BYTES: u64 = 32;
/// Bytes of the payload of a `Proof`.
const PROOF_BYTES: usize = 48;

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A batch with a CommitId.
    Commit,
    /// Raises the readable floor.
    Floor,
    /// Names a run that is complete, and its hash.
    Proof,
    /// Seals the table here.
    Cut,
    /// Ends a segment.
    Seal,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 5] = [Kind::Commit, Kind::Floor, Kind::Proof, Kind::Cut, Kind::Seal];

    fn number(self) -> u8 {
        match self {
            Kind::Commit => 1,
            Kind::Floor => 2,
            Kind::Proof => 3,
            Kind::Cut => 4,
            Kind::Seal => 6,
        }
    }

    fn from_number(number: u8) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.number() == number)
    }

    /// The kind's word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::Commit => "commit",
            Kind::Floor => "floor",
            Kind::Proof => "proof",
            Kind::Cut => "cut",
            Kind::Seal => "seal",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why the table is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A checkpoint was asked for.
    Checkpoint,
    /// A backup was asked for.
    Backup,
}

impl Purpose {
    /// The payload of a cut for this purpose.
    #[must_use]
    pub fn payload(self) -> [u8; 1] {
        match self {
            Purpose::Checkpoint => [1],
            Purpose::Backup => [2],
        }
    }

    /// The purpose's word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Purpose::Checkpoint => "checkpoint",
            Purpose::Backup => "backup",
        }
    }
}

/// A run that the writer of the log has completed: which one, and its file (REPL-PROOF). Its commits stand before it in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    /// How many merges lie behind the run.
    pub level: u32,
    /// The first commit that it holds.
    pub first: CommitId,
    /// The last commit that it holds.
    pub last: CommitId,
    /// Bytes of its file.
    pub size: u64,
    /// xxh3-128 of its file.
    pub hash: u128,
}

impl Proof {
    /// The payload of its record.
    #[must_use]
    pub fn payload(&self) -> Vec<u8> {
        let mut payload = Vec::with_capacity(PROOF_BYTES);
        payload.put_u32(self.level);
        payload.put_u32(0);
        payload.put_u64(self.first.0);
        payload.put_u64(self.last.0);
        payload.put_u64(self.size);
        payload.put_u128(self.hash);
        payload
    }

    fn decode(payload: &[u8]) -> Option<Proof> {
        let mut reader = Reader::new(payload);
        let level = reader.u32()?;
        let reserved = reader.u32()?;
        let (first, last) = (CommitId(reader.u64()?), CommitId(reader.u64()?));
        let proof = Proof { level, first, last, size: reader.u64()?, hash: reader.u128()? };
        (reserved == 0 && reader.is_empty() && proof.can_be()).then_some(proof)
    }

    /// Whether there can be such a run: a merge takes two runs or more, and a table of which there is a run holds a commit or more.
    fn can_be(&self) -> bool {
        let between = self.last.0.checked_sub(self.first.0);
        let commits = between.and_then(|between| between.checked_add(1)).unwrap_or(0);
        let least = 1u64.checked_shl(self.level).unwrap_or(u64::MAX);
        self.first > CommitId::NONE && commits >= least && self.size > 0
    }
}

/// What a proven record says.
#[derive(Clone, Debug)]
pub enum Content<'a> {
    /// The operations of a commit.
    Commit(Operations<'a>),
    /// The new floor.
    Floor(CommitId),
    /// A run that is complete.
    Proof(Proof),
    /// Seal the table.
    Cut(Purpose),
    /// The segment ends.
    Seal,
}

impl Content<'_> {
    /// The kind of the record it stands in.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Content::Commit(_) => Kind::Commit,
            Content::Floor(_) => Kind::Floor,
            Content::Proof(_) => Kind::Proof,
            Content::Cut(_) => Kind::Cut,
            Content::Seal => Kind::Seal,
        }
    }
}

/// A proven record with the points before and after it.
#[derive(Clone, Debug)]
pub struct Record<'a> {
    /// The log before it.
    pub before: LogPoint,
    /// The log after it.
    pub after: LogPoint,
    /// What it says.
    pub content: Content<'a>,
}

/// Why bytes are not the record that must stand at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Fewer bytes than a record has.
    Incomplete,
    /// The header's checksum is wrong.
    HeaderChecksum,
    /// A kind that is unknown or reserved, or a reserved field that is not zero.
    Kind,
    /// A payload longer than the limit.
    Length,
    /// The payload's checksum is wrong.
    PayloadChecksum,
    /// Padding that is not zero.
    Padding,
    /// The history before it is another: a gap, a swap, a duplicate or a foreign record.
    History,
    /// The CommitId does not follow.
    Commit,
    /// A payload that is not what its kind demands.
    Payload,
}

impl Fault {
    /// The fault in words, for evidence.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Fault::Incomplete => "incomplete",
            Fault::HeaderChecksum => "header checksum",
            Fault::Kind => "kind",
            Fault::Length => "length",
            Fault::PayloadChecksum => "payload checksum",
            Fault::Padding => "padding",
            Fault::History => "history",
            Fault::Commit => "commit",
            Fault::Payload => "payload",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A header whose own checksum holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What the record is.
    pub kind: Kind,
    /// Bytes of payload.
    pub payload_len: usize,
    /// The commit it is, or the last one before it.
    pub commit: CommitId,
    /// The history before it.
    pub history: History,
    payload_crc: u32,
}

impl Header {
    /// Proves the header at the front of some bytes.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn decode(bytes: &[u8]) -> Result<Header, Fault> {
        let header = bytes.first_chunk::<HEADER_BYTES>().ok_or(Fault::Incomplete)?;
        let (fields, crc) = header.split_last_chunk::<4>().ok_or(Fault::Incomplete)?;
        if crc32c::crc32c(fields) != u32::from_le_bytes(*crc) {
            return Err(Fault::HeaderChecksum);
        }
        let mut reader = Reader::new(fields);
        let payload_len = reader.len32().ok_or(Fault::Incomplete)?;
        let kind = reader.u8().and_then(Kind::from_number).ok_or(Fault::Kind)?;
        if reader.array::<3>() != Some([0; 3]) {
            return Err(Fault::Kind);
        }
        if payload_len > limits::PAYLOAD_BYTES_MAX {
            return Err(Fault::Length);
        }
        let commit = CommitId(reader.u64().ok_or(Fault::Incomplete)?);
        let history = History(reader.u64().ok_or(Fault::Incomplete)?);
        let payload_crc = reader.u32().ok_or(Fault::Incomplete)?;
        Ok(Header { kind, payload_len, commit, history, payload_crc })
    }

    /// Bytes of the whole record.
    #[must_use]
    pub fn record_len(&self) -> usize {
        stored_len(self.payload_len)
    }
}

/// Bytes of a record with a payload of this length.
#[must_use]
pub fn stored_len(payload_len: usize) -> usize {
    HEADER_BYTES.saturating_add(payload_len).next_multiple_of(8)
}

/// Where every log of this database and epoch begins.
#[must_use]
pub fn genesis(database_id: Id, epoch: u64) -> LogPoint {
    let history = History(xxh3_64_with_seed(&database_id.0, epoch));
    LogPoint { position: Position::GENESIS, history, commit: CommitId::NONE }
}

/// Appends a record to `out`, and returns the log after it. `commit` follows from the kind.
#[must_use]
pub fn encode(out: &mut Vec<u8>, kind: Kind, payload: &[u8], before: LogPoint) -> LogPoint {
    let commit = match kind {
        Kind::Commit => before.commit.next(),
        Kind::Floor | Kind::Proof | Kind::Cut | Kind::Seal => before.commit,
    };
    let start = out.len();
    out.reserve(stored_len(payload.len()));
    out.put_len32(payload.len());
    out.put_u8(kind.number());
    out.extend_from_slice(&[0; 3]);
    out.put_u64(commit.0);
    out.put_u64(before.history.0);
    out.put_u32(crc32c::crc32c(payload));
    let crc = crc32c::crc32c(out.get(start..).unwrap_or_default());
    out.put_u32(crc);
    out.extend_from_slice(payload);
    out.resize(start.saturating_add(stored_len(payload.len())), 0);
    after(out.get(start..).unwrap_or_default(), commit, before)
}

fn after(record: &[u8], commit: CommitId, before: LogPoint) -> LogPoint {
    LogPoint {
        position: before.position.after(u64::try_from(record.len()).unwrap_or(u64::MAX)),
        history: History(xxh3_64_with_seed(record, before.history.0)),
        commit,
    }
}

/// Proves the record at the front of `bytes`, which stands in the log right behind `before`.
///
/// # Errors
/// What is wrong with it.
pub fn prove(bytes: &[u8], before: LogPoint) -> Result<Record<'_>, Fault> {
    let header = Header::decode(bytes)?;
    if header.history != before.history {
        return Err(Fault::History);
    }
    let commit = if header.kind == Kind::Commit { before.commit.next() } else { before.commit };
    if header.commit != commit || commit > CommitId::MAX {
        return Err(Fault::Commit);
    }
    let record = bytes.get(..header.record_len()).ok_or(Fault::Incomplete)?;
    let mut reader = Reader::new(record.get(HEADER_BYTES..).unwrap_or_default());
    let payload = reader.take(header.payload_len).ok_or(Fault::Incomplete)?;
    if crc32c::crc32c(payload) != header.payload_crc && !planted("the checksum of a payload is not compared") {
        return Err(Fault::PayloadChecksum);
    }
    if !reader.only_zeros_left() {
        return Err(Fault::Padding);
    }
    let content = content(&header, payload).ok_or(Fault::Payload)?;
    Ok(Record { before, after: after(record, commit, before), content })
}

/// Reads records that were proven before, one after the other, without hashing them again: the history behind a record stands in the next.
#[derive(Clone, Debug)]
pub struct ProvenRecords<'a> {
    bytes: &'a [u8],
    point: LogPoint,
    end: LogPoint,
}

impl<'a> ProvenRecords<'a> {
    /// The records that these bytes are, from one point of the log to another.
    #[must_use]
    pub fn new(bytes: &'a [u8], before: LogPoint, end: LogPoint) -> ProvenRecords<'a> {
        ProvenRecords { bytes, point: before, end }
    }
}

impl<'a> Iterator for ProvenRecords<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        let header = Header::decode(self.bytes).ok()?;
        let (record, rest) = self.bytes.split_at_checked(header.record_len())?;
        let payload = Reader::new(record.get(HEADER_BYTES..)?).take(header.payload_len)?;
        let history = if rest.is_empty() { self.end.history } else { Header::decode(rest).ok()?.history };
        let position = self.point.position.after(u64::try_from(record.len()).ok()?);
        let after = LogPoint { position, history, commit: header.commit };
        let before = std::mem::replace(&mut self.point, after);
        self.bytes = rest;
        Some(Record { before, after, content: content(&header, payload)? })
    }
}

fn content<'a>(header: &Header, payload: &'a [u8]) -> Option<Content<'a>> {
    match header.kind {
        Kind::Commit => Operations::decode(payload).ok().map(Content::Commit),
        Kind::Floor => Some(Content::Floor(CommitId(u64::from_le_bytes(payload.try_into().ok()?)))),
        Kind::Proof => Proof::decode(payload).filter(|proof| proof.last <= header.commit).map(Content::Proof),
        Kind::Cut => [Purpose::Checkpoint, Purpose::Backup]
            .into_iter()
            .find(|purpose| purpose.payload() == payload)
            .map(Content::Cut),
        Kind::Seal => payload.is_empty().then_some(Content::Seal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Batch;

    fn two_records() -> (Vec<u8>, LogPoint, LogPoint, LogPoint) {
        let mut batch = Batch::new();
        batch.put(b"key", b"value").unwrap();
        let start = genesis(Id([9; 16]), 1);
        let mut bytes = Vec::new();
        let middle = encode(&mut bytes, Kind::Commit, batch.encoded(), start);
        let end = encode(&mut bytes, Kind::Floor, &1u64.to_le_bytes(), middle);
        (bytes, start, middle, end)
    }

    #[test]
    fn records_chain_and_prove_themselves() {
        let (bytes, start, middle, end) = two_records();
        let first = prove(&bytes, start).unwrap();
        assert_eq!(first.after, middle);
        assert_eq!(middle.commit, CommitId(1));
        assert!(matches!(first.content, Content::Commit(_)));
        let second = prove(&bytes[middle.position.0 as usize..], middle).unwrap();
        assert_eq!(second.after, end);
        assert!(matches!(second.content, Content::Floor(CommitId(1))));
        assert_eq!(end.position.0 as usize, bytes.len());
    }

    /// R-COMPLETE, D-CORRUPT: every flipped bit, every truncation, and a record at another place are seen.
    #[test]
    fn every_flip_truncation_and_displacement_of_a_record_is_seen() {
        let (bytes, start, middle, _) = two_records();
        let record = &bytes[..middle.position.0 as usize];
        for bit in 0..record.len() * 8 {
            let mut flipped = record.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(prove(&flipped, start).is_err(), "bit {bit}");
        }
        for len in 0..record.len() {
            assert_eq!(prove(&record[..len], start).unwrap_err(), Fault::Incomplete, "length {len}");
        }
        assert_eq!(prove(record, middle).unwrap_err(), Fault::History);
        let elsewhere = LogPoint { commit: CommitId(7), ..start };
        assert_eq!(prove(record, elsewhere).unwrap_err(), Fault::Commit);
    }

    /// FMT-RECORD: what a later version may write is refused by this one, though every checksum holds.
    #[test]
    fn a_kind_that_is_reserved_or_unknown_is_refused() {
        let start = genesis(Id([9; 16]), 1);
        let mut record = Vec::new();
        let _ = encode(&mut record, Kind::Cut, b"\x01", start);
        for number in 0..=u8::MAX {
            record[4] = number;
            let crc = crc32c::crc32c(&record[..HEADER_BYTES - 4]).to_le_bytes();
            record[HEADER_BYTES - 4..HEADER_BYTES].copy_from_slice(&crc);
            let known = Kind::ALL.iter().any(|kind| kind.number() == number);
            assert_eq!(prove(&record, start).is_err_and(|fault| fault == Fault::Kind), !known, "{number}");
        }
    }

    #[test]
    fn a_payload_that_its_kind_does_not_know_is_refused() {
        let start = genesis(Id([9; 16]), 1);
        for (kind, payload) in
            [(Kind::Commit, &b"x"[..]), (Kind::Floor, b"1234567"), (Kind::Cut, b"\x03"), (Kind::Seal, b"x")]
        {
            let mut bytes = Vec::new();
            let _ = encode(&mut bytes, kind, payload, start);
            assert_eq!(prove(&bytes, start).unwrap_err(), Fault::Payload, "{kind}");
        }
    }

    /// REPL-PROOF, FMT-RECORD: what no run can be is refused where it is read, whoever wrote it.
    #[test]
    fn a_proof_of_what_can_be_no_run_is_refused() {
        let behind = |commit: CommitId, payload: &[u8]| {
            let (mut bytes, start) = (Vec::new(), LogPoint { commit, ..genesis(Id([9; 16]), 1) });
            let _ = encode(&mut bytes, Kind::Proof, payload, start);
            match prove(&bytes, start).map(|record| record.content) {
                Ok(Content::Proof(proof)) => Some(proof),
                Ok(content) => panic!("{content:?}"),
                Err(fault) => {
                    assert_eq!(fault, Fault::Payload);
                    None
                }
            }
        };
        let read = |payload: &[u8]| behind(CommitId::MAX, payload);
        let run = |level: u32, first: u64, last: u64, size: u64| {
            let proof = Proof { level, first: CommitId(first), last: CommitId(last), size, hash: u128::MAX / 3 };
            let read = read(&proof.payload());
            assert!(read.is_none() || read == Some(proof), "it is read as another");
            read.is_some()
        };
        assert!(run(0, 1, 1, 1) && run(0, 7, CommitId::MAX.0, u64::MAX) && run(3, 5, 12, 300) && run(62, 1, 1 << 62, 300));
        assert!(!run(0, 0, 5, 300), "there is no commit 0");
        assert!(!run(0, 0, u64::MAX, 300), "nor so many");
        assert!(!run(0, 6, 5, 300), "it ends before it begins");
        assert!(!run(3, 5, 11, 300), "eight tables hold eight commits");
        assert!(!run(62, 1, (1 << 62) - 1, 300) && !run(64, 1, CommitId::MAX.0, 300) && !run(u32::MAX, 1, 9, 300));
        assert!(!run(0, 1, 1, 0), "a file that is empty");
        let whole = Proof { level: 1, first: CommitId(1), last: CommitId(9), size: 300, hash: 1 }.payload();
        let mut reserved = whole.clone();
        reserved[5] = 1;
        assert!(read(&whole).is_some() && read(&reserved).is_none() && read(&[]).is_none());
        assert!(behind(CommitId(9), &whole).is_some() && behind(CommitId(8), &whole).is_none(), "of commits to come");
        assert!(read(&whole[..47]).is_none() && read(&[whole.as_slice(), &[0]].concat()).is_none());
    }
}
