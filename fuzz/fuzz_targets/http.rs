//! Requests of HTTP (HTTP-REQUEST): any bytes as they are; and behind a request line that is one.

#![no_main]

#[path = "../../tests/web/property.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    property::check_request(bytes);
    for line in [&b"GET /v1/explain/read?"[..], b"GET / HTTP/1.1\r\n", b"HEAD / HTTP/1.0\r\nX:"] {
        property::check_request(&[line, bytes, b"\r\n\r\n"].concat());
    }
});
