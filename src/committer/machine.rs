//! The committer's states. Pure.
//!
//! ```text
//! Idle ──taken──► Writing ──durable──► Idle ──full──► Waiting ──room──► Idle
//! Idle, Writing, Waiting ──failed──► Stopped            Idle, Stopped ──close──► Closed
//! ```
//!
//! Stopped and Closed take no more writes, for good. The table of all edges is in `docs/machines.md`.

words! {
    /// What the committer is doing.
    State {
        /// Waits for orders.
        Idle "idle"
        /// Makes a group durable and applies it.
        Writing "writing"
        /// Waits for maintenance to make room for another table.
        Waiting "waiting"
        /// A write or fsync failed: no more writes until the node is started again.
        Stopped "stopped"
        /// The database was closed.
        Closed "closed"
    }
}

words! {
    /// What happens to the committer.
    Event {
        /// A group of orders was taken from the inbox.
        Taken "taken"
        /// The group is durable and applied, and the orders are answered.
        Durable "durable"
        /// The sealed tables have reached their bound.
        Full "full"
        /// There is room for another table.
        Room "room"
        /// A write, an fsync or another component failed.
        Failed "failed"
        /// The database is being closed.
        Close "close"
    }
}

/// The state after an event; `None` where the event can't happen.
#[must_use]
pub fn next(state: State, event: Event) -> Option<State> {
    match (state, event) {
        (State::Idle, Event::Taken) => Some(State::Writing),
        (State::Writing, Event::Durable) => Some(State::Idle),
        (State::Idle, Event::Full) => Some(State::Waiting),
        (State::Waiting, Event::Room) => Some(State::Idle),
        (State::Idle | State::Writing | State::Waiting, Event::Failed) => Some(State::Stopped),
        (State::Idle | State::Stopped, Event::Close) => Some(State::Closed),
        (State::Idle, Event::Durable | Event::Room)
        | (State::Writing, Event::Taken | Event::Full | Event::Room | Event::Close)
        | (State::Waiting, Event::Taken | Event::Durable | Event::Full | Event::Close)
        | (State::Stopped, Event::Taken | Event::Durable | Event::Full | Event::Room | Event::Failed)
        | (State::Closed, Event::Taken | Event::Durable | Event::Full | Event::Room | Event::Failed | Event::Close) => {
            None
        }
    }
}
