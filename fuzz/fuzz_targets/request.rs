//! Requests: any bytes, in pieces of a size that the first byte says (RESP-REQUEST, RESP-BOUND).

#![no_main]

#[path = "../../tests/resp/property.rs"]
#[allow(dead_code)]
mod property;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Some((size, bytes)) = bytes.split_first() {
        property::check_requests(bytes, &[usize::from(*size % 32) + 1]);
    }
});
