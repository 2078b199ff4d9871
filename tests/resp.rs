//! Requests and replies as bytes (RESP-REQUEST, RESP-INLINE, RESP-MALFORMED, RESP-BOUND, RESP-RESPONSE).
//!
//! Whatever arrives, and however it was cut up: every prefix, every place to cut, every flipped bit, and random bytes made of what
//! protocols are made of. The properties themselves stand in `tests/resp/property.rs`; the fuzz targets run the same ones.

#![cfg(feature = "server")]

#[path = "resp/property.rs"]
mod property;

use aerodb::limits;
use aerodb::resp::request::{Decoder, Limits, Malformed, Request};
use aerodb::resp::response::{Bounds, Piece, Responses, Value};
use aerodb::resp::{Out, Version, encode_request};
use property::{TIGHT, TIGHT_BOUNDS, check_replies, check_requests, replies, requests};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, RngSeed, TestRunner};

const CASES: u32 = 20_000;

/// A few of everything: arrays, empty ones, inline requests, empty lines, bytes of any kind.
const STREAM: &[u8] =
    b"*1\r\n$4\r\nPING\r\n*3\r\n$3\r\nSET\r\n$0\r\n\r\n$5\r\n\r\n\x00*1\r\n*0\r\n\r\n*-1\r\nGET k\r\n\
    SET 'a b' \"\\x00\\n\"\n*2\r\n$3\r\nGET\r\n$12\r\n$1\r\nx\r\n*1\r\n$\r\n   \r\nECHO last\r\n";

fn request(arguments: &[&[u8]]) -> Request {
    arguments.iter().collect()
}

#[test]
fn every_prefix_and_every_cut_of_a_stream_gives_the_same_requests_resp_request() {
    let expected = [
        request(&[b"PING"]),
        request(&[b"SET", b"", b"\r\n\x00*1"]),
        request(&[b"GET", b"k"]),
        request(&[b"SET", b"a b", b"\x00\n"]),
        request(&[b"GET", b"$1\r\nx\r\n*1\r\n$"]),
        request(&[b"ECHO", b"last"]),
    ];
    assert_eq!(requests(STREAM, &[], Limits::default()), (expected.to_vec(), None));
    for length in 0..STREAM.len() {
        let prefix = &STREAM[..length];
        let (found, broken) = requests(prefix, &[1], Limits::default());
        assert_eq!((found.as_slice(), broken), (&expected[..found.len()], None), "a prefix of {length} bytes");
        check_requests(STREAM, &[length, usize::MAX]);
        check_requests(prefix, &[1]);
    }
}

#[test]
fn a_request_knows_its_arguments() {
    let request = request(&[b"SET", b"", b"value"]);
    assert_eq!(request.len(), 3);
    assert_eq!(request.args().collect::<Vec<_>>(), [&b"SET"[..], b"", b"value"]);
    assert_eq!([0, 1, 2, 3].map(|index| request.arg(index)), [Some(&b"SET"[..]), Some(b""), Some(b"value"), None]);
    assert_eq!(Request::default().arg(0), None);
}

#[test]
fn every_flipped_bit_is_answered_and_bounded_resp_bound() {
    let mut replies = Vec::new();
    property::encode(&everything(), &mut replies);
    for bit in 0..STREAM.len() * 8 {
        let mut flipped = STREAM.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        check_requests(&flipped, &[bit % 7 + 1]);
    }
    for bit in 0..replies.len() * 8 {
        let mut flipped = replies.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        check_replies(&flipped, &[bit % 7 + 1]);
    }
}

#[test]
fn what_breaks_the_protocol_is_told_in_the_words_of_redis_resp_malformed() {
    let long = "x".repeat(limits::REQUEST_LINE_BYTES_MAX + 1);
    let cases = [
        ("*x\r\n", "invalid multibulk length"),
        ("*\r\n", "invalid multibulk length"),
        ("*01\r\n", "invalid multibulk length"),
        ("*1\n", "invalid multibulk length"),
        ("*1048577\r\n", "invalid multibulk length"),
        ("*9223372036854775808\r\n", "invalid multibulk length"),
        (&format!("*{long}"), "too big mbulk count string"),
        ("*1\r\nPING\r\n", "expected '$', got 'P'"),
        ("*1\r\n\r\n", "expected '$', got '\\r'"),
        ("*1\r\n\n", "expected '$', got '\\n'"),
        ("*1\r\n:1\r\n", "expected '$', got ':'"),
        ("*1\r\n*1\r\n", "expected '$', got '*'"),
        ("*1\r\n$x\r\n", "invalid bulk length"),
        ("*1\r\n$-1\r\n", "invalid bulk length"),
        ("*1\r\n$4\nPING", "invalid bulk length"),
        ("*1\r\n$33554433\r\n", "invalid bulk length"),
        (&format!("*1\r\n${long}"), "too big bulk count string"),
        ("*1\r\n$4\r\nPINGS\r\n", "expected CRLF behind a bulk"),
        ("*1\r\n$4\r\nPING\n", "expected CRLF behind a bulk"),
        ("*1\r\n$4\r\nPING\rx", "expected CRLF behind a bulk"),
        ("GET \"k\r\n", "unbalanced quotes in request"),
        (&long, "too big inline request"),
    ];
    for (bytes, text) in cases {
        let (found, broken) = requests(bytes.as_bytes(), &[], Limits::default());
        let told = broken.map(|broken| broken.to_string());
        assert_eq!(
            (found.len(), told),
            (0, Some(format!("Protocol error: {text}"))),
            "{}",
            &bytes[..bytes.len().min(40)]
        );
        check_requests(bytes.as_bytes(), &[1000, 1]);
    }
}

#[test]
fn limits_hold_at_the_byte_resp_bound() {
    let encoded = |arguments: &[usize]| {
        let mut bytes = Vec::new();
        encode_request(&arguments.iter().map(|length| vec![b'a'; *length]).collect::<Vec<_>>(), &mut bytes);
        requests(&bytes, &[7], TIGHT).1
    };
    assert_eq!(encoded(&[60, 30]), None);
    assert_eq!(encoded(&[60, 31]), Some(Malformed::TooLarge));
    assert_eq!(encoded(&[61]), Some(Malformed::Length));
    assert_eq!(encoded(&[1; 5]), None);
    assert_eq!(encoded(&[1; 6]), Some(Malformed::Count));
    let inline = |length| requests(format!("{}\n", "a".repeat(length)).as_bytes(), &[7], TIGHT).1;
    assert_eq!((inline(40), inline(41)), (None, Some(Malformed::InlineTooLong)));
}

/// An announced length takes no memory, and a great many arguments take time in proportion.
#[test]
fn what_is_announced_takes_no_memory_resp_bound() {
    let mut decoder = Decoder::new(Limits::default());
    assert_eq!(decoder.next(&mut &b"*1048576\r\n$33554432\r\nx"[..]), Ok(None));
    assert!(decoder.bytes() < 20_000, "{} bytes", decoder.bytes());
    assert!(decoder.is_amid_request());

    let mut bytes = format!("*{}\r\n", limits::REQUEST_ARGUMENTS_MAX).into_bytes();
    bytes.extend(b"$1\r\nx\r\n".repeat(limits::REQUEST_ARGUMENTS_MAX));
    let (found, broken) = requests(&bytes, &[1], Limits::default());
    assert_eq!((found.len(), found[0].len(), broken), (1, limits::REQUEST_ARGUMENTS_MAX, None));
}

#[test]
fn the_memory_of_a_large_request_is_let_go_with_it_resp_bound() {
    let mut bytes = Vec::new();
    encode_request(&[&b"SET"[..], b"k", &vec![7; 16 << 20]], &mut bytes);
    let mut decoder = Decoder::new(Limits::default());
    let mut found = Vec::new();
    for mut piece in bytes.chunks(64 * 1024) {
        found.extend(decoder.next(&mut piece).unwrap());
    }
    assert_eq!(found[0].arg(2).map(<[u8]>::len), Some(16 << 20));
    assert!(found[0].bytes() < (16 << 20) + 1000, "{} bytes", found[0].bytes());
    let long = [&b"a".repeat(limits::REQUEST_LINE_BYTES_MAX)[..], b"\n"].concat();
    for mut piece in long.chunks(1000) {
        found.extend(decoder.next(&mut piece).unwrap());
    }
    assert_eq!((found.len(), decoder.next(&mut &[][..])), (2, Ok(None)));
    assert!(decoder.bytes() < 4200 && !decoder.is_amid_request(), "{} bytes", decoder.bytes());
}

/// Every kind of value there is.
fn everything() -> Value {
    let bulk = |bytes: &[u8]| Value::Bulk(bytes.to_vec());
    Value::Array(vec![
        Value::Simple(b"OK".to_vec()),
        Value::Error(b"ERR no".to_vec()),
        Value::Integer(i64::MIN),
        bulk(b""),
        bulk(b"\r\n\x00$"),
        Value::Null,
        Value::NullArray,
        Value::Array(vec![]),
        Value::Map(vec![bulk(b"k"), Value::Set(vec![Value::Boolean(true), Value::Boolean(false)])]),
        Value::Push(vec![Value::Double(-1.5), Value::Double(f64::INFINITY)]),
        Value::BigNumber(b"123456789012345678901234567890".to_vec()),
        Value::BulkError(b"ERR two\r\nlines".to_vec()),
        Value::Verbatim(*b"txt", b"as it is".to_vec()),
        Value::Attributed(vec![bulk(b"ttl"), Value::Integer(7)], Box::new(Value::Array(vec![Value::Null]))),
        Value::Attributed(vec![], Box::new(Value::Integer(7))),
    ])
}

#[test]
fn every_kind_of_reply_is_read_wherever_it_was_cut_resp_response() {
    let mut bytes = Vec::new();
    property::encode(&everything(), &mut bytes);
    property::encode(&everything(), &mut bytes);
    for cut in 0..bytes.len() {
        let found = replies(&bytes, &[cut, usize::MAX], Bounds::default());
        assert_eq!(found, (vec![everything(), everything()], None), "cut at {cut}");
        assert_eq!(replies(&bytes[..cut], &[1], Bounds::default()).1, None, "a prefix of {cut} bytes");
    }
}

/// An array may be taken value by value, so that only one of them is held; what is within a value comes with it.
#[test]
fn a_long_array_is_read_in_pieces_resp_response() {
    let mut bytes = b"*1000000000\r\n*2\r\n:1\r\n:2\r\n$1\r\na\r\n%1\r\n+k\r\n*1\r\n_\r\n*0\r\n*-1\r\n:".to_vec();
    let map = Value::Map(vec![Value::Simple(b"k".to_vec()), Value::Array(vec![Value::Null])]);
    let expected = [
        Piece::Array(1_000_000_000),
        Piece::Array(2),
        Piece::Value(Value::Integer(1)),
        Piece::Value(Value::Integer(2)),
        Piece::Value(Value::Bulk(b"a".to_vec())),
        Piece::Value(map),
        Piece::Array(0),
        Piece::Value(Value::NullArray),
    ];
    for size in 1..bytes.len() {
        let mut responses = Responses::new(TIGHT_BOUNDS);
        let mut found = Vec::new();
        for mut part in bytes.chunks(size) {
            found.extend(std::iter::from_fn(|| responses.next_piece(&mut part).unwrap()));
        }
        assert_eq!(found, expected, "pieces of {size}");
    }
    bytes.extend_from_slice(b"x\r\n");
    assert!(replies(&bytes, &[], TIGHT_BOUNDS).1.is_some(), "as a whole it would be too large");
}

/// What the server writes, its clients read; what RESP2 lacks, they read as what it was written as.
#[test]
fn what_is_written_is_read_resp_reply() {
    let read = |version: Version, write: &dyn Fn(&mut Out<'_>)| {
        let mut bytes = Vec::new();
        write(&mut Out::new(version, &mut bytes));
        let (mut found, broken) = replies(&bytes, &[1], Bounds::default());
        assert_eq!((found.len(), broken), (1, None), "{}", bytes.escape_ascii());
        found.remove(0)
    };
    let both = |write: &dyn Fn(&mut Out<'_>)| [read(Version::Two, write), read(Version::Three, write)];
    let bulk = |text: &str| Value::Bulk(text.as_bytes().to_vec());
    assert_eq!(both(&|out| out.null()), [Value::Null, Value::Null]);
    assert_eq!(both(&|out| out.null_array()), [Value::NullArray, Value::Null]);
    assert_eq!(both(&|out| out.boolean(true)), [Value::Integer(1), Value::Boolean(true)]);
    assert_eq!(both(&|out| out.double(0.1)), [bulk("0.1"), Value::Double(0.1)]);
    assert_eq!(both(&|out| out.verbatim("a")), [bulk("a"), Value::Verbatim(*b"txt", b"a".to_vec())]);
    let pair = |out: &mut Out<'_>| {
        out.map(1);
        out.bulk(b"k");
        out.integer(-7);
    };
    let values = vec![bulk("k"), Value::Integer(-7)];
    assert_eq!(both(&pair), [Value::Array(values.clone()), Value::Map(values)]);
}

#[test]
fn what_is_no_reply_is_refused_and_bounded_resp_response() {
    let refused = |bytes: &[u8], text: &str| {
        let (found, broken) = replies(bytes, &[], TIGHT_BOUNDS);
        let told = broken.map(|broken| broken.to_string()).unwrap_or_default();
        assert!(found.is_empty() && told.contains(text), "{}: {told}", bytes.escape_ascii());
    };
    for bytes in
        ["\r\n", "OK\r\n", "+OK\n", ":x\r\n", ":+1\r\n", "$-2\r\n", "$?\r\n", "*-2\r\n", "*?\r\n", "#x\r\n", "_x\r\n"]
    {
        refused(bytes.as_bytes(), "no reply");
    }
    for bytes in ["$1\r\nab\r\n", "=3\r\nabc\r\n", "=2\r\nab\r\n", "=4\r\nabcd\r\n", ",x\r\n", "%-1\r\n", "!x\r\n"] {
        refused(bytes.as_bytes(), "no reply");
    }
    refused(b"*1\r\n*1\r\n*1\r\n*1\r\n", "deeper");
    refused(b"$1001\r\n", "larger");
    refused(b"*1000000000\r\n", "larger");
    refused(b"%9223372036854775807\r\n", "larger");
    refused(&b"+".repeat(41), "larger");
    let lines = format!("+{}\r\n", "a".repeat(38)).repeat(20);
    refused(format!("*20\r\n{lines}").as_bytes(), "larger");
    assert_eq!(replies(lines.as_bytes(), &[], TIGHT_BOUNDS).0.len(), 20, "each reply for itself is within the bounds");
    let forty = format!("$40\r\n{}\r\n", "a".repeat(40));
    refused(format!("*20\r\n{}", forty.repeat(20)).as_bytes(), "larger");
}

/// Bytes made of what protocols are made of.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let words: &[&[u8]] = &[
        b"*",
        b"$",
        b"\r\n",
        b"\n",
        b"\r",
        b"*1\r\n",
        b"*2\r\n",
        b"$0\r\n\r\n",
        b"$3\r\nGET\r\n",
        b"$1\r\n",
        b"\"",
        b"'",
        b"\\",
        b" ",
        b"PING\r\n",
        b"k",
        b"*0\r\n",
        b"*-1\r\n",
        b"-1",
        b"61",
        b"*6\r\n",
        b"$50\r\n",
        b"\x00",
        b"\xff",
        b"+OK\r\n",
        b":1\r\n",
        b"_\r\n",
        b"#t\r\n",
        b",1.5\r\n",
        b"%1\r\n",
        b"|1\r\n",
        b"=5\r\ntxt:a\r\n",
        b">1\r\n",
        b"~2\r\n",
        b"-ERR\r\n",
        b"(1\r\n",
        b"!1\r\na\r\n",
    ];
    let word =
        prop_oneof![9 => select(words.to_vec()).prop_map(<[u8]>::to_vec), 1 => any::<u8>().prop_map(|byte| vec![byte])];
    prop::collection::vec(word, 0..30).prop_map(|words| words.concat())
}

fn run(seed: u64) {
    println!("seed {seed}");
    let config =
        Config { cases: CASES, rng_seed: RngSeed::Fixed(seed), failure_persistence: None, ..Config::default() };
    let sizes = prop::collection::vec(1..20_usize, 1..5);
    let checked = TestRunner::new(config).run(&(stream(), sizes), |(bytes, sizes)| {
        check_requests(&bytes, &sizes);
        check_replies(&bytes, &sizes);
        Ok(())
    });
    if let Err(failure) = checked {
        panic!("seed {seed}: {failure}");
    }
}

#[test]
fn bytes_from_the_fixed_seed_are_read_the_same_wherever_they_were_cut() {
    run(0xae0d_b003);
}

/// The same, from a seed that nobody has tried; `AERODB_SEED` replays it.
#[test]
fn bytes_from_a_fresh_seed_are_read_the_same_wherever_they_were_cut() {
    let fresh = aerodb::entropy::random_id().unwrap();
    let fresh = u64::from_le_bytes(fresh[..8].try_into().unwrap());
    run(std::env::var("AERODB_SEED").ok().map_or(fresh, |seed| seed.parse().expect("AERODB_SEED is a number")));
}
