//! What people are told whose trials wait for a backend that does not do its work.

use crate::client::Client;
use crate::daemon::Daemon;
use crate::native::{by_clients, until_status};
use crate::support::{Lab, Running, until};
use crate::users::{ADMIN, BEN, CARL, VIEWER, access};
use serde_json::{Value, json};
use simulators::dlc::Simulator;

const KEY: &str = "LTAISimulatedKey";
const SECRET: &str = "planted-simulated-secret";

/// An account that may do everything but this.
fn accounts(denied: &[&str]) -> Value {
    json!([{"access_key_id": KEY, "access_key_secret": SECRET, "denied": denied}])
}

fn spec(cloud: &Simulator, name: &str, trials: u32) -> Value {
    json!({
        "name": name, "space": {"x": {"uniform": [0, 1]}}, "sampler": "random", "seed": 1,
        "objective": {"metric": "score", "goal": "maximize"}, "metric": {"stdout": "score=([0-9]+)"},
        "budget": {"trials": trials, "concurrency": trials},
        "run": {"dlc": {
            "command": "train", "endpoint": format!("http://{}", cloud.address()), "workspace_id": "10001",
            "JobType": "PyTorchJob", "JobSpecs": [{"Type": "Worker", "Image": "train:1", "EcsSpec": "ecs.g6.large"}],
            "reconcile": {"wait_seconds": 0.5, "searches": 1, "pause_seconds": 0},
        }},
    })
}

/// Serves to users, with the access key of the account or with none at all.
fn serve(lab: &Lab, with_key: bool) -> Daemon {
    let mut command = lab.command(&["serve", "--listen", "127.0.0.1:0", "--json", "--access", &access(lab)]);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy().to_lowercase();
        if text.starts_with("alibaba_cloud") || text.ends_with("proxy") {
            command.env_remove(name);
        }
    }
    if with_key {
        command.env("ALIBABA_CLOUD_ACCESS_KEY_ID", KEY).env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", SECRET);
    }
    command.env("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true").env("HOME", lab.dir());
    command.env("RETRIAL_POLL_SECONDS", "0.1").env("RETRIAL_CALLS_PER_SECOND", "1000");
    Daemon::begin(lab, command)
}

/// The troubles of an experiment once so many of its tasks wait.
fn until_waiting(client: &mut Client, id: &str, tasks: u64) -> Value {
    until(&format!("{tasks} waiting tasks of {id}"), || {
        let troubles = client.get(&format!("/v1/experiments/{id}"))["troubles"].take();
        (troubles[0]["tasks"] == tasks).then_some(troubles)
    })
}

#[test]
fn whoever_may_see_an_experiment_sees_what_its_own_trials_wait_for() {
    let script = json!({"accounts": accounts(&["CreateJob"]), "life": {
        "phases": [{"status": "Running", "ms": 200}, {"status": "Succeeded"}],
        "log": [{"text": "score={n}", "times": 2, "every_ms": 50}],
    }});
    let cloud = Simulator::anywhere(serde_json::from_value(script).unwrap()).unwrap();
    let lab = Lab::new();
    let daemon = serve(&lab, true);
    let with_token = |token| Client::with_token(&daemon, token);
    let (mut ben, mut carl, mut eve) = (with_token(BEN), with_token(CARL), with_token(VIEWER));
    let hidden = json!({"spec": spec(&cloud, "hidden", 1), "labels": {"accessibility": "PRIVATE"}});
    let hidden = ben.post("/v1/experiments", &hidden)["experiment"].as_str().unwrap().to_owned();
    let id = ben.create(&spec(&cloud, "cloud", 2));
    let other = carl.create(&by_clients("other", 2));

    let troubles = until_waiting(&mut eve, &id, 2);
    let [trouble] = troubles.as_array().unwrap().as_slice() else { panic!("{troubles}") };
    assert_eq!((&trouble["backend"], &trouble["work"]), (&json!("dlc"), &json!("submit")));
    assert_eq!(trouble["what"], "takes no task now; it is tried again");
    let shown = eve.get(&format!("/v1/experiments/{id}"));
    assert!(trouble["since_ms"].as_i64() >= shown["created_ms"].as_i64(), "{shown}");
    // Why is told to admins, to its creator as the service says it, and to others not at all.
    let why = |token| with_token(token).get(&format!("/v1/experiments/{id}"))["troubles"][0]["reason"].take();
    let [whole, answered, nothing] =
        [ADMIN, BEN, VIEWER].map(|token| why(token).as_str().unwrap().to_owned());
    assert!(whole.starts_with("E0526") && whole.contains("paidlc:CreateJob"), "{whole}");
    assert_eq!((whole.lines().next(), nothing.as_str()), (Some(answered.as_str()), ""));
    assert!(!shown.to_string().contains(&hidden), "{shown}");
    assert_eq!(carl.get(&format!("/v1/experiments/{other}"))["troubles"], json!([]));
    assert_eq!(until_waiting(&mut ben, &hidden, 1).as_array().unwrap().len(), 1);
    carl.refused(404, "GET", &format!("/v1/experiments/{hidden}"), &Value::Null);
    let then = ben.get(&format!("/v1/experiments/{id}?at={}", eve.get("/readyz")["head"]));
    assert_eq!((&then["experiment"], then.get("troubles")), (&json!(id), None), "it is no history");

    let far = |args: &[&str]| {
        let mut command = lab.command(args);
        command.env_remove("RETRIAL_STORE").env("RETRIAL_TOKEN", VIEWER);
        command.env("RETRIAL_SERVER", format!("http://{}", daemon.address()));
        Running::begin(&lab, command)
    };
    let watch = far(&["watch", "cloud"]);
    let told = "the backend `dlc` takes no task now; it is tried again (2 tasks";
    for (running, why) in [(far(&["show", "cloud"]), false), (lab.start(&["show", "cloud"]), true)] {
        let done = running.end();
        let lines: Vec<&str> = done.out.lines().skip_while(|line| !line.starts_with("trouble ")).collect();
        assert!(lines[0].contains(told) && done.out.contains("paidlc:CreateJob") == why, "{done}");
    }
    for running in [far(&["show", "cloud", "--json"]), lab.start(&["show", "cloud", "--json"])] {
        assert_eq!(running.end().json()["troubles"][0]["tasks"], 2);
    }
    until("the remark", || watch.err().contains(told).then_some(()));

    // Nobody waits any more for what was stopped meanwhile.
    ben.post(&format!("/v1/experiments/{id}/trials/stop"), &json!({"trials": [0]}));
    until_waiting(&mut eve, &id, 1);
    ben.post(&format!("/v1/experiments/{hidden}/stop"), &Value::Null);
    assert_eq!(until_status(&mut ben, &hidden, "USER_CANCELED")["troubles"], json!([]));
    cloud.control("POST", "accounts", &accounts(&[])).unwrap();
    assert_eq!(until_status(&mut ben, &id, "FINISHED")["troubles"], json!([]));
    let watched = watch.end();
    assert_eq!(watched.code, Some(0), "{watched}");
    assert!(!daemon.end().contains("planted"));
}

#[test]
fn what_belongs_to_the_machine_of_the_daemon_is_told_to_admins_only() {
    let cloud = Simulator::anywhere(serde_json::from_value(json!({})).unwrap()).unwrap();
    let lab = Lab::new();
    let home = lab.dir().display().to_string();
    let daemon = serve(&lab, false);
    let with_token = |token| Client::with_token(&daemon, token);
    let id = with_token(BEN).create(&spec(&cloud, "cloud", 1));
    let [whole, own, nothing] = [ADMIN, BEN, VIEWER]
        .map(|token| until_waiting(&mut with_token(token), &id, 1)[0]["reason"].as_str().unwrap().to_owned());
    let local = [home.as_str(), "ALIBABA_CLOUD", "HOME"];
    assert!(local.iter().any(|name| whole.contains(name)), "{whole}");
    assert!(own.starts_with("E0570: ") && own.contains("admin"), "{own}");
    assert!(!local.iter().any(|name| own.contains(name)), "{own}");
    assert_eq!(nothing, "");
    let end = with_token(BEN).post(&format!("/v1/experiments/{id}/stop"), &Value::Null);
    assert_eq!(end["experiment"], id.as_str());
    daemon.end();
}
