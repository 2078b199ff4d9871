//! What happens in the demo where nothing breaks, where a bit flips, and where nothing comes through.
//!
//! Nothing waits for time: what is to happen is waited for at whom it happens to, and ends there too where it will not. Each story returns its
//! nodes, for whoever wants to try them.

use super::nodes::Cluster;
use super::page::{Page, check};
use aerodb::replica_state::Halt;
use aerodb::supervisor::machine::State;
use aerodb::{Reason, Result};
use std::path::Path;

/// Nothing breaks.
pub(super) fn follow(page: &mut Page<'_>, dir: &Path) -> Result<Cluster> {
    let cluster = Cluster::start(page, dir, false)?;
    let (primary, replica) = (cluster.primary.resp(), cluster.replicas[0].resp());

    page.step("Write to the primary, which answers once it is durable; read from a replica, which has proven it.")?;
    page.expect(primary, "set apple green", "OK")?;
    let commit = page.newest(primary)?;
    page.expect(replica, &format!("aero.read atleast {commit} wait get apple"), "\"green\"")?;
    page.refused(replica, "set apple blue", Reason::RoleNotWriter)?;

    page.step("Each write is one commit, and every commit stays readable, on the replica too.")?;
    let before = commit.0.saturating_sub(1);
    page.expect(replica, &format!("aero.at {before} get apple"), "\"red\"")?;
    page.expect(replica, &format!("aero.at {commit} get apple"), "\"green\"")?;

    page.step("What a replica cannot know yet it does not guess.")?;
    page.refused(replica, "aero.read atleast 1000 get apple", Reason::ReadBehind)?;

    page.step("The same position and history: the same log, byte for byte. The files can be compared too.")?;
    cluster.wait_for(commit)?;
    cluster.show_equal(page)?;
    page.run(&["compare", &primary.to_string(), &replica.to_string()], None)?;

    page.step("Every node explains itself, by the rules that it decides by.")?;
    cluster.replicas[0].replica.wait_until(|status| status.replica.state == State::Ready || status.fault.is_some());
    page.explain(replica, "replication", &[])?;
    Ok(cluster)
}

/// A bit flips between the primary and a replica.
pub(super) fn corrupt(page: &mut Page<'_>, dir: &Path, mends: bool) -> Result<Cluster> {
    let Cluster { primary, replicas: [one, two], proxy } = Cluster::start(page, dir, true)?;

    page.step("On the way to replica 2 one bit of the log flips: green becomes greeo.")?;
    proxy.iter().for_each(|proxy| proxy.flip(b"green"));
    page.expect(primary.resp(), "set apple green", "OK")?;
    let commit = page.newest(primary.resp())?;
    let halt = two.halt(commit)?;
    check("what halted replica 2", halt.reason.name(), Reason::SegmentRejected.name())?;
    let flipped = proxy.as_ref().map_or(0, |proxy| proxy.flipped());
    check("bits that flipped", &flipped.to_string(), "1")?;
    page.tell(format_args!("replica 2 has halted: {halt}"), 4)?;

    page.step("Replica 2 does not answer from what it cannot prove; replica 1 goes on.")?;
    page.refused(two.resp(), "get apple", Reason::ReplicaHalted)?;
    page.expect(one.resp(), &format!("aero.read atleast {commit} wait get apple"), "\"green\"")?;

    page.step("Why: what was rejected, where, and by which rule.")?;
    page.explain(two.resp(), "segment", &["F-V1"])?;

    page.step("A restart changes nothing: the halt is kept until somebody clears it by its name.")?;
    let two = two.again(|_, _| Ok(()))?;
    page.refused(two.resp(), "get apple", Reason::ReplicaHalted)?;
    check("the halt after a restart", &two.halt(commit)?.to_string(), &halt.to_string())?;

    if !mends {
        return Ok(Cluster { primary, replicas: [one, two], proxy });
    }
    page.step(
        "The network is mended, so the halt is cleared; with the next start the replica asks again, and catches up.",
    )?;
    let two = two.again(|dir, _| resume(page, dir, &halt))?;
    page.expect(two.resp(), &format!("aero.read atleast {commit} wait get apple"), "\"green\"")?;
    let cluster = Cluster { primary, replicas: [one, two], proxy };
    cluster.show_equal(page)?;
    Ok(cluster)
}

/// Clears a halt, by the command that does.
fn resume(page: &mut Page<'_>, dir: &Path, halt: &Halt) -> Result<()> {
    page.run(&["resume", &dir.to_string_lossy(), "--clear", &halt.to_string()], None)
}

/// Nothing comes through to a replica.
pub(super) fn partition(page: &mut Page<'_>, dir: &Path, mends: bool) -> Result<Cluster> {
    let cluster = Cluster::start(page, dir, true)?;
    let [primary, one, two] = [cluster.primary.resp(), cluster.replicas[0].resp(), cluster.replicas[1].resp()];
    let before = cluster.replicas[1].replica.commit();

    page.step("From here on nothing comes through to replica 2. The primary commits on: it waits for nobody.")?;
    cluster.proxy.iter().for_each(|proxy| proxy.hold());
    page.expect(primary, "set apple green", "OK")?;
    let commit = page.newest(primary)?;
    page.expect(one, &format!("aero.read atleast {commit} wait get apple"), "\"green\"")?;

    page.step("Replica 2 answers as of its own commit: old, but true, and it says which.")?;
    page.expect(two, "get apple", "\"red\"")?;
    page.expect(two, "aero.commitid", &format!("(integer) {before}"))?;

    page.step("Whoever needs more says so, and is refused with both numbers, rather than misled.")?;
    let told = page.refused(two, &format!("aero.read atleast {commit} get apple"), Reason::ReadBehind)?;
    for fact in [format!("view={before},"), format!("at_least={commit},")] {
        check("the numbers of the refusal", if told.contains(&fact) { &fact } else { &told }, &fact)?;
    }

    page.step("Why.")?;
    page.explain(two, &format!("read apple --at-least {commit}"), &["READ-LEAST"])?;
    cluster.show(page)?;

    if !mends {
        return Ok(cluster);
    }
    page.step("Something comes through again. Whoever waits for the commit gets it; nobody had to do anything.")?;
    cluster.proxy.iter().try_for_each(|proxy| proxy.pass())?;
    page.expect(two, &format!("aero.read atleast {commit} wait get apple"), "\"green\"")?;
    cluster.show_equal(page)?;
    Ok(cluster)
}
