//! Files of PAI `AutoML` and of NNI become specifications.

use super::*;
use crate::error::{Code, SpecError};
use crate::ports::backend::CommandLine;
use serde_json::{Value as Json, json};

/// A request as the official SDK sends it.
fn pai() -> Json {
    json!({
        "Accessibility": "PRIVATE", "Description": "d", "Name": "exp1", "WorkspaceId": "ws1",
        "HpoExperimentConfiguration": {
            "k8s_config": {"nni_container_cpu_limit": "1"},
            "metric_config": {
                "final_mode": "avg", "metric_dict": {"accuracy=([0-9\\.]+)": 1},
                "metric_source": ["cmd1"], "metric_type": "stdout",
            },
            "oss_config": {
                "accessKeyID": "PLANTED", "accessKeySecret": "PLANTED",
                "endpoint": "http://127.0.0.1:9000", "role_arn": "x",
            },
            "platform_config": {"cmd": ["train --lr=${lr}", "evaluate"], "name": "DLC", "resume": "1"},
            "params_config": {"params_src_dst_filepath": ["a,b_${trial_id}"]},
            "output_config": {"model_path": "m_${trial_id}", "summary_path": "s"},
            "search_space": {
                "${lr}": {"_type": "uniform", "_value": [0.0001, 0.1]},
                "${batch_size}": {"_type": "choice", "_value": [16, 32]},
            },
            "yml_config": {
                "assessor": {
                    "class_args": {"earlystop": true, "moving_avg": "True", "optimize_mode": "minimize", "start_step": 2},
                    "name": "PAIAssessor",
                },
                "max_trial_number": 5, "trial_concurrency": 2,
                "tuner": {"class_args": {"optimize_mode": "minimize"}, "name": "TPE"},
            },
        },
    })
}

fn config() -> Json {
    pai().get("HpoExperimentConfiguration").cloned().unwrap_or_default()
}

fn read(document: &Json) -> Result<(Spec, Vec<SpecError>), Vec<SpecError>> {
    convert(document).spec(Surroundings::default())
}

/// The document with the value at a JSON pointer replaced, or by null removed.
fn changed(mut document: Json, pointer: &str, value: Json) -> Json {
    let (above, key) = pointer.rsplit_once('/').unwrap();
    let map = document.pointer_mut(above).and_then(Json::as_object_mut).unwrap();
    if value.is_null() {
        map.shift_remove(key);
    } else {
        map.insert(key.to_owned(), value);
    }
    document
}

#[test]
fn the_form_is_told_by_the_keys() {
    assert_eq!(Form::of(&pai()), Form::Pai);
    assert_eq!(Form::of(&config()), Form::Pai);
    assert_eq!(Form::of(&json!({"trialCommand": "x"})), Form::Nni);
    assert_eq!(Form::of(&json!({"space": {}, "run": {}})), Form::Native);
    assert_eq!(Form::of(&json!([1])), Form::Native);
}

#[test]
fn a_request_of_pai_becomes_a_specification() {
    let (spec, warnings) = read(&pai()).unwrap();
    assert_eq!((spec.name.as_str(), spec.description.as_str()), ("exp1", "d"));
    let names: Vec<_> = spec.space.leaves().iter().map(|leaf| leaf.name.as_str()).collect();
    assert_eq!(names, ["lr", "batch_size"]);
    let pattern = "accuracy=([0-9\\.]+)".to_owned();
    assert_eq!(spec.objective.metrics, [WeightedMetric { name: pattern.clone(), weight: 1.0 }]);
    assert_eq!(spec.objective.goal, Goal::Minimize);
    let source = MetricSource::Stdout { patterns: vec![pattern], task: Some(0), file: None };
    assert_eq!(spec.metric, Metric { source, final_mode: FinalMode::Average });
    assert_eq!(spec.sampler.name, "tpe");
    assert_eq!(spec.early_stop.first().map(|rule| rule.name.as_str()), Some("paiassessor"));
    assert_eq!((spec.budget.trials, spec.budget.concurrency), (Some(5), 2));
    assert!(spec.retry.resume);
    assert_eq!(spec.model_path, "m_${trial_id}");
    let run = spec.run.unwrap();
    assert_eq!(run.backend, "dlc");
    let lines = ["train --lr=${lr}", "evaluate"].map(|line| CommandLine::Shell(line.to_owned()));
    assert_eq!(run.commands, lines);
    assert_eq!(run.templates.first().map(|template| template.target.as_str()), Some("b_${trial_id}"));
    assert_eq!(run.config, json!({"oss_endpoint": "http://127.0.0.1:9000"}));
    let mut told: Vec<_> = warnings.iter().map(|warning| (warning.code, warning.path.as_str())).collect();
    told.sort_unstable();
    let at = |path: &str| format!("HpoExperimentConfiguration.{path}");
    assert_eq!(
        told,
        [
            (codes::NO_EFFECT, at("k8s_config").as_str()),
            (codes::NO_EFFECT, at("oss_config.role_arn").as_str()),
            (codes::NO_EFFECT, at("output_config.summary_path").as_str()),
            (codes::CREDENTIAL, at("oss_config.accessKeyID").as_str()),
            (codes::CREDENTIAL, at("oss_config.accessKeySecret").as_str()),
        ]
    );
}

#[test]
fn credentials_never_reach_the_specification() {
    let (spec, warnings) = read(&pai()).unwrap();
    assert!(!spec.canonical().to_string().contains("PLANTED"));
    assert!(!format!("{warnings:?}").contains("PLANTED"));
}

#[test]
fn every_kind_of_metric_source_is_read_or_refused() {
    let with = |kind: &str, source: Json, weights: Json| {
        let metric = json!({"metric_type": kind, "metric_source": source, "metric_dict": weights, "final_mode": "best"});
        read(&changed(config(), "/metric_config", metric)).map(|(spec, _)| spec.metric.source)
    };
    let stdout = |task, file: Option<&str>| {
        Ok(MetricSource::Stdout { patterns: vec!["(a)".to_owned()], task, file: file.map(str::to_owned) })
    };
    for (source, expected) in [
        (json!(["cmd2"]), stdout(Some(1), None)),
        (json!(["cmd,worker"]), stdout(Some(0), None)),
        (json!(["cmd1_20220616"]), stdout(Some(0), None)),
        (json!("/log/x"), stdout(None, Some("/log/x"))),
        (Json::Null, stdout(None, None)),
    ] {
        assert_eq!(with("stdout", source.clone(), json!({"(a)": 1})), expected, "{source}");
    }
    let two = || vec!["auc".to_owned(), "recall".to_owned()];
    let weights = json!({"auc": 0.5, "recall": -0.5});
    let json_file = MetricSource::Json { file: "m.json".to_owned(), keys: two() };
    assert_eq!(with("json", json!(["m.json"]), weights.clone()), Ok(json_file));
    let summary = MetricSource::Summary { dir: "d".to_owned(), tags: two() };
    assert_eq!(with("SUMMARY", json!(["d"]), weights.clone()), Ok(summary));
    for (kind, source, code) in [
        ("table", json!([]), codes::MISSING_KEY),
        ("api", json!(["cmd1"]), codes::NOT_SUPPORTED),
        ("json", json!(["a", "b"]), codes::NOT_SUPPORTED),
        ("json", Json::Null, codes::MISSING_KEY),
        ("log", json!(["a"]), codes::UNKNOWN_WORD),
    ] {
        let found: Vec<_> = with(kind, source, weights.clone()).unwrap_err().iter().map(|e| e.code).collect();
        assert_eq!(found, [code], "{kind}");
    }
}

#[test]
fn mistakes_have_the_paths_of_the_original() {
    for (pointer, value, code, path) in [
        ("/platform_config/resum", json!("1"), codes::UNKNOWN_KEY, "platform_config.resum"),
        ("/platform_config/name", json!("DataScience"), codes::UNKNOWN_BACKEND, "platform_config.name"),
        ("/platform_config/cmd", json!([]), codes::EMPTY, "platform_config.cmd"),
        ("/platform_config/cmd", json!(["a", 5]), codes::WRONG_TYPE, "platform_config.cmd[1]"),
        ("/platform_config/cmd", Json::Null, codes::MISSING_KEY, "platform_config"),
        ("/metric_config", Json::Null, codes::MISSING_KEY, ""),
        ("/metric_config/metric_dict", json!({"a": 1}), codes::PATTERN_GROUPS, "metric_config.metric_dict.a"),
        (
            "/metric_config/metric_dict",
            json!({"(a)": "x"}),
            codes::WRONG_TYPE,
            "metric_config.metric_dict.(a)",
        ),
        ("/metric_config/final_mode", json!("last"), codes::UNKNOWN_WORD, "metric_config.final_mode"),
        (
            "/metric_config/metric_source",
            json!(["cmd9"]),
            codes::NO_SUCH_TASK,
            "metric_config.metric_source[0]",
        ),
        ("/yml_config/max_trial_number", json!(0), codes::OUT_OF_BOUNDS, "yml_config.max_trial_number"),
        ("/yml_config/max_trial_number", Json::Null, codes::NEVER_ENDS, "yml_config"),
        (
            "/yml_config/tuner/class_args/seed",
            json!(-1),
            codes::OUT_OF_BOUNDS,
            "yml_config.tuner.class_args.seed",
        ),
        (
            "/yml_config/tuner/class_args/optimize_mode",
            json!("up"),
            codes::UNKNOWN_WORD,
            "yml_config.tuner.class_args.optimize_mode",
        ),
        (
            "/search_space/${lr}",
            json!({"_type": "unifrom", "_value": [0, 1]}),
            Code(205),
            "search_space.${lr}._type",
        ),
        (
            "/params_config/params_src_dst_filepath",
            json!(["a"]),
            codes::BAD_TEMPLATE,
            "params_config.params_src_dst_filepath[0]",
        ),
    ] {
        let found = read(&changed(config(), pointer, value)).unwrap_err();
        let found: Vec<_> = found.iter().map(|error| (error.code, error.path.as_str())).collect();
        assert_eq!(found, [(code, path)], "{pointer}");
    }
}

fn nni() -> Json {
    json!({
        "experimentName": "kmeans",
        "searchSpace": {"${lr}": {"_type": "uniform", "_value": [0, 1]}},
        "searchSpaceFile": "search_space.json",
        "trialCommand": "python3 -m hpo_tools.core.utils.run --config=./trial.ini",
        "trialConcurrency": 2,
        "maxTrialNumber": 10,
        "maxExperimentDuration": "1h",
        "tuner": {"name": "TPE", "classArgs": {"optimize_mode": "minimize", "seed": 3}},
        "assessor": {"name": "Medianstop", "classArgs": {"start_step": 1}},
        "trainingService": {"platform": "local"},
        "debug": true,
    })
}

#[test]
fn an_experiment_of_nni_runs_its_trial_command() {
    let (spec, warnings) = read(&changed(nni(), "/trialCommand", json!("python3 t.py --lr ${lr}"))).unwrap();
    assert_eq!(spec.name, "kmeans");
    assert_eq!(spec.objective.goal, Goal::Minimize);
    assert_eq!(spec.metric.source, MetricSource::Report);
    assert_eq!(spec.seed, Some(3));
    assert_eq!(spec.early_stop.first().map(|rule| rule.name.as_str()), Some("medianstop"));
    assert_eq!(spec.budget.duration, Some(Span::from_secs(3600)));
    assert_eq!(spec.run.unwrap().commands, [CommandLine::Shell("python3 t.py --lr ${lr}".to_owned())]);
    let told: Vec<_> = warnings.iter().map(|warning| (warning.code, warning.path.as_str())).collect();
    assert_eq!(told, [(codes::NO_EFFECT, "trialCommand")]);
}

#[test]
fn the_older_form_of_nni_is_read_and_what_has_no_effect_is_named() {
    let document = json!({
        "authorName": "a", "experimentName": "old", "trialConcurrency": 3, "maxExecDuration": "2h", "maxTrialNum": 7,
        "trainingServicePlatform": "local", "useAnnotation": false,
        "searchSpacePath": "s.json", "searchSpace": {"lr": {"_type": "uniform", "_value": [0, 1]}},
        "tuner": {"builtinTunerName": "Random", "classArgs": {"optimize_mode": "maximize"}},
        "assessor": {"builtinAssessorName": "Medianstop", "classArgs": {"optimize_mode": "maximize"}},
        "trial": {"command": "python3 t.py", "codeDir": ".", "gpuNum": 0},
    });
    let (spec, warnings) = read(&document).unwrap();
    assert_eq!((spec.name.as_str(), spec.objective.goal), ("old", Goal::Maximize));
    assert_eq!((spec.budget.trials, spec.budget.concurrency), (Some(7), 3));
    assert_eq!(spec.budget.duration, Some(Span::from_secs(7200)));
    assert_eq!(spec.sampler.name, "random");
    assert_eq!(spec.run.unwrap().commands, [CommandLine::Shell("python3 t.py".to_owned())]);
    let told: Vec<&str> = warnings.iter().map(|warning| warning.path.as_str()).collect();
    assert_eq!(told, ["trial.codeDir", "trial.gpuNum", "trial.command"]);
}

#[test]
fn what_of_nni_cannot_be_done_is_refused_and_not_dropped() {
    let plain = changed(nni(), "/trialCommand", json!("python3 t.py"));
    for (pointer, value, code, path) in [
        ("/useAnnotation", json!(true), codes::NOT_SUPPORTED, "useAnnotation"),
        ("/advisor", json!({"name": "BOHB"}), codes::NOT_SUPPORTED, "advisor"),
        ("/maxTrialNum", json!(3), codes::CONFLICT, "maxTrialNum"),
        ("/trainingService", json!([{"platform": "local"}]), codes::NOT_SUPPORTED, "trainingService"),
        ("/maxTrials", json!(3), codes::UNKNOWN_KEY, "maxTrials"),
    ] {
        let found = read(&changed(plain.clone(), pointer, value)).unwrap_err();
        let found: Vec<_> = found.iter().map(|error| (error.code, error.path.as_str())).collect();
        assert_eq!(found, [(code, path)], "{pointer}");
    }
    let service = json!({"platform": "local", "useActiveGpu": true});
    let (_, warnings) = read(&changed(plain, "/trainingService", service)).unwrap();
    assert!(warnings.iter().any(|warning| warning.path == "trainingService.useActiveGpu"), "{warnings:?}");
}

fn hpo_tools() -> Json {
    let ini = json!({
        "platform_config": {"name": "MaxCompute", "resume": "1", "cmd1": "pai -name a", "cmd2_x": "pai -name b"},
        "metric_config": {
            "metric_type": "json", "metric_source": "oss://b/m.json", "final_mode": "final",
            "metric_dict": "{'auc': 1, 'loss': -0.5}",
        },
        "odps_config": {
            "access_id": "PLANTED", "project_name": "p", "end_point": "https://e/api", "region": "cn-shanghai",
            "role_arn": "acs:ram::1:role/r", "log_view_host": "https://l",
        },
        "oss_config": {"endpoint": "o"},
    });
    changed(nni(), "/trial_ini", ini)
}

#[test]
fn the_three_files_of_hpo_tools_become_a_specification() {
    let (spec, warnings) = read(&hpo_tools()).unwrap();
    let weights: Vec<_> = spec.objective.metrics.iter().map(|m| (m.name.as_str(), m.weight)).collect();
    assert_eq!(weights, [("auc", 1.0), ("loss", -0.5)]);
    let run = spec.run.unwrap();
    assert_eq!((run.backend.as_str(), run.commands.len()), ("maxcompute", 2));
    let config = json!({
        "project": "p", "endpoint": "https://e/api", "region": "cn-shanghai", "credential": {"role_arn": "acs:ram::1:role/r"},
    });
    assert_eq!(run.config, config);
    let told: Vec<_> = warnings.iter().map(|warning| (warning.code, warning.path.as_str())).collect();
    let expected = [
        (codes::NO_EFFECT, "assessor"),
        (codes::NO_EFFECT, "trial_ini.oss_config.endpoint"),
        (codes::CREDENTIAL, "trial_ini.odps_config.access_id"),
        (codes::NO_EFFECT, "trial_ini.odps_config.log_view_host"),
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_setting_of_odps_config_that_does_not_exist_never_becomes_one_of_ours() {
    let ini = json!({"tasks": "DROP TABLE t;", "project_nam": "p"});
    let mut document = hpo_tools();
    *document.pointer_mut("/trial_ini/odps_config").unwrap() = ini;
    let found = read(&document).unwrap_err();
    let found: Vec<_> = found.iter().map(|error| (error.code, error.path.as_str())).collect();
    let expected = [
        (codes::UNKNOWN_KEY, "trial_ini.odps_config.tasks"),
        (codes::UNKNOWN_KEY, "trial_ini.odps_config.project_nam"),
    ];
    assert_eq!(found, expected);
}

#[test]
fn what_combines_several_tables_says_how_a_trial_is_judged() {
    for (sources, mode) in
        [(json!(["SELECT 1", "SELECT 2"]), FinalMode::Average), (json!(["SELECT 1"]), FinalMode::Best)]
    {
        let metric = json!({
            "metric_type": "table", "metric_source": sources, "metric_dict": {"auc": 1},
            "final_mode": "best", "source_list_final_mode": "avg",
        });
        let (spec, _) = read(&changed(pai(), "/HpoExperimentConfiguration/metric_config", metric)).unwrap();
        assert_eq!(spec.metric.final_mode, mode);
    }
}

#[test]
fn the_older_form_of_metrics_has_a_line_for_each() {
    let metric = json!({"metric_type": "summary", "metric_source": "d", "auc": "1", "loss": "-0.5"});
    let (spec, _) = read(&changed(hpo_tools(), "/trial_ini/metric_config", metric)).unwrap();
    let weights: Vec<_> = spec.objective.metrics.iter().map(|m| (m.name.as_str(), m.weight)).collect();
    assert_eq!(weights, [("auc", 1.0), ("loss", -0.5)]);
}

#[test]
fn mistakes_lead_through_both_conversions() {
    for (pointer, value, code, path) in [
        ("/maxTrialNumber", json!("ten"), codes::WRONG_TYPE, "maxTrialNumber"),
        ("/maxExperimentDuration", json!("soon"), codes::NOT_A_DURATION, "maxExperimentDuration"),
        ("/trialComand", json!("x"), codes::UNKNOWN_KEY, "trialComand"),
        ("/tuner/classArgs/seed", json!(-1), codes::OUT_OF_BOUNDS, "tuner.classArgs.seed"),
        ("/tuner/className", json!("X"), codes::NOT_SUPPORTED, "tuner.className"),
        ("/searchSpace", Json::Null, codes::MISSING_FILE, "searchSpaceFile"),
        ("/searchSpace/${lr}", json!({"uniform": [1, 0]}), Code(211), "searchSpace.${lr}.uniform[1]"),
        (
            "/trial_ini/platform_config/name",
            json!("paiflow"),
            codes::UNKNOWN_BACKEND,
            "trial_ini.platform_config.name",
        ),
        ("/trial_ini/platform_config/cmd1", json!(" "), codes::EMPTY, "trial_ini.platform_config.cmd1"),
        (
            "/trial_ini/platform_config/cmd1",
            json!("{% for d in [1] %}"),
            codes::NOT_SUPPORTED,
            "trial_ini.platform_config.cmd1",
        ),
        (
            "/trial_ini/metric_config/metric_dict",
            json!("auc"),
            codes::INI_SYNTAX,
            "trial_ini.metric_config.metric_dict",
        ),
    ] {
        let found = read(&changed(hpo_tools(), pointer, value)).unwrap_err();
        let found: Vec<_> = found.iter().map(|error| (error.code, error.path.as_str())).collect();
        assert!(found.contains(&(code, path)), "{pointer}: {found:?}");
    }
}

#[test]
fn the_robot_of_a_configuration_is_told_of_failures_and_of_each_new_best() {
    let mut document = pai();
    document["HpoExperimentConfiguration"]["monitor_config"] = json!({
        "url": "secret:pai-robot", "keyword": "monitor", "at_mobiles": "[14700000000, '14700000001']",
        "at_user_ids": "", "is_at_all": "False",
    });
    let spec = convert(&document).spec(Surroundings::default()).unwrap().0;
    let recorded = json!([{
        "dingtalk": {
            "url": "secret:pai-robot", "keyword": "monitor", "at_mobiles": ["14700000000", "14700000001"],
            "at_user_ids": [], "at_all": false, "format": "markdown",
        },
        "events": ["failure", "pause", "best"], "every": "1m",
    }]);
    assert_eq!(spec.canonical()["notify"], recorded);
}

#[test]
fn a_robots_address_that_stands_in_a_file_is_not_taken() {
    let mut document = pai();
    let url = "https://oapi.dingtalk.com/robot/send?access_token=PLANTED";
    document["HpoExperimentConfiguration"]["monitor_config"] = json!({"url": url});
    let (spec, warnings) = convert(&document).spec(Surroundings::default()).unwrap();
    assert!(spec.notify.is_empty() && !spec.canonical().to_string().contains("PLANTED"));
    let at = "HpoExperimentConfiguration.monitor_config.url";
    assert!(warnings.iter().any(|one| one.code == codes::CREDENTIAL && one.path == at), "{warnings:?}");
    assert!(!format!("{warnings:?}").contains("PLANTED"));
}

#[test]
fn the_schedule_of_a_configuration_is_a_window_in_utc() {
    let mut document = pai();
    document["HpoExperimentConfiguration"]["schedule_config"] =
        json!({"day": "weekend", "start_time": "22:00", "end_time": "06:00"});
    let spec = read(&document).unwrap().0;
    let recorded = json!({"days": "weekend", "from": "22:00", "to": "06:00", "zone": "UTC"});
    assert_eq!(spec.canonical()["schedule"], recorded);
    document["HpoExperimentConfiguration"]["schedule_config"]["start_time"] = json!("25:00");
    let errors = read(&document).unwrap_err();
    assert_eq!(errors[0].path, "HpoExperimentConfiguration.schedule_config.start_time");
}
