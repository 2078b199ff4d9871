//! `aerodb serve`: a node for clients, from its settings to its end.
//!
//! ```text
//! settings ─► open files ─► listen ─► identity ─► free space ─► (init) ─► open ─► ready ─► … ─► asked to end ─► close
//!                              └──────────────── lobby ────────────────────┘
//! ```
//!
//! What can be refused is refused before anything is made, in this order. Until the directory is open clients are in the lobby. Whoever waits
//! for the server reads one line on standard output once it serves, and the service manager is told the same. A request to end is no failure: the exit status is 0 once the
//! database is closed.

use crate::cli::output::Output;
use crate::cli::session::tell_recovery;
use crate::cli::{args, logs, settings};
use aerodb::committer::Retention;
use aerodb::config::{Bytes, Config, Given, Origin, Retained};
use aerodb::disk::{Disk, RealDisk, room};
use aerodb::http::{self, pages::Front};
use aerodb::recovery::Progress;
use aerodb::server::lobby::{Board, Lobby, LobbyOptions};
use aerodb::server::window::Window;
use aerodb::server::{self, Server, feeds};
use aerodb::sync::Arc;
use aerodb::wire::notify::{self, State};
use aerodb::{Database, Error, Identity, Init, Options, Parameters, Reason, Result, Role, limits, recovery};
use clap::ArgMatches;
use serde_json::json;
use std::net::SocketAddr;
use std::path::Path;

/// `aerodb serve`.
pub(crate) fn serve(matches: &ArgMatches, out: &mut Output) -> Result<()> {
    let config = settings::resolve(matches)?;
    config.check()?;
    logs::start(config.log_level.value, config.log_format.value);
    let dir = config.directory()?;
    let replicas = if config.replication.value.is_some() { feeds::FILES } else { 0 };
    check_open_files(room::open_files(), config.max_clients.value, replicas, http_files(&config))?;
    let lobby = lobby(&config, config.listen.value, None)?;
    let http = Http::start(&config, lobby.board())?;
    prepare(&config, dir, lobby.board())?;

    let database = Arc::new(Database::open(options(&config, dir, lobby.board()))?);
    tell_recovery(database.report());
    let window = Arc::new(Window::default());
    let mut options = server::Options::new(Arc::clone(&database));
    options.listen = config.listen.value;
    options.replication = config.replication.value;
    options.serve_rate = config.serve_rate.value.map(|rate| rate.0);
    options.allow_remote = config.remote.value;
    options.max_clients = config.max_clients.value;
    options.client_memory = config.client_memory.value.0;
    options.tcp_keepalive = config.tcp_keepalive.value;
    options.window = http.is_some().then(|| Arc::clone(&window));
    options.catch_signals = true;
    let server = Server::take_over(options, lobby.close()?)?;
    http.iter()
        .for_each(|http| http.front.serve(http::pages::Node::Writer(Arc::clone(&database), Arc::clone(&window))));
    let (address, commit) = (server.local_addr(), database.status().commit);
    let Identity { role, database_id, .. } = *database.identity();
    let replication = server.replication_addr().map(|address| address.to_string());
    let also = replication.as_ref().map_or_else(String::new, |address| format!(" and for replicas on {address}"));
    let shown = Http::told(http.as_ref());
    let line = format!("listening on {address}{also}{shown} ({role}, database {database_id}, commit {commit})");
    out.answer(&line, || {
        json!({
            "listening": address.to_string(),
            "replication": &replication,
            "http": http.as_ref().map(|http| http.address().to_string()),
            "role": role.name(),
            "database": database_id.to_string(),
            "commit": commit.0,
        })
    })?;
    out.flush()?;
    let replicas = replication.unwrap_or_default();
    log::info!(address:%, replicas, database:% = database_id, commit = commit.0; "listening");
    tell(State::Ready(&line));

    let stop = server.run();
    tell(State::Stopping);
    // It holds the database too.
    drop(http);
    let closed = Arc::into_inner(database).expect("the server has let go of the database").close();
    match (stop, closed) {
        (Ok(stop), closed) => {
            log::info!(cause:? = stop; "stopped");
            closed
        }
        (Err(failure), closed) => {
            if let Err(error) = closed {
                log::error!(code = error.reason().name(); "closing: {error}");
            }
            Err(failure)
        }
    }
}

/// The node as it is shown over HTTP, at one address from the beginning of the process to its end.
pub(super) struct Http {
    pub(super) front: Arc<Front>,
    running: http::Running,
}

impl Http {
    /// Shows the node, if that is wanted: at first that there is nothing to serve yet, and why.
    pub(super) fn start(config: &Config, board: &Arc<Board>) -> Result<Option<Http>> {
        let Some(listen) = config.http.value else { return Ok(None) };
        let options = http::Options {
            allow_remote: config.remote.value,
            tcp_keepalive: config.tcp_keepalive.value,
            ..http::Options::new(listen)
        };
        let front = Arc::new(Front::new(Arc::clone(board)));
        let running = http::Server::bind(options, Box::new(Arc::clone(&front)))?.start()?;
        log::info!(address:% = running.local_addr(); "shown over HTTP");
        Ok(Some(Http { front, running }))
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.running.local_addr()
    }

    /// Where it is shown, in the line that says that the node listens.
    pub(super) fn told(http: Option<&Http>) -> String {
        http.map_or_else(String::new, |http| format!(" and for HTTP on {}", http.address()))
    }
}

/// The open files that it needs.
pub(super) fn http_files(config: &Config) -> u64 {
    config.http.value.map_or(0, |_| http::server::FILES)
}

/// Tells the service manager, if there is one that wants to know.
pub(super) fn tell(state: State<'_>) {
    let Some(socket) = std::env::var_os(notify::VARIABLE) else { return };
    if let Err(error) = notify::tell(&socket, state) {
        log::warn!(socket:? = socket; "the service manager was not told: {error}");
    }
}

/// Lets clients in, before there is anything to serve.
pub(super) fn lobby(config: &Config, listen: SocketAddr, primary: Option<&str>) -> Result<Lobby> {
    let lobby = Lobby::open(LobbyOptions {
        listen,
        allow_remote: config.remote.value,
        max_clients: config.max_clients.value,
        client_memory: config.client_memory.value.0,
        tcp_keepalive: config.tcp_keepalive.value,
        primary: primary.map(str::to_owned),
    })?;
    log::info!(address:% = lobby.local_addr(); "answers; there is no database to serve yet");
    Ok(lobby)
}

pub(super) fn options(config: &Config, dir: &Path, board: &Arc<Board>) -> Options {
    let board = Arc::clone(board);
    Options {
        retention: match config.retention.value {
            Retained::All => Retention::All,
            Retained::Bytes(bytes) => Retention::Bytes(bytes),
        },
        cache_bytes: config.cache_bytes.value.0,
        pinned_bytes_max: config.pinned_bytes.value.0,
        proofs: config.replication.value.is_some(),
        watch: Some(Arc::new(move |seen| {
            tell_progress(seen);
            board.recovers(seen);
        })),
        ..Options::new(dir)
    }
}

/// Says how far a long replay is. Each step says itself what it found.
fn tell_progress(seen: &Progress) {
    if seen.recovery.state == recovery::machine::State::Log {
        log::info!(target: "recovery", position:% = seen.replayed, end:% = seen.end; "replaying");
    }
}

/// Refuses more clients and replicas than there may be open files, rather than failing in the middle of a commit that needs one.
pub(super) fn check_open_files(limit: u64, clients: u32, replicas: u64, http: u64) -> Result<()> {
    let needed = limits::NODE_FILES.saturating_add(clients.into()).saturating_add(replicas).saturating_add(http);
    if needed <= limit {
        return Ok(());
    }
    let refused = Error::new(Reason::ProcessFileLimit).with("limit", limit).with("needed", needed);
    let refused = refused.with("max-clients", clients).with("replicas", replicas).with("http", http);
    Err(refused.with("node", limits::NODE_FILES))
}

/// Refuses a file system that a node would fill at once: the segment it writes and the next, and every table that may be waiting to
/// become a run.
pub(super) fn check_room(free: u64, parameters: &Parameters) -> Result<()> {
    let tables = parameters.table_bytes.saturating_mul(limits::SEALED_TABLES_MAX as u64 + 1);
    let needed = parameters.segment_bytes.saturating_mul(2).saturating_add(tables);
    if needed <= free { Ok(()) } else { Err(Error::new(Reason::DiskNoRoom).with("free", free).with("needed", needed)) }
}

/// Refuses a directory that is not as the settings say; a new one is made.
fn prepare(config: &Config, dir: &Path, board: &Board) -> Result<()> {
    match recovery::refuse_other_places(&RealDisk, dir) {
        Ok(()) => {
            let identity = Identity::read(&RealDisk, dir)?;
            board.identified(&identity);
            let Identity { role, parameters, .. } = identity;
            check_role(config, role)?;
            check_parameters(config, &parameters)?;
            check_room(room::free_bytes(dir)?, &parameters)
        }
        Err(error) if error.reason() == Reason::DirNotFound => {
            let role = if config.replication.value.is_some() { Role::Primary } else { Role::Standalone };
            let init = Init { role, parameters: parameters(config)?, ..Init::standalone(dir) };
            let place = if RealDisk.list(dir)?.is_some() { dir } else { recovery::parent(dir) };
            check_room(room::free_bytes(place)?, &init.parameters)?;
            let identity = Database::init(&init)?;
            board.identified(&identity);
            log::info!(database:% = identity.database_id, node:% = identity.node_id; "made a new directory");
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// The parameters of a new directory.
fn parameters(config: &Config) -> Result<Parameters> {
    Ok(Parameters {
        segment_bytes: config.segment_bytes.value.0,
        table_bytes: config.table_bytes.value.0,
        block_bytes: args::narrow("block-bytes", config.block_bytes.value.0)?,
        fanout: config.fanout.value,
    })
}

/// A replica is served by another command: this one makes history. Only a primary serves its log (R-AUTHORITY).
fn check_role(config: &Config, role: Role) -> Result<()> {
    let (right, expected) = match config.replication.value {
        Some(_) => (role == Role::Primary, Role::Primary.name()),
        None => (role.writes(), "standalone or primary"),
    };
    if right {
        Ok(())
    } else {
        Err(Error::new(Reason::IdentityOtherRole).with("expected", expected).with("found", role))
    }
}

/// Refuses a parameter that somebody gave and that the directory does not have.
fn check_parameters(config: &Config, found: &Parameters) -> Result<()> {
    let check = |name: &str, origin: &Origin, given: u64, found: u64| {
        if *origin == Origin::Default || given == found {
            return Ok(());
        }
        let refused = Error::new(Reason::IdentityOtherParameters).with("setting", name);
        Err(refused.with("value", given).with("origin", origin).with("found", found))
    };
    let bytes = |name: &str, given: &Given<Bytes>, found: u64| check(name, &given.origin, given.value.0, found);
    bytes("segment-bytes", &config.segment_bytes, found.segment_bytes)?;
    bytes("table-bytes", &config.table_bytes, found.table_bytes)?;
    bytes("block-bytes", &config.block_bytes, found.block_bytes.into())?;
    check("fanout", &config.fanout.origin, config.fanout.value.into(), found.fanout.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_and_node_must_fit_into_the_limit_of_open_files() {
        let needed = limits::NODE_FILES + 100;
        check_open_files(needed, 60, 30, 10).unwrap();
        let error = check_open_files(needed - 1, 60, 30, 10).unwrap_err();
        assert_eq!(error.reason(), Reason::ProcessFileLimit);
        let facts = (error.fact("limit"), error.fact("needed"));
        assert_eq!(facts, (Some((needed - 1).to_string().as_str()), Some(needed.to_string().as_str())));
    }

    #[test]
    fn two_segments_and_the_tables_that_may_wait_must_fit_on_the_disk() {
        let parameters = Parameters { segment_bytes: 100, table_bytes: 10, ..Parameters::default() };
        check_room(240, &parameters).unwrap();
        assert_eq!(check_room(239, &parameters).unwrap_err().reason(), Reason::DiskNoRoom);
    }
}
