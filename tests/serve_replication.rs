//! A primary with a server: replicas over real sockets, beside clients that are served at the same time (`protocol.md`).
//!
//! What a session answers is tried without sockets (`feeder.rs`); here it is what a connection adds: that log leaves whole through the
//! system's own copy, that a parked fetch is woken, and that nobody costs the others anything.

#![cfg(all(feature = "replication", feature = "server"))]

mod feeding;
mod served;
mod world;

use aerodb::committer::Retention;
use aerodb::disk::{Disk, SimDisk};
use aerodb::frame::{Frame, Hello, Refuse};
use aerodb::limits::{REPLICA_OUTPUT_BYTES, REPLICAS_MAX};
use aerodb::record::{Purpose, genesis};
use aerodb::replica::{self, ReplicaOptions};
use aerodb::resp::Value;
use aerodb::server::{self, Server};
use aerodb::{CommitId, Database, Id, Init, LogPoint, Node, Options, Parameters, Reason, Role};
use feeding::{Came, Log, encoded, fetch, hello, real_segments, sim_segments};
use served::{Client, Served, ok, pong, request};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use world::{DIR, Dice, batch, init_options, options, tiny};

/// A replica, by hand.
struct Replica {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Replica {
    fn connect(address: SocketAddr) -> Replica {
        Replica { stream: TcpStream::connect(address).unwrap(), received: Vec::new() }
    }

    /// One that was welcomed, at the beginning of the log.
    fn welcomed(served: &Served) -> Replica {
        let mut replica = Replica::connect(served.replication.unwrap());
        replica.send(&encoded(Frame::Hello(greeting(served))));
        replica.next().unwrap().welcome();
        replica
    }

    fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// The next frame; `None` at the end of the connection.
    fn next(&mut self) -> Option<Came> {
        let mut buffer = vec![0; 1 << 16];
        loop {
            if let Some(came) = Came::take(&mut self.received) {
                return Some(came);
            }
            match self.stream.read(&mut buffer) {
                Ok(0) => return None,
                Ok(bytes) => self.received.extend_from_slice(&buffer[..bytes]),
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// Takes log up to here.
    fn take(&mut self, log: &mut Log, upto: u64) {
        while log.at < upto {
            log.take(self.next().expect("log before the end of the connection"));
        }
        assert_eq!(log.at, upto);
        assert!(self.received.is_empty());
    }

    /// The reason for which it is refused; the connection has ended behind it.
    fn refusal(mut self) -> Refuse {
        loop {
            let came = self.next().expect("a refusal before the end of the connection");
            assert!(!matches!(came.frame, Frame::Welcome(_)), "it was welcomed");
            if matches!(came.frame, Frame::Refuse(_)) {
                assert_eq!(self.next(), None);
                return came.refuse();
            }
        }
    }

    fn refused(self) -> u16 {
        self.refusal().reason
    }
}

fn number(reason: Reason) -> u16 {
    reason.number().into()
}

/// The HELLO of a replica that has nothing of the log.
fn greeting(served: &Served) -> Hello {
    let identity = served.db.identity();
    hello(identity, genesis(identity.database_id, identity.epoch))
}

fn with_replication(options: &mut server::Options) {
    options.replication = Some("127.0.0.1:0".parse().unwrap());
}

/// A primary in a directory of the real disk.
fn on_disk(dir: &Path, segment_bytes: u64, retention: Retention) -> Served {
    let parameters = Parameters { segment_bytes, table_bytes: segment_bytes, ..Parameters::default() };
    Database::init(&Init { role: Role::Primary, parameters, ..Init::standalone(dir) }).unwrap();
    Served::with(Database::open(Options { retention, ..Options::new(dir) }).unwrap(), with_replication)
}

/// A primary on a simulated disk.
fn simulated() -> (SimDisk, Served) {
    let disk = SimDisk::new();
    Database::init(&Init { role: Role::Primary, ..init_options(&disk, tiny()) }).unwrap();
    let db = Database::open(Options { retention: Retention::All, ..options(&disk) }).unwrap();
    (disk, Served::with(db, with_replication))
}

fn commit(db: &Database, bytes: usize) -> CommitId {
    db.commit(batch(&vec![(b"key".to_vec(), Some(vec![9; bytes]))])).unwrap()
}

fn end(served: &Served) -> u64 {
    served.db.extent().durable.position.0
}

/// WIRE-RAW, WIRE-PULL: large pieces go from the file to the socket by themselves, small ones behind their head; both are the log.
#[test]
fn a_log_of_many_segments_comes_whole_over_a_socket() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("db");
    let served = on_disk(&dir, 3 << 20, Retention::All);
    let mut dice = Dice(5);
    for number in 0..160 {
        commit(&served.db, if number % 4 == 0 { dice.below(700_000) } else { dice.below(5000) } as usize);
    }
    assert!(real_segments(&dir).len() > 4);
    for (most, fetches) in [(100 << 20, 1), (3 << 20, 4), (200_000, 2)] {
        let mut replica = Replica::welcomed(&served);
        let (mut log, mut asked) = (Log::from(0), 0);
        while asked < end(&served) {
            for _ in 0..fetches {
                let upto = asked + 1 + dice.below(most);
                replica.send(&fetch(asked, upto));
                asked = upto;
            }
            replica.take(&mut log, asked.min(end(&served)));
        }
        log.is_that_of(&real_segments(&dir));
    }
}

/// WIRE-PARK: nobody asks again, and it comes all the same, whatever made the log longer.
#[test]
fn a_parked_fetch_is_answered_when_the_log_grows() {
    let (disk, served) = simulated();
    let (mut replica, mut other) = (Replica::welcomed(&served), Replica::welcomed(&served));
    let (mut log, mut others) = (Log::from(0), Log::from(0));
    replica.send(&fetch(0, 1 << 20));
    other.send(&fetch(0, 1 << 20));
    let mut client = served.client();
    for round in 0..60 {
        // The second one is asleep with the loop: nobody speaks to the server but the committer.
        match round % 4 {
            0 => drop(commit(&served.db, 900)),
            1 => drop(served.db.raise_floor(served.db.published()).unwrap()),
            2 => drop(served.db.checkpoint().unwrap()),
            _ => assert_eq!(client.ask("SET k v"), ok()),
        }
        replica.take(&mut log, end(&served));
        other.take(&mut others, end(&served));
    }
    assert!(log.segments.len() > 2);
    log.is_that_of(&sim_segments(&disk, Path::new(DIR)));
    others.is_that_of(&sim_segments(&disk, Path::new(DIR)));
}

/// The timer of the operating system for the connection between these ports of this machine, as seen from the first.
fn timer(from: u16, to: u16) -> String {
    loop {
        let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
        // Local and remote address, state, bytes that wait, and the timer.
        let ends = format!("0100007F:{from:04X} 0100007F:{to:04X} 01 ");
        let line = table.lines().find(|line| line.contains(&ends)).unwrap_or_else(|| panic!("{ends} in {table}"));
        let timer = &line.split_whitespace().nth(5).unwrap()[..3];
        // 01: what was sent is not acknowledged yet.
        if timer != "01:" {
            return timer.to_owned();
        }
    }
}

/// F-P3, F-N1: the operating system counts the silence of a parked connection on both sides, and of a client's, unless that is turned off.
#[test]
fn a_connection_whose_other_machine_may_vanish_has_a_timer_on_both_sides() {
    let expected = |seconds| if seconds > 0 { "02:" } else { "00:" };
    for (primarys, replicas) in [(300, 0), (0, 300), (300, 300)] {
        let disk = SimDisk::new();
        Database::init(&Init { role: Role::Primary, ..init_options(&disk, tiny()) }).unwrap();
        let served = Served::with(Database::open(options(&disk)).unwrap(), |options| {
            with_replication(options);
            options.tcp_keepalive = primarys;
        });
        let address = served.replication.unwrap();
        let follower = SimDisk::new();
        let shared: Arc<dyn Disk> = Arc::new(follower.clone());
        replica::init(Path::new(DIR), &address.to_string(), &shared).unwrap();
        let opened = ReplicaOptions::new(options(&follower), &address.to_string());
        let replica = replica::Replica::open(ReplicaOptions { tcp_keepalive: replicas, ..opened }).unwrap();
        let mut client = served.client();
        let text = loop {
            let Value::Bulk(text) = client.ask("INFO replication aerodb") else { panic!("INFO is text") };
            let text = String::from_utf8(text).unwrap();
            if text.contains("feed_0_state:parked") {
                break text;
            }
        };
        let port = text.split_once("port=").and_then(|(_, port)| port.split(',').next()?.parse().ok()).unwrap();
        assert_eq!(timer(address.port(), port), expected(primarys));
        assert_eq!(timer(port, address.port()), expected(replicas));
        let client = client.stream.local_addr().unwrap().port();
        assert_eq!(timer(served.address.port(), client), expected(primarys), "that of a client is like it");
        replica.close().unwrap();
    }
}

/// R-DIVERGENCE: a refusal arrives whole, before the end of the connection, whatever stood in the socket.
#[test]
fn a_refusal_arrives_whole_and_ends_the_connection() {
    let (_disk, served) = simulated();
    commit(&served.db, 3000);
    let right = greeting(&served);
    let diverged = LogPoint { history: aerodb::History(1), ..right.validated };
    let cases = [
        (Hello { validated: diverged, ..right }, Reason::HistoryDiverged),
        (Hello { epoch: 7, ..right }, Reason::IdentityOtherEpoch),
        (Hello { versions: (8, 9), ..right }, Reason::ProtocolVersion),
    ];
    for (hello, reason) in cases {
        let mut replica = Replica::connect(served.replication.unwrap());
        // What comes behind the HELLO is not read by a session that has ended, and takes nothing back.
        replica.send(&[encoded(Frame::Hello(hello)), vec![0xee; 100_000]].concat());
        let refuse = replica.refusal();
        assert_eq!(refuse.reason, number(reason));
        assert_eq!(refuse.durable, served.db.extent().durable);
    }
    assert_eq!(served.client().info("feeding_refused"), 3);
}

/// WIRE-BOUND: seats are bounded; silence keeps nobody out, and who leaves makes room.
#[test]
fn more_replicas_than_may_be_are_refused_and_silent_connections_keep_none_out() {
    let (_disk, served) = simulated();
    let address = served.replication.unwrap();
    let mut silent: Vec<Replica> = (0..300).map(|_| Replica::connect(address)).collect();
    let mut all: Vec<Replica> = (0..REPLICAS_MAX).map(|_| Replica::welcomed(&served)).collect();
    let mut client = served.client();
    assert_eq!(client.info("connected_slaves"), REPLICAS_MAX as u64);
    let mut late = Replica::connect(address);
    late.send(&encoded(Frame::Hello(greeting(&served))));
    assert_eq!(late.refused(), number(Reason::ReplicationBusy));
    drop(all.pop());
    client.wait_for("connected_slaves", REPLICAS_MAX as u64 - 1);
    all.push(Replica::welcomed(&served));
    // They are all served, and of the silent ones the oldest have made room.
    for replica in &mut all {
        replica.send(&fetch(0, 100));
    }
    commit(&served.db, 10);
    for replica in &mut all {
        replica.take(&mut Log::from(0), end(&served).min(100));
    }
    assert_eq!(silent[0].stream.read(&mut [0]).unwrap(), 0);
    assert_eq!(client.ask("PING"), pong());
}

/// WIRE-HELLO, WIRE-BOUND: who has nothing yet is told whose log this is, and that is the end; however many stay, replicas are served.
#[test]
fn whoever_has_nothing_is_told_whose_log_this_is_and_takes_no_replicas_seat() {
    let (_disk, served) = simulated();
    let address = served.replication.unwrap();
    let mut strangers: Vec<Replica> = (0..REPLICAS_MAX + 20).map(|_| Replica::connect(address)).collect();
    for stranger in &mut strangers {
        stranger.send(&encoded(Frame::Hello(Hello::of_nothing((1, 1), Id([3; 16])))));
        assert_eq!(stranger.next().unwrap().welcome().database_id, served.db.identity().database_id);
        assert_eq!(stranger.next(), None, "nothing follows");
    }
    let mut client = served.client();
    assert_eq!(client.info("connected_slaves"), 0);
    // What it says all the same is read away.
    strangers[0].send(&fetch(0, 100));
    let mut all: Vec<Replica> = (0..REPLICAS_MAX).map(|_| Replica::welcomed(&served)).collect();
    assert_eq!(client.info("connected_slaves"), REPLICAS_MAX as u64);
    commit(&served.db, 10);
    for replica in &mut all {
        replica.send(&fetch(0, 100));
        replica.take(&mut Log::from(0), end(&served).min(100));
    }
}

/// WIRE-BOUND, RESP-TURN: a replica that does not read holds one frame here, and holds up nobody.
#[test]
fn a_replica_that_never_reads_costs_the_others_nothing() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("db");
    let served = on_disk(&dir, 64 << 20, Retention::All);
    for _ in 0..64 {
        commit(&served.db, 1 << 20);
    }
    let mut deaf: Vec<Replica> = (0..4).map(|_| Replica::welcomed(&served)).collect();
    for replica in &mut deaf {
        replica.send(&fetch(0, 64 << 20));
    }
    let mut client = served.client();
    let sent = client.settled(|client| client.info("total_net_repl_output_bytes"));
    assert!(sent < 40 << 20, "{sent}: no more than the sockets hold");
    for number in 0..deaf.len() {
        let held = client.info(&format!("feed_{number}_held_bytes"));
        assert!(held <= REPLICA_OUTPUT_BYTES as u64, "{held}: one frame");
    }
    let (mut replica, mut log) = (Replica::welcomed(&served), Log::from(0));
    replica.send(&fetch(0, 64 << 20));
    replica.take(&mut log, 64 << 20);
    assert_eq!(client.ask("SET k v"), ok());
    // They come to their senses, and nothing is lost.
    let mut late = Log::from(0);
    deaf[2].take(&mut late, 64 << 20);
    late.is_that_of(&real_segments(&dir));
    log.is_that_of(&real_segments(&dir));
}

/// WIRE-PORT: each port speaks one language, and says so at once to whoever speaks the other's.
#[test]
fn each_port_refuses_the_others_language() {
    let (_disk, served) = simulated();
    let told = |reply: Value| {
        let Value::Error(text) = reply else { panic!("{reply:?}") };
        assert!(String::from_utf8(text).unwrap().starts_with("ERR protocol.other_port "));
    };
    for request in [
        request(&["SET", "key", "value"]),
        request(&["PING"]),
        b"PING\r\n".to_vec(),
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
    ] {
        let mut client = Client::connect(served.replication.unwrap());
        client.send(&request);
        told(client.reply());
        assert_eq!(client.next(), None);
    }
    // Its first eight bytes are enough, whole or in pieces, also behind a request; and nobody waits for the rest.
    let hello = encoded(Frame::Hello(greeting(&served)));
    for pieces in [vec![&hello[..]], vec![&hello[..8]], vec![b"PING\r\n", &hello[..8]], vec![&hello[..5], &hello[5..8]]]
    {
        let mut client = served.client();
        for piece in &pieces {
            client.send(piece);
            // The piece has come.
            served.client().ask("PING");
        }
        if pieces[0].starts_with(b"PING") {
            assert_eq!(client.reply(), pong());
        }
        told(client.reply());
        assert_eq!(client.next(), None);
    }
    let mut client = served.client();
    assert_eq!(client.ask("PING"), pong());
    assert_eq!(client.info("protocol_errors"), 4);
    assert_eq!(served.db.published(), CommitId(0), "nothing was written");
}

/// WIRE-FRAME: every flipped bit of a HELLO is refused, and a fetch behind it never served.
#[test]
fn flipped_bits_are_refused_over_a_socket() {
    let (_disk, served) = simulated();
    commit(&served.db, 100);
    let hello = encoded(Frame::Hello(greeting(&served)));
    for bit in (0..hello.len() * 8).step_by(7) {
        let mut flipped = hello.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let mut replica = Replica::connect(served.replication.unwrap());
        replica.send(&[flipped, fetch(0, 100)].concat());
        assert_eq!(replica.refused(), number(Reason::ProtocolMalformed), "bit {bit}");
    }
    Replica::welcomed(&served);
}

/// WIRE-BOUND: log that retention removes under a replica that asks for it late: told by name, and nothing was held for it.
#[test]
fn retention_does_not_wait_for_a_replica_and_tells_it() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("db");
    let served = on_disk(&dir, 1 << 20, Retention::Bytes(0));
    commit(&served.db, 300_000);
    let (mut replica, mut log) = (Replica::welcomed(&served), Log::from(0));
    replica.send(&fetch(0, 100));
    replica.take(&mut log, 100);
    for _ in 0..10 {
        commit(&served.db, 400_000);
    }
    served.db.checkpoint().unwrap();
    // The next order comes behind the removal.
    commit(&served.db, 1);
    assert!(served.db.extent().oldest.0 > 100);
    replica.send(&fetch(100, 8 << 20));
    let refuse = replica.refusal();
    assert_eq!(refuse.reason, number(Reason::HistoryRetired));
    assert!(refuse.oldest.0 > 100);
}

/// F-D2: a segment that is shorter than it was: a frame that was begun can't be taken back, so the connection ends; the primary goes on.
#[test]
fn a_segment_that_was_cut_ends_the_connection_and_nothing_else() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("db");
    let served = on_disk(&dir, 4 << 20, Retention::All);
    for _ in 0..30 {
        commit(&served.db, 300_000);
    }
    let mut replica = Replica::welcomed(&served);
    let first = aerodb::wal::directory(&dir).join(aerodb::wal::file_name(aerodb::Position(0)));
    replica.send(&fetch(0, 1000));
    replica.take(&mut Log::from(0), 1000);
    std::fs::OpenOptions::new().write(true).open(first).unwrap().set_len(2_500_000).unwrap();
    replica.send(&fetch(1000, 9 << 20));
    let mut log = Log::from(0);
    log.at = 1000;
    log.segments.insert(0, Vec::new());
    log.begins = false;
    while let Some(came) = replica.next() {
        if let Frame::Refuse(refuse) = came.frame {
            assert_eq!(refuse.reason, number(Reason::WalTruncated));
        } else {
            log.take(came);
        }
    }
    assert!(log.at < 2_500_000);
    commit(&served.db, 10);
    assert_eq!(served.client().ask("PING"), pong());
}

/// P5-I14: who is fed, and how far.
#[test]
fn info_tells_who_is_fed_and_how_far() {
    let (_disk, served) = simulated();
    let mut client = served.client();
    let lines = |client: &mut Client| {
        let Value::Bulk(text) = client.ask("INFO replication aerodb") else { panic!("INFO is text") };
        String::from_utf8(text).unwrap()
    };
    assert!(lines(&mut client).contains("role:master\r\nconnected_slaves:0\r\n"));
    let mut replica = Replica::welcomed(&served);
    replica.send(&fetch(0, 5000));
    commit(&served.db, 100);
    replica.take(&mut Log::from(0), end(&served));
    let told = lines(&mut client);
    let (address, sent) = (replica.stream.local_addr().unwrap(), end(&served));
    let about = format!("feed_0_purpose:follow\r\nfeed_0_address:{address}\r\nfeed_0_state:parked\r\n");
    let feed = format!("feed_0_node:{}\r\n{about}", Id([0x5e; 16]));
    assert!(told.contains(&format!("{feed}feed_0_sent:{sent}\r\nfeed_0_asked:5000\r\n")), "{told}");
    assert!(told.contains("feed_0_held_bytes:"), "{told}");
    let slave = format!("slave0:ip=127.0.0.1,port={},state=online,offset={sent}\r\n", address.port());
    assert!(told.contains(&format!("{slave}master_repl_offset:{sent}\r\n")), "{told}");
    // A server that serves no replicas says nothing of them.
    let db = served.stop();
    assert_eq!(replica.next(), None, "the end of the server is the end of the connection");
    let served = Served::new(db);
    assert!(!lines(&mut served.client()).contains("feed"));
}

/// R-AUTHORITY: only a primary serves its log, and elsewhere than on loopback only by the word of whoever starts it.
#[test]
fn who_may_not_serve_replicas_is_refused_before_it_listens() {
    let refused = |role: Role, address: &str| {
        let disk = SimDisk::new();
        Database::init(&Init { role, ..init_options(&disk, tiny()) }).unwrap();
        let db = Arc::new(Database::open(options(&disk)).unwrap());
        let listen = "127.0.0.1:0".parse().unwrap();
        let replication = Some(address.parse().unwrap());
        let bound = Server::bind(server::Options { listen, replication, ..server::Options::new(db) });
        bound.err().map(|error| error.reason())
    };
    assert_eq!(refused(Role::Standalone, "127.0.0.1:0"), Some(Reason::IdentityOtherRole));
    assert_eq!(refused(Role::Replica, "127.0.0.1:0"), Some(Reason::IdentityOtherRole));
    assert_eq!(refused(Role::Primary, "0.0.0.0:0"), Some(Reason::ConfigNoAuthentication));
    assert_eq!(refused(Role::Primary, "127.0.0.1:0"), None);
}

/// P5-I16: with replicas attached a primary writes, for the same orders, what a standalone node writes, and answers the same.
#[test]
fn replicas_change_nothing_of_what_a_node_writes_and_answers() {
    let run = |role: Role| {
        let disk = SimDisk::new();
        Database::init(&Init { role, ..init_options(&disk, tiny()) }).unwrap();
        let keep = Options { retention: Retention::All, ..options(&disk) };
        let db = Database::open(keep.clone()).unwrap();
        let served = Served::with(db, |options| {
            if role == Role::Primary {
                with_replication(options)
            }
        });
        let mut replicas: Vec<Replica> = Vec::new();
        if role == Role::Primary {
            replicas.extend((0..3).map(|_| Replica::welcomed(&served)));
            // One follows, one reads nothing, one has said nothing that is right.
            replicas[0].send(&fetch(0, 1 << 20));
            replicas[1].send(&fetch(0, 1 << 24));
            replicas[2].send(b"something that is no frame of any kind");
        }
        let (mut client, mut answers) = (served.client(), Vec::new());
        for number in 0..120 {
            let value = "v".repeat(number * 5);
            answers.push(client.ask(&format!("SET key{} {value}", number % 7)));
            answers.push(client.ask(&format!("APPEND other {number}")));
            answers.push(client.ask(&format!("GET key{}", number % 11)));
            if number % 30 == 29 {
                served.db.raise_floor(served.db.published()).unwrap();
                served.db.checkpoint().unwrap();
            }
        }
        drop(client);
        drop(replicas);
        served.stop().close().unwrap();
        // Whatever maintenance left to the next start.
        let mut node = Node::open(&keep).unwrap();
        node.checkpoint(Purpose::Checkpoint).unwrap();
        node.maintain().unwrap();
        node.close().unwrap();
        let files: BTreeMap<PathBuf, Vec<u8>> =
            disk.paths().into_iter().map(|path| (path.clone(), disk.contents(&path).unwrap())).collect();
        (files, answers)
    };
    let ((mut standalone, answers), (mut primary, same)) = (run(Role::Standalone), run(Role::Primary));
    assert_eq!(answers, same);
    let identity = Path::new(DIR).join("IDENTITY");
    assert!(standalone.remove(&identity).is_some() && primary.remove(&identity).is_some());
    assert!(standalone.len() > 8);
    assert!(standalone == primary);
}
