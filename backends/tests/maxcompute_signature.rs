//! The signatures of MaxCompute against golden vectors of the official client, and against what it put on the wire.

use engine::time::Timestamp;
use retrial_backends::cloud::secret::Secret;
use retrial_backends::maxcompute::signature::{AppAccount, authorization, canonical, date_text, v4_key};
use serde_json::Value;

fn vectors(file: &str) -> Value {
    let path = format!("{}/tests/vectors/maxcompute/{file}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("no {key}"))
}

fn at(date: &str) -> Timestamp {
    retrial_backends::cloud::skew::http_date(date).unwrap()
}

/// What of a target is below the endpoint.
fn below<'a>(target: &'a str, endpoint: &str) -> &'a str {
    let base = endpoint.splitn(4, '/').nth(3).map(|path| format!("/{path}")).unwrap_or_default();
    target.strip_prefix(&base).unwrap_or(target)
}

#[test]
fn all_golden_vectors_are_reproduced() {
    let all = vectors("signing.json");
    let list = all["vectors"].as_array().unwrap();
    for vector in list {
        let name = text(vector, "name");
        let headers = vector["headers_in"].as_object().unwrap();
        let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap()));
        let target = below(text(vector, "request_target"), text(vector, "endpoint"));
        let made = canonical(text(vector, "method"), target, headers);
        assert_eq!(made, text(vector, "canonical_string"), "{name}");
        let secret = Secret::new(text(vector, "access_key").to_owned());
        let date = text(vector, "date");
        let value =
            authorization(&made, text(vector, "access_id"), &secret, vector["region"].as_str(), at(date));
        assert_eq!(value, text(vector, "authorization"), "{name}");
        assert_eq!(date_text(at(date)), date);
    }
    assert_eq!(list.len(), 60);
}

#[test]
fn the_key_of_a_day_and_the_account_of_an_application_are_those_of_the_client() {
    let all = vectors("signing.json");
    let given = &all["v4_key_derivation_hex"];
    let secret = Secret::new(text(given, "access_key").to_owned());
    let key = v4_key(&secret, text(given, "date"), text(given, "region"));
    let hex: String = key.expose().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, text(given, "k_signing"));
    let given = &all["app_account"];
    let account = AppAccount {
        access_id: text(given, "app_access_id").to_owned(),
        access_key: Secret::new(text(given, "app_access_key").to_owned()),
    };
    assert_eq!(
        account.authentication(text(given, "authorization")),
        text(given, "application-authentication")
    );
    assert!(!format!("{account:?}").contains(account.access_key.expose()));
}

#[test]
fn the_signature_of_every_captured_request_is_reproduced() {
    let dir = format!("{}/tests/vectors/maxcompute", env!("CARGO_MANIFEST_DIR"));
    let mut verified = 0;
    for entry in std::fs::read_dir(dir).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if !name.starts_with("capture_") {
            continue;
        }
        for exchange in vectors(&name)["exchanges"].as_array().unwrap() {
            let request = &exchange["request"];
            let headers: Vec<(&str, &str)> = request["headers"]
                .as_array()
                .unwrap()
                .iter()
                .map(|pair| (pair[0].as_str().unwrap(), pair[1].as_str().unwrap()))
                .collect();
            let header = |name: &str| headers.iter().find(|(found, _)| *found == name).unwrap().1;
            let target = text(request, "target");
            let target = target.strip_prefix("/api").unwrap_or(target);
            let made = canonical(text(request, "method"), target, headers.iter().copied());
            let claimed = header("Authorization");
            let key_id = claimed.strip_prefix("ODPS ").unwrap().split(':').next().unwrap();
            let secret = Secret::new("FAKEAKSECRET".to_owned());
            assert_eq!(
                authorization(&made, key_id, &secret, None, at(header("Date"))),
                claimed,
                "{name}: {made}"
            );
            verified += 1;
        }
    }
    assert_eq!(verified, 59);
}
