//! `aerodb manual`: the manual page, and what completes commands in a shell, made of the grammar.
//!
//! ```text
//! grammar ──► entries (a command and the words that name it) ──► man | bash | zsh | fish
//! ```
//!
//! Nothing of it is kept in a file, so nothing of it can be older than the program. Deliberately absent: anything that depends on the machine,
//! the time or the directory; the same program prints the same bytes.

mod man;
mod shells;

use crate::cli::output::Output;
use crate::cli::{args, grammar};
use aerodb::Result;
use aerodb::config::{Kind, SETTINGS};
use clap::{Arg, ArgMatches, Command};

/// What can be printed, by its name.
pub(crate) const FORMS: [&str; 4] = ["man", "bash", "zsh", "fish"];

/// Prints one of them.
pub(crate) fn manual(matches: &ArgMatches, out: &mut Output) -> Result<()> {
    let form = matches.get_one::<String>("FORM").map_or("", String::as_str);
    let mut root = grammar::grammar(false);
    root.build();
    let entries = entries(&root);
    let text = match form {
        "man" => man::page(&entries),
        "bash" => shells::bash(&entries),
        "zsh" => shells::zsh(&entries),
        "fish" => shells::fish(&entries),
        other => return Err(args::usage(format!("there is no manual {other}"))),
    };
    out.raw(text.as_bytes())
}

/// A command, and the words that name it; none for the whole program.
struct Entry<'a> {
    path: String,
    command: &'a Command,
}

/// All commands, each before those that it has.
fn entries(root: &Command) -> Vec<Entry<'_>> {
    fn add<'a>(path: String, command: &'a Command, found: &mut Vec<Entry<'a>>) {
        found.push(Entry { path: path.clone(), command });
        for inner in commands(command) {
            add(format!("{path} {}", inner.get_name()).trim_start().to_owned(), inner, found);
        }
    }
    let mut found = Vec::new();
    add(String::new(), root, &mut found);
    found
}

impl<'a> Entry<'a> {
    fn about(&self) -> String {
        self.command.get_about().map(ToString::to_string).unwrap_or_default()
    }

    fn commands(&self) -> Vec<&'a Command> {
        commands(self.command).collect()
    }

    fn options(&self) -> Vec<&'a Arg> {
        self.command.get_arguments().filter(|arg| !arg.is_positional()).collect()
    }

    fn positionals(&self) -> Vec<&'a Arg> {
        self.command.get_positionals().collect()
    }
}

/// The commands of a command, without the one for help that each has.
fn commands(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|inner| inner.get_name() != "help")
}

/// The forms of an option: `--json`, `-h`.
fn flags(arg: &Arg) -> Vec<String> {
    let short = arg.get_short().map(|short| format!("-{short}"));
    short.into_iter().chain(arg.get_long().map(|long| format!("--{long}"))).collect()
}

/// Whether a word of its own follows.
fn takes_word(arg: &Arg) -> bool {
    arg.get_action().takes_values() && !arg.is_require_equals_set()
}

/// What the value is called.
fn value_name(arg: &Arg) -> String {
    let names = arg.get_value_names().unwrap_or_default().iter().map(ToString::to_string);
    names.collect::<Vec<_>>().join(" ")
}

/// The words that the value can be, where there are not more than can be listed. Those of a setting are told by its table.
fn words(arg: &Arg) -> Vec<String> {
    let setting = SETTINGS.iter().find(|setting| setting.name == arg.get_id().as_str());
    match setting.map(|setting| setting.kind) {
        Some(Kind::Words(words)) => words.iter().map(ToString::to_string).collect(),
        None if arg.get_action().takes_values() => {
            arg.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect()
        }
        _ => Vec::new(),
    }
}

/// What it is for, on one line.
fn help(arg: &Arg) -> String {
    arg.get_help().map(ToString::to_string).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is in the grammar is in each form, and each form says nothing of what is not.
    #[test]
    fn every_command_and_every_option_stands_in_the_page_and_in_each_completion() {
        let mut root = grammar::grammar(false);
        root.build();
        let entries = entries(&root);
        assert!(entries.len() > 20 && entries.iter().any(|entry| entry.path == "bench local"));
        let page = man::page(&entries);
        let sections: Vec<&str> = page.split("\n.SS ").collect();
        for entry in entries.iter().filter(|entry| !entry.path.is_empty()) {
            let title = format!("aerodb {}\n", entry.path);
            let section = sections.iter().find(|section| section.starts_with(&title)).expect("a section of its own");
            for option in entry.options() {
                let shown = flags(option).join(", ").replace('-', "\\-");
                assert!(section.contains(&format!("\\fB{shown}\\fR")), "{}: {shown}", entry.path);
            }
        }
        assert_eq!(sections.len(), entries.len(), "one section a command, and what stands before them");
        for shell in [shells::bash(&entries), shells::zsh(&entries), shells::fish(&entries)] {
            for entry in &entries {
                let last = entry.path.rsplit(' ').next().unwrap_or_default();
                assert!(shell.contains(last), "{}", entry.path);
                for long in entry.options().iter().filter_map(|option| option.get_long()) {
                    assert!(shell.contains(long), "{} --{long}", entry.path);
                }
            }
        }
    }

    #[test]
    fn what_a_page_or_a_shell_would_read_as_its_own_is_escaped() {
        assert_eq!(man::escaped("a-b \\n … 'x"), "a\\-b \\en \\[u2026] 'x");
        assert_eq!(man::escaped(".PP"), "\\&.PP");
        assert_eq!(shells::quoted("it's"), "'it'\\''s'");
        assert_eq!(shells::zsh_text("a [b]: c\\d"), "a \\[b\\]\\: c\\\\d");
    }
}
