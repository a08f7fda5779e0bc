//! What early stopping saves: searches with and without a rule, on problems that cost steps.
//!
//! `cargo run --release -p retrial-samplers --example multi_fidelity [RUNS]` prints the tables of
//! `docs/measurements/multi_fidelity.md`. Four trials run at once under a simulated clock, each at its own pace; every step of
//! every trial counts. All searches have the steps of 100 whole trials. What counts is the true final value of the
//! best trial that ran to its end: its distance from the optimum, as the median of the runs, after an eighth, a quarter and
//! all of the steps; and the share of the steps after which it is as small as without a rule after all of them.

use engine::id::TrialId;
use engine::ports::early_stop::{EarlyStop, Verdict};
use engine::ports::sampler::{Observation, Problem, Proposal, Sampler, TrialResult};
use engine::space::SearchSpace;
use engine::value::{Goal, Point};
use retrial_samplers::stream::{Purpose, Stream};
use serde_json::{Value, json};
use std::error::Error;
use std::io::Write;
use std::sync::Arc;

type Fault = Box<dyn Error>;

/// Trials at once.
const SLOTS: usize = 4;
/// Trials of the yardstick.
const TRIALS: u64 = 100;

/// Something to minimize that is better known with every step.
struct Task {
    name: &'static str,
    space: Value,
    /// Steps of a whole trial.
    steps: u64,
    optimum: f64,
    /// The value at a step; at the last step the true one.
    value: fn(&[f64], f64) -> f64,
    /// Noise of a report, as a standard deviation.
    noise: f64,
}

/// Hartmann's function of six dimensions with a fidelity: K. Kandasamy et al., "Multi-fidelity Bayesian Optimisation with
/// Continuous Approximations", ICML 2017; `bias` scales what low fidelities are off.
fn hartmann(x: &[f64], z: f64, bias: f64) -> f64 {
    const A: [[f64; 6]; 4] = [
        [10.0, 3.0, 17.0, 3.5, 1.7, 8.0],
        [0.05, 10.0, 17.0, 0.1, 8.0, 14.0],
        [3.0, 3.5, 1.7, 10.0, 17.0, 8.0],
        [17.0, 8.0, 0.05, 10.0, 0.1, 14.0],
    ];
    const P: [[f64; 6]; 4] = [
        [0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886],
        [0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991],
        [0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650],
        [0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381],
    ];
    let alpha = [1.0, 1.2, 3.0, 3.2];
    let term = |((a, p), alpha): ((&[f64; 6], &[f64; 6]), f64)| {
        let squares: f64 = a.iter().zip(p).zip(x).map(|((a, p), x)| a * (x - p) * (x - p)).sum();
        (alpha - 0.1 * bias * (1.0 - z)) * libm::exp(-squares)
    };
    -A.iter().zip(&P).zip(alpha).map(term).sum::<f64>()
}

/// A bowl in four dimensions, reached along a curve whose speed depends on the point: `tilt` of 0 has all curves in the
/// same order at every step, with 1 the best points are the slowest.
fn learning(x: &[f64], z: f64, tilt: f64) -> f64 {
    let distance = x.iter().zip([0.3, 0.7, 0.5, 0.2]).map(|(x, c)| (x - c) * (x - c)).sum::<f64>();
    let last = 0.05 + 0.9 * (distance / (0.2 + distance));
    let speed = 8.0 - tilt * 7.0 * libm::exp(-3.0 * distance);
    let left = |z: f64| libm::exp(-speed * z);
    last + (1.0 - last) * (left(z) - left(1.0)) / (1.0 - left(1.0))
}

fn tasks() -> Vec<Task> {
    let space = |n: usize| -> Value {
        (0..n)
            .map(|i| (format!("x{i}"), json!({"uniform": [0, 1]})))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let hartmann_6 = -3.322_368_011_415_515;
    let task = |name, space, optimum, value, noise| Task { name, space, steps: 81, optimum, value, noise };
    vec![
        task("Hartmann, good fidelities", space(6), hartmann_6, |x, z| hartmann(x, z, 1.0), 0.0),
        task("Hartmann, bad fidelities", space(6), hartmann_6, |x, z| hartmann(x, z, 6.0), 0.1),
        task("curves in order", space(4), 0.05, |x, z| learning(x, z, 0.0), 0.0),
        task("noisy curves", space(4), 0.05, |x, z| learning(x, z, 0.5), 0.03),
        task("curves that cross", space(4), 0.05, |x, z| learning(x, z, 1.0), 0.01),
    ]
}

/// A trial that is running.
struct Running {
    trial: u32,
    x: Vec<f64>,
    step: u64,
    /// When its next step is done.
    next: f64,
    /// How long a step takes.
    pace: f64,
    curve: Vec<(u64, f64)>,
}

/// A number in 0..1 that follows from what it is for.
fn chance(seed: u64, trial: u32, step: u64) -> f64 {
    Stream::new(seed, TrialId(trial), Purpose::Other, u32::try_from(step).unwrap_or(u32::MAX)).uniform()
}

fn gauss(seed: u64, trial: u32, step: u64) -> f64 {
    let (u, v) = (chance(seed, trial, 2 * step), chance(seed, trial, 2 * step + 1));
    (-2.0 * libm::log(1.0 - u)).sqrt() * libm::cos(std::f64::consts::TAU * v)
}

/// The regret after so many steps, at each of the given numbers of steps.
fn search(task: &Task, sampler: &str, rule: &Value, seed: u64, marks: &[u64]) -> Result<Vec<f64>, Fault> {
    let wrong = |errors| format!("{errors:?}");
    let problem = Problem {
        seed,
        concurrency: SLOTS as u32,
        ..Problem::new(
            Arc::new(SearchSpace::parse(&task.space, None, "space").map_err(wrong)?),
            Goal::Minimize,
        )
    };
    let mut sampler = retrial_samplers::sampler(sampler, &Value::Null, &problem, "").map_err(wrong)?;
    let named = rule.as_object().and_then(|map| map.iter().next());
    let mut rule = match named {
        Some((name, arguments)) => {
            Some(retrial_samplers::early_stop(name, arguments, Goal::Minimize, "").map_err(wrong)?)
        }
        None => None,
    };
    let (mut running, mut trials, mut steps) = (Vec::<Running>::new(), 0u32, 0u64);
    let (mut best, mut regrets) = (f64::INFINITY, Vec::new());
    while regrets.len() < marks.len() {
        while running.len() < SLOTS {
            let now = running.iter().map(|run| run.next - run.pace).fold(0.0, f64::max);
            let Some(point) = propose(sampler.as_mut(), TrialId(trials)) else {
                return Err("no point".into());
            };
            let x = coordinates(&problem.space.to_json(&point));
            let pace = 0.5 + chance(seed, trials, u64::MAX);
            running.push(Running { trial: trials, x, step: 0, next: now + pace, pace, curve: Vec::new() });
            trials += 1;
        }
        let Some(at) = (0..running.len()).min_by(|a, b| running[*a].next.total_cmp(&running[*b].next)) else {
            break;
        };
        let run = &mut running[at];
        run.step += 1;
        run.next += run.pace;
        steps += 1;
        let truth = (task.value)(&run.x, run.step as f64 / task.steps as f64);
        let value = truth + task.noise * gauss(seed, run.trial, run.step);
        run.curve.push((run.step, value));
        let stop = rule.as_mut().is_some_and(|rule| judged(rule.as_mut(), run, value));
        let over = run.step == task.steps;
        if stop || over {
            let result = if over { TrialResult::Value(value) } else { TrialResult::Stopped(Some(value)) };
            if over {
                best = best.min(truth - task.optimum);
            }
            let trial = TrialId(run.trial);
            let run = running.swap_remove(at);
            sampler.reported(trial, &run.curve);
            sampler.observe(Observation::Ended { trial, result, metrics: &[] });
            if let Some(rule) = &mut rule {
                rule.ended(trial, result);
            }
        }
        if marks.get(regrets.len()) == Some(&steps) {
            regrets.push(best);
        }
    }
    Ok(regrets)
}

fn judged(rule: &mut dyn EarlyStop, run: &Running, value: f64) -> bool {
    rule.reported(TrialId(run.trial), run.step, value);
    matches!(rule.judge(TrialId(run.trial)), Verdict::Stop { .. })
}

fn propose(sampler: &mut dyn Sampler, trial: TrialId) -> Option<Point> {
    let Proposal::Point { point, memo, .. } = sampler.suggest(trial) else { return None };
    sampler.observe(Observation::Suggested { trial, point: &point, memo: &memo });
    Some(point)
}

fn coordinates(params: &serde_json::Map<String, Value>) -> Vec<f64> {
    params.values().filter_map(Value::as_f64).collect()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn main() -> Result<(), Fault> {
    let runs: u64 = std::env::args().nth(1).map_or(Ok(20), |text| text.parse())?;
    let rules = [
        json!({}),
        json!({"asha": {"R": 81}}),
        json!({"asha": {"R": 81, "r": 9}}),
        json!({"successive_halving": {"R": 81}}),
        json!({"pasha": {"R": 81}}),
        json!({"hyperband": {"R": 81}}),
        json!({"median": {"start_step": 3}}),
        json!({"percentile": {}}),
        json!({"curve_fitting": {"epoch_num": 81}}),
    ];
    let mut out = std::io::stdout();
    for task in tasks() {
        let whole = TRIALS * task.steps;
        writeln!(out, "\n{}\n", task.name)?;
        writeln!(out, "| rule | random: 1/8 | 1/4 | all | as good at | tpe: 1/8 | 1/4 | all | as good at |")?;
        writeln!(out, "|---|---|---|---|---|---|---|---|---|")?;
        let marks: Vec<u64> = (1..=40).map(|part| whole * part / 40).collect();
        let mut yardstick = Vec::new();
        for rule in &rules {
            let mut row = format!("| `{}` |", rule.to_string().replace('"', ""));
            for (place, sampler) in ["random", "tpe"].into_iter().enumerate() {
                let curves: Vec<Vec<f64>> = (0..runs)
                    .map(|seed| search(&task, sampler, rule, seed, &marks))
                    .collect::<Result<_, _>>()?;
                let at = |part: usize| {
                    median(curves.iter().filter_map(|curve| curve.get(part - 1).copied()).collect())
                };
                if yardstick.len() == place {
                    yardstick.push(at(40));
                }
                let goal = yardstick.get(place).copied().unwrap_or_default();
                let share = (1..=40).find(|part| at(*part) <= goal);
                let share = share.map_or("never".to_owned(), |part| format!("{} %", part as f64 * 2.5));
                row += &format!(" {:.4} | {:.4} | {:.4} | {share} |", at(5), at(10), at(40));
            }
            writeln!(out, "{row}")?;
        }
    }
    Ok(())
}
