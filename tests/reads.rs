//! Reads on a replica, beside its primary: what is admitted is what the primary has at that commit, and what is refused says why.
//!
//! Real sockets and real disks, as in `replica.rs`; a proxy keeps from the replica what it is not to have yet.

#![cfg(feature = "replication")]

mod following;
mod proxy;
mod served;
mod world;

use aerodb::committer::Retention;
use aerodb::explain::{self, Topic};
use aerodb::frame::Frame;
use aerodb::limits::{LINE_READ_BYTES_MAX, TURN_BYTES};
use aerodb::replica::Replica;
use aerodb::resp::Value;
use aerodb::server::{self, Server};
use aerodb::supervisor::machine::State;
use aerodb::wal::LogHeaders;
use aerodb::{
    Batch, CommitId, Database, History, Init, LogPoint, Options, Position, Range, Reason, Result, View, Wish,
};
use following::{World, halted};
use served::Client;
use std::sync::Arc;

fn rows(view: &View) -> Vec<(Vec<u8>, Vec<u8>)> {
    view.range(Range::all(10_000)).unwrap().collect().unwrap()
}

fn put(db: &Database, key: &str, value: &str) -> CommitId {
    let mut batch = Batch::new();
    batch.put(key.as_bytes(), value.as_bytes()).unwrap();
    db.commit(batch).unwrap()
}

fn refused(outcome: Result<View>) -> aerodb::Error {
    outcome.map(drop).unwrap_err()
}

fn unsafe_text(reply: Value) -> String {
    let Value::Error(text) = reply else { panic!("{reply:?}") };
    let text = String::from_utf8(text).unwrap();
    assert!(text.starts_with("UNSAFE "), "{text}");
    text
}

/// Serves a replica to clients until `ends`, which is handed the way to one.
fn serving(replica: &Arc<Replica>, ends: impl FnOnce(&dyn Fn() -> Client)) {
    let options = server::Options {
        listen: "127.0.0.1:0".parse().unwrap(),
        replica: Some(Arc::clone(replica)),
        ..server::Options::new(Arc::clone(replica.database()))
    };
    let server = Server::bind(options).unwrap();
    let (address, stopper) = (server.local_addr(), server.stopper());
    let running = std::thread::spawn(move || server.run());
    ends(&|| Client::connect(address));
    stopper.stop();
    running.join().unwrap().unwrap();
}

/// R-READ, P5-I7, M-FLOOR: every commit that the primary can still read, the replica reads the same; what the one refuses as too old, so does the other.
#[test]
fn at_every_commit_a_replica_reads_what_its_primary_reads() {
    let mut world = World::new();
    world.make_replica("r");
    let replica = world.open("r");
    let last = world.commit(120);
    let floor = CommitId(last.0 - 40);
    world.db().raise_floor(floor).unwrap();
    let last = world.commit(20);
    replica.wait_for(last).unwrap();
    let db = replica.database();
    for commit in (0..=last.0 + 1).map(CommitId) {
        let [theirs, ours] = [world.db().view(Some(commit)), db.view(Some(commit))];
        match (theirs, ours) {
            (Ok(theirs), Ok(ours)) => {
                assert!(floor <= commit && commit <= last);
                assert_eq!(rows(&theirs), rows(&ours), "{commit}");
            }
            (Err(theirs), Err(ours)) => {
                assert!(commit < floor || last < commit);
                assert_eq!(theirs.to_string(), ours.to_string());
            }
            (theirs, ours) => panic!("{commit}: {:?} {:?}", theirs.is_ok(), ours.is_ok()),
        }
    }
    replica.close().unwrap();
    world.finish(&["r"]);
}

/// READ-LEAST, P5-I12, F-N1, F-RS1: a client that knows of a commit is refused, with both numbers, where it has not come; or waits for it. Whoever asks for
/// no more than there is gets it, though nothing comes any more.
#[test]
fn whoever_needs_a_commit_is_refused_or_waits_until_it_is_there() {
    let world = World::new();
    let seen = put(world.db(), "k", "old");
    world.make_replica("r");
    let replica = Arc::new(world.open("r"));
    replica.wait_for(seen).unwrap();
    replica.wait_until(|status| status.replica.state == State::Ready);
    world.proxy.swallow();
    let unseen = put(world.db(), "k", "new");
    world.proxy.wait_for_swallowed(1);

    let db = replica.database();
    assert_eq!(db.read(&Wish::at_least(seen)).unwrap().get(b"k").unwrap().as_deref(), Some(&b"old"[..]));
    let behind = refused(db.read(&Wish::at_least(unseen)));
    assert_eq!(behind.reason(), Reason::ReadBehind);
    assert_eq!(
        (behind.fact("view"), behind.fact("at_least"), behind.fact("rule")),
        (Some("1"), Some("2"), Some("READ-LEAST"))
    );
    assert_eq!(
        behind.to_string(),
        refused(db.read(&Wish::at_least(unseen))).to_string(),
        "the same state, the same bytes"
    );
    serving(&replica, |connect| {
        let [mut asking, mut waiting] = [connect(), connect()];
        assert_eq!(asking.ask("AERO.READ ATLEAST 1 GET k"), Value::Bulk(b"old".to_vec()));
        let text = unsafe_text(asking.ask("AERO.READ ATLEAST 2 GET k"));
        assert!(
            text.starts_with("UNSAFE read.behind ") && text.contains("[view=1, at_least=2, rule=READ-LEAST]"),
            "{text}"
        );
        // It explains the same: in text and in JSON, by the rule that refused.
        let told = |reply: Value| {
            let Value::Bulk(text) = reply else { panic!("{reply:?}") };
            String::from_utf8(text).unwrap()
        };
        let text = told(asking.ask("AERO.EXPLAIN READ k ATLEAST 2"));
        assert!(text.starts_with("read: refused\n") && text.contains("FAILS     READ-LEAST"), "{text}");
        let json = told(asking.ask("AERO.EXPLAIN read k ATLEAST 2 JSON"));
        let wish = Wish::at_least(unseen);
        let expected = explain::of(&Topic::Read { key: b"k".to_vec(), wish }, db, Some(&replica.status()));
        assert_eq!(json, expected.json().to_string());
        for topic in ["REPLICATION", "RECOVERY", "CHECKPOINT", "SEGMENT"] {
            assert!(told(asking.ask(&format!("AERO.EXPLAIN {topic}"))).starts_with(&topic.to_lowercase()));
            assert!(told(asking.ask(&format!("AERO.EXPLAIN {topic} JSON"))).starts_with("{\"type\":"));
        }
        for malformed in ["READ", "READ k WAIT", "REPLICATION k", "RECOVERY AT 1", "READ k AT x", "READ k JSON JSON"] {
            let reply = asking.ask(&format!("AERO.EXPLAIN {malformed}"));
            assert!(matches!(&reply, Value::Error(text) if text.starts_with(b"ERR ")), "{malformed}: {reply:?}");
        }
        assert!(unsafe_text(asking.ask("AERO.READ AT 2 GET k")).starts_with("UNSAFE view.beyond_applied "));
        waiting.request(&["AERO.READ", "ATLEAST", "2", "WAIT", "GET", "k"]);
        assert_eq!(asking.ask("GET k"), Value::Bulk(b"old".to_vec()), "nobody waits for who waits");
        world.proxy.deliver();
        world.proxy.cut();
        assert_eq!(waiting.reply(), Value::Bulk(b"new".to_vec()));
        assert_eq!(asking.ask("AERO.READ AT 1 MGET k"), Value::Array(vec![Value::Bulk(b"old".to_vec())]));
    });
    Arc::into_inner(replica).unwrap().close().unwrap();
    world.finish(&["r"]);
}

/// READ-HISTORY, R-PREFIX: a point that the primary told is found in the replica's log; one of another history is not, and what can't be told is refused as such.
#[test]
fn a_client_is_answered_from_the_history_that_it_knows() {
    let mut world = World::new();
    world.make_replica("r");
    let replica = Arc::new(world.open("r"));
    let mut client = world.primary.as_ref().unwrap().client();
    let mut points: Vec<LogPoint> = Vec::new();
    for number in 0..150 {
        client.request(&["SET".to_owned(), format!("k{number}"), "v".repeat(200)]);
        assert_eq!(client.reply(), Value::Simple(b"OK".to_vec()));
        let Value::Array(point) = client.ask("AERO.LAST POINT") else { panic!("a point has three values") };
        let [Value::Integer(commit), Value::Integer(position), Value::Bulk(history)] = &point[..] else {
            panic!("{point:?}")
        };
        let history = History(u64::from_str_radix(str::from_utf8(history).unwrap(), 16).unwrap());
        points.push(LogPoint { commit: CommitId(*commit as u64), position: Position(*position as u64), history });
    }
    let last = *points.last().unwrap();
    replica.wait_for(last.commit).unwrap();
    let db = replica.database();
    for point in &points {
        assert!(db.read(&Wish::newest().on(*point)).is_ok(), "{point}");
    }
    let point = points[70];
    let reason = |point: LogPoint| refused(db.read(&Wish::newest().on(point))).reason();
    assert_eq!(reason(LogPoint { history: History(point.history.0 ^ 1), ..point }), Reason::ReadOtherHistory);
    assert_eq!(reason(LogPoint { commit: CommitId(70), ..point }), Reason::ReadOtherHistory);
    assert_eq!(reason(LogPoint { position: Position(point.position.0 - 8), ..point }), Reason::ReadOtherHistory);
    // No record that was not applied yet ends where the log ends now, and none before which there were fewer commits comes behind it.
    assert_eq!(reason(LogPoint { commit: last.commit.next(), ..last }), Reason::ReadOtherHistory);
    let overtaken = LogPoint { position: Position(last.position.0 + (1 << 20)), ..point };
    assert_eq!(reason(overtaken), Reason::ReadOtherHistory);
    let beyond = LogPoint { position: Position(last.position.0 + (1 << 20)), ..last };
    assert_eq!(reason(beyond), Reason::ReadBehind);
    serving(&replica, |connect| {
        let mut client = connect();
        let ask = |history: History| format!("AERO.READ ON {} {} {history} GET k3", point.commit, point.position);
        assert_eq!(client.ask(&ask(point.history)), Value::Bulk("v".repeat(200).into_bytes()));
        let text = unsafe_text(client.ask(&ask(History(7))));
        assert!(text.starts_with("UNSAFE read.other_history ") && text.contains("rule=READ-HISTORY]"), "{text}");
        for malformed in [
            "AERO.READ ON 1 2 3 GET k",
            "AERO.READ ATLEAST x GET k",
            "AERO.READ ATLEAST 1",
            "AERO.READ WAIT WAIT GET k",
        ] {
            assert!(matches!(client.ask(malformed), Value::Error(text) if text.starts_with(b"ERR ")), "{malformed}");
        }
    });
    Arc::into_inner(replica).unwrap().close().unwrap();

    // Where the log is dropped it can't be told any more.
    world.stop_primary();
    world.serve(Options { retention: Retention::Bytes(0), ..Options::new(&world.path("p")) });
    let db = world.db();
    db.checkpoint().unwrap();
    put(db, "k", "v");
    assert!(db.status().log_oldest > points[3].position);
    let unknown = refused(db.read(&Wish::newest().on(points[3])));
    assert_eq!((unknown.reason(), unknown.fact("rule")), (Reason::ReadHistoryUnknown, Some("READ-HISTORY")));
    assert!(unknown.fact("log_oldest").is_some());
}

/// P5-I10, F-RS1, F-V1: once a replica has halted nothing is read, whoever waited is told, and that outlives a restart.
#[test]
fn a_halted_replica_answers_nothing() {
    let world = World::new();
    let last = put(world.db(), "k", "old");
    world.make_replica("r");
    let replica = Arc::new(world.open("r"));
    replica.wait_for(last).unwrap();
    let view = replica.database().view(None).unwrap();
    serving(&replica, |connect| {
        let mut waiting = connect();
        waiting.request(&["AERO.READ", "ATLEAST", "2", "WAIT", "GET", "k"]);
        let mut waiting_too = connect();
        waiting_too.request(&["AERO.WAITFOR", "2"]);
        connect().wait_for("blocked_clients", 2);
        assert_eq!(connect().ask("GET k"), Value::Bulk(b"old".to_vec()));
        world.proxy.edit(|frame, mut bytes| {
            if let (Frame::Segment(_), Some(last)) = (frame, bytes.last_mut()) {
                *last ^= 1;
            }
            bytes
        });
        put(world.db(), "k", "new");
        halted(&replica);
        for client in [&mut waiting, &mut waiting_too] {
            assert!(unsafe_text(client.reply()).starts_with("UNSAFE replica.halted "));
        }
        for request in [
            "GET k",
            "MGET k k",
            "AERO.AT 1 GET k",
            "AERO.READ AT 1 GET k",
            "SCAN 0",
            "AERO.RANGE a z",
            "AERO.WAITFOR 9",
        ] {
            assert!(unsafe_text(connect().ask(request)).starts_with("UNSAFE replica.halted "), "{request}");
        }
    });
    assert_eq!(view.get(b"k").unwrap().as_deref(), Some(&b"old"[..]), "what was admitted before stays what it was");
    drop(view);
    Arc::into_inner(replica).unwrap().close().ok();
    let replica = world.open("r");
    assert_eq!(refused(replica.database().view(None)).reason(), Reason::ReplicaHalted);
    assert_eq!(replica.database().get(b"k").unwrap_err().reason(), Reason::ReplicaHalted);
}

/// RESP-TURN: what is read to look a point up is no more than a turn may read.
const _: () = assert!(LINE_READ_BYTES_MAX <= TURN_BYTES);

/// READ-HISTORY: the points of a log that has longer segments than are read to look one up are found all the same, from what was applied since the start.
#[test]
fn points_are_found_in_long_segments() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("p");
    Database::init(&Init::standalone(&dir)).unwrap();
    let db = Database::open(Options::new(&dir)).unwrap();
    let value = "v".repeat(1000);
    let mut points = Vec::new();
    for chunk in 0..24 {
        // The first are so many that groups of them are longer than what is read.
        for number in 0..if chunk == 0 { 8000 } else { 500 } {
            let mut batch = Batch::new();
            batch.put(format!("k{chunk}-{number}").as_bytes(), value.as_bytes()).unwrap();
            db.submit(batch, |outcome| assert!(outcome.is_ok())).unwrap();
        }
        put(&db, "k", "v");
        points.push(db.extent().durable);
    }
    assert!(points.last().unwrap().position.0 > 2 * LINE_READ_BYTES_MAX as u64);
    // Those within a group, which may be longer than what is read, as those behind one.
    let mut headers = LogHeaders::open(db.log(), Position::GENESIS, db.extent().durable).unwrap().unwrap();
    while let Some((_, point)) = headers.next_header().unwrap() {
        if point.commit.0 % 97 == 0 {
            points.push(point);
        }
    }
    for point in &points {
        assert!(db.read(&Wish::newest().on(*point)).is_ok(), "{point}");
        let other = LogPoint { history: History(point.history.0 ^ 1), ..*point };
        assert_eq!(refused(db.read(&Wish::newest().on(other))).reason(), Reason::ReadOtherHistory);
    }
    db.close().unwrap();
}

/// READ-LEAST, F-D2: whoever waits on a replica that has failed, or that will not connect again, is told that nothing more comes.
#[test]
fn nobody_waits_for_what_will_not_come() {
    let world = World::new();
    let last = put(world.db(), "k", "old");
    let replica = Arc::new(world.once("r"));
    replica.wait_for(last).unwrap();
    serving(&replica, |connect| {
        let [mut reading, mut waiting] = [connect(), connect()];
        reading.request(&["AERO.READ", "ATLEAST", "2", "WAIT", "GET", "k"]);
        waiting.request(&["AERO.WAITFOR", "2"]);
        connect().wait_for("blocked_clients", 2);
        world.proxy.cut();
        assert!(unsafe_text(reading.reply()).starts_with("UNSAFE read.behind "));
        let Value::Error(text) = waiting.reply() else { panic!("the commit never came") };
        assert!(text.starts_with(b"ERR replication.disconnected "), "{}", text.escape_ascii());
        assert_eq!(connect().ask("GET k"), Value::Bulk(b"old".to_vec()), "what is proven is read on");
        assert!(unsafe_text(connect().ask("AERO.READ ATLEAST 2 WAIT GET k")).starts_with("UNSAFE read.behind "));
        assert!(unsafe_text(connect().ask("AERO.READ AT 1 ATLEAST 2 WAIT GET k")).starts_with("UNSAFE read.behind "));
    });
    Arc::into_inner(replica).unwrap().close().unwrap();
}
