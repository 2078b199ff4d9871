//! Commands on the connection itself: PING, ECHO, HELLO, AUTH, SELECT, CLIENT.
//!
//! They need no database, only the [`Peer`] that asks: so the lobby answers them as the server does. There is one database, 0, and no
//! authentication: AUTH is refused in the words of a Redis without a password.

use crate::limits;
use crate::resp::{Out, Version, integer};
use crate::server::clients::{Client, ClientId, Clients};
use crate::server::commands::info::REDIS_VERSION;
use crate::server::commands::{NOT_AN_INTEGER, SYNTAX_ERROR, Words, quoted};

const NO_PASSWORD: &str = "ERR AUTH <password> called without any password configured for the default user. Are you sure your \
                           configuration is correct?";
const BAD_NAME: &str = "ERR Client names cannot contain spaces, newlines or special characters.";

/// Who asks, and where.
pub struct Peer<'a> {
    /// Its number.
    pub id: ClientId,
    /// The protocol that it speaks.
    pub version: &'a mut Version,
    /// Everybody who is connected.
    pub clients: &'a mut Clients,
    /// What Redis calls the role of this node.
    pub role: &'static str,
}

impl Peer<'_> {
    fn out<'o>(&self, out: &'o mut Vec<u8>) -> Out<'o> {
        Out::new(*self.version, out)
    }

    fn own(&mut self) -> Option<&mut Client> {
        self.clients.get_mut(self.id)
    }
}

/// `PING [message]`
pub(super) fn ping(words: Words<'_>, out: &mut Out<'_>) {
    match words.len() {
        1 => out.simple("PONG"),
        2 => out.bulk(words.at(1)),
        _ => out.error("ERR wrong number of arguments for 'ping' command"),
    }
}

/// ECHO message
pub(super) fn echo(words: Words<'_>, out: &mut Out<'_>) {
    out.bulk(words.at(1));
}

/// SELECT index
pub(super) fn select(words: Words<'_>, out: &mut Out<'_>) {
    match integer(words.at(1)).and_then(|index| i32::try_from(index).ok()) {
        Some(0) => out.ok(),
        Some(_) => out.error("ERR DB index is out of range"),
        None => out.error(NOT_AN_INTEGER),
    }
}

/// `AUTH [username] password`
pub(super) fn auth(words: Words<'_>, out: &mut Out<'_>) {
    out.error(if words.len() > 3 { SYNTAX_ERROR } else { NO_PASSWORD });
}

/// `HELLO [protover [AUTH username password] [SETNAME clientname]]`
pub(super) fn hello(peer: &mut Peer<'_>, words: Words<'_>, out: &mut Vec<u8>) {
    let version = match words.get(1).map(integer) {
        None => *peer.version,
        Some(Some(2)) => Version::Two,
        Some(Some(3)) => Version::Three,
        Some(Some(_)) => return peer.out(out).error("NOPROTO unsupported protocol version"),
        Some(None) => return peer.out(out).error("ERR Protocol version is not an integer or out of range"),
    };
    let mut at = 2;
    while at < words.len() {
        let behind = words.len().saturating_sub(at).saturating_sub(1);
        if words.is(at, "AUTH") && behind >= 2 {
            return peer.out(out).error(NO_PASSWORD);
        } else if words.is(at, "SETNAME") && behind >= 1 {
            if !set_name(words.at(at.saturating_add(1)), peer) {
                return peer.out(out).error(BAD_NAME);
            }
            at = at.saturating_add(2);
        } else {
            let option = quoted(words.at(at), 128);
            return peer.out(out).error(&format!("ERR Syntax error in HELLO option '{option}'"));
        }
    }
    *peer.version = version;
    if let Some(client) = peer.own() {
        client.version = version;
    }
    let id = peer.id.number();
    let mut out = peer.out(out);
    out.map(8);
    let texts = |out: &mut Out<'_>, pairs: &[(&str, &str)]| {
        pairs.iter().flat_map(|(name, value)| [name, value]).for_each(|text| out.bulk(text.as_bytes()));
    };
    texts(&mut out, &[("server", "redis"), ("version", REDIS_VERSION)]);
    out.bulk(b"proto");
    out.integer(if version == Version::Three { 3 } else { 2 });
    out.bulk(b"id");
    out.count(id);
    texts(&mut out, &[("mode", "standalone"), ("role", peer.role), ("aerodb", env!("CARGO_PKG_VERSION"))]);
    out.bulk(b"modules");
    out.array(0);
}

/// CLIENT ID
pub(super) fn client_id(peer: &mut Peer<'_>, _: Words<'_>, out: &mut Vec<u8>) {
    peer.out(out).count(peer.id.number());
}

/// CLIENT GETNAME
pub(super) fn client_get_name(peer: &mut Peer<'_>, _: Words<'_>, out: &mut Vec<u8>) {
    let name = peer.clients.get(peer.id).map(|client| client.name.as_bytes());
    peer.out(out).bulk_or_null(name.filter(|name| !name.is_empty()));
}

/// CLIENT SETNAME name
pub(super) fn client_set_name(peer: &mut Peer<'_>, words: Words<'_>, out: &mut Vec<u8>) {
    if set_name(words.at(2), peer) {
        peer.out(out).ok();
    } else {
        peer.out(out).error(BAD_NAME);
    }
}

/// CLIENT SETINFO LIB-NAME|LIB-VER value
pub(super) fn client_set_info(peer: &mut Peer<'_>, words: Words<'_>, out: &mut Vec<u8>) {
    let (field, name): (fn(&mut Client) -> &mut String, _) = if words.is(2, "LIB-NAME") {
        (|client| &mut client.library_name, "lib-name")
    } else if words.is(2, "LIB-VER") {
        (|client| &mut client.library_version, "lib-ver")
    } else {
        return peer.out(out).error(&format!("ERR Unrecognized option '{}'", quoted(words.at(2), 128)));
    };
    let Some(value) = shown(words.at(3)) else {
        return peer.out(out).error(&format!("ERR {name} cannot contain spaces, newlines or special characters."));
    };
    if let Some(client) = peer.own() {
        *field(client) = value;
    }
    peer.out(out).ok();
}

/// CLIENT INFO
pub(super) fn client_info(peer: &mut Peer<'_>, _: Words<'_>, out: &mut Vec<u8>) {
    let own = peer.clients.get(peer.id).map(|client| (peer.id, client));
    peer.out(out).verbatim(&lines(own));
}

/// `CLIENT LIST [TYPE type] [ID id …]`
pub(super) fn client_list(peer: &mut Peer<'_>, words: Words<'_>, out: &mut Vec<u8>) {
    let mut clients = peer.clients.all();
    if words.len() == 4 && words.is(2, "TYPE") {
        let kinds = ["master", "replica", "slave", "pubsub"];
        if kinds.iter().any(|kind| words.is(3, kind)) {
            clients.clear();
        } else if !words.is(3, "normal") {
            return peer.out(out).error(&format!("ERR Unknown client type '{}'", quoted(words.at(3), 128)));
        }
    } else if words.len() > 3 && words.is(2, "ID") {
        let mut asked = Vec::new();
        for word in words.iter().skip(3) {
            match integer(word).and_then(|id| u64::try_from(id).ok()).filter(|id| *id > 0) {
                Some(id) => asked.push(id),
                None => return peer.out(out).error("ERR Invalid client ID"),
            }
        }
        asked.sort_unstable();
        clients.retain(|(id, _)| asked.binary_search(&id.number()).is_ok());
    } else if words.len() != 2 {
        return peer.out(out).error(SYNTAX_ERROR);
    }
    peer.out(out).verbatim(&lines(clients));
}

fn lines<'c>(clients: impl IntoIterator<Item = (ClientId, &'c Client)>) -> String {
    clients.into_iter().map(|(id, client)| Clients::line(id, client) + "\n").collect()
}

/// Names a client, if the name can be shown in a list; an empty one takes the name away.
fn set_name(name: &[u8], peer: &mut Peer<'_>) -> bool {
    let name = shown(name);
    if let (Some(name), Some(client)) = (&name, peer.own()) {
        client.name.clone_from(name);
    }
    name.is_some()
}

/// A text that can stand in a line of CLIENT LIST.
fn shown(text: &[u8]) -> Option<String> {
    let fits = text.len() <= limits::CLIENT_NAME_BYTES_MAX && text.iter().all(u8::is_ascii_graphic);
    if fits { String::from_utf8(text.to_vec()).ok() } else { None }
}
