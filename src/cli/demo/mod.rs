//! `aerodb demo`: a primary and two replicas at work, in one process, over real sockets and on real directories.
//!
//! ```text
//! temporary directory ─► story: nodes, load, what is to be seen (or broken) ─► on a terminal: wait for Ctrl-C ─► nodes end ─► removed
//! ```
//!
//! What is printed as a command is what is done: the requests are sent, the commands of this program are run, and the answers are those of the nodes. Each
//! claim is checked: a demo that ends with 0 has been a test, and one that fails names the claim, what was expected and what was found.
//!
//! What was broken is mended at the end of the story, unless `--unmended` wants to look at it.
//!
//! It waits only where standard output is a terminal and `--once` is not given, or where `--wait` is: anywhere else it ends by itself.
//! A request to end, whenever it comes, is no failure; what was made is removed.
//!
//! * `nodes`: a primary, a replica, and all three. `proxy`: what stands between two of them, to break something.
//! * `page`: what is printed and run. `story`, `fork`: what happens.

mod fork;
mod nodes;
mod page;
mod proxy;
mod story;

use crate::cli::output::Output;
use crate::cli::{args, logs};
use aerodb::disk::{Disk, RealDisk};
use aerodb::{Error, Result, entropy};
use clap::ArgMatches;
use page::{ASKED_TO_END, Page};
use std::io::IsTerminal;
use std::path::Path;

/// What can be broken.
pub(crate) const BREAKS: [&str; 3] = ["corrupt", "partition", "fork"];

/// `aerodb demo`.
pub(crate) fn demo(matches: &ArgMatches, out: &mut Output) -> Result<()> {
    logs::start_if_asked()?;
    let waits = args::flag(matches, "wait") || (std::io::stdout().is_terminal() && !args::flag(matches, "once"));
    let mut page = Page::new(out)?;
    let dir = std::env::temp_dir().join(format!("aerodb-demo-{:016x}", entropy::random_seed()?));
    RealDisk.create_dir(&dir)?;
    let outcome = tell(&mut page, &dir, args::word(matches, "break"), !args::flag(matches, "unmended"), waits);
    let removed = RealDisk.remove_tree(&dir);
    match outcome {
        Err(error) if !is_request(&error) => return Err(error),
        Ok(()) | Err(_) => removed?,
    }
    page.say("\nThe nodes have ended, and the directory is removed.")
}

fn is_request(error: &Error) -> bool {
    error.fact("cause") == Some(ASKED_TO_END)
}

fn tell(page: &mut Page<'_>, dir: &Path, breaks: Option<&str>, mends: bool, waits: bool) -> Result<()> {
    // Whoever finds the directory can tell whether somebody is still at work in it.
    let _lock = RealDisk.lock(&dir.join("LOCK"))?;
    page.say(format!("A primary and two replicas in {}, which is removed at the end.", dir.display()))?;
    let cluster = match breaks {
        None => story::follow(page, dir)?,
        Some("corrupt") => story::corrupt(page, dir, mends)?,
        Some("partition") => story::partition(page, dir, mends)?,
        Some(_) => fork::fork(page, dir, mends)?,
    };
    if waits {
        cluster.invite(page)?;
        page.wait()?;
    } else {
        page.say("\nIn a terminal, or with --wait, the nodes stay, for you to try; --break breaks something.")?;
    }
    cluster.close()
}
