//! A replica without threads: the same Receiver, Validator, Applier and maintenance, driven by the caller, one step at a time.
//!
//! ```text
//! receive(link) ──chunks──► prove() ──proven──► apply() ──► store ◄── maintain()
//!      ▲ connect, stop          facts, fault ──► look(link) ──► replica/
//! ```
//!
//! For simulation, where one seed must decide everything that happens, and for who opens a replica with threads: both open a directory in the same way.
//! Each step is what the thread of that stage does between two waits, and a stage whose queue is full does nothing, as its thread would. What a
//! stage hands on it has finished with; when one has ended, those behind it end after what is left, those before it at once.
//!
//! Assumes one caller at a time (`&mut self`). Promises what the components promise.

use crate::applier::{ReplicaApplier, Step};
use crate::chunk::{Chunk, Proven, Validated};
use crate::committer::Retention;
use crate::error::{Error, Result};
use crate::maintenance::Progress as Work;
use crate::position::{LogPoint, Position};
use crate::published::Fact;
use crate::receiver::worker::{self, Link};
use crate::receiver::{self, Progress, Received, Receiver, machine};
use crate::recovery::{Base, Options, Report};
use crate::replica::parts::{Following, Parts, bar_reads, close_reads};
use crate::replica_state::Halt;
use crate::store::Store;
use crate::supervisor::{self, Action, Facts, Reconnect, Recoveries, Supervisor};
use crate::sync::{Arc, planted};
use crate::validator::Validator;
use std::collections::VecDeque;

/// How much a replica holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Those of the Receiver.
    pub receiver: receiver::Bounds,
    /// Pieces of log that wait between two stages.
    pub queue: usize,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds { receiver: receiver::Bounds::default(), queue: crate::limits::REPLICA_QUEUE_MAX }
    }
}

/// A replica without threads.
pub struct FollowerNode {
    receiver: Receiver,
    validator: Validator,
    applier: ReplicaApplier,
    supervisor: Supervisor,
    retention: Retention,
    queue: usize,
    received: Arc<Fact<Received>>,
    validated: Arc<Fact<Validated>>,
    applied: Arc<Fact<LogPoint>>,
    /// The Receiver is to connect.
    connects: bool,
    /// What the connection has not taken.
    unsent: Vec<u8>,
    /// What the Receiver hands on, before and in the queue of the Validator.
    handed: VecDeque<Chunk>,
    chunks: VecDeque<Chunk>,
    /// What the Validator hands on, before and in the queue of the Applier.
    proved: VecDeque<Proven>,
    proven: VecDeque<Proven>,
    /// The Applier has been given what it has not applied to its end.
    applies: bool,
    fault: Option<Error>,
    ended: Ended,
    base: Base,
}

/// Which stages have ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Ended {
    receiver: bool,
    validator: bool,
    applier: bool,
}

impl FollowerNode {
    /// Opens a replica's directory and proves what it holds.
    ///
    /// # Errors
    /// What does not verify, or is not what the options expect, by name.
    pub fn open(options: &Options, reconnect: Reconnect, bounds: Bounds) -> Result<FollowerNode> {
        let following = Following { reconnect, recoveries: &Recoveries::default() };
        let (base, parts) = Parts::open(options, &following, None, |base, _| Ok(base))?;
        let halted = parts.is_halted();
        let Parts { receiver, validator, applier, supervisor, fault } = parts;
        let receiver = receiver.bounded(bounds.receiver);
        Ok(FollowerNode {
            received: receiver.received(),
            validated: validator.validated(),
            applied: applier.applied(),
            receiver,
            validator,
            applier,
            supervisor,
            base,
            retention: options.retention,
            queue: bounds.queue,
            connects: false,
            unsent: Vec::new(),
            handed: VecDeque::new(),
            chunks: VecDeque::new(),
            proved: VecDeque::new(),
            proven: VecDeque::new(),
            applies: false,
            fault,
            ended: Ended { receiver: halted, validator: halted, applier: halted },
        })
    }

    /// What opening found, proved and dropped.
    #[must_use]
    pub fn report(&self) -> &Report {
        &self.base.report
    }

    /// The store, for reading.
    #[must_use]
    pub fn store(&self) -> &Arc<Store> {
        &self.base.store
    }

    /// What the Receiver is doing.
    #[must_use]
    pub fn receiver(&self) -> machine::State {
        self.receiver.state()
    }

    /// How far the Receiver has come.
    #[must_use]
    pub fn received(&self) -> Received {
        self.received.get()
    }

    /// How far the proof has come.
    #[must_use]
    pub fn validated(&self) -> Validated {
        self.validated.get()
    }

    /// What is applied, and published.
    #[must_use]
    pub fn applied(&self) -> LogPoint {
        self.applied.get()
    }

    /// The first fault of a stage.
    #[must_use]
    pub fn fault(&self) -> Option<&Error> {
        self.fault.as_ref()
    }

    /// Whether all stages have ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.ended == Ended { receiver: true, validator: true, applier: true }
    }

    /// Pieces of log that wait for the Validator, and for the Applier.
    #[must_use]
    pub fn waiting(&self) -> (usize, usize) {
        (self.handed.len() + self.chunks.len(), self.proved.len() + self.proven.len())
    }

    /// The state of the replica.
    #[must_use]
    pub fn state(&self) -> supervisor::machine::State {
        self.supervisor.state()
    }

    /// What halted the replica, in this run or an earlier one.
    #[must_use]
    pub fn halt(&self) -> Option<&Halt> {
        self.supervisor.halt()
    }

    /// A step of the Supervisor. A delay before a connection is for the caller to make, who decides when the Receiver has its next step.
    pub fn look(&mut self, link: &mut impl Link) {
        let facts = Facts {
            receiver: self.receiver.state(),
            received: self.received.get(),
            validated: self.validated.get(),
            applied: self.applied.get(),
        };
        let actions = self.supervisor.look(&facts, self.fault.as_ref());
        // Nobody else can say what it failed at itself.
        if let Some(own) = self.supervisor.fault() {
            bar_reads(&self.base.store, own);
            self.fail(own.clone().with("component", "supervisor"));
        }
        for action in actions {
            match action {
                Action::Connect(_) => self.connects = true,
                Action::Halt => {
                    close_reads(&self.base.store, self.supervisor.halt());
                    self.stop(link);
                }
                Action::Stop => self.stop(link),
            }
        }
        self.supervisor.acted();
    }

    /// A step of the Receiver.
    pub fn receive(&mut self, link: &mut impl Link) {
        if self.ended.receiver || self.hand_on_chunks(link) {
            return;
        }
        if std::mem::take(&mut self.connects) {
            worker::connect(&mut self.receiver, link, &mut self.unsent);
        }
        let progress = self.progress();
        let turned = worker::turn(&mut self.receiver, link, &mut self.unsent, &progress);
        self.handed.extend(self.receiver.handed());
        self.hand_on_chunks(link);
        if let Err(fault) = turned {
            self.fail(fault);
            self.stop(link);
        }
    }

    /// A step of the Validator; whether there was something to do.
    pub fn prove(&mut self) -> bool {
        if self.ended.validator || self.hand_on_proven() {
            return false;
        }
        move_on(&mut self.handed, &mut self.chunks, self.queue);
        let Some(chunk) = self.chunks.pop_front() else {
            if self.ended.receiver {
                self.end_validator();
            }
            return false;
        };
        let mut proven = Vec::new();
        let outcome = self.validator.prove(chunk, &mut proven);
        if !planted("what is proven is not said to the gate") {
            self.base.store.prove_to(self.validated.get().point.commit);
        }
        self.proved.extend(proven);
        if let Err(rejected) = outcome {
            self.fail(rejected);
            self.end_validator();
        }
        self.hand_on_proven();
        true
    }

    /// A step of the Applier; whether there was something to do.
    pub fn apply(&mut self) -> bool {
        if self.ended.applier {
            return false;
        }
        self.hand_on_proven();
        if !self.applies {
            let Some(proven) = self.proven.pop_front() else {
                if self.ended.validator {
                    self.applier.close();
                    self.ended.applier = true;
                }
                return false;
            };
            self.applier.give(proven);
        }
        match self.applier.step() {
            Ok(Step::Done) => self.applies = false,
            Ok(Step::Full) => self.applies = true,
            Err(failure) => {
                self.fail(failure);
                self.applier.close();
                self.ended.applier = true;
            }
        }
        true
    }

    /// A step of maintenance.
    ///
    /// # Errors
    /// What stopped it.
    pub fn maintain(&mut self) -> Result<Work> {
        self.base.maintenance.step().inspect_err(|failure| self.fail(failure.clone()))
    }

    /// Ends the Receiver; what it handed on is proven and applied by the steps that follow.
    pub fn stop(&mut self, link: &mut impl Link) {
        if !self.ended.receiver {
            link.close();
            self.ended.receiver = true;
            if let Err(failure) = self.receiver.close() {
                self.fail(failure);
            }
        }
    }

    /// Closes the replica: what was received is proven and applied, the log is marked.
    ///
    /// # Errors
    /// The first fault of a stage.
    pub fn close(mut self, link: &mut impl Link) -> Result<()> {
        self.stop(link);
        while !self.has_ended() {
            self.prove();
            self.apply();
            if self.applies && !self.ended.applier {
                // What stops it is what the Applier finds next.
                let _ = self.maintain();
            }
        }
        self.base.maintenance.close();
        let recorded = self.supervisor.close(self.applied.get());
        self.fault.map_or(recorded, Err)
    }

    /// What the Receiver may know of the stages behind it.
    fn progress(&self) -> Progress {
        let applied = self.applied.get().position;
        let keep_from = match self.retention {
            Retention::All => Position::GENESIS,
            Retention::Bytes(bytes) => {
                self.base.store.state().checkpoint.position.min(Position(applied.0.saturating_sub(bytes)))
            }
        };
        Progress { validated: self.validated.get(), applied, keep_from }
    }

    /// The first fault counts (REPL-HALT).
    fn fail(&mut self, fault: Error) {
        self.fault.get_or_insert(fault);
    }

    /// Moves what the Receiver handed on into the queue; whether something is left that has no room there.
    fn hand_on_chunks(&mut self, link: &mut impl Link) -> bool {
        if self.ended.validator {
            self.handed.clear();
            self.stop(link);
            return true;
        }
        move_on(&mut self.handed, &mut self.chunks, self.queue)
    }

    /// The same behind the Validator.
    fn hand_on_proven(&mut self) -> bool {
        if self.ended.applier {
            self.proved.clear();
            self.proven.clear();
            self.end_validator();
            return true;
        }
        move_on(&mut self.proved, &mut self.proven, self.queue)
    }

    fn end_validator(&mut self) {
        if !self.ended.validator {
            self.validator.close();
            self.ended.validator = true;
            self.chunks.clear();
        }
    }
}

fn move_on<T>(from: &mut VecDeque<T>, to: &mut VecDeque<T>, most: usize) -> bool {
    let room = most.saturating_sub(to.len()).min(from.len());
    to.extend(from.drain(..room));
    !from.is_empty()
}
