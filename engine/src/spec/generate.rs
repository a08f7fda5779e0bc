//! Draws specifications for property tests.

use super::{
    Algorithm, Budget, Expected, FinalMode, Known, Metric, MetricSource, Objective, OutcomeConstraint,
    Outcomes, Prior, Retry, Run, Spec, WeightedMetric,
};
use crate::ports::backend::{CommandLine, TemplateFile};
use crate::space::SearchSpace;
use crate::time::Span;
use crate::value::{Goal, Value};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use std::sync::Arc;

/// A text that is not blank, with characters that need care in JSON, YAML and paths.
fn text() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9 .:#${}'\"\\\\é=\n-]{0,8}[a-z]"
}

fn space() -> impl Strategy<Value = Arc<SearchSpace>> {
    let spaces = [
        (json!({"lr": {"loguniform": [0.0001, 0.5]}}), None),
        (json!({"a": {"randint": [0, 5]}, "b": {"quniform": [0, 1, 0.1]}}), Some(json!(["a + b <= 4"]))),
        (json!({"${m}": [{"_name": "x", "c": [1, 2]}, "plain"], "n": {"normal": [0, 1]}}), None),
    ];
    proptest::sample::select(spaces.to_vec()).prop_map(|(space, constraints)| {
        Arc::new(SearchSpace::parse(&space, constraints.as_ref(), "").unwrap())
    })
}

fn json_value() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        (-1e300..1e300).prop_map(Json::from),
        text().prop_map(Json::from),
        Just(Json::Null),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Json::from),
            btree_map("[a-z]{1,4}", inner, 0..3).prop_map(|map| Json::Object(map.into_iter().collect())),
        ]
    })
}

fn arguments() -> impl Strategy<Value = Json> {
    btree_map("k_[a-z]{1,4}", json_value(), 0..3).prop_map(|map| Json::Object(map.into_iter().collect()))
}

fn algorithm() -> impl Strategy<Value = Algorithm> {
    ("[a-z][a-z_]{0,8}", arguments()).prop_map(|(name, args)| Algorithm { name, args })
}

fn objective() -> impl Strategy<Value = Objective> {
    let goal = || prop_oneof![Just(Goal::Maximize), Just(Goal::Minimize)];
    let metrics = btree_map("[a-z]([a-z <=]{0,4}[a-z])?", (prop_oneof![-9.0..-0.1, 0.1..9.0], goal()), 1..4);
    let constraint = (0..5_usize, -1e3..1e3, any::<bool>());
    let further = (vec(constraint, 0..3), option::of(0..5_usize), any::<bool>());
    (metrics, goal(), any::<bool>(), further).prop_map(
        |(metrics, goal, noisy, (constraints, cost, several))| {
            let goals: Vec<Goal> = metrics.values().map(|(_, goal)| *goal).collect();
            let several = several && goals.len() > 1;
            let mut objective = Objective {
                metrics: Vec::new(),
                goal: if several { goals[0] } else { goal },
                outcomes: Outcomes { goals: if several { goals } else { Vec::new() }, ..Outcomes::default() },
                noisy,
                replicates: if noisy && !several { 3 } else { 1 },
            };
            for (place, (name, (weight, _))) in metrics.into_iter().enumerate() {
                let weight = if several { f64::from(u8::from(place == 0)) } else { weight };
                objective.metrics.push(WeightedMetric { name, weight });
            }
            let named = objective.metrics.len();
            // Metrics beyond those of the objective are there because something names them, in the order in which it does.
            let place = |objective: &mut Objective, wanted: usize| {
                let place = wanted.min(objective.metrics.len()).min(named + 1);
                if place == objective.metrics.len() {
                    objective.metrics.push(WeightedMetric { name: format!("further {place}"), weight: 0.0 });
                }
                place
            };
            for (wanted, bound, at_most) in constraints {
                let metric = place(&mut objective, wanted);
                if objective.outcomes.constraints.iter().any(|other| other.metric == metric) {
                    continue;
                }
                objective.outcomes.constraints.push(OutcomeConstraint { metric, bound, at_most });
            }
            objective.outcomes.cost = cost.map(|wanted| place(&mut objective, wanted));
            objective
        },
    )
}

fn metric(metrics: usize, tasks: Option<u16>) -> impl Strategy<Value = Metric> {
    let keys = || vec(text(), metrics);
    let patterns = vec("[a-z=]{0,5}".prop_map(|head| format!("{head}([0-9.]+)")), metrics);
    let task = match tasks {
        Some(tasks) => option::of(0..tasks).boxed(),
        None => option::of(0..9_u16).boxed(),
    };
    let source = prop_oneof![
        Just(MetricSource::Report),
        (patterns, task, option::of(text())).prop_map(|(patterns, task, file)| MetricSource::Stdout {
            patterns,
            task,
            file
        }),
        (text(), keys()).prop_map(|(file, keys)| MetricSource::Json { file, keys }),
        (text(), keys()).prop_map(|(dir, tags)| MetricSource::Summary { dir, tags }),
        (vec(text(), 1..3), keys()).prop_map(|(queries, columns)| MetricSource::Table { queries, columns }),
    ];
    let mode = prop_oneof![Just(FinalMode::Final), Just(FinalMode::Best), Just(FinalMode::Average)];
    (source, mode).prop_map(|(source, final_mode)| Metric { source, final_mode })
}

fn span(least: u64) -> impl Strategy<Value = Span> {
    (least..10_000_000_u64).prop_map(Span)
}

fn budget() -> impl Strategy<Value = Budget> {
    (
        1..1000_u32,
        1..99_u32,
        option::of(span(1)),
        option::of(-9.0..9.0),
        option::of(1..9_u32),
        (option::of(0.1..9.0), option::of(0.1..9.0)),
        option::of(span(1)),
        span(0),
    )
        .prop_map(
            |(trials, concurrency, duration, target, patience, (cost, gain), trial_timeout, grace)| Budget {
                trials: Some(trials),
                concurrency,
                duration,
                target,
                patience,
                cost,
                gain,
                trial_timeout,
                grace,
            },
        )
}

fn retry() -> impl Strategy<Value = Retry> {
    let tries = || 1..=100_u32;
    (tries(), tries(), tries(), tries(), any::<bool>(), span(0)).prop_map(
        |(failed, lost, preempted, doubtful, resume, backoff)| Retry {
            failed,
            lost,
            preempted,
            doubtful,
            resume,
            backoff,
        },
    )
}

fn run() -> impl Strategy<Value = Run> {
    let command = prop_oneof![
        text().prop_map(CommandLine::Shell),
        ("[a-z]{1,5}", vec(text(), 0..3))
            .prop_map(|(program, words)| CommandLine::Args([vec![program], words].concat())),
    ];
    let template =
        (text(), text()).prop_map(|(source, target)| TemplateFile { source: format!("/{source}"), target });
    let env = btree_map("[A-Z][A-Z_0-9]{0,4}", text(), 0..3);
    let backend = proptest::sample::select(vec!["local", "dlc", "slurm"]);
    (backend, vec(command, 1..4), env, vec(template, 0..2), arguments(), "[a-z/ ]{0,8}").prop_map(
        |(backend, commands, env, templates, config, spec_dir)| Run {
            backend: backend.to_owned(),
            commands,
            env,
            templates,
            config,
            spec_dir,
        },
    )
}

/// Expects the lower part of every range, and an option of every choice.
fn prior(space: &SearchSpace, u: f64) -> Prior {
    let mut prior = Prior::default();
    for (index, leaf) in (0u16..).zip(space.leaves()) {
        let expected = match (leaf.domain.from_unit(0.0), leaf.domain.from_unit(u)) {
            (_, Value::Option(option)) => Expected::Among(vec![option]),
            (low, high) if low == high => Expected::Around(low),
            (low, high) => Expected::Within(low, high),
        };
        prior.insert(index, expected);
    }
    prior
}

/// Any valid specification.
pub(super) fn spec() -> impl Strategy<Value = Spec> {
    (objective(), option::of(run()))
        .prop_flat_map(|(objective, run)| {
            let tasks = run.as_ref().and_then(|run| u16::try_from(run.commands.len()).ok());
            let metric = metric(objective.metrics.len(), tasks);
            (Just(objective), Just(run), metric)
        })
        .prop_flat_map(|(objective, run, metric)| {
            let rest = (
                "[a-zA-Z][a-z -]{0,9}[a-z]",
                "[ -~é]{0,9}",
                space(),
                algorithm(),
                option::of(any::<u64>()),
                vec(algorithm(), 0..3),
                budget(),
                retry(),
                0..9_u32,
                option::of(text()),
                (vec((0.0..1.0, -1e9..1e9), 0..3), option::of(0.0..1.0)),
            );
            rest.prop_map(
                move |(
                    name,
                    description,
                    space,
                    sampler,
                    seed,
                    early_stop,
                    budget,
                    retry,
                    failures,
                    model,
                    (known, expected),
                )| {
                    let known = known
                        .into_iter()
                        .map(|(u, value)| Known { point: space.point_from_unit(&[u; 3]), value });
                    let outcomes = &objective.outcomes;
                    let several = outcomes.is_multi();
                    let plain = !several && outcomes.constraints.is_empty();
                    let known = known.filter(|known| plain && space.feasible(&known.point)).collect();
                    let budget = Budget {
                        trials: budget.trials.map(|trials| trials.max(objective.replicates)),
                        target: budget.target.filter(|_| !several),
                        gain: budget.gain.filter(|_| !several),
                        patience: budget
                            .patience
                            .filter(|n| objective.replicates == 1 || *n >= 2 * objective.replicates),
                        cost: budget.cost.filter(|_| outcomes.cost.is_some()),
                        ..budget
                    };
                    let final_mode = match metric.final_mode {
                        FinalMode::Best if several => FinalMode::Final,
                        mode => mode,
                    };
                    let prior = expected.map(|u| prior(&space, u)).unwrap_or_default();
                    Spec {
                        name,
                        description,
                        space,
                        objective: objective.clone(),
                        known,
                        prior,
                        metric: Metric { final_mode, ..metric.clone() },
                        sampler,
                        seed,
                        early_stop: if several { Vec::new() } else { early_stop },
                        budget,
                        retry,
                        first_failures: failures,
                        priority: 1 + failures % 9,
                        schedule: None,
                        notify: Vec::new(),
                        run: run.clone(),
                        model_path: model.unwrap_or_default(),
                    }
                },
            )
        })
}
