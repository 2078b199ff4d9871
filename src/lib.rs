//! stub
#![forbid(unsafe_code)]
pub mod clock;
pub mod codec;
pub mod commit_id;
pub mod disk;
pub mod entropy;
pub mod error;
pub mod identity;
pub mod limits;
pub mod position;
pub mod published;
pub mod queue;
pub mod reason;
#[deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]
pub mod store;
pub mod sync;
