//! What a component shows of itself: its state, the last transition and its cause, and what blocks it (P5-I14).
//!
//! One writer, the component; readers: whoever asks for the status. It is shown, never decided on.

use crate::sync::{self, Mutex};

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

/// Where a component shows itself.
#[derive(Debug)]
pub struct Observed<S>(Mutex<Observation<S>>);

impl<S: Copy> Observed<S> {
    /// A component that begins in this state.
    #[must_use]
    pub fn new(state: S) -> Observed<S> {
        Observed(Mutex::new(Observation { state, previous: None, cause: "start", transitions: 0, blocked: None }))
    }

    /// Shows a transition.
    pub fn transition(&self, to: S, cause: &'static str, blocked: Option<String>) {
        let mut seen = sync::lock(&self.0);
        seen.previous = Some(seen.state);
        seen.state = to;
        seen.cause = cause;
        seen.transitions = seen.transitions.saturating_add(1);
        seen.blocked = blocked;
    }

    /// The component now.
    #[must_use]
    pub fn load(&self) -> Observation<S> {
        sync::lock(&self.0).clone()
    }
}
