//! `aerodb serve` as an operator and a service manager see it: what it refuses before it makes anything, when it says that it listens,
//! and how it ends. What clients see is tried elsewhere.

#![cfg(all(feature = "cli", feature = "server"))]

mod binary;

use aerodb::Reason;
use binary::Place;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::process::{Child, ChildStdout, Command, Stdio};

/// A server that listens; killed if a test ends before it does.
struct Running {
    child: Child,
    stdout: BufReader<ChildStdout>,
    line: String,
}

impl Running {
    /// Starts a server, and waits for the line that says that it listens.
    fn start(command: &mut Command) -> Running {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        Running { child, stdout, line }
    }

    /// Asks it to end; returns its exit status, and all that it logged.
    fn end(mut self, signal: Signal) -> (Option<i32>, String) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
        let mut log = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        let status = self.child.wait().unwrap().code();
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "", "one line is all that it prints");
        (status, log)
    }
}

/// What a server said that was refused for this reason. One that listens instead fails the test; it is not waited for.
fn refused(command: &mut Command, reason: Reason) -> String {
    let mut server = Running::start(command);
    assert_eq!(server.line, "", "it listens");
    let mut told = String::new();
    server.child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    assert_eq!(server.child.wait().unwrap().code(), Some(reason.number().into()), "{told}");
    assert!(told.contains(&format!("error[{}]: ", reason.name())), "{told}");
    told
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const SERVE: [&str; 5] = ["serve", "--data", "d", "--listen", "127.0.0.1:0"];

#[test]
fn a_new_directory_is_made_and_served_until_a_signal_asks_to_end() {
    let place = Place::new();
    let server =
        Running::start(&mut place.command(&[&SERVE[..], &["--segment-bytes", "1M", "--fanout", "3"]].concat()));
    let line = server.line.clone();
    assert!(line.starts_with("listening on 127.0.0.1:") && line.ends_with(", commit 0)\n"), "{line}");
    let address = line.split_whitespace().nth(2).unwrap();
    TcpStream::connect(address).unwrap();
    place.refused(&["status", "d"], Reason::DirLocked);
    let (status, log) = server.end(Signal::TERM);
    assert_eq!(status, Some(0), "{log}");

    let identity = place.json(&["status", "d"]).remove(0)["identity"].take();
    assert_eq!(identity["role"], "standalone");
    assert_eq!((&identity["segment_bytes"], &identity["fanout"]), (&Value::from(1 << 20), &Value::from(3)));
    place.ok(&["put", "d", "apple", "red"]);
    let server = Running::start(&mut place.command(&SERVE));
    assert!(server.line.contains(identity["database"].as_str().unwrap()) && server.line.ends_with("commit 1)\n"));
    assert_eq!(server.end(Signal::INT).0, Some(0));
}

#[test]
fn start_and_end_are_lines_of_the_log_in_json() {
    let place = Place::new();
    let server = Running::start(&mut place.command(&[&SERVE[..], &["--log-format", "json", "--json"]].concat()));
    let told: Value = serde_json::from_str(&server.line).unwrap();
    let (status, log) = server.end(Signal::TERM);
    assert_eq!(status, Some(0));
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let listening = lines.iter().find(|line| line["message"] == "listening").unwrap();
    assert_eq!((&listening["address"], &listening["database"]), (&told["listening"], &told["database"]));
    assert!(lines.iter().any(|line| line["message"] == "stopped"), "{log}");
}

#[test]
fn every_line_of_the_log_that_tells_a_reason_has_its_code_as_a_field() {
    let place = Place::new();
    let new = ["--block-bytes", "256", "--log-format", "json", "--log-level", "trace"];
    let start = || Running::start(&mut place.command(&[&SERVE[..], &new].concat()));
    let ask = |server: &Running, requests: &str| {
        let mut client = TcpStream::connect(server.line.split_whitespace().nth(2).unwrap()).unwrap();
        client.write_all(requests.as_bytes()).unwrap();
        let mut told = String::new();
        client.read_to_string(&mut told).unwrap();
        told
    };
    let server = start();
    let fill: String = (0..3000).map(|key| format!("SET k{key:04} v\r\n")).collect();
    ask(&server, &format!("{fill}QUIT\r\n"));
    assert_eq!(server.end(Signal::TERM).0, Some(0));
    place.ok(&["checkpoint", "d"]);
    // The first rows are counted, and the last can't be read.
    let run = place.only("d/store", ".run");
    let bytes = std::fs::read(&run).unwrap();
    let last = bytes.windows(5).rposition(|key| key == b"k2990").unwrap();
    place.flip(&run, last);

    let server = start();
    assert!(ask(&server, "AERO.RANGE \"\" \"\"\r\nSET k v\r\nQUIT\r\n").starts_with("-UNSAFE store.block_corrupt "));
    assert_eq!(ask(&server, "POST / HTTP/1.1\r\n"), "");
    let (_, log) = server.end(Signal::TERM);
    let mut codes = Vec::new();
    for line in log.lines().take_while(|line| !line.starts_with("error[")) {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let message = line["message"].as_str().unwrap();
        assert!(line["level"].is_string() && line["component"].is_string(), "{line}");
        if let Some(reason) = Reason::ALL.iter().find(|reason| message.contains(reason.name())) {
            assert_eq!(line["code"], reason.name(), "{line}");
            codes.push(reason.name());
        }
    }
    assert!(codes.contains(&"store.block_corrupt"), "{log}");
}

#[test]
fn the_service_manager_is_told_when_it_listens_and_when_it_ends() {
    let place = Place::new();
    let manager = UnixDatagram::bind(place.path("notify")).unwrap();
    let mut command = place.command(&SERVE);
    let server = Running::start(command.env("NOTIFY_SOCKET", place.path("notify")));
    let ready = format!("READY=1\nSTATUS={}", server.line.trim_end());
    assert_eq!(server.end(Signal::TERM).0, Some(0));
    manager.set_nonblocking(true).unwrap();
    for told in [ready.as_str(), "STOPPING=1"] {
        let mut buffer = [0; 512];
        let length = manager.recv(&mut buffer).unwrap();
        assert_eq!(String::from_utf8_lossy(&buffer[..length]), told);
    }
}

#[test]
fn a_service_manager_that_can_not_be_told_is_a_warning() {
    let place = Place::new();
    let mut command = place.command(&SERVE);
    let server = Running::start(command.env("NOTIFY_SOCKET", place.path("absent")));
    let (status, log) = server.end(Signal::TERM);
    assert_eq!(status, Some(0));
    assert!(log.contains("warn cli: the service manager was not told"), "{log}");
}

/// A server for 100 clients under this `ulimit`.
fn with_limit(place: &Place, limit: &str) -> Command {
    let program = env!("CARGO_BIN_EXE_aerodb");
    let script = format!("ulimit {limit}; exec {program} {} --max-clients 100", SERVE.join(" "));
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).current_dir(place.path("."));
    binary::without_settings(&mut shell);
    shell
}

#[test]
fn what_the_machine_does_not_have_is_refused_before_anything_is_made() {
    let place = Place::new();
    let told = refused(&mut with_limit(&place, "-n 300"), Reason::ProcessFileLimit);
    assert!(told.contains("limit=300") && told.contains("needed=356"), "{told}");
    // A file system that never has room.
    refused(&mut place.command(&["serve", "--data", "/proc/aerodb"]), Reason::DiskNoRoom);
    assert!(!place.path("d").exists());
}

#[test]
fn the_limit_of_open_files_is_raised_as_far_as_it_may_be() {
    let place = Place::new();
    let server = Running::start(&mut with_limit(&place, "-Sn 300"));
    assert!(server.line.starts_with("listening on "), "{}", server.line);
    assert_eq!(server.end(Signal::TERM).0, Some(0));
}

#[test]
fn a_directory_that_is_another_than_the_settings_say_is_refused() {
    let place = Place::with_node();
    let serve = |more: &[&str]| place.command(&[&SERVE[..], more].concat());
    let told = refused(&mut serve(&["--fanout", "3"]), Reason::IdentityOtherParameters);
    assert!(told.contains("value=3") && told.contains("found=4"), "{told}");
    assert_eq!(Running::start(&mut serve(&["--fanout", "4"])).end(Signal::TERM).0, Some(0));
    std::fs::create_dir(place.path("other")).unwrap();
    std::fs::write(place.path("other/file"), "").unwrap();
    place.ok(&["backup", "d", "b"]);
    let dirs = [("other", Reason::DirNotEmpty), ("absent/d", Reason::DiskReadFailed), ("b", Reason::BackupNotDatabase)];
    for (dir, reason) in dirs {
        refused(&mut place.command(&["serve", "--data", dir]), reason);
    }
}

/// R-AUTHORITY
#[cfg(feature = "replication")]
#[test]
fn a_primary_is_served_by_its_recorded_role_and_a_replica_is_not() {
    let place = Place::new();
    place.ok(&["init", "d", "--role", "primary"]);
    let server = Running::start(&mut place.command(&SERVE));
    assert!(server.line.contains("(primary, "), "{}", server.line);
    assert_eq!(server.end(Signal::TERM).0, Some(0));
    place.ok(&["init", "r", "--role", "replica"]);
    refused(&mut place.command(&["serve", "--data", "r"]), Reason::IdentityOtherRole);
}

#[test]
fn an_address_that_is_taken_is_refused_and_the_directory_is_left_closed() {
    let place = Place::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    refused(&mut place.command(&["serve", "--data", "d", "--listen", &address]), Reason::ServerListenFailed);
    place.ok(&["verify", "d"]);
}
