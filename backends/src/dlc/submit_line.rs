//! `dlc submit <type> --flag=...` command lines, as PAI's own forms have them, read into the same request.
//!
//! Begin with [`read`]. The line is not run: the program `dlc` is not needed.

use super::flags::{self, FLAGS, Goes, ROLE_FLAGS, ROLES, Role, SHORT, SWITCHES};
use super::rules::JOB_TYPES;
use super::words;
use crate::codes;
use crate::suggest;
use engine::error::{Code, SpecError};
use engine::ports::backend::CommandLine;
use serde_json::{Map, Value, json};

/// Reads a file that a line names; the error says why it cannot be read.
pub type Files<'a> = &'a dyn Fn(&str) -> Result<String, String>;

/// Flags of one line, those of its files included.
const MAX_FLAGS: usize = 1_000;

/// What a line says.
#[derive(Debug, Default, PartialEq)]
pub(super) struct SubmitLine {
    /// Fields of the request; their values are still texts.
    pub(super) job: Map<String, Value>,
    /// From which flag a field is: the path below the request, and the flag.
    pub(super) origins: Vec<(String, String)>,
    pub(super) region: Option<String>,
    pub(super) endpoint: Option<String>,
}

/// Whether a command is such a line.
pub(super) fn is_submit_line(command: &CommandLine) -> bool {
    let mut words: Box<dyn Iterator<Item = &str>> = match command {
        CommandLine::Shell(line) => Box::new(line.split_ascii_whitespace()),
        CommandLine::Args(words) => Box::new(words.iter().map(String::as_str)),
    };
    let program = words.next().and_then(|word| word.rsplit('/').next());
    // Flags for every command may stand before: `dlc -r cn-hangzhou submit pytorchjob`.
    program == Some("dlc") && words.take(8).any(|word| word == "submit")
}

/// Reads a line. `path` is where it stands in the experiment file; mistakes are added to `errors`, and what is right is
/// given nevertheless.
pub(super) fn read(
    command: &CommandLine,
    path: &str,
    files: Files<'_>,
    errors: &mut Vec<SpecError>,
) -> SubmitLine {
    let mut parser =
        Parser { path, errors, line: SubmitLine::default(), given: Vec::new(), positional: Vec::new() };
    match command {
        CommandLine::Args(words) => parser.words(words),
        CommandLine::Shell(line) => match words::split(line) {
            Ok(words) => parser.words(&words),
            Err(why) => {
                let cure = "put each value in quotes: `--command='python3 train.py'`";
                parser.fail(codes::BAD_LINE, format!("the line {why}"), cure);
            }
        },
    }
    parser.files(files);
    parser.job_type();
    parser.fields();
    parser.roles();
    parser.line
}

struct Parser<'a> {
    path: &'a str,
    errors: &'a mut Vec<SpecError>,
    line: SubmitLine,
    /// Flags and values, in order.
    given: Vec<(String, String)>,
    positional: Vec<String>,
}

impl Parser<'_> {
    fn fail(&mut self, code: Code, message: impl Into<String>, cure: impl Into<String>) {
        self.errors.push(SpecError::new(code, self.path, message, cure));
    }

    fn words(&mut self, words: &[String]) {
        let mut words = words.iter().skip(1);
        while let Some(word) = words.next() {
            let Some(flag) = word.strip_prefix('-').filter(|flag| !flag.is_empty()) else {
                self.positional.push(word.clone());
                continue;
            };
            let flag = flag.strip_prefix('-').unwrap_or(flag);
            let (name, value) = match flag.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (flag, None),
            };
            let long = SHORT.iter().find(|(short, _)| *short == name && !word.starts_with("--"));
            let name = long.map_or(name, |(_, long)| long);
            let value = match value {
                None if SWITCHES.contains(&name) => Some("true".to_owned()),
                None => words.next().cloned(),
                given => given,
            };
            match value {
                Some(value) => self.give(name, value),
                None => {
                    self.fail(
                        codes::BAD_LINE,
                        format!("`--{name}` has no value"),
                        format!("write `--{name}=...`"),
                    );
                }
            }
        }
    }

    fn give(&mut self, name: &str, value: String) {
        let all = flags::names();
        if !all.iter().any(|known| known == name) {
            let known: Vec<&str> = all.iter().map(String::as_str).collect();
            let cure = suggest::nearest(&name.replace('-', "_"), &known).map_or_else(
                || format!("the flags are {}", known.join(", ")),
                |near| format!("did you mean `--{near}`?"),
            );
            self.fail(codes::UNKNOWN_KEY, format!("`dlc submit` has no flag `--{name}`"), cure);
            return;
        }
        if self.given.iter().any(|(known, _)| known == name) {
            let message = format!("`--{name}` is given a second time");
            self.fail(codes::CONFLICT, message, "keep one of them; several values are separated by commas");
            return;
        }
        if self.given.len() >= MAX_FLAGS {
            return;
        }
        self.given.push((name.to_owned(), value));
    }

    /// What a file says counts more than the line.
    fn files(&mut self, files: Files<'_>) {
        let named: Vec<String> =
            self.take(|goes| goes == Goes::File).into_iter().map(|(_, file)| file).collect();
        for file in named {
            let text = match files(&file) {
                Ok(text) => text,
                Err(why) => {
                    let message = format!("the job file `{file}` cannot be read: {why}");
                    self.fail(
                        codes::BAD_LINE,
                        message,
                        "name a file that exists, with one `flag=value` on each line",
                    );
                    continue;
                }
            };
            let line = std::mem::take(&mut self.given);
            for (number, entry) in text.lines().enumerate() {
                let entry = entry.trim();
                if entry.is_empty() || entry.starts_with('#') {
                    continue;
                }
                match entry.split_once('=') {
                    Some((name, value)) => {
                        self.give(name.trim().trim_start_matches("--"), value.trim().to_owned());
                    }
                    None => {
                        let message = format!("line {} of the job file `{file}` has no `=`", number + 1);
                        self.fail(codes::BAD_LINE, message, "write `flag=value` on each line");
                    }
                }
            }
            for (name, value) in line {
                if !self.given.iter().any(|(known, _)| *known == name) {
                    self.given.push((name, value));
                }
            }
        }
    }

    /// Removes and gives the flags that go to some place.
    fn take(&mut self, wanted: impl Fn(Goes) -> bool) -> Vec<(String, String)> {
        let goes = |name: &str| FLAGS.iter().find(|(flag, _)| *flag == name).map(|(_, goes)| *goes);
        let (taken, rest) = std::mem::take(&mut self.given)
            .into_iter()
            .partition(|(name, _)| goes(name).is_some_and(&wanted));
        self.given = rest;
        taken
    }

    fn job_type(&mut self) {
        let mut positional = std::mem::take(&mut self.positional).into_iter();
        // The caller has seen that it is there.
        positional.next();
        let types = || JOB_TYPES.iter().map(|name| name.to_lowercase()).collect::<Vec<_>>().join(", ");
        match positional.next() {
            None => self.fail(
                codes::MISSING,
                "`dlc submit` names no type of job",
                format!("write one after it: {}", types()),
            ),
            Some(word) => {
                let lower = word.to_lowercase();
                let known = JOB_TYPES.iter().find(|name| {
                    let name = name.to_lowercase();
                    name == lower || name.strip_suffix("job") == Some(&lower)
                });
                match known {
                    Some(name) => self.put(&["JobType"], json!(name), &word),
                    None => self.fail(
                        codes::NOT_ONE_OF,
                        format!("`{word}` is no type of job"),
                        format!("the types are {}", types()),
                    ),
                }
            }
        }
        if let Some(word) = positional.next() {
            let message = format!("the word `{word}` belongs to no flag");
            self.fail(
                codes::BAD_LINE,
                message,
                "put values with blanks in quotes: `--command='python3 train.py'`",
            );
        }
    }

    fn fields(&mut self) {
        for (flag, value) in self.take(|_| true) {
            let Some((_, goes)) = FLAGS.iter().find(|(name, _)| *name == flag) else { continue };
            // The client's default for all of them.
            if value.is_empty() {
                continue;
            }
            let shown = format!("--{flag}");
            match *goes {
                Goes::Minutes(_) if value.trim() == "0" => {}
                Goes::To(keys) | Goes::Minutes(keys) => self.put(keys, json!(value), &shown),
                Goes::List(keys) => {
                    let items: Vec<&str> =
                        value.split(',').map(str::trim).filter(|item| !item.is_empty()).collect();
                    self.put(keys, json!(items), &shown);
                }
                Goes::Pairs(keys) => {
                    let pairs = self.pairs(&flag, &value);
                    self.put(keys, Value::Object(pairs), &shown);
                }
                Goes::DataSources | Goes::DataSourceUris => self.sources(*goes, &value, &shown),
                Goes::Region => self.line.region = Some(value),
                Goes::Endpoint => self.line.endpoint = Some(value),
                Goes::Protocol if value == "https" => {}
                Goes::Protocol => {
                    let cure =
                        "leave the flag out; for a simulator, give an `endpoint` that begins with `http://`";
                    self.fail(codes::NOT_ONE_OF, format!("`--protocol` cannot be `{value}`"), cure);
                }
                Goes::Client | Goes::File => {}
                Goes::Credential => {
                    let message = format!("`--{flag}` holds or names a credential, and is not used");
                    let cure =
                        "take it out, and name who submits with `credential`, or by environment variables";
                    self.fail(codes::PLAIN_SECRET, message, cure);
                }
            }
        }
    }

    fn pairs(&mut self, flag: &str, value: &str) -> Map<String, Value> {
        let mut pairs = Map::new();
        for item in commas(value) {
            match item.split_once('=') {
                Some((name, text)) if !name.trim().is_empty() => {
                    pairs.insert(name.trim().to_owned(), json!(text));
                }
                _ => {
                    let message = format!("`{item}` of `--{flag}` is no `name=text`");
                    let cure = format!(
                        "write `--{flag}=name=text,name=text`; a text with a comma goes in double quotes"
                    );
                    self.fail(codes::BAD_LINE, message, cure);
                }
            }
        }
        pairs
    }

    /// `id[:version][:/where]` for data sets, `address::/where` for addresses.
    fn sources(&mut self, goes: Goes, value: &str, shown: &str) {
        let mut read = Vec::new();
        for item in commas(value) {
            let mut source = Map::new();
            let good = if goes == Goes::DataSourceUris {
                let mut parts = item.split("::");
                source.insert("Uri".to_owned(), json!(parts.next()));
                if let Some(mount) = parts.next() {
                    source.insert("MountPath".to_owned(), json!(mount));
                }
                item.contains("://") && parts.next().is_none()
            } else {
                let mut good = true;
                for (at, part) in item.split(':').enumerate() {
                    let key = match part {
                        _ if at == 0 => "DataSourceId",
                        mount if mount.starts_with('/') => "MountPath",
                        _ => "DataSourceVersion",
                    };
                    good &= !part.is_empty() && source.insert(key.to_owned(), json!(part)).is_none();
                }
                good
            };
            if good {
                read.push(Value::Object(source));
            } else {
                let cure = "write `--data_sources=ID:VERSION:/where` or `--data_source_uris=oss://bucket.endpoint/path/::/where`";
                self.fail(codes::BAD_LINE, format!("`{item}` of `{shown}` is no data source"), cure);
            }
        }
        let all = self.line.job.entry("DataSources").or_insert_with(|| json!([]));
        if let Value::Array(all) = all {
            for source in read {
                self.line.origins.push((format!("DataSources[{}]", all.len()), shown.to_owned()));
                all.push(source);
            }
        }
    }

    fn roles(&mut self) {
        for role in ROLES {
            if let Some(spec) = self.role(role) {
                let all = self.line.job.entry("JobSpecs").or_insert_with(|| json!([]));
                if let Value::Array(all) = all {
                    all.push(Value::Object(spec));
                }
            }
        }
    }

    fn role(&mut self, role: &Role) -> Option<Map<String, Value>> {
        let find = |parser: &Self, name: &str| {
            parser.given.iter().find(|(flag, _)| flag == name).map(|(_, value)| value.clone())
        };
        let own: Vec<(String, &[&str], String)> = ROLE_FLAGS
            .iter()
            .filter_map(|(name, keys)| {
                let flag = format!("{}_{name}", role.prefix);
                let value = find(self, &flag).filter(|value| !value.is_empty())?;
                Some((flag, *keys, value))
            })
            .collect();
        let count = match find(self, role.count) {
            Some(flag) if role.count == "chief" => match flag.to_lowercase().as_str() {
                "true" | "1" => "1".to_owned(),
                "false" | "0" | "" => "0".to_owned(),
                _ => flag,
            },
            Some(count) => count,
            None => {
                if let Some((flag, ..)) = own.first() {
                    let message = format!("`--{flag}` is given, and `--{}` is not", role.count);
                    let value = if role.count == "chief" { "true" } else { "1" };
                    self.fail(codes::MISSING, message, format!("add `--{}={value}`", role.count));
                }
                return None;
            }
        };
        if count.trim() == "0" {
            return None;
        }
        let at = self.line.job.get("JobSpecs").and_then(Value::as_array).map_or(0, Vec::len);
        let path = format!("JobSpecs[{at}]");
        let mut spec = Map::new();
        spec.insert("Type".to_owned(), json!(role.kind));
        spec.insert("PodCount".to_owned(), json!(count));
        self.line.origins.push((path.clone(), format!("--{}", role.count)));
        for (flag, keys, value) in own {
            self.line.origins.push((format!("{path}.{}", keys.join(".")), format!("--{flag}")));
            insert(&mut spec, keys, json!(value));
        }
        Some(spec)
    }

    fn put(&mut self, keys: &[&str], value: Value, flag: &str) {
        self.line.origins.push((keys.join("."), flag.to_owned()));
        insert(&mut self.line.job, keys, value);
    }
}

fn insert(map: &mut Map<String, Value>, keys: &[&str], value: Value) {
    match keys {
        [] => {}
        [last] => {
            map.insert((*last).to_owned(), value);
        }
        [first, rest @ ..] => {
            if let Value::Object(inner) = map.entry(*first).or_insert_with(|| json!({})) {
                insert(inner, rest, value);
            }
        }
    }
}

/// The parts of a text between commas. A part that begins with `"` goes to the next `"`, where `""` stands for one.
fn commas(text: &str) -> Vec<String> {
    let mut parts = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let mut part = String::new();
        if let Some(mut quoted) = rest.strip_prefix('"') {
            while let Some((before, after)) = quoted.split_once('"') {
                part.push_str(before);
                quoted = after;
                match after.strip_prefix('"') {
                    Some(after) => {
                        part.push('"');
                        quoted = after;
                    }
                    None => break,
                }
            }
            rest = quoted;
        }
        let (before, after) = rest.split_once(',').unwrap_or((rest, ""));
        part.push_str(before.trim_end());
        rest = after.trim_start();
        if !part.is_empty() {
            parts.push(part);
        }
    }
    parts
}
