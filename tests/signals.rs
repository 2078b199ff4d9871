//! The request to end, in a process of its own: a test that raises signals must not share its process with another.

#![cfg(feature = "server")]

use aerodb::wire::signals::requests_to_end;
use rustix::process::{Signal, getpid, kill_process};
use std::io::{ErrorKind, Read};

/// One test, because signals are of the process.
#[test]
fn each_signal_to_end_is_a_byte_to_read_and_does_not_end_the_process() {
    let mut requests = requests_to_end().unwrap();
    let mut byte = [0];
    assert_eq!(requests.read(&mut byte).unwrap_err().kind(), ErrorKind::WouldBlock, "nobody asked yet");
    requests.set_nonblocking(false).unwrap();
    for signal in [Signal::TERM, Signal::INT, Signal::TERM] {
        kill_process(getpid(), signal).unwrap();
        requests.read_exact(&mut byte).unwrap();
    }
    requests.set_nonblocking(true).unwrap();
    assert_eq!(requests.read(&mut byte).unwrap_err().kind(), ErrorKind::WouldBlock, "one byte each");
}
