//! The thread that asks where the logs part, once a replica has halted because they do.
//!
//! Nobody waits for it but who stops the replica, and that ends it. What it finds it leaves here, and calls the Supervisor, who alone writes
//! what the halt says.

use crate::error::Error;
use crate::published::Fact;
use crate::reason::Reason;
use crate::receiver::fork::{self, Own};
use crate::sync::{self, Arc, JoinHandle, Mutex};
use crate::wire::Waker;
use crate::wire::link::TcpLink;

/// Where the question is asked, and its answer is left.
pub(super) struct Forks {
    primary: String,
    tcp_keepalive: u32,
    asking: Mutex<Option<Asking>>,
    found: Arc<Mutex<Option<String>>>,
}

struct Asking {
    stop: Arc<Fact<bool>>,
    waker: Arc<Waker>,
    thread: JoinHandle<()>,
}

impl Forks {
    pub(super) fn new(primary: &str, tcp_keepalive: u32) -> Forks {
        Forks {
            primary: primary.to_owned(),
            tcp_keepalive,
            asking: Mutex::new(None),
            found: Arc::new(Mutex::new(None)),
        }
    }

    /// Begins to ask, once. `found` is called when there is an answer, or none.
    pub(super) fn ask(&self, own: Own, found: impl FnOnce() + Send + 'static) {
        let mut asking = sync::lock(&self.asking);
        if asking.is_none() {
            match self.begin(own, found) {
                Ok(begun) => *asking = Some(begun),
                Err(error) => {
                    let refused = Error::new(Reason::ProcessThreadFailed).with("thread", "fork").with("error", error);
                    *sync::lock(&self.found) = Some(fork::words(&Err(refused)));
                }
            }
        }
    }

    fn begin(&self, own: Own, found: impl FnOnce() + Send + 'static) -> std::io::Result<Asking> {
        let (mut link, waker) = TcpLink::new(&self.primary, self.tcp_keepalive)?;
        let (stop, answer) = (Arc::new(Fact::new(false)), Arc::clone(&self.found));
        let stopped = Arc::clone(&stop);
        let thread = sync::spawn("fork", move || {
            let words = fork::words(&fork::find(&own, &mut link, &stopped));
            log::info!(target: "receiver", end:% = own.end; "where the logs part: {words}");
            *sync::lock(&answer) = Some(words);
            found();
        })?;
        Ok(Asking { stop, waker, thread })
    }

    /// What was found since, which is taken.
    pub(super) fn found(&self) -> Option<String> {
        sync::lock(&self.found).take()
    }

    /// Asks no more.
    pub(super) fn end(&self) {
        let Some(Asking { stop, waker, thread }) = sync::lock(&self.asking).take() else { return };
        stop.set(true);
        if let Err(error) = waker.wake() {
            log::error!("who asks where the logs part can't be woken: {error}");
        }
        if thread.join().is_err() {
            log::error!(code = Reason::ComponentPanicked.name(); "who asked where the logs part has failed");
        }
    }
}
