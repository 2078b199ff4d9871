//! A replica beside its primary, in one process: real sockets, real disks, the threads of the product, and a proxy in between that can
//! cut, hold and change what the primary says.
//!
//! Nothing sleeps and nothing polls: a test waits for what the replica shows. What the replica must hold is known from the primary's
//! directory: at the end both are closed, and their logs and runs must be the same bytes.

#![cfg(feature = "replication")]

mod following;
mod proxy;
mod served;
mod world;

use aerodb::backup::{self, RestoreOptions};
use aerodb::committer::Retention;
use aerodb::compare::{Relation, Side};
use aerodb::frame::{Frame, Segment};
use aerodb::receiver::machine::State as ReceiverState;
use aerodb::replica::{self, Replica, ReplicaOptions, ReplicaStatus};
use aerodb::resp::Value;
use aerodb::server::{self, Server};
use aerodb::supervisor::{Reconnect, Recoveries, machine::State};
use aerodb::{Batch, CommitId, Database, Error, Init, Options, Position, Reason, Result, Role, applier, validator};
use following::{World, check_law, compared, copy, halted, real, sealed, small, some_batch, try_compare};
use served::Client;
use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use world::Dice;

/// P5-I4, P5-I14, REPL-POSITIONS, F-P3: it follows, and goes on where it was after a restart of either side.
#[test]
fn a_replica_follows_and_catches_up_after_a_restart_of_either_side() {
    let mut world = World::new();
    let last = world.commit(200);
    world.make_replica("r");
    let replica = world.open("r");
    let durable = world.db().extent().durable;
    assert_eq!(replica.wait_for(last).unwrap(), durable);
    let status = replica.wait_until(|status| {
        check_law(status);
        let stages = (status.receiver.state, status.validator.state, status.applier.state);
        let idle = (ReceiverState::Streaming, validator::machine::State::Waiting, applier::machine::State::Idle);
        status.replica.state == State::Ready && stages == idle
    });
    // Of each component the last transition is shown: from where, by what, and how many there were (P5-I14).
    let facts: BTreeMap<_, _> = status.facts().into_iter().collect();
    let of =
        |component: &str| ["", "_previous", "_cause"].map(|part| facts[format!("{component}{part}").as_str()].clone());
    assert_eq!(of("receiver"), ["streaming", "handshaking", "welcomed"]);
    assert_eq!(of("validator"), ["waiting", "proving", "proven"]);
    assert_eq!(of("applier"), ["idle", "applying", "applied"]);
    let transitions = |component: &str| facts[format!("{component}_transitions").as_str()].parse::<u64>().unwrap();
    assert_eq!(transitions("receiver"), 3);
    assert_eq!((transitions("validator") % 2, transitions("applier") > 1), (0, true));
    let received = status.received;
    let origin = received.origin.unwrap();
    assert_eq!((origin.node_id, origin.oldest), (world.db().identity().node_id, Position::GENESIS));
    assert_eq!((origin.target, origin.durable), (durable, durable));
    assert_eq!((status.validated.point, status.validated.seen, status.applied), (durable, durable.position, durable));
    assert_eq!((received.received, received.bytes), (durable.position, durable.position.0));
    assert_eq!((received.attempts, received.sessions, received.lost), (1, 1, 0));
    assert!(received.fetches > 0 && received.segments > 1 && received.syncs > 0, "{received:?}");
    assert_eq!((status.fault.as_ref(), status.halt), (None, None));
    assert_eq!(status.database.commit, last);

    let last = world.commit(100);
    assert_eq!(replica.wait_for(last).unwrap().commit, last);
    replica.close().unwrap();
    let (before, last) = (world.db().extent().durable, world.commit(100));
    let replica = world.open("r");
    replica.wait_for(last).unwrap();
    let began = replica.status().received;
    assert_eq!(Position(began.received.0 - began.bytes), before.position, "what it had was not fetched again");

    let ended = world.primary.as_ref().unwrap().address;
    world.stop_primary();
    let status = replica.wait_until(|status| status.received.lost > 0);
    assert_eq!(status.fault, None);
    world.serve(Options::new(&world.path("p")));
    assert_ne!(world.primary.as_ref().unwrap().address, ended);
    let last = world.commit(50);
    replica.wait_for(last).unwrap();
    assert!(replica.status().received.sessions >= 2);
    replica.close().unwrap();
    world.finish(&["r"]);
}

/// F-P3, F-N1: a connection that is cut anywhere costs nothing but time.
#[test]
fn cut_connections_are_made_again_and_nothing_is_lost() {
    let mut world = World::new();
    world.make_replica("r");
    let replica = world.open("r");
    for _ in 0..20 {
        let last = world.commit(20);
        world.proxy.cut();
        replica.wait_for(last).unwrap();
    }
    assert_eq!(replica.status().fault, None);
    replica.close().unwrap();
    world.finish(&["r"]);
}

/// P5-I16, R-WRITER, R-READ: a replica answers what is proven and makes no history, and says who does.
#[test]
fn reads_are_answered_and_writes_refused_by_name() {
    let mut world = World::new();
    let last = world.commit(5);
    world.make_replica("r");
    let replica = Arc::new(world.open("r"));
    replica.wait_for(last).unwrap();
    let refusal = |outcome: Result<()>| outcome.unwrap_err();
    let db = replica.database();
    assert_eq!(db.view(None).unwrap().commit(), last);
    let theirs = world.db().get(b"key-1").unwrap();
    assert_eq!(db.get(b"key-1").unwrap(), theirs);
    let refused = refusal(db.commit(some_batch(&mut Dice(1))).map(drop));
    assert_eq!(refused.reason(), Reason::RoleNotWriter);
    let primary = world.proxy.address.to_string();
    assert_eq!(refused.fact("primary"), Some(primary.as_str()));

    let options = server::Options {
        listen: "127.0.0.1:0".parse().unwrap(),
        replica: Some(Arc::clone(&replica)),
        ..server::Options::new(Arc::clone(db))
    };
    let server = Server::bind(options).unwrap();
    let (address, stopper) = (server.local_addr(), server.stopper());
    let running = std::thread::spawn(move || server.run());
    let mut client = Client::connect(address);
    let error = |reply: Value| {
        let Value::Error(text) = reply else { panic!("{reply:?}") };
        String::from_utf8(text).unwrap()
    };
    let write = error(client.ask("SET key-1 x"));
    assert!(write.starts_with("READONLY ") && write.contains(&primary), "{write}");
    let read = client.ask("GET key-1");
    let theirs = theirs.map_or(Value::Null, Value::Bulk);
    assert_eq!(read, theirs);
    // RESP-WATCH: what only reads is decided here, as on a primary.
    let mut watched = |meanwhile: &mut dyn FnMut()| {
        for (request, reply) in [("WATCH key-1", "OK"), ("MULTI", "OK"), ("GET key-1", "QUEUED")] {
            assert_eq!(client.ask(request), Value::Simple(reply.into()));
        }
        meanwhile();
        client.ask("EXEC")
    };
    assert_eq!(watched(&mut || {}), Value::Array(vec![theirs]));
    let written = watched(&mut || {
        let mut batch = Batch::new();
        batch.put(b"key-1", b"written meanwhile").unwrap();
        replica.wait_for(world.db().commit(batch).unwrap()).unwrap();
    });
    assert_eq!(written, Value::NullArray);
    stopper.stop();
    running.join().unwrap().unwrap();
    Arc::into_inner(replica).unwrap().close().unwrap();
    world.finish(&["r"]);
}

/// What the proxy does to the frame with log that comes first behind so many bytes.
type Deed = fn(&Frame, Vec<u8>) -> Vec<u8>;

/// How many bytes of a SEGMENT stand before its log.
const HEAD: usize = aerodb::frame::SEGMENT_HEAD_BYTES;

/// Whether its stages have ended.
fn has_ended(status: &ReplicaStatus) -> bool {
    let (receiver, validator, applier) = (status.receiver.state, status.validator.state, status.applier.state);
    matches!(receiver, ReceiverState::Failed | ReceiverState::Closed)
        && matches!(validator, validator::machine::State::Failed | validator::machine::State::Closed)
        && matches!(applier, applier::machine::State::Failed | applier::machine::State::Closed)
}

fn flip(mut bytes: Vec<u8>, at: usize) -> Vec<u8> {
    bytes[at] ^= 0x10;
    bytes
}

/// F-V1, F-V2, F-V3, REPL-HALT: what was changed on the way halts the replica at its place, also after a restart, and nothing behind it is
/// applied; once the halt is cleared by its name it goes on.
#[test]
fn what_is_changed_on_the_way_halts_the_replica_until_it_is_cleared_by_name() {
    let deeds: [(&str, Deed, Reason); 6] = [
        ("a byte of the log", |_, bytes| flip(bytes, HEAD + 40), Reason::SegmentRejected),
        (
            "the last byte of the log",
            |_, bytes| {
                let last = bytes.len() - 1;
                flip(bytes, last)
            },
            Reason::SegmentRejected,
        ),
        ("a byte of the frame's header", |_, bytes| flip(bytes, 3), Reason::ProtocolMalformed),
        ("a byte of the frame's fields", |_, bytes| flip(bytes, 20), Reason::ProtocolMalformed),
        ("a frame that is gone", |_, _| Vec::new(), Reason::ReplicationGap),
        ("a frame that comes twice", |_, bytes| bytes.repeat(2), Reason::ReplicationNotAsked),
    ];
    for (what, deed, reason) in deeds {
        let mut world = World::new();
        world.commit(50);
        world.make_replica("r");
        let from = world.db().extent().durable.position;
        let replica = world.open("r");
        replica.wait_for(CommitId(50)).unwrap();
        let mut done = false;
        world.proxy.edit(move |frame, bytes| {
            if let Frame::Segment(segment) = frame
                && segment.from >= from
                && !done
            {
                done = true;
                return deed(frame, bytes);
            }
            bytes
        });
        let last = world.commit(100);
        let (code, position) = halted(&replica);
        assert_eq!(code, reason, "{what}");
        let error = replica.wait_for(last).unwrap_err();
        assert_eq!(error.reason(), Reason::ReplicaHalted, "{what}");
        assert_eq!(error.fact("halt"), Some(format!("{code}@{position}").as_str()));
        let applied = replica.applied();
        assert!(applied.commit < last && applied.position >= from, "{what}: {applied}");
        // What was proven is final once the stages have ended. What was durable and waited for its proof then, the next start proves.
        let proven = replica.wait_until(has_ended).validated.point;
        let fault = replica.status().fault.unwrap();
        let expected = fault.fact("expected").map_or(position, |expected| Position(expected.parse().unwrap()));
        assert!(proven.position <= expected, "{what}: {proven} is proven of what halted it at {position}");
        // Who closes it is told what it ended with.
        assert_eq!(replica.close().unwrap_err().reason(), reason, "{what}");
        world.proxy.be_honest();

        // It stays halted, however often it is opened, and does not even connect.
        let connections = world.proxy.accepted();
        for _ in 0..2 {
            let replica = world.open("r");
            assert_eq!(replica.status().replica.state, State::Halted);
            assert_eq!(replica.wait_for(last).unwrap_err().reason(), Reason::ReplicaHalted);
            let applied = replica.applied().position;
            assert!(
                (proven.position..=expected).contains(&applied),
                "{what}: {applied} is applied, {proven} was proven"
            );
            replica.close().unwrap();
        }
        assert_eq!(world.proxy.accepted(), connections);
        let options = Options::new(&world.path("r"));
        let others = [(code, Position(position.0 + 1)), (Reason::HistoryAhead, position)];
        for (other, at) in others {
            assert_eq!(replica::resume(&options, other, at).unwrap_err().reason(), Reason::HaltOther);
        }
        let (cleared, counts) = replica::resume(&options, code, position).unwrap();
        assert_eq!((cleared.reason, cleared.position, counts), (code, position, None));
        assert_eq!(replica::resume(&options, code, position).unwrap_err().reason(), Reason::HaltOther);
        let replica = world.open("r");
        replica.wait_for(last).unwrap();
        replica.close().unwrap();
        world.finish(&["r"]);
    }
}

/// F-D1: a primary that is another, behind, or has gone another way is found at the handshake, and nothing is changed.
#[test]
fn another_a_stale_and_a_forked_primary_halt_the_replica() {
    let mut world = World::new();
    world.commit(60);
    world.make_replica("r");
    world.stop_primary();
    let (stale, forked) = (world.path("stale"), world.path("forked"));
    copy(&world.path("p"), &stale);
    copy(&world.path("p"), &forked);
    world.serve(Options::new(&world.path("p")));
    let last = world.commit(40);
    let replica = world.open("r");
    replica.wait_for(last).unwrap();
    replica.close().unwrap();
    world.stop_primary();

    let foreign = world.path("foreign");
    Database::init(&Init { role: Role::Primary, parameters: small(), ..Init::standalone(&foreign) }).unwrap();
    let before = sealed(&world.path("r"));
    let cases =
        [(foreign, Reason::IdentityOtherDatabase), (stale, Reason::HistoryAhead), (forked, Reason::HistoryDiverged)];
    for (dir, reason) in cases {
        world.serve(Options::new(&dir));
        if reason == Reason::HistoryDiverged {
            world.dice = Dice(99);
            world.commit(80);
        }
        let replica = world.open("r");
        let (code, position) = halted(&replica);
        assert_eq!(code, reason);
        assert_eq!(replica.commit(), last);
        assert_eq!(replica.close().unwrap_err().reason(), reason);
        replica::resume(&Options::new(&world.path("r")), code, position).unwrap();
        world.stop_primary();
    }
    assert_eq!(sealed(&world.path("r")), before);
    world.serve(Options::new(&world.path("p")));
    let last = world.commit(10);
    let replica = world.open("r");
    replica.wait_for(last).unwrap();
    replica.close().unwrap();
    world.finish(&["r"]);
}

/// REPL-PRIMARY: two nodes are restored from one backup. Nothing in the log tells them apart yet, so that another node serves it does; who follows one of them
/// on an order is told of the other one by its log.
#[test]
fn of_two_primaries_that_were_restored_from_one_backup_none_is_followed_unnoticed() {
    let mut world = World::new();
    world.commit(60);
    world.make_replica("r");
    let replica = world.open("r");
    replica.wait_for(CommitId(60)).unwrap();
    replica.close().unwrap();
    world.stop_primary();
    let disk = real();
    backup::backup(&Options::new(&world.path("p")), &world.path("backup"), &mut |_, _| {}).unwrap();
    for name in ["one", "two"] {
        backup::restore(Arc::clone(&disk), &world.path("backup"), &world.path(name), &mut |_, _| {}).unwrap();
    }
    // A backup of a replica says whose log it is; restored as another replica it follows the same one.
    backup::backup(&Options::new(&world.path("r")), &world.path("of-r"), &mut |_, _| {}).unwrap();
    let options = |role, name: &str| {
        let options = RestoreOptions::new(Arc::clone(&disk), &world.path("of-r"), &world.path(name));
        RestoreOptions { role, ..options }
    };
    backup::restore_with(&options(None, "s"), &mut |_, _| {}).unwrap();
    let third = backup::restore_with(&options(Some(Role::Primary), "three"), &mut |_, _| {}).unwrap();
    assert_eq!(third.identity.role, Role::Primary);
    world.serve(Options::new(&world.path("one")));
    let last = world.commit(20);
    let replica = world.open("r");
    let (code, position) = halted(&replica);
    assert_eq!((code, replica.commit()), (Reason::IdentityOtherPrimary, CommitId(60)));
    replica.close().unwrap_err();
    // Kept, as any halt is; and an order follows the node that serves then, and no other.
    let again = world.open("r");
    assert_eq!(again.status().halt.map(|halt| (halt.reason, halt.position)), Some((code, position)));
    again.close().unwrap();
    replica::resume(&Options::new(&world.path("r")), code, position).unwrap();
    let replica = world.open("r");
    replica.wait_for(last).unwrap();
    replica.close().unwrap();
    world.stop_primary();

    world.serve(Options::new(&world.path("two")));
    let replica = world.open("r");
    assert_eq!(halted(&replica).0, Reason::HistoryAhead);
    replica.close().unwrap_err();
    world.stop_primary();

    // What was restored as a primary makes history, and is followed by what has followed nobody.
    world.serve(Options::new(&world.path("three")));
    let last = world.commit(5);
    let replica = world.open("s");
    replica.wait_for(last).unwrap();
    replica.close().unwrap();
}

/// REPL-AFRESH, F-D1: a fork is cut off within its first record. What came of it is dropped, and told, and the replica goes on with the primary:
/// it never proved anything of the fork.
#[test]
fn what_a_fork_left_of_a_record_is_dropped_before_the_primary_goes_on() {
    const PART: usize = 20;
    let mut world = World::new();
    let last = world.commit(60);
    world.make_replica("r");
    let replica = world.open("r");
    replica.wait_for(last).unwrap();
    world.stop_primary();
    replica.close().unwrap();
    let forked = world.path("forked");
    copy(&world.path("p"), &forked);
    world.serve(Options::new(&forked));
    world.dice = Dice(99);
    world.commit(20);

    let mut parts = 0;
    world.proxy.edit(move |frame, bytes| {
        let Frame::Segment(segment) = frame else { return bytes };
        parts += 1;
        let mut part = Vec::new();
        if parts == 1 {
            Frame::Segment(Segment { bytes: PART, ends_segment: false, ..*segment }).encode(&mut part);
            part.extend_from_slice(&bytes[bytes.len() - segment.bytes..][..PART]);
        }
        part
    });
    let replica = world.open("r");
    let status = replica.wait_until(|status| status.validated.seen > status.validated.point.position);
    check_law(&status);
    let (proven, part) = (status.validated.point, status.validated.seen);
    assert_eq!((status.received.received, part.since(proven.position)), (part, PART as u64));

    world.stop_primary();
    world.serve(Options::new(&world.path("p")));
    world.dice = Dice(7);
    let last = world.commit(10);
    world.proxy.be_honest();
    world.proxy.cut();
    replica.wait_for(last).unwrap();
    let status = replica.status();
    check_law(&status);
    assert_eq!((status.halt.clone(), status.fault.clone()), (None, None));
    let facts: BTreeMap<_, _> = status.facts().into_iter().collect();
    let told = ["dropped", "dropped_from", "dropped_to"].map(|fact| facts[fact].clone());
    assert_eq!(told, [PART.to_string(), proven.position.to_string(), part.to_string()]);
    replica.close().unwrap();
    world.finish(&["r"]);
}

/// F-N1, REPL-RECONNECT: without a primary it waits, says so, and where it is not to connect again it says that too.
#[test]
fn a_replica_whose_primary_is_not_there_says_so() {
    let mut world = World::new();
    let last = world.commit(30);
    let replica = world.once("r");
    replica.wait_for(last).unwrap();
    world.proxy.cut();
    let error = replica.wait_for(CommitId(last.0 + 1)).unwrap_err();
    assert_eq!((error.reason(), error.fact("reconnect")), (Reason::ReplicationDisconnected, Some("never")));
    let status = replica.status();
    assert_eq!(status.receiver.state, ReceiverState::Disconnected);
    assert!(status.receiver.blocked.unwrap().contains(Reason::ReplicationDisconnected.name()));
    assert_eq!((status.received.attempts, status.received.lost), (1, 1));
    assert_eq!(status.fault, None);
    replica.close().unwrap();

    // A port at which nobody listens.
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let options = ReplicaOptions { primary: nobody.to_string(), reconnect: Reconnect::Never, ..world.options("r") };
    let replica = Replica::open(options).unwrap();
    let status = replica.wait_until(|status| status.received.lost == 1);
    assert!(status.receiver.blocked.unwrap().contains(Reason::ReplicationUnreachable.name()));
    assert_eq!(replica.wait_for(last).unwrap().commit, last, "what it has it has");
    assert_eq!(replica.wait_for(CommitId::MAX).unwrap_err().reason(), Reason::ReplicationDisconnected);
    replica.close().unwrap();
    let refused = replica::init(&world.path("new"), &nobody.to_string(), &real()).unwrap_err();
    assert_eq!(refused.reason(), Reason::ReplicationUnreachable);
    assert!(!world.path("new").exists());
}

/// Log that the primary has dropped is missed by name, by a new replica and by one that was away for too long.
#[test]
fn log_that_was_retired_is_missed_by_name() {
    let mut world = World::new();
    let last = world.commit(20);
    world.make_replica("r");
    let replica = world.open("r");
    replica.wait_for(last).unwrap();
    replica.close().unwrap();
    world.stop_primary();
    world.serve(Options { retention: Retention::Bytes(0), ..Options::new(&world.path("p")) });
    world.commit(200);
    world.db().checkpoint().unwrap();
    // Retirement is ordered behind the checkpoint; the next commit is behind it.
    world.commit(1);
    assert!(world.db().extent().oldest > Position::GENESIS);
    let refused = replica::init(&world.path("new"), &world.proxy.address.to_string(), &real()).unwrap_err();
    assert_eq!(refused.reason(), Reason::HistoryRetired);
    assert!(!world.path("new").exists());
    let replica = world.open("r");
    assert_eq!(halted(&replica).0, Reason::HistoryRetired);
    assert_eq!(replica.commit(), last);
    drop(replica);
    world.stop_primary();
    let refused = try_compare(&world.path("r"), &world.path("p"), false).unwrap_err();
    assert_eq!(refused.reason(), Reason::WalRetired);
}

/// R-AUTHORITY: a directory has one role, whoever opens it.
#[test]
fn a_directory_of_another_role_is_refused() {
    let mut world = World::new();
    world.make_replica("r");
    world.stop_primary();
    let refused = Replica::open(ReplicaOptions { options: Options::new(&world.path("p")), ..world.options("r") });
    assert_eq!(refused.err().unwrap().reason(), Reason::IdentityOtherRole);
    let options = Options { role: Some(Role::Primary), ..Options::new(&world.path("r")) };
    assert_eq!(Database::open(options).err().unwrap().reason(), Reason::IdentityOtherRole);
    let refused = replica::resume(&Options::new(&world.path("p")), Reason::SegmentRejected, Position(0)).unwrap_err();
    assert_eq!(refused.reason(), Reason::IdentityOtherRole);
}

/// Who asks for a commit waits for it, as long as it may come.
#[test]
fn waiting_for_a_commit_ends_when_it_is_applied() {
    let mut world = World::new();
    world.commit(1);
    world.make_replica("r");
    let replica = Arc::new(world.open("r"));
    let waits = |commit| {
        let replica = Arc::clone(&replica);
        std::thread::spawn(move || replica.wait_for(CommitId(commit)).map(|point| point.commit))
    };
    let waiting: Vec<_> = (1..=40).map(waits).collect();
    world.commit(39);
    for (commit, waiting) in (1..).zip(waiting) {
        assert!(waiting.join().unwrap().unwrap() >= CommitId(commit));
    }
    Arc::into_inner(replica).unwrap().close().unwrap();
    world.finish(&["r"]);
}

/// F-N1, P5-I14: the other machine vanishes without a word. Nothing is decided by the silence: the replica shows the connection that it has, answers
/// no reads as before, and has what it had. What ends it is the operating system (`tcp-keepalive`), to the replica a lost connection.
#[test]
fn a_peer_that_vanished_is_silence_until_the_connection_is_lost() {
    let mut world = World::new();
    let last = world.commit(60);
    world.make_replica("r");
    let replica = world.open("r");
    replica.wait_for(last).unwrap();
    let before = replica.wait_until(|status| status.replica.state == State::Ready);

    world.proxy.swallow();
    let unseen = world.commit(10);
    world.proxy.wait_for_swallowed(1);
    let status = replica.status();
    check_law(&status);
    assert_eq!((status.receiver.state, status.replica.state), (ReceiverState::Streaming, State::Ready));
    assert_eq!((status.received.lost, status.received.segments), (0, before.received.segments));
    assert_eq!((status.received.received, status.applied), (before.received.received, before.applied));
    assert!(status.received.asked > status.received.received, "it waits for what it asked for");
    assert_eq!((status.fault.clone(), status.halt.clone()), (None, None));
    let facts: BTreeMap<_, _> = status.facts().into_iter().collect();
    assert_eq!((facts["state"].as_str(), facts["reads"].as_str()), ("ready", "safe"));
    let known: u64 = facts["primary_durable_commit"].parse().unwrap();
    assert!(known < unseen.0, "of what was committed since it has not heard");

    // The operating system gives the connection up.
    world.proxy.deliver();
    world.proxy.cut();
    replica.wait_for(unseen).unwrap();
    let status = replica.status();
    assert_eq!((status.received.lost, status.received.sessions), (before.received.lost + 1, 2));
    replica.close().unwrap();
    world.finish(&["r"]);
}

/// A listener whose queue is full: whoever connects hears nothing.
fn black_hole() -> (SocketAddr, Vec<Box<dyn std::any::Any>>) {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, listen, socket_with};
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listen(&listener, 0).unwrap();
    let address = listener.local_addr().unwrap();
    let mut kept: Vec<Box<dyn std::any::Any>> = vec![Box::new(listener)];
    for _ in 0..8 {
        let socket = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::NONBLOCK, None).unwrap();
        // It is begun, and stays so.
        let _ = connect(&socket, &address);
        kept.push(Box::new(socket));
    }
    (address, kept)
}

/// Closing ends all threads, whatever they wait for.
#[test]
fn closing_ends_everything_in_every_state() {
    let mut world = World::new();
    let last = world.commit(50);
    world.make_replica("r");
    let opened = |primary: SocketAddr| {
        let primary = primary.to_string();
        Replica::open(ReplicaOptions { primary, ..world.options("r") }).unwrap()
    };
    let (address, _kept) = black_hole();
    let replica = opened(address);
    replica.wait_until(|status| status.receiver.state == ReceiverState::Connecting);
    replica.close().unwrap();

    // It accepts, and says nothing.
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let replica = opened(mute.local_addr().unwrap());
    replica.wait_until(|status| status.receiver.state == ReceiverState::Handshaking);
    replica.close().unwrap();

    // The delay before the next attempt is longer than any test.
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let options =
        ReplicaOptions { primary: nobody.to_string(), reconnect: Reconnect::After(86_400), ..world.options("r") };
    let replica = Replica::open(options).unwrap();
    replica.wait_until(|status| status.receiver.state == ReceiverState::Disconnected);
    replica.close().unwrap();

    world.proxy.hold();
    let replica = world.open("r");
    replica.wait_until(|status| status.receiver.state == ReceiverState::Handshaking);
    replica.close().unwrap();
    world.proxy.pass();
    let replica = world.open("r");
    replica.wait_for(last).unwrap();
    replica.wait_until(|status| status.receiver.state == ReceiverState::Streaming);
    replica.close().unwrap();

    // In mid-flight: what was received is proven and applied before it ends.
    let last = world.commit(400);
    let replica = world.open("r");
    replica.wait_until(|status| status.received.segments > 0);
    replica.close().unwrap();
    let replica = world.open("r");
    replica.wait_for(last).unwrap();
    drop(replica);
    world.finish(&["r"]);
}

/// A replica whose fsyncs the test can hold and fail.
fn gated_replica(world: &World) -> (Replica, world::gate::GateKeeper) {
    let (disk, gate) = world::gate::gated(real());
    let options = world.options("r");
    (Replica::open(ReplicaOptions { options: Options { disk, ..options.options }, ..options }).unwrap(), gate)
}

/// The fault names this file and the operation, and the component that failed at it.
fn assert_named(fault: Option<&Error>, component: &str, file: &str) {
    let fault = fault.expect("it has failed");
    assert_eq!((fault.reason(), fault.fact("component")), (Reason::DiskSyncFailed, Some(component)), "{fault}");
    assert_eq!(fault.fact("operation"), Some("fdatasync"), "{fault}");
    assert!(fault.fact("file").is_some_and(|path| path.contains(file)), "{fault}");
}

/// Nobody supervises it: reads are refused, as they are where it has halted, and why is told.
fn assert_unavailable(replica: &Replica, status: &ReplicaStatus, why: &str) {
    let refused = status.reads.as_ref().expect("reads have ended");
    assert_eq!((refused.reason(), refused.fact("component")), (Reason::ReplicaHalted, Some("supervisor")));
    assert!(refused.fact("failure").is_some_and(|failure| failure.contains(why)), "{refused}");
    assert_eq!(replica.database().get(b"key-1").unwrap_err().reason(), Reason::ReplicaHalted);
    assert_eq!(replica.database().status().halted.as_ref(), Some(refused));
}

/// READ-LEAST: on a server of this replica nobody waits for a commit that reads will never reach, applied or not.
fn assert_nobody_may_wait(replica: Replica) -> Replica {
    let replica = Arc::new(replica);
    let options =
        server::Options { replica: Some(Arc::clone(&replica)), ..server::Options::new(Arc::clone(replica.database())) };
    for commit in [replica.commit(), CommitId::MAX] {
        assert!(options.may_come(commit).is_err(), "{commit}");
    }
    drop(options);
    Arc::into_inner(replica).unwrap()
}

/// F-D2, REPL-STATE: what a replica knows of itself can't be written any more. Its owner stops, and says at which file and call; nothing is
/// lost, and a start goes on.
#[test]
fn a_replica_that_can_not_write_its_state_stops_and_names_the_file() {
    let mut world = World::new();
    let first = world.commit(5);
    world.make_replica("r");
    let (replica, gate) = gated_replica(&world);
    replica.wait_for(first).unwrap();
    gate.fail("/STATE.");
    let last = world.commit(800);
    let status = replica.wait_until(|status| status.replica.state == State::Failed);
    check_law(&status);
    assert_named(status.fault.as_ref(), "supervisor", "/STATE.");
    assert!(status.replica.blocked.as_ref().is_some_and(|why| why.contains("/STATE.")), "{:?}", status.replica.blocked);
    assert_eq!(status.halt, None, "a disk that fails contradicts nothing");
    assert_unavailable(&replica, &status, "/STATE.");
    let refused = replica.wait_for(CommitId::MAX).unwrap_err();
    assert_eq!(refused.reason(), Reason::ReplicationStopped);
    assert!(refused.fact("failure").is_some_and(|why| why.contains("/STATE.")), "{refused}");
    let replica = assert_nobody_may_wait(replica);
    assert_named(Some(&replica.close().unwrap_err().with("component", "supervisor")), "supervisor", "/STATE.");
    let replica = world.open("r");
    replica.wait_for(last).unwrap();
    replica.close().unwrap();
    world.finish(&["r"]);
}

/// P5-I14, F-RS1: the Supervisor fails an assertion of its own, in a program that unwinds. Reads and replication end with it, that is shown, and who waits
/// for a commit hears of it.
#[test]
fn a_supervisor_that_is_gone_leaves_nobody_waiting_and_nothing_to_be_read() {
    let mut world = World::new();
    let first = world.commit(5);
    world.make_replica("r");
    let (replica, gate) = gated_replica(&world);
    replica.wait_for(first).unwrap();
    gate.fail_assertion("/STATE.0");
    let last = world.commit(800);
    let refused = replica.wait_for(CommitId::MAX).unwrap_err();
    let why = Reason::ComponentPanicked.name();
    assert_eq!(refused.reason(), Reason::ReplicationStopped);
    assert!(refused.fact("failure").is_some_and(|failure| failure.contains(why)), "{refused}");
    let status = replica.wait_until(|status| status.receiver.state == ReceiverState::Closed);
    check_law(&status);
    assert_eq!((status.replica.state, &status.halt), (State::Failed, &None));
    let fault = status.fault.as_ref().unwrap();
    assert_eq!((fault.reason(), fault.fact("component")), (Reason::ComponentPanicked, Some("supervisor")));
    assert!(status.replica.blocked.as_ref().is_some_and(|blocked| blocked.contains(why)), "{:?}", status.replica);
    assert_unavailable(&replica, &status, why);
    assert_eq!(replica.close().unwrap_err().reason(), Reason::ComponentPanicked);
    let replica = world.open("r");
    replica.wait_for(last).unwrap();
    replica.close().unwrap();
    world.finish(&["r"]);
}

/// F-D2, REPL-HALT: a halt that can't be kept ends reads and replication all the same, and that it is not kept is said.
#[test]
fn a_halt_that_can_not_be_kept_is_told_as_that() {
    let mut world = World::new();
    let last = world.commit(5);
    world.make_replica("r");
    let (replica, gate) = gated_replica(&world);
    replica.wait_for(last).unwrap();
    gate.fail("/STATE.");
    world.proxy.edit(|frame, bytes| {
        let last = bytes.len() - 1;
        if matches!(frame, Frame::Segment(_)) { flip(bytes, last) } else { bytes }
    });
    world.commit(1);
    let status = replica.wait_until(|status| status.replica.state == State::Failed);
    let why = status.replica.blocked.clone().unwrap();
    for told in [Reason::ReplicationStopped.name(), Reason::SegmentRejected.name(), "not_kept", "/STATE."] {
        assert!(why.contains(told), "{told} is not in {why}");
    }
    assert_eq!(status.halt, None);
    assert_eq!(replica.commit(), last);
    assert!(replica.database().status().halted.is_some(), "reads have ended");
    replica.close().unwrap_err();
    world.proxy.be_honest();
    world.finish(&[]);
}

/// P5-I3: an Applier that waits for room is seen to wait, and goes on when there is room, also while the replica is closed.
#[test]
fn a_replica_that_waits_for_room_says_so_and_can_be_closed() {
    use world::gate::gated;
    let mut world = World::new();
    world.commit(1);
    world.make_replica("r");
    let (disk, gate) = gated(real());
    gate.hold(".run.tmp");
    let last = world.commit(800);
    let options = world.options("r");
    let options = ReplicaOptions { options: Options { disk, ..options.options }, ..options };
    let replica = Replica::open(options).unwrap();
    let status = replica.wait_until(|status| status.applier.state == applier::machine::State::Waiting);
    check_law(&status);
    assert!(status.applier.blocked.is_some() && status.applied.commit < last);
    let closing = std::thread::spawn(move || replica.close());
    gate.open();
    closing.join().unwrap().unwrap();
    let replica = world.open("r");
    replica.wait_for(last).unwrap();
    replica.close().unwrap();
    world.finish(&["r"]);
}

/// A closed replica is at every moment the beginning of its primary.
#[test]
fn a_replica_is_always_the_beginning_of_its_primary() {
    let mut world = World::new();
    world.make_replica("r");
    for _ in 0..4 {
        let last = world.commit(60);
        let replica = world.open("r");
        replica.wait_for(CommitId(last.0 - 20)).unwrap();
        replica.close().unwrap();
        world.commit(5);
        world.stop_primary();
        let found = compared(&world.path("p"), &world.path("r"), false);
        assert_eq!(found.relation, Relation::Prefix { shorter: Side::B });
        assert!(found.runs.different.is_empty());
        world.serve(Options::new(&world.path("p")));
    }
}

/// REPL-RECOVER, F-D2: what maintenance can't write is told as a failure of what applies; recovery is shown with that as its cause, and counted.
/// Once the obstacle is gone it gets further; while it stands, no attempt behind the first is made.
#[test]
fn a_failure_of_what_applies_leads_to_recovery_as_often_as_that_gets_further() {
    let mut world = World::new();
    world.commit(4);
    world.db().checkpoint().unwrap();
    let run = world.db().status().runs[0].id.file_name();
    world.make_replica("r");
    let obstacle = world.path("r").join("store").join(format!("{run}.tmp"));
    std::fs::create_dir(&obstacle).unwrap();
    let mut recoveries = Recoveries::default();
    let failed = |world: &World, recoveries: &Recoveries| {
        let replica = Replica::open(ReplicaOptions { recoveries: recoveries.clone(), ..world.options("r") }).unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        replica.on_applier_failure(move || tell.send(()).unwrap());
        told.recv().unwrap();
        let shown = replica.wait_until(|status| status.replica.state == State::Failed);
        let (failure, at) = replica.applier_failed().unwrap();
        assert_eq!((shown.fault.as_ref(), failure.fact("component")), (Some(&failure), Some("store")));
        assert!(replica.close().is_ok() || at.0 > 0);
        (shown, failure, at)
    };
    let stopped = loop {
        let (shown, failure, at) = failed(&world, &recoveries);
        let facts: BTreeMap<_, _> = shown.facts().into_iter().collect();
        assert_eq!(facts["recoveries"], recoveries.count().to_string());
        assert_eq!(facts["recovered_from"].contains("component=store"), recoveries.count() > 0, "{facts:?}");
        if let Err(stopped) = recoveries.again(failure, at) {
            break stopped;
        }
    };
    assert_eq!((stopped.reason(), recoveries.count() > 0), (Reason::ReplicationStopped, true), "{stopped}");

    std::fs::remove_dir(&obstacle).unwrap();
    let replica = Replica::open(ReplicaOptions { recoveries, ..world.options("r") }).unwrap();
    let last = world.commit(20);
    replica.wait_for(last).unwrap();
    replica.close().unwrap();
    world.finish(&["r"]);
}

/// F-D2, P5-I14: a replica has applied all, and then its maintenance fails: it is not shown as ready any more.
#[test]
fn maintenance_that_fails_behind_an_idle_replica_is_shown() {
    let mut world = World::new();
    world.make_replica("r");
    let (replica, gate) = gated_replica(&world);
    gate.hold(".run.tmp");
    // More than one table, and fewer than may wait.
    let last = world.commit(40);
    replica.wait_for(last).unwrap();
    replica.wait_until(|status| status.replica.state == State::Ready);
    gate.wait_for_held();
    gate.fail(".run.tmp");
    gate.open();
    let status = replica.wait_until(|status| status.fault.is_some() && status.replica.state != State::Ready);
    check_law(&status);
    assert_eq!(status.replica.state, State::Failed);
    assert_named(status.fault.as_ref(), "store", ".run.tmp");
    assert_eq!(replica.commit(), last, "what was applied is there");
    assert!(replica.applier_failed().is_some(), "opening the directory again is what may help");
    replica.close().unwrap();
    let replica = world.open("r");
    assert_eq!(replica.commit(), last);
    replica.close().unwrap();
    world.finish(&["r"]);
}
