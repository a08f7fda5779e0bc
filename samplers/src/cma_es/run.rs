//! One run after another: a run ends when its distributions can do no more, and the next begins elsewhere.

use super::gaussian::{Gaussian, Rates, Weighted};
use super::layout::{Draw, Layout};
use super::margin::Margin;
use super::options::Options;
use super::settings::{Restart, Settings};
use crate::outcome::Outcome;
use crate::stream::{Purpose, Stream};
use engine::id::TrialId;

/// The largest generation.
const MOST_POPULATION: u32 = 10_000;

/// The distributions of a run, and the generation that is coming in.
#[derive(Debug)]
struct Run {
    population: u32,
    rates: Rates,
    gaussian: Gaussian,
    options: Options,
    /// In the order in which they ended.
    members: Vec<(Outcome, Draw)>,
    best: Outcome,
    /// Generations without a new best after which a run has stalled.
    patience: usize,
    stalled: usize,
}

impl Run {
    fn new(layout: &Layout, mean: Vec<f64>, sigma: f64, population: u32) -> Self {
        let n = layout.dimensions();
        let discrete = layout.choices.len() + layout.lines.iter().filter(|line| line.edges.is_some()).count();
        let margins =
            layout.lines.iter().map(|line| line.edges.as_ref().map(|edges| Margin::new(edges, discrete)));
        Self {
            population,
            rates: Rates::new(layout.lines.len(), population),
            gaussian: Gaussian::new(mean, sigma, margins.collect()),
            options: Options::new(layout.choices.iter().map(|choice| choice.options), discrete),
            members: Vec::new(),
            best: Outcome::Failed,
            patience: 10 + 30 * n / population as usize,
            stalled: 0,
        }
    }

    /// Whether the generation is complete: enough trials have ended, and enough of them with a value.
    fn complete(&self) -> bool {
        let informed = self.members.iter().filter(|(outcome, _)| outcome.informs()).count();
        self.members.len() >= self.population as usize && informed >= self.population as usize / 2
    }

    /// Moves the distributions.
    fn advance(&mut self) {
        let mut members = std::mem::take(&mut self.members);
        // Stable: equal ones stay in the order of their ends.
        members.sort_by_key(|(outcome, _)| *outcome);
        let outcomes: Vec<Outcome> = members.iter().map(|(outcome, _)| *outcome).collect();
        let weights = shared(&outcomes, &spread(&self.rates.weights, outcomes.len()));
        let positive: Vec<f64> =
            spread(&self.rates.weights, outcomes.len()).iter().map(|w| w.max(0.0)).collect();
        let means = shared(&outcomes, &positive);
        let good: Vec<(f64, &[Option<u32>])> =
            means.iter().zip(&members).map(|(w, (_, draw))| (*w, draw.options.as_slice())).collect();
        self.options.update(&good);
        let weighted = members.iter().zip(means.iter().zip(&weights)).map(|((_, draw), (mean, shape))| {
            Weighted { place: draw.places.clone(), mean: *mean, shape: *shape }
        });
        self.gaussian.update(&self.rates, weighted.collect());
        let best = outcomes.first().copied().unwrap_or(Outcome::Failed);
        self.stalled = if best < self.best { 0 } else { self.stalled + 1 };
        self.best = self.best.min(best);
    }

    /// Whether nothing more is to be expected.
    fn is_spent(&self) -> bool {
        self.stalled > self.patience || self.gaussian.spent()
    }
}

/// The weights of a generation that may have more members than weights: the best and the worst get them.
fn spread(weights: &[f64], members: usize) -> Vec<f64> {
    let (better, worse) = weights.split_at(weights.len() / 2);
    let between = members.saturating_sub(weights.len());
    better.iter().copied().chain(std::iter::repeat_n(0.0, between)).chain(worse.iter().copied()).collect()
}

/// Weights by rank, where equal members get the mean of theirs.
fn shared(outcomes: &[Outcome], weights: &[f64]) -> Vec<f64> {
    let mut out = Vec::with_capacity(weights.len());
    let mut rest = weights;
    for equals in outcomes.chunk_by(|a, b| a == b) {
        let (own, after) = rest.split_at(equals.len().min(rest.len()));
        let mean = own.iter().sum::<f64>() / equals.len() as f64;
        out.extend(equals.iter().map(|_| mean));
        rest = after;
    }
    out
}

/// All runs.
#[derive(Debug)]
pub(super) struct Runs {
    settings: Settings,
    seed: u64,
    first: u32,
    run: Run,
    /// How many runs there were before.
    restarts: u32,
    /// The population of the last large run.
    large: u32,
    /// Trials that went into large runs, and into small ones.
    spent: [u64; 2],
    is_small: bool,
}

impl Runs {
    pub(super) fn new(layout: &Layout, settings: &Settings, concurrency: u32, seed: u64) -> Self {
        let default = 4 + (3.0 * libm::log(layout.dimensions().max(1) as f64)) as u32;
        let population =
            settings.population.unwrap_or(default.max(concurrency / 2)).clamp(4, MOST_POPULATION);
        let run = Run::new(layout, vec![0.5; layout.lines.len()], settings.sigma, population);
        Self {
            settings: settings.clone(),
            seed,
            first: population,
            run,
            restarts: 0,
            large: population,
            spent: [0; 2],
            is_small: false,
        }
    }

    /// One draw from the current distributions.
    pub(super) fn draw(&self, stream: &mut Stream) -> Draw {
        let options = self.run.options.draw(stream);
        Draw { places: self.run.gaussian.draw(stream), options }
    }

    /// Takes in a trial that has ended.
    pub(super) fn ended(&mut self, layout: &Layout, draw: Draw, outcome: Outcome) {
        self.run.members.push((outcome, draw));
        let [large, small] = &mut self.spent;
        *(if self.is_small { small } else { large }) += 1;
        if self.run.complete() {
            self.run.advance();
            if self.run.is_spent() && self.settings.restart != Restart::None {
                self.restart(layout);
            }
        }
    }

    fn restart(&mut self, layout: &Layout) {
        self.restarts += 1;
        let mut stream = Stream::new(self.seed, TrialId(self.restarts), Purpose::Restart, 0);
        let mean = layout.lines.iter().map(|_| stream.uniform()).collect();
        let [large, small] = self.spent;
        self.is_small = self.settings.restart == Restart::Bipop && self.restarts > 1 && small < large;
        let (population, sigma) = if self.is_small {
            let u = stream.uniform();
            let most = f64::from(self.large) / f64::from(self.first) / 2.0;
            let population = f64::from(self.first) * libm::pow(most.max(1.0), u * u);
            (population as u32, self.settings.sigma * libm::pow(10.0, -2.0 * stream.uniform()))
        } else {
            self.large = self.large.saturating_mul(2).min(MOST_POPULATION);
            (self.large, self.settings.sigma)
        };
        self.run = Run::new(layout, mean, sigma, population);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::axis::Axis;
    use engine::space::SearchSpace;
    use serde_json::json;

    fn layout() -> Layout {
        let space = json!({"x": {"uniform": [0, 1]}, "y": {"uniform": [0, 1]}});
        let space = SearchSpace::parse(&space, None, "").unwrap();
        Layout::new(space.leaves().iter().map(Axis::new).collect())
    }

    /// Runs with the given number of trials on a sphere.
    fn after(restart: Restart, trials: u32) -> Runs {
        let layout = layout();
        let settings = Settings { restart, ..Settings::default() };
        let mut runs = Runs::new(&layout, &settings, 1, 5);
        for trial in 0..trials {
            let draw = runs.draw(&mut Stream::new(5, TrialId(trial), Purpose::Other, 0));
            let loss = draw.places.iter().map(|x| (x - 0.4) * (x - 0.4)).sum();
            runs.ended(&layout, draw, Outcome::Finished(loss));
        }
        runs
    }

    #[test]
    fn a_converged_run_is_followed_by_one_with_twice_the_population() {
        let runs = after(Restart::Ipop, 1_000);
        assert!(runs.restarts > 0);
        assert_eq!(runs.run.population, 6 << runs.restarts);
        assert_eq!(after(Restart::None, 1_000).restarts, 0);
    }

    #[test]
    fn large_and_small_populations_spend_about_the_same() {
        let runs = after(Restart::Bipop, 6_000);
        let [large, small] = runs.spent;
        assert!(runs.restarts > 3 && small > large / 4 && large > small / 4, "{large} {small}");
    }

    #[test]
    fn a_generation_waits_for_enough_values_and_failures_rank_last() {
        let layout = layout();
        let mut runs = Runs::new(&layout, &Settings::default(), 1, 5);
        let draw = |x: f64| Draw { places: vec![x, 0.5], options: Vec::new() };
        for _ in 0..20 {
            runs.ended(&layout, draw(0.9), Outcome::Failed);
        }
        assert_eq!(runs.run.members.len(), 20);
        for _ in 0..3 {
            runs.ended(&layout, draw(0.3), Outcome::Finished(1.0));
        }
        assert_eq!(runs.run.members.len(), 0);
        let mut stream = Stream::new(1, TrialId(0), Purpose::Other, 0);
        let mean = (0..400).map(|_| runs.draw(&mut stream).places[0]).sum::<f64>() / 400.0;
        assert!(mean < 0.4, "{mean}");
    }

    #[test]
    fn equal_members_share_their_weights_and_those_between_get_none() {
        let outcomes = [1.0, 2.0, 2.0, 3.0].map(Outcome::Finished);
        assert_eq!(shared(&outcomes, &[0.75, 0.25, -0.25, -0.75]), [0.75, 0.0, 0.0, -0.75]);
        assert_eq!(spread(&[0.75, 0.25, -0.25, -0.75], 6), [0.75, 0.25, 0.0, 0.0, -0.25, -0.75]);
    }
}
