//! RESP-COMMAND, side by side: the same requests go to a real redis-server and to `aerodb serve`, and the replies are the same bytes.
//!
//! Three clients on each side send pipelines of random requests, right and wrong ones, from printed seeds: half of them fixed, half
//! fresh. What docs/resp.md calls unlike Redis is all that is not asked ([`Script::request`]) or not compared byte by byte ([`agree`]).
//!
//! `cargo test --features peers --test redis_parity` needs `redis-server` 7.0 on the path.

mod binary;
mod world;

use aerodb::resp::response::Bounds;
use aerodb::resp::{Responses, Value, encode_request};
use binary::Place;
use std::collections::BTreeSet;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use world::Dice;

const CLIENTS: usize = 3;
const FIXED_SEEDS: u64 = 50;
const STEPS: usize = 250;

/// A program that is ended when the test is.
struct Program(Child);

impl Program {
    /// Starts a program, and reads what it says until it says this; returns that line.
    fn start(mut command: Command, until: &str) -> (Program, String) {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the program is on the path");
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
        let program = Program(child);
        let line =
            said.by_ref().map(Result::unwrap).find(|line| line.contains(until)).expect("it says so before it ends");
        // What it says later is read by nobody; a pipe that is closed could end it.
        std::thread::spawn(move || said.for_each(drop));
        (program, line)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// A client of one side.
struct Client {
    stream: Box<dyn Stream>,
    responses: Responses,
    received: Vec<u8>,
}

impl Client {
    fn new(stream: impl Stream + 'static) -> Client {
        Client { stream: Box::new(stream), responses: Responses::new(Bounds::default()), received: Vec::new() }
    }

    /// The next reply: its bytes, and what they mean.
    fn reply(&mut self) -> (Vec<u8>, Value) {
        let mut bytes = Vec::new();
        loop {
            let mut left = self.received.as_slice();
            let value = self.responses.next(&mut left).unwrap();
            let left = left.len();
            bytes.extend(self.received.drain(..self.received.len() - left));
            if let Some(value) = value {
                return (bytes, value);
            }
            let mut buffer = [0; 64 * 1024];
            let read = self.stream.read(&mut buffer).unwrap();
            assert!(read > 0, "the connection ends behind {:?}", String::from_utf8_lossy(&bytes));
            self.received.extend_from_slice(&buffer[..read]);
        }
    }

    fn ask(&mut self, requests: &[Request]) -> Vec<(Vec<u8>, Value)> {
        let mut bytes = Vec::new();
        requests.iter().for_each(|request| encode_request(request, &mut bytes));
        self.stream.write_all(&bytes).unwrap();
        requests.iter().map(|_| self.reply()).collect()
    }

    /// All keys that match, by a whole scan.
    fn scan(&mut self, pattern: &[u8], count: u64) -> Vec<Vec<u8>> {
        let (mut cursor, mut keys) = (b"0".to_vec(), Vec::new());
        loop {
            let count = count.to_string();
            let request = [&b"SCAN"[..], &cursor, b"MATCH", pattern, b"COUNT", count.as_bytes()];
            let (_, reply) = self.ask(&[request.map(<[u8]>::to_vec).to_vec()]).remove(0);
            let Value::Array(parts) = reply else { panic!("{reply:?}") };
            let [Value::Bulk(next), Value::Array(page)] = parts.as_slice() else { panic!("{parts:?}") };
            keys.extend(page.iter().map(|key| {
                let Value::Bulk(key) = key else { panic!("{key:?}") };
                key.clone()
            }));
            cursor.clone_from(next);
            if cursor == b"0" {
                return keys;
            }
        }
    }
}

type Request = Vec<Vec<u8>>;

/// What one client says.
struct Script {
    dice: Dice,
    in_multi: [bool; CLIENTS],
}

impl Script {
    fn one_of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.dice.below(all.len() as u64) as usize]
    }

    fn key(&mut self) -> Vec<u8> {
        keys()[self.dice.below(8) as usize].clone()
    }

    fn value(&mut self) -> Vec<u8> {
        let length = match self.dice.below(20) {
            0 => self.dice.below(40_000),
            _ => self.dice.below(12),
        };
        (0..length).map(|_| self.dice.roll() as u8).collect()
    }

    /// So many random keys, or keys and values.
    fn many(&mut self, name: &str, with_values: bool) -> Request {
        let mut request = vec![name.into()];
        for _ in 0..=self.dice.below(4) {
            request.push(self.key());
            if with_values {
                request.push(self.value());
            }
        }
        request
    }

    fn set(&mut self) -> Request {
        let mut request = vec![b"SET".to_vec(), self.key(), self.value()];
        for _ in 0..self.dice.below(4).saturating_sub(1) {
            request.push(self.one_of(&["NX", "XX", "GET", "nx", "Get", "NOPE"]).into());
        }
        // An expiry is unlike Redis, except where it is wrong.
        if self.dice.below(20) == 0 {
            request.push(b"EX".to_vec());
        }
        request
    }

    /// The next request of a client. In MULTI only what may be queued here; of the rest only what is not unlike Redis.
    fn request(&mut self, client: usize) -> Request {
        let of = |words: &str| -> Request { words.split(' ').map(|word| word.as_bytes().to_vec()).collect() };
        match self.dice.below(if self.in_multi[client] { 26 } else { 34 }) {
            0..=2 => self.set(),
            3 | 4 => vec![b"GET".to_vec(), self.key()],
            5 => vec![b"SETNX".to_vec(), self.key(), self.value()],
            6 => vec![b"GETDEL".to_vec(), self.key()],
            7 => vec![b"STRLEN".to_vec(), self.key()],
            8 => vec![b"TYPE".to_vec(), self.key()],
            9 => self.many("del", false),
            10 => self.many("UNLINK", false),
            11 => self.many("EXISTS", false),
            12 => self.many("MGET", false),
            13 => self.many("MSET", true),
            14 => self.many("MSETNX", true),
            15 => {
                of(self.one_of(&["PING", "ping x", "PING x y", "ECHO x", "ECHO", "SELECT 0", "SELECT 1", "SELECT x"]))
            }
            16 => of(self.one_of(&[
                "GET",
                "GET a b",
                "MSET a",
                "MSET a b c",
                "MSETNX a b c",
                "SET a",
                "DEL",
                "STRLEN a b",
            ])),
            17 => of(self.one_of(&[
                "NOPE",
                "nope a b",
                "CLIENT NOPE",
                "CONFIG nope a",
                "COMMAND nope",
                "CLIENT",
                "CONFIG",
            ])),
            18 | 19 => of("MULTI"),
            20..=22 => of("EXEC"),
            23 => of(self.one_of(&["DISCARD", "UNWATCH", "RESET", "DISCARD x", "EXEC x"])),
            24 | 25 => self.many("WATCH", false),
            26 => of("DBSIZE"),
            27 => of(self.one_of(&[
                "HELLO",
                "HELLO 2",
                "HELLO 3",
                "HELLO 3 SETNAME me",
                "HELLO 4",
                "HELLO x",
                "HELLO 3 NOPE",
            ])),
            28 => of(self.one_of(&[
                "CLIENT GETNAME",
                "CLIENT SETNAME me",
                "CLIENT SETNAME é",
                "CLIENT SETNAME",
                "CLIENT ID x",
            ])),
            29 => of(self.one_of(&[
                "CONFIG GET save",
                "CONFIG GET AppendOnl?",
                "CONFIG GET databases",
                "CONFIG GET timeout",
                "CONFIG GET nope",
            ])),
            30 => of(self.one_of(&[
                "CONFIG SET nope 1",
                "CONFIG SET databases 2",
                "CONFIG SET a",
                "CONFIG GET",
                "INFO nope",
            ])),
            31 => of(self.one_of(&[
                "SCAN x",
                "SCAN 0 COUNT 0",
                "SCAN 0 COUNT x",
                "SCAN 0 NOPE",
                "SCAN 0 MATCH",
                "SCAN 0 TYPE list COUNT 100",
            ])),
            32 => of(self.one_of(&[
                "AUTH x",
                "AUTH me x",
                "AUTH a b c",
                "COMMAND INFO nope",
                "COMMAND DOCS nope",
                "COMMAND LIST nope",
            ])),
            _ => of(self.one_of(&[
                "CLIENT LIST TYPE nope",
                "CLIENT LIST ID x",
                "CLIENT LIST NOPE",
                "CLIENT LIST TYPE pubsub",
            ])),
        }
    }

    /// Keeps what a request does to its client.
    fn note(&mut self, client: usize, request: &Request) {
        let is = |name: &str| request[0].eq_ignore_ascii_case(name.as_bytes());
        if is("MULTI") {
            self.in_multi[client] = true;
        } else if is("EXEC") || (request.len() == 1 && (is("DISCARD") || is("RESET"))) {
            self.in_multi[client] = false;
        }
    }
}

/// The keys of the script, among them the empty one and one of bytes that end lines.
fn keys() -> Vec<Vec<u8>> {
    ["", "a", "b", "c", "key:1", "key:2", "\r\n\0\x7f", "long"]
        .iter()
        .map(|key| if *key == "long" { vec![0xff; 5000] } else { key.as_bytes().to_vec() })
        .collect()
}

/// Whether two replies to a request are the same, as far as they are to be.
fn agree(request: &Request, redis: &(Vec<u8>, Value), own: &(Vec<u8>, Value)) -> bool {
    let described = |value: &Value| {
        let (Value::Map(pairs) | Value::Array(pairs)) = value else { return Vec::new() };
        let unlike = ["version", "id", "aerodb"].map(|name| Value::Bulk(name.into()));
        pairs.chunks(2).filter(|pair| !unlike.contains(&pair[0])).map(<[Value]>::to_vec).collect()
    };
    let is = |name: &str| request[0].eq_ignore_ascii_case(name.as_bytes());
    if is("HELLO") && redis.0[0] != b'-' {
        return redis.0[0] == own.0[0] && described(&redis.1) == described(&own.1);
    }
    if is("AUTH") && redis.0.starts_with(b"-WRONGPASS ") {
        return own.0.starts_with(b"-ERR AUTH ");
    }
    redis.0 == own.0
}

fn shown(request: &Request) -> String {
    request.iter().map(|word| format!("{:?} ", String::from_utf8_lossy(&word[..word.len().min(40)]))).collect()
}

/// The same story for both sides.
fn story(seed: u64, redis: &mut [Client], own: &mut [Client]) {
    println!("seed {seed}");
    let mut script = Script { dice: Dice(seed), in_multi: [false; CLIENTS] };
    for client in 0..CLIENTS {
        let begin: [Request; 2] = [vec![b"RESET".to_vec()], std::iter::once(b"DEL".to_vec()).chain(keys()).collect()];
        redis[client].ask(&begin);
        own[client].ask(&begin);
    }
    for step in 0..STEPS {
        let client = script.dice.below(CLIENTS as u64) as usize;
        let requests: Vec<Request> = (0..=script.dice.below(6))
            .map(|_| {
                let request = script.request(client);
                script.note(client, &request);
                request
            })
            .collect();
        let replies = redis[client].ask(&requests).into_iter().zip(own[client].ask(&requests));
        for (request, (redis, own)) in requests.iter().zip(replies) {
            let text = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(400)]).into_owned();
            assert!(
                agree(request, &redis, &own),
                "seed {seed}, step {step}, client {client}: {}\n redis {:?}\naerodb {:?}",
                shown(request),
                text(&redis.0),
                text(&own.0)
            );
        }
        if step % 10 == 0 && !script.in_multi[client] {
            let pattern = script.one_of(&["*", "", "key:*", "?", "[a-b]", "[^a]*", "*\\*", "k*[12]"]).as_bytes();
            let count = 1 + script.dice.below(12);
            let (theirs, ours) = (redis[client].scan(pattern, count), own[client].scan(pattern, count));
            assert!(ours.is_sorted_by(|one, next| one < next), "each key once, in order");
            let theirs: BTreeSet<Vec<u8>> = theirs.into_iter().collect();
            assert_eq!(theirs.into_iter().collect::<Vec<_>>(), ours, "seed {seed}, step {step}, pattern {pattern:?}");
        }
    }
}

/// Both servers, for as long as a test runs.
struct Sides {
    redis: PathBuf,
    own: String,
    _programs: [Program; 2],
    _place: Place,
}

impl Sides {
    fn start() -> Sides {
        let place = Place::new();
        let redis = place.path("redis.sock");
        let mut command = Command::new("redis-server");
        command.args([
            "--port",
            "0",
            "--databases",
            "1",
            "--save",
            "",
            "--appendonly",
            "yes",
            "--appendfsync",
            "always",
        ]);
        command.arg("--unixsocket").arg(&redis).arg("--dir").arg(place.path(""));
        let (theirs, _) = Program::start(command, "ready to accept connections");
        let serve = place.command(&["serve", "--data", "d", "--listen", "127.0.0.1:0"]);
        let (ours, line) = Program::start(serve, "listening on ");
        let own = line.split(' ').nth(2).unwrap().to_owned();
        Sides { redis, own, _programs: [theirs, ours], _place: place }
    }

    fn redis(&self) -> UnixStream {
        UnixStream::connect(&self.redis).unwrap()
    }

    fn own(&self) -> TcpStream {
        TcpStream::connect(&self.own).unwrap()
    }

    /// What both say to these bytes, sent by a client that then says that it sends no more, until they end the connection.
    fn tell(&self, bytes: &[u8]) -> [String; 2] {
        fn answer(mut stream: impl Stream, end: impl FnOnce(&mut dyn Write), bytes: &[u8]) -> String {
            let mut told = Vec::new();
            // A server that was told enough may have gone already, with something that it did not read.
            let _ = stream.write_all(bytes);
            end(&mut stream);
            let _ = stream.read_to_end(&mut told);
            told.escape_ascii().to_string()
        }
        let (redis, own) = (self.redis(), self.own());
        let ends = (redis.try_clone().unwrap(), own.try_clone().unwrap());
        [
            answer(redis, |_| drop(ends.0.shutdown(Shutdown::Write)), bytes),
            answer(own, |_| drop(ends.1.shutdown(Shutdown::Write)), bytes),
        ]
    }

    /// Where they do not say the same.
    fn compare(&self, bytes: &[u8], differ: &mut Vec<String>) {
        let [redis, own] = self.tell(bytes);
        if redis != own {
            let shown = bytes[..bytes.len().min(200)].escape_ascii();
            differ.push(format!("{shown}\n redis {redis}\naerodb {own}"));
        }
    }
}

#[test]
fn the_same_requests_have_the_same_replies_as_redis_resp_command() {
    let sides = Sides::start();
    let mut redis: Vec<Client> = (0..CLIENTS).map(|_| Client::new(sides.redis())).collect();
    let mut own: Vec<Client> = (0..CLIENTS).map(|_| Client::new(sides.own())).collect();
    let fresh = RandomState::new().build_hasher().finish();
    for seed in (1..=FIXED_SEEDS).chain((0..FIXED_SEEDS).map(|seed| fresh.wrapping_add(seed))) {
        story(seed, &mut redis, &mut own);
    }
    long_transactions(&mut redis[0], &mut own[0]);
}

/// Transactions that take many turns here: only words, large words, reads, watched ones, and with a write among them.
fn long_transactions(redis: &mut Client, own: &mut Client) {
    let of = |words: &str| -> Request { words.split(' ').map(|word| word.as_bytes().to_vec()).collect() };
    let large = format!("ECHO {}", "x".repeat(100_000));
    for begin in ["RESET", "HELLO 3"] {
        for side in [&mut *redis, own] {
            side.ask(&[of(begin), of("MSET a 1 b 2")]);
        }
        for (watch, write) in [(false, false), (true, false), (false, true), (true, true)] {
            for (commands, times) in
                [("PING", 1024), ("PING UNWATCH GET_a MGET_a_b_c", 1500), (large.as_str(), 30), ("GET_a_b NOPE", 2)]
            {
                let queued = commands
                    .split(if commands == large { '\n' } else { ' ' })
                    .map(|words| of(&words.replace('_', " ")));
                let mut requests: Vec<Request> =
                    watch.then(|| of("WATCH a")).into_iter().chain([of("MULTI")]).collect();
                (0..times).for_each(|_| requests.extend(queued.clone()));
                requests.extend(write.then(|| of("SET a 1")).into_iter().chain([of("EXEC"), of("PING")]));
                let (theirs, ours) = (redis.ask(&requests), own.ask(&requests));
                let differ = theirs.iter().zip(&ours).position(|(theirs, ours)| theirs.0 != ours.0);
                assert_eq!(differ.map(|at| shown(&requests[at])), None, "{times} times {}", &commands[..4]);
            }
        }
    }
}

/// RESP-REQUEST, RESP-INLINE, RESP-MALFORMED: bytes of any kind, each on a connection of its own and until its end. What docs/resp.md
/// names as unlike Redis, and the limits, are not asked.
#[test]
fn the_same_bytes_have_the_same_replies_as_redis_resp_inline() {
    let (sides, mut differ) = (Sides::start(), Vec::new());
    for line in LINES {
        for end in ["\r\n", "\n", "\r\r\n", ""] {
            sides.compare(format!("{line}{end}PING{end}").as_bytes(), &mut differ);
            sides.compare(format!("MULTI\r\nPING\r\n{line}{end}EXEC\r\n").as_bytes(), &mut differ);
        }
    }
    for line in ["POST / HTTP/1.1", "POST", "post x", "Host: localhost", "host:", "CLIENT GETNAME", "*1\r\n$4\r\nPOST"]
    {
        sides.compare(format!("{line}\r\nPING\r\n").as_bytes(), &mut differ);
    }
    for one in PARTS {
        for other in PARTS {
            sides.compare(&[*one, other, b"PING\r\n"].concat(), &mut differ);
        }
        for tail in TAILS {
            sides.compare(&[*one, tail].concat(), &mut differ);
        }
    }
    for first in [&b"*"[..], b"*1\r\n$", b"PING ", b"ECHO \""] {
        sides.compare(&[first, &[b'1'; 70_000]].concat(), &mut differ);
    }
    let fresh = RandomState::new().build_hasher().finish();
    for seed in [1, 2, fresh] {
        println!("seed {seed}");
        let mut dice = Dice(seed);
        for _ in 0..1000 {
            // A byte that is no text is shown as such in an error of ours.
            let (name, words) = if dice.below(8) == 0 { (&b"NOPE "[..], 11) } else { (&b"ECHO "[..], 14) };
            let text: Vec<u8> = (0..dice.below(12)).flat_map(|_| WORDS[dice.below(words) as usize].to_vec()).collect();
            sides.compare(&[name, &text, b"\r\nPING\r\n"].concat(), &mut differ);
        }
    }
    assert!(differ.is_empty(), "{} differ:\n{}", differ.len(), differ.join("\n"));
}

/// Inline requests, right and wrong ones.
const LINES: &[&str] = &[
    "PING",
    "  PING  ",
    "\tPING\t x",
    "ping x",
    "PING x y",
    "ECHO",
    "NOPE",
    "NOPE a \"b c\" d",
    "NOPE é \\xff",
    "\"\"",
    "'' a",
    "SET k v",
    "SET k",
    "GET k",
    "GET / HTTP/1.1",
    "EXISTS k k",
    "MULTI x",
    "EXEC",
    "CLIENT",
    "CLIENT NOPE",
    "QUIT",
    "QUIT x",
    "quit",
    "RESET",
    "SELECT 0",
    "SELECT 1",
    "AUTH x",
    "DEL k",
    "COMMAND NOPE x",
    "$4",
    ":1",
    "+OK",
    "-1",
    "%",
    "~",
    "ECHO *1",
    "ECHO $4",
];

/// Requests, and what is none, that end where they end.
const PARTS: &[&[u8]] = &[
    b"*0\r\n",
    b"*-1\r\n",
    b"*-9223372036854775808\r\n",
    b"*-9223372036854775809\r\n",
    b"*\r\n",
    b"*x\r\n",
    b"* 1\r\n",
    b"*1 \r\n",
    b"*+1\r\n",
    b"*01\r\n",
    b"*-0\r\n",
    b"*--1\r\n",
    b"*1.0\r\n",
    b"*2147483648\r\n",
    b"*9223372036854775808\r\n",
    b"*99999999999999999999\r\n",
    b"\r\n",
    b"\n",
    b"*1\r\n$4\r\nPING\r\n",
    b"*1\r\n$4\r\nQUIT\r\n",
    b"*1\r\n$0\r\n\r\n",
    b"*2\r\n$4\r\nECHO\r\n$0\r\n\r\n",
    b"*2\r\n$4\r\nECHO\r\n$2\r\n\r\n\r\n",
    b"*1\r\n:4\r\nPING\r\n",
    b"*1\r\nPING\r\n",
    b"*1\r\n*1\r\n$4\r\nPING\r\n",
    b"*1\r\n4\r\n",
    b"*1\r\n \r\n",
    b"*1\r\n$\r\n",
    b"*1\r\n$x\r\n",
    b"*1\r\n$-1\r\n",
    b"*1\r\n$+4\r\nPING\r\n",
    b"*1\r\n$04\r\nPING\r\n",
    b"*1\r\n$ 4\r\nPING\r\n",
    b"*1\r\n$4 \r\nPING\r\n",
    b"*1\r\n$536870913\r\n",
    b"*1\r\n$99999999999999999999\r\n",
    b"MULTI\r\n*1\r\n$4\r\nPING\r\nEXEC\r\n",
];

/// Requests that are cut off.
const TAILS: &[&[u8]] = &[
    b"*",
    b"*1",
    b"*1\r",
    b"*1\r\n",
    b"*2\r\n$4\r\nPING\r\n",
    b"*2\r\n$4\r\nECHO\r\n$9\r\nab",
    b"*2\r\n$4\r\nECHO",
    b"*2\r\n$4\r",
    b"PING",
    b"\"",
    b"ECHO 'a",
    b"",
];

/// What the words of inline requests are made of; the last three are no text.
const WORDS: [&[u8]; 14] =
    [b"\"", b"\"", b"'", b"'", b"\\", b"\\x4", b"\\x41", b"\\n", b" ", b"a", b"1", b"\t", b"\\xfF", b"\xff"];
