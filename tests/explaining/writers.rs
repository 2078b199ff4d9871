//! Nodes that make their own log.

use super::{Told, gated_options, of, primary, put};
use crate::world::{init_options, tiny};
use aerodb::disk::SimDisk;
use aerodb::explain::Topic;
use aerodb::{Database, Init, Role};

pub fn told() -> Vec<Told> {
    let (_, db) = primary();
    let mut told = vec![
        ("checkpoint of a primary", of(&db, &Topic::Checkpoint)),
        ("replication of a primary", of(&db, &Topic::Replication)),
        ("segment of a primary", of(&db, &Topic::Segment)),
    ];
    db.close().unwrap();

    let disk = SimDisk::new();
    Database::init(&init_options(&disk, tiny())).unwrap();
    let db = Database::open(crate::world::options(&disk)).unwrap();
    told.push(("replication of a standalone node", of(&db, &Topic::Replication)));
    db.close().unwrap();

    let disk = SimDisk::new();
    Database::init(&Init { role: Role::Primary, ..init_options(&disk, tiny()) }).unwrap();
    let (options, gate) = gated_options(&disk);
    let db = Database::open(options).unwrap();
    put(&db, "apple", "green");
    gate.fail(".run.tmp");
    db.checkpoint().unwrap_err();
    told.push(("checkpoint of a primary that stopped", of(&db, &Topic::Checkpoint)));
    told
}
