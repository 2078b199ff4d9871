//! Where the logs part, as a replica says it that has halted because they do (F-D1, WIRE-PROBE, REPL-HALT): over real sockets, and held
//! against what comparing the two directories finds, by other code.
//!
//! The halt comes first and does not depend on the answer: not where the primary ends the conversation, and not where it never answers.

#![cfg(feature = "replication")]

mod served;
mod world;

use aerodb::compare::{CompareOptions, Fork, Local, Relation, compare};
use aerodb::disk::{Disk, RealDisk};
use aerodb::frame::{Frame, Refuse};
use aerodb::replica::{self, Replica, ReplicaOptions};
use aerodb::supervisor::machine::State;
use aerodb::{Batch, CommitId, Database, Init, LogPoint, Options, Parameters, Position, Reason, Role};
use served::Served;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::channel;
use world::Dice;

fn serve(dir: &Path) -> Served {
    let db = Database::open(Options::new(dir)).unwrap();
    Served::with(db, |options| options.replication = Some("127.0.0.1:0".parse().unwrap()))
}

/// So many commits of what these dice say.
fn commit(db: &Database, count: u64, dice: &mut Dice) -> CommitId {
    (0..count).fold(CommitId::NONE, |_, _| {
        let mut batch = Batch::new();
        let value: Vec<u8> = (0..dice.below(300)).map(|_| dice.roll() as u8).collect();
        batch.put(format!("key-{}", dice.below(500)).as_bytes(), &value).unwrap();
        db.commit(batch).unwrap()
    })
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(|entry| entry.unwrap()) {
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// A replica `r` of `p`, and `forked`, a copy of `p` of an earlier moment: nobody has them open.
fn forked(place: &Path, common: u64, behind: u64) -> (PathBuf, PathBuf) {
    let [p, r, forked] = ["p", "r", "forked"].map(|name| place.join(name));
    let parameters = Parameters { segment_bytes: 16 * 1024, table_bytes: 8 * 1024, block_bytes: 512, fanout: 2 };
    Database::init(&Init { role: Role::Primary, parameters, ..Init::standalone(&p) }).unwrap();
    let mut dice = Dice(7);
    let primary = serve(&p);
    commit(&primary.db, common, &mut dice);
    primary.stop().close().unwrap();
    copy(&p, &forked);
    let primary = serve(&p);
    let last = commit(&primary.db, behind, &mut dice);
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    replica::init(&r, &primary.replication.unwrap().to_string(), &disk).unwrap();
    let replica = open(&r, primary.replication.unwrap());
    replica.wait_for(last).unwrap();
    replica.close().unwrap();
    primary.stop().close().unwrap();
    (r, forked)
}

fn open(dir: &Path, primary: SocketAddr) -> Replica {
    let options = ReplicaOptions::new(Options::new(dir), &primary.to_string());
    Replica::open(ReplicaOptions { tcp_keepalive: 0, ..options }).unwrap()
}

/// What comparing the directories says of where they part: the common point, and that behind the first record of a that b has not.
fn parted(a: &Path, b: &Path) -> (LogPoint, LogPoint) {
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let [mut a, mut b] = [a, b].map(|dir| Local::open(&disk, dir).unwrap());
    let compared = compare(&mut a, &mut b, &CompareOptions::default(), &mut |_, _| {}).unwrap();
    let Relation::Diverged(Fork::Behind { common, a, .. }) = compared.relation else {
        panic!("{:?}", compared.relation);
    };
    (common, a.after)
}

/// F-D1: two nodes whose logs part at a known commit. The halt says where, keeps its own place, and is cleared as any halt is.
#[test]
fn a_replica_that_halts_because_the_logs_part_says_where() {
    // Within a segment, behind several of them, and where the replica is behind the primary, as far, or ahead of it.
    for (common, behind, other) in [(3, 2, 40), (90, 200, 300), (300, 40, 200)] {
        let place = tempfile::tempdir().unwrap();
        let (r, forked) = forked(place.path(), common, behind);
        let primary = serve(&forked);
        commit(&primary.db, other, &mut Dice(99));
        let replica = open(&r, primary.replication.unwrap());
        let end = replica.status().validated.point;
        let known = |evidence: &str| evidence.starts_with("fork");
        let status = replica.wait_until(|status| status.halt.as_ref().is_some_and(|halt| known(&halt.evidence)));
        let halt = status.halt.unwrap();
        assert_eq!((halt.reason, halt.position), (Reason::HistoryDiverged, end.position));
        assert_eq!(status.replica.state, State::Halted);
        assert_eq!(replica.close().unwrap_err().reason(), Reason::HistoryDiverged);
        primary.stop().close().unwrap();

        let (common, here) = parted(&r, &forked);
        let said = format!(
            "fork_position={}, fork_commit={}, fork_history={}, behind_position={}, history_here={}, history_there=",
            common.position, common.commit, common.history, here.position, here.history
        );
        assert!(halt.evidence.starts_with(&said), "{said} {}", halt.evidence);
        assert!(halt.evidence.contains("; history.diverged: "), "{}", halt.evidence);
        // Kept, and cleared by its own name.
        let again = open(&r, "127.0.0.1:1".parse().unwrap());
        assert_eq!(again.status().halt, Some(halt.clone()));
        again.close().unwrap();
        let refused = replica::resume(&Options::new(&r), halt.reason, common.position).unwrap_err();
        assert_eq!(refused.reason(), Reason::HaltOther);
        assert_eq!(replica::resume(&Options::new(&r), halt.reason, halt.position).unwrap(), (halt, None));
    }
}

/// Reads a frame of a replica.
fn hears(stream: &mut TcpStream) -> Option<Frame> {
    let mut came = Vec::new();
    loop {
        if let Some((frame, _)) = Frame::decode(&came).unwrap() {
            return Some(frame);
        }
        let mut byte = [0];
        match stream.read(&mut byte) {
            Ok(1) => came.push(byte[0]),
            _ => return None,
        }
    }
}

/// A primary that refuses whoever follows, as one whose log is another, and plays the rest as the test says.
fn played(rest: impl FnOnce(TcpStream) + Send + 'static) -> (SocketAddr, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let playing = std::thread::spawn(move || {
        let mut first = listener.accept().unwrap().0;
        assert!(matches!(hears(&mut first), Some(Frame::Hello(_))));
        let durable = LogPoint { position: Position(1 << 20), ..LogPoint::default() };
        let (reason, text) = (u16::from(Reason::HistoryDiverged.number()), "not that log".to_owned());
        let mut refusal = Vec::new();
        Frame::Refuse(Refuse { reason, durable, oldest: Position(0), text }).encode(&mut refusal);
        first.write_all(&refusal).unwrap();
        rest(listener.accept().unwrap().0);
    });
    (address, playing)
}

/// REPL-HALT, F-D1: a primary that ends the conversation, or sends what is no answer. The halt is kept, and says that the place is not known.
#[test]
fn a_primary_that_does_not_say_where_changes_nothing_about_the_halt() {
    let place = tempfile::tempdir().unwrap();
    let (r, _) = forked(place.path(), 20, 10);
    type Plays = fn(TcpStream);
    let cases: [(&str, Plays); 3] = [
        ("replication.disconnected", |mut stream| drop(hears(&mut stream))),
        ("protocol.malformed", |mut stream| {
            hears(&mut stream);
            let _ = stream.write_all(&[0xff; 4096]);
            while hears(&mut stream).is_some() {}
        }),
        ("protocol.unexpected", |mut stream| {
            hears(&mut stream);
            let mut frame = Vec::new();
            Frame::Point(Position(5), aerodb::frame::Before::Nothing).encode(&mut frame);
            let _ = stream.write_all(&frame);
            while hears(&mut stream).is_some() {}
        }),
    ];
    for (cause, rest) in cases {
        let (address, playing) = played(rest);
        let replica = open(&r, address);
        let end = replica.status().validated.point;
        let known = |evidence: &str| evidence.starts_with("fork");
        let status = replica.wait_until(|status| status.halt.as_ref().is_some_and(|halt| known(&halt.evidence)));
        let halt = status.halt.unwrap();
        assert_eq!((halt.reason, halt.position), (Reason::HistoryDiverged, end.position));
        assert!(halt.evidence.starts_with(&format!("fork=unknown, fork_cause={cause}: ")), "{}", halt.evidence);
        assert!(halt.evidence.contains("not that log"), "{}", halt.evidence);
        replica.close().unwrap_err();
        playing.join().unwrap();
        replica::resume(&Options::new(&r), halt.reason, halt.position).unwrap();
    }
}

/// REPL-HALT, F-D1: a primary that is asked and never answers: the replica has halted all the same, and a stop does not wait for it.
#[test]
fn a_primary_that_falls_silent_holds_up_neither_the_halt_nor_a_stop() {
    let place = tempfile::tempdir().unwrap();
    let (r, _) = forked(place.path(), 20, 10);
    let (asked, is_asked) = channel();
    let (address, playing) = played(move |mut stream| {
        assert!(matches!(hears(&mut stream), Some(Frame::Hello(_))));
        asked.send(()).unwrap();
        // Until the replica has gone.
        assert!(hears(&mut stream).is_none());
    });
    let replica = open(&r, address);
    is_asked.recv().unwrap();
    let status = replica.wait_until(|status| status.replica.state == State::Halted);
    let halt = status.halt.unwrap();
    assert_eq!((halt.reason, status.replica.state), (Reason::HistoryDiverged, State::Halted));
    assert!(!halt.evidence.starts_with("fork"), "{}", halt.evidence);
    assert!(replica.database().view(None).is_err());
    replica.close().unwrap_err();
    playing.join().unwrap();
    replica::resume(&Options::new(&r), halt.reason, halt.position).unwrap();
}
