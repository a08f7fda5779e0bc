//! How far a run has come on a problem whose trials have several metrics.

use crate::problem::Problem;
use samplers::math::hypervolume::hypervolume;
use samplers::math::pareto::front;

/// The best so far.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// The losses of the feasible trials that no other dominates.
    front: Vec<Vec<f64>>,
}

impl Progress {
    /// Takes the metrics of a trial in. If it changes what counts: that, else nothing.
    ///
    /// With one objective it is the least loss of a feasible trial; with several the share of the hypervolume that is missing.
    pub(crate) fn add(&mut self, problem: &Problem, metrics: &[f64]) -> Option<f64> {
        if !problem.outcomes.is_feasible(metrics) {
            return None;
        }
        let losses = match problem.outcomes.goals.len() {
            0 => metrics.iter().take(1).copied().collect(),
            _ => problem.outcomes.losses(metrics),
        };
        let before = self.front.clone();
        self.front.push(losses);
        let places = front(&self.front);
        self.front = places.into_iter().filter_map(|place| self.front.get(place).cloned()).collect();
        self.front.dedup();
        if self.front == before {
            return None;
        }
        match self.front.as_slice() {
            [single] if single.len() == 1 => single.first().copied(),
            all => Some(1.0 - hypervolume(all, &problem.extent.0) / problem.extent.1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem;

    fn reached(name: &str, trials: &[&[f64]]) -> Vec<Option<f64>> {
        let problems = problem::all().unwrap();
        let problem = problems.iter().find(|problem| problem.name == name).unwrap();
        let mut progress = Progress::default();
        trials.iter().map(|metrics| progress.add(problem, metrics)).collect()
    }

    #[test]
    fn with_constraints_only_better_feasible_trials_count() {
        let trials: [&[f64]; 4] = [&[5.0, 99.0], &[4.0, 50.0], &[4.5, 1.0], &[3.0, 1.0]];
        assert_eq!(reached("branin_circle", &trials), [None, Some(4.0), None, Some(3.0)]);
    }

    #[test]
    fn with_several_objectives_the_missing_hypervolume_counts() {
        let trials: [&[f64]; 3] = [&[0.1, 3.0], &[0.2, 3.5], &[0.6, 2.0]];
        let most = 1.1 * 4.0 - 1.0 / 3.0;
        let expected = [Some(1.0 - 1.0 / most), None, Some(1.0 - 1.5 / most)];
        for (reached, expected) in reached("zdt1", &trials).iter().zip(expected) {
            assert_eq!(reached.is_some(), expected.is_some());
            assert!((reached.unwrap_or(0.0) - expected.unwrap_or(0.0)).abs() < 1e-12, "{reached:?}");
        }
    }
}
