//! Sockets that never block, and one place to wait for all of them.
//!
//! Readiness is told once, when it begins: whoever is told reads or writes until it would block, or asks again without being told. A
//! socket is registered when it is made and leaves the poll when it is dropped. Names of sources are numbers that the caller chooses.
//!
//! Used by one thread; only a [`Waker`] may be used by others.

use crate::clock::{self, NO_TIME};
#[cfg(test)]
use crate::sync::atomic::{AtomicBool, Ordering};
use mio::event::Source;
use mio::{Events, Interest, Token};
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::sendfile;
use rustix::io::Errno;
use rustix::net::sockopt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::os::unix::net::UnixStream;

/// How many sources one wait tells of; those that are left are told by the next.
const EVENTS: usize = 1024;

/// How often a silent connection is tried before it is given up.
const TRIES: u32 = 3;

/// Most connections that wait to be accepted; the operating system may allow fewer.
const WAITING_MAX: i32 = 4096;

/// What one thread waits for.
#[derive(Debug)]
pub struct Poll {
    poll: mio::Poll,
    events: Events,
}

/// What a source is ready for.
#[derive(Clone, Copy, Debug)]
pub struct Ready {
    /// Which source.
    pub source: usize,
    /// There is something to read, or the end.
    pub readable: bool,
    /// There is room to write.
    pub writable: bool,
    /// The other side will send nothing more.
    pub ended: bool,
    /// The connection is broken.
    pub broken: bool,
}

impl Poll {
    /// A poll without sources.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn new() -> io::Result<Poll> {
        Ok(Poll { poll: mio::Poll::new()?, events: Events::with_capacity(EVENTS) })
    }

    /// Waits until a source is ready; or looks only, without waiting.
    ///
    /// # Errors
    /// Those of the operating system; a signal is none.
    pub fn wait(&mut self, sleep: bool) -> io::Result<()> {
        let at_most = (!sleep).then_some(NO_TIME);
        uninterrupted(|| self.poll.poll(&mut self.events, at_most))
    }

    /// Waits until a source is ready, at most so many seconds, if that is said. Whether these have passed without one.
    ///
    /// # Errors
    /// Those of the operating system; a signal is none.
    pub fn wait_seconds(&mut self, at_most: Option<u32>) -> io::Result<bool> {
        let limit = at_most.map(clock::seconds);
        uninterrupted(|| self.poll.poll(&mut self.events, limit))?;
        Ok(limit.is_some() && self.events.is_empty())
    }

    /// Waits until a source is ready, at most so many nanoseconds, if that is said.
    ///
    /// # Errors
    /// Those of the operating system; a signal is none.
    pub fn wait_nanoseconds(&mut self, at_most: Option<u64>) -> io::Result<()> {
        let limit = at_most.map(clock::nanoseconds);
        uninterrupted(|| self.poll.poll(&mut self.events, limit))
    }

    /// What was ready at the last wait.
    pub fn ready(&self) -> impl Iterator<Item = Ready> {
        self.events.iter().map(|event| Ready {
            source: event.token().0,
            readable: event.is_readable(),
            writable: event.is_writable(),
            ended: event.is_read_closed(),
            broken: event.is_error(),
        })
    }

    /// Lets every further wait fail as the operating system fails it: there is no room for what it would tell.
    #[cfg(test)]
    pub(crate) fn fail(&mut self) {
        self.events = Events::with_capacity(0);
    }

    fn add(&self, source: &mut impl Source, name: usize, interest: Interest) -> io::Result<()> {
        self.poll.registry().register(source, Token(name), interest)
    }
}

/// Ends the wait of a poll from another thread.
#[derive(Debug)]
pub struct Waker {
    waker: mio::Waker,
    #[cfg(test)]
    fails: AtomicBool,
}

impl Waker {
    /// A waker under this name; a poll has at most one.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn new(poll: &Poll, name: usize) -> io::Result<Waker> {
        let waker = mio::Waker::new(poll.poll.registry(), Token(name))?;
        Ok(Waker {
            waker,
            #[cfg(test)]
            fails: AtomicBool::new(false),
        })
    }

    /// Ends the wait, or the next one.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn wake(&self) -> io::Result<()> {
        #[cfg(test)]
        if self.fails.load(Ordering::Relaxed) {
            return Err(Errno::BADF.into());
        }
        self.waker.wake()
    }

    /// Lets every further attempt fail, or none.
    #[cfg(test)]
    pub(crate) fn fail(&self, fails: bool) {
        self.fails.store(fails, Ordering::Relaxed);
    }
}

/// Where clients connect.
#[derive(Debug)]
pub struct Listener(mio::net::TcpListener);

/// What came of accepting a connection.
#[derive(Debug)]
pub enum Accepted {
    /// A connection, and where it comes from.
    Connection(Stream, SocketAddr),
    /// A connection that ended, or could not be made, before it was accepted; others may wait behind it.
    Gone,
    /// Nobody waits to be accepted.
    Nobody,
}

impl Listener {
    /// Listens, under this name.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn bind(poll: &Poll, name: usize, address: SocketAddr) -> io::Result<Listener> {
        let listener = std::net::TcpListener::bind(address)?;
        // A crowd that comes at once waits here, rather than for its own second try.
        rustix::net::listen(&listener, WAITING_MAX)?;
        listener.set_nonblocking(true)?;
        let mut listener = mio::net::TcpListener::from_std(listener);
        poll.add(&mut listener, name, Interest::READABLE)?;
        Ok(Listener(listener))
    }

    /// This poll is told of it no longer. Whoever waits to be accepted waits on.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn leave(&mut self, poll: &Poll) -> io::Result<()> {
        poll.poll.registry().deregister(&mut self.0)
    }

    /// Another poll is told of it, under this name, and at once of whoever waits already.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn enter(&mut self, poll: &Poll, name: usize) -> io::Result<()> {
        poll.add(&mut self.0, name, Interest::READABLE)
    }

    /// Where it listens.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// Accepts a connection. What the operating system says of one connection is no error.
    ///
    /// # Errors
    /// Those of the operating system: no more files, no more memory.
    pub fn accept(&self) -> io::Result<Accepted> {
        match uninterrupted(|| self.0.accept()) {
            Ok((stream, address)) => Ok(Accepted::Connection(Stream(stream), address)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Accepted::Nobody),
            Err(error) => match Errno::from_io_error(&error) {
                Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => Err(error),
                _ => Ok(Accepted::Gone),
            },
        }
    }
}

/// A connection.
#[derive(Debug)]
pub struct Stream(mio::net::TcpStream);

impl Stream {
    /// Connects to `host:port`. This waits; what is done with the connection later does not.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn connect(address: &str) -> io::Result<Stream> {
        let stream = std::net::TcpStream::connect(address)?;
        stream.set_nonblocking(true)?;
        Ok(Stream(mio::net::TcpStream::from_std(stream)))
    }

    /// Begins to connect, and is told of under this name: there is room to write once the connection stands, or can't be made.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn begin(poll: &Poll, name: usize, address: SocketAddr) -> io::Result<Stream> {
        let mut stream = mio::net::TcpStream::connect(address)?;
        poll.add(&mut stream, name, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Stream(stream))
    }

    /// Whether the connection that was begun stands.
    ///
    /// # Errors
    /// Why there will be none.
    pub fn is_connected(&self) -> io::Result<bool> {
        if let Some(error) = self.0.take_error()? {
            return Err(error);
        }
        match self.0.peer_addr() {
            Ok(_) => self.0.set_nodelay(true).map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Is told of under this name; what is written leaves at once.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn register(&mut self, poll: &Poll, name: usize) -> io::Result<()> {
        self.0.set_nodelay(true)?;
        poll.add(&mut self.0, name, Interest::READABLE | Interest::WRITABLE)
    }

    /// Has the operating system try the connection after so many seconds of silence, and then at thirds of them: where nobody is there, it
    /// breaks. 0: never.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn keep_alive(&self, seconds: u32) -> io::Result<()> {
        keep_alive(&self.0, seconds)
    }

    /// Has the operating system end the connection where the other side takes nothing of what was sent for twice as many seconds, which is as long as
    /// a silent one is tried. 0: it gives up when it does by itself, or, where the other side answers and takes nothing, never.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn give_up(&self, seconds: u32) -> io::Result<()> {
        if seconds == 0 {
            return Ok(());
        }
        Ok(sockopt::set_tcp_user_timeout(&self.0, seconds.saturating_mul(2000))?)
    }

    /// The address of this side.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// Reads what there is: nothing at the end; `None` where it would have to wait.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn read(&mut self, bytes: &mut [u8]) -> io::Result<Option<usize>> {
        at_once(|| self.0.read(bytes))
    }

    /// Writes what there is room for; `None` where it would have to wait.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<Option<usize>> {
        at_once(|| self.0.write(bytes))
    }

    /// Sends a part of a file as far as there is room, without a copy through this process: nothing where the file ends before; `None`
    /// where it would have to wait.
    ///
    /// # Errors
    /// Those of the operating system, of the socket or of the file.
    pub fn send_file(&mut self, file: BorrowedFd<'_>, offset: u64, bytes: usize) -> io::Result<Option<usize>> {
        at_once(|| Ok(sendfile(&self.0, file, Some(&mut offset.clone()), bytes)?))
    }

    /// Says that nothing more will be written; what was written still arrives.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn finish(&self) -> io::Result<()> {
        self.0.shutdown(Shutdown::Write)
    }
}

/// One side of a pair of which the other is written to elsewhere: by the handler of a signal.
#[derive(Debug)]
pub struct Pipe(#[expect(dead_code, reason = "it is open, and polled, as long as it is held")] mio::net::UnixStream);

impl Pipe {
    /// Waits for this stream too, under this name.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn new(poll: &Poll, name: usize, stream: UnixStream) -> io::Result<Pipe> {
        stream.set_nonblocking(true)?;
        let mut stream = mio::net::UnixStream::from_std(stream);
        poll.add(&mut stream, name, Interest::READABLE)?;
        Ok(Pipe(stream))
    }
}

fn at_once(call: impl FnMut() -> io::Result<usize>) -> io::Result<Option<usize>> {
    match uninterrupted(call) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

/// Calls again what a signal interrupted.
fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}

/// Has the operating system try a connection after so many seconds of silence, and then at thirds of them. 0: never.
pub(super) fn keep_alive(socket: &impl AsFd, seconds: u32) -> io::Result<()> {
    if seconds == 0 {
        return Ok(());
    }
    sockopt::set_tcp_keepidle(socket, clock::seconds(seconds))?;
    sockopt::set_tcp_keepintvl(socket, clock::seconds((seconds / TRIES).max(1)))?;
    sockopt::set_tcp_keepcnt(socket, TRIES)?;
    Ok(sockopt::set_socket_keepalive(socket, true)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_connection_is_tried_three_times_and_first_after_the_seconds_that_were_said() {
        let poll = Poll::new().unwrap();
        let listener = Listener::bind(&poll, 0, SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let stream = Stream::connect(&listener.local_addr().unwrap().to_string()).unwrap();
        stream.keep_alive(0).unwrap();
        assert!(!sockopt::socket_keepalive(&stream.0).unwrap());
        for (seconds, between) in [(300, 100), (1, 1), (32_767, 10_922)] {
            stream.keep_alive(seconds).unwrap();
            assert_eq!(sockopt::tcp_keepidle(&stream.0).unwrap(), clock::seconds(seconds));
            assert_eq!(sockopt::tcp_keepintvl(&stream.0).unwrap(), clock::seconds(between));
            assert_eq!(sockopt::tcp_keepcnt(&stream.0).unwrap(), 3);
        }
        stream.give_up(0).unwrap();
        assert_eq!(sockopt::tcp_user_timeout(&stream.0).unwrap(), 0);
        stream.give_up(300).unwrap();
        assert_eq!(sockopt::tcp_user_timeout(&stream.0).unwrap(), 600_000);
        assert!(sockopt::socket_keepalive(&stream.0).unwrap());
    }
}
