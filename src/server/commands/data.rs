//! Commands on keys, written once: over whatever can look a key up.
//!
//! * On the loop a read looks into the newest commit, or into a view.
//! * In a decision of the committer reads and writes go through a [`Transaction`]: a command sees what the ones before it wrote, and what
//!   all of them wrote is one batch in the end, or none (RESP-ATOMIC).
//!
//! An error of one command is its reply and the others go on, as in Redis. An error of the store, or a batch that is too large, is an
//! error of all.

use crate::batch::{self, Batch};
use crate::commit_id::CommitId;
use crate::committer::Latest;
use crate::error::{Error, Result};
use crate::limits;
use crate::reason::Reason;
use crate::resp::Out;
use crate::server::commands::{SYNTAX_ERROR, Words, refusal};
use crate::server::deposit::Room;
use crate::store::{Newest, View};
use std::collections::BTreeMap;

/// Where keys are looked up.
pub trait Lookup {
    /// What the value of a key shows, once.
    ///
    /// # Errors
    /// Those of the store, or of the view.
    fn look<R>(&mut self, key: &[u8], show: impl FnMut(&[u8]) -> R) -> Result<Option<R>>;

    /// Whether a reply of so many bytes may be made.
    ///
    /// # Errors
    /// `reply.too_large`.
    fn check_room(&self, _reply_bytes: usize) -> Result<()> {
        Ok(())
    }
}

impl Lookup for Newest<'_> {
    fn look<R>(&mut self, key: &[u8], show: impl FnMut(&[u8]) -> R) -> Result<Option<R>> {
        Newest::look(self, key, show)
    }
}

impl Lookup for View {
    fn look<R>(&mut self, key: &[u8], show: impl FnMut(&[u8]) -> R) -> Result<Option<R>> {
        View::look(self, key, show)
    }
}

/// What a decision reads, and what it is going to write. Others' commits wait meanwhile, so what it may look at is bounded.
pub struct Transaction<'a, 'l> {
    latest: &'a Latest<'l>,
    room: &'a Room,
    /// Keys that were looked up.
    keys: usize,
    /// Bytes of their values.
    bytes: usize,
    /// The last operation on each key.
    written: BTreeMap<&'a [u8], Option<&'a [u8]>>,
}

impl<'a, 'l> Transaction<'a, 'l> {
    /// A transaction on the newest state, whose reply has to fit into this room.
    #[must_use]
    pub fn new(latest: &'a Latest<'l>, room: &'a Room) -> Transaction<'a, 'l> {
        Transaction { latest, room, keys: 0, bytes: 0, written: BTreeMap::new() }
    }

    /// Whether a commit after this one wrote the key.
    ///
    /// # Errors
    /// Those of the store; `decision.too_large`.
    pub fn changed_since(&mut self, key: &[u8], commit: CommitId) -> Result<bool> {
        let (changed, bytes) = self.latest.changed_since(key, commit)?;
        self.count(bytes)?;
        Ok(changed)
    }

    /// What was written, as one batch; `None` if nothing was.
    ///
    /// # Errors
    /// `batch.too_large`.
    pub fn batch(&self) -> Result<Option<Batch>> {
        let mut batch = Batch::new();
        for (key, value) in &self.written {
            match value {
                Some(value) => batch.put(key, value)?,
                None => batch.delete(key)?,
            }
        }
        Ok(if batch.is_empty() { None } else { Some(batch) })
    }

    fn exists(&mut self, key: &[u8]) -> Result<bool> {
        Ok(self.look(key, |_| ())?.is_some())
    }

    /// Counts a key that was looked up, and the bytes of its value: those that were not copied may have been read from the disk.
    fn count(&mut self, bytes: usize) -> Result<()> {
        self.keys = self.keys.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes);
        if self.keys <= limits::DECISION_KEYS_MAX && self.bytes <= limits::DECISION_BYTES_MAX {
            return Ok(());
        }
        Err(Error::new(Reason::DecisionTooLarge).with("keys", self.keys).with("bytes", self.bytes))
    }

    fn put(&mut self, pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>) {
        self.written.extend(pairs.map(|(key, value)| (key, Some(value))));
    }
}

impl Lookup for Transaction<'_, '_> {
    fn look<R>(&mut self, key: &[u8], mut show: impl FnMut(&[u8]) -> R) -> Result<Option<R>> {
        let mut bytes = 0;
        let show = |value: &[u8]| {
            bytes = value.len();
            show(value)
        };
        let shown = match self.written.get(key) {
            Some(value) => value.map(show),
            None => self.latest.look(key, show)?,
        };
        self.count(bytes)?;
        Ok(shown)
    }

    fn check_room(&self, reply_bytes: usize) -> Result<()> {
        self.room.check(reply_bytes)
    }
}

/// How far a read of many keys has come.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    keys: usize,
    found: usize,
    /// Bytes of their values.
    pub read_bytes: usize,
}

/// How much is done before others have their turn.
#[derive(Clone, Copy, Debug)]
pub struct Slice {
    /// Keys that may still be looked at.
    pub keys: usize,
    /// Bytes of values that may still be read, whether they are replied or not.
    pub read_bytes: usize,
    /// The output ends the slice when it is this long.
    pub output_bytes: usize,
}

impl Slice {
    /// As much as there is.
    pub const ALL: Slice = Slice { keys: usize::MAX, read_bytes: usize::MAX, output_bytes: usize::MAX };

    /// A turn of the loop; so many bytes are there already.
    #[must_use]
    pub fn turn(output_bytes: usize) -> Slice {
        Slice {
            keys: limits::TURN_KEYS,
            read_bytes: limits::TURN_BYTES,
            output_bytes: output_bytes.saturating_add(limits::TURN_BYTES),
        }
    }

    /// Counts a key and the bytes of its value, and says whether another may follow.
    pub fn count(&mut self, read_bytes: usize, output_bytes: usize) -> bool {
        self.keys = self.keys.saturating_sub(1);
        self.read_bytes = self.read_bytes.saturating_sub(read_bytes);
        self.keys > 0 && self.read_bytes > 0 && output_bytes < self.output_bytes
    }
}

/// A command on keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Data {
    /// GET.
    Get,
    /// MGET.
    Mget,
    /// EXISTS.
    Exists,
    /// STRLEN.
    Strlen,
    /// TYPE.
    Type,
    /// SET.
    Set,
    /// SETNX.
    Setnx,
    /// GETDEL.
    Getdel,
    /// DEL and UNLINK.
    Del,
    /// MSET.
    Mset,
    /// MSETNX.
    Msetnx,
}

impl Data {
    /// Whether it may write.
    #[must_use]
    pub fn writes(self) -> bool {
        match self {
            Data::Get | Data::Mget | Data::Exists | Data::Strlen | Data::Type => false,
            Data::Set | Data::Setnx | Data::Getdel | Data::Del | Data::Mset | Data::Msetnx => true,
        }
    }

    /// What it commits, if that does not depend on what the keys hold: the commonest writes need no decision.
    #[must_use]
    pub fn plain(self, words: Words<'_>) -> Option<std::result::Result<Batch, String>> {
        let is_plain = matches!((self, words.len()), (Data::Mset, _) | (Data::Set, 3));
        if !is_plain {
            return None;
        }
        let commit = || {
            let pairs = pairs(self, words)?;
            let bytes = words.iter().skip(1).map(<[u8]>::len).sum::<usize>();
            let mut batch = Batch::with_capacity(pairs.clone().count(), bytes);
            for (key, value) in pairs {
                batch.put(key, value).map_err(|error| refusal(&error))?;
            }
            Ok(batch)
        };
        Some(commit())
    }

    /// Carries out a read; returns the bytes of the values that it looked at.
    ///
    /// # Errors
    /// Those of the lookup; the output may hold a part of the reply.
    pub fn read(self, words: Words<'_>, lookup: &mut impl Lookup, out: &mut Out<'_>) -> Result<usize> {
        let mut progress = Progress::default();
        self.read_on(words, &mut progress, &mut { Slice::ALL }, lookup, out)?;
        Ok(progress.read_bytes)
    }

    /// Goes on with a read; says whether it is at its end.
    ///
    /// # Errors
    /// Those of the lookup; the output may hold a part of the reply.
    pub fn read_on(
        self,
        words: Words<'_>,
        progress: &mut Progress,
        slice: &mut Slice,
        lookup: &mut impl Lookup,
        out: &mut Out<'_>,
    ) -> Result<bool> {
        if self == Data::Mget && progress.keys == 0 {
            out.array(words.len().saturating_sub(1));
        }
        loop {
            progress.keys = progress.keys.saturating_add(1);
            let Some(key) = words.get(progress.keys) else { break };
            let replies_value = matches!(self, Data::Get | Data::Mget);
            let found = lookup.look(key, |value| {
                if replies_value {
                    out.bulk(value);
                }
                value.len()
            })?;
            if replies_value && found.is_none() {
                out.null();
            }
            let bytes = found.unwrap_or(0);
            progress.found = progress.found.saturating_add(usize::from(found.is_some()));
            progress.read_bytes = progress.read_bytes.saturating_add(bytes);
            match self {
                Data::Strlen => out.count(bytes),
                Data::Type => out.simple(if found.is_some() { "string" } else { "none" }),
                Data::Get | Data::Mget | Data::Exists => {}
                Data::Set | Data::Setnx | Data::Getdel | Data::Del | Data::Mset | Data::Msetnx => {}
            }
            lookup.check_room(out.len())?;
            if !slice.count(bytes, out.len()) {
                return Ok(false);
            }
        }
        if self == Data::Exists {
            out.count(progress.found);
        }
        Ok(true)
    }

    /// Carries out a read or a write in a transaction.
    ///
    /// # Errors
    /// Those of the store; `reply.too_large`, `decision.too_large`.
    pub fn run<'a>(self, words: Words<'a>, transaction: &mut Transaction<'a, '_>, out: &mut Out<'_>) -> Result<()> {
        if !self.writes() {
            return self.read(words, transaction, out).map(|_| ());
        }
        if let Err(text) = self.write(words, transaction, out)? {
            out.error(&text);
        }
        Ok(())
    }

    /// Carries out a write; what is wrong with the request itself is the inner error.
    fn write<'a>(
        self,
        words: Words<'a>,
        transaction: &mut Transaction<'a, '_>,
        out: &mut Out<'_>,
    ) -> Result<std::result::Result<(), String>> {
        let key = words.at(1);
        match self {
            Data::Set => {
                let (options, pairs) = match SetOptions::of(words).and_then(|options| Ok((options, pairs(self, words)?))) {
                    Ok(parsed) => parsed,
                    Err(text) => return Ok(Err(text)),
                };
                let before = if options.looks() { transaction.look(key, <[u8]>::to_vec)? } else { None };
                let sets = options.when.is_none_or(|when| (when == When::Present) == before.is_some());
                if sets {
                    transaction.put(pairs);
                }
                match (options.get, sets) {
                    (true, _) => out.bulk_or_null(before.as_deref()),
                    (false, true) => out.ok(),
                    (false, false) => out.null(),
                }
            }
            Data::Mset | Data::Setnx | Data::Msetnx => {
                let pairs = match pairs(self, words) {
                    Ok(pairs) => pairs,
                    Err(text) => return Ok(Err(text)),
                };
                let mut sets = true;
                if self != Data::Mset {
                    for (key, _) in pairs.clone() {
                        sets = sets && !transaction.exists(key)?;
                    }
                }
                if sets {
                    transaction.put(pairs);
                }
                if self == Data::Mset {
                    out.ok();
                } else {
                    out.integer(i64::from(sets));
                }
            }
            Data::Getdel => {
                let before = transaction.look(key, <[u8]>::to_vec)?;
                if before.is_some() {
                    transaction.written.insert(key, None);
                }
                out.bulk_or_null(before.as_deref());
            }
            Data::Del => {
                let mut deleted = 0_usize;
                for key in words.iter().skip(1) {
                    if transaction.exists(key)? {
                        transaction.written.insert(key, None);
                        deleted = deleted.saturating_add(1);
                    }
                }
                out.count(deleted);
            }
            Data::Get | Data::Mget | Data::Exists | Data::Strlen | Data::Type => {}
        }
        Ok(Ok(()))
    }
}

/// The keys and values that a command puts, each of a length that can be stored.
fn pairs(
    data: Data,
    words: Words<'_>,
) -> std::result::Result<impl Iterator<Item = (&[u8], &[u8])> + Clone, String> {
    let many = matches!(data, Data::Mset | Data::Msetnx);
    let last = if many { words.len() } else { 3 };
    if last % 2 == 0 {
        let name = if data == Data::Mset { "mset" } else { "msetnx" };
        return Err(format!("ERR wrong number of arguments for '{name}' command"));
    }
    let pairs = (1..last).step_by(2).map(move |at| (words.at(at), words.at(at.saturating_add(1))));
    for (key, value) in pairs.clone() {
        batch::check(key, value).map_err(|error| refusal(&error))?;
    }
    Ok(pairs)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Absent,
    Present,
}

/// What stands behind the value of a SET.
#[derive(Clone, Copy, Debug, Default)]
struct SetOptions {
    when: Option<When>,
    get: bool,
}

impl SetOptions {
    fn of(words: Words<'_>) -> std::result::Result<SetOptions, String> {
        let mut options = SetOptions::default();
        let mut expiry = None;
        let mut at = 3;
        while at < words.len() {
            let takes_time = ["EX", "PX", "EXAT", "PXAT"].into_iter().find(|option| words.is(at, option));
            let keeps_time = Some("KEEPTTL").filter(|option| words.is(at, option));
            if words.is(at, "NX") && options.when != Some(When::Present) {
                options.when = Some(When::Absent);
            } else if words.is(at, "XX") && options.when != Some(When::Absent) {
                options.when = Some(When::Present);
            } else if words.is(at, "GET") {
                options.get = true;
            } else if keeps_time.is_some() && expiry.is_none_or(|expiry| Some(expiry) == keeps_time) {
                expiry = keeps_time;
            } else if takes_time.is_some() && expiry.is_none() && at.saturating_add(1) < words.len() {
                expiry = takes_time;
                at = at.saturating_add(1);
            } else {
                return Err(SYNTAX_ERROR.to_owned());
            }
            at = at.saturating_add(1);
        }
        match expiry {
            Some(option) => Err(format!("ERR SET option '{option}' is not supported: aerodb has no expiry")),
            None => Ok(options),
        }
    }

    /// Whether what the key holds matters.
    fn looks(self) -> bool {
        self.get || self.when.is_some()
    }
}
