//! `aerodb status`: what a node is and how far it is.
//!
//! Of a directory it shows what opening it proved, which takes the lock as any opening does. Of a server it shows what that says of
//! itself: its positions, what its components do, and what stopped them, if anything did.

use crate::cli::args::Place;
use crate::cli::output::{self, Output};
use crate::cli::remote::Server;
use crate::cli::session::with_node;
use aerodb::{Node, Result};
use clap::ArgMatches;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Display;

/// `aerodb status`.
pub(crate) fn status(matches: &ArgMatches, out: &mut Output) -> Result<()> {
    match Place::read(matches)? {
        Place::Directory(target) => {
            with_node(target.options(), |node| if out.is_json() { node_json(node, out) } else { node_text(node, out) })
        }
        Place::Server(address) => {
            let seen = Seen::ask(&mut Server::connect(&address)?)?;
            if out.is_json() { out.json(&seen.json()) } else { seen.text(out) }
        }
    }
}

fn node_text(node: &Node, out: &mut Output) -> Result<()> {
    let report = node.report();
    let state = node.store().state();
    let identity = &report.identity;
    let parameters = &identity.parameters;
    let mut row = |name: &str, value: &dyn Display| out.line(format_args!("{name:<14} {value}"));
    row("role", &identity.role)?;
    row("database", &identity.database_id)?;
    row("node", &identity.node_id)?;
    row("epoch", &identity.epoch)?;
    row("segment bytes", &parameters.segment_bytes)?;
    row("table bytes", &parameters.table_bytes)?;
    row("block bytes", &parameters.block_bytes)?;
    row("fanout", &parameters.fanout)?;
    row("commit", &node.store().commit())?;
    row("floor", &state.floor)?;
    row("durable", &node.durable())?;
    row("checkpoint", &state.checkpoint)?;
    row("log from", &format_args!("position {}", report.log.oldest))?;
    row("proven from", &format_args!("position {}", report.log.proven_from))?;
    row("replayed", &format_args!("{} records", report.records_replayed))?;
    row("torn tail", &format_args!("{} bytes dropped", report.log.torn_bytes))?;
    if !report.identity.role.writes() {
        row("unproven", &format_args!("{} bytes dropped", report.log.unproven_bytes))?;
    }
    let bytes: u64 = state.runs.iter().map(|run| run.info().size).sum();
    row("runs", &format_args!("{}, {bytes} bytes, {} merges due", state.runs.len(), state.merges_due))?;
    for run in state.runs.iter().rev() {
        let info = run.info();
        row("", &format_args!("{} {} bytes xxh3-128 {:032x}", info.id.file_name(), info.size, info.hash))?;
    }
    Ok(())
}

fn node_json(node: &Node, out: &mut Output) -> Result<()> {
    let report = node.report();
    let state = node.store().state();
    let runs: Vec<_> = state
        .runs
        .iter()
        .rev()
        .map(|run| {
            let info = run.info();
            json!({
                "file": info.id.file_name(),
                "level": info.id.level,
                "first": info.id.first.0,
                "last": info.id.last.0,
                "bytes": info.size,
                "hash": format!("{:032x}", info.hash),
            })
        })
        .collect();
    out.json(&json!({
        "identity": output::identity(&report.identity),
        "commit": node.store().commit().0,
        "floor": state.floor.0,
        "durable": output::point(node.durable()),
        "checkpoint": output::point(state.checkpoint),
        "log_oldest": report.log.oldest.0,
        "runs": runs,
        "merges_due": state.merges_due,
        "recovery": {
            "proven_from": report.log.proven_from.0,
            "marked": output::point(report.log.marked),
            "records_replayed": report.records_replayed,
            "torn_bytes": report.log.torn_bytes,
            "unproven_bytes": report.log.unproven_bytes,
            "roll_finished": report.log.roll_finished,
            "removed": report.log.removed.iter().chain(&report.removed).collect::<Vec<_>>(),
        },
    }))
}

/// What a server says of itself.
struct Seen(Vec<(String, String)>);

impl Seen {
    fn ask(server: &mut Server) -> Result<Seen> {
        let mut seen = server.info("aerodb")?;
        seen.extend(server.info("replication")?);
        Ok(Seen(seen))
    }

    /// What it says under a name; nothing, if it says nothing.
    fn word(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        found.filter(|value| !value.is_empty())
    }

    fn point(&self, name: &str) -> String {
        let parts = ["position", "history", "commit"].map(|part| (part, self.word(&format!("{name}_{part}"))));
        let parts = parts.iter().filter_map(|(part, value)| Some(format!("{part} {}", (*value)?)));
        parts.collect::<Vec<_>>().join(" ")
    }

    fn component(&self, name: &str) -> String {
        let state = self.word(name).unwrap_or_default();
        match self.word(&format!("{name}_blocked")) {
            Some(blocked) => format!("{state}, blocked: {blocked}"),
            None => state.to_owned(),
        }
    }

    /// The replicas that it serves, each as it says; none, if it serves none.
    fn replicas(&self) -> impl Iterator<Item = BTreeMap<&str, &str>> {
        let number = |name: &str| name.strip_prefix("slave")?.parse::<usize>().ok();
        let lines = self.0.iter().filter(move |(name, _)| number(name).is_some());
        lines.map(|(_, line)| line.split(',').filter_map(|part| part.split_once('=')).collect())
    }

    fn text(&self, out: &mut Output) -> Result<()> {
        let word = |name: &str| self.word(name).unwrap_or_default();
        let runs = format!("{}, {} bytes, {} merges due", word("runs"), word("run_bytes"), word("merges_due"));
        let mut row = |name: &str, value: &dyn Display| out.line(format_args!("{name:<14} {value}"));
        for name in ["role", "database", "node", "epoch", "commit", "floor"] {
            row(name, &word(name))?;
        }
        row("durable", &self.point("durable"))?;
        row("checkpoint", &self.point("checkpoint"))?;
        row("runs", &runs)?;
        row("sealed tables", &word("sealed_tables"))?;
        row("views", &word("views"))?;
        row("committer", &self.component("committer"))?;
        row("maintenance", &self.component("maintenance"))?;
        row("halted", &self.word("halted").unwrap_or("no"))?;
        row("write fault", &self.word("write_fault").unwrap_or("none"))?;
        if let Some(address) = self.word("replication_address") {
            row(
                "replicas at",
                &format_args!(
                    "{address}, {} connected, {} refused",
                    word("connected_slaves"),
                    word("replicas_refused")
                ),
            )?;
        }
        for replica in self.replicas() {
            let part = |name: &str| replica.get(name).copied().unwrap_or_default();
            let (node, ip, port, state) = (part("node"), part("ip"), part("port"), part("feeder"));
            let (sent, asked) = (part("offset"), part("asked"));
            row("", &format_args!("{node} at {ip} port {port}: {state}, sent {sent}, asked {asked}"))?;
        }
        Ok(())
    }

    fn json(&self) -> Value {
        let number = |name: &str| self.word(name).and_then(|value| value.parse::<u64>().ok());
        let point = |name: &str| {
            json!({
                "position": number(&format!("{name}_position")),
                "history": self.word(&format!("{name}_history")),
                "commit": number(&format!("{name}_commit")),
            })
        };
        let component =
            |name: &str| json!({ "state": self.word(name), "blocked": self.word(&format!("{name}_blocked")) });
        let replicas: Vec<_> = self
            .replicas()
            .map(|replica| {
                let part = |name: &str| replica.get(name).copied();
                let number = |name: &str| part(name).and_then(|value| value.parse::<u64>().ok());
                json!({
                    "node": part("node"),
                    "ip": part("ip"),
                    "port": number("port"),
                    "state": part("feeder"),
                    "sent": number("offset"),
                    "asked": number("asked"),
                })
            })
            .collect();
        json!({
            "identity": {
                "role": self.word("role"),
                "database": self.word("database"),
                "node": self.word("node"),
                "epoch": number("epoch"),
            },
            "commit": number("commit"),
            "floor": number("floor"),
            "durable": point("durable"),
            "checkpoint": point("checkpoint"),
            "run_count": number("runs"),
            "run_bytes": number("run_bytes"),
            "merges_due": number("merges_due"),
            "sealed_tables": number("sealed_tables"),
            "views": number("views"),
            "committer": component("committer"),
            "maintenance": component("maintenance"),
            "halted": self.word("halted"),
            "write_fault": self.word("write_fault"),
            "replication": self.word("replication_address"),
            "replicas": replicas,
        })
    }
}
