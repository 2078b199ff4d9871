//! MULTI, EXEC, DISCARD, WATCH, UNWATCH: one EXEC is one decision of the committer, and one commit or none (RESP-ATOMIC).
//!
//! Between MULTI and EXEC commands are queued, and only what needs nothing but the request and the keys may be: it runs where the
//! decision runs. WATCH remembers the newest commit; EXEC answers null if a commit after it wrote the key, or may have, because the
//! floor has passed it (RESP-WATCH). An EXEC that only reads is one view on the loop, on a replica as on a primary.
//!
//! What a client may queue is bounded by what one commit may hold.

use crate::commit_id::CommitId;
use crate::committer::{Decision, Latest};
use crate::error::Error;
use crate::limits;
use crate::reason::Reason;
use crate::resp::{Out, Request, Version};
use crate::server::commands::data::{Data, Transaction};
use crate::server::commands::jobs::{Job, Reads};
use crate::server::commands::table::{Command, Run};
use crate::server::commands::{Words, refusal};
use crate::server::deposit::{Deposit, Room};
use crate::server::session::{Context, Session, Step};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// What a queued command does.
#[derive(Clone, Copy, Debug)]
pub enum Action {
    /// Says what the request alone decides.
    Pure(fn(Words<'_>, &mut Out<'_>)),
    /// Reads or writes keys.
    Data(Data),
    /// Nothing: UNWATCH, where EXEC ends the watching anyway.
    Nothing,
}

/// A command whose turn comes later.
#[derive(Debug)]
pub struct Queued {
    /// What it does.
    pub action: Action,
    /// With which words.
    request: Request,
}

impl Queued {
    /// A command on keys.
    #[must_use]
    pub fn data(data: Data, request: Request) -> Queued {
        Queued { action: Action::Data(data), request }
    }

    /// Its name and arguments.
    #[must_use]
    pub fn words(&self) -> Words<'_> {
        Words::of(&self.request)
    }

    /// Memory that it holds.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.request.bytes().saturating_add(size_of::<Queued>())
    }

    fn writes(&self) -> bool {
        matches!(self.action, Action::Data(data) if data.writes())
    }
}

/// What was queued since MULTI.
#[derive(Debug, Default)]
pub struct Multi {
    queue: Vec<Queued>,
    /// Memory that the queue holds.
    pub(in crate::server) bytes: usize,
    aborted: bool,
}

impl Multi {
    /// A command was refused: EXEC will do nothing, so nothing has to be kept for it.
    pub fn abort(&mut self) {
        *self = Multi { aborted: true, ..Multi::default() };
    }
}

/// The keys that must not change until EXEC.
#[derive(Debug, Default)]
pub struct Watched {
    /// Each with the newest commit when it was watched.
    keys: BTreeMap<Vec<u8>, CommitId>,
    /// Memory that they hold.
    pub(in crate::server) bytes: usize,
}

impl Watched {
    /// Watches a key from this commit on; one that is watched already stays watched from its own.
    fn add(&mut self, key: &[u8], since: CommitId) {
        if let Entry::Vacant(place) = self.keys.entry(key.to_vec()) {
            place.insert(since);
            self.bytes = self.bytes.saturating_add(Watched::entry_bytes(key));
        }
    }

    /// Takes a key out, with the commit behind which it must not have changed.
    pub fn take_first(&mut self) -> Option<(Vec<u8>, CommitId)> {
        let (key, since) = self.keys.pop_first()?;
        self.bytes = self.bytes.saturating_sub(Watched::entry_bytes(&key));
        Some((key, since))
    }

    fn entry_bytes(key: &[u8]) -> usize {
        key.len().saturating_add(size_of::<(Vec<u8>, CommitId)>())
    }
}

/// The decision that carries out what was queued, and leaves the reply.
pub(in crate::server) fn decided(
    queue: Vec<Queued>,
    exec: bool,
    watched: Watched,
    version: Version,
    room: Room,
    deposit: Deposit,
) -> Decision {
    let bytes = queue.iter().map(Queued::bytes).fold(watched.bytes, usize::saturating_add);
    let decide = move |latest: &Latest<'_>| {
        let mut transaction = Transaction::new(latest, &room);
        let mut reply = Vec::new();
        let mut out = Out::new(version, &mut reply);
        for (key, since) in &watched.keys {
            if transaction.changed_since(key, *since)? {
                out.null_array();
                return deposit.put(reply, false).map(|()| None);
            }
        }
        if exec {
            out.array(queue.len());
        }
        for queued in &queue {
            match queued.action {
                Action::Pure(say) => say(queued.words(), &mut out),
                Action::Data(data) => data.run(queued.words(), &mut transaction, &mut out)?,
                Action::Nothing => out.ok(),
            }
            room.check(out.len())?;
        }
        let batch = transaction.batch()?;
        deposit.put(reply, batch.is_some())?;
        Ok(batch)
    };
    Decision::new(decide).with_bytes(bytes)
}

impl Session {
    pub(in crate::server) fn begin_multi(&mut self, context: &mut Context<'_>, out: &mut Vec<u8>) {
        if self.multi.is_some() {
            return self.out(out).error("ERR MULTI calls can not be nested");
        }
        self.multi = Some(Multi::default());
        self.show(context);
        self.out(out).ok();
    }

    /// Queues a command behind MULTI.
    pub(in crate::server) fn queue(
        &mut self,
        command: &Command,
        request: Request,
        context: &mut Context<'_>,
        out: &mut Vec<u8>,
    ) -> Step {
        let action = match command.run {
            Run::Pure(say) => Some(Action::Pure(say)),
            Run::Data(data) => Some(Action::Data(data)),
            Run::Unwatch => Some(Action::Nothing),
            Run::Connection(_) | Run::AtOnce(_) | Run::AfterOrders(_) => None,
            Run::Multi | Run::Exec | Run::Discard | Run::Watch | Run::Quit | Run::Reset => None,
        };
        let Some(multi) = &mut self.multi else { return Step::Replied };
        let Some(action) = action else {
            multi.abort();
            return self.refuse("ERR Command not allowed inside a transaction", out);
        };
        let queued = Queued { action, request };
        let (bytes, commands) = (multi.bytes.saturating_add(queued.bytes()), multi.queue.len().saturating_add(1));
        if bytes > limits::QUEUED_BYTES_MAX || commands > limits::BATCH_OPS_MAX {
            multi.abort();
            let error = Error::new(Reason::BatchTooLarge).with("queued_bytes", bytes).with("queued_commands", commands);
            return self.fail(&error, out);
        }
        if !multi.aborted {
            multi.bytes = bytes;
            multi.queue.push(queued);
        }
        self.show(context);
        self.out(out).simple("QUEUED");
        Step::Replied
    }

    /// Whether EXEC has to see what was ordered before it, and is not ordered itself: it only reads.
    pub(in crate::server) fn exec_reads(&self) -> bool {
        self.multi.as_ref().is_some_and(|multi| !multi.aborted && !multi.queue.iter().any(Queued::writes))
    }

    pub(in crate::server) fn exec(&mut self, context: &mut Context<'_>, out: &mut Vec<u8>) -> Step {
        let reads = self.exec_reads();
        let Some(multi) = self.multi.take() else { return self.refuse("ERR EXEC without MULTI", out) };
        let watched = std::mem::take(&mut self.watched);
        self.show(context);
        if multi.aborted {
            return self.refuse("EXECABORT Transaction discarded because of previous errors.", out);
        }
        if !reads {
            return self.decide(multi.queue, true, watched, context);
        }
        let reads = Reads::exec(context, watched, multi.queue);
        self.begin(reads.map(Job::Reads), context, out)
    }

    pub(in crate::server) fn discard(&mut self, context: &mut Context<'_>, out: &mut Vec<u8>) {
        if self.multi.take().is_none() {
            return self.out(out).error("ERR DISCARD without MULTI");
        }
        self.watched = Watched::default();
        self.show(context);
        self.out(out).ok();
    }

    pub(in crate::server) fn watch(&mut self, words: Words<'_>, context: &mut Context<'_>, out: &mut Vec<u8>) {
        if self.multi.is_some() {
            return self.out(out).error("ERR WATCH inside MULTI is not allowed");
        }
        let since = context.database.published();
        // A key beyond the limit never changes.
        for key in words.iter().skip(1).filter(|key| key.len() <= limits::KEY_BYTES_MAX) {
            if self.watched.bytes > limits::WATCHED_BYTES_MAX {
                let error = Error::new(Reason::BatchTooLarge).with("watched_bytes", self.watched.bytes);
                return self.out(out).error(&refusal(&error));
            }
            self.watched.add(key, since);
        }
        self.show(context);
        self.out(out).ok();
    }

    /// Shows to the others what CLIENT LIST tells of transactions and the protocol.
    pub(in crate::server) fn show(&self, context: &mut Context<'_>) {
        if let Some(client) = context.clients.get_mut(self.id) {
            client.queued = self.multi.as_ref().map(|multi| multi.queue.len());
            client.watched = self.watched.keys.len();
            client.version = self.version;
        }
    }
}
