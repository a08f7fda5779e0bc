//! Who may do what: users and roles, private experiments, callers from elsewhere, bounds, and secrets.

use crate::client::Client;
use crate::daemon::Daemon;
use crate::native::{by_clients, gated, until_status};
use crate::support::{Lab, experiment, until, with};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// The token of an admin.
pub const ADMIN: &str = "planted-token-of-ann";
/// That of a user.
pub const BEN: &str = "planted-token-of-ben";
/// That of another one.
pub const CARL: &str = "planted-token-of-carl";
/// That of a viewer.
pub const VIEWER: &str = "planted-token-of-eve";

/// Writes the file of users. Ben may name what is his team's.
pub fn access(lab: &Lab) -> String {
    let user = |name: &str, role: &str, token: &str| {
        format!(
            "[[user]]\nname = '{name}'\nrole = '{role}'\ntoken = '{token}'\naccess_key_id = 'LTAI-{name}'\n\
             access_key_secret = 'planted-secret-of-{name}'\n"
        )
    };
    let text: String = [
        user("ann", "admin", ADMIN),
        user("ben", "user", BEN)
            + "secrets = ['team-*']\ncredentials = ['prod']\nendpoints = ['http://127.0.0.1:*']\n",
        user("carl", "user", CARL),
        user("eve", "viewer", VIEWER),
    ]
    .concat();
    let path = lab.write("users.toml", &text);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}

/// Serves to them, and logs this much.
pub fn with_users(lab: &Lab, log: &str) -> Daemon {
    let mut command = lab.command(&["serve", "--listen", "127.0.0.1:0", "--json", "--access", &access(lab)]);
    command.env("RETRIAL_LOG", log);
    Daemon::begin(lab, command)
}

/// Every operation of the document: its method, its path with something in place of what varies, and its description.
fn operations(client: &mut Client, experiment: &str) -> Vec<(String, String, Value)> {
    let document = client.get("/v1/openapi.json");
    let mut found = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let path = path.replace("{experiment}", experiment).replace("{trial}", "0");
        for (method, about) in methods.as_object().unwrap() {
            found.push((method.to_uppercase(), path.clone(), about.clone()));
        }
    }
    assert!(found.len() > 25, "{found:?}");
    found
}

#[test]
fn every_operation_is_refused_without_a_token_with_a_wrong_one_and_in_too_small_a_role() {
    let lab = Lab::new();
    let daemon = with_users(&lab, "trace");
    let mut admin = Client::with_token(&daemon, ADMIN);
    let id = admin.create(&by_clients("lab", 5));
    let (mut nobody, mut viewer) = (Client::of(&daemon), Client::with_token(&daemon, VIEWER));
    let mut ben = Client::with_token(&daemon, BEN);
    let wrong =
        ["Bearer ", "Bearer planted-token-of-anN", "bearer", "Basic YW5uOnBsYW50ZWQ=", "ACS3-HMAC-SHA256 x"];
    let before = admin.get("/readyz")["head"].clone();
    let (mut open, mut for_viewers) = (BTreeSet::new(), BTreeSet::new());
    for (method, path, about) in operations(&mut nobody, &id) {
        let streams = about["responses"]["200"]["content"].get("text/event-stream").is_some();
        let name = about["operationId"].as_str().unwrap().to_owned();
        if about.get("security").is_none() {
            assert_eq!(nobody.send(&method, &path, &Value::Null).status, 200, "{name}");
            open.insert(name);
            continue;
        }
        assert!(about["responses"].get("401").is_some() && about["responses"].get("403").is_some(), "{name}");
        let problem = nobody.refused(401, &method, &path, &json!({}));
        assert_eq!(problem["code"], "E0631", "{name}");
        for wrong in wrong {
            let told = nobody.try_send(&method, &path, &[("Authorization", wrong)], "{}").unwrap();
            assert_eq!(told.status, 401, "{name} with {wrong}");
        }
        if method == "GET" && name != "metrics" {
            if !streams {
                assert_ne!(viewer.send(&method, &path, &Value::Null).status, 403, "{name}");
            }
            for_viewers.insert(name);
            continue;
        }
        let problem = viewer.refused(403, &method, &path, &json!({}));
        assert_eq!(problem["code"], "E0632", "{name}");
        // What belongs to somebody else is looked at and not touched.
        if path.contains(&id) {
            let body = json!({
                "/queue": {"params": {"x": 0.5, "kind": "a"}}, "/tell": {"attempt": 1, "value": 1}, "/report": {"attempt": 1, "step": 1, "value": 1},
                "/renew": {"attempt": 1}, "/stop": {"trials": [0]}, "/retry": {"trials": [0]},
            });
            let ending = &path[path.rfind('/').unwrap()..];
            let body = match (&*method, ending) {
                ("PUT", _) => json!({"spec": by_clients("lab", 6)}),
                (_, ending) => body.get(ending).cloned().unwrap_or(json!({})),
            };
            if name == "cloneExperiment" {
                continue;
            }
            ben.refused(403, &method, &path, &body);
        }
    }
    assert_eq!(open, ["health", "openapi", "ready"].map(str::to_owned).into());
    assert!(for_viewers.len() >= 9, "{for_viewers:?}");
    ben.refused(403, "GET", "/metrics", &Value::Null);
    assert_eq!(admin.get("/readyz")["head"], before, "nothing was changed");
    assert_eq!(ben.get("/v1/me"), json!({"name": "ben", "role": "user"}));
    // Whom a record is from.
    let own = ben.create(&by_clients("own", 1));
    assert_eq!(lab.events(&own)[0]["actor"], "ben");
    admin.post(&format!("/v1/experiments/{own}/stop"), &Value::Null);
}

#[test]
fn a_private_experiment_is_to_others_as_if_it_were_not_there() {
    let lab = Lab::new();
    let daemon = with_users(&lab, "trace");
    let mut ben = Client::with_token(&daemon, BEN);
    let private = json!({"spec": by_clients("secret", 5), "labels": {"accessibility": "PRIVATE"}});
    let id = ben.post("/v1/experiments", &private)["experiment"].as_str().unwrap().to_owned();
    ben.post(&format!("/v1/experiments/{id}/ask"), &json!({}));
    for token in [CARL, VIEWER] {
        let mut other = Client::with_token(&daemon, token);
        let may_act = token == CARL;
        assert_eq!(other.get("/v1/experiments")["experiments"], json!([]));
        assert_eq!(other.get("/v1/experiments?q=secret&creator=ben")["experiments"], json!([]));
        for (method, path, about) in operations(&mut other, &id) {
            if !path.contains(&id) || (method != "GET" && !may_act) {
                continue;
            }
            let name = about["operationId"].as_str().unwrap();
            // The answer for what is not there is the same but for its name.
            let body = match name {
                "enqueuePoint" => json!({"params": {"x": 0.5, "kind": "a"}}),
                "stopTrials" | "retryTrials" => json!({"trials": [0]}),
                "tell" => json!({"attempt": 1, "value": 1}),
                "report" => json!({"attempt": 1, "step": 1, "value": 1}),
                "renew" => json!({"attempt": 1}),
                "updateExperiment" => json!({"spec": by_clients("secret", 6)}),
                _ if method == "GET" => Value::Null,
                _ => json!({}),
            };
            for wanted in [&id, "secret", &id[..5]] {
                let there = other.refused(404, &method, &path.replace(&id, wanted), &body).to_string();
                let absent = other.refused(404, &method, &path.replace(&id, "aaaaaaaa"), &body).to_string();
                assert_eq!(there.replace(wanted, "*"), absent.replace("aaaaaaaa", "*"), "{name}");
            }
        }
        let past = format!("/v1/experiments/{id}?at=1000");
        other.refused(404, "GET", &past, &Value::Null);
    }
    let mut carl = Client::with_token(&daemon, CARL);
    let bulk = carl.post("/v1/bulk", &json!({"do": "stop", "experiments": [id]}));
    assert_eq!(bulk["results"][0]["problem"]["status"], 404);
    // A name that somebody else uses in private hides nothing of what one may see.
    let own = carl.create(&by_clients("shared", 1));
    let newer = json!({"spec": by_clients("shared", 1), "labels": {"accessibility": "PRIVATE"}});
    let hidden = ben.post("/v1/experiments", &newer)["experiment"].as_str().unwrap().to_owned();
    assert_eq!(carl.get("/v1/experiments/shared")["experiment"], own.as_str());
    assert_eq!(ben.get("/v1/experiments/shared")["experiment"], hidden.as_str());
    // Events: of all experiments, those that one may see; an admin sees every one.
    let mut theirs = Client::with_token(&daemon, CARL).follow("/v1/events", Some(0));
    let mut all = Client::with_token(&daemon, ADMIN).follow("/v1/events", Some(0));
    ben.post(&format!("/v1/experiments/{id}/pause"), &Value::Null);
    carl.post(&format!("/v1/experiments/{own}/stop"), &Value::Null);
    let until_end = |followed: &mut crate::client::Followed| {
        let mut seen = BTreeSet::new();
        loop {
            let event = followed.next().unwrap();
            seen.insert(event.data["experiment"].as_str().unwrap().to_owned());
            if event.kind == "ExperimentEnded" {
                return seen;
            }
        }
    };
    assert_eq!(until_end(&mut theirs), [own.clone()].into());
    let seen = until_end(&mut all);
    assert!(seen.contains(&id) && seen.contains(&hidden) && seen.contains(&own), "{seen:?}");
    let mut admin = Client::with_token(&daemon, ADMIN);
    assert_eq!(admin.get(&format!("/v1/experiments/{id}"))["creator"], "ben");
}

#[test]
fn who_sees_an_experiment_is_changed_by_its_creator_and_by_admins() {
    let lab = Lab::new();
    let daemon = with_users(&lab, "info");
    let with_token = |token: &str| Client::with_token(&daemon, token);
    let (mut ann, mut ben, mut carl) = (with_token(ADMIN), with_token(BEN), with_token(CARL));
    let id = ben.create(&by_clients("lab", 5));
    let (path, labels) = (format!("/v1/experiments/{id}"), format!("/v1/experiments/{id}/labels"));
    let is = |word: &str| json!({"labels": {"accessibility": word}});
    // While it may be seen, it still may not be changed.
    let problem = carl.refused(403, "POST", &labels, &is("PRIVATE"));
    assert!(problem["detail"].as_str().unwrap().contains("belongs to ben"), "{problem}");
    let mut followed = with_token(CARL).follow(&format!("{path}/events"), Some(0));
    assert_eq!(followed.next().unwrap().kind, "ExperimentCreated");
    ben.post(&labels, &is("PRIVATE"));
    carl.refused(404, "GET", &path, &Value::Null);
    carl.refused(404, "POST", &labels, &is("PUBLIC"));
    assert_eq!(carl.get("/v1/experiments")["experiments"], json!([]));
    assert_eq!(ben.get(&path)["labels"], json!({"accessibility": "PRIVATE"}));
    for bad in ["private", "", "SECRET"] {
        assert_eq!(ben.refused(400, "POST", &labels, &is(bad))["code"], "E0633", "{bad}");
    }
    ben.refused(400, "POST", &labels, &json!({"labels": {"Accessibility": "PRIVATE"}}));
    ben.refused(400, "POST", &labels, &json!({"labels": {"retrial.idempotency-key": "k"}}));
    carl.refused(404, "GET", &path, &Value::Null);
    ann.post(&labels, &json!({"labels": {"accessibility": "PUBLIC", "team": "a"}}));
    assert_eq!(carl.get(&path)["labels"], json!({"accessibility": "PUBLIC", "team": "a"}));
    ben.post(&labels, &json!({"labels": {"team": null}}));
    assert_eq!(carl.get(&path)["labels"], json!({"accessibility": "PUBLIC"}));
    // Taking it away makes it public as well; saying nothing changes nothing.
    ben.post(&labels, &is("PRIVATE"));
    ben.post(&labels, &json!({"labels": {"accessibility": null}}));
    let shown = carl.get(&path);
    let head = ben.get("/readyz")["head"].clone();
    ben.post(&labels, &json!({}));
    assert_eq!((carl.get(&path), &ben.get("/readyz")["head"]), (shown, &head));
    // As PAI's API sees and changes it.
    let pai = format!("/api/automl/v1/hpo/experiment/{id}");
    assert_eq!(carl.get(&pai)["Accessibility"], "PUBLIC");
    ben.json("PUT", &format!("{pai}/update"), &json!({"Accessibility": "PRIVATE"}));
    assert_eq!(ben.get(&path)["labels"]["accessibility"], "PRIVATE");
    carl.refused(404, "GET", &path, &Value::Null);
    // A copy is as its original is, also that of an ended one, whose labels may still be changed.
    ben.post(&format!("{path}/stop"), &Value::Null);
    let copy = ben.post(&format!("{path}/clone"), &json!({}))["experiment"].as_str().unwrap().to_owned();
    carl.refused(404, "GET", &format!("/v1/experiments/{copy}"), &Value::Null);
    ben.post(&labels, &is("PUBLIC"));
    assert_eq!(carl.get(&path)["status"], "USER_CANCELED");
}

#[test]
fn without_users_only_programs_of_this_machine_are_answered() {
    let lab = Lab::new();
    let daemon = Daemon::start(&lab, &[]);
    let mut client = Client::of(&daemon);
    let port = daemon.address().rsplit_once(':').unwrap().1.to_owned();
    let mut send =
        |headers: &[(&str, &str)]| client.try_send("GET", "/v1/experiments", headers, "").unwrap().status;
    for host in ["127.0.0.1", "localhost", "[::1]"] {
        assert_eq!(send(&[("Host", &format!("{host}:{port}"))]), 200, "{host}");
    }
    for host in [
        "evil.example",
        "evil.example:7340",
        "127.0.0.1.evil.example",
        "localhost.evil.example:80",
        "",
        "127.0.0.1@evil.example",
    ] {
        assert_eq!(send(&[("Host", host)]), 403, "{host}");
    }
    for (origin, status) in [
        ("http://127.0.0.1:8080", 200),
        ("http://localhost", 200),
        ("http://evil.example", 403),
        ("https://evil.example", 403),
        ("null", 403),
        ("http://127.0.0.1.evil.example", 403),
        ("http://localhost:80.evil.example", 403),
    ] {
        assert_eq!(send(&[("Origin", origin)]), status, "{origin}");
    }
    // One of them is not made good by a second one.
    assert_eq!(send(&[("Origin", "http://localhost"), ("Origin", "http://evil.example")]), 403);
    let document = lab.retrial(&["serve", "--listen", "0.0.0.0:0"]);
    assert!(document.code == Some(2) && document.err.contains("E0630"), "{document}");
}

#[test]
fn bodies_are_bounded_and_the_connection_says_so() {
    let lab = Lab::new();
    let daemon = with_users(&lab, "trace");
    let mut client = Client::with_token(&daemon, ADMIN);
    let largest = 4 << 20;
    let text = |bytes: usize| format!("{{\"spec\": \"{}\"}}", "x".repeat(bytes - 12));
    let answer = client.try_send("POST", "/v1/experiments", &[], &text(largest)).unwrap();
    assert_eq!(answer.status, 422, "{:.500}", answer.body);
    let mut client = Client::with_token(&daemon, ADMIN);
    // What is left of it may not be taken any more.
    let _ = client.write("POST", "/v1/experiments", &[], &text(largest + 1));
    assert_eq!(client.read().unwrap().status, 413);
    // In chunks as well, whose sum is not said before.
    let mut stream = TcpStream::connect(daemon.address()).unwrap();
    let head = format!(
        "POST /v1/experiments HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ADMIN}\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let chunk = format!("100000\r\n{}\r\n", "x".repeat(1 << 20));
    for _ in 0..5 {
        if stream.write_all(chunk.as_bytes()).is_err() {
            break;
        }
    }
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
    // Deep nesting does not fall through.
    let deep = format!("{{\"spec\": {}}}", "[".repeat(100_000));
    assert_eq!(
        Client::with_token(&daemon, ADMIN).try_send("POST", "/v1/experiments", &[], &deep).unwrap().status,
        400
    );
    let deep = json!({"spec": "[".repeat(100_000)});
    Client::with_token(&daemon, ADMIN).refused(422, "POST", "/v1/experiments", &deep);
    daemon.end();
}

#[test]
fn a_thousand_connections_are_served_and_trials_go_on_meanwhile() {
    let lab = Lab::new();
    let daemon = with_users(&lab, "trace");
    let mut admin = Client::with_token(&daemon, ADMIN);
    let id = admin.create(&by_clients("lab", 1_000));
    let mut followers: Vec<_> = (0..200)
        .map(|_| Client::with_token(&daemon, VIEWER).follow(&format!("/v1/experiments/{id}/events"), None))
        .collect();
    let mut clients: Vec<Client> = (0..800).map(|_| Client::with_token(&daemon, ADMIN)).collect();
    for client in &mut clients {
        client.write("POST", &format!("/v1/experiments/{id}/ask"), &[], "{\"lease_seconds\": 600}").unwrap();
    }
    let (mut given, mut busy) = (BTreeSet::new(), 0);
    for client in &mut clients {
        let answer = client.read().unwrap();
        match answer.status {
            200 => assert!(given.insert(answer.json()["trials"][0]["trial"].as_u64().unwrap())),
            503 => {
                assert_eq!((answer.header("retry-after"), &answer.json()["code"]), ("1", &json!("E0634")));
                busy += 1;
            }
            _ => panic!("{answer:?}"),
        }
    }
    assert_eq!(given.len() + busy, 800);
    assert!(given.len() >= 512, "{busy} were refused");
    let count = given.len() as u64;
    assert_eq!(admin.get(&format!("/v1/experiments/{id}"))["trials"]["RUNNING"], count);
    for followed in &mut followers {
        let leased = (0..count * 2).filter(|_| followed.next().unwrap().kind == "TrialLeased").count();
        assert_eq!(leased as u64, count);
    }
}

#[test]
fn connections_that_say_nothing_take_no_files_from_the_store_and_from_trials() {
    let lab = Lab::new();
    // Few files are allowed. The store is named by the environment.
    let program = lab.command(&["serve", "--listen", "127.0.0.1:0", "--json"]);
    let mut command = std::process::Command::new("sh");
    command
        .args(["-c", "ulimit -n 256 && exec \"$0\" \"$@\""])
        .arg(program.get_program())
        .args(program.get_args());
    command.current_dir(lab.dir()).env("RETRIAL_STORE", lab.store());
    let daemon = Daemon::begin(&lab, command);
    let mut client = Client::of(&daemon);
    // The system keeps some of those that are not taken.
    let address = daemon.address().parse().unwrap();
    let moment = std::time::Duration::from_millis(500);
    let (mut silent, mut failures) = (Vec::new(), 0);
    while silent.len() < 300 && failures < 5 {
        match TcpStream::connect_timeout(&address, moment) {
            Ok(stream) => silent.push(stream),
            Err(_) => failures += 1,
        }
    }
    assert!(silent.len() > 64, "{}", silent.len());
    let id = client.create(&experiment(10, "echo score=1"));
    assert_eq!(until_status(&mut client, &id, "FINISHED")["trials"], json!({"SUCCEEDED": 10}));
    drop(silent);
    assert_eq!(Client::of(&daemon).get("/readyz")["ok"], true);
    let log = daemon.end();
    assert!(!log.contains("open files"), "{log}");
}

/// The files below a folder that contain a text.
pub fn holding(dir: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(holding(&path, text));
        } else if std::fs::read(&path)
            .is_ok_and(|bytes| bytes.windows(text.len()).any(|part| part == text.as_bytes()))
        {
            found.push(path.display().to_string());
        }
    }
    found
}

#[test]
fn secrets_of_users_are_in_no_file_no_answer_and_no_log() {
    let lab = Lab::new();
    let daemon = with_users(&lab, "trace");
    let mut told = Vec::new();
    for token in [ADMIN, BEN, VIEWER, "planted-but-unknown"] {
        let mut client = Client::with_token(&daemon, token);
        for (method, path, about) in operations(&mut client, "lab") {
            if about["responses"]["200"]["content"].get("text/event-stream").is_none() {
                told.push(client.send(&method, &path, &json!({"spec": experiment(1, "env; echo score=1")})));
            }
        }
    }
    let mut admin = Client::with_token(&daemon, ADMIN);
    // What a task finds around it is written to its log.
    let id = admin.create(&experiment(1, "env; echo score=1"));
    until_status(&mut admin, &id, "FINISHED");
    told.push(admin.send("GET", &format!("/v1/experiments/{id}/trials/0/logs"), &Value::Null));
    let signed = "ACS3-HMAC-SHA256 Credential=LTAI-ann,SignedHeaders=host,Signature=planted-signature";
    told.push(Client::of(&daemon).try_send("GET", "/v1/me", &[("Authorization", signed)], "").unwrap());
    for answer in &told {
        assert!(!format!("{answer:?}").contains("planted"), "{answer:?}");
    }
    assert!(
        told.iter().any(|answer| answer.body.contains("score=1\n") || answer.body.contains("score=1\\n"))
    );
    let log = daemon.end();
    assert!(!log.contains("planted"), "{log}");
    assert_eq!(holding(&lab.store(), "planted"), Vec::<String>::new());
}

#[test]
fn without_local_nothing_is_run_on_the_machine_of_the_daemon() {
    let lab = Lab::new();
    let daemon = Daemon::start(&lab, &["--no-local"]);
    let mut client = Client::of(&daemon);
    let spec = gated(&lab, "lab", 1, "echo score=1");
    let problem = client.refused(422, "POST", "/v1/experiments", &json!({"spec": spec}));
    assert_eq!(problem["errors"][0]["code"], "E0610");
    let id = client.create(&by_clients("lab", 1));
    client.refused(422, "PUT", &format!("/v1/experiments/{id}"), &json!({"spec": with(spec, json!({}))}));
    assert!(until("an answer", || Some(client.get("/healthz")))["ok"] == true);
}
