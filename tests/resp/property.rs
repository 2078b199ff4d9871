//! What holds for any bytes: shared by `tests/resp.rs` and the fuzz targets.

use aerodb::resp::encode_request;
use aerodb::resp::request::{Decoder, Limits, Malformed, Request};
use aerodb::resp::response::{Bounds, NotReply, Responses, Value};

/// Limits that short inputs reach.
pub const TIGHT: Limits = Limits { arguments: 5, line_bytes: 40, argument_bytes: 60, request_bytes: 90 };
/// The same for replies.
pub const TIGHT_BOUNDS: Bounds = Bounds { depth: 3, line_bytes: 40, reply_bytes: 1000 };

/// What memory may be taken before anything arrived: a step of an argument, and what the containers begin with.
const AHEAD_BYTES: usize = 16 * 1024 + 512;

/// Feeds bytes in pieces of these sizes, the last one over and over.
fn pieces<'a>(mut bytes: &'a [u8], sizes: &'a [usize]) -> impl Iterator<Item = &'a [u8]> {
    let last = sizes.last().copied().unwrap_or(usize::MAX).max(1);
    let mut sizes = sizes.iter().copied();
    std::iter::from_fn(move || {
        let size = sizes.next().unwrap_or(last).min(bytes.len());
        let (piece, rest) = bytes.split_at(size);
        (!bytes.is_empty()).then_some(())?;
        bytes = rest;
        Some(piece)
    })
}

/// All requests in bytes that arrive in pieces, and how it ended.
pub fn requests(bytes: &[u8], sizes: &[usize], limits: Limits) -> (Vec<Request>, Option<Malformed>) {
    let mut decoder = Decoder::new(limits);
    let (mut requests, mut arrived) = (Vec::new(), 0);
    for mut piece in pieces(bytes, sizes) {
        arrived += piece.len();
        loop {
            let outcome = decoder.next(&mut piece);
            assert!(decoder.bytes() <= 5 * arrived + AHEAD_BYTES, "{} bytes held for {arrived}", decoder.bytes());
            match outcome {
                Ok(Some(request)) => requests.push(request),
                Ok(None) => break assert!(piece.is_empty(), "what is not a request yet is kept by the decoder"),
                Err(malformed) => {
                    assert_eq!(decoder.next(&mut &b"*1\r\n$4\r\nPING\r\n"[..]), Err(malformed), "broken for good");
                    return (requests, Some(malformed));
                }
            }
        }
    }
    (requests, None)
}

/// RESP-REQUEST, RESP-BOUND: the requests are the same wherever the bytes were cut, no more memory is held than has arrived, by a factor,
/// and each request that came as an array is encoded as it came.
pub fn check_requests(bytes: &[u8], sizes: &[usize]) {
    for limits in [TIGHT, Limits::default()] {
        let whole = requests(bytes, &[], limits);
        assert_eq!(whole, requests(bytes, sizes, limits), "pieces of {sizes:?}");
        let mut decoder = Decoder::new(limits);
        let mut rest = bytes;
        for request in &whole.0 {
            let before = rest;
            assert_eq!(decoder.next(&mut rest).as_ref().ok().and_then(Option::as_ref), Some(request));
            let came = without_empty(&before[..before.len() - rest.len()]);
            let mut encoded = Vec::new();
            encode_request(&request.args().collect::<Vec<_>>(), &mut encoded);
            assert!(!request.is_empty());
            let again = requests(&encoded, &[1], Limits::default());
            assert_eq!(again, (vec![request.clone()], None), "it is read as it is written");
            if came.starts_with(b"*") {
                assert!(request.len() <= limits.arguments);
                assert!(request.args().map(<[u8]>::len).sum::<usize>() <= limits.request_bytes);
                assert_eq!(came.escape_ascii().to_string(), encoded.escape_ascii().to_string());
            }
        }
    }
}

/// Without the empty requests in front.
fn without_empty(mut bytes: &[u8]) -> &[u8] {
    loop {
        let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len() - 1);
        let (line, rest) = bytes.split_at(end + 1);
        let blank = line.iter().all(|byte| matches!(byte, b' ' | b'\t'..=b'\r'));
        if !blank && !line.starts_with(b"*-") && !line.starts_with(b"*0") {
            return bytes;
        }
        bytes = rest;
    }
}

/// All replies in bytes that arrive in pieces, and how it ended.
pub fn replies(bytes: &[u8], sizes: &[usize], bounds: Bounds) -> (Vec<Value>, Option<NotReply>) {
    let mut responses = Responses::new(bounds);
    let mut replies = Vec::new();
    for mut piece in pieces(bytes, sizes) {
        loop {
            match responses.next(&mut piece) {
                Ok(Some(reply)) => replies.push(reply),
                Ok(None) => break assert!(piece.is_empty(), "what is not a reply yet is kept by the decoder"),
                Err(not_reply) => {
                    assert_eq!(responses.next(&mut &b"+OK\r\n"[..]), Err(not_reply), "broken for good");
                    return (replies, Some(not_reply));
                }
            }
        }
    }
    (replies, None)
}

/// RESP-RESPONSE: the replies are the same wherever the bytes were cut, and what they are encoded to is read as the same.
pub fn check_replies(bytes: &[u8], sizes: &[usize]) {
    for bounds in [TIGHT_BOUNDS, Bounds::default()] {
        let whole = replies(bytes, &[], bounds);
        // Not-a-number equals nothing, so what is shown is compared.
        assert_eq!(format!("{whole:?}"), format!("{:?}", replies(bytes, sizes, bounds)), "pieces of {sizes:?}");
        let mut encoded = Vec::new();
        whole.0.iter().for_each(|reply| encode(reply, &mut encoded));
        let again = replies(&encoded, &[1], Bounds::default());
        assert_eq!(format!("{:?}", (&whole.0, None::<NotReply>)), format!("{:?}", (&again.0, again.1)));
    }
}

/// A reply in the form of RESP3, or of RESP2 where only that has one.
pub fn encode(value: &Value, bytes: &mut Vec<u8>) {
    match value {
        Value::Array(values) => aggregate('*', values.len(), values, bytes),
        Value::Map(values) => aggregate('%', values.len() / 2, values, bytes),
        Value::Set(values) => aggregate('~', values.len(), values, bytes),
        Value::Push(values) => aggregate('>', values.len(), values, bytes),
        Value::Attributed(values, about) => {
            aggregate('|', values.len() / 2, values, bytes);
            encode(about, bytes);
        }
        Value::Simple(text) => line("+", text, bytes),
        Value::Error(text) => line("-", text, bytes),
        Value::BigNumber(text) => line("(", text, bytes),
        Value::Bulk(text) => line(&format!("${}\r\n", text.len()), text, bytes),
        Value::BulkError(text) => line(&format!("!{}\r\n", text.len()), text, bytes),
        Value::Verbatim(format, text) => {
            let text = [&format[..], b":", text].concat();
            line(&format!("={}\r\n", text.len()), &text, bytes);
        }
        Value::Null => line("_", b"", bytes),
        Value::NullArray => line("*-1", b"", bytes),
        Value::Integer(number) => line(&format!(":{number}"), b"", bytes),
        Value::Double(number) => line(&format!(",{number}"), b"", bytes),
        Value::Boolean(truth) => line(if *truth { "#t" } else { "#f" }, b"", bytes),
    }
}

fn line(begin: &str, end: &[u8], bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(begin.as_bytes());
    bytes.extend_from_slice(end);
    bytes.extend_from_slice(b"\r\n");
}

fn aggregate(kind: char, said: usize, values: &[Value], bytes: &mut Vec<u8>) {
    line(&format!("{kind}{said}"), b"", bytes);
    values.iter().for_each(|value| encode(value, bytes));
}
