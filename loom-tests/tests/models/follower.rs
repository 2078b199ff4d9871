//! A replica's stages without a socket and without a store.
//!
//! The Receiver writes a real log on a simulated disk, and the Validator proves real records: both are the product's, with their threads'
//! bodies. The connection is a script, and its sleep a queue of one wake-up: as with the waker of the operating system one that is pending
//! counts for all. The Applier is a twin that publishes how far it is and keeps nothing.

use aerodb::applier::{Step, worker};
use aerodb::batch::Batch;
use aerodb::chunk::Proven;
use aerodb::commit_id::CommitId;
use aerodb::disk::SimDisk;
use aerodb::error::{Error, Result};
use aerodb::frame::{Frame, Kind as FrameKind, Segment, Shape, VERSION, Welcome};
use aerodb::identity::{Id, Identity, Parameters, Role};
use aerodb::observed::Observed;
use aerodb::position::{LogPoint, Position};
use aerodb::published::Fact;
use aerodb::queue::{self, Sender, bounded};
use aerodb::reason::Reason;
use aerodb::receiver::worker::{Link, Order, Slept};
use aerodb::receiver::{Received, Receiver, machine::State as ReceiverState};
use aerodb::record::{self, HEADER_BYTES, Kind};
use aerodb::recovery::lineage;
use aerodb::replica_state::{Origin, ReplicaState, StateStore};
use aerodb::supervisor::stages::{Shown, Stages, Wake};
use aerodb::supervisor::{Reconnect, Supervisor};
use aerodb::sync::Arc;
use aerodb::validator::Validator;
use aerodb::wal::{FollowedLog, Keeper, LogOptions, LogWriter, open};
use std::collections::VecDeque;
use std::io;
use std::path::Path;

/// Whose directory it is.
pub(crate) fn identity() -> Identity {
    Identity {
        role: Role::Replica,
        database_id: Id([7; 16]),
        node_id: Id([1; 16]),
        epoch: 1,
        parameters: Parameters { segment_bytes: 4096, ..Parameters::default() },
    }
}

/// Where the log begins.
pub(crate) fn genesis() -> LogPoint {
    record::genesis(identity().database_id, identity().epoch)
}

/// So many commits as the primary's log has them: the bytes of each, and the log behind it.
pub(crate) fn commits(count: u64) -> Vec<(Vec<u8>, LogPoint)> {
    let mut end = genesis();
    let commit = |number: u64| {
        let mut batch = Batch::new();
        batch.put(b"key", &number.to_le_bytes()).expect("short");
        let mut bytes = Vec::new();
        end = record::encode(&mut bytes, Kind::Commit, batch.encoded(), end);
        (bytes, end)
    };
    (1..=count).map(commit).collect()
}

/// An empty log on a disk of its own.
pub(crate) fn log(keeper: Keeper) -> LogWriter {
    let options = LogOptions {
        disk: Arc::new(SimDisk::new()),
        directory: Path::new("/wal").to_owned(),
        lineage: lineage(&identity()),
        keeper,
        segment_bytes: 4096,
        extend_bytes: 512,
    };
    LogWriter::create(&options, 3).expect("the disk has no fault");
    open(options, genesis(), &mut |_, _| Ok(())).expect("it was just created").0
}

/// What comes over the connection, as the Receiver's turns see it.
#[derive(Clone)]
pub(crate) enum Comes {
    /// Nothing, once.
    Nothing,
    /// These bytes.
    Bytes(Vec<u8>),
    /// The end of the connection.
    End,
}

/// What a primary sends: that it serves, then each of these pieces of its log, a turn for each.
pub(crate) fn served(log: &[(Vec<u8>, LogPoint)]) -> VecDeque<Comes> {
    let identity = identity();
    let durable = log.last().map_or(genesis(), |(_, end)| *end);
    let welcome = Frame::Welcome(Welcome {
        version: VERSION,
        database_id: identity.database_id,
        node_id: Id([2; 16]),
        epoch: identity.epoch,
        shape: Shape::from(identity.parameters),
        oldest: Position::GENESIS,
        durable,
    });
    let mut from = Position::GENESIS;
    let mut frames = vec![(welcome, &[][..])];
    for (bytes, _) in log {
        let segment = Segment { from, bytes: bytes.len(), ends_segment: false, durable };
        frames.push((Frame::Segment(segment), bytes.as_slice()));
        from = from.after(bytes.len() as u64);
    }
    // HELLO and FETCH go out before what they ask for comes in.
    let framed = frames.into_iter().flat_map(|(frame, log)| {
        let mut bytes = Vec::new();
        frame.encode(&mut bytes);
        bytes.extend_from_slice(log);
        [Comes::Nothing, Comes::Bytes(bytes)]
    });
    framed.collect()
}

/// What the Receiver finds where it would sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finds {
    /// That nobody gives orders any more.
    NoMoreOrders,
    /// That it is to connect again, where the connection was lost; then a sleep that a wake-up ends, until it has introduced itself twice.
    Another,
    /// A sleep that a wake-up ends.
    Sleep,
}

/// The connection.
pub(crate) struct Script {
    comes: VecDeque<Comes>,
    finds: Finds,
    stands: bool,
    refuses: bool,
    introduced: usize,
    orders: Option<Sender<Order>>,
    asleep: queue::Receiver<()>,
    slept: Arc<Fact<bool>>,
}

impl Script {
    /// A connection over which this comes; the orders are what it ends, or gives itself.
    pub(crate) fn new(
        comes: VecDeque<Comes>,
        finds: Finds,
        orders: Option<Sender<Order>>,
        asleep: queue::Receiver<()>,
    ) -> Script {
        let slept = Arc::new(Fact::new(false));
        Script { comes, finds, stands: false, refuses: false, introduced: 0, orders, asleep, slept }
    }

    /// A connection that never comes to stand; who asks for it where nobody may fails.
    pub(crate) fn dead(may_connect: bool, asleep: queue::Receiver<()>) -> Script {
        Script { refuses: !may_connect, ..Script::new(VecDeque::from([Comes::End]), Finds::Sleep, None, asleep) }
    }

    /// Whether the Receiver came to where it sleeps; it may be woken at once.
    pub(crate) fn slept(&self) -> Arc<Fact<bool>> {
        Arc::clone(&self.slept)
    }

    fn over(&mut self) {
        self.orders = None;
    }
}

impl Link for Script {
    fn connect(&mut self) -> io::Result<()> {
        assert!(!self.refuses, "the time that was stated has not passed");
        self.stands = !matches!(self.comes.front(), Some(Comes::End));
        Ok(())
    }

    fn is_connected(&mut self) -> io::Result<bool> {
        Ok(self.stands)
    }

    fn read(&mut self, bytes: &mut [u8]) -> io::Result<Option<usize>> {
        Ok(match self.comes.pop_front() {
            None | Some(Comes::Nothing) => None,
            Some(Comes::End) => Some(0),
            Some(Comes::Bytes(came)) => {
                bytes[..came.len()].copy_from_slice(&came);
                Some(came.len())
            }
        })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<Option<usize>> {
        let (frame, _) = Frame::decode(bytes).expect("frames are sent").expect("whole ones");
        self.introduced += usize::from(frame.kind() == FrameKind::Hello);
        Ok(Some(bytes.len()))
    }

    fn is_readable(&self) -> bool {
        self.stands && !self.comes.is_empty()
    }

    fn close(&mut self) {
        self.stands = false;
    }

    fn sleep(&mut self, _at_most_seconds: Option<u32>) -> io::Result<Slept> {
        match self.finds {
            Finds::NoMoreOrders => self.over(),
            Finds::Another if !self.stands => {
                let orders = self.orders.as_ref().expect("it is not over");
                orders.send(Order::Connect { after_seconds: 0 }).expect("the Receiver asks");
            }
            Finds::Another if self.introduced == 2 => self.over(),
            Finds::Another | Finds::Sleep => {
                self.slept.set(true);
                self.asleep.recv().expect("somebody may still wake it");
            }
        }
        Ok(Slept::UntilWoken)
    }
}

/// Where the Receiver is woken.
pub(crate) struct Bedside(Sender<()>);

impl Wake for Bedside {
    fn wake(&self) {
        let _ = self.0.try_send(());
    }
}

/// Stages of a replica whose threads have not begun, and what they share.
pub(crate) struct Follower {
    pub(crate) receiver: Receiver,
    pub(crate) validator: Validator,
    pub(crate) applier: Twin,
    pub(crate) stages: Arc<Stages<Bedside>>,
    pub(crate) calls: queue::Receiver<()>,
    pub(crate) asleep: queue::Receiver<()>,
}

impl Follower {
    pub(crate) fn new() -> Follower {
        let receiver = Receiver::new(FollowedLog::new(log(Keeper::Follower)), identity());
        let validator = Validator::new(genesis());
        let applied = Arc::new(Fact::new(genesis()));
        let applier = Twin { applied, given: None, point: genesis(), fails_behind: None, closed: 0 };
        let shown = Shown {
            receiver: receiver.observed(),
            received: receiver.received(),
            validated: validator.validated(),
            applied: Arc::clone(&applier.applied),
        };
        let (stages, calls, asleep) = stages(shown);
        Follower { receiver, validator, applier, stages, calls, asleep }
    }
}

/// Stages that are shown here; where the Supervisor is called, and where the Receiver sleeps.
fn stages(shown: Shown) -> (Arc<Stages<Bedside>>, queue::Receiver<()>, queue::Receiver<()>) {
    let ((call, calls), (wake, asleep)) = (bounded(1), bounded(1));
    (Arc::new(Stages::new(shown, call, Bedside(wake))), calls, asleep)
}

/// Stages without components: their facts are the model's to set.
pub(crate) fn bare_stages() -> (Arc<Stages<Bedside>>, queue::Receiver<()>, queue::Receiver<()>) {
    let validated = Validator::new(genesis()).validated();
    stages(Shown {
        receiver: Arc::new(Observed::new("receiver", ReceiverState::Idle)),
        received: Arc::new(Fact::new(Received::default())),
        validated,
        applied: Arc::new(Fact::new(genesis())),
    })
}

/// A Supervisor over a directory of its own.
pub(crate) fn supervisor() -> (Supervisor, SimDisk) {
    let (disk, Identity { database_id, node_id, .. }) = (SimDisk::new(), identity());
    let state = ReplicaState::new(database_id, node_id, genesis(), Origin::Log);
    StateStore::create(&disk, DIRECTORY.as_ref(), &state).expect("the disk has no fault");
    let mut course = Supervisor::begin();
    course.recovering(None);
    let supervisor = Supervisor::new(course, kept(&disk), Reconnect::Never, u64::MAX).expect("the disk has no fault");
    (supervisor, disk)
}

/// What is kept on this disk.
pub(crate) fn kept(disk: &SimDisk) -> StateStore {
    let Identity { database_id, node_id, .. } = identity();
    StateStore::open(disk, DIRECTORY.as_ref(), database_id, node_id).expect("it was made")
}

const DIRECTORY: &str = "/";

/// An Applier that only counts.
pub(crate) struct Twin {
    pub(crate) applied: Arc<Fact<LogPoint>>,
    given: Option<Proven>,
    point: LogPoint,
    /// What comes behind this commit it can't apply.
    pub(crate) fails_behind: Option<CommitId>,
    pub(crate) closed: usize,
}

impl worker::Core for &mut Twin {
    fn give(&mut self, proven: Proven) {
        assert!(self.given.is_none() && proven.before == self.point, "what is proven comes once, in order");
        self.given = Some(proven);
    }

    fn step(&mut self) -> Result<Step> {
        let proven = self.given.take().expect("it was given something");
        for record in proven.records_from(self.point) {
            if self.fails_behind == Some(self.point.commit) {
                return Err(Error::new(Reason::DiskWriteFailed));
            }
            assert_eq!(record.after.commit, self.point.commit.next(), "each commit is applied once, in order");
            self.point = record.after;
            self.applied.set(self.point);
        }
        Ok(Step::Done)
    }

    fn wait_for_room(&mut self) {
        unreachable!("there is always room");
    }

    fn close(&mut self) {
        self.closed += 1;
    }
}

/// How many commits lie before a position.
pub(crate) fn count(position: Position) -> u64 {
    let log = commits(3);
    let mut before = log.iter().filter(|(_, end)| end.position <= position);
    before.next_back().map_or(0, |(_, LogPoint { commit: CommitId(commit), .. })| *commit)
}

/// Three commits in two pieces, the last of which does not prove itself.
pub(crate) fn corrupted() -> Vec<(Vec<u8>, LogPoint)> {
    let mut log = commits(3);
    let (mut bytes, end) = log.pop().expect("there are three");
    bytes[HEADER_BYTES] ^= 1;
    let second = log.last_mut().expect("there are two before it");
    second.0.extend_from_slice(&bytes);
    second.1 = end;
    log
}
