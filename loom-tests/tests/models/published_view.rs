//! Who sees commit n sees what commit n wrote, and all before it; nobody sees a commit go back.
//!
//! The versions stand in words that are read and written `Relaxed`, so that only the published word orders them: a store behind a
//! mutex would hide a missing ordering. Not covered here: halts.

use aerodb::commit_id::CommitId;
use aerodb::published::Published;
use aerodb::sync::{Arc, seeded};
use aerodb_loom_tests::{explore, start};
use loom::sync::atomic::{AtomicU64, Ordering};
use std::collections::BTreeSet;

const COMMITS: usize = 3;

/// A store of one version per commit, and the word that makes them readable.
struct World {
    versions: [AtomicU64; COMMITS],
    published: Published,
}

impl World {
    fn new() -> Arc<World> {
        Arc::new(World { versions: [(); COMMITS].map(|()| AtomicU64::new(0)), published: Published::new(CommitId(0)) })
    }

    fn commit_all(&self) {
        for (version, commit) in self.versions.iter().zip(1..) {
            if seeded("a commit is published before its version is in place") {
                self.published.publish(CommitId(commit));
                version.store(commit, Ordering::Relaxed);
            } else {
                version.store(commit, Ordering::Relaxed);
                self.published.publish(CommitId(commit));
            }
        }
    }

    fn check(&self, CommitId(commit): CommitId) {
        for (version, id) in self.versions.iter().zip(1..=commit) {
            assert_eq!(version.load(Ordering::Relaxed), id, "at commit {commit} the version of {id} is in place");
        }
    }
}

/// One thread commits, another looks twice; what it saw.
fn two_looks(look: fn(&Published) -> CommitId) -> [u64; 2] {
    let world = World::new();
    let committing = start({
        let world = Arc::clone(&world);
        move || world.commit_all()
    });
    let reading = start(move || {
        [(); 2].map(|()| {
            let commit = look(&world.published);
            world.check(commit);
            commit.0
        })
    });
    committing.join().expect("the committer held its assertions");
    reading.join().expect("the reader held its assertions")
}

/// All pairs of commits that do not go back.
fn forwards() -> BTreeSet<[u64; 2]> {
    (0..=COMMITS as u64).flat_map(|first| (first..=COMMITS as u64).map(move |second| [first, second])).collect()
}

#[test]
fn a_reader_of_a_commit_sees_its_versions_and_never_goes_back() {
    let outcomes = explore("a committer and a reader", None, || {
        two_looks(|published| published.readable().expect("nobody halted"))
    });
    assert_eq!(outcomes, forwards());
}

#[test]
fn the_status_names_only_commits_whose_versions_are_in_place() {
    let outcomes = explore("a committer and the status", None, || two_looks(Published::commit));
    assert_eq!(outcomes, forwards());
}
