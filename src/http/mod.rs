//! The HTTP side of a node: it shows what the node is, to people and to programs, and changes nothing (`docs/http.md`).
//!
//! ```text
//!  browser, probe ──► sockets ──► connections ──► Request ──► Pages ──► Response
//!                        one thread, "http"             what the node says of itself
//! ```
//!
//! * [`request`], [`response`]: heads of requests and whole responses; pure.
//! * `connection`: the buffers of one client; [`server`]: the thread, its seats, and who gives them up.
//! * [`pages`]: what a node shows; [`server::Pages`] is all that the thread knows of it.
//!
//! The thread reads sockets and what the node publishes, and has no other way into it. Without `--http` there is none of this.

strict! { request response }

mod connection;
pub mod pages;
pub mod server;

pub use request::{Method, Refused, Request};
pub use response::{Response, Status};
pub use server::{Options, Pages, Running, Server};
