//! `aerodb demo`: what the database does, shown on one, step by step.
//!
//! It works in a new directory below the system's temporary one and removes it at the end. Each step says what it
//! does and shows what came of it. Each claim is checked: a demo that ends with 0 has been a test, and one that fails names the claim,
//! what was expected and what was found.

use crate::cli::bytes;
use crate::cli::output::Output;
use crate::cli::tools;
use aerodb::disk::{Disk, RealDisk};
use aerodb::record::Purpose;
use aerodb::recovery::{Init, Options};
use aerodb::{Batch, CommitId, Error, Id, Node, Range, Reason, Result, entropy};
use std::path::Path;

/// Commits that fill a few tables, so that there are runs to see.
const FILLING_COMMITS: u64 = 200;
const TABLE_BYTES: u64 = 4096;
const SEGMENT_BYTES: u64 = 16 * 1024;
/// What the first commit leads to.
const FIRST_ROWS: &str = "apple=red plum=blue";

/// Shows everything, and removes it.
pub(crate) fn demo(out: &mut Output) -> Result<()> {
    let dir = std::env::temp_dir().join(format!("aerodb-demo-{}", Id(entropy::random_id()?)));
    RealDisk.create_dir(&dir)?;
    let outcome = out
        .line(format_args!("A node in {}, which is removed at the end.", dir.display()))
        .and_then(|()| Demo { out, steps: 0 }.show(&dir));
    let removed = RealDisk.remove_tree(&dir);
    outcome?;
    removed?;
    out.line("\nThe directory is removed. Now make one that stays: aerodb init DIR")
}

struct Demo<'a> {
    out: &'a mut Output,
    steps: u32,
}

impl Demo<'_> {
    /// Begins a step. Each one is shown before it is done.
    fn step(&mut self, title: &str) -> Result<()> {
        self.steps += 1;
        self.out.line(format_args!("\n{}. {title}", self.steps))?;
        self.out.flush()
    }

    fn show(&mut self, dir: &Path) -> Result<()> {
        let data = dir.join("data");
        let mut node = self.init(&data)?;
        let first = self.commits(&mut node)?;
        self.old_view(&node, first)?;
        self.checkpoint(&mut node)?;
        let node = self.crash(node, &data)?;
        node.close()?;
        self.verify(&data)?;
        self.backup(&data, &dir.join("backup"), &dir.join("restored"))
    }

    fn init(&mut self, data: &Path) -> Result<Node> {
        self.step("Make a directory: a new database with an identity of its own.")?;
        let mut options = Init::standalone(data);
        options.parameters.table_bytes = TABLE_BYTES;
        options.parameters.segment_bytes = SEGMENT_BYTES;
        let identity = Node::init(&options)?;
        self.out.line(format_args!("   {} node {}", identity.role, identity.node_id))?;
        self.out.line(format_args!("   of database {}", identity.database_id))?;
        Node::open(&Options::new(data))
    }

    fn commits(&mut self, node: &mut Node) -> Result<CommitId> {
        self.step("Commit: all of a batch or nothing, durable before it is acknowledged.")?;
        let mut batch = Batch::new();
        batch.put(b"apple", b"red")?;
        batch.put(b"plum", b"blue")?;
        let first = node.commit(batch)?;
        self.out.line(format_args!("   put apple red, put plum blue    is commit {first}"))?;
        let mut batch = Batch::new();
        batch.put(b"apple", b"green")?;
        batch.delete(b"plum")?;
        let second = node.commit(batch)?;
        self.out.line(format_args!("   put apple green, del plum       is commit {second}"))?;
        Ok(first)
    }

    fn old_view(&mut self, node: &Node, first: CommitId) -> Result<()> {
        self.step("Read now, and as it was: every commit above the floor stays readable.")?;
        let now = rows(node, None)?;
        let then = rows(node, Some(first))?;
        self.out.line(format_args!("   now:         {now}"))?;
        self.out.line(format_args!("   at commit {first}: {then}"))?;
        check("the newest rows", &now, "apple=green")?;
        check("the rows as they were", &then, FIRST_ROWS)
    }

    fn checkpoint(&mut self, node: &mut Node) -> Result<()> {
        self.step("Commit more, then checkpoint: everything goes into sorted, immutable runs.")?;
        for number in 1..=FILLING_COMMITS {
            let mut batch = Batch::new();
            batch.put(format!("key-{number:03}").as_bytes(), number.to_string().repeat(20).as_bytes())?;
            node.commit(batch)?;
        }
        let cut = node.checkpoint(Purpose::Checkpoint)?;
        node.maintain()?;
        self.out.line(format_args!("   {FILLING_COMMITS} commits; checkpoint at {cut}"))?;
        for run in node.store().state().runs.iter().rev() {
            let info = run.info();
            self.out.line(format_args!("   store/{} {} bytes", info.id.file_name(), info.size))?;
        }
        Ok(())
    }

    fn crash(&mut self, mut node: Node, data: &Path) -> Result<Node> {
        self.step("Crash: one more commit, and the node is gone without closing. Then open it again.")?;
        let mut batch = Batch::new();
        batch.put(b"last", b"words")?;
        let last = node.commit(batch)?;
        drop(node);
        let node = Node::open(&Options::new(data))?;
        let report = node.report();
        let found = node.view(Some(last))?.get(b"last")?.unwrap_or_default();
        self.out.line(format_args!("   checkpoint found at {}", report.checkpoint))?;
        self.out.line(format_args!("   log proven from position {} to {}", report.log.proven_from, report.log.end))?;
        self.out.line(format_args!("   {} records replayed behind the checkpoint", report.records_replayed))?;
        self.out.line(format_args!(
            "   last = {} at commit {last}: nothing acknowledged was lost",
            bytes::escape(&found)
        ))?;
        check("the last commit after a crash", &bytes::escape(&found), "words")?;
        Ok(node)
    }

    fn verify(&mut self, data: &Path) -> Result<()> {
        self.step("Verify: every record and every block proves itself.")?;
        for line in tools::proof_text(&tools::prove(&Options::new(data))?) {
            self.out.line(format_args!("   {line}"))?;
        }
        Ok(())
    }

    fn backup(&mut self, data: &Path, backup: &Path, restored: &Path) -> Result<()> {
        self.step("Back up, and restore into another directory.")?;
        let made = tools::make_backup(&Options::new(data), backup)?;
        self.out.line(format_args!("   {}", tools::report_text("backup", &made)))?;
        let back = tools::restore_backup(backup, restored, None)?;
        self.out.line(format_args!("   {}", tools::report_text("restored", &back)))?;
        let node = Node::open(&Options::new(restored))?;
        let then = rows(&node, Some(CommitId(1)))?;
        node.close()?;
        self.out.line(format_args!("   the restored directory at commit 1: {then}"))?;
        check("the restored rows", &then, FIRST_ROWS)
    }
}

/// The first rows of a view, on one line.
fn rows(node: &Node, at: Option<CommitId>) -> Result<String> {
    let rows = node.view(at)?.range(Range::all(10))?.collect()?;
    let shown = rows.iter().map(|(key, value)| format!("{}={}", bytes::escape(key), bytes::escape(value)));
    Ok(shown.collect::<Vec<_>>().join(" "))
}

/// Refuses to go on where a claim of the demo does not hold.
fn check(claim: &'static str, found: &str, expected: &str) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(Error::new(Reason::DemoFailed).with("claim", claim).with("expected", expected).with("found", found))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The step fails as a command does, and not by a panic.
    #[test]
    fn a_claim_that_does_not_hold_is_an_error_with_its_evidence() {
        let scratch = tempfile::tempdir().unwrap();
        let data = scratch.path().join("data");
        let mut out = Output::new(false);
        let mut demo = Demo { out: &mut out, steps: 0 };
        let mut node = demo.init(&data).unwrap();
        let first = demo.commits(&mut node).unwrap();
        let failure = demo.old_view(&node, first.next()).unwrap_err();
        assert_eq!(failure.reason(), Reason::DemoFailed);
        assert_eq!((failure.fact("expected"), failure.fact("found")), (Some(FIRST_ROWS), Some("apple=green")));
    }
}
