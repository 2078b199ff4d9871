//! Every explanation in the states that matter, of real nodes on simulated disks: the same bytes in each run, and those of `docs/explanations.md`.
//!
//! `AERODB_BLESS=1 cargo test --test explanations` writes the page's examples and the files beside this one anew. Ports differ from run to run, so
//! they are masked; nothing else is.

#![cfg(feature = "replication")]

mod explaining;
mod proxy;
mod served;
mod world;

use aerodb::disk::{Fault, SimDisk};
use aerodb::explain::{self, VERSIONS_MAX};
use aerodb::gate::Evaluation;
use aerodb::replica_state::{Halt, ReplicaState};
use aerodb::{CommitId, Database, Position, Reason, Wish, recovery};
use explaining::{damage, everything, follow, kept_as, primary, put, read, replica_of, rests, serve};
use std::collections::BTreeSet;
use std::path::Path;
use world::{init_options, options, tiny};

/// The text without the ports, which the system chooses.
fn masked(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("127.0.0.1:") {
        shown.push_str(before);
        shown.push_str("127.0.0.1:PORT");
        rest = behind.trim_start_matches(|c: char| c.is_ascii_digit());
    }
    shown + rest
}

/// Those that stand on the page; the others lie beside this file.
const SHOWN: [&str; 10] = [
    "read, as it was",
    "read, below the floor",
    "checkpoint of a primary",
    "replication of a replica that follows",
    "replication of a replica that lost its connection",
    "replication of a replica whose halt is not kept",
    "replication of a node that recovers",
    "read, versions that can not be read",
    "segment that was rejected",
    "recovery of a directory that does not open",
];

fn file_name(title: &str) -> String {
    title.replace(", ", "-").replace('\'', "").replace(' ', "-") + ".json"
}

/// EXPL-BYTES, P5-I15, F-O1, F-RC2: two runs say the same, and what the page shows.
#[test]
fn explanations_are_the_same_in_each_run_and_on_the_page() {
    let (first, second) = (everything(), everything());
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = root.join("docs/explanations.md");
    let text = std::fs::read_to_string(&page).unwrap();
    let (head, _) = text.split_once("## Examples\n").unwrap();
    let intro = "\nWhat follows is printed by a test from real nodes (`AERODB_BLESS=1 cargo test --test explanations` writes it anew); the same as JSON lies in `tests/explanations/`.\n";
    let mut wanted = format!("{head}## Examples\n{intro}");
    let mut wrong = Vec::new();
    for ((title, json, text), (_, json_again, text_again)) in first.iter().zip(&second) {
        let [json, again] = [json, json_again].map(|json| masked(json) + "\n");
        assert!(again == json, "{title}:\n{json}{again}");
        let [text, again] = [text, text_again].map(|text| masked(text));
        assert_eq!(again, text, "{title}");
        if SHOWN.contains(title) {
            wanted.push_str(&format!("\n### {title}\n\n```text\n{text}```\n"));
        }
        let file = root.join("tests/explanations").join(file_name(title));
        if std::env::var_os("AERODB_BLESS").is_some() {
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, &json).unwrap();
        } else if std::fs::read_to_string(&file).ok().as_deref() != Some(&json) {
            wrong.push(format!("{}: it should be {json}", file.display()));
        }
    }
    // A file that no state comes to is of a state that is no longer shown.
    let titles: BTreeSet<String> = first.iter().map(|(title, ..)| file_name(title)).collect();
    let listed = std::fs::read_dir(root.join("tests/explanations")).unwrap();
    let files = listed.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(titles, files);
    if std::env::var_os("AERODB_BLESS").is_some() {
        std::fs::write(&page, wanted).unwrap();
    } else {
        assert!(text == wanted, "docs/explanations.md is not what the nodes say (AERODB_BLESS=1 writes it)");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// EXPL-TABLE: what is concluded is what a read does, and each rule is one of the table; the same after a restart.
#[test]
fn what_is_explained_is_what_happens_and_a_restart_changes_nothing() {
    let (disk, db) = primary();
    let wishes: Vec<Wish> = (0..=7)
        .flat_map(|commit| [Wish::at(Some(CommitId(commit))), Wish::at_least(CommitId(commit))])
        .chain([Wish::newest()])
        .collect();
    let ask = |db: &Database| -> Vec<String> {
        let mut told = Vec::new();
        for key in [&b"apple"[..], b"plum", b"pear", b"\xff\n\""] {
            for wish in &wishes {
                let explanation = explain::of(&read(key, *wish), db, None);
                assert!(explanation.rules.iter().all(|applied| !applied.description().is_empty()), "{explanation}");
                let conclusion = &explanation.conclusion;
                match db.read(wish) {
                    Ok(view) => {
                        let expected = if view.get(key).unwrap().is_some() { "value" } else { "absent" };
                        assert_eq!((conclusion.outcome, conclusion.error.as_ref()), (expected, None), "{explanation}");
                    }
                    Err(error) => {
                        assert_eq!((conclusion.outcome, conclusion.error.as_ref()), ("refused", Some(&error)));
                        let rule = explanation.rules.iter().find(|applied| applied.evaluation != Evaluation::Holds);
                        assert_eq!(rule.map(|applied| applied.rule), error.fact("rule"));
                    }
                }
                told.push(explanation.json().to_string());
            }
        }
        told
    };
    let before = ask(&db);
    assert_eq!(ask(&db), before);
    db.close().unwrap();
    let db = Database::open(options(&disk)).unwrap();
    assert_eq!(ask(&db), before, "a restart changes nothing");
    db.close().unwrap();
}

/// EXPL-TABLE, M-VISIBLE: a key with more versions than are shown, read at any of them: what is said is what a read finds.
#[test]
fn of_many_versions_the_visible_one_is_found_and_what_is_cut_is_said() {
    let disk = SimDisk::new();
    Database::init(&init_options(&disk, tiny())).unwrap();
    let db = Database::open(options(&disk)).unwrap();
    const WRITTEN: u64 = 100;
    for number in 1..=WRITTEN {
        put(&db, "k", &"v".repeat(number as usize));
    }
    for commit in 0..=WRITTEN {
        let wish = Wish::at(Some(CommitId(commit)));
        let explanation = explain::of(&read(b"k", wish), &db, None);
        let outcome = if commit == 0 { "absent" } else { "value" };
        assert_eq!(explanation.conclusion.outcome, outcome, "{commit}");
        let told = format!("the key has the {commit} bytes that commit {commit} wrote");
        assert!(commit == 0 || explanation.conclusion.sentence.contains(&told), "{explanation}");
        // Half of those that are shown at most are newer than the view.
        let (newer, most) = ((WRITTEN - commit) as usize, VERSIONS_MAX / 2);
        let (newer_cut, older_cut) = (newer > most, commit as usize > VERSIONS_MAX - newer.min(most));
        assert_eq!(explanation.missing().len(), usize::from(newer_cut) + usize::from(older_cut), "{explanation}");
        let shown = explanation.rules.iter().filter(|applied| applied.subject.starts_with("version ")).count();
        assert_eq!(shown, newer.min(most) + (commit as usize).min(VERSIONS_MAX - newer.min(most)), "{commit}");
    }
    db.close().unwrap();
}

/// F-RC2, F-O1: whatever is broken, the explanation names the step, its evidence, and what was not reached; nothing is changed by asking.
#[test]
fn a_directory_that_does_not_open_is_explained() {
    let (disk, db) = primary();
    let replica = replica_of(&db);
    drop(db);
    for (disk, file, step, reason) in [
        (&disk, "IDENTITY", "identity", Reason::IdentityCorrupt),
        (&disk, "MANIFEST", "checkpoint", Reason::StoreManifestCorrupt),
        (&disk, "MARK", "log", Reason::WalMarkCorrupt),
        (&replica, "STATE.", "state", Reason::ReplicaStateCorrupt),
    ] {
        let disk = disk.image().restart();
        damage(&disk, file);
        let before: Vec<_> = disk.paths().into_iter().map(|path| disk.contents(&path)).collect();
        let explanation = explain::examined(&recovery::examine(&options(&disk)));
        assert_eq!(explanation.conclusion.error.as_ref().map(|error| error.reason()), Some(reason), "{explanation}");
        let failed: Vec<_> =
            explanation.rules.iter().filter(|applied| applied.evaluation == Evaluation::Fails).collect();
        assert_eq!(failed.iter().map(|applied| applied.subject.as_str()).collect::<Vec<_>>(), [step]);
        assert!(
            !explanation.is_complete()
                && explanation.missing().last().is_some_and(|missing| missing.contains("publishing"))
        );
        let after: Vec<_> = disk.paths().into_iter().map(|path| disk.contents(&path)).collect();
        assert_eq!(before, after, "asking changes nothing");
    }
}

/// F-O1, REPL-PROOF: what halted an earlier run counts in its directory, also where a replay does not find it again.
#[test]
fn a_divergence_that_is_kept_is_told_of_a_directory() {
    let served = serve(primary().1);
    let disk = replica_of(&served.db);
    let replica = follow(&disk, &served.replication.unwrap().to_string());
    replica.wait_until(rests);
    replica.close().unwrap();
    let failing = |reason| {
        let halt = Halt { reason, position: Position(296), evidence: "what it was".to_owned() };
        let disk = disk.image().restart();
        kept_as(&disk, |state| ReplicaState { halt: Some(halt), ..state });
        let db = Database::look_into(&options(&disk)).unwrap();
        let told = explaining::of(&db, &explain::Topic::Checkpoint);
        db.close().unwrap();
        let fails = told.rules.iter().filter(|applied| applied.evaluation == Evaluation::Fails);
        (fails.map(|applied| applied.rule).collect::<Vec<_>>(), told.conclusion.outcome)
    };
    assert_eq!(failing(Reason::StateDiverged), (vec!["REPL-PROOF", "D-FSYNC"], "stopped"));
    assert_eq!(failing(Reason::HistoryAhead), (Vec::new(), "durable"), "that one says nothing of runs");
}

/// D-CORRUPT, F-O1: a version that can't be read is not thereby corrupt.
#[test]
fn a_read_that_the_disk_refuses_is_not_called_corruption() {
    let (disk, db) = primary();
    db.close().unwrap();
    let db = Database::open(options(&disk)).unwrap();
    disk.fail_reads_from(disk.reads(), Fault::Eio);
    let told = explaining::of(&db, &read(b"apple", Wish::newest()));
    let rule = told.rules.iter().find(|applied| applied.rule == "D-CORRUPT").map(|applied| applied.evaluation);
    assert_eq!((rule, told.conclusion.outcome), (Some(Evaluation::Undetermined("disk.read_failed")), "failed"));
}

/// P5-I15: a directory that nobody has open is looked into beside its disk: what a crash left torn is there afterwards, for who asks next.
#[test]
fn looking_into_a_directory_changes_nothing_in_it() {
    let disk = explaining::directories::torn();
    let contents = || disk.paths().into_iter().map(|path| (path.clone(), disk.contents(&path))).collect::<Vec<_>>();
    let torn = explain::examined(&recovery::examine(&options(&disk))).to_string();
    let before = contents();
    for _ in 0..2 {
        let db = Database::look_into(&options(&disk)).unwrap();
        let told = explaining::of(&db, &read(b"apple", Wish::newest()));
        assert!(told.conclusion.sentence.contains("the key has the 5 bytes that commit 1 wrote"), "{told}");
        assert_eq!(explaining::of(&db, &explain::Topic::Checkpoint).conclusion.outcome, "durable");
        let mut batch = aerodb::Batch::new();
        batch.put(b"apple", b"red").unwrap();
        assert_eq!(db.commit(batch).unwrap_err().reason(), Reason::DatabaseClosed);
        assert_eq!(Database::look_into(&options(&disk)).err().map(|error| error.reason()), Some(Reason::DirLocked));
        db.close().unwrap();
        assert!(before == contents(), "{}", world::listing(&disk));
    }
    assert_eq!(explain::examined(&recovery::examine(&options(&disk))).to_string(), torn);
}
