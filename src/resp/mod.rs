//! RESP, the protocol of the clients: requests in, replies out, as bytes (RESP-REQUEST, RESP-REPLY).
//!
//! ```text
//!  server:  bytes ──request, inline──► Request ──► … ──reply──► bytes
//!  client:  bytes ◄──────reply──────── arguments       bytes ──response──► Value
//! ```
//!
//! Pure: no socket, no clock, no command is known here. A decoder takes whatever has arrived and keeps what is not whole yet, so each
//! byte is looked at once, however the bytes were cut up; what it says depends on the bytes alone. It never panics, and what it holds
//! is bounded by what has arrived and by [`crate::limits`], never by what a length announces (RESP-BOUND).
//!
//! Used by the server, by the commands that speak to one, and by tests as the peer. `docs/resp.md` says the same for people.

pub mod glob;
mod inline;
mod line;
pub mod reply;
pub mod request;
pub mod response;

pub use glob::Glob;
pub use reply::{Out, Version, encode_request};
pub use request::{Decoder, Limits, Malformed, Request};
pub use response::{Piece, Responses, Value};

/// The least memory that is taken for bytes that were announced and have not arrived.
const STEP_BYTES: usize = 16 * 1024;

/// A number as RESP writes it: digits without a plus or leading zeros.
pub(crate) fn integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [b'0'] if !negative => return Some(0),
        [b'1'..=b'9', ..] => {}
        _ => return None,
    }
    // Below zero there is one number more than above.
    let below = digits.iter().try_fold(0_i64, |number, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
        number.checked_mul(10)?.checked_sub(i64::from(digit))
    })?;
    if negative { Some(below) } else { below.checked_neg() }
}

/// Moves bytes of an announced length from the input to the end of others, and returns how many have not arrived. Memory is taken for
/// twice what is there, or for a step, and never for more than was announced.
fn receive(bytes: &mut Vec<u8>, announced: usize, input: &mut &[u8]) -> usize {
    let (arrived, rest) = input.split_at_checked(announced).unwrap_or((input, &[]));
    let room = bytes.capacity().saturating_sub(bytes.len());
    if arrived.len() < announced && arrived.len() > room {
        bytes.reserve_exact(announced.min(bytes.len().max(STEP_BYTES)).max(arrived.len()));
    }
    bytes.extend_from_slice(arrived);
    *input = rest;
    announced.saturating_sub(arrived.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_one_form() {
        for number in [0, 1, -1, 10, i64::MAX, i64::MIN] {
            assert_eq!(integer(number.to_string().as_bytes()), Some(number));
        }
        for wrong in ["", "-", "-0", "+1", "01", "1 ", " 1", "1a", "a", "1\n", "9223372036854775808", "-9223372036854775809"] {
            assert_eq!(integer(wrong.as_bytes()), None, "{wrong:?}");
        }
    }

    #[test]
    fn memory_follows_what_arrives_resp_bound() {
        let (mut bytes, mut left) = (Vec::new(), 32 << 20);
        for _ in 0..64 {
            left = receive(&mut bytes, left, &mut &[7; 1000][..]);
            assert!(bytes.capacity() <= 2 * bytes.len() + STEP_BYTES, "{} for {}", bytes.capacity(), bytes.len());
        }
        assert_eq!((bytes.len(), left), (64_000, (32 << 20) - 64_000));
        let mut input = &[8; 50][..];
        assert_eq!((receive(&mut bytes, 20, &mut input), input.len()), (0, 30));
    }
}
