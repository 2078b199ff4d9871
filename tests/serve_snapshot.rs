//! Snapshots over real sockets, beside replicas that follow and clients that are served (`docs/snapshot-transfer.md`).
//!
//! What a session answers is tried without sockets (`feeder_snapshot.rs`); here it is what a connection adds: whose turn it is, who takes
//! nothing, who is gone, and that what was pinned is removed then.

#![cfg(all(feature = "replication", feature = "server"))]

mod feeding;
mod served;
mod world;

use aerodb::committer::Retention;
use aerodb::frame::{Frame, Hello, Purpose, Snapshot};
use aerodb::limits::{MANIFEST_BYTES_MAX, REPLICA_OUTPUT_BYTES, SNAPSHOTS_MAX};
use aerodb::record::genesis;
use aerodb::store::Store;
use aerodb::store::manifest::Manifest;
use aerodb::wal::SEGMENT_HEADER_BYTES;
use aerodb::{Database, Init, LogPoint, Options, Parameters, Reason, Role};
use feeding::{Came, Log, encoded, fetch, hello, real_segments};
use served::{Client, Served, ok};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use world::{Dice, batch};

/// A primary in a directory of the real disk, with some runs.
fn primary(dir: &Path, change: impl FnOnce(&mut aerodb::server::Options)) -> Served {
    let parameters = Parameters { segment_bytes: 1 << 20, table_bytes: 256 << 10, ..Parameters::default() };
    Database::init(&Init { role: Role::Primary, parameters, ..Init::standalone(dir) }).unwrap();
    let db = Database::open(Options { retention: Retention::All, ..Options::new(dir) }).unwrap();
    let served = Served::with(db, |options| {
        options.replication = Some("127.0.0.1:0".parse().unwrap());
        change(options);
    });
    write(&served.db, 40, 1);
    served
}

/// Commits so many large values, and has them in runs.
fn write(db: &Database, commits: u64, seed: u64) {
    let mut dice = Dice(seed);
    for _ in 0..commits {
        let key = format!("key{}", dice.below(1000)).into_bytes();
        let value: Vec<u8> = (0..60_000).map(|_| dice.roll() as u8).collect();
        db.commit(batch(&vec![(key, Some(value))])).unwrap();
    }
    db.checkpoint().unwrap();
}

/// Somebody who speaks the protocol by hand.
struct Peer {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Peer {
    /// One that was welcomed for this.
    fn welcomed(served: &Served, purpose: Purpose) -> Peer {
        let identity = served.db.identity();
        let start = genesis(identity.database_id, identity.epoch);
        let validated = if purpose == Purpose::Follow { start } else { LogPoint::default() };
        let stream = TcpStream::connect(served.replication.unwrap()).unwrap();
        let mut peer = Peer { stream, received: Vec::new() };
        peer.send(&encoded(Frame::Hello(Hello { purpose, ..hello(identity, validated) })));
        peer.next().unwrap().welcome();
        peer
    }

    fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    fn ask(&mut self, from: u64, upto: u64) {
        self.send(&encoded(Frame::Snapshot(Snapshot { from, upto })));
    }

    /// The next frame; `None` at the end of the connection.
    fn next(&mut self) -> Option<Came> {
        let mut buffer = vec![0; 1 << 16];
        loop {
            if let Some(came) = Came::take(&mut self.received) {
                return Some(came);
            }
            match self.stream.read(&mut buffer).unwrap() {
                0 => return None,
                bytes => self.received.extend_from_slice(&buffer[..bytes]),
            }
        }
    }

    /// Begins a snapshot, with an allowance for so much.
    fn begin(&mut self, upto: u64) -> Copy {
        self.ask(0, upto);
        let Frame::Manifest(manifest) = self.next().unwrap().frame else { panic!("no manifest") };
        Copy { manifest, bytes: Vec::new() }
    }
}

/// What came of a snapshot.
struct Copy {
    manifest: aerodb::frame::Manifest,
    bytes: Vec<u8>,
}

impl Copy {
    /// Takes chunks up to a place.
    fn take(&mut self, peer: &mut Peer, upto: u64) {
        while (self.bytes.len() as u64) < upto.min(self.manifest.bytes) {
            let Came { frame: Frame::Chunk(chunk), log } = peer.next().unwrap() else { panic!("no chunk") };
            assert_eq!((chunk.from, chunk.crc), (self.bytes.len() as u64, crc32c::crc32c(&log)));
            self.bytes.extend(log);
        }
    }

    /// SNAP-CUT: the runs have the hashes that the manifest names, and the rest is the log up to the cut.
    fn is_that_of(&self, dir: &Path) {
        let manifest = Manifest::decode(&self.manifest.manifest).unwrap();
        assert_eq!(manifest.point, self.manifest.cut);
        let mut left = self.bytes.as_slice();
        for run in &manifest.plan.runs {
            let (file, rest) = left.split_at(run.size as usize);
            assert_eq!(xxhash_rust::xxh3::xxh3_128(file), run.hash, "{}", run.id);
            left = rest;
        }
        let segment = &real_segments(dir)[&self.manifest.segment.position.0][SEGMENT_HEADER_BYTES as usize..];
        assert!(*left == segment[..left.len()], "the log up to the cut");
        assert_eq!(self.manifest.segment.position.after(left.len() as u64), self.manifest.cut.position);
    }
}

/// Waits until no pin is left and the files of the store are those that its manifest names.
fn is_swept(served: &Served, dir: &Path) {
    let mut client = served.client();
    client.wait_for("checkpoints", 0);
    let directory = Store::directory(dir);
    loop {
        // Whoever writes calls maintenance.
        write(&served.db, 1, 99);
        let manifest = Manifest::decode(&std::fs::read(directory.join("MANIFEST")).unwrap()).unwrap();
        let mut named: Vec<_> = manifest.plan.runs.iter().map(|run| run.id.file_name()).collect();
        let entries = std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name());
        let mut there: Vec<_> = entries.filter_map(|name| name.into_string().ok()).collect();
        there.retain(|name| name.ends_with(".run"));
        named.sort_unstable();
        there.sort_unstable();
        if named == there {
            return;
        }
    }
}

/// SNAP-PIN, WIRE-SNAPSHOT: two snapshots and a follower at once, while clients write and runs merge.
#[test]
fn two_snapshots_and_a_follower_come_whole_at_once() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("db");
    let served = primary(&dir, |_| {});
    let mut follower = Peer::welcomed(&served, Purpose::Follow);
    let mut peers = [(); 2].map(|()| Peer::welcomed(&served, Purpose::Snapshot));
    let mut copies: Vec<Copy> = peers.iter_mut().map(|peer| peer.begin(1)).collect();
    write(&served.db, 60, 2);
    let mut client = served.client();
    assert_eq!((client.info("checkpoints"), client.info("connected_slaves")), (2, 1));
    let end = served.db.extent().durable.position.0;
    follower.send(&fetch(0, end));
    for (peer, copy) in peers.iter_mut().zip(&copies) {
        peer.ask(1, copy.manifest.bytes);
    }
    for (peer, copy) in peers.iter_mut().zip(&mut copies) {
        copy.take(peer, u64::MAX);
        copy.is_that_of(&dir);
    }
    let mut log = Log::from(0);
    while log.at < end {
        log.take(follower.next().unwrap());
    }
    log.is_that_of(&real_segments(&dir));
    is_swept(&served, &dir);
}

/// WIRE-BOUND, SNAP-PIN: who takes nothing holds a frame and a pin, and costs the others nothing; a connection that is cut lets go of its pin.
#[test]
fn a_snapshot_that_nobody_reads_or_whose_connection_is_cut_holds_up_nobody() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("db");
    let served = primary(&dir, |_| {});
    write(&served.db, 300, 3);
    let mut deaf: Vec<Peer> = (0..SNAPSHOTS_MAX).map(|_| Peer::welcomed(&served, Purpose::Snapshot)).collect();
    for peer in &mut deaf {
        peer.ask(0, 200 << 20);
    }
    let mut client = served.client();
    client.wait_for("checkpoints", SNAPSHOTS_MAX as u64);
    let sent = client.settled(|client| client.info("total_net_repl_output_bytes"));
    for number in 0..deaf.len() {
        let held = client.info(&format!("feed_{number}_held_bytes"));
        assert!(held <= (REPLICA_OUTPUT_BYTES + MANIFEST_BYTES_MAX) as u64, "{held}");
        assert!(client.info(&format!("feed_{number}_bytes")) > 10 << 20, "{sent} were sent");
    }
    assert_eq!(client.ask("SET k v"), ok());
    let mut late = Peer::welcomed(&served, Purpose::Snapshot);
    late.ask(0, 1);
    assert_eq!(late.next().unwrap().refused(), Reason::ReplicationBusy);
    drop(deaf.split_off(1));
    client.wait_for("checkpoints", 1);
    let mut next = Peer::welcomed(&served, Purpose::Snapshot);
    let mut copy = next.begin(100 << 20);
    copy.take(&mut next, u64::MAX);
    copy.is_that_of(&dir);
    Client::reset(Client::connect(served.address));
    drop(deaf);
    is_swept(&served, &dir);
}

/// SNAP-RATE: a snapshot that is paced comes whole.
#[test]
fn a_snapshot_that_is_paced_comes_whole() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("db");
    let served = primary(&dir, |options| options.serve_rate = Some(4 << 20));
    let mut peer = Peer::welcomed(&served, Purpose::Snapshot);
    let mut copy = peer.begin(100 << 20);
    copy.take(&mut peer, u64::MAX);
    copy.is_that_of(&dir);
}
