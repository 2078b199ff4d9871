//! The registry of reasons: why something was refused, stopped or failed.
//!
//! One table. From it come the number (which is also the exit status), the stable name, the sentence, the remedy and the
//! retry class, for the library, the command line and every protocol. A number or name is never used again for another
//! thing. `docs/reasons.md` holds the same table; a test compares the two, and another provokes each reason.

use std::fmt;

/// What a caller may do after a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// The same request will be refused again: change it.
    Change,
    /// The same request may succeed later.
    Later,
    /// The process must be started again first.
    Restart,
    /// A person must look first.
    Operator,
}

impl fmt::Display for Retry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Retry::Change => "change",
            Retry::Later => "later",
            Retry::Restart => "restart",
            Retry::Operator => "operator",
        })
    }
}

impl Reason {
    /// Whether it halts a replica: a fact contradicts what must hold, and stays one over restarts (REPL-HALT). After any other failure a
    /// restart may help.
    #[must_use]
    pub fn halts(self) -> bool {
        matches!(
            self,
            Reason::ProtocolMalformed
                | Reason::ProtocolUnexpected
                | Reason::ReplicationGap
                | Reason::ReplicationNotAsked
                | Reason::SegmentRejected
                | Reason::HistoryAhead
                | Reason::HistoryDiverged
                | Reason::HistoryRetired
                | Reason::IdentityOtherDatabase
                | Reason::IdentityOtherEpoch
                | Reason::IdentityOtherParameters
                | Reason::IdentityOtherPrimary
                | Reason::StateDiverged
                | Reason::SnapshotGone
                | Reason::SnapshotRejected
                | Reason::SnapshotCutMismatch
                | Reason::SnapshotUnreadable
        )
    }
}

macro_rules! reasons {
    ($($variant:ident $number:literal $name:literal $retry:ident $sentence:literal $remedy:literal)*) => {
        /// Why something was refused, stopped or failed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Reason {
            $(#[doc = concat!("`", $name, "`: ", $sentence)] $variant = $number,)*
        }

        impl Reason {
            /// Every reason, in the order of their numbers.
            pub const ALL: &'static [Reason] = &[$(Reason::$variant,)*];

            /// The stable number; also the exit status of the command that ends with it.
            #[must_use]
            pub fn number(self) -> u8 {
                match self { $(Reason::$variant => $number,)* }
            }

            /// The stable name that programs match on.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Reason::$variant => $name,)* }
            }

            /// What happened, in one sentence.
            #[must_use]
            pub fn sentence(self) -> &'static str {
                match self { $(Reason::$variant => $sentence,)* }
            }

            /// What to do about it.
            #[must_use]
            pub fn remedy(self) -> &'static str {
                match self { $(Reason::$variant => $remedy,)* }
            }

            /// Whether trying again can help.
            #[must_use]
            pub fn retry(self) -> Retry {
                match self { $(Reason::$variant => Retry::$retry,)* }
            }
        }
    };
}

reasons! {
    CliUsage 2 "cli.usage" Change
        "The command line is not understood."
        "Run the command with --help."
    CliInput 3 "cli.input" Change
        "A key, value or number on the command line cannot be read."
        "Give what is shown as expected. Keys and values have the escapes \\n \\t \\\\ \\xHH; a file that was named must be readable."
    CliOutput 4 "cli.output" Later
        "The output could not be written."
        "Check where standard output goes."
    DemoFailed 5 "demo.failed" Operator
        "The demo did not find what it promised to show."
        "Report it, with what was expected and what was found."
    DirNotFound 10 "dir.not_found" Change
        "There is no AeroDB directory here."
        "Check the path, or create the directory with `aerodb init`."
    DirNotEmpty 11 "dir.not_empty" Change
        "The directory holds files already; nothing is overwritten."
        "Choose a new or empty directory."
    DirLocked 12 "dir.locked" Later
        "Another process has this directory open."
        "Stop that process, or use its client commands. A crash never leaves the lock behind."
    IdentityCorrupt 13 "identity.corrupt" Operator
        "The identity file does not verify."
        "Restore the directory from a backup; the identity is not guessed."
    IdentityVersion 14 "identity.version" Operator
        "A file was written in a format version that this program does not know."
        "Open the directory with the version of AeroDB that wrote it, or a later one."
    IdentityOtherRole 15 "identity.other_role" Change
        "The directory belongs to a node of another role."
        "Start it under the role it was initialised with; a role never changes."
    IdentityOtherDatabase 16 "identity.other_database" Operator
        "The file or directory belongs to another database."
        "Check which directory was meant; files of two databases must not be mixed."
    IdentityOtherNode 17 "identity.other_node" Operator
        "The directory belongs to another node."
        "Check which directory was meant."
    IdentityOtherParameters 18 "identity.other_parameters" Change
        "The directory was made with other parameters than those that were given."
        "Leave the setting out, or give the value that is shown; the parameters of a directory never change."
    RoleNotWriter 19 "role.not_writer" Change
        "This node is a replica: it makes no history of its own."
        "Send the write to the primary."
    RoleCompiledOut 20 "role.compiled_out" Change
        "This build has no replication: it knows the role standalone only."
        "Use a build with the feature `replication`."
    ConfigInvalid 21 "config.invalid" Change
        "A parameter is outside its limits."
        "Choose a value within the limits that are shown."
    ConfigUnknown 22 "config.unknown" Change
        "The configuration names something that is no setting."
        "Correct or remove the name; docs/config.md and `aerodb serve --help` list the settings."
    ConfigMalformed 23 "config.malformed" Change
        "A setting or the configuration file cannot be read."
        "Correct the value at the place that is shown."
    ConfigMissing 24 "config.missing" Change
        "A setting that is needed was not given."
        "Give it as a flag, in the environment or in the configuration file."
    ConfigNoAuthentication 26 "config.no_authentication" Change
        "The address can be reached by others, and there is no authentication yet."
        "Listen on loopback, or say that you want this with --allow-remote-without-authentication."
    ProcessFileLimit 27 "process.file_limit" Operator
        "The process may not open as many files as this configuration needs."
        "Raise the limit of open files (LimitNOFILE=, ulimit -n), or lower max-clients."
    ClientTooMany 28 "client.too_many" Later
        "As many clients are connected as may be."
        "Close connections that nobody uses, or raise max-clients."
    ClientMalformed 29 "client.malformed" Change
        "What a client sent is no request; its connection was closed."
        "Check which program connects to this address: it takes RESP, and --http is for browsers."
    DiskReadFailed 30 "disk.read_failed" Operator
        "The operating system could not read a file."
        "Check the path, the permissions and the device; nothing was changed."
    DiskWriteFailed 31 "disk.write_failed" Restart
        "The operating system could not write a file. Its owner stopped for good."
        "Check the device, then start the node again; what was acknowledged is kept."
    DiskSyncFailed 32 "disk.sync_failed" Restart
        "The operating system could not make a file durable. Its owner stopped for good; a failed fsync is never retried."
        "Check the device, then start the node again; what was acknowledged is kept."
    DiskFull 33 "disk.full" Restart
        "The file system is full. The owner of the file stopped for good."
        "Make room, then start the node again; what was acknowledged is kept."
    DiskNameFailed 34 "disk.name_failed" Operator
        "The operating system could not create, rename, list or remove a file or directory."
        "Check the path, the permissions and the device."
    DiskHandlesExhausted 35 "disk.handles_exhausted" Restart
        "The operating system opens no further file for this process. If a node opened it for writing, that has stopped for good."
        "Raise the limit of open files (`ulimit -n`), then start the node again; what was acknowledged is kept."
    DiskNoRoom 36 "disk.no_room" Operator
        "The file system has less free space than a node needs to start."
        "Make room, or move the directory; nothing was changed."
    WalCorrupt 40 "wal.corrupt" Operator
        "A record of the log that may have been acknowledged does not verify."
        "Keep the directory as it is for examination, and restore from a backup or a replica."
    WalTruncated 41 "wal.truncated" Operator
        "A log file is shorter than what was durably written to it."
        "Keep the directory as it is for examination, and restore from a backup or a replica."
    WalMarkCorrupt 42 "wal.mark_corrupt" Operator
        "The file wal/MARK, which says how far the log is durable, is missing or does not verify."
        "Keep the directory as it is for examination, and restore from a backup or a replica."
    WalSegmentMissing 43 "wal.segment_missing" Operator
        "A segment of the log is missing."
        "Put the file back, or restore from a backup or a replica."
    WalSegmentCorrupt 44 "wal.segment_corrupt" Operator
        "The header of a log segment does not verify."
        "Keep the directory as it is for examination, and restore from a backup or a replica."
    WalBehindCheckpoint 45 "wal.behind_checkpoint" Operator
        "The log ends before the checkpoint of the store."
        "Log and store are not of one moment: restore both from one backup."
    WalRetired 46 "wal.retired" Change
        "This part of the log was dropped by retention."
        "Begin at the oldest position that is kept."
    WalBeyondEnd 47 "wal.beyond_end" Change
        "This position lies behind the end of the log, or not at a record."
        "Begin at a position that a record starts at."
    WalMarkBehind 48 "wal.mark_behind" Operator
        "The file wal/MARK is older than the log beside it."
        "Put files of one moment together, or restore from a backup or a replica; nothing was removed."
    StoreManifestCorrupt 50 "store.manifest_corrupt" Operator
        "The manifest of the store is missing or does not verify."
        "Keep the directory as it is for examination, and restore from a backup or a replica."
    StoreRunMissing 51 "store.run_missing" Operator
        "A run that the manifest names is missing."
        "Put the file back, or restore from a backup or a replica."
    StoreRunCorrupt 52 "store.run_corrupt" Operator
        "A run is not the file that the manifest describes."
        "Keep the directory as it is for examination, and restore from a backup or a replica."
    StoreBlockCorrupt 53 "store.block_corrupt" Operator
        "A block of a run does not verify. The node has stopped."
        "Keep the directory as it is for examination, and restore from a backup or a replica."
    StoreOtherLog 54 "store.other_log" Operator
        "The checkpoint of the store was made on another history than this log."
        "Log and store are not of one moment: restore both from one backup."
    StoreRunTooLarge 55 "store.run_too_large" Operator
        "A merge would make a run whose top index is longer than the limit. Writing has stopped; what is there can be read."
        "Make a database with larger blocks, or with shorter keys, and copy the rows."
    BatchEmpty 60 "batch.empty" Change
        "A commit without operations was refused."
        "Put at least one operation into the batch."
    BatchKeyTooLong 61 "batch.key_too_long" Change
        "The key is longer than the limit."
        "Use a shorter key."
    BatchValueTooLong 62 "batch.value_too_long" Change
        "The value is longer than the limit."
        "Split the value, or keep it elsewhere and store a reference."
    BatchTooLarge 63 "batch.too_large" Change
        "The batch has more operations or bytes than one commit may have."
        "Split the batch."
    BatchMalformed 64 "batch.malformed" Change
        "The bytes are not a batch."
        "Encode the batch as docs/formats.md says."
    CommitUnknown 65 "commit.unknown" Restart
        "The outcome of the commit is not known: it may or may not be there after the restart."
        "Start the node again, then read what the commit wrote."
    CommitStopped 66 "commit.stopped" Restart
        "Writing has stopped on this node after an earlier failure; this commit was not made."
        "See the failure that is named, remove its cause, and start the node again."
    DatabaseClosed 67 "database.closed" Restart
        "The database was closed."
        "Open it again."
    ProcessThreadFailed 68 "process.thread_failed" Later
        "The operating system gave no further thread."
        "Raise the limit of threads or memory of this process."
    ComponentPanicked 69 "component.panicked" Restart
        "A component of the node failed an assertion of its own and ended."
        "Start the node again, and report the assertion that is shown."
    ViewBelowFloor 70 "view.below_floor" Change
        "The view lies below the floor: older versions may be gone."
        "Read at the floor or above it."
    ViewBeyondApplied 71 "view.beyond_applied" Later
        "The view lies beyond the last commit that can be read here."
        "Read at a commit that has been made, or wait for it."
    ViewRevoked 72 "view.revoked" Change
        "The view was held so long that what it pins passed the limit; it can no longer be read."
        "Take a new view, or raise the limit of pinned bytes."
    FloorRefused 73 "floor.refused" Change
        "The floor only rises, and never beyond the last commit."
        "Choose a CommitId above the floor and not beyond the last commit."
    RangeInvalid 74 "range.invalid" Change
        "The range has no limit, one that is too large, or ends before it begins."
        "Give a limit within the bounds, and the smaller key first."
    KeyAbsent 75 "key.absent" Change
        "The key has no value at this commit."
        "Nothing is wrong: the key was never written, or was deleted."
    CursorUnknown 76 "cursor.unknown" Change
        "The cursor of a scan is not known here: it is from another server or process, or so many scans began since that it was dropped."
        "Begin the scan again with cursor 0."
    ReplyTooLarge 77 "reply.too_large" Later
        "The reply does not fit into the memory for replies that wait for the committer; nothing was written."
        "Ask for less in one transaction, or again when less is under way."
    DecisionTooLarge 78 "decision.too_large" Change
        "The command or transaction looks up more keys, or larger values, than one decision may; nothing was written."
        "Split it, or read outside of the transaction."
    ReadHistoryUnknown 79 "read.history_unknown" Change
        "Whether this node's history is the one that the client knows can't be told: the log there is no longer kept, or can't be read."
        "Name a later point, or read without naming one."
    BackupExists 80 "backup.exists" Change
        "The place for the backup exists already; nothing is overwritten."
        "Choose a path that does not exist."
    BackupIncomplete 81 "backup.incomplete" Change
        "This is not a complete backup."
        "Use a backup that ended successfully."
    BackupCorrupt 82 "backup.corrupt" Operator
        "A file of the backup is not the one that was backed up."
        "Use another backup."
    BackupNotDatabase 83 "backup.not_a_database" Change
        "This is a backup, not a database."
        "Restore it into a new directory with `aerodb restore`."
    BackupInside 84 "backup.inside" Change
        "One of the two directories would lie inside the other."
        "Choose a path outside."
    SnapshotGone 85 "snapshot.gone" Operator
        "The primary no longer holds what the snapshot was made of: its runs were merged away, or the log behind its cut was dropped."
        "Let the primary keep more (retention, pinned bytes), then order another snapshot with --rebootstrap and the halt that is shown."
    SnapshotRejected 86 "snapshot.rejected" Operator
        "A snapshot that was received does not prove itself. Nothing of it was installed."
        "Verify the primary with `aerodb verify`, check the network, then order another one with --rebootstrap and the halt that is shown."
    SnapshotCutMismatch 87 "snapshot.cut_mismatch" Operator
        "The cut of a snapshot is not the point at which its log ends."
        "Verify the primary with `aerodb verify`, then order another snapshot with --rebootstrap and the halt that is shown."
    BootstrapIncomplete 88 "bootstrap.incomplete" Change
        "The directory is that of a replica whose bootstrap is not complete: there is no data in it yet."
        "Start it with `aerodb replica --bootstrap snapshot`."
    ReadBootstrapping 89 "read.bootstrapping" Later
        "This node is fetching a snapshot: there is nothing to read yet."
        "Wait: INFO shows how far it is. Or read from the primary."
    ReadRecovering 90 "read.recovering" Later
        "This node is proving and replaying what its directory holds: there is nothing to read yet."
        "Wait: INFO shows how far it is. Or read from the primary."
    ReadAuthorityUnknown 91 "read.authority_unknown" Operator
        "Whose directory this is can't be told, so nothing is read from it."
        "See what the identity file was refused with; restore the directory from a backup."
    ServerListenFailed 92 "server.listen_failed" Later
        "The operating system refused the server its address or a socket."
        "Stop what has the address, or listen on another."
    ServerUnreachable 93 "server.unreachable" Later
        "The server could not be reached, or ended the connection."
        "Check the address and whether a server listens there, then try again."
    ServerRefused 94 "server.refused" Change
        "The server refused the request."
        "See what it told; check that the address is that of an AeroDB server."
    ServerNotUnderstood 95 "server.not_understood" Change
        "What answered is not what a server of this version would answer."
        "Check that the address is that of an AeroDB server, of this version."
    ClientMemory 96 "client.memory" Later
        "The buffers of all connections held too much, and this connection held most of it."
        "Read replies as they come, ask for less at a time, or raise client-memory."
    ServerPollFailed 97 "server.poll_failed" Restart
        "The operating system no longer tells the server which connections are ready. The server has ended."
        "Start the node again: what was acknowledged is kept. Report the error that is shown."
    SnapshotUnreadable 98 "snapshot.unreadable" Operator
        "The primary could not read its own files while it sent a snapshot of them."
        "Verify the primary with `aerodb verify` and mend what that names, then order another snapshot with --rebootstrap and the halt that is shown."
    HaltAnswered 99 "halt.answered" Operator
        "The order that names this halt was carried out, and came to the same halt again."
        "Remove the cause, clear the halt with `aerodb resume DIR --clear CODE@POSITION`, and order again by the halt that counts then, if there is one."
    ProtocolMalformed 100 "protocol.malformed" Operator
        "A frame of a replication connection does not verify."
        "Check the network between the two nodes, and that both ends of it are AeroDB."
    ProtocolOtherPort 101 "protocol.other_port" Change
        "The two ends of the connection speak different protocols: clients and replicas have ports of their own."
        "Let clients connect to the address of --listen, and replicas to that of the primary's --replication."
    ProtocolVersion 102 "protocol.version" Change
        "The two nodes have no version of the replication protocol in common."
        "Run versions of AeroDB on both nodes that follow each other."
    ReplicationUnreachable 103 "replication.unreachable" Later
        "The primary cannot be reached."
        "Check the address, and that the primary runs with --replication."
    ReplicationDisconnected 104 "replication.disconnected" Later
        "The connection to the primary ended. What was proven stays; replication waits."
        "Check the primary and the network; the replica connects again as --reconnect says."
    ReplicationGap 105 "replication.gap" Operator
        "Log arrived that does not continue what was received. It was rejected; the replica halted."
        "Find out what stands between the two nodes, then clear the halt with `aerodb resume`."
    ReplicationNotAsked 106 "replication.not_asked" Operator
        "Log arrived that was not asked for, or arrived before. It was rejected; the replica halted."
        "Find out what stands between the two nodes, then clear the halt with `aerodb resume`."
    SegmentRejected 107 "segment.rejected" Operator
        "Log that was received does not prove itself. Nothing of it was applied; the replica halted."
        "Verify the primary with `aerodb verify`, check the network, then clear the halt with `aerodb resume`."
    HistoryAhead 108 "history.ahead" Operator
        "The replica holds log that the primary does not have: the primary is stale, restored, or another one."
        "Find out which node is right before anything is cleared; nothing was changed."
    HistoryDiverged 109 "history.diverged" Operator
        "Two logs of this database differ: each holds what the other does not."
        "`aerodb compare` shows where they part; find out which node is right before anything is cleared; nothing is healed."
    HistoryRetired 110 "history.retired" Operator
        "The primary has dropped the log that the replica needs next."
        "Let the primary keep more log, then order a snapshot with --rebootstrap and the halt that is shown; the old data is replaced by it."
    IdentityOtherEpoch 111 "identity.other_epoch" Operator
        "The log belongs to another epoch of this database."
        "Find out which epoch counts; a node never moves to another by itself."
    ReplicaStateCorrupt 112 "replica.state_corrupt" Operator
        "The file that holds what a replica knows of itself does not verify."
        "Keep the directory as it is for examination, and begin the replica again in a new one."
    ReplicaLogLost 113 "replica.log_lost" Operator
        "The log ends before what this replica had applied."
        "Keep the directory as it is for examination, and begin the replica again in a new one."
    ReplicaHalted 114 "replica.halted" Operator
        "This replica has halted; a halt that is named is kept over restarts."
        "Remove the cause, then clear the halt that is named with `aerodb resume DIR --clear CODE@POSITION`; where none is named, start the node again."
    HaltOther 115 "halt.other" Change
        "The replica is not halted by what was named."
        "Name the halt that is shown, as CODE@POSITION."
    BootstrapRequired 117 "bootstrap.required" Change
        "The directory is new, and no policy says how it may be filled."
        "Say --bootstrap snapshot to begin with a snapshot, --bootstrap log to fetch the whole log, or name the directory of a replica."
    ReplicationBusy 118 "replication.busy" Later
        "The primary serves as many replicas as it may."
        "Wait until another replica has gone."
    StateDiverged 119 "state.diverged" Operator
        "Two nodes with the same log have different runs of one identity."
        "Keep both directories for examination, verify both, and begin the replica again in a new directory."
    ReplicationStopped 120 "replication.stopped" Restart
        "Replication has stopped after a failure of this node."
        "See the failure that is named, remove its cause, and start the replica again."
    ProtocolUnexpected 121 "protocol.unexpected" Operator
        "A frame arrived that the replication protocol does not allow at this point."
        "Check that both nodes run a released version; report the frame that is shown."
    IdentityOtherPrimary 122 "identity.other_primary" Operator
        "Another node serves this log than the one that this replica has followed."
        "Find out which of the two is the primary; to follow this one from here on, clear the halt with `aerodb resume`."
    ReadBehind 123 "read.behind" Later
        "This node has not applied as much as the read asks for."
        "Wait for it (WAIT, AERO.WAITFOR), read from the primary, or ask for less."
    ReadOtherHistory 124 "read.other_history" Operator
        "The history of this node is not the one that the client knows: what the client has seen is not part of it."
        "Find out which node is right with `aerodb compare`; to read from this history all the same, forget the point."
    ReadUnproven 125 "read.unproven" Operator
        "What is applied here is not proven to be the primary's."
        "Stop the node and verify its directory with `aerodb verify`; report this, with what is shown."
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_are_unique_and_ordered() {
        for pair in Reason::ALL.windows(2) {
            assert!(pair[0].number() < pair[1].number(), "{} before {}", pair[0], pair[1]);
        }
        for (index, reason) in Reason::ALL.iter().enumerate() {
            assert!(Reason::ALL[..index].iter().all(|other| other.name() != reason.name()), "{reason} stands twice");
            assert!(reason.number() < 126, "a shell uses the exit statuses from 126 on for itself");
        }
    }
}
