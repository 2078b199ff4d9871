//! What a power loss leaves behind.
//!
//! An image is the whole disk at one instant, shared with the disk it was taken of. A crash decides, change by change, what of the unsynced
//! became durable; the dice are seeded, one stream a file, so that a seed names one outcome.

use super::SimDisk;
use super::tree::Tree;
use crate::sync::Arc;

/// What becomes of the changes that no sync has covered.
///
/// In every variant an aligned sector of a file is as it was durably or as one of the changes to it left it (A-SECTOR), and
/// what a good sync has covered is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// All survive.
    Kept,
    /// None survives.
    Dropped,
    /// Of each file, those up to a random point, the last one cut where a sector ends; and the name changes up to a random point.
    Torn,
    /// Names and lengths survive, contents don't: what a file grew by reads as zeros.
    Zeroed,
    /// Of each file, every sector on its own, old or new, and the length old or new; and every name change on its own: no order
    /// is promised without a sync.
    Sectors,
    /// Contents survive, names don't.
    NamesDropped,
    /// Names survive, contents and lengths don't.
    NamesKept,
}

impl Crash {
    /// Every variant.
    pub const ALL: [Crash; 7] = [
        Crash::Kept,
        Crash::Dropped,
        Crash::Torn,
        Crash::Zeroed,
        Crash::Sectors,
        Crash::NamesDropped,
        Crash::NamesKept,
    ];

    /// Whether other seeds can give other outcomes.
    #[must_use]
    pub fn is_random(self) -> bool {
        match self {
            Crash::Torn | Crash::Sectors => true,
            Crash::Kept | Crash::Dropped | Crash::Zeroed | Crash::NamesDropped | Crash::NamesKept => false,
        }
    }
}

/// The disk at one instant: what is on the platter, and what was not synced yet. Cheap to clone.
#[derive(Clone)]
pub struct SimImage {
    pub(super) tree: Arc<Tree>,
}

impl SimImage {
    /// The disk as it is found after the power failed at this instant. The same seed gives the same disk, and what becomes of
    /// one file does not depend on the others.
    #[must_use]
    pub fn crash(&self, variant: Crash, seed: u64) -> SimDisk {
        SimDisk::with(Arc::new(self.tree.crash(variant, seed)))
    }

    /// The disk as it is found after the process died at this instant and the machine did not: everything is there, what was
    /// not synced still isn't, and no lock is held.
    #[must_use]
    pub fn restart(&self) -> SimDisk {
        SimDisk::with(Arc::clone(&self.tree))
    }
}

/// The source of random choices: SplitMix64.
pub(super) struct Dice(u64);

impl Dice {
    /// One stream per thing decided on, so that what happens to one file does not shift the choices for the next.
    pub(super) fn new(seed: u64, stream: u64) -> Dice {
        Dice(mix(seed.wrapping_add(GAMMA)) ^ mix(stream))
    }

    /// A number below `bound`, which is not zero.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(GAMMA);
        ((u128::from(mix(self.0)) * u128::from(bound)) >> 64) as u64
    }
}

const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

fn mix(mut word: u64) -> u64 {
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}
