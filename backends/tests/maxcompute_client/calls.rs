//! The client against a server that misbehaves: what is repeated, what is certain afterwards, and what a person reads.

use crate::scripted::{Seen, Step, answer};
use crate::stage::{PROJECT, SECRET, TOKEN, keys, stage, start_of_tests};
use async_trait::async_trait;
use retrial_backends::cloud::client::{CallError, Effect};
use retrial_backends::cloud::codes;
use retrial_backends::cloud::credentials::{Credentials, CredentialsError, Provider};
use retrial_backends::cloud::retry::{PENDING_TIME, Repeat};
use retrial_backends::maxcompute::account::bearer;
use retrial_backends::maxcompute::api::{Created, InstanceFilter};
use retrial_backends::maxcompute::codes as own;
use retrial_backends::maxcompute::job::{Job, Settings, SqlJob, XflowJob};
use retrial_backends::maxcompute::signature::{authorization, canonical};
use retrial_backends::maxcompute::watch::{self, Matches, SEARCH_WINDOW};
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

fn job() -> Job {
    let settings = Settings::new();
    Job::Sql(SqlJob { name: None, priority: 9, guid: None, settings, query: "select 1;".to_owned() })
        .with_guid("s1-t7-a1")
}

fn xml(status: u16, headers: &[(&str, &str)], code: &str, message: &str) -> Step {
    let body = format!(
        "<?xml version=\"1.0\"?>\n<Error><Code>{code}</Code><Message>{message}</Message><RequestId>R1</RequestId>\
         <HostId>h</HostId></Error>"
    );
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Step::Answer(status, headers, body)
}

fn accepted() -> Step {
    let location = ("Location".to_owned(), "http://x/api/projects/p/instances/20260101i1".to_owned());
    Step::Answer(201, vec![location], String::new())
}

fn conflict(seconds: &str) -> Step {
    xml(409, &[("Retry-After", seconds)], "InstanceConflict", "being created")
}

async fn submit(steps: Vec<Step>) -> (Vec<Seen>, Result<Created, CallError>) {
    let (_world, server, service) = stage(steps, Arc::new(keys(Some(TOKEN))), None).await;
    let result = service.create(&job(), Repeat::Never).await;
    if let Err(error) = &result {
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains(SECRET) && !shown.contains(TOKEN), "{shown}");
    }
    (server.seen(), result)
}

#[tokio::test]
async fn a_submission_whose_fate_is_not_known_is_not_repeated_and_a_query_that_changes_nothing_is() {
    for step in [
        Step::Drop,
        Step::Stall,
        answer(500, ""),
        answer(502, "<html>bad gateway</html>"),
        xml(503, &[], "ServiceUnavailable", "busy"),
        xml(500, &[], "InternalServerError", "ODPS-0010000:System internal error"),
        answer(201, ""),
        Step::Answer(201, vec![("Location".to_owned(), "/a/b c".to_owned())], String::new()),
    ] {
        let (seen, result) = submit(vec![step.clone(), accepted()]).await;
        let error = result.unwrap_err();
        assert_eq!(
            (seen.len(), error.code, error.effect),
            (1, codes::NO_ANSWER, Effect::Unknown),
            "{step:?}"
        );
        let (_world, server, service) = stage(vec![step, accepted()], Arc::new(keys(None)), None).await;
        assert_eq!(service.create(&job(), Repeat::Safe).await.unwrap().id, "20260101i1");
        assert_eq!(server.seen().len(), 2);
    }
}

#[tokio::test]
async fn a_submission_waits_for_an_earlier_copy_of_itself_as_long_as_it_is_told() {
    let (world, server, service) =
        stage(vec![conflict("7"), conflict("2"), accepted()], Arc::new(keys(None)), None).await;
    assert_eq!(service.create(&job(), Repeat::Never).await.unwrap().id, "20260101i1");
    let times: Vec<u64> = server.seen().iter().map(|seen| seen.at.as_secs()).collect();
    assert_eq!(times, [0, 7, 9]);
    assert!(server.seen().windows(2).all(|two| two[0].body == two[1].body));
    drop(world);
    // Without a time, five seconds; and not for ever.
    let silent = xml(409, &[], "InstanceConflict", "being created");
    let (_world, server, service) = stage(vec![silent; 60], Arc::new(keys(None)), None).await;
    let error = service.create(&job(), Repeat::Never).await.unwrap_err();
    assert_eq!((error.code, error.effect), (codes::PENDING, Effect::Unknown), "{error}");
    let times: Vec<Duration> = server.seen().iter().map(|seen| seen.at).collect();
    assert_eq!((times.len(), times[1], *times.last().unwrap()), (37, Duration::from_secs(5), PENDING_TIME));
}

#[tokio::test]
async fn after_an_earlier_copy_nothing_that_follows_makes_it_certain_that_there_is_none() {
    for step in [
        xml(400, &[], "ParseError", "ODPS-0130161:[1,8] Parse exception"),
        xml(403, &[], "NoPermission", "ODPS-0420095: Access Denied"),
        Step::Drop,
    ] {
        let (seen, result) = submit(vec![conflict("1"), step]).await;
        assert_eq!((seen.len(), result.unwrap_err().effect), (2, Effect::Unknown));
    }
    // Elsewhere the same answer is a plain refusal.
    let (_world, server, service) = stage(vec![conflict("1")], Arc::new(keys(None)), None).await;
    assert_eq!(service.terminate("i1").await.unwrap_err().effect, Effect::Nothing);
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_submission_that_was_certainly_refused_says_why_or_is_made_again() {
    let throttled = Step::Answer(
        429,
        vec![("Retry-After".to_owned(), "3".to_owned())],
        r#"{"Code": "FlowExceeded", "Message": "Your flow quota is exceeded.", "HostId": "localhost"}"#
            .to_owned(),
    );
    let (seen, result) = submit(vec![throttled, accepted()]).await;
    assert!(result.is_ok() && seen.len() == 2 && seen[1].at >= Duration::from_secs(3));
    let date = ("Date", "Mon, 23 Nov 2026 20:56:07 GMT");
    let skewed = xml(400, &[date], "RequestTimeTooSkewd", "ODPS-0410031:Authentication request expired");
    let (seen, result) = submit(vec![skewed, accepted()]).await;
    assert!(result.is_ok());
    assert_eq!((seen[1].header("date"), seen.len()), (date.1, 2));
}

#[tokio::test]
async fn a_refusal_names_the_place_the_reason_in_words_and_the_request() {
    for (step, code, parts) in [
        (
            xml(401, &[], "SignatureNotMatch", "ODPS-0410042:Invalid signature value"),
            codes::KEY_REFUSED,
            ["does not accept the access key", "the secret does not belong to the access key"],
        ),
        (
            xml(403, &[], "NoPermission", "ODPS-0420095: Access Denied - no 'odps:CreateInstance'"),
            codes::NO_PERMISSION,
            ["the permission is missing", "odps:CreateInstance"],
        ),
        (
            xml(404, &[], "NoSuchProject", "ODPS-0420111: Project not found - fake_project"),
            own::NO_PROJECT,
            ["fake_project", "projects of other regions are not seen from here"],
        ),
        (
            xml(400, &[], "ParseError", "ODPS-0130161:[1,8] Parse exception - invalid token"),
            own::BAD_SQL,
            ["[1,8] Parse exception", "the SQL is not correct"],
        ),
        (
            xml(400, &[], "InvalidParameter", "ODPS-0420061: Invalid parameter &lt;x&gt;"),
            codes::REQUEST_REFUSED,
            ["Invalid parameter <x>", "most often a setting or a name"],
        ),
    ] {
        let (seen, result) = submit(vec![step]).await;
        let error = result.unwrap_err();
        assert_eq!((seen.len(), error.code, error.effect), (1, code, Effect::Nothing), "{error}");
        let text = error.to_string();
        assert!(text.contains("CreateInstance: ") && text.contains("request R1"), "{text}");
        assert!(parts.iter().all(|part| text.contains(part)), "{text}");
    }
}

/// Gives other temporary keys after each refresh.
#[derive(Debug, Default)]
struct Renewed(AtomicUsize);

#[async_trait]
impl Provider for Renewed {
    async fn get(&self) -> Result<Credentials, CredentialsError> {
        let access_key_id = format!("STS.{}", self.0.load(Ordering::Relaxed));
        Ok(Credentials { access_key_id, ..keys(Some(TOKEN)) })
    }

    async fn refresh(&self) -> Result<Credentials, CredentialsError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        self.get().await
    }
}

#[tokio::test]
async fn an_expired_token_is_renewed_once() {
    let expired = || xml(401, &[], "AuthenticationRequestExpired", "the token is over");
    let (_world, server, service) = stage(vec![expired(), accepted()], Arc::<Renewed>::default(), None).await;
    assert!(service.create(&job(), Repeat::Never).await.is_ok());
    let ids: Vec<bool> =
        server.seen().iter().map(|seen| seen.header("authorization").contains("STS.1")).collect();
    assert_eq!(ids, [false, true]);
    let (_world, _server, service) = stage(vec![expired(), expired()], Arc::<Renewed>::default(), None).await;
    let error = service.create(&job(), Repeat::Never).await.unwrap_err();
    assert_eq!((error.code, error.effect), (codes::TOKEN_REFUSED, Effect::Nothing));
}

/// Whether a request is signed as it should be.
fn is_signed(seen: &Seen, region: Option<&str>) -> bool {
    let target = seen.target.strip_prefix("/api").unwrap();
    let headers = seen.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let text = canonical(&seen.method, target, headers);
    let expected = authorization(&text, "FAKEAKID", &SECRET.to_owned().into(), region, start_of_tests());
    seen.header("authorization") == expected
}

fn running() -> Step {
    answer(200, "<Instance><Status>Running</Status></Instance>")
}

#[tokio::test]
async fn requests_are_signed_by_v4_where_the_region_is_known_until_the_endpoint_refuses_that() {
    let region = Some("cn-hangzhou");
    let unknown =
        xml(401, &[], "InvalidParameter", "ODPS-0410051:Invalid credentials - accessKeyId not found");
    let steps = vec![running(), unknown.clone(), running(), running()];
    let (_world, server, service) = stage(steps, Arc::new(keys(Some(TOKEN))), region).await;
    for _ in 0..3 {
        service.instance("i1").await.unwrap();
    }
    let seen = server.seen();
    let signed: Vec<bool> = seen.iter().map(|one| is_signed(one, region)).collect();
    assert_eq!(signed, [true, true, false, false]);
    assert!(is_signed(&seen[2], None) && is_signed(&seen[3], None));
    assert!(seen.iter().all(|one| one.header("authorization-sts-token") == TOKEN));
    // A key that is wrong is wrong under both.
    let (_world, server, service) = stage(vec![unknown.clone(), unknown], Arc::new(keys(None)), region).await;
    let error = service.instance("i1").await.unwrap_err();
    assert_eq!((error.code, error.effect, server.seen().len()), (codes::KEY_REFUSED, Effect::Nothing, 2));
    assert!(error.message.contains("does not exist, or is switched off"), "{error}");
}

#[tokio::test]
async fn a_bearer_token_goes_without_any_signature() {
    let (_world, server, service) =
        stage(vec![running()], Arc::new(bearer(TOKEN.to_owned().into())), Some("cn-hangzhou")).await;
    service.instance("i1").await.unwrap();
    let seen = server.seen().remove(0);
    assert_eq!((seen.header("x-odps-bearer-token"), seen.header("authorization")), (TOKEN, ""));
}

#[tokio::test]
async fn reads_are_repeated_where_that_may_help() {
    let path = format!("{}/tests/vectors/maxcompute/errors.json", env!("CARGO_MANIFEST_DIR"));
    let vectors: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    for case in vectors["http_errors"].as_array().unwrap().iter().filter(|case| case["status"] != 201) {
        let status = case["status"].as_u64().unwrap() as u16;
        let headers = case["headers"].as_object().unwrap().iter();
        let headers = headers.map(|(key, value)| (key.clone(), value.as_str().unwrap().to_owned())).collect();
        let step = Step::Answer(status, headers, case["body"].as_str().unwrap().to_owned());
        let (_world, server, service) = stage(vec![step, running()], Arc::new(keys(None)), None).await;
        let result = service.instance("i1").await;
        let again = status >= 500 || status == 429;
        assert_eq!(
            (server.seen().len(), result.is_ok()),
            (1 + usize::from(again), again),
            "{}",
            case["name"]
        );
    }
}

fn listed(ids: &[&str], marker: &str) -> Step {
    let all: Vec<String> = ids
        .iter()
        .map(|id| format!("<Instance><Name>{id}</Name><Status>Running</Status></Instance>"))
        .collect();
    answer(200, &format!("<Instances><Marker>{marker}</Marker>{}</Instances>", all.concat()))
}

#[tokio::test]
async fn lists_are_followed_page_by_page_to_their_end_and_no_further() {
    let pages = vec![listed(&["a", "b"], "m1"), listed(&["b", "c"], "")];
    let (_world, server, service) = stage(pages, Arc::new(keys(None)), None).await;
    let list = service.list_all(&InstanceFilter::default()).await.unwrap();
    let ids: Vec<&str> = list.instances.iter().map(|one| one.id.as_str()).collect();
    assert_eq!((ids, list.complete), (vec!["a", "b", "c"], true));
    assert!(server.seen()[1].target.contains("marker=m1"));
    let circle = vec![listed(&["a"], "m1"), listed(&["a"], "m1")];
    let (_world, _server, service) = stage(circle, Arc::new(keys(None)), None).await;
    assert!(!service.list_all(&InstanceFilter::default()).await.unwrap().complete);
}

fn source(guid: &str) -> Step {
    answer(
        200,
        &format!("<Instance><XflowInstance><Xflow>k</Xflow><Guid>{guid}</Guid></XflowInstance></Instance>"),
    )
}

#[tokio::test]
async fn a_submission_is_found_by_its_name_among_those_of_its_time() {
    let flow = Job::Xflow(XflowJob {
        project: "algo_public".to_owned(),
        name: "kmeans".to_owned(),
        parameters: Vec::new(),
        guid: Some("s1-t7-a1".to_owned()),
        priority: None,
        settings: Settings::new(),
    });
    let other_kind = xml(400, &[], "InvalidArgument", "not an xflow");
    let list = listed(&["old", "x", "y", "z"], "");
    // What was looked at once needs no second look, whoever is looked for.
    let steps = vec![list.clone(), source("s1-t8-a1"), source("s1-t7-a1"), other_kind, list.clone(), list];
    let (_world, server, service) = stage(steps, Arc::new(keys(None)), None).await;
    let seen = watch::Seen::default();
    seen.note("old", "s1-t6-a1".to_owned());
    for (guid, id) in [("s1-t7-a1", "y"), ("s1-t8-a1", "x"), ("s1-t6-a1", "old")] {
        let found = service.find(&flow.clone().with_guid(guid), start_of_tests(), &seen).await.unwrap();
        assert_eq!(found, Matches { found: vec![id.to_owned()], complete: true });
    }
    assert_eq!(server.seen().len(), 6);
    let from = (start_of_tests().0 - SEARCH_WINDOW.0 as i64) / 1_000;
    assert!(
        server.seen()[0].target.contains(&format!("daterange={from}%3A&")),
        "{}",
        server.seen()[0].target
    );
    assert!(server.seen()[0].target.contains("onlyowner=yes"));
    // What cannot be looked at leaves the question open.
    let (_world, _server, service) = stage(vec![listed(&["x"], ""); 1], Arc::new(keys(None)), None).await;
    assert!(service.find(&flow, start_of_tests(), &watch::Seen::default()).await.is_err());
}

#[tokio::test]
async fn names_that_would_lead_elsewhere_are_not_sent() {
    let (_world, server, service) = stage(Vec::new(), Arc::new(keys(None)), None).await;
    for id in ["", ".", ".."] {
        assert_eq!(service.instance(id).await.unwrap_err().effect, Effect::Nothing);
    }
    assert_eq!(server.seen().len(), 0);
    let (_world, server, service) = stage(vec![running()], Arc::new(keys(None)), None).await;
    service.instance("a/../b?c").await.unwrap();
    let target = &server.seen()[0].target;
    assert_eq!(target, &format!("/api/projects/{PROJECT}/instances/a%2F..%2Fb%3Fc?curr_project={PROJECT}"));
}
