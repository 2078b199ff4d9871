//! The rules of the gate: one table, for deciding and for explaining.
//!
//! A rule says whether it holds, on what that was decided, and what it refuses with. Nothing else in the product decides on a read, and no rule
//! looks at anything but the facts and the wish. Pure.

use super::facts::{Authority, Facts, Line, Phase, Prefix, Wish};
use crate::error::Error;
use crate::reason::Reason;
use std::fmt::Display;

words! {
    /// A rule, by its id, in the order in which they are applied.
    Check {
        /// No snapshot is being fetched or installed.
        Bootstrap "P5-I8"
        /// The directory is recovered.
        Recovery "P5-I11"
        /// Identity and role are known.
        Authority "R-AUTHORITY"
        /// The node has not halted.
        Halt "P5-I10"
        /// All that is applied is proven to be the primary's.
        Prefix "P5-I4"
        /// The view is applied, and nothing at or below it is in flight.
        Applied "P5-I12"
        /// The view does not lie below the floor.
        Floor "M-FLOOR"
        /// The view is as new as the client needs it.
        AtLeast "READ-LEAST"
        /// The history is the one that the client knows.
        History "READ-HISTORY"
    }
}

/// Whether a rule holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evaluation {
    /// It does.
    Holds,
    /// It does not.
    Fails,
    /// Nothing says whether it does, so nothing is granted; why.
    Undetermined(&'static str),
}

impl Evaluation {
    /// The word that is shown.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Evaluation::Holds => "holds",
            Evaluation::Fails => "fails",
            Evaluation::Undetermined(_) => "undetermined",
        }
    }
}

impl From<bool> for Evaluation {
    fn from(holds: bool) -> Evaluation {
        if holds { Evaluation::Holds } else { Evaluation::Fails }
    }
}

impl Check {
    /// Whether it holds.
    #[must_use]
    #[inline]
    pub fn evaluation(self, facts: &Facts, wish: &Wish) -> Evaluation {
        let view = facts.view(wish);
        match self {
            Check::Authority if facts.authority == Authority::Unknown => {
                Evaluation::Undetermined("whose directory it is can't be told")
            }
            Check::Authority => Evaluation::Holds,
            Check::Halt => (!facts.halted).into(),
            Check::Bootstrap => (facts.phase != Phase::Bootstrapping).into(),
            Check::Recovery => (facts.phase != Phase::Recovering).into(),
            Check::Prefix => match facts.prefix {
                Prefix::Own => Evaluation::Holds,
                Prefix::Proven(commit) => (facts.applied <= commit).into(),
            },
            Check::Applied => (view <= facts.applied).into(),
            Check::Floor => (facts.floor <= view).into(),
            Check::AtLeast => wish.at_least.is_none_or(|commit| commit <= view).into(),
            Check::History => match (wish.on, facts.line) {
                (None, _) | (Some(_), Some(Line::Same)) => Evaluation::Holds,
                (Some(_), Some(Line::Other(_) | Line::Behind(_))) => Evaluation::Fails,
                (Some(_), Some(Line::Dropped(_))) => Evaluation::Undetermined("the log there was dropped by retention"),
                (Some(_), Some(Line::Far)) => Evaluation::Undetermined("too much log would have to be read to tell"),
                (Some(_), Some(Line::Unread) | None) => Evaluation::Undetermined("the log there could not be read"),
            },
        }
    }

    /// What has to be true, in the words of the facts.
    #[must_use]
    pub fn holds_where(self) -> &'static str {
        match self {
            Check::Bootstrap => "no snapshot is being fetched or installed",
            Check::Recovery => "the directory is proven and replayed",
            Check::Authority => "identity and role are known",
            Check::Halt => "the node has not halted",
            Check::Prefix => "applied ≤ proven, on a node that follows another",
            Check::Applied => "view ≤ applied",
            Check::Floor => "floor ≤ view",
            Check::AtLeast => "the commit that was asked for ≤ view",
            Check::History => "the log that is applied here has the point that was named",
        }
    }

    /// What it was decided on, in an order that does not change.
    #[must_use]
    pub fn evidence(self, facts: &Facts, wish: &Wish) -> Vec<(&'static str, String)> {
        fn fact(name: &'static str, value: impl Display) -> (&'static str, String) {
            (name, value.to_string())
        }
        let view = fact("view", facts.view(wish));
        let applied = fact("applied_commit", facts.applied);
        match self {
            Check::Authority => vec![fact("authority", facts.authority)],
            Check::Halt => vec![fact("halted", facts.halted)],
            Check::Bootstrap | Check::Recovery => vec![fact("phase", facts.phase)],
            Check::Prefix => {
                let proven = match facts.prefix {
                    Prefix::Own => fact("proven", "own log"),
                    Prefix::Proven(commit) => fact("proven_commit", commit),
                };
                vec![applied, proven]
            }
            Check::Applied => vec![view, applied],
            Check::Floor => vec![view, fact("floor", facts.floor)],
            Check::AtLeast => vec![view, wish.at_least.map_or(fact("at_least", "not asked"), |at| fact("at_least", at))],
            Check::History => {
                let Some(on) = wish.on else { return vec![fact("point", "not asked")] };
                let asked = fact("point", on);
                match facts.line {
                    Some(Line::Same) => vec![asked, fact("here", on)],
                    Some(Line::Other(Some(here))) => vec![asked, fact("here", here)],
                    Some(Line::Other(None)) => vec![asked, fact("here", "no record ends there")],
                    Some(Line::Behind(position)) => vec![asked, fact("proven_position", position), applied],
                    Some(Line::Dropped(oldest)) => vec![asked, fact("log_oldest", oldest)],
                    Some(Line::Far | Line::Unread) | None => vec![asked, fact("here", "not read")],
                }
            }
        }
    }

    /// Why it refuses, where it does not hold.
    #[must_use]
    pub fn reason(self, facts: &Facts) -> Reason {
        match self {
            Check::Authority => Reason::ReadAuthorityUnknown,
            Check::Halt => Reason::ReplicaHalted,
            Check::Bootstrap => Reason::ReadBootstrapping,
            Check::Recovery => Reason::ReadRecovering,
            Check::Prefix => Reason::ReadUnproven,
            Check::Applied => Reason::ViewBeyondApplied,
            Check::Floor => Reason::ViewBelowFloor,
            Check::AtLeast => Reason::ReadBehind,
            Check::History => match facts.line {
                Some(Line::Behind(_)) => Reason::ReadBehind,
                Some(Line::Same | Line::Other(_)) => Reason::ReadOtherHistory,
                Some(Line::Dropped(_) | Line::Far | Line::Unread) | None => Reason::ReadHistoryUnknown,
            },
        }
    }

    /// The refusal in full: what it was decided on, and the rule.
    #[must_use]
    #[cold]
    pub fn refusal(self, facts: &Facts, wish: &Wish) -> Error {
        let evidence = self.evidence(facts, wish).into_iter();
        evidence.fold(Error::new(self.reason(facts)), |error, (name, value)| error.with(name, value)).with("rule", self)
    }
}
