//! The one list of commands: how each is called, what it does, and what is said of it.
//!
//! Dispatch, the errors for unknown commands and for wrong numbers of arguments, COMMAND, HELP and the table in `docs/resp.md` come from
//! it. Sorted by name; subcommands stand beside it. What a command is allowed to wait for, and whether MULTI may queue it, follows from its [`Run`] alone.

use crate::limits;
use crate::resp::Out;
use crate::server::commands::codes::{CURSORS, Codes, DECISIONS, LOG, POINTS, QUEUES, RANGES, READS, VIEWS, WAITS, WRITES};
use crate::server::commands::data::Data;
use crate::server::commands::subcommands::{CLIENT, COMMAND, CONFIG};
use crate::server::commands::{Words, aero, catalog, connection, history, info, quoted, scan};
use crate::server::session::{Context, Session, Step};
use std::cmp::Ordering;

/// What a command does on the loop.
type OnLoop = fn(&mut Session, Words<'_>, &mut Context<'_>, &mut Vec<u8>) -> Step;

/// What a command does that needs nothing but its connection.
type OnConnection = fn(&mut connection::Peer<'_>, Words<'_>, &mut Vec<u8>);

/// How a command is carried out.
#[derive(Clone, Copy, Debug)]
pub enum Run {
    /// Needs nothing but its words. MULTI may queue it.
    Pure(fn(Words<'_>, &mut Out<'_>)),
    /// Reads or writes keys. MULTI may queue it.
    Data(Data),
    /// Of the connection, at once.
    Connection(OnConnection),
    /// Of the server, at once.
    AtOnce(OnLoop),
    /// The same, once the client has no order that is not answered: it shows what they did.
    AfterOrders(OnLoop),
    /// MULTI.
    Multi,
    /// EXEC.
    Exec,
    /// DISCARD.
    Discard,
    /// WATCH: what it remembers has to hold what was ordered before.
    Watch,
    /// UNWATCH. MULTI may queue it.
    Unwatch,
    /// RESET.
    Reset,
    /// QUIT.
    Quit,
}

impl Run {
    /// Whether it may write.
    #[must_use]
    pub fn writes(self) -> bool {
        matches!(self, Run::Data(data) if data.writes())
    }

    /// Whether it is carried out behind MULTI too, rather than queued.
    #[must_use]
    pub fn is_of_transactions(self) -> bool {
        match self {
            Run::Multi | Run::Exec | Run::Discard | Run::Watch | Run::Quit | Run::Reset => true,
            Run::Pure(_)
            | Run::Data(_)
            | Run::Connection(_)
            | Run::AtOnce(_)
            | Run::AfterOrders(_)
            | Run::Unwatch => false,
        }
    }
}

/// A command.
#[derive(Clone, Copy, Debug)]
pub struct Command {
    /// Its name in small letters; that of a subcommand behind a `|`.
    pub name: &'static str,
    /// How it is written.
    pub syntax: &'static str,
    /// How many words it has; at least so many, if below zero.
    pub arity: i64,
    /// Most words behind its name, where that is bounded.
    pub names_max: usize,
    /// The first and the last word that is a key, and the step between keys; the last counts from the end, if below zero.
    pub key_words: (i64, i64, i64),
    /// The version of Redis, or of this program, that first had it.
    pub since: &'static str,
    /// What it belongs to.
    pub group: &'static str,
    /// What it does.
    pub summary: &'static str,
    /// What it replies.
    pub reply: &'static str,
    /// Where that is not what Redis does.
    pub differs: &'static str,
    /// What it may be refused with beside texts of Redis, where that does not follow from how it is carried out.
    pub codes: &'static [&'static Codes],
    /// How it is carried out.
    pub run: Run,
    /// Its subcommands.
    pub subcommands: &'static [Command],
}

impl Command {
    /// The flags that COMMAND shows.
    #[must_use]
    pub fn flags(&self) -> Vec<&'static str> {
        let mut flags = Vec::new();
        match self.run {
            Run::Data(data) => flags.push(if data.writes() { "write" } else { "readonly" }),
            Run::Connection(_) | Run::AtOnce(_) => flags.push("no_multi"),
            Run::AfterOrders(_) => flags.extend(["readonly", "no_multi"]),
            Run::Watch => flags.push("no_multi"),
            Run::Pure(_) | Run::Multi | Run::Exec | Run::Discard | Run::Unwatch | Run::Reset | Run::Quit => {}
        }
        if !matches!(self.run, Run::AfterOrders(_)) {
            flags.push("fast");
        }
        flags
    }

    /// The codes that it may be refused with.
    #[must_use]
    pub fn codes(&self) -> &'static [&'static Codes] {
        let Run::Data(data) = self.run else { return self.codes };
        // A read behind writes of the same client is one at the commit of its place.
        if data.writes() { &[&WRITES, &DECISIONS] } else { &[&READS, &VIEWS] }
    }

    /// Whether it takes so many words.
    #[must_use]
    pub fn takes(&self, words: usize) -> bool {
        // Asked of every request, so the words of the name are counted only where there is a bound.
        let names = || words.saturating_sub(1).saturating_sub(self.name.matches('|').count());
        if self.names_max < usize::MAX && names() > self.names_max {
            return false;
        }
        let words = i64::try_from(words).unwrap_or(i64::MAX);
        if self.arity < 0 { words >= self.arity.saturating_neg() } else { words == self.arity }
    }
}

/// The command that a request names.
///
/// # Errors
/// The text for a command or subcommand that there is not, or that takes another number of words.
pub fn find(words: Words<'_>) -> Result<&'static Command, String> {
    let Some(mut command) = named(words.at(0)).filter(|command| !command.name.contains('|')) else {
        let mut arguments = String::new();
        for word in words.iter().skip(1) {
            let Some(left) = 128_usize.checked_sub(arguments.len()).filter(|left| *left > 0) else { break };
            arguments.push_str(&format!("'{}' ", quoted(word, left)));
        }
        let name = quoted(words.at(0), 128);
        return Err(format!("ERR unknown command '{name}', with args beginning with: {arguments}"));
    };
    if let Some(word) = words.get(1).filter(|_| !command.subcommands.is_empty()) {
        let is_meant = |subcommand: &&Command| {
            subcommand.name.rsplit('|').next().is_some_and(|name| word.eq_ignore_ascii_case(name.as_bytes()))
        };
        let container = command.name.to_ascii_uppercase();
        command = command.subcommands.iter().find(is_meant).ok_or_else(|| {
            format!("ERR unknown subcommand '{}'. Try {container} HELP.", quoted(word, 128))
        })?;
    }
    if command.takes(words.len()) {
        return Ok(command);
    }
    Err(format!("ERR wrong number of arguments for '{}' command", command.name))
}

/// The command of this name, in any case; a subcommand is named as `command|subcommand`.
#[must_use]
pub fn named(name: &[u8]) -> Option<&'static Command> {
    let within = |commands: &'static [Command], name: &[u8]| {
        let at = commands.binary_search_by(|command| compare(command.name, name)).ok()?;
        commands.get(at)
    };
    match name.iter().position(|byte| *byte == b'|') {
        None => within(COMMANDS, name),
        Some(end) => within(within(COMMANDS, name.get(..end)?)?.subcommands, name),
    }
}

fn compare(name: &str, given: &[u8]) -> Ordering {
    name.bytes().cmp(given.iter().map(u8::to_ascii_lowercase))
}

const NO_KEYS: (i64, i64, i64) = (0, 0, 0);
const ONE_KEY: (i64, i64, i64) = (1, 1, 1);
const ALL_KEYS: (i64, i64, i64) = (1, -1, 1);
const PAIRS: (i64, i64, i64) = (1, -1, 2);

/// What most have in common.
const BASE: Command = Command {
    name: "",
    syntax: "",
    arity: 0,
    names_max: usize::MAX,
    key_words: NO_KEYS,
    since: "1.0.0",
    group: "string",
    summary: "",
    reply: "",
    differs: "",
    codes: &[],
    run: Run::Unwatch,
    subcommands: &[],
};
pub(super) const SERVER: Command = Command { group: "server", ..BASE };
pub(super) const CONNECTION: Command = Command { group: "connection", ..BASE };
const TRANSACTIONS: Command = Command { group: "transactions", ..BASE };
const GENERIC: Command = Command { group: "generic", ..BASE };
const AERO: Command = Command { group: "aerodb", since: "0.1.0", ..BASE };

/// Every command, by its name.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "aero.at",
        syntax: "AERO.AT commit GET|MGET|EXISTS|STRLEN|TYPE|SCAN|RANGE …",
        arity: -4,
        summary: "Read the database as it was at a commit",
        reply: "that of the command",
        codes: &[&READS, &VIEWS, &RANGES, &CURSORS],
        run: Run::AfterOrders(aero::at),
        ..AERO
    },
    Command {
        name: "aero.commitid",
        syntax: "AERO.COMMITID",
        arity: 1,
        summary: "The newest commit",
        reply: "number; 0 before the first",
        run: Run::AfterOrders(aero::commit_id),
        ..AERO
    },
    Command {
        name: "aero.explain",
        syntax: "AERO.EXPLAIN REPLICATION|READ key [AT commit] [ATLEAST commit] [ON commit position history]|RECOVERY|CHECKPOINT|SEGMENT [JSON]",
        arity: -2,
        summary: "Explain, with the rules and their evidence: whether this node follows and may be read, what a read of a key finds, what opening found, what a restart would replay, why log was rejected",
        reply: "text, or JSON",
        run: Run::AfterOrders(aero::explain),
        ..AERO
    },
    Command {
        name: "aero.floor",
        syntax: "AERO.FLOOR",
        arity: 1,
        summary: "The lowest commit that can be read",
        reply: "number",
        run: Run::AfterOrders(aero::floor),
        ..AERO
    },
    Command {
        name: "aero.history",
        syntax: "AERO.HISTORY position",
        arity: 2,
        summary: "What the log is before a position, if a record begins there",
        reply: "array of commit, position and history; null if none does",
        codes: &[&LOG],
        run: Run::AfterOrders(history::history),
        ..AERO
    },
    Command {
        name: "aero.last",
        syntax: "AERO.LAST [POINT]",
        arity: -1,
        summary: "The last commit of this connection; with POINT where it ends in the log",
        reply: "number, or array of commit, position and history; null if it made none",
        run: Run::AfterOrders(aero::last),
        ..AERO
    },
    Command {
        name: "aero.log",
        syntax: "AERO.LOG from [COUNT n]",
        arity: -2,
        summary: "Which records follow a position where one begins",
        reply: "flat array: commit, position and history before the first; of each its kind, its bytes, and commit, position and history behind it",
        codes: &[&LOG],
        run: Run::AfterOrders(history::records),
        ..AERO
    },
    Command {
        name: "aero.range",
        syntax: "AERO.RANGE start end [LIMIT n] [REV] [AT commit]",
        arity: -3,
        summary: "Rows in the order of their keys, from start on and before end; an empty end is none",
        reply: "flat array of keys and values",
        codes: &[&READS, &VIEWS, &RANGES],
        run: Run::AfterOrders(aero::range),
        ..AERO
    },
    Command {
        name: "aero.read",
        syntax: "AERO.READ [AT commit] [ATLEAST commit] [ON commit position history] [WAIT] GET|MGET|EXISTS|STRLEN|TYPE|SCAN|RANGE …",
        arity: -3,
        summary: "Read at a commit, at least at one, in the history that has a point; WAIT waits for the commit",
        reply: "that of the command",
        codes: &[&READS, &VIEWS, &POINTS, &WAITS, &RANGES, &CURSORS],
        run: Run::AfterOrders(aero::read),
        ..AERO
    },
    Command {
        name: "aero.record",
        syntax: "AERO.RECORD position",
        arity: 2,
        summary: "The record that begins at a position",
        reply: "array: commit, position and history before it, its bytes, and the first 64 KiB of it",
        codes: &[&LOG, &READS, &VIEWS],
        run: Run::AfterOrders(history::record),
        ..AERO
    },
    Command {
        name: "aero.runs",
        syntax: "AERO.RUNS",
        arity: 1,
        summary: "The runs of this node",
        reply: "flat array: commit, position and history of the checkpoint; of each run its file, its bytes and its hash",
        run: Run::AfterOrders(history::runs),
        ..AERO
    },
    Command {
        name: "aero.segments",
        syntax: "AERO.SEGMENTS",
        arity: 1,
        summary: "The segments of the log that are kept",
        reply: "flat array: commit, position and history at the durable end; of each segment, oldest first, those before it",
        codes: &[&LOG],
        run: Run::AfterOrders(history::segments),
        ..AERO
    },
    Command {
        name: "aero.waitfor",
        syntax: "AERO.WAITFOR commit",
        arity: 2,
        summary: "Wait until a commit can be read here",
        reply: "the newest commit, a number",
        codes: &[&READS, &WAITS],
        run: Run::AfterOrders(aero::wait_for),
        ..AERO
    },
    Command {
        name: "auth",
        syntax: "AUTH [username] password",
        arity: -2,
        summary: "Authenticate",
        reply: "refused: there is no authentication",
        differs: "the user `default` is refused too",
        run: Run::Pure(connection::auth),
        ..CONNECTION
    },
    Command {
        name: "client",
        syntax: "CLIENT …",
        arity: -2,
        since: "2.4.0",
        summary: "Commands on connections",
        run: Run::Pure(catalog::help),
        subcommands: CLIENT,
        ..CONNECTION
    },
    Command {
        name: "command",
        syntax: "COMMAND",
        arity: -1,
        since: "2.8.13",
        summary: "All commands",
        reply: "array of what COMMAND INFO replies",
        differs: "access categories, hints and key specifications are empty; flags are those that hold here",
        run: Run::Pure(catalog::all),
        subcommands: COMMAND,
        ..SERVER
    },
    Command {
        name: "config",
        syntax: "CONFIG …",
        arity: -2,
        since: "2.0.0",
        summary: "Commands on the configuration",
        run: Run::Pure(catalog::help),
        subcommands: CONFIG,
        ..SERVER
    },
    Command {
        name: "dbsize",
        syntax: "DBSIZE",
        arity: 1,
        summary: "Count the keys",
        reply: "number",
        differs: "the keys of one commit are counted one by one; not in MULTI",
        codes: &[&READS],
        run: Run::AfterOrders(scan::dbsize),
        ..SERVER
    },
    Command {
        name: "del",
        syntax: "DEL key [key …]",
        arity: -2,
        key_words: ALL_KEYS,
        summary: "Delete keys",
        reply: "number of keys that were there",
        run: Run::Data(Data::Del),
        ..GENERIC
    },
    Command {
        name: "discard",
        syntax: "DISCARD",
        arity: 1,
        since: "2.0.0",
        summary: "Discard a transaction",
        reply: "OK",
        run: Run::Discard,
        ..TRANSACTIONS
    },
    Command {
        name: "echo",
        syntax: "ECHO message",
        arity: 2,
        summary: "Return the message",
        reply: "bytes",
        run: Run::Pure(connection::echo),
        ..CONNECTION
    },
    Command {
        name: "exec",
        syntax: "EXEC",
        arity: 1,
        since: "1.2.0",
        summary: "Carry a transaction out",
        reply: "array of the replies, or null if a watched key has changed",
        differs: "one commit, or none where nothing was written",
        codes: &[&READS, &WRITES, &DECISIONS],
        run: Run::Exec,
        ..TRANSACTIONS
    },
    Command {
        name: "exists",
        syntax: "EXISTS key [key …]",
        arity: -2,
        key_words: ALL_KEYS,
        summary: "Count the keys that are there",
        reply: "number",
        run: Run::Data(Data::Exists),
        ..GENERIC
    },
    Command {
        name: "get",
        syntax: "GET key",
        arity: 2,
        key_words: ONE_KEY,
        summary: "Get the value of a key",
        reply: "bytes or null",
        run: Run::Data(Data::Get),
        ..BASE
    },
    Command {
        name: "getdel",
        syntax: "GETDEL key",
        arity: 2,
        key_words: ONE_KEY,
        since: "6.2.0",
        summary: "Get the value of a key and delete the key",
        reply: "bytes or null",
        run: Run::Data(Data::Getdel),
        ..BASE
    },
    Command {
        name: "hello",
        syntax: "HELLO [protover [AUTH username password] [SETNAME clientname]]",
        arity: -1,
        since: "6.0.0",
        summary: "Shake hands, and choose the protocol",
        reply: "map that describes the server",
        differs: "one more pair, `aerodb` and its version; AUTH is refused; not in MULTI",
        run: Run::Connection(connection::hello),
        ..CONNECTION
    },
    Command {
        name: "info",
        syntax: "INFO [section …]",
        arity: -1,
        names_max: limits::NAMES_MAX,
        summary: "What the server does and how it is",
        reply: "text",
        differs: "sections and lines are those that hold here, and `aerodb`; not in MULTI",
        run: Run::AfterOrders(info::info),
        ..SERVER
    },
    Command {
        name: "mget",
        syntax: "MGET key [key …]",
        arity: -2,
        key_words: ALL_KEYS,
        summary: "Get the values of keys",
        reply: "array of bytes or null",
        run: Run::Data(Data::Mget),
        ..BASE
    },
    Command {
        name: "mset",
        syntax: "MSET key value [key value …]",
        arity: -3,
        key_words: PAIRS,
        since: "1.0.1",
        summary: "Set the values of keys",
        reply: "OK",
        run: Run::Data(Data::Mset),
        ..BASE
    },
    Command {
        name: "msetnx",
        syntax: "MSETNX key value [key value …]",
        arity: -3,
        key_words: PAIRS,
        since: "1.0.1",
        summary: "Set the values of keys, if none of them is there",
        reply: "1, or 0 if nothing was set",
        run: Run::Data(Data::Msetnx),
        ..BASE
    },
    Command {
        name: "multi",
        syntax: "MULTI",
        arity: 1,
        since: "1.2.0",
        summary: "Begin a transaction",
        reply: "OK",
        differs: "what is queued may take 128 MiB",
        run: Run::Multi,
        ..TRANSACTIONS
    },
    Command {
        name: "ping",
        syntax: "PING [message]",
        arity: -1,
        summary: "Return the message, or PONG",
        reply: "PONG or bytes",
        run: Run::Pure(connection::ping),
        ..CONNECTION
    },
    Command {
        name: "quit",
        syntax: "QUIT",
        arity: -1,
        summary: "Close the connection",
        reply: "OK",
        run: Run::Quit,
        ..CONNECTION
    },
    Command {
        name: "reset",
        syntax: "RESET",
        arity: 1,
        since: "6.2.0",
        summary: "Begin again as a new connection does",
        reply: "RESET",
        differs: "AERO.LAST is null again",
        run: Run::Reset,
        ..CONNECTION
    },
    Command {
        name: "scan",
        syntax: "SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]",
        arity: -2,
        since: "2.8.0",
        summary: "Go through the keys, a page at a time",
        reply: "array of the next cursor and an array of keys",
        differs: "keys come in order, each once; a cursor that is not known is an error; not in MULTI",
        codes: &[&READS, &CURSORS],
        run: Run::AfterOrders(scan::scan),
        ..GENERIC
    },
    Command {
        name: "select",
        syntax: "SELECT index",
        arity: 2,
        summary: "Choose the database",
        reply: "OK",
        differs: "there is database 0 only",
        run: Run::Pure(connection::select),
        ..CONNECTION
    },
    Command {
        name: "set",
        syntax: "SET key value [NX | XX] [GET]",
        arity: -3,
        key_words: ONE_KEY,
        summary: "Set the value of a key",
        reply: "OK, or null if NX or XX did not hold; with GET the value before, or null",
        differs: "EX, PX, EXAT, PXAT and KEEPTTL are refused: there is no expiry",
        run: Run::Data(Data::Set),
        ..BASE
    },
    Command {
        name: "setnx",
        syntax: "SETNX key value",
        arity: 3,
        key_words: ONE_KEY,
        summary: "Set the value of a key, if it is not there",
        reply: "1, or 0 if nothing was set",
        run: Run::Data(Data::Setnx),
        ..BASE
    },
    Command {
        name: "strlen",
        syntax: "STRLEN key",
        arity: 2,
        key_words: ONE_KEY,
        since: "2.2.0",
        summary: "The length of a value",
        reply: "number; 0 if the key is not there",
        run: Run::Data(Data::Strlen),
        ..BASE
    },
    Command {
        name: "type",
        syntax: "TYPE key",
        arity: 2,
        key_words: ONE_KEY,
        summary: "The type of a value",
        reply: "`string` or `none`",
        run: Run::Data(Data::Type),
        ..GENERIC
    },
    Command {
        name: "unlink",
        syntax: "UNLINK key [key …]",
        arity: -2,
        key_words: ALL_KEYS,
        since: "4.0.0",
        summary: "Delete keys; the same as DEL",
        reply: "number of keys that were there",
        run: Run::Data(Data::Del),
        ..GENERIC
    },
    Command {
        name: "unwatch",
        syntax: "UNWATCH",
        arity: 1,
        since: "2.2.0",
        summary: "Watch no key any more",
        reply: "OK",
        run: Run::Unwatch,
        ..TRANSACTIONS
    },
    Command {
        name: "watch",
        syntax: "WATCH key [key …]",
        arity: -2,
        key_words: ALL_KEYS,
        since: "2.2.0",
        summary: "Let EXEC do nothing if a key changes before it",
        reply: "OK",
        differs: "EXEC is null also where the floor has passed the commit at which a key was watched; at most 16 MiB of keys",
        codes: &[&QUEUES],
        run: Run::Watch,
        ..TRANSACTIONS
    },
];

#[cfg(test)]
mod tests;
