//! What ended the replication of a replica: the halt that is kept, or the first fault since the start.
//!
//! A fault that halts is a halt from the moment at which it is known; that it could not be written down, or is not yet, takes nothing from
//! it. Everything that an explanation says of a halt is said of this, so that no two rules tell two stories of one fault.

use super::{Applied, Facts, fact};
use crate::error::Error;
use crate::gate::Evaluation;
use crate::position::Position;
use crate::reason::Reason;
use crate::replica::ReplicaStatus;
use crate::replica_state::Halt;
use crate::supervisor::machine::State;

/// What ended it.
pub(super) struct Ended {
    pub(super) reason: Reason,
    pub(super) position: Position,
    pub(super) evidence: String,
    /// It stands in the directory, and outlives this process.
    pub(super) kept: bool,
}

/// What says that this history is not a beginning of the primary's.
const PARTED: [Reason; 4] =
    [Reason::HistoryAhead, Reason::HistoryDiverged, Reason::IdentityOtherDatabase, Reason::IdentityOtherEpoch];

impl From<&Halt> for Ended {
    fn from(halt: &Halt) -> Ended {
        Ended { reason: halt.reason, position: halt.position, evidence: halt.evidence.clone(), kept: true }
    }
}

impl Ended {
    /// What ended a replica that runs, if anything did.
    pub(super) fn of(status: &ReplicaStatus) -> Option<Ended> {
        let fault = |fault: &Error| {
            let named = fault.fact("position").and_then(|position| position.parse().ok()).map(Position);
            let position = named.unwrap_or(status.validated.point.position);
            Ended { reason: fault.reason(), position, evidence: fault.to_string(), kept: false }
        };
        status.halt.as_ref().map(Ended::from).or_else(|| status.fault.as_ref().map(fault))
    }

    /// What a halt comes to: the refusal of who is halted, with what is known of it by now; where the disk refused to keep it, a failure of this node: there is
    /// nothing to clear, and a restart is what an operator can do.
    pub(super) fn error(&self, status: &ReplicaStatus) -> Option<Error> {
        if self.kept {
            let halted = Error::new(Reason::ReplicaHalted).with("halt", self);
            return Some(halted.with("evidence", &self.evidence));
        }
        let refused = self.reason.halts() && status.replica.state == State::Failed;
        let failure = status.replica.blocked.as_deref().unwrap_or_default();
        let stopped = Error::new(Reason::ReplicationStopped).with("halt", self).with("kept", self.kept);
        refused.then(|| stopped.with("failure", failure))
    }

    /// The halt and what it was made of.
    fn facts(&self) -> Facts {
        let mut facts = vec![fact("halt", self)];
        if !self.kept {
            facts.push(fact("kept", self.kept));
        }
        facts.push(fact("evidence", &self.evidence));
        facts
    }

    /// The first fact in the evidence: the one that its own code put there, in front of everything that came from elsewhere. Nothing where the
    /// evidence is not that of a fault of the stages, as where the halt came in place of another.
    pub(super) fn first_fact(&self) -> Option<(&str, &str)> {
        let told = self.evidence.strip_prefix(self.reason.name())?.strip_prefix(": ")?;
        let (_, facts) = told.split_once(" [")?;
        let (name, value) = facts.split_once('=')?;
        Some((name, value.split([',', ']']).next().unwrap_or_default()))
    }
}

/// As a halt is named.
impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.reason, self.position)
    }
}

/// Whether what is held here is a beginning of the primary's history: each handshake and each record proves that; what contradicts it halts.
pub(super) fn prefix(ended: Option<&Ended>, held: (&'static str, String)) -> Applied {
    let parted = ended.filter(|ended| PARTED.contains(&ended.reason));
    let condition = "nothing contradicts that what is held here is a beginning of the primary's history";
    let mut evidence = vec![held];
    evidence.extend(parted.iter().flat_map(|ended| ended.facts()));
    Applied::new("R-PREFIX", condition, parted.is_none(), evidence)
}

/// Whether the primary keeps what comes next: a halt may say that it does not, and behind any other nobody is asked. `open` says it of a
/// replica that has not halted.
pub(super) fn complete(ended: Option<&Ended>, open: impl FnOnce() -> (Evaluation, Facts)) -> Applied {
    let (evaluation, evidence) = match ended.filter(|ended| ended.reason.halts()) {
        Some(ended) if ended.reason == Reason::HistoryRetired => (Evaluation::Fails, ended.facts()),
        Some(_) => (Evaluation::Undetermined("a replica that has halted asks nobody"), Vec::new()),
        None => open(),
    };
    Applied::new("R-COMPLETE", "the primary keeps the log that is needed next", evaluation, evidence)
}

/// Whether nothing has halted it.
pub(super) fn halted(ended: Option<&Ended>) -> Applied {
    let halt = ended.filter(|ended| ended.reason.halts());
    let evidence = halt.map_or_else(|| vec![fact("halt", "none")], Ended::facts);
    Applied::new("REPL-HALT", "nothing has halted this replica, or it was cleared", halt.is_none(), evidence)
}
