//! What is wrong with an experiment beyond what its form shows: whether its algorithms, its schedule and its backend can be had.
//! The same for a file and for what comes over HTTP.

use backends::registry::{self, AVAILABLE};
use engine::error::SpecError;
use engine::spec::{Parts, Spec};

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
