//! The server over real sockets: replies in their order, requests however they are cut up, and what happens at the ends.
//!
//! A gate holds the committer where a test wants it, so "while an order waits" is a fact and not a matter of time.

#![cfg(feature = "server")]

mod served;
mod world;

use aerodb::disk::SimDisk;
use aerodb::resp::Value;
use aerodb::{Database, Options, Parameters, Reason};
use served::{Client, Served, bulk, ok, pong, request};
use std::collections::BTreeMap;
use std::net::TcpStream;
use world::gate::{GateKeeper, gated};
use world::{Dice, init_options, shared, tiny};

/// A server whose database's fsyncs can be held. The gate opens first when a test ends, or the server would wait for it.
fn gated_server() -> (Served, GateKeeper) {
    let sim = SimDisk::new();
    Database::init(&init_options(&sim, Parameters { segment_bytes: 1 << 20, table_bytes: 1 << 20, ..tiny() })).unwrap();
    let (disk, gate) = gated(shared(&sim));
    (Served::new(Database::open(Options { disk, ..world::options(&sim) }).unwrap()), gate)
}

/// What a client expects, who alone writes its keys.
#[derive(Default)]
struct Expected {
    rows: BTreeMap<String, String>,
}

impl Expected {
    /// A random request, and its reply.
    fn roll(&mut self, dice: &mut Dice, client: u64) -> (Vec<String>, Value) {
        let key = format!("{client}/{}", dice.below(5));
        let present = |rows: &BTreeMap<String, String>, key: &str| rows.get(key).map_or(Value::Null, bulk);
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        match dice.below(9) {
            0..=3 => {
                let value = "v".repeat(1 + dice.below(40) as usize) + &dice.below(1000).to_string();
                self.rows.insert(key.clone(), value.clone());
                (words(&["SET", &key, &value]), ok())
            }
            4 => (words(&["DEL", &key]), Value::Integer(self.rows.remove(&key).map_or(0, |_| 1))),
            5 => {
                let other = format!("{client}/{}", dice.below(5));
                let values = [&key, &other].map(|key| present(&self.rows, key));
                (words(&["MGET", &key, &other]), Value::Array(values.into()))
            }
            6 => (words(&["STRLEN", &key]), Value::Integer(self.rows.get(&key).map_or(0, |value| value.len() as i64))),
            7 => (words(&["PING"]), pong()),
            _ => (words(&["GET", &key]), present(&self.rows, &key)),
        }
    }
}

/// RESP-ORDER
#[test]
fn replies_come_in_order_and_every_client_reads_its_own_writes() {
    let scratch = tempfile::tempdir().unwrap();
    let served = Served::on_disk(&scratch.path().join("db"));
    let seed = 0x05e7;
    println!("seed {seed:#x}");
    std::thread::scope(|scope| {
        for number in 0..8 {
            let mut client = served.client();
            scope.spawn(move || {
                let (mut dice, mut expected) = (Dice(seed + number), Expected::default());
                for _ in 0..40 {
                    let count = 1 + dice.below(60);
                    let asked: Vec<_> = (0..count).map(|_| expected.roll(&mut dice, number)).collect();
                    client.send(&asked.iter().flat_map(|(words, _)| request(words)).collect::<Vec<_>>());
                    for (words, reply) in asked {
                        assert_eq!(client.reply(), reply, "client {number}: {words:?}");
                    }
                }
            });
        }
    });
    served.stop().close().unwrap();
}

/// RESP-REQUEST: wherever the bytes are cut, the replies are the same.
#[test]
fn a_stream_of_requests_may_be_cut_at_every_byte() {
    let (served, _gate) = gated_server();
    let mut stream = Vec::new();
    for words in [&["SET", "k", "value"][..], &["GET", "k"], &["DEL", "k", "absent"], &["PING"]] {
        stream.extend(request(words));
    }
    stream.extend(b"SET inline \"a b\"\r\n\r\nGET inline\r\n");
    let replies = [ok(), bulk("value"), Value::Integer(1), pong(), ok(), bulk("a b")];
    let mut other = served.client();
    for cut in 0..=stream.len() {
        let mut client = served.client();
        client.send(&stream[..cut]);
        // A turn of the loop between the two.
        assert_eq!(other.ask("PING"), pong());
        client.send(&stream[cut..]);
        for reply in &replies {
            assert_eq!(client.reply(), *reply, "cut at {cut}");
        }
    }
}

/// RESP-ORDER, RESP-TURN: reads of others go on while the committer is held; this client's own wait behind its write.
#[test]
fn while_an_order_waits_others_are_served_and_what_stands_behind_it_waits() {
    let (served, gate) = gated_server();
    let (mut writer, mut reader) = (served.client(), served.client());
    assert_eq!(writer.ask("SET k old"), ok());
    gate.hold(".seg");
    writer.send(&[request(&["SET", "k", "new"]), request(&["GET", "k"]), request(&["PING"])].concat());
    gate.wait_for_held();
    for _ in 0..100 {
        assert_eq!(reader.ask("GET k"), bulk("old"), "what is not durable is not read");
    }
    gate.open();
    assert_eq!([writer.reply(), writer.reply(), writer.reply()], [ok(), bulk("new"), pong()]);
    assert_eq!(reader.ask("GET k"), bulk("new"));
}

/// RESP-FLOW: more than a client may have under way, and more than two bundles take: it is held up, and nothing is lost.
#[test]
fn who_orders_more_than_there_is_room_for_waits_and_the_others_are_served() {
    let (served, gate) = gated_server();
    let (clients, orders) = (20, 3000);
    gate.hold(".seg");
    let mut reader = served.client();
    let mut writers: Vec<Client> = (0..clients).map(|_| served.client()).collect();
    let executed = std::thread::scope(|scope| {
        for (number, writer) in writers.iter_mut().enumerate() {
            let mut sender = writer.stream.try_clone().unwrap();
            scope.spawn(move || {
                for order in 0..orders {
                    let bytes = request(&["SET", &format!("{number}/{}", order % 7), &order.to_string()]);
                    std::io::Write::write_all(&mut sender, &bytes).unwrap();
                }
            });
        }
        gate.wait_for_held();
        let mut own = 0;
        let executed = reader.settled(|reader| {
            own += 1;
            reader.info("total_commands_processed") - own
        });
        assert_eq!(reader.ask("GET 0/0"), Value::Null);
        gate.open();
        for writer in &mut writers {
            for _ in 0..orders {
                assert_eq!(writer.reply(), ok());
            }
        }
        executed
    });
    // Two bundles under way and one that collects, each full and one order of every client larger.
    assert!(executed <= 3 * (4096 + clients), "{executed} were executed while nothing was answered");
    assert_eq!(served.db.published().0, clients * orders, "each is a commit of its own");
    for number in 0..clients {
        let last = orders - 1;
        assert_eq!(reader.ask(&format!("GET {number}/{}", last % 7)), bulk(last.to_string()));
    }
}

/// What is announced takes no memory, and what is too long is refused (RESP-BOUND).
#[test]
fn a_length_that_is_too_large_is_refused_and_the_connection_closed() {
    let (served, _gate) = gated_server();
    for (bytes, text) in [
        ("*1048577\r\n", "ERR Protocol error: invalid multibulk length"),
        ("*2\r\n$3\r\nGET\r\n$33554433\r\n", "ERR Protocol error: invalid bulk length"),
        ("PING\r\n*1\r\n!\r\n", "ERR Protocol error: expected '$', got '!'"),
        ("GET \"\r\n", "ERR Protocol error: unbalanced quotes in request"),
    ] {
        let mut client = served.client();
        client.send(bytes.as_bytes());
        if bytes.starts_with("PING") {
            assert_eq!(client.reply(), pong());
        }
        assert_eq!(client.next(), Some(Value::Error(text.into())), "{bytes}");
        assert_eq!(client.next(), None);
    }
}

/// RESP-MALFORMED, RESP-ORDER: a protocol error behind an order is told in its place.
#[test]
fn what_was_ordered_before_the_protocol_broke_is_answered() {
    let (served, gate) = gated_server();
    let mut client = served.client();
    gate.hold(".seg");
    client.send(&[&request(&["SET", "k", "v"])[..], b"*x\r\n"].concat());
    gate.wait_for_held();
    gate.open();
    assert_eq!(client.reply(), ok());
    assert_eq!(client.reply(), Value::Error(b"ERR Protocol error: invalid multibulk length".into()));
    assert_eq!(client.next(), None);
}

/// RESP-END
#[test]
fn a_client_that_ends_its_side_gets_all_replies_and_then_the_end() {
    let (served, gate) = gated_server();
    let mut client = served.client();
    gate.hold(".seg");
    client.send(&[&request(&["SET", "k", "v"])[..], &request(&["GET", "k"]), b"*1\r\n$4\r\nPI"].concat());
    client.end();
    gate.wait_for_held();
    gate.open();
    assert_eq!([client.reply(), client.reply()], [ok(), bulk("v")]);
    assert_eq!(client.next(), None, "half a request is none");
}

/// RESP-END
#[test]
fn what_a_client_ordered_that_is_gone_is_carried_out() {
    let (served, gate) = gated_server();
    let (mut gone, mut other) = (served.client(), served.client());
    gate.hold(".seg");
    gone.request(&["SET", "k", "v"]);
    gate.wait_for_held();
    gone.reset();
    other.wait_for("connected_clients", 1);
    // Its place is taken by another, who must not get its answer.
    let mut next = served.client();
    assert_eq!(next.ask("PING"), pong());
    gate.open();
    assert_eq!(other.ask("SET later v"), ok());
    assert_eq!(other.ask("GET k"), bulk("v"));
    gate.hold(".seg");
    next.request(&["SET", "k", "next"]);
    gate.wait_for_held();
    assert_eq!(other.ask("GET k"), bulk("v"));
    assert!(next.hears_nothing(), "its own write is not durable");
    gate.open();
    assert_eq!(next.reply(), ok());
}

#[test]
fn who_waits_for_a_commit_is_answered_when_another_client_makes_it() {
    let (served, _gate) = gated_server();
    let (mut waiting, mut writer) = (served.client(), served.client());
    waiting.request(&["AERO.WAITFOR", "3"]);
    let mut gone = served.client();
    gone.request(&["AERO.WAITFOR", "3"]);
    writer.wait_for("blocked_clients", 2);
    drop(gone);
    writer.wait_for("blocked_clients", 1);
    assert_eq!(writer.info("connected_clients"), 2, "who is gone is not waited for");
    for _ in 0..3 {
        assert_eq!(writer.ask("SET k v"), ok());
    }
    assert_eq!(waiting.reply(), Value::Integer(3));
    assert_eq!(waiting.ask("AERO.WAITFOR 2"), Value::Integer(3), "it need not wait");
}

/// D-ACK, RESP-END: what was ordered is answered, also while the server ends.
#[test]
fn a_server_that_ends_answers_what_was_ordered() {
    let (served, gate) = gated_server();
    let mut clients: Vec<Client> = (0..20).map(|_| served.client()).collect();
    gate.hold(".seg");
    for (number, client) in clients.iter_mut().enumerate() {
        client.request(&["SET", &format!("k{number}"), "v"]);
        client.request(&["GET", &format!("k{number}")]);
    }
    let mut waiting = served.client();
    waiting.request(&["AERO.WAITFOR", "1000"]);
    gate.wait_for_held();
    served.ask_to_stop();
    // Nobody is accepted any more: the server has begun to end.
    while TcpStream::connect(served.address).is_ok() {}
    gate.open();
    let mut answered = Vec::new();
    for (number, client) in clients.iter_mut().enumerate() {
        match client.next() {
            Some(reply) => {
                assert_eq!(reply, ok());
                answered.push(number);
                assert!([Some(bulk("v")), None].contains(&client.next()));
            }
            None => assert_eq!(client.next(), None),
        }
    }
    assert_eq!(waiting.next(), None);
    assert!(!answered.is_empty(), "at least the one whose group was held");
    let db = served.stop();
    for number in answered {
        assert_eq!(db.get(format!("k{number}").as_bytes()).unwrap().as_deref(), Some(&b"v"[..]));
    }
    db.close().unwrap();
}

/// RESP-TURN: the operating system counts the silence of a connection, unless that is turned off.
#[test]
fn a_connection_whose_client_may_vanish_has_a_timer_of_the_operating_system() {
    for (seconds, timer) in [(300, "02:"), (0, "00:")] {
        let disk = SimDisk::new();
        Database::init(&init_options(&disk, tiny())).unwrap();
        let db = Database::open(world::options(&disk)).unwrap();
        let served = Served::with(db, |options| options.tcp_keepalive = seconds);
        let silent = served.client();
        let mut other = served.client();
        other.wait_for("connected_clients", 2);
        let name = "tcp-keepalive";
        assert_eq!(
            other.ask(&format!("CONFIG GET {name}")),
            Value::Array([bulk(name), bulk(seconds.to_string())].into())
        );
        let ends = [served.address, silent.stream.local_addr().unwrap()].map(|end| format!(":{:04X} ", end.port()));
        let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
        // Local and remote address, state, bytes that wait, and the timer.
        let line = table.lines().find(|line| line.contains(&format!("{}0100007F{}01 ", ends[0], ends[1]))).unwrap();
        assert!(line.split_whitespace().nth(5).unwrap().starts_with(timer), "{line}");
    }
}

/// There is no authentication: whoever means to be reached says so.
#[test]
fn an_address_that_others_can_reach_is_refused() {
    let (served, _gate) = gated_server();
    let mut options = aerodb::server::Options::new(served.db.clone());
    options.listen = "0.0.0.0:0".parse().unwrap();
    let refused = aerodb::server::Server::bind(options.clone()).err().map(|error| error.reason());
    assert_eq!(refused, Some(Reason::ConfigNoAuthentication));
    options.allow_remote = true;
    let server = aerodb::server::Server::bind(options.clone()).unwrap();
    options.listen = ([127, 0, 0, 1], server.local_addr().port()).into();
    let taken = aerodb::server::Server::bind(options).err().map(|error| error.reason());
    assert_eq!(taken, Some(Reason::ServerListenFailed));
}
