//! Commands on the connection itself: PING, ECHO, HELLO, AUTH, SELECT, CLIENT.
//!
//! There is one database, 0, and no authentication: AUTH is refused in the words of a Redis without a password.

use crate::limits;
use crate::resp::{Out, Version, integer};
use crate::server::clients::{Client, ClientId, Clients};
use crate::server::commands::info::{REDIS_VERSION, role};
use crate::server::commands::{NOT_AN_INTEGER, SYNTAX_ERROR, Words, quoted};
use crate::server::session::{Context, Session, Step};

const NO_PASSWORD: &str = "ERR AUTH <password> called without any password configured for the default user. Are you sure your \
                           configuration is correct?";
const BAD_NAME: &str = "ERR Client names cannot contain spaces, newlines or special characters.";

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
pub(super) fn hello(session: &mut Session, words: Words<'_>, context: &mut Context<'_>, out: &mut Vec<u8>) -> Step {
    let version = match words.get(1).map(integer) {
        None => session.version,
        Some(Some(2)) => Version::Two,
        Some(Some(3)) => Version::Three,
        Some(Some(_)) => return session.refuse("NOPROTO unsupported protocol version", out),
        Some(None) => return session.refuse("ERR Protocol version is not an integer or out of range", out),
    };
    let mut at = 2;
    while at < words.len() {
        let behind = words.len().saturating_sub(at).saturating_sub(1);
        if words.is(at, "AUTH") && behind >= 2 {
            return session.refuse(NO_PASSWORD, out);
        } else if words.is(at, "SETNAME") && behind >= 1 {
            if !set_name(words.at(at.saturating_add(1)), session.id, context) {
                return session.refuse(BAD_NAME, out);
            }
            at = at.saturating_add(2);
        } else {
            let option = quoted(words.at(at), 128);
            return session.refuse(&format!("ERR Syntax error in HELLO option '{option}'"), out);
        }
    }
    session.version = version;
    session.show(context);
    let id = session.id.number();
    let mut out = session.out(out);
    out.map(8);
    let texts = |out: &mut Out<'_>, pairs: &[(&str, &str)]| {
        pairs.iter().flat_map(|(name, value)| [name, value]).for_each(|text| out.bulk(text.as_bytes()));
    };
    texts(&mut out, &[("server", "redis"), ("version", REDIS_VERSION)]);
    out.bulk(b"proto");
    out.integer(if version == Version::Three { 3 } else { 2 });
    out.bulk(b"id");
    out.count(id);
    texts(&mut out, &[("mode", "standalone"), ("role", role(context)), ("aerodb", env!("CARGO_PKG_VERSION"))]);
    out.bulk(b"modules");
    out.array(0);
    Step::Replied
}

/// CLIENT ID
pub(super) fn client_id(session: &mut Session, _: Words<'_>, _: &mut Context<'_>, out: &mut Vec<u8>) -> Step {
    session.out(out).count(session.id.number());
    Step::Replied
}

/// CLIENT GETNAME
pub(super) fn client_get_name(
    session: &mut Session,
    _: Words<'_>,
    context: &mut Context<'_>,
    out: &mut Vec<u8>,
) -> Step {
    let name = context.clients.get(session.id).map(|client| client.name.as_bytes());
    session.out(out).bulk_or_null(name.filter(|name| !name.is_empty()));
    Step::Replied
}

/// CLIENT SETNAME name
pub(super) fn client_set_name(
    session: &mut Session,
    words: Words<'_>,
    context: &mut Context<'_>,
    out: &mut Vec<u8>,
) -> Step {
    if set_name(words.at(2), session.id, context) {
        session.out(out).ok();
        return Step::Replied;
    }
    session.refuse(BAD_NAME, out)
}

/// CLIENT SETINFO LIB-NAME|LIB-VER value
pub(super) fn client_set_info(
    session: &mut Session,
    words: Words<'_>,
    context: &mut Context<'_>,
    out: &mut Vec<u8>,
) -> Step {
    let Some(client) = context.clients.get_mut(session.id) else { return Step::Replied };
    let (field, name) = if words.is(2, "LIB-NAME") {
        (&mut client.library_name, "lib-name")
    } else if words.is(2, "LIB-VER") {
        (&mut client.library_version, "lib-ver")
    } else {
        return session.refuse(&format!("ERR Unrecognized option '{}'", quoted(words.at(2), 128)), out);
    };
    let Some(value) = shown(words.at(3)) else {
        return session.refuse(&format!("ERR {name} cannot contain spaces, newlines or special characters."), out);
    };
    *field = value;
    session.out(out).ok();
    Step::Replied
}

/// CLIENT INFO
pub(super) fn client_info(session: &mut Session, _: Words<'_>, context: &mut Context<'_>, out: &mut Vec<u8>) -> Step {
    let own = context.clients.get(session.id).map(|client| (session.id, client));
    session.out(out).verbatim(&lines(own));
    Step::Replied
}

/// `CLIENT LIST [TYPE type] [ID id …]`
pub(super) fn client_list(
    session: &mut Session,
    words: Words<'_>,
    context: &mut Context<'_>,
    out: &mut Vec<u8>,
) -> Step {
    let mut clients = context.clients.all();
    if words.len() == 4 && words.is(2, "TYPE") {
        let kinds = ["master", "replica", "slave", "pubsub"];
        if kinds.iter().any(|kind| words.is(3, kind)) {
            clients.clear();
        } else if !words.is(3, "normal") {
            return session.refuse(&format!("ERR Unknown client type '{}'", quoted(words.at(3), 128)), out);
        }
    } else if words.len() > 3 && words.is(2, "ID") {
        let mut asked = Vec::new();
        for word in words.iter().skip(3) {
            match integer(word).and_then(|id| u64::try_from(id).ok()).filter(|id| *id > 0) {
                Some(id) => asked.push(id),
                None => return session.refuse("ERR Invalid client ID", out),
            }
        }
        asked.sort_unstable();
        clients.retain(|(id, _)| asked.binary_search(&id.number()).is_ok());
    } else if words.len() != 2 {
        return session.refuse(SYNTAX_ERROR, out);
    }
    session.out(out).verbatim(&lines(clients));
    Step::Replied
}

fn lines<'c>(clients: impl IntoIterator<Item = (ClientId, &'c Client)>) -> String {
    clients.into_iter().map(|(id, client)| Clients::line(id, client) + "\n").collect()
}

/// Names a client, if the name can be shown in a list; an empty one takes the name away.
fn set_name(name: &[u8], id: ClientId, context: &mut Context<'_>) -> bool {
    let name = shown(name);
    if let (Some(name), Some(client)) = (&name, context.clients.get_mut(id)) {
        client.name.clone_from(name);
    }
    name.is_some()
}

/// A text that can stand in a line of CLIENT LIST.
fn shown(text: &[u8]) -> Option<String> {
    let fits = text.len() <= limits::CLIENT_NAME_BYTES_MAX && text.iter().all(u8::is_ascii_graphic);
    if fits { String::from_utf8(text.to_vec()).ok() } else { None }
}
