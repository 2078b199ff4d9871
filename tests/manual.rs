//! The manual page and the completions, in the programs that read them.
//!
//! That nothing of the grammar is missing is asked where the grammar is (`src/cli/manual/`). With the feature `peers` man, zsh and fish are asked
//! too; they must be on the path then.

#![cfg(all(feature = "cli", feature = "replication"))]

mod binary;

use aerodb::Reason;
use binary::Place;

/// A place with a form of the manual in the file of that name.
fn with(form: &str) -> Place {
    let place = Place::new();
    std::fs::write(place.path(form), place.ok(&["manual", form])).unwrap();
    place
}

/// What bash offers for the last of these words.
fn offered_by_bash(place: &Place, words: &str) -> String {
    let said = place.shell(&format!(
        "bash -c '. ./bash; COMP_WORDS=({words}); COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 )); _aerodb; echo \"${{COMPREPLY[*]}}\"'"
    ));
    said.is_silent_success();
    String::from_utf8(said.stdout).unwrap().trim_end().to_owned()
}

#[test]
fn bash_completes_commands_options_and_the_words_of_a_value() {
    let place = with("bash");
    place.shell("bash -n bash").is_silent_success();
    for (words, offered) in [
        ("aerodb rest", "restore"),
        ("aerodb bench lo", "local"),
        ("aerodb bench local --on", "--only"),
        ("aerodb bench local --only me", "memory"),
        ("aerodb init --role \"\"", "standalone primary replica"),
        ("aerodb replica --bootstrap s", "snapshot"),
        ("aerodb get verify --ba", ""),
        ("aerodb explain rec", "recovery"),
        ("aerodb init --segment-bytes \"\"", ""),
    ] {
        assert_eq!(offered_by_bash(&place, words), offered, "{words}");
    }
    assert!(offered_by_bash(&place, "aerodb \"\"").starts_with("serve replica "));
}

#[test]
fn what_is_no_form_of_the_manual_is_refused() {
    Place::new().refused(&["manual", "cmd"], Reason::CliUsage);
}

#[cfg(feature = "peers")]
#[test]
fn the_page_is_set_without_a_warning() {
    let place = with("man");
    let said = place.shell("MANWIDTH=80 LC_ALL=C.UTF-8 man --warnings -l man");
    said.is_silent_success();
    let page = String::from_utf8(said.stdout).unwrap();
    for shown in ["AERODB(1)", "aerodb bench server", "--rebootstrap CODE@POSITION", "\\xHH stand", "{\"text\": …}"] {
        assert!(page.contains(shown), "{shown}");
    }
}

#[cfg(feature = "peers")]
#[test]
fn zsh_reads_its_completion() {
    let place = with("zsh");
    place.shell("zsh -n zsh").is_silent_success();
}

#[cfg(feature = "peers")]
#[test]
fn fish_completes_commands_options_and_the_words_of_a_value() {
    let place = with("fish");
    place.shell("fish -n fish").is_silent_success();
    for (words, offered) in [
        ("aerodb rest", "restore"),
        ("aerodb bench lo", "local"),
        ("aerodb bench local --on", "--only"),
        ("aerodb init --role p", "primary"),
        ("aerodb replica --bootstrap s", "snapshot"),
        ("aerodb get verify --ba", ""),
    ] {
        let said = place.shell(&format!("HOME=$PWD fish -c \". ./fish; complete -C '{words}'\" | cut -f 1"));
        said.is_silent_success();
        assert_eq!(String::from_utf8(said.stdout).unwrap().trim_end(), offered, "{words}");
    }
}
