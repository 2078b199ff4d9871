//! The examples of `docs/http.md` are real: each `curl` of the page is asked of a node in this process, and must answer what the page shows.
//!
//! Behind the address of the page stands a node in the state that the page says: a primary, a replica that follows it, one that has halted. JSON is shown
//! abridged: what lies deeper, and the strings that stand beside numbers. `AERODB_BLESS=1 cargo test --test http_docs` writes the page anew.

#![cfg(feature = "replication")]

mod explaining;
mod proxy;
mod served;
mod web;
mod world;

use aerodb::http::pages::Node;
use aerodb::http::{Options, Running, Server};
use aerodb::server::window::Window;
use aerodb::supervisor::machine::State;
use aerodb::{Database, Position};
use explaining::followers::welcomed;
use explaining::{ended, follow, follow_on, gated_options, primary, replica_of, rests, settled};
use proxy::Proxy;
use served::Served;
use std::path::Path;
use std::sync::Arc;
use web::{Client, get};
use world::options;

fn shown(node: Node) -> Running {
    Server::bind(Options::new("127.0.0.1:0".parse().unwrap()), Box::new(node)).unwrap().start().unwrap()
}

/// Shows JSON down to this depth; deeper there are only signs that something is there.
const DEPTH: usize = 4;
/// What counts on from start to start, or on the way.
const COUNTS: [&str; 3] = ["transitions", "counts", "server"];
const WIDTH: usize = 150;

/// JSON from its text, in its order, abridged.
struct Abridged<'a> {
    rest: &'a str,
}

impl Abridged<'_> {
    fn take(&mut self, len: usize) -> String {
        let (taken, rest) = self.rest.split_at(len);
        self.rest = rest;
        taken.to_owned()
    }

    /// The next string, with its quotes.
    fn string(&mut self) -> String {
        let mut escaped = false;
        let end = self.rest.bytes().skip(1).position(|byte| {
            let ends = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends
        });
        self.take(end.unwrap() + 2)
    }

    /// The next value; nothing of it where it lies too deep.
    fn value(&mut self, depth: usize) -> String {
        match self.rest.as_bytes()[0] {
            b'"' => self.string(),
            b'{' => self.members(depth),
            b'[' => self.elements(depth),
            _ => {
                let end = self.rest.find([',', '}', ']']).unwrap_or(self.rest.len());
                self.take(end)
            }
        }
    }

    /// Whether another member follows, of what begins here, goes on or ends.
    fn goes_on(&mut self, end: char) -> bool {
        let ended = self.take(1).starts_with(end);
        let empty = !ended && self.rest.starts_with(end);
        if empty {
            self.take(1);
        }
        !ended && !empty
    }

    fn members(&mut self, depth: usize) -> String {
        let mut shown: Vec<String> = Vec::new();
        while self.goes_on('}') {
            let name = self.string();
            self.take(1);
            let hidden = COUNTS.iter().any(|count| name == format!("\"{count}\""));
            let value = self.value(if hidden { DEPTH } else { depth + 1 });
            if !name.ends_with("_string\"") {
                shown.push(format!("{name}:{}", if hidden { "…" } else { &value }));
            }
        }
        match shown.as_slice() {
            [] => "{}".to_owned(),
            _ if depth >= DEPTH => "{…}".to_owned(),
            _ => format!("{{{}}}", shown.join(",")),
        }
    }

    fn elements(&mut self, depth: usize) -> String {
        let mut shown: Vec<String> = Vec::new();
        while self.goes_on(']') {
            shown.push(self.value(depth + 1));
        }
        match shown.as_slice() {
            [] => "[]".to_owned(),
            _ if depth >= DEPTH => "[…]".to_owned(),
            [one] => format!("[{one}]"),
            [first, ..] => format!("[{first},…]"),
        }
    }
}

/// In lines of no more than the width, where members end.
fn wrapped(text: &str) -> String {
    let (mut lines, mut line) = (String::new(), String::new());
    for part in text.split_inclusive(',') {
        // What stands in a sentence has a space behind it.
        let between = !part.starts_with(' ');
        if between && !line.is_empty() && line.chars().count() + part.chars().count() > WIDTH {
            lines.push_str(&line);
            lines.push('\n');
            line.clear();
        }
        line.push_str(part);
    }
    lines + &line + "\n"
}

/// The ports of the page, which does not know those of the system.
fn masked(text: &str) -> String {
    let mut parts = text.split("127.0.0.1:");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        format!("{text}127.0.0.1:6381{}", part.trim_start_matches(|c: char| c.is_ascii_digit()))
    })
}

/// What a command of the page prints.
fn printed(command: &str, nodes: &[(&str, &Running)]) -> String {
    let (asked, part) = command.split_once(" | grep ").map_or((command, None), |(asked, part)| (asked, Some(part)));
    let address = asked.strip_prefix("curl -s ").expect("the page asks with curl").trim_matches('\'');
    let found = nodes.iter().find_map(|(host, node)| Some((address.strip_prefix(host)?, node)));
    let (path, node) = found.unwrap_or_else(|| panic!("nothing listens at {address}"));
    let body = masked(&Client::new(node.local_addr()).ask(get(path)).body);
    let body = if body.starts_with('{') { wrapped(&Abridged { rest: body.trim_end() }.value(0)) } else { body };
    body.lines().filter(|line| part.is_none_or(|part| line.contains(part))).map(|line| format!("{line}\n")).collect()
}

/// HTTP-ENVELOPE, EXPL-BYTES, HTTP-METRICS: the page says what the nodes say.
#[test]
fn the_examples_of_the_page_are_real() {
    let (disk, db) = primary();
    db.close().unwrap();
    let window = Arc::new(Window::default());
    let served = Served::with(Database::open(options(&disk)).unwrap(), |options| {
        options.replication = Some("127.0.0.1:0".parse().unwrap());
        options.window = Some(Arc::clone(&window));
    });
    let proxy = Proxy::of(served.replication.unwrap());
    let address = proxy.address.to_string();
    // It begins with all of the log: on the way it would be seen in states that depend on the threads.
    let copy = replica_of(&served.db);
    let first = follow(&copy, &address);
    first.wait_until(rests);
    settled(first.database());
    first.close().unwrap();
    let follower = Arc::new(follow(&copy, &address));
    follower.wait_until(rests);
    let disk = replica_of(&served.db);
    let halted = follow(&disk, &address);
    halted.wait_until(rests);
    halted.close().unwrap();
    // From here on the primary seems to have less log than those that it has served.
    proxy.edit(welcomed(|welcome| welcome.durable.position = Position(welcome.durable.position.0 - 8)));
    let halted = Arc::new(follow(&disk, &address));
    halted.wait_until(|status| ended(status, State::Halted));
    let disk = replica_of(&served.db);
    let before = follow(&disk, &served.replication.unwrap().to_string());
    before.wait_until(rests);
    before.close().unwrap();
    let (gated, gate) = gated_options(&disk);
    gate.fail("/STATE.");
    let failed = Arc::new(follow_on(gated, &address));
    failed.wait_until(|status| ended(status, State::Failed));
    served.client().wait_for("connected_slaves", 1);
    let nodes = [
        ("localhost:6382", shown(Node::Writer(Arc::clone(&served.db), window))),
        ("localhost:6392", shown(Node::Replica(Arc::clone(&follower), Arc::default()))),
        ("localhost:6393", shown(Node::Replica(Arc::clone(&halted), Arc::default()))),
        ("localhost:6394", shown(Node::Replica(Arc::clone(&failed), Arc::default()))),
    ];
    // The loop shows a turn once it has ended, which is behind what those on the other end have seen of it.
    let mut client = Client::new(nodes[0].1.local_addr());
    let parked = |body: String| body.contains(r#""state":"parked""#).then_some(());
    web::until(|| parked(client.ask(get("/v1/replication")).body));
    drop(client);
    let nodes: Vec<(&str, &Running)> = nodes.iter().map(|(host, node)| (*host, node)).collect();

    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/http.md");
    let text = std::fs::read_to_string(&page).unwrap();
    let (mut real, mut in_console) = (String::new(), false);
    for line in text.lines() {
        let fence = line.starts_with("```");
        if fence {
            in_console = !in_console && line == "```console";
        }
        let command = line.strip_prefix("$ ").filter(|_| in_console);
        if fence || !in_console || command.is_some() {
            real.push_str(&format!("{line}\n"));
        }
        real.extend(command.map(|command| printed(command, &nodes)));
    }
    if std::env::var_os("AERODB_BLESS").is_some() {
        std::fs::write(&page, &real).unwrap();
    } else {
        for (number, (shown, real)) in text.lines().zip(real.lines()).enumerate() {
            assert_eq!(shown, real, "docs/http.md, line {} (AERODB_BLESS=1 writes it)", number + 1);
        }
        assert_eq!(text.lines().count(), real.lines().count(), "docs/http.md (AERODB_BLESS=1 writes it)");
    }
}

#[test]
fn what_is_deeper_and_what_counts_is_not_shown() {
    let text = r#"{"a":{"b":{"c":{"d":{"e":1}}}},"n":1,"n_string":"1","transitions":7,"s":"\",}","l":[{"x":1},2],"o":{},"k":[]}"#;
    let expected = r#"{"a":{"b":{"c":{"d":{…}}}},"n":1,"transitions":…,"s":"\",}","l":[{"x":1},…],"o":{},"k":[]}"#;
    assert_eq!(Abridged { rest: text }.value(0), expected);
    assert_eq!(wrapped(&"ab,".repeat(60)), format!("{}\n{}\n", "ab,".repeat(50), "ab,".repeat(10)));
}
