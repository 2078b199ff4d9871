//! What the loop shows to other threads: what it counts, and the replicas that it feeds.
//!
//! The loop's thread alone knows them, and commands read them there. Where somebody else may look, the loop leaves a copy at the end of each turn; so
//! before it sleeps everything that has happened is shown. Without a window nothing is copied.
//!
//! Bounded: no more replicas than there are seats. It is shown, never decided on.

use super::counters::Counters;
use super::feeds::{Feeds, Replica};
use crate::sync::{self, Mutex};

/// What is seen.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// What the loop counts.
    pub counters: Counters,
    /// Clients that are connected.
    pub clients: usize,
    /// Whether replicas may connect.
    pub feeds: bool,
    /// Those that are served, in the order of their seats.
    pub replicas: Vec<Replica>,
}

/// Where it is seen.
#[derive(Debug, Default)]
pub struct Window(Mutex<Seen>);

impl Window {
    /// What the loop showed at the end of its last turn, or when it began.
    #[must_use]
    pub fn look(&self) -> Seen {
        sync::lock(&self.0).clone()
    }

    pub(super) fn show(&self, counters: &Counters, clients: usize, feeds: Option<&Feeds>) {
        let mut seen = sync::lock(&self.0);
        seen.counters.clone_from(counters);
        seen.clients = clients;
        seen.feeds = feeds.is_some();
        seen.replicas.clear();
        seen.replicas.extend(feeds.into_iter().flat_map(Feeds::replicas));
    }
}
