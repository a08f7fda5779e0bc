//! What a document means, and what is said about a wrong one.

use super::*;
use crate::error::SpecError;
use crate::id::{AttemptNo, ExperimentId, SubmissionKey, TaskIndex, TrialId};
use crate::ports::backend::{CommandLine, Earlier};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

/// A document with the least that `run` needs.
fn minimal() -> Json {
    json!({
        "space": {"lr": {"uniform": [0, 1]}},
        "objective": "maximize",
        "budget": {"trials": 3},
        "run": {"local": "train ${lr}"},
    })
}

/// The minimal document with some keys put or, by null, taken away.
fn with(changes: &Json) -> Json {
    let mut document = minimal();
    let map = document.as_object_mut().unwrap();
    for (key, value) in changes.as_object().unwrap() {
        if value.is_null() {
            map.shift_remove(key);
        } else {
            map.insert(key.clone(), value.clone());
        }
    }
    document
}

fn parsed(changes: &Json) -> Spec {
    let (spec, warnings) = Spec::parse(&with(changes), "/dir").unwrap();
    assert_eq!(warnings, vec![]);
    spec
}

fn errors(changes: &Json) -> Vec<SpecError> {
    Spec::parse(&with(changes), "").unwrap_err()
}

#[test]
fn the_least_document_has_sensible_defaults() {
    let spec = parsed(&json!({}));
    assert_eq!(spec.name, UNNAMED);
    assert_eq!(spec.sampler.name, "auto");
    assert_eq!(spec.seed, None);
    assert_eq!(spec.early_stop, vec![]);
    assert_eq!(spec.budget, Budget { trials: Some(3), ..Budget::default() });
    assert_eq!(spec.budget.grace, Span::from_secs(10));
    assert_eq!(spec.retry, Retry::default());
    assert_eq!(spec.first_failures, 3);
    assert_eq!(spec.metric, Metric { source: MetricSource::Report, final_mode: FinalMode::Best });
    let run = spec.run.unwrap();
    assert_eq!(run.commands, vec![CommandLine::Shell("train ${lr}".to_owned())]);
    assert_eq!(run.spec_dir, "/dir");
}

#[test]
fn a_document_for_clients_needs_only_space_and_objective() {
    let spec = parsed(&json!({"run": null, "budget": null}));
    assert_eq!(spec.run, None);
}

#[test]
fn every_form_of_the_objective_is_read() {
    for (form, metrics, goal) in [
        (json!("minimize"), vec![("value", 1.0)], Goal::Minimize),
        (json!("max"), vec![("value", 1.0)], Goal::Maximize),
        (json!({"goal": "min"}), vec![("value", 1.0)], Goal::Minimize),
        (json!({"metric": "rmse", "goal": "minimize"}), vec![("rmse", 1.0)], Goal::Minimize),
        (
            json!({"metrics": {"auc": 0.5, "loss": -2}, "goal": "maximize"}),
            vec![("auc", 0.5), ("loss", -2.0)],
            Goal::Maximize,
        ),
    ] {
        let objective = parsed(&json!({"objective": form})).objective;
        let found: Vec<_> = objective.metrics.iter().map(|m| (m.name.as_str(), m.weight)).collect();
        assert_eq!((found, objective.goal, objective.noisy), (metrics, goal, false), "{form}");
    }
    assert!(parsed(&json!({"objective": {"goal": "max", "noisy": true}})).objective.noisy);
}

#[test]
fn every_source_of_metrics_is_read() {
    let stdout = |patterns: &[&str], task, file: Option<&str>| MetricSource::Stdout {
        patterns: patterns.iter().map(|&p| p.to_owned()).collect(),
        task,
        file: file.map(str::to_owned),
    };
    let keys = |keys: &[&str]| keys.iter().map(|&k| k.to_owned()).collect::<Vec<_>>();
    let two = json!({"metrics": {"auc": 0.5, "recall": 0.5}, "goal": "max"});
    let one = json!({"metric": "rmse", "goal": "min"});
    for (objective, metric, source) in [
        (&one, json!({"stdout": "a=(.)"}), stdout(&["a=(.)"], None, None)),
        (
            &one,
            json!({"stdout": "a=(.)", "task": 1, "file": "log"}),
            stdout(&["a=(.)"], Some(0), Some("log")),
        ),
        (&two, json!({"stdout": {"recall": "r(.)", "auc": "a(.)"}}), stdout(&["a(.)", "r(.)"], None, None)),
        (&two, json!({"stdout": ["a(.)", "r(.)"]}), stdout(&["a(.)", "r(.)"], None, None)),
        (
            &one,
            json!({"json": "m", "key": "x.y"}),
            MetricSource::Json { file: "m".into(), keys: keys(&["x.y"]) },
        ),
        (&one, json!({"json": "m"}), MetricSource::Json { file: "m".into(), keys: keys(&["rmse"]) }),
        (
            &two,
            json!({"json": "m", "keys": {"recall": "r", "auc": "a"}}),
            MetricSource::Json { file: "m".into(), keys: keys(&["a", "r"]) },
        ),
        (
            &one,
            json!({"summary": "d", "key": "t"}),
            MetricSource::Summary { dir: "d".into(), tags: keys(&["t"]) },
        ),
        (&one, json!({"report": true}), MetricSource::Report),
        (&one, json!("report"), MetricSource::Report),
        (&one, json!({"final": "avg"}), MetricSource::Report),
    ] {
        let spec = parsed(&json!({"objective": objective, "metric": metric}));
        assert_eq!(spec.metric.source, source, "{metric}");
    }
}

#[test]
fn the_source_names_a_metric_that_the_objective_leaves_unnamed() {
    let spec = parsed(&json!({"metric": {"stdout": {"accuracy": "a=(.)"}}}));
    assert_eq!(spec.objective.metrics.first().unwrap().name, "accuracy");
}

#[test]
fn the_final_mode_is_one_of_three() {
    for (word, mode) in [("final", FinalMode::Final), ("best", FinalMode::Best), ("avg", FinalMode::Average)]
    {
        assert_eq!(parsed(&json!({"metric": {"final": word}})).metric.final_mode, mode);
    }
}

#[test]
fn every_form_of_an_algorithm_is_read_and_the_seed_is_the_experiments() {
    for (form, args, seed) in [
        (json!("tpe"), json!({}), None),
        (json!({"TPE": null}), json!({}), None),
        (json!({"tpe": {"seed": 7, "gamma": 0.2}}), json!({"gamma": 0.2}), Some(7)),
        (json!({"name": "tpe", "gamma": 0.2, "seed": 8}), json!({"gamma": 0.2}), Some(8)),
    ] {
        let spec = parsed(&json!({"sampler": form}));
        assert_eq!(spec.sampler, Algorithm { name: "tpe".to_owned(), args });
        assert_eq!(spec.seed, seed);
    }
    assert_eq!(parsed(&json!({"seed": 9})).seed, Some(9));
    let rules = |form: Json| parsed(&json!({"early_stop": form})).early_stop.len();
    assert_eq!(rules(json!(false)), 0);
    assert_eq!(rules(json!("off")), 0);
    assert_eq!(rules(json!("median")), 1);
    assert_eq!(rules(json!({"median": {"start_step": 5}})), 1);
    assert_eq!(rules(json!(["median", {"threshold": {"max": 3}}])), 2);
}

#[test]
fn every_key_of_budget_and_retry_is_read() {
    let spec = parsed(&json!({
        "budget": {"trials": 9, "concurrency": 2, "duration": "2h", "target": 0.9, "patience": 4,
            "trial_timeout": 90, "grace": "5s", "cost": 12.5, "gain": 0.01},
        "objective": {"metric": "x", "goal": "min", "cost": "hours"},
        "retry": {"attempts": 4, "lost": 5, "doubtful": 2, "resume": true, "backoff": "250ms"},
        "first_failures": 0,
    }));
    let budget = Budget {
        trials: Some(9),
        concurrency: 2,
        duration: Some(Span::from_secs(7200)),
        target: Some(0.9),
        patience: Some(4),
        cost: Some(12.5),
        gain: Some(0.01),
        trial_timeout: Some(Span::from_secs(90)),
        grace: Span::from_secs(5),
    };
    let retry = Retry { failed: 4, lost: 5, preempted: 4, doubtful: 2, resume: true, backoff: Span(250) };
    assert_eq!((spec.budget, spec.retry, spec.first_failures), (budget, retry, 0));
}

#[test]
fn every_form_of_run_is_read() {
    let line = |text: &str| CommandLine::Shell(text.to_owned());
    let words = |all: &[&str]| CommandLine::Args(all.iter().map(|&w| w.to_owned()).collect());
    for (form, commands) in [
        (json!({"local": "a b"}), vec![line("a b")]),
        (json!({"local": ["a", "b c", 3]}), vec![words(&["a", "b c", "3"])]),
        (json!({"local": {"command": "a b"}}), vec![line("a b")]),
        (json!({"local": {"command": ["a", "b"]}}), vec![words(&["a", "b"])]),
        (json!({"local": {"tasks": ["a", ["b", "c"]]}}), vec![line("a"), words(&["b", "c"])]),
        (json!({"Local": {"commands": ["a"]}}), vec![line("a")]),
    ] {
        assert_eq!(parsed(&json!({"run": form})).run.unwrap().commands, commands, "{form}");
    }
    let spec = parsed(&json!({"run": {"slurm": {
        "command": "a", "env": {"A": "x", "B": 2}, "partition": "gpu", "model_path": "m/${trial_id}",
        "templates": ["s,t", {"source": "u", "target": "v"}],
    }}}));
    assert_eq!(spec.model_path, "m/${trial_id}");
    let run = spec.run.unwrap();
    assert_eq!(run.backend, "slurm");
    assert_eq!(run.config, json!({"partition": "gpu"}));
    assert_eq!(run.env.get("B").map(String::as_str), Some("2"));
    let targets: Vec<_> = run.templates.iter().map(|t| (t.source.as_str(), t.target.as_str())).collect();
    assert_eq!(targets, [("/dir/s", "t"), ("/dir/u", "v")]);
}

#[test]
fn each_mistake_has_its_code_and_its_path() {
    let two = json!({"metrics": {"auc": 0.5, "recall": 0.5}, "goal": "max"});
    for (changes, code, path) in [
        (json!({"budgets": {}}), codes::UNKNOWN_KEY, "budgets"),
        (json!({"budget": {"trails": 4}}), codes::UNKNOWN_KEY, "budget.trails"),
        (json!({"budget": {"trials": "ten"}}), codes::WRONG_TYPE, "budget.trials"),
        (json!({"budget": {"trials": 2.5}}), codes::WRONG_TYPE, "budget.trials"),
        (json!({"budget": {"trials": 0}}), codes::OUT_OF_BOUNDS, "budget.trials"),
        (json!({"budget": {"trials": -1}}), codes::OUT_OF_BOUNDS, "budget.trials"),
        (json!({"budget": {"trials": 10_000_001}}), codes::OUT_OF_BOUNDS, "budget.trials"),
        (json!({"budget": {"trials": 1, "concurrency": 10_001}}), codes::OUT_OF_BOUNDS, "budget.concurrency"),
        (json!({"budget": {"trials": 1, "duration": "2 weeks"}}), codes::NOT_A_DURATION, "budget.duration"),
        (json!({"budget": {"trials": 1, "duration": 0}}), codes::OUT_OF_BOUNDS, "budget.duration"),
        (json!({"budget": {"trials": 1, "cost": 0}}), codes::OUT_OF_BOUNDS, "budget.cost"),
        (json!({"budget": {"trials": 1, "cost": 5}}), codes::CONFLICT, "budget.cost"),
        (json!({"budget": null}), codes::NEVER_ENDS, "budget"),
        (json!({"budget": 40}), codes::WRONG_TYPE, "budget"),
        (json!({"retry": {"attempts": 101}}), codes::OUT_OF_BOUNDS, "retry.attempts"),
        (json!({"retry": {"resume": "yes"}}), codes::WRONG_TYPE, "retry.resume"),
        (json!({"name": ""}), codes::EMPTY, "name"),
        (json!({"name": "a\nb"}), codes::BAD_TEXT, "name"),
        (json!({"name": "x".repeat(129)}), codes::BAD_TEXT, "name"),
        (json!({"name": 5}), codes::WRONG_TYPE, "name"),
        (json!({"description": "x".repeat(60_000)}), codes::TOO_LARGE, ""),
        (json!({"space": null}), codes::MISSING_KEY, ""),
        (json!({"objective": null}), codes::MISSING_KEY, ""),
        (json!({"objective": "larger"}), codes::UNKNOWN_WORD, "objective"),
        (json!({"objective": {"metric": "x"}}), codes::MISSING_KEY, "objective"),
        (
            json!({"objective": {"metric": "x", "metrics": {"y": 1}, "goal": "max"}}),
            codes::CONFLICT,
            "objective.metrics",
        ),
        (json!({"objective": {"metrics": {"y": 0}, "goal": "max"}}), codes::EMPTY, "objective.metrics"),
        (
            json!({"objective": {"metrics": {"y": "1"}, "goal": "max"}}),
            codes::WRONG_TYPE,
            "objective.metrics.y",
        ),
        (json!({"metric": {"stdout": "a=.*"}}), codes::PATTERN_GROUPS, "metric.stdout"),
        (json!({"metric": {"stdout": "(a)=(.*)"}}), codes::PATTERN_GROUPS, "metric.stdout"),
        (json!({"metric": {"stdout": "(a)", "json": "m", "key": "k"}}), codes::CONFLICT, "metric.json"),
        (json!({"metric": {"stdout": "(a)", "key": "k"}}), codes::CONFLICT, "metric.key"),
        (json!({"metric": {"stdout": "(a)", "task": 2}}), codes::NO_SUCH_TASK, "metric.task"),
        (json!({"metric": {"json": "m"}}), codes::MISSING_KEY, "metric.json"),
        (json!({"metric": {"table": []}}), codes::EMPTY, "metric.table"),
        (json!({"metric": {"final": "last"}}), codes::UNKNOWN_WORD, "metric.final"),
        (json!({"objective": two, "metric": {"stdout": "(a)"}}), codes::METRIC_COUNT, "metric.stdout"),
        (
            json!({"objective": two, "metric": {"stdout": {"auc": "(a)", "recal": "(b)"}}}),
            codes::UNKNOWN_METRIC,
            "metric.stdout.recal",
        ),
        (json!({"sampler": 5}), codes::WRONG_TYPE, "sampler"),
        (json!({"sampler": {"tpe": {}, "gp": {}}}), codes::BAD_ALGORITHM, "sampler"),
        (json!({"sampler": {"tpe": {"seed": -1}}}), codes::OUT_OF_BOUNDS, "sampler.tpe.seed"),
        (json!({"sampler": {"tpe": {"seed": 1}}, "seed": 2}), codes::CONFLICT, "seed"),
        (json!({"early_stop": true}), codes::WRONG_TYPE, "early_stop"),
        (json!({"run": {}}), codes::ONE_BACKEND, "run"),
        (json!({"run": {"local": "a", "dlc": "b"}}), codes::ONE_BACKEND, "run.dlc"),
        (json!({"run": {"locla": "a"}}), codes::UNKNOWN_BACKEND, "run.locla"),
        (json!({"run": {"local": {}}}), codes::MISSING_KEY, "run.local"),
        (json!({"run": {"local": {"command": " "}}}), codes::EMPTY, "run.local.command"),
        (json!({"run": {"local": {"command": []}}}), codes::EMPTY, "run.local.command"),
        (json!({"run": {"local": {"command": [""]}}}), codes::BAD_COMMAND, "run.local.command[0]"),
        (json!({"run": {"local": {"tasks": vec!["a"; 65]}}}), codes::TOO_MANY, "run.local.tasks"),
        (json!({"run": {"local": {"tasks": ["a"], "command": "b"}}}), codes::CONFLICT, "run.local.tasks"),
        (
            json!({"run": {"local": {"command": "a", "env": {"1A": "x"}}}}),
            codes::BAD_ENVIRONMENT,
            "run.local.env.1A",
        ),
        (
            json!({"run": {"local": {"command": "a", "env": {"RETRIAL_X": "x"}}}}),
            codes::BAD_ENVIRONMENT,
            "run.local.env.RETRIAL_X",
        ),
        (
            json!({"run": {"local": {"command": "a", "templates": ["x"]}}}),
            codes::BAD_TEMPLATE,
            "run.local.templates[0]",
        ),
        (
            json!({"model_path": "a", "run": {"local": {"command": "a", "model_path": "b"}}}),
            codes::CONFLICT,
            "run.local.model_path",
        ),
    ] {
        let found = errors(&changes);
        let places: Vec<_> = found.iter().map(|error| (error.code, error.path.as_str())).collect();
        assert!(places.contains(&(code, path)), "{changes}: {places:?}");
    }
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let found = errors(&json!({
        "space": {"lr": {"uniform": [1, 0]}, "x": {"unifrom": [0, 1]}},
        "objective": "larger",
        "metric": {"stdout": "a"},
        "budget": {"trials": "ten", "grace": "x"},
        "run": {"local": {"command": 5}},
        "sampeler": "tpe",
    }));
    assert_eq!(found.len(), 8, "{found:#?}");
}

#[test]
fn a_misspelt_key_is_recognised() {
    let found = errors(&json!({"budget": {"trails": 4}}));
    assert_eq!(found.first().map(|error| error.cure.as_str()), Some("did you mean `trials`?"));
    assert!(found.first().unwrap().at_key);
}

#[test]
fn a_wrong_type_is_named() {
    let found = errors(&json!({"budget": {"trials": "ten"}}));
    let message = "expected a whole number, found the text `ten`";
    assert_eq!(found.first().map(|error| error.message.as_str()), Some(message));
}

#[test]
fn a_finite_space_ends_by_itself_unless_the_objective_is_noisy() {
    let space = json!({"a": [1, 2, 3]});
    let run = json!({"local": "train"});
    parsed(&json!({"space": space, "budget": null, "run": run}));
    let noisy = json!({"goal": "max", "noisy": true});
    let found = errors(&json!({"space": space, "budget": null, "run": run, "objective": noisy}));
    assert_eq!(found.first().unwrap().code, codes::NEVER_ENDS);
}

#[test]
fn the_shell_can_have_patterns_compiled() {
    let check = |pattern: &str| if pattern.contains('*') { Err("bad star".to_owned()) } else { Ok(1) };
    let around = Surroundings { spec_dir: "", pattern: Some(&check) };
    let document = with(&json!({"metric": {"stdout": "*(a)"}}));
    let found = Spec::parse_with(&document, around).unwrap_err();
    assert_eq!(found.first().unwrap().code, codes::BAD_PATTERN);
    let document = with(&json!({"metric": {"stdout": "[(]a"}}));
    assert!(Spec::parse_with(&document, around).is_ok());
}

#[test]
fn names_by_the_attempt_beside_resume_are_a_warning() {
    let tasks = json!({"local": {"tasks": ["train m_${attempt}", "test m_${attempt}"]}});
    let one = json!({"local": {"command": "train m_${attempt}"}});
    for (run, resume, warned) in [(&tasks, true, true), (&tasks, false, false), (&one, true, false)] {
        let changes = json!({"run": run, "retry": {"attempts": 2, "resume": resume}});
        let (_, warnings) = Spec::parse(&with(&changes), "").unwrap();
        let told: Vec<_> = warnings.iter().map(|warning| (warning.code, warning.path.as_str())).collect();
        let expected: &[_] = if warned { &[(codes::RENAMED, "run.local.tasks[0]")] } else { &[] };
        assert_eq!(told, expected, "{run} {resume}");
    }
}

#[test]
fn a_placeholder_that_nothing_replaces_is_a_warning() {
    for (run, warned) in [
        (json!({"local": "a ${lr} ${HOME} ${x:-1} ${trial_id} $${y}"}), None),
        (json!({"local": {"command": "a ${other}", "env": {"other": "1"}}}), None),
        (json!({"local": "a ${lrr}"}), Some("did you mean `lr`?")),
        (json!({"local": "a ${LR}"}), Some("did you mean `lr`?")),
        (json!({"local": ["a", "${HOME}"]}), Some("add `HOME` to the space")),
    ] {
        let (_, warnings) = Spec::parse(&with(&json!({"run": run})), "").unwrap();
        let cure = warnings.first().map(|warning| warning.cure.as_str());
        assert_eq!(cure.is_some(), warned.is_some(), "{run}");
        assert!(cure.unwrap_or_default().starts_with(warned.unwrap_or_default()), "{cure:?}");
    }
}

#[test]
fn an_order_has_everything_replaced() {
    let spec = parsed(&json!({
        "space": {"lr": [0.5]},
        "budget": {"trials": 3, "concurrency": 4, "trial_timeout": 60},
        "run": {"local": {
            "tasks": ["first", ["train", "${lr}", "${exp_id}-${trial_id}-${attempt}-${task}", "${spec_dir}/x"]],
            "env": {"LR": "${lr}"}, "templates": ["in.${lr},out.${lr}"], "cpus": 2, "label": "t${trial_id}",
        }},
    }));
    let experiment = ExperimentId::from_random(5);
    let key = SubmissionKey { experiment, trial: TrialId(12), attempt: AttemptNo(2), task: TaskIndex(1) };
    let point = spec.space.nth_point(0).unwrap();
    let earlier = Earlier { trial: TrialId(12), attempt: AttemptNo(1) };
    let order = spec.order(key, &point, 3, vec![earlier]).unwrap();
    let ids = format!("{experiment}-12-2-2");
    let words = ["train", "0.5", &ids, "/dir/x"].map(str::to_owned).to_vec();
    assert_eq!(order.command, CommandLine::Args(words));
    assert_eq!(order.env.get("LR").map(String::as_str), Some("0.5"));
    assert_eq!(order.templates.first().unwrap().target, "out.0.5");
    assert_eq!(order.config, json!({"cpus": 2, "label": "t12"}));
    assert_eq!((order.slot, order.slots, order.resume_from), (3, 4, vec![earlier]));
    assert_eq!(order.timeout, Some(Span::from_secs(60)));
    assert_eq!(Json::Object(order.params), json!({"lr": 0.5}));
    assert!(spec.order(SubmissionKey { task: TaskIndex(2), ..key }, &point, 0, Vec::new()).is_none());
}

#[test]
fn an_update_may_change_all_but_what_the_trials_so_far_mean() {
    let old = parsed(&json!({}));
    for allowed in [
        json!({"budget": {"trials": 99}}),
        json!({"run": {"local": "other ${lr}"}}),
        json!({"sampler": "gp", "name": "x", "retry": {"attempts": 5}}),
    ] {
        assert_eq!(old.update_allowed(&parsed(&allowed)), Ok(()), "{allowed}");
    }
    for (refused, path) in [
        (json!({"space": {"lr": {"uniform": [0, 2]}}}), "space"),
        (json!({"constraints": ["lr <= 0.5"]}), "constraints"),
        (json!({"objective": "minimize"}), "objective"),
        (json!({"metric": {"final": "avg"}}), "metric"),
        (json!({"run": {"dlc": "train"}}), "run"),
        (json!({"run": {"local": {"tasks": ["a", "b"]}}}), "run"),
        (json!({"run": null}), "run"),
    ] {
        let found = old.update_allowed(&parsed(&refused)).unwrap_err();
        let found: Vec<_> = found.iter().map(|error| (error.code, error.path.as_str())).collect();
        assert_eq!(found, [(codes::FIXED, path)], "{refused}");
    }
}

#[test]
fn differences_name_the_place_and_both_values() {
    let old = parsed(&json!({}));
    let new = parsed(&json!({"budget": {"trials": 5, "patience": 2}, "seed": 1}));
    let found: Vec<String> = old.differences(&new).iter().map(ToString::to_string).collect();
    assert_eq!(found, ["budget.trials: 3 -> 5", "budget.patience: nothing -> 2", "seed: nothing -> 1"]);
    assert_eq!(old.differences(&old), vec![]);
}

#[test]
fn the_folder_is_a_difference_only_if_it_is_used() {
    let parse =
        |command: &str, dir: &str| Spec::parse(&with(&json!({"run": {"local": command}})), dir).unwrap().0;
    assert_eq!(parse("a", "/x").differences(&parse("a", "/y")), vec![]);
    assert_eq!(parse("${spec_dir}/a", "/x").differences(&parse("${spec_dir}/a", "/y")).len(), 1);
}

#[test]
fn the_order_of_parameters_is_a_difference() {
    let parse = |space: &str| {
        let space: Json = serde_json::from_str(space).unwrap();
        parsed(&json!({"space": space, "run": {"local": "a"}}))
    };
    let found = parse(r#"{"a": [1], "b": [2]}"#).differences(&parse(r#"{"b": [2], "a": [1]}"#));
    assert_eq!(found.first().map(|difference| difference.path.as_str()), Some("space (order)"));
}

proptest! {
    #[test]
    fn the_canonical_form_reads_back_as_the_same_specification(spec in generate::spec()) {
        let canonical = spec.canonical();
        let text = canonical.to_string();
        let again: Json = serde_json::from_str(&text).unwrap();
        let (parsed, _) = Spec::parse(&again, "").map_err(|errors| TestCaseError::fail(format!("{errors:#?}")))?;
        prop_assert_eq!(&parsed, &spec);
        prop_assert_eq!(parsed.canonical().to_string(), text);
        prop_assert_eq!(spec.differences(&parsed), vec![]);
    }
}

#[test]
fn an_early_stopping_rule_beside_metrics_that_are_read_at_the_end_is_warned_of() {
    let json = json!({"json": "out.json", "key": "score"});
    for (metric, rule, warned) in [
        (json.clone(), json!("median"), true),
        (json, json!(false), false),
        (json!({"json": "out.json", "key": "score", "report": true}), json!("median"), false),
        (json!({"stdout": "score=([0-9.]+)"}), json!("median"), false),
        (json!("report"), json!("median"), false),
    ] {
        let (_, warnings) = Spec::parse(&with(&json!({"metric": metric, "early_stop": rule})), "").unwrap();
        let told: Vec<_> = warnings.iter().map(|warning| (warning.code, warning.path.as_str())).collect();
        let expected: &[_] = if warned { &[(codes::NO_EFFECT, "early_stop")] } else { &[] };
        assert_eq!(told, expected);
    }
}
