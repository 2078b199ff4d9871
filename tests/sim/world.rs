//! A schedule: one seed decides everything that happens to a primary, its replicas and the wires between them.
//!
//! Chaos first, in which nothing wrong may ever be seen; then faults are off, and whoever nothing justifies to have halted must catch up.

use super::attempt::Started;
use super::dice::Dice;
use super::line::{Line, Writes};
use super::marks::{Mark, Marks};
use super::options::Options;
use super::primary::{DATABASE, Plan, Primary, init, init_empty, renamed};
use super::replica::Replica;
use super::wire::{self, CHUNK, Connection, HELLO, MANIFEST, Mishap, Piece, SEGMENT, SimLink, Snapshot, Stand};
use aerodb::bootstrap::machine::State as Bootstrapping;
use aerodb::committer::Retention;
use aerodb::disk::{Fault, SimDisk, SimImage};
use aerodb::feeder::{Session, machine::State as Feeding};
use aerodb::frame::Frame;
use aerodb::record::Purpose;
use aerodb::store::run::RunId;
use aerodb::{Parameters, Reason, Role, Wish};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

type Outcome<T = ()> = Result<T, String>;

/// The primary is slow to send to who does not take it.
const DOWN_BYTES_MAX: usize = 8192;
/// Orders that are given in the calm.
const MENDED_MAX: u64 = 12;
/// A primary that an operator might start by mistake.
const COPIES_MAX: usize = 3;

const SERVE: u64 = 0;
const DELIVER_UP: u64 = 3;
const DELIVER_DOWN: u64 = 5;
const RECEIVE: u64 = 8;
const PROVE: u64 = 11;
const APPLY: u64 = 14;
const MAINTAIN: u64 = 17;
const ESTABLISH: u64 = 18;
const LOOK: u64 = 19;

/// What stands behind the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behind {
    True,
    Nobody,
    Other(usize),
}

/// What an other primary is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    True,
    Foreign,
    Reshaped,
    Stale,
    Fork,
    Restored,
}

/// Each fault class draws from a stream of its own.
struct Streams {
    schedule: Dice,
    clients: Dice,
    crash: Dice,
    disk: Dice,
    wire: Dice,
    others: Dice,
    check: Dice,
    readers: Dice,
    orders: Dice,
    faults: BTreeMap<&'static str, Dice>,
}

/// All of it.
pub struct World {
    options: Options,
    seed: u64,
    streams: Streams,
    lines: Vec<Line>,
    primaries: Vec<(Kind, Primary)>,
    copies: Vec<(SimImage, Line)>,
    behind: Behind,
    /// Steps until the true primary is behind the address again.
    behind_for: u64,
    replicas: Vec<Replica>,
    /// A frame of each kind that was on its way earlier.
    strange: BTreeMap<u8, Vec<u8>>,
    /// Orders that were given in the calm.
    mended: u64,
    pub marks: Marks,
    calm: bool,
    step: u64,
    pub hash: u64,
    trace: bool,
}

impl World {
    pub fn new(seed: u64, trace: bool) -> World {
        let options = Options::of(seed);
        let stream = |name: &str| Dice::new(seed, name);
        let streams = Streams {
            schedule: stream("schedule"),
            clients: stream("clients"),
            crash: stream("crash"),
            disk: stream("disk"),
            wire: stream("wire"),
            others: stream("others"),
            check: stream("check"),
            readers: stream("readers"),
            orders: stream("orders"),
            faults: BTreeMap::new(),
        };
        let disk = SimDisk::new();
        init(&disk, &options, Role::Primary, DATABASE, options.parameters, 1);
        let primary = Primary::new(disk, &options, 0, 1);
        let replicas = (0..options.replicas).map(|index| {
            let disk = SimDisk::new();
            let begins = options.begins[index as usize];
            if begins > 0 {
                init_empty(&disk, &options, 10 + index as u8);
            } else {
                init(&disk, &options, Role::Replica, DATABASE, options.parameters, 10 + index as u8);
            }
            Replica::new(disk, &options, SimLink::new(Dice::new(seed.wrapping_add(index << 32), "link")), begins)
        });
        World {
            seed,
            streams,
            lines: vec![Line::new(DATABASE)],
            primaries: vec![(Kind::True, primary)],
            copies: Vec::new(),
            behind: Behind::True,
            behind_for: 0,
            replicas: replicas.collect(),
            strange: BTreeMap::new(),
            mended: 0,
            marks: Marks::default(),
            calm: false,
            step: 0,
            hash: seed,
            trace,
            options,
        }
    }

    /// Runs the schedule.
    pub fn run(&mut self) -> Outcome {
        if self.trace {
            println!("seed {}: {:#?}", self.seed, self.options);
        }
        self.start_primary()?;
        for index in 0..self.replicas.len() {
            if self.replicas[index].beginning.at == 0 {
                self.start_replica(index)?;
            }
        }
        while self.step < self.options.steps {
            self.step += 1;
            self.chaos()?;
            self.schedule()?;
            self.read()?;
        }
        self.calm_down()?;
        self.settle()?;
        if self.options.writes > 0 && !self.options.idles {
            // Who is level follows what is written from here on too.
            for _ in 0..3 {
                self.write()?;
            }
            self.settle()?;
        }
        self.check_end()
    }

    fn event(&mut self, what: &'static str, one: u64, two: u64) {
        for word in what.bytes().map(u64::from).chain([one, two]) {
            self.hash = (self.hash ^ word).wrapping_mul(0x0100_0000_01b3).rotate_left(5);
        }
        if self.trace {
            println!("{:5} {what} {one} {two}", self.step);
        }
    }

    /// Whether a fault of a class strikes now.
    fn strikes(&mut self, class: &'static str, once_in: u64) -> bool {
        let seed = self.seed;
        once_in > 0
            && !self.calm
            && self.streams.faults.entry(class).or_insert_with(|| Dice::new(seed, class)).once_in(once_in)
    }

    // ---- faults

    fn chaos(&mut self) -> Outcome {
        let faults = self.options.faults.clone();
        let count = self.replicas.len() as u64;
        if self.strikes("cut", faults.cut) {
            let index = self.streams.wire.below(count) as usize;
            self.cut(index);
        }
        if self.strikes("crash primary", faults.crash_primary) {
            self.crash_primary()?;
        }
        if self.strikes("crash replica", faults.crash_replica) {
            let index = self.streams.crash.below(count) as usize;
            self.crash_replica(index)?;
        }
        if self.strikes("operator", self.options.operator) {
            let index = self.streams.orders.below(count) as usize;
            self.operate(index)?;
        }
        // While a halt is written down.
        let halting = self.replicas.iter().position(Replica::is_to_halt);
        if let Some(index) = halting
            && faults.crash_replica > 0
            && self.strikes("crash halting", 4)
        {
            self.crash_replica(index)?;
        }
        // While a snapshot is proven, or put in place: that is one step each.
        let installing = |replica: &Replica| replica.bootstraps(&[Bootstrapping::Proving, Bootstrapping::Installing]);
        if let Some(index) = self.replicas.iter().position(installing) {
            if faults.disk_replica > 0 && self.strikes("disk installing", 4) {
                let replica = &mut self.replicas[index];
                replica.disk_fault = true;
                break_disk(&replica.disk, &mut self.streams.disk);
            }
            if faults.crash_replica > 0 && self.strikes("crash installing", 2) {
                self.crash_replica(index)?;
            }
        }
        if self.options.primary_retention != Retention::All
            && self.replicas.iter().any(|replica| replica.bootstraps(&[Bootstrapping::Receiving]))
            && self.strikes("burst", 12)
        {
            self.burst()?;
        }
        if self.strikes("close replica", faults.close_replica) {
            let index = self.streams.crash.below(count) as usize;
            self.close_replica(index)?;
        }
        if self.strikes("disk replica", faults.disk_replica) {
            let index = self.streams.disk.below(count) as usize;
            let replica = &mut self.replicas[index];
            replica.disk_fault = true;
            break_disk(&replica.disk, &mut self.streams.disk);
            self.event("the disk of a replica is to fail", index as u64, 0);
        }
        if self.strikes("disk primary", faults.disk_primary) && self.true_up() {
            let primary = &mut self.primaries[0].1;
            primary.disk_fault = true;
            break_disk(&primary.disk, &mut self.streams.disk);
            self.event("the disk of the primary is to fail", 0, 0);
        }
        if self.strikes("stall", faults.stall) {
            let index = self.streams.schedule.below(count) as usize;
            let stage = self.streams.schedule.below(3) as usize;
            self.replicas[index].stalled[stage] = self.step + 60;
            self.event("a stage stalls", index as u64, stage as u64);
        }
        if self.behind_for > 0 {
            self.behind_for -= 1;
            if self.behind_for == 0 {
                self.set_behind(Behind::True);
            }
            return Ok(());
        }
        if self.streams.others.once_in(40) && self.true_up() && self.copies.len() < COPIES_MAX {
            self.copies.push((self.primaries[0].1.disk.image(), self.lines[0].clone()));
        }
        if self.strikes("unreachable", faults.unreachable) {
            self.behind_for = 20;
            self.set_behind(Behind::Nobody);
        } else if self.strikes("foreign", faults.foreign) {
            self.start_other(Kind::Foreign)?;
        } else if self.strikes("reshaped", faults.reshaped) {
            self.start_other(Kind::Reshaped)?;
        } else if self.strikes("stale", faults.stale) {
            self.start_other(Kind::Stale)?;
        } else if self.strikes("fork", faults.fork) {
            self.start_other(Kind::Fork)?;
        } else if self.strikes("restored", faults.restored) {
            self.start_other(Kind::Restored)?;
        }
        Ok(())
    }

    fn set_behind(&mut self, behind: Behind) {
        self.behind = behind;
        let number = if let Behind::Other(index) = behind { index as u64 } else { 0 };
        self.event(if behind == Behind::Nobody { "nobody listens" } else { "a primary listens" }, number, 0);
        for index in 0..self.replicas.len() {
            self.cut(index);
        }
    }

    fn start_other(&mut self, kind: Kind) -> Outcome {
        let index = self.lines.len();
        let mut node = 1;
        let (disk, line) = match kind {
            Kind::Foreign | Kind::Reshaped => {
                let disk = SimDisk::new();
                let ours = self.options.parameters;
                let database = if kind == Kind::Foreign { [0xee; 16] } else { DATABASE };
                let reshaped = Parameters { table_bytes: ours.table_bytes * 2, ..ours };
                let shape = if kind == Kind::Reshaped { reshaped } else { ours };
                node = 2;
                init(&disk, &self.options, Role::Primary, database, shape, node);
                (disk, Line::new(database))
            }
            Kind::True | Kind::Stale | Kind::Fork | Kind::Restored => {
                if self.copies.is_empty() {
                    return Ok(());
                }
                let copy = self.streams.others.below(self.copies.len() as u64) as usize;
                let (image, line) = &self.copies[copy];
                let mut disk = image.restart();
                if kind == Kind::Restored {
                    node = 100 + index as u8;
                    disk = renamed(disk, &self.options, node, self.streams.others.once_in(2));
                }
                (disk, line.parting())
            }
        };
        let mut primary = Primary::new(disk, &self.options, index, node);
        self.lines.push(line);
        primary.open(&mut self.lines[index])?;
        if kind == Kind::Fork || (kind == Kind::Restored && self.streams.others.once_in(2)) {
            for _ in 0..self.streams.others.range(1, 4) {
                let writes = self.writes(100 + index as u64);
                primary.order(&[Plan::Commit(writes)], &mut self.lines[index])?;
            }
        }
        self.primaries.push((kind, primary));
        self.behind_for = self.streams.others.range(20, 60);
        self.event("an other primary", kind as u64, index as u64);
        self.set_behind(Behind::Other(self.primaries.len() - 1));
        Ok(())
    }

    /// The wire breaks: what is under way may be lost, to any byte.
    fn cut(&mut self, index: usize) {
        let dice = &mut self.streams.wire;
        let replica = &mut self.replicas[index];
        if replica.link.stand != Stand::Stands {
            if replica.link.stand == Stand::Asked {
                replica.link.stand = Stand::Refused;
            }
            replica.connection = None;
            return;
        }
        if let Some(connection) = &mut replica.connection {
            let lost = dice.below(2) == 0;
            let mut left = if lost { 0 } else { dice.below(1 + connection.down_bytes() as u64) as usize };
            let mut justified = Vec::new();
            while left > 0
                && let Some(piece) = connection.down.pop_front()
            {
                let count = left.min(piece.bytes.len());
                left -= count;
                replica.link.inbox.extend(&piece.bytes[..count]);
                justified.extend(piece.justifies);
            }
            replica.justify(&justified);
        }
        replica.connection = None;
        replica.link.eof = true;
        if dice.once_in(3) {
            replica.link.stand = Stand::Reset;
        }
        self.event("cut", index as u64, 0);
    }

    fn true_up(&self) -> bool {
        self.primaries[0].1.node.is_some()
    }

    fn start_primary(&mut self) -> Outcome {
        let recovery = self.strikes("primary crash in recovery", self.options.faults.crash_in_recovery);
        let (primary, line) = (&mut self.primaries[0].1, &mut self.lines[0]);
        let before = line.commits;
        if recovery {
            primary.open_and_crash(&mut self.streams.crash);
            self.marks.set(Mark::PrimaryCrashInRecovery);
            self.event("the primary crashes in recovery", 0, 0);
            return Ok(());
        }
        let ordered = line.ordered.len() as u64;
        if !primary.open(line)? {
            primary.crash(&mut self.streams.crash);
            return Ok(());
        }
        if line.commits - before < ordered {
            self.marks.set(Mark::CommitLost);
        }
        if line.commits > before {
            self.marks.set(Mark::CommitKept);
        }
        self.event("the primary is up", self.primaries[0].1.durable(), 0);
        Ok(())
    }

    fn crash_primary(&mut self) -> Outcome {
        if !self.true_up() {
            return Ok(());
        }
        for index in 0..self.replicas.len() {
            let connection = self.replicas[index].connection.as_ref().filter(|connection| connection.primary == 0);
            if let Some(connection) = connection {
                if [Feeding::Copying, Feeding::Pinned].contains(&connection.session.state()) {
                    self.marks.set(Mark::SnapshotUnpinned);
                }
                self.cut(index);
            }
        }
        if self.options.writes > 0 && self.streams.crash.once_in(2) {
            let plans = self.plans();
            self.primaries[0].1.order_and_crash(&plans, &mut self.lines[0], &mut self.streams.crash);
        } else {
            self.primaries[0].1.crash(&mut self.streams.crash);
        }
        self.event("the primary crashes", 0, 0);
        Ok(())
    }

    fn start_replica(&mut self, index: usize) -> Outcome {
        let rate = self.options.faults.crash_in_recovery;
        let unsettled = self.replicas[index].beginning.known.perhaps_installed.is_some();
        let crash = self.strikes("crash in recovery", if unsettled { rate.min(2) } else { rate });
        let replica = &mut self.replicas[index];
        if crash {
            replica.disk.record_images(true);
        }
        let remembered = replica.remember();
        let started = replica.start(&self.options, &self.lines, &mut self.streams.orders, &mut self.marks)?;
        if crash {
            // What is there after a recovery that crashed was there before it.
            self.marks.set(Mark::CrashInRecovery);
            replica.recall(remembered);
            if unsettled {
                replica.beginning.unsettled += 1;
                let again = replica.beginning.unsettled > 1;
                self.marks.set(if again { Mark::CrashInSettlingAgain } else { Mark::CrashInSettling });
            }
            replica.crash(&mut self.streams.crash);
            self.event("a replica crashes in recovery", index as u64, 0);
            return Ok(());
        }
        replica.beginning.unsettled = 0;
        let at = replica.seen.applied.position.0;
        match started {
            Started::Up => self.event("a replica is up", index as u64, at),
            Started::Attempts => self.event("a replica begins with a snapshot", index as u64, at),
            Started::Halted => self.event("a replica waits for an order", index as u64, at),
            Started::Incomplete => self.event("a replica holds nothing", index as u64, at),
            Started::Refused => {
                replica.crash(&mut self.streams.crash);
                self.event("a replica does not open", index as u64, 0);
            }
        }
        Ok(())
    }

    fn crash_replica(&mut self, index: usize) -> Outcome {
        if !self.replicas[index].runs() {
            return Ok(());
        }
        if self.streams.crash.once_in(2) {
            self.deliver_down(index)?;
        }
        let replica = &mut self.replicas[index];
        let dice = &mut self.streams.crash;
        let step = if replica.is_to_halt() { 3 } else { dice.below(6) };
        replica.disk.record_images(true);
        let done = match (&mut replica.node, step) {
            (None, _) => replica.bootstrap_and_crash(),
            (Some(node), 0 | 1) => {
                node.receive(&mut replica.link);
                Some(Mark::CrashInReceive)
            }
            (Some(node), 2) => node
                .maintain()
                .is_ok_and(|done| done == aerodb::maintenance::Progress::Worked)
                .then_some(Mark::CrashInMaintenance),
            (Some(node), 3) => {
                node.look(&mut replica.link);
                replica.perhaps_halted = node.fault().map(aerodb::Error::reason).filter(|reason| reason.halts());
                None
            }
            _ => None,
        };
        let images = replica.disk.take_images();
        if let (Some(mark), false) = (done, images.is_empty()) {
            self.marks.set(mark);
        }
        if replica.halted.is_some() {
            self.marks.set(Mark::HaltKeptOverCrash);
        }
        let image = dice.below(images.len() as u64 + 1) as usize;
        if let Some(image) = images.get(image) {
            replica.disk = image.restart();
        }
        replica.crash(dice);
        self.event("a replica crashes", index as u64, step);
        Ok(())
    }

    fn close_replica(&mut self, index: usize) -> Outcome {
        let replica = &mut self.replicas[index];
        if let Some(attempt) = &replica.beginning.attempt
            && attempt.state() != Bootstrapping::Installing
        {
            self.end_replica(index);
            return Ok(());
        }
        let Some(node) = replica.node.take() else { return Ok(()) };
        let faulted = node.fault().is_some() || node.halt().is_some();
        let closed = node.close(&mut replica.link);
        match closed {
            Err(_) if faulted || replica.disk_fault || !replica.justified.is_empty() => {}
            Err(error) => return Err(format!("a replica closes with {error}")),
            Ok(()) => self.marks.set(Mark::ClosedWell),
        }
        replica.disconnect();
        replica.disk_fault = false;
        replica.disk = replica.disk.image().restart();
        self.event("a replica is closed", index as u64, 0);
        Ok(())
    }

    /// Its process ends, and is not asked; the machine goes on.
    fn end_replica(&mut self, index: usize) {
        let replica = &mut self.replicas[index];
        replica.end();
        replica.disk_fault = false;
        replica.disk = replica.disk.image().restart();
        self.event("the process of a replica ends", index as u64, 0);
    }

    /// What an operator does about a halt.
    fn operate(&mut self, index: usize) -> Outcome {
        let replica = &self.replicas[index];
        let Some(named) = replica.halted else { return Ok(()) };
        if replica.beginning.known.order.is_some() || replica.is_unsure() {
            return Ok(());
        }
        self.end_replica(index);
        let dice = &mut self.streams.orders;
        match dice.below(4) {
            0 => {
                let other = if dice.once_in(2) { (named.0, named.1 + 8) } else { (Reason::StoreRunMissing, named.1) };
                let replica = &mut self.replicas[index];
                let refused = replica.resume(other).is_err_and(|error| error.reason() == Reason::HaltOther);
                if !refused || !replica.refuses_other(&self.options, other) {
                    return Err(format!("an order that names {other:?} is obeyed, and the halt is {named:?}"));
                }
                self.marks.set(Mark::OrderedOther);
                self.event("an order names another halt", index as u64, other.1);
                Ok(())
            }
            1 => {
                self.order(index, named);
                Ok(())
            }
            _ => self.resume(index, named),
        }
    }

    /// The next start is to answer the halt with a snapshot.
    fn order(&mut self, index: usize, named: (Reason, u64)) {
        self.replicas[index].beginning.known.order = Some(named);
        self.event("a snapshot is ordered", index as u64, named.1);
    }

    fn resume(&mut self, index: usize, named: (Reason, u64)) -> Outcome {
        let known = &self.replicas[index].beginning.known;
        if known.alike {
            return Ok(());
        }
        let differs = known.instead != Some(named);
        let crashes = self.options.faults.crash_replica > 0 && !self.calm && differs && self.streams.orders.once_in(4);
        let replica = &mut self.replicas[index];
        replica.disk.record_images(crashes);
        let told = replica.resume(named);
        let counts = replica.beginning.known.instead;
        self.event("an operator clears a halt", index as u64, named.1);
        let replica = &mut self.replicas[index];
        told.map_err(|error| format!("{named:?} is not cleared: {error}"))?;
        if named.0 == Reason::IdentityOtherPrimary {
            replica.follows = None;
        }
        if crashes {
            replica.perhaps_cleared = Some(counts);
            replica.crash(&mut self.streams.crash);
            self.marks.set(Mark::CrashInResume);
        } else {
            replica.halted = counts;
            let known = &mut replica.beginning.known;
            (known.instead, known.carried, known.resumed) = (None, None, counts.is_none());
            replica.keeps_halt(counts, &mut self.streams.orders)?;
            self.marks.set(if counts.is_some() { Mark::CountsAgain } else { Mark::Resumed });
        }
        Ok(())
    }

    // ---- the schedule

    fn schedule(&mut self) -> Outcome {
        if self.options.writes > 0 && self.may_write() && self.streams.clients.once_in(self.options.writes) {
            return self.write();
        }
        if !self.true_up() {
            if self.streams.schedule.once_in(8) || self.calm {
                return self.start_primary();
            }
        } else if self.primaries[0].1.is_stopped() && self.streams.schedule.once_in(8) {
            self.crash_primary()?;
            self.marks.set(Mark::PrimaryDiskFailed);
            return Ok(());
        }
        if self.streams.schedule.once_in(12) {
            return self.maintain_primary().map(|_| ());
        }
        let index = self.streams.schedule.below(self.replicas.len() as u64) as usize;
        if !self.replicas[index].runs() {
            let due = self.step >= self.replicas[index].beginning.at && self.streams.schedule.once_in(6);
            return if self.calm || due { self.start_replica(index) } else { Ok(()) };
        }
        let useful = self.useful_steps(index);
        let step = if self.streams.schedule.once_in(8) {
            self.streams.schedule.below(20)
        } else {
            self.streams.schedule.pick(&useful)
        };
        self.replica_step(index, step)
    }

    /// The steps that would do something.
    fn useful_steps(&self, index: usize) -> Vec<u64> {
        let replica = &self.replicas[index];
        let mut steps = vec![RECEIVE, LOOK];
        if !replica.link.inbox.is_empty() || replica.link.eof {
            steps.push(RECEIVE);
        }
        if let Some(connection) = &replica.connection {
            let extent = self.primaries[connection.primary].1.up().extent();
            if connection.session.is_due(&extent) && connection.down_bytes() < DOWN_BYTES_MAX {
                steps.extend([SERVE, SERVE]);
            }
            if !connection.up.is_empty() {
                steps.extend([DELIVER_UP, DELIVER_UP]);
            }
            if !connection.down.is_empty() || connection.session.state() == Feeding::Ended {
                steps.extend([SERVE, DELIVER_DOWN, DELIVER_DOWN]);
            }
        }
        if replica.link.stand == Stand::Asked {
            steps.extend([ESTABLISH, ESTABLISH]);
        }
        let Some(node) = &replica.node else { return steps };
        let (chunks, proven) = node.waiting();
        if chunks > 0 {
            steps.extend([PROVE, PROVE]);
        }
        if proven > 0 {
            steps.extend([APPLY, APPLY]);
        }
        let state = node.store().state();
        if !state.sealed.is_empty() || !state.manifest.plan.merges.is_empty() {
            steps.extend([MAINTAIN, APPLY]);
        }
        steps
    }

    fn may_write(&self) -> bool {
        let late = self.options.idles && self.step > self.options.steps / 2;
        self.true_up() && !self.primaries[0].1.is_stopped() && !late && !self.calm
    }

    fn maintain_primary(&mut self) -> Outcome<bool> {
        if !self.true_up() || self.primaries[0].1.is_stopped() {
            return Ok(false);
        }
        let worked = self.primaries[0].1.maintain(&mut self.lines[0])?;
        self.event("the primary maintains", u64::from(worked), 0);
        Ok(worked)
    }

    fn writes(&mut self, mark: u64) -> Writes {
        let dice = &mut self.streams.clients;
        let mut writes = Writes::new();
        for _ in 0..dice.range(1, 3) {
            let key = format!("key{:02}", dice.below(self.options.keys)).into_bytes();
            let len = if dice.once_in(self.options.long_values) { 1500 } else { dice.below(self.options.value_max) };
            let mut value = vec![dice.roll() as u8 & 3; len as usize];
            value.extend_from_slice(&mark.to_le_bytes()[..1]);
            writes.push((key, (!dice.once_in(6)).then_some(value)));
        }
        writes
    }

    fn plans(&mut self) -> Vec<Plan> {
        let mut plans = Vec::new();
        // Of a larger group some may be gone from the files before the oracle has seen it.
        let most = if self.options.primary_retention == Retention::All { self.options.group_max } else { 1 };
        for _ in 0..self.streams.clients.range(1, most) {
            let (commits, dice) = (self.lines[0].commits, &mut self.streams.clients);
            plans.push(match dice.below(24) {
                0 if commits > 0 => Plan::Floor(dice.range(1, commits)),
                1 => Plan::Cut(if dice.once_in(2) { Purpose::Checkpoint } else { Purpose::Backup }),
                _ => Plan::Commit(self.writes(0)),
            });
        }
        plans
    }

    fn write(&mut self) -> Outcome {
        let plans = self.plans();
        let (primary, line) = (&mut self.primaries[0].1, &mut self.lines[0]);
        let oldest = primary.oldest();
        let acknowledged = primary.order(&plans, line)?;
        if primary.oldest() > oldest {
            self.marks.set(Mark::PrimaryRetired);
        }
        let len = self.lines[0].len();
        self.event("clients write", acknowledged, len);
        self.justify_retired();
        Ok(())
    }

    /// Clients write so much that the primary checkpoints, merges and drops log.
    fn burst(&mut self) -> Outcome {
        for _ in 0..30 {
            if !self.may_write() {
                break;
            }
            self.write()?;
            while self.maintain_primary()? {}
        }
        self.event("a burst", self.lines[0].len(), 0);
        Ok(())
    }

    /// Log that a replica needs is gone.
    fn justify_retired(&mut self) {
        let primaries = &self.primaries;
        for replica in &mut self.replicas {
            let primary = replica.connection.as_ref().map(|connection| &primaries[connection.primary].1);
            if let Some(primary) = primary
                && primary.node.is_some()
                && primary.oldest() > replica.seen.validated.position.0
            {
                replica.justify(&[Reason::HistoryRetired]);
            }
        }
    }

    fn replica_step(&mut self, index: usize, step: u64) -> Outcome {
        let now = self.step;
        let stalled = |replica: &Replica, stage: usize| replica.stalled[stage] > now;
        match step {
            SERVE..=2 => self.serve(index),
            DELIVER_UP..=4 => self.deliver_up(index),
            DELIVER_DOWN..=7 => self.deliver_down(index),
            ESTABLISH => self.establish(index),
            RECEIVE..=10 if self.replicas[index].beginning.attempt.is_some() => self.bootstrap(index),
            _ if self.replicas[index].node.is_none() => Ok(()),
            RECEIVE..=10 if !stalled(&self.replicas[index], 0) => self.receive(index),
            PROVE..=13 if !stalled(&self.replicas[index], 1) => {
                let worked = self.replicas[index].node.as_mut().expect("it is up").prove();
                self.stepped(index, "prove", u64::from(worked))
            }
            APPLY..=16 if !stalled(&self.replicas[index], 2) => {
                let worked = self.replicas[index].node.as_mut().expect("it is up").apply();
                self.stepped(index, "apply", u64::from(worked))
            }
            MAINTAIN => self.maintain_replica(index).map(|_| ()),
            LOOK => self.look(index),
            _ => Ok(()),
        }
    }

    fn stepped(&mut self, index: usize, what: &'static str, worked: u64) -> Outcome {
        let replica = &mut self.replicas[index];
        let before = replica.seen.applied;
        replica.check(&self.lines, Some(&mut self.streams.check), &mut self.marks)?;
        replica.check_faults(&mut self.marks)?;
        let replica = &self.replicas[index];
        let node = replica.up();
        let (chunks, proven) = node.waiting();
        if chunks > self.options.bounds.queue {
            self.marks.set(Mark::ValidatorQueueFull);
        }
        if proven > self.options.bounds.queue {
            self.marks.set(Mark::ApplierQueueFull);
        }
        if what == "apply" && worked == 1 && before == replica.seen.applied && node.fault().is_none() {
            self.marks.set(Mark::ApplierWaited);
        }
        if what == "prove"
            && node.validated().wanted.0 > node.applied().position.0 + self.options.bounds.receiver.window_bytes
        {
            self.marks.set(Mark::LongRecord);
        }
        let at = match what {
            "prove" => replica.seen.validated.position.0,
            "apply" => replica.seen.applied.position.0,
            _ => replica.seen.received,
        };
        self.event(what, index as u64, at);
        Ok(())
    }

    fn receive(&mut self, index: usize) -> Outcome {
        let replica = &mut self.replicas[index];
        let rolled = self.lines[replica.line].segments.partition_point(|first| *first <= replica.seen.received);
        let before = replica.up().received();
        replica.node.as_mut().expect("it is up").receive(&mut replica.link);
        let facts = replica.up().received();
        if facts.lost > before.lost {
            replica.connection = None;
        }
        if facts.dropped > before.dropped {
            self.marks.set(Mark::PartDropped);
            let part = |line: usize| self.lines[line].bytes.get(facts.received.0 as usize..before.received.0 as usize);
            let source = self.primaries[replica.source].1.line;
            let serves = replica.connection.as_ref().map(|connection| self.primaries[connection.primary].1.line);
            if serves.is_some_and(|line| part(line) != part(source)) {
                self.marks.set(Mark::OtherPartDropped);
            }
        }
        self.send_frames(index);
        let replica = &self.replicas[index];
        if rolled < self.lines[replica.line].segments.partition_point(|first| *first <= facts.received.0) {
            self.marks.set(Mark::ReplicaRolled);
        }
        if facts.asked.0 == replica.up().applied().position.0 + self.options.bounds.receiver.window_bytes {
            self.marks.set(Mark::WindowFull);
        }
        self.stepped(index, "receive", 0)
    }

    fn send_frames(&mut self, index: usize) {
        let replica = &mut self.replicas[index];
        if let Some(connection) = &mut replica.connection {
            connection.part.append(&mut replica.link.outbox);
            for frame in wire::whole_frames(&mut connection.part) {
                if wire::kind(&frame) == HELLO {
                    let replica = &mut self.replicas[index];
                    let received = replica.node.as_ref().map_or(0, |node| node.received().received.0);
                    replica.link.reading.introduced(received);
                }
                self.send_up(index, frame);
            }
        }
    }

    /// A turn of a bootstrap.
    fn bootstrap(&mut self, index: usize) -> Outcome {
        self.replicas[index].bootstrap(&self.lines, &mut self.marks)?;
        self.send_frames(index);
        let replica = &mut self.replicas[index];
        let came = replica.beginning.attempt.as_ref().map_or(0, |attempt| attempt.transfer().came);
        if !replica.runs() {
            // What has ended has nothing open, and the next start finds what it left.
            self.end_replica(index);
        }
        self.event("bootstrap", index as u64, came);
        Ok(())
    }

    fn look(&mut self, index: usize) -> Outcome {
        let replica = &mut self.replicas[index];
        replica.node.as_mut().expect("it is up").look(&mut replica.link);
        if replica.link.stand == Stand::None {
            replica.connection = None;
        }
        replica.note_primary()?;
        self.stepped(index, "look", 0)?;
        // What failed and did not halt is started again.
        let replica = &self.replicas[index];
        let node = replica.up();
        let failed = node.fault().is_some() && node.halt().is_none();
        if failed && node.state() == aerodb::supervisor::machine::State::Failed && self.streams.schedule.once_in(3) {
            self.marks.set(Mark::DiskFailed);
            let replica = &mut self.replicas[index];
            replica.crash(&mut self.streams.crash);
            self.event("a failed replica ends", index as u64, 0);
        }
        Ok(())
    }

    fn maintain_replica(&mut self, index: usize) -> Outcome<bool> {
        let replica = &mut self.replicas[index];
        let node = replica.node.as_mut().expect("it is up");
        if node.store().write_fault().is_some() {
            return Ok(false);
        }
        let runs = node.store().state().runs.len();
        let worked = node.maintain();
        let fewer = node.store().state().runs.len() < runs;
        let worked = worked.is_ok_and(|done| done == aerodb::maintenance::Progress::Worked);
        if fewer {
            self.marks.set(Mark::ReplicaMerged);
        }
        if worked {
            self.replicas[index].check_runs(&self.lines)?;
        }
        self.stepped(index, "maintain", 0)?;
        Ok(worked)
    }

    /// Readers ask everybody who is up.
    fn read(&mut self) -> Outcome {
        let (dice, marks) = (&mut self.streams.readers, &mut self.marks);
        if self.primaries[0].1.node.is_some() && dice.once_in(8) {
            self.primaries[0].1.check_readers(&self.lines[0], dice, marks)?;
        }
        for replica in self.replicas.iter_mut().filter(|replica| replica.node.is_some()) {
            replica.check_readers(&self.lines, dice, marks)?;
        }
        Ok(())
    }

    // ---- the wire

    fn behind(&self) -> Option<usize> {
        match self.behind {
            Behind::True => self.true_up().then_some(0),
            Behind::Nobody => None,
            Behind::Other(index) => Some(index),
        }
    }

    fn establish(&mut self, index: usize) -> Outcome {
        let behind = self.behind();
        let replica = &mut self.replicas[index];
        if replica.link.stand != Stand::Asked {
            return Ok(());
        }
        match behind {
            Some(primary) => {
                let source = self.primaries[primary].1.source.as_ref().expect("it is up");
                replica.connection = Some(Connection::new(primary, Session::new(source)));
                replica.link.stand = Stand::Stands;
                self.event("connected", index as u64, primary as u64);
            }
            None => {
                replica.link.stand = Stand::Refused;
                self.event("refused", index as u64, 0);
            }
        }
        Ok(())
    }

    /// What may happen to a frame on its way.
    fn mishap(&mut self) -> Option<Mishap> {
        let faults = self.options.faults.clone();
        let classes = [
            ("flipped", faults.flipped, Mishap::Flipped),
            ("shortened", faults.shortened, Mishap::Shortened),
            ("doubled", faults.doubled, Mishap::Doubled),
            ("lost", faults.lost, Mishap::Lost),
            ("lied", faults.lied, Mishap::Lied),
        ];
        classes.into_iter().find(|(class, rate, _)| self.strikes(class, *rate)).map(|(.., mishap)| mishap)
    }

    fn befall(&mut self, frame: Vec<u8>) -> Vec<Piece> {
        let of_snapshot = [MANIFEST, CHUNK].contains(&wire::kind(&frame));
        let lied = of_snapshot && self.strikes("lied snapshot", self.options.faults.lied_snapshot);
        match if lied { Some(Mishap::Lied) } else { self.mishap() } {
            Some(mishap) => {
                self.event("a frame meets with a mishap", mishap as u64, u64::from(wire::kind(&frame)));
                let strange = self.strange.get(&wire::kind(&frame)).map(Vec::as_slice);
                wire::befall(mishap, frame, strange, &mut self.streams.wire)
            }
            None => vec![Piece { bytes: frame, justifies: Vec::new() }],
        }
    }

    fn send_up(&mut self, index: usize, frame: Vec<u8>) {
        let pieces = self.befall(frame);
        if let Some(connection) = &mut self.replicas[index].connection {
            connection.up.extend(pieces);
        }
    }

    fn deliver_up(&mut self, index: usize) -> Outcome {
        let most = if self.streams.schedule.once_in(2) { u64::MAX } else { self.streams.schedule.range(1, 200) };
        let replica = &mut self.replicas[index];
        let Some(connection) = &mut replica.connection else { return Ok(()) };
        let (kind, primary) = &self.primaries[connection.primary];
        let extent = primary.up().extent();
        let mut left = most as usize;
        let mut justified = Vec::new();
        while left > 0
            && let Some(mut piece) = connection.up.pop_front()
        {
            if piece.bytes.get(4) == Some(&HELLO) {
                let (point, line) = (replica.seen.validated, &self.lines[primary.line]);
                match kind {
                    Kind::Foreign => justified.push(Reason::IdentityOtherDatabase),
                    Kind::Reshaped => justified.push(Reason::IdentityOtherParameters),
                    Kind::True | Kind::Stale | Kind::Fork | Kind::Restored => {}
                }
                if replica.served_by.iter().any(|node| *node != primary.id) {
                    justified.push(Reason::IdentityOtherPrimary);
                }
                // The first that fails is the one that is told; of no account is where it stands that comes for a snapshot.
                if replica.beginning.attempt.is_some() {
                } else if point.position > extent.durable.position {
                    justified.push(Reason::HistoryAhead);
                    // What comes of it in parts is answered with its last one, and the primary may write until then.
                    if left < piece.bytes.len() {
                        justified.push(Reason::HistoryDiverged);
                    }
                } else if extent.oldest > point.position {
                    justified.push(Reason::HistoryRetired);
                } else if !line.holds(point) {
                    justified.push(Reason::HistoryDiverged);
                }
            }
            let count = left.min(piece.bytes.len());
            left -= count;
            let rest = piece.bytes.split_off(count);
            connection.session.receive(&piece.bytes, &extent, false);
            justified.append(&mut piece.justifies);
            if !rest.is_empty() {
                connection.up.push_front(Piece { bytes: rest, justifies: Vec::new() });
            }
        }
        connection.parked |= connection.session.state() == Feeding::Parked;
        replica.justify(&justified);
        self.event("deliver up", index as u64, left as u64);
        Ok(())
    }

    fn next_frame(&mut self, index: usize, budget: u64) -> Option<Vec<u8>> {
        let connection = self.replicas[index].connection.as_mut()?;
        let (kind, primary) = &self.primaries[connection.primary];
        let extent = primary.up().extent();
        connection.session.look(&extent);
        let budget = if connection.snapshot.is_some() { 8 * budget } else { budget };
        let frame = connection.session.serve(&extent, budget as usize)?.bytes;
        if connection.parked && wire::kind(&frame) == SEGMENT {
            connection.parked = false;
            self.marks.set(Mark::ResumedParked);
        }
        connection.parked |= connection.session.state() == Feeding::Parked;
        if *kind == Kind::Stale && wire::kind(&frame) == SEGMENT {
            self.marks.set(Mark::FollowedStale);
        }
        if wire::kind(&frame) == SEGMENT {
            if *kind == Kind::Fork {
                self.marks.set(Mark::FollowedFork);
            }
            self.replicas[index].source = connection.primary;
        }
        Some(frame)
    }

    /// What a frame of the primary says of it must be so.
    fn check_served(&mut self, index: usize, frame: &[u8]) -> Outcome {
        let replica = &mut self.replicas[index];
        let connection = replica.connection.as_mut().expect("it served");
        let (_, primary) = &self.primaries[connection.primary];
        let (oldest, store) = (primary.oldest(), primary.up().store());
        match (Frame::decode(frame), &mut connection.snapshot) {
            (Ok(Some((Frame::Welcome(_), _))), _) => {
                replica.served_by.insert(primary.id);
            }
            (Ok(Some((Frame::Manifest(offer), _))), snapshot) => {
                let runs = store.state().runs.iter().map(|run| run.info().id).collect();
                replica.source = connection.primary;
                *snapshot = Some(Snapshot { cut: offer.cut, oldest, runs });
            }
            (Ok(Some((Frame::Chunk(_), _))), Some(snapshot)) => {
                if oldest > snapshot.cut.position.0 {
                    return Err(format!("the snapshot up to {} is served, and the log from {oldest}", snapshot.cut));
                }
                let state = store.state();
                let has = |id: &RunId| state.runs.iter().any(|run| run.info().id == *id);
                if state.manifest.point != snapshot.cut {
                    self.marks.set(Mark::SnapshotMoved);
                }
                if !snapshot.runs.iter().all(has) {
                    self.marks.set(Mark::SnapshotMerged);
                }
                if oldest > snapshot.oldest {
                    self.marks.set(Mark::SnapshotRetired);
                }
            }
            _ => {}
        }
        let refusal = connection.session.refusal().map(aerodb::Error::reason);
        let unreadable = primary.disk_fault && connection.snapshot.is_some();
        if refusal == Some(Reason::SnapshotGone) {
            let kept = connection.snapshot.as_ref().is_some_and(|snapshot| oldest <= snapshot.cut.position.0);
            if kept {
                return Err(format!("a snapshot is gone, and the log goes back to {oldest}"));
            }
            replica.justify(&[Reason::SnapshotGone]);
        }
        if unreadable {
            replica.justify(&[Reason::SnapshotUnreadable]);
        }
        Ok(())
    }

    fn serve(&mut self, index: usize) -> Outcome {
        let budget = self.streams.schedule.range(1, self.options.frame_max);
        let room = |replica: &Replica| {
            replica
                .connection
                .as_ref()
                .is_some_and(|connection| !connection.ended && connection.down_bytes() < DOWN_BYTES_MAX)
        };
        if !room(&self.replicas[index]) {
            return Ok(());
        }
        let Some(frame) = self.next_frame(index, budget) else {
            let connection = self.replicas[index].connection.as_mut().expect("there is room");
            connection.ended = connection.session.state() == Feeding::Ended;
            return Ok(());
        };
        self.check_served(index, &frame)?;
        self.event("serve", index as u64, frame.len() as u64);
        let mut pieces = Vec::new();
        let may_swap = [SEGMENT, CHUNK].contains(&wire::kind(&frame));
        let swapped = may_swap && self.strikes("swapped", self.options.faults.swapped);
        match if swapped { self.next_frame(index, budget) } else { None } {
            Some(second) => {
                self.check_served(index, &second)?;
                self.event("frames are swapped", index as u64, second.len() as u64);
                let justifies = match wire::kind(&second) {
                    SEGMENT => vec![Reason::ReplicationGap],
                    CHUNK => vec![Reason::ProtocolUnexpected],
                    _ => Vec::new(),
                };
                pieces.push(Piece { bytes: second, justifies });
                pieces.push(Piece { bytes: frame, justifies: Vec::new() });
            }
            None => {
                let kept = [CHUNK, MANIFEST].contains(&wire::kind(&frame)) && self.streams.wire.once_in(8);
                let strange = kept.then(|| frame.clone());
                pieces = self.befall(frame);
                self.strange.extend(strange.map(|frame| (wire::kind(&frame), frame)));
            }
        }
        self.replicas[index].connection.as_mut().expect("it is there").down.extend(pieces);
        self.justify_retired();
        Ok(())
    }

    fn deliver_down(&mut self, index: usize) -> Outcome {
        let most = if self.streams.schedule.once_in(2) { u64::MAX } else { self.streams.schedule.range(1, 400) };
        let replica = &mut self.replicas[index];
        let Some(connection) = &mut replica.connection else { return Ok(()) };
        let mut left = most as usize;
        let mut justified = Vec::new();
        while left > 0
            && let Some(mut piece) = connection.down.pop_front()
        {
            let count = left.min(piece.bytes.len());
            left -= count;
            replica.link.inbox.extend(&piece.bytes[..count]);
            justified.append(&mut piece.justifies);
            if count < piece.bytes.len() {
                piece.bytes.drain(..count);
                connection.down.push_front(piece);
            }
        }
        if connection.ended && connection.down.is_empty() {
            replica.link.eof = true;
        }
        replica.justify(&justified);
        self.event("deliver down", index as u64, left as u64);
        Ok(())
    }

    // ---- the end

    /// Faults are off, what is broken is mended, and everybody is there.
    fn calm_down(&mut self) -> Outcome {
        self.calm = true;
        self.event("calm", 0, 0);
        self.set_behind(Behind::True);
        if self.primaries[0].1.disk_fault {
            self.crash_primary()?;
        }
        self.primaries[0].1.disk.heal();
        while !self.true_up() {
            self.start_primary()?;
        }
        for index in 0..self.replicas.len() {
            self.replicas[index].stalled = [0; 3];
            let replica = &mut self.replicas[index];
            if replica.disk_fault {
                replica.crash(&mut self.streams.crash);
            }
            replica.disk.heal();
            while !self.replicas[index].runs() && !self.replicas[index].waits() {
                self.start_replica(index)?;
            }
        }
        Ok(())
    }

    /// Until everybody has caught up, in a bounded number of steps.
    fn settle(&mut self) -> Outcome {
        for _ in 0..100 {
            self.step += 1;
            self.schedule()?;
            self.read()?;
        }
        let log = self.lines[0].len() / self.options.frame_max.min(self.options.bounds.receiver.window_bytes);
        let runs: u64 = self.primaries[0].1.up().store().state().runs.iter().map(|run| run.info().size).sum();
        let snapshots =
            (1 + self.options.replicas) * runs / self.options.frame_max.min(self.options.snapshot_window / 4);
        let rounds = 400 + 4 * (log + snapshots);
        for _ in 0..rounds {
            self.step += 1;
            // A Proof is log that nobody ordered.
            if !self.maintain_primary()? && self.all_settled() {
                return Ok(());
            }
            for index in 0..self.replicas.len() {
                self.mend(index)?;
                if !self.replicas[index].runs() {
                    self.start_replica(index)?;
                }
                for step in [LOOK, RECEIVE, ESTABLISH, DELIVER_UP, SERVE, DELIVER_DOWN, RECEIVE, PROVE, APPLY, MAINTAIN]
                {
                    self.replica_step(index, step)?;
                }
            }
            self.read()?;
        }
        let shown = |replica: &Replica| {
            let attempt = replica.beginning.attempt.as_ref().map(|attempt| (attempt.state(), attempt.transfer()));
            format!("{:?} {attempt:?} {:?}", replica.node.as_ref().map(|node| node.receiver()), replica.seen)
        };
        let behind: Vec<String> = self.replicas.iter().filter(|replica| !self.is_settled(replica)).map(shown).collect();
        Err(format!("the primary is at {}; after {rounds} rounds not level: {behind:?}", self.lines[0].end()))
    }

    fn is_settled(&self, replica: &Replica) -> bool {
        if replica.halted.is_some() && self.may_mend() {
            return false;
        }
        let Some(node) = &replica.node else { return replica.waits() };
        node.halt().is_some()
            || (node.applied() == self.lines[0].end() && node.state() == aerodb::supervisor::machine::State::Ready)
    }

    fn may_mend(&self) -> bool {
        self.options.mends && self.mended < MENDED_MAX
    }

    /// Whoever is halted is given a snapshot: of a primary with which nothing is wrong, so it must help.
    fn mend(&mut self, index: usize) -> Outcome {
        let replica = &self.replicas[index];
        let known = &replica.beginning.known;
        if known.order.is_some() || replica.is_unsure() || !self.may_mend() {
            return Ok(());
        }
        if let Some(named) = replica.halted {
            // The same order is not carried out again; an operator who does not know is told so.
            let answered = known.carried == Some(named) && self.streams.orders.once_in(2);
            self.mended += 1;
            self.replicas[index].mended = true;
            self.end_replica(index);
            if answered {
                return self.resume(index, named);
            }
            self.order(index, named);
        }
        Ok(())
    }

    fn all_settled(&self) -> bool {
        self.replicas.iter().all(|replica| self.is_settled(replica))
    }

    fn check_end(&mut self) -> Outcome {
        while self.maintain_primary()? {}
        let primary = store_files(&self.primaries[0].1.disk);
        for index in 0..self.replicas.len() {
            if let Some((reason, _)) = self.replicas[index].halted {
                // Of what retention drops while it is sent, and of nothing else, no snapshot comes to its end.
                let gone = [Reason::SnapshotGone, Reason::HistoryRetired].contains(&reason);
                if self.options.mends && !gone {
                    return Err(format!("{MENDED_MAX} orders were given, and it is halted by {reason}"));
                }
                continue;
            }
            // Where the log ends with a Seal, the proof of it begins the next segment.
            self.receive(index)?;
            while self.maintain_replica(index)? {}
            let replica = &self.replicas[index];
            let line = &self.lines[0];
            replica.check_rows(line)?;
            // Nothing is wrong, so whoever asks for the primary's last commit is answered at it.
            let (truth, last) = (replica.truth(&self.lines), line.end().commit);
            for wish in [Wish::newest(), Wish::at(Some(last)), Wish::at_least(last)] {
                let view = truth.asks(replica.up().store(), &wish, &mut self.marks)?;
                if view.is_none_or(|view| view.commit() != last) {
                    return Err(format!(
                        "nothing is wrong, and a reader that asks for {wish:?} is not answered at {last}"
                    ));
                }
            }
            let proofs = replica.up().store().proofs();
            if proofs.waiting > 0 {
                return Err(format!("all runs are complete, and Proofs wait: {proofs:?}"));
            }
            let oldest = replica.up().received().oldest.0;
            line.compare(&replica.disk, oldest, line.len())?;
            let files = store_files(&replica.disk);
            if files != primary {
                let names = |files: &BTreeMap<PathBuf, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
                return Err(format!("idle stores differ: {:?} and {:?}", names(&primary), names(&files)));
            }
            for (first, next) in line.segments.iter().zip(line.segments.iter().skip(1)) {
                let path = super::line::segment_path(*first);
                let (ours, theirs) = (replica.disk.contents(&path), self.primaries[0].1.disk.contents(&path));
                if ours.as_ref().is_some_and(|ours| ours.len() as u64 != 512 + next - first)
                    || (ours.is_some() && theirs.is_some() && ours != theirs)
                {
                    return Err(format!("the sealed segment {first} differs"));
                }
            }
            if replica.mended {
                self.marks.set(Mark::Mended);
            }
            if replica.beginning.known.resumed {
                self.marks.set(Mark::ResumedReady);
            }
            self.marks.set(match (line.len(), self.options.idles) {
                (0, _) => Mark::CaughtUpEmpty,
                (_, true) => Mark::CaughtUpIdle,
                (_, false) => Mark::CaughtUp,
            });
        }
        Ok(())
    }
}

/// Run files and manifest, by name.
fn store_files(disk: &SimDisk) -> BTreeMap<PathBuf, Vec<u8>> {
    let store = Path::new(super::line::DIR).join("store");
    let files = disk.paths().into_iter().filter(|path| path.starts_with(&store));
    files.map(|path| (path.clone(), disk.contents(&path).expect("it was listed"))).collect()
}

/// Orders a fault of a disk, soon.
fn break_disk(disk: &SimDisk, dice: &mut Dice) {
    let fault = dice.pick(&Fault::ALL);
    match dice.below(6) {
        0 => disk.fail_read(disk.reads() + dice.below(4), fault),
        1 => disk.fail_operations_from(disk.operations() + dice.below(10), Fault::NoSpace),
        _ => disk.fail_operation(disk.operations() + dice.below(10), fault),
    }
}
