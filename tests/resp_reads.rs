//! RESP-SCAN and M-VIEW over the protocol: scans under writes, ranges, reads at a commit, waiting for one, and replies of many turns.

#![cfg(feature = "server")]

mod talk;
mod world;

use aerodb::resp::response::Bounds;
use aerodb::resp::{Responses, Value};
use aerodb::{CommitId, Parameters, Reason, limits};
use std::collections::BTreeMap;
use talk::{Talk, Waits, shown, words};
use world::{Dice, tiny};

/// A scan's page: the next cursor and the keys.
fn page(reply: &[u8]) -> (String, Vec<String>) {
    let text = |value: &Value| {
        let Value::Bulk(bytes) = value else { panic!("{value:?}") };
        String::from_utf8(bytes.clone()).unwrap()
    };
    let reply = Responses::new(Bounds::default()).next(&mut &*reply).unwrap().unwrap();
    let Value::Array(parts) = reply else { panic!("{reply:?}") };
    let Value::Array(keys) = &parts[1] else { panic!("{parts:?}") };
    (text(&parts[0]), keys.iter().map(text).collect())
}

/// Keys k0000, k0001, …, so many.
fn fill(talk: &mut Talk, client: usize, keys: usize) {
    for first in (0..keys).step_by(100) {
        let pairs: String = (first..keys.min(first + 100)).map(|key| format!(" k{key:04} {key}")).collect();
        assert_eq!(talk.ask(client, &format!("MSET{pairs}")), "+OK¶");
    }
}

/// What is there from the first page to the last is returned exactly once, whatever is written, merged and scanned meanwhile.
#[test]
fn a_scan_under_writes_returns_each_lasting_key_once_resp_scan() {
    for seed in 1..=20 {
        println!("seed {seed}");
        let mut dice = Dice(seed);
        let mut talk = Talk::new();
        let (reader, writer) = (talk.client(), talk.client());
        fill(&mut talk, writer, 300);
        let (mut cursor, mut seen) = ("0".to_owned(), BTreeMap::<String, usize>::new());
        let mut other = "0".to_owned();
        loop {
            let count = 1 + dice.below(40);
            let scan = words(&format!("SCAN {cursor} COUNT {count}"));
            let reply = talk.ask_bytes(reader, scan.clone());
            let (next, keys) = page(&reply);
            assert!(keys.len() as u64 <= count);
            if dice.below(4) == 0 && next != "0" {
                let (_, again) = page(&talk.ask_bytes(reader, scan));
                assert_eq!(again, keys, "a request whose reply was lost is sent again");
            }
            keys.into_iter().for_each(|key| *seen.entry(key).or_default() += 1);
            if next == "0" {
                break;
            }
            cursor = next;
            // Only every third key lasts.
            for _ in 0..dice.below(20) {
                let key = dice.below(300);
                let write = match (key % 3, dice.below(2)) {
                    (0, _) => format!("SET k{key:04} new"),
                    (1, 0) => format!("SET k{key:04}x new"),
                    (_, 0) => format!("SET k{key:04} new"),
                    (_, _) => format!("DEL k{key:04}"),
                };
                talk.ask(writer, &write);
            }
            other = page(&talk.ask_bytes(writer, words(&format!("SCAN {other} COUNT 7")))).0;
            if dice.below(10) == 0 {
                talk.database.checkpoint().unwrap();
            }
        }
        let lasting = (0..300).step_by(3).map(|key| format!("k{key:04}"));
        lasting.for_each(|key| assert_eq!(seen.get(&key), Some(&1), "{key}"));
        assert!(seen.iter().all(|(key, times)| *times == 1 && key.starts_with('k')), "{seen:?}");
    }
}

#[test]
fn a_page_looks_at_as_many_keys_as_were_asked_for_and_returns_those_that_match_resp_scan() {
    let mut talk = Talk::new();
    let client = talk.client();
    assert_eq!(talk.ask(client, "SCAN 0"), "*2¶$1¶0¶*0¶");
    fill(&mut talk, client, 3000);
    let mut scan = |arguments: &str| page(&talk.ask_bytes(client, words(&format!("SCAN {arguments}"))));
    let (cursor, keys) = scan("0");
    assert_eq!(keys, (0..10).map(|key| format!("k{key:04}")).collect::<Vec<_>>());
    let (cursor, keys) = scan(&format!("{cursor} COUNT 25 MATCH k00?[24]"));
    assert_eq!(keys, ["k0012", "k0014", "k0022", "k0024", "k0032", "k0034"]);
    let (_, keys) = scan(&format!("{cursor} count 1"));
    assert_eq!(keys, ["k0035"]);
    let (cursor, keys) = scan("0 COUNT 3000 TYPE String MATCH *999");
    assert_eq!((cursor.as_str(), keys.as_slice()), ("0", &["k0999".to_owned(), "k1999".into(), "k2999".into()][..]));
    assert_eq!(scan("0 COUNT 9223372036854775807").1.len(), 3000);
    assert_eq!(scan("0 TYPE list COUNT 5000").1.len(), 0);
    let (cursor, keys) = scan("0 COUNT 2999");
    assert_eq!((keys.len(), scan(&format!("{cursor} COUNT 1"))), (2999, ("0".into(), vec!["k2999".into()])));
    for (arguments, expected) in [
        ("x", "invalid cursor"),
        ("-1", "invalid cursor"),
        ("18446744073709551616", "invalid cursor"),
        ("0 COUNT 0", "syntax error"),
        ("0 COUNT -1", "syntax error"),
        ("0 COUNT x", "value is not an integer or out of range"),
        ("0 COUNT", "syntax error"),
        ("0 NOPE 1", "syntax error"),
    ] {
        assert_eq!(talk.ask(client, &format!("SCAN {arguments}")), format!("-ERR {expected}¶"), "{arguments}");
    }
}

#[test]
fn a_cursor_that_is_not_known_is_refused_resp_scan() {
    let mut talk = Talk::new();
    let client = talk.client();
    fill(&mut talk, client, 100);
    let unknown = format!("-ERR {} ", Reason::CursorUnknown);
    for cursor in ["1", "18446744073709551615"] {
        assert!(talk.ask(client, &format!("SCAN {cursor}")).starts_with(&unknown), "{cursor}");
    }
    let (first, _) = page(&talk.ask_bytes(client, words("SCAN 0")));
    let (second, _) = page(&talk.ask_bytes(client, words(&format!("SCAN {first}"))));
    talk.ask(client, &format!("SCAN {second}"));
    assert!(talk.ask(client, &format!("SCAN {first}")).starts_with(&unknown), "two places are kept of a scan");
    for _ in 0..limits::CURSORS_MAX {
        talk.ask(client, "SCAN 0 COUNT 1");
    }
    assert!(talk.ask(client, &format!("SCAN {second}")).starts_with(&unknown), "the oldest goes first");
}

/// M-VIEW: a reply of many turns is of one commit, whatever is written between its turns; and the turns are bounded.
#[test]
fn a_long_reply_gives_way_and_shows_one_commit() {
    let mut talk = Talk::new();
    let (reader, writer) = (talk.client(), talk.client());
    fill(&mut talk, writer, 5000);
    let keys: Vec<String> = (0..5000).map(|key| format!("k{key:04}")).collect();
    let rows: String = (0..5000).map(|key| format!("$5¶k{key:04}¶${}¶{key}¶", key.to_string().len())).collect();
    let values: String = (0..5000).map(|key| format!("${}¶{key}¶", key.to_string().len())).collect();
    let mget = format!("MGET {}", keys.join(" "));
    let exists = format!("EXISTS none {}", keys.join(" "));
    let backwards: String =
        (0..5000).rev().map(|key| format!("$5¶k{key:04}¶${}¶{key}¶", key.to_string().len())).collect();
    for (request, expected, turns) in [
        ("DBSIZE", ":5000¶".to_owned(), 5),
        (mget.as_str(), format!("*5000¶{values}"), 5),
        (exists.as_str(), ":5000¶".to_owned(), 5),
        ("AERO.RANGE  ", format!("*10000¶{rows}"), 10),
        ("AERO.RANGE   REV", format!("*10000¶{backwards}"), 10),
        ("AERO.RANGE k0000 k2000 LIMIT 2000", format!("*4000¶{}", &rows[..rows.find("$5¶k2000").unwrap()]), 4),
    ] {
        let mut waits = talk.send(reader, words(request));
        let (mut received, mut more) = (talk.received(reader), 0);
        while waits == Waits::ForTurn {
            more += 1;
            talk.ask(writer, &format!("DEL k{:04} k{:04}", more * 7, 4999 - more));
            talk.ask(writer, &format!("SET k{more:04}new x"));
            waits = talk.go_on(reader);
            received.extend(talk.received(reader));
        }
        assert_eq!((waits, shown(&received) == expected), (Waits::No, true), "{}", &request[..6]);
        assert!((turns - 1..=turns + 1).contains(&more), "{more} turns for {}", &request[..6]);
        talk.ask(writer, "MULTI");
        for key in 1..=more {
            talk.ask(writer, &format!("DEL k{key:04}new"));
        }
        talk.ask(writer, "EXEC");
        fill(&mut talk, writer, 5000);
    }
}

/// RESP-TURN: an EXEC that only reads may say more than a turn has room for, and says each reply once.
#[test]
fn a_long_exec_that_reads_no_key_gives_way_and_repeats_nothing_resp_turn() {
    let mut talk = Talk::new();
    let client = talk.client();
    let large = "x".repeat(limits::TURN_BYTES);
    let echo = format!("ECHO {large}");
    let echoed = format!("${}¶{large}¶", large.len());
    for (request, reply, count, turns) in [
        ("PING", "+PONG¶", 1023, 0),
        ("PING", "+PONG¶", 1024, 1),
        ("PING", "+PONG¶", 5000, 4),
        ("UNWATCH", "+OK¶", 5000, 4),
        (&echo, &echoed, 1, 1),
        (&echo, &echoed, 5, 5),
    ] {
        talk.ask(client, "MULTI");
        (0..count).for_each(|_| assert_eq!(talk.ask(client, request), "+QUEUED¶"));
        let (mut waits, mut more) = (talk.send(client, words("EXEC")), 0);
        let mut received = talk.received(client);
        while waits == Waits::ForTurn {
            more += 1;
            assert!(more <= turns, "another turn behind {} bytes", received.len());
            waits = talk.go_on(client);
            received.extend(talk.received(client));
        }
        let expected = format!("*{count}¶{}", reply.repeat(count));
        assert_eq!((waits, shown(&received) == expected, more), (Waits::No, true, turns), "{count} {}", &request[..4]);
    }
}

/// RESP-WATCH, RESP-TURN: watched keys are looked up as others are, in turns and in the view of the EXEC.
#[test]
fn a_long_exec_that_watches_and_reads_gives_way_and_shows_one_commit() {
    let mut talk = Talk::new();
    let (reader, writer) = (talk.client(), talk.client());
    fill(&mut talk, writer, 5000);
    let keys = (0..5000).map(|key| format!(" k{key:04}")).collect::<String>();
    let mut exec = |before: &str| {
        assert_eq!(talk.ask(reader, &format!("WATCH{keys}")), "+OK¶");
        talk.ask(writer, before);
        talk.ask(reader, "MULTI");
        talk.ask(reader, "GET k4999");
        let (mut waits, mut more) = (talk.send(reader, words("EXEC")), 0);
        while waits == Waits::ForTurn {
            more += 1;
            talk.ask(writer, "SET k4999 later");
            waits = talk.go_on(reader);
        }
        assert_eq!((waits, talk.bytes(reader)), (Waits::No, 0));
        (shown(&talk.received(reader)), more)
    };
    assert_eq!(exec("GET k4999"), ("*1¶$4¶4999¶".to_owned(), 4), "what is written later is not of this commit");
    assert_eq!(exec("SET k2000 x"), ("*-1¶".to_owned(), 1));
}

/// RESP-TURN: keys that have no value are work too, whether they were deleted or came later.
#[test]
fn a_walk_over_keys_without_a_value_gives_way_resp_turn() {
    let mut talk = Talk::with_parameters(Parameters { table_bytes: 4 << 20, segment_bytes: 4 << 20, ..tiny() });
    let client = talk.client();
    // From each end the sixteenth of the keys that came later has a value in an older run.
    talk.ask(client, "MSET k00015 low k19984 high");
    talk.database.checkpoint().unwrap();
    talk.ask(client, "SET k10000x middle");
    let keys: Vec<String> = (0..20_000).map(|key| format!("k{key:05}")).collect();
    let pairs = keys.iter().flat_map(|key| [key.clone(), "v".to_owned()]);
    talk.ask_bytes(client, std::iter::once("MSET".to_owned()).chain(pairs).collect());
    talk.ask_bytes(client, std::iter::once("DEL".to_owned()).chain(keys).collect());
    let (row, low, high) = ("$7¶k10000x¶$6¶middle¶", "$6¶k00015¶$3¶low¶", "$6¶k19984¶$4¶high¶");
    let scanned_then = "*2¶$1¶0¶*3¶$6¶k00015¶$7¶k10000x¶$6¶k19984¶";
    for place in ["in tables", "in runs"] {
        // At the second commit the keys have no version, and one of sixteen is a place.
        for (request, reply, least, most) in [
            ("DBSIZE", ":1¶".to_owned(), 20, 21),
            ("SCAN 0", "*2¶$1¶0¶*1¶$7¶k10000x¶".to_owned(), 20, 21),
            ("AERO.RANGE  ", format!("*2¶{row}"), 30, 32),
            ("AERO.RANGE   REV", format!("*2¶{row}"), 30, 32),
            ("AERO.RANGE b c", "*0¶".to_owned(), 1, 1),
            ("AERO.AT 2 SCAN 0", scanned_then.to_owned(), 2, 3),
            ("AERO.AT 2 RANGE  ", format!("*6¶{low}{row}{high}"), 4, 6),
            ("AERO.AT 2 RANGE   REV", format!("*6¶{high}{row}{low}"), 4, 6),
        ] {
            let (mut waits, mut turns) = (talk.send(client, words(request)), 1);
            while waits == Waits::ForTurn {
                turns += 1;
                waits = talk.go_on(client);
            }
            assert_eq!(shown(&talk.received(client)), reply, "{request} {place}");
            assert!((least..=most).contains(&turns), "{turns} turns for {request} {place}");
        }
        talk.database.checkpoint().unwrap();
    }
}

/// RESP-TURN: the block of a large value is read also where the value is not shown, because it was deleted or came later.
#[test]
fn a_walk_over_large_values_that_are_hidden_gives_way_resp_turn() {
    const BLOCK: usize = 512 * 1024;
    let mut talk = Talk::with_parameters(Parameters { table_bytes: 32 << 20, segment_bytes: 32 << 20, ..tiny() });
    let client = talk.client();
    talk.ask(client, "SET a 1");
    let keys: Vec<String> = (0..40).map(|key| format!("k{key:02}")).collect();
    for key in &keys {
        talk.ask_bytes(client, [b"SET", key.as_bytes(), &vec![b'v'; BLOCK - 1024]].iter().collect());
    }
    talk.database.checkpoint().unwrap();
    talk.ask(client, &format!("DEL {}", keys.join(" ")));
    // Beyond its bound a turn may read what it begins with, and a last step.
    let most_a_turn = limits::TURN_BYTES + 6 * BLOCK;
    for (request, reply) in [
        ("DBSIZE", ":1¶"),
        ("SCAN 0 COUNT 100", "*2¶$1¶0¶*1¶$1¶a¶"),
        ("AERO.RANGE  ", "*2¶$1¶a¶$1¶1¶"),
        ("AERO.RANGE   REV", "*2¶$1¶a¶$1¶1¶"),
        ("AERO.AT 1 SCAN 0", "*2¶$1¶0¶*1¶$1¶a¶"),
        ("AERO.AT 1 RANGE  ", "*2¶$1¶a¶$1¶1¶"),
        ("AERO.AT 1 RANGE   REV", "*2¶$1¶a¶$1¶1¶"),
    ] {
        let begin = talk.read_bytes;
        let mut waits = talk.send(client, words(request));
        let (mut turns, mut before) = (1, begin);
        while waits == Waits::ForTurn {
            assert!(talk.read_bytes - before <= most_a_turn, "{} bytes for {request}", talk.read_bytes - before);
            (turns, before) = (turns + 1, talk.read_bytes);
            waits = talk.go_on(client);
        }
        assert_eq!(shown(&talk.received(client)), reply, "{request}");
        let read = talk.read_bytes - begin;
        assert!(read >= keys.len() / 2 * BLOCK, "all is counted: {read} bytes for {request}");
        assert!(turns >= read / most_a_turn, "{turns} turns for {read} bytes, {request}");
    }
}

/// RESP-TURN: where each run begins with a large block, the turn that took them all does little more.
#[test]
fn the_blocks_that_a_walk_begins_with_count_resp_turn() {
    const BLOCK: usize = 512 * 1024;
    const RUNS: usize = 4;
    let parameters = Parameters { table_bytes: 32 << 20, segment_bytes: 32 << 20, fanout: 16, ..tiny() };
    let mut talk = Talk::with_parameters(parameters);
    let client = talk.client();
    for run in 0..RUNS {
        for key in 0..8 {
            let key = format!("k{key}{run}");
            talk.ask_bytes(client, [b"SET", key.as_bytes(), &vec![b'v'; BLOCK - 1024]].iter().collect());
        }
        talk.database.checkpoint().unwrap();
    }
    for request in ["DBSIZE", "SCAN 0 COUNT 100", "AERO.RANGE  "] {
        let mut before = talk.read_bytes;
        let mut waits = talk.send(client, words(request));
        let mut turns = 0;
        while waits == Waits::ForTurn {
            let read = talk.read_bytes - before;
            assert!(read <= RUNS * BLOCK + limits::TURN_BYTES / 8, "{read} bytes in a turn of {request}");
            (turns, before) = (turns + 1, talk.read_bytes);
            waits = talk.go_on(client);
        }
        assert!((8 * RUNS - 1..=2 * 8 * RUNS + 2).contains(&turns), "{turns} turns of {request}");
        assert!(!talk.received(client).is_empty());
    }
}

/// RESP-TURN: what is read counts, also where nothing of it is replied; lengths are those of the values, wherever they lie.
#[test]
fn a_read_of_lengths_gives_way_after_the_bytes_of_the_values_resp_turn() {
    let mut talk = Talk::new();
    let client = talk.client();
    let half = limits::TURN_BYTES / 2;
    for key in ["a", "b", "c", "d"] {
        talk.ask_bytes(client, [b"SET", key.as_bytes(), &vec![b'v'; half]].iter().collect());
    }
    for (request, reply) in [("EXISTS a none b c d d", ":5¶"), ("MGET none a none b c d", "")] {
        let mut turns = 1;
        let mut waits = talk.send(client, words(request));
        while waits == Waits::ForTurn {
            turns += 1;
            waits = talk.go_on(client);
        }
        let received = shown(&talk.received(client));
        assert_eq!(turns, 3, "{request}");
        assert!(reply.is_empty() || received == reply, "{received}");
    }
    talk.ask(client, "DEL d");
    for place in ["in tables", "in runs"] {
        let requests = [
            ("STRLEN a", half),
            ("TYPE a", half),
            ("EXISTS a", half),
            ("GET a", half),
            ("EXISTS d", 0),
            ("STRLEN e", 0),
        ];
        for (request, bytes) in requests {
            let before = talk.read_bytes;
            let reply = talk.ask(client, request);
            assert_eq!(talk.read_bytes - before, bytes, "{request} {place}");
            assert!(!request.starts_with("STRLEN") || reply == format!(":{bytes}¶"), "{reply}");
            // Behind a write of the same client it is read when that is answered.
            talk.send(client, words("SET other 1"));
            talk.send(client, words(request));
            let before = talk.read_bytes;
            talk.settle(client);
            assert_eq!(shown(&talk.received(client)), format!("+OK¶{reply}"), "{request} {place}");
            assert_eq!(talk.read_bytes - before, bytes, "{request} {place}");
        }
        talk.database.checkpoint().unwrap();
    }
    let before = talk.read_bytes;
    talk.ask(client, "DBSIZE");
    assert!(talk.read_bytes - before >= 3 * half, "rows are read to be counted");
}

/// More rows than a range may have are not cut short in silence.
#[test]
fn a_range_without_a_limit_that_has_too_many_rows_is_refused() {
    let mut talk =
        Talk::with_parameters(Parameters { table_bytes: 64 << 20, segment_bytes: 64 << 20, ..Parameters::default() });
    let client = talk.client();
    for first in (0..=limits::RANGE_ROWS_MAX).step_by(1 << 16) {
        let last = (first + (1 << 16)).min(limits::RANGE_ROWS_MAX + 1);
        let pairs: Vec<String> = (first..last).flat_map(|key| [format!("{key:07}"), String::new()]).collect();
        let request = std::iter::once("MSET".to_owned()).chain(pairs).collect();
        assert_eq!(talk.ask_bytes(client, request), b"+OK\r\n");
    }
    let refused = talk.ask(client, "AERO.RANGE  ");
    assert!(refused.starts_with(&format!("-ERR {} ", Reason::RangeInvalid)) && refused.contains("LIMIT"), "{refused}");
    let whole = talk.ask(client, &format!("AERO.RANGE  {:07}", limits::RANGE_ROWS_MAX));
    assert!(whole.starts_with("*2097152¶$7¶0000000¶$0¶¶") && whole.ends_with("$7¶1048575¶$0¶¶"));
    let limited = talk.ask(client, &format!("AERO.RANGE   LIMIT {}", limits::RANGE_ROWS_MAX));
    assert!(limited == whole);
    assert_eq!(talk.ask(client, "DBSIZE"), ":1048577¶");
}

/// Where a reply can't go on: before anything of it is sent that is an error; afterwards only the end of the connection can say it.
#[test]
fn a_long_reply_that_can_not_go_on_ends_the_connection() {
    for (turns, sent, waits, rest) in
        [(1, "", Waits::No, "-UNSAFE store.block_corrupt "), (3, "*6000¶", Waits::Closed, "")]
    {
        let mut talk = Talk::new();
        let client = talk.client();
        for key in 0..3000 {
            talk.ask(client, &format!("SET k{key:04} {key:0100}"));
        }
        talk.database.checkpoint().unwrap();
        assert_eq!(talk.send(client, words("AERO.RANGE  ")), Waits::ForTurn);
        for _ in 1..turns {
            assert_eq!(talk.go_on(client), Waits::ForTurn);
        }
        assert_eq!(shown(&talk.received(client)), sent, "the rows are counted first");
        talk.damage();
        assert_eq!(talk.go_on(client), waits);
        let received = shown(&talk.received(client));
        assert!(received.starts_with(rest) && received.is_empty() == rest.is_empty(), "{received}");
        assert!(talk.database.status().halted.is_some());
    }
}

#[test]
fn reads_at_a_commit_show_it_and_only_it() {
    let mut talk = Talk::new();
    let client = talk.client();
    assert_eq!(talk.ask(client, "AERO.COMMITID"), ":0¶");
    assert_eq!(talk.ask(client, "AERO.LAST"), "$-1¶");
    assert_eq!(talk.ask(client, "AERO.LAST POINT"), "$-1¶");
    for request in ["MSET a 1 b 2", "SET a 3", "DEL b", "SET c 44"] {
        talk.ask(client, request);
    }
    let durable = talk.database.status().durable;
    let point = format!("*3¶:4¶:{}¶$16¶{}¶", durable.position, durable.history);
    assert_eq!(talk.ask(client, "aero.last point"), point);
    let unknown = "-ERR AERO.AT and AERO.READ read with GET, MGET, EXISTS, STRLEN, TYPE, SCAN or RANGE and their arguments, not with";
    for (request, expected) in [
        ("AERO.COMMITID", ":4"),
        ("AERO.LAST", ":4"),
        ("AERO.LAST NOPE", "-ERR syntax error"),
        ("AERO.LAST POINT POINT", "-ERR syntax error"),
        ("AERO.FLOOR", ":0"),
        ("AERO.AT 0 GET a", "$-1"),
        ("AERO.AT 1 GET a", "$1¶1"),
        ("aero.at 2 get a", "$1¶3"),
        ("AERO.AT 1 MGET a b c", "*3¶$1¶1¶$1¶2¶$-1"),
        ("AERO.AT 3 EXISTS a b c", ":1"),
        ("AERO.AT 4 STRLEN c", ":2"),
        ("AERO.AT 3 TYPE c", "+none"),
        ("AERO.AT 1 SCAN 0", "*2¶$1¶0¶*2¶$1¶a¶$1¶b"),
        ("AERO.AT 1 RANGE a ", "*4¶$1¶a¶$1¶1¶$1¶b¶$1¶2"),
        ("AERO.AT 4 AERO.RANGE a c", "*2¶$1¶a¶$1¶3"),
        ("AERO.RANGE a d", "*4¶$1¶a¶$1¶3¶$1¶c¶$2¶44"),
        ("AERO.RANGE a d REV", "*4¶$1¶c¶$2¶44¶$1¶a¶$1¶3"),
        ("AERO.RANGE b d AT 2 LIMIT 1", "*2¶$1¶b¶$1¶2"),
        ("AERO.RANGE a  LIMIT 1 REV", "*2¶$1¶c¶$2¶44"),
        ("AERO.RANGE x ", "*0"),
        ("AERO.RANGE a d AT", "-ERR syntax error"),
        ("AERO.RANGE a d LIMIT", "-ERR syntax error"),
        ("AERO.AT 1 RANGE a b AT 1", "-ERR syntax error"),
        ("AERO.RANGE a d LIMIT 0", "-ERR value is out of range, must be positive"),
        ("AERO.RANGE a d AT -1", "-ERR value is not an integer or out of range"),
        ("AERO.AT x GET a", "-ERR value is not an integer or out of range"),
        ("AERO.AT 1 GET a b", "-ERR wrong number of arguments for 'get' command"),
        ("AERO.WAITFOR x", "-ERR value is not an integer or out of range"),
        ("AERO.WAITFOR 3", ":4"),
        ("AERO.EXPLAIN x", "-ERR AERO.EXPLAIN explains REPLICATION, READ key, RECOVERY, CHECKPOINT or SEGMENT"),
    ] {
        assert_eq!(talk.ask(client, request), format!("{expected}¶"), "{request}");
    }
    assert_eq!(talk.ask(client, "AERO.AT 1 SET a 1"), format!("{unknown} 'SET'¶"));
    for (request, reason) in [
        ("AERO.AT 5 GET a", Reason::ViewBeyondApplied),
        ("AERO.RANGE d a", Reason::RangeInvalid),
        ("AERO.RANGE a d LIMIT 1048577", Reason::RangeInvalid),
        ("AERO.AT 3 SCAN 1", Reason::CursorUnknown),
    ] {
        let reply = talk.ask(client, request);
        let prefix = if reason == Reason::ViewBeyondApplied { "UNSAFE" } else { "ERR" };
        assert!(reply.starts_with(&format!("-{prefix} {reason} ")) && reply.ends_with('¶'), "{request}: {reply}");
    }
    // A cursor is a place among the keys, whatever the commit.
    let (cursor, keys) = page(&talk.ask_bytes(client, words("AERO.AT 1 SCAN 0 COUNT 1")));
    assert_eq!(keys, ["a"]);
    assert_eq!(page(&talk.ask_bytes(client, words(&format!("AERO.AT 2 SCAN {cursor}")))).1, ["b"]);
    assert_eq!(page(&talk.ask_bytes(client, words(&format!("SCAN {cursor}")))).1, ["c"]);
}

#[test]
fn waiting_for_a_commit_ends_when_it_can_be_read() {
    let mut talk = Talk::new();
    let (reader, writer) = (talk.client(), talk.client());
    assert_eq!(talk.send(reader, words("AERO.WAITFOR 2")), Waits::ForCommit(CommitId(2)));
    talk.ask(writer, "SET a 1");
    talk.ask(writer, "SET a 2");
    talk.ask(writer, "SET a 3");
    assert_eq!(talk.go_on(reader), Waits::No);
    assert_eq!(shown(&talk.received(reader)), ":3¶");
    // The loop wakes it also when nothing will come any more.
    assert_eq!(talk.send(reader, words("AERO.WAITFOR 9")), Waits::ForCommit(CommitId(9)));
    talk.go_on(reader);
    assert!(shown(&talk.received(reader)).starts_with("-UNSAFE read.behind "));
}

/// What a session holds for its client is counted, so that the loop can bound it.
#[test]
fn what_a_session_keeps_is_counted_resp_bound() {
    let mut talk = Talk::new();
    let client = talk.client();
    assert_eq!(talk.bytes(client), 0);
    let key = "k".repeat(1000);
    talk.ask(client, &format!("WATCH {key}"));
    let watching = talk.bytes(client);
    assert!((1000..1200).contains(&watching));
    talk.ask(client, "MULTI");
    talk.ask(client, &format!("GET {key}"));
    assert!(talk.bytes(client) >= watching + 1000);
    talk.ask(client, "DISCARD");
    assert_eq!(talk.bytes(client), 0);
    // So is what a decision brings with it: the keys that are watched too.
    for request in [format!("WATCH {key}"), "MULTI".to_owned(), "SET a 1".to_owned()] {
        talk.ask(client, &request);
    }
    talk.send(client, words("EXEC"));
    assert_eq!(talk.bytes(client), 0);
    assert!(talk.ordered_bytes(client) >= watching, "{}", talk.ordered_bytes(client));
    talk.settle(client);
    talk.send(client, words("SET a 1"));
    assert_eq!(talk.send(client, words(&format!("EXISTS a {key}"))), Waits::ForOrders);
    assert!(talk.bytes(client) >= 1000);
    talk.settle(client);
    assert_eq!(talk.bytes(client), 0);
}
