//! Reads values against the fields of the request, and keeps every mistake.
//!
//! Begin with [`Reader`]. A number or truth value where the request has a text becomes that text (`CPU: 4`), and a text
//! that is a number becomes the number, because a replaced `${...}` is always a text.

use super::schema::{Fields, Kind};
use crate::codes;
use crate::suggest;
use engine::error::{Code, SpecError};
use serde_json::{Map, Value};

/// What stands before the name of a variable that holds a secret.
const VARIABLE: &str = "env:";

/// When a value is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// When the experiment file is checked: `${...}` may stand for anything.
    Checked,
    /// When a task is started: everything is replaced.
    Started,
}

/// Collects the mistakes.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) when: When,
    pub(super) errors: Vec<SpecError>,
}

impl Reader {
    pub(super) const fn new(when: When) -> Self {
        Self { when, errors: Vec::new() }
    }

    pub(super) fn fail(
        &mut self,
        code: Code,
        path: impl Into<String>,
        message: impl Into<String>,
        cure: impl Into<String>,
    ) {
        self.errors.push(SpecError::new(code, path, message, cure));
    }

    /// Whether a value is known only when the task is started.
    pub(super) fn is_open(&self, value: &Value) -> bool {
        self.when == When::Checked && value.as_str().is_some_and(|text| text.contains("${"))
    }

    /// A part with fields of its own. What cannot be read is left out.
    pub(super) fn part(&mut self, value: &Value, fields: &Fields, path: &str) -> Option<Value> {
        let Value::Object(map) = value else {
            self.wrong(path, "a mapping", value);
            return None;
        };
        let mut out = Map::new();
        for (key, value) in map {
            let inner = format!("{path}.{key}");
            match fields.iter().find(|(name, _)| name == key) {
                Some((_, kind)) => {
                    if let Some(read) = self.value(value, *kind, &inner) {
                        out.insert(key.clone(), read);
                    }
                }
                None => self.unknown(key, &inner, fields.iter().map(|(name, _)| *name)),
            }
        }
        Some(Value::Object(out))
    }

    /// A key that is not known, with the nearest one or all of them.
    pub(super) fn unknown<'a>(&mut self, key: &str, path: &str, known: impl Iterator<Item = &'a str>) {
        let known: Vec<&str> = known.collect();
        let same = known.iter().find(|name| name.eq_ignore_ascii_case(key));
        let cure = match same {
            Some(name) => format!("did you mean `{name}`?"),
            None => suggest::cure(key, &known),
        };
        self.errors.push(SpecError::key(
            codes::UNKNOWN_KEY,
            path,
            format!("a DLC job has no setting `{key}` here"),
            cure,
        ));
    }

    /// A value of this kind.
    pub(super) fn value(&mut self, value: &Value, kind: Kind, path: &str) -> Option<Value> {
        if self.is_open(value) && !matches!(kind, Kind::Secret) {
            return Some(value.clone());
        }
        match kind {
            Kind::Text => self.text(value, path).map(Value::String),
            Kind::Secret => self.secret(value, path),
            Kind::Whole => self.parsed(value, path, "a whole number", |text| {
                let number = text.parse::<f64>().ok().filter(|number| number.fract() == 0.0);
                text.parse::<i64>().ok().or_else(|| number.map(|number| number as i64)).map(Value::from)
            }),
            Kind::Number => self.parsed(value, path, "a number", |text| {
                text.parse::<f64>().ok().filter(|number| number.is_finite()).map(Value::from)
            }),
            Kind::Flag => self.parsed(value, path, "true or false", |text| {
                let lower = text.to_ascii_lowercase();
                lower.parse::<bool>().ok().map(Value::from)
            }),
            Kind::Texts => self.list(value, path, Kind::Text),
            Kind::Wholes => self.list(value, path, Kind::Whole),
            Kind::TextMap => self.text_map(value, path),
            Kind::AnyMap if value.is_object() => Some(value.clone()),
            Kind::AnyMap => self.wrong(path, "a mapping", value),
            Kind::Model(fields) => self.part(value, fields, path),
            Kind::Models(fields) => {
                let Value::Array(items) = value else { return self.wrong(path, "a list", value) };
                let read = items.iter().enumerate();
                Some(
                    read.filter_map(|(at, item)| self.part(item, fields, &format!("{path}[{at}]"))).collect(),
                )
            }
        }
    }

    /// A text; numbers and truth values are taken as JSON writes them.
    pub(super) fn text(&mut self, value: &Value, path: &str) -> Option<String> {
        match value {
            Value::String(text) if !text.contains('\0') => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(flag) => Some(flag.to_string()),
            _ => {
                self.wrong(path, "a text", value);
                None
            }
        }
    }

    /// Texts that are no secret themselves and name a variable that holds one.
    fn secret(&mut self, value: &Value, path: &str) -> Option<Value> {
        let name = value.as_str().and_then(secret_variable);
        if name.is_none() {
            self.fail(
                codes::PLAIN_SECRET,
                path,
                "a secret does not belong here: all of an experiment file is recorded",
                "write `env:NAME`, and set the variable NAME in the environment in which Retrial is started",
            );
        }
        name.map(|_| value.clone())
    }

    fn parsed(
        &mut self,
        value: &Value,
        path: &str,
        wanted: &str,
        parse: impl Fn(&str) -> Option<Value>,
    ) -> Option<Value> {
        let text = match value {
            Value::String(text) => Some(text.trim().to_owned()),
            Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
            _ => None,
        };
        let read = text.as_deref().and_then(parse);
        if read.is_none() {
            self.wrong(path, wanted, value);
        }
        read
    }

    fn list(&mut self, value: &Value, path: &str, kind: Kind) -> Option<Value> {
        let Value::Array(items) = value else { return self.wrong(path, "a list", value) };
        let read = items.iter().enumerate();
        Some(read.filter_map(|(at, item)| self.value(item, kind, &format!("{path}[{at}]"))).collect())
    }

    fn text_map(&mut self, value: &Value, path: &str) -> Option<Value> {
        let Value::Object(map) = value else {
            return self.wrong(path, "a mapping of names to texts", value);
        };
        let mut out = Map::new();
        for (key, item) in map {
            if let Some(text) = self.text(item, &format!("{path}.{key}")) {
                out.insert(key.clone(), Value::String(text));
            }
        }
        Some(Value::Object(out))
    }

    fn wrong(&mut self, path: &str, wanted: &str, found: &Value) -> Option<Value> {
        let kind = match found {
            Value::Null => "nothing".to_owned(),
            Value::Bool(flag) => format!("`{flag}`"),
            Value::Number(number) => format!("the number {number}"),
            Value::String(text) => format!("the text `{}`", text.chars().take(40).collect::<String>()),
            Value::Array(_) => "a list".to_owned(),
            Value::Object(_) => "a mapping".to_owned(),
        };
        let name = path.rsplit('.').next().unwrap_or_default();
        let cure = match found {
            Value::Null => "write a value, or leave the key out".to_owned(),
            _ => format!("write {wanted}"),
        };
        self.fail(codes::WRONG_TYPE, path, format!("`{name}` must be {wanted}, not {kind}"), cure);
        None
    }
}

/// The name of the variable that holds a secret, from `env:NAME`.
pub(super) fn secret_variable(text: &str) -> Option<&str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.strip_prefix(VARIABLE).filter(|name| !name.is_empty() && name.chars().all(plain))
}

/// The variables of this machine that settings name as secrets, wherever they do.
pub fn secret_variables(config: &Value) -> Vec<String> {
    match config {
        Value::String(text) => secret_variable(text).map(str::to_owned).into_iter().collect(),
        Value::Array(items) => items.iter().flat_map(secret_variables).collect(),
        Value::Object(map) => map.values().flat_map(secret_variables).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::schema::CREATE_JOB_REQUEST;
    use super::*;
    use serde_json::json;

    fn read(when: When, value: &Value) -> (Value, Vec<SpecError>) {
        let mut reader = Reader::new(when);
        let read = reader.part(value, CREATE_JOB_REQUEST, "run.dlc").unwrap();
        (read, reader.errors)
    }

    #[test]
    fn each_kind_of_value_is_read_as_the_request_has_it() {
        let value = json!({
            "WorkspaceId": 12345, "Priority": "3", "ThirdpartyLibs": ["numpy==1.26.4"], "Envs": {"N": 1, "F": true},
            "JobSpecs": [{
                "PodCount": 2.0, "UseSpotInstance": "True", "ResourceConfig": {"CPU": 4, "Memory": "8Gi"},
                "SpotSpec": {"SpotDiscountLimit": "0.2"}, "ServiceSpec": {"ExtraPorts": [1, "2"]},
            }],
            "Settings": {"AdvancedSettings": {"any": ["thing"]}}, "CustomEnvs": [{"Key": "K", "Visible": true}],
        });
        let (read, errors) = read(When::Started, &value);
        assert_eq!(errors, []);
        let expected = json!({
            "WorkspaceId": "12345", "Priority": 3, "ThirdpartyLibs": ["numpy==1.26.4"],
            "Envs": {"N": "1", "F": "true"},
            "JobSpecs": [{
                "PodCount": 2, "UseSpotInstance": true, "ResourceConfig": {"CPU": "4", "Memory": "8Gi"},
                "SpotSpec": {"SpotDiscountLimit": 0.2}, "ServiceSpec": {"ExtraPorts": [1, 2]},
            }],
            "Settings": {"AdvancedSettings": {"any": ["thing"]}}, "CustomEnvs": [{"Key": "K", "Visible": "true"}],
        });
        assert_eq!(read, expected);
    }

    #[test]
    fn a_placeholder_may_stand_for_anything_until_the_task_is_started() {
        let value = json!({
            "Priority": "${priority}", "JobSpecs": [{"PodCount": "${nodes}", "UseSpotInstance": "${spot}"}],
            "ThirdpartyLibs": ["${lib}"],
        });
        assert_eq!(read(When::Checked, &value), (value.clone(), Vec::new()));
        let (_, errors) = read(When::Started, &value);
        let paths: Vec<&str> = errors.iter().map(|error| error.path.as_str()).collect();
        let all = ["run.dlc.Priority", "run.dlc.JobSpecs[0].PodCount", "run.dlc.JobSpecs[0].UseSpotInstance"];
        assert_eq!(paths, all);
    }

    #[test]
    fn every_mistake_is_named_at_its_place_with_a_cure() {
        let value = json!({
            "priority": 1, "JobSpec": [], "DataSources": null, "Envs": ["A=1"], "Priority": 1.5,
            "JobSpecs": [{"Imag": "x", "PodCount": "two", "ResourceConfig": "4 CPUs"}, 7],
            "Settings": {"Tags": {"a": [1]}, "EnableRDMA": "perhaps", "AdvancedSettings": 1},
        });
        let (_, errors) = read(When::Checked, &value);
        let shown: Vec<String> =
            errors.iter().map(|error| format!("{} {}", error.path, error.code)).collect();
        let expected = [
            "run.dlc.priority E0501",
            "run.dlc.JobSpec E0501",
            "run.dlc.DataSources E0500",
            "run.dlc.Envs E0500",
            "run.dlc.Priority E0500",
            "run.dlc.JobSpecs[0].Imag E0501",
            "run.dlc.JobSpecs[0].PodCount E0500",
            "run.dlc.JobSpecs[0].ResourceConfig E0500",
            "run.dlc.JobSpecs[1] E0500",
            "run.dlc.Settings.Tags.a E0500",
            "run.dlc.Settings.EnableRDMA E0500",
            "run.dlc.Settings.AdvancedSettings E0500",
        ];
        assert_eq!(shown, expected);
        assert_eq!(errors[0].cure, "did you mean `Priority`?");
        assert_eq!(errors[1].cure, "did you mean `JobSpecs`?");
        assert!(errors.iter().all(|error| !error.cure.is_empty()));
    }

    #[test]
    fn a_secret_is_named_and_never_written() {
        let secret = |text: &str| json!({"JobSpecs": [{"ImageConfig": {"Password": text, "Auth": "env:REGISTRY_AUTH", "Username": "me"}}]});
        assert_eq!(read(When::Checked, &secret("env:REGISTRY_PASSWORD")).1, []);
        for plain in ["planted-hunter2", "${password}", "env:", "env:a b"] {
            let (read, errors) = read(When::Checked, &secret(plain));
            assert_eq!(errors[0].path, "run.dlc.JobSpecs[0].ImageConfig.Password");
            assert_eq!(errors[0].code, codes::PLAIN_SECRET);
            assert!(!format!("{errors:?}{read}").contains("planted"), "{errors:?}");
        }
    }
}
