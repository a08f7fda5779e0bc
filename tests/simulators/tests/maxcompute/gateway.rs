//! What stands before the service: signatures, times, tokens, permissions, rates, and forms of errors.

use crate::caller::{Caller, INSTANCES, sql, started};
use serde_json::json;

#[test]
fn who_is_not_let_in_is_told_why() {
    let (_simulator, good) = started(json!({
        "region": "cn-shanghai",
        "accounts": [
            {},
            {"access_key_id": "temporary", "access_key_secret": "s", "security_token": "token"},
            {"access_key_id": "ended", "access_key_secret": "s", "security_token": "token",
             "expires_at": "2020-01-01T00:00:00Z"},
            {"access_key_id": "reader", "access_key_secret": "s", "denied": ["CreateInstance"]},
        ],
    }));
    let who = |key_id: &str, secret: &str, token: Option<&str>| Caller {
        key_id: key_id.to_owned(),
        secret: secret.to_owned(),
        more: token
            .map(|token| ("authorization-sts-token".to_owned(), token.to_owned()))
            .into_iter()
            .collect(),
        ..good.clone()
    };
    let refused = |caller: &Caller| caller.call("POST", INSTANCES, &sql("select 1", None, 9)).refusal();
    let is = |status: u16, code: &str| (status, code.to_owned());
    assert_eq!(refused(&who("nobody", "s", None)), is(401, "InvalidParameter"));
    assert_eq!(refused(&who("LTAISimulatedKey", "wrong", None)), is(401, "SignatureNotMatch"));
    assert_eq!(refused(&who("temporary", "s", None)), is(401, "Unauthorized"));
    assert_eq!(refused(&who("ended", "s", Some("token"))), is(401, "Unauthorized"));
    assert_eq!(refused(&who("reader", "s", None)), is(403, "NoPermission"));
    assert_eq!(who("reader", "s", None).call("GET", INSTANCES, "").status, 200);
    assert_eq!(who("temporary", "s", Some("token")).call("GET", INSTANCES, "").status, 200);

    let at = |date: &str| Caller { date: Some(date.to_owned()), ..good.clone() };
    assert_eq!(refused(&at("Mon, 05 Jan 2026 03:04:05 GMT")), is(400, "RequestTimeTooSkewd"));
    assert_eq!(refused(&at("yesterday")), is(400, "InvalidParameter"));
    assert_eq!(refused(&Caller { signs: false, ..good.clone() }), is(400, "MissingParameter"));
    let region = |name: &str| Caller { region: Some(name.to_owned()), ..good.clone() };
    assert_eq!(refused(&region("cn-beijing")), is(401, "Unauthorized"));
    assert_eq!(region("cn-shanghai").call("GET", INSTANCES, "").status, 200);

    assert_eq!(good.call("GET", "/api/nothing", "").refusal(), is(404, "NoSuchObject"));
    assert_eq!(good.call("GET", "/api/projects/other/instances", "").refusal(), is(404, "NoSuchProject"));
    assert_eq!(good.call("POST", INSTANCES, "<Instance>").refusal(), is(400, "MalformedXML"));
    let stop = "<Instance><Status>Running</Status></Instance>";
    assert_eq!(good.call("PUT", &format!("{INSTANCES}/i"), stop).refusal(), is(400, "InvalidParameter"));
    let answer = good.look("i", "taskstatus");
    assert!(answer.header("x-odps-request-id").is_some_and(|id| answer.text.contains(id)), "{answer:?}");
}

#[test]
fn who_calls_too_often_is_told_when_to_come_again() {
    let (simulator, caller) = started(json!({
        "standing_clock": jiff::Timestamp::now().to_string(), "rate": {"per_second": 0.5, "burst": 2.0}, "errors": {"json": true},
    }));
    let answers: Vec<_> = (0..4).map(|_| caller.call("GET", INSTANCES, "")).collect();
    assert_eq!(answers.iter().map(|answer| answer.status).collect::<Vec<_>>(), [200, 200, 429, 429]);
    assert_eq!(answers[2].header("retry-after"), Some("2"));
    assert!(answers[2].text.starts_with("{\"Code\":\"QPSExceeded\""), "{}", answers[2].text);
    let early = || simulator.control("GET", "state", &json!(null)).unwrap()["early_calls"].clone();
    assert_eq!(early(), 1);
    simulator.advance(2000);
    assert_eq!(caller.call("GET", INSTANCES, "").status, 200);
    assert_eq!(early(), 1);
}

#[test]
fn a_statement_that_cannot_be_read_may_be_refused_at_once() {
    let (simulator, caller) = started(json!({"errors": {"early": true}}));
    let answer = caller.call("POST", INSTANCES, &sql("selec 1", None, 9));
    assert_eq!(answer.refusal(), (400, "ParseError".to_owned()));
    assert!(answer.text.contains("ODPS-0130161:[1,1]"), "{}", answer.text);
    assert_eq!(simulator.instances(<[_]>::len), 0);
    caller.create(&sql("select 1", None, 9));
}
