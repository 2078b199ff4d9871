//! How often a replica recovers by itself from a failure of its Applier (REPL-RECOVER): as often as each recovery gets it further than the one
//! before, and no more.
//!
//! Used by: who opens a replica again where `Replica::on_applier_failure` has called. A failure that comes at the same place ends it.

use crate::error::{Error, Result};
use crate::position::Position;
use crate::reason::Reason;

/// The recoveries of a replica since its process started.
#[derive(Clone, Debug, Default)]
pub struct Recoveries {
    count: u64,
    last: Option<(Error, Position)>,
}

impl Recoveries {
    /// Counts one more, from a failure at which everything before a position was applied.
    ///
    /// # Errors
    /// `replication.stopped`, with the failure, where the recovery before has led no further than to the same place.
    pub fn again(&mut self, failure: Error, at: Position) -> Result<()> {
        if self.last.as_ref().is_some_and(|(_, before)| at <= *before) {
            let stopped = Error::new(Reason::ReplicationStopped).with("position", at).with("failure", failure);
            return Err(stopped
                .with("recoveries", self.count)
                .with("recovered", "it failed again where recovery had ended"));
        }
        self.count = self.count.saturating_add(1);
        self.last = Some((failure, at));
        Ok(())
    }

    /// How many there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// What the last one recovers from.
    #[must_use]
    pub fn failure(&self) -> Option<&Error> {
        self.last.as_ref().map(|(failure, _)| failure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// REPL-RECOVER
    #[test]
    fn a_replica_recovers_as_often_as_that_gets_it_further() {
        let failure = || Error::new(Reason::DiskWriteFailed);
        let mut recoveries = Recoveries::default();
        assert_eq!((recoveries.count(), recoveries.failure()), (0, None));
        for (number, at) in [(1, 0), (2, 8), (3, 9)] {
            recoveries.again(failure(), Position(at)).unwrap();
            assert_eq!((recoveries.count(), recoveries.failure()), (number, Some(&failure())));
        }
        for at in [9, 8, 0] {
            let error = recoveries.clone().again(failure(), Position(at)).unwrap_err();
            assert_eq!((error.reason(), error.fact("recoveries")), (Reason::ReplicationStopped, Some("3")));
        }
    }
}
