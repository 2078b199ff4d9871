//! Situations that must occur: a run in which one never did has proven nothing about it.

macro_rules! marks {
    ($($name:ident $sentence:literal)*) => {
        /// A situation.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Mark { $($name,)* }

        impl Mark {
            pub const ALL: &'static [Mark] = &[$(Mark::$name,)*];

            pub fn sentence(self) -> &'static str {
                match self { $(Mark::$name => $sentence,)* }
            }
        }
    };
}

marks! {
    CaughtUp "a replica caught up after faults"
    CaughtUpIdle "a replica is level with a primary that nobody writes to any more"
    CaughtUpEmpty "a replica is level with a primary that nobody ever wrote to"
    PartDropped "a connection was lost within a record, and what had come of it was dropped"
    OtherPartDropped "what a primary left of a record was dropped, before another sent what it has there"
    ResumedParked "a parked fetch went on when the durable end moved"
    WindowFull "a replica asked for nothing more, because its window was full"
    LongRecord "a record was longer than the window"
    ValidatorQueueFull "the queue of the Validator was full"
    ApplierQueueFull "the queue of the Applier was full"
    ApplierWaited "the Applier waited for maintenance"
    ProofCompared "a replica compared the Proofs of runs"
    ProofWaited "a Proof waited for the run of a replica"
    ReplicaRolled "a replica began a segment"
    ReplicaRetired "a replica dropped log"
    ReplicaMerged "a replica merged runs"
    PrimaryRetired "the primary dropped log"
    CrashInReceive "a replica crashed while it received"
    CrashInMaintenance "a replica crashed in maintenance"
    CrashInRecovery "a replica crashed in recovery"
    PrimaryCrashInRecovery "the primary crashed in recovery"
    CommitLost "the primary crashed, and a commit that nobody was told of is gone"
    CommitKept "the primary crashed, and a commit that nobody was told of is there"
    UnprovenDropped "a restart dropped received bytes that do not prove themselves"
    ReceivedProven "a restart proved received bytes that the Validator had not"
    RollFinished "a restart finished a roll that a crash had interrupted"
    DiskFailed "the disk of a replica failed, and it went on after a restart"
    PrimaryDiskFailed "the disk of the primary failed, and it went on after a restart"
    RestartedHalted "a halted replica was started again, and stayed halted"
    HaltKeptOverCrash "a halt outlived a crash"
    FollowedStale "a replica was served by an older copy, and went on with the primary"
    FollowedFork "a replica followed a fork"
    ClosedWell "a replica was closed, and opened again"
    Installed "a replica began with a snapshot"
    InstalledCommits "a replica began with a snapshot that holds runs, and log"
    InstalledOrdered "a snapshot took the place of old data, by order"
    InstalledOther "a replica began with the snapshot of another primary than the true one"
    SnapshotLost "a connection was lost while a snapshot came, and it began again"
    SnapshotMoved "the primary's checkpoint moved on while a snapshot of it was sent"
    SnapshotMerged "the primary merged runs while a snapshot of them was sent"
    SnapshotRetired "the primary dropped log while a snapshot was sent"
    SnapshotUnpinned "the primary crashed while a snapshot was sent"
    CrashInTransfer "a replica crashed while a snapshot came"
    CrashInProof "a replica crashed while a snapshot was proven"
    CrashInInstall "a replica crashed while a snapshot was put in place"
    CrashInSettling "a replica crashed while a start went on with what a bootstrap had left"
    CrashInSettlingAgain "the start behind that crashed as well"
    InstallCounted "a crash in an install had left the snapshot, and it counted"
    InstallForgotten "a crash in an install had left what was there before"
    InstallFailed "the disk failed while a snapshot was put in place"
    StartedIncomplete "a replica that holds nothing yet was started as if it did"
    OrderedOther "an order named another halt than there was, and changed nothing"
    OrderedAgain "an order had come to the halt that it named, and was given again in vain"
    OrderDropped "an order was not given again, and the old data was there"
    Resumed "an operator cleared a halt"
    CrashInResume "a halt was cleared, and the operator's process crashed"
    ResumedReady "a replica whose halt was cleared caught up"
    Mended "a halted replica was given a snapshot, and caught up"
    CountsAgain "what an order had come to was cleared, and the halt of the data counted again"
    HaltInstead "an ordered snapshot ended with a halt of its own, in place of the one that was named"
    ReadNewest "a reader was answered at the newest commit"
    ReadOld "a reader was answered at an old commit"
    ReadAtOnce "a reader was answered at the moment at which a commit was published"
    ReadCutOff "a reader was answered by a replica that has no connection"
    ReadFailed "a reader was answered by a replica that had failed, and had not halted"
    ReadBeyond "a reader was refused what is not applied"
    ReadBelowFloor "a reader was refused what lies below the floor"
    ReadBehind "a reader was refused, because the replica is behind"
    ReadHalted "a reader was refused by a replica that has halted"
    Malformed "halted: protocol.malformed"
    Unexpected "halted: protocol.unexpected"
    Gap "halted: replication.gap"
    NotAsked "halted: replication.not_asked"
    Rejected "halted: segment.rejected"
    Ahead "halted: history.ahead"
    Diverged "halted: history.diverged"
    Retired "halted: history.retired"
    OtherDatabase "halted: identity.other_database"
    OtherEpoch "halted: identity.other_epoch"
    OtherPrimary "halted: identity.other_primary"
    OtherParameters "halted: identity.other_parameters"
    SnapshotRejected "halted: snapshot.rejected"
    SnapshotCutMismatch "halted: snapshot.cut_mismatch"
    SnapshotGone "halted: snapshot.gone"
    SnapshotUnreadable "halted: snapshot.unreadable"
}

/// How often each occurred.
#[derive(Clone)]
pub struct Marks(pub Vec<u64>);

impl Default for Marks {
    fn default() -> Marks {
        Marks(vec![0; Mark::ALL.len()])
    }
}

impl Marks {
    pub fn set(&mut self, mark: Mark) {
        self.0[mark as usize] += 1;
    }

    /// Counts the schedules in which each occurred.
    pub fn add(&mut self, of_one: &Marks) {
        self.0.iter_mut().zip(&of_one.0).for_each(|(sum, one)| *sum += u64::from(*one > 0));
    }

    pub fn missing(&self) -> Vec<&'static str> {
        Mark::ALL.iter().filter(|mark| self.0[**mark as usize] == 0).map(|mark| mark.sentence()).collect()
    }
}
