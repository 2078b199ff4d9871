//! Why log that was received was rejected: what the halt, or the fault, says.
//!
//! The Receiver and the Validator say what did not prove itself, where, and by which fact; that is kept with the halt, over restarts. Here it is put beside the
//! rules that log has to obey, in the order in which they prove it. What ended the connection by other means rejected no log: a primary that refuses, a WELCOME that
//! does not fit, a snapshot. What was not reached is not evaluated: the first that fails ends the proof; and where no log has come nothing is.

use super::{Conclusion, Explanation, Kind, fact};
use crate::database::Database;
#[cfg(feature = "replication")]
use {
    super::{Applied, ended::Ended},
    crate::error::Error,
    crate::frame,
    crate::gate::Evaluation,
    crate::identity::Role,
    crate::position::{LogPoint, Position},
    crate::reason::Reason,
    crate::recovery::machine::State as Recovery,
    crate::replica::ReplicaStatus,
    crate::replica_state::{Origin, ReplicaState},
};

/// A rule of log that comes.
#[cfg(feature = "replication")]
struct Proven {
    rule: &'static str,
    condition: &'static str,
    /// What ends the replica where it does not hold.
    reason: Reason,
    /// Whether that means this rule: what ended it has several meanings, and the first fact beside it tells them apart.
    means: fn(Option<(&str, &str)>) -> bool,
}

/// The rules in the order in which they are proven.
#[cfg(feature = "replication")]
const PROOF: [Proven; 6] = [
    Proven {
        rule: "WIRE-FRAME",
        condition: "the frame proves its length, its kind and its fields",
        reason: Reason::ProtocolMalformed,
        means: |fact| fact.is_some_and(|(name, _)| name == "fault"),
    },
    Proven {
        rule: "WIRE-HELLO",
        condition: "it comes behind a handshake",
        reason: Reason::ProtocolUnexpected,
        means: |fact| fact == Some(("frame", frame::Kind::Segment.name())),
    },
    Proven {
        rule: "F-V2",
        condition: "it leaves no gap behind what was received",
        reason: Reason::ReplicationGap,
        means: |_| true,
    },
    Proven {
        rule: "WIRE-PULL",
        condition: "it was asked for, and has not come before",
        reason: Reason::ReplicationNotAsked,
        means: |_| true,
    },
    Proven {
        rule: "WIRE-DURABLE",
        condition: "the durable end that comes with it is not before one that was named",
        reason: Reason::ProtocolUnexpected,
        means: |fact| fact.is_some_and(|(name, _)| name == "position"),
    },
    Proven {
        rule: "F-V1",
        condition: "each record proves itself, and its history continues the one before it",
        reason: Reason::SegmentRejected,
        means: |_| true,
    },
];

/// Which of them what ended the replica breaks.
#[cfg(feature = "replication")]
fn broken(ended: &Ended) -> Option<usize> {
    PROOF.iter().position(|proven| proven.reason == ended.reason && (proven.means)(ended.first_fact()))
}

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
        left_out: Vec::new(),
    }
}

/// Whether any of it has come as log.
#[cfg(feature = "replication")]
#[derive(Clone, Copy, PartialEq, Eq)]
enum Arrived {
    Some,
    /// The replica began where it is.
    None,
    /// What is recorded is where it began, and may be behind what came.
    Unknown,
}

#[cfg(feature = "replication")]
const UNKNOWN: &str = "how far the log reaches is not looked at";

/// What is known of the log that came.
#[cfg(feature = "replication")]
struct Came {
    ended: Option<Ended>,
    /// Where what has proven itself ends, and under which name that is known.
    proven: (&'static str, LogPoint),
    arrived: Arrived,
    refused: Option<Error>,
}

/// Explains what was rejected, if anything was.
#[cfg(feature = "replication")]
#[must_use]
pub fn segment(database: &Database, replica: Option<&ReplicaStatus>) -> Explanation {
    let Some(status) = replica else { return no_log_is_received(database) };
    let proven = status.validated.point;
    let step = database.report().steps.iter().find(|step| step.step == Recovery::Install);
    let origin = step.and_then(|step| step.found.iter().find(|(name, _)| *name == "origin"));
    let began = origin.is_some_and(|(_, origin)| beginnings(proven).iter().any(|known| known.to_string() == *origin));
    let arrived = if began { Arrived::None } else { Arrived::Some };
    let ended = Ended::of(status);
    let refused = ended.as_ref().and_then(|ended| ended.error(status)).or_else(|| status.reads.clone());
    Came { ended, proven: ("proven_position", proven), arrived, refused }.explained()
}

/// The same of a directory that nobody has open. How far its log reaches is not looked at.
#[cfg(feature = "replication")]
pub(super) fn kept(state: &ReplicaState, refused: Option<Error>) -> Explanation {
    let arrived = if state.origin == Origin::Nothing {
        Arrived::None
    } else if beginnings(state.applied).contains(&state.origin) {
        Arrived::Unknown
    } else {
        Arrived::Some
    };
    let ended = state.halt.as_ref().map(Ended::from);
    Came { ended, proven: ("recorded_applied_position", state.applied), arrived, refused }.explained()
}

/// With what a replica can have begun that has come to this point.
#[cfg(feature = "replication")]
fn beginnings(point: LogPoint) -> Vec<Origin> {
    let mut beginnings = vec![Origin::Snapshot(point), Origin::Backup(point)];
    beginnings.extend((point.position == Position::GENESIS).then_some(Origin::Log));
    beginnings
}

#[cfg(feature = "replication")]
impl Came {
    fn explained(self) -> Explanation {
        let Came { ended, proven: (name, proven), arrived, refused } = self;
        let broken = ended.as_ref().and_then(|ended| Some((broken(ended)?, ended)));
        let rules = PROOF.iter().enumerate().map(|(index, proof)| {
            let (evaluation, evidence) = match broken {
                Some((at, ended)) if index == at => {
                    let evidence = fact("evidence", &ended.evidence);
                    let position = fact("position", ended.position);
                    (Evaluation::Fails, vec![fact("code", ended.reason), position, evidence])
                }
                Some((at, _)) if index > at => (Evaluation::Undetermined("the proof ended before it"), Vec::new()),
                None if arrived == Arrived::None => (Evaluation::Undetermined("no log has come"), Vec::new()),
                None if arrived == Arrived::Unknown => (Evaluation::Undetermined(UNKNOWN), Vec::new()),
                _ => (Evaluation::Holds, vec![fact(name, proven.position)]),
            };
            Applied::new(proof.rule, proof.condition, evaluation, evidence)
        });
        let (outcome, sentence) = match (&broken, &ended) {
            (Some((0, ended)), _) => (
                "rejected",
                format!("A frame was rejected at position {}: {}", ended.position, ended.reason.sentence()),
            ),
            (Some((_, ended)), _) => {
                ("rejected", format!("Log was rejected at position {}: {}", ended.position, ended.reason.sentence()))
            }
            (None, Some(Ended { reason, .. })) => {
                let stopped =
                    format!("No log was rejected; what stopped replication is {reason}: {}", reason.sentence());
                ("none rejected", stopped)
            }
            (None, None) => match arrived {
                Arrived::None => ("none received", "No log has come since this replica began.".to_owned()),
                Arrived::Unknown => {
                    ("not known", format!("Whether log has come since this replica began is not known: {UNKNOWN}."))
                }
                Arrived::Some => {
                    ("none rejected", format!("All log up to position {} has proven itself.", proven.position))
                }
            },
        };
        let stopped_by = ended.as_ref().map_or_else(|| "none".to_owned(), Ended::to_string);
        let observed = vec![fact("role", Role::Replica), fact(name, proven.position), fact("stopped_by", stopped_by)];
        let error = refused.filter(|_| ended.is_some());
        let unknown = (arrived == Arrived::Unknown && broken.is_none())
            .then(|| format!("what has come since it began: {UNKNOWN}"));
        Explanation {
            kind: Kind::Segment,
            observed,
            inputs: Vec::new(),
            rules: rules.collect(),
            conclusion: Conclusion { outcome, sentence, error },
            left_out: unknown.into_iter().collect(),
        }
    }
}
