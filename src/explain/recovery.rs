//! Why a directory is what it is after opening it, or why it does not open: the steps of recovery with their evidence.
//!
//! Of a node that runs these are the steps that it took; of a directory that nobody has open, those that it would take, up to the one that
//! refuses ([`examine`](crate::recovery::examine)).

use super::{Applied, Conclusion, Explanation, Facts, Kind, fact};
use crate::error::Error;
use crate::gate::Evaluation;
use crate::recovery::machine::{self, Event, State};
use crate::recovery::{Examined, Report, Step};

/// Explains the recovery of a node that runs.
#[must_use]
pub fn recovery(report: &Report) -> Explanation {
    let observed = vec![
        fact("role", report.identity.role),
        fact("database", report.identity.database_id),
        fact("node", report.identity.node_id),
        fact("checkpoint", report.checkpoint),
        fact("proven_from", report.log.proven_from),
        fact("end", report.log.end),
        fact("records_replayed", report.records_replayed),
        fact("floor", report.floor),
    ];
    let sentence = format!(
        "The log was proven from position {} to {}, and {} records were replayed behind the checkpoint at commit {}.",
        report.log.proven_from, report.log.end.position, report.records_replayed, report.checkpoint.commit
    );
    let conclusion = Conclusion { outcome: "recovered", sentence, error: None };
    explanation(observed, &report.steps, None, conclusion)
}

/// Explains how far opening a directory would come.
#[must_use]
pub fn examined(examined: &Examined) -> Explanation {
    let refused = examined.refused.as_ref();
    let conclusion = match refused {
        Some(error) => Conclusion {
            outcome: "refused",
            sentence: error.reason().sentence().to_owned(),
            error: Some(error.clone()),
        },
        None => Conclusion {
            outcome: "opens",
            sentence: "Everything that is looked at without replaying the log verifies.".to_owned(),
            error: None,
        },
    };
    let observed = vec![fact("open", "nobody has the directory open"), fact("steps", examined.steps.len())];
    explanation(observed, &examined.steps, refused, conclusion)
}

fn explanation(observed: Facts, steps: &[Step], refused: Option<&Error>, conclusion: Conclusion) -> Explanation {
    let last = steps.len().saturating_sub(1);
    let applied = |(index, step): (usize, &Step)| {
        let fails = refused.is_some() && index == last;
        let mut evidence = named(step);
        if let Some(error) = refused.filter(|_| fails) {
            evidence.push(fact("refused", error));
        }
        Applied::new(rule(step.step), condition(step.step), !fails, evidence).to(step.step.name())
    };
    let mut rules: Vec<Applied> = steps.iter().enumerate().map(applied).collect();
    let why = match refused {
        Some(_) => "a step before it refused",
        None => "only opening the directory takes this step",
    };
    let mut state = steps.last().and_then(|step| machine::next(step.step, Event::Done));
    while let Some(step) = state.filter(|state| *state != State::Done) {
        let unknown = Evaluation::Undetermined(why);
        rules.push(Applied::new(rule(step), condition(step), unknown, Vec::new()).to(step.name()));
        state = machine::next(step, Event::Done);
    }
    Explanation { kind: Kind::Recovery, observed, inputs: Vec::new(), rules, conclusion, left_out: Vec::new() }
}

/// The evidence of a step under one name each, with what became of it.
fn named(step: &Step) -> Facts {
    let parts = [("found", &step.found), ("proven", &step.proven), ("dropped", &step.dropped)];
    let facts = parts.into_iter().flat_map(|(part, facts)| facts.iter().map(move |(name, value)| (part, name, value)));
    facts.map(|(part, name, value)| (part, format!("{name}={value}"))).collect()
}

/// What a step has to make hold.
fn rule(step: State) -> &'static str {
    match step {
        State::Locking => "P5-I13",
        State::Identity => "R-AUTHORITY",
        State::ReplicaState => "REPL-STATE",
        State::Install => "RC-INSTALL",
        State::Directories | State::Leftovers | State::Done | State::Refused => "RC-STEPS",
        State::Checkpoint => "R-CUT",
        State::Runs => "D-CORRUPT",
        State::Log => "P5-I11",
        State::Publishing => "M-ATOMIC",
    }
}

/// What it has to find.
fn condition(step: State) -> &'static str {
    match step {
        State::Locking => "the directory is there, and no other process has it",
        State::Identity => "the identity verifies, and is the one that is expected",
        State::ReplicaState => "what the replica knows of itself verifies",
        State::Install => "an install that was begun is finished, and there are data",
        State::Directories => "every name is durable",
        State::Checkpoint => "the manifest verifies",
        State::Runs => "every run that the manifest names is there and verifies",
        State::Leftovers => "what the manifest does not name is removed",
        State::Log => "the log proves itself from the checkpoint to its end",
        State::Publishing => "everything that is replayed is published at once",
        State::Done | State::Refused => "",
    }
}
