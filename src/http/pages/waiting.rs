//! What is shown while there is no database to serve: that the process lives, what it does, and how far that is (HTTP-LOBBY, P5-I8, P5-I11).
//!
//! The names are those of a node that serves. What only a database could say is refused with what refuses a read.

use super::{Answer, metrics, page, query, v1};
use crate::http::request::{Refused, Request};
use crate::http::response::Response;
use crate::json::{Json, Object};
use crate::server::lobby::Board;

/// The answer of a node that does not serve yet.
pub(super) fn answer(board: &Board, request: &Request) -> Answer {
    let Request { path, query, .. } = request;
    Ok(match path.as_slice() {
        b"/" => page::waiting(board),
        b"/livez" => Response::text("ok\n"),
        b"/readyz" if query::verbose(query)? => refused_in_text(board),
        b"/metrics" => metrics::waiting(board),
        b"/readyz" => Response::unavailable(&board.refusal()),
        b"/v1/status" => Response::seen(unseen(), status(board), vec![NOTE.to_owned()]),
        b"/v1/wal" | b"/v1/mvcc" | b"/v1/snapshots" | b"/v1/checkpoints" | b"/v1/replication" => {
            Response::unavailable(&board.refusal())
        }
        path => {
            let name = path.strip_prefix(b"/v1/explain/").ok_or(Refused::NotFound)?;
            query::topic(name, query)?;
            Response::unavailable(&board.refusal())
        }
    })
}

const NOTE: &str = "there is no database to serve yet";

fn refused_in_text(board: &Board) -> Response {
    let status = crate::http::Status::ServiceUnavailable;
    Response { status, ..Response::text(&format!("refused: {}\n", board.refusal())) }
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
