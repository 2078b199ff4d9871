//! What holds for any bytes: shared by `tests/protocol.rs` and the fuzz target.

use aerodb::frame::{Frame, HEADER_BYTES};

/// WIRE-FRAME: what the bytes are does not depend on the pieces in which they arrive: it is not known before enough of them are there,
/// and does not change by what follows. What is accepted is encoded as it came.
pub fn check_frame(bytes: &[u8]) -> bool {
    let whole = Frame::decode(bytes);
    let mut known = false;
    for len in 0..=bytes.len() {
        match Frame::decode(&bytes[..len]) {
            Ok(None) => assert!(!known, "{len} bytes are less than fewer of them were"),
            outcome => {
                assert_eq!(outcome, whole, "{len} bytes are not what all of them are");
                known = true;
            }
        }
    }
    let Ok(Some((frame, taken))) = whole else { return false };
    assert!(taken >= HEADER_BYTES && taken <= bytes.len());
    let mut encoded = b"before".to_vec();
    frame.encode(&mut encoded);
    assert_eq!(&encoded[6..], &bytes[..taken], "it is written as it is read");
    true
}

/// The same for a frame of any kind and body whose checksums hold: past them, only its fields can refuse it. Of a SEGMENT the header says
/// that so many log bytes follow; they are not here.
pub fn check_sealed(kind: u8, body: &[u8], log_bytes: usize) -> bool {
    let mut bytes = Vec::new();
    bytes.extend_from_slice(&u32::try_from(body.len() + log_bytes).unwrap().to_le_bytes());
    bytes.extend_from_slice(&[kind, 0, 0, 0]);
    bytes.extend_from_slice(&crc32c::crc32c(body).to_le_bytes());
    bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
    bytes.extend_from_slice(body);
    check_frame(&bytes)
}
