//! The ids of rules in a text.
//!
//! An id is a family (`P5-I`, `R-`, `M-`, `D-`, `F-`, `FMT-`, `RESP-`, `WIRE-`, `REPL-`, `SNAP-`, `READ-`, `EXPL-`, `HTTP-`, `RC-`, `A-`) and capitals or digits behind it, not part of a longer
//! word. A test may also cite one in its name: `d_ack` for the rule on acknowledgements; but not one that begins with an `A`,
//! which in the name of a test is a word of its own.

use crate::source::in_word;

/// Every id in a text, with its offset.
pub(crate) fn ids(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for family in [
        "P5-I", "R-", "M-", "D-", "F-", "FMT-", "RESP-", "WIRE-", "REPL-", "SNAP-", "READ-", "EXPL-", "HTTP-", "RC-",
        "A-",
    ] {
        for (at, _) in text.match_indices(family) {
            let name = &text[at + family.len()..];
            let length = name.bytes().take_while(|b| b.is_ascii_uppercase() || b.is_ascii_digit()).count();
            let before = text[..at].bytes().next_back();
            let after = name.as_bytes().get(length).copied();
            let alone = !before.is_some_and(|b| in_word(b) || b == b'-') && !after.is_some_and(in_word);
            let plausible = match family {
                "P5-I" => length > 0 && name[..length].bytes().all(|b| b.is_ascii_digit()),
                // A single capital behind an A is not yet an id of ours.
                "A-" => length > 2,
                // With a number it is a step of recovery.
                "RC-" => length > 0 && !name[..length].bytes().any(|b| b.is_ascii_digit()),
                _ => length > 0,
            };
            if alone && plausible {
                found.push((at, &text[at..at + family.len() + length]));
            }
        }
    }
    found.sort_unstable();
    found
}

/// Whether the name of a test function cites this id.
pub(crate) fn named(code: &str, id: &str) -> bool {
    if id.starts_with("A-") {
        return false;
    }
    let id = format!("_{}_", id.to_lowercase().replace('-', "_"));
    code.match_indices("fn ").any(|(at, _)| {
        let name = &code[at + "fn ".len()..];
        let length = name.bytes().take_while(|byte| in_word(*byte)).count();
        format!("_{}_", &name[..length]).contains(&id)
    })
}

#[test]
fn ids_are_told_from_words_that_look_like_them() {
    let text = "P5-I1..I17 (F-P1), FMT-* UTF-8 FMT-RUN. P5-I12b R-* CC-BY D-Bus M-VIEW: A-B A-SECTOR xR-READ R-CUT RESP-GLOB RESP3";
    let found: Vec<&str> = ids(text).into_iter().map(|(_, id)| id).collect();
    assert_eq!(found, ["P5-I1", "F-P1", "FMT-RUN", "M-VIEW", "A-SECTOR", "R-CUT", "RESP-GLOB"]);
}

#[test]
fn a_test_may_cite_an_id_in_its_name() {
    assert!(named("fn p5_i1_holds() {}", "P5-I1"));
    assert!(!named("fn p5_i12_holds() {}", "P5-I1"));
    assert!(!named("fn a_sector_is_proven() {}", "A-SECTOR"));
    assert!(named("fn what_is_written_is_there_d_ack() {}", "D-ACK"));
}
