//! What happens in the demo where a backup takes the place of the primary, and is written to: there are two histories then.
//!
//! Backup, restore, writes and the first order are commands that are run as they are printed. The second order is carried out here, by what
//! that command calls, because the node that it starts is to stay one of the demo's.

use super::nodes::{Cluster, Primary, bootstrap};
use super::page::{Page, check, program};
use aerodb::begin;
use aerodb::{CommitId, Options, Reason, Result};
use std::path::Path;

/// No commit of the demo: nothing but a halt is waited for.
const NEVER: CommitId = CommitId(u64::MAX);

/// A backup takes the place of the primary.
pub(super) fn fork(page: &mut Page<'_>, dir: &Path, mends: bool) -> Result<Cluster> {
    let Cluster { primary, replicas: [one, two], proxy } = Cluster::start(page, dir, false)?;
    let [backup, restored] = ["backup", "restored"].map(|name| dir.join(name));
    let [backup_dir, restored_dir] = [&backup, &restored].map(|dir| dir.to_string_lossy());

    page.step("The primary is stopped for a moment, and backed up. Then it goes on, and the replicas with it.")?;
    let (dir, listens) = (primary.dir.clone(), primary.listens());
    primary.close()?;
    page.run(&["backup", &dir.to_string_lossy(), &backup_dir], None)?;
    let primary = Primary::open(dir, listens)?;
    page.expect(primary.resp(), "set apple green", "OK")?;
    let commit = page.newest(primary.resp())?;
    page.expect(one.resp(), &format!("aero.read atleast {commit} wait get apple"), "\"green\"")?;
    two.replica.wait_for(commit)?;

    page.step("The primary is lost. Its backup, which does not know of green, takes its place, and is written to.")?;
    primary.close()?;
    page.run(&["restore", &backup_dir, &restored_dir], None)?;
    page.run(&["put", &restored_dir, "apple", "yellow"], None)?;
    page.run(&["put", &restored_dir, "plum", "blue"], None)?;
    let primary = Primary::open(restored.clone(), listens)?;

    page.step("The replicas have what the new primary never had: their histories have parted, and both halt.")?;
    for (name, replica) in [("replica 1", &one), ("replica 2", &two)] {
        let halt = replica.halt(NEVER)?;
        check("what halted a replica", halt.reason.name(), Reason::HistoryDiverged.name())?;
        page.tell(format_args!("{name} has halted: {halt}"), 4)?;
    }
    page.refused(one.resp(), "get apple", Reason::ReplicaHalted)?;

    page.step("Why, and where: the last commit that both have is the fork.")?;
    page.explain(one.resp(), "replication", &["REPL-HALT"])?;

    if !mends {
        return Ok(Cluster { primary, replicas: [one, two], proxy });
    }
    let (halt, clients, listens) = (one.halt(NEVER)?, primary.resp().to_string(), one.resp().to_string());
    let one = one.again(|dir, primary| {
        page.step("Replica 1 is stopped and compared: who wrote what behind the fork.")?;
        let (dir_word, from) = (dir.to_string_lossy(), primary.to_string());
        page.run(&["compare", &clients, &dir_word], Some(Reason::HistoryDiverged))?;

        page.step("Somebody decides that green is lost. It takes two orders: to give up this data, and to take another node's.")?;
        let words = ["replica", "--data", &dir_word, "--listen", &listens, "--primary", &from, "--rebootstrap"];
        page.run(&[&words[..], &[&halt.to_string()]].concat(), Some(Reason::IdentityOtherPrimary))?;
        let second = begin::look(&Options::new(dir))?.halt.unwrap_or(halt);
        check("what is to be answered next", second.reason.name(), Reason::IdentityOtherPrimary.name())?;
        page.command(&program(&[&words[..], &[&second.to_string()]].concat()))?;
        bootstrap(dir, primary, Some((second.reason, second.position)))
    })?;
    let commit = page.newest(primary.resp())?;
    page.expect(one.resp(), &format!("aero.read atleast {commit} wait get apple"), "\"yellow\"")?;
    page.tell("Replica 2 stays halted: nobody has decided that for it.", 0)?;
    Ok(Cluster { primary, replicas: [one, two], proxy })
}
