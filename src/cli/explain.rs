//! `aerodb explain`: why a node is what it is, with the rules and their evidence.
//!
//! A running node explains itself (`AERO.EXPLAIN`). A directory is explained by looking only, whatever is asked: nothing in it is written or removed. The recovery, the
//! replication of a replica and what it rejected are read from its files, so they are told where the node does not start (F-RC2). For the other topics it is opened beside
//! the disk: what that would finish is finished in memory.

use crate::cli::args::{self, Place, Target};
use crate::cli::failure::printable;
use crate::cli::output::Output;
use crate::cli::remote::Server;
use aerodb::explain::{self, Explanation, Kind, Topic};
use aerodb::resp::response::Bounds;
use aerodb::{Database, Result, Wish, recovery};
use clap::ArgMatches;

/// `aerodb explain`.
pub(crate) fn explain(matches: &ArgMatches, out: &mut Output) -> Result<()> {
    let place = Place::read(matches)?;
    let kind = args::word(matches, "TOPIC").and_then(|word| Kind::ALL.iter().find(|kind| kind.name() == word));
    let kind = kind.copied().unwrap_or(match place {
        Place::Directory(_) => Kind::Recovery,
        Place::Server(_) => Kind::Replication,
    });
    let key = args::key(matches, "KEY")?;
    let (at, at_least, on) =
        (args::commit(matches, "at")?, args::commit(matches, "at-least")?, args::point(matches, "on")?);
    let wish = Wish { at, at_least, on };
    if kind != Kind::Read && wish != Wish::newest() {
        return Err(args::usage("--at, --at-least and --on belong to a read"));
    }
    let topic = Topic::of(kind, key.as_deref(), wish);
    let topic = topic.ok_or_else(|| args::usage("the topic read needs a key, and no other topic has one"))?;
    match place {
        Place::Directory(target) if kind == Kind::Recovery => {
            let examined = recovery::examine(target.options());
            match examined.refused {
                // Nothing was looked at: there is nothing there, or somebody else has it, who can be asked.
                Some(error) if examined.steps.len() <= 1 => Err(error),
                _ => tell(&explain::examined(&examined), out),
            }
        }
        #[cfg(feature = "replication")]
        Place::Directory(target) if matches!(kind, Kind::Replication | Kind::Segment) => {
            match explain::at_rest(kind, target.options())? {
                Some(explanation) => tell(&explanation, out),
                None => opened(&target, &topic, out),
            }
        }
        Place::Directory(target) => opened(&target, &topic, out),
        Place::Server(address) => {
            let mut server = Server::reach(&address, Bounds::default())?;
            let told = server.explain(kind, key.as_deref(), &wish, out.is_json())?;
            told.trim_end().lines().try_for_each(|line| out.line(printable(line)))
        }
    }
}

/// Opens the directory as a node does, beside the disk.
fn opened(target: &Target, topic: &Topic, out: &mut Output) -> Result<()> {
    let database = Database::look_into(target.options())?;
    let told = tell(&explained(topic, &database), out);
    told.and(database.close())
}

#[cfg(feature = "replication")]
fn explained(topic: &Topic, database: &Database) -> Explanation {
    explain::of(topic, database, None)
}

#[cfg(not(feature = "replication"))]
fn explained(topic: &Topic, database: &Database) -> Explanation {
    explain::of(topic, database)
}

fn tell(explanation: &Explanation, out: &mut Output) -> Result<()> {
    if out.is_json() {
        return out.line(explanation.json());
    }
    explanation.to_string().lines().try_for_each(|line| out.line(printable(line)))
}
