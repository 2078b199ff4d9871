//! Compare with running nodes: real processes, real sockets; and peers that answer what no server should.
//!
//! What the commands of the log say is held against the log as its writer had it.

#![cfg(all(feature = "cli", feature = "replication"))]

mod binary;
mod served;
mod world;

use aerodb::disk::SimDisk;
use aerodb::resp::{Decoder, Value};
use aerodb::wal::LogCursor;
use aerodb::{Database, LogPoint, Position, Reason, committer::Retention};
use binary::{Place, Said};
use serde_json::Value as Json;
use served::{Client, Served};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Stdio};
use world::{Dice, batch, init_options, options, tiny};

/// A process that listens; killed when the test ends.
struct Running {
    child: Child,
    line: String,
}

impl Running {
    fn start(place: &Place, arguments: &[&str]) -> Running {
        let mut command = place.command(arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with("listening on "), "{arguments:?}: {line:?}");
        Running { child, line }
    }

    fn primary(place: &Place, dir: &str) -> Running {
        let listen = ["--listen", "127.0.0.1:0", "--replication", "127.0.0.1:0"];
        Running::start(place, &[&["serve", "--data", dir][..], &listen].concat())
    }

    fn replica(place: &Place, dir: &str, primary: &str) -> Running {
        let from = ["--primary", primary, "--bootstrap", "log", "--reconnect", "1"];
        Running::start(place, &[&["replica", "--data", dir, "--listen", "127.0.0.1:0"][..], &from].concat())
    }

    fn address(&self) -> String {
        self.line.split_whitespace().nth(2).unwrap().to_owned()
    }

    fn replication(&self) -> String {
        self.line.split_whitespace().skip_while(|word| *word != "replicas").nth(2).unwrap().to_owned()
    }

    fn client(&self) -> Client {
        Client::connect(self.address().parse::<SocketAddr>().unwrap())
    }

    fn reach(&self, commit: u64) {
        self.client().wait_for("commit", commit);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn compared(place: &Place, a: &str, b: &str) -> (Said, Json) {
    let said = place.run(&["compare", "--json", a, b]);
    let text = String::from_utf8(said.stdout.clone()).unwrap();
    let json = text.lines().next().map_or(Json::Null, |line| serde_json::from_str(line).unwrap());
    (said, json)
}

/// P5-I4, R-PREFIX: a primary and its replica while both run, and each against a backup of the primary.
#[test]
fn a_primary_a_replica_and_a_backup_are_compared_while_they_run() {
    let place = Place::new();
    let small = ["--segment-bytes", "8K", "--table-bytes", "2K"];
    place.ok(&[&["init", "p", "--role", "primary"][..], &small].concat());
    let value = "v".repeat(300);
    for key in 0..60 {
        place.ok(&["put", "p", &key.to_string(), &value]);
    }
    place.ok(&["backup", "p", "saved"]);
    let primary = Running::primary(&place, "p");
    let replica = Running::replica(&place, "r", &primary.replication());
    replica.reach(60);
    // Both have made and merged all runs, and the replica has the Proofs of the primary's.
    let mut leading = primary.client();
    ["sealed_tables", "merges_due", "proofs_owed"].iter().for_each(|count| leading.wait_for(count, 0));
    let mut following = replica.client();
    following.wait_for("durable_position", leading.info("durable_position"));
    ["sealed_tables", "merges_due"].iter().for_each(|count| following.wait_for(count, 0));
    let (p, r) = (primary.address(), replica.address());
    let (said, found) = compared(&place, &p, &format!("addr:{r}"));
    assert_eq!((said.status, &found["log"]["is"]), (0, &"same".into()), "{said:?}");
    assert_eq!((&found["a"]["is"], &found["b"]["is"]), (&"server".into(), &"server".into()));
    assert!(found["runs"]["equal"].as_u64().unwrap() > 0 && found["runs"]["by_hash"] == true, "{found}");

    assert_eq!(primary.client().ask("SET new v"), Value::Simple(b"OK".to_vec()));
    replica.reach(61);
    for node in [&p, &r] {
        let (said, found) = compared(&place, "saved", node);
        assert_eq!(said.status, 0, "{said:?}");
        assert_eq!((&found["log"]["is"], &found["log"]["shorter"]), (&"prefix".into(), &"a".into()), "{found}");
        assert_eq!((&found["a"]["is"], &found["b"]["is"]), (&"backup".into(), &"server".into()));
        assert_eq!(found["log"]["commits"], 1);
    }
    // Before anything is read: what is wrong with the other side is not found first.
    let run = std::fs::read_dir(place.path("saved").join("store")).unwrap().map(|entry| entry.unwrap().path());
    let run = run.into_iter().find(|path| path.extension().is_some_and(|end| end == "run")).unwrap();
    let sound = std::fs::read(&run).unwrap();
    std::fs::write(&run, &sound[1..]).unwrap();
    place.run(&["compare", "--thorough", "saved", &p]).is(Reason::CliUsage);
    std::fs::write(&run, sound).unwrap();
    // A replica tells as much as the primary.
    let mut both = [primary.client(), replica.client()];
    let of_data = ["AERO.RECORD 0", "GET new"];
    for request in ["AERO.SEGMENTS", "AERO.LOG 0", "AERO.LOG 0 COUNT 3", "AERO.HISTORY 0", "AERO.HISTORY 8"]
        .into_iter()
        .chain(of_data)
    {
        let [primary, replica] = both.each_mut().map(|client| client.ask(request));
        assert_eq!(primary, replica, "{request}");
        assert!(!matches!(primary, Value::Error(_)), "{request}: {primary:?}");
    }
}

/// F-D1: one backup restored twice, and written to in both places: compared as directories and as nodes, with what each wrote.
#[test]
fn two_nodes_of_one_backup_that_both_wrote_are_told_apart() {
    let place = Place::new();
    place.ok(&["init", "p", "--role", "primary"]);
    place.ok(&["put", "p", "k", "v"]);
    place.ok(&["backup", "p", "saved"]);
    place.ok(&["restore", "saved", "one"]);
    place.ok(&["restore", "saved", "two"]);
    let long = "x".repeat(100_000);
    place.ok(&["put", "one", "left\\n", "1"]);
    place.ok(&["put", "two", "right", &long, "gone", ""]);

    let expect = |a: &str, b: &str| {
        let (said, found) = compared(&place, a, b);
        assert_eq!(said.status, i32::from(Reason::HistoryDiverged.number()), "{said:?}");
        assert_eq!((&found["log"]["is"], &found["log"]["common"]["commit"]), (&"diverged".into(), &1.into()));
        assert_eq!(found["log"]["a"]["after"]["commit"], 2);
        assert_eq!(found["verdicts"], serde_json::json!([]));
        found["log"].clone()
    };
    let log = expect("one", "two");
    let wrote = &log["a"]["wrote"]["operations"];
    assert_eq!(
        (&wrote[0]["op"], &wrote[0]["key"]),
        (&"put".into(), &serde_json::json!({"beginning": {"hex": "6c6566740a"}, "bytes": 5}))
    );
    let wrote = &log["b"]["wrote"];
    assert_eq!((&wrote["count"], &wrote["operations"][0]["value"]["bytes"]), (&2.into(), &100_000.into()));
    assert_eq!(wrote["operations"][0]["value"]["beginning"]["text"].as_str().map(str::len), Some(64));
    let (said, found) = compared(&place, "saved", "two");
    assert_eq!((said.status, &found["log"]["is"]), (0, &"prefix".into()));
}

#[test]
fn nodes_that_parted_show_what_they_wrote() {
    let place = Place::new();
    place.ok(&["init", "p", "--role", "primary"]);
    place.ok(&["put", "p", "k", "v"]);
    place.ok(&["backup", "p", "saved"]);
    place.ok(&["restore", "saved", "two"]);
    let long = "x".repeat(100_000);
    place.ok(&["put", "p", "left", "1"]);
    place.ok(&["put", "two", "right", &long, "beyond", "what is shown"]);
    let (one, two) = (Running::primary(&place, "p"), Running::primary(&place, "two"));
    let replica = Running::replica(&place, "r", &one.replication());
    replica.reach(2);
    let said = place.run(&["compare", &one.address(), &two.address()]);
    said.is(Reason::HistoryDiverged);
    let text = String::from_utf8(said.stdout).unwrap();
    assert!(text.contains("\na wrote    commit 2: 1 operations\n           put left\t1\n"), "{text}");
    let shown = format!(
        "\nb wrote    commit 2: 2 operations\n           put right\t{}… (100000 bytes)\n           and 1 more\n",
        "x".repeat(64)
    );
    assert!(text.contains(&shown), "{text}");
    let (said, found) = compared(&place, &replica.address(), &two.address());
    assert_eq!(said.status, i32::from(Reason::HistoryDiverged.number()), "{said:?}");
    let (_, primaries) = compared(&place, &one.address(), &two.address());
    assert_eq!(found["log"]["a"]["wrote"], primaries["log"]["a"]["wrote"]);
}

/// EXPL-TABLE, EXPL-BYTES: a node that runs, its replica and, once it has ended, its directory explain the same read in the same words.
#[test]
fn a_running_node_and_its_directory_explain_a_read_alike() {
    let place = Place::new();
    place.ok(&["init", "p", "--role", "primary"]);
    place.ok(&["put", "p", "k", "old"]);
    place.ok(&["put", "p", "k", "new"]);
    let primary = Running::primary(&place, "p");
    let replica = Running::replica(&place, "r", &primary.replication());
    replica.reach(2);
    let (p, r) = (primary.address(), replica.address());
    let read = ["read", "k", "--at", "1", "--json"];
    let explained = |node: &str| -> Json {
        serde_json::from_str(&place.ok(&[&["explain", "--addr", node][..], &read].concat())).unwrap()
    };
    let (running, following) = (explained(&p), explained(&r));
    assert_eq!((&running["conclusion"]["outcome"], &running["complete"]), (&"value".into(), &true.into()), "{running}");
    assert_eq!(running["conclusion"], following["conclusion"]);
    assert_eq!(following["observed"]["authority"], "follower");
    let text = place.ok(&["explain", "--addr", &r]);
    assert!(text.starts_with("replication: ") && text.contains("Reads are answered at commit 2."), "{text}");
    place.run(&["explain", "--addr", &p, "read"]).is(Reason::CliUsage);
    place.run(&["explain", "p"]).is(Reason::DirLocked);
    // READ-HISTORY: the point where both logs end, and one of another history.
    let told: Json = serde_json::from_str(&place.ok(&["explain", "--addr", &p, "replication", "--json"])).unwrap();
    let words: Vec<&str> = told["observed"]["durable"].as_str().unwrap().split(' ').collect();
    let &["position", position, "history", history, "commit", commit] = words.as_slice() else { panic!("{told}") };
    let (known, other) = (format!("{commit},{position},{history}"), format!("{commit},{position},0123456789abcdef"));
    for (on, outcome) in [(&known, "value"), (&other, "refused")] {
        let told = place.ok(&["explain", "--addr", &r, "read", "k", "--on", on]);
        assert!(told.starts_with(&format!("read: {outcome}\n")) && told.contains("here=position "), "{told}");
    }
    place.run(&["explain", "--addr", &r, "read", "k", "--on", "1,2"]).is(Reason::CliInput);
    place.run(&["explain", "--addr", &r, "segment", "--on", &known]).is(Reason::CliUsage);
    drop((primary, replica));
    assert!(place.ok(&["explain", "p", "read", "k", "--on", &known]).starts_with("read: value\n"));
    assert!(place.ok(&["explain", "p", "read", "k", "--on", &other]).starts_with("read: refused\n"));
    let stopped: Json = serde_json::from_str(&place.ok(&[&["explain", "p"][..], &read].concat())).unwrap();
    assert_eq!(stopped, running);
    assert!(place.ok(&["explain", "p"]).starts_with("recovery: opens"));
    place.run(&["explain", "nowhere"]).is(Reason::DirNotFound);
}

/// Numbers and text of a flat array.
fn flat(value: Value) -> Vec<Value> {
    let Value::Array(values) = value else { panic!("{value:?}") };
    values
}

fn point(values: &[Value]) -> LogPoint {
    let [Value::Integer(commit), Value::Integer(position), Value::Bulk(history)] = values else { panic!("{values:?}") };
    let history = u64::from_str_radix(std::str::from_utf8(history).unwrap(), 16).unwrap();
    LogPoint {
        commit: aerodb::CommitId(*commit as u64),
        position: Position(*position as u64),
        history: aerodb::History(history),
    }
}

/// RESP-TURN: what the commands say of a log of many segments is what its records say, in pages that are bounded.
#[test]
fn the_commands_of_the_log_tell_it_as_it_is() {
    let disk = SimDisk::new();
    Database::init(&init_options(&disk, tiny())).unwrap();
    let served = Served::new(Database::open(aerodb::Options { retention: Retention::All, ..options(&disk) }).unwrap());
    let mut dice = Dice(5);
    for number in 0..2500u64 {
        let long = if number % 500 == 499 { 2_000_000 } else { dice.below(200) };
        served.db.commit(batch(&vec![(number.to_be_bytes().to_vec(), Some(vec![7; long as usize]))])).unwrap();
    }
    let log = served.db.log().clone();
    let end = served.db.extent().durable;
    let mut cursor = LogCursor::open(log.disk.clone(), &log.directory, log.lineage, Position(0), end).unwrap();
    let genesis = cursor.point();
    let mut records = Vec::new();
    while let Some((record, bytes)) = cursor.next_record().unwrap() {
        records.push((record.before, record.content.kind().name(), bytes.to_vec(), record.after));
    }
    let mut client = served.client();

    let segments = flat(client.ask("AERO.SEGMENTS"));
    let points: Vec<LogPoint> = segments.chunks(3).map(point).collect();
    assert!(points.len() > 70, "more segments than a turn reads: {}", points.len());
    assert_eq!((points[0], points[1]), (end, genesis));
    for start in &points[1..] {
        assert!(records.iter().any(|(before, ..)| before == start), "{start}");
    }
    let sealed = records.iter().filter(|(_, kind, ..)| *kind == "seal").count();
    assert!([sealed, sealed + 1].contains(&(points.len() - 1)));

    let (mut at, mut next) = (genesis, records.iter());
    while at != end {
        let page = flat(client.ask(&format!("AERO.LOG {}", at.position)));
        assert_eq!(point(&page[..3]), at);
        assert!(page.len() > 3 && page.len() <= 3 + 5 * 1000, "{}", page.len());
        for said in page[3..].chunks(5) {
            let (before, kind, bytes, after) = next.next().unwrap();
            assert_eq!(*before, at);
            assert_eq!(
                (&said[0], &said[1], point(&said[2..])),
                (&served::bulk(kind), &Value::Integer(bytes.len() as i64), *after)
            );
            at = *after;
        }
    }
    assert!(next.next().is_none());
    for (before, _, bytes, _) in
        records.iter().step_by(37).chain(records.iter().filter(|(_, _, bytes, _)| bytes.len() > 1 << 20))
    {
        assert_eq!(point(&flat(client.ask(&format!("AERO.HISTORY {}", before.position)))), *before);
        assert_eq!(client.ask(&format!("AERO.HISTORY {}", before.position.0 + 8)), Value::NullArray);
        let record = flat(client.ask(&format!("AERO.RECORD {}", before.position)));
        assert_eq!((point(&record[..3]), &record[3]), (*before, &Value::Integer(bytes.len() as i64)));
        assert_eq!(record[4], served::bulk(&bytes[..bytes.len().min(64 * 1024)]));
    }
    assert_eq!(point(&flat(client.ask(&format!("AERO.HISTORY {}", end.position)))), end);
    assert_eq!(flat(client.ask(&format!("AERO.LOG {}", end.position))).len(), 3);
    assert_eq!(flat(client.ask("AERO.LOG 0 COUNT 1")).len(), 8);

    let runs = flat(client.ask("AERO.RUNS"));
    let status = served.db.status();
    assert_eq!(point(&runs[..3]), status.checkpoint);
    let said: Vec<_> = runs[3..].chunks(3).map(|run| run.to_vec()).collect();
    let wanted = status.runs.iter().map(|run| {
        vec![
            served::bulk(run.id.file_name()),
            Value::Integer(run.size as i64),
            served::bulk(format!("{:032x}", run.hash)),
        ]
    });
    assert_eq!(said, wanted.collect::<Vec<_>>());

    let refused = |client: &mut Client, request: &str, expected: &str| {
        let Value::Error(told) = client.ask(request) else { panic!("{request}") };
        assert!(told.starts_with(expected.as_bytes()), "{request}: {}", told.escape_ascii());
    };
    for request in
        ["AERO.HISTORY 99999999999", "AERO.LOG 99999999999", "AERO.RECORD 99999999999", "AERO.LOG 8", "AERO.RECORD 8"]
    {
        refused(&mut client, request, "ERR wal.beyond_end ");
    }
    refused(&mut client, &format!("AERO.RECORD {}", end.position), "ERR wal.beyond_end ");
    for request in ["AERO.HISTORY x", "AERO.HISTORY -1", "AERO.LOG x", "AERO.RECORD 18446744073709551615"] {
        refused(&mut client, request, "ERR value is not an integer or out of range");
    }
    for request in ["AERO.LOG 0 COUNT", "AERO.LOG 0 LIMIT 3"] {
        refused(&mut client, request, "ERR syntax error");
    }
    refused(&mut client, "AERO.LOG 0 COUNT 0", "ERR value is out of range");
}

/// Log that retention has removed is retired, and not missing.
#[test]
fn the_commands_of_the_log_know_what_was_retired() {
    let disk = SimDisk::new();
    Database::init(&init_options(&disk, tiny())).unwrap();
    let served = Served::new(Database::open(options(&disk)).unwrap());
    for number in 0..400u64 {
        served.db.commit(batch(&vec![(number.to_be_bytes().to_vec(), Some(vec![7; 50]))])).unwrap();
    }
    served.db.checkpoint().unwrap();
    served.db.commit(batch(&vec![(b"k".to_vec(), None)])).unwrap();
    assert!(served.db.extent().oldest > Position(0));
    let mut client = served.client();
    for request in ["AERO.HISTORY 0", "AERO.LOG 0", "AERO.RECORD 0"] {
        let Value::Error(told) = client.ask(request) else { panic!("{request}") };
        assert!(told.starts_with(b"ERR wal.retired "), "{}", told.escape_ascii());
    }
    let segments = flat(client.ask("AERO.SEGMENTS"));
    assert_eq!(point(&segments[3..6]).position, served.db.extent().oldest);
}

/// A server that answers each command with bytes of its own, until the client has gone.
fn peer(answers: impl Fn(&str) -> Vec<u8> + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut decoder = Decoder::new(aerodb::resp::Limits::default());
        let mut buffer = [0; 1000];
        while let Ok(received @ 1..) = stream.read(&mut buffer) {
            let mut input = &buffer[..received];
            while let Some(request) = decoder.next(&mut input).unwrap() {
                let words: Vec<String> = request.args().map(|word| word.escape_ascii().to_string()).collect();
                if stream.write_all(&answers(&words.join(" "))).is_err() {
                    return;
                }
            }
        }
    });
    address
}

/// What a hostile server says is bounded and refused, whatever it says and where.
#[test]
fn a_server_that_answers_what_no_server_should_is_not_understood() {
    let place = Place::with_node();
    for key in 0..5 {
        place.ok(&["put", "d", &key.to_string(), "v"]);
    }
    let real = Running::start(&place, &["serve", "--data", "d", "--listen", "127.0.0.1:0"]);
    let mut client = real.client();
    let Value::Bulk(info) = client.ask("INFO aerodb") else { panic!() };
    let info = String::from_utf8(info).unwrap();
    let segments = flat(client.ask("AERO.SEGMENTS"));
    let page = flat(client.ask("AERO.LOG 0"));
    drop(client);
    drop(real);
    place.ok(&["backup", "d", "saved"]);
    place.ok(&["put", "d", "more", "v"]);

    let bulk = |text: &str| format!("${}\r\n{text}\r\n", text.len());
    let encode = move |values: &[Value]| {
        let mut text = format!("*{}\r\n", values.len());
        for value in values {
            text += &if let Value::Integer(number) = value {
                format!(":{number}\r\n")
            } else {
                let Value::Bulk(bytes) = value else { panic!("{value:?}") };
                bulk(std::str::from_utf8(bytes).unwrap())
            };
        }
        text
    };
    let runs = |file: &str| {
        let hash = "0".repeat(32);
        format!("*6\r\n:9\r\n:9\r\n$16\r\n{}\r\n{}:7\r\n{}", "0".repeat(16), bulk(file), bulk(&hash))
    };
    let changed = |values: &[Value], at: usize, value: Value| {
        let mut values = values.to_vec();
        values[at] = value;
        encode(&values)
    };
    let honest_info = bulk(&info);
    let honest_segments = encode(&segments);
    let (number, text) = (|number| Value::Integer(number), |text: &str| Value::Bulk(text.as_bytes().to_vec()));
    let no_runs = encode(&segments[3..6]);
    let cases: Vec<(&str, String)> = vec![
        ("INFO", ":7\r\n".into()),
        ("INFO", bulk("role:primary\r\n")),
        ("INFO", bulk(&info.replace("epoch:1", "epoch:+1"))),
        ("INFO", "$1073741824\r\n".into()),
        ("AERO.RUNS", "*2\r\n:1\r\n:1\r\n".into()),
        ("AERO.RUNS", "*9223372036854775807\r\n".into()),
        ("AERO.RUNS", runs("x.run")),
        ("AERO.RUNS", runs("00-00000000000000000002-00000000000000000003.run")),
        ("AERO.RUNS", runs("00-00000000000000000001-00000000000000000099.run")),
        ("AERO.RUNS", runs("../../00-00000000000000000001-00000000000000000002.run")),
        ("AERO.SEGMENTS", "*0\r\n".into()),
        ("AERO.SEGMENTS", "*3000000003\r\n".into()),
        ("AERO.SEGMENTS", "*9223372036854775807\r\n".into()),
        ("AERO.SEGMENTS", changed(&segments, 4, number(-1))),
        ("AERO.SEGMENTS", changed(&segments, 4, number(i64::MAX))),
        ("AERO.SEGMENTS", changed(&segments, 2, text("+000000000000001"))),
        ("AERO.SEGMENTS", encode(&[&segments[..], &segments[3..6]].concat())),
        ("AERO.LOG", "*3\r\n:0\r\n:0\r\n$16\r\n0000000000000000\r\n".into()),
        ("AERO.LOG", "*5008\r\n".into()),
        ("AERO.LOG", encode(&page[..3])),
        ("AERO.LOG", changed(&page, 1, number(8))),
        ("AERO.LOG", changed(&page, 2, text("0000000000000000"))),
        ("AERO.LOG", changed(&page, 3, text("merge"))),
        ("AERO.LOG", changed(&page, 4, number(0))),
        ("AERO.LOG", changed(&page, 4, number(i64::MAX))),
        ("AERO.LOG", changed(&page, 5, number(9))),
        ("AERO.LOG", changed(&page, 6, number(1 << 40))),
        ("AERO.LOG", "HTTP/1.1 400 Bad Request\r\n".into()),
    ];
    for (command, hostile) in cases {
        let [info, segments, page] = [honest_info.clone(), honest_segments.clone(), encode(&page)];
        let (answer, no_runs) = (hostile.clone(), no_runs.clone());
        let address = peer(move |request| {
            let name = request.split(' ').next().unwrap();
            let honest = match name {
                "AERO.COMMITID" => ":5\r\n",
                "INFO" => &info,
                "AERO.RUNS" => &no_runs,
                "AERO.SEGMENTS" => &segments,
                "AERO.LOG" => &page,
                other => panic!("{other}"),
            };
            if name == command { answer.clone().into_bytes() } else { honest.as_bytes().to_vec() }
        });
        let said = place.run(&["compare", &address, "d"]);
        assert!(said.stderr.contains("error[server.not_understood]"), "{command} {hostile:?}: {said:?}");
        said.is(Reason::ServerNotUnderstood);
    }
}

/// What is a path and what an address: a prefix decides, then what exists.
#[test]
fn a_directory_that_is_named_like_an_address_is_a_directory() {
    let place = Place::new();
    place.ok(&["init", "localhost:1"]);
    place.shell("cp -r localhost:1 d").is_silent_success();
    place.ok(&["compare", "localhost:1", "d"]);
    place.refused(&["compare", "addr:localhost:1", "d"], Reason::ServerUnreachable);
    place.refused(&["compare", "addr:nothing", "d"], Reason::CliInput);
    place.refused(&["compare", "nothing", "d"], Reason::DirNotFound);
    place.refused(&["compare", "d", "./d"], Reason::DirLocked);
    place.refused(&["compare", "localhost:1", "d", "--scratch", "d"], Reason::BackupInside);
}
