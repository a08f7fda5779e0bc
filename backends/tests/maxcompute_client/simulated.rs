//! The client against a simulated MaxCompute, which checks signatures, runs SQL and algorithms, and fails as it is told.

use retrial_backends::cloud::client::{CallError, Client, Effect, Limits};
use retrial_backends::cloud::codes;
use retrial_backends::cloud::credentials::Credentials;
use retrial_backends::cloud::http::{Http, HttpSettings};
use retrial_backends::cloud::rate::Rates;
use retrial_backends::cloud::retry::Repeat;
use retrial_backends::cloud::world::{SystemWorld, World};
use retrial_backends::maxcompute::api::{InstanceFilter, MaxCompute};
use retrial_backends::maxcompute::codes as own;
use retrial_backends::maxcompute::command::{Defaults, parse};
use retrial_backends::maxcompute::endpoint::{Endpoint, Network};
use retrial_backends::maxcompute::job::Job;
use retrial_backends::maxcompute::protocol::Odps;
use retrial_backends::maxcompute::result::{NoNumber, Table};
use retrial_backends::maxcompute::tunnel::Tunnel;
use retrial_backends::maxcompute::watch::{End, Seen};
use serde_json::{Value, json};
use simulators::maxcompute::Simulator;
use std::sync::Arc;
use std::time::{Duration, Instant};

const PROJECT: &str = "simulated_project";
/// How long an instance may take to end.
const PATIENCE: Duration = Duration::from_mins(1);

fn simulator(more: &Value) -> Simulator {
    let mut script = json!({"life": {"waiting_ms": 0, "running_ms": 0}});
    for (key, value) in more.as_object().unwrap() {
        script[key] = value.clone();
    }
    Simulator::anywhere(serde_json::from_value(script).unwrap()).unwrap()
}

fn keys(token: Option<&str>) -> Credentials {
    Credentials {
        access_key_id: "LTAISimulatedKey".to_owned(),
        access_key_secret: "simulated-secret".to_owned().into(),
        security_token: token.map(|token| token.to_owned().into()),
    }
}

fn client(odps: Odps, credentials: Credentials) -> Client {
    let settings = HttpSettings { timeout: Duration::from_secs(10), ..HttpSettings::default() };
    Client::new(
        Http::new(&settings).unwrap(),
        Arc::new(SystemWorld::default()) as Arc<dyn World>,
        Arc::new(credentials),
        Box::new(odps),
        Limits { rates: Rates::of(1_000.0), ..Limits::default() },
    )
}

fn endpoint(simulator: &Simulator, region: Option<&str>) -> Endpoint {
    Endpoint::find(Some(&simulator.endpoint()), region, Network::Public, "run.maxcompute").unwrap()
}

fn connect(
    simulator: &Simulator,
    credentials: Credentials,
    region: Option<&str>,
    project: &str,
) -> MaxCompute {
    let odps = Odps::new(endpoint(simulator, region), project, "retrial/test");
    MaxCompute::new(client(odps, credentials), project, simulator.endpoint())
}

fn job(command: &str, guid: &str) -> Job {
    let defaults = Defaults { project: PROJECT.to_owned(), ..Defaults::default() };
    parse(command, &defaults, "run.command").unwrap().with_guid(guid)
}

/// The end of an instance.
async fn end(service: &MaxCompute, id: &str) -> End {
    let begun = Instant::now();
    loop {
        if let Some(end) = service.look(id).await.unwrap().end {
            return end;
        }
        assert!(begun.elapsed() < PATIENCE, "{id} does not end");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn run(service: &MaxCompute, command: &str, guid: &str) -> (String, End) {
    let created = service.create(&job(command, guid), Repeat::Never).await.unwrap();
    let end = end(service, &created.id).await;
    (created.id, end)
}

/// The numbers that a query gives.
async fn numbers(service: &MaxCompute, query: &str, wanted: &[&str]) -> Result<Vec<f64>, NoNumber> {
    let (id, end) = run(service, query, &format!("read {query}")).await;
    assert_eq!(end, End::Succeeded, "{query}");
    let results = service.results(&id).await.unwrap();
    Table::read(&results[0].text)?.numbers(wanted)
}

#[tokio::test]
async fn a_metric_is_written_by_tasks_and_read_by_both_ways() {
    for (region, described) in [(None, false), (Some("cn-shanghai"), true)] {
        let simulator = simulator(&json!({"region": "cn-shanghai", "results": {"described": described}}));
        let service = connect(&simulator, keys(None), region, PROJECT);
        assert_eq!(service.project().await.unwrap().name, PROJECT);
        let made = "set odps.sql.allow.fullscan=true;\ncreate table if not exists m (trial string, auc double) -- made";
        assert_eq!(run(&service, made, "g1").await.1, End::Succeeded);
        let filled = "insert overwrite table m select 't1', 0.75";
        assert_eq!(run(&service, filled, "g2").await.1, End::Succeeded);
        let query = "select auc, cast(auc as string) as text, trial from m where trial = 't1'";
        assert_eq!(numbers(&service, query, &["AUC", "text"]).await, Ok(vec![0.75, 0.75]));
        assert_eq!(
            numbers(&service, "select auc from m where trial = 't2'", &["auc"]).await,
            Err(NoNumber::NoRow)
        );
        let null = numbers(&service, "select cast(null as double) as auc from m", &["auc"]).await;
        assert_eq!(null, Err(NoNumber::Null("auc".to_owned())));

        let (id, _) = run(&service, query, "g3").await;
        let host = service.tunnel_host().await.unwrap();
        let tunnel = endpoint(&simulator, region).tunnel(&host).unwrap();
        let odps = Odps::new(tunnel, PROJECT, "retrial/test").for_tunnel();
        let tunnel = Tunnel::new(client(odps, keys(None)), PROJECT);
        let session = tunnel.open(&id, true).await.unwrap();
        let table = tunnel.rows(&id, &session, 0, session.rows).await.unwrap();
        assert_eq!(table.numbers(&["auc"]), Ok(vec![0.75]), "{table:?}");
    }
}

#[tokio::test]
async fn an_algorithm_runs_and_is_found_by_the_name_of_its_submission() {
    let simulator = simulator(&json!({}));
    let service = connect(&simulator, keys(None), None, PROJECT);
    let rows: Vec<String> = [(1, 2), (1, 3), (1, 4), (0, 3), (0, 4), (9, 9), (9, 8), (8, 9)]
        .iter()
        .map(|(x, y)| format!("select {x} as f0, {y} as f1"))
        .collect();
    let points = format!("create table points as {}", rows.join(" union all "));
    assert_eq!(run(&service, &points, "g1").await.1, End::Succeeded);
    let train = "pai -name kmeans -project algo_public -DinputTableName=points -DselectedColNames=f0,f1 -DcenterCount=2 \
                 -Dloop=10 -Daccuracy=0.01 -DdistanceType=euclidean -DinitCenterMethod=random -Dseed=1 \
                 -DmodelName=model_1 -DidxTableName=idx_1 -DclusterCountTableName=count_1 -DcenterTableName=center_1;";
    let before = service.client().now();
    let (id, trained) = run(&service, train, "g2").await;
    assert_eq!(trained, End::Succeeded);
    let matches = service.find(&job(train, "g2"), before, &Seen::default()).await.unwrap();
    assert_eq!((matches.found, matches.complete), (vec![id], true));
    let judge = "PAI -name cluster_evaluation -project algo_public -DinputTableName=points -DselectedColNames=f0,f1 \
                 -DmodelName=model_1 -DoutputTableName=judged_1;";
    assert_eq!(run(&service, judge, "g3").await.1, End::Succeeded);
    let query = "select get_json_object(summary, '$.calinhara') as vrc from judged_1";
    assert!(numbers(&service, query, &["vrc"]).await.unwrap()[0] > 1.0);
}

#[tokio::test]
async fn a_task_that_fails_says_why_and_one_that_is_ended_was_cancelled() {
    let simulator = simulator(&json!({
        "rules": [{"contains": "slow", "life": {"running_ms": 600_000}},
            {"contains": "broken", "life": {"fails": "ODPS-0010000:System internal error - fuxi job failed"}}],
    }));
    let service = connect(&simulator, keys(None), None, PROJECT);
    for (number, (command, code)) in [
        ("select a from nowhere", own::NO_TABLE),
        ("selec 1", own::BAD_SQL),
        ("select 'broken'", own::SERVICE_FAILED),
    ]
    .into_iter()
    .enumerate()
    {
        match run(&service, command, &format!("g{number}")).await.1 {
            End::Failed(failure) => assert_eq!(failure.code, code, "{failure}"),
            other => panic!("{command}: {other:?}"),
        }
    }
    let slow = service.create(&job("select 'slow'", "slow"), Repeat::Never).await.unwrap();
    service.terminate(&slow.id).await.unwrap();
    assert_eq!(end(&service, &slow.id).await, End::Cancelled);
    let own = InstanceFilter { own: true, page_size: Some(3), ..InstanceFilter::default() };
    let list = service.list_all(&own).await.unwrap();
    assert_eq!((list.instances.len(), list.complete), (4, true));
}

/// Submits once more under the same name until it is told which instance there is.
async fn persist(service: &MaxCompute, job: &Job) -> String {
    let begun = Instant::now();
    loop {
        match service.create(job, Repeat::Never).await {
            Ok(created) => return created.id,
            Err(CallError { effect: Effect::Nothing, message, .. }) => panic!("{message}"),
            Err(_) => assert!(begun.elapsed() < PATIENCE),
        }
    }
}

#[tokio::test]
async fn whatever_happens_to_its_submissions_an_sql_job_becomes_one_instance() {
    let fault = |chance: f64, answer: Value, acts: bool| json!({"operation": "CreateInstance", "times": 0, "chance": chance, "acts": acts, "answer": answer});
    let error = |status: u16| json!({"error": {"status": status, "code": "InternalServerError"}});
    let simulator = simulator(&json!({
        "seed": 5, "conflict_ms": 1,
        "faults": [fault(0.3, json!("drop"), true), fault(0.3, error(500), true), fault(0.2, error(503), false),
            fault(0.2, json!({"cut": 40}), true)],
    }));
    let service = connect(&simulator, keys(None), None, PROJECT);
    for number in 0..40 {
        let job = job(&format!("select {number}"), &format!("t{number}"));
        let id = persist(&service, &job).await;
        assert_eq!(end(&service, &id).await, End::Succeeded);
    }
    assert_eq!((simulator.instances(<[_]>::len), simulator.duplicates().len()), (40, 0));
}

#[tokio::test]
async fn who_may_not_call_or_calls_elsewhere_learns_why() {
    let simulator = simulator(&json!({"accounts": [
        {"security_token": "planted", "expires_at": "2020-01-01T00:00:00Z"},
        {"access_key_id": "reader", "access_key_secret": "planted-2", "denied": ["CreateInstance"]},
        {"bearer_token": "b", "access_key_id": "writer", "access_key_secret": "planted-3"},
    ]}));
    let with = |id: &str, secret: &str| Credentials {
        access_key_id: id.to_owned(),
        access_key_secret: secret.to_owned().into(),
        security_token: None,
    };
    for (credentials, project, code) in [
        (keys(Some("planted")), PROJECT, codes::TOKEN_REFUSED),
        (with("nobody", "planted-2"), PROJECT, codes::KEY_REFUSED),
        (with("reader", "wrong"), PROJECT, codes::KEY_REFUSED),
        (with("reader", "planted-2"), PROJECT, codes::NO_PERMISSION),
        (with("writer", "planted-3"), "elsewhere", own::NO_PROJECT),
    ] {
        let service = connect(&simulator, credentials, None, project);
        let error = service.create(&job("select 1", "g"), Repeat::Never).await.unwrap_err();
        assert_eq!((error.code, error.effect), (code, Effect::Nothing), "{error}");
    }
    let bearer = retrial_backends::maxcompute::account::bearer("b".to_owned().into());
    connect(&simulator, bearer, None, PROJECT).project().await.unwrap();
}
