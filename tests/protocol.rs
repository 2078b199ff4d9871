//! Frames as bytes (WIRE-FRAME): the vectors of `protocol.md`, read from the page, and what holds for any bytes.
//!
//! `AERODB_BLESS=1 cargo test --test protocol` writes the good vectors into the page; a difference without that is a change of the
//! protocol, and needs a new version of it. The bad ones are fixed. The properties stand in `tests/protocol/property.rs`; the fuzz target
//! runs the same ones.

#![cfg(feature = "replication")]

#[path = "protocol/property.rs"]
mod property;

use aerodb::frame::{
    Before, Chunk, Fault, Fetch, Frame, HEADER_BYTES, Hello, Manifest, Purpose, Refuse, Segment, Shape, Snapshot,
    Welcome,
};
use aerodb::position::History;
use aerodb::{CommitId, Id, LogPoint, Parameters, Position, Reason, limits, store};
use property::{check_frame, check_sealed};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, RngSeed, TestRunner};
use std::cell::Cell;
use std::fmt::Write;
use std::path::Path;

const PAGE: &str = "protocol.md";
const END: &str = "<!-- end of vectors -->";
const CASES: u32 = 20_000;

fn point(position: u64, commit: u64) -> LogPoint {
    LogPoint { position: Position(position), history: History(0x67f2_b4ff_77b4_0f32), commit: CommitId(commit) }
}

/// One of each kind, and of what a kind may say.
fn examples() -> Vec<Frame> {
    let (database_id, node_id) = (Id(*b"example database"), Id(*b"the example node"));
    let shape = Shape::from(Parameters::default());
    let hello = Hello {
        versions: (1, 1),
        purpose: Purpose::Follow,
        database_id,
        node_id,
        epoch: 1,
        shape,
        validated: point(176, 1),
    };
    let welcome = Welcome {
        version: 1,
        database_id,
        node_id: Id(*b"the primary node"),
        epoch: 1,
        shape,
        oldest: Position(0),
        durable: point(4096, 9),
    };
    let refuse = Refuse {
        reason: Reason::HistoryRetired.number().into(),
        oldest: Position(4096),
        durable: point(1 << 20, 77),
        text: "wanted=176, oldest=4096".to_owned(),
    };
    let segment = Segment { from: Position(176), bytes: 64, ends_segment: false, durable: point(4096, 9) };
    let last = Segment { from: Position(240), bytes: 32, ends_segment: true, durable: point(4096, 9) };
    vec![
        Frame::Hello(hello),
        Frame::Hello(Hello::of_nothing((1, 1), node_id)),
        Frame::Welcome(welcome),
        Frame::Refuse(refuse),
        Frame::Fetch(Fetch { from: Position(176), upto: Position(176 + limits::REPLICA_WINDOW_BYTES) }),
        Frame::Segment(segment),
        Frame::Segment(last),
        Frame::Hello(Hello { purpose: Purpose::Snapshot, validated: LogPoint::default(), ..hello }),
        Frame::Hello(Hello { purpose: Purpose::Fork, ..hello }),
        Frame::Snapshot(Snapshot { from: 0, upto: limits::SNAPSHOT_WINDOW_BYTES }),
        Frame::Manifest(Manifest {
            cut: point(4096, 9),
            segment: LogPoint::default(),
            bytes: 4096 + 512,
            manifest: store::manifest::Manifest::empty(database_id, point(4096, 9)).encode(),
        }),
        Frame::Chunk(Chunk { from: 512, bytes: 4096, crc: crc32c::crc32c(&[0; 4096]) }),
        Frame::Probe(Position(176)),
        Frame::Point(Position(176), Before::Point(point(176, 1))),
        Frame::Point(Position(177), Before::Nothing),
        Frame::Point(Position(0), Before::Retired),
        Frame::Point(Position(4097), Before::Beyond),
    ]
}

/// What a frame says.
fn words(frame: &Frame) -> String {
    let shape = |shape: Shape| {
        let Shape { segment_bytes, table_bytes, block_bytes, fanout } = shape;
        format!("shape {segment_bytes} {table_bytes} {block_bytes} {fanout}")
    };
    match frame {
        Frame::Hello(hello) => {
            let Hello { versions: (lowest, highest), purpose, database_id, node_id, epoch, validated, .. } = hello;
            format!(
                "HELLO versions {lowest} to {highest}, for {purpose}, database {database_id}, node {node_id}, epoch {epoch}, {}, {validated}",
                shape(hello.shape)
            )
        }
        Frame::Welcome(welcome) => {
            let Welcome { version, database_id, node_id, epoch, oldest, durable, .. } = welcome;
            format!(
                "WELCOME version {version}, database {database_id}, node {node_id}, epoch {epoch}, {}, oldest {oldest}, durable {durable}",
                shape(welcome.shape)
            )
        }
        Frame::Refuse(refuse) => {
            let Refuse { reason, oldest, durable, text } = refuse;
            format!("REFUSE reason {reason}, oldest {oldest}, durable {durable}, text \"{text}\"")
        }
        Frame::Fetch(fetch) => format!("FETCH from {} upto {}", fetch.from, fetch.upto),
        Frame::Segment(segment) => {
            let Segment { from, bytes, ends_segment, durable } = segment;
            let ends = if *ends_segment { ", ends a segment" } else { "" };
            format!("SEGMENT from {from}, {bytes} bytes{ends}, durable {durable}")
        }
        Frame::Snapshot(snapshot) => format!("SNAPSHOT from {} upto {}", snapshot.from, snapshot.upto),
        Frame::Manifest(manifest) => {
            let Manifest { cut, segment, bytes, manifest } = manifest;
            format!("MANIFEST cut {cut}, segment {segment}, {bytes} bytes, a manifest of {} bytes", manifest.len())
        }
        Frame::Chunk(chunk) => format!("CHUNK from {}, {} bytes, crc {:08x}", chunk.from, chunk.bytes, chunk.crc),
        Frame::Probe(position) => format!("PROBE {position}"),
        Frame::Point(position, before) => format!(
            "POINT {position}: {}",
            match before {
                Before::Nothing => "nothing begins there".to_owned(),
                Before::Point(point) => point.to_string(),
                Before::Retired => "retired".to_owned(),
                Before::Beyond => "beyond the end".to_owned(),
            }
        ),
    }
}

/// The frame in the form of the page: its header on a line, then 32 bytes of its body on each.
fn hex(bytes: &[u8]) -> String {
    let (header, body) = bytes.split_at(HEADER_BYTES);
    let mut text = String::new();
    for line in std::iter::once(header).chain(body.chunks(32)) {
        text += "   ";
        for word in line.chunks(4) {
            text += " ";
            word.iter().for_each(|byte| write!(text, "{byte:02x}").unwrap());
        }
        text += "\n";
    }
    text
}

fn page() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE)).unwrap()
}

/// The words and the bytes of each vector in a block of the page.
fn vectors(page: &str, block: &str) -> Vec<(String, Vec<u8>)> {
    let begin = format!("<!-- vectors: {block} -->\n");
    let (_, rest) = page.split_once(&begin).unwrap_or_else(|| panic!("{PAGE} has no block {block}"));
    let (text, _) = rest.split_once(END).unwrap();
    let mut vectors: Vec<(String, Vec<u8>)> = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with("```")) {
        if line.starts_with(' ') {
            let digits: Vec<char> = line.chars().filter(|digit| *digit != ' ').collect();
            let bytes = digits.chunks(2).map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap());
            vectors.last_mut().expect("words stand before the bytes").1.extend(bytes);
        } else {
            vectors.push((line.to_owned(), Vec::new()));
        }
    }
    vectors
}

/// WIRE-FRAME
#[test]
fn the_good_vectors_of_the_page_are_what_the_code_reads_and_writes() {
    let encoded = |frame: &Frame| {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        bytes
    };
    if std::env::var_os("AERODB_BLESS").is_some() {
        let made: String =
            examples().iter().map(|frame| format!("{}\n{}", words(frame), hex(&encoded(frame)))).collect();
        let begin = "<!-- vectors: good -->\n";
        let page = page();
        let (before, rest) = page.split_once(begin).unwrap();
        let (_, after) = rest.split_once(END).unwrap();
        let blessed = format!("{before}{begin}```\n{made}```\n{END}{after}");
        std::fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE), blessed).unwrap();
    }
    let vectors = vectors(&page(), "good");
    let found: Vec<Frame> = vectors
        .iter()
        .map(|(said, bytes)| {
            let (frame, taken) = Frame::decode(bytes).unwrap().unwrap_or_else(|| panic!("{said}: not whole"));
            assert_eq!(taken, bytes.len(), "{said}: something follows");
            assert_eq!(&words(&frame), said);
            assert_eq!(&encoded(&frame), bytes, "{said}: written otherwise");
            frame
        })
        .collect();
    assert_eq!(found, examples(), "AERODB_BLESS=1 writes them");
}

/// WIRE-FRAME: what is said of a bad vector begins with the name of its fault.
#[test]
fn the_bad_vectors_of_the_page_are_refused_with_the_fault_that_is_named() {
    let vectors = vectors(&page(), "bad");
    for (said, bytes) in &vectors {
        let fault = Frame::decode(bytes).expect_err(said);
        assert_eq!(said.split(": ").next(), Some(fault.name()), "{said}");
    }
    for fault in [Fault::HeaderChecksum, Fault::Kind, Fault::Length, Fault::BodyChecksum, Fault::Field] {
        assert!(vectors.iter().any(|(said, _)| said.starts_with(fault.name())), "no vector shows: {fault}");
    }
    assert!(vectors.len() >= 20, "{} vectors", vectors.len());
}

/// WIRE-FRAME: one byte after another, and then all that follows.
#[test]
fn a_stream_is_the_same_frames_in_whatever_pieces_it_arrives() {
    let mut stream = Vec::new();
    for frame in examples() {
        frame.encode(&mut stream);
    }
    for size in 1..=stream.len() {
        let (mut held, mut found) = (Vec::new(), Vec::new());
        for piece in stream.chunks(size) {
            held.extend_from_slice(piece);
            while let Some((frame, taken)) = Frame::decode(&held).unwrap() {
                found.push(frame);
                held.drain(..taken);
            }
        }
        assert_eq!((found, held), (examples(), Vec::new()), "pieces of {size}");
    }
}

/// The kind, the body and the number of log bytes of a frame of which some bytes of the body were changed, or the last one lost.
fn changed() -> impl Strategy<Value = (u8, Vec<u8>, usize)> {
    let parts = |frame: Frame| {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        let log_bytes = if let Frame::Segment(segment) = &frame {
            segment.bytes
        } else if let Frame::Chunk(chunk) = &frame {
            chunk.bytes
        } else {
            0
        };
        (bytes[4], bytes.split_off(HEADER_BYTES), log_bytes)
    };
    let parts: Vec<(u8, Vec<u8>, usize)> = examples().into_iter().map(parts).collect();
    let byte = prop_oneof![select(vec![0u8, 1, 2, 0x7f, 0x80, 0xff]), any::<u8>()];
    let changes = vec((any::<Index>(), byte), 0..4);
    (select(parts), changes, any::<Index>()).prop_map(|((kind, mut body, log_bytes), changes, cut)| {
        for (at, byte) in changes {
            let at = at.index(body.len());
            body[at] = byte;
        }
        if cut.index(5) == 0 {
            body.pop();
        }
        (kind, body, log_bytes)
    })
}

/// WIRE-FRAME: random bytes; and changed frames whose checksums hold all the same; from a fixed seed and a fresh one, which is printed:
/// `AERODB_SEED` replays it.
#[test]
fn what_is_accepted_is_encoded_to_the_same_bytes() {
    let fresh = u64::from_le_bytes(aerodb::entropy::random_id().unwrap()[..8].try_into().unwrap());
    let seed = std::env::var("AERODB_SEED").ok().map_or(fresh, |seed| seed.parse().expect("AERODB_SEED is a number"));
    for seed in [1, seed] {
        println!("seed {seed}");
        let config =
            Config { cases: CASES, rng_seed: RngSeed::Fixed(seed), failure_persistence: None, ..Config::default() };
        let (accepted, refused) = (Cell::new(0), Cell::new(0));
        let checked = TestRunner::new(config.clone()).run(&changed(), |(kind, body, log_bytes)| {
            let counter = if check_sealed(kind, &body, log_bytes) { &accepted } else { &refused };
            counter.set(counter.get() + 1);
            Ok(())
        });
        checked.unwrap_or_else(|failed| panic!("seed {seed}: {failed}"));
        let checked = TestRunner::new(config).run(&vec(any::<u8>(), 0..200), |bytes| {
            check_frame(&bytes);
            Ok(())
        });
        checked.unwrap_or_else(|failed| panic!("seed {seed}: {failed}"));
        println!("{accepted:?} accepted, {refused:?} refused");
        assert!(accepted.get() > 1000 && refused.get() > 1000);
    }
}
