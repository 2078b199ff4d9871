//! The thread: who is ready, who is accepted, who is answered, who gives way (HTTP-BOUND).
//!
//! ```text
//!  poll ─► a turn for each that is queued ─► bound the memory ─► accept ─► poll
//! ```
//!
//! No step waits, and a turn of one connection is one response or one read, so a slow client holds its own buffers and nothing else. There
//! is no time-out, because there is no clock: a seat is given up when somebody wants it. Once all are taken, whoever comes gets that of the
//! connection that was answered, or accepted, the longest ago, counted in events. So who sends a request at once is answered, however many
//! send nothing; and nobody is closed whom nobody waits for. The same holds for the memory of responses that are not read.
//!
//! Assumed of [`Pages`]: it reads what the node has published, and waits for nobody.

use super::connection::{After, Connection};
use super::request::{Refused, Request, is_loopback};
use super::response::Response;
use crate::error::{Error, Result};
use crate::limits::{HTTP_HEAD_BYTES_MAX, HTTP_RESPONSES_BYTES_MAX, HTTP_SEATS};
use crate::reason::Reason;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{self, Arc, JoinHandle};
use crate::wire::{Accepted, Listener, Poll, Stream, Waker};
use std::io;
use std::net::SocketAddr;

const LISTENER: usize = 0;
const WAKER: usize = 1;
const CONNECTIONS: usize = 2;

/// Most connections that a turn accepts.
const ACCEPTED_A_TURN: usize = 64;
/// Most connections that have a turn before others are looked at.
const TURN_SEATS: usize = 16;

/// Open files of a server that has as many connections as it may: theirs, the next one, its listener, and what it waits with.
pub const FILES: u64 = HTTP_SEATS as u64 + 4;

/// What there is to be read.
pub trait Pages: Send {
    /// The answer to a request.
    ///
    /// # Errors
    /// There is no such page.
    fn answer(&self, request: &Request) -> std::result::Result<Response, Refused>;
}

/// What a server is started with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where clients connect.
    pub listen: SocketAddr,
    /// Whether that may be an address that others can reach: there is no authentication.
    pub allow_remote: bool,
    /// Connections at a time.
    pub seats: usize,
    /// Seconds of silence after which the operating system tries whether a client is still there; 0: never.
    pub tcp_keepalive: u32,
}

impl Options {
    /// What a server has where nothing else is said.
    #[must_use]
    pub fn new(listen: SocketAddr) -> Options {
        Options { listen, allow_remote: false, seats: HTTP_SEATS, tcp_keepalive: 300 }
    }
}

/// A server that listens, and answers nobody yet.
pub struct Server {
    turns: Turns,
    address: SocketAddr,
}

impl Server {
    /// Listens.
    ///
    /// # Errors
    /// `config.no_authentication`, `server.listen_failed`.
    pub fn bind(options: Options, pages: Box<dyn Pages>) -> Result<Server> {
        let Options { listen, allow_remote, .. } = options;
        if !allow_remote && !listen.ip().is_loopback() {
            return Err(Error::new(Reason::ConfigNoAuthentication).with("address", listen));
        }
        let refused = |error| Error::new(Reason::ServerListenFailed).with("error", error).with("address", listen);
        let poll = Poll::new().map_err(refused)?;
        let waker = Waker::new(&poll, WAKER).map_err(refused)?;
        let listener = Listener::bind(&poll, LISTENER, listen).map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let end = Arc::new(End { asked: AtomicBool::new(false), waker });
        Ok(Server { turns: Turns::new(options, pages, poll, listener, end), address })
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Answers, on a thread of its own, until that is stopped.
    ///
    /// # Errors
    /// `process.thread_failed`.
    pub fn start(self) -> Result<Running> {
        let Server { mut turns, address } = self;
        let end = Arc::clone(&turns.end);
        let body = move || {
            turns.run().map_err(|error| {
                let failed = Error::new(Reason::ServerPollFailed).with("thread", "http").with("error", error);
                log::error!(code = failed.reason().name(); "nothing is answered over HTTP any more: {failed}");
                failed
            })
        };
        let refused = |error| Error::new(Reason::ProcessThreadFailed).with("error", error);
        Ok(Running { address, end, thread: Some(sync::spawn("http", body).map_err(refused)?) })
    }
}

/// A server that answers. Dropped, it stops.
pub struct Running {
    address: SocketAddr,
    end: Arc<End>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Running {
    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Stops: the thread has ended, and what it held of the node is gone.
    ///
    /// # Errors
    /// `server.poll_failed`, where it had ended by itself; `component.panicked`.
    pub fn stop(mut self) -> Result<()> {
        self.end()
    }

    fn end(&mut self) -> Result<()> {
        self.end.ask();
        let panicked = |_| Err(Error::new(Reason::ComponentPanicked).with("component", "http"));
        self.thread.take().map_or(Ok(()), |thread| thread.join().unwrap_or_else(panicked))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            log::error!(code = error.reason().name(); "HTTP: {error}");
        }
    }
}

/// The request to end.
struct End {
    asked: AtomicBool,
    waker: Waker,
}

impl End {
    fn ask(&self) {
        // ORDERING: Release pairs with the Acquire of `is_asked`; the waker is what ends the sleep before that.
        self.asked.store(true, Ordering::Release);
        if let Err(error) = self.waker.wake() {
            log::error!(code = Reason::ServerPollFailed.name(); "the thread of HTTP can't be woken: {error}");
        }
    }

    fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Acquire)
    }
}

/// A connection in its place.
struct Seat {
    connection: Connection,
    /// It has a turn.
    queued: bool,
    /// When it was accepted, or answered the last time: one more for each of these events.
    since: u64,
}

/// The turns of the thread.
struct Turns {
    options: Options,
    pages: Box<dyn Pages>,
    /// Whether only this machine can reach it.
    local: bool,
    poll: Poll,
    listener: Listener,
    end: Arc<End>,
    seats: Vec<Option<Seat>>,
    free: Vec<usize>,
    queue: Vec<usize>,
    events: u64,
    /// Memory of all responses that have not been sent.
    held: usize,
    /// Somebody may wait to be accepted.
    accepting: bool,
    /// The operating system refused a connection; it was said.
    refused: bool,
    buffer: Vec<u8>,
}

impl Turns {
    fn new(options: Options, pages: Box<dyn Pages>, poll: Poll, listener: Listener, end: Arc<End>) -> Turns {
        Turns {
            local: options.listen.ip().is_loopback(),
            options,
            pages,
            poll,
            listener,
            end,
            seats: Vec::new(),
            free: Vec::new(),
            queue: Vec::new(),
            events: 0,
            held: 0,
            accepting: false,
            refused: false,
            buffer: vec![0; HTTP_HEAD_BYTES_MAX],
        }
    }

    fn run(&mut self) -> io::Result<()> {
        while !self.end.is_asked() {
            self.wait()?;
            // Those behind have their turn after whoever has come meanwhile: an answer may take as long as a disk does.
            let turned = self.queue.len().min(TURN_SEATS);
            let behind = self.queue.split_off(turned);
            for place in std::mem::replace(&mut self.queue, behind) {
                self.turn(place);
                self.bound_memory();
                if self.end.is_asked() {
                    break;
                }
            }
            self.accept();
        }
        for seat in self.seats.iter_mut().flatten() {
            // What its client does not take at once it does not get.
            let _ = seat.connection.send();
        }
        Ok(())
    }

    /// Waits until something is ready, and queues whom it concerns.
    fn wait(&mut self) -> io::Result<()> {
        self.poll.wait(self.queue.is_empty() && !self.accepting)?;
        for ready in self.poll.ready() {
            self.accepting |= ready.source == LISTENER;
            let place = ready.source.checked_sub(CONNECTIONS);
            if let Some((place, Some(seat))) =
                place.and_then(|place| Some((place, self.seats.get_mut(place)?.as_mut())))
            {
                seat.connection.ready(ready);
                enqueue(&mut self.queue, place, seat);
            }
        }
        Ok(())
    }

    /// Accepts who waits, unless the operating system has no room for another: then again when somebody has gone, or has come.
    fn accept(&mut self) {
        // No more than there are seats: who was accepted has a turn before it can give way.
        for _ in 0..ACCEPTED_A_TURN.min(self.options.seats) {
            if !self.accepting {
                return;
            }
            match self.listener.accept() {
                Ok(Accepted::Connection(stream, _)) => self.enter(stream),
                Ok(Accepted::Gone) => {}
                Ok(Accepted::Nobody) => self.accepting = false,
                Err(error) => self.refuse_connections(&error),
            }
        }
    }

    fn refuse_connections(&mut self, error: &io::Error) {
        self.accepting = false;
        if !std::mem::replace(&mut self.refused, true) {
            let code = Reason::ServerListenFailed;
            log::error!(code = code.name(), open = self.taken(); "connections of HTTP wait until others have gone: {error}");
        }
    }

    fn taken(&self) -> usize {
        self.seats.len() - self.free.len()
    }

    fn enter(&mut self, mut stream: Stream) {
        if self.taken() >= self.options.seats {
            self.give_way(|_| true);
        }
        let place = self.free.pop().unwrap_or(self.seats.len());
        if place == self.seats.len() {
            self.seats.push(None);
        }
        let alive = stream.keep_alive(self.options.tcp_keepalive);
        if let Err(error) = alive.and_then(|()| stream.register(&self.poll, CONNECTIONS + place)) {
            self.free.push(place);
            return self.refuse_connections(&error);
        }
        self.refused = false;
        self.events += 1;
        self.seats[place] = Some(Seat { connection: Connection::new(stream), queued: false, since: self.events });
    }

    /// Gives a connection its turn.
    fn turn(&mut self, place: usize) {
        let Some(seat) = self.seats.get_mut(place).and_then(Option::as_mut) else { return };
        seat.queued = false;
        let before = seat.connection.held();
        let (pages, local) = (&self.pages, self.local);
        let after = seat.connection.turn(&mut self.buffer, |request| {
            if local && request.host.as_deref().is_some_and(|host| !is_loopback(host)) {
                return Err(Refused::OtherHost);
            }
            pages.answer(request)
        });
        self.held = self.held - before + seat.connection.held();
        match after {
            Ok(After::Answered) => {
                self.events += 1;
                seat.since = self.events;
                enqueue(&mut self.queue, place, seat);
            }
            Ok(After::Again) => enqueue(&mut self.queue, place, seat),
            Ok(After::Rest) => {}
            Ok(After::Close) | Err(_) => self.close(place),
        }
    }

    /// Closes who holds a response and was answered the longest ago, until all responses together take no more than they may.
    fn bound_memory(&mut self) {
        while self.held > HTTP_RESPONSES_BYTES_MAX && self.give_way(|seat| seat.connection.held() > 0) {}
    }

    /// Closes, among these, the connection that was answered or accepted the longest ago; whether there was one.
    fn give_way(&mut self, among: impl Fn(&Seat) -> bool) -> bool {
        let seats = self.seats.iter().enumerate().filter_map(|(place, seat)| Some((place, seat.as_ref()?)));
        let oldest = seats.filter(|(_, seat)| among(seat)).min_by_key(|(_, seat)| seat.since).map(|(place, _)| place);
        if let Some(place) = oldest {
            log::debug!(target: "http", seats = self.taken(), held = self.held; "a connection gives way");
            self.close(place);
        }
        oldest.is_some()
    }

    fn close(&mut self, place: usize) {
        let Some(seat) = self.seats.get_mut(place).and_then(Option::take) else { return };
        self.held -= seat.connection.held();
        self.free.push(place);
        // There is room for another file.
        self.accepting |= self.refused;
    }
}

fn enqueue(queue: &mut Vec<usize>, place: usize, seat: &mut Seat) {
    if !std::mem::replace(&mut seat.queued, true) {
        queue.push(place);
    }
}
