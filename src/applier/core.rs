//! The Applier without its thread: proven records in, a published commit.
//!
//! Assumes that it alone owns the way into the store, and that what it is given continues what it was given before, which is asserted.
//! Promises: a commit is published only when all of it is applied, and everything before it (M-ATOMIC, P5-I12).

use super::machine::{self, Event, State};
use crate::chunk::Proven;
use crate::error::{Error, Result};
use crate::observed::Observed;
use crate::position::LogPoint;
use crate::published::Fact;
use crate::reason::Reason;
use crate::store::{Applier, Store};
use crate::sync::{Arc, planted};

/// How far a step came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Everything that was given is applied.
    Done,
    /// A table was sealed and there is no room for another: maintenance must make some before the next step.
    Full,
}

/// The core of the Applier.
pub struct ReplicaApplier {
    applier: Applier,
    /// What was given and is not applied to its end.
    given: Option<Proven>,
    state: State,
    observed: Arc<Observed<State>>,
    applied: Arc<Fact<LogPoint>>,
}

impl ReplicaApplier {
    /// An Applier that goes on where recovery ended.
    #[must_use]
    pub fn new(applier: Applier) -> ReplicaApplier {
        let applied = Arc::new(Fact::new(applier.point()));
        let observed = Arc::new(Observed::new("applier", State::Idle));
        ReplicaApplier { applier, given: None, state: State::Idle, observed, applied }
    }

    /// Where it shows its state.
    #[must_use]
    pub fn observed(&self) -> Arc<Observed<State>> {
        Arc::clone(&self.observed)
    }

    /// Where it shows how far it has come.
    #[must_use]
    pub fn applied(&self) -> Arc<Fact<LogPoint>> {
        Arc::clone(&self.applied)
    }

    /// The store that it applies to.
    #[must_use]
    pub fn store(&self) -> &Arc<Store> {
        self.applier.store()
    }

    /// The only place where the state changes: an edge that the machine does not have is our own mistake.
    fn turn(&mut self, event: Event, blocked: Option<String>) {
        let next = machine::next(self.state, event);
        assert!(next.is_some(), "the applier has no edge {event} from {}", self.state);
        if let Some(next) = next {
            self.state = next;
            self.observed.transition(next, event.name(), blocked);
        }
    }

    /// Takes proven records; [`ReplicaApplier::step`] applies them.
    pub fn give(&mut self, proven: Proven) {
        assert!(self.given.is_none(), "what was given before is applied first");
        assert_eq!(proven.before, self.applier.point(), "proven log is applied in order, without a gap");
        self.turn(Event::Proven, None);
        self.given = Some(proven);
    }

    /// Applies what was given, up to the first record behind which there is no room for another table, and publishes it.
    ///
    /// # Errors
    /// What ended the work for good: a record that contradicts the state, a Proof of another run, or what stopped the store.
    pub fn step(&mut self) -> Result<Step> {
        let stepped = self.apply();
        match &stepped {
            Ok(Step::Done) => self.turn(Event::Applied, None),
            Ok(Step::Full) if self.state == State::Applying => self.turn(
                Event::Full,
                Some("the sealed tables have reached their bound; maintenance must make runs of them".into()),
            ),
            Ok(Step::Full) => {}
            Err(failure) => self.turn(Event::Failed, Some(failure.to_string())),
        }
        stepped
    }

    /// Waits until maintenance has made room, or writing has ended.
    pub fn wait_for_room(&self) {
        self.store().wait_for_room();
    }

    /// Ends: nothing more will come.
    pub fn close(&mut self) {
        self.turn(Event::Close, None);
    }

    fn apply(&mut self) -> Result<Step> {
        if let Some(fault) = self.store().write_fault() {
            // What halts a replica passes as itself, whoever found it.
            let stopped = |fault| Error::new(Reason::ReplicationStopped).with("failure", fault);
            return Err(if fault.reason().halts() { fault } else { stopped(fault) });
        }
        let Some(proven) = self.given.take() else { return Ok(Step::Done) };
        if !self.store().has_room() {
            self.given = Some(proven);
            return Ok(Step::Full);
        }
        if self.state == State::Waiting {
            self.turn(Event::Room, None);
        }
        let mut full = false;
        let mut outcome = Ok(());
        for record in proven.records_from(self.applier.point()) {
            match self.applier.apply(&record) {
                Ok(sealed) => {
                    full = sealed && !self.store().has_room() && !planted("the Applier waits for nobody");
                }
                Err(error) => outcome = Err(error),
            }
            if full || outcome.is_err() {
                break;
            }
        }
        self.applier.publish();
        let point = self.applier.point();
        self.applied.set(if planted("applied is shown before it is") { proven.after } else { point });
        outcome?;
        if full && point != proven.after {
            self.given = Some(proven);
            return Ok(Step::Full);
        }
        assert_eq!(point, proven.after, "all that is proven is applied");
        Ok(Step::Done)
    }
}
