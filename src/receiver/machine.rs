//! The Receiver's states. Pure.
//!
//! ```text
//! Idle, Disconnected ──connect──► Connecting ──connected──► Handshaking ──welcomed──► Streaming
//! Connecting, Handshaking, Streaming ──lost──► Disconnected
//! any but Failed, Closed ──failed──► Failed              any but Closed ──close──► Closed
//! ```

words! {
    /// What the Receiver is doing.
    State {
        /// Nobody has told it to connect.
        Idle "idle"
        /// It waits for a connection.
        Connecting "connecting"
        /// It waits until what it received is proven, and for the primary's answer.
        Handshaking "handshaking"
        /// Log comes.
        Streaming "streaming"
        /// The connection was lost, or never made.
        Disconnected "disconnected"
        /// It ended: what arrived, or the disk, contradicts what must hold.
        Failed "failed"
        /// Replication has ended.
        Closed "closed"
    }
}

words! {
    /// What happens to the Receiver.
    Event {
        /// It is told to connect.
        Connect "connect"
        /// There is a connection.
        Connected "connected"
        /// The primary serves this replica.
        Welcomed "welcomed"
        /// There is no connection any more.
        Lost "lost"
        /// What arrived, or the disk, contradicts what must hold.
        Failed "failed"
        /// Replication is to end.
        Close "close"
    }
}

/// The state after an event; `None` where the event can't happen.
#[must_use]
pub fn next(state: State, event: Event) -> Option<State> {
    match (state, event) {
        (State::Idle | State::Disconnected, Event::Connect) => Some(State::Connecting),
        (State::Connecting, Event::Connected) => Some(State::Handshaking),
        (State::Handshaking, Event::Welcomed) => Some(State::Streaming),
        (State::Connecting | State::Handshaking | State::Streaming, Event::Lost) => Some(State::Disconnected),
        (
            State::Idle | State::Connecting | State::Handshaking | State::Streaming | State::Disconnected,
            Event::Failed,
        ) => Some(State::Failed),
        (
            State::Idle
            | State::Connecting
            | State::Handshaking
            | State::Streaming
            | State::Disconnected
            | State::Failed,
            Event::Close,
        ) => Some(State::Closed),
        (State::Idle | State::Disconnected, Event::Connected | Event::Welcomed | Event::Lost)
        | (State::Connecting, Event::Connect | Event::Welcomed)
        | (State::Handshaking, Event::Connect | Event::Connected)
        | (State::Streaming, Event::Connect | Event::Connected | Event::Welcomed)
        | (State::Failed, Event::Connect | Event::Connected | Event::Welcomed | Event::Lost | Event::Failed)
        | (
            State::Closed,
            Event::Connect | Event::Connected | Event::Welcomed | Event::Lost | Event::Failed | Event::Close,
        ) => None,
    }
}
