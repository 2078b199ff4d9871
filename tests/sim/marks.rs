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
    OtherParameters "halted: identity.other_parameters"
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
