//! Range reads: the rows of a view in the order of their keys, forwards or backwards, bounded (M-VIEW).
//!
//! Each source (the table, sealed tables, runs) walks its keys with the version that is visible at the view. The merge takes the
//! smallest key (the greatest, backwards); where several sources have it, the newest source has the newest version, because
//! sources hold ranges of commits that follow one another. Keys without a value are passed over; who has to bound its work sees them too
//! ([`Rows::next_place`]). One view for the whole range.
//!
//! The cursor stands behind a hold, so that it can be revoked between two rows, with all that it pins; hence a row is copied out of it.

use super::Store;
use super::hold::{Hold, Holder, Pins};
use super::run::{self, Direction, RunCursor, Sight};
use super::state::{Replaced, State};
use super::table::TableCursor;
use crate::commit_id::CommitId;
use crate::error::{Error, Result};
use crate::limits;
use crate::reason::Reason;
use crate::sync::{Arc, Pin};
use std::cmp::Ordering;
use std::ops::Bound;

/// Which rows to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// The smallest key.
    pub from: Bound<Vec<u8>>,
    /// The greatest key.
    pub to: Bound<Vec<u8>>,
    /// From the smallest to the greatest, or the other way.
    pub direction: Direction,
    /// At most so many rows; at least 1, at most [`limits::RANGE_ROWS_MAX`].
    pub limit: usize,
}

impl Range {
    /// All keys, forwards.
    #[must_use]
    pub fn all(limit: usize) -> Range {
        Range { from: Bound::Unbounded, to: Bound::Unbounded, direction: Direction::Forward, limit }
    }

    fn check(&self) -> Result<()> {
        let limit_holds = (1..=limits::RANGE_ROWS_MAX).contains(&self.limit);
        let ordered = match (&self.from, &self.to) {
            (Bound::Unbounded, _) | (_, Bound::Unbounded) => true,
            (Bound::Included(from) | Bound::Excluded(from), Bound::Included(to) | Bound::Excluded(to)) => from <= to,
        };
        if limit_holds && ordered {
            return Ok(());
        }
        Err(Error::new(Reason::RangeInvalid)
            .with("limit", self.limit)
            .with("limit_max", limits::RANGE_ROWS_MAX)
            .with("ordered", ordered))
    }
}

enum Source {
    Table(TableCursor),
    Run(RunCursor),
}

impl Source {
    fn seek(&mut self, bound: Bound<&[u8]>) -> Result<()> {
        match self {
            Source::Table(cursor) => {
                cursor.seek(bound);
                Ok(())
            }
            Source::Run(cursor) => cursor.seek(bound),
        }
    }

    fn advance(&mut self) -> Result<()> {
        match self {
            Source::Table(cursor) => {
                cursor.advance();
                Ok(())
            }
            Source::Run(cursor) => cursor.advance(),
        }
    }

    /// Bytes of the blocks that it took so far: none, where nothing is read.
    fn taken_bytes(&self) -> usize {
        match self {
            Source::Table(_) => 0,
            Source::Run(cursor) => cursor.taken_bytes(),
        }
    }

    fn current(&self) -> Option<(&[u8], Sight<'_>)> {
        match self {
            Source::Table(cursor) => cursor.current(),
            Source::Run(cursor) => cursor.current(),
        }
    }
}

/// A source and the beginning of the key that it stands at, by which most keys are told apart without being looked at.
struct Lane {
    source: Source,
    /// The first eight bytes as a number, smaller for what comes earlier in the direction; `None` at the end of the source.
    head: Option<u64>,
}

impl Lane {
    fn new(mut source: Source, begin: Bound<&[u8]>, direction: Direction) -> Result<Lane> {
        source.seek(begin)?;
        let mut lane = Lane { source, head: None };
        lane.look(direction);
        Ok(lane)
    }

    /// Goes to the next key; returns the bytes of the blocks that were taken for that.
    fn advance(&mut self, direction: Direction) -> Result<usize> {
        self.head = None;
        let before = self.source.taken_bytes();
        self.source.advance()?;
        self.look(direction);
        Ok(self.source.taken_bytes().saturating_sub(before))
    }

    fn look(&mut self, direction: Direction) {
        self.head = self.source.current().map(|(key, _)| {
            let head = u64::from_be_bytes(run::beginning(key));
            match direction {
                Direction::Forward => head,
                Direction::Backward => !head,
            }
        });
    }

    fn key(&self) -> &[u8] {
        self.source.current().map_or(&[], |(key, _)| key)
    }
}

/// A place in a range, and all that it reads from.
struct Cursor {
    state: Pin<State>,
    /// Newest first.
    lanes: Vec<Lane>,
    /// The lanes that stand at the key that was entered last.
    at_key: Vec<usize>,
    direction: Direction,
    end: Bound<Vec<u8>>,
}

impl Pins for Cursor {
    const HOLDER: Holder = Holder::Rows;

    fn number(&self) -> u64 {
        self.state.number
    }

    fn keeps(&self, replaced: &dyn Replaced) -> bool {
        self.state.keeps(replaced)
    }
}

/// What a cursor found at the next key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Row,
    /// A key without a value.
    Passed,
    End,
}

#[derive(Default)]
struct Row {
    key: Vec<u8>,
    value: Vec<u8>,
    /// Bytes of the blocks that were taken for all rows up to it.
    taken_bytes: usize,
}

impl Cursor {
    /// Goes to the next key of the range, and copies its row.
    fn step(&mut self, row: &mut Row) -> Result<Step> {
        row.taken_bytes = row.taken_bytes.saturating_add(self.leave_key()?);
        self.enter_key();
        let mut at_key = self.at_key.iter().filter_map(|index| self.lanes.get(*index)?.source.current()).peekable();
        let Some((key, _)) = at_key.peek().filter(|(key, _)| self.within(key)) else { return Ok(Step::End) };
        row.key.clear();
        row.key.extend_from_slice(key);
        row.value.clear();
        // The newest source that has a version here decides.
        Ok(match at_key.map(|(_, seen)| seen).find(|seen| *seen != Sight::Nothing) {
            Some(Sight::Value(value)) => {
                row.value.extend_from_slice(value);
                Step::Row
            }
            Some(Sight::Tombstone | Sight::Nothing) | None => Step::Passed,
        })
    }

    /// Goes on from the last key; returns the bytes of the blocks that were taken for that.
    fn leave_key(&mut self) -> Result<usize> {
        let mut taken_bytes = 0_usize;
        for index in self.at_key.drain(..) {
            if let Some(lane) = self.lanes.get_mut(index) {
                taken_bytes = taken_bytes.saturating_add(lane.advance(self.direction)?);
            }
        }
        Ok(taken_bytes)
    }

    /// Finds the lanes that stand at the next key, the newest first.
    fn enter_key(&mut self) {
        let mut best: Option<(u64, &Lane)> = None;
        for (index, lane) in self.lanes.iter().enumerate() {
            let Some(head) = lane.head else { continue };
            let order = best.map_or(Ordering::Less, |(best_head, best)| {
                head.cmp(&best_head).then_with(|| match self.direction {
                    Direction::Forward => lane.key().cmp(best.key()),
                    Direction::Backward => best.key().cmp(lane.key()),
                })
            });
            match order {
                Ordering::Less => {
                    best = Some((head, lane));
                    self.at_key.clear();
                    self.at_key.push(index);
                }
                Ordering::Equal => self.at_key.push(index),
                Ordering::Greater => {}
            }
        }
    }

    fn within(&self, key: &[u8]) -> bool {
        match (&self.end, self.direction) {
            (Bound::Unbounded, _) => true,
            (Bound::Included(end), Direction::Forward) => key <= end.as_slice(),
            (Bound::Excluded(end), Direction::Forward) => key < end.as_slice(),
            (Bound::Included(end), Direction::Backward) => key >= end.as_slice(),
            (Bound::Excluded(end), Direction::Backward) => key > end.as_slice(),
        }
    }
}

/// A key of a walk, and its value if it has one.
pub type Place<'a> = (&'a [u8], Option<&'a [u8]>);

/// The rows of a range, one after the other.
pub struct Rows {
    hold: Hold<Cursor>,
    /// What ended the range before its end: no row is passed over, so there is none behind it.
    fault: Option<Error>,
    /// The row that was returned last.
    row: Row,
    /// How many may follow; none once the end was met.
    left: usize,
}

impl Rows {
    /// The rows of a state at a commit.
    ///
    /// # Errors
    /// `range.invalid`, `store.block_corrupt`, `disk.read_failed`.
    pub(super) fn new(store: &Arc<Store>, state: &Pin<State>, at: CommitId, range: Range) -> Result<Rows> {
        range.check()?;
        let direction = range.direction;
        let tables = state.tables(at).map(|table| Source::Table(TableCursor::new(Pin::clone(table), at, direction)));
        let runs = state.runs.iter().filter(|run| run.id().first <= at);
        let runs = runs.map(|run| Source::Run(RunCursor::new(Pin::clone(run), at, direction)));
        let (begin, end) = match direction {
            Direction::Forward => (range.from, range.to),
            Direction::Backward => (range.to, range.from),
        };
        let begin = begin.as_ref().map(Vec::as_slice);
        let lanes: Vec<_> =
            tables.chain(runs).map(|source| Lane::new(source, begin, direction)).collect::<Result<_>>()?;
        let taken_bytes = lanes.iter().map(|lane| lane.source.taken_bytes()).sum();
        let row = Row { taken_bytes, ..Row::default() };
        let cursor = Cursor { state: Pin::clone(state), lanes, at_key: Vec::new(), direction, end };
        Ok(Rows { hold: Hold::new(store, at, cursor), fault: None, row, left: range.limit })
    }

    /// The next row: key and value. `None` at the end of the range or of the limit, and ever after, without another look. After an error
    /// there is no further row, only the error again; corruption halts the node (D-CORRUPT).
    ///
    /// # Errors
    /// `view.revoked`, `store.block_corrupt`, `disk.read_failed`.
    pub fn next_row(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        loop {
            match self.step()? {
                Step::Passed => {}
                Step::End => return Ok(None),
                Step::Row => return Ok(Some((&self.row.key, &self.row.value))),
            }
        }
    }

    /// The next key, with its value if it is a row. A key without one was deleted, or is the last of some that have no version in this
    /// view. To get from one place to the next takes a bounded time, so who counts places bounds its work.
    ///
    /// # Errors
    /// As [`Rows::next_row`].
    pub fn next_place(&mut self) -> Result<Option<Place<'_>>> {
        Ok(match self.step()? {
            Step::Passed => Some((&self.row.key, None)),
            Step::End => None,
            Step::Row => Some((&self.row.key, Some(&self.row.value))),
        })
    }

    /// Bytes of the blocks that were taken up to here, whatever they showed; before the first row those that it took to find the first key
    /// in each run. Who bounds its work counts them too: what hides a large value is small.
    #[must_use]
    pub fn taken_bytes(&self) -> usize {
        self.row.taken_bytes
    }

    /// Goes to the next key. The hold can be revoked at every one, so that many without a value do not put it off.
    fn step(&mut self) -> Result<Step> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(Step::End) };
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        let step = self.hold.advance(|cursor| cursor.step(&mut self.row));
        match &step {
            Ok(Step::Row) => self.left = left,
            Ok(Step::End) => self.left = 0,
            Ok(Step::Passed) => {}
            Err(error) => self.fault = Some(error.clone()),
        }
        step
    }

    /// All rows that are left, copied.
    ///
    /// # Errors
    /// As [`Rows::next_row`].
    pub fn collect(mut self) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let mut rows = Vec::new();
        while let Some((key, value)) = self.next_row()? {
            rows.push((key.to_vec(), value.to_vec()));
        }
        Ok(rows)
    }
}

