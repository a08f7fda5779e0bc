//! The client against the simulator, whose signatures and rules were written apart from it and are proved by the
//! official SDK.

use crate::scripted::Still;
use retrial_backends::cloud::client::{CallError, Client, Effect, Limits};
use retrial_backends::cloud::codes;
use retrial_backends::cloud::credentials::Credentials;
use retrial_backends::cloud::http::{Http, HttpSettings};
use retrial_backends::cloud::world::World;
use retrial_backends::dlc::api::{Dlc, JobUpdate};
use retrial_backends::dlc::endpoint::{Endpoint, Network};
use retrial_backends::dlc::model::Status;
use retrial_backends::dlc::protocol::Acs3;
use retrial_backends::dlc::query::{EventQuery, JobFilter, LogQuery, SpecQuery};
use retrial_backends::dlc::signature::date_from_text;
use serde_json::{Value, json};
use simulators::dlc::script::Account;
use simulators::dlc::{Script, Simulator};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const NOW: &str = "2026-01-02T03:04:05Z";

fn script(more: &Value) -> Script {
    let mut all = json!({
        "standing_clock": NOW,
        "life": {"phases": [{"status": "Queuing", "ms": 1_000}, {"status": "Running"}], "log": []},
    });
    for (key, value) in more.as_object().unwrap() {
        all[key] = value.clone();
    }
    serde_json::from_value(all).unwrap()
}

fn client(simulator: &Simulator, token: Option<&str>) -> Dlc {
    let account = Account::default();
    let credentials = Credentials {
        access_key_id: account.access_key_id,
        access_key_secret: account.access_key_secret.into(),
        security_token: token.map(|token| token.to_owned().into()),
    };
    connect(simulator, credentials)
}

fn connect(simulator: &Simulator, credentials: Credentials) -> Dlc {
    let address = format!("http://{}", simulator.address());
    let endpoint = Endpoint::find(Some(&address), None, Network::Public, "run.dlc").unwrap();
    let settings = HttpSettings { timeout: Duration::from_secs(5), ..HttpSettings::default() };
    Dlc::new(Client::new(
        Http::new(&settings).unwrap(),
        Still::new(date_from_text(NOW).unwrap()) as Arc<dyn World>,
        Arc::new(credentials),
        Box::new(Acs3::new(endpoint, "retrial/test")),
        Limits::default(),
    ))
}

fn body(name: &str) -> Value {
    json!({
        "DisplayName": name, "JobType": "PyTorchJob", "WorkspaceId": "10001", "UserCommand": "python train.py 'é 中'",
        "Settings": {"Tags": {"token": name}}, "Envs": {"TOKEN": name},
        "JobSpecs": [{"Type": "Worker", "PodCount": 1, "Image": "registry.example/image:1", "EcsSpec": "ecs.g6.large",
            "RestartPolicy": "Never"}],
    })
}

#[tokio::test]
async fn every_operation_does_what_it_says() {
    let simulator = Simulator::anywhere(script(&json!({}))).unwrap();
    let dlc = client(&simulator, None);
    let id = dlc.create_job(body("trial-1").to_string().into_bytes()).await.unwrap();
    let second = dlc.create_job(body("trial-2").to_string().into_bytes()).await.unwrap();
    assert_eq!(dlc.get_job(&id, None).await.unwrap().status, Status::Waiting);
    simulator.advance(2_000);

    let filter = JobFilter {
        workspace_id: Some("10001".to_owned()),
        start_time: date_from_text("1970-01-01T00:00:00Z"),
        tags: Some(BTreeMap::from([("token".to_owned(), "trial-1".to_owned())])),
        ..JobFilter::default()
    };
    let found = dlc.list_all_jobs(&filter).await.unwrap();
    assert!(found.complete && found.jobs.len() == 1, "{found:?}");
    assert_eq!((&found.jobs[0].job_id, found.jobs[0].display_name.as_str()), (&id, "trial-1"));
    let ids = JobFilter { job_ids: Some(vec![id.clone(), second.clone()]), ..JobFilter::default() };
    assert_eq!(dlc.list_jobs(&ids).await.unwrap().jobs.len(), 2);

    let job = dlc.get_job(&id, Some(true)).await.unwrap();
    assert_eq!(
        (job.status.clone(), job.pods.len(), job.envs["TOKEN"].as_str()),
        (Status::Running, 1, "trial-1")
    );
    let pod = &job.pods[0];
    let lines = json!({"lines": ["loss=0.5", "é 中"]});
    simulator.control("POST", &format!("jobs/{id}"), &lines).unwrap();
    let window = LogQuery {
        pod_uid: Some(pod.pod_uid.clone()),
        start_time: job.created,
        end_time: date_from_text("2026-01-03T00:00:00Z"),
        max_lines: Some(10),
        ..LogQuery::default()
    };
    assert_eq!(dlc.get_pod_logs(&id, &pod.pod_id, &window).await.unwrap().lines, ["loss=0.5", "é 中"]);
    assert!(!dlc.get_job_events(&id, &EventQuery::default()).await.unwrap().is_empty());
    assert!(!dlc.get_pod_events(&id, &pod.pod_id, &EventQuery::default()).await.unwrap().is_empty());
    let (specs, total) = dlc.list_ecs_specs(&SpecQuery::default()).await.unwrap();
    assert!(
        specs.iter().any(|spec| spec.instance_type == "ecs.g6.large" && spec.cpu == Some(2))
            && total >= Some(1)
    );

    dlc.update_job(&id, &JobUpdate { description: Some("better".into()), ..JobUpdate::default() })
        .await
        .unwrap();
    let tags = BTreeMap::from([("kept".to_owned(), "yes".to_owned())]);
    dlc.tag_jobs("cn-hangzhou", &[id.clone(), second], &tags).await.unwrap();
    dlc.stop_job(&id).await.unwrap();
    simulator.advance(60_000);
    let stopped = dlc.get_job(&id, None).await.unwrap();
    assert_eq!((stopped.status.clone(), stopped.ended.is_some()), (Status::Stopped, true), "{stopped:?}");
    let again = dlc.stop_job(&id).await.unwrap_err();
    assert_eq!((again.code, again.effect), (codes::REQUEST_REFUSED, Effect::Nothing), "{again}");
    dlc.delete_job(&id).await.unwrap();
}

/// How the creation of a job ends, how many jobs there are then, and how often it was sent.
async fn create(more: &Value, token: Option<&str>) -> (Result<String, CallError>, usize, usize) {
    let simulator = Simulator::anywhere(script(more)).unwrap();
    let result = client(&simulator, token).create_job(body("trial-1").to_string().into_bytes()).await;
    let sent = simulator.calls().iter().filter(|call| call.operation == "CreateJob").count();
    (result, simulator.jobs(<[_]>::len), sent)
}

fn fault(answer: &Value, acts: bool) -> Value {
    json!({"faults": [{"operation": "CreateJob", "times": 1, "acts": acts, "answer": answer}]})
}

#[tokio::test]
async fn a_job_that_was_created_although_the_answer_was_lost_is_in_doubt_and_never_created_twice() {
    let error = json!({"error": {"status": 500, "code": "InternalError"}});
    let busy = json!({"error": {"status": 503, "code": "ServiceUnavailable"}});
    let page = json!({"raw": {"status": 502, "content_type": "text/html", "body": "<html>"}});
    let nothing = json!({"raw": {"status": 200, "body": ""}});
    for answer in [json!("drop"), json!({"cut": 20}), error, busy, page, nothing] {
        // An answer that is cut was the right one.
        let whether: &[bool] = if answer.get("cut").is_some() { &[true] } else { &[true, false] };
        for &acts in whether {
            let (result, jobs, sent) = create(&fault(&answer, acts), None).await;
            let effect = result.map_err(|error| error.effect);
            assert_eq!((effect, jobs, sent), (Err(Effect::Unknown), usize::from(acts), 1), "{answer}");
        }
    }
}

#[tokio::test]
async fn a_job_that_was_certainly_not_created_is_created_by_the_repetition() {
    let throttled = json!({"error": {"status": 429, "code": "Throttling.User", "retry_after_ms": 1}});
    let (result, jobs, sent) = create(&fault(&throttled, false), None).await;
    assert_eq!((result.is_ok(), jobs, sent), (true, 1, 2));
    let hour = json!({"standing_clock": "2026-01-02T04:04:05Z"});
    let (result, jobs, sent) = create(&hour, None).await;
    assert_eq!((result.is_ok(), jobs, sent), (true, 1, 2), "the clock is taken over");
}

#[tokio::test]
async fn who_may_not_call_learns_why() {
    let account = |more: &Value| {
        let mut account = serde_json::to_value(Account::default()).unwrap();
        for (key, value) in more.as_object().unwrap() {
            account[key] = value.clone();
        }
        json!({"accounts": [account]})
    };
    let wrong_secret = account(&json!({"access_key_secret": "another"}));
    let unknown = account(&json!({"access_key_id": "Another"}));
    let denied = account(&json!({"denied": ["CreateJob"]}));
    let expired = account(&json!({"security_token": "t", "expires_at": "2026-01-01T00:00:00Z"}));
    let cases = [
        (wrong_secret, None, codes::KEY_REFUSED),
        (unknown, None, codes::KEY_REFUSED),
        (denied, None, codes::NO_PERMISSION),
        (expired, Some("t"), codes::TOKEN_REFUSED),
    ];
    for (script, token, code) in cases {
        let (result, jobs, _) = create(&script, token).await;
        let error = result.unwrap_err();
        assert_eq!((error.code, error.effect, jobs), (code, Effect::Nothing, 0), "{error}");
    }
}
