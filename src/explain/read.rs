//! Why a read of one key finds what it finds: the gate's rules, the versions of the key, and which of them is visible.
//!
//! All of it is of one look: the rules, the view that they admitted, and the state that it pins. The versions are looked up with the code that reads them, from the
//! newest that is applied, which the view may not see, to the oldest that has to be kept; at most [`VERSIONS_MAX`] of them, and only so many bytes. The
//! one that the view sees is always among them. Where the read is refused none is compared; where one does not verify that is a rule that fails; where one
//! can't be read for another reason that rule is undetermined.

use super::{Applied, Conclusion, Explanation, Facts, Kind, fact};
use crate::commit_id::CommitId;
use crate::database::Database;
use crate::error::Result;
use crate::gate::{self, Check, Evaluation, Wish};
use crate::json::escape;
use crate::limits::{EXPLAIN_READ_BYTES_MAX, KEY_BYTES_MAX};
use crate::reason::Reason;
use crate::store::View;

/// Most versions that an explanation shows.
pub const VERSIONS_MAX: usize = 64;

/// Explains a read of a key.
#[must_use]
pub fn read(database: &Database, key: &[u8], wish: &Wish) -> Explanation {
    let inputs = inputs(key, wish);
    let (facts, verdict) = database.look(wish);
    let mut rules: Vec<Applied> = Check::ALL.iter().map(|check| Applied::of_gate(*check, &facts, wish)).collect();
    let mut left_out = Vec::new();
    let conclusion = match verdict {
        Ok(view) => match compare(&view, &facts, key) {
            Ok(versions) => {
                left_out.extend(
                    versions.newer.cut.then(|| "versions between the view and those that are newer".to_owned()),
                );
                left_out.extend(versions.older.cut.then(|| "older versions, which the view does not see".to_owned()));
                found(&mut rules, &versions, view.commit())
            }
            Err(error) => {
                let corrupt = matches!(error.reason(), Reason::StoreBlockCorrupt | Reason::StoreRunCorrupt);
                let unread = Evaluation::Undetermined(error.reason().name());
                let readable = if corrupt { Evaluation::Fails } else { unread };
                rules.push(Applied::new("D-CORRUPT", READABLE, readable, vec![fact("refused", &error)]));
                unseen(&mut rules, "not every version could be read");
                Conclusion { outcome: "failed", sentence: error.reason().sentence().to_owned(), error: Some(error) }
            }
        },
        Err(error) => {
            unseen(&mut rules, "the read is refused");
            Conclusion { outcome: "refused", sentence: error.reason().sentence().to_owned(), error: Some(error) }
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
    Explanation { kind: Kind::Read, observed, inputs, rules, conclusion, left_out }
}

/// What is asked of a read.
pub(super) fn inputs(key: &[u8], wish: &Wish) -> Facts {
    let mut inputs = vec![fact("key", escape(key.get(..KEY_BYTES_MAX).unwrap_or(key)))];
    inputs.push(fact("at", wish.at.map_or_else(|| "newest".to_owned(), |at| at.to_string())));
    inputs.extend(wish.at_least.map(|commit| fact("at_least", commit)));
    inputs.extend(wish.on.map(|point| fact("on", point)));
    inputs
}

const VISIBLE: &str = "the visible version is the one with the greatest CommitId ≤ view";
const READABLE: &str = "what holds the versions of the key can be read, and verifies";

/// Nothing can be said of what is visible.
fn unseen(rules: &mut Vec<Applied>, why: &'static str) {
    rules.push(Applied::new("M-VISIBLE", VISIBLE, Evaluation::Undetermined(why), Vec::new()));
}

/// A version: the commit that wrote it, and how long it is, unless it says that the key is gone.
type Version = (CommitId, Option<usize>);

/// Versions of a key, the newest first.
#[derive(Default)]
struct Walk {
    found: Vec<Version>,
    /// There may be more.
    cut: bool,
}

/// What a view sees of a key, and what it does not see.
struct Versions {
    /// Written behind the view.
    newer: Walk,
    /// The first one is visible; those before it have to be kept.
    older: Walk,
}

/// The versions of a key. What the floor lets go, older versions and a tombstone behind which nothing is left, may be there still or not: that says when
/// maintenance worked, and nothing about the read. Above the view there is no such thing.
fn compare(view: &View, facts: &gate::Facts, key: &[u8]) -> Result<Versions> {
    let (seen, floor) = (view.commit(), facts.floor);
    let newer = match facts.applied > seen {
        true => walk(view, key, (facts.applied, seen), VERSIONS_MAX / 2, |(commit, _)| *commit > seen)?,
        false => Walk::default(),
    };
    let left = VERSIONS_MAX.saturating_sub(newer.found.len());
    let older = walk(view, key, (seen, floor), left, |(commit, len)| *commit > floor || len.is_some())?;
    Ok(Versions { newer, older })
}

/// The versions that are to be shown, from the newest one at or below a commit to the first at or below another.
fn walk(
    view: &View,
    key: &[u8],
    (from, last): (CommitId, CommitId),
    count: usize,
    shows: impl Fn(&Version) -> bool,
) -> Result<Walk> {
    let (mut walk, mut bytes) = (Walk::default(), 0_usize);
    let mut at = Some(from);
    while let Some(upto) = at {
        // Looking at a long value costs as much as reading it.
        walk.cut = bytes >= EXPLAIN_READ_BYTES_MAX / 2;
        let Some(version) = (if walk.cut { None } else { view.version(key, upto)? }) else { break };
        let (commit, len) = version;
        if shows(&version) {
            if walk.found.len() == count {
                walk.cut = true;
                break;
            }
            walk.found.push(version);
        }
        bytes = bytes.saturating_add(len.unwrap_or_default());
        at = commit.0.checked_sub(1).map(CommitId).filter(|_| commit > last);
    }
    Ok(walk)
}

/// What the view sees, with the versions that were compared.
fn found(rules: &mut Vec<Applied>, versions: &Versions, view: CommitId) -> Conclusion {
    let visible = versions.older.found.first();
    for version in versions.newer.found.iter().chain(&versions.older.found) {
        let (commit, len) = version;
        let mut evidence: Facts = vec![fact("commit", commit), fact("view", view)];
        evidence.push(len.map_or(fact("value", "tombstone"), |len| fact("value_bytes", len)));
        let decision = if *commit > view {
            "commit > view: not visible"
        } else if Some(version) == visible {
            "the greatest: visible"
        } else {
            "replaced before the view"
        };
        evidence.push(fact("decision", decision));
        rules.push(Applied::new("M-VISIBLE", VISIBLE, true, evidence).to(format!("version {commit}")));
    }
    let (outcome, sentence) = match visible {
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
