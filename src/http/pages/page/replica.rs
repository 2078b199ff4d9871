//! What the page says of a replica alone: the stages between its primary and its reads, and how a halt is cleared.
//!
//! The commands are those of this node, with its own directory and its own primary, as a shell takes them. They are shown, and nobody but an operator
//! who names the halt carries them out (REPL-HALT).

use super::html::{Html, grouped};
use super::{Mood, Stage, evidence, reads, remedy};
use crate::error::Error;
use crate::http::pages::Moment;
use crate::position::Position;
use crate::receiver;
use crate::replica::ReplicaStatus;

/// If the replica has halted: what halted it, what that asks for, and how it is cleared. Whether it has.
pub(super) fn clear(seen: &Moment<'_>, error: Option<&Error>, html: &mut Html) -> bool {
    let halted = seen.replica.as_ref().and_then(|replica| Some((replica, replica.halt.as_ref()?)));
    let (Some((replica, halt)), Some(error)) = (halted, error) else { return false };
    // What halted it says what to do; that it has halted says only where to look.
    remedy(halt.reason, html);
    let (dir, primary) = (shell(&directory(seen)), shell(&replica.primary));
    html.raw("<p>Once the cause is removed and this node is stopped, this clears the halt, which repairs nothing:</p>");
    html.element("<pre><code>", format_args!("aerodb resume {dir} --clear {halt}"), "</code></pre>");
    html.raw(
        "<p>Or this, with the other settings of this node, replaces its data by a snapshot of the primary; what only this replica has is gone \
         then:</p>",
    );
    let command = format!("aerodb replica --data {dir} --primary {primary} --rebootstrap {halt}");
    html.element("<pre><code>", command, "</code></pre>");
    let facts =
        vec![("code", halt.reason.to_string()), ("halt", halt.to_string()), ("evidence", halt.evidence.clone())];
    evidence(facts, error, html);
    true
}

/// The directory of the node.
fn directory(seen: &Moment<'_>) -> String {
    let log = &seen.database.log().directory;
    log.parent().unwrap_or(log).display().to_string()
}

/// A word that a shell takes as it is.
fn shell(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-:@[]".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// The stages of a replica.
pub(super) fn stages(seen: &Moment<'_>, status: &ReplicaStatus) -> Vec<Stage> {
    let (received, validated, applied) = (&status.received, status.validated.point, status.applied);
    let streaming = status.receiver.state == receiver::machine::State::Streaming;
    let halted = status.halt.is_some() || status.fault.is_some();
    let primary = Stage {
        name: "Primary",
        at: received.origin.map_or_else(|| "not known".to_owned(), |origin| origin.durable.position.to_string()),
        word: if streaming { "serves this replica" } else { "no connection" }.to_owned(),
        more: std::iter::once(status.primary.clone())
            .chain(received.origin.map(|origin| format!("durable, commit {}", origin.durable.commit)))
            .collect(),
        mood: if streaming { Mood::Well } else { Mood::Waits },
        gap: None,
    };
    let stage = |name, at: Position, word: String, more: Option<String>, gap: (Mood, String)| {
        let mood = if halted { Mood::Stopped } else { gap.0 };
        Stage { name, at: at.to_string(), word, more: more.into_iter().collect(), mood, gap: Some(gap) }
    };
    let missing = received.origin.map(|origin| origin.durable.position.since(received.received));
    vec![
        primary,
        stage(
            "Received",
            received.received,
            format!("receiver {}", status.receiver.state),
            None,
            missing.map_or_else(|| (Mood::Waits, "gap not known".to_owned()), gap),
        ),
        stage(
            "Validated",
            validated.position,
            format!("validator {}", status.validator.state),
            Some(format!("proven, commit {}", validated.commit)),
            gap(received.received.since(validated.position)),
        ),
        stage(
            "Applied",
            applied.position,
            format!("applier {}", status.applier.state),
            Some(format!("commit {}", applied.commit)),
            gap(validated.position.since(applied.position)),
        ),
        reads(seen),
    ]
}

fn gap(bytes: u64) -> (Mood, String) {
    match bytes {
        0 => (Mood::Well, "no gap".to_owned()),
        bytes => (Mood::Waits, format!("{} bytes behind", grouped(bytes))),
    }
}
