//! What a recovery keeps of itself: for each step what it found, proved and dropped (RC-STEPS).
//!
//! Facts have names and an order that do not change, and no time: from the same bytes come the same facts (P5-I11). A step that failed keeps
//! what it had found by then; the refusal stands beside it.

use super::machine::State;
use crate::commit_id::CommitId;
use crate::error::Error;
use crate::identity::Identity;
use crate::observed::Observation;
use crate::position::{LogPoint, Position};
use crate::wal::LogReport;
use std::fmt;

/// What opening found, proved and dropped.
#[derive(Clone, Debug)]
pub struct Report {
    /// Whose directory it is.
    pub identity: Identity,
    /// The checkpoint from which the log was replayed.
    pub checkpoint: LogPoint,
    /// The floor now.
    pub floor: CommitId,
    /// What opening the log found.
    pub log: LogReport,
    /// Records replayed behind the checkpoint.
    pub records_replayed: u64,
    /// Files of the store that were left over, removed.
    pub removed: Vec<String>,
    /// The evidence of each step, in the order in which they were taken.
    pub steps: Vec<Step>,
}

/// Facts under their names.
pub type Facts = Vec<(&'static str, String)>;

/// The evidence of one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Which.
    pub step: State,
    /// What was there.
    pub found: Facts,
    /// What holds since.
    pub proven: Facts,
    /// What was there and is no more.
    pub dropped: Facts,
}

impl Step {
    pub(super) fn new(step: State) -> Step {
        Step { step, found: Vec::new(), proven: Vec::new(), dropped: Vec::new() }
    }

    pub(super) fn found(&mut self, name: &'static str, value: impl fmt::Display) {
        self.found.push((name, value.to_string()));
    }

    pub(super) fn proven(&mut self, name: &'static str, value: impl fmt::Display) {
        self.proven.push((name, value.to_string()));
    }

    pub(super) fn dropped(&mut self, name: &'static str, value: impl fmt::Display) {
        self.dropped.push((name, value.to_string()));
    }
}

/// `found a=1, b=2; proven c=3; dropped d=4`, without the parts that are empty.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [("found", &self.found), ("proven", &self.proven), ("dropped", &self.dropped)];
        for (number, (part, facts)) in parts.into_iter().filter(|(_, facts)| !facts.is_empty()).enumerate() {
            let facts: Vec<String> = facts.iter().map(|(name, value)| format!("{name}={value}")).collect();
            write!(f, "{}{part} {}", if number == 0 { "" } else { "; " }, facts.join(", "))?;
        }
        Ok(())
    }
}

/// A recovery that did not come to its end: nothing is open.
#[derive(Clone, Debug)]
pub struct Refused {
    /// The evidence up to the step that refused, which is the last.
    pub steps: Vec<Step>,
    /// Why.
    pub error: Error,
}

/// What comes of a step, or of all.
pub(crate) type Taken<T> = std::result::Result<T, Box<Refused>>;

/// What becomes of it where nobody asks how far it came.
impl From<Box<Refused>> for Error {
    fn from(refused: Box<Refused>) -> Error {
        refused.error
    }
}

/// A recovery at a moment, for who waits for it.
#[derive(Clone, Debug)]
pub struct Progress {
    /// The step that it takes.
    pub recovery: Observation<State>,
    /// Up to where the log is replayed, once it is.
    pub replayed: Position,
    /// How far the log is known to reach; more may prove itself.
    pub end: Position,
}
