//! # AeroDB
//!
//! An ordered MVCC key-value database with one writer and replicas that prove what they answer. This crate is the database as a
//! library; the `aerodb` binary is a thin shell around it.
//!
//! ```
//! use aerodb::{Batch, Database, Init, Options, Range};
//!
//! # fn main() -> aerodb::Result<()> {
//! # let scratch = tempfile::tempdir().map_err(|_| aerodb::Error::new(aerodb::Reason::DirNotFound))?;
//! # let dir = scratch.path().join("db");
//! Database::init(&Init::standalone(&dir))?;
//! let db = Database::open(Options::new(&dir))?;
//!
//! let mut batch = Batch::new();
//! batch.put(b"apple", b"red")?;
//! batch.put(b"plum", b"blue")?;
//! let first = db.commit(batch)?; // durable and visible when it returns
//!
//! let mut batch = Batch::new();
//! batch.delete(b"apple")?;
//! db.commit(batch)?;
//!
//! assert_eq!(db.get(b"apple")?, None);
//! let before = db.view(Some(first))?; // the database as it was
//! assert_eq!(before.get(b"apple")?.as_deref(), Some(&b"red"[..]));
//! assert_eq!(before.range(Range::all(10))?.collect()?.len(), 2);
//! drop(before);
//! db.close()
//! # }
//! ```
//!
//! # Architecture
//!
//! ```text
//!  callers ──orders──► committer ──► log (one fsync a group) ──► applier ──► table ─seal─► sealed tables
//!                                                                  │                          │ maintenance
//!  readers ◄── views ◄── published commit ◄────────────────────────┘            runs ◄─merge─ runs + manifest
//! ```
//!
//! ```text
//! primary's log ══► Receiver ──► Validator ──► Applier ──► store        a replica: each stage a thread, a bounded queue between
//! ```
//!
//! * The **log** ([`wal`]) is the sole authority on what was committed. A position is a byte offset since genesis; a history is the
//!   hash over all records up to a position; two logs with equal (position, history) are the same log.
//! * The **store** ([`store`]) holds all versions that the floor keeps. What its files contain is decided by the log; only when they
//!   are written is free. It has no log of its own: after a crash the log is replayed from the checkpoint on ([`recovery`]).
//! * The **committer** ([`committer`]) is the one writer. **Maintenance** ([`maintenance`]) writes runs and the manifest.
//! * A **replica** (`replica`, feature `replication`) pulls the log of its primary, proves every record in its place, and applies it; what does
//!   not prove itself halts it. The primary only serves (`feeder`), on the thread of its server.
//! * A **view** ([`View`]) is one CommitId. It never changes.
//! * [`Node`] is all of this without a thread, for offline tools and simulation; [`Database`] adds the two threads.
//!
//! Layers point down only; a test reads the source and checks it:
//!
//! | layer | modules | does not know |
//! |---|---|---|
//! | words | [`position`], [`commit_id`], [`id`], [`reason`], [`rules`], [`error`], [`limits`], [`config`] | anything |
//! | doors | [`sync`], [`queue`], [`published`], [`observed`], [`clock`], [`disk`], [`entropy`], `wire` | what passes through them |
//! | formats | [`codec`], [`record`], [`batch`], [`gate`], [`json`], `frame`, `chunk`, `resp` | disks and threads; they never panic |
//! | stores | [`identity`], [`wal`], [`store`], `replica_state` | who calls them |
//! | components | [`committer`], [`maintenance`], `feeder`, `receiver`, `validator`, `applier`, `bootstrap` | one another |
//! | composition | [`recovery`], [`node`], [`database`], [`verify`], [`backup`], [`compare`], [`explain`], `server`, `http`, `supervisor`, `begin`, `replica` | |
//!
//! Every rule has an id, in [`rules`] and in `docs/`; every refusal has a [`Reason`].

/// Modules that answer bad input and never panic on it: words, formats, stores, and every state machine. Their tests may.
macro_rules! strict {
    ($($(#[$attribute:meta])* $name:ident)*) => {
        $(
            $(#[$attribute])*
            #[cfg_attr(
                not(test),
                deny(
                    clippy::unwrap_used,
                    clippy::expect_used,
                    clippy::panic,
                    clippy::indexing_slicing,
                    clippy::arithmetic_side_effects
                )
            )]
            pub mod $name;
        )*
    };
}

/// An enumeration whose values are words: what a machine can be in, and what can happen to it.
macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($(#[$attribute:meta])* $value:ident $word:literal)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$attribute])* $value,)*
        }

        impl $name {
            /// All of them.
            pub const ALL: &'static [$name] = &[$($name::$value,)*];

            /// The word that is shown.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $($name::$value => $word,)* }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

strict! {
    batch codec commit_id config error gate id identity json limits position reason record rules store wal
    #[cfg(feature = "replication")] chunk
    #[cfg(feature = "replication")] frame
    #[cfg(feature = "replication")] replica_state
    #[cfg(feature = "server")] resp
}

#[cfg(feature = "replication")]
pub mod applier;
pub mod backup;
#[cfg(feature = "replication")]
pub mod begin;
#[cfg(feature = "replication")]
pub mod bootstrap;
pub mod clock;
pub mod committer;
pub mod compare;
pub mod database;
pub mod disk;
pub mod entropy;
pub mod explain;
#[cfg(feature = "replication")]
pub mod feeder;
#[cfg(feature = "replication")]
pub mod follower_node;
#[cfg(feature = "server")]
pub mod http;
pub mod maintenance;
pub mod node;
pub mod observed;
pub mod published;
pub mod queue;
#[cfg(feature = "replication")]
pub mod receiver;
pub mod recovery;
#[cfg(feature = "replication")]
pub mod replica;
#[cfg(feature = "server")]
pub mod server;
#[cfg(feature = "replication")]
pub mod supervisor;
pub mod sync;
#[cfg(feature = "replication")]
pub mod validator;
pub mod verify;
#[cfg(feature = "server")]
pub mod wire;

pub use batch::Batch;
pub use commit_id::CommitId;
pub use database::{Database, Status};
pub use error::{Error, Result};
pub use gate::Wish;
pub use id::Id;
pub use identity::{Identity, Parameters, Role};
pub use node::Node;
pub use position::{History, LogPoint, Position};
pub use reason::{Reason, Retry};
pub use recovery::{Init, Options, Report};
pub use store::{Direction, Range, Rows, View};

/// The program of the README is compiled and run with the examples of this documentation.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
