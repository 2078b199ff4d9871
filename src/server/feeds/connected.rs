//! All connections of replicas: who comes, who has a turn, who is gone.
//!
//! Seats are bounded. A connection that has not said who it is, or that it has a directory, has no claim to one: where all are taken, the oldest of those that are not
//! served gives way, so silent connections keep no replica out, and no clock has to tell them apart.

use super::pace::Pace;
use super::seat::Seat;
use super::{Replica, SEATS};
use crate::clock::Stopwatch;
use crate::error::{Error, Result};
use crate::feeder::Source;
use crate::feeder::machine::State;
use crate::frame::Purpose;
use crate::identity::Role;
use crate::limits;
use crate::reason::Reason;
use crate::server::Options;
use crate::server::counters::Counters;
use crate::sync::Arc;
use crate::wal::Extent;
use crate::wire::{Accepted, Listener, Poll, Ready, Stream};
use std::io;
use std::net::SocketAddr;

/// What a turn reads from one replica.
const READ_BYTES: usize = 16 * 1024;
/// Most connections that a turn accepts.
const ACCEPTED_A_TURN: usize = 16;

/// The replicas that are connected.
pub struct Feeds {
    /// The name of the listener in the poll; those of the seats follow.
    name: usize,
    listener: Listener,
    address: SocketAddr,
    tcp_keepalive: u32,
    source: Arc<Source>,
    /// How much snapshots may take, if that is bounded.
    pace: Option<Pace>,
    /// What time it is, in nanoseconds: it paces snapshots, and decides nothing.
    now: Box<dyn Fn() -> u64 + Send>,
    /// Who is connected, and how many had come before.
    seats: Vec<Option<(u64, Seat)>>,
    /// Whose turn is the first.
    first: usize,
    /// Somebody may wait to be accepted.
    accepting: bool,
    /// The operating system refused a connection; it was said.
    refused: bool,
    /// Somebody has gone in this turn.
    left: bool,
    buffer: Vec<u8>,
}

impl Feeds {
    /// Listens for the replicas of the server's database, under this name and those behind it.
    ///
    /// # Errors
    /// `identity.other_role`, `server.listen_failed`.
    pub(in crate::server) fn bind(poll: &Poll, name: usize, listen: SocketAddr, options: &Options) -> Result<Feeds> {
        let Options { database, tcp_keepalive, serve_rate, .. } = options;
        let identity = *database.identity();
        if identity.role != Role::Primary {
            let refused = Error::new(Reason::IdentityOtherRole).with("expected", Role::Primary);
            return Err(refused.with("found", identity.role));
        }
        let refused =
            |error: io::Error| Error::new(Reason::ServerListenFailed).with("error", error).with("address", listen);
        let listener = Listener::bind(poll, name, listen).map_err(refused)?;
        let running = Stopwatch::start();
        let address = listener.local_addr().map_err(refused)?;
        Ok(Feeds {
            name,
            listener,
            address,
            tcp_keepalive: *tcp_keepalive,
            source: Arc::new(Source::new(identity, database.log().clone(), database.store())),
            pace: serve_rate.map(Pace::new),
            now: Box::new(move || running.nanoseconds()),
            seats: Vec::new(),
            first: 0,
            accepting: false,
            refused: false,
            left: false,
            buffer: vec![0; READ_BYTES],
        })
    }

    /// Where it listens.
    pub(in crate::server) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Who is served, in the order of the seats.
    pub(in crate::server) fn replicas(&self) -> impl Iterator<Item = Replica> + '_ {
        let served = self.seats.iter().flatten().filter(|(_, seat)| seat.is_served());
        served.filter_map(|(_, seat)| {
            let session = seat.session();
            Some(Replica {
                address: seat.address(),
                node: session.replica()?,
                purpose: session.purpose()?.name(),
                state: session.state().name(),
                sent: session.sent().0,
                asked: session.asked().0,
                bytes: session.snapshot_bytes(),
                held_bytes: seat.held_bytes(),
            })
        })
    }

    /// What the poll said of the listener or of a connection.
    pub(in crate::server) fn ready(&mut self, ready: Ready) {
        let Some(source) = ready.source.checked_sub(self.name) else { return };
        match source.checked_sub(1) {
            None => self.accepting = true,
            Some(place) => {
                if let Some(Some((_, seat))) = self.seats.get_mut(place) {
                    seat.ready(ready);
                }
            }
        }
    }

    /// Accepts who waits, and gives every connection its turn; whether one was closed. What all are sent is bounded, because clients wait as long: whoever had less
    /// than a turn for that is the first of the next one.
    pub(in crate::server) fn turn(&mut self, poll: &Poll, extent: &Extent, counters: &mut Counters) -> bool {
        self.left = false;
        self.accept(poll, counters);
        self.look(extent, counters);
        let share = self.share(extent);
        let mut left = limits::REPLICAS_TURN_BYTES;
        let mut cut = None;
        for step in 0..self.seats.len() {
            let place = (self.first + step) % self.seats.len();
            let Some((_, seat)) = self.seats[place].as_ref().filter(|(_, seat)| self.has_more(seat, extent)) else {
                continue;
            };
            let before = seat.session().state();
            let full = before == State::AwaitingHello && self.followers() >= limits::REPLICAS_MAX;
            let Some((_, seat)) = &mut self.seats[place] else { continue };
            let by_turn = left.min(limits::REPLICA_TURN_BYTES);
            let paced = self.pace.as_ref().map_or(usize::MAX, |pace| share.min(pace.left()));
            let sent = seat.turn(extent, full, &mut self.buffer, by_turn, paced);
            tell(before, seat, counters);
            match sent {
                Ok(bytes) => {
                    counters.replication_bytes_out += bytes as u64;
                    left -= bytes;
                    if seat.is_paced() {
                        self.pace.iter_mut().for_each(|pace| pace.take(bytes));
                    }
                    if bytes == by_turn && by_turn < limits::REPLICA_TURN_BYTES {
                        cut.get_or_insert(place);
                    }
                }
                Err(error) => self.close(place, &error),
            }
        }
        self.first = cut.unwrap_or(self.first);
        self.left
    }

    /// Whether somebody waits for more log.
    pub(in crate::server) fn is_parked(&self) -> bool {
        self.seats.iter().flatten().any(|(_, seat)| seat.session().state() == State::Parked)
    }

    /// Whether nobody can go on.
    pub(in crate::server) fn may_sleep(&self, extent: &Extent) -> bool {
        !self.accepting && !self.seats.iter().flatten().any(|(_, seat)| self.has_more(seat, extent))
    }

    /// After how many nanoseconds a snapshot goes on that is only paced, if there may be one (SNAP-RATE).
    pub(in crate::server) fn pause(&self) -> Option<u64> {
        let pace = self.pace.as_ref().filter(|pace| pace.left() == 0)?;
        let paced = self.seats.iter().flatten().any(|(_, seat)| seat.is_paced());
        paced.then(|| pace.pause((self.now)()))
    }

    /// Whether a turn would do something for this one.
    fn has_more(&self, seat: &Seat, extent: &Extent) -> bool {
        let spent = self.pace.as_ref().is_some_and(|pace| pace.left() == 0);
        seat.has_more(extent, spent && seat.is_paced())
    }

    /// What each snapshot may be sent in this turn: of what all of them may, the same for each that takes any.
    fn share(&mut self, extent: &Extent) -> usize {
        let Some(pace) = &mut self.pace else { return usize::MAX };
        pace.go_on((self.now)());
        let taking = self.seats.iter().flatten().filter(|(_, seat)| seat.is_paced() && seat.has_output(extent)).count();
        pace.left().div_ceil(taking.max(1))
    }

    /// Ends the snapshots that have gone, also of those who take nothing: others may begin in their place.
    fn look(&mut self, extent: &Extent, counters: &mut Counters) {
        for (_, seat) in self.seats.iter_mut().flatten() {
            let before = seat.session().state();
            seat.look(extent);
            if seat.session().state() != before {
                tell(before, seat, counters);
            }
        }
    }

    fn followers(&self) -> usize {
        self.seats.iter().flatten().filter(|(_, seat)| seat.follows()).count()
    }

    fn accept(&mut self, poll: &Poll, counters: &mut Counters) {
        for _ in 0..ACCEPTED_A_TURN {
            if !self.accepting {
                return;
            }
            match self.listener.accept() {
                Ok(Accepted::Connection(stream, address)) => {
                    counters.replica_connections += 1;
                    if let Err(error) = self.enter(poll, stream, address) {
                        self.refuse_connections(&error);
                    }
                }
                Ok(Accepted::Gone) => {}
                Ok(Accepted::Nobody) => self.accepting = false,
                Err(error) => self.refuse_connections(&error),
            }
        }
    }

    fn enter(&mut self, poll: &Poll, stream: Stream, address: SocketAddr) -> io::Result<()> {
        // Whoever waits for more log says nothing, and nothing is said to it: only the operating system finds that its machine is gone.
        stream.keep_alive(self.tcp_keepalive)?;
        // Whoever takes nothing of what is on its way holds a seat, and a pin, for nobody.
        stream.give_up(self.tcp_keepalive)?;
        let place = self.free_place();
        let seat = Seat::new(stream, address, &self.source, poll, self.name + 1 + place)?;
        self.refused = false;
        let come = self.seats.iter().flatten().map(|(number, _)| *number + 1).max();
        let entered = Some((come.unwrap_or(0), seat));
        match self.seats.get_mut(place) {
            Some(free) => *free = entered,
            None => self.seats.push(entered),
        }
        Ok(())
    }

    /// A place for another connection. Where there is none, the oldest that is not served leaves.
    fn free_place(&mut self) -> usize {
        let free = self.seats.iter().position(Option::is_none);
        free.unwrap_or_else(|| {
            if self.seats.len() < SEATS {
                return self.seats.len();
            }
            let taken = self.seats.iter().enumerate().filter_map(|(place, seat)| Some((seat.as_ref()?, place)));
            let idle = taken.filter(|((_, seat), _)| !seat.is_served());
            let (_, place) = idle.min_by_key(|((number, _), _)| *number).expect("there are more seats than are served");
            self.close(place, &io::ErrorKind::ConnectionAborted.into());
            place
        })
    }

    fn refuse_connections(&mut self, error: &io::Error) {
        self.accepting = false;
        if !std::mem::replace(&mut self.refused, true) {
            let code = Reason::ServerListenFailed;
            log::error!(code = code.name(); "replicas wait until others have gone: {error}");
        }
    }

    fn close(&mut self, place: usize, why: &io::Error) {
        if let Some((_, seat)) = self.seats.get_mut(place).and_then(Option::take)
            && seat.is_served()
        {
            let (address, node, sent) = (seat.address(), shown(&seat), seat.session().sent());
            log::info!(address:%, node:%, sent:%; "a replica is gone: {why}");
        }
        self.left = true;
        self.file_is_free();
    }

    /// There is room for another file: whoever the operating system refused may come in.
    pub(in crate::server) fn file_is_free(&mut self) {
        self.accepting |= self.refused;
    }
}

/// Tells in the log what became of a replica in a turn.
fn tell(before: State, seat: &Seat, counters: &mut Counters) {
    let session = seat.session();
    let (address, node) = (seat.address(), shown(seat));
    match (before, session.state()) {
        (State::AwaitingHello, State::AwaitingHello) | (State::Ended, _) => {}
        (_, State::Ended) => {
            counters.replicas_refused += 1;
            let Some(refusal) = session.refusal() else { return };
            let code = refusal.reason();
            // What is wrong with this node's own files is not only the replica's business.
            let own = ["disk.", "wal.", "store."].iter().any(|family| code.name().starts_with(family));
            let level = if own { log::Level::Error } else { log::Level::Info };
            log::log!(level, code = code.name(), address:%, node:%; "a replica is refused: {refusal}");
        }
        (State::AwaitingHello, _) => {
            let (position, purpose) = (session.sent(), session.purpose().map_or("unknown", Purpose::name));
            log::info!(address:%, node:%, purpose, position:%; "a replica is welcome");
        }
        (State::Copying, State::Copied) => log::info!(address:%, node:%; "a snapshot is sent"),
        _ => {}
    }
}

fn shown(seat: &Seat) -> String {
    seat.session().replica().map_or_else(|| "unknown".to_owned(), |node| node.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Batch;
    use crate::database::Database;
    use crate::disk::SimDisk;
    use crate::frame::{Fetch, Frame, Hello, VERSION};
    use crate::id::Id;
    use crate::position::Position;
    use crate::published::Fact;
    use crate::record;
    use crate::recovery::{self, Init};
    use std::path::Path;

    /// A primary with a log of so many bytes at least.
    fn primary(bytes: u64) -> Arc<Database> {
        let (disk, dir) = (Arc::new(SimDisk::new()), Path::new("/db"));
        let init = Init { disk: disk.clone(), role: Role::Primary, ..Init::standalone(dir) };
        Database::init(&init).unwrap();
        let database = Database::open(recovery::Options { disk, ..recovery::Options::new(dir) }).unwrap();
        while database.extent().durable.position.0 < bytes {
            let mut batch = Batch::new();
            batch.put(b"key", &vec![7; 1 << 20]).unwrap();
            database.commit(batch).unwrap();
        }
        Arc::new(database)
    }

    /// A replica by hand, and what it says first: that it wants all of the log.
    fn replica(poll: &Poll, name: usize, feeds: &Feeds, upto: u64) -> (Stream, Vec<u8>) {
        let mut stream = Stream::connect(&feeds.address().to_string()).unwrap();
        stream.register(poll, name).unwrap();
        let identity = feeds.source.identity();
        let hello = Hello {
            versions: (VERSION, VERSION),
            purpose: Purpose::Follow,
            database_id: identity.database_id,
            node_id: Id([0x5e; 16]),
            epoch: identity.epoch,
            shape: identity.parameters.into(),
            validated: record::genesis(identity.database_id, identity.epoch),
        };
        let mut said = Vec::new();
        Frame::Hello(hello).encode(&mut said);
        Frame::Fetch(Fetch { from: Position::GENESIS, upto: Position(upto) }).encode(&mut said);
        (stream, said)
    }

    #[test]
    fn a_refusal_for_which_a_turn_has_no_room_is_sent_in_the_next_one_r_divergence() {
        let database = primary(0);
        let extent = database.extent();
        let mut poll = Poll::new().unwrap();
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut feeds = Feeds::bind(&poll, 0, listen, &Options::new(database)).unwrap();
        let (mut stream, _) = replica(&poll, 1000, &feeds, 1);
        stream.write(&[0xff; 16]).unwrap();
        while feeds.seats.is_empty() {
            poll.wait(true).unwrap();
            poll.ready().for_each(|ready| feeds.ready(ready));
            feeds.accept(&poll, &mut Counters::default());
        }
        let mut buffer = [0; 4096];
        let (_, seat) = feeds.seats[0].as_mut().unwrap();
        while seat.session().state() != State::Ended {
            poll.wait(true).unwrap();
            poll.ready().filter(|ready| ready.source == 1).for_each(|ready| seat.ready(ready));
            assert_eq!(seat.turn(&extent, false, &mut buffer, 0, 0).unwrap(), 0);
        }
        assert!(seat.has_more(&extent, false));
        assert!(seat.turn(&extent, false, &mut buffer, 4096, 0).unwrap() > 0);
        let mut told = Vec::new();
        loop {
            match stream.read(&mut buffer).unwrap() {
                Some(0) => break,
                Some(bytes) => told.extend_from_slice(&buffer[..bytes]),
                None => poll.wait(true).unwrap(),
            }
        }
        let Some((Frame::Refuse(refuse), _)) = Frame::decode(&told).unwrap() else { panic!("{told:?}") };
        assert_eq!(refuse.reason, u16::from(Reason::ProtocolMalformed.number()));
    }

    #[test]
    fn what_a_turn_sends_is_bounded_over_all_replicas_and_none_of_them_is_passed_over_wire_bound() {
        const REPLICAS: usize = 24;
        const LOG: u64 = 8 << 20;
        let database = primary(LOG);
        let mut poll = Poll::new().unwrap();
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut feeds = Feeds::bind(&poll, 0, listen, &Options::new(Arc::clone(&database))).unwrap();
        let mut replicas: Vec<_> = (0..REPLICAS).map(|at| replica(&poll, 1000 + at, &feeds, LOG)).collect();
        for (stream, said) in &mut replicas {
            assert_eq!(stream.write(said).unwrap(), Some(said.len()));
        }
        let (extent, mut counters, mut buffer) = (database.extent(), Counters::default(), vec![0; 1 << 20]);
        loop {
            poll.wait(feeds.may_sleep(&extent)).unwrap();
            poll.ready().for_each(|ready| feeds.ready(ready));
            let before = counters.replication_bytes_out;
            feeds.turn(&poll, &extent, &mut counters);
            assert!(counters.replication_bytes_out - before <= limits::REPLICAS_TURN_BYTES as u64);
            // Each reads all that there is.
            for (stream, _) in &mut replicas {
                while let Some(1..) = stream.read(&mut buffer).unwrap() {}
            }
            let sent: Vec<u64> = feeds.replicas().map(|replica| replica.sent).collect();
            if let (Some(least), Some(most)) = (sent.iter().min(), sent.iter().max())
                && sent.len() == REPLICAS
            {
                assert!(most - least <= 3 * limits::REPLICA_TURN_BYTES as u64, "{sent:?}");
                if *least == LOG {
                    return;
                }
            }
        }
    }

    /// SNAP-RATE: two snapshots share the rate, and both come to their end: of each tenth of a second its part and no more, however often the loop turns in
    /// it; a follower beside them is not paced. Time goes on when the test says so.
    #[test]
    fn what_snapshots_are_sent_is_paced_and_nothing_else_snap_rate() {
        const LOG: u64 = 1 << 20;
        const RATE: u64 = 2 << 20;
        const TENTH: u64 = 100_000_000;
        let database = primary(LOG);
        database.checkpoint().unwrap();
        let mut poll = Poll::new().unwrap();
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let options = Options { serve_rate: Some(RATE), ..Options::new(Arc::clone(&database)) };
        let mut feeds = Feeds::bind(&poll, 0, listen, &options).unwrap();
        let mut copies: Vec<_> = (0..2)
            .map(|at| {
                let (mut stream, _) = replica(&poll, 1000 + at, &feeds, LOG);
                let identity = feeds.source.identity();
                let mut said = Vec::new();
                let hello = Hello {
                    versions: (VERSION, VERSION),
                    purpose: Purpose::Snapshot,
                    database_id: identity.database_id,
                    node_id: Id([at as u8; 16]),
                    epoch: identity.epoch,
                    shape: identity.parameters.into(),
                    validated: crate::position::LogPoint::default(),
                };
                Frame::Hello(hello).encode(&mut said);
                Frame::Snapshot(crate::frame::Snapshot { from: 0, upto: 64 << 20 }).encode(&mut said);
                stream.write(&said).unwrap();
                (stream, 0)
            })
            .collect();
        let (mut follower, said) = replica(&poll, 1002, &feeds, LOG);
        follower.write(&said).unwrap();
        let (extent, mut counters, mut buffer) = (database.extent(), Counters::default(), vec![0; 1 << 20]);
        let time = Arc::new(Fact::new(0));
        let told = Arc::clone(&time);
        feeds.now = Box::new(move || told.get());
        let copied = |feeds: &Feeds| {
            let seats = feeds.seats.iter().flatten();
            seats.filter(|(_, seat)| seat.session().state() == State::Copied).count()
        };
        let (mut parts, mut followed) = (0, 0);
        while copied(&feeds) < 2 {
            time.set(parts * TENTH);
            parts += 1;
            let before: usize = copies.iter().map(|(_, received)| *received).sum();
            // All that may be sent by now is received, and some turns are taken beyond that: nothing more is.
            let mut idle = 0;
            while idle < 100 {
                poll.wait_nanoseconds(Some(0)).unwrap();
                poll.ready().for_each(|ready| feeds.ready(ready));
                feeds.turn(&poll, &extent, &mut counters);
                for (stream, received) in &mut copies {
                    while let Some(bytes @ 1..) = stream.read(&mut buffer).unwrap() {
                        *received += bytes;
                    }
                }
                while let Some(bytes @ 1..) = follower.read(&mut buffer).unwrap() {
                    followed += bytes;
                }
                let received = followed + copies.iter().map(|(_, received)| *received).sum::<usize>();
                let all = received as u64 == counters.replication_bytes_out && followed >= LOG as usize;
                let spent = feeds.pause().is_some_and(|pause| pause == TENTH) || copied(&feeds) == 2;
                idle = if all && spent { idle + 1 } else { 0 };
            }
            let received: Vec<usize> = copies.iter().map(|(_, received)| *received).collect();
            let part = received.iter().sum::<usize>() - before;
            assert!(part <= (RATE / 10) as usize, "{part} in part {parts}");
            assert!(received[0].abs_diff(received[1]) <= (RATE / 5) as usize, "{received:?}");
        }
        assert!(parts > 2 * LOG / (RATE / 10), "{parts} parts of a second");
    }
}
