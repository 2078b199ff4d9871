//! What the loop counts, for INFO: plain numbers, written by the loop's thread alone.
//!
//! They are shown and never decided on. What the database counts stands in its status.

/// Numbers since the server began.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    /// Connections that were taken.
    pub connections_accepted: u64,
    /// Connections that were refused because there were too many.
    pub connections_refused: u64,
    /// Connections that were closed because the buffers of all held too much (`client.memory`).
    pub connections_closed_for_memory: u64,
    /// Connections that were closed because they broke the protocol.
    pub connections_closed_for_protocol: u64,
    /// Requests that were carried out.
    pub requests: u64,
    /// Orders handed to the committer.
    pub orders: u64,
    /// Bundles in which they were handed over.
    pub bundles: u64,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Bytes in the buffers of all connections now.
    pub buffer_bytes: usize,
    /// Connections of replicas that were taken.
    pub replica_connections: u64,
    /// Replicas that were refused.
    pub replicas_refused: u64,
    /// Bytes sent to replicas.
    pub replication_bytes_out: u64,
    /// Clients that wait for a commit now.
    pub waiting_for_commit: usize,
}
