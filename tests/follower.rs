//! The log of a replica: what crashes, or fails, or flips a bit, is a follower that is fed the log of a primary; what must hold is below.
//!
//! A generated primary's log, many small segments of it, is written to a `FollowedLog` in pieces of every awkward length, with syncs,
//! proofs, rolls and drops (REPL-AFRESH) in between, on a simulated disk that remembers an image after each operation. Each image is crashed in every variant, and
//! so is each operation of the recovery that follows. Then:
//!
//! * it opens: no crash is ever refused (F-R1, F-R2, P5-I11);
//! * every whole record that was received is there, though it was not proven, nor the mark durable; and nothing that was not written is;
//! * what is there is the primary's log, record by record and byte by byte, sealed segments to the last byte of the file (P5-I4, REPL-SEGMENT);
//! * nothing else is handed to replay (P5-I5), what was dropped is told, and behind the log there is only blank (FMT-BLANK);
//! * who only looks finds the same, and opening a second time changes nothing;
//! * feeding goes on from there, and ends in the primary's files.
//!
//! Each test prints how many states it explored.
#![cfg(feature = "replication")]

mod world;

use aerodb::disk::Crash;
use world::followed::{Moment, Primary, SMALL};
use world::script::Shape;

/// Explores a feed: a crash after every operation in every variant, and a crash in the recovery of each.
fn explore(name: &str, shape: Shape, feeds: u64) {
    let primary = Primary::new(shape);
    let (mut operations, mut states, mut second, mut dropped, mut unmarked) = (0, 0u64, 0u64, 0u64, 0u64);
    for feed_seed in 0..feeds {
        let images = primary.feed(shape.seed << 8 | feed_seed);
        operations += images.len();
        for (index, (image, moment)) in images.iter().enumerate() {
            let seed = shape.seed << 32 | index as u64;
            let killed = std::iter::once((image.restart(), "killed".to_owned()));
            let cut = Crash::ALL.into_iter().map(|variant| (image.crash(variant, seed), format!("{variant:?}")));
            for (number, (disk, how)) in killed.chain(cut).enumerate() {
                let Moment { received, written } = *moment;
                let story = || format!("{name}: feed {feed_seed}, operation {index}, {how}, seed {seed}");
                let (report, recovering) = primary.check(&disk, received, written, &story);
                states += 1;
                dropped += u64::from(report.unproven_bytes > 0);
                unmarked += u64::from(report.marked != report.end);
                if how == "killed" {
                    // Every written byte is there: what is dropped is known to the word.
                    let lost = written.saturating_sub(report.end.position.0);
                    let told = report.unproven_bytes;
                    assert!((lost..=lost.next_multiple_of(8)).contains(&told), "{}: {told} told of {lost}", story());
                }
                let (stride, last) = (3, recovering.len() - 1);
                for (step, recovering) in recovering.iter().enumerate() {
                    if (index + number + step) % stride != 0 && step != last {
                        continue;
                    }
                    // What was on the platter when the recovery began is what a second one must find, and when it had ended, what
                    // it had found. Only in between, and after the end of a process, it may be less: what was in the cache alone.
                    let least = if how == "killed" && step != last { received } else { report.end.position.0 };
                    let variant = Crash::ALL[(index + number * 3 + step) % Crash::ALL.len()];
                    let story = || format!("{}, then after operation {step} of the recovery, {variant:?}", story());
                    let disk = recovering.crash(variant, seed + step as u64);
                    primary.check(&disk, least, report.end.position.0, &story);
                    second += 1;
                }
            }
        }
    }
    println!(
        "{name}: {operations} operations, {states} crashes and kills, {second} crashes of their recovery explored; {dropped} of the first \
         dropped received bytes, {unmarked} accepted what the mark did not cover"
    );
    assert!(dropped > states / 10, "{name}: hardly anything was ever dropped");
    assert!(unmarked > states / 10, "{name}: hardly anything was ever accepted above the mark");
    assert!(second > states, "{name}: recovery was hardly crashed");
}

macro_rules! feeds {
    ($($name:ident $feeds:literal $shape:expr;)*) => {
        $(
            #[test]
            fn $name() {
                explore(stringify!($name), $shape, $feeds);
            }
        )*
    };
}

feeds! {
    a_followed_log_survives_every_crash 2 SMALL;
    large_records_survive_every_crash 2 Shape { seed: 22, value_max: 1700, groups: 12, ..SMALL };
    records_larger_than_a_segment_survive_every_crash 2 Shape { seed: 23, value_max: 9000, groups: 5, ..SMALL };
    small_records_survive_every_crash 4 Shape { seed: 24, value_max: 40, groups: 80, group_max: 4, ..SMALL };
}
