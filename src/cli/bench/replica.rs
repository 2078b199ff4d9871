//! Replication: how fast a replica catches up, how far behind it is, and what it costs its primary.
//!
//! Primary and replicas are in this process, each with its threads, over loopback and the real disk; so they share the processors, as they
//! would not on hosts of their own. Baselines are the stages alone, of the same log: what loopback carries, what the disk takes (a MiB, an
//! fdatasync), how fast one thread proves it from the page cache, and how fast one thread applies it beside its maintenance. The slowest of
//! them is what catch-up is compared with.

use super::Bench;
use super::work;
use aerodb::clock::Stopwatch;
use aerodb::disk::{Disk, RealDisk};
use aerodb::maintenance::{Maintenance, worker};
use aerodb::published::Signal;
use aerodb::replica::{self, Replica, ReplicaOptions};
use aerodb::server::{self, Server, Stop, Stopper};
use aerodb::store::manifest::Manifest;
use aerodb::store::{Applier, Store, StoreOptions};
use aerodb::sync::atomic::{AtomicBool, Ordering};
use aerodb::sync::{self, Arc, JoinHandle};
use aerodb::wal::{self, LogCursor};
use aerodb::wire::blocking::Connection;
use aerodb::wire::poll::{Accepted, Listener, Poll};
use aerodb::{
    CommitId, Database, Error, Identity, Init, LogPoint, Node, Options, Position, Reason, Result, Role, queue, record,
    recovery,
};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Log that a replica catches up with.
const LOG_BYTES: u64 = 1 << 30;
/// Commits whose way is measured, where nothing else happens.
const IDLE_COMMITS: u64 = 2_000;
/// Commits of a round beside which replicas follow, and who commits them.
const COMMITS: u64 = 60_000;
const THREADS: u64 = 16;
const REPLICAS: [usize; 3] = [0, 1, 4];
const MIB: usize = 1 << 20;
/// What a replica does with log, each of which can be done alone.
const STAGES: [&str; 4] = ["loopback", "a MiB and an fdatasync", "the log proven", "the log applied"];

pub(super) fn catch_up(bench: &mut Bench) -> Result<()> {
    for value_bytes in bench.value_bytes.clone() {
        let dir = bench.scratch.fresh("primary");
        recovery::init(&Init { role: Role::Primary, ..Init::standalone(&dir) })?;
        let mut node = Node::open(&Options::new(&dir))?;
        let numbers: Vec<u64> = (0..bench.count(LOG_BYTES) / (72 + value_bytes as u64)).collect();
        for piece in numbers.chunks(1 << 16) {
            work::load(&mut node, piece, 1, value_bytes)?;
            node.maintain()?;
        }
        let (identity, end) = (node.report().identity, node.durable());
        node.close()?;
        let primary = Primary::start(&dir)?;
        let (mut caught, mut commits, mut slowest) = (Vec::new(), Vec::new(), Vec::new());
        let mut stages = [const { Vec::new() }; STAGES.len()];
        for _ in 0..bench.rounds {
            let megabytes = end.position.0 as f64 / 1e6;
            let proof = prove_alone(&dir, &identity, end)?;
            let alone = [
                carry_alone(end.position.0)?,
                write_alone(&bench.scratch.fresh("alone"), end.position.0)?,
                proof,
                apply_alone(&bench.scratch.fresh("applied"), &dir, &identity, end)? - proof,
            ];
            for (rates, seconds) in stages.iter_mut().zip(alone) {
                rates.push(megabytes / seconds);
            }
            slowest.push(megabytes / alone.into_iter().fold(0.0, f64::max));
            let follower = Follower::make(&bench.scratch.fresh("replica"), primary.address)?;
            let watch = Stopwatch::start();
            let follower = follower.start()?;
            follower.wait_for(end.commit)?;
            let seconds = watch.seconds();
            follower.replica.close()?;
            caught.push(megabytes / seconds);
            commits.push(end.commit.0 as f64 / seconds);
        }
        primary.stop()?;
        let name = format!("{value_bytes} B: catch-up");
        bench.report.compared("MB/s", (&name, &caught), ("the slowest stage alone", &slowest));
        bench.report.figure(&name, "commits/s", &commits);
        for (stage, rates) in STAGES.into_iter().zip(&stages) {
            bench.report.figure(&format!("{value_bytes} B: {stage}, alone"), "MB/s", rates);
        }
    }
    Ok(())
}

pub(super) fn lag(bench: &mut Bench) -> Result<()> {
    let commits = bench.count(IDLE_COMMITS);
    let (mut idle, mut busy) = ([const { Vec::new() }; 2], [const { Vec::new() }; 2]);
    for _ in 0..bench.rounds {
        let primary = Primary::new(&bench.scratch.fresh("primary"))?;
        let follower = Follower::make(&bench.scratch.fresh("replica"), primary.address)?.start()?;
        let alone = behind(&primary, &follower, 0..commits)?;
        let over = Arc::new(AtomicBool::new(false));
        let writing = {
            let (database, over) = (Arc::clone(&primary.database), Arc::clone(&over));
            let body =
                move || work::on_threads(THREADS, move |thread| write_until(&database, (thread + 1) << 40, &over));
            sync::spawn("writers", body).map_err(no_thread)?
        };
        let beside = behind(&primary, &follower, commits..2 * commits);
        over.store(true, Ordering::Release);
        ended(writing)?;
        let beside = beside?;
        follower.wait_for(primary.database.published())?;
        follower.replica.close()?;
        primary.stop()?;
        for (figures, histogram) in [(&mut idle, alone), (&mut busy, beside)] {
            for (figure, quantile) in figures.iter_mut().zip([0.5, 0.99]) {
                figure.push(histogram.value_at_quantile(quantile) as f64 / 1000.0);
            }
        }
    }
    for (name, figures) in [("idle", &idle), ("beside 16 writers", &busy)] {
        for (figure, quantile) in figures.iter().zip(["p50", "p99"]) {
            bench.report.figure(&format!("from acknowledged to applied, {name}, {quantile}"), "µs", figure);
        }
    }
    Ok(())
}

pub(super) fn attached(bench: &mut Bench) -> Result<()> {
    let each = bench.count(COMMITS) / THREADS;
    let mut rates = [const { Vec::new() }; REPLICAS.len()];
    for _ in 0..bench.rounds {
        for (rates, replicas) in rates.iter_mut().zip(REPLICAS) {
            let primary = Primary::new(&bench.scratch.fresh("primary"))?;
            let followers = (0..replicas)
                .map(|number| {
                    Follower::make(&bench.scratch.fresh(&format!("replica-{number}")), primary.address)?.start()
                })
                .collect::<Result<Vec<_>>>()?;
            let database = Arc::clone(&primary.database);
            let (seconds, _) = work::on_threads(THREADS, move |thread| write(&database, thread << 40, each))?;
            rates.push((each * THREADS) as f64 / seconds);
            let newest = primary.database.published();
            for follower in followers {
                follower.wait_for(newest)?;
                follower.replica.close()?;
            }
            primary.stop()?;
        }
    }
    let [none, some @ ..] = &rates;
    bench.report.figure("16 committing, no replica attached", "commits/s", none);
    for (rates, replicas) in some.iter().zip(REPLICAS.into_iter().skip(1)) {
        let name = format!("16 committing, {replicas} attached");
        bench.report.compared("commits/s", (&name, rates), ("no replica", none));
    }
    Ok(())
}

/// A primary that serves its log.
struct Primary {
    database: Arc<Database>,
    address: SocketAddr,
    stopper: Stopper,
    server: JoinHandle<Result<Stop>>,
}

impl Primary {
    /// A new one.
    fn new(dir: &Path) -> Result<Primary> {
        recovery::init(&Init { role: Role::Primary, ..Init::standalone(dir) })?;
        Primary::start(dir)
    }

    fn start(dir: &Path) -> Result<Primary> {
        let database = Arc::new(Database::open(Options::new(dir))?);
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let options =
            server::Options { listen: any, replication: Some(any), ..server::Options::new(Arc::clone(&database)) };
        let server = Server::bind(options)?;
        let address = server.replication_addr().unwrap_or(any);
        let stopper = server.stopper();
        let server = sync::spawn("server", move || server.run()).map_err(no_thread)?;
        Ok(Primary { database, address, stopper, server })
    }

    fn stop(self) -> Result<()> {
        self.stopper.stop();
        ended(self.server)?;
        Arc::into_inner(self.database).map_or(Ok(()), Database::close)
    }
}

/// A replica, made and not started.
struct Made(PathBuf, SocketAddr);

/// A replica that follows.
struct Follower {
    replica: Replica,
    published: Arc<Signal>,
}

impl Follower {
    fn make(dir: &Path, primary: SocketAddr) -> Result<Made> {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        replica::init(dir, &primary.to_string(), &disk)?;
        Ok(Made(dir.to_owned(), primary))
    }

    /// Waits until a commit is applied, and published.
    fn wait_for(&self, commit: CommitId) -> Result<()> {
        let database = self.replica.database();
        let over = || database.published() >= commit || self.replica.status().fault.is_some();
        self.published.wait_until(over);
        match self.replica.status().fault {
            Some(fault) if database.published() < commit => Err(fault),
            _ => Ok(()),
        }
    }
}

impl Made {
    fn start(self) -> Result<Follower> {
        let Made(dir, primary) = self;
        let replica = Replica::open(ReplicaOptions::new(Options::new(&dir), &primary.to_string()))?;
        let published = Arc::new(Signal::new());
        let raised = Arc::clone(&published);
        replica.database().on_publish(move || raised.raise());
        Ok(Follower { replica, published })
    }
}

/// How long each of these commits takes from its acknowledgement until the replica has applied it.
fn behind(
    primary: &Primary,
    follower: &Follower,
    numbers: std::ops::Range<u64>,
) -> Result<hdrhistogram::Histogram<u64>> {
    let pool = work::Pool::new(100);
    let mut histogram = work::histogram()?;
    for number in numbers {
        let commit = primary.database.commit(work::batch(&pool, std::iter::once(number), 100)?)?;
        let watch = Stopwatch::start();
        follower.wait_for(commit)?;
        histogram.saturating_record(watch.nanoseconds().max(1));
    }
    Ok(histogram)
}

fn write(database: &Database, first: u64, commits: u64) -> Result<()> {
    let pool = work::Pool::new(100);
    for number in first..first + commits {
        database.commit(work::batch(&pool, std::iter::once(number), 100)?)?;
    }
    Ok(())
}

/// Commits for as long as what is measured beside it is not over.
fn write_until(database: &Database, first: u64, over: &AtomicBool) -> Result<()> {
    let pool = work::Pool::new(100);
    for number in (first..).take_while(|_| !over.load(Ordering::Acquire)) {
        database.commit(work::batch(&pool, std::iter::once(number), 100)?)?;
    }
    Ok(())
}

/// Seconds that the disk takes for so many bytes, a MiB and an fdatasync at a time.
fn write_alone(path: &Path, bytes: u64) -> Result<f64> {
    let piece: Vec<u8> = (0..MIB as u64 / 8).flat_map(|word| work::mix(word).to_le_bytes()).collect();
    let file = RealDisk.create(path)?;
    let watch = Stopwatch::start();
    for at in (0..bytes).step_by(MIB) {
        file.write_at(at, &piece)?;
        file.sync_data()?;
    }
    let seconds = watch.seconds();
    drop(file);
    RealDisk.remove(path)?;
    Ok(seconds)
}

/// Seconds that so many bytes take over loopback, a MiB at a time, from one thread to another.
fn carry_alone(bytes: u64) -> Result<f64> {
    let mut poll = Poll::new().map_err(no_link)?;
    let listener = Listener::bind(&poll, 0, SocketAddr::from(([127, 0, 0, 1], 0))).map_err(no_link)?;
    let address = listener.local_addr().map_err(no_link)?.to_string();
    let body = move || {
        let (mut connection, piece) = (Connection::open(&address).map_err(no_link)?, vec![0; MIB]);
        (0..bytes).step_by(MIB).try_for_each(|_| connection.send(&piece)).map_err(no_link)
    };
    let sender = sync::spawn("sender", body).map_err(no_thread)?;
    let mut stream = loop {
        poll.wait(true).map_err(no_link)?;
        if let Accepted::Connection(stream, _) = listener.accept().map_err(no_link)? {
            break stream;
        }
    };
    let (watch, mut piece) = (Stopwatch::start(), vec![0; MIB]);
    stream.register(&poll, 1).map_err(no_link)?;
    loop {
        match stream.read(&mut piece).map_err(no_link)? {
            Some(0) => break,
            Some(_) => {}
            None => poll.wait(true).map_err(no_link)?,
        }
    }
    let seconds = watch.seconds();
    ended(sender)?;
    Ok(seconds)
}

/// Seconds that one thread takes to prove the log and to apply it to a store of its own, beside the thread of its maintenance.
fn apply_alone(to: &Path, from: &Path, identity: &Identity, end: LogPoint) -> Result<f64> {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let directory = Store::directory(to);
    disk.create_dir(to)?;
    disk.create_dir(&directory)?;
    let manifest = Manifest::empty(identity.database_id, record::genesis(identity.database_id, identity.epoch));
    let given = Options::new(to);
    let options = StoreOptions {
        disk,
        directory,
        database_id: identity.database_id,
        parameters: identity.parameters,
        cache_bytes: given.cache_bytes,
        pinned_bytes_max: given.pinned_bytes_max,
    };
    let (call, calls) = queue::bounded(1);
    let store = Store::open(options, &manifest, Some(call))?;
    let core = Maintenance::new(&store, manifest);
    let maintain = move || {
        worker::run(core, &calls);
        Ok(())
    };
    let maintenance = sync::spawn("maintenance", maintain).map_err(no_thread)?;
    let mut applier = Applier::new(&store);
    let watch = Stopwatch::start();
    let mut cursor = log_of(from, identity, end)?;
    while let Some((record, _)) = cursor.next_record()? {
        if applier.apply(&record)? {
            store.wait_for_room();
        }
    }
    applier.publish();
    let seconds = watch.seconds();
    store.dismiss_maintenance();
    ended(maintenance)?;
    Ok(seconds)
}

/// Seconds that one thread takes to prove the log from the page cache.
fn prove_alone(dir: &Path, identity: &Identity, end: LogPoint) -> Result<f64> {
    let watch = Stopwatch::start();
    let mut cursor = log_of(dir, identity, end)?;
    while cursor.next_record()?.is_some() {}
    Ok(watch.seconds())
}

fn log_of(dir: &Path, identity: &Identity, end: LogPoint) -> Result<LogCursor> {
    LogCursor::open(Arc::new(RealDisk), &wal::directory(dir), recovery::lineage(identity), Position::GENESIS, end)
}

fn no_link(error: std::io::Error) -> Error {
    Error::new(Reason::ServerUnreachable).with("error", error)
}

fn no_thread(error: std::io::Error) -> Error {
    Error::new(Reason::ProcessThreadFailed).with("error", error)
}

fn ended<T>(thread: JoinHandle<Result<T>>) -> Result<T> {
    thread.join().unwrap_or_else(|_| Err(Error::new(Reason::ComponentPanicked).with("component", "bench")))
}
