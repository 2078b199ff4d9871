//! What one thread publishes and all may read: one atomic word.
//!
//! The word holds the last commit that may be read and, in its top bit, whether the node has halted. One word, because
//! with two a reader could be admitted at a commit that was published after the halt. Publishing can't clear a halt: it is a
//! `fetch_max`, and a halted word is larger than any that is not.
//!
//! Promise (told-of-halt): whoever learnt of the halt by any synchronising path, and everyone after them, is refused. A reader
//! that was admitted before goes on with its view, which the halt does not change.
//!
//! Writer: the committer publishes; whoever finds a fault halts. Readers: all.

use crate::commit_id::CommitId;
use crate::error::Error;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sync::{self, Condvar, Mutex, Pin, RwLock, seeded};

const HALTED: u64 = 1 << 63;

/// The last readable commit, and whether reading has ended.
#[derive(Debug)]
pub struct Published(AtomicU64);

/// One look at the word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The last commit that was published.
    pub commit: CommitId,
    /// Whether reading has ended.
    pub halted: bool,
}

impl Published {
    /// A word that begins at this commit.
    #[must_use]
    pub fn new(commit: CommitId) -> Published {
        Published(AtomicU64::new(commit.0.min(CommitId::MAX.0)))
    }

    /// Makes a commit, and all before it, readable. What it wrote must be in place before.
    pub fn publish(&self, commit: CommitId) {
        // ORDERING: Release pairs with the Acquire of `readable`: who sees the commit sees its versions. A read-modify-write, so
        // that a halt is never overwritten.
        self.0.fetch_max(commit.0.min(CommitId::MAX.0), Ordering::Release);
    }

    /// Ends reading, for good.
    pub fn halt(&self) {
        // ORDERING: Release: who sees the halt sees the fault that was recorded before it.
        self.0.fetch_or(HALTED, Ordering::Release);
    }

    /// The last readable commit; `None` after a halt.
    #[must_use]
    pub fn readable(&self) -> Option<CommitId> {
        // ORDERING: Acquire pairs with the Release of `publish` and `halt`.
        let word = self.0.load(Ordering::Acquire);
        if word & HALTED == 0 { Some(CommitId(word)) } else { None }
    }

    /// The last commit that was published, and whether reading has ended.
    #[must_use]
    pub fn seen(&self) -> Seen {
        // ORDERING: Acquire as in `readable`.
        let word = self.0.load(Ordering::Acquire);
        Seen { commit: CommitId(word & !HALTED), halted: word & HALTED != 0 }
    }

    /// The last commit that was published, halted or not: for the status, not for reading.
    #[must_use]
    pub fn commit(&self) -> CommitId {
        self.seen().commit
    }
}

/// For whom reading was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    /// For a node that makes the history.
    ForWriter,
    /// For one that follows it.
    ForFollower,
}

/// Whether reading was opened. Recovery says so once, when all that it recovered is published; readers look before they look at anything else.
#[derive(Debug)]
pub struct Opening(AtomicU64);

impl Opening {
    /// Not yet.
    #[must_use]
    pub fn new() -> Opening {
        Opening(AtomicU64::new(0))
    }

    /// Opens it.
    pub fn open(&self, opened: Opened) {
        let word = match opened {
            Opened::ForWriter => 1,
            Opened::ForFollower => 2,
        };
        // ORDERING: Release pairs with the Acquire of `seen`: who sees it opened sees what was recovered, and a bar.
        self.0.swap(word, Ordering::Release);
    }

    /// For whom, if it was.
    #[must_use]
    pub fn seen(&self) -> Option<Opened> {
        // ORDERING: Acquire pairs with the Release of `open`.
        match self.0.load(Ordering::Acquire) {
            0 => None,
            1 => Some(Opened::ForWriter),
            _ => Some(Opened::ForFollower),
        }
    }
}

impl Default for Opening {
    fn default() -> Opening {
        Opening::new()
    }
}

/// An immutable value that one side replaces and all may read: who loads it pins what was loaded, and all that it holds.
#[derive(Debug)]
pub struct Cell<T>(RwLock<Pin<T>>);

impl<T> Cell<T> {
    /// A cell that begins with this value.
    #[must_use]
    pub fn new(value: T) -> Cell<T> {
        Cell(RwLock::new(Pin::new(value)))
    }

    /// The value now.
    #[must_use]
    pub fn load(&self) -> Pin<T> {
        Pin::clone(&sync::read(&self.0))
    }

    /// Looks at the value now, without pinning it.
    pub fn look<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        look(&sync::read(&self.0))
    }

    /// Replaces the value by one that is made from it.
    pub fn update(&self, change: impl FnOnce(&T) -> T) {
        let replaced = {
            let mut cell = sync::write(&self.0);
            let next = Pin::new(change(&cell));
            std::mem::replace(&mut *cell, next)
        };
        // Dropped outside the lock: it may be the last owner of a large table.
        drop(replaced);
    }
}

/// A small value that one thread sets and all may read.
#[derive(Debug)]
pub struct Fact<T>(Mutex<T>);

impl<T: Copy> Fact<T> {
    /// A fact that begins so.
    #[must_use]
    pub fn new(value: T) -> Fact<T> {
        Fact(Mutex::new(value))
    }

    /// The fact now.
    #[must_use]
    pub fn get(&self) -> T {
        *sync::lock(&self.0)
    }

    /// Changes it.
    pub fn set(&self, value: T) {
        *sync::lock(&self.0) = value;
    }
}

/// The first failure of its kind; later ones do not replace it.
#[derive(Debug, Default)]
pub struct FirstFault(Mutex<Option<Error>>);

impl FirstFault {
    /// No failure yet.
    #[must_use]
    pub fn new() -> FirstFault {
        FirstFault(Mutex::new(None))
    }

    /// Records a failure, unless one was recorded before; says whether it was the first.
    pub fn set(&self, error: &Error) -> bool {
        let mut fault = sync::lock(&self.0);
        let first = fault.is_none() || seeded("a later fault replaces the first");
        if first {
            *fault = Some(error.clone());
        }
        first
    }

    /// The failure, if there was one.
    #[must_use]
    pub fn get(&self) -> Option<Error> {
        sync::lock(&self.0).clone()
    }
}

/// Wakes a thread that sleeps elsewhere, in a poll, once there is something for it to look at; whoever leaves it there while nobody
/// sleeps pays for no waking.
///
/// Promise: who asks to be woken, looks, finds nothing and sleeps is woken by whoever leaves something after that look.
#[derive(Debug)]
pub struct Doorbell(AtomicBool);

impl Default for Doorbell {
    /// A bell that nobody listens to.
    fn default() -> Doorbell {
        Doorbell(AtomicBool::new(false))
    }
}

impl Doorbell {
    /// Asks to be woken once. The look at what may be there comes after this.
    pub fn listen(&self) {
        // ORDERING: Acquire pairs with the Release of `ring`. Both are read-modify-writes of one word: this one comes after the ring,
        // and then the look finds what was left before it, or before the ring, which then wakes.
        self.0.swap(true, Ordering::Acquire);
    }

    /// Takes the asking back: whoever is awake looks by itself before it sleeps.
    pub fn stop_listening(&self) {
        // ORDERING: Relaxed, but a read-modify-write: a store would come between a ring and the `listen` that is to acquire it.
        self.0.swap(false, Ordering::Relaxed);
    }

    /// Says that there is something, after it was put there; whether somebody is to be woken for it.
    #[must_use]
    pub fn ring(&self) -> bool {
        // ORDERING: Release pairs with the Acquire of `listen`.
        self.0.swap(false, Ordering::Release)
    }
}

/// Lets threads wait until something that is published elsewhere holds.
#[derive(Debug, Default)]
pub struct Signal {
    turn: Mutex<()>,
    changed: Condvar,
}

impl Signal {
    /// A signal that nobody waits for.
    #[must_use]
    pub fn new() -> Signal {
        Signal { turn: Mutex::new(()), changed: Condvar::new() }
    }

    /// Waits until `holds` does. Whoever makes it hold calls [`Signal::raise`] afterwards.
    pub fn wait_until(&self, mut holds: impl FnMut() -> bool) {
        let turn = sync::lock(&self.turn);
        drop(sync::wait_while(&self.changed, turn, |()| !holds()));
    }

    /// Wakes all who wait. The lock is entered, so that nobody is between looking and waiting.
    pub fn raise(&self) {
        if !seeded("a signal is raised without entering its lock") {
            drop(sync::lock(&self.turn));
        }
        self.changed.notify_all();
    }
}
