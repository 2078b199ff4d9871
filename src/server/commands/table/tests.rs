//! The table of commands: names, arities, and what is said of what is not there.
//!
//! The words are those of Redis where Redis has the case.

use super::*;
use crate::resp::Request;

fn everything() -> impl Iterator<Item = &'static Command> {
    COMMANDS.iter().chain(COMMANDS.iter().flat_map(|command| command.subcommands))
}

#[test]
fn names_are_sorted_and_each_command_is_found_by_its_own_in_any_case() {
    for commands in [COMMANDS, CLIENT, COMMAND, CONFIG] {
        assert!(commands.windows(2).all(|pair| pair[0].name < pair[1].name));
    }
    for command in everything() {
        let found = named(command.name.to_ascii_uppercase().as_bytes()).unwrap();
        assert_eq!(found.name, command.name);
        let words = command.name.to_ascii_uppercase().replace('|', " ");
        assert!(command.syntax.starts_with(&words), "{}: {}", command.name, command.syntax);
        assert!(!command.summary.is_empty() && !command.summary.ends_with('.'), "{}", command.name);
        assert!(!command.reply.is_empty() || !command.subcommands.is_empty(), "{}", command.name);
    }
    assert!(named(b"client|nothing").is_none() && named(b"nothing|x").is_none() && named(b"").is_none());
}

#[test]
fn what_is_not_there_is_told_in_the_words_of_redis() {
    let text = |words: &[&str]| find(Words::of(&words.iter().collect::<Request>())).map(|command| command.name);
    assert_eq!(text(&["GeT", "k"]), Ok("get"));
    assert_eq!(text(&["client", "ID"]), Ok("client|id"));
    assert_eq!(text(&["command"]), Ok("command"));
    let refused = |words: &[&str], expected: &str| assert_eq!(text(words), Err(format!("ERR {expected}")));
    refused(&["nope"], "unknown command 'nope', with args beginning with: ");
    refused(&["no\r\npe", "a\0b", "c"], "unknown command 'no  pe', with args beginning with: 'a' 'c' ");
    refused(&["client|id"], "unknown command 'client|id', with args beginning with: ");
    refused(&["CLIENT", "kill"], "unknown subcommand 'kill'. Try CLIENT HELP.");
    refused(&["client"], "wrong number of arguments for 'client' command");
    refused(&["client", "setname"], "wrong number of arguments for 'client|setname' command");
    refused(&["get"], "wrong number of arguments for 'get' command");
    let long = "x".repeat(200);
    let shown = &long[..128];
    refused(&[&long, &long, "y"], &format!("unknown command '{shown}', with args beginning with: '{shown}' "));
}
