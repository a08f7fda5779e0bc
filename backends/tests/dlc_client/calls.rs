//! The client of the clouds against a server that misbehaves as it is told.

use crate::scripted::{Scripted, Step, Still, answer, fault};
use async_trait::async_trait;
use engine::time::{Span, Timestamp};
use retrial_backends::cloud::client::{Call, CallError, Client, Effect, Limits};
use retrial_backends::cloud::codes;
use retrial_backends::cloud::credentials::{Credentials, CredentialsError, Provider};
use retrial_backends::cloud::http::{Http, HttpSettings};
use retrial_backends::cloud::proxy::ProxySettings;
use retrial_backends::cloud::rate::Lane;
use retrial_backends::cloud::retry::Repeat;
use retrial_backends::cloud::secret::Secret;
use retrial_backends::cloud::world::World;
use retrial_backends::dlc::endpoint::{Endpoint, Network};
use retrial_backends::dlc::protocol::Acs3;
use retrial_backends::dlc::signature::{Fault, Keys, Received, date_from_text, verify};
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const SECRET: &str = "planted-secret";
const TOKEN: &str = "planted/token==";

/// Gives temporary credentials, and others after each refresh.
#[derive(Debug, Default)]
struct Temporary(AtomicUsize);

impl Temporary {
    fn now(&self) -> Credentials {
        Credentials {
            access_key_id: format!("STS.{}", self.0.load(Ordering::Relaxed)),
            access_key_secret: Secret::new(SECRET.to_owned()),
            security_token: Some(Secret::new(TOKEN.to_owned())),
        }
    }
}

#[async_trait]
impl Provider for Temporary {
    async fn get(&self) -> Result<Credentials, CredentialsError> {
        Ok(self.now())
    }

    async fn refresh(&self) -> Result<Credentials, CredentialsError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(self.now())
    }
}

fn start_of_tests() -> Timestamp {
    date_from_text("2026-01-02T03:04:05Z").unwrap()
}

fn client_of(world: &Arc<Still>, address: &str, limits: Limits) -> Client {
    let settings =
        HttpSettings { timeout: Duration::from_millis(300), answer_bound: 4_096, ..HttpSettings::default() };
    let endpoint =
        Endpoint::find(Some(&format!("http://{address}")), None, Network::Public, "run.dlc").unwrap();
    let protocol = Box::new(Acs3::new(endpoint, "retrial/test"));
    let world: Arc<dyn World> = Arc::clone(world) as Arc<dyn World>;
    Client::new(Http::new(&settings).unwrap(), world, Arc::new(Temporary::default()), protocol, limits)
}

async fn stage(steps: Vec<Step>) -> (Arc<Still>, Scripted, Client) {
    let world = Still::new(start_of_tests());
    let server = Scripted::start(&world, steps).await;
    let client = client_of(&world, &server.address, Limits::default());
    (world, server, client)
}

fn read() -> Call {
    Call {
        action: "GetJob",
        method: "GET",
        path: "/api/v1/jobs/dlc1".to_owned(),
        query: vec![("NeedDetail".to_owned(), "a b+中".to_owned())],
        body: Vec::new(),
        repeat: Repeat::Safe,
        bulk: false,
    }
}

fn submission() -> Call {
    Call {
        action: "CreateJob",
        method: "POST",
        path: "/api/v1/jobs".to_owned(),
        query: Vec::new(),
        body: b"{\"a\":1}".to_vec(),
        repeat: Repeat::Never,
        bulk: false,
    }
}

fn job_id(value: &Value) -> Result<String, String> {
    value["JobId"].as_str().map(str::to_owned).ok_or_else(|| "it has no JobId".to_owned())
}

const OK: &str = r#"{"JobId":"dlc1","RequestId":"R"}"#;

/// How often a call is sent, and how it ends, if the server does `first` and then answers well.
async fn outcome(call: &Call, first: Step) -> (usize, Result<String, CallError>) {
    let (_world, server, client) = stage(vec![first, answer(200, OK)]).await;
    let result = client.call(call, job_id).await;
    if let Err(error) = &result {
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains(SECRET) && !shown.contains(TOKEN), "{shown}");
    }
    (server.seen().len(), result)
}

#[tokio::test]
async fn what_is_in_doubt_is_repeated_for_reads_and_never_for_submissions() {
    let doubtful = [
        Step::Drop,
        Step::Stall,
        answer(200, ""),
        answer(200, "{\"JobId\":"),
        answer(200, r#"{"Code":"X","Message":"y"}"#),
        answer(502, "<html>bad gateway</html>"),
        answer(500, ""),
        fault(500, "InternalError", &[]),
        fault(503, "ServiceUnavailable", &[]),
        answer(200, &"x".repeat(5_000)),
    ];
    for step in doubtful {
        let (sent, result) = outcome(&read(), step.clone()).await;
        assert_eq!((sent, result.unwrap()), (2, "dlc1".to_owned()), "{step:?}");
        let (sent, result) = outcome(&submission(), step.clone()).await;
        let error = result.unwrap_err();
        assert_eq!((sent, error.code, error.effect), (1, codes::NO_ANSWER, Effect::Unknown), "{step:?}");
    }
    let (sent, result) = outcome(&submission(), fault(400, "SignatureNonceUsed", &[])).await;
    assert_eq!((sent, result.unwrap_err().effect), (1, Effect::Unknown), "an earlier copy has arrived");
    let (sent, _) =
        outcome(&submission(), Step::Answer(302, vec![("Location".into(), "/x".into())], "{}".into())).await;
    assert_eq!(sent, 1, "no redirect is followed");
}

#[tokio::test]
async fn what_was_certainly_not_done_is_repeated_for_both() {
    let not_done = [
        fault(429, "Throttling.User", &[]),
        fault(400, "Throttling", &[]),
        fault(429, "Throttling.Api", &[("x-acs-retry-after", "50")]),
        fault(400, "InvalidTimeStamp.Expired", &[("Date", "Fri, 02 Jan 2026 04:04:05 GMT")]),
        fault(400, "InvalidSecurityToken.Expired", &[]),
        fault(404, "InvalidAccessKeyId.NotFound", &[]),
    ];
    for step in not_done {
        for call in [read(), submission()] {
            let (sent, result) = outcome(&call, step.clone()).await;
            assert_eq!((sent, result.unwrap()), (2, "dlc1".to_owned()), "{step:?}");
        }
    }
}

#[tokio::test]
async fn a_refusal_is_final_and_says_why() {
    let cases = [
        (fault(400, "InvalidParameter", &[]), codes::REQUEST_REFUSED),
        (fault(400, "400", &[]), codes::REQUEST_REFUSED),
        (fault(404, "NotFound", &[]), codes::NOT_FOUND),
        (fault(403, "NoPermission", &[]), codes::NO_PERMISSION),
        (fault(403, "Forbidden.RAM", &[]), codes::NO_PERMISSION),
        (fault(400, "SignatureDoesNotMatch", &[]), codes::KEY_REFUSED),
        (fault(400, "InvalidTimeStamp.Expired", &[]), codes::CLOCK_WRONG),
    ];
    for (step, code) in cases {
        for call in [read(), submission()] {
            let (sent, result) = outcome(&call, step.clone()).await;
            let error = result.unwrap_err();
            assert_eq!((sent, error.code, error.effect), (1, code, Effect::Nothing), "{step:?}");
            assert!(error.message.contains("said") && error.message.contains("request R-1"), "{error}");
        }
    }
    let repeated = format!(
        r#"{{"Code":"SignatureDoesNotMatch","Message":"server: {SECRET} x-acs-security-token:{TOKEN}"}}"#
    );
    let (_, result) = outcome(&read(), answer(400, &repeated)).await;
    assert!(result.unwrap_err().message.contains("server: *** x-acs-security-token:***"));
}

#[tokio::test]
async fn what_is_tried_once_is_not_tried_twice() {
    let twice = |step: Step| vec![step.clone(), step, answer(200, OK)];
    let date = [("Date", "Fri, 02 Jan 2026 04:04:05 GMT")];
    let cases = [
        (fault(400, "InvalidTimeStamp.Expired", &date), codes::CLOCK_WRONG),
        (fault(400, "InvalidSecurityToken.Expired", &[]), codes::TOKEN_REFUSED),
        (fault(404, "InvalidAccessKeyId.NotFound", &[]), codes::KEY_REFUSED),
        (fault(400, "SignatureNonceUsed", &[]), codes::REQUEST_REFUSED),
    ];
    for (step, code) in cases {
        let (_world, server, client) = stage(twice(step)).await;
        let error = client.call(&read(), job_id).await.unwrap_err();
        assert_eq!((error.code, error.effect, server.seen().len()), (code, Effect::Nothing, 2));
    }
}

#[tokio::test]
async fn no_call_is_sent_inside_a_retry_after() {
    let steps = vec![
        fault(429, "Throttling.User", &[("x-acs-retry-after", "7000"), ("Retry-After", "3")]),
        answer(200, OK),
        fault(400, "Throttling", &[("Retry-After", "9")]),
        answer(200, OK),
    ];
    let (_world, server, client) = stage(steps).await;
    client.call(&read(), job_id).await.unwrap();
    client.call(&submission(), job_id).await.unwrap();
    let times: Vec<Duration> = server.seen().iter().map(|seen| seen.at).collect();
    assert!(
        times[1] >= times[0] + Duration::from_secs(7) && times[3] >= times[2] + Duration::from_secs(9),
        "{times:?}"
    );
    assert!(
        client.pacer().per_second(Lane::Reads) < 8.0 && client.pacer().per_second(Lane::Submissions) < 2.0
    );

    // Longer than a call may take: it ends at once and says when it may be tried; the next one is not sent at all.
    let (_world, server, client) = stage(vec![fault(429, "Throttling", &[("Retry-After", "600")])]).await;
    let error = client.call(&submission(), job_id).await.unwrap_err();
    assert_eq!((error.code, error.effect), (codes::THROTTLED, Effect::NothingYet(Span::from_secs(600))));
    let error = client.call(&read(), job_id).await.unwrap_err();
    assert_eq!((error.code, error.effect), (codes::THROTTLED, Effect::NothingYet(Span::from_secs(600))));
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn attempts_and_their_time_are_bounded() {
    let (world, server, client) = stage(vec![fault(503, "ServiceUnavailable", &[]); 20]).await;
    let error = client.call(&read(), job_id).await.unwrap_err();
    assert_eq!((error.code, server.seen().len()), (codes::NO_ANSWER, 5));
    assert!(world.steady() < Duration::from_mins(1));
    assert_eq!(server.steps_left(), 15);
}

#[tokio::test]
async fn where_nobody_listens_nothing_was_done() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let world = Still::new(start_of_tests());
    for call in [read(), submission()] {
        let error = client_of(&world, &address, Limits::default()).call(&call, job_id).await.unwrap_err();
        assert_eq!(error.code, codes::UNREACHABLE);
        assert!(matches!(error.effect, Effect::NothingYet(_)), "{error:?}");
    }
}

#[tokio::test]
async fn a_request_that_is_too_large_is_not_sent() {
    let (_world, server, client) = stage(vec![answer(200, OK)]).await;
    let call = Call { body: vec![b'x'; 65_000], ..submission() };
    let error = client.call(&call, job_id).await.unwrap_err();
    assert_eq!((error.code, error.effect), (codes::REQUEST_TOO_LARGE, Effect::Nothing));
    assert!(
        error.message.contains("65536") && error.message.contains("65000 of them are its body"),
        "{error}"
    );
    assert!(server.seen().is_empty());
}

/// The server's side of the signature.
struct Served;

impl Keys for Served {
    fn secret(&self, _key_id: &str) -> Option<Secret<String>> {
        Some(Secret::new(SECRET.to_owned()))
    }

    fn take_nonce(&self, _nonce: &str) -> bool {
        true
    }

    fn token(&self, _key_id: &str, token: Option<&str>) -> Result<(), Fault> {
        if token == Some(TOKEN) { Ok(()) } else { Err(Fault::BadToken) }
    }
}

#[tokio::test]
async fn what_arrives_is_signed_anew_each_time_with_the_corrected_clock_and_fresh_credentials() {
    let steps = vec![
        fault(400, "InvalidTimeStamp.Expired", &[("Date", "Fri, 02 Jan 2026 04:04:05 GMT")]),
        fault(400, "InvalidSecurityToken.Expired", &[]),
        answer(200, OK),
        answer(200, OK),
        answer(200, OK),
    ];
    let (_world, server, client) = stage(steps).await;
    client.call(&read(), job_id).await.unwrap();
    client.call(&read(), job_id).await.unwrap();
    client.call(&submission(), job_id).await.unwrap();
    let seen = server.seen();
    for (index, one) in seen.iter().enumerate() {
        let (target, headers, body) = (&one.target, &one.headers, &one.body);
        let received = Received { method: &one.method, target, headers, body };
        let now = if index == 0 { start_of_tests() } else { date_from_text("2026-01-02T04:04:06Z").unwrap() };
        let verified = verify(&received, now, &Served).unwrap();
        assert_eq!(verified.access_key_id, if index < 2 { "STS.0" } else { "STS.1" }, "{index}");
    }
    let mut nonces: Vec<&str> = seen.iter().map(|one| one.header("x-acs-signature-nonce")).collect();
    nonces.sort_unstable();
    nonces.dedup();
    assert_eq!(nonces.len(), seen.len());
    assert_eq!(seen[3].header("x-acs-date"), "2026-01-02T04:04:05Z", "the correction stays");
    assert_eq!(seen[2].connection, seen[3].connection, "reads keep their connection");
    assert_ne!(seen[3].connection, seen[4].connection, "a submission has one of its own");
    assert_eq!(seen[4].header("content-type"), "application/json; charset=utf-8");
}

#[tokio::test]
async fn a_proxy_is_used_unless_the_address_is_this_machine() {
    let world = Still::new(start_of_tests());
    let proxy = Scripted::start(&world, vec![answer(200, OK)]).await;
    let variable = |name: &str| (name == "HTTP_PROXY").then(|| format!("http://{}", proxy.address));
    let settings =
        HttpSettings { proxy: ProxySettings::from_environment(variable), ..HttpSettings::default() };
    let client = |address: &str| {
        let endpoint =
            Endpoint::find(Some(&format!("http://{address}")), None, Network::Public, "p").unwrap();
        let world: Arc<dyn World> = Arc::clone(&world) as Arc<dyn World>;
        let protocol = Box::new(Acs3::new(endpoint, "retrial/test"));
        Client::new(
            Http::new(&settings).unwrap(),
            world,
            Arc::new(Temporary::default()),
            protocol,
            Limits::default(),
        )
    };
    client("dlc.invalid").call(&read(), job_id).await.unwrap();
    assert!(proxy.seen()[0].target.starts_with("http://dlc.invalid/api/v1/jobs/dlc1?"), "{:?}", proxy.seen());
    let here = Scripted::start(&world, vec![answer(200, OK)]).await;
    client(&here.address).call(&read(), job_id).await.unwrap();
    assert_eq!((here.seen().len(), proxy.seen().len()), (1, 1));
}

#[tokio::test]
async fn errors_say_what_the_official_sdk_says_of_them_and_keep_the_status_where_it_loses_it() {
    let path = format!("{}/tests/vectors/dlc/sdk_error_behaviour.json", env!("CARGO_MANIFEST_DIR"));
    let vectors: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let mut compared = 0;
    for case in vectors["cases"].as_array().unwrap() {
        let served = &case["served"][0];
        let Some(status) = served["status"].as_u64().filter(|status| *status >= 300) else { continue };
        let headers: Vec<(String, String)> =
            served["headers"].as_object().unwrap().iter().map(header).collect();
        let step = Step::Answer(status as u16, headers, served["body"].as_str().unwrap().to_owned());
        let (_world, _server, client) = stage_once(vec![step]).await;
        let error = client.call(&submission(), job_id).await.unwrap_err();
        let fault = error.fault.expect("the answer is kept");
        let sdk = &case["sdk"];
        assert_eq!(u64::from(fault.status), status, "{case}");
        for (name, ours) in [("code", Some(&fault.code)), ("request_id", fault.request_id.as_ref())] {
            if let Some(theirs) = sdk[name].as_str() {
                assert_eq!(ours.map(String::as_str), Some(theirs), "{name} of {case}");
                compared += 1;
            }
        }
        if let Some(theirs) = sdk["retry_after"].as_u64() {
            assert_eq!(fault.retry_after, Some(Duration::from_millis(theirs)), "{case}");
        }
    }
    assert!(compared >= 20, "only {compared} fields were compared");
}

fn header((name, value): (&String, &Value)) -> (String, String) {
    (name.clone(), value.as_str().unwrap().to_owned())
}

/// A client that sends a call once.
async fn stage_once(steps: Vec<Step>) -> (Arc<Still>, Scripted, Client) {
    let world = Still::new(start_of_tests());
    let server = Scripted::start(&world, steps).await;
    let client = client_of(&world, &server.address, Limits { attempts: 1, ..Limits::default() });
    (world, server, client)
}
