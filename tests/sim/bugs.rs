//! Bugs that the simulator must notice: a run that finds nothing proves nothing until it was seen to find something.
//!
//! Each is planted in the product itself, where it asks `planted`, and must be found within a stated number of seeds.

use super::run;
use aerodb::sync::plant;
use std::collections::BTreeSet;

const SEEDS_MAX: u64 = 10_000;

/// What each does wrong.
const BUGS: &[&str] = &[
    "log goes that the checkpoint does not hold",
    "a HELLO goes out while something waits to be proven",
    "a part of a record outlives its connection",
    "a part of a record is kept when it was dropped",
    "a long record is not asked for",
    "the window has no end",
    "a gap is not noticed",
    "what was not asked for is taken",
    "nobody compares positions",
    "nobody compares histories",
    "a parked fetch is forgotten",
    "nobody says where a segment ends",
    "a frame runs over the end of a segment",
    "log counts as received before it is durable",
    "the mark names space that is not there",
    "a commit is acknowledged before it is durable",
    "a segment that has ended is not cut",
    "the name of a new segment is not made durable",
    "log is served before it is durable",
    "what is accepted is not written again",
    "a roll that was interrupted is not finished",
    "the checksum of a payload is not compared",
    "a segment ends where the primary says",
    "the part of a record is dropped",
    "applied is shown before it is",
    "the Applier waits for nobody",
    "a halt is not kept",
    "a halt that was found is not made durable",
    "a lost connection stays lost",
    "the manifest names a run that is not durable",
    "a commit is published before all of it is applied",
    "a view below the floor is admitted",
    "the gate does not look at the halt",
    "what is proven is not said to the gate",
    "reads are opened before what was recovered is published",
    "a bar does not end reading",
    "a merge drops what the newest floor lets go",
    "any node is followed",
    "an order answers any halt",
    "nobody looks whether a snapshot is gone",
    "a part of a frame outlives its connection",
    "the place of a chunk is not compared",
    "what came is not durable",
    "what came is not proven",
    "what halts a bootstrap is not kept",
    "what was there goes before a snapshot counts",
    "what was there before a snapshot stays",
    "the name of what is put in place is not durable",
];

#[test]
fn every_planted_bug_is_noticed() {
    let mut missed = Vec::new();
    let only = std::env::var("AERODB_SIM_BUG").ok();
    for bug in BUGS.iter().filter(|bug| only.as_deref().is_none_or(|only| bug.contains(only))) {
        plant(Some(bug));
        let found = (0..SEEDS_MAX).find_map(|seed| run(seed, false).err().map(|told| (seed, told)));
        plant(None);
        match found {
            Some((seed, told)) => {
                println!("{:5} seeds: {bug}: {told:.160}", seed + 1);
                assert_eq!(run(seed, false).map(|_| ()), Ok(()), "seed {seed} without the bug");
            }
            None => missed.push(*bug),
        }
    }
    assert!(missed.is_empty(), "not noticed within {SEEDS_MAX} seeds: {missed:?}");
}

/// The list above is that of the product.
#[test]
fn every_bug_that_the_product_can_have_is_planted() {
    let asked = asked_in(std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")));
    assert_eq!(asked, BUGS.iter().map(|bug| (*bug).to_owned()).collect());
}

fn asked_in(directory: &std::path::Path) -> BTreeSet<String> {
    let mut asked = BTreeSet::new();
    for entry in std::fs::read_dir(directory).expect("the source tree") {
        let path = entry.expect("an entry of the source tree").path();
        if path.is_dir() {
            asked.extend(asked_in(&path));
        } else {
            let text = std::fs::read_to_string(&path).expect("a source file");
            asked.extend(text.split("planted(\"").skip(1).filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
        }
    }
    asked
}
