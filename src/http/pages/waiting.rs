//! What is shown while there is no database to serve: that the process lives, what it does, and how far that is (HTTP-LOBBY, P5-I8, P5-I11).
//!
//! The names are those of a node that serves. What only a database could say is `null`, or is refused with what refuses a read; explanations say what is known, and
//! that they are incomplete (F-O1).

use super::query::{self, Form};
use super::{Answer, Gate, metrics, page, rules_in_text, v1};
use crate::http::request::{Refused, Request};
use crate::http::response::Response;
use crate::identity::Identity;
use crate::json::{Json, Object};
use crate::server::lobby::Board;

/// The answer of a node that does not serve yet.
pub(super) fn answer(board: &Board, request: &Request) -> Answer {
    let Request { path, query, .. } = request;
    Ok(match path.as_slice() {
        b"/" => page::waiting(board),
        b"/livez" => Response::text("ok\n"),
        b"/readyz" if query::verbose(query)? => rules_in_text(&gate(board)),
        b"/readyz" => Response::unavailable(&board.refusal()),
        b"/metrics" => metrics::waiting(board),
        b"/v1/status" => Response::seen(unseen(), status(board), vec![NOTE.to_owned()]),
        b"/v1/replication" => Response::seen(unseen(), replication(board), vec![NOTE.to_owned()]),
        b"/v1/wal" | b"/v1/mvcc" | b"/v1/snapshots" | b"/v1/checkpoints" => Response::unavailable(&board.refusal()),
        path => {
            let name = path.strip_prefix(b"/v1/explain/").ok_or(Refused::NotFound)?;
            let (topic, form) = query::topic(name, query)?;
            let explanation = board.explanation(&topic);
            match form {
                Form::Text => Response::text(&explanation.to_string()),
                Form::Json => Response::seen(unseen(), explanation.json(), explanation.missing()),
            }
        }
    })
}

const NOTE: &str = "there is no database to serve yet";

/// What the gate says to any read.
fn gate(board: &Board) -> Gate {
    let (rules, refusal) = board.gate();
    Gate { rules, refusal: Some(refusal) }
}

/// The moment of which nothing can be read.
fn unseen() -> Object {
    Object::new().with("snapshot", Json::Null).with("commit_id", Json::Null)
}

fn status(board: &Board) -> Object {
    let (phase, facts) = board.doing();
    Object::new()
        .with("identity", board.identity().as_ref().map(v1::identity))
        .with("phase", phase)
        .with("progress", crate::explain::facts(&facts))
        .with("primary", board.primary().map(str::to_owned))
        .with("refusal", &board.refusal())
}

/// Of a replication that has not begun: whose it is, what is done for it, and by which rules nothing is read.
fn replication(board: &Board) -> Object {
    let (phase, facts) = board.doing();
    let identity = board.identity();
    let known = |of: fn(&Identity) -> Json| identity.as_ref().map_or(Json::Null, of);
    let told = Object::new()
        .with("role", known(|identity| Json::text(identity.role)))
        .with("database", known(|identity| identity.database_id.into()))
        .with("node", known(|identity| identity.node_id.into()))
        .with("epoch", known(|identity| identity.epoch.into()))
        .with("commit", Json::Null)
        .with("floor", Json::Null)
        .with("durable", Json::Null)
        .with("retention", Json::Null)
        .with("checkpoint", Json::Null)
        .with("reads", v1::reads(&gate(board)))
        .with("phase", phase)
        .with("progress", crate::explain::facts(&facts))
        .with("primary", board.primary().map(str::to_owned));
    #[cfg(feature = "replication")]
    let told = told.with("bootstrap", board.bootstrapping().map(|(seen, _)| v1::component(&seen)));
    told.with("recovery", board.recovering().map(|seen| v1::component(&seen.recovery)))
}
