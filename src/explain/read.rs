//! Why a read of one key finds what it finds: the gate's rules, the versions of the key, and which of them is visible.
//!
//! All of it is of one look: the rules, and the view that they admitted. The versions are looked up with the code that reads them, from the one that the
//! view sees to the oldest that has to be kept; at most [`VERSIONS_MAX`] of them, and only so many bytes. Where the read is refused none is compared.

use super::{Applied, Conclusion, Explanation, Facts, Kind, fact};
use crate::commit_id::CommitId;
use crate::database::Database;
use crate::error::Result;
use crate::gate::{Check, Evaluation, Wish};
use crate::json::escape;
use crate::limits::{EXPLAIN_READ_BYTES_MAX, KEY_BYTES_MAX};
use crate::store::View;

/// Most versions that an explanation shows.
pub const VERSIONS_MAX: usize = 64;

/// Explains a read of a key.
#[must_use]
pub fn read(database: &Database, key: &[u8], wish: &Wish) -> Explanation {
    let mut inputs = vec![fact("key", escape(key.get(..KEY_BYTES_MAX).unwrap_or(key)))];
    inputs.push(fact("at", wish.at.map_or_else(|| "newest".to_owned(), |at| at.to_string())));
    inputs.extend(wish.at_least.map(|commit| fact("at_least", commit)));
    inputs.extend(wish.on.map(|point| fact("on", point)));
    let (facts, verdict) = database.look(wish);
    let mut rules: Vec<Applied> = Check::ALL.iter().map(|check| Applied::of_gate(*check, &facts, wish)).collect();
    let mut missing = Vec::new();
    let compared = verdict.and_then(|view| compare(&view, facts.floor, key).map(|versions| (view.commit(), versions)));
    let conclusion = match compared {
        Ok((view, versions)) => {
            if versions.cut {
                missing.push("older versions, which the view does not see".to_owned());
            }
            found(&mut rules, &versions, view)
        }
        Err(error) => {
            let why = Evaluation::Undetermined("the read is refused");
            rules.push(Applied::new("M-VISIBLE", VISIBLE, why, Vec::new()));
            let sentence = error.reason().sentence().to_owned();
            Conclusion { outcome: "refused", sentence, error: Some(error) }
        }
    };
    let observed = vec![
        fact("role", database.identity().role),
        fact("authority", facts.authority),
        fact("phase", facts.phase),
        fact("halted", facts.halted),
        fact("applied_commit", facts.applied),
        fact("floor", facts.floor),
    ];
    Explanation { kind: Kind::Read, observed, inputs, rules, conclusion, missing }
}

const VISIBLE: &str = "the visible version is the one with the greatest CommitId ≤ view";

/// A version: the commit that wrote it, and how long it is, unless it says that the key is gone.
type Version = (CommitId, Option<usize>);

/// The version that a view sees, and those before it that have to be kept.
struct Versions {
    /// The newest first; the first one is visible.
    found: Vec<Version>,
    /// There may be more.
    cut: bool,
}

/// The versions of a key, from the one that the view sees on. What the floor lets go, older versions and a tombstone behind which nothing is left, may be
/// there still or not: that says when maintenance worked, and nothing about the read.
fn compare(view: &View, floor: CommitId, key: &[u8]) -> Result<Versions> {
    let mut versions = Versions { found: Vec::new(), cut: false };
    let (mut at, mut bytes) = (Some(view.commit()), 0_usize);
    while let Some(from) = at {
        // Looking at a long value costs as much as reading it.
        versions.cut = bytes >= EXPLAIN_READ_BYTES_MAX;
        let Some((commit, len)) = (if versions.cut { None } else { view.version(key, from)? }) else { break };
        if versions.found.len() == VERSIONS_MAX {
            versions.cut = true;
            break;
        }
        if commit > floor || len.is_some() {
            versions.found.push((commit, len));
        }
        if commit <= floor {
            break;
        }
        bytes = bytes.saturating_add(len.unwrap_or_default());
        at = commit.0.checked_sub(1).map(CommitId);
    }
    Ok(versions)
}

/// What the view sees, with the versions that were compared.
fn found(rules: &mut Vec<Applied>, versions: &Versions, view: CommitId) -> Conclusion {
    for (index, (commit, len)) in versions.found.iter().enumerate() {
        let mut evidence: Facts = vec![fact("commit", commit), fact("view", view)];
        evidence.push(len.map_or(fact("value", "tombstone"), |len| fact("value_bytes", len)));
        evidence.push(fact("decision", if index == 0 { "the greatest: visible" } else { "replaced before the view" }));
        rules.push(Applied::new("M-VISIBLE", VISIBLE, true, evidence).to(format!("version {commit}")));
    }
    let (outcome, sentence) = match versions.found.first() {
        Some((commit, Some(len))) => {
            ("value", format!("At commit {view} the key has the {len} bytes that commit {commit} wrote."))
        }
        Some((commit, None)) => ("absent", format!("At commit {view} the key is absent: commit {commit} deleted it.")),
        None => {
            let evidence = vec![fact("view", view), fact("decision", "no version at or below the view: absent")];
            rules.push(Applied::new("M-VISIBLE", VISIBLE, true, evidence));
            ("absent", format!("At commit {view} the key is absent: nothing that has to be kept wrote it."))
        }
    };
    Conclusion { outcome, sentence, error: None }
}
