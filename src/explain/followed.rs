//! What the status of a replica adds to the explanation of its replication: the law of positions, the handshake, the halt, the first fault.
//!
//! Counts, which say how it came there, are left to the status: the same state has the same explanation.

use super::{Applied, Conclusion, Explanation, Facts, fact};
use crate::gate::Evaluation;
use crate::reason::Reason;
use crate::receiver::machine::State as Receiver;
use crate::replica::ReplicaStatus;
use crate::replica_state::Halt;
use crate::supervisor::machine::State;

/// The facts of a replica that rules are applied to.
fn seen(status: &ReplicaStatus) -> Facts {
    let target = status.received.origin.map(|origin| origin.target.position.to_string());
    vec![
        fact("primary", &status.primary),
        fact("state", status.replica.state),
        fact("cause", status.replica.cause),
        fact("receiver", status.receiver.state),
        fact("validator", status.validator.state),
        fact("applier", status.applier.state),
        fact("target_position", target.unwrap_or_else(|| "not known".to_owned())),
        fact("asked_position", status.received.asked),
        fact("received_position", status.received.received),
        fact("validated", status.validated.point),
        fact("applied", status.applied),
        fact(
            "blocked",
            status.replica.blocked.as_ref().or(status.receiver.blocked.as_ref()).map_or("nothing", String::as_str),
        ),
    ]
}

/// What says that this history and the primary's are not one.
const PARTED: [Reason; 6] = [
    Reason::HistoryAhead,
    Reason::HistoryDiverged,
    Reason::IdentityOtherDatabase,
    Reason::IdentityOtherEpoch,
    Reason::IdentityOtherPrimary,
    Reason::StateDiverged,
];

/// Adds what the status of a replica says.
pub(super) fn add(status: &ReplicaStatus, to: &mut Explanation) {
    to.observed.extend(seen(status));
    let (outcome, sentence) = follows(status);
    to.conclusion = Conclusion { outcome, sentence, error: status.fault.clone() };
    let (rules, missing) = (&mut to.rules, &mut to.missing);
    let (received, validated, applied) = (status.received, status.validated.point, status.applied);
    let in_order = applied.position <= validated.position
        && validated.position <= received.received
        && received.received <= received.asked;
    let positions = vec![
        fact("applied", applied.position),
        fact("validated", validated.position),
        fact("received", received.received),
        fact("asked", received.asked),
    ];
    rules.push(Applied::new("REPL-POSITIONS", in_order, positions));
    rules.push(match received.origin {
        Some(origin) => {
            let evidence = vec![
                fact("primary_node", origin.node_id),
                fact("primary_durable", origin.durable),
                fact("primary_oldest", origin.oldest),
                fact("validated", validated),
            ];
            // The handshake compares database, epoch, parameters and the point of the history; what differs halts.
            let parted = status.halt.as_ref().is_some_and(|halt| PARTED.contains(&halt.reason));
            Applied::new("R-PREFIX", !parted, evidence)
        }
        None => {
            let why = "no primary has answered since the start";
            missing.push(format!("what the primary holds: {why}"));
            Applied::new("R-PREFIX", Evaluation::Undetermined(why), vec![fact("validated", validated)])
        }
    });
    let halt = status.halt.as_ref().map_or_else(|| "none".to_owned(), Halt::to_string);
    let mut evidence = vec![fact("halt", halt)];
    evidence.extend(status.halt.iter().map(|halt| fact("evidence", &halt.evidence)));
    rules.push(Applied::new("REPL-HALT", status.halt.is_none(), evidence));
    let fault = status.fault.as_ref().map_or_else(|| "none".to_owned(), ToString::to_string);
    rules.push(Applied::new("P5-I10", status.fault.is_none(), vec![fact("fault", fault)]).to("replication"));
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
