//! Tests of what the experiment file and a task become: mistakes of the file, and the exact request.

use super::body::{Body, DEFAULT_RUNNING_MINUTES, MAX_BODY_BYTES};
use super::config::{Config, Reconcile, check_config};
use super::fields::{Reader, When};
use crate::cloud::credentials::{Choice, RoleChoice};
use crate::codes;
use engine::error::SpecError;
use engine::id::{AttemptNo, ExperimentId, SubmissionKey, TaskIndex, TrialId};
use engine::ports::backend::{CommandLine, TaskOrder};
use engine::time::Span;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

fn no_files(_: &str) -> Result<String, String> {
    Err("there are no files in this test".to_owned())
}

fn shell(line: &str) -> CommandLine {
    CommandLine::Shell(line.to_owned())
}

fn order(command: CommandLine, config: Value) -> TaskOrder {
    let key = SubmissionKey {
        experiment: ExperimentId::from_random(42),
        trial: TrialId(12),
        attempt: AttemptNo(1),
        task: TaskIndex(0),
    };
    TaskOrder {
        env: BTreeMap::from([("SEED".to_owned(), "7".to_owned())]),
        grace: Span::from_secs(30),
        config,
        ..engine::testing::backend::order(key, command)
    }
}

fn small() -> Value {
    json!({
        "region": "cn-hangzhou", "workspace_id": 12345, "JobType": "PyTorchJob",
        "JobSpecs": [{"Type": "Worker", "Image": "img", "EcsSpec": "ecs.g6.large"}],
    })
}

fn body(order: &TaskOrder) -> Value {
    Body::new(order, "run.dlc", &no_files, &[]).unwrap().1.shown()
}

/// A command after what every job begins with.
fn with_setup(order: &TaskOrder, command: &str) -> String {
    format!("{}{command}", super::setup::script(order, None, &[]))
}

fn paths(errors: &[SpecError]) -> Vec<String> {
    assert!(errors.iter().all(|error| !error.cure.is_empty()), "{errors:?}");
    errors.iter().map(|error| format!("{} {}", error.code, error.path)).collect()
}

#[test]
fn a_small_file_becomes_this_exact_request() {
    let order = order(shell("python3 train.py --lr 0.1"), small());
    let key = order.key.to_string();
    let experiment = order.key.experiment.to_string();
    let expected = json!({
        "Description": format!("[Retrial: experiment {experiment}, trial 12, attempt 1, task 0; key {key}]"),
        "DisplayName": format!("retrial-{key}"),
        "Envs": {
            "SEED": "7", "PYTHONUNBUFFERED": "1", "RETRIAL_KEY": key, "RETRIAL_EXPERIMENT": experiment,
            "RETRIAL_TRIAL": "12", "RETRIAL_ATTEMPT": "1", "RETRIAL_TASK": "0", "RETRIAL_SLOT": "0",
            "RETRIAL_PARAMS": format!("/tmp/retrial-{key}.json"), "RETRIAL_REPORT": "/dev/stdout",
        },
        "JobMaxRunningTimeMinutes": DEFAULT_RUNNING_MINUTES,
        "JobSpecs": [{
            "Type": "Worker", "Image": "img", "EcsSpec": "ecs.g6.large", "PodCount": 1, "RestartPolicy": "Never",
        }],
        "JobType": "PyTorchJob",
        "Settings": {"Tags": {"retrial-key": key, "retrial-experiment": experiment}},
        "UserCommand": with_setup(&order, "python3 train.py --lr 0.1"),
        "WorkspaceId": "12345",
    });
    assert_eq!(body(&order), expected);
}

/// What the official SDK was seen to send.
fn captured(note: &str) -> Map<String, Value> {
    let text = include_str!("../../tests/vectors/dlc/sdk_captures.json");
    let captures: Value = serde_json::from_str(text).unwrap();
    let captures = captures["captures"].as_array().unwrap();
    let is_it = |capture: &&Value| {
        capture["operation"] == "CreateJob" && capture["note"].as_str().unwrap().contains(note)
    };
    captures.iter().find(is_it).unwrap()["request"]["body_json"].as_object().unwrap().clone()
}

#[test]
fn a_request_of_the_sdk_with_nearly_every_field_comes_out_as_it_is_but_for_the_marks() {
    let mut sent = captured("nearly every field");
    let command = sent.remove("UserCommand").unwrap();
    // The SDK's own example has a secret as plain text.
    sent["JobSpecs"][0]["ImageConfig"]["Auth"] = json!("env:REGISTRY_AUTH");
    let mut config = sent.clone();
    config.insert("region".to_owned(), json!("cn-hangzhou"));
    let order = order(shell(command.as_str().unwrap()), Value::Object(config));
    let key = order.key.to_string();
    let mut made = body(&order);
    assert_eq!(made["DisplayName"], format!("hpo-s1-t42-{key}"));
    assert_eq!(made["Envs"]["HPO_TRIAL"], "42");
    assert_eq!(made["Settings"]["Tags"]["hpo-key"], "s1/42");
    sent.insert("UserCommand".to_owned(), json!(with_setup(&order, command.as_str().unwrap())));
    for (part, mark) in [
        ("/Settings/Tags", "retrial-key"),
        ("/Settings/Tags", "retrial-experiment"),
        ("/Envs", "PYTHONUNBUFFERED"),
        ("/Envs", "SEED"),
        ("/Envs", "RETRIAL_KEY"),
        ("/Envs", "RETRIAL_EXPERIMENT"),
        ("/Envs", "RETRIAL_TRIAL"),
        ("/Envs", "RETRIAL_ATTEMPT"),
        ("/Envs", "RETRIAL_TASK"),
        ("/Envs", "RETRIAL_SLOT"),
        ("/Envs", "RETRIAL_PARAMS"),
        ("/Envs", "RETRIAL_REPORT"),
    ] {
        assert!(made.pointer_mut(part).unwrap().as_object_mut().unwrap().remove(mark).is_some(), "{mark}");
    }
    made["DisplayName"] = json!("hpo-s1-t42");
    made["Description"] = json!("trial 42");
    assert_eq!(made, Value::Object(sent));
}

#[test]
fn the_service_always_ends_a_job_some_day() {
    let minutes = |timeout: Option<u64>, config: Value| {
        let mut order = order(shell("true"), config);
        order.timeout = timeout.map(Span::from_secs);
        body(&order)["JobMaxRunningTimeMinutes"].clone()
    };
    assert_eq!(minutes(None, small()), 43_200);
    // 90 s, 30 s to end, and 10 minutes in which Retrial itself says that the time is over.
    assert_eq!(minutes(Some(90), small()), 12);
    assert_eq!(minutes(Some(91), small()), 13);
    let mut own = small();
    own["JobMaxRunningTimeMinutes"] = json!("45");
    assert_eq!(minutes(Some(90), own), 45);
}

#[test]
fn a_submit_line_becomes_the_same_request_as_fields() {
    let line = "dlc submit pytorchjob --name=mnist --command='python3 t.py' --workspace_id=12345 --workers=2 \
                --worker_image=img --worker_spec=ecs.g6.large --region=cn-hangzhou --envs=A=1 --priority=3";
    let mut fields = small();
    fields["DisplayName"] = json!("mnist");
    fields["Priority"] = json!(3);
    fields["Envs"] = json!({"A": "1"});
    fields["JobSpecs"][0]["PodCount"] = json!(2);
    assert_eq!(body(&order(shell(line), json!({}))), body(&order(shell("python3 t.py"), fields)));
}

#[test]
fn a_line_and_the_settings_beside_it_make_one_job() {
    let mut config = small();
    config["Settings"] = json!({"Tags": {"team": "x"}});
    config.as_object_mut().unwrap().remove("JobType");
    // As an experiment of PAI has it: no word about nodes.
    let line = "dlc submit pytorch --name=t --command 'python t.py' --tags=kind=y --workspace_id=12345";
    let made = body(&order(shell(line), config.clone()));
    assert_eq!(made["JobType"], "PyTorchJob");
    assert_eq!(
        (&made["Settings"]["Tags"]["team"], &made["Settings"]["Tags"]["kind"]),
        (&json!("x"), &json!("y"))
    );
    assert_eq!(made["JobSpecs"][0]["EcsSpec"], "ecs.g6.large");
    let line = "dlc submit tfjob --command=x --workspace_id=1 --workers=1 --region=cn-beijing --tags=team=z";
    let errors = check_config(&config, &[shell(line)], "run.dlc", &no_files);
    let shown: Vec<&str> = errors.iter().map(|error| error.message.as_str()).collect();
    assert_eq!(
        shown,
        [
            "both the command line and the settings beside it say what `WorkspaceId` is",
            "both the command line and the settings beside it say what `Settings.Tags.team` is",
            "both the command line and the settings beside it say what `JobSpecs` is",
            "`--region` is `cn-beijing`, and `run.dlc.region` is `cn-hangzhou`",
        ]
        .as_slice()
    );
    assert_eq!(paths(&errors), ["E0510 run.dlc.command"; 4]);
}

#[test]
fn mistakes_in_what_flags_say_stand_at_the_line_with_the_flag() {
    let line = "dlc submit pytorchjob --name='a b' --workspace_id=1 --workers=two --worker_image=i --worker_cpu=4 \
                --priority=12 --vpc_id=v --tags=acs:x=1";
    let errors = check_config(&json!({"region": "cn-hangzhou"}), &[shell(line)], "run.dlc", &no_files);
    let shown: Vec<String> = errors.iter().map(|error| error.message.clone()).collect();
    for part in [
        "`--workers` (`JobSpecs[0].PodCount`): `PodCount` must be a whole number, not the text `two`",
        "`dlc submit` says nothing that is run",
        "`--priority` (`Priority`): `Priority` is 12",
        "`--name` (`DisplayName`): `a b` cannot be the name of a job",
        "`--worker_cpu` (`JobSpecs[0].ResourceConfig`): `ResourceConfig` takes its share",
        "`--vpc_id` (`UserVpc`): `SwitchId` is missing",
        "`--tags` (`Settings.Tags.acs:x`): `acs:x` cannot be the name of a tag",
    ] {
        assert!(shown.iter().any(|message| message.starts_with(part)), "{part}\n{shown:#?}");
    }
    assert!(errors.iter().all(|error| error.path == "run.dlc.command"), "{errors:?}");
}

#[test]
fn all_mistakes_of_a_file_are_named_at_once() {
    let config = json!({
        "regoin": "x", "region": "CN", "network": "home", "credential": {"role_arn": "x", "access_key": "planted"},
        "strict": "yes", "reconcile": {"wait_seconds": -1, "searches": 0, "tries": 1}, "UserCommand": "x",
        "dlc": {"protocol": "ftp", "access_id": "planted"}, "JobType": "PytorchJob", "Priority": "high",
        "JobSpecs": [{"Type": "Worker", "Image": "i", "EcsSpec": "e", "PodCount": 0}], "workspace_id": 1, "WorkspaceId": 1,
    });
    let errors = check_config(&config, &[shell("a"), shell("b")], "run.dlc", &no_files);
    let expected = [
        "E0501 run.dlc.regoin",
        "E0511 run.dlc.network",
        "E0514 run.dlc.credential.access_key",
        "E0509 run.dlc.credential",
        "E0500 run.dlc.strict",
        "E0502 run.dlc.reconcile.wait_seconds",
        "E0502 run.dlc.reconcile.searches",
        "E0501 run.dlc.reconcile.tries",
        "E0510 run.dlc.UserCommand",
        "E0511 run.dlc.dlc.protocol",
        "E0501 run.dlc.dlc.access_id",
        "E0510 run.dlc.workspace_id",
        "E0500 run.dlc.Priority",
        "E0529 run.dlc.region",
        "E0511 run.dlc.JobType",
        "E0502 run.dlc.JobSpecs[0].PodCount",
    ];
    assert_eq!(paths(&errors), expected);
    assert_eq!(errors[0].cure, "did you mean `region`?");
    assert!(!format!("{errors:?}").contains("planted"));
    assert_eq!(check_config(&json!([]), &[], "run.dlc", &no_files)[0].code, codes::WRONG_TYPE);
}

#[test]
fn an_empty_file_is_told_all_that_it_needs() {
    let errors = check_config(&Value::Null, &[shell("true")], "run.dlc", &no_files);
    assert_eq!(paths(&errors), ["E0529 run.dlc", "E0509 run.dlc", "E0509 run.dlc", "E0509 run.dlc"]);
    let named: Vec<&str> = errors[1..].iter().filter_map(|error| error.message.split('`').nth(1)).collect();
    assert_eq!(named, ["WorkspaceId", "JobType", "JobSpecs"]);
}

#[test]
fn every_setting_is_understood() {
    let value = json!({
        "region": "cn-hangzhou", "network": "vpc", "credential": "training", "strict": true,
        "reconcile": {"wait_seconds": 5, "searches": 2, "pause_seconds": 0.5}, "workspace_id": "w",
    });
    let mut reader = Reader::new(When::Checked);
    let config = Config::read(&mut reader, &value, "run.dlc");
    assert_eq!(reader.errors, []);
    assert_eq!(config.endpoint("run.dlc").unwrap().host, "pai-dlc-vpc.cn-hangzhou.aliyuncs.com");
    assert_eq!(config.who, Choice::Profile("training".to_owned()));
    assert!(config.strict);
    assert_eq!(config.reconcile, Reconcile { wait: Span(5_000), searches: 2, pause: Span(500) });
    let role = json!({"credential": {
        "role_arn": "acs:ram::123:role/hpo", "role_session_name": "s", "external_id": "e",
    }, "dlc": {"endpoint": "127.0.0.1:8080", "protocol": "http"}});
    let config = Config::read(&mut reader, &role, "run.dlc");
    assert_eq!(reader.errors, []);
    let (session, external_id) = (Some("s".to_owned()), Some("e".to_owned()));
    assert_eq!(
        config.who,
        Choice::Role(RoleChoice {
            arn: "acs:ram::123:role/hpo".to_owned(),
            session,
            external_id,
            sealed: None
        })
    );
    assert_eq!(config.endpoint("run.dlc").unwrap().scheme, "http");
    let short = Config::read(&mut reader, &json!({"credential": "acs:ram::1:role/tuner"}), "run.dlc");
    assert!(matches!(short.who, Choice::Role(RoleChoice { arn, .. }) if arn == "acs:ram::1:role/tuner"));
}

#[test]
fn placeholders_may_stand_anywhere_and_must_fit_when_the_task_is_started() {
    let mut config = small();
    config["Priority"] = json!("${priority}");
    config["JobSpecs"][0]["PodCount"] = json!("${nodes}");
    config["JobSpecs"][0]["EcsSpec"] = json!("ecs.${size}");
    config["JobType"] = json!("${type}");
    let line =
        shell("dlc submit pytorchjob --command='t ${lr}' --name=m-${lr} --job_max_running_time_minutes=${m}");
    assert_eq!(check_config(&config, &[shell("t ${lr}")], "run.dlc", &no_files), []);
    config.as_object_mut().unwrap().remove("JobType");
    assert_eq!(check_config(&config, &[line], "run.dlc", &no_files), []);
    config["Priority"] = json!("many");
    config["JobType"] = json!("PyTorchJob");
    let errors = Body::new(&order(shell("t"), config), "run.dlc", &no_files, &[]).unwrap_err();
    assert_eq!(paths(&errors), ["E0500 run.dlc.Priority", "E0500 run.dlc.JobSpecs[0].PodCount"]);
}

#[test]
fn a_variable_is_given_once() {
    let mut config = small();
    config["Envs"] = json!({"SEED": "8"});
    let errors = Body::new(&order(shell("t"), config.clone()), "run.dlc", &no_files, &[]).unwrap_err();
    assert_eq!(paths(&errors), ["E0510 run.dlc.env.SEED"]);
    config["Envs"] = json!({"SEED": "7", "PYTHONUNBUFFERED": "0"});
    assert_eq!(body(&order(shell("t"), config))["Envs"]["PYTHONUNBUFFERED"], "0");
}

#[test]
fn a_list_of_words_is_quoted_for_the_shell_of_the_node() {
    let words = ["python3", "train.py", "--name=it's $HOME"].map(str::to_owned).to_vec();
    let order = order(CommandLine::Args(words), small());
    let made = body(&order);
    assert_eq!(made["UserCommand"], with_setup(&order, r"python3 train.py '--name=it'\''s $HOME'"));
}

#[test]
fn a_request_that_is_too_large_is_never_sent() {
    let long = |count: usize| order(shell(&"x".repeat(count)), small());
    let most = MAX_BODY_BYTES - body(&long(1)).to_string().len() + 1;
    assert_eq!(body(&long(most)).to_string().len(), MAX_BODY_BYTES);
    let errors = Body::new(&long(most + 1), "run.dlc", &no_files, &[]).unwrap_err();
    assert_eq!(paths(&errors), ["E0520 run.dlc"]);
    assert!(errors[0].message.contains("64513 bytes"), "{errors:?}");
}

#[test]
fn secrets_are_put_in_only_where_the_request_is_sent() {
    let mut config = small();
    config["JobSpecs"][0]["ImageConfig"] = json!({"Username": "me", "Password": "env:REGISTRY_PASSWORD"});
    let (_, body) = Body::new(&order(shell("t"), config), "run.dlc", &no_files, &[]).unwrap();
    let known = |name: &str| (name == "REGISTRY_PASSWORD").then(|| "planted-hunter2".to_owned());
    let sent = body.to_send("run.dlc", &known).unwrap();
    let json: Value = serde_json::from_slice(sent.expose()).unwrap();
    assert_eq!(json["JobSpecs"][0]["ImageConfig"]["Password"], "planted-hunter2");
    assert!(!format!("{body:?}{}{sent:?}", body.shown()).contains("planted"));
    let missing = body.to_send("run.dlc", &|_| None).unwrap_err();
    assert_eq!(
        (missing.code, missing.path.as_str()),
        (codes::NO_SECRET, "run.dlc.JobSpecs[0].ImageConfig.Password")
    );
}

#[test]
fn the_same_task_always_has_the_same_bytes() {
    let send = |config: Value| {
        let (_, body) = Body::new(&order(shell("t"), config), "run.dlc", &no_files, &[]).unwrap();
        body.to_send("run.dlc", &|_| None).unwrap().expose().clone()
    };
    let mut turned = Map::new();
    for (key, value) in small().as_object().unwrap().iter().rev() {
        turned.insert(key.clone(), value.clone());
    }
    assert_eq!(send(small()), send(Value::Object(turned)));
}

#[test]
fn a_metric_in_a_file_needs_an_address() {
    use engine::spec::MetricSource;
    let json = |file: &str| MetricSource::Json { file: file.to_owned(), keys: vec!["acc".to_owned()] };
    let dir = MetricSource::Summary { dir: "/mnt/logs".to_owned(), tags: vec!["acc".to_owned()] };
    let stdout = MetricSource::Stdout { patterns: vec!["(x)".to_owned()], task: None, file: None };
    for (metric, expected) in [
        (MetricSource::Report, None),
        (stdout, None),
        (dir, Some("E0503 metric.summary")),
        (json("out.json"), Some("E0503 metric.json")),
        (json("oss://bucket/${trial_id}/out.json"), None),
        (json("${place}"), None),
        (json("oss://bucket/../out.json"), Some("E0540 metric.json")),
        (json("ftp://host/out.json"), Some("E0540 metric.json")),
    ] {
        let errors = paths(&super::config::check_metric(&metric));
        assert_eq!(errors, expected.map(str::to_owned).into_iter().collect::<Vec<_>>(), "{metric:?}");
    }
}
