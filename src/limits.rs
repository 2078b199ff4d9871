//! A limit on everything.
//!
//! Every length that comes from a disk, a wire, a client or a flag is compared with one of these before memory is taken
//! for it.

/// Longest key.
pub const KEY_BYTES_MAX: usize = 16 * 1024;
/// Longest value.
pub const VALUE_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Largest encoded batch.
pub const BATCH_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Most operations in a batch.
pub const BATCH_OPS_MAX: usize = 1 << 20;
/// Largest payload of a record.
pub const PAYLOAD_BYTES_MAX: usize = BATCH_BYTES_MAX;

/// A group takes no further order once its records hold this much, whoever made the batches in them.
pub const GROUP_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Most commits in a group.
pub const GROUP_COMMITS_MAX: usize = 4096;
/// Commits that wait for the committer; the next caller waits for room.
pub const COMMIT_QUEUE_MAX: usize = 4096;
/// Bytes of the commits that wait for the committer; the next caller waits until there are fewer.
pub const COMMIT_QUEUE_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Smallest and largest segment of the log.
pub const SEGMENT_BYTES: (u64, u64) = (4 * 1024, 1 << 30);
/// Times that MARK is read beside a writer until it verifies.
pub const MARK_READS_MAX: usize = 16;
/// A replay is shown each time that it has come so much further.
pub const REPLAY_SHOWN_BYTES: u64 = 64 << 20;
/// Segments that go between two groups where retention lets more go: so many removals the next group may wait for.
pub const RETIRED_SEGMENTS_MAX: usize = 4;
/// Smallest and largest share of log that one table holds.
pub const TABLE_BYTES: (u64, u64) = (1024, 1 << 30);
/// Smallest and largest data block.
pub const BLOCK_BYTES: (u32, u32) = (256, 1 << 20);
/// Smallest and largest number of runs that merge into one.
pub const FANOUT: (u32, u32) = (2, 16);

/// Largest block of a run that is read: one entry with the longest key and value behind a block that was almost full, and its offsets. No
/// such block is written any more, since a large entry gets a block of its own; older runs may hold one, and it is read as it was.
pub const BLOCK_STORED_BYTES_MAX: usize = VALUE_BYTES_MAX + KEY_BYTES_MAX + 8 * (1 << 20);
/// Data blocks described by one partition of a run.
pub const PARTITION_BLOCKS: usize = 64;
/// Largest top index of a run.
pub const TOP_INDEX_BYTES_MAX: usize = 1 << 30;
/// Most runs, and most undone merges, that a manifest may name.
pub const MANIFEST_RUNS_MAX: usize = 1 << 16;

/// Most files that a backup may consist of.
pub const BACKUP_FILES_MAX: usize = 1 << 20;

/// Sealed tables that wait to become runs; then the committer waits for maintenance, visibly.
pub const SEALED_TABLES_MAX: usize = 3;
/// Proofs that wait for their run, completed runs that are remembered for their Proof, and Proofs that are still to be logged.
pub const PROOFS_KEPT_MAX: usize = 1024;
/// Runs that may exist before merging goes ahead of writing new ones.
pub const RUNS_LIVE_MAX: usize = 64;
/// Most rows that one range read returns.
pub const RANGE_ROWS_MAX: usize = 1 << 20;

/// Most arguments of a request, its name included.
pub const REQUEST_ARGUMENTS_MAX: usize = 1 << 20;
/// Longest line of a request: an inline request, or the digits of a length.
pub const REQUEST_LINE_BYTES_MAX: usize = 64 * 1024;
/// Most bytes of all arguments of a request: a full batch, and room for the words around it.
pub const REQUEST_BYTES_MAX: usize = BATCH_BYTES_MAX + (1 << 20);
/// Deepest nesting of a reply that a client reads.
pub const REPLY_DEPTH_MAX: usize = 32;
/// Longest line of a reply that a client reads.
pub const REPLY_LINE_BYTES_MAX: usize = 64 * 1024;
/// Most memory for a reply that a client reads.
pub const REPLY_BYTES_MAX: usize = 1 << 30;
/// Longest pattern that keys are matched with.
pub const PATTERN_BYTES_MAX: usize = 1024;
/// Most names or patterns that one COMMAND, CONFIG GET or INFO lists: it is answered in one turn, and the reply may be many times the request.
pub const NAMES_MAX: usize = 256;

/// Fewest and most connections of clients that may be allowed.
pub const CLIENTS: (u64, u64) = (1, 1 << 20);
/// Least and most memory for the buffers of all connections. The least holds the largest request, and the largest reply.
pub const CLIENT_MEMORY_BYTES: (u64, u64) = (128 << 20, 1 << 40);
/// Least and most seconds of silence before a connection is tried; the most is that of the operating system.
pub const KEEPALIVE_SECONDS: (u64, u64) = (0, 32_767);
/// Files that a node itself has open: the runs that exist, as many again that old views pin, the log, the listener, and what a start
/// or a merge opens.
pub const NODE_FILES: u64 = 256;
/// Longest configuration file.
pub const CONFIG_BYTES_MAX: usize = 64 * 1024;

/// Most memory for the commands queued by one MULTI.
pub const QUEUED_BYTES_MAX: usize = 2 * BATCH_BYTES_MAX;
/// Memory of the keys that one client watches, after which it can watch no more.
pub const WATCHED_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Most bytes of the replies that decisions of all clients leave until they are sent.
pub const DEPOSITS_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Most keys that a decision looks up: all other commits wait for it.
pub const DECISION_KEYS_MAX: usize = 1 << 16;
/// Most bytes of the values of these keys.
pub const DECISION_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Most places of scans that are kept.
pub const CURSORS_MAX: usize = 1 << 16;
/// Most bytes of the keys that these places name.
pub const CURSORS_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Longest name that a client may give itself or its library.
pub const CLIENT_NAME_BYTES_MAX: usize = 256;
/// Keys that a long reply looks at before others have their turn.
pub const TURN_KEYS: usize = 1024;
/// Bytes that a long reply reads or writes before others have their turn.
pub const TURN_BYTES: usize = 1024 * 1024;
/// Steps of matching that a long reply takes before others have their turn.
pub const TURN_STEPS: usize = 1 << 20;

/// Headers of segments that AERO.SEGMENTS reads before others have their turn.
pub const TURN_SEGMENTS: usize = 64;
/// Most records of one AERO.LOG.
pub const LOG_RECORDS_MAX: usize = 1000;
/// Most bytes of log that one AERO.LOG reads.
pub const LOG_READ_BYTES_MAX: usize = 1024 * 1024;
/// Most bytes of log that are read to tell whether a history has a point.
pub const LINE_READ_BYTES_MAX: usize = TURN_BYTES;
/// Bytes of applied log between two points that are remembered for that.
pub const LANDMARK_BYTES: u64 = 512 * 1024;
/// Most points that are remembered.
pub const LANDMARKS_MAX: usize = 64 * 1024;
/// Most bytes of values that are read to explain a read.
pub const EXPLAIN_READ_BYTES_MAX: usize = TURN_BYTES;
/// Most bytes that opening a directory for a look keeps in memory of what it would have written.
pub const LOOK_BYTES_MAX: usize = 1024 * 1024 * 1024;
/// Bytes that AERO.RECORD shows of a record, header included.
pub const RECORD_SHOWN_BYTES: usize = 64 * 1024;

/// A connection executes nothing more and is not read while so many bytes of replies are not sent.
pub const CLIENT_OUTPUT_BYTES: usize = 1 << 20;
/// Nor while so many of its replies wait for the committer, or behind one that does.
pub const CLIENT_SLOTS_MAX: usize = 1024;

/// Most log bytes in one SEGMENT frame.
pub const SEGMENT_FRAME_BYTES_MAX: usize = 1 << 20;
/// Most bytes of a snapshot in one CHUNK frame.
pub const CHUNK_BYTES_MAX: usize = 256 * 1024;
/// Longest manifest: one that names as many runs and merges as it may.
pub const MANIFEST_BYTES_MAX: usize = 76 + 80 * MANIFEST_RUNS_MAX;
/// Snapshots that a primary serves at a time.
pub const SNAPSHOTS_MAX: usize = 8;
/// Least and most bytes that all snapshots together may be allowed in a second.
pub const SERVE_RATE_BYTES: (u64, u64) = (1 << 10, 1 << 40);
/// Bytes of a snapshot that a replica has asked for and not written.
pub const SNAPSHOT_WINDOW_BYTES: u64 = 16 << 20;
/// Longest text of a REFUSE frame.
pub const REFUSAL_BYTES_MAX: usize = 4096;
/// Most log that one FETCH asks for.
pub const FETCH_BYTES_MAX: u64 = 256 << 20;
/// Log that a replica has asked for and not applied. For a record that is longer it asks as far as that record goes.
pub const REPLICA_WINDOW_BYTES: u64 = 16 << 20;
/// Most pieces of log that wait between two stages of a replica.
pub const REPLICA_QUEUE_MAX: usize = 1024;
/// Least and most seconds after which a lost connection is made again.
pub const RECONNECT_SECONDS: (u64, u64) = (1, 3600);
/// Most replicas that a primary serves.
pub const REPLICAS_MAX: usize = 64;
/// Bytes that a turn of the primary's loop sends to one replica.
pub const REPLICA_TURN_BYTES: usize = 1 << 20;
/// Bytes that a turn of the primary's loop sends to all of them together: so clients have their turn, however many replicas there are.
pub const REPLICAS_TURN_BYTES: usize = 2 << 20;
/// A replica's output is not added to while so much of it is not sent.
pub const REPLICA_OUTPUT_BYTES: usize = 256 * 1024;
/// Most bytes of the words that are kept with a halt.
pub const HALT_EVIDENCE_BYTES_MAX: usize = 2048;

/// Longest head of a request of HTTP.
pub const HTTP_HEAD_BYTES_MAX: usize = 8 * 1024;
/// Most headers of a request of HTTP.
pub const HTTP_HEADERS_MAX: usize = 64;
/// Connections of HTTP at a time; who comes then takes the place of who was answered the longest ago.
pub const HTTP_SEATS: usize = 1024;
/// Most segments of the log that `/v1/wal` lists: the newest.
pub const HTTP_SEGMENTS_SHOWN: usize = 1024;
/// Most bytes of all responses of HTTP that were not sent; past it the one that was begun the longest ago is cut off.
pub const HTTP_RESPONSES_BYTES_MAX: usize = 64 * 1024 * 1024;
