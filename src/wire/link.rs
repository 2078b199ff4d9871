//! A connection that is made without waiting, lost, and made again; and the place where its owner sleeps.
//!
//! [`Link`] is what its owner sees of it, so that a simulation can take its place.
//!
//! Used by one thread; only the [`Waker`] may be used by others.

use super::poll::{Poll, Stream, Waker};
use crate::sync::Arc;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

/// How a sleep ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slept {
    /// Something happened.
    UntilWoken,
    /// All the time that was said passed.
    Enough,
}

/// A connection that is made, lost and made again, and the place where its owner sleeps.
pub trait Link {
    /// Begins to connect.
    ///
    /// # Errors
    /// Those of the operating system.
    fn connect(&mut self) -> io::Result<()>;
    /// Whether the connection stands.
    ///
    /// # Errors
    /// Why there will be none.
    fn is_connected(&mut self) -> io::Result<bool>;
    /// Reads what there is: nothing at the end; `None` where it would have to wait.
    ///
    /// # Errors
    /// Those of the operating system.
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<Option<usize>>;
    /// Writes what there is room for; `None` where it would have to wait.
    ///
    /// # Errors
    /// Those of the operating system.
    fn write(&mut self, bytes: &[u8]) -> io::Result<Option<usize>>;
    /// Whether there may be something to read at once: nobody is told of that again.
    fn is_readable(&self) -> bool;
    /// Ends the connection, if there is one.
    fn close(&mut self);
    /// Sleeps until the connection is ready for something that it was not, or somebody wakes it; at most so many seconds, if that is said.
    /// Whether these have passed.
    ///
    /// # Errors
    /// Those of the operating system.
    fn sleep(&mut self, at_most_seconds: Option<u32>) -> io::Result<Slept>;
}

const CONNECTION: usize = 0;
const WAKER: usize = 1;

/// The link to one address.
#[derive(Debug)]
pub struct TcpLink {
    poll: Poll,
    address: String,
    tcp_keepalive: u32,
    /// Addresses of that name that were not tried yet, the next one last.
    untried: Vec<SocketAddr>,
    stream: Option<Stream>,
    connected: bool,
    readable: bool,
    writable: bool,
}

impl TcpLink {
    /// A link to `host:port` that is not connected, and what wakes its owner. Where nothing came for so many seconds, the operating system
    /// tries whether the other side is still there; 0: never.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn new(address: &str, tcp_keepalive: u32) -> io::Result<(TcpLink, Arc<Waker>)> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(&poll, WAKER)?);
        let link = TcpLink {
            poll,
            address: address.to_owned(),
            tcp_keepalive,
            untried: Vec::new(),
            stream: None,
            connected: false,
            readable: false,
            writable: false,
        };
        Ok((link, waker))
    }

    fn try_next(&mut self, mut failure: io::Error) -> io::Result<()> {
        while let Some(address) = self.untried.pop() {
            let begun = Stream::begin(&self.poll, CONNECTION, address);
            match begun.and_then(|stream| stream.keep_alive(self.tcp_keepalive).map(|()| stream)) {
                Ok(stream) => {
                    (self.stream, self.connected) = (Some(stream), false);
                    (self.readable, self.writable) = (false, false);
                    return Ok(());
                }
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }
}

impl Link for TcpLink {
    /// A name is looked up here, which waits for whoever knows it; each address that it has is tried.
    fn connect(&mut self) -> io::Result<()> {
        self.close();
        self.untried = self.address.to_socket_addrs()?.collect();
        self.untried.reverse();
        self.try_next(io::ErrorKind::AddrNotAvailable.into())
    }

    fn is_connected(&mut self) -> io::Result<bool> {
        let Some(stream) = self.stream.as_ref().filter(|_| self.writable && !self.connected) else {
            return Ok(self.connected);
        };
        match stream.is_connected() {
            Ok(connected) => self.connected = connected,
            Err(error) => self.try_next(error)?,
        }
        Ok(self.connected)
    }

    fn read(&mut self, bytes: &mut [u8]) -> io::Result<Option<usize>> {
        let Some(stream) = self.stream.as_mut().filter(|_| self.readable) else { return Ok(None) };
        let read = stream.read(bytes)?;
        self.readable = read.is_some();
        Ok(read)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<Option<usize>> {
        let Some(stream) = self.stream.as_mut().filter(|_| self.writable) else { return Ok(None) };
        let written = stream.write(bytes)?;
        self.writable = written.is_some();
        Ok(written)
    }

    fn is_readable(&self) -> bool {
        self.readable && self.stream.is_some()
    }

    fn close(&mut self) {
        self.stream = None;
        self.untried.clear();
        self.connected = false;
    }

    fn sleep(&mut self, at_most_seconds: Option<u32>) -> io::Result<Slept> {
        let passed = self.poll.wait_seconds(at_most_seconds)?;
        for ready in self.poll.ready() {
            if ready.source == CONNECTION {
                self.readable |= ready.readable || ready.ended || ready.broken;
                self.writable |= ready.writable || ready.broken;
            }
        }
        Ok(if passed { Slept::Enough } else { Slept::UntilWoken })
    }
}
