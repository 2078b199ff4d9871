//! Who is connected: what CLIENT LIST and INFO tell of every client.
//!
//! A client has a number that no other client gets for as long as the server runs, and a seat in a table, so that its session finds its
//! own line without a search. The loop enters and leaves clients and says what their buffers hold; a session writes the rest of its own
//! line and reads those of the others. One owner: the loop's thread.

use crate::resp::Version;
use std::fmt;

/// A client, for as long as it is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId {
    number: u64,
    seat: usize,
}

impl ClientId {
    /// Its number.
    #[must_use]
    pub fn number(self) -> u64 {
        self.number
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.number.fmt(f)
    }
}

/// What is known of a client.
#[derive(Clone, Debug, Default)]
pub struct Client {
    /// Its address.
    pub address: String,
    /// The address that it came to.
    pub local_address: String,
    /// The name that it gave itself.
    pub name: String,
    /// The library that it says it uses.
    pub library_name: String,
    /// The version of that library.
    pub library_version: String,
    /// The protocol that it speaks.
    pub version: Version,
    /// Commands queued since MULTI, if it said MULTI.
    pub queued: Option<usize>,
    /// Keys that it watches.
    pub watched: usize,
    /// The last command, as CLIENT LIST names it.
    pub command: &'static str,
    /// Commands so far.
    pub commands: u64,
    /// Bytes received that are not a whole request yet.
    pub input_bytes: usize,
    /// Bytes of replies that are not sent yet.
    pub output_bytes: usize,
}

/// The clients that are connected.
#[derive(Debug, Default)]
pub struct Clients {
    seats: Vec<Option<(u64, Client)>>,
    free: Vec<usize>,
    entered: u64,
}

impl Clients {
    /// A client has connected.
    pub fn enter(&mut self, address: String, local_address: String) -> ClientId {
        self.entered = self.entered.saturating_add(1);
        let client = Client { address, local_address, command: "NULL", ..Client::default() };
        let seat = self.free.pop().unwrap_or(self.seats.len());
        if seat == self.seats.len() {
            self.seats.push(None);
        }
        if let Some(place) = self.seats.get_mut(seat) {
            *place = Some((self.entered, client));
        }
        ClientId { number: self.entered, seat }
    }

    /// A client is gone.
    pub fn leave(&mut self, id: ClientId) {
        if self.get_mut(id).is_some() {
            self.seats.get_mut(id.seat).and_then(Option::take);
            self.free.push(id.seat);
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.seats.len().saturating_sub(self.free.len())
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What is known of a client.
    #[must_use]
    pub fn get(&self, id: ClientId) -> Option<&Client> {
        let (number, client) = self.seats.get(id.seat)?.as_ref()?;
        (*number == id.number).then_some(client)
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, id: ClientId) -> Option<&mut Client> {
        let (number, client) = self.seats.get_mut(id.seat)?.as_mut()?;
        (*number == id.number).then_some(client)
    }

    /// All clients, in the order in which they came.
    #[must_use]
    pub fn all(&self) -> Vec<(ClientId, &Client)> {
        let seated = self.seats.iter().enumerate();
        let mut all: Vec<_> = seated
            .filter_map(|(seat, place)| place.as_ref().map(|(number, client)| (ClientId { number: *number, seat }, client)))
            .collect();
        all.sort_unstable_by_key(|(id, _)| *id);
        all
    }

    /// The line of a client, as CLIENT LIST has it, without a line end.
    #[must_use]
    pub fn line(id: ClientId, client: &Client) -> String {
        let Client { address, local_address, name, command, .. } = client;
        format!(
            "id={id} addr={address} laddr={local_address} name={name} flags={} db=0 sub=0 psub=0 ssub=0 multi={} watch={} qbuf={} \
             omem={} tot-cmds={} cmd={command} user=default resp={} lib-name={} lib-ver={}",
            if client.queued.is_some() { "x" } else { "N" },
            client.queued.map_or_else(|| "-1".to_owned(), |queued| queued.to_string()),
            client.watched,
            client.input_bytes,
            client.output_bytes,
            client.commands,
            match client.version {
                Version::Two => 2,
                Version::Three => 3,
            },
            client.library_name,
            client.library_version,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seat_is_used_again_and_a_number_is_not() {
        let mut clients = Clients::default();
        let enter = |clients: &mut Clients| clients.enter("a".into(), "b".into());
        let (first, second) = (enter(&mut clients), enter(&mut clients));
        clients.leave(first);
        clients.leave(first);
        let third = enter(&mut clients);
        assert_eq!((third.seat, third.number), (first.seat, 3));
        assert!(clients.get(first).is_none() && clients.get_mut(first).is_none());
        assert_eq!(clients.all().into_iter().map(|(id, _)| id).collect::<Vec<_>>(), [second, third]);
        assert_eq!((clients.len(), clients.is_empty()), (2, false));
    }
}
