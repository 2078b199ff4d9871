//! Sessions without sockets: a database on a simulated disk, clients that talk to it, and every step that a session asks for.
//!
//! What the loop does is done here one thing at a time, so a story says itself when the committer gets its orders and what happens
//! between the turns of a long reply. A reply is shown with `¶` for each line end.

#![allow(dead_code)]

use crate::world::{init_options, options, tiny};
use aerodb::committer::Order;
use aerodb::disk::SimDisk;
use aerodb::resp::Request;
use aerodb::server::Options;
use aerodb::server::clients::{ClientId, Clients};
use aerodb::server::commands::{Words, table};
use aerodb::server::counters::Counters;
use aerodb::server::cursors::Cursors;
use aerodb::server::deposit::Room;
use aerodb::server::session::{Context, Reply, Service, Session, Step};
use aerodb::{CommitId, Database, Parameters, Reason, limits};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc;

/// What a client waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waits {
    /// Nothing: its next request may come.
    No,
    /// Its orders.
    ForOrders,
    /// The turns of others.
    ForTurn,
    /// A commit.
    ForCommit(CommitId),
    /// Its end.
    Closed,
}

enum Slot {
    Order(Order, Reply),
    Ready(Vec<u8>),
}

struct Client {
    id: ClientId,
    session: Session,
    slots: VecDeque<Slot>,
    output: Vec<u8>,
    waits: Waits,
}

/// The state of a server without its loop.
pub struct Talk {
    pub disk: SimDisk,
    pub database: Arc<Database>,
    /// Bytes of values that commands looked at.
    pub read_bytes: usize,
    service: Service,
    talkers: Vec<Client>,
}

/// Words as a request.
pub fn words(text: &str) -> Request {
    text.split(' ').collect()
}

/// Bytes as they are shown.
pub fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace("\r\n", "¶")
}

impl Talk {
    /// A new database, and nobody who talks to it.
    pub fn new() -> Talk {
        Talk::with_parameters(tiny())
    }

    /// The same, with so much room for the replies of decisions.
    pub fn with_room(bytes: usize) -> Talk {
        let mut talk = Talk::new();
        talk.service.room = Room::new(bytes);
        talk
    }

    /// The same, with other parameters.
    pub fn with_parameters(parameters: Parameters) -> Talk {
        let disk = SimDisk::new();
        Database::init(&init_options(&disk, parameters)).unwrap();
        let database = Arc::new(Database::open(options(&disk)).unwrap());
        let service = Service {
            room: Room::new(limits::DEPOSITS_BYTES_MAX),
            clients: Clients::default(),
            cursors: Cursors::new(1000),
            counters: Counters::default(),
            feeds: None,
            options: Options::new(Arc::clone(&database)),
        };
        Talk { disk, database, read_bytes: 0, service, talkers: Vec::new() }
    }

    /// The room for the replies of decisions.
    pub fn room(&self) -> &Room {
        &self.service.room
    }

    /// A new client.
    pub fn client(&mut self) -> usize {
        let id = self.service.clients.enter("127.0.0.1:1".into(), "127.0.0.1:6380".into());
        let session = Session::new(id);
        self.talkers.push(Client { id, session, slots: VecDeque::new(), output: Vec::new(), waits: Waits::No });
        self.talkers.len() - 1
    }

    fn step(&mut self, client: usize, run: impl FnOnce(&mut Session, usize, &mut Context<'_>, &mut Vec<u8>) -> Step) {
        let Client { session, slots, output, waits, .. } = &mut self.talkers[client];
        let waiting = slots.iter().filter(|slot| matches!(slot, Slot::Order(..))).count();
        let mut behind = Vec::new();
        let out = if slots.is_empty() { output } else { &mut behind };
        let mut context = Context { read_bytes: self.read_bytes, ..self.service.context() };
        *waits = match run(session, waiting, &mut context, out) {
            Step::Replied => Waits::No,
            Step::Ordered(order, reply) => {
                slots.push_back(Slot::Order(order, reply));
                Waits::No
            }
            Step::AfterOrders => Waits::ForOrders,
            Step::More => Waits::ForTurn,
            Step::UntilCommit(commit) => Waits::ForCommit(commit),
            Step::Last => Waits::Closed,
        };
        self.read_bytes = context.read_bytes;
        if !behind.is_empty() {
            slots.push_back(Slot::Ready(behind));
        }
    }

    /// A client sends a request; what it orders waits until [`Talk::commit`].
    pub fn send(&mut self, client: usize, mut request: Request) -> Waits {
        assert_eq!(self.talkers[client].waits, Waits::No, "the client waits");
        self.step(client, |session, waiting, context, out| session.request(&mut request, waiting, context, out));
        self.talkers[client].waits
    }

    /// Memory of the orders of a client that the committer did not get yet.
    pub fn ordered_bytes(&self, client: usize) -> usize {
        let bytes = |slot: &Slot| if let Slot::Order(order, _) = slot { order.bytes() } else { 0 };
        self.talkers[client].slots.iter().map(bytes).sum()
    }

    /// The committer gets all orders of a client, and the client its answers.
    pub fn commit(&mut self, client: usize) {
        let slots = std::mem::take(&mut self.talkers[client].slots);
        let (mut orders, mut rest) = (Vec::new(), Vec::new());
        for slot in slots {
            match slot {
                Slot::Order(order, reply) => {
                    orders.push(order);
                    rest.push(Err(reply));
                }
                Slot::Ready(bytes) => rest.push(Ok(bytes)),
            }
        }
        let count = orders.len();
        let (answer, answers) = mpsc::channel();
        let submitted = match count {
            0 => {
                answer.send(Vec::new()).unwrap();
                Ok(())
            }
            _ => self.database.submit_all(orders, Box::new(move |outcomes| answer.send(outcomes).unwrap())),
        };
        let outcomes = match submitted {
            Ok(()) => answers.recv().unwrap(),
            Err(error) => (0..count).map(|_| Err(error.clone())).collect(),
        };
        let mut outcomes = outcomes.into_iter();
        for slot in rest {
            let Client { session, output, .. } = &mut self.talkers[client];
            match slot {
                Ok(bytes) => output.extend_from_slice(&bytes),
                Err(reply) => {
                    let mut context = Context { read_bytes: self.read_bytes, ..self.service.context() };
                    session.answered(reply, outcomes.next().unwrap(), &mut context, output);
                    self.read_bytes = context.read_bytes;
                }
            }
        }
    }

    /// A client goes on with what it began.
    pub fn go_on(&mut self, client: usize) -> Waits {
        self.step(client, |session, _, context, out| session.go_on(context, out));
        self.talkers[client].waits
    }

    /// Everything that a client asked for is carried out, except waiting for a commit.
    pub fn settle(&mut self, client: usize) {
        loop {
            self.commit(client);
            match self.talkers[client].waits {
                Waits::ForOrders | Waits::ForTurn => {
                    self.go_on(client);
                }
                Waits::No | Waits::ForCommit(_) | Waits::Closed if self.talkers[client].slots.is_empty() => return,
                Waits::No | Waits::ForCommit(_) | Waits::Closed => {}
            }
        }
    }

    /// What the client was sent since it was last asked for.
    pub fn received(&mut self, client: usize) -> Vec<u8> {
        std::mem::take(&mut self.talkers[client].output)
    }

    /// A request and its whole reply. A code in it is one that the table names for the command.
    pub fn ask_bytes(&mut self, client: usize, request: Request) -> Vec<u8> {
        let codes = table::find(Words::of(&request)).map(|command| command.codes()).unwrap_or_default();
        self.send(client, request);
        self.settle(client);
        let reply = self.received(client);
        let code =
            reply.strip_prefix(b"-").and_then(|text| text.split(|byte| *byte == b' ').nth(1)).unwrap_or_default();
        if let Some(reason) = Reason::ALL.iter().find(|reason| reason.name().as_bytes() == code) {
            let named = codes.iter().any(|codes| codes.reasons.contains(reason));
            // What MULTI queues may be any command.
            assert!(named || *reason == Reason::BatchTooLarge, "no code of this command: {}", shown(&reply));
        }
        reply
    }

    /// The same, in words and shown.
    pub fn ask(&mut self, client: usize, text: &str) -> String {
        shown(&self.ask_bytes(client, words(text)))
    }

    /// Requests that are sent before any is answered, and all replies.
    pub fn pipeline(&mut self, client: usize, texts: &[&str]) -> String {
        for text in texts {
            if self.send(client, words(text)) != Waits::No {
                self.settle(client);
            }
        }
        self.settle(client);
        shown(&self.received(client))
    }

    /// What the session of a client holds.
    pub fn bytes(&self, client: usize) -> usize {
        self.talkers[client].session.bytes()
    }

    /// Every run is zeros from here on.
    pub fn damage(&self) {
        for path in self.disk.paths().iter().filter(|path| path.extension().is_some_and(|name| name == "run")) {
            // One that was merged away meanwhile is no run any more.
            if let Some(contents) = self.disk.contents(path) {
                self.disk.overwrite(path, vec![0; contents.len()]);
            }
        }
    }

    /// The client is gone.
    pub fn leave(&mut self, client: usize) {
        self.service.clients.leave(self.talkers[client].id);
    }
}
