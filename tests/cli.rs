//! The `aerodb` binary as a person or a script sees it: what it prints, what it refuses, and with which exit status.
//!
//! Every test runs the real binary on the real disk. A refusal is looked at in both forms: on standard error, and as JSON.

#![cfg(feature = "cli")]

mod binary;

use aerodb::committer::Retention;
use aerodb::{Batch, Init, Node, Options, Parameters, Reason};
use binary::{Place, files};
use serde_json::json;
use std::path::Path;
use std::process::{Command, Stdio};

fn with_two_commits() -> Place {
    let place = Place::with_node();
    assert_eq!(place.ok(&["put", "d", "apple", "red", "plum", "blue"]), "commit 1\n");
    assert_eq!(place.ok(&["put", "d", "apple", "green"]), "commit 2\n");
    place
}

/// M-VIEW
#[test]
fn what_was_put_is_read_now_and_as_it_was() {
    let place = with_two_commits();
    assert_eq!(place.ok(&["get", "d", "apple"]), "green\n");
    assert_eq!(place.ok(&["get", "d", "apple", "--at", "1"]), "red\n");
    assert_eq!(place.ok(&["get", "--raw", "d", "apple"]), "green");
    let answer = json!({"key": {"text": "apple"}, "value": {"text": "green"}, "commit": 2});
    assert_eq!(place.json(&["get", "d", "apple"]), [answer]);
    assert_eq!(place.ok(&["del", "d", "apple", "absent"]), "commit 3\n");
    let error = place.refused(&["get", "d", "apple"], Reason::KeyAbsent);
    assert!(error.contains("[key=apple, commit=3]"), "{error}");
    place.refused(&["get", "--raw", "d", "apple"], Reason::KeyAbsent);
    assert_eq!(place.ok(&["get", "d", "apple", "--at", "2"]), "green\n");
}

#[test]
fn writes_answer_with_the_log_behind_them() {
    let place = Place::with_node();
    let put = place.json(&["put", "d", "a", "1"]).remove(0);
    assert_eq!(put["commit"], 1);
    let delete = place.json(&["del", "d", "a"]).remove(0);
    assert_eq!(delete["commit"], 2);
    let floor = place.json(&["floor", "d", "2"]).remove(0);
    assert_eq!((&floor["floor"], &floor["commit"]), (&json!(2), &json!(2)));
    let checkpoint = place.json(&["checkpoint", "d"]).remove(0);
    let positions = [&put, &delete, &floor, &checkpoint].map(|point| point["position"].as_u64().unwrap());
    assert!(positions.is_sorted() && positions[0] > 0, "{positions:?}");
    let log = place.json(&["wal", "d"]);
    let behind: Vec<_> = log.iter().filter(|line| line.get("next").is_some()).map(|line| &line["next"]).collect();
    assert_eq!(behind[0]["history"], put["history"]);
    assert_eq!(behind[3]["history"], checkpoint["history"]);
}

#[test]
fn a_scan_takes_ranges_prefixes_limits_and_directions() {
    let place = Place::with_node();
    place.ok(&["put", "d", "a", "1", "b", "2", "ba", "3", "c", "4"]);
    place.ok(&["del", "d", "c"]);
    let scan = |options: &[&str]| {
        let text = place.ok(&[&["scan", "d"], options].concat());
        text.lines().map(|line| line.split_once('\t').unwrap().0.to_owned()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(scan(&[]), "a b ba");
    assert_eq!(scan(&["--at", "1"]), "a b ba c");
    assert_eq!(scan(&["--reverse"]), "ba b a");
    assert_eq!(scan(&["--from", "b"]), "b ba");
    assert_eq!(scan(&["--to", "b"]), "a");
    assert_eq!(scan(&["--from", "a", "--to", "a"]), "");
    assert_eq!(scan(&["--from", "a", "--to", "ba", "--reverse", "--limit", "1"]), "b");
    assert_eq!(scan(&["--prefix", "b"]), "b ba");
    assert_eq!(scan(&["--prefix", "b", "--limit", "1"]), "b");
    assert_eq!(scan(&["--limit", "18446744073709551615"]), "a b ba");
    let rows = place.json(&["scan", "d", "--limit", "1"]);
    assert_eq!(rows, [json!({"key": {"text": "a"}, "value": {"text": "1"}})]);
    place.refused(&["scan", "d", "--limit", "0"], Reason::RangeInvalid);
    place.refused(&["scan", "d", "--from", "b", "--to", "a"], Reason::RangeInvalid);
    place.refused(&["scan", "d", "--from", "b", "--prefix", "a"], Reason::CliUsage);
}

#[test]
fn any_bytes_go_in_and_come_out_and_go_in_again() {
    let all: Vec<u8> = (0..=255).collect();
    let place = Place::with_node();
    std::fs::write(place.path("value"), &all).unwrap();
    place.ok(&["put", "d", "from file", "--value-file", "value"]);
    let said = place.run_with_input(&["put", "d", "from stdin", "--value-file", "-"], &all);
    assert_eq!((said.status, said.stdout.as_slice()), (0, &b"commit 2\n"[..]));
    assert_eq!(place.run(&["get", "--raw", "d", "from file"]).stdout, all);
    assert_eq!(place.run(&["get", "--raw", "d", "from stdin"]).stdout, all);

    let shown = place.ok(&["get", "d", "from file"]);
    let shown = shown.trim_end_matches('\n');
    assert!(shown.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{shown}");
    place.ok(&["put", "d", shown, shown]);
    let scanned = place.ok(&["scan", "d", "--prefix", "\\x00"]);
    assert_eq!(scanned, format!("{shown}\t{shown}\n"));
    assert_eq!(place.run(&["get", "--raw", "d", shown]).stdout, all);
    let hex: String = all.iter().map(|byte| format!("{byte:02x}")).collect();
    let object = place.json(&["scan", "d", "--prefix", "\\x00"]).remove(0);
    assert_eq!(object, json!({"key": {"hex": hex}, "value": {"hex": hex}}));

    place.ok(&["put", "d", "--", "-dash", "--json"]);
    assert_eq!(place.ok(&["scan", "d", "--prefix=-"]), "\\x2ddash\t\\x2d-json\n");
    assert_eq!(place.ok(&["get", "d", "\\x2ddash"]), "\\x2d-json\n");
    place.ok(&["put", "d", "-1", "-2.5"]);
    assert_eq!(place.ok(&["get", "--raw", "d", "-1"]), "-2.5");
    place.ok(&["put", "d", "", ""]);
    assert_eq!(place.ok(&["get", "d", ""]), "\n");
}

/// What is no regular file has no length to go by.
#[cfg(target_os = "linux")]
#[test]
fn a_value_comes_whole_from_whatever_can_be_read() {
    let place = Place::with_node();
    let large: Vec<u8> = (0..300_000_u32).map(|number| (number % 251) as u8).collect();
    for stdin in ["/dev/stdin", "/proc/self/fd/0"] {
        place.run_with_input(&["put", "d", "pipe", "--value-file", stdin], &large).is_silent_success();
        assert_eq!(place.run(&["get", "--raw", "d", "pipe"]).stdout, large, "{stdin}");
        place.ok(&["del", "d", "pipe"]);
    }
    assert!(Command::new("mkfifo").arg(place.path("fifo")).status().unwrap().success());
    let mut command = place.command(&["put", "d", "fifo", "--value-file", "fifo"]);
    let mut child = command.stdout(Stdio::null()).spawn().unwrap();
    // Opening waits for the command to open the other end.
    std::fs::write(place.path("fifo"), &large).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(place.run(&["get", "--raw", "d", "fifo"]).stdout, large);

    place.ok(&["put", "d", "proc", "--value-file", "/proc/self/status"]);
    assert!(place.ok(&["get", "--raw", "d", "proc"]).starts_with("Name:\taerodb\n"));
    place.refused(&["put", "d", "k", "--value-file", "/dev/zero"], Reason::BatchValueTooLong);
    place.ok(&["put", "d", "nothing", "--value-file", "/dev/null"]);
    assert_eq!(place.ok(&["get", "--raw", "d", "nothing"]), "");
}

#[test]
fn the_log_is_shown_record_by_record() {
    let place = with_two_commits();
    place.ok(&["del", "d", "plum\\n"]);
    place.ok(&["floor", "d", "2"]);
    place.ok(&["checkpoint", "d"]);
    let text = place.ok(&["wal", "d"]);
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
    let without_history = |line: &[&str]| [&line[..4], &line[5..]].concat().join(" ");
    assert_eq!(without_history(&lines[0]), "0 commit 1 72 put apple red put plum blue");
    assert_eq!(without_history(&lines[1]), "72 commit 2 56 put apple green");
    assert_eq!(without_history(&lines[2]), "128 commit 3 48 del plum\\n");
    assert_eq!(without_history(&lines[3]), "176 floor 3 40 2");
    assert_eq!(without_history(&lines[4]), "216 cut 3 40 checkpoint");
    assert!(lines[5][0].starts_with("# end: position 256 history "), "{text}");
    assert_eq!(place.ok(&["wal", "d", "--from", "72", "--to", "129"]).lines().count(), 3);
    assert_eq!(place.ok(&["wal", "d", "--from", "256"]).lines().count(), 1);

    let objects = place.json(&["wal", "d"]);
    assert_eq!(objects[2]["operations"], json!([{"op": "del", "key": {"hex": "706c756d0a"}}]));
    assert_eq!(objects[1]["operations"][0]["value"], json!({"text": "green"}));
    assert_eq!((&objects[3]["floor"], &objects[4]["purpose"]), (&json!(2), &json!("checkpoint")));
    assert_eq!(objects[4]["next"], objects[5]["end"]);
    assert_eq!(objects[5]["found_by"], "wal/MARK");

    place.refused(&["wal", "d", "--from", "1"], Reason::WalBeyondEnd);
    place.refused(&["wal", "d", "--from", "257"], Reason::WalBeyondEnd);
    place.refused(&["wal", "d", "--to", "257"], Reason::WalBeyondEnd);
    place.refused(&["wal", "d", "--from", "72", "--to", "0"], Reason::RangeInvalid);
}

#[test]
fn the_log_is_shown_without_a_store_and_beside_a_running_node() {
    let place = with_two_commits();
    let before = place.ok(&["wal", "d"]);
    std::fs::remove_dir_all(place.path("d/store")).unwrap();
    assert_eq!(place.ok(&["wal", "d"]), before);
    let place = with_two_commits();
    let node = Node::open(&Options::new(&place.path("d"))).unwrap();
    assert_eq!(place.ok(&["wal", "d"]).lines().count(), 3);
    node.close().unwrap();
}

/// R-AUTHORITY
#[test]
fn a_directory_of_another_identity_than_expected_is_refused() {
    let place = with_two_commits();
    let identity = place.json(&["status", "d"]).remove(0)["identity"].clone();
    let (database, node) = (identity["database"].as_str().unwrap(), identity["node"].as_str().unwrap());
    let other = "00000000000000000000000000000000";
    for command in [&["get", "d", "apple"][..], &["scan", "d"], &["wal", "d"], &["status", "d"], &["verify", "d"]] {
        let expecting = |option, value| [command, &[option, value]].concat();
        place.ok(&expecting("--expect-role", "standalone"));
        place.ok(&expecting("--expect-database", database));
        place.ok(&expecting("--expect-node", node));
        place.refused(&expecting("--expect-role", "replica"), Reason::IdentityOtherRole);
        place.refused(&expecting("--expect-database", other), Reason::IdentityOtherDatabase);
        place.refused(&expecting("--expect-node", other), Reason::IdentityOtherNode);
        place.refused(&expecting("--expect-node", "x"), Reason::CliInput);
    }
    place.refused(&["put", "d", "k", "v", "--expect-node", other], Reason::IdentityOtherNode);
    place.refused(&["backup", "d", "b", "--expect-node", other], Reason::IdentityOtherNode);
}

#[test]
fn init_takes_parameters_and_refuses_those_outside_the_limits() {
    let place = Place::new();
    let sizes = ["--segment-bytes", "4K", "--table-bytes", "1024", "--block-bytes", "1MiB", "--fanout", "2"];
    place.ok(&[&["init", "d"][..], &sizes].concat());
    let identity = place.json(&["status", "d"]).remove(0)["identity"].clone();
    assert_eq!((&identity["segment_bytes"], &identity["table_bytes"]), (&json!(4096), &json!(1024)));
    assert_eq!((&identity["block_bytes"], &identity["fanout"]), (&json!(1 << 20), &json!(2)));
    assert_eq!(place.json(&["init", "e"]).remove(0)["role"], "standalone");
    place.refused(&["init", "d"], Reason::DirNotEmpty);
    for wrong in [["--segment-bytes", "1"], ["--table-bytes", "2G"], ["--block-bytes", "8G"], ["--fanout", "17"]] {
        let error = place.refused(&["init", "f", wrong[0], wrong[1]], Reason::ConfigInvalid);
        assert!(error.contains("parameter=") && error.contains("limits="), "{error}");
    }
    place.refused(&["init", "f", "--fanout", "two"], Reason::CliInput);
    place.refused(&["init", "f", "--segment-bytes", "4KB"], Reason::CliInput);
    place.refused(&["init", "f", "--role", "leader"], Reason::CliUsage);
    place.refused(&["init", "absent/f"], Reason::DiskNameFailed);
    assert!(!place.path("f").exists());
}

/// R-WRITER
#[cfg(feature = "replication")]
#[test]
fn a_replica_is_read_but_makes_no_history() {
    let place = Place::new();
    place.ok(&["init", "d", "--role", "replica"]);
    assert_eq!(place.ok(&["scan", "d", "--expect-role", "replica"]), "");
    for command in [&["put", "d", "k", "v"][..], &["del", "d", "k"], &["floor", "d", "1"], &["checkpoint", "d"]] {
        place.refused(command, Reason::RoleNotWriter);
    }
    place.ok(&["init", "p", "--role", "primary"]);
    place.ok(&["put", "p", "k", "v", "--expect-role", "primary"]);
}

/// P5-I16
#[cfg(not(feature = "replication"))]
#[test]
fn without_replication_there_is_no_primary_and_no_replica() {
    let place = Place::new();
    place.refused(&["init", "d", "--role", "primary"], Reason::RoleCompiledOut);
    place.refused(&["init", "d", "--role", "replica"], Reason::RoleCompiledOut);
    place.ok(&["init", "d", "--role", "standalone"]);
}

/// R-WRITER
#[test]
fn a_directory_that_another_process_has_open_is_refused() {
    let place = with_two_commits();
    let node = Node::open(&Options::new(&place.path("d"))).unwrap();
    place.refused(&["put", "d", "apple", "black"], Reason::DirLocked);
    place.refused(&["get", "d", "apple"], Reason::DirLocked);
    drop(node);
    assert_eq!(place.ok(&["get", "d", "apple"]), "green\n");
}

#[test]
fn a_path_without_a_directory_is_refused_by_every_command() {
    let place = Place::new();
    std::fs::create_dir(place.path("empty")).unwrap();
    for dir in ["absent", "empty"] {
        for command in ["scan", "status", "checkpoint", "wal", "verify"] {
            place.refused(&[command, dir], Reason::DirNotFound);
        }
        place.refused(&["get", dir, "k"], Reason::DirNotFound);
        place.refused(&["put", dir, "k", "v"], Reason::DirNotFound);
        place.refused(&["del", dir, "k"], Reason::DirNotFound);
        place.refused(&["floor", dir, "1"], Reason::DirNotFound);
        place.refused(&["backup", dir, "out"], Reason::DirNotFound);
    }
    assert!(!place.path("absent").exists() && !place.path("out").exists());
    // What is wrong with the path itself is said as what it is: the path comes first in the remedy.
    std::fs::write(place.path("file"), "").unwrap();
    assert!(place.refused(&["get", "file", "k"], Reason::DiskNameFailed).contains("remedy: Check the path, "));
    assert!(place.refused(&["init", "absent/d"], Reason::DiskNameFailed).contains("remedy: Check the path, "));
}

#[test]
fn a_command_line_that_is_not_understood_is_refused() {
    let place = with_two_commits();
    place.run(&[]).is(Reason::CliUsage);
    place.refused(&["forget", "d"], Reason::CliUsage);
    place.refused(&["get", "d"], Reason::CliUsage);
    place.refused(&["get", "d", "k", "--colour"], Reason::CliUsage);
    place.refused(&["put", "d", "k"], Reason::CliUsage);
    place.refused(&["put", "d", "k", "v", "l"], Reason::CliUsage);
    place.refused(&["put", "d", "k", "v", "--value-file", "f"], Reason::CliUsage);
    place.run(&["get", "d", "k", "--raw", "--json"]).is(Reason::CliUsage);
    let error = place.refused(&["scna", "d"], Reason::CliUsage);
    assert!(error.contains("a similar subcommand exists: 'scan'"), "{error}");
}

#[test]
fn a_usage_error_is_told_without_saying_twice_how_to_get_help() {
    let place = with_two_commits();
    for wrong in [&["init"][..], &["get", "d", "k", "--at"], &["init", "e", "--role", "leader"], &["bench", "remote"]] {
        let said = place.run(wrong);
        said.is(Reason::CliUsage);
        assert!(!said.stderr.contains("For more information"), "{}", said.stderr);
    }
}

#[test]
fn long_keys_and_numbers_are_shown_by_their_beginning() {
    let place = with_two_commits();
    let long = "k".repeat(aerodb::limits::KEY_BYTES_MAX);
    let shown = format!("={}… ({} bytes)", "k".repeat(64), long.len());
    for (arguments, reason) in [
        (["get", "d", &long], Reason::KeyAbsent),
        (["floor", "d", &long], Reason::CliInput),
        (["get", "d", &format!("{}\\", &long[1..])], Reason::CliInput),
    ] {
        let error = place.refused(&arguments, reason);
        assert!(error.contains(&shown) && error.len() < 500, "{error}");
    }
}

#[test]
fn the_bench_tells_its_failures_like_every_command() {
    let place = with_two_commits();
    for scale in ["0", "nan", "-1"] {
        let said = place.run(&["bench", "local", "--scale", scale, "--json"]);
        said.is(Reason::ConfigInvalid);
        let object: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
        assert_eq!(object["error"]["evidence"]["limits"], "above 0, up to 1000");
    }
    let said = place.run(&["bench", "local", "--dir", "d", "--json"]);
    said.is(Reason::DirNotEmpty);
    let object: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!(object["error"]["code"], "dir.not_empty");
}

#[test]
fn input_that_cannot_be_read_is_refused() {
    let place = with_two_commits();
    place.refused(&["get", "d", "k", "--at", "-1"], Reason::CliInput);
    place.refused(&["scan", "d", "--limit", "-5"], Reason::CliInput);
    place.refused(&["floor", "d", "-1"], Reason::CliInput);
    place.refused(&["wal", "d", "--from", "-1"], Reason::CliInput);
    place.refused(&["get", "d", "k", "--expect-node", "-1"], Reason::CliInput);
    place.refused(&["get", "d", "a\\q"], Reason::CliInput);
    place.refused(&["put", "d", "k", "\\x0"], Reason::CliInput);
    place.refused(&["del", "d", "\\"], Reason::CliInput);
    place.refused(&["get", "d", "k", "--at", "1K"], Reason::CliInput);
    place.refused(&["scan", "d", "--limit", "ten"], Reason::CliInput);
    place.refused(&["floor", "d", "18446744073709551616"], Reason::CliInput);
    place.refused(&["wal", "d", "--from", "0x10"], Reason::CliInput);
    place.refused(&["put", "d", "k", "--value-file", "absent"], Reason::CliInput);
    place.refused(&["put", "d", "k", "--value-file", "."], Reason::CliInput);
    assert_eq!(place.ok(&["scan", "d"]).lines().count(), 2, "nothing was written");
}

#[test]
fn limits_of_keys_and_values_are_those_of_the_library() {
    let place = Place::with_node();
    let longest = "k".repeat(aerodb::limits::KEY_BYTES_MAX);
    place.ok(&["put", "d", &longest, "v"]);
    place.refused(&["put", "d", &format!("{longest}k"), "v"], Reason::BatchKeyTooLong);
    std::fs::write(place.path("large"), vec![0; aerodb::limits::VALUE_BYTES_MAX + 1]).unwrap();
    place.refused(&["put", "d", "k", "--value-file", "large"], Reason::BatchValueTooLong);
}

/// M-FLOOR
#[test]
fn views_below_the_floor_and_beyond_the_end_are_refused() {
    let place = with_two_commits();
    assert_eq!(place.ok(&["floor", "d", "2"]), "floor 2\n");
    place.refused(&["get", "d", "apple", "--at", "1"], Reason::ViewBelowFloor);
    place.refused(&["scan", "d", "--at", "1"], Reason::ViewBelowFloor);
    place.refused(&["get", "d", "apple", "--at", "3"], Reason::ViewBeyondApplied);
    place.refused(&["floor", "d", "1"], Reason::FloorRefused);
    place.refused(&["floor", "d", "3"], Reason::FloorRefused);
}

/// D-CORRUPT
#[test]
fn damage_is_named_and_nothing_is_read_through_it() {
    let place = with_two_commits();
    place.flip(&place.only("d/wal", ".seg"), 512 + 40);
    place.refused(&["get", "d", "plum"], Reason::WalCorrupt);
    place.refused(&["wal", "d"], Reason::WalCorrupt);
    place.refused(&["verify", "d"], Reason::WalCorrupt);

    let place = with_two_commits();
    std::fs::remove_file(place.only("d/wal", ".seg")).unwrap();
    place.refused(&["get", "d", "plum"], Reason::WalSegmentMissing);
    place.refused(&["wal", "d"], Reason::WalSegmentMissing);

    let place = with_two_commits();
    place.flip(&place.path("d/wal/MARK"), 20);
    place.refused(&["get", "d", "plum"], Reason::WalMarkCorrupt);
    place.refused(&["wal", "d"], Reason::WalMarkCorrupt);
    std::fs::remove_file(place.path("d/wal/MARK")).unwrap();
    place.refused(&["wal", "d"], Reason::WalMarkCorrupt);

    let place = with_two_commits();
    place.ok(&["checkpoint", "d"]);
    place.flip(&place.only("d/store", ".run"), 20);
    place.refused(&["get", "d", "plum"], Reason::StoreBlockCorrupt);
    std::fs::remove_file(place.only("d/store", ".run")).unwrap();
    place.refused(&["get", "d", "plum"], Reason::StoreRunMissing);
    assert_eq!(place.ok(&["wal", "d"]).lines().count(), 4, "the log is sound");

    let place = with_two_commits();
    place.flip(&place.path("d/IDENTITY"), 20);
    place.refused(&["status", "d"], Reason::IdentityCorrupt);
}

fn copy_folder(from: &Path, to: &Path) {
    let _ = std::fs::remove_dir_all(to);
    std::fs::create_dir(to).unwrap();
    for file in files(from, "") {
        std::fs::copy(&file, to.join(file.file_name().unwrap())).unwrap();
    }
}

/// D-CORRUPT
#[test]
fn files_of_different_moments_are_not_taken_for_one_directory() {
    let place = with_two_commits();
    let log = place.only("d/wal", ".seg");
    std::fs::OpenOptions::new().write(true).open(&log).unwrap().set_len(600).unwrap();
    place.refused(&["get", "d", "plum"], Reason::WalTruncated);

    let place = with_two_commits();
    copy_folder(&place.path("d/wal"), &place.path("earlier"));
    place.ok(&["checkpoint", "d"]);
    copy_folder(&place.path("earlier"), &place.path("d/wal"));
    place.refused(&["get", "d", "plum"], Reason::WalBehindCheckpoint);

    let place = with_two_commits();
    place.ok(&["backup", "d", "b"]);
    place.ok(&["restore", "b", "r"]);
    for (dir, value) in [("d", "one"), ("r", "two")] {
        place.ok(&["put", dir, "key", value]);
        place.ok(&["checkpoint", dir]);
    }
    copy_folder(&place.path("r/store"), &place.path("d/store"));
    place.refused(&["get", "d", "key"], Reason::StoreOtherLog);
}

#[test]
fn log_that_retention_dropped_is_refused_and_what_is_kept_is_shown() {
    let place = Place::new();
    let mut init = Init::standalone(&place.path("d"));
    init.parameters = Parameters { segment_bytes: 4096, table_bytes: 1024, block_bytes: 256, fanout: 2 };
    Node::init(&init).unwrap();
    let mut options = Options::new(&place.path("d"));
    options.retention = Retention::Bytes(0);
    let mut node = Node::open(&options).unwrap();
    for _ in 0..200 {
        let mut batch = Batch::new();
        batch.put(b"key", &[b'v'; 100]).unwrap();
        node.commit(batch).unwrap();
    }
    node.checkpoint(aerodb::record::Purpose::Checkpoint).unwrap();
    node.close().unwrap();
    let error = place.refused(&["wal", "d", "--from", "0"], Reason::WalRetired);
    let oldest = error.split("oldest=").nth(1).unwrap().split([',', ']']).next().unwrap().to_owned();
    let shown = place.ok(&["wal", "d"]);
    assert_eq!(shown.split('\t').next(), Some(oldest.as_str()));
    assert_eq!(place.json(&["status", "d"]).remove(0)["log_oldest"].to_string(), oldest);
}

#[test]
fn a_checkpoint_drops_the_log_that_it_is_told_not_to_keep() {
    let place = Place::new();
    place.ok(&["init", "d", "--segment-bytes", "4K", "--table-bytes", "1K"]);
    let value = "v".repeat(1000);
    let pairs: Vec<String> = (0..3).flat_map(|number| [format!("key{number}"), value.clone()]).collect();
    for _ in 0..5 {
        let arguments: Vec<&str> = ["put", "d"].into_iter().chain(pairs.iter().map(String::as_str)).collect();
        place.ok(&arguments);
    }
    let oldest = || place.json(&["status", "d"]).remove(0)["log_oldest"].as_u64().unwrap();
    assert_eq!(place.ok(&["checkpoint", "d"]).lines().count(), 1);
    assert_eq!(oldest(), 0, "all log is kept by default");
    place.ok(&["checkpoint", "d", "--keep-log", "1G"]);
    assert_eq!(oldest(), 0, "there is less than that");

    let text = place.ok(&["checkpoint", "d", "--keep-log", "5K"]);
    let kept = oldest();
    assert!(text.ends_with(&format!("\nlog from position {kept}, before from position 0\n")), "{text}");
    let answer = place.json(&["checkpoint", "d", "--keep-log", "0"]).remove(0);
    assert_eq!((&answer["log_oldest_before"], &answer["log_oldest"]), (&json!(kept), &json!(oldest())));
    let end = answer["position"].as_u64().unwrap();
    assert!(kept > 0 && kept + 5120 <= end && kept < oldest() && oldest() < end, "{kept} {}", oldest());
    place.refused(&["wal", "d", "--from", "0"], Reason::WalRetired);
    place.ok(&["verify", "d"]);
    assert_eq!(place.ok(&["get", "d", "key0", "--at", "1"]), format!("{value}\n"));
    place.refused(&["checkpoint", "d", "--keep-log", "all"], Reason::CliInput);
}

/// A directory whose next seal makes a merge due that can't be written where no file may be longer than 1.2 MB: its runs together hold
/// more than that, and no file of its log does.
fn with_a_large_merge_due() -> Place {
    let place = Place::new();
    let mut init = Init::standalone(&place.path("d"));
    init.parameters = Parameters { segment_bytes: 1 << 18, table_bytes: 8192, block_bytes: 256, fanout: 16 };
    Node::init(&init).unwrap();
    let mut node = Node::open(&Options::new(&place.path("d"))).unwrap();
    let mut number = 0_u32;
    while node.store().state().runs.len() < 15 {
        let mut batch = Batch::new();
        batch.put(&number.to_be_bytes(), &[b'v'; 100_000]).unwrap();
        node.commit(batch).unwrap();
        node.maintain().unwrap();
        number += 1;
    }
    let mut batch = Batch::new();
    batch.put(b"for the next run", b"v").unwrap();
    node.commit(batch).unwrap();
    node.close().unwrap();
    place
}

/// D-ACK: a commit that is durable is never told as one that failed, or a script makes it twice.
#[cfg(target_os = "linux")]
#[test]
fn what_fails_behind_a_durable_commit_is_a_warning() {
    for (arguments, printed, what) in [
        ("put d $(printf %08000d 1) value", "commit ", "commit"),
        ("del d $(printf %08000d 1)", "commit ", "commit"),
        ("put d $(printf %08000d 1) value --json", "{\"commit\":", "commit"),
        ("checkpoint d", "checkpoint position ", "checkpoint"),
    ] {
        let place = with_a_large_merge_due();
        let before = place.json(&["status", "d"]).remove(0)["commit"].as_u64().unwrap();
        let mut warned = false;
        // Each one fills a table, until one makes the merge due.
        for number in 1..=20 {
            // 25 is SIGXFSZ: ignored, a write beyond the limit fails, and does not end the process.
            let script = format!("trap '' 25; ulimit -f 2400; exec {} {arguments}", env!("CARGO_BIN_EXE_aerodb"));
            let output = place.shell(&script);
            assert_eq!(output.status, 0, "{output:?}");
            let stdout = String::from_utf8(output.stdout).unwrap();
            assert!(stdout.starts_with(printed) && stdout.lines().count() == 1, "{stdout}");
            let commits = if what == "commit" { number } else { 0 };
            if !output.stderr.is_empty() {
                warned = true;
                let begin =
                    format!("warning[disk.write_failed]: the {what} is durable; maintenance failed, and goes on ");
                assert!(output.stderr.lines().any(|line| line.starts_with(&begin)), "{}", output.stderr);
                assert!(output.stderr.contains("\nremedy: "), "{}", output.stderr);
                // Without the limit it goes on, and says that it removed what was left half done.
                assert_eq!(place.run(&["checkpoint", "d"]).status, 0);
                let status = place.json(&["status", "d"]).remove(0);
                assert_eq!((&status["commit"], &status["merges_due"]), (&json!(before + commits), &json!(0)));
                place.ok(&["verify", "d"]);
                break;
            }
        }
        assert!(warned, "{arguments}");
    }
}

/// A reader that goes away ends the command quietly, and leaves the directory as it was.
#[test]
fn a_closed_pipe_ends_a_command_quietly() {
    let place = Place::with_node();
    std::fs::write(place.path("value"), vec![b'v'; 1 << 20]).unwrap();
    place.ok(&["put", "d", "large", "--value-file", "value"]);
    for arguments in [&["scan", "d"][..], &["scan", "d", "--json"], &["wal", "d"], &["get", "d", "large", "--raw"]] {
        let mut child = place.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(i32::from(Reason::CliOutput.number())), "{arguments:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{arguments:?}");
    }
    assert_eq!(place.ok(&["get", "d", "large", "--raw"]).len(), 1 << 20);
}

#[cfg(target_os = "linux")]
#[test]
fn output_that_cannot_be_written_is_told() {
    let place = with_two_commits();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = place.command(&["scan", "d"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(i32::from(Reason::CliOutput.number())));
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("error[cli.output]: "));
}

#[test]
fn status_says_what_opening_proved() {
    let place = with_two_commits();
    place.ok(&["checkpoint", "d"]);
    place.ok(&["put", "d", "pear", "yellow"]);
    let status = place.json(&["status", "d"]).remove(0);
    assert_eq!((&status["commit"], &status["floor"]), (&json!(3), &json!(0)));
    assert_eq!(status["checkpoint"]["commit"], 2);
    assert_eq!(status["recovery"]["records_replayed"], 1);
    assert_eq!(status["runs"].as_array().unwrap().len(), 1);
    let text = place.ok(&["status", "d"]);
    let run = files(&place.path("d/store"), ".run").remove(0);
    for part in ["role           standalone\n", "commit         3\n", run.file_name().unwrap().to_str().unwrap()] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn a_verified_directory_says_what_was_proven() {
    let place = with_two_commits();
    place.ok(&["checkpoint", "d"]);
    let text = place.ok(&["verify", "d"]);
    assert!(text.ends_with("verified\n"), "{text}");
    let proof = place.json(&["verify", "d"]).remove(0);
    assert_eq!((&proof["log"]["commits"], &proof["log"]["records"]), (&json!(2), &json!(3)));
    assert_eq!((&proof["store"]["runs"], &proof["store"]["entries"]), (&json!(1), &json!(3)));
    assert_eq!(proof["checkpoint"]["commit"], 2);
}

#[test]
fn a_backup_is_restored_and_nothing_is_overwritten() {
    let place = with_two_commits();
    assert!(place.ok(&["backup", "d", "b"]).starts_with("backup position "));
    place.refused(&["backup", "d", "b"], Reason::BackupExists);
    place.ok(&["put", "d", "apple", "black"]);
    assert!(place.ok(&["restore", "b", "r"]).starts_with("restored position "));
    assert_eq!(place.ok(&["scan", "r"]), "apple\tgreen\nplum\tblue\n");
    assert_eq!(place.ok(&["get", "r", "apple", "--at", "1"]), "red\n");
    place.refused(&["restore", "b", "r"], Reason::DirNotEmpty);
    place.refused(&["restore", "absent", "s"], Reason::BackupIncomplete);
    let report = place.json(&["restore", "b", "t"]).remove(0);
    assert_eq!(report["cut"]["commit"], 2);
    place.flip(&place.only("b/store", ".run"), 20);
    place.refused(&["restore", "b", "u"], Reason::BackupCorrupt);
    place.refused(&["verify", "b", "--backup"], Reason::BackupCorrupt);
}

#[test]
fn a_backup_is_proven_where_it_lies() {
    let place = with_two_commits();
    let made = place.json(&["backup", "d", "b"]).remove(0);
    let before = files(&place.path("b"), "");
    let text = place.ok(&["verify", "b", "--backup"]);
    let tail = format!(" commit 2: {} files, {} bytes\n", made["files"], made["bytes"]);
    assert!(text.starts_with("verified backup position ") && text.ends_with(&tail), "{text}");
    assert_eq!(place.json(&["verify", "b", "--backup"]).remove(0), made);
    assert_eq!(files(&place.path("b"), ""), before, "nothing was written");
    let node = made["identity"]["node"].as_str().unwrap();
    place.ok(&["verify", "b", "--backup", "--expect-node", node]);
    let other = "00000000000000000000000000000000";
    place.refused(&["verify", "b", "--backup", "--expect-node", other], Reason::IdentityOtherNode);
    place.refused(&["verify", "d", "--backup"], Reason::BackupIncomplete);
    place.refused(&["verify", "absent", "--backup"], Reason::BackupIncomplete);
}

/// D-TAIL: bytes that are neither blank nor a record were never acknowledged; whose they are, or what made them, is not known.
#[test]
fn blank_space_that_rotted_is_told_as_no_record_and_not_as_a_commit() {
    let place = with_two_commits();
    place.flip(&place.only("d/wal", ".seg"), 4096);
    let text = place.ok(&["verify", "d"]);
    assert!(text.contains("bytes behind the last record are no record: never acknowledged, and dropped"), "{text}");
    let said = place.run(&["checkpoint", "d"]);
    assert!(said.stderr.contains("bytes behind the last record: no record, and never acknowledged"), "{}", said.stderr);
    assert!(!place.ok(&["verify", "d"]).contains("no record"), "it is blank again");
}

/// F-D2: the limit of the system itself.
#[test]
fn a_process_that_may_open_few_files_says_so_and_loses_nothing() {
    let place = with_two_commits();
    let mut refused = 0;
    // Three are its standard streams, and loading the program takes one.
    for most in 4.. {
        let said = place.shell(&format!("ulimit -n {most} && exec {} put d many {most}", env!("CARGO_BIN_EXE_aerodb")));
        if said.status == 0 {
            break;
        }
        said.is(Reason::DiskHandlesExhausted);
        assert_eq!(place.ok(&["get", "d", "apple"]), "green\n");
        refused += 1;
    }
    assert!(refused > 0);
    place.ok(&["verify", "d"]);
}

#[test]
fn the_registry_lists_every_reason() {
    let place = Place::new();
    let objects = place.json(&["reasons"]);
    assert_eq!(objects.len(), Reason::ALL.len());
    let text = place.ok(&["reasons"]);
    for (reason, object) in Reason::ALL.iter().zip(&objects) {
        assert_eq!((&object["code"], &object["number"]), (&json!(reason.name()), &json!(reason.number())));
        assert!(text.contains(&format!("{:>3}  {}  ", reason.number(), reason.name())), "{reason}");
        assert!(text.contains(reason.remedy()), "{reason}");
    }
}

#[test]
fn help_and_version_are_no_failures_and_help_has_examples() {
    let place = Place::new();
    assert_eq!(place.ok(&["--version"]), format!("aerodb {}\n", env!("CARGO_PKG_VERSION")));
    let help = place.ok(&["--help"]);
    let commands = help.split("Commands:\n").nth(1).unwrap().lines().map_while(|line| line.split_whitespace().next());
    let commands: Vec<&str> = commands.filter(|name| *name != "help").collect();
    let (served, replicated) = (cfg!(feature = "server"), cfg!(feature = "replication"));
    assert_eq!(commands.len(), 18 + usize::from(served) + 3 * usize::from(replicated), "{commands:?}");
    for name in commands {
        assert!(place.ok(&[name, "--help"]).contains("Examples:\n  aerodb "), "{name}");
    }
}

#[test]
fn the_log_of_the_program_is_on_standard_error_and_asked_for() {
    let place = with_two_commits();
    let output = place.command(&["get", "d", "apple"]).env("AERODB_LOG_LEVEL", "info").output().unwrap();
    assert_eq!(output.stdout, b"green\n");
    assert!(String::from_utf8_lossy(&output.stderr).contains("info recovery: found marked="));
    let mut json = place.command(&["get", "d", "apple"]);
    let output = json.env("AERODB_LOG_LEVEL", "info").env("AERODB_LOG_FORMAT", "json").output().unwrap();
    let lines: Vec<serde_json::Value> =
        output.stderr.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
    let steps: Vec<_> = lines.iter().filter(|line| line["component"] == "recovery").collect();
    assert!(steps.iter().all(|line| line["level"] == "info"), "{lines:?}");
    let log = steps.iter().find(|line| line["step"] == "log").unwrap();
    assert!(log["message"].as_str().unwrap().contains("records_replayed=2"), "{log}");
    let refused = place.command(&["get", "d", "apple"]).env("AERODB_LOG_LEVEL", "loud").output().unwrap();
    assert_eq!(refused.status.code(), Some(Reason::ConfigMalformed.number().into()));
}

/// P5-I14: every transition of a state machine is a line of the log.
#[test]
fn each_transition_is_logged_with_the_state_before_the_state_after_and_the_cause() {
    let place = Place::with_node();
    let mut put = place.command(&["put", "d", "apple", "red"]);
    let output = put.env("AERODB_LOG_LEVEL", "debug").env("AERODB_LOG_FORMAT", "json").output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let lines: Vec<_> = lines.filter(|line| line["component"] == "committer").collect();
    let edges: Vec<[&str; 3]> =
        lines.iter().map(|line| ["previous", "cause", "state"].map(|name| line[name].as_str().unwrap())).collect();
    assert_eq!(edges, [["idle", "taken", "writing"], ["writing", "durable", "idle"], ["idle", "close", "closed"]]);
}
