//! A checkpoint that is pinned: its manifest, and the runs that this names (SNAP-PIN).
//!
//! Both are taken from one state, so they belong together; none of the state's tables is kept. The runs are held as a reader holds what it
//! reads: they are not removed meanwhile, and past the limit of pinned bytes they are taken away, which is `snapshot.gone` from then on.
//!
//! Used by the primary's side of snapshot transfer.

use super::Store;
use super::hold::{Hold, Holder, Pins};
use super::manifest::Manifest;
use super::run::Run;
use super::state::Replaced;
use crate::error::{Error, Result};
use crate::reason::Reason;
use crate::sync::{Arc, Pin, seeded};

/// The runs of a checkpoint.
struct Runs {
    /// The number of the state that they were taken from.
    state: u64,
    /// In the order of the manifest.
    runs: Vec<Pin<Run>>,
}

impl Pins for Runs {
    const HOLDER: Holder = Holder::Snapshot;

    fn number(&self) -> u64 {
        self.state
    }

    fn keeps(&self, replaced: &dyn Replaced) -> bool {
        self.runs.iter().any(|run| replaced.has_run(run))
    }
}

/// A pinned checkpoint.
pub struct Checkpoint {
    manifest: Arc<Manifest>,
    hold: Hold<Runs>,
}

impl Checkpoint {
    pub(super) fn new(store: &Arc<Store>) -> Checkpoint {
        let state = store.state();
        let manifest = Arc::clone(&state.manifest);
        let state = if seeded("the runs of a checkpoint are those of another state") { store.state() } else { state };
        let runs = state.runs.iter().rev().cloned().collect();
        let held = Runs { state: state.number, runs };
        // Its tables go before anybody is held up by them.
        drop(state);
        let at = manifest.point.commit;
        Checkpoint { manifest, hold: Hold::new(store, at, held) }
    }

    /// The manifest: it names the runs, in order.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Whether its runs are still pinned.
    ///
    /// # Errors
    /// `snapshot.gone`.
    pub fn check(&self) -> Result<()> {
        self.with_runs(|_| Ok(()))
    }

    /// Fills the buffer with bytes of the file of a run, by its place in the manifest.
    ///
    /// # Errors
    /// `snapshot.gone`, `store.run_corrupt`, `disk.read_failed`.
    pub fn copy_at(&self, run: usize, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.with_runs(|runs| {
            let missing = || Error::new(Reason::StoreRunMissing).with("run", run);
            runs.get(run).ok_or_else(missing)?.copy_at(offset, buffer)
        })
    }

    /// What `read` finds in the runs. They stay pinned until it has returned.
    ///
    /// # Errors
    /// `snapshot.gone`, and those of `read`.
    pub fn with_runs<R>(&self, read: impl FnOnce(&[Pin<Run>]) -> Result<R>) -> Result<R> {
        let gone = || Error::new(Reason::SnapshotGone).with("cut", self.manifest.point);
        let outcome = self.hold.read(|held| read(&held.runs));
        outcome.map_err(|error| if error.reason() == Reason::ViewRevoked { gone() } else { error })
    }
}
