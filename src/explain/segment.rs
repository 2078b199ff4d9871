//! Why log that was received was rejected: what the halt, or the fault, says.
//!
//! The Receiver and the Validator say what did not prove itself, where, and by which fact; that is kept with the halt, over restarts. Here it is put beside the
//! rules that a segment has to obey. What was not reached is not evaluated: the first that fails ends the proof.

use super::{Conclusion, Explanation, Kind, fact};
use crate::database::Database;
use crate::gate::Wish;
#[cfg(feature = "replication")]
use {
    super::{Applied, Facts},
    crate::gate::Evaluation,
    crate::reason::Reason,
    crate::replica::ReplicaStatus,
    crate::replica_state::Halt,
};

/// The rules of a segment in the order in which they are proven, and what breaks each.
#[cfg(feature = "replication")]
const PROOF: [(&str, &[Reason]); 5] = [
    ("WIRE-FRAME", &[Reason::ProtocolMalformed]),
    ("WIRE-PULL", &[Reason::ProtocolUnexpected, Reason::ReplicationNotAsked]),
    ("F-V2", &[Reason::ReplicationGap]),
    ("F-V1", &[Reason::SegmentRejected]),
    ("F-D1", &[Reason::HistoryDiverged, Reason::HistoryAhead, Reason::StateDiverged]),
];

/// Of a node that follows nobody, or nobody follows for.
pub(super) fn no_log_is_received(database: &Database) -> Explanation {
    let (sentence, error) = match database.identity().role.writes() {
        true => ("This node makes its own log and receives none.", None),
        false => ("No log is received while the directory is open like this.", database.refusal(&Wish::newest())),
    };
    Explanation {
        kind: Kind::Segment,
        observed: vec![fact("role", database.identity().role)],
        inputs: Vec::new(),
        rules: Vec::new(),
        conclusion: Conclusion { outcome: "none received", sentence: sentence.to_owned(), error },
        missing: Vec::new(),
    }
}

/// Explains what was rejected, if anything was.
#[cfg(feature = "replication")]
#[must_use]
pub fn segment(database: &Database, replica: Option<&ReplicaStatus>) -> Explanation {
    let Some(status) = replica else { return no_log_is_received(database) };
    let halt = status.halt.as_ref();
    let broken = halt.and_then(|halt| PROOF.iter().position(|(_, reasons)| reasons.contains(&halt.reason)));
    let proven =
        vec![fact("validated_position", status.validated.point.position), fact("seen_position", status.validated.seen)];
    let rules = PROOF.iter().enumerate().map(|(index, (rule, _))| match (halt, broken) {
        (Some(halt), Some(broken)) if index == broken => Applied::new(rule, Evaluation::Fails, evidence(halt)),
        (Some(_), Some(broken)) if index > broken => {
            Applied::new(rule, Evaluation::Undetermined("the proof ended before it"), Vec::new())
        }
        _ => Applied::new(rule, true, proven.clone()),
    });
    let observed = vec![
        fact("role", database.identity().role),
        fact("received_position", status.received.received),
        fact("seen_position", status.validated.seen),
        fact("validated", status.validated.point),
        fact("applied", status.applied),
        fact("receiver", status.receiver.state),
        fact("validator", status.validator.state),
        fact("halt", halt.map_or_else(|| "none".to_owned(), Halt::to_string)),
    ];
    let conclusion = match halt.filter(|_| broken.is_some()) {
        Some(halt) => Conclusion {
            outcome: "rejected",
            sentence: format!("Log was rejected at position {}: {}", halt.position, halt.reason.sentence()),
            error: status.reads.clone(),
        },
        None => Conclusion {
            outcome: "none rejected",
            sentence: format!("All log up to position {} has proven itself.", status.validated.point.position),
            error: None,
        },
    };
    let (kind, inputs, missing) = (Kind::Segment, Vec::new(), Vec::new());
    Explanation { kind, observed, inputs, rules: rules.collect(), conclusion, missing }
}

#[cfg(feature = "replication")]
fn evidence(halt: &Halt) -> Facts {
    vec![fact("code", halt.reason), fact("position", halt.position), fact("evidence", &halt.evidence)]
}
