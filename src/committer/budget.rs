//! How many bytes may stand in the inbox.
//!
//! The inbox is bounded by the number of its orders; one order may be as large as a batch may be. So each order takes a share of a
//! budget before it goes in, and waits where there is too little left. A share is given back when it is dropped: when the committer
//! takes the order out, and also when the inbox goes with the order in it. An order that would be alone always passes, or one larger
//! than the budget would wait for ever.
//!
//! Used by any thread.

use crate::sync::{self, Arc, Condvar, Mutex};

/// The bytes that may be taken at once.
pub struct Budget {
    bytes_max: usize,
    taken: Mutex<Taken>,
    given_back: Condvar,
}

#[derive(Default)]
struct Taken {
    bytes: usize,
    /// Who gives back without anybody waiting, which is nearly always, need not ask the system to wake anybody.
    waiting: usize,
}

/// A part of the budget, until it is dropped.
#[must_use]
pub struct Share {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Budget {
    /// A budget of so many bytes.
    #[must_use]
    pub fn new(bytes_max: usize) -> Arc<Budget> {
        Arc::new(Budget { bytes_max, taken: Mutex::new(Taken::default()), given_back: Condvar::new() })
    }

    /// Takes a share, waiting until there is one. An order of no bytes never waits.
    pub fn take(self: &Arc<Self>, bytes: usize) -> Share {
        if bytes > 0 {
            let mut taken = sync::lock(&self.taken);
            taken.waiting += 1;
            let too_much = |taken: &mut Taken| taken.bytes > 0 && bytes > self.bytes_max.saturating_sub(taken.bytes);
            taken = sync::wait_while(&self.given_back, taken, too_much);
            taken.waiting -= 1;
            taken.bytes += bytes;
        }
        Share { budget: Arc::clone(self), bytes }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.bytes > 0 {
            let mut taken = sync::lock(&self.budget.taken);
            taken.bytes -= self.bytes;
            let waiting = taken.waiting > 0;
            drop(taken);
            if waiting {
                // All: what one order is too large for may do for another.
                self.budget.given_back.notify_all();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(budget: &Budget) -> usize {
        sync::lock(&budget.taken).waiting
    }

    #[test]
    fn an_order_alone_passes_however_large_and_the_next_waits_until_it_was_taken() {
        let budget = Budget::new(10);
        let large = budget.take(11);
        let taking = {
            let budget = Arc::clone(&budget);
            sync::spawn("taker", move || budget.take(1)).unwrap()
        };
        // It does not wait for a time: a taker that need not wait ends instead.
        while waiting(&budget) == 0 && !taking.is_finished() {
            std::hint::spin_loop();
        }
        assert_eq!(waiting(&budget), 1, "more than the budget was taken");
        drop(large);
        drop(taking.join().unwrap());
        drop([budget.take(4), budget.take(6), budget.take(0)]);
        assert_eq!(sync::lock(&budget.taken).bytes, 0, "all was given back");
    }
}
