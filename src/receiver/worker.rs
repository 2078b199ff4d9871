//! The Receiver's thread: one inbox, one link, one loop that sleeps in the link and nowhere else.
//!
//! It is woken by the connection, by an order, and, only while it waits for them, by the stages behind it. It ends when it is told to, when
//! nobody gives orders any more, when the Validator is gone, or when something failed; what it handed on before is proven and applied.

use super::core::{End, Progress, Receiver, Session};
use super::machine::State;
use crate::chunk::Chunk;
use crate::error::{Error, Result};
use crate::queue::{self, Sender, TryRecv};
use crate::reason::Reason;
use crate::sync::seeded;
pub use crate::wire::link::{Link, Slept};
use std::io;

/// Most bytes that a turn reads before they are made durable.
const TURN_BYTES: usize = 4 * 1024 * 1024;

/// What the Receiver is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Connect, after so many seconds.
    Connect {
        /// The delay that the policy states.
        after_seconds: u32,
    },
    /// End.
    Stop,
}

/// How the stages behind wake the Receiver.
pub trait Wakes {
    /// Asks to be woken when they have come further. The look at how far they are comes after this.
    fn listen(&self);
}

/// What the thread works with.
pub struct Surroundings<'a, L, W> {
    /// The connection.
    pub link: L,
    /// What it is told.
    pub inbox: &'a queue::Receiver<Order>,
    /// Where chunks go.
    pub out: &'a Sender<Chunk>,
    /// Who wakes it.
    pub bell: &'a W,
}

/// The body of the thread. `progress` tells how far the stages behind are; `moved` is called when there is something to be seen.
///
/// # Errors
/// What failed.
pub fn run<L: Link, W: Wakes>(
    mut core: Receiver,
    mut around: Surroundings<'_, L, W>,
    progress: impl Fn() -> Progress,
    moved: impl Fn(),
) -> Result<()> {
    let mut unsent = Vec::new();
    let mut due = None;
    let outcome = 'turns: loop {
        // All of them: a wake-up counts for every order that came before it.
        loop {
            match around.inbox.try_recv() {
                Ok(Order::Connect { after_seconds }) => due = Some(after_seconds),
                Ok(Order::Stop) | Err(TryRecv::Disconnected) => break 'turns Ok(()),
                Err(TryRecv::Empty) => break,
            }
            if seeded("the receiver takes one order for a wake-up") {
                break;
            }
        }
        if due == Some(0) {
            due = None;
            connect(&mut core, &mut around.link, &mut unsent);
        }
        let seen = progress();
        let turned = turn(&mut core, &mut around.link, &mut unsent, &seen);
        // Why the Validator is gone was first, and is for it to say.
        if core.handed().into_iter().any(|chunk| around.out.send(chunk).is_err()) {
            break Ok(());
        }
        if turned.is_err() {
            break turned;
        }
        moved();
        if core.may_read() && around.link.is_readable() {
            continue;
        }
        if core.waits() {
            let early = seeded("the receiver looks before it asks to be woken").then(&progress);
            around.bell.listen();
            let now = early.unwrap_or_else(&progress);
            if now != seen && !seeded("the receiver does not look again before it sleeps") {
                continue;
            }
        }
        match around.link.sleep(due) {
            // Woken before the time was up, it waits for all of it again: the policy says how long at least (REPL-RECONNECT).
            Ok(slept) => {
                let enough = slept == Slept::Enough || seeded("a wake-up is taken for the time that was stated");
                if enough && core.state() != State::Connecting {
                    due = due.map(|_| 0);
                }
            }
            Err(error) => {
                break Err(Error::new(Reason::ReplicationStopped).with("operation", "poll").with("error", error));
            }
        }
    };
    around.link.close();
    outcome.and(core.close())
}

/// Begins to connect.
pub fn connect<L: Link>(core: &mut Receiver, link: &mut L, unsent: &mut Vec<u8>) {
    core.connect();
    unsent.clear();
    if let Err(error) = link.connect() {
        lose(core, link, unreachable(&error));
    }
}

/// What the thread does between two sleeps; `unsent` is what the link has not taken yet.
///
/// # Errors
/// What failed; the Receiver has ended then.
pub fn turn<L: Link>(core: &mut Receiver, link: &mut L, unsent: &mut Vec<u8>, progress: &Progress) -> Result<()> {
    match session(core, link, unsent, progress) {
        Ok(()) => Ok(()),
        Err(End::Lost(why)) => {
            // What came whole is kept.
            let kept = core.turn(progress);
            lose(core, link, why);
            kept
        }
        Err(End::Failed(fault)) => {
            core.ended(&End::Failed(fault.clone()));
            Err(fault)
        }
    }
}

/// What can be done for the session now.
fn session<L: Link>(core: &mut Receiver, link: &mut L, unsent: &mut Vec<u8>, progress: &Progress) -> Session {
    if core.state() == State::Connecting {
        if !link.is_connected().map_err(|error| End::Lost(unreachable(&error)))? {
            return Ok(());
        }
        core.connected();
    }
    let mut read = 0;
    while read < TURN_BYTES && core.may_read() {
        match link.read(core.space()).map_err(|error| lost(&error))? {
            Some(0) => return Err(lost(&"the primary ended it")),
            Some(count) => {
                core.filled(count).map_err(|end| keep(core, progress, end))?;
                read += count;
            }
            None => break,
        }
    }
    core.turn(progress)?;
    unsent.extend(core.output());
    while !unsent.is_empty()
        && let Some(count) = link.write(unsent).map_err(|error| lost(&error))?
    {
        unsent.drain(..count);
    }
    Ok(())
}

/// What came whole before the contradiction is log like any other, so that what is kept does not depend on how the stream was cut.
fn keep(core: &mut Receiver, progress: &Progress, end: End) -> End {
    match end {
        End::Lost(why) => End::Lost(why),
        End::Failed(fault) => End::Failed(match core.keep(progress) {
            Ok(()) => fault,
            Err(error) => fault.with("not_kept", error),
        }),
    }
}

fn lose(core: &mut Receiver, link: &mut impl Link, why: Error) {
    link.close();
    core.ended(&End::Lost(why));
}

fn lost(error: &dyn std::fmt::Display) -> End {
    End::Lost(Error::new(Reason::ReplicationDisconnected).with("error", error))
}

fn unreachable(error: &io::Error) -> Error {
    Error::new(Reason::ReplicationUnreachable).with("error", error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::Validated;
    use crate::disk::SimDisk;
    use crate::identity::Role;
    use crate::position::Position;
    use crate::recovery::{self, Init, Options};
    use crate::sync::Arc;
    use crate::wal::FollowedLog;
    use std::path::Path;

    /// A link to nobody: each attempt fails. It is woken, or its time passes, as the test says; then it is told to end.
    struct Nobody<'a> {
        did: &'a mut Vec<String>,
        passes: Vec<bool>,
        orders: Sender<Order>,
    }

    impl Link for Nobody<'_> {
        fn connect(&mut self) -> io::Result<()> {
            self.did.push("connect".to_owned());
            Err(io::ErrorKind::ConnectionRefused.into())
        }
        fn is_connected(&mut self) -> io::Result<bool> {
            Ok(false)
        }
        fn read(&mut self, _: &mut [u8]) -> io::Result<Option<usize>> {
            Ok(None)
        }
        fn write(&mut self, _: &[u8]) -> io::Result<Option<usize>> {
            Ok(None)
        }
        fn is_readable(&self) -> bool {
            false
        }
        fn close(&mut self) {}
        fn sleep(&mut self, at_most_seconds: Option<u32>) -> io::Result<Slept> {
            self.did.push(format!("sleep {at_most_seconds:?}"));
            if self.passes.is_empty() {
                self.orders.send(Order::Stop).unwrap();
                return Ok(Slept::UntilWoken);
            }
            Ok(if self.passes.remove(0) { Slept::Enough } else { Slept::UntilWoken })
        }
    }

    struct Silent;

    impl Wakes for Silent {
        fn listen(&self) {}
    }

    /// What the thread does with these orders.
    fn did(orders: &[Order], passes: &[bool]) -> Vec<String> {
        let (disk, dir) = (Arc::new(SimDisk::new()), Path::new("/replica"));
        let init = Init { disk: disk.clone(), role: Role::Replica, ..Init::standalone(dir) };
        let identity = recovery::init(&init).unwrap();
        let recovered = recovery::open(&Options { disk, ..Options::new(dir) }, None).unwrap();
        let point = recovered.log.durable();
        let core = Receiver::new(FollowedLog::new(recovered.log), identity);
        let (sender, inbox) = queue::bounded(4);
        let (out, _chunks) = queue::bounded(1);
        orders.iter().for_each(|order| sender.send(*order).unwrap());
        let mut did = Vec::new();
        let link = Nobody { did: &mut did, passes: passes.to_vec(), orders: sender };
        let around = Surroundings { link, inbox: &inbox, out: &out, bell: &Silent };
        let validated = Validated { point, seen: point.position, wanted: point.position };
        let progress = Progress { validated, applied: point.position, keep_from: Position::GENESIS };
        run(core, around, || progress, || {}).unwrap();
        did
    }

    /// REPL-RECONNECT: the delay is never shorter than stated, whoever wakes it meanwhile.
    #[test]
    fn who_is_woken_during_the_delay_does_not_connect_before_it_is_over() {
        let later = Order::Connect { after_seconds: 5 };
        assert_eq!(
            did(&[later], &[false, false, true]),
            ["sleep Some(5)", "sleep Some(5)", "sleep Some(5)", "connect", "sleep None"]
        );
        assert_eq!(did(&[Order::Connect { after_seconds: 0 }], &[]), ["connect", "sleep None"]);
    }

    /// P5-I14: two orders that come together are both seen before it sleeps.
    #[test]
    fn an_order_to_end_is_seen_behind_one_to_connect() {
        assert!(did(&[Order::Connect { after_seconds: 86_400 }, Order::Stop], &[]).is_empty());
    }
}
