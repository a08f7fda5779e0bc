//! What the official SDK for Python was seen doing with the same variables, files and answers.

use crate::loopback::{Seen, Server};
use crate::machine::Machine;
use retrial_backends::cloud::credentials::{
    Choice, Credentials, CredentialsError, Provider, Refreshing, codes,
};
use serde_json::Value;

fn vectors(name: &str) -> Value {
    let path = format!("{}/tests/vectors/dlc/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The fields of the SDK's result.
fn check(name: &str, result: &Credentials, provider: &Refreshing, expected: &Value) {
    assert_eq!(result.access_key_id, expected["access_key_id"].as_str().unwrap(), "{name}");
    assert_eq!(result.access_key_secret.expose(), expected["access_key_secret"].as_str().unwrap(), "{name}");
    let token = result.security_token.as_ref().map(|token| token.expose().as_str());
    assert_eq!(token, expected["security_token"].as_str(), "{name}");
    let known = provider.at_hand().unwrap().provider;
    assert_eq!(known, expected["provider_name"].as_str().unwrap(), "{name}");
}

#[tokio::test]
async fn all_runs_of_the_default_chain_end_as_they_did_with_the_sdk() {
    let all = vectors("credentials_chain");
    let mut runs = 0;
    for case in all["cases"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let answer = match name {
            "uri_code_not_success" => (200, uri_answer("Failed")),
            "uri_http_404" => (404, "{}".to_owned()),
            _ => (200, uri_answer("Success")),
        };
        let server = Server::new([answer]);
        let mut machine = Machine::alone(&[]);
        for (variable, value) in case["env"].as_object().unwrap() {
            let home = machine.home.path().display().to_string();
            let port = server.url.rsplit(':').next().unwrap();
            let value = value.as_str().unwrap().replace("$HOME", &home).replace("$PORT", port);
            machine.set(variable, &value);
        }
        for (path, content) in case["files"].as_object().unwrap() {
            let text = content.as_str().map_or_else(|| content.to_string(), str::to_owned);
            machine.write(path.strip_prefix("~/").unwrap(), &text);
        }
        let provider = machine.provider(Choice::Chain);
        let result = provider.get().await;
        let expected = &case["result"];
        if name == "ini_without_extension_not_read" {
            // Here, too, the file of the SDKs for other languages is read.
            assert_eq!(result.unwrap().access_key_id, "iniAK");
        } else if expected["error"].is_null() {
            check(name, &result.unwrap(), &provider, expected);
        } else {
            let code = result.unwrap_err().code;
            let wanted = match name {
                "ini_sts_type_unsupported" => codes::UNUSABLE_KIND,
                "uri_code_not_success" | "uri_http_404" => codes::REFUSED,
                _ => codes::NO_CREDENTIALS,
            };
            assert_eq!(code, wanted, "{name}");
        }
        let asked: Vec<String> = server.seen().into_iter().map(|seen| seen.line).collect();
        let wanted: Vec<&str> = case["http_requests"]
            .as_array()
            .unwrap()
            .iter()
            .map(|r| r["request_line"].as_str().unwrap())
            .collect();
        assert_eq!(asked, wanted, "{name}");
        runs += 1;
    }
    assert_eq!(runs, 21);
}

fn uri_answer(code: &str) -> String {
    serde_json::json!({
        "Code": code,
        "AccessKeyId": "uriAK",
        "AccessKeySecret": "uriSK",
        "SecurityToken": "uriTok",
        "Expiration": "2099-01-01T00:00:00Z",
    })
    .to_string()
}

#[tokio::test]
async fn the_metadata_service_is_asked_as_the_sdk_asks_it() {
    let all = vectors("credentials_providers");
    let mut runs = 0;
    for case in all["imds"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let served = case["served"].as_array().unwrap().iter();
        let server = Server::new(
            served.map(|answer| (answer[0].as_u64().unwrap() as u16, answer[1].as_str().unwrap())),
        );
        let mut machine = Machine::new(&[]);
        machine.surroundings.metadata_url.clone_from(&server.url);
        if let Some(role) = case["options"]["role_name"].as_str() {
            machine.set("ALIBABA_CLOUD_ECS_METADATA", role);
        }
        if case["options"]["disable_imds_v1"] == true {
            machine.set("ALIBABA_CLOUD_IMDSV1_DISABLED", "true");
        }
        let provider = machine.provider(Choice::Chain);
        let result: Result<Credentials, CredentialsError> = provider.get().await;
        if case["result"]["error"].is_null() {
            let mut expected = case["result"].clone();
            expected["provider_name"] = "default/ecs_ram_role".into();
            check(name, &result.unwrap(), &provider, &expected);
        } else {
            assert!([codes::REFUSED, codes::UNREACHABLE].contains(&result.unwrap_err().code), "{name}");
        }
        let seen = server.seen();
        let wanted = case["requests"].as_array().unwrap();
        assert_eq!(seen.len(), wanted.len(), "{name}");
        for (seen, wanted) in seen.iter().zip(wanted) {
            assert_eq!(seen.line, wanted["request_line"].as_str().unwrap(), "{name}");
            for header in ["x-aliyun-ecs-metadata-token", "x-aliyun-ecs-metadata-token-ttl-seconds"] {
                let known = wanted["headers"].as_array().unwrap().iter();
                let known = known.map(|pair| (pair[0].as_str().unwrap(), pair[1].as_str().unwrap()));
                let mut known =
                    known.filter(|(name, _)| name.eq_ignore_ascii_case(header)).map(|(_, value)| value);
                assert_eq!(seen.header(header), known.next_back(), "{name}");
            }
        }
        runs += 1;
    }
    assert_eq!(runs, 6);
}

/// The query of a request, decoded.
pub fn query(seen: &Seen) -> Vec<(String, String)> {
    let target = seen.line.split(' ').nth(1).unwrap();
    let mut pairs: Vec<(String, String)> = target
        .split_once('?')
        .unwrap()
        .1
        .split('&')
        .map(|pair| pair.split_once('=').unwrap())
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect();
    pairs.sort();
    pairs
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        assert_ne!(byte, b'+', "a space is %20");
        if byte == b'%' {
            let digits = [rest.next().unwrap(), rest.next().unwrap()];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).unwrap()
}

pub fn sts_answer(id: &str, expires: &str) -> String {
    serde_json::json!({
        "RequestId": "R",
        "Credentials": {
            "AccessKeyId": id,
            "AccessKeySecret": "stsSK",
            "SecurityToken": "stsTok",
            "Expiration": expires,
        },
    })
    .to_string()
}

#[tokio::test]
async fn roles_are_asked_for_as_the_sdk_asks_for_them() {
    let all = vectors("credentials_providers");
    let mut same = 0;
    for case in all["sts"].as_array().unwrap() {
        let name = case["name"].as_str().unwrap();
        let wanted = &case["request"]["query"];
        let field = |key: &str| wanted[key].as_str();
        let server = Server::new([(200, sts_answer("STS.AK", "2026-01-02T04:04:05Z"))]);
        let mut machine = Machine::alone(&[]);
        machine.surroundings.sts_url = Some(server.url.clone());
        if name == "assume_role_with_oidc" {
            let file = machine.write("token", &format!("{}\n", field("OIDCToken").unwrap()));
            machine.set("ALIBABA_CLOUD_OIDC_TOKEN_FILE", file.to_str().unwrap());
            machine.set("ALIBABA_CLOUD_OIDC_PROVIDER_ARN", field("OIDCProviderArn").unwrap());
            machine.set("ALIBABA_CLOUD_ROLE_ARN", field("RoleArn").unwrap());
            machine.set("ALIBABA_CLOUD_ROLE_SESSION_NAME", field("RoleSessionName").unwrap());
        } else {
            let mut profile = serde_json::json!({
                "name": "p",
                "ram_role_arn": field("RoleArn"),
                "ram_session_name": field("RoleSessionName"),
                "expired_seconds": field("DurationSeconds").unwrap().parse::<u64>().unwrap(),
                "policy": field("Policy"),
                "external_id": field("ExternalId"),
            });
            let mut base =
                serde_json::json!({"name": "base", "access_key_id": "fakeAK", "access_key_secret": "fakeSK"});
            if let Some(token) = field("SecurityToken") {
                profile["mode"] = "ChainableRamRoleArn".into();
                profile["source_profile"] = "base".into();
                base["mode"] = "StsToken".into();
                base["sts_token"] = token.into();
            } else {
                profile["mode"] = "RamRoleArn".into();
                profile["access_key_id"] = "fakeAK".into();
                profile["access_key_secret"] = "fakeSK".into();
            }
            let file = serde_json::json!({"current": "p", "profiles": [base, profile]});
            machine.write(".aliyun/config.json", &file.to_string());
        }
        let provider = machine.provider(Choice::Chain);
        let credentials = provider.get().await.unwrap();
        let mut expected = case["result"].clone();
        let way = expected["provider_name"].as_str().unwrap();
        let file = if name == "assume_role_with_oidc" { "" } else { "cli_profile/" };
        expected["provider_name"] = format!("default/{file}{way}").into();
        check(name, &credentials, &provider, &expected);
        let seen = query(&server.seen()[0]);
        let mut pairs: Vec<(String, String)> = wanted
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
            .collect();
        pairs.sort();
        // The library that made the vectors signs a space as `+`; there the signature is another.
        let spaced = pairs.iter().any(|(name, value)| name != "OIDCToken" && value.contains(' '));
        let signed = pairs.iter().any(|(name, _)| name == "Signature");
        if spaced && signed {
            let unsigned = |pairs: &[(String, String)]| -> Vec<(String, String)> {
                pairs.iter().filter(|(name, _)| name != "Signature").cloned().collect()
            };
            assert_eq!(unsigned(&seen), unsigned(&pairs), "{name}");
        } else {
            assert_eq!(seen, pairs, "{name}");
            same += 1;
        }
    }
    assert_eq!(same, 3);
}
