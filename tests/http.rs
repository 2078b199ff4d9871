//! The HTTP side of a node, over real sockets: what is answered, what is refused, who gives way, and that it changes nothing.

#![cfg(feature = "replication")]

mod following;
#[path = "web/property.rs"]
mod property;
mod proxy;
mod served;
mod web;
mod world;

use aerodb::disk::SimDisk;
use aerodb::http::pages::Node;
use aerodb::http::{Options, Pages, Refused, Request, Response, Running, Server};
use aerodb::resp::Value;
use aerodb::{Database, Reason};
use property::check_request;
use proptest::prelude::*;
use served::Served;
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use web::{Client, get, header};
use world::{init_options, options, tiny};

const LIVE: &str = "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";

fn new_database() -> (SimDisk, Database) {
    let disk = SimDisk::new();
    Database::init(&init_options(&disk, tiny())).unwrap();
    let database = Database::open(options(&disk)).unwrap();
    (disk, database)
}

fn anywhere() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

/// Pages of the size that is asked for.
struct Sized;

impl Pages for Sized {
    fn answer(&self, request: &Request) -> Result<Response, Refused> {
        let size = std::str::from_utf8(&request.path[1..]).unwrap().parse().map_err(|_| Refused::NotFound)?;
        Ok(Response { body: vec![b'a'; size], ..Response::text("") })
    }
}

fn sized(seats: usize) -> Running {
    Server::bind(Options { seats, ..Options::new(anywhere()) }, Box::new(Sized)).unwrap().start().unwrap()
}

/// A node that shows itself.
fn shown(database: &Arc<Database>) -> Running {
    let pages = Box::new(Node::Writer(Arc::clone(database), Arc::default()));
    Server::bind(Options::new(anywhere()), pages).unwrap().start().unwrap()
}

/// HTTP-ENVELOPE: an answer names its moment, and is the same bytes as long as nothing has changed.
#[test]
fn a_node_shows_that_it_lives_can_be_read_and_what_it_is() {
    let (_disk, database) = new_database();
    let database = Arc::new(database);
    let http = shown(&database);
    let mut client = Client::new(http.local_addr());
    for probe in ["/livez", "/readyz"] {
        let answer = client.ask(get(probe));
        assert_eq!((answer.status, answer.body.as_str()), (200, "ok\n"));
    }
    let before = client.ask(get("/v1/status"));
    assert_eq!((before.status, header(&before.head, "Content-Type")), (200, Some("application/json; charset=utf-8")));
    assert!(before.body.starts_with(r#"{"api_version":1,"observed_at":{"snapshot":{"position":"#), "{}", before.body);
    assert!(before.body.contains(r#","commit_id":0,"commit_id_string":"0"},"data":{"identity":{"role":"standalone","#));
    assert!(before.body.ends_with("},\"notes\":[]}\n"), "{}", before.body);
    assert_eq!(client.ask(get("/v1/status")), before);
    assert_eq!(Client::new(http.local_addr()).ask(get("/v1/status")), before, "to somebody else");
    assert_eq!(header(&before.head, "Date"), None);

    let mut batch = aerodb::Batch::new();
    batch.put(b"k", b"v").unwrap();
    database.commit(batch).unwrap();
    let after = client.ask(get("/v1/status"));
    assert!(after.body.contains(r#""commit_id":1,"commit_id_string":"1"}"#), "{}", after.body);

    client.send("HEAD /v1/status HTTP/1.1\r\nHost: [::1]\r\n\r\n");
    let head = client.next(true).unwrap();
    assert_eq!((head.head.as_str(), head.body.as_str()), (after.head.as_str(), ""));
    let missing = client.ask(get("/v1%2fstatus/"));
    assert_eq!(missing.status, 404);
    assert!(missing.body.contains(r#""code":"http.not_found""#));
    assert_eq!(client.ask(get("/livez")).status, 200, "the connection stays");
    http.stop().unwrap();
    Arc::into_inner(database).expect("HTTP holds it no longer").close().unwrap();
}

#[cfg(feature = "cli")]
#[test]
fn a_reader_of_json_reads_the_status() {
    let (_disk, database) = new_database();
    let database = Arc::new(database);
    let http = shown(&database);
    let answer = Client::new(http.local_addr()).ask(get("/v1/status"));
    let read: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(read["data"]["identity"]["database"], "db".repeat(16));
    assert_eq!(
        read["data"]["committer"]["state"].as_str(),
        Some(database.status().committer.state.to_string().as_str())
    );
    assert_eq!(read["data"]["durable"]["position_string"], database.status().durable.position.to_string());
}

#[test]
fn a_node_that_has_halted_lives_and_cannot_be_read_and_says_why() {
    let (disk, database) = new_database();
    let mut batch = aerodb::Batch::new();
    batch.put(b"k", b"v").unwrap();
    database.commit(batch).unwrap();
    database.checkpoint().unwrap();
    let run = disk.paths().into_iter().find(|path| path.extension().is_some_and(|end| end == "run")).unwrap();
    let mut bytes = disk.contents(&run).unwrap();
    bytes[10] ^= 1;
    disk.overwrite(&run, bytes);
    let database = Arc::new(database);
    assert_eq!(database.get(b"k").unwrap_err().reason(), Reason::StoreBlockCorrupt);
    let http = shown(&database);
    let mut client = Client::new(http.local_addr());
    assert_eq!(client.ask(get("/livez")).status, 200);
    let refused = client.ask(get("/readyz"));
    assert_eq!(refused.status, 503);
    assert!(refused.body.starts_with(r#"{"api_version":1,"error":{"code":"store.block_corrupt","#), "{}", refused.body);
    assert!(client.ask(get("/v1/status")).body.contains(r#""halted":{"code":"store.block_corrupt","#));
}

/// All pages of a node, with the parameters that they have.
const PAGES: [&str; 16] = [
    "/",
    "/livez",
    "/readyz",
    "/readyz?verbose",
    "/metrics",
    "/v1/status",
    "/v1/wal",
    "/v1/mvcc",
    "/v1/snapshots",
    "/v1/checkpoints",
    "/v1/replication",
    "/v1/explain/replication",
    "/v1/explain/recovery?format=text",
    "/v1/explain/checkpoint",
    "/v1/explain/segment",
    "/v1/explain/read?key=key3&at_least=1",
];

/// HTTP-REQUEST: what is no request has its status, and is the last that is answered; by the pages of a node as by any.
#[test]
fn what_is_no_request_is_refused_by_name_and_ends_the_connection() {
    let (_disk, database) = new_database();
    let database = Arc::new(database);
    let before = database.extent();
    for http in [sized(10), shown(&database)] {
        refuses_what_is_no_request(&http);
        // Whatever stands behind a path of a node is a path, or a query that is not understood, and never another page.
        for (target, statuses) in [
            ("/v1/explain/read?key=%00%0d%0a&at=18446744073709551616", [400, 404]),
            ("/v1/status/../../etc/passwd", [404, 404]),
            ("/%2e%2e/%2e%2e/etc/passwd", [404, 404]),
            ("/v1/status%00.html", [404, 404]),
            ("//v1/status", [404, 404]),
            ("/v1/explain/read?key=a%26at=7&at=%31%00", [400, 404]),
            ("/metrics%0d%0aX:%20injected", [404, 404]),
        ] {
            let answer = Client::new(http.local_addr()).ask(get(target));
            assert!(statuses.contains(&answer.status), "{target}: {}", answer.status);
            assert!(!answer.head.contains("injected"), "{target}");
        }
    }
    assert_eq!(database.extent(), before, "nothing was written");
}

fn refuses_what_is_no_request(http: &Running) {
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(9000));
    let large = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "a".repeat(9000));
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: a\r\n".repeat(64));
    for (request, status) in [
        ("nonsense\r\n\r\n", 400),
        ("GET / HTTP/1.1\n\n", 400),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("\0", 400),
        ("*1\r\n$4\r\nPING\r\n\r\n", 400),
        ("\u{16}\u{3}\u{1}\u{2}\0\u{1}", 400),
        ("GET /\r\nX: injected HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: localhost\r\nX: a\r\n folded\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", 405),
        ("GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nabc", 413),
        ("GET / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 413),
        (&long, 414),
        (&large, 431),
        (&many, 431),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    ] {
        let mut client = Client::new(http.local_addr());
        let answer = client.ask(format!("{request}{LIVE}"));
        assert_eq!(answer.status, status, "{request:?}");
        assert_eq!(header(&answer.head, "Connection"), Some("close"));
        assert_eq!(header(&answer.head, "Allow").is_some(), status == 405);
        client.is_ended();
    }
}

proptest! {
    /// HTTP-REQUEST: what holds for any bytes, on random ones; the fuzz target looks further.
    #[test]
    fn any_bytes_are_a_request_or_are_refused(
        bytes: Vec<u8>,
        path in "[ -~]{0,30}",
        query in "[a-z_]{1,8}=[ -~]{0,20}",
        version in 0..3_u8,
        header in "[A-Za-z-]{1,20}: ?[ -~]{0,40}",
    ) {
        check_request(&bytes);
        let head = format!("GET /{path}?{query} HTTP/1.{version}\r\nHost: a\r\n{header}\r\n\r\n");
        check_request(head.as_bytes());
        let query = query.replace([' ', '#', '%'], "+");
        let head = format!("HEAD /%41%ff?{query} HTTP/1.{version}\r\nHost: a\r\n\r\n");
        prop_assert!(check_request(&[head.as_bytes(), &bytes].concat()), "{head}");
    }
}

/// HTTP-REQUEST: a refusal arrives also at a client that goes on sending, as a body of many bytes does.
#[test]
fn who_goes_on_sending_still_reads_why_it_was_refused() {
    let http = sized(10);
    let mut client = Client::new(http.local_addr());
    client.send("PUT /k HTTP/1.1\r\nHost: localhost\r\nContent-Length: 16777216\r\n\r\n");
    for _ in 0..256 {
        client.send([0; 65_536]);
    }
    client.stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.next(false).unwrap().status, 405);
    client.is_ended();
}

/// HTTP-HOST: a page of another origin that has its name point here reads nothing.
#[test]
fn a_request_that_names_another_host_is_refused() {
    let (_disk, database) = new_database();
    let database = Arc::new(database);
    let http = shown(&database);
    for (target, host) in [
        ("/v1/status", "evil.example"),
        ("/v1/status", "localhost.evil.example:6382"),
        ("http://evil.example/v1/status", "localhost"),
        ("/v1/status", "0.0.0.0"),
        ("/v1/status", ""),
    ] {
        let mut client = Client::new(http.local_addr());
        let answer = client.ask(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n{LIVE}"));
        assert_eq!(answer.status, 421, "{host}");
        assert!(answer.body.contains("http.other_host") && !answer.body.contains("identity"));
        client.is_ended();
    }
    let mut client = Client::new(http.local_addr());
    let answer = client.ask("GET http://localhost/livez HTTP/1.1\r\nHost: evil.example\r\n\r\n");
    assert_eq!(answer.status, 200, "the host of the target counts");
    let allowed = answer.head.lines().filter(|line| line.starts_with("Access-Control"));
    assert_eq!(allowed.count(), 0);
}

/// HTTP-HOST: an address that others can reach is wanted by name, or refused; then every host is answered to.
#[test]
fn an_address_that_others_can_reach_is_wanted_by_name() {
    let listen = "0.0.0.0:0".parse().unwrap();
    let refused = Server::bind(Options::new(listen), Box::new(Sized)).err().unwrap();
    assert_eq!(refused.reason(), Reason::ConfigNoAuthentication);
    let wanted = Options { allow_remote: true, ..Options::new(listen) };
    let http = Server::bind(wanted, Box::new(Sized)).unwrap().start().unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], http.local_addr().port()));
    assert_eq!(Client::new(address).ask("GET /1 HTTP/1.1\r\nHost: db.example\r\n\r\n").status, 200);
    let taken = Server::bind(Options::new(address), Box::new(Sized)).err().unwrap();
    assert_eq!(taken.reason(), Reason::ServerListenFailed);
}

/// HTTP-REQUEST: requests that stand behind one another are answered in their order, wherever they are cut.
#[test]
fn pipelined_requests_are_answered_in_order_in_any_pieces() {
    let http = sized(10);
    let mut all = String::new();
    for size in [0, 1, 300, 7] {
        all += &get(&format!("/{size}"));
    }
    all += "GET /2 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let wanted = [0, 1, 300, 7, 2];
    for pieces in [1, 7, all.len()] {
        let mut client = Client::new(http.local_addr());
        for piece in all.as_bytes().chunks(pieces) {
            client.send(piece);
        }
        // Nothing behind the last is answered.
        client.send(LIVE);
        for (number, size) in wanted.into_iter().enumerate() {
            let answer = client.next(false).unwrap();
            assert_eq!((answer.status, answer.body.len()), (200, size));
            let last = number + 1 == wanted.len();
            assert_eq!(header(&answer.head, "Connection"), Some(if last { "close" } else { "keep-alive" }));
        }
        client.is_ended();
    }
    // A client that says that it has sent all gets all.
    let mut client = Client::new(http.local_addr());
    client.send(get("/5").repeat(100));
    client.stream.shutdown(Shutdown::Write).unwrap();
    for _ in 0..100 {
        assert_eq!(client.next(false).unwrap().body, "aaaaa");
    }
    client.is_ended();
}

/// HTTP-BOUND: who sends slowly, or does not read, holds nobody up; what was not read arrives once it is.
#[test]
fn who_is_slow_or_does_not_read_waits_alone() {
    let http = sized(10);
    let mut slow = Client::new(http.local_addr());
    let mut deaf = Client::new(http.local_addr());
    let size = 20_000_000;
    deaf.send(get(&format!("/{size}")) + &get("/3"));
    let mut other = Client::new(http.local_addr());
    for byte in LIVE.replace("livez", "9").as_bytes() {
        slow.send([*byte]);
        assert_eq!(other.ask(get("/4")).body, "aaaa");
    }
    assert_eq!(slow.next(false).unwrap().body.len(), 9);
    let mut received = Vec::new();
    while received.len() < size + 3 {
        let mut buffer = vec![0; 1 << 20];
        let bytes = deaf.stream.read(&mut buffer).unwrap();
        assert!(bytes > 0);
        received.extend_from_slice(&buffer[..bytes]);
    }
    deaf.stream.shutdown(Shutdown::Write).unwrap();
    deaf.stream.read_to_end(&mut received).unwrap();
    assert!(received.ends_with(b"\r\n\r\naaa"));
}

/// HTTP-BOUND: responses that nobody reads are cut off, that of the longest ago first, and only once others need the room.
#[test]
fn responses_that_nobody_reads_give_way_to_others() {
    let http = sized(10);
    let size = 30 << 20;
    let mut deaf: Vec<Client> = (0..3).map(|_| Client::new(http.local_addr())).collect();
    let mut watching = Client::new(http.local_addr());
    for client in &mut deaf {
        client.send(get(&format!("/{size}")));
        // The first bytes of it are here, so it is held.
        assert!(client.read());
        assert_eq!(watching.ask(get("/1")).status, 200);
    }
    let all = |client: &mut Client| {
        while client.read() {
            if client.received.len() > size {
                return true;
            }
        }
        false
    };
    assert_eq!(deaf.iter_mut().map(all).collect::<Vec<_>>(), [false, true, true]);
}

/// HTTP-BOUND: as many clients as there are seats, all at once, each served, and again.
#[test]
fn a_thousand_clients_at_a_time_are_all_answered() {
    let http = sized(1024);
    let mut clients: Vec<Client> = (0..1000).map(|_| Client::new(http.local_addr())).collect();
    for _ in 0..2 {
        clients.iter_mut().for_each(|client| client.send(get("/10")));
        for client in &mut clients {
            assert_eq!(client.next(false).unwrap().body.len(), 10);
        }
    }
}

/// HTTP-BOUND: the same of the pages of a node, all of them, while it is written to.
#[test]
fn a_thousand_clients_at_a_time_are_all_answered_by_a_node_that_is_written_to() {
    let (_disk, database) = new_database();
    let database = Arc::new(database);
    let http = shown(&database);
    let mut clients: Vec<Client> = (0..1000).map(|_| Client::new(http.local_addr())).collect();
    for round in 0..2_usize {
        for (number, client) in clients.iter_mut().enumerate() {
            client.send(get(PAGES[(number + round) % PAGES.len()]));
            if number % 10 == 0 {
                let mut batch = aerodb::Batch::new();
                batch.put(format!("key{number}").as_bytes(), &[7; 100]).unwrap();
                database.commit(batch).unwrap();
            }
        }
        for (number, client) in clients.iter_mut().enumerate() {
            let answer = client.next(false).unwrap();
            let page = PAGES[(number + round) % PAGES.len()];
            assert_eq!(answer.status, 200, "{page}: {}", answer.body);
            assert!(
                !page.starts_with("/v1") || page.contains("text") || answer.body.ends_with("}\n"),
                "{}",
                answer.body
            );
        }
    }
    let status = Client::new(http.local_addr()).ask(get("/v1/status")).body;
    assert!(status.contains(r#""commit_id":200,"#), "{status}");
}

/// HTTP-BOUND: a seat is given up for who comes, by whoever was answered the longest ago, and by nobody else.
#[test]
fn the_seat_of_who_was_answered_the_longest_ago_is_given_up() {
    let http = sized(4);
    let mut clients: Vec<Client> = (0..4).map(|_| Client::new(http.local_addr())).collect();
    for client in &mut clients {
        assert_eq!(client.ask(get("/1")).status, 200);
    }
    // Half a request is none.
    clients[1].send("GET /1 HTTP/1.1\r\n");
    assert_eq!(clients[0].ask(get("/2")).status, 200);
    let mut fifth = Client::new(http.local_addr());
    assert_eq!(fifth.ask(get("/1")).status, 200);
    clients[1].is_ended();
    for client in [0, 2, 3] {
        assert_eq!(clients[client].ask(get("/1")).status, 200, "{client}");
    }
}

/// HTTP-BOUND: however many hold a connection and send nothing, or half a request, who sends a whole one is answered.
#[test]
fn a_crowd_that_asks_for_nothing_keeps_nobody_from_an_answer() {
    let http = sized(8);
    let mut crowd = Vec::new();
    for round in 0..300 {
        let mut silent = Client::new(http.local_addr());
        if round % 2 == 0 {
            silent.send("GET / HT");
        }
        crowd.push(silent);
        if round % 10 == 0 {
            assert_eq!(Client::new(http.local_addr()).ask(get("/3")).body, "aaa");
        }
    }
}

#[test]
fn a_server_stops_while_requests_are_open_and_lets_go_of_the_node() {
    let (_disk, database) = new_database();
    let database = Arc::new(database);
    let http = shown(&database);
    let address = http.local_addr();
    let mut clients: Vec<Client> = (0..20).map(|_| Client::new(address)).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.send(&LIVE[..number * 2]);
    }
    let mut answered = Client::new(address);
    assert_eq!(answered.ask(LIVE).status, 200);
    http.stop().unwrap();
    answered.is_ended();
    clients.iter_mut().for_each(Client::is_ended);
    assert_eq!(TcpStream::connect(address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    Arc::into_inner(database).expect("HTTP holds it no longer").close().unwrap();
}

/// Numbers that follow from a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (mixed ^ (mixed >> 27)) % bound
    }

    /// What a client asks: writes and reads of all kinds, now and in the past, and what is refused.
    fn request(&mut self, last: u64) -> String {
        let (key, other, commit) = (self.below(40), self.below(40), self.below(last + 3));
        match self.below(16) {
            0..=3 => format!("SET key{key} {}", "v".repeat(self.below(600) as usize + 1)),
            4 => format!("DEL key{key} key{other}"),
            5 => format!("INCR number{key}"),
            6 => format!("MSET key{key} a key{other} b"),
            7 => format!("APPEND key{key} more"),
            8 => format!("GET key{key}"),
            9 => format!("MGET key{key} key{other} number{key}"),
            10 => format!("AERO.AT {commit} GET key{key}"),
            11 => format!("AERO.READ ATLEAST {commit} GET key{key}"),
            12 => format!("AERO.RANGE key1 key3 LIMIT {}", self.below(9) + 1),
            13 => "AERO.LAST POINT".to_owned(),
            14 => format!("AERO.EXPLAIN READ key{key} AT {commit} JSON"),
            _ => "DBSIZE".to_owned(),
        }
    }
}

/// What was written, and what clients were told, with all pages of HTTP asked all the time or without it.
fn written(seed: u64, with_http: bool) -> (BTreeMap<PathBuf, Vec<u8>>, Vec<Value>) {
    let disk = SimDisk::new();
    Database::init(&init_options(&disk, tiny())).unwrap();
    let served = Served::new(Database::open(options(&disk)).unwrap());
    let http = with_http.then(|| shown(&served.db));
    let mut asking = http.as_ref().map(|http| Client::new(http.local_addr()));
    let mut client = served.client();
    let (mut told, mut random) = (Vec::new(), Random(seed));
    for number in 0..400 {
        let last = served.db.published().0;
        if number % 100 == 50 {
            told.extend(["MULTI", "SET key1 x", "INCR number1", "EXEC"].map(|request| client.ask(request)));
        }
        told.push(client.ask(&random.request(last)));
        for page in [PAGES[number % PAGES.len()], "/v1/explain/read?key=key1", "/nowhere"] {
            let answer = asking.as_mut().map(|asking| asking.ask(get(page)).status);
            assert!(
                answer.is_none_or(|status| status == if page == "/nowhere" { 404 } else { 200 }),
                "{page}: {answer:?}"
            );
        }
        // What the node does of its own accord is done before it is looked at again: when that is, is free, and an explanation may show it.
        following::rest(&served.db);
    }
    drop((asking, http));
    served.stop().close().unwrap();
    (disk.paths().into_iter().map(|path| (path.clone(), disk.contents(&path).unwrap())).collect(), told)
}

/// HTTP-OFF
#[test]
fn files_and_answers_are_the_same_with_http_and_without() {
    for seed in 1..=5 {
        let (with, without) = (written(seed, true), written(seed, false));
        assert!(
            with.0.keys().any(|path| path.extension().is_some_and(|end| end == "run")),
            "seed {seed}: tables were sealed"
        );
        for (number, (with, without)) in with.1.iter().zip(&without.1).enumerate() {
            assert_eq!(with, without, "seed {seed}, reply {number}");
        }
        assert_eq!(with.0.keys().collect::<Vec<_>>(), without.0.keys().collect::<Vec<_>>(), "seed {seed}");
        for (path, bytes) in &with.0 {
            assert!(*bytes == without.0[path], "seed {seed}: {} differs", path.display());
        }
    }
}
