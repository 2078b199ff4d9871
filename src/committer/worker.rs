//! The committer's thread: one inbox, one loop.
//!
//! It takes the first order it gets and all that wait behind it, up to the bounds of a group, and answers each when the core has. The orders of one request stay in
//! one group.
//! When the last caller is gone it closes the log and ends. It never looks at a clock, and waits for nothing but its inbox and, at the
//! bound of sealed tables, for room.

use super::core::{Committer, Order};
use super::orders::Request;
use crate::error::Result;
use crate::limits;
use crate::position::LogPoint;
use crate::queue::Receiver;
use crate::sync::{self, seeded};

/// What the loop drives: the committer, and in the models a twin without a disk.
pub trait Core {
    /// Answers a group of orders.
    fn group(&mut self, orders: &[Order]) -> Vec<Result<LogPoint>>;
    /// Drops log that nobody needs.
    fn retire(&mut self);
    /// Waits where it must not go on.
    fn wait_for_room(&mut self);
    /// Ends.
    ///
    /// # Errors
    /// Those of the disk.
    fn close(&mut self) -> Result<()>;
}

impl Core for Committer {
    fn group(&mut self, orders: &[Order]) -> Vec<Result<LogPoint>> {
        Committer::group(self, orders)
    }
    fn retire(&mut self) {
        // A failure has stopped the committer, and is shown there.
        let _ = Committer::retire(self);
    }
    fn wait_for_room(&mut self) {
        Committer::wait_for_room(self);
    }
    fn close(&mut self) -> Result<()> {
        Committer::close(self)
    }
}

/// The body of the thread.
///
/// # Errors
/// What closing the log met.
pub fn run(mut core: impl Core, inbox: &Receiver<Request>) -> Result<()> {
    let mut orders = Vec::new();
    let mut answers = Vec::new();
    while let Ok(first) = inbox.recv() {
        let mut next = Some(first);
        let mut bytes = 0usize;
        let mut retire = false;
        while let Some(request) = next {
            match request {
                // With it goes its share: the next caller may come in while this group is written.
                Request::Orders(more, answer, _share) => {
                    bytes += more.iter().map(Order::bytes).sum::<usize>();
                    answers.push((more.len(), answer));
                    orders.extend(more);
                }
                Request::Retire => retire = true,
            }
            let room = bytes < limits::GROUP_BYTES_MAX && orders.len() < limits::GROUP_COMMITS_MAX;
            next = if room { inbox.try_recv().ok() } else { None };
        }
        if !orders.is_empty() {
            let mut outcomes = core.group(&orders).into_iter();
            if !seeded("a group begins with the orders of the last one") {
                orders.clear();
            }
            for (count, answer) in answers.drain(..) {
                let own = outcomes.by_ref().take(count).collect();
                // What is wrong with one caller's answer is not to cost the others theirs.
                if let Err(assertion) = sync::caught(|| answer(own)) {
                    log::error!("the answer to an order failed an assertion of its own: {assertion}");
                }
            }
        }
        if retire {
            core.retire();
        }
        core.wait_for_room();
    }
    core.close()
}
