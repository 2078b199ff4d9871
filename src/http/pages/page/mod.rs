//! The page at `/`: what a person needs to know of a node, and what to do now.
//!
//! One file, and nothing beside it (HTTP-PAGE): the facts are in it when it comes, so it needs no script. Where there is one, it fetches the page again and
//! puts the new facts in the place of the old. The policy of the response names the script and the style by their hashes, and allows nothing else.
//!
//! What the page says of replication and of reads is what `/v1/explain/replication` says; nothing is decided here.

mod html;
#[cfg(feature = "replication")]
mod replica;

use super::Moment;
use crate::config::digits;
use crate::error::Error;
use crate::explain::{Applied, Conclusion, Explanation, Facts, Topic};
use crate::gate::Evaluation;
use crate::http::response::Response;
use crate::observed::Observation;
use crate::reason::Reason;
use crate::server::lobby::Board;
use html::{Html, grouped};
use std::fmt::Display;

/// The page around the facts.
const TEMPLATE: &str = include_str!("page.html");

/// What the page may do: run its own script, which may ask this node, and look as its own style says.
const POLICY: &str = "default-src 'none'; \
                      script-src 'sha256-bCmfVsJm3uzTcqUhhpMqZuGfk4+j5ruz2WWRdDTtn4Q='; \
                      style-src 'sha256-+sZ6jLG9eXLpp6gBTh+C8tRnxOFNaqfLEkaW47CsO1k='; \
                      img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// How things are, in a word, a sign and a colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Well,
    Waits,
    Stopped,
}

impl Mood {
    /// The class that has its colour, and its sign.
    fn look(self) -> (&'static str, &'static str) {
        match self {
            Mood::Well => ("ok", "✓"),
            Mood::Waits => ("wait", "…"),
            Mood::Stopped => ("stop", "!"),
        }
    }
}

/// The page of a node that serves.
pub(super) fn response(seen: &Moment<'_>) -> Response {
    let explanation = seen.explained(&Topic::Replication);
    let conclusion = &explanation.conclusion;
    let stopped = seen.status.write_fault.as_ref().filter(|_| seen.status.identity.role.writes());
    let mood = match conclusion.outcome {
        _ if seen.gate.refusal.is_some() || stopped.is_some() => Mood::Stopped,
        "halted" | "failed" | "closed" => Mood::Stopped,
        "follows" | "writes" => Mood::Well,
        _ => Mood::Waits,
    };
    let reads = if seen.gate.refusal.is_some() { "reads are refused" } else { "reads are answered" };
    let headline = match stopped {
        Some(_) => format!("writing has stopped, {reads}"),
        None => format!("{}, {reads}", conclusion.outcome),
    };
    let mut main = Html::default();
    verdict(mood, &headline, &conclusion.sentence, &mut main);
    what_to_do(seen, conclusion, stopped, &mut main);
    pipeline(seen, &mut main);
    fed(seen, &mut main);
    rules(&explanation, &mut main);
    components(seen, &mut main);
    holds(seen, &mut main);
    let role = seen.status.identity.role;
    page(&format!("{headline} · {role}"), &role, &capitalized(&headline), &main)
}

/// What is counted before a node serves, and up to where.
const PROGRESS: [(&str, &str); 2] =
    [("bootstrap_bytes", "bootstrap_bytes_total"), ("recovery_replayed_position", "recovery_end_position")];

/// The page of a node that does not serve yet.
pub(super) fn waiting(board: &Board) -> Response {
    let (phase, facts) = board.doing();
    let reason = board.refusal().reason();
    let headline = format!("{phase}, reads are refused");
    let mut main = Html::default();
    verdict(Mood::Waits, &headline, reason.sentence(), &mut main);
    main.raw("<section class=\"do\" aria-labelledby=\"do\"><h2 id=\"do\">What to do now</h2>");
    main.element("<p>", reason.remedy(), "</p>").element("<p>Code: <code>", reason, "</code></p></section>\n");
    main.raw("<section aria-labelledby=\"progress\"><h2 id=\"progress\">How far it is</h2>");
    let number = |name| facts.iter().find(|(known, _)| *known == name).and_then(|(_, value)| digits(value));
    for (done, all) in PROGRESS {
        if let (Some(done), Some(all @ 1..)) = (number(done), number(all)) {
            main.element("<p><progress aria-labelledby=\"progress\" max=\"", all, "\"");
            main.element(" value=\"", done, "\">").text(grouped(done)).element(" of ", grouped(all), "</progress></p>");
        }
    }
    main.raw("<dl>");
    if let Some(identity) = board.identity() {
        fact("database", identity.database_id, &mut main);
        fact("node", identity.node_id, &mut main);
    }
    board.primary().iter().for_each(|primary| fact("primary", primary, &mut main));
    facts.iter().for_each(|(name, value)| fact(&name.replace('_', " "), value, &mut main));
    main.raw("</dl></section>\n");
    let role = if board.primary().is_some() { "replica" } else { "node" };
    page(&headline, &role, &capitalized(&headline), &main)
}

fn page(title: &str, role: &dyn Display, moment: &str, main: &Html) -> Response {
    let escaped = |text: &dyn Display| {
        let mut html = Html::default();
        html.text(text);
        html
    };
    let (title, role, moment) = (escaped(&format_args!("{title} · AeroDB")), escaped(role), escaped(&moment));
    let mut body = String::with_capacity(TEMPLATE.len().saturating_add(main.as_str().len()));
    let mut rest = TEMPLATE;
    for (marker, value) in [("{{title}}", &title), ("{{role}}", &role), ("{{moment}}", &moment), ("{{main}}", main)] {
        let (before, behind) = rest.split_once(marker).unwrap_or((rest, ""));
        body.push_str(before);
        body.push_str(value.as_str());
        rest = behind;
    }
    body.push_str(rest);
    Response { content_type: "text/html; charset=utf-8", policy: POLICY, ..Response::text(&body) }
}

fn capitalized(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

fn verdict(mood: Mood, headline: &str, sentence: &str, html: &mut Html) {
    let (class, sign) = mood.look();
    html.raw("<section class=\"verdict ")
        .raw(class)
        .raw("\" aria-labelledby=\"verdict\"><span class=\"sign ")
        .raw(class);
    html.raw("\" aria-hidden=\"true\">").raw(sign).raw("</span><div>");
    html.element("<h1 id=\"verdict\">", capitalized(headline), "</h1>");
    html.element("<p>", sentence, "</p></div></section>\n");
}

/// The remedy, with the commands that it comes to.
fn what_to_do(seen: &Moment<'_>, conclusion: &Conclusion, stopped: Option<&Error>, html: &mut Html) {
    html.raw("<section class=\"do\" aria-labelledby=\"do\"><h2 id=\"do\">What to do now</h2>");
    let error = conclusion.error.as_ref().or(stopped);
    #[cfg(feature = "replication")]
    let cleared = replica::clear(seen, error, html);
    #[cfg(not(feature = "replication"))]
    let cleared = false;
    match error {
        _ if cleared => {}
        Some(error) => {
            remedy(error.reason(), html);
            evidence(vec![("code", error.reason().to_string())], error, html);
        }
        None => at_ease(seen, conclusion, html),
    }
    html.raw("</section>\n");
}

fn remedy(reason: Reason, html: &mut Html) {
    html.element("<p><strong>", reason.sentence(), "</strong></p>").element("<p>", reason.remedy(), "</p>");
}

/// These facts, and those of the error that are not among them.
fn evidence(mut facts: Facts, error: &Error, html: &mut Html) {
    for told in error.evidence() {
        if !facts.contains(told) {
            facts.push(told.clone());
        }
    }
    html.raw("<dl class=\"facts\">");
    facts.iter().for_each(|(name, value)| fact(&name.replace('_', " "), value, html));
    html.raw("</dl>");
}

fn at_ease(seen: &Moment<'_>, conclusion: &Conclusion, html: &mut Html) {
    if seen.status.identity.role.writes() {
        html.raw("<p>Nothing.</p>");
        return;
    }
    #[cfg(feature = "replication")]
    if let Some(replica) = seen.replica.as_ref().filter(|_| conclusion.outcome == "waits") {
        html.element(
            "<p>Look whether the primary runs and can be reached from here: <code>",
            &replica.primary,
            "</code>.",
        );
        html.raw(" Reads go on meanwhile, at what is applied.</p>");
        if let Some(why) = replica.replica.blocked.as_ref().or(replica.receiver.blocked.as_ref()) {
            html.element("<p>What is in the way: <code>", why, "</code></p>");
        }
        return;
    }
    html.raw(match conclusion.outcome {
        "catches up" => "<p>Nothing: it works on what is missing. Look again if the gaps below do not shrink.</p>",
        _ => "<p>Nothing.</p>",
    });
}

/// A stage of the pipeline: what it is called, where it is, and what it does.
struct Stage {
    name: &'static str,
    at: String,
    word: String,
    more: Vec<String>,
    mood: Mood,
    /// How far it is behind the one before it, in words, and whether that is well; where there is something to count.
    gap: Option<(Mood, String)>,
}

fn pipeline(seen: &Moment<'_>, html: &mut Html) {
    html.raw("<section aria-labelledby=\"pipe\"><h2 id=\"pipe\">From the ");
    #[cfg(feature = "replication")]
    let (from, stages) = match &seen.replica {
        Some(replica) => ("primary", replica::stages(seen, replica)),
        None => ("client", written(seen)),
    };
    #[cfg(not(feature = "replication"))]
    let (from, stages) = ("client", written(seen));
    html.text(from).raw(" to the read</h2><ol class=\"pipe\">");
    for (number, stage) in stages.iter().enumerate() {
        if number > 0 {
            gap(stage.gap.as_ref(), html);
        }
        html.raw("<li class=\"stage ").raw(stage.mood.look().0).raw("\">");
        html.element("<h3>", stage.name, "</h3>").element("<span class=\"at n\">", &stage.at, "</span>");
        html.element("<p class=\"word\">", &stage.word, "</p>");
        stage.more.iter().for_each(|more| {
            html.element("<p>", more, "</p>");
        });
        html.raw("</li>");
    }
    html.raw("</ol></section>\n");
}

fn gap(gap: Option<&(Mood, String)>, html: &mut Html) {
    match gap {
        None => html.raw("<li class=\"gap\" aria-hidden=\"true\"><span class=\"arrow\">→</span></li>"),
        Some((Mood::Well, words)) => {
            html.raw("<li class=\"gap\"><span class=\"arrow\" aria-hidden=\"true\">→</span>");
            html.element("<span>", words, "</span></li>")
        }
        Some((Mood::Waits | Mood::Stopped, words)) => {
            html.raw("<li class=\"gap wait\"><span class=\"arrow\" aria-hidden=\"true\">⇢</span>");
            html.element("<span>", words, "</span></li>")
        }
    };
}

/// What is between a client and the answer, as the last stage of both kinds of nodes.
fn reads(seen: &Moment<'_>) -> Stage {
    let (word, mood) = match &seen.gate.refusal {
        None => ("reads are answered".to_owned(), Mood::Well),
        Some(refusal) => (format!("reads are refused: {}", refusal.reason()), Mood::Stopped),
    };
    let holds = seen.gate.rules.iter().filter(|(_, evaluation, _)| *evaluation == Evaluation::Holds).count();
    let more = vec![format!("{holds} of {} rules hold", seen.gate.rules.len())];
    Stage { name: "Gate", at: format!("commit {}", seen.status.commit), word, more, mood, gap: None }
}

fn written(seen: &Moment<'_>) -> Vec<Stage> {
    let status = &seen.status;
    let counters = &seen.server.counters;
    let clients = Stage {
        name: "Clients",
        at: grouped(seen.server.clients as u64),
        word: "connected".to_owned(),
        more: vec![format!("{} requests", grouped(counters.requests))],
        mood: Mood::Well,
        gap: None,
    };
    let log = Stage {
        name: "Log",
        at: status.durable.position.to_string(),
        word: format!("committer {}", status.committer.state),
        more: vec![format!("durable, commit {}", status.durable.commit)],
        mood: if status.write_fault.is_some() { Mood::Stopped } else { Mood::Well },
        gap: None,
    };
    vec![clients, log, reads(seen)]
}

/// Whom a primary feeds.
fn fed(seen: &Moment<'_>, html: &mut Html) {
    if !seen.server.feeds {
        return;
    }
    html.raw("<section aria-labelledby=\"fed\"><h2 id=\"fed\">Replicas</h2>");
    if seen.server.replicas.is_empty() {
        html.raw("<p>None is connected.</p></section>\n");
        return;
    }
    html.raw(
        "<div class=\"scroll\"><table class=\"stack\"><caption>Who is connected for the log or for a snapshot, and how far it was sent. How far it is \
         applied only the replica says.</caption><thead><tr><th scope=\"col\">Node</th><th scope=\"col\">Address</th><th scope=\"col\">For</th>\
         <th scope=\"col\">State</th><th scope=\"col\">Sent up to</th><th scope=\"col\">Not sent</th></tr></thead><tbody>",
    );
    for replica in &seen.server.replicas {
        let end = replica.bytes.unwrap_or(seen.status.durable.position.0);
        html.element("<tr><th scope=\"row\"><code>", replica.node, "</code></th>");
        html.element("<td class=\"n\">", replica.address, "</td>").element("<td>", replica.purpose, "</td>");
        html.element("<td>", replica.state, "</td>").element("<td class=\"n\">", replica.sent, "</td>");
        html.element("<td>", grouped(end.saturating_sub(replica.sent)), " bytes</td></tr>");
    }
    html.raw("</tbody></table></div></section>\n");
}

fn rules(explanation: &Explanation, html: &mut Html) {
    html.raw(
        "<section aria-labelledby=\"rules\"><h2 id=\"rules\">Rules</h2><div class=\"scroll\"><table class=\"stack\"><caption>What has to hold for \
         reads to be answered and for the log to be followed. What does not hold comes first.</caption><thead><tr><th scope=\"col\">Holds</th>\
         <th scope=\"col\">Rule</th><th scope=\"col\">What has to be true, and the rule that asks for it</th><th scope=\"col\">Decided on</th></tr></thead><tbody>",
    );
    let mut rules: Vec<&Applied> = explanation.rules.iter().collect();
    rules.sort_by_key(|applied| match applied.evaluation {
        Evaluation::Fails => 0,
        Evaluation::Undetermined(_) => 1,
        Evaluation::Holds => 2,
    });
    for applied in rules {
        html.raw(match applied.evaluation {
            Evaluation::Holds => "<tr><td class=\"mark ok\">✓ holds</td>",
            Evaluation::Fails => "<tr><td class=\"mark stop\">✕ fails</td>",
            Evaluation::Undetermined(_) => "<tr><td class=\"mark wait\">? not known</td>",
        });
        html.element("<th scope=\"row\"><code>", applied.rule, "</code></th><td>").text(&applied.condition);
        html.element("<p class=\"rule\">", applied.description(), "</p>");
        if let Evaluation::Undetermined(why) = applied.evaluation {
            html.element(" <strong>", why, "</strong>");
        }
        html.raw("</td><td class=\"on\">");
        for (number, (name, value)) in applied.evidence.iter().enumerate() {
            html.raw(if number > 0 { ", " } else { "" }).text(name.replace('_', " "));
            html.element(" <code>", value, "</code>");
        }
        html.raw("</td></tr>");
    }
    html.raw("</tbody></table></div></section>\n");
}

fn components(seen: &Moment<'_>, html: &mut Html) {
    html.raw(
        "<section aria-labelledby=\"parts\"><h2 id=\"parts\">Components</h2><div class=\"scroll\"><table class=\"stack\"><caption>The state of each, \
         and the transition that led there last.</caption><thead><tr><th scope=\"col\">Component</th><th scope=\"col\">State</th>\
         <th scope=\"col\">Last transition</th><th scope=\"col\">Transitions</th><th scope=\"col\">In the way</th></tr></thead><tbody>",
    );
    #[cfg(feature = "replication")]
    if let Some(replica) = &seen.replica {
        component("replica", &replica.replica, html);
        component("receiver", &replica.receiver, html);
        component("validator", &replica.validator, html);
        component("applier", &replica.applier, html);
    }
    if seen.status.identity.role.writes() {
        component("committer", &seen.status.committer, html);
    }
    component("maintenance", &seen.status.maintenance, html);
    html.raw("</tbody></table></div></section>\n");
}

fn component<S: Copy + Display>(name: &str, seen: &Observation<S>, html: &mut Html) {
    html.element("<tr><th scope=\"row\">", name, "</th>").element("<td>", seen.state, "</td><td>");
    if let Some(previous) = seen.previous {
        html.text("from ").text(previous).text(", because of ");
    }
    html.text(seen.cause).element("</td><td class=\"n\">", grouped(seen.transitions), "</td><td>");
    html.text(seen.blocked.as_deref().unwrap_or("nothing")).raw("</td></tr>");
}

/// What it is and holds.
fn holds(seen: &Moment<'_>, html: &mut Html) {
    let status = &seen.status;
    html.raw("<section aria-labelledby=\"holds\"><h2 id=\"holds\">What it holds</h2><dl>");
    fact("database", status.identity.database_id, html);
    fact("node", status.identity.node_id, html);
    fact("epoch", status.identity.epoch, html);
    fact("commit", status.commit, html);
    fact("lowest commit that can be read", status.floor, html);
    fact("views", status.views, html);
    fact("durable position", status.durable.position, html);
    fact("durable history", status.durable.history, html);
    fact("oldest position kept", status.log_oldest, html);
    fact("checkpoint", format_args!("commit {} at {}", status.checkpoint.commit, status.checkpoint.position), html);
    fact("a restart would replay", bytes(status.durable.position.since(status.checkpoint.position)), html);
    fact("runs", format_args!("{}, {}", status.runs.len(), bytes(super::v1::run_bytes(status))), html);
    fact("merges due", status.merges_due, html);
    fact("tables that wait to become runs", status.sealed_tables, html);
    fact("checkpoints held by snapshots", status.checkpoints, html);
    let proofs = &status.proofs;
    let proofs = format!(
        "{} logged, {} compared, {} waiting, {} missed, {} owed",
        proofs.logged, proofs.compared, proofs.waiting, proofs.missed, proofs.owed
    );
    fact("proofs of runs", proofs, html);
    #[cfg(feature = "replication")]
    if let Some(replica) = &seen.replica {
        let received = &replica.received;
        fact("sessions with the primary", received.sessions, html);
        fact("connections lost or not made", received.lost, html);
        fact("log received", bytes(received.bytes), html);
        fact("log dropped unproven", bytes(received.dropped), html);
        fact("recoveries by itself", replica.recoveries.count(), html);
        replica.recoveries.failure().iter().for_each(|failure| fact("recovered from", failure, html));
    }
    html.raw("</dl></section>\n");
}

fn bytes(bytes: u64) -> String {
    format!("{} bytes", grouped(bytes))
}

fn fact(name: &str, value: impl Display, html: &mut Html) {
    html.element("<div><dt>", name, "</dt>").element("<dd class=\"n\">", value, "</dd></div>");
}
