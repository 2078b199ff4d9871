//! Whether a node follows, how far it is, and whether it may be read: the positions, the states, the first fault, and the gate.
//!
//! On a replica everything is said by its status, of one moment (`followed`). A node that writes follows nobody; of it the same rules are told as far as
//! they concern it.

use super::{Applied, Conclusion, Explanation, Kind, fact, whose};
use crate::database::Database;
use crate::gate::{Check, Wish};
use crate::reason::Reason;
#[cfg(feature = "replication")]
use crate::replica::ReplicaStatus;

/// Explains the replication of a node that runs; `replica` is its status, if it is one.
#[must_use]
pub fn replication(
    database: &Database,
    #[cfg(feature = "replication")] replica: Option<&ReplicaStatus>,
) -> Explanation {
    let wish = Wish::newest();
    let (facts, verdict) = database.look(&wish);
    let (identity, refused) = (database.identity(), verdict.err());
    let reads = match &refused {
        None => format!("Reads are answered at commit {}.", facts.applied),
        Some(error) => format!("Reads are refused: {}.", error.reason()),
    };
    let (outcome, sentence) = match identity.role.writes() {
        true => ("writes", "This node makes the history; it follows nobody."),
        false => ("rests", "Nobody follows for this replica while its directory is open like this."),
    };
    let mut observed = whose(identity);
    observed.extend([
        fact("commit", facts.applied),
        fact("floor", facts.floor),
        fact("durable", database.extent().durable),
        fact("log_oldest", database.extent().oldest),
    ]);
    let mut explanation = Explanation {
        kind: Kind::Replication,
        observed,
        inputs: Vec::new(),
        rules: Vec::new(),
        conclusion: Conclusion { outcome, sentence: sentence.to_owned(), error: None },
        left_out: Vec::new(),
    };
    #[cfg(feature = "replication")]
    if let Some(status) = replica {
        super::followed::add(status, &mut explanation);
    }
    let gated = Check::ALL.iter().map(|check| Applied::of_gate(*check, &facts, &wish).to("reads"));
    explanation.rules.extend(gated);
    let conclusion = &mut explanation.conclusion;
    conclusion.sentence = format!("{} {reads}", conclusion.sentence);
    // What ended replication says what to do, and all that is known of it; that reads are refused for it does not.
    let own = conclusion.error.take();
    conclusion.error = match own {
        Some(error) if [Reason::ReplicaHalted, Reason::ReplicationStopped].contains(&error.reason()) => Some(error),
        own => refused.or(own),
    };
    explanation
}
