//! Positions, and the law that orders them.
//!
//! A position is a byte offset in the log since genesis. It only grows and is never reset, not even when old log is
//! dropped. A [`LogPoint`] is a position with the evidence of what lies before it: the history and the last CommitId.
//! Two logs with equal (position, history) are the same log up to there (R-PREFIX).
//!
//! The law of positions on a writer: `durable ≤ appended`. It is asserted where either moves (`wal/writer.rs`).

use crate::commit_id::CommitId;
use std::fmt;

/// A byte offset in the log since genesis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub u64);

impl Position {
    /// Where every log begins.
    pub const GENESIS: Position = Position(0);

    /// The position `bytes` further on. A log can't reach the end of `u64`; the sum saturates there.
    #[must_use]
    pub fn after(self, bytes: u64) -> Position {
        Position(self.0.saturating_add(bytes))
    }

    /// How many bytes lie between `earlier` and here; 0 if it is not earlier.
    #[must_use]
    pub fn since(self, earlier: Position) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The running hash over all records up to a position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct History(pub u64);

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A point of the log: everything before it is what the three numbers say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogPoint {
    /// Byte offset since genesis.
    pub position: Position,
    /// Hash over all records before it.
    pub history: History,
    /// The last commit before it; [`CommitId::NONE`] if there is none.
    pub commit: CommitId,
}

impl fmt::Display for LogPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "position {} history {} commit {}", self.position, self.history, self.commit)
    }
}
