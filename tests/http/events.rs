//! Events to those who follow.

use crate::client::{Client, Event};
use crate::daemon::Daemon;
use crate::native::{by_clients, until_status};
use crate::support::{Lab, experiment, with};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, Ordering};

/// Follows an experiment until its end, leaving and coming back after so many events each time.
fn in_parts(daemon: &Daemon, path: &str, first: Option<u64>, parts: &[usize]) -> Vec<Event> {
    let (mut seen, mut last) = (Vec::new(), first);
    let mut parts = parts.iter().cycle();
    loop {
        let mut followed = Client::of(daemon).follow(path, last);
        for _ in 0..*parts.next().unwrap() {
            let event = followed.next().unwrap();
            last = Some(event.id);
            let over = event.kind == "ExperimentEnded";
            seen.push(event);
            if over {
                return seen;
            }
        }
    }
}

#[test]
fn who_comes_back_with_the_last_event_misses_none_and_gets_none_twice() {
    let lab = Lab::new();
    let daemon = Daemon::start(&lab, &[]);
    let mut client = Client::of(&daemon);
    let other = client.create(&experiment(10, "echo score=1"));
    let id = client.create(&experiment(30, "echo score=1; echo score=2; echo score=3"));
    let path = format!("/v1/experiments/{id}/events");
    let followers: Vec<Vec<Event>> = std::thread::scope(|scope| {
        let follow = |parts: &'static [usize]| {
            let (daemon, path) = (&daemon, &path);
            scope.spawn(move || in_parts(daemon, path, Some(0), parts))
        };
        let threads = [follow(&[1]), follow(&[3, 1, 7]), follow(&[1_000])];
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let known: Vec<Value> = lab.events(&id);
    for seen in followers {
        let told: Vec<Value> = seen.iter().map(|event| event.data.clone()).collect();
        assert_eq!(told, known);
        assert!(
            seen.iter()
                .all(|event| event.data["seq"] == event.id && event.data["kind"] == event.kind.as_str())
        );
    }
    // All experiments, from a record on; the header counts more than the query.
    until_status(&mut client, &other, "FINISHED");
    let (mut all, mut last) = (Vec::new(), 0);
    let mut followed = client.follow("/v1/events?after=1000000", Some(0));
    while all.iter().filter(|event: &&Event| event.kind == "ExperimentEnded").count() < 2 {
        let event = followed.next().unwrap();
        assert!(event.id > last);
        last = event.id;
        all.push(event);
    }
    let of = |id: &str| all.iter().filter(|event| event.data["experiment"] == id).count();
    assert_eq!((of(&id), of(&other)), (known.len(), lab.events(&other).len()));
}

#[test]
fn who_does_not_say_where_to_begin_is_told_what_happens_from_now_on() {
    let lab = Lab::new();
    let daemon = Daemon::start(&lab, &[]);
    let mut client = Client::of(&daemon);
    let id = client.create(&by_clients("lab", 1));
    let path = format!("/v1/experiments/{id}/events");
    let mut followed = Client::of(&daemon).follow(&path, None);
    client.post(&format!("/v1/experiments/{id}/pause"), &Value::Null);
    assert_eq!(followed.next().unwrap().kind, "ExperimentPaused");
    let mut after = Client::of(&daemon).follow(&format!("{path}?after=0"), None);
    assert_eq!(after.next().unwrap().kind, "ExperimentCreated");
    // A number that is far ahead is no reason to fall over.
    for last in [u64::MAX, i64::MAX as u64] {
        drop(Client::of(&daemon).follow(&path, Some(last)));
    }
    client.refused(404, "GET", "/v1/experiments/none/events", &Value::Null);
    client.refused(400, "GET", "/v1/events?after=-1", &Value::Null);
    // The end of the daemon ends the stream.
    let told = daemon.end();
    assert!(!told.contains("panicked"), "{told}");
    assert_eq!(
        std::iter::from_fn(|| followed.next()).map(|event| event.kind).collect::<Vec<_>>(),
        Vec::<String>::new()
    );
}

#[test]
fn who_is_slow_gets_everything_all_the_same() {
    let lab = Lab::new();
    let daemon = Daemon::start(&lab, &[]);
    let mut client = Client::of(&daemon);
    let id = client.create(&by_clients("lab", 3_000));
    let mut slow = Client::of(&daemon).follow(&format!("/v1/experiments/{id}/events"), Some(0));
    // More events than are kept for followers, and more bytes than fit into a connection that nobody reads.
    for _ in 0..3 {
        let given = client.post(&format!("/v1/experiments/{id}/ask"), &json!({"count": 1_000}));
        assert_eq!(given["trials"].as_array().unwrap().len(), 1_000);
    }
    client.post(&format!("/v1/experiments/{id}/stop"), &Value::Null);
    until_status(&mut client, &id, "USER_CANCELED");
    let known = lab.events(&id);
    assert!(known.len() > 6_000);
    for known in known {
        assert_eq!(slow.next().unwrap().data, known);
    }
}

#[test]
fn who_follows_what_is_quiet_is_told_so_while_much_happens_elsewhere() {
    let lab = Lab::new();
    let daemon = Daemon::start(&lab, &[]);
    let mut client = Client::of(&daemon);
    let quiet = client.create(&by_clients("quiet", 1));
    let busy = client.create(&with(by_clients("busy", 10), json!({"budget": {"trials": 1_000_000}})));
    let mut followed = Client::of(&daemon).follow(&format!("/v1/experiments/{quiet}/events"), None);
    assert_eq!(followed.block().unwrap(), ": follows");
    let over = AtomicBool::new(false);
    let asks = || {
        while !over.load(Ordering::Relaxed) {
            client.post(&format!("/v1/experiments/{busy}/ask"), &json!({}));
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(asks);
        let told = followed.block();
        over.store(true, Ordering::Relaxed);
        assert_eq!(told.unwrap(), ": quiet");
    });
}
