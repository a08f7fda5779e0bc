//! The signature against golden vectors of the official SDK and of the public documentation, and the verifying side
//! against requests that the official SDK put on the wire.

use engine::time::Timestamp;
use retrial_backends::cloud::credentials::Credentials;
use retrial_backends::cloud::secret::Secret;
use retrial_backends::dlc::signature::{
    Fault, Keys, Received, Subject, authorization, canonical, date_from_text, date_text, payload_hash, sign,
    verify,
};
use serde_json::Value;
use std::cell::RefCell;
use std::collections::BTreeSet;

fn vectors(file: &str) -> Value {
    let path = format!("{}/tests/vectors/dlc/{file}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("no {key}"))
}

fn pairs(value: &Value) -> Vec<(String, String)> {
    let object = value.as_object().unwrap();
    object.iter().map(|(key, value)| (key.clone(), value.as_str().unwrap().to_owned())).collect()
}

fn borrowed(pairs: &[(String, String)]) -> impl Iterator<Item = (&str, &str)> {
    pairs.iter().map(|(key, value)| (key.as_str(), value.as_str()))
}

#[test]
fn all_golden_vectors_are_reproduced() {
    let mut count = 0;
    for file in ["signing_acs3_sdk.json", "signing_acs3_raw.json"] {
        for vector in vectors(file)["vectors"].as_array().unwrap() {
            let name = text(vector, "name");
            let hash = payload_hash(vector["body"].as_str().unwrap_or_default().as_bytes());
            assert_eq!(hash, text(vector, "payload_sha256"), "{name}");
            let (query, headers) = (pairs(&vector["query"]), pairs(&vector["headers"]));
            let (method, path) = (text(vector, "method"), text(vector, "pathname"));
            let made = canonical(method, path, borrowed(&query), borrowed(&headers), &hash);
            assert_eq!(made.request, text(vector, "canonical_request"), "{name}");
            assert_eq!(made.string_to_sign, text(vector, "string_to_sign"), "{name}");
            let secret = Secret::new(text(vector, "access_key_secret").to_owned());
            let value = authorization(&made, text(vector, "access_key_id"), &secret);
            assert_eq!(value, text(vector, "authorization"), "{name}");
            count += 1;
        }
    }
    assert_eq!(count, 27);
}

/// The keys of the captures.
struct Known {
    id: String,
    secret: String,
    token: String,
    nonces: RefCell<BTreeSet<String>>,
}

impl Known {
    fn of(captures: &Value) -> Self {
        Self {
            id: text(captures, "access_key_id").to_owned(),
            secret: text(captures, "access_key_secret").to_owned(),
            token: text(captures, "security_token_when_used").to_owned(),
            nonces: RefCell::default(),
        }
    }
}

impl Keys for Known {
    fn secret(&self, key_id: &str) -> Option<Secret<String>> {
        (key_id == self.id).then(|| Secret::new(self.secret.clone()))
    }

    fn take_nonce(&self, nonce: &str) -> bool {
        self.nonces.borrow_mut().insert(nonce.to_owned())
    }

    fn token(&self, _key_id: &str, token: Option<&str>) -> Result<(), Fault> {
        if token.is_none_or(|token| token == self.token) { Ok(()) } else { Err(Fault::BadToken) }
    }
}

/// One request, owned.
#[derive(Clone)]
struct Wire {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Wire {
    fn of(capture: &Value) -> Self {
        let request = &capture["request"];
        let mut line = text(request, "request_line").split(' ');
        let headers = request["headers"].as_array().unwrap();
        Self {
            method: line.next().unwrap().to_owned(),
            target: line.next().unwrap().to_owned(),
            headers: headers
                .iter()
                .map(|pair| (pair[0].as_str().unwrap().to_owned(), pair[1].as_str().unwrap().to_owned()))
                .collect(),
            body: request["body_text"].as_str().unwrap_or_default().to_owned(),
        }
    }

    fn received(&self) -> Received<'_> {
        Received {
            method: &self.method,
            target: &self.target,
            headers: &self.headers,
            body: self.body.as_bytes(),
        }
    }

    fn header(&mut self, name: &str) -> &mut String {
        &mut self.headers.iter_mut().find(|(found, _)| found.eq_ignore_ascii_case(name)).unwrap().1
    }

    fn date(&mut self) -> Timestamp {
        date_from_text(self.header("x-acs-date")).unwrap()
    }
}

#[test]
fn all_captures_of_the_official_sdk_verify_from_the_wire() {
    let captures = vectors("sdk_captures.json");
    let keys = Known::of(&captures);
    let all = captures["captures"].as_array().unwrap();
    for capture in all {
        let mut wire = Wire::of(capture);
        let now = wire.date();
        let verified = verify(&wire.received(), now, &keys).unwrap();
        assert_eq!(verified.action, text(capture, "operation"));
        assert_eq!(verified.version, "2020-12-03");
    }
    assert_eq!(all.len(), 17);
}

/// The fault of a capture after a change, checked by a service whose clock is `late` milliseconds ahead.
fn fault_after(change: impl FnOnce(&mut Wire), late: i64) -> Fault {
    let captures = vectors("sdk_captures.json");
    let mut wire = Wire::of(&captures["captures"][0]);
    let now = Timestamp(wire.date().0 + late);
    change(&mut wire);
    verify(&wire.received(), now, &Known::of(&captures)).unwrap_err()
}

#[test]
fn each_way_to_be_wrong_has_the_code_of_the_service() {
    let minutes = 60_000;
    let codes = [
        (
            fault_after(|wire| wire.headers.retain(|(name, _)| name != "Authorization"), 0),
            "MissingAuthorization",
        ),
        (fault_after(|wire| wire.header("authorization").insert(0, 'x'), 0), "IncompleteSignature"),
        (
            fault_after(
                |wire| *wire.header("authorization") = wire.header("authorization").replace("LTAI", "LTAJ"),
                0,
            ),
            "InvalidAccessKeyId.NotFound",
        ),
        (fault_after(|wire| wire.headers.push(("x-acs-extra".into(), "1".into())), 0), "IncompleteSignature"),
        (fault_after(|wire| wire.headers.retain(|(name, _)| name != "accept"), 0), "IncompleteSignature"),
        (fault_after(|wire| wire.body.push(' '), 0), "SignatureDoesNotMatch"),
        (fault_after(|wire| *wire.header("x-acs-date") = "yesterday".into(), 0), "InvalidTimeStamp.Format"),
        (fault_after(|_| (), 16 * minutes), "InvalidTimeStamp.Expired"),
        (fault_after(|_| (), -16 * minutes), "InvalidTimeStamp.Expired"),
        (fault_after(|wire| wire.target.push_str("?a=b"), 0), "SignatureDoesNotMatch"),
        (fault_after(|wire| wire.method = "PUT".into(), 0), "SignatureDoesNotMatch"),
    ];
    for (fault, code) in codes {
        assert_eq!(fault.code(), code, "{fault}");
    }
    let captures = vectors("sdk_captures.json");
    let keys = Known::of(&captures);
    let mut wire = Wire::of(&captures["captures"][0]);
    let now = wire.date();
    verify(&wire.received(), now, &keys).unwrap();
    assert_eq!(verify(&wire.received(), now, &keys), Err(Fault::NonceUsed), "sent twice");
}

#[test]
fn what_we_sign_verifies_and_no_secret_is_in_it() {
    let captures = vectors("sdk_captures.json");
    let keys = Known::of(&captures);
    let credentials = Credentials {
        access_key_id: keys.id.clone(),
        access_key_secret: Secret::new(keys.secret.clone()),
        security_token: Some(Secret::new(keys.token.clone())),
    };
    let at = date_from_text("2026-01-02T03:04:05Z").unwrap();
    assert_eq!(date_text(Timestamp(at.0 + 999)), "2026-01-02T03:04:05Z");
    let query = vec![("Tags".to_owned(), "{\"a b\":\"+*~é中\"}".to_owned()), ("A".to_owned(), String::new())];
    let subject = Subject {
        method: "POST",
        path: "/api/v1/jobs",
        query: &query,
        host: "127.0.0.1:9",
        action: "CreateJob",
        version: "2020-12-03",
        body: b"{}",
    };
    let headers = sign(&subject, "retrial/0", &credentials, at, "0123");
    let headers: Vec<(String, String)> =
        headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    assert!(headers.iter().all(|(_, value)| !value.contains(&keys.secret)));
    let target = "/api/v1/jobs?Tags=%7B%22a%20b%22%3A%22%2B%2A~%C3%A9%E4%B8%AD%22%7D&A=";
    let wire = Wire { method: "POST".into(), target: target.into(), headers, body: "{}".into() };
    assert_eq!(verify(&wire.received(), at, &keys).unwrap().action, "CreateJob");
}
