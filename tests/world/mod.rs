//! A small world for the stories in `tests/`: a simulated disk, a node on it, and an oracle that shares no code with the product.
//!
//! The oracle is a list of acknowledged batches; what a reader must see is their fold. Every parameter is tiny, so that a few
//! dozen commits cross segments, tables, blocks and merges.

#![allow(dead_code)]

#[cfg(feature = "replication")]
pub mod followed;
pub mod forge;
pub mod gate;
#[cfg(feature = "replication")]
pub mod offered;
pub mod oracle;
pub mod script;

use aerodb::disk::{Disk, SimDisk};
use aerodb::{Batch, CommitId, Id, Init, Node, Options, Parameters, Result, Role, committer::Retention};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The data directory of every world.
pub const DIR: &str = "/db";

/// Parameters under which everything happens soon.
pub fn tiny() -> Parameters {
    Parameters { segment_bytes: 4096, table_bytes: 1024, block_bytes: 256, fanout: 2 }
}

/// What `init` gets on a simulated disk; nothing in it is random.
pub fn init_options(disk: &SimDisk, parameters: Parameters) -> Init {
    Init {
        dir: PathBuf::from(DIR),
        role: Role::Standalone,
        parameters,
        database_id: Some(Id([0xdb; 16])),
        node_id: Some(Id([0x0d; 16])),
        blank_seed: Some(0x5eed),
        extend_bytes: 1024,
        disk: Arc::new(disk.clone()),
    }
}

/// What `init` adds to the directory of a replica.
#[cfg(feature = "replication")]
pub fn make_replica_state(disk: &SimDisk, identity: &aerodb::Identity) {
    use aerodb::replica_state::{Origin, ReplicaState, StateStore};
    let applied = aerodb::record::genesis(identity.database_id, identity.epoch);
    let (database_id, node_id) = (identity.database_id, identity.node_id);
    let state = ReplicaState::new(database_id, node_id, applied, Origin::Log);
    StateStore::create(disk, Path::new(DIR), &state).unwrap();
}

/// How a node on a simulated disk is opened.
pub fn options(disk: &SimDisk) -> Options {
    Options {
        retention: Retention::Bytes(4096),
        cache_bytes: 64 * 1024,
        pinned_bytes_max: 1 << 30,
        extend_bytes: 1024,
        disk: Arc::new(disk.clone()),
        ..Options::new(Path::new(DIR))
    }
}

/// A new node on a new simulated disk.
pub fn new_node() -> (SimDisk, Node) {
    let disk = SimDisk::new();
    Node::init(&init_options(&disk, tiny())).unwrap();
    let node = Node::open(&options(&disk)).unwrap();
    (disk, node)
}

/// Keys and values, in order.
pub type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// One batch as the oracle knows it.
pub type Writes = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// The batch of these writes.
pub fn batch(writes: &Writes) -> Batch {
    let mut batch = Batch::new();
    for (key, value) in writes {
        match value {
            Some(value) => batch.put(key, value).unwrap(),
            None => batch.delete(key).unwrap(),
        }
    }
    batch
}

/// What the first `count` batches come to.
pub fn fold(batches: &[Writes], count: usize) -> Rows {
    let mut rows = Rows::new();
    for writes in &batches[..count] {
        for (key, value) in writes {
            match value {
                Some(value) => rows.insert(key.clone(), value.clone()),
                None => rows.remove(key),
            };
        }
    }
    rows
}

/// Everything that a node shows at a commit, by range reads.
pub fn rows_at(node: &Node, at: CommitId) -> Result<Rows> {
    let view = node.view(Some(at))?;
    Ok(view.range(aerodb::Range::all(100_000))?.collect()?.into_iter().collect())
}

/// The run files and the manifest of a node, by name.
pub fn store_files(disk: &SimDisk) -> BTreeMap<PathBuf, Vec<u8>> {
    let store = Path::new(DIR).join("store");
    let files = disk.paths().into_iter().filter(|path| path.starts_with(&store));
    files.map(|path| (path.clone(), disk.contents(&path).unwrap())).collect()
}

/// A directory listing as text, for messages.
pub fn listing(disk: &SimDisk) -> String {
    let mut lines = String::new();
    for path in disk.paths() {
        lines += &format!("{} {}\n", path.display(), disk.contents(&path).map_or(0, |bytes| bytes.len()));
    }
    lines
}

/// SplitMix64: the randomness of the stories, from a printed seed.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.roll() % bound
    }
}

/// Makes `Arc<dyn Disk>` of a simulated disk.
pub fn shared(disk: &SimDisk) -> Arc<dyn Disk> {
    Arc::new(disk.clone())
}
