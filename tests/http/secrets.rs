//! Secrets in what comes over the wire: used where they have a use, and nowhere to be seen, whatever else is wrong.

use crate::client::Client;
use crate::daemon::{Answer, Daemon};
use crate::native::by_clients;
use crate::official;
use crate::support::{Lab, until, with};
use crate::users::{ADMIN, BEN, CARL, holding, with_users};
use serde_json::{Value, json};
use simulators::dlc::Simulator;
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

const EXPERIMENT: &str = "/api/automl/v1/hpo/experiment";
/// A key of a temporary identity, and a lasting one.
const FIRST: (&str, &str, &str) = ("STS.planted0one", "planted-first-secret", "planted-first-token");
const SECOND: (&str, &str) = ("LTAIplanted0two", "planted-second-secret");

/// Jobs that print a score within a moment, for those with these keys.
fn cloud(running_ms: u64) -> Simulator {
    let script = json!({
        "accounts": [
            {"access_key_id": FIRST.0, "access_key_secret": FIRST.1, "security_token": FIRST.2},
            {"access_key_id": SECOND.0, "access_key_secret": SECOND.1},
        ],
        "life": {
            "phases": [{"status": "Running", "ms": running_ms}, {"status": "Succeeded"}],
            "log": [{"text": "score={n}", "times": 2, "every_ms": running_ms / 4}],
        },
    });
    Simulator::anywhere(serde_json::from_value(script).unwrap()).unwrap()
}

/// A daemon without credentials of its own, which logs all there is to log.
pub fn serve(lab: &Lab, more: &[&str]) -> Daemon {
    let mut args = vec!["serve", "--listen", "127.0.0.1:0", "--json"];
    args.extend(more);
    let mut command = lab.command(&args);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy().to_lowercase();
        if text.starts_with("alibaba_cloud") || text.starts_with("odps_") || text.ends_with("proxy") {
            command.env_remove(name);
        }
    }
    command.env("HOME", lab.dir()).env("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true");
    command.env("RETRIAL_POLL_SECONDS", "0.05").env("RETRIAL_CALLS_PER_SECOND", "1000");
    command.env("RETRIAL_LOG", "trace");
    Daemon::begin(lab, command)
}

/// A configuration of PAI for jobs of this cloud.
pub fn configuration(cloud: &Simulator, trials: u32, more: Value) -> Value {
    let job = "dlc submit pytorchjob --name=t_${exp_id}_${trial_id} --command \"train ${x}\" --workers=1 \
               --worker_image=i --worker_spec=ecs.g6.large --workspace_id=10001";
    let configuration = json!({
        "platform_config": {"name": "DLC", "cmd": [job]},
        "metric_config": {
            "metric_type": "stdout", "metric_source": ["cmd1"], "final_mode": "final", "metric_dict": {"score=([0-9]+)": 1},
        },
        "search_space": {"${x}": {"_type": "choice", "_value": [1, 2, 3, 4, 5, 6]}},
        "yml_config": {"trial_concurrency": 1, "max_trial_number": trials},
        "dlc_config": {"region": "cn-hangzhou", "endpoint": cloud.address().to_string(), "protocol": "http"},
    });
    with(configuration, more)
}

pub fn spec_of(client: &mut Client, id: &str) -> Value {
    client.get(&format!("/v1/experiments/{id}"))["spec"].clone()
}

fn shown(client: &mut Client, id: &str) -> Value {
    client.get(&format!("{EXPERIMENT}/{id}"))["HpoExperimentConfiguration"].clone()
}

fn until_finished(client: &mut Client, id: &str) {
    until(&format!("the end of {id}"), || {
        let found = client.get(&format!("{EXPERIMENT}/{id}"));
        assert!(found["Status"] != "FAILED" && found["Status"] != "PAUSED", "{found}");
        (found["Status"] == "FINISHED").then_some(())
    });
}

/// A robot that takes all messages; gives the paths at which they came.
fn robot() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let told = Arc::new(Mutex::new(Vec::new()));
    let paths = Arc::clone(&told);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = vec![0; 64 << 10];
            let length = stream.read(&mut request).unwrap_or(0);
            let text = String::from_utf8_lossy(&request[..length]).into_owned();
            paths.lock().unwrap().push(text.split(' ').nth(1).unwrap_or_default().to_owned());
            let said = r#"{"errcode":0,"errmsg":"ok"}"#;
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{said}",
                said.len()
            );
        }
    });
    (address, told)
}

/// All that a daemon gives of an experiment, and of everything.
fn told_of(client: &mut Client, id: &str) -> Vec<Answer> {
    let mut paths = vec![
        "/metrics".to_owned(),
        "/v1/experiments".to_owned(),
        format!("{EXPERIMENT}s?IncludeConfigData=true"),
    ];
    for part in ["", "/trials", "/best", "/importance", "/trials/0", "/trials/0/logs"] {
        paths.push(format!("/v1/experiments/{id}{part}"));
    }
    for part in [
        "",
        "/logs",
        "/trials",
        "/trial/0",
        "/trial/0/logs?LogName=stdout",
        "/trial/0/logs",
        "/trial/0/commands",
    ] {
        paths.push(format!("{EXPERIMENT}/{id}{part}"));
    }
    paths.iter().map(|path| client.send("GET", path, &Value::Null)).collect()
}

/// Ends the daemon and finds the word neither in its log nor in its store, its exports and the store's history.
fn nowhere(lab: &Lab, daemon: Daemon, word: &str) {
    let log = daemon.end();
    assert!(!log.contains(word), "{log}");
    assert_eq!(holding(&lab.store(), word), Vec::<String>::new());
    let archive = lab.file("archive");
    lab.expect(0, &["audit", "export", archive.to_str().unwrap()]);
    lab.expect(0, &["audit", "verify"]);
    let mut seen = vec![String::from_utf8_lossy(&std::fs::read(&archive).unwrap()).into_owned()];
    for found in lab.json(&["ls"]).as_array().unwrap() {
        let id = found["experiment"].as_str().unwrap();
        let export = lab.file("export.json");
        lab.expect(0, &["export", id, "-o", export.to_str().unwrap()]);
        seen.push(std::fs::read_to_string(&export).unwrap());
        seen.push(lab.expect(0, &["events", id, "--json"]).to_string());
        seen.push(lab.expect(0, &["show", id]).to_string());
    }
    assert!(seen.iter().all(|text| !text.contains(word)), "{seen:?}");
}

#[test]
fn the_keys_of_a_configuration_are_used_kept_through_updates_and_replaced() {
    let (lab, cloud, (robot, told)) = (Lab::new(), cloud(200), robot());
    let daemon = serve(&lab, &["--no-local"]);
    let mut client = Client::of(&daemon);
    let keys = json!({
        "dlc_config": {"access_id": FIRST.0, "access_key": FIRST.1, "security_token": FIRST.2},
        "monitor_config": {"url": format!("http://{robot}/robot/send?access_token=planted-token"), "keyword": "monitor"},
        // Of no use on DLC.
        "oss_config": {"accessKeyID": "planted-oss", "accessKeySecret": "planted-oss", "endpoint": "http://127.0.0.1:9"},
    });
    let given = configuration(&cloud, 2, keys);
    let request = json!({"Name": "a", "HpoExperimentConfiguration": given});
    let made = client.post(EXPERIMENT, &request);
    assert_eq!(made["Detail"]["Unused"], json!({"oss_config": "its credentials are not used"}));
    let id = made["ExperimentId"].as_str().unwrap().to_owned();
    let echo = shown(&mut client, &id);
    let masked = with(
        given,
        json!({
            "dlc_config": {"access_id": "****", "access_key": "****", "security_token": "****"},
            "monitor_config": {"url": format!("http://{robot}/****")},
            "oss_config": {"accessKeyID": "****", "accessKeySecret": "****"},
        }),
    );
    assert_eq!(echo, masked);
    let before = spec_of(&mut client, &id);
    let named = before["run"]["dlc"]["credential"].as_str().unwrap().to_owned();
    assert!(named.starts_with("secret:pai-"), "{before}");
    until_finished(&mut client, &id);
    until("a message of the robot", || (!told.lock().unwrap().is_empty()).then_some(()));
    assert_eq!(told.lock().unwrap()[0].split('&').next(), Some("/robot/send?access_token=planted-token"));

    // What was read is sent again with more trials: the key that is kept is used on.
    let update = format!("{EXPERIMENT}/{id}/update");
    let mut again = echo;
    again["yml_config"]["max_trial_number"] = json!(3);
    let answer = client.json("PUT", &update, &json!({"HpoExperimentConfiguration": again}));
    assert_eq!(answer["Detail"]["Unused"], json!({"oss_config": "its credentials are not used"}));
    let spec = spec_of(&mut client, &id);
    assert_eq!((&spec["run"], &spec["notify"]), (&before["run"], &before["notify"]));
    assert_eq!(shown(&mut client, &id), again);
    until_finished(&mut client, &id);
    // An update that speaks of something else changes nothing of it either.
    client.json(
        "PUT",
        &update,
        &json!({"Name": "b", "HpoExperimentConfiguration": {"yml_config": {"max_trial_number": 4}}}),
    );
    assert_eq!(spec_of(&mut client, &id)["run"], before["run"]);
    // A new key takes its place, and is used.
    let anew = json!({"dlc_config": {"access_id": SECOND.0, "access_key": SECOND.1}});
    let more = with(anew, json!({"yml_config": {"max_trial_number": 6}}));
    client.json("PUT", &update, &json!({"HpoExperimentConfiguration": more}));
    let replaced = spec_of(&mut client, &id)["run"]["dlc"]["credential"].clone();
    assert!(replaced != named && replaced.as_str().unwrap().starts_with("secret:pai-"), "{replaced}");
    assert_eq!(shown(&mut client, &id)["dlc_config"]["access_key"], "****");
    until_finished(&mut client, &id);
    // Half of a key, and a mask in another experiment, are told.
    for (method, path, wrong) in [
        ("PUT", &*update, json!({"dlc_config": {"access_key": "planted-half"}})),
        ("POST", EXPERIMENT, again),
    ] {
        let refused = client.send(method, path, &json!({"HpoExperimentConfiguration": wrong}));
        assert!(refused.status == 400 && refused.body.contains("in place of a secret"), "{refused:?}");
        assert!(!refused.body.contains("planted"), "{refused:?}");
    }
    // It is cloned and its trials are tried again with the names.
    let clone = client.post(&format!("/v1/experiments/{id}/clone"), &json!({"name": "c"}));
    until_finished(&mut client, clone["experiment"].as_str().unwrap());
    let point = json!({"TrialHyperParameters": "{\"${x}\": 6}"});
    let _ = client.send("PUT", &format!("{EXPERIMENT}/{id}/restart_trials"), &point);

    for answer in told_of(&mut client, &id) {
        assert!(!format!("{answer:?}").contains("planted"), "{answer:?}");
    }
    let mut events = Client::of(&daemon).follow("/v1/events", Some(0));
    let ends = 4;
    let mut ended = 0;
    while ended < ends {
        let event = events.next().unwrap();
        ended += usize::from(event.kind == "ExperimentEnded");
        assert!(!event.data.to_string().contains("planted"), "{event:?}");
    }
    assert!(cloud.jobs(<[_]>::len) >= 6);
    assert_eq!(lab.json(&["secret", "ls"]).as_array().map(Vec::len), Some(3));
    nowhere(&lab, daemon, "planted");
}

#[test]
fn the_official_sdk_sends_keys_that_are_used_and_sends_back_what_it_has_read() {
    let Some(python) = official::python("RETRIAL_PAI_SDK_PYTHON", "the official SDK of PAI AutoML") else {
        return;
    };
    let (lab, cloud) = (Lab::new(), cloud(100));
    let daemon = serve(&lab, &["--no-local"]);
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/http/pai_secrets.py");
    let address = cloud.address().to_string();
    let arguments = [daemon.address(), &address, SECOND.0, SECOND.1].map(AsRef::as_ref);
    official::run(&python, program, &arguments);
    assert_eq!(cloud.jobs(<[_]>::len), 2);
    nowhere(&lab, daemon, "planted");
}

/// Every field that holds a secret in a configuration of PAI.
fn everywhere_in_pai() -> Value {
    json!({
        "oss_config": {"accessKeyID": "planted-1", "accessKeySecret": "planted-2", "security_token": "planted-3"},
        "odps_config": {"access_id": "planted-4", "access_key": "planted-5", "sts_token": "planted-6"},
        "dlc_config": {"access_id": "planted-7", "access_key": "planted-8", "credential": "planted-9"},
        "ts_config": {"access_key_id": "planted-10", "access_key_secret": "planted-11"},
        "paiflow_config": {"access_key_id": "planted-12", "access_key_secret": "planted-13"},
        "monitor_config": {"url": "https://oapi.dingtalk.com/robot/send?access_token=planted-14"},
    })
}

/// Wrong in many ways: of each there is one configuration.
fn wrong(good: &Value) -> Vec<Value> {
    let mut all = Vec::new();
    for (section, fields) in everywhere_in_pai().as_object().unwrap() {
        for value in [json!("planted"), json!(["planted"]), json!([{"access_key": "planted"}])] {
            all.push(with(good.clone(), json!({section: value})));
        }
        for field in fields.as_object().unwrap().keys() {
            for value in [
                json!(["planted"]),
                json!({"x": "planted"}),
                json!("planted-1\u{7}\n planted"),
                json!("secret:/planted"),
            ] {
                all.push(with(
                    good.clone(),
                    json!({section: {field: value}, "yml_config": {"trial_concurrency": -1}}),
                ));
            }
            let beside = json!({section: {"surplus": 1, field: "planted"}, "search_space": 7});
            all.push(with(good.clone(), beside));
        }
    }
    for change in [
        json!({"platform_config": {"name": "paiflow"}}),
        json!({"platform_config": null}),
        json!({"metric_config": {"metric_type": "nonsense"}}),
        json!({"monitor_config": {"surplus": 1}}),
        json!({"dlc_config": {"access_key": "x".repeat(70_000) + "planted"}}),
    ] {
        all.push(with(good.clone(), change));
    }
    all
}

#[test]
fn a_secret_planted_in_any_field_of_either_api_is_nowhere_even_if_the_rest_is_wrong() {
    let lab = Lab::new();
    let daemon = serve(&lab, &[]);
    let mut client = Client::of(&daemon);
    let mut told = Vec::new();
    let mut good = 0;
    for platform in ["Local", "DLC", "MaxCompute"] {
        let base = json!({
            "platform_config": {"name": platform, "cmd": ["echo score=${x}"]},
            "metric_config": {
                "metric_type": "stdout", "metric_source": ["cmd1"], "final_mode": "final", "metric_dict": {"score=([0-9]+)": 1},
            },
            "search_space": {"${x}": {"_type": "choice", "_value": [1, 2]}},
            "yml_config": {"trial_concurrency": 1, "max_trial_number": 1},
        });
        let whole = with(base, everywhere_in_pai());
        for config in std::iter::once(whole.clone()).chain(wrong(&whole)) {
            let document = json!({"Name": "lab", "HpoExperimentConfiguration": config});
            let text = document.to_string();
            let plain = config.to_string();
            for (path, body) in [
                (EXPERIMENT, text.clone()),
                // Half of it, so that it is no JSON.
                (EXPERIMENT, text[..text.rfind("planted").unwrap()].to_owned()),
                ("/v1/experiments", json!({"spec": document}).to_string()),
                ("/v1/experiments", json!({"spec": text}).to_string()),
                ("/v1/experiments", json!({"spec": plain}).to_string()),
                ("/v1/experiments", json!({"spec": format!("{text}\n- {{{plain}")}).to_string()),
                ("/v1/experiments", json!({"spec": document, "labels": text}).to_string()),
                ("/v1/experiments", text.clone()),
                ("/v1/experiments", json!(text).to_string()),
            ] {
                let answer = client.try_send("POST", path, &[], &body).unwrap();
                good += usize::from(answer.status < 300);
                told.push(answer);
            }
        }
    }
    assert!(good > 0 && told.len() > 1_000, "{good} of {}", told.len());
    // The native form: what is plain there is refused.
    let native = |changes: Value| with(by_clients("lab", 1), changes);
    let dlc = |changes: Value| {
        let run = with(json!({"command": "train", "region": "cn-hangzhou"}), changes);
        native(json!({"metric": {"stdout": "score=([0-9]+)"}, "run": {"dlc": run}}))
    };
    let url = "https://oapi.dingtalk.com/robot/send?access_token=planted";
    for spec in [
        native(json!({"notify": {"dingtalk": url}})),
        native(json!({"notify": {"webhook": url}})),
        native(json!({"notify": {"webhook": {"url": "http://127.0.0.1:9/", "secret": "planted"}}})),
        native(json!({"notify": {"dingtalk": {"url": "secret:robot", "secret": "planted"}}})),
        native(json!({"notify": {"dingtalk": {"url": ["planted"], "secret": {"x": "planted"}}}})),
        dlc(json!({"credential": "LTAI5tplanted0000"})),
        dlc(json!({"credential": {"role_arn": "acs:ram::1:role/x", "key": "planted"}})),
        dlc(json!({"credential": {"access_key_id": "planted", "access_key_secret": "planted"}})),
        dlc(
            json!({"JobSpecs": [{"Type": "Worker", "Image": "i", "ImageConfig": {"Password": "planted", "Auth": "planted"}}]}),
        ),
        dlc(
            json!({"command": "dlc submit pytorchjob --access_id=planted --access_key=planted --name=n --command x"}),
        ),
        native(json!({"metric": {"table": "SELECT 1", "key": "score"}, "run": {"maxcompute": {
            "tasks": ["SELECT 1"], "project": "p", "credential": {"access_key_secret": "planted"},
        }}})),
    ] {
        for body in [
            json!({"spec": spec}),
            json!({"spec": spec.to_string()}),
            json!({"spec": spec.to_string() + "}"}),
        ] {
            let answer = client.send("POST", "/v1/experiments", &body);
            assert_eq!(answer.status, 422, "{spec}: {answer:?}");
            told.push(answer);
        }
    }
    let leaks: BTreeSet<&str> =
        told.iter().map(|answer| answer.body.as_str()).filter(|body| body.contains("planted")).collect();
    assert!(leaks.is_empty(), "{leaks:#?}");
    for found in client.get("/v1/experiments?limit=1000")["experiments"].as_array().unwrap() {
        let id = found["experiment"].as_str().unwrap();
        for answer in [
            client.send("GET", &format!("/v1/experiments/{id}"), &Value::Null),
            client.send("GET", &format!("{EXPERIMENT}/{id}"), &Value::Null),
        ] {
            assert!(!answer.body.contains("planted"), "{answer:?}");
        }
        client.send("POST", &format!("/v1/experiments/{id}/stop"), &Value::Null);
    }
    nowhere(&lab, daemon, "planted");
}

#[test]
fn nothing_is_kept_of_what_is_refused() {
    let (lab, cloud) = (Lab::new(), cloud(100));
    let daemon = serve(&lab, &["--no-local"]);
    let mut client = Client::of(&daemon);
    let keys = json!({
        "dlc_config": {"access_id": FIRST.0, "access_key": FIRST.1},
        "monitor_config": {"url": "http://127.0.0.1:9/robot/send?access_token=planted"},
    });
    let good = configuration(&cloud, 1, keys);
    for wrong in [
        json!({"metric_config": {"final_mode": null}}),
        json!({"search_space": null}),
        json!({"platform_config": {"cmd": ["dlc submit"]}}),
    ] {
        let wrong = json!({"HpoExperimentConfiguration": with(good.clone(), wrong)});
        assert_eq!(client.send("POST", EXPERIMENT, &wrong).status, 400);
        client.refused(
            422,
            "POST",
            "/v1/experiments",
            &json!({"spec": with(wrong, json!({
                "HpoExperimentConfiguration": {"yml_config": {"tuner": {"name": "nonsense"}}},
            }))}),
        );
    }
    // The document is right and the engine refuses it.
    let labels = json!({"Tag": [{"Key": "k", "Value": "x".repeat(70_000)}]});
    let request = with(json!({"HpoExperimentConfiguration": good}), labels);
    assert_eq!(client.send("POST", EXPERIMENT, &request).status, 400);
    assert_eq!(lab.json(&["secret", "ls"]), json!([]));
    nowhere(&lab, daemon, "planted");
}

#[test]
fn only_what_somebody_may_name_is_named() {
    let lab = Lab::new();
    let daemon = with_users(&lab, "info");
    let with_token = |token: &str| Client::with_token(&daemon, token);
    let (mut ann, mut ben, mut carl) = (with_token(ADMIN), with_token(BEN), with_token(CARL));
    let named = |credential: &Value| {
        let run = json!({
            "command": "train", "endpoint": "http://127.0.0.1:9", "workspace_id": "1", "JobType": "PyTorchJob",
            "JobSpecs": [{"Type": "Worker", "Image": "i", "EcsSpec": "ecs.g6.large"}], "credential": credential,
        });
        let spec = json!({"metric": {"stdout": "score=([0-9]+)"}, "run": {"dlc": run}, "budget": {"concurrency": 1}});
        json!({"spec": with(by_clients("lab", 1), spec)})
    };
    let role = json!({"role_arn": "acs:ram::1:role/tuner", "key": "secret:team-key"});
    for (credential, of_ben) in [
        (json!("secret:team-key"), true),
        (json!("secret:other"), false),
        (json!("prod"), true),
        (json!("test"), false),
        (role, false),
        (json!("${kind}"), false),
    ] {
        let body = named(&credential);
        assert_eq!(ann.send("POST", "/v1/experiments", &body).status, 201, "{credential}");
        assert_eq!(
            ben.send("POST", "/v1/experiments", &body).status,
            if of_ben { 201 } else { 403 },
            "{credential}"
        );
        let problem = carl.refused(403, "POST", "/v1/experiments", &body);
        assert_eq!(problem["code"], "E0632", "{problem}");
    }
    let robot = json!({"spec": with(by_clients("lab", 1), json!({"notify": {"dingtalk": "secret:robot"}}))});
    carl.refused(403, "POST", "/v1/experiments", &robot);

    // What came with somebody's configuration is theirs.
    let cloud = cloud(100);
    let keys =
        json!({"dlc_config": {"access_id": FIRST.0, "access_key": FIRST.1, "security_token": FIRST.2}});
    let request =
        json!({"Accessibility": "PUBLIC", "HpoExperimentConfiguration": configuration(&cloud, 1, keys)});
    let id = ben.post(EXPERIMENT, &request)["ExperimentId"].as_str().unwrap().to_owned();
    let spec = spec_of(&mut carl, &id);
    let clone = format!("/v1/experiments/{id}/clone");
    carl.refused(403, "POST", &clone, &json!({}));
    carl.refused(403, "POST", "/v1/experiments", &json!({"spec": spec}));
    let own = carl.create(&by_clients("own", 1));
    let taken = json!({"spec": with(by_clients("own", 1), json!({"notify": {"webhook": spec["run"]["dlc"]["credential"]}}))});
    carl.refused(403, "PUT", &format!("/v1/experiments/{own}"), &taken);
    let monitored = with(
        request.clone(),
        json!({"HpoExperimentConfiguration": {"monitor_config": {"url": "secret:robot"}}}),
    );
    let refused = carl.send("POST", EXPERIMENT, &monitored);
    assert_eq!((refused.status, &refused.json()["Code"]), (403, &json!("INVALID_USER_OR_EXP")));
    ben.post(&clone, &json!({}));
    let again = json!({"HpoExperimentConfiguration": with(shown(&mut ben, &id), json!({"yml_config": {"max_trial_number": 2}}))});
    ben.json("PUT", &format!("{EXPERIMENT}/{id}/update"), &again);
    // Whoever has the key itself has it.
    carl.post(EXPERIMENT, &request);
    carl.post(&clone, &json!({}));
}
