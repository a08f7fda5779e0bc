//! Experiments begin and change.

use super::label::labelled;
use super::{BEHAVIOUR, codes};
use crate::error::{Rejection, SpecError};
use crate::event::{Event, v1};
use crate::id::ExperimentId;
use crate::limits;
use crate::spec::Spec;
use crate::state::{Experiment, State};
use crate::time::Timestamp;
use std::collections::BTreeMap;

impl State {
    pub(super) fn create_experiment(
        &self,
        id: ExperimentId,
        spec: &str,
        seed: u64,
        labels: &BTreeMap<String, String>,
    ) -> Result<Vec<Event>, Rejection> {
        if id == ExperimentId::STORE || self.experiment(id).is_some() {
            return Err(Rejection::new(
                codes::EXPERIMENT_EXISTS,
                format!("the experiment {id} exists"),
                "give it another id",
            ));
        }
        let parsed = read(spec)?;
        let mut events: Vec<Event> = vec![
            v1::ExperimentCreated { name: parsed.name, spec: spec.to_owned(), seed, behaviour: BEHAVIOUR }
                .into(),
        ];
        let labels = labels.iter().map(|(name, value)| (name.clone(), Some(value.clone()))).collect();
        events.extend(labelled(&BTreeMap::new(), &labels)?);
        Ok(events)
    }
}

impl Experiment {
    pub(super) fn update(&self, text: &str, at: Timestamp) -> Result<Vec<Event>, Rejection> {
        if text == self.spec.text() {
            return Ok(Vec::new());
        }
        let spec = read(text)?;
        let mut details = self.spec.update_allowed(&spec).err().unwrap_or_default();
        if spec.seed.is_some_and(|seed| seed != self.seed) {
            let message = "the seed cannot change once the experiment exists".to_owned();
            let cure = format!("leave it out, or write {}, which it has", self.seed);
            details.push(SpecError::new(crate::spec::codes::FIXED, "seed", message, cure));
        }
        let allowed = if details.is_empty() { Ok(()) } else { Err(details) };
        allowed.map_err(|details| Rejection {
            details,
            ..Rejection::new(
                codes::FIXED_PART,
                "a running experiment keeps what its trials were made for",
                "start a new experiment with `retrial run FILE --new`",
            )
        })?;
        let mut events = vec![v1::ExperimentUpdated { spec: text.to_owned() }.into()];
        // An ended experiment goes on if the new budget leaves room that the old one did not.
        if self.status.is_ended() && self.has_more_to_do(&spec, at) {
            events.push(v1::ExperimentReopened {}.into());
        }
        Ok(events)
    }

    fn has_more_to_do(&self, spec: &Spec, at: Timestamp) -> bool {
        let (old, new) = (&self.spec.budget, &spec.budget);
        let trials = wider(new.trials, old.trials);
        let sampler = spec.sampler != self.spec.sampler;
        let target = match (new.target, old.target) {
            (None, Some(_)) => true,
            (Some(new), Some(old)) => self.spec.objective.goal.better(new, old),
            (_, None) => false,
        };
        // The less is asked of a further trial, the longer it goes on.
        let gain = match (new.gain, old.gain) {
            (None, Some(_)) => true,
            (Some(new), Some(old)) => new < old,
            (_, None) => false,
        };
        let more = trials
            || wider(new.duration, old.duration)
            || wider(new.patience, old.patience)
            || wider(new.cost, old.cost)
            || gain
            || target
            || (sampler && self.exhausted);
        let room = new.trials.is_none_or(|trials| trials > self.suggested() - self.extra);
        let exhausted = self.exhausted && !trials && !sampler;
        more && room && !exhausted && self.goal_or_time(new, at).is_none()
    }
}

/// Whether a bound leaves room that the old one did not; `None` is no bound.
fn wider<T: PartialOrd>(new: Option<T>, old: Option<T>) -> bool {
    match (new, old) {
        (None, Some(_)) => true,
        (Some(new), Some(old)) => new > old,
        (_, None) => false,
    }
}

fn read(text: &str) -> Result<Spec, Rejection> {
    let invalid = |message: String| {
        Rejection::new(
            codes::INVALID_SPEC,
            message,
            "`retrial check FILE` shows every mistake with its place",
        )
    };
    if text.len() > limits::MAX_SPEC_BYTES {
        return Err(invalid(format!(
            "the specification has {} bytes and at most {} are kept",
            text.len(),
            limits::MAX_SPEC_BYTES
        )));
    }
    let document = serde_json::from_str(text).map_err(|error| invalid(error.to_string()))?;
    match Spec::parse(&document, "") {
        Ok((spec, _warnings)) => Ok(spec),
        Err(details) => Err(Rejection { details, ..invalid("the specification has mistakes".to_owned()) }),
    }
}
