//! Keys and values as text: any bytes, in both directions, without loss.
//!
//! On the command line and in text output, `\n`, `\t`, `\\` and `\xHH` stand for bytes. Output shows printable ASCII as it is and every
//! other byte escaped; a `-` at the beginning is escaped too, so that what was printed can be an argument again. Input also
//! takes bytes outside ASCII as they are. In JSON, bytes are `{"text": …}` where they are UTF-8 without control characters,
//! `{"hex": …}` everywhere else: two forms that never mean the same bytes.
//!
//! Pure. `unescape(escape(b)) = b` for all b.

pub(crate) use aerodb::json::escape;
use aerodb::{Error, Reason, Result};
use serde_json::{Value, json};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// How bytes are shown, in the words of the help.
pub(crate) const HELP: &str = "\
Keys and values are any bytes. On the command line and in output \\n, \\t, \\\\ and \\xHH stand for bytes;
output shows printable ASCII as it is (but a leading - as \\x2d) and everything else escaped, so it can be an
argument again. In JSON bytes are {\"text\": …} if they are UTF-8 without control characters, else {\"hex\": …}.";

/// How much of a key is shown as evidence.
const EVIDENCE_BYTES: usize = 64;

/// Bytes as text, as evidence: a person needs the beginning and the length of what is long.
pub(crate) fn brief(bytes: &[u8]) -> String {
    match bytes.get(..EVIDENCE_BYTES) {
        Some(beginning) if bytes.len() > EVIDENCE_BYTES => format!("{}… ({} bytes)", escape(beginning), bytes.len()),
        _ => escape(bytes),
    }
}

/// The bytes that an argument stands for.
///
/// # Errors
/// `cli.input`.
pub(crate) fn unescape(argument: &OsStr) -> Result<Vec<u8>> {
    let text = argument.as_bytes();
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, behind)) = rest.split_first() {
        if first != b'\\' {
            bytes.push(first);
            rest = behind;
            continue;
        }
        let (byte, behind) = match behind {
            [b'n', behind @ ..] => (b'\n', behind),
            [b't', behind @ ..] => (b'\t', behind),
            [b'\\', behind @ ..] => (b'\\', behind),
            [b'x', high, low, behind @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                (digit(*high) << 4 | digit(*low), behind)
            }
            _ => {
                return Err(Error::new(Reason::CliInput)
                    .with("argument", brief(text))
                    .with("offset", text.len() - rest.len())
                    .with("problem", "unknown escape"));
            }
        };
        bytes.push(byte);
        rest = behind;
    }
    Ok(bytes)
}

fn digit(hexadecimal: u8) -> u8 {
    match hexadecimal {
        b'0'..=b'9' => hexadecimal - b'0',
        _ => (hexadecimal | 0x20) - b'a' + 10,
    }
}

/// Bytes as JSON.
pub(crate) fn json(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(char::is_control) => json!({ "text": text }),
        _ => {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            json!({ "hex": hex })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_escaped_is_printable_and_comes_back(bytes: Vec<u8>) {
            let text = escape(&bytes);
            prop_assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) && !text.starts_with('-'));
            prop_assert_eq!(unescape(OsStr::new(&text)).unwrap(), bytes);
        }

        #[test]
        fn any_argument_is_read_or_refused_by_name(argument: Vec<u8>) {
            if let Err(error) = unescape(OsStr::from_bytes(&argument)) {
                prop_assert_eq!(error.reason(), Reason::CliInput);
            }
        }
    }

    #[test]
    fn escapes_are_those_of_the_help() {
        assert_eq!(escape(b"-a-b\n\t\\\x00\xff \"'"), "\\x2da-b\\n\\t\\\\\\x00\\xff \"'");
        assert_eq!(unescape(OsStr::new("ä\\xE4\\n")).unwrap(), b"\xc3\xa4\xe4\n");
        for wrong in ["\\", "a\\q", "\\x1", "\\x", "\\xg0", "\\x0g"] {
            assert_eq!(unescape(OsStr::new(wrong)).unwrap_err().reason(), Reason::CliInput, "{wrong}");
        }
        assert_eq!(unescape(OsStr::new("ab\\q")).unwrap_err().fact("offset"), Some("2"));
    }

    #[test]
    fn evidence_shows_the_beginning_and_the_length_of_what_is_long() {
        assert_eq!(brief(&[b'k'; 64]), "k".repeat(64));
        assert_eq!(brief(&[b'\n'; 65]), format!("{}… (65 bytes)", "\\n".repeat(64)));
        assert_eq!(brief(b"-"), "\\x2d");
    }

    #[test]
    fn json_has_two_forms_that_never_mean_the_same() {
        assert_eq!(json("é-a".as_bytes()), json!({"text": "é-a"}));
        assert_eq!(json(b""), json!({"text": ""}));
        assert_eq!(json(b"a\n"), json!({"hex": "610a"}));
        assert_eq!(json(b"\xff"), json!({"hex": "ff"}));
        assert_eq!(json("\u{85}".as_bytes()), json!({"hex": "c285"}));
    }
}
