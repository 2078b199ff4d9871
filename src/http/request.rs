//! The head of a request: what was asked for, or why it is none (HTTP-REQUEST, RFC 9110 and 9112).
//!
//! The caller keeps the bytes that have arrived and asks again whenever there are more. What is read depends on the bytes alone, not on the
//! pieces in which they came: lines are looked at once they are whole, and a head is parsed once all of it is there. What goes beyond a
//! limit is refused where it does. Nothing is guessed: a bare line feed, a folded line, a space before a colon, a control character, two
//! hosts are refused, since two readers of them could read two things.
//!
//! Requests have no body. Pure; memory follows the bytes of the head, which are bounded.

use crate::config::digits;
use crate::limits::{HTTP_HEAD_BYTES_MAX, HTTP_HEADERS_MAX};
use std::fmt;
use std::net::SocketAddr;

/// How something is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// The answer.
    Get,
    /// Only its head.
    Head,
}

/// A name and a value of a query, decoded.
pub type Pair = (Vec<u8>, Vec<u8>);

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// How.
    pub method: Method,
    /// The path, decoded.
    pub path: Vec<u8>,
    /// What the query says, in its order.
    pub query: Vec<Pair>,
    /// Whom the client believes to speak to; only a client of HTTP/1.0 may leave it out.
    pub host: Option<Vec<u8>>,
    /// Whether further requests may come on the connection.
    pub keep_alive: bool,
}

/// Why there is no answer but this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is not HTTP, or could be read in two ways.
    Malformed(&'static str),
    /// It names a host that this node is not.
    OtherHost,
    /// There is no such page.
    NotFound,
    /// It would do more than read.
    ReadOnly,
    /// It has a body.
    Body,
    /// Its first line does not end within the bound of a head.
    TargetTooLong,
    /// Its head is longer, or has more lines, than may be.
    HeadTooLarge,
    /// It is of another version of HTTP.
    Version,
    /// Its query does not say what the page needs to know.
    Query(&'static str),
}

impl Refused {
    /// The stable name that programs match on.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Refused::Malformed(_) => "http.malformed",
            Refused::OtherHost => "http.other_host",
            Refused::NotFound => "http.not_found",
            Refused::ReadOnly => "http.read_only",
            Refused::Body => "http.body",
            Refused::TargetTooLong => "http.target_too_long",
            Refused::HeadTooLarge => "http.head_too_large",
            Refused::Version => "http.version",
            Refused::Query(_) => "http.query",
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::Malformed(problem) => write!(f, "This is no request of HTTP: {problem}."),
            Refused::OtherHost => f.write_str(
                "The request names a host that is not this machine; a node that listens on loopback answers as localhost, 127.0.0.1 and [::1] only.",
            ),
            Refused::NotFound => f.write_str("There is no such page."),
            Refused::ReadOnly => f.write_str("Here is only to be read: GET and HEAD."),
            Refused::Body => f.write_str("A request that only reads has no body."),
            Refused::TargetTooLong => write!(f, "The first line of a request has at most {HTTP_HEAD_BYTES_MAX} bytes."),
            Refused::HeadTooLarge => {
                write!(f, "The head of a request has at most {HTTP_HEAD_BYTES_MAX} bytes and {HTTP_HEADERS_MAX} headers.")
            }
            Refused::Version => f.write_str("Only HTTP/1.0 and HTTP/1.1 are spoken here."),
            Refused::Query(problem) => write!(f, "The query can't be answered: {problem}."),
        }
    }
}

/// Finds the requests in what a client sends.
#[derive(Debug, Default)]
pub struct Decoder {
    /// Where the first line begins that is not whole yet.
    line: usize,
    /// The lines before it, without the empty ones before the first.
    lines: usize,
}

impl Decoder {
    /// The request at the beginning of the input, and how many bytes it has; `None` where more has to arrive. The input begins where it began the
    /// last time, or behind the request that was found then.
    ///
    /// # Errors
    /// Why it is none; nothing behind it can be read.
    pub fn next(&mut self, input: &[u8]) -> Result<Option<(Request, usize)>, Refused> {
        let Some(end) = self.end(input)? else { return Ok(None) };
        *self = Decoder::default();
        parse(input.get(..end).unwrap_or(input)).map(|request| Some((request, end)))
    }

    /// Where the head ends.
    fn end(&mut self, input: &[u8]) -> Result<Option<usize>, Refused> {
        if input.first().is_some_and(|byte| !is_token(*byte) && !matches!(byte, b'\r' | b'\n')) {
            return Err(Refused::Malformed("it does not begin with a method"));
        }
        let seen = input.get(..HTTP_HEAD_BYTES_MAX).unwrap_or(input);
        loop {
            let rest = seen.get(self.line..).unwrap_or_default();
            let Some(length) = rest.iter().position(|byte| *byte == b'\n') else { break };
            let Some(line) = rest.get(..length).unwrap_or_default().strip_suffix(b"\r") else {
                return Err(Refused::Malformed("a line feed without a carriage return"));
            };
            self.line = self.line.saturating_add(length).saturating_add(1);
            match (line.is_empty(), self.lines) {
                (true, 0) => {}
                (true, _) => return Ok(Some(self.line)),
                (false, lines) if lines > HTTP_HEADERS_MAX => return Err(Refused::HeadTooLarge),
                (false, lines) => self.lines = lines.saturating_add(1),
            }
        }
        match (seen.len() < HTTP_HEAD_BYTES_MAX, self.lines) {
            (true, _) => Ok(None),
            (false, 0) => Err(Refused::TargetTooLong),
            (false, _) => Err(Refused::HeadTooLarge),
        }
    }
}

/// Reads a whole head.
fn parse(head: &[u8]) -> Result<Request, Refused> {
    let lines = head.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let mut lines = lines.filter(|line| !line.is_empty());
    let (method, target, newer) = request_line(lines.next().unwrap_or_default())?;
    let headers = lines.try_fold(Headers::default(), Headers::and)?;
    if newer && headers.host.is_none() {
        return Err(Refused::Malformed("HTTP/1.1 names a host"));
    }
    let (authority, target) = split_target(target)?;
    let (path, query) = match halves(target, b'?') {
        // Behind a host there may be none.
        (b"", query) => (b"/".as_slice(), query),
        halves => halves,
    };
    Ok(Request {
        method,
        path: decoded(path)?,
        query: query.map_or_else(|| Ok(Vec::new()), pairs)?,
        host: authority.or(headers.host).map(<[u8]>::to_vec),
        keep_alive: if newer { !headers.close } else { headers.keep_alive && !headers.close },
    })
}

/// Method, target, and whether the version is 1.1 or a later one of the same major number.
fn request_line(line: &[u8]) -> Result<(Method, &[u8], bool), Refused> {
    let mut words = line.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) = (words.next(), words.next(), words.next(), words.next()) else {
        return Err(Refused::Malformed("a first line is a method, a target and a version"));
    };
    if method.is_empty() || !method.iter().all(|byte| is_token(*byte)) {
        return Err(Refused::Malformed("a method is a word"));
    }
    let newer = match version {
        b"HTTP/1.0" => false,
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'1'..=b'9'] => true,
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => return Err(Refused::Version),
        _ => return Err(Refused::Malformed("a version is HTTP/ and two digits")),
    };
    match method {
        b"GET" => Ok((Method::Get, target, newer)),
        b"HEAD" => Ok((Method::Head, target, newer)),
        _ => Err(Refused::ReadOnly),
    }
}

/// The host that a target names, if it names one, and the rest of it.
fn split_target(target: &[u8]) -> Result<(Option<&[u8]>, &[u8]), Refused> {
    if !target.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'#') {
        return Err(Refused::Malformed("a target is printable, without a fragment"));
    }
    if target.starts_with(b"/") {
        return Ok((None, target));
    }
    let (scheme, rest) = target.split_at_checked(b"http://".len()).unwrap_or_default();
    if !scheme.eq_ignore_ascii_case(b"http://") {
        return Err(Refused::Malformed("a target begins with a slash"));
    }
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    let (authority, path) = rest.split_at_checked(end).unwrap_or_default();
    if authority.is_empty() {
        return Err(Refused::Malformed("a target names no host"));
    }
    Ok((Some(authority), path))
}

/// What the headers say that matters here; all others are passed over once they were found to be headers.
#[derive(Default)]
struct Headers<'a> {
    host: Option<&'a [u8]>,
    close: bool,
    keep_alive: bool,
}

impl<'a> Headers<'a> {
    fn and(mut self, line: &'a [u8]) -> Result<Headers<'a>, Refused> {
        let (name, value) = halves(line, b':');
        let (Some(value), false) = (value, name.is_empty()) else {
            return Err(Refused::Malformed("a header is a name, a colon and a value"));
        };
        // A folded line begins with a space; so does what would hide a header from another reader.
        if !name.iter().all(|byte| is_token(*byte)) {
            return Err(Refused::Malformed("the name of a header is a word"));
        }
        if value.iter().any(|byte| byte.is_ascii_control() && *byte != b'\t') {
            return Err(Refused::Malformed("a control character in a header"));
        }
        let value = value.trim_ascii();
        match name.to_ascii_lowercase().as_slice() {
            b"host" if self.host.is_some() => return Err(Refused::Malformed("two hosts")),
            b"host" => self.host = Some(value),
            b"connection" => {
                for word in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                    self.close |= word.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= word.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            b"content-length" if value.is_empty() || !value.iter().all(u8::is_ascii_digit) => {
                return Err(Refused::Malformed("a length is a number"));
            }
            b"content-length" if value.iter().all(|digit| *digit == b'0') => {}
            b"content-length" | b"transfer-encoding" => return Err(Refused::Body),
            _ => {}
        }
        Ok(self)
    }
}

/// Before and behind the first of this byte.
fn halves(bytes: &[u8], at: u8) -> (&[u8], Option<&[u8]>) {
    let mut halves = bytes.splitn(2, |byte| *byte == at);
    (halves.next().unwrap_or_default(), halves.next())
}

/// The names and values of a query. A `+` stands for itself.
fn pairs(query: &[u8]) -> Result<Vec<Pair>, Refused> {
    let pairs = query.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = halves(pair, b'=');
        Ok((decoded(name)?, decoded(value.unwrap_or_default())?))
    });
    pairs.collect()
}

/// The bytes for which `%HH` stands.
fn decoded(text: &[u8]) -> Result<Vec<u8>, Refused> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(byte) = rest.next() {
        let mut digit = || rest.next().and_then(|digit| char::from(*digit).to_digit(16));
        match byte {
            b'%' => match (digit(), digit()) {
                (Some(high), Some(low)) => bytes.extend(u8::try_from(high << 4 | low)),
                _ => return Err(Refused::Malformed("a percent sign stands before two hexadecimal digits")),
            },
            other => bytes.push(*other),
        }
    }
    Ok(bytes)
}

/// What words of HTTP consist of.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Whether a host, perhaps with a port, is a name or an address of loopback. Whatever else a name may stand for, who owns it may change that while
/// a page of theirs is open in a browser on this machine (HTTP-HOST). The port may be that of a tunnel.
#[must_use]
pub fn is_loopback(host: &[u8]) -> bool {
    let Ok(host) = std::str::from_utf8(host) else { return false };
    let address = host.parse::<SocketAddr>().or_else(|_| format!("{host}:80").parse());
    let (name, port) = host.split_once(':').unwrap_or((host, "80"));
    let named = name.eq_ignore_ascii_case("localhost") && digits(port).is_some_and(|port| port <= u16::MAX.into());
    named || address.is_ok_and(|address| address.ip().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WHOLE: &[u8] = b"GET /v1/st%61tus?at=7&key=%00%ff+ HTTP/1.1\r\nHost: localhost:6382\r\nAccept: */*\r\nConnection: te, close\r\n\r\n";

    fn read(input: &[u8]) -> Result<Option<(Request, usize)>, Refused> {
        Decoder::default().next(input)
    }

    fn refused(input: &[u8]) -> Option<&'static str> {
        read(input).err().map(Refused::code)
    }

    fn malformed(input: &[u8]) -> bool {
        refused(input) == Some("http.malformed")
    }

    /// A request with this in the place of its headers.
    fn with_headers(headers: &str) -> Vec<u8> {
        format!("GET / HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n").into_bytes()
    }

    #[test]
    fn a_head_is_read_with_its_path_query_host_and_wish() {
        let (request, length) = read(WHOLE).unwrap().unwrap();
        assert_eq!(length, WHOLE.len());
        assert_eq!((request.method, request.path.as_slice()), (Method::Get, b"/v1/status".as_slice()));
        assert_eq!(request.query, [(b"at".to_vec(), b"7".to_vec()), (b"key".to_vec(), b"\0\xff+".to_vec())]);
        assert_eq!((request.host.as_deref(), request.keep_alive), (Some(b"localhost:6382".as_slice()), false));
    }

    #[test]
    fn whether_the_connection_stays_is_said_by_version_and_header() {
        let keeps = |version: &str, header: &str| {
            let head = format!("HEAD /? HTTP/{version}\r\nhost:a\r\n{header}\r\n");
            read(head.as_bytes()).unwrap().unwrap().0.keep_alive
        };
        assert!(keeps("1.1", "") && keeps("1.9", "Connection: upgrade\r\n") && keeps("1.0", "connection: Keep-Alive\r\n"));
        assert!(!keeps("1.0", "") && !keeps("1.1", "Connection: CLOSE\r\n") && !keeps("1.0", "Connection: keep-alive , close\r\n"));
        assert!(read(b"GET / HTTP/1.0\r\n\r\n").unwrap().is_some(), "without a host");
    }

    #[test]
    fn a_target_may_name_its_host_and_that_one_counts() {
        let (request, _) = read(b"GET HTTP://evil.example?a HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap().unwrap();
        assert_eq!((request.host.as_deref(), request.path.as_slice()), (Some(b"evil.example".as_slice()), b"/".as_slice()));
        for target in ["*", "a", "http://", "http:///a", "https://a/", "/a#b", "/\u{e4}", "/\u{7f}", "/%", "/%0", "/%0g", "/?%zz", "localhost:80"] {
            assert!(malformed(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()), "{target}");
        }
    }

    /// HTTP-REQUEST: the outcome does not depend on the pieces, and no prefix of a request is one, or is refused.
    #[test]
    fn every_prefix_waits_and_every_piece_leads_to_the_same() {
        let mut decoder = Decoder::default();
        for length in 0..WHOLE.len() {
            assert_eq!(read(&WHOLE[..length]), Ok(None), "{length}");
            assert_eq!(decoder.next(&WHOLE[..length]), Ok(None), "{length}");
        }
        assert_eq!(decoder.next(WHOLE), read(WHOLE));
    }

    /// HTTP-REQUEST: whatever a byte is changed into, what is read whole is what is read in pieces; and no byte of it is taken for a request of another kind.
    #[test]
    fn every_byte_changed_is_read_or_refused_the_same_in_any_pieces() {
        let mut seen = std::collections::BTreeSet::new();
        for at in 0..WHOLE.len() {
            for byte in 0..=u8::MAX {
                let mut changed = WHOLE.to_vec();
                changed[at] = byte;
                let mut decoder = Decoder::default();
                let pieces = (0..=changed.len()).map(|length| decoder.next(&changed[..length]));
                let first = pieces.into_iter().find(|outcome| *outcome != Ok(None)).unwrap_or(Ok(None));
                let whole = read(&changed);
                assert_eq!(first, whole, "{at} {byte}");
                seen.insert(whole.map_or_else(Refused::code, |found| if found.is_some() { "read" } else { "waits" }));
            }
        }
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["http.malformed", "http.read_only", "http.version", "read", "waits"]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_in_any_pieces_to_the_same_end(input: Vec<u8>, cut: usize, head in 0..3usize) {
            let begins: [&[u8]; 3] = [b"", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nX:"];
            let input = [begins[head], &input, b"\r\n\r\n"].concat();
            let mut decoder = Decoder::default();
            let first = decoder.next(&input[..cut % input.len()]);
            let outcome = if first == Ok(None) { decoder.next(&input) } else { first };
            prop_assert_eq!(outcome, read(&input));
        }

        #[test]
        fn every_byte_can_be_in_a_path_and_a_query(bytes: Vec<u8>) {
            let encoded: String = bytes.iter().map(|byte| format!("%{byte:02X}")).collect();
            let head = format!("GET /{encoded}?{encoded}={encoded} HTTP/1.0\r\n\r\n");
            let (request, _) = read(head.as_bytes()).unwrap().unwrap();
            prop_assert_eq!(&request.path[1..], &bytes);
            prop_assert_eq!(request.query, [(bytes.clone(), bytes)]);
        }
    }

    #[test]
    fn what_two_readers_could_read_in_two_ways_is_refused() {
        for headers in [
            " folded: a\r\n", "X: a\r\n folded\r\n", "X: a\r\n\tfolded\r\n", "X : a\r\n", ": a\r\n", "X\r\n", "X: a\nY: b\r\n",
            "X: a\rb\r\n", "X: \0\r\n", "X: \u{1b}[2J\r\n", "X: \u{7f}\r\n", "H\u{f6}st: a\r\n", "Host: localhost\r\n",
            "Content-Length: 1x\r\n", "Content-Length:\r\n", "Content-Length: +0\r\n", "Content-Length: 0, 0\r\n",
        ] {
            assert!(malformed(&with_headers(headers)), "{headers:?}");
        }
        for head in [
            "GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\n\n", "\n", "GET  / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1 \r\n\r\n", "GET /\r\n\r\n",
            "GET\t/ HTTP/1.1\r\n\r\n", "GET / http/1.1\r\n\r\n", "GET / HTTP/1\r\n\r\n", "GET / HTTP/11\r\n\r\n", "GET / HTTP/1.10\r\n\r\n",
            "G(T / HTTP/1.1\r\n\r\n", " GET / HTTP/1.1\r\n\r\n", "*1\r\n$4\r\nPING\r\n\r\n", "\u{16}\u{3}\u{1}",
            "GET /a\rb HTTP/1.1\r\n\r\n", "GET /a\0b HTTP/1.1\r\n\r\n",
        ] {
            assert!(malformed(head.as_bytes()), "{head:?}");
        }
    }

    #[test]
    fn what_does_more_than_read_has_a_body_or_is_of_another_version_has_its_own_refusal() {
        for method in ["POST", "PUT", "get", "OPTIONS", "TRACE", "CONNECT", "X"] {
            assert_eq!(refused(format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()), Some("http.read_only"), "{method}");
        }
        for version in ["0.9", "2.0", "3.1", "9.9"] {
            assert_eq!(refused(format!("GET / HTTP/{version}\r\nHost: a\r\n\r\n").as_bytes()), Some("http.version"));
        }
        for header in ["Content-Length: 1", "content-length: 99999999999999999999999", "Transfer-Encoding: chunked", "transfer-encoding:"] {
            assert_eq!(refused(&with_headers(&format!("{header}\r\n"))), Some("http.body"), "{header}");
        }
        assert!(read(&with_headers("Content-Length: 00\r\n")).unwrap().is_some());
    }

    /// HTTP-BOUND
    #[test]
    fn a_head_has_its_bounds_exactly() {
        let padded = |bytes: usize| {
            let head = with_headers("X: \r\n");
            with_headers(&format!("X: {}\r\n", "a".repeat(bytes - head.len())))
        };
        assert!(read(&padded(HTTP_HEAD_BYTES_MAX)).unwrap().is_some());
        assert_eq!(refused(&padded(HTTP_HEAD_BYTES_MAX + 1)), Some("http.head_too_large"));
        let headers = |count: usize| with_headers(&"X: a\r\n".repeat(count - 1));
        assert!(read(&headers(HTTP_HEADERS_MAX)).unwrap().is_some());
        assert_eq!(refused(&headers(HTTP_HEADERS_MAX + 1)), Some("http.head_too_large"));
        let line = [b"GET /".as_slice(), &vec![b'a'; HTTP_HEAD_BYTES_MAX]].concat();
        assert_eq!(read(&line[..HTTP_HEAD_BYTES_MAX - 1]), Ok(None));
        assert_eq!(refused(&line[..HTTP_HEAD_BYTES_MAX]), Some("http.target_too_long"));
        assert_eq!(refused(&b"\r\n".repeat(HTTP_HEAD_BYTES_MAX / 2)), Some("http.target_too_long"), "no line at all");
    }

    #[test]
    fn requests_that_stand_behind_one_another_are_read_in_order() {
        let mut input = b"\r\n\r\nGET /a HTTP/1.1\r\nHost: a\r\n\r\nHEAD /b HTTP/1.1\r\nHost: a\r\n\r\nPUT".to_vec();
        let mut decoder = Decoder::default();
        for (method, path) in [(Method::Get, b"/a"), (Method::Head, b"/b")] {
            let (request, length) = decoder.next(&input).unwrap().unwrap();
            assert_eq!((request.method, request.path.as_slice()), (method, path.as_slice()));
            input.drain(..length);
        }
        assert_eq!(decoder.next(&input), Ok(None));
    }

    #[test]
    fn only_names_and_addresses_of_loopback_are_loopback_http_host() {
        for host in ["localhost", "LocalHost:1", "127.0.0.1", "127.0.0.1:6382", "127.9.9.9:80", "[::1]", "[::1]:6382"] {
            assert!(is_loopback(host.as_bytes()), "{host}");
        }
        for host in [
            "", ":80", "localhost:", "localhost:+1", "localhost:65536", "localhost:1:2", "localhost.evil.example", "localhost.", "a@localhost",
            "evil.example", "evil.example:6382", "127.0.0.1.evil.example", "127.1", "0x7f.1", "2130706433", "0.0.0.0", "[::]", "::1", "[::1",
            "[::ffff:127.0.0.1]", "10.0.0.1", "localhost\t", "localhost\0",
        ] {
            assert!(!is_loopback(host.as_bytes()), "{host}");
        }
        assert!(!is_loopback(b"localhost\xff"));
    }
}
