//! `aerodb bench server`: that it sends what it says, as often as it says, and has no figures where there is nothing to measure.
//!
//! The server is a real socket that answers each request by a function, and counts.

#![cfg(all(feature = "cli", feature = "server"))]

mod binary;

use aerodb::Reason;
use aerodb::resp::{Decoder, Limits, Request};
use binary::{Place, Said};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::thread;

/// Runs the command against a server that answers so; what it said, and what each of its clients sent.
fn served(clients: usize, options: &[&str], answer: fn(&Request) -> Vec<u8>) -> (Said, Vec<Vec<Request>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let accepting = thread::spawn(move || {
        let streams = (0..clients).map(|_| listener.accept().unwrap().0);
        let serving: Vec<_> = streams.map(|stream| thread::spawn(move || serve(stream, answer))).collect();
        serving.into_iter().map(|serving| serving.join().unwrap()).collect()
    });
    let number = clients.to_string();
    let said = Place::new().run(&[&["bench", "server", "--addr", &address, "--clients", &number], options].concat());
    // Clients that the command did not become: the server does not wait for them.
    (0..clients).for_each(|_| drop(TcpStream::connect(&address)));
    (said, accepting.join().unwrap())
}

fn serve(mut stream: TcpStream, answer: fn(&Request) -> Vec<u8>) -> Vec<Request> {
    let mut decoder = Decoder::new(Limits::default());
    let (mut requests, mut buffer) = (Vec::new(), vec![0; 10_000]);
    while let Ok(received @ 1..) = stream.read(&mut buffer) {
        let (mut input, mut replies) = (&buffer[..received], Vec::new());
        while let Some(request) = decoder.next(&mut input).unwrap() {
            replies.extend(answer(&request));
            // By the first client, before anything is measured.
            if request.arg(0) != Some(b"PING") {
                requests.push(request);
            }
        }
        // A client that gave up is not there to be told.
        let _ = stream.write_all(&replies);
    }
    requests
}

fn redis(request: &Request) -> Vec<u8> {
    if request.arg(0) == Some(b"SET") { b"+OK\r\n".to_vec() } else { b"$1\r\nv\r\n".to_vec() }
}

fn count(requests: &[Request], name: &str) -> usize {
    requests.iter().filter(|request| request.arg(0) == Some(name.as_bytes())).count()
}

#[test]
fn each_round_is_as_many_requests_as_were_asked_for_from_all_clients() {
    let options =
        ["--requests=1000", "--rounds=2", "--warmup=100", "--pipeline=7", "--key-space=50", "--value-bytes=33"];
    let (said, requests) = served(5, &[&options[..], &["--json"]].concat(), redis);
    said.is_silent_success();
    assert!(requests.iter().all(|requests| requests.len() >= 3 * 7), "each client sends a batch in each round");
    let requests = requests.concat();
    assert_eq!((requests.len(), count(&requests, "SET")), (2100, 2100));
    let keys: BTreeSet<&[u8]> = requests.iter().map(|request| request.arg(1).unwrap()).collect();
    assert_eq!(
        (keys.len(), keys.first().unwrap(), keys.last().unwrap()),
        (50, &&b"key:000000000000"[..], &&b"key:000000000049"[..])
    );
    assert!(requests.iter().all(|request| request.len() == 3 && request.arg(2).unwrap().len() == 33));
    let (_, requests) = served(2, &["--requests=100", "--key-space=7", "--key-bytes=33"], redis);
    let keys: BTreeSet<Vec<u8>> = requests.concat().iter().map(|request| request.arg(1).unwrap().to_vec()).collect();
    assert_eq!((keys.len(), keys.last().unwrap()), (7, &b"key:00000000000000000000000000006".to_vec()));

    let report: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!((&report["parameters"]["clients"], &report["parameters"]["mix"]), (&5.into(), &"set".into()));
    let figures = report["figures"].as_array().unwrap();
    let names: Vec<&str> = figures.iter().map(|figure| figure["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["answered", "p50", "p90", "p99", "p99.9", "slowest"]);
    assert!(figures.iter().all(|figure| figure["rounds"] == 2 && figure["min"].as_f64().unwrap() > 0.0));
}

#[test]
fn a_mix_reads_and_writes_and_a_filled_key_space_has_each_key() {
    let options = ["--requests=1000", "--rounds=1", "--warmup=0", "--key-space=64"];
    let (said, requests) = served(3, &[&options[..], &["--mix=mixed", "--fill"]].concat(), redis);
    said.is_silent_success();
    let requests = requests.concat();
    assert_eq!(requests.len(), 1064);
    let keys: BTreeSet<&[u8]> = requests.iter().map(|request| request.arg(1).unwrap()).collect();
    assert_eq!(keys.len(), 64);
    assert!((400..600).contains(&count(&requests, "GET")), "{} of 1000 are reads", count(&requests, "GET"));
    let (_, requests) = served(3, &["--requests=1", "--rounds=1", "--warmup=0", "--key-space=64", "--fill"], redis);
    let filled: BTreeSet<Vec<u8>> = requests.concat().iter().map(|request| request.arg(1).unwrap().to_vec()).collect();
    assert_eq!((requests.concat().len(), filled.len()), (65, 64), "each key once, and one request");
    let (said, requests) = served(3, &[&options[..], &["--mix=get"]].concat(), |_| b"$-1\r\n".to_vec());
    said.is_silent_success();
    assert_eq!(count(&requests.concat(), "GET"), 1000);
    let text = String::from_utf8(said.stdout).unwrap();
    let found = text.lines().find(|line| line.contains("keys read that had a value")).unwrap();
    assert!(found.contains(" 0.0000 of 1"), "{found}");
}

#[test]
fn replies_that_are_no_answers_end_the_run() {
    let refused = |answer, reason| {
        let (said, _) = served(2, &["--requests=1000", "--warmup=0"], answer);
        said.is(reason);
        assert!(!String::from_utf8(said.stdout).unwrap().contains("p50"));
        said.stderr
    };
    let told = refused(|_| b"-MISCONF no\r\n".to_vec(), Reason::ServerRefused);
    assert!(told.contains("told=MISCONF no]"), "{told}");
    refused(|_| b"HTTP/1.1 400 Bad Request\r\n".to_vec(), Reason::ServerNotUnderstood);
    refused(|_| b"+OK\r\n+OK\r\n".to_vec(), Reason::ServerNotUnderstood);
    let place = Place::new();
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    place.run(&["bench", "server", "--addr", &free, "--json"]).is(Reason::ServerUnreachable);
    for wrong in [
        "--clients=0",
        "--clients=10001",
        "--pipeline=0",
        "--requests=0",
        "--key-space=0",
        "--mix=del",
        "--value-bytes=33554433",
        "--key-bytes=15",
        "--key-bytes=16385",
    ] {
        place.run(&["bench", "server", "--addr", &free, wrong, "--json"]).is(Reason::CliUsage);
    }
}

/// With what was sent unread, the connection is broken; with all of it read, it has an end.
#[test]
fn a_server_that_goes_away_ends_the_run() {
    for read_bytes in [10, 10_000] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let gone = thread::spawn(move || listener.accept().unwrap().0.read(&mut vec![0; read_bytes]).unwrap());
        let said = Place::new().run(&["bench", "server", "--addr", &address, "--clients=1", "--json"]);
        said.is(Reason::ServerUnreachable);
        assert!(gone.join().unwrap() > 0);
    }
}

/// A server of HTTP waits for the end of a head, which it is sent; what does not answer is told of while it is waited for.
#[test]
fn what_speaks_no_resp_is_refused_or_told_of_before_anything_is_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let place = Place::new();
    let mut bench = place.command(&["bench", "server", "--addr", &address, "--clients=1"]);
    let mut bench = bench.stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut web, mut head) = (listener.accept().unwrap().0, Vec::new());
    let mut told = String::new();
    BufReader::new(bench.stderr.as_mut().unwrap()).read_line(&mut told).unwrap();
    assert!(told.contains("nobody answers yet") && told.contains(&address), "{told}");
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        web.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    assert_eq!(head, b"PING\r\n\r\n");
    web.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
    assert_eq!(bench.wait().unwrap().code(), Some(i32::from(Reason::ServerNotUnderstood.number())));
}
