//! A primary and two replicas as real processes on loopback, under load: killed with SIGKILL, stopped and continued, cut off, halted, and
//! in the end compared.
//!
//! * nothing that was acknowledged is missing on the primary (D-ACK, F-P2);
//! * what a killed replica holds is the beginning of what the primary holds (P5-I4, F-R1, F-R2);
//! * a kill, a stop or a cut halts nobody (F-P3, F-N1);
//! * in the end logs and runs are the same bytes on all three (R-DETERMINISM).
//!
//! What is killed after how many acknowledgements comes from a printed seed. Nothing sleeps: that a replica has come so far is asked of it.

#![cfg(all(feature = "cli", feature = "replication"))]

mod binary;
mod proxy;
mod served;
mod world;

use aerodb::disk::RealDisk;
use aerodb::frame::Frame;
use aerodb::resp::Value;
use aerodb::{Identity, Node, Options, Reason};
use binary::Place;
use proxy::Proxy;
use rustix::process::{Pid, Signal, kill_process};
use served::{Client, bulk, ok};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use world::Dice;

const SEED: u64 = 0x9e0c;
const ROUNDS: u64 = 4;

/// A process that listens; killed if a test ends before it does.
struct Running {
    child: Child,
    line: String,
    clients: SocketAddr,
}

impl Running {
    fn start(place: &Place, arguments: &[&str]) -> Running {
        Running::listens(spawn(place, arguments), arguments)
    }

    /// Waits until a process listens.
    fn listens(mut child: Child, arguments: &[&str]) -> Running {
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let mut errors = child.stderr.take().unwrap();
        let Some(clients) = line.strip_prefix("listening on ").and_then(|rest| rest.split(' ').next()) else {
            let mut told = String::new();
            errors.read_to_string(&mut told).unwrap();
            panic!("{arguments:?}: {line:?} {told}");
        };
        // What it logs is read, so that it never waits for a reader.
        std::thread::spawn(move || std::io::copy(&mut errors, &mut std::io::sink()));
        let clients = clients.parse().unwrap();
        Running { child, line, clients }
    }

    fn primary(place: &Place) -> Running {
        let listen = ["--listen", "127.0.0.1:0", "--replication", "127.0.0.1:0"];
        let small = ["--table-bytes", "64KiB", "--segment-bytes", "128KiB"];
        Running::start(place, &[&["serve", "--data", "p"][..], &listen, &small].concat())
    }

    fn replica(place: &Place, name: &str, primary: SocketAddr) -> Running {
        let address = primary.to_string();
        let from = ["--primary", &address, "--bootstrap", "log", "--reconnect", "1"];
        Running::start(place, &[&["replica", "--data", name, "--listen", "127.0.0.1:0"][..], &from].concat())
    }

    /// Where it serves replicas.
    fn replication(&self) -> SocketAddr {
        let mut words = self.line.split_whitespace().skip_while(|word| *word != "replicas").skip(2);
        words.next().unwrap().parse().unwrap()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        assert!(!self.child.wait().unwrap().success());
    }

    /// Asks it to end; its exit status.
    fn end(mut self) -> Option<i32> {
        self.signal(Signal::TERM);
        self.child.wait().unwrap().code()
    }

    /// A line of INFO.
    fn info(&self, name: &str) -> String {
        let Value::Bulk(text) = Client::connect(self.clients).ask("INFO everything") else { panic!("INFO is text") };
        let text = String::from_utf8(text).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or_else(|| panic!("{name} is not in {text}")).trim_end().to_owned()
    }

    fn commit(&self) -> u64 {
        self.info("commit").parse().unwrap()
    }

    /// Asks until it has applied a commit; a replica that has halted will not.
    fn reach(&self, commit: u64) {
        while self.commit() < commit {
            assert_eq!(self.info("replica_halt"), "", "{}", self.info("replica_halt_evidence"));
        }
    }

    /// The names of its threads, of which there are so many. A thread names itself when it first runs, and has the program's name before.
    fn threads(&self, count: usize) -> Vec<String> {
        loop {
            let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
            let name = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("comm")).unwrap();
            let mut names: Vec<_> = tasks.map(|task| name(task.unwrap()).trim_end().to_owned()).collect();
            names.sort();
            assert_eq!(names.len(), count, "{names:?}");
            if names.iter().filter(|name| *name == "aerodb").count() == 1 {
                return names;
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(place: &Place, arguments: &[&str]) -> Child {
    place.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Lets so many chunks of a snapshot through, and none behind them: who takes it is in the middle of it from then on, which is told.
fn withhold(proxy: &Proxy, mut chunks: u64) -> Receiver<()> {
    let (sender, withheld) = channel();
    proxy.edit(move |frame, bytes| {
        if !matches!(frame, Frame::Chunk(_)) {
            return bytes;
        }
        if chunks == 0 {
            let _ = sender.send(());
            return Vec::new();
        }
        chunks -= 1;
        bytes
    });
    withheld
}

/// Waits until a process has begun to write what it receives; it can't have received all of it.
fn receives(child: &mut Child, dir: &Path) {
    let aside = dir.join("incoming").join("store");
    while std::fs::read_dir(&aside).map_or(0, Iterator::count) == 0 {
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
    }
}

fn key(round: u64, number: u64) -> String {
    format!("{round:02}/{number:06}")
}

fn value(key: &str) -> Vec<u8> {
    let mut dice = Dice(key.bytes().fold(SEED, |seed, byte| seed.rotate_left(7) ^ u64::from(byte)));
    (0..dice.below(600)).map(|_| dice.roll() as u8).collect()
}

/// Writes until the primary is dead, or so many are acknowledged; tells of each acknowledgement. Returns how many there were.
fn load(primary: SocketAddr, round: u64, most: u64) -> (JoinHandle<u64>, Receiver<()>) {
    let (sender, acknowledgements) = channel();
    let writer = std::thread::spawn(move || {
        let mut client = Client::connect(primary);
        let mut acknowledged = 0;
        while acknowledged < most {
            use std::io::Write;
            let key = key(round, acknowledged);
            if client.stream.write_all(&served::request(&[&b"SET"[..], key.as_bytes(), &value(&key)])).is_err() {
                break;
            }
            match client.next() {
                Some(reply) => assert_eq!(reply, ok()),
                None => break,
            }
            acknowledged += 1;
            // Nobody counts any more once somebody is to be killed.
            let _ = sender.send(());
        }
        acknowledged
    });
    (writer, acknowledgements)
}

fn wait_for(acknowledgements: &Receiver<()>, count: u64) {
    acknowledgements.iter().take(count as usize).for_each(drop);
}

fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    entries.map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap())).collect()
}

/// Does what maintenance has not done yet: when it is done is free.
fn settle(dir: &Path) {
    let mut node = Node::open(&Options::new(dir)).unwrap();
    node.maintain().unwrap();
    node.close().unwrap();
}

fn assert_same(place: &Place, names: &[&str]) {
    let sealed = |name: &str| {
        let mut segments = files(&place.path(name).join("wal"));
        segments.remove("MARK");
        segments.pop_last();
        segments
    };
    settle(&place.path("p"));
    for name in names {
        let said = place.ok(&["compare", "p", name, "--thorough"]);
        assert!(said.contains("log        same\n"), "{said}");
        settle(&place.path(name));
        assert!(sealed("p").len() > 2);
        assert_eq!(sealed("p"), sealed(name), "{name}");
        assert_eq!(files(&place.path("p").join("store")), files(&place.path(name).join("store")), "{name}");
    }
}

/// D-ACK, P5-I4, F-P2, F-P3, F-R1, F-R2, F-N1, R-DETERMINISM
#[test]
fn killed_stopped_and_cut_off_under_load_all_end_the_same() {
    println!("seed {SEED:#x}");
    let mut dice = Dice(SEED);
    let place = Place::new();
    let mut primary = Running::primary(&place);
    let proxy = Proxy::of(primary.replication());
    let replica = |name: &str| Running::replica(&place, name, proxy.address);
    let mut replicas = [("r", Some(replica("r"))), ("s", Some(replica("s")))];
    let mut all = Vec::new();
    for round in 0..ROUNDS {
        // Each replica is killed in turn, and started again under the same load.
        let (writer, acknowledgements) = load(primary.clients, round, u64::MAX);
        for (name, running) in &mut replicas {
            wait_for(&acknowledgements, 50 + dice.below(400));
            running.take().unwrap().kill();
            wait_for(&acknowledgements, dice.below(100));
            *running = Some(replica(name));
        }
        wait_for(&acknowledgements, dice.below(200));
        proxy.cut();
        // One that is stopped holds up nobody, and goes on where it was.
        let stopped = replicas[(round % 2) as usize].1.as_ref().unwrap();
        stopped.signal(Signal::STOP);
        wait_for(&acknowledgements, 50 + dice.below(100));
        stopped.signal(Signal::CONT);
        primary.signal(Signal::STOP);
        for running in replicas.iter().filter_map(|(_, running)| running.as_ref()) {
            assert_eq!(running.info("replica_halt"), "", "a primary that says nothing contradicts nothing");
        }
        primary.signal(Signal::CONT);
        wait_for(&acknowledgements, dice.below(200));
        // The primary is killed last: then what it acknowledged is known.
        primary.kill();
        let acknowledged = writer.join().unwrap();
        println!("round {round}: {acknowledged} acknowledged");
        all.push(acknowledged);
        // The replicas are killed too, and hold the beginning of what the primary holds.
        for (name, running) in &mut replicas {
            running.take().unwrap().kill();
            let said = place.json(&["compare", "p", name]).remove(0);
            let relation = (said["log"]["is"].as_str().unwrap(), said["log"]["shorter"].as_str());
            assert!([("same", None), ("prefix", Some("b"))].contains(&relation), "{said}");
        }
        primary = Running::primary(&place);
        proxy.lead_to(primary.replication());
        for (name, running) in &mut replicas {
            *running = Some(replica(name));
        }
    }
    // Nothing that was acknowledged is missing.
    let mut client = Client::connect(primary.clients);
    for (round, acknowledged) in (0..).zip(&all) {
        for number in 0..*acknowledged {
            let key = key(round, number);
            client.request(&["GET", &key]);
            assert_eq!(client.reply(), bulk(value(&key)), "{key}");
        }
    }
    let last = primary.commit();
    assert!(last >= all.iter().sum());
    for (_, running) in &mut replicas {
        running.as_ref().unwrap().reach(last);
        assert_eq!(running.take().unwrap().end(), Some(0));
    }
    assert_eq!(primary.end(), Some(0));
    assert_same(&place, &["r", "s"]);
}

/// F-V1, REPL-HALT: a replica that has halted stays up and says so, over restarts, until the halt is cleared by its name.
#[test]
fn a_halted_replica_stays_up_and_is_cleared_on_the_command_line() {
    let place = Place::new();
    let primary = Running::primary(&place);
    let proxy = Proxy::of(primary.replication());
    let replica = Running::replica(&place, "r", proxy.address);
    let (writer, _acknowledgements) = load(primary.clients, 0, 300);
    writer.join().unwrap();
    replica.reach(300);
    let mut flipped = false;
    proxy.edit(move |frame, mut bytes| {
        if matches!(frame, Frame::Segment(_)) && !std::mem::replace(&mut flipped, true) {
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
        }
        bytes
    });
    let (writer, _acknowledgements) = load(primary.clients, 1, 10);
    writer.join().unwrap();
    let halt = loop {
        let halt = replica.info("replica_halt");
        if !halt.is_empty() {
            break halt;
        }
    };
    assert!(halt.starts_with("segment.rejected@"), "{halt}");
    assert_eq!(replica.info("replica_state"), "halted");
    assert_eq!(replica.commit(), 300);
    // It ends with what halted it, and says the same when it is started again.
    assert_eq!(replica.end(), Some(Reason::SegmentRejected.number().into()));
    proxy.be_honest();
    let replica = Running::replica(&place, "r", proxy.address);
    assert_eq!((replica.info("replica_state"), replica.info("replica_halt")), ("halted".to_owned(), halt.clone()));
    place.refused(&["resume", "r", "--clear", &halt], Reason::DirLocked);
    assert_eq!(replica.end(), Some(0), "nothing happened in this run");
    place.refused(&["resume", "r", "--clear", "segment.rejected@7"], Reason::HaltOther);
    place.refused(&["resume", "r", "--clear", "nonsense"], Reason::CliInput);
    let said = place.ok(&["resume", "r", "--clear", &halt]);
    assert!(said.contains(&halt), "{said}");
    place.refused(&["resume", "r", "--clear", &halt], Reason::HaltOther);
    let replica = Running::replica(&place, "r", proxy.address);
    replica.reach(310);
    assert_eq!(replica.end(), Some(0));
    assert_eq!(primary.end(), Some(0));
    assert_eq!(Identity::read(&RealDisk, &place.path("r")).unwrap().role, aerodb::Role::Replica);
    place.ok(&["compare", "p", "r"]);
}

/// SNAP-INSTALL, SNAP-ORDER, P5-I9, F-S1: a replica begins with a snapshot beside a primary under load. Each of the two is killed in turn while it does, and it ends as
/// one that had the whole log: also one that had data, and was ordered to begin again because its primary had dropped the log it needed.
#[test]
fn a_snapshot_under_load_and_kills_leads_to_the_same_bytes() {
    println!("seed {SEED:#x}");
    let mut dice = Dice(SEED);
    let place = Place::new();
    let small = ["--table-bytes", "64KiB", "--segment-bytes", "128KiB", "--retention", "256KiB"];
    let serve = |place: &Place| {
        let listen = ["--listen", "127.0.0.1:0", "--replication", "127.0.0.1:0"];
        Running::start(place, &[&["serve", "--data", "p"][..], &listen, &small].concat())
    };
    let mut primary = serve(&place);
    let proxy = Proxy::of(primary.replication());
    let address = proxy.address.to_string();
    let from = ["--primary", &address, "--bootstrap", "snapshot", "--reconnect", "1", "--listen", "127.0.0.1:0"];
    let by_snapshot = |name| [&["replica", "--data", name][..], &from].concat();
    let follows =
        |name, order: &[&str]| Running::start(&place, &[&["replica", "--data", name][..], &from, order].concat());
    // One that has the beginning of the log, and is away while the rest of it is dropped.
    let early = Running::replica(&place, "early", proxy.address);
    let (writer, _acknowledgements) = load(primary.clients, 0, 300);
    writer.join().unwrap();
    early.reach(300);
    assert_eq!(early.end(), Some(0));
    let (writer, _acknowledgements) = load(primary.clients, 1, 6000);
    writer.join().unwrap();

    // What is written meanwhile is less than what retention keeps: so nobody loses the log behind its cut.
    for round in 2..8 {
        let (writer, _acknowledgements) = load(primary.clients, round, 60);
        let withheld = withhold(&proxy, dice.below(4));
        let mut child = spawn(&place, &by_snapshot("late"));
        withheld.recv().unwrap();
        receives(&mut child, &place.path("late"));
        child.kill().unwrap();
        child.wait().unwrap();
        writer.join().unwrap();
    }
    proxy.be_honest();
    let (writer, acknowledgements) = load(primary.clients, 8, 300);
    let late = follows("late", &[]);
    wait_for(&acknowledgements, 100);
    // The primary is killed while another receives; that one waits for it, and begins again with the next one by itself.
    let withheld = withhold(&proxy, 1 + dice.below(3));
    let arguments = by_snapshot("third");
    let mut third = spawn(&place, &arguments);
    withheld.recv().unwrap();
    receives(&mut third, &place.path("third"));
    primary.kill();
    writer.join().unwrap();
    // What stands in the proxy behind what was withheld is lost with the connection.
    proxy.cut();
    proxy.be_honest();
    primary = serve(&place);
    proxy.lead_to(primary.replication());
    let third = Running::listens(third, &arguments);

    // What needs log that was dropped halts, keeps what it has, and begins again on the order that names the halt.
    let early = follows("early", &[]);
    let halt = loop {
        let halt = early.info("replica_halt");
        if !halt.is_empty() {
            break halt;
        }
    };
    assert!(halt.starts_with("history.retired@"), "{halt}");
    assert_eq!((early.commit(), early.end()), (300, Some(Reason::HistoryRetired.number().into())));
    let from = ["--primary", &address, "--listen", "127.0.0.1:0"];
    place.refused(
        &[&["replica", "--data", "early"][..], &from, &["--rebootstrap", "history.retired@7"]].concat(),
        Reason::HaltOther,
    );
    let early = follows("early", &["--rebootstrap", &halt]);
    let last = primary.commit();
    let replicas = [early, late, third];
    for replica in &replicas {
        replica.reach(last);
        // The Proofs of the last runs too.
        while replica.info("replica_applied_position") != primary.info("aof_current_size") {}
    }
    assert_eq!(primary.end(), Some(0));
    for replica in replicas {
        assert_eq!(replica.end(), Some(0));
    }
    settle(&place.path("p"));
    for name in ["early", "late", "third"] {
        let said = place.json(&["compare", "p", name]).remove(0);
        let relation = (said["log"]["is"].as_str().unwrap(), said["log"]["shorter"].as_str());
        assert!([("same", None), ("prefix", Some("b"))].contains(&relation), "{said}");
        settle(&place.path(name));
        assert_eq!(files(&place.path("p").join("store")), files(&place.path(name).join("store")), "{name}");
    }
}

/// P5-I13: the threads of a replica are its stages, and no others.
#[test]
fn the_threads_of_a_replica_are_its_stages() {
    let place = Place::new();
    let primary = Running::primary(&place);
    let replica = Running::replica(&place, "r", primary.replication());
    assert_eq!(replica.threads(6), ["aerodb", "applier", "maintenance", "receiver", "supervisor", "validator"]);
    assert_eq!(primary.threads(3), ["aerodb", "committer", "maintenance"]);
    let mut client = Client::connect(replica.clients);
    let Value::Error(refused) = client.ask("SET a b") else { panic!("a replica makes no history") };
    assert!(String::from_utf8(refused).unwrap().starts_with("READONLY "));
}

/// HTTP-OFF: a replica is shown as a primary is, on one thread more.
#[test]
fn a_replica_is_shown_over_http() {
    let place = Place::new();
    let primary = Running::primary(&place);
    let from = ["--primary", &primary.replication().to_string(), "--bootstrap", "log", "--http", "127.0.0.1:0"];
    let arguments = [&["replica", "--data", "r", "--listen", "127.0.0.1:0"][..], &from].concat();
    let replica = Running::start(&place, &arguments);
    assert_eq!(replica.threads(7), ["aerodb", "applier", "http", "maintenance", "receiver", "supervisor", "validator"]);
    let shown = replica.line.split_whitespace().skip_while(|word| *word != "HTTP").nth(2).unwrap();
    let mut stream = TcpStream::connect(shown).unwrap();
    stream.write_all(b"GET /v1/status HTTP/1.0\r\n\r\n").unwrap();
    let mut told = String::new();
    stream.read_to_string(&mut told).unwrap();
    let status: serde_json::Value = serde_json::from_str(told.split_once("\r\n\r\n").unwrap().1).unwrap();
    assert_eq!(status["data"]["identity"]["role"], "replica");
    assert_eq!(status["data"]["replica"]["primary"], primary.replication().to_string());
    assert!(status["data"]["replica"]["applied"]["position_string"].is_string(), "{status}");
    assert_eq!(replica.end(), Some(0));
}

/// R-AUTHORITY, P5-I16: what a directory is decides who may open it, and nothing is made that no policy allows.
#[test]
fn a_replica_is_started_only_on_what_is_a_replica_or_may_become_one() {
    let place = Place::new();
    let primary = Running::primary(&place);
    let address = primary.replication().to_string();
    let replica_of = |primary: &str, dir: &str, more: &[&str], reason| {
        let base = ["replica", "--data", dir, "--primary", primary, "--listen", "127.0.0.1:0"];
        place.refused(&[&base[..], more].concat(), reason)
    };
    let replica = |dir: &str, more: &[&str], reason| replica_of(&address, dir, more, reason);
    replica("r", &[], Reason::BootstrapRequired);
    let clients = primary.clients.to_string();
    replica_of(&clients, "r", &["--bootstrap", "log"], Reason::ProtocolOtherPort);
    assert!(!place.path("r").exists());
    assert_eq!(primary.end(), Some(0));
    replica("p", &[], Reason::IdentityOtherRole);
    replica("r", &["--bootstrap", "log", "--reconnect", "never"], Reason::ReplicationUnreachable);
    replica("r", &["--bootstrap", "snapshot", "--reconnect", "never"], Reason::ReplicationUnreachable);
    assert!(!place.path("r").exists());
}

/// WIRE-PORT: the port of clients is a wrong address, and no contradiction: the replica says so, does not halt, and goes on at the right one.
#[test]
fn a_replica_that_is_given_the_port_of_clients_says_so_and_waits() {
    let place = Place::new();
    let primary = Running::primary(&place);
    let replica = Running::replica(&place, "r", primary.replication());
    assert_eq!(replica.end(), Some(0));
    let lost = Running::replica(&place, "r", primary.clients);
    while !lost.info("replica_blocked").starts_with("protocol.other_port") {}
    assert_eq!((lost.info("replica_halt"), lost.info("replica_state")), (String::new(), "receiving".to_owned()));
    assert!(lost.info("replica_blocked").contains("-ERR protocol.other_port"));
    assert_eq!(lost.end(), Some(0));
    assert!(Client::connect(primary.clients).ask("SET key value") == aerodb::resp::Value::Simple(b"OK".to_vec()));
    Running::replica(&place, "r", primary.replication()).reach(1);
}

/// F-RC1, F-A1: a request to end that meets a replica while it proves and replays what it holds ends it as a crash does; the next start finds all.
#[test]
fn a_signal_in_recovery_ends_a_replica_as_a_crash_does() {
    const COMMITS: u64 = 12;
    let place = Place::new();
    let listen = ["--listen", "127.0.0.1:0", "--replication", "127.0.0.1:0"];
    // All of it fits into one table, so every start replays all of it.
    let primary = Running::start(&place, &[&["serve", "--data", "p"][..], &listen].concat());
    let mut client = Client::connect(primary.clients);
    for number in 0..COMMITS {
        let set = served::request(&[&b"SET"[..], key(0, number).as_bytes(), &vec![number as u8; 512 * 1024]]);
        client.stream.write_all(&set).unwrap();
        assert_eq!(client.next(), Some(ok()));
    }
    let replica = Running::replica(&place, "r", primary.replication());
    replica.reach(COMMITS);
    assert_eq!(replica.end(), Some(0));

    let address = primary.replication().to_string();
    let arguments = ["replica", "--data", "r", "--listen", "127.0.0.1:0", "--primary", &address];
    let (mut rounds, mut in_recovery) = (0, 0);
    while in_recovery < 3 {
        rounds += 1;
        assert!(rounds < 100, "it always listened before it was told to end");
        let mut child = place.command(&arguments).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let is_log = |path: std::path::PathBuf| path.extension().is_some_and(|end| end == "seg");
        let has_its_log = |child: &Child| {
            let open = std::fs::read_dir(format!("/proc/{}/fd", child.id())).unwrap();
            open.filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok()).any(is_log)
        };
        while !has_its_log(&child) {
            assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        }
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        let mut said = String::new();
        child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
        let ended = child.wait().unwrap();
        if said.is_empty() {
            assert_eq!(ended.signal(), Some(Signal::TERM.as_raw()), "{ended}");
            in_recovery += 1;
        } else {
            assert_eq!(ended.code(), Some(0), "{said}");
        }
        place.ok(&["verify", "r"]);
    }
    let replica = Running::replica(&place, "r", primary.replication());
    assert_eq!(replica.commit(), COMMITS, "all that it had applied is there before it asks anybody");
    assert_eq!((replica.end(), primary.end()), (Some(0), Some(0)));
    place.ok(&["compare", "p", "r"]);
}
