//! RESP-COMMAND: every command of the table, its replies byte by byte in both protocols, and its refusals.

#![cfg(feature = "server")]

mod talk;
mod world;

use aerodb::disk::Fault;
use aerodb::resp::Request;
use aerodb::server::commands::table::COMMANDS;
use aerodb::{CommitId, Reason, limits};
use talk::{Talk, Waits, shown, words};

/// Lines of `request => reply`, or `request => reply in RESP2 || reply in RESP3`; the last line end of a reply is left out.
fn conversation(lines: &str) {
    for version in [2, 3] {
        let mut talk = Talk::new();
        let client = talk.client();
        assert!(talk.ask(client, &format!("HELLO {version}")).contains("¶proto¶"));
        for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (request, replies) = line.split_once(" => ").unwrap();
            let (two, three) = replies.split_once(" || ").unwrap_or((replies, replies));
            let expected = format!("{}¶", if version == 2 { two } else { three });
            assert_eq!(talk.ask(client, request.trim()), expected, "RESP{version}: {request}");
        }
    }
}

#[test]
fn commands_on_keys_reply_as_redis_does_resp_command() {
    conversation(
        "
        GET k => $-1 || _
        SET k v => +OK
        GET k => $1¶v
        get K => $-1 || _
        STRLEN k => :1
        STRLEN none => :0
        TYPE k => +string
        TYPE none => +none
        EXISTS k k none => :2
        SET k w NX => $-1 || _
        SET k w XX => +OK
        SET none w XX => $-1 || _
        SET k x GET => $1¶w
        SET k y NX GET => $1¶x
        SET new z NX GET => $-1 || _
        SET new a XX GET => $1¶z
        SET none a GET XX => $-1 || _
        SET k v nx nx => $-1 || _
        SET k v NX XX => -ERR syntax error
        SET k v XX NX => -ERR syntax error
        SET k v NOPE => -ERR syntax error
        SET k v EX => -ERR syntax error
        SET k v EX 10 PX 10 => -ERR syntax error
        SET k v KEEPTTL EX 10 => -ERR syntax error
        SET k v ex 10 => -ERR SET option 'EX' is not supported: aerodb has no expiry
        SET k v NX PXAT 10 GET => -ERR SET option 'PXAT' is not supported: aerodb has no expiry
        SET k v KEEPTTL => -ERR SET option 'KEEPTTL' is not supported: aerodb has no expiry
        GET k => $1¶x
        MGET k none new => *3¶$1¶x¶$-1¶$1¶a || *3¶$1¶x¶_¶$1¶a
        SETNX k q => :0
        SETNX q 1 => :1
        GETDEL q => $1¶1
        GETDEL q => $-1 || _
        MSET a 1 b 2 a 3 => +OK
        MGET a b => *2¶$1¶3¶$1¶2
        MSETNX c 1 a 2 => :0
        MSETNX c 1 d 2 c 3 => :1
        MGET c d => *2¶$1¶3¶$1¶2
        MSET a => -ERR wrong number of arguments for 'mset' command
        MSET a 1 b => -ERR wrong number of arguments for 'mset' command
        MSETNX a 1 b => -ERR wrong number of arguments for 'msetnx' command
        DEL a a none => :1
        UNLINK b c => :2
        DEL none => :0
        DBSIZE => :3
        ",
    );
}

#[test]
fn commands_of_the_connection_reply_as_redis_does_resp_command() {
    let password = "-ERR AUTH <password> called without any password configured for the default user. Are you sure your \
                    configuration is correct?";
    let name = "-ERR Client names cannot contain spaces, newlines or special characters.";
    conversation(&format!(
        "
        PING => +PONG
        PING x => $1¶x
        PING x y => -ERR wrong number of arguments for 'ping' command
        ECHO x => $1¶x
        ECHO => -ERR wrong number of arguments for 'echo' command
        SELECT 0 => +OK
        SELECT 1 => -ERR DB index is out of range
        SELECT x => -ERR value is not an integer or out of range
        AUTH x => {password}
        AUTH x y => {password}
        AUTH x y z => -ERR syntax error
        HELLO 4 => -NOPROTO unsupported protocol version
        HELLO x => -ERR Protocol version is not an integer or out of range
        HELLO 3 AUTH default x => {password}
        HELLO 3 NOPE => -ERR Syntax error in HELLO option 'NOPE'
        HELLO 3 SETNAME é => {name}
        CLIENT ID => :1
        CLIENT GETNAME => $-1 || _
        CLIENT SETNAME me => +OK
        CLIENT GETNAME => $2¶me
        CLIENT SETNAME é => {name}
        CLIENT SETINFO LIB-NAME lib(1.0) => +OK
        CLIENT SETINFO lib-ver 1.0 => +OK
        CLIENT SETINFO LIB-VER é => -ERR lib-ver cannot contain spaces, newlines or special characters.
        CLIENT SETINFO NOPE 1.0 => -ERR Unrecognized option 'NOPE'
        CLIENT LIST TYPE nope => -ERR Unknown client type 'nope'
        CLIENT LIST TYPE pubsub => $0¶ || =4¶txt:
        CLIENT LIST ID 7 => $0¶ || =4¶txt:
        CLIENT LIST ID 1 x => -ERR Invalid client ID
        CLIENT LIST x => -ERR syntax error
        CLIENT KILL x => -ERR unknown subcommand 'KILL'. Try CLIENT HELP.
        CLIENT NO-EVICT on => -ERR unknown subcommand 'NO-EVICT'. Try CLIENT HELP.
        CLIENT => -ERR wrong number of arguments for 'client' command
        CLIENT SETNAME => -ERR wrong number of arguments for 'client|setname' command
        CONFIG GET save appendonly => *4¶$10¶appendonly¶$3¶yes¶$4¶save¶$0¶ || %2¶$10¶appendonly¶$3¶yes¶$4¶save¶$0¶
        CONFIG GET nope => *0 || %0
        CONFIG GET MAXCLIENT? => *2¶$10¶maxclients¶$5¶10000 || %1¶$10¶maxclients¶$5¶10000
        CONFIG SET maxmemory 1 => -ERR CONFIG SET failed (possibly related to argument 'maxmemory') - can't set immutable config
        CONFIG SET nope 1 => -ERR Unknown option or number of arguments for CONFIG SET - 'nope'
        CONFIG SET save => -ERR wrong number of arguments for 'config|set' command
        CONFIG REWRITE => -ERR unknown subcommand 'REWRITE'. Try CONFIG HELP.
        INFO nope => $0¶ || =4¶txt:
        INFO KeySpace => $12¶# Keyspace¶ || =16¶txt:# Keyspace¶
        COMMAND NOPE => -ERR unknown subcommand 'NOPE'. Try COMMAND HELP.
        COMMAND INFO nope => *1¶$-1 || *1¶_
        COMMAND INFO get => *1¶*10¶$3¶get¶:2¶*2¶+readonly¶+fast¶:1¶:1¶:1¶*0¶*0¶*0¶*0 || *1¶*10¶$3¶get¶:2¶~2¶+readonly¶+fast¶:1¶:1¶:1¶~0¶~0¶~0¶*0
        COMMAND DOCS nope => *0 || %0
        COMMAND LIST NOPE => -ERR syntax error
        COMMAND LIST FILTERBY PATTERN GETD* => *1¶$6¶getdel
        COMMAND LIST FILTERBY ACLCAT read => -ERR COMMAND LIST has FILTERBY PATTERN only: aerodb has no access categories and no modules
        RESET => +RESET
        CLIENT GETNAME => $-1
        "
    ));
}

#[test]
fn transactions_reply_as_redis_does_resp_atomic() {
    let aborted = "-EXECABORT Transaction discarded because of previous errors.";
    conversation(&format!(
        "
        EXEC => -ERR EXEC without MULTI
        DISCARD => -ERR DISCARD without MULTI
        MULTI => +OK
        EXEC => *0
        MULTI => +OK
        MULTI => -ERR MULTI calls can not be nested
        WATCH k => -ERR WATCH inside MULTI is not allowed
        SET k 1 => +QUEUED
        GET k => +QUEUED
        SET k 2 GET => +QUEUED
        SETNX k 3 => +QUEUED
        DEL k => +QUEUED
        MGET k none => +QUEUED
        MSETNX k 4 l 5 => +QUEUED
        STRLEN l => +QUEUED
        EXISTS k l k => +QUEUED
        SET k 1 NOPE => +QUEUED
        SELECT 4 => +QUEUED
        PING => +QUEUED
        PING a b => +QUEUED
        UNWATCH => +QUEUED
        COMMAND COUNT => +QUEUED
        EXEC => *15¶+OK¶$1¶1¶$1¶1¶:0¶:1¶*2¶$-1¶$-1¶:1¶:1¶:3¶-ERR syntax error¶-ERR DB index is out of range¶+PONG\
            ¶-ERR wrong number of arguments for 'ping' command¶+OK¶:{count} || *15¶+OK¶$1¶1¶$1¶1¶:0¶:1¶*2¶_¶_¶:1¶:1¶:3¶-ERR syntax error\
            ¶-ERR DB index is out of range¶+PONG¶-ERR wrong number of arguments for 'ping' command¶+OK¶:{count}
        MGET k l => *2¶$1¶4¶$1¶5
        AERO.COMMITID => :1
        AERO.LAST => :1
        MULTI => +OK
        GET => -ERR wrong number of arguments for 'get' command
        SET k lost => +QUEUED
        EXEC => {aborted}
        EXEC => -ERR EXEC without MULTI
        MULTI => +OK
        CLIENT NOPE => -ERR unknown subcommand 'NOPE'. Try CLIENT HELP.
        EXEC => {aborted}
        MULTI => +OK
        SCAN 0 => -ERR Command not allowed inside a transaction
        EXEC => {aborted}
        MULTI => +OK
        SET k lost => +QUEUED
        DISCARD => +OK
        MULTI => +OK
        SET k lost => +QUEUED
        RESET => +RESET
        EXEC => -ERR EXEC without MULTI
        MULTI => +OK
        SET k lost => +QUEUED
        EXEC x => -EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command
        EXEC => -ERR EXEC without MULTI
        GET k => $1¶4
        UNWATCH => +OK
        ",
        count = COMMANDS.len(),
    ));
}

/// RESP-ATOMIC: whatever is decided on what keys hold is one commit or none.
#[test]
fn what_writes_nothing_commits_nothing_and_an_exec_is_one_commit_resp_atomic() {
    let mut talk = Talk::new();
    let client = talk.client();
    let mut commit = |request: &str| {
        talk.ask(client, request);
        talk.database.published().0
    };
    assert_eq!(commit("SET a 1"), 1);
    for nothing in ["SET a 2 NX", "SETNX a 2", "MSETNX b 1 a 2", "DEL none", "GETDEL none", "GET a", "SET none 1 XX"] {
        assert_eq!(commit(nothing), 1, "{nothing}");
    }
    for nothing in ["MULTI", "GET a", "SETNX a 2", "DEL none", "EXEC"] {
        assert_eq!(commit(nothing), 1, "{nothing}");
    }
    for queued in ["MULTI", "SET b 1", "DEL a", "MSET c 1 d 1", "GETDEL b"] {
        assert_eq!(commit(queued), 1, "{queued}");
    }
    assert_eq!(commit("EXEC"), 2);
    assert_eq!(commit("SET a 2 NX"), 3);
    assert_eq!(talk.ask(client, "AERO.AT 1 MGET a b c d"), "*4¶$1¶1¶$-1¶$-1¶$-1¶");
    assert_eq!(talk.ask(client, "AERO.AT 2 MGET a b c d"), "*4¶$-1¶$-1¶$1¶1¶$1¶1¶");
}

#[test]
fn the_last_commit_of_a_connection_is_one_that_it_made_resp_command() {
    let mut talk = Talk::new();
    let (one, other) = (talk.client(), talk.client());
    talk.ask(one, "SET a 1");
    for (request, last) in [
        ("SETNX a 2", 1),
        ("GET a", 1),
        ("DEL a", 5),
        ("MULTI", 5),
        ("SET a 2", 5),
        ("EXEC", 9),
        ("MULTI", 9),
        ("GET a", 9),
        ("EXEC", 9),
    ] {
        talk.ask(other, "SET b 1");
        talk.ask(one, request);
        if !["MULTI", "SET a 2"].contains(&request) && request != "GET a" {
            assert_eq!(talk.ask(one, "AERO.LAST"), format!(":{last}¶"), "{request}");
        }
    }
    // Who begins again made none, also where a write before that is answered late.
    assert_eq!(talk.pipeline(one, &["SET a 1", "RESET", "AERO.LAST"]), "+OK¶+RESET¶$-1¶");
}

/// RESP-ORDER: a client that does not wait for its replies sees its own writes, in order; its simple reads hold nothing up.
#[test]
fn replies_to_a_pipeline_come_in_order_and_reads_see_the_writes_before_them_resp_order() {
    let mut talk = Talk::new();
    let client = talk.client();
    talk.ask(client, "SET k old");
    let requests =
        ["GET k", "SET k a", "GET k", "PING", "SET k b", "STRLEN k", "EXISTS k", "TYPE k", "DEL k", "MGET k", "ECHO e"];
    for request in requests {
        assert_eq!(talk.send(client, words(request)), Waits::No, "{request}");
    }
    assert_eq!(shown(&talk.received(client)), "$3¶old¶", "nothing behind a write is sent before it is durable");
    talk.commit(client);
    assert_eq!(shown(&talk.received(client)), "+OK¶$1¶a¶+PONG¶+OK¶:1¶:1¶+string¶:1¶*1¶$-1¶$1¶e¶");
    // The version of the protocol changes for what comes behind HELLO, not for what waits before it.
    let replies = talk.pipeline(
        client,
        &["DEL k", "GET k", "SET k 1 XX", "HELLO 3 NOPE", "HELLO 3", "GET k", "SET k 1 XX", "HELLO 2", "GET k"],
    );
    let (two, three) = replies.split_once("%8¶").unwrap();
    assert!(
        two.starts_with(":0¶$-1¶$-1¶-ERR Syntax error") && three.contains("*0¶_¶_¶*16¶") && three.ends_with("*0¶$-1¶"),
        "{replies}"
    );
    // All else waits for the orders before it, and shows what they did.
    let all = [
        "SET k 1",
        "MGET k none",
        "SET l 2",
        "EXISTS k l",
        "SET m 3",
        "DBSIZE",
        "DEL m",
        "SCAN 0",
        "SET n 1",
        "AERO.COMMITID",
        "SET o 1",
    ];
    assert_eq!(talk.pipeline(client, &all), "+OK¶*2¶$1¶1¶$-1¶+OK¶:2¶+OK¶:3¶:1¶*2¶$1¶0¶*2¶$1¶k¶$1¶l¶+OK¶:9¶+OK¶");
    let transaction =
        ["SET k 1", "MULTI", "GET k", "EXEC", "SET k 2", "WATCH k", "MULTI", "SET k 3", "GET k", "EXEC", "AERO.LAST"];
    assert_eq!(
        talk.pipeline(client, &transaction),
        "+OK¶+OK¶+QUEUED¶*1¶$1¶1¶+OK¶+OK¶+OK¶+QUEUED¶+QUEUED¶*2¶+OK¶$1¶3¶:13¶"
    );
}

#[test]
fn exec_is_null_if_a_watched_key_was_written_since_resp_watch() {
    let mut talk = Talk::new();
    let (one, other) = (talk.client(), talk.client());
    talk.ask(one, "MSET k 1 l 1");
    let mut exec = |watch: &str, write: &str, by: usize, commands: &[&str]| {
        talk.ask(one, watch);
        talk.ask(by, write);
        talk.ask(one, "MULTI");
        for command in commands {
            talk.ask(one, command);
        }
        talk.ask(one, "EXEC")
    };
    let set = ["SET m done"];
    assert_eq!(exec("WATCH k", "SET l 2", other, &set), "*1¶+OK¶");
    assert_eq!(exec("WATCH k", "SET k 1", other, &set), "*-1¶", "the same value again is a write");
    assert_eq!(exec("WATCH k", "SET k 2", one, &set), "*-1¶", "by itself");
    assert_eq!(exec("WATCH k", "DEL k", other, &set), "*-1¶");
    assert_eq!(exec("WATCH k", "DEL k", other, &set), "*1¶+OK¶", "what is not there was not deleted");
    assert_eq!(exec("WATCH k", "SET k 1", other, &set), "*-1¶", "what was not there was written");
    assert_eq!(exec("WATCH l k l", "SET k 2", other, &["GET l"]), "*-1¶", "also where nothing is written");
    assert_eq!(exec("WATCH k", "SET k 2", other, &[]), "*-1¶");
    assert_eq!(exec("WATCH k", "GET k", other, &["GET k"]), "*1¶$1¶2¶");
    assert_eq!(exec("UNWATCH", "SET k 3", other, &set), "*1¶+OK¶", "each EXEC ends the watching before it");
    talk.ask(one, "WATCH k");
    talk.ask(other, "SET k 4");
    talk.ask(one, "WATCH k");
    talk.ask(one, "MULTI");
    assert_eq!(talk.ask(one, "EXEC"), "*-1¶", "a key that is watched again is watched since the first time");
    for forgets in ["UNWATCH", "RESET"] {
        talk.ask(one, "WATCH k");
        talk.ask(other, "SET k 5");
        talk.ask(one, forgets);
        talk.ask(one, "MULTI");
        assert_eq!(talk.ask(one, "EXEC"), "*0¶", "{forgets}");
    }
    talk.ask(one, "HELLO 3");
    talk.ask(one, "WATCH k");
    talk.ask(other, "SET k 6");
    talk.ask(one, "MULTI");
    assert_eq!(talk.ask(one, "EXEC"), "_¶");
}

/// RESP-WATCH, M-FLOOR: below the floor a delete may have left no trace.
#[test]
fn exec_is_null_if_the_floor_has_passed_the_watch_resp_watch() {
    let mut talk = Talk::new();
    let client = talk.client();
    talk.ask(client, "SET k 1");
    for (floor, expected) in [(1, "*1¶$1¶1¶"), (3, "*-1¶")] {
        talk.ask(client, "WATCH k");
        talk.ask(client, "SET other 1");
        talk.database.raise_floor(CommitId(floor)).unwrap();
        talk.ask(client, "MULTI");
        talk.ask(client, "GET k");
        assert_eq!(talk.ask(client, "EXEC"), expected, "floor {floor}");
    }
    assert_eq!(talk.ask(client, "AERO.FLOOR"), ":3¶");
    assert!(talk.ask(client, "AERO.AT 2 GET k").starts_with("-UNSAFE view.below_floor "));
}

/// Two clients, whose decisions are carried out in one group.
#[test]
fn conditional_writes_of_one_group_come_one_after_the_other_resp_atomic() {
    let mut talk = Talk::new();
    let client = talk.client();
    for request in
        ["SETNX k 1", "SETNX k 2", "SET k 3 XX GET", "GETDEL k", "GETDEL k", "SET k 4 NX", "DEL k k", "MSETNX k 5 l 5"]
    {
        talk.send(client, words(request));
    }
    talk.commit(client);
    assert_eq!(shown(&talk.received(client)), ":1¶:0¶$1¶1¶$1¶3¶$-1¶+OK¶:1¶:1¶");
    assert_eq!(talk.database.published(), CommitId(6));
}

#[test]
fn keys_and_values_may_be_any_bytes_resp_command() {
    let mut talk = Talk::new();
    let client = talk.client();
    let all: Vec<u8> = (0..=255).collect();
    let request = |words: &[&[u8]]| words.iter().collect::<Request>();
    let bulk = |bytes: &[u8]| [format!("${}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
    assert_eq!(talk.ask_bytes(client, request(&[b"SET", &all, &all])), b"+OK\r\n");
    assert_eq!(talk.ask_bytes(client, request(&[b"GET", &all])), bulk(&all));
    assert_eq!(talk.ask_bytes(client, request(&[b"SET", b"", b""])), b"+OK\r\n");
    assert_eq!(talk.ask_bytes(client, request(&[b"GET", b""])), bulk(b""));
    for byte in 0..=255 {
        assert_eq!(talk.ask_bytes(client, request(&[b"SET", &[byte], &[byte, 13, 10]])), b"+OK\r\n");
        assert_eq!(talk.ask_bytes(client, request(&[b"GETDEL", &[byte]])), bulk(&[byte, 13, 10]));
    }
    let expected = [b"*2\r\n".as_slice(), &bulk(b"0"), b"*2\r\n", &bulk(b""), &bulk(&all)].concat();
    assert_eq!(talk.ask_bytes(client, request(&[b"SCAN", b"0"])), expected);
    // What quotes a client is one line of characters that can be shown.
    for refused in [
        &[b"\r\n\x07\x1b\xff".as_slice(), b"a\r\n"] as &[&[u8]],
        &[b"CLIENT", b"\r\n\x1b"],
        &[b"AERO.AT", b"0", b"\n", b"\n"],
    ] {
        let reply = talk.ask_bytes(client, request(refused));
        let text = std::str::from_utf8(&reply).unwrap().strip_suffix("\r\n").unwrap();
        assert!(text.starts_with("-ERR ") && !text.chars().any(char::is_control), "{text:?}");
    }
}

#[test]
fn what_is_beyond_a_limit_is_refused_by_its_code_resp_command() {
    let mut talk = Talk::new();
    let client = talk.client();
    let (key, long_key) = (vec![b'k'; limits::KEY_BYTES_MAX], vec![b'k'; limits::KEY_BYTES_MAX + 1]);
    let (value, long_value) = (vec![b'v'; limits::VALUE_BYTES_MAX], vec![b'v'; limits::VALUE_BYTES_MAX + 1]);
    let mut ask = |words: &[&[u8]]| {
        let mut reply = talk.ask_bytes(client, words.iter().collect());
        reply.truncate(40);
        shown(&reply)
    };
    let refused = |reason: Reason| move |reply: String| reply.starts_with(&format!("-ERR {reason} "));
    assert_eq!(ask(&[b"SET", &key, &value]), "+OK¶");
    assert_eq!(ask(&[b"STRLEN", &key]), format!(":{}¶", limits::VALUE_BYTES_MAX));
    for name in [&b"SET"[..], b"SETNX", b"MSET", b"MSETNX"] {
        assert!(refused(Reason::BatchKeyTooLong)(ask(&[name, &long_key, b"v"])));
        assert!(refused(Reason::BatchValueTooLong)(ask(&[name, b"k", &long_value])));
    }
    assert!(refused(Reason::BatchKeyTooLong)(ask(&[b"MSETNX", b"a", b"1", &long_key, b"v"])));
    assert_eq!(ask(&[b"GET", b"a"]), "$-1¶", "nothing of a command that is refused is done");
    for (request, reply) in [("GET", "$-1¶"), ("EXISTS", ":0¶"), ("DEL", ":0¶"), ("GETDEL", "$-1¶"), ("WATCH", "+OK¶")]
    {
        assert_eq!(ask(&[request.as_bytes(), &long_key]), reply, "a key that can't be there is not there");
    }
    // One error in a transaction is one reply; a transaction that is too large is nothing.
    ask(&[b"MULTI"]);
    ask(&[b"SET", &long_key, b"v"]);
    ask(&[b"SET", b"a", b"1"]);
    assert!(ask(&[b"EXEC"]).starts_with("*2¶-ERR batch.key_too_long"));
    assert_eq!(ask(&[b"GET", b"a"]), "$1¶1¶");
    ask(&[b"MULTI"]);
    for key in [b"a", b"b"] {
        assert_eq!(ask(&[b"SET", key, &value]), "+QUEUED¶");
    }
    assert!(refused(Reason::BatchTooLarge)(ask(&[b"EXEC"])));
    assert_eq!(ask(&[b"GET", b"a"]), "$1¶1¶");
    // What is queued is bounded.
    ask(&[b"MULTI"]);
    for _ in 0..limits::QUEUED_BYTES_MAX / limits::VALUE_BYTES_MAX - 1 {
        assert_eq!(ask(&[b"SET", b"a", &value]), "+QUEUED¶");
    }
    assert!(refused(Reason::BatchTooLarge)(ask(&[b"SET", b"a", &value])));
    assert!(ask(&[b"EXEC"]).starts_with("-EXECABORT "));
    // And so is what is watched.
    let mut watched = 0_u32;
    let reply = loop {
        let mut key = key.clone();
        key[..4].copy_from_slice(&watched.to_be_bytes());
        watched += 1;
        match ask(&[b"WATCH", &key]).as_str() {
            "+OK¶" => assert!(watched < 2000),
            refused => break refused.to_owned(),
        }
    };
    assert!(refused(Reason::BatchTooLarge)(reply));
    assert_eq!(ask(&[b"CLIENT", b"SETNAME", &key]), "-ERR Client names cannot contain spaces,");
    assert!(ask(&[b"SCAN", b"0", b"MATCH", &key]).starts_with("-ERR the pattern"));
}

/// RESP-BOUND, RESP-TURN: what is answered in one turn lists only so many names, whatever it says of each.
#[test]
fn a_command_that_says_much_of_each_name_takes_few_of_them_resp_bound() {
    let mut talk = Talk::new();
    let client = talk.client();
    for (command, name) in [
        ("COMMAND DOCS", "command|docs"),
        ("COMMAND INFO", "command|info"),
        ("CONFIG GET", "config|get"),
        ("INFO", "info"),
    ] {
        let ask = |names: usize| format!("{command}{}", " client".repeat(names));
        let reply = talk.ask(client, &ask(limits::NAMES_MAX));
        assert!(!reply.starts_with('-') && reply.len() < limits::TURN_BYTES, "{name}: {} bytes", reply.len());
        let refused = format!("-ERR wrong number of arguments for '{name}' command¶");
        assert_eq!(talk.ask(client, &ask(limits::NAMES_MAX + 1)), refused);
        talk.ask(client, "MULTI");
        assert_eq!(talk.ask(client, &ask(limits::NAMES_MAX + 1)), refused, "nor is it queued");
        assert!(talk.ask(client, "EXEC").starts_with("-EXECABORT "));
    }
    assert_eq!(talk.ask(client, "CONFIG GET save nope sa* timeou[t] SAVE"), "*4¶$4¶save¶$0¶¶$7¶timeout¶$1¶0¶");
}

/// RESP-BOUND: values that decisions leave for the loop are bounded for all clients together, and nothing is written that can't be
/// answered.
#[test]
fn a_reply_that_does_not_fit_is_refused_and_nothing_is_written_resp_bound() {
    let mut talk = Talk::with_room(100);
    let client = talk.client();
    let value = "v".repeat(60);
    talk.ask(client, &format!("SET k {value}"));
    let echo = format!("ECHO {value}");
    let cases: [&[&str]; 3] = [
        &["MULTI", "SET l 1", "MGET k k k k k k k k", "EXEC"],
        &["MULTI", "GETDEL k", "SETNX m v", "MGET k k k l l l l l l l l l l"],
        &["MULTI", "SET l 1", &echo, &echo, &echo, &echo, &echo, "EXEC"],
    ];
    for requests in cases {
        let exec = requests.iter().map(|request| talk.ask(client, request)).last().unwrap();
        let exec = if exec.contains("QUEUED") { talk.ask(client, "EXEC") } else { exec };
        assert!(exec.starts_with(&format!("-ERR {} ", Reason::ReplyTooLarge)), "{exec}");
        let bytes = exec.split_once("[bytes=").and_then(|(_, rest)| rest.split_once(',')).unwrap().0;
        assert!(bytes.parse::<usize>().unwrap() < 200, "it ends with the first value that does not fit: {exec}");
    }
    assert_eq!(talk.ask(client, "EXISTS k l m"), ":1¶");
    // Two replies that wait at once: the second does not fit until the first is taken out.
    for request in [format!("SET k {value} GET"), format!("SET k {value} GET"), "GET k".to_owned()] {
        talk.send(client, words(&request));
    }
    talk.commit(client);
    let replies = shown(&talk.received(client));
    assert!(replies.starts_with(&format!("$60¶{value}¶-ERR reply.too_large ")), "{replies}");
    assert!(replies.ends_with(&format!("¶$60¶{value}¶")), "{replies}");
    assert!(talk.room().check(100).is_ok(), "all room is given back");
}

/// RESP-ATOMIC: all other commits wait for a decision, so what it may look up is bounded; beyond that it decides for nothing.
#[test]
fn a_decision_that_looks_up_too_much_is_refused_and_nothing_is_written_resp_atomic() {
    let mut talk = Talk::new();
    let client = talk.client();
    let value = vec![b'v'; limits::VALUE_BYTES_MAX];
    assert_eq!(shown(&talk.ask_bytes(client, [b"SET", &b"big"[..], &value].iter().collect())), "+OK¶");
    let many = |name: &str, keys: usize| format!("{name}{}", " none".repeat(keys));
    let most = limits::DECISION_BYTES_MAX / limits::VALUE_BYTES_MAX;
    let mut exec = |requests: &[String]| {
        talk.ask(client, "MULTI");
        requests.iter().for_each(|request| assert_eq!(talk.ask(client, request), "+QUEUED¶"));
        let reply = talk.ask(client, "EXEC");
        (reply, talk.ask(client, "GETDEL l"))
    };
    let write = || "SET l 1".to_owned();
    let too_large = format!("-ERR {} ", Reason::DecisionTooLarge);
    let refused = |(reply, l): (String, String)| reply.starts_with(&too_large) && l == "$-1¶";
    let half = limits::DECISION_KEYS_MAX / 2;
    assert_eq!(exec(&[write(), format!("EXISTS{}", " big".repeat(most))]).0, format!("*2¶+OK¶:{most}¶"));
    assert!(refused(exec(&[write(), format!("EXISTS{}", " big".repeat(most + 1))])));
    assert!(refused(exec(&[write(), "STRLEN big".to_owned(), format!("EXISTS{}", " big".repeat(most))])));
    assert_eq!(exec(&[write(), many("EXISTS", half), many("DEL", half)]).0, "*3¶+OK¶:0¶:0¶");
    assert!(refused(exec(&[write(), many("EXISTS", half), many("DEL", half + 1)])));
    assert!(talk.ask(client, &many("DEL", limits::DECISION_KEYS_MAX + 1)).starts_with(&too_large));
    // What is watched is looked up too.
    for (watched, refused) in [(limits::DECISION_KEYS_MAX, false), (limits::DECISION_KEYS_MAX + 1, true)] {
        let keys: String = (0..watched).map(|key| format!(" w{key}")).collect();
        for request in [format!("WATCH{keys}"), "MULTI".to_owned(), write()] {
            talk.ask(client, &request);
        }
        assert_eq!(talk.ask(client, "EXEC").starts_with(&too_large), refused);
        assert_eq!(talk.ask(client, "GETDEL l"), if refused { "$-1¶" } else { "$1¶1¶" });
    }
}

/// The committer's disk fails: writes are refused with what happened, reads go on.
#[test]
fn a_failure_to_write_is_told_by_its_code_and_reads_go_on_resp_command() {
    let mut talk = Talk::new();
    let client = talk.client();
    talk.ask(client, "SET k 1");
    talk.disk.fail_operation(talk.disk.operations() + 1, Fault::Eio);
    assert!(talk.ask(client, "SET k 2").starts_with("-ERR commit.unknown "));
    for write in ["SET k 3", "DEL k"] {
        assert!(talk.ask(client, write).starts_with(&format!("-MISCONF {} ", Reason::CommitStopped)), "{write}");
    }
    talk.ask(client, "MULTI");
    talk.ask(client, "SET k 4");
    assert!(talk.ask(client, "EXEC").starts_with("-MISCONF commit.stopped "));
    assert_eq!(talk.ask(client, "GET k"), "$1¶1¶");
    assert_eq!(talk.ask(client, "AERO.LAST"), ":1¶", "what failed is no commit of this connection");
    assert!(talk.ask(client, "INFO persistence").contains("aof_last_write_status:err¶"));
    assert!(talk.ask(client, "INFO aerodb").contains("write_fault:disk.sync_failed"));
    // Nobody waits for a commit that can't come any more.
    assert!(talk.ask(client, "AERO.WAITFOR 2").starts_with("-MISCONF commit.stopped "));
}

#[test]
fn the_table_says_of_itself_what_is_in_it_resp_command() {
    let mut talk = Talk::new();
    let client = talk.client();
    let count = COMMANDS.len();
    assert_eq!(talk.ask(client, "COMMAND COUNT"), format!(":{count}¶"));
    let all = talk.ask(client, "COMMAND");
    assert!(all.starts_with(&format!("*{count}¶*10¶$7¶aero.at¶:-4¶*2¶+readonly¶+no_multi¶:0¶:0¶:0¶*0¶*0¶*0¶*0¶")));
    assert_eq!(talk.ask(client, "COMMAND INFO"), all);
    let list = talk.ask(client, "COMMAND LIST");
    let docs = talk.ask(client, "COMMAND DOCS");
    for command in COMMANDS {
        assert!(all.contains(&format!("¶{}¶:{}¶", command.name, command.arity)), "{}", command.name);
        assert!(list.contains(&format!("¶{}¶", command.name)) && docs.contains(command.summary), "{}", command.name);
    }
    assert_eq!(
        talk.ask(client, "COMMAND DOCS getdel"),
        "*2¶$6¶getdel¶*6¶$7¶summary¶$41¶Get the value of a key and delete the key¶$5¶since¶$5¶6.2.0¶$5¶group¶$6¶string¶"
    );
    assert_eq!(
        talk.ask(client, "COMMAND INFO CLIENT|ID"),
        "*1¶*10¶$9¶client|id¶:2¶*2¶+no_multi¶+fast¶:0¶:0¶:0¶*0¶*0¶*0¶*0¶"
    );
    for container in ["CLIENT", "COMMAND", "CONFIG"] {
        let help = talk.ask(client, &format!("{container} help"));
        assert!(
            help.contains(&format!("¶+{container} <subcommand> ")) && help.contains("¶+HELP¶+    Print this help.¶"),
            "{help}"
        );
    }
}

#[test]
fn what_is_known_of_clients_is_shown_to_all_resp_command() {
    let mut talk = Talk::new();
    let (one, other) = (talk.client(), talk.client());
    for request in [
        "HELLO 3 SETNAME one",
        "CLIENT SETINFO LIB-NAME lib",
        "CLIENT SETINFO LIB-VER 1.2",
        "WATCH a b",
        "MULTI",
        "GET a",
    ] {
        talk.ask(one, request);
    }
    let line = |rest: &str| format!("addr=127.0.0.1:1 laddr=127.0.0.1:6380 {rest}");
    let first = line(
        "name=one flags=x db=0 sub=0 psub=0 ssub=0 multi=1 watch=2 qbuf=0 omem=0 tot-cmds=6 cmd=get user=default resp=3 \
         lib-name=lib lib-ver=1.2\n",
    );
    let second = line(
        "name= flags=N db=0 sub=0 psub=0 ssub=0 multi=-1 watch=0 qbuf=0 omem=0 tot-cmds=1 cmd=client|list user=default resp=2 \
         lib-name= lib-ver=\n",
    );
    let text = format!("id=1 {first}id=2 {second}");
    assert_eq!(talk.ask(other, "CLIENT LIST"), format!("${}¶{text}¶", text.len()));
    let text = format!("id=1 {first}");
    assert_eq!(talk.ask(other, "CLIENT LIST ID 1 9 1"), format!("${}¶{text}¶", text.len()));
    assert!(talk.ask(other, "INFO clients").contains("connected_clients:2¶"));
    talk.leave(one);
    let list = talk.ask(other, "CLIENT LIST TYPE normal");
    assert!(list.contains("¶id=2 ") && !list.contains("id=1 "), "{list}");
    talk.ask(one, "EXEC");
    let info = talk.ask(other, "CLIENT INFO");
    assert!(info.contains("id=2 ") && info.contains("cmd=client|info "), "{info}");
    assert_eq!(talk.send(other, words("QUIT")), Waits::Closed);
    assert_eq!(shown(&talk.received(other)), "+OK¶");
}

#[test]
fn info_has_the_sections_that_were_asked_for_resp_command() {
    let mut talk = Talk::new();
    let client = talk.client();
    let sections = |info: &str| -> Vec<String> {
        info.split('¶').filter_map(|line| line.strip_prefix("# ").map(str::to_owned)).collect()
    };
    let all = ["Server", "Clients", "Memory", "Persistence", "Stats", "Replication", "Keyspace", "Aerodb"];
    for everything in ["INFO", "INFO default", "INFO all", "INFO everything", "info server EVERYTHING"] {
        assert_eq!(sections(&talk.ask(client, everything)), all, "{everything}");
    }
    assert_eq!(sections(&talk.ask(client, "INFO stats nope SERVER")), ["Server", "Stats"]);
    let info = talk.ask(client, "INFO everything");
    for line in
        ["redis_version:7.0.0", "role:master", "tcp_port:6380", "maxclients:10000", "commit:0", "committer:Idle"]
    {
        assert!(info.to_lowercase().contains(&format!("¶{}¶", line.to_lowercase())), "{line}: {info}");
    }
    talk.ask(client, "HELLO 3");
    assert!(talk.ask(client, "INFO server").contains("¶txt:# Server¶"));
    assert_eq!(
        talk.ask(client, "HELLO"),
        format!(
            "%8¶$6¶server¶$5¶redis¶$7¶version¶$5¶7.0.0¶$5¶proto¶:3¶$2¶id¶:1¶$4¶mode¶$10¶standalone¶$4¶role¶$6¶master¶$6¶aerodb¶${}¶{}\
             ¶$7¶modules¶*0¶",
            env!("CARGO_PKG_VERSION").len(),
            env!("CARGO_PKG_VERSION")
        )
    );
}

/// RESP-INLINE: a page in a browser can make it send a request with commands as its body.
#[test]
fn a_request_of_http_closes_the_connection_without_a_reply() {
    for line in ["POST / HTTP/1.1", "post / HTTP/1.1", "Host: localhost:6380"] {
        let mut talk = Talk::new();
        let client = talk.client();
        assert_eq!(talk.send(client, words(line)), Waits::Closed, "{line}");
        assert_eq!(shown(&talk.received(client)), "", "{line}");
    }
}
