//! Log bytes on their way through a replica: as they were received, and as they were proven.
//!
//! The buffer that the socket was read into is the one that is applied: it moves from stage to stage, and is never copied. Only a
//! record whose end came with the next chunk is put together in a buffer of its own.

use crate::position::{LogPoint, Position};
use crate::record::ProvenRecords;
use std::ops::Range;

/// Log that is durable here, and not proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Where the first byte stands: behind the chunk before, or at the proven point where what lay behind that was dropped (REPL-AFRESH).
    pub from: Position,
    /// The bytes.
    pub bytes: Vec<u8>,
    /// The primary says that a segment ends behind them.
    pub ends_segment: bool,
}

impl Chunk {
    /// No log: what came behind this position was dropped.
    #[must_use]
    pub fn afresh(from: Position) -> Chunk {
        Chunk { from, bytes: Vec::new(), ends_segment: false }
    }

    /// Where the byte behind the last one stands.
    #[must_use]
    pub fn end(&self) -> Position {
        self.from.after(u64::try_from(self.bytes.len()).unwrap_or(u64::MAX))
    }
}

/// Whole records that are proven, and durable here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proven {
    bytes: Vec<u8>,
    range: Range<usize>,
    /// The log before them.
    pub before: LogPoint,
    /// The log after them.
    pub after: LogPoint,
}

impl Proven {
    /// What was proven: these of these bytes, from one point to another.
    #[must_use]
    pub fn new(bytes: Vec<u8>, range: Range<usize>, before: LogPoint, after: LogPoint) -> Proven {
        Proven { bytes, range, before, after }
    }

    /// The records behind the first of so many bytes.
    #[must_use]
    pub fn records_from(&self, point: LogPoint) -> ProvenRecords<'_> {
        let done = usize::try_from(point.position.since(self.before.position)).unwrap_or(usize::MAX);
        let bytes = self.bytes.get(self.range.clone()).and_then(|bytes| bytes.get(done..)).unwrap_or_default();
        ProvenRecords::new(bytes, point, self.after)
    }
}

/// How far the proof has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validated {
    /// Everything before it is proven.
    pub point: LogPoint,
    /// Everything before it was looked at; behind the point it is a part of a record.
    pub seen: Position,
    /// Where that record ends, as its proven header says; where there is none, the point.
    pub wanted: Position,
}
