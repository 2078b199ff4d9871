//! A connection whose calls wait, for a client that has nothing else to do.
//!
//! No time-outs: a call ends when bytes pass, when the other side ends the connection, or when the system gives it up. That asks whoever has said
//! nothing for a while, so nobody waits for a machine that is gone.

use super::poll;
use std::io::{self, Read, Write};
use std::net::TcpStream;

/// After so many seconds of silence the system asks whether the other side is still there.
const SILENCE_SECONDS: u32 = 300;

/// A connection to a server.
#[derive(Debug)]
pub struct Connection(TcpStream);

impl Connection {
    /// Connects to `host:port`; each address that the name has is tried.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn open(address: &str) -> io::Result<Connection> {
        let stream = TcpStream::connect(address)?;
        // What is sent here is a whole request, and nothing comes behind it that it could wait for.
        stream.set_nodelay(true)?;
        poll::keep_alive(&stream, SILENCE_SECONDS)?;
        Ok(Connection(stream))
    }

    /// Sends all of it.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    /// Waits for bytes, and says how many came; none at the end of the connection.
    ///
    /// # Errors
    /// Those of the operating system.
    pub fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                outcome => return outcome,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn bytes_pass_in_both_directions_until_the_end() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut connection = Connection::open(&listener.local_addr().unwrap().to_string()).unwrap();
        let mut peer = listener.accept().unwrap().0;
        assert!(rustix::net::sockopt::socket_keepalive(&connection.0).unwrap());
        connection.send(b"there").unwrap();
        let mut received = [0; 5];
        peer.read_exact(&mut received).unwrap();
        assert_eq!(&received, b"there");
        peer.write_all(b"back").unwrap();
        drop(peer);
        let (mut buffer, mut back) = ([0; 3], Vec::new());
        loop {
            match connection.receive(&mut buffer).unwrap() {
                0 => break,
                received => back.extend_from_slice(&buffer[..received]),
            }
        }
        assert_eq!(back, b"back");
        drop(listener);
    }
}
