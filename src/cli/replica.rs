//! `aerodb replica`: a node that follows a primary, from its settings to its end; and `aerodb resume`, which clears a halt.
//!
//! ```text
//! settings ─► open files ─► listen ─► identity (or the primary's, for a new directory) ─► (snapshot) ─► open, prove ─► ready ─► … ─► close
//!                              └───────────────────────────── lobby ─────────────────────────────────────────┘
//! ```
//!
//! Until the directory is open clients are in the lobby. How far a snapshot is stands there, in the log, and on a terminal. A request to end
//! ends it, and is no failure.
//!
//! It stays up when replication ends: whoever looks for the reason finds it. Where the Applier failed it opens its directory again,
//! which is recovery, as often as that gets further (REPL-RECOVER).

use crate::cli::output::{Output, Progress};
use crate::cli::serve::Http;
use crate::cli::session::tell_recovery;
use crate::cli::{args, logs, serve, settings};
use aerodb::begin::{self, BeginOptions};
use aerodb::bootstrap::install::Settled;
use aerodb::bootstrap::worker::Outcome;
use aerodb::bootstrap::{self, Transfer, machine::State};
use aerodb::config::{Again, Bootstrap, Config};
use aerodb::disk::{Disk, RealDisk, room};
use aerodb::http;
use aerodb::replica::{self, Replica, ReplicaOptions};
use aerodb::replica_state::{Halt, Origin};
use aerodb::server::lobby::{Board, Lobby};
use aerodb::server::window::Window;
use aerodb::server::{self, Server, Stop};
use aerodb::supervisor::{Reconnect, Recoveries};
use aerodb::sync::Arc;
use aerodb::wire::notify;
use aerodb::{Error, Identity, Options, Position, Reason, Result, Role, recovery};
use clap::ArgMatches;
use serde_json::json;
use std::cell::RefCell;
use std::path::Path;

/// `aerodb replica`.
pub(crate) fn replica(matches: &ArgMatches, out: &mut Output) -> Result<()> {
    let config = settings::resolve(matches)?;
    let primary = config.check_replica()?;
    logs::start(config.log_level.value, config.log_format.value);
    let dir = config.directory()?;
    serve::check_open_files(room::open_files(), config.max_clients.value, 0, serve::http_files(&config))?;
    let order = args::word(matches, "rebootstrap").map(Halt::parse).transpose()?;
    let mut lobby = serve::lobby(&config, config.listen.value, Some(primary))?;
    let address = lobby.local_addr();
    let mut http = Http::start(&config, lobby.board())?;
    let Some(mut settled) = prepare(&config, dir, primary, order, lobby.board())? else {
        log::info!("asked to end before the snapshot was in place; the directory is what it was");
        return Ok(());
    };
    let mut recoveries = Recoveries::default();
    while let Some((failure, at)) =
        follow(&config, dir, primary, (lobby, &mut http), out, &recoveries, std::mem::take(&mut settled))?
    {
        log::warn!(position:% = at; "what applies failed; the directory is opened again: {failure}");
        recoveries.again(failure, at)?;
        lobby = serve::lobby(&config, address, Some(primary))?;
        lobby.board().identified(&Identity::read(&RealDisk, dir)?);
        http.iter().for_each(|http| http.front.wait(Arc::clone(lobby.board())));
    }
    Ok(())
}

/// Follows until it is asked to end; or until what applies has failed: why, and where.
fn follow(
    config: &Config,
    dir: &Path,
    primary: &str,
    (lobby, http): (Lobby, &mut Option<Http>),
    out: &mut Output,
    recoveries: &Recoveries,
    settled: Settled,
) -> Result<Option<(Error, Position)>> {
    let opening = Options { settled, ..serve::options(config, dir, lobby.board()) };
    let replica = Arc::new(Replica::open(ReplicaOptions {
        reconnect: reconnect(config),
        tcp_keepalive: config.tcp_keepalive.value,
        recoveries: recoveries.clone(),
        ..ReplicaOptions::new(opening, primary)
    })?);
    tell_recovery(replica.database().report());
    let (window, board) = (Arc::new(Window::default()), Arc::clone(lobby.board()));
    let options = server::Options {
        listen: lobby.local_addr(),
        allow_remote: config.remote.value,
        max_clients: config.max_clients.value,
        client_memory: config.client_memory.value.0,
        replica: Some(Arc::clone(&replica)),
        tcp_keepalive: config.tcp_keepalive.value,
        window: http.as_ref().map(|_| Arc::clone(&window)),
        catch_signals: true,
        ..server::Options::new(Arc::clone(replica.database()))
    };
    let server = Server::take_over(options, lobby.close()?)?;
    http.iter()
        .for_each(|http| http.front.serve(http::pages::Node::Replica(Arc::clone(&replica), Arc::clone(&window))));
    let (address, commit) = (server.local_addr(), replica.commit());
    let Identity { database_id, .. } = *replica.identity();
    let halt = replica.status().halt.map(|halt| halt.to_string());
    let shown = Http::told(http.as_ref());
    let line = format!("listening on {address}{shown} (replica of {primary}, database {database_id}, commit {commit})");
    // Whoever waited for the start has read it.
    if recoveries.count() == 0 {
        out.answer(&line, || {
            json!({
                "listening": address.to_string(),
                "http": http.as_ref().map(|http| http.address().to_string()),
                "role": "replica",
                "primary": primary,
                "database": database_id.to_string(),
                "commit": commit.0,
                "halt": halt,
            })
        })?;
        out.flush()?;
    }
    log::info!(address:%, primary, database:% = database_id, commit = commit.0; "listening");
    if let Some(halt) = halt {
        log::error!(code = Reason::ReplicaHalted.name(), halt; "halted; `aerodb resume` clears what is named");
    }
    serve::tell(notify::State::Ready(&line));
    let stopper = server.stopper();
    replica.on_applier_failure(move || stopper.stop());

    let stop = server.run();
    // A request to end goes before recovery.
    let failed = replica.applier_failed().filter(|_| matches!(stop, Ok(Stop::Stopped)));
    // What is shown over HTTP holds the replica too.
    if failed.is_none() {
        serve::tell(notify::State::Stopping);
        drop(http.take());
    } else {
        board.begins_again();
        http.iter().for_each(|http| http.front.wait(Arc::clone(&board)));
    }
    let closed = Arc::into_inner(replica).expect("the server has let go of the replica").close();
    match (stop, failed) {
        // Its failure is what is recovered from.
        (Ok(_), Some(failed)) => Ok(Some(failed)),
        (Ok(stop), None) => {
            log::info!(cause:? = stop; "stopped");
            closed.map(|()| None)
        }
        (Err(failure), _) => {
            if let Err(error) = closed {
                log::error!(code = error.reason().name(); "closing: {error}");
            }
            Err(failure)
        }
    }
}

fn reconnect(config: &Config) -> Reconnect {
    match config.reconnect.value {
        Again::Never => Reconnect::Never,
        Again::Seconds(seconds) => Reconnect::After(seconds),
    }
}

/// Refuses a directory that is not a replica's; one without data is filled as the policy says, one that has halted as the order does
/// (SNAP-ORDER). What was found in it and settled, now that it holds data; nothing where the process was asked to end first.
fn prepare(
    config: &Config,
    dir: &Path,
    primary: &str,
    order: Option<(Reason, Position)>,
    board: &Arc<Board>,
) -> Result<Option<Settled>> {
    let ready = Some(Settled::default());
    let options = serve::options(config, dir, board);
    match recovery::refuse_other_places(&RealDisk, dir) {
        Ok(()) => {
            let identity = Identity::read(&RealDisk, dir)?;
            board.identified(&identity);
            let Identity { role, parameters, .. } = identity;
            if role != Role::Replica {
                let other = Error::new(Reason::IdentityOtherRole).with("expected", Role::Replica);
                return Err(other.with("found", role));
            }
            serve::check_room(room::free_bytes(dir)?, &parameters)?;
            let state = begin::look(&options)?;
            match (order, state.origin, config.bootstrap.value) {
                // A halt is told by name, whatever the policy.
                (None, Origin::Nothing, Bootstrap::Log | Bootstrap::Never) if state.halt.is_none() => {
                    state.check_complete().map(|()| ready)
                }
                (Some(_), _, _) | (None, Origin::Nothing, _) => snapshot(config, options, primary, order, board),
                (None, Origin::Log | Origin::Snapshot(_) | Origin::Backup(_), _) => Ok(ready),
            }
        }
        Err(error) if error.reason() == Reason::DirNotFound => {
            if let Some((reason, position)) = order {
                let named = Halt { reason, position, evidence: String::new() };
                return Err(Error::new(Reason::HaltOther).with("named", named).with("halt", "none"));
            }
            let disk: Arc<dyn Disk> = Arc::new(RealDisk);
            let watch = |progress: &bootstrap::Progress<'_>| board.bootstraps(progress.seen.clone(), progress.transfer);
            match config.bootstrap.value {
                Bootstrap::Snapshot => {
                    let introduce = || begin::introduce(&options, primary);
                    told(&begin::persist(reconnect(config), &watch, introduce)?, board);
                    snapshot(config, options, primary, None, board)
                }
                Bootstrap::Log => {
                    let init = || replica::init(dir, primary, &disk);
                    told(&begin::persist(reconnect(config), &watch, init)?, board);
                    board.begins_again();
                    Ok(ready)
                }
                Bootstrap::Never => Err(Error::new(Reason::BootstrapRequired).with("directory", dir.display())),
            }
        }
        Err(error) => Err(error),
    }
}

fn told(identity: &Identity, board: &Board) {
    board.identified(identity);
    log::info!(database:% = identity.database_id, node:% = identity.node_id; "made a new directory");
}

/// Fills the directory with a snapshot, and shows how far that is.
fn snapshot(
    config: &Config,
    options: Options,
    primary: &str,
    order: Option<(Reason, Position)>,
    board: &Board,
) -> Result<Option<Settled>> {
    if let Some((reason, position)) = order {
        log::warn!(halt:% = Halt { reason, position, evidence: String::new() }, primary; "the data of this replica is to be replaced");
    }
    let begin = BeginOptions { reconnect: reconnect(config), order, catch_signals: true, ..BeginOptions::new(options) };
    let (shown, settled) = (RefCell::new(Shown::default()), RefCell::new(Settled::default()));
    let watch = |progress: &bootstrap::Progress<'_>| {
        board.bootstraps(progress.seen.clone(), progress.transfer);
        shown.borrow_mut().show(progress.seen.state, &progress.transfer);
        settled.borrow_mut().clone_from(progress.settled);
    };
    match begin::snapshot(&begin, primary, config.tcp_keepalive.value, &watch)? {
        Outcome::Installed(_) => Ok(Some(settled.take())),
        Outcome::Stopped => Ok(None),
    }
}

/// How far a bootstrap is: a line on a terminal, and one of the log for each tenth.
#[derive(Default)]
struct Shown {
    state: Option<State>,
    terminal: Option<Progress>,
    tenths: u64,
}

impl Shown {
    fn show(&mut self, state: State, transfer: &Transfer) {
        let (verb, done) = match state {
            State::Receiving => ("receiving", transfer.came),
            State::Proving => ("proving", transfer.proven),
            State::Idle
            | State::Connecting
            | State::Handshaking
            | State::Asking
            | State::Installing
            | State::Installed
            | State::Disconnected
            | State::Failed
            | State::Closed => {
                (self.state, self.terminal) = (Some(state), None);
                return;
            }
        };
        if self.state != Some(state) {
            (self.state, self.terminal, self.tenths) = (Some(state), Some(Progress::new(verb)), 0);
        }
        if let Some(terminal) = &mut self.terminal {
            terminal.show(done, transfer.total);
        }
        let tenths = done.saturating_mul(10).checked_div(transfer.total).unwrap_or(10);
        if tenths > self.tenths {
            self.tenths = tenths;
            let (total, attempts) = (transfer.total, transfer.attempts);
            log::info!(state:%, done, total, attempts; "{verb}: {} %", tenths.saturating_mul(10));
        }
    }
}

/// `aerodb resume`: clears the halt that is named, and no other.
pub(crate) fn resume(matches: &ArgMatches, out: &mut Output) -> Result<()> {
    let options = Options::new(args::path(matches, "DIR")?);
    let named = args::word(matches, "clear").ok_or_else(|| args::usage("--clear CODE@POSITION names the halt"))?;
    let (reason, position) = Halt::parse(named)?;
    let (halt, counts) = replica::resume(&options, reason, position)?;
    let counts = counts.map(|halt| halt.to_string());
    let then = match &counts {
        None => "the next start follows the primary again".to_owned(),
        Some(first) => format!("the data is still halted by {first}, which an order had answered in vain"),
    };
    out.answer(
        format!("cleared {halt}: {then}"),
        || json!({ "cleared": halt.to_string(), "evidence": halt.evidence, "halt": counts }),
    )
}
