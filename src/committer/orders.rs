//! The callers' side of the inbox: an order goes in, its answer comes back.
//!
//! A caller waits for its own answer, over a queue of one that travels with the order, and never for another caller. Where no
//! answer can come any more, because the committer ended with the order in its hands, that queue is disconnected: nobody waits
//! for ever, and nobody is told that an order was refused which may have been carried out. When [`Orders`] is dropped the committer answers what is in the inbox, and ends.
//!
//! Used by any thread.

use super::budget::{Budget, Share};
use super::core::Order;
use crate::error::{Error, Result};
use crate::limits;
use crate::position::LogPoint;
use crate::queue::{self, Sender};
use crate::reason::Reason;
use crate::sync::Arc;

/// Called on the committer's thread with the answers to the orders of one request; dropped where the committer ended before there
/// were any.
pub type Answers = Box<dyn FnOnce(Vec<Result<LogPoint>>) + Send>;

/// What stands in the inbox.
pub enum Request {
    /// Orders of one caller, who wants to know, and their share of the bytes that may stand here.
    Orders(Vec<Order>, Answers, Share),
    /// The checkpoint has moved, or a run is complete: log that nobody needs may go, a Proof may be owed.
    Tend,
}

/// Hands orders to the committer.
pub struct Orders {
    inbox: Sender<Request>,
    budget: Arc<Budget>,
}

impl Orders {
    /// Hands orders over through this inbox.
    #[must_use]
    pub fn new(inbox: Sender<Request>) -> Orders {
        Orders { inbox, budget: Budget::new(limits::COMMIT_QUEUE_BYTES_MAX) }
    }

    /// Hands an order over, and waits for its answer.
    ///
    /// # Errors
    /// That of the answer; `commit.unknown` when the committer ended before it answered; `database.closed`.
    pub fn order(&self, order: Order) -> Result<LogPoint> {
        let (reply, replied) = queue::bounded(1);
        // Nobody waits for the answer any more only if the caller's thread is gone.
        let answer = move |outcomes: Vec<_>| drop(outcomes.into_iter().next().map(|outcome| reply.send(outcome)));
        self.submit(vec![order], Box::new(answer))?;
        replied.recv().unwrap_or_else(|_| {
            Err(Error::new(Reason::CommitUnknown).with("failure", "the committer ended before it answered"))
        })
    }

    /// Hands orders over, waiting for room. They take effect in their order, with nobody else's in between, each for itself; in one
    /// group, unless one that is not the last seals a table or fills the group. The answers come together.
    ///
    /// # Errors
    /// `database.closed`; nothing is answered then.
    pub fn submit(&self, orders: Vec<Order>, answers: Answers) -> Result<()> {
        let share = self.budget.take(orders.iter().map(Order::bytes).sum());
        self.inbox.send(Request::Orders(orders, answers, share)).map_err(|_| closed())
    }

    /// Says that the checkpoint has moved.
    pub fn retire(&self) {
        // A committer that has ended keeps its log.
        let _ = self.inbox.send(Request::Tend);
    }

    /// Says that a Proof is owed; waits for nobody: behind a full inbox there is a group, and behind that it is looked for.
    pub fn prove(&self) {
        let _ = self.inbox.try_send(Request::Tend);
    }
}

fn closed() -> Error {
    Error::new(Reason::DatabaseClosed)
}
