//! The documents as text: tables that are generated, rows that are compared, links that must lead somewhere.
//!
//! A generated table stands between `<!-- table: name -->` and `<!-- end of table -->`. With `AERODB_BLESS=1` in the
//! environment it is rewritten; without it, one that differs is a failure that shows how it should be.

use crate::ids::ids;
use crate::source::{Source, words};
use std::env;
use std::fs;
use std::path::Path;

const END: &str = "<!-- end of table -->";

/// A row of a table, its cells trimmed.
pub(crate) type Row = Vec<String>;

/// The text of a table.
pub(crate) fn table(head: &[&str], rows: &[Row]) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let head: Vec<String> = head.iter().map(|cell| (*cell).to_owned()).collect();
    let rule = format!("|{}\n", "---|".repeat(head.len()));
    let rows: String = rows.iter().map(|row| line(&row.iter().map(|cell| escape(cell)).collect::<Vec<_>>())).collect();
    format!("{}{rule}{rows}", line(&head))
}

fn escape(cell: &str) -> String {
    cell.replace('\\', "\\\\").replace('|', "\\|")
}

/// Compares a generated table of a document with what it should be, or rewrites it when asked to.
pub(crate) fn generated(root: &Path, document: &str, name: &str, wanted: &str) -> Option<String> {
    let path = root.join(document);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{document}: {error}"));
    let begin = format!("<!-- table: {name} -->\n");
    let Some((before, rest)) = text.split_once(&begin) else {
        return Some(format!("{document}: there is no line `{}`", begin.trim_end()));
    };
    let Some((_, after)) = rest.split_once(END) else {
        return Some(format!("{document}: the table `{name}` has no end"));
    };
    let current = format!("{before}{begin}{wanted}{END}{after}");
    if current == text {
        None
    } else if env::var_os("AERODB_BLESS").is_some() {
        fs::write(&path, current).unwrap_or_else(|error| panic!("{document}: {error}"));
        None
    } else {
        Some(format!("{document}: the table `{name}` should be (AERODB_BLESS=1 writes it):\n{wanted}"))
    }
}

/// The rows of all tables in a text whose first cell is the id of a rule.
pub(crate) fn rule_rows(text: &str) -> Vec<Row> {
    let rows = text.lines().filter_map(|line| line.trim().strip_prefix('|')?.strip_suffix('|'));
    let rows = rows.map(|row| row.replace("\\|", "\0"));
    let rows = rows.map(|row| row.split('|').map(|cell| cell.trim().replace('\0', "|")).collect::<Row>());
    rows.filter(|row| row.first().is_some_and(|cell| ids(cell).first().is_some_and(|(_, id)| *id == cell))).collect()
}

/// The words between backticks.
pub(crate) fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// Links of a document that lead nowhere, files of ours that it cites and that are not there, or not the test that is named in them, and paths in it that exist on one machine only.
pub(crate) fn dead_ends(root: &Path, document: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let folder = root.join(document).parent().map(Path::to_owned).unwrap_or_default();
    for (at, _) in text.match_indices("](") {
        let target = text[at + 2..].split([')', ' ', '\n']).next().unwrap_or_default();
        let file = target.split('#').next().unwrap_or_default();
        let elsewhere = ["http://", "https://", "mailto:"].iter().any(|scheme| target.starts_with(scheme));
        if !elsewhere && !file.is_empty() && !folder.join(file).exists() {
            found.push(format!("{document}: the link to `{target}` leads nowhere"));
        }
    }
    for cited in quoted(text) {
        let is_path = ["src/", "tests/", "loom-tests/"].iter().any(|folder| cited.starts_with(folder));
        let (path, test) = cited.split_once("::").map_or((cited, None), |(path, test)| (path, Some(test)));
        if is_path && !cited.contains('*') && !root.join(path).exists() {
            found.push(format!("{document}: there is no `{path}`"));
        } else if let (true, Some(test)) = (is_path, test) {
            let source = Source::new(path, &fs::read_to_string(root.join(path)).expect(path));
            if words(source.code(), test).is_empty() {
                found.push(format!("{document}: `{path}` has no `{test}`"));
            }
        }
    }
    for place in ["/home/", "/root/", "/Users/", "/work/", "/mnt/", "C:\\"] {
        for (at, _) in text.match_indices(place) {
            if !text[..at]
                .bytes()
                .next_back()
                .is_some_and(|byte| byte.is_ascii_alphanumeric() || b"./-_".contains(&byte))
            {
                found.push(format!("{document}: `{place}…` is a path of one machine"));
            }
        }
    }
    found
}

/// The rows of tables with the head `Proven by` that name nothing there.
pub(crate) fn unproven(document: &str, text: &str) -> Vec<String> {
    let (mut found, mut proving) = (Vec::new(), false);
    for line in text.lines() {
        let last = line.strip_suffix('|').and_then(|row| row.rsplit('|').next()).map(str::trim);
        proving = last.is_some() && (proving || last == Some("Proven by"));
        if last.is_some_and(|cell| proving && !["Proven by", "---"].contains(&cell) && !cell.contains('`')) {
            found.push(format!("{document}: nothing proves `{line}`"));
        }
    }
    found
}

/// The Markdown files of the project.
pub(crate) fn documents(root: &Path) -> Vec<(String, String)> {
    let mut names: Vec<String> = Vec::new();
    for folder in ["", "docs/"] {
        let entries = fs::read_dir(root.join(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
        let files =
            entries.map(|entry| entry.expect("an entry of the tree").file_name().to_string_lossy().into_owned());
        names.extend(files.filter(|name| name.ends_with(".md")).map(|name| format!("{folder}{name}")));
    }
    names.sort();
    names
        .into_iter()
        .map(|name| (fs::read_to_string(root.join(&name)).expect(&name), name))
        .map(|(t, n)| (n, t))
        .collect()
}

#[test]
fn a_dead_link_and_a_path_of_one_machine_are_found() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let found = |text: &str| dead_ends(root, "docs/formats.md", text).len();
    assert_eq!(found("[a](formats.md#run) [b](../Cargo.toml) [c](https://example.org/home/x) [d](#here)"), 0);
    assert_eq!(found("[a](absent.md) in /home/somebody"), 2);
    assert_eq!(found("`src/lib.rs`, `tests/tidy`, `src/*/machine.rs`, `cargo test`"), 0);
    assert_eq!(found("`tests/absent.rs` and `src/absent/lib.rs`"), 2);
    let (here, absent) = ("`tests/tidy/docs.rs::rows_are_read_as_they_are_written`", "`tests/tidy/docs.rs::nobody`");
    assert_eq!((found(here), found(absent)), (0, 1));
}

#[test]
fn a_claim_that_names_no_proof_is_found() {
    let found = |text: &str| unproven("docs/readiness.md", text).len();
    assert_eq!(
        found(
            "| Asked | Proven by |\n|---|---|\n| a | `tests/a.rs` |\n\n| Not here | Instead |\n|---|---|\n| b | c |\n"
        ),
        0
    );
    assert_eq!(found("| Asked | Proven by |\n|---|---|\n| a | `tests/a.rs` |\n| b | |\n| c | soon |\n"), 2);
}

#[test]
fn rows_are_read_as_they_are_written() {
    let row: Row = vec!["M-VIEW".to_owned(), "a | b".to_owned()];
    assert_eq!(rule_rows(&table(&["Id", "Rule"], std::slice::from_ref(&row))), [row]);
    assert_eq!(quoted("`a.b`, then `c`"), ["a.b", "c"]);
}
