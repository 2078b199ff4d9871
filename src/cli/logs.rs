//! The log on standard error: one line an event, as text or as JSON.
//!
//! `level component: message [name=value, …]`, or an object with the fields `level`, `component`, `message` and the values. A component
//! is the module that speaks, or the name of the state machine. There is no time in a line: who collects lines stamps them.

use crate::cli::failure::printable;
use aerodb::Result;
use aerodb::config::{self, Config, LogFormat, LogLevel, Origin, Word};
use log::kv::{Error, Key, Value, VisitSource};
use log::{LevelFilter, Record};
use serde_json::{Map, Value as Json};
use std::io::Write;

/// The settings that hold for every command.
const SETTINGS: [&str; 2] = ["log-level", "log-format"];

/// Logs as the environment says; quieter than a server where it says nothing.
///
/// # Errors
/// `config.malformed`.
pub(crate) fn start_from_environment() -> Result<()> {
    let config = environment()?;
    let quiet = config.log_level.origin == Origin::Default;
    start(if quiet { LogLevel::Warn } else { config.log_level.value }, config.log_format.value);
    Ok(())
}

/// Logs as the environment says, and nothing where it says nothing.
///
/// # Errors
/// `config.malformed`.
#[cfg(feature = "replication")]
pub(crate) fn start_if_asked() -> Result<()> {
    let config = environment()?;
    if config.log_level.origin != Origin::Default {
        start(config.log_level.value, config.log_format.value);
    }
    Ok(())
}

fn environment() -> Result<Config> {
    let mut words = Vec::new();
    for name in SETTINGS {
        let setting = config::find(name, &Origin::Default)?;
        let variable = setting.variable();
        if let Some(text) = std::env::var_os(&variable) {
            words.push(Word { setting: setting.name, text, origin: Origin::Environment(variable) });
        }
    }
    Config::read(&words)
}

/// Logs from here on.
pub(crate) fn start(level: LogLevel, format: LogFormat) {
    let level = match level {
        LogLevel::Error => LevelFilter::Error,
        LogLevel::Warn => LevelFilter::Warn,
        LogLevel::Info => LevelFilter::Info,
        LogLevel::Debug => LevelFilter::Debug,
        LogLevel::Trace => LevelFilter::Trace,
    };
    let write = match format {
        LogFormat::Text => text,
        LogFormat::Json => json,
    };
    let mut builder = env_logger::Builder::new();
    builder.filter_level(level).format(move |out, record| writeln!(out, "{}", write(record))).init();
}

/// The module that speaks, without the crate and what lies in it; or the name that was given.
fn component<'a>(record: &'a Record<'_>) -> &'a str {
    let target = record.target();
    let inside = target.strip_prefix("aerodb::").unwrap_or(target);
    inside.split("::").next().unwrap_or(inside)
}

/// The named values of a line, in the order in which they were given. Numbers stay numbers.
#[derive(Default)]
struct Values(Vec<(String, Json)>);

impl<'kvs> VisitSource<'kvs> for Values {
    fn visit_pair(&mut self, name: Key<'kvs>, value: Value<'kvs>) -> std::result::Result<(), Error> {
        let value = value.to_u64().map_or_else(|| Json::from(value.to_string()), Json::from);
        self.0.push((name.to_string(), value));
        Ok(())
    }
}

fn values(record: &Record<'_>) -> Vec<(String, Json)> {
    let mut values = Values::default();
    // Nothing in the visitor fails.
    let _ = record.key_values().visit(&mut values);
    values.0
}

fn text(record: &Record<'_>) -> String {
    let level = record.level().as_str().to_ascii_lowercase();
    let shown = |value: &Json| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    let values = values(record).iter().map(|(name, value)| format!("{name}={}", shown(value))).collect::<Vec<_>>();
    let values = if values.is_empty() { String::new() } else { format!(" [{}]", values.join(", ")) };
    printable(&format!("{level} {}: {}{values}", component(record), record.args()))
}

fn json(record: &Record<'_>) -> String {
    let level = record.level().as_str().to_ascii_lowercase();
    let mut object: Map<String, Json> = values(record).into_iter().collect();
    // What every line has can't be taken by a value of the same name.
    object.insert("level".to_owned(), level.into());
    object.insert("component".to_owned(), component(record).into());
    object.insert("message".to_owned(), record.args().to_string().into());
    Json::Object(object).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use log::Level;

    fn lines(target: &str, values: &[(&str, &str)], message: &str) -> (String, String) {
        let values = &values;
        let both = |args: std::fmt::Arguments<'_>| {
            let mut builder = Record::builder();
            let record = builder.level(Level::Info).target(target).args(args).key_values(values).build();
            (text(&record), json(&record))
        };
        both(format_args!("{message}"))
    }

    #[test]
    fn a_line_names_the_component_and_the_values() {
        let (text, json) = lines("committer", &[("previous", "idle"), ("state", "writing")], "transition");
        assert_eq!(text, "info committer: transition [previous=idle, state=writing]");
        let wanted =
            r#"{"component":"committer","level":"info","message":"transition","previous":"idle","state":"writing"}"#;
        assert_eq!(json, wanted);
    }

    #[test]
    fn a_module_is_the_component_that_it_belongs_to() {
        assert_eq!(lines("aerodb::wal::open", &[], "m").0, "info wal: m");
        assert_eq!(lines("mio", &[], "m").0, "info mio: m");
    }

    #[test]
    fn a_line_stays_a_line_and_a_field_keeps_its_meaning_whatever_the_values_are() {
        let (text, json) = lines("store", &[("component", "x\n"), ("file", "a\u{1b}[2J\n")], "two\nlines");
        assert_eq!(text, "info store: two\\u{a}lines [component=x\\u{a}, file=a\\u{1b}[2J\\u{a}]");
        assert!(!json.contains('\n'), "{json}");
        let object: Json = serde_json::from_str(&json).unwrap();
        assert_eq!(object["component"], "store");
        assert_eq!(object["file"], "a\u{1b}[2J\n");
    }
}
