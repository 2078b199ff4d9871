//! One client in the lobby: its buffers, and what it is answered.
//!
//! In a turn it reads once, answers a bounded number of requests and writes once; while too much of its replies is not taken it is not read,
//! and nothing more is answered (RESP-FLOW). What is no request is told and ends the connection, as everywhere (RESP-MALFORMED).

use super::{Board, LobbyOptions};
use crate::limits;
use crate::reason::Reason;
use crate::resp::request::Malformed;
use crate::resp::{Decoder, Limits, Out, Request, Version};
use crate::server::clients::{ClientId, Clients};
use crate::server::commands::aero;
use crate::server::commands::connection::Peer;
use crate::server::commands::info::{self, Section};
use crate::server::commands::table::{self, Run};
use crate::server::commands::{Words, refusal};
use crate::server::farewell;
use crate::wire::{Ready, Stream};
use std::io;

/// Most requests of one turn.
const REQUESTS_A_TURN: usize = 256;
/// What an idle connection keeps of a buffer.
const KEEP_BYTES: usize = 4 * 1024;

/// What a guest sees of the lobby.
pub(super) struct Around<'a> {
    pub(super) board: &'a Board,
    pub(super) clients: &'a mut Clients,
    pub(super) options: &'a LobbyOptions,
}

/// What becomes of a guest behind its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    Stays,
    /// It was told everything.
    Leaves,
}

/// A client that waits.
pub(super) struct Guest {
    id: ClientId,
    stream: Stream,
    version: Version,
    decoder: Decoder,
    /// What arrived and was not decoded, because too much is to be sent.
    received: Vec<u8>,
    output: Vec<u8>,
    readable: bool,
    writable: bool,
    /// The poll told of its end, which may stand behind bytes that were not read.
    ending: bool,
    /// All that it sent was read.
    ended: bool,
    /// Nothing more is answered.
    closing: bool,
    /// Nobody is there any more.
    broken: bool,
}

impl Guest {
    pub(super) fn new(id: ClientId, stream: Stream) -> Guest {
        Guest {
            id,
            stream,
            version: Version::Two,
            decoder: Decoder::new(Limits::default()),
            received: Vec::new(),
            output: Vec::new(),
            readable: false,
            writable: true,
            ending: false,
            ended: false,
            closing: false,
            broken: false,
        }
    }

    pub(super) fn id(&self) -> ClientId {
        self.id
    }

    /// Memory for what was received, and for what was not sent.
    pub(super) fn buffered(&self) -> (usize, usize) {
        (self.received.capacity() + self.decoder.bytes(), self.output.capacity())
    }

    /// What the poll said of its socket.
    pub(super) fn ready(&mut self, ready: Ready) {
        self.readable |= ready.readable || ready.ended;
        self.writable |= ready.writable;
        self.ending |= ready.ended;
        self.broken |= ready.broken;
    }

    /// Whether there is something to do without anything that has to come first.
    pub(super) fn goes_on(&self) -> bool {
        let more = self.readable || !self.received.is_empty();
        self.broken || (more && self.may_answer()) || (self.writable && !self.output.is_empty())
    }

    fn may_answer(&self) -> bool {
        !self.closing && self.output.len() < limits::CLIENT_OUTPUT_BYTES
    }

    /// Reads, answers, and sends what is taken.
    ///
    /// # Errors
    /// Those of the socket: nobody is there any more.
    pub(super) fn turn(&mut self, around: &mut Around<'_>, buffer: &mut [u8]) -> io::Result<After> {
        if self.broken {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let kept = std::mem::take(&mut self.received);
        let fresh = kept.is_empty() && self.readable && self.may_answer();
        let read = if fresh { self.read(buffer)? } else { 0 };
        let mut input = if fresh { &buffer[..read] } else { kept.as_slice() };
        self.take(&mut input, around);
        self.received = input.to_vec();
        self.send()?;
        let done = self.closing || (self.ended && self.received.is_empty());
        Ok(if done && self.output.is_empty() { After::Leaves } else { After::Stays })
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

    fn send(&mut self) -> io::Result<()> {
        if self.writable && !self.output.is_empty() {
            let sent = self.stream.write(&self.output)?.unwrap_or(0);
            self.output.drain(..sent);
            // Less than was asked for fills the socket, and room is told.
            self.writable = self.output.is_empty();
            self.output.shrink_to(KEEP_BYTES.max(2 * self.output.len()));
        }
        Ok(())
    }

    fn take(&mut self, input: &mut &[u8], around: &mut Around<'_>) {
        let mut answered = 0;
        while answered < REQUESTS_A_TURN && self.may_answer() {
            match self.decoder.next(input) {
                Ok(Some(request)) => self.answer(&request, around),
                Ok(None) => return,
                Err(malformed) => {
                    if malformed == Malformed::OtherPort {
                        let code = Reason::ProtocolOtherPort;
                        log::warn!(code = code.name(), client:% = self.id; "closed: it speaks as a replica does to a primary");
                    }
                    Out::new(Version::Two, &mut self.output).error(&format!("ERR {malformed}"));
                    self.closing = true;
                }
            }
            answered += 1;
        }
    }

    fn answer(&mut self, request: &Request, around: &mut Around<'_>) {
        let words = Words::of(request);
        if words.are_of_a_browser(self.id) {
            self.closing = true;
            return;
        }
        let Around { board, clients, options } = around;
        let command = match table::find(words) {
            Ok(command) => command,
            Err(text) => return Out::new(self.version, &mut self.output).error(&text),
        };
        if let Some(client) = clients.get_mut(self.id) {
            client.command = command.name;
            client.commands = client.commands.saturating_add(1);
        }
        let mut out = Out::new(self.version, &mut self.output);
        match command.run {
            Run::Pure(say) => say(words, &mut out),
            Run::Connection(run) => {
                let (id, role) = (self.id, board.role());
                run(&mut Peer { id, version: &mut self.version, clients, role }, words, &mut self.output);
            }
            Run::AfterOrders(_) if command.name == "info" => out.verbatim(&said(words, board, clients, options)),
            Run::AfterOrders(_) if command.name == "aero.explain" => {
                let explained = aero::topic(words).map(|(topic, json)| {
                    let explanation = board.explanation(&topic);
                    if json { explanation.json().to_string() } else { explanation.to_string() }
                });
                match explained {
                    Ok(text) => out.bulk(text.as_bytes()),
                    Err(text) => out.error(text),
                }
            }
            Run::Reset => {
                self.version = Version::Two;
                if let Some(client) = clients.get_mut(self.id) {
                    client.name.clear();
                    client.version = self.version;
                }
                Out::new(self.version, &mut self.output).simple("RESET");
            }
            Run::Quit => {
                out.ok();
                self.closing = true;
            }
            Run::Data(_)
            | Run::AtOnce(_)
            | Run::AfterOrders(_)
            | Run::Multi
            | Run::Exec
            | Run::Discard
            | Run::Watch
            | Run::Unwatch => out.error(&refusal(&board.refusal())),
        }
    }

    /// Tells it that it held too much, if it takes that at once.
    pub(super) fn say_farewell(&mut self) {
        let (input, output) = self.buffered();
        let text = farewell(self.id, input + output);
        if self.output.is_empty() {
            Out::new(Version::Two, &mut self.output).error(&text);
            // What it does not take at once it is not told.
            let _ = self.send();
        }
    }
}

/// `INFO [section …]`
fn said(words: Words<'_>, board: &Board, clients: &Clients, options: &LobbyOptions) -> String {
    type Write<'w> = &'w dyn Fn(&mut Section);
    let guests = |section: &mut Section| {
        section.line("connected_clients", clients.len());
        section.line("maxclients", options.max_clients);
    };
    let sections: [(&str, Write<'_>); 5] = [
        ("Server", &|section| info::program(board.port(), section)),
        ("Clients", &guests),
        ("Persistence", &|section| board.persistence(section)),
        ("Replication", &|section| board.replication(section)),
        ("Aerodb", &|section| board.aerodb(section)),
    ];
    info::text(words, sections.into_iter())
}
