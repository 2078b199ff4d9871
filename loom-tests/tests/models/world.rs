//! A real store without a log: what the committer would have made durable is applied record by record.
//!
//! The disk is simulated and holds nothing but an empty manifest. But for `checkpoint_pin` no model writes a run: tables that are sealed
//! hold no commits, so that each execution is short.

use aerodb::batch::Batch;
use aerodb::commit_id::CommitId;
use aerodb::disk::{Disk, SimDisk};
use aerodb::identity::{Id, Parameters, Role};
use aerodb::maintenance::Maintenance;
use aerodb::position::{LogPoint, Position};
use aerodb::queue::Sender;
use aerodb::record::{Content, Purpose, Record};
use aerodb::store::manifest::Manifest;
use aerodb::store::{Applier, Store, StoreOptions};
use aerodb::sync::Arc;
use std::path::PathBuf;

/// The key that every commit writes.
pub(crate) const KEY: &[u8] = b"key";

/// A store, and its applier.
pub(crate) struct World {
    pub(crate) store: Arc<Store>,
    pub(crate) applier: Applier,
}

impl World {
    /// An empty store that calls maintenance over this queue.
    pub(crate) fn new(call: Option<Sender<()>>) -> World {
        World::of(&manifest(), call, Parameters::default(), u64::MAX).open(Role::Standalone)
    }

    /// An empty store whose log begins here, without maintenance.
    pub(crate) fn at(genesis: LogPoint) -> World {
        World::recovering(genesis).open(Role::Standalone)
    }

    /// An empty store whose log begins here, and that nobody may read yet.
    pub(crate) fn recovering(genesis: LogPoint) -> World {
        World::of(&Manifest::empty(DATABASE, genesis), None, Parameters::default(), u64::MAX)
    }

    /// Lets it be read, as a store of this role.
    pub(crate) fn open(self, role: Role) -> World {
        self.store.open_reads(role);
        self
    }

    /// An empty store whose tables are small and whose runs merge by two, and that lets readers pin so much.
    pub(crate) fn of_tables(pinned_bytes_max: u64) -> World {
        let parameters = Parameters { table_bytes: 1024, fanout: 2, ..Parameters::default() };
        World::of(&manifest(), None, parameters, pinned_bytes_max).open(Role::Standalone)
    }

    fn of(manifest: &Manifest, call: Option<Sender<()>>, parameters: Parameters, pinned_bytes_max: u64) -> World {
        let disk = SimDisk::new();
        let directory = PathBuf::from("/store");
        disk.create_dir(&directory).expect("the disk has no fault");
        let options = StoreOptions {
            disk: Arc::new(disk),
            directory,
            database_id: DATABASE,
            parameters,
            cache_bytes: 0,
            pinned_bytes_max,
        };
        let store = Store::open(options, manifest, call).expect("the manifest names no run");
        World { applier: Applier::new(&store), store }
    }

    /// The store's maintenance.
    pub(crate) fn maintenance(&self) -> Maintenance {
        Maintenance::new(&self.store, manifest())
    }

    /// Commits the next CommitId: the key gets it as its value. Readable once it is published.
    pub(crate) fn commit(&mut self) {
        let mut batch = Batch::new();
        let commit = self.applier.point().commit.next();
        batch.put(KEY, &commit.0.to_le_bytes()).expect("short");
        self.apply(commit, Content::Commit(batch.operations()));
    }

    /// Seals the table; the point behind the cut.
    pub(crate) fn cut(&mut self) -> LogPoint {
        self.apply(self.applier.point().commit, Content::Cut(Purpose::Checkpoint));
        self.applier.point()
    }

    /// Raises the floor.
    pub(crate) fn raise_floor(&mut self, floor: u64) {
        self.apply(self.applier.point().commit, Content::Floor(CommitId(floor)));
    }

    fn apply(&mut self, commit: CommitId, content: Content<'_>) {
        let before = self.applier.point();
        let after = LogPoint { position: Position(before.position.0 + 1), commit, ..before };
        self.applier.apply(&Record { before, after, content }).expect("the record follows the last");
    }
}

const DATABASE: Id = Id([7; 16]);

fn manifest() -> Manifest {
    Manifest::empty(DATABASE, LogPoint::default())
}
