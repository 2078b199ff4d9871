//! The committer without its thread: a group of orders in, an answer for each out.
//!
//! Assumes that it alone owns the log and the applier. Promises: an order is answered with `Ok` only after its record is durable and
//! applied; orders take effect in the order in which they stand; an order that is refused leaves no record.

use super::decision::{Decision, Latest, Pending};
use super::machine::{self, Event, State};
use crate::batch::Batch;
use crate::commit_id::CommitId;
use crate::error::{Error, Result};
use crate::limits;
use crate::observed::Observed;
use crate::position::{LogPoint, Position};
use crate::published::Fact;
use crate::reason::Reason;
use crate::record::{Content, Kind, Purpose, Record};
use crate::store::{Applier, Store};
use crate::sync::{Arc, seeded};
use crate::wal::{Extent, LogWriter, Pushed};
use std::cell::OnceCell;

/// What a caller asks the writer to put into the log.
#[derive(Clone, Debug)]
pub enum Order {
    /// A commit.
    Commit(Batch),
    /// A commit, or none, as it is decided when it is the order's turn.
    Decide(Decision),
    /// A new floor.
    Floor(CommitId),
    /// The table is sealed here.
    Cut(Purpose),
}

impl Order {
    /// The bytes that it brings with it.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Order::Commit(batch) => batch.encoded().len(),
            Order::Decide(decision) => decision.bytes(),
            Order::Floor(_) | Order::Cut(_) => 0,
        }
    }
}

/// How much of the log is kept behind the checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retention {
    /// All of it.
    All,
    /// At least so many bytes before the durable end.
    Bytes(u64),
}

/// What stands before an order in its group.
#[derive(Default)]
struct Ahead<'a> {
    /// Batches that no decision has asked for yet: a group without decisions looks at none.
    batches: Vec<&'a Batch>,
    pending: Pending<'a>,
    floor: Option<CommitId>,
}

/// An order in its place.
struct Placed<'a> {
    /// Its record; none if it was decided to commit nothing. A refusal may rest on what stands before it, and is held back with it.
    record: Result<Option<(Pushed, Content<'a>)>>,
    /// It is answered once the log is durable up to here.
    until: LogPoint,
}

/// The core of the committer.
pub struct Committer {
    log: LogWriter,
    applier: Applier,
    retention: Retention,
    state: State,
    observed: Arc<Observed<State>>,
    extent: Arc<Fact<Extent>>,
}

impl Committer {
    /// A committer that goes on where log and applier end.
    #[must_use]
    pub fn new(log: LogWriter, applier: Applier, retention: Retention) -> Committer {
        let extent = Arc::new(Fact::new(log.extent()));
        let observed = Arc::new(Observed::new("committer", State::Idle));
        Committer { log, applier, retention, state: State::Idle, observed, extent }
    }

    /// Where it shows its state.
    #[must_use]
    pub fn observed(&self) -> Arc<Observed<State>> {
        Arc::clone(&self.observed)
    }

    /// Where it shows how far the log reaches.
    #[must_use]
    pub fn extent(&self) -> Arc<Fact<Extent>> {
        Arc::clone(&self.extent)
    }

    /// The log.
    #[must_use]
    pub fn log(&self) -> &LogWriter {
        &self.log
    }

    /// The store that it applies to.
    #[must_use]
    pub fn store(&self) -> &Arc<Store> {
        self.applier.store()
    }

    /// The only place where the state changes: an edge that the machine does not have is our own mistake.
    fn step(&mut self, event: Event, blocked: Option<String>) {
        let next = machine::next(self.state, event);
        assert!(next.is_some(), "the committer has no edge {event} from {}", self.state);
        if let Some(next) = next {
            self.state = next;
            self.observed.transition(next, event.name(), blocked);
        }
    }

    /// Makes a group of orders durable, applies it, and answers each. The group ends with the order that seals a table: there is
    /// room for one. (For two, where the `Seal` before the order seals another.) It also ends with the order whose records bring it to its
    /// bound: what decisions will put into it nobody knows before. The orders behind it are left for the next group, without an answer.
    pub fn group(&mut self, orders: &[Order]) -> Vec<Result<LogPoint>> {
        if let Some(fault) = self.store().write_fault() {
            self.fail(&fault);
            return orders.iter().map(|_| Err(stopped(&fault))).collect();
        }
        self.step(Event::Taken, None);
        // A place for what each decision decides, so that what follows in the group can read it.
        let decided: Vec<_> = orders.iter().map(|_| OnceCell::new()).collect();
        let (mut ahead, mut group) = (Ahead::default(), Vec::new());
        // Counted from here and not from the durable end, which moves with every segment: what was decided stays in memory.
        let full = self.log.appended().position.after(limits::GROUP_BYTES_MAX as u64);
        for (order, decided) in orders.iter().zip(&decided) {
            let placed = self.place(order, decided, &mut ahead);
            let seals = placed.as_ref().is_ok_and(|placed| self.seals(placed));
            group.push(placed);
            if seals || self.log.appended().position >= full {
                break;
            }
        }
        let answers = self.finish(group);
        if self.state == State::Idle && orders.iter().take(answers.len()).any(|order| matches!(order, Order::Cut(_))) {
            // A failure has stopped the committer; whoever waits for the checkpoint learns of it there.
            let _ = self.settle();
        }
        answers
    }

    /// Makes what was placed durable, applies it, and answers it.
    fn finish(&mut self, group: Vec<Result<Placed<'_>>>) -> Vec<Result<LogPoint>> {
        let synced = self.log.sync();
        let durable = self.log.durable();
        let failure = self.log.fault().cloned();
        // Before anybody is told: whoever waits for the end of the log to move looks here (WIRE-PARK).
        let early = !seeded("the log's extent is shown after its commits are published");
        if early {
            self.extent.set(self.log.extent());
        }
        let answers = group.into_iter().map(|placed| {
            let placed = placed?;
            if placed.until.position <= durable.position {
                return self.apply(&placed).map(|()| placed.until);
            }
            let unknown = Error::new(Reason::CommitUnknown).with("position", placed.until.position);
            Err(match &failure {
                Some(failure) => unknown.with("failure", failure),
                None => unknown,
            })
        });
        let answers: Vec<_> = answers.collect();
        self.applier.publish();
        if !early {
            self.extent.set(self.log.extent());
        }
        match (synced, failure) {
            (Ok(_), None) => self.step(Event::Durable, None),
            (Err(error), None) | (_, Some(error)) => self.fail(&error),
        }
        answers
    }

    /// Logs the Proofs that are owed, in a group of their own; says whether there are more of them. The group ends with the one that seals
    /// a table. (REPL-PROOF)
    pub fn prove(&mut self) -> bool {
        // What has stopped maintenance stops the next group, and is told there.
        if self.state != State::Idle || self.store().write_fault().is_some() {
            return false;
        }
        let owed = self.store().owed();
        if owed.is_empty() {
            return false;
        }
        self.step(Event::Taken, None);
        let mut group = Vec::new();
        for proof in owed {
            let placed = self.push(Kind::Proof, &proof.payload(), Content::Proof(proof));
            let ends = placed.as_ref().map_or(true, |placed| self.seals(placed));
            group.push(placed);
            if ends {
                break;
            }
        }
        // Nobody waits for them: what refuses one of them is a failure like any other.
        if let Some(Err(failure)) = self.finish(group).into_iter().find(Result::is_err) {
            self.fail(&failure);
        }
        self.state == State::Idle && !self.store().owed().is_empty()
    }

    /// Gives an order its place in the log.
    fn place<'a>(
        &mut self,
        order: &'a Order,
        decided: &'a OnceCell<Batch>,
        ahead: &mut Ahead<'a>,
    ) -> Result<Placed<'a>> {
        match order {
            Order::Commit(batch) => self.place_batch(batch, ahead),
            Order::Decide(decision) => match self.decide(decision, ahead) {
                Ok(Some(batch)) => self.place_batch(decided.get_or_init(|| batch), ahead),
                Ok(None) => Ok(Placed { record: Ok(None), until: self.log.appended() }),
                Err(refusal) => Ok(Placed { record: Err(refusal), until: self.log.appended() }),
            },
            Order::Floor(to) => {
                self.applier.check_floor(*to)?;
                if ahead.floor.is_some_and(|earlier| *to <= earlier) {
                    let refusal = Error::new(Reason::FloorRefused).with("asked", to);
                    return Ok(Placed { record: Err(refusal), until: self.log.appended() });
                }
                ahead.floor = Some(*to);
                self.push(Kind::Floor, &to.0.to_le_bytes(), Content::Floor(*to))
            }
            Order::Cut(purpose) => self.push(Kind::Cut, &purpose.payload(), Content::Cut(*purpose)),
        }
    }

    /// Whether a table is sealed behind it, or before it by the `Seal` of a segment.
    fn seals(&self, placed: &Placed<'_>) -> bool {
        placed.record.as_ref().ok().and_then(Option::as_ref).is_some_and(|(pushed, content)| {
            let from = pushed.seal.map_or(pushed.before, |(before, _)| before);
            matches!(content, Content::Cut(_)) || self.applier.crosses(from.position, pushed.after.position)
        })
    }

    fn place_batch<'a>(&mut self, batch: &'a Batch, ahead: &mut Ahead<'a>) -> Result<Placed<'a>> {
        batch.check()?;
        let placed = self.push(Kind::Commit, batch.encoded(), Content::Commit(batch.operations()))?;
        ahead.batches.push(batch);
        Ok(placed)
    }

    /// Decides, on everything that stands before the decision.
    fn decide<'a>(&self, decision: &Decision, ahead: &mut Ahead<'a>) -> Result<Option<Batch>> {
        for batch in ahead.batches.drain(..) {
            ahead.pending.add(batch);
        }
        decision.decide(&Latest {
            store: self.store(),
            state: self.store().state(),
            applied: self.applier.point().commit,
            pending: &ahead.pending,
            commit: self.log.appended().commit,
        })
    }

    fn push<'a>(&mut self, kind: Kind, payload: &[u8], content: Content<'a>) -> Result<Placed<'a>> {
        let told = |failure: &Error| failure.reason() == Reason::CommitStopped;
        let pushed =
            self.log.push(kind, payload).map_err(|error| if told(&error) { error } else { stopped(&error) })?;
        Ok(Placed { record: Ok(Some((pushed, content))), until: pushed.after })
    }

    fn apply(&mut self, placed: &Placed<'_>) -> Result<()> {
        let Some((pushed, content)) = placed.record.as_ref().map_err(Clone::clone)? else { return Ok(()) };
        if let Some((before, after)) = pushed.seal {
            self.applier.apply(&Record { before, after, content: Content::Seal })?;
        }
        let record = Record { before: pushed.before, after: pushed.after, content: content.clone() };
        self.applier.apply(&record).map(|_| ())
    }

    /// Drops some of the log that neither the checkpoint nor the retention needs; says whether there is more of it. A committer that
    /// has stopped drops nothing.
    ///
    /// # Errors
    /// Those of the disk; the committer has stopped then.
    pub fn retire(&mut self) -> Result<bool> {
        let Retention::Bytes(kept) = self.retention else { return Ok(false) };
        if self.state != State::Idle {
            return Ok(false);
        }
        let checkpoint = self.store().state().checkpoint.position;
        let kept_from = Position(self.log.durable().position.0.saturating_sub(kept));
        let more = self.log.retire(checkpoint.min(kept_from), limits::RETIRED_SEGMENTS_MAX);
        self.extent.set(self.log.extent());
        if let Err(error) = &more {
            self.fail(error);
        }
        more
    }

    /// Makes the mark durable: after this even a power cut leaves the end of the log beyond doubt.
    ///
    /// # Errors
    /// Those of the disk; the committer has stopped then.
    pub fn settle(&mut self) -> Result<()> {
        let synced = self.log.sync_mark();
        if let Err(error) = &synced {
            self.fail(error);
        }
        synced
    }

    /// Waits, if the sealed tables have reached their bound, until maintenance has made room, or has failed.
    pub fn wait_for_room(&mut self) {
        if self.state == State::Idle && !self.store().has_room() {
            self.step(
                Event::Full,
                Some("the sealed tables have reached their bound; maintenance must make runs of them".into()),
            );
            self.store().wait_for_room();
            match self.store().write_fault() {
                Some(fault) => self.fail(&fault),
                None => self.step(Event::Room, None),
            }
        }
    }

    /// Ends writing, in order: the mark is made durable.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn close(&mut self) -> Result<()> {
        let settled = if self.state == State::Stopped { Ok(()) } else { self.settle() };
        self.step(Event::Close, None);
        settled
    }

    fn fail(&mut self, failure: &Error) {
        if self.state != State::Stopped {
            self.step(Event::Failed, Some(failure.to_string()));
        }
        self.store().stop_writes(failure);
    }
}

fn stopped(failure: &Error) -> Error {
    Error::new(Reason::CommitStopped).with("failure", failure)
}
