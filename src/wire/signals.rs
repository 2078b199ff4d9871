//! The request to end, SIGTERM or SIGINT, as a stream that becomes readable.
//!
//! A handler may do almost nothing, so it writes one byte, and whoever polls reads it among everything else that happens. From the
//! first call on neither signal ends the process by itself. A stream that is dropped stays deaf: the signals go on being caught.

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level::pipe;
use std::io;
use std::os::unix::net::UnixStream;

/// A non-blocking stream with a byte in it for each request to end.
pub type Requests = UnixStream;

/// Begins to catch the requests to end.
///
/// # Errors
/// Those of the operating system.
pub fn requests_to_end() -> io::Result<Requests> {
    let (requests, handler) = UnixStream::pair()?;
    requests.set_nonblocking(true)?;
    pipe::register(SIGTERM, handler.try_clone()?)?;
    pipe::register(SIGINT, handler)?;
    Ok(requests)
}
