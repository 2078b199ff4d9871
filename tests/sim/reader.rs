//! Readers: they ask every node, all the time and through every fault, and what they are told must be what the oracle says (R-READ, READ-GATE,
//! F-RS1, F-RS2).
//!
//! A reader that is admitted reads what the primary's line has at that commit; one that is refused is told the rule that does not hold, and
//! the true numbers. So nobody is refused without cause either. Some ask between two steps; one is called by the store at the moment at which it
//! publishes, in the middle of a step.

use super::dice::Dice;
use super::line::{Line, Rows};
use super::marks::{Mark, Marks};
use super::primary::is_disk_trouble;
use aerodb::store::Store;
use aerodb::{CommitId, Error, LogPoint, Range, Reason, View, Wish};
use std::sync::{Arc, Mutex};

/// What is so at a node.
pub struct Truth<'a> {
    pub line: &'a Line,
    /// Up to where the line is applied.
    pub applied: LogPoint,
    pub halted: bool,
    /// Its disk was told to fail.
    pub disk_fault: bool,
}

/// Why a reader must be refused, with which numbers, and what has occurred then.
type Refusal = (Reason, [(&'static str, u64); 2], Mark);

impl Truth<'_> {
    /// What a reader must be told, said once more by the sentences of `read-semantics.md`.
    fn verdict(&self, wish: &Wish) -> Result<u64, Option<Refusal>> {
        let (applied, floor) = (self.applied.commit.0, self.line.floor(self.applied.position.0));
        let view = wish.at.map_or(applied, |at| at.0);
        let least = wish.at_least.map_or(0, |commit| commit.0);
        if self.halted {
            Err(None)
        } else if view > applied {
            Err(Some((Reason::ViewBeyondApplied, [("view", view), ("applied_commit", applied)], Mark::ReadBeyond)))
        } else if view < floor {
            Err(Some((Reason::ViewBelowFloor, [("view", view), ("floor", floor)], Mark::ReadBelowFloor)))
        } else if view < least {
            Err(Some((Reason::ReadBehind, [("view", view), ("at_least", least)], Mark::ReadBehind)))
        } else {
            Ok(view)
        }
    }

    /// A reader asks for something.
    pub fn ask(&self, store: &Arc<Store>, dice: &mut Dice, marks: &mut Marks) -> Result<(), String> {
        let some = |dice: &mut Dice| CommitId(dice.below(self.applied.commit.0 + 3));
        let at = if dice.once_in(2) { Some(some(dice)) } else { None };
        let at_least = if dice.once_in(3) { Some(some(dice)) } else { None };
        let wish = Wish { at, at_least, on: None };
        let Some(view) = self.asks(store, &wish, marks)? else { return Ok(()) };
        if dice.once_in(16) { self.check_rows(&view) } else { self.check_key(&view, &key(dice.roll())) }
    }

    /// A reader asks for this, and must be told the truth; the view, where it is admitted.
    pub fn asks(&self, store: &Arc<Store>, wish: &Wish, marks: &mut Marks) -> Result<Option<View>, String> {
        let told = store.read(wish, None);
        let verdict = self.verdict(wish);
        let mark = match (&verdict, &told) {
            (Ok(expected), Ok(view)) if view.commit().0 == *expected => {
                if view.commit() < self.applied.commit {
                    Mark::ReadOld
                } else {
                    Mark::ReadNewest
                }
            }
            (Err(None), Err(error)) if error.reason() == Reason::ReplicaHalted => Mark::ReadHalted,
            (Err(Some((reason, numbers, mark))), Err(error)) if error.reason() == *reason && shows(error, numbers) => {
                *mark
            }
            _ => {
                let told = told.map(|view| view.commit()).map_err(|error| error.to_string());
                return Err(format!(
                    "a reader that asks for {wish:?} is told {told:?}, and should be told {verdict:?}"
                ));
            }
        };
        marks.set(mark);
        Ok(told.ok())
    }

    fn check_key(&self, view: &View, key: &[u8]) -> Result<(), String> {
        let at = view.commit().0;
        match view.get(key) {
            Ok(found) if found.as_deref() == self.line.get(key, at) => Ok(()),
            Err(error) if self.excuses(&error) => Ok(()),
            found => Err(format!(
                "a reader of {key:?} at {at} finds {found:?}, and should find {:?}",
                self.line.get(key, at)
            )),
        }
    }

    fn check_rows(&self, view: &View) -> Result<(), String> {
        let at = view.commit().0;
        match view.range(Range::all(1000)).and_then(|rows| rows.collect()) {
            Ok(rows) if rows.iter().cloned().collect::<Rows>() == self.line.rows(at) => Ok(()),
            Err(error) if self.excuses(&error) => Ok(()),
            found => Err(format!("a reader at {at} finds {found:?}, and should find {:?}", self.line.rows(at))),
        }
    }

    /// Whether a disk that was told to fail may have said this.
    fn excuses(&self, error: &Error) -> bool {
        self.disk_fault && is_disk_trouble(error)
    }
}

fn shows(error: &Error, numbers: &[(&'static str, u64)]) -> bool {
    numbers.iter().all(|(name, number)| error.fact(name) == Some(number.to_string().as_str()))
}

fn key(number: u64) -> Vec<u8> {
    format!("key{:02}", number % 16).into_bytes()
}

/// What the reader that the store calls found at a commit under a key; or why it was refused.
type Found = Result<(u64, Vec<u8>, aerodb::Result<Option<Vec<u8>>>), Reason>;

/// The reader that the store calls whenever it says that something can be read, or no more.
#[derive(Default)]
pub struct Watch {
    found: Arc<Mutex<Vec<Found>>>,
    last: u64,
}

impl Watch {
    /// Has it called by this store.
    pub fn begin(store: &Arc<Store>) -> Watch {
        let watch = Watch { last: store.commit().0, ..Watch::default() };
        let (found, weak) = (Arc::clone(&watch.found), Arc::downgrade(store));
        store.on_publish(move || {
            let store = weak.upgrade().expect("who calls it is there");
            let read = store.read(&Wish::newest(), None).map_err(|error| error.reason());
            let read = read.map(|view| (view.commit().0, key(view.commit().0), view.get(&key(view.commit().0))));
            found.lock().expect("nobody fails here").push(read);
        });
        watch
    }

    /// What it found since the last look must have been true.
    pub fn check(&mut self, truth: &Truth<'_>, marks: &mut Marks) -> Result<(), String> {
        for found in self.found.lock().expect("nobody fails here").drain(..) {
            match found {
                Ok((at, key, value)) => {
                    if at < self.last || at > truth.applied.commit.0 {
                        return Err(format!(
                            "a reader is called at {at}, behind {} and before {}",
                            self.last, truth.applied
                        ));
                    }
                    self.last = at;
                    let expected = truth.line.get(&key, at);
                    match value {
                        Ok(value) if value.as_deref() == expected => marks.set(Mark::ReadAtOnce),
                        Err(error) if truth.excuses(&error) => {}
                        value => {
                            return Err(format!("when {at} is published {key:?} is {value:?}, and was {expected:?}"));
                        }
                    }
                }
                Err(Reason::ReplicaHalted) if truth.halted => {}
                Err(reason) => return Err(format!("a reader that was called is refused with {reason}")),
            }
        }
        Ok(())
    }
}
