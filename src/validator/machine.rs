//! The Validator's states. Pure.
//!
//! ```text
//! Waiting ──chunk──► Proving ──proven──► Waiting         Proving ──rejected──► Failed
//! Waiting, Failed ──close──► Closed
//! ```

words! {
    /// What the Validator is doing.
    State {
        /// Waits for log.
        Waiting "waiting"
        /// Proves log.
        Proving "proving"
        /// Something did not prove itself: nothing more is proven.
        Failed "failed"
        /// Replication has ended.
        Closed "closed"
    }
}

words! {
    /// What happens to the Validator.
    Event {
        /// Log came.
        Chunk "chunk"
        /// All of it is proven, but for a record whose rest is to come.
        Proven "proven"
        /// Something in it does not prove itself.
        Rejected "rejected"
        /// Nothing more will come.
        Close "close"
    }
}

/// The state after an event; `None` where the event can't happen.
#[must_use]
pub fn next(state: State, event: Event) -> Option<State> {
    match (state, event) {
        (State::Waiting, Event::Chunk) => Some(State::Proving),
        (State::Proving, Event::Proven) => Some(State::Waiting),
        (State::Proving, Event::Rejected) => Some(State::Failed),
        (State::Waiting | State::Failed, Event::Close) => Some(State::Closed),
        (State::Waiting, Event::Proven | Event::Rejected)
        | (State::Proving, Event::Chunk | Event::Close)
        | (State::Failed, Event::Chunk | Event::Proven | Event::Rejected)
        | (State::Closed, Event::Chunk | Event::Proven | Event::Rejected | Event::Close) => None,
    }
}
