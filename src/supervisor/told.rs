//! What is told of a replica as a whole: its state, what it ended by and what halted it, all of one moment (P5-I14).
//!
//! One fact, because with several a look between two of them shows a replica that was never there: ready, and halted. Whoever is told of a
//! halt or of a failure is refused: reads end before this changes (REPL-HALT).
//!
//! Writer: the Supervisor; where that has failed an assertion of its own, who caught it. Readers: all.

use super::machine::{self, Event, State};
use crate::error::Error;
use crate::observed::{Observation, Observed};
use crate::published::Cell;
use crate::replica_state::Halt;

/// A replica as a whole, at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// What it is doing.
    pub replica: Observation<State>,
    /// The first fault since the start: what ended it.
    pub fault: Option<Error>,
    /// What halted it, in this run or an earlier one.
    pub halt: Option<Halt>,
}

/// Nobody supervises the replica any more: says so, and why, in the Supervisor's place.
pub fn abandoned(observed: &Observed<State>, told: &Cell<Told>, fault: Option<Error>) {
    if let Some(failed) = machine::next(observed.load().state, Event::Fail) {
        observed.transition(failed, Event::Fail.name(), fault.as_ref().map(Error::to_string));
    }
    told.update(|told| Told { replica: observed.load(), fault: fault.clone(), halt: told.halt.clone() });
}
