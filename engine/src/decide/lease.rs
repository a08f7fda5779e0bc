//! Clients take the trials that they run, each until a time.

use super::codes;
use crate::error::Rejection;
use crate::event::{Event, v1};
use crate::id::TrialId;
use crate::limits;
use crate::state::{Experiment, Trial};
use crate::time::Timestamp;

/// Who asks for a trial, by which request, and until when.
pub(super) struct Holder<'c> {
    pub worker: &'c str,
    pub request: &'c str,
    pub until: Timestamp,
}

impl Holder<'_> {
    fn check(&self) -> Result<(), Rejection> {
        for (what, name) in [("worker", self.worker), ("request", self.request)] {
            let chars = name.chars().count();
            if chars > limits::MAX_HOLDER_CHARS {
                return Err(Rejection::new(
                    codes::HOLDER_TOO_LONG,
                    format!(
                        "the name of the {what} has {chars} characters and at most {} are kept",
                        limits::MAX_HOLDER_CHARS
                    ),
                    "give it a shorter name",
                ));
            }
        }
        Ok(())
    }

    fn takes(&self, trial: TrialId, lease: u32) -> Event {
        let (worker, request) = (self.worker.to_owned(), self.request.to_owned());
        v1::TrialLeased { trial, lease, worker, request, until: self.until }.into()
    }
}

impl Experiment {
    /// The trial that is there to be taken: one that waits for another worker, else the next queued point. None if the
    /// request has taken one before, or if there is none.
    pub(super) fn take_trial(&self, holder: &Holder<'_>, at: Timestamp) -> Result<Vec<Event>, Rejection> {
        self.run_by_clients()?;
        holder.check()?;
        if self.taken_by(holder.request).is_some() {
            return Ok(Vec::new());
        }
        if self.end.is_none()
            && self.is_open()
            && let Some(trial) = self.run_out(at).and_then(|id| self.trial(id))
        {
            return Ok(vec![holder.takes(trial.id, trial.lease_number().saturating_add(1))]);
        }
        Ok(match self.take_queued().pop() {
            Some(Event::TrialSuggested(suggested)) => {
                let trial = suggested.trial;
                vec![suggested.into(), holder.takes(trial, 1)]
            }
            _ => Vec::new(),
        })
    }

    /// A first lease of a trial that nobody holds, or more time for the one that there is.
    pub(super) fn lease_trial(
        &self,
        id: TrialId,
        lease: u32,
        holder: &Holder<'_>,
    ) -> Result<Vec<Event>, Rejection> {
        self.run_by_clients()?;
        holder.check()?;
        let trial = self.running_trial(id)?;
        match trial.lease.as_deref() {
            None if lease == 1 => Ok(vec![holder.takes(id, lease)]),
            Some(known) if lease == known.number => {
                // The request by which it was taken may still be repeated.
                let renewed = Holder { request: &known.request, ..*holder };
                let longer = holder.until > known.until;
                Ok(longer.then(|| renewed.takes(id, lease)).into_iter().collect())
            }
            _ => Err(fenced(trial, lease)),
        }
    }

    /// A trial that is told about under a number: that of its newest lease.
    pub(super) fn held_trial(&self, id: TrialId, lease: u32) -> Result<&Trial, Rejection> {
        let trial = self.known_trial(id)?;
        if lease == trial.lease_number() { Ok(trial) } else { Err(fenced(trial, lease)) }
    }
}

fn fenced(trial: &Trial, lease: u32) -> Rejection {
    let held = trial.lease.as_ref().map_or_else(
        || "nobody holds it".to_owned(),
        |held| format!("the lease is number {} now, of {}", held.number, held.worker),
    );
    Rejection::new(
        codes::FENCED,
        format!("trial {} is not held under the number {lease}: {held}", trial.id),
        "drop the trial and take another one; renew leases before they run out",
    )
}
