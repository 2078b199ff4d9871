//! What the log says of clients that are refused or closed: once where it could be said of thousands, and always with a code.
//!
//! Alone in its process, whose log it keeps.

#![cfg(feature = "server")]

mod served;
mod world;

use aerodb::disk::SimDisk;
use aerodb::resp::Value;
use aerodb::{Database, Reason};
use log::kv::Key;
use served::{Client, Served, ok, pong, request};
use std::io::{ErrorKind, Write};
use std::net::Shutdown;
use std::sync::Mutex;
use world::{init_options, options};

/// Keeps the codes and texts that the server logs.
struct Lines(Mutex<Vec<(Option<String>, String)>>);

static LINES: Lines = Lines(Mutex::new(Vec::new()));

impl log::Log for Lines {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }
    fn log(&self, record: &log::Record<'_>) {
        if record.level() <= log::Level::Warn {
            let code = record.key_values().get(Key::from_str("code")).map(|code| code.to_string());
            self.0.lock().unwrap().push((code, record.args().to_string()));
        }
    }
    fn flush(&self) {}
}

/// The codes that were logged since this was last asked.
fn logged() -> Vec<Reason> {
    let lines = std::mem::take(&mut *LINES.0.lock().unwrap());
    let known = |code: &String| Reason::ALL.iter().copied().find(|reason| reason.name() == code);
    let reason = |(code, text): (Option<String>, String)| code.as_ref().and_then(known).expect(&text);
    lines.into_iter().map(reason).collect()
}

/// Sends requests whose replies it does not read, until the server has taken none for many turns, or has closed the connection.
fn deaf(served: &Served, other: &mut Client) -> Client {
    let mut client = served.client();
    let requests = request(&["ECHO", &"x".repeat(100_000)]).repeat(10);
    client.stream.set_nonblocking(true).unwrap();
    let (mut sent, mut at) = (0, 0);
    other.settled(|other| {
        assert_eq!(other.ask("PING"), pong());
        loop {
            match client.stream.write(&requests[at..]) {
                Ok(written) => (sent, at) = (sent + written as u64, (at + written) % requests.len()),
                Err(error) => {
                    let closed = matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe);
                    assert!(closed || error.kind() == ErrorKind::WouldBlock, "{error}");
                    return sent;
                }
            }
        }
    });
    client.stream.set_nonblocking(false).unwrap();
    client
}

/// RESP-FLOW, RESP-MALFORMED, RESP-INLINE
#[test]
fn who_is_refused_or_closed_is_logged_with_a_code() {
    log::set_logger(&LINES).unwrap();
    log::set_max_level(log::LevelFilter::Warn);
    let disk = SimDisk::new();
    Database::init(&init_options(&disk, aerodb::Parameters::default())).unwrap();
    let served = Served::with(Database::open(options(&disk)).unwrap(), |options| {
        (options.max_clients, options.client_memory) = (20, 3 << 20);
    });
    let mut other = served.client();
    assert_eq!(other.ask("SET k v"), ok());
    assert!(logged().is_empty());

    for (bytes, codes) in [
        (&b"*x\r\n"[..], &[Reason::ClientMalformed][..]),
        (b"*1\r\n:1\r\n", &[]),
        (b"POST / HTTP/1.1\r\n", &[Reason::ClientMalformed]),
    ] {
        let mut client = served.client();
        client.send(bytes);
        while client.next().is_some() {}
        assert_eq!(logged(), codes, "{}", bytes.escape_ascii());
    }
    assert_eq!(other.info("protocol_errors"), 2);

    for _ in 0..2 {
        other.wait_for("connected_clients", 1);
        let all: Vec<Client> = (1..20).map(|_| served.client()).collect();
        for _ in 0..3 {
            assert!(served.client().next().is_some_and(|told| matches!(told, Value::Error(_))));
        }
        assert_eq!(logged(), [Reason::ClientTooMany], "once, until there was room");
        drop(all);
        other.wait_for("connected_clients", 1);
        assert_eq!(served.client().ask("PING"), pong(), "there is room again");
    }
    other.wait_for("connected_clients", 1);

    // Each holds about a megabyte that it does not read: the fourth at the latest is one too many.
    let mut silent = Vec::new();
    while other.info("client_output_buffer_limit_disconnections") == 0 {
        assert!(silent.len() < 4, "nobody is closed");
        silent.push(deaf(&served, &mut other));
    }
    let closed = other.info("client_output_buffer_limit_disconnections");
    assert_eq!(logged(), vec![Reason::ClientMemory; closed as usize]);
    assert!(other.info("client_buffer_bytes") <= 3 << 20);
    assert_eq!(other.info("connected_clients"), 1 + silent.len() as u64 - closed);
    // What it was sent before it reads, and then the end: the reason would stand behind what it did not read.
    for client in &mut silent {
        // One that is closed has no other side any more.
        let _ = client.stream.shutdown(Shutdown::Write);
        while let Some(reply) = client.next() {
            assert_eq!(reply, served::bulk("x".repeat(100_000)));
        }
    }
    assert_eq!(other.ask("PING"), pong());
    drop(served.stop().close());
}
