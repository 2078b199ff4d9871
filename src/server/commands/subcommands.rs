//! The subcommands of the table: of CLIENT, COMMAND and CONFIG.
//!
//! Each list is sorted by name, because it is searched so; a name begins with that of its command and a `|`. Nothing is dispatched
//! here: `table` finds them.

use crate::limits;
use crate::server::commands::table::{CONNECTION, Command, Run, SERVER};
use crate::server::commands::{catalog, config, connection};

const HELP: Command = Command {
    arity: 2,
    since: "5.0.0",
    summary: "Print this help",
    reply: "array of lines",
    run: Run::Pure(catalog::help),
    ..CONNECTION
};

/// Those of CLIENT.
pub(super) const CLIENT: &[Command] = &[
    Command {
        name: "client|getname",
        syntax: "CLIENT GETNAME",
        arity: 2,
        since: "2.6.9",
        summary: "The name of this connection",
        reply: "bytes, or null without a name",
        differs: "not in MULTI",
        run: Run::Connection(connection::client_get_name),
        ..CONNECTION
    },
    Command { name: "client|help", syntax: "CLIENT HELP", ..HELP },
    Command {
        name: "client|id",
        syntax: "CLIENT ID",
        arity: 2,
        since: "5.0.0",
        summary: "The number of this connection",
        reply: "number",
        differs: "not in MULTI",
        run: Run::Connection(connection::client_id),
        ..CONNECTION
    },
    Command {
        name: "client|info",
        syntax: "CLIENT INFO",
        arity: 2,
        since: "6.2.0",
        summary: "What is known of this connection",
        reply: "a line of CLIENT LIST",
        differs: "without the fields that need a clock or a descriptor; not in MULTI",
        run: Run::Connection(connection::client_info),
        ..CONNECTION
    },
    Command {
        name: "client|list",
        syntax: "CLIENT LIST [TYPE type] [ID id …]",
        arity: -2,
        since: "2.4.0",
        summary: "What is known of the connections",
        reply: "text, a line for each",
        differs: "without the fields that need a clock or a descriptor; not in MULTI",
        run: Run::Connection(connection::client_list),
        ..CONNECTION
    },
    Command {
        name: "client|setinfo",
        syntax: "CLIENT SETINFO LIB-NAME|LIB-VER value",
        arity: 4,
        since: "7.2.0",
        summary: "Name the library that the client uses",
        reply: "OK",
        differs: "at most 256 bytes; not in MULTI",
        run: Run::Connection(connection::client_set_info),
        ..CONNECTION
    },
    Command {
        name: "client|setname",
        syntax: "CLIENT SETNAME name",
        arity: 3,
        since: "2.6.9",
        summary: "Name this connection",
        reply: "OK",
        differs: "at most 256 bytes; not in MULTI",
        run: Run::Connection(connection::client_set_name),
        ..CONNECTION
    },
];

/// Those of COMMAND.
pub(super) const COMMAND: &[Command] = &[
    Command {
        name: "command|count",
        syntax: "COMMAND COUNT",
        arity: 2,
        since: "2.8.13",
        summary: "Count the commands",
        reply: "number",
        run: Run::Pure(catalog::count),
        ..SERVER
    },
    Command {
        name: "command|docs",
        syntax: "COMMAND DOCS [name …]",
        arity: -2,
        names_max: limits::NAMES_MAX,
        since: "7.0.0",
        summary: "What is said of commands",
        reply: "map of names and maps: summary, since, group, subcommands",
        differs: "at most 256 names; without complexity and arguments",
        run: Run::Pure(catalog::docs),
        ..SERVER
    },
    Command { name: "command|help", syntax: "COMMAND HELP", ..HELP },
    Command {
        name: "command|info",
        syntax: "COMMAND INFO [name …]",
        arity: -2,
        names_max: limits::NAMES_MAX,
        since: "2.8.13",
        summary: "Names, arities, flags and keys of commands",
        reply: "array of arrays, null for a name that is not known",
        differs: "at most 256 names",
        run: Run::Pure(catalog::info),
        ..SERVER
    },
    Command {
        name: "command|list",
        syntax: "COMMAND LIST [FILTERBY PATTERN pattern]",
        arity: -2,
        since: "7.0.0",
        summary: "The names of the commands",
        reply: "array of names",
        differs: "FILTERBY MODULE and ACLCAT are refused: there are none",
        run: Run::Pure(catalog::list),
        ..SERVER
    },
];

/// Those of CONFIG.
pub(super) const CONFIG: &[Command] = &[
    Command {
        name: "config|get",
        syntax: "CONFIG GET pattern [pattern …]",
        arity: -3,
        names_max: limits::NAMES_MAX,
        since: "2.0.0",
        summary: "Settings whose names match",
        reply: "map of names and values",
        differs: "at most 256 patterns; only settings whose meaning holds here; not in MULTI",
        run: Run::AtOnce(config::get),
        ..SERVER
    },
    Command { name: "config|help", syntax: "CONFIG HELP", ..HELP },
    Command {
        name: "config|set",
        syntax: "CONFIG SET name value [name value …]",
        arity: -4,
        since: "2.0.0",
        summary: "Change settings",
        reply: "refused: settings are given at the start",
        differs: "every setting is immutable",
        run: Run::AtOnce(config::set),
        ..SERVER
    },
];
