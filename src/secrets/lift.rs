//! Takes the secrets out of a configuration of PAI before anything else sees it.
//!
//! In their place stands `secret:NAME`, with a name that follows from the secret, so that the same configuration is the
//! same experiment again.

use super::{PREFIX, SecretError, Vault};
use backends::cloud::secret::Secret;
use serde_json::{Map, Value, json};

/// Where the configuration is in a request that creates an experiment.
const WRAPPER: &str = "HpoExperimentConfiguration";
/// The platforms whose keys are used, the section that holds them, and the names of the key's two parts.
const KEYS: [(&[&str], &str, &str, &str); 2] = [
    (&["dlc"], "dlc_config", "access_id", "access_key"),
    (&["maxcompute", "mc", "odps"], "odps_config", "access_id", "access_key"),
];

/// A secret that was taken out, to be kept once the configuration is found right.
#[derive(Debug)]
pub struct Lifted(Secret<String>);

impl Lifted {
    /// Keeps it under the name that the configuration now has.
    pub fn keep(&self, vault: &Vault) -> Result<(), SecretError> {
        vault.keep(&self.0).map(|_| ())
    }
}

/// Takes the access key of the platform and the address of the robot out of a configuration. What is written as a
/// placeholder (`${AK}`) or names a secret already stays.
pub fn lift(document: &mut Value, vault: &Vault) -> Result<Vec<Lifted>, SecretError> {
    let config = match document.get_mut(WRAPPER) {
        Some(wrapped) => wrapped,
        None => document,
    };
    let mut lifted = Vec::new();
    let platform = config.pointer("/platform_config/name").and_then(Value::as_str).unwrap_or_default();
    let platform = platform.to_lowercase();
    for (platforms, section, id, key) in KEYS {
        let Some(Value::Object(fields)) = config.get_mut(section) else { continue };
        if !platforms.contains(&platform.as_str()) || fields.contains_key("credential") {
            continue;
        }
        let parts = plain(fields, id).zip(plain(fields, key));
        if let Some((id_text, key_text)) = parts {
            let secret = json!({"access_key_id": id_text, "access_key_secret": key_text}).to_string();
            let name = take(secret, vault, &mut lifted)?;
            fields.retain(|name, _| name != id && name != key);
            fields.insert("credential".to_owned(), name.into());
        }
    }
    if let Some(Value::Object(robot)) = config.get_mut("monitor_config")
        && let Some(url) = plain(robot, "url")
    {
        let name = take(url, vault, &mut lifted)?;
        robot.insert("url".to_owned(), name.into());
    }
    Ok(lifted)
}

/// A text that is a secret by itself.
fn plain(fields: &Map<String, Value>, key: &str) -> Option<String> {
    let text = fields.get(key)?.as_str()?.trim();
    (!text.is_empty() && !text.starts_with("${") && !text.starts_with(PREFIX)).then(|| text.to_owned())
}

fn take(secret: String, vault: &Vault, lifted: &mut Vec<Lifted>) -> Result<String, SecretError> {
    let secret = Secret::new(secret);
    let name = vault.name_of(&secret)?;
    lifted.push(Lifted(secret));
    Ok(format!("{PREFIX}{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_of_the_platform_and_the_robots_address_are_taken_out() {
        let store = tempfile::tempdir().unwrap();
        let vault = Vault::with_key(store.path(), None);
        let configuration = || {
            json!({"Name": "lab", "HpoExperimentConfiguration": {
                "platform_config": {"name": "MaxCompute"},
                "odps_config": {"access_id": "LTAIplanted", "access_key": "planted", "project_name": "p"},
                "dlc_config": {"access_id": "LTAIother", "access_key": "other"},
                "monitor_config": {"url": "https://oapi.dingtalk.com/robot/send?access_token=planted", "keyword": "m"},
            }})
        };
        let mut document = configuration();
        let lifted = lift(&mut document, &vault).unwrap();
        assert!(!document.to_string().contains("planted"), "{document}");
        assert_eq!(vault.list().unwrap(), [], "nothing is kept yet");
        for one in &lifted {
            one.keep(&vault).unwrap();
        }
        let open = |path: &str| {
            let name = document.pointer(path).unwrap().as_str().unwrap().strip_prefix(PREFIX).unwrap();
            vault.open(name).unwrap().expose().clone()
        };
        let key: Value =
            serde_json::from_str(&open("/HpoExperimentConfiguration/odps_config/credential")).unwrap();
        assert_eq!(key, json!({"access_key_id": "LTAIplanted", "access_key_secret": "planted"}));
        assert!(open("/HpoExperimentConfiguration/monitor_config/url").ends_with("access_token=planted"));
        let mut again = configuration();
        lift(&mut again, &vault).unwrap();
        assert_eq!(again, document, "the same configuration gives the same names");
        assert!(lift(&mut document, &vault).unwrap().is_empty(), "nothing is taken twice");
    }

    #[test]
    fn placeholders_and_halves_of_keys_stay() {
        let store = tempfile::tempdir().unwrap();
        let vault = Vault::with_key(store.path(), None);
        let mut document = json!({
            "platform_config": {"name": "dlc"},
            "dlc_config": {"access_id": "${AK}", "access_key": "${SK}"}, "odps_config": {"access_id": "LTAIhalf"},
        });
        let before = document.clone();
        assert!(lift(&mut document, &vault).unwrap().is_empty());
        assert_eq!(document, before);
        assert!(!store.path().join("secrets").exists());
    }
}
