//! Hides what is secret in a configuration. What comes over the wire is hidden before it is kept: the journal never forgets.

use crate::spec_file::secret::places;
use engine::ports::backend::CommandLine;
use engine::spec::credential::{SEALED, is_credential};
use serde_json::{Map, Value};

pub(super) use crate::secrets::MASK;

/// Parts that have no credentials of their own, and whose keys are names that somebody chose.
const PLAIN: [&str; 4] = ["search_space", "platform_config", "metric_config", "yml_config"];

/// Whether the value of a key is hidden. Access key ids are: the service hides them as well.
fn hides(key: &str) -> bool {
    is_credential(key) || ["access_id", "access_key_id", "ak", "sk"].contains(&key.to_lowercase().as_str())
}

/// The configuration as it is kept and shown.
pub(super) fn masked(config: &Value) -> Value {
    let Value::Object(sections) = config else { return Value::Null };
    let shown = |(key, value): (&String, &Value)| {
        let value = match key.as_str() {
            "search_space" => value.clone(),
            "metric_config" => {
                let mut shown = concealed(value, false);
                // Its keys are names of metrics, and patterns.
                if let (Some(shown), Some(weights)) = (shown.as_object_mut(), value.get("metric_dict")) {
                    shown.insert("metric_dict".to_owned(), weights.clone());
                }
                shown
            }
            "monitor_config" => with_address(concealed(value, !value.is_object())),
            key => concealed(value, !value.is_object() && !PLAIN.contains(&key)),
        };
        (key.clone(), value)
    };
    Value::Object(sections.iter().map(shown).collect())
}

fn concealed(value: &Value, secret: bool) -> Value {
    match value {
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| (key.clone(), concealed(value, secret || hides(key))))
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(items) => items.iter().map(|item| concealed(item, secret)).collect(),
        Value::String(_) | Value::Number(_) if secret => MASK.into(),
        Value::String(line) => text(line).into(),
        plain => plain.clone(),
    }
}

/// Of the address of a robot only the host is shown: whoever has the rest can write to its group.
fn with_address(mut section: Value) -> Value {
    if let Some(Value::String(url)) = section.get_mut("url") {
        let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let host = host.rsplit('@').next().unwrap_or_default();
        *url = if scheme.is_empty() { MASK.to_owned() } else { format!("{scheme}://{host}/{MASK}") };
    }
    section
}

/// A text without the secrets that it gives, such as `--token=abc`.
pub(super) fn text(text: &str) -> String {
    let lines = text.split('\n').map(|line| {
        let mut hidden: Vec<(usize, usize)> =
            places(line).into_iter().filter(|(from, to)| from < to).collect();
        hidden.sort_unstable();
        let mut out = String::new();
        let mut done = 0;
        for (from, to) in hidden {
            if from >= done {
                out.push_str(line.get(done..from).unwrap_or_default());
                out.push_str(MASK);
            }
            done = done.max(to);
        }
        out.push_str(line.get(done..).unwrap_or_default());
        out
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Whether a text gives [`MASK`] where a secret should be.
pub(super) fn is_masked(line: &str) -> bool {
    // The mask itself is not taken for a secret, so that another word is put in its place.
    let word = "WITHHELD";
    text(&line.replace(MASK, word)).matches(word).count() < line.matches(MASK).count()
}

/// The configuration without credentials of services but those that are named (`credential: secret:NAME`): what was not
/// taken out is not used, and nothing of it may reach a message.
pub(super) fn without_credentials(config: &Value) -> Value {
    let Value::Object(sections) = config else { return config.clone() };
    let kept = |(key, value): (&String, &Value)| {
        let value = match value {
            value if PLAIN.contains(&key.as_str()) => value.clone(),
            Value::Object(_) => stripped(value),
            // The message that this is no section must not repeat it.
            _ => Value::Array(Vec::new()),
        };
        (key.clone(), value)
    };
    Value::Object(sections.iter().map(kept).collect())
}

fn stripped(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.iter().filter(|(key, value)| !hides(key) || is_named(key, value));
            kept.map(|(key, value)| (key.clone(), stripped(value))).collect::<Map<_, _>>().into()
        }
        plain => plain.clone(),
    }
}

fn is_named(key: &str, value: &Value) -> bool {
    key == "credential" && value.as_str().is_some_and(|name| name.starts_with(SEALED))
}

/// Gives commands their secrets back that a client has read as [`MASK`] and sends as it has read them.
pub(super) fn restore(config: &mut Value, known: &[CommandLine]) {
    let Some(Value::Array(commands)) = config.pointer_mut("/platform_config/cmd") else { return };
    for (command, known) in commands.iter_mut().zip(known) {
        if let (Value::String(line), CommandLine::Shell(known)) = (command, known)
            && *line == text(known)
        {
            line.clone_from(known);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn config() -> Value {
        json!({
            "platform_config": {"name": "Local", "cmd": ["train --token planted-1 --lr ${lr}", "PG_PASSWORD=planted-2 eval"]},
            "metric_config": {"metric_dict": {"token": 1, "secret=([0-9]+)": 0.5}, "metric_source": ["https://me:planted-3@host/x"]},
            "search_space": {"token": {"_type": "choice", "_value": ["a", "b"]}},
            "oss_config": {"accessKeyID": "planted-4", "accessKeySecret": "planted-5", "endpoint": "http://127.0.0.1:9"},
            "odps_config": {"access_id": "planted-6", "access_key": 7, "security_token": "planted-8", "project_name": "p"},
            "ts_config": {"access_key_id": "planted-9", "credentials": {"value": "planted-10"}},
            "monitor_config": {"url": "https://oapi.dingtalk.com/robot/send?access_token=planted-11", "keyword": "monitor"},
        })
    }

    #[test]
    fn no_secret_is_left_and_all_else_is_as_it_came() {
        let shown = masked(&config());
        assert!(!shown.to_string().contains("planted"), "{shown}");
        assert_eq!(shown["platform_config"]["cmd"][0], "train --token **** --lr ${lr}");
        assert_eq!(shown["metric_config"]["metric_dict"], config()["metric_config"]["metric_dict"]);
        assert_eq!(shown["search_space"], config()["search_space"]);
        assert_eq!(shown["odps_config"]["access_key"], MASK);
        assert_eq!(shown["oss_config"]["endpoint"], "http://127.0.0.1:9");
        assert_eq!(
            shown["monitor_config"],
            json!({"url": "https://oapi.dingtalk.com/****", "keyword": "monitor"})
        );
        assert_eq!(masked(&shown), shown, "what is hidden stays what it is");
        let no_sections = json!({"monitor_config": "https://host/planted", "oss_config": "planted", "k8s_config": ["planted"]});
        assert!(!masked(&no_sections).to_string().contains("planted"));
        assert!(!without_credentials(&no_sections).to_string().contains("planted"));
    }

    #[test]
    fn what_is_read_as_an_experiment_has_no_credentials_of_services() {
        let read = without_credentials(&config());
        assert_eq!(read["odps_config"], json!({"project_name": "p"}));
        assert_eq!(read["oss_config"], json!({"endpoint": "http://127.0.0.1:9"}));
        assert_eq!(read["ts_config"], json!({}));
        assert_eq!(read["platform_config"], config()["platform_config"]);
    }

    #[test]
    fn commands_get_their_secrets_back_and_others_are_known_by_their_mask() {
        let known: Vec<CommandLine> = ["train --token planted-1 --lr ${lr}", "PG_PASSWORD=planted-2 eval"]
            .map(|line| CommandLine::Shell(line.to_owned()))
            .into();
        let mut sent = masked(&config());
        restore(&mut sent, &known);
        assert_eq!(sent["platform_config"]["cmd"], config()["platform_config"]["cmd"]);
        assert!(is_masked("train --token **** --lr 1") && is_masked("echo **** && API_KEY=**** train"));
        assert!(!is_masked("echo '**** start ****'") && !is_masked("train --token planted --star ****"));
    }
}
