//! Replies as a client reads them, of both versions of the protocol (RESP-RESPONSE).
//!
//! [`Responses`] belongs to one connection and takes what has arrived, as the decoder of requests does. It trusts a server no more than
//! that trusts a client: depth, lines and memory are bounded, and what is not a reply ends it. Streamed strings and aggregates (`$?`,
//! `*?`), which neither Redis nor this server sends, are refused.
//!
//! Used by the commands that speak to a server, and by tests.

use crate::limits;
use crate::resp::line::{Line, TooLong};
use crate::resp::{integer, receive};
use std::fmt;

/// What is kept of the memory for lines from one reply to the next.
const KEEP_BYTES: usize = 4 * 1024;

/// A reply.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A simple string.
    Simple(Vec<u8>),
    /// An error.
    Error(Vec<u8>),
    /// A number.
    Integer(i64),
    /// Bytes.
    Bulk(Vec<u8>),
    /// Null, in the place of bytes in RESP2.
    Null,
    /// Null in the place of an array, in RESP2.
    NullArray,
    /// Values in order.
    Array(Vec<Value>),
    /// Keys and values in turn.
    Map(Vec<Value>),
    /// Values without order.
    Set(Vec<Value>),
    /// Something that no request asked for.
    Push(Vec<Value>),
    /// A number with a fraction.
    Double(f64),
    /// A truth.
    Boolean(bool),
    /// The digits of a number of any size.
    BigNumber(Vec<u8>),
    /// An error that may have line ends.
    BulkError(Vec<u8>),
    /// Text and the three letters of its format.
    Verbatim([u8; 3], Vec<u8>),
    /// Remarks, keys and values in turn, and the value they are about.
    Attributed(Vec<Value>, Box<Value>),
}

impl Value {
    /// What it is, in a word or two.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Simple(_) => "a simple string",
            Value::Error(_) | Value::BulkError(_) => "an error",
            Value::Integer(_) => "a number",
            Value::Bulk(_) => "bytes",
            Value::Null | Value::NullArray => "null",
            Value::Array(_) => "an array",
            Value::Map(_) => "a map",
            Value::Set(_) => "a set",
            Value::Push(_) => "a push",
            Value::Double(_) => "a fraction",
            Value::Boolean(_) => "a truth",
            Value::BigNumber(_) => "a big number",
            Value::Verbatim(..) => "a text",
            Value::Attributed(..) => "an attribute",
        }
    }
}

/// A part of a reply that is worth having by itself.
#[derive(Clone, Debug, PartialEq)]
pub enum Piece {
    /// An array begins; so many values follow, each a piece.
    Array(usize),
    /// A value that is whole.
    Value(Value),
}

/// Bytes that are no reply, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotReply(&'static str);

impl fmt::Display for NotReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

const MALFORMED: NotReply = NotReply("what arrived is no reply");
const TOO_LARGE: NotReply = NotReply("the reply is larger than what is read");
const TOO_DEEP: NotReply = NotReply("the reply is nested deeper than what is read");

/// What a reply may have at most.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Aggregates within one another.
    pub depth: usize,
    /// Bytes of a line.
    pub line_bytes: usize,
    /// Memory for a reply.
    pub reply_bytes: usize,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds {
            depth: limits::REPLY_DEPTH_MAX,
            line_bytes: limits::REPLY_LINE_BYTES_MAX,
            reply_bytes: limits::REPLY_BYTES_MAX,
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum BulkKind {
    Bytes,
    Error,
    Verbatim,
}

#[derive(Clone, Copy, Debug)]
enum AggregateKind {
    Array,
    Map,
    Set,
    Push,
    Attributes,
}

/// What a line begins.
enum Head {
    Whole(Value),
    Bulk(BulkKind, usize),
    Aggregate(AggregateKind, usize),
}

/// What comes next.
#[derive(Clone, Copy, Debug)]
enum State {
    Line,
    /// So many bytes, then the line end behind them.
    Bulk(BulkKind, usize),
    Terminator(BulkKind),
    Broken(NotReply),
}

/// An aggregate that lacks values.
#[derive(Debug)]
struct Aggregate {
    kind: AggregateKind,
    lacking: usize,
    values: Vec<Value>,
}

/// Takes replies out of the bytes of one connection.
#[derive(Debug)]
pub struct Responses {
    bounds: Bounds,
    state: State,
    line: Line,
    bulk: Vec<u8>,
    /// The innermost last.
    begun: Vec<Aggregate>,
    /// Memory that was taken for the reply so far.
    taken_bytes: usize,
}

impl Responses {
    /// Replies of a new connection.
    #[must_use]
    pub fn new(bounds: Bounds) -> Responses {
        let (line, bulk, begun) = (Line::default(), Vec::new(), Vec::new());
        Responses { bounds, state: State::Line, line, bulk, begun, taken_bytes: 0 }
    }

    /// The next reply, once all of it has arrived. What was looked at is taken from the input: everything, if there is no reply.
    ///
    /// # Errors
    /// What arrives is no reply, now or earlier.
    pub fn next(&mut self, input: &mut &[u8]) -> Result<Option<Value>, NotReply> {
        self.advance(input, true).map(|piece| match piece? {
            Piece::Value(value) => Some(value),
            Piece::Array(_) => None,
        })
    }

    /// The same in pieces, for an array that is too long to be held: its values are the pieces that follow.
    ///
    /// # Errors
    /// What arrives is no reply, now or earlier.
    pub fn next_piece(&mut self, input: &mut &[u8]) -> Result<Option<Piece>, NotReply> {
        self.advance(input, false)
    }

    fn advance(&mut self, input: &mut &[u8], whole: bool) -> Result<Option<Piece>, NotReply> {
        let outcome = self.take(input, whole);
        match outcome {
            Err(not_reply) => self.state = State::Broken(not_reply),
            Ok(None) => self.line.release(KEEP_BYTES),
            Ok(Some(_)) => self.taken_bytes = 0,
        }
        outcome
    }

    fn take(&mut self, input: &mut &[u8], whole: bool) -> Result<Option<Piece>, NotReply> {
        loop {
            let value = match self.state {
                State::Line => {
                    let line = self.line.next(input, self.bounds.line_bytes).map_err(|TooLong| TOO_LARGE)?;
                    let Some(line) = line else { return Ok(None) };
                    let room = self.bounds.reply_bytes.saturating_sub(self.taken_bytes);
                    let line = line.strip_suffix(b"\r").ok_or(MALFORMED)?;
                    let taken = size_of::<Value>().saturating_add(line.len());
                    self.taken_bytes = self.taken_bytes.saturating_add(taken);
                    match head(line).ok_or(MALFORMED)? {
                        Head::Whole(_) if taken > room => return Err(TOO_LARGE),
                        Head::Whole(value) => value,
                        Head::Bulk(_, length) if length > room => return Err(TOO_LARGE),
                        Head::Bulk(kind, length) => {
                            self.taken_bytes = self.taken_bytes.saturating_add(length);
                            self.state = State::Bulk(kind, length);
                            continue;
                        }
                        Head::Aggregate(AggregateKind::Array, count) if !whole && self.begun.is_empty() => {
                            return Ok(Some(Piece::Array(count)));
                        }
                        // Each value of it takes at least that much.
                        Head::Aggregate(_, count) if count.saturating_mul(size_of::<Value>()) > room => {
                            return Err(TOO_LARGE);
                        }
                        Head::Aggregate(kind, 0) => kind.whole(Vec::new()).ok_or(MALFORMED)?,
                        Head::Aggregate(_, _) if self.begun.len() >= self.bounds.depth => return Err(TOO_DEEP),
                        Head::Aggregate(kind, lacking) => {
                            self.begun.push(Aggregate { kind, lacking, values: Vec::new() });
                            continue;
                        }
                    }
                }
                State::Bulk(kind, announced) => match receive(&mut self.bulk, announced, input) {
                    0 => {
                        self.state = State::Terminator(kind);
                        continue;
                    }
                    left => {
                        self.state = State::Bulk(kind, left);
                        return Ok(None);
                    }
                },
                State::Terminator(kind) => {
                    let Some(line) = self.line.next(input, 1).map_err(|TooLong| MALFORMED)? else { return Ok(None) };
                    if line != b"\r" {
                        return Err(MALFORMED);
                    }
                    self.state = State::Line;
                    kind.whole(std::mem::take(&mut self.bulk)).ok_or(MALFORMED)?
                }
                State::Broken(not_reply) => return Err(not_reply),
            };
            if let Some(reply) = self.place(value)? {
                return Ok(Some(Piece::Value(reply)));
            }
        }
    }

    /// Puts a value where it belongs; the reply, if that made it whole.
    fn place(&mut self, mut value: Value) -> Result<Option<Value>, NotReply> {
        while let Some(mut aggregate) = self.begun.pop() {
            aggregate.values.push(value);
            aggregate.lacking = aggregate.lacking.saturating_sub(1);
            if aggregate.lacking > 0 {
                self.begun.push(aggregate);
                return Ok(None);
            }
            value = aggregate.kind.whole(aggregate.values).ok_or(MALFORMED)?;
        }
        Ok(Some(value))
    }
}

impl BulkKind {
    fn whole(self, bytes: Vec<u8>) -> Option<Value> {
        match self {
            BulkKind::Bytes => Some(Value::Bulk(bytes)),
            BulkKind::Error => Some(Value::BulkError(bytes)),
            BulkKind::Verbatim => {
                let (format, text) = bytes.split_first_chunk::<3>()?;
                Some(Value::Verbatim(*format, text.strip_prefix(b":")?.to_vec()))
            }
        }
    }
}

impl AggregateKind {
    /// How many values follow its head, which says this number.
    fn values(self, said: usize) -> Option<usize> {
        match self {
            AggregateKind::Array | AggregateKind::Set | AggregateKind::Push => Some(said),
            AggregateKind::Map => said.checked_mul(2),
            AggregateKind::Attributes => said.checked_mul(2)?.checked_add(1),
        }
    }

    fn whole(self, mut values: Vec<Value>) -> Option<Value> {
        Some(match self {
            AggregateKind::Array => Value::Array(values),
            AggregateKind::Map => Value::Map(values),
            AggregateKind::Set => Value::Set(values),
            AggregateKind::Push => Value::Push(values),
            AggregateKind::Attributes => {
                let about = Box::new(values.pop()?);
                Value::Attributed(values, about)
            }
        })
    }
}

/// What a line says, without its line end.
fn head(line: &[u8]) -> Option<Head> {
    let (kind, text) = line.split_first()?;
    let length = || integer(text).and_then(|length| usize::try_from(length).ok());
    let bulk = |kind| length().map(|length| Head::Bulk(kind, length));
    let aggregate = |kind: AggregateKind| length().and_then(|said| Some(Head::Aggregate(kind, kind.values(said)?)));
    let whole = |value| Some(Head::Whole(value));
    match (kind, text) {
        (b'$', b"-1") => whole(Value::Null),
        (b'*', b"-1") => whole(Value::NullArray),
        (b'_', b"") => whole(Value::Null),
        (b'#', b"t") => whole(Value::Boolean(true)),
        (b'#', b"f") => whole(Value::Boolean(false)),
        (b'+', text) => whole(Value::Simple(text.to_vec())),
        (b'-', text) => whole(Value::Error(text.to_vec())),
        (b'(', text) => whole(Value::BigNumber(text.to_vec())),
        (b':', text) => whole(Value::Integer(integer(text)?)),
        (b',', text) => whole(Value::Double(std::str::from_utf8(text).ok()?.parse().ok()?)),
        (b'$', _) => bulk(BulkKind::Bytes),
        (b'!', _) => bulk(BulkKind::Error),
        (b'=', _) => bulk(BulkKind::Verbatim),
        (b'*', _) => aggregate(AggregateKind::Array),
        (b'%', _) => aggregate(AggregateKind::Map),
        (b'~', _) => aggregate(AggregateKind::Set),
        (b'>', _) => aggregate(AggregateKind::Push),
        (b'|', _) => aggregate(AggregateKind::Attributes),
        _ => None,
    }
}
