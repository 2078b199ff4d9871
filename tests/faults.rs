//! Every failed call (F-D2, D-FSYNC): EIO, a full disk, a short write, a failed fsync, at every call that a node makes.
//!
//! A scripted workload runs until the call fails. What must hold: the caller hears of it, by a named reason; writing has stopped, and
//! stays stopped, with the failure as evidence; reading goes on at the last published commit; after a restart of the process, and
//! after a power cut in every variant, what was acknowledged is there (D-ACK), what was refused as never made
//! (`commit.stopped`) is not, what had an unknown outcome may be there, and nothing is half there (M-ATOMIC).

mod world;

use aerodb::committer::Order;
use aerodb::disk::{Crash, Fault, SimDisk};
use aerodb::{CommitId, Error, Node, Reason, Result};
use world::script::{self, BASE, Plan, Shape, Step, open_options};
use world::{fold, init_options, rows_at};

const SHAPE: Shape = Shape { seed: 21, groups: 26, reopens: 8, checkpoints: 6, ..BASE };

/// What became of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Acknowledged,
    Unknown,
    NotMade,
}

/// A workload that ran until something failed.
struct Story {
    plans: Vec<(Plan, Fate)>,
    failure: Option<Error>,
    node: Option<Node>,
}

fn fate(answer: &Result<aerodb::LogPoint>) -> Fate {
    match answer {
        Ok(_) => Fate::Acknowledged,
        Err(error) if error.reason() == Reason::CommitUnknown => Fate::Unknown,
        Err(error) if error.reason() == Reason::CommitStopped => Fate::NotMade,
        Err(error) => panic!("an order was answered with {error}"),
    }
}

fn play(shape: Shape, disk: &SimDisk) -> Story {
    let mut story = Story { plans: Vec::new(), failure: None, node: None };
    let mut node = match Node::open(&open_options(shape, disk)) {
        Ok(node) => node,
        Err(error) => {
            story.failure = Some(error);
            return story;
        }
    };
    for step in script::script(shape) {
        let failure = match step {
            Step::Group(group) => {
                let orders: Vec<Order> = group.iter().map(Plan::order).collect();
                match node.group(&orders) {
                    Ok(answers) => {
                        let failure = answers.iter().find_map(|answer| answer.as_ref().err().cloned());
                        story.plans.extend(group.into_iter().zip(answers.iter().map(fate)));
                        failure.or_else(|| node.store().write_fault())
                    }
                    Err(failure) => Some(failure),
                }
            }
            Step::Maintain(steps) => (0..steps).find_map(|_| node.step().err()),
            Step::Checkpoint(purpose) => {
                let before = node.durable();
                let made = node.checkpoint(purpose);
                // Where it failed behind the cut, the cut may or may not be there.
                let fate = match &made {
                    Ok(_) => Fate::Acknowledged,
                    Err(_) if node.durable() != before => Fate::Acknowledged,
                    Err(_) => Fate::Unknown,
                };
                story.plans.push((Plan::Cut(purpose), fate));
                made.err()
            }
            Step::Reopen => match node.close() {
                Err(failure) => {
                    story.failure = Some(failure);
                    return story;
                }
                Ok(()) => match Node::open(&open_options(shape, disk)) {
                    Ok(opened) => {
                        node = opened;
                        None
                    }
                    Err(failure) => {
                        story.failure = Some(failure);
                        return story;
                    }
                },
            },
        };
        if failure.is_some() {
            story.failure = failure;
            break;
        }
    }
    story.node = Some(node);
    story
}

impl Story {
    fn plans(&self) -> Vec<Plan> {
        self.plans.iter().map(|(plan, _)| plan.clone()).collect()
    }

    fn acknowledged(&self) -> usize {
        self.plans.iter().rposition(|(_, fate)| *fate == Fate::Acknowledged).map_or(0, |last| last + 1)
    }

    /// Orders that may be there.
    fn possible(&self) -> usize {
        self.plans.iter().take_while(|(_, fate)| *fate != Fate::NotMade).count()
    }

    /// Reading goes on, writing does not.
    fn check_stopped(&mut self, what: &str) {
        let plans = self.plans();
        let acknowledged = self.acknowledged();
        let commits = script::commits(&plans[..acknowledged]);
        let Some(node) = self.node.as_mut() else { return };
        let newest = node.store().commit();
        assert_eq!(newest.0 as usize, commits.len(), "{what}: what is published is what was acknowledged");
        assert_eq!(rows_at(node, newest).unwrap(), fold(&commits, commits.len()), "{what}: reading goes on");
        if node.store().write_fault().is_none() {
            return;
        }
        let refused = node.commit(world::batch(&vec![(b"late".to_vec(), Some(b"x".to_vec()))]));
        let error = refused.expect_err("writing has stopped");
        assert_eq!(error.reason(), Reason::CommitStopped, "{what}: {error}");
        assert!(error.fact("failure").is_some(), "{what}: the refusal names the failure");
        assert_eq!(node.store().commit(), newest, "{what}: nothing became visible");
    }

    /// What is there after a restart.
    fn check_found(&self, shape: Shape, disk: &SimDisk, what: &str) {
        let node = Node::open(&open_options(shape, disk));
        let node = node.unwrap_or_else(|error| panic!("{what}: {error}\n{}", world::listing(disk)));
        let plans = self.plans();
        let found = node.store().commit().0 as usize;
        let least = script::commits(&plans[..self.acknowledged()]).len();
        let most = script::commits(&plans[..self.possible()]).len();
        assert!((least..=most).contains(&found), "{what}: {found} commits, {least} acknowledged, {most} possible");
        let commits = script::commits(&plans);
        assert_eq!(rows_at(&node, CommitId(found as u64)).unwrap(), fold(&commits, found), "{what}");
    }
}

fn new_disk(shape: Shape) -> SimDisk {
    let disk = SimDisk::new();
    Node::init(&init_options(&disk, shape.parameters)).unwrap();
    disk.image().crash(Crash::Kept, 0)
}

fn explore(fault: Fault) {
    let calm = new_disk(SHAPE);
    let story = play(SHAPE, &calm);
    assert!(story.failure.is_none() && story.acknowledged() == story.plans.len());
    let operations = calm.operations();
    let mut outcomes = std::collections::BTreeMap::new();
    for number in 0..operations {
        let what = format!("{fault:?} at operation {number} of {operations}");
        let disk = new_disk(SHAPE);
        disk.fail_operation(number, fault);
        let mut story = play(SHAPE, &disk);
        let Some(failure) = story.failure.clone() else {
            panic!("{what}: nobody heard of it");
        };
        *outcomes.entry(failure.reason().name()).or_insert(0) += 1;
        let root = failure.fact("failure").unwrap_or_default().to_owned() + failure.reason().name();
        assert!(root.contains("disk."), "{what}: the failure names the disk: {failure}");
        story.check_stopped(&what);
        drop(story.node.take());
        disk.heal();
        let image = disk.image();
        story.check_found(SHAPE, &image.restart(), &format!("{what}, then a restart"));
        let again = image.restart();
        story.check_found(SHAPE, &again, &format!("{what}, then a restart"));
        for (index, variant) in Crash::ALL.iter().enumerate() {
            let crashed = image.crash(*variant, number + index as u64);
            story.check_found(SHAPE, &crashed, &format!("{what}, then {variant:?}"));
            // The first restart may have accepted what the failed fsync left in the cache alone: it must have made it durable.
            let crashed = again.image().crash(*variant, number + index as u64);
            story.check_found(SHAPE, &crashed, &format!("{what}, then a restart and {variant:?}"));
        }
    }
    println!("{fault:?}: {operations} operations, outcomes {outcomes:?}");
}

#[test]
fn an_io_error_at_any_operation_stops_writing_and_loses_nothing() {
    explore(Fault::Eio);
}

#[test]
fn a_failed_operation_that_forgets_its_data_loses_nothing_acknowledged() {
    explore(Fault::EioAndForget);
}

#[test]
fn a_short_write_at_any_operation_stops_writing_and_loses_nothing() {
    explore(Fault::ShortWrite);
}

/// A disk that is full for one call is a failure like any other: it is not tried again.
#[test]
fn a_disk_that_is_full_once_stops_writing_and_loses_nothing() {
    explore(Fault::NoSpace);
}

/// `Reason::DiskFull` is what the caller sees of it.
#[test]
fn a_disk_that_stays_full_stops_writing_and_loses_nothing() {
    explore_full();
}

fn explore_full() {
    let calm = new_disk(SHAPE);
    play(SHAPE, &calm);
    let mut full = 0;
    for number in 0..calm.operations() {
        let what = format!("full from operation {number} on");
        let disk = new_disk(SHAPE);
        disk.fail_operations_from(number, Fault::NoSpace);
        let mut story = play(SHAPE, &disk);
        // Where only removals and syncs were left, a full disk goes unnoticed.
        if let Some(failure) = story.failure.clone() {
            let root = failure.fact("failure").unwrap_or_default().to_owned() + failure.reason().name();
            assert!(root.contains(Reason::DiskFull.name()), "{what}: {failure}");
            full += 1;
        }
        story.check_stopped(&what);
        drop(story.node.take());
        disk.heal();
        story.check_found(SHAPE, &disk.image().restart(), &what);
    }
    assert!(full > 0);
    println!("full: {full} of {} were noticed", calm.operations());
}

/// A process that runs out of handles (`Reason::DiskHandlesExhausted`): whatever it then can't open, nothing acknowledged is lost.
#[test]
fn a_limit_of_open_files_stops_writing_and_loses_nothing() {
    let mut stopped = 0;
    for most in 0.. {
        let what = format!("at most {most} handles");
        let disk = new_disk(SHAPE);
        disk.limit_handles(most);
        let mut story = play(SHAPE, &disk);
        let Some(failure) = story.failure.clone() else { break };
        let root = failure.fact("failure").unwrap_or_default().to_owned() + failure.reason().name();
        assert!(root.contains(Reason::DiskHandlesExhausted.name()), "{what}: {failure}");
        stopped += usize::from(story.node.is_some());
        story.check_stopped(&what);
        drop(story.node.take());
        disk.heal();
        let image = disk.image();
        story.check_found(SHAPE, &image.restart(), &what);
        for variant in Crash::ALL {
            story.check_found(SHAPE, &image.crash(variant, most as u64), &format!("{what}, then {variant:?}"));
        }
    }
    assert!(stopped > 0, "a node opened, and met the limit later");
}

/// F-D2: a reader opens no file. Where the process can open none any more (`Reason::DiskHandlesExhausted`), points and ranges are answered as
/// before, also from blocks that nobody has read yet; and so are commits, until the log or a table needs a new file.
#[test]
fn without_a_handle_left_all_is_read_and_commits_go_on_until_one_needs_a_file() {
    let disk = new_disk(SHAPE);
    let mut story = play(SHAPE, &disk);
    let commits = script::commits(&story.plans());
    drop(story.node.take());
    let mut node = Node::open(&open_options(SHAPE, &disk)).unwrap();
    disk.limit_handles(0);
    let (reads, rows) = (disk.reads(), fold(&commits, commits.len()));
    assert_eq!(rows_at(&node, CommitId(commits.len() as u64)).as_ref(), Ok(&rows));
    assert!(disk.reads() > reads, "some of it came from the disk");
    for (key, value) in &rows {
        assert_eq!(node.store().newest().look(key, <[u8]>::to_vec).as_ref(), Ok(&Some(value.clone())));
    }

    let mut commit = || node.commit(world::batch(&vec![(b"late".to_vec(), Some(vec![7; 100]))]));
    commit().unwrap();
    let refusal = std::iter::repeat_with(&mut commit).find_map(Result::err).unwrap();
    assert_eq!(refusal.reason(), Reason::CommitStopped, "nothing of it was written");
    assert!(refusal.fact("failure").unwrap().contains(Reason::DiskHandlesExhausted.name()), "{refusal}");
    let newest = node.store().commit();
    assert_eq!(rows_at(&node, newest).unwrap().get(&b"late"[..]), Some(&vec![7; 100]), "reading goes on");
    drop(node);
    disk.heal();
    let node = Node::open(&open_options(SHAPE, &disk)).unwrap();
    assert_eq!((node.store().commit(), node.store().write_fault()), (newest, None));
}

/// A read that fails is refused by its reason (`Reason::DiskReadFailed`); it changes nothing, and no answer is wrong.
#[test]
fn a_failed_read_is_refused_and_changes_nothing() {
    let calm = new_disk(SHAPE);
    let story = play(SHAPE, &calm);
    let mut refused = 0;
    for number in 0..calm.reads() {
        let what = format!("EIO at read {number} of {}", calm.reads());
        let disk = new_disk(SHAPE);
        disk.fail_read(number, Fault::Eio);
        let mut failed = play(SHAPE, &disk);
        if let Some(failure) = failed.failure.clone() {
            let root = failure.fact("failure").unwrap_or_default().to_owned() + failure.reason().name();
            let named =
                [Reason::DiskReadFailed, Reason::DiskNameFailed].iter().any(|reason| root.contains(reason.name()));
            assert!(named, "{what}: {failure}");
            refused += 1;
        }
        failed.check_stopped(&what);
        drop(failed.node.take());
        disk.heal();
        failed.check_found(SHAPE, &disk.image().restart(), &what);
    }
    assert!(refused > 0, "reads are made");
    assert_eq!(story.acknowledged(), story.plans.len());
}
