//! The one state behind a simulated disk: the tree, the numbering of calls, the faults ordered for them, and what is held.
//!
//! Every call goes through [`Machine::operation`] or [`Machine::read`], so none escapes its number, its fault or its image.

use super::SimImage;
use super::tree::{NodeId, Tree};
use crate::sync::Arc;
use rustix::io::Errno;
use std::collections::{BTreeMap, BTreeSet};

/// How a call fails. A read fails with `EIO` whatever the fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `EIO`, and nothing was done. After a `sync_data`, what it should have written stays readable but never becomes durable.
    Eio,
    /// As `Eio`, and after a `sync_data` reads see the durable contents at once.
    EioAndForget,
    /// `ENOSPC`, and nothing was done; at a sync, as `Eio`.
    NoSpace,
    /// `EIO` half-way: a write did the first half of its bytes, up to the end of a sector if there is one; a `sync_data` made
    /// the first half of the changes durable. Other calls did nothing.
    ShortWrite,
}

impl Fault {
    /// Every fault.
    pub const ALL: [Fault; 4] = [Fault::Eio, Fault::EioAndForget, Fault::NoSpace, Fault::ShortWrite];

    fn errno(self) -> Errno {
        match self {
            Fault::NoSpace => Errno::NOSPC,
            Fault::Eio | Fault::EioAndForget | Fault::ShortWrite => Errno::IO,
        }
    }
}

/// The calls of one kind, and those that are to fail.
#[derive(Default)]
pub(super) struct Calls {
    pub(super) made: u64,
    pub(super) once: BTreeMap<u64, Fault>,
    pub(super) from: Option<(u64, Fault)>,
}

impl Calls {
    /// Counts a call; returns how it is to fail. A full disk refuses only calls that take space.
    fn next(&mut self, takes_space: bool) -> Option<Fault> {
        let number = self.made;
        self.made += 1;
        let lasting = self.from.filter(|(from, fault)| number >= *from && (takes_space || *fault != Fault::NoSpace));
        self.once.remove(&number).or(lasting.map(|(_, fault)| fault))
    }

    pub(super) fn heal(&mut self) {
        self.once.clear();
        self.from = None;
    }
}

pub(super) struct Machine {
    pub(super) tree: Arc<Tree>,
    pub(super) operations: Calls,
    pub(super) reads: Calls,
    pub(super) images: Option<Vec<SimImage>>,
    /// How many handles are open per node.
    pub(super) handles: BTreeMap<NodeId, usize>,
    pub(super) locks: BTreeSet<NodeId>,
    /// How many handles and locks there may be.
    pub(super) handles_max: usize,
}

pub(super) type Outcome<T> = std::result::Result<T, Errno>;

impl Machine {
    pub(super) fn new(tree: Arc<Tree>) -> Machine {
        Machine {
            tree,
            operations: Calls::default(),
            reads: Calls::default(),
            images: None,
            handles: BTreeMap::new(),
            locks: BTreeSet::new(),
            handles_max: usize::MAX,
        }
    }

    /// Runs one numbered operation. The body gets the fault that was ordered for it, and decides what of it is done.
    pub(super) fn operation<T>(
        &mut self,
        takes_space: bool,
        body: impl FnOnce(&mut Tree, Option<Fault>) -> Outcome<T>,
    ) -> Outcome<T> {
        let fault = self.operations.next(takes_space);
        let outcome = body(Arc::make_mut(&mut self.tree), fault);
        if let Some(images) = &mut self.images {
            images.push(SimImage { tree: Arc::clone(&self.tree) });
        }
        outcome
    }

    /// Whether there is a handle left, to hold or for the time of a call.
    pub(super) fn handle(&self) -> Outcome<()> {
        let open = self.handles.values().sum::<usize>() + self.locks.len();
        if open < self.handles_max { Ok(()) } else { Err(Errno::MFILE) }
    }

    /// Runs one numbered read.
    pub(super) fn read<T>(&mut self, body: impl FnOnce(&Tree) -> Outcome<T>) -> Outcome<T> {
        match self.reads.next(true) {
            Some(_) => Err(Errno::IO),
            None => body(&self.tree),
        }
    }
}

/// Refuses a call that is to fail as a whole.
pub(super) fn check(fault: Option<Fault>) -> Outcome<()> {
    fault.map_or(Ok(()), |fault| Err(fault.errno()))
}
