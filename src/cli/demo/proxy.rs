//! What stands between a primary and a replica, to break what passes: a bit flips, or nothing comes through.
//!
//! One thread, which never waits for one side alone. It knows where a frame ends, so that what it flips is a bit of the log; it keeps no more than a
//! frame. Where one side ends, so does the other.

use aerodb::frame::Frame;
use aerodb::sync::{self, Arc, JoinHandle, Mutex};
use aerodb::wire::{Accepted, Listener, Poll, Stream, Waker};
use aerodb::{Error, Reason, Result};
use std::io;
use std::net::SocketAddr;

const LISTENER: usize = 0;
const WAKER: usize = 1;
const CONNECTIONS: usize = 2;
const BUFFER_BYTES: usize = 64 * 1024;

/// What it is told to do.
#[derive(Default)]
struct Orders {
    holds: bool,
    /// Where this stands in log that passes, the last bit is flipped, once.
    flips: Option<Vec<u8>>,
    flipped: u64,
    ended: bool,
}

/// A proxy. Dropped, it ends.
pub(super) struct Proxy {
    address: SocketAddr,
    orders: Arc<Mutex<Orders>>,
    waker: Waker,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Proxy {
    /// A proxy of this primary, on a port that is free.
    pub(super) fn of(primary: SocketAddr) -> Result<Proxy> {
        Proxy::start(primary).map_err(|error| Error::new(Reason::ServerListenFailed).with("error", error))
    }

    fn start(primary: SocketAddr) -> io::Result<Proxy> {
        let poll = Poll::new()?;
        let waker = Waker::new(&poll, WAKER)?;
        let listener = Listener::bind(&poll, LISTENER, SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let (address, orders) = (listener.local_addr()?, Arc::new(Mutex::new(Orders::default())));
        let seen = Arc::clone(&orders);
        let thread = sync::spawn("proxy", move || run(poll, &listener, primary, &seen))?;
        Ok(Proxy { address, orders, waker, thread: Some(thread) })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Flips the last bit of this, where it next stands in log that passes.
    pub(super) fn flip(&self, bytes: &[u8]) {
        sync::lock(&self.orders).flips = Some(bytes.to_vec());
    }

    /// Bits that it has flipped.
    pub(super) fn flipped(&self) -> u64 {
        sync::lock(&self.orders).flipped
    }

    /// Lets nothing through, in neither direction; the connections stand.
    pub(super) fn hold(&self) {
        sync::lock(&self.orders).holds = true;
    }

    /// Lets through what was held, and all that follows.
    pub(super) fn pass(&self) -> Result<()> {
        sync::lock(&self.orders).holds = false;
        self.waker.wake().map_err(|error| Error::new(Reason::ServerPollFailed).with("error", error))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        sync::lock(&self.orders).ended = true;
        let woken = self.waker.wake();
        let ended = woken.and_then(|()| self.thread.take().map_or(Ok(()), |thread| thread.join().unwrap_or(Ok(()))));
        if let Err(error) = ended {
            log::error!("the proxy failed: {error}");
        }
    }
}

fn run(mut poll: Poll, listener: &Listener, primary: SocketAddr, orders: &Mutex<Orders>) -> io::Result<()> {
    let mut pairs: Vec<Pair> = Vec::new();
    let mut next = CONNECTIONS;
    loop {
        poll.wait(true)?;
        while let Accepted::Connection(replica, _) = listener.accept()? {
            // Where there is no primary the connection ends at once.
            if let Ok(pair) = Pair::new(&poll, next, replica, primary) {
                pairs.push(pair);
            }
            next += 2;
        }
        let mut orders = sync::lock(orders);
        if orders.ended {
            return Ok(());
        }
        if !orders.holds {
            // They are few, and one that has nothing to say costs a read.
            pairs.retain_mut(|pair| pair.turn(&mut orders).is_ok());
        }
    }
}

/// A connection of the replica, and its own to the primary.
struct Pair {
    replica: Stream,
    primary: Stream,
    /// What is to go to the primary, and to the replica.
    up: Vec<u8>,
    down: Vec<u8>,
    /// The beginning of a frame.
    came: Vec<u8>,
}

impl Pair {
    fn new(poll: &Poll, name: usize, mut replica: Stream, primary: SocketAddr) -> io::Result<Pair> {
        let mut primary = Stream::connect(&primary.to_string())?;
        replica.register(poll, name)?;
        primary.register(poll, name + 1)?;
        Ok(Pair { replica, primary, up: Vec::new(), down: Vec::new(), came: Vec::new() })
    }

    /// Passes on what can be passed on now.
    fn turn(&mut self, orders: &mut Orders) -> io::Result<()> {
        let Pair { replica, primary, up, down, came } = self;
        copy(replica, primary, up, |bytes, up| {
            up.extend_from_slice(bytes);
            Ok(())
        })?;
        copy(primary, replica, down, |bytes, down| {
            came.extend_from_slice(bytes);
            while let Some((is_log, whole)) = frame(came)? {
                let begin = down.len();
                down.extend(came.drain(..whole));
                if is_log {
                    flip(&mut down[begin..], orders);
                }
            }
            Ok(())
        })
    }
}

/// Reads from one side what the other side takes.
fn copy(
    from: &mut Stream,
    to: &mut Stream,
    waiting: &mut Vec<u8>,
    mut pass: impl FnMut(&[u8], &mut Vec<u8>) -> io::Result<()>,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        while !waiting.is_empty() {
            let Some(written) = to.write(waiting)? else { return Ok(()) };
            waiting.drain(..written);
        }
        match from.read(&mut buffer)? {
            None => return Ok(()),
            Some(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Some(count) => pass(&buffer[..count], waiting)?,
        }
    }
}

/// Whether the next frame has log in it, and how long it is, once it is whole.
fn frame(came: &[u8]) -> io::Result<Option<(bool, usize)>> {
    let decoded = Frame::decode(came).map_err(|fault| io::Error::other(fault.to_string()))?;
    let Some((frame, head)) = decoded else { return Ok(None) };
    let (is_log, behind) = match frame {
        Frame::Segment(segment) => (true, segment.bytes),
        Frame::Chunk(chunk) => (false, chunk.bytes),
        Frame::Hello(_)
        | Frame::Welcome(_)
        | Frame::Refuse(_)
        | Frame::Fetch(_)
        | Frame::Snapshot(_)
        | Frame::Manifest(_)
        | Frame::Probe(_)
        | Frame::Point(..) => (false, 0),
    };
    Ok((came.len() >= head + behind).then_some((is_log, head + behind)))
}

fn flip(frame: &mut [u8], orders: &mut Orders) {
    let Some(wanted) = &orders.flips else { return };
    let Some(at) = frame.windows(wanted.len()).position(|bytes| bytes == wanted.as_slice()) else { return };
    frame[at + wanted.len() - 1] ^= 1;
    (orders.flips, orders.flipped) = (None, orders.flipped + 1);
}
