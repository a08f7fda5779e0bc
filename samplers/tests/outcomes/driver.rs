//! Runs searches whose trials have several metrics.

use engine::id::TrialId;
use engine::ports::sampler::{Observation, Problem, Proposal, Sampler, TrialResult};
use engine::space::SearchSpace;
use engine::value::Point;
use serde_json::Value;

/// The metrics of a point; none if the trial fails.
pub(crate) type Metrics<'a> = &'a dyn Fn(&SearchSpace, &Point) -> Option<Vec<f64>>;

/// What was tried, and what came of it in the order in which it ended.
#[derive(Default)]
pub(crate) struct History {
    pub(crate) trials: Vec<(Point, Vec<u8>)>,
    ended: Vec<(u32, Option<Vec<f64>>)>,
}

fn make(name: &str, problem: &Problem) -> Box<dyn Sampler> {
    retrial_samplers::sampler(name, &Value::Null, problem, "sampler").unwrap_or_else(|e| panic!("{e:?}"))
}

fn tell(sampler: &mut dyn Sampler, trial: u32, metrics: Option<&[f64]>) {
    let result = metrics.map_or(TrialResult::Failed, |metrics| TrialResult::Value(metrics[0]));
    let metrics = metrics.unwrap_or_default();
    sampler.observe(Observation::Ended { trial: TrialId(trial), result, metrics });
}

impl History {
    fn rebuilt(&self, name: &str, problem: &Problem) -> Box<dyn Sampler> {
        let mut sampler = make(name, problem);
        for (trial, (point, memo)) in (0..).zip(&self.trials) {
            sampler.observe(Observation::Suggested { trial: TrialId(trial), point, memo });
        }
        for (trial, metrics) in &self.ended {
            tell(&mut *sampler, *trial, metrics.as_deref());
        }
        sampler
    }

    /// The metrics of the trials that have some.
    pub(crate) fn metrics(&self) -> impl Iterator<Item = &Vec<f64>> {
        self.ended.iter().filter_map(|(_, metrics)| metrics.as_ref())
    }
}

/// Runs trials, so many at once, which end in another order than they began. Before every `crash`th one a sampler is built
/// anew, which must propose the same and goes on.
pub(crate) fn run(
    name: &str,
    problem: &Problem,
    trials: u32,
    at_once: u32,
    crash: Option<u32>,
    metrics: Metrics<'_>,
) -> History {
    let mut sampler = make(name, problem);
    let (mut history, mut pending) = (History::default(), Vec::new());
    for trial in 0..trials {
        let proposal = sampler.suggest(TrialId(trial));
        if crash.is_some_and(|every| trial % every == every - 1) {
            let mut other = history.rebuilt(name, problem);
            assert_eq!(other.suggest(TrialId(trial)), proposal, "{name}: {trial}");
            sampler = other;
        }
        let Proposal::Point { point, memo, .. } = proposal else { break };
        assert_eq!(problem.space.check(&point), Ok(()));
        sampler.observe(Observation::Suggested { trial: TrialId(trial), point: &point, memo: &memo });
        pending.push((trial, metrics(&problem.space, &point)));
        history.trials.push((point, memo));
        if pending.len() as u32 >= at_once {
            let (trial, metrics) = pending.remove(trial as usize * 7 % pending.len());
            tell(&mut *sampler, trial, metrics.as_deref());
            history.ended.push((trial, metrics));
        }
    }
    history
}
