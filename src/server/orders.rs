//! Orders on their way to the committer, and its answers on their way back.
//!
//! ```text
//!  requests of a turn ──► bundle ──► committer ──► outcomes ──► the loop
//! ```
//!
//! What the clients order in one turn goes to the committer as one message, a bundle. At most two are under way: one that the committer
//! works on, and one that waits for it. What is ordered meanwhile collects in the next, so the slower the disk, the more commits share
//! its fsync. Handing a bundle over never waits for room in the committer's inbox: a second one goes only if both have room there.
//!
//! Every order gets an outcome, in its order. What the committer took along when it ended is unknown. Used by the loop alone.

use super::bell::{Bell, Outcomes};
use super::clients::ClientId;
use crate::committer::Order;
use crate::database::Database;
use crate::error::{Error, Result};
use crate::limits;
use crate::position::LogPoint;
use crate::reason::Reason;
use crate::sync::Arc;
use std::collections::VecDeque;

/// How many bundles may be under way.
const UNDER_WAY_MAX: usize = 2;

/// Who ordered: a place of the loop and, because places are used again, the client that had it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) place: usize,
    pub(super) client: ClientId,
}

/// What became of an order.
pub(super) struct Answered {
    pub(super) owner: Owner,
    /// What it held.
    pub(super) bytes: usize,
    pub(super) outcome: Result<LogPoint>,
}

/// A bundle that was handed over.
struct UnderWay {
    owners: Vec<(Owner, usize)>,
    bytes: usize,
    /// Why it was not taken.
    refused: Option<Error>,
}

/// The bundles.
pub(super) struct Orders {
    bell: Arc<Bell>,
    collected: Vec<Order>,
    owners: Vec<(Owner, usize)>,
    bytes: usize,
    under_way: VecDeque<UnderWay>,
}

impl Orders {
    pub(super) fn new(bell: Arc<Bell>) -> Orders {
        Orders { bell, collected: Vec::new(), owners: Vec::new(), bytes: 0, under_way: VecDeque::new() }
    }

    /// Puts an order into the next bundle. Whoever has one for a full bundle keeps it until that is handed over.
    pub(super) fn collect(&mut self, owner: Owner, order: Order) {
        let bytes = order.bytes();
        self.bytes += bytes;
        self.collected.push(order);
        self.owners.push((owner, bytes));
    }

    /// Whether the next bundle is full.
    pub(super) fn is_full(&self) -> bool {
        self.collected.len() >= limits::GROUP_COMMITS_MAX || self.bytes >= limits::GROUP_BYTES_MAX
    }

    /// Whether everything that was ordered has its outcome.
    pub(super) fn is_idle(&self) -> bool {
        self.collected.is_empty() && self.under_way.is_empty()
    }

    /// Whether another bundle may go: alone it always has room.
    fn has_room(&self) -> bool {
        let under_way: usize = self.under_way.iter().map(|bundle| bundle.bytes).sum();
        self.under_way.is_empty()
            || (self.under_way.len() < UNDER_WAY_MAX && under_way + self.bytes <= limits::COMMIT_QUEUE_BYTES_MAX)
    }

    /// Hands over what was collected, if there is room; how many orders there were.
    pub(super) fn hand_over(&mut self, database: &Database) -> usize {
        if self.collected.is_empty() || !self.has_room() {
            return 0;
        }
        let orders = std::mem::take(&mut self.collected);
        let owners = std::mem::take(&mut self.owners);
        let bytes = std::mem::take(&mut self.bytes);
        let count = orders.len();
        let answer = Answer { bell: Arc::clone(&self.bell), outcomes: None };
        let handed_over = database.submit_all(orders, Box::new(move |outcomes| answer.give(outcomes)));
        // Nothing took it, so nothing of it was made.
        let refused = handed_over.err().map(|refused| {
            let failure = database.write_fault().unwrap_or(refused);
            Error::new(Reason::CommitStopped).with("failure", failure)
        });
        self.under_way.push_back(UnderWay { owners, bytes, refused });
        count
    }

    /// The outcomes that have come.
    pub(super) fn outcomes(&mut self) -> Vec<Answered> {
        let mut told = Vec::new();
        for outcomes in self.bell.take() {
            let UnderWay { owners, refused, .. } = self.under_way.pop_front().expect("a bundle has one answer");
            let lost = refused.unwrap_or_else(|| {
                Error::new(Reason::CommitUnknown).with("failure", "the committer ended before it answered")
            });
            let mut outcomes = outcomes.unwrap_or_default().into_iter();
            let outcome = |(owner, bytes)| {
                let outcome = outcomes.next().unwrap_or_else(|| Err(lost.clone()));
                Answered { owner, bytes, outcome }
            };
            told.extend(owners.into_iter().map(outcome));
        }
        told
    }
}

/// The answer to one bundle; dropped without outcomes, it says that there will be none.
struct Answer {
    bell: Arc<Bell>,
    outcomes: Outcomes,
}

impl Answer {
    fn give(mut self, outcomes: Vec<Result<LogPoint>>) {
        self.outcomes = Some(outcomes);
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.bell.leave(self.outcomes.take());
    }
}
