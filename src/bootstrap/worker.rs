//! The bootstrap's loop: one link, in which it sleeps and nowhere else.
//!
//! It ends when the snapshot is in place, when it is told to, when something failed, or when a connection is lost that is not to be made
//! again. A request to end is seen between two turns and while the whole is proven; an install that was begun is finished first.

use super::core::{Bootstrap, End, Prove, Session};
use super::machine::State;
use crate::error::{Error, Result};
use crate::position::LogPoint;
use crate::published::Fact;
use crate::reason::Reason;
use crate::wire::link::{Link, Slept};
use std::io;

/// Most bytes that a turn reads before others have their turn.
const TURN_BYTES: usize = 4 * 1024 * 1024;

/// How a bootstrap ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The directory is a snapshot with this cut.
    Installed(LogPoint),
    /// It was told to end before anything counted.
    Stopped,
}

/// Fetches, proves and installs a snapshot. A lost connection is made again after so many seconds, or never; `moved` is called when there is
/// something to be seen.
///
/// # Errors
/// What failed; `replication.unreachable`, `replication.disconnected` where a connection is not to be made again.
pub fn run<L: Link>(
    core: &mut Bootstrap,
    link: &mut L,
    prove: &mut Prove<'_>,
    reconnect: Option<u32>,
    stop: &Fact<bool>,
    moved: &dyn Fn(),
) -> Result<Outcome> {
    let (mut unsent, mut due) = (Vec::new(), Some(0));
    loop {
        if stop.get() {
            link.close();
            core.close();
            return Ok(Outcome::Stopped);
        }
        let lost = if due == Some(0) {
            due = None;
            connect(core, link, &mut unsent)
        } else {
            Ok(None)
        };
        let lost = match lost {
            Ok(None) => turn(core, link, &mut unsent, prove),
            ended => ended,
        };
        moved();
        match lost {
            Ok(None) => {}
            Ok(Some(why)) => due = Some(reconnect.ok_or(why)?),
            // A proof that was ended by the request to end is no failure.
            Err(error)
                if error.reason() == Reason::ReplicationStopped && error.fact("not_kept").is_none() && stop.get() =>
            {
                core.close();
                return Ok(Outcome::Stopped);
            }
            Err(error) => return Err(error),
        }
        if core.state() == State::Installed {
            return Ok(Outcome::Installed(core.transfer().get().cut.unwrap_or_default()));
        }
        let works = matches!(core.state(), State::Proving | State::Installing);
        if works || (core.may_read() && link.is_readable()) {
            continue;
        }
        // Woken before the time was up, it waits for all of it again: the policy says how long at least (REPL-RECONNECT).
        let slept = link.sleep(due);
        let slept = slept
            .map_err(|error| Error::new(Reason::ReplicationStopped).with("operation", "poll").with("error", error))?;
        if slept == Slept::Enough {
            due = due.map(|_| 0);
        }
    }
}

/// Begins to connect; why not, where that failed at once.
///
/// # Errors
/// Those of the disk.
pub fn connect<L: Link>(core: &mut Bootstrap, link: &mut L, unsent: &mut Vec<u8>) -> Result<Option<Error>> {
    core.connect();
    unsent.clear();
    match link.connect() {
        Ok(()) => Ok(None),
        Err(error) => ended(core, link, End::Lost(unreachable(&error))),
    }
}

/// What is done between two sleeps; `unsent` is what the link has not taken yet. Why the connection was lost, if it was.
///
/// # Errors
/// What failed; the bootstrap has ended then.
pub fn turn<L: Link>(
    core: &mut Bootstrap,
    link: &mut L,
    unsent: &mut Vec<u8>,
    prove: &mut Prove<'_>,
) -> Result<Option<Error>> {
    let done = match core.state() {
        State::Proving => core.prove(prove),
        State::Installing => core.install(),
        State::Idle
        | State::Connecting
        | State::Handshaking
        | State::Asking
        | State::Receiving
        | State::Installed
        | State::Disconnected
        | State::Failed
        | State::Closed => session(core, link, unsent),
    };
    match done {
        Ok(()) => Ok(None),
        Err(end) => ended(core, link, end),
    }
}

/// What can be done for the session now.
fn session<L: Link>(core: &mut Bootstrap, link: &mut L, unsent: &mut Vec<u8>) -> Session {
    if core.state() == State::Connecting {
        if !link.is_connected().map_err(|error| End::Lost(unreachable(&error)))? {
            return Ok(());
        }
        core.connected()?;
    }
    let mut read = 0;
    while read < TURN_BYTES && core.may_read() {
        match link.read(core.space()).map_err(|error| lost(&error))? {
            Some(0) => return Err(lost(&"the primary ended it")),
            Some(count) => {
                core.filled(count)?;
                read += count;
            }
            None => break,
        }
    }
    if core.state() == State::Proving {
        // The primary need not keep for this what it serves.
        link.close();
        return Ok(());
    }
    core.turn();
    unsent.extend(core.output());
    while !unsent.is_empty()
        && let Some(count) = link.write(unsent).map_err(|error| lost(&error))?
    {
        unsent.drain(..count);
    }
    Ok(())
}

fn ended<L: Link>(core: &mut Bootstrap, link: &mut L, end: End) -> Result<Option<Error>> {
    link.close();
    let why = if let End::Lost(why) = &end { Some(why.clone()) } else { None };
    core.ended(end).map(|()| why)
}

fn lost(error: &dyn std::fmt::Display) -> End {
    End::Lost(Error::new(Reason::ReplicationDisconnected).with("error", error))
}

fn unreachable(error: &io::Error) -> Error {
    Error::new(Reason::ReplicationUnreachable).with("error", error)
}
