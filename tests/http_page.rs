//! The page at `/`: it says what is so in every state, needs nothing beside it, and nothing that somebody said becomes a part of it.

#![cfg(feature = "replication")]

mod following;
mod proxy;
mod served;
mod web;
mod world;

use aerodb::disk::SimDisk;
use aerodb::http::pages::Node;
use aerodb::http::{Options, Running, Server};
use aerodb::replica::{Replica, ReplicaOptions};
use aerodb::replica_state::{Halt, StateStore};
use aerodb::server::window::Window;
use aerodb::supervisor::{Reconnect, machine::State};
use aerodb::{CommitId, Database, Position, Reason, receiver};
use following::World;
use served::Served;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use web::{Client, get, header};
use world::{init_options, options, tiny};

/// How many rules the gate has.
const RULES: usize = aerodb::gate::Check::ALL.len();

fn shown(node: Node) -> Running {
    Server::bind(Options::new("127.0.0.1:0".parse().unwrap()), Box::new(node)).unwrap().start().unwrap()
}

/// The page; it is well-formed, and has a heading for each part.
fn page(http: &Running) -> String {
    let answer = Client::new(http.local_addr()).ask(get("/"));
    assert_eq!((answer.status, header(&answer.head, "Content-Type")), (200, Some("text/html; charset=utf-8")));
    is_well_formed(&answer.body);
    let parts = [
        "id=\"verdict\"",
        "id=\"do\">What to do now",
        "id=\"pipe\">From the ",
        "id=\"rules\">",
        "id=\"parts\">",
        "id=\"holds\">",
    ];
    parts.iter().for_each(|part| assert_eq!(answer.body.matches(part).count(), 1, "{part}"));
    answer.body
}

/// Every element that is opened is closed, in its order.
fn is_well_formed(page: &str) {
    let (before, rest) = page.split_once("<style>").unwrap();
    let (_, rest) = rest.split_once("</style>").unwrap();
    let (between, rest) = rest.split_once("<script>").unwrap();
    let (_, behind) = rest.split_once("</script>").unwrap();
    let markup = format!("{before}{between}{behind}");
    assert!(!markup.contains("{{") && !markup.contains("}}"), "a place that was not filled");
    let mut open = Vec::new();
    for tag in markup.split('<').skip(1) {
        let (tag, text) = tag.split_once('>').expect("a tag has an end");
        assert!(!text.contains('>'), "a bare > behind {tag}");
        let name = tag.split(' ').next().unwrap();
        match name {
            "!doctype" | "meta" | "link" => {}
            closing if closing.starts_with('/') => assert_eq!(open.pop(), Some(&closing[1..]), "{tag}"),
            name => open.push(name),
        }
    }
    assert_eq!(open, Vec::<&str>::new());
}

/// What stands in the page as text, without its tags, its style and its script.
fn text(page: &str) -> String {
    let main = page.split_once("<main").unwrap().1.split_once("</main>").unwrap().0;
    let text: Vec<&str> = main.split('<').map(|piece| piece.split_once('>').map_or(piece, |(_, text)| text)).collect();
    text.join(" ").split_whitespace().collect::<Vec<_>>().join(" ")
}

fn says(page: &str, facts: &[&str]) {
    let text = text(page);
    facts.iter().for_each(|fact| assert!(text.contains(fact), "{fact:?} is not said: {text}"));
}

fn replica(world: &World, primary: &str) -> Arc<Replica> {
    let options = ReplicaOptions {
        reconnect: Reconnect::Never,
        ..ReplicaOptions::new(aerodb::Options::new(&world.path("r")), primary)
    };
    Arc::new(Replica::open(options).unwrap())
}

#[test]
fn a_node_on_its_own_says_that_it_writes() {
    let disk = SimDisk::new();
    Database::init(&init_options(&disk, tiny())).unwrap();
    let database = Arc::new(Database::open(options(&disk)).unwrap());
    let http = shown(Node::Writer(Arc::clone(&database), Arc::default()));
    let page = page(&http);
    says(
        &page,
        &[
            "Writes, reads are answered",
            "What to do now Nothing.",
            "From the client to the read",
            "✓ holds P5-I12",
            "committer",
        ],
    );
    assert!(page.contains("<title>writes, reads are answered · standalone · AeroDB</title>"));
    assert!(!text(&page).contains("Replicas"), "it serves none");
    assert_eq!(page, self::page(&http), "the same state is the same page");
}

/// HTTP-PAGE: the policy names exactly the script and the style of the page; there is nothing else to load, and no attribute that would be style or script.
#[test]
fn the_page_needs_nothing_beside_it_and_its_policy_allows_nothing_else() {
    let disk = SimDisk::new();
    Database::init(&init_options(&disk, tiny())).unwrap();
    let database = Arc::new(Database::open(options(&disk)).unwrap());
    let http = shown(Node::Writer(database, Arc::default()));
    let answer = Client::new(http.local_addr()).ask(get("/"));
    let policy = header(&answer.head, "Content-Security-Policy").unwrap();
    for kind in ["script", "style"] {
        let inline =
            answer.body.split_once(&format!("<{kind}>")).unwrap().1.split_once(&format!("</{kind}>")).unwrap().0;
        let hash = base64(&Sha256::digest(inline));
        assert!(policy.contains(&format!("{kind}-src 'sha256-{hash}';")), "{kind}-src 'sha256-{hash}' in {policy}");
    }
    for allowed in ["unsafe", "http:", "https:", "*"] {
        assert!(!policy.contains(allowed), "{policy}");
    }
    assert!(policy.starts_with("default-src 'none'; "));
    for wanted in ["base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'", "connect-src 'self'"] {
        assert!(policy.contains(wanted), "{policy}");
    }
    for outside in ["src=", "style=", "@import", "url(", "javascript:", " on"] {
        let found: Vec<&str> =
            answer.body.split('<').filter(|tag| tag.split('>').next().unwrap().contains(outside)).collect();
        assert!(found.is_empty(), "{outside}: {found:?}");
    }
    for address in answer.body.split("href=\"").skip(1) {
        assert!(["/", "#", "data:image/svg+xml,"].iter().any(|own| address.starts_with(own)), "{address:.40}");
    }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let word = three.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for place in 0..4 {
            let digit = DIGITS[(word >> (18 - 6 * place)) as usize & 63];
            text.push(if place <= three.len() { digit.into() } else { '=' });
        }
    }
    text
}

#[test]
fn a_primary_shows_whom_it_feeds_and_a_replica_that_has_everything_says_so() {
    let window = Arc::new(Window::default());
    let mut world = World::new();
    world.stop_primary();
    let database = Database::open(aerodb::Options::new(&world.path("p"))).unwrap();
    let served = Served::with(database, |options| {
        options.replication = Some("127.0.0.1:0".parse().unwrap());
        options.window = Some(Arc::clone(&window));
    });
    world.proxy.lead_to(served.replication.unwrap());
    world.primary = Some(served);
    let primary = shown(Node::Writer(Arc::clone(&world.primary.as_ref().unwrap().db), window));
    says(&page(&primary), &["Replicas None is connected."]);
    world.commit(30);
    following::rest(world.db());
    let end = world.db().extent().durable;
    let replica = Arc::new(world.once("r"));
    replica.wait_until(|status| status.replica.state == State::Ready && status.applied == end);
    let http = shown(Node::Replica(Arc::clone(&replica), Arc::default()));
    let (position, commit) = (end.position, end.commit);
    let facts = [
        "Follows, reads are answered".to_owned(),
        format!("Reads are answered at commit {commit}."),
        format!("Primary {position} serves this replica {}", world.proxy.address),
        format!("→ no gap Received {position} receiver streaming → no gap Validated {position}"),
        format!("→ no gap Applied {position}"),
        format!("Gate commit {commit} reads are answered {RULES} of {RULES} rules hold"),
        "replica ready from ".to_owned(),
    ];
    says(&page(&http), &facts.each_ref().map(String::as_str));
    web::until(|| text(&page(&primary)).contains("parked").then_some(()));
    says(
        &page(&primary),
        &["Writes, reads are answered", &replica.identity().node_id.to_string(), &format!("{position} 0 bytes")],
    );
    drop((http, primary));
    Arc::into_inner(replica).unwrap().close().unwrap();
    world.finish(&["r"]);
}

#[test]
fn a_replica_that_is_behind_shows_where_the_gap_is() {
    let mut world = World::new();
    let last = world.commit(30);
    let end = world.db().extent().durable;
    world.make_replica("r");
    // The primary says what it has, and nothing of it arrives.
    world.proxy.edit(|frame, bytes| if matches!(frame, aerodb::frame::Frame::Segment(_)) { Vec::new() } else { bytes });
    let replica = replica(&world, &world.proxy.address.to_string());
    replica.wait_until(|status| status.receiver.state == receiver::machine::State::Streaming);
    let http = shown(Node::Replica(Arc::clone(&replica), Arc::default()));
    let bytes = replica.status().received.origin.unwrap().durable.position.0;
    assert!(bytes >= end.position.0 && (1000..1_000_000).contains(&bytes));
    let gap = format!(
        "⇢ {},{:03} bytes behind Received 0 receiver streaming → no gap Validated 0",
        bytes / 1000,
        bytes % 1000
    );
    says(
        &page(&http),
        &[
            "Catches up, reads are answered",
            &gap,
            &format!("commit {last}"),
            "Look again if the gaps below do not shrink",
        ],
    );
    drop(http);
    Arc::into_inner(replica).unwrap().close().unwrap();
}

#[test]
fn a_replica_without_its_primary_says_what_is_in_the_way_and_what_to_look_at() {
    let mut world = World::new();
    world.make_replica("r");
    world.stop_primary();
    let address = world.proxy.address.to_string();
    let replica = replica(&world, &address);
    replica.wait_until(|status| status.receiver.state == receiver::machine::State::Disconnected);
    let http = shown(Node::Replica(Arc::clone(&replica), Arc::default()));
    let look = format!("Look whether the primary runs and can be reached from here: {address} .");
    says(
        &page(&http),
        &[
            "Waits, reads are answered",
            &look,
            "What is in the way: replication.disconnected",
            "Primary not known no connection",
            "⇢ gap not known",
            "? not known R-COMPLETE",
        ],
    );
    drop(http);
    Arc::into_inner(replica).unwrap().close().unwrap();
}

/// P5-I10: who stands before a halt reads its evidence, and the command that clears it, for the directory of this node.
#[test]
fn a_replica_that_has_halted_says_why_and_how_that_is_cleared() {
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
    let (code, position) = following::halted(&replica);
    let (dir, primary) = (world.path("r").display().to_string(), world.proxy.address);
    let page = page(&http);
    says(
        &page,
        &[
            "Halted, reads are refused",
            code.remedy(),
            &format!("aerodb resume {dir} --clear {code}@{position}"),
            &format!("aerodb replica --data {dir} --primary {primary} --rebootstrap {code}@{position}"),
            "✕ fails REPL-HALT",
            &format!("reads are refused: replica.halted {} of {RULES} rules hold", RULES - 1),
        ],
    );
    let evidence = replica.status().halt.unwrap().evidence;
    assert!(!evidence.contains(['<', '&', '\'', '"']) && page.contains(&evidence), "{evidence}");
    let rules = page.split_once("id=\"rules\"").unwrap().1;
    assert!(rules.find("✕ fails") < rules.find("✓ holds"), "what fails comes first");
    drop(http);
    Arc::into_inner(replica).unwrap().close().unwrap_err();
}

/// HTTP-PAGE: what a primary, a file or a setting says may be anything; it stays text, and is seen.
#[test]
fn nothing_that_somebody_said_becomes_a_part_of_the_page() {
    const HOSTILE: &str = "</main><script>alert(1)</script><img src=x onerror=\"alert('2')\">\u{202e}&amp;";
    let mut world = World::new();
    world.make_replica("r");
    let identity = aerodb::Identity::read(following::real().as_ref(), &world.path("r")).unwrap();
    let mut state =
        StateStore::open(following::real().as_ref(), &world.path("r"), identity.database_id, identity.node_id).unwrap();
    let halt = Halt { reason: Reason::SegmentRejected, position: Position(0), evidence: HOSTILE.to_owned() };
    assert!(state.halt(halt).unwrap());
    drop(state);
    world.stop_primary();
    let replica = replica(&world, "<b>'primary'</b>:1");
    let http = shown(Node::Replica(Arc::clone(&replica), Arc::default()));
    let page = page(&http);
    let escaped = "&lt;/main&gt;&lt;script&gt;alert(1)&lt;/script&gt;&lt;img src=x onerror=&quot;alert(&#39;2&#39;)&quot;&gt;\\u{202e}&amp;amp;";
    assert!(page.contains(escaped), "{page}");
    // Of a shell it is one word.
    assert!(
        page.contains(
            "--primary &#39;&lt;b&gt;&#39;\\&#39;&#39;primary&#39;\\&#39;&#39;&lt;/b&gt;:1&#39; --rebootstrap"
        )
    );
    assert_eq!(
        (page.matches("<script").count(), page.matches("<img").count(), page.matches("</main>").count()),
        (1, 0, 1)
    );
    drop(http);
    Arc::into_inner(replica).unwrap().close().unwrap();
}
