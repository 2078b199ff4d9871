//! The real server, killed with SIGKILL under pipelined load from several connections, and started again on what it left.
//!
//! * what was acknowledged is there, with its value (D-ACK, F-P2, F-A1);
//! * what was not is there or not, and of one connection's orders a prefix is (R-COMPLETE);
//! * a transaction is there whole or not at all (M-ATOMIC).
//!
//! How many acknowledgements a round waits for comes from a printed seed; no clock is read and nothing sleeps.

#![cfg(all(feature = "cli", feature = "server"))]

mod binary;
mod served;
mod world;

use aerodb::resp::Value;
use aerodb::{Database, Options};
use binary::Place;
use served::{Client, bulk, ok, request};
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Sender, channel};
use world::Dice;

const SEED: u64 = 0x5e12;
const ROUNDS: u64 = 8;
const CLIENTS: u64 = 6;
/// Orders of one client that are under way at most.
const PIPELINE: u64 = 24;

/// What one client ordered, and what it was told.
struct Told {
    name: String,
    ordered: u64,
    acknowledged: u64,
}

fn is_transaction(number: u64) -> bool {
    number % 5 == 3
}

fn keys(name: &str, number: u64) -> Vec<String> {
    let parts = if is_transaction(number) { 3 } else { 1 };
    (0..parts).map(|part| format!("{name}/{number:06}/{part}")).collect()
}

fn value(key: &str) -> Vec<u8> {
    let mut dice = Dice(key.bytes().fold(SEED, |seed, byte| seed.rotate_left(7) ^ u64::from(byte)));
    (0..dice.below(400)).map(|_| dice.roll() as u8).collect()
}

/// The requests of an order, and the replies that acknowledge it.
fn order(name: &str, number: u64) -> (Vec<u8>, Vec<Value>) {
    let sets: Vec<_> =
        keys(name, number).iter().map(|key| request(&[&b"SET"[..], key.as_bytes(), &value(key)])).collect();
    if !is_transaction(number) {
        return (sets.concat(), vec![ok()]);
    }
    let count = sets.len();
    let mut replies = vec![ok()];
    replies.extend((0..count).map(|_| Value::Simple(b"QUEUED".into())));
    replies.push(Value::Array((0..count).map(|_| ok()).collect()));
    ([request(&["MULTI"]), sets.concat(), request(&["EXEC"])].concat(), replies)
}

/// Orders until the server is dead.
fn order_until_dead(mut client: Client, name: String, acknowledged: &Sender<()>) -> Told {
    let mut told = Told { name, ordered: 0, acknowledged: 0 };
    loop {
        while told.ordered < told.acknowledged + PIPELINE {
            use std::io::Write;
            told.ordered += 1;
            if client.stream.write_all(&order(&told.name, told.ordered - 1).0).is_err() {
                break;
            }
        }
        for expected in order(&told.name, told.acknowledged).1 {
            match client.next() {
                Some(reply) => assert_eq!(reply, expected, "{}/{}", told.name, told.acknowledged),
                None => return told,
            }
        }
        told.acknowledged += 1;
        // Nobody counts any more once the server is to be killed.
        let _ = acknowledged.send(());
    }
}

fn start(place: &Place) -> (Child, std::net::SocketAddr) {
    let mut command = place.command(&[
        "serve",
        "--data",
        "d",
        "--listen",
        "127.0.0.1:0",
        "--table-bytes",
        "64KiB",
        "--segment-bytes",
        "256KiB",
    ]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.strip_prefix("listening on ").and_then(|rest| rest.split(' ').next());
    (child, address.unwrap_or_else(|| panic!("{line:?}")).parse().unwrap())
}

/// One life of a server: what each client was told before it was killed.
fn live(place: &Place, round: u64, wanted: u64) -> Vec<Told> {
    let (mut child, address) = start(place);
    let told = std::thread::scope(|scope| {
        let (sender, acknowledgements) = channel();
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let (client, sender) = (Client::connect(address), sender.clone());
                scope.spawn(move || order_until_dead(client, format!("{round:02}/{number}"), &sender))
            })
            .collect();
        acknowledgements.iter().take(wanted as usize).for_each(drop);
        child.kill().unwrap();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    assert!(!child.wait().unwrap().success());
    told
}

/// What is there of what one client ordered.
fn check(db: &Database, told: &Told) {
    let there = |number| {
        let found: Vec<_> = keys(&told.name, number)
            .iter()
            .map(|key| db.get(key.as_bytes()).unwrap().map(|found| assert_eq!(found, value(key), "{key}")))
            .collect();
        let whole = found.iter().all(Option::is_some);
        assert!(whole || found.iter().all(Option::is_none), "{}/{number} is not whole", told.name);
        whole
    };
    let count = (0..told.ordered).take_while(|number| there(*number)).count() as u64;
    assert!(count >= told.acknowledged, "{}: {count} are there, {} were acknowledged", told.name, told.acknowledged);
    assert!(!(count..told.ordered).any(there), "{}: a gap behind {count}", told.name);
}

/// D-ACK, M-ATOMIC, F-P2, F-A1
#[test]
fn what_a_killed_server_acknowledged_is_there_and_transactions_are_whole() {
    println!("seed {SEED:#x}");
    let mut dice = Dice(SEED);
    let place = Place::new();
    let mut all = Vec::new();
    for round in 0..ROUNDS {
        let told = live(&place, round, dice.below(4000));
        let acknowledged: u64 = told.iter().map(|told| told.acknowledged).sum();
        println!("round {round}: {acknowledged} orders acknowledged");
        let db = Database::open(Options::new(&place.path("d"))).unwrap();
        told.iter().for_each(|told| check(&db, told));
        db.close().unwrap();
        all.extend(told);
    }
    // Whatever was acknowledged in any round is served by the next server.
    let (mut child, address) = start(&place);
    let mut client = Client::connect(address);
    for told in &all {
        for number in 0..told.acknowledged {
            for key in keys(&told.name, number) {
                client.request(&["GET", &key]);
                assert_eq!(client.reply(), bulk(value(&key)), "{key}");
            }
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
}
