//! Those who follow events, and are there again after experiments have left for an archive.

use crate::client::{Client, Event};
use crate::daemon::Daemon;
use crate::elsewhere::There;
use crate::native::{by_clients, gated, until_status};
use crate::support::{Lab, experiment, until, with};
use crate::users::{BEN, access, with_users};
use serde_json::{Value, json};

/// What an event says that does not depend on the history around its experiment.
fn own(event: &Event) -> Value {
    let mut own = event.data.clone();
    own.as_object_mut().unwrap().retain(|name, _| !["seq", "cause"].contains(&name.as_str()));
    own
}

/// Experiments that have ended leave for an archive; gives its head.
fn archive(lab: &Lab, file: &str) -> String {
    let done = lab.json(&["audit", "archive", file, "--ended-before", "0s"]);
    assert!(!done["experiments"].as_array().unwrap().is_empty(), "{done}");
    done["archive"]["head"].as_str().unwrap().to_owned()
}

#[test]
fn an_id_of_another_history_is_refused_and_who_begins_anew_finds_everything() {
    let lab = Lab::new();
    let mut daemon = Daemon::start(&lab, &[]);
    let mut client = Client::of(&daemon);
    let id = client.create(&by_clients("lab", 40));
    let path = format!("/v1/experiments/{id}/events");
    let mut followed = Client::of(&daemon).follow(&path, Some(0));
    let mut seen = vec![followed.next().unwrap()];
    for part in ["first.archive", "second.archive"] {
        let old = client.create(&by_clients("old", 1));
        client.post(&format!("/v1/experiments/{old}/stop"), &Value::Null);
        client.post(&format!("/v1/experiments/{id}/ask"), &json!({"count": 2}));
        until_status(&mut client, &old, "USER_CANCELED");
        let known = lab.events(&id).len();
        while seen.len() < known {
            seen.push(followed.next().unwrap());
        }
        daemon.end();
        let head = archive(&lab, part);

        daemon = Daemon::start(&lab, &[]);
        client = Client::of(&daemon);
        let last = seen.last().unwrap();
        for path in [&path, "/v1/events"] {
            let refused = daemon.send("GET", path, &[("Last-Event-ID", &last.place)], "");
            assert_eq!((refused.status, refused.json()["code"].clone()), (409, json!("E0639")));
        }
        // As one that misses nothing: what it knows stands at the same places of the experiment.
        followed = Client::of(&daemon).follow(&format!("{path}?after=0"), None);
        let again: Vec<Event> = seen.iter().map(|_| followed.next().unwrap()).collect();
        assert_eq!(again.iter().map(own).collect::<Vec<_>>(), seen.iter().map(own).collect::<Vec<_>>());
        assert!(again.iter().all(|event| event.place == format!("{}@{}", event.id, &head[..8])), "{again:?}");
        let last = again.last().unwrap().clone();
        let mut by_query = Client::of(&daemon).follow(&format!("{path}?after={}", last.place), None);
        let mut by_number = Client::of(&daemon).follow(&format!("{path}?after={}", last.id), None);
        let mut by_header = Client::of(&daemon).follow_on(&path, Some(&last.place)).unwrap();
        client.post(&format!("/v1/experiments/{id}/queue"), &json!({"params": {"x": 0.5, "kind": "a"}}));
        let next = followed.next().unwrap();
        assert_eq!(next.kind, "PointEnqueued");
        for other in [&mut by_query, &mut by_number, &mut by_header] {
            assert_eq!(other.next().as_ref(), Some(&next));
        }
        seen = again;
        seen.push(next);
        client.refused(400, "GET", "/v1/events?after=1@x", &Value::Null);
        assert_eq!(daemon.send("GET", &path, &[("Last-Event-ID", "here")], "").status, 400);
    }
    daemon.end();
}

#[test]
fn the_command_line_elsewhere_goes_on_with_the_new_numbers() {
    let lab = Lab::new();
    let daemon = with_users(&lab, "info");
    let there = There::new(daemon.address(), BEN);
    let mut client = Client::with_token(&daemon, BEN);
    let old = client.create(&by_clients("old", 1));
    client.post(&format!("/v1/experiments/{old}/stop"), &Value::Null);
    let id = client.create(&by_clients("lab", 3));
    client.post(&format!("/v1/experiments/{id}/ask"), &json!({"count": 2}));
    until_status(&mut client, &old, "USER_CANCELED");
    let events = there.start(&["events", "lab", "-f", "--json"]);
    let watch = there.start(&["watch", "lab"]);
    until("both trials", || (events.out().matches("TrialLeased").count() == 2).then_some(()));
    until("the experiment", || watch.out().contains("goes on").then_some(()));
    let address = daemon.address().to_owned();
    daemon.end();
    archive(&lab, "old.archive");
    let serve = ["serve", "--listen", &address, "--json", "--access", &access(&lab)];
    let daemon = Daemon::begin(&lab, lab.command(&serve));
    until("the note", || events.err().contains("records have new numbers").then_some(()));
    let mut client = Client::with_token(&daemon, BEN);
    client.post(&format!("/v1/experiments/{id}/stop"), &Value::Null);
    let (events, watch) = (events.end(), watch.end());
    assert_eq!((events.code, watch.code), (Some(0), Some(0)), "{events}{watch}");
    // Each event once, in the order of the experiment.
    let told: Vec<Value> = events.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let positions: Vec<u64> = told.iter().map(|event| event["position"].as_u64().unwrap()).collect();
    assert_eq!(positions, (1..=lab.events("lab").len() as u64).collect::<Vec<_>>());
    assert_eq!(told.last().unwrap()["seq"], lab.events("lab").last().unwrap()["seq"]);
    daemon.end();
}

/// The archives that a daemon has made.
fn archives(lab: &Lab) -> Vec<String> {
    let files = std::fs::read_dir(lab.file("archives")).unwrap();
    files.map(|file| file.unwrap().path().display().to_string()).collect()
}

#[test]
fn what_ended_long_ago_leaves_at_the_start_once_it_is_half_of_the_history_and_what_runs_goes_on() {
    let lab = Lab::new();
    let policy = ["--archive-ended-before", "0s", "--archive-folder", "archives"];
    lab.expect(2, &[&["serve"], &policy[..2]].concat());
    lab.expect(2, &[&["serve"], &policy[2..]].concat());
    let within = lab.store().join("db");
    let within = within.display().to_string();
    let refused = lab.expect(2, &["serve", "--archive-ended-before", "0s", "--archive-folder", &within]);
    assert!(refused.err.contains("E0654") && !lab.store().exists(), "{refused}");
    let started = lab.file("started").display().to_string();
    let daemon = Daemon::start(&lab, &[]);
    let mut client = Client::of(&daemon);
    let runs = client.create(&gated(&lab, "runs", 2, &format!("echo x >> '{started}'; echo score=1")));
    let asks = client.create(&by_clients("asks", 50));
    client.post(&format!("/v1/experiments/{asks}/ask"), &json!({"count": 50}));
    let old = client.create(&by_clients("old", 60));
    client.post(&format!("/v1/experiments/{old}/ask"), &json!({"count": 5}));
    client.post(&format!("/v1/experiments/{old}/stop"), &Value::Null);
    until_status(&mut client, &old, "USER_CANCELED");
    lab.until_trials("runs", "RUNNING", 2);
    daemon.end();
    // How they stand may change at each start: some of them run.
    let names = || -> Vec<String> {
        let listed = lab.json(&["ls"]);
        assert_eq!(lab.json(&["audit", "verify"])["ok"], true);
        listed.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(), ["runs", "asks", "old"]);

    // Where it cannot be done the daemon works all the same.
    let told = Daemon::start(&lab, &policy).end();
    assert!(told.contains("archives is no folder") && told.contains("make it"), "{told}");
    std::fs::create_dir(lab.file("archives")).unwrap();
    // It is not worth an archive of everything.
    assert_eq!(Daemon::start(&lab, &policy).end(), "");
    assert_eq!((archives(&lab), names()), (Vec::new(), ["runs", "asks", "old"].map(str::to_owned).to_vec()));

    let daemon = Daemon::start(&lab, &[]);
    let big = Client::of(&daemon)
        .create(&with(experiment(60, "echo score=1; echo score=2"), json!({"name": "big"})));
    until_status(&mut Client::of(&daemon), &big, "FINISHED");
    daemon.end();
    let outbox = lab.file("store/notify/outbox.json");
    let kept = std::fs::read(&outbox).unwrap();
    std::fs::remove_file(&outbox).unwrap();
    std::fs::create_dir(&outbox).unwrap();
    let told = Daemon::start(&lab, &policy).end();
    assert!(told.contains("could not leave for an archive"), "{told}");
    assert_eq!(archives(&lab), Vec::<String>::new());
    assert_eq!(names(), ["runs", "asks", "old", "big"]);
    std::fs::remove_dir(&outbox).unwrap();
    std::fs::write(&outbox, kept).unwrap();

    let before = lab.json(&["audit", "verify"]);
    let daemon = Daemon::start(&lab, &policy);
    assert_eq!(names(), ["runs", "asks"]);
    let archives = archives(&lab);
    assert_eq!(archives.len(), 1, "{archives:?}");
    assert!(
        archives[0].ends_with(&format!("Z-{}.archive", &before["head"].as_str().unwrap()[..16])),
        "{archives:?}"
    );
    let copy = lab.file("copy").display().to_string();
    lab.expect(0, &["audit", "import", &archives[0], "--store", &copy]);
    assert_eq!(lab.json(&["audit", "verify", "--store", &copy]), before);
    lab.open_gate("gate");
    until_status(&mut Client::of(&daemon), &runs, "FINISHED");
    assert_eq!(lab.text("started").lines().count(), 2);
    let told = daemon.end();
    assert!(told.contains("leaves for an archive in archives, 2 experiments: nobody is served"), "{told}");
    assert!(told.contains("has left for archives/") && told.lines().count() == 2, "{told}");
}
