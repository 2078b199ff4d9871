//! Why log that was received was rejected: what the halt, or the fault, says.
//!
//! The Receiver and the Validator say what did not prove itself, where, and by which fact; that is kept with the halt, over restarts. Here it is put beside the
//! rules that a segment has to obey. What was not reached is not evaluated: the first that fails ends the proof; and where no log has come nothing is.

use super::{Conclusion, Explanation, Kind, fact};
use crate::database::Database;
#[cfg(feature = "replication")]
use {
    super::Applied, crate::error::Error, crate::gate::Evaluation, crate::identity::Role, crate::position::Position,
    crate::reason::Reason, crate::replica::ReplicaStatus, crate::replica_state::Halt,
};

/// The rules of a segment in the order in which they are proven, what each asks for, and what is said where it does not hold.
#[cfg(feature = "replication")]
const PROOF: [(&str, &str, &[Reason]); 4] = [
    ("WIRE-FRAME", "the frame proves its length, its kind and its fields", &[Reason::ProtocolMalformed]),
    ("WIRE-PULL", "it was asked for", &[Reason::ProtocolUnexpected, Reason::ReplicationNotAsked]),
    ("F-V2", "it continues what was received", &[Reason::ReplicationGap]),
    ("F-V1", "each record proves itself, and its history continues the one before it", &[Reason::SegmentRejected]),
];

/// Of a node that makes its own log.
pub(super) fn no_log_is_received(database: &Database) -> Explanation {
    Explanation {
        kind: Kind::Segment,
        observed: vec![fact("role", database.identity().role)],
        inputs: Vec::new(),
        rules: Vec::new(),
        conclusion: Conclusion {
            outcome: "none received",
            sentence: "This node makes its own log and receives none.".to_owned(),
            error: None,
        },
        missing: Vec::new(),
    }
}

/// What ended the proof.
#[cfg(feature = "replication")]
struct Ended {
    reason: Reason,
    position: String,
    evidence: String,
}

#[cfg(feature = "replication")]
impl From<&Halt> for Ended {
    fn from(halt: &Halt) -> Ended {
        Ended { reason: halt.reason, position: halt.position.to_string(), evidence: halt.evidence.clone() }
    }
}

/// A fault that is not kept yet, or could not be: the disk refused.
#[cfg(feature = "replication")]
impl From<&Error> for Ended {
    fn from(fault: &Error) -> Ended {
        let position = fault.fact("position").unwrap_or("not known").to_owned();
        Ended { reason: fault.reason(), position, evidence: fault.to_string() }
    }
}

/// Explains what was rejected, if anything was.
#[cfg(feature = "replication")]
#[must_use]
pub fn segment(database: &Database, replica: Option<&ReplicaStatus>) -> Explanation {
    let Some(status) = replica else { return no_log_is_received(database) };
    let ended = status.halt.as_ref().map(Ended::from).or_else(|| status.fault.as_ref().map(Ended::from));
    explanation(ended, status.validated.point.position, status.reads.clone())
}

/// The same of a directory that nobody has open.
#[cfg(feature = "replication")]
pub(super) fn kept(halt: Option<&Halt>, applied: Position, refused: Option<Error>) -> Explanation {
    explanation(halt.map(Ended::from), applied, refused)
}

#[cfg(feature = "replication")]
fn explanation(ended: Option<Ended>, proven: Position, refused: Option<Error>) -> Explanation {
    let broken = ended.as_ref().and_then(|ended| {
        PROOF.iter().position(|(_, _, reasons)| reasons.contains(&ended.reason)).map(|index| (index, ended))
    });
    let rules = PROOF.iter().enumerate().map(|(index, (rule, condition, _))| {
        let (evaluation, evidence) = match broken {
            Some((at, ended)) if index == at => {
                let position = fact("position", &ended.position);
                (Evaluation::Fails, vec![fact("code", ended.reason), position, fact("evidence", &ended.evidence)])
            }
            Some((at, _)) if index > at => (Evaluation::Undetermined("the proof ended before it"), Vec::new()),
            _ if proven == Position::GENESIS && broken.is_none() => {
                (Evaluation::Undetermined("no log has come"), Vec::new())
            }
            _ => (Evaluation::Holds, vec![fact("proven_position", proven)]),
        };
        Applied::new(rule, *condition, evaluation, evidence)
    });
    let (outcome, sentence, error) = match (&broken, &ended) {
        (Some((_, ended)), _) => {
            let sentence = format!("Log was rejected at position {}: {}", ended.position, ended.reason.sentence());
            ("rejected", sentence, refused)
        }
        (None, Some(ended)) => {
            let sentence = format!(
                "No log was rejected; what stopped replication is {}: {}",
                ended.reason,
                ended.reason.sentence()
            );
            ("none rejected", sentence, refused)
        }
        (None, None) => ("none rejected", format!("All log up to position {proven} has proven itself."), None),
    };
    let halt = ended.as_ref().map_or_else(|| "none".to_owned(), |ended| format!("{}@{}", ended.reason, ended.position));
    Explanation {
        kind: Kind::Segment,
        observed: vec![fact("role", Role::Replica), fact("proven_position", proven), fact("stopped_by", halt)],
        inputs: Vec::new(),
        rules: rules.collect(),
        conclusion: Conclusion { outcome, sentence, error },
        missing: Vec::new(),
    }
}
