//! Paths in code: `std::fs::File`, and the same inside the braces of a `use`.

use crate::source::{in_word, words};

/// Every path that begins with this word, taken apart, with the offset of that word; a group in braces gives one each.
pub(crate) fn paths(code: &str, root: &str) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    for at in words(code, root) {
        let before = code[..at].trim_end();
        let inside = before.strip_suffix("::").is_some_and(|before| before.bytes().next_back().is_some_and(in_word));
        let mut leaves = Vec::new();
        if !inside && follow(code, at + root.len(), &mut Vec::new(), &mut leaves) {
            found.extend(leaves.into_iter().map(|leaf| (at, leaf)));
        }
    }
    found
}

/// The first words behind this root.
pub(crate) fn first_words(code: &str, root: &str) -> Vec<(usize, String)> {
    paths(code, root).into_iter().filter_map(|(at, path)| Some((at, path.into_iter().next()?))).collect()
}

/// Follows `::` and what comes behind it; whether there was anything.
fn follow(code: &str, at: usize, prefix: &mut Vec<String>, leaves: &mut Vec<Vec<String>>) -> bool {
    let Some(rest) = code[at..].trim_start().strip_prefix("::") else { return false };
    branch(code, code.len() - rest.len(), prefix, leaves)
}

fn branch(code: &str, at: usize, prefix: &mut Vec<String>, leaves: &mut Vec<Vec<String>>) -> bool {
    let rest = code[at..].trim_start();
    let at = code.len() - rest.len();
    if rest.starts_with('{') {
        for item in items(code, at + 1) {
            branch(code, item, prefix, leaves);
        }
        return true;
    }
    let length = if rest.starts_with('*') { 1 } else { rest.bytes().take_while(|byte| in_word(*byte)).count() };
    if length == 0 {
        return false;
    }
    prefix.push(rest[..length].to_owned());
    if !follow(code, at + length, prefix, leaves) {
        leaves.push(prefix.clone());
    }
    prefix.pop();
    true
}

/// Where the items begin in the braces that were opened before here.
fn items(code: &str, first: usize) -> Vec<usize> {
    let mut begins = vec![first];
    let mut depth = 0;
    for (offset, byte) in code.bytes().enumerate().skip(first) {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 0 => break,
            b'}' => depth -= 1,
            b',' if depth == 0 => begins.push(offset + 1),
            _ => {}
        }
    }
    begins
}

#[test]
fn paths_are_found_in_expressions_and_in_nested_groups() {
    let code = "use std::{fs, io::{self, Read as _}, thread::*}; let a = std::time::Instant::now(); my::std::x; Vec::<std::net::A>";
    let found: Vec<String> = paths(code, "std").into_iter().map(|(_, path)| path.join("/")).collect();
    assert_eq!(found, ["fs", "io/self", "io/Read", "thread/*", "time/Instant/now", "net/A"]);
}
