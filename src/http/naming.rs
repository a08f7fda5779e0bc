//! Which secrets and credentials an experiment may name: who names a key works with it.

use super::access::{Identity, Role};
use super::problem::Problem;
use crate::secrets::{DERIVED, Lifted, PREFIX};
use axum::http::StatusCode;
use engine::spec::Spec;
use engine::state::State;
use serde_json::Value;
use std::collections::BTreeSet;

/// The domains of Alibaba Cloud's services.
const CLOUD: [&str; 3] = ["aliyuncs.com", "aliyun.com", "aliyun-inc.com"];

/// An error unless somebody may name all that an experiment names. What came with its configuration is its own, and so is
/// what came with another experiment of theirs.
pub fn check(state: &State, who: &Identity, spec: &Spec, brought: &[Lifted]) -> Result<(), Problem> {
    if who.role == Role::Admin {
        return Ok(());
    }
    let refuse = |what: String| {
        Err(Problem::coded(
            StatusCode::FORBIDDEN,
            crate::codes::NOT_ALLOWED,
            format!("{} may not name {what}", who.name),
            "ask an admin: the file of users says who may name which `secrets`, `credentials` and `endpoints`, and its `max_priority`",
        ))
    };
    for name in secrets(spec) {
        // What came with a configuration is nobody else's, whatever patterns say.
        let may = if name.starts_with(DERIVED) {
            brought.iter().any(|one| one.name() == name) || has(state, who, &name)
        } else {
            who.names.secret(&name)
        };
        if !may {
            return refuse(format!("the secret `{name}`"));
        }
    }
    if spec.priority > who.names.max_priority() {
        return refuse(format!("a priority above {}", who.names.max_priority()));
    }
    let own_key = spec.run.as_ref().and_then(|run| run.config.get("credential")?.as_str());
    if !own_key.is_some_and(|key| key.trim().starts_with(PREFIX)) {
        for endpoint in endpoints(spec) {
            if !is_of_the_cloud(&endpoint) && !who.names.endpoint(&endpoint) {
                return refuse(format!("the endpoint `{endpoint}` for the daemon's own credentials"));
            }
        }
    }
    for name in credentials(spec) {
        // What a placeholder becomes may be anything.
        if name.contains("${") {
            return refuse("a credential by a placeholder".to_owned());
        }
        if !who.names.credential(&name) {
            return refuse(format!("the credential `{name}`"));
        }
    }
    Ok(())
}

/// Whether one of somebody's own experiments names a secret.
fn has(state: &State, who: &Identity, name: &str) -> bool {
    let mut own = state.experiments().filter(|one| state.actor_name(one.creator) == who.name);
    own.any(|one| one.spec.text().contains(name) && secrets(&one.spec).contains(name))
}

/// The names of the sealed secrets in an experiment, wherever in it one can stand.
fn secrets(spec: &Spec) -> BTreeSet<String> {
    let whole = spec.canonical();
    let mut names = BTreeSet::new();
    for part in ["run", "notify"] {
        gather(whole.get(part).unwrap_or(&Value::Null), &mut names);
    }
    names
}

fn gather(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => names.extend(text.trim().strip_prefix(PREFIX).map(str::to_owned)),
        Value::Array(items) => items.iter().for_each(|item| gather(item, names)),
        Value::Object(map) => map.values().for_each(|item| gather(item, names)),
        _ => {}
    }
}

/// Where an experiment has the daemon's requests sent, which carry its signature and perhaps a temporary token.
fn endpoints(spec: &Spec) -> BTreeSet<String> {
    fn gather(value: &Value, found: &mut BTreeSet<String>) {
        let Some(map) = value.as_object() else { return };
        for (key, inner) in map {
            match inner {
                Value::String(text) if key.to_lowercase().ends_with("endpoint") => {
                    found.insert(text.trim().to_owned());
                }
                inner => gather(inner, found),
            }
        }
    }
    let mut found = BTreeSet::new();
    if let Some(run) = &spec.run {
        gather(&run.config, &mut found);
    }
    found.retain(|text| !text.is_empty());
    found
}

/// Whether an endpoint is one of Alibaba Cloud.
fn is_of_the_cloud(endpoint: &str) -> bool {
    let rest = endpoint.split_once("://").map_or(endpoint, |(_, rest)| rest);
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = host.split_once(':').map_or(host, |(host, _)| host).to_lowercase();
    let plain = host.chars().all(|char| char.is_ascii_alphanumeric() || ['.', '-'].contains(&char));
    plain && CLOUD.iter().any(|domain| host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.')))
}

/// The profiles and roles in an experiment, and what placeholders may make one.
fn credentials(spec: &Spec) -> BTreeSet<String> {
    let named = spec.run.as_ref().and_then(|run| run.config.get("credential"));
    let texts: Vec<&Value> = match named {
        Some(Value::Object(role)) => {
            role.iter().filter(|(key, _)| matters(key)).map(|(_, text)| text).collect()
        }
        other => other.into_iter().collect(),
    };
    let texts = texts.into_iter().filter_map(Value::as_str).map(str::trim);
    texts.filter(|text| !text.starts_with(PREFIX) || text.contains("${")).map(str::to_owned).collect()
}

/// Whether a part of a role says whose it is; its session and the like do not.
fn matters(key: &str) -> bool {
    ["role_arn", "key"].contains(&key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::access::Access;
    use serde_json::json;

    fn may(grants: &str, run: &Value, notify: &Value) -> Result<(), String> {
        let file = format!("[[user]]\nname = 'ben'\nrole = 'user'\ntoken = 'a-token-of-sixteen'\n{grants}");
        let ben = Access::of(&file).unwrap().bearer("a-token-of-sixteen").unwrap().clone();
        let spec = json!({
            "name": "n", "space": {"x": {"choice": ["secret:team-a"]}}, "objective": "minimize", "budget": {"trials": 1},
            "metric": {"stdout": "m=([0-9])"}, "run": {"dlc": run}, "notify": notify,
        });
        let (spec, _) = Spec::parse(&spec, "").unwrap();
        check(&State::default(), &ben, &spec, &[]).map_err(|problem| problem.message)
    }

    #[test]
    fn the_daemons_own_credentials_go_to_the_cloud_only() {
        let at = |endpoint: &str, more: &Value| {
            let mut run = json!({"command": "train", "endpoint": endpoint});
            run.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            run
        };
        let (none, no_more) = (json!(null), json!({}));
        for fine in
            ["https://pai-dlc.cn-hangzhou.aliyuncs.com", "http://pai-dlc.cn-hangzhou.aliyuncs.com:443/x"]
        {
            may("", &at(fine, &no_more), &none).unwrap();
        }
        let elsewhere =
            ["http://127.0.0.1:1", "https://aliyuncs.com.evil.example", "https://a@b.aliyuncs.com"];
        for wrong in elsewhere.into_iter().chain(["https://evilaliyuncs.com", "http://h#.aliyuncs.com"]) {
            let told = may("", &at(wrong, &no_more), &none).unwrap_err();
            assert!(told.contains("may not name the endpoint"), "{told}");
            may("endpoints = ['*']", &at(wrong, &no_more), &none).unwrap();
        }
        let own = json!({"credential": "secret:mine"});
        may("secrets = ['mine']", &at("http://127.0.0.1:1", &own), &none).unwrap();
    }

    #[test]
    fn what_is_named_must_be_granted() {
        let run = |credential: Value| json!({"command": "train", "region": "r", "credential": credential});
        let none = json!({"command": "train", "region": "r"});
        let nobody = json!([]);
        let arn = "acs:ram::1:role/tuner";
        for (grants, run, notify, refused) in [
            ("", none.clone(), nobody.clone(), ""),
            ("", run(json!("secret:team-a")), nobody.clone(), "the secret `team-a`"),
            ("secrets = ['team-*']", run(json!("secret:team-a")), nobody.clone(), ""),
            ("secrets = ['team-*']", run(json!("team-a")), nobody.clone(), "the credential `team-a`"),
            ("credentials = ['prod']", run(json!("prod")), nobody.clone(), ""),
            ("credentials = ['*']", run(json!("secret:team-a")), nobody.clone(), "the secret `team-a`"),
            (
                "credentials = ['*']\nsecrets = ['*']",
                run(json!("${x}")),
                nobody.clone(),
                "a credential by a placeholder",
            ),
            (
                "credentials = ['*']\nsecrets = ['*']",
                run(json!("secret:${x}")),
                nobody.clone(),
                "a credential by a placeholder",
            ),
            ("", run(json!({"role_arn": arn})), nobody.clone(), "the credential `acs:ram::1:role/tuner`"),
            (
                "credentials = ['acs:ram::1:*']",
                run(json!({"role_arn": arn, "role_session_name": "s"})),
                nobody.clone(),
                "",
            ),
            (
                "credentials = ['acs:ram::1:*']",
                run(json!({"role_arn": arn, "key": "secret:a"})),
                nobody.clone(),
                "the secret `a`",
            ),
            ("", none.clone(), json!({"dingtalk": "secret:robot"}), "the secret `robot`"),
            (
                "",
                none.clone(),
                json!({"webhook": {"url": "http://h/x", "secret": "secret:sign"}}),
                "the secret `sign`",
            ),
            ("secrets = ['robot']", none, json!({"dingtalk": "secret:robot"}), ""),
            ("", run(json!("secret:pai-0123")), nobody, "the secret `pai-0123`"),
        ] {
            let told = may(grants, &run, &notify).err().unwrap_or_default();
            let expected =
                if refused.is_empty() { String::new() } else { format!("ben may not name {refused}") };
            assert_eq!(told, expected, "{grants} {run} {notify}");
        }
    }
}
