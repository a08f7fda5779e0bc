//! Which client runs a trial, and until when.
//!
//! A lease that has run out ends nothing: the trial waits for the next worker, and until one has taken it over its last holder
//! may still tell its result.

use super::apply::{Misfit, require};
use super::experiment::Experiment;
use super::trial::Trial;
use crate::event::v1;
use crate::id::{AttemptNo, TrialId};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Which client runs a trial, and until when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// From 1; whoever takes the trial over gets the next one, and what is told under an older one is refused.
    pub number: u32,
    /// The client.
    pub worker: String,
    /// The request by which the client took the trial, so that it can be repeated; may be empty.
    pub request: String,
    /// When others may take the trial over.
    pub until: Timestamp,
}

impl Trial {
    /// The number of its newest lease; 0 where there is none.
    pub fn lease_number(&self) -> u32 {
        self.lease.as_ref().map_or(0, |lease| lease.number)
    }

    /// Under which number it reports now: that of its attempt, or of the lease where a client runs it; 0 where there is
    /// neither.
    pub fn reporter(&self) -> AttemptNo {
        self.attempt().map_or(AttemptNo(self.lease_number()), |attempt| attempt.number)
    }
}

impl Experiment {
    /// The active trial that was taken by this request. No trial was taken by an empty one.
    pub fn taken_by(&self, request: &str) -> Option<TrialId> {
        let (taken, trial) = self.requests.range((request.to_owned(), TrialId(0))..).next()?;
        (taken == request).then_some(*trial)
    }

    /// The first trial that waits for another worker: its lease has run out, and it is not being stopped.
    pub(crate) fn run_out(&self, at: Timestamp) -> Option<TrialId> {
        self.leases.iter().take_while(|(until, _)| *until < at).map(|(_, id)| *id).min()
    }

    pub(super) fn lease(&mut self, leased: &v1::TrialLeased) -> Result<(), Misfit> {
        require(self.spec.run.is_none(), "the engine runs the trial")?;
        let id = leased.trial;
        let known = self.live_trial(id)?.lease_number();
        require(
            leased.lease > 0 && leased.lease.checked_sub(known).is_some_and(|more| more < 2),
            "its number is neither that of the lease nor the next one",
        )?;
        self.drop_lease_index(id);
        self.live_trial(id)?.lease = Some(Box::new(Lease {
            number: leased.lease,
            worker: leased.worker.clone(),
            request: leased.request.clone(),
            until: leased.until,
        }));
        self.index_lease(id);
        Ok(())
    }

    pub(super) fn drop_lease_index(&mut self, id: TrialId) {
        let Some(lease) = self.trial(id).and_then(|trial| trial.lease.as_deref()) else { return };
        let (until, request) = (lease.until, lease.request.clone());
        self.leases.remove(&(until, id));
        self.requests.remove(&(request, id));
    }

    /// Puts an active trial's lease into the indices where it belongs.
    pub(super) fn index_lease(&mut self, id: TrialId) {
        self.drop_lease_index(id);
        let Some(trial) = self.trial(id) else { return };
        let Some(lease) = trial.lease.as_deref() else { return };
        let (until, request, stopping) = (lease.until, lease.request.clone(), trial.stopping.is_some());
        if !stopping {
            self.leases.insert((until, id));
        }
        if !request.is_empty() {
            self.requests.insert((request, id));
        }
    }
}
