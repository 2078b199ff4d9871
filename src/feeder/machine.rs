//! The states of the feeding of one replica. Pure.
//!
//! ```text
//! AwaitingHello ──hello──► Idle ──fetch──► Serving ──served──► Idle
//!       │                                  Serving ──end──► Parked ──moved──► Serving
//!       ├──hello for a snapshot──► AwaitingSnapshot ──snapshot──► Copying ──served──► Pinned ──snapshot──► Copying
//!       │                                                         Copying ──complete──► Copied
//!       ├──hello for a fork──► Probing ──probe──► Answering ──served──► Probing
//!       └──introduction──► Introduced
//! all but Ended ──ended──► Ended
//! ```
//!
//! A further fetch, and a further allowance for a snapshot, change nothing but how much may be sent. The table of all edges is in
//! `docs/machines.md`.

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
        /// It came for a snapshot, and has not asked for any of it.
        AwaitingSnapshot "awaiting-snapshot"
        /// A snapshot is sent.
        Copying "copying"
        /// Everything that was asked for of a snapshot is sent, and there is more.
        Pinned "pinned"
        /// The whole of a snapshot is sent, and nothing is pinned any more.
        Copied "copied"
        /// It asks where the two logs part.
        Probing "probing"
        /// Its question is answered, and the answer is not handed out.
        Answering "answering"
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
        /// It said that it comes for a snapshot, and was welcomed.
        HelloSnapshot "hello-snapshot"
        /// It said that it comes for a fork, and was welcomed.
        HelloFork "hello-fork"
        /// It asked for log.
        Fetch "fetch"
        /// It asked for bytes of a snapshot.
        Snapshot "snapshot"
        /// It asked what stands before a position.
        Probe "probe"
        /// The last byte that was asked for is sent, or the answer.
        Served "served"
        /// The last byte of a snapshot is sent.
        Complete "complete"
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
        (State::AwaitingHello, Event::HelloSnapshot) => Some(State::AwaitingSnapshot),
        (State::AwaitingHello, Event::HelloFork) => Some(State::Probing),
        (State::Idle | State::Serving, Event::Fetch) => Some(State::Serving),
        (State::Parked, Event::Fetch) => Some(State::Parked),
        (State::Serving, Event::Served) => Some(State::Idle),
        (State::Serving, Event::End) => Some(State::Parked),
        (State::Parked, Event::Moved) => Some(State::Serving),
        (State::AwaitingSnapshot | State::Copying | State::Pinned, Event::Snapshot) => Some(State::Copying),
        (State::Copying, Event::Served) => Some(State::Pinned),
        (State::Copying, Event::Complete) => Some(State::Copied),
        (State::Probing, Event::Probe) => Some(State::Answering),
        (State::Answering, Event::Served) => Some(State::Probing),
        (
            State::AwaitingHello
            | State::Introduced
            | State::Idle
            | State::Serving
            | State::Parked
            | State::AwaitingSnapshot
            | State::Copying
            | State::Pinned
            | State::Copied
            | State::Probing
            | State::Answering,
            Event::Ended,
        ) => Some(State::Ended),
        (
            State::Introduced
            | State::Idle
            | State::Serving
            | State::Parked
            | State::AwaitingSnapshot
            | State::Copying
            | State::Pinned
            | State::Copied
            | State::Probing
            | State::Answering
            | State::Ended,
            Event::Hello | Event::Introduction | Event::HelloSnapshot | Event::HelloFork,
        )
        | (
            State::AwaitingHello
            | State::Introduced
            | State::AwaitingSnapshot
            | State::Copying
            | State::Pinned
            | State::Copied
            | State::Probing
            | State::Answering
            | State::Ended,
            Event::Fetch | Event::End | Event::Moved,
        )
        | (
            State::AwaitingHello
            | State::Introduced
            | State::Idle
            | State::Serving
            | State::Parked
            | State::Copied
            | State::Probing
            | State::Answering
            | State::Ended,
            Event::Snapshot,
        )
        | (
            State::AwaitingHello
            | State::Introduced
            | State::Idle
            | State::Serving
            | State::Parked
            | State::AwaitingSnapshot
            | State::Copying
            | State::Pinned
            | State::Copied
            | State::Answering
            | State::Ended,
            Event::Probe,
        )
        | (
            State::AwaitingHello
            | State::Introduced
            | State::Idle
            | State::Parked
            | State::AwaitingSnapshot
            | State::Pinned
            | State::Copied
            | State::Probing
            | State::Ended,
            Event::Served,
        )
        | (
            State::AwaitingHello
            | State::Introduced
            | State::Idle
            | State::Serving
            | State::Parked
            | State::AwaitingSnapshot
            | State::Pinned
            | State::Copied
            | State::Probing
            | State::Answering
            | State::Ended,
            Event::Complete,
        )
        | (State::Idle, Event::End | Event::Moved)
        | (State::Serving, Event::Moved)
        | (State::Parked, Event::End)
        | (State::Ended, Event::Ended) => None,
    }
}
