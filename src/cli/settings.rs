//! Where settings come from, and `aerodb config`, which shows what came of them.
//!
//! ```text
//! flags ──┐
//! AERODB_… ├──► words ──► Config (src/config.rs) ──► serve, config check, config show
//! file ───┘
//! ```
//!
//! The file is TOML with one key a setting and no tables. It is read to a bound; what is wrong with it is refused with its line.

use crate::cli::failure::printable;
use crate::cli::output::Output;
use crate::cli::{args, bytes};
use aerodb::config::{self, Config, Kind, Origin, SETTINGS, Setting, Shown, Word};
use aerodb::disk::RealDisk;
use aerodb::{Error, Reason, Result, limits};
use clap::{Arg, ArgMatches, value_parser};
use serde_json::json;
use std::ffi::OsString;
use std::fmt::Display;
use std::path::{Path, PathBuf};
use toml::de::{DeInteger, DeTable, DeValue};

/// The flag that names the file.
const FILE: &str = "config";

/// The flags of all settings, and that of the file.
pub(crate) fn arguments() -> Vec<Arg> {
    let file = Arg::new(FILE).long(FILE).value_name("FILE").value_parser(value_parser!(PathBuf));
    let mut all = vec![file.help("Take settings from this file; flags and the environment go before it")];
    all.extend(SETTINGS.iter().map(argument));
    all
}

fn argument(setting: &Setting) -> Arg {
    let default = if setting.default.is_empty() { String::new() } else { format!("default: {}", setting.default) };
    let notes = [setting.bounds(), default].into_iter().filter(|note| !note.is_empty()).collect::<Vec<_>>().join("; ");
    let help = if notes.is_empty() { setting.sentence.to_owned() } else { format!("{} [{notes}]", setting.sentence) };
    let argument = Arg::new(setting.name).long(setting.name).value_name(setting.kind.placeholder());
    let argument = argument.help(help).value_parser(value_parser!(OsString));
    if setting.kind == Kind::Flag {
        // The flag alone means true.
        return argument.num_args(0..=1).require_equals(true).default_missing_value("true");
    }
    let argument = argument.allow_negative_numbers(true);
    // Said so often that the short word is understood too.
    if setting.name == "log-format" { argument.visible_alias("log") } else { argument }
}

/// Everything that was given, read.
///
/// # Errors
/// `config.unknown`, `config.malformed`, `config.invalid`, `disk.read_failed`.
pub(crate) fn resolve(matches: &ArgMatches) -> Result<Config> {
    let flag = |setting: &Setting| {
        let text = matches.get_one::<OsString>(setting.name)?.clone();
        Some(Word { setting: setting.name, text, origin: Origin::Flag })
    };
    let mut words: Vec<Word> = SETTINGS.iter().filter_map(flag).collect();
    words.extend(config::environment(std::env::vars_os())?);
    if let Some(file) = matches.get_one::<PathBuf>(FILE) {
        words.extend(read_file(file)?);
    }
    Config::read(&words)
}

fn read_file(file: &Path) -> Result<Vec<Word>> {
    let bytes = RealDisk.read_stream(file, limits::CONFIG_BYTES_MAX + 1)?;
    if bytes.len() > limits::CONFIG_BYTES_MAX {
        let problem = format!("the file is longer than {} bytes", limits::CONFIG_BYTES_MAX);
        return Err(malformed(&Origin::File(file.to_owned(), 1), problem));
    }
    let origin = |at: usize| {
        let line_ends = bytes.iter().take(at).filter(|byte| **byte == b'\n').count();
        Origin::File(file.to_owned(), line_ends + 1)
    };
    let text = std::str::from_utf8(&bytes).map_err(|error| malformed(&origin(error.valid_up_to()), "not UTF-8"))?;
    let table = DeTable::parse(text).map_err(|error| {
        let span = error.span().unwrap_or_default();
        let near = bytes::brief(text.get(span.clone()).unwrap_or_default().as_bytes());
        malformed(&origin(span.start), error.message()).with("near", near)
    })?;
    let keys = table.get_ref().iter();
    keys.map(|(key, value)| word(key.get_ref(), value.get_ref(), origin(key.span().start))).collect()
}

fn word(name: &str, value: &DeValue<'_>, origin: Origin) -> Result<Word> {
    let setting = config::find(name, &origin)?;
    // A number that no setting can have is refused where it is read, with what may stand in its place.
    let number = |number: &DeInteger<'_>| {
        u64::from_str_radix(number.as_str(), number.radix()).map_or_else(|_| number.to_string(), |n| n.to_string())
    };
    let text = match (setting.kind, value) {
        (Kind::Count | Kind::Bytes | Kind::BytesOrAll, DeValue::Integer(value)) => Some(number(value)),
        (Kind::Flag, DeValue::Boolean(value)) => Some(value.to_string()),
        (Kind::Count | Kind::Flag, _) => None,
        (_, DeValue::String(value)) => Some(value.to_string()),
        (_, _) => None,
    };
    let Some(text) = text else {
        return Err(malformed(&origin, "the value is of another type than the setting").with("setting", name));
    };
    Ok(Word { setting: setting.name, text: text.into(), origin })
}

fn malformed(origin: &Origin, problem: impl Display) -> Error {
    Error::new(Reason::ConfigMalformed).with("problem", problem).with("origin", origin)
}

/// `aerodb config check`.
fn check(matches: &ArgMatches, out: &mut Output) -> Result<()> {
    resolve(matches)?.check()?;
    out.answer("the configuration is accepted", || json!({ "accepted": true }))
}

/// `aerodb config show`: a file of settings that would be read as what it shows.
fn show(matches: &ArgMatches, out: &mut Output) -> Result<()> {
    let config = resolve(matches)?;
    config.shown().iter().try_for_each(|shown| {
        let Shown { setting, value, origin } = shown;
        out.answer(
            // The name of a file can't begin another line.
            format!("{} = {}  # {}", setting.name, in_toml(setting.kind, value), printable(&origin.to_string())),
            || json!({ "name": setting.name, "value": value, "origin": origin.to_string() }),
        )
    })
}

fn in_toml(kind: Kind, value: &str) -> String {
    if matches!(kind, Kind::Count | Kind::Flag) {
        return value.to_owned();
    }
    // A string of JSON is one of TOML but for this character.
    json!(value).to_string().replace('\u{7f}', "\\u007f")
}

/// The commands of `config`.
pub(crate) fn run(matches: &ArgMatches, out: &mut Output) -> Result<()> {
    match matches.subcommand() {
        Some(("check", matches)) => check(matches, out),
        Some(("show", matches)) => show(matches, out),
        _ => Err(args::usage("config has the commands check and show")),
    }
}
