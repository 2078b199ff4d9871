//! The state of a replica as a whole, from before its directory is open until it ends: the one place where it changes (P5-I3).
//!
//! Whoever opens a replica begins it, says when it bootstraps and when it recovers, and hands it to the Supervisor, which goes on with it. So
//! what is shown while a directory is opened is what happens then (P5-I14).

use super::machine::{self, Event, State};
use crate::error::Error;
use crate::observed::Observed;
use crate::replica_state::Halt;
use crate::sync::Arc;

/// The state of a replica.
#[derive(Debug)]
pub struct Course {
    state: State,
    observed: Arc<Observed<State>>,
}

impl Course {
    /// That of a replica that is started: its directory is being opened.
    #[must_use]
    pub fn begin() -> Course {
        let mut course =
            Course { state: State::Disabled, observed: Arc::new(Observed::new("replica", State::Disabled)) };
        course.step(Event::Start, None);
        course
    }

    /// A snapshot is being fetched: there are no data yet.
    pub fn bootstrapping(&mut self) {
        self.step(Event::Bootstrap, None);
    }

    /// What is on disk is proven and replayed from here on; because of a failure, if that is why its directory is opened again.
    pub fn recovering(&mut self, failure: Option<&Error>) {
        let event = match (self.state, failure) {
            (State::Bootstrapping, _) => Event::Bootstrapped,
            (_, Some(_)) => Event::Recover,
            (_, None) => Event::Opened,
        };
        self.step(event, failure.map(Error::to_string));
    }

    /// It has halted, and that is kept.
    pub fn halted(&mut self, halt: &Halt) {
        self.step(Event::Halt, Some(halt.to_string()));
    }

    /// It can't go on; a further start may.
    pub fn failed(&mut self, error: &Error) {
        self.step(Event::Fail, Some(error.to_string()));
    }

    /// It was stopped.
    pub fn closed(&mut self) {
        self.step(Event::Close, None);
    }

    /// Where it is shown.
    #[must_use]
    pub fn observed(&self) -> Arc<Observed<State>> {
        Arc::clone(&self.observed)
    }

    /// The state now.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// An edge that the machine does not have is our own mistake.
    pub(super) fn step(&mut self, event: Event, blocked: Option<String>) {
        let next = machine::next(self.state, event);
        assert!(next.is_some(), "the replica has no edge {event} from {}", self.state);
        if let Some(next) = next {
            self.state = next;
            self.observed.transition(next, event.name(), blocked);
        }
    }
}
