//! What stands between a replica and its primary: a TCP proxy that knows frames. It can cut, hold, swallow, send elsewhere, and change what
//! the primary says, frame by frame.

#![allow(dead_code)]

use aerodb::frame::Frame;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;

/// Gets each frame of the primary with its bytes, log included; what it returns goes to the replica.
pub type Edit = Box<dyn FnMut(&Frame, Vec<u8>) -> Vec<u8> + Send>;

#[derive(Default)]
struct State {
    primary: Option<SocketAddr>,
    connections: Vec<TcpStream>,
    copies: Vec<JoinHandle<()>>,
    held: bool,
    /// Nothing passes, and nobody is told.
    swallows: bool,
    swallowed: u64,
    ended: bool,
    edit: Option<Edit>,
    accepted: u64,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

/// The proxy; its threads end with it.
pub struct Proxy {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

impl Proxy {
    /// A proxy of this primary.
    pub fn of(primary: SocketAddr) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        shared.state().primary = Some(primary);
        let accepting = {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || accept(&listener, &shared))
        };
        Proxy { address, shared, accepting: Some(accepting) }
    }

    /// Sends further connections there.
    pub fn lead_to(&self, primary: SocketAddr) {
        self.shared.state().primary = Some(primary);
    }

    /// Ends all connections.
    pub fn cut(&self) {
        self.shared.state().connections.drain(..).for_each(|connection| {
            let _ = connection.shutdown(Shutdown::Both);
        });
    }

    /// Passes nothing on that the primary says.
    pub fn hold(&self) {
        self.shared.state().held = true;
    }

    /// Takes what both sides say and passes nothing on, as a network does behind which the other machine has vanished.
    pub fn swallow(&self) {
        self.shared.state().swallows = true;
    }

    /// Swallows nothing any more; what was swallowed is gone.
    pub fn deliver(&self) {
        self.shared.state().swallows = false;
    }

    /// Waits until so many frames of the primary were swallowed.
    pub fn wait_for_swallowed(&self, frames: u64) {
        drop(self.shared.changed.wait_while(self.shared.state(), |state| state.swallowed < frames).unwrap());
    }

    /// Passes on what was held, and all that follows.
    pub fn pass(&self) {
        self.shared.state().held = false;
        self.shared.changed.notify_all();
    }

    /// Changes what the primary says from here on.
    pub fn edit(&self, edit: impl FnMut(&Frame, Vec<u8>) -> Vec<u8> + Send + 'static) {
        self.shared.state().edit = Some(Box::new(edit));
    }

    /// Changes nothing any more.
    pub fn be_honest(&self) {
        self.shared.state().edit = None;
    }

    /// Connections that were made.
    pub fn accepted(&self) -> u64 {
        self.shared.state().accepted
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.state().ended = true;
        self.pass();
        self.cut();
        let _ = TcpStream::connect(self.address);
        let _ = self.accepting.take().unwrap().join();
        let copies: Vec<_> = self.shared.state().copies.drain(..).collect();
        self.cut();
        copies.into_iter().for_each(|copy| drop(copy.join()));
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for replica in listener.incoming() {
        let Ok(replica) = replica else { continue };
        let mut state = shared.state();
        if state.ended {
            return;
        }
        state.accepted += 1;
        let address = state.primary.unwrap();
        drop(state);
        // Where there is no primary the connection ends at once.
        let Ok(primary) = TcpStream::connect(address) else { continue };
        replica.set_nodelay(true).unwrap();
        primary.set_nodelay(true).unwrap();
        let clone = |stream: &TcpStream| stream.try_clone().unwrap();
        let (up_from, up_to, up_seen) = (clone(&replica), clone(&primary), Arc::clone(shared));
        let (down_from, down_to, seen) = (clone(&primary), clone(&replica), Arc::clone(shared));
        let mut state = shared.state();
        state.connections.extend([replica, primary]);
        state.copies.push(std::thread::spawn(move || copy_up(up_from, up_to, &up_seen)));
        state.copies.push(std::thread::spawn(move || copy_down(down_from, down_to, &seen)));
    }
}

fn end(one: &TcpStream, other: &TcpStream) {
    let _ = one.shutdown(Shutdown::Both);
    let _ = other.shutdown(Shutdown::Both);
}

fn copy_up(mut from: TcpStream, mut to: TcpStream, shared: &Shared) {
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if shared.state().swallows {
            continue;
        }
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    end(&from, &to);
}

fn copy_down(mut from: TcpStream, mut to: TcpStream, shared: &Shared) {
    let (mut came, mut buffer) = (Vec::new(), vec![0; 64 * 1024]);
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        came.extend_from_slice(&buffer[..count]);
        while let Some((frame, bytes)) = next(&mut came) {
            let mut state = shared.changed.wait_while(shared.state(), |state| state.held).unwrap();
            if state.swallows {
                state.swallowed += 1;
                shared.changed.notify_all();
                continue;
            }
            let sent = match &mut state.edit {
                Some(edit) => edit(&frame, bytes),
                None => bytes,
            };
            drop(state);
            if to.write_all(&sent).is_err() {
                return end(&from, &to);
            }
        }
    }
    end(&from, &to);
}

/// The next whole frame, and its bytes.
fn next(came: &mut Vec<u8>) -> Option<(Frame, Vec<u8>)> {
    let (frame, head) = Frame::decode(came).expect("the primary sends frames")?;
    let whole = match &frame {
        Frame::Segment(segment) => head + segment.bytes,
        Frame::Chunk(chunk) => head + chunk.bytes,
        Frame::Hello(_)
        | Frame::Welcome(_)
        | Frame::Refuse(_)
        | Frame::Fetch(_)
        | Frame::Snapshot(_)
        | Frame::Manifest(_)
        | Frame::Probe(_)
        | Frame::Point(..) => head,
    };
    (came.len() >= whole).then(|| (frame, came.drain(..whole).collect()))
}
