//! `/metrics` by the grammar of the text format of Prometheus, 0.0.4; and that alerts and dashboard ask for nothing that is not there.

#![cfg(all(feature = "cli", feature = "replication"))]

mod following;
mod proxy;
mod served;
mod web;
mod world;

use aerodb::bootstrap::{Transfer, machine::State as Bootstrap};
use aerodb::http::pages::{Front, Node};
use aerodb::http::{Options, Running, Server};
use aerodb::observed::Observation;
use aerodb::recovery::{Progress, machine::State as Recovery};
use aerodb::server::lobby::Board;
use aerodb::server::window::Window;
use aerodb::supervisor::machine::State;
use aerodb::{CommitId, Database, Position};
use following::World;
use served::Served;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use web::{Client, get};

const ALERTS: &str = include_str!("../packaging/prometheus-alerts.yml");
const DASHBOARD: &str = include_str!("../packaging/grafana-dashboard.json");

type Labels = BTreeMap<String, String>;

/// A family of samples.
#[derive(Debug)]
struct Family {
    counter: bool,
    samples: BTreeMap<Labels, u64>,
}

fn is_name(text: &str) -> bool {
    let head = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    head && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Reads labels behind the brace, and returns what stands behind them.
fn labels(mut rest: &str) -> (Labels, &str) {
    let mut labels = Labels::new();
    loop {
        let (name, value) = rest.split_once("=\"").expect("a label has a value");
        assert!(is_name(name), "{name}");
        let mut text = String::new();
        let mut characters = value.char_indices();
        let end = loop {
            match characters.next().expect("a value has an end") {
                (at, '"') => break at,
                (_, '\\') => text.push(match characters.next() {
                    Some((_, 'n')) => '\n',
                    Some((_, other @ ('\\' | '"'))) => other,
                    other => panic!("no escape: {other:?}"),
                }),
                (_, other) => text.push(other),
            }
        };
        assert_eq!(labels.insert(name.to_owned(), text), None, "{name} stands twice");
        match &value[end + 1..] {
            more if more.starts_with(',') => rest = &more[1..],
            more => return (labels, more.strip_prefix('}').expect("labels have an end")),
        }
    }
}

/// Reads an exposition: each family with help and type before its samples, once, all samples together, none twice.
fn parse(text: &str) -> BTreeMap<String, Family> {
    assert!(text.ends_with('\n'));
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let (name, help) =
            line.strip_prefix("# HELP ").unwrap_or_else(|| panic!("help first: {line}")).split_once(' ').unwrap();
        assert!(is_name(name) && name.starts_with("aerodb_") && help.ends_with('.') && !help.contains('\\'), "{line}");
        let kind = lines.next().and_then(|line| line.strip_prefix(&format!("# TYPE {name} "))).expect("then the type");
        assert!(["gauge", "counter"].contains(&kind), "{kind}");
        assert_eq!(name.ends_with("_total"), kind == "counter", "{name} is a {kind}");
        let mut samples = BTreeMap::new();
        while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
            let rest = line.strip_prefix(name).unwrap_or_else(|| panic!("{line} is not of {name}"));
            let (labels, rest) = rest.strip_prefix('{').map_or_else(|| (Labels::new(), rest), labels);
            let value = rest.strip_prefix(' ').unwrap_or_else(|| panic!("no value: {line}"));
            assert!(value.bytes().all(|byte| byte.is_ascii_digit()), "{line}");
            assert_eq!(samples.insert(labels, value.parse().unwrap()), None, "twice: {line}");
        }
        let family = Family { counter: kind == "counter", samples };
        assert!(families.insert(name.to_owned(), family).is_none(), "{name} stands twice");
    }
    families
}

fn shown(node: Node) -> Running {
    Server::bind(Options::new("127.0.0.1:0".parse().unwrap()), Box::new(node)).unwrap().start().unwrap()
}

fn scraped(http: &Running) -> BTreeMap<String, Family> {
    let answer = Client::new(http.local_addr()).ask(get("/metrics"));
    assert!(answer.head.contains("\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{}", answer.head);
    parse(&answer.body)
}

fn value(families: &BTreeMap<String, Family>, name: &str, labels: &[(&str, &str)]) -> Option<u64> {
    let labels: Labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    families.get(name).unwrap_or_else(|| panic!("no {name}")).samples.get(&labels).copied()
}

/// The names of metrics in a text: all its words that begin as one, but the names of alerts do not.
fn names(text: &str) -> BTreeSet<&str> {
    let words = text.split(|character: char| !character.is_ascii_alphanumeric() && character != '_');
    words.filter(|word| word.starts_with("aerodb_")).collect()
}

/// The numbers of a replica that fetches a snapshot, and then recovers; P5-I14: its state, the last transition and what blocks it are among them.
fn waiting() -> (BTreeMap<String, Family>, BTreeMap<String, Family>) {
    let board = Arc::new(Board::new(([127, 0, 0, 1], 1).into(), Some("127.0.0.1:2".to_owned())));
    let front = Arc::new(Front::<Node>::new(Arc::clone(&board)));
    let http = Server::bind(Options::new("127.0.0.1:0".parse().unwrap()), Box::new(front)).unwrap().start().unwrap();
    let seen = Observation {
        state: Bootstrap::Disconnected,
        previous: Some(Bootstrap::Receiving),
        cause: "the connection is lost",
        transitions: 7,
        blocked: Some("the primary is away".to_owned()),
    };
    board.bootstraps(seen, Transfer { came: 5, total: 9, lost: 2, ..Transfer::default() });
    let bootstraps = scraped(&http);
    for (name, labels, wanted) in [
        ("aerodb_readable", vec![], 0),
        ("aerodb_waiting", vec![("phase", "bootstrapping")], 1),
        ("aerodb_replica_state", vec![("state", "bootstrapping")], 1),
        ("aerodb_replica_state", vec![("state", "ready")], 0),
        ("aerodb_component_state", vec![("component", "bootstrap"), ("state", "disconnected")], 1),
        ("aerodb_component_transitions_total", vec![("component", "bootstrap")], 7),
        ("aerodb_component_blocked", vec![("component", "bootstrap")], 1),
        ("aerodb_bootstrap_received_bytes", vec![], 5),
        ("aerodb_bootstrap_total_bytes", vec![], 9),
        ("aerodb_bootstrap_connections_lost_total", vec![], 2),
        ("aerodb_read_rule_holds", vec![("rule", "P5-I8")], 0),
        ("aerodb_read_rule_holds", vec![("rule", "R-AUTHORITY")], 0),
    ] {
        assert_eq!(value(&bootstraps, name, &labels), Some(wanted), "{name} {labels:?}");
    }
    let page = Client::new(http.local_addr()).ask(get("/")).body;
    for fact in ["bootstrap previous", "receiving", "the connection is lost", "the primary is away"] {
        assert!(page.contains(fact), "{fact}: {page}");
    }
    board.recovers(&Progress {
        recovery: Observation::begun(Recovery::Log),
        replayed: Position(64),
        end: Position(128),
    });
    let recovers = scraped(&http);
    assert_eq!(value(&recovers, "aerodb_recovery_replayed_position_bytes", &[]), Some(64));
    assert_eq!(
        value(&recovers, "aerodb_component_state", &[("component", "recovery"), ("state", Recovery::Log.name())]),
        Some(1)
    );
    assert!(!recovers.contains_key("aerodb_bootstrap_total_bytes"), "that is over");
    (bootstraps, recovers)
}

/// HTTP-METRICS
#[test]
fn every_number_of_both_roles_is_well_formed_and_alerts_and_dashboard_ask_for_no_other() {
    let mut world = World::new();
    world.stop_primary();
    let window = Arc::new(Window::default());
    let database = Database::open(aerodb::Options::new(&world.path("p"))).unwrap();
    let served = Served::with(database, |options| {
        options.replication = Some("127.0.0.1:0".parse().unwrap());
        options.window = Some(Arc::clone(&window));
    });
    world.proxy.lead_to(served.replication.unwrap());
    world.primary = Some(served);
    let last = world.commit(60);
    following::rest(world.db());
    let end = world.db().extent().durable;
    let replica = Arc::new(world.once("r"));
    let status = replica.wait_until(|status| status.replica.state == State::Ready && status.applied == end);
    let primary = shown(Node::Writer(Arc::clone(&world.primary.as_ref().unwrap().db), window));
    let follower = shown(Node::Replica(Arc::clone(&replica), Arc::default()));
    let (of_primary, of_replica) = (scraped(&primary), scraped(&follower));

    assert_eq!(value(&of_primary, "aerodb_commit_id", &[]), Some(last.0));
    assert_eq!(value(&of_primary, "aerodb_feed_replicas", &[]), Some(1));
    let node = replica.identity().node_id.to_string();
    assert!(
        value(&of_primary, "aerodb_feed_sent_position_bytes", &[("node", &node)]) >= Some(status.applied.position.0)
    );
    assert_eq!(
        value(&of_primary, "aerodb_component_state", &[("component", "committer"), ("state", "closed")]),
        Some(0)
    );
    assert!(!of_primary.contains_key("aerodb_replica_state"), "a primary follows nobody");

    assert_eq!(
        (value(&of_replica, "aerodb_readable", &[]), value(&of_replica, "aerodb_halted", &[])),
        (Some(1), Some(0))
    );
    let states = &of_replica["aerodb_replica_state"].samples;
    assert_eq!((states.len(), states.values().sum::<u64>()), (State::ALL.len(), 1));
    assert_eq!(value(&of_replica, "aerodb_replica_state", &[("state", "ready")]), Some(1));
    for stage in ["received", "validated", "applied", "all"] {
        assert_eq!(value(&of_replica, "aerodb_replica_behind_bytes", &[("stage", stage)]), Some(0), "{stage}");
    }
    let applied = value(&of_replica, "aerodb_replica_position_bytes", &[("stage", "applied")]);
    assert!(applied >= Some(status.applied.position.0));
    assert_eq!(of_replica["aerodb_read_rule_holds"].samples.len(), aerodb::gate::Check::ALL.len());
    assert!(of_replica["aerodb_replica_sessions_total"].counter);

    let known: BTreeSet<&str> = of_primary.keys().chain(of_replica.keys()).map(String::as_str).collect();
    for (file, text) in [("alerts", ALERTS), ("dashboard", DASHBOARD)] {
        let asked = names(text);
        assert!(asked.len() > 8, "{file}: {asked:?}");
        let missing: Vec<_> = asked.difference(&known).collect();
        assert!(missing.is_empty(), "{file} asks for {missing:?}, which no node shows");
    }
    let (bootstraps, recovers) = waiting();
    let known: BTreeSet<&str> =
        known.into_iter().chain(bootstraps.keys().chain(recovers.keys()).map(String::as_str)).collect();
    let book = include_str!("../docs/http.md");
    let untold: Vec<_> = known.iter().filter(|name| !book.contains(&format!("`{name}`"))).collect();
    assert!(untold.is_empty(), "docs/http.md does not say what {untold:?} are");
    let unknown: Vec<_> = names(book).into_iter().filter(|name| !known.contains(name)).collect();
    assert!(unknown.is_empty(), "docs/http.md tells of {unknown:?}");
    drop((primary, follower));
    Arc::into_inner(replica).unwrap().close().unwrap();
    world.finish(&["r"]);
}

/// A replica that has halted shows the fault by its code, and which rule of the gate does not hold.
#[test]
fn a_halt_is_seen_in_the_numbers() {
    let mut world = World::new();
    world.commit(5);
    let replica = Arc::new(world.once("r"));
    replica.wait_for(CommitId(5)).unwrap();
    let http = shown(Node::Replica(Arc::clone(&replica), Arc::default()));
    world.proxy.edit(|_, mut bytes| {
        bytes.iter_mut().last().into_iter().for_each(|byte| *byte ^= 1);
        bytes
    });
    world.commit(50);
    let (code, _) = following::halted(&replica);
    let seen = scraped(&http);
    assert_eq!((value(&seen, "aerodb_readable", &[]), value(&seen, "aerodb_replica_halted", &[])), (Some(0), Some(1)));
    assert_eq!(value(&seen, "aerodb_fault", &[("code", code.name())]), Some(1));
    assert_eq!(value(&seen, "aerodb_read_rule_holds", &[("rule", "P5-I10")]), Some(0));
    assert_eq!(value(&seen, "aerodb_read_rule_holds", &[("rule", "M-FLOOR")]), Some(1));
    drop(http);
    Arc::into_inner(replica).unwrap().close().unwrap_err();
}

/// The dashboard is JSON whose panels each ask for something; each alert has what a pager needs.
#[test]
fn alerts_and_dashboard_are_whole() {
    let dashboard: serde_json::Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len());
    for panel in panels {
        let asked = panel["targets"].as_array().unwrap();
        assert!(asked.iter().all(|target| !names(target["expr"].as_str().unwrap()).is_empty()), "{panel}");
    }
    let alerts: Vec<&str> = ALERTS.split("- alert: ").skip(1).collect();
    assert!(alerts.len() > 5);
    for alert in alerts {
        for part in ["expr: ", "severity: ", "summary: ", "description: "] {
            assert_eq!(alert.matches(part).count(), 1, "{part} of {alert}");
        }
    }
}

#[test]
fn the_parser_refuses_what_is_not_of_the_format() {
    let good = "# HELP aerodb_a Is.\n# TYPE aerodb_a gauge\naerodb_a{b=\"x\\\"\\\\\\n\"} 1\naerodb_a 2\n";
    let families = parse(good);
    assert_eq!(value(&families, "aerodb_a", &[("b", "x\"\\\n")]), Some(1));
    for (from, to) in [
        ("aerodb_a 2\n", "aerodb_a 2"),
        ("aerodb_a 2\n", "aerodb_b 2\n"),
        ("aerodb_a 2\n", "aerodb_a{b=\"x\\\"\\\\\\n\"} 2\n"),
        ("aerodb_a 2", "aerodb_a -2"),
        ("aerodb_a 2", "aerodb_a{} 2"),
        ("b=\"x\\\"", "b=\"x\\q"),
        ("gauge", "counter"),
        ("gauge", "number"),
        ("# HELP aerodb_a Is.\n", ""),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good);
        assert!(std::panic::catch_unwind(|| parse(&bad)).is_err(), "{bad}");
    }
}
