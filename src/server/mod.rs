//! The server: what clients talk to. Sessions and commands so far; the loop that serves sockets comes to them.
//!
//! * [`session`]: what one client has, and what its requests do; pure over a [`session::Context`].
//! * [`commands`]: every command, and the table of them.
//! * [`clients`], [`cursors`], [`counters`]: what sessions share, on the loop's thread. [`deposit`]: what the committer's thread leaves.

strict! { clients commands counters cursors deposit session }

use crate::database::Database;
use crate::sync::Arc;

/// What a server is started with.
#[derive(Clone)]
pub struct Options {
    /// What it serves.
    pub database: Arc<Database>,
    /// Where clients connect.
    pub listen: Address,
    /// Most connections of clients.
    pub max_clients: u32,
    /// Memory for the buffers of all connections.
    pub client_memory: u64,
}

/// Where clients connect.
#[derive(Clone, Copy)]
pub struct Address;

impl Address {
    /// The host.
    #[must_use]
    pub fn ip(self) -> &'static str {
        "127.0.0.1"
    }

    /// The port.
    #[must_use]
    pub fn port(self) -> u16 {
        6380
    }
}

impl Options {
    /// What a server has where nothing else is said.
    #[must_use]
    pub fn new(database: Arc<Database>) -> Options {
        Options { database, listen: Address, max_clients: 10_000, client_memory: 256 << 20 }
    }
}
