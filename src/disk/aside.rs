//! A disk of which nothing changes: what is written to it is kept in memory, and is gone with it.
//!
//! With it a directory can be opened, by the code that always opens one, and be as it was. What is read comes from the disk below, with what was
//! written here in its place. Assumes that nobody else writes there meanwhile; the lock of a directory sees to that, and is the one thing that is taken below. Promises: below
//! no name and no byte changes, but for the name of a lock that has none yet. At most so many bytes are kept; beyond, a write is refused. A file is open below as
//! long as somebody has it open here, and no longer.

use super::{Access, Disk, File, LockGuard};
use crate::error::{Error, Result};
use crate::reason::Reason;
use crate::sync::{self, Arc, Mutex};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Bytes that are kept together.
const PAGE_BYTES: usize = 4096;

/// The disk below, and what became of its files here.
pub struct AsideDisk {
    below: Arc<dyn Disk>,
    room: Arc<Mutex<usize>>,
    names: Mutex<Names>,
}

#[derive(Default)]
struct Names {
    /// What became of the files that were opened, created or renamed; nothing stands for one that was removed.
    files: BTreeMap<PathBuf, Option<Arc<Mutex<Kept>>>>,
    directories: BTreeSet<PathBuf>,
}

impl AsideDisk {
    /// Beside this disk; as many pages are kept as these bytes are.
    #[must_use]
    pub fn of(below: Arc<dyn Disk>, bytes: usize) -> AsideDisk {
        AsideDisk { below, room: Arc::new(Mutex::new(bytes / PAGE_BYTES)), names: Mutex::default() }
    }

    /// The file of this name, open.
    fn file(&self, names: &mut Names, path: &Path) -> Result<Option<AsideFile>> {
        let open = |path: &Path| self.below.open(path, Access::Read);
        let (kept, below) = match names.files.get(path) {
            Some(None) => return Ok(None),
            Some(Some(kept)) => {
                let origin = sync::lock(kept).origin.clone();
                let below = origin.as_deref().map(open).transpose()?;
                // Somebody took it away below, against what is assumed: nothing is made up in its place.
                if matches!(below, Some(None)) {
                    return Ok(None);
                }
                (Arc::clone(kept), below.flatten())
            }
            None => {
                let Some(below) = open(path)? else { return Ok(None) };
                let (len, origin) = (below.len()?, Some(path.to_owned()));
                let kept = self.kept(len, origin);
                names.files.insert(path.to_owned(), Some(Arc::clone(&kept)));
                (kept, Some(below))
            }
        };
        Ok(Some(AsideFile { below, path: path.to_owned(), kept }))
    }

    /// What is kept of a file that has this length below, and lies there; of a new one nothing.
    fn kept(&self, len: u64, origin: Option<PathBuf>) -> Arc<Mutex<Kept>> {
        let (room, pages) = (Arc::clone(&self.room), BTreeMap::new());
        Arc::new(Mutex::new(Kept { len, below: len, origin, room, pages }))
    }
}

impl Disk for AsideDisk {
    fn open(&self, path: &Path, _: Access) -> Result<Option<Arc<dyn File>>> {
        let file = self.file(&mut sync::lock(&self.names), path)?;
        Ok(file.map(|file| Arc::new(file) as Arc<dyn File>))
    }

    fn create(&self, path: &Path) -> Result<Arc<dyn File>> {
        let kept = self.kept(0, None);
        sync::lock(&self.names).files.insert(path.to_owned(), Some(Arc::clone(&kept)));
        Ok(Arc::new(AsideFile { below: None, path: path.to_owned(), kept }))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        let mut names = sync::lock(&self.names);
        let file = self.file(&mut names, from)?;
        let missing = || Error::new(Reason::DiskNameFailed).with("operation", "rename").with("file", from.display());
        let file = file.ok_or_else(missing)?;
        names.files.insert(from.to_owned(), None);
        names.files.insert(to.to_owned(), Some(file.kept));
        Ok(())
    }

    fn remove(&self, path: &Path) -> Result<()> {
        sync::lock(&self.names).files.insert(path.to_owned(), None);
        Ok(())
    }

    fn list(&self, directory: &Path) -> Result<Option<Vec<String>>> {
        let below = self.below.list(directory)?;
        let names = sync::lock(&self.names);
        if below.is_none() && !names.directories.contains(directory) {
            return Ok(None);
        }
        let mut listed: BTreeSet<String> = below.into_iter().flatten().collect();
        let here = |path: &Path| {
            let name = path.file_name().filter(|_| path.parent() == Some(directory));
            name.map(|name| name.to_string_lossy().into_owned())
        };
        for (path, file) in &names.files {
            match (here(path), file) {
                (Some(name), Some(_)) => drop(listed.insert(name)),
                (Some(name), None) => drop(listed.remove(&name)),
                (None, _) => {}
            }
        }
        listed.extend(names.directories.iter().filter_map(|path| here(path)));
        Ok(Some(listed.into_iter().collect()))
    }

    fn real_path(&self, directory: &Path) -> Result<Option<PathBuf>> {
        let made = || sync::lock(&self.names).directories.get(directory).cloned();
        Ok(self.below.real_path(directory)?.or_else(made))
    }

    fn create_dir(&self, directory: &Path) -> Result<()> {
        sync::lock(&self.names).directories.insert(directory.to_owned());
        Ok(())
    }

    fn sync_dir(&self, _: &Path) -> Result<()> {
        Ok(())
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn LockGuard>> {
        self.below.lock(path)
    }
}

/// A file that somebody has open: what it is below, where nothing else was written here.
struct AsideFile {
    below: Option<Arc<dyn File>>,
    path: PathBuf,
    kept: Arc<Mutex<Kept>>,
}

/// What became of a file, whether it is open or not.
struct Kept {
    len: u64,
    /// What counts of the file below: no more than the shortest that the file has been here.
    below: u64,
    /// Where it lies below, unless it was created here.
    origin: Option<PathBuf>,
    /// Pages that may still be kept, of all files.
    room: Arc<Mutex<usize>>,
    /// Whole pages, by where they begin in the file.
    pages: BTreeMap<u64, Vec<u8>>,
}

/// The parts of the pages that so many bytes from an offset on lie in: where each page begins, and the part in it.
fn parts(offset: u64, bytes: usize) -> impl Iterator<Item = (u64, std::ops::Range<usize>)> {
    let (page, end) = (PAGE_BYTES as u64, offset.saturating_add(bytes as u64));
    (offset / page..end.div_ceil(page)).map(move |number| {
        let begins = number * page;
        let within = |at: u64| usize::try_from(at.clamp(begins, begins + page) - begins).unwrap_or(PAGE_BYTES);
        (begins, within(offset)..within(end))
    })
}

impl AsideFile {
    /// Fills this with what the file is below; what does not count there is zeros.
    fn below(&self, counts: u64, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let there = usize::try_from(counts.saturating_sub(offset)).unwrap_or(usize::MAX).min(buffer.len());
        let (there, zeros) = buffer.split_at_mut(there);
        zeros.fill(0);
        if let Some(below) = self.below.as_ref().filter(|_| !there.is_empty()) {
            below.read_at(offset, there)?;
        }
        Ok(())
    }

    /// The page, kept from now on.
    fn kept<'a>(&self, kept: &'a mut Kept, begins: u64) -> Result<&'a mut Vec<u8>> {
        if !kept.pages.contains_key(&begins) {
            let mut page = vec![0; PAGE_BYTES];
            self.below(kept.below, begins, &mut page)?;
            let mut room = sync::lock(&kept.room);
            let full = || {
                Error::new(Reason::DiskFull)
                    .with("operation", "keep in memory, for a look")
                    .with("file", self.path.display())
            };
            *room = room.checked_sub(1).ok_or_else(full)?;
            drop(room);
            kept.pages.insert(begins, page);
        }
        Ok(kept.pages.entry(begins).or_default())
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        *sync::lock(&self.room) += self.pages.len();
    }
}

impl File for AsideFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let kept = sync::lock(&self.kept);
        let count = usize::try_from(kept.len.saturating_sub(offset)).unwrap_or(usize::MAX).min(buffer.len());
        let mut rest = &mut buffer[..count];
        if kept.pages.is_empty() {
            self.below(kept.below, offset, rest)?;
            return Ok(count);
        }
        let mut at = offset;
        for (begins, part) in parts(offset, count) {
            let (here, behind) = rest.split_at_mut(part.len());
            match kept.pages.get(&begins) {
                Some(page) => here.copy_from_slice(&page[part]),
                None => self.below(kept.below, at, here)?,
            }
            at += here.len() as u64;
            rest = behind;
        }
        Ok(count)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let mut kept = sync::lock(&self.kept);
        let mut rest = bytes;
        for (begins, part) in parts(offset, bytes.len()) {
            let (here, behind) = rest.split_at(part.len());
            self.kept(&mut kept, begins)?[part].copy_from_slice(here);
            rest = behind;
        }
        kept.len = kept.len.max(offset.saturating_add(bytes.len() as u64));
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<()> {
        let mut kept = sync::lock(&self.kept);
        let page = PAGE_BYTES as u64;
        // What is cut off is zeros where the file becomes longer again, whatever stands below.
        kept.below = kept.below.min(len);
        let gone = kept.pages.split_off(&len.next_multiple_of(page));
        *sync::lock(&kept.room) += gone.len();
        if let Some(last) = kept.pages.get_mut(&(len / page * page)) {
            last.iter_mut().skip(usize::try_from(len % page).unwrap_or(PAGE_BYTES)).for_each(|byte| *byte = 0);
        }
        kept.len = len;
        Ok(())
    }

    fn len(&self) -> Result<u64> {
        Ok(sync::lock(&self.kept).len)
    }

    fn sync_data(&self) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::SimDisk;

    const BYTES: u64 = 3 * PAGE_BYTES as u64;

    fn contents(disk: &dyn Disk, path: &Path) -> Option<Vec<u8>> {
        let file = disk.open(path, Access::Read).unwrap()?;
        let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap() + 1];
        let read = file.read_at(0, &mut bytes).unwrap();
        bytes.truncate(read);
        Some(bytes)
    }

    fn made() -> SimDisk {
        let disk = SimDisk::new();
        disk.create_dir(Path::new("/d")).unwrap();
        for (name, len) in [("/d/a", 1), ("/d/b", BYTES), ("/d/c", 100)] {
            let bytes: Vec<u8> = (0..len).map(|at| u8::try_from(at % 251).unwrap() + 1).collect();
            disk.create(Path::new(name)).unwrap().write_at(0, &bytes).unwrap();
        }
        disk
    }

    /// One random script on a disk and beside one: the same names and bytes come of it, and below nothing changes.
    #[test]
    fn beside_a_disk_is_what_would_have_been_on_it() {
        for seed in 0..200_u64 {
            let (disk, below) = (made(), made());
            let aside = AsideDisk::of(Arc::new(below.clone()), 1 << 20);
            let mut state = seed;
            let mut below_of = |bound: u64| {
                state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
                (state >> 33) % bound
            };
            let names = ["/d/a", "/d/b", "/d/c", "/d/d"].map(Path::new);
            for _ in 0..30 {
                let [one, other] = [0; 2].map(|_| names[usize::try_from(below_of(4)).unwrap()]);
                let (call, at, len) = (below_of(9), below_of(BYTES), below_of(5000));
                let run = |disk: &dyn Disk| -> Result<()> {
                    let file = disk.open(one, Access::Write)?;
                    match (call, file) {
                        (0, _) => drop(disk.create(one)?),
                        (1, _) => disk.remove(one)?,
                        (2, Some(_)) if one != other => disk.rename(one, other)?,
                        (3 | 4, Some(file)) => file.set_len(at)?,
                        (_, Some(file)) => {
                            file.write_at(at, &vec![u8::try_from(call).unwrap(); usize::try_from(len).unwrap()])?
                        }
                        (_, None) => {}
                    }
                    Ok(())
                };
                run(&disk).unwrap();
                run(&aside).unwrap();
                let directory = Path::new("/d");
                assert_eq!(aside.list(directory).unwrap(), disk.list(directory).unwrap(), "seed {seed}");
                for name in names {
                    assert!(contents(&aside, name) == contents(&disk, name), "seed {seed}: {}", name.display());
                }
            }
            let (untouched, honest) = (below.paths(), made());
            assert!(
                untouched == honest.paths()
                    && untouched.iter().all(|path| below.contents(path) == honest.contents(path))
            );
        }
    }

    #[test]
    fn what_is_kept_is_bounded_and_given_back() {
        let aside = AsideDisk::of(Arc::new(made()), 2 * PAGE_BYTES);
        let file = aside.create(Path::new("/d/new")).unwrap();
        file.write_at(0, &[1; 2 * PAGE_BYTES]).unwrap();
        assert_eq!(file.write_at(BYTES, &[1]).unwrap_err().reason(), Reason::DiskFull);
        file.set_len(1).unwrap();
        file.write_at(BYTES, &[1]).unwrap();
        drop(file);
        aside.remove(Path::new("/d/new")).unwrap();
        aside.create(Path::new("/d/other")).unwrap().write_at(0, &[1; 2 * PAGE_BYTES]).unwrap();
    }

    #[test]
    fn a_file_is_open_below_no_longer_than_here() {
        let below = made();
        let aside = AsideDisk::of(Arc::new(below.clone()), 1 << 20);
        below.limit_handles(1);
        let (a, b) = (Path::new("/d/a"), Path::new("/d/b"));
        aside.open(a, Access::Write).unwrap().unwrap().write_at(1, &[7]).unwrap();
        aside.rename(b, Path::new("/d/d")).unwrap();
        for _ in 0..2 {
            assert_eq!(contents(&aside, a), Some(vec![1, 7]), "what was written is there, and what is below");
            assert_eq!(contents(&aside, Path::new("/d/d")), below.contents(b));
        }
    }

    #[test]
    fn a_directory_that_was_made_is_there_and_not_below() {
        let below = made();
        let aside = AsideDisk::of(Arc::new(below.clone()), 0);
        let directory = Path::new("/d/sub");
        assert_eq!(aside.list(directory).unwrap(), None);
        aside.create_dir(directory).unwrap();
        assert_eq!(aside.list(directory).unwrap(), Some(Vec::new()));
        assert_eq!(aside.real_path(directory).unwrap().as_deref(), Some(directory));
        assert!(aside.list(Path::new("/d")).unwrap().unwrap().contains(&"sub".to_owned()));
        assert_eq!(below.list(directory).unwrap(), None);
    }
}
