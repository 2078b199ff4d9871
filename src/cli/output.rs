//! Standard output: text lines, bytes as they are, or one JSON object per line.
//!
//! Buffered, and flushed where a command ends or asks for it. The first failed write is `cli.output`; the command stops there. Nothing
//! here panics when the reader goes away.

use aerodb::{Error, Identity, LogPoint, Reason, Result};
use serde_json::{Value, json};
use std::fmt;
use std::io::{self, BufWriter, IsTerminal, Stderr, Stdout, Write};

const BUFFER_BYTES: usize = 64 * 1024;

/// Where a command writes its answer.
pub(crate) struct Output {
    writer: BufWriter<Stdout>,
    json: bool,
    reader_is_gone: bool,
}

impl Output {
    /// Standard output.
    pub(crate) fn new(json: bool) -> Output {
        Output { writer: BufWriter::with_capacity(BUFFER_BYTES, io::stdout()), json, reader_is_gone: false }
    }

    /// Whether JSON was asked for.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Whether a write failed because nobody reads any more.
    pub(crate) fn reader_is_gone(&self) -> bool {
        self.reader_is_gone
    }

    /// Bytes, as they are.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> Result<()> {
        let outcome = self.writer.write_all(bytes);
        self.check(outcome)
    }

    /// A line of text.
    pub(crate) fn line(&mut self, text: impl fmt::Display) -> Result<()> {
        let outcome = writeln!(self.writer, "{text}");
        self.check(outcome)
    }

    /// A line that is one JSON value.
    pub(crate) fn json(&mut self, value: &Value) -> Result<()> {
        self.line(value)
    }

    /// The answer in the form that was asked for.
    pub(crate) fn answer(&mut self, text: impl fmt::Display, value: impl FnOnce() -> Value) -> Result<()> {
        if self.json { self.json(&value()) } else { self.line(text) }
    }

    /// Hands everything on to the operating system.
    pub(crate) fn flush(&mut self) -> Result<()> {
        let outcome = self.writer.flush();
        self.check(outcome)
    }

    fn check(&mut self, outcome: io::Result<()>) -> Result<()> {
        outcome.map_err(|error| {
            self.reader_is_gone |= error.kind() == io::ErrorKind::BrokenPipe;
            Error::new(Reason::CliOutput).with("error", error)
        })
    }
}

/// A point of the log as JSON. A history is 64 bits that mean nothing as a number: it is shown in hexadecimal.
pub(crate) fn point(point: LogPoint) -> Value {
    json!({
        "position": point.position.0,
        "history": point.history.to_string(),
        "commit": point.commit.0,
    })
}

/// An identity as JSON.
pub(crate) fn identity(identity: &Identity) -> Value {
    json!({
        "role": identity.role.name(),
        "database": identity.database_id.to_string(),
        "node": identity.node_id.to_string(),
        "epoch": identity.epoch,
        "segment_bytes": identity.parameters.segment_bytes,
        "table_bytes": identity.parameters.table_bytes,
        "block_bytes": identity.parameters.block_bytes,
        "fanout": identity.parameters.fanout,
    })
}

/// How far a long command is, on standard error, where that is a terminal; silent everywhere else.
pub(crate) struct Progress {
    terminal: Option<Stderr>,
    verb: &'static str,
    shown: Option<u64>,
}

impl Progress {
    /// Nothing is shown yet.
    pub(crate) fn new(verb: &'static str) -> Progress {
        let stderr = io::stderr();
        Progress { terminal: stderr.is_terminal().then_some(stderr), verb, shown: None }
    }

    /// Shows that `done` of `total` is done, if that is another percentage than before.
    pub(crate) fn show(&mut self, done: u64, total: u64) {
        let percent = done.saturating_mul(100).checked_div(total).unwrap_or(100).min(100);
        if let Some(terminal) = &mut self.terminal
            && self.shown != Some(percent)
        {
            self.shown = Some(percent);
            // A terminal that can't be written to is no reason to stop.
            let _ = write!(terminal, "\r{}\x1b[K", bar(self.verb, percent, done, total));
        }
    }
}

/// One line of a terminal: `receiving [######··············]  30 %  314572800 of 1048576000 bytes`.
fn bar(verb: &str, percent: u64, done: u64, total: u64) -> String {
    let filled = usize::try_from(percent / 5).unwrap_or_default();
    let (filled, empty) = ("#".repeat(filled), "·".repeat(20_usize.saturating_sub(filled)));
    format!("{verb} [{filled}{empty}] {percent:>3} %  {done} of {total} bytes")
}

impl Drop for Progress {
    /// Clears the line, so that what follows stands alone.
    fn drop(&mut self) {
        if let (Some(terminal), Some(_)) = (&mut self.terminal, self.shown) {
            let _ = write!(terminal, "\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_far_a_command_is_is_said_in_bytes_of_known_totals_p5_i14() {
        assert_eq!(bar("receiving", 0, 0, 9), "receiving [····················]   0 %  0 of 9 bytes");
        assert_eq!(bar("receiving", 30, 300, 999), "receiving [######··············]  30 %  300 of 999 bytes");
        assert_eq!(bar("proving", 100, 9, 9), "proving [####################] 100 %  9 of 9 bytes");
    }
}
