//! What the status of a replica adds to the explanation of its replication: the law of positions, the handshake, the halt, the first fault.
//!
//! Counts, which say how it came there, are left to the status: the same state has the same explanation.

use super::ended::{self, Ended};
use super::{Applied, Conclusion, Explanation, Facts, fact};
use crate::gate::Evaluation;
use crate::receiver::machine::State as Receiver;
use crate::replica::ReplicaStatus;
use crate::supervisor::machine::State;

/// The facts of a replica. Once a halt is kept only those that are kept with it: how it came there is told by the halt, and a restart forgets the rest.
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

/// Adds what the status of a replica says.
pub(super) fn add(status: &ReplicaStatus, to: &mut Explanation) {
    to.observed.extend(seen(status));
    let ended = Ended::of(status);
    to.conclusion = conclusion(status, ended.as_ref());
    let (validated, applied) = (status.validated.point, status.applied);
    let mut positions = vec![fact("applied", applied.position), fact("validated", validated.position)];
    let mut in_order = applied.position <= validated.position;
    if status.halt.is_none() {
        let (received, asked) = (status.received.received, status.received.asked);
        positions.extend([fact("received", received), fact("asked", asked)]);
        in_order &= validated.position <= received && received <= asked;
    }
    to.rules.push(Applied::new("REPL-POSITIONS", "applied ≤ validated ≤ received ≤ asked", in_order, positions));
    to.rules.push(ended::prefix(ended.as_ref(), fact("validated", validated)));
    to.rules.push(ended::complete(ended.as_ref(), || named(status)));
    to.rules.push(ended::halted(ended.as_ref()));
    if status.halt.is_none() {
        let fault = status.fault.as_ref().map_or_else(|| "none".to_owned(), ToString::to_string);
        let condition = "no component of this replica has failed";
        to.rules.push(Applied::new("D-FSYNC", condition, status.fault.is_none(), vec![fact("fault", fault)]));
    }
}

/// Whether the primary keeps what comes next, as far as it has said so. What it named at a handshake holds for as long as that connection: it refuses what
/// it no longer has.
fn named(status: &ReplicaStatus) -> (Evaluation, Facts) {
    let Some(origin) = status.received.origin else {
        return (Evaluation::Undetermined("no primary has answered since the start"), Vec::new());
    };
    let evidence = vec![
        fact("primary_node", origin.node_id),
        fact("primary_durable", origin.durable),
        fact("primary_oldest", origin.oldest),
    ];
    if status.receiver.state != Receiver::Streaming {
        let why = "there is no connection, and what the primary named before may have changed";
        return (Evaluation::Undetermined(why), evidence);
    }
    ((origin.oldest <= status.received.received).into(), evidence)
}

/// What follows.
fn conclusion(status: &ReplicaStatus, ended: Option<&Ended>) -> Conclusion {
    let error = ended.and_then(|ended| ended.error(status));
    if ended.is_some_and(|ended| !ended.kept) && error.is_some() {
        let sentence = "Replication has halted, and the disk refused to keep that: a restart begins without it.";
        return Conclusion { outcome: "failed", sentence: sentence.to_owned(), error };
    }
    let (outcome, sentence) = follows(status);
    Conclusion { outcome, sentence, error: error.or_else(|| status.fault.clone()) }
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
