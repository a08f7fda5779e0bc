//! Every flow that the official client was recorded with: our requests say the same, and we make the same of the answers.

use crate::scripted::{Seen, Step};
use crate::stage::{keys, stage};
use engine::time::Timestamp;
use retrial_backends::cloud::retry::Repeat;
use retrial_backends::cloud::skew::http_date;
use retrial_backends::cloud::xml::Element;
use retrial_backends::maxcompute::api::{InstanceFilter, MaxCompute};
use retrial_backends::maxcompute::codes;
use retrial_backends::maxcompute::job::{Job, Settings, SqlJob, XflowJob};
use retrial_backends::maxcompute::model::InstanceStatus;
use retrial_backends::maxcompute::result::Table;
use retrial_backends::maxcompute::watch::End;
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;

fn capture(name: &str) -> Value {
    let path = format!("{}/tests/vectors/maxcompute/capture_{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// What the official client asks for and ours does not: what the tenant allows, and counts of its own use.
const NOT_OURS: [&str; 3] = ["/tenants", "/logs", "?instancestatus"];

/// The exchanges of a capture that ours repeats, in their order.
fn exchanges(name: &str) -> Vec<Value> {
    let all = capture(name)["exchanges"].as_array().unwrap().clone();
    all.into_iter()
        .filter(|one| !NOT_OURS.iter().any(|part| one["request"]["target"].as_str().unwrap().contains(part)))
        .collect()
}

fn step(exchange: &Value) -> Step {
    let response = &exchange["response"];
    let headers = response["headers"].as_object().unwrap().iter();
    let headers = headers.filter(|(key, _)| key.as_str() != "Content-Length");
    let headers = headers.map(|(key, value)| (key.clone(), value.as_str().unwrap().to_owned())).collect();
    let body = response["body"].as_str().unwrap().to_owned();
    Step::Answer(response["status"].as_u64().unwrap() as u16, headers, body)
}

/// A client that is answered as the official one was.
async fn replay(exchanges: &[Value]) -> (crate::scripted::Scripted, MaxCompute) {
    let steps = exchanges.iter().map(step).collect();
    let (_world, server, service) = stage(steps, Arc::new(keys(None)), None).await;
    (server, service)
}

/// The parts of a target, whose order means nothing.
fn parts(target: &str) -> (String, BTreeSet<String>) {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    (path.to_owned(), query.split('&').map(|part| part.trim_end_matches('=').to_owned()).collect())
}

/// An element without blanks between elements, and without what differs by nature or is not ours.
fn plain(mut element: Element) -> Element {
    element.unparsed = false;
    element.text = element.text.trim().to_owned();
    element.children.retain(|child| {
        let name = child.value("Name");
        let differs = child.name == "Property" && (name == "uuid" || name == "aliases");
        !differs && child.name != "RunningCluster"
    });
    let settings = element.value("Name") == "settings";
    for child in &mut element.children {
        if settings && child.name == "Value" {
            let mut map: Settings = serde_json::from_str(&child.text).unwrap();
            map.retain(|key, _| !key.starts_with("PYODPS_"));
            child.text = serde_json::to_string(&map).unwrap();
        }
    }
    element.children = element.children.into_iter().map(plain).collect();
    element
}

fn assert_same(seen: &[Seen], exchanges: &[Value]) {
    assert_eq!(seen.len(), exchanges.len());
    for (ours, theirs) in seen.iter().zip(exchanges) {
        let theirs = &theirs["request"];
        assert_eq!(ours.method, theirs["method"].as_str().unwrap());
        assert_eq!(parts(&ours.target), parts(theirs["target"].as_str().unwrap()));
        let kind = theirs["headers"].as_array().unwrap().iter().find(|pair| pair[0] == "Content-Type");
        assert_eq!(ours.header("content-type"), kind.map_or("", |pair| pair[1].as_str().unwrap()));
        let body = theirs["body"].as_str().unwrap();
        if body.starts_with('<') {
            let tree = |bytes: &[u8]| plain(Element::parse(bytes).unwrap());
            assert_eq!(tree(&ours.body), tree(body.as_bytes()));
        } else if !body.is_empty() {
            let value = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap();
            assert_eq!(value(&ours.body), value(body.as_bytes()));
        }
    }
}

fn settings(pairs: &[(&str, &str)]) -> Settings {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn sql(query: &str) -> SqlJob {
    SqlJob { name: None, priority: 9, guid: None, settings: Settings::new(), query: query.to_owned() }
}

fn xflow(parameters: &[(&str, &str)]) -> XflowJob {
    XflowJob {
        project: "algo_public".to_owned(),
        name: "xgboost".to_owned(),
        parameters: parameters.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        guid: None,
        priority: None,
        settings: Settings::new(),
    }
}

#[tokio::test]
async fn instances_are_created_with_the_bodies_of_the_official_client() {
    let full = SqlJob {
        priority: 3,
        guid: Some("hpo-exp1-trial7-a1".to_owned()),
        settings: settings(&[
            ("odps.sql.submit.mode", "script"),
            ("odps.sql.reducer.instances", "4"),
            ("odps.sql.allow.fullscan", "true"),
            ("odps.sql.allow.namespace.schema", "true"),
            ("odps.namespace.schema", "true"),
            ("odps.default.schema", "myschema"),
            ("odps.task.wlm.quota", "q1"),
        ]),
        ..sql("select '<&>\"' as s, '中文' as c from t -- x;")
    };
    let sets = SqlJob {
        settings: settings(&[("odps.sql.mapper.split.size", "16"), ("odps.sql.submit.mode", "script")]),
        ..sql("set odps.sql.mapper.split.size=16;\nset odps.sql.submit.mode=script;\nselect 1;")
    };
    let hints = XflowJob {
        priority: Some(1),
        settings: settings(&[("odps.task.workflow.custom_job_name", "hpo-exp1-trial8")]),
        ..xflow(&[
            ("inputTableName", "p2.train_t"),
            ("modelName", "fake_project/offlinemodels/xgb_m8"),
            ("eta", "0.1"),
        ])
    };
    let guid = XflowJob {
        guid: Some("hpo-exp1-trial9-a1".to_owned()),
        priority: Some(1),
        ..xflow(&[("eta", "0.2")])
    };
    let minimal = xflow(&[
        ("inputTableName", "fake_project.train_t"),
        ("modelName", "fake_project/offlinemodels/xgb_m7"),
        ("labelColName", "y"),
        ("featureColNames", "f0,f1"),
        ("eta", "0.3"),
        ("max_depth", "6"),
        ("numRound", "10"),
        ("note", "a<b & \"c\" 中"),
    ]);
    for (name, job) in [
        ("create_sql_minimal", Job::Sql(sql("select auc from t_metric where trial = 7;"))),
        ("create_sql_full", Job::Sql(full)),
        ("create_sql_set_statements", Job::Sql(sets)),
        ("create_xflow_minimal", Job::Xflow(minimal)),
        ("create_xflow_hints", Job::Xflow(hints)),
        ("create_xflow_guid_rawxml", Job::Xflow(guid)),
    ] {
        let exchanges = exchanges(name);
        let (server, service) = replay(&exchanges).await;
        let created = service.create(&job, Repeat::Never).await.unwrap();
        let expected = capture(name)["pyodps_outcome"]["instance_id"].as_str().unwrap().to_owned();
        assert_eq!((created.id, created.results.is_empty()), (expected, true), "{name}");
        assert_same(&server.seen(), &exchanges);
    }
}

#[tokio::test]
async fn a_second_submission_is_the_same_byte_for_byte_and_gives_the_same_instance() {
    let exchanges = exchanges("create_sql_same_guid_twice");
    let (server, service) = replay(&exchanges).await;
    let job = Job::Sql(sql("select 1;")).with_guid("same-guid");
    let first = service.create(&job, Repeat::Never).await.unwrap();
    let second = service.create(&job, Repeat::Never).await.unwrap();
    assert_eq!(first, second);
    let seen = server.seen();
    assert_eq!(seen[0].body, seen[1].body);
    assert_same(&seen[..1], &exchanges[..1]);
}

#[tokio::test]
async fn an_instance_that_ended_at_once_brings_its_result() {
    let exchanges = exchanges("create_sql_instant_result");
    let (server, service) = replay(&exchanges).await;
    let job = Job::Sql(sql("select 1 -- INSTANT;"));
    let created = service.create(&job, Repeat::Safe).await.unwrap();
    assert_eq!(Table::read(&created.results[0].text).unwrap().numbers(&["auc"]), Ok(vec![0.91]));
    assert_same(&server.seen(), &exchanges);
}

/// Of what the official client asked about one instance, what ours asks: how far it is until it has ended, and then each
/// other thing once. Also how often it asks how far it is, and the instance.
fn followed(name: &str) -> (Vec<Value>, usize, String) {
    let all = capture(name)["exchanges"].as_array().unwrap().clone();
    let target = |one: &Value| one["request"]["target"].as_str().unwrap().to_owned();
    let all: Vec<Value> = all.into_iter().filter(|one| target(one).contains("/instances/")).collect();
    let id = parts(&target(&all[0])).0.rsplit('/').next().unwrap().to_owned();
    let over = |one: &Value| one["response"]["body"].as_str().unwrap().contains("Status>Terminated");
    let (mut polls, mut later): (Vec<Value>, Vec<Value>) = (Vec::new(), Vec::new());
    for mut one in
        all.into_iter().filter(|one| one["request"]["method"] == "GET" && target(one).contains(&id))
    {
        let plain = target(&one).replace("?instancestatus&", "?");
        if !plain.contains("?curr_project") {
            if !later.iter().any(|seen| target(seen) == plain) {
                later.push(one);
            }
        } else if !polls.iter().any(over) {
            one["request"]["target"] = plain.into();
            polls.push(one);
        }
    }
    let count = polls.len();
    polls.extend(later);
    (polls, count, id)
}

#[tokio::test]
async fn the_life_of_an_instance_is_followed_to_its_end() {
    for name in ["poll_success", "poll_failure", "terminate", "xflow_poll_success", "xflow_poll_failure"] {
        let (wanted, polls, id) = followed(name);
        let (server, service) = replay(&wanted).await;
        for _ in 1..polls {
            let sight = service.look(&id).await.unwrap();
            assert_eq!((sight.instance.status, sight.end), (InstanceStatus::Running, None), "{name}");
        }
        let sight = service.look(&id).await.unwrap();
        let at = |text: &str| Some(http_date(text).unwrap());
        assert_eq!(sight.instance.owner, "ALIYUN$fake@example.com");
        assert_eq!(sight.instance.started, at("Mon, 05 Jan 2026 03:04:05 GMT"), "{name}");
        assert_eq!(sight.instance.ended, at("Mon, 05 Jan 2026 03:04:15 GMT"), "{name}");
        match sight.end.unwrap() {
            End::Succeeded => assert!(name.ends_with("success"), "{name}"),
            End::Cancelled => assert_eq!(name, "terminate"),
            End::Failed(failure) => {
                assert!(name.ends_with("failure"), "{name}");
                assert_eq!(failure.code, codes::NO_TABLE);
                assert!(failure.said.starts_with("ODPS-0130131:[1,15] Table not found"), "{failure}");
            }
            End::Unclear(why) => panic!("{name}: {why}"),
        }
        assert_same(&server.seen(), &wanted);
    }
}

#[tokio::test]
async fn what_is_asked_about_an_instance_is_asked_as_the_official_client_does() {
    let (sql, flow) = ("202601050304050011gabcdefgh11", "20260105030405008gabcdefgh8");
    for name in [
        "attach_existing",
        "get_result_csv",
        "progress",
        "summary",
        "source",
        "xflow_source",
        "xflow_results",
    ] {
        let mut exchanges = exchanges(name);
        exchanges.dedup_by_key(|one| one["request"]["target"].clone());
        if name == "get_result_csv" {
            exchanges.retain(|one| one["request"]["target"].as_str().unwrap().contains("?result"));
        }
        let (server, service) = replay(&exchanges).await;
        match name {
            "attach_existing" => {
                assert_eq!(service.instance(sql).await.unwrap().status, InstanceStatus::Terminated);
            }
            "get_result_csv" => {
                let results = service.results(sql).await.unwrap();
                assert_eq!(
                    (results[0].format.as_str(), results[0].text.as_str()),
                    ("csv", "\"auc\"\n\"0.91\"\n")
                );
            }
            "progress" => {
                let stages = service.progress(sql, "AnonymousSQLTask").await.unwrap();
                let stage = &stages[0];
                assert_eq!((stage.id.as_str(), stage.percent, stage.total), ("M1_Stg1_job0", 100, 1));
            }
            "summary" => {
                let summary = service.summary(sql, "AnonymousSQLTask").await.unwrap();
                assert_eq!(summary.detail, capture(name)["pyodps_outcome"]["summary"]);
                assert_eq!(summary.text, "resource cost: cpu 0.03 Core * Min");
            }
            "source" => {
                let source = service.source("20260105030405005gabcdefgh5").await.unwrap();
                assert_eq!((source.guid.as_str(), source.what.as_str()), ("same-guid", "select 1;"));
            }
            "xflow_source" => {
                let source = service.xflow_source(flow).await.unwrap();
                assert_eq!((source.guid.as_str(), source.what.as_str()), ("hpo-exp1-trial9-a1", "xgboost"));
            }
            _ => {
                let actions = service.actions(flow).await.unwrap();
                let shown: Vec<_> =
                    actions.iter().map(|a| (&*a.name, &*a.kind, &*a.instance, &*a.result)).collect();
                let sub = "20260105030405008gabcdefgh8sub1";
                assert_eq!(shown, [("check", "Local", "", ""), ("train", "Instance", sub, "ok")]);
            }
        }
        assert_same(&server.seen(), &exchanges);
    }
}

#[tokio::test]
async fn lists_are_asked_for_and_read_as_by_the_official_client() {
    let wide = InstanceFilter {
        status: Some("Terminated".to_owned()),
        from: Some(Timestamp(1_767_582_000_000)),
        to: Some(Timestamp(1_767_585_600_000)),
        own: true,
        ..InstanceFilter::default()
    };
    let named = InstanceFilter {
        name: Some("hpo-exp1".to_owned()),
        page_size: Some(10),
        ..InstanceFilter::default()
    };
    for (name, filter) in [("list_instances", wide), ("list_instances_jobname", named)] {
        let exchanges = exchanges(name);
        let (server, service) = replay(&exchanges).await;
        let page = service.list(&filter).await.unwrap();
        assert_eq!((page.instances.len(), page.marker.as_str()), (13, ""), "{name}");
        assert!(page.instances.iter().all(|one| one.started.is_some() && one.owner.starts_with("ALIYUN$")));
        assert_same(&server.seen(), &exchanges);
    }
}

#[tokio::test]
async fn a_link_to_the_console_is_that_of_the_official_client_and_is_not_shown() {
    let mut exchanges = exchanges("client_init");
    exchanges.extend(self::exchanges("logview"));
    let (server, service) = replay(&exchanges).await;
    let link = service.logview("202601050304050011gabcdefgh11", 720).await.unwrap();
    let expected = capture("logview")["pyodps_outcome"]["url"].as_str().unwrap().to_owned();
    let ours = link.expose().replace(&server.address, "127.0.0.1:18080");
    assert_eq!((ours, format!("{link:?}")), (expected, "***".to_owned()));
    let mut seen = server.seen();
    // The address of a console belongs to no project.
    seen[0].target = exchanges[0]["request"]["target"].as_str().unwrap().to_owned();
    assert_same(&seen, &exchanges);
}

#[tokio::test]
async fn an_instance_is_ended_as_by_the_official_client() {
    let mut exchanges = exchanges("terminate");
    exchanges.retain(|one| one["request"]["method"] == "PUT");
    let (server, service) = replay(&exchanges).await;
    service.terminate("202601050304050013gabcdefgh13").await.unwrap();
    assert_same(&server.seen(), &exchanges);
}

#[tokio::test]
async fn what_does_not_exist_is_said_so() {
    let exchanges = exchanges("not_found");
    let (server, service) = replay(&exchanges).await;
    let error = service.instance("nope").await.unwrap_err();
    assert_eq!(error.code, retrial_backends::cloud::codes::NOT_FOUND, "{error}");
    assert!(
        error.message.contains("Instance not found - nope (NoSuchObject, HTTP 404, request 0000"),
        "{error}"
    );
    assert_same(&server.seen(), &exchanges);
}
