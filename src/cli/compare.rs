//! `aerodb compare`: whether two directories, backups or running nodes hold the same database, in lines or as one object.
//!
//! Thin: the library compares, this prints what it found, whatever that is. The exit status is 0 only where one log is the other or its
//! beginning, and all runs verify and are equal.
//!
//! A side is a server where it is written `addr:HOST:PORT`, or as HOST:PORT and there is nothing of that name; else it is a path.

use crate::cli::args;
use crate::cli::bytes;
use crate::cli::node::Running;
use crate::cli::output::{self, Output, Progress};
use aerodb::compare::{
    self, CompareOptions, Comparison, Damage, Excerpt, Fork, Held, Judged, Local, Party, Place, Relation, Runs, Said,
    Side, Spot, Step, Unheld, Verdict, Written,
};
use aerodb::disk::{Disk, RealDisk};
use aerodb::store::run::RunInfo;
use aerodb::sync::Arc;
use aerodb::{Error, LogPoint, Result};
use clap::ArgMatches;
use serde_json::{Value, json};
use std::path::Path;

/// `aerodb compare`.
pub(crate) fn compare(matches: &ArgMatches, out: &mut Output) -> Result<()> {
    let options = CompareOptions {
        thorough: args::flag(matches, "thorough"),
        scratch: args::optional_path(matches, "scratch").map(Path::to_owned),
    };
    let [mut a, mut b] = [party(args::path(matches, "A")?)?, party(args::path(matches, "B")?)?];
    let found = {
        let mut progress = Progress::new("comparing");
        compare::compare(a.as_mut(), b.as_mut(), &options, &mut |done, total| progress.show(done, total))?
    };
    if out.is_json() {
        out.json(&as_json(&found))?;
    } else {
        text(&found).iter().try_for_each(|line| out.line(line))?;
    }
    found.check()
}

/// What is named: a directory, a backup, or a server.
fn party(name: &Path) -> Result<Box<dyn Party>> {
    let word = name.to_str().unwrap_or_default();
    let address = match word.strip_prefix("addr:") {
        Some(address) => Some(args::address(address)?),
        None => args::address(word).ok().filter(|_| matches!(RealDisk.list(name), Ok(None))),
    };
    match address {
        Some(address) => Ok(Box::new(Running::connect(address)?)),
        None => Ok(Box::new(Local::open(&(Arc::new(RealDisk) as Arc<dyn Disk>), name)?)),
    }
}

fn text(found: &Comparison) -> Vec<String> {
    let by = if found.thorough { "every byte of both is proven" } else { "by their histories" };
    let mut lines = vec![
        held("a", &found.a),
        held("b", &found.b),
        format!("compared   from position {} on, {by}", found.from),
        format!("log        {}", relation(found)),
    ];
    if let Some((a, b)) = &found.wrote {
        for (side, written) in [("a", a), ("b", b)] {
            match written {
                Ok(written) => wrote(side, written, &mut lines),
                Err(error) => lines.push(format!("{side} wrote    what is not told: {error}")),
            }
        }
    }
    lines.push(format!("runs       {}", runs(&found.runs)));
    lines.extend(found.runs.different.iter().map(|different| {
        let [a, b] = [different.a, different.b].map(hashed);
        format!("differs    run {}: a {a}; b {b}", different.id)
    }));
    lines.extend(
        found.runs.damaged.iter().map(|Damage { id, side, error }| format!("damaged    run {id} of {side}: {error}")),
    );
    lines.extend(
        found.runs.unheld.iter().map(|Unheld { id, side, why }| format!("not held   run {id} of {side}: {why}")),
    );
    found.verdicts.iter().for_each(|one| verdict(one, &mut lines));
    if let Some(to) = found.state_to() {
        let all = found.a.end.commit.min(found.b.end.commit);
        let rest = if to < all { ": what lies behind it was not compared" } else { "" };
        lines.push(format!("state      compared up to commit {to} of {all}{rest}"));
    }
    lines
}

fn held(name: &str, Held { place, identity, oldest, end }: &Held) -> String {
    let place = match place {
        Place::Directory => String::new(),
        Place::Backup => "backup of ".to_owned(),
        Place::Server(address) => format!("server {address}, "),
    };
    let kind = if place.starts_with("server") { " as it was when it was asked" } else { "" };
    let (role, node, from) = (identity.role, identity.node_id, oldest.position);
    format!("{name:<10} {place}{role} node {node}: log from position {from} to {end}{kind}")
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

/// A line for the record, and one for each operation that is shown.
fn wrote(side: &str, Written { kind, after, said }: &Written, lines: &mut Vec<String>) {
    let begin = format!("{side} wrote    {kind}");
    match said {
        Said::Commit { first, count } => {
            lines.push(format!("{begin} {}: {count} operations", after.commit));
            for (key, value) in first {
                let key = excerpt(key);
                lines.push(match value {
                    Some(value) => format!("           put {key}\t{}", excerpt(value)),
                    None => format!("           del {key}"),
                });
            }
            let left = count.saturating_sub(first.len());
            if left > 0 {
                lines.push(format!("           and {left} more"));
            }
        }
        Said::Floor(floor) => lines.push(format!("{begin} {floor}")),
        Said::Proof(RunInfo { id, size, hash }) => {
            lines.push(format!("{begin} of run {id}: {}", hashed((*size, *hash))))
        }
        Said::Cut(purpose) => lines.push(format!("{begin} for a {}", purpose.name())),
        Said::Seal => lines.push(format!("{begin}: the segment ends")),
    }
}

/// The beginning of some bytes, and how many there are where it is not all.
fn excerpt(Excerpt { beginning, len }: &Excerpt) -> String {
    let text = bytes::escape(beginning);
    if beginning.len() < *len { format!("{text}… ({len} bytes)") } else { text }
}

fn runs(runs: &Runs) -> String {
    let how = if runs.by_hash { "by what the server says of them" } else { "byte for byte" };
    let mut parts = vec![format!("{} are equal {how} ({} bytes)", runs.equal, runs.bytes)];
    let mut add = |count: u64, what: &str| {
        if count > 0 {
            parts.push(format!("{count} {what}"));
        }
    };
    add(runs.different.len() as u64, "differ");
    add(runs.damaged.len() as u64, "do not verify");
    add(runs.only_a, "only in a");
    add(runs.only_b, "only in b");
    add(runs.held, "of these as the log yields them");
    add(runs.behind_fork, "not compared: the logs part there, or before");
    parts.join(", ")
}

fn hashed((size, hash): (u64, u128)) -> String {
    format!("{size} bytes, hash {hash:032x}")
}

fn verdict(Verdict { id, judged, from, records, yields, spots }: &Verdict, lines: &mut Vec<String>) {
    lines.push(format!("verdict    run {id}: {judged}"));
    if let Some(from) = from {
        let yields = yields.map_or_else(|| "no such run".to_owned(), hashed);
        lines.push(format!("replayed   {records} records behind {from}: they yield {yields}"));
    }
    for (side, Spot { offset, version }) in spots {
        let version = match version {
            Some((key, commit)) => format!(", first in the version of commit {commit} of key {}", excerpt(key)),
            None => String::new(),
        };
        lines.push(format!("wrong      {side} at byte {offset} of the file{version}"));
    }
}

fn as_json(found: &Comparison) -> Value {
    let point = |point: LogPoint| output::point(point);
    let held = |Held { place, identity, oldest, end }: &Held| {
        let mut held =
            json!({ "identity": output::identity(identity), "oldest": oldest.position.0, "end": point(*end) });
        held["is"] = match place {
            Place::Directory => "directory".into(),
            Place::Backup => "backup".into(),
            Place::Server(address) => {
                held["server"] = json!(address);
                "server".into()
            }
        };
        held
    };
    let wrote = |side: usize| found.wrote.as_ref().map(|(a, b)| wrote_json([a, b][side]));
    let step = |Step { kind, after }: Step, side: usize| json!({ "kind": kind.name(), "after": point(after), "wrote": wrote(side) });
    let (bytes, commits) = ahead(found);
    let relation = match found.relation {
        Relation::Same => json!({ "is": "same" }),
        Relation::Prefix { shorter } => {
            json!({ "is": "prefix", "shorter": shorter.to_string(), "bytes": bytes, "commits": commits })
        }
        Relation::Diverged(Fork::Behind { common, a, b }) => {
            json!({ "is": "diverged", "common": point(common), "a": step(a, 0), "b": step(b, 1) })
        }
        Relation::Diverged(Fork::Before { a, b }) => {
            json!({ "is": "diverged", "common": null, "a": point(a), "b": point(b) })
        }
    };
    let different = found.runs.different.iter();
    let different =
        different.map(|run| json!({ "run": run.id.to_string(), "a": hashed_json(run.a), "b": hashed_json(run.b) }));
    let unheld = found.runs.unheld.iter();
    let unheld =
        unheld.map(|run| json!({ "run": run.id.to_string(), "side": run.side.to_string(), "cannot_be_told": run.why }));
    let damaged = found.runs.damaged.iter();
    let damaged = damaged.map(
        |run| json!({ "run": run.id.to_string(), "side": run.side.to_string(), "code": run.error.reason().name() }),
    );
    json!({
        "a": held(&found.a),
        "b": held(&found.b),
        "from": found.from.0,
        "thorough": found.thorough,
        "log": relation,
        "runs": {
            "equal": found.runs.equal,
            "bytes": found.runs.bytes,
            "by_hash": found.runs.by_hash,
            "only_a": found.runs.only_a,
            "only_b": found.runs.only_b,
            "held": found.runs.held,
            "unheld": unheld.collect::<Vec<_>>(),
            "behind_fork": found.runs.behind_fork,
            "different": different.collect::<Vec<_>>(),
            "damaged": damaged.collect::<Vec<_>>(),
        },
        "state_compared_to_commit": found.state_to().map(|commit| commit.0),
        "verdicts": found.verdicts.iter().map(verdict_json).collect::<Vec<_>>(),
    })
}

fn hashed_json((size, hash): (u64, u128)) -> Value {
    json!({ "size": size, "hash": format!("{hash:032x}") })
}

fn excerpt_json(Excerpt { beginning, len }: &Excerpt) -> Value {
    json!({ "beginning": bytes::json(beginning), "bytes": len })
}

fn wrote_json(written: &std::result::Result<Written, Error>) -> Value {
    match written.as_ref().map(|written| &written.said) {
        Ok(Said::Commit { first, count }) => {
            let operation = |(key, value): &(Excerpt, Option<Excerpt>)| match value {
                Some(value) => json!({ "op": "put", "key": excerpt_json(key), "value": excerpt_json(value) }),
                None => json!({ "op": "del", "key": excerpt_json(key) }),
            };
            json!({ "operations": first.iter().map(operation).collect::<Vec<_>>(), "count": count })
        }
        Ok(Said::Floor(floor)) => json!({ "floor": floor.0 }),
        Ok(Said::Proof(RunInfo { id, size, hash })) => {
            json!({ "run": id.to_string(), "is": hashed_json((*size, *hash)) })
        }
        Ok(Said::Cut(purpose)) => json!({ "purpose": purpose.name() }),
        Ok(Said::Seal) => json!({}),
        Err(error) => json!({ "code": error.reason().name() }),
    }
}

fn verdict_json(Verdict { id, judged, from, records, yields, spots }: &Verdict) -> Value {
    let (wrong, why): (&[Side], _) = match judged {
        Judged::Wrong(Side::A) => (&[Side::A], None),
        Judged::Wrong(Side::B) => (&[Side::B], None),
        Judged::Both => (&[Side::A, Side::B], None),
        Judged::Unknown(why) => (&[], Some(why)),
    };
    let spot = |(side, Spot { offset, version }): &(Side, Spot)| {
        let (key, commit) = version.as_ref().map(|(key, commit)| (excerpt_json(key), commit.0)).unzip();
        json!({ "side": side.to_string(), "offset": offset, "key": key, "commit": commit })
    };
    json!({
        "run": id.to_string(),
        "wrong": wrong.iter().map(Side::to_string).collect::<Vec<_>>(),
        "cannot_be_told": why,
        "from": from.map(output::point),
        "records": records,
        "yields": yields.map(hashed_json),
        "spots": spots.iter().map(spot).collect::<Vec<_>>(),
    })
}
