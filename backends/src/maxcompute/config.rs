//! The part of the experiment file below `run.maxcompute`. Begin with [`check_config`].

use super::command::{self, Defaults};
use super::endpoint::{Endpoint, Network};
use super::job::{Job, LEAST_PRIORITY, Settings};
use super::settings::Setup;
use crate::cloud::credentials::Choice;
use crate::{codes, suggest};
use engine::error::SpecError;
use engine::ports::backend::CommandLine;
use engine::spec::render::{placeholders, render};
use engine::time::Span;
use serde_json::{Map, Value};

/// The settings that there are.
const SETTINGS: &[&str] = &[
    "project",
    "region",
    "endpoint",
    "network",
    "credential",
    "settings",
    "priority",
    "quota",
    "schema",
    "script",
    "name",
    "strict",
    "wait_seconds",
    "clean",
];
/// Most commands of `clean`.
const MAX_CLEANING: usize = 100;
/// The longest wait before a submission in doubt is sent again, in seconds.
const MAX_WAIT_SECONDS: f64 = 86_400.0;

/// The settings, understood.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Where the service is.
    pub endpoint: Option<Endpoint>,
    /// Who submits.
    pub who: Choice,
    /// What holds for all commands.
    pub defaults: Defaults,
    /// Whether a submission in doubt waits for a person instead of being sent again.
    pub strict: bool,
    /// How long a run of an algorithm must not have been found before it counts as never arrived. The service's own
    /// command line client waits 120 s.
    pub wait: Span,
    /// What removes an attempt's tables and models, each a statement that may be repeated.
    pub clean: Vec<String>,
}

/// Checks the settings and the commands of an experiment file. `path` is where they stand, such as `run.maxcompute`.
/// Every mistake is given at once.
pub fn check_config(config: &Value, commands: &[CommandLine], path: &str, setup: &Setup) -> Vec<SpecError> {
    let (config, mut errors) = Config::read(config, path, setup);
    for (at, command) in commands.iter().enumerate() {
        let place =
            if commands.len() == 1 { format!("{path}.command") } else { format!("{path}.tasks[{at}]") };
        // What a placeholder becomes may be anything; a number stands for all of it.
        let text = placeholders_filled(&text_of(command));
        errors.extend(command::parse(&text, &config.defaults, &place).err().unwrap_or_default());
    }
    for (at, command) in config.clean.iter().enumerate() {
        let (text, place) = (placeholders_filled(command), format!("{path}.clean[{at}]"));
        match command::parse(&text, &config.defaults, &place) {
            Ok(Job::Sql(_)) => {}
            Ok(_) => errors.push(SpecError::new(
                codes::NOT_ONE_OF,
                place,
                "an algorithm removes nothing",
                "write, for example, `DROP TABLE IF EXISTS t_${exp_id}_${trial_id}`",
            )),
            Err(more) => errors.extend(more),
        }
    }
    errors
}

/// A command as one text.
pub(super) fn text_of(command: &CommandLine) -> String {
    match command {
        CommandLine::Shell(text) => text.clone(),
        CommandLine::Args(words) => words.join(" "),
    }
}

fn placeholders_filled(text: &str) -> String {
    let bindings: Vec<(String, String)> =
        placeholders(text).map(|name| (name.to_owned(), "1".to_owned())).collect();
    render(text, &bindings)
}

struct Reader<'a> {
    map: &'a Map<String, Value>,
    path: &'a str,
    errors: Vec<SpecError>,
}

impl Reader<'_> {
    fn fail(&mut self, code: engine::error::Code, key: &str, message: impl Into<String>, cure: &str) {
        self.errors.push(SpecError::new(code, format!("{}.{key}", self.path), message, cure));
    }

    fn text(&mut self, key: &str) -> Option<String> {
        match self.map.get(key)? {
            Value::String(text) if !text.trim().is_empty() => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => {
                self.fail(codes::WRONG_TYPE, key, format!("`{key}` must be a text"), "write it as a text");
                None
            }
        }
    }

    fn flag(&mut self, key: &str) -> bool {
        match self.map.get(key) {
            None => false,
            Some(Value::Bool(flag)) => *flag,
            Some(_) => {
                self.fail(
                    codes::WRONG_TYPE,
                    key,
                    format!("`{key}` must be true or false"),
                    "write true or false",
                );
                false
            }
        }
    }

    fn number(&mut self, key: &str, most: f64) -> Option<f64> {
        let number = self.map.get(key)?.as_f64().filter(|number| (0.0..=most).contains(number));
        if number.is_none() {
            let message = format!("`{key}` is no number from 0 to {most}");
            self.fail(codes::OUT_OF_RANGE, key, message, "choose a number within these bounds");
        }
        number
    }

    /// One command or a list of them.
    fn commands(&mut self, key: &str) -> Vec<String> {
        let given = match self.map.get(key) {
            None | Some(Value::Null) => return Vec::new(),
            Some(Value::String(text)) => Some(vec![text.clone()]),
            Some(Value::Array(list)) if list.len() <= MAX_CLEANING => {
                list.iter().map(|item| item.as_str().map(str::to_owned)).collect()
            }
            Some(_) => None,
        };
        given.unwrap_or_else(|| {
            let message = format!("`{key}` must be a command or a list of at most {MAX_CLEANING}");
            self.fail(
                codes::WRONG_TYPE,
                key,
                message,
                "write, for example, `clean: ['DROP TABLE IF EXISTS t_${trial_id}']`",
            );
            Vec::new()
        })
    }

    fn settings(&mut self) -> Settings {
        let mut settings = Settings::new();
        match self.map.get("settings") {
            None => {}
            Some(Value::Object(map)) => {
                for (name, value) in map {
                    let text = match value {
                        Value::String(text) => text.clone(),
                        Value::Number(_) | Value::Bool(_) => value.to_string(),
                        _ => {
                            let key = format!("settings.{name}");
                            self.fail(
                                codes::WRONG_TYPE,
                                &key,
                                "a setting must be a text, a number or a truth value",
                                "write it so",
                            );
                            continue;
                        }
                    };
                    settings.insert(name.clone(), text);
                }
            }
            Some(_) => {
                let cure = "write for example `settings: {odps.sql.mapper.split.size: 256}`";
                self.fail(codes::WRONG_TYPE, "settings", "`settings` must be a mapping", cure);
            }
        }
        settings
    }
}

impl Config {
    /// Reads the settings; what they do not say is taken from how other tools of MaxCompute are set up here.
    pub(super) fn read(value: &Value, path: &str, setup: &Setup) -> (Self, Vec<SpecError>) {
        let empty = Map::new();
        let map = value.as_object().unwrap_or(&empty);
        let mut reader = Reader { map, path, errors: Vec::new() };
        if !value.is_object() && !value.is_null() {
            let message = "the settings of the MaxCompute backend must be a mapping";
            let cure = "write for example `maxcompute: {project: my_project, region: cn-hangzhou, command: 'SELECT 1;'}`";
            reader.errors.push(SpecError::new(codes::WRONG_TYPE, path, message, cure));
        }
        for key in map.keys().filter(|key| !SETTINGS.contains(&key.as_str())) {
            let message = format!("the MaxCompute backend has no setting `{key}`");
            let cure = suggest::cure(key, SETTINGS);
            reader.errors.push(SpecError::key(codes::UNKNOWN_KEY, format!("{path}.{key}"), message, cure));
        }
        let project = reader.text("project").or_else(|| setup.project.clone());
        if project.is_none() && !map.contains_key("project") {
            let cure = "add `project: NAME`, or set ODPS_PROJECT_NAME";
            reader.errors.push(SpecError::new(
                codes::MISSING,
                path,
                "it is not said in which project to work",
                cure,
            ));
        }
        let network = match map.get("network").map(|network| network.as_str().and_then(Network::from_name)) {
            None => Network::default(),
            Some(Some(network)) => network,
            Some(None) => {
                let cure = "write `public`, or `vpc` from inside of a VPC in the same region";
                reader.fail(codes::NOT_ONE_OF, "network", "`network` is none of the known ones", cure);
                Network::default()
            }
        };
        let explicit = reader.text("endpoint");
        let region = reader.text("region");
        let own = explicit.is_some() || region.is_some();
        let explicit = explicit.or_else(|| setup.endpoint.clone().filter(|_| !own));
        let region = region.or_else(|| setup.region.clone().filter(|_| !own || explicit.is_some()));
        let endpoint = Endpoint::find(explicit.as_deref(), region.as_deref(), network, path);
        let endpoint = endpoint.map_err(|error| reader.errors.push(error)).ok();
        let who = map
            .get("credential")
            .map_or(Ok(Choice::Chain), |value| Choice::read(value, &format!("{path}.credential")));
        let who = who.unwrap_or_else(|errors| {
            reader.errors.extend(errors);
            Choice::Chain
        });
        let wait = reader.number("wait_seconds", MAX_WAIT_SECONDS).unwrap_or(130.0);
        let priority = reader.number("priority", LEAST_PRIORITY.into());
        let mut settings = setup.settings.clone();
        settings.extend(reader.settings());
        let defaults = Defaults {
            project: project.unwrap_or_default(),
            settings,
            priority: priority.map(|priority| priority as u32),
            quota: reader.text("quota").or_else(|| setup.quota.clone()),
            schema: reader.text("schema").or_else(|| setup.schema.clone()),
            script: reader.flag("script"),
            name: reader.text("name"),
        };
        let clean = reader.commands("clean");
        let strict = reader.flag("strict");
        let wait = Span((wait * 1_000.0) as u64);
        (Self { endpoint, who, defaults, strict, wait, clean }, reader.errors)
    }

    /// The instance that a command is to be.
    pub(super) fn job(&self, command: &CommandLine, path: &str) -> Result<Job, Vec<SpecError>> {
        command::parse(&text_of(command), &self.defaults, &format!("{path}.command"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn errors(config: &Value, commands: &[&str]) -> Vec<String> {
        let commands: Vec<CommandLine> =
            commands.iter().map(|text| CommandLine::Shell((*text).to_owned())).collect();
        let errors = check_config(config, &commands, "run.maxcompute", &Setup::default());
        errors.iter().map(|error| format!("{} {}", error.code, error.path)).collect()
    }

    #[test]
    fn a_small_file_is_right_and_every_mistake_is_told_at_once() {
        let right =
            json!({"project": "p", "region": "cn-hangzhou", "priority": 1, "settings": {"a.b": true}});
        let commands = ["DROP TABLE IF EXISTS t_${trial_id};", "PAI -name kmeans -DcenterCount=${centers}"];
        assert!(errors(&right, &commands).is_empty());
        let wrong = json!({
            "clean": [3], "projct": "p", "network": "moon", "priority": 10, "script": "yes", "settings": {"a": []}, "credential": 3,
        });
        assert_eq!(
            errors(&wrong, &["SELECT 1; SELECT 2;", ""]),
            [
                "E0501 run.maxcompute.projct",
                "E0509 run.maxcompute",
                "E0511 run.maxcompute.network",
                "E0529 run.maxcompute",
                "E0500 run.maxcompute.credential",
                "E0502 run.maxcompute.priority",
                "E0500 run.maxcompute.settings.a",
                "E0500 run.maxcompute.script",
                "E0500 run.maxcompute.clean",
                "E0550 run.maxcompute.tasks[0]",
                "E0550 run.maxcompute.tasks[1]",
            ]
        );
        assert_eq!(errors(&json!([]), &[])[0], "E0500 run.maxcompute");
        let clean = json!({"project": "p", "region": "cn-hangzhou", "clean": [
            "DROP TABLE IF EXISTS t_${trial_id}", "PAI -name kmeans", "",
        ]});
        assert_eq!(errors(&clean, &[]), ["E0511 run.maxcompute.clean[1]", "E0550 run.maxcompute.clean[2]"]);
    }

    #[test]
    fn what_other_tools_are_set_up_with_fills_the_gaps() {
        let setup = Setup {
            project: Some("theirs".to_owned()),
            endpoint: Some("http://127.0.0.1:9/api".to_owned()),
            quota: Some("q".to_owned()),
            ..Setup::default()
        };
        let (config, errors) = Config::read(&Value::Null, "run.maxcompute", &setup);
        assert!(errors.is_empty(), "{errors:?}");
        assert_eq!(config.endpoint.unwrap().host, "127.0.0.1:9");
        assert_eq!(
            (config.defaults.project.as_str(), config.defaults.quota.as_deref()),
            ("theirs", Some("q"))
        );
        let own = json!({"project": "mine", "region": "cn-beijing"});
        let (config, _) = Config::read(&own, "run.maxcompute", &setup);
        assert_eq!(config.endpoint.unwrap().host, "service.cn-beijing.maxcompute.aliyun.com");
        assert_eq!(config.defaults.project, "mine");
    }
}
