//! What population based training finds: trainings side by side whose best parameters change as they go.
//!
//! `cargo run --release -p retrial-samplers --example population [RUNS]` prints the tables of `docs/measurements/population.md`.
//! All members of a population train at once, an interval at a time, each at its own pace under a simulated clock. What counts is the loss of the
//! best member after 10 and after all 30 intervals of each, without the noise of what is reported: median and quartiles
//! of the runs.

use engine::id::TrialId;
use engine::ports::sampler::{Observation, Problem, Proposal, TrialResult};
use engine::space::SearchSpace;
use engine::value::{Goal, Point};
use retrial_samplers::stream::{Purpose, Stream};
use serde_json::{Map, Value, json};
use std::error::Error;
use std::io::Write;
use std::sync::Arc;

type Fault = Box<dyn Error>;

/// Intervals of each member.
const INTERVALS: usize = 30;
/// Intervals after which it is looked at, too.
const EARLY: usize = 10;

/// What a checkpoint holds.
type Weights = Vec<f64>;

/// Something that is trained.
struct Task {
    name: &'static str,
    space: Value,
    start: fn(&mut Stream) -> Weights,
    /// One interval of a training.
    train: fn(&mut Weights, &Map<String, Value>, &mut Stream),
    loss: fn(&Weights) -> f64,
    /// Noise of a report, as a share of the loss.
    noise: f64,
}

fn number(params: &Map<String, Value>, name: &str) -> f64 {
    params.get(name).and_then(Value::as_f64).unwrap_or_default()
}

/// The toy of the paper on population based training: what is climbed is not what counts, and the slopes that are followed are
/// scaled by the parameters.
mod toy {
    use super::{Map, Stream, Value, Weights, number};

    pub(super) fn start(_: &mut Stream) -> Weights {
        vec![0.9, 0.9]
    }

    pub(super) fn train(weights: &mut Weights, params: &Map<String, Value>, _: &mut Stream) {
        for (weight, name) in weights.iter_mut().zip(["h0", "h1"]) {
            for _ in 0..4 {
                *weight -= 0.02 * number(params, name) * *weight;
            }
        }
    }

    pub(super) fn loss(weights: &Weights) -> f64 {
        weights.iter().map(|weight| weight * weight).sum()
    }
}

/// Gradient descent with momentum on an ill-conditioned bowl of twenty dimensions, with slopes that are noisy: large
/// steps first, small ones later.
mod bowl {
    use super::{Map, Stream, Value, Weights, number};

    const DIMENSIONS: u32 = 20;

    fn curvatures() -> impl Iterator<Item = f64> {
        (0..DIMENSIONS).map(|i| libm::pow(100.0, -f64::from(i) / f64::from(DIMENSIONS - 1)))
    }

    /// Positions, then velocities.
    pub(super) fn start(stream: &mut Stream) -> Weights {
        let mut weights: Weights = (0..DIMENSIONS).map(|_| 3.0 * stream.normal()).collect();
        weights.resize(2 * DIMENSIONS as usize, 0.0);
        weights
    }

    pub(super) fn train(weights: &mut Weights, params: &Map<String, Value>, stream: &mut Stream) {
        let (rate, momentum) = (number(params, "rate"), number(params, "momentum"));
        let (positions, velocities) = weights.split_at_mut(DIMENSIONS as usize);
        for _ in 0..20 {
            for ((x, v), curvature) in positions.iter_mut().zip(velocities.iter_mut()).zip(curvatures()) {
                let slope = curvature * *x + 0.5 * stream.normal();
                *v = (momentum * *v - rate * slope).clamp(-10.0, 10.0);
                *x = (*x + *v).clamp(-10.0, 10.0);
            }
        }
    }

    pub(super) fn loss(weights: &Weights) -> f64 {
        weights.iter().zip(curvatures()).map(|(x, curvature)| 0.5 * curvature * x * x).sum()
    }
}

/// A network of one hidden layer that tells two spirals apart; the loss is that of points it has not seen.
mod spirals {
    use super::{Map, Purpose, Stream, TrialId, Value, Weights, number};

    const HIDDEN: usize = 24;
    const COUNT: usize = 4 * HIDDEN + 1;

    fn sample(stream: &mut Stream, noise: f64) -> ([f64; 2], f64) {
        let label = if stream.uniform() < 0.5 { 0.0 } else { 1.0 };
        let turn = stream.uniform();
        let angle = 5.0 * turn + std::f64::consts::PI * label;
        let radius = 0.3 + 1.7 * turn;
        let at = [radius * libm::cos(angle), radius * libm::sin(angle)];
        (at.map(|x| x + noise * stream.normal()), label)
    }

    /// Weights, then velocities.
    pub(super) fn start(stream: &mut Stream) -> Weights {
        let mut weights: Weights = (0..COUNT).map(|_| 0.5 * stream.normal()).collect();
        weights.resize(2 * COUNT, 0.0);
        weights
    }

    fn hidden(weights: &[f64], at: [f64; 2]) -> Vec<f64> {
        let (units, _) = weights.as_chunks::<4>();
        let unit = |[a, b, bias, _]: &[f64; 4]| libm::tanh(a * at[0] + b * at[1] + bias);
        units.iter().take(HIDDEN).map(unit).collect()
    }

    fn output(weights: &[f64], hidden: &[f64]) -> f64 {
        let (units, _) = weights.as_chunks::<4>();
        let sum: f64 = units.iter().zip(hidden).map(|([_, _, _, out], h)| out * h).sum();
        sum + weights.get(4 * HIDDEN).copied().unwrap_or_default()
    }

    pub(super) fn train(weights: &mut Weights, params: &Map<String, Value>, stream: &mut Stream) {
        let (rate, momentum) = (number(params, "rate"), number(params, "momentum"));
        let (decay, batch) = (number(params, "decay"), number(params, "batch") as usize);
        // The same number of points whatever the batch.
        for _ in 0..(2_000 / batch.max(1)) {
            let mut slope = vec![0.0; COUNT];
            for _ in 0..batch {
                let (at, label) = sample(stream, 0.1);
                let hidden = hidden(weights, at);
                let error = 1.0 / (1.0 + libm::exp(-output(weights, &hidden))) - label;
                let error = error / batch as f64;
                let (slots, _) = slope.as_chunks_mut::<4>();
                let (units, _) = weights.as_chunks::<4>();
                for (([a, b, bias, out], [_, _, _, weight]), h) in slots.iter_mut().zip(units).zip(&hidden) {
                    let inner = error * weight * (1.0 - h * h);
                    *a += inner * at[0];
                    *b += inner * at[1];
                    *bias += inner;
                    *out += error * h;
                }
                if let Some(last) = slope.last_mut() {
                    *last += error;
                }
            }
            let (positions, velocities) = weights.split_at_mut(COUNT);
            for ((x, v), slope) in positions.iter_mut().zip(velocities.iter_mut()).zip(&slope) {
                *v = momentum * *v - rate * (slope + decay * *x);
                *x = (*x + *v).clamp(-30.0, 30.0);
            }
        }
    }

    pub(super) fn loss(weights: &Weights) -> f64 {
        let mut stream = Stream::new(99, TrialId(0), Purpose::Other, 0);
        let points = 400;
        let surprise = |_| {
            let (at, label) = sample(&mut stream, 0.1);
            let out = output(weights, &hidden(weights, at));
            let signed = if label > 0.5 { -out } else { out };
            signed.max(0.0) + libm::log1p(libm::exp(-signed.abs()))
        };
        (0..points).map(surprise).sum::<f64>() / f64::from(points)
    }
}

fn tasks() -> Vec<Task> {
    let unit = json!({"uniform": [0, 1]});
    vec![
        Task {
            name: "The paper's toy",
            space: json!({"h0": unit, "h1": unit}),
            start: toy::start,
            train: toy::train,
            loss: toy::loss,
            noise: 0.0,
        },
        Task {
            name: "Noisy descent",
            space: json!({"rate": {"loguniform": [1e-4, 2.0]}, "momentum": {"uniform": [0, 0.99]}}),
            start: bowl::start,
            train: bowl::train,
            loss: bowl::loss,
            noise: 0.05,
        },
        Task {
            name: "Two spirals",
            space: json!({"rate": {"loguniform": [1e-4, 3.0]}, "momentum": {"uniform": [0, 0.99]},
                "decay": {"loguniform": [1e-7, 1e-1]}, "batch": {"choice": [4, 16, 64]}}),
            start: spirals::start,
            train: spirals::train,
            loss: spirals::loss,
            noise: 0.0,
        },
    ]
}

/// A trial under way.
struct Running {
    trial: u32,
    until: f64,
    weights: Weights,
    intervals: usize,
}

/// The loss of the best member after a few and after all intervals.
fn search(task: &Task, sampler: &str, population: usize, seed: u64) -> Result<[f64; 2], Fault> {
    let wrong = |errors| format!("{errors:?}");
    let space = Arc::new(SearchSpace::parse(&task.space, None, "space").map_err(wrong)?);
    let problem =
        Problem { seed, noisy: true, concurrency: population as u32, ..Problem::new(space, Goal::Minimize) };
    let (name, arguments) = match sampler {
        // Members that keep their parameters: each trains on by itself.
        "random" => ("random", Value::Null),
        name => (name, json!({"population_size": population})),
    };
    let mut search = retrial_samplers::sampler(name, &arguments, &problem, "").map_err(wrong)?;
    let mut points: Vec<Point> = Vec::new();
    let mut ended: Vec<(Weights, usize)> = Vec::new();
    let mut place: Vec<usize> = Vec::new();
    let mut running: Vec<Running> = Vec::new();
    let (mut found, mut now) = ([f64::INFINITY; 2], 0.0);
    let mut last: Option<u32> = None;
    while points.len() < population * INTERVALS || !running.is_empty() {
        while running.len() < population && points.len() < population * INTERVALS {
            let trial = points.len() as u32;
            let before = last.filter(|_| sampler == "random" && points.len() >= population);
            let (point, memo, parent) = match before {
                Some(before) => {
                    let point = points.get(before as usize).cloned().unwrap_or_default();
                    (point, Vec::new(), Some(TrialId(before)))
                }
                None => match search.suggest(TrialId(trial)) {
                    Proposal::Point { point, memo, parent } => (point, memo, parent),
                    Proposal::Wait => break,
                    Proposal::Exhausted | Proposal::Enough { .. } => return Err("no point".into()),
                },
            };
            search.observe(Observation::Suggested { trial: TrialId(trial), point: &point, memo: &memo });
            let (mut weights, intervals) =
                match parent.and_then(|parent| ended.get(*place.get(parent.0 as usize)?).cloned()) {
                    Some(known) => known,
                    None => ((task.start)(&mut Stream::new(seed, TrialId(trial), Purpose::Other, 0)), 0),
                };
            let mut stream = Stream::new(seed, TrialId(trial), Purpose::Other, 1);
            (task.train)(&mut weights, &problem.space.to_json(&point), &mut stream);
            let until = now + 0.5 + Stream::new(seed, TrialId(trial), Purpose::Other, 2).uniform();
            running.push(Running { trial, until, weights, intervals: intervals + 1 });
            points.push(point);
            place.push(usize::MAX);
        }
        let next = (0..running.len()).min_by(|a, b| match (running.get(*a), running.get(*b)) {
            (Some(a), Some(b)) => a.until.total_cmp(&b.until),
            _ => std::cmp::Ordering::Equal,
        });
        let Some(next) = next else { return Err("all wait".into()) };
        let run = running.swap_remove(next);
        now = run.until;
        let loss = (task.loss)(&run.weights);
        for (slot, most) in found.iter_mut().zip([EARLY, INTERVALS]) {
            if run.intervals <= most {
                *slot = slot.min(loss);
            }
        }
        let noise = Stream::new(seed, TrialId(run.trial), Purpose::Other, 3).normal();
        let value = loss * (1.0 + task.noise * noise);
        if let Some(slot) = place.get_mut(run.trial as usize) {
            *slot = ended.len();
        }
        ended.push((run.weights, run.intervals));
        last = Some(run.trial);
        let result = TrialResult::Value(value);
        search.observe(Observation::Ended { trial: TrialId(run.trial), result, metrics: &[] });
    }
    Ok(found)
}

/// A quantile of what runs found at a place.
fn quantile(runs: &[[f64; 2]], place: usize, share: f64) -> f64 {
    let mut values: Vec<f64> = runs.iter().filter_map(|run| run.get(place).copied()).collect();
    values.sort_by(f64::total_cmp);
    values.get((share * values.len() as f64) as usize).copied().unwrap_or(f64::NAN)
}

fn main() -> Result<(), Fault> {
    let runs: u64 = std::env::args().nth(1).map_or(Ok(20), |text| text.parse())?;
    let mut out = std::io::stdout();
    for task in tasks() {
        writeln!(out, "\n## {}\n", task.name)?;
        writeln!(out, "| population | sampler | after {EARLY} intervals | after {INTERVALS} | quartiles |")?;
        writeln!(out, "|---|---|---|---|---|")?;
        for population in [4, 8, 16] {
            for sampler in ["random", "pbt", "pb2"] {
                let found: Vec<[f64; 2]> = (0..runs)
                    .map(|seed| search(&task, sampler, population, seed))
                    .collect::<Result<_, _>>()?;
                let at = |place, share| quantile(&found, place, share);
                writeln!(
                    out,
                    "| {population} | {sampler} | {:.3e} | {:.3e} | {:.3e} to {:.3e} |",
                    at(0, 0.5),
                    at(1, 0.5),
                    at(1, 0.25),
                    at(1, 0.75)
                )?;
            }
        }
    }
    Ok(())
}
