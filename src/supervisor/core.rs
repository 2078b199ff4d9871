//! The Supervisor without its thread: facts in, what is to be done.
//!
//! Assumes that facts are looked at in the order in which none can have passed another. Promises: the first fault counts, and a halt is
//! kept before anything says so, and shown only when reads have ended with it; the state changes in one place (`course.rs`).

use super::course::Course;
use super::machine::{self, Event, State};
use super::told::Told;
use crate::chunk::Validated;
use crate::error::{Error, Result};
use crate::id::Id;
use crate::observed::Observed;
use crate::position::{LogPoint, Position};
use crate::published::Cell;
use crate::reason::Reason;
use crate::receiver::{Received, machine::State as ReceiverState};
use crate::replica_state::{Halt, StateStore};
use crate::sync::{Arc, planted, seeded};

/// What becomes of a lost connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reconnect {
    /// It stays lost.
    Never,
    /// It is made again after so many seconds, each time.
    After(u32),
}

/// What the components show.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    /// What the Receiver is doing.
    pub receiver: ReceiverState,
    /// What it has received, and from whom.
    pub received: Received,
    /// What is proven.
    pub validated: Validated,
    /// What is applied.
    pub applied: LogPoint,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The Receiver is to connect after so many seconds.
    Connect(u32),
    /// The Receiver is to end, and reads with it: the replica has halted.
    Halt,
    /// The Receiver is to end; what is proven is applied.
    Stop,
}

/// The core of the Supervisor.
pub struct Supervisor {
    course: Course,
    kept: StateStore,
    reconnect: Reconnect,
    /// The applied point is recorded each time that so much more is applied.
    record_bytes: u64,
    /// It has told the Receiver to connect, and the Receiver has not begun yet.
    attempts: Option<u64>,
    faulted: bool,
    /// The fault that ended it in this run.
    fault: Option<Error>,
    /// What it failed at itself.
    own: Option<Error>,
    /// What the fault is to be shown as, once what it asks for is done: who was told of a halt is refused.
    unshown: Option<(Event, String)>,
    told: Arc<Cell<Told>>,
}

impl Supervisor {
    /// Begins with a replica: what is shown of it from here on is what happens.
    #[must_use]
    pub fn begin() -> Course {
        Course::begin()
    }

    /// A Supervisor of a directory that is recovered, and what its replica was halted by, if it was.
    ///
    /// # Errors
    /// Those of the disk.
    ///
    /// # Panics
    /// Where the replica is not shown as recovering.
    pub fn new(
        mut course: Course,
        mut kept: StateStore,
        reconnect: Reconnect,
        record_bytes: u64,
    ) -> Result<Supervisor> {
        assert_eq!(course.state(), State::Recovering, "what is supervised has been recovered");
        // A process that died while it wrote a halt down may have left it in the cache alone. It must outlive the machine from here on: it is
        // shown, and only an operator may clear it.
        if let Some(halt) = kept.state().halt.clone()
            && !planted("a halt that was found is not made durable")
        {
            kept.halt(halt)?;
        }
        let halt = kept.state().halt.clone();
        if let Some(halt) = &halt {
            course.halted(halt);
        }
        let faulted = halt.is_some();
        let told = Arc::new(Cell::new(Told { replica: course.observed().load(), fault: None, halt }));
        let (attempts, fault, own, unshown) = (None, None, None, None);
        Ok(Supervisor { course, kept, reconnect, record_bytes, attempts, faulted, fault, own, unshown, told })
    }

    /// Where it tells of the replica as a whole.
    #[must_use]
    pub fn told(&self) -> Arc<Cell<Told>> {
        Arc::clone(&self.told)
    }

    /// Where it shows the state of the replica.
    #[must_use]
    pub fn observed(&self) -> Arc<Observed<State>> {
        self.course.observed()
    }

    /// The state of the replica.
    #[must_use]
    pub fn state(&self) -> State {
        self.course.state()
    }

    /// What the replica was halted by.
    #[must_use]
    pub fn halt(&self) -> Option<&Halt> {
        self.kept.state().halt.as_ref()
    }

    /// More is known of what halted it. That it halted does not depend on it; nor does what is lost where it can't be kept.
    pub fn tell(&mut self, found: &str) {
        if let Err(error) = self.kept.tell(found) {
            log::error!(target: "replica", code = error.reason().name(); "what was found of the halt is not kept: {error}");
        }
        self.publish();
    }

    /// What it failed at itself: nobody else can say so.
    #[must_use]
    pub fn fault(&self) -> Option<&Error> {
        self.own.as_ref()
    }

    /// Looks at everything, and says what is to be done. The first fault counts; it is kept before anybody is told.
    pub fn look(&mut self, facts: &Facts, fault: Option<&Error>) -> Vec<Action> {
        let Received { received, asked, .. } = facts.received;
        let (validated, applied) = (facts.validated.point.position, facts.applied.position);
        assert!(applied <= validated && validated <= received && received <= asked, "the law of positions: {facts:?}");
        self.acted();
        if self.faulted {
            return Vec::new();
        }
        // Whom it follows stands there before anything that came of it: also before what halts it.
        let followed = self.follow(facts);
        if let Some(fault) = fault {
            return vec![self.end(fault, facts)];
        }
        if let Err(error) = followed.and_then(|()| self.record(facts)) {
            let action = self.end(&error.clone().with("component", "supervisor"), facts);
            self.own = Some(error);
            return vec![action];
        }
        self.show(facts);
        self.connect(facts)
    }

    /// The node that the replica has followed, once it has.
    #[must_use]
    pub fn primary(&self) -> Option<Id> {
        self.kept.state().primary
    }

    /// What the last look asked for is done, which the next look takes for granted: a fault is shown now.
    pub fn acted(&mut self) {
        if let Some((event, why)) = self.unshown.take() {
            self.step(event, Some(why));
        }
    }

    /// The one place from which the course goes on: what is told goes with it.
    fn step(&mut self, event: Event, blocked: Option<String>) {
        self.course.step(event, blocked);
        self.publish();
    }

    fn publish(&self) {
        let (fault, halt) = (self.fault.clone(), self.halt().cloned());
        self.told.update(|_| Told { replica: self.course.observed().load(), fault, halt });
    }

    /// Ends: what is applied is recorded.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn close(&mut self, applied: LogPoint) -> Result<()> {
        let recorded = if self.faulted { Ok(()) } else { self.kept.record_applied(applied) };
        self.acted();
        self.step(Event::Close, None);
        self.own.take().map_or(recorded, Err)
    }

    fn end(&mut self, fault: &Error, facts: &Facts) -> Action {
        self.faulted = true;
        self.fault = Some(fault.clone());
        if fault.reason().halts() {
            let named = fault.fact("position").and_then(|position| position.parse().ok()).map(Position);
            let position = named.unwrap_or(facts.validated.point.position);
            let halt = Halt { reason: fault.reason(), position, evidence: fault.to_string() };
            let kept = if planted("a halt is not kept") { Ok(true) } else { self.kept.halt(halt) };
            match kept {
                Ok(_) => {
                    self.unshown = Some((Event::Halt, fault.to_string()));
                    if seeded("what halted a replica is told before its state") {
                        self.publish();
                    }
                    if seeded("a halt is shown before reads have ended") {
                        self.acted();
                    }
                    return Action::Halt;
                }
                // It is not kept, and said so: reads end all the same.
                Err(error) => {
                    let lost = Error::new(Reason::ReplicationStopped).with("failure", fault).with("not_kept", error);
                    self.own = Some(lost.clone());
                    self.unshown = Some((Event::Fail, lost.to_string()));
                    return Action::Halt;
                }
            }
        }
        self.unshown = Some((Event::Fail, fault.to_string()));
        Action::Stop
    }

    fn follow(&mut self, facts: &Facts) -> Result<()> {
        let primary = facts.received.origin.map(|origin| origin.node_id);
        match primary.filter(|primary| self.kept.state().primary != Some(*primary)) {
            Some(primary) => self.kept.follow(primary),
            None => Ok(()),
        }
    }

    fn record(&mut self, facts: &Facts) -> Result<()> {
        let applied = facts.applied;
        let recorded = self.kept.state().applied.position;
        if applied.position.since(recorded) < self.record_bytes {
            return Ok(());
        }
        self.kept.record_applied(applied)
    }

    /// Shows which stage is behind what the primary named as durable at the handshake.
    fn show(&mut self, facts: &Facts) {
        let validated = facts.validated.point.position;
        let behind = match facts.received.origin.map(|origin| origin.target.position) {
            None => Event::Receive,
            Some(target) if facts.received.received < target => Event::Receive,
            Some(target) if validated < target => Event::Validate,
            Some(target) if facts.applied.position < target => Event::Apply,
            Some(_) => Event::Reach,
        };
        if machine::next(self.course.state(), behind).is_some() {
            self.step(behind, None);
        }
    }

    fn connect(&mut self, facts: &Facts) -> Vec<Action> {
        let attempts = facts.received.attempts;
        if self.attempts == Some(attempts) {
            return Vec::new();
        }
        let after = match (facts.receiver, self.reconnect) {
            (ReceiverState::Idle, _) => 0,
            (ReceiverState::Disconnected, Reconnect::After(seconds)) if !planted("a lost connection stays lost") => {
                seconds
            }
            (ReceiverState::Disconnected, Reconnect::Never | Reconnect::After(_))
            | (
                ReceiverState::Connecting
                | ReceiverState::Handshaking
                | ReceiverState::Streaming
                | ReceiverState::Failed
                | ReceiverState::Closed,
                _,
            ) => return Vec::new(),
        };
        self.attempts = Some(attempts);
        vec![Action::Connect(after)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{Crash, Disk, Fault, SimDisk};
    use crate::id::Id;
    use crate::replica_state::{Origin, ReplicaState};
    use std::path::Path;

    const DIR: &str = "/db";
    /// A Supervisor of a replica that is recovered.
    fn recovered(kept: StateStore) -> Supervisor {
        let mut course = Supervisor::begin();
        course.recovering(None);
        Supervisor::new(course, kept, Reconnect::Never, 1).unwrap()
    }

    const IDS: (Id, Id) = (Id([1; 16]), Id([2; 16]));

    fn kept(disk: &SimDisk) -> StateStore {
        StateStore::open(disk, Path::new(DIR), IDS.0, IDS.1).unwrap()
    }

    /// REPL-HALT, D-FSYNC: a process wrote the halt down and its fsync failed; the next one finds it in the cache and shows it; then the
    /// power fails.
    #[test]
    fn a_halt_that_was_found_outlives_the_machine() {
        let disk = SimDisk::new();
        disk.create_dir(Path::new(DIR)).unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
        let applied = LogPoint::default();
        let state = ReplicaState::new(IDS.0, IDS.1, applied, Origin::Log);
        StateStore::create(&disk, Path::new(DIR), &state).unwrap();
        disk.sync_dir(Path::new(DIR)).unwrap();

        let halt = Halt { reason: Reason::ReplicationGap, position: Position(8), evidence: String::new() };
        let mut first = kept(&disk);
        // It writes and fsyncs the generation that it found, and then the one with the halt.
        disk.fail_operation(disk.operations() + 3, Fault::Eio);
        assert_eq!(first.halt(halt.clone()).unwrap_err().reason(), Reason::DiskSyncFailed);
        drop(first);

        let disk = disk.image().restart();
        let second = recovered(kept(&disk));
        assert_eq!((second.halt(), second.state()), (Some(&halt), State::Halted));
        drop(second);
        assert_eq!(kept(&disk.image().crash(Crash::Dropped, 0)).state().halt, Some(halt));
    }
}
