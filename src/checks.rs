//! What is wrong with an experiment beyond what its form shows: whether its algorithms, its schedule and its backend can be had.
//! The same for a file and for what comes over HTTP.

use crate::Backends;
use crate::error::{Failure, exit};
use crate::runtime::search::Search;
use backends::registry::{self, AVAILABLE};
use engine::error::SpecError;
use engine::id::{AttemptNo, ExperimentId, SubmissionKey, TaskIndex, TrialId};
use engine::ports::backend::TaskOrder;
use engine::ports::sampler::Proposal;
use engine::spec::{Parts, Spec};
use serde_json::Value;

/// The mistakes of a specification that could be read.
pub fn whole(spec: &Spec) -> Vec<SpecError> {
    let mut errors = crate::runtime::search::check(spec).err().unwrap_or_default();
    errors.extend(crate::runtime::window::check(spec));
    errors.extend(spec.run.iter().flat_map(|run| registry::check(run, &spec.metric.source)));
    errors
}

/// The mistakes of algorithms and of the backend in a document that has others as well.
pub fn parts(parts: &Parts) -> Vec<SpecError> {
    let mut errors = crate::runtime::search::check_parts(parts);
    if let Some((name, config)) =
        parts.backend.as_ref().filter(|(name, _)| AVAILABLE.contains(&name.as_str()))
    {
        errors.extend(registry::check_settings(name, config, &format!("run.{name}")));
    }
    errors
}

/// The first trial's first task as its backend would be asked for it, with the sampler's first point. None if there is none.
pub fn preview(backends: &Backends, spec: &Spec) -> Result<Option<Value>, Failure> {
    let Some(order) = first_order(spec)? else { return Ok(None) };
    let backend = spec.run.as_ref().and_then(|run| backends.get(&run.backend));
    let Some(backend) = backend else { return Ok(Some(serde_json::to_value(&order).unwrap_or_default())) };
    let shown = backend.preview(&order).map_err(|details| Failure {
        details,
        ..Failure::new(exit::USAGE, "the first task cannot be submitted", "")
    });
    shown.map(Some)
}

/// The order of the first trial's first task.
pub fn first_order(spec: &Spec) -> Result<Option<TaskOrder>, Failure> {
    let mut search = Search::fresh(spec, spec.seed.unwrap_or(0)).map_err(|details| Failure {
        details,
        ..Failure::new(exit::USAGE, "the sampler cannot be built", "")
    })?;
    let Proposal::Point { point, .. } = search.suggest(TrialId(0)) else {
        return Ok(None);
    };
    let key = SubmissionKey {
        experiment: ExperimentId::from_random(0),
        trial: TrialId(0),
        attempt: AttemptNo(1),
        task: TaskIndex(0),
    };
    Ok(spec.order(key, &point, 0, Vec::new()))
}
