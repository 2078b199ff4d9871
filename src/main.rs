//! The `aerodb` binary: a thin shell around the library, for people and scripts.
//!
//! It owns what a library must not: standard streams, arguments, environment and exit status (`cli/`). Nothing is decided here
//! that the library does not decide; every refusal is the library's, by its name and number.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
