//! The server: clients speak RESP to one thread, which never waits for anything but its poll.
//!
//! ```text
//!  clients ──► sockets ──► connections ──► sessions ──reads──► published state
//!                               ▲              └──orders──► bundles ──► committer
//!                               └───────────── answers ◄───────────────────┘
//! ```
//!
//! [`Server::run`] is the loop, on the thread that calls it ([`Server::start`] gives it one). Reads are answered there, from what the committer has published; writes go
//! to the committer, all of a turn in one message, and are answered once they are durable (D-ACK). The loop never waits for the
//! committer, for a client or for a disk other than one that is read; nothing in it looks at a clock.
//!
//! * `event_loop`: the turns: who is ready, who is accepted, who is closed.
//! * `connection`: the buffers of one client, the order of its replies, its limits.
//! * `orders`: bundles to the committer, and its answers; `bell`: how they wake the loop.
//! * [`lobby`]: what clients are told while there is no database to serve.
//! * [`feeds`]: the replicas that a primary serves, on the same thread.
//! * [`session`]: what one client has, and what its requests do; pure over a [`session::Context`]. [`commands`]: every command.
//! * [`window`]: what of it other threads see.
//! * [`clients`], [`cursors`], [`counters`], [`deposit`]: what sessions share, on the loop's thread; deposits also with the committer's.
//!
//! Bounds: connections, the bytes of all their buffers together, what one has under way, what one leaves unread. Whoever exceeds one
//! waits or is closed with a reason; the others do not notice.

strict! { clients commands counters cursors deposit session }

mod bell;
mod connection;
mod event_loop;
pub mod feeds;
pub mod lobby;
mod orders;
mod running;
pub mod window;

use crate::commit_id::CommitId;
use crate::database::Database;
use crate::entropy;
use crate::error::{Error, Result};
use crate::limits;
use crate::reason::Reason;
#[cfg(feature = "replication")]
use crate::replica::Replica;
use crate::sync::Arc;
use crate::wire::{Listener, Pipe, Poll, Waker, signals};
use bell::Bell;
use clients::{ClientId, Clients};
use counters::Counters;
use cursors::Cursors;
use deposit::Room;
use event_loop::{EventLoop, LISTENER, REPLICAS, REQUESTS_TO_END, WAKER};
use feeds::Feeds;
pub use running::Running;
use session::Service;
use std::net::SocketAddr;
use window::Window;

/// What a server is started with.
#[derive(Clone)]
pub struct Options {
    /// What it serves. The program may use it too; but whoever fills the committer's inbox beside the server lets the loop wait with them.
    pub database: Arc<Database>,
    /// Where clients connect.
    pub listen: SocketAddr,
    /// Where replicas connect, if this node serves any: it must be a primary.
    pub replication: Option<SocketAddr>,
    /// Most bytes that all snapshots together send in a second, if that is bounded.
    pub serve_rate: Option<u64>,
    /// Whether these may be addresses that others can reach: there is no authentication.
    pub allow_remote: bool,
    /// Most connections of clients.
    pub max_clients: u32,
    /// Memory for the buffers of all connections.
    pub client_memory: u64,
    /// The replica whose database it is, if it is one: shown, and never asked for anything else.
    #[cfg(feature = "replication")]
    pub replica: Option<Arc<Replica>>,
    /// Seconds of silence after which the operating system tries whether a client or a replica is still there; 0: never.
    pub tcp_keepalive: u32,
    /// Where other threads see what the loop counts and whom it feeds, if any of them looks.
    pub window: Option<Arc<Window>>,
    /// Whether SIGTERM and SIGINT end the server, rather than the process.
    pub catch_signals: bool,
}

impl Options {
    /// What a server has where nothing else is said: this machine's clients alone, and no signals.
    #[must_use]
    pub fn new(database: Arc<Database>) -> Options {
        Options {
            database,
            listen: SocketAddr::from(([127, 0, 0, 1], 6380)),
            replication: None,
            serve_rate: None,
            allow_remote: false,
            max_clients: 10_000,
            client_memory: 256 << 20,
            #[cfg(feature = "replication")]
            replica: None,
            tcp_keepalive: 300,
            window: None,
            catch_signals: false,
        }
    }
}

impl Options {
    /// Whether a commit that can't be read yet may be readable before this node is started again.
    ///
    /// # Errors
    /// What ended reading, writing, or following: nothing more will come.
    pub fn may_come(&self, commit: CommitId) -> Result<()> {
        if let Some(fault) = self.database.write_fault() {
            return Err(Error::new(Reason::CommitStopped).with("failure", fault));
        }
        if let Some(fault) = self.database.reads_ended() {
            return Err(fault);
        }
        #[cfg(feature = "replication")]
        if let Some(replica) = &self.replica {
            replica.may_come(commit)?;
        }
        let _ = commit;
        Ok(())
    }
}

/// Why a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It was asked to, by a signal.
    Asked,
    /// It was asked to, by a [`Stopper`].
    Stopped,
}

/// Ends a server, from any thread.
#[derive(Clone)]
pub struct Stopper(Arc<Bell>);

impl Stopper {
    /// Asks the server to end.
    pub fn stop(&self) {
        self.0.end();
    }
}

/// A server that listens.
pub struct Server {
    event_loop: EventLoop,
    stopper: Stopper,
    address: SocketAddr,
    replication: Option<SocketAddr>,
}

impl Server {
    /// Listens, and begins to catch the requests to end. From here on clients can connect; they are served by [`Server::run`].
    ///
    /// # Errors
    /// `config.no_authentication`, `server.listen_failed`, `identity.other_role`, `role.compiled_out`.
    pub fn bind(options: Options) -> Result<Server> {
        Server::listening(options, None)
    }

    /// The same where clients connect already: at what a [`lobby::Lobby`] gave back.
    ///
    /// # Errors
    /// Those of [`Server::bind`].
    pub fn take_over(options: Options, listener: Listener) -> Result<Server> {
        Server::listening(options, Some(listener))
    }

    fn listening(options: Options, listener: Option<Listener>) -> Result<Server> {
        for address in std::iter::once(options.listen).chain(options.replication) {
            check_address(address, options.allow_remote)?;
        }
        let refused = |error| failed(error).with("address", options.listen);
        let poll = Poll::new().map_err(refused)?;
        let bell = Arc::new(Bell::new(Waker::new(&poll, WAKER).map_err(refused)?));
        let listener = match listener {
            Some(mut listener) => listener.enter(&poll, LISTENER).map(|()| listener),
            None => Listener::bind(&poll, LISTENER, options.listen),
        };
        let listener = listener.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let feeds = options.replication.map(|listen| Feeds::bind(&poll, REPLICAS, listen, &options));
        let feeds = feeds.transpose()?;
        let replication = feeds.as_ref().map(Feeds::address);
        let requests_to_end = if options.catch_signals {
            let stream = signals::requests_to_end().map_err(failed)?;
            Some(Pipe::new(&poll, REQUESTS_TO_END, stream).map_err(failed)?)
        } else {
            None
        };
        let service = Service {
            options: Options { listen: address, replication, ..options },
            clients: Clients::default(),
            cursors: Cursors::new(entropy::random_seed()?),
            counters: Counters::default(),
            room: Room::new(limits::DEPOSITS_BYTES_MAX),
            feeds,
        };
        let event_loop = EventLoop::new(service, poll, listener, requests_to_end, Arc::clone(&bell));
        Ok(Server { event_loop, stopper: Stopper(bell), address, replication })
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens for replicas, if it does.
    #[must_use]
    pub fn replication_addr(&self) -> Option<SocketAddr> {
        self.replication
    }

    /// What ends it from another thread.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Serves until it is asked to end. Then nobody is accepted and nothing more is executed; what was ordered is answered, and what
    /// the clients take at once is sent. The database is left open.
    ///
    /// # Errors
    /// `server.poll_failed`: it ended as if it had been asked to.
    pub fn run(mut self) -> Result<Stop> {
        self.event_loop.run().map_err(|error| Error::new(Reason::ServerPollFailed).with("error", error))
    }
}

/// Nobody is authenticated: those who are not on this machine are let in by an order only.
fn check_address(address: SocketAddr, allow_remote: bool) -> Result<()> {
    if allow_remote || address.ip().is_loopback() {
        return Ok(());
    }
    Err(Error::new(Reason::ConfigNoAuthentication).with("address", address))
}

/// What a client is told that came when there were enough.
const MAX_CLIENTS: &[u8] = b"-ERR max number of clients reached\r\n";

/// What a client is told that is closed because it held most of the memory of all; the log is told too.
fn farewell(client: ClientId, bytes: usize) -> String {
    let code = Reason::ClientMemory;
    log::warn!(code = code.name(), client:%, bytes; "closed: it held most of the memory of all");
    format!("ERR {code} {} {}", code.sentence(), code.remedy())
}

fn failed(error: std::io::Error) -> Error {
    Error::new(Reason::ServerListenFailed).with("error", error)
}
