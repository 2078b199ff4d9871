//! What one thread publishes and all may read: one atomic word.
//!
//! The word holds the last commit that may be read and, in its top bit, whether the node has halted. One word, because
//! with two a reader could be admitted at a commit that was published after the halt. Publishing can't clear a halt: it is a
//! `fetch_max`, and a halted word is larger than any that is not.
//!
//! Promise (told-of-halt): whoever learnt of the halt by any synchronising path, and everyone after them, is refused. A reader
//! that was admitted before goes on with its view, which the halt does not change.
//!
//! Writer: the committer publishes; whoever finds a fault halts. Readers: all.

use crate::commit_id::CommitId;
use crate::sync::atomic::{AtomicU64, Ordering};

const HALTED: u64 = 1 << 63;

/// The last readable commit, and whether reading has ended.
#[derive(Debug)]
pub struct Published(AtomicU64);

impl Published {
    /// A word that begins at this commit.
    #[must_use]
    pub fn new(commit: CommitId) -> Published {
        Published(AtomicU64::new(commit.0.min(CommitId::MAX.0)))
    }

    /// Makes a commit, and all before it, readable. What it wrote must be in place before.
    pub fn publish(&self, commit: CommitId) {
        // ORDERING: Release pairs with the Acquire of `readable`: who sees the commit sees its versions. A read-modify-write, so
        // that a halt is never overwritten.
        self.0.fetch_max(commit.0.min(CommitId::MAX.0), Ordering::Release);
    }

    /// Ends reading, for good.
    pub fn halt(&self) {
        // ORDERING: Release: who sees the halt sees the fault that was recorded before it.
        self.0.fetch_or(HALTED, Ordering::Release);
    }

    /// The last readable commit; `None` after a halt.
    #[must_use]
    pub fn readable(&self) -> Option<CommitId> {
        // ORDERING: Acquire pairs with the Release of `publish` and `halt`.
        let word = self.0.load(Ordering::Acquire);
        if word & HALTED == 0 { Some(CommitId(word)) } else { None }
    }

    /// The last commit that was published, halted or not: for the status, not for reading.
    #[must_use]
    pub fn commit(&self) -> CommitId {
        // ORDERING: Acquire as in `readable`.
        CommitId(self.0.load(Ordering::Acquire) & !HALTED)
    }
}
