//! The commands on whole directories: `verify`, `backup`, `restore`.
//!
//! Thin: the library proves and copies, this prints what it says of it. How far they are is shown on a terminal only.

use crate::cli::args::{self, Target};
use crate::cli::output::{self, Output, Progress};
use aerodb::backup::{self, BackupReport, RestoreOptions};
use aerodb::disk::RealDisk;
use aerodb::sync::Arc;
use aerodb::verify::{self, Proof, TailProof, VerifyOptions};
use aerodb::{Result, Role, recovery::Options};
use clap::ArgMatches;
use serde_json::{Value, json};
use std::path::Path;

/// `aerodb verify`.
pub(crate) fn verify(matches: &ArgMatches, out: &mut Output) -> Result<()> {
    let target = Target::read(matches)?;
    if args::flag(matches, "backup") {
        let report = prove_backup(target.options())?;
        target.expect(&report.identity)?;
        return out.answer(report_text("verified backup", &report), || report_json(&report));
    }
    target.identity()?;
    let proof = prove(target.options())?;
    if out.is_json() {
        return out.json(&proof_json(&proof));
    }
    proof_text(&proof).iter().try_for_each(|line| out.line(line))
}

/// Proves a directory, with progress.
pub(crate) fn prove(options: &Options) -> Result<Proof> {
    let mut progress = Progress::new("verifying");
    let options = VerifyOptions { dir: options.dir.clone(), disk: options.disk.clone() };
    verify::verify(&options, &mut |done, total| progress.show(done, total))
}

/// Proves a backup where it lies, with progress.
fn prove_backup(options: &Options) -> Result<BackupReport> {
    let mut progress = Progress::new("verifying");
    backup::check(options.disk.as_ref(), &options.dir, &mut |done, total| progress.show(done, total))
}

/// What was proven, in sentences.
pub(crate) fn proof_text(proof: &Proof) -> Vec<String> {
    let mut lines = vec![
        format!(
            "identity   {} node {} of database {}",
            proof.identity.role, proof.identity.node_id, proof.identity.database_id
        ),
        format!(
            "log        {} records, {} of them commits, in {} segments, {} bytes from position {} on: each one proven",
            proof.records, proof.commits, proof.segments, proof.log_bytes, proof.log_oldest
        ),
        format!("log end    {}", proof.log_end),
        format!("tail       {}", tail(&proof.tail)),
        format!("checkpoint {}", proof.checkpoint),
        format!("floor      {}", proof.floor),
        format!(
            "store      {} runs, {} bytes, {} entries: each block proven",
            proof.runs, proof.run_bytes, proof.entries
        ),
    ];
    lines.push(format!("agreement  the runs hold what the log from position {} on demands", proof.log_oldest));
    if proof.proofs > 0 {
        lines.push(format!("proofs     {} of the log are of a run that is here, and name this very one", proof.proofs));
    }
    lines.extend(proof.leftovers.iter().map(|name| format!("left over  {name}")));
    lines.push("verified".to_owned());
    lines
}

/// What stands behind the log, and what the next opening does with it.
fn tail(tail: &TailProof) -> String {
    let mut parts = vec![format!("{} bytes were never written", tail.blank_bytes)];
    let mut add = |bytes: u64, what: &str| {
        if bytes > 0 {
            parts.push(format!("{bytes} bytes {what}"));
        }
    };
    add(tail.unmarked_bytes, "of proven records lie above the mark and are accepted");
    add(tail.torn_bytes, "behind the last record are no record: never acknowledged, and dropped by the next opening");
    add(tail.unproven_bytes, "were received and are not proven: dropped by the next opening");
    add(tail.beyond_bytes, "behind the allocated space are cut off by the next opening");
    if tail.unfinished_roll {
        parts.push("the next segment is begun by the next opening".to_owned());
    }
    parts.join("; ")
}

fn tail_json(tail: &TailProof) -> Value {
    json!({
        "unmarked_bytes": tail.unmarked_bytes,
        "torn_bytes": tail.torn_bytes,
        "unproven_bytes": tail.unproven_bytes,
        "blank_bytes": tail.blank_bytes,
        "beyond_bytes": tail.beyond_bytes,
        "unfinished_roll": tail.unfinished_roll,
    })
}

fn proof_json(proof: &Proof) -> Value {
    json!({
        "identity": output::identity(&proof.identity),
        "log": {
            "oldest": proof.log_oldest.0,
            "end": output::point(proof.log_end),
            "records": proof.records,
            "commits": proof.commits,
            "segments": proof.segments,
            "bytes": proof.log_bytes,
            "tail": tail_json(&proof.tail),
        },
        "checkpoint": output::point(proof.checkpoint),
        "floor": proof.floor.0,
        "store": { "runs": proof.runs, "bytes": proof.run_bytes, "entries": proof.entries, "proofs": proof.proofs },
        "leftovers": proof.leftovers,
    })
}

/// `aerodb backup`.
pub(crate) fn backup(matches: &ArgMatches, out: &mut Output) -> Result<()> {
    let target = Target::read(matches)?;
    let report = make_backup(target.options(), args::path(matches, "OUT")?)?;
    out.answer(report_text("backup", &report), || report_json(&report))
}

/// Backs a directory up, with progress.
pub(crate) fn make_backup(options: &Options, to: &Path) -> Result<BackupReport> {
    let mut progress = Progress::new("backing up");
    backup::backup(options, to, &mut |done, total| progress.show(done, total))
}

/// `aerodb restore`.
pub(crate) fn restore(matches: &ArgMatches, out: &mut Output) -> Result<()> {
    let role = args::word(matches, "role").and_then(Role::parse);
    let report = restore_backup(args::path(matches, "BACKUP")?, args::path(matches, "DIR")?, role)?;
    out.answer(report_text("restored", &report), || report_json(&report))
}

/// Makes a directory from a backup, with progress.
pub(crate) fn restore_backup(from: &Path, dir: &Path, role: Option<Role>) -> Result<BackupReport> {
    let mut progress = Progress::new("restoring");
    let options = RestoreOptions { role, ..RestoreOptions::new(Arc::new(RealDisk), from, dir) };
    backup::restore_with(&options, &mut |done, total| progress.show(done, total))
}

/// What was copied.
pub(crate) fn report_text(verb: &str, report: &BackupReport) -> String {
    format!("{verb} {}: {} files, {} bytes", report.cut, report.files, report.bytes)
}

fn report_json(report: &BackupReport) -> Value {
    json!({
        "identity": output::identity(&report.identity),
        "cut": output::point(report.cut),
        "files": report.files,
        "bytes": report.bytes,
    })
}
