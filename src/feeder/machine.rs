//! The states of the feeding of one replica. Pure.
//!
//! ```text
//! AwaitingHello ──hello──► Idle ──fetch──► Serving ──served──► Idle
//!       │                                  Serving ──end──► Parked ──moved──► Serving
//!       └──introduction──► Introduced
//! all but Ended ──ended──► Ended
//! ```
//!
//! A further fetch changes nothing but how much may be sent. The table of all edges is in `docs/machines.md`.

use std::fmt;

/// What is being done for a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Nobody has said who it is.
    AwaitingHello,
    /// It has no directory yet, was told whose log this is, and must ask for nothing.
    Introduced,
    /// Everything that was asked for is sent.
    Idle,
    /// Log is sent.
    Serving,
    /// More was asked for than is durable.
    Parked,
    /// The connection has ended, or is about to.
    Ended,
}

/// What happens to the feeding of a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// It said who it is, and was welcomed.
    Hello,
    /// It said that it has nothing, and was welcomed.
    Introduction,
    /// It asked for log.
    Fetch,
    /// The last byte that was asked for is sent.
    Served,
    /// The durable end comes before it.
    End,
    /// The durable end has moved.
    Moved,
    /// It was refused, or the connection has ended.
    Ended,
}

impl State {
    /// Every state.
    pub const ALL: [State; 6] =
        [State::AwaitingHello, State::Introduced, State::Idle, State::Serving, State::Parked, State::Ended];

    /// The state's word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            State::AwaitingHello => "awaiting-hello",
            State::Introduced => "introduced",
            State::Idle => "idle",
            State::Serving => "serving",
            State::Parked => "parked",
            State::Ended => "ended",
        }
    }
}

impl Event {
    /// Every event.
    pub const ALL: [Event; 7] = [
        Event::Hello,
        Event::Introduction,
        Event::Fetch,
        Event::Served,
        Event::End,
        Event::Moved,
        Event::Ended,
    ];

    /// The event's word; the cause that is shown.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Event::Hello => "hello",
            Event::Introduction => "introduction",
            Event::Fetch => "fetch",
            Event::Served => "served",
            Event::End => "end",
            Event::Moved => "moved",
            Event::Ended => "ended",
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
        (State::AwaitingHello, Event::Hello) => Some(State::Idle),
        (State::AwaitingHello, Event::Introduction) => Some(State::Introduced),
        (State::Idle | State::Serving, Event::Fetch) => Some(State::Serving),
        (State::Parked, Event::Fetch) => Some(State::Parked),
        (State::Serving, Event::Served) => Some(State::Idle),
        (State::Serving, Event::End) => Some(State::Parked),
        (State::Parked, Event::Moved) => Some(State::Serving),
        (
            State::AwaitingHello | State::Introduced | State::Idle | State::Serving | State::Parked,
            Event::Ended,
        ) => Some(State::Ended),
        (State::AwaitingHello, Event::Fetch | Event::Served | Event::End | Event::Moved)
        | (
            State::Introduced,
            Event::Hello | Event::Introduction | Event::Fetch | Event::Served | Event::End | Event::Moved,
        )
        | (State::Idle, Event::Hello | Event::Introduction | Event::Served | Event::End | Event::Moved)
        | (State::Serving, Event::Hello | Event::Introduction | Event::Moved)
        | (State::Parked, Event::Hello | Event::Introduction | Event::Served | Event::End)
        | (
            State::Ended,
            Event::Hello
            | Event::Introduction
            | Event::Fetch
            | Event::Served
            | Event::End
            | Event::Moved
            | Event::Ended,
        ) => None,
    }
}
