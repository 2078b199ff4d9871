//! Every explanation in the states that matter, of real nodes on simulated disks: the same bytes in each run, and those of `docs/explanations.md`.
//!
//! `AERODB_BLESS=1 cargo test --test explanations` writes the page's examples and the files beside this one anew. Ports differ from run to run, so
//! they are masked; nothing else is.

#![cfg(feature = "replication")]

mod proxy;
mod served;
mod world;

use aerodb::disk::SimDisk;
use aerodb::explain::{self, Explanation, Kind, Topic, VERSIONS_MAX};
use aerodb::frame::Frame;
use aerodb::gate::Evaluation;
use aerodb::receiver::machine::State as ReceiverState;
use aerodb::replica::{Replica, ReplicaOptions};
use aerodb::supervisor::machine::State;
use aerodb::{
    Batch, CommitId, Database, Id, Init, Options, Reason, Role, Wish, applier, maintenance, recovery, validator,
};
use proxy::Proxy;
use served::Served;
use std::path::Path;
use std::sync::Arc;
use world::{init_options, options, tiny};

fn read(key: &[u8], wish: Wish) -> Topic {
    Topic::Read { key: key.to_vec(), wish }
}

fn put(db: &Database, key: &str, value: &str) {
    let mut batch = Batch::new();
    batch.put(key.as_bytes(), value.as_bytes()).unwrap();
    db.commit(batch).unwrap();
}

/// A primary with three versions of a key, a floor, and a checkpoint.
fn primary() -> (SimDisk, Database) {
    let disk = SimDisk::new();
    Database::init(&Init { role: Role::Primary, ..init_options(&disk, tiny()) }).unwrap();
    let db = Database::open(Options { proofs: false, ..options(&disk) }).unwrap();
    put(&db, "apple", "green");
    put(&db, "apple", "red");
    let mut batch = Batch::new();
    batch.delete(b"apple").unwrap();
    db.commit(batch).unwrap();
    put(&db, "plum", "blue");
    db.raise_floor(CommitId(2)).unwrap();
    db.checkpoint().unwrap();
    put(&db, "apple", "yellow");
    while db.status().maintenance.state != maintenance::machine::State::Idle {
        std::thread::yield_now();
    }
    (disk, db)
}

/// A replica's directory on a disk of its own.
fn replica_of(db: &Database) -> SimDisk {
    let disk = SimDisk::new();
    let identity = Database::init(&Init {
        role: Role::Replica,
        database_id: Some(db.identity().database_id),
        node_id: Some(Id([0x5e; 16])),
        ..init_options(&disk, tiny())
    });
    identity.unwrap();
    disk
}

fn follow(disk: &SimDisk, primary: &str) -> Replica {
    Replica::open(ReplicaOptions { tcp_keepalive: 0, ..ReplicaOptions::new(options(disk), primary) }).unwrap()
}

fn of_replica(replica: &Replica, topic: &Topic) -> Explanation {
    explain::of(topic, replica.database(), Some(&replica.status()))
}

/// Every state that is shown, and its explanations.
fn everything() -> Vec<(&'static str, Explanation)> {
    let mut all = Vec::new();
    let (_, db) = primary();
    let newest = Wish::newest();
    all.push(("read, a value", explain::of(&read(b"apple", newest), &db, None)));
    all.push(("read, as it was", explain::of(&read(b"apple", Wish::at(Some(CommitId(2)))), &db, None)));
    all.push(("read, a tombstone", explain::of(&read(b"apple", Wish::at(Some(CommitId(4)))), &db, None)));
    all.push(("read, absent", explain::of(&read(b"pear", newest), &db, None)));
    all.push(("read, below the floor", explain::of(&read(b"apple", Wish::at(Some(CommitId(1)))), &db, None)));
    all.push(("read, beyond what is applied", explain::of(&read(b"apple", Wish::at_least(CommitId(9))), &db, None)));
    all.push(("checkpoint of a primary", explain::of(&Topic::Checkpoint, &db, None)));
    all.push(("replication of a primary", explain::of(&Topic::Replication, &db, None)));
    all.push(("segment of a primary", explain::of(&Topic::Segment, &db, None)));

    let served = Served::with(db, |options| options.replication = Some("127.0.0.1:0".parse().unwrap()));
    let proxy = Proxy::of(served.replication.unwrap());
    let address = proxy.address.to_string();
    let disk = replica_of(&served.db);
    let replica = follow(&disk, &address);
    replica.wait_for(CommitId(5)).unwrap();
    replica.wait_until(|status| {
        let idle = (ReceiverState::Streaming, validator::machine::State::Waiting, applier::machine::State::Idle);
        let stages = (status.receiver.state, status.validator.state, status.applier.state);
        status.replica.state == State::Ready && stages == idle
    });
    all.push(("replication of a replica that follows", of_replica(&replica, &Topic::Replication)));
    all.push(("segment of a replica, none rejected", of_replica(&replica, &Topic::Segment)));
    all.push(("read on a replica", of_replica(&replica, &read(b"apple", newest))));
    proxy.cut();
    replica.wait_until(|status| status.receiver.state == ReceiverState::Disconnected);
    all.push(("replication of a replica that lost its connection", of_replica(&replica, &Topic::Replication)));
    replica.close().unwrap();

    proxy.edit(|frame, mut bytes| {
        if let (Frame::Segment(_), Some(last)) = (frame, bytes.last_mut()) {
            *last ^= 1;
        }
        bytes
    });
    put(&served.db, "apple", "black");
    let replica = follow(&disk, &address);
    replica.wait_until(|status| {
        let closed = (ReceiverState::Closed, applier::machine::State::Closed);
        status.replica.state == State::Halted && (status.receiver.state, status.applier.state) == closed
    });
    all.push(("replication of a halted replica", of_replica(&replica, &Topic::Replication)));
    all.push(("segment that was rejected", of_replica(&replica, &Topic::Segment)));
    all.push(("read on a halted replica", of_replica(&replica, &read(b"apple", newest))));
    let before =
        [Topic::Replication, Topic::Segment, read(b"apple", newest)].map(|topic| of_replica(&replica, &topic).json());
    drop(replica);
    let replica = follow(&disk, &address);
    let after =
        [Topic::Replication, Topic::Segment, read(b"apple", newest)].map(|topic| of_replica(&replica, &topic).json());
    assert_eq!(before, after, "a restart changes nothing of what is kept");
    drop(replica);
    let at_rest = |kind| explain::at_rest(kind, &options(&disk)).unwrap().unwrap();
    all.push(("replication of a halted replica's directory", at_rest(Kind::Replication)));
    all.push(("segment that was rejected, of a directory", at_rest(Kind::Segment)));

    all.push(("recovery of a directory that would open", explain::examined(&recovery::examine(&options(&disk)))));
    let db = Database::open(options(&disk)).unwrap();
    all.push(("recovery of a node that runs", explain::of(&Topic::Recovery, &db, None)));
    db.close().unwrap();
    let manifest = Path::new(world::DIR).join("store/MANIFEST");
    let manifests: Vec<_> =
        disk.paths().into_iter().filter(|path| path.starts_with(manifest.parent().unwrap())).collect();
    for path in manifests.iter().filter(|path| path.to_string_lossy().contains("MANIFEST")) {
        let mut bytes = disk.contents(path).unwrap();
        bytes.iter_mut().for_each(|byte| *byte ^= 1);
        disk.overwrite(path, bytes);
    }
    all.push(("recovery of a directory that does not open", explain::examined(&recovery::examine(&options(&disk)))));
    drop(served.stop());
    all
}

/// The text without the ports, which the system chooses.
fn masked(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("127.0.0.1:") {
        shown.push_str(before);
        shown.push_str("127.0.0.1:PORT");
        rest = behind.trim_start_matches(|c: char| c.is_ascii_digit());
    }
    shown + rest
}

/// Those that stand on the page; the others lie beside this file.
const SHOWN: [&str; 6] = [
    "read, as it was",
    "read, below the floor",
    "checkpoint of a primary",
    "replication of a replica that follows",
    "segment that was rejected",
    "recovery of a directory that does not open",
];

fn file_name(title: &str) -> String {
    title.replace(", ", "-").replace('\'', "").replace(' ', "-") + ".json"
}

/// EXPL-BYTES, P5-I15, F-O1, F-RC2: two runs say the same, and what the page shows.
#[test]
fn explanations_are_the_same_in_each_run_and_on_the_page() {
    let (first, second) = (everything(), everything());
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = root.join("docs/explanations.md");
    let text = std::fs::read_to_string(&page).unwrap();
    let (head, _) = text.split_once("## Examples\n").unwrap();
    let intro = "\nWhat follows is printed by a test from real nodes (`AERODB_BLESS=1 cargo test --test explanations` writes it anew); the same as JSON lies in `tests/explanations/`.\n";
    let mut wanted = format!("{head}## Examples\n{intro}");
    let mut wrong = Vec::new();
    for ((title, explanation), (_, again)) in first.iter().zip(&second) {
        let json = masked(&explanation.json().to_string()) + "\n";
        let second = masked(&again.json().to_string()) + "\n";
        assert!(second == json, "{title}:\n{json}{second}");
        assert_eq!(masked(&again.to_string()), masked(&explanation.to_string()), "{title}");
        if SHOWN.contains(title) {
            wanted.push_str(&format!("\n### {title}\n\n```text\n{}```\n", masked(&explanation.to_string())));
        }
        let file = root.join("tests/explanations").join(file_name(title));
        if std::env::var_os("AERODB_BLESS").is_some() {
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, &json).unwrap();
        } else if std::fs::read_to_string(&file).ok().as_deref() != Some(&json) {
            wrong.push(format!("{}: it should be {json}", file.display()));
        }
    }
    if std::env::var_os("AERODB_BLESS").is_some() {
        std::fs::write(&page, wanted).unwrap();
    } else {
        assert!(text == wanted, "docs/explanations.md is not what the nodes say (AERODB_BLESS=1 writes it)");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// EXPL-TABLE: what is concluded is what a read does, and each rule is one of the table; the same after a restart.
#[test]
fn what_is_explained_is_what_happens_and_a_restart_changes_nothing() {
    let (disk, db) = primary();
    let wishes: Vec<Wish> = (0..=7)
        .flat_map(|commit| [Wish::at(Some(CommitId(commit))), Wish::at_least(CommitId(commit))])
        .chain([Wish::newest()])
        .collect();
    let ask = |db: &Database| -> Vec<String> {
        let mut told = Vec::new();
        for key in [&b"apple"[..], b"plum", b"pear", b"\xff\n\""] {
            for wish in &wishes {
                let explanation = explain::of(&read(key, *wish), db, None);
                assert!(explanation.rules.iter().all(|applied| !applied.description().is_empty()), "{explanation}");
                let conclusion = &explanation.conclusion;
                match db.read(wish) {
                    Ok(view) => {
                        let expected = if view.get(key).unwrap().is_some() { "value" } else { "absent" };
                        assert_eq!((conclusion.outcome, conclusion.error.as_ref()), (expected, None), "{explanation}");
                    }
                    Err(error) => {
                        assert_eq!((conclusion.outcome, conclusion.error.as_ref()), ("refused", Some(&error)));
                        let rule = explanation.rules.iter().find(|applied| applied.evaluation != Evaluation::Holds);
                        assert_eq!(rule.map(|applied| applied.rule), error.fact("rule"));
                    }
                }
                told.push(explanation.json().to_string());
            }
        }
        told
    };
    let before = ask(&db);
    assert_eq!(ask(&db), before);
    db.close().unwrap();
    let db = Database::open(options(&disk)).unwrap();
    assert_eq!(ask(&db), before, "a restart changes nothing");
    db.close().unwrap();
}

/// EXPL-TABLE, M-VISIBLE: a key with more versions than are shown, read at any of them: what is said is what a read finds.
#[test]
fn of_many_versions_the_visible_one_is_found_and_what_is_cut_is_said() {
    let disk = SimDisk::new();
    Database::init(&init_options(&disk, tiny())).unwrap();
    let db = Database::open(options(&disk)).unwrap();
    const WRITTEN: u64 = 100;
    for number in 1..=WRITTEN {
        put(&db, "k", &"v".repeat(number as usize));
    }
    for commit in 0..=WRITTEN {
        let wish = Wish::at(Some(CommitId(commit)));
        let explanation = explain::of(&read(b"k", wish), &db, None);
        let outcome = if commit == 0 { "absent" } else { "value" };
        assert_eq!(explanation.conclusion.outcome, outcome, "{commit}");
        let told = format!("the key has the {commit} bytes that commit {commit} wrote");
        assert!(commit == 0 || explanation.conclusion.sentence.contains(&told), "{explanation}");
        assert_eq!(explanation.is_complete(), commit <= VERSIONS_MAX as u64, "{commit}");
    }
    db.close().unwrap();
}

/// F-RC2, F-O1: whatever is broken, the explanation names the step, its evidence, and what was not reached; nothing is changed by asking.
#[test]
fn a_directory_that_does_not_open_is_explained() {
    let (disk, db) = primary();
    let served = Arc::new(db);
    let replica = replica_of(&served);
    drop(Arc::into_inner(served));
    for (disk, file, step, reason) in [
        (&disk, "IDENTITY", "identity", Reason::IdentityCorrupt),
        (&disk, "MANIFEST", "checkpoint", Reason::StoreManifestCorrupt),
        (&disk, "MARK", "log", Reason::WalMarkCorrupt),
        (&replica, "STATE.", "state", Reason::ReplicaStateCorrupt),
    ] {
        let damaged: Vec<_> = disk.paths().into_iter().filter(|path| path.to_string_lossy().contains(file)).collect();
        assert!(!damaged.is_empty(), "{file}");
        let disk = disk.image().restart();
        for path in &damaged {
            let mut bytes = disk.contents(path).unwrap();
            bytes.iter_mut().for_each(|byte| *byte ^= 1);
            disk.overwrite(path, bytes);
        }
        let before: Vec<_> = disk.paths().into_iter().map(|path| disk.contents(&path)).collect();
        let explanation = explain::examined(&recovery::examine(&options(&disk)));
        assert_eq!(explanation.conclusion.error.as_ref().map(|error| error.reason()), Some(reason), "{explanation}");
        let failed: Vec<_> =
            explanation.rules.iter().filter(|applied| applied.evaluation == Evaluation::Fails).collect();
        assert_eq!(failed.iter().map(|applied| applied.subject.as_str()).collect::<Vec<_>>(), [step]);
        assert!(
            !explanation.is_complete()
                && explanation.missing.last().is_some_and(|missing| missing.contains("publishing"))
        );
        let after: Vec<_> = disk.paths().into_iter().map(|path| disk.contents(&path)).collect();
        assert_eq!(before, after, "asking changes nothing");
    }
}
