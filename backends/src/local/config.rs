//! The part of the experiment file below `run.local`.

use crate::codes;
use crate::suggest;
use engine::error::SpecError;
use serde_json::{Map, Value};

/// Bytes of one standard stream that are kept, unless the file says otherwise: 64 MiB.
const DEFAULT_LOG_LIMIT: u64 = 64 << 20;
/// The smallest and the largest limit of a stream, in bytes.
const LOG_LIMITS: (u64, u64) = (4_096, 1 << 40);
/// The largest number of devices or processors that can be named.
const MAX_DEVICES: u64 = 4_096;

const KEYS: &[&str] = &["workdir", "gpus", "gpus_per_trial", "cpus_per_trial", "log_limit", "shell"];

/// What names the devices that a process may use.
pub(super) const VISIBLE: &str = "CUDA_VISIBLE_DEVICES";

/// The graphics processors that trials share out among themselves.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Devices {
    /// So many, the first ones that there are for this program.
    First(usize),
    /// These, by what `CUDA_VISIBLE_DEVICES` takes.
    Named(Vec<String>),
}

impl Devices {
    fn len(&self) -> usize {
        match self {
            Self::First(count) => *count,
            Self::Named(names) => names.len(),
        }
    }

    /// Their names for a program that was itself started with `CUDA_VISIBLE_DEVICES` as given: only those are its own.
    /// The error says what is missing.
    pub(super) fn names(&self, visible: Option<&str>) -> Result<Vec<String>, String> {
        let own = visible.map(|list| -> Vec<&str> {
            // As CUDA reads it: what follows the first device that does not exist is not seen.
            let names = list.split(',').map(str::trim);
            names.take_while(|name| !name.is_empty() && !name.starts_with('-')).collect()
        });
        match (self, own) {
            (Self::First(count), None) => Ok((0..*count).map(|id| id.to_string()).collect()),
            (Self::First(count), Some(own)) if *count <= own.len() => {
                Ok(own.into_iter().take(*count).map(str::to_owned).collect())
            }
            (Self::First(count), Some(own)) => {
                let there = if own.is_empty() { "none".to_owned() } else { own.len().to_string() };
                Err(format!("`gpus` asks for {count} devices and {there} of this machine's are visible"))
            }
            (Self::Named(names), own) => {
                let hidden = |name: &&String| own.as_ref().is_some_and(|own| !own.contains(&name.as_str()));
                match names.iter().find(hidden) {
                    Some(name) => Err(format!("the device `{name}` of `gpus` is not among the visible ones")),
                    None => Ok(names.clone()),
                }
            }
        }
        .map_err(|what| {
            format!("{what}: this program was started with {VISIBLE}={}", visible.unwrap_or_default())
        })
    }
}

/// The settings, understood.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Config {
    /// The working directory, if it is not the attempt's own.
    pub(super) workdir: Option<String>,
    /// The graphics processors that trials share out among themselves.
    pub(super) gpus: Devices,
    /// Graphics processors of one trial.
    pub(super) gpus_per_trial: usize,
    /// Processors of one trial; all of them if `None`.
    pub(super) cpus_per_trial: Option<usize>,
    /// Bytes of one standard stream that are kept.
    pub(super) log_limit: u64,
    /// The shell for commands given as a line.
    pub(super) shell: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            workdir: None,
            gpus: Devices::First(0),
            gpus_per_trial: 1,
            cpus_per_trial: None,
            log_limit: DEFAULT_LOG_LIMIT,
            shell: "sh".to_owned(),
        }
    }
}

/// Checks the part of an experiment file below `run.local`, without its commands. `path` is where it stands, such
/// as `run.local`. Every mistake is given at once; an empty list means that it can be used.
pub fn check_config(config: &Value, path: &str) -> Vec<SpecError> {
    Config::parse(config, path).err().unwrap_or_default()
}

/// Checks what depends on where this program runs: whether the devices asked for are its own. Settings that cannot be
/// used anywhere are [`check_config`]'s.
pub fn check_surroundings(config: &Value, path: &str) -> Vec<SpecError> {
    let Ok(config) = Config::parse(config, path) else { return Vec::new() };
    let missing = config.gpus.names(std::env::var(VISIBLE).ok().as_deref()).err();
    let cure = format!("ask for devices that are listed there, or start the program with another {VISIBLE}");
    missing
        .map(|message| SpecError::new(codes::TOO_FEW_DEVICES, format!("{path}.gpus"), message, cure))
        .into_iter()
        .collect()
}

impl Config {
    /// Understands the settings, or names all mistakes.
    pub(super) fn parse(value: &Value, path: &str) -> Result<Self, Vec<SpecError>> {
        let empty = Map::new();
        let map = match value {
            Value::Null => &empty,
            Value::Object(map) => map,
            other => {
                return Err(vec![SpecError::new(
                    codes::WRONG_TYPE,
                    path,
                    format!("the settings of the local backend must be a mapping, not {}", kind(other)),
                    "write for example `local: {command: '...', log_limit: 1000000}`",
                )]);
            }
        };
        let mut reader = Reader { path, errors: Vec::new() };
        let mut config = Self::default();
        for (key, value) in map {
            match key.as_str() {
                "workdir" => config.workdir = reader.workdir(value),
                "gpus" => config.gpus = reader.gpus(value),
                "gpus_per_trial" => {
                    config.gpus_per_trial = reader.count(key, value, 1, MAX_DEVICES).unwrap_or(1);
                }
                "cpus_per_trial" => config.cpus_per_trial = reader.count(key, value, 1, MAX_DEVICES),
                "log_limit" => {
                    config.log_limit =
                        reader.number(key, value, LOG_LIMITS.0, LOG_LIMITS.1).unwrap_or(DEFAULT_LOG_LIMIT);
                }
                "shell" => match value.as_str() {
                    Some(shell) if !shell.trim().is_empty() => shell.clone_into(&mut config.shell),
                    _ => reader.wrong(key, value, "the name or path of a shell", "sh"),
                },
                unknown => reader.errors.push(SpecError::key(
                    codes::UNKNOWN_KEY,
                    format!("{path}.{unknown}"),
                    format!("the local backend has no setting `{unknown}`"),
                    suggest::cure(unknown, KEYS),
                )),
            }
        }
        reader.devices(map, &config);
        if reader.errors.is_empty() { Ok(config) } else { Err(reader.errors) }
    }
}

struct Reader<'a> {
    path: &'a str,
    errors: Vec<SpecError>,
}

impl Reader<'_> {
    fn wrong(&mut self, key: &str, found: &Value, wanted: &str, example: &str) {
        self.errors.push(SpecError::new(
            codes::WRONG_TYPE,
            format!("{}.{key}", self.path),
            format!("`{key}` must be {wanted}, not {}", kind(found)),
            format!("write for example `{key}: {example}`"),
        ));
    }

    fn number(&mut self, key: &str, value: &Value, low: u64, high: u64) -> Option<u64> {
        let Some(number) = value.as_u64() else {
            self.wrong(key, value, "a whole number", &low.max(1).to_string());
            return None;
        };
        if (low..=high).contains(&number) {
            return Some(number);
        }
        self.errors.push(SpecError::new(
            codes::OUT_OF_RANGE,
            format!("{}.{key}", self.path),
            format!("`{key}` is {number}"),
            format!("choose a number from {low} to {high}"),
        ));
        None
    }

    fn count(&mut self, key: &str, value: &Value, low: u64, high: u64) -> Option<usize> {
        self.number(key, value, low, high).and_then(|number| usize::try_from(number).ok())
    }

    fn workdir(&mut self, value: &Value) -> Option<String> {
        let Some(text) = value.as_str() else {
            self.wrong("workdir", value, "`attempt` or a path", "attempt");
            return None;
        };
        // What a placeholder stands for is known only when the task is started.
        if text == "attempt" {
            return None;
        }
        if !text.starts_with('/') && !text.starts_with("${") {
            self.errors.push(SpecError::new(
                codes::BAD_PATH,
                format!("{}.workdir", self.path),
                format!("`{text}` is a relative path, which would depend on where the program is started"),
                "write `attempt`, an absolute path, or one below `${spec_dir}`, the experiment file's folder",
            ));
            return None;
        }
        Some(text.to_owned())
    }

    fn gpus(&mut self, value: &Value) -> Devices {
        match value {
            Value::Number(_) => Devices::First(self.count("gpus", value, 0, MAX_DEVICES).unwrap_or(0)),
            Value::Array(ids) => {
                let name = |(at, id): (usize, &Value)| match id {
                    Value::Number(number) if number.is_u64() => Some(number.to_string()),
                    // Such as GPU-8932f937 or MIG-..., as nvidia-smi shows them.
                    Value::String(text) if !text.is_empty() && !text.contains(',') => Some(text.clone()),
                    other => {
                        self.wrong(&format!("gpus[{at}]"), other, "a device number or name", "0");
                        None
                    }
                };
                Devices::Named(ids.iter().enumerate().filter_map(name).collect())
            }
            other => {
                self.wrong("gpus", other, "a number of devices or a list of them", "[0, 1]");
                Devices::First(0)
            }
        }
    }

    fn devices(&mut self, map: &Map<String, Value>, config: &Config) {
        let asked = map.contains_key("gpus_per_trial");
        if asked && !self.errors.iter().any(|error| error.path.contains(".gpus")) {
            let (wanted, there) = (config.gpus_per_trial, config.gpus.len());
            if wanted > there {
                self.errors.push(SpecError::new(
                    codes::TOO_FEW_DEVICES,
                    format!("{}.gpus_per_trial", self.path),
                    format!("a trial wants {wanted} devices and `gpus` has {there}"),
                    "name the devices in `gpus`, or ask for fewer per trial",
                ));
            }
        }
    }
}

fn kind(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(_) => "a truth value".to_owned(),
        Value::Number(number) => format!("the number {number}"),
        Value::String(_) => "a text".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a mapping".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nothing_means_the_defaults() {
        assert_eq!(Config::parse(&Value::Null, "run.local"), Ok(Config::default()));
        assert_eq!(Config::parse(&json!({"workdir": "attempt"}), "run.local"), Ok(Config::default()));
    }

    #[test]
    fn every_setting_is_understood() {
        let value = json!({
            "workdir": "${spec_dir}", "gpus": ["GPU-8932f937", 3], "gpus_per_trial": 2,
            "cpus_per_trial": 4, "log_limit": 5000, "shell": "bash"
        });
        let config = Config::parse(&value, "run.local").unwrap();
        assert_eq!(config.gpus.names(None).unwrap(), ["GPU-8932f937", "3"]);
        assert_eq!((config.gpus_per_trial, config.cpus_per_trial, config.log_limit), (2, Some(4), 5_000));
        assert_eq!((config.workdir.as_deref(), config.shell.as_str()), (Some("${spec_dir}"), "bash"));
        assert_eq!(Config::parse(&json!({"gpus": 2}), "").unwrap().gpus.names(None).unwrap(), ["0", "1"]);
    }

    #[test]
    fn only_devices_that_this_program_may_use_are_given_to_trials() {
        let named = |names: &[&str]| Devices::Named(names.iter().map(|name| (*name).to_owned()).collect());
        for (asked, visible, given) in [
            (Devices::First(2), Some("4, 5,6"), Ok(vec!["4", "5"])),
            (Devices::First(1), Some("GPU-8932f937"), Ok(vec!["GPU-8932f937"])),
            (named(&["6", "4"]), Some("4,5,6"), Ok(vec!["6", "4"])),
            (Devices::First(0), Some(""), Ok(vec![])),
            (Devices::First(2), Some("4"), Err("2 devices and 1 of")),
            (Devices::First(2), Some("4,-1,5"), Err("2 devices and 1 of")),
            (Devices::First(1), Some(""), Err("none of")),
            (named(&["0"]), Some("4,5"), Err("`0` of `gpus` is not among")),
        ] {
            match (asked.names(visible), given) {
                (Ok(names), Ok(given)) => assert_eq!(names, given),
                (Err(why), Err(part)) => {
                    assert!(why.contains(part) && why.contains("CUDA_VISIBLE_DEVICES="), "{why}");
                }
                (found, given) => panic!("{asked:?} of {visible:?} gives {found:?} instead of {given:?}"),
            }
        }
    }

    #[test]
    fn all_mistakes_are_named_at_once_with_their_places() {
        let value = json!({
            "wrokdir": "x", "workdir": "here", "gpus": "all", "cpus_per_trial": 0, "log_limit": true, "shell": 3
        });
        let errors = check_config(&value, "run.local");
        let places: Vec<&str> = errors.iter().map(|error| error.path.as_str()).collect();
        let all = ["wrokdir", "workdir", "gpus", "cpus_per_trial", "log_limit", "shell"];
        assert_eq!(places, all.map(|key| format!("run.local.{key}")));
        assert_eq!(errors[0].cure, "did you mean `workdir`?");
        assert!(errors[0].at_key);
        assert_eq!(check_config(&json!([]), "run.local")[0].code, codes::WRONG_TYPE);
        let few = check_config(&json!({"gpus": 1, "gpus_per_trial": 2}), "run.local");
        assert_eq!(few[0].code, codes::TOO_FEW_DEVICES);
    }
}
