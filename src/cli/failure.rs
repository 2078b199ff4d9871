//! How a refusal is told: on standard error for people, on standard output as JSON for programs that asked for it.
//!
//! `error[code]: sentence [evidence]`, then `remedy: …`; the exit status is the number of the reason. Control characters in the
//! evidence are shown, never sent to the terminal. What fails behind a success is told in the same way as `warning[code]: …`, on
//! standard error alone. A reader of standard output that went away is told nothing: nobody reads it.

use crate::cli::output::Output;
use aerodb::{Error, Reason, Result};
use clap::error::ErrorKind;
use serde_json::{Map, Value, json};
use std::io::Write;

/// A refusal, and what else helps a person with it.
pub(crate) struct Failure {
    error: Error,
    hint: String,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure { error, hint: String::new() }
    }
}

/// What clap has to say: help and version are no failures, all else is `cli.usage`.
pub(crate) fn from_clap(error: &clap::Error, out: &mut Output) -> std::result::Result<(), Failure> {
    let rendered = error.render().to_string();
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return shown(&rendered, out).map_err(Failure::from);
    }
    let text = rendered.strip_prefix("error: ").unwrap_or(&rendered);
    // The remedy says how to get help; clap's own last line would say it again.
    let text = text.split("\n\nFor more information").next().unwrap_or_default();
    let (problem, hint) = text.split_once("\n\n").unwrap_or((text, ""));
    let problem = problem.split_whitespace().collect::<Vec<_>>().join(" ");
    Err(Failure { error: Error::new(Reason::CliUsage).with("problem", problem), hint: hint.trim_end().to_owned() })
}

fn shown(text: &str, out: &mut Output) -> Result<()> {
    out.raw(text.as_bytes())?;
    out.flush()
}

impl Failure {
    /// Tells it, and returns the exit status.
    pub(crate) fn tell(&self, out: &mut Output) -> u8 {
        let reason = self.error.reason();
        if reason == Reason::CliOutput && out.reader_is_gone() {
            return reason.number();
        }
        // What was written so far comes first, wherever both streams are shown together. A failure to write is told above all
        // else by the exit status, and there is nobody left to tell it otherwise.
        if reason != Reason::CliOutput {
            if out.is_json() {
                let _ = out.json(&json!({ "error": object(&self.error) }));
            }
            let _ = out.flush();
        }
        let _ = std::io::stderr().write_all(self.text().as_bytes());
        reason.number()
    }

    fn text(&self) -> String {
        let reason = self.error.reason();
        let mut text = format!("error[{}]: {}", reason.name(), told(&self.error));
        if !self.hint.is_empty() {
            text.push_str("\n\n");
            // It quotes what was typed.
            self.hint.lines().for_each(|line| text.push_str(&format!("{}\n", printable(line))));
        }
        text.push_str(&format!("\nremedy: {}\n", reason.remedy()));
        text
    }
}

/// Tells a person of a failure that does not make the command fail; `what` says what holds in spite of it.
pub(crate) fn warn(what: &str, error: &Error) {
    let reason = error.reason();
    let text = format!("warning[{}]: {what}: {}\nremedy: {}\n", reason.name(), told(error), reason.remedy());
    // Nobody is left to be told that this can't be written.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// The sentence and its evidence.
fn told(error: &Error) -> String {
    let facts = error.evidence().iter().map(|(name, value)| format!("{name}={}", printable(value)));
    let facts = facts.collect::<Vec<_>>().join(", ");
    let sentence = error.reason().sentence();
    if facts.is_empty() { sentence.to_owned() } else { format!("{sentence} [{facts}]") }
}

/// Control characters as `\xHH` or `\u{H}`, so that a file name can't write on the terminal.
pub(crate) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() { shown.extend(character.escape_unicode()) } else { shown.push(character) }
    }
    shown
}

/// What the registry says of a reason, as JSON.
pub(crate) fn described(reason: Reason) -> Value {
    json!({
        "code": reason.name(),
        "number": reason.number(),
        "sentence": reason.sentence(),
        "remedy": reason.remedy(),
        "retry": reason.retry().to_string(),
    })
}

/// A refusal as JSON.
pub(crate) fn object(error: &Error) -> Value {
    let reason = error.reason();
    let mut evidence = Map::new();
    for (name, value) in error.evidence() {
        evidence.entry(*name).or_insert_with(|| Value::from(value.as_str()));
    }
    let mut object = described(reason);
    object["evidence"] = Value::Object(evidence);
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_shows_code_sentence_evidence_and_remedy_and_no_control_characters() {
        let error = Error::new(Reason::DirNotFound).with("directory", "a\u{1b}[2Jb").with("and", "c");
        let text = Failure::from(error).text();
        assert_eq!(
            text,
            "error[dir.not_found]: There is no AeroDB directory here. [directory=a\\u{1b}[2Jb, and=c]\n\
             remedy: Check the path, or create the directory with `aerodb init`.\n"
        );
    }
}
