//! Why log that was received was rejected: what the halt, or the fault, says.
//!
//! The Receiver and the Validator say what did not prove itself, where, and by which fact; that is kept with the halt, over restarts. Here it is put beside the
//! rules that a segment has to obey. What was not reached is not evaluated: the first that fails ends the proof.

use super::{Applied, Conclusion, Explanation, Facts, Kind, fact};
use crate::gate::Evaluation;
use crate::reason::Reason;
use crate::replica::ReplicaStatus;
use crate::replica_state::Halt;

/// The rules of a segment in the order in which they are proven, and what breaks each.
const PROOF: [(&str, &[Reason]); 5] = [
    ("WIRE-FRAME", &[Reason::ProtocolMalformed]),
    ("WIRE-PULL", &[Reason::ProtocolUnexpected, Reason::ReplicationNotAsked]),
    ("F-V2", &[Reason::ReplicationGap]),
    ("F-V1", &[Reason::SegmentRejected]),
    ("F-D1", &[Reason::HistoryDiverged, Reason::HistoryAhead, Reason::StateDiverged]),
];

/// Explains what was rejected, if anything was.
#[must_use]
pub fn segment(status: &ReplicaStatus) -> Explanation {
    let halt = status.halt.as_ref();
    let broken = halt.and_then(|halt| PROOF.iter().position(|(_, reasons)| reasons.contains(&halt.reason)));
    let rules = PROOF.iter().enumerate().map(|(index, (rule, _))| match (halt, broken) {
        (Some(halt), Some(broken)) if index == broken => Applied::new(rule, Evaluation::Fails, evidence(halt)),
        (Some(_), Some(broken)) if index > broken => {
            Applied::new(rule, Evaluation::Undetermined("the proof ended before it"), Vec::new())
        }
        _ => Applied::new(rule, true, Vec::new()),
    });
    let observed = vec![
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
    Explanation {
        kind: Kind::Segment,
        observed,
        inputs: Vec::new(),
        rules: rules.collect(),
        conclusion,
        missing: Vec::new(),
    }
}

fn evidence(halt: &Halt) -> Facts {
    vec![fact("code", halt.reason), fact("position", halt.position), fact("evidence", &halt.evidence)]
}
