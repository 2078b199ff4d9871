//! The lobby: what clients are told while a node has no database to serve (P5-I8, P5-I11), and that nobody who connects is refused on the way
//! from there to the server.
//!
//! A recovery is held up at a step of its own, by who watches it; a bootstrap by a primary that may send next to nothing. Nothing sleeps.

#![cfg(feature = "server")]

mod served;
mod web;

use aerodb::limits::CLIENT_OUTPUT_BYTES;
use aerodb::recovery::machine::State;
use aerodb::resp::Value;
use aerodb::server::lobby::{Lobby, LobbyOptions};
use aerodb::server::{self, Server};
use aerodb::{Batch, Database, Init, Options, Reason};
use served::{Client, Served, bulk, ok, pong, request};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::{channel, sync_channel};
use std::sync::{Arc, Mutex};

fn open(change: impl FnOnce(&mut LobbyOptions)) -> Lobby {
    let mut options = LobbyOptions {
        listen: "127.0.0.1:0".parse().unwrap(),
        allow_remote: false,
        max_clients: 100,
        client_memory: 256 << 20,
        tcp_keepalive: 300,
        primary: None,
    };
    change(&mut options);
    Lobby::open(options).unwrap()
}

fn info(client: &mut Client, section: &str) -> String {
    let Value::Bulk(text) = client.ask(&format!("INFO {section}")) else { panic!("INFO is text") };
    String::from_utf8(text).unwrap()
}

/// P5-I11: a node whose recovery is under way is asked for everything; then it is open, at the same address, and who came in between is served.
#[test]
fn while_a_node_recovers_it_says_how_far_it_is_and_nothing_is_read() {
    let place = tempfile::tempdir().unwrap();
    let identity = Database::init(&Init::standalone(place.path())).unwrap();
    let db = Database::open(Options::new(place.path())).unwrap();
    let mut written = Batch::new();
    written.put(b"key", b"value").unwrap();
    let commit = db.commit(written).unwrap();
    let end = db.status().durable.position;
    db.close().unwrap();

    let lobby = open(|_| {});
    let address = lobby.local_addr();
    let mut early = Client::connect(address);
    let told = early.refused("GET key");
    let sentence = Reason::ReadRecovering.sentence();
    let evidence = "[phase=recovering, rule=P5-I11, recovery_step=none]";
    assert!(told.starts_with(&format!("LOADING read.recovering {sentence} {evidence} ")), "{told}");
    // It explains that too (F-O1).
    let Value::Bulk(text) = early.ask("AERO.EXPLAIN REPLICATION") else { panic!("an explanation is text") };
    let text = String::from_utf8(text).unwrap();
    assert!(text.starts_with("replication: waits\n") && text.contains("FAILS     P5-I11"), "{text}");
    let Value::Bulk(json) = early.ask("AERO.EXPLAIN REPLICATION JSON") else { panic!("an explanation is text") };
    assert!(json.starts_with(b"{\"type\":\"replication\"") && json.ends_with(b"]}"), "{}", json.escape_ascii());
    assert!(!info(&mut early, "everything").contains("database:"));

    lobby.board().identified(&identity);
    let (reached, at_log) = sync_channel(64);
    let (release, held) = channel::<()>();
    let (held, board) = (Mutex::new(held), Arc::clone(lobby.board()));
    let watch = move |seen: &aerodb::recovery::Progress| {
        board.recovers(seen);
        if seen.recovery.state == State::Log {
            reached.send(seen.end).unwrap();
            // Until nobody is left who could let it go on.
            let _ = held.lock().unwrap().recv();
        }
    };
    let options = Options { watch: Some(Arc::new(watch)), ..Options::new(place.path()) };
    let opening = std::thread::spawn(move || Database::open(options).unwrap());
    at_log.recv().unwrap();

    let told = early.refused("GET key");
    assert!(
        told.contains(
            "[phase=recovering, rule=P5-I11, recovery_step=log, recovery_previous=leftovers, recovery_cause=done, recovery_replayed_position=0, recovery_end_position="
        ),
        "{told}"
    );
    for words in [
        "SET key other",
        "MGET key",
        "MULTI",
        "EXEC",
        "DISCARD",
        "WATCH key",
        "UNWATCH",
        "SCAN 0",
        "DBSIZE",
        "CONFIG GET *",
        "AERO.COMMITID",
        "AERO.LAST",
        "AERO.WAITFOR 1",
        "AERO.AT 1 GET key",
        "AERO.SEGMENTS",
    ] {
        let told = early.refused(words);
        assert!(told.starts_with("LOADING read.recovering "), "{words}: {told}");
    }
    let text = info(&mut early, "everything");
    let database = format!("database:{}", identity.database_id);
    let port = format!("tcp_port:{}", address.port());
    let said = [
        "loading:1",
        "role:master",
        "role:standalone",
        "waiting:read.recovering",
        "recovery_step:log",
        "connected_clients:1",
    ];
    for line in said.into_iter().chain([database.as_str(), port.as_str()]) {
        assert!(text.lines().any(|said| said == line), "{line} is not in {text}");
    }
    assert_eq!(info(&mut early, "persistence"), "# Persistence\r\nloading:1\r\n");
    assert_eq!(early.ask("PING"), pong());

    // EXPL-TABLE: what is explained is what was asked for, and it says that it is not all (F-O1).
    for (asked, kind) in [
        ("REPLICATION", "replication"),
        ("READ key AT 1", "read"),
        ("RECOVERY", "recovery"),
        ("CHECKPOINT", "checkpoint"),
        ("SEGMENT", "segment"),
    ] {
        let Value::Bulk(json) = early.ask(&format!("AERO.EXPLAIN {asked} JSON")) else { panic!("{asked}") };
        let told = String::from_utf8(json).unwrap();
        assert!(told.starts_with(&format!("{{\"type\":\"{kind}\",")), "{asked}: {told}");
        for part in ["\"error\":{\"code\":\"read.recovering\"", "\"complete\":false"] {
            assert!(told.contains(part), "{asked}: {told}");
        }
    }
    assert!(early.refused("AERO.EXPLAIN EVERYTHING").starts_with("ERR AERO.EXPLAIN explains "));
    assert_eq!(early.refused("AERO.EXPLAIN RECOVERY AT 1"), "ERR syntax error");

    // What was held up goes on where the sender is dropped.
    drop(release);
    let db = Arc::new(opening.join().unwrap());
    assert_eq!((db.status().commit, db.status().durable.position), (commit, end));
    let listener = lobby.close().unwrap();
    assert_eq!(early.next(), None);
    let mut between = Client::connect(address);
    between.request(&["GET", "key"]);
    let options = server::Options { listen: address, ..server::Options::new(Arc::clone(&db)) };
    let server = Server::take_over(options, listener).unwrap();
    assert_eq!(server.local_addr(), address);
    let stopper = server.stopper();
    let running = std::thread::spawn(move || server.run());
    assert_eq!(between.reply(), bulk("value"));
    assert_eq!(Client::connect(address).ask("SET key other"), ok());
    stopper.stop();
    running.join().unwrap().unwrap();
}

/// All that somebody is told who sends these bytes and then nothing more.
fn told(address: std::net::SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let mut told = Vec::new();
    // It may be closed before it has taken, or told, everything.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(Shutdown::Write);
    match stream.read_to_end(&mut told) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("{error}"),
        _ => String::from_utf8_lossy(&told).into_owned(),
    }
}

/// RESP-MALFORMED, RESP-BOUND, RESP-INLINE, RESP-COMMAND: what needs no database is answered byte for byte as the server answers it, and so is
/// what is hostile.
#[test]
fn what_needs_no_database_and_what_is_hostile_is_answered_as_by_the_server() {
    let place = tempfile::tempdir().unwrap();
    let served = Served::on_disk(&place.path().join("d"));
    let lobby = open(|_| {});
    let long = [b'x'; 70_000];
    let many = b"COMMAND DOCS\r\n".repeat(400);
    let asked: [&[u8]; 30] = [
        b"PING\r\nPING word\r\nPING a b\r\nECHO word\r\nSELECT 0\r\nSELECT 1\r\nSELECT x\r\n",
        b"HELLO\r\nHELLO 3 SETNAME me\r\nCLIENT GETNAME\r\nHELLO 4\r\nHELLO x\r\nHELLO 2 AUTH a b\r\nHELLO 2 WHAT\r\n",
        b"HELLO 3\r\nCLIENT HELP\r\nRESET\r\nCLIENT HELP\r\n",
        b"AUTH word\r\nAUTH a b\r\nAUTH a b c\r\nAUTH\r\n",
        b"CLIENT SETNAME one\r\nCLIENT GETNAME\r\nCLIENT SETNAME \"a b\"\r\nCLIENT SETINFO LIB-NAME lib\r\nCLIENT SETINFO X y\r\n",
        b"CLIENT SETINFO LIB-VER \"a b\"\r\nCLIENT LIST TYPE replica\r\nCLIENT LIST TYPE x\r\nCLIENT LIST ID x\r\nCLIENT LIST x\r\n",
        b"COMMAND\r\nCOMMAND COUNT\r\nCOMMAND INFO get\r\nCOMMAND LIST FILTERBY PATTERN a*\r\nCOMMAND WHAT\r\n",
        b"QUIT\r\nPING\r\n",
        b"nothing known\r\nGET\r\nSET a\r\nCLIENT\r\nCLIENT WHAT\r\n\r\n\r\n*0\r\n*-1\r\nPING\r\n",
        &many,
        b"*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nPI",
        b"*x\r\n",
        b"*99999999\r\n",
        b"*1\r\n:7\r\n",
        b"*1\r\n$x\r\n",
        b"*1\r\n$-1\r\n",
        b"*1\r\n$99999999\r\n",
        b"*1\r\n$4\r\nPINGxx",
        b"*3\r\n$33554432\r\n",
        b"PING\r\n\"unbalanced\r\nPING\r\n",
        b"PING\r\n*1\r\n\0\r\nPING\r\n",
        b"h\0\0\0\x01\0\0\0\0\0\0\0",
        b"POST / HTTP/1.1\r\nHost: a\r\n\r\nPING\r\n",
        b"Host: a\r\nPING\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\nPING\r\n",
        b"\0\0\0\0\r\n",
        b"",
        b"\xff\xfe\xfd\r\nPING\r\n",
        &long,
        b"$3\r\nfoo\r\n",
    ];
    for bytes in asked {
        let (here, there) = (told(lobby.local_addr(), bytes), told(served.address, bytes));
        // The line of the request that it makes of HTTP's GET is a wrong number of arguments to both.
        assert_eq!(here, there, "{}", bytes.escape_ascii());
    }
    let mut client = Client::connect(lobby.local_addr());
    let Value::Bulk(own) = client.ask("CLIENT INFO") else { panic!("CLIENT INFO is text") };
    let own = String::from_utf8(own).unwrap();
    assert!(own.contains(" cmd=client|info ") && own.contains("resp=2"), "{own}");
}

/// RESP-FLOW: so many guests; so many replies that one does not take, and it is not read meanwhile; so much memory for all.
#[test]
fn guests_are_bounded_in_number_and_in_memory() {
    let lobby = open(|options| (options.max_clients, options.client_memory) = (3, 8 << 20));
    let address = lobby.local_addr();
    let mut patient = Client::connect(address);
    assert_eq!(patient.ask("PING"), pong());

    let mut deaf = Client::connect(address);
    deaf.request(&["CLIENT", "SETNAME", "deaf"]);
    assert_eq!(deaf.reply(), ok());
    deaf.stream.set_nonblocking(true).unwrap();
    let pushed = b"COMMAND DOCS\r\n".repeat(1000);
    while deaf.stream.write(&pushed).is_ok() {}
    let held = |patient: &mut Client, what: &str| {
        let Value::Bulk(list) = patient.ask("CLIENT LIST") else { panic!("CLIENT LIST is text") };
        let list = String::from_utf8(list).unwrap();
        let deaf =
            list.lines().find(|line| line.contains(" name=deaf ")).unwrap_or_else(|| panic!("{list}")).to_owned();
        let word = deaf.split(' ').find_map(|word| word.strip_prefix(what)).unwrap().to_owned();
        word.parse::<usize>().unwrap()
    };
    let output = patient.settled(|patient| held(patient, "omem=") as u64);
    assert!((CLIENT_OUTPUT_BYTES as u64 / 2..3 * CLIENT_OUTPUT_BYTES as u64).contains(&output), "{output}");
    assert!(held(&mut patient, "qbuf=") < 64 << 10);

    let mut greedy = Client::connect(address);
    assert_eq!(greedy.ask("PING"), pong());
    let mut fourth = Client::connect(address);
    assert_eq!(fourth.next(), Some(Value::Error(b"ERR max number of clients reached".to_vec())));
    assert_eq!(fourth.next(), None);

    // An argument that does not end: it is closed by name, and nobody else is.
    let _ = greedy.stream.write_all(b"*1\r\n$33554432\r\n").and_then(|()| greedy.stream.write_all(&vec![0; 16 << 20]));
    let mut said = Vec::new();
    let _ = greedy.stream.read_to_end(&mut said);
    assert!(said.is_empty() || said.starts_with(b"-ERR client.memory "), "{}", said.escape_ascii());
    assert_eq!(patient.ask("PING"), pong());
    assert!(held(&mut patient, "omem=") > 0);
    assert_eq!(Client::connect(address).ask("PING"), pong());
}

/// A lobby that was never closed goes when it is dropped, and its address is free.
#[test]
fn a_lobby_that_is_dropped_is_closed() {
    let lobby = open(|_| {});
    let address = lobby.local_addr();
    let mut guest = Client::connect(address);
    guest.send(&request(&["PING"]));
    assert_eq!(guest.reply(), pong());
    drop(lobby);
    assert_eq!(guest.next(), None);
    assert!(TcpStream::connect(address).is_err());
}

#[cfg(all(feature = "cli", feature = "replication"))]
#[path = "lobby/processes.rs"]
mod processes;
