//! The Applier's states. Pure.
//!
//! ```text
//! Idle ──proven──► Applying ──applied──► Idle
//! Applying ──full──► Waiting ──room──► Applying          Applying, Waiting ──failed──► Failed
//! Idle, Failed ──close──► Closed
//! ```

words! {
    /// What the Applier is doing.
    State {
        /// Waits for proven log.
        Idle "idle"
        /// Applies records.
        Applying "applying"
        /// Waits for maintenance to make room for another table.
        Waiting "waiting"
        /// A record could not be applied, or another component of the store failed: nothing more is applied.
        Failed "failed"
        /// Replication has ended.
        Closed "closed"
    }
}

words! {
    /// What happens to the Applier.
    Event {
        /// Proven log came.
        Proven "proven"
        /// All of it is applied, and published.
        Applied "applied"
        /// The sealed tables have reached their bound.
        Full "full"
        /// There is room for another table.
        Room "room"
        /// Something failed.
        Failed "failed"
        /// Nothing more will come.
        Close "close"
    }
}

/// The state after an event; `None` where the event can't happen.
#[must_use]
pub fn next(state: State, event: Event) -> Option<State> {
    match (state, event) {
        (State::Idle, Event::Proven) | (State::Waiting, Event::Room) => Some(State::Applying),
        (State::Applying, Event::Applied) => Some(State::Idle),
        (State::Applying, Event::Full) => Some(State::Waiting),
        (State::Applying | State::Waiting, Event::Failed) => Some(State::Failed),
        (State::Idle | State::Failed, Event::Close) => Some(State::Closed),
        (State::Idle, Event::Applied | Event::Full | Event::Room | Event::Failed)
        | (State::Applying, Event::Proven | Event::Room | Event::Close)
        | (State::Waiting, Event::Proven | Event::Applied | Event::Full | Event::Close)
        | (State::Failed, Event::Proven | Event::Applied | Event::Full | Event::Room | Event::Failed)
        | (
            State::Closed,
            Event::Proven | Event::Applied | Event::Full | Event::Room | Event::Failed | Event::Close,
        ) => None,
    }
}
