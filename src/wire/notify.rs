//! Telling the service manager how far the process is: the protocol of `sd_notify`.
//!
//! One datagram to the socket that `NOTIFY_SOCKET` names, a path or, behind `@`, an abstract name. Without a socket there is nobody to
//! tell, and nothing is done. Nothing is ever received.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The variable that names the socket.
pub const VARIABLE: &str = "NOTIFY_SOCKET";

/// What the service manager is told.
#[derive(Clone, Copy, Debug)]
pub enum State<'a> {
    /// The start is over; the text says what holds now.
    Ready(&'a str),
    /// The process is ending.
    Stopping,
}

/// Tells the service manager that listens at this socket.
///
/// # Errors
/// Those of the operating system; `InvalidInput` for a name that is no path and not abstract.
pub fn tell(socket: &OsStr, state: State<'_>) -> io::Result<()> {
    let address = match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        [b'/', ..] => SocketAddr::from_pathname(socket)?,
        _ => return Err(io::Error::new(io::ErrorKind::InvalidInput, "neither a path nor an abstract name")),
    };
    let message = match state {
        // A line end would begin another assignment.
        State::Ready(status) => format!("READY=1\nSTATUS={}", status.replace('\n', " ")),
        State::Stopping => "STOPPING=1".to_owned(),
    };
    UnixDatagram::unbound()?.send_to_addr(message.as_bytes(), &address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 256];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    #[test]
    fn a_socket_with_a_path_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        tell(path.as_os_str(), State::Ready("listening\nSTOPPING=1")).unwrap();
        tell(path.as_os_str(), State::Stopping).unwrap();
        assert_eq!(received(&socket), "READY=1\nSTATUS=listening STOPPING=1");
        assert_eq!(received(&socket), "STOPPING=1");
    }

    #[test]
    fn an_abstract_socket_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let name = directory.path().as_os_str();
        let socket = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(name.as_bytes()).unwrap()).unwrap();
        let mut named = std::ffi::OsString::from("@");
        named.push(name);
        tell(&named, State::Stopping).unwrap();
        assert_eq!(received(&socket), "STOPPING=1");
    }

    #[test]
    fn a_socket_that_is_not_there_or_has_no_name_is_an_error() {
        for wrong in ["", "relative", "/nowhere/notify", "@nobody listens here"] {
            assert!(tell(wrong.as_ref(), State::Stopping).is_err(), "{wrong}");
        }
    }
}
