//! The commands: what each means, and what is said of it.
//!
//! ```text
//! request ──► table (name, arity, keys) ──► data        over a Lookup: on the loop, or in a decision of the committer
//!                                           transactions, connection, scan, aero, history, info, config, catalog      on the loop
//!                                           jobs        replies that take several turns of the loop
//! ```
//!
//! The [`table`] is the one list of commands: dispatch, arity errors, COMMAND and the table in `docs/resp.md` come from it. Texts of errors
//! are those of Redis where Redis has the case; what is ours begins with the code of its [`Reason`].
//!
//! No command knows a socket. What a client sent is bytes, and is quoted in an error only in part and without control characters.

pub mod aero;
pub mod catalog;
pub mod codes;
pub mod config;
pub mod connection;
pub mod data;
pub mod history;
pub mod info;
pub mod jobs;
pub mod scan;
mod subcommands;
pub mod table;
pub mod transactions;

use crate::error::Error;
use crate::gate;
use crate::reason::Reason;
use crate::resp::{Request, integer};
use crate::server::clients::ClientId;

/// A command's name and arguments: a request, or the part of one that another command reads.
#[derive(Clone, Copy, Debug)]
pub struct Words<'a> {
    request: &'a Request,
    skipped: usize,
}

impl<'a> Words<'a> {
    /// All of a request.
    #[must_use]
    pub fn of(request: &'a Request) -> Words<'a> {
        Words { request, skipped: 0 }
    }

    /// Without the first words.
    #[must_use]
    pub fn behind(self, words: usize) -> Words<'a> {
        Words { request: self.request, skipped: self.skipped.saturating_add(words) }
    }

    /// How many words there are, the name included.
    #[must_use]
    pub fn len(self) -> usize {
        self.request.len().saturating_sub(self.skipped)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// A word; the name is at 0. Empty behind the last.
    #[must_use]
    pub fn at(self, index: usize) -> &'a [u8] {
        self.get(index).unwrap_or_default()
    }

    /// A word, if there are so many.
    #[must_use]
    pub fn get(self, index: usize) -> Option<&'a [u8]> {
        self.request.arg(index.saturating_add(self.skipped))
    }

    /// Whether a word is this one, in any case.
    #[must_use]
    pub fn is(self, index: usize, word: &str) -> bool {
        self.at(index).eq_ignore_ascii_case(word.as_bytes())
    }

    /// Whether they are a line of HTTP. A page in a browser can be made to send a request here, with commands as its body: none of its
    /// lines may be carried out, and the connection is closed.
    #[must_use]
    pub fn are_of_a_browser(self, client: ClientId) -> bool {
        let speaks_http = ["POST", "Host:"].iter().any(|word| self.is(0, word));
        if speaks_http {
            let code = Reason::ClientMalformed;
            log::warn!(code = code.name(), client:%; "closed: it speaks HTTP, which a page in a browser may have made it do");
        }
        speaks_http
    }

    /// All words.
    pub fn iter(self) -> impl Iterator<Item = &'a [u8]> + Clone {
        self.request.args().skip(self.skipped)
    }
}

/// What is said where Redis says the same.
pub(super) const SYNTAX_ERROR: &str = "ERR syntax error";
pub(super) const NOT_AN_INTEGER: &str = "ERR value is not an integer or out of range";

/// A refusal or failure as an error of the protocol: `PREFIX code sentence [evidence] remedy`.
#[must_use]
pub fn refusal(error: &Error) -> String {
    let reason = error.reason();
    let prefix = if reason == Reason::CommitStopped {
        "MISCONF"
    } else if reason == Reason::RoleNotWriter {
        "READONLY"
    } else if matches!(reason, Reason::ReadBootstrapping | Reason::ReadRecovering) {
        "LOADING"
    } else if reason == Reason::StoreBlockCorrupt || gate::refuses_with(reason) {
        "UNSAFE"
    } else {
        "ERR"
    };
    let mut text = format!("{prefix} {reason} {}", reason.sentence());
    for (index, (name, value)) in error.evidence().iter().enumerate() {
        text.push_str(if index == 0 { " [" } else { ", " });
        text.push_str(name);
        text.push('=');
        text.push_str(&printable(value.as_bytes()));
    }
    text.push_str(if error.evidence().is_empty() { " " } else { "] " });
    text.push_str(reason.remedy());
    text
}

/// Bytes of a client as they are quoted in an error: up to a zero byte, as in Redis, and without control characters.
#[must_use]
pub(super) fn quoted(bytes: &[u8], bytes_max: usize) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len()).min(bytes_max);
    printable(bytes.get(..end).unwrap_or_default())
}

fn printable(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A number that may not be below `least`.
pub(super) fn at_least<T: TryFrom<i64>>(word: &[u8], least: i64) -> Option<T> {
    integer(word).filter(|number| *number >= least).and_then(|number| T::try_from(number).ok())
}
