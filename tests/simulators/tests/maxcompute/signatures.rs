//! What the official client signed, verified from the bytes of its requests.

use retrial_simulators::maxcompute::signature::{self, Reading};
use retrial_simulators::wire::Wire;
use serde_json::Value;
use std::path::{Path, PathBuf};

fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../backends/tests/vectors/maxcompute")
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn wire(method: &str, target: &str, headers: Vec<(String, String)>) -> Wire {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    Wire {
        method: method.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        headers,
        body: Vec::new(),
    }
}

#[test]
fn every_golden_signature_is_verified_and_another_is_not() {
    let all = json(&vectors().join("signing.json"));
    let all = all["vectors"].as_array().unwrap();
    assert_eq!(all.len(), 60);
    for vector in all {
        let text = |name: &str| vector[name].as_str().unwrap_or_else(|| panic!("{vector}"));
        let headers = vector["headers_in"].as_object().unwrap().iter();
        let headers =
            headers.map(|(name, value)| (name.to_lowercase(), value.as_str().unwrap().to_owned())).collect();
        let mut wire = wire(text("method"), text("request_target"), headers);
        assert_eq!(signature::canonical(&wire, Reading::Twice), text("canonical_string"), "{}", text("name"));
        let authorization = signature::authorization(text("authorization")).unwrap();
        assert_eq!(
            (authorization.key_id, authorization.scope.is_some()),
            (text("access_id"), text("signing") == "v4")
        );
        signature::verify(&wire, &authorization, text("access_key")).unwrap();
        let code =
            |wire: &Wire, secret: &str| signature::verify(wire, &authorization, secret).unwrap_err().code;
        assert_eq!(code(&wire, "another"), "SignatureNotMatch");
        wire.query.push_str("&tampered=yes");
        assert_eq!(code(&wire, text("access_key")), "SignatureNotMatch");
    }
}

#[test]
fn every_captured_request_is_verified() {
    let mut verified = 0;
    for entry in std::fs::read_dir(vectors()).unwrap() {
        let path = entry.unwrap().path();
        if !path.file_name().unwrap().to_string_lossy().starts_with("capture_") {
            continue;
        }
        for exchange in json(&path)["exchanges"].as_array().unwrap() {
            let request = &exchange["request"];
            let headers: Vec<(String, String)> = request["headers"]
                .as_array()
                .unwrap()
                .iter()
                .map(|pair| (pair[0].as_str().unwrap().to_lowercase(), pair[1].as_str().unwrap().to_owned()))
                .collect();
            let wire =
                wire(request["method"].as_str().unwrap(), request["target"].as_str().unwrap(), headers);
            let text = wire.header("authorization").unwrap().to_owned();
            let authorization = signature::authorization(&text).unwrap();
            signature::verify(&wire, &authorization, "FAKEAKSECRET").unwrap();
            verified += 1;
        }
    }
    assert!(verified >= 50, "{verified}");
}

#[test]
fn a_header_that_is_no_signature_is_refused() {
    for text in ["", "ODPS", "ODPS id", "acs id:sig", "ODPS id/20260101/r/odps:sig", "ODPS id/a/b/c/d:sig"] {
        assert_eq!(signature::authorization(text).unwrap_err().code, "InvalidAuthorization", "{text}");
    }
}
