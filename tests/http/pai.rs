//! The API of PAI `AutoML`. Its official SDK is a client here, with users and without.
//!
//! Needs a Python with what `requirements.txt` lists, named by `RETRIAL_PAI_SDK_PYTHON`. Without it those tests are skipped,
//! loudly; `RETRIAL_NO_SKIP=1` makes that a failure.

use crate::daemon::Daemon;
use crate::official;
use crate::support::{Lab, experiment, until, wait_for, with};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

/// Those whom the Python program knows.
const USERS: &str = r#"
[[user]]
name = "ann"
role = "admin"
access_key_id = "LTAI-ann"
access_key_secret = "the-secret-of-ann"

[[user]]
name = "bob"
role = "user"
access_key_id = "LTAI-bob"
access_key_secret = "the-secret-of-bob"

[[user]]
name = "eve"
role = "viewer"
access_key_id = "LTAI-eve"
access_key_secret = "the-secret-of-eve"

[[user]]
name = "carl"
role = "user"
token = "the-token-of-carl"
"#;
const EXPERIMENT: &str = "/api/automl/v1/hpo/experiment";

fn official_sdk(mode: &str, arguments: impl Fn(&Lab) -> Vec<String>) {
    let Some(python) = official::python("RETRIAL_PAI_SDK_PYTHON", "the official SDK of PAI AutoML") else {
        return;
    };
    let lab = Lab::new();
    let arguments = arguments(&lab);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let daemon = Daemon::start(&lab, &arguments);
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/http/pai_operations.py");
    official::run(&python, program, &[daemon.address().as_ref(), mode.as_ref()]);
    let told = daemon.end();
    assert!(!told.contains("planted"), "{told}");
    none_is_kept(&lab, "planted");
}

/// No file of the store has this text, and no record has it.
fn none_is_kept(lab: &Lab, secret: &str) {
    let mut folders = vec![lab.store()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let bytes = std::fs::read(&path).unwrap_or_default();
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{} has a secret", path.display());
        }
    }
    for found in lab.json(&["ls"]).as_array().unwrap() {
        let id = found["experiment"].as_str().unwrap();
        let events = lab.expect(0, &["events", id, "--json"]).out;
        assert!(events.contains("ExperimentCreated") && !events.contains(secret), "{events}");
    }
}

#[test]
fn the_official_sdk_is_content_without_users() {
    official_sdk("open", |_| Vec::new());
}

#[test]
fn the_official_sdk_is_content_with_users() {
    official_sdk("users", |lab| {
        let path = lab.write("users.toml", USERS);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        vec!["--access".to_owned(), path]
    });
}

/// A request that creates an experiment of two trials.
fn creation(command: &str, more: Value) -> Value {
    let configuration = with(
        json!({
            "platform_config": {"name": "Local", "cmd": [command]},
            "metric_config": {
                "metric_type": "stdout", "metric_source": ["cmd1"], "final_mode": "final", "metric_dict": {"score=([0-9]+)": 1},
            },
            "search_space": {"${x}": {"_type": "choice", "_value": [1, 2]}},
            "yml_config": {"trial_concurrency": 1, "max_trial_number": 2},
        }),
        more,
    );
    json!({"Name": "a", "HpoExperimentConfiguration": configuration})
}

fn create(daemon: &Daemon, request: &Value) -> String {
    daemon.json("POST", EXPERIMENT, request)["ExperimentId"].as_str().unwrap().to_owned()
}

fn get(daemon: &Daemon, id: &str) -> Value {
    daemon.json("GET", &format!("{EXPERIMENT}/{id}"), &Value::Null)
}

fn until_status(daemon: &Daemon, id: &str, status: &str) -> Value {
    until(&format!("{status} of {id}"), || Some(get(daemon, id)).filter(|shown| shown["Status"] == status))
}

#[test]
fn secrets_are_neither_kept_nor_told_nor_logged() {
    let lab = Lab::new();
    let daemon = Daemon::start(&lab, &["-v"]);
    let given = json!({
        "odps_config": {"access_id": "planted-1", "access_key": "planted-2", "sts_token": "planted-3"},
        "oss_config": {"accessKeyID": "planted-4", "accessKeySecret": "planted-5"},
        "monitor_config": {"url": "https://oapi.dingtalk.com/robot/send?access_token=planted-6", "keyword": "monitor"},
    });
    let answer = daemon.json("POST", EXPERIMENT, &creation("echo score=${x}", given.clone()));
    let unused = answer["Detail"]["Unused"].as_object().unwrap();
    assert_eq!(unused.keys().collect::<Vec<_>>(), ["oss_config", "odps_config"]);
    let id = answer["ExperimentId"].as_str().unwrap();
    let shown = until_status(&daemon, id, "FINISHED");
    assert_eq!(shown["HpoExperimentConfiguration"]["odps_config"]["sts_token"], "****");
    let native = daemon.json("GET", &format!("/v1/experiments/{id}"), &Value::Null);
    // What is wrong beside them is told, and they are not.
    for wrong in [
        json!({"odps_config": {"access_key": ["planted"]}, "search_space": 7}),
        json!({"oss_config": "planted"}),
    ] {
        let wrong = creation("echo", with(given.clone(), wrong));
        let refused = daemon.send("POST", EXPERIMENT, &[], &wrong.to_string());
        assert_eq!(refused.status, 400);
        assert!(!refused.body.contains("planted"), "{refused:?}");
    }
    let refused = daemon.send("POST", EXPERIMENT, &[], r#"{"Name": "planted", "#);
    assert!(refused.status == 400 && !refused.body.contains("planted"), "{refused:?}");
    assert!(![&shown, &native].iter().any(|shown| shown.to_string().contains("planted")), "{shown} {native}");
    assert!(!daemon.end().contains("planted"));
    none_is_kept(&lab, "planted");
}

#[test]
fn a_secret_in_a_command_is_used_not_shown_and_survives_an_update() {
    let lab = Lab::new();
    let daemon = Daemon::start(&lab, &[]);
    let gate = lab.file("gate");
    let wait = format!("while [ ! -e {} ]; do sleep 0.02; done; echo score=${{x}}", gate.display());
    let id = create(&daemon, &creation(&format!("{wait} --token hunter2hunter2"), json!({})));
    let shown = get(&daemon, &id);
    let masked = format!("{wait} --token ****");
    assert_eq!(shown["HpoExperimentConfiguration"]["platform_config"]["cmd"], json!([masked]));
    assert!(!shown.to_string().contains("hunter2"), "{shown}");
    // A client that sends what it has read, with a change, changes nothing else.
    let mut configuration = shown["HpoExperimentConfiguration"].clone();
    configuration["yml_config"]["max_trial_number"] = json!(1);
    let update = json!({"HpoExperimentConfiguration": configuration});
    daemon.json("POST", &format!("{EXPERIMENT}/{id}/update"), &update);
    lab.open_gate("gate");
    until_status(&daemon, &id, "FINISHED");
    let log = daemon.json("GET", &format!("{EXPERIMENT}/{id}/trial/0/logs?LogName=stdout"), &Value::Null);
    assert!(log["Logs"][0].as_str().unwrap().ends_with(" --token hunter2hunter2"), "{log}");
    let commands = daemon.json("GET", &format!("{EXPERIMENT}/{id}/trial/0/commands"), &Value::Null);
    assert!(commands["Commands"][0]["Command"].as_str().unwrap().ends_with("--token ****"), "{commands}");
    // One that makes another experiment of it is told.
    let again = daemon.send(
        "POST",
        EXPERIMENT,
        &[],
        &json!({"HpoExperimentConfiguration": configuration}).to_string(),
    );
    assert!(again.status == 400 && again.body.contains("in place of a secret"), "{again:?}");
}

#[test]
fn experiments_that_were_made_in_another_way_are_shown_and_changed_as_far_as_they_can_be() {
    let lab = Lab::new();
    let daemon = Daemon::start(&lab, &[]);
    let native = |changes: Value| {
        let command =
            format!("while [ ! -e {} ]; do sleep 0.02; done; echo score=1", lab.file("gate").display());
        let spec = with(experiment(2, &command), changes);
        let made = daemon.json("POST", "/v1/experiments", &json!({"spec": spec}));
        made["experiment"].as_str().unwrap().to_owned()
    };
    let id = native(json!({}));
    let shown = get(&daemon, &id);
    assert_eq!((&shown["Accessibility"], &shown["WorkspaceId"]), (&json!("PUBLIC"), &json!("")));
    let configuration = &shown["HpoExperimentConfiguration"];
    assert_eq!(configuration["platform_config"]["name"], "Local");
    assert_eq!(configuration["search_space"]["${kind}"], json!({"_type": "choice", "_value": ["a", "b"]}));
    let trials = until("a trial", || {
        let trials = daemon.json("GET", &format!("{EXPERIMENT}/{id}/trials"), &Value::Null);
        (trials["TotalCount"] != 0).then_some(trials)
    });
    assert!(trials["Trials"][0]["Hyperparam"].as_str().unwrap().contains("\"${x}\":"), "{trials}");
    let path = format!("{EXPERIMENT}/{id}/update");
    let more = json!({"HpoExperimentConfiguration": {"yml_config": {"max_trial_number": 3}}});
    daemon.json("PUT", &path, &more);
    let changed = daemon.json("GET", &format!("/v1/experiments/{id}"), &Value::Null);
    assert_eq!((&changed["budget_trials"], &changed["concurrency"]), (&json!(3), &json!(2)));
    // What is changed beside this API is shown as it then is.
    let mut spec = changed["spec"].clone();
    spec["budget"]["trials"] = json!(4);
    daemon.json("PUT", &format!("/v1/experiments/{id}"), &json!({"spec": spec}));
    assert_eq!(get(&daemon, &id)["HpoExperimentConfiguration"]["yml_config"]["max_trial_number"], 4);

    // A setting that this API does not know is not lost by it.
    let id = native(json!({"budget": {"duration": "2h"}}));
    let path = format!("{EXPERIMENT}/{id}/update");
    let refused = daemon.send("PUT", &path, &[], &more.to_string());
    assert!(refused.status == 400 && refused.body.contains("does not know"), "{refused:?}");
    daemon.json("PUT", &path, &json!({"Name": "other", "Tag": [{"Key": "k", "Value": "v"}]}));
    let shown = get(&daemon, &id);
    assert_eq!((&shown["Name"], &shown["Tag"]), (&json!("other"), &json!([{"Key": "k", "Value": "v"}])));
    let spec = daemon.json("GET", &format!("/v1/experiments/{id}"), &Value::Null)["spec"].clone();
    assert_eq!(spec["budget"]["duration"], "2h");
    daemon.json("PUT", &path, &json!({"Tag": []}));
    assert_eq!(get(&daemon, &id)["Tag"], json!([]));
}

#[test]
fn tags_are_kept_and_found_and_bounded() {
    let lab = Lab::new();
    let daemon = Daemon::start(&lab, &[]);
    let tags = |count: usize| -> Value {
        (0..count).map(|n| json!({"Key": format!("k{n}"), "Value": format!("v{n}")})).collect()
    };
    let request = |tags: Value| {
        let mut request = creation("echo score=1", json!({}));
        request["Tag"] = tags;
        request
    };
    let id = create(&daemon, &request(tags(2)));
    assert_eq!(get(&daemon, &id)["Tag"], tags(2));
    for (query, found) in [
        ("Tag.1.Key=k1&Tag.1.Value=v1", 1),
        ("Tag.1.Key=k1&Tag.1.Value=v2", 0),
        ("Tag.1.Key=k1&Tag.2.Key=k0", 1),
        ("Tag=%5B%7B%22Key%22%3A%22k1%22%7D%5D", 1),
        ("Tag.1.Key=none", 0),
    ] {
        let listed = daemon.json("GET", &format!("{EXPERIMENT}s?{query}"), &Value::Null);
        assert_eq!(listed["TotalCount"], found, "{query}");
    }
    for wrong in [tags(21), json!("k"), json!([{"Value": "v"}]), json!(["k"])] {
        let refused = daemon.send("POST", EXPERIMENT, &[], &request(wrong).to_string());
        assert_eq!((refused.status, &refused.json()["Code"]), (400, &json!("INVALID_INPUT_PARAMS")));
    }
}

#[test]
fn answers_do_not_wait_for_a_cloud_that_does_not_answer() {
    let lab = Lab::new();
    // It takes connections and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let mut command = lab.command(&["serve", "--listen", "127.0.0.1:0", "--json"]);
    command.env("ALIBABA_CLOUD_ACCESS_KEY_ID", "LTAI").env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "secret");
    let daemon = Daemon::begin(&lab, command);
    let job = "dlc submit pytorchjob --name=t_${exp_id}_${trial_id} --command \"train ${x}\" --workers=1 \
               --worker_image=i --worker_spec=ecs.g6.large --workspace_id=1";
    let request = creation(
        job,
        json!({
            "platform_config": {"name": "DLC"}, "dlc_config": {"endpoint": endpoint, "region": "cn-hangzhou"},
        }),
    );
    let began = Instant::now();
    let id = create(&daemon, &request);
    until("a call of the cloud", || (get(&daemon, &id)["Status"] == "RUNNING").then_some(()));
    let stopped = daemon.json("PUT", &format!("{EXPERIMENT}/{id}/stop"), &Value::Null);
    assert_eq!(stopped["ExpId"], json!(id));
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
}

#[test]
fn what_a_restart_finds_is_what_was_told() {
    let lab = Lab::new();
    let daemon = Daemon::start(&lab, &[]);
    let request = creation(
        &format!(
            "{}; echo score=${{x}}",
            wait_for("gate").replace("${spec_dir}", &lab.dir().display().to_string())
        ),
        json!({}),
    );
    let id = create(&daemon, &request);
    let before = until("a running trial", || {
        Some(get(&daemon, &id)).filter(|shown| shown["TrialStatus"]["RUNNING"] == "1")
    });
    daemon.end();
    let daemon = Daemon::start(&lab, &[]);
    let mut after = get(&daemon, &id);
    for changes in ["RequestId", "GmtModifiedTime"] {
        after[changes] = before[changes].clone();
    }
    assert_eq!(after, before);
    lab.open_gate("gate");
    assert_eq!(until_status(&daemon, &id, "FINISHED")["TrialStatus"], json!({"SUCCEEDED": "2"}));
}

#[test]
fn the_pages_of_a_log_are_the_log_while_others_and_it_grow() {
    let lab = Lab::new();
    let daemon = Daemon::start(&lab, &[]);
    let gate = lab.file("gate");
    let command = format!("while [ ! -e {} ]; do sleep 0.02; done; echo score=${{x}}", gate.display());
    let ids = [0, 1].map(|_| create(&daemon, &creation(&command, json!({}))));
    let logs = |path: &str, query: &str| {
        let told = daemon.json("GET", &format!("{EXPERIMENT}/{path}/logs?{query}"), &Value::Null);
        let lines: Vec<String> =
            told["Logs"].as_array().unwrap().iter().map(|line| line.as_str().unwrap().to_owned()).collect();
        (lines, told["TotalCount"].as_u64().unwrap())
    };
    // What is there when it begins is on the pages, in order; what comes meanwhile is behind it.
    let compare = |id: &str| -> Vec<usize> {
        let mut lengths = Vec::new();
        for (path, log) in [
            (id.to_owned(), "nnimanager.log"),
            (id.to_owned(), "dispatcher.log"),
            (format!("{id}/trial/0"), "trial.log"),
        ] {
            let (whole, total) = logs(&path, &format!("LogName={log}"));
            assert!(total > 0 && whole.len() as u64 == total, "{log}");
            let mut paged = Vec::new();
            for page in 1.. {
                let (lines, of) = logs(&path, &format!("LogName={log}&PageSize=3&PageNumber={page}"));
                assert!(of >= total, "{log}");
                if lines.is_empty() {
                    break;
                }
                paged.extend(lines);
            }
            assert!(paged.starts_with(&whole), "{log}: {paged:?} and {whole:?}");
            lengths.push(paged.len());
        }
        lengths
    };
    let before = ids.each_ref().map(|id| {
        until("a running trial", || (get(&daemon, id)["TrialStatus"]["RUNNING"] == "1").then_some(()));
        compare(id)
    });
    lab.open_gate("gate");
    for (id, before) in ids.iter().zip(before) {
        until_status(&daemon, id, "FINISHED");
        let after = compare(id);
        assert!(after.iter().zip(&before).all(|(after, before)| after > before), "{before:?}, {after:?}");
        let recorded = lab.events(id).iter().filter(|event| event["kind"] != "ExperimentLabelled").count();
        assert_eq!(after[0], recorded);
    }
}

#[test]
fn every_refusal_has_the_form_of_the_api() {
    let lab = Lab::new();
    let daemon = Daemon::start(&lab, &["--no-local"]);
    for (method, path, body, status, code) in [
        ("GET", "/nosuch123", "", 404, "INVALID_USER_OR_EXP"),
        ("GET", "/a%20b%2Fc~x/trials", "", 404, "INVALID_USER_OR_EXP"),
        ("PUT", "/aaaaaaaa/stop", "", 404, "INVALID_USER_OR_EXP"),
        ("POST", "", "[]", 400, "INVALID_INPUT_PARAMS"),
        ("POST", "", "no json", 400, "INVALID_INPUT_PARAMS"),
        ("POST", "", &creation("echo", json!({})).to_string(), 400, "INVALID_INPUT_PARAMS"),
        ("GET", "s?PageSize=x", "", 400, "INVALID_INPUT_PARAMS"),
        ("GET", "s?PageSize=1001", "", 400, "INVALID_INPUT_PARAMS"),
    ] {
        let answer = daemon.send(method, &format!("{EXPERIMENT}{path}"), &[], body);
        let told = answer.json();
        assert_eq!((answer.status, told["Code"].as_str()), (status, Some(code)), "{method} {path}: {told}");
        assert_eq!(answer.header("content-type"), "application/json");
        assert_eq!(told["RequestId"], answer.header("x-request-id"));
        assert!(!told["Message"].as_str().unwrap().is_empty());
    }
}
