//! `aerodb demo`, as a process: what it shows agrees with itself, what it prints as a command works, and nothing of it is left.

#![cfg(all(feature = "cli", feature = "replication"))]

mod binary;

use binary::{Place, files};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

/// The longest page.
const LINES_MAX: usize = 90;

fn command(place: &Place, arguments: &[&str]) -> Command {
    let arguments: Vec<&str> = ["demo"].iter().chain(arguments).copied().collect();
    let mut command = place.command(&arguments);
    command.env("TMPDIR", place.path("")).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What it shows, once it has ended well; nothing of it is left.
fn shown(arguments: &[&str]) -> String {
    let place = Place::new();
    let output = command(&place, arguments).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""), "{text}");
    assert!(text.lines().count() <= LINES_MAX, "{text}");
    assert_nothing_left(&place, &text);
    text
}

fn assert_nothing_left(place: &Place, text: &str) {
    assert_eq!(files(&place.path(""), ""), Vec::<std::path::PathBuf>::new());
    let addresses = addresses(text);
    assert!(addresses.len() >= 7, "{text}");
    addresses.iter().for_each(|address| assert!(TcpStream::connect(address).is_err(), "{address}"));
}

/// The addresses of the nodes: three for clients, three for browsers, one for replicas.
fn addresses(text: &str) -> Vec<String> {
    let nodes = text.lines().filter(|line| line.contains("http://"));
    let words = nodes.flat_map(str::split_whitespace).map(|word| word.trim_start_matches("http://"));
    let addresses = words.map(|word| word.split('/').next().unwrap());
    addresses.filter(|word| word.starts_with("127.0.0.1:")).map(str::to_owned).collect()
}

/// What stands behind a text, up to a blank or one of these.
fn behind<'a>(text: &'a str, begin: &str) -> Vec<&'a str> {
    let ends = |c: char| c.is_whitespace() || ",:;]".contains(c);
    text.split(begin).skip(1).map(|rest| rest.split(ends).next().unwrap()).collect()
}

/// Position and history of each node, from each table.
fn tables(text: &str) -> Vec<Vec<(&str, &str)>> {
    let rows: Vec<(&str, &str)> = text
        .lines()
        .filter(|line| {
            ["   primary", "   replica"].iter().any(|name| line.starts_with(name)) && line.contains("history")
        })
        .map(|line| (behind(line, "position ")[0], behind(line, "history ")[0]))
        .collect();
    rows.chunks(3).map(<[_]>::to_vec).collect()
}

fn assert_equal(table: &[(&str, &str)]) {
    assert_eq!(table.len(), 3);
    assert!(table.iter().all(|one| one == &table[0]), "{table:?}");
}

#[test]
fn a_primary_and_two_replicas_have_one_log_and_refuse_what_they_can_not_know() {
    let text = shown(&[]);
    let tables = tables(&text);
    assert_eq!(tables.len(), 2, "{text}");
    tables.iter().for_each(|table| assert_equal(table));
    assert_ne!(tables[0], tables[1]);
    for part in ["READONLY role.not_writer", "UNSAFE read.behind", "log        same", "replication: follows"] {
        assert!(text.contains(part), "{text}");
    }
}

/// F-V1, REPL-HALT
#[test]
fn a_flipped_bit_halts_one_replica_until_the_halt_is_cleared_by_its_name() {
    let text = shown(&["--break", "corrupt", "--once"]);
    let tables = tables(&text);
    assert_eq!(tables.len(), 2, "{text}");
    tables.iter().for_each(|table| assert_equal(table));
    let before = tables[0][0].0;
    let halts = behind(&text, "segment.rejected@");
    assert!(halts.len() >= 5 && halts.iter().all(|position| *position == before), "{halts:?} {text}");
    assert_eq!(text.matches("(error) UNSAFE replica.halted").count(), 2, "before and after a restart: {text}");
    for part in ["FAILS     F-V1", "fault=payload checksum", &format!("cleared segment.rejected@{before}")] {
        assert!(text.contains(part), "{text}");
    }
}

/// F-N1, READ-LEAST
#[test]
fn behind_a_partition_a_replica_answers_at_its_own_commit_and_says_how_far_that_is() {
    let text = shown(&["--break", "partition", "--once"]);
    let tables = tables(&text);
    assert_eq!(tables.len(), 3, "{text}");
    assert_equal(&tables[0]);
    assert_equal(&tables[2]);
    let [primary, one, two] = tables[1][..] else { panic!("{text}") };
    assert_eq!((primary, two), (one, tables[0][2]), "the one behind the partition stays where it was");
    let commit = |table: usize, name: &str| {
        let rows = text.lines().filter(|line| line.starts_with(&format!("   {name}")) && line.contains("history"));
        behind(rows.clone().nth(table).unwrap(), "commit ")[0].to_owned()
    };
    let (view, least) = (commit(1, "replica 2"), commit(1, "primary"));
    assert!(behind(&text, "view=").iter().all(|one| *one == view), "{text}");
    assert!(behind(&text, "at_least=").iter().all(|one| *one == least), "{text}");
    assert!(text.contains("UNSAFE read.behind") && text.contains("FAILS     READ-LEAST"), "{text}");
}

/// F-D1, SNAP-ORDER
#[test]
fn behind_a_fork_both_replicas_halt_and_one_is_told_what_to_do() {
    let text = shown(&["--break", "fork", "--once"]);
    let backup = behind(&text, "\n   backup position ")[0];
    assert_eq!(behind(&text, "fork_position="), [backup], "{text}");
    assert_eq!(behind(&text, "diverged at position "), [backup], "{text}");
    let halts = behind(&text, "history.diverged@");
    assert!(halts.len() >= 5 && halts.iter().all(|position| *position == halts[0]), "{halts:?} {text}");
    for part in ["put apple\tyellow", "put apple\tgreen", "error[identity.other_primary]", "\n   \"yellow\"\n"] {
        assert!(text.contains(part), "{text}");
    }
}

/// Starts one that waits, and reads up to this line.
fn started(place: &Place, arguments: &[&str], until: &str) -> (Child, BufReader<std::process::ChildStdout>, String) {
    let mut child = command(place, arguments).spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut text = String::new();
    while !text.contains(until) {
        assert_ne!(stdout.read_line(&mut text).unwrap(), 0, "{text}");
    }
    (child, stdout, text)
}

/// Asks it to end, which it does well.
fn ended(mut child: Child, mut stdout: BufReader<std::process::ChildStdout>, signal: Signal) -> String {
    kill_process(Pid::from_child(&child), signal).unwrap();
    let (mut text, mut errors) = (String::new(), String::new());
    stdout.read_to_string(&mut text).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert_eq!((child.wait().unwrap().code(), errors.as_str()), (Some(0), ""), "{text}");
    assert!(text.ends_with("the directory is removed.\n"), "{text}");
    text
}

/// The first line of the answer to a line that is sent.
fn answer(address: &str, line: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(format!("{line}\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).unwrap();
    answer
}

#[test]
fn while_it_waits_every_command_that_it_names_works_and_a_signal_ends_it() {
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let place = Place::new();
        let (child, stdout, text) = started(&place, &["--wait"], "Ctrl-C ends it.");
        let mut tried = 0;
        for line in
            text.split("To try in another terminal:").nth(1).unwrap().lines().filter(|line| line.starts_with("   "))
        {
            let line = line.trim();
            if let Some(request) = line.strip_prefix("redis-cli -p ") {
                let (port, request) = request.split_once(' ').unwrap();
                let answer = answer(&format!("127.0.0.1:{port}"), request);
                let refused = request.contains("1000");
                assert_eq!(answer.starts_with("-UNSAFE read.behind"), refused, "{line}: {answer}");
                assert_eq!(answer.starts_with('-'), refused, "{line}: {answer}");
            } else if let Some(address) = line.strip_prefix("curl http://") {
                let (address, page) = address.split_once('/').unwrap();
                let answer = answer(address, &format!("GET /{page} HTTP/1.1\r\nHost: {address}\r\n"));
                assert!(answer.starts_with("HTTP/1.1 200"), "{line}: {answer}");
            } else {
                place.shell(line).is_silent_success();
            }
            tried += 1;
        }
        assert_eq!(tried, 9, "{text}");
        ended(child, stdout, signal);
        assert_nothing_left(&place, &text);
    }
}

#[test]
fn a_request_to_end_in_the_middle_ends_it_too() {
    for steps in ["\n1. ", "\n2. "] {
        let place = Place::new();
        let (child, stdout, _) = started(&place, &["--break", "fork", "--wait"], steps);
        let text = ended(child, stdout, Signal::INT);
        assert!(!text.contains("To try in another terminal"), "{text}");
        assert_eq!(files(&place.path(""), ""), Vec::<std::path::PathBuf>::new());
    }
}

/// What was broken stays so where it is to be looked at: the story ends before it is mended, and ends well.
#[test]
fn what_is_not_mended_stays_broken_to_the_end() {
    for (what, broken, mended) in [
        ("corrupt", "A restart changes nothing", "The network is mended"),
        ("partition", "\n5. Why.", "Something comes through again"),
        ("fork", "Why, and where", "Somebody decides"),
    ] {
        let text = shown(&["--break", what, "--unmended"]);
        assert!(text.contains(broken) && !text.contains(mended), "{text}");
    }
}
