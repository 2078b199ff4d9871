//! Frames of a replication connection (WIRE-FRAME): any bytes as they are; and as a body of a kind that the first byte says, with checksums
//! that hold.

#![no_main]

#[path = "../../tests/protocol/property.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    property::check_frame(bytes);
    if let Some((kind, rest)) = bytes.split_first() {
        property::check_sealed(*kind, rest, 0);
    }
    if let Some(([low, high], rest)) = bytes.split_first_chunk::<2>() {
        property::check_sealed(5, rest, usize::from(u16::from_le_bytes([*low, *high])));
    }
});
