//! The states of a replica as a whole. Pure.
//!
//! ```text
//! Disabled ──start──► Initializing ──opened, recover──► Recovering ──receive, validate, apply, reach──► one of the four
//!                          └──bootstrap──► Bootstrapping ──bootstrapped──┘
//! ReceivingWAL, ValidatingWAL, ApplyingWAL, Ready: from each to each, by the stage that is behind
//! any of these but Initializing ──halt──► Halted, ──close──► Closed; any ──fail──► Failed        what follows a failure is another start
//! Halted, Failed ──close──► Closed
//! ```
//!
//! The state says which stage is behind. Nothing is decided by it: the gate decides by facts.

words! {
    /// What a replica is doing.
    State {
        /// Replication is not started.
        Disabled "disabled"
        /// Its directory is being opened.
        Initializing "initializing"
        /// A snapshot is being fetched: there are no data yet.
        Bootstrapping "bootstrapping"
        /// What is on disk is being proven and replayed.
        Recovering "recovering"
        /// What the primary named as durable is not received, or no primary has named anything.
        ReceivingWal "receiving"
        /// All of it is received, and not all is proven.
        ValidatingWal "validating"
        /// All of it is proven, and not all is applied.
        ApplyingWal "applying"
        /// All of it is applied.
        Ready "ready"
        /// A fact contradicts what must hold; kept over restarts.
        Halted "halted"
        /// A component has ended; a restart may help.
        Failed "failed"
        /// It was stopped.
        Closed "closed"
    }
}

words! {
    /// What happens to a replica.
    Event {
        /// It is started.
        Start "start"
        /// A snapshot is to be fetched first.
        Bootstrap "bootstrap"
        /// The snapshot is installed.
        Bootstrapped "bootstrapped"
        /// Its directory is locked, and known.
        Opened "opened"
        /// The same, because what applies has failed.
        Recover "recover"
        /// The Receiver is behind.
        Receive "receive"
        /// The Validator is behind.
        Validate "validate"
        /// The Applier is behind.
        Apply "apply"
        /// Nobody is behind.
        Reach "reach"
        /// A fault that contradicts what must hold, or one that was kept.
        Halt "halt"
        /// A fault that a restart may mend.
        Fail "fail"
        /// It is stopped.
        Close "close"
    }
}

/// The state after an event; `None` where the event can't happen: what is behind already does not fall behind.
#[must_use]
pub fn next(state: State, event: Event) -> Option<State> {
    let running = match state {
        State::Recovering | State::ReceivingWal | State::ValidatingWal | State::ApplyingWal | State::Ready => true,
        State::Disabled
        | State::Initializing
        | State::Bootstrapping
        | State::Halted
        | State::Failed
        | State::Closed => false,
    };
    let bootstraps = state == State::Bootstrapping;
    let shown = |to: State| (running && state != to).then_some(to);
    match event {
        Event::Start => (state == State::Disabled).then_some(State::Initializing),
        Event::Bootstrap => (state == State::Initializing).then_some(State::Bootstrapping),
        Event::Bootstrapped => bootstraps.then_some(State::Recovering),
        Event::Opened | Event::Recover => (state == State::Initializing).then_some(State::Recovering),
        Event::Receive => shown(State::ReceivingWal),
        Event::Validate => shown(State::ValidatingWal),
        Event::Apply => shown(State::ApplyingWal),
        Event::Reach => shown(State::Ready),
        Event::Halt => (running || bootstraps).then_some(State::Halted),
        Event::Fail => (running || bootstraps || state == State::Initializing).then_some(State::Failed),
        Event::Close => {
            (running || bootstraps || matches!(state, State::Halted | State::Failed)).then_some(State::Closed)
        }
    }
}
