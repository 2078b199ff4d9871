//! What the gate decides on: what a node has published, and what is asked of it.
//!
//! Values that are copied, of one look each. Who publishes them, and in which order they are looked at, is told in
//! `docs/read-semantics.md`; here they are only numbers and words.

use crate::commit_id::CommitId;
use crate::position::{LogPoint, Position};

words! {
    /// What a node may do by its configuration, which alone says so (R-AUTHORITY).
    Authority {
        /// Whose directory it is can't be told.
        Unknown "unknown"
        /// It makes the history that it reads.
        Writer "writer"
        /// It follows the history of its primary.
        Follower "follower"
    }
}

words! {
    /// Whether there is something to be read.
    Phase {
        /// A snapshot is fetched or installed.
        Bootstrapping "bootstrapping"
        /// What the directory holds is being proven and replayed.
        Recovering "recovering"
        /// It is recovered.
        Open "open"
    }
}

/// How far the log is proven to be the primary's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefix {
    /// It is the primary's own: a commit is published once its record is durable.
    Own,
    /// Up to this commit.
    Proven(CommitId),
}

/// What the log says of a point that a client knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// The same: what the client has seen is a beginning of this history.
    Same,
    /// Another: it has this point where the client's would have another one; `None` where no record ends there.
    Other(Option<LogPoint>),
    /// It is not applied yet; the log that is proven here ends at this position.
    Behind(Position),
    /// It was dropped: what is kept begins here.
    Dropped(Position),
    /// Too much would have to be read to tell.
    Far,
    /// It could not be read.
    Unread,
}

impl Line {
    /// What is known of a point before anything is read of the log: where it is applied up to a commit and proven up to a point. `None` where
    /// the log has to be read.
    ///
    /// Along one history neither position nor commit ever falls, so of two points of it the later one is so by both.
    #[must_use]
    pub fn known(asked: LogPoint, applied: CommitId, proven: LogPoint) -> Option<Line> {
        let further = asked.position > proven.position;
        if (further && asked.commit < proven.commit) || (!further && asked.commit > proven.commit) {
            return Some(Line::Other(Some(proven)));
        }
        (further || asked.commit > applied).then_some(Line::Behind(proven.position))
    }
}

/// What a node has published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// What it may do.
    pub authority: Authority,
    /// Whether there is something to be read.
    pub phase: Phase,
    /// Whether it has halted.
    pub halted: bool,
    /// How far its log is proven.
    pub prefix: Prefix,
    /// The last commit that is applied and published; all before it are.
    pub applied: CommitId,
    /// The lowest commit that can be read.
    pub floor: CommitId,
    /// What its log says of the point that the client named, if it named one.
    pub line: Option<Line>,
}

impl Facts {
    /// The commit that a read would be at.
    #[must_use]
    pub fn view(&self, wish: &Wish) -> CommitId {
        wish.at.unwrap_or(self.applied)
    }
}

/// What is asked of a read, beyond its keys. Nothing, where nothing is said: the newest commit that is proven.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// At exactly this commit.
    pub at: Option<CommitId>,
    /// At this commit or a later one.
    pub at_least: Option<CommitId>,
    /// In the history that has this point.
    pub on: Option<LogPoint>,
}

impl Wish {
    /// The newest commit that is proven.
    #[must_use]
    pub fn newest() -> Wish {
        Wish::default()
    }

    /// Exactly this commit; the newest, for `None`.
    #[must_use]
    pub fn at(commit: Option<CommitId>) -> Wish {
        Wish { at: commit, ..Wish::default() }
    }

    /// This commit or a later one: a client that wrote it reads its own write.
    #[must_use]
    pub fn at_least(commit: CommitId) -> Wish {
        Wish { at_least: Some(commit), ..Wish::default() }
    }

    /// The same, only in the history that has this point.
    #[must_use]
    pub fn on(self, point: LogPoint) -> Wish {
        Wish { on: Some(point), ..self }
    }
}
