//! Secrets that came with configurations go when nobody needs them any more.

use crate::client::Client;
use crate::daemon::Daemon;
use crate::native::until_status;
use crate::secrets::{configuration, serve, spec_of};
use crate::support::{Lab, Running, with};
use serde_json::{Value, json};
use simulators::dlc::Simulator;
use std::fs::File;
use std::path::Path;
use std::process::Stdio;

const FIRST: (&str, &str) = ("LTAIplanted1", "planted-first-secret");
const SECOND: (&str, &str) = ("LTAIplanted2", "planted-second-secret");
const THIRD: (&str, &str) = ("LTAIplanted3", "planted-third-secret");

/// A cloud that knows these keys, and whose jobs run until they are stopped.
fn cloud() -> Simulator {
    let account = |(id, secret): (&str, &str)| json!({"access_key_id": id, "access_key_secret": secret});
    let script = json!({
        "accounts": [account(FIRST), account(SECOND), account(THIRD)],
        "life": {"phases": [{"status": "Running", "ms": 600_000}, {"status": "Succeeded"}]},
    });
    Simulator::anywhere(serde_json::from_value(script).unwrap()).unwrap()
}

/// The names of what is kept.
fn kept(lab: &Lab) -> Vec<String> {
    let listed = lab.json(&["secret", "ls"]);
    listed.as_array().unwrap().iter().map(|kept| kept["name"].as_str().unwrap().to_owned()).collect()
}

/// An experiment with a key of its own that ends at once; gives its id and under which name the key is kept.
fn made(
    client: &mut Client,
    cloud: &Simulator,
    name: &str,
    key: (&str, &str),
    more: &Value,
) -> (String, String) {
    let more = with(more.clone(), json!({"dlc_config": {"access_id": key.0, "access_key": key.1}}));
    let id =
        client.create(&json!({"Name": name, "HpoExperimentConfiguration": configuration(cloud, 1, more)}));
    client.post(&format!("/v1/experiments/{id}/stop"), &Value::Null);
    until_status(client, &id, "USER_CANCELED");
    let spec = spec_of(client, &id);
    let named =
        spec["run"]["dlc"]["credential"].as_str().unwrap().strip_prefix("secret:").unwrap().to_owned();
    (id, named)
}

fn remove(client: &mut Client, id: &str) {
    client.json("DELETE", &format!("/v1/experiments/{id}"), &Value::Null);
}

fn set(lab: &Lab, name: &str, value: &str) {
    let file = lab.write("value", value);
    let mut command = lab.command(&["secret", "set", name]);
    command.stdin(Stdio::from(File::open(file).unwrap()));
    let done = Running::begin(lab, command).end();
    assert_eq!(done.code, Some(0), "{done}");
}

#[test]
fn the_key_of_a_configuration_goes_with_the_last_experiment_that_needs_it_and_what_was_set_stays() {
    let (lab, cloud) = (Lab::new(), cloud());
    let daemon = serve(&lab, &[]);
    let mut client = Client::of(&daemon);
    let robot =
        json!({"monitor_config": {"url": "http://127.0.0.1:9/robot?access_token=planted", "keyword": "k"}});
    let (a, shared) = made(&mut client, &cloud, "a", FIRST, &robot);
    let (b, same) = made(&mut client, &cloud, "b", FIRST, &json!({}));
    let (c, own) = made(&mut client, &cloud, "c", SECOND, &json!({}));
    let (d, also_set) = made(&mut client, &cloud, "d", THIRD, &json!({}));
    assert_eq!(shared, same);
    let address = spec_of(&mut client, &a)["notify"][0]["dingtalk"]["url"].clone();
    let address = address.as_str().unwrap().strip_prefix("secret:").unwrap().to_owned();
    set(&lab, "team", "planted-team");
    set(&lab, &also_set, "planted-by-hand");
    let all = [&shared, &own, &also_set, &address, "team"];
    let is_kept = |expected: &[&str]| {
        let mut expected: Vec<&str> = expected.to_vec();
        expected.sort_unstable();
        assert_eq!(kept(&lab), expected);
    };
    is_kept(&all);

    // What has ended may be made to go on: also a new daemon forgets nothing of it.
    daemon.end();
    let daemon = serve(&lab, &[]);
    let mut client = Client::of(&daemon);
    is_kept(&all);
    // Another one needs the key, and messages may wait for the robot.
    remove(&mut client, &a);
    is_kept(&all);
    lab.expect(0, &["rm", &b]);
    is_kept(&all[1..]);
    remove(&mut client, &d);
    is_kept(&all[1..]);
    assert!(!lab.store().join(format!("secrets/{also_set}.brought")).exists());
    // It comes again, and goes again when nobody serves the store.
    let (e, again) = made(&mut client, &cloud, "e", FIRST, &json!({}));
    assert_eq!(again, shared);
    is_kept(&all);
    daemon.end();
    lab.expect(0, &["rm", &e]);
    is_kept(&all[1..]);
    // The others leave for an archive.
    let left = lab.json(&["audit", "archive", "old.archive", "--ended-before", "0s"]);
    assert_eq!(left["experiments"].as_array().unwrap().len(), 5, "{left}, {c} as well");
    is_kept(&[&also_set, "team"]);

    // As after a kill just before they were forgotten.
    let secrets = lab.store().join("secrets");
    std::fs::copy(secrets.join("team.sealed"), secrets.join(format!("{own}.brought"))).unwrap();
    std::fs::write(secrets.join("leaving"), format!("{own}\n{also_set}\nteam\n")).unwrap();
    serve(&lab, &[]).end();
    is_kept(&[&also_set, "team"]);
    assert!(!secrets.join("leaving").exists());
}

/// Moves what is in a store, but for its secrets.
fn moved(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for part in std::fs::read_dir(from).unwrap() {
        let part = part.unwrap();
        if part.file_name() != "secrets" {
            std::fs::rename(part.path(), to.join(part.file_name())).unwrap();
        }
    }
}

#[test]
fn a_secret_that_no_experiment_of_the_history_has_named_is_left_alone() {
    let (lab, cloud) = (Lab::new(), cloud());
    let daemon = serve(&lab, &[]);
    let mut client = Client::of(&daemon);
    let (_, first) = made(&mut client, &cloud, "a", FIRST, &json!({}));
    let (b, second) = made(&mut client, &cloud, "b", SECOND, &json!({}));
    daemon.end();
    let lost = lab.file("lost");
    moved(&lab.store(), &lost);
    std::fs::write(lab.store().join("secrets/leaving"), format!("{first}\n")).unwrap();
    // Another experiment comes and goes meanwhile.
    let daemon = serve(&lab, &[]);
    let (other, _) = made(&mut Client::of(&daemon), &cloud, "c", THIRD, &json!({}));
    remove(&mut Client::of(&daemon), &other);
    daemon.end();
    let mut all = [first.clone(), second];
    all.sort_unstable();
    lab.expect(0, &["audit", "archive", "new.archive", "--ended-before", "0s"]);
    assert_eq!(kept(&lab), all);
    moved(&lab.store(), &lab.file("new"));
    moved(&lost, &lab.store());
    let daemon = serve(&lab, &[]);
    assert_eq!(kept(&lab), all);
    remove(&mut Client::of(&daemon), &b);
    assert_eq!(kept(&lab), [first]);
    daemon.end();
}

#[test]
fn a_key_that_an_update_replaces_goes_unless_jobs_were_begun_with_it() {
    let (lab, cloud) = (Lab::new(), cloud());
    let daemon = serve(&lab, &["--limit", "dlc=1"]);
    let mut client = Client::of(&daemon);
    let of = |name: &str, key: (&str, &str)| {
        let more = json!({"dlc_config": {"access_id": key.0, "access_key": key.1}});
        json!({"Name": name, "HpoExperimentConfiguration": configuration(&cloud, 1, more)})
    };
    let runs = client.create(&of("runs", FIRST));
    let first = kept(&lab);
    lab.until_trials(&runs, "RUNNING", 1);
    // This one waits for the other's job.
    let waits = client.create(&of("waits", SECOND));
    let second = kept(&lab).into_iter().find(|name| !first.contains(name)).unwrap();
    client.json("PUT", &format!("/v1/experiments/{waits}"), &json!({"spec": of("waits", THIRD)}));
    let rest = kept(&lab);
    assert!(rest.len() == 2 && rest.contains(&first[0]) && !rest.contains(&second), "{rest:?}");
    // A job is known by the key that it was begun with.
    client.json("PUT", &format!("/v1/experiments/{runs}"), &json!({"spec": of("runs", THIRD)}));
    client.post(&format!("/v1/experiments/{runs}/stop"), &Value::Null);
    until_status(&mut client, &runs, "USER_CANCELED");
    assert_eq!(kept(&lab), rest);
    remove(&mut client, &runs);
    assert_eq!(kept(&lab).len(), 1);
    assert!(!kept(&lab).contains(&first[0]));
    daemon.end();
}

#[test]
fn a_key_that_a_parameter_chooses_is_needed_by_who_may_choose_it() {
    let (lab, cloud) = (Lab::new(), cloud());
    let daemon = serve(&lab, &[]);
    let mut client = Client::of(&daemon);
    let (a, named) = made(&mut client, &cloud, "a", FIRST, &json!({}));
    let (_, other) = made(&mut client, &cloud, "other", SECOND, &json!({}));
    let mut spec = spec_of(&mut client, &a);
    spec["name"] = json!("b");
    spec["space"]["k"] = json!({"choice": [named, other]});
    spec["run"]["dlc"]["credential"] = json!("secret:${k}");
    let b = client.create(&spec);
    client.post(&format!("/v1/experiments/{b}/stop"), &Value::Null);
    until_status(&mut client, &b, "USER_CANCELED");
    remove(&mut client, &a);
    assert!(kept(&lab).contains(&named));
    remove(&mut client, &b);
    assert_eq!(kept(&lab), [other]);
    daemon.end();
}

#[test]
fn a_daemon_forgets_at_its_start_what_was_not_forgotten_in_time() {
    let (lab, cloud) = (Lab::new(), cloud());
    let daemon = serve(&lab, &[]);
    let mut client = Client::of(&daemon);
    let (a, named) = made(&mut client, &cloud, "a", SECOND, &json!({}));
    let (_, other) = made(&mut client, &cloud, "b", FIRST, &json!({}));
    let file = lab.store().join(format!("secrets/{named}.brought"));
    let sealed = std::fs::read(&file).unwrap();
    remove(&mut client, &a);
    assert!(!file.exists());
    // Nobody begins with a key that is not there.
    let copy = |client: &mut Client| client.send("POST", &format!("/v1/experiments/{a}/clone"), &json!({}));
    let refused = copy(&mut client);
    assert_eq!((refused.status, refused.json()["code"].clone()), (409, json!("E0641")), "{refused:?}");
    set(&lab, &named, "planted-by-hand");
    let copy = copy(&mut client).json()["experiment"].as_str().unwrap().to_owned();
    client.post(&format!("/v1/experiments/{copy}/stop"), &Value::Null);
    until_status(&mut client, &copy, "USER_CANCELED");
    remove(&mut client, &copy);
    lab.expect(0, &["secret", "rm", &named]);
    daemon.end();
    // As after a kill before it was forgotten.
    std::fs::write(&file, sealed).unwrap();
    assert!(kept(&lab).contains(&named));
    let daemon: Daemon = serve(&lab, &[]);
    assert_eq!(kept(&lab), [other]);
    let log = daemon.end();
    assert!(log.contains(&format!("the secret `{named}` is forgotten")) && !log.contains("planted"), "{log}");
}
