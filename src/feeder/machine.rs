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

words! {
    /// What is being done for a replica.
    State {
        /// Nobody has said who it is.
        AwaitingHello "awaiting-hello"
        /// It has no directory yet, was told whose log this is, and must ask for nothing.
        Introduced "introduced"
        /// Everything that was asked for is sent.
        Idle "idle"
        /// Log is sent.
        Serving "serving"
        /// More was asked for than is durable.
        Parked "parked"
        /// The connection has ended, or is about to.
        Ended "ended"
    }
}

words! {
    /// What happens to the feeding of a replica.
    Event {
        /// It said who it is, and was welcomed.
        Hello "hello"
        /// It said that it has nothing, and was welcomed.
        Introduction "introduction"
        /// It asked for log.
        Fetch "fetch"
        /// The last byte that was asked for is sent.
        Served "served"
        /// The durable end comes before it.
        End "end"
        /// The durable end has moved.
        Moved "moved"
        /// It was refused, or the connection has ended.
        Ended "ended"
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
