//! The command line.
//!
//! Parses, runs, and turns a failure into words and an exit status.

#[path = "cli/bench/mod.rs"]
mod bench;

fn main() -> std::process::ExitCode {
    let command = clap::Command::new("aerodb").subcommand_required(true).subcommand(bench::command());
    match command.get_matches().subcommand() {
        Some(("bench", matches)) => match bench::run(matches) {
            Ok(()) => std::process::ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}");
                std::process::ExitCode::FAILURE
            }
        },
        _ => std::process::ExitCode::FAILURE,
    }
}
