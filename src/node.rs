//! A node without threads: the same committer and the same maintenance, driven by the caller.
//!
//! For offline tools, and for simulation, where one seed must decide everything that happens. [`crate::Database`] is the same
//! components on two threads.
//!
//! Assumes one caller at a time (`&mut self`). Promises what the components promise.

use crate::batch::Batch;
use crate::commit_id::CommitId;
use crate::committer::{Committer, Order};
use crate::error::{Error, Result};
use crate::identity::{Identity, Role};
use crate::maintenance::Progress;
use crate::position::{LogPoint, Position};
use crate::reason::Reason;
use crate::record::Purpose;
use crate::recovery::{self, Base, Init, Options, Recovered, Report};
use crate::store::{Store, View};
use crate::sync::Arc;
use crate::wal::{Extent, LogOptions};

/// A node without threads.
pub struct Node {
    committer: Committer,
    base: Base,
}

impl Node {
    /// Makes a new directory.
    ///
    /// # Errors
    /// As [`recovery::init`].
    pub fn init(options: &Init) -> Result<Identity> {
        recovery::init(options)
    }

    /// Opens a directory.
    ///
    /// # Errors
    /// What does not verify, or is not what the options expect, by name.
    pub fn open(options: &Options) -> Result<Node> {
        let Recovered { log, applier, base, .. } = recovery::open(options, None)?;
        Ok(Node { committer: Committer::new(log, applier, options.retention), base })
    }

    /// What opening found, proved and dropped.
    #[must_use]
    pub fn report(&self) -> &Report {
        &self.base.report
    }

    /// The store, for reading.
    #[must_use]
    pub fn store(&self) -> &Arc<Store> {
        &self.base.store
    }

    /// The log before the next record.
    #[must_use]
    pub fn durable(&self) -> LogPoint {
        self.committer.log().durable()
    }

    /// The oldest position of the log that is kept.
    #[must_use]
    pub fn oldest(&self) -> Position {
        self.committer.log().oldest()
    }

    /// How far the log reaches.
    #[must_use]
    pub fn extent(&self) -> Extent {
        self.committer.log().extent()
    }

    /// Where the log lies, for reading it up to its extent.
    #[must_use]
    pub fn log(&self) -> &LogOptions {
        self.committer.log().options()
    }

    /// A view at a commit, or at the newest one.
    ///
    /// # Errors
    /// As [`Store::view`].
    pub fn view(&self, at: Option<CommitId>) -> Result<View> {
        self.base.store.view(at)
    }

    /// Carries out orders in groups as large as may be; makes room before each where there is none.
    ///
    /// # Errors
    /// `role.not_writer`. The outcome of each order is in the answer; what stops maintenance on the way stops those that are left.
    pub fn group(&mut self, orders: &[Order]) -> Result<Vec<Result<LogPoint>>> {
        writer(self.base.report.identity.role)?;
        let mut answers = Vec::with_capacity(orders.len());
        while let Some(left) = orders.get(answers.len()..).filter(|left| !left.is_empty()) {
            while !self.base.store.has_room() && self.step().is_ok() {}
            answers.extend(self.committer.group(left));
        }
        // A failure has stopped the committer; the next order learns of it.
        let _ = self.committer.retire();
        Ok(answers)
    }

    fn order(&mut self, order: Order) -> Result<LogPoint> {
        let answers = self.group(&[order])?;
        answers.into_iter().next().unwrap_or_else(|| Err(Error::new(Reason::CommitStopped)))
    }

    /// Commits a batch: durable and visible when it returns.
    ///
    /// # Errors
    /// `role.not_writer`, `batch.empty`, `commit.unknown`, `commit.stopped`.
    pub fn commit(&mut self, batch: Batch) -> Result<CommitId> {
        self.order(Order::Commit(batch)).map(|point| point.commit)
    }

    /// Raises the floor.
    ///
    /// # Errors
    /// `role.not_writer`, `floor.refused`, `commit.unknown`, `commit.stopped`.
    pub fn raise_floor(&mut self, floor: CommitId) -> Result<LogPoint> {
        self.order(Order::Floor(floor))
    }

    /// Seals the table, and returns once the runs hold everything up to the cut.
    ///
    /// # Errors
    /// `role.not_writer`, `commit.unknown`, `commit.stopped`, those of the disk.
    pub fn checkpoint(&mut self, purpose: Purpose) -> Result<LogPoint> {
        let cut = self.order(Order::Cut(purpose))?;
        while self.base.store.state().checkpoint.position < cut.position {
            self.step()?;
        }
        while self.committer.retire()? {}
        Ok(cut)
    }

    /// Logs the Proofs that are owed, on a node that logs Proofs, and makes room where there is none.
    ///
    /// # Errors
    /// What has stopped the node.
    pub fn prove(&mut self) -> Result<()> {
        loop {
            while !self.base.store.has_room() {
                self.step()?;
            }
            if !self.committer.prove() {
                break;
            }
        }
        self.base.store.write_fault().map_or(Ok(()), Err)
    }

    /// Does one piece of maintenance.
    ///
    /// # Errors
    /// What stopped it.
    pub fn step(&mut self) -> Result<Progress> {
        self.base.maintenance.step()
    }

    /// Does all maintenance that there is.
    ///
    /// # Errors
    /// What stopped it.
    pub fn maintain(&mut self) -> Result<()> {
        while self.step()? == Progress::Worked {}
        Ok(())
    }

    /// Closes the node: the mark is made durable.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn close(mut self) -> Result<()> {
        self.base.maintenance.close();
        self.committer.close()
    }
}

/// Refuses to make history on a node whose role does not (R-WRITER).
pub(crate) fn writer(role: Role) -> Result<()> {
    if role.writes() { Ok(()) } else { Err(Error::new(Reason::RoleNotWriter).with("role", role)) }
}
