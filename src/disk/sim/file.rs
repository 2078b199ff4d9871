//! One simulated file: what reads see, what the platter holds, and what lies between the two.
//!
//! Invariants:
//! * unless a sync failed, the current content is the durable content with every unsynced change applied in order;
//! * after a failed sync the two have **diverged**: the changes of that sync stay readable, but no later sync or crash brings
//!   them to the platter, only writing them again does (D-FSYNC). The kernel writes whole sectors from its cache, so a write
//!   to a diverged file brings back the whole sectors it touches, and A-SECTOR holds even then;
//! * in the outcome of a crash each aligned sector holds the durable bytes with some prefix of the changes to that sector
//!   (A-SECTOR), and a cut of the file survives together with the length or not at all.

use super::content::Content;
use super::crash::{Crash, Dice};
use crate::disk::SECTOR;
use crate::sync::Arc;
use std::collections::BTreeMap;

/// A modification that no sync has covered yet.
#[derive(Clone)]
enum Change {
    Write { offset: u64, bytes: Arc<[u8]> },
    SetLen(u64),
}

impl Change {
    fn apply(&self, content: &mut Content) {
        match self {
            Change::Write { offset, bytes } => content.write(*offset, bytes),
            Change::SetLen(len) => content.set_len(*len),
        }
    }

    /// What it does to the one sector that starts here.
    fn apply_within(&self, start: u64, sector: &mut [u8; SECTOR as usize]) {
        match self {
            Change::Write { offset, bytes } => {
                let from = start.max(*offset);
                let to = (start + SECTOR).min(offset + bytes.len() as u64);
                let source = &bytes[(from - offset) as usize..(to - offset) as usize];
                sector[(from - start) as usize..(to - start) as usize].copy_from_slice(source);
            }
            Change::SetLen(len) => sector[len.saturating_sub(start) as usize..].fill(0),
        }
    }
}

#[derive(Clone, Default)]
pub(super) struct FileNode {
    current: Content,
    durable: Content,
    unsynced: Vec<Change>,
    diverged: bool,
}

impl FileNode {
    /// A file as it is after a crash: what is there is durable.
    pub(super) fn settled(content: Content) -> FileNode {
        FileNode { durable: content.clone(), current: content, unsynced: Vec::new(), diverged: false }
    }

    pub(super) fn current(&self) -> &Content {
        &self.current
    }

    pub(super) fn write(&mut self, offset: u64, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.current.write(offset, bytes);
        let change = if self.diverged {
            let start = offset - offset % SECTOR;
            let end = (offset + bytes.len() as u64).next_multiple_of(SECTOR).min(self.current.len());
            let mut sectors = vec![0; (end - start) as usize];
            self.current.read(start, &mut sectors);
            Change::Write { offset: start, bytes: sectors.into() }
        } else {
            Change::Write { offset, bytes: bytes.into() }
        };
        self.unsynced.push(change);
    }

    pub(super) fn set_len(&mut self, len: u64) {
        self.current.set_len(len);
        self.unsynced.push(Change::SetLen(len));
    }

    /// A sync that succeeds.
    pub(super) fn sync(&mut self) {
        if self.diverged {
            for change in &self.unsynced {
                change.apply(&mut self.durable);
            }
        } else {
            self.durable = self.current.clone();
        }
        self.unsynced.clear();
    }

    /// A sync that fails: the first `written` of the unsynced changes had become durable, the others never will.
    pub(super) fn fail_sync(&mut self, written: usize) {
        for change in self.unsynced.iter().take(written) {
            change.apply(&mut self.durable);
        }
        self.diverged |= written < self.unsynced.len();
        self.unsynced.clear();
    }

    /// Drops the cache: reads see what is durable.
    pub(super) fn forget(&mut self) {
        *self = FileNode::settled(self.durable.clone());
    }

    pub(super) fn unsynced_changes(&self) -> usize {
        self.unsynced.len()
    }

    /// The file after power loss; `None` if that is the file as it is.
    pub(super) fn crash(&self, variant: Crash, dice: &mut Dice) -> Option<FileNode> {
        if self.unsynced.is_empty() && !self.diverged {
            return None;
        }
        let mut content = self.durable.clone();
        match variant {
            Crash::Dropped | Crash::NamesKept => {}
            Crash::Kept | Crash::NamesDropped => {
                for change in &self.unsynced {
                    change.apply(&mut content);
                }
            }
            Crash::Zeroed => self.zero(&mut content),
            Crash::Torn => self.tear(&mut content, dice),
            Crash::Sectors => self.mix_sectors(&mut content, dice),
        }
        Some(FileNode::settled(content))
    }

    /// The lengths without the contents. Only the sector that a cut ends in is written with the cut.
    fn zero(&self, content: &mut Content) {
        let mut whole = content.clone();
        for change in &self.unsynced {
            change.apply(&mut whole);
            let cuts = whole.len() < content.len();
            content.set_len(whole.len());
            if cuts {
                let start = whole.len() - whole.len() % SECTOR;
                let mut bytes = [0; SECTOR as usize];
                let rest = whole.read(start, &mut bytes);
                content.write(start, &bytes[..rest]);
            }
        }
    }

    /// The changes in order up to a random point, and of the next one a part that ends where a sector does.
    fn tear(&self, content: &mut Content, dice: &mut Dice) {
        let whole = dice.below(self.unsynced.len() as u64 + 1) as usize;
        for change in &self.unsynced[..whole] {
            change.apply(content);
        }
        if let Some(Change::Write { offset, bytes }) = self.unsynced.get(whole) {
            let first = offset / SECTOR;
            let sectors = (offset + bytes.len() as u64).div_ceil(SECTOR) - first;
            let cut = ((first + dice.below(sectors)) * SECTOR).saturating_sub(*offset);
            content.write(*offset, &bytes[..cut as usize]);
        }
    }

    /// Each touched sector in one of the states it went through; the length before or after all changes.
    fn mix_sectors(&self, content: &mut Content, dice: &mut Dice) {
        let mut touching: BTreeMap<u64, Vec<&Change>> = BTreeMap::new();
        let mut len = self.durable.len();
        for change in &self.unsynced {
            let (range, len_after) = match change {
                Change::Write { offset, bytes } => {
                    let end = offset + bytes.len() as u64;
                    (*offset..end, len.max(end))
                }
                Change::SetLen(cut) => (*cut..len, *cut),
            };
            if !range.is_empty() {
                for sector in range.start / SECTOR..range.end.div_ceil(SECTOR) {
                    touching.entry(sector).or_default().push(change);
                }
            }
            len = len_after;
        }
        let len_survives = dice.below(2) == 1;
        content.set_len(if len_survives { len } else { self.durable.len() });
        for (sector, changes) in touching {
            let is_cut = |change: &&Change| matches!(change, Change::SetLen(_));
            let (least, most) = if len_survives {
                (changes.iter().rposition(is_cut).map_or(0, |last| last + 1), changes.len())
            } else {
                (0, changes.iter().position(is_cut).unwrap_or(changes.len()))
            };
            let survive = least + dice.below((most - least) as u64 + 1) as usize;
            let start = sector * SECTOR;
            let mut bytes = [0; SECTOR as usize];
            self.durable.read(start, &mut bytes);
            for change in &changes[..survive] {
                change.apply_within(start, &mut bytes);
            }
            let visible = content.len().saturating_sub(start).min(SECTOR) as usize;
            content.write(start, &bytes[..visible]);
        }
    }
}
