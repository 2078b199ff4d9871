//! What a node shows of itself over HTTP: whether it lives, whether it can be read, and its status (HTTP-ENVELOPE).
//!
//! Every answer is made of what the node has published at that moment, and says which moment that is. The same state gives the same bytes:
//! no time, no count of who asks. What is not known is `null`.
//!
//! Holds the node until the thread of HTTP has ended: whoever closes the node stops that first.

use super::request::{Refused, Request};
use super::response::Response;
use super::server::Pages;
use crate::database::{Database, Status};
use crate::error::Result;
use crate::json::{Json, Object};
use crate::observed::Observation;
#[cfg(feature = "replication")]
use crate::replica::{Replica, ReplicaStatus};
use crate::store::run::RunInfo;
use crate::sync::Arc;
use std::fmt::Display;

/// A node that shows itself.
pub enum Node {
    /// One that makes history.
    Writer(Arc<Database>),
    /// One that follows.
    #[cfg(feature = "replication")]
    Replica(Arc<Replica>),
}

impl Pages for Node {
    fn answer(&self, request: &Request) -> std::result::Result<Response, Refused> {
        Ok(match request.path.as_slice() {
            b"/livez" => Response::text("ok\n"),
            b"/readyz" => match readable(self.database()) {
                Ok(()) => Response::text("ok\n"),
                Err(refusal) => Response::unavailable(&refusal),
            },
            b"/v1/status" => self.status(),
            _ => return Err(Refused::NotFound),
        })
    }
}

/// Whether a read would be answered now: the very decision that a read asks for.
fn readable(database: &Database) -> Result<()> {
    database.view(None).map(drop)
}

impl Node {
    fn database(&self) -> &Database {
        match self {
            Node::Writer(database) => database,
            #[cfg(feature = "replication")]
            Node::Replica(replica) => replica.database(),
        }
    }

    fn status(&self) -> Response {
        match self {
            Node::Writer(database) => {
                let status = database.status();
                Response::seen(observed_at(&status), of_database(&status), Vec::new())
            }
            #[cfg(feature = "replication")]
            Node::Replica(replica) => {
                let status = replica.status();
                let data = of_database(&status.database).with("replica", of_replica(&status));
                Response::seen(observed_at(&status.database), data, Vec::new())
            }
        }
    }
}

/// The moment of which an answer is: the last commit that could be read, and the checkpoint below it.
fn observed_at(status: &Status) -> Object {
    Object::new().with("snapshot", status.checkpoint).with("commit_id", status.commit)
}

fn of_database(status: &Status) -> Object {
    let identity = &status.identity;
    let parameters = &identity.parameters;
    let identity = Object::new()
        .with("role", Json::text(identity.role))
        .with("database", identity.database_id)
        .with("node", identity.node_id)
        .with("epoch", identity.epoch)
        .with("segment_bytes", parameters.segment_bytes)
        .with("table_bytes", parameters.table_bytes)
        .with("block_bytes", parameters.block_bytes)
        .with("fanout", parameters.fanout);
    let proofs = Object::new()
        .with("logged", status.proofs.logged)
        .with("compared", status.proofs.compared)
        .with("waiting", status.proofs.waiting)
        .with("missed", status.proofs.missed)
        .with("owed", status.proofs.owed);
    Object::new()
        .with("identity", identity)
        .with("commit", status.commit)
        .with("floor", status.floor)
        .with("durable", status.durable)
        .with("log_oldest", status.log_oldest)
        .with("checkpoint", status.checkpoint)
        .with("runs", Json::array(status.runs.iter().map(run)))
        .with("merges_due", status.merges_due)
        .with("sealed_tables", status.sealed_tables)
        .with("proofs", proofs)
        .with("views", status.views)
        .with("checkpoints", status.checkpoints)
        .with("committer", component(&status.committer))
        .with("maintenance", component(&status.maintenance))
        .with("halted", status.halted.as_ref())
        .with("write_fault", status.write_fault.as_ref())
}

fn run(info: &RunInfo) -> Object {
    Object::new()
        .with("file", info.id.file_name())
        .with("level", info.id.level)
        .with("first", info.id.first)
        .with("last", info.id.last)
        .with("bytes", info.size)
        .with("hash", format!("{:032x}", info.hash))
}

fn component<S: Copy + Display>(seen: &Observation<S>) -> Object {
    Object::new()
        .with("state", Json::text(seen.state))
        .with("previous", seen.previous.map(|previous| previous.to_string()))
        .with("cause", seen.cause)
        .with("transitions", seen.transitions)
        .with("blocked", seen.blocked.clone())
}

#[cfg(feature = "replication")]
fn of_replica(status: &ReplicaStatus) -> Object {
    let origin = status.received.origin;
    Object::new()
        .with("primary", status.primary.as_str())
        .with("primary_durable", origin.map(|origin| origin.durable))
        .with("asked", status.received.asked)
        .with("received", status.received.received)
        .with("validated", status.validated.point)
        .with("applied", status.applied)
        .with("state", component(&status.replica))
        .with("receiver", component(&status.receiver))
        .with("validator", component(&status.validator))
        .with("applier", component(&status.applier))
        .with("halt", status.halt.as_ref().map(ToString::to_string))
        .with("halt_evidence", status.halt.as_ref().map(|halt| halt.evidence.clone()))
        .with("fault", status.fault.as_ref())
        .with("recoveries", status.recoveries.count())
}
