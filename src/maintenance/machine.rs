//! Maintenance's states. Pure.
//!
//! ```text
//! Idle ──table──► Flushing ──done──► Idle ──merge──► Merging ──done──► Idle
//!                                            Merging ──table──► Flushing      a waiting table goes first
//! Idle, Flushing, Merging ──failed──► Stopped            Idle, Merging, Stopped ──close──► Closed
//! ```
//!
//! A merge that was begun and put aside is gone on with at the next `merge`. The table of all edges is in `docs/machines.md`.

use std::fmt;

/// What maintenance is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Has nothing to do.
    Idle,
    /// Makes a run of a sealed table.
    Flushing,
    /// Merges runs.
    Merging,
    /// A write, fsync or block failed: no more work until the node is started again.
    Stopped,
    /// The database was closed.
    Closed,
}

/// What happens to maintenance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// A sealed table is taken.
    Table,
    /// A merge is begun, or gone on with.
    Merge,
    /// The work is done, and the manifest names its result.
    Done,
    /// Something failed.
    Failed,
    /// The database is being closed.
    Close,
}

impl State {
    /// Every state.
    pub const ALL: [State; 5] = [State::Idle, State::Flushing, State::Merging, State::Stopped, State::Closed];

    /// The state's word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            State::Idle => "idle",
            State::Flushing => "flushing",
            State::Merging => "merging",
            State::Stopped => "stopped",
            State::Closed => "closed",
        }
    }
}

impl Event {
    /// Every event.
    pub const ALL: [Event; 5] = [Event::Table, Event::Merge, Event::Done, Event::Failed, Event::Close];

    /// The event's word; the cause that is shown.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Event::Table => "table",
            Event::Merge => "merge",
            Event::Done => "done",
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
