//! The steps of a recovery, in their order (RC-STEPS). Pure.
//!
//! ```text
//! Locking ─► Identity ─► State ─► Install ─► Directories ─► Checkpoint ─► Runs ─► Leftovers ─► Log ─► Publishing ─► Done
//!                └────────── writer ──────────────┘                                each step ──refuse──► Refused
//! ```
//!
//! No step is taken twice, none is left out but those of a replica where there is none, and behind a refusal there is nothing: a further
//! attempt is another recovery. What each step does is in `docs/recovery.md`.

words! {
    /// Which step a recovery takes.
    State {
        /// The lock of the directory is taken (RC-1).
        Locking "locking"
        /// Whose directory it is, is read and compared with what is expected (RC-2).
        Identity "identity"
        /// What a replica knows of itself is read (RC-2).
        ReplicaState "state"
        /// What an install of a snapshot left is looked at (RC-INSTALL).
        Install "install"
        /// Names that only the cache may know are made durable (RC-3).
        Directories "directories"
        /// The manifest is read (RC-4).
        Checkpoint "checkpoint"
        /// The runs that it names are opened (RC-5).
        Runs "runs"
        /// What it does not name is removed (RC-6).
        Leftovers "leftovers"
        /// The log is proven, and replayed from the checkpoint on (RC-7).
        Log "log"
        /// Room is made, and the last commit is published (RC-8).
        Publishing "publishing"
        /// The node is open.
        Done "done"
        /// A step refused: nothing is open.
        Refused "refused"
    }
}

words! {
    /// What comes of a step.
    Event {
        /// It is done.
        Done "done"
        /// It is done, and what a replica has beyond a writer is not there.
        Writer "writer"
        /// It refuses the directory, or failed.
        Refuse "refuse"
    }
}

/// The step after an event; `None` where the event can't happen.
#[must_use]
pub fn next(state: State, event: Event) -> Option<State> {
    if matches!(state, State::Done | State::Refused) {
        return None;
    }
    match event {
        Event::Refuse => Some(State::Refused),
        Event::Writer => (state == State::Identity).then_some(State::Directories),
        Event::Done => match state {
            State::Locking => Some(State::Identity),
            State::Identity => Some(State::ReplicaState),
            State::ReplicaState => Some(State::Install),
            State::Install => Some(State::Directories),
            State::Directories => Some(State::Checkpoint),
            State::Checkpoint => Some(State::Runs),
            State::Runs => Some(State::Leftovers),
            State::Leftovers => Some(State::Log),
            State::Log => Some(State::Publishing),
            State::Publishing => Some(State::Done),
            State::Done | State::Refused => None,
        },
    }
}
