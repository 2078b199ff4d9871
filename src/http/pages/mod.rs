//! What a node shows of itself over HTTP: what it is, what it explains, what it counts, and a page that a person reads (HTTP-ENVELOPE).
//!
//! ```text
//!  Front: waiting ──(the directory is open)──► serving ──(what applies has failed)──► waiting …
//!            └ the board of the lobby              └ Node ──► v1, explanations, metrics, the page
//! ```
//!
//! Every answer is made of what the node has published at that moment, and says which moment that is. The same state gives the same bytes:
//! no time, no count of who asks. What is not known is `null`.
//!
//! Two answers look at files: the list of segments, and the explanation of a read, which looks the key up. Both are bounded.

mod metrics;
mod page;
pub mod query;
mod v1;
mod waiting;

use super::request::{Refused, Request};
use super::response::Response;
use super::server::Pages;
use crate::database::{Database, Status};
use crate::explain::{self, Explanation, Topic};
use crate::gate::{self, Check, Evaluation, Wish};
use crate::json::Object;
#[cfg(feature = "replication")]
use crate::replica::{Replica, ReplicaStatus};
use crate::server::lobby::Board;
use crate::server::window::{Seen, Window};
use crate::sync::{self, Arc, Mutex};
use query::Form;

type Answer = std::result::Result<Response, Refused>;

/// A node that shows itself, with what its server lets others see.
pub enum Node {
    /// One that makes history.
    Writer(Arc<Database>, Arc<Window>),
    /// One that follows.
    #[cfg(feature = "replication")]
    Replica(Arc<Replica>, Arc<Window>),
}

/// What is shown of a process, from its first moment to its last, at one address.
///
/// Whoever changes what is shown waits for an answer that is being made, and holds what was shown alone from then on.
pub struct Front<N = Node>(Mutex<Stage<N>>);

enum Stage<N> {
    Waiting(Arc<Board>),
    Serving(N),
}

impl<N> Front<N> {
    /// What is shown while there is no database to serve.
    #[must_use]
    pub fn new(board: Arc<Board>) -> Front<N> {
        Front(Mutex::new(Stage::Waiting(board)))
    }

    /// The node serves.
    pub fn serve(&self, node: N) {
        self.show(Stage::Serving(node));
    }

    /// It does not yet, or not any more.
    pub fn wait(&self, board: Arc<Board>) {
        self.show(Stage::Waiting(board));
    }

    fn show(&self, stage: Stage<N>) {
        let before = std::mem::replace(&mut *sync::lock(&self.0), stage);
        // Outside the lock: it may be the last owner of a database.
        drop(before);
    }
}

impl<N: Pages> Pages for Arc<Front<N>> {
    fn answer(&self, request: &Request) -> Answer {
        match &*sync::lock(&self.0) {
            Stage::Waiting(board) => waiting::answer(board, request),
            Stage::Serving(node) => node.answer(request),
        }
    }
}

impl Pages for Node {
    fn answer(&self, request: &Request) -> Answer {
        let Request { path, query, .. } = request;
        Ok(match path.as_slice() {
            b"/" => page::response(&self.seen()),
            b"/livez" => Response::text("ok\n"),
            b"/readyz" => readyz(self.database(), query::verbose(query)?),
            b"/metrics" => metrics::response(&self.seen()),
            b"/v1/status" => self.seen().told(v1::status),
            b"/v1/wal" => {
                let (data, notes) = v1::wal(self.database());
                Response::seen(observed_at(&self.database().status()), data, notes)
            }
            b"/v1/mvcc" => self.seen().told(v1::mvcc),
            b"/v1/snapshots" => self.seen().told(v1::snapshots),
            b"/v1/checkpoints" => self.seen().told(v1::checkpoints),
            b"/v1/replication" => self.seen().told(v1::replication),
            path => {
                let name = path.strip_prefix(b"/v1/explain/").ok_or(Refused::NotFound)?;
                self.explained(&query::topic(name, query)?)
            }
        })
    }
}

impl Node {
    fn database(&self) -> &Database {
        match self {
            Node::Writer(database, _) => database,
            #[cfg(feature = "replication")]
            Node::Replica(replica, _) => replica.database(),
        }
    }

    /// The node at this moment.
    fn seen(&self) -> Moment<'_> {
        match self {
            Node::Writer(database, window) => Moment {
                database,
                status: database.status(),
                #[cfg(feature = "replication")]
                replica: None,
                server: window.look(),
                gate: Gate::of(database),
            },
            #[cfg(feature = "replication")]
            Node::Replica(replica, window) => {
                let status = replica.status();
                let (database, server) = (replica.database(), window.look());
                let gate = Gate::of(database);
                Moment { database, status: status.database.clone(), replica: Some(status), server, gate }
            }
        }
    }

    fn explained(&self, (topic, form): &(Topic, Form)) -> Response {
        let seen = self.seen();
        let explanation = seen.explained(topic);
        match form {
            Form::Text => Response::text(&explanation.to_string()),
            Form::Json => Response::seen(observed_at(&seen.status), explanation.json(), explanation.missing()),
        }
    }
}

/// A node as it was seen at one moment.
struct Moment<'a> {
    database: &'a Database,
    status: Status,
    #[cfg(feature = "replication")]
    replica: Option<ReplicaStatus>,
    server: Seen,
    gate: Gate,
}

impl Moment<'_> {
    fn explained(&self, topic: &Topic) -> Explanation {
        explain::of(
            topic,
            self.database,
            #[cfg(feature = "replication")]
            self.replica.as_ref(),
        )
    }

    fn told(&self, data: fn(&Moment<'_>) -> Object) -> Response {
        Response::seen(observed_at(&self.status), data(self), Vec::new())
    }
}

/// A rule of the gate, whether it holds, and what that was decided on.
type Ruled = (Check, Evaluation, explain::Facts);

/// What the gate says to a read of the newest commit, rule by rule.
struct Gate {
    rules: Vec<Ruled>,
    /// Why it refuses, if it does.
    refusal: Option<crate::error::Error>,
}

impl Gate {
    fn of(database: &Database) -> Gate {
        let wish = Wish::newest();
        let facts = database.facts(&wish);
        // What halted the node says more than that it has; it is kept, so a second look finds it.
        let refused = |check: Check| database.refusal(&wish).unwrap_or_else(|| check.refusal(&facts, &wish));
        let rules = gate::evaluate(&facts, &wish);
        Gate {
            rules: rules.map(|(check, evaluation)| (check, evaluation, check.evidence(&facts, &wish))).collect(),
            refusal: gate::decide(&facts, &wish).err().map(refused),
        }
    }
}

/// Whether a read would be answered now; with its rules, if they are to be told.
fn readyz(database: &Database, verbose: bool) -> Response {
    let gate = Gate::of(database);
    if verbose {
        return rules_in_text(&gate);
    }
    gate.refusal.map_or_else(|| Response::text("ok\n"), |refusal| Response::unavailable(&refusal))
}

/// Every rule of the gate, a line each, and what follows.
fn rules_in_text(Gate { rules, refusal }: &Gate) -> Response {
    let mut text = String::new();
    for (check, evaluation, evidence) in rules {
        let evidence: Vec<String> = evidence.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let (rule, says, evidence) = (check.name(), check.holds_where(), evidence.join(", "));
        let evidence = explain::clean(&evidence);
        text.push_str(&format!("{:<12}  {rule:<12}  {says} ({evidence})\n", evaluation.name()));
    }
    match refusal {
        None => Response::text(&format!("{text}ok\n")),
        Some(refusal) => {
            text.push_str(&format!("refused: {}\n", explain::clean(&refusal.to_string())));
            Response { status: super::Status::ServiceUnavailable, ..Response::text(&text) }
        }
    }
}

/// The moment of which an answer is: the last commit that could be read, and the checkpoint below it.
fn observed_at(status: &Status) -> Object {
    Object::new().with("snapshot", status.checkpoint).with("commit_id", status.commit)
}
