//! Whether a node follows, how far it is, and whether it may be read: the positions, the states, the first fault, and the gate.
//!
//! On a replica everything is said by its status, of one moment. A node that writes follows nobody; of it the same rules are told as far as they
//! concern it.

use super::{Applied, Conclusion, Explanation, Facts, Kind, fact};
use crate::database::Database;
#[cfg(feature = "replication")]
use crate::gate::Evaluation;
use crate::gate::{self, Wish};
#[cfg(feature = "replication")]
use crate::replica::ReplicaStatus;
#[cfg(feature = "replication")]
use crate::replica_state::Halt;

/// Explains the replication of a node that runs; `replica` is its status, if it is one.
#[must_use]
pub fn replication(
    database: &Database,
    #[cfg(feature = "replication")] replica: Option<&ReplicaStatus>,
) -> Explanation {
    let wish = Wish::newest();
    let facts = database.facts(&wish);
    let mut observed = vec![
        fact("role", database.identity().role),
        fact("database", database.identity().database_id),
        fact("node", database.identity().node_id),
        fact("epoch", database.identity().epoch),
        fact("commit", facts.applied),
        fact("floor", facts.floor),
        fact("durable", database.extent().durable),
        fact("log_oldest", database.extent().oldest),
    ];
    let mut rules = Vec::new();
    #[cfg(feature = "replication")]
    let mut missing = Vec::new();
    #[cfg(not(feature = "replication"))]
    let missing = Vec::new();
    #[cfg(feature = "replication")]
    if let Some(status) = replica {
        observed.extend(seen(status));
        followed(status, &mut rules, &mut missing);
    }
    let gated = gate::evaluate(&facts, &wish);
    rules.extend(
        gated.map(|(check, holds)| Applied::new(check.name(), holds, check.evidence(&facts, &wish)).to("reads")),
    );
    let refused = database.refusal(&wish);
    let reads = match &refused {
        None => format!("Reads are answered at commit {}.", facts.applied),
        Some(error) => format!("Reads are refused: {}.", error.reason()),
    };
    let writer = || ("writes", format!("This node makes the history; it follows nobody. {reads}"), None);
    #[cfg(feature = "replication")]
    let (outcome, sentence, error) = replica.map_or_else(writer, |status| follows(status, &reads));
    #[cfg(not(feature = "replication"))]
    let (outcome, sentence, error): (_, _, Option<crate::Error>) = writer();
    let conclusion = Conclusion { outcome, sentence, error: refused.or(error) };
    Explanation { kind: Kind::Replication, observed, inputs: Vec::new(), rules, conclusion, missing }
}

/// The facts of a replica that rules are applied to. Counts, which say how it came there, are left to its status.
#[cfg(feature = "replication")]
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

#[cfg(feature = "replication")]
fn followed(status: &ReplicaStatus, rules: &mut Vec<Applied>, missing: &mut Vec<String>) {
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
            Applied::new("R-PREFIX", status.halt.is_none(), evidence)
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
    let blocked = status.receiver.blocked.as_deref().unwrap_or("nothing");
    let connection = vec![fact("receiver", status.receiver.state), fact("blocked", blocked)];
    rules.push(Applied::new("REPL-RECONNECT", true, connection).to("the connection decides nothing about reads"));
}

#[cfg(feature = "replication")]
fn follows(status: &ReplicaStatus, reads: &str) -> (&'static str, String, Option<crate::Error>) {
    use crate::receiver::machine::State as Receiver;
    use crate::supervisor::machine::State;
    let connected = status.receiver.state == Receiver::Streaming;
    let primary = &status.primary;
    let (outcome, sentence) = match status.replica.state {
        State::Halted => {
            ("halted", format!("Replication has halted, and stays so until an operator clears it. {reads}"))
        }
        State::Failed => ("failed", format!("Replication has stopped after a failure of this node. {reads}")),
        State::Closed => ("closed", format!("Replication was stopped. {reads}")),
        State::Ready if connected => (
            "follows",
            format!("Everything that {primary} named as durable is applied, and what follows is asked for. {reads}"),
        ),
        State::ReceivingWal | State::ValidatingWal | State::ApplyingWal if connected => (
            "catches up",
            format!("Not all of what {primary} named as durable is applied: {}. {reads}", status.replica.state),
        ),
        State::Disabled
        | State::Initializing
        | State::Bootstrapping
        | State::Recovering
        | State::ReceivingWal
        | State::ValidatingWal
        | State::ApplyingWal
        | State::Ready => ("waits", format!("There is no connection to {primary}: replication waits. {reads}")),
    };
    (outcome, sentence, status.fault.clone())
}
