//! Explanations: why a node does what it does, as an object that a program can check and a person can read.
//!
//! ```text
//! status, gate, recovery's steps ──► kind · observed · inputs · rules with evidence · conclusion ──► JSON, or text
//! ```
//!
//! An explanation is made of what decided: of a read by the gate's table, of recovery by the steps that it took. Elsewhere no table decides; there it
//! compares what those who decide show: positions, states, the halt, the first fault, and what that names (EXPL-TABLE). Nothing is inferred: where
//! evidence is missing the rule is *undetermined*, with the reason, and the explanation says that it is incomplete (F-O1). The same state gives the same bytes: no time, no address of memory, one
//! order (EXPL-BYTES).
//!
//! Deliberately absent: decisions. Nothing in the product depends on an explanation, and making one changes nothing (P5-I15).

mod checkpoint;
#[cfg(feature = "replication")]
mod ended;
#[cfg(feature = "replication")]
mod followed;
mod read;
mod recovery;
mod replication;
#[cfg(feature = "replication")]
mod rest;
mod segment;
mod text;
mod topic;

pub use checkpoint::checkpoint;
pub use read::{VERSIONS_MAX, read};
pub use recovery::{examined, recovery};
pub use replication::replication;
#[cfg(feature = "replication")]
pub use rest::at_rest;
#[cfg(feature = "replication")]
pub use segment::segment;
pub use text::clean;
pub use topic::{Topic, of, point};

use crate::error::Error;
use crate::gate::{self, Check, Evaluation, Wish};
use crate::identity::Identity;
use crate::json::{Json, Object};
use crate::rules;

words! {
    /// What is explained.
    Kind {
        /// Whether the node follows, how far it is, and whether it may be read.
        Replication "replication"
        /// What a read of one key finds, and why.
        Read "read"
        /// What opening the directory found, proved and dropped.
        Recovery "recovery"
        /// What the checkpoint holds, and what a restart would replay.
        Checkpoint "checkpoint"
        /// Why received log was rejected.
        Segment "segment"
    }
}

/// Facts under their names, in their order.
pub type Facts = Vec<(&'static str, String)>;

/// A rule, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Its id.
    pub rule: &'static str,
    /// What it was applied to, where that is one of many.
    pub subject: String,
    /// What has to be true here.
    pub condition: String,
    /// Whether that is so.
    pub evaluation: Evaluation,
    /// What that was decided on.
    pub evidence: Facts,
}

impl Applied {
    /// A rule that was applied.
    #[must_use]
    pub fn new(
        rule: &'static str,
        condition: impl Into<String>,
        evaluation: impl Into<Evaluation>,
        evidence: Facts,
    ) -> Applied {
        let (condition, evaluation) = (condition.into(), evaluation.into());
        Applied { rule, subject: String::new(), condition, evaluation, evidence }
    }

    /// A rule of the gate.
    fn of_gate(check: Check, facts: &gate::Facts, wish: &Wish) -> Applied {
        let evaluation = check.evaluation(facts, wish);
        Applied::new(check.name(), check.holds_where(), evaluation, check.evidence(facts, wish))
    }

    /// The same, applied to one of many.
    #[must_use]
    pub fn to(self, subject: impl Into<String>) -> Applied {
        Applied { subject: subject.into(), ..self }
    }

    /// What the rule says.
    #[must_use]
    pub fn description(&self) -> &'static str {
        rules::lookup(self.rule).map_or("", |rule| rule.sentence)
    }
}

/// What follows from the rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conclusion {
    /// In one word.
    pub outcome: &'static str,
    /// In one sentence.
    pub sentence: String,
    /// The refusal or failure that it comes to, if it does: its code, its evidence, and what to do about it.
    pub error: Option<Error>,
}

/// An explanation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// Of what.
    pub kind: Kind,
    /// The state that it was made of.
    pub observed: Facts,
    /// What was asked.
    pub inputs: Facts,
    /// The rules in the order in which they were applied.
    pub rules: Vec<Applied>,
    /// What follows.
    pub conclusion: Conclusion,
    /// What could not be shown, beside the rules that are undetermined.
    pub left_out: Vec<String>,
}

impl Explanation {
    /// What is missing, and why: every rule that is undetermined, and what was left out (F-O1).
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        let undetermined = self.rules.iter().filter_map(|applied| match applied.evaluation {
            Evaluation::Undetermined(why) if applied.subject.is_empty() => Some(format!("{}: {why}", applied.rule)),
            Evaluation::Undetermined(why) => Some(format!("{}, {}: {why}", applied.rule, applied.subject)),
            Evaluation::Holds | Evaluation::Fails => None,
        });
        undetermined.chain(self.left_out.iter().cloned()).collect()
    }

    /// Whether nothing is missing.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.missing().is_empty()
    }

    /// As a value for programs.
    #[must_use]
    pub fn json(&self) -> Json {
        let Conclusion { outcome, sentence, error } = &self.conclusion;
        let rules = self.rules.iter().map(|applied| {
            let mut rule = Object::new().with("id", applied.rule);
            if !applied.subject.is_empty() {
                rule = rule.with("applied_to", applied.subject.as_str());
            }
            rule = rule
                .with("description", applied.description())
                .with("condition", applied.condition.as_str())
                .with("evaluation", applied.evaluation.name());
            if let Evaluation::Undetermined(why) = applied.evaluation {
                rule = rule.with("because", why);
            }
            rule.with("evidence", facts(&applied.evidence))
        });
        let error = error.as_ref().map_or(Json::Null, Json::from);
        let conclusion =
            Object::new().with("outcome", *outcome).with("sentence", sentence.as_str()).with("error", error);
        Object::new()
            .with("type", self.kind.name())
            .with("observed", facts(&self.observed))
            .with("inputs", facts(&self.inputs))
            .with("rules", Json::array(rules))
            .with("conclusion", conclusion)
            .with("complete", self.is_complete())
            .with("missing", Json::array(self.missing().iter().map(String::as_str)))
            .into()
    }
}

/// Facts as an object. Numbers are text, so that no reader rounds them; a name that stands more than once is an array.
#[must_use]
pub fn facts(facts: &[(&'static str, String)]) -> Object {
    let mut object = Object::new();
    for (index, (name, value)) in facts.iter().enumerate() {
        if facts[..index].iter().any(|(known, _)| known == name) {
            continue;
        }
        let same: Vec<&str> =
            facts.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect();
        object = match same.len() {
            1 => object.with(name, value.as_str()),
            _ => object.with(name, Json::array(same)),
        };
    }
    object
}

/// Whose directory it is.
fn whose(identity: &Identity) -> Facts {
    vec![
        fact("role", identity.role),
        fact("database", identity.database_id),
        fact("node", identity.node_id),
        fact("epoch", identity.epoch),
    ]
}

/// A fact.
fn fact(name: &'static str, value: impl std::fmt::Display) -> (&'static str, String) {
    (name, value.to_string())
}

/// Explains a topic of a node that has nothing to read yet: it fetches a snapshot, or opens its directory. Of a read it is said by which rules it is
/// refused; of what only an open directory could tell, by which rule that is so.
#[must_use]
pub fn waiting(topic: &Topic, facts: &gate::Facts, observed: Facts, refused: Error) -> Explanation {
    let (wish, inputs, subject) = match topic {
        Topic::Read { key, wish } => (*wish, read::inputs(key, wish), ""),
        Topic::Replication | Topic::Recovery | Topic::Checkpoint | Topic::Segment => {
            (Wish::newest(), Vec::new(), "reads")
        }
    };
    let of_reads = matches!(topic, Topic::Read { .. } | Topic::Replication);
    let first = gate::decide(facts, &wish).err();
    let rules = gate::evaluate_unopened(facts, &wish).filter(|(check, ..)| of_reads || Some(*check) == first).map(
        |(check, evaluation, evidence)| {
            Applied::new(check.name(), check.holds_where(), evaluation, evidence).to(subject)
        },
    );
    Explanation {
        kind: topic.kind(),
        observed,
        inputs,
        rules: rules.collect(),
        conclusion: Conclusion {
            outcome: "waits",
            sentence: refused.reason().sentence().to_owned(),
            error: Some(refused),
        },
        left_out: vec!["everything that is known once the directory is open".to_owned()],
    }
}
