//! The replicas that a primary serves, on the loop's own thread.
//!
//! ```text
//!  poll ─► ready ─► turn: accept, and for each replica: read, hand to its session, send what that has ─► may sleep? ─► poll
//! ```
//!
//! What a replica is told is decided by its session (`feeder`); here are the connections: who comes, who is ready, how much a turn may
//! take, how much snapshots may (`pace`), who is gone. A session that waits for more log sleeps with the loop, and is woken by the bell that the committer rings.
//!
//! A build without replication has the same names, and nothing behind them.

#[cfg(not(feature = "replication"))]
mod absent;
#[cfg(feature = "replication")]
mod connected;
#[cfg(feature = "replication")]
mod pace;
#[cfg(feature = "replication")]
mod seat;

#[cfg(not(feature = "replication"))]
pub use absent::Feeds;
#[cfg(feature = "replication")]
pub use connected::Feeds;

use crate::id::Id;
use crate::limits;
use std::net::SocketAddr;

/// Connections that may be open at a time: those that follow, and as many of others: that get a snapshot, have not said who they are, have no
/// directory yet, ask where two logs part, or are told why they are not served.
const SEATS: usize = 2 * limits::REPLICAS_MAX;

/// How many sources of the poll are those of replicas: the listener, and the seats behind it.
pub(super) const SOURCES: usize = 1 + SEATS;

/// Open files that replicas may take: their connections and the listener, and a segment for each that follows or gets a snapshot.
pub const FILES: u64 = (SOURCES + limits::REPLICAS_MAX + limits::SNAPSHOTS_MAX) as u64;

/// A replica that is served, as it is shown.
#[derive(Clone, Debug)]
pub struct Replica {
    /// Where it comes from.
    pub address: SocketAddr,
    /// Its node.
    pub node: Id,
    /// What it came for.
    pub purpose: &'static str,
    /// What is being done for it.
    pub state: &'static str,
    /// Everything that it asked for before this position of the log, or this place in its snapshot, was sent.
    pub sent: u64,
    /// The end of what it asked for.
    pub asked: u64,
    /// Bytes of its snapshot, if it gets one.
    pub bytes: Option<u64>,
    /// Bytes that are held in memory for it: what came and is not a whole frame, and what it has not taken.
    pub held_bytes: usize,
}
