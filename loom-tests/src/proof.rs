//! That the models would notice.
//!
//! The test binary runs itself, one model at a time, in a process of its own: a model that fails under loom may abort. First
//! without a bug, to learn which places of the product each model reaches; then, for each bug that one of these places can have,
//! with this bug, until a model fails.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;

/// Names the bug to seed, in a process that is to fail.
const BUG: &str = "AERODB_LOOM_BUG";
/// Asks for the places that were reached.
const SURVEY: &str = "AERODB_LOOM_SURVEY";
/// Begins a line that names a bug whose place was reached.
const REACHED: &str = "reached after ";

/// A bug that no model can notice, and why that is right.
#[derive(Debug)]
pub struct Explained {
    /// The bug, as the failing proof prints it.
    pub bug: &'static str,
    /// Why it is none, or why no model can see it.
    pub why: &'static str,
}

/// What the proof found.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Each bug that a model noticed, with that model and its words.
    pub caught: BTreeMap<String, String>,
    /// Each bug that no model noticed.
    pub survived: BTreeSet<String>,
}

/// The bug that this process is to seed.
#[must_use]
pub fn seeded_bug() -> Option<String> {
    std::env::var(BUG).ok()
}

/// Tells the surveying process what a model reached, if there is one.
pub(crate) fn report_reached(out: &mut impl Write, executions: u64, reached: &BTreeSet<String>) {
    if std::env::var_os(SURVEY).is_some() {
        for bug in reached {
            writeln!(out, "{REACHED}{executions}: {bug}").expect("standard output");
        }
    }
}

/// Seeds every bug that the models of this test binary reach; models are the tests outside of `module`, the caller's.
///
/// # Panics
/// When a bug survives without an explanation, when an explained one does not survive, when a bug that the product's source
/// names is reached by no model, and when a model fails without any bug.
pub fn prove(module: &str, explained: &[Explained]) -> Verdict {
    let bugs = survey(&models(module));
    let named = bugs.keys().map(String::as_str).collect::<BTreeSet<_>>();
    for bug in named_in_source(&product().join("src")) {
        assert!(named.contains(bug.as_str()), "no model reaches the place of the seeded bug `{bug}`");
    }

    let verdict = Mutex::new(Verdict::default());
    let open = Mutex::new(bugs.into_iter());
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let next = open.lock().expect("no worker panics here").next();
                    let Some((bug, models)) = next else { break };
                    let caught = models.iter().find_map(|(_, model)| notices(model, &bug));
                    let mut verdict = verdict.lock().expect("no worker panics here");
                    match caught {
                        Some(how) => drop(verdict.caught.insert(readable(&bug), how)),
                        None => drop(verdict.survived.insert(readable(&bug))),
                    }
                }
            });
        }
    });

    let verdict = verdict.into_inner().expect("no worker panics here");
    let explained: BTreeSet<_> = explained.iter().map(|explained| explained.bug.to_owned()).collect();
    let unexplained: Vec<_> = verdict.survived.difference(&explained).collect();
    let untrue: Vec<_> = explained.difference(&verdict.survived).collect();
    assert!(unexplained.is_empty(), "no model noticed, and nobody explained: {unexplained:#?}");
    assert!(untrue.is_empty(), "explained as survivors, but no such bug survives: {untrue:#?}");
    verdict
}

/// The root of the product.
fn product() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("loom-tests is inside the product").to_owned()
}

/// The tests of this binary outside of `module`.
fn models(module: &str) -> Vec<String> {
    let listed = run(&["--list", "--format", "terse"], None);
    let prover = format!("{module}::");
    let tests = String::from_utf8_lossy(&listed.stdout).into_owned();
    let tests = tests.lines().filter_map(|line| line.strip_suffix(": test"));
    tests.filter(|test| !test.starts_with(&prover)).map(str::to_owned).collect()
}

/// For each bug the models that reach its place, those with fewer executions first.
fn survey(models: &[String]) -> BTreeMap<String, BTreeSet<(u64, String)>> {
    let mut bugs = BTreeMap::<String, BTreeSet<_>>::new();
    for model in models {
        let ran = run(&["--exact", model, "--nocapture"], Some((SURVEY, "1")));
        assert!(ran.status.success(), "{model} fails without any bug: {}", words(&ran));
        for line in String::from_utf8_lossy(&ran.stdout).lines() {
            let reached = line.strip_prefix(REACHED).and_then(|rest| rest.split_once(": "));
            if let Some((executions, bug)) = reached {
                let executions = executions.parse().expect("a number, as written above");
                bugs.entry(bug.to_owned()).or_default().insert((executions, model.clone()));
            }
        }
    }
    bugs
}

/// Whether a model fails with this bug, and in which words. Outgrowing loom's own limits is no failure of the model.
fn notices(model: &str, bug: &str) -> Option<String> {
    let ran = run(&["--exact", model, "--nocapture"], Some((BUG, bug)));
    let words = words(&ran);
    (!ran.status.success() && !words.contains("exceeded maximum")).then(|| format!("{model}: {words}"))
}

fn run(arguments: &[&str], variable: Option<(&str, &str)>) -> Output {
    let this = std::env::current_exe().expect("the path of this test binary");
    let mut command = Command::new(this);
    command.args(arguments).env_remove(BUG).env_remove(SURVEY).env("RUST_BACKTRACE", "0");
    command.envs(variable);
    command.output().expect("this test binary runs")
}

/// What a failed process said first.
fn words(ran: &Output) -> String {
    let stderr = String::from_utf8_lossy(&ran.stderr);
    let mut lines = stderr.lines().skip_while(|line| !line.contains("panicked at")).skip(1);
    lines.next().unwrap_or("no words").to_owned()
}

/// A bug in words that outlive a moved line: the file, the function, the text of the line, what is wrong.
fn readable(bug: &str) -> String {
    let place = bug.split_once(' ').and_then(|(place, wrong)| {
        let mut place = place.split(':');
        let (file, line) = (place.next()?, place.next()?.parse::<usize>().ok()?);
        let source = std::fs::read_to_string(product().join(file)).ok()?;
        let lines: Vec<_> = source.lines().take(line).map(str::trim).collect();
        let function = lines.iter().rev().find_map(|line| line.split_once("fn ")?.1.split_once(['(', '<']))?.0;
        let (implemented, text) = (lines.iter().rev().find(|line| line.starts_with("impl"))?, lines.last()?);
        let implemented = implemented.trim_end_matches([' ', '{']);
        Some(format!("{file}, {implemented}, {function}: `{text}` {wrong}"))
    });
    place.unwrap_or_else(|| bug.to_owned())
}

/// The bugs that the source asks for by name.
fn named_in_source(directory: &Path) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(directory).expect("the product's source") {
        let path = entry.expect("the product's source").path();
        if path.is_dir() {
            names.extend(named_in_source(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = std::fs::read_to_string(&path).expect("the product's source");
            let asked = source.split("seeded(\"").skip(1).filter_map(|rest| rest.split('"').next());
            names.extend(asked.map(str::to_owned));
        }
    }
    names
}
