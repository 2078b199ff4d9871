//! What a replica's directory says of its replication while nobody has it open: whose it is, what it had applied, and what halted it.
//!
//! It is read, and nothing else: no lock is taken, nothing is opened, replayed or removed. So it can be asked where the directory does not open, as long
//! as identity and state verify.

use super::ended::{self, Ended};
use super::{Conclusion, Explanation, Kind, fact, segment, whose};
use crate::error::{Error, Result};
use crate::gate::Evaluation;
use crate::identity::{Identity, Role};
use crate::reason::Reason;
use crate::recovery::{self, Options};

/// Explains the replication of a directory, or what was rejected; `None` where it is not that of a replica.
///
/// # Errors
/// `dir.not_found`, `identity.*`, `replica.state_corrupt`, those of the disk.
pub fn at_rest(kind: Kind, options: &Options) -> Result<Option<Explanation>> {
    let disk = options.disk.as_ref();
    recovery::refuse_other_places(disk, &options.dir)?;
    let identity = Identity::read(disk, &options.dir)?;
    if identity.role != Role::Replica {
        return Ok(None);
    }
    let Some(state) = recovery::read_replica_state(disk, &options.dir, &identity)? else { return Ok(None) };
    let halt = state.halt.as_ref();
    let refused =
        halt.map(|halt| Error::new(Reason::ReplicaHalted).with("halt", halt).with("evidence", &halt.evidence));
    if kind == Kind::Segment {
        return Ok(Some(segment::kept(&state, refused)));
    }
    let ended = halt.map(Ended::from);
    let ended = ended.as_ref();
    let (outcome, sentence) = match halt {
        Some(_) => ("halted", "Replication has halted, and stays so until an operator clears it. Reads are refused."),
        None => ("rests", "Nobody has the directory open, so nothing follows. Nothing has halted it."),
    };
    let mut observed = whose(&identity);
    observed.extend([
        fact("origin", state.origin),
        fact("recorded_applied", state.applied),
        fact("primary_node", state.primary.map_or_else(|| "not known".to_owned(), |primary| primary.to_string())),
    ]);
    Ok(Some(Explanation {
        kind: Kind::Replication,
        observed,
        inputs: Vec::new(),
        rules: vec![
            ended::prefix(ended, fact("recorded_applied", state.applied)),
            ended::complete(ended, || (Evaluation::Undetermined("nobody asks for a closed directory"), Vec::new())),
            ended::halted(ended),
        ],
        conclusion: Conclusion { outcome, sentence: sentence.to_owned(), error: refused },
        left_out: vec!["how far its log reaches, and whether it may be read: the directory is not open".to_owned()],
    }))
}
