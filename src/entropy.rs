//! The door to randomness: the identifiers that a new directory gets. Nothing else is random.
//!
//! Nothing else asks the operating system for random bytes, so that all that follows from the same bytes and calls is the
//! same each time (R-DETERMINISM). Without them it fails; it has no seed of its own to fall back on.

use crate::error::{Error, Result};
use crate::reason::Reason;

/// Sixteen random bytes from the operating system.
///
/// # Errors
/// `disk.read_failed` when it has none.
pub fn random_id() -> Result<[u8; 16]> {
    let mut bytes = [0u8; 16];
    match rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()) {
        Ok(read) if read == bytes.len() => Ok(bytes),
        Ok(_) => Err(Error::new(Reason::DiskReadFailed).with("operation", "getrandom").with("error", "too few bytes")),
        Err(error) => Err(Error::new(Reason::DiskReadFailed).with("operation", "getrandom").with("error", error)),
    }
}

/// Eight random bytes from the operating system, as a number.
///
/// # Errors
/// `disk.read_failed` when it has none.
pub fn random_seed() -> Result<u64> {
    random_id().map(|bytes| bytes.iter().fold(0u64, |seed, byte| seed.rotate_left(8) ^ u64::from(*byte)))
}
