//! The gate, exhaustively.
//!
//! Every world that is small enough to be listed, against an oracle that was written from the rules and shares no code with the gate.

use super::*;
use crate::position::{History, LogPoint, Position};
use crate::reason::Reason;
use std::collections::BTreeSet;

const COMMITS: u64 = 3;

fn point(commit: u64) -> LogPoint {
    LogPoint { position: Position(commit * 8), history: History(commit), commit: CommitId(commit) }
}

fn worlds() -> impl Iterator<Item = Facts> {
    let mut worlds = Vec::new();
    let prefixes = std::iter::once(Prefix::Own).chain((0..=COMMITS).map(|commit| Prefix::Proven(CommitId(commit))));
    let behind = Line::Behind(Position(4));
    let lines = [Line::Same, Line::Other(None), behind, Line::Dropped(Position(9)), Line::Far, Line::Unread];
    let lines: Vec<Option<Line>> = std::iter::once(None).chain(lines.map(Some)).collect();
    for prefix in prefixes {
        for &phase in Phase::ALL {
            for &authority in Authority::ALL {
                for halted in [false, true] {
                    for applied in (0..=COMMITS).map(CommitId) {
                        for floor in (0..=COMMITS).map(CommitId) {
                            for &line in &lines {
                                worlds.push(Facts { authority, phase, halted, prefix, applied, floor, line });
                            }
                        }
                    }
                }
            }
        }
    }
    worlds.into_iter()
}

fn wishes() -> Vec<Wish> {
    let commits = || std::iter::once(None).chain((0..=COMMITS + 1).map(|commit| Some(CommitId(commit))));
    let mut wishes = Vec::new();
    for at in commits() {
        for at_least in commits() {
            for on in [None, Some(point(2))] {
                wishes.push(Wish { at, at_least, on });
            }
        }
    }
    wishes
}

/// What a read may be answered at, said once more: every sentence that must be true, and nothing else.
fn oracle(facts: &Facts, wish: &Wish) -> Option<u64> {
    let (applied, floor) = (facts.applied.0, facts.floor.0);
    let proven_to = match (facts.prefix, facts.authority) {
        (Prefix::Own, _) => applied,
        (Prefix::Proven(commit), _) => commit.0,
    };
    let serves = matches!((facts.phase, facts.authority), (Phase::Open, Authority::Writer | Authority::Follower));
    let whole_and_proven = serves && !facts.halted && proven_to >= applied;
    let at = if let Some(at) = wish.at { at.0 } else { applied };
    let can_be_read = floor <= at && at <= applied;
    let new_enough = wish.at_least.unwrap_or_default().0 <= at;
    let same_line = wish.on.is_none() || facts.line == Some(Line::Same);
    (whole_and_proven && can_be_read && new_enough && same_line).then_some(at)
}

/// READ-GATE, P5-I12, F-RS1, R-READ: in every small world, for every wish, what is admitted is what the oracle allows; and what it allows is admitted.
#[test]
fn every_small_world_is_decided_as_the_oracle_decides_it() {
    let wishes = wishes();
    let (mut admitted, mut refused) = (0_u64, BTreeSet::new());
    for facts in worlds() {
        for wish in &wishes {
            let verdict = decide(&facts, wish);
            assert_eq!(verdict.ok().map(|commit| commit.0), oracle(&facts, wish), "{facts:?} {wish:?}");
            match verdict {
                Ok(_) => admitted += 1,
                Err(check) => {
                    refused.insert((check.name(), check.reason(&facts).name()));
                }
            }
        }
    }
    assert!(admitted > 4_000, "the worlds are not worth listing: {admitted}");
    let expected = [
        ("M-FLOOR", Reason::ViewBelowFloor.name()),
        ("P5-I10", Reason::ReplicaHalted.name()),
        ("P5-I11", Reason::ReadRecovering.name()),
        ("P5-I12", Reason::ViewBeyondApplied.name()),
        ("P5-I4", Reason::ReadUnproven.name()),
        ("P5-I8", Reason::ReadBootstrapping.name()),
        ("R-AUTHORITY", Reason::ReadAuthorityUnknown.name()),
        ("READ-LEAST", Reason::ReadBehind.name()),
        ("READ-HISTORY", Reason::ReadBehind.name()),
        ("READ-HISTORY", Reason::ReadHistoryUnknown.name()),
        ("READ-HISTORY", Reason::ReadOtherHistory.name()),
    ];
    assert_eq!(refused, BTreeSet::from(expected), "every rule refuses somewhere, with its own reasons");
}

/// READ-GATE, P5-I15: the verdict is that of the rules that are shown, and a refusal shows what it was decided on.
#[test]
fn what_is_shown_is_what_was_decided() {
    let wishes = wishes();
    for facts in worlds() {
        for wish in &wishes {
            let rules: Vec<_> = evaluate(&facts, wish).collect();
            assert_eq!(rules.len(), Check::ALL.len());
            let first = rules.iter().find(|(_, evaluation)| *evaluation != Evaluation::Holds).map(|(check, _)| *check);
            assert_eq!(decide(&facts, wish).err(), first);
            let Some(refusal) = refusal(&facts, wish) else { continue };
            assert!(refuses_with(refusal.reason()), "{refusal}");
            assert_eq!(refusal.fact("rule"), first.map(Check::name));
            for (name, value) in first.map(|check| check.evidence(&facts, wish)).unwrap_or_default() {
                assert_eq!(refusal.fact(name), Some(value.as_str()));
            }
        }
    }
}

/// READ-GATE: each id is a rule of the table that documents and explanations show.
#[test]
fn every_check_is_a_rule() {
    for check in Check::ALL {
        assert!(crate::rules::lookup(check.name()).is_some(), "{check}");
    }
}

/// READ-GATE: what is not known is not granted, and not called false.
#[test]
fn what_is_undetermined_is_refused_as_such() {
    let open = Facts {
        authority: Authority::Follower,
        phase: Phase::Open,
        halted: false,
        prefix: Prefix::Proven(CommitId(2)),
        applied: CommitId(2),
        floor: CommitId(0),
        line: None,
    };
    let wish = Wish::newest().on(point(1));
    for line in [Some(Line::Dropped(Position(16))), Some(Line::Far), Some(Line::Unread), None] {
        let facts = Facts { line, ..open };
        assert!(matches!(Check::History.evaluation(&facts, &wish), Evaluation::Undetermined(_)));
        assert_eq!(refusal(&facts, &wish).map(|refusal| refusal.reason()), Some(Reason::ReadHistoryUnknown));
    }
    let nobody = Facts { authority: Authority::Unknown, ..open };
    assert!(matches!(Check::Authority.evaluation(&nobody, &Wish::newest()), Evaluation::Undetermined(_)));
}

/// READ-HISTORY: what is said of a point without reading is what the whole log says; a point that stands in a history with the log's end is never called that
/// of another one, and one that is called so stands in none with it.
#[test]
fn what_is_known_of_a_point_without_reading_is_what_reading_would_tell() {
    // All histories of four records, each a commit or something else: their points, one of which is before the first.
    let histories: Vec<Vec<LogPoint>> = (0..16_u64)
        .map(|bits| {
            let commits = |records: u64| (0..records).filter(|record| bits >> record & 1 == 1).count() as u64;
            (0..=4).map(|at| LogPoint { position: Position(at * 8), commit: CommitId(commits(at)), ..point(0) }).collect()
        })
        .collect();
    let all = histories.iter().flatten();
    let (mut others, mut read) = (0, 0);
    for (asked, proven) in all.clone().flat_map(|asked| all.clone().map(move |proven| (*asked, *proven))) {
        let together = histories.iter().any(|history| history.contains(&asked) && history.contains(&proven));
        for applied in (0..=proven.commit.0).map(CommitId) {
            let known = Line::known(asked, applied, proven);
            match known {
                Some(Line::Other(here)) => {
                    assert!(!together && here == Some(proven), "{asked} {proven}");
                    others += 1;
                }
                Some(Line::Behind(end)) => {
                    assert_eq!(end, proven.position);
                    assert!(asked.position > proven.position || asked.commit > applied, "{asked} {applied} {proven}");
                }
                None => {
                    assert!(asked.position <= proven.position && asked.commit <= applied, "{asked} {applied} {proven}");
                    read += 1;
                }
                Some(Line::Same | Line::Dropped(_) | Line::Far | Line::Unread) => panic!("{known:?} without reading"),
            }
        }
    }
    assert!(others > 100 && read > 100, "{others} {read}");
}
