//! The one error of the crate: a reason, its evidence, and the operating system's words where there are any.
//!
//! Two errors are equal when their reasons are equal: programs match on the reason, people read the evidence.

use crate::reason::Reason;
use std::fmt;

/// A refusal or failure, with the facts it was decided on.
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    reason: Reason,
    evidence: Vec<(&'static str, String)>,
}

/// What every fallible call returns.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error for this reason, without evidence yet.
    #[must_use]
    pub fn new(reason: Reason) -> Error {
        Error(Box::new(Inner { reason, evidence: Vec::new() }))
    }

    /// The same error with one more fact.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl fmt::Display) -> Error {
        self.0.evidence.push((name, value.to_string()));
        self
    }

    /// Why.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.0.reason
    }

    /// The facts, in the order they were gathered.
    #[must_use]
    pub fn evidence(&self) -> &[(&'static str, String)] {
        &self.0.evidence
    }

    /// The fact of this name, if it was gathered.
    #[must_use]
    pub fn fact(&self, name: &str) -> Option<&str> {
        self.0.evidence.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }
}

impl PartialEq for Error {
    fn eq(&self, other: &Error) -> bool {
        self.reason() == other.reason()
    }
}

impl Eq for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason().name(), self.reason().sentence())?;
        for (index, (name, value)) in self.evidence().iter().enumerate() {
            write!(f, "{}{name}={value}", if index == 0 { " [" } else { ", " })?;
        }
        if !self.evidence().is_empty() {
            f.write_str("]")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equality_is_by_reason_and_display_shows_the_evidence() {
        let error = Error::new(Reason::WalCorrupt).with("position", 40).with("file", "a.seg");
        assert_eq!(error, Error::new(Reason::WalCorrupt));
        assert_eq!(error.fact("position"), Some("40"));
        assert_eq!(error.fact("absent"), None);
        assert!(error.to_string().ends_with("[position=40, file=a.seg]"), "{error}");
    }
}
