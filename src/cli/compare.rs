//! `aerodb compare`: whether two directories hold the same database, in lines or as one object.
//!
//! Thin: the library compares, this prints what it found, whatever that is. The exit status is 0 only where one log is the other or its
//! beginning and all runs that both have are equal.

use crate::cli::args;
use crate::cli::output::{self, Output, Progress};
use aerodb::compare::{self, CompareOptions, Compared, Comparison, Fork, Relation, Runs, Side, Step};
use aerodb::disk::RealDisk;
use aerodb::sync::Arc;
use aerodb::{LogPoint, Result};
use clap::ArgMatches;
use serde_json::{Value, json};

/// `aerodb compare`.
pub(crate) fn compare(matches: &ArgMatches, out: &mut Output) -> Result<()> {
    let options = CompareOptions {
        a: args::path(matches, "A")?.to_owned(),
        b: args::path(matches, "B")?.to_owned(),
        disk: Arc::new(RealDisk),
        thorough: args::flag(matches, "thorough"),
    };
    let found = {
        let mut progress = Progress::new("comparing");
        compare::compare(&options, &mut |done, total| progress.show(done, total))?
    };
    if out.is_json() {
        out.json(&as_json(&found))?;
    } else {
        text(&found).iter().try_for_each(|line| out.line(line))?;
    }
    found.check()
}

fn text(found: &Comparison) -> Vec<String> {
    let side = |name, Compared { identity, oldest, end }: &Compared| {
        format!(
            "{name:<10} {} node {}: log from position {} to {end}",
            identity.role, identity.node_id, oldest.position
        )
    };
    let by = if found.thorough { "every byte of both is proven" } else { "by their histories" };
    let mut lines = vec![
        side("a", &found.a),
        side("b", &found.b),
        format!("compared   from position {} on, {by}", found.from),
        format!("log        {}", relation(found)),
        format!("runs       {}", runs(&found.runs)),
    ];
    lines.extend(found.runs.different.iter().map(|different| {
        let [a, b] = [different.a, different.b].map(|(size, hash)| format!("{size} bytes, hash {hash:032x}"));
        format!("differs    run {}: a {a}; b {b}", different.id)
    }));
    lines
}

fn relation(found: &Comparison) -> String {
    match found.relation {
        Relation::Same => "same".to_owned(),
        Relation::Prefix { shorter } => {
            let (bytes, commits) = ahead(found);
            format!("prefix: {shorter} ends {bytes} bytes and {commits} commits before the other")
        }
        Relation::Diverged(Fork::Behind { common, a, b }) => {
            let step = |Step { kind, after }| format!("a {kind} that ends at {after}");
            format!("diverged at {common}: a goes on with {}, b with {}", step(a), step(b))
        }
        Relation::Diverged(Fork::Before { a, b }) => {
            format!("diverged before position {}, the oldest that both hold: a has {a}, b has {b}", found.from)
        }
    }
}

/// Bytes and commits that the longer log has more.
fn ahead(found: &Comparison) -> (u64, u64) {
    let (a, b) = (found.a.end, found.b.end);
    (a.position.0.abs_diff(b.position.0), a.commit.0.abs_diff(b.commit.0))
}

fn runs(runs: &Runs) -> String {
    let mut parts = vec![format!("{} are equal byte for byte ({} bytes)", runs.equal, runs.bytes)];
    let mut add = |count: u64, what: &str| {
        if count > 0 {
            parts.push(format!("{count} {what}"));
        }
    };
    add(runs.different.len() as u64, "differ");
    add(runs.only_a, "only in a");
    add(runs.only_b, "only in b");
    add(runs.behind_fork, "not compared: the logs part there, or before");
    parts.join(", ")
}

fn as_json(found: &Comparison) -> Value {
    let side = |Compared { identity, oldest, end }: &Compared| json!({ "identity": output::identity(identity), "oldest": oldest.position.0, "end": output::point(*end) });
    let name = |side: Side| side.to_string();
    let step = |Step { kind, after }: Step| json!({ "kind": kind.name(), "after": output::point(after) });
    let before = |point: LogPoint| output::point(point);
    let (bytes, commits) = ahead(found);
    let relation = match found.relation {
        Relation::Same => json!({ "is": "same" }),
        Relation::Prefix { shorter } => {
            json!({ "is": "prefix", "shorter": name(shorter), "bytes": bytes, "commits": commits })
        }
        Relation::Diverged(Fork::Behind { common, a, b }) => {
            json!({ "is": "diverged", "common": output::point(common), "a": step(a), "b": step(b) })
        }
        Relation::Diverged(Fork::Before { a, b }) => {
            json!({ "is": "diverged", "common": null, "a": before(a), "b": before(b) })
        }
    };
    let hashed = |(size, hash): (u64, u128)| json!({ "size": size, "hash": format!("{hash:032x}") });
    let different: Vec<Value> = found
        .runs
        .different
        .iter()
        .map(|run| json!({ "run": run.id.to_string(), "a": hashed(run.a), "b": hashed(run.b) }))
        .collect();
    json!({
        "a": side(&found.a),
        "b": side(&found.b),
        "from": found.from.0,
        "thorough": found.thorough,
        "log": relation,
        "runs": {
            "equal": found.runs.equal,
            "bytes": found.runs.bytes,
            "only_a": found.runs.only_a,
            "only_b": found.runs.only_b,
            "behind_fork": found.runs.behind_fork,
            "different": different,
        },
    })
}
