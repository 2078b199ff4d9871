//! A primary: the product's own node and the line of history that the oracle knows of it.

use super::dice::Dice;
use super::line::{DIR, Line, Writes};
use super::marks::Marks;
use super::options::Options;
use super::reader::{Truth, Watch};
use aerodb::backup::RestoreOptions;
use aerodb::begin;
use aerodb::committer::Order;
use aerodb::disk::{Crash, Disk, SimDisk};
use aerodb::feeder::Source;
use aerodb::maintenance::Progress;
use aerodb::record::Purpose;
use aerodb::store::run::RunId;
use aerodb::{Batch, CommitId, Id, Identity, Init, Node, Parameters, Role};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a client orders.
pub enum Plan {
    Commit(Writes),
    Floor(u64),
    Cut(Purpose),
}

/// A primary.
pub struct Primary {
    pub disk: SimDisk,
    pub node: Option<Node>,
    pub source: Option<Arc<Source>>,
    /// Which line.
    pub line: usize,
    /// Which node it is.
    pub id: u8,
    /// A fault of its disk was ordered since it was opened.
    pub disk_fault: bool,
    watch: Watch,
    /// The runs that were compared since it was opened.
    runs: BTreeSet<RunId>,
    options: aerodb::Options,
}

/// Whose database it is.
pub const DATABASE: [u8; 16] = [0xdb; 16];

/// A directory that waits for a snapshot of the true primary.
pub fn init_empty(disk: &SimDisk, options: &Options, node: u8) {
    let init = init_options(disk, options, Role::Replica, DATABASE, options.parameters, node);
    begin::make_empty(&init, Id(DATABASE), Id([1; 16])).expect("a new directory on a sound disk");
}

pub fn init(disk: &SimDisk, options: &Options, role: Role, database_id: [u8; 16], parameters: Parameters, node: u8) {
    let init = init_options(disk, options, role, database_id, parameters, node);
    Node::init(&init).expect("a new directory on a sound disk");
}

fn init_options(
    disk: &SimDisk,
    options: &Options,
    role: Role,
    database_id: [u8; 16],
    parameters: Parameters,
    node: u8,
) -> Init {
    Init {
        dir: PathBuf::from(DIR),
        role,
        parameters,
        database_id: Some(Id(database_id)),
        node_id: Some(Id([node; 16])),
        blank_seed: Some(0x5eed + u64::from(node)),
        extend_bytes: options.extend_bytes,
        disk: Arc::new(disk.clone()),
    }
}

pub fn open_options(disk: &SimDisk, options: &Options, role: Role) -> aerodb::Options {
    let retention = if role == Role::Replica { options.replica_retention } else { options.primary_retention };
    aerodb::Options {
        dir: PathBuf::from(DIR),
        role: Some(role),
        database_id: None,
        node_id: None,
        retention,
        cache_bytes: 16 * 1024,
        pinned_bytes_max: 1 << 30,
        extend_bytes: options.extend_bytes,
        proofs: options.proofs,
        disk: Arc::new(disk.clone()),
        ..aerodb::Options::new(DIR.as_ref())
    }
}

/// A copy of a primary's disk that an operator has made another node of: a copy of the files, or a restored backup.
pub fn renamed(disk: SimDisk, options: &Options, node: u8, restored: bool) -> SimDisk {
    let (dir, backup) = (Path::new(DIR), Path::new("/backup"));
    if !restored {
        let identity = Identity::read(&disk, dir).expect("an identity on a sound disk");
        Identity { node_id: Id([node; 16]), ..identity }.write(&disk, dir).expect("a sound disk");
        return disk;
    }
    let source = open_options(&disk, options, Role::Primary);
    aerodb::backup::backup(&source, backup, &mut |_, _| {}).expect("a backup of a sound disk");
    let fresh = SimDisk::new();
    for path in disk.paths().into_iter().filter(|path| path.starts_with(backup)) {
        fresh.overwrite(&path, disk.contents(&path).expect("it was listed"));
    }
    let shared: Arc<dyn Disk> = Arc::new(fresh.clone());
    let restore = RestoreOptions {
        node_id: Some(Id([node; 16])),
        blank_seed: Some(0x5eed + u64::from(node)),
        extend_bytes: options.extend_bytes,
        ..RestoreOptions::new(shared, backup, dir)
    };
    aerodb::backup::restore_with(&restore, &mut |_, _| {}).expect("a whole backup");
    fresh
}

pub fn batch(writes: &Writes) -> Batch {
    let mut batch = Batch::new();
    for (key, value) in writes {
        let added = match value {
            Some(value) => batch.put(key, value),
            None => batch.delete(key),
        };
        added.expect("keys and values are short");
    }
    batch
}

/// Whether what failed may fail on a disk that was ordered to.
pub fn is_disk_trouble(error: &aerodb::Error) -> bool {
    ["disk.", "commit.", "replication.stopped"].iter().any(|family| error.reason().name().starts_with(family))
}

impl Primary {
    pub fn new(disk: SimDisk, options: &Options, line: usize, id: u8) -> Primary {
        let options = open_options(&disk, options, Role::Primary);
        let (watch, runs) = (Watch::default(), BTreeSet::new());
        Primary { disk, node: None, source: None, line, id, disk_fault: false, watch, runs, options }
    }

    /// Opens it, and crashes on the way.
    pub fn open_and_crash(&mut self, dice: &mut Dice) {
        self.disk.record_images(true);
        self.options.disk = Arc::new(self.disk.clone());
        drop(Node::open(&self.options));
        self.crash(dice);
    }

    /// Opens it; `false` where the disk refused as it was told to.
    pub fn open(&mut self, line: &mut Line) -> Result<bool, String> {
        self.options.disk = Arc::new(self.disk.clone());
        match Node::open(&self.options) {
            Ok(node) => {
                self.source = Some(Arc::new(Source::new(node.report().identity, node.log().clone(), node.store())));
                self.watch = Watch::begin(node.store());
                self.node = Some(node);
                let kept = self.oldest();
                if self.durable() < line.len() {
                    return Err(format!("the primary's log ends at {}, {} was durable", self.durable(), line.len()));
                }
                line.compare(&self.disk, kept, line.len()).map_err(|fault| format!("the primary: {fault}"))?;
                self.look(line)?;
                line.ordered.clear();
                self.runs.clear();
                self.check_runs(line)?;
                Ok(true)
            }
            Err(error) if self.disk_fault && is_disk_trouble(&error) => Ok(false),
            Err(error) => Err(format!("the primary does not open: {error}")),
        }
    }

    pub fn up(&self) -> &Node {
        self.node.as_ref().expect("it is up")
    }

    pub fn durable(&self) -> u64 {
        self.up().extent().durable.position.0
    }

    pub fn oldest(&self) -> u64 {
        self.up().extent().oldest.0
    }

    /// What has become durable since the last look belongs to its line.
    pub fn look(&self, line: &mut Line) -> Result<(), String> {
        line.follow(&self.disk, self.durable())?;
        if line.end() != self.up().extent().durable {
            return Err(format!("the primary is at {}, and its log at {}", self.up().extent().durable, line.end()));
        }
        Ok(())
    }

    /// Carries out what clients order, and crashes on the way: nobody is told of anything.
    pub fn order_and_crash(&mut self, plans: &[Plan], line: &mut Line, dice: &mut Dice) {
        let orders: Vec<Order> = plans.iter().map(Plan::order).collect();
        line.ordered.extend(plans.iter().filter_map(|plan| match plan {
            Plan::Commit(writes) => Some(writes.clone()),
            Plan::Floor(_) | Plan::Cut(_) => None,
        }));
        self.disk.record_images(true);
        let _ = self.node.as_mut().expect("it is up").group(&orders);
        self.crash(dice);
    }

    /// Carries out what clients order; what was acknowledged is durable.
    pub fn order(&mut self, plans: &[Plan], line: &mut Line) -> Result<u64, String> {
        let orders: Vec<Order> = plans.iter().map(Plan::order).collect();
        for plan in plans {
            if let Plan::Commit(writes) = plan {
                line.ordered.push_back(writes.clone());
            }
        }
        let node = self.node.as_mut().expect("it is up");
        let answers = node.group(&orders).map_err(|error| format!("the primary refuses: {error}"))?;
        self.look(line)?;
        let mut acknowledged = 0;
        for (plan, answer) in plans.iter().zip(answers) {
            match (plan, answer) {
                (_, Ok(point)) if line.holds(point) => acknowledged += 1,
                (_, Ok(point)) => return Err(format!("{point} was acknowledged, and is not durable")),
                (Plan::Floor(_), Err(error)) if error.reason() == aerodb::Reason::FloorRefused => {}
                (_, Err(error)) if self.disk_fault && is_disk_trouble(&error) => {}
                (_, Err(error)) => return Err(format!("the primary: {error}")),
            }
        }
        Ok(acknowledged)
    }

    /// A step of maintenance, and the Proofs that are owed then; whether there was something to do.
    pub fn maintain(&mut self, line: &mut Line) -> Result<bool, String> {
        let node = self.node.as_mut().expect("it is up");
        let owed = node.store().proofs().owed > 0;
        let outcome = node.step().and_then(|progress| node.prove().map(|()| progress == Progress::Worked || owed));
        let worked = match outcome {
            Ok(worked) => worked,
            Err(error) if self.disk_fault && is_disk_trouble(&error) => false,
            Err(error) => return Err(format!("the primary's maintenance: {error}")),
        };
        self.look(line)?;
        self.check_runs(line)?;
        Ok(worked)
    }

    /// The runs that it has not had before are what runs of these identities are.
    fn check_runs(&mut self, line: &Line) -> Result<(), String> {
        let node = self.node.as_ref().expect("it is up");
        line.check_runs(node.store(), &self.disk, &mut self.runs).map_err(|fault| format!("the primary: {fault}"))
    }

    /// The reader that the store called was told the truth, and so is one that asks now.
    pub fn check_readers(&mut self, line: &Line, dice: &mut Dice, marks: &mut Marks) -> Result<(), String> {
        let truth = Truth { line, applied: line.end(), halted: false, disk_fault: self.disk_fault };
        self.watch.check(&truth, marks)?;
        truth.ask(self.up().store(), dice, marks)
    }

    /// Whether it can write no more.
    pub fn is_stopped(&self) -> bool {
        self.node.as_ref().is_some_and(|node| node.store().write_fault().is_some())
    }

    /// The process ends; and the machine, or not.
    pub fn crash(&mut self, dice: &mut Dice) {
        self.node = None;
        self.source = None;
        self.disk_fault = false;
        self.disk = crashed(&self.disk, dice);
    }
}

/// What is found after a crash: of the process, or of the machine in any variant.
/// After any of the operations that were recorded, if they were.
pub fn crashed(disk: &SimDisk, dice: &mut Dice) -> SimDisk {
    let images = disk.take_images();
    let image = if images.is_empty() { disk.image() } else { images[dice.below(images.len() as u64) as usize].clone() };
    let variant = dice.below(Crash::ALL.len() as u64 + 2) as usize;
    let seed = dice.roll();
    match Crash::ALL.get(variant) {
        Some(variant) => image.crash(*variant, seed),
        None => image.restart(),
    }
}

impl Plan {
    fn order(&self) -> Order {
        match self {
            Plan::Commit(writes) => Order::Commit(batch(writes)),
            Plan::Floor(floor) => Order::Floor(CommitId(*floor)),
            Plan::Cut(purpose) => Order::Cut(*purpose),
        }
    }
}
