//! The output of jobs, read from the simulated service through the client, signatures and all.

use super::stage::Stage;
use engine::ports::backend::Chunk;
use retrial_backends::cloud::client::{Client, Limits};
use retrial_backends::cloud::credentials::Credentials;
use retrial_backends::cloud::http::{Http, HttpSettings};
use retrial_backends::cloud::rate::{Rate, Rates};
use retrial_backends::cloud::world::World;
use retrial_backends::dlc::api::Dlc;
use retrial_backends::dlc::endpoint::{Endpoint, Network};
use retrial_backends::dlc::logs::reader::{Logs, Settings};
use retrial_backends::dlc::protocol::Acs3;
use serde_json::{Value, json};
use std::sync::Arc;

/// A service with one job, which lives as told.
async fn stage(script: Value) -> (Arc<Stage>, Arc<Dlc>, String) {
    let world = Stage::new(script);
    let address = world.simulator.address();
    let endpoint =
        Endpoint::find(Some(&format!("http://{address}")), None, Network::Public, "run.dlc").unwrap();
    let credentials = Credentials {
        access_key_id: "LTAISimulatedKey".to_owned(),
        access_key_secret: "simulated-secret".to_owned().into(),
        security_token: None,
    };
    let fast = Rate { per_second: 1000.0, burst: 1000.0 };
    let client = Client::new(
        Http::new(&HttpSettings::default()).unwrap(),
        Arc::clone(&world) as Arc<dyn World>,
        Arc::new(credentials),
        Box::new(Acs3::new(endpoint, "retrial/test")),
        Limits { rates: Rates { reads: fast, output: fast, submissions: fast }, ..Limits::default() },
    );
    let dlc = Arc::new(Dlc::new(client));
    let body = json!({
        "DisplayName": "one", "JobType": "PyTorchJob", "UserCommand": "train", "WorkspaceId": "10001",
        "JobSpecs": [{"Type": "Worker", "PodCount": 2, "Image": "image", "EcsSpec": "ecs.g6.large"}],
    });
    let job = dlc.create_job(body.to_string().into_bytes()).await.unwrap();
    (world, dlc, job)
}

/// Reads as the engine does: every few seconds while the job runs, and after that until the chunk is the last.
async fn follow(world: &Arc<Stage>, dlc: &Arc<Dlc>, job: &str, late_ms: i64) -> (Vec<String>, usize) {
    let logs = Logs::new(Arc::clone(dlc), Arc::clone(world) as Arc<dyn World>, Settings::default());
    let (mut text, mut from, mut gaps, mut failed) = (Vec::new(), 0, 0, 0);
    world.pass(late_ms);
    for _ in 0..5_000 {
        let ended = dlc.get_job(job, None).await.unwrap().status.is_over();
        let Ok(Chunk { bytes, start, at_end }) = logs.read(job, ended, from, 100_000).await else {
            failed += 1;
            world.pass(1_000);
            continue;
        };
        gaps += usize::from(start > from);
        from = start + bytes.len() as u64;
        text.extend(bytes);
        if at_end && ended {
            let faulty = world.simulator.calls().iter().any(|call| call.fault);
            assert!(failed == 0 || faulty, "{failed} reads failed");
            // Nothing more comes, and nothing more is asked for.
            let calls = world.simulator.calls().len();
            assert!(logs.read(job, true, from, 10).await.unwrap().at_end);
            assert_eq!(world.simulator.calls().len(), calls);
            return (String::from_utf8(text).unwrap().lines().map(str::to_owned).collect(), gaps);
        }
        if at_end {
            world.pass(1_700);
        }
    }
    panic!("it does not end");
}

fn running(ms: i64, log: &Value) -> Value {
    json!({"phases": [{"status": "Creating", "ms": 100}, {"status": "Running", "ms": ms}, {"status": "Succeeded"}], "log": log})
}

#[tokio::test]
async fn all_lines_come_once_and_in_order_though_they_are_late() {
    let log = json!([{"text": "loss={n}", "times": 60, "every_ms": 900}, {"text": "same", "times": 500, "every_ms": 100}]);
    let script = json!({"life": running(60_000, &log), "logs": {"lag_ms": 10_000}});
    let (world, dlc, job) = stage(script).await;
    let (lines, gaps) = follow(&world, &dlc, &job, 0).await;
    let losses: Vec<&str> = lines.iter().filter(|line| *line != "same").map(String::as_str).collect();
    assert_eq!(losses, (0..60).map(|n| format!("loss={n}")).collect::<Vec<_>>());
    assert_eq!((lines.len(), gaps), (560, 0));
}

#[tokio::test]
async fn overtaken_lines_come_once() {
    let log = json!([{"text": "loss={n}", "times": 3000, "every_ms": 100}]);
    let script = json!({"life": running(310_000, &log), "logs": {"lag_ms": 3_000, "jitter_ms": 9_000}});
    let (world, dlc, job) = stage(script).await;
    let (mut lines, gaps) = follow(&world, &dlc, &job, 0).await;
    lines.sort_by_key(|line| line[5..].parse::<u32>().unwrap());
    assert_eq!(lines, (0..3000).map(|n| format!("loss={n}")).collect::<Vec<_>>());
    assert_eq!(gaps, 0);
}

#[tokio::test]
async fn a_long_log_is_read_from_its_beginning_by_one_that_comes_late() {
    let log = json!([{"text": "{n}", "times": 30000, "every_ms": 20}]);
    let (world, dlc, job) = stage(json!({"life": running(700_000, &log)})).await;
    let (lines, gaps) = follow(&world, &dlc, &job, 20 * 24 * 3_600_000).await;
    assert!(
        lines.iter().map(String::as_str).eq((0..30_000).map(|n| n.to_string()).collect::<Vec<_>>().iter())
    );
    assert_eq!(gaps, 0);
}

#[tokio::test]
async fn a_second_with_more_lines_than_the_service_gives_is_a_gap() {
    let log = json!([{"text": "{n}", "times": 9000, "every_ms": 0}, {"text": "after", "after_ms": 30_000}]);
    let (world, dlc, job) = stage(json!({"life": running(60_000, &log)})).await;
    let (lines, gaps) = follow(&world, &dlc, &job, 0).await;
    assert!(gaps > 0);
    assert_eq!((lines[4999].as_str(), lines.last().unwrap().as_str()), ("4999", "after"));
    assert_eq!(lines.len(), 5001);
}

#[tokio::test]
async fn a_restarted_pod_is_read_after_the_one_that_it_replaces() {
    let log = json!([{"text": "loss={n}", "times": 30, "every_ms": 1000}]);
    let life = json!({"phases": [
        {"status": "Running", "ms": 10_000}, {"status": "Restarting", "ms": 2_000}, {"status": "Running", "ms": 40_000}, {"status": "Failed"},
    ], "log": log});
    let (world, dlc, job) = stage(json!({"life": life, "logs": {"lag_ms": 8_000}})).await;
    let (lines, gaps) = follow(&world, &dlc, &job, 0).await;
    let first = lines.iter().rposition(|line| line == "loss=0").unwrap();
    let count = |range: std::ops::Range<usize>| range.map(|n| format!("loss={n}")).collect::<Vec<_>>();
    assert_eq!(lines[..first], count(0..first)[..]);
    assert_eq!(lines[first..], count(0..30)[..]);
    assert!((10..=11).contains(&first) && gaps == 0);
}

#[tokio::test]
async fn a_job_that_never_ran_has_an_empty_output() {
    let life = json!({"phases": [{"status": "Queuing", "ms": 5_000}, {"status": "Stopped"}]});
    let (world, dlc, job) = stage(json!({"life": life})).await;
    assert_eq!(follow(&world, &dlc, &job, 0).await, (Vec::new(), 0));
}

#[tokio::test]
async fn a_failed_look_loses_nothing() {
    let log = json!([{"text": "{n}", "times": 50, "every_ms": 500}]);
    let broken = json!({"operation": "GetPodLogs", "times": 12, "skip": 2, "answer": {"raw": {"status": 502, "body": "<html>"}}});
    let (world, dlc, job) = stage(json!({"life": running(30_000, &log), "faults": [broken]})).await;
    let (lines, gaps) = follow(&world, &dlc, &job, 0).await;
    assert_eq!((lines, gaps), ((0..50).map(|n| n.to_string()).collect(), 0));
}
