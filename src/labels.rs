//! Labels of experiments that mean something to this program, in whichever way they were set. Begin with [`ACCESSIBILITY`].

use engine::state::Experiment;
use std::collections::BTreeMap;

/// The label that says who sees an experiment of a daemon with users.
pub const ACCESSIBILITY: &str = "accessibility";
/// Its value where only the creator and admins see the experiment.
pub const PRIVATE: &str = "PRIVATE";
/// Its value where everybody does, as without it.
pub const PUBLIC: &str = "PUBLIC";
/// What it may be.
pub const ACCESSIBILITIES: [&str; 2] = [PRIVATE, PUBLIC];
/// How labels begin that the daemon keeps for itself.
const KEPT: &str = "retrial.";

/// Whether only its creator and admins see an experiment.
pub fn is_private(experiment: &Experiment) -> bool {
    experiment.labels.get(ACCESSIBILITY).is_some_and(|label| label == PRIVATE)
}

/// The labels of a new experiment that is private, or is not.
pub fn of_new(private: bool) -> BTreeMap<String, String> {
    private.then(|| (ACCESSIBILITY.to_owned(), PRIVATE.to_owned())).into_iter().collect()
}

/// The labels of an experiment but those that the daemon keeps for itself: those that are shown, and that a copy has as well.
pub fn own(experiment: &Experiment) -> BTreeMap<String, String> {
    let own = experiment.labels.iter().filter(|(name, _)| !is_kept(name));
    own.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Whether the daemon keeps a label of this name for itself.
pub fn is_kept(name: &str) -> bool {
    name.starts_with(KEPT)
}
