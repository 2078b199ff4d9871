//! Recovery on a shaky disk (D-ACK, D-FSYNC, D-TAIL, F-RC1): a process dies with a group in the cache alone, its successor recovers, and
//! the power fails, or a call fails, at every operation of that recovery; then commits go on, and the power fails again.
//!
//! What must hold at every end: the node opens, every acknowledged order is there, and the log is a prefix of what was ordered. In
//! particular no checkpoint is built on what the cache alone holds, and no torn tail comes back from under a blank that was never
//! fsynced.

mod world;

use aerodb::committer::{Order, Retention};
use aerodb::disk::{Crash, Fault, SimDisk, SimImage};
use aerodb::{CommitId, Node};
use world::script::{BASE, Shape, open_options};
use world::{Writes, batch, fold, init_options, rows_at};

const SHAPE: Shape = Shape { seed: 41, retention: Retention::Bytes(0), ..BASE };

/// What is ordered as the commit of this number, before the first crash, or after it: then it must not be what the disk may still hold.
fn writes(number: usize, again: bool) -> Writes {
    // Every fourth spans several sectors.
    let len = if number % 4 == 3 { 1500 } else { 120 + number % 300 };
    vec![(format!("key{:02}", number % 9).into_bytes(), Some(vec![number as u8 + u8::from(again) * 100; len]))]
}

struct Scene {
    image: SimImage,
    answered: usize,
    ordered: usize,
}

/// The images of a few groups, each large enough to seal several tables.
fn scenes() -> Vec<Scene> {
    let disk = SimDisk::new();
    Node::init(&init_options(&disk, SHAPE.parameters)).unwrap();
    let mut node = Node::open(&open_options(SHAPE, &disk)).unwrap();
    let mut scenes = Vec::new();
    let mut ordered = 0;
    for group in [2, 14, 3, 16] {
        let orders: Vec<Order> =
            (ordered..ordered + group).map(|number| Order::Commit(batch(&writes(number, false)))).collect();
        disk.record_images(true);
        assert!(node.group(&orders).unwrap().iter().all(Result::is_ok));
        let images = disk.take_images();
        let last = images.len() - 1;
        for (index, image) in images.into_iter().enumerate() {
            let answered = if index == last { ordered + group } else { ordered };
            scenes.push(Scene { image, answered, ordered: ordered + group });
        }
        ordered += group;
    }
    scenes
}

/// Opens a disk, and checks what is there: the commits from `first_again` on were ordered after the crash. Returns the node and how
/// many commits it has.
fn check(disk: &SimDisk, least: usize, most: usize, first_again: usize, what: &dyn Fn() -> String) -> (Node, usize) {
    let node = Node::open(&open_options(SHAPE, disk));
    let node = node.unwrap_or_else(|error| panic!("{}: {error}\n{}", what(), world::listing(disk)));
    let found = node.store().commit().0 as usize;
    assert!((least..=most).contains(&found), "{}: {found} commits, {least} acknowledged, {most} ordered", what());
    let all: Vec<Writes> = (0..found).map(|number| writes(number, number >= first_again)).collect();
    assert_eq!(rows_at(&node, CommitId(found as u64)).unwrap(), fold(&all, found), "{}", what());
    (node, found)
}

/// The process dies, its successor recovers, and the power fails at every operation of the recovery.
#[test]
fn a_power_cut_in_the_recovery_of_a_killed_process_loses_nothing() {
    let mut states = 0;
    for (index, scene) in scenes().iter().enumerate() {
        let disk = scene.image.restart();
        disk.record_images(true);
        drop(check(&disk, scene.answered, scene.ordered, usize::MAX, &|| format!("scene {index}, restarted")));
        for (step, image) in disk.take_images().into_iter().enumerate() {
            for variant in Crash::ALL {
                let what = || format!("scene {index}, power cut at operation {step} of the recovery, {variant:?}");
                check(&image.crash(variant, step as u64), scene.answered, scene.ordered, usize::MAX, &what);
                states += 1;
            }
        }
    }
    println!("{states} power cuts in recoveries explored");
    assert!(states > 1000);
}

/// A crash tears the tail, a call of the recovery fails, the next start succeeds and writes on, and the power fails again.
#[test]
fn a_failed_call_in_recovery_leaves_nothing_that_a_later_power_cut_brings_back() {
    let (mut states, mut tails) = (0, 0);
    let seeds = |index| (0..8).map(move |seed| (index, seed));
    let scenes = scenes();
    for (index, seed) in (0..scenes.len()).flat_map(seeds) {
        let scene = &scenes[index];
        let torn = scene.image.crash(Crash::Sectors, seed).image();
        let calm = torn.restart();
        let (node, base) =
            check(&calm, scene.answered, scene.ordered, usize::MAX, &|| format!("scene {index}, seed {seed}"));
        if node.report().log.torn_bytes == 0 {
            continue;
        }
        tails += 1;
        for number in 0..calm.operations() {
            for fault in [Fault::Eio, Fault::EioAndForget, Fault::ShortWrite] {
                let disk = torn.restart();
                disk.fail_operation(number, fault);
                let story = format!("scene {index}, seed {seed}, {fault:?} at operation {number} of the recovery");
                if Node::open(&open_options(SHAPE, &disk)).is_ok() {
                    continue;
                }
                let disk = disk.image().restart();
                let (mut node, found) = check(&disk, scene.answered, scene.ordered, usize::MAX, &|| story.clone());
                assert_eq!(found, base, "{story}: the outcome is another");
                disk.record_images(true);
                let orders: Vec<Order> =
                    (found..found + 3).map(|number| Order::Commit(batch(&writes(number, true)))).collect();
                assert!(node.group(&orders).unwrap().iter().all(Result::is_ok));
                let images = disk.take_images();
                let last = images.len() - 1;
                for (step, image) in images.into_iter().enumerate() {
                    for variant in Crash::ALL {
                        let what = || format!("{story}, then a commit, power cut at its operation {step}, {variant:?}");
                        let least = if step == last { found + 3 } else { found };
                        check(&image.crash(variant, number * 7 + step as u64), least, found + 3, found, &what);
                        states += 1;
                    }
                }
            }
        }
    }
    println!("{states} power cuts behind failed recoveries of {tails} torn tails explored");
    assert!(tails > 5, "{tails} tails were torn");
    assert!(states > 1000);
}
