//! The connection of one replica: its socket, its session, and what of a frame is on its way.
//!
//! A turn reads once, and sends as long as the socket takes it and the turn allows it. One frame is under way at a time, and the next one is
//! asked for only when that is sent: so a replica that does not read holds one frame here, and a segment file (WIRE-BOUND).
//!
//! Whoever is refused is told so to the end, and so is whoever has no directory yet and was told whose log this is: the connection is closed
//! by this side for writing only, and what still comes is read away until the replica has closed it too. Otherwise the system could take back what was not read yet.

use crate::feeder::machine::State;
use crate::feeder::{Outgoing, Part, Session, Source};
use crate::frame::Purpose;
use crate::reason::Reason;
use crate::sync::Arc;
use crate::wal::Extent;
use crate::wire::{Poll, Ready, Stream};
use rustix::io::Errno;
use std::fmt::Display;
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
    /// Files can't be sent to it by the system itself, and are read and written.
    copies: bool,
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
            copies: false,
        })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn session(&self) -> &Session {
        &self.session
    }

    /// Whether it follows the log.
    pub(super) fn follows(&self) -> bool {
        matches!(self.session.state(), State::Idle | State::Serving | State::Parked)
    }

    /// Whether it is served, and gives way to nobody: it follows the log, or a snapshot is under way.
    pub(super) fn is_served(&self) -> bool {
        match self.session.state() {
            State::Idle | State::Serving | State::Parked | State::Copying | State::Pinned => true,
            State::AwaitingHello
            | State::Introduced
            | State::AwaitingSnapshot
            | State::Copied
            | State::Probing
            | State::Answering
            | State::Ended => false,
        }
    }

    /// Whether it came for a snapshot: then what it is sent is paced.
    pub(super) fn is_paced(&self) -> bool {
        self.session.purpose() == Some(Purpose::Snapshot)
    }

    /// Ends a snapshot that has gone.
    pub(super) fn look(&mut self, extent: &Extent) {
        self.session.look(extent);
    }

    /// Bytes that are held in memory for it.
    pub(super) fn held_bytes(&self) -> usize {
        self.session.held_bytes() + self.outgoing.bytes.capacity()
    }

    /// What the poll said of its socket.
    pub(super) fn ready(&mut self, ready: Ready) {
        self.readable |= ready.readable || ready.ended;
        self.writable |= ready.writable;
        self.broken |= ready.broken;
    }

    /// Whether a turn would do something, without anything that has to come first. `paused` says that it is sent nothing for a while.
    pub(super) fn has_more(&self, extent: &Extent, paused: bool) -> bool {
        self.readable || self.broken || (!paused && self.has_output(extent))
    }

    /// Whether something would be sent.
    pub(super) fn has_output(&self, extent: &Extent) -> bool {
        self.writable && !self.finished && (self.unsent() > 0 || self.session.is_due(extent))
    }

    /// Reads once, and sends what there is, at most so many bytes, and of a snapshot at most `paced`; how many that were.
    ///
    /// # Errors
    /// Those of the socket or of the file: the connection has ended.
    pub(super) fn turn(
        &mut self,
        extent: &Extent,
        full: bool,
        buffer: &mut [u8],
        most: usize,
        paced: usize,
    ) -> io::Result<usize> {
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
        // Only now it is known what it came for.
        let most = if self.is_paced() { most.min(paced) } else { most };
        let mut written = 0;
        while self.writable && !self.finished && written < most {
            if self.unsent() == 0 {
                let next = self.session.serve(extent, most - written);
                (self.outgoing, self.sent) = (next.unwrap_or_default(), (0, 0));
                if self.unsent() == 0 {
                    break;
                }
            }
            written += self.send(buffer, most - written)?;
        }
        let nothing_follows = matches!(self.session.state(), State::Introduced | State::Ended);
        if nothing_follows && self.unsent() == 0 && !self.session.is_due(extent) && !self.finished {
            self.stream.finish()?;
            self.finished = true;
        }
        Ok(written)
    }

    /// Sends what the socket takes of the frame, at most so many bytes.
    fn send(&mut self, buffer: &mut [u8], most: usize) -> io::Result<usize> {
        let unsent = &self.outgoing.bytes[self.sent.0..];
        let (taken, of) = match &self.outgoing.part {
            Some(part) if unsent.is_empty() => {
                let left = Part {
                    file: Arc::clone(&part.file),
                    offset: part.offset + self.sent.1 as u64,
                    bytes: (part.bytes - self.sent.1).min(most),
                };
                (send_part(&mut self.stream, &left, &mut self.copies, buffer)?, &mut self.sent.1)
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

/// Sends of a part of a file what the socket takes. Where the file system can't do that by itself, it is read and written, through the
/// buffer. A frame that was begun can't be taken back: what can't be read of it ends the connection.
fn send_part(stream: &mut Stream, part: &Part, copies: &mut bool, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    let shorter = || {
        let code = Reason::WalTruncated;
        log::error!(code = code.name(), offset = part.offset; "a segment is shorter than what was durably written to it");
        Err(io::ErrorKind::UnexpectedEof.into())
    };
    let unreadable = |error: &dyn Display| {
        let code = Reason::DiskReadFailed;
        log::error!(code = code.name(), offset = part.offset; "a segment can't be read: {error}");
        Err(io::ErrorKind::Other.into())
    };
    if !*copies {
        let descriptor = part.file.descriptor().ok_or(io::ErrorKind::Unsupported)?;
        match stream.send_file(descriptor, part.offset, part.bytes) {
            Ok(Some(0)) => return shorter(),
            Err(error) => match Errno::from_io_error(&error) {
                Some(Errno::IO) => return unreadable(&error),
                Some(Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS) => *copies = true,
                _ => return Err(error),
            },
            sent => return sent,
        }
    }
    let most = buffer.len().min(part.bytes);
    match part.file.read_at(part.offset, &mut buffer[..most]) {
        Ok(read) if read < most => shorter(),
        Ok(read) => stream.write(&buffer[..read]),
        Err(error) => unreadable(&error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{Access, Disk, File, RealDisk, SimDisk};
    use crate::error::Result;
    use crate::wire::{Accepted, Listener};
    use rustix::fd::BorrowedFd;
    use std::path::Path;

    /// A file with the descriptor of another, which the system can't send.
    struct Unsendable(Arc<dyn File>, Arc<dyn File>);

    impl File for Unsendable {
        fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
            self.0.read_at(offset, buffer)
        }

        fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
            self.0.write_at(offset, bytes)
        }

        fn set_len(&self, len: u64) -> Result<()> {
            self.0.set_len(len)
        }

        fn len(&self) -> Result<u64> {
            self.0.len()
        }

        fn sync_data(&self) -> Result<()> {
            self.0.sync_data()
        }

        fn descriptor(&self) -> Option<BorrowedFd<'_>> {
            self.1.descriptor()
        }
    }

    #[test]
    fn a_file_that_the_system_cant_send_is_read_and_written_wire_raw() {
        let file = SimDisk::new().create(Path::new("/segment")).unwrap();
        let log: Vec<u8> = (0..100_000_u32).map(|number| (number % 251) as u8).collect();
        file.write_at(0, &log).unwrap();
        let directory = RealDisk.open(Path::new("/"), Access::Read).unwrap().unwrap();
        let file: Arc<dyn File> = Arc::new(Unsendable(file, directory));
        let mut poll = Poll::new().unwrap();
        let listener = Listener::bind(&poll, 0, SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let mut replica = Stream::connect(&listener.local_addr().unwrap().to_string()).unwrap();
        poll.wait(true).unwrap();
        let Accepted::Connection(mut stream, _) = listener.accept().unwrap() else { panic!("nobody came") };
        let (mut received, mut copies) = (Vec::new(), false);
        let (mut from, mut to) = (vec![0; 16 * 1024], vec![0; 1 << 20]);
        let mut at = 7;
        while at < log.len() {
            let part = Part { file: Arc::clone(&file), offset: at as u64, bytes: log.len() - at };
            at += send_part(&mut stream, &part, &mut copies, &mut from).unwrap().unwrap_or(0);
            assert!(copies, "it is remembered");
            if let Some(bytes) = replica.read(&mut to).unwrap() {
                received.extend_from_slice(&to[..bytes]);
            }
        }
        while received.len() < log.len() - 7 {
            if let Some(bytes) = replica.read(&mut to).unwrap() {
                received.extend_from_slice(&to[..bytes]);
            }
        }
        assert!(received == log[7..]);
        // Behind its end there is nothing, and that is not the end of a part.
        let beyond = Part { file, offset: log.len() as u64 - 1, bytes: 2 };
        let error = send_part(&mut stream, &beyond, &mut copies, &mut from).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
