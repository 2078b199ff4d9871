//! The lobby of real processes: a replica that waits for a snapshot, and what is refused before anything is made.

#[path = "../binary/mod.rs"]
mod binary;
#[path = "../proxy/mod.rs"]
mod proxy;

use crate::info;
use crate::served::{Client, bulk, ok, pong};
use crate::web::{self, get};
use aerodb::Reason;
use binary::Place;
use proxy::Proxy;
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Lines};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, ChildStderr, Stdio};

/// A process; killed if a test ends before it does.
struct Process {
    child: Child,
    log: Lines<BufReader<ChildStderr>>,
}

impl Process {
    fn start(place: &Place, arguments: &[&str]) -> Process {
        let mut command = place.command(arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap()).lines();
        Process { child, log }
    }

    /// Where it answers, before it serves.
    fn lobby(&mut self) -> SocketAddr {
        self.logged_address("there is no database to serve yet")
    }

    /// Where it is shown over HTTP, which is said behind that.
    fn http(&mut self) -> SocketAddr {
        self.logged_address("shown over HTTP")
    }

    fn logged_address(&mut self, what: &str) -> SocketAddr {
        let line = self.log.by_ref().map(Result::unwrap).find(|line| line.contains(what));
        let line = line.expect("it answers");
        let (_, address) = line.split_once("address=").unwrap();
        address.trim_end_matches(']').parse().unwrap()
    }

    /// The line that says that it serves.
    fn listens(&mut self) -> String {
        let mut line = String::new();
        BufReader::new(self.child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with("listening on "), "{line:?}");
        line
    }

    fn end(mut self) -> Option<i32> {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        // What it logs is read, so that it never waits for a reader.
        self.log.by_ref().for_each(drop);
        self.child.wait().unwrap().code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A primary; where its clients and its replicas connect.
fn primary(place: &Place, more: &[&str]) -> (Process, SocketAddr, SocketAddr) {
    let listen = ["--listen", "127.0.0.1:0", "--replication", "127.0.0.1:0", "--log-level", "error"];
    let small = ["--table-bytes", "64KiB", "--segment-bytes", "128KiB"];
    let mut primary = Process::start(place, &[&["serve", "--data", "p"][..], &listen, &small, more].concat());
    let line = primary.listens();
    let addresses: Vec<SocketAddr> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    (primary, addresses[0], addresses[1])
}

fn value(text: &str, name: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("{name} is not in {text}")).to_owned()
}

/// P5-I8, HTTP-LOBBY: a replica says how much of its snapshot is here, and answers no read; once the snapshot is in place it serves, at the same address.
#[test]
fn while_a_replica_bootstraps_it_says_how_far_it_is_and_then_it_serves_at_the_same_address() {
    let place = Place::new();
    let (slow, clients, replicas) = primary(&place, &["--serve-rate", "1KiB"]);
    let mut client = Client::connect(clients);
    for number in 0..100 {
        client.request(&["SET".to_owned(), format!("key{number}"), "x".repeat(2000)]);
        assert_eq!(client.reply(), ok());
    }
    client.wait_for("runs", 3);
    let proxy = Proxy::of(replicas);
    let address = proxy.address.to_string();
    let from = ["--primary", &address, "--bootstrap", "snapshot", "--reconnect", "1", "--listen", "127.0.0.1:0"];
    let shown = ["--http", "127.0.0.1:0"];
    let mut replica = Process::start(&place, &[&["replica", "--data", "r"][..], &from, &shown].concat());
    let (lobby, http) = (replica.lobby(), replica.http());

    let mut guest = Client::connect(lobby);
    let total = loop {
        let text = info(&mut guest, "everything");
        assert_eq!(value(&text, "role"), "slave");
        let number = |name: &str| value(&text, name).parse::<u64>().unwrap();
        if text.contains("bootstrap_state:receiving") && number("bootstrap_bytes") > 0 {
            assert_eq!(value(&text, "replica_reads"), "read.bootstrapping");
            assert_eq!(value(&text, "replica_state"), "bootstrapping");
            assert!(number("bootstrap_bytes") < number("bootstrap_bytes_total"), "{text}");
            assert_eq!(number("loading_total_bytes"), number("bootstrap_bytes_total"));
            assert_eq!(value(&text, "node").len(), 32);
            break number("bootstrap_bytes_total");
        }
    };
    assert!(total > 100_000, "{total}");
    assert_eq!(guest.ask("PING"), pong());
    for words in ["GET key1", "SET key1 other", "DBSIZE"] {
        let told = guest.refused(words);
        let begin = format!(
            "LOADING read.bootstrapping {} [phase=bootstrapping, rule=P5-I8, bootstrap_state=receiving, ",
            Reason::ReadBootstrapping.sentence()
        );
        assert!(told.starts_with(&begin) && told.contains(&format!("bootstrap_bytes_total={total}")), "{told}");
    }
    // An operator's command sees it too.
    let told = place.ok(&["status", "--addr", &lobby.to_string()]);
    let lines: Vec<String> = told.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for said in ["role replica", "waiting read.bootstrapping", &format!("bootstrap bytes total {total}")] {
        assert!(lines.iter().any(|line| line == said), "{said}: {told}");
    }
    let told = place.json(&["status", "--addr", &lobby.to_string()]).remove(0);
    assert_eq!(
        (&told["waiting"], &told["bootstrap_bytes_total"]),
        (&"read.bootstrapping".into(), &total.into()),
        "{told}"
    );

    // So does a browser, and a probe.
    let mut browser = web::Client::new(http);
    assert_eq!(browser.ask(get("/livez")).status, 200);
    let probed = browser.ask(get("/readyz"));
    assert_eq!(probed.status, 503);
    let begin = r#"{"api_version":1,"error":{"code":"read.bootstrapping","#;
    assert!(probed.body.starts_with(begin) && probed.body.contains(&total.to_string()), "{}", probed.body);
    let status = browser.ask(get("/v1/status")).body;
    assert!(status.contains(r#""phase":"bootstrapping","progress":{"bootstrap_state":"receiving","#), "{status}");
    let page = browser.ask(get("/")).body;
    assert!(page.contains("Bootstrapping, reads are refused") && page.contains(&format!("max=\"{total}\"")), "{page}");

    // Another is asked to end: it does, at once.
    let mut other = Process::start(&place, &[&["replica", "--data", "other"][..], &from].concat());
    let mut waiting = Client::connect(other.lobby());
    while !info(&mut waiting, "everything").contains("bootstrap_state:receiving") {}
    assert_eq!(other.end(), Some(0));
    assert_eq!(waiting.next(), None);

    // The primary lets more through.
    assert_eq!(slow.end(), Some(0));
    let (fast, clients, replicas) = primary(&place, &[]);
    proxy.lead_to(replicas);
    let line = replica.listens();
    assert!(line.starts_with(&format!("listening on {lobby} and for HTTP on {http} (replica of ")), "{line}");
    assert_eq!(browser.ask(get("/readyz")).status, 200, "on the same connection");
    assert!(browser.ask(get("/")).body.contains("reads are answered"));
    assert_eq!(guest.next(), None);
    let mut guest = Client::connect(lobby);
    let text = info(&mut guest, "everything");
    assert_eq!(value(&text, "loading"), "0");
    let commit = value(&info(&mut Client::connect(clients), "aerodb"), "commit");
    while value(&info(&mut guest, "aerodb"), "commit") != commit {}
    assert!(guest.refused("SET key1 other").starts_with("READONLY "));
    assert_eq!(guest.ask("GET key1"), bulk("x".repeat(2000)));
    assert_eq!(Client::connect(clients).ask("GET key1"), bulk("x".repeat(2000)));
    assert_eq!((replica.end(), fast.end()), (Some(0), Some(0)));
}

/// REPL-RECONNECT, P5-I14: a replica that has no directory yet waits for a primary that is not there, says so, and goes on once it is.
#[test]
fn a_new_replica_waits_for_its_primary_and_says_what_for() {
    let place = Place::new();
    let (first, _, replicas) = primary(&place, &[]);
    let proxy = Proxy::of(replicas);
    assert_eq!(first.end(), Some(0));
    let address = proxy.address.to_string();
    let mut waiting: Vec<Process> = ["snapshot", "log"]
        .into_iter()
        .map(|policy| {
            let from = ["--primary", &address, "--bootstrap", policy, "--reconnect", "1", "--listen", "127.0.0.1:0"];
            Process::start(&place, &[&["replica", "--data", policy][..], &from].concat())
        })
        .collect();
    for replica in &mut waiting {
        let mut guest = Client::connect(replica.lobby());
        let text = loop {
            let text = info(&mut guest, "everything");
            if text.contains("bootstrap_state:disconnected") {
                break text;
            }
        };
        let blocked = value(&text, "bootstrap_blocked");
        assert!(blocked.starts_with("replication."), "{blocked}");
        assert_eq!(
            (value(&text, "bootstrap_cut"), value(&text, "bootstrap_primary").as_str()),
            ("unknown".to_owned(), "unknown")
        );
        assert!(guest.refused("GET key").contains("bootstrap_blocked=replication."));
    }
    assert!(!place.path("snapshot").exists() && !place.path("log").exists());
    let (second, _, replicas) = primary(&place, &[]);
    proxy.lead_to(replicas);
    for mut replica in waiting {
        replica.listens();
        assert_eq!(replica.end(), Some(0));
    }
    assert_eq!(second.end(), Some(0));
}

/// An address that is taken is refused before anything is made, with the directory or without it.
#[test]
fn an_address_that_is_taken_is_refused_before_anything_is_made() {
    let place = Place::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    place.run(&["serve", "--data", "d", "--listen", &address]).is(Reason::ServerListenFailed);
    let from = ["--primary", "127.0.0.1:1", "--bootstrap", "snapshot"];
    place.run(&[&["replica", "--data", "d", "--listen", &address][..], &from].concat()).is(Reason::ServerListenFailed);
    let shown = ["--listen", "127.0.0.1:0", "--http", &address];
    place.run(&[&["serve", "--data", "d"][..], &shown].concat()).is(Reason::ServerListenFailed);
    place.run(&[&["replica", "--data", "d"][..], &shown, &from].concat()).is(Reason::ServerListenFailed);
    assert!(!place.path("d").exists());
}

/// A directory that does not open ends the process with its own status, as before there was a lobby.
#[test]
fn a_directory_that_does_not_open_ends_the_process() {
    let place = Place::with_node();
    place.flip(&place.path("d").join("wal").join("MARK"), 20);
    place.flip(&place.path("d").join("IDENTITY"), 20);
    let serve = ["serve", "--data", "d", "--listen", "127.0.0.1:0"];
    place.run(&serve).is(Reason::IdentityCorrupt);
}
