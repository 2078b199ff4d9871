//! JSON as it is shown to programs: a value is built, and written in the order in which it was built.
//!
//! Numbers are whole, and written with all their digits. A reader that keeps numbers as 64-bit floats rounds those beyond 2^53, so each
//! position and CommitId stands twice in an object: `"position":7,"position_string":"7"`; in an array, which has no names, as the string
//! alone. Hashes and ids are strings in hexadecimal. Keys and values are bytes: a string as [`escape`] shows them. There is no white space,
//! no float and no date, so equal values are equal bytes.
//!
//! Pure. Deliberately absent: reading JSON. The caller bounds what it builds, and how deep.

use crate::commit_id::CommitId;
use crate::error::Error;
use crate::id::Id;
use crate::position::{History, LogPoint, Position};
use std::fmt::{self, Write};

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Json {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// A count, or a number of bytes.
    Number(u64),
    /// A position or a CommitId.
    Exact(u64),
    /// Text.
    Text(String),
    /// Values in their order.
    Array(Vec<Json>),
    /// Named values in their order.
    Object(Object),
}

/// Named values, in the order in which they were given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Object(Vec<(&'static str, Json)>);

impl Object {
    /// An object without members.
    #[must_use]
    pub fn new() -> Object {
        Object::default()
    }

    /// The same with one more member behind the others. A name is given once.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Json>) -> Object {
        self.0.push((name, value.into()));
        self
    }
}

impl Json {
    /// Bytes that somebody stored.
    #[must_use]
    pub fn bytes(bytes: &[u8]) -> Json {
        Json::Text(escape(bytes))
    }

    /// What is shown as a word.
    #[must_use]
    pub fn text(shown: impl fmt::Display) -> Json {
        Json::Text(shown.to_string())
    }

    /// An array of these.
    #[must_use]
    pub fn array<T: Into<Json>>(values: impl IntoIterator<Item = T>) -> Json {
        Json::Array(values.into_iter().map(Into::into).collect())
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Json::Null => f.write_str("null"),
            Json::Bool(value) => value.fmt(f),
            Json::Number(value) => value.fmt(f),
            Json::Exact(value) => write!(f, "\"{value}\""),
            Json::Text(text) => quoted(text, f),
            Json::Array(values) => {
                f.write_char('[')?;
                separated(values, f, |value, f| value.fmt(f))?;
                f.write_char(']')
            }
            Json::Object(object) => object.fmt(f),
        }
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('{')?;
        separated(&self.0, f, |(name, value), f| {
            quoted(name, f)?;
            f.write_char(':')?;
            if let Json::Exact(number) = value {
                write!(f, "{number},")?;
                quoted(&format!("{name}_string"), f)?;
                f.write_char(':')?;
            }
            value.fmt(f)
        })?;
        f.write_char('}')
    }
}

fn separated<T>(
    values: &[T],
    f: &mut fmt::Formatter<'_>,
    mut one: impl FnMut(&T, &mut fmt::Formatter<'_>) -> fmt::Result,
) -> fmt::Result {
    values.iter().enumerate().try_for_each(|(index, value)| {
        if index > 0 {
            f.write_char(',')?;
        }
        one(value, f)
    })
}

fn quoted(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_char('"')?;
    for character in text.chars() {
        match character {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\t' => f.write_str("\\t")?,
            control if control.is_control() => write!(f, "\\u{:04x}", u32::from(control))?,
            other => f.write_char(other)?,
        }
    }
    f.write_char('"')
}

/// Bytes as text without loss: printable ASCII as it is, `\n`, `\t`, `\\`, and `\xHH` for every other byte; also for a `-` at the beginning,
/// so that what was shown can be an argument of the command line.
#[must_use]
pub fn escape(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for (index, byte) in bytes.iter().enumerate() {
        match byte {
            b'\n' => text.push_str("\\n"),
            b'\t' => text.push_str("\\t"),
            b'\\' => text.push_str("\\\\"),
            b'-' if index == 0 => text.push_str("\\x2d"),
            b' '..=b'~' => text.push(char::from(*byte)),
            _ => {
                // A string takes whatever is written to it.
                let _ = write!(text, "\\x{byte:02x}");
            }
        }
    }
    text
}

macro_rules! from {
    ($($type:ty: |$value:ident| $json:expr;)*) => {
        $(impl From<$type> for Json {
            fn from($value: $type) -> Json {
                $json
            }
        })*
    };
}

from! {
    bool: |value| Json::Bool(value);
    u32: |value| Json::Number(value.into());
    u64: |value| Json::Number(value);
    usize: |value| Json::Number(value as u64);
    &str: |value| Json::Text(value.to_owned());
    String: |value| Json::Text(value);
    Position: |value| Json::Exact(value.0);
    CommitId: |value| Json::Exact(value.0);
    History: |value| Json::text(value);
    Id: |value| Json::text(value);
    Object: |value| Json::Object(value);
    LogPoint: |point| Object::new()
        .with("position", point.position)
        .with("history", point.history)
        .with("commit", point.commit)
        .into();
    &Error: |error| {
        let reason = error.reason();
        let mut evidence = Object::new();
        for (name, value) in error.evidence() {
            // A fact that was gathered twice is the one nearest to the failure, as `Error::fact` finds it.
            if !evidence.0.iter().any(|(known, _)| known == name) {
                evidence = evidence.with(name, value.as_str());
            }
        }
        Object::new()
            .with("code", reason.name())
            .with("number", u32::from(reason.number()))
            .with("sentence", reason.sentence())
            .with("remedy", reason.remedy())
            .with("retry", Json::text(reason.retry()))
            .with("evidence", evidence)
            .into()
    };
}

impl<T: Into<Json>> From<Option<T>> for Json {
    fn from(value: Option<T>) -> Json {
        value.map_or(Json::Null, Into::into)
    }
}

impl<T: Into<Json>> From<Vec<T>> for Json {
    fn from(values: Vec<T>) -> Json {
        Json::array(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason::Reason;

    #[test]
    fn every_kind_of_value_is_written_in_its_order() {
        let inner = Object::new().with("z", Json::Null).with("a", true).with("none", None::<u64>).with("some", Some(3_u64));
        let object = Object::new().with("list", vec![1_u32, 2]).with("inner", inner).with("empty", Json::Array(Vec::new()));
        let text = r#"{"list":[1,2],"inner":{"z":null,"a":true,"none":null,"some":3},"empty":[]}"#;
        assert_eq!(Json::from(object).to_string(), text);
        assert_eq!(Object::new().to_string(), "{}");
    }

    #[test]
    fn a_position_beyond_what_a_float_holds_has_a_twin_of_text() {
        let object = Object::new().with("at", Position(u64::MAX)).with("bytes", u64::MAX);
        let text = r#"{"at":18446744073709551615,"at_string":"18446744073709551615","bytes":18446744073709551615}"#;
        assert_eq!(object.to_string(), text);
        assert_eq!(Json::array([CommitId(7)]).to_string(), r#"["7"]"#);
        let point = LogPoint { position: Position(8), history: History(255), commit: CommitId(1) };
        let text =
            r#"{"position":8,"position_string":"8","history":"00000000000000ff","commit":1,"commit_string":"1"}"#;
        assert_eq!(Json::from(point).to_string(), text);
    }

    #[test]
    fn text_can_neither_end_its_string_nor_control_a_terminal() {
        assert_eq!(Json::from("a\"b\\c\n\t\r\u{0}\u{1b}\u{7f}\u{85}é").to_string(), r#""a\"b\\c\n\t\u000d\u0000\u001b\u007f\u0085é""#);
        assert_eq!(Json::bytes(b"-a\xff\n\"").to_string(), r#""\\x2da\\xff\\n\"""#);
    }

    #[test]
    fn a_refusal_is_told_with_all_that_the_registry_says_and_its_evidence_in_order() {
        let error = Error::new(Reason::DirNotFound).with("z", "1").with("a", "\"").with("z", "2");
        let text = Json::from(&error).to_string();
        assert!(text.starts_with(r#"{"code":"dir.not_found","number":"#), "{text}");
        assert!(text.ends_with(r#","evidence":{"z":"1","a":"\""}}"#), "{text}");
    }

    #[cfg(feature = "cli")]
    mod read_back {
        use super::*;
        use proptest::prelude::*;

        proptest! {
            #[test]
            fn what_is_written_is_what_another_reader_reads(text: String, number: u64, bytes: Vec<u8>) {
                let object = Object::new().with("text", text.as_str()).with("at", Position(number)).with("key", Json::bytes(&bytes));
                let read: serde_json::Value = serde_json::from_str(&object.to_string()).unwrap();
                let expected = serde_json::json!({
                    "text": text, "at": number, "at_string": number.to_string(), "key": escape(&bytes),
                });
                prop_assert_eq!(read, expected);
            }
        }
    }
}
