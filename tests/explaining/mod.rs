//! The states that are explained, each of real nodes: writers, followers with their threads and sockets, what a hostile primary makes of one, and
//! directories that nobody has open.

#![allow(dead_code)]

pub mod directories;
pub mod followers;
pub mod reads;
pub mod rejected;
pub mod waiting;
pub mod writers;

use crate::served::Served;
use crate::world::{DIR, init_options, options, shared, tiny};
use aerodb::disk::{Disk, SimDisk};
use aerodb::explain::{self, Explanation, Topic};
use aerodb::receiver::machine::State as ReceiverState;
use aerodb::replica::{Replica, ReplicaOptions, ReplicaStatus};
use aerodb::replica_state::{Origin, ReplicaState, StateStore};
use aerodb::supervisor::machine::State;
use aerodb::{
    Batch, CommitId, Database, Id, Init, LogPoint, Options, Parameters, Role, Status, Wish, applier, maintenance,
    validator,
};
use std::path::Path;
use waiting::Answered;

/// What is shown, under its title.
pub type Told = (&'static str, Explanation);

/// Every state that is shown, and its explanations.
pub fn everything() -> Vec<Answered> {
    let told = [writers::told(), reads::told(), followers::told(), rejected::told(), directories::told()].concat();
    let told = told.into_iter().map(|(title, told)| (title, told.json().to_string(), told.to_string()));
    told.chain(waiting::told()).collect()
}

pub fn read(key: &[u8], wish: Wish) -> Topic {
    Topic::Read { key: key.to_vec(), wish }
}

pub fn put(db: &Database, key: &str, value: &str) {
    let mut batch = Batch::new();
    batch.put(key.as_bytes(), value.as_bytes()).unwrap();
    db.commit(batch).unwrap();
}

/// A primary with three versions of a key, a floor, and a checkpoint.
pub fn primary() -> (SimDisk, Database) {
    primary_with(tiny(), false)
}

/// The same in other measures; with the Proofs of its runs in its log, or without.
pub fn primary_with(parameters: Parameters, proofs: bool) -> (SimDisk, Database) {
    let disk = SimDisk::new();
    Database::init(&Init { role: Role::Primary, ..init_options(&disk, parameters) }).unwrap();
    let db = Database::open(Options { proofs, ..options(&disk) }).unwrap();
    put(&db, "apple", "green");
    put(&db, "apple", "red");
    let mut batch = Batch::new();
    batch.delete(b"apple").unwrap();
    db.commit(batch).unwrap();
    put(&db, "plum", "blue");
    db.raise_floor(CommitId(2)).unwrap();
    db.checkpoint().unwrap();
    until(&db, |status| !proofs || status.proofs.logged == 1);
    put(&db, "apple", "yellow");
    settled(&db);
    (disk, db)
}

/// Waits until maintenance has nothing to do.
pub fn settled(db: &Database) {
    until(db, |status| {
        let work = (status.sealed_tables, status.merges_due, status.proofs.waiting, status.proofs.owed);
        work == (0, 0, 0, 0) && status.maintenance.state == maintenance::machine::State::Idle
    });
}

/// Waits for what a thread of the database is about to do; where that has ended it fails, for it never will.
pub fn until(db: &Database, holds: impl Fn(&Status) -> bool) {
    loop {
        let status = db.status();
        if holds(&status) {
            return;
        }
        assert!(status.write_fault.is_none() && status.halted.is_none(), "it never comes: {status:?}");
        std::thread::yield_now();
    }
}

/// Serves it, to replicas too.
pub fn serve(db: Database) -> Served {
    Served::with(db, |options| options.replication = Some("127.0.0.1:0".parse().unwrap()))
}

/// A replica's directory on a disk of its own.
pub fn replica_of(db: &Database) -> SimDisk {
    let disk = SimDisk::new();
    let (parameters, database_id) = (db.identity().parameters, Some(db.identity().database_id));
    let node_id = Some(Id([0x5e; 16]));
    let replica = Init { role: Role::Replica, database_id, node_id, ..init_options(&disk, parameters) };
    Database::init(&replica).unwrap();
    disk
}

/// Has the directory of a replica say that it began in another way.
pub fn begun_with(disk: &SimDisk, origin: Origin) {
    kept_as(disk, |state| ReplicaState { origin, ..state });
}

/// Has the directory of a replica keep another state.
pub fn kept_as(disk: &SimDisk, change: impl FnOnce(ReplicaState) -> ReplicaState) {
    let identity = aerodb::Identity::read(disk, Path::new(DIR)).unwrap();
    let store = StateStore::open(disk, Path::new(DIR), identity.database_id, identity.node_id).unwrap();
    let state = change(store.state().clone());
    drop(store);
    disk.paths().into_iter().filter(|path| path.to_string_lossy().contains("STATE.")).for_each(|path| {
        disk.remove(&path).unwrap();
    });
    StateStore::create(disk, Path::new(DIR), &state).unwrap();
}

pub fn follow(disk: &SimDisk, primary: &str) -> Replica {
    follow_on(options(disk), primary)
}

pub fn follow_on(options: Options, primary: &str) -> Replica {
    Replica::open(ReplicaOptions { tcp_keepalive: 0, ..ReplicaOptions::new(options, primary) }).unwrap()
}

/// It has nothing to do.
pub fn rests(status: &ReplicaStatus) -> bool {
    let idle = (ReceiverState::Streaming, validator::machine::State::Waiting, applier::machine::State::Idle);
    let stages = (status.receiver.state, status.validator.state, status.applier.state);
    status.replica.state == State::Ready && stages == idle
}

/// It has ended like this, and so have its stages.
pub fn ended(status: &ReplicaStatus, state: State) -> bool {
    let stages = (status.receiver.state, status.validator.state, status.applier.state);
    let closed = (ReceiverState::Closed, validator::machine::State::Closed, applier::machine::State::Closed);
    status.replica.state == state && stages == closed
}

pub fn of_replica(replica: &Replica, topic: &Topic) -> Explanation {
    explain::of(topic, replica.database(), Some(&replica.status()))
}

pub fn of(db: &Database, topic: &Topic) -> Explanation {
    explain::of(topic, db, None)
}

/// The durable end of a node's log.
pub fn end(db: &Database) -> LogPoint {
    db.extent().durable
}

/// Damages every file whose path has this in it.
pub fn damage(disk: &SimDisk, part: &str) {
    let damaged: Vec<_> = disk.paths().into_iter().filter(|path| path.to_string_lossy().contains(part)).collect();
    assert!(!damaged.is_empty(), "{part}");
    for path in &damaged {
        let mut bytes = disk.contents(path).unwrap();
        bytes.iter_mut().for_each(|byte| *byte ^= 1);
        disk.overwrite(path, bytes);
    }
}

/// A disk of which the test can make fsyncs fail, or hold them.
pub fn gated_options(disk: &SimDisk) -> (Options, crate::world::gate::GateKeeper) {
    let (gated, gate) = crate::world::gate::gated(shared(disk));
    (Options { disk: gated, ..options(disk) }, gate)
}
