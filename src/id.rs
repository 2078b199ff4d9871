//! The identifier of a database or a node.
//!
//! Sixteen random bytes, made once by `init`, compared for equality and nothing else.

use std::fmt;

/// A random identifier of sixteen bytes, shown in hexadecimal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Id(pub [u8; 16]);

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Id {
    /// Reads what `Display` writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Id> {
        if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        u128::from_str_radix(text, 16).ok().map(|number| Id(number.to_be_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_shown_and_read_in_hexadecimal() {
        let id = Id(*b"0123456789abcdef");
        assert_eq!(Id::parse(&id.to_string()), Some(id));
        assert_eq!(Id::parse("+0000000000000000000000000000000"), None);
        assert_eq!(Id::parse("12"), None);
    }
}
