//! An explanation as lines for a person.
//!
//! The same facts in the same order as for programs: what was concluded first, because that is what is looked for at three in the morning, then the rules
//! with what has to be true, and then all the rest. What others sent, a peer's words in the evidence of a halt for one, can't make lines of its own.

use super::{Conclusion, Explanation, Facts};
use crate::gate::Evaluation;
use std::fmt;

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Conclusion { outcome, sentence, error } = &self.conclusion;
        writeln!(f, "{}: {outcome}", self.kind)?;
        writeln!(f, "  {}", clean(sentence))?;
        if let Some(error) = error {
            writeln!(f, "  code      {}", error.reason())?;
            writeln!(f, "  evidence  {}", line(&error.evidence().to_vec()))?;
            writeln!(f, "  do        {}", error.reason().remedy())?;
        }
        for missing in self.missing() {
            writeln!(f, "  missing   {}", clean(&missing))?;
        }
        if !self.inputs.is_empty() {
            writeln!(f, "asked       {}", line(&self.inputs))?;
        }
        writeln!(f, "rules")?;
        for applied in &self.rules {
            let word = match applied.evaluation {
                Evaluation::Holds => "holds",
                Evaluation::Fails => "FAILS",
                Evaluation::Undetermined(_) => "unknown",
            };
            let subject = if applied.subject.is_empty() { String::new() } else { format!("{}: ", applied.subject) };
            writeln!(f, "  {word:8}  {:14}  {}{}", applied.rule, clean(&subject), clean(&applied.condition))?;
            if let Evaluation::Undetermined(why) = applied.evaluation {
                writeln!(f, "{:28}{why}", "")?;
            }
            if !applied.evidence.is_empty() {
                writeln!(f, "{:28}{}", "", line(&applied.evidence))?;
            }
        }
        writeln!(f, "observed")?;
        for (name, value) in &self.observed {
            writeln!(f, "  {name:26}{}", clean(value))?;
        }
        Ok(())
    }
}

/// Facts in one line; those of one name together, behind it.
fn line(facts: &Facts) -> String {
    let mut parts: Vec<String> = Vec::new();
    for (index, (name, value)) in facts.iter().enumerate() {
        let first = facts.iter().position(|(known, _)| known == name);
        // What has names of its own inside follows the name like a list of one.
        let lists = value.contains('=') || facts.iter().filter(|(known, _)| known == name).count() > 1;
        if !lists {
            parts.push(format!("{name}={}", clean(value)));
        } else if first == Some(index) {
            let same = facts.iter().filter(|(known, _)| known == name).map(|(_, value)| clean(value));
            parts.push(format!("{name} {}", same.collect::<Vec<_>>().join(" ")));
        }
    }
    parts.join(", ")
}

/// Text without control characters: what others sent can't make lines of its own, nor speak to a terminal.
#[must_use]
pub fn clean(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}
