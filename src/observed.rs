//! What a component shows of itself: its state, the last transition and its cause, and what blocks it (P5-I14).
//!
//! One writer, the component; readers: whoever asks for the status, and the log, which gets a line for each transition: `info` where it
//! blocks the component, `debug` otherwise. It is shown, never decided on.

use crate::sync::{self, Mutex, seeded};
use std::fmt;

/// A component as it was seen at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation<S> {
    /// The state it is in.
    pub state: S,
    /// The state it was in before, if it was in another.
    pub previous: Option<S>,
    /// What led from that to this one.
    pub cause: &'static str,
    /// How many transitions there were.
    pub transitions: u64,
    /// Why it makes no progress, if it could and does not.
    pub blocked: Option<String>,
}

impl<S> Observation<S> {
    /// A component that begins in this state.
    #[must_use]
    pub fn begun(state: S) -> Observation<S> {
        Observation { state, previous: None, cause: "start", transitions: 0, blocked: None }
    }
}

/// Where a component shows itself.
#[derive(Debug)]
pub struct Observed<S> {
    component: &'static str,
    seen: Mutex<Observation<S>>,
}

impl<S: Copy + fmt::Display> Observed<S> {
    /// A component of this name that begins in this state.
    #[must_use]
    pub fn new(component: &'static str, state: S) -> Observed<S> {
        Observed { component, seen: Mutex::new(Observation::begun(state)) }
    }

    /// Shows a transition, and logs it.
    pub fn transition(&self, to: S, cause: &'static str, blocked: Option<String>) {
        // There is one writer, so nothing changes between the two locks, and nobody who looks waits for the log.
        let previous = sync::lock(&self.seen).state;
        match blocked.as_deref() {
            Some(why) => log::info!(target: self.component, previous:%, state:% = to, cause, blocked = why; "blocked"),
            None => log::debug!(target: self.component, previous:%, state:% = to, cause; "transition"),
        }
        let mut seen = sync::lock(&self.seen);
        seen.previous = Some(previous);
        if seeded("a transition is shown piece by piece") {
            drop(seen);
            seen = sync::lock(&self.seen);
        }
        seen.state = to;
        seen.cause = cause;
        seen.transitions = seen.transitions.saturating_add(1);
        seen.blocked = blocked;
    }

    /// The component now.
    #[must_use]
    pub fn load(&self) -> Observation<S> {
        sync::lock(&self.seen).clone()
    }
}
