//! The values of a table: short ones side by side, long ones each by itself.
//!
//! Pure. What is put in stays until all goes; so a short value costs no memory beside its bytes, and a table goes in few pieces. A long
//! value is shared, so that a reader need not copy it while the table is locked.

use crate::sync::Arc;

/// Longest value that is short: one that is copied sooner than it is shared.
const SHORT_BYTES_MAX: usize = 1024;
/// Bytes of a chunk of short values; each offset in it fits where a [`Place`] has it.
const CHUNK_BYTES: usize = u16::MAX as usize;

/// Where a value stands.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    /// In a chunk.
    Short {
        /// Which chunk.
        chunk: u32,
        /// Where it begins.
        start: u16,
        /// Its length.
        len: u16,
    },
    /// Among the long ones.
    Long(u32),
}

/// A value as it stands here.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    /// To be copied.
    Short(&'a [u8]),
    /// To be shared.
    Long(&'a Arc<[u8]>),
}

impl<'a> Value<'a> {
    /// Its bytes.
    pub(super) fn bytes(self) -> &'a [u8] {
        match self {
            Value::Short(bytes) => bytes,
            Value::Long(bytes) => bytes,
        }
    }
}

/// The values.
#[derive(Debug, Default)]
pub(super) struct Values {
    chunks: Vec<Vec<u8>>,
    long: Vec<Arc<[u8]>>,
    /// Bytes of the long ones.
    long_bytes: usize,
}

impl Values {
    /// Puts a value in.
    pub(super) fn put(&mut self, value: &[u8]) -> Place {
        if value.len() > SHORT_BYTES_MAX {
            let place = Place::Long(number(self.long.len()));
            self.long.push(value.into());
            self.long_bytes = self.long_bytes.saturating_add(value.len());
            return place;
        }
        let room = |chunk: &Vec<u8>| CHUNK_BYTES.saturating_sub(chunk.len());
        if self.chunks.last().is_none_or(|chunk| room(chunk) < value.len()) {
            self.chunks.push(Vec::with_capacity(CHUNK_BYTES));
        }
        let chunk = number(self.chunks.len().saturating_sub(1));
        let start = self.chunks.last_mut().map_or(0, |bytes| {
            let start = bytes.len();
            bytes.extend_from_slice(value);
            start
        });
        Place::Short { chunk, start: number(start), len: number(value.len()) }
    }

    /// How much memory they take.
    pub(super) fn memory_bytes(&self) -> usize {
        let chunks = self.chunks.len().saturating_mul(CHUNK_BYTES);
        let places = size_of::<Vec<u8>>().saturating_mul(self.chunks.capacity());
        let long = size_of::<Arc<[u8]>>().saturating_mul(self.long.capacity());
        chunks.saturating_add(places).saturating_add(long).saturating_add(self.long_bytes)
    }

    /// The value that was put at this place.
    pub(super) fn get(&self, place: Place) -> Value<'_> {
        let at = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        match place {
            Place::Short { chunk, start, len } => {
                let bytes = self.chunks.get(at(chunk)).and_then(|bytes| bytes.get(usize::from(start)..));
                Value::Short(bytes.and_then(|bytes| bytes.get(..usize::from(len))).unwrap_or_default())
            }
            Place::Long(long) => self.long.get(at(long)).map_or(Value::Short(&[]), Value::Long),
        }
    }
}

/// A number as a place has it. There are never as many chunks and values as it can't say: a table holds less log.
fn number<N: TryFrom<usize> + Default>(number: usize) -> N {
    N::try_from(number).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_every_length_stay_where_they_were_put() {
        let value = |index: usize| vec![index as u8; (index * 37) % (SHORT_BYTES_MAX + 100)];
        let mut values = Values::default();
        let places: Vec<_> = (0..1000).map(|index| values.put(&value(index))).collect();
        for (index, place) in places.into_iter().enumerate() {
            let found = values.get(place);
            assert_eq!(found.bytes(), value(index));
            assert_eq!(matches!(found, Value::Long(_)), value(index).len() > SHORT_BYTES_MAX);
        }
        assert!(values.chunks.len() > 2 && values.chunks.iter().all(|chunk| chunk.capacity() == CHUNK_BYTES));
    }
}
