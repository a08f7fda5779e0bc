//! The tree-structured Parzen estimator.
//!
//! J. Bergstra, R. Bardenet, Y. Bengio and B. Kégl, "Algorithms for hyper-parameter optimization", NIPS 2011. Trials
//! are divided into good and bad ones; a density is estimated for each; candidates are drawn from the density of the
//! good ones, and the one with the largest ratio of the two densities is proposed.
//!
//! Read [`Tpe`], then [`Settings`], which holds everything that can be turned. The densities are those of `group` and
//! `mixture`; `history` decides who is good, with several objectives `front`.
//!
//! With several objectives the good trials lie along a front instead of around one place. Densities over all parameters together
//! then follow single trials, and densities of single parameters miss what belongs together; so trials take turns
//! between the two.

mod column;
mod front;
mod group;
mod history;
mod mixture;
mod settings;

pub use settings::{Gamma, Liar, Settings};

use crate::axis::{self, Axis};
use crate::design::Design;
use crate::outcome::Judge;
use crate::prior::{Densities, Pull};
use crate::search::{Found, Search};
use crate::stream::{Purpose, Stream};
use engine::id::TrialId;
use engine::ports::sampler::{Observation, Problem};
use engine::space::SearchSpace;
use engine::value::Point;
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
    judge: Judge,
    seed: u64,
    settings: Settings,
    axes: Vec<Axis>,
    design: Design,
    prior: Densities,
    history: History,
    /// The densities over all parameters that exist together; with several objectives also those of each by itself. Trials take
    /// turns.
    models: Vec<Vec<Group>>,
}

impl Tpe {
    /// TPE for a problem; `name` is the one it was asked for by.
    pub fn new(name: &'static str, problem: &Problem, seed: u64, settings: Settings) -> Self {
        let axes: Vec<Axis> = problem.space.leaves().iter().map(Axis::new).collect();
        let judge = Judge::new(problem);
        let models: &[bool] = if judge.objectives() > 1 { &[true, false] } else { &[true] };
        let model = |together: &bool| Group::all(&axes, settings.prior_weight, *together);
        Self {
            name,
            space: Arc::clone(&problem.space),
            models: models.iter().map(model).collect(),
            judge,
            seed,
            prior: Densities::new(&problem.prior, &problem.space),
            design: Design::new(problem, seed, settings.startup),
            history: History::new(axes.len()),
            axes,
            settings,
        }
    }

    /// Whose turn a trial is among the models. It is drawn, since a search around this one may count turns itself.
    fn turn(&self, trial: TrialId) -> usize {
        let models = self.models.len() as u64;
        if models < 2 {
            0
        } else {
            Stream::new(self.seed, trial, Purpose::Candidates, ROUNDS).below(models) as usize
        }
    }
}

/// Gives the groups from one on their best candidates. Returns the last group that exists, and its candidates.
fn fill(
    groups: &mut [Group],
    from: usize,
    (count, prior): (u32, Pull<'_>),
    coordinates: &mut [f64],
    stream: &mut Stream,
) -> Option<(usize, Vec<Vec<f64>>)> {
    let mut last = None;
    for (index, group) in groups.iter_mut().enumerate().skip(from) {
        if !group.exists(coordinates) {
            group.erase(coordinates);
            continue;
        }
        let candidates = group.candidates(count, prior, stream);
        if let Some(best) = candidates.first() {
            group.write(best, coordinates);
        }
        last = Some((index, candidates));
    }
    last
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
            Observation::Ended { trial, result, metrics } => {
                let outcome = self.judge.outcome(result, metrics);
                let losses = || self.judge.losses(outcome, metrics);
                self.history.ended(trial, outcome, (self.judge.objectives() > 1).then(losses));
            }
        }
    }

    fn find(&mut self, trial: TrialId, accept: &mut dyn FnMut(&Point) -> bool) -> Found {
        if self.history.informed() < self.settings.startup.max(1) as usize {
            return self.design.find(&self.space, trial, accept);
        }
        let split = self.history.split(&self.settings);
        let turn = self.turn(trial);
        let ranked = if self.prior.is_empty() { Vec::new() } else { self.history.ranked() };
        let how = (self.settings.candidates, self.prior.pull(ranked.into_iter()));
        let Some(groups) = self.models.get_mut(turn) else { return Found::Nothing };
        for group in groups.iter_mut() {
            group.fit(&self.history, &split, &self.settings);
        }
        for round in 0..ROUNDS {
            let mut stream = Stream::new(self.seed, trial, Purpose::Candidates, round);
            let mut coordinates = vec![f64::NAN; self.axes.len()];
            let Some((last, candidates)) = fill(groups, 0, how, &mut coordinates, &mut stream) else { break };
            // The best of each group; if that point will not do, the next best of the last group, and so on.
            for candidate in candidates {
                if let Some(group) = groups.get(last) {
                    group.write(&candidate, &mut coordinates);
                }
                // Under another option there may be further groups.
                fill(groups, last + 1, how, &mut coordinates, &mut stream);
                let point = axis::point(&self.axes, &coordinates);
                if accept(&point) {
                    return Found::Point(point, Vec::new());
                }
            }
        }
        Found::Nothing
    }
}
