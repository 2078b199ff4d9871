//! A server, as the commands use it: one connection for the length of one command.
//!
//! A read is one commit, as on a directory: the newest that the server had when the command connected, or the one that was asked for. A
//! refusal of the server that names a reason is that reason here, with the same exit status. A write whose connection breaks before it
//! is answered is `commit.unknown`: it may have been made.
//!
//! Used by `read`, `edit`, `status` and, of a running node that is compared, `node`. What a server may send is bounded by `resp`; a range is taken row by row.

use crate::cli::bytes;
use aerodb::explain::Kind;
use aerodb::resp::encode_request;
use aerodb::resp::response::{Bounds, Piece, Responses, Value};
use aerodb::wire::blocking::Connection;
use aerodb::{CommitId, Direction, Error, History, LogPoint, Position, Range, Reason, Result, Wish};
use std::fmt;
use std::ops::{self, Bound, RangeBounds};

const BUFFER_BYTES: usize = 64 * 1024;

/// What is done with each row: a key and its value.
pub(crate) type EachRow<'a> = dyn FnMut(&[u8], &[u8]) -> Result<()> + 'a;

/// A server that was reached and speaks as one.
pub(crate) struct Server {
    address: String,
    connection: Connection,
    responses: Responses,
    buffer: Vec<u8>,
    /// Where in the buffer the bytes stand that were not looked at.
    unread: ops::Range<usize>,
    newest: CommitId,
}

impl Server {
    /// Connects, and asks for the newest commit; so nothing is written to what is no server of this kind.
    ///
    /// # Errors
    /// `server.unreachable`, `server.not_understood`, what the server refuses.
    pub(crate) fn connect(address: &str) -> Result<Server> {
        Server::connect_with(address, Bounds::default())
    }

    /// The same, with replies that are no longer than this.
    ///
    /// # Errors
    /// As [`Server::connect`].
    pub(crate) fn connect_with(address: &str, bounds: Bounds) -> Result<Server> {
        let mut server = Server::reach(address, bounds)?;
        let newest = server.ask(&[b"AERO.COMMITID"])?;
        server.newest = CommitId(server.number(&newest)?);
        Ok(server)
    }

    /// Connects and asks nothing: a node that has no commit to serve yet is asked how it is.
    ///
    /// # Errors
    /// `server.unreachable`
    pub(crate) fn reach(address: &str, bounds: Bounds) -> Result<Server> {
        let connection = Connection::open(address).map_err(|error| unreachable(address, &error))?;
        Ok(Server {
            address: address.to_owned(),
            connection,
            responses: Responses::new(bounds),
            buffer: vec![0; BUFFER_BYTES],
            unread: 0..0,
            newest: CommitId(0),
        })
    }

    /// The newest commit when the command connected.
    pub(crate) fn newest(&self) -> CommitId {
        self.newest
    }

    /// The value of a key at a commit.
    ///
    /// # Errors
    /// Those of the connection, and what the server refuses.
    pub(crate) fn get(&mut self, key: &[u8], at: CommitId) -> Result<Option<Vec<u8>>> {
        let value = self.ask(&[b"AERO.AT", at.to_string().as_bytes(), b"GET", key])?;
        if value == Value::Null { Ok(None) } else { self.bytes(value).map(Some) }
    }

    /// What the server explains.
    ///
    /// # Errors
    /// Those of the connection, and what the server refuses.
    pub(crate) fn explain(&mut self, kind: Kind, key: Option<&[u8]>, wish: &Wish, json: bool) -> Result<String> {
        let [at, at_least] = [wish.at, wish.at_least].map(|commit| commit.map(|commit| commit.to_string()));
        let mut request: Vec<&[u8]> = vec![b"AERO.EXPLAIN", kind.name().as_bytes()];
        request.extend(key);
        for (word, commit) in [("AT", &at), ("ATLEAST", &at_least)] {
            request.extend(commit.iter().flat_map(|commit| [word.as_bytes(), commit.as_bytes()]));
        }
        let on = wish.on.map(|on| [on.commit.to_string(), on.position.to_string(), on.history.to_string()]);
        if let Some(point) = &on {
            request.push(b"ON");
            request.extend(point.iter().map(String::as_bytes));
        }
        if json {
            request.push(b"JSON");
        }
        let value = self.ask(&request)?;
        let text = self.bytes(value)?;
        String::from_utf8(text).map_err(|_| self.not_understood("an explanation that is no text"))
    }

    /// The rows of a range at a commit, each as it arrives.
    ///
    /// # Errors
    /// `range.invalid`, those of the connection and of `row`, and what the server refuses.
    pub(crate) fn rows(&mut self, range: &Range, at: CommitId, row: &mut EachRow<'_>) -> Result<()> {
        let from = match &range.from {
            Bound::Unbounded => Vec::new(),
            Bound::Included(key) => key.clone(),
            Bound::Excluded(key) => behind(key),
        };
        let to = match &range.to {
            Bound::Unbounded => None,
            Bound::Included(key) => Some(behind(key)),
            Bound::Excluded(key) => Some(key.clone()),
        };
        let (limit, at) = (range.limit.to_string(), at.to_string());
        // The server has no words for no rows, nor for an end before all keys. That the commit can be read it has to say all the same.
        let no_key = to.as_ref().is_some_and(Vec::is_empty);
        if range.limit == 0 || no_key {
            self.ask(&[b"AERO.AT", at.as_bytes(), b"EXISTS", b""])?;
            let ordered = !no_key || from.is_empty();
            let invalid = Error::new(Reason::RangeInvalid).with("limit", limit).with("ordered", ordered);
            return if range.limit > 0 && ordered { Ok(()) } else { Err(invalid) };
        }
        let to = to.unwrap_or_default();
        let mut request: Vec<&[u8]> = vec![b"AERO.RANGE", &from, &to, b"LIMIT", limit.as_bytes(), b"AT", at.as_bytes()];
        if range.direction == Direction::Backward {
            request.push(b"REV");
        }
        self.send(&[&request])?;
        let count = match self.piece()? {
            Piece::Array(count) if count % 2 == 0 => count,
            Piece::Array(_) => return Err(self.not_understood("a key without a value")),
            Piece::Value(other) => return Err(self.not_understood(other.kind())),
        };
        if count / 2 > range.limit {
            return Err(self.not_understood("more rows than were asked for"));
        }
        let mut left = (range.from.clone(), range.to.clone());
        for _ in 0..count / 2 {
            let (key, value) = (self.value()?, self.value()?);
            let (key, value) = (self.bytes(key)?, self.bytes(value)?);
            // A scan asks on from the last key: one that is out of order could make it go round for ever.
            if !left.contains(&key) {
                return Err(self.not_understood("a key out of order"));
            }
            row(&key, &value)?;
            match range.direction {
                Direction::Forward => left.0 = Bound::Excluded(key),
                Direction::Backward => left.1 = Bound::Excluded(key),
            }
        }
        Ok(())
    }

    /// Has a write carried out, and returns where the commit that it made ends in the log, if it made one.
    ///
    /// # Errors
    /// `commit.unknown`, and what the server refuses.
    pub(crate) fn write(&mut self, request: &[&[u8]]) -> Result<Option<LogPoint>> {
        let address = self.address.clone();
        let unknown =
            |error: Error| Error::new(Reason::CommitUnknown).with("server", &address).with("problem", brief(&error));
        // Both at once: the second is answered behind the first.
        self.send(&[request, &[b"AERO.LAST", b"POINT"]]).map_err(unknown)?;
        self.value().map_err(|error| {
            let lost = [Reason::ServerUnreachable, Reason::ServerNotUnderstood].contains(&error.reason());
            if lost { unknown(error) } else { error }
        })?;
        self.last().map_err(unknown)
    }

    /// The answer to `AERO.LAST POINT`.
    fn last(&mut self) -> Result<Option<LogPoint>> {
        match self.piece()? {
            Piece::Value(Value::Null) => Ok(None),
            Piece::Array(3) => self.point().map(Some),
            Piece::Array(_) => Err(self.not_understood("an array of another length")),
            Piece::Value(other) => Err(self.not_understood(other.kind())),
        }
    }

    /// Asks for an array, and says how many values it has; they are taken one by one.
    ///
    /// # Errors
    /// Those of the connection, and what the server refuses.
    pub(crate) fn array(&mut self, request: &[&[u8]]) -> Result<usize> {
        self.send(&[request])?;
        match self.piece()? {
            Piece::Array(count) => Ok(count),
            Piece::Value(other) => Err(self.not_understood(other.kind())),
        }
    }

    /// The next three values of an array: commit, position and history.
    ///
    /// # Errors
    /// Those of the connection.
    pub(crate) fn point(&mut self) -> Result<LogPoint> {
        let (commit, position, history) = (self.next_number()?, self.next_number()?, self.text()?);
        let digits = Some(history).filter(|digits| digits.len() == 16 && !digits.starts_with('+'));
        let history = digits.and_then(|digits| u64::from_str_radix(&digits, 16).ok());
        let history = History(history.ok_or_else(|| self.not_understood("no history"))?);
        Ok(LogPoint { commit: CommitId(commit), position: Position(position), history })
    }

    /// The next value of an array, a number.
    ///
    /// # Errors
    /// Those of the connection.
    pub(crate) fn next_number(&mut self) -> Result<u64> {
        let value = self.value()?;
        self.number(&value)
    }

    /// The next value of an array, bytes.
    ///
    /// # Errors
    /// Those of the connection.
    pub(crate) fn next_bytes(&mut self) -> Result<Vec<u8>> {
        let value = self.value()?;
        self.bytes(value)
    }

    /// The next value of an array, text.
    ///
    /// # Errors
    /// Those of the connection.
    pub(crate) fn text(&mut self) -> Result<String> {
        let bytes = self.next_bytes()?;
        String::from_utf8(bytes).map_err(|_| self.not_understood("bytes that are no text"))
    }

    /// A section of what the server says of itself: names and values, in its order.
    ///
    /// # Errors
    /// Those of the connection, and what the server refuses.
    pub(crate) fn info(&mut self, section: &str) -> Result<Vec<(String, String)>> {
        let text = self.ask(&[b"INFO", section.as_bytes()])?;
        let text = self.bytes(text)?;
        let text = String::from_utf8_lossy(&text);
        let lines = text.lines().filter_map(|line| line.split_once(':'));
        Ok(lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    /// The reply to a request, which is no array: what is told, also where that is a refusal.
    ///
    /// # Errors
    /// Those of the connection.
    #[cfg(feature = "replication")]
    pub(crate) fn reply(&mut self, request: &[&[u8]]) -> Result<Value> {
        self.send(&[request])?;
        match self.told()? {
            Piece::Value(value) => Ok(value),
            Piece::Array(_) => Err(self.not_understood("an array")),
        }
    }

    fn ask(&mut self, request: &[&[u8]]) -> Result<Value> {
        self.send(&[request])?;
        self.value()
    }

    fn send(&mut self, requests: &[&[&[u8]]]) -> Result<()> {
        let mut encoded = Vec::new();
        requests.iter().for_each(|request| encode_request(request, &mut encoded));
        self.connection.send(&encoded).map_err(|error| unreachable(&self.address, &error))
    }

    /// The next reply, which is no array.
    fn value(&mut self) -> Result<Value> {
        match self.piece()? {
            Piece::Value(value) => Ok(value),
            Piece::Array(_) => Err(self.not_understood("an array")),
        }
    }

    fn bytes(&self, value: Value) -> Result<Vec<u8>> {
        let kind = value.kind();
        if let Value::Bulk(bytes) = value { Ok(bytes) } else { Err(self.not_understood(kind)) }
    }

    /// The next piece of a reply. An error is one here too.
    fn piece(&mut self) -> Result<Piece> {
        let piece = self.told()?;
        if let Piece::Value(Value::Error(text) | Value::BulkError(text)) = &piece {
            return Err(self.refusal(text));
        }
        Ok(piece)
    }

    /// The next piece of a reply, as it was told.
    fn told(&mut self) -> Result<Piece> {
        loop {
            let mut unread = self.buffer.get(self.unread.clone()).unwrap_or_default();
            let piece = self.responses.next_piece(&mut unread);
            self.unread.start = self.unread.end - unread.len();
            if let Some(piece) = piece.map_err(|not_reply| self.not_understood(not_reply))? {
                return Ok(piece);
            }
            let received =
                self.connection.receive(&mut self.buffer).map_err(|error| unreachable(&self.address, &error))?;
            if received == 0 {
                return Err(unreachable(&self.address, &"the server ended the connection"));
            }
            self.unread = 0..received;
        }
    }

    fn number(&self, value: &Value) -> Result<u64> {
        let Value::Integer(number @ 0..) = value else { return Err(self.not_understood(value.kind())) };
        Ok(number.unsigned_abs())
    }

    /// The error for what is no answer to what was asked.
    pub(crate) fn not_understood(&self, got: impl fmt::Display) -> Error {
        Error::new(Reason::ServerNotUnderstood).with("server", &self.address).with("got", got)
    }

    /// The reason that an error names, with what was told beyond its sentence and remedy: `ERR code sentence [evidence] remedy`.
    fn refusal(&self, text: &[u8]) -> Error {
        let text = String::from_utf8_lossy(text);
        let mut words = text.splitn(3, ' ');
        let (_, code, told) = (words.next(), words.next(), words.next().unwrap_or_default());
        let Some(reason) = Reason::ALL.iter().find(|reason| Some(reason.name()) == code) else {
            return Error::new(Reason::ServerRefused)
                .with("server", &self.address)
                .with("told", bytes::brief(text.as_bytes()));
        };
        let told = told.strip_prefix(reason.sentence()).unwrap_or(told).trim_start();
        let told = told.strip_suffix(reason.remedy()).unwrap_or(told).trim_end();
        let told = told.strip_prefix('[').and_then(|told| told.strip_suffix(']')).unwrap_or(told);
        let error = Error::new(*reason).with("server", &self.address);
        if told.is_empty() { error } else { error.with("told", told) }
    }
}

/// The first key behind another.
fn behind(key: &[u8]) -> Vec<u8> {
    [key, &[0]].concat()
}

fn unreachable(address: &str, error: &dyn fmt::Display) -> Error {
    Error::new(Reason::ServerUnreachable).with("server", address).with("error", error)
}

/// What happened, without the server, which is told with it.
fn brief(error: &Error) -> String {
    let facts = ["error", "got", "told"].iter().find_map(|name| error.fact(name));
    facts.map_or_else(|| error.reason().name().to_owned(), str::to_owned)
}
