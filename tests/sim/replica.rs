//! A replica under test: the product's own, its wire, and what must hold of it after every step.

use super::attempt::{Beginning, Known, Named, Started};
use super::dice::Dice;
use super::line::Line;
use super::marks::{Mark, Marks};
use super::options::Options;
use super::primary::{crashed, is_disk_trouble, open_options};
use super::reader::{Truth, Watch};
use super::wire::{Connection, SimLink};
use aerodb::disk::SimDisk;
use aerodb::follower_node::FollowerNode;
use aerodb::limits::SEALED_TABLES_MAX;
use aerodb::store::run::RunId;
use aerodb::supervisor::Reconnect;
use aerodb::supervisor::machine::State;
use aerodb::{CommitId, Direction, LogPoint, Range, Reason, Role};
use std::collections::BTreeSet;
use std::ops::Bound;

/// A replica.
pub struct Replica {
    pub disk: SimDisk,
    pub node: Option<FollowerNode>,
    pub link: SimLink,
    pub connection: Option<Connection>,
    /// How its directory begins, and what is done about that.
    pub beginning: Beginning,
    /// The line that its log was last seen to be of.
    pub line: usize,
    /// The nodes that have served it.
    pub served_by: BTreeSet<u8>,
    /// The node whose log it follows, and that it has written down.
    pub follows: Option<u8>,
    /// In the calm it was given a snapshot.
    pub mended: bool,
    /// With what it may halt, as things have happened to it since it was opened.
    pub justified: BTreeSet<u8>,
    pub disk_fault: bool,
    /// What halted it.
    pub halted: Option<(Reason, u64)>,
    /// What may have halted it: it crashed while that was written down.
    pub perhaps_halted: Option<Reason>,
    /// What there may be instead of it: who cleared it crashed.
    pub perhaps_cleared: Option<Option<Named>>,
    /// It was opened halted.
    rests: bool,
    /// The primary that sent it log last.
    pub source: usize,
    /// Steps of the Receiver, or of all stages behind it, that are withheld.
    pub stalled: [u64; 3],
    pub seen: Seen,
    watch: Watch,
    /// The runs that were compared since it was opened.
    pub runs: BTreeSet<RunId>,
    window: u64,
    /// What it had asked for when it was opened.
    introduced: u64,
    pub options: aerodb::Options,
}

/// What is known of it beside its files.
pub struct Remembered {
    known: Known,
    seen: Seen,
    halted: Option<(Reason, u64)>,
    perhaps: (Option<Reason>, Option<Option<Named>>),
    served_by: BTreeSet<u8>,
    follows: Option<u8>,
}

/// How far it was seen to be.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    pub received: u64,
    pub dropped: u64,
    pub validated: LogPoint,
    pub applied: LogPoint,
    pub keeps_from: u64,
    /// What must be there after any crash: received, and free of damage.
    pub sound: u64,
}

/// By what a replica can be halted here.
const HALTS: [(Reason, Mark); 16] = [
    (Reason::ProtocolMalformed, Mark::Malformed),
    (Reason::ProtocolUnexpected, Mark::Unexpected),
    (Reason::ReplicationGap, Mark::Gap),
    (Reason::ReplicationNotAsked, Mark::NotAsked),
    (Reason::SegmentRejected, Mark::Rejected),
    (Reason::HistoryAhead, Mark::Ahead),
    (Reason::HistoryDiverged, Mark::Diverged),
    (Reason::HistoryRetired, Mark::Retired),
    (Reason::IdentityOtherDatabase, Mark::OtherDatabase),
    (Reason::IdentityOtherParameters, Mark::OtherParameters),
    (Reason::IdentityOtherEpoch, Mark::OtherEpoch),
    (Reason::IdentityOtherPrimary, Mark::OtherPrimary),
    (Reason::SnapshotRejected, Mark::SnapshotRejected),
    (Reason::SnapshotCutMismatch, Mark::SnapshotCutMismatch),
    (Reason::SnapshotGone, Mark::SnapshotGone),
    (Reason::SnapshotUnreadable, Mark::SnapshotUnreadable),
];

macro_rules! must {
    ($holds:expr, $($told:tt)*) => {
        if !$holds {
            return Err(format!($($told)*));
        }
    };
}

impl Replica {
    pub fn new(disk: SimDisk, options: &Options, link: SimLink, begins: u64) -> Replica {
        let window = options.bounds.receiver.window_bytes;
        let options = open_options(&disk, options, Role::Replica);
        Replica {
            disk,
            node: None,
            link,
            connection: None,
            beginning: Beginning::new(begins),
            line: 0,
            // Whoever waits for a snapshot was told by whom.
            served_by: if begins > 0 { BTreeSet::from([1]) } else { BTreeSet::new() },
            follows: (begins > 0).then_some(1),
            mended: false,
            justified: BTreeSet::new(),
            disk_fault: false,
            halted: None,
            perhaps_halted: None,
            perhaps_cleared: None,
            rests: false,
            source: 0,
            stalled: [0; 3],
            seen: Seen::default(),
            watch: Watch::default(),
            runs: BTreeSet::new(),
            window,
            introduced: 0,
            options,
        }
    }

    pub fn up(&self) -> &FollowerNode {
        self.node.as_ref().expect("it is up")
    }

    /// Whether something halts it that its Supervisor has not seen yet.
    pub fn is_to_halt(&self) -> bool {
        let halts = |fault: &aerodb::Error| fault.reason().halts();
        self.node.as_ref().is_some_and(|node| node.halt().is_none() && node.fault().is_some_and(halts))
    }

    pub fn justify(&mut self, reasons: &[Reason]) {
        self.justified.extend(reasons.iter().map(|reason| reason.number()));
    }

    /// Opens it, and checks what it found.
    pub fn open(&mut self, options: &Options, lines: &[Line], marks: &mut Marks) -> Result<Started, String> {
        match FollowerNode::open(&self.options, Reconnect::After(1), options.bounds) {
            Ok(node) => {
                self.watch = Watch::begin(node.store());
                self.node = Some(node);
            }
            Err(error) if self.disk_fault && is_disk_trouble(&error) => return Ok(Started::Refused),
            Err(error) if error.reason() == Reason::BootstrapIncomplete && self.beginning.known.empty => {
                self.forgotten(marks);
                marks.set(Mark::StartedIncomplete);
                return Ok(Started::Incomplete);
            }
            Err(error) => return Err(format!("the replica does not open: {error}")),
        }
        self.justified.clear();
        let node = self.up();
        let (report, point) = (node.report().clone(), node.validated().point);
        let kept = node.halt().map(|halt| (halt.reason, halt.position.0));
        let (applied, received) = (node.applied(), node.received());
        // Which of the two there is after a crash in an install shows in the halt: what a snapshot was ordered for is gone with its data.
        if self.beginning.known.perhaps_installed.is_some() {
            if self.beginning.known.empty || kept.is_none() {
                self.counted(lines, marks)?;
            } else {
                self.forgotten(marks);
            }
        }
        must!(!self.beginning.known.empty, "it held nothing, and is open at {point}");
        self.found_halt(kept)?;
        self.rests = kept.is_some();
        self.runs.clear();
        must!(applied == point, "{point} is proven, and {applied} is applied after a restart");
        let before = self.seen;
        must!(point.position.0 >= before.sound, "everything up to {} was received, and {point} is there", before.sound);
        must!(
            point.position >= before.validated.position,
            "{} was proven, and {point} is there after a restart",
            before.validated
        );
        if report.log.unproven_bytes > 0 {
            marks.set(Mark::UnprovenDropped);
        }
        if point.position > before.validated.position {
            marks.set(Mark::ReceivedProven);
        }
        if report.log.roll_finished {
            marks.set(Mark::RollFinished);
        }
        if kept.is_some() {
            marks.set(Mark::RestartedHalted);
        }
        self.introduced = received.received.0;
        self.seen = Seen { keeps_from: received.oldest.0, ..Seen::default() };
        self.find_line(lines, point)?;
        lines[self.line].compare(&self.disk, received.oldest.0, point.position.0)?;
        self.seen.validated = point;
        self.check(lines, None, marks)?;
        if kept.is_none() {
            self.check_rows(&lines[self.line])?;
        }
        Ok(Started::Up)
    }

    pub fn find_line(&mut self, lines: &[Line], point: LogPoint) -> Result<(), String> {
        if lines[self.line].holds(point) {
            return Ok(());
        }
        let found = lines.iter().position(|line| line.holds(point));
        self.line = found.ok_or_else(|| format!("{point} is no point of any primary's log"))?;
        Ok(())
    }

    /// What is known of it, to be known again where a start crashes.
    pub fn remember(&self) -> Remembered {
        let (known, served_by) = (self.beginning.known.clone(), self.served_by.clone());
        let perhaps = (self.perhaps_halted, self.perhaps_cleared);
        Remembered { known, seen: self.seen, halted: self.halted, perhaps, served_by, follows: self.follows }
    }

    pub fn recall(&mut self, remembered: Remembered) {
        let Remembered { known, seen, halted, perhaps, served_by, follows } = remembered;
        (self.beginning.known, self.seen, self.halted) = (known, seen, halted);
        ((self.perhaps_halted, self.perhaps_cleared), self.served_by, self.follows) = (perhaps, served_by, follows);
    }

    /// Notes whose log it follows, which it has written down by now; it follows no other's (REPL-PRIMARY).
    pub fn note_primary(&mut self) -> Result<(), String> {
        let node = self.up();
        let Some(origin) = node.received().origin else { return Ok(()) };
        let from = origin.node_id.0[0];
        must!(
            self.follows.is_none_or(|follows| follows == from),
            "it follows {:?}, and takes log of {from}",
            self.follows
        );
        if !self.disk_fault {
            self.follows = Some(from);
        }
        Ok(())
    }

    /// The runs that it has not had before are what runs of these identities are, wherever they were made.
    pub fn check_runs(&mut self, lines: &[Line]) -> Result<(), String> {
        let store = self.node.as_ref().expect("it is up").store();
        lines[self.line].check_runs(store, &self.disk, &mut self.runs)
    }

    /// What must hold after every step.
    pub fn check(&mut self, lines: &[Line], dice: Option<&mut Dice>, marks: &mut Marks) -> Result<(), String> {
        let node = self.up();
        let (received, validated, applied) = (node.received(), node.validated(), node.applied());
        let dropped = received.dropped;
        let (asked, oldest, received) = (received.asked.0, received.oldest.0, received.received.0);
        let point = validated.point;
        let seen = self.seen;
        let waiting = node.waiting();
        let bound = (applied.position.0 + self.window).max(validated.wanted.0).max(self.introduced);
        must!(asked <= bound, "{asked} was asked for, {bound} is the most");
        let sealed = node.store().state().sealed.len();
        must!(sealed <= SEALED_TABLES_MAX, "{sealed} sealed tables wait");
        must!(
            applied.position <= point.position
                && point.position <= validated.seen
                && point.position.0 <= received
                && (validated.seen.0 <= received || waiting.0 > 0 || node.fault().is_some())
                && received <= asked,
            "the law of positions: applied {applied}, validated {point}, received {received}, asked {asked}"
        );
        must!(
            seen.applied.position <= applied.position
                && seen.validated.position <= point.position
                && (seen.received <= received
                    || (received == point.position.0 && received + dropped == seen.received + seen.dropped)),
            "a position went back: {seen:?}, now {applied}, {point}, {received}"
        );
        let published = node.store().commit();
        // Where nobody can say what the replica is, nothing is published any more.
        let shown = published == applied.commit || (self.is_unsupervised() && published <= applied.commit);
        must!(shown, "{published} is published, {applied} is applied");
        must!(
            waiting.0 == 0 || received > point.position.0 || validated.seen.0 > received || node.halt().is_some(),
            "what waits was not received"
        );
        if oldest > seen.keeps_from && seen.keeps_from > 0 {
            marks.set(Mark::ReplicaRetired);
        }
        let proofs = node.store().proofs();
        must!(proofs.logged == proofs.compared + proofs.waiting + proofs.missed, "Proofs that are nowhere: {proofs:?}");
        for (count, mark) in [(proofs.compared, Mark::ProofCompared), (proofs.waiting, Mark::ProofWaited)] {
            if count > 0 {
                marks.set(mark);
            }
        }
        self.seen = Seen { received, dropped, validated: point, applied, keeps_from: oldest, sound: 0 };
        must!(
            !self.rests || applied == seen.applied || seen.applied == LogPoint::default(),
            "it is halted, and applies"
        );
        // Where there were other primaries, what is not proven may be of any of them.
        if self.justified.is_empty() && !self.disk_fault && lines.len() == 1 {
            self.seen.sound = lines[0].boundary(received).position.0;
        }
        if point != seen.validated {
            self.find_line(lines, point)?;
            let from = seen.validated.position.0.max(oldest);
            lines[self.line].compare(&self.disk, from, point.position.0)?;
        }
        if applied != seen.applied {
            let line = &lines[self.line];
            must!(line.holds(applied), "{applied} is applied, and no point of the log");
            if let Some(dice) = dice {
                self.check_sample(line, applied, dice)?;
            }
        }
        Ok(())
    }

    /// Compares one key, at the newest commit and at one that is readable still.
    fn check_sample(&self, line: &Line, applied: LogPoint, dice: &mut Dice) -> Result<(), String> {
        let store = self.up().store();
        if store.halted().is_some() || self.is_unsupervised() {
            return Ok(());
        }
        let floor = line.floor(applied.position.0);
        let at = if dice.once_in(2) { applied.commit.0 } else { dice.range(floor, applied.commit.0) };
        let key = format!("key{:02}", dice.below(16)).into_bytes();
        let view = store.view(Some(CommitId(at))).map_err(|error| format!("reading at {at}: {error}"))?;
        match view.get(&key) {
            Ok(found) => {
                let expected = line.get(&key, at);
                must!(found.as_deref() == expected, "{key:?} at {at} is {found:?}, and was {expected:?}");
                Ok(())
            }
            Err(error) if self.disk_fault && is_disk_trouble(&error) => Ok(()),
            Err(error) => Err(format!("reading at {at}: {error}")),
        }
    }

    /// Compares everything, at the newest commit and at the floor.
    pub fn check_rows(&self, line: &Line) -> Result<(), String> {
        let store = self.up().store();
        let applied = self.up().applied();
        if store.halted().is_some() || self.is_unsupervised() {
            return Ok(());
        }
        for at in [applied.commit.0, line.floor(applied.position.0)] {
            let all =
                Range { from: Bound::Unbounded, to: Bound::Unbounded, direction: Direction::Forward, limit: 1000 };
            let rows = store.view(Some(CommitId(at))).and_then(|view| view.range(all)?.collect());
            match rows {
                Ok(rows) => {
                    let rows: super::line::Rows = rows.into_iter().collect();
                    let expected = line.rows(at);
                    must!(rows == expected, "at {at} it shows {rows:?}, and should show {expected:?}");
                }
                Err(error) if self.disk_fault && is_disk_trouble(&error) => {}
                Err(error) => return Err(format!("reading at {at}: {error}")),
            }
        }
        let beyond = store.view(Some(CommitId(applied.commit.0 + 1)));
        must!(beyond.is_err(), "something beyond the applied commit {} can be read", applied.commit);
        Ok(())
    }

    /// A fault or a halt must be one that something justifies; notes the halt.
    pub fn check_faults(&mut self, marks: &mut Marks) -> Result<(), String> {
        let node = self.up();
        let halt = node.halt().map(|halt| (halt.reason, halt.position.0));
        if let Some(fault) = node.fault() {
            let justified = if fault.reason().halts() {
                self.justified.contains(&fault.reason().number())
            } else {
                self.disk_fault && is_disk_trouble(fault)
            };
            must!(justified, "nothing justifies this: {fault}");
        }
        if node.state() == State::Failed && self.disk_fault {
            // A halt that could not be written to both files may be found by a restart.
            self.perhaps_halted = node.fault().map(aerodb::Error::reason).filter(|reason| reason.halts());
            return Ok(());
        }
        if halt == self.halted {
            return Ok(());
        }
        must!(self.halted.is_none(), "halted by {:?}, and now by {halt:?}", self.halted);
        let Some((reason, position)) = halt else { return Ok(()) };
        // That of the record that does not prove itself, or of the log that does not continue; else the end of what had been announced
        // before that which halts it.
        let place = if reason == Reason::SegmentRejected {
            Some(self.seen.validated.position.0)
        } else if [Reason::ReplicationGap, Reason::ReplicationNotAsked].contains(&reason) {
            self.link.reading.odd
        } else {
            Some(self.link.reading.announced)
        };
        must!(place == Some(position), "it halts by {reason} at {position}, and that was at {place:?}");
        must!(node.state() == State::Halted, "a halt is kept, and the state is {}", node.state());
        must!(node.fault().map(aerodb::Error::reason) == Some(reason), "the halt is not the first fault");
        let refused = node.store().view(None).err().map(|refusal| refusal.reason());
        must!(refused == Some(Reason::ReplicaHalted), "a halted replica answers a read with {refused:?}");
        self.halted = halt;
        self.beginning.known.resumed = false;
        self.note_halt(reason, marks)
    }

    /// It has halted by this.
    pub fn note_halt(&self, reason: Reason, marks: &mut Marks) -> Result<(), String> {
        let mark = HALTS.iter().find(|(known, _)| *known == reason);
        let (_, mark) = mark.ok_or_else(|| format!("nothing here can halt a replica by {reason}"))?;
        marks.set(*mark);
        Ok(())
    }

    /// Whether its Supervisor has failed: then nobody can say what the replica is, and reads have ended.
    fn is_unsupervised(&self) -> bool {
        self.up().fault().is_some_and(|fault| fault.fact("component") == Some("supervisor"))
    }

    /// What is so here, as readers must be told it.
    pub fn truth<'a>(&self, lines: &'a [Line]) -> Truth<'a> {
        let node = self.up();
        // A halt that could not be kept ends reads as well.
        let unkept = node.state() == State::Failed && node.fault().is_some_and(|fault| fault.reason().halts());
        let halted = node.halt().is_some() || unkept || self.is_unsupervised();
        Truth { line: &lines[self.line], applied: node.applied(), halted, disk_fault: self.disk_fault }
    }

    /// The reader that the store called was told the truth, and so is one that asks now.
    pub fn check_readers(&mut self, lines: &[Line], dice: &mut Dice, marks: &mut Marks) -> Result<(), String> {
        let truth = self.truth(lines);
        self.watch.check(&truth, marks)?;
        if !dice.once_in(4) {
            return Ok(());
        }
        truth.ask(self.up().store(), dice, marks)?;
        if !truth.halted && self.connection.is_none() && truth.applied.commit.0 > 0 {
            marks.set(Mark::ReadCutOff);
        }
        if !truth.halted && self.up().state() == State::Failed {
            marks.set(Mark::ReadFailed);
        }
        Ok(())
    }

    /// The process ends; and the machine, or not.
    pub fn crash(&mut self, dice: &mut Dice) {
        self.end();
        self.disk_fault = false;
        self.disk = crashed(&self.disk, dice);
    }

    /// Its process ends, and tells nobody.
    pub fn end(&mut self) {
        self.node = None;
        self.beginning.attempt = None;
        self.disconnect();
    }

    pub fn disconnect(&mut self) {
        self.connection = None;
        aerodb::receiver::worker::Link::close(&mut self.link);
    }
}
