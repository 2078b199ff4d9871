//! The manual page, in the macros of man(7).
//!
//! A section for each command: what it does, its usage, its arguments and options, examples. All text of the grammar is escaped, so that it can't
//! be read as a request of the formatter. Used by `aerodb manual man`.

use super::{Entry, flags, help, value_name, words};
use clap::Arg;
use std::fmt::Write as _;

/// The page.
pub(super) fn page(entries: &[Entry<'_>]) -> String {
    let mut page = format!(".TH AERODB 1 \"\" \"aerodb {}\" \"User Commands\"\n", env!("CARGO_PKG_VERSION"));
    for entry in entries {
        let name = format!("aerodb {}", entry.path);
        if entry.path.is_empty() {
            section(&mut page, "NAME", &format!("aerodb \\- {}", escaped(entry.about().trim_end_matches('.'))));
            section(&mut page, "SYNOPSIS", "\\fBaerodb\\fR \\fICOMMAND\\fR [\\fIOPTIONS\\fR] [\\fIARGUMENTS\\fR]");
            section(&mut page, "DESCRIPTION", "");
        } else {
            let _ = writeln!(page, ".SS {}\n{}.", escaped(name.trim_end()), escaped(&entry.about()));
            as_it_is(&mut page, &usage(entry));
        }
        for arg in entry.positionals().into_iter().chain(entry.options()) {
            argument(&mut page, arg);
        }
        let after = entry.command.get_after_help().map(ToString::to_string).unwrap_or_default();
        for paragraph in after.split("\n\n") {
            match paragraph.strip_prefix("Examples:\n") {
                Some(examples) => {
                    page.push_str(".PP\nExamples:\n");
                    as_it_is(&mut page, examples);
                }
                None if paragraph.is_empty() => {}
                None => {
                    let lines = paragraph.lines().map(|line| escaped(line.trim()));
                    let _ = writeln!(page, ".PP\n{}", lines.collect::<Vec<_>>().join("\n"));
                }
            }
        }
        if entry.path.is_empty() {
            section(&mut page, "COMMANDS", "");
        }
    }
    section(&mut page, "FILES", "\\fI/etc/aerodb/aerodb.toml\\fR: the settings with which the service is started.");
    section(&mut page, "SEE ALSO", "\\fBredis\\-cli\\fR(1), \\fBsystemd.service\\fR(5)");
    page
}

fn section(page: &mut String, title: &str, text: &str) {
    let _ = writeln!(page, ".SH {title}");
    if !text.is_empty() {
        let _ = writeln!(page, "{text}");
    }
}

/// Lines that are not filled.
fn as_it_is(page: &mut String, text: &str) {
    let lines = text.lines().map(|line| escaped(line.trim()));
    let _ = writeln!(page, ".PP\n.nf\n.RS 4\n{}\n.RE\n.fi", lines.collect::<Vec<_>>().join("\n"));
}

fn usage(entry: &Entry<'_>) -> String {
    let usage = entry.command.clone().render_usage().to_string();
    usage.trim_start_matches("Usage:").trim().to_owned()
}

fn argument(page: &mut String, arg: &Arg) {
    let (flags, value) =
        (flags(arg).join(", "), if arg.get_action().takes_values() { value_name(arg) } else { String::new() });
    let shown = [(flags, 'B'), (value, 'I')].into_iter().filter(|(text, _)| !text.is_empty());
    let shown = shown.map(|(text, font)| format!("\\f{font}{}\\fR", escaped(&text)));
    let mut notes = Vec::new();
    // The sentence of a setting tells them already.
    if !words(arg).is_empty() && !help(arg).contains(&words(arg).join(", ")) {
        notes.push(format!(" [{}]", words(arg).join(", ")));
    }
    if arg.get_action().takes_values() {
        let defaults = arg.get_default_values().iter().map(|value| value.to_string_lossy());
        notes.extend(defaults.map(|value| format!(" [default: {value}]")));
    }
    let shown = shown.collect::<Vec<_>>().join(" ");
    let _ = writeln!(page, ".TP\n{shown}\n{}{}", escaped(&help(arg)), escaped(&notes.concat()));
}

/// Text that the formatter shows as it stands.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    if text.starts_with(['.', '\'']) {
        escaped.push_str("\\&");
    }
    for character in text.chars() {
        match character {
            '\\' => escaped.push_str("\\e"),
            '-' => escaped.push_str("\\-"),
            _ if character.is_ascii() => escaped.push(character),
            _ => {
                let _ = write!(escaped, "\\[u{:04X}]", u32::from(character));
            }
        }
    }
    escaped
}
