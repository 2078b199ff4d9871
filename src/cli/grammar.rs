//! The commands and their options, in one definition: parsing, help and errors come from it.
//!
//! Values stay words here, so that what can't be read is refused by a reason of ours (`args.rs`). Each command's help ends with
//! examples that work as they stand.

use crate::cli::{bytes, manual::FORMS, settings};
use aerodb::explain::Kind;
use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, Command, value_parser};
use std::ffi::OsString;
use std::path::PathBuf;

const ROLES: [&str; 3] = ["standalone", "primary", "replica"];

const PUT_USAGE: &str = "\
aerodb put [OPTIONS] <DIR> <KEY> <VALUE> [<KEY> <VALUE>]...
       aerodb put --value-file <PATH> <DIR> <KEY>";
const PUT_USAGE_SERVER: &str = "\
aerodb put [OPTIONS] --addr <HOST:PORT> <KEY> <VALUE> [<KEY> <VALUE>]...
       aerodb put --addr <HOST:PORT> --value-file <PATH> <KEY>";

const STATUS_HELP: &str = "\
Exit status: 0 on success; otherwise the number of the reason, which is told on standard error as
error[code]: sentence [evidence], with its remedy (`aerodb reasons` lists all). With --json the same is one object
{\"error\": …} on standard output. AERODB_LOG_LEVEL=error|warn|info|debug says how much is logged on standard error.";

/// The whole command line. Where a server is named (`--addr`), the commands that can do with one take no directory: what would be its
/// place is that of the next argument.
pub(crate) fn grammar(server: bool) -> Command {
    Command::new("aerodb")
        .version(env!("CARGO_PKG_VERSION"))
        .about("An ordered MVCC key-value database with one writer and replicas that prove what they answer.")
        .after_help(format!("{}\n\n{STATUS_HELP}", bytes::HELP))
        .subcommand_required(true)
        .subcommands([
            #[cfg(feature = "server")]
            serve(),
            #[cfg(feature = "replication")]
            replica(),
            config(),
            init(),
            get(server),
            put(server),
            del(server),
            scan(server),
            status(server),
            explain(server),
            checkpoint(),
            floor(),
            wal(),
            verify(),
            compare(),
            backup(),
            restore(),
            #[cfg(feature = "replication")]
            resume(),
            reasons(),
            manual(),
            super::bench::command(),
            #[cfg(feature = "replication")]
            demo(),
        ])
}

fn command(name: &'static str, about: &'static str, examples: &'static str) -> Command {
    Command::new(name).about(about).after_help(format!("Examples:\n{examples}"))
}

fn path(id: &'static str, help: &'static str) -> Arg {
    Arg::new(id).value_name(id).help(help).required(true).value_parser(value_parser!(PathBuf))
}

fn json() -> Arg {
    Arg::new("json").long("json").action(ArgAction::SetTrue).help("Answer in JSON, one object per line")
}

/// A number below zero is a value, to be refused as one where it can't be; anything else that begins with - needs the form
/// --option=VALUE.
fn option(id: &'static str, value: &'static str, help: &'static str) -> Arg {
    Arg::new(id).long(id).value_name(value).help(help).allow_negative_numbers(true)
}

fn bytes_option(id: &'static str, value: &'static str, help: &'static str) -> Arg {
    option(id, value, help).value_parser(value_parser!(OsString))
}

fn key(help: &'static str) -> Arg {
    Arg::new("KEY").required(true).value_parser(value_parser!(OsString)).allow_negative_numbers(true).help(help)
}

fn at() -> Arg {
    option("at", "N", "Read the database as it was at commit N [default: the newest]")
}

/// The directory, and whose it must be.
fn on_directory(command: Command) -> Command {
    let expect = "Expectations";
    let roles = PossibleValuesParser::new(ROLES);
    command.arg(path("DIR", "The directory of the node")).args([
        option("expect-role", "ROLE", "Refuse the directory if its role is another")
            .value_parser(roles)
            .help_heading(expect),
        option("expect-database", "ID", "Refuse the directory if it belongs to another database").help_heading(expect),
        option("expect-node", "ID", "Refuse the directory if it belongs to another node").help_heading(expect),
    ])
}

/// The directory, or the server in its place.
fn on_node(server: bool, command: Command) -> Command {
    let address = option("addr", "HOST:PORT", "Use the server that listens there, and leave out DIR");
    if server { command.arg(address.required(true)) } else { on_directory(command).arg(address) }
}

fn init() -> Command {
    command(
        "init",
        "Make a new directory",
        "  aerodb init data\n  aerodb init data --role primary --segment-bytes 64M --table-bytes 16M",
    )
    .arg(path("DIR", "The directory; new or empty, in one that exists"))
    .args([
        option("role", "ROLE", "What the node may do; it never changes [default: standalone]")
            .value_parser(PossibleValuesParser::new(ROLES)),
        option("segment-bytes", "N", "Size of a log segment; 4K to 1G [default: 64M]"),
        option("table-bytes", "N", "Share of log that one run holds at first; 1K to 1G [default: 16M]"),
        option("block-bytes", "N", "Size of a data block; 256 to 1M [default: 4K]"),
        option("fanout", "N", "Runs of a level that merge into one; 2 to 16 [default: 4]"),
        json(),
    ])
}

fn get(server: bool) -> Command {
    let raw = Arg::new("raw").long("raw").action(ArgAction::SetTrue).conflicts_with("json");
    on_node(
        server,
        command(
            "get",
            "Print the value of a key; an absent key is key.absent",
            "  aerodb get data apple\n  aerodb get data apple --at 17\n  aerodb get data photo --raw > photo.png\n  \
         aerodb get --addr localhost:6380 apple",
        ),
    )
    .arg(key("The key, with escapes"))
    .args([at(), raw.help("Write the bytes of the value as they are, without a line end"), json()])
}

fn put(server: bool) -> Command {
    let pair = Arg::new("PAIR").value_names(["KEY", "VALUE"]).num_args(1..).required(true);
    on_node(
        server,
        command(
            "put",
            "Put values; all pairs are one commit",
            "  aerodb put data apple red\n  aerodb put data apple red plum blue\n  \
         aerodb put data photo --value-file photo.png\n  date | aerodb put data now --value-file -\n  \
         aerodb put data -- -key -value\n  aerodb put --addr localhost:6380 apple red",
        ),
    )
    .override_usage(if server { PUT_USAGE_SERVER } else { PUT_USAGE })
    .arg(pair.value_parser(value_parser!(OsString)).allow_negative_numbers(true).help("Keys and values, with escapes"))
    .args([
        option("value-file", "PATH", "Take the value of the one KEY from a file, or - for standard input, as it is")
            .value_parser(value_parser!(PathBuf)),
        json(),
    ])
}

fn del(server: bool) -> Command {
    on_node(
        server,
        command(
            "del",
            "Delete keys; all of them are one commit",
            "  aerodb del data apple\n  aerodb del data apple plum\n  aerodb del --addr localhost:6380 apple",
        ),
    )
    .arg(key("The keys, with escapes; a key that is absent may be deleted").num_args(1..))
    .arg(json())
}

fn scan(server: bool) -> Command {
    on_node(server, command(
        "scan",
        "Print keys and values in the order of the keys, with a tab in between",
        "  aerodb scan data\n  aerodb scan data --from a --to b        (a is included, b is not)\n  \
         aerodb scan data --prefix user/ --limit 10\n  aerodb scan data --at 17 --reverse --json\n  aerodb scan --addr localhost:6380",
    ))
    .args([
        bytes_option("from", "KEY", "The smallest key; included"),
        bytes_option("to", "KEY", "The end of the range; not included"),
        bytes_option("prefix", "KEY", "Only keys that begin with this").conflicts_with_all(["from", "to"]),
        option("limit", "N", "At most so many rows; at least 1 [default: all]"),
        at(),
        Arg::new("reverse").long("reverse").action(ArgAction::SetTrue).help("From the greatest key to the smallest"),
        json(),
    ])
}

fn status(server: bool) -> Command {
    on_node(server, command(
        "status",
        "Print identity, positions, floor, checkpoint and runs, as opening the directory proves them or a server tells them",
        "  aerodb status data\n  aerodb status data --json\n  aerodb status --addr localhost:6380",
    ))
    .arg(json())
}

fn explain(server: bool) -> Command {
    let key = Arg::new("KEY").value_parser(value_parser!(OsString)).allow_negative_numbers(true);
    on_node(server, command(
        "explain",
        "Explain, with the rules and their evidence, why a node is what it is",
        "  aerodb explain data                        (would it open, and if not, why)\n  aerodb explain data read apple --at 17\n  \
         aerodb explain --addr localhost:6380       (does it follow, may it be read)\n  aerodb explain --addr localhost:6380 read apple --json",
    ))
    .arg(
        Arg::new("TOPIC")
            .value_parser(PossibleValuesParser::new(Kind::ALL.iter().map(|kind| kind.name())))
            .help("What is to be explained [default: recovery of a directory, replication of a server]"),
    )
    .arg(key.help("The key of a read, with escapes"))
    .args([
        at(),
        option("at-least", "N", "Read at commit N or a later one"),
        option("on", "COMMIT,POSITION,HISTORY", "Read in the history that has this point, as AERO.LAST POINT says it"),
        json(),
    ])
}

fn checkpoint() -> Command {
    on_directory(command(
        "checkpoint",
        "Write everything into runs, so that the next start replays nothing",
        "  aerodb checkpoint data\n  aerodb checkpoint data --keep-log 1G",
    ))
    .args([
        option(
            "keep-log",
            "BYTES",
            "Drop old segments of the log, but keep at least so many bytes of it [default: all]",
        ),
        json(),
    ])
}

fn floor() -> Command {
    on_directory(command(
        "floor",
        "Raise the floor: commits below N can't be read any more, and their versions may go",
        "  aerodb floor data 17",
    ))
    .arg(
        Arg::new("N")
            .required(true)
            .allow_negative_numbers(true)
            .help("The lowest commit that can be read from now on"),
    )
    .arg(json())
}

fn wal() -> Command {
    on_directory(command(
        "wal",
        "Print the log, one line a record",
        "  aerodb wal data\n  aerodb wal data --from 4096 --to 8192\n  aerodb wal data --json",
    ))
    .before_help(
        "Columns: position, kind, commit, bytes, history at the position; then put KEY VALUE and del KEY of a commit.\n\
         Reads up to the durable end that wal/MARK states. It needs no lock and no sound store, and writes nothing.",
    )
    .args([
        option("from", "P", "The position of the first record [default: the oldest that is kept]"),
        option("to", "P", "Only records that begin before this position [default: the durable end]"),
        json(),
    ])
}

fn verify() -> Command {
    on_directory(command(
        "verify",
        "Prove every byte of log and store, or of a backup, and say what was proven",
        "  aerodb verify data\n  aerodb verify data --json\n  aerodb verify backup-1 --backup",
    ))
    .args([
        Arg::new("backup").long("backup").action(ArgAction::SetTrue).help("DIR is a backup: prove it where it lies"),
        json(),
    ])
}

fn compare() -> Command {
    command(
        "compare",
        "Say whether one log is the beginning of the other, where they part if not and what each wrote there, and whose runs are wrong",
        "  aerodb compare data copy\n  aerodb compare data backup-1 --thorough --json\n  aerodb compare localhost:6380 localhost:6381\n  \
         aerodb compare addr:localhost:6380 backup-1",
    )
    .arg(path("A", "A directory, a backup, or addr:HOST:PORT of a running node"))
    .arg(path("B", "Another of the same database"))
    .args([
        Arg::new("thorough").long("thorough").action(ArgAction::SetTrue).help("Prove every byte of both first"),
        option("scratch", "DIR", "Where a directory is made for what is replayed, and removed [default: memory, if the log is short]")
            .value_parser(value_parser!(PathBuf)),
        json(),
    ])
}

fn backup() -> Command {
    on_directory(command("backup", "Back up a directory", "  aerodb backup data backup-1"))
        .arg(path("OUT", "The backup; it must not exist"))
        .arg(json())
}

fn restore() -> Command {
    let examples = "  aerodb restore backup-1 data\n  aerodb restore backup-of-a-replica data --role primary";
    command("restore", "Make a directory from a backup, after proving it", examples)
        .arg(path("BACKUP", "The backup"))
        .arg(path("DIR", "The directory; new or empty"))
        .arg(
            option("role", "ROLE", "What the node may do [default: what the source of the backup might]")
                .value_parser(PossibleValuesParser::new(ROLES)),
        )
        .arg(json())
}

#[cfg(feature = "server")]
fn serve() -> Command {
    command(
        "serve",
        "Serve clients from a directory, which is made if it is new",
        "  aerodb serve --data data\n  aerodb serve --config /etc/aerodb/aerodb.toml --log-format json",
    )
    .args(settings::arguments())
    .arg(json())
}

#[cfg(feature = "replication")]
fn replica() -> Command {
    command(
        "replica",
        "Follow a primary: receive its log, prove it, apply it",
        "  aerodb replica --data copy --primary localhost:6381 --bootstrap snapshot\n  \
         aerodb replica --config /etc/aerodb/replica.toml --log-format json\n  \
         aerodb replica --config /etc/aerodb/replica.toml --rebootstrap history.retired@67108832",
    )
    .args(settings::arguments())
    .arg(option("rebootstrap", "CODE@POSITION", "Replace the data of a replica that this has halted by a snapshot"))
    .arg(json())
}

#[cfg(feature = "replication")]
fn resume() -> Command {
    command(
        "resume",
        "Clear what halted a replica, by its name",
        "  aerodb resume copy --clear segment.rejected@67108832",
    )
    .arg(path("DIR", "The directory of the replica"))
    .arg(option("clear", "CODE@POSITION", "The halt, as the status shows it").required(true))
    .arg(json())
}

fn config() -> Command {
    let on_settings = |name, about, examples| command(name, about, examples).args(settings::arguments());
    Command::new("config")
        .about("Check or show what a server would be started with")
        .after_help(
            "Examples:\n  aerodb config check --config aerodb.toml\n  aerodb config show --config aerodb.toml --json",
        )
        .subcommand_required(true)
        .arg(json().global(true))
        .subcommand(on_settings(
            "check",
            "Refuse settings that `serve` would refuse, whatever is in the directory",
            "  aerodb config check --config aerodb.toml",
        ))
        .subcommand(on_settings(
            "show",
            "Print every setting and where its value came from; the output can be a configuration file",
            "  aerodb config show --data data --max-clients 100",
        ))
}

fn reasons() -> Command {
    command(
        "reasons",
        "Print every reason a command can fail with: number (the exit status), code, sentence, remedy",
        "  aerodb reasons\n  aerodb reasons --json",
    )
    .arg(json())
}

fn manual() -> Command {
    command(
        "manual",
        "Print the manual page, or what completes commands in a shell",
        "  aerodb manual man | man -l -\n  aerodb manual bash > /etc/bash_completion.d/aerodb\n  aerodb manual fish | source",
    )
    .arg(
        Arg::new("FORM")
            .required(true)
            .value_parser(PossibleValuesParser::new(FORMS))
            .help("The manual page, or a shell"),
    )
}

#[cfg(feature = "replication")]
fn demo() -> Command {
    let flag = |name, help| Arg::new(name).long(name).action(ArgAction::SetTrue).help(help);
    command(
        "demo",
        "Show a primary and two replicas at work, in a temporary directory; on a terminal they stay until Ctrl-C",
        "  aerodb demo\n  aerodb demo --break corrupt      (a bit flips on the way to a replica)\n  \
         aerodb demo --break partition    (nothing comes through to a replica)\n  \
         aerodb demo --break fork         (a backup takes the place of the primary)",
    )
    .args([
        option("break", "WHAT", "Break something on purpose, and show what is refused and why")
            .value_parser(PossibleValuesParser::new(super::demo::BREAKS)),
        flag("unmended", "Leave what was broken as it is, to be looked at").requires("break"),
        flag("once", "End with the story, also on a terminal"),
        flag("wait", "Stay until Ctrl-C, also where standard output is no terminal").conflicts_with("once"),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar_is_sound_and_every_command_has_examples() {
        grammar(true).debug_assert();
        grammar(false).debug_assert();
        for command in grammar(false).get_subcommands() {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains(&format!("aerodb {}", command.get_name())), "{}", command.get_name());
        }
    }
}
