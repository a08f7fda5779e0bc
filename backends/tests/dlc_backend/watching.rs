//! What is seen of jobs, and what follows from it.

use super::stage::{Stage, life};
use engine::event::v1::Outcome;
use engine::ports::backend::{Backend, JobHandle, JobState, Source, Submitted};
use engine::testing::backend::key;
use retrial_backends::dlc::backend::DlcBackend;
use serde_json::{Value, json};
use std::sync::Arc;

async fn begin(stage: &Arc<Stage>, more: &Value) -> (DlcBackend, JobHandle) {
    let backend = stage.controller();
    match backend.submit(&stage.order(key(1, 0), "train", more)).await {
        Submitted::Accepted(handle) => (backend, handle),
        other => panic!("{other:?}"),
    }
}

/// Polls every five seconds until the job has ended, at most so often; the states on the way, and how it ended.
async fn follow(
    stage: &Arc<Stage>,
    backend: &DlcBackend,
    job: &JobHandle,
    polls: usize,
) -> (Vec<JobState>, Option<Outcome>) {
    let mut seen = Vec::new();
    for _ in 0..polls {
        let state = backend.poll(std::slice::from_ref(job)).await.remove(0);
        if let JobState::Ended { outcome, .. } = state {
            return (seen, Some(outcome));
        }
        seen.push(state);
        stage.pass(5_000);
    }
    (seen, None)
}

fn redirect(stage: &Stage, phases: &Value) {
    let id = stage.simulator.jobs(|jobs| jobs[0].id.clone());
    stage.simulator.control("POST", &format!("jobs/{id}"), &json!({"phases": phases})).unwrap();
}

fn script(phases: &[(&str, Option<i64>)]) -> Value {
    json!({"life": life(phases, &[])})
}

#[tokio::test]
async fn a_job_is_asked_for_by_itself_only_when_it_has_changed() {
    let stage =
        Stage::new(script(&[("Queuing", Some(20_000)), ("Running", Some(100_000)), ("Succeeded", None)]));
    let backend = stage.controller();
    let mut handles = Vec::new();
    for trial in 0..150 {
        match backend.submit(&stage.order(key(trial, 0), "train", &Value::Null)).await {
            Submitted::Accepted(handle) => handles.push(handle),
            other => panic!("{other:?}"),
        }
    }
    let (lists, gets) = (stage.calls("ListJobs"), stage.calls("GetJob"));
    let mut rounds = 0;
    loop {
        rounds += 1;
        let states: Vec<JobState> = {
            let mut states = backend.poll(&handles[..100]).await;
            states.extend(backend.poll(&handles[100..]).await);
            states
        };
        if states.iter().all(|state| matches!(state, JobState::Ended { outcome: Outcome::Succeeded, .. })) {
            break;
        }
        let waits = rounds <= 4;
        assert!(
            states.iter().all(|state| matches!(state, JobState::Queued) == waits
                && matches!(state, JobState::Running { .. }) != waits),
            "round {rounds}: {states:?}"
        );
        stage.pass(5_000);
    }
    assert!((24..=27).contains(&rounds), "{rounds}");
    // The sweeps of the experiment list as well: two pages each minute. At each end its copies are looked for.
    let swept = 2 * (rounds / 12);
    let lists = stage.calls("ListJobs") - lists - handles.len();
    assert!((2 * rounds..=2 * rounds + swept).contains(&lists), "{lists} lists in {rounds} rounds");
    assert_eq!(stage.calls("GetJob") - gets, 150, "each once, when it had ended");
}

#[tokio::test]
async fn every_status_is_understood_and_an_unknown_one_is_never_an_end() {
    let stage = Stage::new(script(&[
        ("Creating", Some(5_000)),
        ("Bidding", Some(5_000)),
        ("SanityChecking", Some(5_000)),
        ("Running", Some(5_000)),
        ("Hibernating", Some(300_000)),
        ("Restarting", Some(5_000)),
        ("Running", Some(5_000)),
        ("Succeeded", None),
    ]));
    let (backend, job) = begin(&stage, &Value::Null).await;
    let (seen, outcome) = follow(&stage, &backend, &job, 100).await;
    assert_eq!(outcome, Some(Outcome::Succeeded));
    let kinds: Vec<&str> = seen
        .iter()
        .map(|state| match state {
            JobState::Queued => "queued",
            JobState::Running { .. } => "running",
            JobState::Unknown(reason) if reason.contains("Hibernating") => "unknown",
            other => panic!("{other:?}"),
        })
        .collect();
    let mut phases = kinds.clone();
    phases.dedup();
    assert_eq!(phases, ["queued", "running", "unknown", "running"], "{kinds:?}");
}

#[tokio::test]
async fn machines_that_are_held_after_the_end_are_given_back_unless_they_were_asked_for() {
    for (more, kept) in [(Value::Null, false), (json!({"Settings": {"JobReservedMinutes": 60}}), true)] {
        let stage = Stage::new(script(&[("Running", Some(5_000)), ("SucceededReserving", None)]));
        let (backend, job) = begin(&stage, &more).await;
        let (_, outcome) = follow(&stage, &backend, &job, 20).await;
        assert_eq!(outcome, Some(Outcome::Succeeded));
        stage.pass(1_000);
        let status = stage.simulator.jobs(|jobs| jobs[0].status().to_owned());
        assert_eq!(status == "SucceededReserving", kept, "{status}");
    }
}

#[tokio::test]
async fn a_release_that_is_not_answered_is_tried_again_before_the_end_is_told() {
    let mut script = script(&[("Running", Some(5_000)), ("FailedReserving", None)]);
    script["faults"] = json!([{"operation": "StopJob", "times": 6, "answer": {"error": {"status": 500, "code": "InternalError"}}}]);
    let stage = Stage::new(script);
    let (backend, job) = begin(&stage, &Value::Null).await;
    let (seen, outcome) = follow(&stage, &backend, &job, 40).await;
    assert!(matches!(outcome, Some(Outcome::Failed { .. })), "{outcome:?}");
    assert!(seen.iter().any(|state| matches!(state, JobState::Unknown(_))), "{seen:?}");
    assert_ne!(stage.simulator.jobs(|jobs| jobs[0].status().to_owned()), "FailedReserving");
}

#[tokio::test]
async fn a_lost_machine_is_no_failure_of_the_task_and_its_evidence_is_kept() {
    let stage = Stage::new(json!({"life": {"phases": [
        {"status": "Running", "ms": 10_000},
        {"status": "Failed", "sub_status": "Evicted", "reason_code": "JobPreempted", "reason_message": "spot instance taken"},
    ], "log": [{"text": "epoch {n}", "times": 30, "every_ms": 200}]}}));
    let (backend, job) = begin(&stage, &Value::Null).await;
    let (_, outcome) = follow(&stage, &backend, &job, 30).await;
    let Some(Outcome::Preempted { reason }) = outcome else { panic!("{outcome:?}") };
    for part in ["JobPreempted", "spot instance taken", "events:", "last lines:", "epoch 29"] {
        assert!(reason.contains(part), "{part} in {reason}");
    }
}

#[tokio::test]
async fn a_stop_may_lose_its_race_and_counts_all_the_same() {
    let mut script = script(&[("Running", Some(20_000)), ("Succeeded", None)]);
    script["stop"] = json!({"ms": 2_000, "loses": true});
    let stage = Stage::new(script);
    let (backend, job) = begin(&stage, &Value::Null).await;
    stage.pass(1_000);
    backend.stop(&job).await.unwrap();
    let (_, outcome) = follow(&stage, &backend, &job, 20).await;
    assert_eq!(outcome, Some(Outcome::Succeeded));
    backend.stop(&job).await.unwrap();

    // A service that refuses although the job runs is asked again.
    let mut script = super::watching::script(&[("Running", None)]);
    script["faults"] = json!([{"operation": "StopJob", "answer": {"error": {"status": 400, "code": "400", "message": "not now"}}}]);
    let stage = Stage::new(script);
    let (backend, job) = begin(&stage, &Value::Null).await;
    stage.pass(1_000);
    assert!(backend.stop(&job).await.unwrap_err().contains("not now"));
    backend.stop(&job).await.unwrap();
    let (_, outcome) = follow(&stage, &backend, &job, 20).await;
    assert_eq!(outcome, Some(Outcome::Stopped));
}

#[tokio::test]
async fn a_job_that_the_service_forgets_is_lost_only_after_a_while() {
    let stage = Stage::new(script(&[("Running", None)]));
    let (backend, job) = begin(&stage, &Value::Null).await;
    stage.simulator.control("POST", "faults", &json!([
        {"operation": "GetJob", "times": 0, "answer": {"error": {"status": 404, "code": "NotFound", "message": "no such job"}}},
        {"operation": "ListJobs", "times": 0, "answer": {"raw": {"status": 200, "content_type": "application/json", "body": "{\"Jobs\":[],\"TotalCount\":0}"}}},
    ])).unwrap();
    let begun = stage.calls("GetJob");
    let (seen, outcome) = follow(&stage, &backend, &job, 40).await;
    assert!(
        matches!(&outcome, Some(Outcome::Lost { reason }) if reason.contains("no such job")),
        "{outcome:?}"
    );
    assert!((11..=14).contains(&seen.len()), "{}", seen.len());
    assert!(stage.calls("GetJob") - begun >= 12);

    // An address that is not DLC's answers 404 too, and no job is lost by it.
    let stage = Stage::new(script(&[("Running", Some(400_000)), ("Succeeded", None)]));
    let (backend, job) = begin(&stage, &Value::Null).await;
    let wrong = json!({"error": {"status": 404, "code": "InvalidProduct.NotFound", "message": "cannot find product"}});
    stage.simulator.control("POST", "faults", &json!([{"times": 0, "answer": wrong}])).unwrap();
    let (_, outcome) = follow(&stage, &backend, &job, 40).await;
    assert_eq!(outcome, None);
    stage.simulator.control("DELETE", "faults", &Value::Null).unwrap();
    let (_, outcome) = follow(&stage, &backend, &job, 80).await;
    assert_eq!(outcome, Some(Outcome::Succeeded));
}

#[tokio::test]
async fn a_job_of_last_month_is_still_seen() {
    let stage = Stage::new(script(&[("Running", None)]));
    let (backend, job) = begin(&stage, &Value::Null).await;
    stage.pass(25 * 24 * 3_600_000);
    let state = backend.poll(std::slice::from_ref(&job)).await.remove(0);
    assert!(matches!(state, JobState::Running { .. }), "{state:?}");
    redirect(&stage, &json!([{"status": "Succeeded"}]));
    let (_, outcome) = follow(&stage, &stage.controller(), &job, 5).await;
    assert_eq!(outcome, Some(Outcome::Succeeded));
}

#[tokio::test]
async fn both_streams_are_one_text_and_another_controller_reads_it_from_its_beginning() {
    let stage =
        Stage::new(json!({"life": life(&[("Running", Some(3_000)), ("Succeeded", None)], &["one", "two"])}));
    let (backend, job) = begin(&stage, &Value::Null).await;
    stage.pass(60_000);
    for backend in [backend, stage.controller()] {
        for source in [Source::Stdout, Source::Stderr] {
            let chunk = backend.read(&job, &source, 0, 1_000).await.unwrap();
            assert_eq!(chunk.bytes, b"one\ntwo\n");
        }
    }
}
