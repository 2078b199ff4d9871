//! Requests as they arrive: arrays of bulk strings, or inline lines (RESP-REQUEST, RESP-INLINE).
//!
//! A [`Decoder`] belongs to one connection. It takes every byte it is given, or all up to the end of a request, and keeps what is not
//! whole; a byte of an argument is copied once, into the request that it becomes part of. Empty requests are skipped, as Redis does.
//!
//! The first byte that breaks the protocol ends it: from then on the same [`Malformed`] is answered, because where the next request
//! would begin is not known. Its texts are those of Redis where Redis has one (RESP-MALFORMED).
//!
//! A replica that was given the port of clients would wait for ever: what it says has no line end. So its first bytes are known here.

use crate::limits;
use crate::reason::Reason;
use crate::resp::line::{Line, TooLong};
use crate::resp::{inline, integer, receive};
use std::fmt;

/// How a replica begins: the length and kind of its HELLO (`protocol.md`), and zeros. No command has such a name.
const HELLO: &[u8; 8] = b"h\0\0\0\x01\0\0\0";

/// What is kept of the memory for requests from one to the next.
const KEEP_BYTES: usize = 4 * 1024;
/// What most requests fit into.
const SMALL_BYTES: usize = 128;
/// What is kept of the memory of a request that was carried out, for the next: no more, because that may be kept in it.
const REUSED_BYTES: usize = 512;

/// One request: the name of a command and its arguments, all of them bytes. Never empty when it comes from a [`Decoder`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    bytes: Vec<u8>,
    /// Where each argument ends; it begins where the one before ends.
    ends: Vec<usize>,
}

impl Request {
    /// How many arguments it has, its name included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// An argument; the name is at 0.
    #[must_use]
    pub fn arg(&self, index: usize) -> Option<&[u8]> {
        let start = index.checked_sub(1).map_or(Some(&0), |before| self.ends.get(before))?;
        self.bytes.get(*start..*self.ends.get(index)?)
    }

    /// All arguments, the name first.
    pub fn args(&self) -> impl ExactSizeIterator<Item = &[u8]> + Clone {
        let mut start = 0;
        self.ends.iter().map(move |end| {
            let argument = self.bytes.get(start..*end).unwrap_or_default();
            start = *end;
            argument
        })
    }

    /// Memory that it holds.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.capacity().saturating_add(self.ends.capacity().saturating_mul(size_of::<usize>()))
    }

    /// Appends an argument.
    pub(super) fn push(&mut self, argument: &[u8]) {
        self.bytes.extend_from_slice(argument);
        self.end_argument();
    }

    /// What was appended since the last argument is one.
    fn end_argument(&mut self) {
        self.ends.push(self.bytes.len());
    }
}

impl<A: AsRef<[u8]>> FromIterator<A> for Request {
    fn from_iter<I: IntoIterator<Item = A>>(arguments: I) -> Request {
        let mut request = Request::default();
        arguments.into_iter().for_each(|argument| request.push(argument.as_ref()));
        request
    }
}

/// What a request may have at most.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Arguments of an array, the name of the command included.
    pub arguments: usize,
    /// Bytes of a line: an inline request, which has no other limit, or a length.
    pub line_bytes: usize,
    /// Bytes of an argument.
    pub argument_bytes: usize,
    /// Bytes of all arguments of a request.
    pub request_bytes: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            arguments: limits::REQUEST_ARGUMENTS_MAX,
            line_bytes: limits::REQUEST_LINE_BYTES_MAX,
            argument_bytes: limits::VALUE_BYTES_MAX,
            request_bytes: limits::REQUEST_BYTES_MAX,
        }
    }
}

/// Why bytes are not a request; displayed, the text of the error that the client is told before the connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// The number of arguments is no number, or above the limit.
    Count,
    /// The line with the number of arguments has no end.
    CountTooLong,
    /// This stands where an argument should begin.
    NotBulk(u8),
    /// The length of an argument is no number, below zero, or above the limit.
    Length,
    /// The line with the length of an argument has no end.
    LengthTooLong,
    /// An argument does not end where its length says.
    NotTerminated,
    /// All arguments together are beyond the limit.
    TooLarge,
    /// An inline request has no end.
    InlineTooLong,
    /// The quotes of an inline request are not balanced.
    Quotes,
    /// They are the protocol of the other port: that of replicas where clients are served, or the other way round.
    OtherPort,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Malformed::OtherPort {
            let reason = Reason::ProtocolOtherPort;
            return write!(f, "{reason} {} {}", reason.sentence(), reason.remedy());
        }
        f.write_str("Protocol error: ")?;
        f.write_str(match self {
            Malformed::Count => "invalid multibulk length",
            Malformed::CountTooLong => "too big mbulk count string",
            Malformed::NotBulk(byte) => return write!(f, "expected '$', got '{}'", byte.escape_ascii()),
            Malformed::Length => "invalid bulk length",
            Malformed::LengthTooLong => "too big bulk count string",
            Malformed::NotTerminated => "expected CRLF behind a bulk",
            Malformed::TooLarge => "too big request",
            Malformed::InlineTooLong => "too big inline request",
            Malformed::Quotes => "unbalanced quotes in request",
            Malformed::OtherPort => "other port",
        })
    }
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The first byte of a request.
    Begin,
    /// An inline request.
    Inline,
    /// The number of arguments.
    Count,
    /// The length of an argument.
    Length,
    /// So many bytes of an argument.
    Argument(usize),
    /// The line end behind an argument.
    Terminator,
    /// Nothing: the protocol is broken.
    Broken(Malformed),
}

/// Takes requests out of the bytes of one connection.
#[derive(Debug)]
pub struct Decoder {
    limits: Limits,
    state: State,
    line: Line,
    request: Request,
    /// Arguments that the request still lacks.
    lacking: usize,
}

impl Decoder {
    /// A decoder for a new connection.
    #[must_use]
    pub fn new(limits: Limits) -> Decoder {
        Decoder { limits, state: State::Begin, line: Line::default(), request: Request::default(), lacking: 0 }
    }

    /// The next request, once all of it has arrived. What was looked at is taken from the input: everything, if there is no request.
    ///
    /// # Errors
    /// The protocol is broken, now or earlier.
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<Request>, Malformed> {
        let outcome = self.advance(input);
        match outcome {
            Err(malformed) => self.state = State::Broken(malformed),
            Ok(None) => self.line.release(KEEP_BYTES),
            Ok(Some(_)) => {}
        }
        outcome
    }

    /// Takes the memory of a request that nobody needs any more, for the next one.
    pub fn reuse(&mut self, mut request: Request) {
        if !self.is_amid_request() && request.bytes() <= REUSED_BYTES {
            request.bytes.clear();
            request.ends.clear();
            self.request = request;
        }
    }

    /// Whether a part of a request has arrived.
    #[must_use]
    pub fn is_amid_request(&self) -> bool {
        self.state != State::Begin
    }

    /// Memory that it holds.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.request.bytes().saturating_add(self.line.bytes())
    }

    fn advance(&mut self, input: &mut &[u8]) -> Result<Option<Request>, Malformed> {
        loop {
            match self.state {
                State::Begin => {
                    let Some(first) = input.first() else { return Ok(None) };
                    self.state = if *first == b'*' { State::Count } else { State::Inline };
                }
                State::Inline => {
                    if self.line.begins(input, HELLO) {
                        return Err(Malformed::OtherPort);
                    }
                    let line = self.line.next(input, self.limits.line_bytes);
                    let Some(line) = line.map_err(|TooLong| Malformed::InlineTooLong)? else { return Ok(None) };
                    let mut request = Request::default();
                    inline::split(line.strip_suffix(b"\r").unwrap_or(line), &mut request).ok_or(Malformed::Quotes)?;
                    self.state = State::Begin;
                    if !request.is_empty() {
                        return Ok(Some(request));
                    }
                }
                State::Count => {
                    let line = self.line.next(input, self.limits.line_bytes);
                    let Some(line) = line.map_err(|TooLong| Malformed::CountTooLong)? else { return Ok(None) };
                    let count = line.get(1..).and_then(number).ok_or(Malformed::Count)?;
                    self.lacking = usize::try_from(count).unwrap_or_default();
                    if self.lacking > self.limits.arguments {
                        return Err(Malformed::Count);
                    }
                    self.request.bytes.reserve_exact(SMALL_BYTES.min(input.len()));
                    self.state = if self.lacking == 0 { State::Begin } else { State::Length };
                }
                State::Length => {
                    let line = self.line.next(input, self.limits.line_bytes);
                    let Some(line) = line.map_err(|TooLong| Malformed::LengthTooLong)? else { return Ok(None) };
                    let length = match line {
                        [b'$', length @ ..] => number(length).and_then(|length| usize::try_from(length).ok()),
                        _ => return Err(Malformed::NotBulk(line.first().copied().unwrap_or(b'\n'))),
                    };
                    let length = length.filter(|length| *length <= self.limits.argument_bytes);
                    let length = length.ok_or(Malformed::Length)?;
                    if self.request.bytes.len().saturating_add(length) > self.limits.request_bytes {
                        return Err(Malformed::TooLarge);
                    }
                    self.state = State::Argument(length);
                }
                State::Argument(left) => match receive(&mut self.request.bytes, left, input) {
                    0 => self.state = State::Terminator,
                    left => {
                        self.state = State::Argument(left);
                        return Ok(None);
                    }
                },
                State::Terminator => {
                    let line = self.line.next(input, 1).map_err(|TooLong| Malformed::NotTerminated)?;
                    let Some(line) = line else { return Ok(None) };
                    if line != b"\r" {
                        return Err(Malformed::NotTerminated);
                    }
                    self.request.end_argument();
                    self.lacking = self.lacking.saturating_sub(1);
                    self.state = State::Length;
                    if self.lacking == 0 {
                        self.state = State::Begin;
                        return Ok(Some(std::mem::take(&mut self.request)));
                    }
                }
                State::Broken(malformed) => return Err(malformed),
            }
        }
    }
}

/// A number and a carriage return.
fn number(line: &[u8]) -> Option<i64> {
    line.strip_suffix(b"\r").and_then(integer)
}
