//! Reading and writing little-endian fields, and the 512-byte sector that small files and headers are made of.
//!
//! Pure and total: a reader never panics and never allocates; what is not there is `None`. Every format of
//! `docs/formats.md` is read and written through this file.

use crate::commit_id::CommitId;
use crate::error::Error;
use crate::position::{History, LogPoint, Position};
use crate::reason::Reason;

/// The version of every format on disk.
pub const FORMAT_VERSION: u32 = 1;
/// Bytes of a sector.
pub const SECTOR_BYTES: usize = 512;

const SECTOR_CRC_AT: usize = 508;

/// Takes fields from the front of some bytes.
#[derive(Clone, Debug)]
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// A reader of these bytes.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader(bytes)
    }

    /// The next `count` bytes.
    pub fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// The next `N` bytes.
    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    /// The next byte.
    pub fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// The next two bytes as a number.
    pub fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    /// The next four bytes as a number.
    pub fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    /// The next eight bytes as a number.
    pub fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// The next sixteen bytes as a number.
    pub fn u128(&mut self) -> Option<u128> {
        self.array().map(u128::from_le_bytes)
    }

    /// A length of four bytes, as an index.
    pub fn len32(&mut self) -> Option<usize> {
        self.u32().and_then(|len| usize::try_from(len).ok())
    }

    /// The next log point.
    pub fn point(&mut self) -> Option<LogPoint> {
        Some(LogPoint {
            position: Position(self.u64()?),
            history: History(self.u64()?),
            commit: CommitId(self.u64()?),
        })
    }

    /// All that is left.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// Whether nothing is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether nothing but zeros is left.
    #[must_use]
    pub fn only_zeros_left(&self) -> bool {
        self.0.iter().all(|byte| *byte == 0)
    }
}

/// Appends fields to bytes.
pub trait Put {
    /// Appends a byte.
    fn put_u8(&mut self, value: u8);
    /// Appends a number as two bytes.
    fn put_u16(&mut self, value: u16);
    /// Appends a number as four bytes.
    fn put_u32(&mut self, value: u32);
    /// Appends a number as eight bytes.
    fn put_u64(&mut self, value: u64);
    /// Appends a number as sixteen bytes.
    fn put_u128(&mut self, value: u128);
    /// Appends a length as four bytes. A longer one has been refused before, by a limit; it saturates here.
    fn put_len32(&mut self, value: usize);
    /// Appends a log point.
    fn put_point(&mut self, point: LogPoint);
    /// Appends zeros until the length is a multiple of 8.
    fn pad_to_8(&mut self);
}

impl Put for Vec<u8> {
    fn put_u8(&mut self, value: u8) {
        self.push(value);
    }
    fn put_u16(&mut self, value: u16) {
        self.extend_from_slice(&value.to_le_bytes());
    }
    fn put_u32(&mut self, value: u32) {
        self.extend_from_slice(&value.to_le_bytes());
    }
    fn put_u64(&mut self, value: u64) {
        self.extend_from_slice(&value.to_le_bytes());
    }
    fn put_u128(&mut self, value: u128) {
        self.extend_from_slice(&value.to_le_bytes());
    }
    fn put_len32(&mut self, value: usize) {
        self.put_u32(u32::try_from(value).unwrap_or(u32::MAX));
    }
    fn put_point(&mut self, point: LogPoint) {
        self.put_u64(point.position.0);
        self.put_u64(point.history.0);
        self.put_u64(point.commit.0);
    }
    fn pad_to_8(&mut self) {
        self.resize(self.len().next_multiple_of(8), 0);
    }
}

/// As much of a text as so many bytes hold, cut between two characters.
#[must_use]
pub fn shortened(text: &str, bytes_max: usize) -> &str {
    let most = text.len().min(bytes_max);
    (0..=most).rev().find_map(|end| text.get(..end)).unwrap_or_default()
}

/// Why bytes are not the sector that was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SectorFault {
    /// Wrong length, checksum or magic.
    Corrupt,
    /// Sound, but of a format version that this program does not know.
    Version(u32),
}

impl SectorFault {
    /// The refusal: a version that this program does not know goes by that name, anything else is the format's own corruption.
    #[must_use]
    pub fn refusal(self, corrupt: Error) -> Error {
        match self {
            SectorFault::Corrupt => corrupt,
            SectorFault::Version(version) => Error::new(Reason::IdentityVersion).with("version", version),
        }
    }
}

/// Begins a sector or a longer file: magic, format version.
#[must_use]
pub fn begin(magic: &[u8; 8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(SECTOR_BYTES);
    bytes.extend_from_slice(magic);
    bytes.put_u32(FORMAT_VERSION);
    bytes
}

/// Completes a sector: zeros, then the checksum.
#[must_use]
pub fn seal_sector(mut fields: Vec<u8>) -> Vec<u8> {
    fields.resize(SECTOR_CRC_AT, 0);
    let crc = crc32c::crc32c(&fields);
    fields.put_u32(crc);
    fields
}

/// Proves a sector, and returns a reader of what follows magic and version, up to the checksum.
///
/// # Errors
/// What is wrong with it.
pub fn open_sector<'a>(bytes: &'a [u8], magic: &[u8; 8]) -> Result<Reader<'a>, SectorFault> {
    if bytes.len() != SECTOR_BYTES {
        return Err(SectorFault::Corrupt);
    }
    open_checked(bytes, magic)
}

/// Proves a file that ends with the checksum of all before, and returns a reader of what follows magic and version.
///
/// # Errors
/// What is wrong with it.
pub fn open_checked<'a>(bytes: &'a [u8], magic: &[u8; 8]) -> Result<Reader<'a>, SectorFault> {
    let (fields, crc) = bytes.split_last_chunk::<4>().ok_or(SectorFault::Corrupt)?;
    if crc32c::crc32c(fields) != u32::from_le_bytes(*crc) {
        return Err(SectorFault::Corrupt);
    }
    let mut reader = Reader::new(fields);
    if reader.array::<8>().as_ref() != Some(magic) {
        return Err(SectorFault::Corrupt);
    }
    match reader.u32() {
        Some(FORMAT_VERSION) => Ok(reader),
        Some(version) => Err(SectorFault::Version(version)),
        None => Err(SectorFault::Corrupt),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sector_proves_itself_and_every_flipped_bit_is_seen() {
        let mut fields = begin(b"AEROTEST");
        fields.put_u64(7);
        let sector = seal_sector(fields);
        assert_eq!(sector.len(), SECTOR_BYTES);
        let mut reader = open_sector(&sector, b"AEROTEST").unwrap();
        assert_eq!(reader.u64(), Some(7));
        assert!(reader.only_zeros_left());
        for bit in 0..sector.len() * 8 {
            let mut flipped = sector.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(open_sector(&flipped, b"AEROTEST").err(), Some(SectorFault::Corrupt), "bit {bit}");
        }
        assert_eq!(open_sector(&sector[..511], b"AEROTEST").err(), Some(SectorFault::Corrupt));
        assert_eq!(open_sector(&sector, b"AEROELSE").err(), Some(SectorFault::Corrupt));
    }

    #[test]
    fn a_reader_ends_without_panic() {
        let mut reader = Reader::new(&[1, 2, 3]);
        assert_eq!(reader.u32(), None);
        assert_eq!(reader.u16(), Some(0x0201));
        assert_eq!(reader.take(2), None);
        assert_eq!(reader.take(1), Some(&[3u8][..]));
        assert!(reader.is_empty());
    }
}
