//! The door to threads and shared memory.
//!
//! Nothing else names `std::sync`, `std::thread` or `loom`. In a product build these are the standard library's; under
//! `--cfg aerodb_loom` they are loom's, so that the models in `loom-tests/` check the very code that ships.
//!
//! A lock whose holder panicked is not entered again: the panic was one of our own assertions, and it spreads.
//!
//! Under loom every atomic access and every notification is also a place where a bug can be seeded, without a word about it in the
//! code that uses it (`sync/broken.rs`). What can't be broken from here, a condition or a count, asks [`seeded`].

#[cfg(aerodb_loom)]
pub mod broken;

/// Shared ownership. loom does not track it: nothing depends on when the last owner goes, except through [`Pin`].
pub use std::sync::{Arc, Weak};

use std::sync::TryLockError;

/// A place that is filled once. loom does not track it: what fills it is the same whoever is first.
pub use std::sync::OnceLock;

#[cfg(aerodb_loom)]
pub use loom::sync::Arc as Pin;
/// Shared ownership whose count is read: what a view pins may be removed once it is the remover's alone.
#[cfg(not(aerodb_loom))]
pub use std::sync::Arc as Pin;

/// The standard library's channels, for `queue` alone.
#[cfg(not(aerodb_loom))]
pub(crate) use std::sync::mpsc as channel;
#[cfg(not(aerodb_loom))]
pub use std::sync::{Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard, atomic};
#[cfg(not(aerodb_loom))]
pub use std::thread::JoinHandle;

#[cfg(aerodb_loom)]
pub use broken::{Condvar, atomic, seeded};
#[cfg(aerodb_loom)]
pub use loom::sync::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};
#[cfg(aerodb_loom)]
pub use loom::thread::JoinHandle;

/// Whether this bug is seeded: never in a product build, where the question costs nothing; under loom in the one run that must
/// notice it. The bug is named by what it does wrong.
#[cfg(not(aerodb_loom))]
#[inline(always)]
#[must_use]
pub const fn seeded(_bug: &'static str) -> bool {
    false
}

/// Whether this bug is planted: never in a build without debug assertions, where the question costs nothing; in the builds of the tests
/// in those runs of the simulator that must notice it.
#[cfg(not(all(debug_assertions, not(aerodb_loom))))]
#[inline(always)]
#[must_use]
pub const fn planted(_bug: &'static str) -> bool {
    false
}

#[cfg(all(debug_assertions, not(aerodb_loom)))]
thread_local! {
    static PLANTED: std::cell::Cell<&'static str> = const { std::cell::Cell::new("") };
}

/// Whether this bug is planted.
#[cfg(all(debug_assertions, not(aerodb_loom)))]
#[must_use]
pub fn planted(bug: &'static str) -> bool {
    PLANTED.get() == bug
}

/// Plants a bug, or none, in what this thread of the operating system does from here on.
#[cfg(all(debug_assertions, not(aerodb_loom)))]
pub fn plant(bug: Option<&'static str>) {
    PLANTED.set(bug.unwrap_or_default());
}

/// Starts a named thread.
///
/// # Errors
/// When the operating system refuses another thread.
#[cfg(not(aerodb_loom))]
pub fn spawn<T: Send + 'static>(
    name: &str,
    body: impl FnOnce() -> T + Send + 'static,
) -> std::io::Result<JoinHandle<T>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(body)
}

/// Starts a thread of the model.
///
/// # Errors
/// Never; the signature is that of the product build.
#[cfg(aerodb_loom)]
pub fn spawn<T: Send + 'static>(
    _name: &str,
    body: impl FnOnce() -> T + Send + 'static,
) -> std::io::Result<JoinHandle<T>> {
    Ok(loom::thread::spawn(body))
}

/// Runs what may fail an assertion that is not to end this thread.
///
/// # Errors
/// What the assertion said.
#[cfg(not(aerodb_loom))]
pub fn caught<T>(body: impl FnOnce() -> T) -> Result<T, String> {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    catch_unwind(AssertUnwindSafe(body)).map_err(|said| match said.downcast::<String>() {
        Ok(said) => *said,
        Err(said) => said.downcast_ref::<&str>().copied().unwrap_or("nothing").to_owned(),
    })
}

/// Runs it. In a model every assertion that fails is to be seen.
///
/// # Errors
/// Never; the signature is that of the product build.
#[cfg(aerodb_loom)]
pub fn caught<T>(body: impl FnOnce() -> T) -> Result<T, String> {
    Ok(body())
}

/// Enters a mutex.
///
/// # Panics
/// When a holder panicked: the assertion that failed there fails here too.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("a holder of this lock failed an assertion")
}

/// Enters a read-write lock for reading.
///
/// # Panics
/// When a holder panicked.
pub fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().expect("a holder of this lock failed an assertion")
}

/// Enters a read-write lock for reading, unless that would take a while.
///
/// # Panics
/// When a holder panicked.
pub fn try_read<T>(lock: &RwLock<T>) -> Option<RwLockReadGuard<'_, T>> {
    match lock.try_read() {
        Ok(guard) => Some(guard),
        Err(TryLockError::WouldBlock) => None,
        Err(TryLockError::Poisoned(_)) => panic!("a holder of this lock failed an assertion"),
    }
}

/// Enters a read-write lock for writing.
///
/// # Panics
/// When a holder panicked.
pub fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().expect("a holder of this lock failed an assertion")
}

/// Waits on a condition variable until the condition no longer holds.
///
/// # Panics
/// When a holder panicked.
pub fn wait_while<'a, T>(
    condvar: &Condvar,
    mut guard: MutexGuard<'a, T>,
    mut condition: impl FnMut(&mut T) -> bool,
) -> MutexGuard<'a, T> {
    while condition(&mut guard) {
        guard = condvar.wait(guard).expect("a holder of this lock failed an assertion");
        if seeded("who was woken does not look again") {
            break;
        }
    }
    guard
}
