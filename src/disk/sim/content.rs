//! The bytes of a simulated file, in pages that copies share.
//!
//! An image of the disk is taken after every call, so a copy must cost nothing and a small write must copy little: one page
//! and the list of pages, never the file. A page that was never written does not exist and reads as zeros.
//!
//! Invariant: every byte at or behind the length is zero, so a file that grows again shows zeros there.
//!
//! Knows nothing of durability; that is `file.rs`.

use crate::sync::Arc;

/// The unit of sharing.
pub(super) const PAGE: usize = 4096;

/// Larger files are refused, so that one wild offset can't take all memory.
pub(super) const LEN_MAX: u64 = 2 << 30;

pub(super) type Page = [u8; PAGE];

/// The bytes of a file. A clone shares all pages.
#[derive(Clone, Default)]
pub(super) struct Content {
    len: u64,
    /// May be shorter than the length: what is missing is zero.
    pages: Arc<Vec<Option<Arc<Page>>>>,
}

impl Content {
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Reads what there is at the offset; returns how much.
    pub(super) fn read(&self, offset: u64, buffer: &mut [u8]) -> usize {
        let wanted = self.len.saturating_sub(offset).min(buffer.len() as u64) as usize;
        for (piece, page, start) in pieces(offset, wanted) {
            let target = &mut buffer[piece];
            match self.pages.get(page) {
                Some(Some(page)) => target.copy_from_slice(&page[start..start + target.len()]),
                Some(None) | None => target.fill(0),
            }
        }
        wanted
    }

    /// Writes all bytes, extending the file where needed. The end is at most [`LEN_MAX`].
    pub(super) fn write(&mut self, offset: u64, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let end = offset + bytes.len() as u64;
        assert!(end <= LEN_MAX, "the caller refuses larger files");
        let pages = Arc::make_mut(&mut self.pages);
        let pages_needed = (end as usize).div_ceil(PAGE);
        if pages.len() < pages_needed {
            pages.resize(pages_needed, None);
        }
        for (piece, page, start) in pieces(offset, bytes.len()) {
            let source = &bytes[piece];
            let page = pages[page].get_or_insert_with(|| Arc::new([0; PAGE]));
            Arc::make_mut(page)[start..start + source.len()].copy_from_slice(source);
        }
        self.len = self.len.max(end);
    }

    /// Cuts the file, or extends it with zeros.
    pub(super) fn set_len(&mut self, len: u64) {
        let pages_needed = (len as usize).div_ceil(PAGE);
        if len < self.len && self.pages.len() >= pages_needed {
            let pages = Arc::make_mut(&mut self.pages);
            pages.truncate(pages_needed);
            let kept_of_last = len as usize % PAGE;
            if let (1.., Some(Some(last))) = (kept_of_last, pages.last_mut()) {
                Arc::make_mut(last)[kept_of_last..].fill(0);
            }
        }
        self.len = len;
    }

    /// All bytes.
    pub(super) fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len as usize];
        self.read(0, &mut bytes);
        bytes
    }

    #[cfg(test)]
    pub(super) fn page_addresses(&self) -> impl Iterator<Item = *const Page> {
        self.pages.iter().flatten().map(Arc::as_ptr)
    }
}

impl From<&[u8]> for Content {
    fn from(bytes: &[u8]) -> Content {
        let mut content = Content::default();
        content.write(0, bytes);
        content
    }
}

/// Splits a range of the file at the ends of pages: (range in the caller's buffer, page, offset in the page).
fn pieces(offset: u64, len: usize) -> impl Iterator<Item = (std::ops::Range<usize>, usize, usize)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        if done == len {
            return None;
        }
        let at = offset as usize + done;
        let taken = (PAGE - at % PAGE).min(len - done);
        let piece = done..done + taken;
        done += taken;
        Some((piece, at / PAGE, at % PAGE))
    })
}
