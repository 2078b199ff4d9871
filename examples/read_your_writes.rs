//! Reading one's own write from a replica: the number of the commit goes along with the read, and is reached, or the read is refused.
//!
//! `cargo run --example read_your_writes`

use aerodb::replica::{self, Replica, ReplicaOptions};
use aerodb::server::{self, Running, Server};
use aerodb::supervisor::Reconnect;
use aerodb::{Batch, CommitId, Database, Init, Options, Reason, Result, Wish};
use std::error::Error;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;

fn main() -> std::result::Result<(), Box<dyn Error>> {
    run(&mut io::stdout())
}

/// Shows it on `out`, which a test reads.
pub(crate) fn run(out: &mut impl Write) -> std::result::Result<(), Box<dyn Error>> {
    let place = tempfile::tempdir()?;
    let (of_primary, of_replica) = (place.path().join("primary"), place.path().join("replica"));
    Database::init(&Init::primary(&of_primary))?;
    let primary = Arc::new(Database::open(Options::new(&of_primary))?);
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let serving = serve(&primary, any)?;
    let address = serving.replication_addr().ok_or("no replicas are served")?;

    let options = Options::new(&of_replica);
    replica::init(&of_replica, &address.to_string(), &options.disk)?;
    let options = ReplicaOptions::new(options, &address.to_string());
    let replica = Replica::open(ReplicaOptions { reconnect: Reconnect::After(1), ..options })?;

    // What the writer was told goes to whoever reads: here a variable, elsewhere a field of a response, or a cookie.
    let first = put(&primary, b"red")?;
    let reached = replica.wait_for(first)?.commit;
    writeln!(out, "commit {first} is written, and the replica has commit {reached}: {}", apple(&replica, first)?)?;

    // The replica is cut off, and the primary writes on. No clock decides what may be read, so nothing is guessed from how long that takes.
    serving.stop()?;
    let second = put(&primary, b"green")?;
    match apple(&replica, second) {
        Err(behind) if behind.reason() == Reason::ReadBehind => writeln!(out, "commit {second} is written: {behind}")?,
        other => writeln!(out, "not expected: {other:?}")?,
    }
    writeln!(out, "whoever does not ask for it reads what is proven: {}", apple(&replica, first)?)?;

    // Over RESP it is AERO.READ ATLEAST commit WAIT GET apple, and AERO.WAITFOR commit.
    let serving = serve(&primary, address)?;
    let reached = replica.wait_for(second)?.commit;
    writeln!(out, "connected again, and waited for commit {reached}: {}", apple(&replica, second)?)?;

    replica.close()?;
    serving.stop()?;
    Arc::into_inner(primary).ok_or("somebody still holds the primary")?.close()?;
    Ok(())
}

/// Reads from the replica, at this commit or a later one.
fn apple(replica: &Replica, at_least: CommitId) -> Result<String> {
    let value = replica.database().read(&Wish::at_least(at_least))?.get(b"apple")?;
    Ok(String::from_utf8_lossy(&value.unwrap_or_default()).into_owned())
}

fn put(database: &Database, value: &[u8]) -> Result<CommitId> {
    let mut batch = Batch::new();
    batch.put(b"apple", value)?;
    database.commit(batch)
}

fn serve(primary: &Arc<Database>, replication: SocketAddr) -> Result<Running> {
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let options = server::Options::new(Arc::clone(primary));
    Server::bind(server::Options { listen, replication: Some(replication), ..options })?.start()
}
