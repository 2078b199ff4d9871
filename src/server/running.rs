//! A server on a thread of its own, for a program that has other things to do.
//!
//! Promises: once it has stopped, or was dropped, the thread has ended and what it held of the database is gone. What fails meanwhile is told by
//! [`Running::stop`], and logged where nobody calls that. Used by programs that embed a node; the binary serves on its main thread.

use super::{Server, Stop, Stopper};
use crate::error::{Error, Result};
use crate::reason::Reason;
use crate::sync::{self, JoinHandle};
use std::net::SocketAddr;

/// A server that serves. Dropped, it stops.
pub struct Running {
    address: SocketAddr,
    replication: Option<SocketAddr>,
    stopper: Stopper,
    thread: Option<JoinHandle<Result<Stop>>>,
}

impl Server {
    /// Serves on a thread of its own, until it is asked to end.
    ///
    /// # Errors
    /// `process.thread_failed`.
    pub fn start(self) -> Result<Running> {
        let (address, replication, stopper) = (self.local_addr(), self.replication_addr(), self.stopper());
        let refused = |error| Error::new(Reason::ProcessThreadFailed).with("error", error);
        let thread = sync::spawn("server", move || self.run()).map_err(refused)?;
        Ok(Running { address, replication, stopper, thread: Some(thread) })
    }
}

impl Running {
    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens for replicas, if it does.
    #[must_use]
    pub fn replication_addr(&self) -> Option<SocketAddr> {
        self.replication
    }

    /// Asks it to end, and waits for that; what was ordered is answered.
    ///
    /// # Errors
    /// `server.poll_failed`, where it had ended by itself; `component.panicked`.
    pub fn stop(mut self) -> Result<Stop> {
        self.end()
    }

    fn end(&mut self) -> Result<Stop> {
        self.stopper.stop();
        let panicked = |_| Err(Error::new(Reason::ComponentPanicked).with("component", "server"));
        self.thread.take().map_or(Ok(Stop::Stopped), |thread| thread.join().unwrap_or_else(panicked))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            log::error!(code = error.reason().name(); "the server: {error}");
        }
    }
}
