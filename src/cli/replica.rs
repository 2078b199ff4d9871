//! `aerodb replica`: a node that follows a primary, from its settings to its end; and `aerodb resume`, which clears a halt.
//!
//! ```text
//! settings ─► open files ─► identity (or the primary's, for a new directory) ─► open, prove ─► listen ─► ready ─► … ─► close
//! ```
//!
//! It stays up when replication ends: whoever looks for the reason finds it. Where the Applier failed it opens its directory again,
//! which is recovery, as often as that gets further (REPL-RECOVER).

use crate::cli::output::Output;
use crate::cli::session::tell_recovery;
use crate::cli::{args, logs, serve, settings};
use aerodb::config::{Again, Bootstrap, Config};
use aerodb::disk::{Disk, RealDisk, room};
use aerodb::replica::{self, Replica, ReplicaOptions};
use aerodb::replica_state::Halt;
use aerodb::server::{self, Server, Stop};
use aerodb::supervisor::{Reconnect, Recoveries};
use aerodb::sync::Arc;
use aerodb::wire::notify::State;
use aerodb::{Error, Identity, Options, Position, Reason, Result, Role, recovery};
use clap::ArgMatches;
use serde_json::json;
use std::path::Path;

/// `aerodb replica`.
pub(crate) fn replica(matches: &ArgMatches, out: &mut Output) -> Result<()> {
    let config = settings::resolve(matches)?;
    let primary = config.check_replica()?;
    logs::start(config.log_level.value, config.log_format.value);
    let dir = config.directory()?;
    serve::check_open_files(room::open_files(), config.max_clients.value, 0)?;
    prepare(&config, dir, primary)?;
    let mut recoveries = Recoveries::default();
    while let Some((failure, at)) = follow(&config, dir, primary, out, &recoveries)? {
        log::warn!(position:% = at; "what applies failed; the directory is opened again: {failure}");
        recoveries.again(failure, at)?;
    }
    Ok(())
}

/// Follows until it is asked to end; or until what applies has failed: why, and where.
fn follow(
    config: &Config,
    dir: &Path,
    primary: &str,
    out: &mut Output,
    recoveries: &Recoveries,
) -> Result<Option<(Error, Position)>> {
    let replica = Arc::new(Replica::open(ReplicaOptions {
        reconnect: match config.reconnect.value {
            Again::Never => Reconnect::Never,
            Again::Seconds(seconds) => Reconnect::After(seconds),
        },
        tcp_keepalive: config.tcp_keepalive.value,
        recoveries: recoveries.clone(),
        ..ReplicaOptions::new(serve::options(config, dir), primary)
    })?);
    tell_recovery(replica.database().report());
    let server = Server::bind(server::Options {
        listen: config.listen.value,
        allow_remote: config.remote.value,
        max_clients: config.max_clients.value,
        client_memory: config.client_memory.value.0,
        replica: Some(Arc::clone(&replica)),
        tcp_keepalive: config.tcp_keepalive.value,
        catch_signals: true,
        ..server::Options::new(Arc::clone(replica.database()))
    })?;
    let (address, commit) = (server.local_addr(), replica.commit());
    let Identity { database_id, .. } = *replica.identity();
    let halt = replica.status().halt.map(|halt| halt.to_string());
    let line = format!("listening on {address} (replica of {primary}, database {database_id}, commit {commit})");
    // Whoever waited for the start has read it.
    if recoveries.count() == 0 {
        out.answer(&line, || {
            json!({
                "listening": address.to_string(),
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
    serve::tell(State::Ready(&line));
    let stopper = server.stopper();
    replica.on_applier_failure(move || stopper.stop());

    let stop = server.run();
    // A request to end goes before recovery.
    let failed = replica.applier_failed().filter(|_| matches!(stop, Ok(Stop::Stopped)));
    if failed.is_none() {
        serve::tell(State::Stopping);
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

/// Refuses a directory that is not a replica's; a new one is made as the policy says.
fn prepare(config: &Config, dir: &Path, primary: &str) -> Result<()> {
    match recovery::refuse_other_places(&RealDisk, dir) {
        Ok(()) => {
            let Identity { role, parameters, .. } = Identity::read(&RealDisk, dir)?;
            if role != Role::Replica {
                let other = Error::new(Reason::IdentityOtherRole).with("expected", Role::Replica);
                return Err(other.with("found", role));
            }
            serve::check_room(room::free_bytes(dir)?, &parameters)
        }
        Err(error) if error.reason() == Reason::DirNotFound => match config.bootstrap.value {
            Bootstrap::Log => {
                let disk: Arc<dyn Disk> = Arc::new(RealDisk);
                let identity = replica::init(dir, primary, &disk)?;
                log::info!(database:% = identity.database_id, node:% = identity.node_id; "made a new directory");
                Ok(())
            }
            Bootstrap::Never => Err(Error::new(Reason::BootstrapRequired).with("directory", dir.display())),
        },
        Err(error) => Err(error),
    }
}

/// `aerodb resume`: clears the halt that is named, and no other.
pub(crate) fn resume(matches: &ArgMatches, out: &mut Output) -> Result<()> {
    let options = Options::new(args::path(matches, "DIR")?);
    let named = args::word(matches, "clear").ok_or_else(|| args::usage("--clear CODE@POSITION names the halt"))?;
    let (reason, position) = Halt::parse(named)?;
    let halt = replica::resume(&options, reason, position)?;
    out.answer(
        format!("cleared {halt}: the next start follows the primary again"),
        || json!({ "cleared": halt.to_string(), "evidence": halt.evidence }),
    )
}
