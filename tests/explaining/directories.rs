//! Directories that nobody has open: what opening them would find, and what it found.

use super::{Told, begun_with, damage, follow, of, primary, replica_of, rests, serve};
use crate::world::{DIR, init_options, options, tiny};
use aerodb::disk::{Crash, Disk, SimDisk};
use aerodb::explain::{self, Explanation, Kind, Topic};
use aerodb::replica_state::Origin;
use aerodb::{Batch, Database, Node, recovery};
use std::path::Path;

fn examined(disk: &SimDisk) -> Explanation {
    explain::examined(&recovery::examine(&options(disk)))
}

pub fn told() -> Vec<Told> {
    let served = serve(primary().1);
    let disk = replica_of(&served.db);
    let replica = follow(&disk, &served.replication.unwrap().to_string());
    replica.wait_until(rests);
    replica.close().unwrap();
    let mut told = vec![("recovery of a directory that would open", examined(&disk))];
    let db = Database::open(options(&disk)).unwrap();
    told.push(("recovery of a node that runs", of(&db, &Topic::Recovery)));
    told.push(("recovery of a directory that is open", examined(&disk)));
    db.close().unwrap();
    for (title, part) in [
        ("recovery of a directory that does not open", "MANIFEST"),
        ("recovery of a directory with a broken identity", "IDENTITY"),
        ("recovery of a directory with a broken state", "STATE."),
        ("recovery of a directory with a broken run", ".run"),
        ("recovery of a directory with a broken mark", "MARK"),
        ("recovery of a directory with a broken log", ".seg"),
    ] {
        let disk = disk.image().restart();
        damage(&disk, part);
        told.push((title, examined(&disk)));
    }
    let lost = disk.image().restart();
    let run = lost.paths().into_iter().find(|path| path.to_string_lossy().ends_with(".run")).unwrap();
    lost.remove(&run).unwrap();
    told.push(("recovery of a directory without a run", examined(&lost)));
    let empty = replica_of(&served.db);
    begun_with(&empty, Origin::Nothing);
    told.push(("recovery of a directory whose bootstrap is not complete", examined(&empty)));
    let began = replica_of(&served.db);
    begun_with(&began, Origin::Log);
    let at_rest = explain::at_rest(Kind::Segment, &options(&began)).unwrap().unwrap();
    told.push(("segment of a directory that records where it began", at_rest));
    let nothing = SimDisk::new();
    nothing.create_dir(Path::new(DIR)).unwrap();
    told.push(("recovery of an empty directory", examined(&nothing)));

    let torn = torn();
    told.push(("recovery of a directory with a torn tail", examined(&torn)));
    let db = Database::open(options(&torn)).unwrap();
    told.push(("recovery of a node that dropped a torn tail", of(&db, &Topic::Recovery)));
    db.close().unwrap();
    told
}

/// The power fails while a group of several sectors is written: the first crash that leaves a part of it.
pub fn torn() -> SimDisk {
    let disk = SimDisk::new();
    Node::init(&init_options(&disk, tiny())).unwrap();
    let mut node = Node::open(&options(&disk)).unwrap();
    let commit = |node: &mut Node, value: &[u8]| {
        let mut batch = Batch::new();
        batch.put(b"apple", value).unwrap();
        node.commit(batch).unwrap();
    };
    commit(&mut node, b"green");
    disk.record_images(true);
    commit(&mut node, &[b'v'; 2000]);
    let images = disk.take_images();
    let crashes = images.iter().flat_map(|image| (0..9).map(move |seed| image.crash(Crash::Sectors, seed)));
    let mut torn = crashes.filter(|crashed| torn_bytes(crashed).is_some_and(|bytes| bytes != "0"));
    torn.next().expect("a crash that leaves a part of it")
}

/// What of a tail would be dropped.
fn torn_bytes(disk: &SimDisk) -> Option<String> {
    let examined = recovery::examine(&options(disk));
    let found = examined.steps.last().map(|step| step.found.clone()).unwrap_or_default();
    found.into_iter().find_map(|(name, value)| (name == "torn_bytes").then_some(value))
}
