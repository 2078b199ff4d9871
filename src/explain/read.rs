//! Why a read of one key finds what it finds: the gate's rules, the versions of the key, and which of them is visible.
//!
//! The versions are looked up with the code that reads them. They are compared in the order of their age, the newest first, also those that
//! came behind the view; at most [`VERSIONS_MAX`] of them.

use super::{Applied, Conclusion, Explanation, Facts, Kind, fact};
use crate::commit_id::CommitId;
use crate::database::Database;
use crate::error::{Error, Result};
use crate::gate::{self, Wish};
use crate::json::escape;

/// Most versions that an explanation shows.
pub const VERSIONS_MAX: usize = 64;

/// Explains a read of a key.
#[must_use]
pub fn read(database: &Database, key: &[u8], wish: &Wish) -> Explanation {
    let mut inputs = vec![fact("key", escape(key))];
    inputs.push(fact("at", wish.at.map_or_else(|| "newest".to_owned(), |at| at.to_string())));
    inputs.extend(wish.at_least.map(|commit| fact("at_least", commit)));
    inputs.extend(wish.on.map(|point| fact("on", point)));
    let facts = database.facts(wish);
    let view = facts.view(wish);
    let mut rules: Vec<Applied> = gate::evaluate(&facts, wish)
        .map(|(check, evaluation)| Applied::new(check.name(), evaluation, check.evidence(&facts, wish)))
        .collect();
    let mut missing = Vec::new();
    let refused = gate::decide(&facts, wish).err().map(|check| match database.refusal(wish) {
        // What halted the node says more than that it has.
        Some(error) => error,
        None => check.refusal(&facts, wish),
    });
    let conclusion = match (versions(database, key, facts.applied, facts.floor), refused) {
        (Ok(versions), refused) => {
            let visible = visible(&mut rules, &versions, view);
            if versions.len() == VERSIONS_MAX {
                missing.push(format!("only the newest {VERSIONS_MAX} versions are shown"));
            }
            match refused {
                Some(error) => refusal(error),
                None => found(visible, view),
            }
        }
        (Err(error), refused) => {
            missing.push(format!("the versions of the key: {error}"));
            refusal(refused.unwrap_or(error))
        }
    };
    let observed = vec![
        fact("role", database.identity().role),
        fact("authority", facts.authority),
        fact("phase", facts.phase),
        fact("halted", facts.halted),
        fact("applied_commit", facts.applied),
        fact("floor", facts.floor),
        fact("durable_position", database.extent().durable.position),
    ];
    Explanation { kind: Kind::Read, observed, inputs, rules, conclusion, missing }
}

/// A version: the commit that wrote it, and how long it is, unless it says that the key is gone.
type Version = (CommitId, Option<usize>);

/// The versions of a key that have to be kept, the newest first. What the floor lets go, older versions and a tombstone behind which nothing is left, may be
/// there still or not: that says when maintenance worked, and nothing about the read.
fn versions(database: &Database, key: &[u8], newest: CommitId, floor: CommitId) -> Result<Vec<Version>> {
    let view = database.view(None)?;
    let (mut versions, mut at) = (Vec::new(), Some(newest.min(view.commit())));
    while let Some(commit) = at.filter(|_| versions.len() < VERSIONS_MAX) {
        let Some(version) = view.version(key, commit)? else { break };
        let (commit, len) = version;
        if commit > floor || len.is_some() {
            versions.push(version);
        }
        if commit <= floor {
            break;
        }
        at = version.0.0.checked_sub(1).map(CommitId);
    }
    Ok(versions)
}

/// Compares the versions with the view; the one that is visible.
fn visible(rules: &mut Vec<Applied>, versions: &[Version], view: CommitId) -> Option<Version> {
    let visible = versions.iter().find(|(commit, _)| *commit <= view).copied();
    for version in versions {
        let (commit, len) = version;
        let mut evidence: Facts = vec![fact("commit", commit), fact("view", view)];
        evidence.push(len.map_or(fact("value", "tombstone"), |len| fact("value_bytes", len)));
        let why = match () {
            () if *commit > view => "came behind the view",
            () if Some(*version) == visible => "is the greatest at or below the view: visible",
            () => "was replaced before the view",
        };
        evidence.push(fact("decision", why));
        // That a version is not visible is what the rule asks for, so it holds for each of them.
        rules.push(Applied::new("M-VISIBLE", true, evidence).to(format!("version {commit}")));
    }
    if visible.is_none() {
        let evidence =
            vec![fact("versions", versions.len()), fact("view", view), fact("decision", "no version: absent")];
        rules.push(Applied::new("M-VISIBLE", true, evidence));
    }
    visible
}

fn found(visible: Option<Version>, view: CommitId) -> Conclusion {
    let (outcome, sentence) = match visible {
        Some((commit, Some(len))) => {
            ("value", format!("At commit {view} the key has the {len} bytes that commit {commit} wrote."))
        }
        Some((commit, None)) => ("absent", format!("At commit {view} the key is absent: commit {commit} deleted it.")),
        None => ("absent", format!("At commit {view} the key is absent: nothing that has to be kept wrote it.")),
    };
    Conclusion { outcome, sentence, error: None }
}

fn refusal(error: Error) -> Conclusion {
    Conclusion { outcome: "refused", sentence: error.reason().sentence().to_owned(), error: Some(error) }
}
