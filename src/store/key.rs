//! A key of a table. A short one stands in the map itself: searching the map then follows no pointer for each key that it compares,
//! and inserting one takes no memory of its own. Most keys are short.
//!
//! Ordered and equal as the bytes are.

use crate::sync::Arc;
use std::borrow::Borrow;
use std::cmp::Ordering;

/// As many bytes as fit where a long key has its pointer and length.
const SHORT_BYTES_MAX: usize = 22;

/// The bytes of a key.
#[derive(Clone, Debug)]
pub(super) enum Key {
    /// In place.
    Short {
        /// How many of the bytes count.
        len: u8,
        /// The key, then zeros.
        bytes: [u8; SHORT_BYTES_MAX],
    },
    /// Elsewhere, once for all that have it.
    Long(Arc<[u8]>),
}

impl Key {
    /// How much memory it takes elsewhere.
    pub(super) fn memory_bytes(&self) -> usize {
        match self {
            Key::Short { .. } => 0,
            Key::Long(bytes) => bytes.len(),
        }
    }

    /// The bytes.
    pub(super) fn as_slice(&self) -> &[u8] {
        match self {
            Key::Short { len, bytes } => bytes.get(..usize::from(*len)).unwrap_or_default(),
            Key::Long(bytes) => bytes,
        }
    }
}

impl From<&[u8]> for Key {
    fn from(key: &[u8]) -> Key {
        let mut bytes = [0; SHORT_BYTES_MAX];
        match (u8::try_from(key.len()), bytes.get_mut(..key.len())) {
            (Ok(len), Some(place)) => {
                place.copy_from_slice(key);
                Key::Short { len, bytes }
            }
            _ => Key::Long(key.into()),
        }
    }
}

impl Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        self.as_slice()
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Key) -> Ordering {
        self.as_slice().cmp(other.as_slice())
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Key) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for Key {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_every_length_are_ordered_as_their_bytes_are() {
        assert_eq!(size_of::<Key>(), 24);
        let mut keys: Vec<Vec<u8>> = (0..40).map(|len| vec![7; len]).collect();
        keys.extend((0..40).map(|len| [vec![7; len], vec![0]].concat()));
        for a in &keys {
            assert_eq!(Key::from(a.as_slice()).as_slice(), a.as_slice());
            for b in &keys {
                assert_eq!(Key::from(a.as_slice()).cmp(&Key::from(b.as_slice())), a.cmp(b));
            }
        }
    }
}
