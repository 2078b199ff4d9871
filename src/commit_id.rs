//! CommitId: the total order of commits.
//!
//! 1, 2, 3, … without holes, assigned by the one writer inside the record that is fsynced (P5-I6). Before the fsync it is
//! only a proposal. A read view is one CommitId (M-VIEW).

use std::fmt;

/// The place of a commit in the order of all commits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitId(pub u64);

impl CommitId {
    /// Before the first commit: the view of an empty database.
    pub const NONE: CommitId = CommitId(0);

    /// The largest CommitId: the top bit of a published word is its halt bit (`published.rs`).
    pub const MAX: CommitId = CommitId(u64::MAX >> 1);

    /// The commit that follows this one.
    #[must_use]
    pub fn next(self) -> CommitId {
        CommitId(self.0.saturating_add(1))
    }
}

impl fmt::Display for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
