//! COMMAND, and the HELP of commands that have subcommands: what the table says of itself.
//!
//! The form is that of Redis 7.0. There are no access categories, hints or key specifications here: those fields are empty, and keys
//! are told by their first, their last and the step between them.

use crate::resp::{Glob, Out};
use crate::server::commands::table::{self, COMMANDS, Command};
use crate::server::commands::{SYNTAX_ERROR, Words};

/// COMMAND
pub(super) fn all(_: Words<'_>, out: &mut Out<'_>) {
    out.array(COMMANDS.len());
    COMMANDS.iter().for_each(|command| describe(command, out));
}

/// COMMAND COUNT
pub(super) fn count(_: Words<'_>, out: &mut Out<'_>) {
    out.count(COMMANDS.len());
}

/// `COMMAND INFO [name …]`
pub(super) fn info(words: Words<'_>, out: &mut Out<'_>) {
    if words.len() == 2 {
        return all(words, out);
    }
    out.array(words.len().saturating_sub(2));
    for name in words.iter().skip(2) {
        match table::named(name) {
            Some(command) => describe(command, out),
            None => out.null(),
        }
    }
}

/// `COMMAND DOCS [name …]`
pub(super) fn docs(words: Words<'_>, out: &mut Out<'_>) {
    let named: Vec<&Command> = match words.len() {
        2 => COMMANDS.iter().collect(),
        _ => words.iter().skip(2).filter_map(table::named).collect(),
    };
    out.map(named.len());
    named.into_iter().for_each(|command| document(command, out));
}

/// `COMMAND LIST [FILTERBY PATTERN pattern]`
pub(super) fn list(words: Words<'_>, out: &mut Out<'_>) {
    let filtered = words.len() == 5 && words.is(2, "FILTERBY");
    let pattern = match words.len() {
        2 => None,
        _ if filtered && words.is(3, "PATTERN") => match Glob::new(&words.at(4).to_ascii_lowercase()) {
            Some(pattern) => Some(pattern),
            None => return out.error(SYNTAX_ERROR),
        },
        _ if filtered && (words.is(3, "ACLCAT") || words.is(3, "MODULE")) => {
            return out.error("ERR COMMAND LIST has FILTERBY PATTERN only: aerodb has no access categories and no modules");
        }
        _ => return out.error(SYNTAX_ERROR),
    };
    let matches = |command: &&Command| {
        pattern.as_ref().is_none_or(|pattern| pattern.matches(command.name.as_bytes(), &mut 0))
    };
    // Redis lists subcommands where a pattern is given.
    let subcommands = COMMANDS.iter().flat_map(|command| command.subcommands).filter(|_| pattern.is_some());
    let names: Vec<&str> = COMMANDS.iter().chain(subcommands).filter(matches).map(|command| command.name).collect();
    out.array(names.len());
    names.into_iter().for_each(|name| out.bulk(name.as_bytes()));
}

/// The HELP of a command with subcommands.
pub(super) fn help(words: Words<'_>, out: &mut Out<'_>) {
    let Some(container) = table::named(words.at(0)) else { return };
    out.array(container.subcommands.len().saturating_mul(2).saturating_add(1));
    let title = container.name.to_ascii_uppercase();
    out.simple(&format!("{title} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"));
    for command in container.subcommands {
        let usage = command.syntax.get(title.len()..).unwrap_or_default();
        out.simple(usage.trim_start());
        out.simple(&format!("    {}.", command.summary));
    }
}

fn describe(command: &Command, out: &mut Out<'_>) {
    out.array(10);
    out.bulk(command.name.as_bytes());
    out.integer(command.arity);
    let flags = command.flags();
    out.set(flags.len());
    flags.iter().for_each(|flag| out.simple(flag));
    let (first, last, step) = command.key_words;
    [first, last, step].into_iter().for_each(|number| out.integer(number));
    out.set(0);
    out.set(0);
    out.set(0);
    out.array(command.subcommands.len());
    command.subcommands.iter().for_each(|subcommand| describe(subcommand, out));
}

fn document(command: &Command, out: &mut Out<'_>) {
    out.bulk(command.name.as_bytes());
    let has_subcommands = !command.subcommands.is_empty();
    out.map(if has_subcommands { 4 } else { 3 });
    for (name, text) in [("summary", command.summary), ("since", command.since), ("group", command.group)] {
        out.bulk(name.as_bytes());
        out.bulk(text.as_bytes());
    }
    if has_subcommands {
        out.bulk(b"subcommands");
        out.map(command.subcommands.len());
        command.subcommands.iter().for_each(|subcommand| document(subcommand, out));
    }
}
