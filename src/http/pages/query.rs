//! What the queries of pages say. Strict: a name that a page does not know, or that stands twice, is refused, since whoever wrote it expects
//! something of it.
//!
//! Pure.

use crate::commit_id::CommitId;
use crate::config::digits;
use crate::explain::{self, Kind, Topic};
use crate::gate::Wish;
use crate::http::request::{Pair, Refused};
use crate::position::LogPoint;

type Result<T> = std::result::Result<T, Refused>;

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// For programs.
    Json,
    /// For people.
    Text,
}

/// The values of a query under their names, in the order of the names that the page knows; `None` where one is not there.
fn values<const N: usize>(query: &[Pair], known: [&str; N]) -> Result<[Option<Vec<u8>>; N]> {
    let mut values = [const { None }; N];
    for (name, value) in query {
        let place = known.iter().zip(&mut values).find(|(known, _)| known.as_bytes() == name);
        let (_, place) = place.ok_or(Refused::Query("the page knows no parameter of that name"))?;
        if place.replace(value.clone()).is_some() {
            return Err(Refused::Query("a parameter stands twice"));
        }
    }
    Ok(values)
}

/// `/readyz[?verbose]`: whether each rule is to be told.
///
/// # Errors
/// `http.query`.
pub fn verbose(query: &[Pair]) -> Result<bool> {
    let [verbose] = values(query, ["verbose"])?;
    match verbose.as_deref() {
        None | Some(b"0" | b"false") => Ok(false),
        Some(b"" | b"1" | b"true") => Ok(true),
        Some(_) => Err(Refused::Query("verbose is said, or not")),
    }
}

/// `/v1/explain/KIND`: what is to be explained, and in which form.
///
/// # Errors
/// `http.query`; `http.not_found`, where nothing is explained under that name.
pub fn topic(name: &[u8], query: &[Pair]) -> Result<(Topic, Form)> {
    let kind = Kind::ALL.iter().find(|kind| kind.name().as_bytes() == name).ok_or(Refused::NotFound)?;
    let [form, key, at, at_least, on] = match kind {
        Kind::Read => values(query, ["format", "key", "at", "at_least", "on"])?,
        Kind::Replication | Kind::Recovery | Kind::Checkpoint | Kind::Segment => {
            let [form] = values(query, ["format"])?;
            [form, None, None, None, None]
        }
    };
    let form = match form.as_deref() {
        None | Some(b"json") => Form::Json,
        Some(b"text") => Form::Text,
        Some(_) => return Err(Refused::Query("a format is json or text")),
    };
    let wish = Wish {
        at: at.as_deref().map(commit).transpose()?,
        at_least: at_least.as_deref().map(commit).transpose()?,
        on: on.as_deref().map(point).transpose()?,
    };
    let topic = Topic::of(*kind, key.as_deref(), wish).ok_or(Refused::Query("a read is of a key: key=…"))?;
    Ok((topic, form))
}

fn number(text: &[u8]) -> Option<u64> {
    digits(std::str::from_utf8(text).ok()?)
}

fn commit(text: &[u8]) -> Result<CommitId> {
    let commit = number(text).map(CommitId).filter(|commit| *commit <= CommitId::MAX);
    commit.ok_or(Refused::Query("a CommitId is a number in digits"))
}

fn point(text: &[u8]) -> Result<LogPoint> {
    let expected = "a point is commit,position,history: two numbers and 16 hexadecimal digits";
    explain::point(text).ok_or(Refused::Query(expected))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::position::{History, Position};

    fn query(text: &[(&str, &str)]) -> Vec<Pair> {
        text.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect()
    }

    #[test]
    fn a_read_is_explained_with_its_key_and_bounds() {
        let said = query(&[
            ("at_least", "5"),
            ("key", "a\0&"),
            ("at", "7"),
            ("on", "3,512,00000000000000fF"),
            ("format", "text"),
        ]);
        let point = LogPoint { commit: CommitId(3), position: Position(512), history: History(255) };
        let wish = Wish { at: Some(CommitId(7)), at_least: Some(CommitId(5)), on: Some(point) };
        assert_eq!(topic(b"read", &said), Ok((Topic::Read { key: b"a\0&".to_vec(), wish }, Form::Text)));
        let empty = Topic::Read { key: Vec::new(), wish: Wish::newest() };
        assert_eq!(topic(b"read", &query(&[("key", "")])), Ok((empty, Form::Json)), "the empty key is one");
        assert_eq!(topic(b"segment", &query(&[("format", "json")])), Ok((Topic::Segment, Form::Json)));
        assert_eq!(topic(b"nothing", &[]), Err(Refused::NotFound));
    }

    #[test]
    fn what_is_not_understood_is_refused_and_not_passed_over() {
        let refused = |name: &str, said: &[(&str, &str)]| {
            assert!(matches!(topic(name.as_bytes(), &query(said)), Err(Refused::Query(_))), "{name} {said:?}");
        };
        for said in [
            vec![],
            vec![("at", "7")],
            vec![("key", "a"), ("key", "a")],
            vec![("key", "a"), ("Key", "a")],
            vec![("key", "a"), ("format", "xml")],
        ] {
            refused("read", &said);
        }
        let numbers = ["", "-1", "+1", " 1", "1x", "18446744073709551616", "9223372036854775808"];
        for (name, value) in numbers.into_iter().flat_map(|value| [("at", value), ("at_least", value)]) {
            refused("read", &[("key", "a"), (name, value)]);
        }
        for point in [
            "",
            "1",
            "1,2",
            "1,2,3",
            "1,2,00000000000000fg",
            "1,2,+00000000000000f",
            "1,2,00000000000000ff,",
            ",2,00000000000000ff",
        ] {
            refused("read", &[("key", "a"), ("on", point)]);
        }
        refused("recovery", &[("key", "a")]);
        refused("recovery", &[("at", "1")]);
    }

    #[test]
    fn verbose_is_said_or_not() {
        for (said, wanted) in [
            (vec![], false),
            (vec![("verbose", "")], true),
            (vec![("verbose", "1")], true),
            (vec![("verbose", "false")], false),
        ] {
            assert_eq!(verbose(&query(&said)), Ok(wanted));
        }
        for said in [vec![("verbose", "perhaps")], vec![("loud", "")], vec![("verbose", ""), ("verbose", "")]] {
            assert!(verbose(&query(&said)).is_err());
        }
    }
}
