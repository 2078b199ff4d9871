//! What the threads of a replica see of one another, and how they call and wake each other.
//!
//! ```text
//! Receiver, Validator, Applier ── facts ──► whoever looks          moved: more is there to be seen ──► Receiver, if it listens
//!            └── the first fault ─────────► Supervisor                  └── call ──────────────────► Supervisor
//! ```
//!
//! Facts are looked at from the back: each before the one that it never passes, so that no look shows one that has passed another
//! (REPL-POSITIONS). Whoever calls, rings or orders has put in place before what is to be found there. Of faults the first is kept (REPL-HALT).
//!
//! Writers: each stage its own fact, any stage the fault, the replica its end. Readers: all.

use super::core::Facts;
use crate::chunk::Validated;
use crate::error::Error;
use crate::observed::Observed;
use crate::position::{LogPoint, Position};
use crate::published::{Doorbell, Fact, FirstFault};
use crate::queue::Sender;
use crate::receiver::worker::{Order, Wakes};
use crate::receiver::{Progress, Received, machine::State as ReceiverState};
use crate::sync::{self, Arc, Mutex, seeded};

/// Ends a sleep of the Receiver, or the next one if it does not sleep.
pub trait Wake {
    /// Does it.
    fn wake(&self);
}

/// Where the stages show how far they are.
pub struct Shown {
    /// What the Receiver is doing.
    pub receiver: Arc<Observed<ReceiverState>>,
    /// What it has received.
    pub received: Arc<Fact<Received>>,
    /// What the Validator has proven.
    pub validated: Arc<Fact<Validated>>,
    /// What the Applier has applied.
    pub applied: Arc<Fact<LogPoint>>,
}

/// The stages, as each of them and the Supervisor see them.
pub struct Stages<W> {
    shown: Shown,
    fault: FirstFault,
    /// Calls the Supervisor; gone once the replica stops.
    calls: Mutex<Option<Sender<()>>>,
    /// The Receiver listens here.
    doorbell: Doorbell,
    waker: W,
}

impl<W: Wake> Wakes for Stages<W> {
    fn listen(&self) {
        self.doorbell.listen();
    }
}

impl<W: Wake> Stages<W> {
    /// Stages without a fault; `calls` has room for one.
    #[must_use]
    pub fn new(shown: Shown, calls: Sender<()>, waker: W) -> Stages<W> {
        Stages { shown, fault: FirstFault::new(), calls: Mutex::new(Some(calls)), doorbell: Doorbell::default(), waker }
    }

    /// Where they show how far they are.
    #[must_use]
    pub fn shown(&self) -> &Shown {
        &self.shown
    }

    /// The first fault.
    #[must_use]
    pub fn fault(&self) -> Option<Error> {
        self.fault.get()
    }

    /// The facts at a moment.
    #[must_use]
    pub fn facts(&self) -> Facts {
        let early = seeded("what is received is looked at before what is proven").then(|| self.shown.received.get());
        let applied = self.shown.applied.get();
        let validated = self.shown.validated.get();
        let received = early.unwrap_or_else(|| self.shown.received.get());
        Facts { receiver: self.shown.receiver.load().state, received, validated, applied }
    }

    /// What the Receiver may know of the stages behind it, and from where on log is kept, as that depends on what is applied.
    #[must_use]
    pub fn progress(&self, keep_from: impl FnOnce(Position) -> Position) -> Progress {
        let applied = self.shown.applied.get().position;
        Progress { validated: self.shown.validated.get(), applied, keep_from: keep_from(applied) }
    }

    /// Says that there is something to be seen. A call that is pending already counts for this one.
    pub fn call(&self) {
        if let Some(calls) = sync::lock(&self.calls).as_ref() {
            let _ = calls.try_send(());
        }
    }

    /// Says that a stage behind the Receiver has come further.
    pub fn moved(&self) {
        if self.doorbell.ring() {
            self.waker.wake();
        }
        self.call();
    }

    /// Keeps what ended a component, if it is the first, and says so.
    pub fn failed(&self, component: &'static str, error: Error) {
        if seeded("the supervisor is called before the fault is kept") {
            self.call();
        }
        let error = error.with("component", component);
        if self.fault.set(&error) {
            log::error!(target: component, code = error.reason().name(); "{error}");
        }
        if !seeded("the supervisor is called before the fault is kept") {
            self.call();
        }
    }

    /// Gives the Receiver an order.
    pub fn order(&self, orders: &Sender<Order>, order: Order) {
        if seeded("the receiver is woken before its order is there") {
            self.waker.wake();
        }
        // A Receiver that has ended takes no orders.
        let _ = orders.send(order);
        if !seeded("the receiver is woken before its order is there") {
            self.waker.wake();
        }
    }

    /// Calls no more: the Supervisor ends once it has seen what there is.
    pub fn dismiss_supervisor(&self) {
        drop(sync::lock(&self.calls).take());
    }
}
