//! `simulate`: a cloud on this machine, to try its backend without an account.
//!
//! It is reachable from this machine only, has made-up keys, and ends with this command.

use super::args::{Common, Simulate};
use super::{interrupt, output};
use crate::error::{Failure, exit};
use serde_json::{Value, json};
use simulators::dlc::script::Processes;
use simulators::dlc::{Script, Simulator};
use simulators::maxcompute;
use simulators::oss;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Runs a simulator until it is interrupted.
pub fn run(common: &Common, simulate: &Simulate) -> Result<u8, Failure> {
    match simulate {
        Simulate::Dlc { listen, run, storage, buckets, script, env_file } => {
            let mut script = told(script.as_deref(), *run)?;
            if let Some(folder) = buckets {
                // Links to it are made elsewhere.
                let found = folder.canonicalize();
                let unusable = |error| failed(format!("failed to open {}: {error}", folder.display()));
                script.storage.folder = Some(found.map_err(unusable)?);
            }
            script.storage.accounts.clone_from(&script.accounts);
            let account = script.accounts.first().cloned().ok_or_else(no_account)?;
            let objects = oss::Simulator::start(&script.storage, *storage);
            let objects = objects.map_err(|error| failed(error.to_string()))?;
            let mut variables = variables(
                &account.access_key_id,
                &account.access_key_secret,
                account.security_token.as_deref(),
            );
            variables["OSS_ENDPOINT"] = json!(format!("http://{}", objects.address()));
            variables["OSS_REGION"] = json!(script.storage.region);
            let simulator = Simulator::start(script, *listen).map_err(|error| failed(error.to_string()))?;
            let said = Said {
                name: "PAI-DLC with OSS",
                endpoint: format!("http://{}", simulator.address()),
                variables,
            };
            // Processes of its jobs end with it.
            said.until_interrupted(common, env_file.as_deref())
        }
        Simulate::Maxcompute { listen, script, env_file, data } => {
            let script: maxcompute::Script = match script {
                Some(file) => serde_json::from_value(json_of(file)?)
                    .map_err(|error| failed(format!("{}: {error}", file.display())))?,
                None => maxcompute::Script::default(),
            };
            let account = script.accounts.first().cloned().ok_or_else(no_account)?;
            let project =
                script.projects.first().cloned().ok_or_else(|| failed("the script lists no project"))?;
            let simulator =
                maxcompute::Simulator::start(script, *listen).map_err(|error| failed(error.to_string()))?;
            for pair in data {
                let (file, table) = pair
                    .rsplit_once('=')
                    .ok_or_else(|| failed(format!("--data {pair} is not FILE.csv=TABLE")))?;
                simulator
                    .load(&project, table, Path::new(file))
                    .map_err(|error| failed(error.to_string()))?;
            }
            let endpoint = simulator.endpoint();
            let mut variables = variables(
                &account.access_key_id,
                &account.access_key_secret,
                account.security_token.as_deref(),
            );
            variables["ODPS_ENDPOINT"] = json!(endpoint);
            variables["ODPS_PROJECT_NAME"] = json!(project);
            Said { name: "MaxCompute", endpoint, variables }.until_interrupted(common, env_file.as_deref())
        }
    }
}

/// What is said of a simulator that runs.
struct Said {
    name: &'static str,
    endpoint: String,
    variables: Value,
}

impl Said {
    fn until_interrupted(&self, common: &Common, env_file: Option<&Path>) -> Result<u8, Failure> {
        let exports = exports(&self.variables);
        if let Some(path) = env_file {
            write_private(path, &exports)
                .map_err(|error| failed(format!("failed to write {}: {error}", path.display())))?;
        }
        if common.json {
            output::json(&json!({"endpoint": self.endpoint, "environment": self.variables}))?;
        } else {
            output::text(&format!(
                "{} is simulated until this is interrupted. An experiment reaches it with\n\n    endpoint: {}\n\n\
                 and these variables:\n\n{exports}",
                self.name, self.endpoint
            ))?;
        }
        let waiting = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        waiting.block_on(async { interrupt::signals().recv().await });
        Ok(exit::DONE)
    }
}

fn no_account() -> Failure {
    failed("the script lists no account")
}

fn failed(message: impl Into<String>) -> Failure {
    Failure {
        code: Some(crate::codes::SIMULATOR.to_string()),
        ..Failure::new(
            exit::FAILED,
            message,
            "another address of this machine, such as --listen 127.0.0.1:0, is free; docs/simulate.md says what a \
             script may hold",
        )
    }
}

/// The script of a file, or the one that nobody has written.
fn told(file: Option<&Path>, run: bool) -> Result<Script, Failure> {
    let Some(file) = file else {
        let mut script = Script::default();
        if run {
            script.processes = Some(Processes::default());
            // Whoever knows the key can start processes of this user.
            if let Some(account) = script.accounts.first_mut() {
                account.access_key_secret = secret()?;
            }
        }
        return Ok(script);
    };
    let mut value = json_of(file)?;
    if run && let Some(map) = value.as_object_mut() {
        map.entry("processes").or_insert_with(|| json!({}));
        if !map.contains_key("accounts") {
            map.insert("accounts".to_owned(), json!([{"access_key_secret": secret()?}]));
        }
    }
    serde_json::from_value(value).map_err(|error| failed(format!("{}: {error}", file.display())))
}

fn json_of(file: &Path) -> Result<Value, Failure> {
    let text = fs::read_to_string(file)
        .map_err(|error| failed(format!("failed to read {}: {error}", file.display())))?;
    serde_json::from_str(&text).map_err(|error| failed(format!("{} is not JSON: {error}", file.display())))
}

fn secret() -> Result<String, Failure> {
    use rand::TryRng;
    let mut secret = String::new();
    for _ in 0..2 {
        let number = rand::rngs::SysRng
            .try_next_u64()
            .map_err(|error| failed(format!("the system gives no random numbers: {error}")))?;
        secret.push_str(&format!("{number:016x}"));
    }
    Ok(secret)
}

/// What clients take from their environment.
fn variables(key_id: &str, secret: &str, token: Option<&str>) -> Value {
    let mut variables = json!({
        "ALIBABA_CLOUD_ACCESS_KEY_ID": key_id,
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET": secret,
    });
    if let Some(token) = token {
        variables["ALIBABA_CLOUD_SECURITY_TOKEN"] = json!(token);
    }
    variables
}

fn exports(variables: &Value) -> String {
    let pairs = variables.as_object().into_iter().flatten();
    let quoted = |value: &Value| value.as_str().unwrap_or_default().replace('\'', r"'\''");
    pairs.map(|(name, value)| format!("export {name}='{}'\n", quoted(value))).collect()
}

/// A file that only its owner may read.
fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    file.write_all(text.as_bytes())
}
