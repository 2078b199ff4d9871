//! Takes the steps of a recovery one after the other: the one place in which its state changes, and in which evidence is kept.
//!
//! Each step that is done, or refuses, is a line of the log with its evidence; each transition is one too, as of every machine.

use super::machine::{self, Event, State};
use super::report::{Progress, Refused, Step, Taken};
use super::{Error, Options, Position, Result, Watch};
use crate::limits::REPLAY_SHOWN_BYTES;
use crate::observed::Observed;

/// A recovery that is under way.
pub(super) struct Steps {
    state: State,
    observed: Observed<State>,
    taken: Vec<Step>,
    watch: Option<Watch>,
    replayed: Position,
    end: Position,
}

impl Steps {
    pub(super) fn begin(options: &Options) -> Steps {
        let (state, watch) = (State::Locking, options.watch.clone());
        let (replayed, end) = (Position::GENESIS, Position::GENESIS);
        Steps { state, observed: Observed::new("recovery", state), taken: Vec::new(), watch, replayed, end }
    }

    /// Takes the next step, which is this one.
    pub(super) fn take<T>(&mut self, step: State, work: impl FnOnce(&mut Step, &mut Steps) -> Result<T>) -> Taken<T> {
        self.take_to(step, |_| Event::Done, work)
    }

    /// The same where what it finds decides on what follows.
    pub(super) fn take_to<T>(
        &mut self,
        step: State,
        event: impl FnOnce(&T) -> Event,
        work: impl FnOnce(&mut Step, &mut Steps) -> Result<T>,
    ) -> Taken<T> {
        assert_eq!(step, self.state, "a step of recovery is taken out of its turn");
        self.tell();
        let mut evidence = Step::new(step);
        let outcome = work(&mut evidence, self);
        match &outcome {
            Ok(_) => log::info!(target: "recovery", step:%; "{evidence}"),
            Err(error) => log::info!(target: "recovery", step:%, code = error.reason().name(); "{evidence}"),
        }
        self.taken.push(evidence);
        match outcome {
            Ok(value) => {
                self.step(event(&value), None);
                Ok(value)
            }
            Err(error) => {
                self.step(Event::Refuse, Some(&error));
                self.tell();
                Err(Box::new(Refused { steps: std::mem::take(&mut self.taken), error }))
            }
        }
    }

    fn step(&mut self, event: Event, refused: Option<&Error>) {
        let next = machine::next(self.state, event);
        assert!(next.is_some(), "recovery has no edge {event} from {}", self.state);
        if let Some(next) = next {
            self.state = next;
            self.observed.transition(next, event.name(), refused.map(Error::to_string));
        }
    }

    /// The log is known to reach so far, and is replayed from here on.
    pub(super) fn replays(&mut self, from: Position, end: Position) {
        (self.replayed, self.end) = (from, end);
        self.tell();
    }

    /// It is replayed up to here; whoever waits is told now and then.
    pub(super) fn replayed(&mut self, to: Position) {
        let told = |position: Position| position.0 / REPLAY_SHOWN_BYTES;
        let before = std::mem::replace(&mut self.replayed, to);
        if told(before) != told(to) {
            self.tell();
        }
    }

    fn tell(&self) {
        if let Some(watch) = &self.watch {
            watch(&Progress { recovery: self.observed.load(), replayed: self.replayed, end: self.end });
        }
    }

    /// The evidence of all steps.
    pub(super) fn done(mut self) -> Vec<Step> {
        self.tell();
        std::mem::take(&mut self.taken)
    }

    /// The evidence of the steps that were taken, by who takes no more.
    pub(super) fn taken(self) -> Vec<Step> {
        self.taken
    }
}
