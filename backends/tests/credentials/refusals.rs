//! What is refused or passed over, what the person is told, and that no secret is ever in it.

use crate::loopback::Server;
use crate::machine::Machine;
use crate::vectors::sts_answer;
use retrial_backends::cloud::credentials::{Choice, Provider, Refreshing, Web, codes, survey};
use retrial_backends::cloud::proxy::ProxySettings;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

fn profiles(current: &str, profiles: &serde_json::Value) -> String {
    serde_json::json!({"current": current, "profiles": profiles}).to_string()
}

#[tokio::test]
async fn a_profile_that_needs_a_person_or_a_program_ends_the_search_with_a_reason() {
    for mode in ["CloudSSO", "OAuth", "External", "RsaKeyPair"] {
        let machine = Machine::alone(&[("ALIBABA_CLOUD_CREDENTIALS_URI", "http://127.0.0.1:1/")]);
        let file =
            profiles("x", &serde_json::json!([{"name": "x", "mode": mode, "process_command": "touch ran"}]));
        machine.write(".aliyun/config.json", &file);
        let error = machine.provider(Choice::Chain).get().await.unwrap_err();
        assert_eq!(error.code, codes::UNUSABLE_KIND);
        assert!(error.message.contains(mode) && error.message.contains("`x`"), "{error}");
        assert!(!std::path::Path::new("ran").exists(), "no program was run");
        // What comes earlier in the chain is not disturbed by it.
        let mut machine = machine;
        machine.set("ALIBABA_CLOUD_ACCESS_KEY_ID", "envAK");
        machine.set("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "envSK");
        assert_eq!(machine.provider(Choice::Chain).get().await.unwrap().access_key_id, "envAK");
    }
}

#[tokio::test]
async fn a_program_is_run_only_when_that_is_allowed_and_what_it_says_is_read() {
    let mut machine = Machine::alone(&[("RETRIAL_CREDENTIAL_PROGRAMS", "true")]);
    let profile = |machine: &Machine, command: &str| {
        let list = serde_json::json!([{"name": "x", "mode": "External", "process_command": command}]);
        machine.write(".aliyun/config.json", &profiles("x", &list));
    };
    let good = r#"echo '{"mode": "StsToken", "access_key_id": "extAK", "access_key_secret": "planted",
        "sts_token": "planted", "expiration": "2026-01-02T04:04:05Z"}'; echo planted >&2"#;
    profile(&machine, good);
    let provider = machine.provider(Choice::Chain);
    assert_eq!(provider.get().await.unwrap().access_key_id, "extAK");
    let at_hand = provider.at_hand().unwrap();
    assert_eq!(at_hand.provider, "default/cli_profile/external");
    assert!(at_hand.expires.is_some() && !format!("{at_hand:?}{provider:?}").contains("planted"));
    for bad in ["exit 3", "echo planted", r#"echo '{"access_key_id": "planted"}'"#] {
        profile(&machine, bad);
        let error = machine.provider(Choice::Chain).get().await.unwrap_err();
        assert_eq!(error.code, codes::REFUSED, "{error}");
        assert!(!format!("{error:?}").contains("planted"), "{error:?}");
    }
    profile(&machine, good);
    machine.set("RETRIAL_CREDENTIAL_PROGRAMS", "false");
    assert_eq!(machine.provider(Choice::Chain).get().await.unwrap_err().code, codes::UNUSABLE_KIND);
}

#[tokio::test]
async fn a_named_profile_is_used_whatever_the_environment_says_and_a_misspelt_one_gets_a_suggestion() {
    let machine = Machine::alone(&[
        ("ALIBABA_CLOUD_ACCESS_KEY_ID", "envAK"),
        ("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "envSK"),
    ]);
    let list = serde_json::json!([
        {"name": "default", "mode": "AK", "access_key_id": "", "access_key_secret": ""},
        {"name": "prod", "mode": "AK", "access_key_id": "prodAK", "access_key_secret": "s"},
    ]);
    machine.write(".aliyun/config.json", &profiles("default", &list));
    machine.write(
        ".alibabacloud/credentials",
        "[lab]\ntype=access_key\naccess_key_id=labAK\naccess_key_secret=s\n",
    );
    let get = async |name: &str| machine.provider(Choice::parse(name).unwrap()).get().await;
    assert_eq!(get("prod").await.unwrap().access_key_id, "prodAK");
    assert_eq!(get("lab").await.unwrap().access_key_id, "labAK");
    let error = get("prdo").await.unwrap_err();
    assert_eq!((error.code, error.cure.as_str()), (codes::BAD_NAME, "did you mean `prod`?"));
    // By its name, half a profile is a mistake; in the chain it is passed over.
    assert_eq!(get("default").await.unwrap_err().code, codes::BAD_SETTINGS);
}

#[tokio::test]
async fn a_fresh_installation_of_the_command_line_interface_does_not_hide_the_machines_role() {
    let answer = sts_answer("role", "2099-01-01T00:00:00Z");
    let fields: serde_json::Value = serde_json::from_str(&answer).unwrap();
    let mut fields = fields["Credentials"].clone();
    fields["Code"] = "Success".into();
    let server = Server::new(
        [(200, "T"), (200, "MyRole"), (200, "T"), (200, fields.to_string().as_str())]
            .map(|(s, b)| (s, b.to_owned())),
    );
    let mut machine = Machine::new(&[]);
    machine.surroundings.metadata_url = server.url;
    let list =
        serde_json::json!([{"name": "default", "mode": "AK", "access_key_id": "", "access_key_secret": ""}]);
    machine.write(".aliyun/config.json", &profiles("default", &list));
    assert_eq!(machine.provider(Choice::Chain).get().await.unwrap().access_key_id, "role");
}

#[tokio::test]
async fn a_role_that_fails_is_not_replaced_by_another_identity() {
    let sts = Server::new([(503, "down")]);
    let mut machine = Machine::alone(&[
        ("ALIBABA_CLOUD_ROLE_ARN", "acs:ram::1:role/r"),
        ("ALIBABA_CLOUD_OIDC_PROVIDER_ARN", "acs:ram::1:oidc-provider/p"),
    ]);
    let token = machine.write("token", "planted-oidc-token");
    machine.set("ALIBABA_CLOUD_OIDC_TOKEN_FILE", token.to_str().unwrap());
    machine.surroundings.sts_url = Some(sts.url);
    let list = serde_json::json!([{"name": "default", "mode": "AK", "access_key_id": "other", "access_key_secret": "s"}]);
    machine.write(".aliyun/config.json", &profiles("default", &list));
    let error = machine.provider(Choice::Chain).get().await.unwrap_err();
    assert_eq!(error.code, codes::UNREACHABLE);
    assert!(!format!("{error:?}").contains("planted"));
    // A token file that is not there is told, too.
    fs::remove_file(token).unwrap();
    assert_eq!(machine.provider(Choice::Chain).get().await.unwrap_err().code, codes::BAD_SETTINGS);
}

#[tokio::test]
async fn a_host_that_cannot_be_reached_is_asked_once_and_the_credentials_uri_comes_after_it() {
    let answer = sts_answer("uri", "2099-01-01T00:00:00Z");
    let mut fields = serde_json::from_str::<serde_json::Value>(&answer).unwrap()["Credentials"].clone();
    fields["Code"] = "Success".into();
    let server = Server::new([(200, fields.to_string())]);
    let mut machine = Machine::new(&[("ALIBABA_CLOUD_CREDENTIALS_URI", &format!("{}/c", server.url))]);
    // Port 1 of loopback refuses.
    "http://127.0.0.1:1".clone_into(&mut machine.surroundings.metadata_url);
    assert_eq!(machine.provider(Choice::Chain).get().await.unwrap().access_key_id, "uri");
    machine.surroundings.variables.clear();
    let error = machine.provider(Choice::Chain).get().await.unwrap_err();
    assert_eq!(error.code, codes::NO_CREDENTIALS);
    assert!(error.message.contains("metadata service") && error.message.contains("config.json"), "{error}");
}

#[tokio::test]
async fn profiles_that_lead_in_a_circle_are_an_error() {
    let machine = Machine::alone(&[]);
    let link = |name: &str, next: &str| serde_json::json!({"name": name, "mode": "ChainableRamRoleArn", "ram_role_arn": "r", "source_profile": next});
    machine
        .write(".aliyun/config.json", &profiles("a", &serde_json::json!([link("a", "b"), link("b", "a")])));
    let error = machine.provider(Choice::Profile("a".to_owned())).get().await.unwrap_err();
    assert!(error.code == codes::BAD_SETTINGS && error.message.contains("leads over"), "{error}");
}

#[test]
fn a_file_that_everybody_can_read_is_warned_about() {
    let machine = Machine::alone(&[]);
    let text = "[default]\ntype=access_key\naccess_key_id=LTAIplantedABCD\naccess_key_secret=planted\n";
    let path = machine.write(".alibabacloud/credentials.ini", text);
    let look = || survey(&Choice::Chain, &machine.surroundings).unwrap();
    assert!(look().warnings.is_empty());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let look = look();
    assert!(
        look.warnings[0].contains("credentials.ini") && look.warnings[0].contains("chmod 600"),
        "{look:?}"
    );
    let named = look.candidates[0].to_string();
    assert!(named.starts_with("access key ending in ABCD, from the section `default` of "), "{named}");
    assert!(!format!("{look:?}{named}").contains("planted\""));
}

#[test]
fn a_broken_file_is_told_by_its_line_and_never_by_its_text() {
    let machine = Machine::alone(&[]);
    machine.write(".aliyun/config.json", "{\n\"access_key_secret\": planted\n}");
    let look = survey(&Choice::Chain, &machine.surroundings).unwrap();
    assert!(look.candidates.is_empty());
    assert!(look.warnings[0].contains("is not JSON (line 2)"), "{look:?}");
    assert!(!format!("{look:?}").contains("planted"));
    let error = survey(&Choice::Profile("x".to_owned()), &machine.surroundings).unwrap_err();
    assert_eq!(error.code, codes::BAD_SETTINGS);
}

#[tokio::test]
async fn addresses_are_not_made_of_what_files_and_services_say() {
    // A region that would be another host, and a role that would be another path.
    let machine = Machine::alone(&[]);
    let list = serde_json::json!([
        {"name": "region", "mode": "RamRoleArn", "access_key_id": "a", "access_key_secret": "s",
         "ram_role_arn": "r", "sts_region": "x.example.org/"},
        {"name": "role", "mode": "EcsRamRole", "ram_role_name": "../../user-data"},
        {"name": "uri", "mode": "CredentialsURI", "credentials_uri": "file:///etc/passwd"},
    ]);
    machine.write(".aliyun/config.json", &profiles("region", &list));
    for name in ["region", "role", "uri"] {
        let error = machine.provider(Choice::Profile(name.to_owned())).get().await.unwrap_err();
        assert_eq!(error.code, codes::BAD_SETTINGS, "{name}: {error}");
    }
    let server = Server::new([(200, "T"), (200, "a role\r\nand more"), (200, "../x")]);
    let mut machine = Machine::new(&[]);
    machine.surroundings.metadata_url.clone_from(&server.url);
    let error = machine.provider(Choice::Chain).get().await.unwrap_err();
    assert_eq!(error.code, codes::NO_CREDENTIALS);
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn roles_are_asked_for_through_the_proxy_and_the_metadata_service_never() {
    let proxy = Server::new([(200, sts_answer("role", "2026-01-02T04:04:05Z"))]);
    let mut keys = serde_json::from_str::<serde_json::Value>(&sts_answer("machine", "2099-01-01T00:00:00Z"))
        .unwrap()["Credentials"]
        .clone();
    keys["Code"] = "Success".into();
    let host = Server::new([(200, "T".to_owned()), (200, keys.to_string())]);
    let mut machine = Machine::new(&[("ALIBABA_CLOUD_ECS_METADATA", "MyRole")]);
    machine.surroundings.metadata_url.clone_from(&host.url);
    // No such host exists, so only the proxy can answer.
    machine.surroundings.sts_url = Some("http://sts.test".to_owned());
    let settings = ProxySettings { http: Some(proxy.url.clone().into()), https: None, direct: String::new() };
    let web = Arc::new(Web::new(settings).unwrap());
    let choice = Choice::parse("acs:ram::1:role/tuner").unwrap();
    let provider = Refreshing::new(choice, machine.surroundings.clone(), web);
    assert_eq!(provider.get().await.unwrap().access_key_id, "role");
    assert_eq!(host.seen().len(), 2);
    assert!(
        proxy.seen()[0].line.starts_with("GET http://sts.test/?Action=AssumeRole&"),
        "{:?}",
        proxy.seen()
    );
}
