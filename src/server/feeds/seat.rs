//! The connection of one replica: its socket, its session, and what of a frame is on its way.
//!
//! A turn reads once, and sends as long as the socket takes it and the turn allows it. One frame is under way at a time, and the next one is
//! asked for only when that is sent: so a replica that does not read holds one frame here, and a segment file (WIRE-BOUND).
//!
//! Whoever is refused is told so to the end, and so is whoever has no directory yet and was told whose log this is: the connection is closed
//! by this side for writing only, and what still comes is read away until the replica has closed it too. Otherwise the system could take back what was not read yet.

use crate::disk::File;
use crate::feeder::machine::State;
use crate::feeder::{Outgoing, Part, Session, Source};
use crate::reason::Reason;
use crate::sync::Arc;
use crate::wal::Extent;
use crate::wire::{Poll, Ready, Stream};
use rustix::io::Errno;
use std::io;
use std::net::SocketAddr;

/// A connection that is open.
pub(super) struct Seat {
    stream: Stream,
    address: SocketAddr,
    session: Session,
    /// The frame that is on its way.
    outgoing: Outgoing,
    /// So much of its bytes is sent, and of the part of a file behind them.
    sent: (usize, usize),
    readable: bool,
    writable: bool,
    broken: bool,
    /// It was told that nothing more comes.
    finished: bool,
}

impl Seat {
    /// A connection that was accepted, under this name in the poll.
    ///
    /// # Errors
    /// Those of the operating system.
    pub(super) fn new(
        mut stream: Stream,
        address: SocketAddr,
        source: &Arc<Source>,
        poll: &Poll,
        name: usize,
    ) -> io::Result<Seat> {
        stream.register(poll, name)?;
        Ok(Seat {
            stream,
            address,
            session: Session::new(source),
            outgoing: Outgoing::default(),
            sent: (0, 0),
            readable: false,
            writable: true,
            broken: false,
            finished: false,
        })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn session(&self) -> &Session {
        &self.session
    }

    /// Whether it is served: it has said who it is and that it has a directory, and was not refused.
    pub(super) fn is_served(&self) -> bool {
        match self.session.state() {
            State::AwaitingHello | State::Introduced | State::Ended => false,
            State::Idle | State::Serving | State::Parked => true,
        }
    }

    /// What the poll said of its socket.
    pub(super) fn ready(&mut self, ready: Ready) {
        self.readable |= ready.readable || ready.ended;
        self.writable |= ready.writable;
        self.broken |= ready.broken;
    }

    /// Whether a turn would do something, without anything that has to come first.
    pub(super) fn has_more(&self, extent: &Extent) -> bool {
        self.readable
            || self.broken
            || (self.writable && !self.finished && (self.unsent() > 0 || self.session.is_due(extent)))
    }

    /// Reads once, and sends what there is, at most so many bytes; how many that were.
    ///
    /// # Errors
    /// Those of the socket or of the file: the connection has ended.
    pub(super) fn turn(&mut self, extent: &Extent, full: bool, buffer: &mut [u8], most: usize) -> io::Result<usize> {
        if self.broken {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        if self.readable {
            match self.stream.read(buffer)? {
                None => self.readable = false,
                Some(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Some(bytes) => self.session.receive(&buffer[..bytes], extent, full),
            }
        }
        let mut written = 0;
        while self.writable && !self.finished && written < most {
            if self.unsent() == 0 {
                let next = self.session.serve(extent, most - written);
                (self.outgoing, self.sent) = (next.unwrap_or_default(), (0, 0));
                if self.unsent() == 0 {
                    break;
                }
            }
            written += self.send(most - written)?;
        }
        let nothing_follows = matches!(self.session.state(), State::Introduced | State::Ended);
        if nothing_follows && self.unsent() == 0 && !self.session.is_due(extent) && !self.finished {
            self.stream.finish()?;
            self.finished = true;
        }
        Ok(written)
    }

    /// Sends what the socket takes of the frame, at most so many bytes.
    fn send(&mut self, most: usize) -> io::Result<usize> {
        let unsent = &self.outgoing.bytes[self.sent.0..];
        let (taken, of) = match &self.outgoing.part {
            Some(part) if unsent.is_empty() => {
                (send_part(&mut self.stream, part, self.sent.1, most)?, &mut self.sent.1)
            }
            _ => (self.stream.write(&unsent[..unsent.len().min(most)])?, &mut self.sent.0),
        };
        // Less than was asked for may be all that the file has: only the socket itself says that it is full.
        self.writable = taken.is_some();
        let taken = taken.unwrap_or(0);
        *of += taken;
        if self.unsent() == 0 {
            // It holds a file.
            (self.outgoing, self.sent) = (Outgoing::default(), (0, 0));
        }
        Ok(taken)
    }

    /// Bytes of the frame that the socket has not taken.
    fn unsent(&self) -> usize {
        let part = self.outgoing.part.as_ref().map_or(0, |part| part.bytes);
        self.outgoing.bytes.len() - self.sent.0 + part - self.sent.1
    }
}

/// Sends a part of a file from so far on, at most so many bytes. A frame that was begun can't be taken back: what can't be read of it ends the connection.
fn send_part(stream: &mut Stream, part: &Part, done: usize, most: usize) -> io::Result<Option<usize>> {
    let file: &dyn File = part.file.as_ref();
    let descriptor = file.descriptor().ok_or(io::ErrorKind::Unsupported)?;
    match stream.send_file(descriptor, part.offset + done as u64, (part.bytes - done).min(most)) {
        Ok(Some(0)) => {
            let code = Reason::WalTruncated;
            log::error!(code = code.name(), offset = part.offset; "a segment is shorter than what was durably written to it");
            Err(io::ErrorKind::UnexpectedEof.into())
        }
        Err(error) if Errno::from_io_error(&error) == Some(Errno::IO) => {
            let code = Reason::DiskReadFailed;
            log::error!(code = code.name(), offset = part.offset; "a segment can't be read: {error}");
            Err(error)
        }
        sent => sent,
    }
}
