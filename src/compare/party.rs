//! What comparing asks of either side: where its log begins and ends, which records it has, what its runs are.
//!
//! Implemented by files that are at hand ([`Local`]) and, in the program, by a node that runs. Whoever implements it says the same however long it is asked, though
//! a node moves on meanwhile.

use super::local::Local;
use super::relation::Step;
use super::written::Written;
use crate::error::Result;
use crate::identity::Identity;
use crate::position::{LogPoint, Position};
use crate::store::run::RunInfo;

/// What a side is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A directory that nobody has open.
    Directory,
    /// A backup.
    Backup,
    /// A node that runs, and answers at this address. It may have moved on since.
    Server(String),
}

/// Whose it is, and what log it has; fixed when it was first looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// What it is.
    pub place: Place,
    /// Whose log it is.
    pub identity: Identity,
    /// The log before the oldest record that is kept.
    pub oldest: LogPoint,
    /// The end of the log.
    pub end: LogPoint,
}

/// Which runs a side has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// They hold everything up to here.
    pub checkpoint: LogPoint,
    /// The runs, oldest first.
    pub runs: Vec<RunInfo>,
}

/// One record after the other.
pub trait Steps {
    /// The next record; `None` at the end.
    ///
    /// # Errors
    /// What does not verify, by name; those of the disk or the connection.
    fn next_step(&mut self) -> Result<Option<Step>>;
}

/// One of the two that are compared. Once it was looked at, what it says does not change.
pub trait Party {
    /// Looks at the log. Before that it is known only whose it is, which is all that a comparison of others needs.
    ///
    /// # Errors
    /// What does not verify, by name; those of the disk.
    fn look(&mut self) -> Result<()>;

    /// Whose it is, and what log it has.
    fn held(&self) -> &Held;

    /// First positions of the segments that are kept, in order.
    fn segments(&self) -> &[Position];

    /// The log before a segment, or at the end; `None` where no segment begins.
    ///
    /// # Errors
    /// What does not verify, by name.
    fn point_at(&mut self, first: Position) -> Result<Option<LogPoint>>;

    /// The records from the beginning of a segment on.
    ///
    /// # Errors
    /// What does not verify, by name; those of the disk or the connection.
    fn steps(&mut self, from: LogPoint) -> Result<Box<dyn Steps + '_>>;

    /// What the record behind a point says.
    ///
    /// # Errors
    /// What does not verify, by name; those of the disk or the connection; what a server refuses.
    fn wrote(&mut self, before: LogPoint, step: Step) -> Result<Written>;

    /// Which runs it has.
    ///
    /// # Errors
    /// What does not verify, by name.
    fn stored(&mut self) -> Result<Stored>;

    /// Proves every byte of it.
    ///
    /// # Errors
    /// What does not verify, by name; `cli.usage` where that can't be done from here.
    fn prove(&mut self, progress: &mut dyn FnMut(u64, u64)) -> Result<()>;

    /// Its files, where they are at hand.
    fn local(&self) -> Option<&Local>;
}
