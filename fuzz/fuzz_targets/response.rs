//! Replies: any bytes, in pieces of a size that the first byte says (RESP-RESPONSE).

#![no_main]

#[path = "../../tests/resp/property.rs"]
#[allow(dead_code)]
mod property;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Some((size, bytes)) = bytes.split_first() {
        property::check_replies(bytes, &[usize::from(*size % 32) + 1]);
    }
});
