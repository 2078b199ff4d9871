//! One merge under way: several runs in, one run out, a slice at a time.
//!
//! The inputs are read in order past the cache, every block verified; a slice ends after a bounded number of bytes, so that a
//! waiting table never waits for a whole merge. A merge that is given up leaves a `.tmp` file, removed at the next start.

use crate::commit_id::CommitId;
use crate::error::Result;
use crate::store::plan::Merge;
use crate::store::run::{Run, RunInfo, RunMeta, RunWriter, Sequential};
use crate::store::{Store, Survivors};
use crate::sync::{Pin, planted};

/// Output after which a slice ends.
const SLICE_BYTES: u64 = 1 << 20;

/// A merge that was begun.
pub(super) struct MergeJob {
    pub(super) merge: Merge,
    /// Newest first.
    inputs: Vec<Sequential<Pin<Run>>>,
    survivors: Survivors,
    writer: RunWriter,
}

impl MergeJob {
    /// Begins a merge of these runs, newest first.
    pub(super) fn begin(store: &Store, merge: Merge, runs: &[Pin<Run>]) -> Result<MergeJob> {
        let options = store.options();
        let meta = RunMeta { database_id: options.database_id, id: merge.output, floor: merge.floor };
        let writer = RunWriter::create(&options.disk, &options.directory, meta, options.parameters.block_bytes)?;
        let mut inputs: Vec<_> = runs.iter().map(|run| Sequential::new(Pin::clone(run))).collect();
        for input in &mut inputs {
            input.next()?;
        }
        let newest = planted("a merge drops what the newest floor lets go");
        let floor = if newest { store.state().floor } else { merge.floor };
        Ok(MergeJob { merge, inputs, survivors: Survivors::new(merge.output.first, floor), writer })
    }

    /// Goes on for one slice; says whether the inputs have ended.
    pub(super) fn slice(&mut self) -> Result<bool> {
        let end = self.writer.written().saturating_add(SLICE_BYTES);
        while self.writer.written() < end {
            let next = smallest(&self.inputs);
            let Some(input) = next.and_then(|index| self.inputs.get_mut(index)) else { return Ok(true) };
            if let Some(entry) = input.current()
                && self.survivors.keeps(&entry)
            {
                self.writer.add(entry)?;
            }
            input.next()?;
        }
        Ok(false)
    }

    /// Makes the result durable under its name.
    pub(super) fn finish(self) -> Result<RunInfo> {
        self.writer.finish()
    }
}

/// The input that stands at the next entry: the smallest key, and of one key the greatest commit.
fn smallest(inputs: &[Sequential<Pin<Run>>]) -> Option<usize> {
    let mut best: Option<(usize, &[u8], CommitId)> = None;
    for (index, input) in inputs.iter().enumerate() {
        let Some(entry) = input.current() else { continue };
        let smaller = best.is_none_or(|(_, key, commit)| match entry.key.cmp(key) {
            std::cmp::Ordering::Less => true,
            std::cmp::Ordering::Equal => entry.commit > commit,
            std::cmp::Ordering::Greater => false,
        });
        if smaller {
            best = Some((index, entry.key, entry.commit));
        }
    }
    best.map(|(index, _, _)| index)
}
