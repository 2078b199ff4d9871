//! One connection: a head that arrives, a response that leaves, and never more than one of each.
//!
//! ```text
//!  open ── request, response ──► open            the last response ──► finished ── the client has closed ──► gone
//!                    └── it was the last, or is a refusal ──┘
//! ```
//!
//! A request is read only once the response before it has left, so pipelined requests are answered in order, and who does not read is not
//! read. Behind the last response nothing more is sent, and what arrives is dropped: closing at once could take the response from a client
//! that is still sending.

use super::request::{Decoder, Method, Refused, Request};
use super::response::Response;
use crate::limits::HTTP_HEAD_BYTES_MAX;
use crate::wire::{Ready, Stream};
use std::io;

/// How a connection leaves its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// It answered a request.
    Answered,
    /// It can go on.
    Again,
    /// It waits for its client.
    Rest,
    /// It has nothing more to do.
    Close,
}

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    stream: Stream,
    decoder: Decoder,
    input: Vec<u8>,
    output: Vec<u8>,
    sent: usize,
    readable: bool,
    writable: bool,
    /// The client sends nothing more.
    ended: bool,
    /// The response in the output is the last.
    last: bool,
    /// All of it has been sent, and nothing more will be.
    finished: bool,
}

impl Connection {
    pub(super) fn new(stream: Stream) -> Connection {
        Connection {
            stream,
            decoder: Decoder::default(),
            input: Vec::new(),
            output: Vec::new(),
            sent: 0,
            readable: false,
            writable: false,
            ended: false,
            last: false,
            finished: false,
        }
    }

    /// What its socket is ready for.
    pub(super) fn ready(&mut self, ready: Ready) {
        self.readable |= ready.readable || ready.ended || ready.broken;
        self.writable |= ready.writable || ready.broken;
    }

    /// The memory that its response takes.
    pub(super) fn held(&self) -> usize {
        self.output.len()
    }

    /// Sends what is left, reads once if it has no whole request, and answers at most one.
    ///
    /// # Errors
    /// Those of the socket: nobody is there any more.
    pub(super) fn turn(
        &mut self,
        buffer: &mut [u8],
        answer: impl FnOnce(&Request) -> Result<Response, Refused>,
    ) -> io::Result<After> {
        if !self.send()? {
            return Ok(After::Rest);
        }
        if self.last && !self.finished {
            self.stream.finish()?;
            self.finished = true;
        }
        if self.finished {
            self.input.clear();
            return self.read(buffer);
        }
        let whole = self.decoder.next(&self.input).transpose();
        let (after, next) = match whole {
            Some(next) => (After::Answered, Some(next)),
            None => (self.read(buffer)?, self.decoder.next(&self.input).transpose()),
        };
        match next {
            None => return Ok(after),
            Some(Ok((request, length))) => {
                self.input.drain(..length);
                let answered = answer(&request);
                self.last = !request.keep_alive || answered == Err(Refused::OtherHost);
                let response = answered.unwrap_or_else(Response::refused);
                self.output = response.encode(request.method, !self.last);
            }
            Some(Err(refused)) => {
                self.last = true;
                self.output = Response::refused(refused).encode(Method::Get, false);
            }
        }
        self.send()?;
        Ok(After::Answered)
    }

    /// Reads once, and no more than a head may have.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<After> {
        if self.ended {
            return Ok(After::Close);
        }
        if !self.readable {
            return Ok(After::Rest);
        }
        // A head that fills the room was refused before.
        let room = HTTP_HEAD_BYTES_MAX - self.input.len();
        match self.stream.read(&mut buffer[..room])? {
            None => {
                self.readable = false;
                return Ok(After::Rest);
            }
            Some(bytes) => {
                self.ended = bytes == 0;
                self.input.extend_from_slice(&buffer[..bytes]);
            }
        }
        Ok(After::Again)
    }

    /// Sends what there is room for; whether nothing is left.
    ///
    /// # Errors
    /// Those of the socket: nobody is there any more.
    pub(super) fn send(&mut self) -> io::Result<bool> {
        while self.writable && self.sent < self.output.len() {
            match self.stream.write(&self.output[self.sent..])? {
                Some(bytes) => self.sent += bytes,
                None => self.writable = false,
            }
        }
        let all = self.sent == self.output.len();
        if all {
            (self.output, self.sent) = (Vec::new(), 0);
        }
        Ok(all)
    }
}
