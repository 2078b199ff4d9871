//! Replicas: those that follow, wait, are behind, have failed or halted.

use super::{
    Told, ended, follow, follow_on, gated_options, of_replica, primary, primary_with, put, read, replica_of, rests,
    serve, settled,
};
use crate::proxy::{Edit, Proxy};
use crate::world::forge::forge;
use crate::world::{options, tiny};
use aerodb::explain::{self, Kind, Topic};
use aerodb::frame::{Frame, Welcome};
use aerodb::receiver::machine::State as ReceiverState;
use aerodb::replica::ReplicaStatus;
use aerodb::supervisor::machine::State;
use aerodb::{CommitId, Database, Parameters, Position, Wish};

/// Each WELCOME as this makes it.
pub fn welcomed(change: impl Fn(&mut Welcome) + Send + 'static) -> Edit {
    Box::new(move |frame, bytes| {
        let Frame::Welcome(mut welcome) = frame.clone() else { return bytes };
        change(&mut welcome);
        encoded(&Frame::Welcome(welcome))
    })
}

/// The bytes of a frame.
pub fn encoded(frame: &Frame) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame.encode(&mut bytes);
    bytes
}

pub fn told() -> Vec<Told> {
    [following(), halting(), diverging(), proving()].concat()
}

fn following() -> Vec<Told> {
    let served = serve(primary().1);
    let proxy = Proxy::of(served.replication.unwrap());
    let address = proxy.address.to_string();
    let mut told = Vec::new();

    // Log that is asked for does not come.
    let disk = replica_of(&served.db);
    proxy.edit(|frame, bytes| if matches!(frame, Frame::Segment(_)) { Vec::new() } else { bytes });
    let replica = follow(&disk, &address);
    replica.wait_until(|status| status.replica.state == State::ReceivingWal && status.received.fetches == 1);
    told.push(("replication of a replica that catches up", of_replica(&replica, &Topic::Replication)));
    told.push(("segment of a replica that has received none", of_replica(&replica, &Topic::Segment)));
    drop(replica);
    proxy.be_honest();

    // Nobody listens at the port of this listener, which has gone.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let replica = follow(&disk, &gone.to_string());
    replica.wait_until(|status| status.receiver.state == ReceiverState::Disconnected);
    told.push(("replication of a replica that no primary has answered", of_replica(&replica, &Topic::Replication)));
    drop(replica);

    let replica = follow(&disk, &address);
    replica.wait_for(CommitId(5)).unwrap();
    replica.wait_until(rests);
    settled(replica.database());
    told.push(("replication of a replica that follows", of_replica(&replica, &Topic::Replication)));
    told.push(("segment of a replica, none rejected", of_replica(&replica, &Topic::Segment)));
    told.push(("checkpoint of a replica", of_replica(&replica, &Topic::Checkpoint)));
    told.push(("read on a replica", of_replica(&replica, &read(b"apple", Wish::newest()))));
    proxy.cut();
    replica.wait_until(|status| status.receiver.state == ReceiverState::Disconnected);
    told.push(("replication of a replica that lost its connection", of_replica(&replica, &Topic::Replication)));
    replica.close().unwrap();
    let at_rest = |kind| explain::at_rest(kind, &options(&disk)).unwrap().unwrap();
    told.push(("replication of a replica's directory", at_rest(Kind::Replication)));
    told.push(("segment of a replica's directory", at_rest(Kind::Segment)));

    let (gated, gate) = gated_options(&disk);
    let replica = follow_on(gated, &address);
    replica.wait_until(rests);
    gate.fail(".seg");
    put(&served.db, "apple", "brown");
    replica.wait_until(|status| ended(status, State::Failed));
    told.push(("replication of a replica that failed", of_replica(&replica, &Topic::Replication)));
    told.push(("segment of a replica that failed", of_replica(&replica, &Topic::Segment)));
    told
}

/// EXPL-BYTES: a halt that is kept is told in the same bytes behind a restart.
fn halting() -> Vec<Told> {
    let served = serve(primary().1);
    let proxy = Proxy::of(served.replication.unwrap());
    let address = proxy.address.to_string();
    let mut told = Vec::new();
    let topics = [Topic::Replication, Topic::Segment, read(b"apple", Wish::newest()), Topic::Checkpoint];
    for (titles, flips, oldest, ahead) in [
        (["replication of a halted replica", "segment that was rejected", "read on a halted replica"], true, 0, 0),
        (
            [
                "replication of a replica whose log was dropped",
                "segment of a replica whose log was dropped",
                "read on a replica whose log was dropped",
            ],
            false,
            1 << 20,
            0,
        ),
        (
            [
                "replication of a replica that is ahead",
                "segment of a replica that is ahead",
                "read on a replica that is ahead",
            ],
            false,
            0,
            8,
        ),
    ] {
        let disk = replica_of(&served.db);
        let replica = follow(&disk, &address);
        replica.wait_until(rests);
        replica.close().unwrap();
        if flips {
            proxy.edit(|frame, mut bytes| {
                if let (Frame::Segment(_), Some(last)) = (frame, bytes.last_mut()) {
                    *last ^= 1;
                }
                bytes
            });
            put(&served.db, "apple", "black");
        } else {
            proxy.edit(welcomed(move |welcome| {
                welcome.oldest = Position(welcome.oldest.0 + oldest);
                welcome.durable.position = Position(welcome.durable.position.0 - ahead);
            }));
        }
        let replica = follow(&disk, &address);
        replica.wait_until(|status| ended(status, State::Halted));
        let before = topics.clone().map(|topic| of_replica(&replica, &topic));
        drop(replica);
        let replica = follow(&disk, &address);
        let after = topics.clone().map(|topic| of_replica(&replica, &topic));
        for (before, after) in before.iter().zip(&after) {
            assert_eq!(
                before.json().to_string(),
                after.json().to_string(),
                "a restart changes nothing of what is kept"
            );
        }
        told.extend(titles.into_iter().zip(before));
        drop(replica);
        proxy.be_honest();
        if flips {
            let at_rest = |kind| explain::at_rest(kind, &options(&disk)).unwrap().unwrap();
            told.push(("replication of a halted replica's directory", at_rest(Kind::Replication)));
            told.push(("segment that was rejected, of a directory", at_rest(Kind::Segment)));
        }
    }

    // The disk refuses to keep it.
    let disk = replica_of(&served.db);
    let replica = follow(&disk, &address);
    replica.wait_until(rests);
    replica.close().unwrap();
    let (gated, gate) = gated_options(&disk);
    gate.fail("/STATE.");
    proxy.edit(welcomed(|welcome| welcome.durable.position = Position(welcome.durable.position.0 - 8)));
    let replica = follow_on(gated, &address);
    replica.wait_until(|status| ended(status, State::Failed));
    told.push(("replication of a replica whose halt is not kept", of_replica(&replica, &Topic::Replication)));
    told.push(("segment of a replica whose halt is not kept", of_replica(&replica, &Topic::Segment)));
    told
}

/// R-DIVERGENCE: two copies of a directory wrote a commit each. The replica has that of one, and meets the other.
fn diverging() -> Vec<Told> {
    let (disk, db) = primary();
    db.close().unwrap();
    let copy = disk.image().restart();
    let [one, other] = [(&disk, "one"), (&copy, "two")].map(|(disk, value)| {
        let served = serve(Database::open(options(disk)).unwrap());
        put(&served.db, "apple", value);
        served
    });
    let proxy = Proxy::of(one.replication.unwrap());
    let address = proxy.address.to_string();
    let disk = replica_of(&one.db);
    let replica = follow(&disk, &address);
    replica.wait_until(rests);
    replica.close().unwrap();
    proxy.lead_to(other.replication.unwrap());
    let replica = follow(&disk, &address);
    // Where the logs part is asked behind the halt, and told with it.
    let found = |status: &ReplicaStatus| status.halt.as_ref().is_some_and(|halt| halt.evidence.starts_with("fork"));
    replica.wait_until(|status| ended(status, State::Halted) && found(status));
    let title = "replication of a replica whose history is another";
    let told = of_replica(&replica, &Topic::Replication);
    drop(replica);
    let replica = follow(&disk, &address);
    assert_eq!(of_replica(&replica, &Topic::Replication).json().to_string(), told.json().to_string());
    vec![(title, told), ("segment of a replica whose history is another", of_replica(&replica, &Topic::Segment))]
}

/// REPL-PROOF: the runs of a replica beside the Proofs in its log.
fn proving() -> Vec<Told> {
    let parameters = Parameters { segment_bytes: 1 << 20, ..tiny() };
    let served = serve(primary_with(parameters, true).1);
    let address = served.replication.unwrap().to_string();
    let mut told = Vec::new();
    let disk = replica_of(&served.db);
    let (gated, gate) = gated_options(&disk);
    gate.hold(".run.tmp");
    let replica = follow_on(gated, &address);
    replica.wait_until(rests);
    gate.wait_for_held();
    told.push(("checkpoint of a replica that waits for a run", of_replica(&replica, &Topic::Checkpoint)));
    gate.open();
    settled(replica.database());
    replica.close().unwrap();

    forge(&disk, |manifest| manifest.plan.runs.len() - 1);
    for again in [false, true] {
        let replica = follow(&disk, &address);
        // It halts as it opens: none of its stages is begun.
        replica.wait_until(|status| status.replica.state == State::Halted);
        let title = ["checkpoint of a replica that diverged", "checkpoint of a replica that diverged, restarted"];
        told.push((title[usize::from(again)], of_replica(&replica, &Topic::Checkpoint)));
    }
    told
}
