//! What one client has: its protocol, its transaction, the keys it watches, its last commit, and the request that goes on.
//!
//! Pure over a [`Context`]: no socket, no thread, no clock. The loop hands in one request after the other, and the session writes the
//! reply, or says what has to happen first. The loop keeps the replies in the order of the requests:
//!
//! * While a [`Step`] other than [`Step::Replied`] and [`Step::Ordered`] is open, the client's next request is not handed in.
//! * [`Session::answered`] is called for each order in the order of their requests, when the reply is due and the output is below its
//!   soft limit: it may append a value of the greatest length.
//! * [`Session::bytes`] is what the session holds for its client, beside the buffers.
//!
//! A read behind writes of the same client that are not answered yet sees them (RESP-ORDER): a read of one key takes its place among the
//! orders and is read at the commit that its place names; all else waits until no order is open.

use crate::commit_id::CommitId;
use crate::committer::{Decision, Order};
use crate::database::Database;
use crate::error::{Error, Result};
use crate::gate::Wish;
use crate::position::LogPoint;
use crate::reason::Reason;
use crate::resp::{Out, Request, Version};
use crate::server::clients::{ClientId, Clients};
use crate::server::commands::connection::Peer;
use crate::server::commands::data::Data;
use crate::server::commands::info;
use crate::server::commands::jobs::{Job, Reads};
use crate::server::commands::table::{self, Command, Run};
use crate::server::commands::transactions::{Multi, Queued, Watched, decided};
use crate::server::commands::{Words, refusal};
use crate::server::counters::Counters;
use crate::server::cursors::Cursors;
use crate::server::deposit::{Deposit, Room};
use crate::server::feeds::Feeds;
use crate::server::Options;
use crate::store::Newest;

/// What commands may use.
pub struct Context<'a> {
    /// The database.
    pub database: &'a Database,
    /// Its newest values.
    pub newest: Newest<'a>,
    /// Who is connected.
    pub clients: &'a mut Clients,
    /// The places of scans.
    pub cursors: &'a mut Cursors,
    /// What the loop counts.
    pub counters: &'a Counters,
    /// The room for replies of decisions.
    pub room: &'a Room,
    /// The replicas, if this node serves any.
    pub feeds: Option<&'a Feeds>,
    /// How the server runs.
    pub options: &'a Options,
    /// Bytes of values that commands looked at since the loop began to count: they take time, though few of them may be replied.
    pub read_bytes: usize,
}

/// What all sessions share.
pub struct Service {
    /// How the server runs, and its database.
    pub options: Options,
    /// Who is connected.
    pub clients: Clients,
    /// The places of scans.
    pub cursors: Cursors,
    /// What the loop counts.
    pub counters: Counters,
    /// The room for replies of decisions.
    pub room: Room,
    /// The replicas, if this node serves any.
    pub feeds: Option<Feeds>,
}

impl Service {
    /// What commands may use of it, in a turn that has read nothing yet.
    pub fn context(&mut self) -> Context<'_> {
        Context {
            database: &self.options.database,
            newest: self.options.database.newest(),
            clients: &mut self.clients,
            cursors: &mut self.cursors,
            counters: &self.counters,
            room: &self.room,
            feeds: self.feeds.as_ref(),
            options: &self.options,
            read_bytes: 0,
        }
    }
}

impl Context<'_> {
    /// Counts bytes of values that were looked at.
    pub fn count_read(&mut self, bytes: usize) {
        self.read_bytes = self.read_bytes.saturating_add(bytes);
    }
}

/// What became of a request.
#[derive(Debug)]
#[must_use]
pub enum Step {
    /// Its reply is written.
    Replied,
    /// For the committer; the client's later replies wait behind it.
    Ordered(Order, Reply),
    /// The session keeps the request: [`Session::go_on`] when no order of this client waits any more.
    AfterOrders,
    /// Not at the end of a long reply: [`Session::go_on`] once others had their turn and the output is below its soft limit.
    More,
    /// [`Session::go_on`] once this commit can be read.
    UntilCommit(CommitId),
    /// As [`Step::Replied`]; the connection is closed once everything is sent.
    Last,
}

/// What the client is told when its order was carried out; a failure is told instead.
#[derive(Debug)]
pub enum Reply {
    /// Always this, after a commit.
    Fixed(&'static [u8]),
    /// What the decision left.
    Decided(Deposit),
    /// What the read of one key finds at the commit that its place names, said in the version of when it was asked.
    Read(Data, Request, Version),
}

impl Reply {
    /// Memory that it holds, once its order was carried out.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Reply::Fixed(_) => 0,
            Reply::Decided(deposit) => deposit.bytes(),
            Reply::Read(_, request, _) => request.bytes(),
        }
    }
}

/// What a session goes on with.
#[derive(Debug)]
enum Kept {
    /// A request that waits for the orders before it.
    Request(&'static Command, Request),
    /// A reply that takes several turns, and whether a part of it was written.
    Job(Job, bool),
    /// A commit that can't be read yet.
    Commit(CommitId),
}

/// One client's side of the server.
#[derive(Debug)]
pub struct Session {
    pub(super) id: ClientId,
    pub(super) version: Version,
    pub(super) last: Option<LogPoint>,
    pub(super) multi: Option<Multi>,
    pub(super) watched: Watched,
    kept: Option<Kept>,
}

impl Session {
    /// The session of a client that has just connected.
    #[must_use]
    pub fn new(id: ClientId) -> Session {
        Session { id, version: Version::Two, last: None, multi: None, watched: Watched::default(), kept: None }
    }

    /// The protocol that the client speaks.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// Memory that it holds for its client.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let kept = match &self.kept {
            Some(Kept::Request(_, request)) => request.bytes(),
            Some(Kept::Job(job, _)) => job.bytes(),
            Some(Kept::Commit(_)) | None => 0,
        };
        kept.saturating_add(self.watched.bytes).saturating_add(self.multi.as_ref().map_or(0, |multi| multi.bytes))
    }

    /// Carries a request out, and takes it if it has to be kept. `waiting`: how many orders of this client are not answered yet.
    pub fn request(
        &mut self,
        request: &mut Request,
        waiting: usize,
        context: &mut Context<'_>,
        out: &mut Vec<u8>,
    ) -> Step {
        let words = Words::of(request);
        if words.are_of_a_browser(self.id) {
            return Step::Last;
        }
        let command = match table::find(words) {
            Ok(command) => command,
            Err(text) if words.is(0, "EXEC") => {
                (self.multi, self.watched) = (None, Watched::default());
                self.show(context);
                let why = text.trim_start_matches("ERR ");
                return self.refuse(&format!("EXECABORT Transaction discarded because of: {why}"), out);
            }
            Err(text) => return self.reject(&text, out),
        };
        if let Some(client) = context.clients.get_mut(self.id) {
            client.command = command.name;
            client.commands = client.commands.saturating_add(1);
        }
        if command.run.writes()
            && let Err(error) = context.database.check_writer()
        {
            return self.reject(&refusal(&error), out);
        }
        self.carry_out(command, request, waiting, context, out)
    }

    /// Goes on with what the last step left open.
    pub fn go_on(&mut self, context: &mut Context<'_>, out: &mut Vec<u8>) -> Step {
        match self.kept.take() {
            Some(Kept::Request(command, mut request)) => self.carry_out(command, &mut request, 0, context, out),
            Some(Kept::Job(job, begun)) => self.work(job, begun, context, out),
            Some(Kept::Commit(commit)) => self.waited(commit, context, out),
            None => Step::Replied,
        }
    }

    /// Writes the reply of an order, and notes the commit for AERO.LAST.
    pub fn answered(
        &mut self,
        reply: Reply,
        outcome: Result<LogPoint>,
        context: &mut Context<'_>,
        out: &mut Vec<u8>,
    ) {
        let start = out.len();
        let told = match reply {
            Reply::Fixed(bytes) => outcome.map(|point| {
                self.last = Some(point);
                out.extend_from_slice(bytes);
            }),
            Reply::Decided(deposit) => outcome.map(|point| {
                let answer = deposit.take();
                if answer.wrote {
                    self.last = Some(point);
                }
                out.extend_from_slice(&answer.bytes);
            }),
            Reply::Read(data, request, version) => {
                // Where the writes before it failed, it has no place among commits: what can be read now is read.
                let at = outcome.ok().map(|point| point.commit);
                context.database.view(at).and_then(|mut view| {
                    data.read(Words::of(&request), &mut view, &mut Out::new(version, out)).map(|read| context.count_read(read))
                })
            }
        };
        if let Err(error) = told {
            out.truncate(start);
            let _ = self.fail(&error, out);
        }
    }

    pub(super) fn out<'o>(&self, out: &'o mut Vec<u8>) -> Out<'o> {
        Out::new(self.version, out)
    }

    /// A request that is refused.
    pub(super) fn refuse(&self, text: &str, out: &mut Vec<u8>) -> Step {
        self.out(out).error(text);
        Step::Replied
    }

    /// A request that failed.
    pub(super) fn fail(&self, error: &Error, out: &mut Vec<u8>) -> Step {
        self.refuse(&refusal(error), out)
    }

    /// A request that is not carried out; nor is then the transaction that it stands in.
    fn reject(&mut self, text: &str, out: &mut Vec<u8>) -> Step {
        if let Some(multi) = &mut self.multi {
            multi.abort();
        }
        self.refuse(text, out)
    }

    fn carry_out(
        &mut self,
        command: &'static Command,
        request: &mut Request,
        waiting: usize,
        context: &mut Context<'_>,
        out: &mut Vec<u8>,
    ) -> Step {
        if self.multi.is_some() && !command.run.is_of_transactions() {
            return self.queue(command, std::mem::take(request), context, out);
        }
        let words = Words::of(request);
        match command.run {
            Run::Pure(say) => say(words, &mut self.out(out)),
            Run::Data(data) => return self.data(command, data, request, waiting, context, out),
            Run::Connection(run) => {
                let (id, role) = (self.id, info::role(context));
                run(&mut Peer { id, version: &mut self.version, clients: context.clients, role }, words, out);
            }
            Run::AtOnce(run) => return run(self, words, context, out),
            Run::AfterOrders(_) | Run::Watch | Run::Exec | Run::Reset if self.has_to_wait(command, waiting) => {
                return self.wait(command, request);
            }
            Run::AfterOrders(run) => return run(self, words, context, out),
            Run::Multi => self.begin_multi(context, out),
            Run::Exec => return self.exec(context, out),
            Run::Discard => self.discard(context, out),
            Run::Watch => self.watch(words, context, out),
            Run::Unwatch => {
                self.watched = Watched::default();
                self.show(context);
                self.out(out).ok();
            }
            Run::Reset => {
                *self = Session::new(self.id);
                if let Some(client) = context.clients.get_mut(self.id) {
                    client.name.clear();
                }
                self.show(context);
                self.out(out).simple("RESET");
            }
            Run::Quit => {
                self.out(out).ok();
                return Step::Last;
            }
        }
        Step::Replied
    }

    /// Whether a command has to see what was ordered before it, and can't be ordered itself.
    fn has_to_wait(&self, command: &Command, waiting: usize) -> bool {
        waiting > 0 && (!matches!(command.run, Run::Exec) || self.exec_reads())
    }

    /// Keeps a request until the orders before it are answered.
    fn wait(&mut self, command: &'static Command, request: &mut Request) -> Step {
        self.kept = Some(Kept::Request(command, std::mem::take(request)));
        Step::AfterOrders
    }

    /// Works on a long reply for a turn.
    fn work(&mut self, mut job: Job, begun: bool, context: &mut Context<'_>, out: &mut Vec<u8>) -> Step {
        let start = out.len();
        match job.turn(context, &mut Out::new(self.version, out)) {
            Ok(true) => Step::Replied,
            Ok(false) => {
                self.kept = Some(Kept::Job(job, begun || out.len() > start));
                Step::More
            }
            Err(error) if begun => {
                // Half of a reply is sent: there is no other way to say that the rest will not come.
                let code = error.reason().name();
                log::warn!(code, client:% = self.id; "closed: its reply ends before its end: {error}");
                out.truncate(start);
                Step::Last
            }
            Err(error) => {
                out.truncate(start);
                self.fail(&error, out)
            }
        }
    }

    /// Begins a long reply, if that is possible.
    pub(super) fn begin(&mut self, job: Result<Job>, context: &mut Context<'_>, out: &mut Vec<u8>) -> Step {
        match job {
            Ok(job) => self.work(job, false, context, out),
            Err(error) => self.fail(&error, out),
        }
    }

    /// Waits for a commit.
    pub(super) fn until(&mut self, commit: CommitId, context: &Context<'_>, out: &mut Vec<u8>) -> Step {
        if context.database.published() < commit && context.options.may_come(commit).is_ok() {
            self.kept = Some(Kept::Commit(commit));
            return Step::UntilCommit(commit);
        }
        self.waited(commit, context, out)
    }

    /// Carries a request out once a commit can be read.
    pub(super) fn until_then(&mut self, commit: CommitId, words: Words<'_>, out: &mut Vec<u8>) -> Step {
        match table::find(words) {
            Ok(command) => {
                self.kept = Some(Kept::Request(command, words.iter().collect()));
                Step::UntilCommit(commit)
            }
            Err(text) => self.refuse(&text, out),
        }
    }

    /// A commit has come that was waited for, or none will come.
    fn waited(&self, commit: CommitId, context: &Context<'_>, out: &mut Vec<u8>) -> Step {
        match context.database.read(&Wish::at_least(commit)) {
            Ok(view) => {
                self.out(out).count(view.commit().0);
                Step::Replied
            }
            Err(refused) if refused.reason() == Reason::ReadBehind => {
                // That it will not come says more than that it has not.
                self.fail(&context.options.may_come(commit).err().unwrap_or(refused), out)
            }
            Err(refused) => self.fail(&refused, out),
        }
    }

    /// Reads or writes keys.
    fn data(
        &mut self,
        command: &'static Command,
        data: Data,
        request: &mut Request,
        waiting: usize,
        context: &mut Context<'_>,
        out: &mut Vec<u8>,
    ) -> Step {
        let words = Words::of(request);
        if data.writes() {
            return match data.plain(words) {
                Some(Ok(batch)) => Step::Ordered(Order::Commit(batch), Reply::Fixed(b"+OK\r\n")),
                Some(Err(text)) => self.refuse(&text, out),
                None => self.decide(vec![Queued::data(data, std::mem::take(request))], false, Watched::default(), context),
            };
        }
        match (waiting, words.len()) {
            (0, 0..=2) => {
                let start = out.len();
                match data.read(words, &mut context.newest, &mut Out::new(self.version, out)) {
                    Ok(read) => {
                        context.count_read(read);
                        Step::Replied
                    }
                    Err(error) => {
                        out.truncate(start);
                        self.fail(&error, out)
                    }
                }
            }
            (0, _) => {
                let reads = Reads::new(context, &Wish::newest(), vec![Queued::data(data, std::mem::take(request))]);
                self.begin(reads.map(Job::Reads), context, out)
            }
            (_, 0..=2) => {
                let place = Decision::new(|_| Ok(None)).with_bytes(request.bytes());
                Step::Ordered(Order::Decide(place), Reply::Read(data, std::mem::take(request), self.version))
            }
            (_, _) => self.wait(command, request),
        }
    }

    pub(super) fn decide(&self, queue: Vec<Queued>, exec: bool, watched: Watched, context: &Context<'_>) -> Step {
        let deposit = Deposit::new(context.room);
        let decision = decided(queue, exec, watched, self.version, context.room.clone(), deposit.clone());
        Step::Ordered(Order::Decide(decision), Reply::Decided(deposit))
    }
}
