//! Frames of every kind, and what must not be taken for one (WIRE-FRAME).
//!
//! Each of them whole, cut at every byte, and with every bit turned; and with checksums that hold over what can't be. Streams, the vectors
//! of the page and random bytes are in `tests/protocol.rs`.

use super::*;
use crate::position::History;

fn at(position: u64) -> LogPoint {
    LogPoint { position: Position(position), history: History(0x0123_4567_89ab_cdef), commit: CommitId(7) }
}

fn hello() -> Hello {
    Hello {
        versions: (1, 3),
        purpose: Purpose::Follow,
        database_id: Id([1; 16]),
        node_id: Id([2; 16]),
        epoch: 4,
        shape: Shape { segment_bytes: 1 << 26, table_bytes: 1 << 24, block_bytes: 4096, fanout: 4 },
        validated: at(1000),
    }
}

fn refuse(text: &str) -> Refuse {
    Refuse { reason: 109, oldest: Position(16), durable: at(1000), text: text.to_owned() }
}

fn segment(from: u64, bytes: usize, durable: u64) -> Frame {
    Frame::Segment(Segment { from: Position(from), bytes, ends_segment: bytes == 9, durable: at(durable) })
}

fn fetch(from: u64, upto: u64) -> Frame {
    Frame::Fetch(Fetch { from: Position(from), upto: Position(upto) })
}

fn manifest(bytes: &[u8]) -> Frame {
    Frame::Manifest(Manifest { cut: at(1000), segment: at(64), bytes: 8192, manifest: bytes.to_vec() })
}

fn chunk(from: u64, bytes: usize) -> Frame {
    Frame::Chunk(Chunk { from, bytes, crc: 0x0bad_cafe })
}

/// Frames of every kind, at their least and at their most.
fn frames() -> Vec<Frame> {
    let Hello { database_id, node_id, epoch, shape, .. } = hello();
    let last = LogPoint { commit: CommitId::MAX, ..at(u64::MAX) };
    vec![
        Frame::Hello(hello()),
        Frame::Hello(Hello { versions: (0, u16::MAX), validated: last, ..hello() }),
        Frame::Hello(Hello::of_nothing((1, 1), node_id)),
        Frame::Welcome(Welcome {
            version: 1,
            database_id,
            node_id,
            epoch,
            shape,
            oldest: Position(16),
            durable: at(1000),
        }),
        Frame::Refuse(refuse("")),
        Frame::Refuse(refuse("not here: ü")),
        Frame::Refuse(refuse(&"x".repeat(limits::REFUSAL_BYTES_MAX))),
        fetch(3, 4),
        fetch(u64::MAX - limits::FETCH_BYTES_MAX, u64::MAX),
        segment(0, 1, 1),
        segment(64, 9, 1000),
        segment(u64::MAX - (1 << 20), limits::SEGMENT_FRAME_BYTES_MAX, u64::MAX),
        Frame::Hello(Hello { purpose: Purpose::Snapshot, validated: LogPoint::default(), ..hello() }),
        Frame::Hello(Hello { purpose: Purpose::Fork, ..hello() }),
        Frame::Snapshot(Snapshot { from: 0, upto: 1 }),
        Frame::Snapshot(Snapshot { from: u64::MAX - limits::FETCH_BYTES_MAX, upto: u64::MAX }),
        manifest(b"manifest"),
        chunk(0, 1),
        chunk(u64::MAX - limits::CHUNK_BYTES_MAX as u64, limits::CHUNK_BYTES_MAX),
        Frame::Probe(Position(u64::MAX)),
        Frame::Point(Position(9), Before::Nothing),
        Frame::Point(Position(1000), Before::Point(at(1000))),
        Frame::Point(Position(9), Before::Retired),
        Frame::Point(Position(9), Before::Beyond),
    ]
}

fn encoded(frame: &Frame) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame.encode(&mut bytes);
    bytes
}

/// A frame of any kind and body, with checksums that hold; the header says that so many bytes more follow.
fn sealed(kind: u8, body: &[u8], more: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.put_len32(body.len() + more);
    bytes.extend_from_slice(&[kind, 0, 0, 0]);
    bytes.put_u32(crc32c::crc32c(body));
    let crc = crc32c::crc32c(&bytes);
    bytes.put_u32(crc);
    bytes.extend_from_slice(body);
    bytes
}

/// The frame with other bytes at an offset of its body, and checksums that hold.
fn patched(frame: &Frame, offset: usize, patch: &[u8]) -> Vec<u8> {
    let bytes = encoded(frame);
    let mut body = bytes[HEADER_BYTES..].to_vec();
    body[offset..offset + patch.len()].copy_from_slice(patch);
    let more = if let Frame::Segment(segment) = frame {
        segment.bytes
    } else if let Frame::Chunk(chunk) = frame {
        chunk.bytes
    } else {
        0
    };
    sealed(bytes[4], &body, more)
}

/// WIRE-FRAME
#[test]
fn every_kind_survives_encoding_and_takes_what_it_is_and_no_more() {
    let mut stream = Vec::new();
    for frame in frames() {
        let mut bytes = encoded(&frame);
        stream.extend_from_slice(&bytes);
        let taken = bytes.len();
        assert_eq!(Frame::decode(&bytes), Ok(Some((frame.clone(), taken))));
        bytes.extend_from_slice(b"what follows");
        assert_eq!(Frame::decode(&bytes), Ok(Some((frame.clone(), taken))));
        assert_eq!(bytes[4], frame.kind().number());
        assert_eq!(Kind::from_number(bytes[4]), Some(frame.kind()));
    }
    let mut rest = stream.as_slice();
    for frame in frames() {
        let (found, taken) = Frame::decode(rest).unwrap().unwrap();
        assert_eq!(found, frame);
        rest = &rest[taken..];
    }
    assert_eq!(Frame::decode(rest), Ok(None));
    assert!(Kind::ALL.iter().all(|kind| frames().iter().any(|frame| frame.kind() == *kind)));
    assert!(Purpose::ALL.iter().all(|purpose| frames().iter().any(|frame| matches!(frame, Frame::Hello(hello) if hello.purpose == *purpose))));
    assert_eq!(encoded(&segment(0, 1, 1)).len(), SEGMENT_HEAD_BYTES);
    assert_eq!(encoded(&chunk(0, 1)).len(), CHUNK_HEAD_BYTES);
}

/// WIRE-FRAME: a frame that was cut, or damaged in any bit, is never taken for a frame.
#[test]
fn every_truncation_is_awaited_and_every_flipped_bit_is_refused() {
    for frame in frames() {
        let bytes = encoded(&frame);
        for len in 0..bytes.len() {
            assert_eq!(Frame::decode(&bytes[..len]), Ok(None), "{len} bytes of {frame:?}");
        }
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let fault = if bit / 8 < HEADER_BYTES { Fault::HeaderChecksum } else { Fault::BodyChecksum };
            assert_eq!(Frame::decode(&flipped), Err(fault), "bit {bit} of {frame:?}");
        }
    }
}

/// WIRE-FRAME: the header alone is enough to refuse a length, so that nothing is waited for and no memory taken.
#[test]
fn a_length_that_the_kind_does_not_have_is_refused_before_the_body_is_there() {
    for kind in Kind::ALL {
        let (least, most) = kind.body_bytes().into_inner();
        let header = |len| sealed(kind.number(), &[], len);
        assert_eq!(Frame::decode(&header(least)), Ok(None), "{kind}");
        assert_eq!(Frame::decode(&header(most)), Ok(None), "{kind}");
        assert_eq!(Frame::kind_ahead(&header(least)), Ok(Some(kind)));
        for len in [0, least - 1, most + 1, u32::MAX as usize] {
            assert_eq!(Frame::decode(&header(len)), Err(Fault::Length), "{kind} of {len} bytes");
        }
    }
}

/// WIRE-FRAME
#[test]
fn a_kind_that_is_not_known_and_reserved_bytes_of_the_header_are_refused() {
    let known = Kind::ALL.map(Kind::number);
    for kind in (0..=u8::MAX).filter(|kind| !known.contains(kind)) {
        assert_eq!(Frame::decode(&sealed(kind, &[0; 16], 0)), Err(Fault::Kind), "{kind}");
    }
    for reserved in 5..8 {
        let mut bytes = encoded(&fetch(3, 9));
        bytes[reserved] = 1;
        let crc = crc32c::crc32c(&bytes[..12]);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(Frame::decode(&bytes), Err(Fault::Kind), "byte {reserved}");
    }
}

/// WIRE-FRAME: every checksum of these holds; what they say can't be.
#[test]
fn a_field_that_holds_what_it_can_not_is_refused() {
    let beyond = (CommitId::MAX.0 + 1).to_le_bytes();
    let welcome = frames().into_iter().find(|frame| frame.kind() == Kind::Welcome).unwrap();
    let (hello, refuse) = (Frame::Hello(hello()), Frame::Refuse(refuse("four")));
    let nothing = Frame::Hello(Hello::of_nothing((1, 1), Id([2; 16])));
    let segment = segment(64, 8, 1000);
    let (manifest, chunk) = (manifest(b"manifest"), chunk(64, 8));
    let point = Frame::Point(Position(1000), Before::Point(at(1000)));
    let cases = [
        ("HELLO of another magic", patched(&hello, 0, b"AEROREPX")),
        ("HELLO for an unknown purpose", patched(&hello, 12, &[4])),
        ("HELLO for the last purpose", patched(&hello, 15, &[0x80])),
        ("HELLO for a snapshot, with a position", patched(&hello, 12, &[2])),
        ("HELLO with nothing but a database", patched(&nothing, 16, &[1])),
        ("HELLO with nothing but an epoch", patched(&nothing, 48, &[1])),
        ("HELLO with nothing but a shape", patched(&nothing, 79, &[1])),
        ("HELLO with nothing but a position", patched(&nothing, 80, &[1])),
        ("HELLO with a commit that can't be", patched(&hello, 96, &beyond)),
        ("WELCOME with reserved bytes", patched(&welcome, 7, &[1])),
        ("WELCOME with a commit that can't be", patched(&welcome, 96, &beyond)),
        ("REFUSE with reserved bytes", patched(&refuse, 2, &[1])),
        ("REFUSE with a commit that can't be", patched(&refuse, 32, &beyond)),
        ("REFUSE with less text than it says", patched(&refuse, 4, &[5])),
        ("REFUSE with more text than it says", patched(&refuse, 4, &[3])),
        ("REFUSE with an endless text", patched(&refuse, 4, &[0xff; 4])),
        ("REFUSE with text that is no UTF-8", patched(&refuse, 43, &[0xff])),
        ("FETCH of nothing", encoded(&fetch(9, 9))),
        ("FETCH backwards", encoded(&fetch(9, 3))),
        ("FETCH of too much", encoded(&fetch(3, 4 + limits::FETCH_BYTES_MAX))),
        ("FETCH of everything", encoded(&fetch(0, u64::MAX))),
        ("SEGMENT of nothing, with a byte behind it", patched(&segment, 8, &[0])),
        ("SEGMENT of less than follows", patched(&segment, 8, &[7])),
        ("SEGMENT of more than follows", patched(&segment, 8, &[9])),
        ("SEGMENT with an unknown flag", patched(&segment, 12, &[2])),
        ("SEGMENT with a commit that can't be", patched(&segment, 32, &beyond)),
        ("SEGMENT beyond its durable end", patched(&segment, 16, &71u64.to_le_bytes())),
        ("SEGMENT beyond all positions", patched(&segment, 0, &(u64::MAX - 7).to_le_bytes())),
        ("SNAPSHOT of nothing", encoded(&Frame::Snapshot(Snapshot { from: 9, upto: 9 }))),
        ("SNAPSHOT backwards", encoded(&Frame::Snapshot(Snapshot { from: 9, upto: 3 }))),
        ("SNAPSHOT of too much", encoded(&Frame::Snapshot(Snapshot { from: 3, upto: 4 + limits::FETCH_BYTES_MAX }))),
        ("MANIFEST whose segment begins behind the cut", patched(&manifest, 24, &1001u64.to_le_bytes())),
        ("MANIFEST whose segment has a commit behind the cut", patched(&manifest, 40, &8u64.to_le_bytes())),
        ("MANIFEST with a commit that can't be", patched(&manifest, 16, &beyond)),
        ("MANIFEST with less than it says", patched(&manifest, 56, &[9])),
        ("MANIFEST with more than it says", patched(&manifest, 56, &[7])),
        ("MANIFEST with reserved bytes", patched(&manifest, 60, &[1])),
        ("CHUNK of nothing, with a byte behind it", patched(&chunk, 8, &[0])),
        ("CHUNK of less than follows", patched(&chunk, 8, &[7])),
        ("CHUNK of more than follows", patched(&chunk, 8, &[9])),
        ("CHUNK beyond the end of all snapshots", patched(&chunk, 0, &(u64::MAX - 7).to_le_bytes())),
        ("POINT with an unknown answer", patched(&point, 8, &[4])),
        ("POINT of nothing, with a history", patched(&point, 8, &[0])),
        ("POINT with reserved bytes", patched(&point, 12, &[1])),
        ("POINT with a commit that can't be", patched(&point, 24, &beyond)),
    ];
    for (what, bytes) in cases {
        assert_eq!(Frame::decode(&bytes), Err(Fault::Field), "{what}");
    }
}

/// WIRE-FRAME: the sender keeps the bound that the receiver holds it to.
#[test]
fn a_text_that_is_too_long_is_cut_between_characters() {
    let most = limits::REFUSAL_BYTES_MAX;
    for (text, kept) in [("x".repeat(most + 1), most), (format!("x{}", "ü".repeat(most)), most - 1)] {
        let bytes = encoded(&Frame::Refuse(refuse(&text)));
        let expected = Frame::Refuse(refuse(&text[..kept]));
        assert_eq!(Frame::decode(&bytes), Ok(Some((expected, bytes.len()))));
    }
}

#[test]
fn kinds_and_faults_have_words() {
    assert_eq!(Kind::ALL.map(Kind::name).join(" "), "HELLO WELCOME REFUSE FETCH SEGMENT SNAPSHOT MANIFEST CHUNK PROBE POINT");
    assert_eq!(Purpose::ALL.map(Purpose::name).join(" "), "follow introduction snapshot fork");
    assert_eq!(Kind::Hello.to_string(), "HELLO");
    assert_eq!(Fault::Field.to_string(), "field");
}
