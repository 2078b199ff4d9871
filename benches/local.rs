//! `cargo bench`: what `aerodb bench local` measures, by the program itself, so that nothing is measured by other code.
//!
//! Its options go behind `--`: `cargo bench -- --scale 0.1 --only commits`. The exit status is the program's.

use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    // Cargo adds this one for a harness that this is not.
    let options = std::env::args_os().skip(1).filter(|option| option != "--bench");
    match Command::new(env!("CARGO_BIN_EXE_aerodb")).args(["bench", "local"]).args(options).status() {
        Ok(status) => status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from),
        Err(error) => {
            eprintln!("{}: {error}", env!("CARGO_BIN_EXE_aerodb"));
            ExitCode::FAILURE
        }
    }
}
