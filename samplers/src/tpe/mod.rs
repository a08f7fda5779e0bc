//! The tree-structured Parzen estimator.
//!
//! J. Bergstra, R. Bardenet, Y. Bengio and B. Kégl, "Algorithms for hyper-parameter optimization", NIPS 2011. Trials
//! are divided into good and bad ones; a density is estimated for each; candidates are drawn from the density of the
//! good ones, and the one with the largest ratio of the two densities is proposed.
//!
//! Read [`Tpe`], then [`Settings`], which holds everything that can be turned. The densities are those of `group` and
//! `mixture`; `history` decides who is good.

mod column;
mod group;
mod history;
mod mixture;
mod settings;

pub use settings::{Gamma, Liar, Settings};

use crate::axis::{self, Axis};
use crate::design::Design;
use crate::prior::Densities;
use crate::search::{Found, Search};
use crate::stream::{Purpose, Stream};
use engine::id::TrialId;
use engine::ports::sampler::{Observation, Problem};
use engine::space::SearchSpace;
use engine::value::{Goal, Point};
use group::Group;
use history::History;
use std::sync::Arc;

/// Times that a whole set of candidates is drawn anew if none is acceptable.
const ROUNDS: u32 = 4;

/// TPE.
#[derive(Debug)]
pub struct Tpe {
    name: &'static str,
    space: Arc<SearchSpace>,
    goal: Goal,
    seed: u64,
    settings: Settings,
    axes: Vec<Axis>,
    design: Design,
    prior: Densities,
    history: History,
    groups: Vec<Group>,
}

impl Tpe {
    /// TPE for a problem; `name` is the one it was asked for by.
    pub fn new(name: &'static str, problem: &Problem, seed: u64, settings: Settings) -> Self {
        let axes: Vec<Axis> = problem.space.leaves().iter().map(Axis::new).collect();
        Self {
            name,
            space: Arc::clone(&problem.space),
            goal: problem.goal,
            seed,
            prior: Densities::new(&problem.prior, &problem.space),
            design: Design::new(problem, seed, settings.startup),
            history: History::new(axes.len()),
            groups: Group::all(&axes, settings.prior_weight),
            axes,
            settings,
        }
    }

    /// Gives the groups from one on their best candidates. Returns the last group that exists, and its candidates.
    fn fill(
        &mut self,
        from: usize,
        coordinates: &mut [f64],
        stream: &mut Stream,
    ) -> Option<(usize, Vec<Vec<f64>>)> {
        let prior = self.prior.pull(self.history.ranked());
        let mut last = None;
        for (index, group) in self.groups.iter_mut().enumerate().skip(from) {
            if !group.exists(coordinates) {
                group.erase(coordinates);
                continue;
            }
            let candidates = group.candidates(self.settings.candidates, prior, stream);
            if let Some(best) = candidates.first() {
                group.write(best, coordinates);
            }
            last = Some((index, candidates));
        }
        last
    }
}

impl Search for Tpe {
    fn name(&self) -> &'static str {
        self.name
    }

    fn version(&self) -> u16 {
        1
    }

    fn observe(&mut self, observation: Observation<'_>) {
        match observation {
            Observation::Suggested { trial, point, .. } => {
                self.history.suggested(trial, point, &self.axes, self.settings.liar);
            }
            Observation::Ended { trial, result, .. } => self.history.ended(trial, result, self.goal),
        }
    }

    fn find(&mut self, trial: TrialId, accept: &mut dyn FnMut(&Point) -> bool) -> Found {
        if self.history.informed() < self.settings.startup.max(1) as usize {
            return self.design.find(&self.space, trial, accept);
        }
        let split = self.history.split(&self.settings);
        for group in &mut self.groups {
            group.fit(&self.history, &split, &self.settings);
        }
        for round in 0..ROUNDS {
            let mut stream = Stream::new(self.seed, trial, Purpose::Candidates, round);
            let mut coordinates = vec![f64::NAN; self.axes.len()];
            let Some((last, candidates)) = self.fill(0, &mut coordinates, &mut stream) else { break };
            // The best of each group; if that point will not do, the next best of the last group, and so on.
            for candidate in candidates {
                if let Some(group) = self.groups.get(last) {
                    group.write(&candidate, &mut coordinates);
                }
                // Under another option there may be further groups.
                self.fill(last + 1, &mut coordinates, &mut stream);
                let point = axis::point(&self.axes, &coordinates);
                if accept(&point) {
                    return Found::Point(point, Vec::new());
                }
            }
        }
        Found::Nothing
    }
}
