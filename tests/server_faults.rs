//! The server when its disk or its committer fails: writes are refused with the reason, reads go on, nobody waits for ever.

#![cfg(feature = "server")]

#[cfg(feature = "cli")]
mod binary;
mod served;
mod world;

use aerodb::disk::{Fault, SimDisk};
use aerodb::resp::Value;
use aerodb::{Database, Options, Parameters, Reason};
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

/// The gate opens first when a test ends, or the server would wait for it.
fn gated_server() -> (Served, GateKeeper) {
    let sim = SimDisk::new();
    Database::init(&init_options(&sim, PARAMETERS())).unwrap();
    let (disk, gate) = gated(shared(&sim));
    (Served::new(Database::open(Options { disk, ..options(&sim) }).unwrap()), gate)
}

/// F-D2, D-FSYNC, RESP-END: the group that failed is unknown, what comes later is refused, and what is there is read.
#[test]
fn when_the_disk_fails_writes_are_refused_and_reads_go_on() {
    for (fault, reason) in [(Fault::Eio, Reason::DiskWriteFailed), (Fault::NoSpace, Reason::DiskFull)] {
        let (disk, db) = database();
        let served = Served::new(db);
        let (mut client, mut waiting) = (served.client(), served.client());
        assert_eq!(client.ask("SET k before"), ok());
        waiting.request(&["AERO.WAITFOR", "100"]);
        client.wait_for("blocked_clients", 1);
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

        let Value::Bulk(info) = waiting.ask("INFO everything") else { panic!("INFO is text") };
        let info = String::from_utf8(info).unwrap();
        let line = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        assert_eq!((line("aof_last_write_status:"), line("committer:")), ("err", "stopped"), "{fault:?}");
        let named = line("write_fault:");
        assert!(named.starts_with(&format!("{reason}: ")), "{fault:?}: {named}");
        #[cfg(feature = "cli")]
        {
            let status = binary::Place::new().ok(&["status", "--addr", &served.address.to_string()]);
            let told = status.lines().find_map(|line| line.strip_prefix("write fault")).unwrap_or_default();
            assert!(told.contains(named), "{fault:?}: {told}");
        }
        drop(served.stop().close());
    }
}

/// RESP-END: a committer that fails an assertion takes its bundles along: each of their orders is told that it is unknown.
#[test]
fn when_the_committer_fails_an_assertion_nobody_waits_for_ever() {
    let (served, gate) = gated_server();
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

/// RESP-END, D-CORRUPT: what another thread finds wakes the loop, which has nothing else to do.
#[test]
fn who_waits_for_a_commit_is_told_when_another_thread_finds_that_none_will_come() {
    let (disk, db) = database();
    let served = Served::new(db);
    let (mut client, mut waiting) = (served.client(), served.client());
    assert_eq!(client.ask("SET k v"), ok());
    served.db.checkpoint().unwrap();
    for path in disk.paths().into_iter().filter(|path| path.extension().is_some_and(|end| end == "run")) {
        let mut bytes = disk.contents(&path).unwrap();
        bytes.iter_mut().take(600).for_each(|byte| *byte ^= 1);
        disk.overwrite(&path, bytes);
    }
    waiting.request(&["AERO.WAITFOR", "100"]);
    client.wait_for("blocked_clients", 1);
    assert_eq!(served.db.get(b"k").err().map(|error| error.reason()), Some(Reason::StoreBlockCorrupt));
    let Value::Error(text) = waiting.reply() else { panic!("the commit was never made") };
    assert!(text.starts_with(b"UNSAFE store.block_corrupt "), "{text:?}");
    assert!(client.refused("GET k").starts_with("UNSAFE store.block_corrupt "));
    drop(served.stop().close());
}

/// RESP-END: the same, where maintenance fails and nobody orders anything.
#[test]
fn who_waits_for_a_commit_is_told_when_maintenance_ends_writing() {
    let (served, gate) = gated_server();
    let (mut client, mut waiting) = (served.client(), served.client());
    assert_eq!(client.ask("SET k v"), ok());
    gate.hold(".run.tmp");
    let db = served.db.clone();
    let checkpoint = std::thread::spawn(move || db.checkpoint().err().map(|error| error.reason()));
    gate.wait_for_held();
    waiting.request(&["AERO.WAITFOR", "100"]);
    client.wait_for("blocked_clients", 1);
    gate.fail_assertion(".run.tmp");
    gate.open();
    let Value::Error(text) = waiting.reply() else { panic!("the commit was never made") };
    assert!(text.starts_with(b"MISCONF commit.stopped "), "{text:?}");
    assert_eq!(checkpoint.join().unwrap(), Some(Reason::CommitStopped));
    assert_eq!(client.ask("GET k"), bulk("v"));
    drop(served.stop().close());
}
