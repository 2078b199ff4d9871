//! Maintenance's states. Pure.
//!
//! ```text
//! Idle ──table──► Flushing ──done──► Idle ──merge──► Merging ──done──► Idle
//!                                            Merging ──table──► Flushing      a waiting table goes first
//! Idle, Flushing, Merging ──failed──► Stopped            Idle, Merging, Stopped ──close──► Closed
//! ```
//!
//! A merge that was begun and put aside is gone on with at the next `merge`. The table of all edges is in `docs/machines.md`.

words! {
    /// What maintenance is doing.
    State {
        /// Has nothing to do.
        Idle "idle"
        /// Makes a run of a sealed table.
        Flushing "flushing"
        /// Merges runs.
        Merging "merging"
        /// A write, fsync or block failed: no more work until the node is started again.
        Stopped "stopped"
        /// The database was closed.
        Closed "closed"
    }
}

words! {
    /// What happens to maintenance.
    Event {
        /// A sealed table is taken.
        Table "table"
        /// A merge is begun, or gone on with.
        Merge "merge"
        /// The work is done, and the manifest names its result.
        Done "done"
        /// Something failed.
        Failed "failed"
        /// The database is being closed.
        Close "close"
    }
}

/// The state after an event; `None` where the event can't happen.
#[must_use]
pub fn next(state: State, event: Event) -> Option<State> {
    match (state, event) {
        (State::Idle | State::Merging, Event::Table) => Some(State::Flushing),
        (State::Idle | State::Merging, Event::Merge) => Some(State::Merging),
        (State::Flushing | State::Merging, Event::Done) => Some(State::Idle),
        (State::Idle | State::Flushing | State::Merging, Event::Failed) => Some(State::Stopped),
        (State::Idle | State::Merging | State::Stopped, Event::Close) => Some(State::Closed),
        (State::Idle, Event::Done)
        | (State::Flushing, Event::Table | Event::Merge | Event::Close)
        | (State::Stopped, Event::Table | Event::Merge | Event::Done | Event::Failed)
        | (State::Closed, Event::Table | Event::Merge | Event::Done | Event::Failed | Event::Close) => None,
    }
}
