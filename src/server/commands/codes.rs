//! The codes that commands refuse with, beside the texts of Redis: sets that several commands have in common.
//!
//! The [`table`](super::table) names the sets of each command; the tables in `docs/resp.md` come from both. The tests that talk to a session
//! compare each refusal with what its command names here. Nothing is decided by it.

use crate::reason::Reason;

/// Codes that go together, under the name that the documents use.
#[derive(Debug)]
pub struct Codes {
    /// Their name.
    pub name: &'static str,
    /// The codes.
    pub reasons: &'static [Reason],
}

/// Of whatever reads keys.
pub const READS: Codes = Codes {
    name: "reads",
    reasons: &[
        Reason::ReadBootstrapping,
        Reason::ReadRecovering,
        Reason::ReadAuthorityUnknown,
        Reason::ReadUnproven,
        Reason::ReplicaHalted,
        Reason::StoreBlockCorrupt,
        Reason::DiskReadFailed,
        Reason::ViewRevoked,
    ],
};

/// Of what reads at a commit that is named.
pub const VIEWS: Codes = Codes { name: "views", reasons: &[Reason::ViewBelowFloor, Reason::ViewBeyondApplied] };

/// Of what reads behind a point, or at least at one.
pub const POINTS: Codes =
    Codes { name: "points", reasons: &[Reason::ReadBehind, Reason::ReadOtherHistory, Reason::ReadHistoryUnknown] };

/// Of what waits for a commit.
pub const WAITS: Codes = Codes {
    name: "waits",
    reasons: &[
        Reason::ReadBehind,
        Reason::CommitStopped,
        Reason::ReplicaHalted,
        Reason::ReplicationDisconnected,
        Reason::ReplicationStopped,
    ],
};

/// Of what goes through a range of rows.
pub const RANGES: Codes = Codes { name: "ranges", reasons: &[Reason::RangeInvalid] };

/// Of what goes on from a cursor.
pub const CURSORS: Codes = Codes { name: "cursors", reasons: &[Reason::CursorUnknown] };

/// Of whatever commits.
pub const WRITES: Codes = Codes {
    name: "writes",
    reasons: &[
        Reason::RoleNotWriter,
        Reason::CommitStopped,
        Reason::CommitUnknown,
        Reason::BatchKeyTooLong,
        Reason::BatchValueTooLong,
        Reason::BatchTooLarge,
    ],
};

/// Of what is decided where commits are made.
pub const DECISIONS: Codes = Codes {
    name: "decisions",
    reasons: &[Reason::DecisionTooLarge, Reason::ReplyTooLarge, Reason::StoreBlockCorrupt, Reason::DiskReadFailed],
};

/// Of what queues or watches.
pub const QUEUES: Codes = Codes { name: "queues", reasons: &[Reason::BatchTooLarge] };

/// Of what tells of the log.
pub const LOG: Codes = Codes {
    name: "log",
    reasons: &[
        Reason::WalRetired,
        Reason::WalBeyondEnd,
        Reason::WalCorrupt,
        Reason::WalSegmentMissing,
        Reason::WalSegmentCorrupt,
        Reason::DiskReadFailed,
        Reason::DiskNameFailed,
    ],
};

/// All sets.
pub const ALL: [&Codes; 10] =
    [&READS, &VIEWS, &POINTS, &WAITS, &RANGES, &CURSORS, &WRITES, &DECISIONS, &QUEUES, &LOG];
