//! The log: the sole authority on what was committed.
//!
//! ```text
//! wal/MARK                              nothing before `durable` may be missing
//! wal/00000000000000000000.seg          sealed: ends with a Seal, never changes
//! wal/00000000000067108832.seg          newest: records, then blank
//! ```
//!
//! * [`LogWriter`]: appends groups of records, one fsync each; seals, begins and retires segments.
//! * `FollowedLog`: the same for bytes that a replica received, which are proven later or never.
//! * [`open`](fn@open): proves the log from the checkpoint on, judges its tail, replays it.
//! * [`inspect`]: the same proof of the whole log, for who only looks; [`outline`]: of its end alone; [`examine`]: of what opening proves.
//! * [`adopt`](fn@adopt): makes a log of segments that were copied.
//! * [`SegmentReader`]: proves the records of one segment.
//! * [`LogCursor`]: proves the records of a range of segments, for tools and for serving.
//! * [`LogHeaders`]: which records there are, beside the writer, without what they say.
//!
//! Promises: what `sync` returned for is there after any crash (D-ACK); what is not proven is never handed on (P5-I5); a torn tail
//! is told from corruption by evidence (`tail.rs`); the files depend on the records alone (R-DETERMINISM).
//!
//! Deliberately absent: time, compression, record types that the stage does not know, repair.

mod adopt;
mod blank;
mod cursor;
#[cfg(feature = "replication")]
mod follower;
mod headers;
mod mark;
mod open;
mod segment;
mod tail;
mod writer;

pub use adopt::adopt;
pub use cursor::LogCursor;
#[cfg(feature = "replication")]
pub use follower::FollowedLog;
pub use headers::{LogHeaders, point_at, segment_start, segments_before};
pub use mark::{MARK_FILE, Mark};
pub use open::{Cover, Inspection, LogReport, TailProof, examine, inspect, open, outline};
pub use segment::{
    Lineage, Next, SEGMENT_HEADER_BYTES, SegmentReader, decode_header, encode_header, file_name, offset, parse_name,
};
pub use writer::{Extent, Keeper, LogOptions, LogWriter, Pushed, directory};
