//! How a replica begins with a snapshot (docs/snapshot-transfer.md): whatever the wire says and whatever the disk does, the directory is
//! wholly what it was or wholly the snapshot, and told as such.
//!
//! A primary's files are served by a link that can bend every frame and lose every byte; the disk is simulated, and fails or crashes at every
//! call of the bootstrap, and of the recovery behind it.

#![cfg(feature = "replication")]

mod world;

use aerodb::begin::{self, BeginOptions};
use aerodb::bootstrap::install::Settled;
use aerodb::bootstrap::machine::State;
use aerodb::bootstrap::worker::Outcome;
use aerodb::bootstrap::{Progress, Transfer};
use aerodb::compare::Local;
use aerodb::disk::{Crash, Fault, SimDisk, SimImage};
use aerodb::follower_node::{Bounds, FollowerNode};
use aerodb::frame::{Frame, Manifest as Offer, Segment};
use aerodb::maintenance::Progress as Work;
use aerodb::position::History;
use aerodb::published::Fact;
use aerodb::replica_state::{Halt, Install, Origin, ReplicaState, StateStore};
use aerodb::store::manifest::Manifest;
use aerodb::supervisor::Reconnect;
use aerodb::verify::{VerifyOptions, verify};
use aerodb::{Error, Id, Identity, Init, LogPoint, Node, Options, Position, Reason, Result, committer};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use world::offered::{Primary, Said, Served, chunk, ids, refuse};
use world::{DIR, fold, init_options, listing, options, rows_at, shared, tiny};

const NODE: Id = Id([0xf0; 16]);
/// Smaller than the snapshots, so that several allowances are asked for.
const WINDOW: u64 = 2000;
const PROCESS: &str = "the process died";
/// How often a random crash is thrown.
const SEEDS: u64 = 2;

fn init(disk: &SimDisk) -> Init {
    Init { node_id: Some(NODE), ..init_options(disk, tiny()) }
}

/// The directory of a replica that waits for a snapshot.
fn empty(primary: &Primary) -> SimDisk {
    let disk = SimDisk::new();
    let (database_id, node_id) = ids(primary);
    begin::make_empty(&init(&disk), database_id, node_id).unwrap();
    disk
}

fn begin_options(disk: &SimDisk) -> BeginOptions {
    let options = Options { retention: committer::Retention::All, ..options(disk) };
    BeginOptions { window_bytes: WINDOW, blank_seed: Some(7), ..BeginOptions::new(options) }
}

fn bootstrap(options: &BeginOptions, link: &mut Served<'_>) -> Result<Outcome> {
    begin::snapshot_over(options, link, &Fact::new(false), &|_| {})
}

fn state(disk: &SimDisk) -> ReplicaState {
    let identity = Identity::read(disk, Path::new(DIR)).unwrap();
    ReplicaState::read(disk, Path::new(DIR), identity.database_id, identity.node_id).unwrap()
}

fn files(disk: &SimDisk, below: &str) -> BTreeMap<PathBuf, Vec<u8>> {
    let below = Path::new(DIR).join(below);
    let paths = disk.paths().into_iter().filter(|path| path.starts_with(&below));
    paths.map(|path| (path.strip_prefix(&below).unwrap().to_owned(), disk.contents(&path).unwrap())).collect()
}

/// What stands in its places, without what is aside and what the replica knows of itself.
fn data(disk: &SimDisk) -> [BTreeMap<PathBuf, Vec<u8>>; 2] {
    [files(disk, "store"), files(disk, "wal")]
}

fn proves(disk: &SimDisk) -> Result<LogPoint> {
    verify(&VerifyOptions { dir: DIR.into(), disk: shared(disk) }, &mut |_, _| {}).map(|proof| {
        assert!(proof.leftovers.is_empty(), "{:?}", proof.leftovers);
        proof.log_end
    })
}

/// Follows the primary to its end, as a replica does.
fn follow(disk: &SimDisk, primary: &Primary) {
    let options = begin_options(disk).options;
    let mut link = Served::new(primary);
    let mut node = FollowerNode::open(&options, Reconnect::Never, Bounds::default()).unwrap();
    while node.applied() != primary.durable {
        node.look(&mut link);
        node.receive(&mut link);
        node.prove();
        node.apply();
        while node.maintain().unwrap() == Work::Worked {}
        assert!(node.fault().is_none(), "{:?}", node.fault());
    }
    node.close(&mut link).unwrap();
}

/// The directory is the snapshot, wholly: each file, what is told of it, what can be read.
fn check_installed(disk: &SimDisk, primary: &Primary, what: &dyn Fn() -> String) {
    let state = state(disk);
    assert_eq!((state.origin, state.install, state.halt), (Origin::Snapshot(primary.cut()), None, None), "{}", what());
    assert_eq!((state.applied, state.primary), (primary.cut(), Some(ids(primary).1)), "{}", what());
    let end = proves(disk).unwrap_or_else(|error| panic!("{}: {error}\n{}", what(), listing(disk)));
    assert_eq!(end, primary.cut(), "{}", what());
    for (name, bytes) in files(disk, "store") {
        let name = name.to_str().unwrap().to_owned();
        assert!(bytes == primary.store_file(&name), "{}: {name} is not the primary's", what());
    }
    assert!(files(disk, "incoming").is_empty(), "{}", what());
}

/// P5-I8, P5-I9, SNAP-CUT, R-CUT: the snapshot, then the log behind its cut, lead to the same files as the whole log, and as the primary's.
#[test]
fn snapshot_and_log_are_log_alone() {
    for (commits, seed) in [(0, 1), (3, 2), (25, 3), (60, 4), (120, 5)] {
        let primary = Primary::new(commits, seed);
        let disk = empty(&primary);
        let mut link = Served::new(&primary);
        assert_eq!(bootstrap(&begin_options(&disk), &mut link), Ok(Outcome::Installed(primary.cut())));
        assert!(link.open_most <= WINDOW);
        check_installed(&disk, &primary, &|| format!("{commits} commits"));
        // What stands beside MARK and the blank is the primary's, to the byte.
        follow(&disk, &primary);

        let whole = SimDisk::new();
        let database_id = Some(ids(&primary).0);
        Node::init(&Init { role: aerodb::Role::Replica, database_id, ..init(&whole) }).unwrap();
        follow(&whole, &primary);
        assert!(files(&disk, "store") == files(&whole, "store"), "{commits} commits: other runs");
        assert!(
            files(&disk, "store") == files(&primary.disk, "store"),
            "{commits} commits: other runs than the primary's"
        );
        let kept = files(&disk, "wal");
        for other in [&whole, &primary.disk] {
            let other = files(other, "wal");
            let sealed = kept.keys().filter(|name| name.extension().is_some());
            for name in sealed.rev().skip(1) {
                assert!(kept[name] == other[name], "{commits} commits: {} differs", name.display());
            }
        }
        proves(&disk).unwrap();
        let node = Node::open(&begin_options(&disk).options).unwrap();
        assert_eq!(rows_at(&node, primary.durable.commit).unwrap(), fold(&primary.commits, primary.commits.len()));
    }
}

/// WIRE-SNAPSHOT, P5-I14: what is shown goes forward, and each step of it is seen.
#[test]
fn how_far_it_is_is_shown_all_the_time() {
    let primary = Primary::new(75, 4);
    let disk = empty(&primary);
    let seen: RefCell<Vec<(State, Transfer)>> = RefCell::new(Vec::new());
    let watch = |told: &Progress<'_>| seen.borrow_mut().push((told.seen.state, told.transfer));
    let options = begin_options(&disk);
    begin::snapshot_over(&options, &mut Served::new(&primary), &Fact::new(false), &watch).unwrap();
    let seen = seen.into_inner();
    let total = primary.snapshot.len() as u64;
    for pair in seen.windows(2) {
        let ((_, before), (_, after)) = (pair[0], pair[1]);
        assert!(before.came <= after.came && before.proven <= after.proven && before.written <= after.written);
        assert!(after.written <= after.came && after.came <= total && after.came <= after.asked, "{after:?}");
    }
    for state in [State::Receiving, State::Proving, State::Installing, State::Installed] {
        assert!(seen.iter().any(|(seen, _)| *seen == state), "{state}");
    }
    let (_, last) = seen.last().unwrap();
    assert_eq!((last.total, last.came, last.written, last.proven), (total, total, total, total));
    assert_eq!((last.cut, last.primary, last.attempts), (Some(primary.cut()), Some(ids(&primary).1), 1));
    assert!(seen.iter().any(|(_, seen)| 0 < seen.proven && seen.proven < total));
}

/// F-S1, REPL-RECONNECT: a connection that is lost after any number of bytes is made again, and all of it begins again.
#[test]
fn a_connection_may_be_lost_after_every_byte() {
    let primary = Primary::new(12, 6);
    let said = 120 + 16 + primary.offer().manifest.len() + primary.snapshot.len();
    let mut lost = 0;
    for loss in 0..=said {
        let disk = empty(&primary);
        let mut link = Served::new(&primary).losing(&[loss, loss / 2]);
        let options = BeginOptions { reconnect: Reconnect::After(5), ..begin_options(&disk) };
        assert_eq!(bootstrap(&options, &mut link), Ok(Outcome::Installed(primary.cut())), "{loss}");
        assert_eq!((link.connections, link.delays), (3, vec![5, 5]), "{loss}");
        check_installed(&disk, &primary, &|| format!("lost after {loss} bytes"));
        lost += 1;

        let disk = empty(&primary);
        let mut link = Served::new(&primary).losing(&[loss]);
        let refused = bootstrap(&begin_options(&disk), &mut link).unwrap_err();
        assert_eq!(refused.reason(), Reason::ReplicationDisconnected);
        let found = state(&disk);
        assert_eq!((found.origin, found.halt), (Origin::Nothing, None), "a lost connection is no halt");
        assert!(files(&disk, "incoming").is_empty() && data(&disk).iter().all(BTreeMap::is_empty));
    }
    assert!(lost > 1000);
}

/// What is said of the primary's frames is bent by a function of each.
fn bent<'a>(primary: &'a Primary, bend: impl FnMut(Said) -> Vec<Said> + 'a) -> Served<'a> {
    Served::new(primary).bent(bend)
}

type Bend = Box<dyn Fn(Said) -> Vec<Said>>;

fn offers(change: impl Fn(Offer) -> Offer + 'static) -> Bend {
    Box::new(move |said| match said {
        Said::Frame(Frame::Manifest(offer)) => vec![Said::Frame(Frame::Manifest(change(offer)))],
        said @ (Said::Frame(_) | Said::Chunk(..) | Said::Log(..) | Said::Noise(_)) => vec![said],
    })
}

/// The manifest is another one, well formed.
fn manifests(change: impl Fn(&mut Manifest) + 'static) -> Bend {
    offers(move |offer| {
        let mut manifest = Manifest::decode(&offer.manifest).unwrap();
        change(&mut manifest);
        Offer { manifest: manifest.encode(), ..offer }
    })
}

fn welcomes(change: impl Fn(&mut aerodb::frame::Welcome) + 'static) -> Bend {
    Box::new(move |said| match said {
        Said::Frame(Frame::Welcome(mut welcome)) => {
            change(&mut welcome);
            vec![Said::Frame(Frame::Welcome(welcome))]
        }
        said @ (Said::Frame(_) | Said::Chunk(..) | Said::Log(..) | Said::Noise(_)) => vec![said],
    })
}

/// The chunk at this place and behind is said otherwise.
fn chunks(place: u64, change: impl Fn(u64, Vec<u8>) -> Vec<Said> + 'static) -> Bend {
    Box::new(move |said| match said {
        Said::Chunk(chunk, bytes) if chunk.from <= place && place < chunk.from + bytes.len() as u64 => {
            change(chunk.from, bytes)
        }
        said @ (Said::Frame(_) | Said::Chunk(..) | Said::Log(..) | Said::Noise(_)) => vec![said],
    })
}

/// One byte of the snapshot is another, in a chunk whose checksum holds.
fn flips(place: u64) -> Bend {
    chunks(place, move |from, mut bytes| {
        bytes[(place - from) as usize] ^= 0x10;
        vec![chunk(from, &bytes)]
    })
}

fn frame_instead(of: fn(&Said) -> bool, instead: Said) -> Bend {
    Box::new(move |said| if of(&said) { vec![instead.clone()] } else { vec![said] })
}

fn is_welcome(said: &Said) -> bool {
    matches!(said, Said::Frame(Frame::Welcome(_)))
}

fn is_manifest(said: &Said) -> bool {
    matches!(said, Said::Frame(Frame::Manifest(_)))
}

fn is_chunk(said: &Said) -> bool {
    matches!(said, Said::Chunk(..))
}

/// Everything hostile that can be said, and what it is refused as.
fn hostile(primary: &Primary) -> Vec<(&'static str, Bend, Reason)> {
    use Reason::{
        IdentityOtherDatabase, IdentityOtherEpoch, IdentityOtherParameters, IdentityOtherPrimary, ProtocolMalformed,
        ProtocolUnexpected, SnapshotCutMismatch, SnapshotGone, SnapshotRejected,
    };
    let (first, runs) = (primary.ends[0], primary.ends[primary.ends.len() - 2]);
    let total = primary.snapshot.len() as u64;
    assert!(primary.ends.len() > 3 && runs < total, "several runs, and a piece of log: {:?}", primary.ends);
    let log =
        Said::Log(Segment { from: Position(0), bytes: 4, ends_segment: false, durable: primary.durable }, vec![0; 4]);
    let welcome = |change: fn(&mut aerodb::frame::Welcome)| welcomes(change);
    vec![
        ("another version", welcome(|welcome| welcome.version = 2), ProtocolUnexpected),
        ("another database", welcome(|welcome| welcome.database_id = Id([9; 16])), IdentityOtherDatabase),
        ("another epoch", welcome(|welcome| welcome.epoch = 2), IdentityOtherEpoch),
        ("another shape", welcome(|welcome| welcome.shape.fanout = 3), IdentityOtherParameters),
        ("another primary", welcome(|welcome| welcome.node_id = Id([9; 16])), IdentityOtherPrimary),
        ("bytes that are no frame", frame_instead(is_welcome, Said::Noise(vec![7; 64])), ProtocolMalformed),
        ("bytes that are no frame, later", frame_instead(is_chunk, Said::Noise(vec![7; 64])), ProtocolMalformed),
        ("log", frame_instead(is_chunk, log), ProtocolUnexpected),
        ("a chunk before the manifest", frame_instead(is_manifest, chunk(0, b"x")), ProtocolUnexpected),
        (
            "the manifest before the welcome",
            frame_instead(is_welcome, Said::Frame(Frame::Manifest(primary.offer()))),
            ProtocolUnexpected,
        ),
        (
            "the manifest twice",
            frame_instead(is_chunk, Said::Frame(Frame::Manifest(primary.offer()))),
            ProtocolUnexpected,
        ),
        ("it is gone", frame_instead(is_chunk, refuse(SnapshotGone)), SnapshotGone),
        (
            "it refuses with what this program does not know",
            frame_instead(is_welcome, {
                let Said::Frame(Frame::Refuse(refuse)) = refuse(SnapshotGone) else { unreachable!() };
                Said::Frame(Frame::Refuse(aerodb::frame::Refuse { reason: 60_000, ..refuse }))
            }),
            ProtocolUnexpected,
        ),
        (
            "a manifest that rotted",
            offers(|mut offer| {
                offer.manifest[40] ^= 1;
                offer
            }),
            SnapshotRejected,
        ),
        ("a manifest that is none", offers(|offer| Offer { manifest: vec![1], ..offer }), SnapshotRejected),
        ("a manifest of another database", manifests(|manifest| manifest.database_id = Id([9; 16])), SnapshotRejected),
        (
            "a manifest of another history",
            manifests(|manifest| manifest.point.history = History(1)),
            SnapshotCutMismatch,
        ),
        ("a manifest of another position", manifests(|manifest| manifest.point.position.0 += 8), SnapshotCutMismatch),
        (
            "a run twice",
            manifests(|manifest| {
                let run = manifest.plan.runs[0];
                manifest.plan.runs.insert(0, run);
            }),
            SnapshotRejected,
        ),
        (
            "a size that is too much for any sum",
            manifests(|manifest| manifest.plan.runs[0].size = u64::MAX),
            SnapshotRejected,
        ),
        (
            "sizes whose sum goes round",
            offers(|offer| {
                let mut manifest = Manifest::decode(&offer.manifest).unwrap();
                manifest.plan.runs[0].size = u64::MAX - 9;
                let bytes = manifest.plan.runs.iter().fold(0u64, |sum, run| sum.wrapping_add(run.size));
                let bytes = bytes.wrapping_add(offer.cut.position.0 - offer.segment.position.0);
                Offer { manifest: manifest.encode(), bytes, ..offer }
            }),
            SnapshotRejected,
        ),
        ("fewer bytes than its parts", offers(|offer| Offer { bytes: offer.bytes - 1, ..offer }), SnapshotRejected),
        ("more bytes than its parts", offers(|offer| Offer { bytes: offer.bytes + 1, ..offer }), SnapshotRejected),
        (
            "a segment that ends where it begins, elsewhere",
            offers(|offer| {
                let segment = LogPoint { history: History(1), ..offer.cut };
                Offer { segment, bytes: 0, ..offer }
            }),
            SnapshotCutMismatch,
        ),
        (
            "a segment that begins with another history",
            offers(|mut offer| {
                offer.segment.history = History(1);
                offer
            }),
            SnapshotRejected,
        ),
        ("a gap", chunks(1000, |from, bytes| vec![chunk(from + 1, &bytes)]), ProtocolUnexpected),
        (
            "a chunk again",
            chunks(1000, |from, bytes| vec![chunk(from, &bytes), chunk(from, &bytes)]),
            ProtocolUnexpected,
        ),
        (
            "a chunk at the last place that there can be",
            chunks(1000, |_, _| vec![chunk(u64::MAX - 1, b"x")]),
            ProtocolUnexpected,
        ),
        (
            "bytes of two files",
            chunks(first - 1, |from, mut bytes| {
                bytes.push(0);
                vec![chunk(from, &bytes)]
            }),
            ProtocolUnexpected,
        ),
        (
            "more than there is",
            chunks(total - 1, |from, mut bytes| {
                bytes.push(0);
                vec![chunk(from, &bytes)]
            }),
            ProtocolUnexpected,
        ),
        (
            "a checksum that does not hold",
            chunks(1000, |from, bytes| {
                let Said::Chunk(mut head, bytes) = chunk(from, &bytes) else { unreachable!() };
                head.crc ^= 1;
                vec![Said::Chunk(head, bytes)]
            }),
            SnapshotRejected,
        ),
        ("a byte of a run", flips(runs - 1), SnapshotRejected),
        ("the first byte of the log", flips(runs), SnapshotRejected),
        ("the last byte of the log", flips(total - 1), SnapshotRejected),
    ]
}

/// A replica with data of its own that has halted.
fn halted(primary: &Primary) -> (SimDisk, Halt) {
    let disk = SimDisk::new();
    let database_id = Some(ids(primary).0);
    let identity = Node::init(&Init { role: aerodb::Role::Replica, database_id, ..init(&disk) }).unwrap();
    follow(&disk, primary);
    let halt = Halt { reason: Reason::HistoryRetired, position: Position(88), evidence: "it is gone".to_owned() };
    let mut kept = StateStore::open(&disk, Path::new(DIR), identity.database_id, identity.node_id).unwrap();
    kept.halt(halt.clone()).unwrap();
    // A start has looked at it, and all of it is durable, the mark too: so the next one changes no byte of it.
    drop(Node::open(&begin_options(&disk).options).unwrap());
    (disk.image().crash(Crash::Kept, 0), halt)
}

fn ordered(disk: &SimDisk, halt: &Halt) -> BeginOptions {
    BeginOptions { order: Some((halt.reason, halt.position)), ..begin_options(disk) }
}

/// F-S3, F-S4, SNAP-PROVE, SNAP-ORDER, WIRE-SNAPSHOT, REPL-PRIMARY, F-V1: each is refused by its name, kept as a halt, and nothing in place has changed.
#[test]
fn whatever_is_hostile_is_refused_and_changes_nothing() {
    let (primary, earlier) = (Primary::new(75, 4), Primary::new(9, 8));
    let (old, halt) = halted(&earlier);
    for (what, bend, reason) in hostile(&primary) {
        let disk = empty(&primary);
        let before = data(&disk);
        let fault = bootstrap(&begin_options(&disk), &mut bent(&primary, &bend)).expect_err(what);
        assert_eq!(fault.reason(), reason, "{what}: {fault}");
        let kept = state(&disk);
        let named = kept.halt.clone().unwrap_or_else(|| panic!("{what}: no halt"));
        assert_eq!((kept.origin, named.reason), (Origin::Nothing, reason), "{what}");
        assert_eq!((data(&disk) == before, files(&disk, "incoming").len()), (true, 0), "{what}\n{}", listing(&disk));
        let cut_known = named.position == primary.cut().position;
        assert!(cut_known || reason.name().starts_with("protocol") || reason.name().starts_with("identity"), "{what}");
        // It does not begin again by itself, and does not open.
        let again = bootstrap(&begin_options(&disk), &mut Served::new(&primary)).unwrap_err();
        assert_eq!((again.reason(), again.fact("halt")), (Reason::ReplicaHalted, Some(named.to_string().as_str())));
        let refused = Node::open(&options(&disk)).err().unwrap();
        assert_eq!(
            (refused.reason(), refused.fact("halt")),
            (Reason::BootstrapIncomplete, Some(named.to_string().as_str()))
        );
        // But by an order that names it.
        assert_eq!(
            bootstrap(&ordered(&disk, &named), &mut Served::new(&primary)),
            Ok(Outcome::Installed(primary.cut()))
        );
        check_installed(&disk, &primary, &|| format!("{what}, then ordered"));

        // Beside old data the old data stays, and the halt is the new one: the same order does not begin again.
        let disk = old.image().restart();
        let before = data(&disk);
        let mut kept = StateStore::open(&disk, Path::new(DIR), ids(&earlier).0, NODE).unwrap();
        assert_eq!(kept.state().halt.as_ref(), Some(&halt));
        let fault = bootstrap(&ordered(&disk, &halt), &mut bent(&primary, &bend));
        assert_eq!(fault.as_ref().map_err(Error::reason), Err(reason), "{what}");
        assert!(data(&disk) == before, "{what}");
        kept = StateStore::open(&disk, Path::new(DIR), ids(&earlier).0, NODE).unwrap();
        let named = kept.state().halt.clone().unwrap();
        assert_eq!((kept.state().origin, named.reason), (Origin::Log, reason), "{what}");
        assert!(named.evidence.contains("instead_of=history.retired@88"), "{}", named.evidence);
        // The data is still that of the first halt: who clears what came of the order has that one again, and may order again.
        let cleared = disk.image().restart();
        let mut kept = StateStore::open(&cleared, Path::new(DIR), ids(&earlier).0, NODE).unwrap();
        kept.clear(named.reason, named.position).unwrap();
        let first = kept.state().halt.clone().map(|halt| halt.to_string());
        assert_eq!(first, Some(halt.to_string()), "{what}");
        let outcome = bootstrap(&ordered(&cleared, &halt), &mut Served::new(&primary));
        assert_eq!(outcome, Ok(Outcome::Installed(primary.cut())), "{what}");
        let other = bootstrap(&ordered(&disk, &halt), &mut Served::new(&primary)).unwrap_err();
        assert_eq!(
            (other.reason(), other.fact("halt")),
            (Reason::HaltOther, Some(named.to_string().as_str())),
            "{what}"
        );
    }
}

/// WIRE-PORT, SNAP-ORDER: whoever answers in text is not who was meant: nothing is kept of it, and the order still stands.
#[test]
fn text_is_no_halt() {
    let (primary, earlier) = (Primary::new(9, 3), Primary::new(9, 8));
    let said = |said| match said {
        Said::Frame(Frame::Welcome(_)) => {
            vec![Said::Noise(b"-ERR protocol.other_port clients are served here\r\n".to_vec())]
        }
        said @ (Said::Frame(_) | Said::Chunk(..) | Said::Log(..) | Said::Noise(_)) => vec![said],
    };
    let disk = empty(&primary);
    let lost = bootstrap(&begin_options(&disk), &mut bent(&primary, said)).unwrap_err();
    assert_eq!((lost.reason(), state(&disk).halt), (Reason::ProtocolOtherPort, None));
    let (old, halt) = halted(&earlier);
    let disk = old.image().restart();
    let lost = bootstrap(&ordered(&disk, &halt), &mut bent(&primary, said)).unwrap_err();
    assert_eq!((lost.reason(), state(&disk).halt), (Reason::ProtocolOtherPort, Some(halt)));
}

/// SNAP-PROVE: a run with the hash that the manifest names, that is none; and a run that is one, and not the one that the log demands.
#[test]
fn a_run_that_keeps_its_hash_and_lies_is_rejected() {
    let (primary, other) = (Primary::new(75, 4), Primary::new(60, 9));
    let end = primary.ends[0];
    let noise = vec![0x5a; end as usize];
    let hash = xxhash_rust::xxh3::xxh3_128(&noise);
    let disk = empty(&primary);
    let mut link = bent(&primary, move |said| match said {
        Said::Frame(Frame::Manifest(mut offer)) => {
            let mut manifest = Manifest::decode(&offer.manifest).unwrap();
            manifest.plan.runs[0].hash = hash;
            offer.manifest = manifest.encode();
            vec![Said::Frame(Frame::Manifest(offer))]
        }
        Said::Chunk(head, bytes) if head.from < end => {
            let from = head.from as usize;
            vec![chunk(head.from, &noise[from..from + bytes.len()])]
        }
        said @ (Said::Frame(_) | Said::Chunk(..) | Said::Log(..) | Said::Noise(_)) => vec![said],
    });
    let fault = bootstrap(&begin_options(&disk), &mut link).unwrap_err();
    assert_eq!(fault.reason(), Reason::SnapshotRejected);
    assert!(fault.fact("failure").unwrap().contains("store.run_corrupt"), "{fault}");

    // The log of one primary, under the runs and the manifest of another that is like it in all but its values.
    let point = LogPoint { commit: other.cut().commit, ..primary.cut() };
    let mut link = bent(&other, move |said| match said {
        Said::Frame(Frame::Manifest(offer)) => {
            let mut manifest = Manifest::decode(&offer.manifest).unwrap();
            manifest.point = LogPoint { history: point.history, ..manifest.point };
            vec![Said::Frame(Frame::Manifest(Offer { cut: manifest.point, manifest: manifest.encode(), ..offer }))]
        }
        said @ (Said::Frame(_) | Said::Chunk(..) | Said::Log(..) | Said::Noise(_)) => vec![said],
    });
    let disk = empty(&other);
    let fault = bootstrap(&begin_options(&disk), &mut link).unwrap_err();
    assert_eq!(fault.reason(), Reason::SnapshotCutMismatch, "{fault}");
    assert_eq!(state(&disk).halt.unwrap().to_string(), format!("snapshot.cut_mismatch@{}", other.cut().position));
}

/// What a primary refuses for now is no halt: it is asked again.
#[test]
fn a_primary_that_is_busy_is_asked_again() {
    let primary = Primary::new(12, 6);
    let disk = empty(&primary);
    let mut refusals = vec![Reason::ReplicationBusy, Reason::DiskReadFailed, Reason::ProtocolVersion];
    let mut link = bent(&primary, move |said| match (is_welcome(&said), refusals.pop()) {
        (true, Some(reason)) => vec![refuse(reason)],
        _ => vec![said],
    });
    let options = BeginOptions { reconnect: Reconnect::After(3), ..begin_options(&disk) };
    let waited = RefCell::new(Vec::new());
    let watch = |told: &Progress<'_>| {
        if told.seen.state == State::Disconnected {
            waited.borrow_mut().push(told.seen.blocked.clone().unwrap());
        }
    };
    let outcome = begin::snapshot_over(&options, &mut link, &Fact::new(false), &watch);
    assert_eq!(outcome, Ok(Outcome::Installed(primary.cut())));
    assert_eq!(link.delays, [3, 3, 3]);
    // P5-I14: whoever looks sees what it waits for.
    for (told, begin) in
        waited.into_inner().iter().zip(["protocol.version: ", "disk.read_failed: ", "replication.busy: "])
    {
        assert!(told.starts_with(begin), "{told}");
    }
}

/// RC-STEPS, F-S1, RC-INSTALL: what a bootstrap found and removed, or finished, is in the evidence of the recovery behind it.
#[test]
fn what_an_earlier_attempt_left_is_told_by_the_recovery_behind_the_snapshot() {
    let (primary, earlier) = (Primary::new(9, 3), Primary::new(9, 8));
    let (disk, halt) = halted(&earlier);
    disk.record_images(true);
    bootstrap(&ordered(&disk, &halt), &mut Served::new(&primary)).unwrap();
    let images = disk.take_images();
    let at = |found: &dyn Fn(&SimDisk) -> bool| images.iter().map(SimImage::restart).rfind(found).unwrap();
    let partial = at(&|disk| state(disk).halt.is_some());
    let left: Vec<String> =
        files(&partial, "incoming").keys().map(|name| format!("incoming/{}", name.display())).collect();
    assert!(left.len() > 2, "{left:?}");
    let installing = at(&|disk| state(disk).install.is_some());
    for (disk, dropped, proven) in [(partial, left, None), (installing, Vec::new(), Some(primary.cut().to_string()))] {
        let settled = RefCell::new(Settled::default());
        let watch = |told: &Progress<'_>| settled.borrow_mut().clone_from(told.settled);
        begin::snapshot_over(&ordered(&disk, &halt), &mut Served::new(&primary), &Fact::new(false), &watch).unwrap();
        let options = Options { settled: settled.take(), ..begin_options(&disk).options };
        let node = Node::open(&options).unwrap();
        let step = node.report().steps.iter().find(|step| step.step.name() == "install").unwrap();
        let told: Vec<String> = step.dropped.iter().map(|(_, name)| name.clone()).collect();
        assert_eq!(told, dropped);
        assert_eq!(step.proven.iter().find(|(name, _)| *name == "installed").map(|(_, cut)| cut.clone()), proven);
        assert!(dropped.iter().all(|name| node.report().removed.contains(name)));
    }
}

/// WIRE-SNAPSHOT: what a primary can't read of a snapshot that it has begun to send is no reason to fetch all of it again: that halts, by name.
#[test]
fn a_primary_that_cannot_read_its_own_files_is_not_asked_again() {
    let primary = Primary::new(75, 4);
    let place = primary.ends[0];
    for reason in [Reason::DiskReadFailed, Reason::StoreRunCorrupt, Reason::WalCorrupt] {
        let disk = empty(&primary);
        let mut refusals = vec![reason];
        let mut link = bent(&primary, move |said| match &said {
            Said::Chunk(chunk, _) if chunk.from >= place => {
                refusals.pop().map_or(vec![said], |once| vec![refuse(once)])
            }
            Said::Chunk(..) | Said::Frame(_) | Said::Log(..) | Said::Noise(_) => vec![said],
        });
        let options = BeginOptions { reconnect: Reconnect::After(3), ..begin_options(&disk) };
        let fault = bootstrap(&options, &mut link).expect_err(reason.name());
        assert_eq!((fault.reason(), link.connections), (Reason::SnapshotUnreadable, 1));
        assert_eq!(fault.fact("refusal"), Some(reason.name()));
        let halt = state(&disk).halt.unwrap();
        assert_eq!(halt.to_string(), format!("snapshot.unreadable@{}", primary.cut().position));
        assert!(files(&disk, "incoming").is_empty());
        let outcome = bootstrap(&ordered(&disk, &halt), &mut Served::new(&primary));
        assert_eq!(outcome, Ok(Outcome::Installed(primary.cut())));
    }
}

/// SNAP-ORDER: an order that came to the halt that it named is not carried out again, however often a process is started with it; who clears that
/// halt may order anew.
#[test]
fn an_order_that_came_to_the_same_halt_is_not_carried_out_again() {
    let (primary, earlier) = (Primary::new(75, 4), Primary::new(9, 8));
    let rotten = || flips(primary.snapshot.len() as u64 - 1);
    let rejected = format!("snapshot.rejected@{}", primary.cut().position);
    let (old, first) = halted(&earlier);
    let fresh = empty(&primary);
    bootstrap(&begin_options(&fresh), &mut bent(&primary, rotten())).unwrap_err();
    bootstrap(&ordered(&old, &first), &mut bent(&primary, rotten())).unwrap_err();
    for (disk, behind) in [(&old, Some(first.to_string())), (&fresh, None)] {
        let halt = state(disk).halt.unwrap();
        assert_eq!(halt.to_string(), rejected);
        let before = data(disk);
        assert_eq!(
            bootstrap(&ordered(disk, &halt), &mut bent(&primary, rotten())).unwrap_err().reason(),
            Reason::SnapshotRejected
        );
        assert_eq!(state(disk).halt.unwrap().to_string(), rejected);
        // Also if the primary is sound by now: nobody has said so.
        for bend in [rotten(), Box::new(|said| vec![said])] {
            let mut link = bent(&primary, bend);
            let refused = bootstrap(&ordered(disk, &halt), &mut link).unwrap_err();
            assert_eq!((refused.reason(), link.connections), (Reason::HaltAnswered, 0), "{refused}");
            assert_eq!(refused.fact("halt"), Some(rejected.as_str()));
        }
        assert!(data(disk) == before);
        let identity = Identity::read(disk, Path::new(DIR)).unwrap();
        let mut kept = StateStore::open(disk, Path::new(DIR), identity.database_id, identity.node_id).unwrap();
        kept.clear(halt.reason, halt.position).unwrap();
        let uncovered = kept.state().halt.clone();
        assert_eq!(uncovered.as_ref().map(ToString::to_string), behind);
        let options = uncovered.map_or_else(|| begin_options(disk), |halt| ordered(disk, &halt));
        assert_eq!(bootstrap(&options, &mut Served::new(&primary)), Ok(Outcome::Installed(primary.cut())));
        check_installed(disk, &primary, &|| "cleared, then ordered".to_owned());
    }
}

/// SNAP-ORDER: data is discarded on an order alone that names the halt.
#[test]
fn data_is_kept_unless_an_order_names_the_halt() {
    let (primary, earlier) = (Primary::new(75, 4), Primary::new(9, 8));
    let (disk, halt) = halted(&earlier);
    let before = data(&disk);
    let mut link = Served::new(&primary);
    let kept = bootstrap(&begin_options(&disk), &mut link).unwrap();
    assert_eq!((kept, link.connections), (Outcome::Installed(earlier.durable), 0));
    for (reason, position) in [(Reason::HistoryRetired, 89), (Reason::HistoryAhead, 88)] {
        let other = Halt { reason, position: Position(position), ..halt.clone() };
        let refused = bootstrap(&ordered(&disk, &other), &mut link).unwrap_err();
        assert_eq!((refused.reason(), refused.fact("halt")), (Reason::HaltOther, Some("history.retired@88")));
    }
    assert!(data(&disk) == before && link.connections == 0);
    assert_eq!(state(&disk).halt.as_ref(), Some(&halt));
    assert_eq!(bootstrap(&ordered(&disk, &halt), &mut link), Ok(Outcome::Installed(primary.cut())));
    check_installed(&disk, &primary, &|| "ordered".to_owned());
    follow(&disk, &primary);
    let again = bootstrap(&ordered(&disk, &halt), &mut link).unwrap_err();
    assert_eq!((again.reason(), again.fact("halt")), (Reason::HaltOther, Some("none")));
}

/// REPL-PRIMARY: another node may serve the snapshot only where the order answers just that.
#[test]
fn another_primary_is_followed_when_an_order_says_so() {
    let primary = Primary::new(12, 6);
    let disk = empty(&primary);
    let other = || welcomes(|welcome| welcome.node_id = Id([9; 16]));
    let fault = bootstrap(&begin_options(&disk), &mut bent(&primary, other())).unwrap_err();
    assert_eq!(fault.reason(), Reason::IdentityOtherPrimary);
    let halt = state(&disk).halt.unwrap();
    bootstrap(&ordered(&disk, &halt), &mut bent(&primary, other())).unwrap();
    assert_eq!(state(&disk).primary, Some(Id([9; 16])));
}

/// A request to end is no failure, at any time, and nothing counts behind it.
#[test]
fn a_request_to_end_ends_it_and_nothing_is_half() {
    let primary = Primary::new(75, 4);
    let looks = |stop_at: usize| {
        let disk = empty(&primary);
        let (stop, seen) = (Fact::new(false), RefCell::new(0));
        let watch = |_: &Progress<'_>| {
            *seen.borrow_mut() += 1;
            stop.set(*seen.borrow() >= stop_at);
        };
        let options = begin_options(&disk);
        let outcome = begin::snapshot_over(&options, &mut Served::new(&primary), &stop, &watch).unwrap();
        (outcome, disk, seen.into_inner())
    };
    let (_, _, all) = looks(usize::MAX);
    let mut stopped = 0;
    for stop_at in 0..=all {
        let (outcome, disk, _) = looks(stop_at);
        if outcome == Outcome::Stopped {
            stopped += 1;
            assert_eq!((state(&disk).origin, state(&disk).halt), (Origin::Nothing, None));
            assert!(files(&disk, "incoming").is_empty(), "stopped at look {stop_at}\n{}", listing(&disk));
            assert_eq!(
                Node::open(&options(&disk)).err().map(|error| error.reason()),
                Some(Reason::BootstrapIncomplete)
            );
            bootstrap(&begin_options(&disk), &mut Served::new(&primary)).unwrap();
        }
        check_installed(&disk, &primary, &|| format!("stopped at look {stop_at}"));
    }
    assert!(stopped > 10 && stopped < all + 1, "{stopped} of {all}");
}

/// What a machine, or a process alone, leaves of an instant.
fn crashes(image: &SimImage) -> Vec<(String, SimDisk)> {
    let seeds = |variant: Crash| if variant.is_random() { 0..SEEDS } else { 0..1 };
    let power = Crash::ALL.into_iter().flat_map(|variant| seeds(variant).map(move |seed| (variant, seed)));
    let power = power.map(|(variant, seed)| (format!("{variant:?}, seed {seed}"), image.crash(variant, seed)));
    power.chain([(PROCESS.to_owned(), image.restart())]).collect()
}

/// Those of them that differ most.
fn some_crashes(image: &SimImage) -> Vec<(String, SimDisk)> {
    let power = [Crash::Dropped, Crash::Sectors, Crash::NamesDropped, Crash::NamesKept];
    let power = power.map(|variant| (format!("{variant:?}"), image.crash(variant, 1)));
    power.into_iter().chain([(PROCESS.to_owned(), image.restart())]).collect()
}

/// The files of a store and of a log.
type Data = [BTreeMap<PathBuf, Vec<u8>>; 2];

/// A bootstrap over what was there before.
struct Story<'a> {
    primary: &'a Primary,
    /// What was there; none where nothing was.
    old: Option<(Data, Halt)>,
}

impl Story<'_> {
    fn options(&self, disk: &SimDisk) -> BeginOptions {
        self.old.as_ref().map_or_else(|| begin_options(disk), |(_, halt)| ordered(disk, halt))
    }

    /// The directory is wholly the old one or wholly the new one, and told as such; which of them. Gives the images of the recovery.
    fn check(&self, disk: &SimDisk, what: &dyn Fn() -> String) -> (bool, Vec<SimImage>) {
        disk.record_images(true);
        let opened = Node::open(&begin_options(disk).options);
        let images = disk.take_images();
        let is_new = match (&opened, &self.old) {
            (Ok(node), _) if node.durable() == self.primary.cut() => true,
            (Ok(node), Some((_, halt))) => {
                assert_eq!(state(disk).halt.as_ref(), Some(halt), "{}: at {}", what(), node.durable());
                false
            }
            (Err(error), None) if error.reason() == Reason::BootstrapIncomplete => false,
            (opened, _) => {
                let error = opened.as_ref().err();
                panic!("{}: neither the old nor the new: {error:?}\n{}", what(), listing(disk));
            }
        };
        drop(opened);
        assert!(files(disk, "incoming").is_empty(), "{}: something is left aside", what());
        if is_new {
            check_installed(disk, self.primary, what);
            return (true, images);
        }
        let found = state(disk);
        assert_eq!(found.install, None, "{}", what());
        if let Some((data_before, _)) = &self.old {
            assert_eq!(found.origin, Origin::Log, "{}", what());
            assert!(data(disk) == *data_before, "{}: the old data changed\n{}", what(), listing(disk));
        } else {
            assert_eq!((found.origin, found.halt), (Origin::Nothing, None), "{}", what());
        }
        (false, images)
    }

    /// Begins again where nothing came of it.
    fn again(&self, disk: &SimDisk, what: &dyn Fn() -> String) {
        let outcome = bootstrap(&self.options(disk), &mut Served::new(self.primary));
        assert_eq!(outcome, Ok(Outcome::Installed(self.primary.cut())), "{}: again", what());
        check_installed(disk, self.primary, what);
    }
}

fn stories(primary: &Primary, then: impl Fn(&str, &SimDisk, &Story<'_>)) {
    then("a fresh directory", &empty(primary), &Story { primary, old: None });
    let earlier = Primary::new(9, 8);
    let (disk, halt) = halted(&earlier);
    then("over old data", &disk, &Story { primary, old: Some((data(&disk), halt)) });
}

/// F-S1, F-S2, F-RC1, RC-INSTALL, SNAP-INSTALL, P5-I2: a crash at every call of the disk, in every variant; and of the recovery behind it
/// again.
#[test]
fn every_crash_leaves_all_of_the_old_or_all_of_the_new() {
    let primary = Primary::new(9, 3);
    stories(&primary, |name, disk, story| {
        let disk = disk.image().restart();
        disk.record_images(true);
        let mut link = Served::new(&primary);
        assert_eq!(bootstrap(&story.options(&disk), &mut link), Ok(Outcome::Installed(primary.cut())));
        let images = disk.take_images();
        let (mut old, mut new, mut second, mut finished) = (0, 0, 0, 0);
        for (at, image) in images.iter().enumerate() {
            for (how, disk) in crashes(image) {
                let what = || format!("{name}, operation {at} of {}, {how}", images.len());
                if state(&disk).install.is_some() {
                    // The same command finishes it, and asks nobody: that was the answer to its order.
                    let again = disk.image().restart();
                    let mut link = Served::new(&primary);
                    let outcome = bootstrap(&story.options(&again), &mut link);
                    assert_eq!(outcome, Ok(Outcome::Installed(primary.cut())), "{}: the same again", what());
                    assert_eq!(link.connections, 0, "{}", what());
                    check_installed(&again, &primary, &what);
                    finished += 1;
                }
                let (is_new, recovery) = story.check(&disk, &what);
                if is_new {
                    new += 1
                } else {
                    old += 1
                }
                if !is_new && at % 3 == 0 {
                    story.again(&disk, &what);
                }
                // What recovery does without an install is as everywhere (tests/two_crashes.rs).
                let installs = state(&image.restart()).install.is_some();
                let first = ["Kept, seed 0", "Sectors, seed 0", PROCESS].contains(&how.as_str());
                for (at, image) in recovery.iter().enumerate().filter(|_| installs && first) {
                    for (how, disk) in some_crashes(image) {
                        let again = || format!("{}; then operation {at} of recovery, {how}", what());
                        story.check(&disk, &again);
                        second += 1;
                    }
                }
            }
        }
        assert!(old > 100 && new > 50 && second > 300, "{name}: {old} old, {new} new, {second} second crashes");
        assert!(finished > 20, "{name}: {finished} finished by the same command");
        println!("{name}: {} operations, {old} old, {new} new, {second} second crashes", images.len());
    });
}

/// P5-I4, F-D1, F-D2: every call of the disk fails once, and from one on there is no space; the directory is what it was, or the snapshot, and the next
/// attempt works.
#[test]
fn every_failing_call_leaves_what_was_there_and_the_next_attempt_works() {
    let primary = Primary::new(9, 3);
    stories(&primary, |name, disk, story| {
        let whole = disk.image().restart();
        let (operations, reads) = (whole.operations(), whole.reads());
        bootstrap(&story.options(&whole), &mut Served::new(&primary)).unwrap();
        let (operations, reads) = (whole.operations() - operations, whole.reads() - reads);
        let mut failed = 0;
        let mut attempt = |what: &dyn Fn() -> String, prepare: &dyn Fn(&SimDisk)| {
            let disk = disk.image().restart();
            prepare(&disk);
            let outcome = bootstrap(&story.options(&disk), &mut Served::new(&primary));
            disk.heal();
            if let Err(error) = &outcome {
                failed += 1;
                let kind = error.reason().name();
                assert!(kind.starts_with("disk."), "{}: {error}", what());
                assert_eq!(state(&disk).halt.is_some(), story.old.is_some() && !is_installed(&disk), "{}", what());
            }
            // The process ends; the machine does not, or loses what was not durable.
            for (how, disk) in crashes(&disk.image()) {
                let what = || format!("{}, then {how}", what());
                let (is_new, _) = story.check(&disk, &what);
                assert!(is_new || outcome.is_err(), "{}: it was installed", what());
                if !is_new && how == PROCESS {
                    story.again(&disk, &what);
                }
            }
        };
        for number in 0..operations {
            for fault in [Fault::Eio, Fault::NoSpace] {
                attempt(&|| format!("{name}, operation {number}, {fault:?}"), &|disk| {
                    disk.fail_operation(disk.operations() + number, fault);
                });
            }
            attempt(&|| format!("{name}, no space from operation {number} on"), &|disk| {
                disk.fail_operations_from(disk.operations() + number, Fault::NoSpace);
            });
        }
        for number in 0..reads {
            attempt(&|| format!("{name}, read {number}"), &|disk| disk.fail_read(disk.reads() + number, Fault::Eio));
        }
        println!("{name}: {operations} operations, {reads} reads, {failed} attempts failed");
        assert!(failed > 100);
    });
}

fn is_installed(disk: &SimDisk) -> bool {
    matches!(state(disk).origin, Origin::Snapshot(_))
}

/// D-FSYNC, RC-INSTALL: the process died behind its write of the state, which is in the cache alone; the next one goes on with it, and then
/// the power fails. What was removed on the strength of it must be gone for a reason that outlives the machine.
#[test]
fn an_install_that_is_found_is_made_durable_before_it_goes_on() {
    let (primary, earlier) = (Primary::new(9, 3), Primary::new(9, 8));
    let (disk, halt) = halted(&earlier);
    let story = Story { primary: &primary, old: Some((data(&disk), halt)) };
    disk.record_images(true);
    bootstrap(&story.options(&disk), &mut Served::new(&primary)).unwrap();
    let images = disk.take_images();
    let mut met = 0;
    for install in [Install::Clearing, Install::Moving] {
        let first = images.iter().find(|image| state(&image.restart()).install == Some(install)).unwrap();
        let second = first.restart();
        second.record_images(true);
        Node::open(&options(&second)).unwrap();
        for (at, image) in second.take_images().iter().enumerate() {
            let crashed = image.crash(Crash::Dropped, 0);
            story.check(&crashed, &|| format!("{install:?} was found, operation {at}, dropped"));
            met += 1;
        }
    }
    assert!(met > 20);
}

/// Who only looks is told that there is no data, and changes nothing.
#[test]
fn a_directory_without_data_is_refused_by_every_tool() {
    let primary = Primary::new(9, 3);
    let disk = empty(&primary);
    let other = Init { dir: "/other".into(), database_id: Some(ids(&primary).0), ..init(&disk) };
    Node::init(&other).unwrap();
    let before = disk.operations();
    assert_eq!(proves(&disk).unwrap_err().reason(), Reason::BootstrapIncomplete);
    let compared = Local::open(&shared(&disk), Path::new(DIR));
    assert_eq!(compared.err().unwrap().reason(), Reason::BootstrapIncomplete);
    let refused = Node::open(&options(&disk)).err().unwrap();
    assert_eq!((refused.reason(), refused.fact("holds")), (Reason::BootstrapIncomplete, Some("nothing")));
    assert_eq!(disk.operations(), before);
    let backup = aerodb::backup::backup(&options(&disk), Path::new("/out"), &mut |_, _| {});
    assert_eq!(backup.unwrap_err().reason(), Reason::BootstrapIncomplete);
    assert!(data(&disk).iter().all(BTreeMap::is_empty));
}

/// P5-I2: a crash while the directory is made leaves one that is nobody's, or one that waits for a snapshot.
#[test]
fn a_crash_while_the_directory_is_made_leaves_one_that_can_be_filled() {
    let primary = Primary::new(9, 3);
    let (database_id, node_id) = ids(&primary);
    let disk = SimDisk::new();
    disk.record_images(true);
    begin::make_empty(&init(&disk), database_id, node_id).unwrap();
    let (mut nobodys, mut waiting) = (0, 0);
    for (at, image) in disk.take_images().iter().enumerate() {
        for (how, disk) in crashes(image) {
            let what = || format!("operation {at}, {how}");
            match begin::make_empty(&init(&disk), database_id, node_id) {
                Ok(_) => nobodys += 1,
                Err(error) => {
                    assert_eq!(error.reason(), Reason::DirNotEmpty, "{}", what());
                    waiting += 1;
                }
            }
            let outcome = bootstrap(&begin_options(&disk), &mut Served::new(&primary));
            assert_eq!(outcome, Ok(Outcome::Installed(primary.cut())), "{}", what());
            let disk = disk.image().crash(Crash::Dropped, 0);
            drop(Node::open(&begin_options(&disk).options).unwrap_or_else(|error| panic!("{}: {error}", what())));
            check_installed(&disk, &primary, &what);
        }
    }
    assert!(nobodys > 20 && waiting > 5, "{nobodys} nobody's, {waiting} waiting");
}
