//! What one client may cost: memory, connections, turns. Whoever goes beyond it is held up or closed; the others do not notice.

#![cfg(feature = "server")]

mod served;
mod world;

use aerodb::disk::SimDisk;
use aerodb::resp::Value;
use aerodb::{Database, Reason};
use served::{Client, Served, bulk, ok, pong, request};
use std::io::{ErrorKind, Write};
use world::gate::{GateKeeper, gated_database};
use world::{init_options, options};

fn database() -> Database {
    let disk = SimDisk::new();
    Database::init(&init_options(&disk, aerodb::Parameters::default())).unwrap();
    Database::open(options(&disk)).unwrap()
}

/// A server whose database's fsyncs can be held. The gate opens first when a test ends, or the server would wait for it.
fn gated_server() -> (Served, GateKeeper) {
    let (_, db, gate) = gated_database(aerodb::Parameters::default());
    (Served::new(db), gate)
}

/// Sends this over and over until the server, which goes on serving the other, takes no more; how many bytes it took.
fn send_until_full(client: &mut Client, other: &mut Client, bytes: &[u8]) -> u64 {
    client.stream.set_nonblocking(true).unwrap();
    let (mut sent, mut left) = (0, Vec::new());
    let sent = other.settled(|other| {
        assert_eq!(other.ask("PING"), pong());
        loop {
            if left.is_empty() {
                left.extend_from_slice(bytes);
            }
            match client.stream.write(&left) {
                Ok(written) => {
                    sent += written as u64;
                    drop(left.drain(..written));
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::WouldBlock);
                    return sent;
                }
            }
        }
    });
    client.stream.set_nonblocking(false).unwrap();
    sent
}

/// RESP-FLOW, RESP-TURN
#[test]
fn a_client_that_never_reads_is_not_read_either_and_the_others_are_served() {
    let served = Served::new(database());
    let (mut deaf, mut other) = (served.client(), served.client());
    let text = "x".repeat(100_000);
    let sent = send_until_full(&mut deaf, &mut other, &request(&["ECHO", &text]));
    // The limit, the reply that passed it, the spare room of a buffer that grew, and what was read before.
    assert!(other.info("client_buffer_bytes") < 4 << 20);
    assert_eq!(other.info("client_output_buffer_limit_disconnections"), 0);
    // It comes to its senses, and nothing was lost. The last request was cut off.
    deaf.end();
    let mut replies = 0;
    while let Some(reply) = deaf.next() {
        assert_eq!(reply, bulk(&text));
        replies += 1;
    }
    assert_eq!(replies, sent / request(&["ECHO", &text]).len() as u64);
}

/// RESP-FLOW
#[test]
fn the_connection_that_holds_most_is_closed_when_all_hold_too_much() {
    let served = Served::with(database(), |options| options.client_memory = 3 << 20);
    let mut small: Vec<Client> = (0..20).map(|_| served.client()).collect();
    let half = |bytes: usize| [&b"*2\r\n$3\r\nGET\r\n$8000000\r\n"[..], &vec![b'x'; bytes]].concat();
    for client in &mut small {
        client.send(&half(10_000));
    }
    let mut large = served.client();
    // The server may close it before all of it is sent.
    let _ = large.stream.write_all(&half(7_000_000));
    let Value::Error(text) = large.reply() else { panic!("it was not refused") };
    assert!(text.starts_with(format!("ERR {} ", Reason::ClientMemory).as_bytes()), "{text:?}");
    assert_eq!(large.next(), None);
    let mut other = served.client();
    assert_eq!(other.info("client_output_buffer_limit_disconnections"), 1);
    for client in &mut small {
        assert!(client.hears_nothing(), "the others are still connected");
    }
}

/// RESP-FLOW: replies that stand behind an order are as unread as any.
#[test]
fn large_replies_behind_an_order_are_held_to_the_same_limit() {
    let (served, gate) = gated_server();
    let (mut client, mut other) = (served.client(), served.client());
    gate.hold(".seg");
    client.request(&["SET", "k", "v"]);
    gate.wait_for_held();
    let text = "x".repeat(100_000);
    let sent = send_until_full(&mut client, &mut other, &request(&["ECHO", &text]));
    assert!(other.info("client_buffer_bytes") < 4 << 20);
    gate.open();
    client.end();
    assert_eq!(client.reply(), ok());
    let mut replies = 0;
    while let Some(reply) = client.next() {
        assert_eq!(reply, bulk(&text));
        replies += 1;
    }
    assert_eq!(replies, sent / request(&["ECHO", &text]).len() as u64);
}

/// RESP-FLOW, RESP-END: orders outlive their clients, but no more of them than bundles take, and they are counted.
#[test]
fn orders_of_clients_that_are_gone_are_bounded_and_counted() {
    let (served, gate) = gated_server();
    let mut other = served.client();
    gate.hold(".seg");
    let (value, mut clients) = ("x".repeat(4_000_000), Vec::new());
    for _ in 0..20 {
        let mut client = served.client();
        client.request(&["SET", "k", &value]);
        clients.push(client);
    }
    gate.wait_for_held();
    let all = other.settled(|other| other.info("client_buffer_bytes"));
    assert!(all > 80_000_000, "{all}");
    clients.into_iter().for_each(Client::reset);
    other.wait_for("connected_clients", 1);
    let left = other.info("client_buffer_bytes");
    assert!((8_000_000..45_000_000).contains(&left), "{left}");
    gate.open();
    while other.info("client_buffer_bytes") > 1_000_000 {}
    assert_eq!(other.ask("SET k last"), ok());
}

/// RESP-FLOW: too much ordered by who is gone costs time, and no other connection; it ends with the answer.
#[test]
fn orders_of_clients_that_are_gone_hold_everybody_until_they_are_answered() {
    let (_, db, gate) = gated_database(aerodb::Parameters::default());
    let (served, gate) = (Served::with(db, |options| options.client_memory = 3 << 20), gate);
    let (mut gone, mut half, mut other) = (served.client(), served.client(), served.client());
    gate.hold(".seg");
    let value = "x".repeat(2_000_000);
    gone.request(&["SET", "k", &value]);
    gate.wait_for_held();
    gone.reset();
    other.wait_for("connected_clients", 2);
    assert!(other.info("client_buffer_bytes") > 2_000_000);
    // The two together are too much, and neither can be closed for it: one is gone, the other holds less than it may.
    let set = request(&["SET", "l", &value]);
    half.send(&set[..1_900_000]);
    other.request(&["PING"]);
    gate.open();
    assert_eq!(other.reply(), pong());
    half.send(&set[1_900_000..]);
    assert_eq!(half.reply(), ok());
    assert_eq!(other.info("client_output_buffer_limit_disconnections"), 0);
}

/// RESP-FLOW
#[test]
fn more_than_the_most_clients_are_told_so_until_one_has_gone() {
    let served = Served::with(database(), |options| options.max_clients = 2);
    let (mut first, mut second) = (served.client(), served.client());
    assert_eq!([first.ask("PING"), second.ask("PING")], [pong(), pong()]);
    let mut third = served.client();
    assert_eq!(third.next(), Some(Value::Error(b"ERR max number of clients reached".into())));
    assert_eq!(third.next(), None);
    assert_eq!(first.info("rejected_connections"), 1);
    assert_eq!(second.ask("QUIT"), ok());
    assert_eq!(second.next(), None, "it has gone");
    let mut third = served.client();
    assert_eq!(third.ask("PING"), pong());
}

/// RESP-FLOW: the queue of MULTI is memory of its client too.
#[test]
fn what_a_transaction_queues_is_counted() {
    let served = Served::with(database(), |options| options.client_memory = 2 << 20);
    let (mut client, mut other) = (served.client(), served.client());
    assert_eq!(client.ask("MULTI"), ok());
    let value = "x".repeat(100_000);
    let mut queued = 0;
    while client.stream.write_all(&request(&["SET", "k", &value])).is_ok() {
        match client.next() {
            Some(reply) if reply == Value::Simple(b"QUEUED".into()) => queued += 1,
            reply => {
                assert!(matches!(reply, None | Some(Value::Error(_))), "{reply:?}");
                break;
            }
        }
    }
    assert!((10..25).contains(&queued), "{queued}");
    assert_eq!(other.ask("PING"), pong());
    assert_eq!(other.info("client_output_buffer_limit_disconnections"), 1);
}

/// Large values in both directions, many at once.
#[test]
fn large_values_pass_in_pieces() {
    let served = Served::new(database());
    let value: Vec<u8> = (0..5_000_000_u32).map(|byte| byte as u8).collect();
    let mut client = served.client();
    let mut sender = client.stream.try_clone().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for key in ["a", "b", "c"] {
                sender.write_all(&request(&[b"SET", key.as_bytes(), &value])).unwrap();
                sender.write_all(&request(&["GET", key])).unwrap();
            }
        });
        for _ in 0..3 {
            assert_eq!(client.reply(), ok());
            assert!(client.reply() == bulk(&value), "the value is not the one that was written");
        }
    });
}

/// RESP-MALFORMED, RESP-TURN: every prefix and every flipped bit of a stream of requests, each on a connection of its own. What is
/// answered is RESP, every connection comes to its end, and another client is served as before.
#[test]
fn flipped_and_cut_requests_end_their_own_connection_and_disturb_nobody() {
    let served = Served::new(database());
    let mut other = served.client();
    assert_eq!(other.ask("SET other v"), ok());
    let requests = [
        "PING",
        "SET k v",
        "MSET k v l w",
        "MGET k l",
        "GETDEL k",
        "MULTI",
        "GET l",
        "SET k 1 XX GET",
        "EXEC",
        "WATCH k",
        "UNWATCH",
        "SCAN 0 COUNT 2",
        "AERO.RANGE a z LIMIT 2",
        "AERO.AT 1 GET k",
        "AERO.WAITFOR 1",
        "HELLO 3",
        "CLIENT SETNAME n",
        "CONFIG GET *",
        "INFO stats",
        "COMMAND COUNT",
    ];
    let arrays = requests.iter().flat_map(|words| request(&words.split(' ').collect::<Vec<_>>()));
    let lines = requests.iter().flat_map(|words| format!("{words}\r\n").into_bytes());
    let stream: Vec<u8> = arrays.chain(lines).collect();
    let ends = |bytes: &[u8]| {
        let mut client = served.client();
        client.send(bytes);
        client.end();
        while client.next().is_some() {}
    };
    for cut in 0..=stream.len() {
        ends(&stream[..cut]);
    }
    for bit in 0..stream.len() * 8 {
        let mut flipped = stream.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        ends(&flipped);
        if bit % 100 == 0 {
            assert_eq!(other.ask("GET other"), bulk("v"), "bit {bit}");
        }
    }
    other.wait_for("connected_clients", 1);
    assert!(other.info("protocol_errors") > 100);
    drop(served.stop().close());
}
