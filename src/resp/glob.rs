//! Patterns for keys, with the meaning that Redis gives them (RESP-GLOB).
//!
//! `*` any bytes, `?` any byte, `[a-z]` one of these, `[^a-z]` none of these, `\` the next byte as it is. A class that is not closed goes on
//! to the end of the pattern. As in Redis, the empty text is matched by the empty pattern and by a lone `*`, and by nothing else.
//!
//! No recursion, and going back at most to the last `*`: the cost is at most the length of the pattern times that of the text, the first
//! of which is bounded. It is counted, so that who matches many keys can give way by work done.

use crate::limits;

/// A pattern, ready to be matched.
#[derive(Clone, Debug)]
pub struct Glob {
    tokens: Vec<Token>,
    matches_empty: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    /// Any bytes, or none.
    Star,
    /// Any byte.
    Any,
    /// This byte.
    Byte(u8),
    /// The bytes whose bits are set.
    Class([u128; 2]),
}

impl Token {
    fn takes(&self, byte: u8) -> bool {
        match self {
            Token::Star => false,
            Token::Any => true,
            Token::Byte(own) => *own == byte,
            Token::Class(set) => has(set, byte),
        }
    }
}

impl Glob {
    /// A pattern; `None` if it is longer than [`limits::PATTERN_BYTES_MAX`].
    #[must_use]
    pub fn new(mut pattern: &[u8]) -> Option<Glob> {
        if pattern.len() > limits::PATTERN_BYTES_MAX {
            return None;
        }
        let matches_empty = matches!(pattern, [] | [b'*']);
        let mut tokens = Vec::new();
        loop {
            let (token, rest) = match pattern {
                [] => return Some(Glob { tokens, matches_empty }),
                [b'*', rest @ ..] => (Token::Star, rest),
                [b'?', rest @ ..] => (Token::Any, rest),
                [b'[', rest @ ..] => class(rest),
                [b'\\', byte, rest @ ..] | [byte, rest @ ..] => (Token::Byte(*byte), rest),
            };
            // A second star in a row adds nothing.
            if token != Token::Star || tokens.last() != Some(&Token::Star) {
                tokens.push(token);
            }
            pattern = rest;
        }
    }

    /// Whether the whole text matches. Adds the steps that it took.
    #[must_use]
    pub fn matches(&self, text: &[u8], steps: &mut usize) -> bool {
        if text.is_empty() {
            return self.matches_empty;
        }
        let mut left = (self.tokens.as_slice(), text);
        // Behind the last star, and the text that it has not taken: where to go on when what follows does not match.
        let mut star: Option<(&[Token], &[u8])> = None;
        loop {
            *steps = steps.saturating_add(1);
            match left {
                ([], []) => return true,
                ([Token::Star], _) => return true,
                ([Token::Star, tokens @ ..], text) => {
                    star = Some((tokens, text));
                    left = (tokens, text);
                }
                ([token, tokens @ ..], [byte, text @ ..]) if token.takes(*byte) => left = (tokens, text),
                _ => {
                    let Some((tokens, [_, text @ ..])) = star else { return false };
                    star = Some((tokens, text));
                    left = (tokens, text);
                }
            }
        }
    }
}

fn has(set: &[u128; 2], byte: u8) -> bool {
    let [low, high] = set;
    let half = if byte < 128 { low } else { high };
    half & bit(byte) != 0
}

fn bit(byte: u8) -> u128 {
    1_u128.wrapping_shl(u32::from(byte % 128))
}

/// A class behind its opening bracket, and what follows it.
fn class(pattern: &[u8]) -> (Token, &[u8]) {
    let (excludes, mut pattern) = match pattern {
        [b'^', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let mut set = [0; 2];
    let mut add = |byte: u8| {
        let [low, high] = &mut set;
        *(if byte < 128 { low } else { high }) |= bit(byte);
    };
    let rest = loop {
        pattern = match pattern {
            [] => break pattern,
            [b'\\', byte, rest @ ..] => {
                add(*byte);
                rest
            }
            [b']', rest @ ..] => break rest,
            [one, b'-', other, rest @ ..] => {
                (*one.min(other)..=*one.max(other)).for_each(&mut add);
                rest
            }
            [byte, rest @ ..] => {
                add(*byte);
                rest
            }
        }
    };
    let set = if excludes { set.map(|half| !half) } else { set };
    (Token::Class(set), rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    fn matches(pattern: &[u8], text: &[u8]) -> bool {
        Glob::new(pattern).unwrap().matches(text, &mut 0)
    }

    #[test]
    fn patterns_mean_what_they_mean_to_redis_resp_glob() {
        // Each answer is that of a Redis 7.0 (KEYS in a database with these keys).
        let cases: &[(&str, &[&str], &[&str])] = &[
            ("", &[""], &["a"]),
            ("*", &["", "a", "abc"], &[]),
            ("**", &["a", "abc"], &[""]),
            ("?", &["a", "*"], &["", "ab"]),
            ("a", &["a"], &["", "b", "aa"]),
            ("a*", &["a", "ab", "abc"], &["", "ba"]),
            ("*a", &["a", "ba", "aa"], &["", "ab"]),
            ("a*b*c", &["abc", "aXbXc", "abbcc", "abcbc"], &["ab", "ac", "acb"]),
            ("a*?", &["ab", "abc"], &["a"]),
            ("h[ae]llo", &["hallo", "hello"], &["hillo", "hllo", "haello"]),
            ("h[^e]llo", &["hallo", "h^llo"], &["hello", "hllo"]),
            ("h[a-c]llo", &["hallo", "hbllo", "hcllo"], &["hdllo", "h-llo"]),
            ("h[c-a]llo", &["hallo", "hbllo", "hcllo"], &["hdllo"]),
            ("[a-]x", &[], &["ax", "-x", "a-x"]),
            ("[a-]", &["a", "]", "^", "`"], &["-", "b"]),
            ("[-a]", &["-", "a"], &["b"]),
            ("[]a]", &[], &["]", "a", "]a]"]),
            ("[^]", &["a", "]"], &["", "ab"]),
            ("[^]a", &["xa", "]a"], &["a", "xb"]),
            ("[", &[], &["[", "a"]),
            ("[^", &["a", "["], &["", "ab"]),
            ("[abc", &["a", "c"], &["[abc", "d"]),
            ("[\\]a]", &["]", "a"], &["\\", "b"]),
            ("[\\a-c]", &["a", "-", "c"], &["b", "\\"]),
            ("[a\\", &["a", "\\"], &["b"]),
            ("\\*", &["*"], &["a", "\\*", ""]),
            ("\\a", &["a"], &["\\a"]),
            ("\\", &["\\"], &["a"]),
            ("a\\", &["a\\"], &["a"]),
            ("*\\**", &["*", "a*", "a*b"], &["a"]),
            ("*[*]*", &["a*b"], &["ab"]),
        ];
        for (pattern, matching, others) in cases {
            for text in *matching {
                assert!(matches(pattern.as_bytes(), text.as_bytes()), "{pattern} {text}");
            }
            for text in *others {
                assert!(!matches(pattern.as_bytes(), text.as_bytes()), "{pattern} {text}");
            }
        }
        assert!(matches(b"[\x01-\xfe]", b"\x80") && !matches(b"[\x01-\xfe]", b"\xff"), "bytes are numbers without a sign");
    }

    /// The same by definition: a star takes every number of bytes there is.
    fn by_definition(tokens: &[Token], text: &[u8]) -> bool {
        match (tokens, text) {
            ([], text) => text.is_empty(),
            ([Token::Star, rest @ ..], text) => (0..=text.len()).any(|taken| by_definition(rest, &text[taken..])),
            ([token, tokens @ ..], [byte, text @ ..]) => token.takes(*byte) && by_definition(tokens, text),
            (_, []) => false,
        }
    }

    proptest! {
        #[test]
        fn going_back_to_the_last_star_is_enough(
            pattern in vec(select(&b"*?ab[^-]\\"[..]), 0..12),
            text in vec(select(&b"ab-]"[..]), 1..12),
        ) {
            let glob = Glob::new(&pattern).unwrap();
            prop_assert_eq!(glob.matches(&text, &mut 0), by_definition(&glob.tokens, &text));
        }

        #[test]
        fn any_pattern_is_matched_within_its_steps(pattern in vec(any::<u8>(), 0..40), text in vec(any::<u8>(), 0..200)) {
            let mut steps = 0;
            let _ = Glob::new(&pattern).unwrap().matches(&text, &mut steps);
            prop_assert!(steps <= (pattern.len() + 1) * (text.len() + 2), "{} steps", steps);
        }
    }

    #[test]
    fn the_worst_pattern_costs_its_length_times_that_of_the_text_resp_glob() {
        let pattern = b"*a".repeat(limits::PATTERN_BYTES_MAX / 2 - 1);
        let (pattern, text) = ([&pattern[..], b"*b"].concat(), [b'a'; limits::KEY_BYTES_MAX]);
        let mut steps = 0;
        assert!(!Glob::new(&pattern).unwrap().matches(&text, &mut steps));
        assert!(steps <= pattern.len() * text.len(), "{steps} steps");
        assert!(Glob::new(&[b'a'; limits::PATTERN_BYTES_MAX + 1]).is_none());
    }
}
