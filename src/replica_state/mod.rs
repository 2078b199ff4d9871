//! What a replica knows of itself: whose it is, how far it has applied, how it began, and what halted it (REPL-STATE, REPL-HALT).
//!
//! ```text
//! replica/STATE.0    generations of even number ┐ each write goes to the file of the generation that is replaced,
//! replica/STATE.1    generations of odd number  ┘ while the newest one stands, durable, in the other
//! ```
//!
//! Laws: a file is written only while the other durably holds the newest generation; no generation number is written twice with
//! different contents, not even after a crash; a halt that was answered `Ok`, the clearing of one, and each step of an install stand in
//! both files.
//!
//! Promises: after a crash the old or the new state is there; what a crash left of a write is told from rot by evidence (`format.rs`);
//! whatever else does not verify is refused, and with one file lost no halt is, and no step of an install. Opening writes nothing. The first failed
//! write or fsync poisons the store for good (D-FSYNC). Assumes that who calls holds the lock of the directory.
//!
//! Used by: who opens a replica's directory; one owner writes.

mod format;
#[cfg(test)]
mod tests;

use crate::codec;
use crate::disk::{Access, Disk, File};
use crate::error::{Error, Result};
use crate::id::Id;
use crate::limits;
use crate::position::{LogPoint, Position};
use crate::reason::Reason;
use crate::sync::{Arc, planted};
use format::{Copy, GENERATION_BYTES, Generation};
use std::fmt;
use std::path::{Path, PathBuf};

/// The directory of the state in a data directory.
pub const STATE_DIRECTORY: &str = "replica";
/// What the evidence begins with of a halt that an order came to: the halt of the data, whose place it took, and the one that was named.
const INSTEAD_OF: &str = "instead_of=";
const ORDERED: &str = "ordered=";
/// The files in it.
pub const STATE_FILES: [&str; 2] = ["STATE.0", "STATE.1"];

/// How the directory of a replica began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// With an empty log: it begins where all logs do.
    Log,
    /// With a snapshot, that held everything up to here.
    Snapshot(LogPoint),
    /// With a backup, whose log ended here.
    Backup(LogPoint),
    /// Not yet: it holds nothing, and waits for a snapshot.
    Nothing,
}

/// What an install still has to do. It goes on where a crash stopped it (RC-INSTALL).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Install {
    /// What was there before is removed; nothing of the snapshot is in place.
    Clearing,
    /// The snapshot is moved to its place; nothing of what was there before is left.
    Moving,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Log => f.write_str("log"),
            Origin::Snapshot(cut) => write!(f, "snapshot {cut}"),
            Origin::Backup(cut) => write!(f, "backup {cut}"),
            Origin::Nothing => f.write_str("nothing"),
        }
    }
}

impl fmt::Display for Install {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Install::Clearing => "clearing",
            Install::Moving => "moving",
        })
    }
}

/// What stopped a replica until an operator clears it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Halt {
    /// Why.
    pub reason: Reason,
    /// Where in the log.
    pub position: Position,
    /// The facts, in words; what is longer than [`limits::HALT_EVIDENCE_BYTES_MAX`] is cut.
    pub evidence: String,
}

/// The name of a halt: `CODE@POSITION`.
impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.reason, self.position)
    }
}

impl Halt {
    /// Reads the name of a halt, `CODE@POSITION`.
    ///
    /// # Errors
    /// `cli.input`, with what can't be read.
    pub fn parse(text: &str) -> Result<(Reason, Position)> {
        let unreadable = |what: &'static str, found: &str| {
            // What was typed is shown, but not all of what may have been pasted.
            let found = codec::shortened(found, 80).escape_debug();
            Error::new(Reason::CliInput).with("halt", found).with("expected", what)
        };
        let (code, digits) = text.split_once('@').ok_or_else(|| unreadable("CODE@POSITION", text))?;
        let reason = Reason::ALL.iter().find(|reason| reason.name() == code);
        let reason = reason.ok_or_else(|| unreadable("a code of docs/reasons.md before the @", code))?;
        let position = Some(digits).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()));
        let position = position.and_then(|digits| digits.parse().ok()).map(Position);
        Ok((*reason, position.ok_or_else(|| unreadable("a position in digits behind the @", digits))?))
    }

    /// What the data in place was halted by: this, or what this took the place of (SNAP-ORDER).
    #[must_use]
    pub fn of_the_data(&self) -> (Reason, Position) {
        self.order().map_or(self.place(), |(order, _)| order.instead_of)
    }

    /// Where it stands.
    fn place(&self) -> (Reason, Position) {
        (self.reason, self.position)
    }

    /// What its evidence says first, if an order came to it, and then.
    fn order(&self) -> Option<(CarriedOut, &str)> {
        let words = self.evidence.strip_prefix(INSTEAD_OF)?;
        let (instead_of, words) = words.split_once(' ')?;
        // Before there were two of them, what the order had named was all that was kept.
        let (named, found) = match words.strip_prefix(ORDERED) {
            Some(words) => words.split_once(' ')?,
            None => (instead_of, words),
        };
        Some((CarriedOut { instead_of: Halt::parse(instead_of).ok()?, named: Halt::parse(named).ok()? }, found))
    }
}

/// An order that came to another halt than the end of the one that it named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct CarriedOut {
    /// What the data in place was halted by. It is as true as it was.
    instead_of: (Reason, Position),
    /// What the order named.
    named: (Reason, Position),
}

impl fmt::Display for CarriedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ((first, at), (named, place)) = (self.instead_of, self.named);
        write!(f, "{INSTEAD_OF}{first}@{at} {ORDERED}{named}@{place} ")
    }
}

/// What a replica knows of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaState {
    /// Whose log it follows.
    pub database_id: Id,
    /// Which node it is.
    pub node_id: Id,
    /// Which node's log it has followed, once it has.
    pub primary: Option<Id>,
    /// It has applied everything before this point; more may be applied than was recorded.
    pub applied: LogPoint,
    /// How its directory began.
    pub origin: Origin,
    /// The install that is under way. What is aside is proven, and counts; what is in place does not.
    pub install: Option<Install>,
    /// What has halted it.
    pub halt: Option<Halt>,
}

impl ReplicaState {
    /// What a replica knows that begins: it has followed nobody, and nothing has halted it.
    #[must_use]
    pub fn new(database_id: Id, node_id: Id, applied: LogPoint, origin: Origin) -> ReplicaState {
        ReplicaState { database_id, node_id, primary: None, applied, origin, install: None, halt: None }
    }

    /// Reads the state in a data directory, for who only looks.
    ///
    /// # Errors
    /// As [`StateStore::open`].
    pub fn read(disk: &dyn Disk, dir: &Path, database_id: Id, node_id: Id) -> Result<ReplicaState> {
        Ok(survey(disk, dir, Access::Read, database_id, node_id)?.newest.state)
    }

    /// Refuses a directory in which there is no data, or none in its place: its bootstrap was cut short (RC-INSTALL).
    ///
    /// # Errors
    /// `bootstrap.incomplete`.
    pub fn check_complete(&self) -> Result<()> {
        let incomplete = || Error::new(Reason::BootstrapIncomplete);
        let halt = || self.halt.as_ref().map_or_else(|| "none".to_owned(), Halt::to_string);
        match (self.origin, self.install) {
            (Origin::Nothing, _) => Err(incomplete().with("holds", "nothing").with("halt", halt())),
            (Origin::Snapshot(cut), Some(_)) => Err(incomplete().with("install", "under way").with("cut", cut)),
            (Origin::Log | Origin::Snapshot(_) | Origin::Backup(_), _) => Ok(()),
        }
    }

    /// Refuses a log that ends before what was applied, or elsewhere (REPL-STATE).
    ///
    /// # Errors
    /// `replica.log_lost`.
    pub fn check_log(&self, end: LogPoint) -> Result<()> {
        let same_end = end.position != self.applied.position || end == self.applied;
        if end.position >= self.applied.position && same_end {
            return Ok(());
        }
        Err(Error::new(Reason::ReplicaLogLost).with("applied", self.applied).with("end", end))
    }
}

/// The state of a replica, and the one way to change it.
pub struct StateStore {
    files: [Arc<dyn File>; 2],
    newest: Generation,
    /// No generation beyond this was ever begun.
    begun: u64,
    /// The newest generation is durable: this process wrote it.
    settled: bool,
    /// The other file says the same of what may not be lost with one of them ([`vital`]).
    in_both: bool,
    fault: Option<Error>,
}

impl fmt::Debug for StateStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateStore").field("newest", &self.newest).field("fault", &self.fault).finish_non_exhaustive()
    }
}

impl StateStore {
    /// Makes the two files of a new directory, over those of an unfinished earlier attempt. The directory `dir` exists; that the new
    /// name in it is durable is the caller's to see to.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn create(disk: &dyn Disk, dir: &Path, state: &ReplicaState) -> Result<()> {
        let directory = dir.join(STATE_DIRECTORY);
        disk.create_dir(&directory)?;
        for number in [1, 2] {
            let generation = Generation { number, before: number.saturating_sub(1), state: state.clone() };
            let file = disk.create(&path(dir, number))?;
            file.write_at(0, &generation.encode())?;
            file.sync_data()?;
        }
        disk.sync_dir(&directory)
    }

    /// Opens the state in a data directory. Writes nothing.
    ///
    /// # Errors
    /// `replica.state_corrupt`, `identity.version`, `identity.other_database`, `identity.other_node`, `disk.read_failed`.
    pub fn open(disk: &dyn Disk, dir: &Path, database_id: Id, node_id: Id) -> Result<StateStore> {
        let Survey { files, newest, begun, in_both } =
            survey(disk, dir, Access::Write, database_id, node_id)?;
        Ok(StateStore { files, newest, begun, settled: false, in_both, fault: None })
    }

    /// What is recorded.
    #[must_use]
    pub fn state(&self) -> &ReplicaState {
        &self.newest.state
    }

    /// Records that everything before this point was applied.
    ///
    /// # Errors
    /// `replication.stopped` after an earlier failure; those of the disk.
    ///
    /// # Panics
    /// When the point lies before the one that is recorded: applied never goes back (REPL-POSITIONS).
    pub fn record_applied(&mut self, applied: LogPoint) -> Result<()> {
        let recorded = self.newest.state.applied;
        if applied == recorded {
            return self.check_usable();
        }
        assert!(applied.position > recorded.position, "applied went from {recorded} to {applied}");
        self.put(ReplicaState { applied, ..self.newest.state.clone() })
    }

    /// Records which node is followed (REPL-PRIMARY).
    ///
    /// # Errors
    /// `replication.stopped` after an earlier failure; those of the disk.
    pub fn follow(&mut self, primary: Id) -> Result<()> {
        self.put_in_both(ReplicaState { primary: Some(primary), ..self.newest.state.clone() })
    }

    /// Records a halt, unless there is one already: the first one counts. Says whether this one was recorded; either way the halt that
    /// counts is in both files then.
    ///
    /// # Errors
    /// `replication.stopped` after an earlier failure; those of the disk.
    pub fn halt(&mut self, halt: Halt) -> Result<bool> {
        self.check_usable()?;
        if self.newest.state.halt.is_some() {
            return self.put_in_both(self.newest.state.clone()).map(|()| false);
        }
        let halt = Some(Halt { evidence: shortened(&halt.evidence), ..halt });
        self.put_in_both(ReplicaState { halt, ..self.newest.state.clone() }).map(|()| true)
    }

    /// Puts what was found out since before the evidence of the halt that is kept. Its name stays what it is.
    ///
    /// # Errors
    /// `replication.stopped` after an earlier failure; those of the disk.
    pub fn tell(&mut self, found: &str) -> Result<()> {
        self.check_usable()?;
        let Some(halt) = self.newest.state.halt.clone() else { return Ok(()) };
        let evidence = match halt.order() {
            Some((order, before)) => format!("{order}{found}; {before}"),
            None => format!("{found}; {}", halt.evidence),
        };
        let halt = Halt { evidence: shortened(&evidence), ..halt };
        self.put_in_both(ReplicaState { halt: Some(halt), ..self.newest.state.clone() })
    }

    /// The halt that is kept, if it has this name.
    ///
    /// # Errors
    /// `halt.other` when another halt is kept, or none.
    pub fn named(&self, reason: Reason, position: Position) -> Result<Halt> {
        let any = planted("an order answers any halt");
        let named = |halt: &&Halt| any || halt.place() == (reason, position);
        self.newest.state.halt.as_ref().filter(named).cloned().ok_or_else(|| {
            let found = self.newest.state.halt.as_ref().map_or_else(|| "none".to_owned(), Halt::to_string);
            let named = Halt { reason, position, evidence: String::new() };
            Error::new(Reason::HaltOther).with("named", named).with("halt", found)
        })
    }

    /// The halt of this name, for an order that answers it. It is carried out once: where it came to the same halt, an operator has to clear that first.
    ///
    /// # Errors
    /// `halt.other` when another halt is kept, or none; `halt.answered`.
    pub fn ordered(&self, reason: Reason, position: Position) -> Result<Halt> {
        let halt = self.named(reason, position)?;
        match halt.order() {
            Some((order, _)) if order.named == halt.place() => {
                Err(Error::new(Reason::HaltAnswered).with("halt", &halt).with("evidence", &halt.evidence))
            }
            _ => Ok(halt),
        }
    }

    /// Clears the halt of this name, and returns it. When it returns, both files say that there is none; or, where it had taken the place of that
    /// of the data, which is still there, that this one counts again.
    ///
    /// # Errors
    /// `halt.other` when another halt is kept, or none; `replication.stopped` after an earlier failure; those of the disk.
    pub fn clear(&mut self, reason: Reason, position: Position) -> Result<Halt> {
        self.check_usable()?;
        let halt = self.named(reason, position)?;
        // What ended the attempt to replace the data is no answer to what that was halted by.
        let covered = halt.order().filter(|_| self.newest.state.origin != Origin::Nothing);
        let counts_again = covered.map(|(order, found)| {
            let (reason, position) = order.instead_of;
            let evidence = format!("it counts again, because {halt} was cleared, which an order had come to: {found}");
            Halt { reason, position, evidence: shortened(&evidence) }
        });
        // Who clears that another node serves the log says that it may: the next one that does is followed.
        let primary = self.newest.state.primary.filter(|_| reason != Reason::IdentityOtherPrimary);
        self.put_in_both(ReplicaState { primary, halt: counts_again, ..self.newest.state.clone() })?;
        Ok(halt)
    }

    /// Records a halt in place of the one that an order has named: what the order began has come to this one. That of the data is not forgotten.
    ///
    /// # Errors
    /// `replication.stopped` after an earlier failure; those of the disk.
    pub fn halt_instead(&mut self, named: &Halt, halt: &Halt) -> Result<()> {
        let order = CarriedOut { instead_of: named.of_the_data(), named: named.place() };
        // First, so that nothing that came from elsewhere cuts it off.
        let evidence = format!("{order}{}", halt.evidence);
        let halt = Halt { evidence: shortened(&evidence), ..halt.clone() };
        self.put_in_both(ReplicaState { halt: Some(halt), ..self.newest.state.clone() })
    }

    /// Records that the directory is this snapshot from here on, whatever stands in its places, and which node it came from (SNAP-INSTALL).
    /// What had halted the replica is answered by it. What was applied before does not count: this alone takes applied back.
    ///
    /// # Errors
    /// `replication.stopped` after an earlier failure; those of the disk. Whether it is recorded is not known then.
    pub fn install(&mut self, cut: LogPoint, primary: Id) -> Result<()> {
        self.put_in_both(ReplicaState {
            primary: Some(primary),
            applied: cut,
            origin: Origin::Snapshot(cut),
            install: Some(Install::Clearing),
            halt: None,
            ..self.newest.state.clone()
        })
    }

    /// Records what the install has come to. What is done on the strength of a step that was found recorded comes after this too: it may
    /// have been in the cache alone.
    ///
    /// # Errors
    /// `replication.stopped` after an earlier failure; those of the disk.
    ///
    /// # Panics
    /// When no install is under way, or it would go back.
    pub fn installing(&mut self, install: Install) -> Result<()> {
        let recorded = self.newest.state.install;
        let goes_on = recorded == Some(install) || (recorded, install) == (Some(Install::Clearing), Install::Moving);
        assert!(goes_on, "an install went from {recorded:?} to {install:?}");
        self.put_in_both(ReplicaState { install: Some(install), ..self.newest.state.clone() })
    }

    /// Records that nothing is left to install.
    ///
    /// # Errors
    /// `replication.stopped` after an earlier failure; those of the disk.
    pub fn installed(&mut self) -> Result<()> {
        self.put_in_both(ReplicaState { install: None, ..self.newest.state.clone() })
    }

    fn check_usable(&self) -> Result<()> {
        match &self.fault {
            Some(fault) => Err(Error::new(Reason::ReplicationStopped).with("failure", fault)),
            None => Ok(()),
        }
    }

    /// Leaves no generation that says otherwise of what is vital, so that neither file alone decides on it.
    fn put_in_both(&mut self, state: ReplicaState) -> Result<()> {
        self.check_usable()?;
        if self.newest.state != state {
            self.put(state.clone())?;
        }
        if !self.in_both {
            self.put(state)?;
        }
        Ok(())
    }

    fn put(&mut self, state: ReplicaState) -> Result<()> {
        self.check_usable()?;
        let same = vital(&state) == vital(&self.newest.state);
        match self.write_next(state) {
            Ok(next) => {
                self.begun = next.number;
                self.newest = next;
                self.settled = true;
                self.in_both = same;
                Ok(())
            }
            Err(error) => {
                self.fault = Some(error.clone());
                Err(error)
            }
        }
    }

    fn write_next(&self, state: ReplicaState) -> Result<Generation> {
        // A process that died, or whose fsync failed, may have left the newest generation in the cache alone. It must be durable before
        // the one before it is written over; a further fsync alone would find nothing to do.
        if !self.settled {
            self.write(&self.newest)?;
        }
        let before = self.newest.number;
        // Of a write that was torn the number is not used again, lest sectors of it be taken for those of this one.
        let in_other_file = self.begun.wrapping_sub(before) % 2 == 1;
        let number = self.begun.saturating_add(if in_other_file { 2 } else { 1 });
        let next = Generation { number, before, state };
        self.write(&next)?;
        Ok(next)
    }

    fn write(&self, generation: &Generation) -> Result<()> {
        let [even, odd] = &self.files;
        let file = if generation.number.is_multiple_of(2) { even } else { odd };
        file.write_at(0, &generation.encode())?;
        file.sync_data()
    }
}

/// As much of some evidence as is kept.
fn shortened(evidence: &str) -> String {
    codec::shortened(evidence, limits::HALT_EVIDENCE_BYTES_MAX).to_owned()
}

/// What of a state stands in both files before it is answered: the halt, what the directory is, and whom it follows.
fn vital(state: &ReplicaState) -> (Option<&Halt>, Origin, Option<Install>, Option<Id>) {
    (state.halt.as_ref(), state.origin, state.install, state.primary)
}

fn path(dir: &Path, generation: u64) -> PathBuf {
    let [even, odd] = STATE_FILES;
    dir.join(STATE_DIRECTORY).join(if generation.is_multiple_of(2) { even } else { odd })
}

struct Survey {
    files: [Arc<dyn File>; 2],
    newest: Generation,
    begun: u64,
    in_both: bool,
}

/// Finds the generation that counts (FMT-REPLICA).
fn survey(disk: &dyn Disk, dir: &Path, access: Access, database_id: Id, node_id: Id) -> Result<Survey> {
    let read = |number| {
        let (file, copy) = read(disk, &path(dir, number), access)?;
        if let Copy::Whole(generation) = &copy {
            check_owner(generation, &path(dir, number), database_id, node_id)?;
        }
        Ok::<_, Error>((file, copy))
    };
    let ((even_file, even), (odd_file, odd)) = (read(0)?, read(1)?);
    let corrupt = |number, fault: &'static str| {
        Error::new(Reason::ReplicaStateCorrupt).with("file", path(dir, number).display()).with("fault", fault)
    };
    let in_place = |copy: &Copy, number: u64| match copy {
        Copy::Whole(generation) => generation.number % 2 == number,
        Copy::Torn(_) | Copy::Damaged(_) => true,
    };
    if let Some(number) = [(0, &even), (1, &odd)].into_iter().find(|(number, copy)| !in_place(copy, *number)) {
        return Err(corrupt(number.0, "a generation of the other file"));
    }
    let (newest, begun, in_both) = match (even, odd) {
        (Copy::Whole(even), Copy::Whole(odd)) => {
            let (older, newer) = if even.number < odd.number { (even, odd) } else { (odd, even) };
            if newer.before != older.number {
                return Err(corrupt(older.number, "not the generation before the newest"));
            }
            let in_both = vital(&older.state) == vital(&newer.state);
            let begun = newer.number;
            (newer, begun, in_both)
        }
        (Copy::Whole(whole), other) | (other, Copy::Whole(whole)) => {
            let begun = begun_in(&other, whole.number);
            let begun = begun.ok_or_else(|| corrupt(whole.number.wrapping_add(1), "may have been the newest"))?;
            (whole, begun, false)
        }
        (_, odd) => {
            let worse = u64::from(matches!(odd, Copy::Damaged(_)));
            return Err(corrupt(worse, "no generation is whole"));
        }
    };
    Ok(Survey { files: [even_file, odd_file], newest, begun, in_both })
}

/// The newest generation that was begun, beside a whole one, in a file that holds none; `None` where a later one than the whole one may
/// have been completed there.
fn begun_in(other: &Copy, whole: u64) -> Option<u64> {
    match other {
        // What stands in one file alone was completed.
        Copy::Whole(_) => None,
        Copy::Torn(highest) => Some(whole.max(*highest)),
        Copy::Damaged(number) => number.filter(|number| *number < whole).map(|_| whole),
    }
}

fn read(disk: &dyn Disk, path: &Path, access: Access) -> Result<(Arc<dyn File>, Copy)> {
    let Some(file) = disk.open(path, access)? else {
        return Err(Error::new(Reason::ReplicaStateCorrupt).with("file", path.display()).with("bytes", "absent"));
    };
    // One byte more than there should be: a longer file is refused, without being read whole.
    let mut bytes = vec![0; GENERATION_BYTES.saturating_add(1)];
    let read = file.read_at(0, &mut bytes)?;
    bytes.truncate(read);
    let copy = Copy::read(&bytes).map_err(|error| error.with("file", path.display()))?;
    Ok((file, copy))
}

fn check_owner(generation: &Generation, path: &Path, database_id: Id, node_id: Id) -> Result<()> {
    let other = |reason, expected: Id, found: Id| {
        Error::new(reason).with("file", path.display()).with("expected", expected).with("found", found)
    };
    let state = &generation.state;
    if state.database_id != database_id {
        return Err(other(Reason::IdentityOtherDatabase, database_id, state.database_id));
    }
    if state.node_id != node_id {
        return Err(other(Reason::IdentityOtherNode, node_id, state.node_id));
    }
    Ok(())
}
