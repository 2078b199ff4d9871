//! A server in this process, on a database of the test, and clients that speak to it over real sockets.

#![allow(dead_code)]

use aerodb::resp::response::Bounds;
use aerodb::resp::{Responses, Value, encode_request};
use aerodb::server::{self, Server, Stop, Stopper};
use aerodb::{Database, Init, Options, Result};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

/// A server and its database. It ends when the test does, in whatever way.
pub struct Served {
    pub db: Arc<Database>,
    pub address: SocketAddr,
    /// Where replicas connect, if any may.
    pub replication: Option<SocketAddr>,
    stopper: Stopper,
    running: Option<JoinHandle<Result<Stop>>>,
}

impl Served {
    /// Serves this database.
    pub fn new(db: Database) -> Served {
        Served::with(db, |_| {})
    }

    /// The same, with other options.
    pub fn with(db: Database, change: impl FnOnce(&mut server::Options)) -> Served {
        let db = Arc::new(db);
        let mut options =
            server::Options { listen: "127.0.0.1:0".parse().unwrap(), ..server::Options::new(db.clone()) };
        change(&mut options);
        let server = Server::bind(options).unwrap();
        let (address, replication, stopper) = (server.local_addr(), server.replication_addr(), server.stopper());
        let running = std::thread::spawn(move || server.run());
        Served { db, address, replication, stopper, running: Some(running) }
    }

    /// Serves a new database in a directory of the real disk.
    pub fn on_disk(dir: &Path) -> Served {
        Database::init(&Init::standalone(dir)).unwrap();
        Served::new(Database::open(Options::new(dir)).unwrap())
    }

    pub fn client(&self) -> Client {
        Client::connect(self.address)
    }

    /// Asks the server to end.
    pub fn ask_to_stop(&self) {
        self.stopper.stop();
    }

    /// Ends the server; what it held of the database is gone.
    pub fn stop(mut self) -> Database {
        self.stopper.stop();
        assert_eq!(self.running.take().unwrap().join().unwrap().unwrap(), Stop::Stopped);
        let db = Arc::clone(&self.db);
        drop(self);
        Arc::into_inner(db).expect("the server holds the database no longer")
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stopper.stop();
        if let Some(running) = self.running.take() {
            let ended = running.join();
            assert!(std::thread::panicking() || ended.is_ok(), "the loop held its assertions");
        }
    }
}

/// A client.
pub struct Client {
    pub stream: TcpStream,
    responses: Responses,
    received: Vec<u8>,
}

impl Client {
    pub fn connect(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Client { stream, responses: Responses::new(Bounds::default()), received: Vec::new() }
    }

    /// Sends bytes.
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Sends a request.
    pub fn request<A: AsRef<[u8]>>(&mut self, arguments: &[A]) {
        self.send(&request(arguments));
    }

    /// Says that it sends nothing more.
    pub fn end(&mut self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Breaks the connection.
    pub fn reset(self) {
        rustix::net::sockopt::set_socket_linger(&self.stream, Some(std::time::Duration::ZERO)).unwrap();
    }

    /// The next reply; `None` at the end.
    pub fn next(&mut self) -> Option<Value> {
        loop {
            let mut input = self.received.as_slice();
            let reply = self.responses.next(&mut input).unwrap();
            let left = input.len();
            self.received.drain(..self.received.len() - left);
            if reply.is_some() {
                return reply;
            }
            let mut buffer = [0; 16 * 1024];
            match self.stream.read(&mut buffer) {
                Ok(0) => return None,
                Ok(bytes) => self.received.extend_from_slice(&buffer[..bytes]),
                // It was closed with something that nobody had read.
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// The next reply.
    pub fn reply(&mut self) -> Value {
        self.next().expect("a reply before the end")
    }

    /// Sends a request of these words, and returns its reply.
    pub fn ask(&mut self, words: &str) -> Value {
        self.request(&words.split(' ').collect::<Vec<_>>());
        self.reply()
    }

    /// A number of INFO.
    pub fn info(&mut self, name: &str) -> u64 {
        let Value::Bulk(text) = self.ask("INFO everything") else { panic!("INFO is text") };
        let text = String::from_utf8(text).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or_else(|| panic!("{name} is not in {text}")).parse().unwrap()
    }

    /// Asks until a number of INFO is this.
    pub fn wait_for(&mut self, name: &str, wanted: u64) {
        while self.info(name) != wanted {}
    }

    /// Asks until a number has stayed the same for many turns of the loop, and returns it.
    pub fn settled(&mut self, mut number: impl FnMut(&mut Client) -> u64) -> u64 {
        let (mut last, mut unchanged) = (number(self), 0);
        while unchanged < 200 {
            let next = number(self);
            unchanged = if next == last { unchanged + 1 } else { 0 };
            last = next;
        }
        last
    }

    /// Whether there is nothing to read, and the connection is open.
    pub fn hears_nothing(&mut self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        let heard = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false).unwrap();
        self.received.is_empty() && heard.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }

    /// The same, where the reply is an error; its text.
    pub fn refused(&mut self, words: &str) -> String {
        let reply = self.ask(words);
        let Value::Error(text) = reply else { panic!("{words}: {reply:?}") };
        String::from_utf8(text).unwrap()
    }
}

/// The bytes of a request.
pub fn request<A: AsRef<[u8]>>(arguments: &[A]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_request(arguments, &mut bytes);
    bytes
}

pub fn ok() -> Value {
    Value::Simple(b"OK".to_vec())
}

pub fn pong() -> Value {
    Value::Simple(b"PONG".to_vec())
}

pub fn bulk(bytes: impl AsRef<[u8]>) -> Value {
    Value::Bulk(bytes.as_ref().to_vec())
}
