//! The log of a replica when calls fail, bits flip, and files are not of one moment.
//!
//! * F-D2, D-FSYNC: a failed call poisons the log for good and is named; the next start finds everything that was received.
//! * F-RC1: a recovery that fails, and a power cut behind the one that follows it, lose nothing either.
//! * D-CORRUPT, F-R2: a flipped bit is refused where the mark covers it, and dropped and told where it does not.
//! * A mark, a file or a checkpoint of another moment is refused by name.
//! * Who only looks is shown what was received and is not proven, and a backup does not hold it.
#![cfg(feature = "replication")]

mod world;

use aerodb::backup::backup;
use aerodb::disk::{Crash, Fault, SimDisk};
use aerodb::verify::{VerifyOptions, verify};
use aerodb::wal::{self, Mark};
use aerodb::{Error, LogPoint, Position, Reason, Result};
use std::path::Path;
use world::followed::{Primary, Replica, SEGMENT_HEADER, SMALL, path, wal_files};
use world::script::Shape;
use world::{DIR, Dice, options, shared};

/// Enough for two rolls.
const SHAPE: Shape = Shape { seed: 31, groups: 22, ..SMALL };

fn feed(replica: &mut Replica<'_>, seed: u64) -> Result<()> {
    let mut dice = Dice(seed);
    while !replica.is_done() {
        replica.step(&mut dice)?;
    }
    replica.log.close()
}

/// F-D2: after a failed call nothing is done any more, and every call says why.
fn check_poisoned(replica: &mut Replica<'_>, disk: &SimDisk, failure: &Error, what: &str) {
    use Reason::{DiskFull, DiskNameFailed, DiskSyncFailed, DiskWriteFailed};
    assert!(
        [DiskFull, DiskNameFailed, DiskSyncFailed, DiskWriteFailed].contains(&failure.reason()),
        "{what}: {failure}"
    );
    assert!(failure.fact("file").is_some() && failure.fact("operation").is_some(), "{what}: {failure}");
    assert_eq!(replica.log.fault(), Some(failure), "{what}");
    let (operations, received) = (disk.operations(), replica.log.received());
    let log = &mut replica.log;
    for outcome in [
        log.write(b"x"),
        log.sync().map(drop),
        log.roll(),
        log.drop_unproven(),
        log.retire(Position(0), 1).map(drop),
        log.close(),
    ] {
        let refused = outcome.unwrap_err();
        assert_eq!(refused.reason(), Reason::ReplicationStopped, "{what}");
        assert_eq!(refused.fact("failure"), Some(failure.to_string().as_str()), "{what}");
    }
    assert_eq!((disk.operations(), log.received()), (operations, received), "{what}: the disk was touched");
}

/// Feeds until a call fails, if one does: what must be there then, and what may be.
fn feed_until_failure(primary: &Primary, disk: &SimDisk, seed: u64, what: &str) -> Option<(u64, u64)> {
    let (mut replica, _) = primary.open(disk).unwrap();
    let failure = feed(&mut replica, seed).err()?;
    check_poisoned(&mut replica, disk, &failure, what);
    // Of a write that failed any part may be there, so all of the segment that it was for.
    Some((replica.log.received().0, primary.segments[replica.current].end))
}

#[test]
fn a_failed_call_poisons_the_log_and_a_restart_goes_on() {
    let primary = Primary::new(SHAPE);
    let mut states = 0;
    for seed in [311, 312] {
        let disk = primary.new_replica();
        let (mut replica, _) = primary.open(&disk).unwrap();
        let begun = disk.operations();
        feed(&mut replica, seed).unwrap();
        for number in begun..disk.operations() {
            for fault in Fault::ALL {
                let disk = primary.new_replica();
                disk.fail_operation(number, fault);
                let what = format!("feed {seed}, operation {number}, {fault:?}");
                let failed = feed_until_failure(&primary, &disk, seed, &what);
                let (least, most) = failed.unwrap_or_else(|| panic!("{what}: nobody noticed"));
                primary.check(&disk.image().restart(), least, most, &|| format!("{what}, killed"));
                for variant in Crash::ALL {
                    let what = || format!("{what}, then {variant:?}, seed {number}");
                    primary.check(&disk.image().crash(variant, number), least, most, &what);
                }
                states += 1 + Crash::ALL.len();
            }
        }
    }
    println!("{states} states behind failed calls explored");
    assert!(states > 5000);
}

/// F-D2: a disk that is full from some call on, then has room again.
#[test]
fn a_full_disk_stops_the_log_until_a_restart_finds_room() {
    let primary = Primary::new(SHAPE);
    let disk = primary.new_replica();
    let (mut replica, _) = primary.open(&disk).unwrap();
    let begun = disk.operations();
    feed(&mut replica, 321).unwrap();
    let mut states = 0;
    for number in begun..disk.operations() {
        let disk = primary.new_replica();
        disk.fail_operations_from(number, Fault::NoSpace);
        let what = format!("full from operation {number} on");
        // Behind the last call that takes space nothing fails.
        let (least, most) = feed_until_failure(&primary, &disk, 321, &what).unwrap_or((primary.end(), primary.end()));
        disk.heal();
        primary.check(&disk.image().restart(), least, most, &|| what.clone());
        states += 1;
    }
    println!("{states} moments at which the disk was full explored");
}

/// F-RC1, D-FSYNC: a killed follower is recovered, a call of that fails; the next recovery goes on, receives, and the power fails.
#[test]
fn a_failed_recovery_and_a_later_power_cut_lose_nothing() {
    let primary = Primary::new(SHAPE);
    let mut states = 0;
    let (mut failed, mut opened) = (0, 0);
    for (index, (image, moment)) in primary.feed(331).into_iter().enumerate() {
        let calm = image.restart();
        let calls = {
            drop(primary.open(&calm).unwrap());
            calm.operations()
        };
        for number in 0..calls {
            for fault in [Fault::Eio, Fault::EioAndForget, Fault::ShortWrite] {
                let story = format!("killed after operation {index}, {fault:?} at operation {number} of the recovery");
                let disk = image.restart();
                disk.fail_operation(number, fault);
                match primary.open(&disk) {
                    Ok(_) => opened += 1,
                    Err(_) => failed += 1,
                }
                let disk = disk.image().restart();
                let (mut replica, report) = primary.open(&disk).unwrap_or_else(|error| panic!("{story}: {error}"));
                let found = report.end.position.0;
                assert!(primary.whole(moment.received).position.0 <= found && found <= moment.written, "{story}");
                // A trickle, then a bulk, each received.
                for len in [33, 700] {
                    replica.write(len.min(replica.left())).unwrap();
                    replica.log.sync().unwrap();
                    let received = replica.log.received().0;
                    let variant = Crash::ALL[(index + number as usize + len as usize) % Crash::ALL.len()];
                    let seed = index as u64 * 1000 + number;
                    let what = || format!("{story}, then {len} bytes received and {variant:?}, seed {seed}");
                    primary.check(&disk.image().crash(variant, seed), received, received, &what);
                    states += 1;
                    replica.log.prove(primary.whole(received));
                }
            }
        }
    }
    println!("{states} power cuts behind {failed} failed recoveries explored");
    assert_eq!(opened, 0, "a recovery did not notice that a call failed");
    assert!(failed > 500);
}

/// A follower's directory as a killed process left it: some of the log proven and marked, some proven, some received.
struct Scene {
    disk: SimDisk,
    marked: LogPoint,
    proven: LogPoint,
    written: u64,
    newest: u64,
}

fn scene(primary: &Primary) -> Scene {
    let disk = primary.new_replica();
    let (mut replica, _) = primary.open(&disk).unwrap();
    while replica.current < 2 {
        replica.write(1700).unwrap();
        let received = replica.log.sync().unwrap();
        replica.log.prove(primary.whole(received.0));
        if replica.roll_is_due() {
            replica.roll().unwrap();
        }
    }
    let first = primary.segments[2].first;
    let nth = |number: usize| *primary.points.range(first..).nth(number).unwrap().1;
    let mut receive = |until: u64, proven: LogPoint| {
        replica.write(until - replica.log.written().0).unwrap();
        replica.log.sync().unwrap();
        replica.log.prove(proven);
        replica.log.sync().unwrap();
    };
    let (marked, proven) = (nth(2), nth(3));
    receive(proven.position.0 + 40, marked);
    // Three whole records behind the mark, and part of a fourth that trickles in, so that there is blank behind it.
    receive(nth(5).position.0, marked);
    let written = nth(5).position.0 + 61;
    receive(written, marked);
    replica.log.prove(proven);
    Scene { disk, marked, proven, written, newest: first }
}

fn opened(primary: &Primary, disk: &SimDisk) -> Result<(LogPoint, u64)> {
    primary.open(disk).map(|(_, report)| (report.end, report.unproven_bytes))
}

/// D-CORRUPT, F-R2: every bit of the newest segment, and one of every byte of the sealed ones.
#[test]
fn a_flipped_bit_is_refused_below_the_mark_and_dropped_above_it() {
    let primary = Primary::new(SHAPE);
    let Scene { disk, marked, proven, written, newest } = scene(&primary);
    assert!(marked.position < proven.position && proven.position.0 < written);
    let image = disk.image();
    let (mut refused, mut dropped) = (0, 0);
    for segment in &primary.segments[..=2] {
        let file = disk.contents(&path(segment.first)).unwrap();
        for byte in 0..file.len() {
            let position = (segment.first + byte as u64).wrapping_sub(SEGMENT_HEADER as u64);
            let bits = if segment.first == newest { 0..8 } else { byte % 8..byte % 8 + 1 };
            for bit in bits {
                let disk = image.restart();
                let mut flipped = file.clone();
                flipped[byte] ^= 1 << bit;
                disk.overwrite(&path(segment.first), &flipped);
                let what = || format!("bit {bit} of byte {byte} of segment {}", segment.first);
                let covered = byte < SEGMENT_HEADER || position < marked.position.0;
                if covered {
                    let before = wal_files(&disk);
                    let reason = opened(&primary, &disk).map_err(|error| error.reason());
                    let known = [Reason::WalCorrupt, Reason::WalSegmentCorrupt, Reason::IdentityVersion];
                    assert!(reason.is_err_and(|reason| known.contains(&reason)), "{}: {reason:?}", what());
                    assert!(primary.inspect(&disk).is_err(), "{}: who only looks sees nothing", what());
                    assert!(wal_files(&disk) == before, "{}: a refusal changed a file", what());
                    refused += 1;
                } else {
                    let most = primary.whole(position.min(written));
                    let (report, _) = primary.check(&disk, most.position.0, most.position.0, &what);
                    let told = written.max(position & !7) - most.position.0;
                    assert!(report.unproven_bytes >= told, "{}: {} told", what(), report.unproven_bytes);
                    dropped += 1;
                }
            }
        }
    }
    println!("{refused} flipped bits refused, {dropped} dropped");
    assert!(refused > 10_000 && dropped > 5000);
}

/// D-CORRUPT: a file that is shorter than the mark says was cut; what lies behind what the mark says may be missing.
#[test]
fn a_cut_file_is_refused_below_the_mark_and_goes_on_above_it() {
    let primary = Primary::new(SHAPE);
    let Scene { disk, newest, written, .. } = scene(&primary);
    // A bulk that was written, and never fsynced: the mark does not know of it.
    let (mut replica, _) = primary.open(&disk).unwrap();
    let allocated = disk.contents(&path(newest)).unwrap().len();
    replica.write(replica.left()).unwrap();
    let file = disk.contents(&path(newest)).unwrap();
    assert!(replica.log.written().0 > written && file.len() > allocated + 500);
    let image = disk.image();
    for len in 0..file.len() {
        let disk = image.restart();
        disk.overwrite(&path(newest), &file[..len]);
        if len < allocated {
            let refused = opened(&primary, &disk).map_err(|error| error.reason());
            let known = [Reason::WalTruncated, Reason::WalSegmentCorrupt];
            assert!(refused.is_err_and(|reason| known.contains(&reason)), "{len} bytes: {refused:?}");
        } else {
            let end = primary.whole(newest + (len - SEGMENT_HEADER) as u64).position.0;
            primary.check(&disk, end, end, &|| format!("{len} bytes"));
        }
    }
}

/// FMT-MARK: an older mark of the same segment gives the same log, one of an earlier segment is refused, and nothing is removed.
#[test]
fn a_mark_of_an_earlier_segment_is_refused_and_one_of_the_newest_is_not() {
    let primary = Primary::new(SHAPE);
    let end = scene(&primary).disk;
    let (end, unproven) = opened(&primary, &end).unwrap();
    let mark = wal::directory(Path::new(DIR)).join(wal::MARK_FILE);
    let Scene { disk, newest, .. } = scene(&primary);
    let now = Mark::decode(&disk.contents(&mark).unwrap()).unwrap();
    let (mut refused, mut accepted) = (0, 0);
    for point in primary.points.values().filter(|point| point.position <= now.durable.position) {
        let segment = Position(primary.segments[primary.segment_at(point.position.0)].first);
        let disk = disk.image().restart();
        let older = Mark { durable: *point, segment, allocated: point.position, ..now };
        disk.overwrite(&mark, older.encode());
        if segment.0 == newest {
            assert_eq!(opened(&primary, &disk), Ok((end, unproven)), "{point}");
            accepted += 1;
            continue;
        }
        let before = wal_files(&disk);
        let reason = opened(&primary, &disk).map_err(|error| error.reason());
        assert_eq!(reason, Err(Reason::WalMarkBehind), "{point}");
        assert!(wal_files(&disk) == before, "{point}: something was removed");
        refused += 1;
    }
    assert!(refused > 2 && accepted > 2, "{refused} refused, {accepted} accepted");
}

/// F-R2: a checkpoint beyond what proves itself says that log is missing which was applied.
#[test]
fn a_checkpoint_beyond_the_proven_log_is_refused() {
    let primary = Primary::new(SHAPE);
    let Scene { disk, proven, .. } = scene(&primary);
    let open = |checkpoint| wal::open(primary.log_options(&disk), checkpoint, &mut |_, _| Ok(())).map(|_| ());
    let beyond = *primary.points.range(proven.position.0 + 1000..).next().unwrap().1;
    assert_eq!(open(beyond).map_err(|error| error.reason()), Err(Reason::WalBehindCheckpoint));
    assert_eq!(open(proven), Ok(()));
}

/// RULING 9 in the tools: what was received and is not proven is shown by who only looks, and is no part of a backup.
#[test]
fn verify_shows_what_is_received_and_a_backup_holds_what_is_proven() {
    let primary = Primary::new(SHAPE);
    let Scene { disk, written, .. } = scene(&primary);
    let before = wal_files(&disk);
    let proof = verify(&VerifyOptions { dir: DIR.into(), disk: shared(&disk) }, &mut |_, _| {}).unwrap();
    let end = primary.whole(written);
    assert_eq!(proof.log_end, end);
    assert_eq!(proof.tail.unproven_bytes, (written - end.position.0).next_multiple_of(8));
    assert_eq!((proof.tail.torn_bytes, proof.leftovers), (0, Vec::new()));
    assert!(proof.tail.unmarked_bytes > 0 && proof.tail.blank_bytes > 0, "{:?}", proof.tail);
    assert!(wal_files(&disk) == before, "looking changed a file");
    let report = backup(&options(&disk), Path::new("/copy"), &mut |_, _| {}).unwrap();
    assert_eq!(report.cut, end);
    let newest = primary.segment_at(written);
    for (index, segment) in primary.segments.iter().enumerate().take(newest + 1) {
        let copied = Path::new("/copy/wal").join(wal::file_name(Position(segment.first)));
        let held = SEGMENT_HEADER + (segment.end.min(end.position.0) - segment.first) as usize;
        assert_eq!(disk.contents(&copied).unwrap(), segment.file[..held], "segment {index}");
    }
}
