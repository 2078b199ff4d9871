//! One client's connection: what arrived, what waits for the committer, what is to be sent.
//!
//! ```text
//!  socket ──read──► decoder ──request──► session ──reply────────────────────────► output ──write──► socket
//!                                           └──order──► slot, until answered ──reply──┘
//! ```
//!
//! Replies leave in the order of their requests: while an order of this client is not answered, its later replies stand in slots
//! behind it.
//!
//! A connection goes on only as far as its client lets it. It executes no request and reads nothing from its socket while more than a
//! limit stands unsent or ready behind an order, while as many slots are taken as a client may have, while it has an order for which the
//! bundle has no room, and while what it asked for is not at its end. So what it
//! holds is bounded by its own requests; the loop bounds what all hold together.
//!
//! In a turn of the loop a connection reads once, executes a bounded number of requests, and writes once. Used by the loop alone.

use super::clients::ClientId;
use super::orders::{Orders, Owner};
use super::session::{Context, Reply, Session, Step};
use crate::commit_id::CommitId;
use crate::committer::Order;
use crate::error::Result;
use crate::limits;
use crate::position::LogPoint;
use crate::reason::Reason;
use crate::resp::request::Malformed;
use crate::resp::{Decoder, Limits, Out, Version};
use crate::wire::{Ready, Stream};
use std::collections::VecDeque;
use std::io;

/// Most requests of one turn.
const REQUESTS_A_TURN: usize = 256;
/// What an idle connection keeps of a buffer.
const KEEP_BYTES: usize = 4 * 1024;
const KEEP_SLOTS: usize = 64;

/// The place of a reply that can't be sent yet.
enum Slot {
    /// That of an order. So many bytes came with the order, or with its outcome.
    Order(Reply, usize),
    /// It stands behind one.
    Ready(Vec<u8>),
}

/// What is executed next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Task {
    /// The next request.
    Request,
    /// What the session has begun goes on.
    GoOn,
    /// The same, once no order waits.
    AfterOrders,
    /// The same, once this commit can be read, or it is known that it won't be.
    Until(CommitId),
    /// Nothing: the connection is closed once everything is sent.
    Close,
}

/// How a turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// There is more to do, without anything that has to come first.
    Again,
    /// The socket, an answer or a bundle comes first.
    Rest,
    /// Nothing is left to do.
    Close,
}

/// What a connection did in a turn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Executed {
    /// Requests that it began to carry out.
    pub(super) requests: usize,
    /// Bytes that it read.
    pub(super) read: usize,
    /// Whether its client broke the protocol.
    pub(super) malformed: bool,
}

/// A client's connection.
pub(super) struct Connection {
    client: ClientId,
    stream: Stream,
    session: Session,
    decoder: Decoder,
    /// What arrived and was not decoded, because nothing was to be executed.
    received: Vec<u8>,
    output: Vec<u8>,
    /// So much of the output is sent.
    sent: usize,
    slots: VecDeque<Slot>,
    /// The outcomes of the first orders that have slots.
    outcomes: VecDeque<Result<LogPoint>>,
    /// All orders with an outcome have their slots before this one.
    answered: usize,
    /// How many slots are those of orders.
    orders: usize,
    /// The bytes of their orders and outcomes.
    order_bytes: usize,
    /// The bytes of the replies behind them.
    ready_bytes: usize,
    /// The bytes of the orders that are collected and not answered.
    under_way_bytes: usize,
    task: Task,
    /// The last order: the bundle has no room for it, and nothing goes on until it is collected.
    held: Option<Order>,
    readable: bool,
    writable: bool,
    /// The client said that it sends nothing more; and all that it sent was read.
    ending: bool,
    ended: bool,
    /// Nobody is there any more.
    broken: bool,
}

impl Connection {
    pub(super) fn new(client: ClientId, stream: Stream, session: Session) -> Connection {
        Connection {
            client,
            stream,
            session,
            decoder: Decoder::new(Limits::default()),
            received: Vec::new(),
            output: Vec::new(),
            sent: 0,
            slots: VecDeque::new(),
            outcomes: VecDeque::new(),
            answered: 0,
            orders: 0,
            order_bytes: 0,
            ready_bytes: 0,
            under_way_bytes: 0,
            task: Task::Request,
            held: None,
            readable: false,
            writable: true,
            ending: false,
            ended: false,
            broken: false,
        }
    }

    pub(super) fn client(&self) -> ClientId {
        self.client
    }

    /// The commit that it waits to read.
    pub(super) fn until(&self) -> Option<CommitId> {
        if let Task::Until(commit) = self.task { Some(commit) } else { None }
    }

    /// Memory for what was received, and for what was not sent.
    pub(super) fn buffered(&self) -> (usize, usize) {
        (self.received.capacity() + self.decoder.bytes(), self.output.capacity())
    }

    /// Memory that it holds.
    pub(super) fn bytes(&self) -> usize {
        let (received, unsent) = self.buffered();
        let slots = self.slots.capacity() * size_of::<Slot>() + self.order_bytes + self.ready_bytes;
        received + unsent + slots + self.session.bytes()
    }

    /// The part of it that stays when the connection is dropped, until the committer answers.
    pub(super) fn under_way_bytes(&self) -> usize {
        self.under_way_bytes
    }

    /// What the poll said of its socket; whether there is anything to do about it.
    pub(super) fn ready(&mut self, ready: Ready) -> bool {
        self.readable |= ready.readable;
        self.writable |= ready.writable;
        self.ending |= ready.ended;
        self.broken |= ready.broken;
        ready.readable || ready.ended || ready.broken || self.unsent() > 0
    }

    /// Whether a full bundle holds it.
    pub(super) fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// Lets its order into the bundle, if that has room; whether it goes on.
    pub(super) fn release(&mut self, owner: Owner, orders: &mut Orders) -> bool {
        if let Some(order) = self.held.take() {
            self.collect(order, owner, orders);
        }
        !self.is_held()
    }

    fn collect(&mut self, order: Order, owner: Owner, orders: &mut Orders) {
        if orders.is_full() {
            self.held = Some(order);
        } else {
            self.under_way_bytes += order.bytes();
            orders.collect(owner, order);
        }
    }

    /// What it waited for has come, or will never.
    pub(super) fn wake(&mut self) {
        if self.until().is_some() {
            self.task = Task::GoOn;
        }
    }

    /// The committer answered the first order that it had not answered, which had so many bytes. What a decision left is held from now on.
    pub(super) fn answered(&mut self, order_bytes: usize, outcome: Result<LogPoint>) {
        self.under_way_bytes -= order_bytes;
        self.outcomes.push_back(outcome);
        for slot in self.slots.iter_mut().skip(self.answered) {
            self.answered += 1;
            if let Slot::Order(reply, bytes) = slot {
                self.order_bytes -= std::mem::replace(bytes, reply.bytes());
                self.order_bytes += *bytes;
                break;
            }
        }
    }

    /// Writes the replies that are due. One may be as large as a value, so above the limit no further one is written; and one may read
    /// a value, so in a turn that has read enough none is.
    fn reply(&mut self, context: &mut Context<'_>) {
        while self.unsent() < limits::CLIENT_OUTPUT_BYTES && context.read_bytes < limits::TURN_BYTES {
            match self.slots.pop_front() {
                Some(Slot::Order(reply, bytes)) => {
                    let Some(outcome) = self.outcomes.pop_front() else {
                        self.slots.push_front(Slot::Order(reply, bytes));
                        break;
                    };
                    self.orders -= 1;
                    self.answered -= 1;
                    self.order_bytes -= bytes;
                    self.session.answered(reply, outcome, context, &mut self.output);
                }
                Some(Slot::Ready(reply)) => {
                    self.answered = self.answered.saturating_sub(1);
                    self.ready_bytes -= reply.capacity();
                    self.output.extend_from_slice(&reply);
                }
                None => {
                    self.slots.shrink_to(KEEP_SLOTS);
                    self.outcomes.shrink_to(KEEP_SLOTS);
                    break;
                }
            }
        }
    }

    /// Whether a reply is due.
    fn is_due(&self) -> bool {
        match self.slots.front() {
            Some(Slot::Order(..)) => !self.outcomes.is_empty(),
            Some(Slot::Ready(_)) => true,
            None => false,
        }
    }

    /// Writes the replies that are due, reads once, and executes what is there, up to the bound of a turn.
    ///
    /// # Errors
    /// Those of the socket: nobody is there any more.
    pub(super) fn execute(
        &mut self,
        owner: Owner,
        context: &mut Context<'_>,
        orders: &mut Orders,
        buffer: &mut [u8],
    ) -> io::Result<Executed> {
        if self.broken {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        self.reply(context);
        let mut received = std::mem::take(&mut self.received);
        let fresh = received.is_empty() && self.wants_input();
        let read = if fresh { self.read(buffer)? } else { 0 };
        let mut input = if fresh { &buffer[..read] } else { received.as_slice() };
        let mut executed = Executed { requests: 0, read, malformed: false };
        while executed.requests < REQUESTS_A_TURN && context.read_bytes < limits::TURN_BYTES && self.may_go_on() {
            let Some(step) = self.step(&mut input, context, &mut executed) else { break };
            if !self.take(step, owner, orders) {
                break;
            }
        }
        let left = input.len();
        self.received = if fresh {
            input.to_vec()
        } else {
            received.drain(..received.len() - left);
            received
        };
        self.received.shrink_to(KEEP_BYTES.max(2 * left));
        if self.until().is_some() && self.ending {
            // Whoever waits for a commit that may never come must not be waited for in turn.
            self.task = Task::Close;
        }
        Ok(executed)
    }

    fn wants_input(&self) -> bool {
        self.task == Task::Request && self.readable && self.may_go_on()
    }

    fn may_go_on(&self) -> bool {
        self.unsent() + self.ready_bytes < limits::CLIENT_OUTPUT_BYTES
            && self.slots.len() < limits::CLIENT_SLOTS_MAX
            && !self.is_held()
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(bytes) = self.stream.read(buffer)? else {
            self.readable = false;
            return Ok(0);
        };
        self.ended = bytes == 0;
        // Less than was asked for is all there is, and what comes later is told; only an end that was told before may stand behind it.
        self.readable = !self.ended && (bytes == buffer.len() || self.ending);
        Ok(bytes)
    }

    /// Executes a request, or the next part of one; nothing, if none can go on.
    fn step(&mut self, input: &mut &[u8], context: &mut Context<'_>, executed: &mut Executed) -> Option<Step> {
        let next = match self.task {
            Task::Request => Some(self.decoder.next(input).transpose()?),
            Task::AfterOrders if self.orders > 0 => return None,
            Task::GoOn | Task::AfterOrders => None,
            Task::Until(_) | Task::Close => return None,
        };
        let mut behind = Vec::new();
        let out = if self.slots.is_empty() { &mut self.output } else { &mut behind };
        let step = match next {
            Some(Ok(mut request)) => {
                executed.requests += 1;
                let step = self.session.request(&mut request, self.orders, context, out);
                self.decoder.reuse(request);
                step
            }
            Some(Err(malformed)) => {
                executed.malformed = true;
                if malformed == Malformed::OtherPort {
                    let code = Reason::ProtocolOtherPort;
                    log::warn!(code = code.name(), client:% = self.client; "closed: it speaks as a replica does to a primary");
                }
                Out::new(Version::Two, out).error(&format!("ERR {malformed}"));
                Step::Last
            }
            None => self.session.go_on(context, out),
        };
        if !behind.is_empty() {
            self.ready_bytes += behind.capacity();
            self.slots.push_back(Slot::Ready(behind));
        }
        Some(step)
    }

    /// Does what a step asks for; whether another may follow in this turn.
    fn take(&mut self, step: Step, owner: Owner, orders: &mut Orders) -> bool {
        self.task = match step {
            Step::Replied | Step::Ordered(..) => Task::Request,
            Step::AfterOrders => Task::AfterOrders,
            Step::More => Task::GoOn,
            Step::UntilCommit(commit) => Task::Until(commit),
            Step::Last => Task::Close,
        };
        if let Step::Ordered(order, reply) = step {
            let bytes = order.bytes();
            self.slots.push_back(Slot::Order(reply, bytes));
            self.orders += 1;
            self.order_bytes += bytes;
            self.collect(order, owner, orders);
        }
        matches!(self.task, Task::Request | Task::AfterOrders)
    }

    /// Writes what there is room for, and says how the turn ends and how many bytes were written.
    ///
    /// # Errors
    /// Those of the socket: nobody is there any more.
    pub(super) fn send(&mut self) -> io::Result<(After, usize)> {
        let mut written = 0;
        if self.unsent() > 0 && self.writable {
            written = self.stream.write(&self.output[self.sent..])?.unwrap_or(0);
            self.sent += written;
            // Less than was asked for fills the socket, and room is told.
            self.writable = self.unsent() == 0;
            if self.sent >= self.output.len() / 2 {
                self.output.drain(..self.sent);
                self.sent = 0;
                self.output.shrink_to(KEEP_BYTES.max(2 * self.output.len()));
            }
        }
        Ok((self.after(), written))
    }

    fn after(&self) -> After {
        let done = match self.task {
            Task::Request => self.ended && self.received.is_empty(),
            Task::Close => true,
            Task::GoOn | Task::AfterOrders | Task::Until(_) => false,
        };
        if done && self.slots.is_empty() && self.unsent() == 0 {
            return After::Close;
        }
        let more = match self.task {
            Task::Request => !self.received.is_empty() || self.readable,
            Task::GoOn => true,
            Task::AfterOrders => self.orders == 0,
            Task::Until(_) | Task::Close => false,
        };
        let due = self.unsent() < limits::CLIENT_OUTPUT_BYTES && self.is_due();
        if due || (more && self.may_go_on()) { After::Again } else { After::Rest }
    }

    /// Sends what is due and what the client takes at once, and no more.
    ///
    /// # Errors
    /// Those of the socket: nobody is there any more.
    pub(super) fn finish(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        // Nobody tells of room any more: it is tried.
        self.writable = true;
        loop {
            // There is no further turn: all that is due is written.
            context.read_bytes = 0;
            self.reply(context);
            if self.send()?.1 == 0 {
                return Ok(());
            }
        }
    }

    /// Tells the client why it is closed, if it can be told: nothing else stands before it.
    pub(super) fn say_farewell(&mut self, text: &str) {
        if self.slots.is_empty() && self.unsent() == 0 {
            Out::new(Version::Two, &mut self.output).error(text);
            // What it does not take at once it is not told.
            let _ = self.send();
        }
    }

    fn unsent(&self) -> usize {
        self.output.len() - self.sent
    }
}
