//! The request to end, SIGTERM or SIGINT, as a stream that becomes readable; of what ends with its terminal SIGHUP as well.
//!
//! A handler may do almost nothing, so it writes one byte, and whoever polls reads it among everything else that happens. From the
//! first call on none of these signals ends the process by itself, also where nobody polls any more.

use crate::sync::OnceLock;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level::pipe;
use std::io;
use std::os::unix::net::UnixStream;

/// A non-blocking stream with a byte in it for each request to end.
pub type Requests = UnixStream;

/// The stream of this process, and its other end, which the handlers write to.
static REQUESTS: OnceLock<[UnixStream; 2]> = OnceLock::new();

/// Begins to catch the requests to end. There is one stream, of which this is a handle: a request that came while nobody polled is found by
/// whoever polls next.
///
/// # Errors
/// Those of the operating system.
pub fn requests_to_end() -> io::Result<Requests> {
    if let Some([requests, _]) = REQUESTS.get() {
        return requests.try_clone();
    }
    let (requests, handler) = UnixStream::pair()?;
    requests.set_nonblocking(true)?;
    pipe::register(SIGTERM, handler.try_clone()?)?;
    pipe::register(SIGINT, handler.try_clone()?)?;
    let [requests, _] = REQUESTS.get_or_init(|| [requests, handler]);
    requests.try_clone()
}

/// The same of a program that ends with its terminal: SIGHUP asks it to end as well.
///
/// # Errors
/// Those of the operating system.
pub fn requests_to_end_or_hangup() -> io::Result<Requests> {
    let requests = requests_to_end()?;
    if let Some([_, handler]) = REQUESTS.get() {
        pipe::register(SIGHUP, handler.try_clone()?)?;
    }
    Ok(requests)
}
