//! The nodes of the demo: what `aerodb serve` and `aerodb replica --bootstrap snapshot` start, as threads of this process.
//!
//! A node that is started again listens where it did. Dropped, it ends too: its server first, which holds its database.

use super::page::{Page, check, program, redis_cli};
use super::proxy::Proxy;
use crate::cli::remote::Server as Client;
use aerodb::begin::{self, BeginOptions};
use aerodb::bootstrap::worker::Outcome;
use aerodb::http::{self, pages};
use aerodb::replica::{Replica, ReplicaOptions};
use aerodb::replica_state::Halt;
use aerodb::resp::response::Bounds;
use aerodb::server::{self, Server, Stop, Stopper, window::Window};
use aerodb::supervisor::Reconnect;
use aerodb::sync::{self, Arc, JoinHandle};
use aerodb::{CommitId, Database, Error, Init, Options, Position, Reason, Result, Role};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Commits of the load.
const LOAD: u64 = 100;
/// A lost connection is made again after a second.
const RECONNECT: Reconnect = Reconnect::After(1);

/// Where a node listens.
#[derive(Clone, Copy)]
pub(super) struct Listens {
    pub(super) resp: SocketAddr,
    http: SocketAddr,
    replication: Option<SocketAddr>,
}

impl Listens {
    /// On ports that are free.
    fn anywhere(serves_log: bool) -> Listens {
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        Listens { resp: free, http: free, replication: serves_log.then_some(free) }
    }
}

/// What serves a node to clients and to browsers.
struct Serving {
    listens: Listens,
    http: Option<http::Running>,
    stopper: Stopper,
    thread: Option<JoinHandle<Result<Stop>>>,
}

impl Serving {
    fn start(
        options: server::Options,
        listens: Listens,
        node: impl FnOnce(Arc<Window>) -> pages::Node,
    ) -> Result<Serving> {
        let window = Arc::new(Window::default());
        let Listens { resp: listen, replication, http } = listens;
        let server =
            Server::bind(server::Options { listen, replication, window: Some(Arc::clone(&window)), ..options })?;
        let http = http::Server::bind(http::Options::new(http), Box::new(node(window)))?.start()?;
        let (resp, replication, stopper) = (server.local_addr(), server.replication_addr(), server.stopper());
        let refused = |error| Error::new(Reason::ProcessThreadFailed).with("error", error);
        let thread = sync::spawn("server", move || server.run()).map_err(refused)?;
        let listens = Listens { resp, http: http.local_addr(), replication };
        Ok(Serving { listens, http: Some(http), stopper, thread: Some(thread) })
    }

    fn end(&mut self) -> Result<()> {
        drop(self.http.take());
        self.stopper.stop();
        let panicked = |_| Err(Error::new(Reason::ComponentPanicked).with("component", "server"));
        self.thread.take().map_or(Ok(()), |thread| thread.join().unwrap_or_else(panicked).map(drop))
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            log::error!(code = error.reason().name(); "closing: {error}");
        }
    }
}

/// The primary.
pub(super) struct Primary {
    serving: Serving,
    database: Arc<Database>,
    pub(super) dir: PathBuf,
}

impl Primary {
    /// Makes the directory and serves it.
    fn make(dir: PathBuf) -> Result<Primary> {
        Database::init(&Init { role: Role::Primary, ..Init::standalone(&dir) })?;
        Primary::open(dir, Listens::anywhere(true))
    }

    /// Serves a directory.
    pub(super) fn open(dir: PathBuf, listens: Listens) -> Result<Primary> {
        let database = Arc::new(Database::open(Options::new(&dir))?);
        let options = server::Options::new(Arc::clone(&database));
        let serving = Serving::start(options, listens, |window| pages::Node::Writer(Arc::clone(&database), window))?;
        Ok(Primary { serving, database, dir })
    }

    pub(super) fn resp(&self) -> SocketAddr {
        self.serving.listens.resp
    }

    pub(super) fn listens(&self) -> Listens {
        self.serving.listens
    }

    /// Where replicas connect.
    pub(super) fn replication(&self) -> SocketAddr {
        self.serving.listens.replication.unwrap_or(self.serving.listens.resp)
    }

    /// Writes keys, one commit each, as a client does; the last commit.
    pub(super) fn load(&self) -> Result<CommitId> {
        let mut client = Client::reach(&self.resp().to_string(), Bounds::default())?;
        let mut last = CommitId::NONE;
        for number in 1..=LOAD {
            let (key, value) = (format!("key-{number:03}"), number.to_string().repeat(20));
            let point = client.write(&[b"SET", key.as_bytes(), value.as_bytes()])?;
            last = point.map_or(last, |point| point.commit);
        }
        Ok(last)
    }

    pub(super) fn close(mut self) -> Result<()> {
        let ended = self.serving.end();
        ended.and(Arc::into_inner(self.database).map_or(Ok(()), Database::close))
    }
}

/// A replica.
pub(super) struct Follower {
    serving: Serving,
    pub(super) replica: Arc<Replica>,
    pub(super) dir: PathBuf,
    primary: SocketAddr,
}

impl Follower {
    /// Makes the directory of a replica, fills it with a snapshot, and follows.
    fn make(dir: PathBuf, primary: SocketAddr) -> Result<Follower> {
        begin::introduce(&Options::new(&dir), &primary.to_string())?;
        bootstrap(&dir, primary, None)?;
        Follower::open(dir, primary, Listens::anywhere(false))
    }

    /// Follows.
    pub(super) fn open(dir: PathBuf, primary: SocketAddr, listens: Listens) -> Result<Follower> {
        let options = ReplicaOptions::new(Options::new(&dir), &primary.to_string());
        let replica = Arc::new(Replica::open(ReplicaOptions { reconnect: RECONNECT, ..options })?);
        let options = server::Options {
            replica: Some(Arc::clone(&replica)),
            ..server::Options::new(Arc::clone(replica.database()))
        };
        let serving = Serving::start(options, listens, |window| pages::Node::Replica(Arc::clone(&replica), window))?;
        Ok(Follower { serving, replica, dir, primary })
    }

    pub(super) fn resp(&self) -> SocketAddr {
        self.serving.listens.resp
    }

    /// What halted it: waits until something has, or this commit is applied.
    pub(super) fn halt(&self, or: CommitId) -> Result<Halt> {
        // Where the logs part, the primary is asked for the place.
        let is_whole = |halt: &Halt| halt.reason != Reason::HistoryDiverged || halt.evidence.starts_with("fork");
        let status =
            self.replica.wait_until(|status| status.applied.commit >= or || status.halt.as_ref().is_some_and(is_whole));
        let nothing = || Error::new(Reason::DemoFailed).with("claim", "a halt").with("found", status.applied);
        status.halt.clone().ok_or_else(nothing)
    }

    /// Ends it, and what was between.
    pub(super) fn close(mut self) -> Result<()> {
        let ended = self.serving.end();
        // It ends with what halted it.
        let closed = match Arc::into_inner(self.replica).map_or(Ok(()), Replica::close) {
            Err(error) if error.reason().halts() => Ok(()),
            closed => closed,
        };
        ended.and(closed)
    }

    /// Stops it, does this in its directory, and starts it again where it was.
    pub(super) fn again(self, between: impl FnOnce(&Path, SocketAddr) -> Result<()>) -> Result<Follower> {
        let (dir, primary, listens) = (self.dir.clone(), self.primary, self.serving.listens);
        self.close()?;
        between(&dir, primary)?;
        Follower::open(dir, primary, listens)
    }
}

/// Fills a directory with a snapshot; over data, where an order names the halt that it answers.
pub(super) fn bootstrap(dir: &Path, primary: SocketAddr, order: Option<(Reason, Position)>) -> Result<()> {
    let options = BeginOptions { reconnect: RECONNECT, order, ..BeginOptions::new(Options::new(dir)) };
    match begin::snapshot(&options, &primary.to_string(), 0, &|_| ())? {
        Outcome::Installed(_) => Ok(()),
        Outcome::Stopped => Err(Error::new(Reason::ReplicationStopped).with("cause", super::ASKED_TO_END)),
    }
}

/// All three; perhaps with a proxy between the primary and the second replica.
pub(super) struct Cluster {
    pub(super) primary: Primary,
    pub(super) replicas: [Follower; 2],
    pub(super) proxy: Option<Proxy>,
}

impl Cluster {
    /// Starts them, and says where they are.
    pub(super) fn start(page: &mut Page<'_>, dir: &Path, with_proxy: bool) -> Result<Cluster> {
        page.step("Start a primary, write a little, and start two replicas, which begin with a snapshot of it.")?;
        let primary = Primary::make(dir.join("primary"))?;
        page.expect(primary.resp(), "set apple red", "OK")?;
        let last = primary.load()?;
        page.tell(format_args!("… and {LOAD} more commits, key-001 to key-{LOAD:03}"), 4)?;
        primary.database.checkpoint()?;
        let replication = primary.replication();
        let proxy = with_proxy.then(|| Proxy::of(replication)).transpose()?;
        let primaries = [replication, proxy.as_ref().map_or(replication, Proxy::address)];
        let make = |number: usize| Follower::make(dir.join(format!("replica-{}", number + 1)), primaries[number]);
        let replicas = [make(0)?, make(1)?];
        page.say("")?;
        page.tell(format_args!("{:<12}{:<24}{:<24}shown at", "", "clients", "replication"), 0)?;
        for (name, listens) in named(&primary, &replicas) {
            let serves = listens.replication.map_or_else(String::new, |address| address.to_string());
            page.tell(format_args!("{name:<12}{:<24}{serves:<24}http://{}/", listens.resp, listens.http), 0)?;
        }
        let cluster = Cluster { primary, replicas, proxy };
        if let Some(proxy) = &cluster.proxy {
            page.tell(format_args!("Between the primary and replica 2 stands a proxy, at {}.", proxy.address()), 4)?;
        }
        page.say("")?;
        cluster.wait_for(last)?;
        cluster.show_equal(page)?;
        Ok(cluster)
    }

    /// Waits until both replicas have applied a commit.
    pub(super) fn wait_for(&self, commit: CommitId) -> Result<()> {
        self.replicas.iter().try_for_each(|replica| replica.replica.wait_for(commit).map(drop))
    }

    /// How far each node is: asked from each.
    pub(super) fn show(&self, page: &mut Page<'_>) -> Result<Vec<(String, String)>> {
        let mut all = Vec::new();
        for (name, listens) in named(&self.primary, &self.replicas) {
            let told = Client::reach(&listens.resp.to_string(), Bounds::default())?.info("aerodb")?;
            let fact = |wanted: &str| {
                told.iter().find(|(name, _)| name == wanted).map_or_else(String::new, |(_, value)| value.clone())
            };
            let (commit, position, history) = (fact("commit"), fact("durable_position"), fact("durable_history"));
            page.tell(format_args!("{name:<12}commit {commit:<6} position {position:<8} history {history}"), 0)?;
            all.push((position, history));
        }
        Ok(all)
    }

    /// The same, where all three must have the same log.
    pub(super) fn show_equal(&self, page: &mut Page<'_>) -> Result<()> {
        let all = self.show(page)?;
        let equal = all.iter().all(|one| Some(one) == all.first());
        check("the log of all three", if equal { "the same" } else { "another" }, "the same")
    }

    /// What can be tried.
    pub(super) fn invite(&self, page: &mut Page<'_>) -> Result<()> {
        let [primary, one, two] = [self.primary.resp(), self.replicas[0].resp(), self.replicas[1].resp()];
        let [at_primary, at_one, at_two] = [primary, one, two].map(|address| address.to_string());
        page.say("\nThe nodes stay. To try in another terminal:")?;
        let commands = [
            redis_cli(primary, "set plum blue"),
            redis_cli(one, "get plum"),
            redis_cli(one, "aero.at 1 get apple"),
            redis_cli(two, "aero.read atleast 1000 get plum"),
            program(&["status", "--addr", &at_one]),
            program(&["explain", "--addr", &at_two]),
            program(&["explain", "--addr", &at_one, "read", "apple"]),
            program(&["compare", &at_primary, &at_one]),
            format!("curl http://{}/", self.primary.listens().http),
        ];
        commands.iter().try_for_each(|command| page.tell(command, 4))
    }

    /// Ends all three.
    pub(super) fn close(self) -> Result<()> {
        let [one, two] = self.replicas.map(Follower::close);
        drop(self.proxy);
        one.and(two).and(self.primary.close())
    }
}

fn named(primary: &Primary, replicas: &[Follower; 2]) -> [(&'static str, Listens); 3] {
    let [one, two] = replicas;
    [("primary", primary.listens()), ("replica 1", one.serving.listens), ("replica 2", two.serving.listens)]
}
