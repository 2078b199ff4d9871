//! Applying records to the store: the only way in.
//!
//! The committer applies what it made durable, recovery what the log holds beyond the checkpoint; both hand every record, in order,
//! to the same code, so a replay ends in the same state (R-DETERMINISM) and applying again after a crash changes nothing that was
//! not rebuilt from the same records (F-A2).
//!
//! Owned by one thread. It alone inserts, seals and moves the floor.

use super::state::{SealedTable, State};
use super::table::Table;
use super::Store;
use crate::commit_id::CommitId;
use crate::error::{Error, Result};
use crate::identity::Role;
use crate::limits::LANDMARK_BYTES;
use crate::position::{LogPoint, Position};
use crate::reason::Reason;
use crate::record::{Content, Record};
use crate::sync::{Arc, Pin, planted, seeded};

/// Applies records, in order, without a gap.
pub struct Applier {
    store: Arc<Store>,
    active: Pin<Table>,
    /// First commit of the active table.
    first: CommitId,
    point: LogPoint,
    floor: CommitId,
    /// The last point that was left as a landmark.
    landmark: Position,
}

impl Applier {
    /// An applier that goes on where the store's checkpoint ends.
    #[must_use]
    pub fn new(store: &Arc<Store>) -> Applier {
        let state = store.state();
        Applier {
            store: Arc::clone(store),
            active: Pin::clone(&state.active),
            first: state.checkpoint.commit.next(),
            point: state.checkpoint,
            floor: state.floor,
            landmark: state.checkpoint.position,
        }
    }

    /// The store that it applies to.
    #[must_use]
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// Everything up to here was applied.
    #[must_use]
    pub fn point(&self) -> LogPoint {
        self.point
    }

    /// Makes everything that was applied readable: it is durable.
    pub fn publish(&self) {
        self.store.landmarks.pass(self.point);
        self.store.publish(self.point.commit);
    }

    /// Lets everything that was recovered be read, as a store of this role: published first, so that nobody reads less of it (P5-I11).
    pub fn open_reads(&self, role: Role) {
        let early = seeded("reads are opened before what was recovered is published")
            || planted("reads are opened before what was recovered is published");
        if early {
            self.store.open_reads(role);
        }
        self.publish();
        if !early {
            self.store.open_reads(role);
        }
    }

    /// Refuses a floor that does not rise, or lies beyond the last commit.
    ///
    /// # Errors
    /// `floor.refused`.
    pub fn check_floor(&self, floor: CommitId) -> Result<()> {
        if self.floor < floor && floor <= self.point.commit {
            return Ok(());
        }
        Err(Error::new(Reason::FloorRefused)
            .with("asked", floor)
            .with("floor", self.floor)
            .with("last_commit", self.point.commit))
    }

    /// Applies one durable record; says whether it sealed the table. What it makes visible is published by the caller, except
    /// before a floor: a floor is only ever raised to a published commit.
    ///
    /// # Errors
    /// `wal.corrupt` for a record that contradicts the state: no writer makes one; `state.diverged` for a Proof of another run than the
    /// one here. Such a record is not applied.
    pub fn apply(&mut self, record: &Record<'_>) -> Result<bool> {
        assert_eq!(record.before, self.point, "records are applied in order, without a gap");
        let mut cut = false;
        match &record.content {
            Content::Commit(operations) => {
                if seeded("a commit is published before all of it is applied")
                    || planted("a commit is published before all of it is applied")
                {
                    self.store.publish(record.after.commit);
                }
                self.active.insert(record.after.commit, operations.clone());
            }
            Content::Floor(floor) => {
                self.check_floor(*floor).map_err(|error| {
                    Error::new(Reason::WalCorrupt).with("position", record.before.position).with("fault", error)
                })?;
                if !seeded("a floor is raised before its commit is published") {
                    self.publish();
                }
                self.floor = *floor;
                self.store.change(|state| State { floor: *floor, ..state.clone() });
            }
            Content::Proof(proof) => self.store.prove(proof, record.before.position)?,
            Content::Cut(_) => cut = true,
            Content::Seal => {}
        }
        self.point = record.after;
        // Also within a group, which may be longer than what is read for a point (READ-HISTORY).
        if self.point.position.since(self.landmark) >= LANDMARK_BYTES {
            self.store.landmarks.pass(self.point);
            self.landmark = self.point.position;
        }
        let seals = cut || self.crosses(record.before.position, record.after.position);
        if seals {
            self.seal();
        }
        Ok(seals)
    }

    /// Whether log from one position to another reaches or crosses a multiple of *table bytes*, where a table is sealed.
    #[must_use]
    pub fn crosses(&self, from: Position, to: Position) -> bool {
        let table_bytes = self.store.options().parameters.table_bytes;
        from.0.checked_div(table_bytes) != to.0.checked_div(table_bytes)
    }

    fn seal(&mut self) {
        let sealed = SealedTable {
            table: Pin::clone(&self.active),
            first: self.first,
            last: self.point.commit,
            point: self.point,
            floor: self.floor,
        };
        self.active = Pin::new(Table::new(self.store.options().parameters.table_bytes));
        self.first = self.point.commit.next();
        self.store.change(|state| {
            let mut tables = Vec::with_capacity(state.sealed.len().saturating_add(1));
            tables.push(Pin::new(sealed));
            tables.extend(state.sealed.iter().cloned());
            State { active: Pin::clone(&self.active), sealed: tables, ..state.clone() }
        });
        self.store.call_maintenance();
    }
}
