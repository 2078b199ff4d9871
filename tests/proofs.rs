//! Proofs: a primary's log names every run that it completed, and a replica holds each of them against its own (REPL-PROOF, R-DIVERGENCE).
//!
//! A primary logs Proofs of its own accord; a follower is fed its log record by record, by the code of a replica, with maintenance early
//! or late. What a replica's disk, or a hostile primary, then makes of one run must halt it with both hashes, at the Proof, for good. At
//! last the same happens between two nodes over a socket.
#![cfg(feature = "replication")]

#[cfg(feature = "server")]
mod served;
mod world;

use aerodb::applier::{ReplicaApplier, Step};
use aerodb::chunk::Proven;
use aerodb::committer::Retention;
use aerodb::disk::{Crash, SimDisk};
use aerodb::maintenance::{Maintenance, Progress};
use aerodb::record::{self, Content, Kind, Proof};
use aerodb::store::manifest::Manifest;
use aerodb::store::run::{RunId, RunInfo};
use aerodb::store::{Applier, ProofCounts, Store, StoreOptions};
use aerodb::verify::{VerifyOptions, verify};
use aerodb::wal::{FollowedLog, Keeper, LogCursor, LogOptions};
use aerodb::{CommitId, Error, Identity, Init, LogPoint, Node, Options, Parameters, Position, Reason, Result, Role};
use aerodb::{recovery, wal};
use std::path::Path;
use world::forge::forge;
use world::{DIR, Writes, batch, init_options, options, shared, store_files};

/// One segment holds all of it: segments are tried elsewhere.
const PARAMETERS: Parameters = Parameters { segment_bytes: 1 << 20, table_bytes: 1024, block_bytes: 256, fanout: 2 };

fn writes(number: u64) -> Writes {
    let key = |of: u64| format!("key {:02}", number % of).into_bytes();
    vec![(key(13), (!number.is_multiple_of(6)).then(|| vec![number as u8; 30])), (key(7), Some(vec![1; 60]))]
}

fn made(role: Role, parameters: Parameters) -> SimDisk {
    let disk = SimDisk::new();
    Node::init(&Init { role, ..init_options(&disk, parameters) }).unwrap();
    disk
}

fn proving(disk: &SimDisk) -> Options {
    Options { proofs: true, retention: Retention::All, ..options(disk) }
}

/// Commits, maintains and proves, now and then.
fn work(node: &mut Node, commits: std::ops::Range<u64>) {
    for number in commits {
        node.commit(batch(&writes(number))).unwrap();
        if number % 5 == 0 {
            node.maintain().unwrap();
            node.prove().unwrap();
        }
    }
}

/// Until there is neither work nor a Proof left.
fn settle(node: &mut Node) {
    node.maintain().unwrap();
    while node.store().proofs().owed > 0 {
        node.prove().unwrap();
        node.maintain().unwrap();
    }
}

/// A record as it lies in the log.
#[derive(Clone)]
struct Logged {
    bytes: Vec<u8>,
    before: LogPoint,
    after: LogPoint,
    proof: Option<Proof>,
}

fn log_of(disk: &SimDisk, from: Position, end: LogPoint) -> Vec<Logged> {
    let identity = Identity::read(disk, Path::new(DIR)).unwrap();
    let directory = wal::directory(Path::new(DIR));
    let lineage = recovery::lineage(&identity);
    let mut cursor = LogCursor::open(shared(disk), &directory, lineage, from, end).unwrap();
    let mut log = Vec::new();
    while let Some((record, bytes)) = cursor.next_record().unwrap() {
        let proof = if let Content::Proof(proof) = record.content { Some(proof) } else { None };
        log.push(Logged { bytes: bytes.to_vec(), before: record.before, after: record.after, proof });
    }
    log
}

fn proofs_of(log: &[Logged]) -> Vec<RunInfo> {
    log.iter().filter_map(|record| record.proof.as_ref()).map(RunInfo::from).collect()
}

fn live_runs(store: &Store) -> Vec<RunInfo> {
    store.state().runs.iter().rev().map(|run| run.info()).collect()
}

/// The log of a primary that settled, and its files.
fn primary(commits: u64) -> (SimDisk, Vec<Logged>, Vec<RunInfo>) {
    let disk = made(Role::Primary, PARAMETERS);
    let mut node = Node::open(&proving(&disk)).unwrap();
    work(&mut node, 0..commits);
    settle(&mut node);
    let (end, runs) = (node.durable(), live_runs(node.store()));
    node.close().unwrap();
    let log = log_of(&disk, Position::GENESIS, end);
    (disk, log, runs)
}

/// A replica's stages without their threads, and a log that fits them.
struct Follower {
    disk: SimDisk,
    log: FollowedLog,
    applier: ReplicaApplier,
    maintenance: Maintenance,
}

impl Follower {
    fn new() -> Follower {
        Follower::open(made(Role::Replica, PARAMETERS)).unwrap()
    }

    fn open(disk: SimDisk) -> Result<Follower> {
        let identity = Identity::read(&disk, Path::new(DIR))?;
        let (directory, database_id) = (Store::directory(Path::new(DIR)), identity.database_id);
        let manifest = Manifest::read(&disk, &directory, database_id)?;
        let (parameters, cache_bytes, pinned_bytes_max) = (PARAMETERS, 1 << 20, 1 << 30);
        let options =
            StoreOptions { disk: shared(&disk), directory, database_id, parameters, cache_bytes, pinned_bytes_max };
        let store = Store::open(options, &manifest, None)?;
        let (mut applier, point) = (Applier::new(&store), manifest.point);
        let log = LogOptions {
            disk: shared(&disk),
            directory: wal::directory(Path::new(DIR)),
            lineage: recovery::lineage(&identity),
            keeper: Keeper::Follower,
            segment_bytes: PARAMETERS.segment_bytes,
            extend_bytes: 1024,
        };
        let (log, _) = wal::open(log, point, &mut |record, _| applier.apply(record).map(|_| ()))?;
        applier.publish();
        let maintenance = Maintenance::new(&store, manifest);
        Ok(Follower { disk, log: FollowedLog::new(log), applier: ReplicaApplier::new(applier), maintenance })
    }

    fn counts(&self) -> ProofCounts {
        self.applier.store().proofs()
    }

    fn maintain(&mut self) -> Result<()> {
        while self.maintenance.step()? == Progress::Worked {}
        Ok(())
    }

    /// Receives, proves and applies; maintenance works only where there is no room.
    fn feed(&mut self, record: &Logged) -> Result<()> {
        self.log.write(&record.bytes)?;
        self.log.sync()?;
        self.log.prove(record.after);
        let whole = 0..record.bytes.len();
        self.applier.give(Proven::new(record.bytes.clone(), whole, record.before, record.after));
        while self.applier.step()? == Step::Full {
            self.maintenance.step()?;
        }
        Ok(())
    }

    fn close(mut self) -> SimDisk {
        self.log.close().unwrap();
        self.disk
    }
}

/// A log that goes on behind a point with a Proof that somebody made up.
fn made_up(before: LogPoint, proof: Proof) -> Logged {
    let mut bytes = Vec::new();
    let after = record::encode(&mut bytes, Kind::Proof, &proof.payload(), before);
    Logged { bytes, before, after, proof: Some(proof) }
}

fn assert_diverged(error: &Error, proof: &Logged) {
    let named = RunInfo::from(proof.proof.as_ref().unwrap());
    assert_eq!(error.reason(), Reason::StateDiverged, "{error}");
    assert!(error.reason().halts());
    let hash = format!("{:032x}", named.hash);
    let (run, size, position) = (named.id.to_string(), named.size.to_string(), proof.before.position.to_string());
    let expected = [("position", &position), ("run", &run), ("logged_size", &size), ("logged_hash", &hash)];
    for (name, value) in expected {
        assert_eq!(error.fact(name), Some(value.as_str()), "{error}");
    }
    let here = (error.fact("size"), error.fact("hash"));
    assert!(here != (Some(&size), Some(&hash)) || error.fact("here").is_some(), "{error}");
}

/// REPL-PROOF: as soon as a run is complete, once, and nowhere else; a restart logs again only what the log behind the checkpoint
/// does not show.
#[test]
fn the_log_of_a_primary_names_every_run_that_it_completed() {
    let disk = made(Role::Primary, PARAMETERS);
    let mut node = Node::open(&proving(&disk)).unwrap();
    let mut seen: Vec<RunInfo> = Vec::new();
    for number in 0..120 {
        work(&mut node, number..number + 1);
        node.maintain().unwrap();
        seen.extend(live_runs(node.store()).into_iter().filter(|run| !seen.contains(run)).collect::<Vec<_>>());
    }
    settle(&mut node);
    seen.extend(live_runs(node.store()).into_iter().filter(|run| !seen.contains(run)).collect::<Vec<_>>());
    let log = log_of(&disk, Position::GENESIS, node.durable());
    let logged = proofs_of(&log);
    assert!(logged.len() > 15 && logged.iter().any(|run| run.id.level > 1), "{} Proofs", logged.len());
    assert!(seen.iter().all(|run| logged.contains(run)), "a run without a Proof");
    let mut ids: Vec<RunId> = logged.iter().map(|run| run.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), logged.len(), "a run is proven once");
    for record in log.iter().filter(|record| record.proof.is_some()) {
        assert_eq!((record.bytes.len(), record.after.commit), (80, record.before.commit));
    }
    let count = logged.len() as u64;
    let all = ProofCounts { logged: count, compared: count, ..ProofCounts::default() };
    assert_eq!(node.store().proofs(), all);
    node.close().unwrap();

    // Opened again, with nothing to say: what lies behind the checkpoint is found in the log. What lies before it is said once more.
    let mut end = None;
    for start in 0..4 {
        let mut node = Node::open(&proving(&disk)).unwrap();
        let runs = live_runs(node.store()).len() as u64;
        assert!(node.store().proofs().owed < runs, "start {start}: the Proof of the last run is behind the checkpoint");
        settle(&mut node);
        if start > 1 {
            assert_eq!(end, Some(node.durable()), "start {start}: the log grows with every start");
        }
        end = Some(node.durable());
        node.close().unwrap();
    }
}

/// REPL-PROOF, P5-I16: only a primary that is told to logs Proofs.
#[test]
fn who_was_not_told_to_log_proofs_logs_none() {
    for (role, proofs, expected) in
        [(Role::Standalone, true, false), (Role::Primary, false, false), (Role::Primary, true, true)]
    {
        let disk = made(role, PARAMETERS);
        let mut node = Node::open(&Options { proofs, ..proving(&disk) }).unwrap();
        work(&mut node, 0..60);
        settle(&mut node);
        let log = log_of(&disk, Position::GENESIS, node.durable());
        assert!(!live_runs(node.store()).is_empty());
        assert_eq!(!proofs_of(&log).is_empty(), expected, "{role:?}, {proofs}");
        node.close().unwrap();
    }
}

/// REPL-PROOF, R-DETERMINISM: whichever is first, Proof or run, the second compares; and a log with Proofs makes the same files everywhere.
#[test]
fn a_follower_compares_every_proof_whichever_is_first() {
    let (disk, log, runs) = primary(150);
    let proofs = proofs_of(&log).len() as u64;
    for eager in [true, false] {
        let mut follower = Follower::new();
        let mut most = 0;
        for record in &log {
            follower.feed(record).unwrap();
            if eager {
                follower.maintain().unwrap();
            }
            let counts = follower.counts();
            most = most.max(counts.waiting);
            assert_eq!(counts.logged, counts.compared + counts.waiting + counts.missed);
        }
        assert_eq!(most > 0, !eager, "at most {most} waited");
        follower.maintain().unwrap();
        let counts = ProofCounts { logged: proofs, compared: proofs, ..ProofCounts::default() };
        assert_eq!(follower.counts(), counts, "eager: {eager}");
        assert_eq!(live_runs(follower.applier.store()), runs);
        assert_eq!(store_files(&follower.close()), store_files(&disk), "eager: {eager}");
    }
}

/// REPL-PROOF: after a restart a follower knows its live runs from the manifest; of what was merged before, it says that it can't compare.
#[test]
fn a_proof_of_a_run_that_was_merged_before_the_start_is_missed_and_counted() {
    let (_, log, runs) = primary(150);
    let mut follower = Follower::new();
    log.iter().for_each(|record| follower.feed(record).unwrap());
    follower.maintain().unwrap();
    let mut follower = Follower::open(follower.close()).unwrap();
    let replayed = follower.counts();
    let end = log.last().unwrap().after;
    let live = made_up(end, Proof::from(&runs[0]));
    follower.feed(&live).unwrap();
    assert_eq!(
        follower.counts(),
        ProofCounts { logged: replayed.logged + 1, compared: replayed.compared + 1, ..replayed }
    );
    let gone = proofs_of(&log).into_iter().find(|run| !runs.contains(run)).unwrap();
    follower.feed(&made_up(live.after, Proof::from(&gone))).unwrap();
    assert_eq!((follower.counts().missed, follower.counts().waiting), (replayed.missed + 1, 0));
}

/// R-DIVERGENCE, D-CORRUPT: a run that was made another, and that nothing here can tell, is found where its Proof comes.
#[test]
fn a_run_that_differs_halts_at_its_proof_also_after_a_restart() {
    let (_, log, _) = primary(60);
    let at = log.iter().position(|record| record.proof.is_some()).unwrap();
    let mut follower = Follower::new();
    log[..at].iter().for_each(|record| follower.feed(record).unwrap());
    follower.maintain().unwrap();
    let disk = follower.close();
    let id =
        forge(&disk, |manifest| manifest.plan.runs.iter().position(|run| run.id == proofs_of(&log)[0].id).unwrap());
    let mut follower = Follower::open(disk).unwrap();
    let error = follower.feed(&log[at]).unwrap_err();
    assert_diverged(&error, &log[at]);
    assert_eq!(error.fact("run"), Some(id.to_string().as_str()));
    assert_eq!(follower.applier.applied().get(), log[at].before, "the Proof is not applied");
    let disk = follower.close();

    // It opens, with what it applied before, and answers nothing.
    for _ in 0..2 {
        let node = Node::open(&options(&disk)).unwrap();
        assert_diverged(&node.store().halted().unwrap(), &log[at]);
        assert_eq!(node.view(None).err().map(|error| error.reason()), Some(Reason::StateDiverged));
        assert_eq!(node.durable(), log[at].after, "its log is whole");
        node.close().unwrap();
        // Nor is it copied: the hash of the wrong run would hold in the copy.
        let refused = aerodb::backup::backup(&options(&disk), Path::new("/copy"), &mut |_, _| {}).unwrap_err();
        assert_diverged(&refused, &log[at]);
    }
}

/// R-DIVERGENCE: where the Proof comes first, a run that differs gets into no manifest, and the stages are told the very reason.
#[test]
fn a_run_that_differs_from_a_proof_that_waits_gets_into_no_manifest() {
    let (_, log, _) = primary(60);
    let at = log.iter().position(|record| record.proof.is_some()).unwrap();
    let honest = log[at].proof.unwrap();
    let mut follower = Follower::new();
    log[..at].iter().for_each(|record| follower.feed(record).unwrap());
    let bogus = made_up(log[at].before, Proof { hash: honest.hash ^ 1, ..honest });
    follower.feed(&bogus).unwrap();
    assert_eq!(follower.counts().waiting, 1);
    let before = follower.disk.contents(&Store::directory(Path::new(DIR)).join("MANIFEST"));
    let error = follower.maintain().unwrap_err();
    assert_diverged(&error, &bogus);
    assert_eq!(follower.disk.contents(&Store::directory(Path::new(DIR)).join("MANIFEST")), before);
    assert_eq!(follower.maintain().unwrap_err().reason(), Reason::CommitStopped);
    let more = made_up(bogus.after, honest);
    let told = follower.feed(&more).unwrap_err();
    assert_diverged(&told, &bogus);

    // The replay finds it anew: Proof and table both lie behind the checkpoint.
    let disk = follower.close();
    let node = Node::open(&options(&disk)).unwrap();
    let mut node = node;
    assert_diverged(&node.maintain().unwrap_err(), &bogus);
}

/// R-DIVERGENCE: a log can make a run in one way; a Proof of one that it can't make contradicts it, whatever is complete.
#[test]
fn a_proof_of_a_run_that_the_log_does_not_make_halts() {
    let (_, log, runs) = primary(60);
    let end = log.last().unwrap().after;
    let real = runs.iter().find(|run| run.id.level > 0 && run.id.last.0 - run.id.first.0 > 4).unwrap();
    let cases = [
        RunId { last: CommitId(real.id.last.0 - 1), ..real.id },
        RunId { first: CommitId(real.id.first.0 + 1), ..real.id },
        RunId { level: real.id.level + 1, first: CommitId(real.id.first.0 + 1), last: end.commit },
    ];
    for id in cases {
        let bogus = made_up(end, Proof::from(&RunInfo { id, ..*real }));
        let mut follower = Follower::new();
        log.iter().for_each(|record| follower.feed(record).unwrap());
        follower.maintain().unwrap();
        let error = follower.feed(&bogus).unwrap_err();
        assert_diverged(&error, &bogus);
        assert!(error.fact("here").is_some(), "{error}");
    }
    // Waiting: the table that is sealed ends elsewhere.
    let at = log.iter().position(|record| record.proof.is_some()).unwrap();
    let honest = log[at].proof.unwrap();
    let mut follower = Follower::new();
    log[..at].iter().for_each(|record| follower.feed(record).unwrap());
    let bogus = made_up(log[at].before, Proof { last: CommitId(honest.last.0 - 1), ..honest });
    follower.feed(&bogus).unwrap();
    assert_diverged(&follower.maintain().unwrap_err(), &bogus);
}

/// REPL-PROOF: `verify` holds the Proofs of the log against the runs of the directory, and the opening of a writer does.
#[test]
fn verify_compares_the_proofs_of_the_log_and_a_writer_that_differs_is_not_opened() {
    let verified = |disk: &SimDisk| verify(&VerifyOptions { dir: DIR.into(), disk: shared(disk) }, &mut |_, _| {});
    let (disk, log, runs) = primary(60);
    let of_live = proofs_of(&log).iter().filter(|run| runs.contains(run)).count() as u64;
    assert_eq!(verified(&disk).unwrap().proofs, of_live);
    assert_eq!(of_live, runs.len() as u64);

    let last = log.iter().rfind(|record| record.proof.is_some()).unwrap();
    let bogus = made_up(log.last().unwrap().after, Proof { size: 1, ..last.proof.unwrap() });
    let mut follower = Follower::new();
    log.iter().for_each(|record| follower.feed(record).unwrap());
    follower.maintain().unwrap();
    assert_diverged(&follower.feed(&bogus).unwrap_err(), &bogus);
    assert_diverged(&verified(&follower.close()).unwrap_err(), &bogus);

    // A primary whose newest run was made another: its Proof is behind the checkpoint.
    forge(&disk, |manifest| manifest.plan.runs.len() - 1);
    for _ in 0..2 {
        assert_diverged(&Node::open(&proving(&disk)).err().unwrap(), last);
    }
}

/// REPL-PROOF, D-ACK: a crash between run and Proof loses no Proof of a run that is live: it is logged after the restart. After every
/// operation of a primary, in every variant.
#[test]
fn after_every_crash_the_proofs_of_all_live_runs_come_into_the_log() {
    let disk = made(Role::Primary, PARAMETERS);
    disk.record_images(true);
    let mut node = Node::open(&proving(&disk)).unwrap();
    work(&mut node, 0..45);
    settle(&mut node);
    node.close().unwrap();
    let images = disk.take_images();
    let (mut states, mut lost) = (0, 0);
    for (index, image) in images.iter().enumerate() {
        let killed = std::iter::once((image.restart(), "killed".to_owned()));
        let cut = Crash::ALL.into_iter().map(|variant| (image.crash(variant, index as u64), format!("{variant:?}")));
        for (disk, how) in killed.chain(cut) {
            let what = format!("operation {index}, {how}");
            let mut node = Node::open(&proving(&disk)).unwrap_or_else(|error| panic!("{what}: {error}"));
            lost += u64::from(node.store().proofs().owed > 0);
            settle(&mut node);
            let log = log_of(&disk, Position::GENESIS, node.durable());
            let logged = proofs_of(&log);
            let runs = live_runs(node.store());
            assert!(runs.iter().all(|run| logged.contains(run)), "{what}: a live run has no Proof");
            node.close().unwrap();
            verify(&VerifyOptions { dir: DIR.into(), disk: shared(&disk) }, &mut |_, _| {})
                .unwrap_or_else(|error| panic!("{what}: {error}"));
            // The rest of the world goes on from there.
            if index % 7 == 0 {
                let mut follower = Follower::new();
                log.iter().for_each(|record| follower.feed(record).unwrap_or_else(|error| panic!("{what}: {error}")));
            }
            states += 1;
        }
    }
    println!("{} operations, {states} crashes and kills, {lost} found Proofs to log", images.len());
    assert!(lost > states / 20);
}

/// REPL-PROOF, R-DIVERGENCE, REPL-HALT: between two nodes with their threads and a socket. What was made another in one run shows in the
/// merge that takes it, though the Proof of the run itself was long past.
#[cfg(feature = "server")]
#[test]
fn a_replica_whose_run_was_made_another_halts_when_the_proof_of_a_merge_comes_and_stays_halted() {
    halts_and_stays_halted(false);
}

/// The newest run: its Proof is replayed at the next start, which opens halted.
#[cfg(feature = "server")]
#[test]
fn a_replica_whose_newest_run_was_made_another_halts_as_it_starts_and_stays_halted() {
    halts_and_stays_halted(true);
}

#[cfg(feature = "server")]
fn halts_and_stays_halted(newest: bool) {
    use aerodb::Database;
    use aerodb::replica::{self, Replica, ReplicaOptions, ReplicaStatus};
    let until = |what: &dyn Fn() -> bool| {
        while !what() {
            std::thread::yield_now();
        }
    };
    // Tables are sealed by checkpoints alone: where Proofs come to stand is up to the threads.
    let disk = made(Role::Primary, Parameters { table_bytes: 1 << 20, fanout: 4, ..PARAMETERS });
    let served = served::Served::with(Database::open(proving(&disk)).unwrap(), |options| {
        options.replication = Some("127.0.0.1:0".parse().unwrap());
    });
    let primary = served.replication.unwrap().to_string();
    let commit = |from: u64, to: u64| {
        for number in from..to {
            served.db.commit(batch(&writes(number))).unwrap();
        }
        served.db.checkpoint().unwrap();
        until(&|| {
            let status = served.db.status();
            status.merges_due == 0 && status.proofs.owed == 0
        });
    };
    // Until there are two runs of level 0, of which one is not the newest.
    let mut committed = 0;
    while served.db.status().runs.iter().filter(|run| run.id.level == 0).count() < 2 || committed < 60 {
        commit(committed, committed + 10);
        committed += 10;
    }
    let follower = SimDisk::new();
    replica::init(Path::new(DIR), &primary, &shared(&follower)).unwrap();
    let open = || {
        let options = Options { retention: Retention::All, ..options(&follower) };
        Replica::open(ReplicaOptions::new(options, &primary)).unwrap()
    };
    let quiet = |status: &ReplicaStatus| {
        let database = &status.database;
        status.applied == served.db.status().durable
            && (database.sealed_tables, database.merges_due, database.proofs.waiting) == (0, 0, 0)
    };
    let replica = open();
    until(&|| quiet(&replica.status()));
    let (ours, theirs) = (replica.status().database.proofs, served.db.status().proofs);
    assert!(theirs.logged > 3, "{theirs:?}");
    assert_eq!(ours, theirs, "each of them was compared");
    assert_eq!(replica.status().database.runs, served.db.status().runs);
    replica.close().unwrap();

    let id = forge(&follower, |manifest| {
        let mut lowest = manifest.plan.runs.iter().enumerate().filter(|(_, run)| run.id.level == 0);
        let picked = if newest { lowest.next_back() } else { lowest.next() };
        picked.map(|(index, _)| index).unwrap()
    });
    let mut next = committed;
    let replica = open();
    while replica.status().halt.is_none() && next < 300 {
        commit(next, next + 10);
        until(&|| replica.status().halt.is_some() || quiet(&replica.status()));
        next += 10;
    }
    let halt = replica.status().halt.expect("it halts at the merge that takes the run");
    assert_eq!(halt.reason, Reason::StateDiverged);
    let fault = replica.status().fault.unwrap();
    assert_eq!(fault.fact("position"), Some(halt.position.to_string().as_str()), "{fault}");
    let log = log_of(&disk, Position::GENESIS, served.db.status().durable);
    let proof = log.iter().find(|record| record.before.position == halt.position).unwrap();
    assert_diverged(&fault, proof);
    let merged = proof.proof.unwrap();
    assert!(merged.level == u32::from(!newest) && merged.first <= id.first && id.last <= merged.last, "{fault}");
    assert_eq!(replica.applier_failed(), None, "nothing that opening again could mend");
    let _ = replica.close();

    // Over restarts, until it is cleared by name; and where the Proof is replayed it halts at once.
    for _ in 0..2 {
        let replica = open();
        assert_eq!(replica.status().halt.map(|halt| (halt.reason, halt.position)), Some((halt.reason, halt.position)));
        replica.close().unwrap();
    }
    assert_eq!(replica::resume(&options(&follower), halt.reason, halt.position).unwrap(), (halt.clone(), None));
    if newest {
        let replica = open();
        until(&|| replica.status().halt.is_some());
        assert_eq!(replica.status().halt.map(|again| again.position), Some(halt.position), "nothing was repaired");
    }
}
