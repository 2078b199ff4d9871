//! What holds for any bytes that come as a request of HTTP: shared by `tests/http.rs` and the fuzz target.

use aerodb::http::pages::query;
use aerodb::http::request::{Decoder, Method, Request};

/// HTTP-REQUEST: what is read depends on the bytes and not on the pieces in which they come; what was read is read again from the plainest way of writing it,
/// and its query is understood or refused, whatever it says.
pub fn check_request(bytes: &[u8]) -> bool {
    let whole = Decoder::default().next(bytes);
    let mut decoder = Decoder::default();
    let first = (0..=bytes.len()).map(|length| decoder.next(&bytes[..length])).find(|outcome| *outcome != Ok(None));
    assert_eq!(first.unwrap_or(Ok(None)), whole, "in pieces it is not what it is whole");
    let Ok(Some((request, taken))) = whole else { return false };
    assert!(taken > 0 && taken <= bytes.len());
    assert_eq!(
        Decoder::default().next(&bytes[..taken]),
        Ok(Some((request.clone(), taken))),
        "what follows plays no part"
    );
    let written = plain(&request);
    if let Ok(again) = Decoder::default().next(&written) {
        assert_eq!(again, Some((request.clone(), written.len())));
    } else {
        assert!(written.len() > bytes.len(), "only the bounds refuse what was read once");
    }
    for kind in aerodb::explain::Kind::ALL {
        let _ = query::topic(kind.name().as_bytes(), &request.query);
    }
    let _ = query::verbose(&request.query);
    true
}

/// A request, written so that each byte of its path and query is spelt out.
fn plain(request: &Request) -> Vec<u8> {
    let spelt = |bytes: &[u8]| bytes.iter().map(|byte| format!("%{byte:02x}")).collect::<String>();
    let path = request.path.strip_prefix(b"/").expect("a path begins with a slash");
    let query: Vec<String> =
        request.query.iter().map(|(name, value)| format!("{}={}", spelt(name), spelt(value))).collect();
    let method = if request.method == Method::Get { "GET" } else { "HEAD" };
    let connection = if request.keep_alive { "keep-alive" } else { "close" };
    let version = if request.host.is_some() { "1.1" } else { "1.0" };
    let mut head = format!("{method} /{}?{} HTTP/{version}\r\n", spelt(path), query.join("&")).into_bytes();
    if let Some(host) = &request.host {
        head.extend([b"Host: ", host.as_slice(), b"\r\n"].concat());
    }
    head.extend(format!("Connection: {connection}\r\n\r\n").into_bytes());
    head
}
