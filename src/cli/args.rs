//! What the arguments mean: numbers, sizes, identifiers, which server, and which directory is expected.
//!
//! clap has proven their shape; here words become values, or are refused by name: `cli.input` for what can't be read,
//! `config.invalid` for what can't be held. Limits are the library's: a value that can be read and held is passed on, and refused there.

use crate::cli::bytes;
use aerodb::config::{Bytes, Value, digits};
use aerodb::recovery::Options;
use aerodb::{CommitId, Error, Id, Identity, LogPoint, Reason, Result, Role, explain, recovery, wal};
use clap::ArgMatches;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

/// A command line whose words are right and whose sentence is not.
pub(crate) fn usage(problem: impl fmt::Display) -> Error {
    Error::new(Reason::CliUsage).with("problem", problem)
}

/// Whether a flag was given; not, where the command does not know it.
pub(crate) fn flag(matches: &ArgMatches, name: &str) -> bool {
    matches!(matches.try_get_one::<bool>(name), Ok(Some(true)))
}

/// A path that the grammar requires.
pub(crate) fn path<'a>(matches: &'a ArgMatches, name: &str) -> Result<&'a Path> {
    matches.get_one::<PathBuf>(name).map(PathBuf::as_path).ok_or_else(|| usage(format!("{name} is missing")))
}

/// A path, if it was given.
pub(crate) fn optional_path<'a>(matches: &'a ArgMatches, name: &str) -> Option<&'a Path> {
    matches.get_one::<PathBuf>(name).map(PathBuf::as_path)
}

/// A word, if it was given.
pub(crate) fn word<'a>(matches: &'a ArgMatches, name: &str) -> Option<&'a str> {
    matches.get_one::<String>(name).map(String::as_str)
}

/// The bytes of an argument, if it was given.
pub(crate) fn key(matches: &ArgMatches, name: &str) -> Result<Option<Vec<u8>>> {
    matches.get_one::<OsString>(name).map(|argument| bytes::unescape(argument)).transpose()
}

/// The bytes of all arguments of a name.
pub(crate) fn keys(matches: &ArgMatches, name: &str) -> Result<Vec<Vec<u8>>> {
    matches.get_many::<OsString>(name).unwrap_or_default().map(|argument| bytes::unescape(argument)).collect()
}

fn unreadable(name: &'static str, text: &str, expected: &str) -> Error {
    Error::new(Reason::CliInput)
        .with("argument", name)
        .with("value", bytes::brief(text.as_bytes()))
        .with("expected", expected)
}

/// A number, if it was given.
pub(crate) fn number(matches: &ArgMatches, name: &'static str) -> Result<Option<u64>> {
    let read = |text| digits(text).ok_or_else(|| unreadable(name, text, "a number from 0 to 18446744073709551615"));
    word(matches, name).map(read).transpose()
}

/// A CommitId, if it was given.
pub(crate) fn commit(matches: &ArgMatches, name: &'static str) -> Result<Option<CommitId>> {
    Ok(number(matches, name)?.map(CommitId))
}

/// A point of a history, if it was given.
pub(crate) fn point(matches: &ArgMatches, name: &'static str) -> Result<Option<LogPoint>> {
    let expected = "COMMIT,POSITION,HISTORY: two numbers and 16 hexadecimal digits";
    let read = |text: &str| explain::point(text.as_bytes()).ok_or_else(|| unreadable(name, text, expected));
    word(matches, name).map(read).transpose()
}

/// A number of bytes, if it was given.
pub(crate) fn size(matches: &ArgMatches, name: &'static str) -> Result<Option<u64>> {
    let expected = "a number of bytes, or of K, M or G (KiB, MiB, GiB)";
    let read = |text: &str| Bytes::read(text.as_ref()).ok_or_else(|| unreadable(name, text, expected));
    Ok(word(matches, name).map(read).transpose()?.map(|bytes| bytes.0))
}

/// A value for a parameter that has 32 bits.
pub(crate) fn narrow(name: &'static str, value: u64) -> Result<u32> {
    u32::try_from(value).map_err(|_| {
        Error::new(Reason::ConfigInvalid)
            .with("parameter", name)
            .with("value", value)
            .with("limits", format!("0..={}", u32::MAX))
    })
}

/// A role, if it was given; the grammar knows the words.
pub(crate) fn role(matches: &ArgMatches, name: &'static str) -> Result<Option<Role>> {
    let read = |text| Role::parse(text).ok_or_else(|| unreadable(name, text, "standalone, primary or replica"));
    word(matches, name).map(read).transpose()
}

fn id(matches: &ArgMatches, name: &'static str) -> Result<Option<Id>> {
    let read = |text| Id::parse(text).ok_or_else(|| unreadable(name, text, "32 hexadecimal digits"));
    word(matches, name).map(read).transpose()
}

/// Where a command works.
pub(crate) enum Place {
    /// In a directory that no process has open.
    Directory(Target),
    /// At a server that listens at this address.
    Server(String),
}

impl Place {
    /// The place of a command.
    ///
    /// # Errors
    /// `cli.input`.
    pub(crate) fn read(matches: &ArgMatches) -> Result<Place> {
        let Some(address) = word(matches, "addr") else { return Target::read(matches).map(Place::Directory) };
        self::address(address).map(|address| Place::Server(address.to_owned()))
    }
}

/// The address of a server.
///
/// # Errors
/// `cli.input`.
pub(crate) fn address(address: &str) -> Result<&str> {
    let port = address.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port);
    if port.is_none_or(|port| digits(port).is_none_or(|port| port > u64::from(u16::MAX))) {
        return Err(unreadable("addr", address, "HOST:PORT"));
    }
    Ok(address)
}

/// A directory, and whose it is expected to be.
pub(crate) struct Target {
    options: Options,
}

impl Target {
    /// The directory of a command, with its expectations.
    ///
    /// # Errors
    /// `cli.input`.
    pub(crate) fn read(matches: &ArgMatches) -> Result<Target> {
        let mut options = Options::new(path(matches, "DIR")?);
        options.role = role(matches, "expect-role")?;
        options.database_id = id(matches, "expect-database")?;
        options.node_id = id(matches, "expect-node")?;
        Ok(Target { options })
    }

    /// How it is opened.
    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    /// Whose directory it is, for commands that do not open it as a node; refused if it is another's than expected.
    ///
    /// # Errors
    /// `dir.not_found`, `backup.not_a_database`, `identity.*`, `disk.read_failed`.
    pub(crate) fn identity(&self) -> Result<Identity> {
        recovery::refuse_other_places(self.options.disk.as_ref(), &self.options.dir)?;
        let Options { disk, dir, .. } = &self.options;
        let found = Identity::read(disk.as_ref(), dir)?;
        self.expect(&found)?;
        if disk.list(&wal::directory(dir))?.unwrap_or_default().is_empty() {
            recovery::check_complete(disk.as_ref(), dir, &found)?;
        }
        Ok(found)
    }

    /// Refuses what is another's than expected.
    ///
    /// # Errors
    /// `identity.other_*`.
    pub(crate) fn expect(&self, found: &Identity) -> Result<()> {
        expect(Reason::IdentityOtherRole, self.options.role, found.role)?;
        expect(Reason::IdentityOtherDatabase, self.options.database_id, found.database_id)?;
        expect(Reason::IdentityOtherNode, self.options.node_id, found.node_id)
    }
}

fn expect<T: PartialEq + fmt::Display>(reason: Reason, expected: Option<T>, found: T) -> Result<()> {
    match expected {
        Some(expected) if expected != found => Err(Error::new(reason).with("expected", expected).with("found", found)),
        _ => Ok(()),
    }
}
