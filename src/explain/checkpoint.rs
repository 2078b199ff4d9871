//! Why the checkpoint is where it is: what the runs hold durably, what a restart would replay, and what stands between.
//!
//! A checkpoint is never built on what may be lost: it holds what the log has made durable, and the log behind it is replayed at a start.

use super::{Applied, Conclusion, Explanation, Kind, fact};
use crate::database::{Database, Status};
use crate::error::Error;
use crate::gate::Evaluation;
use crate::reason::Reason;
#[cfg(feature = "replication")]
use {super::ended::Ended, crate::gate::Wish, crate::replica::ReplicaStatus};

/// Explains the checkpoint of a node that runs; `replica` is its status, if it is one.
#[must_use]
pub fn checkpoint(database: &Database, #[cfg(feature = "replication")] replica: Option<&ReplicaStatus>) -> Explanation {
    // An earlier run may have found it: then what ended writing here is the halt, and that names it.
    #[cfg(feature = "replication")]
    let (halted, kept) = match replica.map(Ended::of) {
        Some(ended) => (ended.is_some_and(|ended| ended.reason == Reason::StateDiverged), None),
        None => (false, kept_divergence(database)),
    };
    #[cfg(not(feature = "replication"))]
    let (halted, kept): (bool, Option<Error>) = (false, None);
    let status = database.status();
    let Status { checkpoint, durable, commit, floor, log_oldest, .. } = status;
    let Status { runs, proofs, maintenance, .. } = &status;
    let behind = durable.position.since(checkpoint.position);
    let run_bytes = runs.iter().fold(0_u64, |bytes, run| bytes.saturating_add(run.size));
    let first = runs.first().map_or_else(|| "none".to_owned(), |run| run.id.first.to_string());
    let last = runs.last().map_or_else(|| "none".to_owned(), |run| run.id.last.to_string());
    let whole = runs.last().is_none_or(|run| run.id.last <= checkpoint.commit);
    let fault = status.write_fault.clone().or_else(|| kept.clone());
    let blocked = maintenance.blocked.clone().unwrap_or_else(|| "nothing".to_owned());
    let diverged =
        halted || kept.is_some() || fault.as_ref().is_some_and(|fault| fault.reason() == Reason::StateDiverged);
    let compared = match proofs.waiting {
        _ if diverged => Evaluation::Fails,
        0 => Evaluation::Holds,
        _ => Evaluation::Undetermined("the log names runs that are not complete here"),
    };
    // What has stopped it is all that a restart finds again; how far maintenance was by then is not.
    let writing = match &fault {
        Some(fault) => vec![fact("fault", fault)],
        None => vec![
            fact("maintenance", maintenance.state),
            fact("blocked", blocked),
            fact("sealed_tables", status.sealed_tables),
            fact("merges_due", status.merges_due),
        ],
    };
    let rules = vec![
        Applied::new(
            "D-ACK",
            "the checkpoint holds durable log only",
            checkpoint.position <= durable.position,
            vec![fact("checkpoint_position", checkpoint.position), fact("durable_position", durable.position)],
        ),
        Applied::new(
            "R-CUT",
            "the newest run ends at the checkpoint or before it",
            whole,
            vec![
                fact("checkpoint_commit", checkpoint.commit),
                fact("runs", runs.len()),
                fact("run_bytes", run_bytes),
                fact("first_commit", first),
                fact("last_commit", last),
            ],
        ),
        Applied::new(
            "P5-I11",
            "the log behind the checkpoint is kept, so a restart finds all",
            log_oldest <= checkpoint.position,
            vec![
                fact("log_oldest", log_oldest),
                fact("replay_from", checkpoint.position),
                fact("replay_to", durable.position),
                fact("replay_bytes", behind),
            ],
        ),
        Applied::new(
            "REPL-PROOF",
            "no run differs from the one that the log names, and none waits to be compared",
            compared,
            vec![fact("diverged", diverged), fact("waiting", proofs.waiting), fact("owed", proofs.owed)],
        ),
        Applied::new("D-FSYNC", "nothing has stopped the writing of runs", fault.is_none(), writing),
    ];
    let observed = vec![
        fact("role", status.identity.role),
        fact("commit", commit),
        fact("floor", floor),
        fact("durable", durable),
        fact("checkpoint", checkpoint),
    ];
    Explanation {
        kind: Kind::Checkpoint,
        observed,
        inputs: Vec::new(),
        rules,
        conclusion: conclusion(fault, checkpoint.commit, behind),
        left_out: Vec::new(),
    }
}

/// The halt of a replica's directory that nobody follows with, where it is that of runs that differ: it bars reads from the opening on.
#[cfg(feature = "replication")]
fn kept_divergence(database: &Database) -> Option<Error> {
    let refused = database.refusal(&Wish::newest())?;
    let (code, _) = refused.fact("halt")?.split_once('@')?;
    (refused.reason() == Reason::ReplicaHalted && code == Reason::StateDiverged.name()).then_some(refused)
}

fn conclusion(fault: Option<Error>, commit: crate::CommitId, behind: u64) -> Conclusion {
    match fault {
        Some(error) => {
            let halts = error.reason().halts() || error.reason() == Reason::ReplicaHalted;
            Conclusion {
                outcome: "stopped",
                sentence: format!(
                    "Everything up to commit {commit} is in the runs; no further checkpoint is made before {}.",
                    if halts { "the halt is cleared" } else { "a restart" }
                ),
                error: Some(error),
            }
        }
        None => Conclusion {
            outcome: "durable",
            sentence: format!(
                "Everything up to commit {commit} is in the runs; a restart would replay {behind} bytes of log."
            ),
            error: None,
        },
    }
}
