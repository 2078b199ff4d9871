//! Every bug that can be seeded in what the models reach makes a model fail, or is explained here.

use aerodb_loom_tests::proof::{Explained, prove};
use std::io::Write;

/// The survivors.
const EXPLAINED: &[Explained] = &[];

#[test]
fn every_seeded_bug_is_caught_or_explained() {
    let verdict = prove("seeded_bugs", EXPLAINED);
    let mut stdout = std::io::stdout().lock();
    for (bug, how) in &verdict.caught {
        writeln!(stdout, "caught: {bug}\n    by {how}").expect("standard output");
    }
    for Explained { bug, why } in EXPLAINED {
        writeln!(stdout, "explained: {bug}\n    {why}").expect("standard output");
    }
    writeln!(stdout, "{} caught, {} explained", verdict.caught.len(), EXPLAINED.len()).expect("standard output");
    assert!(verdict.caught.len() >= 45, "the proof found its places");
}
