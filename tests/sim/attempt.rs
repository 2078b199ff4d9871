//! How a replica's directory begins, and what an operator does about it: snapshots, the orders for one, and halts that are cleared.
//!
//! Whatever ends a bootstrap, the directory is wholly what it was or wholly the snapshot. Which of them, the oracle knows but where a crash or
//! a failing disk fell into the install itself: then it is what the next start says, and stays that.

use super::dice::Dice;
use super::line::{DIR, Line};
use super::marks::{Mark, Marks};
use super::options::Options;
use super::primary::is_disk_trouble;
use super::replica::{Replica, Seen};
use super::wire::Stand;
use aerodb::begin::{Attempt, BeginOptions, Begun};
use aerodb::bootstrap::machine::State;
use aerodb::disk::Crash;
use aerodb::replica_state::{Halt, ReplicaState};
use aerodb::supervisor::Reconnect;
use aerodb::{Error, Identity, LogPoint, Position, Reason};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

/// What a halt is named by.
pub type Named = (Reason, u64);

/// How a directory begins.
pub struct Beginning {
    /// It is started at this step for the first time.
    pub at: u64,
    /// The bootstrap that runs.
    pub attempt: Option<Box<Attempt>>,
    /// Starts in a row that crashed while an install was to be settled.
    pub unsettled: u64,
    pub known: Known,
}

/// What is known of a directory, beside its log: a start that crashes changes nothing of it.
#[derive(Clone, Default)]
pub struct Known {
    /// It holds nothing yet.
    pub empty: bool,
    /// The halt that the next start is to answer with a snapshot.
    pub order: Option<Named>,
    /// It may be the snapshot with this cut, of this node.
    pub perhaps_installed: Option<(LogPoint, u8)>,
    /// The halt of the data, where that which is kept is what an order has come to.
    pub instead: Option<Named>,
    /// The halt that was named by the order which has come to the one that is kept.
    pub carried: Option<Named>,
    /// The order that a bootstrap began with at last.
    pub tried: Option<Named>,
    /// It crashed while the halt was put in place of one with the same name: which of them there is, only a further order is told.
    pub alike: bool,
    /// A halt that an operator had cleared whose process crashed: until something else is written down it may be back after the machine crashes.
    pub reverts: Option<(Named, Option<Named>, Option<Named>)>,
    /// An operator has cleared a halt, and nothing has halted it since.
    pub resumed: bool,
}

impl Known {
    /// An order that named this halt has come to another, or to the same.
    fn come_to(&mut self, order: Named) {
        (self.carried, self.alike) = (Some(order), false);
        if !self.empty {
            self.instead.get_or_insert(order);
        }
    }
}

/// What a start has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Started {
    /// It follows.
    Up,
    /// It bootstraps.
    Attempts,
    /// It holds nothing, and a halt that only an order answers.
    Halted,
    /// It holds nothing, and was not told to bootstrap.
    Incomplete,
    /// The disk refused, as it was told to.
    Refused,
}

macro_rules! must {
    ($holds:expr, $($told:tt)*) => {
        if !$holds {
            return Err(format!($($told)*));
        }
    };
}

impl Beginning {
    pub fn new(at: u64) -> Beginning {
        let known = Known { empty: at > 0, ..Known::default() };
        Beginning { at, attempt: None, unsettled: 0, known }
    }
}

impl Replica {
    /// Whether a process has its directory.
    pub fn runs(&self) -> bool {
        self.node.is_some() || self.beginning.attempt.is_some()
    }

    /// Whether the next start says what halts it.
    pub fn is_unsure(&self) -> bool {
        self.perhaps_cleared.is_some() || self.perhaps_halted.is_some()
    }

    /// Whether a bootstrap runs, and is in one of these states.
    pub fn bootstraps(&self, states: &[State]) -> bool {
        self.beginning.attempt.as_ref().is_some_and(|attempt| states.contains(&attempt.state()))
    }

    /// Whether it waits for an operator, and nothing that it does by itself changes that.
    pub fn waits(&self) -> bool {
        !self.runs() && self.beginning.known.empty && self.halted.is_some() && self.beginning.known.order.is_none()
    }

    /// Starts it as whoever supervises it would: with the order, if there is one; else with `--bootstrap snapshot`, or without.
    pub fn start(
        &mut self,
        options: &Options,
        lines: &[Line],
        dice: &mut Dice,
        marks: &mut Marks,
    ) -> Result<Started, String> {
        self.options.disk = Arc::new(self.disk.clone());
        let Known { empty, order, perhaps_installed, .. } = self.beginning.known;
        let forgets = if perhaps_installed.is_some() { 3 } else { 8 };
        if order.is_some() && !empty && dice.once_in(forgets) {
            // Nobody gives it again: what there is then must be whole as well.
            self.beginning.known.order = None;
            marks.set(Mark::OrderDropped);
        }
        let bootstraps = match (self.beginning.known.order, empty) {
            (Some(_), _) => true,
            (None, true) => !dice.once_in(8),
            (None, false) => dice.once_in(2),
        };
        if bootstraps && let Some(started) = self.attempt(options, lines, marks)? {
            return Ok(started);
        }
        self.open(options, lines, marks)
    }

    /// Begins a bootstrap; `None` where data is there, and no order.
    fn attempt(&mut self, options: &Options, lines: &[Line], marks: &mut Marks) -> Result<Option<Started>, String> {
        let known = self.beginning.known.clone();
        match Attempt::open(&self.begin_options(options, known.order), &|_| {}) {
            Ok(Begun::Waits(attempt)) => {
                must!(known.empty || known.order.is_some(), "data is there, and without an order a bootstrap begins");
                must!(
                    self.halted == known.order || self.is_unsure(),
                    "halted by {:?}, and a bootstrap begins that was ordered for {:?}",
                    self.halted,
                    known.order
                );
                if known.order.is_none() {
                    let back = self.halted.take().map(|named| (named, known.instead, known.carried));
                    self.beginning.known.reverts = back.or(known.reverts);
                }
                self.forgotten(marks);
                (self.perhaps_halted, self.perhaps_cleared) = (None, None);
                (self.beginning.known.tried, self.beginning.known.alike) = (known.order, false);
                self.justified.clear();
                self.beginning.attempt = Some(attempt);
                Ok(Some(Started::Attempts))
            }
            Ok(Begun::Holds(_)) => {
                must!(!known.empty || known.perhaps_installed.is_some(), "nothing was there, and now there is data");
                // With an order, it is the one that was being carried out.
                must!(known.order.is_none() || known.perhaps_installed.is_some(), "data is there, and an order");
                if known.empty || known.order.is_some() {
                    self.counted(lines, marks)?;
                }
                Ok(None)
            }
            Err(error) if error.reason() == Reason::HaltOther && known.order.is_some() => {
                let may = known.perhaps_installed.is_some() || self.perhaps_halted.is_some();
                must!(may, "an order that names {:?} is told: {error}", self.halted);
                // What it asked for was done, or has come to another halt: it is not given again.
                self.beginning.known.order = None;
                self.attempt(options, lines, marks)
            }
            Err(error) if error.reason() == Reason::HaltAnswered && known.order.is_some() => {
                let halts =
                    self.perhaps_halted.is_some() && self.perhaps_halted == known.order.map(|(reason, _)| reason);
                must!(
                    known.carried == known.order || halts || known.alike,
                    "an order that was not carried out is told: {error}"
                );
                self.found_halt(known.order)?;
                if let Some(order) = self.beginning.known.order.take() {
                    self.beginning.known.come_to(order);
                }
                marks.set(Mark::OrderedAgain);
                self.attempt(options, lines, marks)
            }
            Err(error) if error.reason() == Reason::ReplicaHalted => {
                let kept = error.fact("halt").and_then(|halt| Halt::parse(halt).ok());
                let kept = kept.map(|(reason, position)| (reason, position.0));
                must!(known.empty, "a replica with data is refused a bootstrap: {error}");
                self.found_halt(kept)?;
                self.forgotten(marks);
                Ok(Some(Started::Halted))
            }
            Err(error) if self.disk_fault && is_disk_trouble(&error) => Ok(Some(Started::Refused)),
            Err(error) => Err(format!("a bootstrap does not begin: {error}")),
        }
    }

    fn begin_options(&self, options: &Options, order: Option<Named>) -> BeginOptions {
        BeginOptions {
            reconnect: Reconnect::After(1),
            blank_seed: Some(0xb1a),
            order: order.map(|(reason, position)| (reason, Position(position))),
            window_bytes: options.snapshot_window,
            ..BeginOptions::new(self.options.clone())
        }
    }

    /// A start found this halt: it must be the one that is known, or one that was being written or cleared when it crashed.
    pub fn found_halt(&mut self, kept: Option<Named>) -> Result<(), String> {
        let perhaps = self.perhaps_halted.take();
        let cleared = self.perhaps_cleared.take() == Some(kept);
        let known = &mut self.beginning.known;
        let tried = known.tried.take();
        if let Some((named, instead, carried)) = known.reverts
            && kept == Some(named)
            && self.halted != kept
        {
            (known.instead, known.carried, self.halted) = (instead, carried, kept);
        }
        let halted = kept.is_some() && kept.map(|(reason, _)| reason) == perhaps;
        must!(kept == self.halted || halted || cleared, "halted by {:?}, and after a restart by {kept:?}", self.halted);
        if cleared && kept != self.halted {
            known.reverts = self.halted.map(|named| (named, known.instead, known.carried));
            (known.instead, known.carried) = (None, None);
        } else if halted && let Some(tried) = tried {
            if kept == self.halted {
                known.alike = true;
            } else {
                known.come_to(tried);
            }
        }
        self.halted = kept;
        Ok(())
    }

    /// The crash in the install had left what was there before.
    pub fn forgotten(&mut self, marks: &mut Marks) {
        if self.beginning.known.perhaps_installed.take().is_some() {
            marks.set(Mark::InstallForgotten);
        }
    }

    /// The crash in the install had left the snapshot.
    pub fn counted(&mut self, lines: &[Line], marks: &mut Marks) -> Result<(), String> {
        let (cut, node) = self.beginning.known.perhaps_installed.expect("a crash fell into an install");
        marks.set(Mark::InstallCounted);
        self.installed(lines, cut, node)
    }

    /// The directory is this snapshot.
    fn installed(&mut self, lines: &[Line], cut: LogPoint, node: u8) -> Result<(), String> {
        self.find_line(lines, cut)?;
        self.seen = Seen { received: cut.position.0, validated: cut, applied: cut, ..Seen::default() };
        self.beginning.known = Known::default();
        (self.halted, self.perhaps_halted, self.perhaps_cleared) = (None, None, None);
        (self.served_by, self.follows) = (BTreeSet::from([node]), Some(node));
        self.runs.clear();
        Ok(())
    }

    /// A turn of the bootstrap, and what it has come to.
    pub fn bootstrap(&mut self, lines: &[Line], marks: &mut Marks) -> Result<(), String> {
        let attempt = self.beginning.attempt.as_mut().expect("it bootstraps");
        let state = attempt.state();
        let came = attempt.transfer().came;
        let turned = turn(attempt, &mut self.link);
        if self.link.stand == Stand::None {
            self.connection = None;
        }
        let transfer = attempt.transfer();
        must!(
            transfer.written <= transfer.came && transfer.came <= transfer.asked,
            "more came than was asked for: {transfer:?}"
        );
        match turned {
            Ok(None) if attempt.state() == State::Installed => {
                let (cut, node) = served(attempt);
                let ordered = self.beginning.known.order.is_some();
                self.beginning.attempt = None;
                marks.set(Mark::Installed);
                if ordered {
                    marks.set(Mark::InstalledOrdered);
                }
                if transfer.total > 0 && cut.commit.0 > 0 {
                    marks.set(Mark::InstalledCommits);
                }
                self.installed(lines, cut, node)?;
                if self.source != 0 {
                    marks.set(Mark::InstalledOther);
                }
                let aside = Path::new(DIR).join("incoming");
                let left: Vec<_> = self.disk.paths().into_iter().filter(|path| path.starts_with(&aside)).collect();
                must!(left.is_empty(), "a snapshot is in place, and aside there is {left:?}");
                Ok(())
            }
            Ok(None) => Ok(()),
            Ok(Some(lost)) => {
                must!(!lost.reason().halts(), "a connection is lost by what halts: {lost}");
                if came > 0 {
                    marks.set(Mark::SnapshotLost);
                }
                Ok(())
            }
            Err(error) => self.failed(&error, state, marks),
        }
    }

    /// The bootstrap has ended with this.
    fn failed(&mut self, error: &Error, state: State, marks: &mut Marks) -> Result<(), String> {
        let attempt = self.beginning.attempt.take().expect("it bootstrapped");
        let installs = state == State::Installing;
        if installs {
            self.beginning.known.perhaps_installed = Some(served(&attempt));
            marks.set(Mark::InstallFailed);
        }
        if !error.reason().halts() || installs {
            must!(self.disk_fault && is_disk_trouble(error), "nothing justifies this: {error}");
            // A halt that could not be written to both files may be found by a restart.
            self.perhaps_halted = error.fact("not_kept").and(error.fact("failure")).and_then(reason_of);
            return Ok(());
        }
        let reason = error.reason();
        must!(self.justified.contains(&reason.number()), "nothing justifies this: {error}");
        let position: Option<u64> = error.fact("halt_position").and_then(|position| position.parse().ok());
        let position = position.ok_or_else(|| format!("a halt without a position: {error}"))?;
        let known = &mut self.beginning.known;
        match attempt.transfer().cut {
            Some(cut) => must!(position == cut.position.0, "it halts at {position}, and not at the cut {cut}"),
            None if known.empty => must!(position == 0, "it holds nothing, and halts at {position}"),
            None => must!(
                position <= self.seen.applied.position.0,
                "it halts at {position}, before it knew the cut, and {} was applied",
                self.seen.applied
            ),
        }
        if let Some(order) = known.order.take() {
            known.come_to(order);
            marks.set(Mark::HaltInstead);
        }
        known.resumed = false;
        self.halted = Some((reason, position));
        self.note_halt(reason, marks)
    }

    /// It crashes in a turn of its bootstrap; what may be there then is noted.
    pub fn bootstrap_and_crash(&mut self) -> Option<Mark> {
        let attempt = self.beginning.attempt.as_mut().expect("it bootstraps");
        let state = attempt.state();
        let turned = turn(attempt, &mut self.link);
        if state == State::Installing {
            self.beginning.known.perhaps_installed = Some(served(attempt));
            return Some(Mark::CrashInInstall);
        }
        let marks = [(State::Proving, Mark::CrashInProof), (State::Receiving, Mark::CrashInTransfer)];
        let mark = marks.into_iter().find(|(of, _)| *of == state).map(|(_, mark)| mark);
        self.perhaps_halted = turned.err().map(|error| error.reason()).filter(|reason| reason.halts());
        mark
    }

    /// An operator clears the halt by its name, or tries to by another; `Some` where that was done, with what the operator was told.
    pub fn resume(&mut self, named: Named) -> Result<(), Error> {
        self.options.disk = Arc::new(self.disk.clone());
        aerodb::replica::resume(&self.options, named.0, Position(named.1)).map(|_| ())
    }

    /// Whether the halt that is kept is this one, whatever becomes of the machine now.
    pub fn keeps_halt(&self, halt: Option<Named>, dice: &mut Dice) -> Result<(), String> {
        for variant in Crash::ALL {
            let disk = self.disk.image().crash(variant, dice.roll());
            let identity = Identity::read(&disk, Path::new(DIR)).map_err(|error| error.to_string())?;
            let Identity { database_id, node_id, .. } = identity;
            let state = ReplicaState::read(&disk, Path::new(DIR), database_id, node_id);
            let kept = state.map(|state| state.halt.map(|halt| (halt.reason, halt.position.0)));
            must!(kept == Ok(halt), "the halt is {halt:?}, and after a crash ({variant:?}) {kept:?}");
        }
        Ok(())
    }

    /// Whether an order by another name than that of the halt is refused.
    pub fn refuses_other(&mut self, options: &Options, named: Named) -> bool {
        self.options.disk = Arc::new(self.disk.clone());
        let begun = Attempt::open(&self.begin_options(options, Some(named)), &|_| {});
        begun.is_err_and(|error| error.reason() == Reason::HaltOther)
    }
}

fn turn(attempt: &mut Attempt, link: &mut super::wire::SimLink) -> aerodb::Result<Option<Error>> {
    if [State::Idle, State::Disconnected].contains(&attempt.state()) {
        attempt.connect(link)
    } else {
        attempt.turn(link)
    }
}

/// The cut of the snapshot, and the node that served it.
fn served(attempt: &Attempt) -> (LogPoint, u8) {
    let transfer = attempt.transfer();
    (transfer.cut.unwrap_or_default(), transfer.primary.unwrap_or_default().0[0])
}

/// The reason that a text begins with.
fn reason_of(text: &str) -> Option<Reason> {
    Reason::ALL.iter().copied().find(|reason| text.starts_with(reason.name()))
}
