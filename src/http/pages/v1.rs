//! What is under `/v1`: the node's own words, as values for programs (HTTP-ENVELOPE).
//!
//! Names and order are those of `docs/http.md`, and do not change within a version; what is added stands behind. Positions and CommitIds are exact,
//! and so are their differences, which are subtracted here. What is not known is `null`, never 0.

use super::{Gate, Moment};
use crate::database::{Database, Status};
use crate::identity::Identity;
use crate::json::{Json, Object};
use crate::limits::HTTP_SEGMENTS_SHOWN;
use crate::observed::Observation;
use crate::recovery::machine::State as Recovery;
#[cfg(feature = "replication")]
use crate::replica::ReplicaStatus;
use crate::server::feeds;
use crate::store::run::RunInfo;
use crate::wal;
use std::fmt::Display;

/// `/v1/status`
pub(super) fn status(seen: &Moment<'_>) -> Object {
    let status = &seen.status;
    let told = Object::new()
        .with("identity", identity(&status.identity))
        .with("commit", status.commit)
        .with("floor", status.floor)
        .with("durable", status.durable)
        .with("log_oldest", status.log_oldest)
        .with("checkpoint", status.checkpoint)
        .with("runs", runs(status))
        .with("merges_due", status.merges_due)
        .with("sealed_tables", status.sealed_tables)
        .with("proofs", proofs(status))
        .with("views", status.views)
        .with("checkpoints", status.checkpoints)
        .with("committer", component(&status.committer))
        .with("maintenance", component(&status.maintenance))
        .with("halted", status.halted.as_ref())
        .with("write_fault", status.write_fault.as_ref());
    #[cfg(feature = "replication")]
    if let Some(replica) = &seen.replica {
        return told.with("replica", followed(replica));
    }
    told
}

/// `/v1/wal`, and what is missing.
pub(super) fn wal(database: &Database) -> (Object, Vec<String>) {
    let extent = database.extent();
    let (report, log) = (&database.report().log, database.log());
    let mut notes = Vec::new();
    let segments = match wal::segments_before(log, extent.durable.position) {
        Ok(mut segments) => {
            segments.retain(|first| *first >= extent.oldest);
            let hidden = segments.len().saturating_sub(HTTP_SEGMENTS_SHOWN);
            if hidden > 0 {
                notes.push(format!("the oldest {hidden} segments are not listed"));
            }
            Json::array(segments.into_iter().skip(hidden))
        }
        Err(error) => {
            notes.push(format!("the segments: {error}"));
            Json::Null
        }
    };
    let recovered = Object::new()
        .with("proven_from", report.proven_from)
        .with("marked", report.marked)
        .with("end", report.end)
        .with("torn_bytes", report.torn_bytes)
        .with("unproven_bytes", report.unproven_bytes)
        .with("roll_finished", report.roll_finished)
        .with("removed", Json::array(report.removed.iter().map(String::as_str)));
    let status = database.status();
    let data = Object::new()
        .with("role", Json::text(status.identity.role))
        .with("durable", extent.durable)
        .with("oldest", extent.oldest)
        .with("kept_bytes", extent.durable.position.since(extent.oldest))
        .with("segment_bytes", status.identity.parameters.segment_bytes)
        .with("newest_segment", extent.segment)
        .with("segments", segments)
        .with("committer", component(&status.committer))
        .with("recovered", recovered)
        .with("write_fault", status.write_fault.as_ref());
    (data, notes)
}

/// `/v1/mvcc`
pub(super) fn mvcc(seen: &Moment<'_>) -> Object {
    let status = &seen.status;
    Object::new()
        .with("commit", status.commit)
        .with("floor", status.floor)
        .with("readable_commits", status.commit.0.saturating_sub(status.floor.0).saturating_add(1))
        .with("views", status.views)
        .with("sealed_tables", status.sealed_tables)
        .with("runs", status.runs.len())
        .with("reads", reads(&seen.gate))
}

/// `/v1/snapshots`
pub(super) fn snapshots(seen: &Moment<'_>) -> Object {
    let status = &seen.status;
    let sent = seen.server.replicas.iter().filter(|replica| replica.bytes.is_some());
    Object::new()
        .with("newest", status.checkpoint)
        .with("bytes", run_bytes(status))
        .with("runs", status.runs.len())
        .with("pinned", status.checkpoints)
        .with("serves", seen.server.feeds)
        .with("sending", Json::array(sent.map(fed)))
        .with("begun_with", begun_with(seen.database))
}

/// `/v1/checkpoints`
pub(super) fn checkpoints(seen: &Moment<'_>) -> Object {
    let status = &seen.status;
    Object::new()
        .with("checkpoint", status.checkpoint)
        .with("durable", status.durable)
        .with("replay_bytes", status.durable.position.since(status.checkpoint.position))
        .with("pinned", status.checkpoints)
        .with("runs", runs(status))
        .with("run_bytes", run_bytes(status))
        .with("sealed_tables", status.sealed_tables)
        .with("merges_due", status.merges_due)
        .with("proofs", proofs(status))
        .with("maintenance", component(&status.maintenance))
        .with("write_fault", status.write_fault.as_ref())
}

/// `/v1/replication`
pub(super) fn replication(seen: &Moment<'_>) -> Object {
    let status = &seen.status;
    let retained = Object::new()
        .with("oldest", status.log_oldest)
        .with("kept_bytes", status.durable.position.since(status.log_oldest));
    let told = Object::new()
        .with("role", Json::text(status.identity.role))
        .with("database", status.identity.database_id)
        .with("node", status.identity.node_id)
        .with("epoch", status.identity.epoch)
        .with("commit", status.commit)
        .with("floor", status.floor)
        .with("durable", status.durable)
        .with("retention", retained)
        .with("checkpoint", status.checkpoint)
        .with("reads", reads(&seen.gate));
    #[cfg(feature = "replication")]
    if let Some(replica) = &seen.replica {
        return told
            .with("begun_with", begun_with(seen.database))
            .with("replica", followed(replica))
            .with("behind", behind(replica))
            .with("proofs", proofs(status));
    }
    let replicas = seen.server.replicas.iter();
    told.with("serves", seen.server.feeds).with("replicas", Json::array(replicas.map(fed)))
}

pub(super) fn identity(identity: &Identity) -> Object {
    let parameters = &identity.parameters;
    Object::new()
        .with("role", Json::text(identity.role))
        .with("database", identity.database_id)
        .with("node", identity.node_id)
        .with("epoch", identity.epoch)
        .with("segment_bytes", parameters.segment_bytes)
        .with("table_bytes", parameters.table_bytes)
        .with("block_bytes", parameters.block_bytes)
        .with("fanout", parameters.fanout)
}

fn proofs(status: &Status) -> Object {
    let proofs = &status.proofs;
    Object::new()
        .with("logged", proofs.logged)
        .with("compared", proofs.compared)
        .with("waiting", proofs.waiting)
        .with("missed", proofs.missed)
        .with("owed", proofs.owed)
}

fn runs(status: &Status) -> Json {
    let run = |info: &RunInfo| {
        Object::new()
            .with("file", info.id.file_name())
            .with("level", info.id.level)
            .with("first", info.id.first)
            .with("last", info.id.last)
            .with("bytes", info.size)
            .with("hash", format!("{:032x}", info.hash))
    };
    Json::array(status.runs.iter().map(run))
}

/// The bytes of all runs.
pub(super) fn run_bytes(status: &Status) -> u64 {
    status.runs.iter().fold(0, |bytes, run| bytes.saturating_add(run.size))
}

pub(super) fn component<S: Copy + Display>(seen: &Observation<S>) -> Object {
    Object::new()
        .with("state", Json::text(seen.state))
        .with("previous", seen.previous.map(|previous| previous.to_string()))
        .with("cause", seen.cause)
        .with("transitions", seen.transitions)
        .with("blocked", seen.blocked.clone())
}

/// Whether reads are safe, and by which rules.
pub(super) fn reads(gate: &Gate) -> Object {
    let rules = gate.rules.iter().map(|(check, evaluation, evidence)| {
        Object::new()
            .with("id", check.name())
            .with("holds_where", check.holds_where())
            .with("evaluation", evaluation.name())
            .with("evidence", crate::explain::facts(evidence))
    });
    Object::new()
        .with("safe", gate.refusal.is_none())
        .with("refusal", gate.refusal.as_ref())
        .with("rules", Json::array(rules))
}

/// A replica that this node feeds. Positions of log and places in a snapshot are told apart by what it came for.
fn fed(replica: &feeds::Replica) -> Object {
    Object::new()
        .with("node", replica.node)
        .with("address", replica.address.to_string())
        .with("purpose", replica.purpose)
        .with("state", replica.state)
        .with("sent", Json::Exact(replica.sent))
        .with("asked", Json::Exact(replica.asked))
        .with("snapshot_bytes", replica.bytes)
        .with("held_bytes", replica.held_bytes)
}

/// With what a replica has begun, as recovery found it; `null` where it did not look.
pub(super) fn begun_with(database: &Database) -> Json {
    let step = database.report().steps.iter().find(|step| step.step == Recovery::Install);
    let origin = step.and_then(|step| step.found.iter().find(|(name, _)| *name == "origin"));
    origin.map(|(_, origin)| origin.as_str()).into()
}

#[cfg(feature = "replication")]
fn followed(status: &ReplicaStatus) -> Object {
    let received = &status.received;
    let origin = received.origin;
    let counts = Object::new()
        .with("attempts", received.attempts)
        .with("sessions", received.sessions)
        .with("lost", received.lost)
        .with("fetches", received.fetches)
        .with("segments", received.segments)
        .with("bytes", received.bytes)
        .with("dropped_bytes", received.dropped)
        .with("syncs", received.syncs);
    let dropped = received.last_dropped.map(|dropped| Object::new().with("from", dropped.from).with("to", dropped.to));
    let halt = status.halt.as_ref().map(|halt| {
        Object::new()
            .with("code", halt.reason.name())
            .with("position", halt.position)
            .with("name", halt.to_string())
            .with("evidence", halt.evidence.as_str())
            .with("sentence", halt.reason.sentence())
            .with("remedy", halt.reason.remedy())
    });
    let recoveries =
        Object::new().with("count", status.recoveries.count()).with("last_failure", status.recoveries.failure());
    Object::new()
        .with("primary", status.primary.as_str())
        .with("primary_node", origin.map(|origin| origin.node_id))
        .with("primary_durable", origin.map(|origin| origin.durable))
        .with("primary_oldest", origin.map_or(Json::Null, |origin| origin.oldest.into()))
        .with("target", origin.map(|origin| origin.target))
        .with("asked", received.asked)
        .with("received", received.received)
        .with("seen", status.validated.seen)
        .with("validated", status.validated.point)
        .with("applied", status.applied)
        .with("state", component(&status.replica))
        .with("receiver", component(&status.receiver))
        .with("validator", component(&status.validator))
        .with("applier", component(&status.applier))
        .with("blocked", status.replica.blocked.clone().or_else(|| status.receiver.blocked.clone()))
        .with("halt", halt)
        .with("fault", status.fault.as_ref())
        .with("recoveries", recoveries)
        .with("counts", counts)
        .with("last_dropped", dropped)
}

/// How far each stage is behind the one before it. All of one moment; what no primary has named is not known.
#[cfg(feature = "replication")]
fn behind(status: &ReplicaStatus) -> Object {
    let (received, origin) = (status.received.received, status.received.origin);
    Object::new()
        .with("received_bytes", origin.map(|origin| origin.durable.position.since(received)))
        .with("validated_bytes", received.since(status.validated.point.position))
        .with("applied_bytes", status.validated.point.position.since(status.applied.position))
        .with("all_bytes", origin.map(|origin| origin.durable.position.since(status.applied.position)))
        .with("commits", origin.map(|origin| origin.durable.commit.0.saturating_sub(status.applied.commit.0)))
}
