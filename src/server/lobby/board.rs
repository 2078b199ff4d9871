//! What a node that has no database yet says of itself: why, and how far it is.
//!
//! Writers: who fetches the snapshot and who opens the directory, each on its own thread and one behind the other. Reader: the lobby. It
//! is shown, never decided on; facts that the server shows too have the same names.

#[cfg(feature = "replication")]
use crate::bootstrap::{Transfer, machine::State};
use crate::commit_id::CommitId;
use crate::error::Error;
use crate::explain::{self, Explanation, Topic};
use crate::gate::{self, Authority, Check, Evaluation, Prefix, Wish};
use crate::identity::Identity;
#[cfg(feature = "replication")]
use crate::observed::Observation;
use crate::reason::Reason;
use crate::recovery::Progress;
use crate::server::commands::info::Section;
use crate::sync::{self, Mutex};
use std::net::SocketAddr;

/// Where it is said how far a node is.
#[derive(Debug)]
pub struct Board {
    address: SocketAddr,
    primary: Option<String>,
    identity: Mutex<Option<Identity>>,
    phase: Mutex<Phase>,
}

/// What a node does before it serves.
#[derive(Clone, Debug)]
enum Phase {
    /// It opens its directory; how far that is, once it has begun.
    Recovering(Option<Progress>),
    /// It fetches a snapshot.
    #[cfg(feature = "replication")]
    Bootstrapping(Observation<State>, Transfer),
}

impl Phase {
    /// What the gate calls it.
    fn of_gate(&self) -> gate::Phase {
        match self {
            Phase::Recovering(_) => gate::Phase::Recovering,
            #[cfg(feature = "replication")]
            Phase::Bootstrapping(..) => gate::Phase::Bootstrapping,
        }
    }

    /// Why nothing is read.
    fn reason(&self) -> Reason {
        match self {
            Phase::Recovering(_) => Reason::ReadRecovering,
            #[cfg(feature = "replication")]
            Phase::Bootstrapping(..) => Reason::ReadBootstrapping,
        }
    }

    /// What the supervisor of a replica calls it.
    fn name(&self) -> &'static str {
        match self {
            Phase::Recovering(_) => "recovering",
            #[cfg(feature = "replication")]
            Phase::Bootstrapping(..) => "bootstrapping",
        }
    }

    /// How far it is, how it came there, and what blocks it (P5-I14).
    fn facts(&self) -> Vec<(&'static str, String)> {
        match self {
            Phase::Recovering(None) => vec![("recovery_step", "none".to_owned())],
            Phase::Recovering(Some(Progress { recovery, replayed, end })) => {
                let mut facts = vec![("recovery_step", recovery.state.to_string())];
                facts.extend(recovery.previous.map(|previous| ("recovery_previous", previous.to_string())));
                facts.extend([
                    ("recovery_cause", recovery.cause.to_owned()),
                    ("recovery_replayed_position", replayed.to_string()),
                    ("recovery_end_position", end.to_string()),
                ]);
                facts
            }
            #[cfg(feature = "replication")]
            Phase::Bootstrapping(seen, transfer) => bootstrap_facts(seen, transfer),
        }
    }
}

/// What a bootstrap shows all the time (P5-I14).
#[cfg(feature = "replication")]
fn bootstrap_facts(seen: &Observation<State>, transfer: &Transfer) -> Vec<(&'static str, String)> {
    let known = |value: Option<String>| value.unwrap_or_else(|| "unknown".to_owned());
    vec![
        ("bootstrap_state", seen.state.to_string()),
        ("bootstrap_previous", seen.previous.map_or("none", State::name).to_owned()),
        ("bootstrap_cause", seen.cause.to_owned()),
        ("bootstrap_blocked", seen.blocked.clone().unwrap_or_else(|| "nothing".to_owned())),
        ("bootstrap_primary", known(transfer.primary.map(|primary| primary.to_string()))),
        ("bootstrap_cut", known(transfer.cut.map(|cut| cut.to_string()))),
        ("bootstrap_bytes", transfer.came.to_string()),
        ("bootstrap_bytes_written", transfer.written.to_string()),
        ("bootstrap_bytes_proven", transfer.proven.to_string()),
        ("bootstrap_bytes_total", transfer.total.to_string()),
        ("bootstrap_chunks", transfer.chunks.to_string()),
        ("bootstrap_attempts", transfer.attempts.to_string()),
        ("bootstrap_lost", transfer.lost.to_string()),
    ]
}

impl Board {
    /// A node that listens here, and opens its directory; whom it follows, if it is to be a replica.
    #[must_use]
    pub fn new(address: SocketAddr, primary: Option<String>) -> Board {
        Board { address, primary, identity: Mutex::new(None), phase: Mutex::new(Phase::Recovering(None)) }
    }

    /// It is known whose directory it is.
    pub fn identified(&self, identity: &Identity) {
        *sync::lock(&self.identity) = Some(*identity);
    }

    /// The directory is being opened, and that is so far.
    pub fn recovers(&self, seen: &Progress) {
        *sync::lock(&self.phase) = Phase::Recovering(Some(seen.clone()));
    }

    /// A snapshot is being fetched, and that is so far.
    #[cfg(feature = "replication")]
    pub fn bootstraps(&self, seen: Observation<State>, transfer: Transfer) {
        *sync::lock(&self.phase) = Phase::Bootstrapping(seen, transfer);
    }

    /// The snapshot that is being fetched, and how far that is.
    #[cfg(feature = "replication")]
    pub(crate) fn bootstrapping(&self) -> Option<(Observation<State>, Transfer)> {
        match self.phase() {
            Phase::Recovering(_) => None,
            Phase::Bootstrapping(seen, transfer) => Some((seen, transfer)),
        }
    }

    /// The recovery that goes on, and how far that is.
    pub(crate) fn recovering(&self) -> Option<Progress> {
        match self.phase() {
            Phase::Recovering(seen) => seen,
            #[cfg(feature = "replication")]
            Phase::Bootstrapping(..) => None,
        }
    }

    fn phase(&self) -> Phase {
        sync::lock(&self.phase).clone()
    }

    /// The node begins again: what it did before is not what it does now.
    pub fn begins_again(&self) {
        *sync::lock(&self.phase) = Phase::Recovering(None);
    }

    /// What the node does, and how far that is.
    pub(crate) fn doing(&self) -> (&'static str, Vec<(&'static str, String)>) {
        let phase = self.phase();
        (phase.name(), phase.facts())
    }

    /// Whose directory it is, once that is known.
    pub(crate) fn identity(&self) -> Option<Identity> {
        *sync::lock(&self.identity)
    }

    /// Whom the node will follow.
    pub(crate) fn primary(&self) -> Option<&str> {
        self.primary.as_deref()
    }

    /// Why nothing can be read, and how far the node is.
    pub(crate) fn refusal(&self) -> Error {
        let phase = self.phase();
        let refused =
            gate::refusal(&self.gate_facts(&phase), &Wish::newest()).unwrap_or_else(|| Error::new(phase.reason()));
        phase.facts().into_iter().fold(refused, |error, (name, value)| error.with(name, value))
    }

    /// What the gate decides on while there is nothing to read. Whose directory it is, is not known before its identity is read, whatever the node was
    /// started as (R-AUTHORITY).
    fn gate_facts(&self, phase: &Phase) -> gate::Facts {
        gate::Facts {
            authority: match self.identity() {
                None => Authority::Unknown,
                Some(identity) if identity.role.writes() => Authority::Writer,
                Some(_) => Authority::Follower,
            },
            phase: phase.of_gate(),
            halted: false,
            prefix: Prefix::Proven(CommitId::NONE),
            applied: CommitId::NONE,
            floor: CommitId::NONE,
            line: None,
        }
    }

    /// Every rule of the gate, as far as it is known, and why it refuses.
    pub(crate) fn gate(&self) -> (Vec<(Check, Evaluation, explain::Facts)>, Error) {
        let facts = self.gate_facts(&self.phase());
        (gate::evaluate_unopened(&facts, &Wish::newest()).collect(), self.refusal())
    }

    /// Explains a topic as far as it is known: why nothing is read yet, and how far the node is (F-O1).
    pub(crate) fn explanation(&self, topic: &Topic) -> Explanation {
        let phase = self.phase();
        let mut observed = vec![("address", self.address.to_string()), ("state", phase.name().to_owned())];
        observed.extend(self.primary.clone().map(|primary| ("primary", primary)));
        observed.extend(sync::lock(&self.identity).iter().flat_map(|identity| {
            let (role, database, node) = (identity.role, identity.database_id, identity.node_id);
            [("role", role.to_string()), ("database", database.to_string()), ("node", node.to_string())]
        }));
        observed.extend(phase.facts());
        explain::waiting(topic, &self.gate_facts(&phase), observed, self.refusal())
    }

    /// What Redis calls the role of the node to be.
    pub(super) fn role(&self) -> &'static str {
        if self.primary.is_some() { "slave" } else { "master" }
    }

    pub(super) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(super) fn persistence(&self, section: &mut Section) {
        section.line("loading", 1);
        #[cfg(feature = "replication")]
        if let Phase::Bootstrapping(_, transfer) = self.phase() {
            section.line("loading_total_bytes", transfer.total);
            section.line("loading_loaded_bytes", transfer.came);
        }
    }

    pub(super) fn replication(&self, section: &mut Section) {
        section.line("role", self.role());
        if let Some(primary) = &self.primary {
            let (host, port) = primary.rsplit_once(':').unwrap_or_default();
            section.line("master_host", host);
            section.line("master_port", port);
            section.line("master_link_status", "down");
        }
        section.line("connected_slaves", 0);
    }

    pub(super) fn aerodb(&self, section: &mut Section) {
        if let Some(identity) = *sync::lock(&self.identity) {
            crate::server::commands::info::identity(&identity, section);
        }
        let phase = self.phase();
        section.line("waiting", phase.reason());
        if let Some(primary) = &self.primary {
            section.line("replica_primary", primary);
            section.line("replica_state", phase.name());
            section.line("replica_reads", phase.reason());
        }
        for (name, value) in phase.facts() {
            section.line(name, value);
        }
    }
}
