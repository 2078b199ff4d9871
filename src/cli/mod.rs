//! The command line: arguments in, calls of the library, text or JSON out, an exit status.
//!
//! ```text
//! argv ──grammar──► matches ──args, bytes──► values ──command──► library
//!                                              │                    │
//!                 stderr ◄── failure ◄─────────┴──── output ──► stdout
//! ```
//!
//! Promises: every failure has a code of the registry, is told on standard error with its evidence and its remedy, and its number is
//! the exit status; with `--json` the same is an object on standard output. A reader that goes away (a closed pipe) ends a command
//! quietly. Nothing panics on what a person typed. Memory does not grow with the database.
//!
//! Deliberately absent: decisions. What may be written, read or opened is the library's to say.
//!
//! * `grammar`: commands, options and their help. `args`, `bytes`: what the arguments mean.
//! * `edit`, `read`, `status`, `explain`, `records`, `tools`, `compare`, `registry`, `manual`, `demo`, `bench`: the commands.
//! * `session`: a node for the length of a command. `remote`: a server in its place. `node`: a server that is compared.
//! * `settings`, `serve`: a node for clients, and what it is started with.
//! * `output`: standard output. `failure`: how a refusal is told. `logs`: what is said meanwhile.

mod args;
mod bench;
mod bytes;
mod compare;
#[cfg(feature = "replication")]
mod demo;
mod edit;
mod explain;
mod failure;
mod grammar;
mod logs;
mod manual;
mod node;
mod output;
mod read;
mod records;
mod registry;
mod remote;
#[cfg(feature = "replication")]
mod replica;
#[cfg(feature = "server")]
mod serve;
mod session;
mod settings;
mod status;
mod tools;

use crate::cli::failure::Failure;
use crate::cli::output::Output;
use clap::ArgMatches;
use std::process::ExitCode;

/// Runs the command that the process was started with.
pub(crate) fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    // What has to be known before there are matches: behind a `--` there are no options.
    let mut options = arguments.iter().take_while(|word| *word != "--").map(|word| word.as_encoded_bytes());
    let server = options.clone().any(|word| word == b"--addr" || word.starts_with(b"--addr="));
    let matches = match grammar::grammar(server).try_get_matches_from(&arguments) {
        Ok(matches) => matches,
        Err(error) => {
            let mut out = Output::new(options.any(|word| word == b"--json"));
            let outcome = failure::from_clap(&error, &mut out);
            return end(outcome, &mut out);
        }
    };
    let Some((name, command)) = matches.subcommand() else { return ExitCode::SUCCESS };
    // `bench` and `config` have commands of their own, which have the options.
    let innermost = command.subcommand().map_or(command, |(_, inner)| inner);
    let mut out = Output::new(args::flag(innermost, "json"));
    let outcome = dispatch(name, command, &mut out).and_then(|()| out.flush());
    end(outcome.map_err(Failure::from), &mut out)
}

fn dispatch(name: &str, matches: &ArgMatches, out: &mut Output) -> aerodb::Result<()> {
    #[cfg(feature = "server")]
    if name == "serve" {
        // It logs as its settings say, and those are not read yet.
        return serve::serve(matches, out);
    }
    #[cfg(feature = "replication")]
    if name == "replica" {
        return replica::replica(matches, out);
    }
    #[cfg(feature = "replication")]
    if name == "demo" {
        // What halts its nodes is what it shows: it logs only what is asked for.
        return demo::demo(matches, out);
    }
    logs::start_from_environment()?;
    match name {
        #[cfg(feature = "replication")]
        "resume" => replica::resume(matches, out),
        "init" => edit::init(matches, out),
        "put" => edit::put(matches, out),
        "del" => edit::delete(matches, out),
        "floor" => edit::floor(matches, out),
        "checkpoint" => edit::checkpoint(matches, out),
        "get" => read::get(matches, out),
        "scan" => read::scan(matches, out),
        "status" => status::status(matches, out),
        "explain" => explain::explain(matches, out),
        "wal" => records::wal(matches, out),
        "verify" => tools::verify(matches, out),
        "compare" => compare::compare(matches, out),
        "backup" => tools::backup(matches, out),
        "restore" => tools::restore(matches, out),
        "config" => settings::run(matches, out),
        "reasons" => registry::reasons(out),
        "manual" => manual::manual(matches, out),
        "bench" => bench::run(matches),
        other => Err(args::usage(format!("there is no command {other}"))),
    }
}

fn end(outcome: Result<(), Failure>, out: &mut Output) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => ExitCode::from(failure.tell(out)),
    }
}
