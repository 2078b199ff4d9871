//! Where a decision leaves the reply to it, for the loop to send once it is durable.
//!
//! A decision runs on the committer's thread and sees values that the loop can't know any more when the answer comes. What it may
//! leave is bounded for all connections together: it asks whether its reply still fits before each value, and where it does not fit it
//! decides for nothing, so nothing is written that can't be answered (RESP-BOUND).
//!
//! The committer's thread takes room and fills; the loop's thread takes the reply out and gives the room back.

use crate::error::{Error, Result};
use crate::reason::Reason;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{self, Arc, Mutex};

/// The bytes that all deposits may still hold.
#[derive(Clone, Debug)]
pub struct Room(Arc<AtomicUsize>);

impl Room {
    /// Room for so many bytes.
    #[must_use]
    pub fn new(bytes: usize) -> Room {
        Room(Arc::new(AtomicUsize::new(bytes)))
    }

    /// Whether a reply of so many bytes fits. Only the committer's thread takes room, so what fits there stays so.
    ///
    /// # Errors
    /// `reply.too_large`.
    pub fn check(&self, bytes: usize) -> Result<()> {
        // ORDERING: Relaxed, here and below: a number that guards nothing but itself.
        let left = self.0.load(Ordering::Relaxed);
        if bytes <= left {
            return Ok(());
        }
        Err(Error::new(Reason::ReplyTooLarge).with("bytes", bytes).with("left", left))
    }

    fn take(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn give_back(&self, bytes: usize) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// What a decision left.
#[derive(Debug, Default)]
pub struct Answer {
    /// The reply, as it is sent.
    pub bytes: Vec<u8>,
    /// Whether it decided for a commit.
    pub wrote: bool,
}

/// A place for the reply of one decision.
#[derive(Clone, Debug)]
pub struct Deposit(Arc<Place>);

#[derive(Debug)]
struct Place {
    room: Room,
    answer: Mutex<Answer>,
}

impl Deposit {
    /// An empty place; what is put there takes of this room.
    #[must_use]
    pub fn new(room: &Room) -> Deposit {
        Deposit(Arc::new(Place { room: room.clone(), answer: Mutex::default() }))
    }

    /// Leaves a reply.
    ///
    /// # Errors
    /// `reply.too_large`.
    pub fn put(&self, bytes: Vec<u8>, wrote: bool) -> Result<()> {
        let Place { room, answer } = self.0.as_ref();
        let mut answer = sync::lock(answer);
        room.check(bytes.len())?;
        room.take(bytes.len());
        room.give_back(answer.bytes.len());
        *answer = Answer { bytes, wrote };
        Ok(())
    }

    /// The length of the reply.
    #[must_use]
    pub fn bytes(&self) -> usize {
        sync::lock(&self.0.answer).bytes.len()
    }

    /// Takes the reply out.
    #[must_use]
    pub fn take(&self) -> Answer {
        self.0.take()
    }
}

impl Place {
    fn take(&self) -> Answer {
        let answer = std::mem::take(&mut *sync::lock(&self.answer));
        self.room.give_back(answer.bytes.len());
        answer
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // A reply that nobody waits for any more.
        self.take();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_in_deposits_is_bounded_and_given_back_resp_bound() {
        let room = Room::new(10);
        let (first, second) = (Deposit::new(&room), Deposit::new(&room));
        first.put(vec![1; 6], true).unwrap();
        assert_eq!(second.put(vec![2; 5], false).unwrap_err().reason(), Reason::ReplyTooLarge);
        second.put(vec![2; 4], false).unwrap();
        let answer = first.take();
        assert_eq!((answer.bytes, answer.wrote), (vec![1; 6], true));
        drop(second);
        assert!(room.check(10).is_ok() && room.check(11).is_err());
    }
}
