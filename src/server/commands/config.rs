//! CONFIG: what the server runs with, under the names that Redis has for it. It is read here, and set where the server is started.
//!
//! Only settings are shown whose Redis meaning is true of this server: what tools ask for before they work with one.

use crate::limits;
use crate::resp::Glob;
use crate::server::commands::{Words, quoted};
use crate::server::session::{Context, Session, Step};
use std::collections::BTreeMap;

fn settings(context: &Context<'_>) -> Vec<(&'static str, String)> {
    let listen = context.options.listen;
    vec![
        ("appendfsync", "always".to_owned()),
        ("appendonly", "yes".to_owned()),
        ("bind", listen.ip().to_string()),
        ("databases", "1".to_owned()),
        ("maxclients", context.options.max_clients.to_string()),
        ("maxmemory", "0".to_owned()),
        ("maxmemory-policy", "noeviction".to_owned()),
        ("port", listen.port().to_string()),
        ("proto-max-bulk-len", limits::VALUE_BYTES_MAX.to_string()),
        ("save", String::new()),
        ("tcp-keepalive", context.options.tcp_keepalive.to_string()),
        ("timeout", "0".to_owned()),
    ]
}

/// `CONFIG GET pattern …`
pub(super) fn get(session: &mut Session, words: Words<'_>, context: &mut Context<'_>, out: &mut Vec<u8>) -> Step {
    let settings = settings(context);
    let mut found = BTreeMap::new();
    // One at a time: a pattern that is ready to be matched is many times as large as its text.
    for pattern in words.iter().skip(2).filter_map(|text| Glob::new(&text.to_ascii_lowercase())) {
        let matching = settings.iter().filter(|(name, _)| pattern.matches(name.as_bytes(), &mut 0));
        found.extend(matching.map(|(name, value)| (*name, value)));
    }
    let mut out = session.out(out);
    out.map(found.len());
    for (name, value) in found {
        out.bulk(name.as_bytes());
        out.bulk(value.as_bytes());
    }
    Step::Replied
}

/// `CONFIG SET name value …`
pub(super) fn set(session: &mut Session, words: Words<'_>, context: &mut Context<'_>, out: &mut Vec<u8>) -> Step {
    let known = settings(context);
    let is_known = |word: &[u8]| known.iter().any(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes()));
    let unknown = words.iter().skip(2).step_by(2).find(|name| !is_known(name));
    let name = quoted(unknown.unwrap_or(words.at(2)), 128);
    let text = if unknown.is_some() || words.len() % 2 == 1 {
        format!("ERR Unknown option or number of arguments for CONFIG SET - '{name}'")
    } else {
        format!("ERR CONFIG SET failed (possibly related to argument '{name}') - can't set immutable config")
    };
    session.refuse(&text, out)
}
