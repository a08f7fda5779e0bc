//! Which experiment a person means.

use crate::error::{Failure, exit};
use engine::id::ExperimentId;
use engine::state::{Experiment, State};

/// The one experiment that a person means: an id, a unique beginning of one, or a name (the newest of that name).
pub fn find<'a>(state: &'a State, wanted: &str) -> Result<&'a Experiment, Failure> {
    among(state, wanted, |_| true, |_| true)
}

/// The same among those that whoever asks may see: of the others nothing can be told from the answer. Of several of a name it is one
/// that is preferred, if there is one.
pub fn among<'a>(
    state: &'a State,
    wanted: &str,
    seen: impl Fn(&Experiment) -> bool,
    preferred: impl Fn(&Experiment) -> bool,
) -> Result<&'a Experiment, Failure> {
    let shown = || state.experiments().filter(|experiment| !experiment.removed && seen(experiment));
    let by_id = wanted.parse::<ExperimentId>().ok().and_then(|id| state.experiment(id));
    if let Some(experiment) = by_id.filter(|experiment| seen(experiment)) {
        return Ok(experiment);
    }
    let named = shown().filter(|experiment| experiment.spec.name == wanted);
    if let Some(newest) = named.max_by_key(|one| (preferred(one), one.created, one.id)) {
        return Ok(newest);
    }
    let begun: Vec<&Experiment> = shown()
        .filter(|experiment| !wanted.is_empty() && experiment.id.to_string().starts_with(wanted))
        .collect();
    match begun.as_slice() {
        [only] => Ok(only),
        several => {
            let (message, cure) = if several.is_empty() {
                (format!("no experiment is called `{wanted}`"), "`retrial ls` shows them".to_owned())
            } else {
                let ids: Vec<String> = several.iter().map(|experiment| experiment.id.to_string()).collect();
                (format!("`{wanted}` begins several ids"), format!("give more of one: {}", ids.join(", ")))
            };
            Err(Failure {
                code: Some(crate::codes::WHICH_EXPERIMENT.to_string()),
                ..Failure::new(exit::FAILED, message, cure)
            })
        }
    }
}
