//! A response: its status, what it is, and its bytes; whole, since nothing here is longer than memory (HTTP-ENVELOPE).
//!
//! No response has a date: RFC 9110 lets a server without a clock leave it out, and this one has none, so the same state is the same bytes.
//! None may be kept, guessed to be of another type, put into the page of another origin, or read by one: there is no header that allows it.
//!
//! Pure.

use super::request::{Method, Refused};
use crate::error::Error;
use crate::json::{Json, Object};

/// The version of what is under `/v1`.
const API_VERSION: u32 = 1;

/// How a request was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// With what was asked for.
    Ok,
    /// It is no request.
    BadRequest,
    /// There is no such page.
    NotFound,
    /// Only reading is allowed.
    MethodNotAllowed,
    /// It has a body.
    ContentTooLarge,
    /// Its target is too long.
    UriTooLong,
    /// It is meant for another host.
    MisdirectedRequest,
    /// Its head is too large.
    HeadersTooLarge,
    /// The node can't do now what was asked for.
    ServiceUnavailable,
    /// It is of another version.
    VersionNotSupported,
}

impl Status {
    /// The number, and the words for it.
    #[must_use]
    pub fn line(self) -> (u16, &'static str) {
        match self {
            Status::Ok => (200, "OK"),
            Status::BadRequest => (400, "Bad Request"),
            Status::NotFound => (404, "Not Found"),
            Status::MethodNotAllowed => (405, "Method Not Allowed"),
            Status::ContentTooLarge => (413, "Content Too Large"),
            Status::UriTooLong => (414, "URI Too Long"),
            Status::MisdirectedRequest => (421, "Misdirected Request"),
            Status::HeadersTooLarge => (431, "Request Header Fields Too Large"),
            Status::ServiceUnavailable => (503, "Service Unavailable"),
            Status::VersionNotSupported => (505, "HTTP Version Not Supported"),
        }
    }
}

impl From<Refused> for Status {
    fn from(refused: Refused) -> Status {
        match refused {
            Refused::Malformed(_) | Refused::Query(_) => Status::BadRequest,
            Refused::OtherHost => Status::MisdirectedRequest,
            Refused::NotFound => Status::NotFound,
            Refused::ReadOnly => Status::MethodNotAllowed,
            Refused::Body => Status::ContentTooLarge,
            Refused::TargetTooLong => Status::UriTooLong,
            Refused::HeadTooLarge => Status::HeadersTooLarge,
            Refused::Version => Status::VersionNotSupported,
        }
    }
}

/// What a request is answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// How it was answered.
    pub status: Status,
    /// What the bytes are.
    pub content_type: &'static str,
    /// What a browser may do with it, beside showing it.
    pub policy: &'static str,
    /// The bytes.
    pub body: Vec<u8>,
}

/// A browser loads nothing for it, runs nothing in it, and shows it in no frame.
const POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

impl Response {
    /// Text.
    #[must_use]
    pub fn text(text: &str) -> Response {
        Response { status: Status::Ok, content_type: "text/plain; charset=utf-8", policy: POLICY, body: text.into() }
    }

    /// What the node says of itself, seen at the moment that is named.
    #[must_use]
    pub fn seen(observed_at: Object, data: impl Into<Json>, notes: Vec<String>) -> Response {
        let envelope = Object::new().with("api_version", API_VERSION).with("observed_at", observed_at);
        Response::json(Status::Ok, &envelope.with("data", data).with("notes", notes))
    }

    /// Why there is no answer but this.
    #[must_use]
    pub fn refused(refused: Refused) -> Response {
        let status = Status::from(refused);
        let error = Object::new().with("code", refused.code()).with("sentence", Json::text(refused));
        Response::json(status, &Object::new().with("api_version", API_VERSION).with("error", error))
    }

    /// Why the node can't do now what was asked for.
    #[must_use]
    pub fn unavailable(error: &Error) -> Response {
        let told = Object::new().with("api_version", API_VERSION).with("error", error);
        Response::json(Status::ServiceUnavailable, &told)
    }

    fn json(status: Status, object: &Object) -> Response {
        let body = format!("{object}\n").into_bytes();
        Response { status, content_type: "application/json; charset=utf-8", policy: POLICY, body }
    }

    /// The bytes that are sent.
    #[must_use]
    pub fn encode(&self, method: Method, keep_alive: bool) -> Vec<u8> {
        let (number, words) = self.status.line();
        let allow = if self.status == Status::MethodNotAllowed { "Allow: GET, HEAD\r\n" } else { "" };
        let (kind, policy, length) = (self.content_type, self.policy, self.body.len());
        let connection = if keep_alive { "keep-alive" } else { "close" };
        let head = format!(
            "HTTP/1.1 {number} {words}\r\n{allow}Content-Type: {kind}\r\nContent-Length: {length}\r\nCache-Control: no-store\r\n\
             X-Content-Type-Options: nosniff\r\nCross-Origin-Resource-Policy: same-origin\r\n\
             Content-Security-Policy: {policy}\r\nConnection: {connection}\r\n\r\n"
        );
        let mut bytes = head.into_bytes();
        if method == Method::Get {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::HTTP_HEAD_BYTES_MAX;

    #[test]
    fn a_response_says_all_that_a_browser_must_not_guess_http_host() {
        let text = String::from_utf8(Response::text("ok\n").encode(Method::Get, true)).unwrap();
        let wanted = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 3\r\nCache-Control: no-store\r\n\
                      X-Content-Type-Options: nosniff\r\nCross-Origin-Resource-Policy: same-origin\r\n\
                      Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\nConnection: keep-alive\r\n\r\nok\n";
        assert_eq!(text, wanted);
        let head = String::from_utf8(Response::text("ok\n").encode(Method::Head, false)).unwrap();
        assert_eq!(head, wanted.replace("keep-alive", "close").strip_suffix("ok\n").unwrap());
    }

    #[test]
    fn every_refusal_has_its_status_and_its_code_and_quotes_nothing_of_the_request() {
        let refusals = [
            (Refused::Malformed("two hosts"), 400, "http.malformed"),
            (Refused::Query("no key"), 400, "http.query"),
            (Refused::NotFound, 404, "http.not_found"),
            (Refused::ReadOnly, 405, "http.read_only"),
            (Refused::Body, 413, "http.body"),
            (Refused::TargetTooLong, 414, "http.target_too_long"),
            (Refused::OtherHost, 421, "http.other_host"),
            (Refused::HeadTooLarge, 431, "http.head_too_large"),
            (Refused::Version, 505, "http.version"),
        ];
        for (refused, number, code) in refusals {
            let response = Response::refused(refused);
            assert_eq!(response.status.line().0, number);
            let body = String::from_utf8(response.body.clone()).unwrap();
            assert_eq!(body, format!("{{\"api_version\":1,\"error\":{{\"code\":\"{code}\",\"sentence\":\"{refused}\"}}}}\n"));
            let text = String::from_utf8(response.encode(Method::Get, false)).unwrap();
            assert_eq!(text.contains("\r\nAllow: GET, HEAD\r\n"), number == 405);
        }
        assert!(Refused::HeadTooLarge.to_string().contains(&HTTP_HEAD_BYTES_MAX.to_string()));
    }
}
