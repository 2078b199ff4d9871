//! `/metrics`: the numbers of a node in the text format of Prometheus, version 0.0.4 (HTTP-METRICS).
//!
//! A reader keeps them as floats, which are exact up to 2^53 only. So what is asked of positions and CommitIds, how far one is behind another, is
//! subtracted here, exactly, and shown as a number of its own; the exact value of each stands under `/v1`. As labels they would make a new
//! series with each commit.
//!
//! Labels are words of the product, names of rules, codes, and ids of nodes: their number is bounded, that of nodes by those that connect. A
//! machine has a series for each of its states, of which one is 1.

use super::{Moment, Ruled, v1};
use crate::error::Error;
use crate::gate::Evaluation;
use crate::http::response::Response;
use crate::identity::Identity;
use crate::observed::Observation;
use crate::server::lobby::Board;
use std::collections::BTreeMap;
use std::fmt::Display;

/// The type of the text.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What a number is.
#[derive(Clone, Copy)]
enum Kind {
    /// It rises and falls.
    Gauge,
    /// It rises, and begins at 0 with the process.
    Counter,
}

/// The text, as far as it is written.
struct Text(String);

impl Text {
    /// A family: its name, its type, and what it is.
    fn family(&mut self, name: &'static str, kind: Kind, help: &'static str) -> Family<'_> {
        let kind = match kind {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
        };
        self.0.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        Family { text: &mut self.0, name }
    }

    fn gauge(&mut self, name: &'static str, help: &'static str, value: u64) {
        self.family(name, Kind::Gauge, help).sample(&[], value);
    }

    fn counter(&mut self, name: &'static str, help: &'static str, value: u64) {
        self.family(name, Kind::Counter, help).sample(&[], value);
    }

    fn response(&self) -> Response {
        Response { content_type: CONTENT_TYPE, ..Response::text(&self.0) }
    }
}

/// A family whose samples are being written.
struct Family<'a> {
    text: &'a mut String,
    name: &'static str,
}

impl Family<'_> {
    fn sample(&mut self, labels: &[(&'static str, &str)], value: u64) {
        let escaped = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        self.text.push_str(&format!("{}{labels} {value}\n", self.name));
    }
}

/// Of a node that does not serve yet: what it does, and that it can't be read.
pub(super) fn waiting(board: &Board) -> Response {
    let mut text = Text(String::new());
    readable(false, &mut text);
    let (phase, _) = board.doing();
    let mut family = text.family("aerodb_waiting", Kind::Gauge, "What a node does that does not serve yet; always 1.");
    family.sample(&[("phase", phase)], 1);
    board.identity().iter().for_each(|identity| whose(identity, &mut text));
    let (rules, _) = board.gate();
    holding(&rules, &mut text);
    #[cfg(feature = "replication")]
    if board.primary().is_some() {
        replica::state(phase, &mut text);
    }
    let mut machines = Vec::new();
    #[cfg(feature = "replication")]
    let fetched = board.bootstrapping();
    #[cfg(feature = "replication")]
    machines.extend(fetched.iter().map(|(seen, _)| {
        use crate::bootstrap::machine::State;
        Machine::new("bootstrap", State::ALL, State::name, seen)
    }));
    let recovered = board.recovering();
    machines.extend(recovered.iter().map(|seen| {
        use crate::recovery::machine::State;
        Machine::new("recovery", State::ALL, State::name, &seen.recovery)
    }));
    shown(&machines, &mut text);
    #[cfg(feature = "replication")]
    fetched.iter().for_each(|(_, transfer)| replica::fetched(transfer, &mut text));
    if let Some(seen) = recovered {
        text.gauge("aerodb_recovery_replayed_position_bytes", "Up to where the log is replayed.", seen.replayed.0);
        text.gauge("aerodb_recovery_end_position_bytes", "How far the log is known to reach.", seen.end.0);
    }
    text.response()
}

/// What the node is.
fn whose(identity: &Identity, text: &mut Text) {
    let (database, node, epoch) =
        (identity.database_id.to_string(), identity.node_id.to_string(), identity.epoch.to_string());
    text.family("aerodb_info", Kind::Gauge, "What the node is; always 1.").sample(
        &[
            ("version", env!("CARGO_PKG_VERSION")),
            ("role", identity.role.name()),
            ("database", &database),
            ("node", &node),
            ("epoch", &epoch),
        ],
        1,
    );
}

/// Which rules of the gate hold.
fn holding(rules: &[Ruled], text: &mut Text) {
    let help = "Whether a rule of the gate holds; one that can't be told does not.";
    let mut family = text.family("aerodb_read_rule_holds", Kind::Gauge, help);
    for (check, evaluation, _) in rules {
        family.sample(&[("rule", check.name())], (*evaluation == Evaluation::Holds).into());
    }
}

fn readable(readable: bool, text: &mut Text) {
    text.gauge("aerodb_readable", "Whether a read of the newest commit would be answered.", readable.into());
}

pub(super) fn response(seen: &Moment<'_>) -> Response {
    let mut text = Text(String::new());
    node(seen, &mut text);
    history(seen, &mut text);
    store(seen, &mut text);
    components(seen, &mut text);
    clients(seen, &mut text);
    feeding(seen, &mut text);
    #[cfg(feature = "replication")]
    if let Some(status) = &seen.replica {
        replica::follows(status, &mut text);
    }
    text.response()
}

/// What it is, and whether it may be read and written.
fn node(seen: &Moment<'_>, text: &mut Text) {
    whose(&seen.status.identity, text);
    readable(seen.gate.refusal.is_none(), text);
    holding(&seen.gate.rules, text);
    text.gauge(
        "aerodb_halted",
        "Whether reading has ended until an operator acts.",
        seen.status.halted.is_some().into(),
    );
    text.gauge(
        "aerodb_write_stopped",
        "Whether writing has ended until a restart.",
        seen.status.write_fault.is_some().into(),
    );
    let mut codes: Vec<&str> = faults(seen).map(|error| error.reason().name()).collect();
    codes.sort_unstable();
    codes.dedup();
    let mut family = text.family("aerodb_fault", Kind::Gauge, "A fault that the node shows, by its code; always 1.");
    codes.iter().for_each(|code| family.sample(&[("code", code)], 1));
}

/// Every fault that the node shows.
fn faults<'a>(seen: &'a Moment<'_>) -> impl Iterator<Item = &'a Error> {
    let own = [seen.status.halted.as_ref(), seen.status.write_fault.as_ref()].into_iter();
    #[cfg(feature = "replication")]
    let own = own.chain([seen.replica.as_ref().and_then(|replica| replica.fault.as_ref())]);
    own.flatten()
}

fn history(seen: &Moment<'_>, text: &mut Text) {
    let status = &seen.status;
    let (durable, checkpoint) = (status.durable.position, status.checkpoint);
    text.gauge("aerodb_commit_id", "The last commit that can be read.", status.commit.0);
    text.gauge("aerodb_floor_commit_id", "The lowest commit that can be read.", status.floor.0);
    text.gauge("aerodb_log_durable_position_bytes", "Where the durable log ends.", durable.0);
    text.gauge("aerodb_log_oldest_position_bytes", "Where the kept log begins.", status.log_oldest.0);
    text.gauge("aerodb_log_kept_bytes", "Bytes of log that are kept.", durable.since(status.log_oldest));
    text.gauge("aerodb_checkpoint_position_bytes", "Up to where the runs hold the log.", checkpoint.position.0);
    text.gauge("aerodb_checkpoint_commit_id", "Up to which commit the runs hold everything.", checkpoint.commit.0);
    text.gauge(
        "aerodb_checkpoint_replay_bytes",
        "Bytes of log that a restart would replay.",
        durable.since(checkpoint.position),
    );
}

fn store(seen: &Moment<'_>, text: &mut Text) {
    let status = &seen.status;
    text.gauge("aerodb_runs", "Runs of the store.", status.runs.len() as u64);
    text.gauge("aerodb_run_bytes", "Bytes of all runs.", v1::run_bytes(status));
    text.gauge("aerodb_merges_due", "Merges that were decided and are not done.", status.merges_due as u64);
    text.gauge("aerodb_sealed_tables", "Tables that wait to become runs.", status.sealed_tables as u64);
    text.gauge("aerodb_views", "Views that exist.", status.views as u64);
    text.gauge("aerodb_checkpoints_pinned", "Checkpoints that snapshots hold.", status.checkpoints as u64);
    let proofs = &status.proofs;
    text.counter("aerodb_proofs_logged_total", "Proofs of runs that the log brought.", proofs.logged);
    text.counter("aerodb_proofs_compared_total", "Proofs whose run was compared here.", proofs.compared);
    text.counter("aerodb_proofs_missed_total", "Proofs that could not be compared any more.", proofs.missed);
    text.gauge("aerodb_proofs_waiting", "Proofs whose run is not complete here.", proofs.waiting);
    text.gauge("aerodb_proofs_owed", "Runs whose Proof is still to be logged.", proofs.owed);
}

/// A machine that is shown: its name, its states, and the component as it was seen.
struct Machine {
    name: &'static str,
    states: Vec<&'static str>,
    state: String,
    transitions: u64,
    blocked: bool,
}

impl Machine {
    fn new<S: Copy + Display>(
        component: &'static str,
        all: &[S],
        name: fn(S) -> &'static str,
        seen: &Observation<S>,
    ) -> Machine {
        Machine {
            name: component,
            states: all.iter().map(|state| name(*state)).collect(),
            state: name(seen.state).to_owned(),
            transitions: seen.transitions,
            blocked: seen.blocked.is_some(),
        }
    }
}

fn components(seen: &Moment<'_>, text: &mut Text) {
    use crate::{committer::machine::State as Committer, maintenance::machine::State as Maintenance};
    let status = &seen.status;
    let machines = vec![
        Machine::new("committer", Committer::ALL, Committer::name, &status.committer),
        Machine::new("maintenance", Maintenance::ALL, Maintenance::name, &status.maintenance),
    ];
    #[cfg(feature = "replication")]
    let machines: Vec<Machine> = machines.into_iter().chain(seen.replica.iter().flat_map(replica::machines)).collect();
    shown(&machines, text);
}

/// The states of machines, with their transitions.
fn shown(machines: &[Machine], text: &mut Text) {
    let mut states =
        text.family("aerodb_component_state", Kind::Gauge, "1 for the state that a component is in, 0 for the others.");
    for Machine { name, states: all, state, .. } in machines {
        all.iter().for_each(|word| states.sample(&[("component", name), ("state", word)], (word == state).into()));
    }
    let mut transitions =
        text.family("aerodb_component_transitions_total", Kind::Counter, "Transitions of a component since it began.");
    machines.iter().for_each(|machine| transitions.sample(&[("component", machine.name)], machine.transitions));
    let mut blocked = text.family(
        "aerodb_component_blocked",
        Kind::Gauge,
        "Whether a component could go on and does not; why stands under /v1.",
    );
    machines.iter().for_each(|machine| blocked.sample(&[("component", machine.name)], machine.blocked.into()));
}

fn clients(seen: &Moment<'_>, text: &mut Text) {
    let counters = &seen.server.counters;
    text.gauge("aerodb_clients", "Clients that are connected.", seen.server.clients as u64);
    text.gauge("aerodb_clients_waiting", "Clients that wait for a commit.", counters.waiting_for_commit as u64);
    text.gauge("aerodb_client_buffer_bytes", "Bytes in the buffers of clients.", counters.buffer_bytes as u64);
    text.counter(
        "aerodb_client_connections_total",
        "Connections of clients that were taken.",
        counters.connections_accepted,
    );
    text.counter(
        "aerodb_client_connections_refused_total",
        "Connections of clients that were one too many.",
        counters.connections_refused,
    );
    let mut closed = text.family(
        "aerodb_client_connections_closed_total",
        Kind::Counter,
        "Connections that the node closed, by cause.",
    );
    closed.sample(&[("cause", "memory")], counters.connections_closed_for_memory);
    closed.sample(&[("cause", "protocol")], counters.connections_closed_for_protocol);
    text.counter("aerodb_client_received_bytes_total", "Bytes received from clients.", counters.bytes_in);
    text.counter("aerodb_client_sent_bytes_total", "Bytes sent to clients.", counters.bytes_out);
    text.counter("aerodb_requests_total", "Requests that were carried out.", counters.requests);
    text.counter("aerodb_orders_total", "Orders that were handed to the committer.", counters.orders);
    text.counter("aerodb_bundles_total", "Bundles in which they were handed over.", counters.bundles);
}

/// Whom the node feeds. A node that connects twice is shown once, at its furthest.
fn feeding(seen: &Moment<'_>, text: &mut Text) {
    let counters = &seen.server.counters;
    let follows = seen.server.replicas.iter().filter(|replica| replica.bytes.is_none());
    let mut sent: BTreeMap<String, u64> = BTreeMap::new();
    for replica in follows {
        let furthest = sent.entry(replica.node.to_string()).or_default();
        *furthest = replica.sent.max(*furthest);
    }
    text.gauge("aerodb_feed_replicas", "Replicas that follow this node now.", sent.len() as u64);
    let snapshots = seen.server.replicas.iter().filter(|replica| replica.bytes.is_some()).count();
    text.gauge("aerodb_feed_snapshots", "Snapshots that are being sent.", snapshots as u64);
    text.counter(
        "aerodb_feed_connections_total",
        "Connections of replicas that were taken.",
        counters.replica_connections,
    );
    text.counter("aerodb_feed_refused_total", "Replicas that were refused.", counters.replicas_refused);
    text.counter("aerodb_feed_sent_bytes_total", "Bytes sent to replicas.", counters.replication_bytes_out);
    let mut positions =
        text.family("aerodb_feed_sent_position_bytes", Kind::Gauge, "Up to where log was sent to a replica.");
    sent.iter().for_each(|(node, sent)| positions.sample(&[("node", node)], *sent));
    let mut unsent = text.family(
        "aerodb_feed_unsent_bytes",
        Kind::Gauge,
        "Durable log that was not sent to a replica that follows.",
    );
    let durable = seen.status.durable.position.0;
    sent.iter().for_each(|(node, sent)| unsent.sample(&[("node", node)], durable.saturating_sub(*sent)));
}

/// What only a replica has.
#[cfg(feature = "replication")]
mod replica {
    use super::{Kind, Machine, Text};
    use crate::bootstrap::Transfer;
    use crate::replica::ReplicaStatus;
    use crate::{applier, receiver, supervisor, validator};

    pub(super) fn machines(status: &ReplicaStatus) -> [Machine; 3] {
        use {
            applier::machine::State as Applier, receiver::machine::State as Receiver,
            validator::machine::State as Validator,
        };
        [
            Machine::new("receiver", Receiver::ALL, Receiver::name, &status.receiver),
            Machine::new("validator", Validator::ALL, Validator::name, &status.validator),
            Machine::new("applier", Applier::ALL, Applier::name, &status.applier),
        ]
    }

    /// The state of the replica, by its name.
    pub(super) fn state(name: &str, text: &mut Text) {
        use supervisor::machine::State;
        let help = "1 for the state that the replica is in, 0 for the others.";
        let mut states = text.family("aerodb_replica_state", Kind::Gauge, help);
        State::ALL.iter().for_each(|state| states.sample(&[("state", state.name())], (state.name() == name).into()));
    }

    /// The snapshot that is being fetched.
    pub(super) fn fetched(transfer: &Transfer, text: &mut Text) {
        text.gauge("aerodb_bootstrap_received_bytes", "Bytes of the snapshot that came.", transfer.came);
        text.gauge("aerodb_bootstrap_proven_bytes", "Bytes of it that are proven.", transfer.proven);
        text.gauge("aerodb_bootstrap_total_bytes", "Bytes of it in all; 0 before that is known.", transfer.total);
        let (attempts, lost) =
            ("aerodb_bootstrap_connection_attempts_total", "aerodb_bootstrap_connections_lost_total");
        text.counter(attempts, "Attempts to connect for a snapshot.", transfer.attempts);
        text.counter(lost, "Connections for a snapshot that were lost, or not made.", transfer.lost);
    }

    pub(super) fn follows(status: &ReplicaStatus, text: &mut Text) {
        state(status.replica.state.name(), text);
        text.counter(
            "aerodb_replica_transitions_total",
            "Transitions of the replica since it began.",
            status.replica.transitions,
        );
        let connected = status.receiver.state == receiver::machine::State::Streaming;
        text.gauge("aerodb_replica_connected", "Whether the primary serves this replica now.", connected.into());
        text.gauge(
            "aerodb_replica_halted",
            "Whether what was received contradicts what must hold: an operator clears that.",
            // Also where the disk refused to keep that.
            (status.halt.is_some() || status.fault.as_ref().is_some_and(|fault| fault.reason().halts())).into(),
        );
        positions(status, text);
        counts(status, text);
    }

    /// Positions, and exact differences of them. What no primary has named since the start has no sample.
    fn positions(status: &ReplicaStatus, text: &mut Text) {
        let (received, validated, applied) = (status.received.received, status.validated.point, status.applied);
        let primary = status.received.origin.map(|origin| origin.durable);
        let mut positions =
            text.family("aerodb_replica_position_bytes", Kind::Gauge, "Up to where the log has come, by stage.");
        primary.iter().for_each(|point| positions.sample(&[("stage", "primary")], point.position.0));
        positions.sample(&[("stage", "received")], received.0);
        positions.sample(&[("stage", "validated")], validated.position.0);
        positions.sample(&[("stage", "applied")], applied.position.0);
        let mut behind = text.family(
            "aerodb_replica_behind_bytes",
            Kind::Gauge,
            "How far a stage is behind the one before it; all: the last behind the first.",
        );
        primary.iter().for_each(|point| behind.sample(&[("stage", "received")], point.position.since(received)));
        behind.sample(&[("stage", "validated")], received.since(validated.position));
        behind.sample(&[("stage", "applied")], validated.position.since(applied.position));
        primary.iter().for_each(|point| behind.sample(&[("stage", "all")], point.position.since(applied.position)));
        let mut commits = text.family(
            "aerodb_replica_behind_commits",
            Kind::Gauge,
            "Commits that the primary named as durable and that are not applied.",
        );
        primary.iter().for_each(|point| commits.sample(&[], point.commit.0.saturating_sub(applied.commit.0)));
    }

    fn counts(status: &ReplicaStatus, text: &mut Text) {
        let received = &status.received;
        text.counter(
            "aerodb_replica_connection_attempts_total",
            "Attempts to connect to the primary.",
            received.attempts,
        );
        text.counter("aerodb_replica_sessions_total", "Sessions in which the primary served.", received.sessions);
        text.counter(
            "aerodb_replica_connections_lost_total",
            "Connections that were lost, or not made.",
            received.lost,
        );
        text.counter("aerodb_replica_fetches_total", "Fetches that were sent.", received.fetches);
        text.counter("aerodb_replica_segments_total", "Frames with log that came.", received.segments);
        text.counter("aerodb_replica_received_bytes_total", "Log bytes that came.", received.bytes);
        text.counter(
            "aerodb_replica_dropped_bytes_total",
            "Log bytes that came, did not prove themselves, and were dropped.",
            received.dropped,
        );
        text.counter("aerodb_replica_log_syncs_total", "Times that received log was made durable.", received.syncs);
        text.counter(
            "aerodb_replica_recoveries_total",
            "Recoveries that the replica made by itself.",
            status.recoveries.count(),
        );
    }
}
