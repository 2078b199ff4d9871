//! How one log lies to the other: the same, the beginning of it, or parted, and where.
//!
//! Equal position and history are equal logs up to there. Segments are bisected by what their headers say; then the records of one are walked, on both sides, to the
//! first that differs. Where the ends are equal nothing is read.

use super::Side;
use super::party::{Party, Steps};
use crate::error::{Error, Result};
use crate::position::{LogPoint, Position};
use crate::reason::Reason;
use crate::record::Kind;
use std::cmp::Ordering;

/// How one log lies to the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// They are the same.
    Same,
    /// One is the beginning of the other.
    Prefix {
        /// The one that ends first.
        shorter: Side,
    },
    /// Each goes on with what the other has not.
    Diverged(Fork),
}

/// Where two logs part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fork {
    /// Behind a point that both have.
    Behind {
        /// The last point that both have: there begins the first record that differs.
        common: LogPoint,
        /// That record in a.
        a: Step,
        /// That record in b.
        b: Step,
    },
    /// They differ already where the log begins that both still hold.
    Before {
        /// The oldest point of a there.
        a: LogPoint,
        /// That of b.
        b: LogPoint,
    },
}

/// A record of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// What it is.
    pub kind: Kind,
    /// The log with it.
    pub after: LogPoint,
}

pub(super) fn relate(a: &mut dyn Party, b: &mut dyn Party, from: Position) -> Result<Relation> {
    let (end_a, end_b) = (a.held().end, b.held().end);
    let (shorter, end) = match end_a.position.cmp(&end_b.position) {
        Ordering::Equal if end_a == end_b => return Ok(Relation::Same),
        Ordering::Less | Ordering::Equal => (Side::A, end_a),
        Ordering::Greater => (Side::B, end_b),
    };
    if end.position < from {
        return Err(Error::new(Reason::WalRetired).with("side", shorter).with("end", end).with("oldest", from));
    }
    let Some(last) = last_equal_segment(a, b, from, end.position)? else {
        // A log that begins at genesis begins there in every directory of its database; so a side that has no segment here has another log.
        let at = |side: &mut dyn Party| side.point_at(from).map(|point| point.unwrap_or(side.held().oldest));
        return Ok(Relation::Diverged(Fork::Before { a: at(a)?, b: at(b)? }));
    };
    let fork = first_difference(last, a.steps(last)?.as_mut(), b.steps(last)?.as_mut())?;
    Ok(fork.map_or(Relation::Prefix { shorter }, Relation::Diverged))
}

/// The beginning of the last segment that begins with the same history on both sides, by bisection: behind the first that differs all differ.
fn last_equal_segment(a: &mut dyn Party, b: &mut dyn Party, from: Position, end: Position) -> Result<Option<LogPoint>> {
    let holder = if a.held().oldest.position == from { a.segments() } else { b.segments() };
    let firsts: Vec<Position> = holder.iter().copied().filter(|first| *first <= end).collect();
    let (mut equal, mut unknown) = (None, firsts.as_slice());
    while let Some((before, [middle, behind @ ..])) = unknown.split_at_checked(unknown.len() / 2) {
        let point = a.point_at(*middle)?;
        if point.is_some() && point == b.point_at(*middle)? {
            (equal, unknown) = (point, behind);
        } else {
            unknown = before;
        }
    }
    Ok(equal)
}

/// Walks both logs, record by record, to the first that differs; `None` where one of them ends before that.
fn first_difference(mut common: LogPoint, a: &mut dyn Steps, b: &mut dyn Steps) -> Result<Option<Fork>> {
    loop {
        let (Some(a), Some(b)) = (a.next_step()?, b.next_step()?) else { return Ok(None) };
        if a != b {
            return Ok(Some(Fork::Behind { common, a, b }));
        }
        common = a.after;
    }
}
