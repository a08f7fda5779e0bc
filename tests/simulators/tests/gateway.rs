//! What stands before the service: signatures, times, nonces, tokens, permissions, rates, and every fault.

#[expect(dead_code, reason = "each test uses a part of it")]
mod support;

use retrial_simulators::dlc::job::Job;
use retrial_simulators::dlc::{Script, Simulator};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use support::{Caller, PATIENCE, body};

fn started(script: Value) -> (Simulator, Caller) {
    let script: Script = serde_json::from_value(script).unwrap();
    let simulator = Simulator::anywhere(script).unwrap();
    let caller = Caller::of(&simulator);
    (simulator, caller)
}

/// How many jobs there are, once there are as many as expected.
fn jobs_become(simulator: &Simulator, expected: usize) {
    let begun = Instant::now();
    while simulator.jobs(<[_]>::len) != expected {
        assert!(begun.elapsed() < PATIENCE, "there are {} jobs", simulator.jobs(<[_]>::len));
        std::thread::sleep(Duration::from_millis(5));
    }
}

const JOBS: &str = "/api/v1/jobs";

#[test]
fn who_is_not_let_in_is_told_why() {
    let (_simulator, good) = started(json!({"accounts": [
        {"access_key_id": "LTAISimulatedKey", "access_key_secret": "simulated-secret"},
        {"access_key_id": "temporary", "access_key_secret": "s", "security_token": "token"},
        {"access_key_id": "ended", "access_key_secret": "s", "security_token": "token",
         "expires_at": "2020-01-01T00:00:00Z"},
        {"access_key_id": "reader", "access_key_secret": "s", "denied": ["CreateJob"]},
    ]}));
    let who = |key_id: &str, secret: &str, token: Option<&str>| Caller {
        key_id: key_id.to_owned(),
        secret: secret.to_owned(),
        token: token.map(str::to_owned),
        ..good.clone()
    };
    let refused = |caller: &Caller| {
        let answer = caller.call("POST", JOBS, &body("a").to_string());
        let json = answer.json();
        assert_eq!(json["HostId"], caller.address);
        let id = json["RequestId"].as_str().unwrap();
        assert!(answer.headers.contains(&format!("x-acs-request-id: {id}")) && id == id.to_uppercase());
        (answer.status, answer.code())
    };
    let is = |status: u16, code: &str| (status, code.to_owned());
    assert_eq!(refused(&who("nobody", "s", None)), is(404, "InvalidAccessKeyId.NotFound"));
    assert_eq!(refused(&who("LTAISimulatedKey", "wrong", None)), is(400, "SignatureDoesNotMatch"));
    assert_eq!(refused(&who("temporary", "s", None)), is(400, "InvalidSecurityToken.Malformed"));
    assert_eq!(refused(&who("temporary", "s", Some("x"))), is(400, "InvalidSecurityToken.Malformed"));
    assert_eq!(refused(&who("ended", "s", Some("token"))), is(400, "InvalidSecurityToken.Expired"));
    assert_eq!(refused(&who("reader", "s", None)), is(403, "NoPermission"));
    let at = |date: &str| Caller { date: Some(date.to_owned()), ..good.clone() };
    assert_eq!(refused(&at("2020-01-01T00:00:00Z")), is(400, "InvalidTimeStamp.Expired"));
    assert_eq!(refused(&at("yesterday")), is(400, "InvalidTimeStamp.Format"));
    let large = body("a").to_string().replace("\"true\"", &format!("\"{}\"", "x".repeat(70_000)));
    assert_eq!(good.call("POST", JOBS, &large).code(), "InvalidParameter");
    assert_eq!(who("temporary", "s", Some("token")).call("GET", JOBS, "").status, 200);
    assert_eq!(good.call("GET", "/api/v1/nothing", "").code(), "InvalidApi.NotFound");

    let again = Caller { nonce: Some("once".to_owned()), ..good.clone() };
    assert_eq!(again.call("GET", JOBS, "").status, 200);
    assert_eq!(again.call("GET", JOBS, "").code(), "SignatureNonceUsed");
    // A call that was not let in has not used its nonce.
    let later = Caller { nonce: Some("later".to_owned()), ..who("LTAISimulatedKey", "wrong", None) };
    assert_eq!(later.call("GET", JOBS, "").status, 400);
    assert_eq!(Caller { secret: good.secret.clone(), ..later }.call("GET", JOBS, "").status, 200);
}

#[test]
fn a_clock_that_is_an_hour_off_shows_in_the_date_of_the_refusal() {
    let (_simulator, caller) = started(json!({"clock_offset_ms": 3_600_000}));
    let answer = caller.call("GET", JOBS, "");
    assert_eq!(answer.code(), "InvalidTimeStamp.Expired");
    let date = answer.headers.lines().find_map(|line| line.strip_prefix("date: ")).unwrap();
    let date = jiff::fmt::rfc2822::parse(date).unwrap().timestamp();
    let ahead = date.as_second() - jiff::Timestamp::now().as_second();
    assert!((3590..=3600).contains(&ahead), "{ahead} s");
    let right = Caller { date: Some(date.to_string()), ..caller };
    assert_eq!(right.call("GET", JOBS, "").status, 200);
}

#[test]
fn what_cannot_be_created_is_refused() {
    let (_simulator, caller) = started(json!({"workspaces": ["10001"]}));
    for (field, value, code) in [
        ("/DisplayName", json!("a b"), "InvalidParameter"),
        ("/DisplayName", json!(""), "MissingDisplayName"),
        ("/JobType", json!("pytorchjob"), "InvalidParameter"),
        ("/UserCommand", json!(""), "MissingUserCommand"),
        ("/JobSpecs", json!([]), "MissingJobSpecs"),
        ("/JobSpecs/0/EcsSpec", json!("ecs.none"), "InvalidParameter"),
        ("/JobSpecs/0/Image", json!(""), "MissingJobSpecs.Image"),
        ("/JobSpecs/0/PodCount", json!(0), "InvalidParameter"),
        ("/WorkspaceId", json!("77"), "NotFound"),
    ] {
        let mut asked = body("a");
        *asked.pointer_mut(field).unwrap() = value;
        assert_eq!(caller.call("POST", JOBS, &asked.to_string()).code(), code, "{field}");
    }
    assert_eq!(caller.call("POST", JOBS, "[]").code(), "InvalidParameter");
}

#[test]
fn an_accepted_job_whose_answer_is_lost_is_there() {
    let (simulator, caller) = started(json!({"faults": [
        {"operation": "CreateJob", "acts": true, "answer": "drop"},
        {"operation": "CreateJob", "answer": "drop"},
        {"operation": "CreateJob", "answer": {"cut": 60}},
        {"operation": "CreateJob", "acts": true, "answer": {"error": {"status": 500, "code": "InternalError"}}},
        {"operation": "CreateJob", "acts": true, "answer": {"raw": {
            "status": 502, "content_type": "text/html", "body": "<html>bad gateway</html>"}}},
        {"operation": "CreateJob", "acts": true, "answer": {"raw": {"status": 200, "body": "{}"}}},
    ]}));
    let create = || caller.try_call("POST", JOBS, &body("a").to_string());
    assert!(create().is_none());
    jobs_become(&simulator, 1);
    assert!(create().is_none());
    assert_eq!(simulator.jobs(<[_]>::len), 1);
    assert!(create().is_none());
    jobs_become(&simulator, 2);
    assert_eq!(create().unwrap().code(), "InternalError");
    let page = create().unwrap();
    assert_eq!((page.status, page.text.as_str()), (502, "<html>bad gateway</html>"));
    assert_eq!(create().unwrap().text, "{}");
    assert_eq!(create().unwrap().status, 200);
    assert_eq!(simulator.jobs(<[_]>::len), 6);
    let outcomes: Vec<String> = simulator.calls().into_iter().map(|call| call.outcome).collect();
    assert_eq!(outcomes, ["dropped", "dropped", "ok", "InternalError", "502", "200", "ok"]);
}

#[test]
fn a_call_arrives_after_its_caller_has_gone_and_a_copy_of_it_later_still() {
    let (simulator, mut caller) = started(json!({"life": {"phases": [{"status": "Running"}]}, "faults": [
        {"operation": "CreateJob", "contains": "late", "hold_request_ms": 300},
        {"operation": "CreateJob", "contains": "slow", "hold_answer_ms": 60_000},
        {"operation": "CreateJob", "contains": "twice", "repeat_after_ms": 100},
    ]}));
    caller.timeout = Duration::from_millis(50);
    assert!(caller.try_call("POST", JOBS, &body("late").to_string()).is_none());
    assert_eq!(simulator.jobs(<[_]>::len), 0);
    jobs_become(&simulator, 1);
    assert!(caller.try_call("POST", JOBS, &body("slow").to_string()).is_none());
    jobs_become(&simulator, 2);
    caller.timeout = PATIENCE;
    caller.create(&body("twice"));
    jobs_become(&simulator, 4);
    let twice = simulator.duplicates("token")["twice"].clone();
    // One that was stopped no longer counts.
    assert_eq!(caller.call("POST", &format!("{JOBS}/{}/stop", twice[1]), "").status, 200);
    assert!(simulator.duplicates("token").is_empty());
}

#[test]
fn on_a_clock_that_stands_late_calls_arrive_as_it_is_moved() {
    let now = jiff::Timestamp::now();
    let (simulator, mut caller) = started(json!({"standing_clock": now.to_string(), "faults": [
        {"operation": "CreateJob", "contains": "lost", "answer": "drop", "repeat_after_ms": 60_000},
        {"operation": "CreateJob", "contains": "held", "hold_request_ms": 90_000},
    ]}));
    caller.timeout = Duration::from_millis(50);
    assert!(caller.try_call("POST", JOBS, &body("lost").to_string()).is_none());
    assert!(caller.try_call("POST", JOBS, &body("held").to_string()).is_none());
    simulator.advance(59_999);
    assert_eq!(simulator.jobs(<[_]>::len), 0);
    simulator.advance(20_000);
    let created = simulator.jobs(|jobs| jobs.iter().map(Job::created_ms).collect::<Vec<_>>());
    assert_eq!(created, [now.as_millisecond() + 60_000], "at its own time, although nobody looked then");
    simulator.advance(90_000);
    jobs_become(&simulator, 2);
}

#[test]
fn who_calls_too_often_is_told_when_to_come_again() {
    let (simulator, caller) = started(json!({
        "rate": {"creates_per_second": 0.001, "others_per_second": 1000.0, "burst": 2.0}
    }));
    caller.create(&body("a"));
    caller.create(&body("b"));
    let refused = caller.call("POST", JOBS, &body("c").to_string());
    assert_eq!((refused.status, refused.code()), (429, "Throttling.User".to_owned()));
    let wait = refused.headers.lines().find_map(|line| line.strip_prefix("x-acs-retry-after: ")).unwrap();
    assert!(wait.parse::<u64>().unwrap() > 900_000);
    assert_eq!(caller.call("GET", JOBS, "").status, 200);
    let state = || simulator.control("GET", "state", &json!({})).unwrap();
    assert_eq!(state()["early_calls"], 0);
    caller.call("POST", JOBS, &body("c").to_string());
    assert_eq!(state()["early_calls"], 1);

    let throttled = |ms: Value, s: Value| {
        json!([{"operation": "GetJob", "answer": {"error": {
            "status": 429, "code": "Throttling.Api", "retry_after_ms": ms, "retry_after_s": s}}}])
    };
    for (ms, s, header) in
        [(json!(50), json!(null), "x-acs-retry-after: 50"), (json!(null), json!(1), "retry-after: 1")]
    {
        simulator.control("POST", "faults", &throttled(ms, s)).unwrap();
        let answer = caller.call("GET", "/api/v1/jobs/x", "");
        assert!(answer.status == 429 && answer.headers.contains(header), "{}", answer.headers);
    }
}

#[test]
fn the_same_seed_hits_the_same_calls() {
    let hits = |seed: u64| {
        let (simulator, caller) = started(json!({"seed": seed, "faults": [
            {"times": 0, "skip": 2, "chance": 0.5, "answer": {"error": {"status": 503, "code": "ServiceUnavailable"}}}
        ]}));
        for _ in 0..24 {
            caller.call("GET", JOBS, "");
        }
        simulator.calls().iter().map(|call| call.fault).collect::<Vec<bool>>()
    };
    let first = hits(1);
    assert_eq!(first, hits(1));
    assert_ne!(first, hits(2));
    assert!(!first[0] && !first[1] && first.contains(&true));
}

#[test]
fn keys_can_be_replaced_while_it_runs_but_not_by_a_web_page() {
    let (simulator, caller) = started(json!({}));
    let send = |head: &str| {
        let body = r#"[{"access_key_id": "other"}]"#;
        let mut stream = TcpStream::connect(simulator.address()).unwrap();
        let length = body.len();
        let text = format!(
            "POST /simulator/accounts HTTP/1.1\r\n{head}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        stream.write_all(text.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    let address = &caller.address;
    assert_eq!(send(&format!("host: {address}\r\ncontent-type: text/plain")), "415");
    assert_eq!(send("host: example.com\r\ncontent-type: application/json"), "403");
    assert_eq!(caller.call("GET", JOBS, "").status, 200);
    assert_eq!(send(&format!("host: {address}\r\ncontent-type: application/json")), "200");
    assert_eq!(caller.call("GET", JOBS, "").code(), "InvalidAccessKeyId.NotFound");
}

#[test]
fn it_does_not_listen_to_other_machines() {
    let error = Simulator::start(Script::default(), "0.0.0.0:0".parse().unwrap()).unwrap_err();
    assert!(error.to_string().contains("not an address of this machine alone"), "{error}");
}
