//! From a name and its arguments to a sampler or an early stopping rule.

use crate::arguments::{Arguments, meant};
use crate::codes;
use crate::gp::{self, Gp};
use crate::grid::Grid;
use crate::nsga::Variant;
use crate::random::Random;
use crate::replicated::Replicated;
use crate::tpe::{Gamma, Liar, Settings, Tpe};
use crate::unique::Unique;
use engine::error::{Code, SpecError};
use engine::ports::early_stop::EarlyStop;
use engine::ports::sampler::{Problem, Sampler};
use engine::spec::codes::CONFLICT;
use engine::value::Goal;
use serde_json::Value;

/// The samplers: name and what it is.
pub const SAMPLERS: [(&str, &str); 14] = [
    (
        "auto",
        "the default: gp and tpe take turns, by what works; all points in random order where the space is tiny",
    ),
    ("tpe", "multivariate tree-structured Parzen estimator; for every kind of space"),
    ("gp", "Gaussian process with expected improvement; finds the most with few trials"),
    ("cma_es", "CMA-ES with margin; for hundreds of cheap trials of up to some dozen parameters"),
    ("nsga2", "a genetic algorithm for several objectives; for hundreds of trials"),
    ("nsga3", "the same for three objectives and more: trials spread over given directions"),
    ("evolution", "regularized evolution; for large spaces of options and many trials at once"),
    ("anneal", "draws around good trials, from a window that shrinks"),
    ("pbt", "population based training: trials go on from the checkpoints of better ones"),
    ("pb2", "pbt with a model that chooses the new numbers; for few trainings at once"),
    ("forest", "random forest with expected improvement, as SMAC; for many options and branches"),
    ("random", "independent draws from the space"),
    ("sobol", "a scrambled Sobol' sequence: fills the space evenly, without learning"),
    ("grid", "all combinations; continuous parameters are refined, midpoints first"),
];

/// The samplers that search for several objectives at once, or do not learn.
pub const FOR_SEVERAL_OBJECTIVES: [&str; 8] =
    ["auto", "gp", "tpe", "nsga2", "nsga3", "random", "sobol", "grid"];

/// The samplers that say when no further improvement is to be expected.
pub const KNOW_THE_GAIN: [&str; 2] = ["auto", "gp"];

/// The early stopping rules: name and what it is.
pub const EARLY_STOPS: [(&str, &str); 11] = [
    ("asha", "asynchronous successive halving: at few steps the best part goes on"),
    ("successive_halving", "the same with Optuna's default: a quarter goes on"),
    ("pasha", "asha that lets only the best on once the order of the trials has settled"),
    ("hyperband", "successive halving from several first steps at once; needs the last step"),
    ("median", "stops a trial whose best is worse than the median of the others' running averages"),
    ("percentile", "Optuna's percentile rule: the best part of the trials that ended, at the same step"),
    ("pai", "PAI's assessor: like median, over all other trials, with a quantile and a patience"),
    ("curve_fitting", "NNI's Curvefitting: stops a trial whose forecast is worse than the best trial"),
    ("wilcoxon", "Optuna's: stops a trial that is worse than the best one on the same cases"),
    ("threshold", "stops a trial whose value crosses a bound"),
    ("patience", "stops a trial that has not improved for some reports"),
];

/// Makes a sampler. Letter case of the name does not matter, and the names of NNI and PAI are understood.
///
/// `path` is where the arguments stand in the specification. All mistakes are returned at once.
pub fn sampler(
    name: &str,
    arguments: &Value,
    problem: &Problem,
    path: &str,
) -> Result<Box<dyn Sampler>, Vec<SpecError>> {
    if problem.replicates <= 1 {
        return plain(name, arguments, problem, path);
    }
    let inner = plain(name, arguments, &Replicated::problem(problem), path)?;
    if matches!(inner.name(), "pbt" | "pb2") {
        let message = "a trial of population based training goes on from another one: it cannot be repeated";
        let cure = "choose another sampler, or leave replicates out";
        return Err(vec![SpecError::key(CONFLICT, "objective.replicates", message, cure)]);
    }
    Ok(Box::new(Replicated::new(inner, problem)))
}

/// A sampler that tries each of its points once.
fn plain(
    name: &str,
    arguments: &Value,
    problem: &Problem,
    path: &str,
) -> Result<Box<dyn Sampler>, Vec<SpecError>> {
    let mut arguments = Arguments::new(arguments, path);
    let lower = name.to_ascii_lowercase();
    match lower.as_str() {
        "auto" => crate::auto::read(arguments, problem),
        "tpe" => {
            let settings = tpe_settings(&mut arguments, problem);
            let seed = arguments.seed().unwrap_or(problem.seed);
            arguments.finish()?;
            Ok(Box::new(Unique::new(Tpe::new("tpe", problem, seed, settings), problem, seed)))
        }
        "gp" => {
            let seed = arguments.seed().unwrap_or(problem.seed);
            arguments.finish()?;
            Ok(Box::new(Unique::new(Gp::new("gp", problem, seed, gp::Settings::default()), problem, seed)))
        }
        "pbt" | "pbttuner" => crate::pbt::read(arguments, problem),
        "pb2" => crate::pbt::read_pb2(arguments, problem),
        "random" => {
            arguments.optimize_mode(problem.goal);
            let seed = arguments.seed().unwrap_or(problem.seed);
            arguments.finish()?;
            Ok(Box::new(Unique::new(Random::new("random", problem, seed), problem, seed)))
        }
        "nsga2" | "nsgaii" | "nsga-ii" => crate::nsga::read(Variant::Crowding, arguments, problem),
        "nsga3" | "nsgaiii" | "nsga-iii" => crate::nsga::read(Variant::Directions, arguments, problem),
        "cma_es" | "cmaes" | "cma-es" => crate::cma_es::read(arguments, problem),
        "evolution" => crate::evolution::read(arguments, problem),
        "anneal" => crate::anneal::read(arguments, problem),
        "forest" | "smac" => crate::forest::read(arguments, problem),
        "sobol" | "qmc" => crate::sobol::read(arguments, problem),
        "grid" | "gridsearch" | "grid_search" => {
            arguments.optimize_mode(problem.goal);
            arguments.seed();
            arguments.finish()?;
            Ok(Box::new(Unique::new(Grid::new(problem), problem, problem.seed)))
        }
        _ => {
            if let "hyperband" | "bohb" | "asha" | "pasha" = lower.as_str() {
                return Err(vec![stops_early(name, &lower, path)]);
            }
            let names = SAMPLERS.map(|(name, _)| name);
            Err(vec![unknown(codes::UNKNOWN_SAMPLER, "sampler", name, &names, path)])
        }
    }
}

/// Where a rule is taken for a sampler, as other tools have it.
fn stops_early(name: &str, lower: &str, path: &str) -> SpecError {
    let (sampler, rule) = match lower {
        "bohb" => ("tpe", "hyperband: {max_resource: N}"),
        "hyperband" => ("random", "hyperband: {max_resource: N}"),
        "pasha" => ("random", "pasha: {max_resource: N}"),
        _ => ("random", "asha: {max_resource: N}"),
    };
    let message = format!("`{name}` does not propose points, but stops trials early");
    let cure = format!(
        "write sampler: {sampler} and early_stop: {{{rule}}}, with the number of the last step that a trial reports"
    );
    SpecError::key(codes::UNKNOWN_SAMPLER, path, message, cure)
}

/// Makes an early stopping rule; see [`sampler`].
pub fn early_stop(
    name: &str,
    arguments: &Value,
    goal: Goal,
    path: &str,
) -> Result<Box<dyn EarlyStop>, Vec<SpecError>> {
    let arguments = Arguments::new(arguments, path);
    match name.to_ascii_lowercase().as_str() {
        "asha" => crate::early_stop::asha::read("asha", 3, arguments, goal),
        "successive_halving" | "successivehalving" | "sha" => {
            crate::early_stop::asha::read("successive_halving", 4, arguments, goal)
        }
        "pasha" => crate::early_stop::pasha::read(arguments, goal),
        "hyperband" => crate::early_stop::hyperband::read(arguments, goal),
        "percentile" => crate::early_stop::percentile::read(arguments, goal),
        "curve_fitting" | "curvefitting" => crate::early_stop::curve_fitting::read(arguments, goal),
        "wilcoxon" => crate::early_stop::wilcoxon::read(arguments, goal),
        "median" | "medianstop" => crate::early_stop::median::read(arguments, goal),
        "pai" | "paiassessor" => crate::early_stop::pai_assessor::read(arguments, goal),
        "threshold" => crate::early_stop::threshold::read(arguments),
        "patience" => crate::early_stop::patience::read(arguments, goal),
        _ => {
            let names = EARLY_STOPS.map(|(name, _)| name);
            Err(vec![unknown(codes::UNKNOWN_EARLY_STOP, "early stopping rule", name, &names, path)])
        }
    }
}

fn unknown(code: Code, what: &str, name: &str, names: &[&str], path: &str) -> SpecError {
    let cure = match meant(name, names) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("choose one of {}", names.join(", ")),
    };
    SpecError::key(code, path, format!("there is no {what} `{name}`"), cure)
}

/// TPE's settings under our names and under those of NNI.
fn tpe_settings(arguments: &mut Arguments<'_>, problem: &Problem) -> Settings {
    let mut settings = Settings::of(problem);
    arguments.optimize_mode(problem.goal);
    read_tpe(arguments, &mut settings, Gamma::Share);
    if let Some(most) = arguments.whole(&["most_good"], 1..=10_000) {
        settings.most_good = most as u32;
    }
    if let Some(reference) = arguments.whole(&["reference"], 20..=100_000) {
        settings.reference = reference as u32;
    }
    if let Some(mut inner) = arguments.inner("tpe_args") {
        // NNI means a multiple of the root of the number of trials.
        read_tpe(&mut inner, &mut settings, Gamma::Root);
        arguments.absorb(inner);
    }
    settings
}

fn read_tpe(arguments: &mut Arguments<'_>, settings: &mut Settings, gamma: fn(f64) -> Gamma) {
    if let Some(n) = arguments.whole(&["startup", "n_startup_trials", "n_startup_jobs"], 0..=100_000) {
        settings.startup = n as u32;
    }
    if let Some(n) = arguments.whole(&["candidates", "n_ei_candidates"], 1..=10_000) {
        settings.candidates = n as u32;
    }
    if let Some(x) = arguments.number(&["gamma"], 1e-6..=1.0) {
        settings.gamma = gamma(x);
    }
    if let Some(x) = arguments.number(&["prior_weight"], 0.0..=1e6) {
        settings.prior_weight = x;
    }
    if let Some(n) = arguments.whole(&["recent", "linear_forgetting"], 0..=1_000_000) {
        settings.recent = n as u32;
    }
    let liar = arguments
        .word(&["constant_liar", "constant_liar_type"], &["worst", "mean", "best", "none", "true", "false"]);
    settings.liar = match liar {
        Some("mean") => Liar::Mean,
        Some("best") => Liar::Best,
        Some("none" | "false") => Liar::None,
        Some(_) => Liar::Worst,
        None => settings.liar,
    };
}
