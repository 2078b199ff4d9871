//! The committer's thread: one inbox, one loop.
//!
//! It takes the first order it gets and all that wait behind it, up to the bounds of a group, and answers each when the core has. What a
//! group leaves, because it sealed a table or was full, is the next group. Behind the answers of a group it logs the Proofs that are owed, in
//! a group of their own, and drops log that nobody needs, a few segments at most, and then takes what has come in meanwhile: an answer never
//! waits for this work behind its own group, and at most for one such turn, one fsync and up to four segments, before its group begins.
//! When the last caller is gone it closes the log and ends. It never looks at a clock, and waits for nothing but its inbox and, at the
//! bound of sealed tables, for room.

use super::core::{Committer, Order};
use super::orders::Request;
use crate::error::Result;
use crate::limits;
use crate::position::LogPoint;
use crate::queue::{Receiver, TryRecv};
use crate::reason::Reason;
use crate::sync::{self, seeded};
use std::collections::VecDeque;

/// What the loop drives: the committer, and in the models a twin without a disk.
pub trait Core {
    /// Answers a group of orders: the first of these, at least one; the rest is for the next group.
    fn group(&mut self, orders: &[Order]) -> Vec<Result<LogPoint>>;
    /// Does a little of what nobody orders: logs Proofs, drops log that nobody needs. Says whether there is more. What has come in meanwhile
    /// waits for it.
    fn tend(&mut self) -> bool;
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
    fn tend(&mut self) -> bool {
        let more_to_prove = self.prove();
        // A failure has stopped the committer, and is shown there.
        self.retire().unwrap_or(false) || more_to_prove
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
    // Of orders that are carried out already, whose request is not.
    let mut outcomes = Vec::new();
    let mut answers = VecDeque::new();
    let mut more_to_tend = false;
    loop {
        let mut next = None;
        let mut bytes = 0usize;
        // What the last group left goes before anything that has come in since.
        if answers.is_empty() {
            match if more_to_tend { inbox.try_recv() } else { inbox.recv().map_err(|_| TryRecv::Disconnected) } {
                Ok(first) => next = Some(first),
                Err(TryRecv::Empty) => {}
                Err(TryRecv::Disconnected) => break,
            }
        }
        while let Some(request) = next {
            match request {
                // With it goes its share: the next caller may come in while this group is written.
                Request::Orders(more, answer, _share) => {
                    bytes += more.iter().map(Order::bytes).sum::<usize>();
                    answers.push_back((more.len(), answer));
                    orders.extend(more);
                }
                Request::Tend => {}
            }
            let room = bytes < limits::GROUP_BYTES_MAX && orders.len() < limits::GROUP_COMMITS_MAX;
            next = if room { inbox.try_recv().ok() } else { None };
        }
        if !orders.is_empty() {
            let answered = core.group(&orders);
            if !seeded("a group begins with the orders of the last one") {
                orders.drain(..answered.len());
            }
            outcomes.extend(answered);
        }
        while answers.front().is_some_and(|(count, _)| *count <= outcomes.len())
            && let Some((count, answer)) = answers.pop_front()
        {
            let own = outcomes.drain(..count).collect();
            // What is wrong with one caller's answer is not to cost the others theirs.
            if let Err(assertion) = sync::caught(|| answer(own)) {
                log::error!(code = Reason::ComponentPanicked.name(); "the answer to an order failed an assertion of its own: {assertion}");
            }
        }
        more_to_tend = core.tend();
        core.wait_for_room();
    }
    core.close()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commit_id::CommitId;
    use crate::committer::Orders;
    use crate::queue::{Sender, bounded};

    /// A core whose groups take two orders, that tells what it is asked for. While log goes, a caller comes, and at last the callers are
    /// gone.
    struct Toy {
        tell: Sender<&'static str>,
        orders: Option<Orders>,
        turns: usize,
    }

    impl Toy {
        fn request(&self, orders: usize) {
            let tell = self.tell.clone();
            let answers = move |outcomes: Vec<_>| {
                assert_eq!(outcomes.len(), orders);
                tell.send("answer").unwrap();
            };
            let orders = vec![Order::Floor(CommitId(1)); orders];
            self.orders.as_ref().unwrap().submit(orders, Box::new(answers)).unwrap();
        }
    }

    impl Core for Toy {
        fn group(&mut self, orders: &[Order]) -> Vec<Result<LogPoint>> {
            self.tell.send("group").unwrap();
            orders.iter().take(2).map(|_| Ok(LogPoint::default())).collect()
        }
        fn tend(&mut self) -> bool {
            self.tell.send("tend").unwrap();
            self.turns += 1;
            match self.turns {
                2 => self.request(1),
                3 => drop(self.orders.take()),
                _ => {}
            }
            true
        }
        fn wait_for_room(&mut self) {}
        fn close(&mut self) -> Result<()> {
            self.tell.send("close").unwrap();
            Ok(())
        }
    }

    /// What a group left is the next one before anything else is taken or the end is seen; a request is answered with its last order.
    #[test]
    fn every_request_is_answered_where_groups_end_early() {
        let ((tell, told), (sender, inbox)) = (bounded(16), bounded(4));
        let toy = Toy { tell, orders: Some(Orders::new(sender)), turns: 2 };
        for orders in [1, 3, 0, 1] {
            toy.request(orders);
        }
        run(toy, &inbox).unwrap();
        let told: Vec<_> = std::iter::from_fn(|| told.try_recv().ok()).collect();
        assert_eq!(
            told,
            ["group", "answer", "tend", "group", "answer", "answer", "tend", "group", "answer", "tend", "close"]
        );
    }

    /// Log goes behind the answers of a group; between two turns of that, orders and the end are seen. It goes on where nobody orders
    /// anything.
    #[test]
    fn log_goes_behind_the_answers_a_little_at_a_time() {
        let ((tell, told), (sender, inbox)) = (bounded(16), bounded(4));
        let toy = Toy { tell, orders: Some(Orders::new(sender)), turns: 0 };
        toy.request(1);
        run(toy, &inbox).unwrap();
        let told: Vec<_> = std::iter::from_fn(|| told.try_recv().ok()).collect();
        assert_eq!(told, ["group", "answer", "tend", "tend", "group", "answer", "tend", "close"]);
    }
}
