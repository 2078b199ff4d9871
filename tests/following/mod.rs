//! A primary that is served, a proxy before it, and replicas in the same process, on the real disk and over real sockets.
//!
//! At the end of a test both sides are closed, and their logs and runs must be the same bytes.

#![allow(dead_code)]

use crate::proxy::Proxy;
use crate::served::Served;
use crate::world::Dice;
use aerodb::compare::{CompareOptions, Comparison, Local, Relation, compare};
use aerodb::disk::{Disk, RealDisk};
use aerodb::replica::{self, Replica, ReplicaOptions, ReplicaStatus};
use aerodb::supervisor::{Reconnect, machine::State};
use aerodb::{
    Batch, CommitId, Database, Init, Node, Options, Parameters, Position, Reason, Role, Status, committer, maintenance,
};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub fn small() -> Parameters {
    Parameters { segment_bytes: 16 * 1024, table_bytes: 8 * 1024, block_bytes: 512, fanout: 2 }
}

pub fn real() -> Arc<dyn Disk> {
    Arc::new(RealDisk)
}

/// A primary that is served, a proxy before it, and a place for replicas.
pub struct World {
    pub place: tempfile::TempDir,
    pub primary: Option<Served>,
    pub proxy: Proxy,
    pub dice: Dice,
}

impl World {
    pub fn new() -> World {
        let place = tempfile::tempdir().unwrap();
        let dir = place.path().join("p");
        Database::init(&Init { role: Role::Primary, parameters: small(), ..Init::standalone(&dir) }).unwrap();
        let primary = serve(Options::new(&dir));
        let proxy = Proxy::of(primary.replication.unwrap());
        World { place, primary: Some(primary), proxy, dice: Dice(7) }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.place.path().join(name)
    }

    pub fn db(&self) -> &Database {
        &self.primary.as_ref().unwrap().db
    }

    /// So many more commits.
    pub fn commit(&mut self, count: u64) -> CommitId {
        let batches: Vec<Batch> = (0..count).map(|_| some_batch(&mut self.dice)).collect();
        batches.into_iter().fold(CommitId::NONE, |_, batch| self.db().commit(batch).unwrap())
    }

    pub fn stop_primary(&mut self) {
        self.primary.take().unwrap().stop().close().unwrap();
    }

    /// Serves a directory in the place of the primary.
    pub fn serve(&mut self, options: Options) {
        let primary = serve(options);
        self.proxy.lead_to(primary.replication.unwrap());
        self.primary = Some(primary);
    }

    pub fn make_replica(&self, name: &str) {
        replica::init(&self.path(name), &self.proxy.address.to_string(), &real()).unwrap();
    }

    pub fn options(&self, name: &str) -> ReplicaOptions {
        let primary = self.proxy.address.to_string();
        ReplicaOptions {
            reconnect: Reconnect::After(0),
            tcp_keepalive: 0,
            ..ReplicaOptions::new(Options::new(&self.path(name)), &primary)
        }
    }

    pub fn open(&self, name: &str) -> Replica {
        Replica::open(self.options(name)).unwrap()
    }

    /// A new replica that does not connect again.
    pub fn once(&self, name: &str) -> Replica {
        self.make_replica(name);
        Replica::open(ReplicaOptions { reconnect: Reconnect::Never, ..self.options(name) }).unwrap()
    }

    /// Ends the primary; the directories of both must be the same, byte for byte.
    pub fn finish(mut self, names: &[&str]) {
        if self.primary.is_some() {
            self.stop_primary();
        }
        settle(&self.path("p"));
        for name in names {
            settle(&self.path(name));
            let found = compared(&self.path("p"), &self.path(name), true);
            assert_eq!(found.relation, Relation::Same, "{name}");
            assert_eq!((found.runs.different.len(), found.runs.only_a, found.runs.only_b), (0, 0, 0), "{name}");
            assert_eq!(sealed(&self.path("p")), sealed(&self.path(name)), "{name}");
            assert_eq!(files(&self.path("p").join("store")), files(&self.path(name).join("store")), "{name}");
        }
    }
}

pub fn serve(options: Options) -> Served {
    let db = Database::open(options).unwrap();
    Served::with(db, |options| options.replication = Some("127.0.0.1:0".parse().unwrap()))
}

pub fn some_batch(dice: &mut Dice) -> Batch {
    let mut batch = Batch::new();
    for _ in 0..=dice.below(3) {
        let key = format!("key-{}", dice.below(500));
        let value: Vec<u8> = (0..dice.below(300)).map(|_| dice.roll() as u8).collect();
        if dice.below(6) == 0 { batch.delete(key.as_bytes()) } else { batch.put(key.as_bytes(), &value) }.unwrap();
    }
    batch
}

pub fn compared(a: &Path, b: &Path, thorough: bool) -> Comparison {
    try_compare(a, b, thorough).unwrap()
}

pub fn try_compare(a: &Path, b: &Path, thorough: bool) -> aerodb::Result<Comparison> {
    let (mut a, mut b) = (Local::open(&real(), a)?, Local::open(&real(), b)?);
    compare(&mut a, &mut b, &CompareOptions { thorough, scratch: None }, &mut |_, _| {})
}

/// Waits until a node that runs has nothing to do.
pub fn rest(database: &Database) {
    let busy = |status: Status| {
        let idle = (committer::machine::State::Idle, maintenance::machine::State::Idle);
        (status.committer.state, status.maintenance.state) != idle
            || status.proofs.owed + status.merges_due as u64 + status.sealed_tables as u64 > 0
    };
    while busy(database.status()) {
        std::thread::yield_now();
    }
}

/// Does what maintenance has not done yet: when it is done is free.
pub fn settle(dir: &Path) {
    let mut node = Node::open(&Options::new(dir)).unwrap();
    node.maintain().unwrap();
    node.close().unwrap();
}

pub fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    entries.map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap())).collect()
}

/// The segments that will not change any more.
pub fn sealed(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut segments = files(&dir.join("wal"));
    segments.remove("MARK");
    segments.pop_last();
    segments
}

pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(|entry| entry.unwrap()) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// REPL-POSITIONS: what is shown obeys the law at every moment.
pub fn check_law(status: &ReplicaStatus) {
    let (received, validated) = (status.received, status.validated.point.position);
    assert!(status.applied.position <= validated && validated <= received.received, "{status:?}");
    assert!(received.received <= received.asked, "{status:?}");
}

/// Waits until it has halted, and returns by what: the code, and where.
pub fn halted(replica: &Replica) -> (Reason, Position) {
    let status = replica.wait_until(|status| status.halt.is_some());
    let halt = status.halt.unwrap();
    assert_eq!(status.replica.state, State::Halted);
    assert_eq!(status.fault.unwrap().reason(), halt.reason);
    assert!(!halt.evidence.is_empty());
    (halt.reason, halt.position)
}
