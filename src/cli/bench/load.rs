//! A load for a server: many connections on one thread, each with so many requests under way (a closed loop).
//!
//! ```text
//! batch of requests ──► connection ──► server ──► replies ──► the next batch, once all of the last one are answered
//! ```
//!
//! The work is counted, never timed: every request is the function of its number. One thread that polls costs the machine least, so a
//! server beside it gets the most. Any server that speaks RESP can be loaded; an error that it replies ends the load, because a
//! figure that counts refusals says nothing.

use super::work::{self, Pool};
use aerodb::clock::Stopwatch;
use aerodb::resp::encode_request;
use aerodb::resp::response::{Bounds, Responses, Value};
use aerodb::wire::poll::{Poll, Ready, Stream};
use aerodb::{Error, Reason, Result};
use hdrhistogram::Histogram;
use std::fmt;

/// What is read at once.
const BUFFER_BYTES: usize = 64 * 1024;
/// Digits of a key that its number may take.
const KEY_DIGITS: usize = 12;
/// The shortest key: its name, and those digits.
pub(super) const KEY_BYTES_MIN: usize = 4 + KEY_DIGITS;
/// Seconds after which somebody who waits for the first answer is told so.
const SILENCE_SECONDS: u32 = 2;

/// Which requests are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mix {
    /// SET of each key in turn, so that every key has a value.
    Fill,
    /// SET of random keys.
    Set,
    /// GET of random keys.
    Get,
    /// Both, as many of one as of the other.
    Mixed,
}

/// What a load consists of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) clients: usize,
    /// Requests that a connection has under way.
    pub(super) pipeline: u64,
    pub(super) keys: u64,
    /// Not below [`KEY_BYTES_MIN`].
    pub(super) key_bytes: usize,
    pub(super) value_bytes: usize,
}

/// What came of a load.
pub(super) struct Loaded {
    pub(super) seconds: f64,
    /// From the sending of a batch to each of its replies, in nanoseconds.
    pub(super) latency: Histogram<u64>,
    /// Keys that were read.
    pub(super) read: u64,
    /// Those of them that had a value.
    pub(super) found: u64,
}

impl Loaded {
    fn new() -> Result<Loaded> {
        Ok(Loaded { seconds: 0.0, latency: work::histogram()?, read: 0, found: 0 })
    }
}

/// One connection, and what it waits for.
struct Client {
    stream: Stream,
    responses: Responses,
    /// Requests of the batch that is being sent, and how much of it was.
    batch: Vec<u8>,
    sent: usize,
    began: u64,
    unanswered: u64,
}

/// Connections to one server.
pub(super) struct Load {
    address: String,
    shape: Shape,
    poll: Poll,
    clients: Vec<Client>,
    pool: Pool,
    /// The key of the last request; of the next one only digits differ.
    key: Vec<u8>,
    buffer: Vec<u8>,
    /// The number of the next request. It goes on from load to load, so that two of them do not write the same.
    next: u64,
}

/// A load under way.
struct Run<'a> {
    mix: Mix,
    /// Requests that were not sent yet.
    left: u64,
    unanswered: u64,
    watch: Stopwatch,
    loaded: &'a mut Loaded,
}

impl Load {
    /// Connects all clients, and waits until the server answers.
    ///
    /// # Errors
    /// `server.unreachable`, `server.refused`, `server.not_understood`.
    pub(super) fn connect(address: &str, shape: Shape) -> Result<Load> {
        let lost = |error| unreachable(address, error);
        let poll = Poll::new().map_err(lost)?;
        let clients = (0..shape.clients).map(|name| {
            let mut stream = Stream::connect(address).map_err(lost)?;
            stream.register(&poll, name).map_err(lost)?;
            let responses = Responses::new(Bounds::default());
            Ok(Client { stream, responses, batch: Vec::new(), sent: 0, began: 0, unanswered: 0 })
        });
        let clients = clients.collect::<Result<_>>()?;
        let (pool, buffer) = (Pool::new(shape.value_bytes), vec![0; BUFFER_BYTES]);
        let mut key = b"key:".to_vec();
        key.resize(shape.key_bytes, b'0');
        let mut load = Load { address: address.to_owned(), shape, poll, clients, pool, key, buffer, next: 0 };
        load.greet()?;
        Ok(load)
    }

    /// Waits for one answer before anything is measured. What is asked is a request of RESP, and the whole head of one of HTTP that is
    /// wrong: so a server of either answers at once, and what does not is told of, for as long as it is waited for.
    fn greet(&mut self) -> Result<()> {
        let mut loaded = Loaded::new()?;
        let mut run = Run { mix: Mix::Get, left: 0, unanswered: 1, watch: Stopwatch::start(), loaded: &mut loaded };
        if let Some(client) = self.clients.first_mut() {
            (client.batch, client.unanswered) = (b"PING\r\n\r\n".to_vec(), 1);
        }
        self.send(0)?;
        let mut told = false;
        while run.unanswered > 0 {
            let silent =
                self.poll.wait_seconds(Some(SILENCE_SECONDS)).map_err(|error| unreachable(&self.address, error))?;
            if silent && !std::mem::replace(&mut told, true) {
                log::warn!(server = self.address.as_str(); "nobody answers yet; if no server speaks RESP there, nobody will");
            }
            self.take_turn(&mut run)?;
        }
        Ok(())
    }

    /// Sends so many requests, and waits for all replies.
    ///
    /// # Errors
    /// `server.unreachable`, `server.refused`, `server.not_understood`.
    pub(super) fn run(&mut self, mix: Mix, requests: u64) -> Result<Loaded> {
        let mut loaded = Loaded::new()?;
        let watch = Stopwatch::start();
        let mut run = Run { mix, left: requests, unanswered: requests, watch, loaded: &mut loaded };
        for name in 0..self.clients.len() {
            self.begin_batch(name, &mut run)?;
        }
        while run.unanswered > 0 {
            self.poll.wait(true).map_err(|error| unreachable(&self.address, error))?;
            self.take_turn(&mut run)?;
        }
        loaded.seconds = watch.seconds();
        Ok(loaded)
    }

    /// Sends and receives where the poll said that there is room or something to read.
    fn take_turn(&mut self, run: &mut Run<'_>) -> Result<()> {
        let ready: Vec<Ready> = self.poll.ready().collect();
        for ready in ready {
            if ready.writable {
                self.send(ready.source)?;
            }
            if ready.readable {
                self.receive(ready.source, run)?;
            }
        }
        Ok(())
    }

    /// Encodes and sends the next batch of a connection, if anything is left to send.
    fn begin_batch(&mut self, name: usize, run: &mut Run<'_>) -> Result<()> {
        let Load { shape, clients, pool, key, next, .. } = self;
        let Some(client) = clients.get_mut(name) else { return Ok(()) };
        let count = shape.pipeline.min(run.left);
        client.batch.clear();
        for number in *next..*next + count {
            encode(number, run.mix, shape, pool, key, &mut client.batch);
        }
        *next += count;
        run.left -= count;
        (client.sent, client.unanswered, client.began) = (0, count, run.watch.nanoseconds());
        self.send(name)
    }

    /// Sends as much as there is room for.
    fn send(&mut self, name: usize) -> Result<()> {
        let Some(client) = self.clients.get_mut(name) else { return Ok(()) };
        while let Some(rest @ [_, ..]) = client.batch.get(client.sent..) {
            match client.stream.write(rest).map_err(|error| unreachable(&self.address, error))? {
                Some(sent) => client.sent += sent,
                None => break,
            }
        }
        Ok(())
    }

    /// Takes the replies that have arrived, and begins the next batch behind the last one of this.
    fn receive(&mut self, name: usize, run: &mut Run<'_>) -> Result<()> {
        loop {
            let Some(client) = self.clients.get_mut(name) else { return Ok(()) };
            let received = client.stream.read(&mut self.buffer).map_err(|error| unreachable(&self.address, error))?;
            let Some(received) = received else { return Ok(()) };
            if received == 0 {
                return Err(unreachable(&self.address, "the server ended the connection"));
            }
            let mut input = self.buffer.get(..received).unwrap_or_default();
            let before = client.unanswered;
            let not_understood = |got: &dyn fmt::Display| {
                Error::new(Reason::ServerNotUnderstood).with("server", &self.address).with("got", got)
            };
            while let Some(reply) = client.responses.next(&mut input).map_err(|error| not_understood(&error))? {
                if let Value::Error(text) = &reply {
                    let told = String::from_utf8_lossy(text);
                    return Err(Error::new(Reason::ServerRefused).with("server", &self.address).with("told", told));
                }
                let found = matches!(reply, Value::Bulk(_));
                run.loaded.found += u64::from(found);
                run.loaded.read += u64::from(found || reply == Value::Null);
                client.unanswered =
                    client.unanswered.checked_sub(1).ok_or_else(|| not_understood(&"a reply to no request"))?;
            }
            let answered = before - client.unanswered;
            let latency = run.watch.nanoseconds() - client.began;
            run.loaded.latency.saturating_record_n(latency, answered);
            run.unanswered -= answered;
            if client.unanswered == 0 && run.left > 0 {
                self.begin_batch(name, run)?;
            }
        }
    }
}

fn encode(number: u64, mix: Mix, shape: &Shape, pool: &Pool, key: &mut [u8], batch: &mut Vec<u8>) {
    let noise = work::mix(number);
    let reads = match mix {
        Mix::Fill | Mix::Set => false,
        Mix::Get => true,
        Mix::Mixed => noise >> 63 == 1,
    };
    name(key, if mix == Mix::Fill { number } else { noise } % shape.keys);
    if reads {
        encode_request(&[b"GET", &*key], batch);
    } else {
        encode_request(&[b"SET", &*key, pool.value(number, shape.value_bytes)], batch);
    }
}

/// Makes it the key of a number, as the benchmark of Redis names it.
fn name(key: &mut [u8], mut number: u64) {
    for digit in key.iter_mut().rev().take(KEY_DIGITS) {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

fn unreachable(address: &str, error: impl fmt::Display) -> Error {
    Error::new(Reason::ServerUnreachable).with("server", address).with("error", error)
}
