//! The bootstrap's states. Pure.
//!
//! ```text
//! Idle, Disconnected ──connect──► Connecting ──connected──► Handshaking ──welcomed──► Asking ──manifest──► Receiving
//! Receiving ──complete──► Proving ──proven──► Installing ──installed──► Installed
//! Connecting, Handshaking, Asking, Receiving ──lost──► Disconnected
//! any but Installed, Failed, Closed ──failed──► Failed              any but Closed ──close──► Closed
//! ```

words! {
    /// What the bootstrap is doing.
    State {
        /// It has not begun.
        Idle "idle"
        /// It waits for a connection.
        Connecting "connecting"
        /// It has said who it is, and waits for the primary's answer.
        Handshaking "handshaking"
        /// It has asked for a snapshot, and waits to be told what it consists of.
        Asking "asking"
        /// The snapshot comes.
        Receiving "receiving"
        /// All of it is here, and is proven as a whole.
        Proving "proving"
        /// It is put in place.
        Installing "installing"
        /// The directory is the snapshot.
        Installed "installed"
        /// The connection was lost, or never made: what came was discarded.
        Disconnected "disconnected"
        /// It ended: what came, or the disk, contradicts what must hold.
        Failed "failed"
        /// It was told to end, or has nothing left to do.
        Closed "closed"
    }
}

words! {
    /// What happens to the bootstrap.
    Event {
        /// It connects.
        Connect "connect"
        /// There is a connection.
        Connected "connected"
        /// The primary is the right one.
        Welcomed "welcomed"
        /// It is known what the snapshot consists of.
        Manifest "manifest"
        /// Everything has come.
        Complete "complete"
        /// It proves itself.
        Proven "proven"
        /// It is in place.
        Installed "installed"
        /// There is no connection any more.
        Lost "lost"
        /// What came, or the disk, contradicts what must hold.
        Failed "failed"
        /// It is to end.
        Close "close"
    }
}

/// The state after an event; `None` where the event can't happen.
#[must_use]
pub fn next(state: State, event: Event) -> Option<State> {
    let served = matches!(state, State::Handshaking | State::Asking | State::Receiving);
    let ended = matches!(state, State::Installed | State::Failed | State::Closed);
    match event {
        Event::Connect => matches!(state, State::Idle | State::Disconnected).then_some(State::Connecting),
        Event::Connected => (state == State::Connecting).then_some(State::Handshaking),
        Event::Welcomed => (state == State::Handshaking).then_some(State::Asking),
        Event::Manifest => (state == State::Asking).then_some(State::Receiving),
        Event::Complete => (state == State::Receiving).then_some(State::Proving),
        Event::Proven => (state == State::Proving).then_some(State::Installing),
        Event::Installed => (state == State::Installing).then_some(State::Installed),
        Event::Lost => (served || state == State::Connecting).then_some(State::Disconnected),
        Event::Failed => (!ended).then_some(State::Failed),
        Event::Close => (state != State::Closed).then_some(State::Closed),
    }
}
