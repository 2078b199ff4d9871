//! A client of HTTP over real sockets, as strict as the server.

#![allow(dead_code)]

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How often it is looked for what must come, before the test fails: it must not hang.
const LOOKS_MAX: usize = 200_000;
/// Nothing is decided by it but that a server which says nothing any more fails the test.
const SILENCE_MAX: Duration = Duration::from_secs(120);

/// Looks until something is there.
pub fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    (0..LOOKS_MAX).find_map(|_| look()).unwrap_or_else(|| panic!("it did not come in {LOOKS_MAX} looks"))
}

/// What came back.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

/// A client.
pub struct Client {
    pub stream: TcpStream,
    pub received: Vec<u8>,
}

impl Client {
    pub fn new(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(SILENCE_MAX)).unwrap();
        Client { stream, received: Vec::new() }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// Reads some more; whether there was more.
    pub fn read(&mut self) -> bool {
        let mut buffer = [0; 4096];
        let bytes = match self.stream.read(&mut buffer) {
            Err(error) if error.kind() == ErrorKind::ConnectionReset => 0,
            outcome => outcome.unwrap(),
        };
        self.received.extend_from_slice(&buffer[..bytes]);
        bytes > 0
    }

    /// The next answer; `None` at the end. That to HEAD has no body.
    pub fn next(&mut self, head_only: bool) -> Option<Answer> {
        loop {
            // What has come may end within a character.
            if let Some(end) = self.received.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
                let (head, begins) = (text(&self.received[..end]), end + 4);
                let length = header(&head, "Content-Length").unwrap().parse().unwrap();
                let length = if head_only { 0 } else { length };
                if self.received.len() - begins >= length {
                    let body = text(&self.received[begins..begins + length]);
                    self.received.drain(..begins + length);
                    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
                    return Some(Answer { status, head, body });
                }
            }
            if !self.read() {
                assert_eq!(self.received.escape_ascii().to_string(), "", "half an answer");
                return None;
            }
        }
    }

    pub fn ask(&mut self, request: impl AsRef<[u8]>) -> Answer {
        self.send(request);
        self.next(false).unwrap()
    }

    /// Waits for the end of the connection, which comes without another answer.
    pub fn is_ended(&mut self) {
        assert_eq!(self.next(false), None);
    }
}

pub fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

pub fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\r\n")
}
