//! What the status of a replica adds to the explanation of its replication: the law of positions, the handshake, the halt, the first fault.
//!
//! Counts, which say how it came there, are left to the status: the same state has the same explanation.

use super::{Applied, Conclusion, Explanation, Facts, fact};
use crate::gate::Evaluation;
use crate::position::LogPoint;
use crate::reason::Reason;
use crate::receiver::machine::State as Receiver;
use crate::replica::ReplicaStatus;
use crate::replica_state::Halt;
use crate::supervisor::machine::State;

/// The facts of a replica. Once it has halted only those that are kept: how it came there is told by the halt, and a restart forgets the rest.
fn seen(status: &ReplicaStatus) -> Facts {
    let mut seen = vec![
        fact("primary", &status.primary),
        fact("state", status.replica.state),
        fact("validated", status.validated.point),
        fact("applied", status.applied),
    ];
    if status.halt.is_none() {
        let target = status.received.origin.map(|origin| origin.target.position.to_string());
        let blocked = status.replica.blocked.as_ref().or(status.receiver.blocked.as_ref());
        seen.extend([
            fact("cause", status.replica.cause),
            fact("receiver", status.receiver.state),
            fact("validator", status.validator.state),
            fact("applier", status.applier.state),
            fact("target_position", target.unwrap_or_else(|| "not known".to_owned())),
            fact("asked_position", status.received.asked),
            fact("received_position", status.received.received),
            fact("blocked", blocked.map_or("nothing", String::as_str)),
        ]);
    }
    seen
}

/// What says that this history is not a beginning of the primary's.
const PARTED: [Reason; 4] =
    [Reason::HistoryAhead, Reason::HistoryDiverged, Reason::IdentityOtherDatabase, Reason::IdentityOtherEpoch];

/// Adds what the status of a replica says.
pub(super) fn add(status: &ReplicaStatus, to: &mut Explanation) {
    to.observed.extend(seen(status));
    let (outcome, sentence) = follows(status);
    to.conclusion = Conclusion { outcome, sentence, error: status.fault.clone() };
    let (validated, applied) = (status.validated.point, status.applied);
    let mut positions = vec![fact("applied", applied.position), fact("validated", validated.position)];
    let mut in_order = applied.position <= validated.position;
    if status.halt.is_none() {
        let (received, asked) = (status.received.received, status.received.asked);
        positions.extend([fact("received", received), fact("asked", asked)]);
        in_order &= validated.position <= received && received <= asked;
    }
    to.rules.push(Applied::new("REPL-POSITIONS", "applied ≤ validated ≤ received ≤ asked", in_order, positions));
    to.rules.push(prefix(status.halt.as_ref(), validated));
    match (&status.halt, status.received.origin) {
        (Some(_), _) => {}
        (None, Some(origin)) => {
            let evidence = vec![
                fact("primary_node", origin.node_id),
                fact("primary_durable", origin.durable),
                fact("primary_oldest", origin.oldest),
            ];
            let kept = origin.oldest <= status.received.received;
            let condition = "the primary keeps the log that is needed next";
            to.rules.push(Applied::new("R-COMPLETE", condition, kept, evidence));
        }
        (None, None) => {
            let why = "no primary has answered since the start";
            let condition = "the primary keeps the log that is needed next";
            to.rules.push(Applied::new("R-COMPLETE", condition, Evaluation::Undetermined(why), Vec::new()));
            to.missing.push(format!("what the primary holds: {why}"));
        }
    }
    to.rules.push(halted(status.halt.as_ref()));
    if status.halt.is_none() {
        let fault = status.fault.as_ref().map_or_else(|| "none".to_owned(), ToString::to_string);
        let condition = "no component of this replica has failed";
        to.rules.push(Applied::new("D-FSYNC", condition, status.fault.is_none(), vec![fact("fault", fault)]));
    }
}

/// Whether what is validated is a beginning of the primary's history: each handshake and each record proves that; what contradicts it halts.
pub(super) fn prefix(halt: Option<&Halt>, validated: LogPoint) -> Applied {
    let parted = halt.is_some_and(|halt| PARTED.contains(&halt.reason));
    let condition = "nothing contradicts that what is validated here is a beginning of the primary's history";
    Applied::new("R-PREFIX", condition, !parted, vec![fact("validated", validated)])
}

/// Whether nothing has halted it.
pub(super) fn halted(halt: Option<&Halt>) -> Applied {
    let mut evidence = vec![fact("halt", halt.map_or_else(|| "none".to_owned(), Halt::to_string))];
    evidence.extend(halt.map(|halt| fact("evidence", &halt.evidence)));
    Applied::new("REPL-HALT", "nothing has halted this replica, or it was cleared", halt.is_none(), evidence)
}

/// What a replica is doing, in a word and a sentence.
fn follows(status: &ReplicaStatus) -> (&'static str, String) {
    let connected = status.receiver.state == Receiver::Streaming;
    let (primary, state) = (&status.primary, status.replica.state);
    match state {
        State::Halted => ("halted", "Replication has halted, and stays so until an operator clears it.".to_owned()),
        State::Failed => ("failed", "Replication has stopped after a failure of this node.".to_owned()),
        State::Closed => ("closed", "Replication was stopped.".to_owned()),
        State::Ready if connected => {
            let told = format!("Everything that {primary} named as durable is applied, and what follows is asked for.");
            ("follows", told)
        }
        State::ReceivingWal | State::ValidatingWal | State::ApplyingWal if connected => {
            ("catches up", format!("Not all of what {primary} named as durable is applied: {state}."))
        }
        State::Disabled
        | State::Initializing
        | State::Bootstrapping
        | State::Recovering
        | State::ReceivingWal
        | State::ValidatingWal
        | State::ApplyingWal
        | State::Ready => ("waits", format!("There is no connection to {primary}: replication waits.")),
    }
}
