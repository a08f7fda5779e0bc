//! What a search algorithm is below the layer that keeps its points valid and distinct.

use engine::id::TrialId;
use engine::ports::sampler::Observation;
use engine::value::Point;

/// What a search answers.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// An acceptable point and what to remember with it.
    Point(Point, Vec<u8>),
    /// No acceptable point came up; others may exist.
    Nothing,
    /// The search has a last point and is past it.
    Exhausted,
    /// No improvement worth the problem's `gain` is to be expected: this much is.
    Enough(f64),
}

/// A search algorithm. [`crate::unique::Unique`] makes it a sampler: it decides which points are acceptable and
/// looks for one itself where the search finds none.
pub trait Search: Send {
    /// The name under which it is configured.
    fn name(&self) -> &'static str;

    /// Changes whenever the same observations give other bits.
    fn version(&self) -> u16;

    /// Whether it makes anything of how trials ended.
    fn learns(&self) -> bool {
        true
    }

    /// Takes in what a trial has reported on its way, as the port of samplers says.
    fn reported(&mut self, _trial: TrialId, _reports: &[(u64, f64)]) {}

    /// Takes one observation in.
    fn observe(&mut self, observation: Observation<'_>);

    /// Looks for a point of the trial that is acceptable, with a bounded effort.
    fn find(&mut self, trial: TrialId, accept: &mut dyn FnMut(&Point) -> bool) -> Found;
}
