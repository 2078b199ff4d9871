//! As many connections as there are files, and one more. Alone in its process, whose limit of open files it changes.

#![cfg(feature = "server")]

mod served;
mod world;

use aerodb::Database;
use aerodb::disk::SimDisk;
use aerodb::http::{self, Pages, Refused, Request, Response};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use served::{Client, Served, ok, pong};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use world::{init_options, options};

/// Most files that the process may open from now on.
fn limit_files(files: u64) {
    let limit = Rlimit { current: Some(files), ..getrlimit(Resource::Nofile) };
    setrlimit(Resource::Nofile, limit).unwrap();
}

/// Takes every file that is left but one: the client's end fits in, the server's does not.
fn all_files_but_one() -> Vec<File> {
    let mut files: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    assert!(files.len() > 100);
    files.pop();
    files
}

const IDLE: usize = 10_000;
/// Whoever is started with this variable is the other end of the idle connections: a process may not have the files for both.
const IDLE_AT: &str = "AERODB_TEST_IDLE_AT";

/// Connects to a server as often as is asked, says so, and is silent until it is told to ask, and then until its input ends.
fn be_idle(address: &str) {
    limit_files(getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX));
    let address = address.parse().unwrap();
    let mut clients: Vec<Client> = (0..IDLE).map(|_| Client::connect(address)).collect();
    // The kernel completes a connection before the server has accepted it; the last one was, so all were.
    assert_eq!(clients.last_mut().unwrap().ask("PING"), pong());
    println!("connected");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    for client in clients.iter_mut().step_by(97) {
        assert_eq!(client.ask("PING"), pong());
    }
    println!("answered");
    std::io::stdin().read_line(&mut line).unwrap();
}

/// Memory that this process has now.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() << 10
}

/// RESP-FLOW, RESP-BOUND: ten thousand clients that say nothing cost little memory and no time; and, at the bound of open files, those
/// that come wait until another has gone.
#[test]
fn thousands_of_idle_clients_cost_the_others_nothing_and_when_files_run_out_the_next_waits() {
    if let Ok(address) = std::env::var(IDLE_AT) {
        return be_idle(&address);
    }
    let hard = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    assert!(hard > IDLE as u64 + 500, "too few files for this test: {hard}");
    limit_files(hard);

    let disk = SimDisk::new();
    Database::init(&init_options(&disk, aerodb::Parameters::default())).unwrap();
    let db = Database::open(options(&disk)).unwrap();
    let served = Served::with(db, |options| options.max_clients = IDLE as u32 + 200);
    let mut first = served.client();
    assert_eq!(first.ask("SET k v"), ok());
    let before = resident_bytes();
    let mut idle = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "thousands_of_idle_clients_cost_the_others_nothing_and_when_files_run_out_the_next_waits",
            "--nocapture",
        ])
        .env(IDLE_AT, served.address.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(idle.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(said.any(|line| line == "connected"), "the idle clients failed");
    assert_eq!(first.info("connected_clients"), 1 + IDLE as u64);
    let (counted, resident) = (first.info("client_buffer_bytes"), resident_bytes().saturating_sub(before));
    println!("{counted} bytes counted, {resident} bytes resident");
    assert!(counted < 1 << 20, "{counted} bytes in buffers of who says nothing");
    assert!(resident < 32 << 20, "{resident} bytes for who says nothing");
    assert_eq!(first.ask("SET k w"), ok());
    idle.stdin.as_mut().unwrap().write_all(b"ask\n").unwrap();
    assert!(said.any(|line| line == "answered"), "an idle client is not served");
    drop(idle.stdin.take());
    assert!(idle.wait().unwrap().success());
    first.wait_for("connected_clients", 1);

    let mut clients: Vec<Client> = (0..100).map(|_| served.client()).collect();
    assert_eq!(clients.last_mut().unwrap().ask("PING"), pong());
    limit_files(1000);
    let files = all_files_but_one();
    let mut waiting = served.client();
    waiting.request(&["PING"]);
    assert_eq!(first.ask("PING"), pong(), "those that are connected are served");
    clients.pop();
    assert_eq!(waiting.reply(), pong());
    drop(files);
    drop(served.stop().close());

    #[cfg(feature = "replication")]
    who_waits_for_a_file_comes_in_when_anybody_has_gone();
    who_waits_for_a_file_is_shown_the_node_when_somebody_has_gone();
}

/// HTTP-BOUND: where files run out those that are connected are answered, and who comes waits until one of them has gone.
fn who_waits_for_a_file_is_shown_the_node_when_somebody_has_gone() {
    struct Short;
    impl Pages for Short {
        fn answer(&self, _: &Request) -> Result<Response, Refused> {
            Ok(Response::text("ok"))
        }
    }
    let http = http::Server::bind(http::Options::new("127.0.0.1:0".parse().unwrap()), Box::new(Short)).unwrap();
    let http = http.start().unwrap();
    let connect = || TcpStream::connect(http.local_addr()).unwrap();
    let ask = |stream: &mut TcpStream| stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let answer = |stream: &mut TcpStream| {
        let mut bytes = vec![0; http::Response::text("ok").encode(http::Method::Get, true).len()];
        stream.read_exact(&mut bytes).unwrap();
        assert!(bytes.ends_with(b"\r\n\r\nok"));
    };
    let (mut first, mut second) = (connect(), connect());
    for stream in [&mut first, &mut second] {
        ask(stream);
        answer(stream);
    }
    let files = all_files_but_one();
    let mut waiting = connect();
    ask(&mut waiting);
    for _ in 0..10 {
        ask(&mut first);
        answer(&mut first);
    }
    drop(second);
    answer(&mut waiting);
    drop(files);
}

/// RESP-FLOW, WIRE-BOUND: a client that has gone makes room for a replica, and a replica for a client.
#[cfg(feature = "replication")]
fn who_waits_for_a_file_comes_in_when_anybody_has_gone() {
    let disk = SimDisk::new();
    let role = aerodb::Role::Primary;
    Database::init(&aerodb::Init { role, ..init_options(&disk, aerodb::Parameters::default()) }).unwrap();
    let served = Served::with(Database::open(options(&disk)).unwrap(), |options| {
        options.replication = Some("127.0.0.1:0".parse().unwrap());
    });
    let replica = || TcpStream::connect(served.replication.unwrap()).unwrap();
    let (mut first, mut second) = (served.client(), served.client());
    assert_eq!((first.ask("PING"), second.ask("PING")), (pong(), pong()));

    let files = all_files_but_one();
    let mut waiting = replica();
    // What is no frame is refused, once somebody has read it.
    waiting.write_all(&[0; 16]).unwrap();
    for _ in 0..10 {
        assert_eq!(first.ask("PING"), pong());
    }
    drop(second);
    let mut told = Vec::new();
    waiting.read_to_end(&mut told).unwrap();
    assert!(!told.is_empty());
    drop(files);

    let silent = replica();
    first.wait_for("feeding_connections", 2);
    let files = all_files_but_one();
    let mut second = served.client();
    second.request(&["PING"]);
    for _ in 0..10 {
        assert_eq!(first.ask("PING"), pong());
    }
    drop(silent);
    assert_eq!(second.reply(), pong());
    drop(files);
    drop(served.stop().close());
}
