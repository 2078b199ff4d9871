//! What a replica consists of, once its directory is open: the same with threads and without.
//!
//! Opening is recovery, shown as such: the state of the replica begins before the lock is taken, is `recovering` while the log is proven and
//! replayed, and is the Supervisor's from then on. A replica that was halted proves what it holds, and does no more; nor does one that
//! recovery found to be another than its log says.

use crate::applier::ReplicaApplier;
use crate::error::{Error, Result};
use crate::identity::Role;
use crate::queue::Sender;
use crate::reason::Reason;
use crate::receiver::Receiver;
use crate::recovery::{self, Base, Kept, Options, Recovered};
use crate::replica_state::Halt;
use crate::store::Store;
use crate::supervisor::{Course, Reconnect, Recoveries, Supervisor};
use crate::validator::Validator;
use crate::wal::{FollowedLog, LogWriter};

/// The stages of a replica, and who supervises them.
pub(crate) struct Parts {
    pub(crate) receiver: Receiver,
    pub(crate) validator: Validator,
    pub(crate) applier: ReplicaApplier,
    pub(crate) supervisor: Supervisor,
    /// What recovery has found that halts it, and that the Supervisor has not seen yet.
    pub(crate) fault: Option<Error>,
}

/// How a replica is opened, beyond how any directory is.
pub(crate) struct Following<'a> {
    pub(crate) reconnect: Reconnect,
    pub(crate) recoveries: &'a Recoveries,
}

impl Parts {
    /// Opens a replica's directory and proves what it holds. `maintained` is given what every node has, and its log before that is the
    /// Receiver's.
    pub(crate) fn open<T>(
        options: &Options,
        following: &Following<'_>,
        calls: Option<Sender<()>>,
        maintained: impl FnOnce(Base, &LogWriter) -> Result<T>,
    ) -> Result<(T, Parts)> {
        let options = Options { role: Some(Role::Replica), ..options.clone() };
        let mut course = Supervisor::begin();
        let recovered = recover(&options, following, &mut course, calls).inspect_err(|error| course.failed(error))?;
        let Recovered { log, applier, kept: Kept(kept), base } = recovered;
        let (identity, point) = (base.report.identity, log.durable());
        let kept = kept.ok_or_else(|| Error::new(Reason::IdentityOtherRole).with("found", identity.role))?;
        let supervisor = Supervisor::new(course, kept, following.reconnect, identity.parameters.table_bytes)?;
        let fault = base.store.write_fault().filter(|fault| fault.reason().halts());
        if let Some(halt) = supervisor.halt() {
            close_reads(&base.store, Some(halt));
        }
        let maintained = maintained(base, &log)?;
        let parts = Parts {
            receiver: Receiver::new(FollowedLog::new(log), identity).following(supervisor.primary()),
            validator: Validator::new(point),
            applier: ReplicaApplier::new(applier),
            supervisor,
            fault,
        };
        Ok((maintained, parts))
    }

    /// Whether none of the stages is to run.
    pub(crate) fn is_halted(&self) -> bool {
        self.supervisor.halt().is_some() || self.fault.is_some()
    }
}

fn recover(
    options: &Options,
    following: &Following<'_>,
    course: &mut Course,
    calls: Option<Sender<()>>,
) -> Result<Recovered> {
    let entered = recovery::begin(options)?;
    course.recovering(following.recoveries.failure());
    Ok(entered.recover(calls)?)
}

/// Ends reading: the replica has halted. What is proven and not applied is in the log, and the next start applies it.
pub(crate) fn close_reads(store: &Store, halt: Option<&Halt>) {
    let named = halt.map_or_else(|| "not kept".to_owned(), Halt::to_string);
    let halted = Error::new(Reason::ReplicaHalted).with("halt", named);
    store.halt(&match halt {
        Some(halt) => halted.with("evidence", &halt.evidence),
        None => halted,
    });
}

/// Ends reading where nobody can say any more what the replica is: the Supervisor has failed. What is proven is applied all the same.
pub(crate) fn bar_reads(store: &Store, failure: &Error) {
    let halted = Error::new(Reason::ReplicaHalted).with("halt", "none").with("component", "supervisor");
    store.bar_reads(halted.with("failure", failure));
}
