//! Reads of a key: what is found, what is refused, and by which rule.

use super::{Told, damage, end, of, primary, read};
use crate::world::{init_options, options, tiny};
use aerodb::disk::SimDisk;
use aerodb::record::Purpose;
use aerodb::{Batch, CommitId, Database, History, LogPoint, Node, Options, Position, Wish, committer::Retention};

pub fn told() -> Vec<Told> {
    let (disk, db) = primary();
    let newest = Wish::newest();
    let mut told: Vec<Told> = [
        ("read, a value", newest),
        ("read, as it was", Wish::at(Some(CommitId(2)))),
        ("read, a tombstone", Wish::at(Some(CommitId(4)))),
        ("read, below the floor", Wish::at(Some(CommitId(1)))),
        ("read, beyond what is applied", Wish::at(Some(CommitId(6)))),
        ("read, newer than what is applied", Wish::at_least(CommitId(9))),
    ]
    .map(|(title, wish)| (title, of(&db, &read(b"apple", wish))))
    .to_vec();
    told.push(("read, absent", of(&db, &read(b"pear", newest))));
    let here = end(&db);
    let inside = LogPoint { position: Position(here.position.0 - 8), ..here };
    let beyond = LogPoint { position: here.position.after(64), commit: CommitId(9), ..here };
    let on = |point| of(&db, &read(b"apple", newest.on(point)));
    told.extend([
        ("read in the history that is known", on(here)),
        ("read in another history", on(LogPoint { history: History(here.history.0 ^ 1), ..here })),
        ("read at a point where no record ends", on(inside)),
        ("read at a point that is not applied", on(beyond)),
    ]);
    db.close().unwrap();

    let db = Database::open(options(&disk)).unwrap();
    damage(&disk, ".seg");
    told.push(("read at a point that can not be looked up", of(&db, &read(b"apple", newest.on(inside)))));
    drop(db);
    told.push(("read at a point whose log was dropped", dropped()));
    told.push(("read, versions that can not be read", unreadable()));
    told
}

fn dropped() -> aerodb::explain::Explanation {
    let disk = SimDisk::new();
    Node::init(&init_options(&disk, tiny())).unwrap();
    let options = Options { retention: Retention::Bytes(0), ..options(&disk) };
    let mut node = Node::open(&options).unwrap();
    let mut first = None;
    for number in 0..40 {
        let mut batch = Batch::new();
        batch.put(b"apple", format!("{number:0>512}").as_bytes()).unwrap();
        node.commit(batch).unwrap();
        first.get_or_insert(node.durable());
        node.checkpoint(Purpose::Checkpoint).unwrap();
    }
    drop(node);
    let db = Database::open(options).unwrap();
    of(&db, &read(b"pear", Wish::newest().on(first.unwrap())))
}

/// D-CORRUPT: the newest version is in the log and the table, the older ones are in a run that does not verify.
pub fn unreadable() -> aerodb::explain::Explanation {
    let (disk, db) = primary();
    db.close().unwrap();
    let db = Database::open(options(&disk)).unwrap();
    let run = disk.paths().into_iter().find(|path| path.to_string_lossy().ends_with(".run")).unwrap();
    let mut bytes = disk.contents(&run).unwrap();
    bytes[100] ^= 1;
    disk.overwrite(&run, bytes);
    let told = of(&db, &read(b"apple", Wish::newest()));
    // What is seen to be corrupt halts the node, whoever saw it.
    let again = of(&db, &read(b"apple", Wish::newest()));
    assert_eq!((told.conclusion.outcome, again.conclusion.outcome), ("failed", "refused"), "{told}{again}");
    told
}
