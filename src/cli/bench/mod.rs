//! `aerodb bench`: how fast this build is on this machine, and how fast a server answers.
//!
//! ```text
//! bench local  ──► memory, commits, apply, recovery, reads     each: ours and a baseline, in alternating rounds
//! bench replica ─► catch-up, lag, attached                     a primary and replicas in one process
//! bench server ──► load ──► any server that speaks RESP
//! ```
//!
//! Absolute figures say more about a machine than about a program. So each figure stands beside what the machine itself gives for the
//! same bytes (plain append and fdatasync, plain reads, a map in memory), measured in the same run, in turns, several times: what
//! counts is the ratio. The work is counted, never timed, so two runs do the same.
//!
//! Deliberately absent: a database of one's own data (the bench makes a directory and removes it), and any judgement: what the
//! figures should be stands in `docs/speed.md`.

mod apply;
mod commits;
mod load;
mod memory;
mod meter;
mod reads;
mod recovery;
#[cfg(feature = "replication")]
mod replica;
mod report;
mod scratch;
mod server;
mod work;

use aerodb::{Error, Reason, Result};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use report::Report;
use scratch::Scratch;
use std::path::PathBuf;

/// A part of the bench. Memory comes first, while the process is still small.
type Section = (&'static str, fn(&mut Bench) -> Result<()>);
const SECTIONS: [Section; 5] = [
    ("memory", memory::run),
    ("commits", commits::run),
    ("apply", apply::run),
    ("recovery", recovery::run),
    ("reads", reads::run),
];
#[cfg(feature = "replication")]
const REPLICA_SECTIONS: [Section; 3] =
    [("catch-up", replica::catch_up), ("lag", replica::lag), ("attached", replica::attached)];

/// What every part gets.
struct Bench {
    report: Report,
    scratch: Scratch,
    scale: f64,
    rounds: usize,
    value_bytes: Vec<usize>,
}

impl Bench {
    /// A number of operations, scaled.
    fn count(&self, full: u64) -> u64 {
        // Counts are far below 2^53.
        ((full as f64 * self.scale) as u64).max(1)
    }
}

/// The options of `bench`.
pub(crate) fn command() -> Command {
    Command::new("bench")
        .about("Measures speed")
        .after_help(
            "Examples:\n  aerodb bench local\n  aerodb bench local --only commits --scale 0.1 --json\n  \
             aerodb bench replica --only lag\n  \
             aerodb bench server --addr localhost:6380 --clients 64 --pipeline 16 --mix mixed --fill",
        )
        .subcommand_required(true)
        .subcommands([
            measuring("local", "Measures a single node in a directory of its own, which is removed at the end", &SECTIONS),
            #[cfg(feature = "replication")]
            measuring(
                "replica",
                "Measures a primary and its replicas, in this process, in a directory of its own, which is removed at the end",
                &REPLICA_SECTIONS,
            ),
            server::command(),
        ])
}

/// A bench in a directory of its own, of these parts.
fn measuring(name: &'static str, about: &'static str, sections: &[Section]) -> Command {
    Command::new(name)
        .about(about)
        .arg(
            Arg::new("dir")
                .long("dir")
                .value_name("DIR")
                .value_parser(value_parser!(PathBuf))
                .help("Where to work; must not exist yet [default: a new directory in the current one]"),
        )
        .arg(
            Arg::new("only")
                .long("only")
                .value_name("PARTS")
                .value_delimiter(',')
                .value_parser(sections.iter().map(|(name, _)| *name).collect::<Vec<_>>())
                .help("Parts to measure [default: all]"),
        )
        .arg(
            Arg::new("scale")
                .long("scale")
                .value_name("FACTOR")
                .default_value("1")
                .value_parser(value_parser!(f64))
                .allow_negative_numbers(true)
                .help("Multiplies the amount of work"),
        )
        .arg(
            Arg::new("rounds")
                .long("rounds")
                .value_name("N")
                .default_value("3")
                .value_parser(value_parser!(u64).range(1..=100))
                .allow_negative_numbers(true)
                .help("How often each figure is measured"),
        )
        .arg(
            Arg::new("value-bytes")
                .long("value-bytes")
                .value_name("BYTES")
                .value_delimiter(',')
                .default_value("100,1024")
                .value_parser(value_parser!(u64).range(1..=1 << 20))
                .allow_negative_numbers(true)
                .help("Sizes of values in commits"),
        )
        .arg(Arg::new("json").long("json").action(ArgAction::SetTrue).help("One JSON document instead of lines"))
}

/// Runs `bench`.
///
/// # Errors
/// `config.invalid`, `dir.not_empty`, and whatever the database refuses.
pub(crate) fn run(matches: &ArgMatches) -> Result<()> {
    match matches.subcommand() {
        Some(("local", matches)) => measure(matches, &SECTIONS),
        #[cfg(feature = "replication")]
        Some(("replica", matches)) => measure(matches, &REPLICA_SECTIONS),
        Some(("server", matches)) => server::run(matches),
        _ => Err(Error::new(Reason::ConfigInvalid).with("parameter", "bench")),
    }
}

fn measure(matches: &ArgMatches, sections: &[Section]) -> Result<()> {
    let scale = matches.get_one::<f64>("scale").copied().unwrap_or(1.0);
    if !(scale > 0.0 && scale <= 1000.0) {
        return Err(Error::new(Reason::ConfigInvalid)
            .with("parameter", "scale")
            .with("value", scale)
            .with("limits", "above 0, up to 1000"));
    }
    let only: Vec<&String> = matches.get_many("only").unwrap_or_default().collect();
    let rounds = matches.get_one::<u64>("rounds").copied().unwrap_or(3);
    let value_bytes = matches.get_many::<u64>("value-bytes").unwrap_or_default();
    let default = PathBuf::from(format!("aerodb-bench-{}", std::process::id()));
    let mut bench = Bench {
        report: Report::new(matches.get_flag("json")),
        scratch: Scratch::create(matches.get_one::<PathBuf>("dir").unwrap_or(&default))?,
        scale,
        rounds: usize::try_from(rounds).unwrap_or(usize::MAX),
        value_bytes: value_bytes.map(|bytes| usize::try_from(*bytes).unwrap_or(usize::MAX)).collect(),
    };
    report::describe_build(&mut bench.report)?;
    for (name, section) in sections {
        if only.is_empty() || only.iter().any(|wanted| wanted == name) {
            bench.report.begin(name);
            section(&mut bench)?;
        }
    }
    bench.report.finish();
    Ok(())
}
