//! The commands against a server (`--addr`): what they send, what they make of the answers, and of a server that fails them.
//!
//! The peer is a real socket and a script: so an answer can be one that no server should give, and end anywhere. The real server
//! answers in `tests/remote_parity.rs`.

#![cfg(all(feature = "cli", feature = "server"))]

mod binary;

use aerodb::Reason;
use aerodb::resp::Decoder;
use binary::{Place, Said};
use serde_json::json;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread::{self, JoinHandle};

/// One connection: what is expected to arrive, and what is answered to it.
struct Peer {
    address: String,
    done: JoinHandle<()>,
}

/// A request in words, and the bytes that answer it.
type Turn = (&'static str, &'static str);

/// Where a commit ends in the log.
const EIGHT: &str = "*3\r\n:8\r\n:640\r\n$16\r\n0123456789abcdef\r\n";
const NINE: &str = "*3\r\n:9\r\n:680\r\n$16\r\nfedcba9876543210\r\n";

const HELLO: Turn = ("AERO.COMMITID", ":7\r\n");

impl Peer {
    /// Takes one connection and plays the script; what arrives behind it is a failure. Then it ends the connection.
    fn new(script: &[Turn]) -> Peer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let script = script.to_vec();
        let done = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut decoder = Decoder::new(aerodb::resp::Limits::default());
            let mut turns = script.iter();
            let mut buffer = [0; 1000];
            while turns.len() > 0 {
                let received = stream.read(&mut buffer).unwrap();
                let mut input = &buffer[..received];
                assert!(received > 0, "the client ended before {:?}", turns.as_slice());
                while let Some(request) = decoder.next(&mut input).unwrap() {
                    let (expected, answer) = turns.next().expect("no further request");
                    let words: Vec<String> = request.args().map(|word| word.escape_ascii().to_string()).collect();
                    assert_eq!(words.join(" "), *expected);
                    stream.write_all(answer.as_bytes()).unwrap();
                }
            }
        });
        Peer { address, done }
    }

    fn run(self, arguments: &[&str]) -> Said {
        let said = Place::new().run(&self.place(arguments));
        self.done.join().unwrap();
        said
    }

    /// The arguments with the address behind the command.
    fn place<'a>(&'a self, arguments: &[&'a str]) -> Vec<&'a str> {
        [&arguments[..1], &["--addr", &self.address], &arguments[1..]].concat()
    }
}

/// What a command prints, with and without `--json`.
fn printed(script: &[Turn], arguments: &[&str]) -> [String; 2] {
    [&[][..], &["--json"]].map(|options| {
        let arguments = [&arguments[..1], options, &arguments[1..]].concat();
        let said = Peer::new(script).run(&arguments);
        said.is_silent_success();
        String::from_utf8(said.stdout).unwrap()
    })
}

/// The command is refused for this reason; what it told.
fn refused(script: &[Turn], arguments: &[&str], reason: Reason) -> String {
    let said = Peer::new(script).run(arguments);
    said.is(reason);
    assert!(said.stdout.is_empty(), "{said:?}");
    said.stderr
}

#[test]
fn get_reads_at_the_newest_commit_or_at_the_one_that_is_asked_for() {
    let newest = ("AERO.AT 7 GET \\xff", "$5\r\nr\r\nd\x00\r\n");
    let [text, json] = printed(&[HELLO, newest], &["get", "\\xff"]);
    assert_eq!(text, "r\\x0d\\nd\\x00\n");
    assert_eq!(json, "{\"commit\":7,\"key\":{\"hex\":\"ff\"},\"value\":{\"hex\":\"720d0a6400\"}}\n");
    let [text, json] = printed(&[HELLO, ("AERO.AT 3 GET k", "$0\r\n\r\n")], &["get", "--at", "3", "k"]);
    assert_eq!(
        (text.as_str(), json.as_str()),
        ("\n", "{\"commit\":3,\"key\":{\"text\":\"k\"},\"value\":{\"text\":\"\"}}\n")
    );
    let said = Peer::new(&[HELLO, ("AERO.AT 7 GET k", "$2\r\n\n\x01\r\n")]).run(&["get", "--raw", "k"]);
    said.is_silent_success();
    assert_eq!(said.stdout, b"\n\x01");
    let told = refused(&[HELLO, ("AERO.AT 7 GET k", "$-1\r\n")], &["get", "k"], Reason::KeyAbsent);
    assert!(told.contains("[key=k, commit=7]"), "{told}");
}

#[test]
fn put_and_del_are_one_request_and_tell_the_commit() {
    let put = [HELLO, ("MSET a 1 b 2", "+OK\r\n"), ("AERO.LAST POINT", EIGHT)];
    assert_eq!(
        printed(&put, &["put", "a", "1", "b", "2"]),
        ["commit 8\n", "{\"commit\":8,\"history\":\"0123456789abcdef\",\"position\":640}\n"]
    );
    let del = [HELLO, ("DEL a b", ":1\r\n"), ("AERO.LAST POINT", NINE)];
    assert_eq!(
        printed(&del, &["del", "a", "b"]),
        ["commit 9\n", "{\"commit\":9,\"history\":\"fedcba9876543210\",\"position\":680}\n"]
    );
    let nothing = [HELLO, ("DEL a", ":0\r\n"), ("AERO.LAST POINT", "$-1\r\n")];
    let none = "{\"commit\":null,\"history\":null,\"position\":null}\n";
    assert_eq!(printed(&nothing, &["del", "a"]), ["no commit: none of the keys has a value\n", none]);
    let dash = [HELLO, ("MSET --addr -v", "+OK\r\n"), ("AERO.LAST POINT", EIGHT)];
    assert_eq!(printed(&dash, &["put", "--", "--addr", "-v"])[0], "commit 8\n");
}

#[test]
fn the_value_of_a_put_may_come_from_a_file_or_a_pipe() {
    let place = Place::new();
    std::fs::write(place.path("v"), b"\x00\n").unwrap();
    let script = [HELLO, ("MSET k \\x00\\n", "+OK\r\n"), ("AERO.LAST POINT", EIGHT)];
    let peer = Peer::new(&script);
    assert_eq!(place.ok(&peer.place(&["put", "k", "--value-file", "v"])), "commit 8\n");
    let peer = Peer::new(&script);
    let said = place.run_with_input(&peer.place(&["put", "k", "--value-file", "-"]), b"\x00\n");
    assert_eq!((said.status, said.stdout.as_slice()), (0, &b"commit 8\n"[..]));
}

#[test]
fn a_scan_is_one_commit_and_a_row_a_line() {
    let rows = "*4\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\nb\r\n$1\r\n\n\r\n";
    let all = [HELLO, ("AERO.RANGE   LIMIT 1000 AT 7", rows)];
    let json = "{\"key\":{\"text\":\"a\"},\"value\":{\"text\":\"1\"}}\n{\"key\":{\"text\":\"b\"},\"value\":{\"hex\":\"0a\"}}\n";
    assert_eq!(printed(&all, &["scan"]), ["a\t1\nb\t\\n\n", json]);
    let part = [HELLO, ("AERO.RANGE a c LIMIT 2 AT 5 REV", "*4\r\n$1\r\nb\r\n$0\r\n\r\n$1\r\na\r\n$0\r\n\r\n")];
    let [text, _] = printed(&part, &["scan", "--from", "a", "--to", "c", "--limit", "2", "--at", "5", "--reverse"]);
    assert_eq!(text, "b\t\na\t\n");
    let prefix = [HELLO, ("AERO.RANGE a\\xff b LIMIT 1000 AT 7", "*0\r\n")];
    assert_eq!(printed(&prefix, &["scan", "--prefix", "a\\xff"]), ["", ""]);
    let readable = ("AERO.AT 7 EXISTS ", ":0\r\n");
    assert_eq!(printed(&[HELLO, readable], &["scan", "--to", ""]), ["", ""], "no key is smaller than the empty one");
    refused(&[HELLO, readable], &["scan", "--from", "a", "--to", ""], Reason::RangeInvalid);
    refused(&[HELLO, readable], &["scan", "--limit", "0"], Reason::RangeInvalid);
}

#[test]
fn a_long_scan_goes_on_behind_its_last_row() {
    let page = |from: u32, count: u32| {
        let rows = (from..from + count).map(|number| format!("$4\r\n{number:04}\r\n$1\r\nv\r\n"));
        format!("*{}\r\n{}", 2 * count, rows.collect::<String>()).leak()
    };
    let pages = [
        HELLO,
        ("AERO.RANGE   LIMIT 1000 AT 7", &*page(0, 1000)),
        ("AERO.RANGE 0999\\x00  LIMIT 1000 AT 7", &*page(1000, 1000)),
        ("AERO.RANGE 1999\\x00  LIMIT 1000 AT 7", &*page(2000, 3)),
    ];
    let lines: Vec<String> = (0..2003).map(|number| format!("{number:04}\tv\n")).collect();
    assert_eq!(printed(&pages, &["scan"])[0], lines.concat());
    let limited = [pages[0], pages[1], ("AERO.RANGE 0999\\x00  LIMIT 5 AT 7", &*page(1000, 5))];
    assert_eq!(printed(&limited, &["scan", "--limit", "1005"])[0], lines[..1005].concat());
}

const INFO: &str = "# Aerodb\r\ndatabase:00000000000000000000000000000001\r\nnode:0000000000000000000000000000000a\r\n\
    role:primary\r\nepoch:1\r\nsegment_bytes:65536\r\ntable_bytes:4096\r\nblock_bytes:256\r\nfanout:4\r\ncommit:7\r\nfloor:2\r\n\
    durable_position:640\r\ndurable_history:0123456789012345\r\ndurable_commit:7\r\n\
    checkpoint_position:400\r\ncheckpoint_history:5432109876543210\r\ncheckpoint_commit:5\r\nlog_oldest:200\r\n\
    recovery_checkpoint_position:400\r\nrecovery_checkpoint_history:5432109876543210\r\nrecovery_checkpoint_commit:5\r\n\
    recovery_end_position:620\r\nrecovery_end_history:0000000000000002\r\nrecovery_end_commit:6\r\n\
    recovery_step_log:found a=1\r\nrecovery_step_locking:\r\nrecovery_step_unknown:x\r\n\
    recovery_proven_from:300\r\nrecovery_marked_position:600\r\nrecovery_marked_history:0000000000000001\r\nrecovery_marked_commit:6\r\n\
    recovery_records_replayed:2\r\nrecovery_torn_bytes:3\r\nrecovery_unproven_bytes:5\r\nrecovery_roll_finished:true\r\nrecovery_removed_0:a\r\nrecovery_removed_1:b\r\n\
    committer:Syncing\r\ncommitter_blocked:\r\nmaintenance:Idle\r\nmaintenance_blocked:three tables wait\r\nsealed_tables:3\r\n\
    runs:2\r\nrun_bytes:4096\r\nrun_0_file:01-00000000000000000001-00000000000000000004.run\r\nrun_0_bytes:4000\r\nrun_0_hash:0f\r\n\
    run_1_file:no run\x1b[2J\r\nrun_1_bytes:96\r\nrun_1_hash:f0\r\nmerges_due:0\r\nproofs_logged:9\r\n\
    proofs_compared:4\r\nproofs_waiting:3\r\nproofs_missed:2\r\nproofs_owed:1\r\nviews:1\r\ncheckpoints:1\r\nhalted:\r\n\
    write_fault:disk.full: the disk is full\r\nfeeding_at:127.0.0.1:6381\r\nfeeding_connections:5\r\nfeeding_refused:3\r\n\
    feed_0_node:0000000000000000000000000000000b\r\nfeed_0_address:10.0.0.2:4000\r\nfeed_0_state:parked\r\nfeed_0_sent:640\r\nfeed_0_asked:9000\r\n\
    feed_1_node:0000000000000000000000000000000c\r\nfeed_1_purpose:snapshot\r\nfeed_1_address:[::1]:4001\r\nfeed_1_state:copying\r\n\
    feed_1_sent:8\r\nfeed_1_asked:64\r\nfeed_1_bytes:4096\r\n\
    unknown:of a later version\r\n";

#[test]
fn status_shows_what_the_server_says_of_itself() {
    let info = format!("${}\r\n{INFO}\r\n", INFO.len()).leak();
    let [text, printed] = printed(&[HELLO, ("INFO aerodb", info)], &["status"]);
    let expected = "role           primary\n\
        database       00000000000000000000000000000001\n\
        node           0000000000000000000000000000000a\n\
        epoch          1\n\
        segment bytes  65536\n\
        table bytes    4096\n\
        block bytes    256\n\
        fanout         4\n\
        commit         7\n\
        floor          2\n\
        durable        position 640 history 0123456789012345 commit 7\n\
        checkpoint     position 400 history 5432109876543210 commit 5\n\
        log from       position 200\n\
        proven from    position 300\n\
        replayed       2 records, from 400 to 620\n\
        torn tail      3 bytes dropped\n\
        unproven       5 bytes dropped\n\
        recovery       locking: \n\
        \x20              log: found a=1\n\
        runs           2, 4096 bytes, 0 merges due\n\
        \x20              01-00000000000000000001-00000000000000000004.run 4000 bytes xxh3-128 0f\n\
        \x20              no run\\u{1b}[2J 96 bytes xxh3-128 f0\n\
        sealed tables  3\n\
        proofs         9 logged: 4 compared, 3 waiting, 2 missed, 1 owed\n\
        views          1\n\
        checkpoints    1 pinned\n\
        committer      Syncing\n\
        maintenance    Idle, blocked: three tables wait\n\
        halted         no\n\
        write fault    disk.full: the disk is full\n\
        feeds at       127.0.0.1:6381, 3 refused\n\
        \x20              0000000000000000000000000000000b at 10.0.0.2:4000: parked, sent 640, asked 9000\n\
        \x20              0000000000000000000000000000000c at [::1]:4001: snapshot, copying, sent 8 of 4096 bytes, asked 64\n";
    assert_eq!(text, expected);
    let printed: serde_json::Value = serde_json::from_str(&printed).unwrap();
    assert_eq!((&printed["identity"]["role"], &printed["identity"]["block_bytes"]), (&json!("primary"), &json!(256)));
    assert_eq!(printed["durable"], json!({"position": 640, "history": "0123456789012345", "commit": 7}));
    assert_eq!(printed["checkpoint"], json!({"position": 400, "history": "5432109876543210", "commit": 5}));
    let run = json!({"file": "01-00000000000000000001-00000000000000000004.run", "level": 1, "first": 1, "last": 4, "bytes": 4000, "hash": "0f"});
    let no_run =
        json!({"file": "no run\u{1b}[2J", "level": null, "first": null, "last": null, "bytes": 96, "hash": "f0"});
    assert_eq!((&printed["runs"], &printed["log_oldest"]), (&json!([run, no_run]), &json!(200)));
    let marked = json!({"position": 600, "history": "0000000000000001", "commit": 6});
    let (checkpoint, end) =
        (&printed["checkpoint"], json!({"position": 620, "history": "0000000000000002", "commit": 6}));
    let steps = json!([{"step": "locking", "evidence": ""}, {"step": "log", "evidence": "found a=1"}]);
    let recovery = json!({"checkpoint": checkpoint, "end": end, "steps": steps, "proven_from": 300, "marked": marked, "records_replayed": 2, "torn_bytes": 3, "unproven_bytes": 5, "roll_finished": true, "removed": ["a", "b"]});
    assert_eq!(printed["recovery"], recovery);
    assert_eq!(printed["proofs"], json!({"logged": 9, "compared": 4, "waiting": 3, "missed": 2, "owed": 1}));
    assert_eq!(printed["maintenance"], json!({"state": "Idle", "blocked": "three tables wait"}));
    assert_eq!((&printed["floor"], &printed["halted"]), (&json!(2), &json!(null)));
    let feed = json!({"node": "0000000000000000000000000000000c", "purpose": "snapshot", "address": "[::1]:4001", "state": "copying", "sent": 8, "asked": 64, "bytes": 4096});
    assert_eq!((&printed["checkpoints"], &printed["feeding"]["feeds"][0]["bytes"]), (&json!(1), &json!(null)));
    assert_eq!((&printed["feeding"]["refused"], &printed["feeding"]["feeds"][1]), (&json!(3), &feed));
}

#[test]
fn a_refusal_is_that_of_the_code_it_names() {
    let at = (
        "AERO.AT 1 GET k",
        "-UNSAFE view.below_floor The view lies below the floor: older versions may be gone. [view=1, floor=2] Read at the floor or above it.\r\n",
    );
    let told = refused(&[HELLO, at], &["get", "--at", "1", "k"], Reason::ViewBelowFloor);
    assert!(told.contains(", told=view=1, floor=2]\nremedy"), "{told}");
    let plain = ("MSET k v", "-MISCONF commit.stopped\r\n");
    let told = refused(&[HELLO, plain, ("AERO.LAST POINT", "$-1\r\n")], &["put", "k", "v"], Reason::CommitStopped);
    assert!(!told.contains("told"), "{told}");
    let other = ("AERO.COMMITID", "-ERR unknown command 'AERO.COMMITID', with args beginning with: \r\n");
    let told = refused(&[other], &["put", "k", "v"], Reason::ServerRefused);
    assert!(told.contains("told=ERR unknown command"), "{told}");
    refused(&[("AERO.COMMITID", "-ERR view.unheard_of x\r\n")], &["get", "k"], Reason::ServerRefused);
    refused(&[("AERO.COMMITID", "-\r\n")], &["get", "k"], Reason::ServerRefused);
}

/// D-ACK: what was not answered may have been made, and is told so; what was never sent was not.
#[test]
fn a_write_that_is_not_answered_is_unknown() {
    let write = ["put", "k", "v"];
    let answers = [
        "",
        "+OK",
        "+OK\r\n",
        "+OK\r\n:",
        "HTTP/1.1 400 Bad Request\r\n",
        "+OK\r\n+OK\r\n",
        "+OK\r\n-ERR no\r\n",
        "*1\r\n",
        "+OK\r\n:8\r\n",
        "+OK\r\n*2\r\n:8\r\n:640\r\n",
        "+OK\r\n*3\r\n:8\r\n:640\r\n$16\r\n+123456789abcdef\r\n",
        "+OK\r\n*3\r\n:8\r\n:-1\r\n$16\r\n0123456789abcdef\r\n",
    ];
    for answer in answers {
        let told = refused(&[HELLO, ("MSET k v", answer), ("AERO.LAST POINT", "")], &write, Reason::CommitUnknown);
        assert!(told.contains("problem="), "{told}");
    }
    refused(&[("AERO.COMMITID", ":7")], &write, Reason::ServerUnreachable);
    refused(&[("AERO.COMMITID", "HTTP/1.1 400 Bad Request\r\n")], &write, Reason::ServerNotUnderstood);
    refused(&[("AERO.COMMITID", ":-1\r\n")], &write, Reason::ServerNotUnderstood);
}

#[test]
fn a_read_whose_answer_is_no_answer_is_refused() {
    for (answer, reason) in [
        ("$5\r\nab", Reason::ServerUnreachable),
        (":5\r\n", Reason::ServerNotUnderstood),
        ("*1\r\n$1\r\na\r\n", Reason::ServerNotUnderstood),
        ("$9999999999999\r\n", Reason::ServerNotUnderstood),
        ("$1\r\nab\r\n", Reason::ServerNotUnderstood),
    ] {
        refused(&[HELLO, ("AERO.AT 7 GET k", answer)], &["get", "k"], reason);
    }
    for (answer, reason) in [
        ("*2\r\n$1\r\na\r\n", Reason::ServerUnreachable),
        ("*1\r\n$1\r\na\r\n", Reason::ServerNotUnderstood),
        ("$1\r\na\r\n", Reason::ServerNotUnderstood),
        ("*2\r\n$1\r\na\r\n:1\r\n", Reason::ServerNotUnderstood),
        ("*2\r\n$1\r\na\r\n*0\r\n", Reason::ServerNotUnderstood),
        ("*4\r\n", Reason::ServerNotUnderstood),
        ("*2\r\n$1\r\nc\r\n$1\r\nv\r\n", Reason::ServerNotUnderstood),
        ("*2\r\n$1\r\na\r\n-UNSAFE store.block_corrupt x\r\n", Reason::StoreBlockCorrupt),
    ] {
        refused(
            &[HELLO, ("AERO.RANGE a c LIMIT 1 AT 7", answer)],
            &["scan", "--from", "a", "--to", "c", "--limit", "1"],
            reason,
        );
    }
    let twice = "*4\r\n$1\r\na\r\n$1\r\nv\r\n$1\r\na\r\n$1\r\nv\r\n";
    let said = Peer::new(&[HELLO, ("AERO.RANGE   LIMIT 1000 AT 7", twice)]).run(&["scan"]);
    said.is(Reason::ServerNotUnderstood);
    assert_eq!(said.stdout, b"a\tv\n", "the row that was in order");
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let place = Place::new();
    for command in [&["get", "k"][..], &["put", "k", "v"], &["del", "k"], &["scan"], &["status"]] {
        let arguments = [&command[..1], &["--addr", &free], &command[1..]].concat();
        let told = place.refused(&arguments, Reason::ServerUnreachable);
        assert!(told.contains(&format!("[server={free}, ")), "{told}");
    }
    for wrong in ["", "localhost", ":6380", "localhost:", "localhost:http", "localhost:65536", "localhost:-1"] {
        place.refused(&["get", &format!("--addr={wrong}"), "k"], Reason::CliInput);
    }
}

#[test]
fn a_server_takes_the_place_of_the_directory() {
    let place = Place::new();
    let address = ["--addr", "127.0.0.1:1"];
    let usage = |arguments: &[&str]| place.refused(arguments, Reason::CliUsage);
    usage(&[&["get"], &address[..], &["data", "k"]].concat());
    usage(&[&["get"], &address[..]].concat());
    usage(&[&["put"], &address[..], &["k"]].concat());
    usage(&[&["status"], &address[..], &["data"]].concat());
    usage(&[&["scan"], &address[..], &["--expect-role", "primary"]].concat());
    usage(&[&["wal"], &address[..], &["data"]].concat());
    usage(&["get", "--addr"]);
    // What a batch may not hold is refused before anything is sent.
    let long = "k".repeat(aerodb::limits::KEY_BYTES_MAX + 1);
    place.refused(&[&["put"], &address[..], &[&long, "v"]].concat(), Reason::BatchKeyTooLong);
}
