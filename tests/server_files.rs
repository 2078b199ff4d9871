//! As many connections as there are files, and one more. Alone in its process, whose limit of open files it changes.

#![cfg(feature = "server")]

mod served;
mod world;

use aerodb::Database;
use aerodb::disk::SimDisk;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use served::{Client, Served, ok, pong};
use std::fs::File;
use world::{init_options, options};

/// Most files that the process may open from now on.
fn limit_files(files: u64) {
    let limit = Rlimit { current: Some(files), ..getrlimit(Resource::Nofile) };
    setrlimit(Resource::Nofile, limit).unwrap();
}

/// RESP-FLOW: ten thousand clients that say nothing, or as many as both ends of their connections may be opened here; and, at the bound of open
/// files, those that come wait until another has gone.
#[test]
fn thousands_of_idle_clients_cost_the_others_nothing_and_when_files_run_out_the_next_waits() {
    let hard = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    let idle = 10_000.min(hard.saturating_sub(200) / 2);
    println!("{idle} connections, of {hard} files at most");
    assert!(idle >= 1000, "too few files for this test: {hard}");
    limit_files(hard);

    let disk = SimDisk::new();
    Database::init(&init_options(&disk, aerodb::Parameters::default())).unwrap();
    let served = Served::new(Database::open(options(&disk)).unwrap());
    let mut first = served.client();
    let mut clients: Vec<Client> = (1..idle).map(|_| served.client()).collect();
    assert_eq!(first.ask("SET k v"), ok());
    for client in clients.iter_mut().step_by(97) {
        assert_eq!(client.ask("PING"), pong());
    }
    // The kernel completes a connection before the server has accepted it; the last one was, so all were.
    assert_eq!(clients.last_mut().unwrap().ask("PING"), pong());

    clients.truncate(100);
    first.wait_for("connected_clients", 101);
    // Every file that is left is taken but one: the client's end fits in, the server's does not.
    limit_files(1000);
    let mut files: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    assert!(files.len() > 100);
    files.pop();
    let mut waiting = served.client();
    waiting.request(&["PING"]);
    assert_eq!(first.ask("PING"), pong(), "those that are connected are served");
    clients.pop();
    assert_eq!(waiting.reply(), pong());
    drop(served.stop().close());
}
