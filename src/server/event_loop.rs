//! The turns of the loop: who is ready, who is accepted, who is served, who is closed.
//!
//! ```text
//!  poll ─► accept ─► outcomes ─► execute for all that are queued ─► hand over the bundle ─► send to all of them ─► poll
//! ```
//!
//! The committer works while replies are sent. A connection is queued for the next turn when something happened to it, or when it was
//! cut off in this one. The poll sleeps only if nobody is queued, and only after the loop asked to be woken and looked once more.
//!
//! No step waits. What a turn does for one connection is bounded, so a turn ends, and every connection gets its own.
//!
//! Memory is counted after each connection of a turn: once all hold too much, whoever is left has the next turn, behind the send and the
//! closing that make room. What clients that are gone have ordered is nobody's to give back: while it is too much nothing is executed for
//! anybody, until the committer has answered it.

use super::bell::Bell;
use super::connection::{After, Connection};
use super::feeds::{self, Feeds};
use super::orders::{Answered, Orders, Owner};
use super::session::{Service, Session};
use super::{MAX_CLIENTS, Stop, farewell};
use crate::commit_id::CommitId;
use crate::reason::Reason;
use crate::sync::Arc;
use crate::wire::{Accepted, Listener, Pipe, Poll, Stream};
use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;

/// Names of the sources that are no connections; those follow, by their places.
pub(super) const LISTENER: usize = 0;
pub(super) const WAKER: usize = 1;
pub(super) const REQUESTS_TO_END: usize = 2;
pub(super) const REPLICAS: usize = 3;
const CONNECTIONS: usize = REPLICAS + feeds::SOURCES;

/// What a turn reads from one connection.
const READ_BYTES: usize = 64 * 1024;
/// Most connections that a turn accepts.
const ACCEPTED_A_TURN: usize = 256;

/// A connection in its place.
struct Seat {
    connection: Connection,
    /// It has a turn.
    queued: bool,
    /// Its part of the memory that is counted.
    bytes: usize,
}

/// Why a connection is closed.
enum Closed {
    /// It has nothing more to do, or its client is gone.
    Ended,
    /// It holds most of the memory, of which all together hold too much.
    Memory,
}

/// The loop.
pub(super) struct EventLoop {
    poll: Poll,
    /// Gone once the server ends.
    listener: Option<Listener>,
    /// Stays in the poll as long as it is here.
    _requests_to_end: Option<Pipe>,
    asked_to_end: bool,
    bell: Arc<Bell>,
    service: Service,
    seats: Vec<Option<Seat>>,
    free: Vec<usize>,
    /// Who has a turn.
    queue: Vec<usize>,
    /// Whom a full bundle holds.
    held: Vec<usize>,
    /// Who waits for a commit.
    parked: BTreeSet<(CommitId, usize)>,
    orders: Orders,
    /// Memory of the orders under way whose clients are gone; a part of what is counted.
    orphaned_bytes: usize,
    /// Somebody may wait to be accepted.
    accepting: bool,
    /// The operating system refused a connection; it was said.
    refused: bool,
    /// There were more clients than there may be; it was said.
    full: bool,
    buffer: Vec<u8>,
}

impl EventLoop {
    pub(super) fn new(
        service: Service,
        poll: Poll,
        listener: Listener,
        requests_to_end: Option<Pipe>,
        bell: Arc<Bell>,
    ) -> EventLoop {
        // The database may outlive the server: it must not keep it.
        let told = Arc::downgrade(&bell);
        service.options.database.on_publish(move || told.upgrade().iter().for_each(|bell| bell.published()));
        let event_loop = EventLoop {
            poll,
            listener: Some(listener),
            _requests_to_end: requests_to_end,
            asked_to_end: false,
            orders: Orders::new(Arc::clone(&bell)),
            bell,
            service,
            seats: Vec::new(),
            free: Vec::new(),
            queue: Vec::new(),
            held: Vec::new(),
            parked: BTreeSet::new(),
            orphaned_bytes: 0,
            accepting: false,
            refused: false,
            full: false,
            buffer: vec![0; READ_BYTES],
        };
        // Before anybody can be served: who looks finds a node that serves nobody, and no node that is not there.
        event_loop.show();
        event_loop
    }

    /// Serves until it is asked to end, or can no longer be told who is ready. It ends in the same way then.
    ///
    /// # Errors
    /// The operating system ended the poll.
    pub(super) fn run(&mut self) -> io::Result<Stop> {
        let mut turned = Ok(());
        while turned.is_ok() && !self.asked_to_end && !self.bell.is_to_end() {
            turned = self.turn();
        }
        self.end();
        turned.map(|()| if self.asked_to_end { Stop::Asked } else { Stop::Stopped })
    }

    fn turn(&mut self) -> io::Result<()> {
        self.wait()?;
        self.accept();
        self.feed();
        self.take_outcomes();
        self.wake_parked();
        let turn = self.execute();
        self.hand_over();
        self.send(&turn);
        self.bound_memory();
        self.show();
        Ok(())
    }

    /// Shows other threads what came of the turn, if any of them looks.
    fn show(&self) {
        let Service { options, clients, counters, feeds, .. } = &self.service;
        if let Some(window) = &options.window {
            window.show(counters, clients.len(), feeds.as_ref());
        }
    }

    /// Waits until something is ready, and queues whom it concerns.
    fn wait(&mut self) -> io::Result<()> {
        let idle = (self.queue.is_empty() || self.waits_for_orphans()) && !self.accepting;
        let sleep = idle && self.bell.listen_for_outcomes() && self.may_stay_parked() && self.feeds_may_sleep();
        let pause = self.service.feeds.as_ref().and_then(Feeds::pause);
        self.poll.wait_nanoseconds(if sleep { pause } else { Some(0) })?;
        self.bell.stop_listening();
        for ready in self.poll.ready() {
            let Some(place) = ready.source.checked_sub(CONNECTIONS) else {
                self.accepting |= ready.source == LISTENER;
                self.asked_to_end |= ready.source == REQUESTS_TO_END;
                self.service.feeds.iter_mut().for_each(|feeds| feeds.ready(ready));
                continue;
            };
            if let Some(Some(seat)) = self.seats.get_mut(place)
                && seat.connection.ready(ready)
            {
                enqueue(&mut self.queue, place, seat);
            }
        }
        Ok(())
    }

    /// Gives the replicas their turn.
    fn feed(&mut self) {
        let Service { feeds, options, counters, .. } = &mut self.service;
        if let Some(feeds) = feeds {
            let left = feeds.turn(&self.poll, &options.database.extent(), counters);
            // There is room for another file.
            self.accepting |= left && self.refused;
        }
    }

    /// Asks to be woken for the replicas that wait for more log; whether none of them can go on yet.
    fn feeds_may_sleep(&self) -> bool {
        let Some(feeds) = &self.service.feeds else { return true };
        if feeds.is_parked() {
            self.bell.listen_for_commits();
        }
        feeds.may_sleep(&self.service.options.database.extent())
    }

    /// Asks to be woken for whoever waits for a commit; whether nobody can go on yet.
    fn may_stay_parked(&mut self) -> bool {
        let Some((first, _)) = self.parked.first() else { return true };
        self.bell.listen_for_commits();
        let options = &self.service.options;
        options.database.published() < *first && options.may_come(*first).is_ok()
    }

    /// Queues who waited for a commit that can be read now, or that will never be made.
    fn wake_parked(&mut self) {
        let Some((first, _)) = self.parked.first() else { return };
        let options = &self.service.options;
        let readable = if options.may_come(*first).is_err() { CommitId::MAX } else { options.database.published() };
        while let Some((_, place)) = self.parked.first().copied().filter(|(commit, _)| *commit <= readable) {
            self.parked.pop_first();
            if let Some(seat) = &mut self.seats[place] {
                seat.connection.wake();
                enqueue(&mut self.queue, place, seat);
            }
        }
    }

    fn take_outcomes(&mut self) {
        for Answered { owner: Owner { place, client }, bytes, outcome } in self.orders.outcomes() {
            if let Some(seat) = self.seats[place].as_mut().filter(|seat| seat.connection.client() == client) {
                seat.connection.answered(bytes, outcome);
                enqueue(&mut self.queue, place, seat);
            } else {
                // Whoever is gone is told nothing.
                self.orphaned_bytes -= bytes;
                self.service.counters.buffer_bytes -= bytes;
            }
        }
    }

    /// Accepts who waits, unless the operating system has no room for another: then again when somebody has gone, or has come.
    fn accept(&mut self) {
        for _ in 0..ACCEPTED_A_TURN {
            let Some(listener) = self.listener.as_ref().filter(|_| self.accepting) else { return };
            match listener.accept() {
                Ok(Accepted::Connection(stream, address)) => self.enter(stream, address),
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
            let open = self.service.clients.len();
            log::error!(code = code.name(), open; "connections wait until others have gone: {error}");
        }
    }

    fn enter(&mut self, mut stream: Stream, address: SocketAddr) {
        let Service { clients, counters, options, .. } = &mut self.service;
        if clients.len() >= options.max_clients as usize {
            counters.connections_refused += 1;
            if !std::mem::replace(&mut self.full, true) {
                let code = Reason::ClientTooMany;
                log::warn!(code = code.name(), open = clients.len(); "connections are refused until others have gone");
            }
            // Whoever does not take it at once is not told.
            let _ = stream.write(MAX_CLIENTS);
            return;
        }
        let place = self.free.pop().unwrap_or(self.seats.len());
        let local = stream.local_addr().map_or_else(|_| String::new(), |address| address.to_string());
        let alive = stream.keep_alive(options.tcp_keepalive);
        if let Err(error) = alive.and_then(|()| stream.register(&self.poll, CONNECTIONS + place)) {
            self.free.push(place);
            return self.refuse_connections(&error);
        }
        (self.refused, self.full) = (false, false);
        counters.connections_accepted += 1;
        let client = clients.enter(address.to_string(), local);
        let connection = Connection::new(client, stream, Session::new(client));
        if place == self.seats.len() {
            self.seats.push(None);
        }
        self.seats[place] = Some(Seat { connection, queued: false, bytes: 0 });
    }

    /// Executes for all that are queued, or until all hold too much; whose turn it was. The others stay queued.
    fn execute(&mut self) -> Vec<usize> {
        let mut turn = std::mem::take(&mut self.queue);
        let mut executed = 0;
        while executed < turn.len() && !self.holds_too_much() {
            self.execute_for(turn[executed]);
            executed += 1;
        }
        self.queue = turn.split_off(executed);
        self.service.counters.waiting_for_commit = self.parked.len();
        turn
    }

    fn execute_for(&mut self, place: usize) {
        let Some(seat) = &mut self.seats[place] else { return };
        seat.queued = false;
        let owner = Owner { place, client: seat.connection.client() };
        let parked = seat.connection.until();
        let was_held = seat.connection.is_held();
        let executed = seat.connection.execute(owner, &mut self.service.context(), &mut self.orders, &mut self.buffer);
        if let Some(commit) = parked {
            self.parked.remove(&(commit, place));
        }
        if let Some(commit) = seat.connection.until() {
            self.parked.insert((commit, place));
        }
        if seat.connection.is_held() && !was_held {
            self.held.push(place);
        }
        let counters = &mut self.service.counters;
        match executed {
            Ok(executed) => {
                counters.requests += executed.requests as u64;
                counters.bytes_in += executed.read as u64;
                if executed.malformed && counters.connections_closed_for_protocol == 0 {
                    let code = Reason::ClientMalformed;
                    log::warn!(code = code.name(), client:% = owner.client; "closed: what it sent is no request; from here on INFO counts them");
                }
                counters.connections_closed_for_protocol += u64::from(executed.malformed);
            }
            Err(_) => return self.close(place, Closed::Ended),
        }
        self.count(place);
    }

    /// Counts what a connection holds now.
    fn count(&mut self, place: usize) {
        let Some(seat) = &mut self.seats[place] else { return };
        let bytes = seat.connection.bytes();
        let counted = &mut self.service.counters.buffer_bytes;
        *counted = *counted - std::mem::replace(&mut seat.bytes, bytes) + bytes;
    }

    /// Hands over what the turn ordered, and lets go on whom a full bundle held.
    fn hand_over(&mut self) {
        let orders = self.orders.hand_over(&self.service.options.database);
        if orders == 0 {
            return;
        }
        self.service.counters.orders += orders as u64;
        self.service.counters.bundles += 1;
        let Self { held, seats, queue, orders, .. } = self;
        held.retain(|&place| {
            let Some(seat) = &mut seats[place] else { return false };
            let released = seat.connection.release(Owner { place, client: seat.connection.client() }, orders);
            if released {
                enqueue(queue, place, seat);
            }
            !released
        });
    }

    fn send(&mut self, turn: &[usize]) {
        for &place in turn {
            let Some(seat) = &mut self.seats[place] else { continue };
            match seat.connection.send() {
                Ok((After::Close, _)) | Err(_) => {
                    self.close(place, Closed::Ended);
                    continue;
                }
                Ok((after, bytes)) => {
                    self.service.counters.bytes_out += bytes as u64;
                    if after == After::Again {
                        enqueue(&mut self.queue, place, seat);
                    }
                }
            }
            if let Some(client) = self.service.clients.get_mut(seat.connection.client()) {
                (client.input_bytes, client.output_bytes) = seat.connection.buffered();
            }
            self.count(place);
        }
    }

    fn memory_max(&self) -> usize {
        usize::try_from(self.service.options.client_memory).unwrap_or(usize::MAX)
    }

    /// Whether all together hold more than they may.
    fn holds_too_much(&self) -> bool {
        self.service.counters.buffer_bytes > self.memory_max()
    }

    /// Whether nothing can go on until orders of clients that are gone are answered.
    fn waits_for_orphans(&self) -> bool {
        self.orphaned_bytes > 0 && self.holds_too_much()
    }

    /// Closes who holds most, until the connections together hold no more than they may. What they ordered stays until it is answered.
    fn bound_memory(&mut self) {
        while self.service.counters.buffer_bytes - self.orphaned_bytes > self.memory_max() {
            let seats = self.seats.iter().enumerate().filter_map(|(place, seat)| Some((seat.as_ref()?.bytes, place)));
            let Some((_, largest)) = seats.max() else { break };
            self.close(largest, Closed::Memory);
        }
    }

    fn close(&mut self, place: usize, why: Closed) {
        let Some(Seat { mut connection, bytes, .. }) = self.seats[place].take() else { return };
        if let Closed::Memory = why {
            connection.say_farewell(&farewell(connection.client(), bytes));
            self.service.counters.connections_closed_for_memory += 1;
        }
        if let Some(commit) = connection.until() {
            self.parked.remove(&(commit, place));
        }
        if connection.is_held() {
            self.held.retain(|&held| held != place);
        }
        let orphaned = connection.under_way_bytes();
        self.orphaned_bytes += orphaned;
        self.service.counters.buffer_bytes -= bytes;
        self.service.counters.buffer_bytes += orphaned;
        self.service.clients.leave(connection.client());
        self.free.push(place);
        // There is room for another file.
        self.accepting |= self.refused;
        self.service.feeds.iter_mut().for_each(feeds::Feeds::file_is_free);
    }

    /// Ends: what was ordered is answered, and what the clients take at once is sent. Nothing of it needs the poll, which may have failed.
    fn end(&mut self) {
        self.listener = None;
        self.service.feeds = None;
        self.parked.clear();
        while !self.orders.is_idle() {
            self.hand_over();
            self.bell.wait_for_outcomes();
            self.take_outcomes();
        }
        for seat in self.seats.iter_mut().flatten() {
            // Whoever is gone is told nothing.
            let _ = seat.connection.finish(&mut self.service.context());
        }
    }
}

fn enqueue(queue: &mut Vec<usize>, place: usize, seat: &mut Seat) {
    if !std::mem::replace(&mut seat.queued, true) {
        queue.push(place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::Database;
    use crate::disk::SimDisk;
    use crate::recovery::{self, Init};
    use crate::server::{Options, Server};
    use crate::wire::blocking::Connection as Client;
    use std::path::Path;

    #[test]
    fn where_the_poll_fails_what_was_ordered_is_answered_and_the_end_has_its_own_reason_resp_end() {
        let (disk, dir) = (Arc::new(SimDisk::new()), Path::new("/db"));
        Database::init(&Init { disk: disk.clone(), ..Init::standalone(dir) }).unwrap();
        let database = Arc::new(Database::open(recovery::Options { disk, ..recovery::Options::new(dir) }).unwrap());
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut server = Server::bind(Options { listen, ..Options::new(Arc::clone(&database)) }).unwrap();
        let mut client = Client::open(&server.local_addr().to_string()).unwrap();
        client.send(b"SET k v\r\nGET k\r\n").unwrap();
        while server.event_loop.orders.is_idle() {
            server.event_loop.turn().unwrap();
        }
        server.event_loop.poll.fail();
        let failed = server.run().unwrap_err();
        assert_eq!((failed.reason(), failed.reason().number()), (Reason::ServerPollFailed, 97));
        assert_eq!(failed.fact("error"), Some("Invalid argument (os error 22)"));
        let (mut told, mut buffer) = (Vec::new(), [0; 64]);
        while let received @ 1.. = client.receive(&mut buffer).unwrap() {
            told.extend_from_slice(&buffer[..received]);
        }
        assert_eq!(String::from_utf8_lossy(&told), "+OK\r\n$1\r\nv\r\n");
    }
}
