//! The settings of a server: one table, and what is given for each.
//!
//! From the table come the flags of `aerodb serve`, the keys of the configuration file, the variables of the environment, the
//! answers of `aerodb config show` and the page `docs/config.md`. What was given arrives here as [`Word`]s and leaves as a
//! [`Config`]: typed, each value with the place it came from. Flags go before the environment, that before the file, that before
//! the default. Whatever is given is read, also where something else goes before it: a value that can't be read is refused, never
//! passed over.
//!
//! Pure: who reads files and environment is the command line (`cli/settings.rs`). Deliberately absent: settings that a running
//! server changes.

use crate::error::{Error, Result};
use crate::limits;
use crate::reason::Reason;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// What every variable of the environment begins with.
const PREFIX: &str = "AERODB_";
/// So much of a value that can't be read is shown.
const SHOWN_MAX: usize = 80;

/// What a setting takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A path.
    Path,
    /// An IP address and a port.
    Address,
    /// A number of bytes.
    Bytes,
    /// A number of bytes, or `all`.
    BytesOrAll,
    /// A host and a port.
    Endpoint,
    /// A number of seconds, or `never`.
    SecondsOrNever,
    /// A number.
    Count,
    /// True or false.
    Flag,
    /// One of these words.
    Words(&'static [&'static str]),
}

impl Kind {
    /// What stands for the value in a line of help.
    #[must_use]
    pub fn placeholder(self) -> &'static str {
        match self {
            Kind::Path => "PATH",
            Kind::Address => "IP:PORT",
            Kind::Bytes => "BYTES",
            Kind::BytesOrAll => "BYTES|all",
            Kind::Endpoint => "HOST:PORT",
            Kind::SecondsOrNever => "SECONDS|never",
            Kind::Count => "N",
            Kind::Flag => "true|false",
            Kind::Words(_) => "WORD",
        }
    }

    fn expected(self) -> String {
        match self {
            Kind::Path => "a path".to_owned(),
            Kind::Address => "an IP address and a port, as 127.0.0.1:6380 or [::1]:6380".to_owned(),
            Kind::Endpoint => "a host and a port, as db1.example:6381 or [::1]:6381".to_owned(),
            Kind::SecondsOrNever => "never, or a number of seconds".to_owned(),
            Kind::Bytes => "a number of bytes, or of K, M or G (KiB, MiB, GiB), that is not negative".to_owned(),
            Kind::BytesOrAll => "all, or a number of bytes, or of K, M or G (KiB, MiB, GiB), that is not negative".to_owned(),
            Kind::Count => "a number that is not negative".to_owned(),
            Kind::Flag => "true or false".to_owned(),
            Kind::Words(words) => words.join(" or "),
        }
    }
}

/// A setting: a row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Its name: the flag without `--`, and the key in the file.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// The least and the most of a number.
    pub limits: Option<(u64, u64)>,
    /// What holds if it is not given.
    pub default: &'static str,
    /// What it is for.
    pub sentence: &'static str,
}

impl Setting {
    /// Its variable in the environment.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("{PREFIX}{}", self.name.to_ascii_uppercase().replace('-', "_"))
    }

    /// What bounds its value, in words: limits, or the words it may be; empty if nothing does.
    #[must_use]
    pub fn bounds(&self) -> String {
        let plain = matches!(self.kind, Kind::Count | Kind::SecondsOrNever);
        let show = |number| if plain { format!("{number}") } else { Bytes(number).show() };
        match (self.kind, self.limits) {
            (Kind::Words(words), _) => words.join(", "),
            (_, Some((min, max))) => format!("{} to {}", show(min), show(max)),
            (_, None) => String::new(),
        }
    }
}

/// Where a value came from. The lesser goes before the greater.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// The command line.
    Flag,
    /// This variable of the environment.
    Environment(String),
    /// The configuration file.
    File(PathBuf, usize),
    /// Nothing was given.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Flag => f.write_str("flag"),
            Origin::Environment(variable) => write!(f, "environment {variable}"),
            Origin::File(file, line) => write!(f, "{}:{line}", file.display()),
            Origin::Default => f.write_str("default"),
        }
    }
}

/// What somebody gave for a setting, not read yet.
#[derive(Clone, Debug)]
pub struct Word {
    /// The name of the setting.
    pub setting: &'static str,
    /// What was given.
    pub text: OsString,
    /// Where.
    pub origin: Origin,
}

/// The setting of this name, which stands at this place.
///
/// # Errors
/// `config.unknown`.
pub fn find(name: &str, origin: &Origin) -> Result<&'static Setting> {
    let unknown = || Error::new(Reason::ConfigUnknown).with("name", brief(name.as_ref())).with("origin", origin);
    SETTINGS.iter().find(|setting| setting.name == name).ok_or_else(unknown)
}

/// The words among the variables of the environment.
///
/// # Errors
/// `config.unknown` for a variable that begins like ours and is no setting.
pub fn environment(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Result<Vec<Word>> {
    let read = |(name, text): (OsString, OsString)| {
        let variable = name.to_str().unwrap_or_default();
        let Some(setting) = SETTINGS.iter().find(|setting| setting.variable() == variable) else {
            return Err(Error::new(Reason::ConfigUnknown).with("name", brief(&name)).with("origin", "environment"));
        };
        Ok(Word { setting: setting.name, text, origin: Origin::Environment(setting.variable()) })
    };
    variables.into_iter().filter(|(name, _)| name.to_string_lossy().starts_with(PREFIX)).map(read).collect()
}

/// A value, and where it came from.
#[derive(Clone, Debug)]
pub struct Given<T> {
    /// The value.
    pub value: T,
    /// Where it came from.
    pub origin: Origin,
}

/// A setting as it holds, for people and scripts.
#[derive(Clone, Debug)]
pub struct Shown<'a> {
    /// The setting.
    pub setting: Setting,
    /// Its value in the form in which it can be given; empty if it is not set.
    pub value: String,
    /// Where that came from.
    pub origin: &'a Origin,
}

/// A type that a setting can have.
pub trait Value: Sized {
    /// What it takes.
    const KIND: Kind;

    /// Reads what was given; `None` if it can't be read.
    fn read(text: &OsStr) -> Option<Self>;

    /// What is shown: the same that can be given.
    fn show(&self) -> String;

    /// The number that the limits are for.
    fn number(&self) -> Option<u64> {
        None
    }
}

/// A number of bytes, in words with a unit of 1024.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes(pub u64);

/// How much of the log is kept behind the checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retained {
    /// All of it.
    All,
    /// At least so many bytes.
    Bytes(u64),
}

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint(pub String);

/// After how many seconds a lost connection is made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// Never.
    Never,
    /// After so many.
    Seconds(u32),
}

impl Value for Endpoint {
    const KIND: Kind = Kind::Endpoint;

    fn read(text: &OsStr) -> Option<Endpoint> {
        let text = text.to_str()?;
        let (host, port) = text.rsplit_once(':')?;
        let port = digits(port).filter(|port| (1..=65535).contains(port));
        let host_is_one = !host.is_empty() && !host.chars().any(|character| character.is_whitespace() || character.is_control());
        let bracketed = !host.contains(':') || (host.starts_with('[') && host.ends_with(']'));
        (port.is_some() && host_is_one && bracketed).then(|| Endpoint(text.to_owned()))
    }

    fn show(&self) -> String {
        self.0.clone()
    }
}

impl Value for Again {
    const KIND: Kind = Kind::SecondsOrNever;

    fn read(text: &OsStr) -> Option<Again> {
        if text == "never" { Some(Again::Never) } else { u32::read(text).map(Again::Seconds) }
    }

    fn show(&self) -> String {
        match self {
            Again::Never => "never".to_owned(),
            Again::Seconds(seconds) => seconds.to_string(),
        }
    }

    fn number(&self) -> Option<u64> {
        match self {
            Again::Never => None,
            Again::Seconds(seconds) => Some(u64::from(*seconds)),
        }
    }
}

/// Digits only: no sign, no space.
#[must_use]
pub fn digits(text: &str) -> Option<u64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

impl Value for Bytes {
    const KIND: Kind = Kind::Bytes;

    fn read(text: &OsStr) -> Option<Bytes> {
        let text = text.to_str()?;
        let unit_at = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(unit_at);
        let unit = match unit.to_ascii_lowercase().as_str() {
            "" => 1,
            "k" | "kib" => 1 << 10,
            "m" | "mib" => 1 << 20,
            "g" | "gib" => 1 << 30,
            _ => return None,
        };
        digits(number)?.checked_mul(unit).map(Bytes)
    }

    fn show(&self) -> String {
        let units = [(30, "G"), (20, "M"), (10, "K")];
        let whole = |(shift, _): &&(u32, &str)| self.0 > 0 && self.0.trailing_zeros() >= *shift;
        let (shift, unit) = units.iter().find(whole).copied().unwrap_or((0, ""));
        format!("{}{unit}", self.0 >> shift)
    }

    fn number(&self) -> Option<u64> {
        Some(self.0)
    }
}

impl Value for Retained {
    const KIND: Kind = Kind::BytesOrAll;

    fn read(text: &OsStr) -> Option<Retained> {
        if text == "all" { Some(Retained::All) } else { Bytes::read(text).map(|bytes| Retained::Bytes(bytes.0)) }
    }

    fn show(&self) -> String {
        match self {
            Retained::All => "all".to_owned(),
            Retained::Bytes(bytes) => Bytes(*bytes).show(),
        }
    }
}

impl Value for u32 {
    const KIND: Kind = Kind::Count;

    fn read(text: &OsStr) -> Option<u32> {
        digits(text.to_str()?)?.try_into().ok()
    }

    fn show(&self) -> String {
        self.to_string()
    }

    fn number(&self) -> Option<u64> {
        Some(u64::from(*self))
    }
}

impl Value for bool {
    const KIND: Kind = Kind::Flag;

    fn read(text: &OsStr) -> Option<bool> {
        text.to_str()?.parse().ok()
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for SocketAddr {
    const KIND: Kind = Kind::Address;

    fn read(text: &OsStr) -> Option<SocketAddr> {
        text.to_str()?.parse().ok()
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl Value for PathBuf {
    const KIND: Kind = Kind::Path;

    fn read(text: &OsStr) -> Option<PathBuf> {
        (!text.is_empty()).then(|| PathBuf::from(text))
    }

    fn show(&self) -> String {
        self.display().to_string()
    }
}

macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$word_meta:meta])* $variant:ident $word:literal)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$word_meta])* $variant,)*
        }

        impl Value for $name {
            const KIND: Kind = Kind::Words(&[$($word),*]);

            fn read(text: &OsStr) -> Option<$name> {
                match text.to_str()? {
                    $($word => Some($name::$variant),)*
                    _ => None,
                }
            }

            fn show(&self) -> String {
                match self {
                    $($name::$variant => $word.to_owned(),)*
                }
            }
        }
    };
}

words! {
    /// How the directory of a new replica may be filled.
    Bootstrap {
        /// With a snapshot of the primary's checkpoint, and the log behind it.
        Snapshot "snapshot"
        /// With the whole log, from its first byte on.
        Log "log"
        /// Not at all: it has to be there.
        Never "never"
    }
}

words! {
    /// How a line of the log looks.
    LogFormat {
        /// For people.
        Text "text"
        /// One object a line.
        Json "json"
    }
}

words! {
    /// The least important lines that are logged.
    LogLevel {
        /// What failed.
        Error "error"
        /// What went on in spite of something.
        Warn "warn"
        /// What an operator wants to know.
        Info "info"
        /// Every transition of every component.
        Debug "debug"
        /// Everything.
        Trace "trace"
    }
}

/// A value that may be left open: given as nothing, it is not set.
impl<T: Value> Value for Option<T> {
    const KIND: Kind = T::KIND;

    fn read(text: &OsStr) -> Option<Option<T>> {
        if text.is_empty() { Some(None) } else { T::read(text).map(Some) }
    }

    fn show(&self) -> String {
        self.as_ref().map_or_else(String::new, T::show)
    }

    fn number(&self) -> Option<u64> {
        self.as_ref().and_then(T::number)
    }
}

macro_rules! settings {
    ($($field:ident $name:literal $kind:ty, $default:literal, $limits:expr, $sentence:literal)*) => {
        /// Every setting, in the order in which they are shown.
        pub const SETTINGS: &[Setting] = &[$(settings!(@row $name $kind, $default, $limits, $sentence)),*];

        /// The value of every setting.
        #[derive(Clone, Debug)]
        pub struct Config {
            $(#[doc = $sentence] pub $field: Given<$kind>,)*
        }

        impl Config {
            /// Reads everything that was given.
            ///
            /// # Errors
            /// `config.malformed`, `config.invalid`.
            pub fn read(words: &[Word]) -> Result<Config> {
                Ok(Config { $($field: settings!(@row $name $kind, $default, $limits, $sentence).given(words)?,)* })
            }

            /// Every setting as it holds.
            #[must_use]
            pub fn shown(&self) -> Vec<Shown<'_>> {
                vec![$(Shown {
                    setting: settings!(@row $name $kind, $default, $limits, $sentence),
                    value: self.$field.value.show(),
                    origin: &self.$field.origin,
                }),*]
            }
        }
    };
    (@row $name:literal $kind:ty, $default:literal, $limits:expr, $sentence:literal) => {
        Setting { name: $name, kind: <$kind as Value>::KIND, limits: $limits, default: $default, sentence: $sentence }
    };
}

settings! {
    data "data" Option<PathBuf>, "", None,
        "The directory of the node. `serve` needs it, and makes it if it is new; its parent exists."
    listen "listen" SocketAddr, "127.0.0.1:6380", None,
        "Where clients connect. Port 0 lets the operating system choose one."
    remote "allow-remote-without-authentication" bool, "false", None,
        "Listen elsewhere than on loopback, for clients, replicas and HTTP. There is no authentication yet: whoever reaches the address reads everything, and clients write everything."
    replication "replication" Option<SocketAddr>, "", None,
        "Where replicas connect; the directory must be that of a primary, and a new one is made so. Port 0 lets the operating system choose one."
    http "http" Option<SocketAddr>, "", None,
        "Where the node shows itself over HTTP, to be read only; without it, it does not. Port 0 lets the operating system choose one."
    serve_rate "serve-rate" Option<Bytes>, "", Some(limits::SERVE_RATE_BYTES),
        "For a primary: most bytes in a second of all snapshots that it sends; without it they take what the turns of its loop allow."
    primary "primary" Option<Endpoint>, "", None,
        "For a replica: where its primary listens for replicas. `replica` needs it."
    reconnect "reconnect" Again, "1", Some(limits::RECONNECT_SECONDS),
        "For a replica: after how many seconds a lost connection is made again."
    bootstrap "bootstrap" Bootstrap, "never", None,
        "For a replica: how a new directory may be filled: with a snapshot, with the whole log, or not at all. Data that is there is kept."
    max_clients "max-clients" u32, "10000", Some(limits::CLIENTS),
        "Most connections of clients; the next one is refused. Each needs an open file."
    client_memory "client-memory" Bytes, "256M", Some(limits::CLIENT_MEMORY_BYTES),
        "Memory for the buffers of all connections; past it the one that holds most is closed."
    tcp_keepalive "tcp-keepalive" u32, "300", Some(limits::KEEPALIVE_SECONDS),
        "Seconds of silence after which the operating system tries whether a client, a replica or the primary is still there; a dead connection ends, and so does that of a replica which takes nothing for twice as long. 0: never."
    cache_bytes "cache-bytes" Bytes, "64M", None,
        "Memory for blocks that were read from runs."
    pinned_bytes "pinned-bytes" Bytes, "4G", None,
        "What old views may keep from being removed; past it the oldest is revoked."
    retention "retention" Retained, "all", None,
        "How much of the log is kept behind the checkpoint: all, or at least so many bytes."
    log_level "log-level" LogLevel, "info", None,
        "The least important lines that are logged."
    log_format "log-format" LogFormat, "text", None,
        "How a line of the log looks."
    segment_bytes "segment-bytes" Bytes, "64M", Some(limits::SEGMENT_BYTES),
        "For a new directory: size of a log segment."
    table_bytes "table-bytes" Bytes, "16M", Some(limits::TABLE_BYTES),
        "For a new directory: share of log that one run holds at first."
    block_bytes "block-bytes" Bytes, "4K", Some((limits::BLOCK_BYTES.0 as u64, limits::BLOCK_BYTES.1 as u64)),
        "For a new directory: size of a data block."
    fanout "fanout" u32, "4", Some((limits::FANOUT.0 as u64, limits::FANOUT.1 as u64)),
        "For a new directory: runs of a level that merge into one."
}

impl Setting {
    /// Its value, by what was given and by the default.
    fn given<T: Value>(&self, words: &[Word]) -> Result<Given<T>> {
        let default = Word { setting: self.name, text: self.default.into(), origin: Origin::Default };
        let mut given = self.read(&default)?;
        for word in words.iter().filter(|word| word.setting == self.name) {
            let other = self.read(word)?;
            if other.origin < given.origin {
                given = other;
            }
        }
        Ok(given)
    }

    fn read<T: Value>(&self, word: &Word) -> Result<Given<T>> {
        let refused = |reason| {
            let value = brief(&word.text);
            Error::new(reason).with("setting", self.name).with("value", value).with("origin", &word.origin)
        };
        let Some(value) = T::read(&word.text) else {
            return Err(refused(Reason::ConfigMalformed).with("expected", self.kind.expected()));
        };
        match (value.number(), self.limits) {
            (Some(number), Some((min, max))) if !(min..=max).contains(&number) => {
                Err(refused(Reason::ConfigInvalid).with("limits", self.bounds()))
            }
            _ => Ok(Given { value, origin: word.origin.clone() }),
        }
    }
}

impl Config {
    /// Refuses what a replica can't be started with, whatever it finds in the directory; where its primary is.
    ///
    /// # Errors
    /// `config.missing`, `config.invalid`, `config.no_authentication`.
    pub fn check_replica(&self) -> Result<&str> {
        self.directory()?;
        if let Some(address) = self.replication.value {
            let refused = Error::new(Reason::ConfigInvalid).with("setting", "replication").with("value", address);
            return Err(refused.with("origin", &self.replication.origin).with("role", "replica"));
        }
        self.check_addresses()?;
        let primary = self.primary.value.as_ref();
        primary.map(|primary| primary.0.as_str()).ok_or_else(|| Error::new(Reason::ConfigMissing).with("setting", "primary"))
    }

    /// Refuses what a server can't be started with, whatever it finds in the directory.
    ///
    /// # Errors
    /// `config.missing`, `config.no_authentication`, `role.compiled_out`.
    pub fn check(&self) -> Result<()> {
        self.directory()?;
        if cfg!(not(feature = "replication")) && self.replication.value.is_some() {
            let refused = Error::new(Reason::RoleCompiledOut).with("setting", "replication");
            return Err(refused.with("origin", &self.replication.origin));
        }
        self.check_addresses()
    }

    fn check_addresses(&self) -> Result<()> {
        let Config { listen, replication, http, .. } = self;
        let addresses = [
            ("listen", Some(listen.value), &listen.origin),
            ("replication", replication.value, &replication.origin),
            ("http", http.value, &http.origin),
        ];
        for (setting, address, origin) in addresses {
            let Some(address) = address.filter(|address| !address.ip().is_loopback() && !self.remote.value) else {
                continue;
            };
            let refused = Error::new(Reason::ConfigNoAuthentication).with("setting", setting);
            return Err(refused.with("value", address).with("origin", origin));
        }
        Ok(())
    }

    /// The directory of the node.
    ///
    /// # Errors
    /// `config.missing`.
    pub fn directory(&self) -> Result<&Path> {
        self.data.value.as_deref().ok_or_else(|| Error::new(Reason::ConfigMissing).with("setting", "data"))
    }
}

/// The beginning of a text that may be long.
fn brief(text: &OsStr) -> String {
    let text = text.to_string_lossy();
    let mut shown: String = text.chars().take(SHOWN_MAX).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(name: &str, text: &str, origin: Origin) -> Word {
        Word { setting: find(name, &origin).unwrap().name, text: text.into(), origin }
    }

    fn refused(words: &[Word]) -> Error {
        Config::read(words).unwrap_err()
    }

    #[test]
    fn every_default_can_be_read_is_shown_as_it_stands_and_is_accepted_with_a_directory() {
        let config = Config::read(&[]).unwrap();
        for shown in config.shown() {
            assert_eq!(shown.value, shown.setting.default, "{}", shown.setting.name);
            assert_eq!(*shown.origin, Origin::Default);
        }
        assert_eq!(config.check().unwrap_err().reason(), Reason::ConfigMissing);
        Config::read(&[word("data", "d", Origin::Flag)]).unwrap().check().unwrap();
    }

    #[test]
    fn flags_go_before_the_environment_and_that_before_the_file_in_whatever_order_they_come() {
        let words = [
            word("max-clients", "3", Origin::File("f".into(), 7)),
            word("max-clients", "1", Origin::Flag),
            word("max-clients", "2", Origin::Environment("AERODB_MAX_CLIENTS".into())),
        ];
        let holds = |words: &[Word]| {
            let given = Config::read(words).unwrap().max_clients;
            (given.value, given.origin.to_string())
        };
        assert_eq!(holds(&words), (1, "flag".to_owned()));
        assert_eq!(holds(&[words[0].clone(), words[2].clone()]), (2, "environment AERODB_MAX_CLIENTS".to_owned()));
        assert_eq!(holds(&words[..1]), (3, "f:7".to_owned()));
        assert_eq!(holds(&[]), (10_000, "default".to_owned()));
    }

    #[test]
    fn what_goes_behind_is_read_too_and_refused_where_it_can_not_be() {
        let wrong = word("listen", "localhost:1", Origin::File("f".into(), 2));
        let error = refused(&[word("listen", "127.0.0.1:1", Origin::Flag), wrong]);
        assert_eq!(error.reason(), Reason::ConfigMalformed);
        assert_eq!((error.fact("setting"), error.fact("origin")), (Some("listen"), Some("f:2")));
    }

    #[test]
    fn each_kind_refuses_what_is_not_of_it_and_numbers_have_limits() {
        let malformed = [
            ("listen", ""),
            ("listen", "127.0.0.1"),
            ("listen", "127.0.0.1:65536"),
            ("replication", "6381"),
            ("allow-remote-without-authentication", "yes"),
            ("max-clients", "1K"),
            ("max-clients", "+1"),
            ("max-clients", "4294967296"),
            ("client-memory", "1.5M"),
            ("retention", "none"),
            ("log-level", "INFO"),
            ("log-format", "xml"),
        ];
        for (name, text) in malformed {
            assert_eq!(refused(&[word(name, text, Origin::Flag)]).reason(), Reason::ConfigMalformed, "{name} {text}");
        }
        for (name, text) in [("max-clients", "0"), ("segment-bytes", "1K"), ("table-bytes", "2G"), ("fanout", "17")] {
            let error = refused(&[word(name, text, Origin::Flag)]);
            assert_eq!(error.reason(), Reason::ConfigInvalid, "{name} {text}");
            assert!(error.fact("limits").is_some_and(|limits| limits.contains(" to ")), "{error}");
        }
        let long = refused(&[word("log-level", &"x".repeat(1 << 16), Origin::Flag)]);
        assert!(long.to_string().len() < 400, "{}", long.to_string().len());
    }

    #[test]
    fn names_that_are_no_setting_are_refused() {
        let unknown = |result: Result<()>| assert_eq!(result.unwrap_err().reason(), Reason::ConfigUnknown);
        unknown(find("max_clients", &Origin::Flag).map(drop));
        let variables = |name: &str| vec![(OsString::from("PATH"), OsString::from("x")), (name.into(), "1".into())];
        unknown(environment(variables("AERODB_MAX_CLIENT")).map(drop));
        unknown(environment(variables("AERODB_MAX-CLIENTS")).map(drop));
        let words = environment(variables("AERODB_MAX_CLIENTS")).unwrap();
        assert_eq!(Config::read(&words).unwrap().max_clients.value, 1);
    }

    #[test]
    fn an_optional_setting_is_unset_by_an_empty_value() {
        let file = word("replication", "127.0.0.1:6381", Origin::File("f".into(), 1));
        let data = word("data", "d", Origin::Flag);
        let config = Config::read(&[data.clone(), file.clone()]).unwrap();
        assert!(config.replication.value.is_some());
        let config = Config::read(&[data, file, word("replication", "", Origin::Flag)]).unwrap();
        assert_eq!(config.replication.value, None);
    }

    /// There is no authentication: an address that others reach needs the word of whoever starts it.
    #[test]
    fn another_address_than_loopback_needs_the_flag_that_says_so() {
        let check = |setting: &str, address: &str, remote: &str| {
            let words = [
                word("data", "d", Origin::Flag),
                word(setting, address, Origin::Flag),
                word("allow-remote-without-authentication", remote, Origin::Flag),
            ];
            Config::read(&words).unwrap().check().map_err(|error| error.reason())
        };
        for setting in if cfg!(feature = "replication") { &["listen", "replication"][..] } else { &["listen"] } {
            for loopback in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1"] {
                assert_eq!(check(setting, loopback, "false"), Ok(()));
            }
            for other in ["0.0.0.0:1", "[::]:1", "192.0.2.1:1", "[::ffff:192.0.2.1]:1"] {
                assert_eq!(check(setting, other, "false"), Err(Reason::ConfigNoAuthentication), "{setting} {other}");
                assert_eq!(check(setting, other, "true"), Ok(()));
            }
        }
    }

    #[test]
    fn sizes_have_binary_units_and_do_not_overflow() {
        let read = |text: &str| Bytes::read(text.as_ref()).map(|bytes| bytes.0);
        assert_eq!(read("4096"), Some(4096));
        assert_eq!(read("4K"), Some(4096));
        assert_eq!(read("64MiB"), Some(64 << 20));
        assert_eq!(read("1gib"), Some(1 << 30));
        for wrong in ["", "K", "-1", "+1", "1.5M", "1KB", "1 K", "18446744073709551616", "17179869184G"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        for (bytes, shown) in [(0, "0"), (1, "1"), (1024, "1K"), (1025, "1025"), (3 << 20, "3M"), (1 << 40, "1024G")] {
            assert_eq!((Bytes(bytes).show(), read(shown)), (shown.to_owned(), Some(bytes)));
        }
    }
}
