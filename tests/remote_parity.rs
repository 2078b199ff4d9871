//! The same commands on a directory and on a server: the same output, the same exit status.
//!
//! Two databases live the same life, one as a directory from command to command, one behind the real server. What may differ is what
//! `docs/cli.md` says.

#![cfg(all(feature = "cli", feature = "server"))]

mod binary;
mod served;

use aerodb::{CommitId, Reason};
use binary::{Place, Said};
use serde_json::Value;
use served::Served;

struct Twins {
    place: Place,
    served: Served,
}

impl Twins {
    fn new() -> Twins {
        let place = Place::with_node();
        let served = Served::on_disk(&place.path("s"));
        Twins { place, served }
    }

    fn here(&self, words: &[&str]) -> Said {
        self.place.run(&[&words[..1], &["d"], &words[1..]].concat())
    }

    fn there(&self, words: &[&str]) -> Said {
        self.place.run(&[&words[..1], &["--addr", &self.served.address.to_string()], &words[1..]].concat())
    }

    /// Both say the same: all of it on success, the same code on failure.
    fn agree(&self, words: &[&str]) -> Said {
        let (here, there) = (self.here(words), self.there(words));
        let code = |said: &Said| said.stderr.split(':').next().unwrap_or_default().to_owned();
        assert_eq!((here.status, code(&here)), (there.status, code(&there)), "{words:?}");
        // The evidence of a refusal is in the words of the one or the other.
        if there.status == 0 || !words.contains(&"--json") {
            assert_eq!(here.stdout.escape_ascii().to_string(), there.stdout.escape_ascii().to_string(), "{words:?}");
        }
        there
    }

    /// Both make the same commit, at the same place of their logs. Histories are those of two databases.
    fn commit(&self, words: &[&str]) {
        self.agree(words);
        let json = [&words[..1], &["--json"], &words[1..]].concat();
        let [here, there] = [self.here(&json), self.there(&json)].map(|said| {
            let point: Value = serde_json::from_slice(&said.stdout).unwrap();
            assert_eq!(point["history"].as_str().map(str::len), Some(16), "{words:?}: {point}");
            ["commit", "position"].map(|name| point[name].as_u64().unwrap())
        });
        assert_eq!(here, there, "{words:?}");
    }
}

#[test]
fn a_directory_and_a_server_answer_the_same() {
    let twins = Twins::new();
    let bytes: String = (0..=255).map(|byte| format!("\\x{byte:02x}")).collect();
    let large = "v".repeat(100_000);
    twins.commit(&["put", "apple", "red", "plum", "blue"]);
    twins.commit(&["put", "apple", "green"]);
    twins.commit(&["put", "", "the empty key", &bytes, &bytes]);
    twins.commit(&["put", "large", &large, "one key", "first", "one key", "last"]);
    std::fs::write(twins.place.path("v"), b"from\x00a file\n").unwrap();
    twins.commit(&["put", "file", "--value-file", "v"]);
    twins.commit(&["put", "short-lived", "", "plum", "blue"]);
    // Deleting once more would be no commit at the server.
    assert_eq!(twins.agree(&["del", "short-lived", "absent"]).stdout, b"commit 13\n");

    for key in ["apple", "", &bytes, "large", "one key", "file", "short-lived", "absent", "a\\q"] {
        for at in [&[][..], &["--at=1"], &["--at=3"], &["--at=0"], &["--at=99"]] {
            twins.agree(&[&["get"], at, &["--", key]].concat());
            twins.agree(&[&["get", "--json"], at, &["--", key]].concat());
            twins.agree(&[&["get", "--raw"], at, &["--", key]].concat());
        }
    }
    let ranges: [&[&str]; 12] = [
        &[],
        &["--reverse"],
        &["--limit=2"],
        &["--limit=2", "--reverse"],
        &["--limit=0"],
        &["--from=apple", "--to=large"],
        &["--from=apple", "--to=apple"],
        &["--from=plum", "--to=apple"],
        &["--to="],
        &["--from=a", "--to="],
        &["--prefix=p"],
        &["--prefix=\\xff"],
    ];
    for range in ranges {
        for options in [&[][..], &["--json"], &["--at=4"], &["--at=0"], &["--at=99"]] {
            twins.agree(&[&["scan"], range, options].concat());
        }
    }
    assert_eq!(twins.there(&["del", "absent"]).stdout, b"no commit: none of the keys has a value\n");
}

#[test]
fn a_floor_hides_the_same_from_both() {
    let twins = Twins::new();
    (0..3).for_each(|_| twins.commit(&["put", "k", "v"]));
    twins.place.ok(&["floor", "d", "4"]);
    twins.served.db.raise_floor(CommitId(4)).unwrap();
    twins.agree(&["get", "k", "--at=4"]);
    twins.agree(&["scan", "--at=3"]).is(Reason::ViewBelowFloor);
    let told = twins.agree(&["get", "k", "--at=3"]);
    told.is(Reason::ViewBelowFloor);
    assert!(told.stderr.contains("told=view=3, floor=4"), "{told:?}");
}

#[test]
fn a_scan_of_many_pages_is_the_same_on_both() {
    let twins = Twins::new();
    for page in 0..5 {
        let pairs: Vec<String> = (0..1000).map(|number| format!("{}", (page * 1000 + number) * 7919 % 5000)).collect();
        twins.agree(&[&["put"][..], &pairs.iter().map(String::as_str).collect::<Vec<_>>()].concat());
    }
    let all = twins.agree(&["scan"]);
    assert_eq!(all.stdout.iter().filter(|byte| **byte == b'\n').count(), 2500);
    for options in
        [&["--reverse"][..], &["--limit=1000"], &["--limit=1001", "--reverse"], &["--prefix=1", "--limit=2000"]]
    {
        twins.agree(&[&["scan"], options].concat());
    }
}

/// The fields that a directory has are those of its server, and hold the same; what recovery found is that of each start.
#[test]
fn the_status_of_a_server_is_that_of_its_directory() {
    let twins = Twins::new();
    twins.agree(&["put", "k", "v"]);
    twins.served.db.checkpoint().unwrap();
    twins.agree(&["put", "l", "v"]);
    let lines =
        |said: &Said| String::from_utf8(said.stdout.clone()).unwrap().lines().map(str::to_owned).collect::<Vec<_>>();
    let steps = aerodb::recovery::machine::State::ALL.iter().map(|step| format!("{:15}{step}: ", ""));
    let of_start: Vec<String> =
        ["proven from", "replayed", "torn tail"].map(str::to_owned).into_iter().chain(steps).collect();
    let there = lines(&twins.there(&["status"]));
    let mut json: Value = serde_json::from_slice(&twins.there(&["status", "--json"]).stdout).unwrap();
    let Twins { place, served } = twins;
    served.stop().close().unwrap();
    let here = lines(&place.run(&["status", "s"]));
    assert!(here.iter().any(|line| line.ends_with(".run") || line.contains(".run ")), "{here:#?}");
    for (line, other) in here.iter().zip(&there) {
        let name = of_start.iter().find(|name| line.starts_with(name.as_str()));
        assert!(name.map_or(line == other, |name| other.starts_with(name.as_str())), "{line}: {there:#?}");
    }
    let mut offline: Value = serde_json::from_slice(&place.run(&["status", "s", "--json"]).stdout).unwrap();
    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let (recovery, other) = (offline["recovery"].take(), json["recovery"].take());
    assert_eq!(names(&recovery), names(&other));
    for name in names(&offline) {
        assert_eq!(offline[&name], json[&name], "{name}");
        assert!(name == "recovery" || !json[&name].is_null(), "{name}");
    }
}
