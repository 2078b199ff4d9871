//! The server when its disk or its committer fails: writes are refused with the reason, reads go on, nobody waits for ever.

#![cfg(feature = "server")]

mod served;
mod world;

use aerodb::disk::{Fault, SimDisk};
use aerodb::resp::Value;
use aerodb::{Database, Options, Parameters};
use served::{Client, Served, bulk, ok, pong, request};
use world::gate::{GateKeeper, gated};
use world::{init_options, options, shared, tiny};

const PARAMETERS: fn() -> Parameters = || Parameters { segment_bytes: 1 << 20, table_bytes: 1 << 20, ..tiny() };

fn database() -> (SimDisk, Database) {
    let disk = SimDisk::new();
    Database::init(&init_options(&disk, PARAMETERS())).unwrap();
    let db = Database::open(options(&disk)).unwrap();
    (disk, db)
}

fn gated_database() -> (Database, GateKeeper) {
    let sim = SimDisk::new();
    Database::init(&init_options(&sim, PARAMETERS())).unwrap();
    let (disk, gate) = gated(shared(&sim));
    (Database::open(Options { disk, ..options(&sim) }).unwrap(), gate)
}

/// F-D2, D-FSYNC, RESP-END: the group that failed is unknown, what comes later is refused, and what is there is read.
#[test]
fn when_the_disk_fails_writes_are_refused_and_reads_go_on() {
    for fault in [Fault::Eio, Fault::NoSpace] {
        let (disk, db) = database();
        let served = Served::new(db);
        let (mut client, mut waiting) = (served.client(), served.client());
        assert_eq!(client.ask("SET k before"), ok());
        waiting.request(&["AERO.WAITFOR", "100"]);
        assert_eq!(waiting_clients(&mut client), 1);
        disk.fail_operations_from(disk.operations(), fault);

        client.send(&[request(&["SET", "k", "after"]), request(&["GET", "k"])].concat());
        let Value::Error(text) = client.reply() else { panic!("{fault:?}: the write was acknowledged") };
        assert!(text.starts_with(b"ERR commit.unknown ") || text.starts_with(b"MISCONF commit.stopped "), "{text:?}");
        assert_eq!(client.reply(), bulk("before"));

        let refused = client.refused("SET k later");
        assert!(refused.starts_with("MISCONF commit.stopped "), "{refused}");
        assert!(client.refused("DEL k").starts_with("MISCONF commit.stopped "));
        assert_eq!(client.ask("GET k"), bulk("before"));
        let Value::Error(text) = waiting.reply() else { panic!("the commit was never made") };
        assert!(text.starts_with(b"MISCONF commit.stopped "), "{text:?}");
        assert_eq!(waiting.ask("PING"), pong());
        drop(served.stop().close());
    }
}

/// How many clients wait for a commit; they have been parked once one is counted.
fn waiting_clients(client: &mut Client) -> usize {
    loop {
        let Value::Bulk(info) = client.ask("INFO clients") else { panic!("INFO is text") };
        let info = String::from_utf8(info).unwrap();
        let line = info.lines().find_map(|line| line.strip_prefix("blocked_clients:")).unwrap();
        match line.parse().unwrap() {
            0 => {}
            waiting => return waiting,
        }
    }
}

/// RESP-END: a committer that fails an assertion takes its bundles along: each of their orders is told that it is unknown.
#[test]
fn when_the_committer_fails_an_assertion_nobody_waits_for_ever() {
    let (db, gate) = gated_database();
    let served = Served::new(db);
    let mut clients: Vec<Client> = (0..3).map(|_| served.client()).collect();
    let mut reader = served.client();
    assert_eq!(reader.ask("SET k before"), ok());
    gate.hold(".seg");
    for client in &mut clients {
        client.send(&[request(&["SET", "k", "after"]), request(&["GET", "k"])].concat());
        gate.wait_for_held();
    }
    gate.fail_assertion(".seg");
    gate.open();
    for client in &mut clients {
        let Value::Error(text) = client.reply() else { panic!("the write was acknowledged") };
        assert!(text.starts_with(b"ERR commit.unknown ") || text.starts_with(b"MISCONF commit.stopped "), "{text:?}");
        assert_eq!(client.reply(), bulk("before"));
    }
    let refused = reader.refused("SET k later");
    assert!(refused.starts_with("MISCONF commit.stopped "), "{refused}");
    assert_eq!(reader.ask("GET k"), bulk("before"));
    drop(served.stop().close());
}
