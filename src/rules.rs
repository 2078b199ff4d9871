//! The rules that the product is held to: one table of ids, sentences and stages.
//!
//! An id is what code, tests, refusals and explanations cite; it is never renumbered and never used again. The documents
//! show the same table (`docs/model.md`, `docs/failure-matrix.md`), and `tests/tidy.rs` compares the two, so that a rule
//! can't say one thing to a person and another to a program.
//!
//! * P5-I…: what replication preserves. R-…, M-…, D-…: the model of history, of visibility, of durability.
//! * F-…: what happens when something fails, and the one outcome that is required then.
//! * FMT-…: what the bytes on disk look like (`docs/formats.md`). RESP-…: what clients send and receive (`docs/resp.md`).
//!   HTTP-…: what is shown to people and programs (`docs/http.md`).
//! * A-…: what is assumed of the machine.
//!
//! Pure: no rule is evaluated here. Who evaluates one cites its id.

use Stage::{Bootstrap, Ground, Reads, Replication, Server};
use std::fmt;

/// The stage of the project from which on a rule is proven by tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The single node: roles, identity, log, store, recovery, offline commands.
    Ground,
    /// A node that serves clients, and explains itself.
    Server,
    /// A replica that receives, validates and applies the log.
    Replication,
    /// A replica that begins with a snapshot.
    Bootstrap,
    /// A replica that answers reads.
    Reads,
}

impl Stage {
    /// The stage's word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Stage::Ground => "ground",
            Stage::Server => "server",
            Stage::Replication => "replication",
            Stage::Bootstrap => "bootstrap",
            Stage::Reads => "reads",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The stable id.
    pub id: &'static str,
    /// What must hold, in one sentence.
    pub sentence: &'static str,
    /// From when on it is proven.
    pub stage: Stage,
}

const fn rule(id: &'static str, stage: Stage, sentence: &'static str) -> Rule {
    Rule { id, sentence, stage }
}

/// The rule of this id.
#[must_use]
pub fn lookup(id: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.id == id)
}

/// Every rule, in the order of the documents.
pub const RULES: &[Rule] = &[
    rule(
        "P5-I1",
        Replication,
        "What no rule names does not happen: no code adds, drops or infers a meaning of replication.",
    ),
    rule("P5-I2", Ground, "No rule has an exception for start, stop or recovery."),
    rule(
        "P5-I3",
        Ground,
        "Every component is a state machine: listed states, one place that changes state, checked edges.",
    ),
    rule("P5-I4", Replication, "What a replica has validated is a prefix of the primary's log, byte for byte."),
    rule(
        "P5-I5",
        Replication,
        "Nothing is applied, shown or counted before checksum, order and continuity were proven.",
    ),
    rule("P5-I6", Ground, "Only the writer assigns a CommitId; everyone else takes it from the record as a fact."),
    rule("P5-I7", Reads, "A replica resolves visibility with the writer's own code."),
    rule(
        "P5-I8",
        Bootstrap,
        "A snapshot is an exact cut, durable and proven before use; nothing is read during bootstrap.",
    ),
    rule("P5-I9", Bootstrap, "After bootstrap the log goes on exactly at the cut, without gap or overlap."),
    rule(
        "P5-I10",
        Replication,
        "Progress that cannot be proven stops, says so, and refuses the reads it makes unsafe.",
    ),
    rule(
        "P5-I11",
        Replication,
        "After any crash the state follows from the persisted bytes alone, whole, and the prefix rule holds again.",
    ),
    rule(
        "P5-I12",
        Reads,
        "A read is admitted only when proven: the prefix holds, the view is applied, nothing is in flight at or below it.",
    ),
    rule(
        "P5-I13",
        Ground,
        "Each responsibility has one owner and one path that changes it; no lock replaces a state check, no timing decides.",
    ),
    rule("P5-I14", Ground, "Every state, blocking reason and last transition can be observed."),
    rule("P5-I15", Server, "An explanation cites the very positions, CommitIds and states it was decided on."),
    rule(
        "P5-I16",
        Ground,
        "Replication can be switched off at start and left out at compile time; the writer's bytes stay the same.",
    ),
    rule("P5-I17", Ground, "Every rule has a test that fails when it is broken."),
    rule("R-DECIDE", Ground, "A decision of the committer sees every commit before it and none after it; it is answered once what it saw is durable."),
    rule("R-WRITER", Ground, "One writer: a node that is not it, or whose authority is unclear, refuses writes."),
    rule("R-PREFIX", Replication, "A replica's history is a prefix of the primary's."),
    rule(
        "R-DETERMINISM",
        Ground,
        "The same log prefix gives the same state: versions, floor, cuts and the bytes of the runs.",
    ),
    rule("R-DIVERGENCE", Replication, "Divergence is detected and fatal: never silent, never healed."),
    rule("R-READ", Reads, "A replica's answer equals, bit for bit, the primary's at the same CommitId."),
    rule("R-COMPLETE", Ground, "The log moves in order and without gaps; a partial record is seen to be partial."),
    rule("R-CUT", Bootstrap, "A snapshot carries its boundary and needs nothing outside itself."),
    rule(
        "R-AUTHORITY",
        Ground,
        "Roles come from configuration and identity only: no election, lease, heartbeat or time-out.",
    ),
    rule("M-VIEW", Ground, "A view is one CommitId that never changes; a range read uses one view."),
    rule(
        "M-VISIBLE",
        Ground,
        "Of a key the version with the greatest CommitId not beyond the view is visible; a tombstone means absent.",
    ),
    rule("M-ATOMIC", Ground, "The writes of a commit become visible together, and never before the commit is durable."),
    rule(
        "M-FLOOR",
        Ground,
        "Only a record moves the floor. A version goes only when a newer one of its key is at or below it, a tombstone also when nothing older is left; a view below it is refused.",
    ),
    rule("D-ACK", Ground, "An acknowledged write is durable: appended and fsynced before the acknowledgement."),
    rule("D-FSYNC", Ground, "A failed fsync is never retried: its owner stops until restart."),
    rule(
        "D-TAIL",
        Ground,
        "What a crash cut short is told from corruption by words that were never written; all else that does not verify is refused.",
    ),
    rule(
        "D-CORRUPT",
        Ground,
        "Corruption is detected and stops who reads it; it is never skipped, repaired or guessed over.",
    ),
    rule(
        "F-P1",
        Ground,
        "The primary dies before the fsync of the log: the write does not exist, and no replica saw it.",
    ),
    rule(
        "F-P2",
        Ground,
        "The primary dies after the fsync, before shipping: the commit is recovered, and replicas get it later.",
    ),
    rule(
        "F-P3",
        Replication,
        "The primary dies while shipping: the replica keeps what it proved, tells of the lost connection, and resumes at its own position.",
    ),
    rule(
        "F-R1",
        Replication,
        "The receiver dies before it persisted: the bytes are gone, and it resumes at its last durable position.",
    ),
    rule(
        "F-R2",
        Replication,
        "The receiver dies after it persisted, before validation: the bytes are validated at restart, nothing of them was applied, and they are shown as received only.",
    ),
    rule(
        "F-V1",
        Replication,
        "Checksum or history do not match: the segment is rejected, replication halts, reads are refused, and an operator is needed.",
    ),
    rule(
        "F-V2",
        Replication,
        "A gap or an overlap arrives: it is rejected, the state is unchanged, and replication halts.",
    ),
    rule(
        "F-V3",
        Replication,
        "A delivery arrives twice or out of order: it was not asked for, so it is rejected, and replication halts.",
    ),
    rule(
        "F-A1",
        Ground,
        "A node dies while applying: nothing partial is visible, and replay resumes at the checkpoint.",
    ),
    rule("F-A2", Ground, "A node dies between storing and recording the progress: applying again changes nothing."),
    rule(
        "F-S1",
        Bootstrap,
        "A replica dies while a snapshot is transferred: the partial snapshot is discarded, and the replica stays as it was.",
    ),
    rule(
        "F-S2",
        Bootstrap,
        "A replica dies after the transfer, before validation: the snapshot is discarded, and bootstrap starts again.",
    ),
    rule("F-S3", Bootstrap, "The cut of a snapshot and the position to resume at disagree: the replica halts."),
    rule(
        "F-S4",
        Bootstrap,
        "A snapshot fails its integrity check: it is rejected, the replica is unchanged, and bootstrap starts again only on an explicit order.",
    ),
    rule("F-RC1", Ground, "A node dies during recovery: recovery starts again, with the same outcome."),
    rule(
        "F-RC2",
        Replication,
        "The metadata of a replica are corrupt: data stay closed, an operator is needed, and the explanation is still given.",
    ),
    rule("F-RS1", Reads, "A read is asked for while unsafe: it is refused with the reason."),
    rule(
        "F-RS2",
        Reads,
        "The state changes while a read is decided: it is decided anew or refused, and never answered from both states.",
    ),
    rule(
        "F-N1",
        Replication,
        "The network is partitioned: replication waits, visibly, and reads go on only where proven.",
    ),
    rule("F-D1", Replication, "Two histories differ: the replica halts, and nothing is healed."),
    rule(
        "F-D2",
        Ground,
        "A write or an fsync fails: its owner stops, nothing unproven becomes visible, and the reason names the file and the operation.",
    ),
    rule(
        "F-O1",
        Server,
        "An explanation is asked for during a failure: what is known is answered and marked incomplete, and nothing is inferred.",
    ),
    rule("FMT-POSITION", Ground, "A position counts the bytes of records since genesis, and never a segment header."),
    rule(
        "FMT-HISTORY",
        Ground,
        "The history after a record is a hash of all its bytes, seeded with the history before it.",
    ),
    rule("FMT-IDENTITY", Ground, "IDENTITY is one checked sector, written last by `init` and never changed."),
    rule("FMT-SEGMENT", Ground, "A segment is a checked header and whole records, named after its first position."),
    rule(
        "FMT-SEAL",
        Ground,
        "A segment is sealed before the record that would make it too long, and ends with its seal.",
    ),
    rule("FMT-BLANK", Ground, "Log space that was never written holds a pattern that is neither a record nor zeros."),
    rule(
        "FMT-RECORD",
        Ground,
        "A record is a header with a checksum of its own and a payload with another, padded to 8 bytes.",
    ),
    rule("FMT-BATCH", Ground, "A batch is at least one operation, in the order given, and nothing behind the last."),
    rule(
        "FMT-MARK",
        Ground,
        "MARK says how far the log is durable and how far its newest segment is blank, and is never ahead of the log.",
    ),
    rule(
        "FMT-RUN",
        Ground,
        "A run holds the versions of a range of commits in order, in blocks with checksums, and never changes.",
    ),
    rule(
        "FMT-MANIFEST",
        Ground,
        "MANIFEST names the runs that count, the undone merges, the floor, and the log point they are complete up to.",
    ),
    rule(
        "FMT-BACKUP",
        Ground,
        "A backup is complete when the file BACKUP, written last, names every other file with its hash.",
    ),
    rule(
        "FMT-REPLICA",
        Replication,
        "What a replica knows of itself is two generations of sectors that each name theirs, so what a crash cut short is told from rot.",
    ),
    rule(
        "RESP-REQUEST",
        Server,
        "A request is an array of bulk strings; what is read does not depend on the pieces in which it arrived.",
    ),
    rule("RESP-INLINE", Server, "A line that does not begin as an array is a request of words, quoted as in Redis."),
    rule(
        "RESP-MALFORMED",
        Server,
        "What is no request is told in the words of Redis, where it has them, and ends the connection.",
    ),
    rule(
        "RESP-BOUND",
        Server,
        "Memory for a request follows what has arrived, up to the limits, and never a length that was announced.",
    ),
    rule(
        "RESP-REPLY",
        Server,
        "A reply has the form of the version that the client asked for; nothing that it quotes can end its line.",
    ),
    rule(
        "RESP-RESPONSE",
        Server,
        "A client believes no reply: depth, lines and memory are bounded, and what is no reply ends the connection.",
    ),
    rule(
        "RESP-GLOB",
        Server,
        "A pattern means what it means to Redis, and costs at most its length times that of the text.",
    ),
    rule(
        "RESP-COMMAND",
        Server,
        "A command means what it means to Redis 7.0; where it does not, the documents say so and the client is refused.",
    ),
    rule(
        "RESP-ORDER",
        Server,
        "A client is answered in the order of its requests, and what it reads holds what it wrote before.",
    ),
    rule(
        "RESP-ATOMIC",
        Server,
        "A command, and all of an EXEC, is one commit or none, with no other between what it reads and what it writes.",
    ),
    rule(
        "RESP-WATCH",
        Server,
        "EXEC does nothing if a watched key was written since it was watched, or if nobody can tell.",
    ),
    rule(
        "RESP-SCAN",
        Server,
        "A key that is there throughout a scan is returned exactly once; a cursor that is not known is refused.",
    ),
    rule(
        "RESP-TURN",
        Server,
        "Nobody waits for another client, nor for the disk of another's write: the loop has turns, and a turn is bounded.",
    ),
    rule(
        "RESP-FLOW",
        Server,
        "What a client may hold and have under way is bounded: it waits at its bound, and is closed by name at that of all.",
    ),
    rule(
        "RESP-END",
        Server,
        "Whatever ends, a client's side, a connection, the committer or the server: what was ordered is carried out or told.",
    ),
    rule(
        "HTTP-REQUEST",
        Server,
        "A request only reads, and is read the same in whatever pieces it arrives; what is none, or could be read in two ways, is refused by name and ends the connection.",
    ),
    rule(
        "HTTP-BOUND",
        Server,
        "Seats, heads and unread responses are bounded; where one is wanted, who was answered the longest ago gives way, and no clock decides.",
    ),
    rule(
        "HTTP-HOST",
        Server,
        "A node that listens on loopback answers only to names of loopback, and no answer may be read by the page of another origin.",
    ),
    rule(
        "HTTP-ENVELOPE",
        Server,
        "An answer says of which moment it is, in a stable order and without a time: the same state is the same bytes.",
    ),
    rule(
        "HTTP-LOBBY",
        Server,
        "HTTP listens before the directory is opened, at one address until the process ends; without a database nothing is said that only one could say.",
    ),
    rule(
        "HTTP-PAGE",
        Server,
        "The page has its facts in it and needs nothing beside it; only its own script and style may run, and what somebody else said stays text.",
    ),
    rule(
        "HTTP-METRICS",
        Server,
        "Numbers have the text format of Prometheus 0.0.4; gaps between positions are subtracted by the node, and the series are bounded.",
    ),
    rule(
        "HTTP-OFF",
        Server,
        "HTTP shows and changes nothing: without its setting nothing listens, and files and answers to clients are the same bytes either way.",
    ),
    rule(
        "WIRE-FRAME",
        Replication,
        "A frame proves its length, its kind and its fields before anything is done with it.",
    ),
    rule(
        "WIRE-HELLO",
        Replication,
        "Before any log is asked for, both sides have compared version, database, epoch, parameters, position and history.",
    ),
    rule(
        "WIRE-PORT",
        Replication,
        "Whoever speaks the protocol of clients where replicas are served, or the other way round, is told so at once in words.",
    ),
    rule(
        "WIRE-PULL",
        Replication,
        "Log comes only when it was asked for, once, and in order; anything else is an error.",
    ),
    rule("WIRE-DURABLE", Replication, "A primary serves durable bytes, and no others."),
    rule(
        "WIRE-RAW",
        Replication,
        "Log travels as the bytes of the file, never encoded anew, and no frame holds bytes of two segments.",
    ),
    rule(
        "WIRE-PARK",
        Replication,
        "A fetch at the durable end waits there, costs nothing, and is answered when the end moves.",
    ),
    rule(
        "WIRE-BOUND",
        Replication,
        "What a replica costs its primary is bounded in memory and in each turn, whatever it sends or leaves unread.",
    ),
    rule(
        "REPL-POSITIONS",
        Replication,
        "On a replica applied, validated, received and asked never pass one another; while it runs the first two never go back, and received only to validated.",
    ),
    rule(
        "REPL-WINDOW",
        Replication,
        "What a replica has asked for and not applied is bounded; a slow stage stops those before it.",
    ),
    rule(
        "REPL-SEGMENT",
        Replication,
        "A replica begins a segment where its own proof ended the one before, so its sealed segments are the primary's, byte for byte.",
    ),
    rule(
        "REPL-HALT",
        Replication,
        "The first fault of a replica is the one that counts; a halt is kept over restarts until an order clears it by name.",
    ),
    rule(
        "REPL-RECONNECT",
        Replication,
        "A lost connection is made again only by a stated policy, and each time is counted and shown.",
    ),
    rule(
        "REPL-AFRESH",
        Replication,
        "What a lost connection leaves of a record is dropped before the next handshake, durably and visibly: no record is made of two connections.",
    ),
    rule(
        "REPL-RECOVER",
        Replication,
        "A replica whose Applier failed recovers by itself as often as that gets it further, counted and shown with its cause.",
    ),
    rule(
        "REPL-STATE",
        Replication,
        "What a replica knows of itself is kept in two generations, of which a crash leaves one whole; a log that ends before what it says was applied is refused.",
    ),
    rule(
        "REPL-PROOF",
        Replication,
        "A primary that serves replicas logs each run that it completed, by identity and hash; who has, or makes, another run of that identity stops.",
    ),
    rule(
        "WIRE-SNAPSHOT",
        Bootstrap,
        "Bytes of a snapshot come only when they were asked for, once, in order, and each chunk with its checksum.",
    ),
    rule(
        "WIRE-PROBE",
        Replication,
        "A primary tells which history stands before a position, so that a replica can name where two logs part.",
    ),
    rule(
        "SNAP-CUT",
        Bootstrap,
        "A snapshot holds everything up to its cut and nothing beyond; its log ends at exactly the cut, and goes on there.",
    ),
    rule(
        "SNAP-PIN",
        Bootstrap,
        "What a snapshot is made of is pinned while it is served, within the bound of all that is pinned; what has gone is refused by name.",
    ),
    rule(
        "SNAP-RATE",
        Bootstrap,
        "The stated rate bounds what all snapshots together take of the primary; it paces, and decides nothing.",
    ),
    rule(
        "SNAP-PROVE",
        Bootstrap,
        "A snapshot is written aside and proven chunk by chunk, run by run and as a whole before anything of it counts.",
    ),
    rule(
        "SNAP-INSTALL",
        Bootstrap,
        "One write of the replica's state makes a snapshot count; a crash leaves all of the old data or all of the new.",
    ),
    rule(
        "SNAP-ORDER",
        Bootstrap,
        "A replica discards data, and begins a bootstrap that failed again, only on an order that names the halt it answers.",
    ),
    rule(
        "REPL-PRIMARY",
        Bootstrap,
        "A replica remembers which node it has followed; another one halts it until an order clears that.",
    ),
    rule(
        "RC-INSTALL",
        Bootstrap,
        "A start goes on with an install of a snapshot where a crash stopped it, and removes, and tells, what an unfinished one left aside.",
    ),
    rule(
        "RC-STEPS",
        Bootstrap,
        "Recovery is one machine of ordered steps, each with what it found, proved and dropped; doing it twice changes nothing.",
    ),
    rule("READ-LEAST", Reads, "A read that asks for a commit is answered at that commit or a later one, or refused as behind."),
    rule(
        "READ-HISTORY",
        Reads,
        "A read that names a point of a history is answered from the history that has this point, or refused.",
    ),
    rule(
        "READ-GATE",
        Reads,
        "Whether a read is admitted is decided from published facts by one table of rules, the same for every way to ask.",
    ),
    rule(
        "EXPL-TABLE",
        Reads,
        "An explanation is made of what decided: by the table that decided, or where there is none of what those who decide show; what is missing is undetermined, never inferred.",
    ),
    rule("EXPL-BYTES", Reads, "The same state gives an explanation of the same bytes."),
    rule(
        "A-SECTOR",
        Ground,
        "A crash leaves an aligned sector of 512 bytes as it was or as it was written, never a mixture.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_is_found_by_its_id_and_stands_once() {
        for rule in RULES {
            assert_eq!(lookup(rule.id), Some(rule), "{} stands twice", rule.id);
            assert!(rule.sentence.ends_with('.'), "{} is not a sentence", rule.id);
        }
        assert_eq!(lookup("an id that no rule has"), None);
    }
}
