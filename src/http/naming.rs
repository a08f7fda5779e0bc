//! Which secrets and credentials an experiment may name: who names a key works with it.

use super::access::{Identity, Role};
use super::problem::Problem;
use crate::secrets::{DERIVED, Lifted, PREFIX};
use axum::http::StatusCode;
use engine::spec::Spec;
use engine::state::State;
use serde_json::Value;
use std::collections::BTreeSet;

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
            "ask an admin: the file of users says who may name which `secrets` and `credentials`",
        ))
    };
    for name in secrets(spec) {
        let own = || {
            name.starts_with(DERIVED)
                && (brought.iter().any(|one| one.name() == name) || has(state, who, &name))
        };
        if !who.names.secret(&name) && !own() {
            return refuse(format!("the secret `{name}`"));
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
