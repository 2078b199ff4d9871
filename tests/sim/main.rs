//! The whole system under mixed faults: one thread, one seed.
//!
//! A primary and its replicas, the product's own cores on simulated disks and wires, and an oracle that shares no code with them
//! (`line.rs`), compared after every step. What a seed expands to stands in `options.rs`, what happens in `world.rs`, what must hold of a
//! replica in `replica.rs`, and what must sometimes occur in `marks.rs`.
//!
//! `AERODB_SIM_SEED=n` replays one schedule and prints it; `AERODB_SIM_RUNS=n` runs so many instead of the usual number, half of them fixed,
//! half fresh.

#![cfg(feature = "replication")]

mod attempt;
#[cfg(debug_assertions)]
mod bugs;
mod dice;
mod line;
mod marks;
mod options;
mod primary;
mod reader;
mod replica;
mod wire;
mod world;

use marks::Marks;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::time::Instant;
use world::World;

/// Schedules of a usual run.
const RUNS: u64 = 20_000;

thread_local! {
    /// What the last assertion said, and where.
    static SAID: RefCell<String> = const { RefCell::new(String::new()) };
    /// This thread runs a schedule.
    static RUNS_NOW: Cell<bool> = const { Cell::new(false) };
}

/// Keeps what an assertion in a schedule says instead of printing it: it is the outcome.
fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if RUNS_NOW.get() {
                SAID.set(panic.to_string().replace('\n', " "));
            } else {
                print(panic);
            }
        }));
    });
}

/// Runs a schedule: its marks and the hash of its events, or what went wrong.
fn run(seed: u64, trace: bool) -> Result<(Marks, u64), String> {
    listen();
    RUNS_NOW.set(true);
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let mut world = World::new(seed, trace);
        world.run().map(|()| (world.marks.clone(), world.hash))
    }));
    RUNS_NOW.set(false);
    outcome.unwrap_or_else(|_| Err(SAID.take()))
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number, not {text}")))
}

/// R-PREFIX, REPL-POSITIONS, F-P3, F-V1, F-V2, F-V3, F-N1, F-D1: whatever fails, in whatever order.
#[test]
fn every_schedule_keeps_every_replica_a_prefix_and_lets_it_catch_up() {
    if let Some(seed) = number("AERODB_SIM_SEED") {
        let outcome = run(seed, true).map(|_| ());
        println!("seed {seed}: {outcome:?}");
        assert_eq!(outcome, Ok(()), "seed {seed}");
        return;
    }
    let runs = number("AERODB_SIM_RUNS").unwrap_or(RUNS);
    let fresh = aerodb::entropy::random_seed().expect("the machine has random bytes");
    println!("{runs} schedules: seeds 0 to {}, and as many from {fresh}", runs / 2);
    let begun = Instant::now();
    let mut marks = Marks::default();
    let mut failed = Vec::new();
    for index in 0..runs {
        let seed = if index % 2 == 0 { index / 2 } else { fresh.wrapping_add(index) };
        match run(seed, false) {
            Ok((seen, hash)) => {
                marks.add(&seen);
                if index % 100 < 1 {
                    assert_eq!(run(seed, false).map(|(_, hash)| hash), Ok(hash), "seed {seed} runs differently");
                }
            }
            Err(fault) => failed.push((seed, fault)),
        }
        if failed.len() >= 10 {
            break;
        }
    }
    println!("{} a second", runs as f64 / begun.elapsed().as_secs_f64());
    for mark in marks::Mark::ALL {
        println!("{:7} {}", marks.0[*mark as usize], mark.sentence());
    }
    for (seed, fault) in &failed {
        println!("AERODB_SIM_SEED={seed}: {fault}");
    }
    assert!(failed.is_empty(), "the first of {}: AERODB_SIM_SEED={}: {}", failed.len(), failed[0].0, failed[0].1);
    assert!(marks.missing().is_empty(), "never seen: {:?}", marks.missing());
}
