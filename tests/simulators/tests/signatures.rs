//! What the official SDK has signed is verified from the bytes that it sent.

use retrial_simulators::dlc::signature;
use retrial_simulators::dlc::wire::Wire;
use serde_json::Value;
use std::fs;
use std::path::Path;

fn vectors(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../backends/tests/vectors/dlc").join(name);
    serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn wire(line: &str, headers: Vec<(String, String)>, body: String) -> Wire {
    let mut words = line.split(' ');
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    Wire { method: method.into(), path: path.into(), query: query.into(), headers, body: body.into_bytes() }
}

#[test]
fn every_captured_call_of_the_official_sdk_is_verified_from_the_wire() {
    let file = vectors("sdk_captures.json");
    let secret = text(&file["access_key_secret"]);
    let captures = file.as_object().unwrap().values().find_map(Value::as_array).unwrap();
    assert_eq!(captures.len(), 17);
    for capture in captures {
        let request = &capture["request"];
        let headers = request["headers"].as_array().unwrap().iter();
        let headers = headers.map(|pair| (text(&pair[0]).to_lowercase(), text(&pair[1]))).collect();
        let wire = wire(&text(&request["request_line"]), headers, text(&request["body_text"]));
        let header = wire.header("authorization").unwrap().to_owned();
        let authorization = signature::authorization(&header).unwrap();
        signature::coverage(&wire, &authorization.signed).unwrap();
        signature::verify(&wire, &authorization, &secret).unwrap();
        let operation = retrial_simulators::dlc::operation(&wire).unwrap().0;
        assert_eq!(operation, text(&capture["operation"]));

        // Nothing of it may be changed.
        let changed = [
            Wire { body: [&wire.body[..], b" "].concat(), ..wire.clone() },
            Wire { query: format!("{}&A=b", wire.query), ..wire.clone() },
            Wire { path: format!("{}/", wire.path), ..wire.clone() },
            Wire { method: "PATCH".to_owned(), ..wire.clone() },
        ];
        for wire in changed {
            assert_eq!(
                signature::verify(&wire, &authorization, &secret).unwrap_err().code,
                "SignatureDoesNotMatch"
            );
        }
        assert!(signature::verify(&wire, &authorization, "another secret").is_err());
        let open: Vec<&str> = authorization.signed.iter().copied().filter(|name| *name != "host").collect();
        assert_eq!(signature::coverage(&wire, &open).unwrap_err().code, "IncompleteSignature");
    }
}

#[test]
fn every_golden_vector_is_reproduced_from_the_wire() {
    let file = vectors("signing_acs3_sdk.json");
    let vectors = file["vectors"].as_array().unwrap();
    assert_eq!(vectors.len(), 22);
    for vector in vectors {
        let headers = vector["headers"].as_object().unwrap().iter();
        let headers = headers.map(|(name, value)| (name.to_lowercase(), text(value))).collect();
        let line = format!("{} {} HTTP/1.1", text(&vector["method"]), text(&vector["wire_request_target"]));
        let wire = wire(&line, headers, text(&vector["body"]));
        let header = text(&vector["authorization"]);
        let authorization = signature::authorization(&header).unwrap();
        let name = text(&vector["name"]);
        assert_eq!(
            signature::canonical_request(&wire, &authorization.signed),
            text(&vector["canonical_request"]),
            "{name}"
        );
        signature::verify(&wire, &authorization, &text(&vector["access_key_secret"])).expect(&name);
    }
}
