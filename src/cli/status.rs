//! `aerodb status`: what a node is and how far it is.
//!
//! Of a directory it shows what opening it proved, which takes the lock as any opening does. Of a server it shows what that says of
//! itself, and beyond that what its components do, and what stopped them, if anything did. Both are names and values, as INFO has them,
//! shown by the same code. What a server says is not believed to be fit for a terminal.

use crate::cli::args::Place;
use crate::cli::failure::printable;
use crate::cli::output::Output;
use crate::cli::remote::Server;
use crate::cli::session::with_node;
use aerodb::recovery::machine::State;
use aerodb::resp::response::Bounds;
use aerodb::store::run::RunId;
use aerodb::{LogPoint, Node, Reason, Result};
use clap::ArgMatches;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Display;

/// `aerodb status`.
pub(crate) fn status(matches: &ArgMatches, out: &mut Output) -> Result<()> {
    let show = |seen: Seen, out: &mut Output| if out.is_json() { out.json(&seen.json()) } else { seen.text(out) };
    match Place::read(matches)? {
        Place::Directory(target) => with_node(target.options(), |node| show(Seen::of(node), out)),
        Place::Server(address) => {
            let mut server = match Server::connect(&address) {
                // A node that has no commit to serve yet says how far it is.
                Err(error) if [Reason::ReadBootstrapping, Reason::ReadRecovering].contains(&error.reason()) => {
                    Server::reach(&address, Bounds::default())?
                }
                connected => connected?,
            };
            show(Seen(server.info("aerodb")?.into_iter().collect()), out)
        }
    }
}

/// What became of the Proofs of the log, and how many it still lacks.
const PROOFS: [&str; 4] = ["compared", "waiting", "missed", "owed"];

/// What a node says of itself.
struct Seen(BTreeMap<String, String>);

impl Seen {
    /// What opening a directory proved.
    fn of(node: &Node) -> Seen {
        let report = node.report();
        let state = node.store().state();
        let identity = &report.identity;
        let mut seen = Seen(BTreeMap::new());
        seen.say("role", identity.role);
        seen.say("database", identity.database_id);
        seen.say("node", identity.node_id);
        seen.say("epoch", identity.epoch);
        seen.say("segment_bytes", identity.parameters.segment_bytes);
        seen.say("table_bytes", identity.parameters.table_bytes);
        seen.say("block_bytes", identity.parameters.block_bytes);
        seen.say("fanout", identity.parameters.fanout);
        seen.say("commit", node.store().commit());
        seen.say("floor", state.floor);
        seen.say_point("durable", node.durable());
        seen.say_point("checkpoint", state.checkpoint);
        seen.say("log_oldest", node.oldest());
        seen.say_point("recovery_checkpoint", report.checkpoint);
        seen.say("recovery_proven_from", report.log.proven_from);
        seen.say_point("recovery_marked", report.log.marked);
        seen.say_point("recovery_end", report.log.end);
        seen.say("recovery_records_replayed", report.records_replayed);
        seen.say("recovery_torn_bytes", report.log.torn_bytes);
        seen.say("recovery_unproven_bytes", report.log.unproven_bytes);
        seen.say("recovery_roll_finished", report.log.roll_finished);
        for (number, name) in report.log.removed.iter().chain(&report.removed).enumerate() {
            seen.say(&format!("recovery_removed_{number}"), name);
        }
        for step in &report.steps {
            seen.say(&format!("recovery_step_{}", step.step), step);
        }
        seen.say("runs", state.runs.len());
        seen.say("run_bytes", state.runs.iter().map(|run| run.info().size).sum::<u64>());
        for (number, run) in state.runs.iter().rev().enumerate() {
            let info = run.info();
            seen.say(&format!("run_{number}_file"), info.id.file_name());
            seen.say(&format!("run_{number}_bytes"), info.size);
            seen.say(&format!("run_{number}_hash"), format_args!("{:032x}", info.hash));
        }
        seen.say("merges_due", state.manifest.plan.merges.len());
        seen
    }

    fn say(&mut self, name: &str, value: impl Display) {
        self.0.insert(name.to_owned(), value.to_string());
    }

    fn say_point(&mut self, name: &str, point: LogPoint) {
        self.say(&format!("{name}_position"), point.position);
        self.say(&format!("{name}_history"), point.history);
        self.say(&format!("{name}_commit"), point.commit);
    }

    /// What it says under a name; nothing, if it says nothing.
    fn word(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.word(name)?.parse().ok()
    }

    /// What it says of the first of many, of the second, and so on.
    fn each(&self, name: &str, part: &str) -> impl Iterator<Item = (usize, &str)> {
        (0..).map_while(move |number| Some((number, self.word(&format!("{name}_{number}{part}"))?)))
    }

    /// Whether it is a server, which has threads.
    fn is_of_a_server(&self) -> bool {
        self.word("committer").is_some()
    }

    /// What it says while it has no database to serve: whose directory it is, if that is known, why it waits, and how far it is.
    fn of_the_lobby(&self) -> Option<impl Iterator<Item = (&str, &str)>> {
        self.word("waiting")?;
        let whose = ["role", "database", "node", "epoch", "waiting"];
        let known = whose.into_iter().filter_map(|name| Some((name, self.word(name)?)));
        let is_progress = |name: &str| ["bootstrap_", "recovery_"].iter().any(|begin| name.starts_with(begin));
        let all = self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        Some(known.chain(all.filter(move |(name, _)| is_progress(name))))
    }

    /// The steps of its last recovery, in their order, and the evidence of each.
    fn recovered(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let steps = State::ALL.iter().map(|step| step.name());
        steps.filter_map(|step| Some((step, self.0.get(&format!("recovery_step_{step}"))?.as_str())))
    }

    /// What it says as a replica: what is known, in its order.
    fn of_a_replica(&self) -> impl Iterator<Item = (&'static str, &str)> {
        #[cfg(feature = "replication")]
        let names = aerodb::replica::FACTS;
        #[cfg(not(feature = "replication"))]
        let names = [];
        names.into_iter().filter_map(|name: &'static str| Some((name, self.word(&format!("replica_{name}"))?)))
    }

    fn text(&self, out: &mut Output) -> Result<()> {
        let word = |name: &str| self.word(name).unwrap_or_default();
        let point = |name: &str| {
            let parts = ["position", "history", "commit"].map(|part| (part, self.word(&format!("{name}_{part}"))));
            let parts = parts.iter().filter_map(|(part, value)| Some(format!("{part} {}", (*value)?)));
            parts.collect::<Vec<_>>().join(" ")
        };
        let component = |name: &str| match self.word(&format!("{name}_blocked")) {
            Some(blocked) => format!("{}, blocked: {blocked}", word(name)),
            None => word(name).to_owned(),
        };
        let mut row = |name: &str, value: &str| out.line(format_args!("{name:<14} {}", printable(value)));
        if let Some(mut facts) = self.of_the_lobby() {
            return facts.try_for_each(|(name, value)| row(&name.replace('_', " "), value));
        }
        for name in ["role", "database", "node", "epoch", "segment_bytes", "table_bytes", "block_bytes", "fanout"] {
            row(&name.replace('_', " "), word(name))?;
        }
        row("commit", word("commit"))?;
        row("floor", word("floor"))?;
        row("durable", &point("durable"))?;
        row("checkpoint", &point("checkpoint"))?;
        row("log from", &format!("position {}", word("log_oldest")))?;
        row("proven from", &format!("position {}", word("recovery_proven_from")))?;
        let (from, to) = (word("recovery_checkpoint_position"), word("recovery_end_position"));
        row("replayed", &format!("{} records, from {from} to {to}", word("recovery_records_replayed")))?;
        row("torn tail", &format!("{} bytes dropped", word("recovery_torn_bytes")))?;
        row("unproven", &format!("{} bytes dropped", word("recovery_unproven_bytes")))?;
        for (step, evidence) in self.recovered() {
            row(if step == State::Locking.name() { "recovery" } else { "" }, &format!("{step}: {evidence}"))?;
        }
        row("runs", &format!("{}, {} bytes, {} merges due", word("runs"), word("run_bytes"), word("merges_due")))?;
        for (number, file) in self.each("run", "_file") {
            let (bytes, hash) = (word(&format!("run_{number}_bytes")), word(&format!("run_{number}_hash")));
            row("", &format!("{file} {bytes} bytes xxh3-128 {hash}"))?;
        }
        if self.is_of_a_server() {
            row("sealed tables", word("sealed_tables"))?;
            if let Some(logged) = self.word("proofs_logged") {
                let of = PROOFS.map(|name| format!("{} {name}", word(&format!("proofs_{name}"))));
                row("proofs", &format!("{logged} logged: {}", of.join(", ")))?;
            }
            row("views", word("views"))?;
            if let Some(pinned) = self.word("checkpoints") {
                row("checkpoints", &format!("{pinned} pinned"))?;
            }
            row("committer", &component("committer"))?;
            row("maintenance", &component("maintenance"))?;
            row("halted", self.word("halted").unwrap_or("no"))?;
            row("write fault", self.word("write_fault").unwrap_or("none"))?;
        }
        if let Some(address) = self.word("feeding_at") {
            row("feeds at", &format!("{address}, {} refused", word("feeding_refused")))?;
        }
        for (number, node) in self.each("feed", "_node") {
            let part = |name: &str| word(&format!("feed_{number}_{name}"));
            let (address, state, sent, asked) = (part("address"), part("state"), part("sent"), part("asked"));
            let of = self
                .word(&format!("feed_{number}_bytes"))
                .map_or_else(String::new, |bytes| format!(" of {bytes} bytes"));
            let purpose =
                self.word(&format!("feed_{number}_purpose")).map_or_else(String::new, |purpose| format!("{purpose}, "));
            row("", &format!("{node} at {address}: {purpose}{state}, sent {sent}{of}, asked {asked}"))?;
        }
        for (name, value) in self.of_a_replica() {
            row(&name.replace('_', " "), value)?;
        }
        Ok(())
    }

    fn json(&self) -> Value {
        if let Some(facts) = self.of_the_lobby() {
            let is_word = |name: &str| ["role", "database", "node", "waiting"].contains(&name);
            let value = |name: &str, word: &str| match word.parse::<u64>() {
                Ok(number) if !is_word(name) => json!(number),
                _ => json!(word),
            };
            return Value::Object(facts.map(|(name, word)| (name.to_owned(), value(name, word))).collect());
        }
        let point = |name: &str| {
            json!({
                "position": self.number(&format!("{name}_position")),
                "history": self.word(&format!("{name}_history")),
                "commit": self.number(&format!("{name}_commit")),
            })
        };
        let run = |(number, file): (usize, &str)| {
            let id = RunId::parse(file);
            json!({
                "file": file,
                "level": id.map(|id| id.level),
                "first": id.map(|id| id.first.0),
                "last": id.map(|id| id.last.0),
                "bytes": self.number(&format!("run_{number}_bytes")),
                "hash": self.word(&format!("run_{number}_hash")),
            })
        };
        let mut object = json!({
            "identity": {
                "role": self.word("role"),
                "database": self.word("database"),
                "node": self.word("node"),
                "epoch": self.number("epoch"),
                "segment_bytes": self.number("segment_bytes"),
                "table_bytes": self.number("table_bytes"),
                "block_bytes": self.number("block_bytes"),
                "fanout": self.number("fanout"),
            },
            "commit": self.number("commit"),
            "floor": self.number("floor"),
            "durable": point("durable"),
            "checkpoint": point("checkpoint"),
            "log_oldest": self.number("log_oldest"),
            "runs": self.each("run", "_file").map(run).collect::<Vec<_>>(),
            "merges_due": self.number("merges_due"),
            "recovery": {
                "checkpoint": point("recovery_checkpoint"),
                "proven_from": self.number("recovery_proven_from"),
                "marked": point("recovery_marked"),
                "end": point("recovery_end"),
                "records_replayed": self.number("recovery_records_replayed"),
                "torn_bytes": self.number("recovery_torn_bytes"),
                "unproven_bytes": self.number("recovery_unproven_bytes"),
                "roll_finished": self.word("recovery_roll_finished").and_then(|word| word.parse::<bool>().ok()),
                "removed": self.each("recovery_removed", "").map(|(_, name)| name).collect::<Vec<_>>(),
                "steps": self.recovered().map(|(step, evidence)| json!({ "step": step, "evidence": evidence })).collect::<Vec<_>>(),
            },
        });
        if self.is_of_a_server() {
            let component =
                |name: &str| json!({ "state": self.word(name), "blocked": self.word(&format!("{name}_blocked")) });
            object["sealed_tables"] = json!(self.number("sealed_tables"));
            let proofs = std::iter::once("logged").chain(PROOFS);
            let proofs = proofs.map(|name| (name.to_owned(), json!(self.number(&format!("proofs_{name}")))));
            object["proofs"] = Value::Object(proofs.collect());
            object["views"] = json!(self.number("views"));
            object["checkpoints"] = json!(self.number("checkpoints"));
            object["committer"] = component("committer");
            object["maintenance"] = component("maintenance");
            object["halted"] = json!(self.word("halted"));
            object["write_fault"] = json!(self.word("write_fault"));
        }
        if let Some(address) = self.word("feeding_at") {
            let feed = |(number, node): (usize, &str)| {
                let name = |part: &str| format!("feed_{number}_{part}");
                json!({
                    "node": node,
                    "purpose": self.word(&name("purpose")),
                    "address": self.word(&name("address")),
                    "state": self.word(&name("state")),
                    "sent": self.number(&name("sent")),
                    "asked": self.number(&name("asked")),
                    "bytes": self.number(&name("bytes")),
                })
            };
            object["feeding"] = json!({
                "at": address,
                "refused": self.number("feeding_refused"),
                "feeds": self.each("feed", "_node").map(feed).collect::<Vec<_>>(),
            });
        }
        if self.of_a_replica().next().is_some() {
            // Hashes and ids are words, also where all their digits are decimal.
            let is_word = |name: &str| name.ends_with("_history") || name.ends_with("_node");
            let value = |name: &str, word: &str| match word.parse::<u64>() {
                Ok(number) if !is_word(name) => json!(number),
                _ => json!(word),
            };
            let facts = self.of_a_replica().map(|(name, word)| (name.to_owned(), value(name, word)));
            object["replica"] = Value::Object(facts.collect());
        }
        object
    }
}
