//! What the demo prints and runs: steps, requests to a node as `redis-cli` shows them, commands of this program, and claims.
//!
//! Nothing is printed that was not answered. Lines are folded, so that they fit a terminal.

use crate::cli::bytes;
use crate::cli::output::Output;
use crate::cli::remote::Server;
use aerodb::resp::Value;
use aerodb::resp::response::Bounds;
use aerodb::wire::{Pipe, Poll, signals};
use aerodb::{CommitId, Error, Reason, Result};
use std::fmt::Display;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

/// What ends a demo that somebody asked to end.
pub(super) const ASKED_TO_END: &str = "asked to end";

const WIDTH: usize = 118;
const INDENT: usize = 3;
/// Where the second column of an explanation begins, and the third.
const COLUMNS: [usize; 2] = [12, 28];

/// The page that is written.
pub(super) struct Page<'a> {
    out: &'a mut Output,
    poll: Poll,
    _requests: Pipe,
    asked: bool,
    steps: u32,
}

impl Page<'_> {
    /// An empty page. From here on a request to end does not end the process.
    pub(super) fn new(out: &mut Output) -> Result<Page<'_>> {
        let refused = |error| Error::new(Reason::ServerListenFailed).with("operation", "signals").with("error", error);
        let poll = Poll::new().map_err(refused)?;
        let requests =
            signals::requests_to_end_or_hangup().and_then(|requests| Pipe::new(&poll, 0, requests)).map_err(refused)?;
        Ok(Page { out, poll, _requests: requests, asked: false, steps: 0 })
    }

    /// Refuses to go on where somebody asked to end.
    pub(super) fn go_on(&mut self) -> Result<()> {
        self.look(false)?;
        if self.asked { Err(Error::new(Reason::ReplicationStopped).with("cause", ASKED_TO_END)) } else { Ok(()) }
    }

    /// Waits for the request to end.
    pub(super) fn wait(&mut self) -> Result<()> {
        self.say("\nCtrl-C ends it.")?;
        self.out.flush()?;
        while !self.asked {
            self.look(true)?;
        }
        Ok(())
    }

    fn look(&mut self, sleep: bool) -> Result<()> {
        self.poll.wait(sleep).map_err(|error| Error::new(Reason::ServerPollFailed).with("error", error))?;
        self.asked |= self.poll.ready().next().is_some();
        Ok(())
    }

    /// Begins a step. Each one is shown before it is done.
    pub(super) fn step(&mut self, title: &str) -> Result<()> {
        self.go_on()?;
        self.steps += 1;
        self.out.line(format_args!("\n{}. {title}", self.steps))?;
        self.out.flush()
    }

    /// A line as it is.
    pub(super) fn say(&mut self, text: impl Display) -> Result<()> {
        self.out.line(text)
    }

    /// A line of a step; what is too long goes on below, this much further in.
    pub(super) fn tell(&mut self, text: impl Display, further: usize) -> Result<()> {
        self.brief(text, further, usize::MAX)
    }

    /// The same, as far as so many lines hold.
    fn brief(&mut self, text: impl Display, further: usize, lines: usize) -> Result<()> {
        let folded = fold(&text.to_string(), WIDTH - INDENT, further);
        for (number, line) in folded.iter().enumerate().take(lines) {
            let cut = if number + 1 == lines && folded.len() > lines { " …" } else { "" };
            self.out.line(format_args!("{:INDENT$}{line}{cut}", ""))?;
        }
        Ok(())
    }

    /// A command, on one line, so that it can be copied. What it does may take a while.
    pub(super) fn command(&mut self, command: &str) -> Result<()> {
        self.out.line(format_args!("{:INDENT$}$ {command}", ""))?;
        self.out.flush()
    }

    /// Sends a request to a node, and shows both as `redis-cli` does.
    pub(super) fn redis(&mut self, node: SocketAddr, request: &str) -> Result<Value> {
        self.go_on()?;
        self.command(&redis_cli(node, request))?;
        let words: Vec<&[u8]> = request.split(' ').map(str::as_bytes).collect();
        let reply = Server::reach(&node.to_string(), Bounds::default())?.reply(&words)?;
        self.brief(shown(&reply), 4, 2)?;
        Ok(reply)
    }

    /// The same, where the answer is known.
    pub(super) fn expect(&mut self, node: SocketAddr, request: &str, expected: &str) -> Result<()> {
        let reply = self.redis(node, request)?;
        check("a reply", &shown(&reply), expected)
    }

    /// The same, where it is a refusal: what is told, and why that is so.
    pub(super) fn refused(&mut self, node: SocketAddr, request: &str, code: Reason) -> Result<String> {
        let reply = self.redis(node, request)?;
        let told = shown(&reply);
        check("a refusal", told.split(' ').nth(2).unwrap_or_default(), code.name())?;
        Ok(told)
    }

    /// Asks a node for its newest commit.
    pub(super) fn newest(&mut self, node: SocketAddr) -> Result<CommitId> {
        let reply = self.redis(node, "aero.commitid")?;
        if let Value::Integer(number @ 0..) = reply {
            return Ok(CommitId(number.unsigned_abs()));
        }
        Err(Error::new(Reason::DemoFailed).with("claim", "a commit").with("found", shown(&reply)))
    }

    /// Runs a command of this program, and shows what it prints; where that is nothing, what it is refused with.
    pub(super) fn run(&mut self, words: &[&str], ends_with: Option<Reason>) -> Result<()> {
        let lines = self.output(words, ends_with)?;
        lines.iter().try_for_each(|line| self.tell(line, COLUMNS[0] - 1))
    }

    /// Explains, and shows what was concluded, and these rules with their evidence. They do not hold.
    pub(super) fn explain(&mut self, node: SocketAddr, topic: &str, rules: &[&str]) -> Result<()> {
        let node = node.to_string();
        let words: Vec<&str> = ["explain", "--addr", &node].into_iter().chain(topic.split_whitespace()).collect();
        let (mut left, mut is_shown, mut failing) = (0, true, 0);
        for line in self.output(&words, None)? {
            let is_evidence = line.starts_with(&" ".repeat(COLUMNS[1]));
            let mut columns = line.split_whitespace();
            let fails = columns.next() == Some("FAILS") && columns.next().is_some_and(|rule| rules.contains(&rule));
            failing += usize::from(fails);
            // What belongs to a rule stands below it; the evidence of the conclusion is that of a rule.
            is_shown = fails || is_shown && (is_evidence || failing == 0 && line != "rules");
            if is_shown && !line.starts_with("  evidence") {
                self.brief(line, COLUMNS[usize::from(failing > 0)], 3)?;
            } else {
                left += 1;
            }
        }
        check("rules that do not hold", &failing.to_string(), &rules.len().to_string())?;
        self.tell(format_args!("… and {left} lines more"), 0)
    }

    fn output(&mut self, words: &[&str], ends_with: Option<Reason>) -> Result<Vec<String>> {
        self.go_on()?;
        self.command(&program(words))?;
        let failed = |error| Error::new(Reason::DemoFailed).with("claim", program(words)).with("error", error);
        let run = |own| Command::new(own).args(words).stdin(Stdio::null()).output();
        let said = std::env::current_exe().and_then(run).map_err(failed)?;
        // Whoever asks this process to end with Ctrl-C asks that one too.
        self.go_on()?;
        let (answer, refusal) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
        // The log may stand before it, and its remedy behind.
        let refusal = refusal.lines().find(|line| line.starts_with("error[")).unwrap_or_default();
        let text = if answer.is_empty() { refusal } else { &answer };
        let expected = ends_with.map_or(0, |reason| i32::from(reason.number()));
        let status = said.status.code().map_or_else(|| "a signal".to_owned(), |code| code.to_string());
        check("the exit status of a command", &status, &expected.to_string())?;
        Ok(text.lines().map(str::to_owned).collect())
    }
}

/// A command of this program as whoever started it can type it.
pub(super) fn program(words: &[&str]) -> String {
    let own = std::env::args_os().next().map_or_else(|| "aerodb".to_owned(), |own| own.to_string_lossy().into_owned());
    let words = std::iter::once(own.as_str()).chain(words.iter().copied()).map(quoted);
    words.collect::<Vec<_>>().join(" ")
}

/// A word as the shell takes it.
fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:@=+".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// A request as it is typed.
pub(super) fn redis_cli(node: SocketAddr, request: &str) -> String {
    format!("redis-cli -p {} {request}", node.port())
}

/// A reply as `redis-cli` shows it.
fn shown(reply: &Value) -> String {
    match reply {
        Value::Simple(text) => bytes::escape(text),
        Value::Bulk(value) => format!("\"{}\"", bytes::escape(value)),
        Value::Integer(number) => format!("(integer) {number}"),
        Value::Null => "(nil)".to_owned(),
        Value::Error(text) | Value::BulkError(text) => format!("(error) {}", String::from_utf8_lossy(text)),
        Value::NullArray
        | Value::Array(_)
        | Value::Map(_)
        | Value::Set(_)
        | Value::Push(_)
        | Value::Double(_)
        | Value::Boolean(_)
        | Value::BigNumber(_)
        | Value::Verbatim(..)
        | Value::Attributed(..) => reply.kind().to_owned(),
    }
}

/// Refuses to go on where a claim of the demo does not hold.
pub(super) fn check(claim: &'static str, found: &str, expected: &str) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(Error::new(Reason::DemoFailed).with("claim", claim).with("expected", expected).with("found", found))
}

/// A text in lines that are no wider than this where it has blanks; what follows the first stands further in.
fn fold(text: &str, width: usize, further: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest = text.to_owned();
    while rest.chars().count() > width {
        let end = rest.char_indices().nth(width).map_or(rest.len(), |(end, _)| end);
        let begin = rest.len() - rest.trim_start().len();
        let Some(at) = rest[begin..end].rfind(' ').map(|at| begin + at) else { break };
        let below = format!("{:further$}{}", "", rest[at..].trim_start());
        if below.len() >= rest.len() {
            break;
        }
        lines.push(rest[..at].trim_end().to_owned());
        rest = below;
    }
    lines.push(rest);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_that_does_not_hold_is_an_error_with_its_evidence() {
        check("a reply", "\"red\"", "\"red\"").unwrap();
        let failure = check("a reply", "\"green\"", "\"red\"").unwrap_err();
        assert_eq!(failure.reason(), Reason::DemoFailed);
        assert_eq!((failure.fact("expected"), failure.fact("found")), (Some("\"red\""), Some("\"green\"")));
    }

    #[test]
    fn a_long_line_is_folded_at_blanks_and_one_without_is_left() {
        assert_eq!(fold("one two three", 8, 2), ["one two", "  three"]);
        assert_eq!(fold("  one two three", 8, 2), ["  one", "  two", "  three"]);
        assert_eq!(fold("onetwothree four", 6, 2), ["onetwothree four"]);
        assert_eq!(fold("", 6, 2), [""]);
    }

    #[test]
    fn a_word_is_quoted_where_the_shell_would_read_it_otherwise() {
        assert_eq!(quoted("/tmp/a-b_c.d:1@2"), "/tmp/a-b_c.d:1@2");
        assert_eq!(quoted("it's here"), r"'it'\''s here'");
    }
}
