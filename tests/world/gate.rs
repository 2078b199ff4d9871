//! A disk whose fsyncs can be held and counted: how a test stops a component exactly where it wants it, without a clock.
//!
//! The gate names files by how their path ends. A held `sync_data` waits inside the call; [`Gate::wait_for_held`] returns once
//! one does, so the test knows what has happened and what can't have.

use super::{init_options, options, shared};
use aerodb::disk::{Access, Disk, File, LockGuard, SimDisk};
use aerodb::{Database, Error, Options, Parameters, Reason, Result};
use std::collections::BTreeMap;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

#[derive(Default)]
struct State {
    /// The end of the paths whose fsyncs are held, and how many pass before.
    held: Option<(String, u64)>,
    waiting: usize,
    /// The end of the paths whose fsyncs panic.
    panics: Option<String>,
    /// A part of the paths whose fsyncs fail.
    fails: Option<String>,
    syncs: BTreeMap<PathBuf, u64>,
}

/// Holds and counts fsyncs of files.
#[derive(Default)]
pub struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

impl Gate {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Holds every further fsync of the files whose path ends so.
    pub fn hold(&self, suffix: &str) {
        self.hold_after(suffix, 0);
    }

    /// The same, after so many have passed; one that is held already is the first of them.
    pub fn hold_after(&self, suffix: &str, passing: u64) {
        self.state().held = Some((suffix.to_owned(), passing));
        self.changed.notify_all();
    }

    /// Holds nothing any more.
    pub fn open(&self) {
        self.state().held = None;
        self.changed.notify_all();
    }

    /// Makes every further fsync of the files whose path ends so a failed assertion of the component that asks for it.
    pub fn fail_assertion(&self, suffix: &str) {
        self.state().panics = Some(suffix.to_owned());
    }

    /// Returns once an fsync is held.
    pub fn wait_for_held(&self) {
        drop(self.changed.wait_while(self.state(), |state| state.waiting == 0).unwrap());
    }

    /// How many fsyncs of the files whose path ends so have returned.
    pub fn syncs(&self, suffix: &str) -> u64 {
        let ends_so = |path: &Path| path.to_string_lossy().ends_with(suffix);
        self.state().syncs.iter().filter(|(path, _)| ends_so(path)).map(|(_, syncs)| syncs).sum()
    }

    /// Makes every further fsync of the files whose path has this in it fail, those that are held included.
    pub fn fail(&self, part: &str) {
        self.state().fails = Some(part.to_owned());
    }

    fn pass(&self, path: &Path) -> Result<()> {
        let mut state = self.state();
        let held = |state: &mut State| match &mut state.held {
            Some((suffix, passing)) if path.to_string_lossy().ends_with(suffix.as_str()) => {
                match passing.checked_sub(1) {
                    Some(left) => {
                        *passing = left;
                        false
                    }
                    None => true,
                }
            }
            Some(_) | None => false,
        };
        if held(&mut state) {
            state.waiting += 1;
            self.changed.notify_all();
            state = self.changed.wait_while(state, held).unwrap();
            state.waiting -= 1;
        }
        let panics = state.panics.as_ref().is_some_and(|suffix| path.to_string_lossy().ends_with(suffix.as_str()));
        let fails = state.fails.as_ref().is_some_and(|part| path.to_string_lossy().contains(part.as_str()));
        drop(state);
        assert!(!panics, "an assertion that the test made fail");
        if fails {
            let failed = Error::new(Reason::DiskSyncFailed).with("operation", "fdatasync").with("file", path.display());
            return Err(failed.with("error", "the test made it fail"));
        }
        Ok(())
    }

    fn count(&self, path: &Path) {
        *self.state().syncs.entry(path.to_owned()).or_default() += 1;
    }
}

/// A disk behind a gate.
pub struct GatedDisk {
    disk: Arc<dyn Disk>,
    gate: Arc<Gate>,
}

/// The test's hold on a gate. It opens when the test ends in whatever way, so that a failed assertion is seen and what waits at
/// the gate ends; so it is declared behind the database.
pub struct GateKeeper(Arc<Gate>);

impl Deref for GateKeeper {
    type Target = Gate;

    fn deref(&self) -> &Gate {
        &self.0
    }
}

impl Drop for GateKeeper {
    fn drop(&mut self) {
        self.0.open();
    }
}

/// This disk behind a gate, and the gate.
pub fn gated(disk: Arc<dyn Disk>) -> (Arc<dyn Disk>, GateKeeper) {
    let gate = Arc::new(Gate::default());
    (Arc::new(GatedDisk { disk, gate: Arc::clone(&gate) }), GateKeeper(gate))
}

/// A new database on a new disk behind a gate.
pub fn gated_database(parameters: Parameters) -> (SimDisk, Database, GateKeeper) {
    let sim = SimDisk::new();
    Database::init(&init_options(&sim, parameters)).unwrap();
    let (disk, gate) = gated(shared(&sim));
    let db = Database::open(Options { disk, ..options(&sim) }).unwrap();
    (sim, db, gate)
}

struct GatedFile {
    file: Arc<dyn File>,
    path: PathBuf,
    gate: Arc<Gate>,
}

impl GatedDisk {
    fn behind(&self, file: Arc<dyn File>, path: &Path) -> Arc<dyn File> {
        Arc::new(GatedFile { file, path: path.to_owned(), gate: Arc::clone(&self.gate) })
    }
}

impl Disk for GatedDisk {
    fn open(&self, path: &Path, access: Access) -> Result<Option<Arc<dyn File>>> {
        Ok(self.disk.open(path, access)?.map(|file| self.behind(file, path)))
    }
    fn create(&self, path: &Path) -> Result<Arc<dyn File>> {
        Ok(self.behind(self.disk.create(path)?, path))
    }
    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.disk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> Result<()> {
        self.disk.remove(path)
    }
    fn list(&self, directory: &Path) -> Result<Option<Vec<String>>> {
        self.disk.list(directory)
    }

    fn real_path(&self, directory: &Path) -> Result<Option<PathBuf>> {
        self.disk.real_path(directory)
    }
    fn create_dir(&self, directory: &Path) -> Result<()> {
        self.disk.create_dir(directory)
    }
    fn sync_dir(&self, directory: &Path) -> Result<()> {
        self.disk.sync_dir(directory)
    }
    fn lock(&self, path: &Path) -> Result<Box<dyn LockGuard>> {
        self.disk.lock(path)
    }
}

impl File for GatedFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        self.file.read_at(offset, buffer)
    }
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.file.write_at(offset, bytes)
    }
    fn set_len(&self, len: u64) -> Result<()> {
        self.file.set_len(len)
    }
    fn len(&self) -> Result<u64> {
        self.file.len()
    }
    fn sync_data(&self) -> Result<()> {
        self.gate.pass(&self.path)?;
        self.file.sync_data()?;
        self.gate.count(&self.path);
        Ok(())
    }
}
