//! loom's primitives, which break on order.
//!
//! A green model proves nothing until it was seen to fail. So every place of the product that touches an atomic or notifies a
//! condition variable is also a place of seeded bugs: weaken the ordering by one half, tear the read-modify-write in two, overwrite
//! instead of combining, notify nobody, notify one of all. The places are found by running the models, not listed by hand, so
//! that new code is covered by existing: `loom-tests/` runs every model once for every bug it reached and wants a failure.
//!
//! loom also skips executions where a thread loads the word that it later writes. Hence a run reads either as the code says
//! or *freshly*, every load being a read-modify-write that changes nothing; a model is explored both ways.
//!
//! Compiled under `--cfg aerodb_loom` only. The state of a run is per thread of the operating system: loom's threads share one,
//! models that are tested side by side do not. Places outside `src/`, the models' own, are never broken.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::Location;

/// What can be wrong about a place.
#[derive(Clone, Copy, Debug)]
enum Break {
    Unacquired,
    Unreleased,
    Torn,
    Overwritten,
    Silent,
    Single,
}

impl Break {
    fn says(self) -> &'static str {
        match self {
            Break::Unacquired => "does not acquire",
            Break::Unreleased => "does not release",
            Break::Torn => "reads and writes in two steps",
            Break::Overwritten => "overwrites",
            Break::Silent => "notifies nobody",
            Break::Single => "notifies one of all",
        }
    }
}

#[derive(Default)]
struct Run {
    fresh: bool,
    loads: bool,
    bug: Option<String>,
    /// Every bug whose place was reached, and whether it is the seeded one. The key is the address of the name with its length,
    /// or that of the place with what is wrong there, so that asking again costs no text.
    reached: BTreeMap<(usize, usize), (String, bool)>,
}

thread_local! {
    static RUN: RefCell<Run> = RefCell::default();
}

/// Begins a run: with this bug, or none, and with fresh loads or such as the code asks for.
pub fn begin(bug: Option<String>, fresh: bool) {
    RUN.with_borrow_mut(|run| *run = Run { fresh, bug, ..Run::default() });
}

/// Whether this run loaded any word: if not, fresh loads change nothing.
#[must_use]
pub fn loads() -> bool {
    RUN.with_borrow(|run| run.loads)
}

/// The bugs whose places this run reached.
#[must_use]
pub fn reached() -> Vec<String> {
    RUN.with_borrow(|run| run.reached.values().map(|(bug, _)| bug.clone()).collect())
}

/// Whether this bug is seeded in this run. Being asked is what makes it known.
#[must_use]
pub fn seeded(bug: &'static str) -> bool {
    reach((bug.as_ptr().addr(), bug.len()), || bug.to_owned())
}

fn reach(key: (usize, usize), describe: impl FnOnce() -> String) -> bool {
    RUN.with_borrow_mut(|run| {
        let Run { bug, reached, .. } = run;
        reached
            .entry(key)
            .or_insert_with(|| {
                let description = describe();
                let seeded = bug.as_ref() == Some(&description);
                (description, seeded)
            })
            .1
    })
}

fn broken(place: &'static Location<'static>, how: Break) -> bool {
    let file = place.file();
    let file = file.strip_prefix(concat!(env!("CARGO_MANIFEST_DIR"), "/")).unwrap_or(file);
    file.starts_with("src/")
        && reach((std::ptr::from_ref(place).addr(), how as usize), || {
            format!("{file}:{}:{} {}", place.line(), place.column(), how.says())
        })
}

fn load_freshly() -> bool {
    RUN.with_borrow_mut(|run| {
        run.loads = true;
        run.fresh
    })
}

/// loom's condition variable.
#[derive(Debug, Default)]
pub struct Condvar(loom::sync::Condvar);

impl Condvar {
    /// One that nobody waits on.
    #[must_use]
    pub fn new() -> Condvar {
        Condvar::default()
    }

    /// Waits for a notification.
    ///
    /// # Errors
    /// Never; the signature is the standard library's.
    pub fn wait<'a, T>(
        &self,
        guard: loom::sync::MutexGuard<'a, T>,
    ) -> std::sync::LockResult<loom::sync::MutexGuard<'a, T>> {
        self.0.wait(guard)
    }

    /// Wakes one that waits.
    #[track_caller]
    pub fn notify_one(&self) {
        if !broken(Location::caller(), Break::Silent) {
            self.0.notify_one();
        }
    }

    /// Wakes all that wait.
    #[track_caller]
    pub fn notify_all(&self) {
        let place = Location::caller();
        if broken(place, Break::Single) {
            self.0.notify_one();
        } else if !broken(place, Break::Silent) {
            self.0.notify_all();
        }
    }
}

/// loom's atomics.
pub mod atomic {
    use super::{Break, Location, broken, load_freshly};
    pub use std::sync::atomic::Ordering;

    /// The ordering of an access that reads, writes or does both, less the half that is broken.
    fn weakened(place: &'static Location<'static>, ordering: Ordering, reads: bool, writes: bool) -> Ordering {
        let all = ordering == Ordering::SeqCst;
        let acquires = reads && (all || matches!(ordering, Ordering::Acquire | Ordering::AcqRel));
        let releases = writes && (all || matches!(ordering, Ordering::Release | Ordering::AcqRel));
        if acquires && broken(place, Break::Unacquired) {
            if releases { Ordering::Release } else { Ordering::Relaxed }
        } else if releases && broken(place, Break::Unreleased) {
            if acquires { Ordering::Acquire } else { Ordering::Relaxed }
        } else {
            ordering
        }
    }

    macro_rules! atomic {
        ($name:ident, $value:ty, $nothing:expr, { $($combine:ident: $result:expr,)* }) => {
            #[doc = concat!("loom's `", stringify!($name), "`.")]
            #[derive(Debug)]
            pub struct $name(loom::sync::atomic::$name);

            impl $name {
                /// Holds this value at first.
                #[must_use]
                pub fn new(value: $value) -> Self {
                    Self(loom::sync::atomic::$name::new(value))
                }

                /// The value.
                #[track_caller]
                pub fn load(&self, ordering: Ordering) -> $value {
                    let ordering = weakened(Location::caller(), ordering, true, false);
                    if load_freshly() { self.0.fetch_or($nothing, ordering) } else { self.0.load(ordering) }
                }

                /// Replaces the value.
                #[track_caller]
                pub fn store(&self, value: $value, ordering: Ordering) {
                    self.0.store(value, weakened(Location::caller(), ordering, false, true));
                }

                /// Replaces the value and returns the one before.
                #[track_caller]
                pub fn swap(&self, value: $value, ordering: Ordering) -> $value {
                    let place = Location::caller();
                    if broken(place, Break::Torn) {
                        self.torn(|_| value)
                    } else {
                        self.0.swap(value, weakened(place, ordering, true, true))
                    }
                }

                /// Replaces the value if it is the expected one; returns the one before.
                ///
                /// # Errors
                /// With the value, when it is another.
                #[track_caller]
                pub fn compare_exchange(
                    &self,
                    expected: $value,
                    value: $value,
                    success: Ordering,
                    failure: Ordering,
                ) -> Result<$value, $value> {
                    let place = Location::caller();
                    if broken(place, Break::Torn) {
                        let before = self.torn(|before| if before == expected { value } else { before });
                        if before == expected { Ok(before) } else { Err(before) }
                    } else {
                        let success = weakened(place, success, true, true);
                        self.0.compare_exchange(expected, value, success, weakened(place, failure, true, false))
                    }
                }

                $(
                    #[doc = concat!("The standard library's `", stringify!($combine), "`.")]
                    #[track_caller]
                    pub fn $combine(&self, operand: $value, ordering: Ordering) -> $value {
                        let place = Location::caller();
                        let result: fn($value, $value) -> $value = $result;
                        if broken(place, Break::Torn) {
                            self.torn(|before| result(before, operand))
                        } else if broken(place, Break::Overwritten) {
                            self.0.swap(operand, ordering)
                        } else {
                            self.0.$combine(operand, weakened(place, ordering, true, true))
                        }
                    }
                )*

                /// A read-modify-write in two steps. The first reads freshly, or loom would skip what comes between.
                fn torn(&self, result: impl FnOnce($value) -> $value) -> $value {
                    let before = self.0.fetch_or($nothing, Ordering::Acquire);
                    self.0.store(result(before), Ordering::Release);
                    before
                }
            }
        };
    }

    macro_rules! integer {
        ($name:ident, $value:ty) => {
            atomic!($name, $value, 0, {
                fetch_add: |before, operand| before.wrapping_add(operand),
                fetch_sub: |before, operand| before.wrapping_sub(operand),
                fetch_max: |before, operand| before.max(operand),
                fetch_or: |before, operand| before | operand,
            });
        };
    }

    integer!(AtomicU32, u32);
    integer!(AtomicU64, u64);
    integer!(AtomicUsize, usize);
    atomic!(AtomicBool, bool, false, { fetch_or: |before, operand| before | operand, });
}
