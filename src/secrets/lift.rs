//! Takes the secrets out of a configuration of PAI before anything else sees it.
//!
//! In their place stands `secret:NAME`, with a name that follows from the secret, so that the same configuration is the
//! same experiment again.

use super::{PREFIX, SecretError, Vault};
use backends::cloud::secret::Secret;
use engine::spec::Spec;
use engine::spec::notify::Target;
use serde_json::{Map, Value, json};

/// Where the configuration is in a request that creates an experiment.
const WRAPPER: &str = "HpoExperimentConfiguration";
/// The platforms whose keys are used, and the section that holds them.
const PLATFORMS: [(&[&str], &str); 2] =
    [(&["dlc"], "dlc_config"), (&["maxcompute", "mc", "odps"], "odps_config")];
/// The two parts of a key there.
const KEY: [&str; 2] = ["access_id", "access_key"];
/// What a temporary key has beside them.
const TOKENS: [&str; 2] = ["security_token", "sts_token"];
/// What is named in place of a key.
const NAMED: &str = "credential";
/// The section of the robot.
const ROBOT: &str = "monitor_config";
/// What the API of PAI shows in place of a secret.
pub const MASK: &str = "****";

/// A secret that was taken out, to be kept once the configuration is found right.
#[derive(Debug)]
pub struct Lifted(Secret<String>, String);

impl Lifted {
    /// Keeps it under the name that the configuration now has.
    pub fn keep(&self, vault: &Vault) -> Result<(), SecretError> {
        vault.keep(&self.0).map(|_| ())
    }

    /// That name.
    pub fn name(&self) -> &str {
        &self.1
    }
}

/// Takes the access key of the platform and the address of the robot out of a configuration. What is written as a
/// placeholder (`${AK}`) or names a secret already stays; a mask in place of a secret is a mistake.
pub fn lift(document: &mut Value, vault: &Vault) -> Result<Vec<Lifted>, SecretError> {
    let config = match document.get_mut(WRAPPER) {
        Some(wrapped) => wrapped,
        None => document,
    };
    let mut lifted = Vec::new();
    if let Some((section, Value::Object(fields))) = of_platform(config)
        && !names_a_secret(fields, NAMED)
    {
        for field in KEY.iter().chain(&TOKENS).chain(&[NAMED]) {
            refuse_mask(section, fields, field)?;
        }
        let [id, key] = KEY.map(|part| plain(fields, part));
        if let Some((id, key)) = id.zip(key) {
            let mut secret = json!({"access_key_id": id, "access_key_secret": key});
            if let Some(token) = TOKENS.iter().find_map(|token| plain(fields, token)) {
                secret["security_token"] = token.into();
            }
            let name = take(secret.to_string(), vault, &mut lifted)?;
            fields.retain(|name, _| !KEY.contains(&name.as_str()) && !TOKENS.contains(&name.as_str()));
            fields.insert(NAMED.to_owned(), name.into());
        }
    }
    if let Some(Value::Object(robot)) = config.get_mut(ROBOT) {
        refuse_mask(ROBOT, robot, "url")?;
        if let Some(url) = plain(robot, "url") {
            let name = take(url, vault, &mut lifted)?;
            robot.insert("url".to_owned(), name.into());
        }
    }
    Ok(lifted)
}

/// Gives a configuration the names of its secrets back where it has the masks with which it was `shown`; what was not kept
/// (of a version that kept none) goes. `before` is the experiment that was made of it.
pub fn restore(config: &mut Value, shown: &Value, before: &Spec) {
    if let Some((_, Value::Object(fields))) = of_platform(config) {
        let given = |name: &str| fields.get(name).is_some_and(|value| value != MASK);
        let parts = KEY.into_iter().filter(|part| given(part)).count();
        let anew = parts == KEY.len() || given(NAMED);
        // Half of a key beside a mask stays, to be refused.
        let half = parts == 1 && KEY.iter().any(|part| fields.get(*part).is_some_and(|value| value == MASK));
        let was = fields.len();
        if !half {
            fields.retain(|_, value| value != MASK);
        }
        let known = before.run.as_ref().and_then(|run| run.config.get(NAMED));
        let known = known.map(|known| known.get("key").unwrap_or(known)).and_then(Value::as_str);
        if let Some(name) = known.filter(|name| name.starts_with(PREFIX) && !anew && fields.len() < was) {
            fields.insert(NAMED.to_owned(), name.into());
        }
    }
    let address = shown.pointer("/monitor_config/url").and_then(Value::as_str);
    if let (Some(Value::Object(robot)), Some(address)) = (config.get_mut(ROBOT), address)
        && address.contains(MASK)
        && robot.get("url").is_some_and(|url| url == address)
    {
        let known = before.notify.iter().find_map(|notify| match &notify.target {
            Target::DingTalk { url, .. } => Some(url.as_str()),
            Target::Webhook { .. } => None,
        });
        robot.insert("url".to_owned(), known.unwrap_or_default().into());
    }
}

/// The section with the key of the configuration's platform.
fn of_platform(config: &mut Value) -> Option<(&'static str, &mut Value)> {
    let platform = config.pointer("/platform_config/name")?.as_str()?.to_lowercase();
    let (_, section) = PLATFORMS.into_iter().find(|(names, _)| names.contains(&platform.as_str()))?;
    Some((section, config.get_mut(section)?))
}

fn names_a_secret(fields: &Map<String, Value>, key: &str) -> bool {
    fields.get(key).and_then(Value::as_str).is_some_and(|text| text.starts_with(PREFIX))
}

/// A mask is no secret: whoever has read a configuration and sends it as another one has to give its secrets anew.
fn refuse_mask(section: &str, fields: &Map<String, Value>, key: &str) -> Result<(), SecretError> {
    if !fields.get(key).and_then(Value::as_str).is_some_and(|text| text.contains(MASK)) {
        return Ok(());
    }
    let message = format!("`{section}.{key}` has `{MASK}`, which is shown in place of a secret");
    Err(SecretError::new(crate::codes::BAD_SECRET, message, "give the whole secret, or name a sealed one"))
}

/// A text that is a secret by itself.
fn plain(fields: &Map<String, Value>, key: &str) -> Option<String> {
    let text = fields.get(key)?.as_str()?.trim();
    (!text.is_empty() && !text.starts_with("${") && !text.starts_with(PREFIX)).then(|| text.to_owned())
}

fn take(secret: String, vault: &Vault, lifted: &mut Vec<Lifted>) -> Result<String, SecretError> {
    let secret = Secret::new(secret);
    let name = vault.name_of(&secret)?;
    let named = format!("{PREFIX}{name}");
    lifted.push(Lifted(secret, name));
    Ok(named)
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

    /// An experiment on DLC that was made of a configuration with this key and robot.
    fn made(vault: &Vault, more: &Value) -> (Value, Spec) {
        let mut config = json!({
            "platform_config": {"name": "DLC", "cmd": ["train"]}, "search_space": {"x": {"_type": "choice", "_value": [1]}},
            "metric_config": {"metric_type": "stdout", "metric_dict": {"m=([0-9])": 1}, "metric_source": ["cmd1"]},
        });
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let mut lifted = config.clone();
        lift(&mut lifted, vault).unwrap();
        let spec = crate::spec_file::read_text("spec", &lifted.to_string(), "").unwrap().spec().unwrap().0;
        (config, spec)
    }

    #[test]
    fn masks_become_the_names_again_of_what_was_kept() {
        let store = tempfile::tempdir().unwrap();
        let vault = Vault::with_key(store.path(), None);
        let key = json!({"access_id": "LTAIplanted", "access_key": "planted", "security_token": "planted", "region": "r"});
        let robot = json!({"url": "https://h/robot?access_token=planted", "keyword": "k"});
        let (config, before) = made(&vault, &json!({"dlc_config": key, "monitor_config": robot}));
        let mut shown = config;
        for part in ["access_id", "access_key", "security_token"] {
            shown["dlc_config"][part] = json!(MASK);
        }
        shown["monitor_config"]["url"] = json!("https://h/****");
        let named = before.run.as_ref().unwrap().config["credential"].clone();
        let restored = |sent: &Value, before: &Spec| {
            let mut sent = sent.clone();
            restore(&mut sent, &shown, before);
            sent
        };
        let again = restored(&shown, &before);
        assert_eq!(again["dlc_config"], json!({"region": "r", "credential": named}));
        assert!(again["monitor_config"]["url"].as_str().unwrap().starts_with(PREFIX));
        assert!(lift(&mut restored(&shown, &before), &vault).unwrap().is_empty());
        // What is given anew stays, whole or by its name.
        let with = |changes: &Value| {
            let mut sent = shown.clone();
            sent["dlc_config"].as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
            restored(&sent, &before)["dlc_config"].clone()
        };
        let anew = json!({"access_id": "LTAInew", "access_key": "new"});
        assert_eq!(with(&anew), json!({"access_id": "LTAInew", "access_key": "new", "region": "r"}));
        assert_eq!(
            with(&json!({"credential": "secret:team"})),
            json!({"region": "r", "credential": "secret:team"})
        );
        // Half of it is told.
        let mut half = shown.clone();
        half["dlc_config"] = with(&json!({"access_key": "new"}));
        let error = lift(&mut half, &vault).unwrap_err();
        assert!(
            error.code == crate::codes::BAD_SECRET && error.message.contains("dlc_config.access_id"),
            "{error}"
        );
        let mut elsewhere = shown.clone();
        elsewhere["monitor_config"]["url"] = json!("https://other/****");
        assert!(lift(&mut restored(&elsewhere, &before), &vault).is_err());
        // A version that kept nothing has shown masks as well.
        let nothing = made(&vault, &json!({"dlc_config": {"region": "r"}})).1;
        let again = restored(&shown, &nothing);
        assert_eq!(
            (&again["dlc_config"], &again["monitor_config"]["url"]),
            (&json!({"region": "r"}), &json!(""))
        );
    }
}
