//! What completes commands in bash, zsh and fish.
//!
//! Commands and options are completed, words that a value can be, and names of files elsewhere. A command is told by the first words, since keys and
//! values may look like anything.

use super::{Entry, flags, help, takes_word, value_name, words};
use clap::Arg;
use std::fmt::Write as _;

/// Values that are names of files.
const PATHS: [&str; 7] = ["DIR", "FILE", "PATH", "OUT", "BACKUP", "A", "B"];

/// For bash.
pub(super) fn bash(entries: &[Entry<'_>]) -> String {
    let (mut tell, mut complete, mut values) = (String::new(), String::new(), String::new());
    for entry in entries {
        let names: Vec<&str> = entry.commands().iter().map(|command| command.get_name()).collect();
        if !names.is_empty() && !entry.path.is_empty() {
            let _ =
                writeln!(tell, "        {}) (( COMP_CWORD > 2 )) && command+=\" ${{COMP_WORDS[2]}}\" ;;", entry.path);
        }
        let options: Vec<String> = entry.options().iter().flat_map(|option| flags(option)).collect();
        let listed = entry.positionals().into_iter().flat_map(words).chain(names.iter().map(ToString::to_string));
        let listed: Vec<String> = listed.collect();
        let (path, options, listed) = (quoted(&entry.path), quoted(&options.join(" ")), quoted(&listed.join(" ")));
        let _ = writeln!(complete, "        {path}) options={options} words={listed} ;;");
        for option in entry.options().into_iter().filter(|option| takes_word(option)) {
            let patterns: Vec<String> =
                flags(option).iter().map(|flag| quoted(&format!("{} {flag}", entry.path))).collect();
            let listed = quoted(&words(option).join(" "));
            let _ = writeln!(values, "        {}) options= words={listed} ;;", patterns.join(" | "));
        }
    }
    format!(
        "# Completes aerodb in bash: what it is not told is a name of a file.
_aerodb() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD-1]}} command= options= words=
    (( COMP_CWORD > 1 )) && command=${{COMP_WORDS[1]}}
    case $command in
{tell}    esac
    case $command in
{complete}    esac
    case \"$command $previous\" in
{values}    esac
    [[ $word == -* ]] && words=$options
    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")
}}
complete -o default -F _aerodb aerodb
"
    )
}

/// For zsh.
pub(super) fn zsh(entries: &[Entry<'_>]) -> String {
    let (mut groups, mut cases) = (String::new(), String::new());
    for entry in entries {
        let commands = entry.commands();
        let path = quoted(&entry.path);
        if commands.is_empty() {
            let arguments =
                entry.options().into_iter().flat_map(zsh_option).chain(entry.positionals().into_iter().map(|arg| {
                    let many = if arg.get_num_args().is_some_and(|range| range.max_values() > 1) { "*" } else { "" };
                    quoted(&format!("{many}:{}:{}", zsh_text(&value_name(arg)), zsh_values(arg)))
                }));
            let _ = writeln!(cases, "        {path}) _arguments {} ;;", arguments.collect::<Vec<_>>().join(" "));
            continue;
        }
        let described = commands.iter().map(|command| {
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            quoted(&format!("{}:{about}", command.get_name()))
        });
        let described = described.collect::<Vec<_>>().join(" ");
        let options = entry.options().into_iter().flat_map(zsh_option).collect::<Vec<_>>().join(" ");
        let _ = writeln!(
            cases,
            "        {path}) commands=({described}); _describe command commands; _arguments {options} ;;"
        );
        if !entry.path.is_empty() {
            let _ =
                writeln!(groups, "        {path}) (( at < CURRENT )) && command+=\" $words[at]\" && (( at += 1 )) ;;");
        }
    }
    format!(
        "#compdef aerodb
_aerodb() {{
    local command= at=2
    local -a commands
    (( at < CURRENT )) && command=$words[at] && (( at += 1 ))
    case $command in
{groups}    esac
    # What is left is the command as one word, and its arguments.
    words=(\"$command\" \"${{(@)words[at,-1]}}\")
    (( CURRENT -= at - 2 ))
    case $command in
{cases}    esac
}}
_aerodb \"$@\"
"
    )
}

fn zsh_option(arg: &Arg) -> Vec<String> {
    let text = zsh_text(&help(arg));
    let value = format!(":{}:{}", zsh_text(&value_name(arg)), zsh_values(arg));
    let spec = |flag: String| match (arg.get_action().takes_values(), takes_word(arg)) {
        (false, _) => format!("{flag}[{text}]"),
        (true, true) => format!("{flag}=[{text}]{value}"),
        // Its value, if it has one, is in the same word.
        (true, false) => format!("{flag}=-[{text}]:{value}"),
    };
    flags(arg).into_iter().map(|flag| quoted(&spec(flag))).collect()
}

fn zsh_values(arg: &Arg) -> String {
    match words(arg) {
        listed if !listed.is_empty() => format!("({})", listed.join(" ")),
        _ if is_path(arg) => "_files".to_owned(),
        _ => " ".to_owned(),
    }
}

/// Text between the brackets and colons of `_arguments`.
pub(super) fn zsh_text(text: &str) -> String {
    let special = |character| matches!(character, '[' | ']' | ':' | '\\');
    text.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect()
}

/// For fish.
pub(super) fn fish(entries: &[Entry<'_>]) -> String {
    let mut lines = String::from(
        "# Completes aerodb in fish.
function __aerodb_is --description 'Whether the command is this one'
    set -l words aerodb (commandline -opc)[2..]
    set -l wanted aerodb $argv
    set -l count (count $wanted)
    test (count $words) -ge $count; and test \"$words[1..$count]\" = \"$wanted\"
end
function __aerodb_ends --description 'The same, and nothing follows it'
    __aerodb_is $argv; and test (count (commandline -opc)) -eq (math 1 + (count $argv))
end
",
    );
    for entry in entries {
        let is = format!("complete -c aerodb -n {}", quoted(format!("__aerodb_is {}", entry.path).trim_end()));
        let ends = format!("complete -c aerodb -n {}", quoted(format!("__aerodb_ends {}", entry.path).trim_end()));
        let commands = entry.commands();
        for command in &commands {
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            let _ = writeln!(lines, "{ends} -f -a {} -d {}", command.get_name(), fish_quoted(&about));
        }
        for arg in entry.positionals().into_iter().filter(|arg| !words(arg).is_empty()) {
            let _ = writeln!(lines, "{is} -a {} -d {}", quoted(&words(arg).join(" ")), fish_quoted(&help(arg)));
        }
        for option in entry.options() {
            let value = match words(option) {
                listed if !listed.is_empty() => format!(" -x -a {}", quoted(&listed.join(" "))),
                _ if !takes_word(option) => String::new(),
                _ if is_path(option) => " -r -F".to_owned(),
                _ => " -x".to_owned(),
            };
            let short = option.get_short().map_or_else(String::new, |short| format!(" -s {short}"));
            let long = option.get_long().map_or_else(String::new, |long| format!(" -l {long}"));
            let at = if commands.is_empty() { &is } else { &ends };
            let _ = writeln!(lines, "{at}{short}{long}{value} -d {}", fish_quoted(&help(option)));
        }
    }
    lines
}

fn is_path(arg: &Arg) -> bool {
    PATHS.contains(&value_name(arg).as_str())
}

/// A word of the shell.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// The same in fish, which escapes inside of quotes.
fn fish_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}
