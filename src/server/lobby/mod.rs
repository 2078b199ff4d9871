//! The lobby: where clients are while a node has no database to serve (P5-I8, P5-I11).
//!
//! ```text
//!  open ──► thread "lobby": guests are told to wait, and how far the node is ──(close)──► the listener ──► Server::take_over
//!               ▲
//!             Board ◄── who fetches a snapshot, who opens the directory
//! ```
//!
//! A node listens from the first moment on, before anything is made or changed. Until its directory is open no read can be answered, and
//! none is: whatever needs the database is refused with `read.bootstrapping` or `read.recovering`, in the form of a Redis that loads, so that
//! client libraries try again by themselves. What needs none is answered as the server answers it, by the same code.
//!
//! Promises: from [`Lobby::open`] to the end of the server that takes the listener over nobody who connects is refused; guests are closed in
//! between, and who waits to be accepted is accepted by the server. Bounds are those of the server (RESP-BOUND, RESP-FLOW): so many guests,
//! so much memory for the buffers of all, a turn that ends.
//!
//! * [`Board`]: what is shown; `guest`: the buffers of one client, and what it is answered.

mod board;
mod guest;

pub use board::Board;

use super::clients::Clients;
use super::{MAX_CLIENTS, check_address, failed};
use crate::error::{Error, Result};
use crate::reason::Reason;
use crate::sync::{self, Arc, JoinHandle};
use crate::wire::{Accepted, Listener, Poll, Stream, Waker};
use guest::{After, Guest};
use std::io;
use std::net::SocketAddr;

const LISTENER: usize = 0;
const CLOSE: usize = 1;
const GUESTS: usize = 2;

/// What is read of one guest in a turn.
const READ_BYTES: usize = 16 * 1024;
/// Most connections that a turn accepts.
const ACCEPTED_A_TURN: usize = 256;

/// What a lobby is opened with: the settings of the server that is to follow, under the same names.
#[derive(Clone, Debug)]
pub struct LobbyOptions {
    /// Where clients connect.
    pub listen: SocketAddr,
    /// Whether this may be an address that others can reach.
    pub allow_remote: bool,
    /// Most connections of clients.
    pub max_clients: u32,
    /// Memory for the buffers of all connections.
    pub client_memory: u64,
    /// Seconds of silence after which the operating system tries whether a client is still there; 0: never.
    pub tcp_keepalive: u32,
    /// Whom the node follows, if it is to be a replica.
    pub primary: Option<String>,
}

/// A lobby that is open. It closes when it is dropped.
pub struct Lobby {
    address: SocketAddr,
    board: Arc<Board>,
    close: Waker,
    /// Gone once it was closed.
    thread: Option<JoinHandle<Result<Listener>>>,
}

impl Lobby {
    /// Listens, and tells whoever comes to wait.
    ///
    /// # Errors
    /// `config.no_authentication`, `server.listen_failed`, `process.thread_failed`.
    pub fn open(options: LobbyOptions) -> Result<Lobby> {
        check_address(options.listen, options.allow_remote)?;
        let refused = |error| failed(error).with("address", options.listen);
        let poll = Poll::new().map_err(refused)?;
        let close = Waker::new(&poll, CLOSE).map_err(refused)?;
        let listener = Listener::bind(&poll, LISTENER, options.listen).map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let board = Arc::new(Board::new(address, options.primary.clone()));
        let room = Room::new(options, poll, listener, Arc::clone(&board));
        let thread = sync::spawn("lobby", || room.run())
            .map_err(|error| Error::new(Reason::ProcessThreadFailed).with("thread", "lobby").with("error", error))?;
        Ok(Lobby { address, board, close, thread: Some(thread) })
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Where it is said how far the node is.
    #[must_use]
    pub fn board(&self) -> &Arc<Board> {
        &self.board
    }

    /// Closes the guests' connections, and gives back where clients connect.
    ///
    /// # Errors
    /// `server.poll_failed`.
    pub fn close(mut self) -> Result<Listener> {
        self.end().unwrap_or_else(|| Err(Error::new(Reason::ServerPollFailed).with("error", "closed twice")))
    }

    fn end(&mut self) -> Option<Result<Listener>> {
        let thread = self.thread.take()?;
        Some(
            self.close
                .wake()
                .map_err(poll_failed)
                .and_then(|()| thread.join().expect("the lobby holds its assertions")),
        )
    }
}

impl Drop for Lobby {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.end() {
            log::error!(code = error.reason().name(); "the lobby has failed: {error}");
        }
    }
}

fn poll_failed(error: io::Error) -> Error {
    Error::new(Reason::ServerPollFailed).with("error", error)
}

/// The lobby on its thread.
struct Room {
    options: LobbyOptions,
    poll: Poll,
    listener: Listener,
    board: Arc<Board>,
    clients: Clients,
    places: Vec<Option<Guest>>,
    /// Somebody may wait to be accepted.
    accepting: bool,
    /// The operating system refused a connection; it was said.
    refused: bool,
    closing: bool,
    buffer: Vec<u8>,
}

impl Room {
    fn new(options: LobbyOptions, poll: Poll, listener: Listener, board: Arc<Board>) -> Room {
        let (clients, places, buffer) = (Clients::default(), Vec::new(), vec![0; READ_BYTES]);
        let (accepting, refused, closing) = (false, false, false);
        Room { options, poll, listener, board, clients, places, accepting, refused, closing, buffer }
    }

    fn run(mut self) -> Result<Listener> {
        let mut turned = Ok(());
        while turned.is_ok() && !self.closing {
            turned = self.turn();
        }
        turned.and_then(|()| self.listener.leave(&self.poll)).map_err(poll_failed)?;
        Ok(self.listener)
    }

    fn turn(&mut self) -> io::Result<()> {
        let busy = self.accepting || self.places.iter().flatten().any(Guest::goes_on);
        self.poll.wait(!busy)?;
        for ready in self.poll.ready() {
            match ready.source.checked_sub(GUESTS) {
                None => {
                    self.accepting |= ready.source == LISTENER;
                    self.closing |= ready.source == CLOSE;
                }
                Some(place) => self.places.get_mut(place).into_iter().flatten().for_each(|guest| guest.ready(ready)),
            }
        }
        self.accept();
        for place in 0..self.places.len() {
            self.turn_of(place);
        }
        self.bound_memory();
        Ok(())
    }

    fn accept(&mut self) {
        for _ in 0..ACCEPTED_A_TURN {
            if !self.accepting {
                return;
            }
            match self.listener.accept() {
                Ok(Accepted::Connection(stream, address)) => self.enter(stream, address),
                Ok(Accepted::Gone) => {}
                Ok(Accepted::Nobody) => self.accepting = false,
                Err(error) => self.wait_for_room(&error),
            }
        }
    }

    /// The operating system has no room for another connection: it is tried again when somebody goes or comes.
    fn wait_for_room(&mut self, error: &io::Error) {
        self.accepting = false;
        if !std::mem::replace(&mut self.refused, true) {
            let (code, open) = (Reason::ServerListenFailed.name(), self.clients.len());
            log::error!(code, open; "connections wait until others have gone: {error}");
        }
    }

    fn enter(&mut self, mut stream: Stream, address: SocketAddr) {
        if self.clients.len() >= self.options.max_clients as usize {
            // Whoever does not take it at once is not told.
            let _ = stream.write(MAX_CLIENTS);
            return;
        }
        let place = self.places.iter().position(Option::is_none).unwrap_or(self.places.len());
        let local = stream.local_addr().map_or_else(|_| String::new(), |address| address.to_string());
        let alive = stream.keep_alive(self.options.tcp_keepalive);
        if let Err(error) = alive.and_then(|()| stream.register(&self.poll, GUESTS + place)) {
            return self.wait_for_room(&error);
        }
        self.refused = false;
        let guest = Guest::new(self.clients.enter(address.to_string(), local), stream);
        if place == self.places.len() {
            self.places.push(None);
        }
        self.places[place] = Some(guest);
    }

    fn turn_of(&mut self, place: usize) {
        let Room { options, board, clients, places, buffer, .. } = self;
        let Some(guest) = &mut places[place] else { return };
        let after = guest.turn(&mut guest::Around { board, clients, options }, buffer);
        if let Ok(After::Stays) = after {
            if let Some(client) = clients.get_mut(guest.id()) {
                (client.input_bytes, client.output_bytes) = guest.buffered();
            }
        } else {
            self.leave(place);
        }
    }

    /// Closes who holds most, until the guests together hold no more than they may.
    fn bound_memory(&mut self) {
        let held = |guest: &Guest| guest.buffered().0 + guest.buffered().1;
        while self.places.iter().flatten().map(held).sum::<usize>() as u64 > self.options.client_memory {
            let guests = self.places.iter_mut().enumerate();
            let seated = guests.filter_map(|(place, guest)| Some((place, guest.as_mut()?)));
            let Some((place, guest)) = seated.max_by_key(|(_, guest)| held(guest)) else { return };
            guest.say_farewell();
            self.leave(place);
        }
    }

    fn leave(&mut self, place: usize) {
        if let Some(guest) = self.places[place].take() {
            self.clients.leave(guest.id());
            // There is room for another file.
            self.accepting |= self.refused;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_machines_are_told_nothing_without_an_order() {
        let options = LobbyOptions {
            listen: SocketAddr::from(([0, 0, 0, 0], 0)),
            allow_remote: false,
            max_clients: 1,
            client_memory: 1 << 20,
            tcp_keepalive: 0,
            primary: None,
        };
        assert_eq!(Lobby::open(options).err().unwrap().reason(), Reason::ConfigNoAuthentication);
    }
}
