//! Points of the log that are known for certain, so that whoever has to find another one need not walk far (READ-HISTORY).
//!
//! One for each stretch of log that was applied since the start; where there would be too many, every other one goes and the stretch doubles. Writer:
//! the applier. Readers: all.

use crate::limits::{LANDMARK_BYTES, LANDMARKS_MAX};
use crate::position::{LogPoint, Position};
use crate::sync::{self, Mutex};

#[derive(Debug)]
pub(super) struct Landmarks(Mutex<Kept>);

#[derive(Debug)]
struct Kept {
    points: Vec<LogPoint>,
    stretch_bytes: u64,
}

impl Default for Landmarks {
    fn default() -> Landmarks {
        Landmarks(Mutex::new(Kept { points: Vec::new(), stretch_bytes: LANDMARK_BYTES }))
    }
}

impl Landmarks {
    /// The log is applied up to here.
    pub(super) fn pass(&self, point: LogPoint) {
        let mut kept = sync::lock(&self.0);
        let last = kept.points.last().map_or(Position::GENESIS, |last| last.position);
        if !kept.points.is_empty() && point.position.since(last) < kept.stretch_bytes {
            return;
        }
        if kept.points.len() >= LANDMARKS_MAX {
            let mut stays = false;
            kept.points.retain(|_| {
                stays = !stays;
                stays
            });
            kept.stretch_bytes = kept.stretch_bytes.saturating_mul(2);
        }
        kept.points.push(point);
    }

    /// The last one that is not behind a position.
    pub(super) fn before(&self, position: Position) -> Option<LogPoint> {
        let kept = sync::lock(&self.0);
        let behind = kept.points.partition_point(|point| point.position <= position);
        behind.checked_sub(1).and_then(|index| kept.points.get(index)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commit_id::CommitId;
    use crate::position::History;

    fn at(position: u64) -> LogPoint {
        LogPoint { position: Position(position), history: History(position), commit: CommitId(position) }
    }

    /// READ-HISTORY: what was passed is found from a stretch before it at most, and the memory is bounded.
    #[test]
    fn the_last_point_before_a_position_is_near() {
        let landmarks = Landmarks::default();
        assert_eq!(landmarks.before(Position(7)), None);
        let step = LANDMARK_BYTES / 4;
        let count = 6 * LANDMARKS_MAX as u64;
        for number in 0..count {
            landmarks.pass(at(number * step));
        }
        let kept = sync::lock(&landmarks.0);
        let (len, stretch) = (kept.points.len(), kept.stretch_bytes);
        drop(kept);
        assert!(len <= LANDMARKS_MAX && stretch == 2 * LANDMARK_BYTES, "{len} {stretch}");
        for position in [0, 1, step, 5 * step + 3, count * step / 2, count * step - 1] {
            let found = landmarks.before(Position(position)).unwrap();
            assert!(found.position.0 <= position && position - found.position.0 <= stretch + step, "{position} {found}");
        }
    }
}
