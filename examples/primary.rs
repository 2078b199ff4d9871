//! A primary in a program of your own: it writes by calls, serves clients that speak RESP, and serves its log to replicas.
//!
//! `cargo run --example primary`

use aerodb::server::{self, Running, Server};
use aerodb::{Batch, Database, Init, Options, Result};
use std::error::Error;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

fn main() -> std::result::Result<(), Box<dyn Error>> {
    run(&mut io::stdout())
}

/// Shows it on `out`, which a test reads.
pub(crate) fn run(out: &mut impl Write) -> std::result::Result<(), Box<dyn Error>> {
    let place = tempfile::tempdir()?;
    let dir = place.path().join("primary");
    // A role is given once and never changes. A primary is what a standalone node is, and may serve its log.
    Database::init(&Init::primary(&dir))?;
    let database = Arc::new(Database::open(Options::new(&dir))?);
    let serving = serve(&database)?;

    let mut batch = Batch::new();
    batch.put(b"apple", b"red")?;
    batch.put(b"plum", b"blue")?;
    let commit = database.commit(batch)?;
    writeln!(out, "this program wrote commit {commit}")?;

    let mut client = BufReader::new(TcpStream::connect(serving.local_addr())?);
    for request in ["GET apple", "SET fig black", "DEL absent", "AERO.COMMITID"] {
        writeln!(out, "a client asks {request}: {}", ask(&mut client, request)?)?;
    }

    let fig = database.get(b"fig")?.unwrap_or_default();
    writeln!(out, "this program reads fig: {}", String::from_utf8(fig)?)?;
    let replicas = serving.replication_addr().map_or("nowhere", |_| "on a port of their own");
    writeln!(out, "replicas are served {replicas}")?;

    // The server first: what it has ordered is answered, and it lets go of the database.
    drop(client);
    serving.stop()?;
    let database = Arc::into_inner(database).ok_or("somebody still holds the database")?;
    database.close()?;
    writeln!(out, "closed")?;
    Ok(())
}

/// Serves clients and replicas, on one thread. Port 0 is any that is free; a node that runs for long has ports that are known.
fn serve(database: &Arc<Database>) -> Result<Running> {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let options = server::Options::new(Arc::clone(database));
    Server::bind(server::Options { listen: any, replication: Some(any), ..options })?.start()
}

/// One request and its reply; a string comes behind its length.
fn ask(client: &mut BufReader<TcpStream>, request: &str) -> io::Result<String> {
    write!(client.get_mut(), "{request}\r\n")?;
    let mut reply = String::new();
    client.read_line(&mut reply)?;
    if reply.starts_with('$') {
        reply.clear();
        client.read_line(&mut reply)?;
    }
    Ok(reply.trim_end().to_owned())
}
