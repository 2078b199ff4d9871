//! INFO: the state of the node in the form that tools for Redis read, and a section of our own.
//!
//! Only what is known is said. What would need a clock (uptime, rates) or a count of all keys is left out; DBSIZE counts. The level of
//! compatibility is said as `redis_version`.

use crate::identity::Identity;
use crate::position::LogPoint;
#[cfg(feature = "replication")]
use crate::receiver;
#[cfg(feature = "replication")]
use crate::replica::ReplicaStatus;
use crate::server::commands::Words;
use crate::server::counters::Counters;
use crate::server::feeds::Feeds;
use crate::server::session::{Context, Session, Step};
use std::fmt::Display;

/// The version of Redis whose meaning commands have here.
pub(in crate::server) const REDIS_VERSION: &str = "7.0.0";

/// Writes the lines of a section.
type Write = fn(&Context<'_>, &mut Section);

/// The sections, in their order.
const SECTIONS: &[(&str, Write)] = &[
    ("Server", server),
    ("Clients", clients),
    ("Memory", memory),
    ("Persistence", persistence),
    ("Stats", stats),
    ("Replication", replication),
    ("Keyspace", |_, _| {}),
    ("Aerodb", aerodb),
];

/// The lines of a section.
pub(in crate::server) struct Section(String);

impl Section {
    pub(in crate::server) fn line(&mut self, name: &str, value: impl Display) {
        let value = value.to_string().replace(['\r', '\n'], " ");
        self.0.push_str(&format!("{name}:{value}\r\n"));
    }

    fn point(&mut self, name: &str, point: LogPoint) {
        self.line(&format!("{name}_position"), point.position);
        self.line(&format!("{name}_history"), point.history);
        self.line(&format!("{name}_commit"), point.commit);
    }
}

/// `INFO [section …]`
pub(super) fn info(session: &mut Session, words: Words<'_>, context: &mut Context<'_>, out: &mut Vec<u8>) -> Step {
    let sections = SECTIONS.iter().map(|(name, write)| (*name, |section: &mut Section| write(context, section)));
    session.out(out).verbatim(&text(words, sections));
    Step::Replied
}

/// The text of those sections that are asked for, each by what writes its lines.
pub(in crate::server) fn text<'n, W: FnOnce(&mut Section)>(
    words: Words<'_>,
    sections: impl Iterator<Item = (&'n str, W)>,
) -> String {
    let asked = |name: &str| {
        let all = ["default", "all", "everything"];
        words.len() == 1
            || words.iter().skip(1).any(|word| {
                word.eq_ignore_ascii_case(name.as_bytes())
                    || all.iter().any(|all| word.eq_ignore_ascii_case(all.as_bytes()))
            })
    };
    let sections: Vec<String> = sections
        .filter(|(name, _)| asked(name))
        .map(|(name, write)| {
            let mut section = Section(format!("# {name}\r\n"));
            write(&mut section);
            section.0
        })
        .collect();
    sections.join("\r\n")
}

/// What Redis calls the role of a node.
pub(in crate::server) fn role(context: &Context<'_>) -> &'static str {
    if context.database.identity().role.writes() { "master" } else { "slave" }
}

fn server(context: &Context<'_>, section: &mut Section) {
    program(context.options.listen.port(), section);
}

/// What is so whatever the program does.
pub(in crate::server) fn program(port: u16, section: &mut Section) {
    section.line("redis_version", REDIS_VERSION);
    section.line("redis_mode", "standalone");
    section.line("aerodb_version", env!("CARGO_PKG_VERSION"));
    section.line("arch_bits", usize::BITS);
    section.line("multiplexing_api", "mio");
    section.line("tcp_port", port);
}

fn clients(context: &Context<'_>, section: &mut Section) {
    section.line("connected_clients", context.clients.len());
    section.line("maxclients", context.options.max_clients);
    section.line("blocked_clients", context.counters.waiting_for_commit);
}

fn memory(context: &Context<'_>, section: &mut Section) {
    section.line("maxmemory", 0);
    section.line("maxmemory_policy", "noeviction");
    section.line("client_buffer_bytes", context.counters.buffer_bytes);
    section.line("client_buffer_bytes_max", context.options.client_memory);
}

fn persistence(context: &Context<'_>, section: &mut Section) {
    let status = context.database.status();
    section.line("loading", 0);
    section.line("aof_enabled", 1);
    section.line("aof_last_write_status", if status.write_fault.is_some() { "err" } else { "ok" });
    section.line("aof_current_size", status.durable.position);
}

fn stats(context: &Context<'_>, section: &mut Section) {
    let counters = context.counters;
    section.line("total_connections_received", counters.connections_accepted);
    section.line("total_commands_processed", counters.requests);
    section.line("total_net_input_bytes", counters.bytes_in);
    section.line("total_net_output_bytes", counters.bytes_out);
    section.line("total_net_repl_output_bytes", counters.replication_bytes_out);
    section.line("rejected_connections", counters.connections_refused);
    section.line("client_output_buffer_limit_disconnections", counters.connections_closed_for_memory);
    section.line("protocol_errors", counters.connections_closed_for_protocol);
    section.line("orders", counters.orders);
    section.line("bundles", counters.bundles);
    section.line("scan_cursors", context.cursors.len());
}

fn replication(context: &Context<'_>, section: &mut Section) {
    section.line("role", role(context));
    #[cfg(feature = "replication")]
    if let Some(replica) = &context.options.replica {
        return followed(&replica.status(), section);
    }
    let fed = context.feeds.into_iter().flat_map(Feeds::replicas);
    let replicas: Vec<_> = fed.filter(|replica| replica.bytes.is_none()).collect();
    section.line("connected_slaves", replicas.len());
    for (number, replica) in replicas.iter().enumerate() {
        let (ip, port, sent) = (replica.address.ip(), replica.address.port(), replica.sent);
        // Replicas acknowledge nothing: the offset is how far log was sent, not how far it was applied, as it would be in Redis.
        section.line(&format!("slave{number}"), format_args!("ip={ip},port={port},state=online,offset={sent}"));
    }
    section.line("master_repl_offset", context.database.extent().durable.position);
}

/// What Redis says of a node that follows another.
#[cfg(feature = "replication")]
fn followed(status: &ReplicaStatus, section: &mut Section) {
    let (host, port) = status.primary.rsplit_once(':').unwrap_or_default();
    let up = status.receiver.state == receiver::machine::State::Streaming;
    section.line("master_host", host);
    section.line("master_port", port);
    section.line("master_link_status", if up { "up" } else { "down" });
    section.line("slave_read_only", 1);
    section.line("slave_read_repl_offset", status.received.received);
    section.line("slave_repl_offset", status.applied.position);
    section.line("connected_slaves", 0);
    section.line("master_repl_offset", status.applied.position);
}

fn aerodb(context: &Context<'_>, section: &mut Section) {
    let status = context.database.status();
    let report = context.database.report();
    let fault = |fault: &Option<crate::error::Error>| fault.as_ref().map_or_else(String::new, ToString::to_string);
    identity(&status.identity, section);
    section.line("commit", status.commit);
    section.line("floor", status.floor);
    section.point("durable", status.durable);
    section.point("checkpoint", status.checkpoint);
    section.line("log_oldest", status.log_oldest);
    section.point("recovery_checkpoint", report.checkpoint);
    section.line("recovery_proven_from", report.log.proven_from);
    section.point("recovery_marked", report.log.marked);
    section.point("recovery_end", report.log.end);
    section.line("recovery_records_replayed", report.records_replayed);
    section.line("recovery_torn_bytes", report.log.torn_bytes);
    section.line("recovery_unproven_bytes", report.log.unproven_bytes);
    section.line("recovery_roll_finished", report.log.roll_finished);
    for (number, name) in report.log.removed.iter().chain(&report.removed).enumerate() {
        section.line(&format!("recovery_removed_{number}"), name);
    }
    for step in &report.steps {
        section.line(&format!("recovery_step_{}", step.step), step);
    }
    section.line("committer", status.committer.state);
    section.line("committer_blocked", status.committer.blocked.unwrap_or_default());
    section.line("maintenance", status.maintenance.state);
    section.line("maintenance_blocked", status.maintenance.blocked.unwrap_or_default());
    section.line("sealed_tables", status.sealed_tables);
    section.line("runs", status.runs.len());
    section.line("run_bytes", status.runs.iter().map(|run| run.size).sum::<u64>());
    for (number, run) in status.runs.iter().enumerate() {
        section.line(&format!("run_{number}_file"), run.id.file_name());
        section.line(&format!("run_{number}_bytes"), run.size);
        section.line(&format!("run_{number}_hash"), format_args!("{:032x}", run.hash));
    }
    section.line("merges_due", status.merges_due);
    section.line("proofs_logged", status.proofs.logged);
    section.line("proofs_compared", status.proofs.compared);
    section.line("proofs_waiting", status.proofs.waiting);
    section.line("proofs_missed", status.proofs.missed);
    section.line("proofs_owed", status.proofs.owed);
    section.line("views", status.views);
    section.line("checkpoints", status.checkpoints);
    section.line("halted", fault(&status.halted));
    section.line("write_fault", fault(&status.write_fault));
    if let Some(feeds) = context.feeds {
        fed(feeds, context.counters, section);
    }
    #[cfg(feature = "replication")]
    if let Some(replica) = &context.options.replica {
        for (name, value) in replica.status().facts() {
            section.line(&format!("replica_{name}"), value);
        }
    }
}

/// Whose directory it is.
pub(in crate::server) fn identity(identity: &Identity, section: &mut Section) {
    section.line("database", identity.database_id);
    section.line("node", identity.node_id);
    section.line("role", identity.role);
    section.line("epoch", identity.epoch);
    section.line("segment_bytes", identity.parameters.segment_bytes);
    section.line("table_bytes", identity.parameters.table_bytes);
    section.line("block_bytes", identity.parameters.block_bytes);
    section.line("fanout", identity.parameters.fanout);
}

/// Who is fed, and how far.
fn fed(feeds: &Feeds, counters: &Counters, section: &mut Section) {
    section.line("feeding_at", feeds.address());
    section.line("feeding_connections", counters.replica_connections);
    section.line("feeding_refused", counters.replicas_refused);
    for (number, replica) in feeds.replicas().enumerate() {
        let mut line = |part: &str, value: &dyn Display| section.line(&format!("feed_{number}_{part}"), value);
        line("node", &replica.node);
        line("purpose", &replica.purpose);
        line("address", &replica.address);
        line("state", &replica.state);
        line("sent", &replica.sent);
        line("asked", &replica.asked);
        if let Some(bytes) = replica.bytes {
            line("bytes", &bytes);
        }
        line("held_bytes", &replica.held_bytes);
    }
}
