//! Configurations: what is refused, what is shown, and that what is shown says the same.

use super::config::{CONFIGURATION, as_written, merged, mistakes, said, unused};
use super::{files, mask};
use crate::spec_file;
use engine::spec::Spec;
use serde_json::{Value, json};

fn config() -> Value {
    json!({
        "platform_config": {"name": "Local", "cmd": ["prepare ${lr}", "train --lr ${lr}\n--c '${c}'"], "resume": "1"},
        "metric_config": {
            "metric_type": "stdout", "metric_source": ["cmd2"], "final_mode": "final",
            "metric_dict": {"accuracy=([0-9\\.]+)": 1, "loss: (\\d+)": -0.5},
        },
        "search_space": {
            "${lr}": {"_type": "loguniform", "_value": [0.0001, 0.1]},
            "${model}": {"_type": "choice", "_value": [
                {"_name": "svm", "${c}": {"_type": "randint", "_value": [1, 9]}}, {"_name": "none"},
            ]},
        },
        "yml_config": {
            "trial_concurrency": 2, "max_trial_number": 5,
            "tuner": {"name": "TPE", "class_args": {"optimize_mode": "minimize", "seed": 7}},
            "assessor": {"name": "PAIAssessor", "class_args": {"optimize_mode": "minimize", "start_step": 2, "moving_avg": "true"}},
        },
        "output_config": {"model_path": "model_${exp_id}_${trial_id}"},
        "params_config": {"params_src_dst_filepath": ["/a.template,b.config"]},
    })
}

fn read(name: &str, config: &Value) -> Spec {
    let document = json!({"Name": name, CONFIGURATION: config});
    spec_file::read_text("spec", &document.to_string(), "").unwrap().spec().unwrap().0
}

#[test]
fn what_a_specification_says_in_the_form_of_pai_is_that_specification() {
    let spec = read("a", &config());
    assert_eq!(read("a", &said(&spec)), spec);
    for change in [
        json!({"metric_config": {"metric_type": "json", "metric_source": ["m.json"], "final_mode": "best", "metric_dict": {"a.b": 1}}}),
        json!({"metric_config": {"metric_type": "summary", "metric_source": ["dir"], "final_mode": "avg", "metric_dict": {"a": 2}}}),
        json!({"yml_config": {"max_trial_number": 3, "tuner": null, "assessor": null}}),
        json!({"platform_config": {"name": "MaxCompute", "cmd": ["SELECT ${lr};"], "resume": null}, "params_config": null, "metric_config": {
            "metric_type": "table", "metric_source": ["SELECT a FROM t", "SELECT a FROM u"], "final_mode": "best", "metric_dict": {"a": 1}}}),
    ] {
        let spec = read("a", &merged(&config(), &change));
        assert_eq!(read("a", &said(&spec)), spec, "{change}");
    }
}

#[test]
fn the_three_files_are_the_experiment() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write("exp.yml", &files::exp_yml(&config(), "a"));
    write("trial.ini", &files::trial_ini(&config()));
    write("search_space.json", &config()["search_space"].to_string());
    let mut found = spec_file::load(&dir.path().join("exp.yml")).unwrap().spec().unwrap().0;
    found.run.as_mut().unwrap().spec_dir = String::new();
    assert_eq!(found, read("a", &config()));
}

#[test]
fn what_the_service_asks_for_is_asked_for_all_at_once() {
    let paths = |config: &Value| -> Vec<String> {
        mistakes(config).into_iter().map(|mistake| mistake.path).collect()
    };
    assert_eq!(paths(&config()), [""; 0]);
    let space = json!({"x": {"_type": "choice", "_value": [{"_name": "a", "y": {"_type": "qnormal", "_value": [0, 1, 1]}}]}});
    let wrong = json!({
        "platform_config": {"cmd": ["train --token ****"]},
        "metric_config": {"final_mode": null},
        "search_space": space,
        "yml_config": {"tuner": {"name": "GP"}},
    });
    let metric = format!("{CONFIGURATION}.metric_config");
    let places = [
        metric.clone(),
        metric,
        format!("{CONFIGURATION}.search_space.x._value[0].y._type"),
        format!("{CONFIGURATION}.platform_config.cmd[0]"),
    ];
    assert_eq!(paths(&wrong), places);
}

#[test]
fn what_is_not_used_is_named() {
    assert_eq!(unused(&config(), &config()), None);
    let given = json!({
        "schedule_config": {"day": "everyday"}, "oss_config": {"accessKeyID": "planted", "endpoint": "http://x"},
        "dlc_config": {"region": "cn-hangzhou", "credential": "secret:pai-1"}, "output_config": {"model_path": "m"},
        "odps_config": {"access_id": "planted"}, "monitor_config": {"keyword": "k"},
    });
    let names = |given: &Value, used: &Value| -> Vec<String> {
        let told = unused(given, used).unwrap();
        assert!(!told.to_string().contains("planted"));
        told["Unused"].as_object().unwrap().keys().cloned().collect()
    };
    assert_eq!(names(&given, &given), ["monitor_config", "oss_config", "odps_config"]);
    let partly = json!({"oss_config": {"endpoint": "http://y"}});
    assert_eq!(names(&partly, &given), ["oss_config"], "of what was not given nothing is said");
}

#[test]
fn parameters_have_the_names_that_their_space_writes() {
    let params = json!({"lr": 0.5, "model": {"_name": "svm", "c": 3}});
    let space = json!({
        "lr": {}, "${model}": {"_type": "choice", "_value": [{"_name": "none"}, {"_name": "svm", "${c}": {}}]},
    });
    let written = as_written(params.as_object().unwrap(), &space);
    assert_eq!(Value::Object(written), json!({"lr": 0.5, "${model}": {"_name": "svm", "${c}": 3}}));
}

#[test]
fn an_update_changes_what_it_names_and_takes_away_what_it_calls_null() {
    let space = json!({"${y}": {"_type": "choice", "_value": [1]}});
    let given = json!({
        "yml_config": {"max_trial_number": 9, "assessor": null}, "params_config": null, "search_space": space,
        "dlc_config": {"region": "r"},
    });
    let mut expected = config();
    expected["yml_config"]["max_trial_number"] = json!(9);
    expected["yml_config"].as_object_mut().unwrap().shift_remove("assessor");
    expected.as_object_mut().unwrap().shift_remove("params_config");
    expected["search_space"] = space;
    expected["dlc_config"] = json!({"region": "r"});
    assert_eq!(merged(&config(), &given), expected);
}

#[test]
fn no_secret_is_in_the_files() {
    let with_secrets = merged(
        &config(),
        &json!({"oss_config": {"accessKeyID": "planted-1", "accessKeySecret": "planted-2", "endpoint": "http://x"}}),
    );
    let shown = mask::masked(&with_secrets);
    let ini = files::trial_ini(&shown);
    assert!(ini.contains("accessKeySecret=****\nendpoint=http://x\n") && !ini.contains("planted"), "{ini}");
}
