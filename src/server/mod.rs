//! The server, as far as `aerodb serve` needs one: a stand-in until the event loop is here.
//!
//! It binds its address, accepts nobody, and ends at the first request to end. Whoever brings the loop replaces this module and keeps
//! what it promises: after [`Server::bind`] clients reach the address and a request to end is seen; [`Server::run`] returns when
//! what was in flight is answered; then nothing here holds the database any more.

strict! { clients commands counters cursors deposit session }

use crate::database::Database;
use crate::error::{Error, Result};
use crate::reason::Reason;
use crate::sync::Arc;
use crate::wire::TcpListener;
use crate::wire::signals::{self, Requests};
use std::io::{self, Read};
use std::net::SocketAddr;

/// What a server is started with.
pub struct Options {
    /// What it serves.
    pub database: Arc<Database>,
    /// Where clients connect.
    pub listen: SocketAddr,
    /// Most connections of clients.
    pub max_clients: u32,
    /// Memory for the buffers of all connections.
    pub client_memory: u64,
}

impl Options {
    /// What a server has where nothing else is said.
    #[must_use]
    pub fn new(database: Arc<Database>) -> Options {
        let listen = SocketAddr::from(([127, 0, 0, 1], 6380));
        Options { database, listen, max_clients: 10_000, client_memory: 256 << 20 }
    }
}

/// A server that listens.
pub struct Server {
    _database: Arc<Database>,
    listener: TcpListener,
    requests: Requests,
}

/// Why a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It was asked to, by a signal.
    Asked,
}

impl Server {
    /// Listens, and begins to catch the requests to end.
    ///
    /// # Errors
    /// `server.listen_failed`.
    pub fn bind(options: Options) -> Result<Server> {
        let refused = |error| failed(&error).with("address", options.listen);
        let requests = signals::requests_to_end().map_err(refused)?;
        let listener = TcpListener::bind(options.listen).map_err(refused)?;
        Ok(Server { _database: options.database, listener, requests })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// `server.listen_failed`.
    pub fn local_addr(&self) -> Result<SocketAddr> {
        self.listener.local_addr().map_err(|error| failed(&error))
    }

    /// Serves until it is asked to end.
    ///
    /// # Errors
    /// `server.listen_failed`.
    pub fn run(mut self) -> Result<Stop> {
        let waited = self.requests.set_nonblocking(false).and_then(|()| self.requests.read_exact(&mut [0]));
        waited.map(|()| Stop::Asked).map_err(|error| failed(&error))
    }
}

fn failed(error: &io::Error) -> Error {
    Error::new(Reason::ServerListenFailed).with("error", error)
}
