//! Nodes that have nothing to read yet, asked over a socket.

use super::{primary, read};
use crate::served::Client;
use crate::world::options;
use aerodb::bootstrap::{self, Transfer};
use aerodb::explain::Topic;
use aerodb::observed::Observation;
use aerodb::recovery::machine::State;
use aerodb::resp::Value;
use aerodb::server::lobby::{Lobby, LobbyOptions};
use aerodb::{CommitId, Database, Id, LogPoint, Options, Wish};
use std::sync::{Arc, Mutex};

/// An explanation as it came: JSON, and text.
pub type Answered = (&'static str, String, String);

fn lobby(primary: Option<&str>) -> Lobby {
    let options = LobbyOptions {
        listen: "127.0.0.1:0".parse().unwrap(),
        allow_remote: false,
        max_clients: 10,
        client_memory: 1 << 20,
        tcp_keepalive: 0,
        primary: primary.map(str::to_owned),
    };
    Lobby::open(options).unwrap()
}

fn answered(lobby: &Lobby, title: &'static str, words: &str) -> Answered {
    let mut client = Client::connect(lobby.local_addr());
    let mut text = |words: &str| {
        let answer = client.ask(words);
        let Value::Bulk(text) = answer else { panic!("{words}: {answer:?}") };
        String::from_utf8(text).unwrap()
    };
    (title, text(&format!("{words} JSON")), text(words))
}

pub fn told() -> Vec<Answered> {
    let (disk, db) = primary();
    let identity = *db.identity();
    db.close().unwrap();
    let lobby_of_writer = Arc::new(lobby(None));
    let told = Arc::new(Mutex::new(Vec::new()));
    told.lock().unwrap().push(answered(
        &lobby_of_writer,
        "replication of a node that begins",
        "AERO.EXPLAIN REPLICATION",
    ));
    lobby_of_writer.board().identified(&identity);
    let (shown, answers) = (Arc::clone(&lobby_of_writer), Arc::clone(&told));
    // The recovery waits for the answers, as it does for whoever watches it.
    let watch = move |seen: &aerodb::recovery::Progress| {
        shown.board().recovers(seen);
        if seen.recovery.state == State::Log && answers.lock().unwrap().len() == 1 {
            let asked = [
                ("replication of a node that recovers", "AERO.EXPLAIN REPLICATION"),
                ("read on a node that recovers", "AERO.EXPLAIN READ apple AT 2"),
                ("recovery of a node that recovers", "AERO.EXPLAIN RECOVERY"),
            ];
            answers.lock().unwrap().extend(asked.map(|(title, words)| answered(&shown, title, words)));
        }
    };
    let db = Database::open(Options { watch: Some(Arc::new(watch)), ..options(&disk) }).unwrap();
    let found = super::of(&db, &Topic::Recovery);
    assert_eq!(found.conclusion.outcome, "recovered", "{found}");
    assert_eq!(super::of(&db, &read(b"apple", Wish::newest())).conclusion.outcome, "value");
    db.close().unwrap();
    let mut told = std::mem::take(&mut *told.lock().unwrap());

    let lobby = lobby(Some("127.0.0.1:6381"));
    let cut = LogPoint { position: aerodb::Position(296), commit: CommitId(4), ..LogPoint::default() };
    let (attempts, chunks, primary) = (1, 2, Some(Id([0x0d; 16])));
    let transfer =
        Transfer { attempts, chunks, primary, cut: Some(cut), total: 4096, came: 1024, ..Transfer::default() };
    lobby.board().bootstraps(Observation::begun(bootstrap::machine::State::Receiving), transfer);
    told.extend([
        answered(&lobby, "replication of a replica that bootstraps", "AERO.EXPLAIN REPLICATION"),
        answered(&lobby, "checkpoint of a replica that bootstraps", "AERO.EXPLAIN CHECKPOINT"),
    ]);
    told
}
