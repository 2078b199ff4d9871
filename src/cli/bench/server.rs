//! `aerodb bench server`: how fast a server answers, by the same client whichever server it is.
//!
//! Ours or a Redis: only SET and GET are sent. Each round is the same number of requests, and the work of all rounds follows from
//! counting. What the server had done before (how many keys, what is cached) is part of what is measured; `--fill` and `--warmup` make it
//! the same for all.

use super::load::{KEY_BYTES_MIN, Load, Loaded, Mix, Shape};
use super::report::Report;
use aerodb::{Result, limits};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

const CLIENTS_MAX: u64 = 10_000;
const PIPELINE_MAX: u64 = 10_000;
const REQUESTS_MAX: u64 = 1_000_000_000_000;

/// Which requests a load may consist of, as they are named.
const MIXES: [(&str, Mix); 3] = [("set", Mix::Set), ("get", Mix::Get), ("mixed", Mix::Mixed)];

/// The options of `bench server`.
pub(super) fn command() -> Command {
    let number = |id: &'static str, most: u64, default: &'static str, help: &'static str| {
        let least = match id {
            "warmup" | "value-bytes" => 0,
            "key-bytes" => KEY_BYTES_MIN as u64,
            _ => 1,
        };
        let range = value_parser!(u64).range(least..=most);
        Arg::new(id)
            .long(id)
            .value_name("N")
            .default_value(default)
            .value_parser(range)
            .allow_negative_numbers(true)
            .help(help)
    };
    Command::new("server")
        .about("Loads a server, of this kind or a Redis, and measures how it answers; what it writes stays there")
        .arg(Arg::new("addr").long("addr").value_name("HOST:PORT").required(true).help("Where the server listens"))
        .arg(
            Arg::new("mix")
                .long("mix")
                .value_name("MIX")
                .default_value("set")
                .value_parser(MIXES.map(|(name, _)| name))
                .help("The requests: set, get, or as many of one as of the other"),
        )
        .args([
            number("clients", CLIENTS_MAX, "64", "Connections, all of them on one thread"),
            number("pipeline", PIPELINE_MAX, "1", "Requests that a connection sends before it waits for their replies"),
            number("requests", REQUESTS_MAX, "100000", "Requests in a round"),
            number("rounds", 100, "3", "How often each figure is measured"),
            number("warmup", REQUESTS_MAX, "10000", "Requests before the first round, which are not measured"),
            number("key-space", REQUESTS_MAX, "100000", "Different keys"),
            number("key-bytes", limits::KEY_BYTES_MAX as u64, "16", "Size of the keys"),
            number("value-bytes", limits::VALUE_BYTES_MAX as u64, "100", "Size of the values"),
        ])
        .arg(Arg::new("fill").long("fill").action(ArgAction::SetTrue).help("First give each key a value"))
        .arg(Arg::new("json").long("json").action(ArgAction::SetTrue).help("One JSON document instead of lines"))
}

/// Runs `bench server`.
///
/// # Errors
/// `server.unreachable`, `server.refused`, `server.not_understood`.
pub(super) fn run(matches: &ArgMatches) -> Result<()> {
    let number = |name: &str| matches.get_one::<u64>(name).copied().unwrap_or_default();
    let word = |name: &str| matches.get_one::<String>(name).map(String::as_str).unwrap_or_default();
    let mix = MIXES.iter().find(|(name, _)| *name == word("mix")).map_or(Mix::Set, |(_, mix)| *mix);
    let shape = Shape {
        clients: number("clients") as usize,
        pipeline: number("pipeline"),
        keys: number("key-space"),
        key_bytes: number("key-bytes") as usize,
        value_bytes: number("value-bytes") as usize,
    };
    let mut load = Load::connect(word("addr"), shape)?;
    let mut report = Report::new(matches.get_flag("json"));
    report.begin("server");
    report.parameter("mix", word("mix"));
    for name in ["clients", "pipeline", "requests", "warmup", "key-space", "key-bytes", "value-bytes"] {
        report.parameter(name, number(name));
    }
    if matches.get_flag("fill") {
        load.run(Mix::Fill, shape.keys)?;
    }
    load.run(mix, number("warmup"))?;
    let rounds = (0..number("rounds")).map(|_| load.run(mix, number("requests")));
    tell(&mut report, &rounds.collect::<Result<Vec<_>>>()?);
    report.finish();
    Ok(())
}

fn tell(report: &mut Report, rounds: &[Loaded]) {
    let mut figure = |name: &str, unit: &str, of: &dyn Fn(&Loaded) -> f64| {
        report.figure(name, unit, &rounds.iter().map(of).collect::<Vec<_>>());
    };
    figure("answered", "requests/s", &|round| round.latency.len() as f64 / round.seconds);
    for (name, quantile) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("slowest", 1.0)] {
        figure(name, "µs", &|round| round.latency.value_at_quantile(quantile) as f64 / 1000.0);
    }
    if rounds.iter().any(|round| round.read > 0) {
        figure("keys read that had a value", "of 1", &|round| round.found as f64 / round.read as f64);
    }
}
