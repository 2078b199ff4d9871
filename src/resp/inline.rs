//! Inline requests: a line of words, as a person types it (RESP-INLINE).
//!
//! The quoting is that of Redis: in double quotes `\xHH`, `\n`, `\r`, `\t`, `\b`, `\a` and a backslash before any other byte; in single
//! quotes `\'` alone. A quote may begin inside a word, and is followed by a space or the end. A zero byte is a byte like any other.

use crate::resp::request::Request;

/// Appends the words of a line to a request; `None` if its quotes are not balanced.
pub(super) fn split(line: &[u8], request: &mut Request) -> Option<()> {
    let mut rest = without_spaces(line);
    while !rest.is_empty() {
        let mut word = Vec::new();
        rest = without_spaces(take_word(rest, &mut word)?);
        request.push(&word);
    }
    Some(())
}

/// What separates words: the spaces of C.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

fn without_spaces(line: &[u8]) -> &[u8] {
    let spaces = line.iter().take_while(|byte| is_space(**byte)).count();
    line.get(spaces..).unwrap_or_default()
}

/// Takes the first word of a line, and returns what is behind it.
fn take_word<'a>(mut line: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        line = match line {
            [] | [b' ' | b'\n' | b'\r' | b'\t', ..] => return Some(line),
            [b'"', rest @ ..] => return closed(double_quoted(rest, word)?),
            [b'\'', rest @ ..] => return closed(single_quoted(rest, word)?),
            [byte, rest @ ..] => {
                word.push(*byte);
                rest
            }
        }
    }
}

fn closed(rest: &[u8]) -> Option<&[u8]> {
    rest.first().is_none_or(|byte| is_space(*byte)).then_some(rest)
}

fn double_quoted<'a>(mut line: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        let (byte, rest) = match line {
            [] => return None,
            [b'"', rest @ ..] => return Some(rest),
            [b'\\', b'x', high, low, rest @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                (digit(*high) << 4 | digit(*low), rest)
            }
            [b'\\', escaped, rest @ ..] => (control(*escaped), rest),
            [byte, rest @ ..] => (*byte, rest),
        };
        word.push(byte);
        line = rest;
    }
}

fn single_quoted<'a>(mut line: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        let (byte, rest) = match line {
            [] => return None,
            [b'\'', rest @ ..] => return Some(rest),
            [b'\\', b'\'', rest @ ..] => (b'\'', rest),
            [byte, rest @ ..] => (*byte, rest),
        };
        word.push(byte);
        line = rest;
    }
}

fn control(escaped: u8) -> u8 {
    match escaped {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'a' => 0x07,
        other => other,
    }
}

fn digit(hexadecimal: u8) -> u8 {
    char::from(hexadecimal).to_digit(16).and_then(|digit| u8::try_from(digit).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &[u8]) -> Option<Vec<Vec<u8>>> {
        let mut request = Request::default();
        split(line, &mut request).map(|()| request.args().map(<[u8]>::to_vec).collect())
    }

    #[test]
    fn words_are_split_as_redis_does_resp_inline() {
        let cases: &[(&[u8], &[&[u8]])] = &[
            (b"", &[]),
            (b" \t\x0b\x0c\r ", &[]),
            (b"GET k", &[b"GET", b"k"]),
            (b"  SET\tk  v ", &[b"SET", b"k", b"v"]),
            (b"SET k \"\"", &[b"SET", b"k", b""]),
            (b"SET k ''", &[b"SET", b"k", b""]),
            (b"\"a b\" 'c d'", &[b"a b", b"c d"]),
            (br#""\x00\xfF\n\r\t\b\a\\\"\q""#, &[b"\x00\xff\n\r\t\x08\x07\\\"q"]),
            (br#""\x0g\xg0\x""#, &[b"x0gxg0x"]),
            (br"'\' \n \\ '", &[br"' \n \\ "]),
            (b"a\"b c\"", &[b"ab c"]),
            (b"a'b c' d", &[b"ab c", b"d"]),
            (b"a\\nb", &[b"a\\nb"]),
            (b"a\x0bb", &[b"a\x0bb"]),
            (b"a\x00b \"\x00\"", &[b"a\x00b", b"\x00"]),
        ];
        for (line, expected) in cases {
            assert_eq!(words(line).as_deref().unwrap(), *expected, "{}", line.escape_ascii());
        }
        for line in ["\"", "'", "a\"b", "\"a\"b", "'a'b", "\"a\\", "\"a\\\"", "'a\\'", "\"a\"\"b\"", "x ' y"] {
            assert_eq!(words(line.as_bytes()), None, "{line}");
        }
    }
}
