//! A batch: the puts and deletes of one commit (FMT-BATCH).
//!
//! A [`Batch`] is built in its encoded form, so that a commit copies it into the log and nowhere else. A [`Operations`] is a
//! proven view of such bytes: making one checks every length, reading it can't fail.
//!
//! Limits are enforced where an operation is added and again where bytes are decoded; all of a batch becomes visible together
//! or not at all (M-ATOMIC). Of two operations on one key the later counts.

use crate::codec::{Put, Reader};
use crate::error::{Error, Result};
use crate::limits;
use crate::reason::Reason;

const PUT: u8 = 1;
const DELETE: u8 = 2;
const COUNT_BYTES: usize = 4;
const OPERATION_HEADER_BYTES: usize = 7;

/// One put or delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation<'a> {
    /// The key.
    pub key: &'a [u8],
    /// The value to put; `None` deletes.
    pub value: Option<&'a [u8]>,
}

/// The operations of one commit, in the order they were added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    encoded: Vec<u8>,
    count: usize,
}

/// Refuses a key or a value that is too long to be put.
///
/// # Errors
/// `batch.key_too_long`, `batch.value_too_long`.
pub fn check(key: &[u8], value: &[u8]) -> Result<()> {
    let refused = |reason, bytes: usize, limit: usize| Err(Error::new(reason).with("bytes", bytes).with("limit", limit));
    if key.len() > limits::KEY_BYTES_MAX {
        return refused(Reason::BatchKeyTooLong, key.len(), limits::KEY_BYTES_MAX);
    }
    if value.len() > limits::VALUE_BYTES_MAX {
        return refused(Reason::BatchValueTooLong, value.len(), limits::VALUE_BYTES_MAX);
    }
    Ok(())
}

impl Default for Batch {
    fn default() -> Batch {
        Batch::new()
    }
}

impl Batch {
    /// A batch without operations.
    #[must_use]
    pub fn new() -> Batch {
        Batch::with_capacity(0, 0)
    }

    /// The same, with memory for so many operations on keys and values of so many bytes together.
    #[must_use]
    pub fn with_capacity(operations: usize, bytes: usize) -> Batch {
        let headers = operations.saturating_mul(OPERATION_HEADER_BYTES);
        let mut encoded = Vec::with_capacity(COUNT_BYTES.saturating_add(headers).saturating_add(bytes));
        encoded.extend_from_slice(&[0; COUNT_BYTES]);
        Batch { encoded, count: 0 }
    }

    /// Adds a put.
    ///
    /// # Errors
    /// `batch.key_too_long`, `batch.value_too_long`, `batch.too_large`; the batch is as it was before.
    pub fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.add(PUT, key, value)
    }

    /// Adds a delete.
    ///
    /// # Errors
    /// `batch.key_too_long`, `batch.too_large`; the batch is as it was before.
    pub fn delete(&mut self, key: &[u8]) -> Result<()> {
        self.add(DELETE, key, &[])
    }

    fn add(&mut self, tag: u8, key: &[u8], value: &[u8]) -> Result<()> {
        check(key, value)?;
        let added = OPERATION_HEADER_BYTES.saturating_add(key.len()).saturating_add(value.len());
        let bytes = self.encoded.len().saturating_add(added);
        if bytes > limits::BATCH_BYTES_MAX {
            return Err(Error::new(Reason::BatchTooLarge).with("bytes", bytes).with("limit", limits::BATCH_BYTES_MAX));
        }
        let count = self.count.saturating_add(1);
        if count > limits::BATCH_OPS_MAX {
            return Err(Error::new(Reason::BatchTooLarge)
                .with("operations", count)
                .with("limit", limits::BATCH_OPS_MAX));
        }
        self.encoded.put_u8(tag);
        self.encoded.put_u16(u16::try_from(key.len()).unwrap_or(u16::MAX));
        self.encoded.put_len32(value.len());
        self.encoded.extend_from_slice(key);
        self.encoded.extend_from_slice(value);
        self.count = count;
        if let Some(field) = self.encoded.first_chunk_mut::<COUNT_BYTES>() {
            *field = u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes();
        }
        Ok(())
    }

    /// How many operations it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The bytes that the log holds.
    #[must_use]
    pub fn encoded(&self) -> &[u8] {
        &self.encoded
    }

    /// Refuses a batch without operations, which no log holds.
    ///
    /// # Errors
    /// `batch.empty`.
    pub fn check(&self) -> Result<()> {
        if self.is_empty() { Err(Error::new(Reason::BatchEmpty)) } else { Ok(()) }
    }

    /// The operations.
    #[must_use]
    pub fn operations(&self) -> Operations<'_> {
        Operations { reader: Reader::new(self.encoded.get(COUNT_BYTES..).unwrap_or_default()) }
    }
}

/// The operations of a proven batch.
#[derive(Clone, Debug)]
pub struct Operations<'a> {
    reader: Reader<'a>,
}

impl<'a> Operations<'a> {
    /// Proves that the bytes are a batch.
    ///
    /// # Errors
    /// `batch.malformed`, `batch.empty`, or the limit that an operation exceeds.
    pub fn decode(bytes: &'a [u8]) -> Result<Operations<'a>> {
        let malformed = |what: &'static str| Error::new(Reason::BatchMalformed).with("malformed", what);
        if bytes.len() > limits::BATCH_BYTES_MAX {
            return Err(Error::new(Reason::BatchTooLarge)
                .with("bytes", bytes.len())
                .with("limit", limits::BATCH_BYTES_MAX));
        }
        let mut reader = Reader::new(bytes);
        let count = reader.len32().ok_or_else(|| malformed("number of operations"))?;
        if count == 0 {
            return Err(Error::new(Reason::BatchEmpty));
        }
        if count > limits::BATCH_OPS_MAX {
            return Err(Error::new(Reason::BatchTooLarge)
                .with("operations", count)
                .with("limit", limits::BATCH_OPS_MAX));
        }
        let operations = Operations { reader: reader.clone() };
        for _ in 0..count {
            let operation = read_operation(&mut reader).ok_or_else(|| malformed("operation"))?;
            if operation.key.len() > limits::KEY_BYTES_MAX {
                return Err(Error::new(Reason::BatchKeyTooLong).with("bytes", operation.key.len()));
            }
            let value_bytes = operation.value.map_or(0, <[u8]>::len);
            if value_bytes > limits::VALUE_BYTES_MAX {
                return Err(Error::new(Reason::BatchValueTooLong).with("bytes", value_bytes));
            }
        }
        if reader.is_empty() { Ok(operations) } else { Err(malformed("bytes behind the last operation")) }
    }
}

impl<'a> Iterator for Operations<'a> {
    type Item = Operation<'a>;

    fn next(&mut self) -> Option<Operation<'a>> {
        read_operation(&mut self.reader)
    }
}

/// A put or delete, as far as it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glimpse<'a> {
    /// The key.
    pub key: &'a [u8],
    /// What there is of the value to put, and how long it is; `None` deletes.
    pub value: Option<(&'a [u8], usize)>,
}

/// What the beginning of a batch shows: how many operations it says that it has, and those whose keys are there, no more than `most`. What follows
/// is not proven.
#[must_use]
pub fn glimpse(beginning: &[u8], most: usize) -> (usize, Vec<Glimpse<'_>>) {
    let mut reader = Reader::new(beginning);
    let count = reader.len32().unwrap_or(0);
    let mut next = || {
        let (tag, key_len, value_len) = (reader.u8()?, usize::from(reader.u16()?), reader.len32()?);
        let key = reader.take(key_len)?;
        let there = reader.rest().len().min(value_len);
        let value = reader.take(there)?;
        match tag {
            PUT => Some(Glimpse { key, value: Some((value, value_len)) }),
            DELETE if value_len == 0 => Some(Glimpse { key, value: None }),
            _ => None,
        }
    };
    (count, std::iter::from_fn(&mut next).take(count.min(most)).collect())
}

fn read_operation<'a>(reader: &mut Reader<'a>) -> Option<Operation<'a>> {
    let tag = reader.u8()?;
    let key_len = usize::from(reader.u16()?);
    let value_len = reader.len32()?;
    let key = reader.take(key_len)?;
    let value = reader.take(value_len)?;
    match tag {
        PUT => Some(Operation { key, value: Some(value) }),
        DELETE if value.is_empty() => Some(Operation { key, value: None }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_read_as_it_was_built() {
        let mut batch = Batch::new();
        batch.put(b"", b"empty key").unwrap();
        batch.put(b"k", b"").unwrap();
        batch.delete(b"gone").unwrap();
        let operations: Vec<_> = Operations::decode(batch.encoded()).unwrap().collect();
        assert_eq!(operations, batch.operations().collect::<Vec<_>>());
        assert_eq!(operations.len(), batch.len());
        assert_eq!(operations[0], Operation { key: b"", value: Some(b"empty key") });
        assert_eq!(operations[1], Operation { key: b"k", value: Some(b"") });
        assert_eq!(operations[2], Operation { key: b"gone", value: None });
    }

    #[test]
    fn a_glimpse_shows_what_is_there_of_a_batch_wherever_it_is_cut() {
        let mut batch = Batch::new();
        batch.put(b"key", b"value").unwrap();
        batch.delete(b"gone").unwrap();
        let bytes = batch.encoded();
        let [put, delete] = [Glimpse { key: b"key", value: Some((b"value", 5)) }, Glimpse { key: b"gone", value: None }];
        assert_eq!(glimpse(bytes, 9), (2, vec![put, delete]));
        assert_eq!(glimpse(bytes, 1), (2, vec![put]));
        assert_eq!(glimpse(&bytes[..bytes.len() - 1], 9), (2, vec![put]));
        let cut = COUNT_BYTES + OPERATION_HEADER_BYTES + 3;
        assert_eq!(glimpse(&bytes[..cut + 2], 9), (2, vec![Glimpse { key: b"key", value: Some((b"va", 5)) }]));
        assert_eq!(glimpse(&bytes[..cut - 1], 9), (2, vec![]));
        assert_eq!(glimpse(&[0xff; 64], 9).1, vec![]);
        assert_eq!(glimpse(b"", 9), (0, vec![]));
    }

    #[test]
    fn limits_refuse_and_leave_the_batch_as_it_was() {
        let mut batch = Batch::new();
        batch.put(b"k", b"v").unwrap();
        let before = batch.clone();
        let long_key = vec![0; limits::KEY_BYTES_MAX + 1];
        let long_value = vec![0; limits::VALUE_BYTES_MAX + 1];
        assert_eq!(batch.put(&long_key, b"").unwrap_err().reason(), Reason::BatchKeyTooLong);
        assert_eq!(batch.delete(&long_key).unwrap_err().reason(), Reason::BatchKeyTooLong);
        assert_eq!(batch.put(b"k", &long_value).unwrap_err().reason(), Reason::BatchValueTooLong);
        assert_eq!(batch, before);
        let value = vec![0; limits::VALUE_BYTES_MAX];
        batch.put(b"k", &value).unwrap();
        assert_eq!(batch.put(b"k", &value).unwrap_err().reason(), Reason::BatchTooLarge);
        assert_eq!(Batch::new().check().unwrap_err().reason(), Reason::BatchEmpty);
    }

    #[test]
    fn hostile_bytes_are_refused_by_name() {
        let mut batch = Batch::new();
        batch.put(b"key", b"value").unwrap();
        batch.delete(b"key").unwrap();
        let bytes = batch.encoded();
        for len in 0..bytes.len() {
            assert!(Operations::decode(&bytes[..len]).is_err(), "length {len}");
        }
        let mut longer = bytes.to_vec();
        longer.push(0);
        assert_eq!(Operations::decode(&longer).unwrap_err().reason(), Reason::BatchMalformed);
        assert_eq!(Operations::decode(&[0; 4]).unwrap_err().reason(), Reason::BatchEmpty);
        assert_eq!(Operations::decode(&[0xff; 64]).unwrap_err().reason(), Reason::BatchTooLarge);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            if let Ok(operations) = Operations::decode(&flipped) {
                assert!(operations.count() <= 2);
            }
        }
    }
}
