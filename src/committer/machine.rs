//! The committer's states. Pure.
//!
//! ```text
//! Idle ──taken──► Writing ──durable──► Idle ──full──► Waiting ──room──► Idle
//! Idle, Writing, Waiting ──failed──► Stopped            Idle, Stopped ──close──► Closed
//! ```
//!
//! Stopped and Closed take no more writes, for good. The table of all edges is in `docs/machines.md`.

use std::fmt;

/// What the committer is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Waits for orders.
    Idle,
    /// Makes a group durable and applies it.
    Writing,
    /// Waits for maintenance to make room for another table.
    Waiting,
    /// A write or fsync failed: no more writes until the node is started again.
    Stopped,
    /// The database was closed.
    Closed,
}

/// What happens to the committer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// A group of orders was taken from the inbox.
    Taken,
    /// The group is durable and applied, and the orders are answered.
    Durable,
    /// The sealed tables have reached their bound.
    Full,
    /// There is room for another table.
    Room,
    /// A write, an fsync or another component failed.
    Failed,
    /// The database is being closed.
    Close,
}

impl State {
    /// Every state.
    pub const ALL: [State; 5] = [State::Idle, State::Writing, State::Waiting, State::Stopped, State::Closed];

    /// The state's word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            State::Idle => "idle",
            State::Writing => "writing",
            State::Waiting => "waiting",
            State::Stopped => "stopped",
            State::Closed => "closed",
        }
    }
}

impl Event {
    /// Every event.
    pub const ALL: [Event; 6] = [Event::Taken, Event::Durable, Event::Full, Event::Room, Event::Failed, Event::Close];

    /// The event's word; the cause that is shown.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Event::Taken => "taken",
            Event::Durable => "durable",
            Event::Full => "full",
            Event::Room => "room",
            Event::Failed => "failed",
            Event::Close => "close",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
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
