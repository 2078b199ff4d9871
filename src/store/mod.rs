//! The store: what a database holds at a checkpoint, as immutable sorted runs.
//!
//! The runs ([`run`]) are a function of the log alone: every node of a database writes the same bytes (R-DETERMINISM).

pub mod run;
