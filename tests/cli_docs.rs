//! The examples of `docs/cli.md` are real: they are run, in order, in one directory, and must print what the page shows.
//!
//! In a block of the kind `console`, a line that begins with `$ ` is a command; what follows up to the next one is what it prints,
//! both streams together. Identifiers, hashes and histories differ from run to run, so hexadecimal words of 16 and 32 digits
//! count as equal; so do ports on loopback. `AERODB_BLESS=1 cargo test --test cli_docs` writes the page anew.

#![cfg(all(feature = "cli", feature = "replication"))]

mod binary;

use std::path::Path;
use std::process::{Command, Stdio};

/// What a command prints, in the shell that a reader of the page would use.
fn output(directory: &Path, command: &str) -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_aerodb")).parent().unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    let mut shell = Command::new("sh");
    binary::without_settings(&mut shell);
    let output = shell
        .args(["-c", &format!("{{ {command}; }} 2>&1")])
        .current_dir(directory)
        .env("PATH", format!("{}:{path}", program.display()))
        .env("TMPDIR", "/tmp")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// The text with what differs from run to run masked.
fn masked(text: &str) -> String {
    ["127.0.0.1:", "redis-cli -p "].iter().fold(without_identifiers(text), |text, before| without_ports(&text, before))
}

/// The text with the digits masked that stand behind this.
fn without_ports(text: &str, before: &str) -> String {
    let mut parts = text.split(before);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| format!("{text}{before}#{}", part.trim_start_matches(|c: char| c.is_ascii_digit())))
}

/// The text with its identifiers, hashes and histories masked.
fn without_identifiers(text: &str) -> String {
    let mut masked = String::new();
    let mut word = String::new();
    let end_word = |word: &mut String, masked: &mut String| {
        masked.push_str(if matches!(word.len(), 16 | 32) { "#" } else { word });
        word.clear();
    };
    for character in text.chars() {
        if character.is_ascii_digit() || ('a'..='f').contains(&character) {
            word.push(character);
        } else {
            end_word(&mut word, &mut masked);
            masked.push(character);
        }
    }
    end_word(&mut word, &mut masked);
    masked
}

#[test]
fn the_examples_of_the_page_are_real() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/cli.md");
    let text = std::fs::read_to_string(&page).unwrap();
    let place = tempfile::tempdir().unwrap();
    let mut real = String::new();
    let mut in_console = false;
    for line in text.lines() {
        let fence = line.starts_with("```");
        if fence {
            in_console = !in_console && line == "```console";
        }
        if !in_console || fence {
            real.push_str(line);
            real.push('\n');
        } else if let Some(command) = line.strip_prefix("$ ") {
            real.push_str(line);
            real.push('\n');
            real.push_str(&output(place.path(), command));
        }
    }
    if std::env::var_os("AERODB_BLESS").is_some() && masked(&text) != masked(&real) {
        std::fs::write(&page, &real).unwrap();
        return;
    }
    for (number, (shown, real)) in masked(&text).lines().zip(masked(&real).lines()).enumerate() {
        assert_eq!(shown, real, "docs/cli.md, line {}", number + 1);
    }
    assert_eq!(text.lines().count(), real.lines().count(), "docs/cli.md (AERODB_BLESS=1 writes it)");
}

#[test]
fn ports_on_loopback_are_masked() {
    assert_eq!(
        masked("redis-cli -p 40001 get 7 from 127.0.0.1:6380, page"),
        "redis-cli -p # get 7 from 127.0.0.1:#, page"
    );
}

#[test]
fn only_words_of_the_length_of_an_identifier_or_a_history_are_masked() {
    assert_eq!(masked("commit 7 0123456789abcdef, 00000000000000000001.seg"), "commit 7 #, 00000000000000000001.seg");
    assert_eq!(masked("0123456789abcdef0123456789abcdef"), "#");
}
