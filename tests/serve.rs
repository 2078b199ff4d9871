//! `aerodb serve` as an operator and a service manager see it: what it refuses before it makes anything, when it says that it listens,
//! and how it ends. What clients see is tried elsewhere.

#![cfg(all(feature = "cli", feature = "server"))]

mod binary;
#[cfg(feature = "replication")]
mod feeding;

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

/// REPL-PROOF: `--replication` is what makes a primary log Proofs; `wal` shows them, and the status counts them.
#[cfg(feature = "replication")]
#[test]
fn a_primary_that_serves_replicas_logs_the_proof_of_every_run() {
    let place = Place::new();
    place.ok(&["init", "d", "--role", "primary", "--table-bytes", "1K"]);
    place.ok(&["put", "d", "apple", "red"]);
    place.ok(&["checkpoint", "d"]);
    let proofs =
        || -> Vec<Value> { place.json(&["wal", "d"]).into_iter().filter(|record| record["kind"] == "proof").collect() };
    let server = Running::start(&mut place.command(&SERVE));
    assert_eq!(server.end(Signal::TERM).0, Some(0));
    assert_eq!(proofs().len(), 0, "a primary that serves no replicas");

    let server = Running::start(&mut place.command(&[&SERVE[..], &["--replication", "127.0.0.1:0"]].concat()));
    let address = server.line.split_whitespace().nth(2).unwrap().to_owned();
    let status = || place.json(&["status", "--addr", &address]).remove(0);
    let mut shown = status();
    while shown["proofs"]["owed"] != 0 {
        shown = status();
    }
    assert_eq!((&shown["proofs"]["logged"], &shown["proofs"]["compared"]), (&Value::from(1), &Value::from(1)));
    assert_eq!(server.end(Signal::TERM).0, Some(0));
    let [proof] = <[Value; 1]>::try_from(proofs()).unwrap();
    let run = &place.json(&["status", "d"])[0]["runs"][0];
    for name in ["file", "bytes", "hash"] {
        assert_eq!(proof["run"][name], run[name], "{proof}");
    }
    let text = place.ok(&["wal", "d"]);
    let line = text.lines().find(|line| line.contains("\tproof\t")).unwrap();
    let words: Vec<&str> = line.split('\t').collect();
    assert_eq!((words[1], words[3], Some(words[5])), ("proof", "80", run["file"].as_str()), "{line}");
    assert_eq!((words[6], Some(words[7])), (&*run["bytes"].to_string(), run["hash"].as_str()), "{line}");
    let verified = place.ok(&["verify", "d"]);
    assert!(verified.contains("proofs     1 of the log are of a run that is here"), "{verified}");
}

#[test]
fn start_and_end_are_lines_of_the_log_in_json() {
    let place = Place::new();
    let server = Running::start(&mut place.command(&[&SERVE[..], &["--log", "json", "--json"]].concat()));
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
    assert!(ask(&server, "*x\r\n").starts_with("-ERR Protocol error"));
    let (_, log) = server.end(Signal::TERM);
    let mut codes = Vec::new();
    for line in log.lines().take_while(|line| !line.starts_with("error[")) {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let message = line["message"].as_str().unwrap();
        assert!(line["level"].is_string() && line["component"].is_string(), "{line}");
        // Who is refused, closed or stopped is so for a reason.
        assert!(line["level"] != "warn" && line["level"] != "error" || line["code"].is_string(), "{line}");
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
    refused(&mut place.command(&["serve", "--data", "/proc/aerodb", "--listen", "127.0.0.1:0"]), Reason::DiskNoRoom);
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
        refused(&mut place.command(&["serve", "--data", dir, "--listen", "127.0.0.1:0"]), reason);
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
    refused(&mut place.command(&["serve", "--data", "r", "--listen", "127.0.0.1:0"]), Reason::IdentityOtherRole);
}

#[test]
fn an_address_that_is_taken_is_refused_and_the_directory_is_left_closed() {
    let place = Place::with_node();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    refused(&mut place.command(&["serve", "--data", "d", "--listen", &address]), Reason::ServerListenFailed);
    place.ok(&["verify", "d"]);
}

/// R-AUTHORITY, P5-I16: what is asked for at the start decides, and only what the directory was made as can be asked for.
#[cfg(feature = "replication")]
#[test]
fn a_new_directory_is_made_a_primary_where_replicas_may_connect() {
    let place = Place::new();
    let serve = |more: &[&str]| place.command(&[&SERVE[..], more].concat());
    let replicas = ["--replication", "127.0.0.1:0"];
    let server = Running::start(&mut serve(&replicas));
    assert!(server.line.contains(" and for replicas on 127.0.0.1:"), "{}", server.line);
    assert!(server.line.contains(" (primary, "), "{}", server.line);
    let (status, log) = server.end(Signal::TERM);
    assert_eq!(status, Some(0), "{log}");
    let server = Running::start(&mut serve(&[&replicas[..], &["--json"]].concat()));
    let told: Value = serde_json::from_str(&server.line).unwrap();
    assert!(told["replication"].as_str().is_some_and(|address| address.starts_with("127.0.0.1:")), "{told}");
    assert_eq!(server.end(Signal::TERM).0, Some(0));
    refused(&mut serve(&["--replication", "0.0.0.0:0"]), Reason::ConfigNoAuthentication);
    place.ok(&["init", "s"]);
    let told = refused(
        &mut place.command(&["serve", "--data", "s", "--listen", "127.0.0.1:0", "--replication", "127.0.0.1:0"]),
        Reason::IdentityOtherRole,
    );
    assert!(told.contains("expected=primary") && told.contains("found=standalone"), "{told}");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let hold = TcpListener::bind(taken).unwrap();
    refused(&mut serve(&["--replication", &taken.to_string()]), Reason::ServerListenFailed);
    drop(hold);
}

/// P5-I16: a build without replication says so, before it makes anything.
#[cfg(not(feature = "replication"))]
#[test]
fn a_build_without_replication_serves_no_replicas() {
    let place = Place::new();
    let serve = [&SERVE[..], &["--replication", "127.0.0.1:0"]].concat();
    refused(&mut place.command(&serve), Reason::RoleCompiledOut);
    assert!(!place.path("d").exists());
}

/// The names of the threads of a server. A thread that was just begun has the name of its process until it gives itself its own.
fn threads(server: &Running) -> Vec<String> {
    let nameless = |names: &Vec<String>| names.iter().filter(|name| *name == "aerodb").count() > 1;
    let mut looks = 0..10_000;
    looks.find_map(|_| Some(names(server)).filter(|names| !nameless(names))).unwrap_or_else(|| names(server))
}

fn names(server: &Running) -> Vec<String> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", server.child.id())).unwrap();
    let name = |task: std::io::Result<std::fs::DirEntry>| {
        std::fs::read_to_string(task.unwrap().path().join("comm")).unwrap().trim_end().to_owned()
    };
    let mut names: Vec<String> = tasks.map(name).collect();
    names.sort();
    names
}

/// HTTP-OFF: the thread of HTTP, and its address, are there when they are asked for, and only then.
#[test]
fn a_node_is_shown_over_http_only_if_that_is_asked_for() {
    let place = Place::new();
    let server = Running::start(&mut place.command(&SERVE));
    assert!(!server.line.contains("HTTP"), "{}", server.line);
    assert_eq!(threads(&server), ["aerodb", "committer", "maintenance"]);
    assert_eq!(server.end(Signal::TERM).0, Some(0));

    let server = Running::start(&mut place.command(&[&SERVE[..], &["--http", "127.0.0.1:0"]].concat()));
    assert_eq!(threads(&server), ["aerodb", "committer", "http", "maintenance"]);
    let words: Vec<&str> = server.line.split_whitespace().collect();
    assert_eq!(words[3..7], ["and", "for", "HTTP", "on"]);
    let mut stream = TcpStream::connect(words[7]).unwrap();
    stream.write_all(b"GET /v1/status HTTP/1.0\r\n\r\n").unwrap();
    let mut told = String::new();
    stream.read_to_string(&mut told).unwrap();
    let (head, body) = told.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    let status: Value = serde_json::from_str(body).unwrap();
    assert_eq!(status["data"]["identity"]["role"], "standalone");
    // Somebody who has not asked yet holds nothing up.
    let mut open = TcpStream::connect(words[7]).unwrap();
    let (status, log) = server.end(Signal::TERM);
    assert_eq!(status, Some(0), "{log}");
    assert_eq!(open.read(&mut [0]).unwrap_or(0), 0);

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    refused(&mut place.command(&[&SERVE[..], &["--http", &address]].concat()), Reason::ServerListenFailed);
}

/// P5-I16: replicas cost a primary no thread, neither the wish to serve them nor they themselves.
#[cfg(feature = "replication")]
#[test]
fn a_primary_has_the_threads_of_a_standalone_node_however_many_replicas_it_serves() {
    use aerodb::disk::RealDisk;
    use aerodb::frame::Frame;
    use feeding::{Came, encoded, fetch, hello};
    use std::io::Write;

    let place = Place::new();
    let server = Running::start(&mut place.command(&["serve", "--data", "s", "--listen", "127.0.0.1:0"]));
    let standalone = threads(&server);
    assert_eq!(standalone, ["aerodb", "committer", "maintenance"]);
    assert_eq!(server.end(Signal::TERM).0, Some(0));
    let server = Running::start(&mut place.command(&[&SERVE[..], &["--replication", "127.0.0.1:0"]].concat()));
    assert_eq!(threads(&server), standalone, "replication is on");
    let identity = aerodb::Identity::read(&RealDisk, &place.path("d")).unwrap();
    let start = aerodb::record::genesis(identity.database_id, identity.epoch);
    let address = server.line.split_whitespace().nth(7).unwrap().to_owned();
    let mut replicas: Vec<TcpStream> = (0..2).map(|_| TcpStream::connect(&address).unwrap()).collect();
    let hello = encoded(Frame::Hello(hello(&identity, start)));
    let come = |replica: &mut TcpStream| {
        let mut received = Vec::new();
        loop {
            if let Some(came) = Came::take(&mut received) {
                return came;
            }
            let mut buffer = [0; 1024];
            let bytes = replica.read(&mut buffer).unwrap();
            assert!(bytes > 0);
            received.extend_from_slice(&buffer[..bytes]);
        }
    };
    for replica in &mut replicas {
        replica.write_all(&hello).unwrap();
        come(replica).welcome();
        replica.write_all(&fetch(0, 1 << 20)).unwrap();
    }
    assert_eq!(threads(&server), standalone, "replicas are welcome");
    let clients = server.line.split_whitespace().nth(2).unwrap().to_owned();
    place.ok(&["put", "--addr", &clients, "apple", "red"]);
    for replica in &mut replicas {
        assert!(!come(replica).log.is_empty());
    }
    assert_eq!(threads(&server), standalone, "replicas are fed");
    let said = place.ok(&["status", "--addr", &clients]);
    assert!(said.contains(&format!("feeds at       {address}, 0 refused\n")), "{said}");
    let (status, log) = server.end(Signal::TERM);
    assert_eq!((status, log.matches("a replica is welcome").count()), (Some(0), 2), "{log}");
}
