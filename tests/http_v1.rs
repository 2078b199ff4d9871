//! What is under `/v1`, `/readyz` and the front of a process, over real sockets, as another reader of JSON reads it.

#![cfg(all(feature = "cli", feature = "replication"))]

mod following;
mod proxy;
mod served;
mod web;
mod world;

use aerodb::committer::Retention;
use aerodb::disk::SimDisk;
use aerodb::http::pages::{Front, Node};
use aerodb::http::{Options, Pages, Running, Server};
use aerodb::limits::HTTP_SEGMENTS_SHOWN;
use aerodb::replica::{Replica, ReplicaOptions};
use aerodb::server::lobby::{Lobby, LobbyOptions};
use aerodb::server::window::Window;
use aerodb::supervisor::{Reconnect, machine::State};
use aerodb::{Batch, CommitId, Database, Reason, Wish, receiver};
use following::World;
use serde_json::Value;
use served::Served;
use std::net::SocketAddr;
use std::sync::Arc;
use web::{Client, get};
use world::{init_options, options, tiny};

fn shown(pages: impl Pages + 'static) -> Running {
    let listen: SocketAddr = "127.0.0.1:0".parse().unwrap();
    Server::bind(Options::new(listen), Box::new(pages)).unwrap().start().unwrap()
}

/// The data of a page; the moment and the notes beside it.
fn data(client: &mut Client, path: &str) -> (Value, Value, Value) {
    let answer = client.ask(get(path));
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    let mut read: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(read["api_version"], 1);
    (read["data"].take(), read["observed_at"].take(), read["notes"].take())
}

/// A node in memory with 20 commits, the last of them a value of `k`, and a checkpoint.
fn written() -> (SimDisk, Arc<Database>) {
    let disk = SimDisk::new();
    Database::init(&init_options(&disk, tiny())).unwrap();
    let database = Database::open(options(&disk)).unwrap();
    for number in 0..20_u8 {
        let mut batch = Batch::new();
        batch.put(b"k", &[number; 400]).unwrap();
        database.commit(batch).unwrap();
    }
    database.checkpoint().unwrap();
    following::rest(&database);
    (disk, Arc::new(database))
}

/// HTTP-ENVELOPE: log, versions, snapshots and checkpoints are what the database says of them.
#[test]
fn a_node_shows_its_log_its_versions_its_snapshots_and_its_checkpoints() {
    let (_disk, database) = written();
    let http = shown(Node::Writer(Arc::clone(&database), Arc::default()));
    let mut client = Client::new(http.local_addr());
    let (wal, at, notes) = data(&mut client, "/v1/wal");
    let (extent, status) = (database.extent(), database.status());
    assert_eq!((&at["commit_id"], &notes), (&20.into(), &Value::Array(Vec::new())));
    assert_eq!(wal["durable"]["position"], extent.durable.position.0);
    assert_eq!(wal["durable"]["history"], extent.durable.history.to_string());
    assert_eq!(wal["kept_bytes"], extent.durable.position.since(extent.oldest));
    assert_eq!(wal["committer"]["state"], "idle");
    let segments: Vec<&str> = wal["segments"].as_array().unwrap().iter().map(|first| first.as_str().unwrap()).collect();
    assert!(segments.len() > 1, "{wal}");
    assert_eq!(segments.last(), Some(&extent.segment.to_string().as_str()));

    for page in
        ["status", "wal", "mvcc", "snapshots", "checkpoints", "replication", "explain/recovery", "explain/read?key=k"]
    {
        let answer = client.ask(get(&format!("/v1/{page}")));
        let again = Client::new(http.local_addr()).ask(get(&format!("/v1/{page}")));
        assert_eq!(again, answer, "{page}: the same state, other bytes");
    }

    let view = database.view(Some(CommitId(3))).unwrap();
    let (mvcc, ..) = data(&mut client, "/v1/mvcc");
    assert_eq!((&mvcc["commit"], &mvcc["floor"], &mvcc["views"]), (&20.into(), &0.into(), &1.into()));
    assert_eq!((&mvcc["readable_commits"], &mvcc["reads"]["safe"]), (&21.into(), &true.into()));
    assert_eq!(mvcc["reads"]["rules"].as_array().unwrap().len(), aerodb::gate::Check::ALL.len());
    drop(view);

    let (snapshots, ..) = data(&mut client, "/v1/snapshots");
    assert_eq!(snapshots["newest"]["commit_string"], status.checkpoint.commit.to_string());
    assert_eq!((&snapshots["serves"], &snapshots["begun_with"]), (&false.into(), &Value::Null));
    let (checkpoints, ..) = data(&mut client, "/v1/checkpoints");
    assert_eq!(checkpoints["checkpoint"]["position"], status.checkpoint.position.0);
    assert_eq!(checkpoints["replay_bytes"], status.durable.position.since(status.checkpoint.position));
    let bytes: u64 = status.runs.iter().map(|run| run.size).sum();
    assert_eq!(
        (&checkpoints["run_bytes"], checkpoints["runs"].as_array().map(Vec::len)),
        (&bytes.into(), Some(status.runs.len()))
    );
    assert!(bytes > 0);
    let (replication, ..) = data(&mut client, "/v1/replication");
    assert_eq!((&replication["role"], &replication["serves"]), (&"standalone".into(), &false.into()));
}

/// Of a long log the newest segments are listed, and it is said that there are others.
#[test]
fn a_list_that_is_too_long_says_so() {
    let disk = SimDisk::new();
    Database::init(&init_options(&disk, tiny())).unwrap();
    let kept = aerodb::Options { retention: Retention::All, ..options(&disk) };
    let database = Arc::new(Database::open(kept).unwrap());
    // A segment has room for one of these.
    for _ in 0..HTTP_SEGMENTS_SHOWN + 10 {
        let mut batch = Batch::new();
        batch.put(b"k", &[7; 3500]).unwrap();
        database.commit(batch).unwrap();
    }
    following::rest(&database);
    let http = shown(Node::Writer(Arc::clone(&database), Arc::default()));
    let (wal, _, notes) = data(&mut Client::new(http.local_addr()), "/v1/wal");
    let segments = wal["segments"].as_array().unwrap();
    assert_eq!(segments.len(), HTTP_SEGMENTS_SHOWN);
    assert_eq!(segments.last(), Some(&database.extent().segment.to_string().into()));
    let all = aerodb::wal::segments_before(database.log(), database.extent().durable.position).unwrap().len();
    assert_eq!(notes[0], format!("the oldest {} segments are not listed", all - HTTP_SEGMENTS_SHOWN));
}

/// D-CORRUPT, HTTP-OFF: a look that finds corruption halts the node, as a read does; no other page changes anything.
#[test]
fn only_a_look_at_a_key_can_find_corruption() {
    let (disk, database) = written();
    let at_rest = |path: &std::path::PathBuf| path.extension().is_some_and(|end| end == "run");
    for run in disk.paths().into_iter().filter(at_rest) {
        let mut bytes = disk.contents(&run).unwrap();
        bytes.iter_mut().skip(100).take(100).for_each(|byte| *byte ^= 1);
        disk.overwrite(&run, bytes);
    }
    let http = shown(Node::Writer(Arc::clone(&database), Arc::default()));
    let mut client = Client::new(http.local_addr());
    for page in ["status", "wal", "mvcc", "snapshots", "checkpoints", "replication", "explain/checkpoint"] {
        data(&mut client, &format!("/v1/{page}"));
        assert!(database.status().halted.is_none(), "{page}");
    }
    let (told, _, notes) = data(&mut client, "/v1/explain/read?key=k");
    assert_eq!((&told["conclusion"]["outcome"], &told["complete"]), (&"failed".into(), &false.into()), "{told}");
    assert_eq!((&notes, &told["conclusion"]["error"]["code"]), (&told["missing"], &"store.block_corrupt".into()));
    assert_eq!(database.status().halted.map(|error| error.reason()), Some(Reason::StoreBlockCorrupt));
    let (told, ..) = data(&mut client, "/v1/explain/read?key=k");
    assert_eq!(told["conclusion"]["outcome"], "refused");
}

/// EXPL-TABLE: what is explained over HTTP is what the library explains, as JSON and as text; and the key is bytes.
#[test]
fn explanations_are_those_of_the_library() {
    let (_disk, database) = written();
    let http = shown(Node::Writer(Arc::clone(&database), Arc::default()));
    let mut client = Client::new(http.local_addr());
    for kind in ["replication", "recovery", "checkpoint", "segment"] {
        let (told, ..) = data(&mut client, &format!("/v1/explain/{kind}"));
        assert_eq!((&told["type"], &told["complete"]), (&kind.into(), &true.into()), "{told}");
    }
    let text = client.ask(get("/v1/explain/checkpoint?format=text"));
    assert_eq!(text.body, aerodb::explain::checkpoint(&database, None).to_string());
    assert!(text.head.contains("\r\nContent-Type: text/plain; charset=utf-8\r\n"));
    let (told, ..) = data(&mut client, "/v1/explain/read?key=%6b&at=7");
    let explained = aerodb::explain::read(&database, b"k", &Wish::at(Some(CommitId(7))));
    assert_eq!(told["conclusion"]["sentence"], explained.conclusion.sentence);
    assert!(explained.conclusion.sentence.contains("commit 7"));
    let (told, ..) = data(&mut client, "/v1/explain/read?key=%00%ff%22&at_least=21");
    assert_eq!(
        (&told["inputs"]["key"], &told["conclusion"]["error"]["code"]),
        (&"\\x00\\xff\"".into(), &"read.behind".into())
    );
    let on = database.status().checkpoint;
    let (commit, position, history) = (on.commit, on.position, on.history);
    let (told, ..) = data(&mut client, &format!("/v1/explain/read?key=k&on={commit},{position},{history}"));
    assert_eq!((&told["conclusion"]["outcome"], &told["conclusion"]["error"]), (&"value".into(), &Value::Null));
}

#[test]
fn a_query_that_is_not_understood_is_refused_and_the_connection_stays() {
    let (_disk, database) = written();
    let http = shown(Node::Writer(database, Arc::default()));
    let mut client = Client::new(http.local_addr());
    for path in [
        "/v1/explain/read",
        "/v1/explain/read?key=a&at=-1",
        "/v1/explain/read?key=a&key=b",
        "/v1/explain/read?key=a&on=1,2",
        "/v1/explain/recovery?key=a",
        "/v1/explain/recovery?format=xml",
        "/readyz?verbose=perhaps",
    ] {
        let answer = client.ask(get(path));
        assert_eq!(answer.status, 400, "{path}");
        assert!(
            answer.body.starts_with(r#"{"api_version":1,"error":{"code":"http.query","sentence":""#),
            "{}",
            answer.body
        );
    }
    assert_eq!(client.ask(get("/v1/explain/everything")).status, 404);
    let malformed = client.ask(get("/v1/explain/read?key=%zz"));
    assert_eq!((malformed.status, malformed.body.contains("http.malformed")), (400, true));
}

/// READ-GATE: what a probe is told rule by rule is what decides.
#[test]
fn a_probe_is_told_every_rule_of_the_gate() {
    let mut world = World::new();
    world.commit(5);
    let replica = Arc::new(world.once("r"));
    replica.wait_for(CommitId(5)).unwrap();
    let http = shown(Node::Replica(Arc::clone(&replica), Arc::default()));
    let mut client = Client::new(http.local_addr());
    let answer = client.ask(get("/readyz?verbose"));
    assert_eq!((answer.status, answer.body.lines().count()), (200, aerodb::gate::Check::ALL.len() + 1));
    assert!(answer.body.contains("holds         P5-I4         applied ≤ proven"), "{}", answer.body);
    assert!(answer.body.ends_with("(point=not asked)\nok\n"));
    world.proxy.edit(|_, mut bytes| {
        bytes.iter_mut().last().into_iter().for_each(|byte| *byte ^= 1);
        bytes
    });
    world.commit(50);
    let (code, position) = following::halted(&replica);
    let answer = client.ask(get("/readyz?verbose"));
    assert_eq!(answer.status, 503);
    assert!(
        answer.body.contains("fails         P5-I10        the node has not halted (halted=true)\n"),
        "{}",
        answer.body
    );
    assert!(
        answer.body.contains(&format!(
            "refused: replica.halted: {} [halt={code}@{position}",
            Reason::ReplicaHalted.sentence()
        ))
    );
    let (told, ..) = data(&mut client, "/v1/replication");
    assert_eq!((&told["replica"]["halt"]["code"], &told["reads"]["safe"]), (&code.name().into(), &false.into()));
    assert_eq!(told["replica"]["halt"]["name"], format!("{code}@{position}"));
    let (told, ..) = data(&mut client, "/v1/explain/segment");
    assert_eq!(told["conclusion"]["outcome"], "rejected");
    drop(http);
    Arc::into_inner(replica).unwrap().close().unwrap_err();
}

/// Both sides of a replication say how far it is; the primary what its loop left in the window at the end of its last turn.
#[test]
fn a_primary_and_its_replica_show_how_far_each_is() {
    let window = Arc::new(Window::default());
    let mut world = World::new();
    world.stop_primary();
    let database = Database::open(aerodb::Options::new(&world.path("p"))).unwrap();
    let served = Served::with(database, |options| {
        options.replication = Some("127.0.0.1:0".parse().unwrap());
        options.window = Some(Arc::clone(&window));
    });
    world.proxy.lead_to(served.replication.unwrap());
    world.primary = Some(served);
    world.commit(30);
    following::rest(world.db());
    let end = world.db().extent().durable;
    let replica = Arc::new(world.once("r"));
    replica.wait_until(|status| status.replica.state == State::Ready && status.applied == end);
    let primary = shown(Node::Writer(Arc::clone(&world.primary.as_ref().unwrap().db), window));
    let mut client = Client::new(primary.local_addr());
    // The loop shows a turn once it has ended, which is behind what the replica has seen of it.
    let told = web::until(|| {
        let (told, ..) = data(&mut client, "/v1/replication");
        (told["replicas"][0]["state"] == "parked").then_some(told)
    });
    assert_eq!((&told["role"], &told["serves"]), (&"primary".into(), &true.into()));
    let fed = &told["replicas"][0];
    assert_eq!((&fed["node"], &fed["purpose"]), (&replica.identity().node_id.to_string().into(), &"follow".into()));
    assert_eq!(fed["sent"], end.position.0);

    let http = shown(Node::Replica(Arc::clone(&replica), Arc::default()));
    let mut client = Client::new(http.local_addr());
    let (told, ..) = data(&mut client, "/v1/replication");
    assert_eq!((&told["replica"]["state"]["state"], &told["begun_with"]), (&"ready".into(), &"log".into()));
    for stage in ["validated", "applied", "primary_durable"] {
        assert_eq!(told["replica"][stage]["position_string"], end.position.to_string(), "{stage}");
        assert_eq!(told["replica"][stage]["history"], end.history.to_string(), "{stage}");
    }
    assert_eq!(told["replica"]["received"], end.position.0);
    assert_eq!((&told["behind"]["all_bytes"], &told["behind"]["commits"]), (&0.into(), &0.into()));
    drop((http, primary));
    Arc::into_inner(replica).unwrap().close().unwrap();
    world.finish(&["r"]);
}

/// What no primary has named since the start is not known, and not zero.
#[test]
fn what_is_not_known_is_null() {
    let mut world = World::new();
    world.commit(3);
    world.make_replica("r");
    world.stop_primary();
    let options = ReplicaOptions { reconnect: Reconnect::Never, ..world.options("r") };
    let replica = Arc::new(Replica::open(options).unwrap());
    replica.wait_until(|status| status.receiver.state == receiver::machine::State::Disconnected);
    let http = shown(Node::Replica(Arc::clone(&replica), Arc::default()));
    let (told, ..) = data(&mut Client::new(http.local_addr()), "/v1/replication");
    assert_eq!((&told["replica"]["primary_durable"], &told["behind"]["all_bytes"]), (&Value::Null, &Value::Null));
    assert_eq!(told["behind"]["applied_bytes"], 0);
    drop(http);
    Arc::into_inner(replica).unwrap().close().unwrap();
}

/// F-O1, R-AUTHORITY: whatever is asked of a node that recovers is explained as far as it is known, and said to be incomplete.
fn explains(client: &mut Client) {
    let known = data(client, "/v1/status").0["identity"] != Value::Null;
    let authority = if known { "holds" } else { "undetermined" };
    for (topic, rules) in
        [("replication", 9), ("read?key=a&at=7", 9), ("recovery", 1), ("checkpoint", 1), ("segment", 1)]
    {
        let (told, at, notes) = data(client, &format!("/v1/explain/{topic}"));
        let kind = topic.split('?').next().unwrap();
        assert_eq!((&told["type"], &told["complete"], &at["commit_id"]), (&kind.into(), &false.into(), &Value::Null));
        assert_eq!((&told["conclusion"]["outcome"], &notes), (&"waits".into(), &told["missing"]));
        assert_eq!(told["conclusion"]["error"]["code"], "read.recovering");
        let told_rules = told["rules"].as_array().unwrap();
        assert_eq!(told_rules.len(), rules, "{topic}: {told}");
        let evaluation = |id: &str| told_rules.iter().find(|rule| rule["id"] == id).map(|rule| &rule["evaluation"]);
        assert_eq!(evaluation("P5-I11"), Some(&"fails".into()));
        if rules == 9 {
            assert_eq!(evaluation("R-AUTHORITY"), Some(&authority.into()), "{told}");
            assert_eq!(evaluation("P5-I10"), Some(&"undetermined".into()), "{told}");
        }
    }
    let (told, ..) = data(client, "/v1/explain/read?key=%00&at=7");
    assert_eq!((&told["inputs"]["key"], &told["inputs"]["at"]), (&"\\x00".into(), &"7".into()));
    let text = client.ask(get("/v1/explain/recovery?format=text"));
    assert!(text.status == 200 && text.body.starts_with("recovery: waits\n"), "{}", text.body);
    let (told, ..) = data(client, "/v1/replication");
    assert_eq!((&told["phase"], &told["reads"]["safe"]), (&"recovering".into(), &false.into()));
    assert_eq!((&told["commit"], told["role"].is_null()), (&Value::Null, !known));
    let probe = client.ask(get("/readyz?verbose"));
    assert_eq!((probe.status, probe.body.lines().count()), (503, aerodb::gate::Check::ALL.len() + 1), "{}", probe.body);
    assert!(
        probe.body.contains("fails         P5-I11        the directory is proven and replayed (phase=recovering)\n")
    );
    assert!(probe.body.contains(&format!("{authority:<12}  R-AUTHORITY ")), "{}", probe.body);
}

/// HTTP-LOBBY, P5-I8, P5-I11: from the first moment on the process is seen, at one address, and reads are refused until there is a database.
#[test]
fn a_process_is_shown_before_it_serves_and_again_when_it_no_longer_does() {
    let listen: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let lobby = Lobby::open(LobbyOptions {
        listen,
        allow_remote: false,
        max_clients: 10,
        client_memory: 1 << 20,
        tcp_keepalive: 0,
        primary: Some("primary<b>:1".to_owned()),
    })
    .unwrap();
    let front = Arc::new(Front::new(Arc::clone(lobby.board())));
    let http = shown(Arc::clone(&front));
    let mut client = Client::new(http.local_addr());
    let waits = |client: &mut Client| {
        assert_eq!(client.ask(get("/livez")).status, 200);
        for path in ["/readyz", "/v1/wal", "/v1/mvcc", "/v1/snapshots", "/v1/checkpoints"] {
            let answer = client.ask(get(path));
            assert_eq!(answer.status, 503, "{path}");
            assert!(
                answer.body.starts_with(r#"{"api_version":1,"error":{"code":"read.recovering","#),
                "{}",
                answer.body
            );
        }
        assert_eq!(client.ask(get("/nothing")).status, 404);
        assert_eq!(client.ask(get("/v1/explain/read")).status, 400);
        explains(client);
        let (told, at, _) = data(client, "/v1/status");
        assert_eq!((&told["phase"], &at["commit_id"]), (&"recovering".into(), &Value::Null));
        let metrics = client.ask(get("/metrics"));
        assert_eq!((metrics.status, metrics.body.contains("\naerodb_readable 0\n")), (200, true), "{}", metrics.body);
        let page = client.ask(get("/")).body;
        assert!(page.contains("Recovering, reads are refused") && page.contains("primary&lt;b&gt;:1"), "{page}");
    };
    waits(&mut client);
    let (_disk, database) = written();
    lobby.board().identified(database.identity());
    let (told, ..) = data(&mut client, "/v1/status");
    assert_eq!(told["identity"]["database"], database.identity().database_id.to_string());
    front.serve(Node::Writer(Arc::clone(&database), Arc::default()));
    assert_eq!(client.ask(get("/readyz")).status, 200);
    let (told, ..) = data(&mut client, "/v1/status");
    assert_eq!((&told["commit"], &told["phase"]), (&20.into(), &Value::Null));
    front.wait(Arc::clone(lobby.board()));
    let database = Arc::into_inner(database).expect("what is not shown any more is let go of");
    waits(&mut client);
    drop(http);
    database.close().unwrap();
    drop(lobby);
}
