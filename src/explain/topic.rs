//! What can be asked, the same for every way to ask: the library, `AERO.EXPLAIN`, HTTP, the command line.
//!
//! A topic is words: its name and, for a read, the key and its bounds. What a way to ask has of its own is only how the words come in and the explanation goes
//! out.

use super::{Explanation, Kind};
use crate::commit_id::CommitId;
use crate::config::digits;
use crate::database::Database;
use crate::gate::Wish;
use crate::position::{History, LogPoint, Position};
#[cfg(feature = "replication")]
use crate::replica::ReplicaStatus;

/// What is to be explained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topic {
    /// Whether the node follows, and may be read.
    Replication,
    /// What a read of a key finds.
    Read {
        /// The key.
        key: Vec<u8>,
        /// How it is read.
        wish: Wish,
    },
    /// What opening the directory found.
    Recovery,
    /// What a restart would replay.
    Checkpoint,
    /// Why log was rejected.
    Segment,
}

impl Topic {
    /// The topic of this kind; that of a read needs a key.
    #[must_use]
    pub fn of(kind: Kind, key: Option<&[u8]>, wish: Wish) -> Option<Topic> {
        match (kind, key) {
            (Kind::Read, Some(key)) => Some(Topic::Read { key: key.to_vec(), wish }),
            (Kind::Replication, None) => Some(Topic::Replication),
            (Kind::Recovery, None) => Some(Topic::Recovery),
            (Kind::Checkpoint, None) => Some(Topic::Checkpoint),
            (Kind::Segment, None) => Some(Topic::Segment),
            (Kind::Read, None) | (Kind::Replication | Kind::Recovery | Kind::Checkpoint | Kind::Segment, Some(_)) => {
                None
            }
        }
    }

    /// Which kind of thing it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Topic::Replication => Kind::Replication,
            Topic::Read { .. } => Kind::Read,
            Topic::Recovery => Kind::Recovery,
            Topic::Checkpoint => Kind::Checkpoint,
            Topic::Segment => Kind::Segment,
        }
    }
}

/// Reads a point of a history as it is typed: `COMMIT,POSITION,HISTORY`, in the order of `AERO.LAST POINT`.
#[must_use]
pub fn point(text: &[u8]) -> Option<LogPoint> {
    let mut parts = std::str::from_utf8(text).ok()?.split(',');
    let (commit, position, history) = (parts.next()?, parts.next()?, parts.next()?);
    let sixteen = history.len() == 16 && history.bytes().all(|byte| byte.is_ascii_hexdigit());
    let point = LogPoint {
        commit: digits(commit).map(CommitId).filter(|commit| *commit <= CommitId::MAX)?,
        position: Position(digits(position)?),
        history: History(u64::from_str_radix(history, 16).ok().filter(|_| sixteen)?),
    };
    parts.next().is_none().then_some(point)
}

/// Explains a topic of a node that runs; `replica` is its status, if it is one.
#[cfg(feature = "replication")]
#[must_use]
pub fn of(topic: &Topic, database: &Database, replica: Option<&ReplicaStatus>) -> Explanation {
    match topic {
        Topic::Replication => super::replication(database, replica),
        Topic::Read { key, wish } => super::read(database, key, wish),
        Topic::Recovery => super::recovery(database.report()),
        Topic::Checkpoint => super::checkpoint(database, replica),
        Topic::Segment => super::segment(database, replica),
    }
}

/// Explains a topic of a node that runs.
#[cfg(not(feature = "replication"))]
#[must_use]
pub fn of(topic: &Topic, database: &Database) -> Explanation {
    match topic {
        Topic::Replication => super::replication(database),
        Topic::Read { key, wish } => super::read(database, key, wish),
        Topic::Recovery => super::recovery(database.report()),
        Topic::Checkpoint => super::checkpoint(database),
        Topic::Segment => super::segment::no_log_is_received(database),
    }
}
