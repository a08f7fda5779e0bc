//! The operations of DLC against what the official SDK sends, what it is answered, and answers out of the ordinary.

use crate::scripted::{Scripted, Seen, Step, Still, answer};
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
use retrial_backends::dlc::signature::{date_from_text, form_decode};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

async fn stage(steps: Vec<Step>) -> (Scripted, Dlc) {
    let world = Still::new(date_from_text("2026-01-02T03:04:05Z").unwrap());
    let server = Scripted::start(&world, steps).await;
    let endpoint =
        Endpoint::find(Some(&format!("http://{}", server.address)), None, Network::Public, "run.dlc");
    let credentials = Credentials {
        access_key_id: "id".to_owned(),
        access_key_secret: "secret".to_owned().into(),
        security_token: None,
    };
    let client = Client::new(
        Http::new(&HttpSettings::default()).unwrap(),
        world as Arc<dyn World>,
        Arc::new(credentials),
        Box::new(Acs3::new(endpoint.unwrap(), "retrial/test")),
        Limits { attempts: 1, ..Limits::default() },
    );
    (server, Dlc::new(client))
}

fn vectors(file: &str) -> Value {
    let path = format!("{}/tests/vectors/dlc/{file}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[expect(clippy::unnecessary_wraps, reason = "fields of a query are options")]
fn text(value: &str) -> Option<String> {
    Some(value.to_owned())
}

const JOB: &str = "dlc1abcdefghijkl";
const POD: &str = "dlc1abcdefghijkl-worker-0";

/// Makes the call of a capture through our client, and says what it has made of the answer.
async fn repeat(dlc: &Dlc, capture: &Value) -> Option<Result<String, CallError>> {
    let at = date_from_text;
    let uid = || text("94a7cc7c-0033-48b5-85bd-71c63592c268");
    let note = capture["note"].as_str().unwrap();
    Some(match capture["operation"].as_str().unwrap() {
        "CreateJob" => dlc.create_job(capture["request"]["body_json"].to_string().into_bytes()).await,
        "GetJob" => {
            let detail = note.contains("False").then_some(false);
            dlc.get_job(JOB, detail).await.map(|job| format!("{:?} {}", job.status, job.pods[0].pod_id))
        }
        "ListJobs" if note == "no filter" => {
            dlc.list_jobs(&JobFilter::default()).await.map(|page| format!("{:?}", page.total))
        }
        "ListJobs" => {
            let filter = JobFilter {
                display_name: text("hpo-s1-t42"),
                end_time: at("2026-01-03T00:00:00Z"),
                job_ids: Some(vec![JOB.to_owned(), "dlc2".to_owned()]),
                order: text("desc"),
                page_number: Some(1),
                page_size: Some(50),
                show_own: Some(true),
                sort_by: text("GmtCreateTime"),
                start_time: at("2026-01-01T00:00:00Z"),
                status: text("Running"),
                tags: Some(BTreeMap::from([("hpo-key".to_owned(), "s1/42".to_owned())])),
                workspace_id: text("12345"),
                ..JobFilter::default()
            };
            dlc.list_jobs(&filter).await.map(|page| format!("{:?} {}", page.total, page.jobs[0].job_id))
        }
        "StopJob" => dlc.stop_job(JOB).await.map(|()| String::new()),
        "DeleteJob" => dlc.delete_job(JOB).await.map(|()| String::new()),
        "UpdateJob" => {
            let body = &capture["request"]["body_json"];
            let update = JobUpdate {
                priority: body["Priority"].as_i64(),
                accessibility: body["Accessibility"].as_str().map(str::to_owned),
                description: body["Description"].as_str().map(str::to_owned),
                user_command: body["UserCommand"].as_str().map(str::to_owned),
                job_specs: body.get("JobSpecs").cloned(),
            };
            dlc.update_job(JOB, &update).await.map(|()| String::new())
        }
        "GetPodLogs" => {
            let query = if note.is_empty() {
                LogQuery {
                    containers: Some(vec!["pytorch".to_owned()]),
                    end_time: at("2026-01-02T04:04:05Z"),
                    max_lines: Some(2_000),
                    pod_uid: uid(),
                    start_time: at("2026-01-02T03:04:05Z"),
                }
            } else {
                LogQuery::default()
            };
            dlc.get_pod_logs(JOB, POD, &query).await.map(|logs| logs.lines.join("|"))
        }
        "GetJobEvents" => {
            let start_time = at("2026-01-02T03:04:05Z");
            let query = EventQuery { max_events: Some(100), start_time, ..EventQuery::default() };
            dlc.get_job_events(JOB, &query).await.map(|events| events.join("|"))
        }
        "GetPodEvents" => {
            let query = EventQuery { max_events: Some(100), pod_uid: uid(), ..EventQuery::default() };
            dlc.get_pod_events(JOB, POD, &query).await.map(|events| events.join("|"))
        }
        "ListEcsSpecs" => {
            let query = SpecQuery {
                accelerator: text("CPU"),
                page_number: Some(1),
                page_size: Some(10),
                ..SpecQuery::default()
            };
            dlc.list_ecs_specs(&query)
                .await
                .map(|(specs, total)| format!("{total:?} {}", specs[0].instance_type))
        }
        "TagResources" => {
            let body = &capture["request"]["body_json"];
            let pair =
                |tag: &Value| (tag["Key"].as_str().unwrap().into(), tag["Value"].as_str().unwrap().into());
            let tags = body["Tag"].as_array().unwrap().iter().map(pair).collect();
            let region = body["RegionId"].as_str().unwrap();
            dlc.tag_jobs(region, &[JOB.to_owned()], &tags).await.map(|()| String::new())
        }
        // What trials do not need.
        _ => return None,
    })
}

/// Method, path, decoded parameters and body: what has to be the same, whoever sends it. The SDK writes `True`.
fn meaning(method: &str, target: &str, body: &[u8]) -> (String, String, BTreeSet<(String, String)>, Value) {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let plain = |value: String| match value.as_str() {
        "True" | "False" => value.to_lowercase(),
        // The order of keys and the blanks of JSON inside a parameter say nothing.
        _ => serde_json::from_str::<BTreeMap<String, Value>>(&value)
            .map_or(value, |map| json!(map).to_string()),
    };
    let mut query: BTreeSet<(String, String)> =
        form_decode(query).into_iter().map(|(key, value)| (key, plain(value))).collect();
    // The default; what the service answers to the other value is not documented, so it is never asked for.
    query.remove(&("DownloadToFile".to_owned(), "false".to_owned()));
    (method.to_owned(), path.to_owned(), query, serde_json::from_slice(body).unwrap_or_default())
}

#[tokio::test]
async fn our_calls_mean_what_those_of_the_official_sdk_mean_and_its_answers_are_understood() {
    let mut results = Vec::new();
    for capture in vectors("sdk_captures.json")["captures"].as_array().unwrap() {
        let served = &capture["response_served"];
        let (server, dlc) = stage(vec![answer(200, &served["body"].to_string())]).await;
        let Some(result) = repeat(&dlc, capture).await else { continue };
        let request = &capture["request"];
        let mut line = request["request_line"].as_str().unwrap().split(' ');
        let (method, target) = (line.next().unwrap(), line.next().unwrap());
        let theirs = meaning(method, target, request["body_text"].as_str().unwrap_or_default().as_bytes());
        let seen: Seen = server.seen().remove(0);
        assert_eq!(meaning(&seen.method, &seen.target, &seen.body), theirs, "{capture}");
        assert_eq!(seen.header("x-acs-action"), capture["operation"]);
        let header = |name: &str| {
            let pairs = request["headers"].as_array().unwrap();
            pairs.iter().find(|pair| pair[0] == name).map_or("", |pair| pair[1].as_str().unwrap())
        };
        for name in ["accept", "content-type", "x-acs-version"] {
            assert_eq!(seen.header(name), header(name), "{name} of {}", capture["operation"]);
        }
        results.push(result.unwrap());
    }
    assert_eq!(
        results,
        [
            "dlc1abcdefghijkl",
            "dlc1abcdefghijkl",
            "Running dlc1abcdefghijkl-worker-0",
            "Running dlc1abcdefghijkl-worker-0",
            "Some(1) dlc1abcdefghijkl",
            "Some(0)",
            "",
            "",
            "",
            "2026-01-02T03:04:31.000000000+00:00 loss=0.5|unicode 中文 é",
            "",
            "2026-01-02T03:04:06Z Job created",
            "e",
            "Some(1) ecs.g6.large",
            "",
        ]
    );
}

#[tokio::test]
async fn answers_out_of_the_ordinary_are_understood_where_they_say_enough() {
    let mut understood = BTreeMap::new();
    for case in vectors("sdk_response_leniency.json")["cases"].as_array().unwrap() {
        let (name, body) = (case["name"].as_str().unwrap(), &case["served_body"]);
        let body = body.as_str().map_or_else(|| body.to_string(), str::to_owned);
        let status = case["served_status"].as_u64().unwrap() as u16;
        let (_server, dlc) = stage(vec![answer(status, &body)]).await;
        let result = if name.starts_with("list") {
            let page = dlc.list_jobs(&JobFilter::default()).await;
            page.map(|page| format!("{} of {:?}", page.jobs.len(), page.total))
        } else if name.starts_with("logs") {
            dlc.get_pod_logs("j", "p", &LogQuery::default()).await.map(|logs| format!("{:?}", logs.lines))
        } else {
            let job = dlc.get_job("j", None).await;
            job.map(|job| {
                format!("{:?} {:?} {:?} {}", job.status, job.duration_s, job.priority, job.pods.len())
            })
        };
        understood.insert(name.to_owned(), result.map_err(|error| error.code));
    }
    let good = |text: &str| Ok(text.to_owned());
    let expected = [
        ("bom_prefix", good("Unknown None None 0")),
        ("get_envs_null", good("Unknown None None 0")),
        ("get_numbers_as_strings", good("Unknown Some(25) Some(1) 0")),
        ("get_pods_null_elements", good("Unknown None None 1")),
        ("get_unknown_status", good("Unknown None None 0")),
        ("list_job_item_empty", good("1 of Some(1)")),
        ("list_jobs_null", good("0 of Some(0)")),
        ("list_missing_fields", good("0 of None")),
        ("list_total_as_string", good("0 of Some(12)")),
        ("logs_non_string", good(r#"["1", "", "x"]"#)),
        ("logs_null", good("[]")),
        ("status_201", good("Unknown None None 0")),
        ("top_level_array", Err(codes::NO_ANSWER)),
    ];
    let expected = expected.into_iter().map(|(name, result)| (name.to_owned(), result)).collect();
    assert_eq!(understood, expected);
}

#[tokio::test]
async fn a_created_job_without_an_id_is_in_doubt() {
    for body in ["{}", r#"{"JobId":""}"#, r#"{"JobId":null}"#, "[1]", r#"{"Code":"X","Message":"why"}"#] {
        let (server, dlc) = stage(vec![answer(200, body), answer(200, r#"{"JobId":"second"}"#)]).await;
        let error = dlc.create_job(b"{}".to_vec()).await.unwrap_err();
        assert_eq!((error.effect, server.seen().len()), (Effect::Unknown, 1), "{body}");
        assert!(body.contains("why") <= error.message.contains("says X: why"), "{error}");
    }
}

#[tokio::test]
async fn a_success_with_an_error_in_it_is_no_success() {
    let body = r#"{"Code":"InternalError","Message":"why"}"#;
    let (_server, dlc) = stage(vec![answer(200, body); 3]).await;
    assert!(dlc.stop_job("j").await.is_err());
    assert!(dlc.list_jobs(&JobFilter::default()).await.is_err());
    assert!(dlc.get_pod_logs("j", "p", &LogQuery::default()).await.is_err());
}

#[tokio::test]
async fn all_pages_are_read_and_each_job_is_given_once() {
    let page = |ids: &[u32], total: u32| {
        let jobs: Vec<Value> = ids.iter().map(|id| json!({"JobId": format!("dlc{id}")})).collect();
        answer(200, &json!({"Jobs": jobs, "TotalCount": total}).to_string())
    };
    // A job came in between, so that one of the first page shows again on the second.
    let (server, dlc) = stage(vec![page(&[1, 2], 4), page(&[2, 3], 4), page(&[4], 4)]).await;
    let filter = JobFilter { page_size: Some(2), ..JobFilter::default() };
    let list = dlc.list_all_jobs(&filter).await.unwrap();
    let ids: Vec<&str> = list.jobs.iter().map(|job| job.job_id.as_str()).collect();
    assert_eq!((ids, list.complete), (vec!["dlc1", "dlc2", "dlc3", "dlc4"], true));
    assert!(server.seen()[2].target.ends_with("PageNumber=3&PageSize=2"), "{:?}", server.seen()[2].target);

    let (_server, dlc) = stage(vec![page(&[1], 3), page(&[], 3)]).await;
    let list = dlc.list_all_jobs(&filter).await.unwrap();
    assert_eq!((list.jobs.len(), list.complete), (1, false));
}

#[tokio::test]
async fn a_name_never_leads_to_another_place() {
    let (server, dlc) = stage(vec![answer(200, r#"{"JobId":"j"}"#)]).await;
    for name in ["", ".", ".."] {
        assert_eq!(dlc.stop_job(name).await.unwrap_err().effect, Effect::Nothing);
    }
    dlc.stop_job("a/../b?c#d e").await.unwrap();
    assert_eq!(server.seen()[0].target, "/api/v1/jobs/a%2F..%2Fb%3Fc%23d%20e/stop");
}

#[test]
fn no_status_that_is_unknown_counts_as_an_end() {
    for name in ["", "running", "BrandNewStatus"] {
        assert_eq!(Status::from_name(name), Status::Unknown);
        assert!(!Status::from_name(name).is_over());
    }
    let over = [
        "Succeeded",
        "Failed",
        "Stopped",
        "SucceededReserving",
        "FailedReserving",
        "Deleted",
        "SubmitFailed",
    ];
    assert!(over.iter().all(|name| Status::from_name(name).is_over()));
    assert!(Status::from_name("FailedReserving").holds_machines());
}
