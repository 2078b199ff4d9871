//! Real processes on the real disk: killed with SIGKILL while they commit, and kept out of one another's directory.
//!
//! The test binary starts itself again as a child. The child opens the database, commits from several threads, and prints a line for each
//! acknowledgement; the parent reads lines until it has had enough, and kills it. What must hold over all rounds:
//!
//! * every acknowledged commit is there, under its CommitId, with its values (D-ACK, F-P2, F-A1);
//! * a commit that was not acknowledged is there whole or not at all, and a thread's commits without a gap (F-P1, M-ATOMIC);
//! * a CommitId is never used again for other content (P5-I6);
//! * a dead process leaves no lock, and a living one keeps others out (R-WRITER).
//!
//! How many acknowledgements a round waits for comes from a printed seed; no clock is read and nothing sleeps.

mod world;

use aerodb::{Batch, CommitId, Database, Init, Options, Parameters, Range, Reason};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use world::Dice;

const SEED: u64 = 0x0dead;
const ROUNDS: u64 = 14;
const THREADS: u64 = 4;
/// A child ends by itself at last, should its parent be gone.
const COMMITS_MAX: u64 = 4000;
const KEYS: u64 = 3;

const DIR: &str = "AERODB_TEST_KILL_DIR";
const ROUND: &str = "AERODB_TEST_KILL_ROUND";

/// Which commit: round, thread, number in the thread.
type Name = (u64, u64, u64);

fn key((round, thread, number): Name, part: u64) -> Vec<u8> {
    format!("{round:03}/{thread}/{number:05}/{part}").into_bytes()
}

fn name_of(key: &[u8]) -> Name {
    let text = std::str::from_utf8(key).unwrap();
    let mut parts = text.split('/').map(|part| part.parse().unwrap());
    let mut part = || parts.next().unwrap();
    (part(), part(), part())
}

fn value(name: Name, part: u64) -> Vec<u8> {
    let mut dice = Dice(SEED ^ (name.0 << 40) ^ (name.1 << 32) ^ (name.2 << 8) ^ part);
    let len = 8 + dice.below(250);
    (0..len).map(|_| dice.roll() as u8).collect()
}

fn commit(db: &Database, name: Name) -> CommitId {
    let mut batch = Batch::new();
    for part in 0..KEYS {
        batch.put(&key(name, part), &value(name, part)).unwrap();
    }
    db.commit(batch).unwrap()
}

fn options(dir: &Path) -> Options {
    Options { extend_bytes: 16 << 10, ..Options::new(dir) }
}

fn init(dir: &Path) {
    let parameters = Parameters { segment_bytes: 64 << 10, table_bytes: 16 << 10, block_bytes: 512, fanout: 2 };
    Database::init(&Init { parameters, extend_bytes: 16 << 10, ..Init::standalone(dir) }).unwrap();
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // Nobody to say it to: the parent is gone, and so may this process be.
    if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
        std::process::exit(1);
    }
}

/// What the child does. In the parent's run of the tests it has nothing to do.
#[test]
fn the_child() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    // The harness may have left a line unfinished.
    say("");
    let db = match Database::open(options(Path::new(&dir))) {
        Ok(db) => db,
        Err(error) => return say(&format!("refused {}", error.reason().name())),
    };
    say("open");
    let Some(round) = std::env::var(ROUND).ok().and_then(|round| round.parse().ok()) else {
        // Holds the directory until its standard input ends.
        let _ = std::io::stdin().lines().count();
        return;
    };
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let db = &db;
            scope.spawn(move || {
                for number in 0..COMMITS_MAX {
                    let id = commit(db, (round, thread, number));
                    say(&format!("acknowledged {id} {thread} {number}"));
                    if thread == 0 && number % 40 == 39 {
                        db.checkpoint().unwrap();
                    }
                }
            });
        }
    });
}

fn start(dir: &Path, round: Option<u64>) -> (Child, BufReader<ChildStdout>) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "the_child", "--nocapture", "--test-threads=1"]).env(DIR, dir);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    if let Some(round) = round {
        command.env(ROUND, round.to_string());
    }
    let mut child = command.spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap());
    (child, lines)
}

/// The next line of the child's own, whole; `None` at the end. A line that death cut short is none.
fn next_line(lines: &mut BufReader<ChildStdout>) -> Option<String> {
    loop {
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        let line = line.strip_suffix('\n')?;
        if ["open", "acknowledged", "refused"].iter().any(|word| line.starts_with(word)) {
            return Some(line.to_owned());
        }
    }
}

fn acknowledged(line: &str, round: u64) -> Option<(CommitId, Name)> {
    let mut numbers = line.strip_prefix("acknowledged ")?.split(' ').map(|number| number.parse::<u64>().unwrap());
    let mut number = || numbers.next().unwrap();
    Some((CommitId(number()), (round, number(), number())))
}

/// One life of a child: what it acknowledged before it was killed. With nothing wanted it is killed while it starts.
fn live(dir: &Path, round: u64, wanted: u64) -> Vec<(CommitId, Name)> {
    let (mut child, mut lines) = start(dir, Some(round));
    let mut found = Vec::new();
    if wanted > 0 {
        assert_eq!(next_line(&mut lines).as_deref(), Some("open"), "round {round}");
    }
    while (found.len() as u64) < wanted {
        let line = next_line(&mut lines).expect("the child commits until it is killed");
        found.extend(acknowledged(&line, round));
    }
    child.kill().unwrap();
    // What it said before it died counts as well.
    while let Some(line) = next_line(&mut lines) {
        found.extend(acknowledged(&line, round));
    }
    assert!(!child.wait().unwrap().success());
    found
}

/// D-ACK, P5-I6: the commit is there, under its CommitId and no other.
fn check_acknowledged(db: &Database, commits: &BTreeMap<CommitId, Name>) {
    for (id, name) in commits {
        let (before, at) = (db.view(Some(CommitId(id.0 - 1))).unwrap(), db.view(Some(*id)).unwrap());
        for part in 0..KEYS {
            let key = key(*name, part);
            assert_eq!(at.get(&key).unwrap(), Some(value(*name, part)), "{name:?} at {id}");
            assert_eq!(before.get(&key).unwrap(), None, "{name:?} before {id}");
        }
    }
}

/// M-ATOMIC: every commit that left a trace is whole, and the commits of a thread have no gap.
fn check_whole(db: &Database) {
    let rows = db.view(None).unwrap().range(Range::all(1 << 20)).unwrap().collect().unwrap();
    let mut parts: BTreeMap<Name, BTreeSet<u64>> = BTreeMap::new();
    for (found, bytes) in &rows {
        let name = name_of(found);
        let part = (0..KEYS).find(|part| key(name, *part) == *found).expect("a key that was written");
        assert_eq!(*bytes, value(name, part));
        parts.entry(name).or_default().insert(part);
    }
    let mut next: BTreeMap<(u64, u64), u64> = BTreeMap::new();
    for ((round, thread, number), parts) in &parts {
        assert_eq!(parts.len() as u64, KEYS, "round {round}, thread {thread}, commit {number} is not whole");
        let expected = next.entry((*round, *thread)).or_default();
        assert_eq!(number, expected, "round {round}, thread {thread} has a gap");
        *expected += 1;
    }
    assert_eq!(db.status().commit, CommitId(parts.len() as u64), "CommitIds have no holes");
}

/// D-ACK, F-P1, F-P2, F-A1, P5-I6
#[test]
fn what_a_killed_process_acknowledged_is_there_and_the_rest_is_whole() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("db");
    init(&dir);
    println!("seed {SEED:#x}");
    let mut dice = Dice(SEED);
    let mut commits = BTreeMap::new();
    for round in 0..ROUNDS {
        // Now and then it is killed while it has barely begun.
        let wanted = if dice.below(4) == 0 { dice.below(3) } else { dice.below(300) };
        let found = live(&dir, round, wanted);
        let found_count = found.len();
        let new: BTreeMap<CommitId, Name> = found.into_iter().collect();
        assert_eq!(new.len(), found_count, "round {round}: a CommitId was given twice");
        assert!(new.keys().all(|id| !commits.contains_key(id)), "round {round}: a CommitId was given again");
        let db = Database::open(options(&dir)).unwrap();
        check_acknowledged(&db, &new);
        check_whole(&db);
        db.close().unwrap();
        commits.extend(new);
    }
    let db = Database::open(options(&dir)).unwrap();
    println!("{} acknowledged, {} committed, in {ROUNDS} rounds", commits.len(), db.status().commit);
    check_acknowledged(&db, &commits);
    db.close().unwrap();
}

/// R-WRITER
#[test]
fn a_second_process_is_refused_until_the_first_is_dead() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("db");
    init(&dir);
    let (mut first, mut lines) = start(&dir, None);
    assert_eq!(next_line(&mut lines).as_deref(), Some("open"));
    let refused = |dir: &Path| Database::open(options(dir)).err().map(|error| error.reason());
    assert_eq!(refused(&dir), Some(Reason::DirLocked));
    let (mut second, mut second_lines) = start(&dir, None);
    assert_eq!(next_line(&mut second_lines).as_deref(), Some("refused dir.locked"));
    assert!(second.wait().unwrap().success());
    first.kill().unwrap();
    first.wait().unwrap();
    let db = Database::open(options(&dir)).unwrap();
    assert_eq!(refused(&dir), Some(Reason::DirLocked), "within one process too");
    commit(&db, (0, 0, 0));
    db.close().unwrap();
    assert!(Database::open(options(&dir)).is_ok(), "closing gives the lock back");
}
