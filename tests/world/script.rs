//! Scripted workloads: what a node is asked to do, decided by a seed alone.
//!
//! Puts, deletes, overwrites, batches, groups, floors, checkpoints, restarts, maintenance early and late; with tiny parameters, so
//! that segments, tables and merges come by the dozen.

use super::{Dice, Writes, batch, options};
use aerodb::committer::{Order, Retention};
use aerodb::disk::SimDisk;
use aerodb::record::Purpose;
use aerodb::{CommitId, Options, Parameters};

/// What a workload does next.
#[derive(Clone, Debug)]
pub enum Step {
    Group(Vec<Plan>),
    Maintain(usize),
    Checkpoint(Purpose),
    Reopen,
}

/// An order as the oracle knows it.
#[derive(Clone, Debug)]
pub enum Plan {
    Commit(Writes),
    Floor(u64),
    Cut(Purpose),
}

impl Plan {
    /// The order for the product.
    pub fn order(&self) -> Order {
        match self {
            Plan::Commit(writes) => Order::Commit(batch(writes)),
            Plan::Floor(floor) => Order::Floor(CommitId(*floor)),
            Plan::Cut(purpose) => Order::Cut(*purpose),
        }
    }
}

/// How a workload is made.
#[derive(Clone, Copy)]
pub struct Shape {
    pub seed: u64,
    pub groups: usize,
    pub group_max: u64,
    pub keys: u64,
    pub value_max: u64,
    pub deletes: u64,
    pub floors: u64,
    pub checkpoints: u64,
    pub reopens: u64,
    pub maintain_max: u64,
    pub parameters: Parameters,
    pub retention: Retention,
}

/// A bit of everything.
pub const BASE: Shape = Shape {
    seed: 1,
    groups: 36,
    group_max: 3,
    keys: 12,
    value_max: 90,
    deletes: 6,
    floors: 9,
    checkpoints: 15,
    reopens: 21,
    maintain_max: 3,
    parameters: Parameters { segment_bytes: 4096, table_bytes: 1024, block_bytes: 256, fanout: 2 },
    retention: Retention::Bytes(2048),
};

/// The steps of a workload.
pub fn script(shape: Shape) -> Vec<Step> {
    let mut dice = Dice(shape.seed);
    let mut steps = Vec::new();
    let (mut commits, mut durable_commits, mut floor) = (0u64, 0u64, 0u64);
    for _ in 0..shape.groups {
        let mut group = Vec::new();
        for _ in 0..1 + dice.below(shape.group_max) {
            if dice.below(shape.floors) == 0 && floor < durable_commits {
                floor += 1 + dice.below(durable_commits - floor);
                group.push(Plan::Floor(floor));
                continue;
            }
            let mut writes = Writes::new();
            for _ in 0..1 + dice.below(3) {
                let key = format!("key{:02}", dice.below(shape.keys)).into_bytes();
                let value = vec![dice.roll() as u8 & 1; dice.below(shape.value_max) as usize];
                writes.push((key, (dice.below(shape.deletes) != 0).then_some(value)));
            }
            commits += 1;
            group.push(Plan::Commit(writes));
        }
        steps.push(Step::Group(group));
        durable_commits = commits;
        if dice.below(shape.checkpoints) == 0 {
            let purpose = if dice.below(2) == 0 { Purpose::Checkpoint } else { Purpose::Backup };
            steps.push(Step::Checkpoint(purpose));
        }
        steps.push(Step::Maintain(dice.below(shape.maintain_max + 1) as usize));
        if dice.below(shape.reopens) == 0 {
            steps.push(Step::Reopen);
        }
    }
    steps.push(Step::Maintain(1000));
    steps
}

/// How a node of this shape is opened.
pub fn open_options(shape: Shape, disk: &SimDisk) -> Options {
    Options { retention: shape.retention, ..options(disk) }
}

/// The commits among some orders.
pub fn commits(plans: &[Plan]) -> Vec<Writes> {
    let writes = |plan: &Plan| if let Plan::Commit(writes) = plan { Some(writes.clone()) } else { None };
    plans.iter().filter_map(writes).collect()
}

/// The floor that some orders lead to.
pub fn floor(plans: &[Plan]) -> u64 {
    plans.iter().rev().find_map(|plan| if let Plan::Floor(at) = plan { Some(*at) } else { None }).unwrap_or(0)
}
