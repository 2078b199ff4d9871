//! The house rules, checked on the source tree as text.
//!
//! What a compiler can't see: that imports point down, that each door is the only one, that every file says what it is, that
//! the documents show the tables of the program, and that every rule and every reason has a test. Each check is a function from
//! texts to violations, prints all of them at once, and is itself tried on a text that violates it (`tests/tidy/`).
//!
//! `AERODB_BLESS=1 cargo test --test tidy` rewrites the generated tables of the documents.

#[path = "tidy/docs.rs"]
mod docs;
#[path = "tidy/ids.rs"]
mod ids;
#[path = "tidy/layers.rs"]
mod layers;
#[path = "tidy/names.rs"]
mod names;
#[path = "tidy/paths.rs"]
mod paths;
#[path = "tidy/source.rs"]
mod source;

use aerodb::config::{SETTINGS, Setting};
use aerodb::reason::{Reason, Retry};
use aerodb::rules::{RULES, Rule, lookup};
use source::Source;
use std::env;
use std::fs;
use std::path::Path;

const LINES_MAX: usize = 800;
/// The ids in the helpers' own examples cite nothing.
const HELPERS: &str = "tests/tidy/";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn all() -> Vec<Source> {
    source::read(root(), &["src", "tests", "benches", "loom-tests"])
}

fn assert_none(violations: &[String]) {
    assert!(violations.is_empty(), "{} violations:\n{}\n", violations.len(), violations.join("\n"));
}

/// P5-I13: who owns what is a matter of structure, so structure is checked.
#[test]
fn imports_point_down_and_siblings_do_not_know_each_other() {
    assert_none(&layers::violations(&source::read(root(), &["src"])));
}

/// R-AUTHORITY: no clock, no time-out, no thread and no socket outside its door, so nothing else can decide by them.
#[test]
fn each_name_stands_behind_its_door_only() {
    assert_none(&names::violations(&all()));
}

#[test]
fn every_file_says_what_it_is_and_is_short_enough_to_read() {
    let mut violations = Vec::new();
    for Source { path, raw, .. } in &source::read(root(), &["src"]) {
        let header = raw.lines().take_while(|line| line.starts_with("//!")).count();
        let header_min = if path.ends_with("/mod.rs") { 5 } else { 3 };
        if header < header_min {
            violations.push(format!("{path}: the header has {header} lines, {header_min} are the least"));
        }
        if raw.lines().count() > LINES_MAX {
            violations.push(format!("{path}: {} lines, {LINES_MAX} are the most", raw.lines().count()));
        }
    }
    assert_none(&violations);
}

fn rule_table(of: impl Fn(&Rule) -> bool) -> String {
    let cells = |rule: &Rule| vec![rule.id.to_owned(), rule.sentence.to_owned(), rule.stage.to_string()];
    docs::table(&["Id", "Rule", "Stage"], &RULES.iter().filter(|rule| of(rule)).map(cells).collect::<Vec<_>>())
}

/// The rules of the gate in the order in which they are applied, and what each refuses with.
fn gate_table() -> String {
    use aerodb::gate::{Authority, Check, Facts, Line, Phase, Prefix};
    use aerodb::{CommitId, Position};
    let facts = |line| Facts {
        authority: Authority::Follower,
        phase: Phase::Open,
        halted: false,
        prefix: Prefix::Own,
        applied: CommitId::NONE,
        floor: CommitId::NONE,
        line: Some(line),
    };
    let lines = [Line::Other(None), Line::Behind(Position::GENESIS), Line::Unread].map(facts);
    let cells = |check: &Check| {
        let mut reasons: Vec<String> = lines.iter().map(|facts| format!("`{}`", check.reason(facts))).collect();
        reasons.dedup();
        let sentence = aerodb::rules::lookup(check.name()).map_or("", |rule| rule.sentence);
        vec![check.to_string(), check.holds_where().to_owned(), reasons.join(", "), sentence.to_owned()]
    };
    let rows: Vec<_> = Check::ALL.iter().map(cells).collect();
    docs::table(&["Rule", "Holds where", "Refused with", "What it is there for"], &rows)
}

fn reason_table() -> String {
    let cells = |reason: &Reason| {
        let number = reason.number().to_string();
        let name = format!("`{reason}`");
        vec![number, name, reason.retry().to_string(), reason.sentence().to_owned(), reason.remedy().to_owned()]
    };
    docs::table(&["Number", "Name", "Retry", "Sentence", "Remedy"], &Reason::ALL.iter().map(cells).collect::<Vec<_>>())
}

#[cfg(feature = "server")]
fn command_table() -> String {
    use aerodb::server::commands::table::{COMMANDS, Command};
    let cells = |command: &Command| {
        let syntax = format!("`{}`", command.syntax);
        let codes: Vec<&str> = command.codes().iter().map(|codes| codes.name).collect();
        [&syntax, command.summary, command.reply, &codes.join(", "), command.differs].map(str::to_owned).to_vec()
    };
    let shown = COMMANDS.iter().flat_map(|command| match command.subcommands {
        [] => std::slice::from_ref(command).iter().chain(&[]),
        subcommands if command.arity == -1 => std::slice::from_ref(command).iter().chain(subcommands),
        subcommands => [].iter().chain(subcommands),
    });
    docs::table(&["Command", "What it does", "Reply", "Codes", "Unlike Redis"], &shown.map(cells).collect::<Vec<_>>())
}

/// The sets of codes that the table of commands names.
#[cfg(feature = "server")]
fn code_table() -> String {
    let cells = |codes: &&aerodb::server::commands::codes::Codes| {
        let reasons: Vec<String> = codes.reasons.iter().map(|reason| format!("`{reason}`")).collect();
        vec![codes.name.to_owned(), reasons.join(", ")]
    };
    docs::table(&["Codes", "Which"], &aerodb::server::commands::codes::ALL.iter().map(cells).collect::<Vec<_>>())
}

#[cfg(feature = "server")]
#[test]
fn the_documented_commands_are_those_of_the_program_resp_command() {
    let tables = [("commands", command_table()), ("codes", code_table())];
    let stale = |(name, table): &(&str, String)| docs::generated(root(), "docs/resp.md", name, table);
    assert_none(&tables.iter().filter_map(stale).collect::<Vec<_>>());
}

fn setting_table() -> String {
    let cells = |setting: &Setting| {
        let (code, bounds) = (|text: &str| format!("`{text}`"), setting.bounds());
        let takes = if bounds.is_empty() { code(setting.kind.placeholder()) } else { bounds };
        let default = if setting.default.is_empty() { "not set".to_owned() } else { code(setting.default) };
        vec![code(setting.name), code(&setting.variable()), takes, default, setting.sentence.to_owned()]
    };
    docs::table(&["Name", "Variable", "Takes", "Default", "Meaning"], &SETTINGS.iter().map(cells).collect::<Vec<_>>())
}

/// The exit statuses by what whoever starts the node again has to know.
fn status_table() -> String {
    let row = |class: Retry, what: &str| vec![class.to_string(), exit_statuses(&[class]), what.to_owned()];
    let rows = [
        row(
            Retry::Change,
            "do not start it again: correct what is named, in the settings or in the directory that is meant",
        ),
        row(Retry::Operator, "do not start it again: look at the evidence, do what the remedy says"),
        row(Retry::Restart, "start it again; recovery finds out what is there"),
        row(Retry::Later, "start it again, later"),
    ];
    docs::table(&["Retry", "Exit statuses", "What to do"], &rows)
}

fn exit_statuses(classes: &[Retry]) -> String {
    let reasons = Reason::ALL.iter().filter(|reason| classes.contains(&reason.retry()));
    reasons.map(|reason| reason.number().to_string()).collect::<Vec<_>>().join(" ")
}

/// A restart does not help where a person must act, and hides that one must.
#[test]
fn the_unit_starts_nothing_again_that_needs_a_person() {
    let path = root().join("packaging/aerodb.service");
    let unit = fs::read_to_string(&path).expect("packaging/aerodb.service");
    let name = "RestartPreventExitStatus=";
    let wanted = format!("{name}{}", exit_statuses(&[Retry::Change, Retry::Operator]));
    let lines: Vec<&str> = unit.lines().filter(|line| line.starts_with(name)).collect();
    if env::var_os("AERODB_BLESS").is_some() && lines.len() == 1 {
        fs::write(&path, unit.replace(lines[0], &wanted)).expect("packaging/aerodb.service");
        return;
    }
    assert_eq!(lines, [wanted], "packaging/aerodb.service (AERODB_BLESS=1 writes it)");
    assert!(unit.contains("\nStartLimitIntervalSec=0\n"), "what is to be started again is not given up");
}

/// The limits as `src/limits.rs` declares them: the comment before a constant is its meaning.
fn limit_table() -> String {
    let source = fs::read_to_string(root().join("src/limits.rs")).expect("src/limits.rs");
    let (mut rows, mut meaning) = (Vec::new(), Vec::new());
    for line in source.lines() {
        if let Some(sentence) = line.strip_prefix("/// ") {
            meaning.push(sentence);
        } else if let Some((name, value)) = line.strip_prefix("pub const ").and_then(|line| line.split_once(": ")) {
            let value = value.split_once(" = ").map_or(value, |(_, value)| value).trim_end_matches(';');
            rows.push(vec![format!("`{name}`"), format!("`{value}`"), meaning.join(" ")]);
            meaning.clear();
        }
    }
    docs::table(&["Limit", "Value", "Meaning"], &rows)
}

#[test]
fn generated_tables_of_the_documents_are_those_of_the_program() {
    let family = |prefix: &'static str| rule_table(move |rule| rule.id.starts_with(prefix));
    let model = |name: &str, wanted: &str| docs::generated(root(), "docs/model.md", name, wanted);
    let differing = [
        docs::generated(root(), "docs/reasons.md", "reasons", &reason_table()),
        docs::generated(root(), "docs/config.md", "settings", &setting_table()),
        docs::generated(root(), "docs/read-semantics.md", "gate", &gate_table()),
        docs::generated(root(), "docs/operations.md", "statuses", &status_table()),
        model("P5", &family("P5-")),
        model("R", &family("R-")),
        model("M", &family("M-")),
        model("D", &family("D-")),
        model("FMT", &family("FMT-")),
        model("RESP", &family("RESP-")),
        model("HTTP", &family("HTTP-")),
        model("WIRE", &family("WIRE-")),
        model("REPL", &family("REPL-")),
        model("SNAP", &family("SNAP-")),
        model("READ", &family("READ-")),
        model("EXPL", &family("EXPL-")),
        model("RC", &family("RC-")),
        model("A", &family("A-")),
        model("limits", &limit_table()),
    ];
    assert_none(&differing.into_iter().flatten().collect::<Vec<_>>());
}

#[test]
fn the_failure_matrix_says_what_the_rules_say_and_names_only_known_reasons() {
    let text = fs::read_to_string(root().join("docs/failure-matrix.md")).expect("docs/failure-matrix.md");
    let (rows, sources) = (docs::rule_rows(&text), all());
    let mut violations = Vec::new();
    for rule in RULES.iter().filter(|rule| rule.id.starts_with("F-")) {
        if rows.iter().filter(|row| row[0] == rule.id).count() != 1 {
            violations.push(format!("{} must have one row", rule.id));
        }
    }
    for row in &rows {
        let [id, what, outcome, reasons, stage, proof] = row.as_slice() else {
            violations.push(format!("{}: a row has six cells", row[0]));
            continue;
        };
        let shown = (format!("{what}: {outcome}."), stage.as_str());
        match lookup(id) {
            Some(rule) if (rule.sentence, rule.stage.name()) == (shown.0.as_str(), shown.1) => {}
            Some(rule) => violations.push(format!(
                "{id}: the document says\n  {} ({})\nand src/rules.rs says\n  {} ({})",
                shown.0, shown.1, rule.sentence, rule.stage
            )),
            None => violations.push(format!("{id} is not in src/rules.rs")),
        }
        for name in docs::quoted(reasons) {
            if !Reason::ALL.iter().any(|reason| reason.name() == name) {
                violations.push(format!("{id}: there is no reason `{name}`"));
            }
        }
        if docs::quoted(proof).is_empty() {
            violations.push(format!("{id}: no test is named"));
        }
        for place in docs::quoted(proof) {
            if !sources.iter().any(|source| cites(source, place, id)) {
                violations.push(format!("{id}: `{place}` is named, and no test there cites the row"));
            }
        }
    }
    assert_none(&violations);
}

/// Whether the tests of a file cite an id: of this file, or of one in this folder.
fn cites(source: &Source, place: &str, id: &str) -> bool {
    let there = source.path == place || source.path.strip_prefix(place).is_some_and(|rest| rest.starts_with('/'));
    there && (ids::ids(&source.test_raw()).iter().any(|(_, cited)| *cited == id) || ids::named(&source.test_code(), id))
}

/// P5-I17: every rule, of every stage, and every row of the failure matrix.
#[test]
fn every_rule_is_cited_by_a_test() {
    let tests: Vec<Source> = all().into_iter().filter(|source| !source.path.starts_with(HELPERS)).collect();
    let texts: Vec<(String, String)> = tests.iter().map(|source| (source.test_raw(), source.test_code())).collect();
    let cited = |rule: &&Rule| {
        let in_text = |raw: &String| ids::ids(raw).iter().any(|(_, id)| *id == rule.id);
        texts.iter().any(|(raw, code)| in_text(raw) || ids::named(code, rule.id))
    };
    let missing: Vec<String> =
        RULES.iter().filter(|rule| !cited(rule)).map(|rule| format!("{}: no test cites it", rule.id)).collect();
    assert_none(&missing);
}

#[test]
fn every_id_that_is_cited_is_a_rule_and_every_rule_stands_in_the_documents() {
    let documents = docs::documents(root());
    let sources = all();
    let code = sources.iter().filter(|source| !source.path.starts_with(HELPERS));
    let texts = code.map(|source| (&source.path, &source.raw)).chain(documents.iter().map(|(name, text)| (name, text)));
    let mut violations = Vec::new();
    for (path, text) in texts {
        for (at, id) in ids::ids(text) {
            if lookup(id).is_none() {
                violations.push(format!("{path}:{}: {id} is not a rule", text[..at].matches('\n').count() + 1));
            }
        }
    }
    for rule in RULES {
        let shown = |name: &str| {
            let document = documents.iter().find(|(document, _)| document == name);
            document.is_some_and(|(_, text)| docs::rule_rows(text).iter().any(|row| row[0] == rule.id))
        };
        if !shown("docs/model.md") && !shown("docs/failure-matrix.md") {
            violations.push(format!("{}: no table of the documents shows it", rule.id));
        }
        for (family, page) in [("FMT-", "docs/formats.md"), ("RESP-", "docs/resp.md"), ("HTTP-", "docs/http.md")] {
            let text = documents.iter().find(|(document, _)| document == page).map_or("", |(_, text)| text);
            if rule.id.starts_with(family) && !ids::ids(text).iter().any(|(_, id)| *id == rule.id) {
                violations.push(format!("{}: {page} does not define it", rule.id));
            }
        }
    }
    assert_none(&violations);
}

/// P5-I17, for refusals: none that nobody has seen.
#[test]
fn every_reason_is_expected_by_a_test() {
    let tests: Vec<String> = all().iter().map(Source::test_code).collect();
    let expected = |reason: &&Reason| {
        let variant = format!("Reason::{reason:?}");
        tests.iter().any(|code| !source::words(code, &variant).is_empty())
    };
    let missing: Vec<String> = Reason::ALL
        .iter()
        .filter(|reason| !expected(reason))
        .map(|reason| format!("Reason::{reason:?} (`{reason}`): no test mentions it"))
        .collect();
    assert_none(&missing);
}

#[test]
fn links_of_the_documents_lead_somewhere() {
    let documents = docs::documents(root());
    let dead_ends = documents.iter().flat_map(|(name, text)| docs::dead_ends(root(), name, text));
    assert_none(&dead_ends.collect::<Vec<_>>());
}

#[test]
fn every_claim_of_readiness_and_compatibility_names_what_proves_it() {
    let documents = docs::documents(root());
    let pages = ["docs/readiness.md", "docs/compatibility.md"];
    let claims: Vec<_> = documents.iter().filter(|(name, _)| pages.contains(&name.as_str())).collect();
    assert!(claims.len() == pages.len() && claims.iter().all(|(_, text)| text.matches(".rs::").count() > 20));
    assert_none(&claims.iter().flat_map(|(name, text)| docs::unproven(name, text)).collect::<Vec<_>>());
}
