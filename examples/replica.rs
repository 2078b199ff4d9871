//! A replica in a program of your own: it begins with a snapshot of its primary, follows, answers what is proven, and explains itself.
//!
//! `cargo run --example replica`

use aerodb::begin::{self, BeginOptions};
use aerodb::replica::{Replica, ReplicaOptions};
use aerodb::server::{self, Server};
use aerodb::{Batch, CommitId, Database, Init, Options, Result, Wish, explain};
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
    let options = server::Options::new(Arc::clone(&primary));
    let serving = Server::bind(server::Options { listen: any, replication: Some(any), ..options })?.start()?;
    let address = serving.replication_addr().ok_or("no replicas are served")?.to_string();
    put(&primary, b"apple", b"red")?;
    primary.checkpoint()?; // what a snapshot is made of; the log behind it follows

    // `replica::init` instead of these two begins with the whole log, as long as the primary has kept it.
    let beginning = BeginOptions::new(Options::new(&of_replica));
    begin::introduce(&beginning.options, &address)?;
    begin::snapshot(&beginning, &address, 0, &|_| {})?;

    let replica = Replica::open(ReplicaOptions::new(Options::new(&of_replica), &address))?;
    writeln!(out, "the snapshot has commit {}", replica.commit())?;
    let commit = put(&primary, b"apple", b"green")?;
    replica.wait_for(commit)?;

    let view = replica.database().read(&Wish::newest())?;
    let apple = view.get(b"apple")?.unwrap_or_default();
    writeln!(out, "at commit {} apple is {}", view.commit(), String::from_utf8(apple)?)?;
    drop(view);
    let refused = put(replica.database(), b"apple", b"blue").err().ok_or("a replica made history")?;
    writeln!(out, "writing is refused: {}", refused.reason())?;

    let status = replica.status();
    let reads = status.reads.map_or_else(|| "safe".to_owned(), |refusal| refusal.to_string());
    let halt = status.halt.map_or_else(|| "none".to_owned(), |halt| halt.to_string());
    writeln!(out, "status: commit {} applied, reads {reads}, halt {halt}", status.applied.commit)?;
    let explanation = explain::read(replica.database(), b"apple", &Wish::newest());
    writeln!(out, "why: {}", explanation.conclusion.sentence)?;
    // Those of the gate first; those with a subject are about one version of the key each.
    for gate in explanation.rules.iter().filter(|applied| applied.subject.is_empty()) {
        writeln!(out, "  {} {}", gate.evaluation.name(), gate.rule)?;
    }

    replica.close()?;
    serving.stop()?;
    Arc::into_inner(primary).ok_or("somebody still holds the primary")?.close()?;
    Ok(())
}

fn put(database: &Database, key: &[u8], value: &[u8]) -> Result<CommitId> {
    let mut batch = Batch::new();
    batch.put(key, value)?;
    database.commit(batch)
}
