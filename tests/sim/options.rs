//! What a seed expands to: which faults there are, how often, and how small everything is.

use super::dice::Dice;
use aerodb::Parameters;
use aerodb::committer::Retention;
use aerodb::follower_node::Bounds;

/// The options of a schedule.
#[derive(Clone, Debug)]
pub struct Options {
    pub replicas: u64,
    /// Of each replica: the step at which it begins with a snapshot; 0 where it begins with the log, at once.
    pub begins: [u64; 3],
    /// Bytes of a snapshot that may be asked for and not here.
    pub snapshot_window: u64,
    /// What an operator does about a halt, about once in so many steps; never if 0.
    pub operator: u64,
    /// In the calm whoever is halted is given a snapshot, by order.
    pub mends: bool,
    /// Steps of the chaos.
    pub steps: u64,
    pub parameters: Parameters,
    pub bounds: Bounds,
    pub extend_bytes: u64,
    pub primary_retention: Retention,
    pub replica_retention: Retention,
    /// The primary writes about once in so many steps; never if 0.
    pub writes: u64,
    /// Clients stop writing half-way, and write no more.
    pub idles: bool,
    /// The primary logs Proofs.
    pub proofs: bool,
    pub keys: u64,
    pub value_max: u64,
    /// One value in so many is far longer; none if 0.
    pub long_values: u64,
    pub group_max: u64,
    /// Most log bytes in a frame.
    pub frame_max: u64,
    /// Each fault about once in so many steps; never if 0.
    pub faults: Faults,
}

/// How often each class of fault strikes.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    pub cut: u64,
    pub crash_replica: u64,
    pub crash_primary: u64,
    /// Once in so many starts.
    pub crash_in_recovery: u64,
    pub close_replica: u64,
    pub disk_replica: u64,
    pub disk_primary: u64,
    pub stall: u64,
    pub unreachable: u64,
    /// Of frames.
    pub flipped: u64,
    pub shortened: u64,
    pub doubled: u64,
    pub lost: u64,
    pub swapped: u64,
    pub lied: u64,
    /// Of frames of a snapshot.
    pub lied_snapshot: u64,
    /// Another primary behind the address.
    pub foreign: u64,
    pub reshaped: u64,
    pub stale: u64,
    pub fork: u64,
    pub restored: u64,
}

impl Options {
    pub fn of(seed: u64) -> Options {
        let mut dice = Dice::new(seed, "options");
        let calm = dice.once_in(8);
        let class = |name: &str, share: u64, from: u64, to: u64| {
            // Each class decides for itself whether it is on.
            let mut dice = Dice::new(seed, name);
            if !calm && dice.below(100) < share { dice.range(from, to) } else { 0 }
        };
        let faults = Faults {
            cut: class("cut on", 60, 15, 150),
            crash_replica: class("crash replica on", 55, 30, 200),
            crash_primary: class("crash primary on", 40, 40, 300),
            crash_in_recovery: class("crash in recovery on", 50, 2, 5),
            close_replica: class("close on", 25, 60, 300),
            disk_replica: class("disk replica on", 20, 60, 300),
            disk_primary: class("disk primary on", 15, 100, 400),
            stall: class("stall on", 30, 30, 120),
            unreachable: class("unreachable on", 20, 60, 200),
            flipped: class("flipped on", 9, 20, 150),
            shortened: class("shortened on", 7, 20, 150),
            doubled: class("doubled on", 7, 20, 150),
            lost: class("lost on", 7, 20, 150),
            swapped: class("swapped on", 7, 10, 80),
            lied: class("lied on", 10, 5, 40),
            lied_snapshot: class("lied snapshot on", 25, 10, 60),
            foreign: class("foreign on", 4, 60, 300),
            reshaped: class("reshaped on", 4, 60, 300),
            stale: class("stale on", 12, 50, 200),
            fork: class("fork on", 8, 50, 200),
            restored: class("restored on", 8, 50, 200),
        };
        let retention = |dice: &mut Dice| match dice.below(3) {
            0 => Retention::Bytes(dice.range(0, 8192)),
            _ => Retention::All,
        };
        let kind = dice.below(20);
        let replicas = dice.pick(&[1, 1, 1, 2, 2, 3]);
        let steps = dice.pick(&[100, 150, 200, 300, 500]);
        // A class of its own: what else there is does not move with it.
        let mut begins = Dice::new(seed, "snapshots on");
        let snapshots = begins.once_in(2);
        let mut begin = || if snapshots && !begins.once_in(3) { begins.range(1, steps) } else { 0 };
        let begins = [begin(), begin(), begin()];
        let mut order = Dice::new(seed, "operator on");
        Options {
            replicas,
            begins,
            snapshot_window: order.pick(&[256, 2000, 100_000]),
            operator: if order.once_in(2) { order.range(5, 40) } else { 0 },
            mends: order.once_in(2),
            steps,
            parameters: Parameters {
                segment_bytes: dice.pick(&[4096, 4096, 6144]),
                table_bytes: dice.pick(&[1024, 1024, 2048]),
                block_bytes: 256,
                fanout: dice.pick(&[2, 2, 3]) as u32,
            },
            bounds: Bounds {
                receiver: aerodb::receiver::Bounds {
                    window_bytes: dice.pick(&[256, 1024, 4096, 16384]),
                    chunk_bytes: dice.pick(&[1, 300, 4096]),
                },
                queue: dice.pick(&[1, 2, 4, 16]),
            },
            extend_bytes: dice.pick(&[512, 1024, 2048]),
            primary_retention: if calm { Retention::All } else { retention(&mut dice) },
            replica_retention: retention(&mut dice),
            writes: if kind == 0 { 0 } else { dice.range(3, 20) },
            idles: kind < 8,
            proofs: Dice::new(seed, "proofs on").below(100) < 70,
            keys: dice.range(2, 16),
            value_max: dice.range(1, 120),
            long_values: dice.pick(&[0, 0, 20]),
            group_max: dice.range(1, 4),
            frame_max: dice.pick(&[64, 700, 4000]),
            faults,
        }
    }
}
