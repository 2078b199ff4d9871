//! Names that only one place may use: each door, and what must stand nowhere.
//!
//! What a door guards is named behind it only, in tests too: under loom, on the simulated disk and in a replayed schedule the
//! rest of the product can't reach past it.

use crate::layers;
use crate::paths::paths;
use crate::source::{Source, words};

/// What is guarded: paths below `std`, words; where they may stand; whether tests beside the code may use them too.
struct Guard {
    below_std: &'static [&'static str],
    words: &'static [&'static str],
    doors: &'static [&'static str],
    tests_too: bool,
}

const GUARDS: &[Guard] = &[
    Guard { below_std: &["fs", "os/unix/fs", "os/fd"], words: &[], doors: &["disk/real.rs"], tests_too: false },
    Guard { below_std: &["thread", "sync"], words: &[], doors: &["sync.rs", "sync/"], tests_too: false },
    Guard { below_std: &["time"], words: &["Instant", "SystemTime"], doors: &["clock.rs"], tests_too: false },
    Guard {
        below_std: &["net", "os/unix/net", "os/linux/net"],
        words: &["mio", "signal_hook"],
        doors: &["wire.rs", "wire/"],
        tests_too: false,
    },
    Guard { below_std: &[], words: &["crossbeam_channel"], doors: &["queue.rs", "queue/"], tests_too: false },
    Guard { below_std: &[], words: &["loom"], doors: &["sync.rs", "sync/", "queue.rs", "queue/"], tests_too: false },
    Guard { below_std: &[], words: &["getrandom"], doors: &["entropy.rs"], tests_too: false },
    Guard { below_std: &["process"], words: &[], doors: &["main.rs", "cli.rs", "cli/"], tests_too: false },
    Guard {
        below_std: &[],
        words: &["println!", "eprintln!", "print!", "eprint!"],
        doors: &["main.rs", "cli.rs", "cli/"],
        tests_too: true,
    },
];

/// What stands below a guarded path and opens nothing: an address is a value.
const VALUES: &[&str] = &["net/SocketAddr"];

/// What no code may contain, of product or test.
const NOWHERE: &[&str] = &["todo!", "unimplemented!", "dbg!", "#[ignore", "thread::sleep", "sleep_ms"];

/// What can't stand in product code at all: no decision depends on how long something took (R-AUTHORITY).
const NO_TIME_OUT: &[&str] = &["recv_timeout", "send_timeout", "wait_timeout", "wait_timeout_while", "park_timeout"];

/// What pure code can't contain.
const PANICS: &[&str] = &[".unwrap()", ".expect(", "panic!"];

/// Every name that stands where it must not.
pub(crate) fn violations(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources {
        let mut refuse = |code: &str, forbidden: &[&str], why: &str| {
            for word in forbidden {
                found.extend(words(code, word).into_iter().map(|at| format!("{}: `{word}` {why}", source.at(at))));
            }
        };
        refuse(source.code(), NOWHERE, "may stand nowhere");
        if !source.path.starts_with("src/") {
            continue;
        }
        let product = source.product();
        refuse(&product, NO_TIME_OUT, "lets time decide");
        if layers::is_pure(source) {
            refuse(&product, PANICS, "may not stand in pure code");
        }
        for guard in GUARDS {
            let file = source.path.trim_start_matches("src/");
            if guard.doors.iter().any(|door| file == *door || (door.ends_with('/') && file.starts_with(door))) {
                continue;
            }
            let code = if guard.tests_too { product.as_str() } else { source.code() };
            let why = format!("belongs to {}", guard.doors.join(", "));
            let mut refuse = |at, name: &str| found.push(format!("{}: `{name}` {why}", source.at(at)));
            for root in ["std", "core", "alloc"] {
                for (at, path) in paths(code, root) {
                    let path = path.join("/");
                    let guarded = |name: &&&str| path == **name || path.starts_with(&format!("{name}/"));
                    if VALUES.contains(&path.as_str()) {
                        continue;
                    }
                    if let Some(name) = guard.below_std.iter().find(guarded) {
                        refuse(at, &format!("{root}::{}", name.replace('/', "::")));
                    }
                }
            }
            for word in guard.words {
                words(code, word).into_iter().for_each(|at| refuse(at, word));
            }
        }
    }
    found
}

#[test]
fn a_name_behind_the_wrong_door_is_found() {
    let found = |path: &str, raw: &str| violations(&[Source::new(path, raw)]).len();
    assert_eq!(found("src/wal/writer.rs", "use std::{io, path::Path}; // std::fs\n"), 0);
    assert_eq!(found("src/wal/writer.rs", "use std::{io, fs};"), 1);
    assert_eq!(found("src/wal/writer.rs", "fn f() { std::fs::remove_file(p) }"), 1);
    assert_eq!(found("src/wal/writer.rs", "#[cfg(test)] mod tests { use std::sync::Arc; }"), 1);
    assert_eq!(found("src/disk/real.rs", "use std::fs;"), 0);
    assert_eq!(found("src/wal/writer.rs", "let x = y.unwrap();"), 1);
    assert_eq!(found("src/wal/writer.rs", "let x = y.unwrap_or(1).map(|_| z.expected());"), 0);
    assert_eq!(found("src/config.rs", "use std::net::SocketAddr;"), 0);
    assert_eq!(found("src/config.rs", "use std::net::{SocketAddr, TcpStream};"), 1);
    assert_eq!(found("src/sync.rs", "use std::thread; let x = y.unwrap();"), 0);
    assert_eq!(found("src/committer/machine.rs", "panic!()"), 1);
    assert_eq!(found("src/committer/worker.rs", "queue.recv_timeout(t); println!()"), 2);
    assert_eq!(found("src/committer/worker.rs", "#[cfg(test)] fn f() { println!() }"), 0);
    assert_eq!(found("src/queue/crossbeam.rs", "crossbeam_channel::bounded(1)"), 0);
    assert_eq!(found("src/published.rs", "#[cfg(aerodb_loom)] use loom::sync::Arc;"), 1);
    assert_eq!(found("tests/a.rs", "#[ignore] fn f() { std::thread::sleep(d); todo!() }"), 3);
    assert_eq!(found("tests/a.rs", "let s = \"todo!\"; std::fs::read(p); // dbg!\n"), 0);
}
