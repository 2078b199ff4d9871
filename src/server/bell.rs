//! What other threads tell the loop: answers, that commits can be read, that it is to end.
//!
//! The loop sleeps in its poll, and once it ends in [`Bell::wait_for_outcomes`]. Whoever tells it something wakes it only if it asked for
//! that: while it works it looks by itself, and for commits that nobody waits for it does not ask at all.
//!
//! The committer's thread leaves outcomes and rings; any thread may ask for the end; the loop's thread listens, looks and sleeps.

use crate::error::Result;
use crate::position::LogPoint;
use crate::published::Doorbell;
use crate::reason::Reason;
use crate::sync::atomic::{AtomicBool, Ordering};
use crate::sync::{self, Condvar, Mutex};
use crate::wire::Waker;

/// The outcomes of a bundle; none if the committer ended with the bundle in its hands.
pub(super) type Outcomes = Option<Vec<Result<LogPoint>>>;

/// The loop's bell.
#[derive(Debug)]
pub(super) struct Bell {
    outcomes: Mutex<Vec<Outcomes>>,
    /// Outcomes were left.
    left: Condvar,
    answered: Doorbell,
    published: Doorbell,
    end: AtomicBool,
    waker: Waker,
}

impl Bell {
    pub(super) fn new(waker: Waker) -> Bell {
        Bell {
            outcomes: Mutex::new(Vec::new()),
            left: Condvar::new(),
            answered: Doorbell::default(),
            published: Doorbell::default(),
            end: AtomicBool::new(false),
            waker,
        }
    }

    /// Leaves the outcomes of the next bundle.
    pub(super) fn leave(&self, outcomes: Outcomes) {
        sync::lock(&self.outcomes).push(outcomes);
        self.left.notify_one();
        self.ring(&self.answered);
    }

    /// Waits until outcomes are left. Some bundle is under way.
    pub(super) fn wait_for_outcomes(&self) {
        drop(sync::wait_while(&self.left, sync::lock(&self.outcomes), |outcomes| outcomes.is_empty()));
    }

    /// The outcomes that were left, those of the older bundle first.
    pub(super) fn take(&self) -> Vec<Outcomes> {
        std::mem::take(&mut sync::lock(&self.outcomes))
    }

    /// Says that more can be read, or that nothing more ever will.
    pub(super) fn published(&self) {
        self.ring(&self.published);
    }

    /// Asks the loop to end.
    pub(super) fn end(&self) {
        // ORDERING: Release pairs with the Acquire of `is_to_end`; the waker is what ends the sleep before that.
        self.end.store(true, Ordering::Release);
        let _ = self.wakes();
    }

    pub(super) fn is_to_end(&self) -> bool {
        self.end.load(Ordering::Acquire)
    }

    /// Asks to be woken by outcomes; whether there are none yet.
    pub(super) fn listen_for_outcomes(&self) -> bool {
        self.answered.listen();
        sync::lock(&self.outcomes).is_empty()
    }

    /// Asks to be woken when more can be read. The look at what can be read comes after this.
    pub(super) fn listen_for_commits(&self) {
        self.published.listen();
    }

    /// The sleep is over, or was not begun.
    pub(super) fn stop_listening(&self) {
        self.answered.stop_listening();
        self.published.stop_listening();
    }

    /// Wakes the loop if it asked for that. Where it can't be woken it still asks, so the next one tries again; and it finds what was left
    /// whatever ends its sleep.
    fn ring(&self, doorbell: &Doorbell) {
        if doorbell.ring() && !self.wakes() {
            doorbell.listen();
        }
    }

    fn wakes(&self) -> bool {
        let woken = self.waker.wake();
        if let Err(error) = &woken {
            log::error!(code = Reason::ServerPollFailed.name(); "the loop of the server can't be woken: {error}");
        }
        woken.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Poll;

    #[test]
    fn a_wake_up_that_fails_is_tried_again_and_loses_nothing() {
        let mut poll = Poll::new().unwrap();
        let bell = Bell::new(Waker::new(&poll, 7).unwrap());
        let mut woken = || {
            poll.wait(false).unwrap();
            poll.ready().map(|ready| ready.source).collect::<Vec<_>>()
        };
        assert!(bell.listen_for_outcomes());
        bell.listen_for_commits();
        bell.waker.fail(true);
        bell.leave(Some(Vec::new()));
        bell.published();
        assert!(woken().is_empty(), "the loop sleeps on");
        bell.waker.fail(false);
        bell.published();
        assert_eq!(woken(), [7], "it asked once, and was not woken yet");
        bell.leave(None);
        assert_eq!((woken(), bell.take()), (vec![7], vec![Some(Vec::new()), None]), "nothing is lost");
        bell.leave(None);
        assert!(woken().is_empty() && !bell.listen_for_outcomes(), "it did not ask again, and looks before it sleeps");
        bell.waker.fail(true);
        bell.end();
        assert!(bell.is_to_end(), "whatever ends its sleep");
    }
}
